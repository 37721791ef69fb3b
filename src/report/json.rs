//! The report for programs: JSON of a fixed shape, `fwproof-report/1`.
//!
//! Lines and columns count from 1 (columns in characters), byte offsets from 0 in the decoded text. Keys are added, never changed or
//! taken away, while the number of the schema stays.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use super::annotate::States;
use super::{Lines, View};
use crate::diag::{CheckResult, Comparison, Finding, Incomplete, Label, Severity, Standing, Verdict, Witness, Worker};

/// Name and version of the shape.
pub const SCHEMA: &str = "fwproof-report/1";

/// What `fwproof check --format json` found out.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Report")]
struct Doc<'a> {
    /// Name and version of this shape: `fwproof-report/1`.
    schema: &'static str,
    /// Version of the program.
    fwproof: &'static str,
    title: &'a str,
    /// The day as of which it was judged, `YYYY-MM-DD`.
    as_of: &'a str,
    /// From which severity upwards findings fail the run.
    fail_on: Severity,
    /// `PASS`, `FAIL` or `INCOMPLETE`.
    conclusion: &'static str,
    /// 0, 1 or 3, as the process ends.
    exit_code: u8,
    summary: Summary,
    /// Names of devices.
    devices: &'a [String],
    files: Vec<File<'a>>,
    /// The roster of remote workers, in its order; not there without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    workers: Vec<WorkerDoc<'a>>,
    /// Empty: everything was read and judged.
    incomplete: Vec<Unread<'a>>,
    /// Every check that ran, whether or not it holds.
    checks: Vec<Check<'a>>,
    /// What it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Compared<'a>>,
    /// Of a run that was cut (`--shard`): what `fwproof merge` needs. Its form is nobody else's business.
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<Value>,
}

/// What it was compared with, and what is no longer there.
#[derive(Serialize, JsonSchema)]
struct Compared<'a> {
    /// What with, in words.
    with: &'a [String],
    /// Findings of then that are not there now.
    gone: Vec<GoneDoc<'a>>,
}

/// A finding that is no longer there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Gone")]
struct GoneDoc<'a> {
    fingerprint: &'a str,
    check: &'a str,
    severity: Severity,
    verdict: Verdict,
    device: Option<&'a str>,
    /// What it said; null: not kept.
    message: Option<&'a str>,
    /// Why it may have gone, other than by being mended.
    because: Option<&'static str>,
}

/// Counts.
#[derive(Serialize, JsonSchema)]
struct Summary {
    files: usize,
    /// Violated and overdue findings that are not waived.
    findings: BySeverity,
    unknown: usize,
    waived: usize,
    /// Findings that were there before and are no worse, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<usize>,
    /// Findings of an earlier time that are not there now, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<usize>,
    /// Files of which not everything could be read.
    unread: usize,
    checks: ByVerdict,
}

/// Findings by severity.
#[derive(Serialize, JsonSchema)]
struct BySeverity {
    critical: usize,
    high: usize,
    medium: usize,
    low: usize,
    info: usize,
}

/// Checks by verdict.
#[derive(Serialize, JsonSchema)]
struct ByVerdict {
    holds: usize,
    violated: usize,
    unknown: usize,
    attested: usize,
    overdue: usize,
    not_applicable: usize,
}

/// A file of the run, as it was read.
#[derive(Serialize, JsonSchema)]
struct File<'a> {
    path: &'a str,
    /// Id of the format; null if none was recognised.
    format: Option<&'static str>,
    device: Option<&'a str>,
    /// How many lines ended in each of the five states.
    lines: States,
    notes: Vec<NoteAt<'a>>,
}

/// A device of somebody who works outside the office.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Worker")]
struct WorkerDoc<'a> {
    name: &'a str,
    device: &'a str,
    role: Option<&'a str>,
    /// As the roster says.
    platform: Option<&'a str>,
    /// The day on which the person left or leaves, `YYYY-MM-DD`.
    left: Option<&'a str>,
    /// The day on which what was read was exported, `YYYY-MM-DD`; null if it is not known.
    exported: Option<&'a str>,
    /// Something was read of the device.
    read: bool,
}

/// What was not fully understood.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Note")]
struct NoteAt<'a> {
    location: Location<'a>,
    /// `not_modelled`, `unsupported` or `unrecognised`.
    state: &'static str,
    text: &'a str,
}

/// Why the analysis is incomplete.
#[derive(Serialize, JsonSchema)]
struct Unread<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location<'a>>,
    text: &'a str,
}

/// A check with its answer.
#[derive(Serialize, JsonSchema)]
struct Check<'a> {
    id: &'a str,
    title: &'a str,
    severity: Severity,
    /// The analysis behind the check.
    kind: &'static str,
    /// The ruleset it came from; null for the user's own.
    ruleset: Option<&'a str>,
    verdict: Verdict,
    why: &'a str,
    fix: &'a str,
    refs: &'a [String],
    /// Devices, people or attestations that it was judged on.
    considered: &'a [String],
    /// Devices whose exports never show what it asks.
    not_shown_by: &'a [String],
    /// Zones that it protects.
    zones: &'a [String],
    findings: Vec<FindingDoc<'a>>,
}

/// What does not hold, or is not known.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
struct FindingDoc<'a> {
    /// Stays the same while the finding does: no line numbers in it.
    fingerprint: String,
    verdict: Verdict,
    severity: Severity,
    device: Option<&'a str>,
    message: &'a str,
    /// What it is about, stable against moved lines.
    subject: &'a str,
    /// How many places of the same kind it stands for.
    count: u32,
    /// The waiver that accepts it: reason, owner and expiry.
    waived: Option<&'a str>,
    /// `known`, `changed`, `worse` or `new`, where it was compared with an earlier time. The first two do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<&'static str>,
    location: Location<'a>,
    /// The source line, secrets taken out.
    source: String,
    related: Vec<LabelDoc<'a>>,
    witness: Option<WitnessDoc<'a>>,
    /// For what is unknown: what was not understood, or is missing.
    causes: Vec<LabelDoc<'a>>,
    fix: Option<&'a str>,
}

/// A place with a few words.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Label")]
struct LabelDoc<'a> {
    location: Location<'a>,
    text: &'a str,
}

/// A packet that shows a finding.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Witness")]
struct WitnessDoc<'a> {
    words: &'a str,
    /// A line of `trace --packets` as an object; as a string should it be none.
    packet: Value,
    /// The rules that it passed, in order, the deciding one last.
    passed: Vec<LabelDoc<'a>>,
    /// What is not modelled and must be so (or not so) for it.
    conditions: &'a [String],
}

/// A place. Lines and columns count from 1, columns in characters; the end is exclusive.
#[derive(Serialize, JsonSchema)]
struct Location<'a> {
    path: &'a str,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
    /// Byte offsets in the decoded text.
    start: u32,
    end: u32,
}

/// The JSON Schema of the report.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Doc<'static>>();
    schema.insert("title".into(), "A report of fwproof (fwproof-report/1)".into());
    schema.to_value()
}

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let report = view.report;
    let lines = Lines::new(view.sources, view.redactor, &report.files);
    let conclusion = report.conclusion(view.fail_on, view.allow_incomplete);
    let doc = Doc {
        schema: SCHEMA,
        fwproof: env!("CARGO_PKG_VERSION"),
        title: &report.title,
        as_of: &report.as_of,
        fail_on: view.fail_on,
        conclusion: conclusion.name(),
        exit_code: conclusion.exit_code(),
        summary: summary(view),
        devices: &report.devices,
        files: report
            .files
            .iter()
            .map(|f| File {
                path: &lines.file(f.file).path,
                format: f.format,
                device: f.device.as_deref(),
                lines: States::of(f),
                notes: f
                    .notes
                    .iter()
                    .map(|n| NoteAt { location: location(&lines, n.span), state: n.state.name(), text: &n.text })
                    .collect(),
            })
            .collect(),
        workers: report.workers.iter().map(worker).collect(),
        incomplete: report.incomplete.iter().map(|i| unread(&lines, i)).collect(),
        checks: report.checks.iter().map(|c| check(&lines, c)).collect(),
        comparison: report.comparison.as_ref().map(compared),
        shard: None,
    };
    let mut text = serde_json::to_string_pretty(&doc).unwrap_or_default();
    text.push('\n');
    safe(&view.redactor.scrub(&text))
}

fn compared(comparison: &Comparison) -> Compared<'_> {
    let gone = comparison.gone.iter().map(|g| GoneDoc {
        fingerprint: &g.past.fingerprint,
        check: &g.past.check,
        severity: g.past.severity,
        verdict: g.past.verdict,
        device: g.past.device.as_deref(),
        message: g.past.message.as_deref(),
        because: g.because,
    });
    Compared { with: &comparison.with, gone: gone.collect() }
}

/// A finished report with the share of a run that was cut.
pub fn with_share(text: &str, share: &impl Serialize) -> String {
    let share = safe(&serde_json::to_string(share).unwrap_or_default());
    let before = text.trim_end().strip_suffix('}').unwrap_or(text).trim_end();
    format!("{before},\n  \"shard\": {share}\n}}\n")
}

fn summary(view: &View<'_>) -> Summary {
    let tally = view.report.tally();
    let [critical, high, medium, low, info] = tally.findings;
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for check in &view.report.checks {
        *verdicts.entry(check.verdict).or_default() += 1;
    }
    let of = |v: Verdict| verdicts.get(&v).copied().unwrap_or(0);
    Summary {
        files: tally.files,
        findings: BySeverity { critical, high, medium, low, info },
        unknown: tally.unknown,
        waived: tally.waived,
        known: view.report.comparison.as_ref().map(|_| tally.known),
        gone: view.report.comparison.as_ref().map(|c| c.gone.len()),
        unread: tally.unread,
        checks: ByVerdict {
            holds: of(Verdict::Holds),
            violated: of(Verdict::Violated),
            unknown: of(Verdict::Unknown),
            attested: of(Verdict::Attested),
            overdue: of(Verdict::Overdue),
            not_applicable: of(Verdict::NotApplicable),
        },
    }
}

fn worker(w: &Worker) -> WorkerDoc<'_> {
    WorkerDoc {
        name: &w.name,
        device: &w.device,
        role: w.role.as_deref(),
        platform: w.platform.as_deref(),
        left: w.left.as_deref(),
        exported: w.exported.as_deref(),
        read: w.read,
    }
}

fn unread<'a>(lines: &Lines<'a>, incomplete: &'a Incomplete) -> Unread<'a> {
    Unread { path: &incomplete.path, location: incomplete.span.map(|s| location(lines, s)), text: &incomplete.text }
}

fn check<'a>(lines: &Lines<'a>, check: &'a CheckResult) -> Check<'a> {
    Check {
        id: &check.id,
        title: &check.title,
        severity: check.severity,
        kind: check.kind,
        ruleset: check.ruleset.as_deref(),
        verdict: check.verdict,
        why: &check.why,
        fix: &check.fix,
        refs: &check.refs,
        considered: &check.considered,
        not_shown_by: &check.inapplicable,
        zones: &check.zones,
        findings: check.findings.iter().map(|f| finding(lines, f)).collect(),
    }
}

fn finding<'a>(lines: &Lines<'a>, finding: &'a Finding) -> FindingDoc<'a> {
    FindingDoc {
        fingerprint: finding.fingerprint(),
        compared: finding.standing.map(Standing::name),
        verdict: finding.verdict,
        severity: finding.severity,
        device: finding.device.as_deref(),
        message: &finding.message,
        subject: &finding.subject,
        count: finding.count,
        waived: finding.waived.as_deref(),
        location: location(lines, finding.primary.span),
        source: lines.line(finding.primary.span).0,
        related: labels(lines, &finding.related),
        witness: finding.witness.as_ref().map(|w| witness(lines, w)),
        causes: labels(lines, &finding.causes),
        fix: finding.fix.as_deref(),
    }
}

fn witness<'a>(lines: &Lines<'a>, witness: &'a Witness) -> WitnessDoc<'a> {
    WitnessDoc {
        words: &witness.words,
        packet: serde_json::from_str(&witness.packet).unwrap_or_else(|_| Value::String(witness.packet.clone())),
        passed: labels(lines, &witness.path),
        conditions: &witness.conditions,
    }
}

fn labels<'a>(lines: &Lines<'a>, labels: &'a [Label]) -> Vec<LabelDoc<'a>> {
    labels.iter().map(|l| LabelDoc { location: location(lines, l.span), text: &l.text }).collect()
}

fn location<'a>(lines: &Lines<'a>, span: crate::source::Span) -> Location<'a> {
    let file = lines.file(span.file);
    let most = file.text.len() as u32;
    let (start, end) = (span.start.min(most), span.end.min(most));
    let (from, to) = (file.place(start), file.place(end));
    Location { path: &file.path, line: from.line, column: from.column, end_line: to.line, end_column: to.column, start, end }
}

/// The same JSON without what a terminal or a build server could take for more than text: such characters are written as escapes.
pub(crate) fn safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut last = '\0';
    for c in json.chars() {
        let escape = match c {
            // `##[group]`, `##vso[…]`: two of these never stand together outside of a string.
            '#' => last == '#',
            '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => true,
            '\u{e0000}'..='\u{e0fff}' => true,
            _ => false,
        };
        last = c;
        if escape {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_leave_the_value_as_it_was() {
        let value = serde_json::json!({"a": "##vso[x] \u{202e} \u{e0041} ### \u{9b}31m"});
        let text = safe(&value.to_string());
        assert!(!text.contains("##") && text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
