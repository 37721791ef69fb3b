//! `fwproof merge`: the reports of all shares of a run as the report of one run.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use serde::Deserialize;

use super::output::{self, Output};
use super::{Failure, Outcome, baseline, check};
use crate::diag::Severity;
use crate::pipeline::shard::{self, Merged, Share};
use crate::report::{self, View};
use crate::rulesets;
use crate::source::{Limits, Sources};

/// Bytes of a report at most.
const MOST: u64 = 4 << 30;

/// Puts the JSON reports of `fwproof check --shard K/N` together: the report is that of one run, byte for byte.
#[derive(clap::Args, Debug)]
#[command(after_help = "The baseline is read again, and must be the same as when the shares were judged. Waivers are applied here.")]
pub(crate) struct Args {
    /// JSON reports of all shares, in any order
    #[arg(value_name = "REPORT", required = true)]
    reports: Vec<PathBuf>,
    /// Where the baseline is now, if not where it was
    #[arg(short, long, value_name = "BASELINE")]
    baseline: Option<PathBuf>,
    /// Format of the report, as for `fwproof check` [default: text]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Write the report to a file; several with their formats: -o sarif=report.sarif -o html=report.html
    #[arg(short, long, value_name = "[FORMAT=]FILE")]
    output: Vec<String>,
    /// From which severity upwards findings and unknowns make the exit code 1
    #[arg(long, default_value = "medium", value_name = "SEVERITY", value_parser = PossibleValuesParser::new(["critical", "high", "medium", "low", "info"]))]
    fail_on: String,
    /// Only a warning where something could not be read (exit code 3 otherwise)
    #[arg(long)]
    allow_incomplete: bool,
    /// Show every finding
    #[arg(long)]
    all: bool,
    /// No last line where all reports go to files
    #[arg(short, long)]
    quiet: bool,
}

/// What is looked at of a report.
#[derive(Deserialize)]
struct Doc {
    shard: Option<Share>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let targets = check::targets(args.format.as_deref(), &args.output)?;
    let fail_on = Severity::ALL.into_iter().find(|s| s.name() == args.fail_on).unwrap_or(Severity::Medium);
    let shares = args.reports.iter().map(|p| read(p)).collect::<Result<Vec<Share>, Failure>>()?;
    shard::complete(&shares).map_err(Failure::usage)?;
    let named = shares.iter().find_map(|s| s.baseline.clone()).map(PathBuf::from);
    let Some(path) = args.baseline.clone().or(named) else {
        return Err(Failure::usage("which baseline it was is not known: say it with -b"));
    };
    let print = shares.first().map(|s| s.checks()).unwrap_or_default();
    let load = |sources: &mut Sources| rulesets::load(sources, &path, &Limits::default()).map_err(baseline::failure);
    let Merged { inventory, redactor, baseline, mut report } = shard::merge(shares, load)?;
    if baseline.checks.len() != print {
        return Err(Failure::usage(format!("{}: this is not the baseline that the shares were judged against", path.display())));
    }
    if targets.iter().any(|t| t.format.exposure) {
        // It is made of configurations, which are not in the shares.
        report.exposure = None;
    }
    let colors = out.color;
    let mut view = View {
        report: &report,
        sources: &inventory.sources,
        redactor: &redactor,
        fail_on,
        allow_incomplete: args.allow_incomplete,
        all: args.all,
        list_incomplete: false,
        color: false,
        workspace: output::workspace(),
    };
    for i in &report.incomplete {
        let at = i.span.map_or_else(|| i.path.clone(), |s| inventory.sources.locate(s));
        let text = format!("{at}: {}", i.text);
        if args.allow_incomplete { output::warning(&text) } else { output::error(&text) }
    }
    let silent = targets.iter().all(|t| t.path.is_some());
    for target in &targets {
        view.list_incomplete = target.path.is_some();
        view.color = colors && target.path.is_none() && target.format.id == "text";
        out.colored(view.color);
        if let Some(folder) = target.path.filter(|p| p.is_dir() || p.as_os_str().to_string_lossy().ends_with('/')) {
            check::write_folder(folder, target.format, &view)?;
            continue;
        }
        let text = (target.format.render)(&view);
        match target.path {
            None => out.write(&text),
            Some(path) => {
                fs::write(path, &text).map_err(|e| Failure::usage(format!("{}: the report cannot be written: {e}", path.display())))?
            }
        }
    }
    if silent && !args.quiet {
        output::say(&report::last_line(&view));
    }
    Ok(report.conclusion(fail_on, args.allow_incomplete).exit_code())
}

/// The share in a report.
fn read(path: &Path) -> Result<Share, Failure> {
    let wrong = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    file.take(MOST).read_to_string(&mut text).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let doc: Doc = serde_json::from_str(&text).map_err(|e| wrong(format!("is no JSON report of fwproof: {e}")))?;
    doc.shard.ok_or_else(|| wrong("is the report of a whole run, or was not written by `fwproof check --shard K/N --format json`".into()))
}
