//! Finds the entries that concern a packet or a cube, without looking at all of them.
//!
//! A tree over dimensions: at each level the entries are sorted into the prefixes (aligned blocks of numbers) that one dimension of
//! theirs asks for; prefixes are laminar (two are nested or disjoint), so that the ones which hold a value are a chain of
//! ancestors. Below each prefix the next dimension follows. Entries that do not constrain the dimension, or need too many
//! prefixes, stay in a branch of their own. The tree is only a filter: whoever asks compares the entry's cube itself.

use super::program::Entry;
use crate::net::{Family, Ranges};
use crate::packets::{Cube, Dim, Field, Packet};

/// Lists shorter than this are not divided further.
const LEAF: usize = 12;
/// An entry that needs more prefixes than this in a dimension is not divided by it.
const PIECES: usize = 40;
/// So many places of the tree an entry may stand in, about.
const COPIES: usize = 128;

const DIMENSIONS: [Field; 8] = [Field::Dst, Field::Src, Field::Dport, Field::Sport, Field::Iif, Field::Oif, Field::Proto, Field::Icmp];

/// The tree. Nodes are numbered; children come after their parents.
#[derive(Default, Debug)]
pub(super) struct Index {
    root: Option<Box<Node>>,
}

#[derive(Debug)]
enum Node {
    /// Entry numbers, ascending.
    Leaf(Vec<u32>),
    Split {
        dim: Dim,
        /// Entries that are not divided by this dimension.
        rest: Option<Box<Node>>,
        /// Sorted by `lo` ascending, then `hi` descending: a parent comes before its children.
        blocks: Vec<Block>,
    },
}

#[derive(Debug)]
struct Block {
    lo: u128,
    hi: u128,
    /// The nearest block that holds this one.
    parent: Option<u32>,
    /// The least entry number in this block (without its ancestors).
    first: u32,
    node: Node,
}

/// In what range the packets of a cube lie, in a few dimensions: most cubes that share no packet are told apart by it, without a look at
/// the cubes themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of addresses the upper 64 bits.
    destination: (u64, u64),
    source: (u64, u64),
    ports: (u32, u32),
    protocol: (u16, u16),
    arriving: (u16, u16),
    leaving: (u16, u16),
}

impl Bounds {
    pub(super) fn of(cube: &Cube, family: Family) -> Bounds {
        let range = |field: Field| cube.field(field).and_then(|s| Some((s.min()?, s.max()?)));
        let shift = if family == Family::V6 { 64 } else { 0 };
        let address = |field| range(field).map_or((0, u64::MAX), |(lo, hi)| ((lo >> shift) as u64, (hi >> shift) as u64));
        let number = |field| range(field).map_or((0, u16::MAX), |(lo, hi)| (lo as u16, hi as u16));
        Bounds {
            destination: address(Field::Dst),
            source: address(Field::Src),
            ports: range(Field::Dport).map_or((0, u32::MAX), |(lo, hi)| (lo as u32, hi as u32)),
            protocol: number(Field::Proto),
            arriving: number(Field::Iif),
            leaving: number(Field::Oif),
        }
    }

    /// False only if the cubes share no packet.
    pub(super) fn meet(&self, other: &Bounds) -> bool {
        fn meet<T: PartialOrd>(a: (T, T), b: (T, T)) -> bool {
            a.0 <= b.1 && b.0 <= a.1
        }
        meet(self.destination, other.destination)
            && meet(self.source, other.source)
            && meet(self.ports, other.ports)
            && meet(self.protocol, other.protocol)
            && meet(self.arriving, other.arriving)
            && meet(self.leaving, other.leaving)
    }
}

impl Index {
    pub(super) fn new(entries: &[Entry]) -> Index {
        let all: Vec<u32> = (0..entries.len() as u32).collect();
        Index { root: Some(Box::new(build(entries, all, &DIMENSIONS, COPIES))) }
    }

    /// Calls `hit` with the numbers `from..to` of entries that may hold the packet, in no order; `hit` returns the new `to`.
    pub(super) fn stab(&self, packet: &Packet, from: u32, to: u32, hit: &mut impl FnMut(u32) -> bool) -> u32 {
        let mut best = to;
        if let Some(root) = &self.root {
            root.stab(packet, from, &mut best, hit);
        }
        best
    }

    /// Calls `visit` with the numbers in `from..to` of entries that may overlap the cube, in no order, some perhaps twice.
    pub(super) fn overlapping(&self, cube: &Cube, from: u32, to: u32, visit: &mut impl FnMut(u32)) {
        if let Some(root) = &self.root {
            root.overlapping(cube, from, to, visit);
        }
    }
}

fn build(entries: &[Entry], list: Vec<u32>, dims: &[Field], copies: usize) -> Node {
    if list.len() <= LEAF {
        return Node::Leaf(list);
    }
    // The first dimension that divides a good part of the list.
    for (i, field) in dims.iter().enumerate() {
        let dim = Dim::field(*field);
        let constrained = list.iter().filter(|e| entries[**e as usize].cube.get(dim).is_some()).count();
        if constrained * 4 < list.len() || constrained <= LEAF {
            continue;
        }
        let mut rest = Vec::new();
        let mut pieces: Vec<(u128, u128, u32)> = Vec::new();
        let most = copies.min(PIECES);
        for &e in &list {
            let divided = entries[e as usize].cube.get(dim).and_then(|set| prefixes(set, most));
            match divided {
                None => rest.push(e),
                Some(blocks) => pieces.extend(blocks.into_iter().map(|(lo, hi)| (lo, hi, e))),
            }
        }
        pieces.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
        pieces.dedup();
        let distinct = pieces.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).count();
        if distinct < 2 && rest.is_empty() {
            continue;
        }
        let left = &dims[i + 1..];
        let divided = list.len() - rest.len();
        let fewer = (copies * divided / pieces.len().max(1)).max(1);
        let mut blocks: Vec<Block> = Vec::with_capacity(distinct);
        let mut open: Vec<u32> = Vec::new();
        for group in pieces.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (lo, hi, first) = group[0];
            while open.last().is_some_and(|o| blocks[*o as usize].hi < lo) {
                open.pop();
            }
            let members = group.iter().map(|p| p.2).collect();
            let block = Block { lo, hi, parent: open.last().copied(), first, node: build(entries, members, left, fewer) };
            open.push(blocks.len() as u32);
            blocks.push(block);
        }
        let rest = (!rest.is_empty()).then(|| Box::new(build(entries, rest, left, copies)));
        return Node::Split { dim, rest, blocks };
    }
    Node::Leaf(list)
}

/// A set as aligned blocks of powers of two; `None` if there are more than `most`.
fn prefixes(set: &Ranges, most: usize) -> Option<Vec<(u128, u128)>> {
    let mut out = Vec::new();
    for &(lo, hi) in set.intervals() {
        let mut at = lo;
        loop {
            if out.len() >= most {
                return None;
            }
            // The largest aligned block that begins here and does not pass the end.
            let align = if at == 0 { 128 } else { at.trailing_zeros() };
            let room = hi - at;
            let fits = if room == u128::MAX { 128 } else { 127 - (room + 1).leading_zeros() };
            let bits = align.min(fits);
            let span = if bits >= 128 { u128::MAX } else { (1u128 << bits) - 1 };
            out.push((at, at + span));
            match (at + span).checked_add(1) {
                Some(next) if at + span < hi => at = next,
                _ => break,
            }
        }
    }
    Some(out)
}

/// The innermost block that holds `value`, found among blocks sorted as in [`Node::Split`].
fn innermost(blocks: &[Block], value: u128) -> Option<u32> {
    let after = blocks.partition_point(|b| b.lo <= value);
    let mut at = after.checked_sub(1).map(|i| i as u32);
    while let Some(i) = at {
        let block = &blocks[i as usize];
        if block.hi >= value {
            return at;
        }
        at = block.parent;
    }
    None
}

impl Node {
    fn stab(&self, packet: &Packet, from: u32, best: &mut u32, hit: &mut impl FnMut(u32) -> bool) {
        match self {
            Node::Leaf(list) => {
                let start = list.partition_point(|e| *e < from);
                for &e in &list[start..] {
                    if e >= *best {
                        break;
                    }
                    if hit(e) {
                        *best = e;
                        break;
                    }
                }
            }
            Node::Split { dim, rest, blocks } => {
                let mut at = innermost(blocks, packet.get(*dim));
                while let Some(i) = at {
                    let block = &blocks[i as usize];
                    if block.first < *best {
                        block.node.stab(packet, from, best, hit);
                    }
                    at = block.parent;
                }
                if let Some(rest) = rest {
                    rest.stab(packet, from, best, hit);
                }
            }
        }
    }

    fn overlapping(&self, cube: &Cube, from: u32, to: u32, visit: &mut impl FnMut(u32)) {
        match self {
            Node::Leaf(list) => {
                let start = list.partition_point(|e| *e < from);
                list[start..].iter().take_while(|e| **e < to).for_each(|e| visit(*e));
            }
            Node::Split { dim, rest, blocks } => {
                match cube.get(*dim) {
                    None => blocks.iter().filter(|b| b.first < to).for_each(|b| b.node.overlapping(cube, from, to, visit)),
                    Some(set) => {
                        for &(lo, hi) in set.intervals() {
                            // Blocks that hold `lo`, and blocks that begin within the interval.
                            let mut at = innermost(blocks, lo);
                            while let Some(i) = at {
                                let block = &blocks[i as usize];
                                if block.first < to {
                                    block.node.overlapping(cube, from, to, visit);
                                }
                                at = block.parent;
                            }
                            let first = blocks.partition_point(|b| b.lo <= lo);
                            for block in blocks[first..].iter().take_while(|b| b.lo <= hi).filter(|b| b.first < to) {
                                block.node.overlapping(cube, from, to, visit);
                            }
                        }
                    }
                }
                if let Some(rest) = rest {
                    rest.overlapping(cube, from, to, visit);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_union_of_its_blocks() {
        let set = Ranges::from_intervals(vec![(3, 9), (16, 31), (u128::MAX - 1, u128::MAX)]);
        let blocks = prefixes(&set, PIECES).unwrap();
        assert_eq!(Ranges::from_intervals(blocks.clone()), set);
        assert!(blocks.iter().all(|(lo, hi)| (hi - lo + 1).is_power_of_two() && lo % (hi - lo + 1) == 0));
        assert_eq!(prefixes(&Ranges::interval(0, u128::MAX), PIECES).unwrap(), [(0, u128::MAX)]);
    }
}
