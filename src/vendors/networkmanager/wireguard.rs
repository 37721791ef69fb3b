//! `type=wireguard`.

use ipnetwork::IpNetwork;

use super::ip::{Ip, words};
use super::lower::{mark_keys, push};
use super::profile::{Entry, Profile, Section};
use crate::diag::LineState;
use crate::model::{Endpoint, Peer, Secret, Tunnel, TunnelKind, TunnelRole, Unmodelled, VpnRoute};
use crate::syntax::wireguard as keys;
use crate::vendors::Reader;

pub(super) fn tunnel(reader: &mut Reader<'_>, profile: &Profile, connection: &Section) -> Tunnel {
    let own = profile.section("wireguard");
    let interface = connection.value("interface-name").unwrap_or("");
    let span = own.map_or(connection.span, |s| s.span);
    let mut tunnel = Tunnel::new(TunnelKind::WireGuard, TunnelRole::Peer, interface, span);
    if let Some(own) = own {
        mark_keys(
            reader,
            own,
            &["private-key", "listen-port", "peer-routes", "ip4-auto-default-route", "ip6-auto-default-route"],
            &["mtu", "fwmark", "private-key-flags"],
        );
        if let Some(key) = own.get("private-key").filter(|k| !keys::is_placeholder(&k.value)) {
            match keys::public_key(&key.value) {
                Some(public) => {
                    tunnel.private_key = Some(Secret(key.at));
                    tunnel.public_key = Some((public, key.span));
                }
                None => reader.note(key.span, LineState::Unsupported, "private-key is no key of WireGuard"),
            }
        }
        // 0 lets the kernel choose.
        tunnel.listen = own.get("listen-port").and_then(|e| Some((17, e.value.parse::<u16>().ok().filter(|p| *p != 0)?, e.span)));
    }
    for section in profile.sections.iter().filter(|s| s.name.starts_with("wireguard-peer.")) {
        tunnel.peers.push(peer(reader, section));
    }
    let open = tunnel.peers.iter().any(|p| p.endpoint.is_none());
    tunnel.role = match (tunnel.listen.is_some(), open, tunnel.peers.is_empty()) {
        (true, true, _) | (true, _, true) => TunnelRole::Server,
        (_, false, false) => TunnelRole::Client,
        _ => TunnelRole::Peer,
    };
    tunnel
}

fn peer(reader: &mut Reader<'_>, section: &Section) -> Peer {
    mark_keys(reader, section, &["endpoint", "allowed-ips", "persistent-keepalive", "preshared-key"], &["preshared-key-flags"]);
    let mut peer = Peer::new(section.span);
    let key = section.name.strip_prefix("wireguard-peer.").unwrap_or("");
    if keys::is_key(key) {
        peer.public_key = Some((key.to_owned(), section.span));
    } else {
        reader.note(section.span, LineState::Unsupported, "the name of this section is no public key");
    }
    peer.endpoint = section.get("endpoint").and_then(endpoint);
    peer.preshared_key = section.get("preshared-key").filter(|k| keys::is_key(&k.value)).map(|k| Secret(k.at));
    peer.keepalive = section.value("persistent-keepalive").and_then(|v| v.parse().ok());
    if let Some(allowed) = section.get("allowed-ips") {
        for word in words(&allowed.value) {
            match word.parse::<IpNetwork>().ok().and_then(|n| IpNetwork::new(n.network(), n.prefix()).ok()) {
                Some(net) => peer.allowed.push((net, allowed.at)),
                None => reader.note(allowed.span, LineState::Unsupported, "allowed-ips holds something that is no network"),
            }
        }
    }
    peer
}

fn endpoint(entry: &Entry) -> Option<Endpoint> {
    let (host, port) = entry.value.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(Endpoint { host: host.to_owned(), port: port.parse().ok()?, protocol: 17, span: entry.at })
}

/// `peer-routes`, on by default: routes for the AllowedIPs of every peer, but no default route where `never-default` is set
/// (nm-settings-nmcli(5), `wireguard.peer-routes`), and none of a family that is switched off.
pub(super) fn routes(tunnel: &mut Tunnel, profile: &Profile, ip: &Ip) {
    let own = profile.section("wireguard");
    if let Some(entry) = own.and_then(|s| s.get("peer-routes")).filter(|e| !super::profile::is_yes(&e.value)) {
        push(tunnel, "peer-routes", "no", entry.span);
        return;
    }
    if tunnel.role == TunnelRole::Server {
        return;
    }
    let all: Vec<(IpNetwork, crate::source::Span)> = tunnel.peers.iter().flat_map(|p| p.allowed.iter().copied()).collect();
    for (to, span) in all {
        let family = usize::from(to.is_ipv6());
        let everything = to.prefix() == 0;
        if ip.off[family] || (everything && ip.never_default[family].is_some()) {
            continue;
        }
        // Without rules of its own, a default route of WireGuard would catch its own packets (`ip4-auto-default-route`).
        let auto = own.and_then(|s| s.get(if family == 0 { "ip4-auto-default-route" } else { "ip6-auto-default-route" }));
        if let Some(entry) = auto.filter(|e| everything && matches!(e.value.as_str(), "0" | "false" | "no")) {
            tunnel.unmodelled.push(Unmodelled::routes(entry.span));
        }
        tunnel.routes.push(VpnRoute { to, excluded: false, span });
    }
}
