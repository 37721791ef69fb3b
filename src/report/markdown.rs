//! Markdown for a comment on a pull request or a step summary: the verdict, the worst findings, and what a reviewer must know besides;
//! bounded, because GitHub refuses comments above 65,536 characters. The first line lets a script find the comment again.
//!
//! Text from configurations is no markdown and no HTML, mentions nobody, and links to nothing; lines of source stand in fences.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::entries::{Entry, entries};
use super::summary::{self, COLUMNS};
use super::{Lines, View, counted};
use crate::diag::{LineState, Severity, Verdict};

/// Characters of a comment, with room for what a script adds.
const MOST: usize = 60_000;
/// Characters that are kept for what follows the findings.
const REST: usize = 16_000;
/// Findings that are shown.
const SHOWN: usize = 50;
/// Rows of what follows the findings.
const ROWS: usize = 20;

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let page = Page { view, lines: &lines };
    let mut out = String::from("<!-- fwproof -->\n");
    page.head(&mut out);
    page.unread(&mut out);
    page.checks(&mut out);
    let mut rest = String::new();
    page.quiet(&mut rest);
    page.notes(&mut rest);
    cap(&mut rest, REST);
    let (waived, open): (Vec<Entry<'_>>, Vec<Entry<'_>>) = entries(view, &lines).into_iter().partition(|e| e.finding.is_aside());
    let room = MOST.saturating_sub(rest.chars().count() + 2000);
    page.findings(&mut out, &open, room);
    page.gone(&mut out);
    page.waived(&mut out, &waived, MOST.saturating_sub(rest.chars().count()));
    out + &rest
}

/// Cuts at the end of a line, and says so.
fn cap(text: &mut String, most: usize) {
    if text.chars().count() <= most {
        return;
    }
    let end = text.char_indices().nth(most).map_or(text.len(), |(i, _)| i);
    let end = text[..end].rfind("\n\n").unwrap_or(end);
    text.truncate(end);
    text.push_str("\n\nThe rest was cut: the other formats have it.\n");
}

struct Page<'a> {
    view: &'a View<'a>,
    lines: &'a Lines<'a>,
}

impl Page<'_> {
    fn head(&self, out: &mut String) {
        let report = self.view.report;
        let conclusion = report.conclusion(self.view.fail_on, self.view.allow_incomplete);
        let title = if report.title.is_empty() { String::new() } else { format!(": {}", escape(&self.lines.prose(&report.title))) };
        let _ = writeln!(out, "## fwproof: {}{title}\n", conclusion.name());
        let tally = report.tally();
        let mut parts: Vec<String> =
            Severity::ALL.iter().zip(tally.findings).filter(|(_, n)| *n > 0).map(|(s, n)| format!("**{n} {s}**")).collect();
        if parts.is_empty() {
            parts.push("no findings".into());
        }
        if tally.unknown > 0 {
            parts.push(format!("**{} unknown**", tally.unknown));
        }
        parts.push(format!("{} waived", tally.waived));
        if report.comparison.is_some() {
            parts.push(format!("{} known", tally.known));
            parts.push(format!("{} gone", tally.gone));
        }
        parts.push(format!("{} unread", tally.unread));
        let files = counted(tally.files, "file", "files");
        let devices = counted(report.devices.len(), "device", "devices");
        let _ = writeln!(
            out,
            "{} in {files} of {devices}, as of {}; findings from {} upwards fail the run.\n",
            parts.join(", "),
            report.as_of,
            self.view.fail_on
        );
    }

    fn unread(&self, out: &mut String) {
        let list = &self.view.report.incomplete;
        if list.is_empty() {
            return;
        }
        let _ = writeln!(out, "### Not read or not judged\n");
        for i in list.iter().take(ROWS) {
            let at = i.span.map_or_else(|| self.lines.clean(&i.path), |s| self.lines.locate(s));
            let _ = writeln!(out, "- {}: {}", code(&self.lines.clean(&at)), escape(&self.lines.prose(&i.text)));
        }
        if list.len() > ROWS {
            let _ = writeln!(out, "- and {} more", list.len() - ROWS);
        }
        out.push('\n');
    }

    /// The worst first, as many as there is room for.
    fn findings(&self, out: &mut String, open: &[Entry<'_>], room: usize) {
        if open.is_empty() {
            return;
        }
        out.push_str("### Findings\n\n");
        let mut used = out.chars().count();
        let mut advised: BTreeSet<&str> = BTreeSet::new();
        for (i, entry) in open.iter().enumerate() {
            // Why and what to do is said once for a check.
            let text = self.finding(entry, advised.insert(&entry.check.id));
            let length = text.chars().count();
            if used + length > room || i >= SHOWN {
                let what = counted(open.len() - i, "more finding", "more findings");
                let _ = writeln!(out, "… and {what}, none of them worse: the other formats have them all.\n");
                return;
            }
            used += length;
            out.push_str(&text);
        }
    }

    fn finding(&self, entry: &Entry<'_>, advice: bool) -> String {
        let finding = entry.finding;
        let mut out = String::new();
        let at = format!("{}:{}", entry.at.path, entry.at.line);
        // What stands in the summary is HTML, in which markdown means nothing.
        let _ = writeln!(
            out,
            "<details><summary><b>{}</b> {}: {} <code>{}</code></summary>\n",
            html(&entry.level_words()),
            html(&finding.check),
            html(&self.lines.sentence(finding)),
            html(&self.lines.clean(&at))
        );
        let (line, range) = self.lines.line(finding.primary.span);
        if !line.trim().is_empty() {
            let number = entry.at.line.to_string();
            let gap = " ".repeat(number.len());
            let before: String = line.get(..range.start).unwrap_or("").chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let under = "^".repeat(line.get(range).unwrap_or("").chars().count().max(1));
            let label = self.lines.clean(&finding.primary.text);
            let marked = format!("{number} | {line}\n{gap} | {before}{under} {label}");
            let _ = writeln!(out, "{}\n", fenced(marked.trim_end()));
        }
        for (name, text) in self.lines.details(finding, 8) {
            let _ = writeln!(out, "- {name}: {}", escape(&text));
        }
        for (name, text) in [("wanted", &entry.check.title), ("why", &entry.check.why), ("fix", &entry.check.fix)] {
            if advice && !text.trim().is_empty() {
                let _ = writeln!(out, "- {name}: {}", escape(&self.lines.prose(text)));
            }
        }
        out.push_str("\n</details>\n\n");
        out
    }

    fn waived(&self, out: &mut String, waived: &[Entry<'_>], room: usize) {
        if waived.is_empty() {
            return;
        }
        let accepted = waived.iter().filter(|e| e.finding.waived.is_some()).count();
        let known = waived.len() - accepted;
        let mut parts = Vec::new();
        if accepted > 0 {
            parts.push(format!("{} waived", counted(accepted, "finding is", "findings are")));
        }
        if known > 0 {
            parts.push(format!("{} known", counted(known, "finding is", "findings are")));
        }
        let _ = writeln!(out, "<details><summary>{}</summary>\n", parts.join(", "));
        let mut used = out.chars().count() + 100;
        for (i, entry) in waived.iter().enumerate() {
            let finding = entry.finding;
            let at = code(&self.lines.clean(&format!("{}:{}", entry.at.path, entry.at.line)));
            let (word, why) = finding.aside().unwrap_or_default();
            let word = if word == "waived" { "Waived" } else { "Known" };
            let sentence = escape(&self.lines.sentence(finding));
            let row = format!(
                "- {} {} {at}: {sentence}. {word}: {}\n",
                entry.level_words(),
                escape(&finding.check),
                escape(&self.lines.prose(why))
            );
            used += row.chars().count();
            if i >= ROWS || used > room {
                let _ = writeln!(out, "- and {} more", waived.len() - i);
                break;
            }
            out.push_str(&row);
        }
        out.push_str("\n</details>\n\n");
    }

    /// What was there before and is not now.
    fn gone(&self, out: &mut String) {
        let list = super::entries::gone(self.view, self.lines);
        if list.is_empty() {
            return;
        }
        let _ = writeln!(out, "<details><summary>{} gone</summary>\n", counted(list.len(), "finding is", "findings are"));
        for text in list.iter().take(ROWS) {
            let _ = writeln!(out, "- {}", escape(text));
        }
        if list.len() > ROWS {
            let _ = writeln!(out, "- and {} more", list.len() - ROWS);
        }
        out.push_str("\n</details>\n\n");
    }

    /// One row for the user's own checks and for each ruleset.
    fn checks(&self, out: &mut String) {
        let report = self.view.report;
        if report.checks.is_empty() {
            return;
        }
        let table = summary::Table::of(&report.checks, |c| vec![c.ruleset.clone().unwrap_or_else(|| "own checks".into())]);
        let used = table.used();
        let heads: Vec<&str> = used.iter().map(|&i| COLUMNS[i].0).collect();
        let _ = writeln!(out, "### Checks\n\n| checks | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(heads.len()));
        let mut row = |name: &str, counts: &[usize]| {
            let cells: Vec<String> = used.iter().filter_map(|&i| counts.get(i)).map(usize::to_string).collect();
            let _ = writeln!(out, "| {} | {} |", escape(&self.lines.clean(name)), cells.join(" | "));
        };
        for name in table.order.iter().take(ROWS) {
            row(name, &table.rows[name]);
        }
        if table.order.len() > 1 {
            row("all", &table.sum);
        }
        out.push('\n');
    }

    /// What is neither a finding nor a proof: process controls, and checks that had nothing to look at.
    fn quiet(&self, out: &mut String) {
        let list = |verdict: Verdict| -> Vec<String> {
            self.view.report.checks.iter().filter(|c| c.verdict == verdict).map(|c| escape(&c.id)).collect()
        };
        let mut say = |what: &str, ids: Vec<String>| {
            if !ids.is_empty() {
                let more = if ids.len() > ROWS { format!(" and {} more", ids.len() - ROWS) } else { String::new() };
                let _ = writeln!(out, "{what}: {}{more}.\n", ids.into_iter().take(ROWS).collect::<Vec<_>>().join(", "));
            }
        };
        say("Attested, not proved", list(Verdict::Attested));
        say("Not applicable, as no export shows what they ask", list(Verdict::NotApplicable));
    }

    fn notes(&self, out: &mut String) {
        let states = [LineState::NotModelled, LineState::Unsupported, LineState::Unrecognised];
        let mut rows = Vec::new();
        let mut total = 0;
        for file in &self.view.report.files {
            let n = file.lines.iter().filter(|s| states.contains(s)).count();
            if n > 0 {
                total += n;
                rows.push((n, &self.lines.file(file.file).path));
            }
        }
        if rows.is_empty() {
            return;
        }
        rows.sort_by_key(|(n, path)| (std::cmp::Reverse(*n), *path));
        let files: Vec<String> = rows.iter().take(10).map(|(n, path)| format!("{} ({n})", code(&self.lines.clean(path)))).collect();
        let more = if rows.len() > 10 { format!(" and {} more", rows.len() - 10) } else { String::new() };
        let _ = writeln!(
            out,
            "Not fully understood: {} in {}{more}. A check that could turn on one is unknown; `fwproof annotate` shows them.",
            counted(total, "line", "lines"),
            files.join(", ")
        );
    }
}

/// Text in which nothing is markdown or HTML, nobody is mentioned and nothing becomes a link.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => out.extend(['\\', c]),
            '#' => out.push_str("\\#"),
            ':' if rest.starts_with("//") => out.push_str("&#58;"),
            '.' if text[..at].ends_with(['w', 'W']) => out.push_str("&#46;"),
            // At the beginning it would make a list or a heading.
            '-' | '+' | '=' if at == 0 => out.extend(['\\', c]),
            '.' | ')' if at > 0 && text[..at].bytes().all(|b| b.is_ascii_digit()) => out.extend(['\\', c]),
            _ => reference(&mut out, c),
        }
        if c == '#' && rest.starts_with(|c: char| c.is_ascii_digit()) {
            out.push_str("&#8203;");
        }
    }
    out
}

/// For places where HTML is read but no markdown.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        match c {
            ':' if rest.starts_with("//") => out.push_str("&#58;"),
            '#' if rest.starts_with(|c: char| c.is_ascii_digit()) => out.push_str("#&#8203;"),
            _ => reference(&mut out, c),
        }
    }
    out
}

fn reference(out: &mut String, c: char) {
    match c {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '"' => out.push_str("&quot;"),
        // Mentions are looked for in the finished text: only a character between helps.
        '@' => out.push_str("@&#8203;"),
        _ => out.push(c),
    }
}

/// Text as code in a line.
pub(crate) fn code(text: &str) -> String {
    let ticks = "`".repeat(longest_run(text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    // A table ends its cells at a bar even in code; none of these stands in one.
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// Text as a block of code, in a fence that is longer than any in it.
fn fenced(text: &str) -> String {
    fenced_as("text", text)
}

/// The same, in a language for colours.
pub(crate) fn fenced_as(language: &str, text: &str) -> String {
    let fence = "`".repeat((longest_run(text) + 1).max(3));
    format!("{fence}{language}\n{text}\n{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_configuration_becomes_markdown() {
        assert_eq!(escape("<b>*x*</b> [a](b) `c` ![p](q) a|b"), r"&lt;b&gt;\*x\*&lt;/b&gt; \[a\](b) \`c\` \!\[p\](q) a\|b");
        assert_eq!(
            escape("@me a@b #12 # x https://evil www.evil"),
            "@&#8203;me a@&#8203;b \\#&#8203;12 \\# x https&#58;//evil www&#46;evil"
        );
        assert_eq!((escape("- x"), escape("12. x"), escape("rule 1.2")), ("\\- x".into(), "12\\. x".into(), "rule 1.2".into()));
        assert_eq!(html("</summary> @x #1"), "&lt;/summary&gt; @&#8203;x #&#8203;1");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_it() {
        assert_eq!(fenced("a ```` b"), "`````text\na ```` b\n`````");
        assert_eq!((code("a`b"), code("`a")), ("``a`b``".into(), "`` `a ``".into()));
    }

    #[test]
    fn what_is_too_long_is_cut_between_paragraphs() {
        let mut text = "ä ö ü\n\n".repeat(100);
        cap(&mut text, 50);
        assert!(text.starts_with("ä ö ü\n\nä") && text.ends_with("have it.\n") && text.chars().count() < 110, "{text}");
    }
}
