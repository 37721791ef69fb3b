//! `fwproof show`: the vendor-neutral model.

use std::path::PathBuf;

use super::Outcome;
use super::input::Reading;
use super::output::Output;
use crate::report::{Lines, show};

/// Shows the vendor-neutral model of what was read: devices, hooks, chains, sets, tunnels.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files or folders of configurations, - for standard input
    #[arg(value_name = "CONFIG", required = true)]
    paths: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let inventory = args.reading.read(&args.paths)?;
    let redactor = inventory.redactor();
    let lines = Lines::new(&inventory.sources, &redactor, &inventory.files);
    let text =
        if args.json { show::json(&inventory.devices, &lines, &redactor) } else { redactor.scrub(&show::text(&inventory.devices, &lines)) };
    out.write(&text);
    Ok(args.reading.tell(&inventory.incomplete, &inventory.sources, &redactor))
}
