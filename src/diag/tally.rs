//! What a run comes to: counts, and whether it passes.

use std::collections::BTreeSet;

use super::{CheckResult, Finding, Report, Severity, Verdict};

/// How a run ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// Everything holds, is waived, or is below the bar: exit code 0.
    Pass,
    /// A finding or an unknown at or above the bar: exit code 1.
    Fail,
    /// Something could not be read or judged: exit code 3.
    Incomplete,
}

impl Conclusion {
    /// The word of the last line.
    pub fn name(self) -> &'static str {
        match self {
            Conclusion::Pass => "PASS",
            Conclusion::Fail => "FAIL",
            Conclusion::Incomplete => "INCOMPLETE",
        }
    }

    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Conclusion::Pass => 0,
            Conclusion::Fail => 1,
            Conclusion::Incomplete => 3,
        }
    }
}

/// Counts of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Configuration files whose format was recognised.
    pub files: usize,
    /// Violated and overdue findings that are not waived, by severity in the order of [`Severity::ALL`].
    pub findings: [usize; 5],
    /// Unknown findings that are not waived.
    pub unknown: usize,
    /// Waived findings.
    pub waived: usize,
    /// Files of which not everything could be read.
    pub unread: usize,
}

impl Report {
    /// Counts.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { files: self.files.iter().filter(|f| f.format.is_some()).count(), ..Tally::default() };
        let unread: BTreeSet<&str> = self.incomplete.iter().map(|i| i.path.as_str()).collect();
        tally.unread = unread.len();
        for finding in self.checks.iter().flat_map(|c| &c.findings) {
            if finding.waived.is_some() {
                tally.waived += 1;
            } else if finding.verdict == Verdict::Unknown {
                tally.unknown += 1;
            } else if let Some(i) = Severity::ALL.iter().position(|s| *s == finding.severity) {
                tally.findings[i] += 1;
            }
        }
        tally
    }

    /// How the run ends when findings from `bar` upwards count. `allow_incomplete` overlooks what could not be read.
    pub fn conclusion(&self, bar: Severity, allow_incomplete: bool) -> Conclusion {
        let fails = |c: &CheckResult| {
            let open = c.findings.iter().any(|f| f.severity >= bar && f.waived.is_none());
            // A check that does not hold says so by a finding. Should one be silent, it does not pass for it.
            let silent = c.findings.is_empty()
                && c.severity >= bar
                && !matches!(c.verdict, Verdict::Holds | Verdict::Attested | Verdict::NotApplicable);
            open || silent
        };
        if !self.incomplete.is_empty() && !allow_incomplete {
            Conclusion::Incomplete
        } else if self.checks.iter().any(fails) {
            Conclusion::Fail
        } else {
            Conclusion::Pass
        }
    }
}

impl Finding {
    /// A number that stays the same while the finding does: of the check, the device, the path of its file and its subject. No line
    /// numbers, so that it survives edits elsewhere; `subject` must not hold a secret. 16 hexadecimal digits (FNV-1a, 64 bits).
    pub fn fingerprint(&self, path: &str) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for part in [self.check.as_str(), self.device.as_deref().unwrap_or(""), path, &self.subject] {
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        format!("{hash:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Incomplete, Label};
    use crate::source::{FileId, Span};

    fn report(severity: Severity, verdict: Verdict) -> Report {
        let mut finding = Finding::new("m", Label::new(Span::new(FileId(0), 0, 0), ""));
        (finding.severity, finding.verdict) = (severity, verdict);
        let check = CheckResult {
            id: "c".into(),
            title: String::new(),
            severity,
            kind: "flow",
            ruleset: None,
            why: String::new(),
            fix: String::new(),
            refs: vec![],
            verdict,
            considered: vec![],
            inapplicable: vec![],
            zones: vec![],
            findings: vec![finding],
        };
        Report { checks: vec![check], ..Report::default() }
    }

    #[test]
    fn unknown_counts_like_a_finding_and_incomplete_counts_more() {
        let mut r = report(Severity::High, Verdict::Unknown);
        assert_eq!(r.conclusion(Severity::Medium, false), Conclusion::Fail);
        assert_eq!(r.conclusion(Severity::Critical, false), Conclusion::Pass);
        assert_eq!((r.tally().unknown, r.tally().findings), (1, [0; 5]));
        r.incomplete.push(Incomplete { path: "a".into(), span: None, text: String::new() });
        assert_eq!(r.conclusion(Severity::Medium, false), Conclusion::Incomplete);
        assert_eq!(r.conclusion(Severity::Medium, true), Conclusion::Fail);
    }

    #[test]
    fn a_waived_finding_does_not_fail() {
        let mut r = report(Severity::High, Verdict::Violated);
        r.checks[0].findings[0].waived = Some("accepted".into());
        assert_eq!(r.conclusion(Severity::Info, false), Conclusion::Pass);
        assert_eq!(r.tally().waived, 1);
    }

    #[test]
    fn a_fingerprint_does_not_depend_on_lines() {
        let a = Finding::new("m", Label::new(Span::new(FileId(0), 0, 0), "")).about("s");
        let b = Finding::new("other words", Label::new(Span::new(FileId(3), 9, 12), "")).about("s");
        assert_eq!(a.fingerprint("f"), b.fingerprint("f"));
        assert_ne!(a.fingerprint("f"), a.fingerprint("g"));
    }
}
