//! One line a finding, `file:line:column: severity[check] message`, as compilers and editors know it; the worst first.

use std::fmt::Write as _;

use super::entries::entries;
use super::{Lines, Untrusted, View, last_line};
use crate::diag::Verdict;

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let mut out = String::new();
    for i in &view.report.incomplete {
        let at = i.span.map_or_else(|| Untrusted(&i.path).to_string(), |s| Untrusted(&lines.locate(s)).to_string());
        let _ = writeln!(out, "{at}: not read: {}", lines.prose(&i.text));
    }
    for entry in entries(view, &lines) {
        let finding = entry.finding;
        let path = lines.scrub(entry.at.path);
        let _ = write!(out, "{}:{}:{}: ", Untrusted(&path), entry.at.line, entry.at.column);
        let level = entry.level_words().replace(" (", "(");
        let waived = finding.aside().map_or_else(String::new, |(word, _)| format!("{word} "));
        let _ = write!(out, "{waived}{level}[{}] {}", Untrusted(&finding.check), lines.sentence(finding));
        match (finding.aside(), finding.causes.first()) {
            (Some((word, why)), _) => {
                let _ = write!(out, " ({word}: {})", lines.prose(why));
            }
            (None, Some(_)) if finding.verdict == Verdict::Unknown => {
                let _ = write!(out, " (because of {})", lines.named(&finding.causes, 1).join(", "));
            }
            _ => {}
        }
        let _ = writeln!(out, " [{}]", finding.fingerprint());
    }
    for gone in super::entries::gone(view, &lines) {
        let _ = writeln!(out, "gone: {gone}");
    }
    let _ = writeln!(out, "{}", last_line(view));
    out
}
