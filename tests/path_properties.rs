//! The whole way over several devices: the composed packet sets against each packet walked from device to device.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fwproof::checks::World;
use fwproof::checks::path::{Paths, from_zone, paths, replay};
use fwproof::eval::Way;
use fwproof::eval::walk::walk;
use fwproof::net::{Family, parse_cidr};
use fwproof::packets::{Field, Packet, plausible};
use fwproof::pipeline::{self, Options};
use fwproof::rulesets;
use fwproof::source::Limits;
use proptest::prelude::*;

/// Who may be talked to, and by whom.
const SOURCES: &[&str] = &["10.0.0.5", "10.0.0.9"];
const HOSTS: &[&str] = &["10.9.0.5", "10.9.0.9"];
const PORTS: &[u16] = &[22, 80, 443];

/// A device of a row of them; the first one serves 10.0.0.0/24, the last one 10.9.0.0/24, and 10.I.0.0/30 is between device I-1 and I.
#[derive(Clone, Debug)]
struct Node {
    rules: Vec<String>,
    policy: &'static str,
    nat: Vec<String>,
    /// Further routes: prefix, and whether it leads onwards, backwards or nowhere.
    routes: Vec<(&'static str, u8)>,
}

#[derive(Clone, Debug)]
struct Case {
    nodes: Vec<Node>,
    /// The last two devices are joined by WireGuard, and what that allows of sources.
    tunnel: Option<&'static str>,
    /// One of the hosts is a device of its own.
    server: Option<Node>,
}

fn rule() -> impl Strategy<Value = String> {
    let what = prop_oneof![
        Just("ip daddr 10.9.0.5".to_owned()),
        Just("ip daddr 10.9.0.0/24".to_owned()),
        Just("ip saddr 10.0.0.5".to_owned()),
        Just("ip saddr 10.0.0.0/24".to_owned()),
        Just("ip saddr 10.1.0.1".to_owned()),
        Just("ip saddr 10.2.0.1".to_owned()),
        Just("tcp dport 80".to_owned()),
        Just("tcp dport { 22, 443 }".to_owned()),
        Just("iifname \"eth0\" oifname \"eth1\"".to_owned()),
        Just("ip ttl > 63".to_owned()),
        Just("meta l4proto tcp".to_owned()),
    ];
    (what, any::<bool>()).prop_map(|(what, accept)| format!("{what} {}", if accept { "accept" } else { "drop" }))
}

fn nat() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("post ip saddr 10.0.0.0/24 snat to 10.1.0.1".to_owned()),
        Just("post oifname \"eth1\" masquerade".to_owned()),
        Just("pre ip daddr 10.9.0.9 tcp dport 80 dnat to 10.9.0.5:443".to_owned()),
        Just("pre ip daddr 192.0.2.1 dnat to 10.9.0.9".to_owned()),
        Just("pre ip daddr 10.9.0.0/24 tcp dport 22 dnat to 192.0.2.7".to_owned()),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let routes =
        prop::collection::vec((prop::sample::select(vec!["10.9.0.9/32", "10.9.0.0/25", "192.0.2.1/32", "0.0.0.0/0"]), 0u8..3), 0..2);
    let policy = prop::sample::select(vec!["accept", "drop"]);
    (prop::collection::vec(rule(), 0..5), policy, prop::collection::vec(nat(), 0..2), routes)
        .prop_map(|(rules, policy, nat, routes)| Node { rules, policy, nat, routes })
}

fn case() -> impl Strategy<Value = Case> {
    let tunnel = prop::option::of(prop::sample::select(vec!["10.0.0.0/24, 10.1.0.1/32", "10.0.0.5/32", "0.0.0.0/0"]));
    (prop::collection::vec(node(), 2..5), tunnel, prop::option::of(node())).prop_map(|(nodes, tunnel, server)| Case {
        nodes,
        tunnel,
        server,
    })
}

/// First and last address, length, interface, next hop; no interface: dropped.
type Row = (u128, u128, u8, Option<String>, Option<u128>);

/// A device as the test itself knows it.
struct Known {
    name: String,
    addresses: Vec<(String, u128, u8)>,
    routes: Vec<Row>,
}

fn number(text: &str) -> u128 {
    parse_cidr(text).map(|c| c.1).expect("an address")
}

impl Case {
    fn link(&self, i: usize) -> &'static str {
        if self.tunnel.is_some() && i + 1 == self.nodes.len() && self.nodes.len() > 1 { "wg0" } else { "eth" }
    }

    /// Name and address of the interfaces of a device towards the start and towards the end.
    fn interfaces(&self, i: usize) -> [(String, String, u8); 2] {
        let last = self.nodes.len() - 1;
        let name = |link: &str, side: &str| if link == "wg0" { "wg0".to_owned() } else { side.to_owned() };
        let before = if i == 0 { ("eth0".into(), "10.0.0.1".into(), 24) } else { (name(self.link(i), "eth0"), format!("10.{i}.0.2"), 30) };
        let after = if i == last {
            ("eth1".into(), "10.9.0.1".into(), 24)
        } else {
            (name(self.link(i + 1), "eth1"), format!("10.{}.0.1", i + 1), 30)
        };
        [before, after]
    }

    fn known(&self) -> Vec<Known> {
        let last = self.nodes.len() - 1;
        let mut out = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let sides = self.interfaces(i);
            let mut routes = Vec::new();
            for (name, address, length) in &sides {
                let (_, lo, hi) = parse_cidr(&format!("{address}/{length}")).expect("a prefix");
                routes.push((lo, hi, *length, Some(name.clone()), None));
            }
            let onwards = (i < last).then(|| (sides[1].0.clone(), format!("10.{}.0.2", i + 1)));
            let back = (i > 0).then(|| (sides[0].0.clone(), format!("10.{i}.0.1")));
            let mut all: Vec<(&str, u8)> = Vec::new();
            if i < last {
                all.push(("10.9.0.0/24", 0));
            }
            for (net, way) in &node.routes {
                if !all.iter().any(|(n, _)| n == net) {
                    all.push((net, *way));
                }
            }
            for (net, way) in all {
                let (_, lo, hi) = parse_cidr(net).expect("a prefix");
                let length: u8 = net.split('/').nth(1).and_then(|l| l.parse().ok()).expect("a length");
                let to = match way {
                    0 => onwards.clone(),
                    1 => back.clone(),
                    _ => None,
                };
                match to {
                    Some((name, via)) if name == "wg0" => {
                        let _ = via;
                        routes.push((lo, hi, length, Some(name), None));
                    }
                    Some((name, via)) => routes.push((lo, hi, length, Some(name), Some(number(&via)))),
                    None if way == 2 => routes.push((lo, hi, length, None, None)),
                    None => {}
                }
            }
            let addresses = sides.iter().map(|(n, a, l)| (n.clone(), number(a), *l)).collect();
            out.push(Known { name: format!("d{i}"), addresses, routes });
        }
        if self.server.is_some() {
            let (_, lo, hi) = parse_cidr("10.9.0.0/24").expect("a prefix");
            out.push(Known {
                name: "server".into(),
                addresses: vec![("eth0".into(), number("10.9.0.5"), 24)],
                routes: vec![(lo, hi, 24, Some("eth0".into()), None)],
            });
        }
        out
    }

    fn write(&self, root: &Path) {
        let known = self.known();
        let nodes: Vec<&Node> = self.nodes.iter().chain(&self.server).collect();
        for (node, known) in nodes.into_iter().zip(&known) {
            let at = root.join(&known.name);
            std::fs::create_dir_all(&at).expect("a folder");
            let hook = if known.name == "server" { "input" } else { "forward" };
            let mut nft =
                format!("table inet filter {{\n\tchain {hook} {{\n\t\ttype filter hook {hook} priority filter; policy {};\n", node.policy);
            for rule in node.rules.iter().filter(|r| hook == "forward" || !r.contains("oifname")) {
                let _ = writeln!(nft, "\t\t{rule}");
            }
            nft.push_str("\t}\n}\n");
            if hook == "forward" && !node.nat.is_empty() {
                nft.push_str("table ip nat {\n");
                for (chain, hook, priority) in [("pre", "prerouting", "dstnat"), ("post", "postrouting", "srcnat")] {
                    let _ = writeln!(nft, "\tchain {chain} {{\n\t\ttype nat hook {hook} priority {priority}; policy accept;");
                    for rule in node.nat.iter().filter_map(|r| r.strip_prefix(&format!("{chain} "))) {
                        let _ = writeln!(nft, "\t\t{rule}");
                    }
                    nft.push_str("\t}\n");
                }
                nft.push_str("}\n");
            }
            std::fs::write(at.join("ruleset.nft"), nft).expect("written");
            let mut addr = String::new();
            for (i, (name, address, length)) in known.addresses.iter().enumerate() {
                let address = fwproof::net::to_ip(Family::V4, *address);
                let _ =
                    writeln!(addr, "{}: {name}: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000", i + 2);
                let _ = writeln!(addr, "    inet {address}/{length} scope global {name}\n       valid_lft forever preferred_lft forever");
            }
            std::fs::write(at.join("ip-addr.txt"), addr).expect("written");
            let mut route = String::new();
            for (lo, _, length, interface, via) in &known.routes {
                let net = fwproof::net::to_ip(Family::V4, *lo);
                let via = via.map_or_else(String::new, |v| format!(" via {}", fwproof::net::to_ip(Family::V4, v)));
                let _ = match interface {
                    Some(name) => writeln!(route, "{net}/{length}{via} dev {name}"),
                    None => writeln!(route, "blackhole {net}/{length}"),
                };
            }
            std::fs::write(at.join("ip-route.txt"), route).expect("written");
            std::fs::write(at.join("sysctl.txt"), "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n").expect("written");
        }
        if let (Some(sources), true) = (self.tunnel, self.nodes.len() > 1) {
            let last = self.nodes.len() - 1;
            let keys = [
                ("GHt0ypYWc6N82FZJW55s82jKK5uBHRNOBTjJg/C/6Xk=", "LWzlFv4DAx9069gEPkGA0ohkPW6eyFyhFJOSsg6exms="),
                ("QFZsjg8UrZF/jBliKIRHX7bzuRM97Aj6eFqkvBf3Nmc=", "GBoqElAzVHiQJ44oUHGohB0SmEY26j54A2vBsfREsmg="),
            ];
            for (i, (private, public), allowed) in [(last - 1, keys[0], "0.0.0.0/0"), (last, keys[1], sources)] {
                let text = format!(
                    "[Interface]\nPrivateKey = {private}\nListenPort = 51820\n\n[Peer]\nPublicKey = {public}\nAllowedIPs = {allowed}\n"
                );
                std::fs::write(root.join(format!("d{i}/wg0.conf")), text).expect("written");
            }
        }
        let zones = "zones:\n  here: { addresses: 10.0.0.0/24 }\n  there: { addresses: 10.9.0.0/24 }\n";
        std::fs::write(root.join("baseline.yaml"), format!("fwproof: 1\ntitle: t\n{zones}")).expect("written");
    }
}

/// The packet from device to device, each asked by itself; `None`: nobody knows.
fn delivered(
    case: &Case,
    world: &World<'_>,
    known: &[Known],
    at: usize,
    iif: &str,
    packet: &Packet,
    trail: &mut Vec<usize>,
) -> Option<bool> {
    if trail.contains(&at) {
        return Some(false);
    }
    let analysis = world.analysis(&known[at].name).expect("a device");
    let own = |n: u128| known[at].addresses.iter().any(|a| a.1 == n);
    let mut here = packet.clone();
    here.set(Field::Iif, analysis.space.interface_number(iif));
    here.set(Field::Oif, 0);
    here.set(Field::Ct, 0);
    here.set(Field::CtNat, 0);
    let input = walk(analysis, Way::Input, Family::V4, &here, Some(&[]), None, false);
    if own(input.became.field(Field::Dst)) {
        let zone = parse_cidr("10.9.0.0/24").expect("a prefix");
        let dst = input.became.field(Field::Dst);
        return Some(input.verdict.passes() && zone.1 <= dst && dst <= zone.2);
    }
    for (name, ..) in &known[at].addresses {
        here.set(Field::Oif, analysis.space.interface_number(name));
        let walked = walk(analysis, Way::Forward, Family::V4, &here, Some(&[]), None, false);
        let dst = walked.became.field(Field::Dst);
        let route = known[at].routes.iter().filter(|r| r.0 <= dst && dst <= r.1).max_by_key(|r| r.2);
        let (.., interface, via) = route?;
        let Some(interface) = interface else { return Some(false) };
        if interface != name {
            continue;
        }
        if !walked.verdict.passes() {
            return Some(false);
        }
        let mut next = walked.became.clone();
        next.set(Field::Ttl, next.field(Field::Ttl) - 1);
        if name == "wg0" {
            let last = case.nodes.len() - 1;
            let other = if at == last { last - 1 } else { last };
            let src = next.field(Field::Src);
            let inside = |list: &str, n: u128| list.split(", ").filter_map(parse_cidr).any(|(_, lo, hi)| lo <= n && n <= hi);
            let sources = case.tunnel.expect("a tunnel");
            if (other == last && !inside(sources, src)) || (other != last && !inside(sources, dst)) {
                return Some(false);
            }
            trail.push(at);
            let out = delivered(case, world, known, other, "wg0", &next, trail);
            trail.pop();
            return out;
        }
        let hop = via.unwrap_or(dst);
        let owner = known.iter().position(|k| k.addresses.iter().any(|a| a.1 == hop));
        let Some(other) = owner else {
            let zone = parse_cidr("10.9.0.0/24").expect("a prefix");
            return if via.is_none() { Some(zone.1 <= dst && dst <= zone.2) } else { None };
        };
        let iif = known[other].addresses.iter().find(|a| a.1 == hop).expect("an interface").0.clone();
        trail.push(at);
        let out = delivered(case, world, known, other, &iif, &next, trail);
        trail.pop();
        return out;
    }
    None
}

fn holds(found: &Paths, packet: &Packet, number: u128) -> bool {
    let mut arriving = packet.clone();
    arriving.set(Field::Iif, number);
    found.found.iter().any(|f| {
        let first = &f.passed[0].arriving;
        let mut one = arriving.clone();
        // Through which interface it leaves is the device's own matter.
        if let Some(oif) = first.field(Field::Oif).and_then(fwproof::net::Ranges::min) {
            one.set(Field::Oif, oif);
        }
        first.contains(&one)
    })
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let root = tempfile::tempdir().expect("a folder");
    case.write(root.path());
    let baseline = root.path().join("baseline.yaml");
    let options = Options { beside: vec![baseline.clone()], ..Options::default() };
    let mut inventory = pipeline::read(&[PathBuf::from(root.path())], &options);
    let loaded =
        rulesets::load(&mut inventory.sources, &baseline, &Limits::default()).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
    let redactor = inventory.redactor();
    let world = loaded.world(&inventory.devices, &inventory.sources, &redactor, "2026-01-01".parse().expect("a day"), BTreeMap::new());
    let known = case.known();
    let there = world.zone("there").expect("a zone");
    let starts = from_zone(&world, world.zone("here").expect("a zone"));
    let found = paths(&world, &starts, there, &[], Family::V4);
    prop_assert!(found.limits.is_empty(), "{:?}", found.limits);
    let analysis = world.analysis("d0").expect("the first device");
    let iif = analysis.space.interface_number("eth0");
    for f in &found.found {
        if let Err(limit) = replay(&world, f, Family::V4) {
            return Err(TestCaseError::fail(format!("{limit}")));
        }
    }
    let base = plausible(&fwproof::packets::header_space(Family::V4)[0], Family::V4);
    let targets: Vec<&str> = HOSTS.iter().chain(&["192.0.2.1", "10.9.0.1", "10.1.0.2"]).copied().collect();
    for (src, dst) in SOURCES.iter().flat_map(|s| targets.iter().map(move |d| (*s, *d))) {
        for (port, ttl) in PORTS.iter().flat_map(|p| [64u128, 65, 200].map(|t| (*p, t))) {
            let mut packet = base.clone();
            packet.set(Field::Src, number(src));
            packet.set(Field::Dst, number(dst));
            packet.set(Field::Dport, u128::from(port));
            packet.set(Field::Ttl, ttl);
            let inside = holds(&found, &packet, iif);
            let text = format!("{src} to {dst} port {port} ttl {ttl}");
            match delivered(case, &world, &known, 0, "eth0", &packet, &mut Vec::new()) {
                Some(yes) => prop_assert_eq!(yes, inside, "{}", text),
                None => prop_assert!(!inside, "{} gets there, and nobody knows how", text),
            }
            let translated = case.nodes.iter().any(|n| n.nat.iter().any(|r| r.contains("dnat")));
            if dst.starts_with("10.9.") && !inside && !translated {
                let told = found.stopped.iter().map(|s| &s.packets).chain(found.unclear.iter().filter_map(|u| u.packets.as_ref()));
                let plain = |c: &&fwproof::packets::Cube| {
                    let fields = [Field::Src, Field::Dst, Field::Dport, Field::Ttl];
                    fields.iter().all(|f| c.field(*f).is_none_or(|s| s.contains(packet.field(*f))))
                };
                let round = delivered(case, &world, &known, 0, "eth0", &packet, &mut Vec::new()) == Some(false);
                let told = told.into_iter().filter(plain).count() > 0;
                prop_assert!(told || (round && loops(case)), "nothing is said of {}", text);
            }
        }
    }
    Ok(())
}

/// Whether some route leads back, so that packets may go round.
fn loops(case: &Case) -> bool {
    case.nodes.iter().any(|n| n.routes.iter().any(|r| r.1 == 1))
}

#[test]
fn the_composed_set_is_what_every_packet_does_by_itself() {
    let cases = std::env::var("FWPROOF_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    runner.run(&case(), |case| check(&case)).unwrap_or_else(|e| panic!("{e}"));
}
