//! What was not fully understood, in few lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Lines, Untrusted, counted};
use crate::diag::{FileReport, LineState};

/// Files that are named at most.
const FILES: usize = 10;
/// Reasons that are named for a file at most.
const REASONS: usize = 3;
/// Lines that are named for a reason at most.
const PLACES: usize = 5;

/// The three states that are notes, in words.
const STATES: [(LineState, &str); 3] = [
    (LineState::NotModelled, "not modelled"),
    (LineState::Unsupported, "not in this combination"),
    (LineState::Unrecognised, "not recognised"),
];

/// Appends the summary; nothing if all was understood.
pub(super) fn write(out: &mut String, files: &[FileReport], lines: &Lines<'_>, all: bool) {
    let count = |f: &FileReport| -> usize { f.lines.iter().filter(|s| STATES.iter().any(|(state, _)| state == *s)).count() };
    let mut open: Vec<(usize, &FileReport)> = files.iter().map(|f| (count(f), f)).filter(|(n, _)| *n > 0).collect();
    if open.is_empty() {
        return;
    }
    open.sort_by_key(|(n, f)| (std::cmp::Reverse(*n), f.file));
    let total: usize = open.iter().map(|(n, _)| n).sum();
    let _ = writeln!(
        out,
        "not fully understood: {} in {} (a check that could turn on one is unknown)",
        counted(total, "line", "lines"),
        counted(open.len(), "file", "files")
    );
    let shown = if all { open.len() } else { FILES };
    for (_, file) in open.iter().take(shown) {
        let counts = file.counts();
        let parts: Vec<String> =
            STATES.iter().filter_map(|(state, words)| counts.get(state).filter(|n| **n > 0).map(|n| format!("{n} {words}"))).collect();
        let _ = writeln!(out, "  {}: {}", Untrusted(&lines.file(file.file).path), parts.join(", "));
        reasons(out, file, lines, all);
    }
    if open.len() > shown {
        let _ = writeln!(out, "  and {}", counted(open.len() - shown, "more file", "more files"));
    }
    out.push('\n');
}

fn reasons(out: &mut String, file: &FileReport, lines: &Lines<'_>, all: bool) {
    let source = lines.file(file.file);
    let mut by_text: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for note in &file.notes {
        by_text.entry(&note.text).or_default().push(source.place(note.span.start).line);
    }
    let mut sorted: Vec<(&str, Vec<u32>)> = by_text.into_iter().collect();
    sorted.sort_by_key(|(text, places)| (std::cmp::Reverse(places.len()), *text));
    let shown = if all { sorted.len() } else { REASONS };
    for (text, mut places) in sorted.iter().take(shown).cloned() {
        places.dedup();
        let named: Vec<String> = places.iter().take(PLACES).map(u32::to_string).collect();
        let more = if places.len() > PLACES { " …" } else { "" };
        let word = if places.len() == 1 { "line" } else { "lines" };
        let _ = writeln!(out, "    {} ({word} {}{more})", Untrusted(text), named.join(", "));
    }
    if sorted.len() > shown {
        let _ = writeln!(out, "    and {}", counted(sorted.len() - shown, "other reason", "other reasons"));
    }
}
