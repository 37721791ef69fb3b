//! Both ends of a connection of IPsec, compared.
#![allow(missing_docs)]

mod judging;

use std::path::Path;

use fwproof::diag::Verdict;
use judging::judge_at;

const BASELINE: &str = "fwproof: 1\ntitle: t\nchecks:\n  - id: paired\n    title: Ends belong together\n    severity: high\n    vpn: paired\n    why: w\n    fix: f\n";

/// A site's end in strongSwan's words. `more` replaces lines of the usual ones, by their first word.
fn end(own: &str, other: &str, (local, remote): (&str, &str), more: &[(&str, &str)]) -> String {
    let pick = |key: &str, usual: &str| more.iter().find(|(k, _)| *k == key).map_or_else(|| usual.to_owned(), |(_, v)| (*v).to_owned());
    format!(
        "connections {{\n  site {{\n    version = {}\n    local_addrs = {own}\n    remote_addrs = {other}\n    proposals = {}\n    local {{\n      auth = {}\n      \
         id = {}\n    }}\n    remote {{\n      auth = {}\n      id = {}\n    }}\n    children {{\n      net {{\n        local_ts = {local}\n        \
         remote_ts = {remote}\n        esp_proposals = {}\n      }}\n    }}\n  }}\n}}\nsecrets {{\n  ike-site {{\n    id-a = {own}\n    id-b = {other}\n    secret = \"{}\"\n  }}\n}}\n",
        pick("version", "2"),
        pick("proposals", "aes256gcm16-prfsha384-ecp384"),
        pick("auth", "psk"),
        pick("id", own),
        pick("auth", "psk"),
        pick("remote-id", other),
        pick("esp", "aes256gcm16-ecp384"),
        pick("secret", "correct horse battery"),
    )
}

fn judged(a: &[(&str, &str)], b: &[(&str, &str)]) -> Vec<(Verdict, String)> {
    judged_with(a, b, ("10.1.0.0/16", "10.2.0.0/16"), ("10.2.0.0/16", "10.1.0.0/16"))
}

fn judged_with(a: &[(&str, &str)], b: &[(&str, &str)], left: (&str, &str), right: (&str, &str)) -> Vec<(Verdict, String)> {
    let root = tempfile::tempdir().expect("a folder");
    let put = |path: &str, text: &str| {
        let at: &Path = &root.path().join(path);
        std::fs::create_dir_all(at.parent().expect("a folder")).expect("made");
        std::fs::write(at, text).expect("written");
    };
    let address = |a: &str| format!("2: eth0: <UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    inet {a}/24 scope global eth0\n");
    put("west/swanctl.conf", &end("192.0.2.1", "198.51.100.1", left, a));
    put("west/ip-addr.txt", &address("192.0.2.1"));
    put("east/swanctl.conf", &end("198.51.100.1", "192.0.2.1", right, b));
    put("east/ip-addr.txt", &address("198.51.100.1"));
    put("baseline.yaml", BASELINE);
    let judged = judge_at(root.path(), "2026-11-23");
    judged.findings("paired").iter().map(|f| (f.verdict, f.message.clone())).collect()
}

#[test]
fn ends_that_agree_are_no_finding() {
    assert_eq!(judged(&[], &[]), []);
}

#[test]
fn what_the_ends_do_not_have_in_common_is_named() {
    for (key, other, words) in [
        ("version", "1", "no version of IKE in common"),
        ("proposals", "aes128-sha256-modp2048", "no cipher for the key exchange in common"),
        ("proposals", "aes256gcm16-prfsha384-ecp256", "no key exchange for the key exchange in common"),
        ("esp", "aes128gcm16-ecp384", "no cipher for the data in common"),
        ("esp", "aes256gcm16", "no key exchange for the data in common, and fail when keys are renewed"),
        ("auth", "pubkey", "prove who they are in different ways"),
        ("secret", "tr0ub4dor", "have different pre-shared keys"),
    ] {
        let found = judged(&[], &[(key, other)]);
        assert!(found.iter().any(|(v, m)| *v == Verdict::Violated && m.contains(words)), "{key} {other}: {found:?}");
        assert!(found.iter().all(|(_, m)| !m.contains("tr0ub4dor") && !m.contains("horse")), "{found:?}");
    }
}

#[test]
fn what_both_accept_and_is_weak_is_named() {
    let old = [("proposals", "aes256gcm16-prfsha384-ecp384,3des-sha1-modp1024")];
    let found = judged(&old, &old);
    assert!(found.len() == 1 && found[0].1.contains("may agree on it: cipher 3DES-CBC"), "{found:?}");
    assert_eq!(judged(&old, &[]), [], "the other end takes the weak one not");
}

#[test]
fn networks_that_do_not_mirror_each_other_are_found() {
    let found = judged_with(&[], &[], ("10.1.0.0/16", "10.2.0.0/16"), ("10.2.0.0/24", "10.1.0.0/16"));
    assert!(found.len() == 1 && found[0].1.contains("10.2.0.0/24 to 10.1.0.0/16"), "{found:?}");
    assert!(found[0].1.contains("only what both take can pass"), "{found:?}");
}

#[test]
fn an_end_that_expects_somebody_else_has_no_pair() {
    let found = judged(&[], &[("id", "north.example")]);
    let orphan = found.iter().find(|(_, m)| m.contains("no connection of east fits site, which ends there"));
    assert!(orphan.is_some_and(|(v, _)| *v == Verdict::Violated), "{found:?}");
}

#[test]
fn one_identity_on_two_devices_is_found() {
    let root = tempfile::tempdir().expect("a folder");
    for name in ["anna", "ben"] {
        std::fs::create_dir_all(root.path().join(name)).expect("made");
        let text = "connections {\n  office {\n    version = 2\n    remote_addrs = vpn.example\n    vips = 0.0.0.0\n    proposals = aes256gcm16-prfsha384-ecp384\n    local {\n      auth = pubkey\n      id = laptop.example\n    }\n    remote {\n      auth = pubkey\n      id = vpn.example\n    }\n    children {\n      all {\n        remote_ts = 0.0.0.0/0\n        esp_proposals = aes256gcm16-ecp384\n      }\n    }\n  }\n}\n";
        std::fs::write(root.path().join(name).join("swanctl.conf"), text).expect("written");
    }
    std::fs::write(root.path().join("baseline.yaml"), BASELINE).expect("written");
    let judged = judge_at(root.path(), "2026-11-23");
    let said: Vec<&str> = judged.findings("paired").iter().map(|f| f.message.as_str()).collect();
    assert!(said.contains(&"one identity, laptop.example, on 2 devices: anna and ben"), "{said:?}");
    assert!(said.iter().any(|m| m.contains("the other end of office, vpn.example, is no device that was read")), "{said:?}");
}
