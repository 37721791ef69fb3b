//! IPsec, WireGuard, L2TP, PPTP, SSTP and OpenVPN.

use std::collections::HashMap;

use super::Export;
use super::tables::{Item, Value};
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Peer, Secret, Selector, Tunnel, TunnelKind, TunnelRole, TunnelSetting};
use crate::source::Span;
use crate::vendors::Reader;

pub(super) fn lower(reader: &mut Reader<'_>, export: &Export) {
    wireguard(reader, export);
    ipsec(reader, export);
    servers(reader, export);
    clients(reader, export);
}

/// A secret that is shown: `hide-sensitive` writes nothing or stars.
fn secret(item: &Item, property: &str) -> Option<Secret> {
    let value = item.value(property).filter(|v| !v.text.is_empty() && !v.computed)?;
    (!value.text.bytes().all(|c| c == b'*') && value.text != "auto").then_some(Secret(value.at))
}

fn wireguard(reader: &mut Reader<'_>, export: &Export) {
    let mut peers: HashMap<&str, Vec<&Item>> = HashMap::new();
    for peer in export.tables.items("interface wireguard peers") {
        if let Some(interface) = peer.filled("interface").filter(|_| !peer.disabled()) {
            peers.entry(interface).or_default().push(peer);
        }
    }
    let mut addresses: HashMap<String, Vec<_>> = HashMap::new();
    for interface in reader.device.interfaces.iter().flatten() {
        addresses.insert(interface.name.clone(), interface.addresses.iter().map(|a| (*a, interface.span)).collect());
    }
    for item in export.tables.items("interface wireguard").into_iter().filter(|i| !i.disabled()) {
        let Some(name) = item.filled("name") else { continue };
        let mut tunnel = Tunnel::new(TunnelKind::WireGuard, TunnelRole::Peer, name, item.span);
        tunnel.private_key = secret(item, "private-key");
        tunnel.addresses = addresses.remove(name).unwrap_or_default();
        if let Some(port) = item.get("listen-port").and_then(|p| p.parse::<u16>().ok()).filter(|p| *p != 0) {
            tunnel.listen = Some((17, port, item.at("listen-port")));
        }
        for peer in peers.remove(name).unwrap_or_default() {
            let mut out = Peer::new(peer.span);
            out.name = peer.filled("name").or(peer.filled("comment")).map(str::to_owned);
            out.public_key = peer.value("public-key").filter(|v| !v.computed).map(|v| (v.text.clone(), v.at));
            out.preshared_key = secret(peer, "preshared-key");
            let port = peer.get("endpoint-port").and_then(|p| p.parse().ok()).unwrap_or(0);
            out.endpoint = peer.filled("endpoint-address").map(|h| endpoint(h, port, 17, peer.at("endpoint-address")));
            let span = peer.at("allowed-address");
            out.allowed = peer.list("allowed-address").iter().filter_map(|a| a.parse().ok()).map(|a| (a, span)).collect();
            out.keepalive = peer.get("persistent-keepalive").map(seconds);
            tunnel.peers.push(out);
        }
        reader.device.tunnels.push(tunnel);
    }
}

/// `25`, `25s`, `1m5s`, `00:00:25`; 0 where it is nothing of that.
fn seconds(text: &str) -> u32 {
    if text.contains(':') {
        return text.split(':').fold(0u32, |n, p| n.saturating_mul(60).saturating_add(p.parse().unwrap_or(0)));
    }
    let (mut total, mut number) = (0u32, 0u32);
    for c in text.chars() {
        match c.to_digit(10) {
            Some(d) => number = number.saturating_mul(10).saturating_add(d),
            None => {
                let unit = match c {
                    'm' => 60,
                    'h' => 3600,
                    'd' => 86400,
                    _ => 1,
                };
                total = total.saturating_add(number.saturating_mul(unit));
                number = 0;
            }
        }
    }
    total.saturating_add(number)
}

fn endpoint(host: &str, port: u16, protocol: u8, span: Span) -> Endpoint {
    Endpoint { host: host.to_owned(), port, protocol, span }
}

fn cipher(text: &str) -> String {
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        ["null"] => "NULL".to_owned(),
        ["des"] => "DES-CBC".to_owned(),
        ["3des"] => "3DES-CBC".to_owned(),
        ["blowfish"] => "BLOWFISH-CBC".to_owned(),
        ["twofish"] => "TWOFISH-CBC".to_owned(),
        ["chacha20poly1305"] => "CHACHA20-POLY1305".to_owned(),
        [family, bits] => format!("{family}-{bits}-CBC").to_ascii_uppercase(),
        _ => text.to_ascii_uppercase(),
    }
}

/// Names of RouterOS for Diffie-Hellman groups.
fn group(text: &str) -> String {
    match text {
        "none" => "NONE".to_owned(),
        "ecp256" => "SECP256R1".to_owned(),
        "ecp384" => "SECP384R1".to_owned(),
        "ecp521" => "SECP521R1".to_owned(),
        "x25519" => "X25519".to_owned(),
        _ => text.strip_prefix("modp").map_or_else(|| text.to_ascii_uppercase(), |bits| format!("DH-{bits}")),
    }
}

/// Offers of one property, written or by default.
fn offers(
    out: &mut Vec<CryptoOffer>,
    layer: CryptoLayer,
    usage: CryptoUse,
    written: Option<&Value>,
    default: &[&str],
    at: Span,
    name: fn(&str) -> String,
) {
    match written {
        // Which one a script chooses is not known: it is nothing that a profile has.
        Some(value) if value.computed => out.push(CryptoOffer { layer, ..CryptoOffer::written(usage, "computed", value.span) }),
        Some(value) => {
            for part in value.text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
                out.push(CryptoOffer { layer, ..CryptoOffer::written(usage, &name(part), value.span) });
            }
        }
        None => {
            for part in default {
                out.push(CryptoOffer { layer, default: true, ..CryptoOffer::written(usage, &name(part), at) });
            }
        }
    }
}

fn upper(text: &str) -> String {
    if text == "null" { "NONE".to_owned() } else { text.to_ascii_uppercase() }
}

/// Phase 1. Defaults: help.mikrotik.com, "IPsec", Profiles (modp1024 and modp2048, aes-128, sha1). Exports of all properties of 6.43 to 7.18 also have
/// 3des; later ones may. Until 6.42, the peer itself had these properties (wiki.mikrotik.com, "Manual:IP/IPsec").
fn phase1(out: &mut Vec<CryptoOffer>, profile: Option<&Item>, at: Span, version: Option<(u32, u32)>) {
    let value = |names: [&str; 2]| names.iter().find_map(|n| profile.and_then(|p| p.value(n)));
    let layer = CryptoLayer::Control;
    let at = profile.map_or(at, |p| p.span);
    offers(out, layer, CryptoUse::KeyExchange, value(["dh-group", "dh-groups"]), &["modp2048", "modp1024"], at, group);
    let ciphers = value(["enc-algorithm", "enc-algorithms"]);
    offers(out, layer, CryptoUse::Cipher, ciphers, &["aes-128"], at, cipher);
    if ciphers.is_none() {
        let perhaps = version.is_some_and(|v| v > (7, 18));
        let old = CryptoOffer::written(CryptoUse::Cipher, &cipher("3des"), at);
        out.push(CryptoOffer { layer, default: true, perhaps, ..old });
    }
    offers(out, layer, CryptoUse::Digest, value(["hash-algorithm", "hash-algorithms"]), &["sha1"], at, upper);
    if let Some(prf) = value(["prf-algorithm", "prf-algorithms"]).filter(|v| v.text != "auto") {
        offers(out, layer, CryptoUse::Prf, Some(prf), &[], at, upper);
    }
}

/// Phase 2. Defaults: help.mikrotik.com, "IPsec", Proposals.
fn phase2(out: &mut Vec<CryptoOffer>, proposal: Option<&Item>, at: Span) {
    let value = |name: &str| proposal.and_then(|p| p.value(name));
    let layer = CryptoLayer::Data;
    let at = proposal.map_or(at, |p| p.span);
    offers(out, layer, CryptoUse::Cipher, value("enc-algorithms"), &["aes-256-cbc", "aes-192-cbc", "aes-128-cbc"], at, cipher);
    offers(out, layer, CryptoUse::Digest, value("auth-algorithms"), &["sha1"], at, upper);
    offers(out, layer, CryptoUse::KeyExchange, value("pfs-group"), &["modp1024"], at, group);
}

fn by_name(items: Vec<&Item>) -> HashMap<&str, &Item> {
    let mut out = HashMap::new();
    for item in items {
        if item.is("default", "yes") {
            out.entry("default").or_insert(item);
        }
        if let Some(name) = item.filled("name") {
            out.insert(name, item);
        }
    }
    out
}

fn ipsec(reader: &mut Reader<'_>, export: &Export) {
    let t = &export.tables;
    let mut profiles = by_name(t.items("ip ipsec profile"));
    profiles.extend(by_name(t.items("ip ipsec peer profile")));
    let proposals = by_name(t.items("ip ipsec proposal"));
    let mut identities: HashMap<&str, Vec<&Item>> = HashMap::new();
    for identity in t.items("ip ipsec identity").into_iter().filter(|i| !i.disabled()) {
        identities.entry(identity.filled("peer").unwrap_or("")).or_default().push(identity);
    }
    let mut policies: HashMap<&str, Vec<&Item>> = HashMap::new();
    for policy in t.items("ip ipsec policy").into_iter().filter(|p| !p.disabled()) {
        for peer in policy.list("peer") {
            policies.entry(peer).or_default().push(policy);
        }
    }
    // Policies that peers may ask for (`generate-policy`) are made of the templates of a group; every router has one in the group `default`.
    let templates: Vec<&Item> =
        t.items("ip ipsec policy").into_iter().filter(|p| !p.disabled() && (p.on("template") || !p.added)).collect();
    let proposals_of = |reader: &mut Reader<'_>, item: Option<&Item>| {
        let name = item.and_then(|i| i.filled("proposal")).unwrap_or("default");
        if let Some(item) = item.filter(|_| name != "default") {
            reader.device.names.used("IPsec proposal", name, item.at("proposal"));
        }
        name.to_owned()
    };
    for (space, items) in [("IPsec profile", t.items("ip ipsec profile")), ("IPsec proposal", t.items("ip ipsec proposal"))] {
        for item in items.into_iter().filter(|i| i.added) {
            if let Some(name) = item.filled("name") {
                reader.device.names.define(space, name, item.at("name"));
            }
        }
    }
    for peer in t.items("ip ipsec peer").into_iter().filter(|p| !p.disabled()) {
        let everybody = peer.filled("address").is_none_or(|a| a.ends_with("/0"));
        let role = if everybody || peer.on("passive") { TunnelRole::Server } else { TunnelRole::Peer };
        let mut tunnel = Tunnel::new(TunnelKind::Ipsec, role, "", peer.span);
        tunnel.name = peer.filled("name").map(str::to_owned);
        // `exchange-mode` is main by default (help.mikrotik.com, "IPsec", Peers).
        let mode = peer.filled("exchange-mode");
        let version = match mode.unwrap_or("main") {
            "ike2" => "2",
            "aggressive" => "1-AGGRESSIVE",
            _ => "1",
        };
        tunnel.crypto.push(CryptoOffer {
            default: mode.is_none(),
            layer: CryptoLayer::Control,
            ..CryptoOffer::written(CryptoUse::IkeVersion, version, peer.at("exchange-mode"))
        });
        let own = ["dh-group", "enc-algorithm", "hash-algorithm"].iter().any(|p| peer.value(p).is_some());
        let profile = peer.filled("profile").unwrap_or("default");
        if profile != "default" {
            reader.device.names.used("IPsec profile", profile, peer.at("profile"));
        }
        let known = profile == "default" || profiles.contains_key(profile);
        if own {
            phase1(&mut tunnel.crypto, Some(peer), peer.span, export.version);
        } else if known {
            phase1(&mut tunnel.crypto, profiles.get(profile).copied(), peer.span, export.version);
        } else {
            let text = "this profile is not in the file: what it offers is not known";
            reader.note(peer.at("profile"), LineState::NotModelled, text);
        }
        let mine = peer.filled("name").map(|n| policies.remove(n).unwrap_or_default()).unwrap_or_default();
        let mut names: Vec<String> = mine.iter().map(|p| proposals_of(reader, Some(p))).collect();
        let ids = peer.filled("name").and_then(|n| identities.remove(n)).unwrap_or_default();
        for id in ids.iter().filter(|i| i.get("generate-policy").is_some_and(|g| !matches!(g, "no" | "false"))) {
            let wanted = id.filled("policy-template-group").unwrap_or("default");
            let of_group = templates.iter().filter(|p| p.filled("group").unwrap_or("default") == wanted);
            names.extend(of_group.map(|p| proposals_of(reader, Some(p))));
        }
        if names.is_empty() {
            names.push("default".into());
        }
        names.sort();
        names.dedup();
        for name in names {
            if name == "default" || proposals.contains_key(name.as_str()) {
                phase2(&mut tunnel.crypto, proposals.get(name.as_str()).copied(), peer.span);
            }
        }
        for policy in mine {
            let side = |p: &str| policy.filled(p).and_then(|a| a.parse().ok()).into_iter().collect::<Vec<_>>();
            let selector = Selector { local: side("src-address"), remote: side("dst-address"), span: policy.span };
            if !selector.local.is_empty() && !selector.remote.is_empty() {
                tunnel.selectors.push(selector);
            }
        }
        // Until 6.43, the peer itself had the secret.
        for id in ids.into_iter().chain([peer].into_iter().filter(|p| p.value("secret").is_some() || p.value("auth-method").is_some())) {
            authentication(&mut tunnel, id);
            // `my-id` and `remote-id`: kind and value with a colon between; `auto` and `ignore` name nobody (help.mikrotik.com, "IPsec", Identities).
            for (written, name) in [("my-id", "local-id"), ("remote-id", "remote-id")] {
                if let Some((_, value)) = id.filled(written).and_then(|v| v.split_once(':')) {
                    tunnel.settings.push(TunnelSetting { name: name.into(), value: value.to_owned(), span: id.at(written) });
                }
            }
            let mut other = Peer::new(id.span);
            other.name = id.filled("comment").or(id.filled("remote-id")).map(str::to_owned);
            other.preshared_key = secret(id, "secret");
            other.endpoint = peer.filled("address").filter(|_| !everybody).map(|a| {
                let host = a.strip_suffix("/32").or(a.strip_suffix("/128")).unwrap_or(a);
                endpoint(host, 500, 17, peer.at("address"))
            });
            tunnel.peers.push(other);
        }
        for name in ["generate-policy", "nat-traversal", "lifetime"] {
            if let Some(value) = peer.value(name) {
                tunnel.settings.push(TunnelSetting { name: name.into(), value: value.text.clone(), span: value.span });
            }
        }
        reader.device.tunnels.push(tunnel);
    }
}

fn authentication(tunnel: &mut Tunnel, id: &Item) {
    // `auth-method` is pre-shared-key by default (help.mikrotik.com, "IPsec", Identities).
    let method = id.filled("auth-method");
    let names: &[&str] = match method.unwrap_or("pre-shared-key") {
        "pre-shared-key" => &["PSK"],
        "pre-shared-key-xauth" => &["PSK", "XAUTH"],
        "digital-signature" | "rsa-signature" => &["CERTIFICATE"],
        "rsa-signature-hybrid" => &["CERTIFICATE", "XAUTH"],
        "rsa-key" => &["RSA"],
        "eap" | "eap-radius" => &["EAP"],
        _ => &[],
    };
    for name in names {
        let offer = CryptoOffer::written(CryptoUse::Authentication, name, id.at("auth-method"));
        tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Control, default: method.is_none(), ..offer });
    }
}

fn ppp_method(text: &str) -> String {
    match text {
        "mschap1" => "MSCHAPV1".to_owned(),
        "mschap2" => "MSCHAPV2".to_owned(),
        other => other.to_ascii_uppercase(),
    }
}

fn data_cipher(text: &str) -> String {
    match text {
        "blowfish128" => "BF-CBC".to_owned(),
        "null" | "none" => "NULL".to_owned(),
        // `aes128`, `aes256-cbc`, `aes192-gcm`.
        _ => match text.strip_prefix("aes").map(|r| r.split_once('-').unwrap_or((r, "cbc"))) {
            Some((bits, mode)) => format!("AES-{bits}-{mode}").to_ascii_uppercase(),
            None => text.to_ascii_uppercase(),
        },
    }
}

/// Servers of PPP. They are off by default, and their defaults are those of help.mikrotik.com, "L2TP", "PPTP", "SSTP" and "OpenVPN".
fn servers(reader: &mut Reader<'_>, export: &Export) {
    let profiles = by_name(export.tables.items("ip ipsec profile"));
    let proposals = by_name(export.tables.items("ip ipsec proposal"));
    let seven = export.version.is_none_or(|v| v.0 >= 7);
    for (menu, kind, port, methods) in [
        ("interface l2tp-server server", TunnelKind::L2tp, Some((17, 1701)), &["mschap1", "mschap2"][..]),
        ("interface pptp-server server", TunnelKind::Pptp, Some((6, 1723)), &["mschap1", "mschap2"]),
        ("interface sstp-server server", TunnelKind::Sstp, Some((6, 443)), &["pap", "chap", "mschap1", "mschap2"]),
        ("interface ovpn-server server", TunnelKind::OpenVpn, Some((6, 1194)), &[]),
    ] {
        for item in export.tables.items(menu) {
            // Since 7.17 there are several OpenVPN servers, made by `add`, which are off unless they say otherwise.
            let on = if item.added { item.off("disabled") } else { item.on("enabled") };
            if !on {
                continue;
            }
            let mut tunnel = Tunnel::new(kind, TunnelRole::Server, "", item.span);
            tunnel.name = Some(item.filled("name").unwrap_or(menu.trim_start_matches("interface ")).to_owned());
            if let Some((mut protocol, mut number)) = port {
                number = item.get("port").and_then(|p| p.parse().ok()).unwrap_or(number);
                if kind == TunnelKind::OpenVpn && item.is("protocol", "udp") {
                    protocol = 17;
                }
                tunnel.listen = Some((protocol, number, item.at("port")));
            }
            let (whole, control, data) = (CryptoLayer::Whole, CryptoLayer::Control, CryptoLayer::Data);
            let crypto = &mut tunnel.crypto;
            offers(crypto, whole, CryptoUse::Authentication, item.value("authentication"), methods, item.span, ppp_method);
            if kind == TunnelKind::L2tp && item.value("authentication").is_none() {
                // What some versions export as the default of L2TP.
                for method in ["pap", "chap"] {
                    let old = CryptoOffer::written(CryptoUse::Authentication, &ppp_method(method), item.span);
                    crypto.push(CryptoOffer { default: true, perhaps: true, ..old });
                }
            }
            if matches!(kind, TunnelKind::Sstp | TunnelKind::OpenVpn) {
                let tls = item.value("tls-version").filter(|v| v.text.starts_with("only-"));
                // The other choice is `any`, the default (help.mikrotik.com, "SSTP", "OpenVPN"): it lets in the version before at least.
                let least = tls.map_or("1.1", |v| v.text.trim_start_matches("only-"));
                let span = tls.map_or(item.at("tls-version"), |v| v.span);
                let default = item.value("tls-version").is_none();
                crypto.push(CryptoOffer { layer: control, default, ..CryptoOffer::written(CryptoUse::TlsVersion, least, span) });
            }
            if let Some(ciphers) = item.value("ciphers").filter(|_| kind == TunnelKind::Sstp) {
                offers(crypto, control, CryptoUse::TlsCipher, Some(ciphers), &[], item.span, str::to_ascii_uppercase);
            }
            if kind == TunnelKind::OpenVpn {
                // Version 6 has the first two ("Manual:Interface/OVPN").
                let digests: &[&str] = if seven { &["sha1", "md5", "sha256", "sha512"] } else { &["sha1", "md5"] };
                offers(crypto, data, CryptoUse::Cipher, item.value("cipher"), &["blowfish128", "aes128"], item.span, data_cipher);
                offers(crypto, data, CryptoUse::Digest, item.value("auth"), digests, item.span, upper);
            }
            let ipsec = item.filled("use-ipsec").unwrap_or("no");
            if kind == TunnelKind::L2tp && ipsec != "no" {
                let mut outer = Tunnel::new(TunnelKind::Ipsec, TunnelRole::Server, "", item.span);
                outer.name = Some("l2tp-server over IPsec".into());
                outer.crypto.push(CryptoOffer { layer: control, ..CryptoOffer::written(CryptoUse::IkeVersion, "1", item.at("use-ipsec")) });
                phase1(&mut outer.crypto, profiles.get("default").copied(), item.span, export.version);
                phase2(&mut outer.crypto, proposals.get("default").copied(), item.span);
                outer
                    .crypto
                    .push(CryptoOffer { layer: control, ..CryptoOffer::written(CryptoUse::Authentication, "PSK", item.at("use-ipsec")) });
                outer.crypto.append(&mut tunnel.crypto.clone());
                let mut peer = Peer::new(item.span);
                peer.preshared_key = secret(item, "ipsec-secret");
                outer.peers.push(peer);
                reader.device.tunnels.push(outer);
            }
            for name in
                ["require-client-certificate", "verify-client-certificate", "use-ipsec", "pfs", "default-profile", "user-auth-method"]
            {
                if let Some(value) = item.value(name) {
                    tunnel.settings.push(TunnelSetting { name: name.into(), value: value.text.clone(), span: value.span });
                }
            }
            // `yes` also takes clients without IPsec.
            if !(kind == TunnelKind::L2tp && ipsec == "required") {
                reader.device.tunnels.push(tunnel);
            }
        }
    }
}

fn clients(reader: &mut Reader<'_>, export: &Export) {
    let profiles = by_name(export.tables.items("ip ipsec profile"));
    let proposals = by_name(export.tables.items("ip ipsec proposal"));
    for (menu, kind, protocol, port) in [
        ("interface l2tp-client", TunnelKind::L2tp, 17, 1701),
        ("interface pptp-client", TunnelKind::Pptp, 6, 1723),
        ("interface sstp-client", TunnelKind::Sstp, 6, 443),
        ("interface ovpn-client", TunnelKind::OpenVpn, 6, 1194),
    ] {
        for item in export.tables.items(menu).into_iter().filter(|i| i.off("disabled")) {
            let Some(name) = item.filled("name") else { continue };
            let ipsec = kind == TunnelKind::L2tp && item.on("use-ipsec");
            let mut tunnel = Tunnel::new(if ipsec { TunnelKind::Ipsec } else { kind }, TunnelRole::Client, name, item.span);
            let mut peer = Peer::new(item.span);
            let number = item.get("port").and_then(|p| p.parse().ok()).unwrap_or(port);
            let protocol = if item.is("protocol", "udp") { 17 } else { protocol };
            peer.endpoint = item.filled("connect-to").map(|h| endpoint(h, number, protocol, item.at("connect-to")));
            peer.preshared_key = secret(item, "ipsec-secret");
            tunnel.peers.push(peer);
            // `allow` and `authentication`: all of them by default (help.mikrotik.com, "L2TP", "PPTP" and "SSTP", client).
            if kind != TunnelKind::OpenVpn {
                let all = ["pap", "chap", "mschap1", "mschap2"];
                offers(
                    &mut tunnel.crypto,
                    CryptoLayer::Whole,
                    CryptoUse::Authentication,
                    item.value("allow").or(item.value("authentication")),
                    &all,
                    item.span,
                    ppp_method,
                );
            } else {
                // help.mikrotik.com, "OpenVPN", client: blowfish128 and sha1.
                let data = CryptoLayer::Data;
                offers(&mut tunnel.crypto, data, CryptoUse::Cipher, item.value("cipher"), &["blowfish128"], item.span, data_cipher);
                offers(&mut tunnel.crypto, data, CryptoUse::Digest, item.value("auth"), &["sha1"], item.span, upper);
            }
            if ipsec {
                phase1(&mut tunnel.crypto, profiles.get("default").copied(), item.span, export.version);
                phase2(&mut tunnel.crypto, proposals.get("default").copied(), item.span);
            }
            reader.device.tunnels.push(tunnel);
        }
    }
}
