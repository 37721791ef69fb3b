//! Workflow commands of GitHub Actions: findings become annotations on the lines of a pull request.
//!
//! A runner shows ten annotations of each level for a step, so the ten worst are written, and how many there are besides. The step summary is
//! the format `markdown`. Escapes are those of the runner's own source (actions/toolkit, `command.ts`).

use std::fmt::Write as _;

use super::entries::{At, at, entries};
use super::{Lines, View, counted, last_line};
use crate::diag::{Conclusion, Severity, Verdict};

/// Annotations of each level that are shown for a step.
const MOST: usize = 10;

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let mut out = String::new();
    let mut page = Page { view, lines: &lines, out: &mut out, shown: [0; 3], left: 0 };
    let level = if view.allow_incomplete { Level::Warning } else { Level::Error };
    for i in &view.report.incomplete {
        let whole = At { path: &i.path, line: 1, column: 1, end_column: 1, last_line: 1 };
        page.command(level, "not read", i.span.map_or(whole, |s| at(&lines, s)), &lines.prose(&i.text));
    }
    for entry in entries(view, &lines).iter().filter(|e| !e.finding.is_aside()) {
        let finding = entry.finding;
        let level = match (finding.verdict, finding.severity) {
            (Verdict::Unknown | Verdict::Overdue, s) if s > Severity::Low => Level::Warning,
            (_, Severity::Critical | Severity::High) => Level::Error,
            (_, Severity::Medium) => Level::Warning,
            (_, Severity::Low | Severity::Info) => Level::Notice,
        };
        let mut text = lines.sentence(finding);
        for (name, detail) in lines.details(finding, 5) {
            let _ = write!(text, "\n{name}: {detail}");
        }
        if finding.fix.is_none() && !entry.check.fix.is_empty() {
            let _ = write!(text, "\nfix: {}", lines.prose(&entry.check.fix));
        }
        page.command(level, &format!("{} {}", entry.level_words(), finding.check), entry.at, &text);
    }
    let left = page.left;
    if left > 0 {
        let what = counted(left, "more annotation is", "more annotations are");
        let _ = writeln!(out, "::notice title=fwproof::{what} not shown here: {MOST} of each level are shown for a step");
    }
    // The verdict is an annotation too: a run that fails for what is not on a changed line must say why.
    let conclusion = view.report.conclusion(view.fail_on, view.allow_incomplete);
    if conclusion != Conclusion::Pass {
        let _ = writeln!(out, "::notice title=fwproof::{}", data(plain_last_line(view).trim_start_matches("fwproof: ")));
    }
    let _ = writeln!(out, "{}", plain_last_line(view));
    out
}

/// The last line without colours, whatever they are elsewhere.
fn plain_last_line(view: &View<'_>) -> String {
    let mut out = String::new();
    let mut rest = last_line(view);
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        let end = rest[at..].find('m').map_or(rest.len(), |e| at + e + 1);
        rest = rest.split_off(end);
    }
    out + &rest
}

#[derive(Clone, Copy)]
enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        }
    }
}

struct Page<'a> {
    view: &'a View<'a>,
    lines: &'a Lines<'a>,
    out: &'a mut String,
    shown: [usize; 3],
    left: usize,
}

impl Page<'_> {
    fn command(&mut self, level: Level, title: &str, at: At<'_>, text: &str) {
        // Two notices are kept for what is said at the end.
        let most = if matches!(level, Level::Notice) { MOST - 2 } else { MOST };
        let shown = &mut self.shown[level as usize];
        if *shown >= most {
            self.left += 1;
            return;
        }
        *shown += 1;
        let file = property(&self.lines.clean(&self.view.workspace.relative(at.path)));
        let _ = write!(self.out, "::{} file={file},line={},endLine={}", level.word(), at.line, at.last_line.max(at.line));
        // Columns are refused where the place has several lines.
        if at.last_line <= at.line && at.end_column > at.column {
            let _ = write!(self.out, ",col={},endColumn={}", at.column, at.end_column);
        }
        let _ = writeln!(self.out, ",title={}::{}", property(&self.lines.clean(title)), data(text));
    }
}

/// The text behind `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_it() {
        assert_eq!(property("a:b,c%0A::error::x\r\n"), "a%3Ab%2Cc%250A%3A%3Aerror%3A%3Ax%0D%0A");
        assert_eq!(data("50%, ::x\n"), "50%25, ::x%0A");
    }
}
