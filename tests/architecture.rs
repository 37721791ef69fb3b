//! The floors of the house: a module imports only from lower ones, and modules of one floor do not know each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with its floor. `packets` (fields, cubes) knows nothing of firewalls and lies below the model, which names its fields.
const FLOORS: &[(&str, u32)] = &[
    ("source", 0),
    ("net", 0),
    ("diag", 1),
    ("packets", 1),
    ("syntax", 2),
    ("model", 2),
    ("vendors", 3),
    ("eval", 4),
    ("checks", 5),
    ("rulesets", 6),
    ("pipeline", 7),
    ("report", 7),
    ("probe", 7),
    ("cli", 8),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its path below `src`, tests and comments left out.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or("");
            let code: Vec<&str> = code.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
            (path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/"), code.join("\n"))
        })
        .collect()
}

/// The modules after each `crate::` in a text, `use crate::{a, b}` included, with the next name of the path.
fn imports(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (i, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && !c.is_whitespace() => {
                        start = false;
                        found.push((word(&list[i..]), String::new()));
                    }
                    _ => {}
                }
            }
        } else {
            let module = word(rest);
            let next = rest[module.len()..].strip_prefix("::").map(word).unwrap_or_default();
            found.push((module, next));
        }
    }
    found
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[test]
fn a_module_imports_only_from_lower_floors() {
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, code) in sources().iter().filter(|(p, _)| p.contains('/') && !is_test(p)) {
        let own = path.split('/').next().unwrap();
        let Some(floor) = floors.get(own) else {
            wrong.push(format!("{path}: module {own} has no floor: give it one here"));
            continue;
        };
        for (module, _) in imports(code) {
            match floors.get(module.as_str()) {
                _ if module == own => {}
                Some(lower) if lower < floor => {}
                Some(_) => wrong.push(format!("{path}: {own} (floor {floor}) imports {module}")),
                None if module.chars().next().is_some_and(char::is_lowercase) => wrong.push(format!("{path}: imports unknown {module}")),
                None => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn folders_of_readers_do_not_know_each_other() {
    let sources = sources();
    let families: Vec<&str> = sources.iter().filter_map(|(p, _)| p.strip_prefix("vendors/")?.split_once('/').map(|(f, _)| f)).collect();
    let mut wrong = Vec::new();
    for (path, code) in sources.iter().filter(|(p, _)| !is_test(p)) {
        let Some((own, _)) = path.strip_prefix("vendors/").and_then(|p| p.split_once('/')) else { continue };
        for (module, next) in imports(code) {
            if module == "vendors" && next != own && families.contains(&next.as_str()) {
                wrong.push(format!("{path}: imports vendors::{next}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_prints_and_reads_the_environment() {
    let mut wrong = Vec::new();
    for (path, code) in sources().iter().filter(|(p, _)| !p.starts_with("cli/") && p != "main.rs" && !is_test(p)) {
        for word in ["println!(", "print!(", "eprintln!(", "eprint!(", "env::var", "env::args", "process::exit", "io::stdout", "io::stderr"]
        {
            if code.contains(word) {
                wrong.push(format!("{path}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
