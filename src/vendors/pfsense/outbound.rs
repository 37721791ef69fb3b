//! Translation of sources on departure, and translation that goes both ways (1:1, prefixes).

use ipnetwork::IpNetwork;

use super::Dialect;
use super::interfaces::{On, network};
use super::lower::Lowering;
use super::nat::translation;
use super::places::{Negation, Side};
use super::tree::{Text, Tree};
use super::words;
use crate::model::{Action, Direction, Match, NatKind, Rule, Translation};
use crate::net::{Family, Ranges, prefix_bounds};
use crate::packets::Field;
use crate::source::Span;
use crate::syntax::xml::Element;

/// Ports that both firewalls give to translated connections unless told otherwise.
const SOURCE_PORTS: (u128, u128) = (1024, 65535);

/// A translation that goes both ways.
pub(super) struct Static {
    pub arriving: Option<Rule>,
    pub departing: Rule,
}

impl<'d> Lowering<'_, '_, 'd> {
    /// The rules of departure: static ones first (pf looks at `binat` before `nat`), then those of people, then the automatic ones.
    pub fn outbound(&mut self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = self.static_translations().into_iter().map(|s| s.departing).collect();
        let section = self.root.at(&["nat", "outbound"]);
        let advanced = self.root.at(&["nat", "advancedoutbound"]);
        let mode = section.and_then(|s| s.value("mode"));
        // Before pfSense 2.2.
        let old = advanced.is_some_and(|a| a.has("enable"));
        let is = |words: &[&str]| mode.as_ref().is_some_and(|m| m.is(words));
        let manual = old || is(&["advanced", "hybrid"]);
        if manual {
            let new = self.root.at(&["OPNsense", "Firewall", "Filter", "snatrules"]).filter(|_| self.dialect == Dialect::Opnsense);
            let mut list: Vec<(u64, Element<'d>)> = new.into_iter().flat_map(|s| s.list("rule")).map(|r| (number(r), r)).collect();
            list.sort_by_key(|(n, _)| *n);
            for (_, element) in list {
                let (src, dst) = (Side::flat(element, "source"), Side::flat(element, "destination"));
                rules.push(self.source_rule(element, src, dst, true));
            }
            let from = if old && mode.is_none() { advanced } else { section };
            for element in from.into_iter().flat_map(|s| s.list("rule")).take(self.most_steps) {
                let mut src = Side::nested(element.child("source"), self.dialect);
                let mut dst = Side::nested(element.child("destination"), self.dialect);
                src.port = element.value("sourceport");
                dst.port = element.value("dstport");
                rules.push(self.source_rule(element, src, dst, false));
            }
        }
        if !old && (mode.is_none() || is(&["automatic", "hybrid"])) {
            let span = mode.map(|m| m.span).or(section.map(|s| s.tag_span())).unwrap_or(self.whole);
            self.automatic_outbound(span, &mut rules);
        }
        rules
    }

    fn source_rule(&mut self, element: Element<'d>, src: Side<'d>, dst: Side<'d>, new: bool) -> Rule {
        let opnsense = self.dialect == Dialect::Opnsense;
        let target = self.source_target(element);
        let family = target.addresses.as_ref().map(|(f, _)| *f);
        let families = match element.value("ipprotocol") {
            Some(p) if p.is(&["inet6"]) => vec![Family::V6],
            Some(p) if p.is(&["inet46"]) => vec![Family::V4, Family::V6],
            Some(_) => vec![Family::V4],
            None => {
                vec![family.unwrap_or(if element.value("protocol").is_some_and(|p| p.is(&["ipv6"])) { Family::V6 } else { Family::V4 })]
            }
        };
        let mut matcher = self.translated(element, &families, &src, &dst, new);
        // A port without a protocol: pf asks for TCP or UDP, or refuses the rule.
        let without = element.value("protocol").is_none_or(|p| p.is(&["any"]));
        if without && (src.port.is_some() || dst.port.is_some()) {
            let ports = [self.ports(&src, Field::Sport, None), self.ports(&dst, Field::Dport, None)];
            matcher = Match::all([vec![matcher], ports.to_vec()].concat());
        }
        if let Some(tag) = element.value("tagged") {
            let known = self.tags.get(&*tag.text).copied();
            let asked = match known {
                Some(id) => Match::Field(Field::Mark, Ranges::single(id)),
                None => self.opaque(&format!("tagged {}", tag.text), tag.span),
            };
            matcher = Match::all(vec![matcher, asked]);
        }
        let on = match element.value("interface") {
            Some(n) => self.on(&super::tree::parts(&n.text).collect::<Vec<_>>(), false, n.span),
            None => On::Any,
        };
        let off = if opnsense { element.yes("nonat") } else { element.has("nonat") };
        let enabled = if new { !element.value("enabled").is_some_and(|v| v.is(&["0"])) } else { !self.is_disabled(element) };
        let comment = element.value("descr").or_else(|| element.value("description")).map(|d| d.text.into_owned());
        let action = if off { Action::Accept } else { Action::Nat(target) };
        Rule {
            enabled,
            name: super::rules::name_of(comment.as_deref()),
            comment,
            whole: element.span(),
            ..Rule::new(Match::all(vec![on.matcher(Direction::Out), matcher]), action, super::rules::telling(element))
        }
    }

    fn source_target(&mut self, element: Element<'d>) -> Translation {
        let opnsense = self.dialect == Dialect::Opnsense;
        let own = element.value("interface");
        let target = element.value("target");
        let masquerade = Translation { unknown: false, ..translation(NatKind::Masquerade, None) };
        let mut to = match target {
            None => masquerade,
            Some(t) if own.as_ref().is_some_and(|o| t.text.strip_suffix("ip") == Some(&*o.text)) => masquerade,
            Some(t) if t.is(&["other-subnet"]) => {
                let ip = element.value("targetip");
                let net = ip.and_then(|ip| network(&ip.text, element.value("targetip_subnet").as_ref().map(|v| &*v.text)));
                translation(NatKind::Source, net.map(of))
            }
            Some(t) => {
                let known = self.target_addresses(&t);
                translation(NatKind::Source, known)
            }
        };
        let fixed = if opnsense { element.yes("staticnatport") } else { element.has("staticnatport") };
        let port = element.value("natport").or_else(|| element.value("target_port"));
        to.ports = match port {
            _ if fixed => None,
            Some(p) => {
                let set = words::ports(&p.text, None);
                to.unknown |= set.is_none();
                set
            }
            None => Some(Ranges::interval(SOURCE_PORTS.0, SOURCE_PORTS.1)),
        };
        to
    }

    /// One rule for each interface with a gateway that is no VPN, from all networks without one.
    fn automatic_outbound(&mut self, span: Span, rules: &mut Vec<Rule>) {
        let mut sources: Vec<(u128, u128)> = vec![(0x7f00_0000, 0x7fff_ffff)];
        let mut any = Vec::new();
        for iface in self.ifaces.list.clone().iter().filter(|i| !i.is_virtual && !i.gateway[0]) {
            sources.extend(iface.addresses.iter().filter(|a| a.is_ipv4()).map(|a| bounds(*a)));
            if iface.dynamic[0] {
                let side = Side { words: vec![Text { text: iface.key.clone().into(), span }], not: Negation::No, port: None };
                any.push(self.place(&side, Field::Src, Family::V4, None));
            }
        }
        let openvpn = self.root.child("openvpn");
        for field in ["openvpn-server", "openvpn-client"] {
            for vpn in openvpn.into_iter().flat_map(|s| s.list(field)).filter(|v| !v.has("disable")) {
                sources.extend(vpn.value("tunnel_network").and_then(|n| network(&n.text, None)).filter(|n| n.is_ipv4()).map(bounds));
            }
        }
        any.push(Match::Address(Field::Src, Family::V4, Ranges::from_intervals(sources)));
        let sources = Match::any_of(any);
        let outside: Vec<String> =
            self.ifaces.list.iter().filter(|i| i.gateway[0] && !i.device.starts_with("ovpn")).map(|i| i.key.clone()).collect();
        for key in outside {
            let base = Match::all(vec![On::one(&*key).matcher(Direction::Out), Match::Family(Family::V4), sources.clone()]);
            let masquerade = |ports| Action::Nat(Translation { unknown: false, ports, ..translation(NatKind::Masquerade, None) });
            let ike = Match::all(vec![base.clone(), Match::Field(Field::Dport, Ranges::single(500))]);
            let ports = Some(Ranges::interval(SOURCE_PORTS.0, SOURCE_PORTS.1));
            rules.push(Rule::implied("automatic outbound translation", ike, masquerade(None), span));
            rules.push(Rule::implied("automatic outbound translation", base, masquerade(ports), span));
        }
    }

    /// 1:1 and prefix translation.
    pub fn static_translations(&mut self) -> Vec<Static> {
        let root = self.root;
        let nat = root.child("nat");
        let filter = root.at(&["OPNsense", "Firewall", "Filter"]).filter(|_| self.dialect == Dialect::Opnsense);
        let mut all = Vec::new();
        for element in nat.into_iter().flat_map(|s| s.list("onetoone")).take(self.most_steps) {
            let external = element.value("external");
            let inner = element.child("source").map(|s| Side::nested(Some(s), self.dialect)).unwrap_or_else(|| Side {
                // Before pfSense 2.0.
                words: element.value("internal").into_iter().collect(),
                ..Side::any()
            });
            let dst = Side::nested(element.child("destination"), self.dialect);
            let one_way = element.value("type").is_some_and(|t| t.is(&["nat"]));
            all.extend(self.both_ways(element, external, inner, dst, false, one_way));
        }
        for element in filter.and_then(|f| f.child("onetoone")).into_iter().flat_map(|s| s.list("rule")) {
            let (inner, dst) = (Side::flat(element, "source"), Side::flat(element, "destination"));
            let one_way = element.value("type").is_some_and(|t| t.is(&["nat"]));
            all.extend(self.both_ways(element, element.value("external"), inner, dst, true, one_way));
        }
        for element in nat.into_iter().flat_map(|s| s.list("npt")) {
            let inner = Side::nested(element.child("source"), self.dialect);
            let outer = Side::nested(element.child("destination"), self.dialect).words.into_iter().next();
            all.extend(self.both_ways(element, outer, inner, Side::any(), false, false));
        }
        for element in filter.and_then(|f| f.child("npt")).into_iter().flat_map(|s| s.list("rule")) {
            let inner = Side::flat(element, "source");
            all.extend(self.both_ways(element, element.value("destination_net"), inner, Side::any(), true, false));
        }
        all
    }

    fn both_ways(
        &mut self,
        element: Element<'d>,
        external: Option<Text<'d>>,
        inner: Side<'d>,
        dst: Side<'d>,
        new: bool,
        one_way: bool,
    ) -> Option<Static> {
        let span = element.tag_span();
        let enabled = if new { !element.value("enabled").is_some_and(|v| v.is(&["0"])) } else { !self.is_disabled(element) };
        let inside = self.plain_network(&inner);
        let bits = inside.map(|n| n.prefix().to_string());
        let outside = external.as_ref().and_then(|e| network(&e.text, if e.text.contains('/') { None } else { bits.as_deref() }));
        let family = inside.or(outside).map_or(Family::V4, |n| Family::of(n.ip()));
        let on = match element.value("interface") {
            Some(n) => self.on(&super::tree::parts(&n.text).collect::<Vec<_>>(), false, n.span),
            None => On::one("wan"),
        };
        let off = element.has("nobinat");
        let far = self.place(&dst, Field::Dst, family, None);
        let from = self.place(&dst, Field::Src, family, None);
        let near = self.place(&inner, Field::Src, family, None);
        let to = |kind, net: Option<IpNetwork>, same: bool| Translation {
            keep_host_bits: same && net.is_some(),
            ..translation(kind, net.map(of))
        };
        let same = inside.zip(outside).is_some_and(|(a, b)| a.prefix() == b.prefix());
        let comment = element.value("descr").or_else(|| element.value("description")).map(|d| d.text.into_owned());
        let rule = |matcher, action| Rule {
            enabled,
            name: super::rules::name_of(comment.as_deref()),
            comment: comment.clone(),
            whole: element.span(),
            ..Rule::new(matcher, action, super::rules::telling(element))
        };
        let departing = Match::all(vec![on.matcher(Direction::Out), Match::Family(family), near, far]);
        let action = if off { Action::Accept } else { Action::Nat(to(NatKind::Source, outside, same)) };
        let departing = rule(departing, action);
        let arriving = outside.filter(|_| !one_way).map(|net| {
            let (f, set) = of(net);
            let matcher = Match::all(vec![on.matcher(Direction::In), Match::Address(Field::Dst, f, set), from]);
            let action = if off { Action::Accept } else { Action::Nat(to(NatKind::Destination, inside, same)) };
            rule(matcher, action)
        });
        if arriving.is_none() && outside.is_none() && !one_way {
            let text = "which addresses outside this translation has is not known: what arrives is not modelled";
            self.reader.note(span, crate::diag::LineState::NotModelled, text);
        }
        Some(Static { arriving, departing })
    }

    /// The network of a side that is one and not negated.
    fn plain_network(&mut self, side: &Side<'d>) -> Option<IpNetwork> {
        let [word] = side.words.as_slice() else { return None };
        if side.not != Negation::No {
            return None;
        }
        if let Some(net) = network(&word.text, None) {
            return Some(net);
        }
        let iface = self.ifaces.get(&word.text)?;
        let own = iface.primary[0].or(iface.primary[1])?;
        IpNetwork::new(own.network(), own.prefix()).ok()
    }
}

fn number(rule: Element<'_>) -> u64 {
    rule.value("sequence").and_then(|s| s.text.parse().ok()).unwrap_or(1)
}

fn of(net: IpNetwork) -> (Family, Ranges) {
    let (family, lo, hi) = prefix_bounds(net);
    (family, Ranges::interval(lo, hi))
}

fn bounds(net: IpNetwork) -> (u128, u128) {
    let (_, lo, hi) = prefix_bounds(net);
    (lo, hi)
}
