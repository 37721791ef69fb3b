//! WireGuard, OpenVPN, PPTP, SSTP, OpenConnect.

use ipnetwork::IpNetwork;

use super::tree::At;
use super::{Context, ipsec};
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unsupported};
use crate::model::{
    CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Peer, Secret, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled, VpnRoute,
};
use crate::source::Span;
use crate::syntax::wireguard;
use crate::vendors::Reader;

/// Lowers all tunnels but IPsec.
pub(super) fn lower(reader: &mut Reader<'_>, cx: &Context<'_>) {
    for port in &cx.interfaces {
        match port.kind {
            "wireguard" => wireguard(reader, port.at),
            "openvpn" => openvpn(reader, port.at),
            "sstpc" | "pptp-client" | "l2tp-client" => client(reader, port.at, port.kind),
            _ => {}
        }
    }
    let Some(vpn) = cx.root.get("vpn") else { return };
    if let Some(at) = vpn.path(&["pptp", "remote-access"]) {
        let mut tunnel = Tunnel::new(TunnelKind::Pptp, TunnelRole::Server, "", at.line());
        tunnel.listen = Some((6, 1723, at.line()));
        users(at, &mut tunnel);
        at.mark_all(Understood);
        reader.device.tunnels.push(tunnel);
    }
    for (word, kind) in [("sstp", TunnelKind::Sstp), ("openconnect", TunnelKind::TlsVpn)] {
        let Some(at) = vpn.get(word) else { continue };
        let mut tunnel = Tunnel::new(kind, TunnelRole::Server, "", at.line());
        tunnel.name = Some(word.to_owned());
        let port = at.get("listen-ports").and_then(|l| l.value("tcp")).or(at.value("port"));
        tunnel.listen = Some((6, port.and_then(|p| p.word().parse().ok()).unwrap_or(443), port.map_or(at.line(), At::line)));
        users(at, &mut tunnel);
        if let Some(version) = at.value("tls-version-min") {
            let name = version.word().to_owned();
            tunnel
                .crypto
                .push(CryptoOffer { layer: CryptoLayer::Control, ..CryptoOffer::written(CryptoUse::TlsVersion, &name, version.line()) });
        }
        at.mark_all(Understood);
        reader.device.tunnels.push(tunnel);
    }
}

/// How users prove who they are.
pub(super) fn users(at: At<'_>, tunnel: &mut Tunnel) {
    let Some(authentication) = at.get("authentication") else { return };
    let mut protocols = authentication.all("protocols");
    protocols.extend(authentication.all("require"));
    for protocol in protocols {
        let name = protocol.word().to_ascii_uppercase().replace('-', "");
        tunnel.crypto.push(CryptoOffer::written(CryptoUse::Authentication, &name, protocol.line()));
    }
    let mode = authentication.get("mode");
    // OpenConnect: `mode local password`, `otp` or `password-otp`; a key that changes without a password is one factor.
    if let Some(local) = mode.and_then(|m| m.value("local")) {
        ipsec::second_factor(tunnel, local.word() == "password-otp", local.line());
    } else if let Some(mode) = authentication.value("mode").filter(|m| m.word() == "local") {
        ipsec::second_factor(tunnel, false, mode.line());
    }
}

fn client(reader: &mut Reader<'_>, at: At<'_>, kind: &str) {
    let kind = match kind {
        "sstpc" => TunnelKind::Sstp,
        "pptp-client" => TunnelKind::Pptp,
        _ => TunnelKind::L2tp,
    };
    if !at.has("disable") {
        let mut tunnel = Tunnel::new(kind, TunnelRole::Client, at.word(), at.line());
        if let Some(server) = at.value("server").or(at.value("server-ip")) {
            let mut peer = Peer::new(at.line());
            let port = if kind == TunnelKind::Pptp { 1723 } else { 443 };
            peer.endpoint = Some(Endpoint { host: server.word().to_owned(), port, protocol: 6, span: server.span() });
            tunnel.peers.push(peer);
        }
        reader.device.tunnels.push(tunnel);
    }
    at.mark_all(Understood);
}

fn addresses(at: At<'_>, tunnel: &mut Tunnel) {
    for address in at.all("address") {
        if let Ok(net) = address.word().parse::<IpNetwork>() {
            tunnel.addresses.push((net, address.span()));
        }
    }
}

/// Statements of interfaces that concern no check, in tunnels.
const QUIET: &[&str] = &[
    "description",
    "mtu",
    "ip",
    "ipv6",
    "vrf",
    "redirect",
    "mirror",
    "traffic-policy",
    "per-client-thread",
    "max-dns-retry",
    "hw-id",
    "firewall",
    "policy",
    "disable",
    "keep-alive",
    "persistent-tunnel",
    "device-type",
    "bridge-group",
    "local-host",
    "shared-secret-key-file",
    "offload",
    "server-bridge",
    "ip-version",
    "route-allowed-ips",
    "authentication",
    "interface",
    "qos",
    "qos-policy",
    "config-file",
    "enable-default-route",
];

fn wireguard(reader: &mut Reader<'_>, at: At<'_>) {
    let mut tunnel = Tunnel::new(TunnelKind::WireGuard, TunnelRole::Peer, at.word(), at.line());
    addresses(at, &mut tunnel);
    if let Some(value) = at.value("private-key") {
        // Before 1.4 it is the name of a key that lies elsewhere.
        if wireguard::is_key(value.word()) {
            tunnel.private_key = Some(Secret(value.span()));
            tunnel.public_key = wireguard::public_key(value.word()).map(|k| (k, value.span()));
        }
    }
    let port = at.value("port").or(at.value("listen-port"));
    if let Some((port, span)) = port.and_then(|p| Some((p.word().parse().ok()?, p.line()))) {
        tunnel.listen = Some((17, port, span));
    }
    if let Some(mark) = at.value("fwmark") {
        tunnel.settings.push(TunnelSetting { name: "FwMark".into(), value: mark.word().to_owned(), span: mark.line() });
    }
    // EdgeOS makes routes of allowed addresses unless it is told not to; VyOS makes none.
    let routes = at.is("route-allowed-ips", "true");
    for peer in at.all("peer") {
        if peer.has("disable") {
            peer.mark_all(Irrelevant);
            continue;
        }
        let mut made = Peer::new(peer.line());
        // The peer of EdgeOS is called by its key.
        if wireguard::looks_like_key(peer.word()) {
            made.public_key = Some((peer.word().to_owned(), peer.span()));
            made.name = peer.text("description").map(str::to_owned);
        } else {
            made.name = Some(peer.word().to_owned());
            made.public_key = peer.value("public-key").or(peer.value("pubkey")).map(|k| (k.word().to_owned(), k.span()));
        }
        made.preshared_key = peer.value("preshared-key").filter(|k| !k.word().is_empty()).map(|k| Secret(k.span()));
        for list in peer.all("allowed-ips") {
            for item in list.word().split(',') {
                match item.trim().parse::<IpNetwork>() {
                    Ok(net) => {
                        made.allowed.push((net, list.span()));
                        if routes {
                            tunnel.routes.push(route(net, list.span()));
                        }
                    }
                    Err(_) => list.note(Unsupported, format!("{item} is no network")),
                }
            }
        }
        let host = peer.value("address").or(peer.value("host-name"));
        let endpoint = match (host, peer.value("port"), peer.value("endpoint")) {
            (Some(host), port, _) => port.and_then(|p| p.word().parse().ok()).map(|port| (host.word().to_owned(), port, host.line())),
            (None, _, Some(both)) => both
                .word()
                .rsplit_once(':')
                .and_then(|(host, port)| Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?, both.line()))),
            _ => None,
        };
        made.endpoint = endpoint.map(|(host, port, span)| Endpoint { host, port, protocol: 17, span });
        made.keepalive = peer.text("persistent-keepalive").and_then(|k| k.parse().ok());
        peer.mark_all(Understood);
        tunnel.peers.push(made);
    }
    for part in at.children().filter(|p| QUIET.contains(&p.word())) {
        if !matches!(part.word(), "firewall" | "policy") {
            part.mark_all(Irrelevant);
        }
    }
    if !at.has("disable") {
        reader.device.tunnels.push(tunnel);
    }
}

fn route(to: IpNetwork, span: Span) -> VpnRoute {
    VpnRoute { to, excluded: false, span }
}

/// Ciphers of `encryption cipher` by the names of the model (`openvpn_translate` of vyos-1x).
fn cipher(text: &str) -> String {
    match text {
        "none" => "NULL".into(),
        "des" => "DES-CBC".into(),
        "3des" => "3DES-CBC".into(),
        "bf128" => "BF-128-CBC".into(),
        "bf256" => "BF-256-CBC".into(),
        "aes128" => "AES-128-CBC".into(),
        "aes192" => "AES-192-CBC".into(),
        "aes256" => "AES-256-CBC".into(),
        "aes128gcm" => "AES-128-GCM".into(),
        "aes192gcm" => "AES-192-GCM".into(),
        "aes256gcm" => "AES-256-GCM".into(),
        other => other.to_ascii_uppercase(),
    }
}

fn openvpn(reader: &mut Reader<'_>, at: At<'_>) {
    let role = match at.text("mode") {
        Some("server") => TunnelRole::Server,
        Some("client") => TunnelRole::Client,
        _ => TunnelRole::Peer,
    };
    let mut tunnel = Tunnel::new(TunnelKind::OpenVpn, role, at.word(), at.line());
    for address in at.all("local-address") {
        if let Ok(net) = address.word().parse::<IpNetwork>() {
            tunnel.addresses.push((net, address.span()));
        }
        address.mark_all(Understood);
    }
    let protocol = match at.text("protocol") {
        Some(p) if p.starts_with("tcp") => 6,
        _ => 17,
    };
    if role != TunnelRole::Client {
        let port = at.value("local-port");
        let number = port.and_then(|p| p.word().parse().ok()).unwrap_or(1194);
        tunnel.listen = Some((protocol, number, port.map_or(at.line(), At::line)));
    }
    let remote_port = at.text("remote-port").and_then(|p| p.parse().ok()).unwrap_or(1194);
    for host in at.all("remote-host") {
        let mut peer = Peer::new(host.line());
        peer.endpoint = Some(Endpoint { host: host.word().to_owned(), port: remote_port, protocol, span: host.span() });
        tunnel.peers.push(peer);
    }
    at.all("remote-address").iter().for_each(|r| r.mark_all(Irrelevant));
    let data = CryptoLayer::Data;
    let mut add = |usage, layer, name: &str, span| tunnel.crypto.push(CryptoOffer { layer, ..CryptoOffer::written(usage, name, span) });
    if let Some(encryption) = at.get("encryption") {
        let mut list: Vec<At<'_>> = Vec::new();
        for word in ["cipher", "ncp-ciphers", "data-ciphers", "data-ciphers-fallback"] {
            list.extend(encryption.all(word));
        }
        // Before 1.2.6: `encryption aes256`.
        if list.is_empty() {
            list.extend(at.value("encryption"));
        }
        for value in list {
            add(CryptoUse::Cipher, data, &cipher(value.word()), value.line());
        }
        encryption.get("disable-ncp").into_iter().for_each(|d| d.mark_all(Understood));
    }
    if let Some(hash) = at.value("hash") {
        add(CryptoUse::Digest, data, hash.word(), hash.line());
    }
    if let Some(tls) = at.get("tls") {
        if let Some(version) = tls.value("tls-version-min") {
            add(CryptoUse::TlsVersion, CryptoLayer::Control, version.word(), version.line());
        }
        add(CryptoUse::Authentication, CryptoLayer::Control, "CERTIFICATE", tls.line());
        tls.mark_all(Understood);
    }
    let secret = at.value("shared-secret-key").or(at.value("shared-secret-key-file"));
    if let Some(secret) = secret {
        add(CryptoUse::Authentication, CryptoLayer::Control, "PSK", secret.line());
        secret.mark_all(Understood);
    }
    if at.get("use-lzo-compression").is_some() {
        add(CryptoUse::Compression, data, "LZO", at.get("use-lzo-compression").map_or(at.line(), At::line));
    }
    if let Some(server) = at.get("server") {
        for (word, _) in [("push-route", ()), ("route", ())] {
            for value in server.all(word) {
                if let Ok(net) = value.word().parse() {
                    tunnel.routes.push(route(net, value.span()));
                }
            }
        }
        if let Some(mfa) = server.get("mfa") {
            ipsec::second_factor(&mut tunnel, true, mfa.line());
        }
        server.mark_all(Understood);
    }
    if at.has("replace-default-route") {
        for net in ["0.0.0.0/0"] {
            if let Ok(net) = net.parse() {
                tunnel.routes.push(route(net, at.line()));
            }
        }
    }
    for option in at.all("openvpn-option") {
        option.mark_all(Understood);
        let text = option.word().trim_start_matches('-');
        let (name, value) = text.split_once(' ').unwrap_or((text, ""));
        tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.trim().to_owned(), span: option.line() });
        match name {
            "comp-lzo" | "compress" => {
                tunnel.crypto.push(CryptoOffer { layer: data, ..CryptoOffer::written(CryptoUse::Compression, "LZO", option.line()) });
            }
            "up" | "route-up" | "plugin" | "config" => {
                option.note(NotModelled, format!("`{name}` may change routes, DNS or the packet filter"));
                tunnel.unmodelled.push(Unmodelled::anything(option.line()));
            }
            "redirect-gateway" | "route" | "push" => tunnel.unmodelled.push(Unmodelled::routes(option.line())),
            _ => {}
        }
    }
    for part in at.children().filter(|p| QUIET.contains(&p.word())) {
        if !matches!(part.word(), "firewall" | "policy") {
            part.mark_all(Irrelevant);
        }
    }
    if !at.has("disable") {
        reader.device.tunnels.push(tunnel);
    }
}
