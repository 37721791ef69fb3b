//! Reads the real iptables and ipset files of the development corpus, where it is there (`FWPROOF_CORPUS`, else `../shared/corpus`).
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::model::{Device, Match};
use fwproof::source::{FileId, SourceFile};
use fwproof::vendors::{self, Reading};

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

fn read(path: &Path, name: &str, format: &str) -> (SourceFile, Reading) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = SourceFile::new(FileId(0), name, &bytes);
    let found = vendors::detect(&file);
    assert_eq!(
        found.first().map(|(f, _)| f.id),
        Some(format),
        "{name}: {found:?}",
        found = found.iter().map(|f| f.0.id).collect::<Vec<_>>()
    );
    let reading = vendors::format(format).unwrap().read_file(&file);
    (file, reading)
}

#[test]
fn every_corpus_file_is_read_and_hardly_a_line_is_not_recognised() {
    let Some(corpus) = corpus() else { return };
    let mut total: BTreeMap<LineState, usize> = BTreeMap::new();
    let mut files = 0;
    for folder in ["iptables/", "ipset/"] {
        for name in inputs(&corpus, folder) {
            let mixed = name.ends_with(".ips.ref");
            let (file, reading) = read(&corpus.join(&name), &name, if folder == "ipset/" && !mixed { "ipset" } else { "iptables" });
            files += 1;
            let mut counts: BTreeMap<LineState, usize> = BTreeMap::new();
            for (i, state) in reading.lines[&FileId(0)].iter().enumerate() {
                *counts.entry(*state).or_default() += 1;
                *total.entry(*state).or_default() += 1;
                let line = file.line(i).trim_start();
                assert!(
                    *state != LineState::Unrecognised || !(line.starts_with("-A") || line.starts_with("[")),
                    "{name}: a rule is not recognised: {line}"
                );
            }
            println!("{name}: {counts:?}, {} notes", reading.notes.len());
            if std::env::var_os("FWPROOF_NOTES").is_some() {
                for n in &reading.notes {
                    println!("   {}: {:?} {} :: {}", file.place(n.span.start).line, n.state, n.text, file.slice(n.span));
                }
            }
        }
    }
    println!("{files} files: {total:?}");
    let all: usize = total.values().sum();
    let unrecognised = total.get(&LineState::Unrecognised).copied().unwrap_or(0);
    assert!(unrecognised * 200 <= all, "{unrecognised} of {all} lines are not recognised");
}

/// A device's chains as text without spans and without the order of a rule's matches.
fn chains(device: &Device) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::new();
    for (i, chain) in device.chains.iter().enumerate() {
        let policy =
            device.base_chains.iter().find(|b| b.chain.0 as usize == i).map(|b| (b.hook, b.priority, b.policy.action, &b.families));
        let mut lines = vec![format!("{policy:?}")];
        for rule in &chain.rules {
            let mut parts = Vec::new();
            flatten(&rule.matcher, device, &mut parts);
            parts.sort();
            let action = match &rule.action {
                fwproof::model::Action::Jump(c) => format!("jump {}", device.chain(*c).name),
                fwproof::model::Action::Goto(c) => format!("goto {}", device.chain(*c).name),
                other => format!("{other:?}"),
            };
            lines.push(format!("{parts:?} {:?} {action} log={} {:?}", rule.effects, rule.log, rule.comment));
        }
        out.insert(chain.name.clone(), lines);
    }
    out
}

fn flatten(m: &Match, device: &Device, out: &mut Vec<String>) {
    match m {
        Match::All(v) => v.iter().for_each(|m| flatten(m, device, out)),
        Match::Any => {}
        Match::Opaque(id) => out.push(device.conditions.get(*id).0.to_owned()),
        Match::Not(inner) if matches!(**inner, Match::Opaque(_)) => {
            let mut one = Vec::new();
            flatten(inner, device, &mut one);
            out.push(format!("not {}", one.concat()));
        }
        other => out.push(format!("{other:?}")),
    }
}

#[test]
fn a_file_and_the_normal_form_that_the_real_tool_gives_it_are_the_same_model() {
    let Some(corpus) = corpus() else { return };
    let results = std::fs::read_to_string(corpus.join("_realtool/results.tsv")).unwrap();
    let mut compared = 0;
    for line in results.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [folder, name, .., stem] = cells.as_slice() else { continue };
        if *folder != "iptables" || *stem == "-" {
            continue;
        }
        let normal = corpus.join("_realtool").join(stem.replace(".*", ".save"));
        let (_, ours) = read(&corpus.join(name), name, "iptables");
        let (_, theirs) = read(&normal, &normal.display().to_string(), "iptables");
        let (ours, theirs) = (chains(&ours.device), chains(&theirs.device));
        for (chain, rules) in &theirs {
            let Some(mine) = ours.get(chain) else {
                // The tool lists every built-in chain of a table, also those that the file leaves out.
                assert!(rules.len() == 1 && rules[0].contains("Accept"), "{name}: chain {chain} is missing");
                continue;
            };
            assert_eq!(mine, rules, "{name}: chain {chain}");
        }
        assert!(ours.keys().all(|c| theirs.contains_key(c)), "{name}: a chain too many");
        compared += 1;
    }
    println!("{compared} files compared");
    assert!(compared >= 15);
}

#[test]
fn the_normal_forms_of_the_upstream_tests_are_the_same_rules() {
    let Some(corpus) = corpus() else { return };
    let folder = corpus.join("iptables-translate-oracle/debsrc_iptables_1.8.11/extensions");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "t"));
    files.sort();
    let mut compared = 0;
    let mut failures = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut chain, mut table) = ("INPUT".to_owned(), "filter".to_owned());
        for line in text.lines() {
            if let Some(chains) = line.strip_prefix(':') {
                chain = chains.split(',').next().unwrap().to_owned();
                table = "filter".to_owned();
            } else if let Some(name) = line.strip_prefix('*') {
                table = name.to_owned();
            }
            let [rule, normal, "OK"] = line.split(';').collect::<Vec<_>>()[..] else { continue };
            if line.starts_with(['#', ':', '*']) {
                continue;
            }
            let model = |rule: &str| {
                let text = format!("*{table}\n:{chain} ACCEPT [0:0]\n-A {chain} {rule}\nCOMMIT\n");
                let (_, reading) = vendors::format("iptables").unwrap().read_text("a", &text);
                let mut chains = chains(&reading.device);
                // Of modules that are not modelled, the tool prints defaults and other units: only the module is compared.
                for line in chains.values_mut().flatten() {
                    for module in ["hashlimit", "time", "string", "recent", "limit"] {
                        if line.contains(&format!("\"{module} --")) {
                            *line = module.to_owned();
                        }
                    }
                }
                chains
            };
            let (mine, theirs) = (model(rule), model(if normal == "=" { rule } else { normal }));
            if mine != theirs {
                failures.push(format!("{}: {rule}\n  {mine:?}\n  {theirs:?}", path.display()));
            }
            compared += 1;
        }
    }
    println!("{compared} rules compared");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
