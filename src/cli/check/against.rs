//! `check --against` and `--known`: what is new since an earlier time.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::Deserialize;

use super::Args;
use crate::cli::baseline::{self, Origin};
use crate::cli::input::Reading;
use crate::cli::revision::{self, Revision};
use crate::cli::{Failure, output};
use crate::diag::{Past, Report, Severity, Verdict};
use crate::pipeline;
use crate::report::json::SCHEMA;
use crate::rulesets::{self, is_fingerprint};
use crate::source::Limits;

/// What a run is to be compared with.
pub(super) struct Before {
    /// The older version; `None`: there is none to compare with.
    old: Option<Old>,
    known: Option<(String, Vec<Past>)>,
}

enum Old {
    /// A report that was written of it.
    Report(String, Vec<Past>),
    /// The configurations themselves.
    Paths(String, Vec<PathBuf>, Vec<Revision>),
}

impl Before {
    /// Everything that can be wrong with it is said before the configurations are read.
    pub fn of(args: &Args, paths: &[PathBuf]) -> Result<Before, Failure> {
        let old = match (&args.against, &args.against_git) {
            (Some(path), _) => Some(match report(path)? {
                Some(past) => Old::Report(path.display().to_string(), past),
                None => Old::Paths(path.display().to_string(), vec![path.clone()], Vec::new()),
            }),
            (None, Some(name)) => {
                let revisions = paths.iter().map(|p| revision::one(name, p)).collect::<Result<Vec<_>, _>>()?;
                let paths = revisions.iter().map(|r| r.path.clone()).collect();
                Some(Old::Paths(name.clone(), paths, revisions))
            }
            (None, None) => None,
        };
        let known = match &args.known {
            Some(path) => Some((path.display().to_string(), rulesets::load_known(path).map_err(baseline::failure)?)),
            None => None,
        };
        Ok(Before { old, known })
    }

    /// Says of each finding of `report` how it stands. The older version is judged by the same baseline, as of the same day: what differs comes
    /// from the configurations.
    pub fn compare(self, args: &Args, origin: &Origin, as_of: Date, report: &mut Report) -> Result<(), Failure> {
        match self.old {
            None => {}
            Some(Old::Report(name, past)) => report.compare(past, name),
            Some(Old::Paths(name, paths, revisions)) => {
                let reading = Reading { quiet: true, format_of: Vec::new(), ..args.reading.clone() };
                let mut inventory = reading.read_with_estate(&paths, || origin.estate(), origin.beside())?;
                let redactor = inventory.redactor();
                let baseline = origin.load(&mut inventory.sources, true)?;
                let old = pipeline::check(&inventory, &baseline, &redactor, as_of, reading.jobs);
                // What was not read then has no findings then: they all are new, which is on the safe side.
                if !old.incomplete.is_empty() {
                    output::warning(&format!("{name}: not everything of the older version could be read; what it had there counts as new"));
                }
                let mut past = old.past();
                // Messages name files as the repository does, not as they were unpacked.
                for message in past.iter_mut().filter_map(|p| p.message.as_mut()) {
                    for revision in &revisions {
                        *message = message.replace(&revision.prefix, "");
                    }
                }
                report.compare(past, name);
            }
        }
        if let Some((name, past)) = self.known {
            report.compare(past, name);
        }
        Ok(())
    }
}

/// What is needed of a report.
#[derive(Deserialize)]
struct Doc {
    checks: Vec<CheckDoc>,
}

#[derive(Deserialize)]
struct CheckDoc {
    id: String,
    findings: Vec<FindingDoc>,
}

#[derive(Deserialize)]
struct FindingDoc {
    fingerprint: String,
    verdict: String,
    severity: Severity,
    device: Option<String>,
    message: String,
    count: u32,
    waived: Option<String>,
}

/// The findings of a report as JSON; `None` if the file is none.
fn report(path: &Path) -> Result<Option<Vec<Past>>, Failure> {
    let shown = path.display();
    let failed = |e: &dyn std::fmt::Display| Failure::usage(format!("--against {shown}: {e}"));
    let meta = fs::metadata(path).map_err(|e| failed(&e))?;
    if !meta.is_file() {
        return Ok(None);
    }
    let most = Limits::default().file_bytes;
    let mut text = Vec::new();
    fs::File::open(path).map_err(|e| failed(&e))?.take(most + 1).read_to_end(&mut text).map_err(|e| failed(&e))?;
    // The name of the shape stands at the beginning of the only object.
    let head = text.get(..text.len().min(200)).unwrap_or_default();
    if !text.starts_with(b"{") || !String::from_utf8_lossy(head).contains(SCHEMA) {
        return Ok(None);
    }
    if text.len() as u64 > most {
        return Err(failed(&format!("is larger than {most} bytes")));
    }
    let doc: Doc = serde_json::from_slice(&text).map_err(|e| failed(&format!("is no whole report: {e}")))?;
    let mut past = Vec::new();
    for check in doc.checks {
        for f in check.findings {
            let verdict = [Verdict::Violated, Verdict::Unknown, Verdict::Overdue].into_iter().find(|v| v.name() == f.verdict);
            let (Some(verdict), true) = (verdict, is_fingerprint(&f.fingerprint)) else {
                return Err(failed(&format!("a finding of {} is not as this version writes it", check.id)));
            };
            past.push(Past {
                fingerprint: f.fingerprint,
                check: check.id.clone(),
                device: f.device,
                severity: f.severity,
                verdict,
                count: f.count,
                waived: f.waived.is_some(),
                message: Some(f.message),
            });
        }
    }
    Ok(Some(past))
}
