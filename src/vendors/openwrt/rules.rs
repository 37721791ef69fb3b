//! `config rule`: what it asks of a packet, and which chain it goes to (fw4 `parse_rule`).

use super::firewall::{Build, Fate, Name, ZoneRef, common_family, disabled, target, unknown_options, zone_ref};
use super::uci::{Section, Word};
use super::values::{Subnet, either, family, interface, mac, negated, port_match, subnet, word};
use crate::diag::LineState::{NotModelled, Unsupported};
use crate::model::{Action, Direction, Effect, Match, Rule};
use crate::net::{CodeRange, Family, Ranges, icmp4_type, icmp6_type, protocol_number};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Options that rules, redirections and nat sections have in common.
pub(super) const COMMON: &[&str] = &[
    "src",
    "dest",
    "family",
    "proto",
    "src_ip",
    "src_mac",
    "src_port",
    "dest_ip",
    "dest_port",
    "ipset",
    "limit",
    "limit_burst",
    "mark",
    "utc_time",
    "start_date",
    "stop_date",
    "start_time",
    "stop_time",
    "weekdays",
    "monthdays",
    "log",
    "log_limit",
    "target",
    "extra",
];

/// A protocol with the rest of what a rule asks of its packets.
pub(super) struct Protocol {
    /// `None`: any.
    pub number: Option<u8>,
    pub negated: bool,
}

/// The protocols of a section; `default` where none is written. Names that are none are said.
pub(super) fn protocols(reader: &mut Reader<'_>, section: &Section, default: &str) -> Vec<Protocol> {
    let span = section.head;
    let mut list = section.list("proto");
    if list.is_empty() {
        list.push(Word { text: default.to_owned(), span });
    }
    let mut out = Vec::new();
    for word in list {
        let (negated, name) = negated(&word.text);
        let name = name.to_ascii_lowercase();
        let mut add = |number| out.push(Protocol { number, negated });
        match name.as_str() {
            "all" | "any" | "*" => add(None),
            "tcpudp" => [6, 17].into_iter().for_each(|n| add(Some(n))),
            name => match protocol_number(name) {
                Some(n) => add(Some(n)),
                None => reader.note(word.span, Unsupported, format!("{name} is no protocol")),
            },
        }
    }
    out
}

/// Addresses, each of which may be negated: in each family that has some, one of the plain ones and none of the negated ones. Entries that are no
/// addresses are handed back.
pub(super) fn address_match(field: Field, list: &[Word], bad: &mut Vec<Word>) -> Match {
    if list.is_empty() {
        return Match::Any;
    }
    let mut families = Vec::new();
    for family in Family::BOTH {
        let (mut plain, mut not) = (Ranges::EMPTY, Ranges::EMPTY);
        for word in list {
            let (negative, text) = negated(&word.text);
            match subnet(text) {
                Some(Subnet::Known(f, set)) if f == family => {
                    let all = if negative { &mut not } else { &mut plain };
                    *all = all.or(&set);
                }
                Some(_) => {}
                None if family == Family::V4 => bad.push(word.clone()),
                None => {}
            }
        }
        let set = match (plain.is_empty(), not.is_empty()) {
            (true, true) => continue,
            (false, _) => plain.minus(&not),
            (true, false) => not.complement(family.max_address()),
        };
        families.push(Match::Address(field, family, set));
    }
    if families.is_empty() { Match::Never } else { Match::any_of(families) }
}

/// What the addresses of a section are about, and what of them cannot be said exactly.
fn addresses(reader: &mut Reader<'_>, section: &Section, key: &str, field: Field, parts: &mut Vec<Match>) -> Option<Family> {
    let list = section.list(key);
    let mut bad = Vec::new();
    let matcher = address_match(field, &list, &mut bad);
    let masked = list.iter().any(|w| matches!(subnet(negated(&w.text).1), Some(Subnet::Masked(_))));
    if let Some(word) = bad.first() {
        // The name of a network stands for its addresses, which are known to the router alone; anything else is refused.
        reader.note(word.span, NotModelled, format!("{} stands for addresses that this file does not show", word.text));
        parts.push(opaque(reader, &format!("{key} {}", section.value(key).unwrap_or_default()), section.at(key)));
    } else if masked {
        parts.push(opaque(reader, &format!("{key} {}", section.value(key).unwrap_or_default()), section.at(key)));
        reader.note(section.at(key), NotModelled, "a mask with gaps is not modelled: the rule may or may not apply");
    } else {
        parts.push(matcher);
    }
    let of = |f| list.iter().filter_map(|w| subnet(negated(&w.text).1)).any(|s| s.family() == f);
    match (of(Family::V4), of(Family::V6)) {
        (true, false) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        _ => None,
    }
}

/// A match that is not modelled.
pub(super) fn opaque(reader: &mut Reader<'_>, text: &str, span: Span) -> Match {
    Match::Opaque(reader.device.conditions.intern(text, span))
}

/// Everything that a section asks of a packet but its zones, and its family. `None`: the section contradicts itself and is not loaded.
pub(super) struct Asked {
    pub matcher: Match,
    pub family: Option<Family>,
}

/// `keys`: the options for source and destination addresses and ports. `families`: those of the zones.
pub(super) fn asked(
    reader: &mut Reader<'_>,
    build: &Build<'_>,
    section: &Section,
    keys: [&str; 4],
    default_proto: &str,
    families: &[Option<Family>],
) -> Option<Asked> {
    let mut parts = Vec::new();
    let src = addresses(reader, section, keys[0], Field::Src, &mut parts);
    let dst = addresses(reader, section, keys[1], Field::Dst, &mut parts);
    if let Some(m) = in_set(reader, build, section) {
        parts.push(m);
    }
    let macs: Vec<Word> = section.list("src_mac");
    let (mut plain, mut not) = (Vec::new(), Vec::new());
    for word in macs {
        let (negative, text) = negated(&word.text);
        match mac(text) {
            Some(n) => if negative { &mut not } else { &mut plain }.push(Match::Field(Field::SrcMac, Ranges::single(n))),
            None => reader.note(word.span, Unsupported, format!("{text} is no MAC address")),
        }
    }
    parts.push(either(plain, not));
    parts.push(mark(reader, section));
    for key in ["start_date", "stop_date", "start_time", "stop_time", "weekdays", "monthdays", "limit", "helper", "dscp", "extra"] {
        let Some(option) = section.get(key) else { continue };
        let text = format!("{key} {}", section.value(key).unwrap_or_default());
        parts.push(opaque(reader, &text, option.span));
        let span = option.span;
        reader.note(span, NotModelled, format!("{key} is not modelled: the rule may or may not apply"));
    }
    if let Some(device) = section.value("device") {
        // That of a translation of sources is always the one through which packets leave.
        let out = section.kind == "nat" || section.value("direction").is_some_and(|d| d == "out" || d == "egress");
        parts.push(interface(if out { Direction::Out } else { Direction::In }, device));
    }
    let written = section.value("family").map(family);
    if written == Some(None) {
        reader.note(section.at("family"), Unsupported, "no family: ipv4, ipv6 or any");
    }
    let mut all = vec![written.flatten().flatten(), src, dst];
    all.extend(families);
    let Ok(mut family) = common_family(&all) else {
        reader.note(section.head, Unsupported, format!("the families in this {} contradict each other: it is not loaded", section.kind));
        return None;
    };
    let mut bad = Vec::new();
    let sport = port_match(Field::Sport, &section.list(keys[2]), &mut bad);
    let dport = port_match(Field::Dport, &section.list(keys[3]), &mut bad);
    for word in bad {
        reader.note(word.span, Unsupported, format!("{} is no port: the {} is not loaded", word.text, section.kind));
    }
    let types = icmp_types(reader, section);
    if family.is_none() && written.flatten().is_none() {
        // ICMP types of one family alone are about packets of that family.
        family = match (types.0.is_empty(), types.1.is_empty()) {
            (false, true) => Some(Family::V4),
            (true, false) => Some(Family::V6),
            _ => None,
        };
    }
    let mut alternatives = Vec::new();
    for protocol in protocols(reader, section, default_proto) {
        alternatives.push(match (protocol.number, protocol.negated) {
            (None, _) => Match::Any,
            // `icmp` is ICMP or ICMPv6, as the family of the packet is (fw4 `l4proto`).
            (Some(1), false) => Match::any_of(vec![icmp(Family::V4, &types.0), icmp(Family::V6, &types.1)]),
            (Some(58), false) => icmp(Family::V6, &types.1),
            (Some(n @ (6 | 17)), false) => {
                Match::all(vec![Match::Field(Field::Proto, Ranges::single(n.into())), sport.clone(), dport.clone()])
            }
            (Some(n), false) => Match::Field(Field::Proto, Ranges::single(n.into())),
            (Some(n), true) => Match::field_not(Field::Proto, &Ranges::single(n.into())),
        });
    }
    parts.push(Match::any_of(alternatives));
    parts.extend(family.map(Match::Family));
    Some(Asked { matcher: Match::all(parts), family })
}

fn icmp(family: Family, types: &[CodeRange]) -> Match {
    let number = if family == Family::V4 { 1 } else { 58 };
    let mut parts = vec![Match::Family(family), Match::Field(Field::Proto, Ranges::single(number))];
    if !types.is_empty() {
        let of = |t: &CodeRange| {
            let base = u128::from(t.icmp_type) << 8;
            (base + u128::from(t.first), base + u128::from(t.last))
        };
        parts.push(Match::Field(Field::Icmp, Ranges::from_intervals(types.iter().map(of).collect())));
    }
    Match::all(parts)
}

/// The ICMP types of a section, for IPv4 and for IPv6: a name that both have counts for both, and so does a number.
fn icmp_types(reader: &mut Reader<'_>, section: &Section) -> (Vec<CodeRange>, Vec<CodeRange>) {
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for word in section.list("icmp_type") {
        // Names that are OpenWrt's own (`fw4.uc`): those of iptables with other words.
        let name = match word.text.as_str() {
            "bad-header" | "unknown-header-type" | "unknown-option" => format!(
                "parameter-problem/{}",
                ["bad-header", "unknown-header-type", "unknown-option"].iter().position(|n| *n == word.text).unwrap_or(0)
            ),
            "neighbour-solicitation" => "135".into(),
            "neighbour-advertisement" => "136".into(),
            other => other.to_owned(),
        };
        let special = name.strip_prefix("parameter-problem/").and_then(|c| c.parse::<u8>().ok());
        let (a, b) = match special {
            Some(code) => (None, Some(CodeRange { icmp_type: 4, first: code, last: code })),
            None if name == "135" || name == "136" => (if word.text == name { icmp4_type(&name) } else { None }, icmp6_type(&name)),
            None => (icmp4_type(&name), icmp6_type(&name)),
        };
        if a.is_none() && b.is_none() {
            reader.note(word.span, Unsupported, format!("{} is no type of ICMP", word.text));
        }
        four.extend(a);
        six.extend(b);
    }
    (four, six)
}

fn mark(reader: &mut Reader<'_>, section: &Section) -> Match {
    let Some(text) = section.value("mark") else { return Match::Any };
    let (negative, value) = negated(text);
    let number = |s: &str| match s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => s.parse().ok(),
    };
    match (value.split_once('/'), number(value)) {
        (None, Some(n)) => Match::field(Field::Mark, Ranges::single(n.into()), negative),
        _ => {
            let span = section.at("mark");
            reader.note(span, NotModelled, "a mark with a mask is not modelled: the rule may or may not apply");
            let condition = opaque(reader, &format!("mark {value}"), span);
            if negative { Match::Not(Box::new(condition)) } else { condition }
        }
    }
}

/// `ipset`: a set, and for each of its parts from where in the packet it is taken (`blocklist src`, `pairs src,dst`).
fn in_set(reader: &mut Reader<'_>, build: &Build<'_>, section: &Section) -> Option<Match> {
    let span = section.at("ipset");
    let (negative, text) = negated(section.value("ipset")?);
    let mut words = text.split([' ', '\t', ',']).filter(|w| !w.is_empty());
    let name = words.next()?.to_owned();
    reader.device.names.used("set", name.clone(), span);
    let Some(set) = build.sets.get(&name) else {
        reader.note(span, Unsupported, format!("there is no set {name}: the {} is not loaded", section.kind));
        return Some(Match::Never);
    };
    let directions: Vec<&str> = words.collect();
    let mut fields = Vec::new();
    for (i, (direction, kind)) in set.parts.iter().enumerate() {
        let to = directions.get(i).map_or(*direction == "dst", |d| d.starts_with('d'));
        fields.push(match (*kind, to) {
            ("port", true) => Field::Dport,
            ("port", false) => Field::Sport,
            ("mac", _) => Field::SrcMac,
            (_, true) => Field::Dst,
            (_, false) => Field::Src,
        });
    }
    let inside = Match::InSet { set: format!("ipset/{name}").into(), fields, span };
    let inside = if negative { Match::Not(Box::new(inside)) } else { inside };
    Some(Match::all(vec![set.family.map_or(Match::Any, Match::Family), inside]))
}

/// Name, comment and logging of a section, on its rule.
pub(super) fn dressed(section: &Section, mut rule: Rule) -> Rule {
    rule.name = section.value("name").map(str::to_owned).filter(|n| !n.is_empty());
    // The name is all that people can write about a rule; fw4 makes it the rule's comment.
    rule.comment.clone_from(&rule.name);
    rule.log = section.value("log").is_some_and(|l| !["0", "off", "false", "no", ""].contains(&l));
    rule.whole = section.whole;
    rule
}

pub(super) fn rule(reader: &mut Reader<'_>, build: &mut Build<'_>, section: &Section) {
    if disabled(reader, section) {
        return;
    }
    let known: Vec<&str> =
        COMMON.iter().copied().chain(["device", "direction", "helper", "icmp_type", "set_mark", "set_xmark", "dscp", "set_dscp"]).collect();
    unknown_options(reader, section, &known);
    let (Ok(src), Ok(dest)) = (zone_ref(reader, build, section, "src"), zone_ref(reader, build, section, "dest")) else { return };
    let of = |z: &Option<ZoneRef>| match z {
        Some(ZoneRef::Of(name)) => build.zone(name).and_then(|z| z.family),
        _ => None,
    };
    let families = [of(&src), of(&dest)];
    let Some(asked) = asked(reader, build, section, ["src_ip", "dest_ip", "src_port", "dest_port"], "tcpudp", &families) else { return };
    let written = section.value("target").unwrap_or_default();
    let Some(what) = word(written, &["accept", "reject", "drop", "notrack", "helper", "mark", "dscp"]) else {
        reader.note(section.at("target"), Unsupported, "no target: the rule does nothing");
        return;
    };
    let place = match (&src, &dest) {
        (None, None) => Name::Output,
        (None, Some(ZoneRef::Any)) => Name::Output,
        (None, Some(ZoneRef::Of(z))) => Name::OfZone("output", z.clone()),
        (Some(ZoneRef::Any), d) => {
            if d.is_some() {
                Name::Forward
            } else {
                Name::Input
            }
        }
        (Some(ZoneRef::Of(z)), d) => Name::OfZone(if d.is_some() { "forward" } else { "input" }, z.clone()),
    };
    match (what, Fate::read(what)) {
        (_, Some(fate)) => {
            let action = target(build, fate, dest.as_ref());
            build.push(place, dressed(section, Rule::new(asked.matcher, action, section.whole)));
        }
        ("notrack", _) => match src {
            Some(ZoneRef::Of(zone)) => {
                if !build.notrack.contains(&zone) {
                    build.notrack.push(zone.clone());
                }
                let mut rule = dressed(section, Rule::new(asked.matcher, Action::Accept, section.whole));
                rule.effects.push(Effect::Untrack);
                build.push(Name::OfZone("notrack", zone), rule);
            }
            _ => reader.note(section.head, Unsupported, "NOTRACK needs a source zone; the rule is not loaded"),
        },
        ("mark", _) => {
            let hook = match (&src, &dest) {
                (Some(ZoneRef::Any), Some(ZoneRef::Any)) | (Some(ZoneRef::Of(_)), Some(ZoneRef::Of(_))) => "forward",
                (Some(ZoneRef::Any), Some(ZoneRef::Of(_))) => "postrouting",
                (Some(ZoneRef::Of(_)), Some(ZoneRef::Any)) => "prerouting",
                (Some(_), None) => "input",
                (None, _) => "output",
            };
            let mut parts = vec![asked.matcher];
            for (zone, direction) in [(&src, Direction::In), (&dest, Direction::Out)] {
                if let Some(ZoneRef::Of(name)) = zone {
                    parts.extend(build.zone(name).map(|z| z.matches(direction)));
                }
            }
            let mut rule = dressed(section, Rule::new(Match::all(parts), Action::Continue, section.whole));
            rule.effects.push(Effect::Unknown(Field::Mark));
            build.push(Name::Mangle(hook), rule);
        }
        // Helpers and service classes change nothing that is asked.
        _ => {}
    }
}
