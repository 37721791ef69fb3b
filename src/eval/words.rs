//! Packets and packet sets in words, and as lines of `trace`.

use serde_json::{Map, Value, json};

use super::{Space, Way};
use crate::net::{Family, Ranges, format_addresses, protocol_name, service_name, to_ip};
use crate::packets::fields::{ABSENT_FLAGS, ABSENT_PORT, addr_type, ct};
use crate::packets::{Cube, Field, Packet};

const FLAGS: [(char, &str); 8] =
    [('F', "FIN"), ('S', "SYN"), ('R', "RST"), ('P', "PSH"), ('A', "ACK"), ('U', "URG"), ('E', "ECE"), ('C', "CWR")];

/// A protocol number by name.
pub fn protocol_words(n: u128) -> String {
    protocol_name(n as u8).map_or_else(|| format!("protocol {n}"), str::to_owned)
}

/// TCP flags as letters, `FSRPAUEC`.
pub fn flag_letters(flags: u128) -> String {
    FLAGS.iter().enumerate().filter(|(i, _)| flags >> i & 1 == 1).map(|(_, (c, _))| *c).collect()
}

/// TCP flags from letters; `None` if there is another letter.
pub fn flags_from_letters(s: &str) -> Option<u128> {
    s.chars().try_fold(0, |sum, c| FLAGS.iter().position(|(l, _)| *l == c.to_ascii_uppercase()).map(|i| sum | 1 << i))
}

/// One packet in a sentence: `TCP from 203.0.113.7 port 40000 to 10.0.0.10 port 22 (ssh), arriving on eth0, new connection`.
pub fn packet_words(p: &Packet, way: Way, family: Family, space: &Space) -> String {
    let proto = p.field(Field::Proto);
    let mut out = protocol_words(proto).to_uppercase();
    let port = |f: Field| Some(p.field(f)).filter(|v| *v != ABSENT_PORT);
    out += &format!(" from {}", to_ip(family, p.field(Field::Src)));
    if let Some(n) = port(Field::Sport) {
        out += &format!(" port {n}");
    }
    out += &format!(" to {}", to_ip(family, p.field(Field::Dst)));
    if let Some(n) = port(Field::Dport) {
        out += &format!(" port {n}");
        if let Some(name) = service_name(proto as u8, n as u16) {
            out += &format!(" ({name})");
        }
    }
    if let Some(n) = port(Field::Icmp) {
        out += &format!(" type {} code {}", n >> 8, n & 255);
    }
    if p.field(Field::Fragment) == 2 {
        out += ", a later fragment";
    }
    if let (Way::Input | Way::Forward, Some(name)) = (way, space.interface_name(p.field(Field::Iif))) {
        out += &format!(", arriving on {name}");
    }
    if let (Way::Output | Way::Forward, Some(name)) = (way, space.interface_name(p.field(Field::Oif))) {
        out += &format!(", leaving through {name}");
    }
    let flags = p.field(Field::TcpFlags);
    if flags != ABSENT_FLAGS && flags != 2 {
        let names: Vec<&str> = FLAGS.iter().enumerate().filter(|(i, _)| flags >> i & 1 == 1).map(|(_, (_, n))| *n).collect();
        out += &format!(", flags {}", if names.is_empty() { "none".into() } else { names.join("+") });
    }
    if space.tracks() {
        out += match p.field(Field::Ct) {
            ct::NEW => ", opening a new connection",
            ct::ESTABLISHED => ", of an established connection",
            ct::RELATED => ", related to a connection",
            ct::INVALID => ", in no valid connection",
            _ => ", untracked",
        };
    }
    out
}

/// One packet as a line of `trace --packets`.
pub fn packet_json(p: &Packet, way: Way, family: Family, space: &Space) -> String {
    let mut o = Map::new();
    o.insert("hook".into(), json!(way.name()));
    for (key, field) in [("iif", Field::Iif), ("oif", Field::Oif)] {
        if let Some(name) = space.interface_name(p.field(field)) {
            o.insert(key.into(), json!(name));
        }
    }
    o.insert("src".into(), json!(to_ip(family, p.field(Field::Src)).to_string()));
    o.insert("dst".into(), json!(to_ip(family, p.field(Field::Dst)).to_string()));
    let proto = p.field(Field::Proto);
    let name = match proto {
        1 | 6 | 17 | 47 | 50 | 58 | 132 => protocol_name(proto as u8).map(|n| json!(n)),
        _ => None,
    };
    o.insert("proto".into(), name.unwrap_or(json!(proto as u64)));
    let mut number = |key: &str, v: u128, absent: u128| {
        if v != absent {
            o.insert(key.into(), json!(v as u64));
        }
    };
    number("sport", p.field(Field::Sport), ABSENT_PORT);
    number("dport", p.field(Field::Dport), ABSENT_PORT);
    let icmp = p.field(Field::Icmp);
    if icmp != ABSENT_PORT {
        number("icmp_type", icmp >> 8, u128::MAX);
        number("icmp_code", icmp & 255, u128::MAX);
    }
    if p.field(Field::TcpFlags) != ABSENT_FLAGS {
        o.insert("tcp_flags".into(), json!(flag_letters(p.field(Field::TcpFlags))));
    }
    let mut number = |key: &str, field: Field, default: u128| {
        let v = p.field(field);
        if space.is_matched(field) && v != default {
            o.insert(key.into(), json!(v as u64));
        }
    };
    number("mark", Field::Mark, 0);
    number("len", Field::Length, 60);
    number("ttl", Field::Ttl, 64);
    number("dscp", Field::Dscp, 0);
    number("frag", Field::Fragment, 0);
    number("uid", Field::Uid, 1000);
    number("gid", Field::Gid, 1000);
    if space.tracks() {
        o.insert("ct".into(), json!(ct::NAMES.get(p.field(Field::Ct) as usize).copied().unwrap_or("new")));
    }
    Value::Object(o).to_string()
}

/// A set of ports with names where they have one: `22 (ssh), 8000-8100`.
pub fn port_words(proto: Option<u8>, set: &Ranges) -> String {
    let one = |&(lo, hi): &(u128, u128)| {
        if lo == hi {
            match proto.and_then(|p| service_name(p, lo as u16)) {
                Some(name) => format!("{lo} ({name})"),
                None => lo.to_string(),
            }
        } else {
            format!("{lo}-{hi}")
        }
    };
    set.intervals().iter().map(one).collect::<Vec<_>>().join(",")
}

/// A cube as a person reads it: `tcp/22 (ssh) from 10.0.0.0/8 to anywhere, arriving on eth0`.
pub fn cube_words(cube: &Cube, way: Way, family: Family, space: &Space) -> String {
    let any_address = Ranges::interval(0, family.max_address());
    let mut parts = vec![service_words(cube, family)];
    parts.push(format!("from {}", format_addresses(family, cube.field(Field::Src).unwrap_or(&any_address))));
    if let Some(s) = cube.field(Field::Sport).map(|s| s.and(&Ranges::interval(0, ABSENT_PORT - 1)))
        && s.count() < ABSENT_PORT
        && !s.is_empty()
    {
        parts.push(format!("port {}", port_words(None, &s)));
    }
    parts.push(format!("to {}", format_addresses(family, cube.field(Field::Dst).unwrap_or(&any_address))));
    let mut out = parts.join(" ");
    for (field, words, on) in [(Field::Iif, "arriving on", way != Way::Output), (Field::Oif, "leaving through", way != Way::Input)] {
        if let (true, Some(set)) = (on, cube.field(field)) {
            let shown = space.interface_words(set);
            if shown != "any interface" {
                out += &format!(", {words} {shown}");
            }
        }
    }
    if let Some(set) = cube.field(Field::Ct)
        && !Ranges::interval(ct::NEW, ct::INVALID).is_subset(set)
    {
        out += &format!(", ct {}", named(set, &ct::NAMES));
    }
    if let Some(set) = cube.field(Field::TcpFlags)
        && set.and(&Ranges::interval(0, 255)).count() < 256
        && set.count() > 1
    {
        out += &format!(", tcp flags {}", flags_words(&set.and(&Ranges::interval(0, 255))));
    }
    for (field, names) in [(Field::DstType, &addr_type::NAMES[..]), (Field::SrcType, &addr_type::NAMES[..])] {
        if let Some(set) = cube.field(field)
            && set.count() < 4
        {
            out += &format!(", {} {}", field.name().replace('_', " "), named(set, names));
        }
    }
    let plain = [Field::Mark, Field::CtMark, Field::Length, Field::Ttl, Field::Dscp, Field::SrcMac, Field::Uid, Field::Gid, Field::PktType];
    for field in plain {
        if let Some(set) = cube.field(field)
            && !(field == Field::Mark && set.as_single() == Some(0))
        {
            out += &format!(", {} {}", field.name(), port_words(None, set));
        }
    }
    if cube.field(Field::Fragment).is_some_and(|s| s.as_single() == Some(2)) {
        out += ", later fragments";
    }
    for (dim, set) in cube.dims() {
        if let Some(c) = dim.as_condition() {
            let holds = if set.contains(1) { "if" } else { "unless" };
            out += &format!(", {holds} {}", space.condition(c).0);
        }
    }
    out
}

fn named(set: &Ranges, names: &[&str]) -> String {
    let all = set.intervals().iter().flat_map(|&(lo, hi)| lo..=hi.min(names.len() as u128));
    all.filter_map(|v| names.get(v as usize).copied()).collect::<Vec<_>>().join(",")
}

fn flags_words(set: &Ranges) -> String {
    if set.count() > 6 {
        return format!("{} of 256 combinations", set.count());
    }
    let all = set.intervals().iter().flat_map(|&(lo, hi)| lo..=hi);
    all.map(|v| if v == 0 { "none".into() } else { flag_letters(v) }).collect::<Vec<_>>().join("|")
}

/// Protocol and destination port of a cube: `tcp/22,80`, `icmp type 8`, `any protocol`.
pub fn service_words(cube: &Cube, family: Family) -> String {
    let ports = cube.field(Field::Dport).map(|s| s.and(&Ranges::interval(0, ABSENT_PORT - 1))).filter(|s| !s.is_empty());
    let ports = ports.filter(|s| s.count() < ABSENT_PORT);
    let Some(protos) = cube.field(Field::Proto) else {
        return ports.map_or("any protocol".into(), |p| format!("port {}", port_words(None, &p)));
    };
    let list: Vec<u128> = protos.intervals().iter().flat_map(|&(lo, hi)| lo..=hi.min(lo + 300)).collect();
    let name = if list.len() > 8 {
        let others: Vec<String> = protos.complement(255).intervals().iter().flat_map(|&(lo, hi)| lo..=hi).map(protocol_words).collect();
        if others.is_empty() { "any protocol".into() } else { format!("any protocol but {}", others.join(",")) }
    } else {
        list.iter().map(|p| protocol_words(*p)).collect::<Vec<_>>().join(",")
    };
    if let Some(p) = ports {
        return format!("{name}/{}", port_words(list.first().map(|p| *p as u8), &p));
    }
    let is_icmp = list == [if family == Family::V4 { 1 } else { 58 }];
    match cube.field(Field::Icmp).map(|s| s.and(&Ranges::interval(0, ABSENT_PORT - 1))) {
        Some(s) if is_icmp && s.count() < ABSENT_PORT && !s.is_empty() => {
            let types = s.intervals().iter().map(|&(lo, hi)| match (lo >> 8, hi >> 8, lo & 255, hi & 255) {
                (a, b, 0, 255) if a == b => format!("{a}"),
                (a, b, 0, 255) => format!("{a}-{b}"),
                (a, b, x, y) if a == b && x == y => format!("{a}/{x}"),
                (a, b, x, y) => format!("{a}/{x}-{b}/{y}"),
            });
            format!("{name} type {}", types.collect::<Vec<_>>().join(","))
        }
        _ => name,
    }
}

/// The first intervals of a set as numbers.
pub fn few(set: &Ranges) -> String {
    let one = |&(lo, hi): &(u128, u128)| if lo == hi { lo.to_string() } else { format!("{lo}-{hi}") };
    let mut text = set.intervals().iter().take(4).map(one).collect::<Vec<_>>().join(",");
    if set.intervals().len() > 4 {
        text.push_str(",…");
    }
    text
}
