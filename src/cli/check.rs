//! `fwproof check`: configurations against a baseline.

mod against;

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use super::input::{self, Reading};
use super::output::{self, Output};
use super::{Failure, Outcome, baseline};
use crate::diag::Severity;
use crate::pipeline::shard::Shard;
use crate::pipeline::{self, fleet};
use crate::report::{self, Lines, View};
use crate::rulesets;

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
    /// Format of the report: concise, csv, github, gitlab, html, json, junit, markdown, sarif, scorecard, text [default: text]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Write the report to a file; several with their formats: -o sarif=report.sarif -o html=report.html
    #[arg(short, long, value_name = "[FORMAT=]FILE")]
    output: Vec<String>,
    /// From which severity upwards findings and unknowns make the exit code 1
    #[arg(long, default_value = "medium", value_name = "SEVERITY", value_parser = PossibleValuesParser::new(["critical", "high", "medium", "low", "info"]))]
    fail_on: String,
    /// Judge as of this day (reviews, waivers, expiries) [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<String>,
    /// Compare with an older version: a file or folder, or a report of it as JSON. Only what is new or worse counts
    #[arg(long, value_name = "OLD", conflicts_with = "against_git")]
    against: Option<PathBuf>,
    /// The same with the paths as they were in a revision of the git repository
    #[arg(long, value_name = "REVISION")]
    against_git: Option<String>,
    /// Findings that are known, as --write-known wrote them: they do not count unless they are worse
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Write all findings that are not waived to a file for --known, and end with 0 if everything was read
    #[arg(long, value_name = "FILE", conflicts_with = "known")]
    write_known: Option<PathBuf>,
    /// Show every finding
    #[arg(long)]
    all: bool,
    /// Judge only a share of the remote workers, the K-th of N; `fwproof merge` puts the JSON reports of all shares together
    #[arg(long, value_name = "K/N", conflicts_with_all = ["against", "against_git", "known", "write_known"])]
    shard: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let targets = targets(args.format.as_deref(), &args.output)?;
    let as_of = input::as_of(args.as_of.as_deref())?;
    let fail_on = Severity::ALL.into_iter().find(|s| s.name() == args.fail_on).unwrap_or(Severity::Medium);
    let paths = baseline::paths(&args.paths, args.baseline.as_deref());
    let before = against::Before::of(args, &paths)?;
    let quiet = args.reading.quiet;
    let origin = baseline::find(args.baseline.as_deref(), &paths, quiet)?;
    // A report of an earlier run is no configuration.
    let mut beside = origin.beside();
    beside.extend(targets.iter().filter_map(|t| t.path.map(Path::to_path_buf)));
    beside.extend(args.known.iter().chain(&args.write_known).chain(&args.against).cloned());
    let shard = args.shard.as_deref().map(shard).transpose()?;
    let fleet::Checked { inventory, redactor, baseline, mut report, mut share } =
        args.reading.check(&paths, &origin, beside, as_of, shard)?;
    if shard.is_some() && share.is_none() {
        return Err(Failure::usage(CANNOT_CUT));
    }
    let progress = args.reading.progress("judging");
    if targets.iter().any(|t| t.format.exposure) {
        report.exposure = Some(pipeline::exposure(&inventory, &baseline, &redactor, as_of, args.reading.jobs));
    }
    progress.finish_and_clear();
    before.compare(args, &origin, as_of, &mut report)?;
    if let Some(path) = &args.write_known {
        let text = rulesets::known_text(&report.past());
        fs::write(path, text).map_err(|e| Failure::usage(format!("{}: cannot be written: {e}", path.display())))?;
    }

    let colors = out.color;
    let mut view = View {
        report: &report,
        sources: &inventory.sources,
        redactor: &redactor,
        fail_on,
        allow_incomplete: args.reading.allow_incomplete,
        all: args.all,
        list_incomplete: false,
        color: false,
        workspace: output::workspace(),
    };
    args.reading.tell(&report.incomplete, &inventory.sources, &redactor);
    let silent = targets.iter().all(|t| t.path.is_some());
    if let Some(share) = &mut share {
        let lines = Lines::new(&inventory.sources, &redactor, &report.files);
        share.baseline = origin.beside().first().map(|p| p.to_string_lossy().into_owned());
        share.cite(&inventory.sources, &|file, line| lines.masked(file, line));
    }
    for target in &targets {
        view.list_incomplete = target.path.is_some();
        view.color = colors && target.path.is_none() && target.format.id == "text";
        out.colored(view.color);
        if let Some(folder) = target.path.filter(|p| p.is_dir() || p.as_os_str().to_string_lossy().ends_with('/')) {
            write_folder(folder, target.format, &view)?;
            continue;
        }
        let mut text = (target.format.render)(&view);
        if let Some(share) = share.as_ref().filter(|_| target.format.id == "json") {
            text = report::json::with_share(&text, share);
        }
        match target.path {
            None => out.write(&text),
            Some(path) => {
                fs::write(path, &text).map_err(|e| Failure::usage(format!("{}: the report cannot be written: {e}", path.display())))?
            }
        }
    }
    if silent && !quiet {
        output::say(&report::last_line(&view));
    }
    let mut code = report.conclusion(fail_on, args.reading.allow_incomplete).exit_code();
    if args.write_known.is_some() && code == 1 {
        code = 0;
    }
    // Of what is read again for its lines alone: the verdict is on what it was, and the lines that are shown may be others.
    for path in inventory.sources.changed() {
        output::say(&format!("error: {}: was changed while it was being checked", redactor.scrub(path)));
        if !args.reading.allow_incomplete {
            code = 3;
        }
    }
    // The process is about to end: giving the memory of a large configuration back piece by piece would only take time.
    std::mem::forget(inventory);
    Ok(code)
}

/// What is said where there is nothing to cut, or where no part can be judged without the others.
const CANNOT_CUT: &str = "--shard: this run cannot be cut: no folder is that of somebody on the roster (`estate: workers: roster:`), or a check looks at all \
                          devices at once, or files include those of another device";

fn shard(text: &str) -> Result<Shard, Failure> {
    Shard::parse(text).ok_or_else(|| Failure::usage(format!("--shard {text}: write which share of how many, for instance 3/16")))
}

/// Writes a report that consists of files into a folder.
pub(super) fn write_folder(folder: &Path, format: &report::ReportFormat, view: &View<'_>) -> Result<(), Failure> {
    let failed = |path: &Path, e: std::io::Error| Failure::usage(format!("{}: the report cannot be written: {e}", path.display()));
    let Some(files) = format.files else {
        return Err(Failure::usage(format!("{}: the format {} is one file, and this is a folder", folder.display(), format.id)));
    };
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    for (name, text) in files(view) {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

/// A report to write: its format, and the file; `None`: standard output.
pub(super) struct Target<'a> {
    pub format: &'static report::ReportFormat,
    pub path: Option<&'a Path>,
}

/// `-o FILE` writes the format of `--format`; `-o FORMAT=FILE` another one besides. Without the former it goes to standard output, unless only
/// the latter are there.
pub(super) fn targets<'a>(format: Option<&str>, outputs: &'a [String]) -> Result<Vec<Target<'a>>, Failure> {
    let default = report_format(format.unwrap_or("text"))?;
    let mut targets = Vec::new();
    for text in outputs {
        let named = text.split_once('=').and_then(|(id, path)| Some((report::FORMATS.iter().find(|f| f.id == id)?, path)));
        let (format, path) = named.unwrap_or((default, text.as_str()));
        if path.is_empty() {
            return Err(Failure::usage(format!("-o {text}: the name of the file is missing")));
        }
        targets.push(Target { format, path: Some(Path::new(path)).filter(|p| *p != Path::new("-")) });
    }
    let first = targets.iter().any(|t| std::ptr::eq(t.format, default));
    if targets.is_empty() || (format.is_some() && !first) {
        targets.push(Target { format: default, path: None });
    }
    Ok(targets)
}

fn report_format(id: &str) -> Result<&'static report::ReportFormat, Failure> {
    report::FORMATS.iter().find(|f| f.id == id).ok_or_else(|| {
        let ids = report::FORMATS.iter().map(|f| f.id);
        let available = ids.clone().collect::<Vec<_>>().join(", ");
        let hint = match crate::checks::body::nearest(id, ids) {
            Some(near) => format!("; did you mean \"{near}\"?"),
            None => String::new(),
        };
        Failure::usage(format!("--format {id}: there is no such format (this version writes {available}){hint}"))
    })
}
