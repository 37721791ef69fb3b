//! Reads the real files of pfSense and OPNsense of the development corpus, where it is there (`FWPROOF_CORPUS`, else `../shared/corpus`).
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::source::{FileId, SourceFile};
use fwproof::vendors;

fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("FWPROOF_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    if !path.join("SOURCES.md").is_file() {
        eprintln!("SKIPPED: no corpus at {} (set FWPROOF_CORPUS)", path.display());
        return None;
    }
    Some(path)
}

/// Paths of the files of kind `input` below `folder`.
fn inputs(corpus: &Path, folder: &str) -> Vec<String> {
    let table = std::fs::read_to_string(corpus.join("SOURCES.md")).unwrap();
    let rows = table.lines().filter_map(|l| {
        let mut cells = l.split('|').map(str::trim).skip(1);
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    });
    rows.filter(|(path, kind)| path.starts_with(folder) && kind == "input").map(|(path, _)| path).collect()
}

#[test]
fn every_corpus_file_is_read_and_hardly_a_line_is_not_recognised() {
    let Some(corpus) = corpus() else { return };
    let mut total: BTreeMap<LineState, usize> = BTreeMap::new();
    let (mut files, mut rules) = (0, 0);
    for format in ["opnsense", "pfsense"] {
        for name in inputs(&corpus, &format!("{format}/")) {
            let bytes = std::fs::read(corpus.join(&name)).unwrap();
            let file = SourceFile::new(FileId(0), &*name, &bytes);
            let found = vendors::detect(&file);
            assert_eq!(found.first().map(|d| d.0.id), Some(format), "{name}");
            let reading = found[0].0.read_file(&file);
            files += 1;
            rules += reading.device.chains.iter().flat_map(|c| &c.rules).filter(|r| r.implied.is_none()).count();
            let mut counts: BTreeMap<LineState, usize> = BTreeMap::new();
            for state in &reading.lines[&FileId(0)] {
                *counts.entry(*state).or_default() += 1;
                *total.entry(*state).or_default() += 1;
            }
            println!("{name}: {counts:?}, {} notes", reading.notes.len());
            if std::env::var_os("FWPROOF_NOTES").is_some() {
                for n in &reading.notes {
                    println!("   {}: {:?} {} :: {}", file.place(n.span.start).line, n.state, n.text, file.slice(n.span));
                }
            }
            // All of these files are whole.
            assert!(!reading.notes.iter().any(|n| n.incomplete), "{name}");
            assert_eq!(counts.get(&LineState::Unrecognised), None, "{name}");
        }
    }
    println!("{files} files, {rules} rules: {total:?}");
}
