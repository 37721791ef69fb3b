//! Translation: `nat`, `nat66`, and EdgeOS's `service nat` and `port-forward`.
//!
//! Rules of destinations hang before routing (priority -100), rules of sources after it (100), in the order of their numbers, so that the firewall sees
//! destinations as translated and sources as they are. `exclude` ends the list for a packet.

use std::collections::HashSet;

use ipnetwork::IpNetwork;

use super::chains::hang;
use super::tree::At;
use super::{Context, matching, values};
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unsupported};
use crate::model::{Action, Direction, Hook, Match, NamePattern, NatKind, Policy, PolicyAction, Rule, Translation};
use crate::net::{Family, Ranges, prefix_bounds, to_number};
use crate::packets::Field;
use crate::packets::fields::addr_type;
use crate::vendors::Reader;

/// Statements that say what becomes of a packet.
const WHAT: &[&str] = &["translation", "exclude", "disable", "log", "type", "inside-address", "outside-address", "load-balance"];

fn after(at: At<'_>) -> Policy {
    Policy { action: PolicyAction::Accept, span: at.line() }
}

/// Lowers all translation.
pub(super) fn lower(reader: &mut Reader<'_>, cx: &Context<'_>) {
    let forwarding = port_forward(reader, cx);
    let (mut before, mut behind) = (forwarding.destination, forwarding.source);
    if let Some(at) = cx.root.path(&["service", "nat"]) {
        for rule in at.numbered("rule") {
            let made = edge_rule(reader, cx, rule);
            if rule.is("type", "destination") { before.push(made) } else { behind.push(made) }
        }
    }
    let first = cx.root.get("nat").or(cx.root.path(&["service", "nat"])).or(cx.root.get("port-forward"));
    let nat = cx.root.get("nat");
    for (word, list) in [("destination", &mut before), ("source", &mut behind)] {
        for rule in nat.and_then(|n| n.get(word)).into_iter().flat_map(|n| n.numbered("rule")) {
            list.push(nat_rule(reader, cx, rule, word == "destination", Family::V4));
        }
    }
    if let Some(at) = first {
        chains(reader, at, "nat", before, behind, Family::V4);
    }
    if let Some(at) = nat.and_then(|n| n.get("static")) {
        let (before, behind) = fixed(reader, cx, at);
        chains(reader, at, "nat static", before, behind, Family::V4);
    }
    if let Some(at) = nat.and_then(|n| n.get("cgnat")) {
        at.note(NotModelled, "carrier-grade translation is not modelled: sources leave as they are here");
    }
    if let Some(at) = cx.root.get("nat66") {
        let mut list = |word: &str| -> Vec<Rule> {
            let rules = at.get(word).into_iter().flat_map(|n| n.numbered("rule"));
            rules.map(|r| nat_rule(reader, cx, r, word == "destination", Family::V6)).collect()
        };
        let (before, behind) = (list("destination"), list("source"));
        chains(reader, at, "nat66", before, behind, Family::V6);
    }
}

fn chains(reader: &mut Reader<'_>, at: At<'_>, name: &str, before: Vec<Rule>, behind: Vec<Rule>, family: Family) {
    for (rules, word, hook, priority) in [(before, "destination", Hook::Prerouting, -100), (behind, "source", Hook::Postrouting, 100)] {
        if !rules.is_empty() {
            hang(reader, format!("{name} {word}"), rules, (hook, priority), &[family], after(at));
            // Also a list of exceptions alone decides about translation, and never about passing.
            if let Some(last) = reader.device.base_chains.last_mut() {
                last.nat = true;
            }
        }
    }
}

/// A new address: one, a range, a network to which host bits are kept.
fn target(text: &str, family: Family) -> Option<(Ranges, bool)> {
    if let Ok(net) = text.parse::<IpNetwork>()
        && text.contains('/')
        && net.prefix() < family.bits()
    {
        let (f, lo, hi) = prefix_bounds(net);
        return (f == family).then(|| (Ranges::interval(lo, hi), true));
    }
    values::addresses(text).filter(|(f, _)| *f == family).map(|(_, set)| (set, false))
}

fn written(reader: &mut Reader<'_>, at: At<'_>, matcher: Match, action: Action) -> Rule {
    let _ = &reader;
    let mut rule = Rule::new(matcher, action, at.whole());
    rule.enabled = !at.has("disable");
    rule.log = at.get("log").is_some_and(|l| l.children().next().is_none_or(|v| v.word() != "disable"));
    at.all("log");
    rule.comment = at.text("description").map(str::to_owned);
    rule.name = Some(at.word().to_owned());
    rule
}

fn nat_rule(reader: &mut Reader<'_>, cx: &Context<'_>, at: At<'_>, destination: bool, family: Family) -> Rule {
    let matcher = matching::rule(reader, cx, at, family, WHAT);
    if at.has("exclude") {
        return written(reader, at, matcher, Action::Accept);
    }
    let translation = at.get("translation");
    let address = translation.and_then(|t| t.value("address"));
    let mut made = Translation {
        kind: if destination { NatKind::Destination } else { NatKind::Source },
        addresses: None,
        keep_host_bits: false,
        ports: None,
        unknown: false,
    };
    let mut known = address.is_some();
    let backends = at.get("load-balance").map(|l| l.all("backend")).unwrap_or_default();
    if let Some(balance) = at.get("load-balance") {
        balance.mark_all(Understood);
        let sets: Option<Vec<Ranges>> = backends.iter().map(|b| Some(target(b.word(), family)?.0)).collect();
        match sets {
            Some(sets) if !sets.is_empty() => {
                known = true;
                made.addresses = Some((family, sets.iter().fold(Ranges::EMPTY, |all, s| all.or(s))));
            }
            Some(_) => {}
            None => made.unknown = true,
        }
    }
    if let Some(value) = address {
        match value.word() {
            "masquerade" => made.kind = NatKind::Masquerade,
            text => match target(text, family) {
                Some((set, keep)) => {
                    made.addresses = Some((family, set));
                    made.keep_host_bits = keep;
                }
                None => {
                    value.note(Unsupported, format!("{text} is no address to translate to"));
                    made.unknown = true;
                }
            },
        }
    }
    let mut port = translation.and_then(|t| t.value("port"));
    if let Some(redirect) = translation.and_then(|t| t.get("redirect")) {
        made.kind = NatKind::Redirect;
        known = true;
        port = redirect.value("port").or(port);
    }
    if let Some(port) = port {
        known = true;
        match values::port(port.word(), None) {
            Some(set) => made.ports = Some(set),
            None => {
                port.note(Unsupported, format!("{} is no port", port.word()));
                made.unknown = true;
            }
        }
    }
    translation.and_then(|t| t.get("options")).into_iter().for_each(|o| o.mark_all(Irrelevant));
    if !known {
        at.note(Unsupported, "a rule that says nothing of what it translates to, which the system refuses");
        made.unknown = true;
    }
    written(reader, at, matcher, Action::Nat(made))
}

/// One-to-one: `destination address` outside, `translation address` inside, both ways. Its table comes after that of the other rules, and what is
/// translated already is not translated again (`nf_nat_inet_fn` of the kernel).
fn fixed(reader: &mut Reader<'_>, cx: &Context<'_>, at: At<'_>) -> (Vec<Rule>, Vec<Rule>) {
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    for rule in at.numbered("rule") {
        let outside = rule.get("destination").and_then(|d| d.value("address"));
        let inside = rule.get("translation").and_then(|t| t.value("address"));
        rule.get("translation").and_then(|t| t.get("options")).into_iter().for_each(|o| o.mark_all(Irrelevant));
        let interface = rule.value("inbound-interface").filter(|i| i.word() != "any");
        let read = |value: Option<At<'_>>| value.and_then(|v| target(v.word(), Family::V4));
        let (Some((out, keep)), Some((into, _))) = (read(outside), read(inside)) else {
            rule.note(Unsupported, "a static translation needs an address or network on each side");
            continue;
        };
        let _ = cx;
        for destination in [true, false] {
            let (field, direction, from, to, bit) =
                if destination { (Field::Dst, Direction::In, &out, &into, 2) } else { (Field::Src, Direction::Out, &into, &out, 1) };
            let mut parts = vec![Match::Address(field, Family::V4, from.clone())];
            parts.extend(interface.map(|i| values::interface(direction, i.word())));
            parts.push(Match::Field(Field::CtNat, Ranges::from_values([0, 3 - bit])));
            let action = if rule.has("exclude") {
                Action::Accept
            } else {
                Action::Nat(Translation {
                    kind: if destination { NatKind::Destination } else { NatKind::Source },
                    addresses: Some((Family::V4, to.clone())),
                    keep_host_bits: keep,
                    ports: None,
                    unknown: false,
                })
            };
            let made = written(reader, rule, Match::all(parts), action);
            if destination { before.push(made) } else { behind.push(made) }
        }
    }
    (before, behind)
}

/// A rule of EdgeOS: `type destination`, `type source` or `type masquerade`, with `inside-address` and `outside-address`.
fn edge_rule(reader: &mut Reader<'_>, cx: &Context<'_>, at: At<'_>) -> Rule {
    let matcher = matching::rule(reader, cx, at, Family::V4, WHAT);
    if at.has("exclude") {
        return written(reader, at, matcher, Action::Accept);
    }
    let kind = match at.text("type") {
        Some("destination") => NatKind::Destination,
        Some("source") => NatKind::Source,
        Some("masquerade") => NatKind::Masquerade,
        _ => {
            at.note(Unsupported, "a translation needs a type: destination, source or masquerade");
            let made = Translation { kind: NatKind::Source, addresses: None, keep_host_bits: false, ports: None, unknown: true };
            return written(reader, at, matcher, Action::Nat(made));
        }
    };
    let side = at.get(if kind == NatKind::Destination { "inside-address" } else { "outside-address" });
    let mut made = Translation { kind, addresses: None, keep_host_bits: false, ports: None, unknown: false };
    if let Some(value) = side.and_then(|s| s.value("address")) {
        match target(value.word(), Family::V4) {
            Some((set, keep)) => {
                made.addresses = Some((Family::V4, set));
                made.keep_host_bits = keep;
            }
            None => {
                value.note(Unsupported, format!("{} is no address to translate to", value.word()));
                made.unknown = true;
            }
        }
    }
    if let Some(value) = side.and_then(|s| s.value("port")) {
        match values::port(value.word(), None) {
            Some(set) => made.ports = Some(set),
            None => {
                value.note(Unsupported, format!("{} is no port", value.word()));
                made.unknown = true;
            }
        }
    }
    written(reader, at, matcher, Action::Nat(made))
}

/// What `port-forward` makes.
#[derive(Default)]
struct Forwarding {
    destination: Vec<Rule>,
    source: Vec<Rule>,
}

/// One rule of `port-forward`, as far as both translation and filter need it.
struct Forwarded<'t> {
    at: At<'t>,
    protocol: Match,
    original: Match,
    /// As the filter sees it.
    arrived: Match,
    address: Ranges,
    ports: Option<Ranges>,
}

fn forwarded<'t>(cx: &Context<'t>) -> Vec<Forwarded<'t>> {
    let mut out = Vec::new();
    for at in cx.root.get("port-forward").into_iter().flat_map(|p| p.numbered("rule")) {
        let numbers = match at.text("protocol") {
            Some("tcp") => vec![6],
            Some("udp") => vec![17],
            _ => vec![6, 17],
        };
        let Some(to) = at.get("forward-to") else { continue };
        let address = to.value("address").and_then(|v| values::addresses(v.word()));
        let original = at.value("original-port").and_then(|v| values::ports(Field::Dport, v.word(), None, false));
        let ports = to.value("port").map(|v| values::port(v.word(), None));
        let (Some((Family::V4, address)), Some(original), false) = (address, original.clone(), ports == Some(None)) else {
            at.note(Unsupported, "a port forwarding needs `forward-to address` and `original-port`");
            continue;
        };
        let ports = ports.flatten();
        let arrived = ports.clone().map_or(original.clone(), |p| Match::Field(Field::Dport, p));
        out.push(Forwarded { at, protocol: Match::Field(Field::Proto, Ranges::from_values(numbers)), original, arrived, address, ports });
    }
    out
}

fn on_any(direction: Direction, at: At<'_>, word: &str) -> Match {
    Match::any_of(at.all(word).iter().map(|i| Match::Interface(direction, NamePattern::exact(i.word()))).collect())
}

/// Rules of the filter that `port-forward auto-firewall` makes, before all others (`UBNT_PFOR_FW_HOOK` at the head of `FORWARD`).
pub(super) fn let_in(cx: &Context<'_>) -> Vec<Rule> {
    let Some(at) = cx.root.get("port-forward").filter(|p| p.is("auto-firewall", "enable")) else { return vec![] };
    let outside = on_any(Direction::In, at, "wan-interface");
    let rules = forwarded(cx).into_iter().map(|f| {
        let to = Match::Address(Field::Dst, Family::V4, f.address);
        let matcher = Match::all(vec![outside.clone(), f.protocol, to, f.arrived]);
        Rule::implied("rule of a port forwarding", matcher, Action::Accept, f.at.whole())
    });
    rules.collect()
}

/// `port-forward` of EdgeOS: from the outside interface to its own address (`UBNT_PFOR_DNAT_HOOK`), and from the inside ones by `hairpin-nat`.
fn port_forward(reader: &mut Reader<'_>, cx: &Context<'_>) -> Forwarding {
    let mut out = Forwarding::default();
    let Some(at) = cx.root.get("port-forward") else { return out };
    for word in ["auto-firewall", "hairpin-nat", "lan-interface", "wan-interface"] {
        at.all(word);
    }
    let mut own = Ranges::EMPTY;
    let mut others = Ranges::EMPTY;
    let mut dynamic = false;
    let names: HashSet<&str> = at.all("wan-interface").iter().map(|i| i.word()).collect();
    for interface in reader.device.interfaces.iter().flatten() {
        let wan = names.contains(interface.name.as_str());
        dynamic |= wan && interface.dynamic.contains(&Family::V4);
        for net in interface.addresses.iter().filter(|n| n.is_ipv4()) {
            let one = Ranges::single(to_number(net.ip()).1);
            if wan { own = own.or(&one) } else { others = others.or(&one) }
        }
    }
    // An address that comes at run time is one of this device that no other interface is known to have.
    let to_outside = if dynamic {
        Match::all(vec![
            Match::Field(Field::DstType, Ranges::single(addr_type::LOCAL)),
            Match::address(Field::Dst, Family::V4, others, true),
        ])
    } else {
        Match::Address(Field::Dst, Family::V4, own)
    };
    let hairpin = at.is("hairpin-nat", "enable");
    let mut from = vec![on_any(Direction::In, at, "wan-interface")];
    if hairpin {
        from.push(on_any(Direction::In, at, "lan-interface"));
    }
    let mut nets = Vec::new();
    let inside: HashSet<&str> = at.all("lan-interface").iter().map(|i| i.word()).collect();
    for interface in reader.device.interfaces.iter().flatten().filter(|i| inside.contains(i.name.as_str())) {
        let of = interface.addresses.iter().filter(|n| n.is_ipv4()).map(|n| prefix_bounds(*n));
        let set = Ranges::from_intervals(of.map(|(_, lo, hi)| (lo, hi)).collect());
        nets.push(Match::all(vec![
            Match::Interface(Direction::Out, NamePattern::exact(interface.name.as_str())),
            Match::Address(Field::Src, Family::V4, set),
        ]));
    }
    for f in forwarded(cx) {
        let translation = Translation {
            kind: NatKind::Destination,
            addresses: Some((Family::V4, f.address.clone())),
            keep_host_bits: false,
            ports: f.ports.clone(),
            unknown: false,
        };
        let matcher = Match::all(vec![Match::any_of(from.clone()), to_outside.clone(), f.protocol.clone(), f.original.clone()]);
        let rule = written(reader, f.at, matcher, Action::Nat(translation));
        out.destination.push(rule);
        if hairpin {
            let to = Match::Address(Field::Dst, Family::V4, f.address.clone());
            let matcher = Match::all(vec![Match::any_of(nets.clone()), f.protocol, to, f.arrived]);
            let translation =
                Translation { kind: NatKind::Masquerade, addresses: None, keep_host_bits: false, ports: None, unknown: false };
            out.source.push(Rule::implied("hairpin translation", matcher, Action::Nat(translation), f.at.whole()));
        }
    }
    out
}
