//! Real exports of RouterOS, where they are at hand (`FWPROOF_CORPUS`, else `../shared/corpus`): each is known for what it is, and line by line.
#![allow(missing_docs, clippy::print_stderr, reason = "a test that is skipped must say so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::source::{FileId, SourceFile};
use fwproof::vendors;

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("FWPROOF_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|p| p.join("shared/corpus"));
    given.or(beside).map(|p| p.join("routeros")).filter(|p| p.is_dir())
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

#[test]
fn real_files_are_detected_and_known_line_by_line() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: no corpus of RouterOS");
        return;
    };
    let mut found = Vec::new();
    files(&corpus, &mut found);
    found.sort();
    let mut states: BTreeMap<LineState, usize> = BTreeMap::new();
    let mut rules = 0;
    for (i, path) in found.iter().enumerate() {
        let bytes = std::fs::read(path).expect("a file");
        let file = SourceFile::new(FileId(i as u32), path.display().to_string(), &bytes);
        let detected = vendors::detect(&file);
        assert_eq!(detected.iter().map(|d| d.0.id).collect::<Vec<_>>(), ["routeros"], "{}", path.display());
        let reading = vendors::format("routeros").expect("the format").read_file(&file);
        if std::env::var_os("FWPROOF_NOTES").is_some() {
            reading.notes.iter().for_each(|n| eprintln!("{}:{}: {}", path.display(), file.place(n.span.start).line, n.text));
        }
        for (line, state) in reading.lines.values().flatten().enumerate() {
            *states.entry(*state).or_default() += 1;
            let text = file.line(line);
            let weighs = ["firewall", "ipsec", "wireguard", "-server"].iter().any(|w| text.contains(w));
            assert!(!weighs || *state != LineState::Unrecognised, "{}:{}: {text}", path.display(), line + 1);
        }
        rules += reading.device.chains.iter().map(|c| c.rules.len()).sum::<usize>();
    }
    eprintln!("routeros: {} files, {states:?}, {rules} rules", found.len());
    let total: usize = states.values().sum();
    assert!(states.get(&LineState::Unrecognised).copied().unwrap_or(0) * 200 <= total);
}
