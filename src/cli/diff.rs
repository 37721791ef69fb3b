//! `fwproof diff`: what two versions of a configuration treat differently.

mod judge;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use rayon::prelude::*;

use super::input::Reading;
use super::output::{self, Output};
use super::revision::{self, Revision};
use super::{Failure, Outcome, baseline};
use crate::eval::compare::Turn;
use crate::model::Device;
use crate::pipeline::Inventory;
use crate::report::{Untrusted, counted};
use crate::rulesets::{self, Intent};
use crate::source::{Limits, Redactor, Sources};
use judge::{Judge, Judged};

/// Says which packets two versions of a configuration treat differently, with one of them and the lines that do it; and what else differs: tunnels,
/// cryptography, administration, logging, translation. A change after which every packet is treated as before is proved to be one.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 no packet is treated differently; 1 some are; 2 bad arguments; 3 something could not be read or judged.\n\
With --intent, or a baseline with `allow-change`: 0 whatever differs is meant; 1 something else does, packets or not.\n\
Devices are compared by name; where each side has one, these two."
)]
pub(crate) struct Args {
    /// The old version: a file or folder (with --git: the only path, within the repository)
    #[arg(value_name = "OLD", required = true)]
    pub old: PathBuf,
    /// The new version
    #[arg(value_name = "NEW", required_unless_present = "git")]
    pub new: Option<PathBuf>,
    /// Compare two revisions of a git repository: BASE..HEAD, as git(1) names them
    #[arg(long, value_name = "BASE..HEAD", conflicts_with = "new")]
    pub git: Option<String>,
    /// An interface that the new version calls otherwise: OLD=NEW, repeatable
    #[arg(long, value_name = "OLD=NEW")]
    pub map: Vec<String>,
    /// What the change is meant to do (`allow-change:`); everything else must stay as it is
    #[arg(long, value_name = "FILE")]
    pub intent: Option<PathBuf>,
    /// Zones and services are those of this baseline, and its `allow-change` counts
    #[arg(short, long, value_name = "BASELINE")]
    pub baseline: Option<PathBuf>,
    /// Format: text, json (one object a line), markdown (for a comment on a pull request)
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = PossibleValuesParser::new(["text", "json", "markdown"]))]
    pub format: String,
    /// As JSON, one object a line
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write to a file instead of standard output; several with their formats: -o markdown=comment.md
    #[arg(short, long, value_name = "[FORMAT=]FILE")]
    pub output: Vec<String>,
    #[command(flatten)]
    pub reading: Reading,
}

const FORMATS: [&str; 3] = ["text", "json", "markdown"];

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let targets = targets(args)?;
    let names = interface_map(&args.map)?;
    let (intents, places) = intents(args)?;
    let judges = args.intent.is_some() || !intents.is_empty();
    let (paths, kept) = match (&args.git, &args.new) {
        (Some(range), _) => {
            let [old, new] = revision::both(range, &args.old)?;
            ([old.path.clone(), new.path.clone()], vec![old, new])
        }
        (None, Some(new)) => ([args.old.clone(), new.clone()], Vec::new()),
        (None, None) => return Err(Failure::usage("a second version is needed: diff OLD NEW, or diff PATH --git BASE..HEAD")),
    };
    let beside: Vec<PathBuf> = args.intent.iter().chain(&args.baseline).cloned().collect();
    let origin = args.baseline.clone().map(baseline::Origin::File);
    let estate = || origin.as_ref().map_or_else(|| Ok(BTreeSet::new()), baseline::Origin::estate);
    let read = |path: &PathBuf| args.reading.read_with_estate(std::slice::from_ref(path), estate, beside.clone());
    // The two versions have nothing to do with each other.
    let (old, new) = rayon::join(|| read(&paths[0]), || read(&paths[1]));
    let (mut old, new) = (old?, new?);
    for device in &mut old.devices {
        device.rename_interfaces(&names);
    }
    let redactors = [old.redactor(), new.redactor()];
    let mut code = args.reading.tell(&old.incomplete, &old.sources, &redactors[0]);
    code = code.max(args.reading.tell(&new.incomplete, &new.sources, &redactors[1]));
    let pairs = pairs(&old, &new);
    if pairs.iter().all(|(a, b)| a.is_none() || b.is_none()) {
        return Err(Failure::Incomplete(vec!["no device is in both versions".into()]));
    }
    let judge = Judge { old: &old, new: &new, redactors: &redactors, intents: &intents };
    let judged: Vec<Judged> = pairs.par_iter().map(|(a, b)| judge.judge(*a, *b)).collect();
    let mut totals = Totals { judges, ..Totals::default() };
    judged.iter().for_each(|j| totals.add(j));
    let used: BTreeSet<usize> = judged.iter().flat_map(|j| j.used.iter().copied()).collect();
    let unused: Vec<String> = (0..intents.len()).filter(|i| !used.contains(i)).map(|i| places[i].clone()).collect();
    totals.unused = unused.len();
    for (format, path) in &targets {
        let text = match *format {
            "json" => judged.iter().map(|j| words::json(j, judges.then_some(&*places))).collect(),
            "markdown" => words::markdown(&judged, &totals, &places, &unused),
            _ => {
                let mut text: String = judged.iter().map(|j| words::text(j, &places)).collect();
                for at in &unused {
                    text.push_str(&format!("what {} means did not happen\n", Untrusted(at)));
                }
                text + &totals.line()
            }
        };
        let text = safe(&text, &redactors, &kept);
        match path {
            None => out.write(&text),
            Some(path) => fs::write(path, &text).map_err(|e| Failure::usage(format!("{}: cannot be written: {e}", path.display())))?,
        }
    }
    if targets.iter().all(|t| t.1.is_some()) && !args.reading.quiet {
        output::say(totals.line().trim_end());
    }
    let limits: Vec<String> = judged.iter().flat_map(|j| j.limits.iter().cloned()).collect();
    let fails = totals.fails();
    // The process is about to end: giving the memory of large configurations back piece by piece would only take time.
    std::mem::forget((judged, old, new));
    if !limits.is_empty() {
        return Err(Failure::Incomplete(limits));
    }
    Ok(code.max(u8::from(fails)))
}

/// Formats with their files; `None`: standard output.
fn targets(args: &Args) -> Result<Vec<(&str, Option<&Path>)>, Failure> {
    let default = if args.json { "json" } else { args.format.as_str() };
    let mut targets = Vec::new();
    for text in &args.output {
        let named = text.split_once('=').and_then(|(id, path)| Some((FORMATS.into_iter().find(|f| *f == id)?, path)));
        let (format, path) = named.unwrap_or((default, text.as_str()));
        if path.is_empty() {
            return Err(Failure::usage(format!("-o {text}: the name of the file is missing")));
        }
        targets.push((format, Some(Path::new(path)).filter(|p| *p != Path::new("-"))));
    }
    if targets.is_empty() {
        targets.push((default, None));
    }
    Ok(targets)
}

/// What the change is meant to do, and where each entry is written.
fn intents(args: &Args) -> Result<(Vec<Intent>, Vec<String>), Failure> {
    let mut sources = Sources::default();
    let baseline = match &args.baseline {
        Some(path) => Some(rulesets::load(&mut sources, path, &Limits::default()).map_err(baseline::failure)?),
        None => None,
    };
    let mut intents = match &args.intent {
        Some(path) => rulesets::load_intents(&mut sources, path, baseline.as_ref(), &Limits::default()).map_err(baseline::failure)?,
        None => Vec::new(),
    };
    intents.extend(baseline.into_iter().flat_map(|b| b.intents));
    let place = |i: &Intent| {
        let file = sources.get(i.span.file);
        format!("{}:{}", file.path, file.place(i.span.start).line)
    };
    let places = intents.iter().map(place).collect();
    Ok((intents, places))
}

/// Without secrets, and with revisions instead of the folders in which they were unpacked.
fn safe(text: &str, redactors: &[Redactor; 2], kept: &[Revision]) -> String {
    let mut text = redactors[1].scrub(&redactors[0].scrub(text));
    for revision in kept {
        text = text.replace(&revision.prefix, &format!("{}:", revision.name));
    }
    text
}

fn interface_map(args: &[String]) -> Result<HashMap<String, String>, Failure> {
    let mut map = HashMap::new();
    for arg in args {
        match arg.split_once('=').filter(|(a, b)| !a.is_empty() && !b.is_empty()) {
            Some((old, new)) => map.insert(old.to_owned(), new.to_owned()),
            None => return Err(Failure::usage(format!("--map {arg}: write OLD=NEW, for instance --map eth0=wan"))),
        };
    }
    Ok(map)
}

type Both<'i> = (Option<&'i Device>, Option<&'i Device>);

/// Devices of one name; where each side has one device, these.
fn pairs<'i>(old: &'i Inventory, new: &'i Inventory) -> Vec<Both<'i>> {
    if let ([a], [b]) = (old.devices.as_slice(), new.devices.as_slice()) {
        return vec![(Some(a), Some(b))];
    }
    let mut by_name: BTreeMap<&str, Both<'i>> = BTreeMap::new();
    for device in &old.devices {
        by_name.entry(&device.name).or_default().0 = Some(device);
    }
    for device in &new.devices {
        by_name.entry(&device.name).or_default().1 = Some(device);
    }
    by_name.into_values().collect()
}

#[derive(Default)]
struct Totals {
    /// Somebody said what is meant.
    judges: bool,
    devices: usize,
    /// Devices whose packets are treated differently.
    different: usize,
    changes: BTreeMap<Turn, usize>,
    other: usize,
    unknown: usize,
    /// Differences that are not meant.
    unmeant: usize,
    /// Entries of the intent of which nothing happened.
    unused: usize,
}

impl Totals {
    fn add(&mut self, judged: &Judged) {
        self.devices += 1;
        self.different += usize::from(!judged.changes.is_empty() || judged.only.is_some());
        self.other += judged.facts.len();
        self.unknown += usize::from(!judged.unknown.is_empty());
        self.unmeant += judged.unmeant() + judged.facts.iter().filter(|f| f.meant.is_none()).count();
        for item in &judged.changes {
            *self.changes.entry(item.turn).or_default() += 1;
        }
    }

    /// Whether it ends with 1. What is not known in part is no proof that everything else is as it was.
    fn fails(&self) -> bool {
        if self.judges { self.unmeant + self.unknown > 0 } else { self.different > 0 }
    }

    fn verdict(&self) -> &'static str {
        match (self.judges, self.fails()) {
            (false, false) => "EQUAL",
            (false, true) => "DIFFERENT",
            (true, false) => "AS MEANT",
            (true, true) => "NOT AS MEANT",
        }
    }

    fn counts(&self) -> String {
        let n = |turn| self.changes.get(&turn).copied().unwrap_or(0);
        let unknown = if self.unknown == 0 { String::new() } else { format!(", {} not known in part", self.unknown) };
        let meant = match (self.judges, self.unused) {
            (false, _) => String::new(),
            (true, 0) => format!(", {} not meant", self.unmeant),
            (true, unused) => format!(", {} not meant, {unused} meant that did not happen", self.unmeant),
        };
        format!(
            "{}, {} newly allowed, {} newly denied, {} translated otherwise, {}{unknown}{meant}",
            counted(self.devices, "device", "devices"),
            n(Turn::Allowed),
            n(Turn::Denied),
            n(Turn::Translated),
            counted(self.other, "other difference", "other differences"),
        )
    }

    fn line(&self) -> String {
        format!("fwproof: {}: {}\n", self.counts(), self.verdict())
    }
}

/// Whether a path lies within the current folder: git names no other.
pub(super) fn is_within(path: &Path) -> bool {
    path.is_relative() && !path.components().any(|c| matches!(c, std::path::Component::ParentDir))
}
