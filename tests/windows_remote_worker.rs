//! What the shipped ruleset `remote-worker` says of Windows laptops.
#![allow(missing_docs)]

mod judging;

use std::path::Path;

use fwproof::diag::Verdict;
use judging::{Judged, judge_at};
use serde_json::{Value, json};

const BASELINE: &str = "fwproof: 1
title: Laptops
use: [remote-worker]
zones:
  internet: { addresses: public }
  office: { addresses: 10.20.0.0/16 }
estate:
  workers: { roster: roster.csv, each: [host-firewall] }
";

const FIREWALL: [&str; 6] = [
    "worker-has-host-firewall",
    "worker-inbound-default-deny",
    "worker-firewall-on-everywhere",
    "worker-inbound-blocked-in-every-profile",
    "worker-firewall-logs-drops",
    "worker-not-administered-on-public-networks",
];

fn judged(files: &[(&str, String)]) -> Judged {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("baseline.yaml", BASELINE);
    write("roster.csv", "name,device,role\nAnna,anna,support\n");
    for (name, text) in files {
        write(&format!("anna/{name}"), text);
    }
    judge_at(folder.path(), "2026-11-25")
}

/// The worst verdict of each of the checks of the firewall that does not simply hold.
fn said(judged: &Judged) -> Vec<(String, Verdict)> {
    let mut out = Vec::new();
    for id in FIREWALL {
        let of = judged.findings(id);
        let worst = [Verdict::Violated, Verdict::Unknown].into_iter().find(|v| of.iter().any(|f| f.verdict == *v));
        out.extend(worst.map(|v| (id.to_owned(), v)));
    }
    out
}

fn laptop(profiles: impl Fn(&str, &mut Value), rules: &[Value]) -> String {
    let profile = |name: &str| {
        let mut p = json!({ "Name": name, "Enabled": 1, "DefaultInboundAction": 4, "DefaultOutboundAction": 2, "AllowInboundRules": 1,
            "AllowLocalFirewallRules": 0, "LogBlocked": 1, "LogAllowed": 0, "NotifyOnListen": 1, "LogMaxSizeKilobytes": 16384,
            "DisabledInterfaceAliases": ["NotConfigured"] });
        profiles(name, &mut p);
        p
    };
    let profiles = ["Domain", "Private", "Public"].map(profile);
    json!({ "PolicyStore": "ActiveStore", "Rules": rules, "Profiles": profiles }).to_string()
}

fn rule(more: Value) -> Value {
    let mut rule = json!({ "Name": "r", "DisplayName": "a rule", "Enabled": 1, "Direction": 1, "Action": 2, "Profile": 0, "Protocol": "TCP",
        "LocalPort": "3389", "RemotePort": "Any", "LocalAddress": "Any", "RemoteAddress": "Any", "Program": "Any", "Package": null,
        "Service": "Any", "InterfaceAlias": "Any", "InterfaceType": 0, "LocalUser": "Any", "Authentication": 0,
        "PolicyStoreSourceType": 2, "EnforcementStatus": [1] });
    for (key, value) in more.as_object().expect("an object") {
        rule[key] = value.clone();
    }
    rule
}

#[test]
fn a_laptop_that_is_right_passes_and_rules_for_the_office_are_no_matter() {
    let rules = [rule(json!({ "Profile": 1 })), rule(json!({ "LocalPort": "445", "RemoteAddress": "10.20.0.0/255.255.0.0" }))];
    assert_eq!(said(&judged(&[("firewall.json", laptop(|_, _| {}, &rules))])), []);
}

#[test]
fn each_thing_that_is_wrong_is_said() {
    let anything = [rule(json!({ "Enabled": 2 }))];
    let off = laptop(
        |name, p| {
            if name == "Public" {
                p["Enabled"] = 0.into()
            }
        },
        &anything,
    );
    let judged_off = judged(&[("firewall.json", off)]);
    let said_off = said(&judged_off);
    assert!(said_off.contains(&("worker-firewall-on-everywhere".into(), Verdict::Violated)), "{said_off:?}");
    assert!(said_off.iter().any(|(id, _)| id == "worker-inbound-default-deny"), "{said_off:?}");
    let open = laptop(
        |name, p| {
            if name == "Private" {
                p["DefaultInboundAction"] = 2.into()
            }
        },
        &anything,
    );
    assert!(said(&judged(&[("firewall.json", open)])).contains(&("worker-inbound-blocked-in-every-profile".into(), Verdict::Violated)));
    let silent = laptop(|_, p| p["LogBlocked"] = 0.into(), &anything);
    assert_eq!(said(&judged(&[("firewall.json", silent)])), [("worker-firewall-logs-drops".into(), Verdict::Violated)]);
    let rdp = laptop(|_, _| {}, &[rule(json!({}))]);
    assert_eq!(said(&judged(&[("firewall.json", rdp)])), [("worker-not-administered-on-public-networks".into(), Verdict::Violated)]);
    // From whoever is in the same network, too.
    let cafe = laptop(|_, _| {}, &[rule(json!({ "RemoteAddress": "192.168.0.0/16" }))]);
    assert_eq!(said(&judged(&[("firewall.json", cafe)])), [("worker-not-administered-on-public-networks".into(), Verdict::Violated)]);
    // A block rule for public networks mends it.
    let blocked = [rule(json!({})), rule(json!({ "Profile": 4, "Action": 4 }))];
    assert_eq!(said(&judged(&[("firewall.json", laptop(|_, _| {}, &blocked))])), []);
}

#[test]
fn what_the_export_does_not_show_is_unknown() {
    // The device's own part of the registry: Group Policy may say otherwise.
    let local = include_bytes!("fixtures/windows-firewall/reg/local.reg");
    let local = fwproof::source::decode(local).text;
    let found = said(&judged(&[("local.reg", local.clone())]));
    assert!(found.iter().all(|(_, v)| *v == Verdict::Unknown), "{found:?}");
    assert_eq!(found.len(), 5, "{found:?}");
    // Rules without profiles.
    let rules = json!([rule(json!({ "Enabled": 2 }))]).to_string();
    let found = said(&judged(&[("rules.json", rules)]));
    assert!(found.contains(&("worker-firewall-on-everywhere".into(), Verdict::Unknown)), "{found:?}");
    assert!(found.contains(&("worker-inbound-default-deny".into(), Verdict::Unknown)), "{found:?}");
}

#[test]
fn a_laptop_without_profiles_is_not_asked_for_them() {
    let rules = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\nCOMMIT\n";
    let judged = judged(&[("rules.v4", rules.into()), ("rules.v6", format!("# Generated by ip6tables-save\n{rules}"))]);
    for id in ["worker-firewall-on-everywhere", "worker-inbound-blocked-in-every-profile", "worker-firewall-logs-drops"] {
        assert!(judged.findings(id).is_empty(), "{id}");
    }
}
