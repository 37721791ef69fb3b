//! Gateways and static routes: what is outside follows from them.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::interfaces::index_of;
use super::lower::Lowering;
use super::tree::{Text, Tree};
use crate::model::Route;
use crate::net::Family;
use crate::source::Span;
use crate::syntax::xml::Element;

/// A gateway.
struct Gateway {
    interface: String,
    address: Option<IpAddr>,
    family: Option<Family>,
    /// It is marked as the default.
    default: bool,
    span: Span,
}

const ALL4: &str = "0.0.0.0/0";
const ALL6: &str = "::/0";

impl<'d> Lowering<'_, '_, 'd> {
    pub fn routes(&mut self) {
        let gateways = self.gateways();
        let mut routes = Vec::new();
        for family in Family::BOTH {
            self.default_routes(family, &gateways, &mut routes);
        }
        self.static_routes(&gateways, &mut routes);
        routes.extend(self.wireguard_routes());
        self.reader.device.routes = Some(routes);
    }

    fn gateways(&mut self) -> HashMap<String, Gateway> {
        let root = self.root;
        let sections = [root.child("gateways"), root.at(&["OPNsense", "Gateways"])];
        let mut found = HashMap::new();
        for item in sections.into_iter().flatten().flat_map(|s| s.list("gateway_item")) {
            let Some(name) = item.value("name") else { continue };
            self.gateway_names.insert(name.text.to_string());
            self.reader.device.names.define("gateway", &*name.text, name.span);
            // A gateway may watch and route without being named anywhere.
            self.reader.device.names.used("gateway", &*name.text, name.span);
            if self.switched_off(item) {
                continue;
            }
            let address = item.value("gateway").and_then(|g| g.text.parse().ok());
            let family = match item.value("ipprotocol") {
                Some(p) if p.is(&["inet6"]) => Some(Family::V6),
                Some(_) => Some(Family::V4),
                None => address.map(Family::of),
            };
            let gateway = Gateway {
                interface: item.value("interface").map(|i| i.text.into_owned()).unwrap_or_default(),
                address,
                family,
                default: item.has("defaultgw") && !item.value("defaultgw").is_some_and(|v| v.is(&["0"])),
                span: item.tag_span(),
            };
            found.insert(name.text.into_owned(), gateway);
        }
        for group in sections.into_iter().flatten().flat_map(|s| s.list("gateway_group")) {
            if let Some(name) = group.value("name") {
                self.gateway_names.insert(name.text.to_string());
                self.reader.device.names.define("gateway", &*name.text, name.span);
                self.reader.device.names.used("gateway", &*name.text, name.span);
            }
        }
        found
    }

    /// The default routes of a family: the gateways that are marked or chosen as default first, then every interface that has a gateway of its own,
    /// since any of them may be chosen when another is down.
    fn default_routes(&mut self, family: Family, gateways: &HashMap<String, Gateway>, routes: &mut Vec<Route>) {
        let to: Option<IpNetwork> = if family == Family::V4 { ALL4.parse().ok() } else { ALL6.parse().ok() };
        let Some(to) = to else { return };
        let mut done: Vec<String> = Vec::new();
        let add = |routes: &mut Vec<Route>, done: &mut Vec<String>, interface: &str, via, kind: Option<&str>, metric, span| {
            if !interface.is_empty() && !done.iter().any(|d| d == interface) {
                done.push(interface.to_owned());
                routes.push(Route { to, interface: Some(interface.to_owned()), via, metric, kind: kind.map(str::to_owned), span });
            }
        };
        let chosen = self.chosen(family);
        let mut sorted: Vec<(&String, &Gateway)> = gateways.iter().filter(|(_, g)| g.family == Some(family)).collect();
        sorted.sort_by_key(|(_, g)| g.span);
        for (name, gateway) in &sorted {
            if gateway.default || chosen.contains(name) {
                add(routes, &mut done, &gateway.interface, gateway.address, None, 0, gateway.span);
            }
        }
        let of = index_of(family);
        for iface in self.ifaces.list.iter().filter(|i| i.gateway[of] && !i.is_virtual) {
            let field = if family == Family::V4 { "gateway" } else { "gatewayv6" };
            let named = iface.element.value(field);
            let gateway = named.as_ref().and_then(|n| gateways.get(&*n.text));
            // An address itself may be written in the place of a gateway's name.
            let via = gateway.and_then(|g| g.address).or_else(|| named.as_ref().and_then(|n| n.text.parse().ok()));
            let own = iface.element.value(if family == Family::V4 { "ipaddr" } else { "ipaddrv6" });
            let kind = own.as_ref().filter(|_| named.is_none()).map(|o| &*o.text);
            let span = own.as_ref().or(named.as_ref()).map_or(iface.span, |v| v.span);
            add(routes, &mut done, &iface.key, via, kind, 1, span);
        }
    }

    /// The names of the gateways that are chosen as default, the members of a chosen group among them.
    fn chosen(&self, family: Family) -> Vec<String> {
        let field = if family == Family::V4 { "defaultgw4" } else { "defaultgw6" };
        let Some(section) = self.root.child("gateways") else { return Vec::new() };
        let Some(name) = section.value(field) else { return Vec::new() };
        let groups = section.list("gateway_group");
        match groups.iter().find(|g| g.value("name").is_some_and(|n| n.text == name.text)) {
            Some(group) => group_members(*group),
            None => vec![name.text.into_owned()],
        }
    }

    fn static_routes(&mut self, gateways: &HashMap<String, Gateway>, routes: &mut Vec<Route>) {
        for route in self.root.child("staticroutes").into_iter().flat_map(|s| s.list("route")) {
            let (Some(to), Some(name)) = (route.value("network"), route.value("gateway")) else { continue };
            if self.switched_off(route) {
                continue;
            }
            let gateway = gateways.get(&*name.text);
            // Gateways of interfaces with DHCP and the like are named for the interface and defined by nobody.
            let interface = gateway.map(|g| g.interface.clone()).filter(|i| !i.is_empty()).or_else(|| self.dynamic_gateway(&name));
            let via = gateway.and_then(|g| g.address);
            let networks = match super::interfaces::network(&to.text, None) {
                Some(network) => vec![network],
                None => self.alias_networks(&to),
            };
            for to in networks {
                routes.push(Route { to, interface: interface.clone(), via, metric: 0, kind: None, span: route.tag_span() });
            }
        }
    }

    /// `WAN_DHCP`, `OPT1_PPPOE`: the interface whose description or name is the first part.
    fn dynamic_gateway(&self, name: &Text<'_>) -> Option<String> {
        let (first, _) = name.text.rsplit_once('_')?;
        let is = |i: &&super::interfaces::Iface<'_>| i.descr.eq_ignore_ascii_case(first) || i.key.eq_ignore_ascii_case(first);
        self.ifaces.list.iter().find(is).map(|i| i.key.clone())
    }
}

/// The gateways of a group: items `NAME|tier|…`, and in OPNsense also lists of them.
fn group_members(group: Element<'_>) -> Vec<String> {
    let items = group.list("item").into_iter();
    items.flat_map(|i| i.text().split(',').map(|m| m.split('|').next().unwrap_or("").trim().to_owned()).collect::<Vec<_>>()).collect()
}
