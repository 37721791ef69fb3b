//! What a run comes to: counts, and whether it passes.

use std::collections::BTreeSet;

use super::{CheckResult, Finding, Report, Severity, Verdict};

/// How a run ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// Everything holds, is waived or known, or is below the bar: exit code 0.
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
    /// Violated and overdue findings that count (neither waived nor known), by severity in the order of [`Severity::ALL`].
    pub findings: [usize; 5],
    /// Unknown findings that count.
    pub unknown: usize,
    /// Waived findings.
    pub waived: usize,
    /// Findings that were there before, are no worse and are not waived; 0 where nothing was compared.
    pub known: usize,
    /// Findings of then that are not there now; 0 where nothing was compared.
    pub gone: usize,
    /// Files of which not everything could be read.
    pub unread: usize,
}

impl Report {
    /// Counts.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { files: self.files.iter().filter(|f| f.format.is_some()).count(), ..Tally::default() };
        let unread: BTreeSet<&str> = self.incomplete.iter().map(|i| i.path.as_str()).collect();
        tally.unread = unread.len();
        tally.gone = self.comparison.as_ref().map_or(0, |c| c.gone.len());
        for finding in self.checks.iter().flat_map(|c| &c.findings) {
            if finding.waived.is_some() {
                tally.waived += 1;
            } else if finding.is_known() {
                tally.known += 1;
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
            let open = c.findings.iter().any(|f| f.severity >= bar && !f.is_aside());
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
    /// A number that stays the same while the finding does: of the check, the device, and what it is about (`identity`, else `subject`). No line
    /// numbers and no paths, so that it survives edits elsewhere and files that are renamed; secrets, which its texts show as `<secret 3>`, count as
    /// one. 16 hexadecimal digits (FNV-1a, 64 bits).
    pub fn fingerprint(&self) -> String {
        let about = if self.identity.is_empty() { &self.subject } else { &self.identity };
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for part in [self.check.as_str(), self.device.as_deref().unwrap_or(""), about] {
            for byte in without_numbers_of_secrets(part).bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        format!("{hash:016x}")
    }
}

/// Secrets are numbered in the order in which they were read.
fn without_numbers_of_secrets(text: &str) -> std::borrow::Cow<'_, str> {
    const LABEL: &str = "<secret ";
    if !text.contains(LABEL) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split(LABEL).enumerate() {
        if i > 0 {
            out.push_str(LABEL);
        }
        out.push_str(if i > 0 { part.trim_start_matches(|c: char| c.is_ascii_digit()) } else { part });
    }
    out.into()
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
        assert_eq!(a.fingerprint(), b.fingerprint());
        assert_ne!(a.fingerprint(), b.clone().on("edge").fingerprint());
        assert_ne!(a.fingerprint(), b.clone().told_by("rule").fingerprint());
        let secret = |n: u32| b.clone().about(format!("key <secret {n}> x"));
        assert_eq!(secret(1).fingerprint(), secret(12).fingerprint());
    }
}
