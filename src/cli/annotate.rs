//! `fwproof annotate`: files printed back, with what was made of each line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Outcome;
use super::input::Reading;
use super::output::Output;
use crate::report::{Lines, annotate};

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
    let inventory = args.reading.read(&args.paths, BTreeSet::new(), Vec::new())?;
    let redactor = inventory.redactor();
    let lines = Lines::new(&inventory.sources, &redactor, &inventory.files);
    for file in &inventory.files {
        let text = if args.json {
            annotate::summary_json(file, &lines)
        } else if args.summary {
            annotate::summary_line(file, &lines)
        } else if file.format.is_some() {
            annotate::lines(file, &lines, &BTreeMap::new()) + "\n"
        } else {
            continue;
        };
        out.write(&redactor.scrub(&text));
    }
    Ok(args.reading.tell(&inventory.incomplete, &inventory.sources, &redactor))
}
