//! Configurations that violate a shipped check in a way that really happens, and for which it once said "holds".

mod judging;

use std::fs;

use fwproof::diag::Verdict;

/// A device's files and the rulesets in use; `zones` and `estate` as the baseline has them.
struct Case<'a> {
    uses: &'a str,
    baseline: &'a str,
    files: &'a [(&'a str, &'a str)],
}

const AS_OF: &str = "2026-11-25";
const INTERNET: &str = "zones: { internet: { addresses: public }, lan: { addresses: 10.1.0.0/16 } }";
const WORKERS: &str = "zones: { internet: { addresses: public } }\nestate: { workers: { roster: staff.csv, each: [host-firewall, vpn-client, kill-switch], \
                       exported_within: 30d } }";

impl Case<'_> {
    fn edge<'a>(files: &'a [(&'a str, &'a str)]) -> Case<'a> {
        Case { uses: "network-edge", baseline: INTERNET, files }
    }

    fn worker<'a>(files: &'a [(&'a str, &'a str)]) -> Case<'a> {
        Case { uses: "remote-worker", baseline: WORKERS, files }
    }

    /// The verdict on a check.
    fn of(&self, check: &str) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let mut files = vec![("staff.csv", "name\nanna\n")];
        files.extend_from_slice(self.files);
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let text = format!("fwproof: 1\ntitle: t\nuse: [{}]\n{}\n", self.uses, self.baseline);
        fs::write(folder.path().join("baseline.yaml"), text).unwrap();
        let judged = judging::judge_at(folder.path(), AS_OF);
        let found = judged.report.checks.iter().find(|c| c.id == check);
        found.unwrap_or_else(|| panic!("no check {check}")).verdict
    }
}

/// An nftables host or edge with these input and forward rules and their policies.
fn filter(input: &str, forward: &str) -> String {
    let chain =
        |hook: &str, body: &str| format!("  chain {hook} {{\n    type filter hook {hook} priority 0; policy drop;\n    {body}\n  }}\n");
    format!("table inet filter {{\n{}{}}}\n", chain("input", input), chain("forward", forward))
}

#[test]
fn a_rule_for_the_only_outer_interface_is_no_default_deny() {
    let rules = filter("iifname \"eth0\" accept", "");
    assert_eq!(Case::edge(&[("edge/r.nft", &rules)]).of("inbound-default-deny"), Verdict::Unknown);
    assert_eq!(Case::worker(&[("anna/r.nft", &rules)]).of("worker-inbound-default-deny"), Verdict::Unknown);
}

#[test]
fn a_rule_for_the_own_address_lets_everything_in() {
    let rules = filter("ip daddr 203.0.113.5 accept", "");
    assert_eq!(Case::edge(&[("edge/r.nft", &rules)]).of("inbound-default-deny"), Verdict::Violated);
}

#[test]
fn ranges_that_together_are_all_ports_single_nothing_out() {
    let rules = filter("tcp dport 1-20000 accept; tcp dport 20001-40000 accept; tcp dport 40001-65535 accept", "");
    assert_eq!(Case::edge(&[("edge/r.nft", &rules)]).of("inbound-default-deny"), Verdict::Violated);
}

#[test]
fn a_filter_that_is_known_to_be_empty_is_not_passed_over() {
    let good = filter("", "");
    for empty in [
        "flush ruleset\n",
        &format!("flush ruleset\n{good}delete table inet filter\n"),
        &good.replace("filter {", "filter {\n  flags dormant"),
    ] {
        let files = [("core/r.nft", good.as_str()), ("edge/r.nft", empty)];
        assert_eq!(Case::edge(&files).of("inbound-default-deny"), Verdict::Violated, "{empty}");
    }
}

#[test]
fn a_router_without_a_forward_chain_forwards_everything() {
    let nat = "table ip nat {\n  chain post {\n    type nat hook postrouting priority 100;\n    oifname eth0 masquerade\n  }\n}\n";
    let good = filter("", "");
    let files = [("core/r.nft", good.as_str()), ("edge/r.nft", nat)];
    assert_eq!(Case::edge(&files).of("forward-default-deny"), Verdict::Violated);
}

#[test]
fn of_a_setting_that_is_written_twice_the_last_counts() {
    let rules = filter("", "accept");
    let sysctl = "net.ipv4.ip_forward = 0\nnet.ipv6.conf.all.forwarding = 0\nnet.ipv4.ip_forward = 1\n";
    let files = [("edge/r.nft", rules.as_str()), ("edge/sysctl.txt", sysctl)];
    assert_eq!(Case::edge(&files).of("forward-default-deny"), Verdict::Violated);
}

#[test]
fn ipv6_that_one_interface_still_speaks_is_not_switched_off() {
    let rules = filter("", "").replace("table inet", "table ip");
    let off = "net.ipv6.conf.all.disable_ipv6 = 1\nnet.ipv6.conf.lo.disable_ipv6 = 0\n";
    let on = format!("{off}net.ipv6.conf.eth0.disable_ipv6 = 0\n");
    let files = |sysctl| [("edge/r.nft", rules.clone()), ("edge/sysctl.txt", sysctl)];
    for (sysctl, verdict) in [(off.to_owned(), Verdict::Holds), (on, Verdict::Violated)] {
        let files = files(sysctl);
        let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
        assert_eq!(Case::edge(&files).of("inbound-default-deny"), verdict);
    }
}

#[test]
fn a_loose_reverse_path_filter_stops_no_forged_source() {
    let rules = filter("iifname eth0 ip saddr 10.0.0.0/8 accept", "");
    let address = "2: eth0: <UP> mtu 1500\n    inet 203.0.113.2/24 scope global eth0\n3: eth1: <UP> mtu 1500\n    inet 10.1.0.1/8 scope global eth1\n";
    let routes = "default via 203.0.113.1 dev eth0\n10.0.0.0/8 dev eth1 proto kernel scope link src 10.1.0.1\n";
    let v6 = "default via fe80::1 dev eth0\n";
    for (value, verdict) in [("1", Verdict::Holds), ("2", Verdict::Violated)] {
        let sysctl = format!("net.ipv4.conf.all.rp_filter = 1\nnet.ipv4.conf.eth0.rp_filter = {value}\n");
        let files = [
            ("edge/r.nft", rules.as_str()),
            ("edge/ip-addr.txt", address),
            ("edge/ip-route.txt", routes),
            ("edge/ip-6-route.txt", v6),
            ("edge/sysctl.txt", &sysctl),
        ];
        assert_eq!(Case::edge(&files).of("spoofed-sources-refused"), verdict, "{value}");
    }
}

const KEY1: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const KEY9: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
const OVPN: &str = "client\ndev tun\nremote vpn.example 1194\nremote-cert-tls server\n";
const SERVER: &str = "port 1194\nproto udp\ndev tun0\nserver 10.8.0.0 255.255.255.0\nca ca.crt\ncert s.crt\nkey s.key\ndh none\n";

/// A full tunnel with a name server, and these lines more in `[Interface]`.
fn wireguard(more: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {KEY1}\nAddress = 10.9.0.2/32\nDNS = 10.9.0.1\n{more}\n[Peer]\nPublicKey = {KEY9}\n\
         Endpoint = vpn.example:51820\nAllowedIPs = 0.0.0.0/0, ::/0\n"
    )
}

/// A host firewall that lets out what these output rules let out.
fn host(output: &str) -> String {
    filter("", "").replace("hook forward", "hook output").replace("chain forward", "chain output").replacen(
        "hook output priority 0; policy drop;\n    ",
        &format!("hook output priority 0; policy drop;\n    {output}"),
        1,
    )
}

fn worker(rules: &str, vpn: (&str, &str), check: &str) -> Verdict {
    Case::worker(&[("anna/fw.nft", rules), (&format!("anna/{}", vpn.0), vpn.1)]).of(check)
}

#[test]
fn a_tunnel_without_an_interface_name_is_not_every_interface() {
    let out = host("oifname \"eth0\" accept");
    let openvpn = "client\nremote vpn.example 1194\nredirect-gateway def1 ipv6\n";
    assert_eq!(worker(&out, ("a.ovpn", openvpn), "vpn-has-kill-switch"), Verdict::Violated);
}

#[test]
fn an_interface_that_begins_like_the_tunnel_is_another_one() {
    for (file, interface) in [("eth.conf", "eth0"), ("wg0.conf", "wg01")] {
        let out = host(&format!("oifname \"{interface}\" accept"));
        assert_eq!(worker(&out, (file, &wireguard("")), "vpn-has-kill-switch"), Verdict::Violated, "{file}");
    }
}

#[test]
fn block_ipv6_alone_blocks_nothing_outside_of_the_tunnel() {
    let openvpn = format!("{OVPN}route-nopull\nredirect-gateway def1\nblock-ipv6\n");
    let open = host("accept");
    for check in ["vpn-takes-what-it-must", "vpn-has-kill-switch"] {
        assert_eq!(worker(&open, ("a.ovpn", &openvpn), check), Verdict::Violated, "{check}");
    }
}

#[test]
fn a_command_that_is_not_modelled_leaves_no_certainty() {
    let switch = |program: &str| {
        format!("PostUp = {program} -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT\n")
    };
    let switches = format!("{}{}", switch("iptables"), switch("ip6tables"));
    let (open, closed) = (host("accept"), host("oifname \"wg0\" accept"));
    let all = ["vpn-takes-what-it-must", "vpn-looks-names-up-inside", "vpn-has-kill-switch"];
    let (holds, unknown) = (Verdict::Holds, Verdict::Unknown);
    for (rules, lines, wanted) in [
        (&open, switches.clone(), [holds, holds, holds]),
        (&open, format!("{switches}PostUp = iptables -I OUTPUT 1 -j ACCEPT\n"), [holds, holds, unknown]),
        (&closed, "PostUp = /usr/local/bin/up.sh\n".into(), [unknown, unknown, unknown]),
        (&closed, "PostUp = echo up | sh\n".into(), [unknown, unknown, unknown]),
        (&closed, "PostUp = ip route add 10.0.0.0/8 dev eth0; nft flush ruleset\n".into(), [unknown, unknown, unknown]),
        (&closed, "PostDown = nft flush ruleset\n".into(), [holds, holds, unknown]),
        (&closed, "PostUp = logger up\nPostUp = iptables -A FORWARD -i %i -j ACCEPT\n".into(), [holds, holds, holds]),
        (&closed, "Table = 1234\n".into(), [unknown, unknown, holds]),
    ] {
        let found = all.map(|check| worker(rules, ("wg0.conf", &wireguard(&lines)), check));
        assert_eq!(found, wanted, "{lines}");
    }
}

#[test]
fn the_kill_switch_of_wg_quick_needs_the_mark_that_wg_quick_sets() {
    let lines = "Table = off\nPostUp = iptables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -j REJECT\n";
    assert_eq!(worker(&host("accept"), ("wg0.conf", &wireguard(lines)), "vpn-has-kill-switch"), Verdict::Unknown);
}

#[test]
fn what_a_server_takes_back_for_one_client_is_not_pushed_to_all() {
    let server = format!("{SERVER}push \"redirect-gateway def1 ipv6\"\npush \"dhcp-option DNS 10.8.0.1\"\n");
    let client = format!("{OVPN}up /etc/openvpn/update-resolv-conf\n");
    for (ccd, verdict) in [("", Verdict::Holds), ("push-remove redirect-gateway\n", Verdict::Unknown), ("push-reset\n", Verdict::Unknown)] {
        let ccd = format!("ifconfig-push 10.8.0.9 255.255.255.0\n{ccd}");
        let files = [("gw/server.conf", server.as_str()), ("gw/ccd/anna", &ccd), ("anna/a.ovpn", &client)];
        assert_eq!(Case::worker(&files).of("vpn-takes-what-it-must"), verdict, "{ccd}");
    }
    let files = [("gw/server.conf", server.as_str()), ("anna/a.ovpn", &format!("{client}route-noexec\n"))];
    assert_eq!(Case::worker(&files).of("vpn-takes-what-it-must"), Verdict::Unknown);
}

#[test]
fn on_linux_somebody_must_set_the_name_servers_of_openvpn() {
    let client = format!("{OVPN}redirect-gateway def1 ipv6\ndhcp-option DNS 10.8.0.1\n");
    let check = "vpn-looks-names-up-inside";
    assert_eq!(worker(&host(""), ("a.ovpn", &client), check), Verdict::Unknown);
    let scripted = format!("{client}up /etc/openvpn/update-resolv-conf\n");
    assert_eq!(worker(&host(""), ("a.ovpn", &scripted), check), Verdict::Holds);
}

#[test]
fn chains_without_rules_are_no_host_firewall() {
    let empty = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
    let output = "table inet f {\n  chain o { type filter hook output priority 0; policy drop; }\n}\n";
    for (name, rules) in [("anna/rules.v4", empty), ("anna/r.nft", output)] {
        assert_eq!(Case::worker(&[(name, rules)]).of("worker-has-host-firewall"), Verdict::Violated, "{name}");
    }
}

#[test]
fn an_export_of_tomorrow_is_not_fresh() {
    let rules = format!("# exported 2036-11-20\n{}", host(""));
    assert_eq!(Case::worker(&[("anna/fw.nft", &rules)]).of("worker-exports-are-fresh"), Verdict::Unknown);
}

#[test]
fn a_folder_in_capitals_is_the_device_of_the_leaver() {
    let rules = host("");
    let files = [("staff.csv", "name,left\nanna,2026-01-01\nben,\n"), ("Anna/fw.nft", &rules), ("ben/fw.nft", &rules)];
    assert_eq!(Case::worker(&files).of("leavers-have-no-device"), Verdict::Violated);
}

#[test]
fn a_firewall_that_is_listed_twice_is_one() {
    let baseline = format!("{INTERNET}\nestate: {{ sites: {{ hq: {{ firewalls: 2, devices: [edge, Edge] }} }} }}");
    let rules = filter("", "");
    let case = Case { uses: "estate", baseline: &baseline, files: &[("edge/r.nft", &rules)] };
    assert_eq!(case.of("firewalls-per-site"), Verdict::Violated);
}

#[test]
fn what_openvpn_accepts_unless_told_otherwise_is_not_fine() {
    let of = |name: &str, text: String, check: &str| Case::worker(&[(name, &text)]).of(check);
    let server = |more: &str| format!("{SERVER}{more}");
    let crypto = "vpn-no-weak-cryptography";
    // OpenVPN 2.5 accepts TLS 1.0.
    assert_eq!(of("gw/server.conf", server(""), crypto), Verdict::Unknown);
    assert_eq!(of("gw/server.conf", server("tls-version-min 1.2\n"), crypto), Verdict::Holds);
    for more in ["tls-cert-profile insecure", "tls-cipher DEFAULT:@SECLEVEL=0", "data-ciphers-fallback BF-CBC", "cipher none"] {
        assert_eq!(of("gw/server.conf", server(&format!("tls-version-min 1.2\n{more}\n")), crypto), Verdict::Violated, "{more}");
    }
    for more in ["verify-client-cert none\n", "client-cert-not-required\n"] {
        assert_eq!(of("gw/server.conf", server(more), "vpn-certificates-are-not-shared"), Verdict::Violated, "{more}");
    }
    for line in ["remote-cert-ku 80", "remote-cert-eku \"TLS Web Client Authentication\"", "ns-cert-type client"] {
        let client = OVPN.replace("remote-cert-tls server", line);
        assert_eq!(of("anna/a.ovpn", client, "vpn-verifies-its-server"), Verdict::Violated, "{line}");
    }
}

#[test]
fn keys_and_certificates_that_were_not_read_are_not_fine() {
    let server = format!("{SERVER}tls-version-min 1.2\n");
    let client = format!("{OVPN}key /etc/openvpn/anna.key\n");
    let ccd = ("gw/ccd/anna", "ifconfig-push 10.8.0.9 255.255.255.0\n");
    let exclusive = format!("{server}client-config-dir ccd\nccd-exclusive\n");
    for (files, paired) in [
        (vec![("gw/server.conf", server.as_str()), ("anna/a.ovpn", &client)], Verdict::Unknown),
        (vec![("gw/server.conf", exclusive.as_str()), ccd, ("anna/a.ovpn", &client)], Verdict::Holds),
        (vec![("gw/server.conf", exclusive.as_str()), ("gw/ccd/zoe", ccd.1), ("anna/a.ovpn", &client)], Verdict::Violated),
    ] {
        let case = Case::worker(&files);
        assert_eq!(case.of("vpn-ends-belong-together"), paired, "{files:?}");
        assert_eq!(case.of("vpn-keys-are-unique"), Verdict::Unknown);
    }
}

#[test]
fn a_network_that_nobody_named_is_no_friend_of_customer_data() {
    let zones = "zones: { internet: { addresses: public, on: { edge: eth0 } }, office: { addresses: 10.2.0.0/24 }, \
                 customer-data: { addresses: 10.1.9.9 } }";
    let address = "2: eth0: <UP> mtu 1500\n    inet 203.0.113.2/24 scope global eth0\n3: eth1: <UP> mtu 1500\n    inet 10.1.0.1/16 scope global eth1\n\
                   4: eth2: <UP> mtu 1500\n    inet 10.2.0.1/24 scope global eth2\n5: eth5: <UP> mtu 1500\n    inet 10.66.0.1/24 scope global eth5\n";
    for (interface, verdict) in [("eth5", Verdict::Violated), ("eth2", Verdict::Holds)] {
        let rules = filter("", &format!("iifname \"{interface}\" accept"));
        let case = Case { uses: "customer-data", baseline: zones, files: &[("edge/r.nft", &rules), ("edge/ip-addr.txt", address)] };
        assert_eq!(case.of("customer-data-only-for-named-zones"), verdict, "{interface}");
    }
}

#[test]
fn a_zone_on_a_device_that_was_not_read_is_said() {
    let baseline = "zones: { internet: { addresses: public, on: { egde: eth0 } } }";
    let rules = filter("", "");
    let case = Case { uses: "network-edge", baseline, files: &[("edge/r.nft", &rules)] };
    assert_eq!(case.of("zones-are-on-known-devices"), Verdict::Unknown);
}

#[test]
fn a_folder_that_is_included_and_was_not_exported_keeps_the_analysis_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let incomplete = |files: &[(&str, &str)]| {
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        !judging::judge_at(folder.path(), AS_OF).report.incomplete.is_empty()
    };
    let rules = format!("include \"/etc/nftables.d/*.nft\"\n{}", filter("", ""));
    let baseline = format!("fwproof: 1\ntitle: t\nuse: network-edge\n{INTERNET}\n");
    assert!(incomplete(&[("baseline.yaml", &baseline), ("edge/etc/nftables.conf", &rules)]));
    // A pattern that matches nothing in a folder that is there is fine, as for nft.
    assert!(!incomplete(&[("edge/etc/nftables.d/README.md", "nothing here")]));
}

#[test]
fn a_set_that_is_not_defined_does_not_load() {
    let rules = filter("ip saddr @nope accept", "");
    assert_eq!(Case::edge(&[("edge/r.nft", &rules)]).of("rules-are-loadable"), Verdict::Violated);
    let iptables = "*filter\n:INPUT DROP [0:0]\n-A INPUT -m set --match-set nope src -j ACCEPT\nCOMMIT\n";
    assert_eq!(Case::edge(&[("edge/r.v4", iptables)]).of("rules-are-loadable"), Verdict::Unknown);
}

#[test]
fn a_rule_for_connections_of_every_state_is_for_everything() {
    let rules = filter("ct state new,established,related accept", "");
    assert_eq!(Case::edge(&[("edge/r.nft", &rules)]).of("no-any-to-any"), Verdict::Violated);
}

/// Rules of a host that no finding speaks against, as `nft list table` or a person would write them.
fn quiet() -> String {
    filter("ct state established,related accept", "ct state established,related accept")
}

#[test]
fn a_part_of_a_ruleset_does_not_say_what_passes_where_it_has_no_chain() {
    let table = |head: &str, note: &str| {
        format!("{head}table inet own {{\n{note}  chain output {{\n    type filter hook output priority 0; policy drop;\n  }}\n}}\n")
    };
    for (path, rules) in [
        ("edge/r.nft", "add rule inet filter input tcp dport 22 accept\n".to_owned()),
        ("edge/r.nft", "insert rule ip filter input accept\n".into()),
        ("edge/r.nft", "table inet filter {\n  chain input {\n    tcp dport 22 accept\n  }\n}\n".into()),
        ("edge/r.nft", table("define lan = 10.0.0.0/8\n", "")),
        ("edge/r.nft", table("", "  # what goes out\n")),
        ("edge/r.nft", table("table inet own\ndelete table inet own\n", "")),
        ("edge/etc/nftables.d/10-own.nft", table("", "")),
        (
            "edge/r.json",
            r#"{"nftables": [{"add": {"rule": {"family": "inet", "table": "f", "chain": "i", "expr": [{"accept": null}]}}}]}"#.into(),
        ),
    ] {
        let good = quiet();
        let files = [("core/r.nft", good.as_str()), (path, rules.as_str())];
        assert_eq!(Case::edge(&files).of("inbound-default-deny"), Verdict::Unknown, "{path}: {rules}");
    }
    // What was loaded before is gone: these are all the rules.
    let whole = table("#!/usr/sbin/nft -f\ndefine lan = 10.0.0.0/8\nflush ruleset\n", "  # what goes out\n");
    assert_eq!(Case::edge(&[("edge/r.nft", &whole)]).of("inbound-default-deny"), Verdict::Violated);
}

#[test]
fn ipv6_of_a_host_that_exported_ipv4_alone_is_not_known() {
    let rules = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
    for check in ["inbound-default-deny", "forward-default-deny", "ipv6-no-wider-than-ipv4"] {
        assert_eq!(Case::edge(&[("edge/rules.v4", rules)]).of(check), Verdict::Unknown, "{check}");
        let both = [("edge/rules.v4", rules), ("edge/rules.v6", rules)];
        assert_eq!(Case::edge(&both).of(check), Verdict::Holds, "{check}");
    }
}

#[test]
fn a_host_firewall_for_ipv4_alone_is_half_of_one() {
    let four = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
    let of = |files: &[(&str, &str)]| Case::worker(files).of("worker-has-host-firewall");
    assert_eq!(of(&[("anna/rules.v4", four)]), Verdict::Unknown);
    assert_eq!(of(&[("anna/rules.v4", four), ("anna/rules.v6", four)]), Verdict::Holds);
    let open = four.replace("INPUT DROP", "INPUT ACCEPT");
    assert_eq!(of(&[("anna/rules.v4", four), ("anna/rules.v6", &open)]), Verdict::Violated);
    assert_eq!(of(&[("anna/fw.nft", "table ip f { chain i { type filter hook input priority 0; policy drop; } }")]), Verdict::Violated);
    let no_six = "net.ipv6.conf.all.disable_ipv6 = 1\n";
    assert_eq!(of(&[("anna/rules.v4", four), ("anna/sysctl.txt", no_six)]), Verdict::Holds);
}

#[test]
fn what_passes_until_a_rate_is_exceeded_passes() {
    let input = |rule: &str| filter(rule, "");
    for (rule, verdict) in [
        ("limit rate 10/minute accept", Verdict::Violated),
        ("limit rate over 10/minute drop; accept", Verdict::Violated),
        ("ct state new limit rate 400/second burst 100 packets accept", Verdict::Violated),
        ("ct count over 20 reject; accept", Verdict::Violated),
        ("limit rate over 10/minute accept", Verdict::Unknown),
        ("limit rate 10/minute drop; accept", Verdict::Unknown),
        // Perhaps no packet is as small as this bucket.
        ("limit rate 10 bytes/second accept", Verdict::Unknown),
        ("limit rate 10/minute meta cpu 3 accept", Verdict::Unknown),
    ] {
        assert_eq!(Case::edge(&[("edge/r.nft", &input(rule))]).of("inbound-default-deny"), verdict, "{rule}");
    }
    for (matches, verdict) in [
        ("-m limit --limit 3/minute", Verdict::Violated),
        ("-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name a", Verdict::Violated),
        ("-m connlimit --connlimit-upto 8", Verdict::Violated),
        ("-m hashlimit --hashlimit-upto 5kb/s --hashlimit-mode srcip --hashlimit-name a", Verdict::Unknown),
        ("-m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip --hashlimit-name a", Verdict::Unknown),
        ("-m connlimit ! --connlimit-above 8", Verdict::Unknown),
        ("-m limit --limit 3/minute -m u32 --u32 0=1", Verdict::Unknown),
    ] {
        let rules = format!("*filter\n:INPUT DROP [0:0]\n-A INPUT {matches} -j ACCEPT\nCOMMIT\n");
        let six = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n";
        assert_eq!(Case::edge(&[("edge/r.v4", &rules), ("edge/r.v6", six)]).of("inbound-default-deny"), verdict, "{matches}");
    }
}

#[test]
fn what_must_pass_does_not_pass_for_certain_at_a_limited_rate() {
    let checks = "checks:\n  - { id: web, title: t, severity: high, why: w, fix: f, flow: { from: any, to: firewall, service: tcp/443, must: pass } }";
    let baseline = format!("{INTERNET}\n{checks}");
    for (rule, verdict) in [("limit rate 10/minute accept", Verdict::Unknown), ("limit rate over 10/minute drop; accept", Verdict::Unknown)]
    {
        let rules = filter(rule, "");
        let case = Case { uses: "network-edge", baseline: &baseline, files: &[("edge/r.nft", &rules)] };
        assert_eq!(case.of("web"), verdict, "{rule}");
    }
}

#[test]
fn a_routing_table_that_rules_choose_leads_to_the_internet_too() {
    let rules = filter("iifname \"wwan0\" accept", "");
    let address = "2: eth0: <UP> mtu 1500\n    inet 203.0.113.2/24 scope global eth0\n3: eth1: <UP> mtu 1500\n    inet 10.1.0.1/16 scope global eth1\n\
                   4: wwan0: <UP> mtu 1500\n    inet 198.51.100.9/24 scope global wwan0\n";
    let main = "default via 203.0.113.1 dev eth0\n10.1.0.0/16 dev eth1 proto kernel scope link src 10.1.0.1\n";
    let tables = format!("{main}default via 198.51.100.1 dev wwan0 table 100\n");
    let v6 = "default via fe80::1 dev eth0\n";
    let chosen =
        "0:\tfrom all lookup local\n100:\tfrom all fwmark 0x1 lookup 100\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n";
    let usual = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n";
    for (routes, rule, verdict) in [
        (main, usual, Verdict::Holds),
        (&tables, usual, Verdict::Holds),
        (&tables, chosen, Verdict::Violated),
        (main, chosen, Verdict::Unknown),
        (
            main,
            "0:\tfrom all lookup local\n1000:\tfrom all lookup [l3mdev-table]\n32766:\tfrom all lookup main\n32767: from all lookup default\n",
            Verdict::Unknown,
        ),
    ] {
        let files = [
            ("edge/r.nft", rules.as_str()),
            ("edge/ip-addr.txt", address),
            ("edge/ip-route.txt", routes),
            ("edge/ip-6-route.txt", v6),
            ("edge/ip-rule.txt", rule),
        ];
        assert_eq!(Case::edge(&files).of("inbound-default-deny"), verdict, "{routes}{rule}");
    }
    // Without a list of rules, a table that is there is used by some.
    let files =
        [("edge/r.nft", rules.as_str()), ("edge/ip-addr.txt", address), ("edge/ip-route.txt", &tables), ("edge/ip-6-route.txt", v6)];
    assert_eq!(Case::edge(&files).of("inbound-default-deny"), Verdict::Violated);
}

#[test]
fn what_a_transparent_proxy_takes_for_its_own_reaches_the_input() {
    let rules = filter("ip daddr 192.0.2.0/24 tcp dport 8080 accept", "");
    let address = "2: eth0: <UP> mtu 1500\n    inet 203.0.113.2/24 scope global eth0\n";
    let chosen =
        "0:\tfrom all lookup local\n100:\tfrom all fwmark 0x1 lookup 100\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n";
    let proxy = "default via 203.0.113.1 dev eth0\nlocal default dev lo table 100\n";
    let plain = "default via 203.0.113.1 dev eth0\ndefault dev eth0 table 100\n";
    let checks =
        "checks:\n  - { id: closed, title: t, severity: high, why: w, fix: f, flow: { from: untrusted, to: firewall, service: tcp/8080 } }";
    let baseline = format!("{INTERNET}\n{checks}");
    for (routes, verdict) in [(plain, Verdict::Holds), (proxy, Verdict::Violated)] {
        let files = [
            ("edge/r.nft", rules.as_str()),
            ("edge/ip-addr.txt", address),
            ("edge/ip-route.txt", routes),
            ("edge/ip-6-route.txt", "default via fe80::1 dev eth0\n"),
            ("edge/ip-rule.txt", chosen),
        ];
        let case = Case { uses: "network-edge", baseline: &baseline, files: &files };
        assert_eq!(case.of("closed"), verdict, "{routes}");
    }
}

#[test]
fn a_table_of_the_bridge_may_drop_what_comes_over_a_bridge() {
    let bridge = |policy: &str, rule: &str| {
        format!("table bridge b {{\n  chain i {{\n    type filter hook input priority 0; policy {policy};\n    {rule}\n  }}\n}}\n")
    };
    let checks = "checks:\n  - { id: web, title: t, severity: high, why: w, fix: f, flow: { from: any, to: firewall, service: tcp/443, must: pass } }\n\
                    \u{20} - { id: shut, title: t, severity: high, why: w, fix: f, flow: { from: any, to: firewall, service: tcp/22 } }";
    let baseline = format!("{INTERNET}\n{checks}");
    let rules = filter("tcp dport 443 accept", "");
    for (policy, rule, verdict) in [
        ("accept", "counter", Verdict::Holds),
        ("accept", "ether saddr 02:00:00:00:00:01 accept", Verdict::Holds),
        ("drop", "", Verdict::Unknown),
        ("accept", "ether saddr 02:00:00:00:00:01 drop", Verdict::Unknown),
    ] {
        let text = format!("{}{rules}", bridge(policy, rule));
        let case = Case { uses: "network-edge", baseline: &baseline, files: &[("edge/r.nft", &text)] };
        assert_eq!(case.of("web"), verdict, "{policy} {rule}");
        assert_eq!(case.of("shut"), Verdict::Holds);
    }
}

#[test]
fn a_bit_of_a_mark_is_what_the_rules_made_it() {
    // As a VPN of the mesh kind writes it: only what came in over the tunnel is sent on.
    let rules = |mark: &str| {
        format!(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:ts-forward - [0:0]\n-A FORWARD -j ts-forward\n\
             -A ts-forward -i tail0 -j MARK --set-xmark 0x40000/0xff0000\n-A ts-forward -m mark --mark {mark} -j ACCEPT\nCOMMIT\n"
        )
    };
    let six = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\nCOMMIT\n";
    let baseline = "zones: { internet: { addresses: public, on: { edge: eth0 } } }";
    for (mark, verdict) in [("0x40000/0xff0000", Verdict::Holds), ("0/0x40000", Verdict::Violated), ("0x1/0x1", Verdict::Holds)] {
        let rules = rules(mark);
        let case = Case { uses: "network-edge", baseline, files: &[("edge/r.v4", &rules), ("edge/r.v6", six)] };
        assert_eq!(case.of("forward-default-deny"), verdict, "{mark}");
    }
    let nft = |asked: &str| {
        let mark = "iifname \"tail0\" meta mark set meta mark & 0xff00ffff | 0x40000";
        filter("", &format!("{mark}; meta mark & {asked} accept"))
    };
    for (asked, verdict) in [("0xff0000 == 0x40000", Verdict::Holds), ("0xff0000 != 0x40000", Verdict::Violated)] {
        let rules = nft(asked);
        let case = Case { uses: "network-edge", baseline, files: &[("edge/r.nft", &rules)] };
        assert_eq!(case.of("forward-default-deny"), verdict, "{asked}");
    }
}

/// An OPNsense whose outer interface asks for its address, with these rules.
fn asking(rules: &str) -> String {
    format!(
        "<opnsense><system><webgui><protocol>https</protocol></webgui><ipv6allow>1</ipv6allow></system><interfaces>\
         <wan><enable>1</enable><if>em0</if><ipaddr>dhcp</ipaddr><ipaddrv6>dhcp6</ipaddrv6><blockpriv>1</blockpriv><blockbogons>1</blockbogons></wan>\
         <lan><enable>1</enable><if>em1</if><ipaddr>10.1.0.1</ipaddr><subnet>24</subnet></lan></interfaces><filter>{rules}</filter></opnsense>"
    )
}

#[test]
fn what_a_firewall_lets_in_by_itself_and_nobody_can_close_is_no_finding_and_what_people_write_is() {
    let checks = [
        "firewall-closed-to-internet",
        "inside-closed-to-internet",
        "spoofed-sources-refused",
        "invalid-packets-dropped",
        "inbound-default-deny",
    ];
    let text = asking("");
    for check in checks {
        assert_eq!(Case::edge(&[("edge/config.xml", &text)]).of(check), Verdict::Holds, "{check}");
    }
    // The same packets, let in by a rule that somebody wrote.
    let written = asking(
        "<rule><type>pass</type><interface>wan</interface><ipprotocol>inet</ipprotocol><protocol>udp</protocol><source><any/></source>\
         <destination><any/><port>68</port></destination></rule>",
    );
    for check in ["firewall-closed-to-internet", "inside-closed-to-internet"] {
        assert_eq!(Case::edge(&[("edge/config.xml", &written)]).of(check), Verdict::Violated, "{check}");
    }
}

#[test]
fn a_kernel_setting_is_asked_of_hosts_and_not_of_appliances() {
    let text = asking("");
    assert_eq!(Case::edge(&[("edge/config.xml", &text)]).of("source-routing-off"), Verdict::NotApplicable);
    assert_eq!(Case::edge(&[("edge/r.nft", &filter("", ""))]).of("source-routing-off"), Verdict::Unknown);
}

#[test]
fn a_rule_for_all_addresses_of_a_family_is_one_from_anywhere_to_anywhere() {
    let any = |what: &str| {
        format!(
            "#config-version=FGT40F-7.4.8-FW-build2795-250523:opmode=0:vdom=0:user=admin\nconfig system interface\n    edit \"wan1\"\n        set ip 192.0.2.2 255.255.255.0\n    next\n\
             edit \"lan\"\n        set ip 10.1.0.1 255.255.255.0\n    next\nend\nconfig firewall policy\n    edit 1\n        set srcintf {what}\n        set dstintf \"any\"\n        set action accept\n\
             set srcaddr \"all\"\n        set dstaddr \"all\"\n        set schedule \"always\"\n        set service \"ALL\"\n    next\nend\n"
        )
    };
    assert_eq!(Case::edge(&[("edge/f.conf", &any("\"any\""))]).of("no-any-to-any"), Verdict::Violated);
    assert_eq!(Case::edge(&[("edge/f.conf", &any("\"lan\""))]).of("no-any-to-any"), Verdict::Holds);
    let floating = "<rule><type>pass</type><floating>yes</floating><quick>1</quick><direction>in</direction><ipprotocol>inet</ipprotocol><source><any/></source>\
                    <destination><any/></destination></rule>";
    assert_eq!(Case::edge(&[("edge/config.xml", &asking(floating))]).of("no-any-to-any"), Verdict::Violated);
    let udp = floating.replace("<source>", "<protocol>udp</protocol><source>");
    assert_eq!(Case::edge(&[("edge/config.xml", &asking(&udp))]).of("no-any-to-any"), Verdict::Holds);
    assert_eq!(Case::edge(&[("edge/r.nft", &filter("", "ip saddr 0.0.0.0/0 accept"))]).of("no-any-to-any"), Verdict::Violated);
    assert_eq!(Case::edge(&[("edge/r.nft", &filter("", "ip saddr 0.0.0.0/1 accept"))]).of("no-any-to-any"), Verdict::Holds);
}

#[test]
fn multicast_router_discovery_may_be_untracked_or_invalid_depending_on_the_kernel() {
    use fwproof::eval::flow::{Query, Want, passing};
    use fwproof::eval::{Analysis, Way};
    use fwproof::net::Family;
    use fwproof::packets::{Cube, Field};
    for state in ["untracked", "invalid"] {
        let rules = filter(&format!("ct state {state} accept"), "");
        let device = fwproof::vendors::format("nftables").unwrap().read_text("r.nft", &rules).1.device;
        let analysis = Analysis::new(&device, &[], &fwproof::source::Limits::default());
        let found = passing(&analysis, Query::new(Way::Input, Family::V6, Want::Accepted), &[Cube::any()], &[Cube::any()]).unwrap();
        let passes = |kind: u128| found.iter().any(|p| p.arriving.field(Field::Icmp).is_some_and(|s| s.contains(kind << 8)));
        assert!(passes(151) && passes(152), "{state}");
        assert_eq!((passes(153), passes(135)), (state == "invalid", state == "untracked"));
    }
}
