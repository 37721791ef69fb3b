//! Routes and gateways: what goes into the tunnel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use super::parse::Directive;
use crate::model::VpnRoute;
use crate::source::Span;

/// What `redirect-gateway ipv6` adds: `::/3`, `2000::/4`, `3000::/4` and `fc00::/7` (OpenVPN's `init_route_ipv6_list` in init.c, since 2.4).
/// Together they hold all of global unicast, 2000::/3, and unique local addresses.
const IPV6: [(u16, u8); 4] = [(0, 3), (0x2000, 4), (0x3000, 4), (0xfc00, 7)];

/// The state of `redirect-gateway`, which lines add to in their order.
#[derive(Default, Debug)]
pub(super) struct Redirect {
    v4: Option<Span>,
    halves: bool,
    v6: Option<Span>,
}

impl Redirect {
    /// Takes in a line; the flag that OpenVPN does not know, if there is one.
    pub fn add<'d>(&mut self, directive: &'d Directive<'_>) -> Option<&'d str> {
        self.v4 = Some(directive.span);
        let mut unknown = None;
        for (word, text) in directive.args.iter().map(|w| (w, w.text.as_str())) {
            match text {
                "def1" => self.halves = true,
                "ipv6" => self.v6 = Some(word.span),
                "!ipv4" => self.v4 = None,
                // These say how the server, the LAN, DHCP and DNS servers stay reachable: kept as a setting.
                "local" | "autolocal" | "bypass-dhcp" | "bypass-dns" | "block-local" => {}
                other => unknown = Some(other),
            }
        }
        unknown
    }

    /// The routes that result.
    pub fn routes(&self) -> Vec<VpnRoute> {
        let mut out = Vec::new();
        let mut add = |address: IpAddr, length: u8, span: Span| {
            out.extend(IpNetwork::new(address, length).ok().map(|to| VpnRoute { to, excluded: false, span }));
        };
        if let Some(span) = self.v4 {
            if self.halves {
                add(Ipv4Addr::UNSPECIFIED.into(), 1, span);
                add(Ipv4Addr::new(128, 0, 0, 0).into(), 1, span);
            } else {
                add(Ipv4Addr::UNSPECIFIED.into(), 0, span);
            }
        }
        if let Some(span) = self.v6 {
            IPV6.iter().for_each(|(head, length)| add(Ipv6Addr::new(*head, 0, 0, 0, 0, 0, 0, 0).into(), *length, span));
        }
        out
    }
}

/// A `route` or `route-ipv6` as read.
#[derive(Debug)]
pub(super) enum Routed {
    /// Through the tunnel.
    Tunnel(IpNetwork),
    /// Around it: `net_gateway`.
    Around(IpNetwork),
    /// Through the gateway named, which may be in the tunnel or not.
    Via(IpNetwork, IpAddr),
    /// To or around the server itself or the gateway: of no consequence for others.
    Host,
    /// The destination or gateway is a name.
    Name,
    /// Not an address, a mask or a length.
    Wrong,
}

/// Reads `route network [netmask [gateway [metric]]]` or `route-ipv6 network/length [gateway [metric]]` (openvpn(8)).
pub(super) fn route(directive: &Directive<'_>) -> Routed {
    let v6 = directive.name == "route-ipv6";
    let said = |i: usize| Some(directive.arg(i)).filter(|a| !a.is_empty() && *a != "default");
    let to = if v6 {
        match network6(directive.arg(0)) {
            Some(net) => IpNetwork::V6(net),
            None => return Routed::Wrong,
        }
    } else {
        if matches!(directive.arg(0), "remote_host" | "vpn_gateway" | "net_gateway") {
            return Routed::Host;
        }
        let Some(mask) = said(1).map_or(Some(32), mask) else { return Routed::Wrong };
        match directive.arg(0).parse::<Ipv4Addr>() {
            Ok(address) => match Ipv4Network::new(address, mask) {
                Ok(net) => IpNetwork::V4(Ipv4Network::new(net.network(), mask).unwrap_or(net)),
                Err(_) => return Routed::Wrong,
            },
            Err(_) if directive.arg(0).is_empty() || directive.arg(0).contains('/') => return Routed::Wrong,
            Err(_) => return Routed::Name,
        }
    };
    match said(if v6 { 1 } else { 2 }) {
        None | Some("vpn_gateway") => Routed::Tunnel(to),
        Some("net_gateway") => Routed::Around(to),
        Some(gateway) => gateway.parse().map_or(Routed::Name, |g| Routed::Via(to, g)),
    }
}

/// The length of a dotted netmask.
pub(super) fn mask(text: &str) -> Option<u8> {
    ipnetwork::ipv4_mask_to_prefix(text.parse().ok()?).ok()
}

/// `address/length`; without a length, one address.
fn network6(text: &str) -> Option<Ipv6Network> {
    let (address, length) = text.split_once('/').unwrap_or((text, "128"));
    let net = Ipv6Network::new(address.parse().ok()?, length.parse().ok()?).ok()?;
    Ipv6Network::new(net.network(), net.prefix()).ok()
}

/// The address that a server takes of its network: the first after the network's own (openvpn(8), `--server`, `--server-ipv6`).
pub(super) fn first_host(net: IpNetwork) -> Option<IpNetwork> {
    match net {
        IpNetwork::V4(n) => IpNetwork::new(Ipv4Addr::from(u32::from(n.network()).checked_add(1)?).into(), n.prefix()).ok(),
        IpNetwork::V6(n) => IpNetwork::new(Ipv6Addr::from(u128::from(n.network()).checked_add(1)?).into(), n.prefix()).ok(),
    }
}

/// Address and netmask, or address and the other end's address (a point-to-point link).
pub(super) fn ifconfig(address: &str, second: &str) -> Option<(IpNetwork, Option<IpAddr>)> {
    let address: Ipv4Addr = address.parse().ok()?;
    // A mask of 255.x is no unicast address, so the two cannot be confused.
    match mask(second).filter(|_| second.starts_with("255.")) {
        Some(length) => Some((IpNetwork::new(address.into(), length).ok()?, None)),
        None => Some((IpNetwork::new(address.into(), 32).ok()?, second.parse().ok())),
    }
}

/// `address/length` of IPv6, host bits kept.
pub(super) fn address6(text: &str) -> Option<IpNetwork> {
    let (address, length) = text.split_once('/')?;
    Some(IpNetwork::V6(Ipv6Network::new(address.parse().ok()?, length.parse().ok()?).ok()?))
}
