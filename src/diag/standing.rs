//! How findings stand to those of an earlier time: new, as before, worse, or gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Finding, Report, Severity, Verdict};

/// How a finding stands to what was there before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// It was there, and is as it was.
    Same,
    /// It was there, and is not as it was, but no worse.
    Changed,
    /// It was there, and is worse: more severe, proved where it was not known, in more places, or no longer waived.
    Worse,
    /// It was not there.
    New,
}

impl Standing {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Same => "known",
            Standing::Changed => "changed",
            Standing::Worse => "worse",
            Standing::New => "new",
        }
    }

    /// Whether it counts where only what is new does.
    pub fn counts(self) -> bool {
        self >= Standing::Worse
    }
}

/// A finding of an earlier time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Past {
    /// [`Finding::fingerprint`].
    pub fingerprint: String,
    /// Id of the check.
    pub check: String,
    /// The device it was about.
    pub device: Option<String>,
    /// Its severity.
    pub severity: Severity,
    /// Its verdict.
    pub verdict: Verdict,
    /// How many places it stood for.
    pub count: u32,
    /// Whether a waiver accepted it.
    pub waived: bool,
    /// What it said; `None`: not kept.
    pub message: Option<String>,
}

impl Past {
    /// What is remembered of a finding.
    pub fn of(finding: &Finding) -> Past {
        Past {
            fingerprint: finding.fingerprint(),
            check: finding.check.clone(),
            device: finding.device.clone(),
            severity: finding.severity,
            verdict: finding.verdict,
            count: finding.count,
            waived: finding.waived.is_some(),
            message: Some(finding.message.clone()),
        }
    }

    fn standing(&self, finding: &Finding) -> Standing {
        let open = finding.waived.is_none();
        let proved = |v: Verdict| v == Verdict::Violated;
        let worse = finding.severity > self.severity
            || (proved(finding.verdict) && !proved(self.verdict))
            || finding.count > self.count
            || self.waived;
        let other = finding.severity != self.severity
            || finding.verdict != self.verdict
            || finding.count != self.count
            || open == self.waived
            || self.message.as_deref().is_some_and(|m| plain(m) != plain(&finding.message));
        match (open && worse, other) {
            (true, _) => Standing::Worse,
            (false, true) => Standing::Changed,
            (false, false) => Standing::Same,
        }
    }
}

/// A message without numbers of rules and lines, which others move.
fn plain(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut number = false;
    for word in message.split_ascii_whitespace() {
        let digits = word.trim_end_matches([',', ':', ')', '.']).bytes().all(|b| b.is_ascii_digit());
        out.push_str(if number && digits { "#" } else { word });
        out.push(' ');
        number = matches!(word, "rule" | "rules" | "line" | "lines" | "policy");
    }
    out
}

/// What a run was compared with, and what is no longer there.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What with, in words: the older version, the list of what is known.
    pub with: Vec<String>,
    /// Findings of then that are not there now, in order.
    pub gone: Vec<Gone>,
}

/// A finding that is no longer there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Gone {
    /// What it was.
    pub past: Past,
    /// Why it may have gone, other than by being mended.
    pub because: Option<&'static str>,
}

impl Report {
    /// Its findings, to be compared with later. In order.
    pub fn past(&self) -> Vec<Past> {
        let mut all: Vec<Past> = self.checks.iter().flat_map(|c| c.findings.iter().map(Past::of)).collect();
        all.sort();
        all
    }

    /// Compares its findings with those of an earlier time. After several comparisons a finding stands as in the best of them: what is known to
    /// one is known.
    pub fn compare(&mut self, past: Vec<Past>, with: String) {
        let mut before: BTreeMap<String, Vec<Past>> = BTreeMap::new();
        for p in past {
            before.entry(p.fingerprint.clone()).or_default().push(p);
        }
        // The worst of now is taken for the worst of then.
        let badness =
            |verdict: Verdict, severity: Severity, count: u32, waived: bool| (waived, std::cmp::Reverse((verdict, severity, count)));
        for list in before.values_mut() {
            list.sort_by_key(|p| std::cmp::Reverse(badness(p.verdict, p.severity, p.count, p.waived)));
        }
        let mut now: Vec<&mut Finding> = self.checks.iter_mut().flat_map(|c| &mut c.findings).collect();
        now.sort_by_key(|f| badness(f.verdict, f.severity, f.count, f.waived.is_some()));
        for finding in now {
            let match_ = before.get_mut(&finding.fingerprint()).and_then(Vec::pop);
            let standing = match_.map_or(Standing::New, |p| p.standing(finding));
            finding.standing = Some(finding.standing.map_or(standing, |s| s.min(standing)));
        }
        let gone = before.into_values().flatten().map(|past| {
            let check = self.checks.iter().any(|c| c.id == past.check);
            let device = past.device.as_ref().is_none_or(|d| self.devices.contains(d));
            let because = match (check, device) {
                (false, _) => Some("the check was not run"),
                (true, false) => Some("the device was not read"),
                (true, true) => None,
            };
            Gone { past, because }
        });
        let comparison = self.comparison.get_or_insert_default();
        comparison.gone.extend(gone);
        comparison.gone.sort();
        comparison.with.push(with);
    }
}

impl Finding {
    /// Whether it was there before and is no worse: it does not count.
    pub fn is_known(&self) -> bool {
        self.standing.is_some_and(|s| !s.counts())
    }

    /// Whether it does not count: somebody accepted it, or it was there before.
    pub fn is_aside(&self) -> bool {
        self.waived.is_some() || self.is_known()
    }

    /// Why it does not count: `waived` or `known`, and what is to be said of that.
    pub fn aside(&self) -> Option<(&'static str, &str)> {
        match &self.waived {
            Some(waived) => Some(("waived", waived)),
            None if self.standing == Some(Standing::Same) => Some(("known", "it was there before")),
            None if self.is_known() => Some(("known", "it was there before, in other words")),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{CheckResult, Label};
    use crate::source::{FileId, Span};

    fn finding(subject: &str) -> Finding {
        let mut f = Finding::new("rule 3 of x is wide", Label::new(Span::new(FileId(0), 0, 0), "")).on("edge").about(subject);
        f.check = "c".into();
        f
    }

    fn report(findings: Vec<Finding>) -> Report {
        let check = CheckResult {
            id: "c".into(),
            title: String::new(),
            severity: Severity::Medium,
            kind: "flow",
            ruleset: None,
            why: String::new(),
            fix: String::new(),
            refs: vec![],
            verdict: Verdict::Violated,
            considered: vec![],
            inapplicable: vec![],
            zones: vec![],
            findings,
        };
        Report { checks: vec![check], devices: vec!["edge".into()], ..Report::default() }
    }

    fn standings(before: Vec<Finding>, now: Vec<Finding>) -> (Vec<Standing>, usize) {
        let mut r = report(now);
        r.compare(report(before).past(), "then".into());
        (r.checks[0].findings.iter().filter_map(|f| f.standing).collect(), r.comparison.unwrap().gone.len())
    }

    #[test]
    fn new_is_what_was_not_there_or_is_worse() {
        let with = |change: fn(&mut Finding)| {
            let mut f = finding("a");
            change(&mut f);
            f
        };
        let one = |before: Finding, now: Finding| standings(vec![before], vec![now]).0[0];
        assert_eq!(one(finding("a"), finding("a")), Standing::Same);
        assert_eq!(one(finding("a"), finding("b")), Standing::New);
        assert_eq!(one(finding("a"), with(|f| f.message = "rule 4 of x is wide".into())), Standing::Same, "others moved it");
        assert_eq!(one(finding("a"), with(|f| f.message = "rule 3 of x is wider".into())), Standing::Changed);
        assert_eq!(one(finding("a"), with(|f| f.severity = Severity::High)), Standing::Worse);
        assert_eq!(one(with(|f| f.severity = Severity::High), finding("a")), Standing::Changed);
        assert_eq!(one(with(|f| f.verdict = Verdict::Unknown), finding("a")), Standing::Worse);
        assert_eq!(one(finding("a"), with(|f| f.count = 2)), Standing::Worse);
        assert_eq!(one(with(|f| f.waived = Some("w".into())), finding("a")), Standing::Worse, "its waiver ended");
        assert_eq!(one(finding("a"), with(|f| f.waived = Some("w".into()))), Standing::Changed);
    }

    #[test]
    fn of_findings_that_look_the_same_one_more_is_one_new() {
        let (mut now, gone) = standings(vec![finding("a")], vec![finding("a"), finding("a")]);
        now.sort();
        assert_eq!((now, gone), (vec![Standing::Same, Standing::New], 0));
        assert_eq!(standings(vec![finding("a"), finding("a")], vec![finding("a")]), (vec![Standing::Same], 1));
    }
}
