//! Zones and services as packets of a device.

use super::{Service, World, Zone};
use crate::diag::{Finding, Label, Witness};
use crate::eval::flow::{Hit, Hits, MOST_HITS, Query, hits};
pub use crate::eval::plain::opening;
use crate::eval::{Analysis, Limit, Line, Space, Way, words};
use crate::model::{Device, LOOPBACK, Match, NamePattern, PolicyRouting, Route, Tunnel, is_loopback};
use crate::net::{Family, Ranges, prefix_bounds};
use crate::packets::fields::{addr_type, ct};
use crate::packets::{Cube, Dim, Field};

/// The interfaces of a device behind which a zone sits, as the baseline says, or as the device's addresses and routes show. `None`: not known.
pub fn interfaces(device: &Device, zone: &Zone, family: Family) -> Option<Vec<NamePattern>> {
    if let Some(list) = zone.on.get(&device.name) {
        // A name that the device does not have would make every question about it idle: better none than a wrong one.
        return misnamed(device, zone).is_none().then(|| list.iter().flat_map(|p| device.interfaces_called(p)).collect());
    }
    // Where a tunnel ends elsewhere, what comes out of it arrives by whatever route leads there.
    let names = || device.interfaces.iter().flatten().map(|i| &i.name).chain(device.tunnels.iter().map(|t| &t.interface));
    let through: Vec<NamePattern> = zone.through.iter().flat_map(|p| device.interfaces_called(p)).collect();
    let ends_here = |p: &NamePattern| names().any(|n| p.matches(n));
    if !through.is_empty() && (device.interfaces.is_none() || through.iter().any(ends_here)) {
        return Some(through);
    }
    // Where rules choose among routing tables, each of them may lead there.
    let more = match device.policy_routing(family) {
        PolicyRouting::Main => Vec::new(),
        PolicyRouting::Routes(routes) => routes,
        PolicyRouting::Unknown => return None,
    };
    let mut found: Vec<NamePattern> = Vec::new();
    let mut add = |name: &str| {
        let p = NamePattern::exact(name);
        if !found.contains(&p) {
            found.push(p);
        }
    };
    if zone.internet {
        // A tunnel that takes everything is a way to the internet, not a place where it is.
        let inner = |r: &&Route| device.tunnels.iter().any(|t| r.interface.as_deref() == Some(&*t.interface));
        for route in device.routes.iter().flatten().chain(more.into_iter().filter(|r| !inner(r))) {
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
        for route in device.routes.iter().flatten().chain(more) {
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
    let listed = device.interfaces.iter().flatten().flat_map(|i| std::iter::once(&i.name).chain(&i.aliases));
    let mut names: Vec<NamePattern> = listed.map(|n| NamePattern::exact(&**n)).collect();
    let mut in_rules = Vec::new();
    for rule in device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| {
            if let Match::Interface(_, p) = m {
                in_rules.push(p.clone());
            }
        });
    }
    names.extend(device.tunnels.iter().filter_map(Tunnel::interfaces));
    let meets = |a: &NamePattern, b: &NamePattern| a.matches(&b.name) || b.matches(&a.name);
    if device.interfaces.is_none() {
        // Rules need not name every interface. But a name that is one slip away from one of theirs (other than in its number) is
        // taken for that slip.
        let known = |p: &NamePattern| in_rules.iter().chain(&names).any(|n| meets(p, n));
        return patterns.iter().filter(|p| !known(p)).find(|p| in_rules.iter().any(|n| slip(&p.name, &n.name)));
    }
    names.extend(in_rules);
    patterns.iter().find(|p| !names.iter().any(|n| meets(p, n)))
}

/// Whether one name is likely a misspelling of the other: one letter differs.
fn slip(a: &str, b: &str) -> bool {
    let letters = |s: &str| s.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    letters(a) != letters(b) && strsim::damerau_levenshtein(a, b) <= 1
}

/// What to say of places that may decide the same and were not looked at: unknown, so that accepting the ones that are shown (by a waiver)
/// cannot hide them.
pub fn unseen(more: usize, like: &Finding) -> Option<Finding> {
    (more > 0).then(|| {
        let text = format!("{more} more rules may do the same; they are looked at once those shown are mended");
        let cause = Label::new(like.primary.span, format!("only the first {MOST_HITS} are looked at"));
        let finding = Finding::unknown(text, like.primary.clone(), vec![cause]);
        Finding { device: like.device.clone(), ..finding }.about("more rules")
    })
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

/// Packets that come from a zone: by arrival interface, and by source address unless nothing but the zone is behind the interface (a source
/// can be forged; what arrives there is from there). For output: nothing is asked of the arrival.
pub fn from_zone(analysis: &Analysis<'_>, zone: &Zone, family: Family) -> Vec<Cube> {
    let known = interfaces(analysis.device, zone, family);
    let mut cube = Some(Cube::any());
    let set = match &known {
        Some(list) => numbers(&analysis.space, list),
        None => elsewhere(analysis, family),
    };
    cube = cube.and_then(|c| c.with(Dim::field(Field::Iif), &set, family));
    let whole = known.as_ref().is_some_and(|list| zone.internet || serves_only(analysis.device, zone, list, family));
    if !whole {
        cube = cube.and_then(|c| c.with(Dim::field(Field::Src), zone.addresses(family), family));
    }
    cube.into_iter().collect()
}

/// Whether these interfaces have networks of the zone behind them and no others.
fn serves_only(device: &Device, zone: &Zone, list: &[NamePattern], family: Family) -> bool {
    let here = |name: &str| list.iter().any(|p| p.matches(name));
    let mut connected = device.interfaces.iter().flatten().filter(|i| here(&i.name)).flat_map(|i| &i.addresses).copied().peekable();
    let routed = device.routes.iter().flatten().filter(|r| r.interface.as_deref().is_some_and(here)).map(|r| r.to);
    let local = |f: Family, lo: u128| f == Family::V6 && lo >> 118 == 0x3fa;
    connected.peek().is_some()
        && connected
            .chain(routed)
            .map(prefix_bounds)
            .all(|(f, lo, hi)| f != family || local(f, lo) || Ranges::interval(lo, hi).is_subset(zone.addresses(family)))
}

/// Interfaces behind which a place may be of which nothing is known: not the loopback, and not the inside of a tunnel. ("No interface" is among
/// them: nothing is asked of packets that the device itself sends.)
fn elsewhere(analysis: &Analysis<'_>, family: Family) -> Ranges {
    let tunnels = analysis.device.tunnels.iter().filter_map(Tunnel::interfaces);
    let not: Vec<NamePattern> = tunnels.chain(LOOPBACK.map(NamePattern::exact)).collect();
    numbers(&analysis.space, &not).complement(Field::Iif.max(family))
}

/// Packets that go to a zone, as deciding rules see them.
pub fn to_zone(analysis: &Analysis<'_>, zone: &Zone, way: Way, family: Family) -> Vec<Cube> {
    let mut cube = Cube::of(Dim::field(Field::Dst), zone.addresses(family).clone(), family);
    if way == Way::Forward
        && (zone.internet || is_routed(analysis.device, zone, family))
        && let Some(list) = interfaces(analysis.device, zone, family)
    {
        cube = cube.and_then(|c| c.with(Dim::field(Field::Oif), &numbers(&analysis.space, &list), family));
    }
    cube.into_iter().collect()
}

/// Whether the way to every address of a zone is known: the baseline names the interfaces, or routes and connected networks other than the
/// default route lead to all of them. Then packets to it leave by these interfaces and no others.
fn is_routed(device: &Device, zone: &Zone, family: Family) -> bool {
    if zone.on.contains_key(&device.name) {
        return true;
    }
    if !matches!(device.policy_routing(family), PolicyRouting::Main) {
        // Other tables lead other packets elsewhere.
        return false;
    }
    let connected = device.interfaces.iter().flatten().flat_map(|i| &i.addresses).copied();
    let routes = device.routes.iter().flatten().filter(|r| r.interface.is_some()).map(|r| r.to);
    let known = connected.chain(routes).map(prefix_bounds).filter(|(f, lo, hi)| *f == family && hi - lo < family.max_address());
    let known = Ranges::from_intervals(known.map(|(_, lo, hi)| (lo, hi)).collect());
    zone.addresses(family).is_subset(&known)
}

/// As [`hits`], with packets that people believe where there are any: from a network behind the interface on which they arrive, to one behind
/// the interface through which they leave (or an address of the device itself), TCP, opening a connection. What is let through by rules that
/// no setting takes away is left out ([`crate::model::Rule::inherent`]): nobody can mend it.
///
/// # Errors
/// A bound was hit.
pub fn likely_hits(analysis: &Analysis<'_>, query: Query, arriving: &[Cube], deciding: &[Cube]) -> Result<Hits, Limit> {
    /// More pairs of places than this are not tried: the packets are true without.
    const MOST: usize = 4096;
    let mut found = hits(analysis, query, arriving, deciding)?;
    found.found.retain(|hit| !is_inherent(analysis, hit.line));
    if found.found.is_empty() {
        return Ok(found);
    }
    let Query { way, family, .. } = query;
    // Whole packets: a later fragment shows nothing that people know.
    let tcp = Cube::of(Dim::field(Field::Proto), Ranges::single(6), family);
    let tcp: Vec<Cube> = tcp.and_then(|c| c.with(Dim::field(Field::Fragment), &Ranges::single(0), family)).into_iter().collect();
    let home = homes(analysis, family, Field::Iif, Field::Src);
    let from = cross(&cross(arriving, &[opening(family)]), &home);
    let to = match way {
        Way::Forward => cross(deciding, &homes(analysis, family, Field::Oif, Field::Dst)),
        Way::Input => {
            let nearest = cross(deciding, &own_addresses_where_they_are(analysis, family));
            if nearest.is_empty() { cross(deciding, &own_addresses(analysis, family)) } else { nearest }
        }
        Way::Output => Vec::new(),
    };
    let pick = |a: &[Cube], b: &[Cube]| if a.is_empty() { b.to_vec() } else { a.to_vec() };
    let (from, to) = (pick(&from, &cross(arriving, &[opening(family)])), pick(&to, deciding));
    let forwarded = if way == Way::Forward { cross(&from, &own_addresses(analysis, family)) } else { Vec::new() };
    let late = cross(arriving, &home);
    let any = arriving.to_vec();
    // From the most to the least believable (a packet to the device itself that a forwarding rule sends on comes first); the first
    // that a line decides about is taken.
    let tries = [
        (&forwarded, cross(&to, &tcp)),
        (&from, cross(&to, &tcp)),
        (&from, to.clone()),
        (&from, cross(deciding, &tcp)),
        (&late, cross(&to, &tcp)),
        (&late, to),
        // Packets that open nothing, where no networks are known: better TCP than ICMPv6 in IPv4.
        (&any, cross(deciding, &tcp)),
    ];
    let mut done = vec![false; found.found.len()];
    for (from, to) in tries {
        if from.is_empty() || from.len().saturating_mul(to.len()) > MOST {
            continue;
        }
        let better = hits(analysis, query, from, &to)?;
        for (hit, done) in found.found.iter_mut().zip(&mut done).filter(|(_, done)| !**done) {
            if let Some(b) = better.found.iter().find(|b| b.line == hit.line && (b.certain || !hit.certain)) {
                *hit = b.clone();
                *done = true;
            }
        }
        if done.iter().all(|d| *d) {
            break;
        }
    }
    Ok(found)
}

fn is_inherent(analysis: &Analysis<'_>, line: Line) -> bool {
    let chain = analysis.device.chains.get(line.chain.0 as usize);
    line.rule.and_then(|rule| chain?.rules.get(rule as usize)).is_some_and(|rule| rule.inherent)
}

/// For each interface: packets on it with an address of a network behind it; behind that of the default route is whatever is behind no other.
fn homes(analysis: &Analysis<'_>, family: Family, interface: Field, address: Field) -> Vec<Cube> {
    let device = analysis.device;
    let outer = |name: &str| {
        let to_all = |r: &crate::model::Route| r.to.prefix() == 0 && prefix_bounds(r.to).0 == family;
        device.routes.iter().flatten().any(|r| to_all(r) && r.interface.as_deref() == Some(name))
    };
    let (mut all, mut far, mut near) = (Ranges::EMPTY, Vec::new(), Vec::new());
    for i in device.interfaces.iter().flatten().filter(|i| !is_loopback(&i.name)) {
        let number = Ranges::single(analysis.space.interface_number(&i.name));
        let nets = i.addresses.iter().map(|a| prefix_bounds(*a));
        // Link-local networks (fe80::/10, RFC 4291) are behind every interface.
        let nets = nets.filter(|(f, lo, hi)| *f == family && hi > lo && !(*f == Family::V6 && lo >> 118 == 0x3fa));
        let nets = Ranges::from_intervals(nets.map(|(_, lo, hi)| (lo, hi)).collect());
        let cube = Cube::of(Dim::field(interface), number, family);
        if outer(&i.name) {
            far.extend(cube);
        } else {
            all = all.or(&nets);
            near.extend(cube.and_then(|c| c.with(Dim::field(address), &nets, family)));
        }
    }
    let rest = all.complement(family.max_address());
    let mut out: Vec<Cube> = far.into_iter().filter_map(|c| c.with(Dim::field(address), &rest, family)).collect();
    // The last one is tried first.
    out.extend(near.into_iter().rev());
    out
}

/// Packets to the device's own addresses, those of the loopback interface aside.
fn own_addresses(analysis: &Analysis<'_>, family: Family) -> Vec<Cube> {
    let interfaces = analysis.device.interfaces.iter().flatten().filter(|i| !is_loopback(&i.name));
    let own = interfaces.clone().flat_map(|i| &i.addresses).map(|a| crate::net::to_number(a.ip())).filter(|(f, _)| *f == family);
    let known = Cube::of(Dim::field(Field::Dst), Ranges::from_values(own.map(|(_, n)| n)), family);
    // An address that is given from elsewhere is told by its being the device's.
    let given = interfaces.clone().any(|i| i.dynamic.contains(&family));
    let given = given.then(|| Cube::of(Dim::field(Field::DstType), Ranges::single(addr_type::LOCAL), family)).flatten();
    known.into_iter().chain(given).collect()
}

/// Packets that arrive on an interface for an address of that interface.
fn own_addresses_where_they_are(analysis: &Analysis<'_>, family: Family) -> Vec<Cube> {
    let interfaces = analysis.device.interfaces.iter().flatten().filter(|i| !is_loopback(&i.name));
    let own = |i: &crate::model::Interface| {
        let all = i.addresses.iter().map(|a| crate::net::to_number(a.ip())).filter(|(f, _)| *f == family).map(|(_, n)| n);
        let number = Ranges::single(analysis.space.interface_number(&i.name));
        let cube = Cube::of(Dim::field(Field::Dst), Ranges::from_values(all), family)?;
        cube.with(Dim::field(Field::Iif), &number, family)
    };
    interfaces.filter_map(own).collect()
}

/// What a finding about a line is about: the text of the rule, which stays when other rules come and go, or the chain whose policy it is.
pub fn line_subject(world: &World<'_>, analysis: &Analysis<'_>, line: Line) -> String {
    match (line.rule, analysis.span(line)) {
        (Some(_), Some(span)) => world.redactor.show(world.sources.get(span.file), span).trim().to_owned(),
        _ => analysis.line_words(line),
    }
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
pub fn witness(analysis: &Analysis<'_>, hit: &Hit, way: Way, family: Family) -> Witness {
    let space = &analysis.space;
    let path = hit.walked.path.iter().filter_map(|l| analysis.span(*l).map(|s| Label::new(s, analysis.line_words(*l)))).collect();
    let mut conditions: Vec<String> = Vec::new();
    if !hit.certain {
        conditions.extend(hit.packet.conditions().iter().map(|c| space.condition(*c).0.to_owned()));
    }
    if hit.at_rest {
        // The rates that its rules ask for.
        let rules = hit.walked.path.iter().filter_map(|l| analysis.device.chains.get(l.chain.0 as usize)?.rules.get(l.rule? as usize));
        let mut rates = std::collections::BTreeSet::new();
        for rule in rules {
            rule.matcher.walk(&mut |m| {
                if let Match::Opaque(id) = m
                    && space.at_rest().iter().any(|(known, _)| *known == id.0)
                {
                    rates.insert(id.0);
                }
            });
        }
        let sorts: Vec<u32> = analysis.device.on_public_network.iter().map(|(id, _)| id.0).collect();
        let words = |c: &u32| {
            if sorts.contains(c) { space.condition(*c).0.to_owned() } else { format!("{} is not exceeded", space.condition(*c).0) }
        };
        conditions.extend(rates.iter().map(words));
        if conditions.is_empty() {
            conditions.push(sorts.first().map_or("no rate is exceeded".into(), words));
        }
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
