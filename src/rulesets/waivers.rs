//! Waivers: findings that somebody accepted, for a reason and until a day.

use jiff::civil::Date;

use crate::checks::select::matches;
use crate::diag::{CheckResult, Finding, Label, Severity, Verdict};
use crate::source::Span;

/// An accepted finding.
#[derive(Clone, Debug)]
pub struct Waiver {
    /// Id of the check.
    pub check: String,
    /// Device, or a pattern with `*`; `None`: any, and findings about no device.
    pub device: Option<String>,
    /// [`Finding::subject`], or a pattern with `*`; `None`: any.
    pub subject: Option<String>,
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
        self.check == check
            && self.device.as_deref().is_none_or(|p| finding.device.as_deref().is_some_and(|d| matches(p, d)))
            && self.subject.as_deref().is_none_or(|p| matches(p, &finding.subject))
    }

    fn text(&self) -> String {
        let ticket = self.ticket.as_deref().map(|t| format!(", {t}")).unwrap_or_default();
        format!("{} ({}{ticket}, until {})", self.reason, self.owner, self.expires)
    }
}

/// All waivers of a baseline.
#[derive(Clone, Debug, Default)]
pub struct Waivers(pub Vec<Waiver>);

/// Marks the findings that a waiver accepts. The verdict of a check stays what it is: whoever gates on findings leaves waived ones out.
///
/// Adds two results of its own, if there is a waiver at all: `waiver-expired` (an expired waiver accepts nothing any more) and
/// `waiver-waives-nothing` (an unneeded one would accept tomorrow what nobody looked at).
pub fn apply_waivers(results: &mut Vec<CheckResult>, waivers: &Waivers, as_of: Date) {
    if waivers.0.is_empty() {
        return;
    }
    let mut expired = Vec::new();
    let mut idle = Vec::new();
    for waiver in &waivers.0 {
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
            expired.push(finding.about(waiver.check.as_str()));
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
            idle.push(finding.about(waiver.check.as_str()));
        }
    }
    let considered: Vec<String> = waivers.0.iter().map(|w| w.check.clone()).collect();
    results.push(own_result(
        "waiver-expired",
        "No waiver has expired",
        Severity::Medium,
        "A finding is accepted for a time, so that somebody looks at it again.",
        "Mend what it accepted, or decide again and set a new day.",
        considered.clone(),
        expired,
    ));
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
        let waivers = Waivers(vec![waiver("a-b", Some("edge*"), Some("ssh"), "2026-12-31")]);
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
        apply_waivers(&mut results, &Waivers(vec![waiver("a-b", None, None, "2026-12-31")]), "2027-01-01".parse().unwrap());
        assert_eq!(results[0].findings[0].waived, None);
        assert_eq!((results[1].id.as_str(), results[1].findings.len()), ("waiver-expired", 1));
        assert_eq!(results[2].findings.len(), 0);
    }

    #[test]
    fn an_unneeded_waiver_is_a_finding() {
        let mut results = vec![result("a-b", &[])];
        let waivers = Waivers(vec![waiver("a-b", None, None, "2027-12-31"), waiver("zz", None, None, "2027-12-31")]);
        apply_waivers(&mut results, &waivers, "2026-01-01".parse().unwrap());
        assert_eq!((results[2].id.as_str(), results[2].findings.len()), ("waiver-waives-nothing", 2));
    }
}
