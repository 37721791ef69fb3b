//! Two versions of a configuration: what they treat differently, against each packet by itself; refactorings that change nothing; and every
//! wrong twin of the intents in `tests/cross`.
#![allow(missing_docs, clippy::print_stderr)]

#[allow(dead_code)]
mod cli_support;

use std::path::Path;

use fwproof::eval::compare::{Pair, Turn};
use fwproof::eval::trace::read_packet;
use fwproof::eval::walk::walk;
use fwproof::eval::{Analysis, Way};
use fwproof::model::{Device, NamePattern};
use fwproof::net::Family;
use fwproof::packets::{Dim, Packet};
use fwproof::pipeline::{self, Options};
use fwproof::source::Limits;
use fwproof::vendors;
use proptest::prelude::*;
use serde_json::json;

fn device(format: &str, text: &str) -> Device {
    vendors::format(format).unwrap().read_text("file", text).1.device
}

// ---------------------------------------------------------------------------------------------------------------- against each packet

const MATCHES: &[&str] = &[
    "ip saddr 10.0.0.0/8",
    "ip saddr 10.1.0.0/16",
    "ip saddr 192.0.2.1",
    "ip daddr 10.2.0.5",
    "ip daddr { 10.2.0.5, 10.2.0.6 }",
    "tcp dport 22",
    "tcp dport 22-80",
    "udp dport 53",
    "iifname \"eth0\"",
    "iifname \"eth1\" tcp dport 443",
    "ip6 saddr 2001:db8::/32",
    "meta mark 1",
    "ct state established,related",
    "limit rate 5/second",
];

#[derive(Clone, Debug)]
struct Rules {
    main: Vec<String>,
    called: Vec<String>,
    policy: &'static str,
}

fn rule(calls: bool) -> impl Strategy<Value = String> {
    let action = prop::sample::select(&["accept", "drop", "return", "reject", "meta mark set 1", "jump called", "goto called"][..]);
    (prop::sample::select(MATCHES), action).prop_map(move |(m, a)| {
        let a = if !calls && a.ends_with("called") { "accept" } else { a };
        format!("{m} {a}")
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let policy = prop::sample::select(&["accept", "drop"][..]);
    (prop::collection::vec(rule(true), 0..7), prop::collection::vec(rule(false), 0..4), policy).prop_map(|(main, called, policy)| Rules {
        main,
        called,
        policy,
    })
}

/// A change of a few rules: taken out, put in, moved, or another policy.
fn edited() -> impl Strategy<Value = (Rules, Rules)> {
    let edit = (0usize..5, any::<prop::sample::Index>(), any::<prop::sample::Index>(), rule(true), rule(false));
    (rules(), prop::collection::vec(edit, 1..3)).prop_map(|(old, edits)| {
        let mut new = old.clone();
        for (kind, at, to, rule, inner) in edits {
            let n = new.main.len();
            match kind {
                0 if n > 0 => drop(new.main.remove(at.index(n))),
                1 => new.main.insert(at.index(n + 1), rule),
                2 if n > 1 => {
                    let moved = new.main.remove(at.index(n));
                    new.main.insert(to.index(n), moved);
                }
                3 => new.called.insert(at.index(new.called.len() + 1), inner),
                _ => new.policy = if new.policy == "accept" { "drop" } else { "accept" },
            }
        }
        (old, new)
    })
}

fn nft(rules: &Rules) -> Device {
    let list = |rules: &[String]| rules.iter().map(|r| format!("    {r}\n")).collect::<String>();
    let text = format!(
        "flush ruleset\ntable inet f {{\n  chain called {{\n{}  }}\n  chain c {{\n    type filter hook forward priority 0; policy {};\n{}  }}\n}}\n",
        list(&rules.called),
        rules.policy,
        list(&rules.main)
    );
    device("nftables", &text)
}

const PACKETS: &[(&str, &str, &str, &str, u16)] = &[
    ("eth0", "10.1.2.3", "10.2.0.5", "tcp", 22),
    ("eth0", "10.1.2.3", "10.2.0.6", "tcp", 443),
    ("eth1", "10.9.2.3", "10.2.0.5", "udp", 53),
    ("eth1", "192.0.2.1", "10.2.0.7", "tcp", 80),
    ("eth1", "198.51.100.1", "10.2.0.5", "tcp", 443),
    ("eth2", "198.51.100.1", "10.2.0.9", "udp", 7),
    ("eth0", "2001:db8::1", "2001:db8:1::1", "tcp", 22),
    ("eth1", "2001:db9::1", "2001:db8:1::1", "udp", 53),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_two_versions_treat_differently_is_what_each_packet_meets((old, new) in edited()) {
        let (a, b) = (nft(&old), nft(&new));
        let pair = Pair::new(&a, &b, &[NamePattern::exact("eth2")], &Limits::default());
        for family in Family::BOTH {
            let changes = pair.changes(Way::Forward, family).unwrap();
            for (iif, src, dst, proto, dport) in PACKETS.iter().filter(|p| p.1.contains(':') == (family == Family::V6)) {
                for ct in ["new", "established", "invalid"] {
                    let packet = json!({ "hook": "forward", "iif": iif, "oif": "eth3", "src": src, "dst": dst, "proto": proto, "sport": 40000, "dport": dport, "ct": ct });
                    // All limits hold, or none does, in both versions.
                    for holds in [false, true] {
                        let passes = |analysis: &Analysis<'_>| {
                            let (way, f, p) = read_packet(&packet, &analysis.space).unwrap();
                            let all: Vec<u32> = (0..analysis.space.condition_count() as u32).collect();
                            let known: &[u32] = if holds { &all } else { &[] };
                            (p.clone(), walk(analysis, way, f, &p, Some(known), None, false).verdict.name() == "accept")
                        };
                        let ((p, before), (_, now)) = (passes(&pair.old), passes(&pair.new));
                        let told = |turn: Turn| changes.packets.iter().any(|c| c.turn == turn && holds_in(c, &p, holds));
                        prop_assert_eq!(told(Turn::Allowed), !before && now, "{} {} in\n{:?}\n{:?}", packet, holds, &old, &new);
                        prop_assert_eq!(told(Turn::Denied), before && !now, "{} {} in\n{:?}\n{:?}", packet, holds, &old, &new);
                    }
                }
            }
            for change in changes.packets.iter().filter(|c| !c.packets.has_conditions()) {
                prop_assert!(change.witness.is_some(), "no packet shows {:?} in\n{:?}\n{:?}", change.packets, &old, &new);
            }
        }
    }
}

/// Whether a packet is in a change, where all conditions hold or none does.
fn holds_in(change: &fwproof::eval::compare::Change, packet: &Packet, holds: bool) -> bool {
    let conditions = change.packets.dims().iter().all(|(d, s)| d.as_condition().is_none() || s.contains(u128::from(holds)));
    conditions && change.packets.without_conditions().contains(packet)
}

#[test]
fn a_version_is_equal_to_itself_in_every_fixture_of_the_intents() {
    let mut compared = 0;
    for (_, path) in folders(false) {
        let device = only_device(&path);
        compared += 1;
        let pair = Pair::new(&device, &device, &[], &Limits::default());
        for (way, family) in Way::ALL.into_iter().flat_map(|w| Family::BOTH.map(|f| (w, f))) {
            let changes = pair.changes(way, family).unwrap();
            assert!(changes.packets.is_empty() && changes.lines.is_empty(), "{}", path.display());
        }
    }
    assert!(compared > 150, "{compared}");
}

// ------------------------------------------------------------------------------------------------------------------ wrong twins

fn folders(wrong: bool) -> Vec<(String, std::path::PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cross");
    let below = |path: &Path| -> Vec<std::path::PathBuf> {
        let mut all: Vec<_> = std::fs::read_dir(path).into_iter().flatten().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
        all.sort();
        all
    };
    let mut out = Vec::new();
    for intent in below(&root) {
        let from = if wrong { intent.join("wrong") } else { intent };
        for path in below(&from).into_iter().filter(|p| !p.ends_with("wrong")) {
            out.push((path.file_name().unwrap().to_string_lossy().into_owned(), path));
        }
    }
    out
}

fn only_device(path: &Path) -> Device {
    pipeline::read(&[path.to_path_buf()], &Options::default()).devices[0].clone()
}

#[test]
fn every_wrong_twin_of_an_intent_is_told_with_a_packet() {
    let (mut told, mut formats) = (0, std::collections::BTreeSet::new());
    for (format, path) in folders(true) {
        let right = path.parent().unwrap().parent().unwrap().join(&format);
        let (old, new) = (only_device(&right), only_device(&path));
        let pair = Pair::new(&old, &new, &[], &Limits::default());
        let (mut shown, mut perhaps) = (0, Vec::new());
        for (way, family) in Way::ALL.into_iter().flat_map(|w| Family::BOTH.map(|f| (w, f))) {
            let changes = pair.changes(way, family).unwrap_or_else(|e| panic!("{}: {}", path.display(), e.0));
            shown += changes.packets.iter().filter(|c| c.witness.is_some()).count();
            perhaps.extend(changes.packets);
        }
        assert!(shown > 0, "{} is not told from {}: {:?}", path.display(), right.display(), perhaps.first());
        told += 1;
        formats.insert(format);
    }
    eprintln!("{told} twins in {} formats", formats.len());
    assert!(told >= 20, "{told}");
}

// ------------------------------------------------------------------------------------------------------------------ refactorings

const HEAD: &str = "flush ruleset\ntable inet f {\n";
const FORWARD: &str = "  chain c {\n    type filter hook forward priority 0; policy drop;\n";

/// Texts of one meaning, by pairs of format and body. Bodies of nftables stand in a forward chain that drops.
/// What is done, and format and body before and after.
type Refactoring = (&'static str, (&'static str, &'static str), (&'static str, &'static str));

const EQUAL: &[Refactoring] = &[
    ("two rules become a set", ("nft", "tcp dport 22 accept\ntcp dport 80 accept"), ("nft", "tcp dport { 22, 80 } accept")),
    ("two networks become one", ("nft", "ip saddr 10.0.0.0/9 accept\nip saddr 10.128.0.0/9 accept"), ("nft", "ip saddr 10.0.0.0/8 accept")),
    (
        "rules that exclude each other change places",
        ("nft", "tcp dport 1 accept\nudp dport 1 drop"),
        ("nft", "udp dport 1 drop\ntcp dport 1 accept"),
    ),
    ("a range is split", ("nft", "tcp dport 10-20 accept"), ("nft", "tcp dport 10-14 accept\ntcp dport 15-20 accept")),
    ("a shadowed rule goes", ("nft", "ip saddr 10.0.0.0/8 accept\nip saddr 10.1.0.0/16 drop"), ("nft", "ip saddr 10.0.0.0/8 accept")),
    ("a negation is written out", ("nft4", "ip saddr != 10.0.0.0/8 drop\naccept"), ("nft4", "ip saddr 10.0.0.0/8 accept\ndrop")),
    ("a comment and a counter come", ("nft", "tcp dport 22 accept"), ("nft", "tcp dport 22 counter accept comment \"ssh\"")),
    ("a name becomes a number", ("nft", "tcp dport ssh accept"), ("nft", "tcp dport 22 accept")),
    ("a needless drop goes", ("nft", "tcp dport 22 accept\ndrop"), ("nft", "tcp dport 22 accept")),
    ("a rule of one family loses its name", ("nft", "meta nfproto ipv4 ip saddr 10.0.0.1 accept"), ("nft", "ip saddr 10.0.0.1 accept")),
    ("an interface set", ("nft", "iifname { \"a\", \"b\" } accept"), ("nft", "iifname \"b\" accept\niifname \"a\" accept")),
    ("a verdict map", ("nft", "tcp dport vmap { 22 : accept, 23 : drop }"), ("nft", "tcp dport 22 accept\ntcp dport 23 drop")),
    ("states in another order", ("nft", "ct state related,established accept"), ("nft", "ct state { established, related } accept")),
    (
        "a chain is written out",
        ("ipt", "-N x\n-A FORWARD -p tcp -j x\n-A x -p tcp --dport 22 -j ACCEPT"),
        ("ipt", "-A FORWARD -p tcp --dport 22 -j ACCEPT"),
    ),
    (
        "a return becomes a condition",
        ("ipt", "-N x\n-A FORWARD -j x\n-A x -s 10.0.0.0/8 -j RETURN\n-A x -j ACCEPT"),
        ("ipt", "-A FORWARD ! -s 10.0.0.0/8 -j ACCEPT"),
    ),
    (
        "multiport",
        ("ipt", "-A FORWARD -p tcp -m multiport --dports 22,80:90 -j ACCEPT"),
        ("ipt", "-A FORWARD -p tcp --dport 80:90 -j ACCEPT\n-A FORWARD -p tcp --dport 22 -j ACCEPT"),
    ),
    (
        "a goto",
        ("ipt", "-N x\n-A FORWARD -p udp -g x\n-A FORWARD -j ACCEPT\n-A x -p udp --dport 53 -j ACCEPT"),
        ("ipt", "-A FORWARD -p udp --dport 53 -j ACCEPT\n-A FORWARD ! -p udp -j ACCEPT"),
    ),
    (
        "a log comes",
        ("ipt", "-A FORWARD -s 10.0.0.1 -j ACCEPT"),
        ("ipt", "-A FORWARD -s 10.0.0.1 -j LOG --log-prefix x\n-A FORWARD -s 10.0.0.1 -j ACCEPT"),
    ),
    (
        "from iptables to nftables",
        ("ipt", "-A FORWARD -i eth0 -p tcp --dport 443 -j ACCEPT"),
        ("nft4", "iifname \"eth0\" tcp dport 443 accept"),
    ),
    (
        "a chain becomes a map, in the other format",
        ("ipt", "-N x\n-A FORWARD -p tcp -j x\n-A x -p tcp --dport 25 -j DROP\n-A x -s 10.0.0.0/8 -j ACCEPT"),
        ("nft4", "meta l4proto tcp tcp dport != 25 ip saddr 10.0.0.0/8 accept"),
    ),
    (
        "last match becomes first match",
        ("pf", "block all\npass out no state\npass in from 10.0.0.0/8 no state\nblock in from 10.1.0.0/16"),
        ("pf", "block in quick from 10.1.0.0/16\npass in quick from 10.0.0.0/8 no state\npass out quick no state\nblock all"),
    ),
    (
        "a list becomes rules",
        ("pf", "block all\npass out no state\npass in proto tcp to port { 22 80 } no state"),
        ("pf", "block all\npass in proto tcp to port 80 no state\npass out no state\npass in proto tcp to port 22 no state"),
    ),
];

fn written((format, body): (&str, &str)) -> Device {
    let nft = |head: &str| format!("{head}{FORWARD}{}\n  }}\n}}\n", body.lines().map(|l| format!("    {l}\n")).collect::<String>());
    match format {
        "nft" => device("nftables", &nft(HEAD)),
        "nft4" => device("nftables", &nft(&HEAD.replace("inet", "ip"))),
        "ipt" => {
            let (new, rules): (Vec<&str>, Vec<&str>) = body.lines().partition(|l| l.starts_with("-N"));
            let chains: String = new.iter().map(|l| format!(":{} - [0:0]\n", l.trim_start_matches("-N "))).collect();
            device(
                "iptables",
                &format!("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{chains}{}\nCOMMIT\n", rules.join("\n")),
            )
        }
        other => device(other, &format!("# all there is\n{body}\n")),
    }
}

#[test]
fn a_refactoring_is_proved_to_change_nothing() {
    for (what, old, new) in EQUAL {
        let (a, b) = (written(*old), written(*new));
        let pair = Pair::new(&a, &b, &[], &Limits::default());
        let families: &[Family] = if old.0 == "ipt" || new.0 == "nft4" { &[Family::V4] } else { &Family::BOTH };
        for family in families {
            let changes = pair.changes(Way::Forward, *family).unwrap();
            let first = changes.packets.first().map(|c| format!("{:?} {:?}", c.turn, c.packets));
            assert!(first.is_none(), "{what} ({}): {first:?}", family.name());
        }
    }
    assert!(EQUAL.len() >= 20);
}

#[test]
fn a_change_of_one_line_is_found_in_every_refactored_text() {
    // The same texts with one thing changed on one side.
    let edits = [("accept", "drop"), ("ACCEPT", "DROP"), ("pass", "block"), ("22", "24"), ("10.0.0.", "10.0.9.")];
    let mut found = 0;
    for (what, old, new) in EQUAL {
        let Some(edited) = edits.iter().find_map(|(a, b)| new.1.contains(a).then(|| new.1.replacen(a, b, 1))) else { continue };
        let (a, b) = (written(*old), written((new.0, &edited)));
        let pair = Pair::new(&a, &b, &[], &Limits::default());
        let told = pair.changes(Way::Forward, Family::V4).unwrap().packets.iter().any(|c| c.witness.is_some());
        assert!(told, "{what}: {edited}");
        found += 1;
    }
    assert!(found >= 20, "{found}");
}

// ------------------------------------------------------------------------------------------------------------------ the command

const OLD: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i eth1 -p tcp --dport 22 -j ACCEPT\n-A INPUT -s 10.0.0.9 -j ACCEPT\nCOMMIT\n";

#[test]
fn the_command_names_the_packet_and_the_line_and_ends_with_1() {
    let new = OLD.replace("-i eth1 ", "").replace("-A INPUT -s 10.0.0.9 -j ACCEPT\n", "");
    let place = cli_support::Place::with(&[("old/fw/iptables.txt", OLD), ("new/fw/iptables.txt", &new)]);
    let run = place.run(&["diff", "old", "new"]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    let expected = "\
fw
  newly allowed: IPv4 input
    tcp/22 (ssh) from anywhere but 10.0.0.9, arriving on any interface but eth1
      for instance TCP from 203.0.113.7 port 40000 to 198.51.100.2 port 22 (ssh), arriving on other0
      before: policy of filter/INPUT (old/fw/iptables.txt:2:1)
      now: rule 1 of filter/INPUT (new/fw/iptables.txt:5:1)
      + new/fw/iptables.txt:5:1  -A INPUT -p tcp --dport 22 -j ACCEPT
";
    assert!(run.out.starts_with(expected), "{}", run.out);
    assert!(run.out.contains("  newly denied: IPv4 input\n"), "{}", run.out);
    assert!(
        run.out.ends_with("fwproof: 1 device, 1 newly allowed, 1 newly denied, 0 translated otherwise, 0 other differences: DIFFERENT\n"),
        "{}",
        run.out
    );
    let equal = place.run(&["diff", "old", "old"]);
    assert_eq!((equal.code, equal.out.lines().next()), (0, Some("fw: equal: no packet is treated differently")), "{}", equal.out);
    let json = place.run(&["diff", "old", "new", "--json"]);
    let first: serde_json::Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["change"], &first["packet"]["dport"], &first["now"]["at"]),
        (&"allowed".into(), &22.into(), &"new/fw/iptables.txt:5:1".into())
    );
    // Interfaces of other names, and bad arguments.
    let place = cli_support::Place::with(&[("old/fw/iptables.txt", OLD), ("new/fw/iptables.txt", &OLD.replace("eth1", "lan"))]);
    assert_eq!(place.run(&["diff", "old", "new"]).code, 1);
    assert_eq!(place.run(&["diff", "old", "new", "--map", "eth1=lan"]).code, 0);
    assert_eq!(place.run(&["diff", "old", "new", "--map", "eth1"]).code, 2);
    assert_eq!(place.run(&["diff", "old"]).code, 2);
}

#[test]
fn what_else_differs_is_said_without_secrets() {
    let wg = |key: &str, allowed: &str| {
        format!("[Interface]\nPrivateKey = {key}\nAddress = 10.9.0.1/24\n[Peer]\nPublicKey = {key}\nAllowedIPs = {allowed}\n")
    };
    let (a, b) = ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=");
    let place = cli_support::Place::with(&[("old/gw/wg0.conf", &wg(a, "10.9.0.2/32")), ("new/gw/wg0.conf", &wg(b, "10.9.0.0/28"))]);
    let run = place.run(&["diff", "old", "new"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("  + tunnels: WireGuard wg0: peer ") && run.out.contains(" 10.9.0.0/28 (new/gw/wg0.conf:4:"), "{}", run.out);
    assert!(run.out.starts_with("gw: has no packet filter\n"), "{}", run.out);
}

#[test]
fn revisions_of_a_repository_are_compared_through_git() {
    let place = cli_support::Place::with(&[("fw/iptables.txt", OLD)]);
    let git = |args: &[&str]| {
        std::process::Command::new("git")
            .current_dir(place.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
            .args(args)
            .output()
    };
    if git(&["init", "-q"]).is_err() {
        eprintln!("skipped: git is not installed");
        return;
    }
    for args in [&["add", "."][..], &["commit", "-qm", "one"]] {
        assert!(git(args).unwrap().status.success());
    }
    place.write("fw/iptables.txt", OLD.replace("10.0.0.9", "10.0.0.0/8").as_bytes());
    assert!(git(&["commit", "-qam", "two"]).unwrap().status.success());
    let run = place.run(&["diff", ".", "--git", "HEAD~1..HEAD"]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(run.out.contains("      + HEAD:fw/iptables.txt:6:1  -A INPUT -s 10.0.0.0/8 -j ACCEPT\n"), "{}", run.out);
    assert_eq!(place.run(&["diff", "fw", "--git", "HEAD..HEAD"]).code, 0);
    assert_eq!(place.run(&["diff", ".", "--git", "nowhere..HEAD"]).code, 2);
    assert_eq!(place.run(&["diff", "../x", "--git", "HEAD..HEAD"]).code, 2);
}

#[test]
fn conditions_of_one_text_are_the_same_in_both_versions() {
    let (a, b) =
        (written(("nft", "meta cgroup 7 accept\ntcp dport 1 accept")), written(("nft", "tcp dport 1 accept\nmeta cgroup 7 accept")));
    let pair = Pair::new(&a, &b, &[], &Limits::default());
    let changes = pair.changes(Way::Forward, Family::V4).unwrap();
    assert!(changes.packets.is_empty(), "{:?}", changes.packets.first());
    let c = written(("nft", "tcp dport 1 accept"));
    let pair = Pair::new(&a, &c, &[], &Limits::default());
    let changes = pair.changes(Way::Forward, Family::V4).unwrap();
    assert!(!changes.packets.is_empty() && changes.packets.iter().all(|c| !c.certain));
    let asked = |c: &fwproof::eval::compare::Change| c.packets.dims().iter().any(|(d, _): &(Dim, _)| d.as_condition().is_some());
    assert!(changes.packets.iter().all(asked));
}
