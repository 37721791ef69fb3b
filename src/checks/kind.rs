//! What a kind of check is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::World;
use super::body::{quote, suggestion};
use crate::diag::{Finding, Severity};
use crate::source::Span;

/// A kind of check: an analysis that checks of a baseline or ruleset instantiate. In YAML a check names its kind by the
/// key that holds its body: `flow: { … }`.
pub struct Kind {
    /// Kebab-case id, for ever; the YAML key.
    pub id: &'static str,
    /// Its page in Markdown: what it does, its fields, examples (which are run as its tests).
    pub page: &'static str,
    /// Reads the body of a check of this kind.
    pub parse: ParseFn,
    /// JSON Schema of the body.
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

/// Reads the body of a check.
pub type ParseFn = fn(&serde_yaml::Value, &Names) -> Result<Box<dyn Check>, BodyError>;

/// Names that a check's body may refer to.
#[derive(Default, Debug)]
pub struct Names {
    /// Zones of the baseline.
    pub zones: BTreeSet<String>,
    /// Services of the baseline and the built-in ones.
    pub services: BTreeSet<String>,
    /// Devices that `estate:` names; others may exist.
    pub devices: BTreeSet<String>,
}

impl Names {
    /// Makes sure that a zone exists. `path` is where its name stands in the body.
    ///
    /// # Errors
    /// It does not, with "did you mean".
    pub fn zone(&self, name: &str, path: &str) -> Result<(), BodyError> {
        known("zone", name, &self.zones, path)
    }

    /// Makes sure that a service exists. `path` is where its name stands in the body.
    ///
    /// # Errors
    /// It does not, with "did you mean".
    pub fn service(&self, name: &str, path: &str) -> Result<(), BodyError> {
        known("service", name, &self.services, path)
    }
}

fn known(what: &str, name: &str, names: &BTreeSet<String>, path: &str) -> Result<(), BodyError> {
    if names.contains(name) {
        return Ok(());
    }
    let message = format!("there is no {what} {}{}", quote(name), suggestion(name, names.iter().map(String::as_str)));
    Err(BodyError { path: path.to_owned(), message })
}

/// A body that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BodyError {
    /// Where in the body, as steps of keys and indices: `only[0].from[1]`. Empty for the body itself. A colon at the end means
    /// the key rather than its value.
    pub path: String,
    /// What is wrong, with "did you mean" where something is near.
    pub message: String,
}

/// What all checks have in common.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Id: words, never numbers, for ever.
    pub id: String,
    /// What must hold, as a sentence.
    pub title: String,
    /// How bad it is when it does not.
    pub severity: Severity,
    /// Why it matters.
    pub why: String,
    /// How to fix it.
    pub fix: String,
    /// Controls that it answers.
    pub refs: Vec<String>,
    /// Devices (names, or `*` patterns) it is about; empty: all that the kind applies to.
    pub on: Vec<String>,
    /// Where the check is written (baseline or shipped ruleset): findings about what is missing point here.
    pub span: Span,
}

/// A check, ready to run.
pub trait Check: Send + Sync {
    /// Judges it. Must not depend on anything but its arguments, and must give the same answer every time.
    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome;

    /// What it must see at once. A check of which this is not known for sure leaves it as it is.
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Everything
    }

    /// Names of the zones that it protects, for summaries.
    fn zones(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a check must see at once. A fleet of remote workers is read a few devices at a time, so that memory does not grow with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Each device by itself, with the people who have it, and at most the devices that are no worker's and the tunnels that serve others:
    /// what is found of several devices is what is found of each.
    Device,
    /// Nothing of any worker's device.
    Once,
    /// Names, hosts, files and tunnels of all devices, whatever else they have.
    Tunnels,
    /// All devices, whole.
    Everything,
}

/// What came of a check.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Findings; `check` and `severity` need not be filled in.
    pub findings: Vec<Finding>,
    /// Names of what was judged (devices, people …). Empty: there was nothing to check, which is `unknown`.
    pub considered: Vec<String>,
    /// Names of devices that the check is about and whose exports are of formats that never show what it asks (how a device is
    /// administered, say). They are said, and not counted as judged. If nothing was considered and there are some of these, the check is
    /// not applicable: neither held nor unknown.
    pub inapplicable: Vec<String>,
    /// Whether the names in `inapplicable` are only to be said if nothing was considered.
    pub inapplicable_if_alone: bool,
    /// A process control: holds by somebody's word.
    pub attested: bool,
    /// Something that keeps the analysis from being complete (a bound was hit), as a sentence.
    pub incomplete: Vec<String>,
}
