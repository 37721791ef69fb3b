//! `ip rule`, `ip -6 rule`, and their JSON (`-j`): which routing table decides about which packets.

use serde_json::{Map, Value};

use crate::diag::LineState;
use crate::model::{RoutingRule, RoutingTable};
use crate::net::{Family, parse_cidr};
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static IP_RULE: Format = Format {
    id: "ip-rule",
    title: "ip rule",
    export: "ip rule > HOST.ip-rule; ip -6 rule > HOST.ip6-rule; ip route show table all > HOST.ip-route",
    covers: &["which tables may decide about routes; also `ip -j rule`"],
    leaves: &["about which packets each rule decides: any table that a rule names may", "virtual routing domains (l3mdev)"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

/// Words by which a rule selects packets, each with one value (ip-rule(8)).
const SELECTORS: [&str; 13] =
    ["from", "to", "tos", "dsfield", "fwmark", "iif", "dev", "oif", "uidrange", "ipproto", "sport", "dport", "tun_id"];

/// What a rule may do besides looking a table up.
const ACTIONS: [&str; 4] = ["unreachable", "blackhole", "prohibit", "nop"];

/// The preference that a line begins with, and the rest.
fn rule_line(line: &str) -> Option<(u32, impl Iterator<Item = &str>)> {
    let (preference, rest) = line.split_once(':')?;
    let mut words = rest.split_ascii_whitespace().peekable();
    let first = *words.peek()?;
    let begins = SELECTORS.contains(&first) || ACTIONS.contains(&first) || matches!(first, "not" | "lookup" | "goto");
    preference.trim().parse().ok().filter(|_| begins).map(|n| (n, words))
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let found = |confidence, why| Some(Detection { confidence, why });
    let start = file.text.trim_start();
    if start.starts_with('[') {
        let mut end = start.len().min(4 << 10);
        while !start.is_char_boundary(end) {
            end -= 1;
        }
        let head = start.get(..end).unwrap_or("");
        let known = head.contains("\"priority\"") && head.contains("\"src\"") && head.contains("\"table\"");
        return if known { found(Confidence::Certain, "is a JSON list with priority, src and table") } else { None };
    }
    let (mut rules, mut other) = (0, 0);
    for line in file.text.lines().take(200).filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        if rule_line(line).is_some() { rules += 1 } else { other += 1 }
    }
    match () {
        _ if rules > 0 && other == 0 => found(Confidence::Certain, "has rules as ip rule prints them"),
        _ if rules > other => found(Confidence::Weak, "has rules of ip rule among other lines"),
        _ => None,
    }
}

fn read(reader: &mut Reader<'_>) {
    let rules = if reader.file.text.trim_start().starts_with('[') { read_json(reader) } else { read_text(reader) };
    reader.device.routing_rules = Some(settled(rules, &reader.file.path));
}

/// Gives each rule the family of its list: of an address in it, of the table `default`, which only IPv4 has a rule for from the start
/// (`fib_default_rules_init` in net/ipv4/fib_rules.c and `fib6_rules_net_init` in net/ipv6/fib6_rules.c), or of the file's name. A list begins
/// anew where the preferences do.
fn settled(mut rules: Vec<RoutingRule>, path: &str) -> Vec<RoutingRule> {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let named = ["ip6", "v6", "-6", "rule6", "_6"].iter().any(|s| name.contains(s)).then_some(Family::V6);
    for list in rules.chunk_by_mut(|a, b| a.preference <= b.preference) {
        let default = list.iter().any(|r| r.table == RoutingTable::Named("default".into())).then_some(Family::V4);
        let family = list.iter().find_map(|r| r.family).or(default).or(named);
        list.iter_mut().for_each(|r| r.family = family);
    }
    rules
}

fn table(name: &str) -> RoutingTable {
    // `rt_tables` of iproute2 names these three.
    match name {
        "main" | "254" => RoutingTable::Main,
        "local" | "255" => RoutingTable::Local,
        "253" => RoutingTable::Named("default".into()),
        _ => RoutingTable::Named(name.to_owned()),
    }
}

fn family(address: &str) -> Option<Family> {
    parse_cidr(address).map(|(family, ..)| family)
}

fn read_text(reader: &mut Reader<'_>) -> Vec<RoutingRule> {
    let file = reader.file;
    let mut rules = Vec::new();
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span);
        if text.trim().is_empty() {
            continue;
        }
        if text.starts_with('#') {
            reader.mark(span, LineState::Irrelevant);
            continue;
        }
        match rule_line(text) {
            Some((preference, words)) => rules.push(rule(reader, preference, words, span)),
            None => reader.note(span, LineState::Unrecognised, "this line is not one of ip rule"),
        }
    }
    rules
}

fn rule<'w>(reader: &mut Reader<'_>, preference: u32, mut words: impl Iterator<Item = &'w str>, span: Span) -> RoutingRule {
    let mut rule = RoutingRule { family: None, preference, selects: false, table: RoutingTable::None, span };
    let mut state = LineState::Understood;
    while let Some(word) = words.next() {
        match word {
            "lookup" | "table" => match words.next() {
                Some("[l3mdev-table]") | None => (rule.table, state) = (RoutingTable::Unknown, LineState::NotModelled),
                Some(name) => rule.table = table(name),
            },
            "l3mdev" => (rule.table, state) = (RoutingTable::Unknown, LineState::NotModelled),
            "from" | "to" => {
                let address = words.next().unwrap_or("all");
                rule.selects |= address != "all";
                rule.family = rule.family.or(family(address));
            }
            "not" => rule.selects = true,
            w if SELECTORS.contains(&w) => {
                words.next();
                rule.selects = true;
            }
            // Routes of the table that are wider than this do not count: fewer packets than without.
            "suppress_prefixlength" | "suppress_prefixlen" | "sup_pl" | "suppress_ifgroup" | "sup_group" => {
                words.next();
                rule.selects = true;
            }
            "proto" | "protocol" | "realms" | "realm" | "goto" => drop(words.next()),
            w if ACTIONS.contains(&w) => state = if w == "nop" { state } else { LineState::NotModelled },
            _ => (rule.table, state) = (RoutingTable::Unknown, LineState::NotModelled),
        }
    }
    if state == LineState::NotModelled {
        reader.note(span, state, "this routing rule is not modelled: the interface through which packets leave may be any");
    } else {
        reader.mark(span, state);
    }
    rule
}

fn read_json(reader: &mut Reader<'_>) -> Vec<RoutingRule> {
    let whole = reader.file.whole();
    let list = match serde_json::from_str::<Vec<Map<String, Value>>>(&reader.file.text) {
        Ok(list) => list,
        Err(e) => {
            let text = format!("this is not the JSON of ip -j rule (line {}, column {})", e.line(), e.column());
            reader.incomplete(whole, LineState::Unrecognised, text);
            return vec![RoutingRule { family: None, preference: 0, selects: true, table: RoutingTable::Unknown, span: whole }];
        }
    };
    reader.mark(whole, LineState::Understood);
    let mut rules = Vec::new();
    for object in list {
        let text = |key: &str| object.get(key).and_then(|v| v.as_str().map(str::to_owned).or(v.as_u64().map(|n| n.to_string())));
        let preference = object.get("priority").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let address = |key: &str| text(key).filter(|a| a != "all");
        let plain = ["priority", "src", "dst", "table", "protocol", "action", "goto", "nop", "realms", "flow_from", "flow_to"];
        let selects = address("src").is_some() || address("dst").is_some() || object.keys().any(|k| !plain.contains(&k.as_str()));
        let family = ["src", "dst"].iter().find_map(|k| family(&address(k)?));
        let decides = match text("table").as_deref() {
            Some("[l3mdev-table]") => RoutingTable::Unknown,
            Some(name) => table(name),
            None if object.contains_key("l3mdev") => RoutingTable::Unknown,
            None => RoutingTable::None,
        };
        if decides == RoutingTable::Unknown || decides == RoutingTable::None && !object.contains_key("goto") && !object.contains_key("nop")
        {
            reader.note(
                whole,
                LineState::NotModelled,
                format!("the routing rule of priority {preference} is not modelled: the interface through which packets leave may be any"),
            );
        }
        rules.push(RoutingRule { family, preference, selects, table: decides, span: whole });
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, usize) {
        let (file, reading) = IP_RULE.read_text("a", text);
        assert!(detect(&file).is_some_and(|d| d.confidence == Confidence::Certain), "{text}");
        let show = |r: RoutingRule| format!("{:?} {} {} {:?}", r.family, r.preference, r.selects, r.table);
        (reading.device.routing_rules.unwrap().into_iter().map(show).collect(), reading.notes.len())
    }

    #[test]
    fn rules_name_tables_and_whether_they_are_for_all_packets() {
        let (rules, notes) = read(
            "0:\tfrom all lookup local\n100:\tfrom all fwmark 0x1/0xff lookup 100\n200:\tfrom 10.0.0.0/8 iif eth1 lookup wan2\n\
             32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n\
             0:\tfrom all lookup local\n300:\tnot from all fwmark 0xca6c lookup 51820\n32766:\tfrom all lookup main suppress_prefixlength 0\n",
        );
        assert_eq!(
            rules,
            [
                "Some(V4) 0 false Local",
                "Some(V4) 100 true Named(\"100\")",
                "Some(V4) 200 true Named(\"wan2\")",
                "Some(V4) 32766 false Main",
                "Some(V4) 32767 false Named(\"default\")",
                "None 0 false Local",
                "None 300 true Named(\"51820\")",
                "None 32766 true Main",
            ]
        );
        assert_eq!(notes, 0);
        let (rules, notes) =
            read("0: from all lookup local\n1000: from all lookup [l3mdev-table]\n32766: from 2001:db8::/32 unreachable\n");
        assert_eq!(rules, ["Some(V6) 0 false Local", "Some(V6) 1000 false Unknown", "Some(V6) 32766 true None"]);
        assert_eq!(notes, 2);
    }

    #[test]
    fn json_says_the_same() {
        let (rules, notes) = read(
            r#"[{"priority":0,"src":"all","table":"local"},{"priority":9,"src":"10.0.0.0","srclen":8,"fwmark":"0x1","table":"100"},{"priority":32766,"src":"all","table":"main"}]"#,
        );
        assert_eq!(rules, ["Some(V4) 0 false Local", "Some(V4) 9 true Named(\"100\")", "Some(V4) 32766 false Main"]);
        assert_eq!(notes, 0);
    }

    #[test]
    fn other_lists_are_not_taken_for_rules() {
        for text in
            ["2: eth0: <UP> mtu 1500\n    inet 192.0.2.1/24 scope global eth0\n", "default via 192.0.2.1 dev eth0\n", "10: from\n x", ""]
        {
            let file = SourceFile::from_text(crate::source::FileId(0), "a", text);
            assert!(detect(&file).is_none_or(|d| d.confidence == Confidence::Weak), "{text}");
        }
    }

    #[test]
    fn every_prefix_is_read_without_a_panic() {
        let text = "0:\tfrom all lookup local\n5:\tnot from 10.0.0.0/8 to 192.0.2.1 fwmark 0x1/0xff iif eth0 uidrange 0-0 lookup 7 proto static\n9: goto 10\n";
        for end in 0..=text.len() {
            let _ = IP_RULE.read_text("a", text.get(..end).unwrap_or(""));
        }
        let json = r#"[{"priority":4294967296,"src":"all","table":[]},{"priority":-1,"src":7,"table":"100","l3mdev":null}]"#;
        for end in 0..=json.len() {
            let _ = IP_RULE.read_text("a", json.get(..end).unwrap_or(""));
        }
    }
}
