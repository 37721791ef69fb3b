use super::*;
use crate::diag::LineState;
use crate::eval::{Analysis, trace, walk};
use crate::model::Device;
use crate::source::{FileId, Limits};
use crate::vendors::{Confidence, Reading};

/// Reads files, given as path and text, as those of one device.
fn read_all(files: &[(&str, &str)]) -> Reading {
    read_within(files, &Limits::default())
}

fn read_within(files: &[(&str, &str)], limits: &Limits) -> Reading {
    let files: Vec<SourceFile> =
        files.iter().enumerate().map(|(i, (path, text))| SourceFile::from_text(FileId(i as u32), *path, text)).collect();
    let get = |id: FileId| &files[id.0 as usize];
    let resolve = |_: FileId, _: &str| Vec::new();
    let mut reader = Reader::new(&files[0], limits, &get, &resolve);
    reader.beside = files.iter().skip(1).collect();
    read(&mut reader);
    reader.finish()
}

const CONF: &str = "STARTUP_ENABLED=Yes\nDROP_DEFAULT=none\nREJECT_DEFAULT=none\nEXPAND_POLICIES=Yes\n";
const ZONES: &str = "fw firewall\nnet ipv4\nloc ipv4\ndmz ipv4\n";
const INTERFACES: &str = "?FORMAT 2\nnet eth0\nloc eth1\ndmz eth2\n";
const POLICY: &str = "fw all ACCEPT\nloc net ACCEPT\nnet all DROP\nall all REJECT\n";

/// A firewall with these rules, and other files in the place of the usual ones.
fn firewall(rules: &str, other: &[(&str, &str)]) -> Reading {
    let mut files = vec![("shorewall.conf", CONF), ("zones", ZONES), ("interfaces", INTERFACES), ("policy", POLICY), ("rules", rules)];
    for (name, text) in other {
        files.retain(|f| f.0 != *name);
        files.push((name, text));
    }
    read_all(&files)
}

/// What becomes of a packet, written as a line of `trace`.
fn verdict(device: &Device, packet: &str) -> &'static str {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let value = serde_json::from_str(packet).expect("JSON");
    let (way, family, packet) = trace::read_packet(&value, &analysis.space).expect("a packet");
    walk::walk(&analysis, way, family, &packet, None, None, false).verdict.name()
}

fn through(iif: &str, oif: &str, src: &str, dst: &str, port: u16) -> String {
    let rest = format!(r#""proto":"tcp","dport":{port},"tcp_flags":"S","ct":"new""#);
    format!(r#"{{"hook":"forward","iif":"{iif}","oif":"{oif}","src":"{src}","dst":"{dst}",{rest}}}"#)
}

fn to_firewall(iif: &str, src: &str, port: u16) -> String {
    let rest = format!(r#""proto":"tcp","dport":{port},"tcp_flags":"S","ct":"new""#);
    format!(r#"{{"hook":"input","iif":"{iif}","src":"{src}","dst":"192.0.2.1",{rest}}}"#)
}

fn bad(reading: &Reading) -> Vec<&str> {
    reading.notes.iter().map(|n| n.text.as_str()).collect()
}

#[test]
fn rules_come_before_policies_and_the_first_that_matches_decides() {
    let r = firewall("DROP loc net:192.0.2.9\nACCEPT loc net:192.0.2.9 tcp 80\nSSH(ACCEPT) net dmz:10.0.3.1\nSSH/ACCEPT loc fw\n", &[]);
    assert!(bad(&r).is_empty(), "{:?}", bad(&r));
    assert_eq!(verdict(&r.device, &through("eth1", "eth0", "10.0.1.1", "192.0.2.9", 80)), "drop");
    assert_eq!(verdict(&r.device, &through("eth1", "eth0", "10.0.1.1", "192.0.2.8", 80)), "accept");
    assert_eq!(verdict(&r.device, &through("eth0", "eth2", "192.0.2.9", "10.0.3.1", 22)), "accept");
    assert_eq!(verdict(&r.device, &through("eth0", "eth2", "192.0.2.9", "10.0.3.2", 22)), "drop");
    assert_eq!(verdict(&r.device, &through("eth2", "eth1", "10.0.3.1", "10.0.1.1", 22)), "reject");
    assert_eq!(verdict(&r.device, &to_firewall("eth1", "10.0.1.1", 22)), "accept");
    assert_eq!(verdict(&r.device, &to_firewall("eth0", "192.0.2.9", 22)), "drop");
}

#[test]
fn what_arrives_does_not_leave_where_it_came_from_unless_routed_back() {
    let plain = firewall("", &[("policy", "all all ACCEPT\nloc loc ACCEPT\n")]);
    let back = through("eth1", "eth1", "10.0.1.1", "10.0.1.2", 80);
    assert_eq!(verdict(&plain.device, &back), "drop");
    let routed = firewall("", &[("interfaces", "?FORMAT 2\nnet eth0\nloc eth1 routeback\ndmz eth2\n")]);
    assert_eq!(verdict(&routed.device, &back), "accept");
}

#[test]
fn a_forward_is_let_through_for_packets_that_it_translated_alone() {
    let rules = "DNAT net dmz:10.0.3.5:8080 tcp 80\nDNAT net dmz:10.0.3.6 tcp 443 - 198.51.100.1\n";
    let r = firewall(rules, &[]);
    assert!(bad(&r).is_empty(), "{:?}", bad(&r));
    assert_eq!(verdict(&r.device, &through("eth0", "eth2", "192.0.2.9", "198.51.100.7", 80)), "accept");
    assert_eq!(verdict(&r.device, &through("eth0", "eth2", "192.0.2.9", "10.0.3.5", 8080)), "drop");
    assert_eq!(verdict(&r.device, &through("eth0", "eth2", "192.0.2.9", "198.51.100.1", 443)), "accept");
    assert_eq!(verdict(&r.device, &through("eth0", "eth2", "192.0.2.9", "10.0.3.6", 443)), "drop");
    // Another forward to the same place: whose packet it is, its address after the translation does not tell.
    let two = firewall("DNAT net dmz:10.0.3.5:8080 tcp 80\nDNAT net dmz:10.0.3.5:8080 tcp 81\n", &[]);
    assert_eq!(two.notes.len(), 2, "{:?}", bad(&two));
}

#[test]
fn unknown_variables_are_conditions_and_unset_ones_are_refused() {
    let params = ("params", "ADMIN=$(dig +short admin.example.org)\nMAIL=10.0.3.25\n");
    let r = firewall("SSH(ACCEPT) net:$ADMIN fw\nSMTP(ACCEPT) net dmz:$MAIL\n", &[params]);
    assert_eq!(verdict(&r.device, &to_firewall("eth0", "192.0.2.9", 22)), "unknown");
    assert_eq!(verdict(&r.device, &through("eth0", "eth2", "192.0.2.9", "10.0.3.25", 25)), "accept");
    let conf = format!("{CONF}IGNOREUNKNOWNVARIABLES=No\n");
    let r = firewall("SSH(ACCEPT) net:$ADMIN fw\n", &[("shorewall.conf", &conf)]);
    assert_eq!(r.device.refused.len(), 1);
    assert_eq!(verdict(&r.device, &to_firewall("eth0", "192.0.2.9", 22)), "unknown");
}

#[test]
fn embedded_scripts_may_add_any_rule() {
    for text in
        ["PERL add_rule();\n", "?BEGIN SHELL\necho ACCEPT net fw\n?END SHELL\n", "INCLUDE more\n", "?IF $X =~ /y/\nACCEPT net fw\n?ENDIF\n"]
    {
        let r = firewall(text, &[]);
        assert_eq!(verdict(&r.device, &to_firewall("eth0", "192.0.2.9", 22)), "unknown", "{text}");
        assert!(r.notes.iter().any(|n| n.state >= LineState::NotModelled), "{text}");
    }
}

#[test]
fn a_firewall_that_does_not_start_is_in_doubt_and_one_without_zones_unknown() {
    let conf = CONF.replace("ENABLED=Yes", "ENABLED=No");
    let r = firewall("", &[("shorewall.conf", &conf)]);
    assert_eq!(verdict(&r.device, &to_firewall("eth0", "192.0.2.9", 22)), "unknown");
    let r = read_all(&[("shorewall.conf", CONF), ("rules", "ACCEPT net fw tcp 22\n")]);
    assert_eq!(verdict(&r.device, &to_firewall("eth0", "192.0.2.9", 22)), "unknown");
    assert!(!bad(&r).is_empty());
}

#[test]
fn without_ipv6_only_the_loopback_interface_has_it() {
    let conf = format!("{CONF}DISABLE_IPV6=Yes\n");
    let r = firewall("", &[("shorewall.conf", &conf)]);
    let packet =
        r#"{"hook":"input","iif":"eth1","src":"2001:db8::1","dst":"2001:db8::2","proto":"tcp","dport":22,"tcp_flags":"S","ct":"new"}"#;
    assert_eq!(verdict(&r.device, packet), "drop");
    assert!(firewall("", &[]).device.base_chains.iter().all(|b| b.families == [Family::V4]));
}

#[test]
fn what_is_not_defined_is_refused_and_never_any_or_none() {
    for rules in
        ["ACCEPT lan fw\n", "Nothing(ACCEPT) net fw\n", "ACCEPT net:eth9 fw tcp 22\n", "SSH net fw\n", "ACCEPT net:300.1.1.1 fw tcp 22\n"]
    {
        let r = firewall(rules, &[]);
        assert!(!r.device.refused.is_empty(), "{rules}");
        assert_eq!(verdict(&r.device, &to_firewall("eth0", "192.0.2.9", 22)), "unknown", "{rules}");
    }
}

#[test]
fn an_action_that_leads_to_itself_ends() {
    let actions = [("actions", "A\nB\n"), ("action.A", "B\n"), ("action.B", "A\n"), ("macro.M", "M\n")];
    let r = firewall("A net fw\nM(ACCEPT) net fw\n", &actions);
    assert!(r.device.refused.iter().any(|(_, text)| text.contains("leads to itself")));
    assert!(r.device.refused.iter().any(|(_, text)| text.contains("nested too deep")));
}

#[test]
fn rules_for_many_zones_are_bounded_and_that_is_said() {
    let zones: String = (0..120).map(|i| format!("z{i} ipv4\n")).collect();
    let interfaces: String = (0..120).map(|i| format!("z{i} e{i}\n")).collect();
    let rules = "ACCEPT all all tcp 1:5 { sport=1,2,3 }\n".repeat(40);
    let texts = (format!("fw firewall\n{zones}"), format!("?FORMAT 2\n{interfaces}"));
    let files =
        [("shorewall.conf", CONF), ("zones", &*texts.0), ("interfaces", &*texts.1), ("policy", "all all DROP\n"), ("rules", &*rules)];
    let r = read_within(&files, &Limits { expanded_rules: 100_000, ..Limits::default() });
    assert!(r.notes.iter().any(|n| n.incomplete));
}

#[test]
fn floods_of_directives_variables_and_parentheses_end() {
    let deep = "?IF 1\n".repeat(100_000);
    let doubling: String = (0..60).map(|i| format!("A{}=$A{i}$A{i}\n", i + 1)).collect();
    let lists = format!("ACCEPT net:{} fw\n", "10.0.0.1,".repeat(20_000));
    let open = format!("ACCEPT net{} fw\n", "(".repeat(100_000));
    for (rules, params) in [(deep.as_str(), ""), ("ACCEPT net:$A60 fw\n", &*format!("A0=xx\n{doubling}")), (&lists, ""), (&open, "")] {
        let r = firewall(rules, &[("params", params)]);
        assert!(r.lines.values().flatten().count() > 0);
    }
}

const OFFICE: [(&str, &str); 12] = [
    ("shorewall.conf", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/shorewall.conf")),
    ("params", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/params")),
    ("zones", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/zones")),
    ("interfaces", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/interfaces")),
    ("hosts", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/hosts")),
    ("policy", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/policy")),
    ("rules", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/rules")),
    ("macro.Backup", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/macro.Backup")),
    ("snat", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/snat")),
    ("tunnels", include_str!("../../../../tests/fixtures/shorewall/office/etc/shorewall/tunnels")),
    ("actions", include_str!("../../../../tests/fixtures/shorewall/oracle/actions/actions")),
    ("action.Mine", include_str!("../../../../tests/fixtures/shorewall/oracle/actions/action.Mine")),
];

#[test]
fn no_prefix_and_no_flipped_byte_of_these_files_panics() {
    for (i, (name, text)) in OFFICE.iter().enumerate() {
        let read = |text: &str| {
            let mut files: Vec<(&str, &str)> = OFFICE.to_vec();
            files[i] = (name, text);
            for (name, text) in &files {
                let _ = files::detect(&SourceFile::from_text(FileId(0), *name, text));
            }
            read_all(&files);
        };
        let step = (text.len() / 40).max(1);
        for end in (0..text.len()).step_by(step).filter(|n| text.is_char_boundary(*n)) {
            read(&text[..end]);
        }
        for at in (0..text.len()).step_by(step) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= [0x01, 0x80, 0x20, 0x10][at % 4];
            read(&String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn files_are_recognised_by_name_and_content() {
    let of = |path: &str, text: &str| files::detect(&SourceFile::from_text(FileId(0), path, text)).map(|d| d.confidence);
    assert_eq!(of("x/shorewall.conf", "STARTUP_ENABLED=Yes\n"), Some(Confidence::Certain));
    assert_eq!(of("x/zones", ZONES), Some(Confidence::Strong));
    assert_eq!(of("x/rules", "SSH(ACCEPT)\tnet\t$FW\n"), Some(Confidence::Strong));
    assert_eq!(of("x/policy", POLICY), Some(Confidence::Strong));
    assert_eq!(of("etc/shorewall/masq", "eth0 10.0.0.0/8\n"), Some(Confidence::Strong));
    assert_eq!(of("etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n"), None);
    assert_eq!(of("etc/hosts", "127.0.0.1 localhost\n10.0.0.1 gate\n"), None);
    assert_eq!(of("x/rules", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"), None);
    assert_eq!(of("x/rules.v4", "# Generated by Shorewall 5.2.8\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n"), None);
    assert_eq!(of("x/init", "#!/bin/sh\nexec /sbin/init\n"), None);
}

#[test]
fn every_macro_that_is_shipped_is_lowered_without_a_word() {
    for six in [false, true] {
        let conf = if six { "shorewall6.conf" } else { "shorewall.conf" };
        let zones = if six { ZONES.replace("ipv4", "ipv6") } else { ZONES.to_owned() };
        for name in macros::names() {
            // Addresses and types of IPv4; the original destination, which is no field of the packet.
            let four_only = ["A_AllowICMPs", "VRRP"].contains(&name);
            if (six && four_only) || name == "Rfc1918" {
                continue;
            }
            let rules = format!("{name}(ACCEPT) net dmz\n");
            let files = [(conf, CONF), ("zones", zones.as_str()), ("interfaces", INTERFACES), ("policy", POLICY), ("rules", &rules)];
            let r = read_all(&files);
            assert!(bad(&r).is_empty(), "{name}: {:?}", bad(&r));
        }
    }
}
