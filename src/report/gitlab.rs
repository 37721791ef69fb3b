//! GitLab Code Quality: a JSON array of what CodeClimate calls issues.
//!
//! GitLab's page "Code Quality" names the fields that it reads: description, check_name, fingerprint (unique), severity, location.path and
//! location.lines.begin. There is no place for what is waived; it is left out, as it would be shown as open. What could not be read is an
//! issue, so that an incomplete run does not look clean.

use serde_json::{Value, json};

use super::entries::{at, entries};
use super::json::safe;
use super::{Lines, View};
use crate::diag::{Severity, Verdict};

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let path = |path: &str| lines.clean(&view.workspace.relative(path));
    let mut issues: Vec<Value> = Vec::new();
    for (i, incomplete) in view.report.incomplete.iter().enumerate() {
        let line = incomplete.span.map_or(1, |s| at(&lines, s).line);
        issues.push(json!({
            "type": "issue",
            "check_name": "not-read",
            "description": format!("not read: {}", lines.prose(&incomplete.text)),
            "categories": ["Security"],
            "severity": if view.allow_incomplete { "minor" } else { "critical" },
            "fingerprint": format!("not-read-{}", i + 1),
            "location": { "path": path(&incomplete.path), "lines": { "begin": line } },
        }));
    }
    for entry in entries(view, &lines).iter().filter(|e| e.finding.waived.is_none()) {
        let finding = entry.finding;
        let own = [&entry.check.title, &entry.check.why, &entry.check.fix].map(|t| lines.prose(t));
        let details = lines.details(finding, 10).into_iter().map(|(name, text)| format!("{name}: {text}"));
        let parts = own.into_iter().chain(details).filter(|p| !p.is_empty()).map(|p| super::markdown::escape(&p));
        let body = parts.collect::<Vec<_>>().join("\n\n");
        let sure = if finding.verdict == Verdict::Violated { String::new() } else { format!("{}: ", finding.verdict.name()) };
        issues.push(json!({
            "type": "issue",
            "check_name": finding.check,
            // The name of the check is not shown, so it stands here too.
            "description": format!("{}: {sure}{}", finding.check, lines.sentence(finding)),
            "content": { "body": body },
            "categories": ["Security"],
            "severity": severity(finding.severity),
            "fingerprint": entry.key,
            "location": {
                "path": path(entry.at.path),
                "lines": { "begin": entry.at.line, "end": entry.at.last_line.max(entry.at.line) },
            },
        }));
    }
    safe(&serde_json::to_string_pretty(&issues).unwrap_or_default()) + "\n"
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "blocker",
        Severity::High => "critical",
        Severity::Medium => "major",
        Severity::Low => "minor",
        Severity::Info => "info",
    }
}
