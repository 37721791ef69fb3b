//! The network package: interfaces with their addresses, routes, WireGuard.
//!
//! An interface is called by its network (`lan`), as zones call it; its device (`br-lan`, `eth0.2`, `pppoe-wan`) is another name of it.

use ipnetwork::IpNetwork;
use std::net::IpAddr;

use super::uci::{Section, Word};
use crate::diag::LineState::{NotModelled, Unsupported};
use crate::model::{Endpoint, Interface, Peer, Route, Secret, Tunnel, TunnelKind, TunnelRole};
use crate::net::Family;
use crate::syntax::wireguard;
use crate::vendors::Reader;

/// Protocols whose packets arrive on a device of their own, `<protocol>-<network>` (netifd, `proto-shell`).
const OWN_DEVICE: &[&str] =
    &["pppoe", "pppoa", "ppp", "pptp", "l2tp", "3g", "6in4", "6to4", "6rd", "dslite", "gre", "vti", "sstp", "openconnect", "vpnc"];
/// Protocols that get addresses and a default route from the other side, with the families that they do so for.
const ASSIGNED: &[(&str, &[Family])] = &[
    ("dhcp", &[Family::V4]),
    ("dhcpv6", &[Family::V6]),
    ("pppoe", &Family::BOTH),
    ("pppoa", &Family::BOTH),
    ("ppp", &Family::BOTH),
    ("pptp", &Family::BOTH),
    ("l2tp", &Family::BOTH),
    ("3g", &Family::BOTH),
    ("qmi", &Family::BOTH),
    ("mbim", &Family::BOTH),
    ("ncm", &Family::BOTH),
    ("modemmanager", &Family::BOTH),
    ("6in4", &[Family::V6]),
    ("6to4", &[Family::V6]),
    ("6rd", &[Family::V6]),
];

fn default_route(family: Family) -> Option<IpNetwork> {
    match family {
        Family::V4 => "0.0.0.0/0",
        Family::V6 => "::/0",
    }
    .parse()
    .ok()
}

/// `192.168.1.1/24`, or an address with the mask of another option; a lone IPv6 address is a single one.
fn with_mask(word: &Word, mask: Option<&str>) -> Option<IpNetwork> {
    if let Ok(net) = word.text.parse::<IpNetwork>()
        && word.text.contains('/')
    {
        return Some(net);
    }
    let address: IpAddr = word.text.parse().ok()?;
    let length = match (address, mask) {
        (IpAddr::V4(_), Some(mask)) => ipnetwork::ipv4_mask_to_prefix(mask.parse().ok()?).ok()?,
        (IpAddr::V4(_), None) => 32,
        (IpAddr::V6(_), _) => 128,
    };
    IpNetwork::new(address, length).ok()
}

pub(super) fn lower(reader: &mut Reader<'_>, sections: &[&Section]) {
    if sections.is_empty() {
        return;
    }
    let (mut interfaces, mut routes): (Vec<Interface>, Vec<Route>) = (Vec::new(), Vec::new());
    for section in sections {
        match section.kind.as_str() {
            "interface" => interface(reader, section, &mut interfaces, &mut routes),
            "route" | "route6" => routes.extend(route(reader, section)),
            "rule" | "rule6" => reader.note(section.head, NotModelled, "policy routing is not followed"),
            _ => {}
        }
    }
    for section in sections {
        if let Some(name) = section.kind.strip_prefix("wireguard_") {
            let found = reader.device.tunnels.iter().position(|t| t.kind == TunnelKind::WireGuard && t.interface == name);
            match found {
                Some(i) => {
                    let peer = peer(reader, section, name, &mut routes);
                    if let (Some(peer), Some(tunnel)) = (peer, reader.device.tunnels.get_mut(i)) {
                        tunnel.peers.push(peer);
                    }
                }
                None => reader.note(section.head, Unsupported, format!("a peer of {name}, which is no WireGuard interface here")),
            }
        }
    }
    for tunnel in &mut reader.device.tunnels {
        if tunnel.role == TunnelRole::Peer && tunnel.listen.is_some() && tunnel.peers.iter().all(|p| p.endpoint.is_none()) {
            tunnel.role = TunnelRole::Server;
        }
    }
    reader.device.interfaces.get_or_insert_default().extend(interfaces);
    reader.device.routes.get_or_insert_default().extend(routes);
}

fn interface(reader: &mut Reader<'_>, section: &Section, interfaces: &mut Vec<Interface>, routes: &mut Vec<Route>) {
    let Some(name) = section.name.as_deref() else {
        reader.note(section.head, Unsupported, "an interface without a name");
        return;
    };
    if section.flag("disabled") == Some(true) {
        return;
    }
    let proto = section.value("proto").unwrap_or("none");
    let mut found = Interface::new(name, section.whole);
    if name == "loopback" {
        found.name = "lo".into();
        found.aliases.push("loopback".into());
    }
    let device = section.value("device").or(section.value("ifname"));
    if OWN_DEVICE.contains(&proto) {
        found.aliases.push(format!("{proto}-{name}"));
    } else if section.value("type") == Some("bridge") {
        found.aliases.push(format!("br-{name}"));
    } else if let Some(device) = device.filter(|d| !d.starts_with('@') && *d != found.name) {
        found.aliases.extend(device.split_ascii_whitespace().map(str::to_owned));
    }
    let mask = section.value("netmask");
    for word in section.list("ipaddr").iter().chain(&section.list("ip6addr")) {
        match with_mask(word, mask) {
            Some(net) => found.addresses.push(net),
            None => reader.note(word.span, Unsupported, format!("{} is no address", word.text)),
        }
    }
    if section.get("ip6assign").is_some() {
        found.dynamic.push(Family::V6);
    }
    for family in ASSIGNED.iter().find(|(p, _)| *p == proto).map_or(&[][..], |(_, f)| f) {
        if !found.dynamic.contains(family) {
            found.dynamic.push(*family);
        }
        if section.flag("defaultroute") != Some(false)
            && let Some(to) = default_route(*family)
        {
            routes.push(Route {
                to,
                interface: Some(found.name.clone()),
                via: None,
                metric: section.value("metric").and_then(|m| m.parse().ok()).unwrap_or(0),
                kind: Some(proto.to_owned()),
                span: section.whole,
            });
        }
    }
    for (key, family) in [("gateway", Family::V4), ("ip6gw", Family::V6)] {
        if let (Some(via), Some(to)) = (section.value(key).and_then(|g| g.parse().ok()), default_route(family)) {
            let metric = section.value("metric").and_then(|m| m.parse().ok()).unwrap_or(0);
            routes.push(Route { to, interface: Some(found.name.clone()), via: Some(via), metric, kind: None, span: section.at(key) });
        }
    }
    if proto == "wireguard" {
        tunnel(reader, section, name, &mut found);
    }
    // Two networks on one device (`wan` and `wan6`) are one interface.
    let same =
        interfaces.iter_mut().find(|i| found.aliases.iter().any(|a| i.aliases.contains(a)) || device == Some(&format!("@{}", i.name)));
    match same {
        Some(first) => {
            first.aliases.push(found.name.clone());
            first.addresses.extend(found.addresses);
            for family in found.dynamic {
                if !first.dynamic.contains(&family) {
                    first.dynamic.push(family);
                }
            }
            for route in routes.iter_mut().filter(|r| r.interface.as_deref() == Some(&found.name)) {
                route.interface = Some(first.name.clone());
            }
        }
        None => interfaces.push(found),
    }
}

fn route(reader: &mut Reader<'_>, section: &Section) -> Option<Route> {
    let target = section.list("target").into_iter().next()?;
    let Some(to) = with_mask(&target, section.value("netmask")) else {
        reader.note(target.span, Unsupported, format!("{} is no destination", target.text));
        return None;
    };
    if section.value("table").is_some_and(|t| t != "main" && t != "254") {
        reader.note(section.at("table"), NotModelled, "routes of other tables are not followed");
        return None;
    }
    Some(Route {
        to,
        interface: section.value("interface").map(str::to_owned),
        via: section.value("gateway").and_then(|g| g.parse().ok()),
        metric: section.value("metric").and_then(|m| m.parse().ok()).unwrap_or(0),
        kind: section.value("type").filter(|t| *t != "unicast").map(str::to_owned),
        span: section.whole,
    })
}

fn tunnel(reader: &mut Reader<'_>, section: &Section, name: &str, interface: &mut Interface) {
    let mut tunnel = Tunnel::new(TunnelKind::WireGuard, TunnelRole::Peer, name, section.whole);
    for word in section.list("addresses") {
        match with_mask(&word, None) {
            Some(net) => {
                tunnel.addresses.push((net, word.span));
                interface.addresses.push(net);
            }
            None => reader.note(word.span, Unsupported, format!("{} is no address", word.text)),
        }
    }
    if let Some(port) = section.value("listen_port").and_then(|p| p.parse().ok()) {
        tunnel.listen = Some((17, port, section.at("listen_port")));
    }
    if let Some(key) = section.get("private_key").and_then(|o| o.values.first()) {
        tunnel.private_key = Some(Secret(key.span));
        tunnel.public_key = wireguard::public_key(&key.text).map(|k| (k, key.span));
    }
    reader.device.tunnels.push(tunnel);
}

fn peer(reader: &mut Reader<'_>, section: &Section, interface: &str, routes: &mut Vec<Route>) -> Option<Peer> {
    if section.flag("disabled") == Some(true) {
        return None;
    }
    let mut peer = Peer::new(section.whole);
    peer.name = section.value("description").map(str::to_owned);
    let first = |key: &str| section.get(key).and_then(|o| o.values.first());
    peer.public_key = first("public_key").map(|w| (w.text.clone(), w.span));
    peer.preshared_key = first("preshared_key").filter(|w| !w.text.is_empty()).map(|w| Secret(w.span));
    if let Some(host) = first("endpoint_host") {
        // The port is 51820 where none is written (`wireguard.sh` of OpenWrt).
        let port = section.value("endpoint_port").and_then(|p| p.parse().ok()).unwrap_or(51820);
        peer.endpoint = Some(Endpoint { host: host.text.clone(), port, protocol: 17, span: host.span });
    }
    peer.keepalive = section.value("persistent_keepalive").and_then(|k| k.parse().ok());
    for word in section.list("allowed_ips") {
        let Some(net) = with_mask(&word, None) else {
            reader.note(word.span, Unsupported, format!("{} is no address", word.text));
            continue;
        };
        peer.allowed.push((net, word.span));
        if section.flag("route_allowed_ips") == Some(true) {
            routes.push(Route { to: net, interface: Some(interface.to_owned()), via: None, metric: 0, kind: None, span: word.span });
        }
    }
    Some(peer)
}
