//! RouterOS: what becomes of packets, on fixtures and on real files where they are at hand (`FWPROOF_CORPUS`, else `../shared/corpus`).
#![allow(missing_docs, clippy::print_stderr, reason = "a test that is skipped must say so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::eval::walk::{Outcome, walk};
use fwproof::eval::{Analysis, trace};
use fwproof::model::{CryptoUse, Device, TunnelKind};
use fwproof::source::{FileId, Limits, SourceFile};
use fwproof::vendors;
use serde_json::{Value, json};

const OFFICE: &str = include_str!("fixtures/routeros/office-7.rsc");
const VERBOSE: &str = include_str!("fixtures/routeros/verbose-6.rsc");

fn device(text: &str) -> Device {
    vendors::format("routeros").expect("the format").read_text("r.rsc", text).1.device
}

/// `"tcp 443 wan>lan 1.2.3.4 5.6.7.8"`, `"… wan> …"` for packets to the router.
fn packet(text: &str) -> Value {
    let w: Vec<&str> = text.split_whitespace().collect();
    let (iif, oif) = w[2].split_once('>').expect("interfaces");
    let mut p = json!({ "hook": if oif.is_empty() { "input" } else { "forward" }, "iif": iif, "src": w[3], "dst": w[4], "proto": w[0] });
    if !oif.is_empty() {
        p["oif"] = oif.into();
    }
    if let Ok(port) = w[1].parse::<u16>() {
        p["dport"] = port.into();
    }
    p
}

fn all(device: &Device, expected: &[(&str, Outcome)]) {
    let analysis = Analysis::new(device, &[], &Limits::default());
    for (text, outcome) in expected {
        let (way, family, p) = trace::read_packet(&packet(text), &analysis.space).expect("a packet");
        assert_eq!(walk(&analysis, way, family, &p, None, None, false).verdict, *outcome, "{text}");
    }
}

use Outcome::{Accept, Drop, Reject, Unknown};

#[test]
fn rules_decide_in_order_and_what_none_decides_about_passes() {
    all(
        &device(OFFICE),
        &[
            ("tcp 443 bridge-lan>servers 10.1.0.7 10.1.20.80", Accept),
            ("tcp 8005 wg-branch>servers 10.2.0.7 10.1.20.80", Accept),
            // Not what the rule excepts, and not from printers.
            ("tcp 443 bridge-lan>servers 10.1.0.66 10.1.20.80", Reject),
            ("tcp 443 bridge-lan>servers 10.1.0.201 10.1.20.80", Drop),
            // The entry of the list is disabled.
            ("tcp 443 bridge-lan>servers 10.1.0.15 10.1.20.80", Accept),
            ("tcp 22 bridge-lan>servers 10.1.0.7 10.1.20.80", Reject),
            ("tcp 25 servers>eth-wan 10.1.20.80 192.0.2.9", Accept),
            // Raw is before everything else.
            ("tcp 443 eth-wan>servers 10.3.0.7 10.1.20.80", Drop),
            ("tcp 22 eth-wan>servers 192.0.2.9 10.1.20.80", Drop),
        ],
    );
}

#[test]
fn chains_are_called_and_come_back() {
    all(
        &device(OFFICE),
        &[
            ("udp 53 guests>eth-wan 10.1.30.7 192.0.2.53", Accept),
            ("tcp 443 guests>eth-wan 10.1.30.7 192.0.2.53", Unknown),
            ("tcp 443 guests>servers 10.1.30.7 10.1.20.80", Accept),
            ("tcp 443 guests>servers 10.1.30.7 10.1.20.81", Drop),
        ],
    );
}

#[test]
fn the_filter_sees_translated_destinations() {
    all(
        &device(OFFICE),
        &[
            ("tcp 8443 eth-wan>servers 192.0.2.9 203.0.113.2", Accept),
            ("tcp 8444 eth-wan>servers 192.0.2.9 203.0.113.2", Drop),
            ("tcp 443 eth-wan>servers 192.0.2.9 10.1.20.80", Drop),
        ],
    );
}

#[test]
fn what_reaches_the_router() {
    all(
        &device(OFFICE),
        &[
            ("tcp 22 bridge-lan> 10.1.0.12 10.1.0.1", Accept),
            ("tcp 22 bridge-lan> 10.1.0.22 10.1.0.1", Drop),
            ("udp 53 guests> 10.1.30.7 10.1.30.1", Accept),
            ("udp 53 eth-wan> 192.0.2.9 203.0.113.2", Drop),
            ("udp 51820 eth-wan> 192.0.2.9 203.0.113.2", Accept),
        ],
    );
    all(
        &device(VERBOSE),
        &[
            ("tcp 22 ether2> 192.168.88.9 192.168.88.1", Accept),
            // Nothing of IPsec is configured: no packet comes of it.
            ("tcp 22 pppoe-out1> 192.0.2.9 203.0.113.2", Drop),
            ("tcp 22 ether1> 192.0.2.9 203.0.113.2", Drop),
            ("tcp 22 ether1>ether2 192.0.2.9 192.168.88.9", Accept),
        ],
    );
}

#[test]
fn ipv6_has_rules_of_its_own() {
    all(
        &device(OFFICE),
        &[
            ("tcp 443 eth-wan>servers 2001:db8:1::1 2001:db8:2::1", Drop),
            ("tcp 22 bridge-lan>servers 2001:db8:1::1 2001:db8:2::1", Accept),
            ("tcp 22 eth-wan> 2001:db8:1::1 2001:db8:2::1", Accept),
        ],
    );
}

#[test]
fn commands_that_cannot_be_followed_leave_their_table_open() {
    for command in ["remove [find comment~\"web\"]", "move 3 0", "set [find chain=input action~\"d\"] disabled=yes"] {
        let text = format!("{OFFICE}/ip firewall filter\n{command}\n");
        all(&device(&text), &[("tcp 22 eth-wan>servers 192.0.2.9 10.1.20.80", Unknown)]);
    }
    let text = format!("{OFFICE}:foreach i in=[/ip firewall filter find] do={{\n /ip firewall filter disable $i\n}}\n");
    all(&device(&text), &[("tcp 22 eth-wan>servers 192.0.2.9 10.1.20.80", Unknown)]);
    // These can.
    let text = format!("{OFFICE}/ip firewall filter disable [find chain=input action=drop]\n");
    all(&device(&text), &[("udp 53 eth-wan> 192.0.2.9 203.0.113.2", Accept)]);
    let text = format!("{OFFICE}/ip/firewall/filter/remove [find]\n");
    all(&device(&text), &[("udp 53 eth-wan> 192.0.2.9 203.0.113.2", Accept)]);
}

#[test]
fn services_and_their_defaults() {
    let d = device(OFFICE);
    let names: Vec<(&str, Option<u16>)> = d.management.services.iter().map(|s| (s.name.as_str(), s.port)).collect();
    assert_eq!(names, [("ssh", Some(2222)), ("winbox", Some(8291)), ("mac-winbox", None), ("snmp", Some(161))]);
    assert!(d.management.exhaustive);
    assert_eq!(d.management.services[3].versions, ["3"]);
    assert_eq!(d.management.port_mapping.len(), 1);
    assert_eq!(d.management.log_hosts.as_ref().map(Vec::len), Some(1));
    let d = device(VERBOSE);
    let names: Vec<&str> = d.management.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["telnet", "www", "ssh", "winbox", "mac-telnet", "mac-winbox"]);
    assert_eq!(d.management.accounts[0].default_password, Some(true));
    assert!(d.routes.iter().flatten().any(|r| r.interface.as_deref() == Some("pppoe-out1") && r.to.prefix() == 0));
}

#[test]
fn tunnels_offer_all_that_they_offer() {
    let d = device(OFFICE);
    let kinds: Vec<TunnelKind> = d.tunnels.iter().map(|t| t.kind).collect();
    assert_eq!(kinds, [TunnelKind::WireGuard, TunnelKind::Ipsec, TunnelKind::Ipsec]);
    let of = |i: usize, usage: CryptoUse| -> Vec<&str> {
        d.tunnels[i].crypto.iter().filter(|c| c.usage == usage).map(|c| c.name.as_str()).collect()
    };
    assert_eq!(of(1, CryptoUse::KeyExchange), ["SECP256R1", "DH-2048", "SECP256R1"]);
    assert_eq!(of(1, CryptoUse::Cipher), ["AES-256-CBC", "AES-256-CBC", "AES-256-GCM"]);
    assert_eq!(of(1, CryptoUse::IkeVersion), ["2"]);
    // The defaults of L2TP over IPsec.
    assert_eq!(of(2, CryptoUse::KeyExchange), ["DH-2048", "DH-1024", "DH-1024"]);
    assert_eq!(d.tunnels[0].peers[0].keepalive, Some(25));
    let d = device(VERBOSE);
    assert_eq!(d.tunnels.len(), 1);
    assert!(d.tunnels[0].crypto.iter().any(|c| c.name == "BF-CBC"));
}

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
        reading.lines.values().flatten().for_each(|s| *states.entry(*s).or_default() += 1);
        rules += reading.device.chains.iter().map(|c| c.rules.len()).sum::<usize>();
    }
    eprintln!("routeros: {} files, {states:?}, {rules} rules", found.len());
    let total: usize = states.values().sum();
    assert!(states.get(&LineState::Unrecognised).copied().unwrap_or(0) * 200 <= total);
}
