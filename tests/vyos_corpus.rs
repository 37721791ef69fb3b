//! VyOS' own test configurations: each is recognised line by line; and what its migration scripts make of an old configuration lets the same packets
//! through as the old one, though it is written in another language.
#![allow(missing_docs, clippy::print_stderr)]

mod equal_sets;

use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::model::Device;
use fwproof::source::{FileId, SourceFile};
use fwproof::vendors;

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("FWPROOF_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|p| p.join("shared/corpus"));
    given.or(beside).map(|p| p.join("vyos")).filter(|p| p.is_dir())
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|e| e.ok()).map(|e| e.path()) {
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
    out.sort();
}

/// Sections in which nothing may be unrecognised.
const POLICY: &[&str] = &["firewall", "nat", "nat66", "zone-policy", "vpn", "port-forward"];

#[test]
fn every_line_ends_in_a_state_and_nearly_none_is_unknown() {
    let Some(root) = corpus() else { return eprintln!("skipped: no corpus") };
    let mut all = Vec::new();
    files(&root, &mut all);
    assert!(!all.is_empty(), "{}", root.display());
    let (mut states, mut rules) = ([0usize; 5], 0);
    for path in &all {
        let text = std::fs::read_to_string(path).expect("text");
        let file = SourceFile::from_text(FileId(0), path.to_string_lossy(), &text);
        let found = vendors::detect(&file);
        assert_eq!(found.first().map(|f| f.0.id), Some("vyos"), "{}", path.display());
        assert!(found.iter().skip(1).all(|f| f.1.confidence < found[0].1.confidence), "{}: {found:?}", path.display(), found = found.len());
        let reading = vendors::format("vyos").expect("the format").read_file(&file);
        for state in reading.lines.values().flatten() {
            states[LineState::ALL.iter().position(|s| s == state).expect("one of them")] += 1;
        }
        for note in reading.notes.iter().filter(|n| n.state == LineState::Unrecognised) {
            let section = section_of(&text, note.span.start as usize);
            assert!(!POLICY.contains(&section.as_str()), "{}: {} in {section}: {}", path.display(), note.text, file.slice(note.span));
            if std::env::var_os("FWPROOF_NOTES").is_some() {
                eprintln!("{}: {}: {}", path.display(), note.text, file.slice(note.span));
            }
        }
        rules += reading.device.chains.iter().map(|c| c.rules.len()).sum::<usize>();
    }
    let total: usize = states.iter().sum();
    let names: Vec<String> = LineState::ALL.iter().zip(states).map(|(s, n)| format!("{n} {}", s.name())).collect();
    eprintln!("vyos: {} files, {total} lines ({}), {rules} rules", all.len(), names.join(", "));
    assert!(states[4] * 200 <= total, "{names:?}");
}

/// The section at the top in which a place is.
fn section_of(text: &str, at: usize) -> String {
    let before = &text[..at.min(text.len())];
    let line = text[before.rfind('\n').map_or(0, |n| n + 1)..].lines().next().unwrap_or_default();
    if let Some(path) = line.strip_prefix("set ") {
        return path.split(' ').next().unwrap_or_default().to_owned();
    }
    let head = before.lines().rev().find(|l| l.ends_with('{') && !l.starts_with(' '));
    head.unwrap_or_default().trim_end_matches('{').trim().to_owned()
}

fn read(path: &Path) -> Device {
    let text = std::fs::read_to_string(path).expect("text");
    vendors::format("vyos").expect("the format").read_text("config.boot", &text).1.device
}

#[test]
fn a_migrated_configuration_lets_through_what_the_old_one_does() {
    let Some(root) = corpus() else { return eprintln!("skipped: no corpus") };
    let root = root.join("vyos+vyos-1x/smoketest");
    let mut old = Vec::new();
    files(&root.join("configs"), &mut old);
    let (mut pairs, mut with, mut compared) = (0, 0, 0);
    for path in old {
        let new = root.join("config-tests").join(path.file_name().expect("a name"));
        if !new.is_file() {
            continue;
        }
        let (a, b) = (read(&path), read(&new));
        let (found, sets, left) = equal_sets::differences(("before", &a), ("after", &b));
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
        pairs += 1;
        with += usize::from(!a.base_chains.is_empty());
        compared += sets;
        eprintln!("{}: {} rules before, {} after, {left} left out", path.display(), count(&a), count(&b));
    }
    eprintln!("{pairs} configurations before and after migration give the same packet sets ({with} with chains, {compared} pairs of sets)");
    assert!(pairs >= 15 || std::env::var_os("FWPROOF_CORPUS").is_none(), "{pairs}");
}

fn count(device: &Device) -> usize {
    device.chains.iter().map(|c| c.rules.len()).sum()
}
