//! Zones and policies to the chains of firewalld's nftables backend.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::chains::{Chains, REJECT, icmp};
use super::files::Config;
use super::objects::{Body, Place, Said, Service, Target, addresses, port, protocol};
use super::places::{Sets, place};
use super::policies;
use super::settings::Settings;
use super::{direct, rules, shipped};
use crate::diag::LineState;
use crate::model::{Action, Direction, Match, NamePattern, NatKind, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Everything that rules are made of.
pub(super) struct World {
    pub zones: Vec<Body>,
    /// The place of each zone in `zones`.
    pub index: HashMap<String, usize>,
    pub policies: Vec<Body>,
    pub services: HashMap<String, Service>,
    pub sets: Sets,
    pub icmp_types: HashSet<String>,
}

impl World {
    /// The zone of a name.
    pub fn zone(&self, name: &str) -> Option<&Body> {
        self.index.get(name).and_then(|i| self.zones.get(*i))
    }

    /// Whether the zone of a name may be the default zone.
    pub fn may_be_default(&self, name: &str, settings: &Settings) -> bool {
        match (&settings.default_zone, settings.read) {
            (Some(zone), _) => zone.value == name,
            (None, true) => name == "public",
            (None, false) => self.zone(name).is_some_and(|z| !z.shipped),
        }
    }
}

/// What of firewalld's objects was there to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// All policies: else others may decide first.
    pub policies: bool,
}

/// The chains of a zone or policy, by what stands in them.
pub(super) struct Owner {
    pub filter: Option<String>,
    pub destination: Option<String>,
    pub source: Option<String>,
    pub mangle: Option<String>,
}

/// Of two objects of one name the later one counts; files of a combined zone are one.
fn settle(bodies: Vec<Body>) -> Vec<Body> {
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut out: Vec<Body> = Vec::new();
    for body in bodies {
        match index.get(&body.name).and_then(|i| out.get_mut(*i)) {
            Some(known) if known.combined && body.combined => known.combine(body),
            Some(known) => *known = body,
            None => {
                index.insert(body.name.clone(), out.len());
                out.push(body);
            }
        }
    }
    out
}

/// Lowers everything into the reader's device.
pub(super) fn lower(reader: &mut Reader<'_>, config: Config, settings: &Settings, extent: Extent) {
    let whole = settings.span;
    let mut zones = settle(config.zones);
    let known: HashSet<String> = zones.iter().map(|z| z.name.clone()).collect();
    for zone in shipped::ZONES.iter().filter(|z| !known.contains(z.0)) {
        zones.push(shipped_zone(zone, whole));
    }
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    let mut policies = settle(config.policies);
    if !policies.iter().any(|p| p.name == "allow-host-ipv6") {
        policies.insert(0, allow_host_ipv6(whole));
    }
    let mut chains = Chains::new(reader, whole);
    let sets = Sets::lower(&mut chains, config.sets);
    let index = zones.iter().enumerate().map(|(i, z)| (z.name.clone(), i)).collect();
    let (services, icmp_types) = (config.services.into_iter().collect(), config.icmp_types.into_iter().collect());
    let world = World { zones, index, policies, services, sets, icmp_types };
    chains.bases(settings);
    dispatch(&mut chains, &world, settings);
    policies::lower(&mut chains, &world, settings);
    if !extent.policies {
        let text = "the policies of firewalld were not read (files below policies/, or `firewall-cmd --list-all-policies`): \
                    what they decide before and after zones is not known";
        chains.reader.note(whole, LineState::NotModelled, text);
        for hook in ["filter_INPUT", "filter_FORWARD", "filter_OUTPUT"] {
            for side in ["pre", "post"] {
                let action = Action::Opaque("policies of firewalld that were not read".into());
                chains.implied(&format!("{hook}_POLICIES_{side}"), "policies that were not read", Match::Any, action, whole);
            }
        }
    }
    direct::lower(&mut chains, config.direct);
}

fn shipped_zone(zone: &shipped::Zone, span: Span) -> Body {
    let (name, target, services, masquerade) = *zone;
    let mut body = Body::new(name, span, Target::of(target).unwrap_or(Target::Default));
    body.shipped = true;
    body.services = services.iter().map(|s| Said { value: (*s).to_owned(), span }).collect();
    body.forward = Some(span);
    body.masquerade = masquerade.then_some(span);
    body
}

/// The policy that is shipped: neighbour discovery and router advertisements reach the host whatever the zone.
fn allow_host_ipv6(span: Span) -> Body {
    let mut body = Body::new("allow-host-ipv6", span, Target::Continue);
    body.shipped = true;
    body.priority = -15000;
    body.ingress = vec![Said { value: "ANY".into(), span }];
    body.egress = vec![Said { value: "HOST".into(), span }];
    for name in ["neighbour-advertisement", "neighbour-solicitation", "router-advertisement", "redirect"] {
        let mut rule = super::objects::Rich::new(span);
        rule.family = Some(Family::V6);
        rule.element = super::objects::Element::IcmpType(name.into());
        rule.action = Some(super::objects::Verdict::Accept);
        body.rules.push(rule);
    }
    body
}

/// The table, chain and zone's chain of each hook at which zones are asked, and which end of the packet's way is meant.
const HOOKS: [(&str, &str, Direction); 5] = [
    ("filter_INPUT", "filter_IN", Direction::In),
    ("filter_FORWARD", "filter_FWD", Direction::In),
    ("nat_PREROUTING", "nat_PRE", Direction::In),
    ("nat_POSTROUTING", "nat_POST", Direction::Out),
    ("mangle_PREROUTING", "mangle_PRE", Direction::In),
];

/// Which zone a packet is of: that of its source, else that of its interface, else the default zone.
fn dispatch(chains: &mut Chains<'_, '_>, world: &World, settings: &Settings) {
    let default = default_zone(chains, world, settings);
    let mut bound: Vec<(&Body, bool)> = world.zones.iter().map(|z| (z, !z.interfaces.is_empty() || !z.sources.is_empty())).collect();
    for (zone, used) in &mut bound {
        *used |= match &default {
            Default::Known(name) => *name == zone.name,
            Default::Unknown(_) => !zone.shipped,
        };
    }
    for (zone, _) in bound.iter().filter(|(_, used)| *used) {
        lower_zone(chains, world, zone, settings);
    }
    warn_of_overlaps(chains, world);
    // firewalld 2.0 sorts by priority first; without priorities, sources come before interfaces, sources in the order of the names of
    // their zones, and interfaces of later zones before those of earlier ones (each is put before those that are there).
    let mut order: Vec<(i32, bool, usize, &Body)> = Vec::new();
    for (i, zone) in world.zones.iter().enumerate() {
        order.push((zone.priority, false, i, zone));
        order.push((zone.priority, true, world.zones.len() - i, zone));
    }
    order.sort_by_key(|(priority, interface, i, _)| (*priority, *interface, *i));
    for (hook, prefix, direction) in HOOKS {
        let name = format!("{hook}_ZONES");
        chains.chain(&name, settings.span);
        for (_, interface, _, zone) in &order {
            let to = format!("{prefix}_{}", zone.name);
            let field = if direction == Direction::In { Field::Src } else { Field::Dst };
            let mut entries: Vec<(Match, Span)> = Vec::new();
            if *interface {
                entries.extend(zone.interfaces.iter().rev().map(|i| (Match::Interface(direction, pattern(&i.value)), i.span)));
            } else {
                for source in &zone.sources {
                    entries.push((place(chains, &world.sets, &source.value, false, field, source.span), source.span));
                }
            }
            for (matcher, span) in entries {
                let to = chains.chain(&to, zone.span);
                chains.implied(&name, "binding of a zone", matcher, Action::Goto(to), span);
            }
        }
        match &default {
            Default::Known(zone) => {
                let to = chains.chain(&format!("{prefix}_{zone}"), settings.span);
                chains.implied(&name, "default zone", Match::Any, Action::Goto(to), settings.span);
            }
            Default::Unknown(why) => {
                for zone in world.zones.iter().filter(|z| !z.shipped) {
                    let is = chains.condition(&format!("{} is the default zone", zone.name), zone.span);
                    let to = chains.chain(&format!("{prefix}_{}", zone.name), zone.span);
                    chains.implied(&name, "default zone, perhaps", is, Action::Goto(to), zone.span);
                }
                let action = Action::Opaque((*why).into());
                chains.implied(&name, "default zone", Match::Any, action, settings.span);
            }
        }
    }
}

enum Default {
    Known(String),
    Unknown(&'static str),
}

fn default_zone(chains: &mut Chains<'_, '_>, world: &World, settings: &Settings) -> Default {
    if !settings.read {
        let text = "firewalld.conf was not read: which zone is the default one is not known, so any of these may be";
        chains.reader.note(settings.span, LineState::NotModelled, text);
        return Default::Unknown("the default zone of firewalld, which is not known");
    }
    let (name, span) = settings.default_zone.as_ref().map_or(("public", settings.span), |z| (&z.value, z.span));
    if world.zone(name).is_some() {
        return Default::Known(name.to_owned());
    }
    let text = format!("the default zone `{name}` was not read, and firewalld ships none of that name");
    chains.reader.note(span, LineState::NotModelled, text);
    Default::Unknown("the default zone of firewalld, which was not read")
}

/// An interface's name; `*` at its end stands for any end.
pub(super) fn pattern(name: &str) -> NamePattern {
    match name.strip_suffix('*') {
        Some(start) => NamePattern::prefix(start),
        None => NamePattern::exact(name),
    }
}

/// A name and a beginning of it in two zones: which comes first depends on the version of firewalld.
fn warn_of_overlaps(chains: &mut Chains<'_, '_>, world: &World) {
    let mut starts: Vec<(&str, &str)> = Vec::new();
    for zone in &world.zones {
        starts.extend(zone.interfaces.iter().filter_map(|i| Some((i.value.strip_suffix('*')?, zone.name.as_str()))));
    }
    if starts.is_empty() {
        return;
    }
    let starts: HashMap<&str, &str> = starts.into_iter().collect();
    for zone in &world.zones {
        for interface in &zone.interfaces {
            let name = interface.value.trim_end_matches('*');
            // Names of interfaces have at most 15 bytes (`IFNAMSIZ`).
            let overlaps = (0..=name.len().min(16)).filter_map(|n| starts.get(name.get(..n)?)).any(|z| *z != zone.name);
            if overlaps {
                let text = "this interface is also meant by a beginning of names in another zone; which of them is asked first depends on the version of firewalld";
                chains.reader.note(interface.span, LineState::NotModelled, text);
            }
        }
    }
}

fn lower_zone(chains: &mut Chains<'_, '_>, world: &World, zone: &Body, settings: &Settings) {
    let name = |prefix: &str| format!("{prefix}_{}", zone.name);
    for (hook, prefix, _) in HOOKS {
        chains.skeleton(&name(prefix), Some(hook), zone.span);
    }
    let owner = Owner {
        filter: Some(name("filter_IN")),
        destination: Some(name("nat_PRE")),
        source: Some(name("nat_POST")),
        mangle: Some(name("mangle_PRE")),
    };
    contents(chains, world, zone, &owner, settings);
    let forward = format!("{}_allow", name("filter_FWD"));
    if let Some(said) = zone.forward {
        for interface in &zone.interfaces {
            let out = Match::Interface(Direction::Out, pattern(&interface.value));
            chains.push(&forward, said_rule(zone, out, Action::Accept, said));
        }
        for source in &zone.sources {
            let to = place(chains, &world.sets, &source.value, false, Field::Dst, source.span);
            chains.push(&forward, said_rule(zone, to, Action::Accept, said));
        }
    }
    let input = name("filter_IN");
    let icmp = Match::Field(Field::Proto, Ranges::from_values([1, 58]));
    match (zone.target, zone.inversion) {
        (Target::Default | Target::Accept, Some(span)) => {
            chains.log_denied(&input, icmp.clone(), settings, span);
            chains.push(&input, Rule::new(icmp, Action::Reject(REJECT.into()), span));
        }
        (Target::Default, None) => chains.implied(&input, "acceptance of ICMP", icmp, Action::Accept, zone.span),
        _ => {}
    }
    let drifting = settings.drifting && zone.target == Target::Default && !zone.sources.is_empty();
    for chain in [input, name("filter_FWD")] {
        if drifting {
            let action = Action::Opaque("drifting from a source's zone to that of the interface".into());
            chains.implied(&chain, "zone drifting", Match::Any, action, zone.span);
        }
        target(chains, &chain, zone, settings);
    }
}

/// What ends a chain of a zone or policy.
pub(super) fn target(chains: &mut Chains<'_, '_>, chain: &str, body: &Body, settings: &Settings) {
    let action = match body.target {
        Target::Continue => return,
        Target::Accept => Action::Accept,
        Target::Drop => Action::Drop,
        Target::Default | Target::Reject => Action::Reject(REJECT.into()),
    };
    if action != Action::Accept {
        chains.log_denied(chain, Match::Any, settings, body.span);
    }
    let rule = match body.target {
        Target::Default => Rule::implied("default target of the zone", Match::Any, action, body.span),
        _ if body.shipped => Rule::implied("target of the shipped zone", Match::Any, action, body.span),
        _ => Rule::new(Match::Any, action, body.span),
    };
    chains.push(chain, Rule { name: Some(format!("target of {}", body.name)).filter(|_| rule.implied.is_none()), ..rule });
}

/// A rule of a zone or policy: implied if that is a shipped one.
pub(super) fn said_rule(body: &Body, matcher: Match, action: Action, span: Span) -> Rule {
    match body.shipped {
        true => Rule::implied("rule of what firewalld ships", matcher, action, span),
        false => Rule::new(matcher, action, span),
    }
}

/// Packets of a protocol with such a port.
pub(super) fn port_match(field: Field, port: &super::objects::Port) -> Match {
    let proto = Match::Field(Field::Proto, Ranges::single(port.protocol.into()));
    Match::all(vec![proto, Match::Field(field, port.ports.clone())])
}

/// Services, ports and all that, of a zone or policy.
pub(super) fn contents(chains: &mut Chains<'_, '_>, world: &World, body: &Body, owner: &Owner, settings: &Settings) {
    let refused = |chains: &mut Chains<'_, '_>, span: Span| {
        let text = "firewalld refuses this here: there is no chain for it";
        chains.reader.note(span, LineState::Unsupported, text);
    };
    if let Some(filter) = &owner.filter {
        let allow = format!("{filter}_allow");
        let mut seen = BTreeSet::new();
        for service in body.services.iter().filter(|s| seen.insert(&s.value)) {
            let found = service_matches(chains, world, &service.value, None, service.span);
            if !chains.step() {
                break;
            }
            for matcher in found {
                let rule = said_rule(body, matcher, Action::Accept, service.span);
                chains.push(&allow, Rule { name: Some(service.value.clone()), ..rule });
            }
        }
        for port in &body.ports {
            chains.push(&allow, said_rule(body, port_match(Field::Dport, &port.value), Action::Accept, port.span));
        }
        for port in &body.source_ports {
            chains.push(&allow, said_rule(body, port_match(Field::Sport, &port.value), Action::Accept, port.span));
        }
        for block in &body.icmp_blocks {
            icmp_block(chains, world, body, filter, block, settings);
        }
        for proto in &body.protocols {
            let matcher = Match::Field(Field::Proto, Ranges::single(proto.value.into()));
            chains.push(&allow, said_rule(body, matcher, Action::Accept, proto.span));
        }
    }
    if let Some(span) = body.masquerade {
        match &owner.source {
            Some(chain) => {
                let matcher = Match::all(vec![Match::Family(Family::V4), not_loopback()]);
                chains.push(&format!("{chain}_allow"), said_rule(body, matcher, masquerade(), span));
            }
            None => refused(chains, span),
        }
    }
    for forward in &body.forward_ports {
        let family = forward.value.to_address.map_or(Family::V4, |a| a.0);
        match &owner.destination {
            Some(chain) => {
                let matcher = Match::all(vec![Match::Family(family), port_match(Field::Dport, &forward.value.from)]);
                let action = Action::Nat(translation(&forward.value));
                chains.push(&format!("{chain}_allow"), said_rule(body, matcher, action, forward.span));
            }
            None => refused(chains, forward.span),
        }
    }
    rules::lower(chains, world, body, owner, settings);
}

/// Not out of the loopback interface.
pub(super) fn not_loopback() -> Match {
    Match::Interface(Direction::Out, NamePattern::exact("lo")).negate_if(true)
}

/// Masquerading.
pub(super) fn masquerade() -> Action {
    Action::Nat(Translation { kind: NatKind::Masquerade, addresses: None, keep_host_bits: false, ports: None, unknown: false })
}

/// A forwarded port.
pub(super) fn translation(forward: &super::objects::ForwardPort) -> Translation {
    Translation {
        kind: if forward.to_address.is_some() { NatKind::Destination } else { NatKind::Redirect },
        addresses: forward.to_address.map(|(family, n)| (family, Ranges::single(n))),
        keep_host_bits: false,
        ports: forward.to_ports.clone(),
        unknown: false,
    }
}

/// The families in which an ICMP type exists, with how it is matched in them; `None` if it cannot be matched.
pub(super) fn icmp_matches(world: &World, name: &str, only: Option<Family>) -> Option<Vec<Match>> {
    let (v4, v6) = shipped::icmp_type(name)?;
    let (in_v4, in_v6) = match world.icmp_types.contains(name) {
        // A file of one's own may say other families: its own are not looked at.
        true => (v4.is_some(), v6.is_some()),
        false => shipped::icmp_families(name)?,
    };
    let mut found = Vec::new();
    for (family, kind, there) in [(Family::V4, v4, in_v4), (Family::V6, v6, in_v6)] {
        if there && only.is_none_or(|f| f == family) {
            found.push(icmp(family, kind?));
        }
    }
    Some(found)
}

fn icmp_block(chains: &mut Chains<'_, '_>, world: &World, body: &Body, filter: &str, block: &Said<String>, settings: &Settings) {
    let (part, action) = match body.inversion {
        Some(_) => ("allow", Action::Accept),
        None => ("deny", Action::Reject(REJECT.into())),
    };
    let chain = format!("{filter}_{part}");
    let Some(found) = icmp_matches(world, &block.value, None) else {
        let text = format!("the ICMP type `{}` is not known: which packets it means is not known", block.value);
        chains.reader.note(block.span, LineState::NotModelled, text);
        let unknown = chains.condition(&format!("icmp type {}", block.value), block.span);
        let matcher = Match::all(vec![Match::Field(Field::Proto, Ranges::from_values([1, 58])), unknown]);
        chains.push(&chain, said_rule(body, matcher, action, block.span));
        return;
    };
    for matcher in found {
        if body.inversion.is_none() {
            chains.log_denied(&chain, matcher.clone(), settings, block.span);
        }
        chains.push(&chain, said_rule(body, matcher, action.clone(), block.span));
    }
}

/// The packets of a service and of those that it includes. `families`: of a rich rule, those that it is about.
pub(super) fn service_matches(chains: &mut Chains<'_, '_>, world: &World, name: &str, only: Option<Family>, span: Span) -> Vec<Match> {
    let mut seen: HashSet<String> = HashSet::from([name.to_owned()]);
    let mut todo = vec![name.to_owned()];
    let mut out = Vec::new();
    while let Some(name) = todo.pop() {
        if !chains.step() {
            out.push(chains.condition("services after the bound on rules", span));
            break;
        }
        let shipped;
        let service = match world.services.get(&name) {
            Some(service) => service,
            None => match shipped_service(&name) {
                Some(service) => {
                    shipped = service;
                    &shipped
                }
                None => {
                    let text = format!(
                        "the service `{name}` was not read, and firewalld {} ships none of that name: what it lets through is not known",
                        shipped::VERSION
                    );
                    chains.reader.note(span, LineState::NotModelled, text);
                    out.push(chains.condition(&format!("service {name}"), span));
                    continue;
                }
            },
        };
        if service.unknown.is_some() {
            out.push(chains.condition(&format!("service {name}"), span));
        }
        todo.extend(service.includes.iter().filter(|i| seen.insert((*i).clone())).cloned());
        let mut matches: Vec<Match> = service.ports.iter().map(|p| port_match(Field::Dport, p)).collect();
        matches.extend(service.protocols.iter().map(|p| Match::Field(Field::Proto, Ranges::single((*p).into()))));
        matches.extend(service.source_ports.iter().map(|p| port_match(Field::Sport, p)));
        if service.destinations.is_empty() {
            out.extend(matches);
            continue;
        }
        for (family, addresses) in service.destinations.iter().filter(|d| only.is_none_or(|f| f == d.0)) {
            let to = Match::Address(Field::Dst, *family, addresses.clone());
            out.extend(matches.iter().map(|m| Match::all(vec![to.clone(), m.clone()])));
        }
    }
    out
}

fn shipped_service(name: &str) -> Option<Service> {
    let mut service = Service::default();
    for word in shipped::service(name)? {
        if let Some(include) = word.strip_prefix('+') {
            service.includes.push(include.to_owned());
            continue;
        }
        let (first, rest) = word.split_once('/')?;
        match first {
            "helper" | "module" => {}
            "proto" => service.protocols.push(protocol(rest)?),
            "*" => service.protocols.push(protocol(rest)?),
            "to" => service.destinations.push(addresses(rest)?),
            "from" => {
                let (ports, proto) = rest.split_once('/')?;
                service.source_ports.push(port(ports, proto)?);
            }
            ports => service.ports.push(port(ports, rest)?),
        }
    }
    Some(service)
}

/// The family of a place, if it has one.
pub(super) fn family_of(place: &Place, sets: &Sets) -> Option<Family> {
    match place {
        Place::Addresses(family, _) => Some(*family),
        Place::Mac(_) => None,
        Place::Set(name) => sets.family(name),
    }
}
