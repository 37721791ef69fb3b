//! Real Shorewall folders: read where they are, from `FWPROOF_CORPUS`, else from `../shared/corpus`.
#![allow(missing_docs, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::pipeline::{Options, read};

fn corpus() -> Option<PathBuf> {
    let root =
        std::env::var_os("FWPROOF_CORPUS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let found = root.join("shorewall");
    found.is_dir().then_some(found)
}

#[test]
fn every_line_of_the_corpus_ends_in_a_state_and_none_is_not_recognised() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: there is no corpus of Shorewall");
        return;
    };
    let inventory = read(&[corpus], &Options::default());
    assert!(inventory.incomplete.is_empty(), "{:?}", inventory.incomplete);
    let mut counts = [0usize; 5];
    let files: Vec<_> = inventory.files.iter().filter(|f| f.format == Some("shorewall")).collect();
    for file in &files {
        let source = inventory.sources.get(file.file);
        assert_eq!(file.lines.len(), source.line_count());
        for (i, state) in file.lines.iter().enumerate() {
            counts[LineState::ALL.iter().position(|s| s == state).expect("one of the five")] += 1;
            assert!(*state < LineState::Unsupported, "{}:{}: {}", source.path, i + 1, source.line(i));
        }
    }
    let rules: usize = inventory.devices.iter().flat_map(|d| &d.chains).map(|c| c.rules.len()).sum();
    eprintln!(
        "{} files, {} devices, {rules} rules; lines {:?}",
        files.len(),
        inventory.devices.len(),
        LineState::ALL.map(LineState::name).into_iter().zip(counts).collect::<Vec<_>>()
    );
    assert!(!files.is_empty() && inventory.devices.iter().all(|d| d.has_filter() && d.refused.is_empty()));
}
