//! Protocols, ports, and types of ICMP.

use super::props::{Key, Props};
use super::rule::{Flow, family, is_any, number};
use crate::diag::LineState;
use crate::model::Match;
use crate::net::{Family, Ranges, protocol_number};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Most entries of one list.
const MOST: usize = 100_000;

/// Ports that Windows assigns while it runs, by the names that rules give them (learn.microsoft.com, New-NetFirewallRule, -LocalPort; MS-GPFAS
/// 2.2.2.19, LPORT-KEYWORD-VAL). Which numbers these are is not known from rules.
const DYNAMIC: &[(&str, &str)] = &[
    ("rpc", "is a dynamic port of RPC"),
    ("rpcepmap", "is the port of the RPC endpoint mapper"),
    ("teredo", "is the port of Teredo"),
    ("iphttpsin", "is the port of IP-HTTPS for what comes in"),
    ("iphttpsout", "is the port of IP-HTTPS for what goes out"),
    ("iptlsin", "is the port of IP-HTTPS for what comes in"),
    ("iptlsout", "is the port of IP-HTTPS for what goes out"),
    ("playtodiscovery", "is the port of Play To discovery"),
    ("ply2disc", "is the port of Play To discovery"),
    ("mdns", "is the port of mDNS"),
    ("cortana", "is a port of Cortana"),
];

/// Protocols that PowerShell and netsh have names for which are none of IANA's.
const NAMES: &[(&str, u8)] = &[
    ("icmpv4", 1),
    ("icmpv6", 58),
    ("hopopt", 0),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6route", 43),
    ("ipv6-frag", 44),
    ("ipv6frag", 44),
    ("gre", 47),
    ("ipv6-nonxt", 59),
    ("ipv6nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6opts", 60),
    ("vrrp", 112),
    ("pgm", 113),
    ("l2tp", 115),
];

/// Protocol, ports and ICMP types of a rule.
pub(super) fn protocol(reader: &mut Reader<'_>, props: &Props, flow: Flow) -> Match {
    let ports = |reader: &mut Reader<'_>| {
        let local = ports(reader, props, Key::LocalPort, flow.local().1, "local");
        let remote = ports_of(reader, props, flow);
        vec![local, remote]
    };
    let Some((values, span)) = props.get(Key::Protocol) else {
        // Ports without a protocol: the export left it out, which is said elsewhere.
        return Match::all(ports(reader));
    };
    let word = values.first().map(|v| v.trim().to_ascii_lowercase()).unwrap_or_default();
    // 256 is any protocol (MS-FASP 2.2.37, wIpProtocol; NET_FW_IP_PROTOCOL_ANY).
    if is_any(&word) || word == "256" {
        // Windows takes ports only together with a protocol that has some.
        return Match::all(ports(reader));
    }
    let named = NAMES.iter().find(|(n, _)| *n == word).map(|(_, n)| *n);
    let Some(n) = word.parse::<u8>().ok().or(named).or_else(|| protocol_number(&word)) else {
        reader.note(*span, LineState::NotModelled, format!("the protocol \"{}\" is not known", word.chars().take(40).collect::<String>()));
        return Match::Opaque(reader.device.conditions.intern(&format!("the protocol is {word}"), *span));
    };
    let mut parts = vec![number(Field::Proto, u128::from(n))];
    match n {
        // Of other protocols PowerShell shows ports that mean nothing.
        6 | 17 => parts.extend(ports(reader)),
        1 => parts.extend([family(Family::V4), icmp(reader, props)]),
        58 => parts.extend([family(Family::V6), icmp(reader, props)]),
        _ => {}
    }
    Match::all(parts)
}

fn ports_of(reader: &mut Reader<'_>, props: &Props, flow: Flow) -> Match {
    ports(reader, props, Key::RemotePort, flow.remote().1, "remote")
}

/// The words of a list, however it was joined.
pub(super) fn words(values: &[String]) -> impl Iterator<Item = &str> {
    values.iter().flat_map(|v| v.split([',', ';', ' ', '\t', '\n', '\r'])).map(str::trim).filter(|w| !w.is_empty())
}

fn ports(reader: &mut Reader<'_>, props: &Props, key: Key, field: Field, side: &str) -> Match {
    let Some((values, span)) = props.get(key) else { return Match::Any };
    let (mut numbers, mut other, mut count) = (Vec::new(), Vec::new(), 0usize);
    for word in words(values) {
        count += 1;
        if count > MOST {
            reader.incomplete(*span, LineState::Unsupported, format!("only the first {MOST} ports of this list are read"));
            other.push(opaque(reader, format!("the {side} port is one of a list that was not read to its end"), *span));
            break;
        }
        if is_any(word) {
            return Match::Any;
        }
        if let Some(interval) = range(word) {
            numbers.push(interval);
            continue;
        }
        let bare = super::props::bare(word);
        match DYNAMIC.iter().find(|(n, _)| *n == bare) {
            Some((_, words)) => other.push(opaque(reader, format!("the {side} port {words}"), *span)),
            None => {
                reader.note(
                    *span,
                    LineState::NotModelled,
                    format!("the port \"{}\" is not known", word.chars().take(40).collect::<String>()),
                );
                other.push(opaque(reader, format!("the {side} port is {bare}"), *span));
            }
        }
    }
    if count == 0 {
        return Match::Any;
    }
    if !numbers.is_empty() {
        other.push(Match::Field(field, Ranges::from_intervals(numbers)));
    }
    Match::any_of(other)
}

fn opaque(reader: &mut Reader<'_>, text: String, span: Span) -> Match {
    Match::Opaque(reader.device.conditions.intern(&text, span))
}

/// `80`, `1024-65535`.
fn range(word: &str) -> Option<(u128, u128)> {
    let (lo, hi) = word.split_once('-').unwrap_or((word, word));
    let (lo, hi) = (lo.trim().parse::<u16>().ok()?, hi.trim().parse::<u16>().ok()?);
    (lo <= hi).then_some((u128::from(lo), u128::from(hi)))
}

/// `8`, `3:4`, `3:*`, `Any`.
fn icmp(reader: &mut Reader<'_>, props: &Props) -> Match {
    let Some((values, span)) = props.get(Key::IcmpType) else {
        return if props.complete { Match::Any } else { opaque(reader, "the ICMP type is one that was not exported".into(), props.span) };
    };
    let (mut set, mut other, mut some) = (Vec::new(), Vec::new(), false);
    for word in words(values).take(MOST) {
        some = true;
        let (kind, code) = word.split_once(':').unwrap_or((word, "*"));
        if is_any(kind) {
            return Match::Any;
        }
        let code = if is_any(code) { Some((0, 255)) } else { code.trim().parse::<u8>().ok().map(|c| (u128::from(c), u128::from(c))) };
        match (kind.trim().parse::<u8>().ok().map(u128::from), code) {
            (Some(kind), Some((lo, hi))) => set.push(((kind << 8) + lo, (kind << 8) + hi)),
            _ => {
                reader.note(
                    *span,
                    LineState::NotModelled,
                    format!("the ICMP type \"{}\" is not known", word.chars().take(40).collect::<String>()),
                );
                other.push(opaque(reader, format!("the ICMP type is {}", word.to_lowercase()), *span));
            }
        }
    }
    if !some {
        return Match::Any;
    }
    if !set.is_empty() {
        other.push(Match::Field(Field::Icmp, Ranges::from_intervals(set)));
    }
    Match::any_of(other)
}
