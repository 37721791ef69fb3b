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
    for empty in ["flush ruleset\n", &format!("{good}delete table inet filter\n"), &good.replace("filter {", "filter {\n  flags dormant")] {
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
