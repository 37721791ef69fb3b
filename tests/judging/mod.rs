//! Reads a folder and judges it against its baseline.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::{Path, PathBuf};

use fwproof::diag::{Finding, Report};
use fwproof::pipeline::{self, Inventory, Options};
use fwproof::rulesets;
use fwproof::source::Limits;

/// A folder of the repository, judged.
pub struct Judged {
    /// What was read, the baseline's files included.
    pub inventory: Inventory,
    /// What came of it.
    pub report: Report,
}

/// Judges a folder, given relative to the repository, against its `baseline.yaml`.
pub fn judge(folder: &str, as_of: &str) -> Judged {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    judge_at(&root, as_of)
}

/// The same for a folder anywhere.
pub fn judge_at(root: &Path, as_of: &str) -> Judged {
    let baseline = root.join("baseline.yaml");
    let options = Options { beside: vec![baseline.clone()], ..Options::default() };
    let mut inventory = pipeline::read(&[PathBuf::from(root)], &options);
    let loaded = match rulesets::load(&mut inventory.sources, &baseline, &Limits::default()) {
        Ok(loaded) => loaded,
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    let redactor = inventory.redactor();
    let report = pipeline::check(&inventory, &loaded, &redactor, as_of.parse().expect("a date"), 1);
    Judged { inventory, report }
}

impl Judged {
    /// File and line of a finding, the file relative to the judged folder's parent: `edge-fw/ruleset.nft:12`.
    pub fn place(&self, finding: &Finding) -> String {
        let file = self.inventory.sources.get(finding.primary.span.file);
        let parts: Vec<&str> = file.path.rsplit('/').take(2).collect();
        let name: Vec<&str> = parts.into_iter().rev().collect();
        format!("{}:{}", name.join("/"), file.place(finding.primary.span.start).line)
    }
}

impl Judged {
    /// The findings of a check of this id.
    pub fn findings(&self, check: &str) -> Vec<&Finding> {
        self.report.checks.iter().filter(|c| c.id == check).flat_map(|c| &c.findings).collect()
    }
}
