//! Elements of sets: what `add NAME …` means for each type. From the man page ipset(8).

use crate::model::{NamePattern, SetValue};
use crate::net::{Family, Ranges, icmp4_type, icmp6_type, parse_cidr, protocol_number, service_port};
use crate::packets::Field;

/// What one part of a set's key is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// An address or network.
    Address,
    /// `port`, `proto:port`, `icmp:type/code`.
    Port,
    /// A port of TCP or UDP (bitmap:port).
    BitmapPort,
    /// An interface.
    Interface,
    /// The name of another set.
    Set,
    /// A mark or a MAC address: which of the packet's it is compared to is beyond the model's key.
    Other,
}

/// A set's type and what of its options matters for its elements.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub parts: Vec<Part>,
    pub family: Family,
    /// `netmask N`: every address stands for its network of this length.
    pub netmask: Option<u8>,
}

impl Kind {
    /// Reads a type name: `hash:ip,port`, `bitmap:ip,mac`, `list:set`, and the names of ipset before version 5.
    pub fn of(name: &str) -> Option<Kind> {
        let name = match name {
            "iphash" | "iptree" => "hash:ip",
            "nethash" => "hash:net",
            "ipmap" => "bitmap:ip",
            "macipmap" => "bitmap:ip,mac",
            "portmap" => "bitmap:port",
            "ipporthash" => "hash:ip,port",
            "ipportiphash" => "hash:ip,port,ip",
            "ipportnethash" => "hash:ip,port,net",
            "setlist" => "list:set",
            _ => name,
        };
        let (method, key) = name.split_once(':')?;
        let parts = key
            .split(',')
            .map(|part| match (method, part) {
                ("hash" | "bitmap", "ip") | ("hash", "net") => Some(Part::Address),
                ("hash", "port") => Some(Part::Port),
                ("bitmap", "port") => Some(Part::BitmapPort),
                ("hash", "iface") => Some(Part::Interface),
                ("hash", "mark" | "mac") | ("bitmap", "mac") => Some(Part::Other),
                ("list", "set") => Some(Part::Set),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Kind { parts, family: Family::V4, netmask: None })
    }

    /// Whether elements can be said in the model.
    pub fn is_modelled(&self) -> bool {
        !self.parts.contains(&Part::Other)
    }
}

/// Reads an element's key. An element of a `bitmap:port` is two keys, one for each protocol that the kernel looks up there
/// (`ip_set_get_ip_port` in ip_set_getport.c). `wildcard`: interface names are beginnings.
pub(super) fn key(kind: &Kind, text: &str, wildcard: bool) -> Option<Vec<Vec<SetValue>>> {
    let mut words = text.split(',');
    let mut values = Vec::with_capacity(kind.parts.len());
    for part in &kind.parts {
        let word = words.next()?;
        values.push(match part {
            Part::Address => SetValue::Address(kind.family, address(word, kind)?),
            Part::Port => service(word)?,
            Part::BitmapPort => {
                let word = word.strip_prefix("tcp:").or(word.strip_prefix("udp:")).unwrap_or(word);
                let ports = ports(word, None)?;
                return Some([6, 17].map(|p| vec![SetValue::Service(p, Some((Field::Dport, ports.clone())))]).into());
            }
            Part::Interface if wildcard => SetValue::Interface(NamePattern::prefix(word)),
            Part::Interface => SetValue::Interface(NamePattern::exact(word)),
            Part::Set | Part::Other => return None,
        });
    }
    words.next().is_none().then(|| vec![values])
}

fn address(word: &str, kind: &Kind) -> Option<Ranges> {
    let (lo, hi) = match word.split_once('-') {
        Some((a, b)) => (single(a, kind.family)?.0, single(b, kind.family)?.1),
        None => single(word, kind.family)?,
    };
    if lo > hi {
        return None;
    }
    let (lo, hi) = match kind.netmask {
        Some(len) if len <= kind.family.bits() => {
            let host = u32::from(kind.family.bits() - len);
            let mask = if host >= 128 { u128::MAX } else { (1u128 << host) - 1 };
            (lo & !mask, hi | mask)
        }
        _ => (lo, hi),
    };
    Some(Ranges::interval(lo, hi))
}

fn single(word: &str, family: Family) -> Option<(u128, u128)> {
    parse_cidr(word).filter(|(f, _, _)| *f == family).map(|(_, lo, hi)| (lo, hi))
}

/// `[protocol:]port[-port]`; the protocol is TCP where none is written. Protocols without ports are written with port 0.
fn service(word: &str) -> Option<SetValue> {
    let (protocol, rest) = match word.split_once(':') {
        Some((p, rest)) => (protocol_number(p)?, rest),
        None => (6, word),
    };
    Some(match protocol {
        1 | 58 => {
            let (lo, hi) = match rest.split_once('/') {
                Some((t, c)) if t.bytes().chain(c.bytes()).all(|b| b.is_ascii_digit()) => {
                    let n = u128::from(t.parse::<u8>().ok()?) << 8 | u128::from(c.parse::<u8>().ok()?);
                    (n, n)
                }
                _ => {
                    let range = if protocol == 1 { icmp4_type(rest)? } else { icmp6_type(rest)? };
                    let base = u128::from(range.icmp_type) << 8;
                    // A type without a code is stored as code 0.
                    let last = if rest.bytes().all(|b| b.is_ascii_digit()) { range.first } else { range.last };
                    (base | u128::from(range.first), base | u128::from(if range.first == 0 && last == 255 { 0 } else { last }))
                }
            };
            SetValue::Service(protocol, Some((Field::Icmp, Ranges::interval(lo, hi))))
        }
        6 | 17 | 33 | 132 | 136 => SetValue::Service(protocol, Some((Field::Dport, ports(rest, Some(protocol))?))),
        _ if rest == "0" => SetValue::Service(protocol, None),
        _ => return None,
    })
}

fn ports(word: &str, protocol: Option<u8>) -> Option<Ranges> {
    let one = |s: &str| -> Option<u128> {
        let n = if s.bytes().all(|b| b.is_ascii_digit()) { s.parse().ok()? } else { service_port(s, protocol)? };
        Some(n.into())
    };
    let (a, b) = match word.split_once('-') {
        Some((a, b)) if !a.is_empty() && a.bytes().all(|c| c.is_ascii_digit()) => (one(a)?, one(b)?),
        _ => (one(word)?, one(word)?),
    };
    (a <= b).then(|| Ranges::interval(a, b))
}
