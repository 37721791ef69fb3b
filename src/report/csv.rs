//! A table for spreadsheets: RFC 4180, one row a finding, and one for each check that has none and each input that could not be read.
//!
//! A spreadsheet takes a field that begins with `=`, `+`, `-` or `@` for a formula, quoted or not (CWE-1236): such text gets an apostrophe.

use super::entries::entries;
use super::{Lines, View};

const HEAD: [&str; 20] = [
    "severity",
    "verdict",
    "waived",
    "check",
    "title",
    "ruleset",
    "device",
    "file",
    "line",
    "column",
    "finding",
    "packet",
    "conditions",
    "passed",
    "because",
    "fix",
    "refs",
    "places",
    "fingerprint",
    "compared",
];

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let mut table = Table { out: String::new(), lines: &lines };
    table.row(HEAD.map(str::to_owned));
    for i in &view.report.incomplete {
        let mut row = [const { String::new() }; HEAD.len()];
        row[1] = "not read".into();
        row[7].clone_from(&i.path);
        if let Some(span) = i.span {
            let at = super::entries::at(&lines, span);
            (row[8], row[9]) = (at.line.to_string(), at.column.to_string());
        }
        row[10].clone_from(&i.text);
        table.row(row);
    }
    for entry in entries(view, &lines) {
        let (check, finding) = (entry.check, entry.finding);
        let witness = finding.witness.as_ref();
        table.row([
            finding.severity.to_string(),
            finding.verdict.name().to_owned(),
            finding.waived.clone().unwrap_or_default(),
            check.id.clone(),
            check.title.clone(),
            check.ruleset.clone().unwrap_or_default(),
            finding.device.clone().unwrap_or_default(),
            entry.at.path.to_owned(),
            entry.at.line.to_string(),
            entry.at.column.to_string(),
            finding.message.clone(),
            witness.map(|w| w.words.clone()).unwrap_or_default(),
            witness.map(|w| w.conditions.join(" and ")).unwrap_or_default(),
            witness.map(|w| lines.named(&w.path, 20).join(", ")).unwrap_or_default(),
            lines.named(&finding.causes, 20).join(", "),
            finding.fix.clone().unwrap_or_else(|| check.fix.clone()),
            check.refs.join(", "),
            finding.count.to_string(),
            entry.key.clone(),
            finding.standing.map(|s| s.name().to_owned()).unwrap_or_default(),
        ]);
    }
    for check in view.report.checks.iter().filter(|c| c.findings.is_empty()) {
        let mut row = [const { String::new() }; HEAD.len()];
        row[0] = check.severity.to_string();
        row[1] = check.verdict.name().to_owned();
        row[3].clone_from(&check.id);
        row[4].clone_from(&check.title);
        row[5] = check.ruleset.clone().unwrap_or_default();
        row[6] = if check.considered.is_empty() { check.inapplicable.join(", ") } else { check.considered.join(", ") };
        row[15].clone_from(&check.fix);
        row[16] = check.refs.join(", ");
        table.row(row);
    }
    table.out
}

struct Table<'a> {
    out: String,
    lines: &'a Lines<'a>,
}

impl Table<'_> {
    fn row(&mut self, fields: [String; HEAD.len()]) {
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            self.out.push('"');
            let clean = self.lines.prose(field);
            if is_formula(&clean) {
                self.out.push('\'');
            }
            self.out.push_str(&clean.replace('"', "\"\""));
            self.out.push('"');
        }
        self.out.push_str("\r\n");
    }
}

/// Whether a spreadsheet could take the text for a formula; full-width forms of the characters count too.
fn is_formula(text: &str) -> bool {
    matches!(text.chars().next(), Some('=' | '+' | '-' | '@' | '\t' | '\r' | '＝' | '＋' | '－' | '＠' | '|'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_one() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1"] {
            assert!(is_formula(text), "{text}");
        }
        assert!(!is_formula("a=1") && !is_formula("") && !is_formula("10.0.0.0/8"));
    }
}
