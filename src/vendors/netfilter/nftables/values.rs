//! What selectors read, of which type it is, and what the symbols of each type mean.
//!
//! Symbols: nft(8), "DATA TYPES", and the tables that `nft describe` prints.

use super::ast::{Expr, Kind, Op, Sel};
use super::commands::flatten;
use crate::model::{Direction, NamePattern};
use crate::net::{Family, Ranges, icmp4_type, icmp6_type, parse_addr, parse_cidr, protocol_number, service_port};
use crate::packets::Field;
use crate::packets::fields::addr_type;

/// Type of a value. Values are those of the header; [`to_model`] says what they are in [`Field`]'s terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ty {
    /// Addresses.
    Addr(Family),
    /// Ports.
    Port,
    /// Protocols.
    Proto,
    /// Marks.
    Mark,
    /// Interfaces by name or, `true`, by index.
    Iface(Direction, bool),
    /// MAC addresses.
    Mac,
    /// ICMP types.
    IcmpType(Family),
    /// ICMP codes.
    IcmpCode(Family),
    /// Connection state, as bits.
    CtState,
    /// Connection status, as bits.
    CtStatus,
    /// DSCP.
    Dscp,
    /// User or group ids.
    Id,
    /// Link-layer addressing.
    PktType,
    /// TCP flags.
    TcpFlags,
    /// Numbers of eight bits.
    Byte,
    /// Numbers of sixteen bits.
    Short,
    /// What the routing table says of an address.
    AddrType,
    /// Ethernet protocol.
    EtherType,
    /// Netfilter protocol family.
    NfProto,
    /// Version of IP.
    Version,
    /// Offset and flags of an IPv4 fragment.
    FragOff,
    /// Not modelled.
    Other,
}

/// What a selector reads and implies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// Type of its values.
    pub ty: Ty,
    /// The field of the model, for types that have one.
    pub field: Option<Field>,
    /// Only packets of this family have it.
    pub family: Option<Family>,
    /// Only packets of this protocol have it.
    pub proto: Option<u8>,
    /// No IP packet has it (ARP).
    pub never: bool,
    /// It is the first next header of IPv6, which need not be the protocol.
    pub next: bool,
}

/// Types by the names that `type` uses.
pub fn named_type(name: &str) -> Info {
    let (ty, field) = match name {
        "ipv4_addr" => (Ty::Addr(Family::V4), None),
        "ipv6_addr" => (Ty::Addr(Family::V6), None),
        "ether_addr" => (Ty::Mac, None),
        "inet_proto" => (Ty::Proto, None),
        "inet_service" => (Ty::Port, None),
        "mark" => (Ty::Mark, None),
        "ifname" => (Ty::Iface(Direction::In, false), None),
        "iface_index" => (Ty::Iface(Direction::In, true), None),
        "icmp_type" => (Ty::IcmpType(Family::V4), Some(Field::Icmp)),
        "icmpv6_type" => (Ty::IcmpType(Family::V6), Some(Field::Icmp)),
        "icmp_code" => (Ty::IcmpCode(Family::V4), Some(Field::Icmp)),
        "icmpv6_code" => (Ty::IcmpCode(Family::V6), Some(Field::Icmp)),
        "ct_state" => (Ty::CtState, Some(Field::Ct)),
        "dscp" => (Ty::Dscp, None),
        "uid" | "gid" => (Ty::Id, None),
        "pkt_type" => (Ty::PktType, None),
        "tcp_flag" => (Ty::TcpFlags, None),
        "fib_addrtype" => (Ty::AddrType, None),
        _ => (Ty::Other, None),
    };
    Info { ty, field, family: None, proto: None, never: false, next: false }
}

/// What a selector reads. `only` is the family of all packets of the table, if it is but one.
pub fn info(sel: &Sel<'_>, only: Option<Family>) -> Info {
    let none = Info { ty: Ty::Other, field: None, family: None, proto: None, never: false, next: false };
    let plain = |ty, field| Info { ty, field: Some(field), ..none };
    match sel {
        Sel::Payload(proto, field) => payload(proto, field, none),
        Sel::Meta(key) => match &**key {
            "mark" => plain(Ty::Mark, Field::Mark),
            "iif" => plain(Ty::Iface(Direction::In, true), Field::Iif),
            "iifname" => plain(Ty::Iface(Direction::In, false), Field::Iif),
            "oif" => plain(Ty::Iface(Direction::Out, true), Field::Oif),
            "oifname" => plain(Ty::Iface(Direction::Out, false), Field::Oif),
            "l4proto" => plain(Ty::Proto, Field::Proto),
            "nfproto" => Info { ty: Ty::NfProto, ..none },
            "protocol" => Info { ty: Ty::EtherType, ..none },
            "pkttype" => plain(Ty::PktType, Field::PktType),
            "length" => plain(Ty::Short, Field::Length),
            "skuid" => plain(Ty::Id, Field::Uid),
            "skgid" => plain(Ty::Id, Field::Gid),
            _ => none,
        },
        Sel::Ct(None, key) => match &**key {
            "state" => plain(Ty::CtState, Field::Ct),
            "status" => plain(Ty::CtStatus, Field::CtNat),
            "mark" => plain(Ty::Mark, Field::CtMark),
            _ => none,
        },
        Sel::Fib(flags, result) if result == "type" => match flags.as_str() {
            "daddr" => plain(Ty::AddrType, Field::DstType),
            "saddr" => plain(Ty::AddrType, Field::SrcType),
            _ => none,
        },
        // Of packets with ports, the first 32 bits of the transport header.
        Sel::Raw(base, 0, 16) if base == "th" => plain(Ty::Port, Field::Sport),
        Sel::Raw(base, 16, 16) if base == "th" => plain(Ty::Port, Field::Dport),
        Sel::Raw(base, 96, 32) if base == "nh" && only == Some(Family::V4) => plain(Ty::Addr(Family::V4), Field::Src),
        Sel::Raw(base, 128, 32) if base == "nh" && only == Some(Family::V4) => plain(Ty::Addr(Family::V4), Field::Dst),
        Sel::Raw(base, 64, 8) if base == "nh" && only == Some(Family::V4) => plain(Ty::Byte, Field::Ttl),
        Sel::Raw(base, 72, 8) if base == "nh" && only == Some(Family::V4) => plain(Ty::Proto, Field::Proto),
        Sel::Other(text) => match text.split(' ').next() {
            Some("tcp") => Info { proto: Some(6), ..none },
            Some("sctp") => Info { proto: Some(132), ..none },
            Some("ip") => Info { family: Some(Family::V4), ..none },
            Some("hbh" | "rt0" | "rt2" | "rt4" | "srh" | "frag" | "dst" | "mh" | "exthdr") => Info { family: Some(Family::V6), ..none },
            _ => none,
        },
        _ => none,
    }
}

fn payload(proto: &str, field: &str, none: Info) -> Info {
    let at = |ty, field| Info { ty, field: Some(field), ..none };
    let number = match proto {
        "tcp" => Some(6),
        "udp" => Some(17),
        "udplite" => Some(136),
        "sctp" => Some(132),
        "dccp" => Some(33),
        "icmp" => Some(1),
        "icmpv6" => Some(58),
        "igmp" => Some(2),
        "ah" => Some(51),
        "esp" => Some(50),
        "comp" => Some(108),
        "gre" | "gretap" => Some(47),
        "vxlan" | "geneve" => Some(17),
        _ => None,
    };
    let family = match proto {
        "ip" | "icmp" | "igmp" => Some(Family::V4),
        "ip6" | "icmpv6" => Some(Family::V6),
        _ => None,
    };
    let this = family.unwrap_or(Family::V4);
    let found = match (proto, field) {
        ("ip" | "ip6", "saddr") => at(Ty::Addr(this), Field::Src),
        ("ip" | "ip6", "daddr") => at(Ty::Addr(this), Field::Dst),
        ("ip", "protocol") => at(Ty::Proto, Field::Proto),
        // Of extension headers, that of fragments alone is modelled.
        ("ip6", "nexthdr") => Info { next: true, ..at(Ty::Proto, Field::Proto) },
        ("ip", "ttl") | ("ip6", "hoplimit") => at(Ty::Byte, Field::Ttl),
        ("ip" | "ip6", "dscp") => at(Ty::Dscp, Field::Dscp),
        ("ip", "length") => at(Ty::Short, Field::Length),
        ("ip" | "ip6", "version") => Info { ty: Ty::Version, ..none },
        ("ip", "frag-off") => at(Ty::FragOff, Field::Fragment),
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "sport") => at(Ty::Port, Field::Sport),
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "dport") => at(Ty::Port, Field::Dport),
        ("tcp", "flags") => at(Ty::TcpFlags, Field::TcpFlags),
        ("icmp" | "icmpv6", "type") => at(Ty::IcmpType(this), Field::Icmp),
        ("icmp" | "icmpv6", "code") => at(Ty::IcmpCode(this), Field::Icmp),
        ("ether", "saddr") => at(Ty::Mac, Field::SrcMac),
        ("ether", "type") => Info { ty: Ty::EtherType, ..none },
        ("arp", _) => Info { never: true, ..none },
        _ => none,
    };
    Info { family, proto: number, ..found }
}

impl Ty {
    /// The greatest value of the header.
    pub fn max(self) -> u128 {
        match self {
            Ty::Addr(f) => f.max_address(),
            Ty::Port | Ty::Short | Ty::EtherType | Ty::FragOff => 0xffff,
            Ty::Proto | Ty::IcmpType(_) | Ty::IcmpCode(_) | Ty::TcpFlags | Ty::Byte | Ty::NfProto => 0xff,
            Ty::Mac => 0xffff_ffff_ffff,
            Ty::Dscp => 63,
            Ty::PktType => 3,
            Ty::AddrType | Ty::Version => 15,
            Ty::CtState => 0x7f,
            Ty::Mark | Ty::Id | Ty::CtStatus | Ty::Iface(..) | Ty::Other => u32::MAX as u128,
        }
    }

    /// Whether values are sets of flags.
    pub fn is_bitmask(self) -> bool {
        matches!(self, Ty::TcpFlags | Ty::CtState | Ty::CtStatus)
    }
}

fn number(s: &str) -> Option<u128> {
    match s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        Some(hex) => u128::from_str_radix(hex, 16).ok(),
        None if s.bytes().all(|b| b.is_ascii_digit()) => s.parse().ok(),
        None => None,
    }
}

fn named(table: &[(&str, u128)], s: &str) -> Option<u128> {
    table.iter().find(|(n, _)| *n == s).map(|(_, v)| *v)
}

const CT_STATES: &[(&str, u128)] = &[("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)];
const CT_STATUS: &[(&str, u128)] =
    &[("expected", 1), ("seen-reply", 2), ("assured", 4), ("confirmed", 8), ("snat", 16), ("dnat", 32), ("dying", 512)];
const TCP_FLAGS: &[(&str, u128)] = &[("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32), ("ecn", 64), ("cwr", 128)];
const PKT_TYPES: &[(&str, u128)] = &[("host", 0), ("unicast", 0), ("broadcast", 1), ("multicast", 2), ("other", 3)];
const ETHER_TYPES: &[(&str, u128)] =
    &[("ip", 0x800), ("arp", 0x806), ("ip6", 0x86dd), ("vlan", 0x8100), ("8021q", 0x8100), ("8021ad", 0x88a8)];
const NF_PROTOS: &[(&str, u128)] =
    &[("inet", 1), ("ipv4", 2), ("ip", 2), ("arp", 3), ("netdev", 5), ("bridge", 7), ("ipv6", 10), ("ip6", 10)];
const DSCP: &[(&str, u128)] = &[
    ("cs0", 0),
    ("cs1", 8),
    ("cs2", 16),
    ("cs3", 24),
    ("cs4", 32),
    ("cs5", 40),
    ("cs6", 48),
    ("cs7", 56),
    ("df", 0),
    ("be", 0),
    ("lephb", 1),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("va", 44),
    ("ef", 46),
];
const ICMP4_CODES: &[(&str, u128)] = &[
    ("net-unreachable", 0),
    ("host-unreachable", 1),
    ("prot-unreachable", 2),
    ("port-unreachable", 3),
    ("frag-needed", 4),
    ("net-prohibited", 9),
    ("host-prohibited", 10),
    ("admin-prohibited", 13),
];
const ICMP6_CODES: &[(&str, u128)] =
    &[("no-route", 0), ("admin-prohibited", 1), ("addr-unreachable", 3), ("port-unreachable", 4), ("policy-fail", 5), ("reject-route", 6)];

/// The value of a symbol.
fn symbol(ty: Ty, proto: Option<u8>, s: &str) -> Option<u128> {
    if let Ty::Addr(family) = ty {
        // `@nh,96,32 0x0a000001` gives an address as a number.
        return match parse_addr(s) {
            Some((f, n)) => (f == family).then_some(n),
            None => number(s).filter(|n| *n <= family.max_address()),
        };
    }
    if let Ty::Mac = ty {
        let parts: Vec<&str> = s.split(':').collect();
        if parts.len() != 6 {
            return None;
        }
        return parts.iter().try_fold(0u128, |n, p| Some(n << 8 | u128::from(u8::from_str_radix(p, 16).ok()?)));
    }
    if let Some(n) = number(s) {
        return Some(n);
    }
    match ty {
        Ty::Port => service_port(s, proto).map(u128::from),
        Ty::Proto => protocol_number(s).map(u128::from),
        Ty::IcmpType(Family::V4) => icmp4_type(s).filter(|c| c.last == 255).map(|c| c.icmp_type.into()),
        Ty::IcmpType(Family::V6) => icmp6_type(s).filter(|c| c.last == 255).map(|c| c.icmp_type.into()),
        Ty::IcmpCode(Family::V4) => named(ICMP4_CODES, s),
        Ty::IcmpCode(Family::V6) => named(ICMP6_CODES, s),
        Ty::CtState => named(CT_STATES, s),
        Ty::CtStatus => named(CT_STATUS, s),
        Ty::TcpFlags => named(TCP_FLAGS, s),
        Ty::PktType => named(PKT_TYPES, s),
        Ty::EtherType => named(ETHER_TYPES, s),
        Ty::NfProto => named(NF_PROTOS, s),
        Ty::Dscp => named(DSCP, s),
        Ty::Id if s == "root" => Some(0),
        Ty::AddrType => addr_type::NAMES.iter().position(|n| *n == s).map(|i| i as u128),
        _ => None,
    }
}

/// A constant: a symbol, or an expression of symbols. A list of flags is all of them together.
pub fn constant(ty: Ty, proto: Option<u8>, e: &Expr<'_>) -> Option<u128> {
    match &e.peel().kind {
        Kind::Word(s) | Kind::Str(s) => symbol(ty, proto, s),
        Kind::List(v) if ty.is_bitmask() => v.iter().try_fold(0, |n, x| Some(n | constant(ty, proto, x)?)),
        Kind::Bin(op, a, b) => operate(*op, constant(ty, proto, a)?, constant(ty, proto, b)?),
        _ => None,
    }
}

/// A bitwise operation.
pub fn operate(op: Op, a: u128, b: u128) -> Option<u128> {
    Some(match op {
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Shl => a.checked_shl(u32::try_from(b).ok()?)?,
        Op::Shr => a.checked_shr(u32::try_from(b).ok()?)?,
    })
}

/// The header values that an expression names.
pub fn ranges(ty: Ty, proto: Option<u8>, e: &Expr<'_>, budget: &mut usize) -> Option<Ranges> {
    let max = ty.max();
    let within = |n: u128| (n <= max).then_some(n);
    match &e.peel().kind {
        Kind::Any => Some(Ranges::interval(0, max)),
        Kind::Range(a, b) => {
            let (lo, hi) = (within(constant(ty, proto, a)?)?, within(constant(ty, proto, b)?)?);
            (lo <= hi).then(|| Ranges::interval(lo, hi))
        }
        // `meta mark 0x10/28`: how nft writes a mask of leading bits.
        Kind::Prefix(a, length) if ty == Ty::Mark => {
            let host = 32u32.checked_sub(u32::from(*length))?;
            let low = (1u128 << host) - 1;
            let n = within(constant(ty, proto, a)?)?;
            Some(Ranges::interval(n & !low, n | low))
        }
        Kind::Prefix(a, length) => {
            let Ty::Addr(family) = ty else { return None };
            let (f, lo, hi) = parse_cidr(&format!("{}/{length}", a.word()?))?;
            (f == family).then(|| Ranges::interval(lo, hi))
        }
        Kind::Set(_) => {
            let mut intervals = Vec::new();
            let mut ok = true;
            flatten(e, budget, &mut |x| {
                if !ok {
                    return;
                }
                match element(ty, proto, &x.key) {
                    Some(r) => intervals.extend_from_slice(r.intervals()),
                    None => ok = false,
                }
            });
            (ok && *budget > 0).then(|| Ranges::from_intervals(intervals))
        }
        _ => within(constant(ty, proto, e)?).map(Ranges::single),
    }
}

fn element(ty: Ty, proto: Option<u8>, e: &Expr<'_>) -> Option<Ranges> {
    match &e.peel().kind {
        Kind::Set(_) => None,
        _ => ranges(ty, proto, e, &mut 1),
    }
}

/// Header values as values of the model's field.
pub fn to_model(ty: Ty, raw: &Ranges) -> Ranges {
    match ty {
        Ty::IcmpType(_) => Ranges::from_intervals(raw.intervals().iter().map(|(a, b)| (a << 8, b << 8 | 0xff)).collect()),
        Ty::IcmpCode(_) => {
            let all = (0..256u128).flat_map(|t| raw.intervals().iter().map(move |(a, b)| (t << 8 | a, t << 8 | b)));
            Ranges::from_intervals(all.collect())
        }
        // `ct::NAMES` has another order than the kernel's bits.
        Ty::CtState => Ranges::from_values(CT_BITS.iter().filter(|(bit, _)| raw.contains(*bit)).map(|(_, v)| *v)),
        _ => raw.clone(),
    }
}

/// The kernel's bit of a connection state, and the model's value.
pub const CT_BITS: [(u128, u128); 5] = {
    use crate::packets::fields::ct;
    [(1, ct::INVALID), (2, ct::ESTABLISHED), (4, ct::RELATED), (8, ct::NEW), (64, ct::UNTRACKED)]
};

/// The interfaces that an expression names; `None` if one of them is given by number.
pub fn interfaces(e: &Expr<'_>, by_index: bool, budget: &mut usize) -> Option<Vec<NamePattern>> {
    let mut names = Vec::new();
    let mut ok = true;
    flatten(e, budget, &mut |x| match interface(&x.key, by_index) {
        Some(n) => names.push(n),
        None => ok = false,
    });
    names.sort();
    names.dedup();
    (ok && *budget > 0).then_some(names)
}

/// One interface: a name, or the beginning of names with `*` (escaped where a name ends in a star).
pub fn interface(e: &Expr<'_>, by_index: bool) -> Option<NamePattern> {
    if matches!(e.peel().kind, Kind::Any) {
        return Some(NamePattern::prefix(""));
    }
    let name = e.word()?;
    if by_index {
        return match number(name) {
            // LOOPBACK_IFINDEX (include/net/flow.h of Linux).
            Some(1) => Some(NamePattern::exact("lo")),
            Some(_) => None,
            None => Some(NamePattern::exact(name)),
        };
    }
    Some(match (name.strip_suffix("\\*"), name.strip_suffix('*')) {
        (Some(stem), _) => NamePattern::exact(format!("{stem}*")),
        (None, Some(stem)) => NamePattern::prefix(stem),
        _ => NamePattern::exact(name),
    })
}
