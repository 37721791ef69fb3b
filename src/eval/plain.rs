//! Boxes of packets as people speak of them: of packets that open connections, without what goes without saying.

use super::space::Space;
use super::{Way, words};
use crate::net::{Family, Ranges, format_addresses};
use crate::packets::fields::{ABSENT_FLAGS, ct};
use crate::packets::{Cube, Dim, Field, readable};

/// Packets that open a connection: new ones, and of TCP only SYN without ACK, RST or FIN, as a client sends it.
pub fn opening(family: Family) -> Cube {
    let cube = Cube::of(Dim::field(Field::Ct), Ranges::single(ct::NEW), family).unwrap_or_default();
    let flags = Ranges::from_values([2, ABSENT_FLAGS]);
    cube.with(Dim::field(Field::TcpFlags), &flags, family).unwrap_or_default()
}

/// A cube without a constraint.
pub fn without(cube: Cube, field: Field, family: Family) -> Cube {
    cube.replaced(Dim::field(field), None, family).unwrap_or(cube)
}

/// The packets of `cubes` that open connections, in few boxes from which that is left out; `None` if there are none.
pub fn opening_boxes(cubes: &[Cube], way: Way, family: Family, space: &Space) -> Option<Vec<Cube>> {
    let opening = opening(family).with(Dim::field(Field::Fragment), &Ranges::interval(0, 1), family).unwrap_or_default();
    let own = space.occurring(way, family).iter().filter_map(|c| c.field(Field::Dst).cloned()).reduce(|a, b| a.or(&b));
    let plain: Vec<Cube> = cubes.iter().filter_map(|c| c.and(&opening)).map(|c| plain(c, own.as_ref(), family)).collect();
    (!plain.is_empty()).then(|| readable(&plain, family))
}

/// A box of packets that open a connection, without what goes without saying.
fn plain(mut cube: Cube, own: Option<&Ranges>, family: Family) -> Cube {
    for field in [Field::Ct, Field::TcpFlags] {
        cube = without(cube, field, family);
    }
    // Requests of ICMP that open a connection: `invmap` of nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c.
    let types: &[u128] = if family == Family::V4 { &[8, 13, 15, 17] } else { &[128, 139] };
    if cube.field(Field::Icmp).is_some_and(|s| types.iter().all(|t| Ranges::interval(t << 8, t << 8 | 0xff).is_subset(s))) {
        cube = without(cube, Field::Icmp, family);
    }
    // ICMP of the other family is no packet that anybody sends.
    let other = Ranges::single(if family == Family::V4 { 58 } else { 1 });
    if let Some(all) = cube.field(Field::Proto).filter(|s| s.count() > 1).map(|s| s.or(&other)) {
        cube = cube.replaced(Dim::field(Field::Proto), Some(all), family).unwrap_or(cube);
    }
    if cube.field(Field::Dst).is_some_and(|s| Some(s) == own) {
        cube = without(cube, Field::Dst, family);
    }
    cube
}

/// Address ranges that [`box_words`] spells out.
const ADDRESSES: usize = 6;

/// A box in words, without ends that are anywhere, and with long lists of addresses cut.
pub fn box_words(cube: &Cube, way: Way, family: Family, space: &Space) -> String {
    let (mut cube, mut ends) = (cube.clone(), Vec::new());
    for (field, word) in [(Field::Src, "from"), (Field::Dst, "to")] {
        if let Some(set) = cube.field(field) {
            ends.push(format!("{word} {}", addresses(set, family)));
        }
        cube = without(cube, field, family);
    }
    let text = words::cube_words(&cube, way, family, space);
    let bare = if ends.is_empty() { " from anywhere to anywhere".to_owned() } else { format!(" {}", ends.join(" ")) };
    text.replacen(" from anywhere to anywhere", &bare, 1)
}

/// A set of addresses in words: the first few, and how many more there are.
fn addresses(set: &Ranges, family: Family) -> String {
    let whole = format_addresses(family, set);
    let parts: Vec<&str> = whole.split(',').collect();
    if parts.len() <= ADDRESSES {
        return whole;
    }
    format!("{} and {} more", parts[..ADDRESSES].join(","), parts.len() - ADDRESSES)
}
