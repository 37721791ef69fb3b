//! The real tool as an oracle: what `iptables -L` prints of a ruleset and what `iptables-save` prints of it must be the same model. Skipped, visibly,
//! where rulesets cannot be loaded into a network namespace of their own.

// What was skipped must be seen.
#![allow(clippy::print_stderr)]

mod nftables_support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fwproof::diag::LineState;
use fwproof::vendors::format;
use nftables_support::dump;

/// What the tool prints after it loaded a ruleset: `-save`, and the listing of every table. `None` if it refuses the ruleset.
fn forms(tool: &str, list: &str, rules: &str) -> Option<(String, String)> {
    let mut script = String::from("ulimit -t 60; ");
    for set in sets(rules) {
        let family = if tool.starts_with("ip6") { "family inet6" } else { "" };
        script += &format!("ipset create {set} hash:net {family} 2>/dev/null; ");
    }
    let (name, backend) = tool.split_once('-').unwrap_or((tool, "nft"));
    // Where the kernel lacks something, what it can do is loaded rule by rule.
    let restore = format!("{name}-{backend}-restore");
    let single = "while IFS= read -r l; do case $l in '*'*) t=$l;; :*|-*) printf '%s\\n%s\\nCOMMIT\\n' \"$t\" \"$l\" | $R --noflush 2>/dev/null;; esac; done < $F; true";
    script += &format!(
        "F=$(mktemp); trap 'rm -f $F' EXIT; R={restore}; cat > $F; [ $(wc -l < $F) -lt 400 ] || $R -t < $F || exit 1; $R < $F || {{ {single}; }}; {name}-{backend}-save && printf '\\001' && for t in raw mangle nat filter; do {name}-{backend} -t $t {list}; done"
    );
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(rules.as_bytes()).ok()?;
    let out = child.wait_with_output().ok().filter(|o| o.status.success())?;
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    let (save, listing) = out.split_once('\u{1}')?;
    Some((save.to_owned(), listing.to_owned()))
}

fn sets(rules: &str) -> BTreeSet<String> {
    let words: Vec<&str> = rules.split_whitespace().collect();
    let after = words.windows(2).filter(|w| matches!(w[0], "--match-set" | "--set" | "--add-set" | "--del-set")).map(|w| w[1]);
    after.filter(|n| n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') && n.len() < 32).map(str::to_owned).collect()
}

/// Chains with their lines, whatever the order of tables.
fn chains(id: &str, text: &str) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut chain = String::new();
    for line in dump(&format(id).expect("a format of this id").read_text("rules", text).1.device) {
        match line.strip_prefix("chain ") {
            Some(name) => {
                chain = name.to_owned();
                out.entry(chain.clone()).or_default();
            }
            None if line.starts_with("base ") => out.entry(line).or_default().clear(),
            None if line.starts_with("set ") => {}
            None => out.entry(chain.clone()).or_default().push(line),
        }
    }
    // A table of which nothing was loaded has no chains but empty ones that accept: -L shows them, -save may not.
    out.retain(|name, rules| !rules.is_empty() || !(name.starts_with("base ") || name.contains('/')) || name.contains("filter/"));
    out
}

/// How many rules are the same in both, and those that differ. A rule for which the listing has a condition that is not modelled may differ in its words.
fn compare(name: &str, save: &str, listing: &str) -> (usize, usize, String) {
    let (mut same, mut opaque, mut wrong) = (0, 0, String::new());
    let (saved, listed) = (chains("iptables", save), chains("iptables-list", listing));
    let names: BTreeSet<&String> = saved.keys().chain(listed.keys()).collect();
    for chain in names {
        let none = Vec::new();
        let (a, b) = (saved.get(chain).unwrap_or(&none), listed.get(chain).unwrap_or(&none));
        if a.len() != b.len() {
            wrong += &format!("{name}: {chain} has {} rules saved and {} listed\n", a.len(), b.len());
        }
        for (a, b) in a.iter().zip(b) {
            match (a == b, b.contains("Opaque(") || b.contains('<')) {
                (true, _) => same += 1,
                (false, true) => opaque += 1,
                (false, false) => wrong += &format!("{name}: {chain}\n   saved {a}\n  listed {b}\n"),
            }
        }
    }
    (same, opaque, wrong)
}

fn available(tool: &str) -> bool {
    forms(tool, "-L -n -v", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n").is_some()
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).expect("a fixture")
}

#[test]
fn a_listing_and_what_is_saved_are_the_same_model() {
    for (tool, file) in [
        ("iptables-nft", "iptables-list/constructs.rules"),
        ("iptables-legacy", "iptables-list/constructs.rules"),
        ("ip6tables-nft", "iptables-list/constructs6.rules"),
        ("ip6tables-legacy", "iptables-list/constructs6.rules"),
        ("iptables-nft", "iptables/edge.rules.v4"),
    ] {
        if !available(tool) {
            eprintln!("skipped: {tool} cannot be used here");
            continue;
        }
        for list in ["-L -n -v", "-L -n -v -x --line-numbers", "-L -v"] {
            let Some((save, listing)) = forms(tool, list, &fixture(file)) else {
                eprintln!("skipped: {tool} does not load {file}");
                continue;
            };
            let reading = format("iptables-list").expect("the format").read_text("listing", &listing).1;
            let lost: Vec<&str> = reading.notes.iter().filter(|n| n.state == LineState::Unrecognised).map(|n| n.text.as_str()).collect();
            assert!(lost.is_empty(), "{tool} {list}: {lost:#?}");
            let (same, opaque, wrong) = compare(&format!("{tool} {file} {list}"), &save, &listing);
            eprintln!("{tool} {file} {list}: {same} rules the same, {opaque} with conditions of other words");
            assert!(wrong.is_empty(), "{wrong}");
            assert!(same > 8, "{tool} {file}: {same}");
        }
    }
}

#[test]
fn real_rulesets_are_listed_as_they_are_saved() {
    let corpus = std::env::var_os("FWPROOF_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from).join("iptables");
    if !available("iptables-nft") || !corpus.is_dir() {
        eprintln!("skipped: no rulesets, or iptables cannot be used here");
        return;
    }
    let (mut folders, mut files) = (vec![corpus], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let (mut loaded, mut same, mut opaque, mut wrong) = (0, 0, 0, String::new());
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if !text.contains("\nCOMMIT") || text.len() > 1 << 20 {
            continue;
        }
        let Some((save, listing)) = forms("iptables-nft", "-L -n -v", &text) else { continue };
        let (s, o, w) = compare(&path.display().to_string(), &save, &listing);
        loaded += 1;
        same += s;
        opaque += o;
        wrong += &w;
    }
    eprintln!("{loaded} rulesets listed: {same} rules the same, {opaque} with conditions of other words");
    assert!(wrong.is_empty(), "{}", wrong.lines().take(60).collect::<Vec<_>>().join("\n"));
}
