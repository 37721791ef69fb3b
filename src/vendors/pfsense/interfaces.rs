//! Interfaces, their addresses, and what else stands where an interface may: groups, and the names of VPNs.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::Dialect;
use super::lower::Lowering;
use super::tree::{Tree, parts};
use crate::model::{Direction, Interface, Match, NamePattern};
use crate::net::{Family, Ranges};
use crate::source::Span;
use crate::syntax::xml::Element;

/// Ways in which an interface gets an IPv4 address and a gateway from elsewhere.
const DYNAMIC4: &[&str] = &["dhcp", "pppoe", "pptp", "l2tp", "ppp", "wwan"];
/// The same for IPv6; `track6` and `idassoc6` take a prefix of another interface and have no gateway.
const DYNAMIC6: &[&str] = &["dhcp6", "slaac", "6rd", "6to4", "pppoev6"];
const TRACKING6: &[&str] = &["track6", "idassoc6"];
/// Devices of tunnels, whose addresses are configured with the tunnel and not with the interface.
const TUNNELS: &[&str] = &["wg", "tun_wg", "ipsec", "gif", "gre", "tailscale", "zt"];
/// Names of VPNs and of other things that are no assigned interface and yet stand where one may, with the beginning of the names of their
/// devices, by which assigned interfaces belong to them (`filter.inc`; FreeBSD's if_enc(4)).
const PSEUDO: &[(&str, &str)] = &[
    ("openvpn", "ovpn"),
    ("enc0", "\0"),
    ("ipsec", "\0"),
    ("l2tp", "\0"),
    ("pptp", "\0"),
    ("pppoe", "\0"),
    ("wireguard", "wg"),
    ("WireGuard", "tun_wg"),
    ("tailscale", "tailscale"),
    ("Tailscale", "tailscale"),
    ("lo0", "\0"),
    ("loopback", "\0"),
];

/// An assigned interface.
#[derive(Clone)]
pub(super) struct Iface<'d> {
    /// The name in rules: `wan`, `opt3`.
    pub key: String,
    /// The device: `igb0`.
    pub device: String,
    /// What people call it.
    pub descr: String,
    /// Its first address of each family.
    pub primary: [Option<IpNetwork>; 2],
    /// All addresses that are known, virtual ones too.
    pub addresses: Vec<IpNetwork>,
    /// Families in which it has addresses that the file does not show.
    pub dynamic: [bool; 2],
    /// Families in which it has a gateway.
    pub gateway: [bool; 2],
    /// It is no device of its own but a group or a VPN.
    pub is_virtual: bool,
    pub element: Element<'d>,
    pub span: Span,
}

/// All that a name can stand for.
pub(super) struct Interfaces<'d> {
    pub list: Vec<Iface<'d>>,
    index: HashMap<String, usize>,
    groups: HashMap<String, (Vec<NamePattern>, u64)>,
    /// Addresses and networks of all, by family: asked by many rules.
    own: [Ranges; 2],
    elsewhere: [Ranges; 2],
    dynamic: [usize; 2],
    /// Addresses of WireGuard devices that are not assigned.
    beside: Vec<IpNetwork>,
}

/// On which interfaces a rule is.
#[derive(Clone, Debug)]
pub(super) enum On {
    Any,
    /// These, or (true) all others.
    These(Vec<NamePattern>, bool),
    /// Which they are is not known.
    Unknown(Match),
}

impl On {
    pub fn one(name: impl Into<String>) -> On {
        On::These(vec![NamePattern::exact(name)], false)
    }

    pub fn matcher(&self, direction: Direction) -> Match {
        match self {
            On::Any => Match::Any,
            On::These(list, not) => Match::any_of(list.iter().map(|p| Match::Interface(direction, p.clone())).collect()).negate_if(*not),
            On::Unknown(m) => m.clone(),
        }
    }
}

pub(super) fn index_of(family: Family) -> usize {
    usize::from(family == Family::V6)
}

impl<'d> Interfaces<'d> {
    pub fn none() -> Interfaces<'d> {
        let nothing = || [Ranges::EMPTY, Ranges::EMPTY];
        Interfaces {
            list: Vec::new(),
            index: HashMap::new(),
            groups: HashMap::new(),
            own: nothing(),
            elsewhere: nothing(),
            dynamic: [0, 0],
            beside: Vec::new(),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Iface<'d>> {
        self.list.get(*self.index.get(key)?)
    }

    /// An interface by its name in rules or by its device.
    pub fn called(&self, name: &str) -> Option<&Iface<'d>> {
        self.get(name).or_else(|| self.list.iter().find(|i| i.device == name))
    }

    pub fn is_group(&self, name: &str) -> bool {
        self.groups.contains_key(name) || self.get(name).is_some_and(|i| i.is_virtual)
    }

    /// The interfaces of a name. `None`: there is no such thing.
    pub fn resolve(&self, name: &str) -> Option<Vec<NamePattern>> {
        if let Some((members, _)) = self.groups.get(name) {
            return Some(members.clone());
        }
        self.get(name).map(|i| vec![NamePattern::exact(i.key.as_str())])
    }

    /// Where a group stands among groups in OPNsense.
    pub fn sequence(&self, name: &str) -> u64 {
        self.groups.get(name).map_or(0, |(_, sequence)| *sequence)
    }

    /// All addresses of one family that are known.
    pub fn own(&self, family: Family) -> Ranges {
        self.own[index_of(family)].clone()
    }

    /// Networks of one family behind interfaces all of whose addresses are known.
    pub fn elsewhere(&self, family: Family) -> Ranges {
        self.elsewhere[index_of(family)].clone()
    }

    /// How many interfaces have addresses of this family that are not known.
    pub fn dynamic_count(&self, family: Family) -> usize {
        self.dynamic[index_of(family)]
    }

    /// What many rules ask, once.
    fn sum_up(&mut self) {
        for (name, prefix) in PSEUDO {
            let own = if *name == "loopback" { "lo0" } else { name };
            let mut list = vec![NamePattern::exact(own)];
            let assigned = self.list.iter().filter(|i| i.device.starts_with(prefix) && i.key != own && !i.is_virtual);
            list.extend(assigned.map(|i| NamePattern::exact(i.key.as_str())));
            self.groups.entry((*name).to_owned()).or_insert((list, 0));
        }
        for family in Family::BOTH {
            let of = index_of(family);
            let here = |i: &&Iface<'_>| !i.is_virtual;
            let all = |i: &Iface<'_>| i.addresses.iter().filter(|a| Family::of(a.ip()) == family).copied().collect::<Vec<_>>();
            let ends = |n: IpNetwork| {
                let (_, lo, hi) = crate::net::prefix_bounds(n);
                (lo, hi)
            };
            let own = self.list.iter().filter(here).flat_map(all).map(|n| crate::net::to_number(n.ip()).1);
            let beside = self.beside.iter().map(|n| crate::net::to_number(n.ip())).filter(|(f, _)| *f == family);
            self.own[of] = Ranges::from_values(own.chain(beside.map(|(_, n)| n)));
            let fixed = self.list.iter().filter(here).filter(|i| !i.dynamic[of]).flat_map(all);
            let elsewhere = fixed.filter(|n| n.prefix() < family.bits()).map(ends).collect();
            self.elsewhere[of] = Ranges::from_intervals(elsewhere);
            self.dynamic[of] = self.list.iter().filter(|i| i.dynamic[of]).count();
        }
    }
}

/// An address with its length of prefix, which may be missing.
pub(super) fn network(address: &str, bits: Option<&str>) -> Option<IpNetwork> {
    let (address, own) = match address.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (address, None),
    };
    let ip: IpAddr = address.trim().parse().ok()?;
    let whole = Family::of(ip).bits();
    let bits = match own.or(bits) {
        Some(bits) => bits.trim().parse().ok()?,
        None => whole,
    };
    IpNetwork::new(ip, bits).ok()
}

impl<'d> Lowering<'_, '_, 'd> {
    pub fn interfaces(&mut self) {
        let section = self.root.child("interfaces");
        let mut known = HashSet::new();
        for element in section.into_iter().flat_map(|s| s.children()) {
            let key = element.name();
            if !known.insert(key) {
                continue;
            }
            let iface = self.iface(element);
            self.ifaces.index.insert(key.to_owned(), self.ifaces.list.len());
            self.ifaces.list.push(iface);
        }
        self.virtual_addresses();
        self.wireguard_addresses();
        self.groups();
        self.publish();
    }

    fn iface(&self, element: Element<'d>) -> Iface<'d> {
        let word = |name: &str| element.value(name).map(|v| v.text.into_owned()).unwrap_or_default();
        let (v4, v6) = (word("ipaddr"), word("ipaddrv6"));
        let device = word("if");
        let primary = [
            network(&v4, element.value("subnet").as_ref().map(|v| &*v.text)),
            network(&v6, element.value("subnetv6").as_ref().map(|v| &*v.text)),
        ];
        let named = |name: &str| element.value(name).is_some_and(|v| !v.is(&["none"]));
        // The far end of a VPN client may give addresses, and those of tunnels stand elsewhere: which they are is not known from here.
        let by_vpn = device.starts_with("ovpn") && v4.is_empty();
        let by_tunnel = v4.is_empty() && v6.is_empty() && TUNNELS.iter().any(|t| device.starts_with(t));
        let is_virtual = element.yes("virtual") || word("type") == "group";
        Iface {
            key: element.name().to_owned(),
            descr: word("descr"),
            addresses: primary.iter().flatten().copied().collect(),
            primary,
            dynamic: [
                DYNAMIC4.contains(&v4.as_str()) || ((by_vpn || by_tunnel) && !is_virtual),
                DYNAMIC6.contains(&v6.as_str())
                    || TRACKING6.contains(&v6.as_str())
                    || (by_tunnel && !is_virtual)
                    || (device.starts_with("ovpn") && primary[1].is_none() && !is_virtual && self.vpn_may_have_v6(&device)),
            ],
            gateway: [named("gateway") || DYNAMIC4.contains(&v4.as_str()), named("gatewayv6") || DYNAMIC6.contains(&v6.as_str())],
            is_virtual,
            device,
            element,
            span: element.tag_span(),
        }
    }

    /// Whether the device of an OpenVPN instance can have IPv6 addresses: a server has them where it gives some out, to a client the far end
    /// may give one whatever the file says. Options that people wrote may say anything.
    fn vpn_may_have_v6(&self, device: &str) -> bool {
        let Some(id) = device.strip_prefix("ovpns") else { return true };
        let own = |e: &Element<'d>| e.value("vpnid").is_some_and(|v| v.text == id);
        let legacy = self.root.child("openvpn").into_iter().flat_map(|s| s.list("openvpn-server"));
        let instances = self.root.at(&["OPNsense", "OpenVPN", "Instances"]).into_iter().flat_map(|s| s.list("Instance"));
        let mut found = legacy.chain(instances).filter(own).peekable();
        found.peek().is_none()
            || found.any(|e| {
                ["tunnel_networkv6", "server_ipv6", "custom_options"].iter().any(|n| e.value(n).is_some_and(|v| !v.text.is_empty()))
            })
    }

    /// Addresses that an interface has besides (`ipalias`) or shares with a partner (`carp`). `proxyarp` and `other` are not its own.
    fn virtual_addresses(&mut self) {
        for vip in self.root.child("virtualip").into_iter().flat_map(|s| s.list("vip")) {
            let own = vip.value("mode").is_some_and(|m| m.is(&["carp", "ipalias"]));
            let Some(address) = vip.value("subnet").and_then(|a| network(&a.text, vip.value("subnet_bits").as_ref().map(|v| &*v.text)))
            else {
                continue;
            };
            let index = vip.value("interface").and_then(|i| self.ifaces.index.get(&*i.text)).copied();
            if let Some(iface) = index.and_then(|i| self.ifaces.list.get_mut(i)).filter(|_| own) {
                iface.addresses.push(address);
            }
        }
    }

    /// The addresses of WireGuard devices: an interface to which one is assigned has them, unless it has others of its own.
    fn wireguard_addresses(&mut self) {
        for (device, addresses) in self.wireguard_devices() {
            let assigned = self.ifaces.list.iter_mut().find(|i| i.device == device && !i.is_virtual);
            let Some(iface) = assigned else {
                self.ifaces.beside.extend(addresses);
                continue;
            };
            if iface.addresses.is_empty() && !addresses.is_empty() {
                let first = |family| addresses.iter().find(|a| Family::of(a.ip()) == family).copied();
                iface.primary = [first(Family::V4), first(Family::V6)];
                iface.addresses = addresses;
                iface.dynamic = [false, false];
            }
        }
    }

    fn groups(&mut self) {
        for entry in self.root.child("ifgroups").into_iter().flat_map(|s| s.list("ifgroupentry")) {
            let Some(name) = entry.value("ifname") else { continue };
            let mut members = Vec::new();
            if let Some(list) = entry.value("members") {
                for member in parts(&list.text).flat_map(|m| m.split('|')) {
                    self.reader.device.names.used("interface", member, list.span);
                    if self.ifaces.get(member).is_some() {
                        members.push(NamePattern::exact(member));
                    }
                }
            }
            let sequence = entry.value("sequence").filter(|_| self.dialect == Dialect::Opnsense);
            let sequence = sequence.and_then(|s| s.text.parse::<u64>().ok()).unwrap_or(0).min(99_999);
            self.ifaces.groups.insert(name.text.into_owned(), (members, sequence));
        }
        self.ifaces.sum_up();
    }

    /// The interfaces of the model.
    fn publish(&mut self) {
        let mut taken: HashSet<String> = self.ifaces.list.iter().map(|i| i.key.clone()).collect();
        let mut out = Vec::new();
        for iface in &self.ifaces.list {
            self.reader.device.names.define("interface", &*iface.key, iface.span);
            self.reader.device.names.used("interface", &*iface.key, iface.span);
            if iface.is_virtual {
                continue;
            }
            let mut interface = Interface::new(&*iface.key, iface.span);
            interface.addresses.clone_from(&iface.addresses);
            interface.dynamic = Family::BOTH.into_iter().filter(|f| iface.dynamic[index_of(*f)]).collect();
            // pfSense asks whether the element is there, OPNsense whether there is something in it.
            let enabled = iface.element.has("enable")
                && (self.dialect == Dialect::Pfsense || !iface.element.value("enable").is_some_and(|v| v.is(&["0"])));
            interface.up = Some(enabled || matches!(&*iface.key, "wan" | "lan"));
            for alias in [&iface.device, &iface.descr] {
                if !alias.is_empty() && taken.insert(alias.clone()) {
                    interface.aliases.push(alias.clone());
                }
            }
            out.push(interface);
        }
        self.reader.device.interfaces = Some(out);
    }

    /// The interfaces that a rule names. What names nothing depends on how the firewall takes it.
    pub fn on(&mut self, names: &[&str], not: bool, span: Span) -> On {
        let mut list = Vec::new();
        let mut missing = None;
        for name in names {
            match self.ifaces.resolve(name) {
                Some(found) => list.extend(found),
                None => missing = Some(*name),
            }
        }
        let Some(name) = missing else { return On::These(list, not) };
        self.reader.device.names.used("interface", name, span);
        let unknown = self.opaque(&format!("is on the interface {name}, which is not assigned"), span);
        let mut any: Vec<Match> = vec![unknown];
        // Only arrival is known well enough; an unknown one leaves the rest open as well.
        if !not {
            any.extend(
                list.into_iter()
                    .map(|p| Match::AnyOf(vec![Match::Interface(Direction::In, p.clone()), Match::Interface(Direction::Out, p)])),
            );
        }
        On::Unknown(Match::any_of(any))
    }
}
