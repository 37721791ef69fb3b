//! pfSense and OPNsense: what packets become, construct by construct.
#![allow(missing_docs)]

use fwproof::eval::Analysis;
use fwproof::eval::trace::read_packet;
use fwproof::eval::walk::{Walked, walk};
use fwproof::model::Device;
use fwproof::packets::Field;
use fwproof::source::Limits;
use fwproof::vendors;
use serde_json::{Value, json};

const BRANCH: &str = include_str!("fixtures/opnsense/branch.xml");
const SHOP: &str = include_str!("fixtures/pfsense/shop.xml");

fn device(format: &str, text: &str) -> Device {
    vendors::format(format).unwrap().read_text("config.xml", text).1.device
}

fn walked(device: &Device, packet: &Value) -> Walked {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let (way, family, packet) = read_packet(packet, &analysis.space).unwrap();
    walk(&analysis, way, family, &packet, None, None, false)
}

fn verdict(device: &Device, packet: &Value) -> &'static str {
    walked(device, packet).verdict.name()
}

fn to_us(iif: &str, src: &str, dst: &str, proto: &str, dport: u16) -> Value {
    json!({"hook": "input", "iif": iif, "src": src, "dst": dst, "proto": proto, "dport": dport})
}

fn through(iif: &str, oif: &str, src: &str, dst: &str, proto: &str, dport: u16) -> Value {
    json!({"hook": "forward", "iif": iif, "oif": oif, "src": src, "dst": dst, "proto": proto, "dport": dport})
}

/// A configuration with two interfaces and these rules.
fn small(format: &str, system: &str, rules: &str) -> Device {
    let text = format!(
        "<{format}><system><ipv6allow/><webgui><protocol>https</protocol><noantilockout/></webgui>{system}</system><interfaces>\
         <wan><enable>1</enable><if>em0</if><ipaddr>192.0.2.2</ipaddr><subnet>24</subnet></wan>\
         <lan><enable>1</enable><if>em1</if><ipaddr>10.0.0.1</ipaddr><subnet>24</subnet></lan></interfaces>\
         <nat><outbound><mode>disabled</mode></outbound></nat><filter>{rules}</filter></{format}>"
    );
    device(format, &text)
}

fn rule(kind: &str, interface: &str, more: &str, port: u16) -> String {
    format!(
        "<rule><type>{kind}</type><interface>{interface}</interface><ipprotocol>inet</ipprotocol><protocol>tcp</protocol>{more}\
         <source><any/></source><destination><any/><port>{port}</port></destination></rule>"
    )
}

fn tcp(device: &Device, port: u16) -> &'static str {
    verdict(device, &to_us("wan", "203.0.113.7", "192.0.2.2", "tcp", port))
}

const FLOATING: &str = "<floating>yes</floating><direction>in</direction>";

#[test]
fn interface_rules_decide_at_the_first_match_and_nothing_passes_by_itself() {
    for format in ["pfsense", "opnsense"] {
        let d = small(format, "", &[rule("block", "wan", "", 22), rule("pass", "wan", "", 22), rule("pass", "wan", "", 80)].concat());
        assert_eq!((tcp(&d, 22), tcp(&d, 80), tcp(&d, 81)), ("drop", "accept", "drop"), "{format}");
        // A name of the device and one of the interface are the same.
        assert_eq!(verdict(&d, &to_us("em0", "203.0.113.7", "192.0.2.2", "tcp", 80)), "accept");
        assert_eq!(verdict(&d, &to_us("lan", "10.0.0.7", "192.0.2.2", "tcp", 80)), "drop");
    }
}

#[test]
fn of_floating_rules_the_last_match_decides_unless_they_are_quick() {
    for format in ["pfsense", "opnsense"] {
        let quick = format!("{FLOATING}<quick>yes</quick>");
        let d = small(format, "", &[rule("pass", "wan", FLOATING, 22), rule("block", "wan", FLOATING, 22)].concat());
        assert_eq!(tcp(&d, 22), "drop", "{format}");
        let d = small(format, "", &[rule("block", "wan", FLOATING, 22), rule("pass", "wan", FLOATING, 22)].concat());
        assert_eq!(tcp(&d, 22), "accept", "{format}");
        let d = small(format, "", &[rule("block", "wan", &quick, 22), rule("pass", "wan", FLOATING, 22)].concat());
        assert_eq!(tcp(&d, 22), "drop", "{format}");
        // An interface rule is quick and so comes before a floating one that is not, wherever it stands.
        let d = small(format, "", &[rule("pass", "wan", "", 22), rule("block", "wan", FLOATING, 22)].concat());
        assert_eq!(tcp(&d, 22), "accept", "{format}");
        let d = small(format, "", &[rule("pass", "wan", "", 22), rule("block", "wan", &quick, 22)].concat());
        assert_eq!(tcp(&d, 22), "drop", "{format}");
    }
}

#[test]
fn a_rule_of_a_group_comes_before_one_of_an_interface() {
    let groups = "<ifgroups><ifgroupentry><ifname>ALL</ifname><members>wan lan</members></ifgroupentry></ifgroups>";
    for format in ["pfsense", "opnsense"] {
        let rules = [rule("pass", "wan", "", 22), rule("block", "ALL", "", 22)].concat();
        let with = format!(
            "<{format}><system><webgui><noantilockout/></webgui></system><interfaces><wan><if>em0</if><ipaddr>192.0.2.2</ipaddr><subnet>24</subnet></wan>\
             <lan><if>em1</if></lan></interfaces>{groups}<filter>{rules}</filter></{format}>"
        );
        assert_eq!(tcp(&device(format, &with), 22), "drop", "{format}");
    }
}

#[test]
fn a_floating_rule_for_the_way_out_meets_forwarded_packets() {
    let out = "<floating>yes</floating><direction>out</direction><quick>yes</quick>";
    for format in ["pfsense", "opnsense"] {
        let d = small(format, "", &[rule("block", "wan", out, 25), rule("pass", "lan", "", 25)].concat());
        assert_eq!(verdict(&d, &through("lan", "wan", "10.0.0.7", "203.0.113.9", "tcp", 25)), "drop", "{format}");
        let d = small(format, "", &rule("pass", "lan", "", 25));
        assert_eq!(verdict(&d, &through("lan", "wan", "10.0.0.7", "203.0.113.9", "tcp", 25)), "accept", "{format}");
    }
}

#[test]
fn a_tag_that_is_set_on_arrival_is_asked_for_on_departure() {
    let out = "<floating>yes</floating><direction>any</direction><tagged>NO_WAN</tagged>";
    for format in ["pfsense", "opnsense"] {
        let d = small(format, "", &[rule("block", "wan", out, 443), rule("pass", "lan", "<tag>NO_WAN</tag>", 443)].concat());
        assert_eq!(verdict(&d, &through("lan", "wan", "10.0.0.7", "203.0.113.9", "tcp", 443)), "drop", "{format}");
        let rules = [rule("block", "wan", out, 443), rule("pass", "lan", "", 443), rule("pass", "lan", "<tag>NO_WAN</tag>", 80)].concat();
        assert_eq!(
            verdict(&small(format, "", &rules), &through("lan", "wan", "10.0.0.7", "203.0.113.9", "tcp", 443)),
            "accept",
            "{format}"
        );
    }
}

#[test]
fn a_disabled_rule_decides_nothing_and_an_empty_mark_is_open_in_opnsense() {
    let d = small("pfsense", "", &rule("pass", "wan", "<disabled/>", 22));
    assert_eq!(tcp(&d, 22), "drop");
    let d = small("opnsense", "", &rule("pass", "wan", "<disabled>1</disabled>", 22));
    assert_eq!(tcp(&d, 22), "drop");
    let d = small("opnsense", "", &rule("pass", "wan", "<disabled/>", 22));
    assert_eq!(tcp(&d, 22), "unknown");
}

#[test]
fn what_a_rule_asks_and_is_not_modelled_is_open() {
    let more = ["<os>Windows</os>", "<sched>night</sched>", "<tagged>by-somebody</tagged>", "<unheard-of>1</unheard-of>"];
    for m in more {
        assert_eq!(tcp(&small("pfsense", "", &rule("pass", "wan", m, 22)), 22), "unknown", "{m}");
    }
    let named = rule("pass", "wan", "", 22).replace("<source><any/></source>", "<source><address>NOT_THERE</address></source>");
    assert_eq!(tcp(&small("opnsense", "", &named), 22), "unknown");
}

#[test]
fn ipv6_is_blocked_where_it_is_not_allowed() {
    let six = rule("pass", "wan", "", 22).replace("inet<", "inet6<");
    let packet = to_us("wan", "2a00::7", "2001:db8::1", "tcp", 22);
    assert_eq!(verdict(&small("pfsense", "", &six), &packet), "accept");
    let text = format!(
        "<pfsense><system><webgui><noantilockout/></webgui></system><interfaces><wan><if>em0</if></wan></interfaces><filter>{six}</filter></pfsense>"
    );
    assert_eq!(verdict(&device("pfsense", &text), &packet), "drop");
}

#[test]
fn a_filter_that_is_switched_off_lets_everything_through() {
    let d = small("pfsense", "<disablefilter/>", "");
    assert_eq!(tcp(&d, 22), "accept");
}

#[test]
fn the_filter_sees_the_translated_destination() {
    let d = device("opnsense", BRANCH);
    let done = walked(&d, &through("wan", "opt1", "1.2.3.4", "198.51.100.18", "tcp", 443));
    assert_eq!(done.verdict.name(), "accept");
    assert_eq!((done.became.field(Field::Dst), done.became.field(Field::Dport)), (0x0a1e_080a, 8443));
    assert_eq!(verdict(&d, &through("wan", "opt1", "1.2.3.4", "198.51.100.18", "tcp", 444)), "drop");
    // A forwarding with "pass" goes past the filter, and so past the rule against bogons.
    assert_eq!(verdict(&d, &through("wan", "opt1", "192.0.2.44", "198.51.100.18", "tcp", 4022)), "accept");
    assert_eq!(verdict(&d, &through("wan", "opt1", "1.2.3.4", "198.51.100.18", "tcp", 4022)), "drop");
    // 1:1.
    assert_eq!(verdict(&d, &through("wan", "opt1", "1.2.3.4", "198.51.100.19", "tcp", 25)), "accept");
    assert_eq!(verdict(&d, &through("wan", "opt1", "1.2.3.4", "198.51.100.19", "tcp", 26)), "drop");
}

#[test]
fn a_forwarding_with_pass_needs_no_rule() {
    let d = device("opnsense", BRANCH);
    assert_eq!(verdict(&d, &through("wan", "opt1", "192.0.2.45", "198.51.100.18", "tcp", 4022)), "drop");
}

#[test]
fn rules_of_the_branch_office() {
    let d = device("opnsense", BRANCH);
    let v = |packet: Value| verdict(&d, &packet);
    // Private and reserved sources outside.
    assert_eq!(v(through("wan", "opt1", "10.1.1.1", "10.30.8.10", "tcp", 8443)), "drop");
    // Negated networks, aliases with exceptions, ports of an alias.
    assert_eq!(v(through("lan", "opt3", "10.30.0.7", "1.2.3.4", "tcp", 443)), "accept");
    assert_eq!(v(through("lan", "opt1", "10.30.0.7", "10.30.8.10", "tcp", 443)), "drop");
    assert_eq!(v(through("lan", "opt3", "10.30.0.7", "1.2.3.4", "tcp", 445)), "drop");
    assert_eq!(v(through("opt2", "lan", "10.30.66.7", "10.30.0.7", "tcp", 80)), "drop");
    assert_eq!(v(through("opt2", "opt2", "10.30.66.7", "10.30.66.8", "tcp", 80)), "accept");
    // OPNsense's new rules together with the old ones.
    assert_eq!(v(through("opt1", "wan", "10.30.8.10", "1.2.3.4", "tcp", 443)), "accept");
    assert_eq!(v(through("opt1", "lan", "10.30.8.10", "10.30.0.7", "tcp", 443)), "drop");
    assert_eq!(v(through("wireguard", "lan", "10.30.91.2", "10.30.0.7", "tcp", 443)), "accept");
    // By themselves: administration from lan, DHCP for guests, IKE of the peer.
    assert_eq!(v(to_us("lan", "10.30.0.7", "10.30.0.1", "tcp", 8443)), "accept");
    // Guests reach the firewall's address in their own network, which the alias leaves out, and no other.
    assert_eq!(v(to_us("opt2", "10.30.66.7", "10.30.66.1", "tcp", 8443)), "accept");
    assert_eq!(v(to_us("opt2", "10.30.66.7", "10.30.0.1", "tcp", 8443)), "drop");
    let mut dhcp = to_us("opt2", "10.30.66.7", "10.30.66.1", "udp", 67);
    dhcp["sport"] = json!(68);
    assert_eq!(v(dhcp), "accept");
    assert_eq!(v(to_us("wan", "203.0.113.99", "198.51.100.18", "udp", 500)), "drop");
    let d = device("opnsense", &BRANCH.replace("<blockbogons>1</blockbogons>", ""));
    assert_eq!(verdict(&d, &to_us("wan", "203.0.113.99", "198.51.100.18", "udp", 500)), "accept");
    assert_eq!(verdict(&d, &to_us("wan", "203.0.113.98", "198.51.100.18", "udp", 500)), "drop");
}

#[test]
fn rules_of_the_shop() {
    let d = device("pfsense", SHOP);
    let v = |packet: Value| verdict(&d, &packet);
    assert_eq!(v(through("lan", "opt1", "192.168.20.7", "192.168.30.9", "tcp", 80)), "reject");
    // A name of a host in the alias may be any address.
    assert_eq!(v(through("lan", "wan", "192.168.20.7", "1.2.3.4", "tcp", 80)), "unknown");
    // Only while the schedule is on.
    assert_eq!(v(through("opt1", "wan", "192.168.30.9", "203.0.113.80", "tcp", 443)), "unknown");
    assert_eq!(v(through("opt1", "wan", "192.168.30.9", "203.0.113.80", "tcp", 444)), "drop");
    assert_eq!(v(to_us("opt1", "192.168.30.9", "192.168.30.1", "udp", 53)), "accept");
    assert_eq!(v(to_us("opt1", "192.168.30.9", "192.168.30.1", "tcp", 22)), "drop");
    assert_eq!(v(to_us("lan", "192.168.20.7", "192.168.20.1", "tcp", 22)), "accept");
}

#[test]
fn answers_pass_and_packets_of_no_connection_do_not() {
    let d = small("pfsense", "", &rule("pass", "wan", "", 80));
    let mut packet = to_us("wan", "203.0.113.7", "192.0.2.2", "tcp", 80);
    packet["tcp_flags"] = json!("A");
    packet["ct"] = json!("invalid");
    assert_eq!(verdict(&d, &packet), "drop");
    packet["ct"] = json!("established");
    assert_eq!(verdict(&d, &packet), "accept");
}

/// OPNsense with an instance of WireGuard, its device assigned to `opt1` or to nothing, and the rules of `opt1` or of the group.
fn with_wireguard(assigned: &str, instance: &str, rules: &str) -> Device {
    let text = format!(
        "<opnsense><system><webgui><protocol>https</protocol><noantilockout>1</noantilockout></webgui></system><interfaces>\
         <wan><enable>1</enable><if>em0</if><ipaddr>dhcp</ipaddr></wan><lan><enable>1</enable><if>em1</if><ipaddr>10.0.0.1</ipaddr><subnet>24</subnet></lan>\
         {assigned}</interfaces><filter>{rules}</filter><OPNsense><wireguard><general><enabled>1</enabled></general>\
         <server><servers><server uuid=\"s\"><enabled>1</enabled><instance>0</instance><tunneladdress>10.9.0.1/24</tunneladdress><peers>c</peers>{instance}</server></servers></server>\
         <client><clients><client uuid=\"c\"><enabled>1</enabled><tunneladdress>10.9.0.2/32,10.20.0.0/16</tunneladdress></client></clients></client>\
         </wireguard></OPNsense></opnsense>"
    );
    device("opnsense", &text)
}

const ASSIGNED: &str = "<opt1><enable>1</enable><if>wg0</if><descr>HQ</descr></opt1>";

fn to(interface: &str, place: &str) -> String {
    rule("pass", interface, "", 22).replace("<destination><any/>", &format!("<destination><network>{place}</network>"))
}

#[test]
fn an_interface_has_the_address_of_the_wireguard_device_that_is_assigned_to_it() {
    for place in ["opt1ip", "opt1", "(self)"] {
        let d = with_wireguard(ASSIGNED, "", &to("opt1", place));
        assert_eq!(verdict(&d, &to_us("opt1", "10.9.0.2", "10.9.0.1", "tcp", 22)), "accept", "{place}");
        assert_eq!(verdict(&d, &to_us("opt1", "10.9.0.2", "10.0.0.1", "tcp", 22)), if place == "(self)" { "accept" } else { "drop" });
    }
    let d = with_wireguard("", "", &to("lan", "(self)"));
    assert_eq!(verdict(&d, &to_us("lan", "10.0.0.7", "10.9.0.1", "tcp", 22)), "accept");
}

#[test]
fn what_the_peers_of_wireguard_may_send_is_routed_to_them_unless_routes_are_off() {
    let routed = |d: &Device| {
        d.routes.iter().flatten().filter(|r| r.interface.as_deref() == Some("opt1")).map(|r| r.to.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(routed(&with_wireguard(ASSIGNED, "", "")), ["10.9.0.2/32", "10.20.0.0/16"]);
    assert_eq!(routed(&with_wireguard(ASSIGNED, "<disableroutes>1</disableroutes>", "")), [""; 0]);
}

#[test]
fn the_address_of_a_tunnel_that_is_configured_elsewhere_is_not_known() {
    let d = with_wireguard("<opt1><enable>1</enable><if>gif0</if></opt1>", "", &to("opt1", "opt1ip"));
    assert_eq!(verdict(&d, &to_us("opt1", "10.9.0.2", "10.77.0.1", "tcp", 22)), "unknown");
}

#[test]
fn nothing_that_arrives_on_the_loopback_interface_is_routed() {
    for format in ["pfsense", "opnsense"] {
        let d = small(format, "", "");
        assert_eq!(verdict(&d, &through("lo0", "wan", "10.0.0.1", "203.0.113.9", "tcp", 80)), "drop", "{format}");
        assert_eq!(verdict(&d, &to_us("lo0", "127.0.0.1", "127.0.0.1", "tcp", 80)), "accept", "{format}");
    }
}

#[test]
fn a_rule_is_called_by_its_description() {
    let d = small("opnsense", "", &rule("pass", "wan", "<descr>web</descr>", 80));
    let analysis = Analysis::new(&d, &[], &Limits::default());
    let walked = walked(&d, &to_us("wan", "203.0.113.7", "192.0.2.2", "tcp", 80));
    let words: Vec<String> = walked.path.iter().map(|l| analysis.line_words(*l)).collect();
    assert_eq!(words.last().map(String::as_str), Some("rule \"web\" of filter/in"));
    let implied = self::walked(&d, &to_us("lo0", "127.0.0.1", "127.0.0.1", "tcp", 80));
    assert_eq!(analysis.line_words(implied.path[0]), "the implied rule \"loopback interface\" of filter/in");
}

#[test]
fn an_assigned_vpn_may_have_addresses_that_its_far_end_gives() {
    let read = |instance: &str, device_name: &str| {
        let text = format!(
            "<pfsense><system><ipv6allow/></system><interfaces><wan><enable>1</enable><if>em0</if><ipaddr>192.0.2.2</ipaddr><subnet>24</subnet></wan>\
             <opt1><enable>1</enable><if>{device_name}</if></opt1></interfaces><openvpn>{instance}</openvpn><filter/></pfsense>"
        );
        let device = device("pfsense", &text);
        device.interfaces.iter().flatten().find(|i| i.name == "opt1").unwrap().dynamic.clone()
    };
    use fwproof::net::Family::{V4, V6};
    let server = |net: &str| {
        format!(
            "<openvpn-server><vpnid>1</vpnid><tunnel_network>10.8.0.0/24</tunnel_network><tunnel_networkv6>{net}</tunnel_networkv6></openvpn-server>"
        )
    };
    assert_eq!(read(&server(""), "ovpns1"), [V4]);
    assert_eq!(read(&server("2001:db8:8::/64"), "ovpns1"), [V4, V6]);
    let client = "<openvpn-client><vpnid>2</vpnid></openvpn-client>";
    assert_eq!(read(client, "ovpnc2"), [V4, V6]);
    // Without the instance the file says nothing of it.
    assert_eq!(read(client, "ovpns1"), [V4, V6]);
}
