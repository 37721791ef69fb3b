//! IPsec, site to site and remote access, and L2TP inside it.

use ipnetwork::IpNetwork;

use super::tree::At;
use super::{Context, Era, opened};
use crate::diag::LineState::{Irrelevant, NotModelled, Understood};
use crate::model::{
    Action, CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Fact, Match, Peer, Rule, Secret, Selector, Tunnel, TunnelKind, TunnelRole,
};
use crate::net::{Family, Ranges, prefix_bounds};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// IKE groups (IANA, "Transform Type 4") by the names of the model.
fn group(number: &str) -> String {
    match number {
        "1" => "DH-768",
        "2" => "DH-1024",
        "5" => "DH-1536",
        "14" => "DH-2048",
        "15" => "DH-3072",
        "16" => "DH-4096",
        "17" => "DH-6144",
        "18" => "DH-8192",
        "19" => "SECP256R1",
        "20" => "SECP384R1",
        "21" => "SECP521R1",
        "22" => "DH-1024S160",
        "23" => "DH-2048S224",
        "24" => "DH-2048S256",
        "25" => "SECP192R1",
        "26" => "SECP224R1",
        "27" => "BRAINPOOLP224R1",
        "28" => "BRAINPOOLP256R1",
        "29" => "BRAINPOOLP384R1",
        "30" => "BRAINPOOLP512R1",
        "31" => "X25519",
        "32" => "X448",
        other => return format!("GROUP-{other}"),
    }
    .to_owned()
}

/// Ciphers by the names of strongSwan, which VyOS takes.
fn cipher(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    match text.as_str() {
        "null" => return "NULL".into(),
        "des" => return "DES-CBC".into(),
        "3des" => return "3DES-CBC".into(),
        "chacha20poly1305" => return "CHACHA20-POLY1305".into(),
        _ => {}
    }
    for family in ["aes", "camellia", "serpent", "twofish", "blowfish", "cast"] {
        let Some(rest) = text.strip_prefix(family) else { continue };
        let bits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let mode = match rest.trim_start_matches(|c: char| c.is_ascii_digit()) {
            "" => "CBC",
            m if m.starts_with("gcm") => "GCM",
            m if m.starts_with("ccm") => "CCM",
            m if m.starts_with("ctr") => "CTR",
            m if m.starts_with("gmac") => "GMAC",
            _ => break,
        };
        let bits = if bits.is_empty() { "128".to_owned() } else { bits };
        return format!("{}-{bits}-{mode}", family.to_ascii_uppercase());
    }
    text.to_ascii_uppercase()
}

fn digest(text: &str) -> String {
    match text {
        "sha1" | "sha1_160" => "SHA1".into(),
        "md5" | "md5_128" => "MD5".into(),
        "sha256" | "sha256_96" => "SHA256".into(),
        other => other.to_ascii_uppercase(),
    }
}

fn offer(usage: CryptoUse, layer: CryptoLayer, name: String, default: bool, span: Span) -> CryptoOffer {
    CryptoOffer { usage, layer, name, default, perhaps: false, span }
}

/// Whether a cipher protects what it encrypts by itself.
fn combined(name: &str) -> bool {
    name.ends_with("GCM") || name.ends_with("CCM") || name.ends_with("GMAC") || name.contains("POLY1305")
}

/// A group of proposals; what a proposal leaves out is `aes128`, `sha1` and, for keys, group 2 (`vpn_ipsec.xml.in` of vyos-1x, templates of Vyatta).
fn proposals(at: At<'_>, layer: CryptoLayer, out: &mut Vec<CryptoOffer>) {
    for proposal in at.numbered("proposal") {
        let text = |word: &str| proposal.value(word).map(|v| (v.word(), v.line()));
        let (name, span, default) = text("encryption").map_or(("aes128", proposal.line(), true), |(t, s)| (t, s, false));
        let name = cipher(name);
        let alone = combined(&name);
        out.push(offer(CryptoUse::Cipher, layer, name, default, span));
        let (name, span, default) = text("hash").map_or(("sha1", proposal.line(), true), |(t, s)| (t, s, false));
        // With a combined cipher the digest is the pseudo-random function of the exchange, and nothing of the data.
        match (alone, layer) {
            (false, _) => out.push(offer(CryptoUse::Digest, layer, digest(name), default, span)),
            (true, CryptoLayer::Control) => out.push(offer(CryptoUse::Prf, layer, digest(name), default, span)),
            _ => {}
        }
        if let Some((prf, span)) = text("prf") {
            out.push(offer(CryptoUse::Prf, layer, digest(prf.strip_prefix("prf").unwrap_or(prf)), false, span));
        }
        if layer == CryptoLayer::Control {
            let (name, span, default) = text("dh-group").map_or(("2", proposal.line(), true), |(t, s)| (t, s, false));
            out.push(offer(CryptoUse::KeyExchange, layer, group(name), default, span));
        }
    }
}

fn ike_group(reader: &mut Reader<'_>, cx: &Context<'_>, tunnel: &mut Tunnel, value: Option<At<'_>>) {
    let Some(value) = value else { return };
    reader.device.names.used("ike-group", value.word(), value.line());
    let Some(at) = cx.root.path(&["vpn", "ipsec", "ike-group", value.word()]) else {
        return value.note(NotModelled, format!("there is no ike-group {}", value.word()));
    };
    proposals(at, CryptoLayer::Control, &mut tunnel.crypto);
    let aggressive = at.value("mode").filter(|m| m.word() == "aggressive");
    let mut version = |name: &str, default: bool, span: Span| {
        tunnel.crypto.push(offer(CryptoUse::IkeVersion, CryptoLayer::Control, name.to_owned(), default, span));
    };
    match (at.value("key-exchange"), aggressive) {
        (Some(v), _) if v.word() == "ikev2" => version("2", false, v.line()),
        (_, Some(mode)) => version("1-AGGRESSIVE", false, mode.line()),
        (Some(v), None) if v.word() == "auto" => {
            version("1", false, v.line());
            version("2", false, v.line());
        }
        (Some(v), None) => version("1", false, v.line()),
        // Up to 1.3 the default is `ikev1`; since 1.4 both are spoken (`key-exchange` in `vpn_ipsec.xml.in`).
        (None, None) => {
            version("1", true, at.line());
            if cx.era == Era::New {
                version("2", true, at.line());
            }
        }
    }
}

fn esp_group(reader: &mut Reader<'_>, cx: &Context<'_>, tunnel: &mut Tunnel, value: Option<At<'_>>) {
    let Some(value) = value else { return };
    reader.device.names.used("esp-group", value.word(), value.line());
    let Some(at) = cx.root.path(&["vpn", "ipsec", "esp-group", value.word()]) else {
        return value.note(NotModelled, format!("there is no esp-group {}", value.word()));
    };
    proposals(at, CryptoLayer::Data, &mut tunnel.crypto);
    let mut add = |name: String, default: bool, span: Span| {
        tunnel.crypto.push(offer(CryptoUse::KeyExchange, CryptoLayer::Data, name, default, span));
    };
    match at.value("pfs") {
        Some(v) if v.word() == "disable" => add("NONE".into(), false, v.line()),
        Some(v) if v.word().starts_with("dh-group") => add(group(v.word().trim_start_matches("dh-group")), false, v.line()),
        // `enable`, which is the default, takes the groups of the exchange.
        other => {
            let of: Vec<CryptoOffer> = tunnel
                .crypto
                .iter()
                .filter(|c| c.usage == CryptoUse::KeyExchange && c.layer == CryptoLayer::Control)
                .map(|c| CryptoOffer { layer: CryptoLayer::Data, default: other.is_none() || c.default, ..c.clone() })
                .collect();
            tunnel.crypto.extend(of);
        }
    }
    if let Some(v) = at.value("compression").filter(|v| v.word() != "disable") {
        tunnel.crypto.push(offer(CryptoUse::Compression, CryptoLayer::Data, "IPCOMP".into(), false, v.line()));
    }
}

fn authentication(reader: &mut Reader<'_>, cx: &Context<'_>, tunnel: &mut Tunnel, at: Option<At<'_>>, peer: &mut Peer, names: &[&str]) {
    let _ = &reader;
    let Some(at) = at else { return };
    let mode = at.value("mode").or(at.value("server-mode"));
    let mut add = |name: &str, span: Span| {
        tunnel.crypto.push(offer(CryptoUse::Authentication, CryptoLayer::Control, name.to_owned(), false, span));
    };
    match mode.map(|m| (m.word(), m.line())) {
        Some(("pre-shared-secret", span)) => add("PSK", span),
        Some(("x509", span)) => add("CERTIFICATE", span),
        Some(("rsa", span)) => add("RSA", span),
        _ => {}
    }
    if let Some(client) = at.value("client-mode") {
        let name = client.word().to_ascii_uppercase();
        add(if name == "X509" { "CERTIFICATE" } else { &name }, client.line());
    }
    let secret = at.value("pre-shared-secret").or(at.value("pre-shared-key"));
    peer.preshared_key = secret.filter(|s| !s.word().is_empty()).map(|s| Secret(s.span()));
    if peer.preshared_key.is_none() && mode.is_some_and(|m| m.word() == "pre-shared-secret") {
        // Since 1.4 the secret stands apart, with the names of the ends for which it is.
        let list = cx.root.path(&["vpn", "ipsec", "authentication"]).map(|a| a.all("psk")).unwrap_or_default();
        let mine = list.iter().find(|p| p.all("id").iter().any(|id| names.contains(&id.word())));
        peer.preshared_key = mine.and_then(|p| p.value("secret")).map(|s| Secret(s.span()));
    }
    at.mark_all(Understood);
}

/// Networks of one end of a tunnel.
fn networks(side: Option<At<'_>>) -> Vec<IpNetwork> {
    let Some(side) = side else { return vec![] };
    let list = side.all("prefix").into_iter().chain(side.all("subnet"));
    list.filter_map(|p| p.word().parse().ok()).collect()
}

/// Lowers `vpn ipsec` and `vpn l2tp`.
pub(super) fn lower(reader: &mut Reader<'_>, cx: &Context<'_>) {
    let Some(vpn) = cx.root.get("vpn") else { return };
    if let Some(ipsec) = vpn.get("ipsec") {
        for (space, word) in [("ike-group", "ike-group"), ("esp-group", "esp-group")] {
            for at in ipsec.all(word) {
                reader.device.names.define(space, at.word(), at.line());
                for part in at.children() {
                    part.mark_all(Understood);
                }
            }
        }
        for at in ipsec.get("site-to-site").into_iter().flat_map(|s| s.all("peer")) {
            peer(reader, cx, at);
        }
        for at in ipsec.get("remote-access").into_iter().flat_map(|r| r.all("connection")) {
            connection(reader, cx, at);
        }
        for word in ["profile"] {
            for at in ipsec.all(word) {
                profile(reader, cx, at);
            }
        }
        for part in ipsec.children() {
            match part.word() {
                "auto-firewall-nat-exclude"
                | "allow-access-to-local-interface"
                | "nat-networks"
                | "site-to-site"
                | "authentication"
                | "profile" => part.mark_all(Understood),
                "remote-access" => part.mark_all(Irrelevant),
                "ike-group" | "esp-group" => {}
                "interface"
                | "ipsec-interfaces"
                | "nat-traversal"
                | "logging"
                | "log"
                | "disable-uniqreqids"
                | "options"
                | "include-ipsec-conf"
                | "include-ipsec-secrets"
                | "auto-update"
                | "global-config"
                | "ikev1-peer"
                | "protocols" => part.mark_all(Irrelevant),
                _ => {}
            }
        }
    }
    if let Some(at) = vpn.path(&["l2tp", "remote-access"]) {
        l2tp(reader, cx, at);
    }
    vpn.get("rsa-keys").into_iter().for_each(|r| r.mark_all(Irrelevant));
}

fn peer(reader: &mut Reader<'_>, cx: &Context<'_>, at: At<'_>) {
    if at.has("disable") {
        return at.mark_all(Irrelevant);
    }
    let any = |host: &str| matches!(host, "0.0.0.0" | "::" | "any" | "%any");
    let remote = at.value("remote-address");
    let (host, span) = remote.map_or((at.word(), at.span()), |r| (r.word(), r.span()));
    let bound = at.get("vti").and_then(|v| v.value("bind"));
    let role = if any(host) || at.is("connection-type", "respond") { TunnelRole::Server } else { TunnelRole::Peer };
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, role, bound.map_or("", At::word), at.line());
    tunnel.name = Some(at.word().to_owned());
    let ike = at.value("ike-group");
    ike_group(reader, cx, &mut tunnel, ike);
    let mut peer = Peer::new(at.line());
    peer.name = at.text("description").map(str::to_owned);
    let local = at.value("local-address");
    let authentication_at = at.get("authentication");
    let names: Vec<&str> = [
        Some(host),
        local.map(At::word),
        authentication_at.and_then(|a| a.text("remote-id")),
        authentication_at.and_then(|a| a.text("local-id").or(a.text("id"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    for (word, name) in [("local-id", "local-id"), ("id", "local-id"), ("remote-id", "remote-id")] {
        if let Some(id) = authentication_at.and_then(|a| a.value(word)) {
            let value = id.word().to_owned();
            tunnel.settings.push(crate::model::TunnelSetting { name: name.to_owned(), value, span: id.line() });
        }
    }
    authentication(reader, cx, &mut tunnel, authentication_at, &mut peer, &names);
    peer.endpoint = (!any(host)).then(|| Endpoint { host: host.trim_start_matches('@').to_owned(), port: 500, protocol: 17, span });
    tunnel.peers.push(peer);
    tunnel.listen = Some((17, 500, at.line()));
    let default = at.value("default-esp-group");
    let mut groups = Vec::new();
    for part in at.all("tunnel") {
        if part.has("disable") {
            part.mark_all(Irrelevant);
            continue;
        }
        groups.push(part.value("esp-group").or(default));
        let (local, remote) = (networks(part.get("local")), networks(part.get("remote")));
        if !local.is_empty() || !remote.is_empty() {
            tunnel.selectors.push(Selector { local, remote, span: part.line() });
        }
        part.mark_all(Understood);
    }
    if let Some(vti) = at.get("vti") {
        groups.push(vti.value("esp-group").or(default));
        vti.mark_all(Understood);
    }
    let mut seen = Vec::new();
    for value in groups.into_iter().flatten() {
        if !seen.contains(&value.word()) {
            seen.push(value.word());
            esp_group(reader, cx, &mut tunnel, Some(value));
        } else {
            reader.device.names.used("esp-group", value.word(), value.line());
        }
    }
    at.mark_all(Understood);
    reader.device.tunnels.push(tunnel);
}

/// Road warriors over IKEv2.
fn connection(reader: &mut Reader<'_>, cx: &Context<'_>, at: At<'_>) {
    if at.has("disable") {
        return at.mark_all(Irrelevant);
    }
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, TunnelRole::Server, "", at.line());
    tunnel.name = Some(at.word().to_owned());
    ike_group(reader, cx, &mut tunnel, at.value("ike-group"));
    esp_group(reader, cx, &mut tunnel, at.value("esp-group"));
    let mut peer = Peer::new(at.line());
    authentication(reader, cx, &mut tunnel, at.get("authentication"), &mut peer, &[]);
    tunnel.peers.push(peer);
    tunnel.listen = Some((17, 500, at.line()));
    let networks: Vec<IpNetwork> = networks(at.get("local"));
    if !networks.is_empty() {
        tunnel.selectors.push(Selector { local: networks, remote: vec![], span: at.line() });
    }
    at.mark_all(Understood);
    reader.device.tunnels.push(tunnel);
}

/// DMVPN.
fn profile(reader: &mut Reader<'_>, cx: &Context<'_>, at: At<'_>) {
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, TunnelRole::Peer, "", at.line());
    tunnel.name = Some(at.word().to_owned());
    ike_group(reader, cx, &mut tunnel, at.value("ike-group"));
    esp_group(reader, cx, &mut tunnel, at.value("esp-group"));
    let mut peer = Peer::new(at.line());
    authentication(reader, cx, &mut tunnel, at.get("authentication"), &mut peer, &[]);
    tunnel.peers.push(peer);
    reader.device.tunnels.push(tunnel);
}

/// L2TP, inside IPsec unless nothing is said of that.
fn l2tp(reader: &mut Reader<'_>, cx: &Context<'_>, at: At<'_>) {
    let ipsec = at.get("ipsec-settings");
    let kind = if ipsec.is_some() { TunnelKind::Ipsec } else { TunnelKind::L2tp };
    let mut tunnel = Tunnel::new(kind, TunnelRole::Server, "", at.line());
    tunnel.name = Some("l2tp".to_owned());
    if let Some(ipsec) = ipsec {
        let mut peer = Peer::new(at.line());
        authentication(reader, cx, &mut tunnel, ipsec.get("authentication"), &mut peer, &[]);
        tunnel.peers.push(peer);
        ike_group(reader, cx, &mut tunnel, ipsec.value("ike-group"));
        esp_group(reader, cx, &mut tunnel, ipsec.value("esp-group"));
        // Windows' L2TP client speaks IKEv1 alone (RFC 3193), and so does what answers it.
        if !tunnel.crypto.iter().any(|c| c.usage == CryptoUse::IkeVersion) {
            tunnel.crypto.push(offer(CryptoUse::IkeVersion, CryptoLayer::Control, "1".into(), true, ipsec.line()));
        }
        tunnel.listen = Some((17, 500, at.line()));
    } else {
        tunnel.listen = Some((17, 1701, at.line()));
    }
    super::tunnels::users(at, &mut tunnel);
    at.mark_all(Understood);
    reader.device.tunnels.push(tunnel);
}

/// What EdgeOS lets through for IPsec before its rulesets (`auto-firewall-nat-exclude`, chains `UBNT_VPN_IPSEC_FW_HOOK` and `_IN_HOOK`): its makers do
/// not say which packets exactly.
fn automatic<'t>(cx: &Context<'t>) -> Option<At<'t>> {
    cx.root.path(&["vpn", "ipsec"])?.value("auto-firewall-nat-exclude").filter(|v| v.word() == "enable")
}

/// Rules for IKE and ESP to the device.
pub(super) fn let_in(reader: &mut Reader<'_>, cx: &Context<'_>) -> Vec<Rule> {
    let _ = &reader;
    let Some(at) = automatic(cx) else { return vec![] };
    let what = || Action::Opaque("auto-firewall-nat-exclude, which lets IPsec in,".into());
    let ike = Ranges::from_values([500, 4500]);
    vec![
        opened(17, Some(ike), None, None, what(), "automatic rule for IPsec", at),
        opened(50, None, None, None, what(), "automatic rule for IPsec", at),
    ]
}

/// Rules for what comes out of the tunnels.
pub(super) fn let_through(reader: &mut Reader<'_>, cx: &Context<'_>) -> Vec<Rule> {
    let _ = &reader;
    let Some(at) = automatic(cx) else { return vec![] };
    let mut out = Vec::new();
    let peers = cx.root.path(&["vpn", "ipsec", "site-to-site"]).map(|s| s.all("peer")).unwrap_or_default();
    let set = |nets: Vec<IpNetwork>, field: Field| {
        let of = nets.into_iter().filter(IpNetwork::is_ipv4).map(prefix_bounds).map(|(_, lo, hi)| (lo, hi)).collect();
        Match::Address(field, Family::V4, Ranges::from_intervals(of))
    };
    for tunnel in peers.into_iter().flat_map(|p| p.all("tunnel")).filter(|t| !t.has("disable")) {
        let (local, remote) = (networks(tunnel.get("local")), networks(tunnel.get("remote")));
        if local.is_empty() || remote.is_empty() {
            continue;
        }
        let matcher = Match::all(vec![set(remote, Field::Src), set(local, Field::Dst)]);
        let action = Action::Opaque("auto-firewall-nat-exclude, which lets through what comes out of a tunnel,".into());
        out.push(Rule::implied("automatic rule for IPsec", matcher, action, at.line()));
    }
    out
}

/// A second factor of the users of a tunnel.
pub(super) fn second_factor(tunnel: &mut Tunnel, on: bool, span: Span) {
    tunnel.second_factor = Some(Fact::written(on, span));
}
