//! Translation of destinations: port forwarding, 1:1 and prefix translation on arrival.

use super::Dialect;
use super::interfaces::On;
use super::lower::Lowering;
use super::places::Side;
use super::rules::{Step, Way};
use super::tree::{Text, Tree};
use super::words;
use crate::diag::LineState;
use crate::model::{Action, Direction, Match, NatKind, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::syntax::xml::Element;

/// How a port forwarding also serves those inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reflection {
    None,
    /// By translation.
    Pure,
    /// By a program on the firewall.
    Proxy,
}

pub(super) fn translation(kind: NatKind, addresses: Option<(Family, Ranges)>) -> Translation {
    Translation { kind, unknown: addresses.is_none(), addresses, keep_host_bits: false, ports: None }
}

impl<'d> Lowering<'_, '_, 'd> {
    /// The rules of arrival: redirections first, then static translation (pf looks at `rdr` before `binat`).
    pub fn port_forwards(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        self.anti_lockout_redirects(&mut rules);
        let mut inside = Vec::new();
        for element in self.root.child("nat").into_iter().flat_map(|s| s.list("rule")) {
            if rules.len() >= self.most_steps {
                self.reader.incomplete(element.tag_span(), LineState::Unsupported, "too many rules: nothing is lowered from here on");
                break;
            }
            if element.has("separator") {
                continue;
            }
            self.port_forward(element, &mut rules, &mut inside);
        }
        rules.extend(inside);
        self.port_mapping_anchor(&mut rules);
        for static_ in self.static_translations() {
            rules.extend(static_.arriving);
        }
        rules
    }

    /// OPNsense keeps the ports of administration from being redirected.
    fn anti_lockout_redirects(&mut self, rules: &mut Vec<Rule>) {
        if self.dialect != Dialect::Opnsense {
            return;
        }
        let Some((key, true)) = self.lockout_interface() else { return };
        let Some(span) = self.root.at(&["system", "webgui"]).map(|g| g.tag_span()) else { return };
        let side = Side { words: vec![Text { text: format!("{key}ip").into(), span }], not: super::places::Negation::No, port: None };
        let mut any = Vec::new();
        for family in Family::BOTH {
            any.push(Match::all(vec![Match::Family(family), self.place(&side, Field::Dst, family, None)]));
        }
        let ports = Match::Field(Field::Dport, Ranges::from_values(self.antilockout_ports()));
        let proto = Match::Field(Field::Proto, Ranges::single(6));
        let matcher = Match::all(vec![On::one(key).matcher(Direction::In), proto, ports, Match::any_of(any)]);
        rules.push(Rule::implied("ports of administration are not redirected", matcher, Action::Accept, span));
    }

    fn nat_families(&self, element: Element<'d>, target: Option<Family>) -> Vec<Family> {
        match element.value("ipprotocol") {
            Some(p) if p.is(&["inet6"]) => vec![Family::V6],
            Some(p) if p.is(&["inet46"]) => vec![Family::V4, Family::V6],
            Some(_) => vec![Family::V4],
            // pf makes it a rule of the family of its target.
            None => vec![target.unwrap_or(Family::V4)],
        }
    }

    /// What both sides of a translation ask, without interface.
    pub fn translated(&mut self, element: Element<'d>, families: &[Family], src: &Side<'d>, dst: &Side<'d>, new: bool) -> Match {
        let mut any = Vec::new();
        for family in Family::BOTH.into_iter().filter(|f| families.contains(f)) {
            let mut all = vec![Match::Family(family)];
            all.extend(self.transport(element, family, src, dst, new));
            all.push(self.place(src, Field::Src, family, None));
            all.push(self.place(dst, Field::Dst, family, None));
            any.push(Match::all(all));
        }
        Match::any_of(any)
    }

    fn port_forward(&mut self, element: Element<'d>, rules: &mut Vec<Rule>, inside: &mut Vec<Rule>) {
        let opnsense = self.dialect == Dialect::Opnsense;
        let target = element.value("target");
        let addresses = target.as_ref().and_then(|t| self.target_addresses(t));
        let families = self.nat_families(element, addresses.as_ref().map(|(f, _)| *f));
        let src = Side::nested(element.child("source"), self.dialect);
        let mut dst = Side::nested(element.child("destination"), self.dialect);
        if let Some(port) = element.value("external-port") {
            // Before pfSense 2.0.
            dst.port = Some(port);
        }
        let mut matcher = self.translated(element, &families, &src, &dst, false);
        if opnsense && element.child("disabled").is_some_and(|d| d.text().is_empty()) {
            let span = element.tag_span();
            let unclear = self.opaque("an empty <disabled> does not switch a rule off", span);
            matcher = Match::all(vec![matcher, unclear]);
        }
        let names = element.value("interface");
        let list: Vec<&str> = names.as_ref().map(|n| super::tree::parts(&n.text).collect()).unwrap_or_default();
        let on = match &names {
            Some(n) => self.on(&list, false, n.span),
            None if opnsense => On::Any,
            // pfSense takes "wan" where none is said.
            None => On::one("wan"),
        };
        let off = if opnsense { element.yes("nordr") } else { element.has("nordr") };
        let mut to = translation(NatKind::Destination, addresses);
        to.ports = self.target_ports(element, &dst);
        to.unknown |=
            to.ports.is_none() && element.value("local-port").is_some() && !self.same_port(element, &dst) && self.has_ports(element);
        let passes = !off && [element.value("associated-rule-id"), element.value("pass")].iter().flatten().any(|a| a.is(&["pass"]));
        let comment = element.value("descr").map(|d| d.text.into_owned());
        let base = Rule {
            enabled: !self.is_disabled(element),
            name: super::rules::name_of(comment.as_deref()),
            comment,
            log: opnsense && element.yes("log"),
            effects: if passes { vec![self.passed(super::rules::telling(element))] } else { vec![] },
            whole: element.span(),
            ..Rule::new(
                Match::all(vec![on.matcher(Direction::In), matcher.clone()]),
                if off { Action::Accept } else { Action::Nat(to.clone()) },
                super::rules::telling(element),
            )
        };
        let reflection = if base.enabled && !off { self.reflection(element) } else { Reflection::None };
        rules.push(base.clone());
        if reflection == Reflection::None {
            return;
        }
        let others: Vec<_> = self.reflecting(&list);
        if others.is_empty() {
            return;
        }
        let mut rule = Rule { implied: Some("port forwarding for those inside"), ..base };
        rule.matcher = Match::all(vec![On::These(others, false).matcher(Direction::In), matcher]);
        if reflection == Reflection::Proxy {
            rule.action = Action::Nat(Translation { unknown: true, ..to });
        }
        if opnsense { rules.push(rule) } else { inside.push(rule) }
    }

    /// Interfaces without a gateway, other than those of the rule: `reflectionInterfaces`, `filter_get_reflection_interfaces`.
    fn reflecting(&self, own: &[&str]) -> Vec<crate::model::NamePattern> {
        let inside = self
            .ifaces
            .list
            .iter()
            .filter(|i| !i.is_virtual && !i.gateway.contains(&true) && i.key != "lo0" && !own.contains(&i.key.as_str()));
        inside.map(|i| crate::model::NamePattern::exact(i.key.as_str())).collect()
    }

    fn reflection(&self, element: Element<'d>) -> Reflection {
        let system = self.root.child("system");
        let has = |name: &str| system.is_some_and(|s| s.has(name));
        match (element.value("natreflection"), self.dialect) {
            (Some(v), _) if v.is(&["disable"]) => Reflection::None,
            (Some(v), _) if v.is(&["purenat"]) => Reflection::Pure,
            (Some(v), Dialect::Pfsense) if v.is(&["enable"]) => Reflection::Proxy,
            (Some(v), Dialect::Opnsense) if v.is(&["enable"]) => Reflection::Pure,
            _ if has("disablenatreflection") => Reflection::None,
            (_, Dialect::Opnsense) => Reflection::Pure,
            _ if has("enablenatreflectionpurenat") => Reflection::Pure,
            _ => Reflection::Proxy,
        }
    }

    /// The addresses of a target: one, a range, an alias with addresses of one family, or an interface's own.
    pub fn target_addresses(&mut self, target: &Text<'d>) -> Option<(Family, Ranges)> {
        if let Some(known) = super::aliases::addresses(&target.text) {
            return Some(known);
        }
        let key = target.text.strip_suffix("ip").unwrap_or(&target.text);
        if let Some(address) = self.ifaces.get(key).and_then(|i| i.primary[0].or(i.primary[1])) {
            let (family, n) = crate::net::to_number(address.ip());
            return Some((family, Ranges::single(n)));
        }
        self.reader.device.names.used(super::aliases::SPACE, &*target.text, target.span);
        let set = self.address_set(&target.text)?;
        let set = self.reader.device.sets.iter().rev().find(|s| s.name == set)?;
        let mut family = None;
        let mut all = Vec::new();
        for element in &set.elements {
            match element.values.as_slice() {
                [crate::model::SetValue::Address(f, r)] if !element.excluded && family.is_none_or(|g| g == *f) => {
                    family = Some(*f);
                    all.extend_from_slice(r.intervals());
                }
                _ => return None,
            }
        }
        (!set.dynamic).then_some(())?;
        Some((family?, Ranges::from_intervals(all)))
    }

    fn has_ports(&self, element: Element<'d>) -> bool {
        element.value("protocol").is_some_and(|p| p.is(&["tcp", "udp", "tcp/udp"]))
    }

    fn same_port(&self, element: Element<'d>, dst: &Side<'d>) -> bool {
        matches!((element.value("local-port"), &dst.port), (Some(a), Some(b)) if a.text == b.text)
    }

    /// The new ports: as many as the old ones, from the written one on. Of an alias both firewalls take the first port.
    fn target_ports(&mut self, element: Element<'d>, dst: &Side<'d>) -> Option<Ranges> {
        let local = element.value("local-port").filter(|_| self.has_ports(element) && !self.same_port(element, dst))?;
        let first = match words::ports(&local.text, None) {
            Some(set) => set.min()?,
            None => {
                let entry = self.alias(&local.text).and_then(|a| a.entries.first().cloned());
                self.reader.device.names.used(super::aliases::SPACE, &*local.text, local.span);
                words::ports(&entry?.0, None)?.min()?
            }
        };
        let width = match &dst.port {
            Some(port) => words::ports(&port.text, None).and_then(|set| Some(set.max()? - set.min()?)).unwrap_or(0),
            None => 0,
        };
        Some(Ranges::interval(first, (first + width).min(0xffff)))
    }

    /// OPNsense 26.1: a forwarding that asks for a rule gets one, behind all others.
    pub fn forward_rules(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for element in self.root.child("nat").into_iter().flat_map(|s| s.list("rule")) {
            if self.dialect != Dialect::Opnsense || self.is_disabled(element) || !element.value("pass").is_some_and(|p| p.is(&["rule"])) {
                continue;
            }
            let Some(target) = element.value("target") else { continue };
            let families = {
                let known = self.target_addresses(&target);
                self.nat_families(element, known.map(|(f, _)| f))
            };
            let old = Side::nested(element.child("destination"), self.dialect);
            let src = Side::nested(element.child("source"), self.dialect);
            let port = self.target_ports(element, &old);
            let dst = Side { words: vec![target], not: super::places::Negation::No, port: old.port.clone().filter(|_| port.is_none()) };
            let mut matcher = self.translated(element, &families, &src, &dst, false);
            if let Some(port) = port {
                matcher = Match::all(vec![matcher, Match::Field(Field::Dport, port)]);
            }
            let on = match element.value("interface") {
                Some(n) => self.on(&super::tree::parts(&n.text).collect::<Vec<_>>(), false, n.span),
                None => On::Any,
            };
            steps.push(Step::implied("rule of a port forwarding", on, Way::In, true, matcher, Action::Accept, element.tag_span()));
        }
        steps
    }

    /// What miniupnpd adds while it runs: forwardings of TCP and UDP from the address outside to machines inside. In IPv6 it would open holes for
    /// the addresses of those machines themselves, which both firewalls leave off.
    fn port_mapping_anchor(&mut self, rules: &mut Vec<Rule>) {
        let Some((span, on)) = self.upnp() else { return };
        let what = self.opaque("a machine inside has asked for this forwarding (UPnP, NAT-PMP or PCP)", span);
        let key = on.clone().unwrap_or_else(|| "(self)".into());
        let word = if on.is_some() { format!("{key}ip") } else { key };
        let side = Side { words: vec![Text { text: word.into(), span }], not: super::places::Negation::No, port: None };
        let own = self.place(&side, Field::Dst, Family::V4, None);
        let inside = self.ifaces.elsewhere(Family::V4).minus(&self.ifaces.own(Family::V4));
        let on = on.map_or(On::Any, On::one);
        let protocols = Match::Field(Field::Proto, Ranges::from_values([6, 17]));
        let matcher = Match::all(vec![on.matcher(Direction::In), Match::Family(Family::V4), protocols, own, what]);
        let mut to = translation(NatKind::Destination, (!inside.is_empty()).then_some((Family::V4, inside)));
        to.ports = Some(Ranges::interval(1, 0xffff));
        let mut rule = Rule::implied("forwarding that a machine inside asks for", matcher, Action::Nat(to), span);
        rule.effects.push(self.passed(span));
        rules.push(rule);
    }
}
