//! Profiles to tunnels.

use super::ip::{self, Ip};
use super::profile::{self, Profile, Section};
use super::{openvpn, plugins, wireguard};
use crate::diag::LineState;
use crate::model::{Tunnel, TunnelSetting};
use crate::source::Span;
use crate::vendors::Reader;

pub(super) fn read(reader: &mut Reader<'_>) {
    let profile = profile::parse(reader);
    let Some(connection) = profile.section("connection") else { return };
    mark(reader, &profile);
    let id = connection.value("id").unwrap_or("").to_owned();
    let made = match connection.value("type") {
        Some("vpn") => plugins::tunnel(reader, &profile, connection),
        Some("wireguard") => Some(wireguard::tunnel(reader, &profile, connection)),
        _ => None,
    };
    let Some(mut tunnel) = made else { return };
    if !id.is_empty() {
        tunnel.name = Some(id);
    }
    for key in ["autoconnect", "persistent"] {
        setting(&mut tunnel, connection, key);
    }
    let ip = ip::read(reader, &profile, &mut tunnel);
    if connection.value("type") == Some("wireguard") {
        wireguard::routes(&mut tunnel, &profile, &ip);
    } else {
        pushed(&mut tunnel, &profile, &ip);
    }
    reader.device.tunnels.push(tunnel);
}

/// What the server decides. NetworkManager makes the VPN the way for everything, unless the profile or the plugin says otherwise; of that the profile
/// shows only `never-default` and whether pushed routes are taken.
fn pushed(tunnel: &mut Tunnel, profile: &Profile, ip: &Ip) {
    let at = profile.section("vpn").map_or(tunnel.span, |s| s.span);
    let never = ip.never_default[0];
    for (name, span) in ["never-default", "never-default-v6"].into_iter().zip(ip.never_default) {
        if let Some(span) = span {
            tunnel.settings.push(TunnelSetting { name: name.into(), value: String::new(), span });
        }
    }
    // Routes and name servers of its own are all that such a connection gets.
    if !(never.is_some() && ip.ignores_routes[0]) {
        tunnel.settings.push(TunnelSetting { name: "pull".into(), value: String::new(), span: never.unwrap_or(at) });
    }
    if ip.off[1] {
        tunnel.routes.retain(|r| r.to.is_ipv4());
    }
}

/// Gives lines their state that [`ip`] and the kinds do not.
fn mark(reader: &mut Reader<'_>, profile: &Profile) {
    for section in &profile.sections {
        let name = section.name.as_str();
        // Lowered elsewhere, key by key.
        let known = matches!(name, "vpn" | "wireguard") || name.starts_with("wireguard-peer.");
        let kind = profile.section("connection").and_then(|c| c.value("type"));
        let vpn = matches!(kind, Some("vpn" | "wireguard"));
        for entry in &section.entries {
            match name {
                _ if known => {}
                "ipv4" | "ipv6" if vpn => {}
                "connection" => match entry.key.as_str() {
                    "id" | "type" | "interface-name" | "autoconnect" => reader.mark(entry.span, LineState::Understood),
                    "secondaries" if !entry.value.is_empty() => reader.mark(entry.span, LineState::Understood),
                    key if CONNECTION.contains(&key) => reader.mark(entry.span, LineState::Irrelevant),
                    _ => reader.note(entry.span, LineState::Unrecognised, "a key that [connection] does not have"),
                },
                "vpn-secrets" => reader.mark(entry.span, LineState::Understood),
                // Profiles of other kinds (Wi-Fi, Ethernet, bridges) are no VPN: nothing of them is asked.
                _ => reader.mark(entry.span, LineState::Irrelevant),
            }
        }
    }
}

/// Keys of `[connection]` that no check asks for.
const CONNECTION: &[&str] = &[
    "auth-retries",
    "autoconnect-ports",
    "autoconnect-priority",
    "autoconnect-retries",
    "autoconnect-slaves",
    "controller",
    "dns-over-tls",
    "down-on-poweroff",
    "gateway-ping-timeout",
    "ip-ping-addresses",
    "ip-ping-addresses-require-all",
    "ip-ping-timeout",
    "lldp",
    "llmnr",
    "master",
    "mdns",
    "metered",
    "mptcp-flags",
    "mud-url",
    "multi-connect",
    "permissions",
    "port-type",
    "read-only",
    "slave-type",
    "stable-id",
    "timestamp",
    "uuid",
    "wait-activation-delay",
    "wait-device-timeout",
    "zone",
    "secondaries",
];

/// Takes over a setting as it is written.
pub(super) fn setting(tunnel: &mut Tunnel, section: &Section, key: &str) {
    rename(tunnel, section, key, key);
}

/// Takes over a setting by the name that checks know.
pub(super) fn rename(tunnel: &mut Tunnel, section: &Section, key: &str, name: &str) {
    if let Some(entry) = section.get(key) {
        push(tunnel, name, &entry.value, entry.span);
    }
}

pub(super) fn push(tunnel: &mut Tunnel, name: &str, value: &str, span: Span) {
    tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.to_owned(), span });
}

/// Marks the keys of a section: those that are made use of, and those that no check asks for.
pub(super) fn mark_keys(reader: &mut Reader<'_>, section: &Section, understood: &[&str], irrelevant: &[&str]) {
    for entry in &section.entries {
        let key = entry.key.as_str();
        if understood.contains(&key) {
            reader.mark(entry.span, LineState::Understood);
        } else if irrelevant.contains(&key) || key.ends_with("-flags") || key.ends_with(" flags") {
            reader.mark(entry.span, LineState::Irrelevant);
        } else {
            reader.note(entry.span, LineState::NotModelled, "a setting of this plugin that is not modelled");
        }
    }
}

pub(super) use openvpn::tunnel as openvpn_tunnel;
