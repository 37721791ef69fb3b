//! The probe finds what a laboratory of network namespaces was built to be, agrees with nmap about it, and finds drift where there is some.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::print_stderr)]

mod probe_support;

use std::time::{Duration, Instant};

use probe_support::host::{Answers, Host, v4};
use probe_support::results::{States, differences, states};
use probe_support::{Lab, host, on_path, skipped};

#[test]
#[ignore = "is started by the other tests"]
fn the_inside_of_a_host() {
    host::main();
}

/// A place to ask from, `here`, and hosts around it: `10.99.0.N` and `fd99::N`.
fn around(hosts: &[(&str, u8)]) -> Lab {
    let mut lab = Lab::new();
    lab.add("here");
    lab.ip("here", "link add br0 type bridge");
    lab.ip("here", "link set br0 up");
    lab.ip("here", "addr add 10.99.0.1/24 dev br0");
    lab.ip("here", "addr add fd99::1/64 dev br0 nodad");
    for (name, n) in hosts {
        lab.add(name);
        lab.wire((name, "eth0"), ("here", &format!("v{n}")));
        lab.ip("here", &format!("link set v{n} master br0"));
        lab.ip(name, &format!("addr add 10.99.0.{n}/24 dev eth0"));
        lab.ip(name, &format!("addr add fd99::{n}/64 dev eth0 nodad"));
    }
    lab
}

const OPEN: [u16; 8] = [22, 80, 143, 250, 443, 650, 777, 1000];

/// What the firewall of rejections does with a TCP port, where something listens or not.
fn rejected(port: u16) -> &'static str {
    match port {
        1..=100 | 601..=1000 if OPEN.contains(&port) && port != 650 => "open",
        1..=200 => "closed",
        201..=700 => "filtered",
        _ => "closed",
    }
}

const REJECTS: &str = "table inet f { chain i {
  type filter hook input priority 0
  icmpv6 type { 133, 134, 135, 136 } accept
  tcp dport 101-200 reject with tcp reset
  tcp dport 201-250 reject with icmpx port-unreachable
  tcp dport 251-300 reject
  tcp dport 301-400 reject with icmpx admin-prohibited
  tcp dport 401-500 reject with icmpx host-unreachable
  tcp dport 501-600 reject with icmpx no-route
  tcp dport 601-700 drop
  udp dport 1-10 drop
  udp dport 11-12 reject with icmpx admin-prohibited
}
}";

fn silent() -> String {
    let list: Vec<String> = OPEN.iter().map(u16::to_string).collect();
    format!(
        "table inet f {{ chain i {{
  type filter hook input priority 0; policy drop
  icmpv6 type {{ 133, 134, 135, 136 }} accept
  tcp dport {{ {} }} accept
  udp dport 53 accept
}}
}}",
        list.join(", ")
    )
}

fn expected(hosts: &[String], of: impl Fn(&str, u16) -> &'static str) -> States {
    let keys = hosts.iter().flat_map(|h| (1..=1000).map(move |p| (h.clone(), p)));
    keys.map(|(h, p)| ((h.clone(), "tcp".to_owned(), p), of(&h, p).to_owned())).collect()
}

#[test]
fn every_tcp_port_is_as_the_laboratory_was_built_and_nmap_agrees() {
    if skipped(&["ip", "nft", "nmap"]) {
        return;
    }
    let mut lab = around(&[("plain", 10), ("silent", 11), ("rejects", 12), ("cookies", 13), ("tarpit", 14)]);
    for name in ["plain", "silent", "rejects", "cookies"] {
        lab.host(name, &Host { tcp: OPEN.to_vec(), ..Host::default() });
    }
    lab.nft("silent", &silent());
    lab.nft("rejects", REJECTS);
    // Every SYN is answered by a cookie, as if under attack.
    lab.set("cookies", "ipv4/tcp_syncookies", "2");
    lab.ip("tarpit", "addr flush dev eth0");
    lab.ip("tarpit", "link set eth0 address 02:00:00:00:00:14");
    lab.ip("here", "neigh replace 10.99.0.14 lladdr 02:00:00:00:00:14 nud permanent dev br0");
    lab.host("tarpit", &Host { answers: Some(Answers::Tarpit), ..Host::default() });
    let of = |host: &str, port: u16| match host.rsplit(['.', ':']).next() {
        Some("10" | "13") => {
            if OPEN.contains(&port) {
                "open"
            } else {
                "closed"
            }
        }
        Some("11") => {
            if OPEN.contains(&port) {
                "open"
            } else {
                "filtered"
            }
        }
        Some("12") => rejected(port),
        _ => "open",
    };
    for (hosts, option) in [((10..=14).map(v4).collect::<Vec<_>>(), "-n"), ((10..=13).map(|n| format!("fd99::{n}")).collect(), "-6")] {
        let wanted = expected(&hosts, of);
        let words: Vec<&str> = hosts.iter().map(String::as_str).collect();
        for (method, rate) in [("syn", "1000000"), ("syn", "20000"), ("connect", "20000")] {
            let all: Vec<&str> = ["-q", "--format", "xml", "-p", "1-1000", "--rate", rate, "--method", method, "--timeout", "300"]
                .into_iter()
                .chain(words.clone())
                .collect();
            let (code, out, err) = lab.probe("here", &all);
            assert_eq!(code, 0, "{err}");
            let mut ours = states(&out);
            if method == "connect" {
                // The system does not tell a port that ICMP calls unreachable from one that is closed.
                ours.retain(|(h, _, p), _| !(h.ends_with("12") && (201..=300).contains(p)));
            }
            let wanted: States = wanted.iter().filter(|(k, _)| ours.contains_key(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
            assert!(wanted.len() >= ours.len().saturating_sub(100) && wanted.len() > 3800, "{}", wanted.len());
            let parted = differences(&ours, &wanted);
            assert!(parted.is_empty(), "{method} at {rate}: {} of {}: {:?}", parted.len(), wanted.len(), &parted[..parted.len().min(9)]);
        }
        let all: Vec<&str> = ["nmap", "-n", "-Pn", "-sS", "-T4", "--send-ip", "--disable-arp-ping", "-p", "1-1000", "-oX", "-", option]
            .into_iter()
            .chain(words)
            .collect();
        let theirs = states(&String::from_utf8_lossy(&lab.run("here", &all).stdout));
        let parted = differences(&wanted, &theirs);
        assert!(parted.is_empty(), "nmap says otherwise: {:?}", &parted[..parted.len().min(9)]);
    }
}

#[test]
fn udp_ports_are_told_apart_though_the_host_bounds_its_icmp_errors_and_nmap_agrees_where_it_decides() {
    if skipped(&["ip", "nft", "nmap"]) {
        return;
    }
    let mut lab = around(&[("plain", 10), ("rejects", 12)]);
    for name in ["plain", "rejects"] {
        lab.host(name, &Host { udp: vec![53, 123, 161, 5000], ..Host::default() });
    }
    lab.nft("rejects", REJECTS);
    let ports = "U:1-14,53,123,161,5000";
    let (code, out, err) = lab.probe("here", &["-q", "--format", "xml", "-p", ports, "--rate", "5000", &v4(10), &v4(12)]);
    assert_eq!(code, 0, "{err}");
    let ours = states(&out);
    for ((host, _, port), state) in &ours {
        let wanted = match (host.as_str(), port) {
            (_, 53 | 123 | 161 | 5000) => "open",
            ("10.99.0.12", 1..=10) => "open|filtered",
            ("10.99.0.12", 11 | 12) => "filtered",
            _ => "closed",
        };
        assert_eq!(state, wanted, "{host} {port}");
    }
    assert_eq!(ours.len(), 36);
    let theirs = lab.run("here", &["nmap", "-n", "-Pn", "-sU", "-T4", "-p", ports, "-oX", "-", &v4(10), &v4(12)]);
    let theirs = states(&String::from_utf8_lossy(&theirs.stdout));
    let parted: Vec<String> = differences(&ours, &theirs).into_iter().filter(|d| !d.ends_with("open|filtered")).collect();
    assert!(parted.is_empty(), "{parted:?}");
}

#[test]
fn loss_on_the_way_makes_no_port_look_filtered() {
    if skipped(&["ip", "nft"]) {
        return;
    }
    if !on_path("tc") || !netem() {
        eprintln!("skipped: delay (this kernel has no netem); loss is made by nft");
    }
    let mut lab = around(&[("plain", 10)]);
    lab.host("plain", &Host { tcp: OPEN.to_vec(), ..Host::default() });
    lab.nft(
        "plain",
        "table inet loss {
  chain in { type filter hook prerouting priority -300; meta l4proto tcp numgen random mod 100 < 2 drop; }
  chain out { type filter hook postrouting priority 300; meta l4proto tcp numgen random mod 100 < 2 drop; }
}",
    );
    let (code, out, err) = lab.probe("here", &["-q", "--format", "xml", "-p", "1-10000", "--rate", "50000", &v4(10)]);
    assert_eq!(code, 0, "{err}");
    let wrong = states(&out).iter().filter(|((_, _, p), s)| *s != if OPEN.contains(p) { "open" } else { "closed" }).count();
    assert_eq!(wrong, 0);
}

fn netem() -> bool {
    let lab = around(&[]);
    lab.run("here", &["tc", "qdisc", "add", "dev", "br0", "root", "netem", "delay", "1ms"]).status.success()
}

#[test]
fn forged_and_broken_answers_open_nothing() {
    if skipped(&["ip", "nft"]) {
        return;
    }
    let mut lab = around(&[("forger", 14)]);
    lab.ip("forger", "addr flush dev eth0");
    lab.ip("forger", "link set eth0 address 02:00:00:00:00:14");
    lab.ip("here", "neigh replace 10.99.0.14 lladdr 02:00:00:00:00:14 nud permanent dev br0");
    lab.host("forger", &Host { answers: Some(Answers::Forger), ..Host::default() });
    let (code, out, err) = lab.probe("here", &["-q", "--format", "json", "-p", "1-200", "--rate", "5000", &v4(14)]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.matches("\"state\":\"filtered\",\"reason\":\"no-response\"").count(), 200, "{out}");
}

#[test]
fn who_interrupts_a_run_gets_what_is_known_by_then() {
    if skipped(&["ip", "nft"]) {
        return;
    }
    let mut lab = around(&[("silent", 11)]);
    lab.host("silent", &Host { tcp: OPEN.to_vec(), ..Host::default() });
    lab.nft("silent", &silent());
    let child = lab
        .start("here", &[env!("CARGO_BIN_EXE_fwproof"), "probe", "--i-am-authorised", "-q", "--format", "json", "-p", "1-60000", &v4(11)]);
    std::thread::sleep(Duration::from_millis(700));
    let began = Instant::now();
    lab.run("here", &["kill", "-INT", &child.id().to_string()]);
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"interrupted\":true"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
}

#[test]
fn an_unroutable_target_is_said_and_the_others_are_asked() {
    if skipped(&["ip", "nft"]) {
        return;
    }
    let mut lab = around(&[("plain", 10)]);
    lab.host("plain", &Host { tcp: OPEN.to_vec(), ..Host::default() });
    let (code, out, err) = lab.probe("here", &["-q", "-p", "80,81", "192.0.2.1", &v4(10), "no-such-name.invalid"]);
    assert_eq!(code, 3);
    assert!(err.contains("192.0.2.1: no way to it") && err.contains("no-such-name.invalid: "), "{err}");
    assert!(out.contains("80/tcp     open") && out.contains("no-route"), "{out}");
}

/// The firewall `edge-fw` of the sample network between strangers, guests, the servers and the shop.
fn edge() -> Lab {
    let mut lab = Lab::new();
    for name in ["edge", "internet", "guest", "servers", "shop"] {
        lab.add(name);
    }
    for (name, interface, inside, addresses) in [
        ("internet", "eth0", "203.0.113.2/29", &["203.0.113.6/29"][..]),
        ("guest", "eth1.50", "10.10.50.1/24", &["10.10.50.7/24"]),
        ("servers", "eth1.40", "10.20.0.1/24", &["10.20.0.10/24", "10.20.0.11/24"]),
        ("shop", "eth2", "10.30.0.1/24", &["10.30.0.10/24"]),
    ] {
        lab.wire((name, "eth0"), ("edge", interface));
        lab.ip("edge", &format!("addr add {inside} dev {interface}"));
        for address in addresses {
            lab.ip(name, &format!("addr add {address} dev eth0"));
        }
        lab.ip(name, &format!("route add default via {}", inside.split('/').next().unwrap()));
    }
    lab.set("edge", "ipv4/ip_forward", "1");
    lab.nft("edge", include_str!("../samples/acme/edge-fw/ruleset.nft"));
    lab.host("servers", &Host { tcp: vec![22, 443, 3306, 5432, 8080], udp: vec![53, 161], ..Host::default() });
    lab.host("shop", &Host { tcp: vec![22, 443], ..Host::default() });
    lab.host("edge", &Host { tcp: vec![22, 443], udp: vec![53, 67, 123], ..Host::default() });
    lab
}

/// Plans from the sample and asks; the exit code and the report.
fn planned(lab: &Lab, from: &str, zone: &str, targets: &[&str]) -> (i32, serde_json::Value) {
    let root = env!("CARGO_MANIFEST_DIR");
    let (config, baseline) = (format!("{root}/samples/acme/edge-fw"), format!("{root}/samples/acme/baseline.yaml"));
    let mut all = vec!["-q", "--format", "json", "--from", zone, "-b", &baseline];
    all.extend(targets);
    all.extend(["--expect", &config]);
    let (code, out, err) = lab.probe(from, &all);
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}\n{out}\n{err}")))
}

fn findings<'v>(report: &'v serde_json::Value, check: &str) -> Vec<&'v serde_json::Value> {
    let checks = report["checks"].as_array().unwrap();
    let one = checks.iter().find(|c| c["id"] == check).unwrap_or_else(|| panic!("no {check}: {report}"));
    one["findings"].as_array().unwrap().iter().collect()
}

#[test]
fn a_network_that_runs_what_it_says_has_no_drift_and_one_changed_rule_is_found() {
    if skipped(&["ip", "nft"]) {
        return;
    }
    let lab = edge();
    let runs =
        [("guest", "guests", &["10.20.0.10", "10.20.0.11", "10.30.0.10", "10.10.50.1"][..]), ("internet", "internet", &["203.0.113.2"])];
    for (from, zone, targets) in runs {
        let began = Instant::now();
        let (code, report) = planned(&lab, from, zone, targets);
        eprintln!("{zone}: {:?} for {} hosts", began.elapsed(), targets.len());
        for check in ["drift", "drift-not-filtered"] {
            assert!(findings(&report, check).is_empty(), "{zone}: {check}: {:#?}", findings(&report, check));
        }
        assert_eq!(code, 0, "{zone}");
        assert_eq!(report["hosts"].as_array().unwrap().len(), targets.len());
    }
    // A port that the configuration lets through and the host serves is open, so the silence of the others means something.
    let (_, report) = planned(&lab, "guest", "guests", &["10.20.0.11"]);
    let open: Vec<u64> = report["hosts"][0]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["state"] == "open")
        .filter_map(|p| p["port"].as_u64())
        .collect();
    assert_eq!(open, [5432]);

    // Somebody opens the other database to the guests, in the kernel alone.
    let rule = [
        "nft",
        "insert",
        "rule",
        "ip",
        "filter",
        "forward",
        "iifname",
        "eth1.50",
        "ip",
        "daddr",
        "10.20.0.11",
        "tcp",
        "dport",
        "3306",
        "accept",
    ];
    assert!(lab.run("edge", &rule).status.success());
    let (code, report) = planned(&lab, "guest", "guests", &["10.20.0.10", "10.20.0.11"]);
    assert_eq!(code, 1);
    let found = findings(&report, "drift");
    assert_eq!(found.len(), 1, "{found:#?}");
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.contains("tcp/3306") && message.contains("10.20.0.11") && message.contains("policy of"), "{message}");
    assert!(findings(&report, "drift-not-filtered").is_empty());
}
