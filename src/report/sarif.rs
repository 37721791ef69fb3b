//! SARIF 2.1.0, as GitHub code scanning and GitLab show it.
//!
//! Facts about what GitHub takes and shows are of its pages "SARIF support for code scanning" and "SARIF results exceed one or more
//! limits"; facts about the format of the OASIS standard, errata 01.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::annotate::States;
use super::entries::{At, Entry, at, entries};
use super::json::safe;
use super::markdown::escape;
use super::{Lines, View, counted};
use crate::diag::{CheckResult, Finding, Label, Severity, Standing, Verdict};

/// GitHub shows so many results of a run, the worst by severity, and takes five times as many.
const RESULTS: usize = 5000;
/// GitHub shows so many locations of a result.
const LOCATIONS: usize = 100;
/// GitHub shows so many steps of a code flow.
const STEPS: usize = 1000;
/// Notifications about what was not fully understood.
const NOTES: usize = 1000;
/// Tags of a rule that GitHub takes.
const TAGS: usize = 20;
/// Characters of a description of a rule that GitHub takes.
const DESCRIPTION: usize = 1024;
/// Notes that count for one file at most, by what they say.
const REASONS: usize = 50;

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let page = Page { view, lines: &lines };
    let report = view.report;
    let found = entries(view, &lines);
    let index: BTreeMap<&str, usize> = report.checks.iter().enumerate().map(|(i, c)| (c.id.as_str(), i)).collect();
    let mut cut = Cut::default();
    let results: Vec<Value> = found.iter().take(RESULTS).map(|e| page.result(e, &index, &mut cut)).collect();
    cut.results = found.len() - results.len();
    let conclusion = report.conclusion(view.fail_on, view.allow_incomplete);
    let run = json!({
        "automationDetails": { "id": "fwproof/check/" },
        "tool": { "driver": {
            "name": "fwproof",
            "version": env!("CARGO_PKG_VERSION"),
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "shortDescription": { "text": "Proves what firewalls and VPNs let through" },
            "rules": report.checks.iter().map(|c| page.rule(c)).collect::<Vec<_>>(),
            "notifications": descriptors(),
        } },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": { "%SRCROOT%": { "description": { "text": "The root of the repository, or the folder of the run" } } },
        "invocations": [{
            "executionSuccessful": report.incomplete.is_empty() || view.allow_incomplete,
            "exitCode": conclusion.exit_code(),
            "exitCodeDescription": conclusion.name(),
            "toolExecutionNotifications": page.notifications(&cut),
        }],
        "artifacts": report.files.iter().filter(|f| f.format.is_some()).map(|f| {
            let states = States::of(f);
            json!({
                "location": page.artifact(&lines.file(f.file).path),
                "roles": ["analysisTarget"],
                "properties": { "format": f.format, "device": f.device.as_deref().map(|d| lines.clean(d)), "lines": states },
            })
        }).collect::<Vec<_>>(),
        "results": results,
        "properties": {
            "title": lines.clean(&report.title),
            "asOf": report.as_of,
            "failOn": view.fail_on,
            "conclusion": conclusion.name(),
            "devices": report.devices.iter().map(|d| lines.clean(d)).collect::<Vec<_>>(),
        },
    });
    let log = json!({ "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run] });
    safe(&serde_json::to_string_pretty(&log).unwrap_or_default()) + "\n"
}

/// What was left out for the sake of the limits.
#[derive(Default)]
struct Cut {
    results: usize,
    locations: usize,
    steps: usize,
}

struct Page<'a> {
    view: &'a View<'a>,
    lines: &'a Lines<'a>,
}

impl Page<'_> {
    fn rule(&self, check: &CheckResult) -> Value {
        let title = self.lines.prose(&check.title);
        let why = self.lines.prose(&check.why);
        let fix = self.lines.prose(&check.fix);
        let refs: Vec<String> = check.refs.iter().map(|r| self.lines.clean(r)).collect();
        let mut tags = vec!["security".to_owned(), check.kind.to_owned()];
        tags.extend(check.ruleset.iter().map(|r| self.lines.clean(r)));
        tags.extend(refs.iter().cloned());
        let mut once = BTreeSet::new();
        tags.retain(|t| once.insert(t.clone()));
        tags.truncate(TAGS);
        let mut properties = json!({
            "tags": tags,
            "precision": "very-high",
            "severity": check.severity,
            "kind": check.kind,
            "ruleset": check.ruleset.as_deref().map(|r| self.lines.clean(r)),
            "verdict": check.verdict,
            "considered": check.considered.len(),
            "notShownBy": check.inapplicable.iter().map(|d| self.lines.clean(d)).collect::<Vec<_>>(),
        });
        if let Some(number) = security_severity(check.severity) {
            properties["security-severity"] = json!(number);
        }
        let part = |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("{name}: {text}\n") };
        let bold = |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("\n\n**{name}:** {}", escape(text)) };
        let refs = refs.join(", ");
        json!({
            "id": check.id,
            "name": pascal(&check.id),
            "shortDescription": { "text": bounded(&title) },
            "fullDescription": { "text": bounded(if why.is_empty() { &title } else { &why }) },
            "defaultConfiguration": { "level": level(check.severity) },
            "help": {
                "text": format!("{title}\n{}{}{}", part("Why", &why), part("Fix", &fix), part("References", &refs)),
                "markdown": format!("{}{}{}{}", escape(&title), bold("Why", &why), bold("Fix", &fix), bold("References", &refs)),
            },
            "properties": properties,
        })
    }

    fn result(&self, entry: &Entry<'_>, index: &BTreeMap<&str, usize>, cut: &mut Cut) -> Value {
        let finding = entry.finding;
        let place = |label: &Label| self.location(&at(self.lines, label.span), &label.text);
        let mut main = self.location(&entry.at, &finding.primary.text);
        if let Some(device) = &finding.device {
            main["logicalLocations"] = json!([{ "name": self.lines.clean(device), "kind": "device" }]);
        }
        let mut related: Vec<Value> = Vec::new();
        for label in finding.related.iter().chain(&finding.causes) {
            if related.len() >= LOCATIONS {
                cut.locations += finding.related.len() + finding.causes.len() - related.len();
                break;
            }
            let mut location = place(label);
            location["id"] = json!(related.len() + 1);
            related.push(location);
        }
        let mut result = json!({
            "ruleId": finding.check,
            "level": result_level(finding),
            "message": { "text": self.message(finding) },
            "locations": [main],
            "partialFingerprints": { "fwproof/v1": entry.key },
            "suppressions": finding.waived.iter()
                .map(|w| json!({ "kind": "external", "status": "accepted", "justification": self.lines.prose(w) }))
                .collect::<Vec<_>>(),
            "properties": {
                "verdict": finding.verdict,
                "severity": finding.severity,
                "device": finding.device.as_deref().map(|d| self.lines.clean(d)),
                "packet": finding.witness.as_ref().map(|w| self.lines.clean(&w.words)),
            },
        });
        if let Some(i) = index.get(finding.check.as_str()) {
            result["ruleIndex"] = json!(i);
        }
        if let Some(standing) = finding.standing {
            result["baselineState"] = json!(match standing {
                Standing::Same => "unchanged",
                Standing::Changed | Standing::Worse => "updated",
                Standing::New => "new",
            });
        }
        if finding.count > 1 {
            result["occurrenceCount"] = json!(finding.count);
        }
        if !related.is_empty() {
            result["relatedLocations"] = json!(related);
        }
        if let Some(witness) = finding.witness.as_ref().filter(|w| !w.path.is_empty()) {
            let steps: Vec<Value> = witness.path.iter().take(STEPS).map(|l| json!({ "location": place(l) })).collect();
            cut.steps += witness.path.len() - steps.len();
            result["codeFlows"] =
                json!([{ "message": { "text": plain(&self.lines.clean(&witness.words)) }, "threadFlows": [{ "locations": steps }] }]);
        }
        result
    }

    /// The sentence, the packet, and a link to each other place: GitHub shows a related location only where the text links to it.
    fn message(&self, finding: &Finding) -> String {
        let unknown = if finding.verdict == Verdict::Violated { "" } else { finding.verdict.name() };
        let sep = if unknown.is_empty() { "" } else { ": " };
        let mut text = format!("{unknown}{sep}{}.", plain(&self.lines.sentence(finding)));
        for (name, detail) in self.lines.details(finding, 20) {
            // These two are links.
            if name != "see also" && name != "unknown because" {
                text.push_str(&format!("\n{name}: {}", plain(&detail)));
            }
        }
        let mut id = 0;
        let mut links = |name: &str, labels: &[Label]| {
            if labels.is_empty() {
                return;
            }
            let mut parts: Vec<String> = Vec::new();
            for label in labels.iter().take(LOCATIONS.saturating_sub(id)) {
                id += 1;
                let at = at(self.lines, label.span);
                let place = format!("{}:{}", self.lines.clean(at.path), at.line);
                let words = if label.text.is_empty() { place } else { format!("{} ({place})", self.lines.clean(&label.text)) };
                parts.push(format!("[{}]({id})", plain(&words)));
            }
            if parts.len() < labels.len() {
                parts.push(format!("and {} more", labels.len() - parts.len()));
            }
            text.push_str(&format!("\n{name}: {}", parts.join(", ")));
        };
        links("see also", &finding.related);
        links("unknown because", &finding.causes);
        text
    }

    fn location(&self, at: &At<'_>, text: &str) -> Value {
        let mut region = json!({ "startLine": at.line });
        // One line: a result is shown in a pull request only if all its lines belong to the change. A place without extent is its line.
        if at.end_column > at.column {
            region["startColumn"] = json!(at.column);
            region["endColumn"] = json!(at.end_column);
            region["endLine"] = json!(at.line);
        }
        let mut location = json!({ "physicalLocation": { "artifactLocation": self.artifact(at.path), "region": region } });
        if !text.is_empty() {
            location["message"] = json!({ "text": plain(&self.lines.clean(text)) });
        }
        location
    }

    fn artifact(&self, path: &str) -> Value {
        let (uri, relative) = self.view.workspace.uri(&self.lines.scrub(path));
        if relative { json!({ "uri": uri, "uriBaseId": "%SRCROOT%" }) } else { json!({ "uri": uri }) }
    }

    /// What could not be read, what was not fully understood, what was not shown by any export, and what was left out here.
    fn notifications(&self, cut: &Cut) -> Vec<Value> {
        let mut out = Vec::new();
        let mut say = |id: &str, level: &str, text: String, location: Option<Value>| {
            let mut note = json!({ "descriptor": { "id": id }, "level": level, "message": { "text": plain(&text) } });
            if let Some(location) = location {
                note["locations"] = json!([location]);
            }
            out.push(note);
        };
        for i in &self.view.report.incomplete {
            let level = if self.view.allow_incomplete { "warning" } else { "error" };
            let place = match i.span {
                Some(span) => self.location(&at(self.lines, span), ""),
                None => json!({ "physicalLocation": { "artifactLocation": self.artifact(&i.path) } }),
            };
            say(INCOMPLETE, level, format!("{}: {}", self.lines.clean(&i.path), self.lines.prose(&i.text)), Some(place));
        }
        if cut.results > 0 {
            say(
                CUT,
                "warning",
                format!("{} left out: only the worst {RESULTS} are shown", counted(cut.results, "result", "results")),
                None,
            );
        }
        if cut.locations > 0 {
            let what = counted(cut.locations, "related location", "related locations");
            say(CUT, "note", format!("{what} left out: at most {LOCATIONS} of a result are shown"), None);
        }
        if cut.steps > 0 {
            let what = counted(cut.steps, "step", "steps");
            say(CUT, "note", format!("{what} of packets' ways left out: at most {STEPS} of one are shown"), None);
        }
        for check in self.view.report.checks.iter().filter(|c| !c.inapplicable.is_empty()) {
            let devices = check.inapplicable.iter().take(20).map(|d| self.lines.clean(d)).collect::<Vec<_>>().join(", ");
            let more = if check.inapplicable.len() > 20 { ", …" } else { "" };
            say(NOT_SHOWN, "note", format!("{}: what it asks is not shown by any export of {devices}{more}", check.id), None);
        }
        let mut left = (NOTES, 0usize);
        for file in &self.view.report.files {
            let mut by_text: BTreeMap<(&str, &str), Vec<&crate::diag::Note>> = BTreeMap::new();
            for note in &file.notes {
                by_text.entry((note.state.name(), &note.text)).or_default().push(note);
            }
            let mut groups: Vec<_> = by_text.into_iter().collect();
            groups.sort_by_key(|(_, notes)| notes.iter().map(|n| n.span).min());
            for (i, ((state, text), notes)) in groups.into_iter().enumerate() {
                if i >= REASONS || left.0 == 0 {
                    left.1 += notes.len();
                    continue;
                }
                left.0 -= 1;
                let Some(first) = notes.iter().map(|n| n.span).min() else { continue };
                let place = at(self.lines, first);
                let more = if notes.len() > 1 { format!(" (and {} more like it)", notes.len() - 1) } else { String::new() };
                let what = state.replace('_', " ");
                let text = format!("{}:{}: {what}: {}{more}", self.lines.clean(place.path), place.line, self.lines.clean(text));
                say(NOTE, "note", text, Some(self.location(&place, "")));
            }
        }
        if left.1 > 0 {
            say(CUT, "note", format!("{} left out about what was not fully understood", counted(left.1, "more note", "more notes")), None);
        }
        out
    }
}

const INCOMPLETE: &str = "incomplete";
const NOTE: &str = "not-fully-understood";
const NOT_SHOWN: &str = "not-shown";
const CUT: &str = "left-out";

fn descriptors() -> Value {
    json!([
        { "id": INCOMPLETE, "shortDescription": { "text": "Something could not be read or judged: the analysis is incomplete" } },
        { "id": NOTE, "shortDescription": { "text": "Lines that were not fully understood: a check that could turn on one is unknown" } },
        { "id": NOT_SHOWN, "shortDescription": { "text": "A check that could not look at a device, because no export of it shows what it asks" } },
        { "id": CUT, "shortDescription": { "text": "Left out of this report because of its limits" } },
    ])
}

/// GitHub's bounds: above 9.0 critical, from 7.0 high, from 4.0 medium, from 0.1 low.
fn security_severity(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.5"),
        Severity::Info => None,
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// The standard has the kind `open` for what could not be decided, with the level `none`; those who show results hide that level or know of no
/// kind, and an unknown must not look green. So it is a failure, a warning at most, and its text says that it is unknown.
fn result_level(finding: &Finding) -> &'static str {
    match (finding.verdict, level(finding.severity)) {
        (Verdict::Unknown | Verdict::Overdue, "error") => "warning",
        (_, level) => level,
    }
}

/// Text of a message in which nothing is a link (section 3.11.6 of the standard) or a placeholder (3.11.5).
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' | '[' | ']' => out.extend(['\\', c]),
            '{' => {
                let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                if digits > 0 && rest[digits..].starts_with('}') {
                    out.push_str(&format!("{{{{{}}}}}", &rest[..digits]));
                    rest = &rest[digits + 1..];
                } else {
                    out.push(c);
                }
            }
            _ => out.push(c),
        }
    }
    out
}

fn bounded(text: &str) -> String {
    if text.chars().count() <= DESCRIPTION { text.to_owned() } else { text.chars().take(DESCRIPTION - 1).chain(['…']).collect() }
}

/// `NoShadowedRule` of `no-shadowed-rule`.
fn pascal(id: &str) -> String {
    let word = |w: &str| w.chars().take(1).flat_map(char::to_uppercase).chain(w.chars().skip(1)).collect::<String>();
    id.split('-').map(word).collect::<String>().chars().take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_configuration_becomes_a_link_or_a_placeholder() {
        assert_eq!(plain(r"see [this](1) \ {0} { 22, 443 } {12"), r"see \[this\](1) \\ {{0}} { 22, 443 } {12");
        assert_eq!(pascal("no-shadowed-rule"), "NoShadowedRule");
    }
}
