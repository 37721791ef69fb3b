//! The part of a report that a manager reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use colored::Colorize as _;

use super::{Untrusted, View, counted};
use crate::diag::{CheckResult, Conclusion, Finding, Severity, Verdict};

/// Devices that are named at most.
const DEVICES: usize = 12;

/// What became of a check, or of it on one device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    NotApplicable,
    Holds,
    Attested,
    Waived,
    Overdue,
    Unknown,
    Fails,
}

impl Fate {
    fn of(finding: &Finding) -> Fate {
        match (finding.waived.is_some(), finding.verdict) {
            (true, _) => Fate::Waived,
            (_, Verdict::Overdue) => Fate::Overdue,
            (_, Verdict::Unknown) => Fate::Unknown,
            (_, Verdict::Violated) => Fate::Fails,
            (_, Verdict::NotApplicable | Verdict::Holds | Verdict::Attested) => Fate::Holds,
        }
    }

    pub fn of_check(check: &CheckResult) -> Fate {
        let base = match check.verdict {
            Verdict::NotApplicable => Fate::NotApplicable,
            Verdict::Attested => Fate::Attested,
            Verdict::Unknown if check.findings.is_empty() => Fate::Unknown,
            _ => Fate::Holds,
        };
        check.findings.iter().map(Fate::of).max().map_or(base, |worst| worst.max(base))
    }
}

/// Columns of the table of checks.
pub(super) const COLUMNS: [(&str, Fate); 7] = [
    ("hold", Fate::Holds),
    ("fail", Fate::Fails),
    ("unknown", Fate::Unknown),
    ("attested", Fate::Attested),
    ("overdue", Fate::Overdue),
    ("waived", Fate::Waived),
    ("not shown", Fate::NotApplicable),
];

/// Appends the tables and the last line.
pub(super) fn write(out: &mut String, view: &View<'_>) {
    let report = view.report;
    let title = if report.title.is_empty() { "Summary" } else { report.title.as_str() };
    let _ = writeln!(out, "{}", format!("{}, as of {}", Untrusted(title), report.as_of).bold());
    if !report.checks.is_empty() {
        checks(out, view);
    }
    if !report.devices.is_empty() {
        devices(out, view);
    }
    not_shown(out, view);
    out.push('\n');
    let _ = writeln!(out, "{}", last_line(view));
}

/// `fwproof: 14 files, 3 high, 2 medium, 1 waived, 0 unread: FAIL (fail-on medium)`.
pub fn last_line(view: &View<'_>) -> String {
    let tally = view.report.tally();
    let conclusion = view.report.conclusion(view.fail_on, view.allow_incomplete);
    let mut parts = vec![counted(tally.files, "file", "files")];
    // Where something is compared, only what is new or worse counts, and the line says so.
    let new = if view.report.comparison.is_some() { "new " } else { "" };
    parts.extend(Severity::ALL.iter().zip(tally.findings).filter(|(_, n)| *n > 0).map(|(s, n)| format!("{n} {new}{s}")));
    if parts.len() == 1 {
        parts.push(format!("no {new}findings"));
    }
    if tally.unknown > 0 {
        parts.push(format!("{} {new}unknown", tally.unknown));
    }
    parts.push(format!("{} waived", tally.waived));
    let compared = view.report.comparison.is_some();
    if compared {
        parts.push(format!("{} known", tally.known));
        parts.push(format!("{} gone", tally.gone));
    }
    parts.push(format!("{} unread", tally.unread));
    let word = match conclusion {
        Conclusion::Pass => conclusion.name().green().bold(),
        Conclusion::Fail => conclusion.name().red().bold(),
        Conclusion::Incomplete => conclusion.name().yellow().bold(),
    };
    let only = if compared { ", only what is new or worse counts" } else { "" };
    format!("fwproof: {}: {word} (fail-on {}{only})", parts.join(", "), view.fail_on)
}

/// One row for the user's own checks and for each ruleset; and one for each zone that checks protect.
fn checks(out: &mut String, view: &View<'_>) {
    let name = |c: &'_ CheckResult| vec![c.ruleset.clone().unwrap_or_else(|| "own checks".into())];
    table(out, "checks", &view.report.checks, name, true);
    if view.report.checks.iter().any(|c| !c.zones.is_empty()) {
        table(out, "protected zones", &view.report.checks, |c| c.zones.clone(), false);
    }
}

/// Rows of a table at most.
const ROWS: usize = 20;

/// How many checks there are of each fate, by name.
pub(super) struct Table {
    /// Names in the order of their first check.
    pub order: Vec<String>,
    /// By name, in the order of [`COLUMNS`].
    pub rows: BTreeMap<String, [usize; COLUMNS.len()]>,
    /// Of all.
    pub sum: [usize; COLUMNS.len()],
}

impl Table {
    /// The table of `checks`, of which each counts for all of its names.
    pub fn of(checks: &[CheckResult], names: impl Fn(&CheckResult) -> Vec<String>) -> Table {
        let mut table = Table { order: Vec::new(), rows: BTreeMap::new(), sum: [0; COLUMNS.len()] };
        for check in checks {
            let fate = Fate::of_check(check);
            let Some(i) = COLUMNS.iter().position(|(_, f)| *f == fate) else { continue };
            for name in names(check) {
                table.sum[i] += 1;
                match table.rows.get_mut(&name) {
                    Some(row) => row[i] += 1,
                    None => {
                        let mut row = [0; COLUMNS.len()];
                        row[i] = 1;
                        table.rows.insert(name.clone(), row);
                        table.order.push(name);
                    }
                }
            }
        }
        table
    }

    /// The columns that are shown: the first three, and those that count anything.
    pub fn used(&self) -> Vec<usize> {
        (0..COLUMNS.len()).filter(|&i| i < 3 || self.sum[i] > 0).collect()
    }
}

fn table(out: &mut String, head: &str, checks: &[CheckResult], names: impl Fn(&CheckResult) -> Vec<String>, total: bool) {
    let table = Table::of(checks, names);
    let used = table.used();
    let Table { mut order, rows, sum } = table;
    let more = order.len().saturating_sub(ROWS);
    order.truncate(ROWS);
    let width = order.iter().map(|n| n.chars().count()).max().unwrap_or(0).clamp(15, 40);
    let _ = write!(out, "\n  {head:width$}");
    for &i in &used {
        let _ = write!(out, "{:>10}", COLUMNS[i].0);
    }
    out.push('\n');
    let mut row = |name: &str, counts: &[usize; COLUMNS.len()]| {
        let _ = write!(out, "  {:width$}", Untrusted(name));
        for &i in &used {
            let cell = format!("{:>10}", counts[i]);
            let cell = match (counts[i], COLUMNS[i].1) {
                (0, _) => cell.dimmed(),
                (_, Fate::Fails | Fate::Overdue) => cell.red(),
                (_, Fate::Unknown) => cell.yellow(),
                (_, Fate::Holds | Fate::Attested) => cell.green(),
                _ => cell.normal(),
            };
            let _ = write!(out, "{cell}");
        }
        out.push('\n');
    };
    for name in &order {
        row(name, &rows[name]);
    }
    if total && order.len() > 1 {
        row("all", &sum);
    }
    if more > 0 {
        let _ = writeln!(out, "  and {more} more");
    }
}

/// Says which checks could not look at which devices, because no export of these shows what they ask.
fn not_shown(out: &mut String, view: &View<'_>) {
    let mut by_devices: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    for check in view.report.checks.iter().filter(|c| !c.inapplicable.is_empty()) {
        by_devices.entry(&check.inapplicable).or_default().push(&check.id);
    }
    if by_devices.is_empty() {
        return;
    }
    out.push('\n');
    for (devices, checks) in by_devices {
        let more = devices.len().saturating_sub(DEVICES);
        let mut names = devices.iter().take(DEVICES).map(|d| Untrusted(d).to_string()).collect::<Vec<_>>().join(", ");
        if more > 0 {
            names += &format!(" and {more} more");
        }
        let _ = writeln!(
            out,
            "  not shown by any export of {names}: what {} {}",
            checks.join(", "),
            if checks.len() == 1 { "asks" } else { "ask" }
        );
    }
}

/// How a device stands.
#[derive(Clone, Copy, Default)]
pub(super) struct Device {
    /// Checks that looked at it.
    pub checks: usize,
    /// Those that do not hold on it.
    pub fails: usize,
    /// Those whose answer is not known.
    pub unknown: usize,
    /// The worst severity of the two.
    pub worst: Option<Severity>,
}

/// How each device stands, in the order of the report.
pub(super) fn device_rows(view: &View<'_>) -> Vec<Device> {
    let names: Vec<&str> = view.report.devices.iter().map(String::as_str).collect();
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let mut rows = vec![Device::default(); names.len()];
    for check in &view.report.checks {
        let mut on: BTreeMap<usize, (bool, bool)> = BTreeMap::new();
        for name in &check.considered {
            if let Some(&i) = index.get(name.as_str()) {
                on.entry(i).or_default();
            }
        }
        for finding in check.findings.iter().filter(|f| !f.is_aside()) {
            let Some(&i) = finding.device.as_deref().and_then(|d| index.get(d)) else { continue };
            let entry = on.entry(i).or_default();
            let unknown = finding.verdict == Verdict::Unknown;
            entry.0 |= !unknown;
            entry.1 |= unknown;
        }
        for (i, (fails, unknown)) in on {
            rows[i].checks += 1;
            rows[i].fails += usize::from(fails);
            rows[i].unknown += usize::from(unknown && !fails);
            if fails || unknown {
                rows[i].worst = rows[i].worst.max(Some(check.severity));
            }
        }
    }
    rows
}

fn devices(out: &mut String, view: &View<'_>) {
    let names: Vec<&str> = view.report.devices.iter().map(String::as_str).collect();
    let rows = device_rows(view);
    let mut open: Vec<(&Device, &str)> = rows.iter().zip(names.iter().copied()).filter(|(r, _)| r.fails + r.unknown > 0).collect();
    open.sort_by_key(|(r, name)| (std::cmp::Reverse((r.worst, r.fails, r.unknown)), *name));
    let judged = rows.iter().filter(|r| r.checks > 0 && r.fails + r.unknown == 0).count();
    let unjudged = rows.iter().filter(|r| r.checks == 0).count();
    let shown = if view.all { open.len() } else { DEVICES };
    let width = open.iter().take(shown).map(|(_, n)| n.chars().count()).max().unwrap_or(0).clamp(15, 40);
    if !open.is_empty() {
        let _ = writeln!(out, "\n  {:width$}{:>10}{:>10}{:>10}  worst", "devices", "hold", "fail", "unknown");
    } else {
        out.push('\n');
    }
    for (row, name) in open.iter().take(shown) {
        let worst = row.worst.map_or("", Severity::name);
        let held = row.checks - row.fails - row.unknown;
        let _ = writeln!(out, "  {:width$}{held:>10}{:>10}{:>10}  {worst}", Untrusted(name), row.fails, row.unknown);
    }
    let mut rest = Vec::new();
    if open.len() > shown {
        rest.push(format!("{} with findings", counted(open.len() - shown, "more device", "more devices")));
    }
    if judged > 0 {
        let word = if open.is_empty() { counted(judged, "device", "devices") } else { counted(judged, "other device", "other devices") };
        rest.push(format!("no finding on {word}"));
    }
    if unjudged > 0 {
        rest.push(format!("no check looked at {}", counted(unjudged, "device", "devices")));
    }
    if !rest.is_empty() {
        let _ = writeln!(out, "  {}", rest.join("; "));
    }
}
