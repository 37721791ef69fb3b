use proptest::prelude::*;

use super::FORTIOS;
use crate::diag::LineState;
use crate::model::{CryptoUse, ManagementProtocol, TunnelKind};
use crate::source::SourceFile;
use crate::vendors::{Confidence, Reading};

const OFFICE: &str = include_str!("../../../tests/fixtures/fortios/office-7.2.conf");
const OLD: &str = include_str!("../../../tests/fixtures/fortios/old-6.0.conf");
const DOMAINS: &str = include_str!("../../../tests/fixtures/fortios/domains-7.0.conf");

fn read(text: &str) -> (SourceFile, Reading) {
    FORTIOS.read_text("fgt.conf", text)
}

fn lines(text: &str, state: LineState) -> Vec<usize> {
    let (file, reading) = read(text);
    reading.lines[&file.id].iter().enumerate().filter(|(_, s)| **s == state).map(|(i, _)| i + 1).collect()
}

#[test]
fn every_line_of_the_fixtures_is_known() {
    for text in [OFFICE, OLD, DOMAINS] {
        let (_, reading) = read(text);
        assert!(reading.notes.is_empty(), "{:?}", reading.notes);
        assert_eq!(lines(text, LineState::Unrecognised), [0; 0]);
    }
}

#[test]
fn a_backup_and_a_part_of_one_are_detected_and_others_are_not() {
    let detect = |text: &str| (FORTIOS.detect)(&SourceFile::from_text(crate::source::FileId(0), "x", text)).map(|d| d.confidence);
    for text in [OFFICE, OLD, DOMAINS, "config firewall policy\n    edit 1\n    next\nend\n"] {
        assert_eq!(detect(text), Some(Confidence::Certain));
    }
    for text in [
        "",
        "config interface 'lan'\n\toption proto 'static'\n",
        "set interfaces ethernet eth0 address 10.0.0.1/24\n",
        "*filter\nCOMMIT\n",
        "edit this\n",
    ] {
        assert_eq!(detect(text), None, "{text}");
    }
}

#[test]
fn a_block_that_is_not_ended_loses_itself_and_not_the_file() {
    let text = "config firewall address\n    edit \"a\"\n        set subnet 10.0.0.0/8\nconfig firewall policy\n    edit 1\n        set srcintf any\n    edit 2\n        set srcintf any\n    next\nend\nend\nnext\nconfig system zone\nend\n";
    let (_, reading) = read(text);
    let chain = reading.device.chains.iter().find(|c| c.name == "firewall policy").expect("policies");
    assert_eq!(chain.rules.iter().filter(|r| r.implied.is_none()).count(), 2);
    assert_eq!(lines(text, LineState::Unrecognised), [1, 2, 5, 11, 12]);
}

#[test]
fn one_end_too_many_does_not_end_the_virtual_domain() {
    let text = DOMAINS.replace(
        "next\nend\nconfig firewall policy\n    edit 1\n        set srcintf \"any\"",
        "next\nend\nend\nconfig firewall policy\n    edit 1\n        set srcintf \"any\"",
    );
    let (_, reading) = read(&text);
    let chain = reading.device.chains.iter().find(|c| c.name == "tenant/firewall policy").expect("its policies");
    assert!(chain.rules.iter().any(|r| r.name.as_deref() == Some("policy 1")));
    assert_eq!(reading.notes.len(), 1, "{:?}", reading.notes);
}

#[test]
fn nesting_without_end_is_bounded_and_said() {
    let text =
        "config firewall policy\nedit 1\n".to_owned() + &"config a\nedit 1\n".repeat(5_000) + &"next\nend\n".repeat(5_000) + "next\nend\n";
    let (_, reading) = read(&text);
    assert!(reading.notes.iter().any(|n| n.incomplete && n.text.contains("nested deeper")));
}

#[test]
fn objects_that_contain_themselves_are_found_and_groups_of_groups_are_bounded() {
    let (_, reading) =
        read("config firewall addrgrp\nedit a\nset member b\nnext\nedit b\nset member a\nnext\nend\nconfig firewall policy\nend\n");
    assert!(reading.device.names.cycles().iter().any(|n| n.space == "address object"));
    // Ten members in each of eight layers: a hundred million hosts if each were written out.
    let mut text = String::from("config firewall address\n");
    for i in 0..10 {
        text += &format!("edit h{i}\nset subnet 10.0.{i}.0/24\nnext\n");
    }
    text += "end\nconfig firewall addrgrp\n";
    for layer in 0..8 {
        for i in 0..10 {
            let below = |j: usize| if layer == 0 { format!("h{j}") } else { format!("g{}x{j}", layer - 1) };
            text += &format!("edit g{layer}x{i}\nset member {}\nnext\n", (0..10).map(below).collect::<Vec<_>>().join(" "));
        }
    }
    let (_, reading) = read(&(text + "end\n"));
    assert!(reading.notes.iter().all(|n| !n.incomplete));
    // A chain in which every group holds all of the one before.
    let mut text = String::from("config firewall address\n");
    for i in 0..6_000 {
        text += &format!("edit h{i}\nset subnet 10.{}.{}.0/25\nnext\n", i / 256, i % 256);
    }
    text += "end\nconfig firewall addrgrp\nedit big\nset member";
    for i in 0..6_000 {
        text += &format!(" h{i}");
    }
    text += "\nnext\n";
    for i in 0..2_000 {
        text += &format!("edit c{i}\nset member big h{i}\nnext\n");
    }
    let (_, reading) = read(&(text + "end\n"));
    assert!(reading.notes.iter().any(|n| n.incomplete && n.text.contains("not expanded")));
}

#[test]
fn unused_and_undefined_objects_fall_out() {
    let (_, reading) = read(OFFICE);
    let names = |list: Vec<&crate::model::Named>| list.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(reading.device.names.unused()), ["web-server", "forgotten", "vips"]);
    assert_eq!(names(reading.device.names.undefined()), [""; 0]);
    let (_, reading) = read(&OFFICE.replace("\"branch-lan\"\n        set dstaddr \"nested\"", "\"gone\"\n        set dstaddr \"nested\""));
    assert_eq!(names(reading.device.names.undefined()), ["gone"]);
}

#[test]
fn secrets_are_marked_over_several_lines_too() {
    let (file, reading) = read(OFFICE);
    let marked: Vec<&str> = reading.secrets.iter().map(|s| file.slice(*s)).collect();
    for secret in ["SH2abcdefghijklmnopqrstuvwxyz0123456789abcdefgh=", "office-ro", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo="] {
        assert!(marked.contains(&secret), "{secret}");
    }
    assert!(marked.iter().any(|m| m.starts_with("MIIFHDBO") && m.ends_with("00002")));
    assert!(!marked.iter().any(|m| m.contains("198.51.100")));
}

#[test]
fn tunnels_offer_all_that_is_written() {
    let (_, reading) = read(OFFICE);
    let offers = |name: &str, usage: CryptoUse| {
        let tunnel = reading.device.tunnels.iter().find(|t| t.title() == name).expect("a tunnel");
        tunnel.crypto.iter().filter(|c| c.usage == usage).map(|c| c.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(offers("to-branch", CryptoUse::Cipher), ["AES-256-CBC", "AES-128-CBC", "AES-256-GCM", "AES-256-CBC", "AES-256-GCM"]);
    assert_eq!(offers("to-branch", CryptoUse::KeyExchange), ["DH-2048", "DH-1536", "DH-2048"]);
    assert_eq!(offers("to-branch", CryptoUse::IkeVersion), ["2"]);
    assert_eq!(offers("dialup", CryptoUse::IkeVersion), ["1-AGGRESSIVE"]);
    assert_eq!(offers("dialup", CryptoUse::Cipher), ["3DES-CBC", "NULL"]);
    assert_eq!(offers("dialup", CryptoUse::KeyExchange), ["DH-1024", "NONE"]);
    assert_eq!(offers("dialup", CryptoUse::Authentication), ["PSK", "XAUTH"]);
    assert_eq!(offers("SSL VPN", CryptoUse::TlsVersion), ["1.1"]);
    let branch = reading.device.tunnels.iter().find(|t| t.title() == "to-branch").expect("a tunnel");
    assert_eq!(branch.selectors[0].remote[0].to_string(), "10.50.0.0/24");
    assert!(branch.peers[0].preshared_key.is_some());
    assert!(reading.device.tunnels.iter().any(|t| t.kind == TunnelKind::TlsVpn));
}

#[test]
fn administration_and_its_defaults() {
    let (_, reading) = read(OLD);
    let m = &reading.device.management;
    let protocols: Vec<_> = m.services.iter().map(|s| s.protocol).collect();
    assert_eq!(protocols, [ManagementProtocol::Https, ManagementProtocol::Http, ManagementProtocol::Ssh, ManagementProtocol::Telnet]);
    let idle = m.services[0].idle_timeout.clone().expect("known");
    assert_eq!((idle.value, idle.default), (Some(300), true));
    let lockout = m.lockout.clone().expect("known");
    assert_eq!((lockout.value.attempts, lockout.value.seconds, lockout.default), (Some(3), Some(60), true));
    let admin = &m.accounts[0];
    assert_eq!((admin.shipped, admin.default_password, admin.second_factor, admin.from.is_none()), (true, Some(true), Some(false), true));
    assert_eq!(m.log_hosts.as_ref().map(Vec::len), Some(0));
    assert!(m.exhaustive);
    // HTTP leads to HTTPS where nothing else is said.
    let (_, reading) = read(&OLD.replace("    set admin-https-redirect disable\n", ""));
    assert!(!reading.device.management.services.iter().any(|s| s.protocol == ManagementProtocol::Http));
}

#[test]
fn every_beginning_is_read_without_a_panic() {
    for text in [OFFICE, OLD, DOMAINS] {
        for (end, _) in text.char_indices().step_by(7) {
            read(&text[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn flipped_bytes_are_read_without_a_panic(at in 0usize..16_000, byte in any::<u8>(), which in 0usize..3) {
        let mut bytes = [OFFICE, OLD, DOMAINS][which].as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn words_in_any_order_are_read_without_a_panic(picks in proptest::collection::vec(0usize..24, 0..60)) {
        const WORDS: [&str; 24] = [
            "config firewall policy\n", "config firewall vip\n", "config vdom\n", "config global\n", "edit 1\n", "edit \"a\"\n", "next\n", "end\n", "set srcaddr all\n",
            "set extip 0.0.0.0-255.255.255.255\n", "set mappedip \"255.255.255.255-0.0.0.0\"\n", "set portforward enable\n", "set extport 1-65535\n", "set mappedport 65535-1\n",
            "append srcaddr a\n", "config firewall addrgrp\n", "set member a\n", "\"", "move 1 after a\n", "clone 1 to a\n", "config system interface\n", "set ip 1.2.3.4 255.0.255.0\n",
            "set type wildcard\n", "config firewall address\n",
        ];
        read(&picks.iter().map(|i| WORDS[*i]).collect::<String>());
    }
}
