//! Who decides about a packet; whether a packet of a region gets to an entry; and which packets do.
//!
//! The method is counterexample-guided subtraction: take a packet of the region and look who decides about it. If it gets where
//! it should, it is the proof. If an earlier entry takes it, the packets of that entry are subtracted from the region, and what
//! is left is searched on. An entry takes a packet only if no skip before it jumps over it: those pieces go back to the region.
//! Every step removes at least one cell of the arrangement of all cubes, so the search ends, and its answer is exact.

use smallvec::SmallVec;

use super::program::{Act, Program};
use crate::packets::{Cube, Dim, Packet, plausible};

/// Steps of one search before it gives up, loudly.
const STEPS: usize = 200_000;

/// A search was given up: too many steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GaveUp;

/// What a search came to.
#[derive(Debug)]
pub(super) enum Reached {
    /// A packet of the region that gets there.
    Yes(Box<Packet>),
    /// No packet of the region gets there; the entries that take them, each overlapping the region.
    No(Vec<u32>),
}

impl Program {
    /// The first entry from `from` on that holds the packet. There always is one: the last entry holds everything.
    pub(super) fn hit(&self, packet: &Packet, from: u32) -> u32 {
        let end = self.entries.len() as u32;
        self.index.stab(packet, from, end, &mut |e| self.entries[e as usize].cube.contains(packet))
    }

    /// The entries that a packet meets from `from` on, the deciding one last.
    pub fn path(&self, packet: &Packet, from: u32) -> SmallVec<[u32; 4]> {
        let mut path = SmallVec::new();
        let mut at = from;
        while (at as usize) < self.entries.len() {
            let e = self.hit(packet, at);
            if e as usize >= self.entries.len() {
                break;
            }
            path.push(e);
            match self.entries[e as usize].act {
                Act::Skip(to) => at = to,
                _ => break,
            }
        }
        path
    }

    /// The entry before `target` that keeps the packet from getting there, if any.
    pub(super) fn blocker(&self, packet: &Packet, target: u32) -> Option<u32> {
        let mut at = 0;
        while at < target {
            let e = self.index.stab(packet, at, target, &mut |e| self.entries[e as usize].cube.contains(packet));
            if e >= target {
                return None;
            }
            match self.entries[e as usize].act {
                Act::Skip(to) if to <= target => at = to,
                _ => return Some(e),
            }
        }
        None
    }

    /// Skips before `entry` that jump over it but not over `target`, and overlap `piece`.
    fn bypasses(&self, entry: u32, target: u32, piece: &Cube) -> Vec<u32> {
        let mut found = Vec::new();
        let mut frame = Some(self.entries[entry as usize].frame);
        while let Some(f) = frame {
            let frame_data = &self.frames[f as usize];
            if frame_data.end > target {
                break;
            }
            let before = frame_data.skips.partition_point(|s| *s < entry);
            found.extend(frame_data.skips[..before].iter().filter(|s| self.entries[**s as usize].cube.overlaps(piece)));
            frame = frame_data.parent;
        }
        found
    }

    /// Removes from `piece` the packets that `entry` takes before they get to `target`; what is left goes to `left`.
    pub(super) fn take_away(&self, piece: &Cube, entry: u32, target: u32, left: &mut Vec<Cube>) {
        let cube = &self.entries[entry as usize].cube;
        piece.minus_into(cube, self.family, left);
        let Some(inside) = piece.and(cube) else { return };
        let mut rest = vec![inside];
        for skip in self.bypasses(entry, target, &rest[0]) {
            let skip = &self.entries[skip as usize].cube;
            let mut next = Vec::new();
            for r in &rest {
                if r.minus_into(skip, self.family, &mut next)
                    && let Some(back) = r.and(skip)
                {
                    left.push(back);
                }
            }
            rest = next;
        }
    }

    /// Whether a packet of the region gets to `target` (an entry number; the region should lie in its cube).
    pub(super) fn reach(&self, target: u32, region: Vec<Cube>, steps: &mut usize) -> Result<Reached, GaveUp> {
        let mut pieces = region;
        let mut blockers: Vec<u32> = Vec::new();
        let mut sample = Sampler::new(target);
        while let Some(piece) = pieces.pop() {
            step(steps)?;
            let packet = sample.packet(&piece, self);
            match self.blocker(&packet, target) {
                None => {
                    // The same piece may have a packet that people find more likely.
                    let likely = plausible(&piece, self.family);
                    let best = if self.blocker(&likely, target).is_none() { likely } else { packet };
                    return Ok(Reached::Yes(Box::new(best)));
                }
                Some(e) => {
                    if !blockers.contains(&e) {
                        blockers.push(e);
                    }
                    self.take_away(&piece, e, target, &mut pieces);
                }
            }
        }
        blockers.sort_unstable();
        Ok(Reached::No(blockers))
    }

    /// All packets of the region that get to `target`, as disjoint cubes.
    pub(super) fn effective(&self, target: u32, region: Vec<Cube>, steps: &mut usize) -> Result<Vec<Cube>, GaveUp> {
        let mut pieces = region;
        let mut out = Vec::new();
        let mut sample = Sampler::new(target);
        while let Some(piece) = pieces.pop() {
            step(steps)?;
            let packet = sample.packet(&piece, self);
            if let Some(e) = self.blocker(&packet, target) {
                self.take_away(&piece, e, target, &mut pieces);
                continue;
            }
            match self.cutting(&piece, target) {
                None => out.push(piece),
                Some(e) => {
                    let cube = &self.entries[e as usize].cube;
                    piece.minus_into(cube, self.family, &mut pieces);
                    pieces.extend(piece.and(cube));
                }
            }
        }
        Ok(out)
    }

    /// An entry before `target` whose cube cuts the piece in two, and which could keep packets from `target` or lead them there. Where there is
    /// none, all packets of the piece meet the same entries, so that one of them speaks for all.
    fn cutting(&self, piece: &Cube, target: u32) -> Option<u32> {
        let mut best: Option<u32> = None;
        self.index.overlapping(piece, 0, target, &mut |e| {
            let cube = &self.entries[e as usize].cube;
            if best.is_none_or(|b| e < b) && cube.overlaps(piece) && !piece.is_subset(cube) {
                best = Some(e);
            }
        });
        best
    }

    /// Entries in `from..to` that overlap the piece, ascending.
    pub(super) fn overlapping(&self, piece: &Cube, from: u32, to: u32) -> Vec<u32> {
        let mut found = Vec::new();
        self.index.overlapping(piece, from, to, &mut |e| {
            if self.entries[e as usize].cube.overlaps(piece) {
                found.push(e);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }
}

pub(super) fn step(steps: &mut usize) -> Result<(), GaveUp> {
    *steps += 1;
    if *steps > STEPS { Err(GaveUp) } else { Ok(()) }
}

/// Picks packets of cubes: pseudo-random (systematic choices, such as always the first address, are what rulesets are full of special
/// cases for), but the same ones in every run.
pub(super) struct Sampler {
    state: u64,
}

impl Sampler {
    pub(super) fn new(seed: u32) -> Sampler {
        Sampler { state: 0x9e37_79b9_7f4a_7c15 ^ (u64::from(seed) << 17) }
    }

    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn wide(&mut self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }

    /// A number below `n`, or any number for 0.
    fn below(&mut self, n: u128) -> u128 {
        if n == 0 { self.wide() } else { self.wide() % n }
    }

    pub(super) fn packet(&mut self, cube: &Cube, program: &Program) -> Packet {
        let mut packet = Packet::zero();
        let mut dims = cube.dims().iter().peekable();
        for &field in crate::packets::Field::ALL {
            let dim = Dim::field(field);
            let value = match dims.next_if(|d| d.0 == dim) {
                Some((_, set)) => {
                    let list = set.intervals();
                    let (lo, hi) = list[self.below(list.len() as u128) as usize];
                    lo + self.below((hi - lo).wrapping_add(1))
                }
                None => match field.max(program.family) {
                    u128::MAX => self.wide(),
                    max => self.below(max + 1),
                },
            };
            packet.set(field, value);
        }
        for (dim, set) in dims {
            if let Some(c) = dim.as_condition() {
                packet.set_condition(c, !set.contains(0));
            }
        }
        packet
    }
}
