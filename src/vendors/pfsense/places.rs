//! Sources and destinations.

use ipnetwork::IpNetwork;

use super::Dialect;
use super::aliases::{BUILT_IN, SPACE, addresses};
use super::interfaces::index_of;
use super::lower::Lowering;
use super::tree::{Text, Tree, parts};
use crate::model::Match;
use crate::net::{Family, Ranges, prefix_bounds};
use crate::packets::Field;
use crate::packets::fields::addr_type;
use crate::source::Span;
use crate::syntax::xml::Element;

/// One side of a rule as written.
#[derive(Clone, Debug)]
pub(super) struct Side<'d> {
    /// The words; none: any.
    pub words: Vec<Text<'d>>,
    pub not: Negation,
    pub port: Option<Text<'d>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Negation {
    No,
    Yes,
    /// Versions differ in how they take it.
    Unclear(Span),
}

impl<'d> Side<'d> {
    pub fn any() -> Side<'d> {
        Side { words: Vec::new(), not: Negation::No, port: None }
    }

    /// `<source>` or `<destination>` with `<any/>`, `<network>` or `<address>`, `<not/>` and `<port>`.
    pub fn nested(element: Option<Element<'d>>, dialect: Dialect) -> Side<'d> {
        let Some(element) = element else { return Side::any() };
        let mut side = Side { port: element.value("port"), not: negation(element.child("not"), dialect), words: Vec::new() };
        if !element.has("any") {
            side.words.extend(element.value("network").or_else(|| element.value("address")));
        } else {
            // Both leave out the negation of any.
            side.not = Negation::No;
        }
        side
    }

    /// `<source_net>`, `<source_not>` and `<source_port>`.
    pub fn flat(rule: Element<'d>, side: &str) -> Side<'d> {
        let words = rule.value(&format!("{side}_net")).into_iter().flat_map(|list| {
            // The parts have the place of the whole list.
            parts(&list.text).map(|p| Text { text: p.to_owned().into(), span: list.span }).collect::<Vec<_>>()
        });
        let not = if rule.yes(&format!("{side}_not")) { Negation::Yes } else { Negation::No };
        Side { words: words.filter(|w| !w.is(&["any"])).collect(), not, port: rule.value(&format!("{side}_port")) }
    }
}

/// pfSense asks whether `<not>` is there (`isset`). OPNsense asked so at first, and later whether there is something in it (`empty`).
fn negation(element: Option<Element<'_>>, dialect: Dialect) -> Negation {
    match element {
        None => Negation::No,
        Some(e) if dialect == Dialect::Opnsense && matches!(&*e.text(), "" | "0") => Negation::Unclear(e.span()),
        Some(_) => Negation::Yes,
    }
}

impl<'d> Lowering<'_, '_, 'd> {
    /// The addresses of a side in one family. `on`: the interface of the rule.
    pub fn place(&mut self, side: &Side<'d>, field: Field, family: Family, on: Option<&str>) -> Match {
        if side.words.is_empty() {
            return Match::Any;
        }
        let mut any = Vec::new();
        for word in &side.words {
            match self.word(word, field, family, on) {
                Some(m) => any.push(m),
                // pfSense makes no rule of an interface without an address of the family, negated or not.
                None => return Match::Never,
            }
        }
        let many = side.words.len() > 1;
        let places = Match::any_of(any);
        match side.not {
            Negation::No => places,
            // pf would take a list of negated networks for alternatives; the form does not allow it.
            Negation::Yes if many => self.opaque(&format!("{} is not in a list that is negated", word_of(field)), side.words[0].span),
            Negation::Yes => places.negate_if(true),
            Negation::Unclear(span) => {
                let negated = self.opaque("an empty <not> negates", span);
                let opposite = places.clone().negate_if(true);
                Match::AnyOf(vec![Match::all(vec![negated.clone(), opposite]), Match::all(vec![negated.negate_if(true), places])])
            }
        }
    }

    fn word(&mut self, word: &Text<'d>, field: Field, family: Family, on: Option<&str>) -> Option<Match> {
        let text = &*word.text;
        if text.eq_ignore_ascii_case("any") {
            return Some(Match::Any);
        }
        if let Some((of, set)) = addresses(text) {
            return Some(if of == family { Match::Address(field, of, set) } else { Match::Never });
        }
        if text == "(self)" {
            return Some(self.own(field, family, word.span));
        }
        if let Some(iface) = text.strip_suffix("ip").filter(|k| self.ifaces.get(k).is_some()) {
            return self.interface_address(iface, field, family, word.span);
        }
        if self.ifaces.get(text).is_some_and(|i| !i.is_virtual) {
            return self.interface_network(text, field, family, word.span, on);
        }
        if let Some(key) = text.strip_prefix("__").and_then(|t| t.strip_suffix("_network")).filter(|k| self.ifaces.get(k).is_some()) {
            let key = key.to_owned();
            return self.interface_network(&key, field, family, word.span, None);
        }
        if self.alias(text).is_some() {
            self.reader.device.names.used(SPACE, text, word.span);
            let set = self.address_set(text)?;
            return Some(Match::InSet { set, fields: vec![field], span: word.span });
        }
        // A table that fills by itself, the networks of a VPN, a host's name, or something that is not there.
        let of_vpn = self.ifaces.is_group(text);
        if !of_vpn && !BUILT_IN.contains(&text) && !text.contains('.') && !text.starts_with("__") {
            self.reader.device.names.used(SPACE, text, word.span);
        }
        let what = if of_vpn { "in the networks of" } else { "in" };
        Some(self.opaque(&format!("{} is {what} {text}", word_of(field)), word.span))
    }

    /// `(self)`: an address of the firewall.
    fn own(&mut self, field: Field, family: Family, span: Span) -> Match {
        let mut any = vec![Match::Address(field, family, self.ifaces.own(family))];
        if self.ifaces.dynamic_count(family) > 0 {
            any.push(self.unknown_address(None, field, family, span));
        }
        Match::any_of(any)
    }

    fn interface_address(&mut self, key: &str, field: Field, family: Family, span: Span) -> Option<Match> {
        let iface = self.ifaces.get(key)?;
        let dynamic = iface.dynamic[index_of(family)];
        // pfSense means the first address; OPNsense all of them, as pf does with the name of an interface in parentheses.
        let known: Vec<(u128, u128)> = match self.dialect {
            Dialect::Pfsense => iface.primary[index_of(family)].into_iter().map(hosts).collect(),
            Dialect::Opnsense => iface.addresses.iter().filter(|a| Family::of(a.ip()) == family).map(|a| hosts(*a)).collect(),
        };
        if known.is_empty() && !dynamic {
            return (self.dialect == Dialect::Opnsense).then_some(Match::Never);
        }
        let mut any = Vec::new();
        if !known.is_empty() {
            any.push(Match::Address(field, family, Ranges::from_intervals(known)));
        }
        if dynamic {
            any.push(self.unknown_address(Some(key), field, family, span));
        }
        Some(Match::any_of(any))
    }

    /// An address of the firewall that it gets from elsewhere. As a destination it is told by the routing table; where several interfaces have
    /// such addresses, whose it is stays open. It is in no network that is known to be behind another interface.
    fn unknown_address(&mut self, key: Option<&str>, field: Field, family: Family, span: Span) -> Match {
        // What no interface can have: `in_canforward` of FreeBSD, the loopback and multicast addresses, link-local ones.
        let never = match family {
            Family::V4 => Ranges::from_intervals(vec![(0, 0x00ff_ffff), (0x7f00_0000, 0x7fff_ffff), (0xe000_0000, 0xffff_ffff)]),
            Family::V6 => {
                Ranges::from_intervals(vec![(0, 1), (0xfe80 << 112, (0xfe80 << 112) | ((1 << 118) - 1)), (0xff << 120, u128::MAX)])
            }
        };
        let elsewhere = self.ifaces.elsewhere(family).or(&never);
        let mut all = vec![Match::Family(family), Match::address(field, family, elsewhere, true)];
        let whose = key.map_or_else(|| "the firewall".to_owned(), str::to_owned);
        if field == Field::Dst {
            all.push(Match::Field(Field::DstType, Ranges::single(addr_type::LOCAL)));
        }
        if field != Field::Dst || (key.is_some() && self.ifaces.dynamic_count(family) > 1) {
            all.push(self.opaque(&format!("{} is the address of {whose} ({})", word_of(field), family.name()), span));
        }
        Match::all(all)
    }

    fn interface_network(&mut self, key: &str, field: Field, family: Family, span: Span, on: Option<&str>) -> Option<Match> {
        let iface = self.ifaces.get(key)?;
        let dynamic = iface.dynamic[index_of(family)];
        let mut known: Vec<(u128, u128)> = iface.addresses.iter().filter(|a| Family::of(a.ip()) == family).map(|a| bounds(*a)).collect();
        if known.is_empty() && !dynamic {
            return (self.dialect == Dialect::Opnsense).then_some(Match::Never);
        }
        // OPNsense adds link-local addresses where a rule names the network of its own interface (`Rule.php`).
        if self.dialect == Dialect::Opnsense && family == Family::V6 && on == Some(key) {
            known.push((0xfe80_u128 << 112, (0xfe80_u128 << 112) | ((1u128 << 118) - 1)));
        }
        let mut any = Vec::new();
        if !known.is_empty() {
            any.push(Match::Address(field, family, Ranges::from_intervals(known)));
        }
        if dynamic {
            let elsewhere = self.ifaces.elsewhere(family);
            let unknown = self.opaque(&format!("{} is in the network of {key} ({})", word_of(field), family.name()), span);
            any.push(Match::all(vec![Match::address(field, family, elsewhere, true), unknown]));
        }
        Some(Match::any_of(any))
    }

    /// Ports of a side. `protocol`: the only one of the rule, for names of services.
    pub fn ports(&mut self, side: &Side<'d>, field: Field, protocol: Option<u8>) -> Match {
        let Some(port) = &side.port else { return Match::Any };
        let set = self.port_set(&port.text, protocol, port.span);
        let mut any = Vec::new();
        let known = Ranges::from_intervals(set.known);
        if !known.is_empty() {
            any.push(Match::Field(field, known));
        }
        for name in set.unknown {
            let side = if field == Field::Sport { "source" } else { "destination" };
            any.push(self.opaque(&format!("the {side} port is in {name}"), port.span));
        }
        Match::any_of(any)
    }
}

fn word_of(field: Field) -> &'static str {
    if field == Field::Src { "the source" } else { "the destination" }
}

/// The address itself.
fn hosts(network: IpNetwork) -> (u128, u128) {
    let (_, n) = crate::net::to_number(network.ip());
    (n, n)
}

/// First and last address of the network.
fn bounds(network: IpNetwork) -> (u128, u128) {
    let (_, lo, hi) = prefix_bounds(network);
    (lo, hi)
}
