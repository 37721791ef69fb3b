//! `fwproof check`: configurations against a baseline.

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use super::input::{self, Reading};
use super::output::{self, Output};
use super::{Failure, Outcome, baseline};
use crate::diag::Severity;
use crate::pipeline;
use crate::report::{self, View};

/// Checks what is at PATH (files, folders, - for standard input) against a baseline.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Without -b, baseline.yaml or fwproof.yaml of a given folder is used; without one, the shipped rulesets that need none.\n\
Without PATH, the folder of the baseline is checked, or the current folder."
)]
pub(crate) struct Args {
    /// Files or folders of configurations, - for standard input
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What must hold
    #[arg(short, long, value_name = "BASELINE")]
    baseline: Option<PathBuf>,
    /// Format of the report
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: String,
    /// Write the report to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// From which severity upwards findings and unknowns make the exit code 1
    #[arg(long, default_value = "medium", value_name = "SEVERITY", value_parser = PossibleValuesParser::new(["critical", "high", "medium", "low", "info"]))]
    fail_on: String,
    /// Judge as of this day (reviews, waivers, expiries) [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<String>,
    /// Show every finding
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let format = report_format(&args.format)?;
    let as_of = input::as_of(args.as_of.as_deref())?;
    let fail_on = Severity::ALL.into_iter().find(|s| s.name() == args.fail_on).unwrap_or(Severity::Medium);
    let paths = paths(args);
    let quiet = args.reading.quiet;
    let origin = baseline::find(args.baseline.as_deref(), &paths, quiet)?;
    let mut inventory = args.reading.read_with_estate(&paths, || origin.estate(), origin.beside())?;
    let redactor = inventory.redactor();
    let baseline = origin.load(&mut inventory.sources, quiet)?;
    let progress = args.reading.progress("judging");
    let report = pipeline::check(&inventory, &baseline, &redactor, as_of, args.reading.jobs);
    progress.finish_and_clear();

    let to_file = args.output.as_deref().filter(|p| *p != Path::new("-"));
    if to_file.is_some() {
        out.plain();
    }
    let view = View {
        report: &report,
        sources: &inventory.sources,
        redactor: &redactor,
        fail_on,
        allow_incomplete: args.reading.allow_incomplete,
        all: args.all,
        list_incomplete: to_file.is_some(),
        color: out.color,
        workspace: output::workspace(),
    };
    let text = (format.render)(&view);
    args.reading.tell(&report.incomplete, &inventory.sources, &redactor);
    match to_file {
        None => out.write(&text),
        Some(path) => {
            fs::write(path, &text).map_err(|e| Failure::usage(format!("{}: the report cannot be written: {e}", path.display())))?;
            if !quiet {
                output::say(&report::last_line(&view));
            }
        }
    }
    let code = report.conclusion(fail_on, args.reading.allow_incomplete).exit_code();
    // The process is about to end: giving the memory of a large configuration back piece by piece would only take time.
    std::mem::forget(inventory);
    Ok(code)
}

fn report_format(id: &str) -> Result<&'static report::ReportFormat, Failure> {
    if let Some(format) = report::FORMATS.iter().find(|f| f.id == id) {
        return Ok(format);
    }
    let available: Vec<&str> = report::FORMATS.iter().map(|f| f.id).collect();
    let available = available.join(", ");
    Err(Failure::usage(match report::PLANNED.contains(&id) {
        true => format!("--format {id}: not in this version, which writes {available}"),
        false => {
            let hint = crate::checks::body::suggestion(id, report::FORMATS.iter().map(|f| f.id));
            format!("--format {id}: there is no such format (this version writes {available}){hint}")
        }
    }))
}

fn paths(args: &Args) -> Vec<PathBuf> {
    if !args.paths.is_empty() {
        return args.paths.clone();
    }
    let beside = args.baseline.as_deref().and_then(Path::parent).filter(|p| !p.as_os_str().is_empty());
    vec![beside.unwrap_or(Path::new(".")).to_path_buf()]
}
