//! RouterOS: what becomes of packets, and what is read of services and tunnels.
#![allow(missing_docs)]

use fwproof::eval::walk::{Outcome, walk};
use fwproof::eval::{Analysis, trace};
use fwproof::model::{CryptoUse, Device, TunnelKind};
use fwproof::source::Limits;
use fwproof::vendors;
use serde_json::{Value, json};

const OFFICE: &str = include_str!("fixtures/routeros/office-7.rsc");
const VERBOSE: &str = include_str!("fixtures/routeros/verbose-6.rsc");

fn device(text: &str) -> Device {
    vendors::format("routeros").expect("the format").read_text("r.rsc", text).1.device
}

/// `"tcp 443 wan>lan 1.2.3.4 5.6.7.8"`, `"… wan> …"` for packets to the router; a state may follow.
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
    if let Some(state) = w.get(5) {
        p["ct"] = (*state).into();
    }
    p
}

/// An export of a router with two interfaces and these further lines.
fn router(lines: &str) -> Device {
    let start = "# 2025-03-04 08:15:00 by RouterOS 7.14.3\n/interface ethernet\nset [ find default-name=ether1 ] name=wan\n\
                 set [ find default-name=ether2 ] name=lan\n/ip address\nadd address=203.0.113.2/24 interface=wan\n\
                 add address=10.1.0.1/16 interface=lan\n";
    device(&format!("{start}{lines}"))
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

#[test]
fn connections_on_the_fast_track_pass_by_the_filter_and_new_ones_do_not() {
    let d = router(
        "/ip firewall filter\nadd action=drop chain=forward dst-address=10.1.0.9\n\
         add action=fasttrack-connection chain=forward connection-state=established,related\n\
         add action=accept chain=forward connection-state=established,related\nadd action=drop chain=forward in-interface=wan\n\
         /ip firewall raw\nadd action=drop chain=prerouting src-address=198.51.100.0/24\n\
         add action=drop chain=prerouting protocol=tcp tcp-flags=!syn,!ack,!fin,!rst\n",
    );
    all(
        &d,
        &[
            ("tcp 443 wan>lan 192.0.2.9 10.1.0.9", Drop),
            ("tcp 443 wan>lan 192.0.2.9 10.1.0.9 established", Unknown),
            ("icmp - wan>lan 192.0.2.9 10.1.0.9 established", Drop),
            ("tcp 443 wan>lan 192.0.2.9 10.1.0.8 established", Accept),
            ("tcp 443 wan>lan 192.0.2.9 10.1.0.8", Drop),
            // Of such a connection, raw lets nothing be seen.
            ("tcp 443 wan>lan 198.51.100.7 10.1.0.8 established", Drop),
            ("tcp 443 wan> 192.0.2.9 203.0.113.2 established", Accept),
        ],
    );
}

#[test]
fn what_rules_put_on_a_list_is_asked_anew_by_each() {
    let d = router(
        "/ip firewall address-list\nadd address=192.0.2.1 list=knocked\n/ip firewall filter\n\
         add action=drop chain=input src-address-list=knocked dst-port=23 protocol=tcp\n\
         add action=add-src-to-address-list address-list=knocked address-list-timeout=1m chain=input dst-port=23 protocol=tcp\n\
         add action=accept chain=input src-address-list=knocked\nadd action=drop chain=input\n",
    );
    all(
        &d,
        &[
            ("tcp 23 wan> 192.0.2.1 203.0.113.2", Drop),
            // Not on it at the first rule, and on it at the third.
            ("tcp 23 wan> 192.0.2.2 203.0.113.2", Unknown),
            ("tcp 22 wan> 192.0.2.1 203.0.113.2", Accept),
            ("tcp 22 wan> 192.0.2.2 203.0.113.2", Unknown),
        ],
    );
}

#[test]
fn lists_of_names_and_of_what_comes_and_goes_are_open() {
    let d = router(
        "/interface list\nadd name=VPN\nadd include=dynamic name=OUT\n/interface list member\nadd interface=wan list=OUT\n\
         /ppp profile\nadd interface-list=VPN name=users\n/ip firewall address-list\nadd address=updates.example.org list=sites\n\
         /ip firewall filter\nadd action=accept chain=input dst-port=22 in-interface-list=VPN protocol=tcp\n\
         add action=accept chain=input dst-port=23 in-interface-list=OUT protocol=tcp\n\
         add action=accept chain=input dst-port=24 in-interface-list=static protocol=tcp\n\
         add action=accept chain=input dst-port=25 in-interface-list=none protocol=tcp\n\
         add action=accept chain=input dst-port=26 in-interface-list=!none protocol=tcp\n\
         add action=accept chain=input dst-port=27 protocol=tcp src-address-list=sites\n\
         add action=accept chain=input dst-port=28 in-interface-list=*2000015 protocol=tcp\n\
         add action=accept chain=input dst-port=29 in-interface=*F00012 protocol=tcp\nadd action=drop chain=input\n",
    );
    all(
        &d,
        &[
            ("tcp 22 wan> 192.0.2.9 203.0.113.2", Drop),
            ("tcp 22 l2tp-ann> 192.0.2.9 203.0.113.2", Unknown),
            ("tcp 23 wan> 192.0.2.9 203.0.113.2", Accept),
            ("tcp 23 lan> 192.0.2.9 203.0.113.2", Drop),
            ("tcp 23 l2tp-ann> 192.0.2.9 203.0.113.2", Unknown),
            ("tcp 24 lan> 192.0.2.9 203.0.113.2", Accept),
            ("tcp 24 l2tp-ann> 192.0.2.9 203.0.113.2", Unknown),
            ("tcp 25 lan> 192.0.2.9 203.0.113.2", Drop),
            ("tcp 26 lan> 192.0.2.9 203.0.113.2", Accept),
            ("tcp 27 lan> 192.0.2.9 203.0.113.2", Unknown),
            ("tcp 28 lan> 192.0.2.9 203.0.113.2", Unknown),
            ("tcp 29 lan> 192.0.2.9 203.0.113.2", Unknown),
        ],
    );
}

#[test]
fn what_is_not_in_the_header_may_or_may_not_hold() {
    for matcher in [
        "limit=10,5:packet",
        "dst-limit=10,5,dst-address",
        "connection-limit=10,32",
        "random=50",
        "nth=2,1",
        "psd=21,3s,3,1",
        "layer7-protocol=web",
        "content=secret",
        "tls-host=*.example.org",
        "time=8h-17h,mon",
        "hotspot=auth",
        "in-bridge-port=ether5",
        "ipv4-options=any",
        "routing-mark=second",
        "per-connection-classifier=src-address:2/0",
        "tcp-mss=0-500",
        "src-mac-address=nonsense",
        "protocol=ipip",
        "dst-port=80",
        "something-new=1",
    ] {
        let d = router(&format!("/ip firewall filter\nadd action=drop chain=forward {matcher}\n"));
        all(&d, &[("tcp 443 wan>lan 192.0.2.9 10.1.0.9", Unknown)]);
    }
    // Two limits are two: what passes the first may not pass the second.
    let two = router("/ip firewall filter\nadd chain=forward limit=1,1:packet\nadd action=drop chain=forward limit=!1,1:packet\n");
    all(&two, &[("tcp 443 wan>lan 192.0.2.9 10.1.0.9", Unknown)]);
    let one = router(
        "/ip firewall filter\nadd chain=forward time=1h-2h\nadd action=drop chain=forward time=!1h-2h\nadd action=drop chain=forward\n",
    );
    all(&one, &[("tcp 443 wan>lan 192.0.2.9 10.1.0.9", Unknown)]);
}

#[test]
fn scripts_leave_open_what_they_may_change() {
    let policy = "/ip firewall address-list\nadd address=192.0.2.0/24 list=bad\n/ip firewall filter\nadd action=drop chain=forward src-address-list=bad\n\
                  /ip firewall raw\nadd action=drop chain=prerouting src-address=198.51.100.0/24\n\
                  /ip firewall nat\nadd action=dst-nat chain=dstnat dst-port=80 protocol=tcp to-addresses=10.1.0.80\n\
                  /ipv6 firewall filter\nadd action=drop chain=forward\n";
    let (bad, other, raw) =
        ("tcp 443 wan>lan 192.0.2.9 10.1.0.9", "tcp 443 wan>lan 203.0.113.9 10.1.0.9", "tcp 443 wan>lan 198.51.100.9 10.1.0.9");
    let six = "tcp 443 wan>lan 2001:db8::1 2001:db8::2";
    all(&router(policy), &[(bad, Drop), (other, Accept), (raw, Drop), (six, Drop)]);
    // A filter that drops whatever was translated shows whether translation is open.
    let translated = format!("{policy}/ip firewall filter\nadd action=drop chain=forward connection-nat-state=dstnat\n");
    for (script, expected) in [
        (":foreach i in=[/ip firewall filter find] do={\n /ip firewall filter disable $i\n}", [Unknown, Unknown, Drop, Drop]),
        ("/system script\nadd name=x source=\"/ip firewall raw remove [find]\"", [Drop, Unknown, Unknown, Drop]),
        ("/system scheduler\nadd name=x on-event=\"/ip/firewall/address-list add list=bad address=\\$a\"", [Unknown, Unknown, Drop, Drop]),
        ("/tool netwatch\nadd host=9.9.9.9 down-script=\"/ipv6 firewall filter disable 0\"", [Drop, Accept, Drop, Unknown]),
        (":local x 1\n:put \"done\"", [Drop, Accept, Drop, Drop]),
        ("/import file-name=more.rsc", [Unknown, Unknown, Unknown, Unknown]),
        ("/system script run more", [Unknown, Unknown, Unknown, Unknown]),
    ] {
        let d = router(&format!("{policy}/ip service\n{script}\n"));
        let packets = [bad, other, raw, six];
        all(&d, &packets.into_iter().zip(expected).collect::<Vec<_>>());
    }
    let nat = "/system script\nadd name=x source=\"/ip firewall nat enable [find]\"\n";
    all(&router(&translated), &[(other, Accept)]);
    all(&router(&format!("{translated}{nat}")), &[(other, Unknown)]);
}

#[test]
fn rules_that_the_router_makes_are_open() {
    let closed =
        "/ip firewall filter\nadd action=drop chain=forward connection-nat-state=!dstnat in-interface=wan\nadd action=drop chain=input\n";
    let forwarded = "tcp 443 wan>lan 192.0.2.9 203.0.113.2";
    all(&router(closed), &[(forwarded, Drop)]);
    let upnp = "/ip upnp\nset enabled=yes\n/ip upnp interfaces\nadd interface=wan type=external\nadd interface=lan type=internal\n";
    all(&router(&format!("{closed}{upnp}")), &[(forwarded, Unknown), ("tcp 443 wan>lan 192.0.2.9 10.1.0.7", Drop)]);
    // Without an interface outside, it maps nothing.
    all(&router(&format!("{closed}/ip upnp\nset enabled=yes\n")), &[(forwarded, Drop)]);
    let hotspot = "/ip hotspot\nadd disabled=no interface=lan name=guests\n";
    all(&router(&format!("{closed}{hotspot}")), &[("tcp 80 lan> 10.1.0.9 10.1.0.1", Unknown), ("tcp 80 wan> 192.0.2.9 203.0.113.2", Drop)]);
    let kids = "/ip kid-control\nadd mon=8h-20h name=ann\n";
    all(&router(&format!("{closed}{kids}")), &[("tcp 80 lan>wan 10.1.0.9 192.0.2.9", Unknown)]);
    let ppp = "/ip firewall filter\nadd action=jump chain=forward jump-target=ppp\nadd action=drop chain=forward\n";
    all(&router(ppp), &[("tcp 80 lan>wan 10.1.0.9 192.0.2.9", Unknown)]);
    let frames = "/interface bridge\nadd name=lan\n/interface bridge filter\nadd action=drop chain=input in-bridge=lan\nadd action=drop chain=output\n";
    all(
        &router(frames),
        &[
            ("tcp 80 lan>wan 10.1.0.9 192.0.2.9", Unknown),
            ("tcp 80 wan> 192.0.2.9 203.0.113.2", Accept),
            ("tcp 80 wan>lan 192.0.2.9 10.1.0.9", Unknown),
        ],
    );
    let switch = "/interface ethernet switch rule\nadd dst-port=80 new-dst-ports=\"\" ports=ether1 switch=switch1\n";
    all(&router(switch), &[("tcp 80 wan> 192.0.2.9 203.0.113.2", Unknown)]);
}

#[test]
fn numbers_and_selectors_choose_rules_or_leave_the_table_open() {
    let rules = "/ip firewall filter\nadd action=drop chain=forward comment=\"a b\" dst-port=80 protocol=tcp\nadd chain=forward\n";
    let web = "tcp 80 wan>lan 192.0.2.9 10.1.0.9";
    for (command, expected) in [
        ("set 0 disabled=yes", Unknown),
        ("remove 0", Unknown),
        ("disable numbers=0", Unknown),
        ("set [find comment=\"a b\"] disabled=yes", Accept),
        ("set [ find where comment=\"a b\" and chain=forward ] action=accept", Accept),
        ("set [find disabled=no chain=forward] disabled=yes", Accept),
        ("set [find action=accept] action=reject", Drop),
        ("set [find comment=other] disabled=yes", Drop),
        ("set [find log-prefix=yes] disabled=yes", Unknown),
        ("set [find comment~\"a\"] disabled=yes", Unknown),
        ("set [find comment=\"a b\" or chain=input] disabled=yes", Unknown),
        ("add action=accept chain=forward place-before=0", Unknown),
        ("add action=accept chain=forward comment=\"not closed", Unknown),
    ] {
        all(&router(&format!("{rules}{command}\n")), &[(web, expected)]);
    }
    // A part of an export does not show the rule that is meant.
    let part = device("/ip firewall filter\nadd action=drop chain=forward\nset [find comment=other] action=accept\n");
    all(&part, &[(web, Unknown)]);
}

#[test]
fn a_part_of_an_export_says_nothing_of_what_it_leaves_out() {
    let header = "# 2025-03-04 08:15:00 by RouterOS 7.14.3\n";
    let rules = "/ip firewall filter\nadd chain=input ipsec-policy=in,ipsec\nadd action=drop chain=input\n";
    let d = device(&format!("{header}{rules}"));
    assert!(!d.exhaustive && !d.management.exhaustive && d.management.services.is_empty() && d.management.log_hosts.is_none());
    all(&d, &[("tcp 22 wan> 192.0.2.9 203.0.113.2", Unknown)]);
    let whole = router(rules);
    assert!(whole.exhaustive && whole.management.exhaustive);
    all(&whole, &[("tcp 22 wan> 192.0.2.9 203.0.113.2", Drop)]);
    // Version 6 speaks IPv6 only with a package.
    assert!(!device(VERBOSE).exhaustive);
    let broken =
        device(&format!("{header}/interface bridge\nadd name=b\n/ip address\nadd address=10.0.0.1/8 interface=b\n{rules}#interrupted\n"));
    assert!(!broken.exhaustive);
    let failed = router(&format!("{rules}#error exporting /ip/firewall/filter\n"));
    all(&failed, &[("tcp 22 wan> 192.0.2.9 203.0.113.2", Unknown)]);
}

#[test]
fn one_text_may_be_written_in_several_ways() {
    let plain =
        "/ip firewall filter\nadd action=accept chain=input dst-port=22 protocol=tcp src-address=10.1.0.7\nadd action=drop chain=input\n";
    for text in [
        plain.to_owned(),
        plain.replace('\n', "\r\n"),
        "/ip/firewall/filter\nadd action=accept chain=input dst-port=\\\n    22 protocol=tcp src-address=\"10.1.\\\n    0.7\"\nadd action=drop chain=input\n".into(),
        "/ip firewall filter add action=accept chain=input dst-port=22 protocol=tcp src-address=10.1.0.7\n/ip firewall filter add action=drop chain=input\n".into(),
        "/ip firewall\nfilter add action=accept chain=input dst-port=22 protocol=6 src-address=10.1.0.7; filter add action=drop chain=input\n".into(),
        "/ip firewall {\n  filter add chain=input dst-port=22 protocol=tcp src-address=10.1.0.7/32\n  filter add action=drop chain=input\n}\n".into(),
        "/ip\nfirewall filter\nadd chain=input dst-port=22 protocol=tcp src-address=10.1.0.7 !dst-address disabled=no\n..\nfilter add chain=input action=drop\n".into(),
    ] {
        let d = router(&text);
        all(&d, &[("tcp 22 lan> 10.1.0.7 10.1.0.1", Accept), ("tcp 22 lan> 10.1.0.8 10.1.0.1", Drop), ("tcp 23 lan> 10.1.0.7 10.1.0.1", Drop)]);
    }
}

#[test]
fn forwarding_that_is_off_lets_nothing_through() {
    all(&router("/ip settings\nset ip-forward=no rp-filter=strict\n"), &[("tcp 22 wan>lan 192.0.2.9 10.1.0.9", Drop)]);
    let d = router("/ip settings\nset rp-filter=strict\n/ipv6 settings\nset forward=no\n");
    all(&d, &[("tcp 22 wan>lan 192.0.2.9 10.1.0.9", Accept), ("tcp 22 wan>lan 2001:db8::1 2001:db8::2", Drop)]);
    assert_eq!(d.setting("net.ipv4.conf.all.rp_filter"), Some("1"));
    // Without tracking, no state is known.
    let stateless =
        "/ip firewall connection tracking\nset enabled=no\n/ip firewall filter\nadd action=drop chain=forward connection-state=new\n";
    all(&router(stateless), &[("tcp 22 wan>lan 192.0.2.9 10.1.0.9", Unknown)]);
}

#[test]
fn ports_of_bridges_are_no_interfaces_of_their_own() {
    let d = router(
        "/interface bridge\nadd name=br\n/interface bridge port\nadd bridge=br interface=ether5\n/interface ethernet\nset [ find default-name=ether5 ] comment=desk\n\
                    /ip firewall filter\nadd action=drop chain=input in-interface=ether5\n",
    );
    assert!(d.interfaces.iter().flatten().all(|i| i.name != "ether5"));
    all(&d, &[("tcp 22 br> 10.1.0.7 10.1.0.1", Unknown)]);
}

#[test]
fn defaults_of_ipsec_depend_on_the_version() {
    let peer = "/interface bridge\nadd name=b\n/ip ipsec peer\nadd address=198.51.100.7/32 name=p\n/ip ipsec identity\nadd peer=p\n";
    let offers = |version: &str| -> Vec<(String, bool)> {
        let d = device(&format!("# 2025-03-04 08:15:00 by RouterOS {version}\n{peer}"));
        let ciphers = d.tunnels[0].crypto.iter().filter(|c| c.usage == CryptoUse::Cipher && c.default);
        ciphers.map(|c| (c.name.clone(), c.perhaps)).collect()
    };
    let with = |perhaps| {
        let data = ["AES-256-CBC", "AES-192-CBC", "AES-128-CBC"].map(|c| (c.to_owned(), false));
        [vec![("AES-128-CBC".to_owned(), false), ("3DES-CBC".to_owned(), perhaps)], data.to_vec()].concat()
    };
    assert_eq!(offers("6.49.10"), with(false));
    assert_eq!(offers("7.18.2"), with(false));
    assert_eq!(offers("7.20"), with(true));
    // What a peer may ask for is made of the templates of its group.
    let templates = "/ip ipsec proposal\nadd enc-algorithms=3des name=old\n/ip ipsec policy group\nadd name=clients\n/ip ipsec policy\n\
                     add group=clients proposal=old template=yes\n/ip ipsec identity\nadd generate-policy=port-strict peer=p policy-template-group=clients\n";
    let d = router(&format!("/ip ipsec peer\nadd name=p passive=yes\n{templates}"));
    let old = d.tunnels[0].crypto.iter().filter(|c| c.name == "3DES-CBC" && !c.default).count();
    assert_eq!(old, 1);
}

#[test]
fn the_mac_server_is_on_where_nothing_else_is_said() {
    let services = |text: &str| -> Vec<(String, Option<usize>)> {
        let d = router(text);
        let mac = d.management.services.iter().filter(|s| s.port.is_none());
        mac.map(|s| (s.name.clone(), s.interfaces.as_ref().map(Vec::len))).collect()
    };
    let both = |first, second| vec![("mac-telnet".to_owned(), first), ("mac-winbox".to_owned(), second)];
    assert_eq!(services(""), both(None, None));
    assert_eq!(services("/tool mac-server\nset allowed-interface-list=none\n"), [("mac-winbox".to_owned(), None)]);
    let list = "/interface list\nadd name=LAN\n/interface list member\nadd interface=lan list=LAN\n";
    assert_eq!(services(&format!("{list}/tool mac-server\nset allowed-interface-list=LAN\n")), both(Some(1), None));
    // Before 6.41 there was an item for each interface.
    let items = "/tool mac-server\nset [ find default=yes ] disabled=yes\nadd interface=lan\n/tool mac-server mac-winbox\nset [ find default=yes ] disabled=yes\n";
    assert_eq!(services(items), [("mac-telnet".to_owned(), Some(1))]);
}

#[test]
fn a_mark_that_ends_the_chain_is_no_rule_that_changes_nothing() {
    let d =
        router("/ip firewall mangle\nadd action=mark-routing chain=prerouting in-interface=lan new-routing-mark=second passthrough=no\n");
    let mangle = d.chains.iter().find(|c| c.name == "mangle/prerouting").expect("the chain");
    assert_eq!(mangle.rules.iter().map(|r| r.implied.is_some()).collect::<Vec<_>>(), [false, true]);
    // Where the matcher looks at what is changed, the two stay one.
    let d = router(
        "/ip firewall mangle\nadd action=mark-packet chain=prerouting new-packet-mark=a packet-mark=no-mark passthrough=no\n\
         add action=mark-packet chain=prerouting new-packet-mark=b\n/ip firewall filter\nadd action=drop chain=forward packet-mark=b\n",
    );
    all(&d, &[("tcp 22 wan>lan 192.0.2.9 10.1.0.9", Accept)]);
}

#[test]
fn a_gateway_may_be_an_interface_that_is_named_nowhere_else() {
    let d = router(
        "/ip route\nadd dst-address=0.0.0.0/0 gateway=lte1\nadd dst-address=10.9.0.0/16 gateway=10.1.0.9%lan@main\nadd blackhole dst-address=10.0.0.0/8\n",
    );
    assert!(d.interfaces.iter().flatten().any(|i| i.name == "lte1"));
    let routes: Vec<_> = d.routes.iter().flatten().map(|r| (r.interface.as_deref(), r.via.is_some(), r.kind.as_deref())).collect();
    assert_eq!(routes, [(Some("lte1"), false, None), (Some("lan"), true, None), (None, false, Some("blackhole"))]);
}
