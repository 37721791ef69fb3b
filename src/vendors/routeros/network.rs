//! Interfaces, addresses, routes, settings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::Export;
use super::tables::Item;
use crate::diag::LineState;
use crate::model::{HostSetting, Interface, Route};
use crate::net::{Family, prefix_bounds, to_number};
use crate::source::Span;
use crate::vendors::Reader;

/// Menus whose items are interfaces.
const KINDS: &[&str] = &[
    "interface 6to4",
    "interface bonding",
    "interface bridge",
    "interface eoip",
    "interface ethernet",
    "interface gre",
    "interface gre6",
    "interface ipip",
    "interface l2tp-client",
    "interface l2tp-server",
    "interface lte",
    "interface macvlan",
    "interface ovpn-client",
    "interface ovpn-server",
    "interface pppoe-client",
    "interface pptp-client",
    "interface pptp-server",
    "interface sstp-client",
    "interface sstp-server",
    "interface veth",
    "interface vlan",
    "interface vrrp",
    "interface vxlan",
    "interface wifi",
    "interface wifiwave2",
    "interface wireguard",
    "interface wireless",
];

pub(super) fn lower(reader: &mut Reader<'_>, export: &Export) {
    let t = &export.tables;
    if let Some(name) = t.settings("system identity").and_then(|i| i.value("name")).filter(|v| !v.computed && !v.text.is_empty()) {
        reader.device.hostname = Some((name.text.clone(), name.at));
    }
    let mut list: Vec<Interface> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut routes: Vec<Route> = Vec::new();
    for kind in KINDS {
        for item in t.items(kind) {
            let default = item.filled("default-name");
            let Some(name) = item.filled("name").or(default) else { continue };
            let i = *index.entry(name.to_owned()).or_insert_with(|| {
                list.push(Interface::new(name, item.span));
                list.len() - 1
            });
            let Some(interface) = list.get_mut(i) else { continue };
            if item.get("disabled").is_some() {
                interface.up = Some(!item.disabled());
            }
            if let Some(default) = default.filter(|d| *d != name) {
                interface.aliases.push(default.to_owned());
            }
            let client = kind.ends_with("-client");
            // Clients are off by default (help.mikrotik.com, "PPPoE", "L2TP", "PPTP", "SSTP", "OpenVPN": disabled, default yes).
            let on = if client { item.off("disabled") } else { !item.disabled() };
            if on && (client || *kind == "interface lte") {
                interface.dynamic.push(Family::V4);
                if *kind == "interface pppoe-client" {
                    interface.dynamic.push(Family::V6);
                }
                // `add-default-route` is off by default for clients (the same pages), and on for LTE ("LTE", APN profiles).
                if (client && item.on("add-default-route")) || *kind == "interface lte" {
                    let distance = item.get("default-route-distance").and_then(|d| d.parse().ok()).unwrap_or(if client { 1 } else { 2 });
                    routes.extend(learnt(name, Family::V4, "ppp", distance, item.span));
                }
            }
        }
    }
    // A default name that another interface bears, or several, is no name of either.
    let mut aliases: BTreeMap<String, usize> = BTreeMap::new();
    list.iter().flat_map(|i| &i.aliases).for_each(|a| *aliases.entry(a.clone()).or_default() += 1);
    for interface in &mut list {
        interface.aliases.retain(|a| !index.contains_key(a) && aliases.get(a) == Some(&1));
    }
    for interface in &list {
        interface.aliases.iter().for_each(|a| {
            index.entry(a.clone()).or_insert(usize::MAX);
        });
    }
    let by_alias: HashMap<String, usize> =
        list.iter().enumerate().flat_map(|(i, f)| f.aliases.iter().map(move |a| (a.clone(), i))).collect();
    let mut find = |list: &mut Vec<Interface>, name: &str, span: Span| -> usize {
        if let Some(i) = by_alias.get(name) {
            return *i;
        }
        *index.entry(name.to_owned()).or_insert_with(|| {
            list.push(Interface::new(name, span));
            list.len() - 1
        })
    };
    for (menu, family) in [("ip address", Family::V4), ("ipv6 address", Family::V6)] {
        for item in t.items(menu).into_iter().filter(|i| !i.disabled()) {
            let Some(name) = item.filled("interface") else { continue };
            let i = find(&mut list, name, item.span);
            let Some(interface) = list.get_mut(i) else { continue };
            // The prefix of a pool is not in the file, nor the host's part where the MAC address makes it.
            if item.filled("from-pool").is_some_and(|p| p != "none") || item.on("eui-64") {
                interface.dynamic.push(family);
                continue;
            }
            let Some(value) = item.value("address").filter(|v| !v.computed) else { continue };
            match address(item, &value.text) {
                Some(network) if Family::of(network.ip()) == family => interface.addresses.push(network),
                _ => reader.note(value.span, LineState::NotModelled, "this address is not understood"),
            }
        }
    }
    // What comes in through a port of a bridge, or a member of a bond, arrives at the bridge, the bond, or a VLAN of theirs.
    let mut ports: BTreeSet<&str> = BTreeSet::new();
    ports.extend(t.items("interface bridge port").into_iter().filter(|p| !p.disabled()).filter_map(|p| p.filled("interface")));
    ports.extend(t.items("interface bonding").into_iter().filter(|b| !b.disabled()).flat_map(|b| b.list("slaves")));
    for (menu, family, kind) in [("ip dhcp-client", Family::V4, "dhcp"), ("ipv6 dhcp-client", Family::V6, "dhcp")] {
        for item in t.items(menu) {
            let Some(name) = item.filled("interface") else { continue };
            // Version 6 adds clients switched off (wiki.mikrotik.com, "Manual:IP/DHCP Client"), and version 7 exports no `disabled=no` of them. Where the
            // version is not known, it is one that has addresses: that is the less that is claimed.
            let off = item.disabled() || (export.version.is_some_and(|v| v.0 < 7) && item.get("disabled").is_none());
            // The router says of a client on a port that it cannot run there.
            if off || ports.contains(name) {
                continue;
            }
            let i = find(&mut list, name, item.span);
            let Some(interface) = list.get_mut(i) else { continue };
            interface.dynamic.push(family);
            // On by default for IPv4 and off for IPv6 (help.mikrotik.com, "DHCP").
            let gives = if family == Family::V4 { !item.off("add-default-route") } else { item.on("add-default-route") };
            if gives {
                let distance = item.get("default-route-distance").and_then(|d| d.parse().ok()).unwrap_or(1);
                let name = interface.name.clone();
                routes.extend(learnt(&name, family, kind, distance, item.span));
            }
        }
    }
    // A gateway that is no address is an interface, of which an export need say nothing else (`ether1`).
    for menu in ["ip route", "ipv6 route"] {
        for item in t.items(menu).into_iter().filter(|i| !i.disabled()) {
            for gateway in item.list("gateway").into_iter().take(64) {
                let name = gateway.split(['@', '%']).next().unwrap_or(gateway);
                if name.parse::<IpAddr>().is_err() && !name.is_empty() {
                    find(&mut list, name, item.span);
                }
            }
        }
    }
    for interface in &mut list {
        let kinds: BTreeSet<Family> = interface.dynamic.iter().copied().collect();
        interface.dynamic = kinds.into_iter().collect();
    }
    let connected = Connected::new(&list);
    for (menu, family) in [("ip route", Family::V4), ("ipv6 route", Family::V6)] {
        for item in t.items(menu).into_iter().filter(|i| !i.disabled()) {
            route(reader, item, family, &connected, &mut routes);
        }
    }
    list.retain(|i| !ports.contains(i.name.as_str()) || !i.addresses.is_empty() || !i.dynamic.is_empty());
    if !list.is_empty() {
        reader.device.interfaces = Some(list);
    }
    if !routes.is_empty() || export.whole() {
        reader.device.routes = Some(routes);
    }
    host_settings(reader, export);
}

/// An address with its length; without one it is that of a host, or `network` and `netmask` say it.
fn address(item: &Item, text: &str) -> Option<IpNetwork> {
    if text.contains('/') {
        return text.parse().ok();
    }
    let ip: IpAddr = text.parse().ok()?;
    match item.filled("netmask").and_then(|m| m.parse().ok()).and_then(|m| ipnetwork::ipv4_mask_to_prefix(m).ok()) {
        Some(length) => IpNetwork::new(ip, length).ok(),
        None => Some(ip.into()),
    }
}

fn everywhere(family: Family) -> Option<IpNetwork> {
    match family {
        Family::V4 => "0.0.0.0/0".parse().ok(),
        Family::V6 => "::/0".parse().ok(),
    }
}

fn learnt(interface: &str, family: Family, kind: &str, metric: u32, span: Span) -> Option<Route> {
    let to = everywhere(family)?;
    Some(Route { to, interface: Some(interface.to_owned()), via: None, metric, kind: Some(kind.to_owned()), span })
}

/// Which interface is in the network of an address.
struct Connected {
    networks: HashMap<(Family, u8, u128), String>,
    lengths: BTreeSet<(Family, u8)>,
}

impl Connected {
    fn new(list: &[Interface]) -> Connected {
        let mut out = Connected { networks: HashMap::new(), lengths: BTreeSet::new() };
        for interface in list.iter().filter(|i| i.up != Some(false)) {
            for network in &interface.addresses {
                let (family, lo, _) = prefix_bounds(*network);
                out.networks.entry((family, network.prefix(), lo)).or_insert_with(|| interface.name.clone());
                out.lengths.insert((family, network.prefix()));
            }
        }
        out
    }

    fn of(&self, ip: IpAddr) -> Option<&str> {
        let family = Family::of(ip);
        for (f, length) in self.lengths.iter().rev().filter(|l| l.0 == family) {
            let (_, lo, _) = prefix_bounds(IpNetwork::new(ip, *length).ok()?);
            if let Some(name) = self.networks.get(&(*f, *length, lo)) {
                return Some(name);
            }
        }
        None
    }
}

fn route(reader: &mut Reader<'_>, item: &Item, family: Family, connected: &Connected, out: &mut Vec<Route>) {
    let table = item.filled("routing-table").or(item.filled("routing-mark")).filter(|t| *t != "main");
    if table.is_some() {
        return reader.note(item.span, LineState::NotModelled, "routes of other tables than main are not followed");
    }
    let to = match item.filled("dst-address") {
        None => everywhere(family),
        Some(text) => text.parse::<IpNetwork>().ok(),
    };
    let Some(to) = to else {
        return reader.note(item.at("dst-address"), LineState::NotModelled, "this route's destination is not understood");
    };
    let metric = item.get("distance").and_then(|d| d.parse().ok()).unwrap_or(1);
    let kind = item.filled("type").filter(|t| *t != "unicast").map(str::to_owned);
    let kind =
        kind.or_else(|| (item.flags.iter().any(|f| f == "blackhole") || item.value("blackhole").is_some()).then(|| "blackhole".to_owned()));
    if kind.is_some() {
        out.push(Route { to, interface: None, via: None, metric, kind, span: item.span });
        return;
    }
    for gateway in item.list("gateway").into_iter().take(64) {
        let gateway = gateway.split('@').next().unwrap_or(gateway);
        let (host, on) = gateway.split_once('%').map_or((gateway, None), |(h, i)| (h, Some(i)));
        let (via, interface) = match host.parse::<IpAddr>() {
            Ok(ip) => (Some(ip), on.or_else(|| connected.of(ip))),
            Err(_) => (None, Some(host)),
        };
        debug_assert!(via.is_none_or(|ip| to_number(ip).0 == Family::of(ip)));
        out.push(Route { to, interface: interface.map(str::to_owned), via, metric, kind: None, span: item.span });
    }
}

/// Settings that checks may ask for, by the name of their menu (`ip ssh strong-crypto`); the reverse-path filter also by its name in Linux.
fn host_settings(reader: &mut Reader<'_>, export: &Export) {
    for menu in ["ip ssh", "ip dns", "ip cloud", "ip socks", "ip proxy", "ip settings", "ipv6 settings"] {
        let Some(settings) = export.tables.settings(menu) else { continue };
        for (name, value) in settings.values().filter(|(n, v)| !v.computed && !n.contains("password")) {
            reader.device.settings.push(HostSetting { name: format!("{menu} {name}"), value: value.text.clone(), span: value.span });
        }
    }
    let Some(filter) = export.tables.settings("ip settings").and_then(|s| s.value("rp-filter")) else { return };
    // RFC 3704, by the same words in "IP Settings" and in ip-sysctl.rst.
    let value = match filter.text.as_str() {
        "strict" => "1",
        "loose" => "2",
        _ => "0",
    };
    reader.device.settings.push(HostSetting { name: "net.ipv4.conf.all.rp_filter".into(), value: value.into(), span: filter.span });
}
