//! What connections of both files have in common: traffic selectors, rounds of authentication, roles, shunts.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::words::list;
use crate::diag::LineState;
use crate::model::{
    CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Fact, Peer, Selector, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled,
    VpnRoute, ike,
};
use crate::net::{parse_cidr, to_ip};
use crate::source::Span;
use crate::vendors::Reader;

/// One side of a traffic selector.
#[derive(Clone, Debug)]
pub(super) struct Ts {
    /// Its network; `None` for what only shows when the tunnel is up.
    pub net: Option<IpNetwork>,
    /// The outer address, or the virtual one.
    pub dynamic: bool,
    /// Of one protocol or port only.
    pub limited: bool,
}

/// A network, an address, or a network with a dotted mask.
pub(super) fn network(text: &str) -> Option<IpNetwork> {
    let (family, lo, hi) = parse_cidr(text)?;
    let length = (hi - lo).checked_add(1).map_or(0, |size| u32::from(family.bits()) - size.trailing_zeros());
    IpNetwork::new(to_ip(family, lo), u8::try_from(length).ok()?).ok()
}

/// Selectors of a list: `10.1.0.0/16[tcp/80],dynamic` (swanctl.conf(5), `local_ts`; ipsec.conf(5), `leftsubnet`).
pub(super) fn selectors(text: &str) -> Vec<Ts> {
    list(text)
        .map(|item| {
            let (net, limit) = item.split_once('[').map_or((item, ""), |(net, rest)| (net, rest.trim_end_matches(']')));
            let limited = !matches!(limit, "" | "any" | "%any" | "0" | "any/any" | "%any/%any" | "/" | "any/" | "0/0");
            // `vhost:%priv` and `vnet:` of libreswan: whatever private address the client has.
            let dynamic = matches!(net, "dynamic" | "%dynamic" | "") || net.starts_with("vhost:") || net.starts_with("vnet:");
            Ts { net: network(net), dynamic, limited }
        })
        .collect()
}

/// Both ends of a connection, as far as they are addresses.
#[derive(Default)]
pub(super) struct Ends {
    pub local: Option<IpAddr>,
    pub remote: Option<IpAddr>,
    /// This end asks for an address.
    pub asks: bool,
    /// Addresses that this end hands out.
    pub pools: Vec<IpNetwork>,
}

/// Adds a pair of selectors to a tunnel, with the routes that it is for a client.
pub(super) fn select(reader: &mut Reader<'_>, tunnel: &mut Tunnel, ends: &Ends, sides: (&[Ts], &[Ts]), transport: bool, span: Span) {
    let (local, remote) = sides;
    let host = |a: IpAddr| IpNetwork::from(a);
    let own: Vec<IpNetwork> = match (ends.asks, tunnel.addresses.is_empty()) {
        (_, false) => tunnel.addresses.iter().map(|a| a.0).collect(),
        (true, true) => Vec::new(),
        (false, true) => ends.local.map(host).into_iter().collect(),
    };
    let far = if ends.pools.is_empty() { ends.remote.map(host).into_iter().collect() } else { ends.pools.clone() };
    let resolve = |list: &[Ts], dynamic: &[IpNetwork]| -> Vec<IpNetwork> {
        list.iter().flat_map(|t| if t.dynamic { dynamic.to_vec() } else { t.net.into_iter().collect() }).collect()
    };
    let unread = local.iter().chain(remote).any(|t| t.net.is_none() && !t.dynamic);
    if unread {
        reader.note(span, LineState::NotModelled, "a traffic selector that is neither a network nor dynamic is not modelled");
        tunnel.unmodelled.push(Unmodelled::routes(span));
    }
    let (local_nets, remote_nets) = (resolve(local, &own), resolve(remote, &far));
    let limited = local.iter().chain(remote).any(|t| t.limited);
    if tunnel.role != TunnelRole::Server && !transport {
        let routes = remote.iter().filter(|t| !t.limited && !t.dynamic).filter_map(|t| t.net);
        tunnel.routes.extend(routes.map(|to| VpnRoute { to, excluded: false, span }));
        if limited {
            tunnel.unmodelled.push(Unmodelled::routes(span));
        }
    }
    if limited {
        reader.note(span, LineState::NotModelled, "that the tunnel takes only some protocols or ports is not modelled");
    }
    tunnel.selectors.push(Selector { local: local_nets, remote: remote_nets, span });
}

/// A round of authentication of one end.
pub(super) struct Round {
    /// In the words of strongSwan (`pubkey`, `eap-mschapv2`) or of libreswan (`rsasig`, `secret`).
    pub auth: String,
    pub span: Span,
    /// Nothing is written.
    pub default: bool,
}

/// What a round proves with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// A key or certificate.
    Has,
    /// A password.
    Knows,
    /// A key that several may share.
    Shared,
    /// It is decided elsewhere (RADIUS).
    Elsewhere,
}

impl Round {
    fn name(&self) -> (String, Proof) {
        let word = self.auth.to_ascii_lowercase();
        let word = word.strip_prefix("ike:").unwrap_or(&word);
        let (word, _) = word.split_once(':').unwrap_or((word, ""));
        match word {
            "psk" | "secret" => ("PSK".into(), Proof::Shared),
            "null" => ("NONE".into(), Proof::Shared),
            "eap-tls" | "tls" => ("EAP-TLS".into(), Proof::Has),
            "eap-mschapv2" | "eap-md5" | "eap-gtc" => (word.to_ascii_uppercase(), Proof::Knows),
            "eaponly" => ("EAP".into(), Proof::Elsewhere),
            "xauth-eap" | "xauth-radius" | "xauth-pam" => ("XAUTH".into(), Proof::Elsewhere),
            w if w.starts_with("xauth") => ("XAUTH".into(), Proof::Knows),
            w if w.starts_with("eap") => (w.to_ascii_uppercase(), Proof::Elsewhere),
            w if w.starts_with("ecdsa") || w.starts_with("ed25519") || w.starts_with("ed448") => ("ECDSA".into(), Proof::Has),
            w if w.starts_with("pubkey") || w.starts_with("rsa") || w.starts_with("bliss") => ("CERTIFICATE".into(), Proof::Has),
            w => (w.to_ascii_uppercase(), Proof::Elsewhere),
        }
    }
}

/// Adds the ways in which the ends prove who they are, and whether users need two of them.
pub(super) fn authenticate(tunnel: &mut Tunnel, local: &[Round], remote: &[Round]) {
    for round in local.iter().chain(remote) {
        let (name, _) = round.name();
        let at = tunnel.crypto.len();
        ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, &name, round.span);
        if let Some(offer) = tunnel.crypto.get_mut(at) {
            offer.default = round.default;
        }
    }
    let users = match tunnel.role {
        TunnelRole::Server => remote,
        TunnelRole::Client => local,
        TunnelRole::Peer => return,
    };
    let proofs: Vec<Proof> = users.iter().map(|r| r.name().1).collect();
    let Some(span) = users.first().map(|r| r.span) else { return };
    let has = proofs.contains(&Proof::Has);
    let more = proofs.iter().any(|p| matches!(p, Proof::Knows | Proof::Elsewhere));
    // A certificate alone may be on a token behind a PIN, and RADIUS may ask for whatever it likes: neither can be told.
    tunnel.second_factor = match (has, more, proofs.contains(&Proof::Elsewhere)) {
        (true, true, _) => Some(Fact::written(true, span)),
        (false, _, false) => Some(Fact::written(false, span)),
        _ => None,
    };
}

/// Adds the versions of IKE.
pub(super) fn versions(tunnel: &mut Tunnel, list: &[(&str, bool, bool)], aggressive: Option<Span>, span: Span) {
    for (version, default, perhaps) in list {
        let aggressive = aggressive.filter(|_| *version == "1");
        let name = if aggressive.is_some() { "1-AGGRESSIVE" } else { version };
        let offer = CryptoOffer::written(CryptoUse::IkeVersion, name, aggressive.unwrap_or(span));
        tunnel.crypto.push(CryptoOffer {
            layer: CryptoLayer::Control,
            default: *default && aggressive.is_none(),
            perhaps: *perhaps,
            ..offer
        });
    }
}

/// A tunnel of IPsec with its name and its far ends.
pub(super) fn tunnel(role: TunnelRole, name: &str, span: Span) -> Tunnel {
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, role, "", span);
    tunnel.name = Some(name.to_owned());
    tunnel
}

/// The far end at a host.
pub(super) fn peer(host: Option<(&str, Span)>, port: u16, span: Span) -> Peer {
    let mut peer = Peer::new(span);
    peer.endpoint = host.map(|(host, span)| Endpoint { host: host.to_owned(), port, protocol: 17, span });
    peer
}

/// Whether a host is none in particular.
pub(super) fn is_any(host: &str) -> bool {
    matches!(
        host,
        "" | "%any" | "%any4" | "%any6" | "0.0.0.0" | "::" | "0.0.0.0/0" | "::/0" | "%group" | "%opportunistic" | "%opportunisticgroup"
    ) || host.contains('/')
        || host.contains('*')
}

/// Adds a setting, if it is written.
pub(super) fn setting(tunnel: &mut Tunnel, name: &str, value: Option<(&str, Span)>) {
    if let Some((value, span)) = value {
        tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.to_owned(), span });
    }
}

/// Traffic that a policy keeps out of every tunnel, or drops.
pub(super) enum Shunt {
    /// Past IPsec.
    Pass(Vec<Ts>, Span),
    /// Dropped.
    Drop(Span),
}

/// Applies the shunts of a file to its tunnels: the kernel prefers the narrower selector, as the longest prefix of a route.
pub(super) fn apply(reader: &mut Reader<'_>, shunts: &[Shunt]) {
    for shunt in shunts {
        let span = match shunt {
            Shunt::Pass(_, span) | Shunt::Drop(span) => *span,
        };
        if matches!(shunt, Shunt::Drop(_)) {
            reader.note(span, LineState::NotModelled, "a policy that drops traffic is not modelled as a rule of a packet filter");
        }
        for tunnel in reader.device.tunnels.iter_mut().filter(|t| t.role != TunnelRole::Server) {
            match shunt {
                Shunt::Pass(list, _) if list.iter().all(|t| t.net.is_some() && !t.limited) => {
                    let routes = list.iter().filter_map(|t| t.net);
                    tunnel.routes.extend(routes.map(|to| VpnRoute { to, excluded: true, span }));
                }
                Shunt::Pass(..) => tunnel.unmodelled.push(Unmodelled::routes(span)),
                Shunt::Drop(_) => tunnel.unmodelled.push(Unmodelled::anything(span)),
            }
        }
    }
}
