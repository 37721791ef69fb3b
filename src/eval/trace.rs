//! Packets as lines of JSON, in and out.

use serde_json::{Map, Value};

use super::walk::{Outcome, Walked, walk};
use super::words::flags_from_letters;
use super::{Analysis, Space, Way};
use crate::net::{Family, parse_addr, protocol_number};
use crate::packets::fields::{ABSENT_FLAGS, ABSENT_PORT, PORT_PROTOCOLS, addr_type, ct};
use crate::packets::{Field, Packet};

/// A packet that cannot be understood: one sentence that names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadPacket(pub String);

const KEYS: [&str; 22] = [
    "hook",
    "iif",
    "oif",
    "src",
    "dst",
    "proto",
    "sport",
    "dport",
    "icmp_type",
    "icmp_code",
    "tcp_flags",
    "ct",
    "mark",
    "len",
    "ttl",
    "dscp",
    "frag",
    "uid",
    "gid",
    "id",
    "src_mac",
    "pkttype",
];

/// Reads a packet from a JSON object. What is left out gets the value that a usual packet has: an ephemeral source port, SYN, an echo
/// request, the state that a packet of no known connection gets, no fragment; interfaces that nothing names.
pub fn read_packet(value: &Value, space: &Space) -> Result<(Way, Family, Packet), BadPacket> {
    let bad = |text: String| BadPacket(text);
    let object = value.as_object().ok_or_else(|| bad("a packet must be a JSON object".into()))?;
    if let Some(key) = object.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(bad(format!("unknown key {key:?}; known are {}", KEYS.join(", "))));
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let way = match text("hook") {
        Some("input") => Way::Input,
        Some("forward") => Way::Forward,
        Some("output") => Way::Output,
        other => return Err(bad(format!("hook must be input, forward or output, not {other:?}"))),
    };
    let mut p = Packet::zero();
    let address = |key: &str| {
        let s = text(key).ok_or_else(|| BadPacket(format!("{key} is missing")))?;
        parse_addr(s).ok_or_else(|| BadPacket(format!("{key}: {s:?} is no address")))
    };
    let ((family, src), (other, dst)) = (address("src")?, address("dst")?);
    if family != other {
        return Err(bad("src and dst are of different families".into()));
    }
    p.set(Field::Src, src);
    p.set(Field::Dst, dst);
    let proto = match object.get("proto") {
        Some(Value::Number(n)) => n.as_u64().and_then(|n| u8::try_from(n).ok()),
        Some(Value::String(s)) => protocol_number(s),
        _ => None,
    };
    let proto = u128::from(proto.ok_or_else(|| bad("proto must be a protocol's name or a number up to 255".into()))?);
    p.set(Field::Proto, proto);
    let number = |key: &str, max: u64, default: u128| match object.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(v) => match v.as_u64() {
            Some(n) if n <= max => Ok(u128::from(n)),
            _ => Err(BadPacket(format!("{key} must be a number up to {max}"))),
        },
    };
    let later = match object.get("frag") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(v) => v.as_u64().is_some_and(|n| n > 0),
    };
    p.set(Field::Fragment, if later { 2 } else { 0 });
    let has_ports = PORT_PROTOCOLS.contains(&proto) && !later;
    let icmp = proto == if family == Family::V4 { 1 } else { 58 } && !later;
    p.set(Field::Sport, if has_ports { number("sport", 65535, 40000)? } else { ABSENT_PORT });
    p.set(Field::Dport, if has_ports { number("dport", 65535, 40001)? } else { ABSENT_PORT });
    let echo = if family == Family::V4 { 8 } else { 128 };
    p.set(Field::Icmp, if icmp { (number("icmp_type", 255, echo)? << 8) | number("icmp_code", 255, 0)? } else { ABSENT_PORT });
    let flags = match object.get("tcp_flags") {
        None | Some(Value::Null) => Some(2),
        Some(Value::String(s)) => named_flags(s),
        Some(_) => None,
    };
    let flags = flags.ok_or_else(|| bad("tcp_flags must be letters of FSRPAUEC".into()))?;
    p.set(Field::TcpFlags, if proto == 6 && !later { flags } else { ABSENT_FLAGS });
    let state = match text("ct") {
        Some(name) => ct::NAMES.iter().position(|n| *n == name).map(|i| i as u128),
        None => Some(space.state_alone(way, family, proto, p.field(Field::Icmp), p.field(Field::TcpFlags))),
    };
    p.set(Field::Ct, state.ok_or_else(|| bad(format!("ct must be one of {}", ct::NAMES.join(", "))))?);
    let interface = |key: &str| space.interface_number(text(key).unwrap_or("\u{0}"));
    p.set(Field::Iif, if way == Way::Output { 0 } else { interface("iif") });
    p.set(Field::Oif, if way == Way::Input { 0 } else { interface("oif") });
    // Neighbour discovery is valid with a hop limit of 255 alone (RFC 4861).
    let discovery = family == Family::V6 && (133..=137).contains(&(p.field(Field::Icmp) >> 8));
    let ttl = if discovery { 255 } else { 64 };
    for (key, field, max, default) in [
        ("mark", Field::Mark, u64::from(u32::MAX), 0),
        ("len", Field::Length, 65535, 60),
        ("ttl", Field::Ttl, 255, ttl),
        ("dscp", Field::Dscp, 63, 0),
        ("uid", Field::Uid, u64::from(u32::MAX), 0),
        ("gid", Field::Gid, u64::from(u32::MAX), 0),
    ] {
        p.set(field, number(key, max, default)?);
    }
    p.set(
        Field::PktType,
        match text("pkttype") {
            Some("broadcast") => 1,
            Some("multicast") => 2,
            Some(_) => 0,
            // A group address is sent to a group MAC address (RFC 1112, RFC 2464).
            None if way == Way::Output => 0,
            None => match space.address_types(way, family, src, dst).1 {
                addr_type::BROADCAST => 1,
                addr_type::MULTICAST => 2,
                _ => 0,
            },
        },
    );
    if let Some(mac) = text("src_mac") {
        let bytes: Option<Vec<u8>> = mac.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
        let bytes = bytes.filter(|b| b.len() == 6).ok_or_else(|| bad(format!("src_mac: {mac:?} is no MAC address")))?;
        p.set(Field::SrcMac, bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b)));
    }
    let (source, destination) = space.address_types(way, family, src, dst);
    p.set(Field::SrcType, source);
    p.set(Field::DstType, destination);
    Ok((way, family, p))
}

fn named_flags(s: &str) -> Option<u128> {
    if s == "ALL" {
        return Some(255);
    }
    flags_from_letters(s)
}

/// Walks a packet whose conditions are open. What no rule stops passes only if the export shows the filter of its way.
pub fn walked(analysis: &Analysis<'_>, way: Way, family: Family, packet: &Packet) -> Walked {
    let walked = walk(analysis, way, family, packet, None, None, false);
    match analysis.missing(way, family) {
        Some(missing) if walked.verdict == Outcome::Accept => {
            let because = Some(format!("{}: {}", missing.what, missing.export));
            Walked { verdict: Outcome::Unknown, decided: None, because, ..walked }
        }
        _ => walked,
    }
}

/// The answer to a packet as a JSON object: verdict, the rules passed, and why it is unknown.
pub fn answer(analysis: &Analysis<'_>, walked: &Walked, place: impl Fn(crate::source::Span) -> (String, u32)) -> Value {
    let mut out = Map::new();
    out.insert("verdict".into(), walked.verdict.name().into());
    let rules = walked.path.iter().filter_map(|l| analysis.span(*l)).map(|span| {
        let (file, line) = place(span);
        serde_json::json!({ "file": file, "line": line })
    });
    out.insert("rules".into(), rules.collect());
    let mut because: Vec<String> = walked.conditions.iter().map(|c| analysis.space.condition(*c).0.to_owned()).collect();
    because.extend(walked.because.clone());
    let because = match (because.is_empty(), walked.decided) {
        (false, _) => Value::from(format!("it depends on: {}", because.join("; "))),
        (true, Some(line)) => Value::from(analysis.line_words(line)),
        (true, None) => Value::Null,
    };
    out.insert("because".into(), because);
    Value::Object(out)
}

impl Space {
    /// What the routing table says of a packet's source and destination, as far as it is known; else what is usual on the way.
    pub fn address_types(&self, way: Way, family: Family, src: u128, dst: u128) -> (u128, u128) {
        let group = |n: u128| match family {
            Family::V4 if (0xe000_0000..=0xefff_ffff).contains(&n) => Some(addr_type::MULTICAST),
            Family::V4 if self.is_broadcast(n) => Some(addr_type::BROADCAST),
            Family::V6 if n >> 120 == 0xff => Some(addr_type::MULTICAST),
            _ => None,
        };
        let of = |n: u128, usual: u128| {
            group(n).unwrap_or(match self.local(family) {
                Some(own) if own.contains(n) => addr_type::LOCAL,
                Some(_) if usual != addr_type::LOCAL => addr_type::UNICAST,
                _ => usual,
            })
        };
        let source = if way == Way::Output { addr_type::LOCAL } else { addr_type::UNICAST };
        let destination = if way == Way::Input { addr_type::LOCAL } else { addr_type::UNICAST };
        (of(src, source), of(dst, destination))
    }
}
