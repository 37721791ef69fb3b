//! `netstat -rn` of macOS, FreeBSD and OpenBSD: the routing tables.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::IpNetwork;

use crate::diag::LineState;
use crate::model::Route;
use crate::net::Family;
use crate::source::SourceFile;
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static NETSTAT_ROUTES: Format = Format {
    id: "netstat-routes",
    title: "netstat -rn (macOS, FreeBSD, OpenBSD)",
    export: "netstat -rn > routes.txt",
    covers: &["destinations, also shortened ones, gateways, interfaces, rejected ones"],
    leaves: &["routes for sockets that are bound to an interface"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

fn detect(file: &SourceFile) -> Option<Detection> {
    let head = file.head(16 << 10);
    let mut lines = head.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
    let first = lines.next()?.trim();
    let tables = lines.take(3).any(|l| matches!(l.trim(), "Internet:" | "Internet6:"));
    (first == "Routing tables" && tables)
        .then_some(Detection { confidence: Confidence::Certain, why: "has routing tables as netstat -rn prints them" })
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let (mut family, mut columns): (Option<Family>, Vec<String>) = (None, Vec::new());
    let mut routes = Vec::new();
    for index in 0..file.line_count() {
        let span = file.line_span(index);
        let text = file.slice(span).trim();
        if text.ends_with(':') {
            reader.mark(span, LineState::Irrelevant);
        }
        match text {
            "" | "Routing tables" => reader.mark(span, LineState::Irrelevant),
            "Internet:" => family = Some(Family::V4),
            "Internet6:" => family = Some(Family::V6),
            _ if text.starts_with('#') || text.starts_with("Routing tables") => reader.mark(span, LineState::Irrelevant),
            _ if text.starts_with("Destination") => {
                columns = text.split_ascii_whitespace().map(str::to_owned).collect();
                reader.mark(span, LineState::Irrelevant);
            }
            // Other tables (IPsec's, of labels).
            _ if text.ends_with(':') && !text.contains(' ') => family = None,
            _ => {
                let Some(family) = family else {
                    reader.mark(span, LineState::Irrelevant);
                    continue;
                };
                let words: Vec<&str> = text.split_ascii_whitespace().collect();
                let at = |name: &str| columns.iter().position(|c| c == name);
                let word = |name: &str| at(name).and_then(|i| words.get(i).copied());
                let flags = word("Flags").unwrap_or("");
                let interface = word("Netif").or_else(|| word("Iface")).map(str::to_owned);
                let to = words.first().and_then(|d| destination(d, family, flags));
                let (Some(to), Some(interface)) = (to, interface) else {
                    reader.note(span, LineState::Unrecognised, "this is not a route as netstat -rn prints it");
                    continue;
                };
                // `I`: only for sockets that are bound to the interface (netstat(1) of macOS: RTF_IFSCOPE). FreeBSD has no such flag.
                if flags.contains('I') {
                    reader.mark(span, LineState::Irrelevant);
                    continue;
                }
                reader.mark(span, LineState::Understood);
                let via = word("Gateway").and_then(|g| g.split('%').next()?.parse::<IpAddr>().ok());
                let kind = match () {
                    () if flags.contains('R') => Some("unreachable".to_owned()),
                    () if flags.contains('B') => Some("blackhole".to_owned()),
                    () => None,
                };
                routes.push(Route { to, interface: Some(interface), via, metric: 0, kind, span });
            }
        }
    }
    reader.device.routes = Some(routes);
}

/// `default`, `10`, `192.168.1`, `10.99/16`, `224.0.0/4`, `2001:db8::%utun4/64`. What has no length is a host, or a network of its class, of which the
/// zeros at the end are left out (route.c of netstat).
fn destination(text: &str, family: Family, flags: &str) -> Option<IpNetwork> {
    if text == "default" {
        return if family == Family::V4 { "0.0.0.0/0" } else { "::/0" }.parse().ok();
    }
    let (host, length) = match text.split_once('/') {
        Some((host, length)) => (host, Some(length.parse::<u8>().ok()?)),
        None => (text, None),
    };
    // `fe80::%lo0/64` has its length after the zone.
    let host = host.split('%').next()?;
    let net = if family == Family::V6 {
        IpNetwork::new(host.parse().ok()?, length.unwrap_or(128)).ok()?
    } else {
        let parts: Vec<u8> = host.split('.').map(|p| p.parse().ok()).collect::<Option<_>>()?;
        if parts.is_empty() || parts.len() > 4 {
            return None;
        }
        let part = |i: usize| parts.get(i).copied().unwrap_or(0);
        let whole = if flags.contains('H') { 32 } else { u8::try_from(parts.len() * 8).ok()? };
        IpNetwork::new(IpAddr::V4(Ipv4Addr::new(part(0), part(1), part(2), part(3))), length.unwrap_or(whole)).ok()?
    };
    IpNetwork::new(net.network(), net.prefix()).ok()
}
