//! Ports that container engines publish, against the host's own rules for input.

mod judging;

use std::fs;

use judging::judge_at;

/// What is said of a host with one export: `verdict line: message`, or that nothing is wrong.
fn said(file: &str, rules: &str, companions: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let host = folder.path().join("host");
    fs::create_dir(&host).expect("a folder");
    fs::write(host.join(file), rules).expect("written");
    for (name, text) in companions {
        fs::write(host.join(name), text).expect("written");
    }
    let baseline = "fwproof: 1\ntitle: t\nzones:\n  internet: { addresses: public, on: { host: eth0 } }\nchecks:\n  - id: the-check\n    policy: { aspect: input-not-bypassed }\n";
    fs::write(folder.path().join("baseline.yaml"), baseline).expect("written");
    let judged = judge_at(folder.path(), "2026-11-23");
    assert!(judged.report.incomplete.is_empty(), "{:?}", judged.report.incomplete);
    let check = judged.report.checks.iter().find(|c| c.id == "the-check").expect("the check");
    assert_eq!(check.considered, ["host"]);
    let line = |f: &fwproof::diag::Finding| {
        let source = judged.inventory.sources.get(f.primary.span.file);
        source.line(source.line_index(f.primary.span.start)).trim().to_owned()
    };
    check.findings.iter().map(|f| format!("{} {}: {}", f.verdict.name(), line(f), f.message)).collect()
}

/// As Docker 28 writes it, with one container at 172.17.0.2 and the given lines where they belong.
fn docker(nat: &str, user: &str, input: &str) -> String {
    format!(
        "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP\nCOMMIT\n\
         *nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n\
         -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER\n\
         -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n{nat}COMMIT\n\
         *filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:DOCKER-BRIDGE - [0:0]\n:DOCKER-CT - [0:0]\n\
         :DOCKER-FORWARD - [0:0]\n:DOCKER-USER - [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n{input}\
         -A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-FORWARD\n\
         -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n-A DOCKER ! -i docker0 -o docker0 -j DROP\n\
         -A DOCKER-BRIDGE -o docker0 -j DOCKER\n-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A DOCKER-FORWARD -j DOCKER-CT\n-A DOCKER-FORWARD -j DOCKER-BRIDGE\n-A DOCKER-FORWARD -i docker0 -j ACCEPT\n{user}COMMIT\n"
    )
}

const PUBLISHED: &str = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n";

/// IPv6 without containers.
const CLOSED_V6: (&str, &str) =
    ("ip6tables-save.txt", "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n");

fn of(nat: &str, user: &str, input: &str) -> Vec<String> {
    said("iptables-save.txt", &docker(nat, user, input), &[CLOSED_V6])
}

#[test]
fn a_published_port_that_input_would_refuse_is_found_at_its_translation() {
    let found = of(PUBLISHED, "", "");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("violated -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT"), "{found:#?}");
    assert!(found[0].contains("tcp/8080") && found[0].contains("led to 172.17.0.2"), "{found:#?}");
}

#[test]
fn a_published_port_that_input_lets_in_is_no_finding() {
    assert_eq!(of(PUBLISHED, "", "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT\n"), [""; 0]);
}

#[test]
fn a_port_that_input_lets_in_from_one_network_only_is_a_finding() {
    assert_eq!(of(PUBLISHED, "", "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 8080 -j ACCEPT\n").len(), 1);
}

#[test]
fn the_port_of_the_container_is_not_the_port_of_the_host() {
    assert_eq!(of(PUBLISHED, "", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n").len(), 1);
}

#[test]
fn a_port_published_on_the_loopback_address_is_no_finding() {
    let nat = "-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n";
    let raw = "*raw\n-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP\nCOMMIT\n";
    let text = docker(nat, "", "")
        .replace("*raw\n:PREROUTING ACCEPT [0:0]\n", &raw.replace("COMMIT\n", "").replace("*raw\n", "*raw\n:PREROUTING ACCEPT [0:0]\n"));
    assert_eq!(said("iptables-save.txt", &text, &[CLOSED_V6]), [""; 0]);
}

#[test]
fn nothing_reaches_the_loopback_address_from_outside_even_without_a_rule_for_it() {
    // As Docker wrote it before version 28.
    let nat = "-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n";
    assert_eq!(of(nat, "", ""), [""; 0]);
    let addresses = (
        "ip-addr.txt",
        "2: eth0: <UP> mtu 1500\n    inet 198.51.100.2/24 scope global eth0\n3: docker0: <UP> mtu 1500\n    inet 172.17.0.1/16 scope global docker0\n",
    );
    assert_eq!(said("iptables-save.txt", &docker(nat, "", ""), &[CLOSED_V6, addresses]), [""; 0]);
}

#[test]
fn a_port_published_on_one_address_asks_whose_that_is() {
    let nat = "-A DOCKER -d 198.51.100.2/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n";
    let found = of(nat, "", "");
    assert!(found.len() == 1 && found[0].starts_with("unknown"), "{found:#?}");
    let addresses = |own: &str| {
        format!(
            "2: eth0: <UP> mtu 1500\n    inet {own}/24 scope global eth0\n3: docker0: <UP> mtu 1500\n    inet 172.17.0.1/16 scope global docker0\n"
        )
    };
    let with = |own: &str| {
        let text = addresses(own);
        said("iptables-save.txt", &docker(nat, "", ""), &[CLOSED_V6, ("ip-addr.txt", text.as_str())])
    };
    assert!(with("198.51.100.2").concat().starts_with("violated"));
    assert_eq!(with("198.51.100.3"), [""; 0]);
}

#[test]
fn a_drop_in_docker_user_closes_it() {
    assert_eq!(of(PUBLISHED, "-A DOCKER-USER -i eth0 -m conntrack --ctstate NEW -j DROP\n", ""), [""; 0]);
    // A drop on another interface does not.
    assert_eq!(of(PUBLISHED, "-A DOCKER-USER -i eth1 -m conntrack --ctstate NEW -j DROP\n", "").len(), 1);
}

#[test]
fn a_port_that_the_administrator_lets_through_by_name_is_wanted() {
    let user = "-A DOCKER-USER -i eth0 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j RETURN\n-A DOCKER-USER -i eth0 -j DROP\n";
    assert_eq!(of(PUBLISHED, user, ""), [""; 0]);
    // An unconditional RETURN, as old versions of Docker put it there, names no port.
    assert_eq!(of(PUBLISHED, "-A DOCKER-USER -j RETURN\n", "").len(), 1);
    // Nor does one for another port make this one wanted, or one from a single network the rest.
    assert_eq!(of(PUBLISHED, "-A DOCKER-USER -p tcp -m tcp --dport 443 -j RETURN\n", "").len(), 1);
    assert_eq!(of(PUBLISHED, "-A DOCKER-USER -s 198.51.100.0/24 -p tcp -m tcp --dport 80 -j RETURN\n", "").len(), 1);
}

#[test]
fn what_input_does_with_a_rate_limit_is_not_known() {
    let found = of(PUBLISHED, "", "-A INPUT -p tcp -m tcp --dport 8080 -m limit --limit 5/min -j ACCEPT\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("unknown -A DOCKER"), "{found:#?}");
}

#[test]
fn a_match_on_the_port_before_translation_is_not_known() {
    let found = of(PUBLISHED, "-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP\n", "");
    assert!(found.len() == 1 && found[0].starts_with("unknown"), "{found:#?}");
}

#[test]
fn without_the_table_nat_nothing_is_known() {
    let all = docker(PUBLISHED, "", "");
    let filter = &all[all.find("*filter").expect("a table")..];
    let found = said("iptables-save.txt", filter, &[CLOSED_V6]);
    assert!(found.len() == 1 && found[0].starts_with("unknown"), "{found:#?}");
}

#[test]
fn where_containers_are_and_ipv6_was_not_exported_ipv6_is_not_known() {
    let found = said("iptables-save.txt", &docker(PUBLISHED, "", ""), &[]);
    assert!(found.iter().any(|f| f.starts_with("unknown") && f.contains("IPv6")), "{found:#?}");
}

#[test]
fn a_deliberate_port_forwarding_of_an_edge_is_no_concern_of_it() {
    let edge = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.20.0.10\nCOMMIT\n\
                *filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n-A FORWARD -i eth0 -o br-lan -d 10.20.0.10/32 -p tcp -m tcp --dport 443 -j ACCEPT\nCOMMIT\n";
    assert_eq!(said("iptables-save.txt", edge, &[]), [""; 0]);
}

#[test]
fn the_bridge_alone_is_evidence_where_the_chains_are_written_by_hand() {
    let rules = "table ip n { chain p { type nat hook prerouting priority dstnat; iifname \"eth0\" tcp dport 8080 dnat to 10.5.0.2:80\n } }\n\
                 table inet f {\n chain i { type filter hook input priority 0; policy drop; iifname lo accept\n }\n\
                 chain f { type filter hook forward priority 0; policy drop; ct state established accept\n oifname \"br-0123456789ab\" accept\n } }\n";
    let found = said("ruleset.nft", rules, &[]);
    assert!(found.len() == 1 && found[0].starts_with("violated") && found[0].contains("tcp dport 8080"), "{found:#?}");
    // A bridge of the office is none of a container engine.
    assert_eq!(said("ruleset.nft", &rules.replace("br-0123456789ab", "br-lan"), &[]), [""; 0]);
}

#[test]
fn the_nftables_backend_of_docker_is_seen() {
    let rules = "table inet filter {\n chain input {\n type filter hook input priority filter; policy drop;\n iifname \"lo\" accept\n tcp dport 443 accept\n }\n}\n\
        table ip docker-bridges {\n map filter-forward-in-jumps {\n type ifname : verdict\n elements = { \"docker0\" : jump filter-forward-in__docker0 }\n }\n\
        chain filter-FORWARD {\n type filter hook forward priority filter; policy accept;\n oifname vmap @filter-forward-in-jumps\n }\n\
        chain nat-PREROUTING {\n type nat hook prerouting priority dstnat; policy accept;\n fib daddr type local counter packets 0 bytes 0 jump nat-prerouting-and-output\n }\n\
        chain nat-prerouting-and-output {\n iifname != \"docker0\" tcp dport 8080 counter packets 0 bytes 0 dnat to 172.17.0.2:80 comment \"DNAT\"\n\
        iifname != \"docker0\" tcp dport 443 counter packets 0 bytes 0 dnat to 172.17.0.2:443 comment \"DNAT\"\n }\n\
        chain filter-forward-in__docker0 {\n ct state established,related counter packets 0 bytes 0 accept\n iifname \"docker0\" accept\n\
        ip daddr 172.17.0.2 tcp dport 80 counter packets 0 bytes 0 accept\n ip daddr 172.17.0.2 tcp dport 443 counter packets 0 bytes 0 accept\n\
        counter packets 0 bytes 0 drop comment \"UNPUBLISHED PORT DROP\"\n }\n}\n";
    let found = said("ruleset.nft", rules, &[]);
    assert!(found.len() == 1 && found[0].starts_with("violated") && found[0].contains("tcp/8080"), "{found:#?}");
}

#[test]
fn podman_with_netavark_is_seen() {
    let rules = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:NETAVARK-1D8721804F16F - [0:0]\n:NETAVARK-DN-1D8721804F16F - [0:0]\n:NETAVARK-HOSTPORT-DNAT - [0:0]\n\
        :NETAVARK-HOSTPORT-MASQ - [0:0]\n:NETAVARK-HOSTPORT-SETMARK - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT\n\
        -A NETAVARK-DN-1D8721804F16F -s 10.88.0.0/16 -p tcp -m tcp --dport 8080 -j NETAVARK-HOSTPORT-SETMARK\n\
        -A NETAVARK-DN-1D8721804F16F -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.5:80\n\
        -A NETAVARK-HOSTPORT-DNAT -p tcp -m tcp --dport 8080 -m comment --comment \"dnat name: podman\" -j NETAVARK-DN-1D8721804F16F\n\
        -A NETAVARK-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000\nCOMMIT\n\
        *filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:NETAVARK_FORWARD - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A FORWARD -j NETAVARK_FORWARD\n\
        -A NETAVARK_FORWARD -d 10.88.0.0/16 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT\n\
        -A NETAVARK_FORWARD -d 10.88.0.0/16 -j ACCEPT\nCOMMIT\n";
    let found = said("iptables-save.txt", rules, &[CLOSED_V6]);
    assert!(found.len() == 1 && found[0].starts_with("violated -A NETAVARK-DN-1D8721804F16F -p tcp"), "{found:#?}");
}
