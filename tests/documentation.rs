//! The README and the pages of `docs/`: what they show can be written, what they link to is there, what they list is complete.

use std::fs;
use std::path::{Path, PathBuf};

use fwproof::checks::KINDS;
use fwproof::rulesets::{SHIPPED, load};
use fwproof::source::{Limits, Sources};
use fwproof::vendors::FORMATS;
use serde_yaml::{Mapping, Value};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().path());
    let mut paths: Vec<PathBuf> = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    paths.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    paths.sort();
    paths.into_iter().map(|p| (p.clone(), fs::read_to_string(p).unwrap().replace("\r\n", "\n"))).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap().replace("\r\n", "\n")
}

/// What an example that is a part of a baseline takes for granted.
const AROUND: &str = r#"
fwproof: 1
title: An example
zones:
  internet: { addresses: public }
  office: { addresses: [10.1.0.0/24, "2001:db8:1::/64"] }
  customer-data: { addresses: 10.1.9.10 }
services: { crm: tcp/443 }
"#;

fn put(into: &mut Mapping, from: Mapping) {
    for (key, value) in from {
        into.insert(key, value);
    }
}

/// The whole files that a YAML example stands for: a baseline, with a ruleset or a file of waivers beside it if the example is one.
fn files(example: &str) -> Vec<(&'static str, String)> {
    let value: Value = serde_yaml::from_str(example).unwrap_or_else(|e| panic!("{e}\n{example}"));
    let mapping = value.as_mapping().cloned().unwrap_or_else(|| panic!("no mapping\n{example}"));
    let mut baseline: Mapping = serde_yaml::from_str(AROUND).unwrap();
    if mapping.contains_key("ruleset") {
        baseline.insert("use".into(), "./example.yaml".into());
        return vec![("baseline.yaml", serde_yaml::to_string(&baseline).unwrap()), ("example.yaml", example.to_owned())];
    }
    if mapping.get("waivers").is_some_and(Value::is_sequence) {
        baseline.insert("waivers".into(), "waivers.yaml".into());
        return vec![("baseline.yaml", serde_yaml::to_string(&baseline).unwrap()), ("waivers.yaml", example.to_owned())];
    }
    if mapping.contains_key("fwproof") {
        return vec![("baseline.yaml", example.to_owned())];
    }
    put(&mut baseline, mapping);
    vec![("baseline.yaml", serde_yaml::to_string(&baseline).unwrap())]
}

#[test]
fn every_example_of_a_baseline_can_be_written() {
    let mut seen = 0;
    for name in ["README.md", "docs/baseline.md"] {
        let text = page(name);
        let blocks = text.split("\n```yaml\n").skip(1).map(|b| b.split("\n```").next().unwrap_or(""));
        // The steps of a pipeline are somebody else's language.
        for example in blocks.filter(|b| !b.starts_with("steps:")) {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("staff.csv"), "name,device,left\nanna,anna,\n").unwrap();
            fs::write(folder.path().join("waivers.yaml"), "fwproof: 1\nwaivers: []\n").unwrap();
            for (file, text) in files(example) {
                fs::write(folder.path().join(file), text).unwrap();
            }
            if let Err(errors) = load(&mut Sources::default(), &folder.path().join("baseline.yaml"), &Limits::default()) {
                panic!("{name}: {}\n{example}", errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; "));
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} examples were found");
}

#[test]
fn every_link_leads_to_a_file() {
    for (path, text) in pages() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or("");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(path.parent().unwrap().join(file).exists(), "{}: {target}", path.display());
        }
    }
}

#[test]
fn the_lists_of_formats_kinds_and_rulesets_are_complete() {
    let readme = page("README.md");
    for format in FORMATS {
        assert!(readme.contains(&format!("\n| `{}` | {} |", format.id, format.title)), "README.md lacks the format {}", format.id);
    }
    for name in ["README.md", "docs/baseline.md"] {
        let text = page(name);
        for kind in KINDS {
            assert!(text.contains(&format!("\n| [`{}`](", kind.id)), "{name} lacks the kind {}", kind.id);
        }
        for ruleset in SHIPPED {
            assert!(text.contains(&format!("`{}`", ruleset.id)), "{name} lacks the ruleset {}", ruleset.id);
        }
    }
}

#[test]
fn the_bounds_that_are_written_are_those_of_the_code() {
    let text = page("docs/limits.md");
    let limits = Limits::default();
    let grouped = |n: usize| {
        let digits = n.to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|c| std::str::from_utf8(c).unwrap()).collect();
        groups.join(",")
    };
    for (what, value) in [
        ("bytes of one file", format!("{} MiB", limits.file_bytes >> 20)),
        ("bytes of all files together", format!("{} GiB", limits.total_bytes >> 30)),
        ("number of files", grouped(limits.files)),
        ("bytes of a baseline, ruleset or waiver file", format!("{} MiB", limits.baseline_bytes >> 20)),
        ("nesting of blocks in a configuration", grouped(limits.nesting)),
        ("depth of includes", grouped(limits.include_depth)),
        ("rules of one device, jumps and alternatives written out", grouped(limits.expanded_rules)),
    ] {
        assert!(text.contains(&format!("\n| {what} | {value} |")), "{what}: {value}");
    }
}

#[test]
fn every_case_of_the_windows_firewall_names_a_test_that_exists() {
    let tests: String =
        ["tests/windows_firewall.rs", "src/vendors/windows/tests.rs"].iter().map(|p| fs::read_to_string(root().join(p)).unwrap()).collect();
    let text = page("docs/windows-firewall.md");
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| ") && l.contains('`')).collect();
    assert!(rows.len() > 10);
    for row in rows {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or("");
        for name in last.split('`').skip(1).step_by(2).filter(|n| !n.contains('/')) {
            assert!(tests.contains(&format!("fn {name}(")), "{name}");
        }
    }
}
