//! Process controls: they hold by somebody's word.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use super::dates::{Duration, date, days_between};
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, body};
use crate::diag::{Finding, Label, Verdict};

/// The kind.
pub static ATTEST: Kind = Kind { id: "attest", page: include_str!("attest.md"), parse, schema: body::schema_of::<Body> };

/// Who vouches for it and until when. Empty: the baseline that uses the ruleset must attest it under the same id.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Who vouches for it.
    owner: Option<String>,
    /// A file, or an address (which is not fetched).
    evidence: Option<String>,
    /// The day of the last review: `2026-09-01`.
    reviewed: Option<String>,
    /// How often it must be reviewed: `12 months`.
    every: Option<String>,
}

/// Somebody's word for a process control.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// Who vouches for it.
    pub owner: String,
    /// A file, or an address.
    pub evidence: String,
    /// The evidence is a file, and it is not there.
    pub evidence_missing: bool,
    /// The day of the last review.
    pub reviewed: Date,
    /// How often it must be reviewed.
    pub every: Duration,
}

fn parse(value: &serde_yaml::Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = body::read(value)?;
    let (Some(owner), Some(evidence), Some(reviewed), Some(every)) = (&body.owner, &body.evidence, &body.reviewed, &body.every) else {
        if body.owner.is_none() && body.evidence.is_none() && body.reviewed.is_none() && body.every.is_none() {
            return Ok(Box::new(Attest(None)));
        }
        let message = "needs all of owner, evidence, reviewed and every (or none of them, in a ruleset)".to_owned();
        return Err(BodyError { path: String::new(), message });
    };
    attestation(owner, evidence, reviewed, every).map(|a| Box::new(Attest(Some(a))) as Box<dyn Check>)
}

/// Reads an attestation from its texts. Whether the evidence is there is for the caller to say.
///
/// # Errors
/// A date or length of time that is none, a name that is empty, with the key as the path.
pub fn attestation(owner: &str, evidence: &str, reviewed: &str, every: &str) -> Result<Attestation, BodyError> {
    let wrong = |path: &str, message: String| BodyError { path: path.to_owned(), message };
    for (key, text) in [("owner", owner), ("evidence", evidence)] {
        if text.trim().is_empty() {
            return Err(wrong(key, "is empty".into()));
        }
    }
    Ok(Attestation {
        owner: owner.to_owned(),
        evidence: evidence.to_owned(),
        evidence_missing: false,
        reviewed: date(reviewed)
            .ok_or_else(|| wrong("reviewed", format!("{} is no date: write it as 2026-09-01", body::quote(reviewed))))?,
        every: Duration::parse(every)
            .ok_or_else(|| wrong("every", format!("{} is no length of time: write it as 12 months", body::quote(every))))?,
    })
}

/// The check: an attestation, or the want of one.
pub struct Attest(pub Option<Attestation>);

impl Check for Attest {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Once
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome { considered: vec![spec.id.clone()], attested: true, ..Outcome::default() };
        let mut overdue = |message: String, fix: String| {
            let mut finding = Finding::new(message, Label::new(spec.span, ""));
            finding.verdict = Verdict::Overdue;
            finding.fix = Some(fix);
            outcome.findings.push(finding.about(spec.id.as_str()));
        };
        let Some(a) = &self.0 else {
            overdue(
                format!("nobody vouches for it: the baseline has no attestation {}", spec.id),
                format!("Under `attestations:` add `id: {}` with owner, evidence, reviewed and every.", spec.id),
            );
            return outcome;
        };
        if a.evidence_missing {
            overdue(
                format!("the evidence {} is not there", a.evidence),
                "Put the document where the baseline says, or name the right one.".into(),
            );
        }
        let due = a.every.after(a.reviewed);
        if a.reviewed > world.as_of {
            overdue(format!("the review on {} lies in the future", a.reviewed), "Write the day of the last review that took place.".into());
        } else if due < world.as_of {
            let days = days_between(due, world.as_of);
            let plural = if days == 1 { "day" } else { "days" };
            overdue(
                format!("the review was due on {due}, {days} {plural} ago"),
                format!("{} reviews {} and sets `reviewed:` to that day.", a.owner, a.evidence),
            );
        }
        outcome
    }
}
