//! `fwproof schema`: the JSON Schemas of what people write and of what programs read.

use clap::ValueEnum;

use super::Outcome;
use super::output::Output;
use crate::{report, rulesets};

/// Prints a JSON Schema.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Of what
    #[arg(value_enum, default_value_t = Of::Baseline)]
    of: Of,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Of {
    /// The baseline
    Baseline,
    /// What `check --format json` writes
    Report,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let schema = match args.of {
        Of::Baseline => rulesets::json_schema(),
        Of::Report => report::json::schema(),
    };
    out.write(&(serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"));
    Ok(0)
}
