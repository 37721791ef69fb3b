//! Payloads to tunnels.

use crate::diag::LineState;
use crate::model::{
    CryptoLayer, CryptoOffer, CryptoUse, Dns, Endpoint, Fact, Peer, Secret, Tunnel, TunnelKind, TunnelRole, TunnelSetting, VpnRoute, ike,
};
use crate::source::{SourceFile, Span};
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;
use crate::vendors::apple::plist::{Dict, items};

/// Payloads that a file may have.
const MOST: usize = 1000;

/// The VPN payloads of a profile. Everything else in it is of no interest here: certificates, Wi-Fi, names.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile, document: &Document<'_>) {
    let Some(root) = document.root() else { return };
    secrets(reader, file, root);
    let payloads = root.descendants().filter(|e| e.name() == "dict").map(Dict::of);
    let vpn = payloads.filter(|d| d.text("PayloadType").is_some_and(|(t, _)| t.starts_with(super::PAYLOAD)));
    for payload in vpn.take(MOST) {
        lower(reader, &payload.settings());
    }
}

/// Hides whatever a key of a secret's name holds, in any payload.
fn secrets(reader: &mut Reader<'_>, file: &SourceFile, root: Element<'_>) {
    for dict in root.descendants().filter(|e| e.name() == "dict") {
        for item in items(dict) {
            let name = item.name().to_ascii_lowercase();
            let secret = ["password", "sharedsecret", "passphrase", "privatekey", "pin", "token"].iter().any(|w| name.ends_with(w));
            if secret && matches!(item.value.name(), "string" | "data") && !item.value.text().is_empty() {
                reader.secret(item.value.text_span());
                // Data is broken into lines.
                let span = item.value.text_span();
                let mut at = span.start;
                for line in file.slice(span).split('\n') {
                    let start = at as usize + line.len() - line.trim_start().len();
                    reader.secret(Span::new(span.file, start, start + line.trim().len()));
                    at += line.len() as u32 + 1;
                }
            }
        }
    }
}

fn setting(tunnel: &mut Tunnel, name: &str, value: &str, span: Span) {
    tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.to_owned(), span });
}

fn proof(tunnel: &mut Tunnel, name: &str, span: Span) {
    ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, name, span);
}

fn lower(reader: &mut Reader<'_>, payload: &Dict<'_>) {
    for item in &payload.items {
        let state = if TOP.contains(&item.name().as_ref()) { LineState::Understood } else { LineState::Irrelevant };
        reader.mark(item.key.span(), state);
    }
    let (kind, at) = payload.text("VPNType").unwrap_or_else(|| (String::new(), payload.span));
    let name = payload.text("UserDefinedName").or_else(|| payload.text("PayloadDisplayName")).map(|n| n.0);
    let mut tunnel = match kind.as_str() {
        "IKEv2" => ikev2(reader, payload),
        "IPSec" => ipsec(reader, payload),
        "L2TP" => l2tp(reader, payload),
        "VPN" | "TransparentProxy" => app(reader, payload),
        "PPTP" => Tunnel::new(TunnelKind::Pptp, TunnelRole::Client, "", payload.span),
        _ => {
            return reader.note(at, LineState::NotModelled, format!("the VPN type {kind} is not modelled"));
        }
    };
    tunnel.name = name;
    setting(&mut tunnel, "VPNType", &kind, at);
    if let Some((subtype, at)) = payload.text("VPNSubType") {
        setting(&mut tunnel, "VPNSubType", &subtype, at);
    }
    dns(reader, payload, &mut tunnel);
    routes(payload, &mut tunnel);
    reader.device.tunnels.push(tunnel);
}

/// Keys of the payload that are made use of.
const TOP: &[&str] = &[
    "VPNType",
    "VPNSubType",
    "UserDefinedName",
    "IKEv2",
    "IPSec",
    "PPP",
    "VPN",
    "IPv4",
    "DNS",
    "TransparentProxy",
    "PayloadDisplayName",
    "PayloadType",
];

/// Marks the keys of a dictionary of settings.
fn mark(reader: &mut Reader<'_>, dict: &Dict<'_>, irrelevant: &[&str]) {
    for item in &dict.items {
        let off = irrelevant.contains(&item.name().as_ref());
        reader.mark(item.span(), if off { LineState::Irrelevant } else { LineState::Understood });
    }
}

/// Routes: `IncludeAllNetworks` sends everything, and drops everything while the tunnel is down; `OverridePrimary` makes the VPN the way for IPv4. Else
/// the server decides.
fn routes(payload: &Dict<'_>, tunnel: &mut Tunnel) {
    let inner = ["IKEv2", "IPSec", "VPN"].iter().find_map(|n| payload.dict(n));
    let all = inner.as_ref().and_then(|d| d.on("IncludeAllNetworks")).or_else(|| payload.on("IncludeAllNetworks"));
    let local = inner.as_ref().and_then(|d| d.flag("ExcludeLocalNetworks"));
    let everything = |text: &str, span: Span| text.parse().ok().map(|to| VpnRoute { to, excluded: false, span });
    if let Some(span) = all {
        tunnel.routes.extend(["0.0.0.0/0", "::/0"].iter().filter_map(|t| everything(t, span)));
        setting(tunnel, "kill-switch-v4", "IncludeAllNetworks", span);
        setting(tunnel, "kill-switch-v6", "IncludeAllNetworks", span);
        if let Some((true, at)) = local {
            // Whatever the local network is: its addresses are in no profile.
            setting(tunnel, "ExcludeLocalNetworks", "true", at);
        }
        return;
    }
    let primary = payload.dict("IPv4").and_then(|d| d.on("OverridePrimary"));
    if let Some(span) = primary {
        tunnel.routes.extend(everything("0.0.0.0/0", span));
    }
    let at = primary.unwrap_or(payload.span);
    setting(tunnel, "pull", "", at);
    if let Some(span) = inner.as_ref().and_then(|d| d.on("OnDemandEnabled")) {
        setting(tunnel, "OnDemandEnabled", "true", span);
    }
}

fn dns(reader: &mut Reader<'_>, payload: &Dict<'_>, tunnel: &mut Tunnel) {
    let Some(dns) = payload.dict("DNS") else { return };
    mark(reader, &dns, &[]);
    for server in dns.list("ServerAddresses") {
        let text = server.text().into_owned();
        tunnel.dns.push(Dns { server: text.parse().ok(), text, span: server.text_span() });
    }
    for domain in dns.list("SearchDomains").into_iter().chain(dns.list("SupplementalMatchDomains")) {
        tunnel.dns.push(Dns { server: None, text: domain.text().into_owned(), span: domain.text_span() });
    }
}

fn peer(tunnel: &mut Tunnel, host: Option<(String, Span)>, protocol: u8, port: u16, span: Span) {
    let mut peer = Peer::new(span);
    peer.endpoint = host.map(|(host, at)| {
        let host = host.trim_start_matches("https://").trim_start_matches("http://").split('/').next().unwrap_or("").to_owned();
        Endpoint { host, port, protocol, span: at }
    });
    tunnel.peers.push(peer);
}

fn version(tunnel: &mut Tunnel, name: &str, span: Span) {
    let offer = CryptoOffer::written(CryptoUse::IkeVersion, name, span);
    tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Control, ..offer });
}

/// Algorithms in Apple's words; `None`: as they are.
fn algorithm(word: &str) -> String {
    match word {
        "DES" => "DES-CBC",
        "3DES" => "3DES-CBC",
        "AES-128" => "AES-128-CBC",
        "AES-256" => "AES-256-CBC",
        "AES-128-GCM" => "AES-128-GCM",
        "AES-256-GCM" => "AES-256-GCM",
        "ChaCha20Poly1305" => "CHACHA20-POLY1305",
        "SHA1-96" | "SHA1-160" => "SHA1",
        "SHA2-256" => "SHA256",
        "SHA2-384" => "SHA384",
        "SHA2-512" => "SHA512",
        other => return other.to_ascii_uppercase(),
    }
    .to_owned()
}

/// Parameters of a security association, with Apple's defaults: AES-256, SHA2-256, group 14.
fn association(reader: &mut Reader<'_>, tunnel: &mut Tunnel, ike_dict: &Dict<'_>, name: &str, layer: CryptoLayer, exchange: bool) {
    let own = ike_dict.dict(name);
    if let Some(own) = &own {
        mark(reader, own, &["PostQuantumKeyExchangeMethods"]);
    }
    let span = own.as_ref().map_or(ike_dict.span, |d| d.span);
    let mut add = |usage: CryptoUse, written: Option<(String, Span)>, default: &str| {
        let (name, at, default) = match written {
            Some((text, at)) => (algorithm(&text), at, false),
            None => (default.to_owned(), span, true),
        };
        tunnel.crypto.push(CryptoOffer { layer, default, ..CryptoOffer::written(usage, &name, at) });
    };
    let text = |key: &str| own.as_ref().and_then(|d| d.text(key));
    add(CryptoUse::Cipher, text("EncryptionAlgorithm"), "AES-256-CBC");
    add(CryptoUse::Digest, text("IntegrityAlgorithm"), "SHA256");
    if exchange {
        add(CryptoUse::KeyExchange, text("DiffieHellmanGroup").map(|(n, at)| (ike::group(&n), at)), "DH-2048");
    }
}

fn ikev2(reader: &mut Reader<'_>, payload: &Dict<'_>) -> Tunnel {
    let own = payload.dict("IKEv2").unwrap_or_else(|| payload.clone());
    mark(
        reader,
        &own,
        &[
            "DeadPeerDetectionRate",
            "DisableRedirect",
            "NATKeepAliveInterval",
            "NATKeepAliveOffloadEnable",
            "MTU",
            "ServerCertificateCommonName",
            "ServerCertificateIssuerCommonName",
            "PayloadCertificateUUID",
            "CertificateType",
        ],
    );
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, TunnelRole::Client, "", own.span);
    version(&mut tunnel, "2", own.span);
    association(reader, &mut tunnel, &own, "IKESecurityAssociationParameters", CryptoLayer::Control, true);
    let pfs = own.flag("EnablePFS");
    association(reader, &mut tunnel, &own, "ChildSecurityAssociationParameters", CryptoLayer::Data, pfs.is_some_and(|p| p.0));
    if !pfs.is_some_and(|p| p.0) {
        // Off by default (`EnablePFS`).
        let at = pfs.map_or(own.span, |p| p.1);
        let offer = CryptoOffer::written(CryptoUse::KeyExchange, "NONE", at);
        tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Data, default: pfs.is_none(), ..offer });
    }
    peer(&mut tunnel, own.text("RemoteAddress"), 17, 500, own.span);
    match own.text("AuthenticationMethod") {
        Some((m, at)) if m == "SharedSecret" => {
            proof(&mut tunnel, "PSK", at);
            if let (Some(item), Some(peer)) = (own.get("SharedSecret"), tunnel.peers.first_mut()) {
                peer.preshared_key = Some(Secret(item.value.text_span()));
            }
        }
        Some((m, at)) if m == "Certificate" => proof(&mut tunnel, "CERTIFICATE", at),
        _ => {}
    }
    let extended = own.on("ExtendedAuthEnabled");
    if let Some(at) = extended {
        proof(&mut tunnel, "EAP", at);
        let certificate = tunnel.crypto.iter().any(|o| o.usage == CryptoUse::Authentication && o.name == "CERTIFICATE");
        if own.get("AuthName").is_some() {
            tunnel.second_factor = Some(Fact::written(certificate, at));
        }
    }
    for (key, name) in [("LocalIdentifier", "local-id"), ("RemoteIdentifier", "remote-id"), ("TLSMinimumVersion", "TLSMinimumVersion")] {
        if let Some((value, at)) = own.text(key) {
            setting(&mut tunnel, name, &value, at);
        }
    }
    for (key, wanted) in [
        ("DisableMOBIKE", true),
        ("EnableCertificateRevocationCheck", true),
        ("EnforceRoutes", true),
        ("UseConfigurationAttributeInternalIPSubnet", true),
    ] {
        if let Some((value, at)) = own.flag(key).filter(|f| f.0 == wanted) {
            setting(&mut tunnel, key, &value.to_string(), at);
        }
    }
    tunnel
}

/// IKEv1 (NEVPNProtocolIPSec). What it proposes is in no profile.
fn ipsec(reader: &mut Reader<'_>, payload: &Dict<'_>) -> Tunnel {
    let own = payload.dict("IPSec").unwrap_or_else(|| payload.clone());
    mark(reader, &own, &["PayloadCertificateUUID", "DisconnectOnIdle", "DisconnectOnIdleTimer", "PromptForVPNPIN"]);
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, TunnelRole::Client, "", own.span);
    let group = own.text("LocalIdentifier").filter(|_| own.text("LocalIdentifierType").is_some_and(|t| t.0 == "KeyID"));
    let secret = own.text("AuthenticationMethod").filter(|m| m.0 == "SharedSecret");
    // With a shared secret and a group's name, the name must come before the key is known: aggressive mode.
    match (&group, &secret) {
        (Some((_, at)), Some(_)) => version(&mut tunnel, "1-AGGRESSIVE", *at),
        _ => version(&mut tunnel, "1", own.span),
    }
    peer(&mut tunnel, own.text("RemoteAddress"), 17, 500, own.span);
    match own.text("AuthenticationMethod") {
        Some((m, at)) if m == "SharedSecret" => {
            proof(&mut tunnel, "PSK", at);
            if let (Some(item), Some(peer)) = (own.get("SharedSecret"), tunnel.peers.first_mut()) {
                peer.preshared_key = Some(Secret(item.value.text_span()));
            }
        }
        Some((_, at)) => proof(&mut tunnel, "CERTIFICATE", at),
        None => {}
    }
    if let Some(at) = own.on("XAuthEnabled") {
        proof(&mut tunnel, "XAUTH", at);
        tunnel.second_factor = Some(Fact::written(secret.is_none(), at));
    }
    tunnel
}

/// L2TP: with the dictionary `IPSec` inside of it, else in the clear.
fn l2tp(reader: &mut Reader<'_>, payload: &Dict<'_>) -> Tunnel {
    let ppp = payload.dict("PPP");
    if let Some(ppp) = &ppp {
        mark(reader, ppp, &["CommRemoteAddressType"]);
    }
    let secure = payload.dict("IPSec");
    let span = secure.as_ref().map_or(payload.span, |d| d.span);
    let kind = if secure.is_some() { TunnelKind::Ipsec } else { TunnelKind::L2tp };
    let mut tunnel = Tunnel::new(kind, TunnelRole::Client, "", span);
    let host = ppp.as_ref().and_then(|p| p.text("CommRemoteAddress"));
    peer(&mut tunnel, host, 17, if secure.is_some() { 500 } else { 1701 }, span);
    if let Some(own) = &secure {
        mark(reader, own, &[]);
        version(&mut tunnel, "1", own.span);
        let shared = own.get("SharedSecret");
        proof(&mut tunnel, if shared.is_some() { "PSK" } else { "CERTIFICATE" }, shared.map_or(own.span, |s| s.key.span()));
        if let (Some(item), Some(peer)) = (shared, tunnel.peers.first_mut()) {
            peer.preshared_key = Some(Secret(item.value.text_span()));
        }
    }
    tunnel
}

/// A VPN app: its own settings are the vendor's.
fn app(reader: &mut Reader<'_>, payload: &Dict<'_>) -> Tunnel {
    let own = payload.dict("VPN").or_else(|| payload.dict("TransparentProxy"));
    let span = own.as_ref().map_or(payload.span, |d| d.span);
    let mut tunnel = Tunnel::new(TunnelKind::TlsVpn, TunnelRole::Client, "", span);
    if let Some(own) = &own {
        mark(
            reader,
            own,
            &[
                "PayloadCertificateUUID",
                "ProviderDesignatedRequirement",
                "ProviderBundleIdentifier",
                "ProviderType",
                "DisconnectOnIdle",
                "DisconnectOnIdleTimer",
            ],
        );
        peer(&mut tunnel, own.text("RemoteAddress"), 6, 443, span);
        match own.text("AuthenticationMethod") {
            Some((m, at)) if m == "Certificate" => proof(&mut tunnel, "CERTIFICATE", at),
            Some((m, at)) if m == "Password" => proof(&mut tunnel, "PASSWORD", at),
            Some((m, at)) if m == "Password+Certificate" => {
                proof(&mut tunnel, "PASSWORD", at);
                proof(&mut tunnel, "CERTIFICATE", at);
                tunnel.second_factor = Some(Fact::written(true, at));
            }
            _ => {}
        }
    }
    tunnel
}
