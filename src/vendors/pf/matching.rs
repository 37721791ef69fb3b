//! From the words of a rule to what it asks of a packet.

use super::ast::{Dir, Host, Iface, Place, Proto, Rule, State, Verb};
use super::lower::Lowering;
use crate::model::{Direction, Match, NamePattern};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;

const TCP: u128 = 6;
/// TCP, UDP and SCTP: the protocols whose ports pf looks at.
const WITH_PORTS: [u128; 3] = [6, 17, 132];

impl Lowering<'_, '_> {
    /// What a rule asks of a packet that passes in direction `dir`. Lists are alternatives: pfctl makes a rule of each combination of their
    /// elements, in a row and with the same action, of which any may match; so `{ ! a, ! b }` is everything.
    pub fn matcher(&mut self, rule: &Rule, dir: Dir) -> Match {
        let mut parts = vec![self.on(&rule.on, direction(dir))];
        parts.push(self.on(&rule.received_on, Direction::In));
        if let Some(family) = rule.family {
            parts.push(Match::Family(family));
        }
        parts.extend(self.protocols(rule));
        parts.push(self.places(&rule.src, Field::Src));
        parts.push(self.places(&rule.dst, Field::Dst));
        for (field, ports) in [(Field::Sport, &rule.sport), (Field::Dport, &rule.dport)] {
            if let Some(ports) = ports {
                parts.push(Match::Field(field, ports.clone()));
            }
        }
        parts.push(flags(rule));
        if let Some((not, tag)) = &rule.tagged {
            parts.push(match self.tags.get(tag) {
                Some(id) => Match::field(Field::Mark, Ranges::single(*id), *not),
                // No rule here sets it: another program may (a proxy's anchor, a bridge).
                None => self.opaque(&format!("tagged {tag}"), self.whole).negate_if(*not),
            });
        }
        if rule.fragment {
            parts.push(Match::Field(Field::Fragment, Ranges::interval(1, 2)));
        }
        for (text, span) in &rule.opaque {
            parts.push(self.opaque(text, *span));
        }
        Match::all(parts)
    }

    pub fn opaque(&mut self, text: &str, span: Span) -> Match {
        let (text, not) = text.strip_prefix("! ").map_or((text, false), |t| (t, true));
        Match::Opaque(self.reader.device.conditions.intern(text, span)).negate_if(not)
    }

    fn on(&mut self, list: &[Iface], direction: Direction) -> Match {
        if list.is_empty() {
            return Match::Any;
        }
        let any = list.iter().map(|i| interface(&i.name, direction, i.span).negate_if(i.not)).collect();
        Match::any_of(any)
    }

    fn protocols(&mut self, rule: &Rule) -> Vec<Match> {
        let mut any = Vec::new();
        let mut numbers: Vec<u128> = Vec::new();
        for proto in &rule.protos {
            match proto {
                Proto::Number(n) => numbers.push(u128::from(*n)),
                Proto::Unknown(name) => any.push((name.clone(), self.whole)),
            }
        }
        let mut parts = Vec::new();
        if (rule.sport.is_some() || rule.dport.is_some()) && (numbers.is_empty() || numbers.iter().any(|n| !WITH_PORTS.contains(n))) {
            // pfctl refuses such a rule (`port only applies to tcp/udp`), and with it the whole configuration.
            self.refused = Some("pfctl refuses this rule: a port asks for tcp or udp");
            numbers.retain(|n| WITH_PORTS.contains(n));
            if numbers.is_empty() {
                numbers = WITH_PORTS.to_vec();
            }
        }
        if !numbers.is_empty() || !any.is_empty() {
            let mut list: Vec<Match> = any.iter().map(|(name, span)| self.opaque(&format!("proto {name}"), *span)).collect();
            if !numbers.is_empty() {
                list.push(Match::Field(Field::Proto, Ranges::from_values(numbers)));
            }
            parts.push(Match::any_of(list));
        }
        let icmp = |number: u128, types: &Ranges| {
            Match::all(vec![Match::Field(Field::Proto, Ranges::single(number)), Match::Field(Field::Icmp, types.clone())])
        };
        match (&rule.icmp4, &rule.icmp6) {
            (None, None) => {}
            (Some(t), None) => parts.push(icmp(1, t)),
            (None, Some(t)) => parts.push(icmp(58, t)),
            (Some(four), Some(six)) => parts.push(Match::any_of(vec![icmp(1, four), icmp(58, six)])),
        }
        parts
    }

    /// Addresses of one side.
    pub fn places(&mut self, list: &[Place], field: Field) -> Match {
        if list.is_empty() {
            return Match::Any;
        }
        let mut any = Vec::new();
        let mut known: [Vec<(u128, u128)>; 2] = [Vec::new(), Vec::new()];
        for place in list {
            match (&place.host, place.not) {
                (Host::Any, false) => return Match::Any,
                (Host::Any, true) => {}
                (Host::Net(family, lo, hi), false) => known[usize::from(*family == Family::V6)].push((*lo, *hi)),
                // A rule with an address is a rule for its family, also where the address is negated.
                (Host::Net(family, lo, hi), true) => any.push(Match::address(field, *family, Ranges::interval(*lo, *hi), true)),
                (Host::Table(name), not) => {
                    any.push(Match::InSet { set: format!("<{name}>").into(), fields: vec![field], span: place.span }.negate_if(not));
                }
                (Host::Opaque(text), not) => {
                    let side = if field == Field::Src { "from" } else { "to" };
                    // A host's name stands for as many rules as it has addresses: its negation is not the opposite.
                    let named = text.starts_with("host ");
                    let text = if named && not { format!("{side} not {text}") } else { format!("{side} {text}") };
                    any.push(self.opaque(&text, place.span).negate_if(not && !named));
                }
                (Host::Iface { name, part, mask, dynamic }, not) => {
                    any.push(of_interface(field, name, part, *mask, *dynamic, not, place.span));
                }
            }
        }
        for (family, intervals) in [Family::V4, Family::V6].into_iter().zip(known) {
            if !intervals.is_empty() {
                any.push(Match::Address(field, family, Ranges::from_intervals(intervals)));
            }
        }
        Match::any_of(any)
    }
}

pub(super) fn direction(dir: Dir) -> Direction {
    match dir {
        Dir::In => Direction::In,
        Dir::Out => Direction::Out,
    }
}

/// Drivers that put each interface into a group of their name: "cloners" of ifconfig(8).
const CLONERS: &[&str] = &[
    "lo", "wg", "tun", "tap", "ppp", "pppoe", "gif", "gre", "vlan", "bridge", "carp", "enc", "pflog", "pfsync", "vether", "trunk", "epair",
    "lagg", "ipsec", "vxlan", "svlan", "aggr", "veb", "vport", "utun", "ng", "pair", "mpw", "etherip", "egre", "eoip", "nvgre", "sec",
];

/// The interfaces of a name: one, a driver's, or those of a group. Who is in a group only the running system knows: the name is taken for that of
/// an interface (they can be renamed, ifconfig(8)), and whatever else is in the group is in a set that `ifconfig` beside it defines.
pub(super) fn interface(name: &str, direction: Direction, span: Span) -> Match {
    if !name.starts_with('$') && name.ends_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        return Match::Interface(direction, NamePattern::exact(name));
    }
    if name == "any" {
        // pf.conf(5) of OpenBSD: any interface but the loopback ones.
        return Match::Not(Box::new(Match::Interface(direction, NamePattern::prefix("lo"))));
    }
    if CLONERS.contains(&name) {
        return Match::Interface(direction, NamePattern::prefix(name));
    }
    let field = match direction {
        Direction::In => Field::Src,
        Direction::Out => Field::Dst,
    };
    Match::AnyOf(vec![
        Match::Interface(direction, NamePattern::exact(name)),
        Match::InSet { set: group_set(name).into(), fields: vec![field], span },
    ])
}

/// Name of the set of the interfaces of a group.
pub(super) fn group_set(name: &str) -> String {
    format!("interface group {name}")
}

/// Addresses of an interface or group: a set that `ifconfig` beside the rules defines. Where it does not, whether an address is in it is not known.
fn of_interface(field: Field, name: &str, part: &str, mask: Option<u8>, dynamic: bool, not: bool, span: Span) -> Match {
    if name == "lo0" {
        return loopback(field, part, mask, not);
    }
    let part = if part.is_empty() { String::new() } else { format!(":{part}") };
    let mask = mask.map_or(String::new(), |m| format!("/{m}"));
    let set = |prefix: &str| Match::InSet { set: format!("{prefix}{name}{part}{mask}").into(), fields: vec![field], span };
    // Without parentheses pfctl puts a rule for each address in the place of the name, each with the negation.
    match (not, dynamic) {
        (true, false) => set("! "),
        (not, _) => set("").negate_if(not),
    }
}

/// lo0 has 127.0.0.1/8, ::1/128 and fe80::1/64: lo(4).
fn loopback(field: Field, part: &str, mask: Option<u8>, not: bool) -> Match {
    let network = part.split(':').next() == Some("network");
    let addresses: [(Family, u128, u8); 3] = [(Family::V4, 0x7f00_0001, 8), (Family::V6, 1, 128), (Family::V6, 0xfe80_u128 << 112 | 1, 64)];
    let mut any = Vec::new();
    for (family, n, own) in addresses {
        let bits = mask.unwrap_or(if network { own } else { family.bits() });
        let Some(host) = family.bits().checked_sub(bits) else { continue };
        let low = if host >= 128 { u128::MAX } else { (1u128 << host) - 1 };
        any.push(Match::address(field, family, Ranges::interval(n & !low, n | low), not));
    }
    Match::any_of(any)
}

/// TCP flags: those written; else `S/SA` where a rule that passes keeps state, which it does unless it says otherwise (pf.conf(5) of OpenBSD 4.1,
/// FreeBSD 7, macOS 10.7 and later). They are looked at in TCP only.
fn flags(rule: &Rule) -> Match {
    let of_tcp = rule.protos.is_empty() || rule.protos.iter().any(|p| matches!(p, Proto::Number(6)));
    let default = rule.verb == Verb::Pass && rule.state != Some(State::None) && of_tcp;
    let wanted = match rule.flags {
        Some(given) => given,
        None if default => Some((0x12, 0x02)),
        None => None,
    };
    let Some((of, set)) = wanted else { return Match::Any };
    let values = Ranges::from_values((0..256u128).filter(|f| f & u128::from(of) == u128::from(set & of)));
    let right = Match::Field(Field::TcpFlags, values);
    match rule.protos.as_slice() {
        [Proto::Number(6)] => right,
        _ => Match::any_of(vec![Match::field_not(Field::Proto, &Ranges::single(TCP)), right]),
    }
}
