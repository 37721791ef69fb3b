//! The findings of a report in one list, the worst first: what the formats for build servers and tables are made of.

use std::collections::BTreeMap;

use super::untrusted::visible;
use super::{Lines, View};
use crate::diag::{CheckResult, Finding, Label, Severity, Verdict};
use crate::source::Span;

/// A finding with its check and its place.
pub(super) struct Entry<'a> {
    /// Its check.
    pub check: &'a CheckResult,
    /// Itself.
    pub finding: &'a Finding,
    /// Stays the same while the finding does; findings that are told apart by nothing but their order get `-2`, `-3` …
    pub key: String,
    /// Where it points.
    pub at: At<'a>,
}

/// A place in a file; lines and columns count from 1, columns in characters, the end column is the one behind the last.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    /// The path as it was given; not yet safe to print.
    pub path: &'a str,
    /// First line.
    pub line: u32,
    /// Column in it.
    pub column: u32,
    /// The end of the part that lies in the first line.
    pub end_column: u32,
    /// Last line.
    pub last_line: u32,
}

/// The place of a span.
pub(super) fn at<'a>(lines: &Lines<'a>, span: Span) -> At<'a> {
    let file = lines.file(span.file);
    let snap = |offset: u32| file.text.floor_char_boundary(offset as usize) as u32;
    let start = snap(span.start);
    let end = snap(span.end).max(start);
    let from = file.place(start);
    let line_end = file.line_span(file.line_index(start)).end.max(start);
    let to = file.place(end.min(line_end));
    let last_line = file.place(end.saturating_sub(1).max(start)).line;
    At { path: &file.path, line: from.line, column: from.column, end_column: to.column.max(from.column), last_line }
}

/// All findings: those that count first, then those that were there before, then waived ones; of each by severity, what is violated before what is overdue before what is unknown, then
/// in the order of the report.
pub(super) fn entries<'a>(view: &View<'a>, lines: &Lines<'a>) -> Vec<Entry<'a>> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut list: Vec<Entry<'a>> = Vec::new();
    for check in &view.report.checks {
        for finding in &check.findings {
            let at = at(lines, finding.primary.span);
            let fingerprint = finding.fingerprint();
            let n = seen.entry(fingerprint.clone()).or_default();
            *n += 1;
            let key = if *n == 1 { fingerprint } else { format!("{fingerprint}-{n}") };
            list.push(Entry { check, finding, key, at });
        }
    }
    let rank = |v: Verdict| match v {
        Verdict::Violated => 0,
        Verdict::Overdue => 1,
        _ => 2,
    };
    list.sort_by_key(|e| {
        (e.finding.waived.is_some(), e.finding.is_known(), std::cmp::Reverse(e.finding.severity), rank(e.finding.verdict))
    });
    list
}

/// Findings of an earlier time that are not there now: `high[telnet-closed] on edge (0123456789abcdef)`.
pub(super) fn gone(view: &View<'_>, lines: &Lines<'_>) -> Vec<String> {
    let list = view.report.comparison.iter().flat_map(|c| &c.gone);
    list.map(|g| {
        let on = g.past.device.as_deref().map_or_else(String::new, |d| format!(" on {}", lines.clean(d)));
        let said = g.past.message.as_deref().map_or_else(String::new, |m| format!(": {}", lines.clean(m)));
        let because = g.because.map_or_else(String::new, |b| format!(", as {b}"));
        let level = level_words(g.past.verdict, g.past.severity);
        format!("{level}[{}]{on}{said} ({}{because})", lines.clean(&g.past.check), lines.clean(&g.past.fingerprint))
    })
    .collect()
}

impl Entry<'_> {
    /// `high`, `unknown (high)`, `overdue (high)`.
    pub fn level_words(&self) -> String {
        level_words(self.finding.verdict, self.finding.severity)
    }

    /// Whether it makes the run fail.
    pub fn fails(&self, bar: Severity) -> bool {
        !self.finding.is_aside() && self.finding.severity >= bar
    }
}

/// `high`, `unknown (high)`, `overdue (high)`.
pub(super) fn level_words(verdict: Verdict, severity: Severity) -> String {
    match verdict {
        Verdict::Unknown | Verdict::Overdue => format!("{} ({severity})", verdict.name()),
        _ => severity.to_string(),
    }
}

impl Lines<'_> {
    /// Somebody else's text in one line: secrets taken out, made visible, bounded. Where it may stand at the beginning of a line, use
    /// [`Untrusted`](super::Untrusted).
    pub(super) fn clean(&self, text: &str) -> String {
        visible(&self.scrub(text), &mut [])
    }

    /// The same of text that may be long (why a check is made): every word is bounded, not the whole.
    pub(super) fn prose(&self, text: &str) -> String {
        self.scrub(text).split_whitespace().map(|w| visible(w, &mut [])).collect::<Vec<_>>().join(" ")
    }

    /// What is wrong, with the device if the sentence does not name it.
    pub(super) fn sentence(&self, finding: &Finding) -> String {
        let on = finding.device.as_deref().filter(|d| !finding.message.contains(*d));
        let on = on.map_or_else(String::new, |d| format!("{}: ", self.clean(d)));
        format!("{on}{}", self.clean(&finding.message))
    }

    /// `rule 3 of forward (edge.nft:12)`, at most `most` of them.
    pub(super) fn named(&self, labels: &[Label], most: usize) -> Vec<String> {
        let mut out: Vec<String> = labels
            .iter()
            .take(most)
            .map(|l| {
                let at = at(self, l.span);
                let place = format!("{}:{}", self.clean(at.path), at.line);
                if l.text.is_empty() { place } else { format!("{} ({place})", self.clean(&l.text)) }
            })
            .collect();
        if labels.len() > most {
            out.push(format!("and {} more", labels.len() - most));
        }
        out
    }

    /// What belongs to a finding besides its sentence, as pairs of a word and text: packet, conditions, way, causes, what to do here.
    pub(super) fn details(&self, finding: &Finding, most: usize) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        if finding.count > 1 {
            out.push(("stands for", format!("{} places of the same kind", finding.count)));
        }
        if let Some(witness) = &finding.witness {
            out.push(("packet", self.clean(&witness.words)));
            if !witness.conditions.is_empty() {
                out.push(("if", witness.conditions.iter().map(|c| self.clean(c)).collect::<Vec<_>>().join(" and ")));
            }
            if !witness.path.is_empty() {
                out.push(("passed", self.named(&witness.path, most).join(", ")));
            }
        }
        if !finding.related.is_empty() {
            out.push(("see also", self.named(&finding.related, most).join(", ")));
        }
        if !finding.causes.is_empty() {
            out.push(("unknown because", self.named(&finding.causes, most).join(", ")));
        }
        if let Some(fix) = &finding.fix {
            out.push(("fix here", self.prose(fix)));
        }
        if let Some((word, why)) = finding.aside() {
            out.push((word, self.prose(why)));
        } else if let Some(standing) = finding.standing {
            out.push(("compared", standing.name().to_owned()));
        }
        out.push(("fingerprint", finding.fingerprint()));
        out
    }
}
