//! What a rule asks of a packet: of the firewall, of policy routes, of translation, of exemptions from connection tracking.

use super::Context;
use super::tree::At;
use super::values;
use crate::diag::LineState::{Irrelevant, NotModelled, Unsupported};
use crate::model::{Direction, Match};
use crate::net::{Family, Ranges, icmp4_type, icmp6_type, protocol_number};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::vendors::Reader;

/// Statements of a rule that ask nothing.
const QUIET: &[&str] = &["description", "log-options", "log-level", "load-balance"];

/// A condition that is not modelled.
pub(super) fn opaque(reader: &mut Reader<'_>, at: At<'_>, text: &str) -> Match {
    at.note(NotModelled, format!("`{text}` is not modelled: it may or may not hold"));
    Match::Opaque(reader.device.conditions.intern(text, at.line()))
}

/// A condition of its own for each rule (a rate).
fn afresh(reader: &mut Reader<'_>, at: At<'_>, text: &str) -> Match {
    at.note(NotModelled, format!("`{text}` is not modelled: it may or may not hold"));
    Match::Opaque(reader.device.conditions.intern_afresh(text, at.line()))
}

/// The words of a statement and what is below it, for the text of a condition.
pub(super) fn text_of(at: At<'_>) -> String {
    let mut out = at.word().to_owned();
    let mut todo: Vec<At<'_>> = at.children().collect();
    todo.reverse();
    let mut words = 0;
    while let Some(next) = todo.pop() {
        words += 1;
        if words > 24 {
            out.push_str(" …");
            break;
        }
        out.push(' ');
        out.push_str(next.word());
        let below: Vec<At<'_>> = next.children().collect();
        todo.extend(below.into_iter().rev());
    }
    out
}

/// The protocol of a rule: its numbers, and the one number if it is one.
struct Protocol {
    matches: Match,
    /// A port can be asked.
    ports: bool,
    single: Option<u8>,
}

fn protocol(reader: &mut Reader<'_>, rule: At<'_>) -> Protocol {
    let none = |matches| Protocol { matches, ports: false, single: None };
    let Some(value) = rule.value("protocol") else { return none(Match::Any) };
    let (not, name) = values::negated(value.word());
    if matches!(name, "all" | "ip" | "any") && !not {
        return none(Match::Any);
    }
    if name == "tcp_udp" {
        let both = Ranges::from_values([6, 17]);
        return Protocol { matches: Match::field(Field::Proto, both, not), ports: !not, single: None };
    }
    match protocol_number(name) {
        // Number 0 is all of them for iptables, and hop-by-hop options for nothing else that is matched.
        Some(0) if !not => none(Match::Any),
        Some(n) => Protocol {
            matches: Match::field(Field::Proto, Ranges::single(n.into()), not),
            ports: !not && matches!(n, 6 | 17 | 33 | 132 | 136),
            single: Some(n),
        },
        None => {
            value.note(Unsupported, format!("{name} is no protocol that is known"));
            let text = format!("protocol {}", value.word());
            none(Match::Opaque(reader.device.conditions.intern(&text, value.line())))
        }
    }
}

/// Everything that a rule asks. `known`: further statements that the caller reads itself.
pub(super) fn rule(reader: &mut Reader<'_>, cx: &Context<'_>, rule: At<'_>, family: Family, known: &[&str]) -> Match {
    let protocol = protocol(reader, rule);
    let mut parts = vec![protocol.matches.clone()];
    for part in rule.children() {
        let word = part.word();
        if known.contains(&word) || word == "protocol" {
            part.touch();
            continue;
        }
        if QUIET.contains(&word) {
            part.mark_all(Irrelevant);
            continue;
        }
        part.touch();
        let found = match word {
            "source" => side(reader, cx, rule, part, [Field::Src, Field::Sport], family, &protocol),
            "destination" => side(reader, cx, rule, part, [Field::Dst, Field::Dport], family, &protocol),
            "state" => state(part),
            "icmp" | "icmpv6" => icmp(reader, part),
            "tcp" => tcp(reader, part),
            "ttl" | "hop-limit" => ttl(reader, part),
            "fragment" => fragment(reader, cx, part),
            "inbound-interface" => interface(reader, cx, part, Direction::In),
            "outbound-interface" => interface(reader, cx, part, Direction::Out),
            "ipsec" => ipsec(reader, part),
            "packet-length" | "packet-length-exclude" => {
                // IPv6 counts its header apart (RFC 8200, 3), nftables reads the field as it stands.
                let header = if family == Family::V6 { 40 } else { 0 };
                list(reader, part, |t| {
                    let set = values::number(t, 65535)?;
                    let moved = set.intervals().iter().map(|(lo, hi)| (lo + header, (hi + header).min(65535)));
                    Some(Ranges::from_intervals(moved.filter(|(lo, hi)| lo <= hi).collect()))
                })
                .map_or_else(|m| m, |set| Match::field(Field::Length, set, word.ends_with("exclude")))
            }
            "dscp" | "dscp-exclude" => list(reader, part, |t| values::number(t, 63))
                .map_or_else(|m| m, |set| Match::field(Field::Dscp, set, word.ends_with("exclude"))),
            "packet-type" => {
                let numbers = [("host", 0), ("broadcast", 1), ("multicast", 2), ("other", 3)];
                let asked = last(part).and_then(|v| numbers.iter().find(|n| n.0 == v.word()));
                match asked {
                    Some((_, n)) => Match::Field(Field::PktType, Ranges::single(*n)),
                    None => opaque(reader, part, &text_of(part)),
                }
            }
            "mark" => match last(part) {
                Some(value) => {
                    let (not, text) = values::negated(value.word());
                    match values::number(text, u32::MAX.into()) {
                        Some(set) => Match::field(Field::Mark, set, not),
                        None => opaque(reader, part, &text_of(part)),
                    }
                }
                None => Match::Any,
            },
            "connection-mark" => list(reader, part, |t| values::number(t, u32::MAX.into()))
                .map_or_else(|m| m, |set| Match::all(vec![Match::tracked(), Match::Field(Field::CtMark, set)])),
            "connection-status" => match part.text("nat") {
                // Bits of the translation: source 1, destination 2.
                Some("destination") => Match::all(vec![Match::tracked(), Match::Field(Field::CtNat, Ranges::from_values([2, 3]))]),
                Some("source") => Match::all(vec![Match::tracked(), Match::Field(Field::CtNat, Ranges::from_values([1, 3]))]),
                _ => opaque(reader, part, &text_of(part)),
            },
            "limit" | "recent" | "statistic" => afresh(reader, part, &text_of(part)),
            // What is not known too: it may be anything that a packet is asked.
            _ => {
                if !OPAQUE.contains(&word) {
                    part.note(crate::diag::LineState::Unrecognised, format!("no statement of a rule that is known: {word}"));
                    parts.push(Match::Opaque(reader.device.conditions.intern(&text_of(part), part.line())));
                    continue;
                }
                opaque(reader, part, &text_of(part))
            }
        };
        parts.push(found);
    }
    if rule.text("action") == Some("synproxy") {
        // Added by `parse_rule` (vyos-1x, python/vyos/firewall.py).
        parts.push(Match::Field(Field::Ct, Ranges::interval(ct::INVALID, ct::UNTRACKED)));
    }
    Match::all(parts)
}

/// Statements that ask what is not modelled.
const OPAQUE: &[&str] = &[
    "time",
    "p2p",
    "application",
    "vlan",
    "ethernet-type",
    "gre",
    "conntrack-helper",
    "flow-group",
    "geoip",
    "ipv6-route",
    "l2tp",
    "socket",
];

fn last(at: At<'_>) -> Option<At<'_>> {
    let found = at.children().last()?;
    found.touch();
    Some(found)
}

/// Several values of one statement. `Err`: one of them is none.
fn list(reader: &mut Reader<'_>, at: At<'_>, read: impl Fn(&str) -> Option<Ranges>) -> Result<Ranges, Match> {
    let mut all = Ranges::EMPTY;
    for value in at.children() {
        value.touch();
        match read(value.word()) {
            Some(set) => all = all.or(&set),
            None => return Err(opaque(reader, at, &text_of(at))),
        }
    }
    Ok(all)
}

fn side(
    reader: &mut Reader<'_>,
    cx: &Context<'_>,
    rule: At<'_>,
    side: At<'_>,
    fields: [Field; 2],
    family: Family,
    protocol: &Protocol,
) -> Match {
    let [address, port] = fields;
    let mut parts = Vec::new();
    for part in side.children() {
        part.touch();
        match part.word() {
            "address" | "prefix" | "network" => {
                let Some(value) = last(part) else { continue };
                let (not, text) = values::negated(value.word());
                let found = match values::addresses(text) {
                    Some((f, set)) if f == family => match side.value("address-mask") {
                        None => Match::address(address, family, set, not),
                        Some(mask) => {
                            masked(address, family, &set, mask.word(), not).unwrap_or_else(|| opaque(reader, side, &text_of(side)))
                        }
                    },
                    Some(_) => {
                        value.note(Unsupported, "an address of the other family: the rule meets no packet");
                        Match::Never
                    }
                    // `!` binds to the first address of a range, in the same way.
                    None if text == "any" => Match::Any.negate_if(not),
                    None => {
                        value.note(Unsupported, format!("{text} is no address"));
                        Match::Opaque(reader.device.conditions.intern(&format!("{} address {}", side.word(), value.word()), value.line()))
                    }
                };
                parts.push(found);
            }
            "address-mask" => {}
            "port" => {
                let Some(value) = last(part) else { continue };
                let found = values::ports(port, value.word(), protocol.single, cx.era.nftables());
                parts.push(match found {
                    Some(found) if protocol.ports => found,
                    Some(_) => {
                        value.note(Unsupported, "ports without a protocol that has ports: the system refuses such a rule");
                        Match::Opaque(reader.device.conditions.intern(&format!("{} port {}", side.word(), value.word()), value.line()))
                    }
                    None => {
                        value.note(Unsupported, format!("{} is no list of ports", value.word()));
                        Match::Opaque(reader.device.conditions.intern(&format!("{} port {}", side.word(), value.word()), value.line()))
                    }
                });
            }
            "mac-address" => {
                let Some(value) = last(part) else { continue };
                let (not, text) = values::negated(value.word());
                parts.push(match values::mac(text) {
                    Some(mac) if address == Field::Src => {
                        Match::all(vec![Match::on_ethernet(), Match::field(Field::SrcMac, Ranges::single(mac), not)])
                    }
                    _ => opaque(reader, part, &format!("{} {}", side.word(), text_of(part))),
                });
            }
            "group" => {
                for group in part.children() {
                    group.touch();
                    let Some(value) = last(group) else { continue };
                    let field = if group.word() == "port-group" { port } else { address };
                    if group.word() == "port-group" && !protocol.ports {
                        value.note(Unsupported, "ports without a protocol that has ports: the system refuses such a rule");
                        parts.push(Match::Opaque(
                            reader.device.conditions.intern(&format!("{} {}", side.word(), text_of(group)), value.line()),
                        ));
                        continue;
                    }
                    parts.push(cx.groups.matches(reader, group.word(), field, family, value));
                }
            }
            _ => parts.push(opaque(reader, part, &format!("{} {}", side.word(), text_of(part)))),
        }
    }
    let _ = rule;
    Match::all(parts)
}

/// Addresses under a mask: a mask that keeps the low bits or has gaps makes many ranges, of which some hundreds are kept.
fn masked(field: Field, family: Family, set: &Ranges, mask: &str, not: bool) -> Option<Match> {
    let (f, mask) = crate::net::parse_addr(mask)?;
    let wanted = set.as_single()?;
    let free = family.max_address() & !mask;
    if f != family || wanted & free != 0 {
        return None;
    }
    // The lowest free bits make a range; each one above doubles their number.
    let run = free.trailing_ones();
    let width = 1u128.checked_shl(run).map_or(u128::MAX, |w| w - 1);
    let above: Vec<u32> = (run..family.bits().into()).filter(|b| free >> b & 1 == 1).collect();
    if above.len() > 10 {
        return None;
    }
    let starts = (0..1u128 << above.len()).map(|n| above.iter().enumerate().fold(wanted, |a, (i, b)| a | (n >> i & 1) << b));
    Some(Match::address(field, family, Ranges::from_intervals(starts.map(|s| (s, s | width)).collect()), not))
}

/// `state established enable` (before 1.4) or `state established`.
fn state(part: At<'_>) -> Match {
    let names = ["new", "established", "related", "invalid", "untracked"];
    let mut numbers = Vec::new();
    let mut asked = false;
    for state in part.children() {
        state.touch();
        let on = state.children().next().is_none() || last(state).is_some_and(|v| v.word() != "disable");
        match names.iter().position(|n| *n == state.word()) {
            Some(n) if on => numbers.push(n as u128),
            Some(_) => continue,
            None => state.note(Unsupported, "no state of a connection"),
        }
        asked = true;
    }
    if asked { Match::Field(Field::Ct, Ranges::from_values(numbers)) } else { Match::Any }
}

fn icmp(reader: &mut Reader<'_>, part: At<'_>) -> Match {
    let six = part.word() == "icmpv6";
    let proto = Match::Field(Field::Proto, Ranges::single(if six { 58 } else { 1 }));
    let named = |text: &str| if six { icmp6_type(text) } else { icmp4_type(text) };
    let range = |icmp_type: u8, first: u8, last: u8| {
        let base = u128::from(icmp_type) << 8;
        Ranges::interval(base | u128::from(first), base | u128::from(last))
    };
    let code = part.text("code").map(str::parse::<u8>);
    let asked = part.value("type-name").or(part.value("type"));
    let Some(value) = asked else {
        return match code {
            None => proto,
            Some(Ok(code)) => {
                let all = (0..=255u128).map(|t| t << 8 | u128::from(code));
                Match::all(vec![proto, Match::Field(Field::Icmp, Ranges::from_values(all))])
            }
            Some(Err(_)) => opaque(reader, part, &text_of(part)),
        };
    };
    // An `any` of iptables.
    if value.word() == "any" {
        return proto;
    }
    match (named(value.word()), code) {
        (Some(t), None) => Match::all(vec![proto, Match::Field(Field::Icmp, range(t.icmp_type, t.first, t.last))]),
        (Some(t), Some(Ok(code))) => Match::all(vec![proto, Match::Field(Field::Icmp, range(t.icmp_type, code, code))]),
        _ => opaque(reader, part, &text_of(part)),
    }
}

/// `tcp flags SYN,!ACK` (before 1.4) or `tcp flags syn` and `tcp flags not ack`; `tcp mss`.
fn tcp(reader: &mut Reader<'_>, part: At<'_>) -> Match {
    const NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
    let bit = |name: &str| {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "all" => Some(0x3f),
            "none" => Some(0),
            "ece" => Some(64),
            _ => NAMES.iter().position(|n| *n == name).map(|i| 1u128 << i),
        }
    };
    let mut parts = Vec::new();
    for child in part.children() {
        child.touch();
        if child.word() != "flags" {
            parts.push(opaque(reader, child, &format!("tcp {}", text_of(child))));
            continue;
        }
        let (mut mask, mut set, mut known) = (0u128, 0u128, true);
        for flag in child.children() {
            flag.touch();
            if flag.word() == "not" {
                for unset in flag.children() {
                    unset.touch();
                    match bit(unset.word()) {
                        Some(b) => mask |= b,
                        None => known = false,
                    }
                }
                continue;
            }
            for name in flag.word().split(',') {
                let (not, name) = values::negated(name.trim());
                match bit(name) {
                    Some(b) => {
                        mask |= b;
                        set |= if not { 0 } else { b };
                    }
                    None => known = false,
                }
            }
        }
        if !known {
            parts.push(opaque(reader, child, &format!("tcp {}", text_of(child))));
            continue;
        }
        let flags = (0..256u128).filter(|f| f & mask == set);
        parts.push(Match::Field(Field::Proto, Ranges::single(6)));
        parts.push(Match::Field(Field::TcpFlags, Ranges::from_values(flags)));
    }
    Match::all(parts)
}

fn ttl(reader: &mut Reader<'_>, part: At<'_>) -> Match {
    let mut parts = Vec::new();
    for child in part.children() {
        child.touch();
        let number = last(child).and_then(|v| v.word().parse::<u8>().ok()).map(u128::from);
        let set = match (child.word(), number) {
            ("eq", Some(n)) => Ranges::single(n),
            ("gt", Some(255)) | ("lt", Some(0)) => Ranges::EMPTY,
            ("gt", Some(n)) => Ranges::interval(n + 1, 255),
            ("lt", Some(n)) => Ranges::interval(0, n - 1),
            _ => return opaque(reader, part, &text_of(part)),
        };
        parts.push(Match::Field(Field::Ttl, set));
    }
    Match::all(parts)
}

/// Fragments. nftables sees them by a mark that a chain sets before they are put together ([`super::rules`]); iptables' `-f` means those after the
/// first.
fn fragment(reader: &mut Reader<'_>, cx: &Context<'_>, part: At<'_>) -> Match {
    let mut parts = Vec::new();
    for child in part.children() {
        child.touch();
        let not = match child.word() {
            "match-frag" => false,
            "match-non-frag" => true,
            _ => return opaque(reader, part, &text_of(part)),
        };
        parts.push(if cx.era.nftables() {
            Match::field(Field::Mark, Ranges::single(super::FRAGMENT_MARK), not)
        } else {
            Match::field(Field::Fragment, Ranges::single(2), not)
        });
    }
    Match::all(parts)
}

/// `inbound-interface eth0`, `inbound-interface name eth0`, `inbound-interface group LAN`.
fn interface(reader: &mut Reader<'_>, cx: &Context<'_>, part: At<'_>, direction: Direction) -> Match {
    let mut parts = Vec::new();
    let mut bare = Vec::new();
    for child in part.children() {
        child.touch();
        match child.word() {
            "name" | "interface-name" if child.children().next().is_some() => {
                let Some(value) = last(child) else { continue };
                if value.word() != "any" {
                    parts.push(values::interface(direction, value.word()));
                }
            }
            "group" | "interface-group" if child.children().next().is_some() => {
                let Some(value) = last(child) else { continue };
                parts.push(cx.groups.interfaces(reader, direction, value));
            }
            "any" => {}
            name => bare.push(values::interface(direction, name)),
        }
    }
    if let Some(one) = bare.pop() {
        parts.push(one);
    }
    Match::all(parts)
}

/// Whether a packet came out of IPsec, or goes into it.
fn ipsec(reader: &mut Reader<'_>, part: At<'_>) -> Match {
    let mut parts = Vec::new();
    for child in part.children() {
        child.touch();
        let (text, not) = match child.word() {
            "match-ipsec" | "match-ipsec-in" => ("the packet came out of IPsec", false),
            "match-none" | "match-none-in" | "match-non-ipsec" => ("the packet came out of IPsec", true),
            "match-ipsec-out" => ("the packet goes into IPsec", false),
            "match-none-out" => ("the packet goes into IPsec", true),
            _ => return opaque(reader, part, &text_of(part)),
        };
        child.note(NotModelled, "which packets IPsec protects is not modelled: it may or may not hold");
        parts.push(Match::Opaque(reader.device.conditions.intern(text, child.line())).negate_if(not));
    }
    Match::all(parts)
}
