//! Which tunnels are the two ends of one: by their keys (WireGuard), by the port of the only server on it (OpenVPN), by names and addresses (IPsec).

use std::collections::{BTreeMap, HashMap};

use super::{is_openvpn, is_server};
use crate::model::{Device, Peer, Tunnel, TunnelKind, TunnelRole};
use crate::net::{Family, parse_addr, to_number};

/// A tunnel of a device: the number of the device, and the tunnel.
pub type End<'w> = (usize, &'w Tunnel);

/// The other end of a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Other<'w> {
    /// The number of its device.
    pub device: usize,
    /// Its tunnel.
    pub tunnel: &'w Tunnel,
    /// What the other end says of this one, where it lists its peers.
    pub entry: Option<&'w Peer>,
}

/// The tunnels of all devices, to look up ends in.
pub struct Ends<'w> {
    all: Vec<End<'w>>,
    by_key: HashMap<&'w str, Vec<End<'w>>>,
    /// Addresses of the interfaces of each device; none: they are not known.
    addresses: Vec<Vec<(Family, u128)>>,
    /// Who has an address.
    owners: HashMap<(Family, u128), Vec<usize>>,
    /// Connections of IPsec, as numbers in `all`: by what they call themselves, by whom they expect, by the address to which they connect, by their device.
    called: HashMap<String, Vec<usize>>,
    expected: HashMap<String, Vec<usize>>,
    connecting: HashMap<(Family, u128), Vec<usize>>,
    of_device: HashMap<usize, Vec<usize>>,
}

impl<'w> Ends<'w> {
    /// Looks at all tunnels once.
    pub fn new(devices: &'w [Device]) -> Ends<'w> {
        let all: Vec<End<'w>> = devices.iter().enumerate().flat_map(|(i, d)| d.tunnels.iter().map(move |t| (i, t))).collect();
        let mut by_key: HashMap<&str, Vec<End<'w>>> = HashMap::new();
        for (i, tunnel) in all.iter().filter(|(_, t)| t.kind == TunnelKind::WireGuard) {
            if let Some((key, _)) = &tunnel.public_key {
                by_key.entry(key).or_default().push((*i, *tunnel));
            }
        }
        let own = |d: &Device| d.interfaces.iter().flatten().flat_map(|i| &i.addresses).map(|a| to_number(a.ip())).collect();
        let addresses: Vec<Vec<(Family, u128)>> = devices.iter().map(own).collect();
        let mut owners: HashMap<(Family, u128), Vec<usize>> = HashMap::new();
        for (i, list) in addresses.iter().enumerate() {
            for address in list {
                owners.entry(*address).or_default().push(i);
            }
        }
        let (mut called, mut expected, mut connecting, mut of_device) =
            <(HashMap<_, Vec<_>>, HashMap<_, Vec<_>>, HashMap<_, Vec<_>>, HashMap<_, Vec<_>>)>::default();
        for (n, (device, tunnel)) in all.iter().enumerate().filter(|(_, (_, t))| t.kind == TunnelKind::Ipsec) {
            of_device.entry(*device).or_default().push(n);
            for (name, index) in [("local-id", &mut called), ("remote-id", &mut expected)] {
                if let Some(id) = id(tunnel, name) {
                    index.entry(id).or_default().push(n);
                }
            }
            for address in tunnel.peers.iter().filter_map(|p| parse_addr(&p.endpoint.as_ref()?.host)) {
                connecting.entry(address).or_default().push(n);
            }
        }
        Ends { all, by_key, addresses, owners, called, expected, connecting, of_device }
    }

    /// The number of a device with an address, other than this one.
    pub fn owner(&self, address: (Family, u128), but: usize) -> Option<usize> {
        self.owners.get(&address)?.iter().copied().find(|i| *i != but)
    }

    /// Connections that may be the other end of one of IPsec: by a name or address that one of the two says.
    fn candidates(&self, (device, tunnel): End<'_>) -> Vec<usize> {
        let mut out: Vec<usize> = Vec::new();
        let hosts: Vec<&str> = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| e.host.as_str()).collect();
        let wanted = id(tunnel, "remote-id");
        let names = hosts.iter().map(|h| h.to_ascii_lowercase()).chain(wanted.clone());
        out.extend(names.filter_map(|n| self.called.get(&n)).flatten());
        let addresses = hosts.iter().filter_map(|h| parse_addr(h)).chain(wanted.as_deref().and_then(parse_addr));
        out.extend(addresses.filter_map(|a| self.owners.get(&a)).flatten().filter_map(|d| self.of_device.get(d)).flatten());
        out.extend(id(tunnel, "local-id").and_then(|n| self.expected.get(&n)).into_iter().flatten());
        out.extend(self.addresses.get(device).into_iter().flatten().filter_map(|a| self.connecting.get(a)).flatten());
        // A distinguished name may be written with other blanks.
        if let Some(name) = wanted.filter(|n| n.contains('=')) {
            out.extend(self.called.iter().filter(|(n, _)| n.contains('=') && same_name(n, &name)).flat_map(|(_, list)| list));
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// The other ends of a peer of a WireGuard tunnel: who has its key.
    pub fn of_wireguard(&self, tunnel: &Tunnel, peer: &Peer) -> Vec<Other<'w>> {
        let key = peer.public_key.as_ref().map(|k| k.0.as_str());
        let found = key.and_then(|k| self.by_key.get(k)).into_iter().flatten().filter(|(_, t)| !std::ptr::eq(*t, tunnel));
        let own = tunnel.public_key.as_ref().map(|k| k.0.as_str());
        let entry = |t: &'w Tunnel| t.peers.iter().find(|p| own.is_some() && p.public_key.as_ref().map(|k| k.0.as_str()) == own);
        found.map(|(device, t)| Other { device: *device, tunnel: t, entry: entry(t) }).collect()
    }

    /// The servers of an OpenVPN client: who listens on the port to which it connects.
    pub fn of_openvpn(&self, tunnel: &Tunnel) -> Vec<Other<'w>> {
        let ports: Vec<(u8, u16)> = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| (e.protocol, e.port)).collect();
        let listens =
            |t: &Tunnel| is_openvpn(t) && is_server(t) && t.listen.is_some_and(|(protocol, port, _)| ports.contains(&(protocol, port)));
        let found = self.all.iter().filter(|(_, t)| !std::ptr::eq(*t, tunnel) && listens(t));
        found.map(|(device, t)| Other { device: *device, tunnel: t, entry: None }).collect()
    }

    /// The other ends of a connection of IPsec: each expects the other by name or address, or a server takes whoever comes.
    pub fn of_ipsec(&self, (device, tunnel): End<'w>) -> Vec<Other<'w>> {
        let mut best: BTreeMap<u8, Vec<Other<'w>>> = BTreeMap::new();
        let all = self.candidates((device, tunnel)).into_iter().filter_map(|n| self.all.get(n));
        for (other, theirs) in all.filter(|(i, _)| *i != device) {
            let there = self.expects((device, tunnel), (*other, theirs));
            let back = self.expects((*other, theirs), (device, tunnel));
            let rank = match (there, back) {
                (Expects::Other, _) | (_, Expects::Other) | (Expects::Anybody, Expects::Anybody) => continue,
                (Expects::This, Expects::This) => 0,
                _ => 1,
            };
            best.entry(rank).or_default().push(Other { device: *other, tunnel: theirs, entry: None });
        }
        best.into_values().next().unwrap_or_default()
    }

    /// Whom the first end expects at its other side: the second one?
    fn expects(&self, (_, a): End<'_>, (to, b): End<'_>) -> Expects {
        let theirs = |n: &(Family, u128)| self.addresses.get(to).is_some_and(|l| l.contains(n));
        let known = self.addresses.get(to).is_some_and(|l| !l.is_empty());
        let wanted = id(a, "remote-id");
        let named = id(b, "local-id");
        if let (Some(w), Some(n)) = (&wanted, &named) {
            return if same_name(w, n) { Expects::This } else { Expects::Other };
        }
        let hosts: Vec<&str> = a.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| e.host.as_str()).collect();
        if hosts.is_empty() {
            return match (&wanted, a.role) {
                (Some(w), _) => match parse_addr(w) {
                    Some(n) if theirs(&n) => Expects::This,
                    Some(_) if known => Expects::Other,
                    // A name is wanted, and the other end does not say its own.
                    _ => Expects::Anybody,
                },
                (None, _) => Expects::Anybody,
            };
        }
        let mut open = false;
        for host in hosts {
            match parse_addr(host) {
                Some(n) if theirs(&n) => return Expects::This,
                Some(_) => open |= !known,
                None if named.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(host)) => return Expects::This,
                None => open = true,
            }
        }
        // An address may be that of a translation in front of the device: a client of a server that was read by name only.
        if open && b.role != TunnelRole::Server { Expects::Anybody } else { Expects::Other }
    }
}

/// Whether one end expects another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expects {
    /// By name or address.
    This,
    /// It takes whoever comes, or it cannot be told.
    Anybody,
    /// Somebody else.
    Other,
}

/// An identity of IKE as written: without the sign that says that a name is no address (`@`), quotes, and upper case. `None` if any will do.
pub(super) fn id(tunnel: &Tunnel, name: &str) -> Option<String> {
    let text = tunnel.setting(name)?.value.trim().trim_matches('"').trim_start_matches('@').to_ascii_lowercase();
    (!text.is_empty() && text != "any" && !text.contains(['%', '*'])).then_some(text)
}

/// Whether two identities are the same. Of distinguished names order and blanks count, signs between them do not.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    let normal =
        |s: &str| s.split([',', '/']).map(|p| p.trim().replace(" =", "=").replace("= ", "=")).filter(|p| !p.is_empty()).collect::<Vec<_>>();
    match (parse_addr(a), parse_addr(b)) {
        (Some(x), Some(y)) => x == y,
        _ => normal(a) == normal(b),
    }
}
