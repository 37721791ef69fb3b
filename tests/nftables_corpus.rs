//! Every nftables file of the corpus is read, and what is not recognised is counted.

// What was skipped must be seen.
#![allow(clippy::print_stderr)]

mod nftables_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::source::{FileId, SourceFile};
use fwproof::vendors::{detect, format};

fn files() -> Vec<PathBuf> {
    let corpus = std::env::var_os("FWPROOF_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    let mut files = Vec::new();
    let mut folders = vec![corpus.join("nftables")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    for entry in std::fs::read_dir(corpus.join("_realtool")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("nftables__") {
            files.push(entry.path());
        }
    }
    // A licence text beside the rulesets.
    files.retain(|f| f.file_name().is_none_or(|n| n != "NOTICE"));
    files.sort();
    files
}

fn read(path: &Path) -> (SourceFile, &'static str, fwproof::vendors::Reading) {
    let bytes = std::fs::read(path).expect("a file of the corpus");
    let file = SourceFile::new(FileId(0), path.display().to_string(), &bytes);
    let found = detect(&file);
    let id = found.first().map_or("", |(f, _)| f.id);
    assert!(matches!(id, "nftables" | "nftables-json"), "{}: detected as {id:?}", path.display());
    let reading = format(id).expect("a format of this id").read_file(&file);
    (file, id, reading)
}

#[test]
fn no_rule_of_the_corpus_goes_unrecognised() {
    let files = files();
    if files.is_empty() {
        eprintln!("skipped: no corpus (set FWPROOF_CORPUS)");
        return;
    }
    let mut totals: BTreeMap<&str, BTreeMap<LineState, usize>> = BTreeMap::new();
    let mut unrecognised = Vec::new();
    for path in &files {
        let (file, id, reading) = read(path);
        for (i, state) in reading.lines.values().flatten().enumerate() {
            *totals.entry(id).or_default().entry(*state).or_default() += 1;
            if *state == LineState::Unrecognised {
                unrecognised.push(format!("{}:{}: {}", path.display(), i + 1, file.line(i)));
            }
        }
        // A `nft flush ruleset` alone would leave nothing.
        if file.text.contains("chain") {
            assert!(!reading.device.chains.is_empty() || file.text.contains("bridge"), "{}: no chain was read", path.display());
        }
    }
    for (id, states) in &totals {
        eprintln!("{id}: {states:?}");
    }
    let lines: usize = totals.values().flat_map(|s| s.values()).sum();
    eprintln!("{} files, {lines} lines, {} not recognised", files.len(), unrecognised.len());
    assert!(unrecognised.is_empty(), "{}", unrecognised.join("\n"));
}
