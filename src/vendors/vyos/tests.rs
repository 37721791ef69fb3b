use proptest::prelude::*;

use super::VYOS;
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoUse, Device, ManagementProtocol, TunnelKind};
use crate::source::{FileId, SourceFile};
use crate::vendors::{Confidence, Reading};

const EDGE: &str = include_str!("../../../tests/fixtures/vyos/edgerouter.boot");
const ZONES: &str = include_str!("../../../tests/fixtures/vyos/zones-1.3.boot");
const OFFICE: &str = include_str!("../../../tests/fixtures/vyos/office-1.5.set");

fn read(text: &str) -> Reading {
    VYOS.read_text("config.boot", text).1
}

fn confidence(text: &str) -> Option<Confidence> {
    (VYOS.detect)(&SourceFile::from_text(FileId(0), "x", text)).map(|d| d.confidence)
}

/// The blocks of a configuration as commands.
pub(super) fn commands(text: &str) -> String {
    let mut path: Vec<String> = Vec::new();
    let mut out = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("/*") || line.starts_with("//") || line.is_empty() {
            continue;
        }
        if line == "}" {
            path.pop();
        } else if let Some(head) = line.strip_suffix('{') {
            path.push(head.trim().to_owned());
            out += &format!("set {}\n", path.join(" "));
        } else {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.trim().trim_matches('"');
            let value = if line.contains(' ') { format!(" '{value}'") } else { String::new() };
            out += &format!("set {} {name}{value}\n", path.join(" ")).replace("set  ", "set ");
        }
    }
    out
}

/// All of a device but the places.
fn without_places(mut device: Device) -> String {
    let conditions: Vec<String> =
        (0..device.conditions.len() as u32).map(|i| device.conditions.get(crate::model::ConditionId(i)).0.to_owned()).collect();
    device.conditions = crate::model::Conditions::default();
    let text = format!("{device:?} {conditions:?}");
    let mut parts = text.split("Span {");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('}').map_or("", |p| p.1));
    }
    out
}

#[test]
fn both_spellings_are_the_same_device() {
    for text in [EDGE, ZONES] {
        let footer: String = text.lines().filter(|l| l.contains("config-version")).map(|l| format!("{l}\n")).collect();
        let (a, b) = (read(text), read(&(commands(text) + &footer)));
        assert_eq!(without_places(a.device), without_places(b.device));
        assert!(b.notes.is_empty(), "{:?}", b.notes);
    }
}

#[test]
fn every_line_of_the_fixtures_is_known() {
    for text in [EDGE, ZONES, OFFICE] {
        let reading = read(text);
        assert!(reading.notes.is_empty(), "{:?}", reading.notes);
        assert!(reading.lines.values().flatten().all(|s| *s != LineState::Unrecognised));
    }
}

#[test]
fn either_spelling_is_detected_and_other_routers_are_not() {
    for text in
        [EDGE, ZONES, OFFICE, &commands(EDGE), "set interfaces ethernet eth0 address dhcp\n", "firewall {\n    name X {\n    }\n}\n"]
    {
        assert_eq!(confidence(text), Some(Confidence::Certain), "{}", text.lines().next().unwrap_or_default());
    }
    let others = [
        "",
        "set interfaces ge-0/0/0 unit 0 family inet address 10.0.0.1/24\nset security policies default-policy deny-all\n",
        "interfaces {\n    ge-0/0/0 {\n        unit 0 {\n            family inet {\n                address 10.0.0.1/24;\n            }\n        }\n    }\n}\n",
        "firewall {\n    family inet {\n        filter X {\n            term a {\n                then accept;\n            }\n        }\n    }\n}\n",
        "set deviceconfig system hostname fw\nset rulebase security rules a action allow\n",
        "config firewall policy\n    edit 1\n        set action accept\n    next\nend\n",
        "# pf\nset skip on lo\nblock all\n",
        "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n",
        "table ip filter {\n    chain input {\n        type filter hook input priority 0;\n    }\n}\n",
    ];
    for text in others {
        assert_eq!(confidence(text), None, "{text}");
    }
}

#[test]
fn a_block_that_is_not_closed_loses_itself_and_not_the_file() {
    let cut = EDGE.replacen(
        "                invalid enable\n            }\n        }\n    }\n    receive",
        "                invalid enable\n    receive",
        1,
    );
    for text in [EDGE.replacen("    }\n}\nport-forward", "}\nport-forward", 1), cut] {
        let reading = read(&text);
        assert!(reading.device.chains.iter().any(|c| c.name == "name WAN_IN"), "the firewall");
        assert!(reading.device.hostname.is_some(), "the sections after it");
    }
    let (open, extra) = (read("interfaces {\n    ethernet eth0 {\n        address dhcp\n"), read("}\nsystem {\n    host-name x\n}\n"));
    assert!(open.notes.iter().any(|n| n.text.contains("not closed")), "{:?}", open.notes);
    assert!(extra.notes.iter().any(|n| n.text.contains("closes nothing")) && extra.device.hostname.is_some());
}

#[test]
fn commands_that_take_back_and_move_about_are_followed() {
    let text = "configure\nset firewall name A rule 10 action accept\nset firewall name A rule 20 action drop\ndelete firewall name A rule 10\nedit firewall name A\nset default-action reject\nset rule 20 action accept\ntop\nset interfaces ethernet eth0 firewall in name A\ncommit\nsave\nexit\n";
    let reading = read(text);
    assert!(reading.notes.is_empty(), "{:?}", reading.notes);
    let chain = &reading.device.chains[0];
    let rules: Vec<String> = chain.rules.iter().map(|r| format!("{:?} {:?}", r.name, r.action)).collect();
    assert_eq!(rules, ["Some(\"20\") Accept", "None Reject(\"icmp port-unreachable\")"]);
}

#[test]
fn what_is_written_twice_is_what_is_written_last() {
    let text = "set firewall name A rule 10 action accept\nset firewall name A rule 10 action drop\nset firewall name A rule 10 action accept\nset interfaces ethernet eth0 firewall in name A\n";
    assert_eq!(format!("{:?}", read(text).device.chains[0].rules[0].action), "Accept");
}

#[test]
fn nesting_and_words_without_end_are_bounded_and_said() {
    let deep = "a {\n".repeat(100_000) + &"}\n".repeat(100_000);
    assert!(read(&deep).notes.iter().any(|n| n.text.contains("too deep")));
    read(&("set firewall ".to_owned() + &"name ".repeat(100_000)));
    read(&("firewall {\n".to_owned() + &"name \"open\n".repeat(50_000)));
    read(&"set firewall name 'x\n".repeat(50_000));
}

#[test]
fn groups_that_contain_themselves_are_found() {
    let text = "set firewall group address-group A include B\nset firewall group address-group B include A\nset firewall group address-group B address 10.0.0.1\nset firewall name X rule 1 action accept\nset firewall name X rule 1 source group address-group A\nset interfaces ethernet eth0 firewall in name X\n";
    assert_eq!(read(text).device.names.cycles().len(), 1);
}

#[test]
fn groups_of_groups_are_bounded() {
    let mut text = String::new();
    for i in 0..3_000 {
        text += &format!(
            "set firewall group network-group G{i} network 10.{}.{}.0/25\nset firewall group network-group G{i} include G{}\n",
            i / 250,
            i % 250,
            i + 1
        );
    }
    let reading = read(&text);
    assert!(reading.notes.iter().any(|n| n.text.contains("too deep")), "{}", reading.notes.len());
    let mut text: String =
        (0..2_000).map(|i| format!("set firewall group network-group ALL network 10.{}.{}.0/25\n", i / 250, i % 250)).collect();
    for i in 0..1_000 {
        text += &format!("set firewall group network-group G{i} include ALL\n");
    }
    let reading = read(&text);
    assert!(reading.notes.iter().any(|n| n.incomplete && n.text.contains("too many members")));
}

#[test]
fn an_unknown_statement_of_a_rule_is_a_condition_and_never_left_out() {
    let text = "set firewall name X rule 1 action accept\nset firewall name X rule 1 phase-of-moon full\nset interfaces ethernet eth0 firewall in name X\n";
    let reading = read(text);
    assert_eq!(reading.device.conditions.len(), 1);
    assert!(reading.notes.iter().any(|n| n.state == LineState::Unrecognised && n.text.contains("phase-of-moon")));
}

#[test]
fn objects_that_are_not_there_are_conditions_and_said() {
    let text = "set firewall name X rule 1 action accept\nset firewall name X rule 1 source group network-group GONE\nset firewall name X rule 2 action drop\nset firewall name X rule 2 source address everywhere\nset interfaces ethernet eth0 firewall in name X\nset interfaces ethernet eth0 firewall out name Y\n";
    let reading = read(text);
    assert_eq!(reading.device.conditions.len(), 2);
    let undefined: Vec<&str> = reading.device.names.undefined().iter().map(|n| n.name.as_str()).collect();
    assert_eq!(undefined, ["GONE", "Y"]);
}

#[test]
fn administration_is_read() {
    let edge = read(EDGE).device.management;
    let services: Vec<String> = edge.services.iter().map(|s| format!("{} {:?} {:?}", s.protocol.name(), s.port, s.versions)).collect();
    assert_eq!(services, ["SSH Some(22) [\"2\"]", "HTTPS Some(443) []", "SNMP Some(161) [\"1\", \"2c\"]"]);
    let accounts: Vec<_> = edge.accounts.iter().map(|a| (a.name.as_str(), a.shipped, a.default_password)).collect();
    assert_eq!(accounts, [("ubnt", true, Some(true)), ("olga", false, Some(false))]);
    assert_eq!(edge.port_mapping.len(), 1);
    assert_eq!(edge.log_hosts.map(|h| h.len()), Some(1));
    assert!(edge.exhaustive);
    let office = read(OFFICE).device.management;
    let ssh = office.services.iter().find(|s| s.protocol == ManagementProtocol::Ssh).expect("SSH");
    assert_eq!(ssh.interfaces.as_ref().map(|i| i[0].name.clone()), Some("eth1".to_owned()));
    assert_eq!(office.lockout.map(|l| l.value.attempts), Some(Some(3)));
    let accounts: Vec<_> = office.accounts.iter().map(|a| (a.name.as_str(), a.default_password, a.second_factor)).collect();
    assert_eq!(accounts, [("admin", Some(false), Some(true)), ("vyos", Some(true), Some(false))]);
    let snmp = office.services.iter().find(|s| s.protocol == ManagementProtocol::Snmp).expect("SNMP");
    assert_eq!(snmp.versions, ["1", "2c", "3"]);
}

#[test]
fn tunnels_are_read_with_all_proposals() {
    let device = read(OFFICE).device;
    let of = |kind| device.tunnels.iter().find(|t| t.kind == kind).expect("a tunnel");
    let offers = |kind, usage, layer| -> Vec<String> {
        let mine = of(kind).crypto.iter().filter(|c| c.usage == usage && c.layer == layer);
        mine.map(|c| format!("{}{}", c.name, if c.default { " by default" } else { "" })).collect()
    };
    use CryptoLayer::{Control, Data};
    assert_eq!(offers(TunnelKind::Ipsec, CryptoUse::Cipher, Control), ["AES-256-CBC"]);
    assert_eq!(offers(TunnelKind::Ipsec, CryptoUse::Cipher, Data), ["AES-256-GCM", "3DES-CBC"]);
    assert_eq!(offers(TunnelKind::Ipsec, CryptoUse::Digest, Data), ["MD5"]);
    assert_eq!(offers(TunnelKind::Ipsec, CryptoUse::KeyExchange, Data), ["SECP256R1"]);
    assert_eq!(offers(TunnelKind::Ipsec, CryptoUse::IkeVersion, Control), ["2"]);
    assert_eq!(offers(TunnelKind::OpenVpn, CryptoUse::Cipher, Data), ["AES-256-GCM"]);
    assert_eq!(of(TunnelKind::Ipsec).selectors[0].remote[0].to_string(), "10.99.0.0/16");
    assert!(of(TunnelKind::Ipsec).peers[0].preshared_key.is_some(), "the secret stands apart");
    assert_eq!(of(TunnelKind::TlsVpn).second_factor.as_ref().map(|f| f.value), Some(true));
    assert_eq!(of(TunnelKind::OpenVpn).second_factor.as_ref().map(|f| f.value), Some(true));
    assert_eq!(of(TunnelKind::WireGuard).peers[0].allowed.len(), 1);
}

#[test]
fn the_outside_follows_from_default_routes() {
    for (text, outside) in [(EDGE, "eth0"), (ZONES, "pppoe0"), (OFFICE, "eth0")] {
        let device = read(text).device;
        let routes = device.routes.as_ref().expect("routes");
        let default = routes.iter().find(|r| r.to.to_string() == "0.0.0.0/0").expect("a default route");
        assert_eq!(default.interface.as_deref(), Some(outside));
    }
}

#[test]
fn secrets_are_marked() {
    for (text, secrets) in [
        (
            OFFICE,
            &[
                "a-key-of-the-interface",
                "between-the-two-offices",
                "snmp-password",
                "eves-password",
                "ABCDEFGHIJKLMNOP",
                "$6$rounds=656000$abcdefgh$notarealhashbutlongenough",
            ][..],
        ),
        (EDGE, &["yard-reader", "$1$zKNoUbAo$gomzUbYvgyUMcD436Wo66."][..]),
        (ZONES, &["the-dsl-password"][..]),
    ] {
        let (file, reading) = VYOS.read_text("config.boot", text);
        let marked: Vec<&str> = reading.secrets.iter().map(|s| file.slice(*s)).collect();
        for secret in secrets {
            assert!(marked.contains(secret), "{secret}: {marked:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn damaged_files_are_read_without_panic(at in 0usize..20_000, byte in any::<u8>()) {
        for text in [EDGE, ZONES, OFFICE] {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            read(&String::from_utf8_lossy(&bytes));
            read(&String::from_utf8_lossy(&bytes[..at]));
        }
    }
}

#[test]
fn every_beginning_of_the_fixtures_is_read() {
    for text in [EDGE, ZONES, OFFICE] {
        for at in (0..text.len()).step_by(37).filter(|a| text.is_char_boundary(*a)) {
            read(&text[..at]);
        }
    }
}
