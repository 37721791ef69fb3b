//! Findings, verdicts, and the finished report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Comparison, Exposure, LineState, Note, Severity, Standing};
use crate::source::{FileId, Span};

/// The answer to a check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No format of the devices that were read shows what is asked, or none of them has it: nothing is claimed.
    #[serde(rename = "not-applicable")]
    NotApplicable,
    /// Proved for every packet and every subject.
    Holds,
    /// A process control whose evidence is named and whose review is in time.
    Attested,
    /// A process control whose review is overdue or that names no evidence.
    Overdue,
    /// It could turn on something that was not understood, or there was nothing to check.
    Unknown,
    /// Not so, with witnesses.
    Violated,
}

impl Verdict {
    /// Lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::NotApplicable => "not-applicable",
            Verdict::Holds => "holds",
            Verdict::Attested => "attested",
            Verdict::Overdue => "overdue",
            Verdict::Unknown => "unknown",
            Verdict::Violated => "violated",
        }
    }
}

/// A place with a few words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What about it; may be empty.
    pub text: String,
}

impl Label {
    /// A label.
    pub fn new(span: Span, text: impl Into<String>) -> Label {
        Label { span, text: text.into() }
    }
}

/// A concrete packet that shows a finding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Witness {
    /// In words: "TCP from 203.0.113.7 port 40000 to 10.20.0.10 port 5432, arriving on eth0, new connection".
    pub words: String,
    /// As a line of `trace --packets`: a JSON object.
    pub packet: String,
    /// The rules that it passed, in order, the deciding one last.
    pub path: Vec<Label>,
    /// The opaque conditions that must hold (or, with a leading "not", must not) for it: `recent --name ssh`.
    pub conditions: Vec<String>,
}

/// A check that does not hold, at a place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the check.
    pub check: String,
    /// Severity of the check.
    pub severity: Severity,
    /// [`Verdict::Violated`], [`Verdict::Unknown`] or [`Verdict::Overdue`].
    pub verdict: Verdict,
    /// The device it is about, if one.
    pub device: Option<String>,
    /// One sentence: what is wrong, with names and numbers.
    pub message: String,
    /// The place. A finding about something that is missing points at where it was asked for (the baseline).
    pub primary: Label,
    /// Other places that belong to it (the rules that shadow this one).
    pub related: Vec<Label>,
    /// The packet that shows it.
    pub witness: Option<Witness>,
    /// For unknown: what was not understood, or what is missing.
    pub causes: Vec<Label>,
    /// What to do here, if more can be said than the check's own advice.
    pub fix: Option<String>,
    /// What it is about, stable against moved lines: rule text, peer name, service. Part of its fingerprint.
    pub subject: String,
    /// What tells it from others where `subject` does not: the whole rule, without what moves. Empty: `subject` does.
    pub identity: String,
    /// How many places of the same kind this one stands for (1, or more when equal findings were grouped).
    pub count: u32,
    /// The waiver that accepts it, if any: "reason (owner, until date)".
    pub waived: Option<String>,
    /// How it stands to what was there before; `None`: that was not asked.
    pub standing: Option<Standing>,
}

/// What the finding of a check is about that had nothing to look at.
const NOTHING: &str = "nothing to check";

impl Finding {
    /// A violated finding with nothing but what it must have; `check` and `severity` are filled in from the check.
    pub fn new(message: impl Into<String>, primary: Label) -> Finding {
        Finding {
            check: String::new(),
            severity: Severity::Medium,
            verdict: Verdict::Violated,
            device: None,
            message: message.into(),
            primary,
            related: Vec::new(),
            witness: None,
            causes: Vec::new(),
            fix: None,
            subject: String::new(),
            count: 1,
            identity: String::new(),
            waived: None,
            standing: None,
        }
    }

    /// The finding of a check that had nothing to look at, `place` being the check: that is no success.
    pub fn about_nothing(place: Label) -> Finding {
        let message = "there was nothing to check: no device or person that was read is concerned";
        Finding::unknown(message, place, vec![]).about(NOTHING)
    }

    /// Whether it is [`Finding::about_nothing`].
    pub fn is_about_nothing(&self) -> bool {
        self.subject == NOTHING && self.verdict == Verdict::Unknown
    }

    /// An unknown finding: what it could turn on.
    pub fn unknown(message: impl Into<String>, primary: Label, causes: Vec<Label>) -> Finding {
        Finding { verdict: Verdict::Unknown, causes, ..Finding::new(message, primary) }
    }

    /// The same, about a device.
    pub fn on(mut self, device: &str) -> Finding {
        self.device = Some(device.to_owned());
        self
    }

    /// The same, told from others by more than its subject.
    pub fn told_by(mut self, identity: impl Into<String>) -> Finding {
        self.identity = identity.into();
        self
    }

    /// The same, about a subject.
    pub fn about(mut self, subject: impl Into<String>) -> Finding {
        self.subject = subject.into();
        self
    }
}

/// A check with its answer.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// Id.
    pub id: String,
    /// Title: what must hold, as a sentence.
    pub title: String,
    /// Severity.
    pub severity: Severity,
    /// Kind id.
    pub kind: &'static str,
    /// The ruleset it came from; `None` for the user's own.
    pub ruleset: Option<String>,
    /// Why it matters.
    pub why: String,
    /// How to fix it.
    pub fix: String,
    /// Controls that it answers: `cyber-essentials/firewalls-3`.
    pub refs: Vec<String>,
    /// The worst of its findings; [`Verdict::Holds`] only if something was looked at.
    pub verdict: Verdict,
    /// Names of what it was judged on: devices, people, attestations.
    pub considered: Vec<String>,
    /// Names of devices that it is about and whose exports never show what it asks.
    pub inapplicable: Vec<String>,
    /// Names of the zones that it protects.
    pub zones: Vec<String>,
    /// Its findings, sorted.
    pub findings: Vec<Finding>,
}

/// One file of the run, as it was read.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file.
    pub file: FileId,
    /// Format id; `None` when no format was recognised.
    pub format: Option<&'static str>,
    /// The device it belongs to.
    pub device: Option<String>,
    /// State of each line.
    pub lines: Vec<LineState>,
    /// What was not fully understood.
    pub notes: Vec<Note>,
}

impl FileReport {
    /// How many lines are in each state.
    pub fn counts(&self) -> BTreeMap<LineState, usize> {
        let mut counts: BTreeMap<LineState, usize> = LineState::ALL.iter().map(|s| (*s, 0)).collect();
        for state in &self.lines {
            *counts.entry(*state).or_default() += 1;
        }
        counts
    }
}

/// Why an analysis is incomplete: exit code 3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Incomplete {
    /// The file, where one is to blame: its path.
    pub path: String,
    /// Where in it, if it was read.
    pub span: Option<Span>,
    /// One sentence; with what to do.
    pub text: String,
}

/// A device of somebody who works outside the office, as the roster has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Worker {
    /// Name or id of the person.
    pub name: String,
    /// The device.
    pub device: String,
    /// Role or team.
    pub role: Option<String>,
    /// Platform, as the roster says.
    pub platform: Option<String>,
    /// The day on which the person left or leaves, `YYYY-MM-DD`.
    pub left: Option<String>,
    /// The day on which what was read of the device was exported, `YYYY-MM-DD`, where it is known.
    pub exported: Option<String>,
    /// Something was read of the device.
    pub read: bool,
}

/// Everything that a run found out. Reports render it and compute nothing.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Title of the baseline.
    pub title: String,
    /// The date as of which it was judged, `YYYY-MM-DD`.
    pub as_of: String,
    /// Files in order of their paths.
    pub files: Vec<FileReport>,
    /// Names of the devices, in order.
    pub devices: Vec<String>,
    /// The roster, in its order.
    pub workers: Vec<Worker>,
    /// Checks in order: the user's own, then rulesets as used.
    pub checks: Vec<CheckResult>,
    /// What keeps the analysis from being complete.
    pub incomplete: Vec<Incomplete>,
    /// Who can reach what; only where a report that shows it is asked for, as it takes time.
    pub exposure: Option<Exposure>,
    /// What it was compared with, if anything.
    pub comparison: Option<Comparison>,
}
