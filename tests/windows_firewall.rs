//! Windows Defender Firewall: the same firewall in every form, and what becomes of packets.
#![allow(missing_docs, clippy::print_stderr, reason = "a test that is skipped must say so")]

mod equal_sets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fwproof::eval::walk::{Outcome, walk};
use fwproof::eval::{Analysis, trace};
use fwproof::model::{ConditionId, Device};
use fwproof::pipeline::{self, Inventory, Options};
use fwproof::source::Limits;
use fwproof::vendors;
use serde_json::{Value, json};

const FORMS: [&str; 9] = ["json", "joined", "csv", "clixml", "netsh-en", "netsh-de", "netsh-fr", "netsh-es", "reg"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/windows-firewall")
}

fn inventory(folder: &Path) -> Inventory {
    pipeline::read(&[folder.to_path_buf()], &Options::default())
}

fn form(name: &str) -> Device {
    let inventory = inventory(&fixtures().join(name));
    assert!(inventory.incomplete.is_empty(), "{name}: {:?}", inventory.incomplete);
    let notes: Vec<_> = inventory.files.iter().flat_map(|f| &f.notes).map(|n| &n.text).collect();
    assert!(notes.is_empty(), "{name}: {notes:?}");
    assert_eq!(inventory.devices.len(), 1, "{name}");
    inventory.devices[0].clone()
}

/// A device of texts, each of them a file.
fn device(texts: &[(&str, &str)]) -> Device {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in texts {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let inventory = inventory(folder.path());
    assert_eq!(inventory.devices.len(), 1, "{:?}", inventory.incomplete);
    inventory.devices[0].clone()
}

/// `"in tcp 3389 10.20.0.1"`, with the conditions that hold; `None`: all are open.
fn fate(device: &Device, text: &str, holding: Option<&[&str]>) -> Outcome {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let w: Vec<&str> = text.split_whitespace().collect();
    let own = if w[3].contains(':') { "2001:db8:20:7::9" } else { "10.20.0.99" };
    let (src, dst) = if w[0] == "in" { (w[3], own) } else { (own, w[3]) };
    let mut p = json!({ "hook": if w[0] == "in" { "input" } else { "output" }, "src": src, "dst": dst, "proto": w[1], "iif": "Ethernet" });
    if w[0] == "out" {
        p.as_object_mut().unwrap().remove("iif");
        p["oif"] = "Ethernet".into();
    }
    match (w[1], w[2].parse::<u16>()) {
        ("icmp" | "icmpv6", Ok(kind)) => p["icmp_type"] = kind.into(),
        (_, Ok(port)) => p["dport"] = port.into(),
        _ => {}
    }
    let (way, family, packet) = trace::read_packet(&p, &analysis.space).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let ids = holding.map(|list| {
        let mut list = list.to_vec();
        if list.contains(&DOMAIN) {
            list.retain(|l| *l != PRIVATE);
        } else if !list.contains(&PRIVATE) {
            list.push(PUBLIC);
        }
        let all = (0..device.conditions.len() as u32).filter(|i| {
            let text = device.conditions.get(ConditionId(*i)).0;
            list.iter().any(|l| text.contains(l))
        });
        all.collect::<Vec<u32>>()
    });
    walk(&analysis, way, family, &packet, ids.as_deref(), None, false).verdict
}

use Outcome::{Accept, Drop, Unknown};

/// Networks of the domain: neither public nor private.
const DOMAIN: &str = "neither";
const PRIVATE: &str = "the network is private";
const PUBLIC: &str = "the network is public";

#[test]
fn nine_forms_of_one_firewall_let_the_same_packets_through() {
    let devices: Vec<(&str, Device)> = FORMS.iter().map(|f| (*f, form(f))).collect();
    let mut pairs = 0;
    for (name, device) in &devices[1..] {
        let (differences, compared, left_out) = equal_sets::differences((devices[0].0, &devices[0].1), (name, device));
        assert!(differences.is_empty(), "{name}: {differences:#?}");
        assert_eq!(left_out, 0, "{name}");
        pairs += compared;
    }
    eprintln!("{pairs} pairs of packet sets compared");
}

#[test]
fn block_goes_before_allow_and_profiles_decide() {
    for name in FORMS {
        let d = form(name);
        let all = |holding: &[&str], cases: &[(&str, Outcome)]| {
            for (text, outcome) in cases {
                assert_eq!(fate(&d, text, Some(holding)), *outcome, "{name}: {text} with {holding:?}");
            }
        };
        let remote = "the program that receives is %systemroot%";
        let service = "the service that receives is termservice";
        all(
            &[DOMAIN, remote, service],
            &[("in tcp 3389 10.20.0.1", Accept), ("in tcp 3389 10.21.0.1", Drop), ("in tcp 3390 10.20.0.1", Drop)],
        );
        all(&[DOMAIN, remote], &[("in tcp 3389 10.20.0.1", Drop)]);
        all(&[PRIVATE, remote, service], &[("in tcp 3389 10.20.0.1", Drop)]);
        // A subnet and a range, on two of three profiles.
        all(&[DOMAIN], &[("in tcp 22 10.20.3.4", Accept), ("in tcp 22 192.168.50.20", Accept), ("in tcp 22 192.168.50.21", Drop)]);
        all(&[PRIVATE], &[("in tcp 22 10.20.3.4", Accept)]);
        all(&[], &[("in tcp 22 10.20.3.4", Drop)]);
        // File shares: allowed in the local subnet, and blocked on public networks whatever else allows.
        let subnet = "local subnet";
        let system = "the program that receives is system";
        all(&[PRIVATE, subnet, system], &[("in tcp 445 10.20.3.4", Accept), ("in tcp 445 2001:db8::1", Accept)]);
        all(&[subnet, system], &[("in tcp 445 10.20.3.4", Drop)]);
        // ICMP of the right family and type.
        all(&[PRIVATE, system], &[("in icmp 8 10.1.1.1", Accept), ("in icmp 13 10.1.1.1", Drop), ("in icmpv6 128 2001:db8::1", Accept)]);
        all(&[], &[("in icmpv6 128 2001:db8::1", Drop)]);
        // Disabled.
        all(&[PRIVATE, system], &[("in tcp 21 10.1.1.1", Drop)]);
        // Ranges of ports, and the sort of interface.
        all(&[PRIVATE, "is wired"], &[("in tcp 8010 10.1.1.1", Accept), ("in tcp 8011 10.1.1.1", Drop), ("in tcp 9000 10.1.1.1", Accept)]);
        all(&[PRIVATE], &[("in tcp 9000 10.1.1.1", Drop)]);
        all(&[DOMAIN], &[("in tcp 5986 2001:db8:20::1", Accept), ("in tcp 5986 2001:db8:21::1", Drop)]);
        // Out: everything but what is blocked.
        all(
            &[],
            &[
                ("out tcp 443 192.0.2.1", Accept),
                ("out tcp 23 192.0.2.1", Drop),
                ("out udp 53 192.0.2.1", Drop),
                ("out udp 53 10.20.0.3", Accept),
            ],
        );
        // What is open stays open.
        assert_eq!(fate(&d, "in tcp 3389 10.20.0.1", None), Unknown, "{name}");
        assert_eq!(fate(&d, "in tcp 4444 10.20.0.1", None), Drop, "{name}");
        assert_eq!(fate(&d, "in udp 135 10.20.0.5", None), Drop, "{name}");
        assert_eq!(fate(&d, "in tcp 49152 10.20.0.5", None), Unknown, "{name}: a dynamic port of RPC");
        assert!(d.exhaustive && d.no_sysctl, "{name}");
        assert_eq!(d.setting("firewall.public.log-dropped"), Some("true"), "{name}");
        assert_eq!(d.setting("firewall.domain.log-dropped"), Some("false"), "{name}");
        assert_eq!(d.setting("firewall.private.enabled"), Some("true"), "{name}");
        assert_eq!(d.setting("firewall.public.inbound-default"), Some("block"), "{name}");
    }
}

fn rule(name: &str, more: Value) -> Value {
    let mut rule = json!({
        "Name": name, "DisplayName": name, "Enabled": "True", "Direction": "Inbound", "Action": "Allow", "Profile": "Any", "Protocol": "Any",
        "LocalPort": "Any", "RemotePort": "Any", "LocalAddress": "Any", "RemoteAddress": "Any", "Program": "Any", "Package": null,
        "Service": "Any", "InterfaceAlias": "Any", "InterfaceType": "Any", "LocalUser": "Any", "Authentication": "NotRequired",
        "PolicyStoreSourceType": "Local", "EnforcementStatus": "Enforced"
    });
    for (key, value) in more.as_object().expect("an object") {
        rule[key] = value.clone();
    }
    rule
}

fn profiles(more: Value) -> Value {
    let one = |name: &str| {
        let mut p = json!({
            "Name": name, "Enabled": "True", "DefaultInboundAction": "Block", "DefaultOutboundAction": "Allow", "AllowInboundRules": "True",
            "AllowLocalFirewallRules": "True", "LogBlocked": "False", "DisabledInterfaceAliases": "NotConfigured"
        });
        for (key, value) in more.get(name).or(more.get("All")).and_then(Value::as_object).into_iter().flatten() {
            p[key] = value.clone();
        }
        p
    };
    json!([one("Domain"), one("Private"), one("Public")])
}

fn built(rules: &[Value], more: Value) -> Device {
    // An active store without any rule is none that Windows has.
    let mut rules = rules.to_vec();
    rules.push(rule("off", json!({ "Enabled": "False" })));
    let all = json!({ "PolicyStore": "ActiveStore", "Rules": rules, "Profiles": profiles(more) });
    device(&[("firewall.json", &all.to_string())])
}

#[test]
fn a_profile_that_is_off_lets_everything_through_and_shields_up_nothing() {
    let d = built(&[rule("ssh", json!({ "Protocol": "TCP", "LocalPort": "22" }))], json!({ "Public": { "Enabled": "False" } }));
    assert_eq!(fate(&d, "in tcp 4444 192.0.2.1", Some(&[])), Accept);
    assert_eq!(fate(&d, "in tcp 4444 192.0.2.1", Some(&[DOMAIN])), Drop);
    assert_eq!(fate(&d, "in tcp 4444 192.0.2.1", None), Unknown);
    assert_eq!(d.setting("firewall.public.enabled"), Some("false"));
    let d = built(&[rule("ssh", json!({ "Protocol": "TCP", "LocalPort": "22" }))], json!({ "All": { "AllowInboundRules": "False" } }));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Drop);
    assert_eq!(fate(&d, "out tcp 22 192.0.2.1", None), Accept);
}

#[test]
fn defaults_differ_by_profile_and_not_configured_is_the_default_of_windows() {
    let d = built(&[], json!({ "Private": { "DefaultInboundAction": "Allow" }, "Public": { "DefaultOutboundAction": 4 } }));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", Some(&[PRIVATE])), Accept);
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", Some(&[DOMAIN, PRIVATE])), Drop);
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", Some(&[])), Drop);
    assert_eq!(fate(&d, "out tcp 22 192.0.2.1", Some(&[])), Drop);
    assert_eq!(fate(&d, "out tcp 22 192.0.2.1", Some(&[DOMAIN])), Accept);
    let d = built(&[], json!({ "All": { "DefaultInboundAction": 0, "DefaultOutboundAction": "NotConfigured" } }));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Drop);
    assert_eq!(fate(&d, "out tcp 22 192.0.2.1", None), Accept);
    let d = built(&[], json!({ "All": { "DefaultInboundAction": "Blockieren" } }));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Unknown);
    assert_eq!(d.setting("firewall.public.inbound-default"), None);
    assert!(d.unseen.iter().any(|u| u.name == "firewall.public.inbound-default"));
}

#[test]
fn local_rules_are_ignored_where_the_policy_says_so() {
    let rules = [
        rule("local", json!({ "Protocol": "TCP", "LocalPort": "22" })),
        rule("policy", json!({ "Protocol": "TCP", "LocalPort": "23", "PolicyStoreSourceType": "GroupPolicy" })),
        rule("whose", json!({ "Protocol": "TCP", "LocalPort": "24", "PolicyStoreSourceType": 0 })),
    ];
    let d = built(&rules, json!({ "Public": { "AllowLocalFirewallRules": "False" } }));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", Some(&[])), Drop);
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", Some(&[PRIVATE])), Accept);
    assert_eq!(fate(&d, "in tcp 23 192.0.2.1", None), Accept);
    assert_eq!(fate(&d, "in tcp 24 192.0.2.1", None), Unknown);
    assert_eq!(fate(&d, "in tcp 24 192.0.2.1", Some(&[DOMAIN])), Accept);
}

#[test]
fn authenticated_bypass_overrides_block_and_is_a_condition() {
    let rules = [
        rule("block", json!({ "Protocol": "TCP", "LocalPort": "22", "Action": "Block" })),
        rule(
            "scanner",
            json!({ "Protocol": "TCP", "LocalPort": "22", "OverrideBlockRules": true, "Authentication": "Required", "RemoteMachine": "O:LSD:(A;;CC;;;S-1-5-21-7)" }),
        ),
    ];
    let d = built(&rules, json!({}));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", Some(&["IPsec", "remote computer"])), Accept);
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", Some(&["IPsec"])), Drop);
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Unknown);
}

#[test]
fn what_a_rule_asks_and_was_not_exported_is_open() {
    // Without its filters nothing is known of a rule but its name.
    let bare =
        json!([{ "Name": "x", "DisplayName": "x", "Enabled": 1, "Direction": 1, "Action": 2, "Profile": 0, "EnforcementStatus": [1] }]);
    let d = device(&[("rules.json", &bare.to_string()), ("profiles.json", &profiles(json!({})).to_string())]);
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Unknown);
    // Filters in files of their own join it.
    let filters = json!([
        { "InstanceID": "x", "Protocol": "TCP", "LocalPort": ["22", "80-81"], "RemotePort": "Any", "IcmpType": "Any", "DynamicTarget": 0 },
        { "InstanceID": "x", "LocalAddress": "Any", "RemoteAddress": ["10.0.0.0/255.0.0.0", "LocalSubnet6"] },
        { "InstanceID": "x", "Program": "Any", "Package": null }, { "InstanceID": "x", "Service": "Any" },
        { "InstanceID": "x", "InterfaceAlias": "Any" }, { "InstanceID": "x", "InterfaceType": 0 },
        { "InstanceID": "x", "Authentication": 0, "Encryption": 0, "OverrideBlockRules": false, "LocalUser": "Any" }
    ]);
    let files =
        [("rules.json", bare.to_string()), ("profiles.json", profiles(json!({})).to_string()), ("filters.json", filters.to_string())];
    let d = device(&files.each_ref().map(|(n, t)| (*n, t.as_str())));
    assert_eq!(fate(&d, "in tcp 81 10.9.9.9", None), Accept);
    assert_eq!(fate(&d, "in tcp 81 192.0.2.1", None), Drop);
    assert_eq!(fate(&d, "in tcp 81 2001:db8::1", None), Unknown);
}

#[test]
fn rules_without_the_active_store_leave_open_what_group_policy_says() {
    let mut ssh = rule("ssh", json!({ "Protocol": "TCP", "LocalPort": "22" }));
    ssh["EnforcementStatus"] = "NotApplicable".into();
    let d = device(&[("rules.json", &json!([ssh]).to_string()), ("profiles.json", &profiles(json!({})).to_string())]);
    assert!(!d.exhaustive);
    for packet in ["in tcp 22 192.0.2.1", "in tcp 4444 192.0.2.1", "out tcp 443 192.0.2.1"] {
        assert_eq!(fate(&d, packet, None), Unknown, "{packet}");
    }
    // The device's own part of the registry alone, too.
    let d = {
        let inventory = inventory(&fixtures().join("reg/local.reg"));
        inventory.devices[0].clone()
    };
    assert_eq!(fate(&d, "in tcp 4444 192.0.2.1", None), Unknown);
    assert_eq!(d.setting("firewall.public.enabled"), None);
}

#[test]
fn a_language_that_is_not_known_is_neither_on_nor_off() {
    let text = std::fs::read_to_string(fixtures().join("netsh-en/profiles.txt")).unwrap();
    let d = device(&[("profiles.txt", &text.replace("  ON", "  AAN"))]);
    assert_eq!(d.setting("firewall.public.enabled"), None);
    assert!(d.unseen.iter().any(|u| u.name == "firewall.public.enabled" && u.why.contains("AAN")));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Unknown);
}

#[test]
fn interfaces_by_name_and_interfaces_that_a_profile_leaves_out() {
    let d = built(&[rule("ssh", json!({ "Protocol": "TCP", "LocalPort": "22", "InterfaceAlias": ["Ethernet", "Wi-Fi"] }))], json!({}));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Accept);
    let d = built(&[rule("ssh", json!({ "Protocol": "TCP", "LocalPort": "22", "InterfaceAlias": "Wi-Fi" }))], json!({}));
    assert_eq!(fate(&d, "in tcp 22 192.0.2.1", None), Drop);
    let d = built(&[], json!({ "All": { "DisabledInterfaceAliases": ["Ethernet"] } }));
    assert_eq!(fate(&d, "in tcp 4444 192.0.2.1", Some(&[PRIVATE])), Accept);
}

#[test]
fn an_answer_passes_and_com_numbers_are_understood() {
    let com = json!([{ "Name": "web", "ApplicationName": null, "ServiceName": null, "Protocol": 6, "LocalPorts": "80,443", "RemotePorts": "*",
        "LocalAddresses": "*", "RemoteAddresses": "10.0.0.0-10.0.0.255", "IcmpTypesAndCodes": null, "Direction": 1, "Interfaces": null,
        "InterfaceTypes": "All", "Enabled": true, "Grouping": null, "Profiles": 2147483647, "Action": 1, "LocalAppPackageId": "", "SecureFlags": 0,
        "EnforcementStatus": "Enforced" }]);
    let d = device(&[("rules.json", &com.to_string()), ("profiles.json", &profiles(json!({})).to_string())]);
    assert_eq!(fate(&d, "in tcp 443 10.0.0.7", None), Accept);
    assert_eq!(fate(&d, "in tcp 443 10.0.1.7", None), Drop);
}

#[test]
fn a_firewall_as_windows_has_it_is_decided_in_time() {
    // As many rules, programs, services and packages as a laptop has.
    let mut rules = Vec::new();
    for i in 0..600 {
        let profile = ["Any", "Domain", "Private", "Domain, Private", "Public"][i % 5];
        let (enabled, direction) = (if i % 3 == 0 { "False" } else { "True" }, if i % 2 == 0 { "Inbound" } else { "Outbound" });
        let mut more = json!({ "Profile": profile, "Enabled": enabled, "Direction": direction });
        match i % 4 {
            0 => {
                more["Protocol"] = "TCP".into();
                more["LocalPort"] = format!("{}", 1000 + i).into();
                more["Program"] = format!("C:\\Program Files\\App{}\\app.exe", i % 60).into();
            }
            1 => {
                more["Protocol"] = "UDP".into();
                more["RemoteAddress"] = "LocalSubnet".into();
                more["LocalPort"] = format!("{}", 2000 + i).into();
                more["Service"] = format!("service{}", i % 40).into();
            }
            2 => {
                more["Package"] = format!("S-1-15-2-{i}").into();
                more["Owner"] = "S-1-5-21-1".into();
            }
            _ => {
                more["Program"] = format!("C:\\Games\\{i}\\game.exe").into();
                more["Action"] = if i % 8 == 3 { "Block" } else { "Allow" }.into();
            }
        }
        rules.push(rule(&format!("rule {i}"), more));
    }
    let d = built(&rules, json!({ "Public": { "AllowLocalFirewallRules": "False" } }));
    let started = Instant::now();
    for packet in ["in tcp 1004 192.0.2.1", "in tcp 3389 192.0.2.1", "out udp 53 192.0.2.1"] {
        assert_ne!(fate(&d, packet, Some(&[DOMAIN])), Unknown);
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_binary_policy_and_a_hive_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut hive = b"regf".to_vec();
    hive.extend([0u8; 4096]);
    std::fs::write(folder.path().join("policy.wfw"), hive).unwrap();
    let inventory = inventory(folder.path());
    assert!(
        inventory.incomplete.iter().any(|i| i.text.contains("registry hive") && i.text.contains("PowerShell")),
        "{:?}",
        inventory.incomplete
    );
}

#[test]
fn corpus_files_are_read_and_hardly_a_line_is_not_recognised() {
    let corpus = std::env::var_os("FWPROOF_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    let Ok(table) = std::fs::read_to_string(corpus.join("SOURCES.md")) else {
        eprintln!("skipped: no corpus at {}", corpus.display());
        return;
    };
    let mut files = 0;
    for line in table.lines().filter(|l| l.starts_with("| windows/")) {
        let path = line.split('|').nth(1).map_or("", str::trim);
        let bytes = std::fs::read(corpus.join(path)).unwrap();
        let file = fwproof::source::SourceFile::new(fwproof::source::FileId(0), path, &bytes);
        let found = vendors::detect(&file);
        let ours = found.first().map(|d| d.0.id);
        // A schema, a script of another tool and the index of a backup are no exports.
        if path.ends_with("ExportSchema.json") || path.ends_with(".audit") || path.ends_with("Backup.xml") {
            assert_eq!(ours, None, "{path}");
            continue;
        }
        assert_eq!(ours, Some("windows-firewall"), "{path}");
        let reading = found[0].0.read_file(&file);
        files += 1;
        let lines = &reading.lines[&file.id];
        let count = |s| lines.iter().filter(|l| **l == s).count();
        use fwproof::diag::LineState as S;
        let states = S::ALL.map(|s| format!("{} {}", count(s), s.name())).join(", ");
        let rules = reading.device.chains.iter().flat_map(|c| &c.rules).filter(|r| r.implied.is_none()).count();
        eprintln!("{path}: {} lines ({states}), {rules} rules, {} settings", lines.len(), reading.device.settings.len());
        if std::env::var_os("FWPROOF_NOTES").is_some() {
            reading.notes.iter().for_each(|n| eprintln!("   {:?} {}", n.state, n.text));
        }
        assert_eq!(count(S::Unrecognised), 0, "{path}: {:?}", reading.notes);
    }
    assert_eq!(files, 5);
}
