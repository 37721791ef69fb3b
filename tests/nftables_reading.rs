//! What single constructs of nftables mean.

mod nftables_support;

use fwproof::diag::LineState;
use fwproof::model::{Action, Hook, PolicyAction};
use fwproof::source::{FileId, Limits, SourceFile};
use fwproof::vendors::{Confidence, Reader, Reading, detect, format};
use nftables_support::dump;
use proptest::prelude::*;

fn read(text: &str) -> Reading {
    format("nftables").expect("the format").read_text("test.nft", text).1
}

/// The rules of one chain in an `inet` table, as text.
fn rules(body: &str) -> Vec<String> {
    let reading = read(&format!("table inet t {{\n chain sub {{\n }}\n chain c {{\n{body}\n }}\n}}\n"));
    let lines = dump(&reading.device);
    let from = lines.iter().position(|l| l == "chain inet t/c").map_or(0, |i| i + 1);
    lines.into_iter().skip(from).take_while(|l| l.starts_with("  ")).map(|l| l.trim().replace(" => [] ", " => ")).collect()
}

fn states(reading: &Reading) -> Vec<LineState> {
    reading.lines.values().flatten().copied().collect()
}

#[test]
fn a_port_match_implies_its_protocol_and_an_address_its_family() {
    assert_eq!(rules("tcp dport 22 accept"), ["(dport={22} && proto={6}) => Accept"]);
    assert_eq!(rules("ip saddr != 10.0.0.0/8 drop"), ["src=anywhere but 10.0.0.0/8 => Drop"]);
    assert_eq!(rules("ip6 saddr @bad drop"), ["([Src] in inet t/bad && v6) => Drop"]);
    assert_eq!(rules("icmpv6 type echo-request accept"), ["(icmp={32768-33023} && proto={58} && v6) => Accept"]);
}

#[test]
fn a_negated_set_is_the_complement_among_packets_that_have_the_field() {
    assert_eq!(rules("tcp dport != { 22, 80-90 } drop"), ["(dport={0-21,23-79,91-65535} && proto={6}) => Drop"]);
    assert_eq!(rules("tcp dport != @p drop"), ["(![Dport] in inet t/p && dport={0-65535} && proto={6}) => Drop"]);
    assert_eq!(rules("iifname != { \"a\", \"b*\" } drop"), ["!(In a || In b*) => Drop"]);
}

#[test]
fn connection_state_means_the_same_in_every_spelling() {
    for spelling in [
        "ct state established,related accept",
        "ct state { established, related } accept",
        "ct state related , established accept",
        "ct state & (established | related) != 0 accept",
        "ct state != { new, invalid, untracked } accept",
        "ct state and 6 ne 0 accept",
    ] {
        assert_eq!(rules(spelling), ["ct={1-2} => Accept"], "{spelling}");
    }
    // Compared as one number, which no state is: nft's own reading, seen in its bytecode.
    assert_eq!(rules("ct state != established,related drop"), ["ct={0-4} => Drop"]);
}

#[test]
fn flags_without_an_operator_ask_for_one_of_them_and_with_one_for_all_bits() {
    assert_eq!(rules("tcp flags & (fin|syn|rst|ack) == syn accept"), rules("tcp flags syn / fin,syn,rst,ack accept"));
    assert_eq!(rules("tcp flags == syn accept"), ["(proto={6} && tcp_flags={2}) => Accept"]);
    assert_ne!(rules("tcp flags syn accept"), rules("tcp flags == syn accept"));
    assert_eq!(rules("tcp flags syn accept"), rules("tcp flags & syn != 0 accept"));
}

#[test]
fn each_element_of_a_verdict_map_is_a_rule_with_its_own_place() {
    let text = "table inet t {\n chain c {\n tcp dport vmap { 22 : accept, 23 : drop, * : jump c2 }\n }\n chain c2 {\n }\n}\n";
    let (file, reading) = format("nftables").expect("the format").read_text("x", text);
    let rules = &reading.device.chains[0].rules;
    let spans: Vec<&str> = rules.iter().map(|r| file.slice(r.span)).collect();
    assert_eq!(spans, ["22 : accept", "23 : drop", "* : jump c2"]);
    assert!(rules.iter().all(|r| file.slice(r.whole).starts_with("tcp dport vmap {")));
    assert!(matches!(rules[2].action, Action::Jump(_)));
}

#[test]
fn a_chain_without_a_policy_accepts_and_one_without_a_hook_is_no_base_chain() {
    let reading = read("table ip t {\n chain a { type filter hook input priority filter + 5; }\n chain b { drop; }\n}\n");
    let base = &reading.device.base_chains;
    assert_eq!(base.len(), 1);
    assert_eq!((base[0].hook, base[0].priority, base[0].policy.action), (Hook::Input, 5, PolicyAction::Accept));
}

#[test]
fn of_two_chains_of_one_priority_the_later_one_runs_first() {
    let reading =
        read("table ip t {\n chain a { type filter hook input priority 0; }\n chain b { type filter hook input priority 0; }\n}\n");
    let names: Vec<&str> = reading.device.base_chains.iter().map(|b| reading.device.chain(b.chain).name.as_str()).collect();
    assert_eq!(names, ["ip t/b", "ip t/a"]);
}

#[test]
fn definitions_nest_and_end_with_their_block() {
    let reading = read(
        "define a = 10.0.0.1\ndefine b = { $a, 10.0.0.2 }\ntable ip t {\n define a = 10.9.9.9\n chain c {\n ip saddr { $b, 10.0.0.3 } accept\n ip saddr $a drop\n }\n}\ntable ip u {\n chain c {\n ip saddr $a drop\n ip saddr $none drop\n }\n}\n",
    );
    let lines = dump(&reading.device);
    assert!(lines.contains(&"  src=10.0.0.1-10.0.0.3 => [] Accept".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&"  src=10.9.9.9 => [] Drop".to_owned()) && lines.contains(&"  src=10.0.0.1 => [] Drop".to_owned()),
        "{lines:?}"
    );
    assert!(reading.notes.iter().any(|n| n.text == "$none is not defined"));
    // The rule is not dropped: nobody knows what it does.
    assert!(lines.iter().any(|l| l.contains("Opaque(\"ip saddr $ none drop\")")), "{lines:?}");
}

#[test]
fn what_was_flushed_or_deleted_is_gone() {
    let reading = read(
        "table ip a { chain c { drop; }\n}\nflush ruleset\ntable ip b { chain c { accept; }\n}\nflush chain ip b c\nadd rule ip b c counter packets 4 bytes 5\n",
    );
    assert_eq!(dump(&reading.device), ["chain ip b/c", "  Any => [] Continue"]);
    assert_eq!(reading.device.chains[0].rules[0].packets, Some(4));
}

#[test]
fn blocks_of_one_table_are_merged_and_inserted_rules_come_first() {
    let reading = read(
        "table ip t {\n chain c { tcp dport 1 drop; }\n}\ntable ip t {\n chain c { tcp dport 2 drop; }\n}\ninsert rule ip t c accept\n",
    );
    let actions: Vec<_> = reading.device.chains[0].rules.iter().map(|r| r.action.clone()).collect();
    assert_eq!(actions, [Action::Accept, Action::Drop, Action::Drop]);
}

#[test]
fn a_set_that_rules_fill_is_dynamic() {
    let reading = read("table ip t {\n set s { type ipv4_addr; }\n chain c {\n add @s { ip saddr timeout 1m }\n ip saddr @s drop\n }\n}\n");
    assert!(reading.device.sets[0].dynamic);
}

#[test]
fn a_rule_that_goes_on_after_a_change_changes_the_packet_even_if_the_rest_does_not_match() {
    assert_eq!(
        rules("ip saddr 10.0.0.1 meta mark set 5 tcp dport 80 accept"),
        ["(dport={80} && proto={6} && src=10.0.0.1) => Accept", "src=10.0.0.1 => [Set(Mark, 5)] Continue"]
    );
}

#[test]
fn a_map_of_targets_gives_one_translation_for_each_element() {
    let reading = read(
        "table ip n {\n chain p {\n type nat hook prerouting priority dstnat;\n dnat to tcp dport map { 80 : 10.0.0.1, 443 : 10.0.0.2 }\n }\n}\n",
    );
    let rules = &reading.device.chains[0].rules;
    assert_eq!(rules.len(), 2);
    assert!(rules.iter().all(|r| matches!(&r.action, Action::Nat(t) if !t.unknown && t.addresses.is_some())));
}

#[test]
fn what_is_not_modelled_is_neither_dropped_nor_decided() {
    let reading =
        read("table ip t {\n chain c {\n limit rate 1/second accept\n queue num 1\n brand new thing accept\n jump nowhere\n }\n}\n");
    let s = states(&reading);
    assert_eq!(&s[2..6], [LineState::NotModelled, LineState::NotModelled, LineState::Unrecognised, LineState::Unsupported]);
    let opaque = reading.device.chains[0].rules.iter().filter(|r| matches!(r.action, Action::Opaque(_))).count();
    assert_eq!(opaque, 3);
}

#[test]
fn line_ends_of_windows_and_comments_are_nothing() {
    let reading = read("# c\r\n\r\ntable ip t { # d\r\n chain c { # e\r\n  tcp dport 22 accept # f\r\n }\r\n}\r\n");
    assert!(reading.notes.is_empty(), "{:?}", reading.notes);
    assert_eq!(states(&reading)[..2], [LineState::Irrelevant, LineState::Irrelevant]);
    assert!(states(&reading)[2..].iter().all(|s| *s == LineState::Understood));
}

#[test]
fn one_bad_line_costs_one_note() {
    let reading = read("table ip t {\n chain c {\n ip saddr 10.0.0.1 accept\n ip saddr ))) accept\n ip saddr 10.0.0.3 accept\n }\n}\n");
    assert_eq!(reading.notes.len(), 1, "{:?}", reading.notes);
    assert_eq!(reading.device.chains[0].rules.len(), 3);
}

#[test]
fn an_include_inside_a_block_continues_it() {
    let main = SourceFile::from_text(
        FileId(0),
        "main.nft",
        "table ip t {\n chain c {\n include \"rules.nft\"\n drop\n }\n}\ninclude \"missing.nft\"\ninclude \"*.none\"\n",
    );
    let part = SourceFile::from_text(FileId(1), "rules.nft", "# part\ntcp dport 22 accept\ninclude \"main.nft\"\n");
    let limits = Limits::default();
    let files = |id: FileId| if id.0 == 0 { &main } else { &part };
    let resolve = |_: FileId, name: &str| match name {
        "rules.nft" => vec![FileId(1)],
        "main.nft" => vec![FileId(0)],
        _ => vec![],
    };
    let format = format("nftables").expect("the format");
    let mut reader = Reader::new(&main, &limits, &files, &resolve);
    (format.read)(&mut reader);
    let reading = reader.finish();
    let actions: Vec<_> = reading.device.chains[0].rules.iter().map(|r| r.action.clone()).collect();
    assert_eq!(actions, [Action::Accept, Action::Drop]);
    assert_eq!(reading.device.chains[0].rules[0].span.file, FileId(1));
    let incomplete: Vec<&str> = reading.notes.iter().filter(|n| n.incomplete).map(|n| n.text.as_str()).collect();
    assert_eq!(incomplete.len(), 2, "{incomplete:?}");
    let named: Vec<String> = format.includes.expect("includes")(&main).into_iter().map(|(p, _)| p).collect();
    assert_eq!(named, ["rules.nft", "missing.nft", "*.none"]);
}

#[test]
fn json_that_is_cut_off_is_read_as_far_as_it_goes() {
    let text = "{\"nftables\": [{\"table\": {\"family\": \"ip\", \"name\": \"t\"}}, {\"chain\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"c\"}},\n {\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"c\", \"expr\": [{\"accept\": null}]}},\n {\"rule\": {\"fam";
    let (_, reading) = format("nftables-json").expect("the format").read_text("x.json", text);
    assert_eq!(reading.device.chains[0].rules.len(), 1);
    assert!(reading.notes.iter().any(|n| n.incomplete));
}

#[test]
fn a_ruleset_is_known_by_its_look() {
    let of = |text: &str| detect(&SourceFile::from_text(FileId(0), "x", text)).first().map(|(f, d)| (f.id, d.confidence));
    assert_eq!(of("table inet filter {\n\tchain input {\n"), Some(("nftables", Confidence::Certain)));
    assert_eq!(of("#!/usr/sbin/nft -f\nflush ruleset\n"), Some(("nftables", Confidence::Certain)));
    assert_eq!(of("{\"nftables\": [{\"metainfo\": {}}]}"), Some(("nftables-json", Confidence::Certain)));
    assert_eq!(of("-- Expect --\ntable inet filter {\n\tchain input {\n"), Some(("nftables", Confidence::Strong)));
    assert_eq!(of("table <bad> persist { 10.0.0.1 }\nblock in all\n"), Some(("pf", Confidence::Certain)));
    assert_eq!(of("hello world\n"), None);
}

#[test]
fn bombs_are_bounded_and_said() {
    let deep = format!("table ip t {{\n chain c {{\n ip saddr {}10.0.0.1{} accept\n }}\n}}\n", "{".repeat(50_000), "}".repeat(50_000));
    read(&deep);
    read(&format!("table ip t {{\n chain c {{\n meta mark {} accept\n }}\n}}\n", "(".repeat(50_000)));
    read(&format!("table ip t {{\n chain c {{\n meta mark 1{} accept\n }}\n}}\n", " | 1".repeat(50_000)));
    let mut chain = String::from("define a0 = 1\n");
    for i in 1..20_000 {
        chain += &format!("define a{i} = {{ $a{} }}\n", i - 1);
    }
    read(&(chain + "table ip t {\n chain c {\n tcp dport $a19999 accept\n }\n}\n"));
    let mut double = String::from("define a0 = { 1, 2 }\n");
    for i in 1..100 {
        double += &format!("define a{i} = {{ $a{0}, $a{0} }}\n", i - 1);
    }
    let reading = read(&(double + "table ip t {\n chain c {\n tcp dport $a99 accept\n socket mark $a99 accept\n }\n}\n"));
    assert!(reading.notes.iter().any(|n| n.incomplete));
    let json = format!("{{\"nftables\": [{}{}]}}", "{\"a\":[".repeat(20_000), "]}".repeat(20_000));
    let _ = format("nftables-json").expect("the format").read_text("x", &json);
}

#[test]
fn commands_without_end_do_not_hang() {
    let head = "table ip t {\n set s { type ipv4_addr; }\n chain c { }\n}\n";
    read(&(head.to_owned() + &"insert rule ip t c accept\n".repeat(50_000)));
    let mut many = head.to_owned();
    for i in 0..20_000 {
        many += &format!("add element ip t s {{ 10.0.{}.{} }}\n", i / 256, i % 256);
    }
    let reading = read(&(many + &"delete element ip t s { 10.9.9.9 }\n".repeat(20_000)));
    assert!(reading.notes.iter().any(|n| n.incomplete));
    let wide = "tcp dport 1 meta mark set 1 ".repeat(5_000);
    read(&format!("table ip t {{\n chain c {{\n {wide}accept\n }}\n}}\n"));
    let elements = "1 : accept, ".repeat(20_000);
    read(&format!("table ip t {{\n chain c {{\n {} tcp dport vmap {{ {elements} }}\n }}\n}}\n", "limit rate 1/second ".repeat(5_000)));
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nftables").join(name)).expect("a fixture")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn damaged_rulesets_are_read_without_panic(which in 0usize..4, cut in 0.0f64..1.0, flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..4)) {
        let (name, id) = [("everything.nft", "nftables"), ("odd.nft", "nftables"), ("commands.nft", "nftables"), ("everything.json", "nftables-json")][which];
        let mut bytes = fixture(name).into_bytes();
        for (at, b) in flips {
            let i = ((bytes.len() - 1) as f64 * at) as usize;
            bytes[i] = b;
        }
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        let file = SourceFile::new(FileId(0), name, &bytes);
        let reading = format(id).expect("the format").read_file(&file);
        prop_assert_eq!(reading.lines[&FileId(0)].len(), file.line_count());
    }
}

#[test]
fn a_note_says_what_is_written_however_often_it_is_written() {
    let reading = read("table inet t {\n chain c {\n limit rate 5/second accept\n limit rate 5/second accept\n }\n}\n");
    let texts: Vec<&str> = reading.notes.iter().map(|n| n.text.as_str()).collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0], texts[1]);
    // They are conditions of their own all the same.
    assert_eq!(reading.device.conditions.len(), 2);
}
