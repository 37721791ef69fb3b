//! OpenWrt's own tests of fw4: each has a configuration and the ruleset that fw4 makes of it. What is read from the one must treat packets as
//! what is read from the other. And the configurations that OpenWrt ships are read without a line that is not recognised.
#![allow(missing_docs, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::model::Device;
use fwproof::vendors::format;
use serde_json::Value;

mod equal_sets;

/// The networks that fw4's tests run with, as far as their expected rulesets show them.
const NETWORK: &str = "
config interface 'lan'
	option device 'br-lan'
	option proto 'static'
	list ipaddr '10.0.0.1/24'
	list ipaddr '192.168.26.1/24'
config interface 'wan'
	option device 'pppoe-wan'
	option proto 'static'
	option ipaddr '10.11.12.194/24'
config interface 'wan6'
	option device 'pppoe-wan'
config interface 'guest'
	option device 'br-guest'
config interface 'noaddr'
	option device 'wwan0'
";

fn corpus() -> Option<PathBuf> {
    let root =
        std::env::var_os("FWPROOF_CORPUS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let found = root.join("openwrt");
    found.is_dir().then_some(found)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// A part of a test file: `-- NAME --` … `-- End --`.
fn part<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let start = text.find(&format!("-- {name} --\n"))? + name.len() + 7;
    let end = text.get(start..)?.find("-- End --")?;
    text.get(start..start + end)
}

/// Sections in JSON as fw4's tests write them, as UCI.
fn uci(json: &Value) -> String {
    let mut out = String::new();
    let scalar = |v: &Value| match v {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    for (kind, list) in json.as_object().into_iter().flatten() {
        let list = match list {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        for section in &list {
            out += &format!("config {kind}\n");
            for (key, value) in section.as_object().into_iter().flatten().filter(|(k, _)| !k.starts_with('.')) {
                match value {
                    Value::Array(values) => values.iter().for_each(|v| out += &format!("\tlist {key} '{}'\n", scalar(v))),
                    v => out += &format!("\toption {key} '{}'\n", scalar(v)),
                }
            }
        }
    }
    out
}

fn read(id: &str, name: &str, text: &str) -> Device {
    format(id).expect("a format").read_text(name, text).1.device
}

#[test]
fn the_chains_treat_packets_as_those_that_fw4_makes() {
    let Some(root) = corpus() else { return eprintln!("skipped: no corpus") };
    let mut all = Vec::new();
    files(&root, &mut all);
    let (mut same, mut left) = (0, Vec::new());
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let (Some(config), Some(expected)) = (part(&text, "File uci/firewall.json"), part(&text, "Expect stdout")) else { continue };
        let Ok(json) = serde_json::from_str::<Value>(config) else { continue };
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let mut ours = read("openwrt", "etc/config/firewall", &uci(&json));
        ours.absorb(read("openwrt", "etc/config/network", NETWORK));
        let mut theirs = read("nftables", "ruleset.nft", expected);
        // The same host: its interfaces go by their devices there.
        theirs.interfaces.clone_from(&ours.interfaces);
        // Reflections depend on addresses that only the router knows: they are left out on both sides.
        for chain in ours.chains.iter_mut().chain(&mut theirs.chains) {
            chain.rules.retain(|r| {
                r.implied != Some("reflection of a port forwarding") && r.comment.as_deref().is_none_or(|c| !c.ends_with("(reflection)"))
            });
        }
        if let Some(why) = beyond(&name) {
            left.push(format!("{name}: {why}"));
            continue;
        }
        let (found, ..) = equal_sets::differences(("uci", &ours), ("fw4", &theirs));
        assert!(found.is_empty(), "{name}: {found:#?}\n{}", uci(&json));
        same += 1;
    }
    eprintln!("{same} of fw4's own tests give the same packet sets; not compared: {left:#?}");
    assert!(same >= 12, "{same}");
}

fn beyond(name: &str) -> Option<&'static str> {
    Some(match name {
        "01_nft_includes" | "03_script_includes" | "05_automatic_includes" | "04_disabled_include" | "02_firewall.user_include" => {
            "includes"
        }
        // fw4 writes a translation of ports without a protocol there, which nft refuses.
        "08_log_limit" => "does not load",
        _ => return None,
    })
}

#[test]
fn what_openwrt_ships_is_recognised_line_by_line() {
    let Some(root) = corpus() else { return eprintln!("skipped: no corpus") };
    let path = root.join("openwrt+firewall4/root/etc/config/firewall");
    let Ok(text) = std::fs::read_to_string(&path) else { return eprintln!("skipped: {} is not there", path.display()) };
    let (_, reading) = format("openwrt").expect("a format").read_text("firewall", &text);
    let states: Vec<LineState> = reading.lines.into_values().flatten().collect();
    let count = |s: LineState| states.iter().filter(|l| **l == s).count();
    assert_eq!(count(LineState::Unrecognised), 0, "{:?}", reading.notes);
    assert_eq!(count(LineState::Unsupported), 0, "{:?}", reading.notes);
}
