//! Zones and services as packets of a device.

use super::{Service, World, Zone};
use crate::diag::{Finding, Label, Witness};
use crate::eval::flow::Hit;
use crate::eval::{Analysis, Line, Space, Way, words};
use crate::model::{Device, Match, NamePattern};
use crate::net::{Family, Ranges, prefix_bounds};
use crate::packets::fields::ct;
use crate::packets::{Cube, Dim, Field};

/// The interfaces of a device behind which a zone sits, as the baseline says, or as the device's addresses and routes show. `None`: not known.
pub fn interfaces(device: &Device, zone: &Zone, family: Family) -> Option<Vec<NamePattern>> {
    if let Some(list) = zone.on.get(&device.name) {
        // A name that the device does not have would make every question about it idle: better none than a wrong one.
        return misnamed(device, zone).is_none().then(|| list.clone());
    }
    if !zone.through.is_empty() {
        return Some(zone.through.clone());
    }
    let mut found: Vec<NamePattern> = Vec::new();
    let mut add = |name: &str| {
        let p = NamePattern::exact(name);
        if !found.contains(&p) {
            found.push(p);
        }
    };
    if zone.internet {
        for route in device.routes.iter().flatten() {
            let (f, lo, hi) = prefix_bounds(route.to);
            if let (true, Some(name)) = (f == family && lo == 0 && hi == f.max_address(), &route.interface) {
                add(name);
            }
        }
    } else {
        for interface in device.interfaces.iter().flatten() {
            let near = interface.addresses.iter().any(|a| {
                let (f, lo, hi) = prefix_bounds(*a);
                f == family && hi > lo && Ranges::interval(lo, hi).overlaps(zone.addresses(family))
            });
            if near {
                add(&interface.name);
            }
        }
        for route in device.routes.iter().flatten() {
            let (f, lo, hi) = prefix_bounds(route.to);
            let specific = hi - lo < family.max_address();
            if let (true, Some(name)) =
                (f == family && specific && Ranges::interval(lo, hi).overlaps(zone.addresses(family)), &route.interface)
            {
                add(name);
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

/// An interface that the baseline names for the device, and that the device does not have: no such interface was exported, or, where none
/// was exported, its rules name interfaces but not this one.
pub fn misnamed<'z>(device: &Device, zone: &'z Zone) -> Option<&'z NamePattern> {
    let patterns = zone.on.get(&device.name)?;
    let mut names: Vec<NamePattern> = device.interfaces.iter().flatten().map(|i| NamePattern::exact(&*i.name)).collect();
    let mut in_rules = Vec::new();
    for rule in device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| {
            if let Match::Interface(_, p) = m {
                in_rules.push(p.clone());
            }
        });
    }
    names.extend(device.tunnels.iter().map(|t| NamePattern::prefix(&*t.interface)));
    let other_than_loopback = in_rules.iter().any(|p| !is_loopback(&p.name));
    if device.interfaces.is_none() && !other_than_loopback {
        return None;
    }
    names.extend(in_rules);
    let meets = |a: &NamePattern, b: &NamePattern| a.matches(&b.name) || b.matches(&a.name);
    patterns.iter().find(|p| !names.iter().any(|n| meets(p, n)))
}

fn is_loopback(name: &str) -> bool {
    name == "lo" || name == "lo0"
}

/// Findings about interfaces that the baseline names wrongly for a device: until that is mended, every interface is considered.
pub fn misnamed_interfaces(world: &World<'_>, device: &Device) -> Vec<Finding> {
    let wrong = world.zones.iter().filter_map(|z| misnamed(device, z).map(|p| (z, p)));
    wrong
        .map(|(zone, pattern)| {
            let text = format!("the baseline puts {} behind {} of {}, which has no such interface", zone.name, pattern.name, device.name);
            let cause = Label::new(zone.span, "every interface is considered instead");
            Finding::unknown(text, Label::new(zone.span, "here"), vec![cause])
                .on(&device.name)
                .about(format!("{} {}", device.name, zone.name))
        })
        .collect()
}

fn numbers(space: &Space, patterns: &[NamePattern]) -> Ranges {
    patterns.iter().fold(Ranges::EMPTY, |s, p| s.or(&space.interfaces(p)))
}

/// Packets that come from a zone: by arrival interface, and by source address unless the zone is the internet behind a known interface (a
/// source can be forged; what arrives there is from there). For output: nothing is asked of the arrival.
pub fn from_zone(world: &World<'_>, analysis: &Analysis<'_>, zone: &Zone, family: Family) -> Vec<Cube> {
    zone_packets(&world.zones, analysis, zone, family)
}

/// As [`from_zone`], among the given zones.
pub fn zone_packets(zones: &[Zone], analysis: &Analysis<'_>, zone: &Zone, family: Family) -> Vec<Cube> {
    let known = interfaces(analysis.device, zone, family);
    let mut cube = Some(Cube::any());
    let set = match &known {
        Some(list) => numbers(&analysis.space, list),
        None => elsewhere(analysis, family),
    };
    cube = cube.and_then(|c| c.with(Dim::field(Field::Iif), &set, family));
    let is_the_place = match &known {
        Some(list) => zone.internet || has_for_itself(zones, analysis.device, zone, list, family),
        None => false,
    };
    if !is_the_place {
        cube = cube.and_then(|c| c.with(Dim::field(Field::Src), zone.addresses(family), family));
    }
    cube.into_iter().collect()
}

/// Whether all that is behind these interfaces of the device is the zone: their networks lie within its addresses, and no other zone is behind
/// them. Then a packet that arrives there comes from the zone, whatever source it claims.
fn has_for_itself(zones: &[Zone], device: &Device, zone: &Zone, list: &[NamePattern], family: Family) -> bool {
    let meets = |a: &NamePattern, b: &NamePattern| a.matches(&b.name) || b.matches(&a.name);
    let shared = zones
        .iter()
        .filter(|z| z.name != zone.name && !z.addresses(family).is_subset(zone.addresses(family)))
        .any(|z| interfaces(device, z, family).is_some_and(|theirs| theirs.iter().any(|p| list.iter().any(|q| meets(p, q)))));
    let mut networks = device
        .interfaces
        .iter()
        .flatten()
        .filter(|i| list.iter().any(|p| p.matches(&i.name)))
        .flat_map(|i| &i.addresses)
        .map(|a| prefix_bounds(*a))
        .filter(|(f, lo, _)| *f == family && !(family == Family::V6 && lo >> 118 == 0xfe80 >> 6))
        .map(|(_, lo, hi)| Ranges::interval(lo, hi))
        .peekable();
    !shared && networks.peek().is_some() && networks.all(|n| n.is_subset(zone.addresses(family)))
}

/// Interfaces behind which a place may be of which nothing is known: not the loopback, and not the inside of a tunnel. ("No interface" is among
/// them: nothing is asked of packets that the device itself sends.)
fn elsewhere(analysis: &Analysis<'_>, family: Family) -> Ranges {
    let tunnels = analysis.device.tunnels.iter().map(|t| NamePattern::prefix(&*t.interface)).filter(|p| !p.name.is_empty());
    let not: Vec<NamePattern> = tunnels.chain(["lo", "lo0"].map(NamePattern::exact)).collect();
    numbers(&analysis.space, &not).complement(Field::Iif.max(family))
}

/// Packets that go to a zone, as deciding rules see them.
pub fn to_zone(analysis: &Analysis<'_>, zone: &Zone, way: Way, family: Family) -> Vec<Cube> {
    let mut cube = Cube::of(Dim::field(Field::Dst), zone.addresses(family).clone(), family);
    if way == Way::Forward
        && zone.internet
        && let Some(list) = interfaces(analysis.device, zone, family)
    {
        cube = cube.and_then(|c| c.with(Dim::field(Field::Oif), &numbers(&analysis.space, &list), family));
    }
    cube.into_iter().collect()
}

/// Packets of a service, as deciding rules see them.
pub fn of_service(service: &Service, family: Family) -> Vec<Cube> {
    service
        .ports
        .iter()
        .filter_map(|p| {
            let mut cube = Cube::any();
            if let Some(proto) = p.protocol {
                cube = cube.with(Dim::field(Field::Proto), &Ranges::single(u128::from(proto)), family)?;
            }
            match &p.ports {
                Some(ports) => cube.with(Dim::field(Field::Dport), ports, family),
                None => Some(cube),
            }
        })
        .collect()
}

/// Packets that are no answer to something that was let out: opening a connection, or in none.
pub fn unsolicited(family: Family) -> Cube {
    let states = Ranges::from_values([ct::NEW, ct::INVALID, ct::UNTRACKED]);
    Cube::of(Dim::field(Field::Ct), states, family).unwrap_or_default()
}

/// Packets that open a connection.
pub fn opening(family: Family) -> Cube {
    let cube = Cube::of(Dim::field(Field::Ct), Ranges::single(ct::NEW), family).unwrap_or_default();
    // Of TCP only SYN without ACK, RST or FIN opens one as a client does.
    let flags = Ranges::from_values([2u128, crate::packets::fields::ABSENT_FLAGS]);
    cube.with(Dim::field(Field::TcpFlags), &flags, family).unwrap_or_default()
}

/// All pairs that have a packet in common.
pub fn cross(a: &[Cube], b: &[Cube]) -> Vec<Cube> {
    a.iter().flat_map(|x| b.iter().filter_map(|y| x.and(y))).collect()
}

/// The packets of `a` that are in none of `b`.
pub fn without(a: &[Cube], b: &[Cube], family: Family) -> Vec<Cube> {
    let mut rest = a.to_vec();
    for cube in b {
        rest = rest.iter().flat_map(|r| r.minus(cube, family)).collect();
    }
    rest
}

/// A place to point at for a line: the rule or policy, else the first file of the device, else the check.
pub fn label(analysis: &Analysis<'_>, line: Line, fallback: crate::source::Span, text: impl Into<String>) -> Label {
    let chain = analysis.device.chains.first().map(|c| c.span);
    Label::new(analysis.span(line).or(chain).unwrap_or(fallback), text)
}

/// A hit's packet, for people and for `trace`.
pub fn witness(world: &World<'_>, analysis: &Analysis<'_>, hit: &Hit, way: Way, family: Family) -> Witness {
    let space = &analysis.space;
    let path = hit.walked.path.iter().filter_map(|l| analysis.span(*l).map(|s| Label::new(s, analysis.line_words(*l)))).collect();
    let mut conditions: Vec<String> = Vec::new();
    if !hit.certain {
        conditions.extend(hit.packet.conditions().iter().map(|c| space.condition(*c).0.to_owned()));
    }
    let mut text = words::packet_words(&hit.packet, way, family, space);
    let (was, is) = (hit.packet.field(Field::Dst), hit.decided_as.field(Field::Dst));
    if was != is {
        text += &format!(", translated to {}", crate::net::to_ip(family, is));
        let port = hit.decided_as.field(Field::Dport);
        if port != hit.packet.field(Field::Dport) {
            text += &format!(" port {port}");
        }
    }
    let _ = world;
    Witness { words: text, packet: words::packet_json(&hit.packet, way, family, space), path, conditions }
}

/// Makes a hit an unknown finding where it depends on opaque conditions: names them.
pub fn doubt(analysis: &Analysis<'_>, hit: &Hit, mut finding: Finding) -> Finding {
    if hit.certain {
        return finding;
    }
    finding.verdict = crate::diag::Verdict::Unknown;
    let named = hit.packet.conditions().iter().chain(&hit.walked.conditions).map(|c| analysis.space.condition(*c));
    finding.causes = named.map(|(text, span)| Label::new(span, format!("it depends on: {text}"))).collect();
    if finding.causes.is_empty() {
        finding
            .causes
            .push(Label::new(finding.primary.span, "it depends on the device's own addresses or on a translation, which are not known"));
    }
    finding.causes.dedup();
    finding
}
