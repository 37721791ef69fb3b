//! `fwproof schema`: the JSON Schema of the baseline.

use super::Outcome;
use super::output::Output;
use crate::rulesets;

pub(crate) fn run(out: &mut Output) -> Outcome {
    out.write(&(serde_json::to_string_pretty(&rulesets::json_schema()).unwrap_or_default() + "\n"));
    Ok(0)
}
