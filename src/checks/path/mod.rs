//! From one place to another, over every device that stands between: what one lets through arrives at the next.
//!
//! The packets that leave a device (after its translation, by its routes) are those that arrive at the next one, on the interface that the
//! topology gives, and open a connection there too. Conditions of a device stay its own. What nothing that was read tells is said to be unknown:
//! it is never taken for blocked or passed.

mod compose;
mod flowing;
pub(super) mod judge;
mod replay;
mod start;
mod topology;

pub use compose::{End, Found, LINES, Paths, Step, Stop, Stopped, Unclear, paths};
pub use flowing::Passed;
pub use replay::{Replay, replay};
pub use start::{Start, from_worker, from_zone};

use crate::net::{Family, Ranges};
use crate::packets::{Cube, Dim, Field};

/// Fields that a packet keeps from one device to the next. The others are a device's own (interfaces, marks, states), or change with each link.
const KEPT: [Field; 10] = [
    Field::Dst,
    Field::Src,
    Field::Proto,
    Field::Dport,
    Field::Sport,
    Field::Icmp,
    Field::TcpFlags,
    Field::Fragment,
    Field::Length,
    Field::Dscp,
];

/// A cube's constraints on what a packet keeps on its way.
fn kept(cube: &Cube, family: Family) -> Cube {
    KEPT.iter().fold(Cube::any(), |c, f| match cube.field(*f) {
        Some(set) => c.with(Dim::field(*f), set, family).unwrap_or(c),
        None => c,
    })
}

/// The hops that packets have left after one more of them; of what arrives with one, nothing leaves.
fn one_hop_less(set: Option<&Ranges>) -> Ranges {
    let all = Ranges::interval(0, 255);
    let left = set.unwrap_or(&all).and(&Ranges::interval(2, 255));
    Ranges::from_intervals(left.intervals().iter().map(|&(lo, hi)| (lo - 1, hi - 1)).collect())
}

/// The hops that they had before.
fn one_hop_more(set: &Ranges) -> Ranges {
    let left = set.and(&Ranges::interval(1, 254));
    Ranges::from_intervals(left.intervals().iter().map(|&(lo, hi)| (lo + 1, hi + 1)).collect())
}
