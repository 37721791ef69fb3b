//! What leaves a device outside its VPN: the exact sets against each address and packet by itself, and what the command prints.
#![allow(missing_docs)]

#[allow(dead_code)]
mod cli_support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fwproof::checks::vpn::leaks::{State, Subject, beyond_the_link};
use fwproof::eval::Analysis;
use fwproof::eval::trace::read_packet;
use fwproof::eval::walk::walk;
use fwproof::model::Device;
use fwproof::net::Family;
use fwproof::source::Limits;
use fwproof::vendors;
use proptest::prelude::*;
use serde_json::json;

/// Networks that overlap in a few addresses, and a few that do not.
const NETS4: &[&str] = &[
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "192.0.2.0/24",
    "192.0.2.128/25",
    "198.51.100.7/32",
];
const NETS6: &[&str] = &["::/0", "::/1", "8000::/1", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::7/128", "fd00::/8"];
const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.1.0.1",
    "10.1.2.1",
    "10.1.2.3",
    "192.0.2.1",
    "192.0.2.200",
    "198.51.100.7",
    "198.51.100.8",
    "203.0.113.3",
    "9.9.9.9",
    "200.1.1.1",
    "127.0.0.1",
    "224.0.0.1",
    "2001:db8::1",
    "2001:db8:1::1",
    "2001:db8:1::7",
    "fd00::1",
    "2600::1",
    "fe80::1",
    "ff02::1",
];

#[derive(Clone, Debug)]
struct Case {
    allowed: Vec<&'static str>,
    routes: Vec<&'static str>,
    rules: Vec<String>,
    policy: &'static str,
}

fn nets() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select([NETS4, NETS6].concat()), 0..5)
}

fn rule() -> impl Strategy<Value = String> {
    let what = prop_oneof![
        prop::sample::select(&NETS4[2..]).prop_map(|n| format!("ip daddr {n}")),
        prop::sample::select(&NETS6[2..]).prop_map(|n| format!("ip6 daddr {n}")),
        Just("udp dport 53".to_owned()),
        Just("tcp dport { 80, 443 }".to_owned()),
        Just("oifname \"wg0\"".to_owned()),
        Just("oifname \"eth0\"".to_owned()),
        Just("ct state established".to_owned()),
    ];
    (what, any::<bool>(), any::<bool>()).prop_map(|(what, accept, with)| {
        let with = if with && !what.contains("dport") { " tcp dport 22" } else { "" };
        format!("{what}{with} {}", if accept { "accept" } else { "drop" })
    })
}

fn case() -> impl Strategy<Value = Case> {
    let policy = prop::sample::select(&["accept", "drop"][..]);
    (nets(), nets(), prop::collection::vec(rule(), 0..4), policy).prop_map(|(allowed, routes, rules, policy)| Case {
        allowed,
        routes,
        rules,
        policy,
    })
}

fn part(format: &str, name: &str, text: &str) -> Device {
    vendors::format(format).unwrap().read_text(name, text).1.device
}

fn device(case: &Case) -> Device {
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mut device = part(
        "wireguard",
        "wg0.conf",
        &format!(
            "[Interface]\nPrivateKey = {key}\nAddress = 100.64.0.2/32\n[Peer]\nPublicKey = {key}\nEndpoint = 203.0.113.3:51820\nAllowedIPs = {}\n",
            case.allowed.join(", ")
        ),
    );
    let rules = case.rules.join("\n    ");
    let text = format!(
        "flush ruleset\ntable inet f {{\n  chain o {{\n    type filter hook output priority 0; policy {};\n    {rules}\n  }}\n}}\n",
        case.policy
    );
    device.absorb(part("nftables", "ruleset.nft", &text));
    for (v6, default) in [(false, "default via 192.168.1.1 dev eth0"), (true, "default via fe80::1 dev eth0")] {
        let via = if v6 { "fe80::1" } else { "192.168.1.1" };
        let more = case.routes.iter().filter(|r| r.contains(':') == v6 && !r.ends_with("/0"));
        let more: String = more.map(|r| format!("{r} via {via} dev eth0\n")).collect();
        device.absorb(part("ip-route", "ip-route.txt", &format!("{default}\n{more}")));
    }
    device
}

/// Address and length of a network.
fn network(text: &str) -> (IpAddr, u8) {
    let (address, length) = text.split_once('/').unwrap();
    (address.parse().unwrap(), length.parse().unwrap())
}

fn holds(text: &str, address: IpAddr) -> Option<u8> {
    let (net, length) = network(text);
    let bits = |a: IpAddr| match a {
        IpAddr::V4(a) => (4, u128::from(u32::from(a)) << 96),
        IpAddr::V6(a) => (6, u128::from(a)),
    };
    let ((f, n), (g, a)) = (bits(net), bits(address));
    let mask = if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) };
    (f == g && n & mask == a & mask).then_some(length)
}

/// Whether one address goes into the tunnel while it is up, by the longest prefix.
fn goes_in(case: &Case, address: IpAddr) -> bool {
    let tunnel = case.allowed.iter().filter_map(|n| holds(n, address)).max();
    let host = case.routes.iter().filter_map(|n| holds(n, address)).filter(|l| *l > 0).max();
    match (tunnel, host) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(t), Some(h)) => t > h,
    }
}

/// Whether a packet to it goes beyond the link, told address by address.
fn is_far(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !(a.is_loopback() || a.is_link_local() || a.is_multicast() || a.is_broadcast() || Ipv4Addr::octets(&a)[0] == 0),
        IpAddr::V6(a) => matches!(Ipv6Addr::segments(&a)[0], 0x2000..=0x3fff | 0xfc00..=0xfdff),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_set_that_leaves_beside_the_tunnel_is_what_each_packet_does_by_itself(case in case()) {
        let device = device(&case);
        let devices = [device];
        let analysis = Analysis::new(&devices[0], &[], &Limits::default());
        let subject = Subject { devices: &devices, analysis: &analysis };
        for state in State::ALL {
            for family in Family::BOTH {
                let Ok(leaks) = subject.leaks(family, state) else { panic!("no answer for {case:?}") };
                prop_assert!(leaks.unknown.is_empty());
                for address in ADDRESSES.iter().filter(|a| a.contains(':') == (family == Family::V6)) {
                    for (proto, port) in [("udp", 53), ("udp", 51820), ("tcp", 22), ("tcp", 443)] {
                        let source = if family == Family::V4 { "192.168.1.7" } else { "2001:db8:99::7" };
                        let packet = json!({ "hook": "output", "oif": "eth0", "src": source, "dst": address, "proto": proto, "sport": 40000, "dport": port });
                        let (way, _, p) = read_packet(&packet, &analysis.space).unwrap();
                        let passes = walk(&analysis, way, family, &p, None, None, false).verdict.name() == "accept";
                        let ip: IpAddr = address.parse().unwrap();
                        let around = state == State::Down || !goes_in(&case, ip);
                        let to_server = *address == "203.0.113.3" && (proto, port) == ("udp", 51820);
                        let expected = passes && around && is_far(ip) && !to_server;
                        let found = leaks.boxes.iter().any(|b| b.arriving.contains(&p));
                        prop_assert_eq!(found, expected, "{} while {}: {} in {:?}", address, state.name(), packet, &case);
                    }
                }
            }
        }
    }

    #[test]
    fn addresses_beyond_the_link_are_told_one_by_one(n in any::<u32>(), m in any::<u128>()) {
        prop_assert_eq!(beyond_the_link(Family::V4).contains(u128::from(n)), is_far(IpAddr::V4(n.into())));
        prop_assert_eq!(beyond_the_link(Family::V6).contains(m), is_far(IpAddr::V6(m.into())));
    }
}

const CLIENT: &str = "[Interface]\nPrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAddress = 10.99.0.2/32\nDNS = 10.10.0.53\n\
[Peer]\nPublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nEndpoint = 203.0.113.3:51820\nAllowedIPs = 10.0.0.0/8\n";

#[test]
fn the_command_lists_what_leaves_with_a_packet_and_the_line() {
    let rules = "flush ruleset\ntable inet f {\n  chain o {\n    type filter hook output priority 0; policy drop;\n    oifname { \"lo\", \"wg0\" } accept\n\
        udp dport 51820 ip daddr 203.0.113.3 accept\n    tcp dport 443 accept\n  }\n}\n";
    let routes = "default via 192.168.1.1 dev eth0\n10.7.0.0/16 via 192.168.1.254 dev eth0\n";
    let place = cli_support::Place::with(&[("anna/wg0.conf", CLIENT), ("anna/ruleset.nft", rules), ("anna/ip-route.txt", routes)]);
    let run = place.run(&["leaks", "."]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let expected = "\
anna: WireGuard wg0
  while the VPN is up
    IPv4: leaves outside the tunnel
      by rule 3 of inet f/o (anna/ruleset.nft:7:5)
        tcp/443 (https) to anywhere but 10.0.0.0-10.6.255.255,10.8.0.0-10.255.255.255
        for instance TCP from 203.0.113.7 port 40000 to 198.51.100.2 port 443 (https), leaving through eth0
    IPv6: leaves outside the tunnel
      by rule 3 of inet f/o (anna/ruleset.nft:7:5)
        tcp/443 (https) from anywhere to anywhere
        for instance TCP from 2001:db8:ff::7 port 40000 to 2001:db8::2 port 443 (https), leaving through eth0
    names: 10.10.0.53 is asked through the tunnel (anna/wg0.conf:4:7)
  while the VPN is down
";
    assert!(run.out.starts_with(expected), "{}", run.out);

    // What the baseline leaves out of the tunnel is told apart.
    place.write("staff.csv", b"name,device\nAnna,anna\n");
    let baseline = "fwproof: 1\ntitle: t\nzones: { office: { addresses: 10.0.0.0/8 } }\nestate: { workers: { roster: staff.csv, tunnelled: [office] } }\n";
    place.write("b.yaml", baseline.as_bytes());
    let run = place.run(&["leaks", ".", "-b", "b.yaml", "--json"]);
    let lines: Vec<serde_json::Value> = run.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let up: Vec<_> = lines.iter().filter(|l| l["vpn"] == "up" && l["family"] == "IPv4" && l["leaks"] == true).collect();
    assert_eq!(up.len(), 2, "{up:#?}");
    assert_eq!((&up[0]["declared"], &up[0]["to"]), (&false.into(), &"10.7.0.0/16".into()), "{up:#?}");
    assert_eq!((&up[1]["declared"], &up[1]["service"]), (&true.into(), &"tcp/443 (https)".into()), "{up:#?}");
    assert!(up[0]["packet"]["dst"].as_str().unwrap().starts_with("10.7."), "{up:#?}");
    assert_eq!(place.run(&["leaks", "staff.csv"]).code, 3);
}

#[test]
fn a_filter_that_was_not_exported_is_not_known_to_keep_anything_in() {
    let place = cli_support::Place::with(&[("anna/wg0.conf", CLIENT), ("anna/iptables.txt", "*filter\n:OUTPUT DROP [0:0]\nCOMMIT\n")]);
    let run = place.run(&["leaks", "."]);
    assert!(
        run.out.contains("    IPv4: nothing leaves outside the tunnel\n    IPv6: not known: no IPv6 rules for output were read"),
        "{}",
        run.out
    );
}
