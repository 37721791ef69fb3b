//! The real tool as an oracle: what we read from a file, from its normal form as `nft list ruleset` prints it, and from
//! `nft -j` must be the same model. Skipped, visibly, where `nft` cannot load rulesets into a network namespace of its own.

// What was skipped must be seen.
#![allow(clippy::print_stderr)]

mod nftables_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use fwproof::vendors::format;
use nftables_support::dump;

/// What the tool prints after it loaded a file: text and JSON. `None` if it refuses the file.
fn normal_forms(path: &Path) -> Option<(String, String)> {
    let script = "nft -f \"$1\" && nft list ruleset && printf '\\001' && nft -j list ruleset";
    let out = Command::new("unshare").args(["-n", "sh", "-c", script, "sh"]).arg(path).output().ok()?;
    if !out.status.success() {
        return None;
    }
    let out = String::from_utf8(out.stdout).ok()?;
    let (text, json) = out.split_once('\u{1}')?;
    Some((text.to_owned(), json.to_owned()))
}

fn available() -> bool {
    Command::new("unshare").args(["-n", "nft", "list", "ruleset"]).output().is_ok_and(|o| o.status.success())
}

fn read(id: &str, text: &str) -> Vec<String> {
    dump(&format(id).expect("a format of this id").read_text("ruleset", text).1.device)
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nftables");
    let corpus = std::env::var_os("FWPROOF_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from).join("nftables");
    let mut folders = vec![own, corpus];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|e| e != "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn difference(a: &[String], b: &[String]) -> String {
    let only = |x: &[String], y: &[String], sign| {
        x.iter().filter(|l| !y.contains(l)).take(20).map(|l| format!("{sign} {l}\n")).collect::<String>()
    };
    let first = a.iter().zip(b).find(|(x, y)| x != y).map(|(x, y)| format!("first: {x}\n   not: {y}\n")).unwrap_or_default();
    first + &only(a, b, '-') + &only(b, a, '+')
}

#[test]
fn a_file_and_its_normal_forms_are_the_same_model() {
    if !available() {
        eprintln!("skipped: nft cannot be used here");
        return;
    }
    let mut compared = 0;
    let mut wrong = String::new();
    for path in files() {
        let Some((text, json)) = normal_forms(&path) else {
            eprintln!("not loaded by nft: {}", path.display());
            continue;
        };
        let source = std::fs::read(&path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let original = read("nftables", &source);
        for (what, other) in [("list", read("nftables", &text)), ("json", read("nftables-json", &json))] {
            if original != other {
                wrong += &format!("{} against {what}:\n{}", path.display(), difference(&original, &other));
            }
        }
        compared += 1;
    }
    eprintln!("compared with the real tool: {compared} files");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 0);
}
