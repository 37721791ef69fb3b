//! What is read of small configurations, and that no input makes the reader fall over.

use super::{OPNSENSE, PFSENSE};
use crate::diag::LineState;
use crate::model::{CryptoUse, ManagementProtocol, TunnelKind};
use crate::source::{FileId, SourceFile};
use crate::vendors::{Format, Reading, detect};

const BRANCH: &str = include_str!("../../../tests/fixtures/opnsense/branch.xml");
const SHOP: &str = include_str!("../../../tests/fixtures/pfsense/shop.xml");
const SMALL: &str = include_str!("../../../tests/cross/a-negated-group/opnsense/config.xml");

fn read(format: &Format, text: &str) -> Reading {
    format.read_text("config.xml", text).1
}

#[test]
fn the_outermost_element_tells_which_of_the_two_it_is() {
    let id = |text: &str| detect(&SourceFile::from_text(FileId(0), "x", text)).first().map(|d| d.0.id);
    assert_eq!(id("<?xml version='1.0'?>\n<!-- a > b -->\n<opnsense>"), Some("opnsense"));
    assert_eq!(id("\u{feff}<pfsense/>"), Some("pfsense"));
    assert_eq!(id("<!DOCTYPE pfsense [<!ENTITY a 'b'>]><pfsense>"), Some("pfsense"));
    assert_eq!(id("<config><pfsense/></config>"), None);
    assert_eq!(id("<pfsense2>"), None);
}

#[test]
fn fixtures_are_read_without_a_line_that_is_not_recognised() {
    for (format, text) in [(&OPNSENSE, BRANCH), (&PFSENSE, SHOP)] {
        let reading = read(format, text);
        for (i, state) in reading.lines[&FileId(0)].iter().enumerate() {
            assert_ne!(*state, LineState::Unrecognised, "{} line {}", format.id, i + 1);
        }
        assert!(!reading.notes.iter().any(|n| n.incomplete), "{:?}", reading.notes);
    }
}

#[test]
fn outside_is_where_gateways_lead() {
    let reading = read(&OPNSENSE, BRANCH);
    let routes = reading.device.routes.as_deref().unwrap_or_default();
    let outside: Vec<&str> = routes.iter().filter(|r| r.to.prefix() == 0).filter_map(|r| r.interface.as_deref()).collect();
    assert_eq!(outside, ["wan", "opt3"]);
    let shop = routes.iter().find(|r| r.to.to_string() == "10.31.0.0/16").expect("the static route");
    assert_eq!((shop.interface.as_deref(), shop.via.map(|v| v.to_string()).as_deref()), (Some("lan"), Some("10.30.0.254")));
}

#[test]
fn administration_is_read_of_both() {
    let branch = read(&OPNSENSE, BRANCH).device.management;
    let web = &branch.services[0];
    assert_eq!((web.protocol, web.port, web.interfaces.as_ref().map(Vec::len)), (ManagementProtocol::Https, Some(8443), Some(1)));
    assert_eq!(web.idle_timeout.as_ref().map(|f| (f.value, f.default)), Some((Some(1800), false)));
    let names: Vec<&str> = branch.accounts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["root", "karin"]);
    assert!(branch.accounts[0].shipped && branch.accounts.iter().all(|a| a.second_factor == Some(true)));
    assert_eq!(branch.log_hosts.as_ref().map(|l| (l.len(), l[0].encrypted)), Some((1, Some(true))));
    let shop = read(&PFSENSE, SHOP).device.management;
    let protocols: Vec<ManagementProtocol> = shop.services.iter().map(|s| s.protocol).collect();
    assert_eq!(protocols, [ManagementProtocol::Http, ManagementProtocol::Ssh, ManagementProtocol::Snmp]);
    assert_eq!(shop.port_mapping.len(), 1);
    assert_eq!(shop.lockout.map(|l| l.value.attempts), Some(Some(3)));
    assert_eq!(shop.accounts[0].second_factor, Some(false));
}

#[test]
fn all_proposals_of_a_tunnel_are_offered() {
    let offers = |reading: &Reading, name: &str, usage| -> Vec<String> {
        let tunnel = reading.device.tunnels.iter().find(|t| t.title() == name).unwrap_or_else(|| panic!("no tunnel {name}"));
        tunnel.crypto.iter().filter(|c| c.usage == usage).map(|c| c.name.clone()).collect()
    };
    let branch = read(&OPNSENSE, BRANCH);
    assert_eq!(offers(&branch, "head office", CryptoUse::IkeVersion), ["1-AGGRESSIVE"]);
    assert_eq!(offers(&branch, "head office", CryptoUse::KeyExchange), ["DH-2048", "DH-1024", "DH-2048"]);
    assert_eq!(offers(&branch, "head office", CryptoUse::Cipher), ["AES-256-CBC", "AES-256-GCM", "3DES-CBC"]);
    assert_eq!(offers(&branch, "warehouse", CryptoUse::Digest), ["SHA256", "SHA1"]);
    assert_eq!(offers(&branch, "staff", CryptoUse::Cipher), ["AES-256-GCM", "AES-128-GCM", "BF-CBC", "AES-256-CBC"]);
    let shop = read(&PFSENSE, SHOP);
    assert_eq!(offers(&shop, "head office", CryptoUse::Cipher), ["AES-128-GCM", "3DES-CBC", "AES-256-CBC"]);
    assert_eq!(offers(&shop, "head office", CryptoUse::KeyExchange), ["SECP256R1", "DH-1024", "NONE"]);
    let wireguard = shop.device.tunnels.iter().find(|t| t.kind == TunnelKind::WireGuard).expect("a tunnel");
    assert_eq!((wireguard.peers.len(), wireguard.peers[0].allowed.len()), (1, 1));
}

#[test]
fn aliases_that_nothing_uses_or_that_hold_themselves_are_told() {
    let branch = read(&OPNSENSE, BRANCH);
    let unused: Vec<&str> = branch.device.names.unused().iter().map(|n| n.name.as_str()).collect();
    assert!(unused.contains(&"FORGOTTEN") && !unused.contains(&"MORE_MAINTAINERS"), "{unused:?}");
    let text = "<pfsense><interfaces><wan><if>em0</if></wan></interfaces><aliases><alias><name>A</name><type>host</type><address>B 192.0.2.1</address></alias>\
                <alias><name>B</name><type>host</type><address>A</address></alias></aliases><filter><rule><type>pass</type><interface>wan</interface>\
                <source><address>A</address></source><destination><address>MISSING</address></destination></rule></filter></pfsense>";
    let names = read(&PFSENSE, text).device.names;
    assert_eq!(names.cycles().len(), 1);
    assert_eq!(names.undefined().iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["MISSING"]);
}

#[test]
fn entities_and_damage_are_said_and_leave_every_packet_open() {
    let entity = "<!DOCTYPE pfsense [<!ENTITY a 'pass'>]>\n<pfsense><filter><rule><type>&a;</type></rule></filter></pfsense>";
    let reading = read(&PFSENSE, entity);
    assert!(reading.notes.iter().any(|n| n.incomplete && n.span.start < 45), "{:?}", reading.notes);
    let cut = SMALL.split("</rule>").next().unwrap_or("");
    let reading = read(&OPNSENSE, cut);
    assert!(reading.notes.iter().any(|n| n.incomplete));
    let open = |chain: &crate::model::Chain| chain.rules.iter().any(|r| matches!(r.action, crate::model::Action::Opaque(_)));
    assert!(reading.device.chains.iter().any(|c| c.name == "filter/in" && open(c)));
}

#[test]
fn no_prefix_and_no_flipped_byte_makes_it_fall_over() {
    let mut texts = vec![(&OPNSENSE, SMALL, 1)];
    texts.extend([(&OPNSENSE, BRANCH, 211), (&PFSENSE, SHOP, 173)]);
    for (format, text, step) in texts {
        for end in (0..text.len()).step_by(step).filter(|e| text.is_char_boundary(*e)) {
            read(format, &text[..end]);
        }
        for at in (0..text.len()).step_by(step) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= [0x01, 0x20, 0x80, 0x15][at % 4];
            format.read_file(&SourceFile::new(FileId(0), "config.xml", &bytes));
        }
    }
}

#[test]
fn a_flood_of_aliases_in_aliases_is_bounded_and_said() {
    let mut text = String::from("<pfsense><interfaces><wan><if>em0</if></wan></interfaces><aliases>");
    for i in 0..30 {
        let inner = format!("A{} ", i + 1).repeat(40);
        text.push_str(&format!("<alias><name>A{i}</name><type>host</type><address>{inner}</address></alias>"));
    }
    text.push_str("<alias><name>A30</name><type>host</type><address>192.0.2.1</address></alias></aliases><filter><rule><type>pass</type>");
    text.push_str(
        "<interface>wan</interface><source><address>A0</address></source><destination><any/></destination></rule></filter></pfsense>",
    );
    let reading = read(&PFSENSE, &text);
    assert!(reading.notes.iter().any(|n| n.incomplete));
}

#[test]
fn a_part_of_the_new_filter_that_is_not_known_is_said() {
    let read = |part: &str| {
        let text =
            format!("<opnsense><interfaces/><OPNsense><Firewall><Filter><rules/><npt/>{part}</Filter></Firewall></OPNsense></opnsense>");
        let reading = crate::vendors::format("opnsense").unwrap().read_text("config.xml", &text).1;
        reading.notes.iter().map(|n| n.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(read("<onetoone/><settings/>"), [""; 0]);
    assert_eq!(read("<settings><nothing>1</nothing></settings>"), ["what <settings> configures is not known"]);
}
