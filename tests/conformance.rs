//! Cases that other tools are known to judge wrongly: `tests/conformance/CASE/VARIANT/` has the input, a baseline, and in `expected.txt` the
//! verdict of each check with the lines at which its findings point; `CASE/README.md` says why others are wrong. Each case has variants
//! with different verdicts, so that no answer is right for all.

mod judging;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use judging::judge;

/// The day on which all cases are judged.
const AS_OF: &str = "2026-11-23";

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(path).expect("a folder").map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// One line a check: its verdict, and where its findings point.
fn verdicts(case: &str, variant: &str) -> String {
    let folder = format!("tests/conformance/{case}/{variant}");
    let judged = judge(&folder, AS_OF);
    assert!(judged.report.incomplete.is_empty(), "{folder}: {:?}", judged.report.incomplete);
    let own = judged.report.checks.iter().filter(|c| !c.id.starts_with("waiver-"));
    let mut lines: Vec<String> = own
        .map(|check| {
            let mut places: Vec<String> = check.findings.iter().map(|f| judged.place(f)).collect();
            for place in &mut places {
                *place = place.strip_prefix(&format!("{variant}/")).unwrap_or(place).to_owned();
            }
            places.sort();
            let places: String = places.iter().map(|p| format!(" {p}")).collect();
            format!("{}: {}{places}\n", check.id, check.verdict.name())
        })
        .collect();
    lines.sort();
    lines.concat()
}

#[test]
fn every_case_is_judged_as_it_should_be() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut wrong = String::new();
    let mut cases = 0;
    for case in folders(&root) {
        cases += 1;
        let mut answers = BTreeSet::new();
        for variant in folders(&case) {
            let expected = fs::read_to_string(variant.join("expected.txt")).expect("expected.txt");
            let found = verdicts(&name(&case), &name(&variant));
            if expected != found {
                wrong += &format!("{}/{}:\n  expected:\n{expected}  found:\n{found}", name(&case), name(&variant));
            }
            answers.insert(expected);
        }
        assert!(answers.len() > 1, "{}: all variants have one answer, so the case proves nothing", name(&case));
        let why = fs::read_to_string(case.join("README.md")).expect("README.md");
        assert!(why.trim().len() > 40, "{} does not say why others are wrong", name(&case));
    }
    assert!(cases >= 11, "{cases}");
    assert!(wrong.is_empty(), "{wrong}");
}
