//! Which baseline applies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Failure, input, output};
use crate::report::Untrusted;
use crate::rulesets::{self, Baseline, BaselineError, SHIPPED};
use crate::source::{Limits, Sources};

/// Names under which a baseline is looked for in a given folder.
const NAMES: [&str; 2] = ["baseline.yaml", "fwproof.yaml"];

/// The JSON Schema that editors find beside a baseline, as `fwproof init` writes it.
pub(crate) const SCHEMA_FILE: &str = "baseline.schema.json";

/// Where the baseline is to come from.
pub(crate) enum Origin {
    /// This file.
    File(PathBuf),
    /// There is none: rulesets that come with the program and fit what was read.
    Shipped,
}

/// The named file; else one in a given folder; else none.
pub(crate) fn find(named: Option<&Path>, paths: &[PathBuf], quiet: bool) -> Result<Origin, Failure> {
    if let Some(path) = named {
        return Ok(Origin::File(path.to_path_buf()));
    }
    let candidates = input::folders(paths).into_iter().flat_map(|f| NAMES.iter().map(move |n| f.strip_prefix(".").unwrap_or(f).join(n)));
    let found: Vec<PathBuf> = candidates.filter(|p| p.is_file()).collect();
    match found.as_slice() {
        [] => Ok(Origin::Shipped),
        [one] => {
            if !quiet {
                output::say(&format!("note: the baseline is {} (-b names another)", Untrusted(&one.to_string_lossy())));
            }
            Ok(Origin::File(one.clone()))
        }
        [one, other, ..] => {
            Err(Failure::usage(format!("both {} and {} could be the baseline: say which with -b", one.display(), other.display())))
        }
    }
}

/// The given paths; else the folder of the baseline, or the current one.
pub(crate) fn paths(given: &[PathBuf], named: Option<&Path>) -> Vec<PathBuf> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let beside = named.and_then(Path::parent).filter(|p| !p.as_os_str().is_empty());
    vec![beside.unwrap_or(Path::new(".")).to_path_buf()]
}

impl Origin {
    /// Names of devices that the baseline knows, by which folders are recognised; with all errors of the baseline, before anything else is
    /// done.
    pub fn estate(&self) -> Result<BTreeSet<String>, Failure> {
        let Origin::File(path) = self else { return Ok(BTreeSet::new()) };
        let baseline = rulesets::load(&mut Sources::default(), path, &Limits::default()).map_err(failure)?;
        let sites = baseline.sites.iter().flat_map(|s| s.devices.iter().cloned());
        let people = baseline.workers.iter().flat_map(|w| w.people.iter().map(|p| p.device.clone()));
        Ok(sites.chain(people).collect())
    }

    /// The files that belong to it.
    pub fn beside(&self) -> Vec<PathBuf> {
        match self {
            Origin::File(path) => vec![path.clone(), path.with_file_name(SCHEMA_FILE)],
            Origin::Shipped => Vec::new(),
        }
    }

    /// Reads it into `sources`.
    pub fn load(&self, sources: &mut Sources, quiet: bool) -> Result<Baseline, Failure> {
        match self {
            Origin::File(path) => rulesets::load(sources, path, &Limits::default()).map_err(failure),
            Origin::Shipped => {
                let fitting = fitting();
                if !quiet {
                    let list = fitting.join(", ");
                    let rest: Vec<&str> = SHIPPED.iter().map(|s| s.id).filter(|id| !fitting.contains(id)).collect();
                    output::say(&format!("note: no baseline: checking against {list} as shipped; `fwproof init` writes a first baseline"));
                    output::say(&format!(
                        "note: {} ask for what only a baseline can say (who is where, and what must exist)",
                        rest.join(", ")
                    ));
                }
                let text = format!(
                    "fwproof: 1\ntitle: Shipped rulesets\nuse: [{}]\nzones:\n  internet: {{ addresses: public }}\n",
                    fitting.join(", ")
                );
                rulesets::load_text(sources, "<shipped>", &text, &Limits::default()).map_err(failure)
            }
        }
    }
}

/// Shipped rulesets that need nothing which only a baseline can say.
fn fitting() -> Vec<&'static str> {
    let fits = |text: &str| {
        let Ok(doc) = serde_yaml::from_str::<serde_yaml::Value>(text) else { return false };
        let Some(needs) = doc.get("needs") else { return true };
        // Whatever it needs beside the internet, only a baseline can say.
        let given = |key: &str, value: &serde_yaml::Value| match key {
            "zones" => value.as_mapping().is_none_or(|z| z.iter().all(|(name, _)| name.as_str() == Some("internet"))),
            _ => value.as_bool() == Some(false),
        };
        needs.as_mapping().is_none_or(|n| n.iter().all(|(key, value)| given(key.as_str().unwrap_or(""), value)))
    };
    SHIPPED.iter().filter(|s| fits(s.text)).map(|s| s.id).collect()
}

/// Errors of a baseline as `path:line:column: message`.
pub(crate) fn failure(errors: Vec<BaselineError>) -> Failure {
    Failure::Usage(errors.iter().map(ToString::to_string).collect())
}
