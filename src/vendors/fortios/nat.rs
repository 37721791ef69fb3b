//! Virtual IPs, IP pools and the central table of source translation.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::defaults::Version;
use super::domain::Domain;
use super::matching::{Context, opaque};
use super::network::Zones;
use super::services::{Services, address_range, port_range, transport};
use super::syntax::Word;
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::{Action, Direction, Match, NatKind, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Translations that one virtual IP may be written out to, one for each address or port.
const PARTS: usize = 256;
/// Pairs of overlapping virtual IPs that are looked at.
const PAIRS: usize = 20_000;
/// What they are called in [`crate::model::Names`].
const SPACE: &str = "address object";
const SPACE6: &str = "IPv6 address object";

fn space(family: Family) -> &'static str {
    if family == Family::V4 { SPACE } else { SPACE6 }
}

/// The virtual IPs of one virtual domain. Each marks the packets that it translates with its number, so that policies can name it.
#[derive(Default)]
pub(super) struct Vips {
    marks: HashMap<(Family, String), u128>,
    groups: HashMap<(Family, String), Vec<String>>,
    /// The translations, for the chain before routing.
    pub rules: Vec<Rule>,
}

/// What a virtual IP takes, for the search for overlaps.
struct Taken {
    family: Family,
    addresses: (u128, u128),
    ports: Option<(u8, u128, u128)>,
    rules: std::ops::Range<usize>,
    matcher: Match,
}

impl Vips {
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.groups.is_empty()
    }

    /// The numbers that a name stands for, if it is the name of a virtual IP or of a group of them. Tells the use.
    pub fn used(&self, reader: &mut Reader<'_>, name: &str, family: Family, span: Span) -> Option<Vec<u128>> {
        let key = (family, name.to_owned());
        let found = match (self.marks.get(&key), self.groups.get(&key)) {
            (Some(mark), _) => vec![*mark],
            // Groups of virtual IPs hold no groups.
            (None, Some(members)) => members.iter().filter_map(|m| self.marks.get(&(family, m.clone())).copied()).collect(),
            (None, None) => return None,
        };
        reader.device.names.used(space(family), name, span);
        Some(found)
    }

    /// Lowers `firewall vip`, `vip6` and the groups. `next` is the first number that no other virtual domain uses. `central`: virtual IPs work
    /// without policies.
    pub fn new(
        reader: &mut Reader<'_>,
        domain: &Domain<'_>,
        zones: &Zones,
        services: &mut Services<'_>,
        central: bool,
        version: Option<Version>,
        next: &mut u128,
    ) -> Vips {
        let mut vips = Vips::default();
        let named = (!central).then(|| named_by_policies(domain));
        let mut taken: Vec<Taken> = Vec::new();
        for (path, family) in [("firewall vip", Family::V4), ("firewall vip6", Family::V6)] {
            for entry in domain.table(path) {
                reader.device.names.define(space(family), &entry.name, entry.name_span);
                let mark = *next;
                *next += 1;
                vips.marks.insert((family, entry.name.clone()), mark);
                let start = vips.rules.len();
                let alone = named.as_ref().is_some_and(|n| !n.contains(entry.name.as_str()));
                if let Some((addresses, ports, matcher)) = vip(reader, zones, services, &entry, family, mark, &mut vips.rules)
                    && !entry.is("status", "disable")
                {
                    taken.push(Taken { family, addresses, ports, rules: start..vips.rules.len(), matcher });
                }
                if alone {
                    let text = format!("virtual IP {} takes packets, though no policy that is on names it", entry.name);
                    let open = opaque(reader, &text, entry.first);
                    for rule in vips.rules.get_mut(start..).unwrap_or_default() {
                        rule.matcher = Match::all(vec![rule.matcher.clone(), open.clone()]);
                    }
                }
            }
        }
        for (path, family) in [("firewall vipgrp", Family::V4), ("firewall vipgrp6", Family::V6)] {
            for entry in domain.table(path) {
                reader.device.names.define(space(family), &entry.name, entry.name_span);
                let mut members = Vec::new();
                for member in entry.values("member") {
                    reader.device.names.used(space(family), &member.text, member.span);
                    members.push(member.text.clone());
                }
                vips.groups.insert((family, entry.name.clone()), members);
            }
        }
        // The first one in the list takes the packet (technical tip 350101); that tip excepts 7.0 and before without central tables, and says
        // nothing of IPv6.
        if central || version.is_some_and(|v| v >= (7, 2, 0)) {
            taken.retain(|t| t.family == Family::V6);
        }
        overlaps(reader, &mut vips.rules, taken);
        vips
    }
}

/// The virtual IPs that policies name which are on, also by their groups. Others are not looked at (technical tips 350101, and 261055 of 7.4.4);
/// of older versions it is said that their address counts as the appliance's own all the same (technical tip 189573).
fn named_by_policies(domain: &Domain<'_>) -> HashSet<String> {
    let mut named = HashSet::new();
    for path in ["firewall policy", "firewall policy6", "firewall consolidated policy", "firewall security-policy", "firewall proxy-policy"]
    {
        for entry in domain.table(path).iter().filter(|e| !e.is("status", "disable")) {
            for setting in ["dstaddr", "dstaddr4", "dstaddr6"] {
                named.extend(entry.values(setting).iter().map(|w| w.text.clone()));
            }
        }
    }
    for path in ["firewall vipgrp", "firewall vipgrp6"] {
        for group in domain.table(path) {
            if !named.contains(&group.name) {
                continue;
            }
            named.extend(group.values("member").iter().map(|w| w.text.clone()));
        }
    }
    named
}

/// Where two virtual IPs take the same packets and their order is not known, which of them does is a condition.
fn overlaps(reader: &mut Reader<'_>, rules: &mut [Rule], mut taken: Vec<Taken>) {
    taken.sort_by_key(|t| (t.family, t.addresses, t.rules.start));
    let (mut active, mut pairs): (Vec<usize>, usize) = (Vec::new(), 0);
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, one) in taken.iter().enumerate() {
        active.retain(|j| taken[*j].family == one.family && taken[*j].addresses.1 >= one.addresses.0);
        for j in &active {
            pairs += 1;
            let other = &taken[*j];
            let apart = match (one.ports, other.ports) {
                (Some(a), Some(b)) => a.0 != b.0 || a.1 > b.2 || b.1 > a.2,
                _ => false,
            };
            if apart || pairs > PAIRS {
                continue;
            }
            let (first, second) = if one.rules.start < other.rules.start { (i, *j) } else { (*j, i) };
            found.entry(first).or_default().push(second);
        }
        active.push(i);
    }
    if pairs > PAIRS
        && let Some(one) = taken.first().and_then(|t| rules.get(t.rules.start))
    {
        let span = one.span;
        reader.incomplete(
            span,
            LineState::NotModelled,
            format!("more than {PAIRS} pairs of virtual IPs share addresses: not all were compared"),
        );
    }
    for (first, others) in found {
        let Some(span) = rules.get(taken[first].rules.start).map(|r| r.span) else { continue };
        let name = rules.get(taken[first].rules.start).and_then(|r| r.name.clone()).unwrap_or_default();
        let mine = opaque(reader, &format!("{name} is taken, though others take the same packets"), span);
        let theirs = Match::any_of(others.iter().take(64).map(|j| taken[*j].matcher.clone()).collect());
        let free = Match::any_of(vec![theirs.negate_if(true), mine]);
        for rule in &mut rules[taken[first].rules.clone()] {
            rule.matcher = Match::all(vec![rule.matcher.clone(), free.clone()]);
        }
    }
}

type Bounds = ((u128, u128), Option<(u8, u128, u128)>, Match);

/// Lowers one virtual IP into `rules`. Gives the addresses and ports that it takes.
#[allow(clippy::too_many_arguments, reason = "one caller")]
fn vip(
    reader: &mut Reader<'_>,
    zones: &Zones,
    services: &mut Services<'_>,
    entry: &Entry<'_>,
    family: Family,
    mark: u128,
    rules: &mut Vec<Rule>,
) -> Option<Bounds> {
    let name = format!("virtual IP {}", entry.name);
    // `static-nat` by default (CLI reference, `firewall vip`).
    let kind = entry.value("type").unwrap_or("static-nat");
    if kind == "dns-translation" {
        // It changes answers of name servers, and no destination.
        reader.note(entry.first, LineState::NotModelled, "a virtual IP that changes answers of name servers is not modelled");
        return None;
    }
    let forwards = entry.is("portforward", "enable") || kind == "server-load-balance";
    let mut parts = Vec::new();
    // "any" interface by default.
    let interface = entry.values("extintf").first();
    if let Some(word) = interface.filter(|w| w.text != "any" && !w.text.is_empty()) {
        parts.push(zones.on(reader, Direction::In, &word.text, word.span));
    } else {
        parts.push(zones.any(Direction::In));
    }
    let filter = entry.values("srcintf-filter");
    if !filter.is_empty() {
        parts.push(Match::any_of(filter.iter().map(|w| zones.on(reader, Direction::In, &w.text, w.span)).collect()));
    }
    let external = entry.value("extip").and_then(address_range).filter(|(f, r)| *f == family && !r.is_empty());
    let unspecified = entry.value("extip").is_none_or(|t| matches!(t, "0.0.0.0" | "::" | ""));
    let addresses = match external {
        Some((_, ranges)) if !unspecified => ranges,
        // All zeros stand for the address of the interface.
        _ => Ranges::interval(0, family.max_address()),
    };
    if unspecified || external_is_unknown(entry, family) {
        let text = format!("destination is the address of the interface {:?}", interface.map_or("any", |w| w.text.as_str()));
        parts.push(Match::all(vec![Match::Family(family), opaque(reader, &text, entry.at("extip"))]));
    } else {
        parts.push(Match::Address(Field::Dst, family, addresses.clone()));
    }
    let sources = entry.values("src-filter");
    if !sources.is_empty() {
        let mut any = Vec::new();
        for word in sources {
            match address_range(&word.text).filter(|(f, _)| *f == family) {
                Some((_, ranges)) => any.push(Match::Address(Field::Src, family, ranges)),
                None => any.push(opaque(reader, &format!("source is in {:?}", word.text), word.span)),
            }
        }
        parts.push(Match::any_of(any));
    }
    let mut ports = None;
    let mut port_bounds = None;
    if !entry.values("service").is_empty() {
        parts.extend(services.list(reader, entry, "service"));
    }
    if forwards {
        // `tcp` by default. Of servers that are balanced, `server-type` names what is balanced.
        let protocol = match (kind, entry.value("protocol"), entry.value("server-type")) {
            ("server-load-balance", _, Some("udp")) => Some(17),
            ("server-load-balance", _, Some("ip")) => None,
            ("server-load-balance", ..) => Some(6),
            (_, None | Some("tcp"), _) => Some(6),
            (_, Some("udp"), _) => Some(17),
            (_, Some("sctp"), _) => Some(132),
            (_, Some("icmp"), _) => Some(1),
            _ => None,
        };
        match protocol {
            Some(1) => parts.push(Match::Field(Field::Proto, Ranges::single(1))),
            Some(protocol) => {
                let external = entry.value("extport").filter(|p| !matches!(*p, "0-65535" | "0")).map(port_range);
                match external {
                    Some(Some(range)) => {
                        port_bounds = Some((protocol, range.min()?, range.max()?));
                        parts.push(transport(protocol, range.clone(), None));
                        ports = Some(range);
                    }
                    Some(None) => parts.push(opaque(reader, &format!("the port is that of {name}"), entry.at("extport"))),
                    None => parts.push(Match::Field(Field::Proto, Ranges::single(u128::from(protocol)))),
                }
            }
            None if entry.value("server-type") == Some("ip") => {}
            None => parts.push(opaque(reader, &format!("the protocol is that of {name}"), entry.at("protocol"))),
        }
    }
    let matcher = Match::all(parts);
    let translations = translations(reader, entry, kind, family, &addresses, unspecified, ports.as_ref());
    let enabled = !entry.is("status", "disable");
    for (narrower, translation) in translations {
        let whole = match narrower {
            Some(n) => Match::all(vec![matcher.clone(), n]),
            None => matcher.clone(),
        };
        let mut rule = Rule::new(whole, Action::Nat(translation), entry.first);
        rule.whole = entry.span;
        rule.enabled = enabled;
        rule.name = Some(name.clone());
        rule.comment = entry.value("comment").filter(|c| !c.is_empty()).map(str::to_owned);
        rule.effects = vec![crate::model::Effect::Set(Field::Mark, mark)];
        rules.push(rule);
    }
    Some(((addresses.min()?, addresses.max()?), port_bounds, matcher))
}

fn external_is_unknown(entry: &Entry<'_>, family: Family) -> bool {
    entry.value("extip").and_then(address_range).is_none_or(|(f, _)| f != family) || !entry.values("extaddr").is_empty()
}

/// What a virtual IP translates to: each with what narrows it, where addresses or ports are mapped one by one.
fn translations(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    kind: &str,
    family: Family,
    external: &Ranges,
    unspecified: bool,
    ports: Option<&Ranges>,
) -> Vec<(Option<Match>, Translation)> {
    let to = |addresses: Ranges, ports: Option<Ranges>| Translation {
        kind: NatKind::Destination,
        addresses: Some((family, addresses)),
        keep_host_bits: false,
        ports,
        unknown: false,
    };
    let unknown = || Translation { kind: NatKind::Destination, addresses: None, keep_host_bits: false, ports: None, unknown: true };
    if kind == "server-load-balance" {
        let (mut all, mut to_ports) = (Vec::new(), Vec::new());
        for server in entry.table("realservers") {
            if server.is("status", "disable") {
                continue;
            }
            match server.value("ip").and_then(address_range).filter(|(f, _)| *f == family) {
                Some((_, ranges)) => all.extend_from_slice(ranges.intervals()),
                None => return vec![(None, unknown())],
            }
            match server.value("port").filter(|p| *p != "0") {
                Some(port) => match port_range(port) {
                    Some(range) => to_ports.extend_from_slice(range.intervals()),
                    None => return vec![(None, unknown())],
                },
                // The port of the virtual IP itself.
                None => to_ports.extend_from_slice(ports.map_or(&[(0, 65535)], |p| p.intervals())),
            }
        }
        if all.is_empty() {
            return vec![(None, unknown())];
        }
        return vec![(None, to(Ranges::from_intervals(all), Some(Ranges::from_intervals(to_ports))))];
    }
    let mapped: Vec<Ranges> =
        entry.values("mappedip").iter().filter_map(|w| address_range(&w.text)).filter(|(f, _)| *f == family).map(|(_, r)| r).collect();
    let [mapped] = mapped.as_slice() else {
        if entry.values("mappedip").len() > 1 {
            let every = Ranges::from_intervals(mapped.iter().flat_map(|r| r.intervals().to_vec()).collect());
            return vec![(None, to(every, None))];
        }
        if kind != "fqdn" && kind != "access-proxy" {
            reader.note(entry.first, LineState::NotModelled, "where this virtual IP leads to is not modelled");
        }
        return vec![(None, unknown())];
    };
    // Ports: one to one, or many to as many.
    let to_ports = entry.value("mappedport").filter(|p| *p != "0-65535" && *p != "0").map(port_range);
    let port_pairs: Vec<(Option<Match>, Option<Ranges>)> = match (ports, to_ports) {
        (_, None) => vec![(None, None)],
        (None, Some(Some(to))) => vec![(None, Some(to))],
        (Some(from), Some(Some(to))) if *from == to => vec![(None, None)],
        (Some(_), Some(Some(to))) if to.count() == 1 => vec![(None, Some(to))],
        (Some(from), Some(Some(to))) if from.count() == to.count() && from.count() <= PARTS as u128 => {
            let (f, t) = (from.min().unwrap_or(0), to.min().unwrap_or(0));
            (0..from.count()).map(|i| (Some(Match::Field(Field::Dport, Ranges::single(f + i))), Some(Ranges::single(t + i)))).collect()
        }
        _ => return vec![(None, unknown())],
    };
    let balanced = kind == "load-balance";
    if unspecified || mapped.count() == 1 || balanced {
        return port_pairs.into_iter().map(|(n, p)| (n, to(mapped.clone(), p))).collect();
    }
    // Addresses: the range that begins at `mappedip` is as long as the outer one.
    let (e, m, n) = (external.min().unwrap_or(0), mapped.min().unwrap_or(0), external.count());
    if n == 1 {
        return port_pairs.into_iter().map(|(narrow, p)| (narrow, to(Ranges::single(m), p))).collect();
    }
    let aligned = n.is_power_of_two() && e % n == 0 && m % n == 0;
    if aligned && mapped.count() >= n {
        let prefix = Ranges::interval(m, m + (n - 1));
        let keep = |p| Translation { keep_host_bits: true, ..to(prefix.clone(), p) };
        return port_pairs.into_iter().map(|(narrow, p)| (narrow, keep(p))).collect();
    }
    if n.saturating_mul(port_pairs.len() as u128) > PARTS as u128 || m.checked_add(n).is_none() {
        return vec![(None, Translation { unknown: true, ..to(mapped.clone(), None) })];
    }
    let mut out = Vec::new();
    for i in 0..n {
        let only = Match::Address(Field::Dst, family, Ranges::single(e + i));
        for (narrow, p) in &port_pairs {
            let both = Match::all(narrow.iter().cloned().chain([only.clone()]).collect());
            out.push((Some(both), to(Ranges::single(m + i), p.clone())));
        }
    }
    out
}

/// The IP pools of one virtual domain.
#[derive(Default)]
pub(super) struct Pools {
    pools: HashMap<(Family, String), Option<Ranges>>,
}

impl Pools {
    pub fn new(reader: &mut Reader<'_>, domain: &Domain<'_>) -> Pools {
        let mut pools = HashMap::new();
        for (path, family) in [("firewall ippool", Family::V4), ("firewall ippool6", Family::V6)] {
            for entry in domain.table(path) {
                reader.device.names.define("IP pool", &entry.name, entry.name_span);
                let bound = |s: &str| entry.value(s).and_then(address_range).filter(|(f, _)| *f == family);
                let range = match (bound("startip"), bound("endip")) {
                    (Some((_, lo)), Some((_, hi))) => lo.min().zip(hi.max()).filter(|(a, b)| a <= b).map(|(a, b)| Ranges::interval(a, b)),
                    _ => None,
                };
                pools.insert((family, entry.name.clone()), range);
            }
        }
        Pools { pools }
    }

    /// Translation to addresses of these pools.
    pub fn translation(&self, reader: &mut Reader<'_>, names: &[Word], family: Family) -> Translation {
        let (mut all, mut unknown) = (Vec::new(), false);
        for name in names {
            reader.device.names.used("IP pool", &name.text, name.span);
            match self.pools.get(&(family, name.text.clone())) {
                Some(Some(range)) => all.extend_from_slice(range.intervals()),
                _ => unknown = true,
            }
        }
        let addresses = (!unknown).then(|| (family, Ranges::from_intervals(all)));
        Translation { kind: NatKind::Source, addresses, keep_host_bits: false, ports: None, unknown }
    }
}

/// The central table of source translation: first match.
pub(super) fn central(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>) -> Vec<Rule> {
    let mut out = Vec::new();
    for entry in cx.domain.table("firewall central-snat-map") {
        // IPv4 by default (`type`, since 6.4).
        let family = if entry.is("type", "ipv6") { Family::V6 } else { Family::V4 };
        let six = if family == Family::V6 { "6" } else { "" };
        let mut parts = vec![Match::Family(family)];
        parts.extend(cx.zones.list(reader, Direction::In, &entry, "srcintf"));
        parts.extend(cx.zones.list(reader, Direction::Out, &entry, "dstintf"));
        for (setting, field) in [("orig-addr", Field::Src), ("dst-addr", Field::Dst)] {
            let mut any = Vec::new();
            for value in entry.values(&format!("{setting}{six}")) {
                let resolved = cx.addresses(family).used(reader, &value.text, value.span);
                any.push(resolved.to_match(field, family, &mut reader.device.conditions));
            }
            if !any.is_empty() {
                parts.push(Match::any_of(any));
            }
        }
        if let Some(protocol) = entry.value("protocol").and_then(|p| p.parse::<u8>().ok()).filter(|p| *p != 0) {
            parts.push(Match::Field(Field::Proto, Ranges::single(u128::from(protocol))));
        }
        for (setting, field) in [("orig-port", Field::Sport), ("dst-port", Field::Dport)] {
            if let Some(range) = entry.value(setting).and_then(port_range).filter(|r| r.min() != Some(0)) {
                parts.push(Match::Field(field, range));
            }
        }
        // On by default (CLI reference, `firewall central-snat-map`, `nat`).
        let action = if entry.is("nat", "disable") {
            Action::Accept
        } else {
            let names = entry.values(&format!("nat-ippool{six}"));
            Action::Nat(if names.is_empty() {
                Translation { kind: NatKind::Masquerade, addresses: None, keep_host_bits: false, ports: None, unknown: false }
            } else {
                cx.pools.translation(reader, names, family)
            })
        };
        let mut rule = Rule::new(Match::all(parts), action, entry.first);
        rule.whole = entry.span;
        rule.enabled = !entry.is("status", "disable");
        rule.name = Some(format!("central source NAT {}", entry.name));
        rule.comment = entry.value("comments").filter(|c| !c.is_empty()).map(str::to_owned);
        out.push(rule);
    }
    out
}
