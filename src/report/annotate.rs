//! A file printed back, with what was made of each line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use colored::Colorize as _;
use serde::Serialize;

use super::{Lines, Untrusted, json::safe};
use crate::diag::{FileReport, LineState};

/// Every line with its state; notes below theirs. `fates`: what became of the rule that begins on a line, by its 0-based number.
pub fn lines(file: &FileReport, lines: &Lines<'_>, fates: &BTreeMap<usize, String>) -> String {
    let source = lines.file(file.file);
    let mut out = String::new();
    let device = file.device.as_deref().map_or_else(String::new, |d| format!(", device {}", Untrusted(d)));
    let format = file.format.unwrap_or("not recognised");
    let _ = writeln!(out, "{}", format!("{} ({format}{device})", Untrusted(&source.path)).bold());
    let mut notes: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for note in &file.notes {
        notes.entry(source.line_index(note.span.start.min(source.text.len() as u32))).or_default().push(&note.text);
    }
    let width = source.line_count().to_string().len();
    for (index, state) in file.lines.iter().enumerate() {
        let text = lines.whole_line(file.file, index);
        let line = format!("{:>width$} {:<13} | {text}", index + 1, word(*state));
        let _ = writeln!(out, "{}", coloured(line.trim_end(), *state));
        for note in notes.get(&index).into_iter().flatten() {
            let _ = writeln!(out, "{:>width$} {:<13} |   {} {}", "", "", "^".yellow(), Untrusted(note));
        }
        if let Some(fate) = fates.get(&index) {
            let _ = writeln!(out, "{:>width$} {:<13} |   {} {}", "", "", "=".cyan(), Untrusted(fate));
        }
    }
    out
}

fn word(state: LineState) -> &'static str {
    match state {
        LineState::Understood => "understood",
        LineState::Irrelevant => "irrelevant",
        LineState::NotModelled => "not modelled",
        LineState::Unsupported => "unsupported",
        LineState::Unrecognised => "unrecognised",
    }
}

fn coloured(line: &str, state: LineState) -> colored::ColoredString {
    match state {
        LineState::Understood => line.normal(),
        LineState::Irrelevant => line.dimmed(),
        LineState::NotModelled | LineState::Unsupported => line.yellow(),
        LineState::Unrecognised => line.red(),
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    file: &'a str,
    format: Option<&'static str>,
    device: Option<&'a str>,
    lines: States,
    notes: Vec<NoteLine<'a>>,
}

/// How many lines ended in each of the five states.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Lines")]
pub(super) struct States {
    pub understood: usize,
    pub irrelevant: usize,
    pub not_modelled: usize,
    pub unsupported: usize,
    pub unrecognised: usize,
}

impl States {
    /// How many lines were not fully understood.
    pub fn open(&self) -> usize {
        self.not_modelled + self.unsupported + self.unrecognised
    }

    pub fn of(file: &FileReport) -> States {
        let counts = file.counts();
        let of = |s: LineState| counts.get(&s).copied().unwrap_or(0);
        States {
            understood: of(LineState::Understood),
            irrelevant: of(LineState::Irrelevant),
            not_modelled: of(LineState::NotModelled),
            unsupported: of(LineState::Unsupported),
            unrecognised: of(LineState::Unrecognised),
        }
    }
}

#[derive(Serialize)]
struct NoteLine<'a> {
    line: u32,
    state: LineState,
    text: &'a str,
}

/// One JSON object in one line: how many lines are in each state, and the notes.
pub fn summary_json(file: &FileReport, lines: &Lines<'_>) -> String {
    let source = lines.file(file.file);
    let summary = Summary {
        file: &source.path,
        format: file.format,
        device: file.device.as_deref(),
        lines: States::of(file),
        notes: file
            .notes
            .iter()
            .map(|n| NoteLine { line: source.place(n.span.start.min(source.text.len() as u32)).line, state: n.state, text: &n.text })
            .collect(),
    };
    safe(&serde_json::to_string(&summary).unwrap_or_default()) + "\n"
}

/// One line for people: how many lines of a file are in each state.
pub fn summary_line(file: &FileReport, lines: &Lines<'_>) -> String {
    let states = States::of(file);
    let device = file.device.as_deref().map_or_else(String::new, |d| format!(", device {}", Untrusted(d)));
    format!(
        "{} ({}{device}): {} understood, {} irrelevant, {} not modelled, {} unsupported, {} unrecognised\n",
        Untrusted(&lines.file(file.file).path),
        file.format.unwrap_or("not recognised"),
        states.understood,
        states.irrelevant,
        states.not_modelled,
        states.unsupported,
        states.unrecognised
    )
}
