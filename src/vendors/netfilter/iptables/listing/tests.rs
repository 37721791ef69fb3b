//! What listings mean, and that nothing in one can make the reader fall.

use proptest::prelude::*;

use super::IPTABLES_LIST;
use crate::diag::LineState;
use crate::model::{Action, Match, PolicyAction};
use crate::net::Family;
use crate::vendors::Reading;

const EDGE: &str = include_str!("../../../../../tests/fixtures/iptables-list/edge.txt");
const PLAIN: &str = include_str!("../../../../../tests/fixtures/iptables-list/plain.txt");

fn read(text: &str) -> Reading {
    IPTABLES_LIST.read_text("host/list.txt", text).1
}

const HEADS: &str = " pkts bytes target     prot opt in     out     source               destination         \n";

/// The only rule of INPUT.
fn rule(line: &str) -> (crate::model::Rule, Vec<String>) {
    let reading = read(&format!("Chain INPUT (policy DROP 0 packets, 0 bytes)\n{HEADS}{line}\n"));
    let rule = reading.device.chains[0].rules[0].clone();
    (rule, reading.notes.into_iter().map(|n| n.text).collect())
}

#[test]
fn tables_are_told_apart_by_their_built_in_chains() {
    let names: Vec<String> = read(EDGE).device.chains.iter().map(|c| c.name.clone()).collect();
    assert!(
        names.contains(&"nat/PREROUTING".into()) && names.contains(&"filter/INPUT".into()) && names.contains(&"filter/web".into()),
        "{names:?}"
    );
    let old = "Chain PREROUTING (policy ACCEPT)\ntarget     prot opt source               destination\n\nChain POSTROUTING (policy ACCEPT)\ntarget     prot opt source               destination\n\nChain OUTPUT (policy ACCEPT)\ntarget     prot opt source               destination\n";
    let names: Vec<String> = read(old).device.chains.iter().map(|c| c.name.clone()).collect();
    assert_eq!(names, ["nat/PREROUTING", "nat/POSTROUTING", "nat/OUTPUT"]);
}

#[test]
fn every_line_of_a_listing_is_understood() {
    let reading = IPTABLES_LIST.read_text("list.txt", EDGE).1;
    let lines = reading.lines.values().next().expect("lines");
    let odd: Vec<_> =
        lines.iter().filter(|s| !matches!(s, LineState::Understood | LineState::Irrelevant | LineState::NotModelled)).collect();
    assert!(odd.is_empty(), "{odd:?} {:?}", reading.notes);
    assert!(reading.notes.iter().all(|n| n.text.contains("limit")), "{:?}", reading.notes);
    let drop = reading.device.base_chains.iter().find(|b| reading.device.chain(b.chain).name == "filter/INPUT").expect("INPUT");
    assert_eq!(drop.policy.action, PolicyAction::Drop);
}

#[test]
fn a_rule_without_a_target_only_counts() {
    let (counted, _) = rule("   12   720            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:22");
    assert_eq!((counted.action, counted.packets), (Action::Continue, Some(12)));
    // Also where the spaces were lost.
    let (counted, _) = rule("12 720 tcp -- * * 0.0.0.0/0 0.0.0.0/0 tcp dpt:22");
    assert_eq!(counted.action, Action::Continue);
}

#[test]
fn counters_may_be_rounded() {
    assert_eq!(rule(" 1137  318K ACCEPT     all  --  lo     *       0.0.0.0/0            0.0.0.0/0").0.packets, Some(1137));
    assert_eq!(rule("  34M  318G ACCEPT     all  --  lo     *       0.0.0.0/0            0.0.0.0/0").0.packets, Some(34_000_000));
}

#[test]
fn without_v_every_rule_may_be_of_some_interface_only() {
    let reading = read(PLAIN);
    let input = &reading.device.chains[0];
    for rule in &input.rules {
        let mut opaque = false;
        rule.matcher.walk(&mut |m| opaque |= matches!(m, Match::Opaque(_)));
        assert!(opaque, "{rule:?}");
    }
    assert!(reading.notes.iter().any(|n| n.text.contains("without -v")), "{:?}", reading.notes);
    assert!(reading.lines.values().flatten().all(|s| *s != LineState::Unrecognised));
}

#[test]
fn text_that_is_not_known_makes_the_rule_depend_on_it_and_on_all_that_follows() {
    let (rule, notes) =
        rule("    0     0 ACCEPT     tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            frobnicate 7 tcp dpt:22");
    let mut opaque = false;
    rule.matcher.walk(&mut |m| opaque |= matches!(m, Match::Opaque(_)));
    assert!(opaque && notes.iter().any(|n| n.contains("frobnicate 7 tcp dpt:22")), "{notes:?}");
}

#[test]
fn a_comment_that_closes_itself_is_not_believed() {
    let (rule, _) =
        rule("    0     0 ACCEPT     tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            /* x */ tcp dpt:22 /* y */");
    let mut opaque = false;
    rule.matcher.walk(&mut |m| opaque |= matches!(m, Match::Opaque(_)));
    assert!(opaque, "{rule:?}");
}

#[test]
fn a_line_that_is_no_rule_may_have_been_any() {
    let (rule, notes) = rule("    0     0 ACCEPT     tcp  --  *");
    assert!(matches!(rule.action, Action::Opaque(_)) && rule.matcher == Match::Any, "{rule:?}");
    assert!(notes.iter().any(|n| n.contains("not a rule")), "{notes:?}");
}

#[test]
fn the_family_is_that_of_its_addresses() {
    let of = |text: &str| read(text).device.base_chains[0].families.clone();
    let v6 = format!(
        "Chain INPUT (policy DROP 0 packets, 0 bytes)\n{HEADS}    0     0 ACCEPT     tcp      *      *       ::/0                 ::/0                 tcp dpt:22\n"
    );
    assert_eq!(of(&v6), [Family::V6]);
    // Old versions of ip6tables leave the column of options blank.
    let names = "Chain INPUT (policy DROP)\ntarget     prot opt source               destination\nACCEPT     tcp      anywhere             anywhere             tcp dpt:ssh\n";
    assert_eq!(of(names), [Family::V6]);
    let doubtful = names.replace("tcp      any", "tcp  --  any");
    assert_eq!(of(&doubtful), [Family::V4]);
    assert!(read(&doubtful).notes.iter().any(|n| n.text.contains("iptables or of ip6tables")));
}

#[test]
fn a_second_listing_of_one_table_is_said_and_not_read() {
    let one = format!(
        "Chain INPUT (policy DROP 0 packets, 0 bytes)\n{HEADS}    0     0 ACCEPT     tcp  --  *      *       10.0.0.0/8           0.0.0.0/0\n"
    );
    let reading = read(&format!("{one}\n{one}"));
    assert_eq!(reading.device.base_chains.len(), 1);
    assert!(reading.notes.iter().any(|n| n.incomplete && n.text.contains("second listing")), "{:?}", reading.notes);
}

#[test]
fn the_command_before_a_listing_names_its_table_and_family() {
    let text = format!("$ sudo ip6tables -t raw -L -n -v\nChain OUTPUT (policy ACCEPT 0 packets, 0 bytes)\n{HEADS}");
    let reading = read(&text);
    assert_eq!(reading.device.chains[0].name, "ip6 raw/OUTPUT");
}

#[test]
fn every_prefix_and_every_flipped_byte_is_read_without_a_fall() {
    for fixture in [EDGE, PLAIN] {
        for end in (0..fixture.len()).filter(|e| fixture.is_char_boundary(*e)) {
            read(&fixture[..end]);
        }
        for i in 0..fixture.len() {
            let mut bytes = fixture.as_bytes().to_vec();
            bytes[i] ^= 0x15;
            read(&String::from_utf8_lossy(&bytes));
        }
    }
}

proptest! {
    #[test]
    fn any_words_in_any_order_are_read(words in prop::collection::vec(prop::sample::select(&[
        "Chain", "INPUT", "(policy", "DROP)", "(1 references)", "\n", HEADS, "target prot opt source destination\n", "ACCEPT", "tcp", "--", "!f", "*", "0.0.0.0/0",
        "!10.0.0.0/8", "anywhere", "::/0", "tcp dpt:22", "dpts:!1:2", "flags:0xFF/0x00", "/*", "*/", "to:10.0.0.1", "LOG", "DNAT", "[goto]", "icmptype", "!", "é", "318K",
        "multiport", "source IP range", "match-set a", "recent: side:", "CONNMARK restore mask", "reject-with", "12", "iptables -t nat -L",
    ][..]), 0..40)) {
        let text = words.join(" ");
        read(&text);
    }
}
