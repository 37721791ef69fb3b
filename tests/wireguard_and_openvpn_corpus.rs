//! Real files, where a corpus is at hand (`FWPROOF_CORPUS`, else `../shared/corpus`): none is refused, each is detected, hardly a line is
//! not recognised.
#![allow(clippy::print_stderr, reason = "the figures are what the test is for, and a test that is skipped must say so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::source::{FileId, SourceFile};
use fwproof::vendors;

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("FWPROOF_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared/corpus")).find(|p| p.is_dir());
    given.or(beside).filter(|p| p.is_dir())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_the_corpus_is_read_and_hardly_a_line_is_unknown() {
    let Some(corpus) = corpus() else {
        eprintln!("SKIPPED: no corpus (set FWPROOF_CORPUS)");
        return;
    };
    let (mut unknown, mut lines) = (0, 0);
    for id in ["wireguard", "openvpn"] {
        let mut found = Vec::new();
        files(&corpus.join(id), &mut found);
        found.sort();
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for path in &found {
            let bytes = std::fs::read(path).expect("a readable file");
            let file = SourceFile::new(FileId(0), path.to_string_lossy(), &bytes);
            let detected = vendors::detect(&file);
            assert_eq!(detected.first().map(|d| d.0.id), Some(id), "{}", path.display());
            let reading = vendors::format(id).expect("a format").read_file(&file);
            assert_eq!(reading.device.tunnels.len(), 1, "{}", path.display());
            for state in &reading.lines[&file.id] {
                *states.entry(state.name()).or_default() += 1;
                lines += 1;
            }
            for note in reading.notes.iter().filter(|n| n.state.name() == "unrecognised") {
                eprintln!("{}: {}", path.display(), note.text);
            }
        }
        unknown += states.get("unrecognised").copied().unwrap_or(0);
        eprintln!("{id}: {} files, {states:?}", found.len());
    }
    assert!(unknown * 200 <= lines, "{unknown} of {lines} lines are not recognised");
}
