//! Connections to tunnels.

use ipnetwork::IpNetwork;

use crate::diag::LineState;
use crate::model::{
    CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Fact, Peer, Secret, Selector, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled,
    VpnRoute, ike,
};
use crate::source::Span;
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;

/// Connections that a file may have.
const MOST: usize = 10_000;

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let document = Document::read(file, reader.limits);
    // The rest of FortiClient (antivirus, web filter, logging) is of no interest to these checks.
    reader.mark(file.whole(), LineState::Irrelevant);
    for problem in document.problems().iter().filter(|p| p.kind.loses()) {
        reader.incomplete(problem.span, LineState::Unrecognised, format!("not read from here on: {}", problem.text));
    }
    let Some(root) = document.root() else { return };
    for element in root.descendants() {
        let name = element.name();
        let secret = ["password", "preshared_key", "token", "secret", "passphrase"].iter().any(|w| name.contains(w));
        // Switches such as `show_remember_password` hold 0 or 1.
        if secret && element.text().len() > 1 {
            reader.secret(element.text_span());
        }
    }
    let Some(vpn) = root.child("vpn") else { return };
    if let Some(part) = vpn.child("ipsecvpn") {
        let off = on(part.child("options"), "enabled") == Some(false);
        for connection in connections(part).filter(|_| !off) {
            let tunnel = ipsec(reader, connection, part.child("options"));
            reader.device.tunnels.push(tunnel);
        }
    }
    if let Some(part) = vpn.child("sslvpn") {
        let off = on(part.child("options"), "enabled") == Some(false);
        for connection in connections(part).filter(|_| !off) {
            let tunnel = ssl(reader, connection, part.child("options"));
            reader.device.tunnels.push(tunnel);
        }
    }
}

fn connections(part: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    part.child("connections").into_iter().flat_map(|c| c.children()).filter(|c| c.name() == "connection").take(MOST)
}

/// A switch of 0 or 1.
fn on(element: Option<Element<'_>>, name: &str) -> Option<bool> {
    match element?.child(name)?.text().as_ref() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

fn text(element: Option<Element<'_>>, name: &str) -> Option<(String, Span)> {
    let child = element?.child(name)?;
    let text = child.text().into_owned();
    (!text.is_empty()).then(|| (text, child.text_span()))
}

fn setting(tunnel: &mut Tunnel, name: &str, value: &str, span: Span) {
    tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.to_owned(), span });
}

/// Marks the elements within as understood.
fn mark(reader: &mut Reader<'_>, element: Option<Element<'_>>) {
    for child in element.into_iter().flat_map(|e| e.descendants()) {
        reader.mark(child.tag_span(), LineState::Understood);
    }
}

fn peers(tunnel: &mut Tunnel, server: Option<(String, Span)>, protocol: u8, port: u16, span: Span) {
    let Some((list, at)) = server else {
        tunnel.peers.push(Peer::new(span));
        return;
    };
    // Several gateways stand between semicolons.
    for host in list.split(';').map(str::trim).filter(|h| !h.is_empty()).take(64) {
        let (host, own) = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => (name, port.parse().ok()),
            _ => (host, None),
        };
        let mut peer = Peer::new(span);
        peer.endpoint = Some(Endpoint { host: host.to_owned(), port: own.unwrap_or(port), protocol, span: at });
        tunnel.peers.push(peer);
    }
}

/// `AES256|SHA256`; GCM and ChaCha stand alone or with a pseudo-random function.
fn proposals(tunnel: &mut Tunnel, settings: Option<Element<'_>>, layer: CryptoLayer) {
    let all = settings.and_then(|s| s.child("proposals")).into_iter().flat_map(|p| p.children());
    for proposal in all.filter(|p| p.name() == "proposal") {
        let (text, span) = (proposal.text().to_ascii_uppercase(), proposal.text_span());
        let (cipher, digest) = text.split_once('|').unwrap_or((&text, ""));
        if cipher.is_empty() {
            continue;
        }
        let name = ike::cipher(&cipher.replace(['-', '_'], ""), None);
        ike::offer(&mut tunnel.crypto, CryptoUse::Cipher, layer, &name, span);
        match digest.strip_prefix("PRF") {
            Some(prf) => ike::offer(&mut tunnel.crypto, CryptoUse::Prf, layer, &ike::digest(prf), span),
            None if digest.is_empty() || digest == "NULL" => {}
            None => ike::offer(&mut tunnel.crypto, CryptoUse::Digest, layer, &ike::digest(digest), span),
        }
    }
}

fn groups(tunnel: &mut Tunnel, settings: Option<Element<'_>>, layer: CryptoLayer) {
    if let Some((list, span)) = text(settings, "dhgroup") {
        for number in list.split([';', ',', ' ']).filter(|n| !n.is_empty()) {
            ike::offer(&mut tunnel.crypto, CryptoUse::KeyExchange, layer, &ike::group(number), span);
        }
    }
}

fn ipsec(reader: &mut Reader<'_>, connection: Element<'_>, options: Option<Element<'_>>) -> Tunnel {
    let span = connection.tag_span();
    let (ike_part, ipsec_part) = (connection.child("ike_settings"), connection.child("ipsec_settings"));
    reader.mark(span, LineState::Understood);
    mark(reader, connection.child("name"));
    [ike_part, ipsec_part].into_iter().for_each(|p| mark(reader, p));
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, TunnelRole::Client, "", span);
    tunnel.name = text(Some(connection), "name").map(|n| n.0);
    let control = CryptoLayer::Control;
    // Version 1 and main mode are the defaults ("IKE settings").
    let version = text(ike_part, "version");
    let aggressive = text(ike_part, "mode").filter(|m| m.0.eq_ignore_ascii_case("aggressive"));
    let number = version.as_ref().map_or("1", |v| v.0.as_str());
    let (name, at, default) = match (number, &aggressive) {
        ("2", _) => ("2", version.as_ref().map_or(span, |v| v.1), false),
        (_, Some((_, at))) => ("1-AGGRESSIVE", *at, false),
        _ => ("1", version.as_ref().map_or(span, |v| v.1), version.is_none()),
    };
    let offer = CryptoOffer::written(CryptoUse::IkeVersion, name, at);
    tunnel.crypto.push(CryptoOffer { layer: control, default, ..offer });
    proposals(&mut tunnel, ike_part, control);
    groups(&mut tunnel, ike_part, control);
    proposals(&mut tunnel, ipsec_part, CryptoLayer::Data);
    match text(ipsec_part, "pfs") {
        Some((value, at)) if value == "0" => ike::offer(&mut tunnel.crypto, CryptoUse::KeyExchange, CryptoLayer::Data, "NONE", at),
        _ => groups(&mut tunnel, ipsec_part, CryptoLayer::Data),
    }
    peers(&mut tunnel, text(ike_part, "server"), 17, 500, span);
    authentication(&mut tunnel, ike_part, number == "2");
    networks(&mut tunnel, ipsec_part, span);
    block_ipv6(&mut tunnel, options);
    if let Some((id, at)) = text(ike_part, "localid") {
        setting(&mut tunnel, "local-id", &id, at);
    }
    if let Some((id, at)) = text(ike_part, "peerid") {
        setting(&mut tunnel, "remote-id", &id, at);
    }
    tunnel
}

fn authentication(tunnel: &mut Tunnel, part: Option<Element<'_>>, two: bool) {
    let mut certificate = false;
    if let Some((method, at)) = text(part, "authentication_method") {
        let shared = method.to_ascii_lowercase().contains("preshared");
        certificate = !shared;
        ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, if shared { "PSK" } else { "CERTIFICATE" }, at);
        let key = part.and_then(|p| p.child("auth_data")).and_then(|a| a.child("preshared_key")).filter(|k| k.text().len() > 1);
        if let (true, Some(key), Some(peer)) = (shared, key, tunnel.peers.first_mut()) {
            peer.preshared_key = Some(Secret(key.text_span()));
        }
    }
    let xauth = part.and_then(|p| p.child("xauth")).filter(|x| on(Some(*x), "enabled") == Some(true));
    let eap = part.and_then(|p| p.child("eap_method")).filter(|e| two && !e.text().is_empty());
    if let Some(element) = xauth.or(eap) {
        let at = element.tag_span();
        ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, if two { "EAP" } else { "XAUTH" }, at);
        // A token may be asked for too, which only the gateway knows.
        tunnel.second_factor = certificate.then(|| Fact::written(true, at));
    }
}

/// `remote_networks`: what goes in; with addresses from the gateway it may say less.
fn networks(tunnel: &mut Tunnel, part: Option<Element<'_>>, span: Span) {
    let list = part.and_then(|p| p.child("remote_networks")).into_iter().flat_map(|n| n.children()).filter(|n| n.name() == "network");
    let mut remote = Vec::new();
    for network in list {
        let at = network.tag_span();
        let address = text(Some(network), "addr").and_then(|a| a.0.parse().ok());
        let mask = text(Some(network), "mask").map(|m| m.0);
        let length = mask.as_deref().and_then(|m| m.parse::<u8>().ok().or_else(|| ipnetwork::ipv4_mask_to_prefix(m.parse().ok()?).ok()));
        match address.zip(length).and_then(|(a, l)| IpNetwork::new(a, l).ok()).and_then(|n| IpNetwork::new(n.network(), n.prefix()).ok()) {
            Some(to) => {
                tunnel.routes.push(VpnRoute { to, excluded: false, span: at });
                remote.push(to);
            }
            None => tunnel.unmodelled.push(Unmodelled::routes(at)),
        }
    }
    if remote.is_empty() {
        return setting(tunnel, "pull", "", span);
    }
    tunnel.selectors.push(Selector { local: Vec::new(), remote, span });
}

/// IPv6 is blocked while the tunnel is up: how is not modelled.
fn block_ipv6(tunnel: &mut Tunnel, options: Option<Element<'_>>) {
    if let Some(element) = options.and_then(|o| o.child("block_ipv6")).filter(|e| e.text() == "1") {
        setting(tunnel, "block_ipv6", "1", element.tag_span());
        tunnel.unmodelled.push(Unmodelled { routes: false, filter: true, names: false, span: element.tag_span() });
    }
}

fn ssl(reader: &mut Reader<'_>, connection: Element<'_>, options: Option<Element<'_>>) -> Tunnel {
    let span = connection.tag_span();
    reader.mark(span, LineState::Understood);
    for child in connection.children() {
        reader.mark(child.tag_span(), LineState::Understood);
    }
    let mut tunnel = Tunnel::new(TunnelKind::TlsVpn, TunnelRole::Client, "", span);
    tunnel.name = text(Some(connection), "name").map(|n| n.0);
    peers(&mut tunnel, text(Some(connection), "server"), 6, 443, span);
    // Split tunnelling is a setting of the portal.
    setting(&mut tunnel, "pull", "", span);
    if let Some(control) = connection.child("traffic_control").filter(|c| on(Some(*c), "enabled") == Some(true)) {
        reader.note(control.tag_span(), LineState::NotModelled, "applications and names that are kept out of the tunnel are not modelled");
        tunnel.unmodelled.push(Unmodelled::routes(control.tag_span()));
    }
    for name in ["warn_invalid_server_certificate", "allow_invalid_server_certificate", "sso_enabled", "keep_running"] {
        let found = text(Some(connection), name).or_else(|| text(options, name));
        if let Some((value, at)) = found {
            setting(&mut tunnel, name, &value, at);
        }
    }
    block_ipv6(&mut tunnel, options);
    tunnel
}
