//! From an inventory to a report.

use std::collections::HashSet;

use jiff::civil::Date;
use rayon::prelude::*;

use super::{Inventory, guarded, in_pool};
use crate::checks::{Outcome, Person, World, exposure, select};
use crate::diag::{CheckResult, Exposure, FileReport, Finding, Incomplete, Label, Report, Verdict, Worker};
use crate::rulesets::{Baseline, Entry};
use crate::source::Redactor;

/// Judges what was read against a baseline, as of a day, on `threads` threads (0: one per processor). `redactor` is
/// [`Inventory::redactor`]; every text of the report has passed it.
pub fn check(inventory: &Inventory, baseline: &Baseline, redactor: &Redactor, as_of: Date, threads: usize) -> Report {
    let world = baseline.world(&inventory.devices, &inventory.sources, redactor, as_of, inventory.exported.clone());
    let outcomes = in_pool(threads, || baseline.checks.par_iter().map(|entry| outcome(entry, &world)).collect());
    conclude(inventory, inventory.files.clone(), baseline, &world, outcomes)
}

/// Makes a report of what came of each check of a baseline. `world` has all devices.
pub(super) fn conclude(
    inventory: &Inventory,
    files: Vec<FileReport>,
    baseline: &Baseline,
    world: &World<'_>,
    outcomes: Vec<Outcome>,
) -> Report {
    let mut incomplete = inventory.incomplete.clone();
    incomplete.extend(baseline.broken.iter().cloned());
    let mut checks = Vec::with_capacity(outcomes.len());
    for (outcome, entry) in outcomes.into_iter().zip(&baseline.checks) {
        let (check, bounds) = judge(entry, world, outcome);
        let path = &world.sources.get(entry.spec.span.file).path;
        incomplete.extend(bounds.into_iter().map(|text| Incomplete {
            path: path.clone(),
            span: Some(entry.spec.span),
            text: format!("{}: {text}", check.id),
        }));
        checks.push(check);
    }
    // Waivers see what reports show, so that what is written there can be written in them.
    for finding in checks.iter_mut().flat_map(|c| &mut c.findings) {
        for text in [&mut finding.subject, &mut finding.identity].into_iter().chain(&mut finding.device) {
            if !text.is_empty() {
                *text = world.redactor.scrub(text);
            }
        }
    }
    baseline.conclude(&mut checks, world.devices, world.sources, world.as_of);
    for check in &mut checks {
        settle(check);
    }
    incomplete.sort();
    incomplete.dedup();
    let mut report = Report {
        title: baseline.title.clone(),
        as_of: world.as_of.to_string(),
        files,
        devices: world.devices.iter().map(|d| d.name.clone()).collect(),
        workers: workers(world),
        checks,
        incomplete,
        exposure: None,
        comparison: None,
    };
    scrub(&mut report, world.redactor);
    report
}

/// Who can reach what between the zones of a baseline. `redactor` is [`Inventory::redactor`]; every text has passed it.
pub fn exposure(inventory: &Inventory, baseline: &Baseline, redactor: &Redactor, as_of: Date, threads: usize) -> Exposure {
    let world = baseline.world(&inventory.devices, &inventory.sources, redactor, as_of, inventory.exported.clone());
    let mut made = in_pool(threads, || guarded(|| exposure::exposure(&world))).unwrap_or_else(|| Exposure {
        left_out: Some("the matrix was not made because of an error in fwproof itself (please report it)".into()),
        ..Exposure::default()
    });
    let clean = |text: &mut String| *text = redactor.scrub(text);
    for cell in &mut made.cells {
        cell.unknown.iter_mut().for_each(clean);
        for passage in &mut cell.passages {
            clean(&mut passage.device);
            clean(&mut passage.line.text);
            passage.services.iter_mut().chain(&mut passage.boxes).for_each(clean);
        }
    }
    made
}

/// A report on results that come from elsewhere (a probe): in order, without doubles and without secrets.
pub fn report(inventory: &Inventory, title: &str, checks: Vec<CheckResult>, redactor: &Redactor, as_of: Date) -> Report {
    let mut report = Report {
        title: title.to_owned(),
        as_of: as_of.to_string(),
        files: inventory.files.clone(),
        devices: inventory.devices.iter().map(|d| d.name.clone()).collect(),
        checks,
        incomplete: inventory.incomplete.clone(),
        workers: Vec::new(),
        exposure: None,
        comparison: None,
    };
    report.checks.iter_mut().for_each(settle);
    scrub(&mut report, redactor);
    report
}

/// Runs a check on the devices of `world` that are to be judged.
pub(super) fn outcome(entry: &Entry, world: &World<'_>) -> Outcome {
    guarded(|| entry.check.run(world, &entry.spec)).unwrap_or_else(|| Outcome {
        findings: vec![Finding::unknown(
            "this check could not be judged because of an error in fwproof itself (please report it)",
            Label::new(entry.spec.span, "the check"),
            vec![],
        )],
        incomplete: vec!["could not be judged because of an error in fwproof itself (please report it)".into()],
        ..Outcome::default()
    })
}

fn judge(entry: &Entry, world: &World<'_>, mut outcome: Outcome) -> (CheckResult, Vec<String>) {
    let spec = &entry.spec;
    let here = || Label::new(spec.span, "the check");
    if outcome.inapplicable_if_alone && !outcome.considered.is_empty() {
        outcome.inapplicable.clear();
    }
    for pattern in select::unmatched(world, spec) {
        let message = format!("`on` names {pattern}, but no device that was read has such a name");
        outcome.findings.push(Finding::unknown(message, here(), vec![]).about(format!("on {pattern}")));
    }
    let not_applicable = outcome.considered.is_empty() && outcome.findings.is_empty() && !outcome.inapplicable.is_empty();
    if outcome.considered.is_empty() && !outcome.attested && outcome.findings.is_empty() && !not_applicable {
        outcome.findings.push(Finding::about_nothing(here()));
    }
    for finding in &mut outcome.findings {
        finding.check.clone_from(&spec.id);
        finding.severity = spec.severity;
    }
    let verdict = match (outcome.attested, not_applicable) {
        (true, _) => Verdict::Attested,
        (false, true) => Verdict::NotApplicable,
        (false, false) => Verdict::Holds,
    };
    let result = CheckResult {
        id: spec.id.clone(),
        title: spec.title.clone(),
        severity: spec.severity,
        kind: entry.kind.id,
        ruleset: entry.ruleset.clone(),
        why: spec.why.clone(),
        fix: spec.fix.clone(),
        refs: spec.refs.clone(),
        verdict,
        considered: outcome.considered,
        inapplicable: outcome.inapplicable,
        zones: entry.check.zones(),
        findings: outcome.findings,
    };
    (result, outcome.incomplete)
}

/// The roster, with what was read of each device.
fn workers(world: &World<'_>) -> Vec<Worker> {
    let read: HashSet<&str> = world.devices.iter().map(|d| d.name.as_str()).collect();
    let people = world.workers.iter().flat_map(|w| &w.people);
    let worker = |p: &Person| Worker {
        name: p.name.clone(),
        device: p.device.clone(),
        role: p.role.clone(),
        platform: p.platform.clone(),
        left: p.left.map(|d| d.to_string()),
        exported: world.exported.get(&p.device).map(ToString::to_string),
        read: read.contains(p.device.as_str()),
    };
    people.map(worker).collect()
}

/// Order, no doubles, and the worst finding as the verdict.
fn settle(check: &mut CheckResult) {
    for finding in &mut check.findings {
        finding.check.clone_from(&check.id);
        finding.severity = check.severity;
    }
    // Violated before overdue before unknown; then by device and place.
    let rank = |v: Verdict| match v {
        Verdict::Violated => 0,
        Verdict::Overdue => 1,
        Verdict::Unknown => 2,
        Verdict::Attested | Verdict::Holds | Verdict::NotApplicable => 3,
    };
    check.findings.sort_by(|a, b| {
        let key = |f: &Finding| (rank(f.verdict), f.waived.is_some());
        key(a).cmp(&key(b)).then_with(|| (&a.device, &a.primary.span).cmp(&(&b.device, &b.primary.span))).then_with(|| a.cmp(b))
    });
    check.findings.dedup();
    check.considered.sort();
    check.considered.dedup();
    check.inapplicable.sort();
    check.inapplicable.dedup();
    if let Some(worst) = check.findings.iter().map(|f| f.verdict).max() {
        check.verdict = check.verdict.max(worst);
    }
}

/// Takes every known secret out of every text.
fn scrub(report: &mut Report, redactor: &Redactor) {
    let clean = &mut |text: &mut String| {
        if !text.is_empty() {
            *text = redactor.scrub(text);
        }
    };
    for file in &mut report.files {
        file.notes.iter_mut().for_each(|n| clean(&mut n.text));
    }
    for check in &mut report.checks {
        check.considered.iter_mut().for_each(&mut *clean);
        check.inapplicable.iter_mut().for_each(&mut *clean);
        check.findings.iter_mut().for_each(|f| each_text(f, clean));
    }
    report.incomplete.iter_mut().for_each(|i| clean(&mut i.text));
}

/// Every text of a finding that may come from a configuration.
pub(super) fn each_text(finding: &mut Finding, clean: &mut impl FnMut(&mut String)) {
    clean(&mut finding.message);
    clean(&mut finding.subject);
    clean(&mut finding.identity);
    clean(&mut finding.primary.text);
    finding.related.iter_mut().chain(&mut finding.causes).for_each(|l| clean(&mut l.text));
    for text in [&mut finding.fix, &mut finding.device, &mut finding.waived].into_iter().flatten() {
        clean(text);
    }
    if let Some(witness) = &mut finding.witness {
        clean(&mut witness.words);
        clean(&mut witness.packet);
        witness.path.iter_mut().for_each(|l| clean(&mut l.text));
        witness.conditions.iter_mut().for_each(clean);
    }
}
