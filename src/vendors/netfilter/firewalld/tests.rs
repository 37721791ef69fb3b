use super::*;
use crate::diag::LineState;
use crate::model::{Action, Device, Match};
use crate::vendors::{Reading, detect};

const ZONE: &str = include_str!("../../../../tests/fixtures/firewalld/gate/etc/firewalld/zones/office.xml");
const OUTSIDE: &str = include_str!("../../../../tests/fixtures/firewalld/gate/etc/firewalld/zones/external.xml");
const SERVICE: &str = include_str!("../../../../tests/fixtures/firewalld/gate/etc/firewalld/services/ticketing.xml");
const SET: &str = include_str!("../../../../tests/fixtures/firewalld/gate/etc/firewalld/ipsets/printers.xml");
const POLICY: &str = include_str!("../../../../tests/fixtures/firewalld/gate/etc/firewalld/policies/office-out.xml");
const DIRECT: &str = include_str!("../../../../tests/fixtures/firewalld/gate/etc/firewalld/direct.xml");
const SETTINGS: &str = include_str!("../../../../tests/fixtures/firewalld/gate/etc/firewalld/firewalld.conf");
const LIST: &str = include_str!("../../../../tests/fixtures/firewalld/list-all.txt");
const ALONE: &str = include_str!("../../../../tests/fixtures/firewalld/public.xml");

fn read(path: &str, text: &str) -> Reading {
    let file = SourceFile::from_text(FileId(0), path, text);
    let (format, _) = detect(&file).into_iter().next().expect("a format");
    format.read_file(&file)
}

fn rules<'d>(device: &'d Device, chain: &str) -> &'d [crate::model::Rule] {
    device.chains.iter().find(|c| c.name == chain).map_or(&[], |c| &c.rules)
}

#[test]
fn each_file_is_taken_for_what_it_is() {
    for (text, id) in [
        (ZONE, "firewalld"),
        (POLICY, "firewalld"),
        (DIRECT, "firewalld"),
        (SETTINGS, "firewalld"),
        (SERVICE, "firewalld-object"),
        (SET, "firewalld-object"),
        (LIST, "firewalld-list"),
    ] {
        let file = SourceFile::from_text(FileId(0), "x", text);
        let claims = detect(&file);
        assert_eq!(claims.iter().map(|c| c.0.id).collect::<Vec<_>>(), [id], "{text}");
    }
    for other in ["<html><zone/></html>", "<service/>", "<policy><rule/></policy>", "Lockdown=no\n", "public\nwork\n"] {
        assert!(detect(&SourceFile::from_text(FileId(0), "x", other)).is_empty(), "{other}");
    }
}

#[test]
fn every_prefix_and_flipped_byte_of_the_fixtures_is_read() {
    for text in [ZONE, OUTSIDE, SERVICE, SET, POLICY, DIRECT, SETTINGS, LIST] {
        let bytes = text.as_bytes();
        for n in 0..bytes.len() {
            for format in [&FIREWALLD, &FIREWALLD_OBJECT, &FIREWALLD_LIST] {
                if n % 3 == 0 {
                    format.read_text("x", &String::from_utf8_lossy(&bytes[..n]));
                }
                let mut flipped = bytes.to_vec();
                flipped[n] ^= 1 << (n % 8);
                format.read_text("x", &String::from_utf8_lossy(&flipped));
            }
        }
    }
}

#[test]
fn a_zone_on_its_own_says_what_is_missing() {
    let reading = read("public.xml", ALONE);
    let said = |text: &str| assert!(reading.notes.iter().any(|n| n.text.contains(text)), "{text}: {:?}", reading.notes);
    said("firewalld.conf was not read");
    said("policies of firewalld were not read");
    said("`no-such-service` was not read");
    let bound = &rules(&reading.device, "filter_INPUT_ZONES")[0];
    assert!(matches!(&bound.matcher, Match::Interface(_, p) if p.name == "eth0"));
    // Whatever else arrives may be of this zone, or of another.
    let rest: Vec<_> = rules(&reading.device, "filter_INPUT_ZONES").iter().skip(1).map(|r| (&r.matcher, &r.action)).collect();
    assert!(matches!(rest[..], [(Match::Opaque(_), Action::Goto(_)), (Match::Any, Action::Opaque(_))]), "{rest:?}");
}

#[test]
fn a_listing_shows_zones_policies_and_the_default_zone() {
    let reading = read("gate.firewalld.txt", LIST);
    // Only that the default zone's part in a policy depends on the version.
    assert_eq!(reading.notes.len(), 1, "{:?}", reading.notes);
    assert!(reading.lines.values().flatten().all(|s| *s <= LineState::NotModelled));
    let names: Vec<&str> = reading.device.chains.iter().map(|c| c.name.as_str()).collect();
    assert!(names.contains(&"filter_IN_policy_guard") && names.contains(&"nat_POST_public") && !names.contains(&"filter_IN_home"));
    assert_eq!(rules(&reading.device, "nat_PRE_public_allow").len(), 2);
    assert!(matches!(rules(&reading.device, "filter_INPUT_ZONES").last().map(|r| &r.action), Some(Action::Goto(_))));
    assert_eq!(reading.device.sets[0].elements.len(), 2);
}

#[test]
fn priorities_order_rich_rules_before_and_after_the_others() {
    let reading = read(
        "z.xml",
        "<zone><rule priority='5'><protocol value='gre'/><accept/></rule><rule priority='-5'><protocol value='esp'/><drop/></rule><rule><protocol value='ah'/><drop/></rule></zone>",
    );
    for (part, action) in [("pre", Action::Drop), ("deny", Action::Drop), ("post", Action::Accept)] {
        let rules = rules(&reading.device, &format!("filter_IN_z_{part}"));
        assert_eq!(rules.iter().map(|r| r.action.clone()).collect::<Vec<_>>(), [action], "{part}");
    }
}

#[test]
fn what_is_not_understood_in_a_rich_rule_is_a_condition_and_not_dropped() {
    let reading = read("z.xml", "<zone><rule><protocol value='gre'/><when it='rains'/><accept/></rule></zone>");
    let rule = &rules(&reading.device, "filter_IN_z_allow")[0];
    let mut opaque = false;
    rule.matcher.walk(&mut |m| opaque |= matches!(m, Match::Opaque(_)));
    assert!(opaque && reading.notes.iter().any(|n| n.text.contains("`<when>`")));
}

#[test]
fn services_that_include_each_other_end() {
    let text = "public (default)\n  target: default\n  services: a\n  ports: \n  protocols: \n\na\n  ports: 1/tcp\n  includes: b\n\nb\n  ports: 2/tcp\n  includes: a\n";
    let reading = read("x", text);
    assert_eq!(rules(&reading.device, "filter_IN_public_allow").len(), 2);
}

#[test]
fn a_flood_of_zones_services_and_ports_is_read_within_bounds() {
    let ports: String = (1..3000).map(|n| format!("{n}/tcp ")).collect();
    let services: String = (0..3000).map(|n| format!("s{n} ")).collect();
    let mut text = format!("public (default)\n  target: default\n  services: {services}\n  ports: {ports}\n  protocols: \n\n");
    for n in 0..3000 {
        text += &format!("s{n}\n  ports: {}/tcp\n  includes: s{} s{}\n\n", n + 1, (n + 1) % 3000, (n * 7) % 3000);
    }
    let reading = read("x", &text);
    let made: usize = reading.device.chains.iter().map(|c| c.rules.len()).sum();
    assert!(made <= crate::source::Limits::default().expanded_rules);
    assert!(reading.notes.iter().any(|n| n.incomplete));
}
