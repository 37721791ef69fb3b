//! `fwproof reach`: all packets that pass.

use std::path::PathBuf;

use super::input::Reading;
use super::output::Output;
use super::{Failure, Outcome};

/// Lists all packets that pass, as few boxes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files or folders of configurations, - for standard input
    #[arg(value_name = "CONFIG", required = true)]
    pub paths: Vec<PathBuf>,
    /// Only packets from here: a zone of the baseline, or an address or prefix
    #[arg(long, value_name = "ZONE|CIDR")]
    pub from: Option<String>,
    /// Only packets to there
    #[arg(long, value_name = "ZONE|CIDR")]
    pub to: Option<String>,
    /// Only packets of this service: a name, or tcp/443
    #[arg(long)]
    pub service: Option<String>,
    /// Only packets to (input), through (forward) or from (output) the device
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(["input", "forward", "output"]))]
    pub hook: Option<String>,
    /// Zones and services are those of this baseline
    #[arg(short, long, value_name = "BASELINE")]
    pub baseline: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub reading: Reading,
}

pub(crate) fn run(_: &Args, _: &mut Output) -> Outcome {
    Err(Failure::usage("reach: not yet"))
}
