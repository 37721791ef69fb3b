//! FortiOS: what becomes of packets, on fixtures and on real files where they are at hand (`FWPROOF_CORPUS`, else `../shared/corpus`).
#![allow(missing_docs, clippy::print_stderr, reason = "a test that is skipped must say so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::eval::walk::{Outcome, walk};
use fwproof::eval::{Analysis, trace};
use fwproof::model::Device;
use fwproof::source::{FileId, Limits, SourceFile};
use fwproof::vendors;
use serde_json::{Value, json};

const OFFICE: &str = include_str!("fixtures/fortios/office-7.2.conf");
const OLD: &str = include_str!("fixtures/fortios/old-6.0.conf");
const DOMAINS: &str = include_str!("fixtures/fortios/domains-7.0.conf");

fn device(text: &str) -> Device {
    vendors::format("fortios").expect("the format").read_text("fgt.conf", text).1.device
}

/// `"tcp 443 wan1>dmz 1.2.3.4 5.6.7.8"`, `"… wan1> …"` for packets to the firewall.
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
    p
}

fn fate(device: &Device, text: &str) -> Outcome {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let (way, family, p) = trace::read_packet(&packet(text), &analysis.space).expect("a packet");
    walk(&analysis, way, family, &p, None, None, false).verdict
}

fn all(device: &Device, expected: &[(&str, Outcome)]) {
    for (text, outcome) in expected {
        assert_eq!(fate(device, text), *outcome, "{text}");
    }
}

use Outcome::{Accept, Drop, Unknown};

#[test]
fn policies_decide_in_the_order_of_the_file() {
    all(
        &device(OFFICE),
        &[
            ("tcp 443 internal>wan1 10.10.0.7 192.0.2.9", Accept),
            // Printers are excepted from the group.
            ("tcp 443 internal>wan1 10.10.0.210 192.0.2.9", Drop),
            ("tcp 443 internal>wan1 2001:db8:10::7 2001:db8:ff::1", Accept),
            ("tcp 443 internal>wan1 2001:db8:11::7 2001:db8:ff::1", Drop),
            ("tcp 443 guest>wan2 10.30.0.7 192.0.2.9", Drop),
            // Policy 4 is disabled.
            ("tcp 22 wan1>dmz 192.0.2.9 10.20.0.80", Drop),
            ("tcp 443 dmz>internal 10.20.0.80 10.10.0.7", Drop),
            // Groups in groups, and the tunnel's interface.
            ("tcp 445 to-branch>internal 10.50.0.9 10.10.0.7", Accept),
            ("tcp 445 to-branch>internal 10.50.0.9 10.10.0.205", Drop),
            ("tcp 445 to-branch>internal 10.51.0.9 10.10.0.7", Drop),
            // Internet services, users and schedules are not known.
            ("tcp 443 dmz>wan2 10.20.0.80 192.0.2.9", Unknown),
            ("tcp 443 dmz>wan1 10.20.0.80 192.0.2.9", Unknown),
            ("tcp 25 dmz>wan1 10.20.0.80 192.0.2.9", Drop),
        ],
    );
}

#[test]
fn negated_wildcards_services_and_source_ports() {
    let d = device(OFFICE);
    all(
        &d,
        &[
            ("tcp 8005 internal>dmz 10.10.0.7 10.20.0.80", Accept),
            // Odd addresses are what the negated wildcard names.
            ("tcp 8005 internal>dmz 10.10.0.7 10.20.0.81", Drop),
            ("udp 8000 internal>dmz 10.10.0.7 10.20.0.80", Accept),
            ("tcp 8011 internal>dmz 10.10.0.7 10.20.0.80", Drop),
            ("tcp 9000 internal>dmz 10.10.0.7 10.20.0.80", Accept),
        ],
    );
    let analysis = Analysis::new(&d, &[], &Limits::default());
    let mut low = packet("tcp 9000 internal>dmz 10.10.0.7 10.20.0.80");
    low["sport"] = 1000.into();
    let (way, family, p) = trace::read_packet(&low, &analysis.space).expect("a packet");
    assert_eq!(walk(&analysis, way, family, &p, None, None, false).verdict, Drop);
}

#[test]
fn policies_that_name_a_virtual_ip_see_what_it_translates() {
    let d = device(OFFICE);
    all(
        &d,
        &[
            ("tcp 443 wan1>dmz 192.0.2.9 198.51.100.3", Accept),
            ("tcp 80 wan1>dmz 192.0.2.9 198.51.100.3", Drop),
            ("udp 443 wan1>dmz 192.0.2.9 198.51.100.3", Drop),
            // Only on its interface.
            ("tcp 443 wan2>dmz 192.0.2.9 198.51.100.3", Drop),
            // The inside address is no way around.
            ("tcp 8443 wan1>dmz 192.0.2.9 10.20.0.80", Drop),
            // Another virtual IP, which no policy names.
            ("tcp 443 wan1>dmz 192.0.2.9 198.51.100.4", Drop),
        ],
    );
    let analysis = Analysis::new(&d, &[], &Limits::default());
    let (way, family, p) = trace::read_packet(&packet("tcp 443 wan1>dmz 192.0.2.9 198.51.100.3"), &analysis.space).expect("a packet");
    let became = walk(&analysis, way, family, &p, None, None, false).became;
    assert_eq!(became.field(fwproof::packets::Field::Dst), 0x0a14_0050);
    assert_eq!(became.field(fwproof::packets::Field::Dport), 8443);
}

/// Two virtual IPs that overlap, of which one or both are named by a policy; everything may go in otherwise.
fn overlapping(version: &str, first: &str, second: &str, named: &str) -> Device {
    let vip = |name: &str, to: &str, ports: &str| {
        format!(
            "edit {name}\nset extip 203.0.113.2\nset mappedip {to}\nset extintf port1\nset portforward enable\nset extport {ports}\nset mappedport {ports}\nnext\n"
        )
    };
    let all = vip("web", "10.1.0.80", "443");
    let other = vip("others", "10.1.0.81", "440-449");
    let of = |n: &str| if n == "web" { all.clone() } else { other.clone() };
    let policy = |id: u8, to: &str| {
        format!(
            "edit {id}\nset srcintf port1\nset dstintf port2\nset action accept\nset srcaddr all\nset dstaddr {to}\nset schedule always\nset service ALL\nnext\n"
        )
    };
    device(&format!(
        "#config-version=FGT60F-{version}-FW-build1396-230131:opmode=0:vdom=0:user=admin\nconfig system interface\nedit port1\nset ip 203.0.113.2 255.255.255.0\nset allowaccess https\nnext\nedit port2\nset ip 10.1.0.1 255.255.255.0\nnext\nend\nconfig firewall vip\n{}{}end\nconfig firewall policy\n{}end\n",
        of(first),
        of(second),
        policy(1, named)
    ))
}

#[test]
fn of_virtual_ips_that_overlap_the_first_in_the_list_takes_the_packet() {
    let (both, other) = ("tcp 443 port1>port2 192.0.2.9 203.0.113.2", "tcp 444 port1>port2 192.0.2.9 203.0.113.2");
    all(&overlapping("7.4.4", "web", "others", "web others"), &[(both, Accept), (other, Accept)]);
    // A policy that names the one that comes second gets nothing of what the first takes.
    let two = "web\nset schedule always\nset service ALL\nnext\nedit 2\nset srcintf port1\nset dstintf port2\nset srcaddr all\nset dstaddr others";
    all(&overlapping("7.4.4", "web", "others", two), &[(both, Accept), (other, Drop)]);
    all(&overlapping("7.4.4", "others", "web", two), &[(both, Drop), (other, Drop)]);
    // Before 7.2 another order decided.
    all(&overlapping("7.0.14", "others", "web", two), &[(both, Unknown), (other, Drop)]);
}

#[test]
fn a_virtual_ip_that_no_policy_names_is_not_taken_for_one_that_works() {
    // What goes to its port may be for the appliance itself.
    let own = "tcp 443 port1> 192.0.2.9 203.0.113.2";
    assert_ne!(fate(&overlapping("7.4.4", "web", "others", "all"), own), Drop);
    let off = "web\nset status disable";
    assert_ne!(fate(&overlapping("7.4.4", "web", "others", off), own), Drop);
}

#[test]
fn whether_a_denial_sees_translated_packets_depends_on_the_version() {
    // 6.0: the denial of everything is above, and does not see what the virtual IP translated.
    let web = "tcp 80 port1>port2 192.0.2.9 203.0.113.80";
    all(
        &device(OLD),
        &[(web, Accept), ("tcp 443 port1>port2 192.0.2.9 203.0.113.80", Drop), ("tcp 80 port1>port2 192.0.2.9 10.1.0.80", Drop)],
    );
    let with = |from: &str, to: &str| device(&OLD.replace(from, to));
    all(&with("6.0.9", "7.2.3"), &[(web, Drop)]);
    all(&with("6.0.9", "7.2.2"), &[(web, Accept)]);
    all(&with("        set service ALL\n", "        set service ALL\n        set match-vip enable\n"), &[(web, Drop)]);
    all(&with("#config-version=FG100E-6.0.9-FW-build0335-200120:opmode=0:vdom=0:user=admin\n", ""), &[(web, Unknown)]);
}

#[test]
fn with_central_nat_policies_see_the_inner_address() {
    let central = OLD
        .replace("config firewall policy\n", "config system settings\n    set central-nat enable\nend\nconfig firewall policy\n")
        .replace("        set dstaddr v\n", "        set dstaddr web\n")
        .replacen("        set dstaddr all\n", "        set dstaddr none\n", 1);
    all(&device(&central), &[("tcp 80 port1>port2 192.0.2.9 203.0.113.80", Accept), ("tcp 443 port1>port2 192.0.2.9 203.0.113.80", Drop)]);
}

#[test]
fn a_zone_that_lets_its_own_traffic_through_does_so_after_the_policies() {
    all(
        &device(OLD),
        &[
            ("tcp 443 port2>port3 10.1.0.80 10.2.0.9", Accept),
            ("tcp 23 port2>port3 10.1.0.80 10.2.0.9", Drop),
            ("tcp 443 port2>port1 10.1.0.80 192.0.2.9", Drop),
            ("tcp 443 port2>port1 2001:db8:1::9 2001:db8:2::9", Accept),
            ("tcp 80 port2>port1 2001:db8:1::9 2001:db8:2::9", Drop),
        ],
    );
    all(&device(&OLD.replace("        set intrazone allow\n", "")), &[("tcp 443 port2>port3 10.1.0.80 10.2.0.9", Drop)]);
}

#[test]
fn what_leaves_where_it_came_in_may_need_no_policy() {
    let same = "tcp 443 port2>port2 10.1.0.80 10.1.9.9";
    let one = OLD.replace("        set intrazone allow\n", "");
    all(&device(&one), &[(same, Unknown)]);
    all(
        &device(
            &OLD.replace("set hostname", "set allow-traffic-redirect disable\n    set hostname")
                .replace("        set intrazone allow\n", ""),
        ),
        &[(same, Drop)],
    );
    all(&device(&OLD.replace("6.0.9", "7.4.10").replace("        set intrazone allow\n", "")), &[(same, Drop)]);
}

#[test]
fn tcp_needs_a_session_and_answers_pass() {
    let d = device(OFFICE);
    let analysis = Analysis::new(&d, &[], &Limits::default());
    let of = |flags: &str, ct: &str| {
        let mut p = packet("tcp 443 internal>wan1 10.10.0.7 192.0.2.9");
        p["tcp_flags"] = flags.into();
        p["ct"] = ct.into();
        let (way, family, p) = trace::read_packet(&p, &analysis.space).expect("a packet");
        walk(&analysis, way, family, &p, None, None, false).verdict
    };
    assert_eq!((of("S", "new"), of("A", "new"), of("A", "established")), (Accept, Drop, Accept));
}

#[test]
fn the_appliance_answers_what_is_switched_on() {
    all(
        &device(OFFICE),
        &[
            // allowaccess of each interface, with the ports of `system global` and the trusted hosts.
            ("tcp 8443 internal> 10.10.0.20 10.10.0.1", Accept),
            ("tcp 443 internal> 10.10.0.20 10.10.0.1", Drop),
            ("tcp 22 internal> 10.10.0.20 10.10.0.1", Accept),
            ("tcp 22 internal> 10.10.1.20 10.10.0.1", Drop),
            ("tcp 22 wan1> 192.0.2.9 198.51.100.2", Drop),
            ("tcp 8443 wan1> 192.0.2.9 198.51.100.2", Drop),
            // The helpdesk is bound in IPv4 alone.
            ("tcp 8443 internal> 2001:db8:11::9 2001:db8:10::1", Accept),
            ("tcp 22 internal> 2001:db8:10::9 2001:db8:10::1", Drop),
            // Local-in policies: ping from the branch, and from nobody else.
            ("icmp - wan1> 192.0.2.9 198.51.100.2", Drop),
            ("icmp - wan1> 10.50.0.9 198.51.100.2", Unknown),
            // Services of its own.
            ("udp 500 wan1> 192.0.2.9 198.51.100.2", Accept),
            ("esp - wan1> 192.0.2.9 198.51.100.2", Accept),
            ("tcp 10443 wan1> 192.0.2.9 198.51.100.2", Accept),
            ("udp 67 guest> 10.30.0.9 10.30.0.1", Accept),
            ("udp 67 dmz> 10.20.0.9 10.20.0.1", Drop),
            ("tcp 179 wan1> 192.0.2.9 198.51.100.2", Drop),
        ],
    );
}

#[test]
fn acceptance_by_a_local_in_policy_opens_no_service() {
    let with = |policy: &str| {
        device(&OLD.replace("config firewall policy\n", &format!("config firewall local-in-policy\n    edit 1\n        set intf port1\n        set srcaddr all\n        set dstaddr all\n        set schedule always\n{policy}    next\nend\nconfig firewall policy\n")))
    };
    let (ssh, smtp) = ("tcp 22 port1> 192.0.2.9 203.0.113.2", "tcp 25 port1> 192.0.2.9 203.0.113.2");
    all(&device(OLD), &[(ssh, Accept), (smtp, Drop)]);
    all(&with("        set service ALL\n        set action accept\n"), &[(ssh, Accept), (smtp, Drop)]);
    all(&with("        set service SSH\n"), &[(ssh, Drop), ("tcp 443 port1> 192.0.2.9 203.0.113.2", Accept)]);
}

#[test]
fn virtual_domains_have_policies_of_their_own() {
    all(
        &device(DOMAINS),
        &[
            ("tcp 443 port2>port1 10.1.0.9 192.0.2.9", Accept),
            ("tcp 443 port3>port4 10.2.0.9 10.3.0.80", Accept),
            // Objects of one name are different ones.
            ("tcp 443 port3>port4 10.2.0.9 10.1.0.80", Drop),
            ("tcp 443 port4>port3 10.3.0.9 10.2.0.9", Drop),
            ("tcp 443 port1>port2 192.0.2.9 10.1.0.80", Drop),
            ("tcp 22 port2> 10.1.0.9 10.1.0.1", Accept),
            ("tcp 22 port3> 10.2.0.9 10.2.0.1", Drop),
            // No link, no way.
            ("tcp 443 port2>port4 10.1.0.9 10.3.0.80", Drop),
        ],
    );
    let linked =
        DOMAINS.replace("config log fortianalyzer", "config system vdom-link\n    edit \"v\"\n    next\nend\nconfig log fortianalyzer");
    all(&device(&linked), &[("tcp 443 port2>port4 10.1.0.9 10.3.0.80", Unknown)]);
}

#[test]
fn a_setting_of_a_policy_that_is_not_known_makes_it_a_condition() {
    let text = OFFICE.replacen("        set utm-status enable\n", "        set vlan-filter \"10-20\"\n", 1);
    all(&device(&text), &[("tcp 443 internal>wan1 10.10.0.7 192.0.2.9", Unknown)]);
}

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("FWPROOF_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared/corpus")).find(|p| p.is_dir());
    given.or(beside).map(|p| p.join("fortios")).filter(|p| p.is_dir())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_file_of_the_corpus_is_detected_and_read() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: no corpus (set FWPROOF_CORPUS)");
        return;
    };
    let mut found = Vec::new();
    files(&corpus, &mut found);
    found.sort();
    let (mut states, mut rules) = (BTreeMap::<&str, usize>::new(), 0);
    for path in &found {
        let file = SourceFile::new(FileId(0), path.to_string_lossy(), &std::fs::read(path).expect("a readable file"));
        let detected = vendors::detect(&file);
        let (first, second) = (detected.first().expect("a claim"), detected.get(1));
        assert_eq!(first.0.id, "fortios", "{}", path.display());
        assert!(second.is_none_or(|s| s.1.confidence < first.1.confidence), "{}", path.display());
        let reading = vendors::format("fortios").expect("the format").read_file(&file);
        for state in &reading.lines[&file.id] {
            *states.entry(state.name()).or_default() += 1;
        }
        rules += reading.device.chains.iter().flat_map(|c| &c.rules).filter(|r| r.implied.is_none()).count();
    }
    eprintln!("fortios: {} files, {states:?}, {rules} rules", found.len());
    assert_eq!(states.get("unrecognised"), None);
}

/// What the batfish project expects of its own test configurations (FortiosGrammarTest), said in packets.
#[test]
fn the_corpus_means_what_its_own_tests_say() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: no corpus (set FWPROOF_CORPUS)");
        return;
    };
    let of = |name: &str| std::fs::read_to_string(corpus.join("batfish+batfish/fortios/testconfigs").join(name)).ok().map(|t| device(&t));
    let names = |d: &Device| {
        let chain = d.chains.iter().find(|c| c.name == "firewall policy").expect("policies");
        chain.rules.iter().filter_map(|r| r.name.clone()).collect::<Vec<_>>()
    };
    if let Some(d) = of("policy_move") {
        assert_eq!(names(&d), ["policy 5", "policy 1", "policy 2", "policy 4", "policy 3"]);
    }
    if let Some(d) = of("policy_clone") {
        assert_eq!(names(&d), ["policy 1", "policy 2", "policy 3", "policy 4"]);
        all(&d, &[("tcp 80 a>b 10.0.0.1 10.0.0.2", Accept), ("udp 80 a>b 10.0.0.1 10.0.0.2", Drop)]);
    }
    if let Some(d) = of("policy") {
        all(
            &d,
            &[
                ("tcp 1234 port1>port3 10.0.1.9 10.0.3.9", Drop),
                ("tcp 1235 port2>port4 10.0.2.9 10.0.4.9", Drop),
                ("tcp 1236 port1>port3 10.0.1.9 10.0.3.9", Accept),
                ("tcp 1236 port3>port1 10.0.3.9 10.0.1.9", Drop),
                ("udp 1236 port1>port3 10.0.1.9 10.0.3.9", Drop),
            ],
        );
    }
    if let Some(d) = of("firewall_policy_addrgrp") {
        all(
            &d,
            &[
                ("tcp 11 a>b 10.0.1.9 10.0.2.9", Accept),
                ("tcp 11 a>b 10.0.1.66 10.0.2.9", Drop),
                ("tcp 11 a>b 10.0.1.72 10.0.2.9", Accept),
                ("tcp 12 a>b 10.0.1.9 10.0.2.9", Drop),
            ],
        );
    }
    if let Some(d) = of("firewall_vi_policy") {
        all(
            &d,
            &[
                ("tcp 80 port1>port2 10.0.9.9 10.0.1.9", Drop),
                ("tcp 80 port1>port2 10.0.9.9 10.0.2.9", Accept),
                ("tcp 80 port2>port3 10.0.9.9 10.0.1.9", Accept),
                ("tcp 80 port2>port1 10.0.9.9 10.0.2.9", Drop),
            ],
        );
    }
    if let Some(d) = of("firewall_policy") {
        // Policy 2 lets everything through, so that the denials above it are what is left to see.
        let mut low = packet("tcp 12 port1>port2 10.0.1.9 10.0.2.9");
        low["sport"] = 11.into();
        let analysis = Analysis::new(&d, &[], &Limits::default());
        let (way, family, p) = trace::read_packet(&low, &analysis.space).expect("a packet");
        assert_eq!(walk(&analysis, way, family, &p, None, None, false).verdict, Drop);
        all(&d, &[("tcp 12 port1>port2 10.0.1.9 10.0.2.9", Accept), ("tcp 11 port1>port2 10.0.1.9 10.0.2.9", Accept)]);
    }
    if let Some(d) = of("policy_defs_refs") {
        let undefined: Vec<String> = d.names.undefined().iter().map(|n| n.name.clone()).collect();
        assert_eq!(names(&d), ["policy 1", "policy 2"]);
        assert!(undefined.is_empty(), "what was set and set again is not used: {undefined:?}");
    }
}

#[test]
fn ike_answers_over_the_family_of_its_tunnels() {
    let four = device(OFFICE);
    assert_eq!(fate(&four, "udp 500 wan1> 192.0.2.9 198.51.100.2"), Accept);
    assert_eq!(fate(&four, "udp 500 wan1> 2001:db8:ff::1 2001:db8:a::2"), Unknown);
    let six = device(&OFFICE.replace("set remote-gw 203.0.113.77", "set ip-version 6\n        set remote-gw6 2001:db8:ff::77"));
    assert_eq!(fate(&six, "udp 500 wan1> 2001:db8:ff::1 2001:db8:a::2"), Accept);
}

#[test]
fn packets_in_no_valid_session_are_refused_unless_routing_is_asymmetric_and_logged_where_that_is_set() {
    let refusal = |d: &Device| {
        let mut rules = d.chains.iter().flat_map(|c| &c.rules);
        rules.find(|r| r.implied == Some("refusal of packets in no valid session")).map(|r| r.log)
    };
    assert_eq!(refusal(&device(OFFICE)), Some(false));
    assert_eq!(refusal(&device(&format!("{OFFICE}config log setting\n    set log-invalid-packet enable\nend\n"))), Some(true));
    assert_eq!(refusal(&device(&format!("{OFFICE}config system settings\n    set asymroute enable\nend\n"))), None);
}

#[test]
fn what_no_service_answers_is_logged_by_two_settings() {
    let logs = |more: &str| {
        let d = device(&format!("{OFFICE}config log setting\n{more}end\n"));
        d.chains
            .iter()
            .flat_map(|c| &c.rules)
            .filter(|r| r.implied == Some("refusal of what no service answers"))
            .map(|r| r.log)
            .collect::<Vec<_>>()
    };
    assert_eq!(logs(""), [false, false]);
    assert_eq!(logs("    set local-in-deny-unicast enable\n"), [false, true]);
    assert_eq!(logs("    set local-in-deny-broadcast enable\n"), [true, false]);
}
