//! `Get-VpnConnection | ConvertTo-Json`.

use super::offers;
use crate::diag::LineState;
use crate::model::{
    CryptoLayer, CryptoUse, Dns, Endpoint, Fact, Peer, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled, VpnRoute, ike,
};
use crate::source::{SourceFile, Span};
use crate::syntax::json::{self, Kind, Property, Value};
use crate::vendors::{Detection, Reader};

pub(super) fn detect(file: &SourceFile) -> Option<Detection> {
    super::claims(file, &["\"TunnelType\"", "\"SplitTunneling\""], "is JSON with TunnelType and SplitTunneling of Get-VpnConnection")
        .or_else(|| super::claims(file, &["\"ServerAddress\"", "\"SplitTunneling\""], "is JSON with ServerAddress and SplitTunneling"))
}

/// Connections that a file may have.
const MOST: usize = 10_000;

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let Some(value) = json::read(file) else {
        return reader.incomplete(file.whole(), LineState::Unrecognised, "this is not JSON");
    };
    reader.mark(file.whole(), LineState::Irrelevant);
    for one in value.list().into_iter().take(MOST) {
        match one.kind {
            Kind::Object(_) if one.get("Name").is_some() || one.get("ServerAddress").is_some() => connection(reader, one),
            _ => reader.note(one.span, LineState::Unrecognised, "not a VPN connection"),
        }
    }
}

/// Properties that are made use of.
const UNDERSTOOD: &[&str] = &[
    "Name",
    "ServerAddress",
    "TunnelType",
    "SplitTunneling",
    "AuthenticationMethod",
    "EncryptionLevel",
    "IPSecCustomPolicy",
    "Routes",
    "DnsSuffix",
    "L2tpIPsecAuth",
    "L2tpPsk",
    "RememberCredential",
    "IdleDisconnectSeconds",
    "AllUserConnection",
    "ServerList",
    "PSComputerName",
    "DnsConfig",
    "PlugInApplicationID",
    "ProfileType",
    "UseWinlogonCredential",
];
/// Properties that no check asks for, with what PowerShell adds to objects of CIM.
const IRRELEVANT: &[&str] = &[
    "Guid",
    "ConnectionStatus",
    "EapConfigXmlStream",
    "NapState",
    "VpnConfigurationXml",
    "MachineCertificateEKUFilter",
    "MachineCertificateIssuerFilter",
    "ProvisioningAuthority",
    "IsAutoTriggerEnabled",
    "ApplicationID",
    "DnsSuffixSearchList",
    "TrustedNetwork",
    "CustomConfiguration",
    "CimClass",
    "CimInstanceProperties",
    "CimSystemProperties",
    "VpnTrigger",
    "Proxy",
    "PSShowComputerName",
    "RunspaceId",
];

fn mark(reader: &mut Reader<'_>, property: &Property) {
    let known = |list: &[&str]| list.iter().any(|k| k.eq_ignore_ascii_case(&property.name));
    let state = if known(UNDERSTOOD) {
        LineState::Understood
    } else if known(IRRELEVANT) {
        return;
    } else {
        return reader.note(property.at, LineState::NotModelled, format!("{} is not modelled", property.name));
    };
    reader.mark(property.at.to(property.value.span), state);
}

fn setting(tunnel: &mut Tunnel, name: &str, value: &str, span: Span) {
    tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.to_owned(), span });
}

fn connection(reader: &mut Reader<'_>, one: &Value) {
    one.properties().iter().for_each(|p| mark(reader, p));
    if let Some(psk) = one.get("L2tpPsk").filter(|v| v.text().is_some_and(|t| !t.is_empty())) {
        reader.secret(psk.span);
    }
    let text = |name: &str| one.get(name).and_then(Value::text).map(str::to_owned).filter(|t| !t.is_empty());
    let at = |name: &str| one.get(name).map_or(one.span, |v| v.span);
    let name = text("Name").unwrap_or_default();
    let kind = text("TunnelType").unwrap_or_default().to_ascii_lowercase();
    if reader.device.hostname.is_none()
        && let Some(host) = text("PSComputerName")
    {
        reader.device.hostname = Some((host, at("PSComputerName")));
    }
    let plugin = text("PlugInApplicationID").is_some() || text("ProfileType").is_some_and(|t| t.eq_ignore_ascii_case("ThirdParty"));
    let kinds: &[TunnelKind] = match kind.as_str() {
        _ if plugin => &[TunnelKind::TlsVpn],
        "ikev2" => &[TunnelKind::Ipsec],
        "l2tp" => &[TunnelKind::Ipsec],
        "sstp" => &[TunnelKind::Sstp],
        "pptp" => &[TunnelKind::Pptp],
        // It tries one after the other until a server answers, PPTP among them (Add-VpnConnection, `-TunnelType`).
        "automatic" | "" => &[TunnelKind::Ipsec, TunnelKind::Sstp, TunnelKind::Pptp],
        _ => {
            reader.note(at("TunnelType"), LineState::NotModelled, "a type of tunnel that is not known");
            &[TunnelKind::TlsVpn]
        }
    };
    for tunnel_kind in kinds {
        let mut tunnel = Tunnel::new(*tunnel_kind, TunnelRole::Client, "", one.span);
        tunnel.name = Some(if kinds.len() > 1 { format!("{name} ({})", tunnel_kind.name()) } else { name.clone() });
        peers(one, &mut tunnel);
        routes(reader, one, &mut tunnel);
        authentication(one, &mut tunnel, &kind);
        if *tunnel_kind == TunnelKind::Ipsec {
            ipsec(reader, one, &mut tunnel, &kind);
        }
        for key in ["EncryptionLevel", "RememberCredential", "IdleDisconnectSeconds", "AllUserConnection", "TunnelType"] {
            let value = one.get(key).map(|v| v.text().map_or_else(|| v.bool().map(|b| b.to_string()).unwrap_or_default(), str::to_owned));
            if let Some(value) = value {
                setting(&mut tunnel, key, &value, at(key));
            }
        }
        if let Some(suffix) = text("DnsSuffix") {
            tunnel.dns.push(Dns { server: None, text: suffix, span: at("DnsSuffix") });
        }
        reader.device.tunnels.push(tunnel);
    }
}

fn peers(one: &Value, tunnel: &mut Tunnel) {
    let (protocol, port) = match tunnel.kind {
        TunnelKind::Ipsec => (17, 500),
        TunnelKind::Pptp => (6, 1723),
        _ => (6, 443),
    };
    let list = one.get("ServerList").map(Value::list).unwrap_or_default();
    let more = list.into_iter().filter_map(|s| s.get("ServerAddress"));
    let mut seen: Vec<&str> = Vec::new();
    for server in one.get("ServerAddress").into_iter().chain(more) {
        let Some(host) = server.text().filter(|h| !h.is_empty() && !seen.contains(h)) else { continue };
        seen.push(host);
        let mut peer = Peer::new(one.span);
        peer.endpoint = Some(Endpoint { host: host.to_owned(), port, protocol, span: server.span });
        tunnel.peers.push(peer);
        if seen.len() >= 64 {
            break;
        }
    }
}

/// Without split tunnelling the connection becomes the default route of IPv4; of IPv6 only if the server gives an address of it. With it, there are
/// the written routes, and the class-based one of the address that the server gives.
fn routes(reader: &mut Reader<'_>, one: &Value, tunnel: &mut Tunnel) {
    let split = one.get("SplitTunneling");
    let span = split.map_or(one.span, |v| v.span);
    match split.and_then(Value::bool) {
        Some(false) => {
            if let Ok(to) = "0.0.0.0/0".parse() {
                tunnel.routes.push(VpnRoute { to, excluded: false, span });
            }
            setting(tunnel, "pull", "", span);
        }
        Some(true) => {
            setting(tunnel, "never-default", "", span);
            setting(tunnel, "never-default-v6", "", span);
            setting(tunnel, "pull", "", span);
        }
        None => tunnel.unmodelled.push(Unmodelled::routes(span)),
    }
    for route in one.get("Routes").map(Value::list).unwrap_or_default() {
        let written = route.get("DestinationPrefix").unwrap_or(route);
        let to = written.text().and_then(|t| t.parse::<ipnetwork::IpNetwork>().ok());
        match to.and_then(|n| ipnetwork::IpNetwork::new(n.network(), n.prefix()).ok()) {
            // `ExclusionRoute` keeps a destination out of a tunnel that takes everything else.
            Some(to) => {
                let excluded = route.get("ExclusionRoute").and_then(Value::bool).unwrap_or(false);
                tunnel.routes.push(VpnRoute { to, excluded, span: written.span });
            }
            None => {
                reader.note(written.span, LineState::NotModelled, "a route without a destination that could be read");
                tunnel.unmodelled.push(Unmodelled::routes(written.span));
            }
        }
    }
}

fn authentication(one: &Value, tunnel: &mut Tunnel, kind: &str) {
    let mut ways: Vec<(String, Span)> = Vec::new();
    for method in one.get("AuthenticationMethod").map(Value::list).unwrap_or_default() {
        let Some(word) = method.text() else { continue };
        let word = word.to_ascii_uppercase();
        let name = match (word.as_str(), tunnel.kind) {
            ("MACHINECERTIFICATE", _) => "CERTIFICATE".to_owned(),
            ("EAP", _) => "EAP".to_owned(),
            ("MSCHAPV2", TunnelKind::Ipsec) if kind != "l2tp" => "EAP-MSCHAPV2".to_owned(),
            // Inside of TLS or IPsec.
            (inner, TunnelKind::Sstp) => format!("TLS+{inner}"),
            (inner, TunnelKind::Ipsec) => format!("IPSEC+{inner}"),
            (inner, _) => inner.to_owned(),
        };
        ways.push((name, method.span));
    }
    for (name, span) in &ways {
        ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, name, *span);
    }
    if !ways.is_empty() && ways.iter().all(|(n, _)| n.ends_with("PAP") || n.ends_with("CHAP") || n.ends_with("MSCHAPV2")) {
        tunnel.second_factor = ways.first().map(|(_, span)| Fact::written(false, *span));
    }
}

fn ipsec(reader: &mut Reader<'_>, one: &Value, tunnel: &mut Tunnel, kind: &str) {
    let span = one.get("TunnelType").map_or(one.span, |v| v.span);
    if kind == "l2tp" {
        offers::version(tunnel, "1", span);
        if let Some(auth) = one.get("L2tpIPsecAuth").and_then(|v| Some((v.text()?, v.span))) {
            let name = if auth.0.eq_ignore_ascii_case("psk") { "PSK" } else { "CERTIFICATE" };
            ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, name, auth.1);
        }
    } else {
        offers::version(tunnel, "2", span);
    }
    let policies = one.get("IPSecCustomPolicy").map(Value::list).unwrap_or_default();
    let policy = policies.first().filter(|p| !p.properties().is_empty());
    let Some(policy) = policy else { return offers::defaults(tunnel, span) };
    for property in policy.properties() {
        let known = property.value.text().is_some_and(|v| offers::custom(tunnel, &property.name, v, property.value.span));
        let asked = [
            "EncryptionMethod",
            "IntegrityCheckMethod",
            "DHGroup",
            "CipherTransformConstants",
            "AuthenticationTransformConstants",
            "PfsGroup",
        ];
        if !known && asked.contains(&property.name.as_str()) {
            reader.note(property.value.span, LineState::NotModelled, format!("{} is not a name that is known", property.name));
        }
    }
}
