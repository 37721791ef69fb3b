//! The data of the plugin for OpenVPN (its `nm-service-defines.h`), in the words of openvpn(8).

use super::ip::words;
use super::lower::{mark_keys, push, rename};
use super::profile::Section;
use crate::model::{CryptoOffer, CryptoUse, Endpoint, Peer, Tunnel, TunnelKind, TunnelRole};
use crate::vendors::Reader;

const UNDERSTOOD: &[&str] = &[
    "service-type",
    "remote",
    "port",
    "proto-tcp",
    "dev",
    "dev-type",
    "tap-dev",
    "cipher",
    "data-ciphers",
    "data-ciphers-fallback",
    "auth",
    "connection-type",
    "ta",
    "tls-crypt",
    "tls-crypt-v2",
    "remote-cert-tls",
    "verify-x509-name",
    "tls-remote",
    "ns-cert-type",
    "comp-lzo",
    "compress",
    "allow-compression",
    "tls-version-min",
    "tls-cipher",
    "static-key",
    "username",
    "key",
    "keysize",
];
const IRRELEVANT: &[&str] = &[
    "ca",
    "cert",
    "cert-pass-flags",
    "challenge-response-flags",
    "connect-timeout",
    "crl-verify-dir",
    "crl-verify-file",
    "extra-certs",
    "float",
    "fragment-size",
    "http-proxy-password-flags",
    "local-ip",
    "max-routes",
    "mssfix",
    "mtu-disc",
    "password-flags",
    "ping",
    "ping-exit",
    "ping-restart",
    "proxy-port",
    "proxy-retry",
    "proxy-server",
    "proxy-type",
    "push-peer-info",
    "remote-ip",
    "remote-random",
    "remote-random-hostname",
    "reneg-seconds",
    "route-delay",
    "static-key-direction",
    "ta-dir",
    "tls-version-max",
    "tls-version-min-or-highest",
    "tun-ipv6",
    "tunnel-mtu",
    "user-name",
    "persistent",
    "timeout",
];

pub(super) fn tunnel(reader: &mut Reader<'_>, vpn: &Section) -> Tunnel {
    mark_keys(reader, vpn, UNDERSTOOD, IRRELEVANT);
    let kind = if vpn.value("dev-type") == Some("tap") || vpn.yes("tap-dev") { "tap" } else { "tun" };
    let mut tunnel = Tunnel::new(TunnelKind::OpenVpn, TunnelRole::Client, vpn.value("dev").unwrap_or(kind), vpn.span);
    let port: u16 = vpn.value("port").and_then(|p| p.parse().ok()).unwrap_or(1194);
    let protocol = if vpn.yes("proto-tcp") { 6 } else { 17 };
    if let Some(remote) = vpn.get("remote") {
        for word in words(&remote.value) {
            let endpoint = endpoint(word, port, protocol);
            let mut peer = Peer::new(vpn.span);
            peer.endpoint = Some(Endpoint { span: remote.at, host: endpoint.0, port: endpoint.1, protocol: endpoint.2 });
            tunnel.peers.push(peer);
        }
    }
    for (key, usage) in [
        ("cipher", CryptoUse::Cipher),
        ("data-ciphers", CryptoUse::Cipher),
        ("data-ciphers-fallback", CryptoUse::Cipher),
        ("auth", CryptoUse::Digest),
        ("tls-version-min", CryptoUse::TlsVersion),
        ("tls-cipher", CryptoUse::TlsCipher),
    ] {
        if let Some(entry) = vpn.get(key) {
            for word in entry.value.split([':', ' ']).filter(|w| !w.is_empty()) {
                tunnel.crypto.push(CryptoOffer::written(usage, word.trim_start_matches('?'), entry.span));
            }
        }
    }
    let static_key = vpn.value("connection-type") == Some("static-key");
    // Since 2.4 both ends agree on a cipher of this list, whatever `cipher` says; 2.6 knows ChaCha20 too (openvpn(8), `--data-ciphers`).
    if vpn.get("data-ciphers").is_none() && !static_key {
        for (name, perhaps) in [("AES-256-GCM", false), ("AES-128-GCM", false), ("CHACHA20-POLY1305", true)] {
            tunnel.crypto.push(CryptoOffer { default: true, perhaps, ..CryptoOffer::written(CryptoUse::Cipher, name, vpn.span) });
        }
    }
    for key in ["comp-lzo", "compress"] {
        // `no-by-default` and `no` compress nothing.
        if let Some(entry) = vpn.get(key).filter(|e| !matches!(e.value.as_str(), "no" | "no-by-default" | "stub" | "stub-v2" | "migrate")) {
            tunnel.crypto.push(CryptoOffer::written(
                CryptoUse::Compression,
                if key == "comp-lzo" { "LZO" } else { &entry.value },
                entry.span,
            ));
        }
    }
    for (key, name) in [
        ("ta", "tls-auth"),
        ("tls-crypt", "tls-crypt"),
        ("tls-crypt-v2", "tls-crypt-v2"),
        ("remote-cert-tls", "remote-cert-tls"),
        ("verify-x509-name", "verify-x509-name"),
        ("tls-remote", "tls-remote"),
        ("ns-cert-type", "ns-cert-type"),
        ("allow-compression", "allow-compression"),
        ("connection-type", "connection-type"),
        ("key", "key"),
    ] {
        rename(&mut tunnel, vpn, key, name);
    }
    if let Some(entry) = vpn.get("static-key").filter(|_| static_key) {
        push(&mut tunnel, "secret", "", entry.span);
    }
    match vpn.get("connection-type") {
        Some(e) if e.value == "password-tls" => tunnel.second_factor = Some(crate::model::Fact::written(true, e.span)),
        Some(e) if e.value == "password" => tunnel.second_factor = Some(crate::model::Fact::written(false, e.span)),
        _ => {}
    }
    tunnel
}

/// `host[:port[:protocol]]`, an IPv6 address in brackets.
fn endpoint(word: &str, port: u16, protocol: u8) -> (String, u16, u8) {
    let (host, rest) = match word.strip_prefix('[').and_then(|w| w.split_once(']')) {
        Some((host, rest)) => (host, rest.trim_start_matches(':')),
        None if word.matches(':').count() > 2 => (word, ""),
        None => word.split_once(':').unwrap_or((word, "")),
    };
    let mut parts = rest.split(':');
    let port = parts.next().and_then(|p| p.parse().ok()).unwrap_or(port);
    let protocol = match parts.next() {
        Some(p) if p.starts_with("tcp") => 6,
        Some(p) if p.starts_with("udp") => 17,
        _ => protocol,
    };
    (host.to_owned(), port, protocol)
}
