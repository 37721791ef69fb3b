//! What VyOS and EdgeOS do with single packets, construct by construct.
#![allow(missing_docs)]

use fwproof::diag::LineState;
use fwproof::eval::walk::{Outcome, Walked, walk};
use fwproof::eval::{Analysis, trace};
use fwproof::model::Device;
use fwproof::packets::Field;
use fwproof::packets::fields::addr_type;
use fwproof::source::Limits;
use fwproof::vendors::{self, Reading};
use serde_json::{Value, json};

use Outcome::{Accept, Drop, Reject, Unknown};

fn reading(text: &str) -> Reading {
    vendors::format("vyos").expect("the format").read_text("config.boot", text).1
}

fn device(text: &str) -> Device {
    reading(text).device
}

/// `"tcp 443 eth0>eth1 1.2.3.4 5.6.7.8"`, with ` local` behind it if the destination is an address of the router; `"… eth0> …"` to the router, `"… >eth0 …"` from it.
fn packet(text: &str) -> Value {
    let w: Vec<&str> = text.split_whitespace().collect();
    let (iif, oif) = w[2].split_once('>').expect("interfaces");
    let hook = match (iif.is_empty(), oif.is_empty()) {
        (false, false) => "forward",
        (false, true) => "input",
        _ => "output",
    };
    let mut p = json!({ "hook": hook, "src": w[3], "dst": w[4], "proto": w[0] });
    if !iif.is_empty() {
        p["iif"] = iif.into();
    }
    if !oif.is_empty() {
        p["oif"] = oif.into();
    }
    if let Ok(port) = w[1].parse::<u16>() {
        p["dport"] = port.into();
    }
    for more in w[5..].iter().filter(|m| m.contains('=')) {
        let (key, value) = more.split_once('=').expect("a field");
        p[key] = value.into();
    }
    p
}

fn walked(device: &Device, text: &str) -> Walked {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let (way, family, mut p) = trace::read_packet(&packet(text), &analysis.space).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    if text.ends_with(" local") {
        p.set(Field::DstType, addr_type::LOCAL);
    }
    walk(&analysis, way, family, &p, None, None, false)
}

fn all(device: &Device, expected: &[(&str, Outcome)]) {
    for (text, outcome) in expected {
        assert_eq!(walked(device, text).verdict, *outcome, "{text}");
    }
}

const PORTS: &str = "set interfaces ethernet eth0 address 203.0.113.2/24\nset interfaces ethernet eth1 address 10.1.0.1/16\n\
                     set interfaces ethernet eth2 address 192.0.2.1/24\nset system host-name gate\n";

/// A configuration with the interfaces above, and rules: `@` stands for a ruleset of the name `A` that is bound to what arrives on eth0.
fn old(rules: &str) -> Device {
    device(&format!("{PORTS}{}set interfaces ethernet eth0 firewall in name A\n", rules.replace('@', "set firewall name A")))
}

/// The same for what is forwarded by a release with hooks.
fn new(rules: &str) -> Device {
    device(&format!("{PORTS}{}", rules.replace('@', "set firewall ipv4 forward filter")))
}

#[test]
fn what_is_bound_to_nothing_passes_and_a_ruleset_drops_what_it_does_not_meet() {
    all(
        &old("@ rule 10 action accept\n@ rule 10 protocol tcp\n@ rule 10 destination port 80\n"),
        &[
            ("tcp 80 eth0>eth1 1.2.3.4 10.1.0.9", Accept),
            ("tcp 81 eth0>eth1 1.2.3.4 10.1.0.9", Drop),
            // `in` is about what is forwarded, and a ruleset of IPv4 about IPv4 alone.
            ("tcp 81 eth0> 1.2.3.4 203.0.113.2", Accept),
            ("tcp 81 eth0>eth1 2001:db8::1 2001:db8::2", Accept),
            ("tcp 81 eth1>eth0 10.1.0.9 1.2.3.4", Accept),
        ],
    );
}

#[test]
fn the_departure_interface_is_asked_after_the_arrival_interface_has_accepted() {
    let d = device(&format!(
        "{PORTS}set firewall name IN default-action accept\nset firewall name OUT default-action reject\nset firewall name OUT rule 1 action accept\n\
         set firewall name OUT rule 1 source address 10.1.0.0/24\nset interfaces ethernet eth1 firewall in name IN\n\
         set interfaces ethernet eth0 firewall out name OUT\n"
    ));
    all(
        &d,
        &[
            ("tcp 80 eth1>eth0 10.1.0.9 1.2.3.4", Accept),
            ("tcp 80 eth1>eth0 10.1.1.9 1.2.3.4", Reject),
            ("tcp 80 eth1>eth2 10.1.1.9 192.0.2.9", Accept),
        ],
    );
}

#[test]
fn in_the_first_releases_of_1_4_accepting_after_a_jump_only_goes_back() {
    // `accept` was `return` there: the ruleset that jumped goes on with its next rule.
    let d = device(&format!(
        "{PORTS}set firewall interface eth0 in name A\nset firewall name A rule 10 action jump\nset firewall name A rule 10 jump-target B\n\
         set firewall name A rule 20 action drop\nset firewall name A rule 20 destination address 10.1.0.9\nset firewall name A rule 30 action accept\n\
         set firewall name B rule 10 action accept\nset firewall name B default-action return\n"
    ));
    all(&d, &[("tcp 80 eth0>eth1 1.2.3.4 10.1.0.9", Drop), ("tcp 80 eth0>eth1 1.2.3.4 10.1.0.8", Accept)]);
    // Since the hooks it ends the chain.
    let d = new("@ rule 10 action jump\n@ rule 10 jump-target B\n@ rule 20 action drop\nset firewall ipv4 name B rule 10 action accept\n\
         set firewall ipv4 name B rule 10 destination address 10.1.0.9\nset firewall ipv4 name B default-action return\n");
    all(&d, &[("tcp 80 eth0>eth1 1.2.3.4 10.1.0.9", Accept), ("tcp 80 eth0>eth1 1.2.3.4 10.1.0.8", Drop)]);
}

#[test]
fn zones_drop_what_they_are_not_given_and_interfaces_in_no_zone_are_open() {
    let d = device(&format!(
        "{PORTS}set zone-policy zone OUT interface eth0\nset zone-policy zone OUT from IN firewall name A\nset zone-policy zone IN interface eth1\n\
         set zone-policy zone ME local-zone\nset zone-policy zone ME from IN firewall name A\nset firewall name A default-action accept\n"
    ));
    all(
        &d,
        &[
            ("tcp 80 eth1>eth0 10.1.0.9 1.2.3.4", Accept),
            ("tcp 80 eth0>eth1 1.2.3.4 10.1.0.9", Drop),
            // eth2 is in no zone.
            ("tcp 80 eth2>eth0 192.0.2.9 1.2.3.4", Drop),
            ("tcp 80 eth0>eth2 1.2.3.4 192.0.2.9", Accept),
            ("tcp 22 eth1> 10.1.0.9 10.1.0.1", Accept),
            ("tcp 22 eth0> 1.2.3.4 203.0.113.2", Drop),
            ("tcp 80 eth1>eth0 2001:db8::9 2001:db8::1", Drop),
            ("tcp 80 eth1>eth1 10.1.0.9 10.1.0.8", Accept),
            // No zone has a ruleset for what the router itself sends: it is not asked.
            ("tcp 80 >eth0 203.0.113.2 1.2.3.4", Accept),
        ],
    );
}

#[test]
fn a_vrf_in_a_zone_may_or_may_not_hold_a_packet() {
    let d = device(&format!(
        "{PORTS}set firewall zone A member vrf RED\nset firewall zone A from B firewall name X\nset firewall zone B member interface eth1\n\
         set firewall ipv4 name X default-action drop\n"
    ));
    assert_eq!(walked(&d, "tcp 80 eth1>eth0 10.1.0.9 1.2.3.4").verdict, Unknown);
}

#[test]
fn a_negated_list_of_ports_means_the_whole_list_before_1_4_and_each_port_since() {
    let rules = "@ default-action drop\n@ rule 1 action accept\n@ rule 1 protocol tcp\n@ rule 1 destination port '!22,80'\n";
    all(&old(rules), &[("tcp 80 eth0>eth1 1.2.3.4 10.1.0.9", Drop), ("tcp 443 eth0>eth1 1.2.3.4 10.1.0.9", Accept)]);
    all(&new(rules), &[("tcp 80 eth0>eth1 1.2.3.4 10.1.0.9", Accept), ("tcp 443 eth0>eth1 1.2.3.4 10.1.0.9", Drop)]);
}

#[test]
fn a_port_forwarding_to_an_address_that_comes_by_dhcp_takes_what_no_other_interface_has() {
    let d = device(
        "set interfaces ethernet eth0 address dhcp\nset interfaces ethernet eth1 address 10.1.0.1/16\nset system host-name edge\n\
         set firewall name W default-action drop\nset interfaces ethernet eth0 firewall in name W\nset port-forward auto-firewall enable\n\
         set port-forward wan-interface eth0\nset port-forward lan-interface eth1\nset port-forward rule 1 forward-to address 10.1.0.80\n\
         set port-forward rule 1 original-port 443\nset port-forward rule 1 protocol tcp\n",
    );
    let open = walked(&d, "tcp 443 eth0>eth1 1.2.3.4 198.51.100.9 local");
    assert_eq!(open.verdict, Accept);
    all(
        &d,
        &[
            ("tcp 444 eth0>eth1 1.2.3.4 198.51.100.9 local", Drop),
            ("tcp 443 eth0>eth1 1.2.3.4 10.1.0.80", Accept),
            ("tcp 443 eth0>eth1 1.2.3.4 10.1.0.81", Drop),
        ],
    );
}

#[test]
fn what_is_not_modelled_may_or_may_not_hold() {
    for more in [
        "time starttime 08:00:00",
        "limit rate 5/second",
        "recent count 4",
        "ipsec match-ipsec",
        "p2p all",
        "source group domain-group SHOPS",
        "source geoip country-code de",
        "source group network-group GONE",
        "protocol carrier-pigeon",
        "destination port 80",
        "something-new yes",
    ] {
        let d = old(&format!("@ rule 1 action accept\n@ rule 1 {more}\n"));
        assert_eq!(walked(&d, "tcp 80 eth0>eth1 1.2.3.4 10.1.0.9").verdict, Unknown, "{more}");
    }
    for action in ["queue", "inspect", "synproxy", "teleport"] {
        let d = new(&format!("@ rule 1 action {action}\n@ default-action drop\n"));
        assert_eq!(walked(&d, "tcp 80 eth0>eth1 1.2.3.4 10.1.0.9 ct=invalid").verdict, Unknown, "{action}");
    }
}

#[test]
fn what_comes_out_of_ipsec_is_the_same_condition_everywhere() {
    let d = new(
        "@ default-action drop\n@ rule 1 action accept\n@ rule 1 ipsec match-ipsec-in\n@ rule 2 action accept\n@ rule 2 ipsec match-none-in\n",
    );
    assert_eq!(walked(&d, "tcp 80 eth0>eth1 1.2.3.4 10.1.0.9").verdict, Accept);
}

#[test]
fn masks_with_gaps_mean_the_addresses_that_they_leave() {
    let d = new("@ default-action drop\n@ rule 1 action accept\n@ rule 1 destination address 10.1.0.5\n\
         @ rule 1 destination address-mask 255.255.1.255\nset firewall ipv6 forward filter default-action drop\n\
         set firewall ipv6 forward filter rule 1 action accept\nset firewall ipv6 forward filter rule 1 destination address ::0:0:0:5\n\
         set firewall ipv6 forward filter rule 1 destination address-mask ::ffff:ffff:ffff:ffff\n");
    all(&d, &[("tcp 80 eth0>eth1 1.2.3.4 10.1.2.5", Accept), ("tcp 80 eth0>eth1 1.2.3.4 10.1.1.5", Drop)]);
    // A mask that keeps the end alone leaves more ranges than are counted: it may or may not hold.
    assert_eq!(walked(&d, "tcp 80 eth0>eth1 2001:db8::1 2001:db8::5").verdict, Unknown);
}

#[test]
fn translation_goes_by_the_numbers_of_rules_and_the_filter_sees_what_came_of_it() {
    let d = device(&format!(
        "{PORTS}{}set firewall ipv4 forward filter default-action drop\nset firewall ipv4 forward filter rule 1 action accept\n\
         set firewall ipv4 forward filter rule 1 protocol tcp\nset firewall ipv4 forward filter rule 1 destination address 10.1.0.10\n\
         set firewall ipv4 forward filter rule 1 destination port 8443\n",
        "@ 20 inbound-interface name eth0\n@ 20 destination address 203.0.113.2\n@ 20 translation address 10.1.0.20\n\
         @ 10 inbound-interface name eth0\n@ 10 protocol tcp\n@ 10 destination address 203.0.113.2\n@ 10 destination port 443\n\
         @ 10 translation address 10.1.0.10\n@ 10 translation port 8443\n@ 5 source address 198.51.100.0/24\n@ 5 exclude\n"
            .replace('@', "set nat destination rule")
    ));
    all(
        &d,
        &[
            ("tcp 443 eth0>eth1 1.2.3.4 203.0.113.2", Accept),
            ("tcp 8443 eth0>eth1 1.2.3.4 203.0.113.2", Drop),
            ("tcp 443 eth0>eth1 198.51.100.7 203.0.113.2", Drop),
        ],
    );
}

#[test]
fn a_part_of_a_configuration_says_nothing_of_what_it_does_not_show() {
    let d = device("set nat source rule 10 outbound-interface eth0\nset nat source rule 10 translation address masquerade\n");
    assert!(!d.exhaustive && !d.management.exhaustive);
    assert!(device(PORTS).exhaustive);
}

#[test]
fn a_deactivated_block_is_left_out_and_said() {
    let r = reading(
        "firewall {\n    name A {\n        default-action accept\n!       rule 10 {\n            action drop\n        }\n    }\n}\n\
         interfaces {\n    ethernet eth0 {\n        firewall {\n            in {\n                name A\n            }\n        }\n    }\n}\n",
    );
    assert!(r.notes.iter().any(|n| n.state == LineState::Unsupported && n.text.contains("deactivated")));
    all(&r.device, &[("tcp 80 eth0>eth1 1.2.3.4 10.1.0.9", Accept)]);
}
