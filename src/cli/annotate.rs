//! `fwproof annotate`: files printed back, with what was made of each line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Outcome;
use super::input::Reading;
use super::output::Output;
use crate::eval::fates::Fate;
use crate::eval::{Analysis, Line};
use crate::pipeline::Inventory;
use crate::report::{Lines, annotate};
use crate::source::{FileId, Limits};

/// Prints files back, each line with its state: understood, irrelevant, not modelled, unsupported, unrecognised.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files or folders of configurations, - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Only how many lines are in each state, a line for each file
    #[arg(long)]
    summary: bool,
    /// The summary as JSON, an object a line, with the notes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let inventory = args.reading.read(&args.paths)?;
    let redactor = inventory.redactor();
    let lines = Lines::new(&inventory.sources, &redactor, &inventory.files);
    let fates = if args.summary || args.json { BTreeMap::new() } else { fates(&inventory) };
    for file in &inventory.files {
        let text = if args.json {
            annotate::summary_json(file, &lines)
        } else if args.summary {
            annotate::summary_line(file, &lines)
        } else if file.format.is_some() {
            annotate::lines(file, &lines, fates.get(&file.file).unwrap_or(&BTreeMap::new())) + "\n"
        } else {
            continue;
        };
        out.write(&redactor.scrub(&text));
    }
    Ok(args.reading.tell(&inventory.incomplete, &inventory.sources, &redactor))
}

/// What becomes of rules that do nothing, by file and 0-based line.
fn fates(inventory: &Inventory) -> BTreeMap<FileId, BTreeMap<usize, String>> {
    let mut out: BTreeMap<FileId, BTreeMap<usize, String>> = BTreeMap::new();
    for device in inventory.devices.iter().filter(|d| d.has_filter()) {
        let analysis = Analysis::new(device, &[], &Limits::default());
        let Ok(all) = analysis.fates() else { continue };
        for (line, fate) in all {
            let rule = line.rule.and_then(|r| device.chains.get(line.chain.0 as usize)?.rules.get(r as usize));
            if rule.is_some_and(|r| r.implied.is_some()) {
                continue;
            }
            let own = analysis.span(*line).map(|s| s.file);
            let names = |by: &[Line]| {
                let shown = by.iter().take(4).map(|l| match analysis.span(*l) {
                    Some(s) if Some(s.file) == own => format!("line {}", inventory.sources.get(s.file).place(s.start).line),
                    Some(s) => format!("{}:{}", inventory.sources.get(s.file).path, inventory.sources.get(s.file).place(s.start).line),
                    None => analysis.line_words(*l),
                });
                let mut shown: Vec<String> = shown.collect();
                // One line may be several rules.
                shown.dedup();
                shown.join(", ")
            };
            let text = match fate {
                Fate::Live => continue,
                Fate::Shadowed(by) => format!("never applies: its packets are taken by {}", names(by)),
                Fate::Redundant(by) if by.is_empty() => "changes nothing: without it the end of the chain would do the same".into(),
                Fate::Redundant(by) => format!("changes nothing: without it {} would do the same", names(by)),
                Fate::Empty => "never applies: no packet can match it here".into(),
                Fate::Uncalled => "never applies: nothing calls its chain".into(),
                Fate::Undecided => "whether it ever applies could not be decided within the bound".into(),
            };
            if let Some(span) = analysis.span(*line) {
                out.entry(span.file).or_default().insert(inventory.sources.get(span.file).line_index(span.start), text);
            }
        }
    }
    out
}
