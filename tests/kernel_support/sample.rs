//! Packets for a rule set: one inside and one outside of every edge of what it passes and blocks, and of what its rules ask for.

use std::collections::BTreeMap;

use fwproof::eval::flow::{Query, Want, passing};
use fwproof::eval::{Analysis, Way};
use fwproof::model::{Match, SetValue};
use fwproof::net::Family;
use fwproof::packets::fields::{ABSENT_FLAGS, ABSENT_PORT, PORT_PROTOCOLS, addr_type, ct};
use fwproof::packets::{Cube, Field, Packet, plausible};

use super::Random;

/// Interfaces that one namespace gets at most.
const INTERFACES: usize = 7;

/// The interfaces to make for a device: those that its rules name, and one that they do not.
pub fn interfaces(analysis: &Analysis<'_>) -> BTreeMap<u128, String> {
    let mut numbers: Vec<u128> = Vec::new();
    let mut add = |lo: u128, hi: u128| {
        for n in lo..=hi.min(lo.saturating_add(8)) {
            if n > 0 && !numbers.contains(&n) {
                numbers.push(n);
            }
        }
    };
    for rule in analysis.device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| {
            if let Match::Interface(_, p) = m
                && !p.name.is_empty()
            {
                analysis.space.interfaces(p).intervals().iter().take(3).for_each(|&(lo, hi)| add(lo, hi));
            }
        });
    }
    for value in analysis.device.sets.iter().flat_map(|s| &s.elements).flat_map(|e| &e.values) {
        if let SetValue::Interface(p) = value {
            analysis.space.interfaces(p).intervals().iter().take(3).for_each(|&(lo, hi)| add(lo, hi));
        }
    }
    for i in analysis.device.interfaces.iter().flatten() {
        let n = analysis.space.interface_number(&i.name);
        add(n, n);
    }
    let usable = |n: &String| {
        n.len() < 16 && !n.starts_with("zz") && n != "lo" && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let mut out = BTreeMap::new();
    let other = analysis.space.interface_number("\u{0}");
    for n in numbers.into_iter().take(INTERFACES).chain([other]) {
        if let Some(name) = analysis.space.interface_name(n).filter(usable) {
            out.insert(n, name);
        }
    }
    // `lo` is always there.
    let lo = analysis.space.interface_number("lo");
    if lo != other {
        out.insert(lo, "lo".to_owned());
    }
    out
}

/// Values on and beside every edge that the rules of a device mention, for each field.
fn edges(analysis: &Analysis<'_>, family: Family) -> Vec<Vec<u128>> {
    let mut values = vec![Vec::new(); Field::ALL.len()];
    let mut add = |field: Field, lo: u128, hi: u128| {
        let max = field.max(family);
        values[field as usize].extend([lo, hi, lo.saturating_sub(1), hi.saturating_add(1)].into_iter().filter(|v| *v <= max));
    };
    for rule in analysis.device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| match m {
            Match::Field(f, set) => set.intervals().iter().take(50).for_each(|(lo, hi)| add(*f, *lo, *hi)),
            Match::Address(f, fam, set) if *fam == family => set.intervals().iter().take(50).for_each(|(lo, hi)| add(*f, *lo, *hi)),
            _ => {}
        });
    }
    for value in analysis.device.sets.iter().flat_map(|s| &s.elements).flat_map(|e| &e.values) {
        match value {
            SetValue::Address(fam, set) if *fam == family => {
                for f in [Field::Src, Field::Dst] {
                    set.intervals().iter().take(4).for_each(|(lo, hi)| add(f, *lo, *hi));
                }
            }
            SetValue::Number(set) | SetValue::Service(_, Some((_, set))) => {
                set.intervals().iter().take(4).for_each(|(lo, hi)| [Field::Dport, Field::Sport].into_iter().for_each(|f| add(f, *lo, *hi)));
            }
            _ => {}
        }
    }
    let usual: &[(Field, &[u128])] = &[
        (Field::Proto, &[6, 6, 6, 17, 17, 1, 58, if family == Family::V4 { 1 } else { 58 }, 132, 50, 47, 136, 33, 89, 255]),
        (Field::TcpFlags, &[2, 2, 16, 18, 1, 4, 17, 0, 41, 3, 24]),
        (
            Field::Icmp,
            if family == Family::V4 { &[0x800, 0, 0x301, 0xb00, 0xd00, 0x500] } else { &[0x8000, 0x8100, 0x104, 0x8700, 0x8900] },
        ),
        (Field::Ct, &[ct::NEW, ct::NEW, ct::ESTABLISHED, ct::RELATED, ct::INVALID]),
        (Field::Fragment, &[0, 0, 0, 0, 1, 2]),
        (Field::Ttl, &[64, 64, 255, 2]),
        (Field::Length, &[60]),
        (Field::PktType, &[0]),
    ];
    for (field, list) in usual {
        values[*field as usize].extend(*list);
    }
    values
}

/// The packets of a way and a family, at most so many.
pub fn packets(analysis: &Analysis<'_>, way: Way, family: Family, most: usize, random: &mut Random) -> Vec<Packet> {
    let names: Vec<u128> = interfaces(analysis).into_keys().collect();
    let edges = edges(analysis, family);
    let mut out: Vec<Packet> = Vec::new();
    let fit = |p: Packet, random: &mut Random| coherent(p, analysis, way, family, &names, random);
    // What passes and what is blocked, piece by piece: half of the packets.
    let mut pieces: Vec<Cube> = [Want::Accepted, Want::Blocked]
        .into_iter()
        .filter_map(|w| passing(analysis, Query::new(way, family, w), &[Cube::any()], &[Cube::any()]).ok())
        .flatten()
        .map(|p| p.arriving)
        .collect();
    for i in (1..pieces.len()).rev() {
        pieces.swap(i, random.below(i + 1));
    }
    'pieces: for piece in &pieces {
        let inside = plausible(piece, family);
        out.push(fit(inside.clone(), random));
        for (dim, set) in piece.dims() {
            let Some(field) = dim.as_field() else { continue };
            let all = set.intervals();
            for &(lo, hi) in all.iter().take(2).chain(all.iter().skip(2).last()) {
                for value in [lo, hi, lo.saturating_sub(1), hi.saturating_add(1).min(field.max(family))] {
                    let mut p = inside.clone();
                    p.set(field, value);
                    out.push(fit(p, random));
                    if out.len() >= most / 2 {
                        break 'pieces;
                    }
                }
            }
        }
    }
    let top = |field: Field| field.max(family);
    while out.len() < most {
        let mut p = Packet::zero();
        for &field in Field::ALL {
            let list = &edges[field as usize];
            let edge = if list.is_empty() || random.below(5) == 0 { None } else { random.of(list).copied() };
            let free = (random.next() << 64 | random.next()) % top(field).saturating_add(1).max(1);
            p.set(field, edge.unwrap_or(free));
        }
        out.push(fit(p, random));
    }
    out
}

/// Makes a packet one that can be sent: protocol and header fields agree, interfaces are there, nothing comes from an address that is no
/// host's.
fn coherent(mut p: Packet, analysis: &Analysis<'_>, way: Way, family: Family, names: &[u128], random: &mut Random) -> Packet {
    let space = &analysis.space;
    if space.tracks() || p.field(Field::Fragment) > 2 {
        p.set(Field::Fragment, 0);
    }
    if family == Family::V4 && p.field(Field::Proto) == 0 {
        p.set(Field::Proto, 253);
    }
    let (proto, later) = (p.field(Field::Proto), p.field(Field::Fragment) == 2);
    let ports = PORT_PROTOCOLS.contains(&proto) && !later;
    for (field, default) in [(Field::Sport, 40000), (Field::Dport, 40001)] {
        let v = p.field(field);
        p.set(
            field,
            if !ports {
                ABSENT_PORT
            } else if v == ABSENT_PORT {
                default
            } else {
                v
            },
        );
    }
    let icmp = proto == if family == Family::V4 { 1 } else { 58 } && !later;
    let v = p.field(Field::Icmp);
    let echo = if family == Family::V4 { 8 } else { 128 } << 8;
    p.set(
        Field::Icmp,
        if !icmp {
            ABSENT_PORT
        } else if v == ABSENT_PORT {
            echo
        } else {
            v
        },
    );
    let v = p.field(Field::TcpFlags);
    p.set(
        Field::TcpFlags,
        if proto != 6 || later {
            ABSENT_FLAGS
        } else if v == ABSENT_FLAGS {
            2
        } else {
            v
        },
    );
    for (field, wanted) in [(Field::Iif, way != Way::Output), (Field::Oif, way != Way::Input)] {
        let v = p.field(field);
        let known = names.contains(&v).then_some(v);
        let lo = space.interface_number("lo");
        // What goes through the host does not come from itself.
        let known = known.filter(|n| way != Way::Forward || *n != lo);
        let some = || {
            let list: Vec<u128> = names.iter().copied().filter(|n| way != Way::Forward || *n != lo).collect();
            (list.clone(), list.len())
        };
        let value = if !wanted {
            0
        } else {
            known.unwrap_or_else(|| {
                let (list, n) = some();
                list.get(random.below(n)).copied().unwrap_or(0)
            })
        };
        p.set(field, value);
    }
    for field in [Field::Mark, Field::CtMark, Field::CtNat, Field::Uid, Field::Gid] {
        if field != Field::Mark || way != Way::Output || !space.is_matched(Field::Mark) {
            p.set(field, 0);
        }
    }
    let ttl = p.field(Field::Ttl);
    p.set(Field::Ttl, ttl.max(if way == Way::Forward { 2 } else { 1 }));
    for field in [Field::Src, Field::Dst] {
        let n = host(family, p.field(field), field == Field::Src || way == Way::Forward);
        p.set(field, n);
    }
    if way == Way::Input && p.field(Field::Iif) == space.interface_number("lo") {
        p.set(Field::Dst, if family == Family::V4 { 0x7f00_0001 } else { 1 });
    }
    let (source, destination) = space.address_types(way, family, p.field(Field::Src), p.field(Field::Dst));
    p.set(Field::SrcType, source);
    p.set(Field::DstType, destination);
    let kind = match destination {
        _ if way == Way::Output || p.field(Field::Iif) == space.interface_number("lo") => 0,
        addr_type::MULTICAST => 2,
        addr_type::BROADCAST => 1,
        _ if way == Way::Forward || !space.is_matched(Field::PktType) => 0,
        _ => p.field(Field::PktType) % 3,
    };
    p.set(Field::PktType, kind);
    if !space.is_matched(Field::Dscp) {
        p.set(Field::Dscp, 0);
    }
    p
}

/// An address near this one that a host can have (and a packet can be sent on to).
fn host(family: Family, n: u128, single: bool) -> u128 {
    let reserved = match family {
        Family::V4 => n >> 24 == 0 || n >> 24 == 127 || (single && n >> 28 >= 14) || n >> 28 == 15,
        // Unspecified, loopback, link-local and, for single hosts, multicast.
        Family::V6 => n >> 64 == 0 || n >> 118 == 0x3fa || (single && n >> 120 == 0xff) || n >> 16 == 0xfd5a_7a7a << 80,
    };
    match (reserved, family) {
        (false, _) => n,
        (true, Family::V4) => 0x0b00_0000 | (n & 0xff_ffff),
        (true, Family::V6) => (0x2001_0db8_00aa << 80) | (n & 0xffff),
    }
}
