//! Interfaces, zones, SD-WAN and static routes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::domain::Domain;
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::{Conditions, Direction, Interface, Match, NamePattern, Route};
use crate::net::{Family, Ranges, prefix_bounds};
use crate::source::Span;
use crate::vendors::Reader;

/// What they are called in [`crate::model::Names`].
pub(super) const SPACE: &str = "interface or zone";

/// The interfaces of the whole device.
#[derive(Default)]
pub(super) struct Interfaces<'t> {
    pub entries: Vec<Entry<'t>>,
    /// Virtual domain of each.
    pub vdom: HashMap<String, String>,
    /// The IPv4 networks of each that has fixed ones.
    pub networks: HashMap<String, Ranges>,
    /// The file has a section of interfaces, so that a name that is none is not an interface.
    pub shown: bool,
}

/// An address as FortiOS writes it: two words with a mask, or one with a length. Zeros mean none.
fn address(values: &[&str]) -> Option<IpNetwork> {
    let network = match values {
        [one] => one.parse().ok()?,
        [ip, mask] => {
            let (ip, mask): (IpAddr, std::net::Ipv4Addr) = (ip.parse().ok()?, mask.parse().ok()?);
            IpNetwork::new(ip, ipnetwork::ipv4_mask_to_prefix(mask).ok()?).ok()?
        }
        _ => return None,
    };
    (!network.ip().is_unspecified()).then_some(network)
}

fn texts<'e>(entry: &'e Entry<'_>, name: &str) -> Vec<&'e str> {
    entry.values(name).iter().map(|w| w.text.as_str()).collect()
}

/// Lowers `system interface`.
pub(super) fn interfaces<'t>(reader: &mut Reader<'_>, domains: &[Domain<'t>], phase1: &[(String, String, Span)]) -> Interfaces<'t> {
    let mut out = Interfaces { shown: domains.iter().any(|d| d.has("system interface")), ..Interfaces::default() };
    out.entries = domains.iter().flat_map(|d| d.table("system interface")).collect();
    let mut list: Vec<Interface> = Vec::new();
    let names: BTreeSet<String> = out.entries.iter().map(|e| e.name.clone()).collect();
    let mut called: BTreeSet<String> = names.clone();
    for entry in &out.entries {
        let mut interface = Interface::new(&*entry.name, entry.first);
        interface.up = Some(!entry.is("status", "down"));
        let mode = entry.value("mode").unwrap_or("static");
        if matches!(mode, "dhcp" | "pppoe") {
            interface.dynamic.push(Family::V4);
        } else {
            interface.addresses.extend(address(&texts(entry, "ip")));
        }
        // Secondary addresses stay written while they are off (CLI reference, `system interface`, `secondary-IP`: default disable).
        if entry.is("secondary-IP", "enable") {
            interface.addresses.extend(entry.table("secondaryip").iter().filter_map(|s| address(&texts(s, "ip"))));
        }
        if let Some(v6) = entry.section("ipv6") {
            interface.addresses.extend(v6.value("ip6-address").and_then(|a| address(&[a])));
            interface.addresses.extend(v6.table("ip6-extra-addr").iter().filter_map(|e| address(&[&e.name])));
            let learnt = v6.value("ip6-mode").is_some_and(|m| m != "static") || v6.is("autoconf", "enable");
            if learnt {
                interface.dynamic.push(Family::V6);
            }
        }
        let alias = entry.value("alias").filter(|a| !a.is_empty());
        interface.aliases.extend(alias.filter(|a| called.insert((*a).to_owned())).map(str::to_owned));
        if interface.dynamic.is_empty() {
            let networks = interface.addresses.iter().map(|a| prefix_bounds(*a)).filter(|b| b.0 == Family::V4).map(|b| (b.1, b.2));
            let networks = Ranges::from_intervals(networks.collect());
            if !networks.is_empty() {
                out.networks.insert(entry.name.clone(), networks);
            }
        }
        out.vdom.insert(entry.name.clone(), entry.value("vdom").unwrap_or("root").to_owned());
        list.push(interface);
    }
    // The interface of a tunnel is there even where the file shows none for it.
    for (name, vdom, span) in phase1 {
        if out.shown && !names.contains(name) && called.insert(name.clone()) {
            list.push(Interface::new(&**name, *span));
            out.vdom.insert(name.clone(), vdom.clone());
        }
    }
    if out.shown {
        reader.device.interfaces = Some(list);
    }
    out
}

/// Zones and SD-WAN zones of one virtual domain: names that stand for several interfaces.
#[derive(Default)]
pub(super) struct Zones {
    members: BTreeMap<String, Vec<String>>,
    /// Zones within which traffic needs no policy, with their place.
    pub open: Vec<(String, Span)>,
    /// Members of SD-WAN, with the place of each.
    pub sdwan: Vec<(String, Span)>,
    /// Names of the domain's interfaces, and whether these are all.
    interfaces: BTreeSet<String>,
    shown: bool,
    several: bool,
}

impl Zones {
    pub fn new(reader: &mut Reader<'_>, domain: &Domain<'_>, interfaces: &Interfaces<'_>, several: bool) -> Zones {
        let mut zones = Zones { shown: interfaces.shown, several, ..Zones::default() };
        let own = |vdom: &&String| domain.vdom.as_ref().is_none_or(|name| name == *vdom);
        zones.interfaces = interfaces.vdom.iter().filter(|(_, vdom)| own(vdom)).map(|(name, _)| name.clone()).collect();
        for zone in domain.table("system zone") {
            reader.device.names.define(SPACE, &zone.name, zone.name_span);
            let members = zone.values("interface").iter().map(|w| w.text.clone()).collect();
            // Default deny (CLI reference, `system zone`, `intrazone`).
            if zone.is("intrazone", "allow") {
                zones.open.push((zone.name.clone(), zone.at("intrazone")));
            }
            zones.members.insert(zone.name.clone(), members);
        }
        // 6.4.1 renamed `virtual-wan-link` to `sdwan` and gave it zones; the zone of members that name none is `virtual-wan-link`.
        for path in ["system virtual-wan-link", "system sdwan"] {
            let Some(section) = domain.section(path) else { continue };
            for zone in section.table("zone") {
                if zone.name != "virtual-wan-link" {
                    reader.device.names.define(SPACE, &zone.name, zone.name_span);
                }
                zones.members.entry(zone.name).or_default();
            }
            for member in section.table("members") {
                let Some(interface) = member.value("interface") else { continue };
                if member.is("status", "disable") {
                    continue;
                }
                let zone = member.value("zone").unwrap_or("virtual-wan-link").to_owned();
                zones.members.entry(zone).or_default().push(interface.to_owned());
                zones.sdwan.push((interface.to_owned(), member.first));
            }
        }
        zones
    }

    /// The interfaces of a zone, if there is such a zone.
    pub fn members(&self, name: &str) -> Option<&[String]> {
        self.members.get(name).map(Vec::as_slice)
    }

    /// Packets on any interface of the domain.
    pub fn any(&self, direction: Direction) -> Match {
        if !self.several {
            return Match::Any;
        }
        Match::any_of(self.interfaces.iter().map(|n| Match::Interface(direction, NamePattern::exact(&**n))).collect())
    }

    /// The interfaces of the domain.
    pub fn interfaces(&self) -> impl Iterator<Item = &String> {
        self.interfaces.iter()
    }

    /// Packets on what a name means: an interface, a zone, `any`.
    pub fn on(&self, reader: &mut Reader<'_>, direction: Direction, name: &str, span: Span) -> Match {
        if name == "any" {
            return Match::Any;
        }
        let one = |n: &str| Match::Interface(direction, NamePattern::exact(n));
        if let Some(members) = self.members.get(name) {
            if name != "virtual-wan-link" {
                reader.device.names.used(SPACE, name, span);
            }
            // A zone without members is of no packet.
            return Match::any_of(members.iter().map(|m| one(m)).collect());
        }
        // `ssl.<virtual domain>` and its like are made by the appliance.
        let own = ["ssl.", "naf.", "l2t.", "npu"].iter().any(|p| name.starts_with(p));
        if self.interfaces.contains(name) || own {
            return one(name);
        }
        if self.shown {
            reader.device.names.used(SPACE, name, span);
        }
        // It may be an interface, or a zone of which the file does not show the members.
        let way = if direction == Direction::In { "arrives at" } else { "leaves by" };
        Match::Opaque(intern(&mut reader.device.conditions, &format!("the packet {way} {name:?}, which the file does not show"), span))
    }

    /// Packets on any of the things that a setting names; nothing named is `None`.
    pub fn list(&self, reader: &mut Reader<'_>, direction: Direction, entry: &Entry<'_>, setting: &str) -> Option<Match> {
        let values = entry.values(setting);
        if values.is_empty() {
            return None;
        }
        let parts: Vec<Match> = values.iter().map(|v| self.on(reader, direction, &v.text, v.span)).collect();
        Some(if parts.contains(&Match::Any) { Match::Any } else { Match::any_of(parts) })
    }
}

fn intern(conditions: &mut Conditions, text: &str, span: Span) -> crate::model::ConditionId {
    conditions.intern(text, span)
}

/// Lowers static routes and the default routes that DHCP and PPPoE bring.
pub(super) fn routes(reader: &mut Reader<'_>, domains: &[Domain<'_>], zones: &[Zones], interfaces: &Interfaces<'_>) {
    let mut out: Vec<Route> = Vec::new();
    let mut any = false;
    for (domain, zones) in domains.iter().zip(zones) {
        for (path, family) in [("router static", Family::V4), ("router static6", Family::V6)] {
            any |= domain.has(path);
            for entry in domain.table(path) {
                route(reader, &mut out, &entry, family, zones);
            }
        }
    }
    for entry in &interfaces.entries {
        // `defaultgw` is on by default where an address is learnt; the distance is then 5 (CLI reference, `system interface`).
        let mode = entry.value("mode").filter(|m| matches!(*m, "dhcp" | "pppoe"));
        if let Some(kind) = mode.filter(|_| !entry.is("defaultgw", "disable") && !entry.is("status", "down")) {
            any = true;
            let metric = entry.number("distance").unwrap_or(5);
            out.push(learnt(&entry.name, Family::V4, kind, metric, entry.at("mode")));
        }
        let v6 = entry.section("ipv6");
        let learns = v6.as_ref().is_some_and(|s| s.is("autoconf", "enable") || matches!(s.value("ip6-mode"), Some("dhcp" | "pppoe")));
        if learns && !entry.is("status", "down") {
            any = true;
            out.push(learnt(&entry.name, Family::V6, "ra", 0, v6.map_or(entry.first, |s| s.first)));
        }
    }
    if any {
        reader.device.routes = Some(out);
    }
}

fn everywhere(family: Family) -> Option<IpNetwork> {
    match family {
        Family::V4 => "0.0.0.0/0".parse().ok(),
        Family::V6 => "::/0".parse().ok(),
    }
}

fn learnt(interface: &str, family: Family, kind: &str, metric: u32, span: Span) -> Route {
    let to = everywhere(family).unwrap_or(IpNetwork::from(IpAddr::from([0, 0, 0, 0])));
    Route { to, interface: Some(interface.to_owned()), via: None, metric, kind: Some(kind.to_owned()), span }
}

fn route(reader: &mut Reader<'_>, out: &mut Vec<Route>, entry: &Entry<'_>, family: Family, zones: &Zones) {
    if entry.is("status", "disable") {
        return;
    }
    let via = entry.value("gateway").and_then(|g| g.parse::<IpAddr>().ok()).filter(|g| !g.is_unspecified());
    // Distance 10 by default (CLI reference, `router static`).
    let metric = entry.number("distance").unwrap_or(10);
    let named = entry.value("dstaddr").is_some_and(|v| !v.is_empty()) || entry.value("internet-service").is_some_and(|v| v != "0");
    if named || entry.value("internet-service-custom").is_some_and(|v| !v.is_empty()) {
        return reader.note(entry.first, LineState::NotModelled, "this route's destination is an object: it is not followed");
    }
    let to = match texts(entry, "dst").as_slice() {
        [] => everywhere(family),
        [one] => one.parse().ok(),
        [ip, mask] => match (ip.parse::<IpAddr>(), mask.parse().map(ipnetwork::ipv4_mask_to_prefix)) {
            (Ok(ip), Ok(Ok(length))) => IpNetwork::new(ip, length).ok(),
            _ => None,
        },
        _ => None,
    };
    let Some(to) = to else {
        return reader.note(entry.at("dst"), LineState::NotModelled, "this route's destination is not understood");
    };
    let blackhole = entry.is("blackhole", "enable");
    let mut push = |interface: Option<String>, via| {
        let kind = blackhole.then(|| "blackhole".to_owned());
        out.push(Route { to, interface, via, metric, kind, span: entry.first });
    };
    let device = entry.value("device").filter(|d| !d.is_empty());
    let of_sdwan = entry.is("sdwan", "enable") || entry.is("virtual-wan-link", "enable") || !entry.values("sdwan-zone").is_empty();
    match device {
        Some(device) => push(Some(device.to_owned()), via),
        None if of_sdwan => {
            let named = texts(entry, "sdwan-zone");
            for (interface, _) in &zones.sdwan {
                if named.is_empty() || named.iter().any(|z| zones.members(z).is_some_and(|m| m.contains(interface))) {
                    push(Some(interface.clone()), None);
                }
            }
        }
        None => push(None, via),
    }
}
