//! The command line: one file per subcommand. The only place that reads the environment and prints.

mod annotate;
mod baseline;
mod check;
mod collect;
mod diff;
mod explain;
mod formats;
mod init;
mod input;
mod leaks;
mod merge;
mod output;
mod paths;
mod probe;
mod reach;
mod revision;
mod schema;
mod show;
mod trace;
mod waive;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use output::{Output, When};

/// Proves what your network edge lets through.
#[derive(Parser)]
#[command(name = "fwproof", version, max_term_width = 110, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// When to use colours (NO_COLOR, FORCE_COLOR and CLICOLOR_FORCE are honoured too)
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    color: When,
}

#[derive(Subcommand)]
enum Command {
    /// Check configurations against a baseline
    Check(check::Args),
    /// Put the JSON reports of all shares of a run (`check --shard`) together
    Merge(merge::Args),
    /// Say what becomes of single packets, and which rules they pass
    Trace(trace::Args),
    /// List all packets that pass, as few boxes
    Reach(reach::Args),
    /// List what leaves each device outside its VPN, while that is up and while it is down
    Leaks(leaks::Args),
    /// Accept a finding until a day
    Waive(waive::Args),
    /// Say which packets two versions of a configuration treat differently, and which line does it
    Diff(diff::Args),
    /// Ask named hosts which of their ports answer, and compare with the configuration
    Probe(probe::Args),
    /// Print files back, each line with what was made of it
    Annotate(annotate::Args),
    /// Show the vendor-neutral model of what was read
    Show(show::Args),
    /// Say what a check means, why it matters, how to fix it
    Explain(explain::Args),
    /// List the formats that are read, how to export each, and what is covered
    Formats(formats::Args),
    /// Print the script with which people collect what their computer is set to
    Collect(collect::Args),
    /// Write a first baseline from what is there
    Init(init::Args),
    /// Print the JSON Schema of the baseline, or of the JSON report
    Schema(schema::Args),
}

const EXIT_CODES: &str = "\
Exit codes: 0 everything holds (or is waived, or known); 1 a finding or an unknown at or above --fail-on;
2 bad arguments or an invalid baseline; 3 something could not be read or judged. The first of 2, 3, 1 that applies.";

const FIRST_STEPS: &str = "\
fwproof proves what your network edge lets through.

It reads exported firewall and VPN configurations and checks them against a YAML baseline.

  fwproof check configs/ -b baseline.yaml     check everything in a folder
  iptables-save | fwproof annotate -          what is understood of this machine's firewall
  fwproof init configs/                       write a first baseline from what is there

All commands: fwproof --help     Formats and how to export them: fwproof formats
";

/// How a command ends when it does not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Bad arguments or an invalid baseline: exit code 2. The messages, one a line.
    Usage(Vec<String>),
    /// What could not be read: exit code 3. The messages, one a line.
    Incomplete(Vec<String>),
}

impl Failure {
    /// Bad arguments, one message.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(vec![message.into()])
    }
}

/// A command's exit code, or why it failed.
pub(crate) type Outcome = Result<u8, Failure>;

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    // The message of a panic may quote a configuration: say where it happened, nothing else.
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        output::error(&format!("fwproof itself failed{at}; please report it"));
    }));
    let mut command = Cli::command().color(ColorChoice::Auto);
    let parsed = command.try_get_matches_from_mut(std::env::args_os()).and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // To standard error, or to standard output for --help; a closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut out = Output::new(cli.color);
    let outcome = match cli.command {
        None => {
            out.write(FIRST_STEPS);
            Ok(2)
        }
        Some(command) => std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(command, &mut out)))
            .unwrap_or_else(|_| Err(Failure::Incomplete(vec!["the command was not finished".into()]))),
    };
    let (code, messages) = match outcome {
        Ok(code) => (code, Vec::new()),
        Err(Failure::Usage(messages)) => (2, messages),
        Err(Failure::Incomplete(messages)) => (3, messages),
    };
    for message in &messages {
        output::error(message);
    }
    ExitCode::from(code)
}

fn run(command: Command, out: &mut Output) -> Outcome {
    match command {
        Command::Check(args) => check::run(&args, out),
        Command::Merge(args) => merge::run(&args, out),
        Command::Trace(args) => trace::run(&args, out),
        Command::Reach(args) => reach::run(&args, out),
        Command::Leaks(args) => leaks::run(&args, out),
        Command::Waive(args) => waive::run(&args, out),
        Command::Diff(args) => diff::run(&args, out),
        Command::Probe(args) => probe::run(&args, out),
        Command::Annotate(args) => annotate::run(&args, out),
        Command::Show(args) => show::run(&args, out),
        Command::Explain(args) => explain::run(&args, out),
        Command::Formats(args) => formats::run(&args, out),
        Command::Collect(args) => collect::run(&args, out),
        Command::Init(args) => init::run(&args, out),
        Command::Schema(args) => schema::run(&args, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_first_steps_fit_on_a_screen_and_are_commands_that_exist() {
        assert!(FIRST_STEPS.lines().count() <= 20);
        for line in FIRST_STEPS.lines().filter(|l| l.starts_with("  ")) {
            let words: Vec<&str> = line.split_whitespace().skip_while(|w| *w != "fwproof").collect();
            assert!(Cli::command().find_subcommand(words[1]).is_some(), "{line}");
        }
    }
}
