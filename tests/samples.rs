//! The sample company and its mended copy.

mod judging;

use std::collections::BTreeSet;

use fwproof::diag::{LineState, Verdict};
use judging::{Judged, judge};

/// The day on which the samples are judged: attestations and exports grow old.
const AS_OF: &str = "2026-11-23";

/// What is wrong with the company: the check that must say so, the file, and words of the line at which it must point.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("customer-data-need-to-know", "edge-fw/ruleset.nft", "TEMP data migration"),
    ("no-expired-rule", "edge-fw/ruleset.nft", "TEMP data migration"),
    ("customer-data-need-to-know", "edge-fw/ruleset.nft", "tablet demo"),
    ("customer-data-encrypted-on-the-way", "edge-fw/ruleset.nft", "tcp dport 5432"),
    ("forward-default-deny", "edge-fw/ruleset.nft", "hook forward priority filter; policy accept"),
    ("customer-data-only-for-named-zones", "edge-fw/ruleset.nft", "hook forward priority filter; policy accept"),
    ("remote-control-closed-to-untrusted", "edge-fw/ruleset.nft", "RDP for the consultant"),
    ("ipv6-no-wider-than-ipv4", "edge-fw/ruleset.nft", "SSH management"),
    ("admin-closed-to-untrusted", "edge-fw/ruleset.nft", "SSH management"),
    ("no-shadowed-rule", "edge-fw/ruleset.nft", "no SSH from the office to the shop"),
    ("rules-are-documented", "edge-fw/ruleset.nft", "oifname \"eth0\" accept"),
    ("admin-closed-to-untrusted", "warehouse-fw/iptables-save.txt", "--match-set remote-admin src"),
    ("cleartext-from-internet", "warehouse-fw/iptables-save.txt", "camera recorder"),
    ("vpn-ends-belong-together", "vpn-gw/wg-staff.conf", "PublicKey"),
    ("vpn-peers-do-not-overlap", "vpn-gw/wg-staff.conf", "10.99.0.33/32"),
    ("vpn-peers-have-single-addresses", "vpn-gw/wg-staff.conf", "10.99.0.32/28"),
    ("vpn-no-weak-cryptography", "vpn-gw/server.conf", "BF-CBC"),
    ("vpn-no-weak-cryptography", "vpn-gw/server.conf", "dh1024"),
    ("vpn-no-weak-cryptography", "dev/acme.ovpn", "cipher BF-CBC"),
    ("vpn-no-weak-cryptography", "dev/acme.ovpn", "auth SHA1"),
    ("vpn-verifies-its-server", "farid/acme.ovpn", ""),
    ("vpn-takes-what-it-must", "ben/wg0.conf", "AllowedIPs = 0.0.0.0/0"),
    ("worker-inbound-default-deny", "ben/ip6tables-save.txt", ":INPUT ACCEPT"),
    ("worker-inbound-default-deny", "chloe/iptables-save.txt", ":INPUT ACCEPT"),
    ("worker-exports-are-fresh", "acme/staff.csv", "chloe"),
    ("worker-has-host-firewall", "acme/staff.csv", "farid"),
    ("vpn-keys-are-unique", "chloe/wg0.conf", "PrivateKey"),
    ("admin-closed-to-untrusted", "showroom-fw/config.xml", "TEMP the dealer helps"),
    ("no-expired-rule", "showroom-fw/config.xml", "<rule uuid="),
    ("inside-closed-to-strangers", "showroom-fw/config.xml", "<interface>wan</interface>"),
    ("port-forwards-are-documented", "showroom-fw/config.xml", "<rule>"),
    ("tills-stand-alone", "showroom-fw/config.xml", "guests surf"),
    ("administration-sessions-end", "showroom-fw/config.xml", "<protocol>https</protocol>"),
    ("administrators-are-bound", "showroom-fw/config.xml", "<name>root</name>"),
    ("admin-closed-to-untrusted", "branch-fw/fortigate.conf", "set allowaccess ping https ssh telnet"),
    ("administration-is-encrypted", "branch-fw/fortigate.conf", "set allowaccess ping https ssh telnet"),
    ("administrators-are-bound", "branch-fw/fortigate.conf", "edit \"admin\""),
    ("no-any-to-any", "branch-fw/fortigate.conf", "edit 7"),
    ("inside-closed-to-strangers", "branch-fw/fortigate.conf", "edit 6"),
    ("port-forwards-are-documented", "branch-fw/fortigate.conf", "edit \"phone-system\""),
    ("vpn-no-weak-cryptography", "branch-fw/fortigate.conf", "set proposal aes256-sha256 3des-sha1"),
    ("vpn-no-weak-cryptography", "branch-fw/fortigate.conf", "set dhgrp 14 2"),
    ("no-unused-object", "branch-fw/fortigate.conf", "old-isp-router"),
    ("docker-bypasses-worker-firewall", "hana/iptables-save.txt", "--dport 5432 -j DNAT"),
    ("worker-inbound-default-deny", "zones/home.xml", "target=\"ACCEPT\""),
    ("worker-has-host-firewall", "acme/staff.csv", "kofis-mac"),
    ("worker-firewall-on-everywhere", "kofis-mac-20261120T163011Z/socketfilterfw.txt", "Firewall is disabled"),
    ("worker-offers-no-remote-control", "kofis-mac-20261120T163011Z/listening.txt", "*.22"),
    ("worker-offers-no-remote-control", "JANA-LT-20261120T071502Z/listening.json", "3389"),
    ("worker-firewall-no-local-override", "JANA-LT-20261120T071502Z/firewall.json", "AllowLocalFirewallRules"),
];

fn at(judged: &Judged, finding: &fwproof::diag::Finding) -> (String, String) {
    let place = judged.place(finding);
    let file = judged.inventory.sources.get(finding.primary.span.file);
    let line = file.line(file.line_index(finding.primary.span.start)).to_owned();
    (place.rsplit_once(':').map(|(f, _)| f.to_owned()).unwrap_or(place), line)
}

#[test]
fn every_mistake_of_the_sample_company_is_found_at_its_line() {
    let judged = judge("samples/acme", AS_OF);
    assert!(judged.report.incomplete.is_empty(), "{:?}", judged.report.incomplete);
    for (check, file, words) in MISTAKES {
        let findings = judged.findings(check);
        let found = findings.iter().filter(|f| f.verdict == Verdict::Violated).map(|f| at(&judged, f));
        assert!(
            found.clone().any(|(path, line)| path == *file && line.contains(words)),
            "{check} must point at {words:?} in {file}; it points at {:#?}",
            found.collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_is_right_in_the_sample_company_is_no_finding() {
    let judged = judge("samples/acme", AS_OF);
    // The worker who has everything right, and two spellings that other tools take for holes.
    let blamed: BTreeSet<&str> = judged.report.checks.iter().flat_map(|c| &c.findings).filter_map(|f| f.device.as_deref()).collect();
    assert!(!blamed.contains("anna"), "{blamed:?}");
    for finding in judged.findings("vpn-takes-what-it-must") {
        assert_eq!(finding.device.as_deref(), Some("ben"), "0.0.0.0/1 with 128.0.0.0/1 is everything: {}", finding.message);
    }
    // A policy of accept that ends in an unconditional drop is default deny.
    let said: Vec<&str> = judged.findings("inbound-default-deny").iter().map(|f| f.message.as_str()).collect();
    assert_eq!(said, [""; 0]);
    let waived: Vec<_> = judged.findings("cleartext-to-internet").into_iter().filter(|f| f.waived.is_some()).collect();
    assert_eq!(waived.len(), 1);
}

#[test]
fn the_mended_company_holds() {
    let judged = judge("samples/acme-fixed", AS_OF);
    assert!(judged.report.incomplete.is_empty(), "{:?}", judged.report.incomplete);
    for check in judged.report.checks.iter().filter(|c| c.id != "check-switched-off") {
        let open: Vec<_> = check.findings.iter().filter(|f| f.waived.is_none()).map(|f| (judged.place(f), &f.message)).collect();
        assert!(open.is_empty(), "{}: {open:#?}", check.id);
        let fine = matches!(check.verdict, Verdict::Holds | Verdict::Attested | Verdict::NotApplicable);
        assert!(fine || !check.findings.is_empty(), "{}", check.id);
        let nothing_to_say = ["waiver-expired", "waiver-waives-nothing"].contains(&check.id.as_str());
        let not_shown = !check.inapplicable.is_empty();
        assert!(nothing_to_say || not_shown || !check.considered.is_empty(), "{} looked at nothing", check.id);
    }
}

#[test]
fn every_line_of_the_samples_is_understood_or_irrelevant_but_for_rate_limits() {
    for folder in ["samples/acme", "samples/acme-fixed"] {
        let judged = judge(folder, AS_OF);
        for file in &judged.report.files {
            for note in &file.notes {
                // A file of ufw beside what the kernel has.
                let superseded = note.state == LineState::Irrelevant;
                assert!(superseded || note.text.contains("limit"), "{}: {}", judged.inventory.sources.locate(note.span), note.text);
            }
        }
    }
}
