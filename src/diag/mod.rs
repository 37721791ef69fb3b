//! What can be said: severities, line states, notes, findings and verdicts. Data only, no rendering.

mod exposure;
mod finding;
mod standing;
mod tally;

pub use exposure::{Answer, Cell, Exposure, Passage};
pub use finding::{CheckResult, FileReport, Finding, Incomplete, Label, Report, Verdict, Witness, Worker};
pub use standing::{Comparison, Gone, Past, Standing};
pub use tally::{Conclusion, Tally};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::source::Span;

/// How bad it is when a check does not hold. Ordered: `Info < Low < Medium < High < Critical`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Untidy.
    Low,
    /// Should be mended.
    Medium,
    /// Must be mended soon.
    High,
    /// Must be mended now.
    Critical,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Severity; 5] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

    /// The word of the command line and of all reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// In which state a line of input ended. Ordered: a line with several parts has the greatest state of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Recognised, and irrelevant to any check (blank lines and comments too).
    Irrelevant,
    /// Understood and lowered.
    Understood,
    /// Recognised, not modelled, and it may matter.
    NotModelled,
    /// Understood, but not in this combination.
    Unsupported,
    /// Not recognised.
    Unrecognised,
}

impl LineState {
    /// All, in the order in which reports list them.
    pub const ALL: [LineState; 5] =
        [LineState::Understood, LineState::Irrelevant, LineState::NotModelled, LineState::Unsupported, LineState::Unrecognised];

    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            LineState::Irrelevant => "irrelevant",
            LineState::Understood => "understood",
            LineState::NotModelled => "not_modelled",
            LineState::Unsupported => "unsupported",
            LineState::Unrecognised => "unrecognised",
        }
    }
}

/// What a reader could not fully understand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Where.
    pub span: Span,
    /// The state of the line on account of it: `NotModelled`, `Unsupported` or `Unrecognised`; `Irrelevant` where another file is read in its place.
    pub state: LineState,
    /// One short sentence; may quote the configuration, but never a secret.
    pub text: String,
    /// The analysis is incomplete on account of it (a limit was hit, an include could not be read): exit code 3.
    pub incomplete: bool,
}

/// The states of the lines of one file. A line that nobody marked is not recognised, unless it is blank.
#[derive(Clone, Debug)]
pub struct LineStates {
    states: Vec<Option<LineState>>,
}

impl LineStates {
    /// All lines of `file` unmarked.
    pub fn new(file: &crate::source::SourceFile) -> LineStates {
        LineStates { states: vec![None; file.line_count()] }
    }

    /// Raises the state of every line that `span` touches; never lowers one.
    pub fn mark(&mut self, file: &crate::source::SourceFile, span: Span, state: LineState) {
        let first = file.line_index(span.start);
        let last = file.line_index(span.end.saturating_sub(1).max(span.start));
        for line in &mut self.states[first..=last] {
            *line = Some(line.map_or(state, |old| old.max(state)));
        }
    }

    /// The state of each line of `file`.
    pub fn finish(&self, file: &crate::source::SourceFile) -> Vec<LineState> {
        self.states
            .iter()
            .enumerate()
            .map(|(i, s)| s.unwrap_or_else(|| if file.line(i).trim().is_empty() { LineState::Irrelevant } else { LineState::Unrecognised }))
            .collect()
    }
}
