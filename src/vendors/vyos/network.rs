//! Interfaces with their VLANs, and static routes.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::tree::At;
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unsupported};
use crate::model::{Interface, Route};
use crate::net::{Family, Ranges, prefix_bounds, to_number};
use crate::vendors::Reader;

/// An interface of the configuration, by the name that the kernel gives it.
pub(super) struct Port<'t> {
    pub name: String,
    /// `ethernet`, `vif`, `pppoe`, `wireguard` …
    pub kind: &'t str,
    pub at: At<'t>,
}

/// All interfaces, with VLANs (`eth0.10`, `eth0.100.20`) and PPPoE sessions (`pppoe0`) that are configured inside others.
pub(super) fn ports<'t>(root: At<'t>) -> Vec<Port<'t>> {
    let mut out = Vec::new();
    let mut todo: Vec<Port<'t>> = Vec::new();
    for kind in root.get("interfaces").into_iter().flat_map(At::children) {
        kind.touch();
        for at in kind.children() {
            at.touch();
            todo.push(Port { name: at.word().to_owned(), kind: kind.word(), at });
        }
    }
    todo.reverse();
    while let Some(port) = todo.pop() {
        let mut inner = Vec::new();
        for (word, between) in [("vif", "."), ("vif-s", "."), ("vif-c", ".")] {
            for at in port.at.all(word) {
                inner.push(Port { name: format!("{}{between}{}", port.name, at.word()), kind: "vif", at });
            }
        }
        for at in port.at.all("pppoe") {
            inner.push(Port { name: format!("pppoe{}", at.word()), kind: "pppoe", at });
        }
        inner.reverse();
        todo.extend(inner);
        out.push(port);
    }
    out
}

/// Statements of interfaces that concern no check.
const QUIET: &[&str] = &[
    "accept-mode",
    "adapter",
    "aging",
    "allow-from",
    "arp",
    "bandwidth",
    "bond-group",
    "boot",
    "bridge-group",
    "bridge",
    "capabilities",
    "channel",
    "cisco-hdlc",
    "client-limit",
    "connect-on-demand",
    "country-code",
    "crypt",
    "destination-port",
    "dhcp-options",
    "dhcpv6-options",
    "dhcpv6-pd",
    "disable-flow-control",
    "disable-host-tracking",
    "disable-link-detect",
    "disable-broadcast-ssid",
    "duplex",
    "dscp-byte",
    "eapol",
    "enable-vlan",
    "encapsulation",
    "evpn",
    "expunge-failing-stations",
    "external",
    "flow-hash",
    "forwarding-delay",
    "gpe",
    "group",
    "hash-policy",
    "hello-time",
    "holdoff",
    "host-uniq",
    "hw-id",
    "idle-timeout",
    "igmp",
    "igmp-snooping",
    "interface",
    "isolate-stations",
    "isolated",
    "key",
    "kbps",
    "lacp-rate",
    "link",
    "local-address",
    "local-ip",
    "local-ipv6",
    "local-port",
    "mac",
    "max-age",
    "max-stations",
    "member",
    "mgmt-frame-protection",
    "mii-mon-interval",
    "min-links",
    "mirror",
    "mode",
    "mode-force",
    "mtu",
    "multicast",
    "name-server",
    "neighbor",
    "no-peer-dns",
    "offload",
    "offload-options",
    "parameters",
    "peer-session-id",
    "peer-tunnel-id",
    "per-client-thread",
    "physical-device",
    "physical-mode",
    "poe",
    "port",
    "primary",
    "priority",
    "protocol-version",
    "qos",
    "redirect",
    "reduce-transmit-power",
    "remote",
    "remote-address",
    "remote-interface",
    "remote-ip",
    "remote-ipv6",
    "replay-window",
    "ring-buffer",
    "rx-flow-label",
    "security",
    "service-name",
    "session-id",
    "shared-storage",
    "6rd-prefix",
    "6rd-relay-prefix",
    "6rd-default-gw",
    "6rd-mtu",
    "skb-priority",
    "smp_affinity",
    "smp-affinity",
    "source-address",
    "source-interface",
    "source-port",
    "source-validation",
    "speed",
    "ssid",
    "ssl",
    "stp",
    "subordinate",
    "switch-port",
    "traffic-policy",
    "tunnel-id",
    "type",
    "user-id",
    "vif-mtu",
    "vni",
    "vlan-to-vni",
    "vlan-aware",
    "vrf",
    "wds",
    "stationary-ap",
    "xdp",
    "xdp-options",
    "default-interface",
    "dhcp-interface",
    "ethertype",
    "max-clients",
    "mac-filter",
    "lease",
    "profile",
    "apn",
    "authentication",
    "server",
    "password",
    "system-priority",
    "protocol",
    "bonding",
    "enable-proxy-arp",
    "proxy-arp-pvlan",
    "dhcp-options6",
    "openvpn-option",
    "description",
    "access-concentrator",
    "mru",
    "dhcpv6-pd-options",
    "passphrase",
    "no-default-route",
    "default-route",
    "backup",
    "weight",
    "link-detect",
    "syslog",
    "threshold",
    "link-filter",
    "vhtmode",
    "antenna",
    "ieee",
    "snmp",
    "xconnect",
    "no-ipv6-nd",
];

/// Lowers interfaces, and the routes that they bring about.
pub(super) fn interfaces(reader: &mut Reader<'_>, root: At<'_>, ports: &[Port<'_>]) {
    if root.get("interfaces").is_none() {
        return;
    }
    let mut out: Vec<Interface> = Vec::new();
    let mut aliases = BTreeSet::new();
    let mut routes = Vec::new();
    let names: BTreeSet<&str> = ports.iter().map(|p| p.name.as_str()).collect();
    for port in ports {
        let at = port.at;
        let mut interface = Interface::new(port.name.clone(), at.line());
        for address in at.all("address") {
            match address.word() {
                "dhcp" => {
                    interface.dynamic.push(Family::V4);
                    // The client takes the router of its lease for its default route, unless it is told not to.
                    let options = at.get("dhcp-options");
                    let none = options.is_some_and(|o| o.has("no-default-route") || o.is("default-route", "no-update"));
                    if !none && !at.has("disable") {
                        routes.push(default_route(Family::V4, &port.name, "dhcp", address));
                    }
                }
                "dhcpv6" => interface.dynamic.push(Family::V6),
                text => match text.parse::<IpNetwork>() {
                    Ok(net) => interface.addresses.push(net),
                    Err(_) => address.note(Unsupported, format!("{text} is no address with the length of its prefix")),
                },
            }
        }
        if let Some(six) = at.get("ipv6") {
            let autoconf = six.path(&["address", "autoconf"]).is_some();
            if autoconf {
                interface.dynamic.push(Family::V6);
                if !at.has("disable") {
                    routes.push(default_route(Family::V6, &port.name, "ra", six));
                }
            }
            for part in six.children() {
                part.mark_all(Irrelevant);
            }
        }
        for word in ["ip", "policy"] {
            if let Some(part) = at.get(word) {
                for part in part.children().filter(|_| word == "ip") {
                    part.mark_all(Irrelevant);
                }
            }
        }
        if matches!(port.kind, "pppoe" | "wwan" | "wirelessmodem" | "sstpc" | "pptp-client") {
            interface.dynamic.push(Family::V4);
            let none = at.has("no-default-route") || at.is("default-route", "none");
            if !none && !at.has("disable") {
                routes.push(default_route(Family::V4, &port.name, "ppp", at));
            }
        }
        interface.dynamic.sort();
        interface.dynamic.dedup();
        interface.up = Some(!at.has("disable"));
        let alias = at.text("description").filter(|d| !d.is_empty() && !names.contains(d));
        if let Some(alias) = alias.filter(|a| aliases.insert(a.to_owned())) {
            interface.aliases.push(alias.to_owned());
        }
        for word in ["dhcp-options", "dhcpv6-options", "dhcpv6-pd", "no-default-route", "default-route", "disable", "description"] {
            at.get(word).into_iter().for_each(|d| d.mark_all(if word == "description" { Understood } else { Irrelevant }));
        }
        let tunnel = matches!(port.kind, "wireguard" | "openvpn");
        for part in at.children().filter(|p| !tunnel && QUIET.contains(&p.word())) {
            part.mark_all(Irrelevant);
        }
        out.push(interface);
    }
    reader.device.interfaces = Some(out);
    reader.device.routes.get_or_insert_default().extend(routes);
}

fn everything(family: Family) -> IpNetwork {
    let text = if family == Family::V4 { "0.0.0.0/0" } else { "::/0" };
    text.parse().unwrap_or(IpNetwork::V4(ipnetwork::Ipv4Network::from(std::net::Ipv4Addr::UNSPECIFIED)))
}

fn default_route(family: Family, interface: &str, kind: &str, at: At<'_>) -> Route {
    Route {
        to: everything(family),
        interface: Some(interface.to_owned()),
        via: None,
        metric: 0,
        kind: Some(kind.to_owned()),
        span: at.line(),
    }
}

/// Networks of interfaces by their length and first address.
struct Networks(HashMap<(Family, u8, u128), String>);

impl Networks {
    fn new(reader: &Reader<'_>) -> Networks {
        let mut out = HashMap::new();
        for interface in reader.device.interfaces.iter().flatten() {
            for net in &interface.addresses {
                let (family, lo, _) = prefix_bounds(*net);
                out.entry((family, net.prefix(), lo)).or_insert_with(|| interface.name.clone());
            }
        }
        Networks(out)
    }

    /// The interface on whose network an address is.
    fn towards(&self, via: IpAddr) -> Option<String> {
        let bits = Family::of(via).bits();
        let keys = (0..=bits).rev().filter_map(|length| Some((length, IpNetwork::new(via, length).ok()?)));
        keys.map(|(length, net)| (length, prefix_bounds(net))).find_map(|(length, (f, lo, _))| self.0.get(&(f, length, lo)).cloned())
    }
}

/// Lowers `protocols static` and `system gateway-address`.
pub(super) fn routes(reader: &mut Reader<'_>, root: At<'_>) {
    let mut out = Vec::new();
    let networks = Networks::new(reader);
    if let Some(value) = root.get("system").and_then(|s| s.value("gateway-address")) {
        match value.word().parse::<IpAddr>() {
            Ok(via) => {
                let interface = networks.towards(via);
                out.push(Route { to: everything(Family::of(via)), interface, via: Some(via), metric: 0, kind: None, span: value.line() });
            }
            Err(_) => value.note(Unsupported, "no address"),
        }
    }
    let Some(fixed) = root.path(&["protocols", "static"]) else {
        return finish(reader, out);
    };
    for word in ["route", "route6", "interface-route", "interface-route6"] {
        for at in fixed.all(word) {
            let Ok(to) = at.word().parse::<IpNetwork>() else {
                at.note(Unsupported, format!("{} is no network", at.word()));
                continue;
            };
            at.get("description").into_iter().for_each(|d| d.mark_all(Irrelevant));
            let mut add = |interface: Option<String>, via: Option<IpAddr>, hop: At<'_>, kind: Option<&str>| {
                let metric = hop.text("distance").or(hop.text("metric")).and_then(|d| d.parse().ok()).unwrap_or(0);
                for quiet in ["bfd", "vrf", "segments", "description", "tag"] {
                    hop.get(quiet).into_iter().for_each(|q| q.mark_all(if quiet == "vrf" { NotModelled } else { Irrelevant }));
                }
                if !hop.has("disable") {
                    out.push(Route { to, interface, via, metric, kind: kind.map(str::to_owned), span: hop.line() });
                }
            };
            for hop in at.all("next-hop") {
                match hop.word().parse::<IpAddr>() {
                    Ok(via) => {
                        let named = hop.text("next-hop-interface").or(hop.text("interface")).map(str::to_owned);
                        add(named.or_else(|| networks.towards(via)), Some(via), hop, None);
                    }
                    Err(_) => hop.note(Unsupported, format!("{} is no address", hop.word())),
                }
            }
            for word in ["next-hop-interface", "interface"] {
                for hop in at.all(word) {
                    add(Some(hop.word().to_owned()), None, hop, None);
                }
            }
            for hop in at.all("dhcp-interface") {
                add(Some(hop.word().to_owned()), None, hop, Some("dhcp"));
            }
            for kind in ["blackhole", "reject"] {
                if let Some(hop) = at.get(kind) {
                    add(None, None, hop, Some(if kind == "reject" { "unreachable" } else { kind }));
                }
            }
        }
    }
    for table in fixed.all("table") {
        table.mark_all(Irrelevant);
    }
    for word in ["arp", "neighbor-proxy", "multicast", "mroute"] {
        fixed.get(word).into_iter().for_each(|a| a.mark_all(Irrelevant));
    }
    finish(reader, out);
}

fn finish(reader: &mut Reader<'_>, mut out: Vec<Route>) {
    if !out.is_empty() || reader.device.interfaces.is_some() {
        reader.device.routes.get_or_insert_default().append(&mut out);
    }
}

/// What each interface has, by its name and family: addresses, networks, and whether more may come at run time.
pub(super) fn own(reader: &Reader<'_>) -> HashMap<String, (Family, Ranges, Ranges, bool)> {
    let mut out = HashMap::new();
    for interface in reader.device.interfaces.iter().flatten() {
        for family in Family::BOTH {
            let (mut addresses, mut networks) = (Ranges::EMPTY, Ranges::EMPTY);
            for net in interface.addresses.iter().filter(|n| Family::of(n.ip()) == family) {
                let (_, lo, hi) = prefix_bounds(*net);
                addresses = addresses.or(&Ranges::single(to_number(net.ip()).1));
                networks = networks.or(&Ranges::interval(lo, hi));
            }
            let dynamic = interface.dynamic.contains(&family);
            out.insert(format!("{} {}", interface.name, family.name()), (family, addresses, networks, dynamic));
        }
    }
    out
}
