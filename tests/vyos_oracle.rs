//! Configurations of VyOS and EdgeOS let the same packets through as the nftables and iptables rule sets that the system makes of them.
#![allow(missing_docs, clippy::print_stderr)]

mod equal_sets;

use fwproof::model::Device;
use fwproof::vendors;

fn read(id: &str, name: &str, text: &str) -> Device {
    let (_, reading) = vendors::format(id).expect("a format").read_text(name, text);
    let bad: Vec<&str> = reading.notes.iter().map(|n| n.text.as_str()).collect();
    assert!(bad.is_empty(), "{name}: {bad:#?}");
    reading.device
}

/// Requires equal sets. The rule set is of the same host: it has its interfaces, routes and tunnels, and shows all there is.
fn equal(name: &str, ours: &Device, mut theirs: Device) {
    theirs.interfaces.clone_from(&ours.interfaces);
    theirs.routes.clone_from(&ours.routes);
    theirs.tunnels.clone_from(&ours.tunnels);
    theirs.exhaustive = true;
    let (found, compared, left) = equal_sets::differences(("the configuration", ours), ("the rule set", &theirs));
    assert!(found.is_empty(), "{name}: {found:#?}");
    assert_eq!(left, 0, "{name}: nothing turns on a condition");
    eprintln!("{name}: {compared} pairs of sets");
}

#[test]
fn the_firewall_of_1_5_is_the_nftables_rule_set_that_vyos_makes() {
    let ours = read("vyos", "office.set", include_str!("fixtures/vyos/office-1.5.set"));
    let theirs = read("nftables", "office.nft", include_str!("fixtures/vyos/office-1.5.nft"));
    equal("1.5", &ours, theirs);
}

fn iptables(v4: &str, v6: &str) -> Device {
    let mut device = read("iptables", "rules.v4", v4);
    device.absorb(read("iptables", "rules.v6", v6));
    device
}

#[test]
fn rulesets_on_interfaces_of_edgeos_are_the_iptables_rules_that_it_makes() {
    let ours = read("vyos", "config.boot", include_str!("fixtures/vyos/edgerouter.boot"));
    let theirs = iptables(include_str!("fixtures/vyos/edgerouter.rules"), include_str!("fixtures/vyos/edgerouter.rules6"));
    equal("EdgeOS", &ours, theirs);
}

#[test]
fn zones_of_1_3_are_the_iptables_rules_that_vyatta_makes() {
    let ours = read("vyos", "config.boot", include_str!("fixtures/vyos/zones-1.3.boot"));
    let theirs = iptables(include_str!("fixtures/vyos/zones-1.3.rules"), include_str!("fixtures/vyos/zones-1.3.rules6"));
    equal("1.3", &ours, theirs);
}
