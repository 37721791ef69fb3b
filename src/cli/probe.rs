//! `fwproof probe`: real packets, to what the user names and nothing else.

mod expect;
mod plan;

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::input::Reading;
use super::output::{self, Output};
use super::{Failure, Outcome};
use crate::probe::plan::Plan;
use crate::probe::{Progress, Scan, Settings, connect, output as shape, since, vantage};
use crate::report::Untrusted;

/// Asks named hosts which of their ports answer, and compares with what their firewalls' configuration says.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Targets are addresses, prefixes (192.0.2.0/24), ranges (192.0.2.1-20) and names. Ports are written as 22,80,1000-2000,U:53,top-100 (- for all).
It sends only to targets that an authorisation file allows (probe.yaml: fwproof, authorised_by, until, rate, targets, exclude), or that you
say you are allowed to ask (--i-am-authorised). Addresses of the loopback are always allowed.")]
pub(crate) struct Args {
    /// Addresses, prefixes, ranges or names
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// More targets from a file, - for standard input: words, # begins a comment
    #[arg(long = "targets", value_name = "FILE")]
    targets_from: Vec<PathBuf>,
    /// Never ask these, whatever the targets say
    #[arg(long, value_name = "TARGET", value_delimiter = ',')]
    exclude: Vec<String>,
    /// Never ask those of a file
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<PathBuf>,
    /// Which ports [default: top-1000]
    #[arg(short, long, value_name = "PORTS", allow_hyphen_values = true)]
    ports: Option<String>,
    /// Ports without T: or U: before them are UDP ports
    #[arg(long)]
    udp: bool,
    /// Only ask who is there (ICMP echo)
    #[arg(long, conflicts_with_all = ["ports", "udp"])]
    echo_only: bool,
    /// Do not ask for ICMP echoes
    #[arg(long)]
    no_echo: bool,
    /// How: packets of our own (syn: Linux, privileged), the system's connections (connect), or what is possible (auto)
    #[arg(long, default_value = "auto", value_name = "METHOD", value_parser = PossibleValuesParser::new(["auto", "syn", "connect"]))]
    method: String,
    /// Packets a second at most, over all targets [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Packets a second at most to one target
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    target_rate: Option<u64>,
    /// How often silent ports are asked again
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9))]
    retries: u32,
    /// How long to wait for an answer at most, in milliseconds
    #[arg(long, default_value_t = 1500, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout: u64,
    /// Do not ask slowly where a host bounds its ICMP errors: more UDP ports stay undecided
    #[arg(long)]
    impatient: bool,
    /// Who allowed it [default: probe.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// I am allowed to ask these targets
    #[arg(long)]
    i_am_authorised: bool,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Compare with these configurations, and ask only what tells whether reality is as they say
    #[arg(long, value_name = "CONFIG", num_args = 1.., requires = "from", help_heading = "Comparison")]
    expect: Vec<PathBuf>,
    /// Zones are those of this baseline, and its waivers apply
    #[arg(short, long, value_name = "BASELINE", requires = "expect", help_heading = "Comparison")]
    baseline: Option<PathBuf>,
    /// Where this machine is: a zone of the baseline, internet, or an address or prefix
    #[arg(long, value_name = "ZONE|CIDR", requires = "expect", help_heading = "Comparison")]
    from: Option<String>,
    /// The address from which targets see this machine, where it is not its own
    #[arg(long, value_name = "ADDR", requires = "expect", help_heading = "Comparison")]
    source: Option<IpAddr>,
    /// Ask all TCP ports, not only those that tell
    #[arg(long, requires = "expect", conflicts_with = "ports", help_heading = "Comparison")]
    full: bool,
    /// From which severity upwards findings make the exit code 1
    #[arg(long, default_value = "medium", value_name = "SEVERITY", help_heading = "Comparison",
        value_parser = PossibleValuesParser::new(["critical", "high", "medium", "low", "info"]))]
    fail_on: String,
    /// Say what opened or closed since an earlier run (its JSON); what opened makes the exit code 1
    #[arg(long, value_name = "FILE", help_heading = "Comparison")]
    since: Option<PathBuf>,
    /// Join runs from several places (their JSON) instead of sending anything
    #[arg(long, value_name = "NAME=FILE", conflicts_with_all = ["targets", "expect", "since"], help_heading = "Comparison")]
    vantage: Vec<String>,
    /// Format of the results: table, json, xml (as nmap); with --expect also those of fwproof check
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: String,
    /// Write the results to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write nmap's XML to a file besides
    #[arg(long = "oX", value_name = "FILE")]
    xml: Option<PathBuf>,
    /// A line for each port
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    if !args.vantage.is_empty() {
        return join(args, out);
    }
    if !args.expect.is_empty() {
        return expect::run(args, out);
    }
    if !["table", "json", "xml"].contains(&args.format.as_str()) {
        return Err(Failure::usage(format!("--format {}: a plain probe writes table, json or xml; reports need --expect", args.format)));
    }
    let old = args.since.as_ref().map(read).transpose()?;
    let began = jiff::Timestamp::now().as_second();
    let asked = plan::make(args)?;
    if args.dry_run {
        out.write(&asked.words);
        return Ok(0);
    }
    asked.permitted?;
    if !args.reading.quiet {
        output::say(asked.words.trim_end());
    }
    let scan = send(args, &asked.plan, &asked.settings)?;
    let changes = old.map(|old| since::changes(&old, &scan));
    let mut text = match args.format.as_str() {
        "json" => shape::json(&scan),
        "xml" => shape::xml(&scan, &command(), began),
        _ => shape::table(&scan, args.all, &|t| Untrusted(t).to_string()),
    };
    if args.format == "table" {
        text.push_str(&changes.as_deref().map(since::words).unwrap_or_default());
        text.push_str(&shape::summary(&scan));
    } else if let Some(changes) = &changes {
        output::say(since::words(changes).trim_end());
    }
    deliver(args, out, &scan, &text, began)?;
    let opened = changes.is_some_and(|c| c.iter().any(since::Change::opened));
    Ok(told(args, &scan, &asked.unresolved).max(u8::from(opened)))
}

/// Writes the results where they belong.
fn deliver(args: &Args, out: &mut Output, scan: &Scan, text: &str, began: i64) -> Result<(), Failure> {
    match &args.output {
        Some(path) => write(path, text)?,
        None => out.write(text),
    }
    match &args.xml {
        Some(path) => write(path, &shape::xml(scan, &command(), began)),
        None => Ok(()),
    }
}

/// Runs of several places side by side.
fn join(args: &Args, out: &mut Output) -> Outcome {
    let mut views = vantage::Views::new();
    for text in &args.vantage {
        let Some((name, path)) = text.split_once('=').filter(|(n, p)| !n.is_empty() && !p.is_empty()) else {
            return Err(Failure::usage(format!("--vantage {text}: write NAME=FILE, for instance internet=outside.json")));
        };
        if views.insert(Untrusted(name).to_string(), read(&PathBuf::from(path))?).is_some() {
            return Err(Failure::usage(format!("--vantage {text}: there are two of this name")));
        }
    }
    let text = match args.format.as_str() {
        "json" => vantage::json(&views),
        "table" => vantage::table(&views),
        other => return Err(Failure::usage(format!("--format {other}: several places are joined as table or json"))),
    };
    match &args.output {
        Some(path) => write(path, &text)?,
        None => out.write(&text),
    }
    Ok(0)
}

/// The results of an earlier run.
fn read(path: &PathBuf) -> Result<Scan, Failure> {
    let text = fs::read_to_string(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    shape::read_json(&text).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))
}

fn command() -> String {
    std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|e| Failure::usage(format!("{}: the results cannot be written: {e}", path.display())))
}

/// Says what could not be asked, and returns the exit code for it.
fn told(args: &Args, scan: &Scan, unresolved: &[(String, String)]) -> u8 {
    let mut troubles: Vec<String> = unresolved.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    troubles.extend(scan.hosts.iter().filter_map(|h| h.error.as_ref().map(|e| format!("{}: {e}", h.address))));
    if scan.interrupted {
        troubles.push("interrupted: what had not been asked by then is not known".into());
    }
    const SHOWN: usize = 20;
    for text in troubles.iter().take(SHOWN) {
        if args.reading.allow_incomplete { output::warning(text) } else { output::error(text) }
    }
    if troubles.len() > SHOWN {
        output::say(&format!("and {} more targets that could not be asked", troubles.len() - SHOWN));
    }
    if !args.reading.quiet {
        scan.notes.iter().for_each(|n| output::say(&format!("note: {}", Untrusted(n))));
    }
    if troubles.is_empty() || args.reading.allow_incomplete { 0 } else { 3 }
}

/// Sends everything, with a sign of life on a terminal; Ctrl-C ends it with what is known.
fn send(args: &Args, plan: &Plan, settings: &Settings) -> Result<Scan, Failure> {
    let progress = Arc::new(Progress::default());
    let stop = Arc::clone(&progress);
    // The second Ctrl-C ends the program at once.
    let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let trouble = |e: std::io::Error| Failure::usage(format!("the system does not let signals be caught: {e}"));
    let mut ids = Vec::new();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        ids.push(signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag)).map_err(trouble)?);
        ids.push(signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(trouble)?);
    }
    let bar = bar(args.reading.quiet);
    let over = std::sync::atomic::AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if flag.load(Ordering::Relaxed) {
                    stop.stop.store(true, Ordering::Relaxed);
                }
                bar.set_length(progress.planned.load(Ordering::Relaxed));
                bar.set_position(progress.sent.load(Ordering::Relaxed));
                std::thread::park_timeout(Duration::from_millis(50));
            }
        });
        let result = method(args, plan, settings, &progress);
        over.store(true, Ordering::Relaxed);
        result
    });
    bar.finish_and_clear();
    ids.into_iter().for_each(|id| {
        signal_hook::low_level::unregister(id);
    });
    result
}

/// The packets of a run of so many a second, and how long it will take.
fn bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let rate = |state: &ProgressState, w: &mut dyn std::fmt::Write| {
        let _ = write!(w, "{}/s", HumanCount(state.per_sec() as u64));
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} packets, {rate}, {eta} left") {
        bar.set_style(style.with_key("rate", rate));
    }
    bar
}

#[cfg(target_os = "linux")]
fn method(args: &Args, plan: &Plan, settings: &Settings, progress: &Progress) -> Result<Scan, Failure> {
    use crate::probe::raw;
    if args.method == "connect" {
        return Ok(connect::scan(plan, settings, progress));
    }
    let failed = match raw::allowed() {
        Ok(()) => match raw::scan(plan, settings, progress) {
            Ok(scan) => return Ok(scan),
            Err(e) => e,
        },
        Err(e) => e,
    };
    let remedy = "run it as root, or give it the right once: sudo setcap cap_net_raw+ep \"$(command -v fwproof)\"";
    if args.method == "syn" || args.echo_only {
        return Err(Failure::usage(format!("raw packets cannot be sent ({failed}): {remedy}; or use --method connect")));
    }
    if !args.reading.quiet {
        output::say(&format!(
            "note: raw packets cannot be sent ({failed}), so the system's connections are used instead; for raw packets: {remedy}"
        ));
    }
    Ok(connect::scan(plan, settings, progress))
}

#[cfg(not(target_os = "linux"))]
fn method(args: &Args, plan: &Plan, settings: &Settings, progress: &Progress) -> Result<Scan, Failure> {
    if args.method == "syn" || args.echo_only {
        return Err(Failure::usage("raw packets are sent on Linux only: use --method connect"));
    }
    Ok(connect::scan(plan, settings, progress))
}
