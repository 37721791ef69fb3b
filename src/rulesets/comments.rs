//! Waivers in comments of configurations: `# fwproof: waive CHECK until 2026-12-31: reason`, whatever the format's comments look like.
//!
//! Whoever writes a configuration writes its comments, so they count only where the baseline says so.

use std::collections::BTreeSet;

use super::waivers::{Waiver, Waivers, own_result};
use crate::checks::dates;
use crate::diag::{CheckResult, Finding, Label, Severity};
use crate::model::Device;
use crate::source::{FileId, SourceFile, Sources, Span};

/// What a waiver begins with.
const MARK: &str = "fwproof: waive ";
/// Files that are searched for comments that do not count, at most.
const FEW: usize = 1000;
/// Such comments of a run at most.
const MOST: usize = 10_000;

/// Adds the waivers of the comments of `devices` to `waivers`, or says that they are not heeded. `own`: files of the baseline.
pub(super) fn look(waivers: &mut Waivers, results: &mut Vec<CheckResult>, own: &[FileId], devices: &[Device], sources: &Sources) {
    let mut files: BTreeSet<FileId> = devices.iter().flat_map(|d| d.files.iter().map(|(id, _)| *id)).collect();
    files.retain(|id| !own.contains(id));
    // Texts of a fleet are read again when they are asked for: that is worth it only where such comments count.
    if !waivers.in_configurations && files.len() > FEW {
        return;
    }
    let marked: Vec<&SourceFile> = files.into_iter().map(|id| sources.get(id)).filter(|f| f.text.contains(MARK)).collect();
    if marked.is_empty() {
        return;
    }
    let rules = devices.iter().flat_map(|d| &d.chains).flat_map(|c| &c.rules).map(|r| r.whole);
    let mut rules: Vec<Span> = rules.filter(|w| marked.iter().any(|f| f.id == w.file)).collect();
    rules.sort_unstable();
    let ids: BTreeSet<&str> = results.iter().map(|r| r.id.as_str()).collect();
    let mut findings = Vec::new();
    let mut seen = 0;
    'files: for file in marked {
        for (at, _) in file.text.match_indices(MARK) {
            seen += 1;
            let line = file.line_index(at as u32);
            let span = Span { start: at as u32, ..file.line_span(line) };
            let mut say = |message: String, fix: &str| {
                let mut finding = Finding::new(message, Label::new(span, ""));
                finding.fix = Some(fix.to_owned());
                findings.push(finding.about(format!("{}:{}", file.path, line + 1)));
            };
            if seen > MOST {
                say(format!("more than {MOST} comments waive findings: the rest is not heeded"), "Write waivers into the file of waivers.");
                break 'files;
            }
            if !waivers.in_configurations {
                say(
                    "a comment that waives a finding is not heeded: the baseline does not allow it".into(),
                    "Write the waiver into the file of waivers; or allow such comments by `waivers: { in_configurations: true }`.",
                );
                continue;
            }
            match read(&file.text[at..]) {
                Err(why) => say(format!("a comment that waives a finding cannot be read: {why}"), HOW),
                Ok((check, ..)) if waivers.refused.contains(check) => {
                    say(format!("findings of {check} cannot be waived"), "Delete the comment, and mend what it is about.");
                }
                Ok((check, ..)) if !ids.contains(check) => say(format!("no check that ran is called {check}"), HOW),
                Ok((check, expires, reason)) => waivers.list.push(Waiver {
                    check: check.to_owned(),
                    fingerprint: None,
                    device: None,
                    subject: None,
                    within: Some(within(file, line, &rules)),
                    reason: reason.to_owned(),
                    owner: format!("{}:{}", file.path, line + 1),
                    ticket: None,
                    expires,
                    span,
                }),
            }
        }
    }
    if !findings.is_empty() {
        results.push(own_result(
            "waiver-in-configuration",
            "Comments in configurations waive nothing that the baseline does not let them",
            Severity::Info,
            "A comment is written by whoever writes the configuration: it must not decide whether that is acceptable.",
            "Write waivers into the file of waivers.",
            Vec::new(),
            findings,
        ));
    }
}

const HOW: &str = "Write `fwproof: waive CHECK until 2026-12-31: the reason`.";

/// The check, the last day and the reason.
fn read(text: &str) -> Result<(&str, jiff::civil::Date, &str), &'static str> {
    let line = text.lines().next().unwrap_or("").strip_prefix(MARK).unwrap_or("");
    // Where the comment ends before the line does.
    let end = ["\"", "*/", "-->", "</", "]]>"].iter().filter_map(|e| line.find(e)).min().unwrap_or(line.len());
    let line = line.get(..end).unwrap_or("");
    let (check, rest) = line.trim_start().split_once(' ').ok_or("the check is missing")?;
    let (day, reason) = rest.trim_start().strip_prefix("until ").and_then(|r| r.split_once(':')).ok_or("`until DAY: reason` is missing")?;
    let day = dates::date(day.trim()).ok_or("the day is not written as 2026-12-31")?;
    let reason = reason.trim();
    if reason.is_empty() { Err("the reason is missing") } else { Ok((check, day, reason)) }
}

/// Where findings are meant by a comment on a line: on this line; on the line below a block of comments; in the rule that holds it.
fn within(file: &SourceFile, line: usize, rules: &[Span]) -> Vec<Span> {
    /// Lines of a block of comments that are passed over at most.
    const BLOCK: usize = 50;
    let mut out = vec![file.line_span(line)];
    let is_comment = |i: usize| {
        let text = file.line(i).trim_start();
        ["#", "!", "//", "/*", "*", "--", ";", "<!--"].iter().any(|c| text.starts_with(c))
    };
    if is_comment(line) {
        let below = (line + 1..file.line_count()).take(BLOCK).find(|i| !is_comment(*i) && !file.line(*i).trim().is_empty());
        out.extend(below.map(|i| file.line_span(i)));
    }
    let here = file.line_span(line);
    // Rules are in order, and none lies in another: the last that begins before.
    let after = rules.partition_point(|w| (w.file, w.start) <= (here.file, here.start));
    let last = after.checked_sub(1).and_then(|i| rules.get(i));
    out.extend(last.filter(|w| w.file == here.file && here.end <= w.end));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_says_what_it_waives_until_when_and_why() {
        let day = "2026-12-31".parse().unwrap();
        for text in [
            "fwproof: waive a-b until 2026-12-31: the lab",
            "fwproof: waive a-b until 2026-12-31: the lab\" -j ACCEPT",
            "fwproof: waive  a-b  until 2026-12-31 :  the lab */ rest",
            "fwproof: waive a-b until 2026-12-31: the lab</descr>",
        ] {
            assert_eq!(read(text), Ok(("a-b", day, "the lab")), "{text}");
        }
        for text in [
            "fwproof: waive ",
            "fwproof: waive a-b",
            "fwproof: waive a-b until then: x",
            "fwproof: waive a-b until 2026-12-31:",
            "fwproof: waive a-b until 2026-12-31",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
