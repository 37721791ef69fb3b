//! IPsec, SSL VPN, L2TP and PPTP.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;

use super::defaults::{self, Version};
use super::domain::Domain;
use super::matching::Context;
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::{
    CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Fact, Peer, Secret, Selector, Tunnel, TunnelKind, TunnelRole, TunnelSetting,
};
use crate::net::{Family, Ranges, to_ip};
use crate::source::Span;
use crate::vendors::Reader;

/// Cipher and digest or pseudo-random function of a proposal: `aes256-sha256`, `aes128gcm-prfsha384`, `chacha20poly1305`, `null-md5`.
fn proposal(text: &str, layer: CryptoLayer, span: Span, out: &mut Vec<CryptoOffer>) {
    let (cipher, digest) = text.split_once('-').unwrap_or((text, ""));
    let name = match cipher {
        "null" => "NULL".to_owned(),
        "des" => "DES-CBC".to_owned(),
        "3des" => "3DES-CBC".to_owned(),
        "chacha20poly1305" => "CHACHA20-POLY1305".to_owned(),
        "aes128gcm" => "AES-128-GCM".to_owned(),
        "aes256gcm" => "AES-256-GCM".to_owned(),
        "seed" => "SEED-CBC".to_owned(),
        other => match (other.strip_prefix("aes"), other.strip_prefix("aria")) {
            (Some(bits), _) => format!("AES-{bits}-CBC"),
            (_, Some(bits)) => format!("ARIA-{bits}-CBC"),
            _ => other.to_ascii_uppercase(),
        },
    };
    let mut push = |usage, name: &str| out.push(CryptoOffer { layer, ..CryptoOffer::written(usage, name, span) });
    push(CryptoUse::Cipher, &name);
    match digest.strip_prefix("prf") {
        Some(prf) => push(CryptoUse::Prf, prf),
        None if digest == "null" => push(CryptoUse::Digest, "NONE"),
        None if !digest.is_empty() => push(CryptoUse::Digest, digest),
        None => {}
    }
}

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

fn groups(entry: &Entry<'_>, layer: CryptoLayer, version: Option<Version>, out: &mut Vec<CryptoOffer>) {
    let written = entry.values("dhgrp");
    for word in written {
        out.push(CryptoOffer { layer, ..CryptoOffer::written(CryptoUse::KeyExchange, &group(&word.text), word.span) });
    }
    if written.is_empty()
        && let Some(default) = defaults::dh_group(version)
    {
        let name = group(default);
        out.push(CryptoOffer { usage: CryptoUse::KeyExchange, layer, name, default: true, perhaps: false, span: entry.first });
    }
}

/// Names of the IPsec interfaces of all virtual domains, with the domain and the place of each.
pub(super) fn interfaces(domains: &[Domain<'_>]) -> Vec<(String, String, Span)> {
    let mut out = Vec::new();
    for domain in domains {
        let vdom = domain.vdom.clone().unwrap_or_else(|| "root".to_owned());
        out.extend(domain.table("vpn ipsec phase1-interface").into_iter().map(|e| (e.name, vdom.clone(), e.first)));
    }
    out
}

/// Lowers all tunnels of a domain.
pub(super) fn tunnels(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>) {
    for (one, two, bound) in
        [("vpn ipsec phase1-interface", "vpn ipsec phase2-interface", true), ("vpn ipsec phase1", "vpn ipsec phase2", false)]
    {
        let mut second: BTreeMap<String, Vec<Entry<'_>>> = BTreeMap::new();
        for entry in cx.domain.table(two) {
            let Some(first) = entry.values("phase1name").first() else { continue };
            reader.device.names.used("phase 1", &first.text, first.span);
            second.entry(first.text.clone()).or_default().push(entry);
        }
        for entry in cx.domain.table(one) {
            // A phase 1 without a phase 2 carries nothing, and policies name the interface rather than the phase.
            reader.device.names.define("phase 1", &entry.name, entry.name_span);
            let phases = second.remove(&entry.name).unwrap_or_default();
            let tunnel = ipsec(reader, cx, &entry, &phases, bound);
            reader.device.tunnels.push(tunnel);
        }
    }
    ssl(reader, cx);
    for (path, kind) in [("vpn l2tp", TunnelKind::L2tp), ("vpn pptp", TunnelKind::Pptp)] {
        if let Some(section) = cx.domain.section(path).filter(|s| s.is("status", "enable")) {
            reader.device.tunnels.push(Tunnel::new(kind, TunnelRole::Server, "", section.first));
        }
    }
}

fn ipsec(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, one: &Entry<'_>, two: &[Entry<'_>], bound: bool) -> Tunnel {
    let kind = one.value("type").unwrap_or("static");
    let role = if kind == "dynamic" { TunnelRole::Server } else { TunnelRole::Peer };
    let mut tunnel = Tunnel::new(TunnelKind::Ipsec, role, if bound { one.name.as_str() } else { "" }, one.first);
    tunnel.name = Some(one.name.clone());
    let control = CryptoLayer::Control;
    for word in one.values("proposal") {
        proposal(&word.text, control, word.span, &mut tunnel.crypto);
    }
    groups(one, control, cx.version, &mut tunnel.crypto);
    // Main mode by default (CLI reference, `mode`).
    let aggressive = one.is("mode", "aggressive");
    let (version, default) = match one.value("ike-version") {
        Some(v) => (Some(v.to_owned()), false),
        None => (defaults::ike_version(cx.version).map(str::to_owned), true),
    };
    if let Some(version) = &version {
        let weak = aggressive && version != "2";
        let span = if weak { one.at("mode") } else { one.at("ike-version") };
        let name = if weak { format!("{version}-AGGRESSIVE") } else { version.clone() };
        tunnel.crypto.push(CryptoOffer {
            usage: CryptoUse::IkeVersion,
            layer: control,
            name,
            default: default && !weak,
            perhaps: false,
            span,
        });
    }
    let mut proof = |name: &str, span: Span, default: bool| {
        tunnel.crypto.push(CryptoOffer {
            usage: CryptoUse::Authentication,
            layer: control,
            name: name.into(),
            default,
            perhaps: false,
            span,
        });
    };
    match one.value("authmethod") {
        Some("signature" | "rsa-signature" | "ecdsa-signature") => proof("CERTIFICATE", one.at("authmethod"), false),
        Some("psk") => proof("PSK", one.at("authmethod"), false),
        // `psk` by default.
        None => proof("PSK", one.at("psksecret"), true),
        Some(_) => {}
    }
    if one.value("xauthtype").is_some_and(|x| !matches!(x, "disable" | "client")) {
        proof("XAUTH", one.at("xauthtype"), false);
    }
    let mut peer = Peer::new(one.first);
    peer.preshared_key = one.values("psksecret").last().filter(|w| !w.text.is_empty()).map(|w| {
        let (start, end) = (w.span.start as usize, w.span.end as usize);
        let quoted = reader.file.slice(w.span).starts_with('"') && end - start >= 2;
        Secret(if quoted { Span::new(w.span.file, start + 1, end - 1) } else { w.span })
    });
    let host = ["remote-gw", "remote-gw6", "remotegw-ddns"].iter().find_map(|s| Some((one.value(s)?, one.at(s))));
    let host = host.filter(|(h, _)| !matches!(*h, "0.0.0.0" | "::" | "") && kind != "dynamic");
    peer.endpoint = host.map(|(host, span)| Endpoint { host: host.to_owned(), port: 500, protocol: 17, span });
    tunnel.peers.push(peer);
    tunnel.listen = Some((17, 500, one.first));
    for phase in two {
        phase2(reader, cx, phase, &mut tunnel);
    }
    // The names of both ends (CLI reference, `vpn ipsec phase1-interface`, `localid`, `peerid`).
    let expected = (one.value("peertype") == Some("one")).then_some(("peerid", "remote-id"));
    for (setting, name) in [Some(("localid", "local-id")), expected].into_iter().flatten() {
        if let Some(value) = one.value(setting) {
            tunnel.settings.push(TunnelSetting { name: name.into(), value: value.into(), span: one.at(setting) });
        }
    }
    for setting in ["peertype", "mode-cfg", "interface", "net-device"] {
        if let Some(value) = one.value(setting) {
            tunnel.settings.push(TunnelSetting { name: setting.into(), value: value.into(), span: one.at(setting) });
        }
    }
    if one.values("proposal").is_empty() {
        reader.note(one.first, LineState::NotModelled, "this phase 1 names no proposal: what it offers is not known");
    }
    tunnel
}

fn phase2(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, phase: &Entry<'_>, tunnel: &mut Tunnel) {
    let data = CryptoLayer::Data;
    for word in phase.values("proposal") {
        proposal(&word.text, data, word.span, &mut tunnel.crypto);
    }
    // Perfect forward secrecy is on by default (CLI reference, `vpn ipsec phase2-interface`, `pfs`).
    if phase.is("pfs", "disable") {
        tunnel.crypto.push(CryptoOffer { layer: data, ..CryptoOffer::written(CryptoUse::KeyExchange, "NONE", phase.at("pfs")) });
    } else {
        groups(phase, data, cx.version, &mut tunnel.crypto);
    }
    let mut end = |side: &str| -> Option<Vec<IpNetwork>> {
        let words = |name: &str| phase.values(&format!("{side}-{name}")).iter().map(|w| w.text.as_str()).collect::<Vec<_>>();
        match phase.value(&format!("{side}-addr-type")).unwrap_or("subnet") {
            "subnet" => match words("subnet").as_slice() {
                [] => "0.0.0.0/0".parse().ok().map(|n| vec![n]),
                [one] => Some(vec![one.parse().ok()?]),
                [ip, mask] => Some(vec![IpNetwork::new(ip.parse().ok()?, ipnetwork::ipv4_mask_to_prefix(mask.parse().ok()?).ok()?).ok()?]),
                _ => None,
            },
            "subnet6" => match words("subnet6").as_slice() {
                [] => "::/0".parse().ok().map(|n| vec![n]),
                [one] => Some(vec![one.parse().ok()?]),
                _ => None,
            },
            "ip" => words("start-ip").first()?.parse().ok().map(|n| vec![n]),
            "ip6" => words("start-ip6").first()?.parse().ok().map(|n| vec![n]),
            kind @ ("name" | "name6") => {
                let family = if kind == "name" { Family::V4 } else { Family::V6 };
                let word = phase.values(&format!("{side}-{kind}")).first()?.clone();
                let resolved = cx.addresses(family).used(reader, &word.text, word.span);
                networks(family, resolved.known()?)
            }
            "range" => {
                let bound = |name: &str| crate::net::parse_addr(words(name).first()?).map(|a| a.1);
                networks(Family::V4, &Ranges::interval(bound("start-ip")?, bound("end-ip")?))
            }
            _ => None,
        }
    };
    match (end("src"), end("dst")) {
        (Some(local), Some(remote)) => tunnel.selectors.push(Selector { local, remote, span: phase.first }),
        _ => reader.note(phase.first, LineState::NotModelled, "which traffic this phase 2 takes is not modelled"),
    }
}

/// Ranges as prefixes; `None` where they are too many.
fn networks(family: Family, ranges: &Ranges) -> Option<Vec<IpNetwork>> {
    let mut out = Vec::new();
    for (lo, hi) in ranges.intervals() {
        let mut at = *lo;
        loop {
            let mut host = if at == 0 { u32::from(family.bits()) } else { at.trailing_zeros().min(u32::from(family.bits())) };
            let last = |host: u32| if host >= 128 { u128::MAX } else { at | ((1u128 << host) - 1) };
            while last(host) > *hi {
                host -= 1;
            }
            out.push(IpNetwork::new(to_ip(family, at), family.bits() - host as u8).ok()?);
            if out.len() > 256 {
                return None;
            }
            match last(host).checked_add(1).filter(|next| next <= hi) {
                Some(next) => at = next,
                None => break,
            }
        }
    }
    Some(out)
}

fn ssl(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>) {
    let Some(settings) = cx.domain.section("vpn ssl settings") else { return };
    let on = settings.values("source-interface");
    if on.is_empty() || settings.is("status", "disable") {
        return;
    }
    let vdom = cx.domain.vdom.as_deref().unwrap_or("root");
    let mut tunnel = Tunnel::new(TunnelKind::TlsVpn, TunnelRole::Server, format!("ssl.{vdom}"), settings.first);
    tunnel.name = Some("SSL VPN".into());
    let port = settings.value("port").and_then(|p| p.parse::<u16>().ok());
    tunnel.listen = port.map(|port| (6, port, settings.at("port")));
    let control = CryptoLayer::Control;
    let version = |text: &str| text.strip_prefix("tls1-").map(|minor| format!("1.{minor}"));
    if let Some(least) = settings.value("ssl-min-proto-ver").and_then(version) {
        let offer = CryptoOffer::written(CryptoUse::TlsVersion, &least, settings.at("ssl-min-proto-ver"));
        tunnel.crypto.push(CryptoOffer { layer: control, ..offer });
    }
    for (setting, version) in [("tlsv1-0", "1.0"), ("tlsv1-1", "1.1")] {
        if settings.is(setting, "enable") {
            let offer = CryptoOffer::written(CryptoUse::TlsVersion, version, settings.at(setting));
            tunnel.crypto.push(CryptoOffer { layer: control, ..offer });
        }
    }
    if settings.is("force-two-factor-auth", "enable") {
        tunnel.second_factor = Some(Fact::written(true, settings.at("force-two-factor-auth")));
    } else if settings.is("reqclientcert", "enable") {
        tunnel.second_factor = Some(Fact::written(true, settings.at("reqclientcert")));
    }
    for (setting, family) in [
        ("tunnel-ip-pools", Family::V4),
        ("tunnel-ipv6-pools", Family::V6),
        ("source-address", Family::V4),
        ("source-address6", Family::V6),
    ] {
        for word in settings.values(setting).iter().filter(|w| !w.text.is_empty()) {
            cx.addresses(family).used(reader, &word.text, word.span);
        }
    }
    for portal in cx.domain.table("vpn ssl web portal") {
        for (setting, family) in [
            ("ip-pools", Family::V4),
            ("ipv6-pools", Family::V6),
            ("split-tunneling-routing-address", Family::V4),
            ("ipv6-split-tunneling-routing-address", Family::V6),
        ] {
            for word in portal.values(setting).iter().filter(|w| !w.text.is_empty()) {
                let resolved = cx.addresses(family).used(reader, &word.text, word.span);
                if setting == "split-tunneling-routing-address"
                    && let Some(list) = resolved.known().and_then(|r| networks(family, r))
                {
                    let routes = list.into_iter().map(|to| crate::model::VpnRoute {
                        to,
                        excluded: portal.is("split-tunneling-routing-negate", "enable"),
                        span: word.span,
                    });
                    tunnel.routes.extend(routes);
                }
            }
        }
    }
    for setting in ["idle-timeout", "auth-timeout", "login-attempt-limit", "login-block-time", "algorithm", "servercert"] {
        if let Some(value) = settings.value(setting) {
            tunnel.settings.push(TunnelSetting { name: setting.into(), value: value.into(), span: settings.at(setting) });
        }
    }
    reader.device.tunnels.push(tunnel);
}
