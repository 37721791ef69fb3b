//! Which combinations of header fields real packets have, and what a plausible packet looks like.

use super::fields::{ABSENT_FLAGS, ABSENT_PORT, Field, PORT_PROTOCOLS, ct};
use super::{Cube, Dim, Packet};
use crate::net::{Family, Ranges, is_global_unicast};

/// The header space of a family as disjoint cubes: packets with ports and flags (TCP), with ports, with ICMP type and
/// code, with neither, and fragments that are not the first (which have no transport header at all).
pub fn header_space(family: Family) -> Vec<Cube> {
    let icmp = match family {
        Family::V4 => 1,
        Family::V6 => 58,
    };
    let ports = Ranges::interval(0, ABSENT_PORT - 1);
    let flags = Ranges::interval(0, ABSENT_FLAGS - 1);
    let no_port = Ranges::single(ABSENT_PORT);
    let no_flags = Ranges::single(ABSENT_FLAGS);
    let with_header = Ranges::interval(0, 1);
    let other_ports = Ranges::from_values(PORT_PROTOCOLS.into_iter().filter(|p| *p != 6));
    let with_something = Ranges::from_values(PORT_PROTOCOLS).or(&Ranges::single(icmp));
    let cube = |constraints: &[(Field, &Ranges)]| constraints.iter().try_fold(Cube::any(), |c, (f, s)| c.with(Dim::field(*f), s, family));
    [
        cube(&[
            (Field::Proto, &Ranges::single(6)),
            (Field::Sport, &ports),
            (Field::Dport, &ports),
            (Field::Icmp, &no_port),
            (Field::TcpFlags, &flags),
            (Field::Fragment, &with_header),
        ]),
        cube(&[
            (Field::Proto, &other_ports),
            (Field::Sport, &ports),
            (Field::Dport, &ports),
            (Field::Icmp, &no_port),
            (Field::TcpFlags, &no_flags),
            (Field::Fragment, &with_header),
        ]),
        cube(&[
            (Field::Proto, &Ranges::single(icmp)),
            (Field::Sport, &no_port),
            (Field::Dport, &no_port),
            (Field::Icmp, &ports),
            (Field::TcpFlags, &no_flags),
            (Field::Fragment, &with_header),
        ]),
        cube(&[
            (Field::Proto, &with_something.complement(255)),
            (Field::Sport, &no_port),
            (Field::Dport, &no_port),
            (Field::Icmp, &no_port),
            (Field::TcpFlags, &no_flags),
            (Field::Fragment, &with_header),
        ]),
        cube(&[
            (Field::Sport, &no_port),
            (Field::Dport, &no_port),
            (Field::Icmp, &no_port),
            (Field::TcpFlags, &no_flags),
            (Field::Fragment, &Ranges::single(2)),
        ]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A packet of `cube` as it might really be seen: a host of a subnet rather than its network address, an ephemeral
/// source port, SYN, state new, no opaque condition unless the cube asks for one. `cube` must lie within the header space.
pub fn plausible(cube: &Cube, family: Family) -> Packet {
    let mut packet = Packet::zero();
    for &field in Field::ALL {
        let value = match cube.field(field) {
            Some(set) => pick(field, set, family),
            None => pick(field, &Ranges::interval(0, field.max(family)), family),
        };
        packet.set(field, value);
    }
    if packet.field(Field::Src) == packet.field(Field::Dst) {
        // Nobody sends packets to himself through a firewall.
        let other = if family == Family::V4 { 0xc633_6402 } else { (0x2001_0db8 << 96) | 2 };
        if cube.field(Field::Dst).is_none_or(|set| set.contains(other)) {
            packet.set(Field::Dst, other);
        }
    }
    for (dim, set) in cube.dims() {
        if let Some(c) = dim.as_condition() {
            packet.set_condition(c, !set.contains(0));
        }
    }
    packet
}

fn pick(field: Field, set: &Ranges, family: Family) -> u128 {
    let preferred: &[u128] = match field {
        Field::Src | Field::Dst => return pick_address(set, family),
        Field::Proto => &[6, 17, 1, 58, 47, 50, 253],
        Field::Dport => &[443, 80, 22, 53, 3389, 445, 5432, 8080, 40001],
        Field::Sport => &[40000, 51515, 1024],
        Field::Icmp => &[8 << 8, 128 << 8],
        Field::TcpFlags => &[2, 18, 16],
        Field::Ct => &[ct::NEW, ct::ESTABLISHED, ct::RELATED, ct::INVALID],
        Field::DstType | Field::SrcType => &[1, 2, 5, 3],
        Field::Length => &[60, 84, 576],
        Field::Ttl => &[64, 255],
        Field::SrcMac => &[0x02_00_00_00_00_01],
        Field::Uid | Field::Gid => &[1000, 0],
        _ => &[0],
    };
    preferred.iter().copied().find(|v| set.contains(*v)).or(set.min()).unwrap_or(0)
}

fn pick_address(set: &Ranges, family: Family) -> u128 {
    // Addresses that people know for what they are: documentation prefixes stand for "somebody on the internet".
    let known: &[u128] = match family {
        Family::V4 => &[0xcb00_7107, 0x0a00_000a, 0xc0a8_010a, 0x0808_0808],
        Family::V6 => &[0x2001_0db8_00ff_0000_0000_0000_0000_0007, 0x2a00_1450_4001_0800_0000_0000_0000_200e],
    };
    let whole = set.intervals() == [(0, family.max_address())];
    if whole {
        return known[0];
    }
    if let Some(n) = known.iter().copied().find(|n| set.contains(*n))
        && set.count() > 1 << 24
    {
        return n;
    }
    // The first interval with room for a host; a public address is preferred in very large sets.
    let roomy = set.intervals().iter().find(|(lo, hi)| hi - lo >= 15).or(set.intervals().first());
    let Some(&(lo, hi)) = roomy else { return 0 };
    let candidate = match hi - lo {
        0 => lo,
        1..=14 => lo + 1,
        _ => lo + 10,
    };
    let documentation = family == Family::V6 && candidate >> 96 == 0x2001_0db8;
    if hi - lo > 1 << 28 && !is_global_unicast(family, candidate) && !documentation {
        return lo + (hi - lo) / 2;
    }
    candidate
}
