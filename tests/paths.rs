//! The whole way of a packet: what `reach` says of it, and what checks of flows do.
#![allow(missing_docs)]

mod judging;

use std::path::Path;
use std::process::Command;

use judging::judge_at;

/// Writes the files of a small company: a laptop, a gateway behind which a firewall stands, and a server with a firewall of its own.
fn company(root: &Path, gateway: &str, edge: &str, server: &str) {
    let put = |path: &str, text: &str| {
        let at = root.join(path);
        std::fs::create_dir_all(at.parent().expect("a folder")).expect("made");
        std::fs::write(at, text).expect("written");
    };
    let table = |hook: &str, rules: &str| {
        format!("table inet filter {{\n\tchain {hook} {{\n\t\ttype filter hook {hook} priority filter; policy drop;\n{rules}\t}}\n}}\n")
    };
    let interface = |n: u8, name: &str, address: &str| {
        format!("{n}: {name}: <UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    inet {address} scope global {name}\n")
    };
    put("anna/ruleset.nft", &table("output", "\t\toifname \"wg0\" accept\n"));
    put(
        "anna/wg0.conf",
        "[Interface]\nAddress = 10.99.0.16/32\nPrivateKey = aMIxBiugrDi3GHJRJ3/tGKAER6/RS7ZDDMLNW+XHwHE=\n\n[Peer]\n\
         PublicKey = RzrH859L1eJ0r8AcQsh8djuRemq5td9lOuziDhM50XA=\nAllowedIPs = 0.0.0.0/0\nEndpoint = 203.0.113.3:51820\n",
    );
    put("gw/ruleset.nft", &table("forward", gateway));
    put("gw/sysctl.txt", "net.ipv4.ip_forward = 1\n");
    put(
        "gw/wg-staff.conf",
        "[Interface]\nAddress = 10.99.0.1/24\nListenPort = 51820\nPrivateKey = EEwONahLO/LEm+07X3R4UkMGcaPVlZZBQchnl3wSj2k=\n\n# anna\n[Peer]\n\
         PublicKey = 5UAtXdMLBuI0K8m7CnlcEvOZr4riLl9W4svyl1hzjjw=\nAllowedIPs = 10.99.0.16/32\n",
    );
    put("gw/ip-addr.txt", &(interface(2, "eth1", "10.1.0.2/30") + &interface(3, "wg-staff", "10.99.0.1/24")));
    put("gw/ip-route.txt", "10.2.0.0/24 via 10.1.0.1 dev eth1\n10.99.0.0/24 dev wg-staff\n");
    put("edge/ruleset.nft", &table("forward", edge));
    put("edge/sysctl.txt", "net.ipv4.ip_forward = 1\n");
    put("edge/ip-addr.txt", &(interface(2, "eth0", "10.1.0.1/30") + &interface(3, "eth1", "10.2.0.1/24")));
    put("edge/ip-route.txt", "10.99.0.0/24 via 10.1.0.2 dev eth0\n");
    if !server.is_empty() {
        put("crm/ruleset.nft", &table("input", server));
        put("crm/ip-addr.txt", &interface(2, "eth0", "10.2.0.10/24"));
        put("crm/ip-route.txt", "default via 10.2.0.1 dev eth0\n");
    }
    put("staff.csv", "name,device\nAnna Weiss,anna\n");
    put(
        "baseline.yaml",
        "fwproof: 1\ntitle: t\nzones:\n  people: { addresses: 10.99.0.0/24, through: wg-staff }\n  customer-data: { addresses: 10.2.0.10 }\n\
         estate:\n  sites:\n    office: { firewalls: 2, devices: [gw, edge] }\n  workers: { roster: staff.csv, each: [vpn-client] }\nchecks:\n  \
         - id: crm-is-reachable\n    title: People reach the CRM\n    severity: high\n    flow: { from: people, to: customer-data, service: tcp/443, must: pass }\n    \
         why: Work.\n    fix: Allow it.\n",
    );
}

fn reach(root: &Path, arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fwproof"));
    let run = command.current_dir(root).args(["reach", ".", "-q", "-b", "baseline.yaml"]).args(arguments).output().expect("run");
    let text = String::from_utf8(run.stdout).expect("text") + &String::from_utf8(run.stderr).expect("text");
    (text, run.status.code().expect("a code"))
}

const CRM: &str = "\t\tip daddr 10.2.0.10 tcp dport 443 accept\n";

#[test]
fn a_way_names_the_line_at_each_device() {
    let root = tempfile::tempdir().expect("a folder");
    company(root.path(), CRM, "\t\tip daddr 10.2.0.10 tcp dport 400-500 accept\n", "\t\ttcp dport { 80, 443 } accept\n");
    let (text, code) = reach(root.path(), &["--from", "worker:anna", "--to", "customer-data"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(code, 0, "{text}");
    assert_eq!(lines[1], "  anna (wg0) > gw (wg-staff to eth1) > edge (eth0 to eth1) > crm (eth0, itself)", "{text}");
    assert_eq!(lines[2], "    tcp/443 (https) from 10.99.0.16 to 10.2.0.10", "{text}");
    for (device, file) in
        [("anna", "anna/ruleset.nft:4:3"), ("gw", "gw/ruleset.nft:4:3"), ("edge", "edge/ruleset.nft:4:3"), ("crm", "crm/ruleset.nft:4:3")]
    {
        assert!(lines.iter().any(|l| l.starts_with(&format!("      {device}: rule 1 of")) && l.contains(file)), "{device}: {text}");
    }
}

#[test]
fn a_person_is_found_by_name_and_a_stranger_is_not() {
    let root = tempfile::tempdir().expect("a folder");
    company(root.path(), CRM, CRM, "");
    for name in ["worker:anna", "worker:Anna Weiss", "worker:Anna"] {
        let (text, code) = reach(root.path(), &["--from", name, "--to", "customer-data", "--service", "https"]);
        assert!(code == 0 && text.contains("tcp/443"), "{name}: {text}");
    }
    let (text, code) = reach(root.path(), &["--from", "worker:ana", "--to", "customer-data"]);
    assert!(code == 2 && text.contains("did you mean"), "{text}");
}

#[test]
fn a_way_that_is_blocked_names_where() {
    let root = tempfile::tempdir().expect("a folder");
    company(root.path(), CRM, CRM, "\t\ttcp dport 22 accept\n");
    let (text, _) = reach(root.path(), &["--from", "people", "--to", "customer-data", "--path", "--service", "tcp/443"]);
    assert!(text.contains("nothing gets there"), "{text}");
    assert!(
        text.contains("edge (eth0 to eth1) > crm (eth0, itself): stopped by policy of inet filter/input (crm/ruleset.nft:3:"),
        "{text}"
    );
}

#[test]
fn what_was_not_read_is_not_known_and_never_guessed() {
    let root = tempfile::tempdir().expect("a folder");
    company(root.path(), CRM, CRM, "");
    std::fs::remove_file(root.path().join("gw/ip-route.txt")).expect("removed");
    let (text, _) = reach(root.path(), &["--from", "worker:anna", "--to", "customer-data"]);
    assert!(text.contains("nothing is known to get there"), "{text}");
    assert!(text.contains("not known after anna (wg0) > gw (wg-staff): no routes of gw were read (ip route, ip -6 route)"), "{text}");
    assert!(!text.contains("stopped"), "{text}");
    company(root.path(), CRM, CRM, "");
    std::fs::remove_dir_all(root.path().join("edge")).expect("removed");
    let (text, _) = reach(root.path(), &["--from", "worker:anna", "--to", "customer-data", "--service", "https"]);
    assert!(text.contains("10.1.0.1, the next hop of gw behind eth1, is no device that was read"), "{text}");
    assert!(text.contains("nothing is known to get there"), "{text}");
}

#[test]
fn where_no_route_was_read_the_baseline_says_where_a_zone_lies() {
    let root = tempfile::tempdir().expect("a folder");
    company(root.path(), CRM, CRM, "");
    for file in ["edge/ip-addr.txt", "edge/ip-route.txt", "gw/ip-addr.txt", "gw/ip-route.txt"] {
        std::fs::remove_file(root.path().join(file)).expect("removed");
    }
    let at = root.path().join("baseline.yaml");
    let text = std::fs::read_to_string(&at).expect("read");
    std::fs::write(&at, text.replace("{ addresses: 10.2.0.10 }", "{ addresses: 10.2.0.10, on: { gw: eth1 } }")).expect("written");
    let (text, _) = reach(root.path(), &["--from", "worker:anna", "--to", "customer-data"]);
    assert!(text.contains("anna (wg0) > gw (wg-staff to eth1) > the network behind it: perhaps"), "{text}");
    assert!(text.contains("assumed: no route of gw leads to customer-data"), "{text}");
}

/// A row of devices that let everything through; the last one's route leads to `last`.
fn row(root: &Path, count: usize, last: &str) {
    for i in 0..count {
        let at = root.join(format!("d{i:02}"));
        std::fs::create_dir_all(&at).expect("made");
        let put = |name: &str, text: String| std::fs::write(at.join(name), text).expect("written");
        put(
            "ruleset.nft",
            "table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n\t}\n}\n".into(),
        );
        put("sysctl.txt", "net.ipv4.ip_forward = 1\n".into());
        let before = if i == 0 { "10.0.0.1/24".to_owned() } else { format!("10.{i}.0.2/30") };
        let interface =
            |n: u8, address: &str| format!("{n}: eth{n}: <UP> mtu 1500 qdisc noqueue state UP\n    inet {address} scope global eth{n}\n");
        put("ip-addr.txt", interface(2, &before) + &interface(3, &format!("10.{}.0.1/30", i + 1)));
        let via = if i + 1 == count { last.to_owned() } else { format!("10.{}.0.2", i + 1) };
        let out = if via == format!("10.{i}.0.1") { 2 } else { 3 };
        put("ip-route.txt", format!("10.200.0.0/24 via {via} dev eth{out}\n"));
    }
    let zones = "zones: { here: { addresses: 10.0.0.0/24 }, there: { addresses: 10.200.0.0/24 } }\n";
    std::fs::write(root.join("baseline.yaml"), format!("fwproof: 1\ntitle: t\n{zones}")).expect("written");
}

#[test]
fn a_row_of_more_devices_than_are_followed_is_said() {
    let root = tempfile::tempdir().expect("a folder");
    row(root.path(), 12, "10.12.0.2");
    let (text, code) = reach(root.path(), &["--path", "--from", "here", "--to", "there"]);
    assert!(code == 3 && text.contains("a path of more than 8 devices: what lies beyond d08 was not looked at"), "{text}");
}

#[test]
fn a_route_that_leads_back_is_no_way_and_is_said() {
    let root = tempfile::tempdir().expect("a folder");
    row(root.path(), 2, "10.1.0.1");
    let (text, code) = reach(root.path(), &["--path", "--from", "here", "--to", "there"]);
    assert!(code == 0 && text.contains("not known after d00 (eth2 to eth3) > d01 (eth2 to eth2): it comes back to d00"), "{text}");
}

#[test]
fn a_source_that_the_gateway_does_not_allow_its_peer_is_dropped() {
    let root = tempfile::tempdir().expect("a folder");
    company(root.path(), CRM, CRM, "");
    let at = root.path().join("anna/wg0.conf");
    let text = std::fs::read_to_string(&at).expect("read").replace("10.99.0.16/32", "10.99.0.17/32");
    std::fs::write(&at, text).expect("written");
    let (text, _) = reach(root.path(), &["--from", "worker:anna", "--to", "customer-data", "--service", "https"]);
    assert!(text.contains("nothing gets there"), "{text}");
    assert!(text.contains("gw takes no packets from this source from this peer (AllowedIPs) (gw/wg-staff.conf:"), "{text}");
}

#[test]
fn a_flow_that_must_pass_is_judged_along_its_whole_way() {
    let root = tempfile::tempdir().expect("a folder");
    company(root.path(), CRM, CRM, "");
    assert!(judge_at(root.path(), "2026-11-23").findings("crm-is-reachable").is_empty());
    company(root.path(), "\t\ttcp dport 22 accept\n", CRM, "");
    let judged = judge_at(root.path(), "2026-11-23");
    let found = judged.findings("crm-is-reachable");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].device.as_deref(), Some("gw"));
    assert!(
        found[0].message.contains("people cannot reach customer-data with tcp/443 (https) (IPv4): gw stops it"),
        "{}",
        found[0].message
    );
    assert_eq!(judged.place(found[0]), "gw/ruleset.nft:3");
}

#[test]
fn the_json_of_a_way_has_the_packet_at_each_device() {
    let root = tempfile::tempdir().expect("a folder");
    let nat = "\t}\n\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\t\toifname \"eth1\" masquerade\n";
    company(root.path(), &format!("{CRM}{nat}"), CRM, "");
    let (text, _) = reach(root.path(), &["--from", "worker:anna", "--to", "customer-data", "--json"]);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["path"][1]["packet"]["src"], "10.99.0.16");
    assert_eq!(first["path"][2]["packet"]["src"], "10.1.0.2", "{text}");
    assert_eq!(first["certain"], true);
}
