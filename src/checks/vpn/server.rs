//! What the server of a VPN client decides: how much of the traffic it agrees to, and which name servers it hands out.

use super::routing::{Pushed, pushed};
use crate::diag::Label;
use crate::model::{Device, Tunnel, TunnelKind, TunnelRole};
use crate::net::{Family, Ranges, prefix_bounds};

/// What becomes of the traffic selectors that a client of IPsec asks for: its server may agree to less (RFC 7296, section 2.9), and what is left
/// out then goes around the tunnel, where policies and not an interface decide.
pub(super) enum Narrowed<'w> {
    /// The client decides.
    No,
    /// This server agrees to its own networks only.
    By(&'w Tunnel),
    /// The server was not read, or cannot be told from others.
    Unknown,
}

impl Narrowed<'_> {
    /// What the server agrees to; `None`: it does not matter, or is not known.
    pub fn limit(&self, family: Family) -> Option<Ranges> {
        let Narrowed::By(server) = self else { return None };
        let nets = server.selectors.iter().flat_map(|s| &s.local).map(|n| prefix_bounds(*n));
        Some(Ranges::from_intervals(nets.filter(|n| n.0 == family).map(|n| (n.1, n.2)).collect()))
    }
}

/// Whether the server of a client of IPsec may agree to less than it asks for.
pub(super) fn narrowed<'w>(devices: &'w [Device], tunnel: &Tunnel) -> Narrowed<'w> {
    if tunnel.kind != TunnelKind::Ipsec || tunnel.selectors.is_empty() {
        return Narrowed::No;
    }
    match ipsec_servers(devices, tunnel).as_slice() {
        [server] if server.selectors.iter().all(|s| !s.local.is_empty()) => Narrowed::By(server),
        _ => Narrowed::Unknown,
    }
}

/// The other ends of a client of IPsec among what was read, known by the name that the client expects or by its address.
fn ipsec_servers<'w>(devices: &'w [Device], tunnel: &Tunnel) -> Vec<&'w Tunnel> {
    let id = |t: &Tunnel, name: &str| t.setting(name).map(|s| s.value.trim_start_matches('@').to_ascii_lowercase());
    let hosts = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| e.host.to_ascii_lowercase());
    let wanted: Vec<String> = hosts.chain(id(tunnel, "remote-id")).collect();
    let all = devices.iter().flat_map(|d| &d.tunnels);
    let all = all.filter(|t| t.kind == TunnelKind::Ipsec && t.role != TunnelRole::Client && !std::ptr::eq(*t, tunnel));
    all.filter(|t| id(t, "local-id").is_some_and(|i| wanted.contains(&i))).collect()
}

/// Who hands out name servers to a client.
pub(super) fn naming<'w>(devices: &'w [Device], tunnel: &Tunnel) -> Pushed<'w> {
    let unknown = || Pushed::Unknown(Label::new(tunnel.span, "the server decides, and it was not read"));
    match tunnel.kind {
        TunnelKind::WireGuard | TunnelKind::OpenVpn => pushed(devices, tunnel),
        _ if tunnel.role != TunnelRole::Client => pushed(devices, tunnel),
        TunnelKind::Ipsec => match ipsec_servers(devices, tunnel).as_slice() {
            [server] => Pushed::By(server),
            _ => unknown(),
        },
        _ => unknown(),
    }
}
