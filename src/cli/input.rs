//! Arguments that say what to read, and reading it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;

use super::baseline::Origin;
use super::{Failure, output};
use crate::checks::body::suggestion;
use crate::diag::{FileReport, Incomplete};
use crate::pipeline::shard::Shard;
use crate::pipeline::{self, Inventory, Options, fleet};
use crate::report::{self, Untrusted};
use crate::source::{Redactor, Sources};
use crate::vendors;

/// What to read and how.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct Reading {
    /// The format of a file, where it cannot be told: PATH=ID as `fwproof formats` lists them
    #[arg(long, value_name = "PATH=ID")]
    pub format_of: Vec<String>,
    /// Number of threads [default: one per processor]
    #[arg(short, long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    pub jobs: usize,
    /// Only a warning where something could not be read (exit code 3 otherwise)
    #[arg(long)]
    pub allow_incomplete: bool,
    /// No progress, no remarks
    #[arg(short, long)]
    pub quiet: bool,
}

impl Reading {
    fn formats(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut map = BTreeMap::new();
        for arg in &self.format_of {
            let Some((path, id)) = arg.rsplit_once('=').filter(|(p, id)| !p.is_empty() && !id.is_empty()) else {
                return Err(Failure::usage(format!("--format-of {arg}: write PATH=ID, for instance --format-of edge.txt=iptables")));
            };
            if vendors::format(id).is_none() {
                let hint = suggestion(id, vendors::FORMATS.iter().map(|f| f.id));
                return Err(Failure::usage(format!("--format-of {arg}: there is no format {id} (`fwproof formats` lists them){hint}")));
            }
            let path = if path == "-" { "<stdin>" } else { path.strip_prefix("./").unwrap_or(path) };
            map.insert(path.to_owned(), id.to_owned());
        }
        Ok(map)
    }

    /// Reads `paths`. Remarks are said on standard error; what could not be read is not yet ([`tell`]).
    pub fn read(&self, paths: &[PathBuf]) -> Result<Inventory, Failure> {
        self.read_with_estate(paths, || Ok(BTreeSet::new()), Vec::new())
    }

    /// The same, for a baseline that knows devices by name and has files of its own. What is wrong with the baseline is all that is said then.
    pub fn read_with_estate(
        &self,
        paths: &[PathBuf],
        estate: impl FnOnce() -> Result<BTreeSet<String>, Failure> + Send,
        beside: Vec<PathBuf>,
    ) -> Result<Inventory, Failure> {
        let options = self.options(beside)?;
        let progress = self.progress("reading");
        let inventory = pipeline::read_with_estate(paths, &options, estate);
        progress.finish_and_clear();
        let inventory = inventory?;
        self.read_all_named(&options, &inventory.files, &inventory)?;
        Ok(inventory)
    }

    /// Reads `paths` and judges what is there, a fleet of workers a few at a time. `beside`: files that belong to the baseline, and to earlier runs.
    /// What is wrong with the baseline is all that is said then.
    pub fn check(
        &self,
        paths: &[PathBuf],
        origin: &Origin,
        beside: Vec<PathBuf>,
        as_of: Date,
        shard: Option<Shard>,
    ) -> Result<fleet::Checked, Failure> {
        let options = Options { shard, ..self.options(beside)? };
        let progress = self.progress("reading");
        let said = AtomicBool::new(false);
        let load = |sources: &mut Sources| origin.load(sources, self.quiet || said.swap(true, Ordering::Relaxed));
        let checked = fleet::check(paths, &options, load, as_of, &|done, of| {
            progress.set_message(format!("{done} of {of} workers' folders"));
        });
        progress.finish_and_clear();
        let checked = checked?;
        self.read_all_named(&options, &checked.report.files, &checked.inventory)?;
        Ok(checked)
    }

    fn options(&self, beside: Vec<PathBuf>) -> Result<Options, Failure> {
        Ok(Options { format_of: self.formats()?, beside, threads: self.jobs, ..Options::default() })
    }

    /// Makes sure that all files were read of which the user says the format, and says what there is to remark.
    fn read_all_named(&self, options: &Options, files: &[FileReport], inventory: &Inventory) -> Result<(), Failure> {
        for path in options.format_of.keys() {
            let known =
                files.iter().any(|f| inventory.sources.path(f.file) == path) || inventory.incomplete.iter().any(|i| i.path == *path);
            if !known {
                return Err(Failure::usage(format!("--format-of {path}: no such file was read; write its path as it is shown")));
            }
        }
        if !self.quiet {
            self.remark(inventory);
        }
        Ok(())
    }

    fn remark(&self, inventory: &Inventory) {
        const SHOWN: usize = 5;
        for (path, text) in inventory.remarks.iter().take(SHOWN) {
            output::say(&format!("note: {}: {}", Untrusted(path), Untrusted(text)));
        }
        if inventory.remarks.len() > SHOWN {
            let more = report::counted(inventory.remarks.len() - SHOWN, "more file", "more files");
            output::say(&format!("note: and {more} in no format that is recognised (annotate --summary lists all)"));
        }
        if inventory.passed_over > 0 {
            let other = report::counted(inventory.passed_over, "other file was", "other files were");
            output::say(&format!("note: {other} passed over by name (documents, tables, pictures, certificates)"));
        }
    }

    /// A sign of life on a terminal.
    pub fn progress(&self, what: &'static str) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        // Draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// Says what could not be read, and returns the exit code for it: 3, or 0 if that is allowed or there is nothing.
    pub fn tell(&self, incomplete: &[Incomplete], sources: &Sources, redactor: &Redactor) -> u8 {
        for i in incomplete {
            let at = i.span.map_or_else(|| i.path.clone(), |s| sources.locate(s));
            let text = redactor.scrub(&format!("{at}: {}", i.text));
            if self.allow_incomplete {
                output::warning(&text);
            } else {
                output::error(&text);
            }
        }
        if incomplete.is_empty() || self.allow_incomplete { 0 } else { 3 }
    }
}

/// The day as of which to judge: the argument, else `SOURCE_DATE_EPOCH` (seconds since 1970, for repeatable runs), else today in UTC.
pub(crate) fn as_of(arg: Option<&str>) -> Result<Date, Failure> {
    if let Some(text) = arg {
        return text.parse().map_err(|_| Failure::usage(format!("--as-of {text}: write a day as YYYY-MM-DD, for instance 2026-09-01")));
    }
    let utc = |t: jiff::Timestamp| t.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => {
            let time = text.parse::<i64>().ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
            time.map(utc).ok_or_else(|| Failure::usage(format!("SOURCE_DATE_EPOCH is {text}: it must be a number of seconds since 1970")))
        }
        _ => Ok(utc(jiff::Timestamp::now())),
    }
}

/// The folders among the paths, in order.
pub(crate) fn folders(paths: &[PathBuf]) -> Vec<&Path> {
    let mut folders: Vec<&Path> = paths.iter().map(PathBuf::as_path).filter(|p| p.is_dir()).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}
