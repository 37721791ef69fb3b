//! `[ipv4]` and `[ipv6]` of a profile.

use ipnetwork::IpNetwork;

use super::profile::{Entry, Profile, Section};
use crate::diag::LineState;
use crate::model::{Dns, Tunnel, Unmodelled, VpnRoute};
use crate::net::Family;
use crate::source::Span;
use crate::vendors::Reader;

/// What the sections say.
#[derive(Default)]
pub(super) struct Ip {
    /// By family (IPv4, IPv6): the connection never carries the default route.
    pub never_default: [Option<Span>; 2],
    /// Routes that the server pushes are not taken.
    pub ignores_routes: [bool; 2],
    /// The family is switched off for this connection.
    pub off: [bool; 2],
    /// Name servers that the server pushes are not taken.
    pub ignores_dns: [bool; 2],
}

/// The section of a family.
pub(super) const SECTIONS: [(&str, Family); 2] = [("ipv4", Family::V4), ("ipv6", Family::V6)];

/// Addresses, routes and name servers, for a tunnel.
pub(super) fn read(reader: &mut Reader<'_>, profile: &Profile, tunnel: &mut Tunnel) -> Ip {
    let mut ip = Ip::default();
    for (i, (name, family)) in SECTIONS.iter().enumerate() {
        let Some(section) = profile.section(name) else { continue };
        ip.never_default[i] = section.get("never-default").filter(|e| super::profile::is_yes(&e.value)).map(|e| e.span);
        ip.ignores_routes[i] = section.yes("ignore-auto-routes");
        ip.ignores_dns[i] = section.yes("ignore-auto-dns");
        ip.off[i] = matches!(section.value("method"), Some("disabled" | "ignore"));
        for entry in &section.entries {
            entry_of(reader, entry, *family, tunnel, section);
        }
    }
    ip
}

fn entry_of(reader: &mut Reader<'_>, entry: &Entry, family: Family, tunnel: &mut Tunnel, section: &Section) {
    let key = entry.key.as_str();
    let numbered = |word: &str| key.strip_prefix(word).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let mut state = LineState::Understood;
    match key {
        "method" | "never-default" | "ignore-auto-routes" | "ignore-auto-dns" | "may-fail" => {}
        "dns" => {
            for word in words(&entry.value) {
                // `1.1.1.1#name` names the certificate of DNS over TLS.
                let address = word.split('#').next().unwrap_or(word).trim_start_matches("dns+udp://").trim_start_matches("dns+tls://");
                tunnel.dns.push(Dns { server: address.parse().ok(), text: word.to_owned(), span: entry.at });
            }
        }
        "dns-search" => tunnel.dns.extend(words(&entry.value).map(|w| Dns { server: None, text: w.to_owned(), span: entry.at })),
        "dns-priority" => tunnel.settings.push(crate::model::TunnelSetting {
            name: format!("{}.dns-priority", section.name),
            value: entry.value.clone(),
            span: entry.span,
        }),
        "route-table" if entry.value != "0" && entry.value != "254" => {
            reader.note(
                entry.span,
                LineState::NotModelled,
                "routes go into another table: whether traffic uses it depends on routing rules",
            );
            tunnel.unmodelled.push(Unmodelled::routes(entry.span));
        }
        _ if numbered("routing-rule") => {
            reader.note(entry.span, LineState::NotModelled, "routing rules are not modelled");
            tunnel.unmodelled.push(Unmodelled::routes(entry.span));
        }
        _ if numbered("address") || key == "addresses" => {
            for word in entry.value.split([';', ',']).map(str::trim).filter(|w| w.contains('/')) {
                match word.parse::<IpNetwork>() {
                    Ok(net) if Family::of(net.ip()) == family => tunnel.addresses.push((net, entry.at)),
                    _ => reader.note(entry.span, LineState::Unsupported, "not an address of this family"),
                }
            }
        }
        _ if numbered("route") || key == "routes" => {
            let to = entry.value.split([';', ',']).next().unwrap_or("").trim();
            let to = to.parse::<IpNetwork>().ok().and_then(|n| IpNetwork::new(n.network(), n.prefix()).ok());
            match to {
                Some(to) if Family::of(to.ip()) == family => tunnel.routes.push(VpnRoute { to, excluded: false, span: entry.span }),
                _ => reader.note(entry.span, LineState::Unsupported, "not a route of this family"),
            }
        }
        // `route1_options=table=5,…`.
        _ if key.starts_with("route") && key.ends_with("_options") => {
            if entry.value.contains("table=") || entry.value.contains("type=") {
                reader.note(entry.span, LineState::NotModelled, "the table or type of this route is not modelled");
                tunnel.unmodelled.push(Unmodelled::routes(entry.span));
            }
        }
        _ if IRRELEVANT.contains(&key) => state = LineState::Irrelevant,
        _ => return reader.note(entry.span, LineState::Unrecognised, "a key that this section does not have"),
    }
    reader.mark(entry.span, state);
}

/// The entries of a list.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([';', ',', ' ']).map(str::trim).filter(|w| !w.is_empty())
}

/// Keys of the sections that no check asks for.
const IRRELEVANT: &[&str] = &[
    "addr-gen-mode",
    "auto-route-ext-gw",
    "dad-timeout",
    "dhcp-client-id",
    "dhcp-dscp",
    "dhcp-duid",
    "dhcp-fqdn",
    "dhcp-hostname",
    "dhcp-hostname-flags",
    "dhcp-iaid",
    "dhcp-ipv6-only-preferred",
    "dhcp-pd-hint",
    "dhcp-reject-servers",
    "dhcp-send-hostname",
    "dhcp-send-hostname-v2",
    "dhcp-send-release",
    "dhcp-timeout",
    "dhcp-vendor-class-identifier",
    "dns-options",
    "forwarding",
    "gateway",
    "ip6-privacy",
    "link-local",
    "mtu",
    "ra-timeout",
    "replace-local-rule",
    "required-timeout",
    "route-metric",
    "route-table",
    "shared-dhcp-lease-time",
    "shared-dhcp-range",
    "temp-preferred-lifetime",
    "temp-valid-lifetime",
    "token",
];
