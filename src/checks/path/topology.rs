//! Which device comes next: from interfaces, routes and tunnels that were read, and from what the baseline says of sites.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::checks::World;
use crate::checks::vpn::ends::{Ends, Other};
use crate::eval::Limit;
use crate::model::{Device, Interface, PolicyRouting, Route, Tunnel, TunnelKind, is_loopback};
use crate::net::{Family, Ranges, parse_addr, prefix_bounds, to_number};
use crate::packets::{Cube, Dim, Field};
use crate::source::Span;

/// Routes of one device that can concern one question.
const ROUTES: usize = 4096;

/// Where a device sends packets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Next {
    /// Out through an interface, to a next hop unless the destination itself is on that network.
    Out(String, Option<IpAddr>),
    /// A route that drops them.
    Dropped(Span, String),
    /// It is not known.
    Unknown(String),
}

/// A prefix, the longest first: its length, first and last address.
type Prefix = (std::cmp::Reverse<u8>, u128, u128);

/// Packets by where they go on from a device.
pub(super) struct Onward {
    /// Which of the packets.
    pub filter: Cube,
    /// Where to.
    pub to: Whither,
    /// What was assumed, if anything.
    pub doubt: Option<String>,
}

/// Where packets come to that left a device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Whither {
    /// To a device, on one of its interfaces; empty if it is not known on which.
    Device(usize, String),
    /// Onto the network of the interface, to whoever has the address.
    Delivered,
    /// Nowhere: dropped here, and why.
    Dropped(Span, String),
    /// It is not known.
    Unknown(String),
}

/// The network around the devices.
pub(super) struct Topology<'w> {
    devices: &'w [Device],
    workers: HashSet<String>,
    sites: Vec<Option<String>>,
    owners: HashMap<(Family, u128), Vec<(usize, &'w Interface)>>,
    /// Ends of tunnels.
    pub ends: Ends<'w>,
}

impl<'w> Topology<'w> {
    pub fn new(world: &World<'w>) -> Topology<'w> {
        let mut owners: HashMap<(Family, u128), Vec<(usize, &Interface)>> = HashMap::new();
        let workers: HashSet<String> = world.workers.iter().flat_map(|w| &w.people).map(|p| p.device.clone()).collect();
        for (i, device) in world.devices.iter().enumerate().filter(|(_, d)| !workers.contains(&d.name)) {
            for interface in device.interfaces.iter().flatten().filter(|f| !is_loopback(&f.name)) {
                for address in &interface.addresses {
                    owners.entry(to_number(address.ip())).or_default().push((i, interface));
                }
            }
        }
        let site = |d: &Device| world.sites.iter().find(|s| s.devices.contains(&d.name)).map(|s| s.name.clone());
        Topology {
            devices: world.devices,
            workers,
            sites: world.devices.iter().map(site).collect(),
            owners,
            ends: Ends::new(world.devices),
        }
    }

    /// Whether a device is a remote worker's: such a one is no way for others.
    pub fn is_worker(&self, name: &str) -> bool {
        self.workers.contains(name)
    }

    pub fn device(&self, i: usize) -> Option<&'w Device> {
        self.devices.get(i)
    }

    /// Where a device sends packets to these destinations: disjoint sets, each with every way that packets to it may take.
    pub fn routes(&self, at: usize, family: Family, to: &Ranges) -> Result<Vec<(Ranges, Vec<Next>)>, Limit> {
        let Some(device) = self.devices.get(at) else { return Ok(Vec::new()) };
        let more = match device.policy_routing(family) {
            PolicyRouting::Main => Vec::new(),
            PolicyRouting::Routes(routes) => routes,
            PolicyRouting::Unknown => {
                return Ok(vec![(
                    to.clone(),
                    vec![Next::Unknown(format!("rules of {} choose among routing tables that are not shown", device.name))],
                )]);
            }
        };
        let mut out: Vec<(Ranges, Vec<Next>)> = Vec::new();
        let main = self.table(device, device.routes.iter().flatten(), family, to)?;
        if more.is_empty() {
            out = main;
        } else {
            // Which packets go by which table is not modelled: each may.
            let other = self.table(device, more.into_iter(), family, to)?;
            for (set, ways) in &main {
                for (also, others) in &other {
                    let both = set.and(also);
                    let mut all: Vec<Next> = ways.iter().chain(others.iter().filter(|n| !matches!(n, Next::Unknown(_)))).cloned().collect();
                    all.sort();
                    all.dedup();
                    if !both.is_empty() {
                        out.push((both, all));
                    }
                }
            }
        }
        Ok(out)
    }

    /// The answer of one table together with the connected networks: the longest prefix, then the least metric. Equal ones share the packets.
    fn table<'r>(
        &self,
        device: &Device,
        routes: impl Iterator<Item = &'r Route>,
        family: Family,
        to: &Ranges,
    ) -> Result<Vec<(Ranges, Vec<Next>)>, Limit> {
        let mut by_prefix: BTreeMap<Prefix, Vec<(u32, Next)>> = BTreeMap::new();
        let mut add = |net: ipnetwork::IpNetwork, metric: u32, next: Next| -> Result<(), Limit> {
            let (f, lo, hi) = prefix_bounds(net);
            if f != family || !Ranges::interval(lo, hi).overlaps(to) {
                return Ok(());
            }
            let key = (std::cmp::Reverse(net.prefix()), lo, hi);
            if by_prefix.len() >= ROUTES && !by_prefix.contains_key(&key) {
                return Err(Limit(format!("more than {ROUTES} routes lead to these destinations")));
            }
            by_prefix.entry(key).or_default().push((metric, next));
            Ok(())
        };
        for interface in device.interfaces.iter().flatten().filter(|i| i.up != Some(false) && !is_loopback(&i.name)) {
            for net in &interface.addresses {
                add(*net, 0, Next::Out(interface.name.clone(), None))?;
            }
        }
        for route in routes {
            let next = match route.kind.as_deref() {
                None | Some("unicast") => match (&route.interface, route.via) {
                    (Some(name), via) => Next::Out(name.clone(), via),
                    (None, Some(via)) => match self.interface_towards(device, via) {
                        Some(name) => Next::Out(name, Some(via)),
                        None => Next::Unknown(format!("{via}, by which {} routes, is on none of its networks", device.name)),
                    },
                    (None, None) => Next::Unknown(format!("a route of {} names neither interface nor gateway", device.name)),
                },
                Some(kind @ ("blackhole" | "unreachable" | "prohibit")) => Next::Dropped(route.span, format!("a route of the kind {kind}")),
                // The device's own addresses are known from its interfaces.
                Some("local" | "broadcast" | "multicast" | "anycast") => continue,
                Some(kind) => Next::Unknown(format!("a route of the kind {kind} is not modelled")),
            };
            add(route.to, route.metric, next)?;
        }
        let mut rest = to.clone();
        let mut out = Vec::new();
        for ((_, lo, hi), ways) in by_prefix {
            let set = rest.and(&Ranges::interval(lo, hi));
            if set.is_empty() {
                continue;
            }
            rest = rest.minus(&set);
            let least = ways.iter().map(|w| w.0).min().unwrap_or(0);
            let mut best: Vec<Next> = ways.into_iter().filter(|w| w.0 == least).map(|w| w.1).collect();
            best.sort();
            best.dedup();
            // The same network once as connected and once as a route that says no more.
            out.push((set, best));
        }
        if !rest.is_empty() {
            let why = match &device.routes {
                None => format!("no routes of {} were read (ip route, ip -6 route)", device.name),
                Some(_) => format!("no route of {} that was read leads there", device.name),
            };
            out.push((rest, vec![Next::Unknown(why)]));
        }
        Ok(out)
    }

    /// The interface behind which a gateway is.
    fn interface_towards(&self, device: &Device, via: IpAddr) -> Option<String> {
        let (family, n) = to_number(via);
        let near = |i: &&Interface| i.addresses.iter().map(|a| prefix_bounds(*a)).any(|(f, lo, hi)| f == family && lo <= n && n <= hi);
        device.interfaces.iter().flatten().find(near).map(|i| i.name.clone())
    }

    /// What becomes of packets that leave a device through an interface.
    pub fn leave(&self, at: usize, oif: &str, via: Option<IpAddr>, family: Family, to: &Ranges) -> Vec<Onward> {
        let Some(device) = self.devices.get(at) else { return Vec::new() };
        let mut out = Vec::new();
        // Policies of IPsec take what fits them, by whatever interface it would leave.
        for tunnel in device.tunnels.iter().filter(|t| t.kind == TunnelKind::Ipsec && t.interface.is_empty()) {
            self.by_policy(at, tunnel, family, &mut out);
        }
        let tunnels: Vec<&Tunnel> = device.tunnels.iter().filter(|t| t.interfaces().is_some_and(|p| p.matches(oif))).collect();
        match tunnels.as_slice() {
            [] => self.on_the_wire(at, oif, via, family, to, &mut out),
            [one] => self.by_tunnel(at, one, family, &mut out),
            [..] => out.push(unknown(format!("several tunnels of {} may be {oif}", device.name))),
        }
        out
    }

    fn on_the_wire(&self, at: usize, oif: &str, via: Option<IpAddr>, family: Family, to: &Ranges, out: &mut Vec<Onward>) {
        let Some(device) = self.devices.get(at) else { return };
        let own: Vec<_> =
            device.interfaces.iter().flatten().filter(|i| i.name == oif).flat_map(|i| &i.addresses).map(|a| prefix_bounds(*a)).collect();
        // Link-local gateways (fe80::/10) are on every link: nothing says on which.
        let near = |n: u128, other: &Interface| {
            let theirs = other.addresses.iter().map(|a| prefix_bounds(*a));
            n >> 118 != 0x3fa
                && theirs
                    .filter(|t| t.0 == family)
                    .any(|(_, lo, hi)| own.iter().any(|o| o.0 == family && o.1 <= hi && lo <= o.2 && o.1 <= n && n <= o.2))
        };
        let owners = |n: u128| -> Vec<(usize, &Interface)> {
            let all = self.owners.get(&(family, n)).into_iter().flatten().filter(|(i, f)| *i != at && near(n, f)).copied();
            all.collect()
        };
        if let Some(via) = via {
            let found = owners(to_number(via).1);
            if found.is_empty() {
                out.push(unknown(format!("{via}, the next hop of {} behind {oif}, is no device that was read", device.name)));
            }
            let several = found.len() > 1;
            for (other, interface) in found {
                let doubt = several.then(|| format!("several devices have the address {via}")).or_else(|| self.elsewhere(at, other, via));
                out.push(Onward { filter: Cube::any(), to: Whither::Device(other, interface.name.clone()), doubt });
            }
            return;
        }
        // Devices that themselves have a destination.
        let mut rest = to.clone();
        let hosts: BTreeMap<u128, Vec<(usize, &Interface)>> = self
            .owners
            .keys()
            .filter(|(f, n)| *f == family && to.contains(*n))
            .map(|(_, n)| (*n, owners(*n)))
            .filter(|(_, list)| !list.is_empty())
            .collect();
        for (n, list) in hosts {
            rest = rest.minus(&Ranges::single(n));
            let several = list.len() > 1;
            for (other, interface) in list {
                let address = crate::net::to_ip(family, n);
                let doubt =
                    several.then(|| format!("several devices have the address {address}")).or_else(|| self.elsewhere(at, other, address));
                out.extend(to_set(Ranges::single(n), family).map(|filter| Onward {
                    filter,
                    to: Whither::Device(other, interface.name.clone()),
                    doubt,
                }));
            }
        }
        out.extend(to_set(rest, family).map(|filter| Onward { filter, to: Whither::Delivered, doubt: None }));
    }

    /// What is assumed where two devices of different sites have the same private network.
    fn elsewhere(&self, a: usize, b: usize, address: IpAddr) -> Option<String> {
        let (x, y) = (self.sites.get(a)?.as_ref()?, self.sites.get(b)?.as_ref()?);
        let (family, n) = to_number(address);
        (x != y && !crate::net::is_global_unicast(family, n)).then(|| format!("{address} at {y} is taken to be on the same network as {x}"))
    }

    fn by_tunnel(&self, at: usize, tunnel: &'w Tunnel, family: Family, out: &mut Vec<Onward>) {
        match tunnel.kind {
            TunnelKind::WireGuard => self.by_wireguard(tunnel, family, out),
            TunnelKind::OpenVpn => match self.ends.of_openvpn(tunnel).as_slice() {
                [one] => out.push(Onward {
                    filter: Cube::any(),
                    to: self.arrival(one),
                    doubt: Some(format!(
                        "{} is the only server that was read on the port to which {} connects",
                        self.name(one.device),
                        tunnel.title()
                    )),
                }),
                [] => {
                    out.push(unknown(format!("the other end of {} was not read, or gives addresses only while it is up", tunnel.title())))
                }
                [..] => out.push(unknown(format!("several servers that were read may be the other end of {}", tunnel.title()))),
            },
            TunnelKind::Ipsec => self.by_selectors(at, tunnel, family, out),
            _ => out.push(unknown(format!("the other end of {} is not told", tunnel.title()))),
        }
    }

    /// WireGuard sends to the peer with the longest prefix; of equal ones the last that was written has it (wg(8), `allowed-ips`). The other end drops
    /// what comes from an address that it does not allow its peer.
    fn by_wireguard(&self, tunnel: &'w Tunnel, family: Family, out: &mut Vec<Onward>) {
        let mut all: Vec<(std::cmp::Reverse<u8>, std::cmp::Reverse<usize>, u128, u128)> = Vec::new();
        for (i, peer) in tunnel.peers.iter().enumerate() {
            for (net, _) in &peer.allowed {
                let (f, lo, hi) = prefix_bounds(*net);
                if f == family {
                    all.push((std::cmp::Reverse(net.prefix()), std::cmp::Reverse(i), lo, hi));
                }
            }
        }
        all.sort_unstable();
        let mut taken = Ranges::EMPTY;
        let mut of_peer: BTreeMap<usize, Ranges> = BTreeMap::new();
        for (_, std::cmp::Reverse(i), lo, hi) in all {
            let set = Ranges::interval(lo, hi).minus(&taken);
            taken = taken.or(&set);
            let mine = of_peer.entry(i).or_insert(Ranges::EMPTY);
            *mine = mine.or(&set);
        }
        for (i, set) in of_peer {
            let (Some(peer), Some(filter)) = (tunnel.peers.get(i), to_set(set, family)) else { continue };
            let name = || {
                peer.name
                    .clone()
                    .or_else(|| peer.public_key.as_ref().map(|k| format!("{}…", k.0.chars().take(8).collect::<String>())))
                    .unwrap_or_else(|| "a peer without a key".into())
            };
            let others = self.ends.of_wireguard(tunnel, peer);
            if others.is_empty() {
                out.push(Onward {
                    filter: filter.clone(),
                    ..unknown(format!("who is the peer {} of {} was not read", name(), tunnel.title()))
                });
            }
            let several = others.len() > 1;
            for other in others {
                let doubt = several.then(|| format!("several devices have the key of the peer {}", name()));
                let Some(entry) = other.entry else {
                    let to = match (&tunnel.public_key, other.tunnel.peers.iter().all(|p| p.public_key.is_some())) {
                        (Some((_, span)), true) => {
                            Whither::Dropped(*span, format!("{} has no peer with this key", self.name(other.device)))
                        }
                        _ => Whither::Unknown(format!(
                            "whether {} knows this end cannot be told: a key was taken out",
                            self.name(other.device)
                        )),
                    };
                    out.push(Onward { filter: filter.clone(), to, doubt });
                    continue;
                };
                let nets = entry.allowed.iter().map(|a| prefix_bounds(a.0)).filter(|b| b.0 == family);
                let allowed = Ranges::from_intervals(nets.map(|b| (b.1, b.2)).collect());
                // An address that a longer prefix gives to another peer is not this one's.
                let mut mine = allowed.clone();
                for (j, third) in other.tunnel.peers.iter().enumerate().filter(|(_, p)| !std::ptr::eq(*p, entry)) {
                    for (net, _) in &third.allowed {
                        let (f, lo, hi) = prefix_bounds(*net);
                        let inner = entry.allowed.iter().filter(|a| prefix_bounds(a.0).0 == f).filter(|a| {
                            let (_, l, h) = prefix_bounds(a.0);
                            l <= lo && hi <= h
                        });
                        let longest = inner.map(|a| a.0.prefix()).max();
                        let later = other.tunnel.peers.iter().position(|p| std::ptr::eq(p, entry)).is_some_and(|k| j > k);
                        if f == family && longest.is_some_and(|l| l < net.prefix() || (l == net.prefix() && later)) {
                            // What this end has under a still longer prefix stays.
                            let stays = entry
                                .allowed
                                .iter()
                                .map(|a| (a.0.prefix(), prefix_bounds(a.0)))
                                .filter(|(p, b)| b.0 == f && *p > net.prefix());
                            let stays = Ranges::from_intervals(stays.map(|(_, b)| (b.1, b.2)).collect());
                            mine = mine.minus(&Ranges::interval(lo, hi).minus(&stays));
                        }
                    }
                }
                let src = |set: &Ranges| filter.with(Dim::field(Field::Src), set, family);
                out.extend(src(&mine).map(|filter| Onward { filter, to: self.arrival(&other), doubt: doubt.clone() }));
                let not = mine.complement(family.max_address());
                let why = format!("{} takes no packets from this source from this peer (AllowedIPs)", self.name(other.device));
                out.extend(src(&not).map(|filter| Onward { filter, to: Whither::Dropped(entry.span, why), doubt }));
            }
        }
        let why = format!("no peer of {} has these destinations among its AllowedIPs", tunnel.title());
        let rest = taken.complement(family.max_address());
        out.extend(to_set(rest, family).map(|filter| Onward { filter, to: Whither::Dropped(tunnel.span, why), doubt: None }));
    }

    /// A tunnel of IPsec with an interface: what is routed there and fits its selectors.
    fn by_selectors(&self, at: usize, tunnel: &'w Tunnel, family: Family, out: &mut Vec<Onward>) {
        let before = out.len();
        self.by_policy(at, tunnel, family, out);
        if out.len() == before || tunnel.selectors.is_empty() {
            if let Some(to) = self.of_ipsec(at, tunnel) {
                out.push(to);
            }
        } else {
            out.push(unknown(format!("it does not fit the traffic selectors of {}", tunnel.title())));
        }
    }

    fn by_policy(&self, at: usize, tunnel: &'w Tunnel, family: Family, out: &mut Vec<Onward>) {
        let set = |list: &[ipnetwork::IpNetwork]| {
            let nets = list.iter().map(|n| prefix_bounds(*n)).filter(|b| b.0 == family);
            Ranges::from_intervals(nets.map(|b| (b.1, b.2)).collect())
        };
        for selector in &tunnel.selectors {
            let filter = Cube::of(Dim::field(Field::Dst), set(&selector.remote), family).and_then(|c| {
                // A client's own side is the address that it gets from its server.
                if selector.local.is_empty() { Some(c) } else { c.with(Dim::field(Field::Src), &set(&selector.local), family) }
            });
            if let (Some(filter), Some(to)) = (filter, self.of_ipsec(at, tunnel)) {
                out.push(Onward { filter, ..to });
            }
        }
    }

    fn of_ipsec(&self, at: usize, tunnel: &'w Tunnel) -> Option<Onward> {
        let others = self.ends.of_ipsec((at, tunnel));
        Some(match others.as_slice() {
            [] => unknown(format!("the other end of {} was not read", tunnel.title())),
            [one] => {
                let part = tunnel.unmodelled.iter().chain(&one.tunnel.unmodelled).any(|u| u.routes);
                let doubt = part.then(|| format!("what {} takes depends on a part that is not modelled", tunnel.title()));
                Onward { filter: Cube::any(), to: self.arrival(one), doubt }
            }
            [..] => unknown(format!("several connections that were read may be the other end of {}", tunnel.title())),
        })
    }

    /// Where what comes out of a tunnel arrives: on its interface, else on that on which its outer packets arrive.
    fn arrival(&self, other: &Other<'w>) -> Whither {
        let Some(device) = self.devices.get(other.device) else { return Whither::Unknown("its device was not read".into()) };
        if !other.tunnel.interface.is_empty() {
            let names = device.interfaces.iter().flatten().map(|i| &i.name);
            let fits: Vec<&String> = names.filter(|n| other.tunnel.interfaces().is_some_and(|p| p.matches(n))).collect();
            let name = if let [one] = fits.as_slice() { (*one).clone() } else { other.tunnel.interface.clone() };
            return Whither::Device(other.device, name);
        }
        let own = ["if_id_in", "if_id_out", "mark_in", "mark_out", "mark"].iter().any(|n| other.tunnel.setting(n).is_some());
        if own || other.tunnel.unmodelled.iter().any(|u| u.routes) {
            // An interface of its own, which the configuration of IKE does not name: that by which routes lead back.
            return match self.way_back(device, other.tunnel) {
                Some(name) => Whither::Device(other.device, name),
                None => Whither::Unknown(format!("on which interface of {} it leaves {} is not told", device.name, other.tunnel.title())),
            };
        }
        let listens: Vec<(Family, u128)> =
            ["local-id"].iter().filter_map(|n| other.tunnel.setting(n)).filter_map(|s| parse_addr(&s.value)).collect();
        let outer = device.interfaces.iter().flatten().find(|i| i.addresses.iter().any(|a| listens.contains(&to_number(a.ip()))));
        let outer = outer.map(|i| i.name.clone()).or_else(|| {
            let default = device.routes.iter().flatten().find(|r| r.to.prefix() == 0);
            default.and_then(|r| r.interface.clone())
        });
        Whither::Device(other.device, outer.unwrap_or_default())
    }

    /// The one interface by which a device routes to all that is behind a tunnel, if it is not that of its default route.
    fn way_back(&self, device: &Device, tunnel: &Tunnel) -> Option<String> {
        let routes = || device.routes.iter().flatten();
        let outer = routes().find(|r| r.to.prefix() == 0).and_then(|r| r.interface.clone());
        let mut found: Option<String> = None;
        for net in tunnel.selectors.iter().flat_map(|s| &s.remote) {
            let (family, lo, hi) = prefix_bounds(*net);
            let covers = |r: &&Route| {
                let (f, l, h) = prefix_bounds(r.to);
                f == family && l <= lo && hi <= h
            };
            let best = routes().filter(covers).max_by_key(|r| r.to.prefix())?.interface.clone()?;
            if Some(&best) == outer.as_ref() || found.as_ref().is_some_and(|f| *f != best) {
                return None;
            }
            found = Some(best);
        }
        found
    }

    pub fn name(&self, i: usize) -> &'w str {
        self.devices.get(i).map_or("", |d| d.name.as_str())
    }
}

fn unknown(why: String) -> Onward {
    Onward { filter: Cube::any(), to: Whither::Unknown(why), doubt: None }
}

fn to_set(set: Ranges, family: Family) -> Option<Cube> {
    Cube::of(Dim::field(Field::Dst), set, family)
}
