//! JUnit XML, as Jenkins, GitLab and others show it. Elements and attributes are those of Jenkins' `junit-10.xsd`, the strictest in use.
//!
//! Every check is a test, and every finding a test of its own, so that one failure hides no other. Tests fail where the run fails: findings
//! below `--fail-on` are skipped tests that say so.

use super::entries::{Entry, entries, level_words};
use super::markup::Markup;
use super::{Lines, View, counted};
use crate::diag::{CheckResult, Verdict};

/// Rules of a way and other places that are named at most.
const NAMED: usize = 20;

#[derive(Clone, Copy, Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// What becomes of a test.
enum Fate {
    Passed,
    Failed,
    Error,
    Skipped,
}

impl Counts {
    fn add(&mut self, fate: &Fate) {
        self.tests += 1;
        match fate {
            Fate::Passed => {}
            Fate::Failed => self.failures += 1,
            Fate::Error => self.errors += 1,
            Fate::Skipped => self.skipped += 1,
        }
    }
}

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let found = entries(view, &lines);
    let mut names: Vec<&str> = Vec::new();
    for check in &view.report.checks {
        let name = suite(check);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut suites = Vec::new();
    let mut total = Counts::default();
    let mut add = |name: &str, (body, counts): (String, Counts)| {
        total.tests += counts.tests;
        total.failures += counts.failures;
        total.errors += counts.errors;
        total.skipped += counts.skipped;
        suites.push((name.to_owned(), body, counts));
    };
    for name in names {
        add(name, checks(view, &lines, &found, name));
    }
    // A report without any test is taken for a broken one.
    if !view.report.incomplete.is_empty() || view.report.checks.is_empty() {
        add("reading", reading(view, &lines));
    }
    let mut page = Markup::new(&lines);
    page.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"fwproof\"");
    numbers(&mut page, total, false);
    page.raw(">\n");
    let mut out = page.finish();
    for (name, body, counts) in suites {
        let mut page = Markup::new(&lines);
        page.raw("  <testsuite").attr("name", &name);
        numbers(&mut page, counts, true);
        page.raw(">\n");
        out.push_str(&page.finish());
        out.push_str(&body);
        out.push_str("  </testsuite>\n");
    }
    out + "</testsuites>\n"
}

fn suite(check: &CheckResult) -> &str {
    check.ruleset.as_deref().unwrap_or("own checks")
}

fn numbers(page: &mut Markup<'_>, counts: Counts, skipped: bool) {
    page.attr("tests", &counts.tests.to_string()).attr("failures", &counts.failures.to_string()).attr("errors", &counts.errors.to_string());
    if skipped {
        page.attr("skipped", &counts.skipped.to_string());
    }
}

/// The tests of a ruleset.
fn checks(view: &View<'_>, lines: &Lines<'_>, found: &[Entry<'_>], name: &str) -> (String, Counts) {
    let mut page = Markup::new(lines);
    let mut counts = Counts::default();
    for check in view.report.checks.iter().filter(|c| suite(c) == name) {
        if check.findings.is_empty() {
            let fate = whole(&mut page, view, check);
            counts.add(&fate);
        }
    }
    for entry in found.iter().filter(|e| suite(e.check) == name) {
        let fate = finding(&mut page, view, lines, entry);
        counts.add(&fate);
    }
    (page.finish(), counts)
}

fn open(page: &mut Markup<'_>, class: &str, name: &str) {
    page.raw("    <testcase").attr("classname", &format!("fwproof.{class}")).attr("name", name);
}

/// A check without findings.
fn whole(page: &mut Markup<'_>, view: &View<'_>, check: &CheckResult) -> Fate {
    open(page, suite(check), &format!("{}: {}", check.id, check.title));
    match check.verdict {
        Verdict::Holds | Verdict::Attested => {
            page.raw(">\n      <system-out>").text(&says(check)).raw("</system-out>\n    </testcase>\n");
            Fate::Passed
        }
        Verdict::NotApplicable => {
            let devices = check.inapplicable.join(", ");
            page.raw(">\n      <skipped").attr("message", &format!("not applicable: no export of these shows what it asks: {devices}"));
            page.raw("/>\n    </testcase>\n");
            Fate::Skipped
        }
        verdict => {
            let failed = check.severity >= view.fail_on;
            let words = level_words(verdict, check.severity);
            page.raw(if failed { ">\n      <failure" } else { ">\n      <skipped" }).attr("type", &words).attr("message", verdict.name());
            page.raw("/>\n    </testcase>\n");
            if failed { Fate::Failed } else { Fate::Skipped }
        }
    }
}

/// `holds on edge-fw, vpn-gw`.
fn says(check: &CheckResult) -> String {
    let mut text = check.verdict.name().to_owned();
    if !check.considered.is_empty() {
        let more = check.considered.len().saturating_sub(NAMED);
        let names = check.considered.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        text += &format!(" for {names}");
        if more > 0 {
            text += &format!(" and {more} more");
        }
    }
    if !check.inapplicable.is_empty() {
        text += &format!(" (not shown by any export of {})", check.inapplicable.join(", "));
    }
    text
}

fn finding(page: &mut Markup<'_>, view: &View<'_>, lines: &Lines<'_>, entry: &Entry<'_>) -> Fate {
    let (check, finding) = (entry.check, entry.finding);
    let sentence = lines.sentence(finding);
    // Names must differ, or one test is taken for a second run of another.
    open(page, suite(check), &format!("{}: {sentence} [{}]", check.id, entry.key));
    page.raw(">\n      ");
    let level = entry.level_words();
    let place = format!("{}:{}:{}", entry.at.path, entry.at.line, entry.at.column);
    let (tag, end, message, fate) = match finding.aside() {
        Some((word, why)) => ("<skipped", "</skipped>", format!("{word}: {why}"), Fate::Skipped),
        None if entry.fails(view.fail_on) => ("<failure", "</failure>", format!("{place}: {level}: {sentence}"), Fate::Failed),
        None => {
            ("<skipped", "</skipped>", format!("below the bar (fail-on {}): {place}: {level}: {sentence}", view.fail_on), Fate::Skipped)
        }
    };
    page.raw(tag).attr("type", &level).attr("message", &message).raw(">");
    page.text(&format!("{level}: {sentence}")).raw("\n--> ").text(&place);
    page.raw("\n | ").shown(&lines.line(finding.primary.span).0);
    let mut part = |name: &str, text: &str| {
        if !text.trim().is_empty() {
            page.raw("\n").prose(name).raw(": ").prose(text);
        }
    };
    for (name, text) in lines.details(finding, NAMED) {
        part(name, &text);
    }
    part("wanted", &check.title);
    part("why", &check.why);
    part("fix", &check.fix);
    part("refs", &check.refs.join(", "));
    page.raw("\n").raw(end).raw("\n    </testcase>\n");
    fate
}

/// What could not be read, as errors; a passed test if there is nothing of the kind.
fn reading(view: &View<'_>, lines: &Lines<'_>) -> (String, Counts) {
    let mut page = Markup::new(lines);
    let mut counts = Counts::default();
    if view.report.incomplete.is_empty() {
        open(&mut page, "reading", &format!("{} read", counted(view.report.files.len(), "file", "files")));
        page.raw("/>\n");
        counts.add(&Fate::Passed);
    }
    for (i, incomplete) in view.report.incomplete.iter().enumerate() {
        let at = incomplete.span.map_or_else(|| incomplete.path.clone(), |s| lines.locate(s));
        open(&mut page, "reading", &format!("{}: {at}", i + 1));
        page.raw(">\n      ");
        page.raw(if view.allow_incomplete { "<skipped" } else { "<error" }).attr("type", "incomplete");
        page.attr("message", &format!("{at}: {}", incomplete.text)).raw("/>\n    </testcase>\n");
        counts.add(if view.allow_incomplete { &Fate::Skipped } else { &Fate::Error });
    }
    (page.finish(), counts)
}
