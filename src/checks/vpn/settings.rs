//! Aspects that one directive of OpenVPN decides. WireGuard has no such choices: its ends authenticate each other by their keys, every peer
//! has its own, nothing is compressed (wireguard.com/protocol).

use super::{Run, is_client, is_openvpn, is_server, is_static_key};
use crate::diag::{Finding, Label};
use crate::model::{CryptoUse, Tunnel};

/// Without one of these any certificate of the same authority, that of another client too, passes for the server's (openvpn(8),
/// `--remote-cert-tls`, "man-in-the-middle").
pub(super) fn verify_server(run: &mut Run<'_, '_>) {
    for (device, tunnel) in run.tunnels(is_client) {
        if let Some(s) = tunnel.setting("accepts-invalid-certificates") {
            let finding = Finding::new("the client connects though the server's certificate is not valid", Label::new(s.span, ""));
            run.say(device, tunnel.title(), finding);
        }
        // `remote-cert-ku` alone is none of them: a client's certificate may have the same key usage as a server's (RFC 5280, 4.2.1.3).
        let ways = ["remote-cert-tls", "verify-x509-name", "remote-cert-eku", "ns-cert-type", "tls-remote", "peer-fingerprint"];
        let found = ways.iter().find_map(|w| tunnel.setting(w));
        if !is_openvpn(tunnel) || is_static_key(tunnel) {
            continue;
        }
        match found {
            None => {
                let label = run.head(tunnel.span, "neither `remote-cert-tls` nor `verify-x509-name` here");
                let mut finding = Finding::new("the client takes any certificate of its authority for the server's", label);
                finding.fix = Some("Add `remote-cert-tls server`.".into());
                run.say(device, &tunnel.interface, finding);
            }
            Some(s) if !asks_for_a_server(&s.name, &s.value) => {
                let label = Label::new(s.span, "");
                let finding = Finding::new(format!("the client asks for the certificate of a `{}`, not of a server", s.value), label);
                run.say(device, &tunnel.interface, finding);
            }
            Some(_) => {}
        }
    }
}

/// Whether the value of such a directive means a server's certificate (openvpn(8); id-kp-serverAuth is 1.3.6.1.5.5.7.3.1, RFC 5280).
fn asks_for_a_server(name: &str, value: &str) -> bool {
    match name {
        "remote-cert-tls" | "ns-cert-type" => value == "server",
        "remote-cert-eku" => value.contains("Server") || value.contains("serverAuth") || value.ends_with("1.3.6.1.5.5.7.3.1"),
        _ => true,
    }
}

pub(super) fn tls_auth(run: &mut Run<'_, '_>) {
    for (device, tunnel) in run.tunnels(|_| true) {
        let ways = ["tls-crypt-v2", "tls-crypt", "tls-auth"];
        if !is_openvpn(tunnel) || is_static_key(tunnel) || ways.iter().any(|w| tunnel.setting(w).is_some()) {
            continue;
        }
        let label = run.head(tunnel.span, "neither `tls-crypt-v2`, `tls-crypt` nor `tls-auth` here");
        let mut finding = Finding::new("whoever reaches the port can talk TLS to it: the control channel has no key of its own", label);
        finding.fix = Some("Make a key with `openvpn --genkey tls-crypt`, and add `tls-crypt` on both ends.".into());
        run.say(device, &tunnel.interface, finding);
    }
}

/// Compression before encryption shows through the length of packets what is in them (VORACLE; openvpn(8), `--compress`).
pub(super) fn no_compression(run: &mut Run<'_, '_>) {
    for (device, tunnel) in run.tunnels(|_| true) {
        let offered = tunnel.crypto.iter().filter(|o| o.usage == CryptoUse::Compression).map(|o| (o.name.clone(), o.span));
        let allowed =
            tunnel.setting("allow-compression").filter(|s| s.value != "no").map(|s| (format!("allow-compression {}", s.value), s.span));
        for (name, span) in offered.chain(allowed) {
            let label = Label::new(span, "");
            let finding = Finding::new(format!("traffic is compressed before it is encrypted ({name})"), label);
            run.say(device, format!("{} {name}", tunnel.interface), finding);
        }
    }
}

pub(super) fn no_duplicate_cn(run: &mut Run<'_, '_>) {
    forbidden(run, "duplicate-cn", "several clients may use one certificate at the same time", |_| true);
    // Then a password is all that tells clients apart (openvpn(8), `--verify-client-cert`).
    let message = "clients need no certificate of their own";
    forbidden(run, "verify-client-cert", message, |value| matches!(value, "none" | "optional"));
    forbidden(run, "client-cert-not-required", message, |_| true);
}

pub(super) fn client_isolation(run: &mut Run<'_, '_>) {
    // Traffic between WireGuard peers passes the forward hook, and so is a matter of rules.
    for (device, tunnel) in run.tunnels(|t| is_server(t) && is_openvpn(t)) {
        if let Some(setting) = tunnel.setting("client-to-client") {
            let finding = Finding::new("the server passes traffic between its clients past the firewall", Label::new(setting.span, ""));
            run.say(device, "client-to-client", finding);
        }
    }
}

/// Who has the password, or the device, has the network. Most configurations do not show it: the server asks for it.
pub(super) fn second_factor(run: &mut Run<'_, '_>) {
    for (device, tunnel) in run.tunnels(|t| t.second_factor.is_some()) {
        let Some(fact) = tunnel.second_factor.as_ref().filter(|f| !f.value) else { continue };
        let finding = Finding::new("one factor is enough to log in to the VPN", Label::new(fact.span, ""));
        run.say(device, tunnel.title(), finding);
    }
}

/// Settings after which a session ends by itself, in seconds; 0 is never (`Set-VpnConnection`, `-IdleDisconnectSeconds`; openvpn(8), `--inactive` and
/// `--session-timeout`).
const SESSION_LIMITS: [&str; 3] = ["IdleDisconnectSeconds", "inactive", "session-timeout"];

pub(super) fn sessions_end(run: &mut Run<'_, '_>) {
    let limits = |t: &Tunnel| SESSION_LIMITS.iter().filter_map(|n| t.setting(n)).cloned().collect::<Vec<_>>();
    for (device, tunnel) in run.tunnels(|t| !limits(t).is_empty()) {
        let limits = limits(tunnel);
        let never = |value: &str| value.split_whitespace().next().is_none_or(|n| n == "0");
        if let Some(first) = limits.first().filter(|_| limits.iter().all(|s| never(&s.value))) {
            let message = format!("a session of the VPN never ends by itself ({} is 0)", first.name);
            run.say(device, tunnel.title(), Finding::new(message, Label::new(first.span, "")));
        }
    }
}

fn forbidden(run: &mut Run<'_, '_>, name: &str, message: &str, wrong: fn(&str) -> bool) {
    for (device, tunnel) in run.tunnels(is_server) {
        if let Some(setting) = tunnel.setting(name).filter(|s| wrong(&s.value)) {
            run.say(device, name, Finding::new(message, Label::new(setting.span, "")));
        }
    }
}
