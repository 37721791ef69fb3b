//! Findings that are known: a file of YAML, one a line, that `check --write-known` writes and people may edit.
//!
//! It holds no text of a configuration but names of devices.

use std::fmt::Write as _;
use std::path::Path;

use super::load::Loader;
use super::yaml::quoted;
use super::{BaselineError, files};
use crate::checks::body::quote;
use crate::diag::{Past, Verdict};
use crate::rulesets::doc::{KnownDoc, KnownVerdictDoc, KnownsDoc};
use crate::source::{Limits, Sources};

/// Entries at most.
const MOST: usize = 100_000;
/// Bytes of a file at most.
const BYTES: u64 = 32 << 20;

/// Reads a file of known findings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_known(path: &Path) -> Result<Vec<Past>, Vec<BaselineError>> {
    let shown = files::display(path);
    let bytes = files::read(path, BYTES).map_err(|message| vec![BaselineError { path: shown.clone(), place: None, message }])?;
    let (mut sources, limits) = (Sources::default(), Limits::default());
    let id = sources.add(shown, &bytes);
    let mut loader = Loader::new(&mut sources, &limits, None);
    let mut known = Vec::new();
    if let Some(document) = loader.read_document(id)
        && loader.top::<KnownsDoc>(&document)
    {
        let list = loader.items(&document, "known");
        if list.len() > MOST {
            loader.error(document.span("known"), format!("more than {MOST} known findings"));
        }
        for (i, value) in list.iter().take(MOST).enumerate() {
            let at = format!("known[{i}]");
            let Some(doc) = loader.piece::<KnownDoc>(&document, &at, value) else { continue };
            if !is_fingerprint(&doc.fingerprint) {
                let message =
                    format!("{} is no fingerprint: 16 hexadecimal digits in quotes, as reports have them", quote(&doc.fingerprint));
                loader.error(document.span(&format!("{at}.fingerprint")), message);
            }
            known.push(Past {
                fingerprint: doc.fingerprint,
                check: doc.check,
                device: doc.device,
                severity: doc.severity,
                verdict: match doc.verdict {
                    KnownVerdictDoc::Violated => Verdict::Violated,
                    KnownVerdictDoc::Unknown => Verdict::Unknown,
                    KnownVerdictDoc::Overdue => Verdict::Overdue,
                },
                count: doc.count.unwrap_or(1),
                waived: false,
                message: None,
            });
        }
    }
    loader.finish().map(|_| known)
}

/// Whether it is a fingerprint: 16 hexadecimal digits in lower case.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The file for findings. Waived ones are left out: they have their own end.
pub fn known_text(findings: &[Past]) -> String {
    let mut list: Vec<&Past> = findings.iter().filter(|p| !p.waived).collect();
    list.sort_by_key(|p| (&p.check, &p.device, &p.fingerprint, p.severity, p.verdict, p.count));
    let mut out = String::from(
        "# Findings that are known, written by `fwproof check --write-known`: with `--known` they stay in the report and out of the verdict.\n\
         # One that gets worse counts again. Delete what is mended; the report says which are gone.\n\
         fwproof: 1\n",
    );
    out.push_str(if list.is_empty() { "known: []\n" } else { "known:\n" });
    for p in list {
        let _ = write!(out, "  - {{ check: {}, fingerprint: \"{}\"", quoted(&p.check), p.fingerprint);
        if let Some(device) = &p.device {
            let _ = write!(out, ", device: {}", quoted(device));
        }
        let _ = write!(out, ", severity: {}, verdict: {}", p.severity, p.verdict.name());
        if p.count > 1 {
            let _ = write!(out, ", count: {}", p.count);
        }
        out.push_str(" }\n");
    }
    out
}
