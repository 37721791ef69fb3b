//! Where packets start: at a remote worker's device, or behind the first firewall of a zone.

use super::topology::Topology;
use crate::checks::place::interfaces;
use crate::checks::vpn::leaks::Subject;
use crate::checks::{World, Zone};
use crate::eval::Analysis;
use crate::model::{Device, Tunnel, TunnelKind, is_loopback};
use crate::net::{Family, Ranges, format_addresses, prefix_bounds};

/// A place where packets start.
#[derive(Clone, Debug)]
pub enum Start {
    /// They arrive at the first firewall.
    Arriving {
        /// Its number.
        device: usize,
        /// The interface on which they arrive.
        iif: String,
        /// Their sources.
        sources: Ranges,
        /// Of which family.
        family: Family,
        /// What is assumed.
        doubt: Option<String>,
    },
    /// A device itself sends them.
    Leaving {
        /// Its number.
        device: usize,
        /// Through which interface; `None`: any (the policy of an IPsec tunnel takes them).
        oif: Option<String>,
        /// Their sources.
        sources: Ranges,
        /// Their destinations.
        to: Ranges,
        /// Of which family.
        family: Family,
        /// What is assumed.
        doubt: Option<String>,
    },
    /// Nothing tells where packets start.
    Unknown {
        /// What is missing.
        why: String,
        /// For which family; `None`: for both.
        family: Option<Family>,
    },
}

/// What a remote worker's device sends to a zone: through its tunnels. Packets that go around them are told as unknown.
pub fn from_worker(world: &World<'_>, analysis: &Analysis<'_>, target: &Zone) -> Vec<Start> {
    let device = analysis.device;
    let Some(at) = world.devices.iter().position(|d| d.name == device.name) else { return Vec::new() };
    let topology = Topology::new(world);
    let subject = Subject { devices: world.devices, analysis };
    let mut out = Vec::new();
    for family in Family::BOTH {
        let taken = subject.taken(family);
        let mut all = Ranges::EMPTY;
        let several = taken.len() > 1;
        for (tunnel, to, unknown) in taken {
            all = all.or(&to);
            let (sources, assumed) = own_addresses(&topology, device, (at, tunnel), family);
            let doubt = match (unknown.first(), several) {
                (Some(label), _) => Some(format!("which destinations {} takes is not certain: {}", tunnel.title(), label.text)),
                (None, true) => Some(format!("{} has several tunnels", device.name)),
                (None, false) => assumed,
            };
            if to.is_empty() {
                continue;
            }
            if sources.is_empty() {
                let why = format!("{} has no {} address in {} that was read", device.name, family.name(), tunnel.title());
                if to.overlaps(target.addresses(family)) {
                    out.push(Start::Unknown { why, family: Some(family) });
                }
                continue;
            }
            let oif = Some(tunnel.interface.clone()).filter(|i| !i.is_empty());
            let doubt = doubt.or_else(|| {
                oif.is_none().then(|| {
                    format!("through which interface {} sends to {} is not known: any was considered", device.name, tunnel.title())
                })
            });
            out.push(Start::Leaving { device: at, oif, sources, to, family, doubt });
        }
        let beside = target.addresses(family).minus(&all);
        if !beside.is_empty() && !target.internet {
            let why = format!("{} sends {} outside its VPN, to whatever network it is in", device.name, format_addresses(family, &beside));
            out.push(Start::Unknown { why, family: Some(family) });
        }
    }
    out
}

/// The addresses that a device has in a tunnel: its own, or what its server gives.
fn own_addresses<'w>(
    topology: &Topology<'w>,
    device: &Device,
    (at, tunnel): (usize, &'w Tunnel),
    family: Family,
) -> (Ranges, Option<String>) {
    let of = |list: &mut dyn Iterator<Item = ipnetwork::IpNetwork>| {
        Ranges::from_values(list.map(|a| crate::net::to_number(a.ip())).filter(|(f, _)| *f == family).map(|(_, n)| n))
    };
    let on = device.interfaces.iter().flatten().filter(|i| tunnel.interfaces().is_some_and(|p| p.matches(&i.name)));
    let own = of(&mut tunnel.addresses.iter().map(|a| a.0).chain(on.flat_map(|i| i.addresses.clone())));
    if !own.is_empty() || !tunnel.addresses.is_empty() {
        return (own, None);
    }
    let given: Vec<ipnetwork::IpNetwork> = match tunnel.kind {
        TunnelKind::OpenVpn => topology.ends.of_openvpn(tunnel).iter().flat_map(|o| o.tunnel.addresses.iter().map(|a| a.0)).collect(),
        TunnelKind::Ipsec => {
            topology.ends.of_ipsec((at, tunnel)).iter().flat_map(|o| o.tunnel.selectors.iter().flat_map(|s| s.remote.clone())).collect()
        }
        _ => Vec::new(),
    };
    let nets = given.iter().map(|n| prefix_bounds(*n)).filter(|b| b.0 == family);
    let set = Ranges::from_intervals(nets.map(|b| (b.1, b.2)).collect());
    let own_of_server = of(&mut given.iter().filter(|n| n.prefix() < if family == Family::V4 { 32 } else { 128 }).copied());
    (set.minus(&own_of_server), Some(format!("which address {} gets is its server's choice: any of its pool was considered", device.name)))
}

/// What a zone sends: behind the firewalls to whose networks it is connected, or out of the tunnels that end at one.
pub fn from_zone(world: &World<'_>, zone: &Zone) -> Vec<Start> {
    let mut out = Vec::new();
    let devices = || world.devices.iter().enumerate().filter(|(_, d)| !world.is_worker(&d.name));
    for family in Family::BOTH {
        let all = zone.addresses(family);
        let mut rest = all.clone();
        let mut add = |rest: &mut Ranges, device: usize, iif: &str, sources: Ranges| {
            *rest = rest.minus(&sources);
            out.push(Start::Arriving { device, iif: iif.to_owned(), sources, family, doubt: None });
        };
        if zone.internet {
            for (i, device) in devices() {
                for pattern in interfaces(device, zone, family).into_iter().flatten().filter(|p| !p.wildcard) {
                    add(&mut rest, i, &pattern.name, all.clone());
                }
            }
        } else {
            for (i, device) in devices() {
                let tunnels =
                    device.tunnels.iter().filter(|t| !t.interface.is_empty() && zone.through.iter().any(|p| p.matches(&t.interface)));
                for tunnel in tunnels {
                    let nets: Vec<_> =
                        tunnel.peers.iter().flat_map(|p| &p.allowed).map(|a| a.0).chain(tunnel.addresses.iter().map(|a| a.0)).collect();
                    let nets = nets.into_iter().map(prefix_bounds).filter(|b| b.0 == family);
                    let set = Ranges::from_intervals(nets.map(|b| (b.1, b.2)).collect()).and(all);
                    if !set.is_empty() {
                        add(&mut rest, i, &tunnel.interface, set);
                    }
                }
            }
            for (i, device) in devices().filter(|_| zone.through.is_empty()) {
                for interface in device.interfaces.iter().flatten().filter(|f| !is_loopback(&f.name)) {
                    let nets = interface.addresses.iter().map(|a| prefix_bounds(*a)).filter(|b| b.0 == family && b.2 > b.1);
                    let set = Ranges::from_intervals(nets.map(|b| (b.1, b.2)).collect()).and(all);
                    if !set.is_empty() {
                        add(&mut rest, i, &interface.name, set);
                    }
                }
            }
            // Networks further away, where the baseline says behind which interface.
            let far = rest.clone();
            if !far.is_empty() {
                for (i, device) in devices().filter(|(_, d)| zone.on.contains_key(&d.name) && zone.through.is_empty()) {
                    for pattern in interfaces(device, zone, family).into_iter().flatten().filter(|p| !p.wildcard) {
                        add(&mut rest, i, &pattern.name, far.clone());
                    }
                }
            }
        }
        if !zone.internet {
            shared(&mut out, family, world, zone);
        }
        if !rest.is_empty() {
            let shown = if zone.internet { "it".to_owned() } else { format_addresses(family, &rest) };
            let why = format!("behind which firewall {shown} of {} is, is in nothing that was read", zone.name);
            out.push(Start::Unknown { why, family: Some(family) });
        }
    }
    out
}

/// Where several devices are connected to the same part of a zone, either may be the first on the way.
fn shared(starts: &mut [Start], family: Family, world: &World<'_>, zone: &Zone) {
    let known: Vec<(usize, Ranges)> = starts
        .iter()
        .filter_map(|s| match s {
            Start::Arriving { device, sources, family: f, .. } if *f == family => Some((*device, sources.clone())),
            _ => None,
        })
        .collect();
    for start in starts {
        if let Start::Arriving { device, sources, family: f, doubt, .. } = start
            && *f == family
            && let Some((other, _)) = known.iter().find(|(d, s)| d != device && s.overlaps(sources))
        {
            let name = |i: usize| world.devices.get(i).map_or("", |d| d.name.as_str());
            *doubt = Some(format!(
                "{} and {} are both connected to {}: each is taken for the first on the way",
                name(*device),
                name(*other),
                zone.name
            ));
        }
    }
}
