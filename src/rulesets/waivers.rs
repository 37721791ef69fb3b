//! Waivers: findings that somebody accepted, for a reason and until a day.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::checks::dates::days_between;
use crate::checks::select::matches;
use crate::diag::{CheckResult, Finding, Label, Severity, Verdict};
use crate::source::{FileId, Span};

/// An accepted finding.
#[derive(Clone, PartialEq, Debug)]
pub struct Waiver {
    /// Id of the check.
    pub check: String,
    /// [`Finding::fingerprint`]; `None`: any.
    pub fingerprint: Option<String>,
    /// Device, or a pattern with `*`; `None`: any, and findings about no device.
    pub device: Option<String>,
    /// [`Finding::subject`], or a pattern with `*`; `None`: any.
    pub subject: Option<String>,
    /// Where the finding must stand; `None`: anywhere. Comments in configurations accept what is near them.
    pub within: Option<Vec<Span>>,
    /// Why it is accepted.
    pub reason: String,
    /// Who accepted it.
    pub owner: String,
    /// Where it was decided.
    pub ticket: Option<String>,
    /// The last day on which it is accepted.
    pub expires: Date,
    /// Where it is written.
    pub span: Span,
}

impl Waiver {
    fn covers(&self, check: &str, finding: &Finding) -> bool {
        let at = finding.primary.span;
        self.check == check
            && self.device.as_deref().is_none_or(|p| finding.device.as_deref().is_some_and(|d| matches(p, d)))
            && self.subject.as_deref().is_none_or(|p| matches(p, &finding.subject))
            && self.within.as_ref().is_none_or(|list| list.iter().any(|s| s.file == at.file && s.start <= at.start && at.start <= s.end))
            && self.fingerprint.as_ref().is_none_or(|f| *f == finding.fingerprint())
    }

    fn text(&self) -> String {
        let ticket = self.ticket.as_deref().map(|t| format!(", {t}")).unwrap_or_default();
        format!("{} ({}{ticket}, until {})", self.reason, self.owner, self.expires)
    }
}

/// The file of waivers that a baseline names.
#[derive(Clone, Debug)]
pub struct WaiverFile {
    /// As the baseline names it: beside or below it.
    pub name: String,
    /// The file.
    pub id: FileId,
}

/// All waivers of a baseline, and what holds for them.
#[derive(Clone, Debug, Default)]
pub struct Waivers {
    /// The waivers.
    pub list: Vec<Waiver>,
    /// Checks of which no finding may be accepted.
    pub refused: BTreeSet<String>,
    /// How many days after the day of the run a waiver may end.
    pub at_most_days: Option<u32>,
    /// Comments in configurations are waivers.
    pub in_configurations: bool,
    /// Where they are written; `None`: nowhere.
    pub file: Option<WaiverFile>,
}

/// Marks the findings that a waiver accepts. The verdict of a check stays what it is: whoever gates on findings leaves waived ones out.
///
/// Adds results of its own, if there is a waiver at all: `waiver-expired` (an expired waiver accepts nothing any more), `waiver-too-long` (nor does one
/// that ends later than the baseline lets it; only where it says so) and `waiver-waives-nothing` (an unneeded one would accept tomorrow what nobody
/// looked at).
pub fn apply_waivers(results: &mut Vec<CheckResult>, waivers: &Waivers, as_of: Date) {
    if waivers.list.is_empty() {
        return;
    }
    let (mut expired, mut long, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for waiver in &waivers.list {
        let about = waiver.fingerprint.as_ref().map_or_else(|| waiver.check.clone(), |f| format!("{} {f}", waiver.check));
        let covered = || results.iter().flat_map(|r| r.findings.iter().filter(|f| waiver.covers(&r.id, f))).count();
        if waiver.expires < as_of {
            let n = covered();
            let what = match n {
                0 => "it would accept nothing now".to_owned(),
                1 => "the finding that it accepted counts again".to_owned(),
                _ => format!("the {n} findings that it accepted count again"),
            };
            let mut finding = Finding::new(
                format!("the waiver of {} expired on {}: {what}", waiver.check, waiver.expires),
                Label::new(waiver.span, format!("{} accepted it", waiver.owner)),
            );
            finding.fix = Some("Mend what it accepted and delete the waiver, or decide again and set a new day.".into());
            expired.push(finding.about(about));
            continue;
        }
        if let Some(most) = waivers.at_most_days
            && days_between(as_of, waiver.expires) > i64::from(most)
        {
            let message = format!(
                "the waiver of {} ends on {}, and the baseline lets none end more than {most} days ahead: it accepts nothing",
                waiver.check, waiver.expires
            );
            let mut finding = Finding::new(message, Label::new(waiver.span, format!("{} accepted it", waiver.owner)));
            finding.fix = Some("Set an earlier day, and decide again then.".into());
            long.push(finding.about(about));
            continue;
        }
        let mut used = false;
        for result in results.iter_mut().filter(|r| r.id == waiver.check) {
            for finding in &mut result.findings {
                if waiver.covers(&result.id, finding) {
                    finding.waived.get_or_insert_with(|| waiver.text());
                    used = true;
                }
            }
        }
        // What `fwproof probe` finds is not looked for here.
        if !used && !waiver.check.starts_with("drift") {
            let known = results.iter().any(|r| r.id == waiver.check);
            let why = if known { "the check has no such finding" } else { "no check of this baseline has this id" };
            let mut finding = Finding::new(format!("the waiver of {} waives nothing: {why}", waiver.check), Label::new(waiver.span, ""));
            finding.fix = Some("Delete it.".into());
            idle.push(finding.about(about));
        }
    }
    let considered: Vec<String> = waivers.list.iter().map(|w| w.check.clone()).collect();
    results.push(own_result(
        "waiver-expired",
        "No waiver has expired",
        Severity::Medium,
        "A finding is accepted for a time, so that somebody looks at it again.",
        "Mend what it accepted, or decide again and set a new day.",
        considered.clone(),
        expired,
    ));
    if waivers.at_most_days.is_some() {
        results.push(own_result(
            "waiver-too-long",
            "No waiver ends later than the baseline lets it",
            Severity::Medium,
            "What is accepted for long is forgotten.",
            "Set an earlier day, and decide again then.",
            considered.clone(),
            long,
        ));
    }
    results.push(own_result(
        "waiver-waives-nothing",
        "Every waiver is needed",
        Severity::Low,
        "A waiver that accepts nothing today would silently accept tomorrow what nobody has looked at.",
        "Delete it.",
        considered,
        idle,
    ));
}

/// A result about the baseline itself.
pub(super) fn own_result(
    id: &str,
    title: &str,
    severity: Severity,
    why: &str,
    fix: &str,
    considered: Vec<String>,
    mut findings: Vec<Finding>,
) -> CheckResult {
    for finding in &mut findings {
        finding.check = id.to_owned();
        finding.severity = severity;
    }
    findings.sort();
    CheckResult {
        id: id.to_owned(),
        title: title.to_owned(),
        severity,
        kind: "baseline",
        ruleset: None,
        why: why.to_owned(),
        fix: fix.to_owned(),
        refs: Vec::new(),
        zones: Vec::new(),
        verdict: if findings.is_empty() { Verdict::Holds } else { Verdict::Violated },
        considered,
        inapplicable: Vec::new(),
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn span() -> Span {
        Span::new(FileId(0), 0, 0)
    }

    fn result(id: &str, findings: &[(&str, &str)]) -> CheckResult {
        let findings =
            findings.iter().map(|(device, subject)| Finding::new("x", Label::new(span(), "")).on(device).about(*subject)).collect();
        CheckResult { kind: "flow", ..own_result(id, "", Severity::High, "", "", vec![], findings) }
    }

    fn waiver(check: &str, device: Option<&str>, subject: Option<&str>, expires: &str) -> Waiver {
        Waiver {
            check: check.into(),
            fingerprint: None,
            within: None,
            device: device.map(Into::into),
            subject: subject.map(Into::into),
            reason: "legacy".into(),
            owner: "cto".into(),
            ticket: Some("NET-1".into()),
            expires: expires.parse().unwrap(),
            span: span(),
        }
    }

    #[test]
    fn a_waiver_accepts_what_it_names_and_nothing_else() {
        let mut results = vec![result("a-b", &[("edge", "ssh"), ("edge", "rdp"), ("other", "ssh")])];
        let waivers = Waivers { list: vec![waiver("a-b", Some("edge*"), Some("ssh"), "2026-12-31")], ..Waivers::default() };
        apply_waivers(&mut results, &waivers, "2026-12-31".parse().unwrap());
        let waived: Vec<_> = results[0].findings.iter().map(|f| f.waived.is_some()).collect();
        assert_eq!(waived.iter().filter(|w| **w).count(), 1);
        assert_eq!(results[0].findings.iter().find_map(|f| f.waived.clone()).unwrap(), "legacy (cto, NET-1, until 2026-12-31)");
        assert_eq!(results[1].verdict, Verdict::Holds);
        assert_eq!(results[2].verdict, Verdict::Holds);
    }

    #[test]
    fn an_expired_waiver_accepts_nothing_and_is_a_finding() {
        let mut results = vec![result("a-b", &[("edge", "ssh")])];
        apply_waivers(
            &mut results,
            &Waivers { list: vec![waiver("a-b", None, None, "2026-12-31")], ..Waivers::default() },
            "2027-01-01".parse().unwrap(),
        );
        assert_eq!(results[0].findings[0].waived, None);
        assert_eq!((results[1].id.as_str(), results[1].findings.len()), ("waiver-expired", 1));
        assert_eq!(results[2].findings.len(), 0);
    }

    #[test]
    fn an_unneeded_waiver_is_a_finding() {
        let mut results = vec![result("a-b", &[])];
        let waivers =
            Waivers { list: vec![waiver("a-b", None, None, "2027-12-31"), waiver("zz", None, None, "2027-12-31")], ..Waivers::default() };
        apply_waivers(&mut results, &waivers, "2026-01-01".parse().unwrap());
        assert_eq!((results[2].id.as_str(), results[2].findings.len()), ("waiver-waives-nothing", 2));
    }
}
