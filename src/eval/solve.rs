//! Who decides about a packet; whether a packet of a region gets to an entry; and which packets do.
//!
//! The method is counterexample-guided subtraction: take a packet of the region and look who decides about it. If it gets where
//! it should, it is the proof. If an earlier entry takes it, the packets of that entry are subtracted from the region, and what
//! is left is searched on. An entry takes a packet only if no skip before it jumps over it: those pieces go back to the region.
//! Every step removes at least one cell of the arrangement of all cubes, so the search ends, and its answer is exact. Where it takes
//! too many steps, [`Cells`] decides the same question another way.

use smallvec::SmallVec;

use super::cells::Cells;
use super::program::{Act, Program};
use crate::packets::{Cube, Dim, Packet, plausible};

/// Steps after which a search goes over to cells.
pub(super) const PATIENCE: usize = 1_000;

/// A search was given up: too many steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GaveUp;

/// How many steps a search may still take.
pub(super) struct Budget(pub usize);

impl Budget {
    /// Takes `n` steps.
    pub(super) fn spend(&mut self, n: usize) -> Result<(), GaveUp> {
        self.0 = self.0.checked_sub(n).ok_or(GaveUp)?;
        Ok(())
    }
}

/// What a search came to.
#[derive(Debug)]
pub(super) enum Reached {
    /// A packet of the region that gets there.
    Yes(Box<Packet>),
    /// No packet of the region gets there; the entries that take them, each overlapping the region.
    No(Vec<u32>),
}

impl Program {
    /// The entries that a packet meets from `from` on, the deciding one last.
    pub fn path(&self, packet: &Packet, from: u32) -> SmallVec<[u32; 4]> {
        self.path_without(packet, from, u32::MAX)
    }

    /// As [`Program::path`], in a program without the line.
    pub(super) fn path_without(&self, packet: &Packet, from: u32, line: u32) -> SmallVec<[u32; 4]> {
        let mut path = SmallVec::new();
        let mut at = from;
        let end = self.entries.len() as u32;
        while at < end {
            let e = self.index.stab(packet, at, end, &mut |e| {
                let entry = &self.entries[e as usize];
                entry.line != line && entry.cube.contains(packet)
            });
            if e >= end {
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
    pub(super) fn take_away(&self, piece: &Cube, entry: u32, target: u32, left: &mut Vec<Cube>, budget: &mut Budget) -> Result<(), GaveUp> {
        budget.spend(1)?;
        let cube = &self.entries[entry as usize].cube;
        piece.minus_into(cube, self.family, left);
        let Some(inside) = piece.and(cube) else { return Ok(()) };
        let mut taken = vec![inside];
        for skip in self.bypasses(entry, target, &taken[0]) {
            // What the skip takes before it gets to `entry` goes around it. (A skip out of a called chain may itself be jumped over by a
            // return from that chain.)
            let mut past = Vec::new();
            for piece in &taken {
                self.take_away(piece, skip, entry, &mut past, budget)?;
            }
            budget.spend((taken.len() * past.len()) / 8)?;
            for piece in &taken {
                let mut around = vec![piece.clone()];
                for p in past.iter().filter(|p| p.overlaps(piece)) {
                    around = around.iter().flat_map(|a| a.minus(p, self.family)).collect();
                }
                left.extend(around);
            }
            taken = past;
        }
        Ok(())
    }

    /// Whether a packet of the region gets to `target` (an entry number; the region should lie in its cube).
    pub(super) fn reach(&self, target: u32, region: &[Cube]) -> Result<Reached, GaveUp> {
        match self.reach_by_packets(target, region, true, &mut Budget(self.patience)) {
            Err(GaveUp) => Cells::reach(self, target, region.to_vec()),
            done => done,
        }
    }

    /// As [`Program::reach`], with any packet at all.
    pub(super) fn meets(&self, target: u32, region: &[Cube]) -> Result<Reached, GaveUp> {
        match self.reach_by_packets(target, region, false, &mut Budget(self.patience)) {
            Err(GaveUp) => Cells::reach(self, target, region.to_vec()),
            done => done,
        }
    }

    fn reach_by_packets(&self, target: u32, region: &[Cube], likely: bool, budget: &mut Budget) -> Result<Reached, GaveUp> {
        let mut pieces = region.to_vec();
        let mut blockers: Vec<u32> = Vec::new();
        let mut sample = Sampler::new(target);
        while let Some(piece) = pieces.pop() {
            budget.spend(1)?;
            let packet = sample.packet(&piece, self);
            match self.blocker(&packet, target) {
                None => {
                    if !likely {
                        return Ok(Reached::Yes(Box::new(packet)));
                    }
                    // The same piece may have a packet that people find more likely.
                    let likely = plausible(&piece, self.family);
                    let best = if self.blocker(&likely, target).is_none() { likely } else { packet };
                    return Ok(Reached::Yes(Box::new(best)));
                }
                Some(e) => {
                    if !blockers.contains(&e) {
                        blockers.push(e);
                    }
                    self.take_away(&piece, e, target, &mut pieces, budget)?;
                }
            }
        }
        blockers.sort_unstable();
        Ok(Reached::No(blockers))
    }

    /// All packets of the region (disjoint cubes) that get to `target`, as disjoint cubes.
    pub(super) fn effective(&self, target: u32, region: &[Cube]) -> Result<Vec<Cube>, GaveUp> {
        match self.effective_within(target, region, &mut Budget(self.patience.saturating_mul(20))) {
            Err(GaveUp) => Cells::effective(self, target, region.to_vec()),
            done => done,
        }
    }

    /// As [`Program::effective`], in a few steps or not at all.
    pub(super) fn effective_within(&self, target: u32, region: &[Cube], budget: &mut Budget) -> Result<Vec<Cube>, GaveUp> {
        let mut pieces = region.to_vec();
        let mut out = Vec::new();
        let mut sample = Sampler::new(target);
        while let Some(piece) = pieces.pop() {
            budget.spend(1)?;
            let packet = sample.packet(&piece, self);
            if let Some(e) = self.blocker(&packet, target) {
                self.take_away(&piece, e, target, &mut pieces, budget)?;
                continue;
            }
            // The packets around this one that take the same skips, and meet nothing else on the way.
            let path = self.skips_to(&packet, target);
            let mut same = Some(piece.clone());
            for e in &path {
                same = same.and_then(|s| s.and(&self.entries[*e as usize].cube));
            }
            let Some(same) = same else { return Err(GaveUp) };
            if !path.is_empty() {
                piece.minus_into(&same, self.family, &mut pieces);
            }
            let mut rest = vec![same.clone()];
            let mut at = 0;
            for stop in path.iter().copied().chain([target]) {
                for k in self.overlapping(&same, at, stop) {
                    self.split(&mut rest, k, target, &mut pieces);
                    // Each piece that is left costs a look.
                    budget.spend(1 + rest.len() / 16)?;
                }
                if let Some(Act::Skip(to)) = self.entries.get(stop as usize).map(|e| e.act)
                    && stop != target
                {
                    at = to;
                }
            }
            out.extend(rest);
        }
        Ok(out)
    }

    /// The skips that a packet takes on its way to `target`, which it is known to get to.
    fn skips_to(&self, packet: &Packet, target: u32) -> SmallVec<[u32; 4]> {
        let mut path = SmallVec::new();
        let mut at = 0;
        while at < target {
            let e = self.index.stab(packet, at, target, &mut |e| self.entries[e as usize].cube.contains(packet));
            match self.entries.get(e as usize).map(|entry| entry.act) {
                Some(Act::Skip(to)) if e < target => {
                    path.push(e);
                    at = to;
                }
                _ => break,
            }
        }
        path
    }

    /// Takes the packets of entry `k` out of `rest`. Those that may still get to `target` another way (by a skip of `k`, or around it)
    /// go to `back`.
    fn split(&self, rest: &mut Vec<Cube>, k: u32, target: u32, back: &mut Vec<Cube>) {
        let entry = &self.entries[k as usize];
        let may_pass = matches!(entry.act, Act::Skip(to) if to <= target);
        let mut next = Vec::with_capacity(rest.len());
        for piece in rest.drain(..) {
            if piece.minus_into(&entry.cube, self.family, &mut next)
                && let Some(inside) = piece.and(&entry.cube)
                && (may_pass || !self.bypasses(k, target, &inside).is_empty())
            {
                back.push(inside);
            }
        }
        *rest = next;
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
        match u64::try_from(n) {
            Ok(0) => self.wide(),
            Ok(1) => 0,
            // The upper half of a product: as evenly spread as is needed here, and much faster than a division.
            Ok(n) => (u128::from(self.next()) * u128::from(n)) >> 64,
            Err(_) => self.wide() % n,
        }
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
                // What no entry asks for makes no difference.
                None if !program.matched[field as usize] => continue,
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
