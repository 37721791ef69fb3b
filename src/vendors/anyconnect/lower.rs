//! A profile to tunnels, one for each server.

use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Peer, Tunnel, TunnelKind, TunnelRole, TunnelSetting, ike};
use crate::source::Span;
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;

/// Servers that a file may have.
const MOST: usize = 10_000;

/// Elements that are made use of.
const UNDERSTOOD: &[&str] = &[
    "AlwaysOn",
    "ConnectFailurePolicy",
    "AllowCaptivePortalRemediation",
    "AllowVPNDisconnect",
    "AutomaticVPNPolicy",
    "TrustedNetworkPolicy",
    "UntrustedNetworkPolicy",
    "TrustedDNSDomains",
    "TrustedDNSServers",
    "LocalLanAccess",
    "HostEntry",
    "HostName",
    "HostAddress",
    "UserGroup",
    "PrimaryProtocol",
    "StandardAuthenticationOnly",
    "AuthMethodDuringIKENegotiation",
    "IKEIdentity",
    "ServerList",
    "BackupServerList",
    "IPProtocolSupport",
    "StrictCertificateTrust",
    "RestrictTunnelProtocols",
    "PPPExclusion",
    "ProxySettings",
    "AllowLocalProxyConnections",
    "AnyConnectProfile",
    "ClientInitialization",
    "CertificateStoreOverride",
    "BypassDownloader",
    "ClientCertificateThumbprint",
];

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let document = Document::read(file, reader.limits);
    reader.mark(file.whole(), LineState::Irrelevant);
    for problem in document.problems().iter().filter(|p| p.kind.loses()) {
        reader.incomplete(problem.span, LineState::Unrecognised, format!("not read from here on: {}", problem.text));
    }
    let Some(root) = document.root() else { return };
    for element in std::iter::once(root).chain(root.descendants()) {
        if UNDERSTOOD.contains(&element.local_name()) {
            reader.mark(element.tag_span(), LineState::Understood);
        }
        // Comments and preferences may hold what somebody meant to keep: `CertEnrollmentPin` and passwords of SCEP.
        if element.local_name().contains("Password") || element.local_name() == "CAURL" {
            let text = element.text();
            if text.len() > 1 && element.local_name() != "CAURL" && !text.contains("Allowed") {
                reader.secret(element.text_span());
            }
        }
    }
    let init = child(root, "ClientInitialization");
    let mut servers: Vec<Element<'_>> =
        child(root, "ServerList").into_iter().flat_map(|l| l.children()).filter(|e| e.local_name() == "HostEntry").collect();
    servers.truncate(MOST);
    if servers.is_empty() {
        reader.note(root.tag_span(), LineState::NotModelled, "the profile names no server: what it connects to is what the user types");
    }
    for server in servers {
        let tunnel = host(server, init);
        reader.device.tunnels.push(tunnel);
    }
}

fn child<'d>(element: Element<'d>, name: &str) -> Option<Element<'d>> {
    element.children().find(|e| e.local_name() == name)
}

/// A text that stands before further elements, as in `<AlwaysOn>true<ConnectFailurePolicy>…`.
fn value<'d>(element: Option<Element<'d>>, name: &str) -> Option<(String, Span, Element<'d>)> {
    let found = element.and_then(|e| e.descendants().find(|c| c.local_name() == name))?;
    let text = found.text().split_whitespace().next().unwrap_or("").to_owned();
    Some((text, found.tag_span(), found))
}

fn setting(tunnel: &mut Tunnel, name: &str, value: &str, span: Span) {
    tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.to_owned(), span });
}

fn host(server: Element<'_>, init: Option<Element<'_>>) -> Tunnel {
    let text = |name: &str| child(server, name).map(|e| (e.text().into_owned(), e.text_span())).filter(|t| !t.0.is_empty());
    let protocol = value(Some(server), "PrimaryProtocol");
    let ipsec = protocol.as_ref().is_some_and(|(p, ..)| p.eq_ignore_ascii_case("ipsec"));
    let kind = if ipsec { TunnelKind::Ipsec } else { TunnelKind::TlsVpn };
    let span = server.tag_span();
    let mut tunnel = Tunnel::new(kind, TunnelRole::Client, "", span);
    let (name, address) = (text("HostName"), text("HostAddress"));
    tunnel.name = name.as_ref().map(|n| n.0.clone());
    let backups = child(server, "BackupServerList").or_else(|| init.and_then(|i| child(i, "BackupServerList")));
    let backups = backups
        .into_iter()
        .flat_map(|l| l.children())
        .filter(|e| e.local_name() == "HostAddress")
        .map(|e| (e.text().into_owned(), e.text_span()));
    // Without an address, the name is one.
    for (host, at) in address.or(name).into_iter().chain(backups).take(64) {
        let (host, port) = split(&host);
        let mut peer = Peer::new(span);
        let (transport, default) = if ipsec { (17, 500) } else { (6, 443) };
        peer.endpoint = Some(Endpoint { host, port: port.unwrap_or(default), protocol: transport, span: at });
        tunnel.peers.push(peer);
    }
    // Which traffic goes in is a policy of the head end ("Split Tunneling" of the group policy).
    setting(&mut tunnel, "pull", "", span);
    if let Some((_, at, element)) = protocol.filter(|_| ipsec) {
        let offer = CryptoOffer::written(CryptoUse::IkeVersion, "2", at);
        tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Control, ..offer });
        let method = element.descendants().find(|e| e.local_name() == "AuthMethodDuringIKENegotiation");
        let proof = match method.map(|m| (m.text().into_owned(), m.text_span())) {
            Some((m, at)) if m.eq_ignore_ascii_case("IKE-RSA") => Some(("CERTIFICATE", at)),
            Some((m, at)) if m.to_ascii_uppercase().starts_with("EAP") => Some(("EAP", at)),
            _ => None,
        };
        if let Some((name, at)) = proof {
            ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, name, at);
        }
    }
    always_on(&mut tunnel, init);
    for name in [
        "AutomaticVPNPolicy",
        "TrustedNetworkPolicy",
        "UntrustedNetworkPolicy",
        "LocalLanAccess",
        "StrictCertificateTrust",
        "AllowVPNDisconnect",
        "AllowCaptivePortalRemediation",
        "IPProtocolSupport",
    ] {
        if let Some((text, at, _)) = value(init, name) {
            setting(&mut tunnel, name, &text, at);
        }
    }
    tunnel
}

/// Always-on with the failure policy `Closed` lets nothing out while the VPN is down ("Always-on VPN and Subordinate Features"); with `Open`, the
/// default of old profiles, everything goes out.
fn always_on(tunnel: &mut Tunnel, init: Option<Element<'_>>) {
    let Some((on, at, element)) = value(init, "AlwaysOn") else { return };
    setting(tunnel, "AlwaysOn", &on, at);
    if on != "true" {
        return;
    }
    let policy = element.descendants().find(|e| e.local_name() == "ConnectFailurePolicy");
    if let Some(policy) = policy {
        let word = policy.text().split_whitespace().next().unwrap_or("").to_owned();
        setting(tunnel, "ConnectFailurePolicy", &word, policy.tag_span());
        if word == "Closed" {
            // While it is up, what the head end leaves out of the tunnel goes around it.
            setting(tunnel, "closed-while-down", "", policy.tag_span());
        }
    }
}

/// `host[:port][/group]`, with or without a scheme.
fn split(text: &str) -> (String, Option<u16>) {
    let text = text.trim_start_matches("https://").split('/').next().unwrap_or("");
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host.to_owned(), port.parse().ok()),
        _ => (text.to_owned(), None),
    }
}
