//! `ip route`, `ip -6 route`, their JSON (`-j`), and `route -n`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde::Deserialize;

use crate::diag::LineState;
use crate::model::Route;
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static IP_ROUTE: Format = Format {
    id: "ip-route",
    title: "ip route",
    export: "ip route > HOST.ip-route; ip -6 route > HOST.ip6-route",
    covers: &["destination, next hop, departure interface, metric, kind, table; also `ip -j route` and `route -n`"],
    leaves: &["source-specific routes"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

/// Kinds of routes that `ip route` writes before the destination.
const KINDS: [&str; 12] =
    ["unicast", "local", "broadcast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat", "anycast", "xresolve", "unspec"];

fn detect(file: &SourceFile) -> Option<Detection> {
    let found = |confidence, why| Some(Detection { confidence, why });
    let start = file.text.trim_start();
    if start.starts_with('[') {
        let head = start.get(..start.floor_char_boundary(8 << 10)).unwrap_or("");
        let known = head.contains("\"dst\"") && ["\"dev\"", "\"gateway\"", "\"nexthops\"", "\"type\""].iter().any(|k| head.contains(k));
        return if known && !head.contains("\"addr_info\"") { found(Confidence::Certain, "is a JSON list with dst and dev") } else { None };
    }
    let (mut routes, mut other) = (0, 0);
    for line in file.text.lines().take(200).filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let words: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
        let words = match words.as_slice() {
            [kind, rest @ ..] if KINDS.contains(kind) => rest,
            all => all,
        };
        match words {
            ["Kernel", "IP" | "IPv6", "routing", "table"] | ["Destination", "Gateway" | "Next", ..] => routes += 1,
            [to, "via" | "dev" | "nhid" | "proto" | "metric", ..] if destination(to, Family::V4).is_some() => routes += 1,
            [to] | [to, "scope" | "src" | "table", ..] if destination(to, Family::V4).is_some() => routes += 1,
            ["nexthop", "via" | "dev", ..] => routes += 1,
            [to, gateway, mask, ..] if [to, gateway, mask].iter().all(|w| w.parse::<IpAddr>().is_ok()) => {}
            _ => other += 1,
        }
    }
    match () {
        _ if routes > 0 && other == 0 => found(Confidence::Certain, "has routes as ip route prints them"),
        _ if routes > other => found(Confidence::Weak, "has routes among other lines"),
        _ => None,
    }
}

/// The destination of a route; `default` is of the family that the caller found out.
fn destination(word: &str, family: Family) -> Option<IpNetwork> {
    match word {
        "default" | "all" => Some(default_of(family)),
        _ => word.parse().ok(),
    }
}

fn default_of(family: Family) -> IpNetwork {
    let all = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // Length 0 is within the bounds of both families.
    IpNetwork::new(all, 0).unwrap_or_else(|_| IpNetwork::from(all))
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    if file.text.trim_start().starts_with('[') {
        return read_json(reader);
    }
    // `default dev ppp0` says no family: it is that of the file's other routes.
    let family = family_of_text(&file.text).unwrap_or_else(|| family_of_name(&file.path));
    let mut routes: Vec<Tabled> = Vec::new();
    let mut old = false;
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span);
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["Kernel", ..] | ["Destination", ..] => {
                old = true;
                reader.mark(span, LineState::Irrelevant);
            }
            [first, ..] if first.starts_with('#') => reader.mark(span, LineState::Irrelevant),
            _ if old => old_line(reader, &mut routes, &words, span),
            ["nexthop", rest @ ..] => match routes.last().cloned() {
                Some((mut route, table)) => {
                    // The first hop fills the route of the line above; the others are routes of their own.
                    let fresh = route.via.is_none() && route.interface.is_none();
                    (route.via, route.interface, route.span) = (None, None, span);
                    options(reader, &mut route, rest, span);
                    if fresh {
                        routes.pop();
                    }
                    routes.push((route, table));
                }
                None => reader.note(span, LineState::Unrecognised, "a next hop without a route"),
            },
            _ => route_line(reader, &mut routes, &words, family, span),
        }
    }
    keep(reader, routes);
}

fn route_line(reader: &mut Reader<'_>, routes: &mut Vec<Tabled>, words: &[&str], family: Family, span: Span) {
    let (kind, rest) = match words {
        [kind, rest @ ..] if KINDS.contains(kind) => (Some(*kind), rest),
        all => (None, all),
    };
    let [to, rest @ ..] = rest else {
        return reader.note(span, LineState::Unrecognised, "a route without a destination");
    };
    // The next hop says the family of `default`, if there is one.
    let hop = rest.iter().skip_while(|w| **w != "via").nth(1).and_then(|w| w.parse::<IpAddr>().ok());
    let Some(to) = destination(to, hop.map_or(family, Family::of)) else {
        return reader.note(span, LineState::Unrecognised, "this line is not one of ip route");
    };
    let kind = kind.filter(|k| *k != "unicast").map(str::to_owned);
    let mut route = Route { to, interface: None, via: None, metric: 0, kind, span };
    if let Some(table) = options(reader, &mut route, rest, span) {
        routes.push((route, table));
    }
}

/// A route with the table that it is of.
type Tabled = (Route, Table);

#[derive(Clone)]
enum Table {
    /// The main one, or that of the host's own addresses.
    Usual,
    Named(String),
}

/// The table of a name. `None`: not one that decides (`unspec` holds the route of IPv6 that stands for none).
fn table(name: &str) -> Option<Table> {
    match name {
        "main" | "local" | "254" | "255" => Some(Table::Usual),
        "unspec" | "0" => None,
        "253" => Some(Table::Named("default".into())),
        _ => Some(Table::Named(name.to_owned())),
    }
}

/// Hands the routes over to the device.
fn keep(reader: &mut Reader<'_>, routes: Vec<Tabled>) {
    let mut usual = Vec::new();
    for (route, table) in routes {
        match table {
            Table::Usual => usual.push(route),
            Table::Named(name) => reader.device.other_routes.push((name, route)),
        }
    }
    reader.device.routes = Some(usual);
}

/// Reads what follows the destination: the table. `None` if the route does not decide, or for some sources only.
fn options(reader: &mut Reader<'_>, route: &mut Route, words: &[&str], span: Span) -> Option<Table> {
    reader.mark(span, LineState::Understood);
    let mut found = Table::Usual;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "via" => {
                route.via = words.next().and_then(|w| match *w {
                    // `via inet6 fe80::1`: an IPv6 next hop of an IPv4 route (RFC 5549).
                    "inet" | "inet6" => words.next().and_then(|w| w.parse().ok()),
                    w => w.parse().ok(),
                });
            }
            "dev" | "oif" => route.interface = words.next().map(|w| (*w).to_owned()),
            "metric" => route.metric = words.next().and_then(|w| w.parse().ok()).unwrap_or(0),
            "from" => {
                reader.note(span, LineState::NotModelled, "a route for certain sources only is not modelled");
                return None;
            }
            "table" => match words.next().map(|t| table(t)) {
                Some(Some(t)) => found = t,
                Some(None) => {
                    reader.mark(span, LineState::Irrelevant);
                    return None;
                }
                None => {}
            },
            // Words with a value that says nothing about reachability.
            "proto" | "scope" | "src" | "pref" | "mtu" | "advmss" | "expires" | "error" | "weight" | "nhid" | "realm" | "realms"
            | "hoplimit" | "rtt" | "window" | "cwnd" | "initcwnd" | "initrwnd" | "quickack" | "congctl" | "features" | "tos"
            | "dsfield" => drop(words.next()),
            _ => {}
        }
    }
    Some(found)
}

/// `Destination Gateway Genmask Flags Metric Ref Use Iface` of `route -n`.
fn old_line(reader: &mut Reader<'_>, routes: &mut Vec<Tabled>, words: &[&str], span: Span) {
    let route = match words {
        [to, via, mask, _, metric, .., interface] => {
            let to = to.parse::<Ipv4Addr>().ok().or((*to == "default").then_some(Ipv4Addr::UNSPECIFIED));
            let len = mask.parse::<Ipv4Addr>().ok().and_then(|m| ipnetwork::ipv4_mask_to_prefix(m).ok());
            to.zip(len).and_then(|(to, len)| IpNetwork::new(to.into(), len).ok()).map(|to| Route {
                to,
                interface: Some((*interface).to_owned()),
                via: via.parse().ok().filter(|a: &IpAddr| !a.is_unspecified()),
                metric: metric.parse().unwrap_or(0),
                kind: None,
                span,
            })
        }
        _ => None,
    };
    match route {
        Some(route) => {
            reader.mark(span, LineState::Understood);
            routes.push((route, Table::Usual));
        }
        None => reader.note(span, LineState::Unrecognised, "this line is not one of route -n"),
    }
}

fn family_of_text(text: &str) -> Option<Family> {
    text.split_ascii_whitespace().find_map(|w| w.parse::<IpNetwork>().ok().filter(|_| w.contains(['.', ':'])).map(|n| Family::of(n.ip())))
}

fn family_of_name(path: &str) -> Family {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    if ["ip6", "v6", "-6", "route6", "_6"].iter().any(|s| name.contains(s)) { Family::V6 } else { Family::V4 }
}

#[derive(Deserialize)]
struct JsonRoute {
    #[serde(rename = "type")]
    kind: Option<String>,
    dst: Option<String>,
    gateway: Option<IpAddr>,
    via: Option<JsonVia>,
    dev: Option<String>,
    metric: Option<u32>,
    table: Option<serde_json::Value>,
    #[serde(default)]
    nexthops: Vec<JsonHop>,
}

#[derive(Deserialize)]
struct JsonVia {
    host: Option<IpAddr>,
}

#[derive(Deserialize)]
struct JsonHop {
    gateway: Option<IpAddr>,
    dev: Option<String>,
}

fn read_json(reader: &mut Reader<'_>) {
    let whole = reader.file.whole();
    let list = match serde_json::from_str::<Vec<JsonRoute>>(&reader.file.text) {
        Ok(list) => list,
        Err(e) => {
            let text = format!("this is not the JSON of ip -j route (line {}, column {})", e.line(), e.column());
            return reader.incomplete(whole, LineState::Unrecognised, text);
        }
    };
    reader.mark(whole, LineState::Understood);
    let first = list.iter().find_map(|r| r.dst.as_deref()?.parse::<IpNetwork>().ok()).map(|n| Family::of(n.ip()));
    let family = first.unwrap_or_else(|| family_of_name(&reader.file.path));
    let mut routes = Vec::new();
    for r in list {
        let via = r.gateway.or(r.via.and_then(|v| v.host));
        let Some(to) = r.dst.as_deref().and_then(|d| destination(d, via.map_or(family, Family::of))) else {
            reader.note(whole, LineState::Unsupported, "a route without a destination");
            continue;
        };
        let named = r.table.as_ref().map(|t| table(t.to_string().trim_matches('"')));
        let Some(table) = named.unwrap_or(Some(Table::Usual)) else { continue };
        let kind = r.kind.filter(|k| k != "unicast");
        let metric = r.metric.unwrap_or(0);
        let route = |via, interface| (Route { to, interface, via, metric, kind: kind.clone(), span: whole }, table.clone());
        if r.nexthops.is_empty() {
            routes.push(route(via, r.dev));
        } else {
            routes.extend(r.nexthops.into_iter().map(|h| route(h.gateway, h.dev)));
        }
    }
    keep(reader, routes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let (file, reading) = IP_ROUTE.read_text("a", text);
        assert!(detect(&file).is_some_and(|d| d.confidence == Confidence::Certain), "{text}");
        let show = |r: Route| {
            format!(
                "{} {:?} {:?} {} {:?}",
                r.to,
                r.interface.as_deref(),
                r.via.map(|v| v.to_string()).as_deref(),
                r.metric,
                r.kind.as_deref()
            )
        };
        reading.device.routes.unwrap().into_iter().map(show).collect()
    }

    #[test]
    fn routes_have_destination_hop_and_interface() {
        assert_eq!(
            read(
                "default via 192.0.2.1 dev eth0 proto dhcp metric 100 \n10.0.0.0/8 proto static \n\tnexthop via 192.0.2.2 dev eth0 weight 1 \n\tnexthop via 192.0.2.3 dev eth1 weight 1\nblackhole 198.51.100.0/24 \n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.9\n"
            ),
            [
                r#"0.0.0.0/0 Some("eth0") Some("192.0.2.1") 100 None"#,
                r#"10.0.0.0/8 Some("eth0") Some("192.0.2.2") 0 None"#,
                r#"10.0.0.0/8 Some("eth1") Some("192.0.2.3") 0 None"#,
                r#"198.51.100.0/24 None None 0 Some("blackhole")"#,
                r#"192.0.2.0/24 Some("eth0") None 0 None"#,
            ]
        );
        assert_eq!(
            read("2001:db8::/64 dev eth0 proto kernel metric 256 pref medium\ndefault dev wg0 metric 1024 pref medium\n"),
            [r#"2001:db8::/64 Some("eth0") None 256 None"#, r#"::/0 Some("wg0") None 1024 None"#]
        );
    }

    #[test]
    fn json_and_the_old_command_say_the_same() {
        assert_eq!(
            read(r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]},{"type":"blackhole","dst":"10.0.0.0/8"}]"#),
            [r#"0.0.0.0/0 Some("eth0") Some("192.0.2.1") 0 None"#, r#"10.0.0.0/8 None None 0 Some("blackhole")"#]
        );
        assert_eq!(
            read(
                "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n0.0.0.0         192.0.2.1       0.0.0.0         UG    100    0        0 eth0\n192.0.2.0       0.0.0.0         255.255.255.0   U     0      0        0 eth0\n"
            ),
            [r#"0.0.0.0/0 Some("eth0") Some("192.0.2.1") 100 None"#, r#"192.0.2.0/24 Some("eth0") None 0 None"#]
        );
    }

    #[test]
    fn routes_of_other_tables_are_kept_apart() {
        let text = "10.0.0.0/8 dev eth0 table 100\nlocal 127.0.0.1 dev lo table local\nunreachable default dev lo table unspec metric 4294967295\n";
        let json = r#"[{"dst":"10.0.0.0/8","dev":"eth0","table":"100"},{"dst":"127.0.0.1","dev":"lo","type":"local","table":255}]"#;
        for text in [text, json] {
            let (_, reading) = IP_ROUTE.read_text("a", text);
            assert_eq!(reading.device.routes.unwrap().len(), 1);
            let other: Vec<_> = reading.device.other_routes.iter().map(|(t, r)| format!("{t} {}", r.to)).collect();
            assert_eq!((other, reading.notes.len()), (vec!["100 10.0.0.0/8".to_owned()], 0));
        }
    }
}
