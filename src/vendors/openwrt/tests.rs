use proptest::prelude::*;

use super::OPENWRT;
use crate::diag::LineState;
use crate::eval::{Analysis, trace, walk};
use crate::model::{Device, ManagementProtocol, TunnelRole};
use crate::source::Limits;
use crate::vendors::Confidence;

const FIREWALL: &str = include_str!("../../../tests/fixtures/openwrt/etc/config/firewall");
const NETWORK: &str = include_str!("../../../tests/fixtures/openwrt/etc/config/network");
const DROPBEAR: &str = include_str!("../../../tests/fixtures/openwrt/etc/config/dropbear");
const UHTTPD: &str = include_str!("../../../tests/fixtures/openwrt/etc/config/uhttpd");

fn part(name: &str, text: &str) -> Device {
    OPENWRT.read_text(&format!("etc/config/{name}"), text).1.device
}

fn router() -> Device {
    let mut device = part("firewall", FIREWALL);
    for (name, text) in [("network", NETWORK), ("dropbear", DROPBEAR), ("uhttpd", UHTTPD)] {
        device.absorb(part(name, text));
    }
    device
}

/// What becomes of a packet, written as a line of `trace`.
fn verdict(device: &Device, packet: &str) -> &'static str {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let value = serde_json::from_str(packet).expect("JSON");
    let (way, family, packet) = trace::read_packet(&value, &analysis.space).expect("a packet");
    walk::walk(&analysis, way, family, &packet, None, None, false).verdict.name()
}

fn to_router(iif: &str, src: &str, dst: &str, rest: &str) -> String {
    format!(r#"{{"hook":"input","iif":"{iif}","src":"{src}","dst":"{dst}",{rest}}}"#)
}

fn through(iif: &str, oif: &str, src: &str, dst: &str, rest: &str) -> String {
    format!(r#"{{"hook":"forward","iif":"{iif}","oif":"{oif}","src":"{src}","dst":"{dst}",{rest}}}"#)
}

const SSH: &str = r#""proto":"tcp","dport":22,"tcp_flags":"S","ct":"new""#;

#[test]
fn zones_forwardings_and_rules_decide_as_on_the_router() {
    let d = router();
    let web = r#""proto":"tcp","dport":443,"tcp_flags":"S","ct":"new""#;
    for (packet, wanted) in [
        (to_router("lan", "192.168.1.7", "192.168.1.1", SSH), "accept"),
        (to_router("br-lan", "192.168.1.7", "192.168.1.1", SSH), "accept"),
        (to_router("eth1", "192.0.2.7", "203.0.113.9", SSH), "reject"),
        (to_router("eth1", "198.51.100.3", "203.0.113.9", SSH), "accept"),
        (to_router("eth1", "192.0.2.7", "203.0.113.9", r#""proto":"icmp","icmp_type":8,"ct":"new""#), "accept"),
        (to_router("guest", "192.168.9.7", "192.168.9.1", SSH), "reject"),
        (to_router("guest", "192.168.9.7", "192.168.9.1", r#""proto":"udp","dport":53,"ct":"new""#), "accept"),
        (to_router("eth1", "2001:db8::7", "2001:db8::1", SSH), "reject"),
        (through("lan", "wan", "192.168.1.7", "192.0.2.1", web), "accept"),
        (through("guest", "wan", "192.168.9.7", "192.0.2.1", web), "accept"),
        (through("guest", "lan", "192.168.9.7", "192.168.1.7", web), "reject"),
        (through("wg0", "lan", "10.8.0.2", "192.168.1.7", web), "accept"),
        (through("wan", "lan", "192.0.2.7", "192.168.1.50", r#""proto":"tcp","dport":554,"tcp_flags":"S","ct":"new""#), "reject"),
        (through("wan", "lan", "192.0.2.7", "203.0.113.9", r#""proto":"tcp","dport":8443,"tcp_flags":"S","ct":"new""#), "accept"),
        (through("wan", "lan", "192.0.2.7", "203.0.113.9", r#""proto":"tcp","dport":8444,"tcp_flags":"S","ct":"new""#), "reject"),
        (through("lan", "wan", "192.168.1.7", "192.0.2.1", r#""proto":"tcp","dport":443,"tcp_flags":"A","ct":"invalid""#), "drop"),
    ] {
        assert_eq!(verdict(&d, &packet), wanted, "{packet}");
    }
}

#[test]
fn interfaces_go_by_their_networks_and_by_their_devices() {
    let d = router();
    let list = d.interfaces.as_ref().expect("interfaces");
    let wan = list.iter().find(|i| i.name == "wan").expect("wan");
    assert!(wan.aliases.iter().any(|a| a == "eth1") && wan.aliases.iter().any(|a| a == "wan6"), "{wan:?}");
    assert_eq!(wan.dynamic.len(), 2);
    assert!(list.iter().all(|i| i.name != "wan6"));
    let default = d.routes.iter().flatten().filter(|r| r.to.prefix() == 0).map(|r| r.interface.as_deref()).collect::<Vec<_>>();
    assert_eq!(default, [Some("wan"), Some("wan")]);
    let tunnel = d.tunnels.first().expect("WireGuard");
    assert_eq!((tunnel.role, tunnel.peers.len()), (TunnelRole::Server, 1));
}

#[test]
fn what_administers_the_router_is_known() {
    let services: Vec<_> = router().management.services.iter().map(|s| (s.protocol, s.port)).collect();
    assert_eq!(
        services,
        [(ManagementProtocol::Ssh, Some(22)), (ManagementProtocol::Http, Some(80)), (ManagementProtocol::Https, Some(443))]
    );
}

#[test]
fn uci_show_is_read_as_the_file() {
    let shown = "firewall.@defaults[0]=defaults\nfirewall.@defaults[0].input='REJECT'\nfirewall.@defaults[0].output='ACCEPT'\n\
                 firewall.@defaults[0].forward='REJECT'\nfirewall.@zone[0]=zone\nfirewall.@zone[0].name='lan'\n\
                 firewall.@zone[0].network='lan' 'extra'\nfirewall.@zone[0].input='ACCEPT'\nnetwork.lan=interface\n\
                 network.lan.ipaddr='192.168.1.1/24'\n";
    let file = OPENWRT.read_text("openwrt.txt", shown).0;
    assert_eq!((OPENWRT.detect)(&file).map(|d| d.confidence), Some(Confidence::Certain));
    let d = part("openwrt.txt", shown);
    assert_eq!(verdict(&d, &to_router("lan", "192.168.1.7", "192.168.1.1", SSH)), "accept");
    assert_eq!(verdict(&d, &to_router("extra", "192.168.1.7", "192.168.1.1", SSH)), "accept");
    assert_eq!(verdict(&d, &to_router("wan", "192.0.2.7", "192.168.1.1", SSH)), "reject");
}

#[test]
fn a_section_that_names_a_zone_that_is_not_there_is_said_and_not_loaded() {
    let text = "config defaults\n\toption input DROP\nconfig zone\n\toption name lan\n\toption network lan\nconfig rule\n\toption src dmz\n\toption target ACCEPT\n\toption proto tcp\n\toption dest_port 22\n";
    let (_, reading) = OPENWRT.read_text("firewall", text);
    assert!(
        reading.notes.iter().any(|n| n.text.contains("there is no zone dmz") && n.state == LineState::Unsupported),
        "{:?}",
        reading.notes
    );
    assert_eq!(verdict(&reading.device, &to_router("dmz", "192.0.2.7", "192.168.1.1", SSH)), "drop");
}

#[test]
fn a_file_of_fortios_is_not_taken_for_uci() {
    let text = "config system global\n    set hostname \"gate\"\nend\nconfig firewall policy\n    edit 1\n        set action accept\n    next\nend\n";
    let file = OPENWRT.read_text("gate.conf", text).0;
    assert!((OPENWRT.detect)(&file).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_files_are_read_without_panic(at in 0usize..4000, byte in any::<u8>()) {
        for text in [FIREWALL, NETWORK] {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            OPENWRT.read_text("firewall", &String::from_utf8_lossy(&bytes));
            OPENWRT.read_text("firewall", &String::from_utf8_lossy(&bytes[..at]));
        }
    }
}
