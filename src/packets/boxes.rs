//! Few, readable boxes: cubes without what every packet has anyway, joined where they differ in one dimension.

use std::collections::BTreeMap;

use super::fields::{ABSENT_FLAGS, ABSENT_PORT, Field, PORT_PROTOCOLS};
use super::{Cube, Dim};
use crate::net::{Family, Ranges};

/// Rounds of joining: each dimension is tried once a round.
const ROUNDS: usize = 4;

/// The same packets in fewer cubes, for people: what the protocol implies is left out, and so is "not a later fragment". In an order that depends on the packets alone.
pub fn readable(cubes: &[Cube], family: Family) -> Vec<Cube> {
    let mut list: Vec<Cube> = cubes.iter().map(|c| plain(c, family)).collect();
    for _ in 0..ROUNDS {
        let before = list.len();
        let mut dims: Vec<Dim> = list.iter().flat_map(|c| c.dims().iter().map(|d| d.0)).collect();
        dims.sort_unstable();
        dims.dedup();
        // Conditions and rare fields first, addresses last: "from A and B to C" reads better than two lines.
        for dim in dims.into_iter().rev() {
            list = join(list, dim, family);
        }
        if list.len() == before {
            break;
        }
    }
    list.sort_by_cached_key(|c| c.dims().iter().map(|(d, s)| (*d, s.intervals().to_vec())).collect::<Vec<_>>());
    list
}

/// Leaves out what a packet of the cube's protocols has anyway.
fn plain(cube: &Cube, family: Family) -> Cube {
    let mut out = cube.clone();
    let mut drop = |field: Field, implied: &Ranges| {
        if out.field(field).is_some_and(|s| implied.is_subset(s) || s == implied)
            && let Some(less) = out.replaced(Dim::field(field), None, family)
        {
            out = less;
        }
    };
    let ports = Ranges::interval(0, ABSENT_PORT - 1);
    let absent = Ranges::single(ABSENT_PORT);
    let proto = cube.field(Field::Proto);
    let with_ports = proto.is_some_and(|p| p.is_subset(&Ranges::from_values(PORT_PROTOCOLS)));
    let icmp = Ranges::single(if family == Family::V4 { 1 } else { 58 });
    for field in [Field::Sport, Field::Dport] {
        drop(field, if with_ports { &ports } else { &absent });
    }
    drop(Field::Icmp, if proto == Some(&icmp) { &ports } else { &absent });
    let flags = Ranges::interval(0, ABSENT_FLAGS - 1);
    let no_flags = Ranges::single(ABSENT_FLAGS);
    drop(Field::TcpFlags, if proto == Some(&Ranges::single(6)) { &flags } else { &no_flags });
    for (field, usual) in
        [(Field::Fragment, Ranges::interval(0, 1)), (Field::Fragment, Ranges::single(0)), (Field::Mark, Ranges::single(0))]
    {
        drop(field, &usual);
    }
    for field in [Field::Iif, Field::Oif] {
        drop(field, &Ranges::interval(1, field.max(family)));
        drop(field, &Ranges::single(0));
    }
    out
}

/// Joins cubes that are equal but in `dim`.
fn join(cubes: Vec<Cube>, dim: Dim, family: Family) -> Vec<Cube> {
    let mut groups: BTreeMap<Vec<(Dim, Vec<(u128, u128)>)>, (Cube, Option<Vec<(u128, u128)>>)> = BTreeMap::new();
    for cube in cubes {
        let rest: Vec<_> = cube.dims().iter().filter(|(d, _)| *d != dim).map(|(d, s)| (*d, s.intervals().to_vec())).collect();
        let mine = cube.get(dim).map(|s| s.intervals().to_vec());
        let group = groups.entry(rest).or_insert_with(|| (cube.clone(), Some(Vec::new())));
        // A cube without the constraint swallows the others.
        group.1 = match (group.1.take(), mine) {
            (Some(mut all), Some(mine)) => {
                all.extend(mine);
                Some(all)
            }
            _ => None,
        };
    }
    groups.into_values().filter_map(|(cube, set)| cube.replaced(dim, set.map(Ranges::from_intervals), family)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::header_space;

    #[test]
    fn the_whole_header_space_is_one_box() {
        assert_eq!(readable(&header_space(Family::V4), Family::V4), [Cube::any()]);
    }

    #[test]
    fn neighbours_are_joined() {
        let tcp = |port| {
            let c = header_space(Family::V4)[0].with(Dim::field(Field::Dport), &Ranges::single(port), Family::V4).unwrap();
            c.with(Dim::field(Field::Src), &Ranges::interval(0, 255), Family::V4).unwrap()
        };
        let boxes = readable(&[tcp(80), tcp(443), tcp(81)], Family::V4);
        assert_eq!(boxes.len(), 1);
        assert_eq!(boxes[0].field(Field::Dport), Some(&Ranges::from_values([80, 81, 443])));
    }
}
