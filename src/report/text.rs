//! The report that a person reads: findings by check, the worst first; what was not understood; the summary.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use colored::Colorize as _;

use super::untrusted::visible;
use super::{Lines, Untrusted, View, counted, notes, summary};
use crate::diag::{CheckResult, Finding, Label, Severity, Verdict};

/// Findings of a check on one device that are shown at most.
const SHOWN: usize = 5;
/// Findings of a check that are shown at most, over all devices.
const SHOWN_OF_CHECK: usize = 25;
/// Other places of a finding that are shown at most.
const RELATED: usize = 3;
/// Rules of a packet's way, causes, or equal places that are named at most.
const NAMED: usize = 6;
/// Findings that are gone, of which each is named.
const ROWS: usize = 20;
/// Columns of the page.
const WIDTH: usize = 140;

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let mut out = String::new();
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let renderer = if view.color { Renderer::styled() } else { Renderer::plain() };
    let page = Page { view, lines: &lines, renderer: renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH) };
    let mut checks: Vec<&CheckResult> = view.report.checks.iter().filter(|c| !c.findings.is_empty()).collect();
    let open = |c: &CheckResult| c.findings.iter().filter(|f| !f.is_aside()).map(|f| f.verdict).max();
    // Stable: checks of one severity stay in the order of the baseline.
    checks.sort_by_key(|c| (open(c).is_none(), std::cmp::Reverse(c.severity), open(c) == Some(Verdict::Unknown)));
    let (idle, checks): (Vec<&CheckResult>, Vec<&CheckResult>) = checks.into_iter().partition(|c| !view.all && is_idle(c));
    for check in checks {
        page.check(&mut out, check);
    }
    page.idle(&mut out, &idle);
    if view.list_incomplete {
        for incomplete in &view.report.incomplete {
            let at = incomplete.span.map_or_else(|| Untrusted(&incomplete.path).to_string(), |s| lines.locate(s));
            let _ = writeln!(out, "{}: {at}: {}", "not read".yellow(), Untrusted(&incomplete.text));
        }
        if !view.report.incomplete.is_empty() {
            out.push('\n');
        }
    }
    gone(&mut out, view, &lines);
    notes::write(&mut out, &view.report.files, &lines, view.all);
    summary::write(&mut out, view);
    view.redactor.scrub(&out)
}

/// What is no longer there of an earlier time.
fn gone(out: &mut String, view: &View<'_>, lines: &Lines<'_>) {
    let list = super::entries::gone(view, lines);
    let shown = if view.all { list.len() } else { ROWS };
    for text in list.iter().take(shown) {
        let _ = writeln!(out, "{}: {text}", "gone".green());
    }
    if list.len() > shown {
        let _ = writeln!(out, "  ... and {} more (--all shows them)", list.len() - shown);
    }
    if !list.is_empty() {
        out.push('\n');
    }
}

/// A finding, and those that say the same of other places.
type Same<'f> = (&'f Finding, Vec<&'f Finding>);

/// Whether findings are unknown, and their device.
type Key<'f> = (bool, Option<&'f str>);

struct Page<'a> {
    view: &'a View<'a>,
    lines: &'a Lines<'a>,
    renderer: Renderer,
}

/// Whether all that a check has to say is that it had nothing to look at.
fn is_idle(check: &CheckResult) -> bool {
    check.considered.is_empty() && check.findings.iter().all(|f| !f.is_aside() && f.is_about_nothing())
}

impl Page<'_> {
    /// Checks that had nothing to look at, all in one: each for itself would say the same.
    fn idle(&self, out: &mut String, checks: &[&CheckResult]) {
        let Some(worst) = checks.iter().map(|c| c.severity).max() else { return };
        let name = format!("unknown ({worst})").yellow();
        let what = counted(checks.len(), "check", "checks");
        let _ = writeln!(out, "{name}: {what} had nothing to look at: no device or person that was read is concerned");
        let mut names = String::new();
        for (i, check) in checks.iter().enumerate() {
            let _ = write!(names, "{}{}", if i > 0 { ", " } else { "" }, check.id);
        }
        let _ = writeln!(out, "  {} {}", "checks:".bold(), paragraph(&names, 10));
        let fix = "Export what they are about, take their ruleset out of `use:`, or switch them off under `adjust:` with the reason.";
        let _ = writeln!(out, "  {} {}\n", "fix:".bold(), paragraph(fix, 7));
    }

    fn check(&self, out: &mut String, check: &CheckResult) {
        let aside: Vec<&Finding> = check.findings.iter().filter(|f| f.is_aside()).collect();
        let by_device = self.grouped(check);
        let mut budget = if self.view.all { usize::MAX } else { SHOWN_OF_CHECK };
        let mut hidden = (0usize, 0usize);
        for ((_, device), list) in &by_device {
            let most = if self.view.all { list.len() } else { SHOWN.min(budget) };
            for (finding, same) in list.iter().take(most) {
                self.finding(out, check, finding, same);
            }
            budget = budget.saturating_sub(list.len().min(most));
            let left: usize = list.iter().skip(most).map(|(_, same)| 1 + same.len()).sum();
            if left == 0 {
                continue;
            }
            if most > 0 {
                let on = device.map_or_else(String::new, |d| format!(" on {}", Untrusted(d)));
                let _ = writeln!(out, "  ... and {}{on} (--all shows them)\n", counted(left, "more finding", "more findings"));
            } else {
                hidden.0 += left;
                hidden.1 += 1;
            }
        }
        if hidden.0 > 0 {
            let what = counted(hidden.0, "more finding", "more findings");
            let _ = writeln!(out, "  ... and {what} on {} (--all shows them)\n", counted(hidden.1, "other device", "other devices"));
        }
        if !by_device.is_empty() {
            self.advice(out, check);
        }
        let shown = if self.view.all { aside.len() } else { SHOWN };
        for finding in aside.iter().take(shown) {
            let (word, why) = finding.aside().unwrap_or_default();
            let _ = writeln!(out, "{}[{}]: {}", word.cyan(), Untrusted(&check.id), Untrusted(&finding.message));
            let what = if word == "waived" { "accepted" } else { "known" };
            let _ = writeln!(out, "  --> {}\n   = {what}: {}\n", self.lines.locate(finding.primary.span), Untrusted(why));
        }
        if aside.len() > shown {
            let _ = writeln!(
                out,
                "  ... and {} (--all shows them)\n",
                counted(aside.len() - shown, "more that does not count", "more that do not count")
            );
        }
    }

    /// Findings that count, by device, those that say the same as one. What more than [`SHOWN`] devices have in common is shown
    /// on the first of them.
    fn grouped<'f>(&self, check: &'f CheckResult) -> BTreeMap<Key<'f>, Vec<Same<'f>>> {
        let open = || check.findings.iter().filter(|f| !f.is_aside());
        let mut devices: BTreeMap<Sense<'_>, BTreeSet<&str>> = BTreeMap::new();
        for finding in open() {
            devices.entry(sense(finding)).or_default().extend(finding.device.as_deref());
        }
        let mut groups: BTreeMap<Key<'_>, Vec<Same<'_>>> = BTreeMap::new();
        let mut leaders: BTreeMap<(Sense<'_>, Option<&str>), (Key<'_>, usize)> = BTreeMap::new();
        for finding in open() {
            let own = finding.device.as_deref();
            let key = (finding.verdict == Verdict::Unknown, own);
            let sense = sense(finding);
            let common = devices.get(&sense).is_some_and(|d| d.len() > SHOWN);
            let leader = leaders.get(&(sense, if common { None } else { own })).filter(|_| !self.view.all).copied();
            match leader.and_then(|(key, i)| groups.get_mut(&key)?.get_mut(i)) {
                Some((_, more)) => more.push(finding),
                None => {
                    let list = groups.entry(key).or_default();
                    leaders.insert((sense, if common { None } else { own }), (key, list.len()));
                    list.push((finding, Vec::new()));
                }
            }
        }
        groups
    }

    /// Why and what to do, once for all findings of a check.
    fn advice(&self, out: &mut String, check: &CheckResult) {
        let mut part = |name: &str, text: &str| {
            if !text.trim().is_empty() {
                let label = format!("{name}:").bold();
                let _ = writeln!(out, "  {label} {}", paragraph(text, name.len() + 4));
            }
        };
        part("wanted", &check.title);
        part("why", &check.why);
        part("fix", &check.fix);
        part("refs", &check.refs.join(", "));
        out.push('\n');
    }

    fn finding(&self, out: &mut String, check: &CheckResult, finding: &Finding, same: &[&Finding]) {
        let (level, name) = match (finding.verdict, finding.severity) {
            (Verdict::Unknown, s) => (Level::WARNING, format!("unknown ({s})")),
            (Verdict::Overdue, s) => (Level::WARNING, format!("overdue ({s})")),
            (_, s @ (Severity::Critical | Severity::High)) => (Level::ERROR, s.to_string()),
            (_, s @ Severity::Medium) => (Level::WARNING, s.to_string()),
            (_, s) => (Level::NOTE, s.to_string()),
        };
        let on = finding.device.as_deref().filter(|d| !finding.message.contains(*d));
        let on = on.map_or_else(String::new, |d| format!("{}: ", Untrusted(d)));
        let title =
            level.with_name(name).primary_title(format!("{on}{}", visible(&finding.message, &mut []))).id(Untrusted(&check.id).to_string());
        let mut group = self.place(title.elements(Vec::<Snippet<'_, annotate_snippets::Annotation<'_>>>::new()), &finding.primary, true);
        for label in finding.related.iter().take(RELATED) {
            group = self.place(group, label, false);
        }
        let mut say = Vec::new();
        if finding.related.len() > RELATED {
            say.push(("also", format!("and {} more", finding.related.len() - RELATED)));
        }
        if !same.is_empty() {
            let others: BTreeSet<&str> =
                same.iter().filter_map(|f| f.device.as_deref()).filter(|d| Some(*d) != finding.device.as_deref()).collect();
            say.push(("also", if others.is_empty() { self.places(same.iter().map(|f| &f.primary)) } else { on_devices(&others) }));
        }
        if finding.count > 1 {
            say.push(("stands for", counted(finding.count as usize, "place of the same kind", "places of the same kind")));
        }
        if let Some(witness) = &finding.witness {
            say.push(("packet", witness.words.clone()));
            if !witness.conditions.is_empty() {
                say.push(("if", witness.conditions.join(" and ")));
            }
            if !witness.path.is_empty() {
                say.push(("passed", self.places(witness.path.iter())));
            }
        }
        if !finding.causes.is_empty() {
            say.push(("unknown because", self.places(finding.causes.iter())));
        }
        if let Some(fix) = &finding.fix {
            say.push(("fix here", fix.clone()));
        }
        for (name, text) in &say {
            group = group.element(Level::NOTE.with_name(*name).message(visible(text, &mut [])));
        }
        // A place and its line are given apart, so that the column is that of the file and not of the shown (redacted) line. The
        // renderer takes them for two places and puts a line of `:::` between them.
        for line in self.renderer.render(&[group]).lines().filter(|l| !is_separator(l)) {
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
    }

    /// Adds a source line with the part underlined.
    fn place<'g>(&self, group: Group<'g>, label: &Label, primary: bool) -> Group<'g> {
        let file = self.lines.file(label.span.file);
        let place = file.place(label.span.start.min(file.text.len() as u32));
        let origin = Origin::path(Untrusted(&file.path).to_string()).line(place.line as usize).char_column(place.column as usize);
        let group = group.element(origin);
        let (line, range) = self.lines.line(label.span);
        if line.trim().is_empty() {
            return group;
        }
        let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let mut text = visible(&label.text, &mut []);
        let last = file.place(label.span.end.saturating_sub(1).max(label.span.start).min(file.text.len() as u32)).line;
        if last > place.line {
            let sep = if text.is_empty() { "" } else { " " };
            text = format!("{text}{sep}(to line {last})");
        }
        let mut annotation = kind.span(range);
        if !text.is_empty() {
            annotation = annotation.label(text);
        }
        group.element(Snippet::source(line).line_start(place.line as usize).annotation(annotation))
    }

    /// `edge.nft:3: text, edge.nft:12`.
    fn places<'l>(&self, labels: impl Iterator<Item = &'l Label>) -> String {
        let mut parts = Vec::new();
        let mut more = 0;
        for label in labels {
            if parts.len() >= NAMED {
                more += 1;
                continue;
            }
            let file = self.lines.file(label.span.file);
            let line = file.place(label.span.start.min(file.text.len() as u32)).line;
            let at = format!("{}:{line}", file.path);
            parts.push(if label.text.is_empty() { at } else { format!("{} ({at})", label.text) });
        }
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        parts.join(", ")
    }
}

/// Whether a rendered line is nothing but `:::`, colours aside. Lines of a configuration have their number before them.
fn is_separator(line: &str) -> bool {
    let mut rest = line.trim();
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, r)| r);
    }
    plain.push_str(rest);
    plain.trim() == ":::"
}

/// What a finding says, whatever its place.
type Sense<'f> = (Verdict, &'f str, Option<&'f str>, bool);

fn sense(finding: &Finding) -> Sense<'_> {
    (finding.verdict, &finding.message, finding.fix.as_deref(), finding.witness.is_some())
}

/// `on 994 other devices: anna, bob, …`.
fn on_devices(devices: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = devices.iter().take(NAMED).copied().collect();
    let more = if devices.len() > NAMED { ", … (--all shows them)" } else { "" };
    format!("on {}: {}{more}", counted(devices.len(), "other device", "other devices"), named.join(", "))
}

/// Own text with its lines indented and wrapped.
fn paragraph(text: &str, indent: usize) -> String {
    let width = 100;
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        // `::` at the beginning of a line is a command to some build servers: `::/0` stays behind the word before it.
        if column > 0 && column + 1 + len > width && !word.starts_with("::") {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(&visible(word, &mut []));
        column += len;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Report, Witness};
    use crate::source::{Redactor, Sources, Span};

    fn check(findings: Vec<Finding>) -> CheckResult {
        CheckResult {
            id: "no-telnet".into(),
            title: "Telnet is closed".into(),
            severity: Severity::High,
            kind: "flow",
            ruleset: None,
            why: "Passwords cross in clear.".into(),
            fix: "Use ssh.".into(),
            refs: vec![],
            verdict: Verdict::Violated,
            considered: vec!["edge".into()],
            inapplicable: vec![],
            zones: vec!["office".into()],
            findings,
        }
    }

    fn rendered(text: &str, finding: impl Fn(&SourceFileId) -> Vec<Finding>, color: bool) -> String {
        let mut sources = Sources::default();
        let id = SourceFileId(sources.add("edge.nft", text.as_bytes()));
        let redactor = Redactor::new(&sources, [Span::new(id.0, 4, 17)].into_iter().filter(|_| text.starts_with("psk ")));
        let mut findings = finding(&id);
        for f in &mut findings {
            (f.check, f.severity) = ("no-telnet".into(), Severity::High);
        }
        let report =
            Report { checks: vec![check(findings)], devices: vec!["edge".into()], as_of: "2026-09-01".into(), ..Report::default() };
        let view = View {
            report: &report,
            sources: &sources,
            redactor: &redactor,
            fail_on: Severity::Medium,
            allow_incomplete: false,
            all: false,
            list_incomplete: false,
            color,
            workspace: Default::default(),
        };
        render(&view)
    }

    struct SourceFileId(crate::source::FileId);

    #[test]
    fn a_finding_shows_line_packet_way_and_advice() {
        let shown = rendered(
            "chain input\n  tcp dport 23 accept\n  drop\n",
            |id| {
                let mut f = Finding::new("telnet is open to the internet", Label::new(Span::new(id.0, 14, 33), "lets it in")).on("edge");
                f.related = vec![Label::new(Span::new(id.0, 36, 40), "never reached")];
                f.witness = Some(Witness {
                    words: "TCP from 203.0.113.7 port 40000 to 10.0.0.1 port 23".into(),
                    packet: "{}".into(),
                    path: vec![Label::new(Span::new(id.0, 14, 33), "")],
                    conditions: vec!["recent --name x".into()],
                });
                vec![f]
            },
            false,
        );
        let expected = "\
high[no-telnet]: edge: telnet is open to the internet
 --> edge.nft:2:3
  |
2 |   tcp dport 23 accept
  |   ^^^^^^^^^^^^^^^^^^^ lets it in
 ::: edge.nft:3:3
  |
3 |   drop
  |   ---- never reached
  |
  = packet: TCP from 203.0.113.7 port 40000 to 10.0.0.1 port 23
  = if: recent --name x
  = passed: edge.nft:2

  wanted: Telnet is closed
  why: Passwords cross in clear.
  fix: Use ssh.
";
        assert!(shown.starts_with(expected), "{shown}");
        assert!(shown.ends_with("fwproof: 0 files, 1 high, 0 waived, 0 unread: FAIL (fail-on medium)\n"), "{shown}");
    }

    #[test]
    fn a_secret_before_the_place_is_hidden_and_the_column_is_that_of_the_file() {
        let finding = |id: &SourceFileId| vec![Finding::new("m", Label::new(Span::new(id.0, 18, 22), ""))];
        let shown = rendered("psk hunter2hunter here\n", finding, false);
        assert!(!shown.contains("hunter2") && shown.contains("edge.nft:1:19"), "{shown}");
        assert!(shown.contains("1 | psk <secret 1> here\n  |                ^^^^"), "{shown}");
    }

    #[test]
    fn equal_findings_are_one_with_places_and_many_are_cut() {
        let text = "accept\n".repeat(40);
        let same = |id: &SourceFileId| (0..10).map(|i| Finding::new("same", Label::new(Span::new(id.0, i * 7, i * 7 + 6), ""))).collect();
        let shown = rendered(&text, same, false);
        assert!(shown.contains("= also: edge.nft:2, edge.nft:3, edge.nft:4, edge.nft:5, edge.nft:6, edge.nft:7, and 3 more"), "{shown}");
        let other = |id: &SourceFileId| {
            (0..40).map(|i| Finding::new(format!("m{i}"), Label::new(Span::new(id.0, i * 7, i * 7 + 6), "")).on("edge")).collect()
        };
        let shown = rendered(&text, other, false);
        assert!(shown.contains("... and 35 more findings on edge (--all shows them)"), "{shown}");
        assert_eq!(shown.matches("\nhigh[").count() + 1, 5);
        let fleet = |id: &SourceFileId| {
            (0..40).map(|i| Finding::new("m", Label::new(Span::new(id.0, i * 7, i * 7 + 6), "")).on(&format!("d{i:02}"))).collect()
        };
        let shown = rendered(&text, fleet, false);
        assert_eq!(shown.matches("high[").count(), 1, "{shown}");
        assert!(shown.contains("= also: on 39 other devices: d01, d02, d03, d04, d05, d06, … (--all shows them)"), "{shown}");
    }

    #[test]
    fn all_of_ipv6_is_shown_as_it_is_and_begins_no_line() {
        let text = format!("{} ::/0 and more", "word ".repeat(19));
        let shown = paragraph(&text, 2);
        assert!(shown.contains("word ::/0\n  and more"), "{shown}");
        let finding = |id: &SourceFileId| vec![Finding::new("::/0 is given to two peers", Label::new(Span::new(id.0, 0, 3), "::/0"))];
        assert!(rendered("tab\n", finding, false).contains("high[no-telnet]: ::/0 is given"));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let finding = |id: &SourceFileId| vec![Finding::new("m", Label::new(Span::new(id.0, 0, 3), "x"))];
        let plain = rendered("tab\tab\n", finding, false);
        let mut styled = rendered("tab\tab\n", finding, true);
        while let Some(at) = styled.find('\u{1b}') {
            let end = styled[at..].find('m').map_or(styled.len(), |e| at + e + 1);
            styled.replace_range(at..end, "");
        }
        assert_eq!(styled, plain);
    }
}
