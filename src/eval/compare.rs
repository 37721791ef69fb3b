//! What two versions of a device treat differently: the packets that one accepts and the other does not, exactly.
//!
//! Where the programs of both have an entry in common (aligned by the longest common subsequence), a packet that no other entry holds goes the
//! same way through both. So only the packets of entries that have no partner are asked about, however long the rest is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::flow::{Passing, Query, Want, passing};
use super::plain::opening;
use super::program::{Act, Divert};
use super::walk::{Outcome, walk_given};
use super::{Analysis, Limit, Line, Program, Purpose, Way};
use crate::model::{Action, Device, NamePattern};
use crate::net::{Family, Ranges};
use crate::packets::{Cube, Dim, Field, Packet, header_space, plausible};
use crate::source::Limits;

/// Programs after changes of the packet that are compared at most.
const PROGRAMS: usize = 1024;
/// Regions that are cut so as not to overlap at most: more of them are asked about as they are.
const CUT: usize = 256;

/// Two versions of a device, with the names of both as the same numbers.
pub struct Pair<'a> {
    /// The old one.
    pub old: Analysis<'a>,
    /// The new one.
    pub new: Analysis<'a>,
    /// Conditions of both by text, as numbers of the old one or beyond.
    conditions: [Vec<u32>; 2],
    texts: Vec<String>,
    /// What is delivered to the device itself differs.
    moved: bool,
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// The old version.
    Old,
    /// The new version.
    New,
}

/// What became of packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Turn {
    /// The new version lets them through, the old one does not.
    Allowed,
    /// The old version lets them through, the new one does not.
    Denied,
    /// Both let them through, with other addresses or ports.
    Translated,
}

impl Turn {
    /// As a word of JSON.
    pub fn name(self) -> &'static str {
        match self {
            Turn::Allowed => "allowed",
            Turn::Denied => "denied",
            Turn::Translated => "translated",
        }
    }
}

/// Packets that are treated differently.
#[derive(Clone, Debug)]
pub struct Change {
    /// What became of them.
    pub turn: Turn,
    /// The packets, as they arrive. Interfaces are numbers of the new version; conditions those of [`Pair::condition`].
    pub packets: Cube,
    /// The line that decided about them in the old version, and the one that does in the new; none where they go another way: to the device
    /// itself instead of through it, or the other way round.
    pub lines: [Option<Line>; 2],
    /// One of them, if a walk through both versions confirms it.
    pub witness: Option<Packet>,
    /// Whether they are is certain: no opaque condition, and no translation to something unknown, is involved.
    pub certain: bool,
}

/// What differs on one way.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The packets. Empty: no packet is treated differently.
    pub packets: Vec<Change>,
    /// The lines that have no partner in the other version, and match some packet.
    pub lines: BTreeSet<(Side, Line)>,
}

impl<'a> Pair<'a> {
    /// Prepares two versions. `interfaces`: names that questions will use besides theirs.
    pub fn new(old: &'a Device, new: &'a Device, interfaces: &[NamePattern], limits: &Limits) -> Pair<'a> {
        let mut names: Vec<NamePattern> = interfaces.to_vec();
        for device in [old, new] {
            names.extend(Analysis::new(device, interfaces, limits).space.names().iter().cloned());
        }
        let (old, new) = (Analysis::new(old, &names, limits), Analysis::new(new, &names, limits));
        let mut texts: Vec<String> = Vec::new();
        let mut index: HashMap<String, u32> = HashMap::new();
        let mut numbered = |analysis: &Analysis<'_>| -> Vec<u32> {
            let mut numbers = Vec::new();
            for id in 0..analysis.space.condition_count() as u32 {
                let text = analysis.space.condition(id).0;
                let number = *index.entry(text.to_owned()).or_insert_with(|| {
                    texts.push(text.to_owned());
                    texts.len() as u32 - 1
                });
                numbers.push(number);
            }
            numbers
        };
        let conditions = [numbered(&old), numbered(&new)];
        let moved = !old.space.delivers_alike(&new.space);
        Pair { old, new, conditions, texts, moved }
    }

    /// The text of a condition of a change.
    pub fn condition(&self, id: u32) -> &str {
        self.texts.get(id as usize).map_or("", String::as_str)
    }

    fn side(&self, side: Side) -> &Analysis<'a> {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }

    /// A cube of one side with the conditions as numbers of both.
    fn shared(&self, cube: &Cube, side: Side, family: Family) -> Cube {
        if !cube.has_conditions() {
            return cube.clone();
        }
        let map = &self.conditions[side as usize];
        let mut out = cube.without_conditions();
        for (dim, set) in cube.dims() {
            let Some(id) = dim.as_condition() else { continue };
            let id = map.get(id as usize).copied().unwrap_or(u32::MAX / 2);
            out.narrow(Dim::condition(id), set, family);
        }
        out
    }

    /// What differs on a way. Where a device may read what a later fragment carries as a transport header, later fragments are left out.
    ///
    /// # Errors
    /// A bound of the analysis was hit.
    pub fn changes(&self, way: Way, family: Family) -> Result<Changes, Limit> {
        let purpose = Purpose { all_chains: true, ..Purpose::default() };
        let programs = [self.old.program(way, family, purpose, None)?, self.new.program(way, family, purpose, None)?];
        let mut out = Changes::default();
        let mut work = Work { pair: self, way, family, purpose, done: BTreeMap::new(), lines: BTreeSet::new(), count: 0 };
        let mut regions = work.regions([&programs[0], &programs[1]])?;
        out.lines = work.lines;
        if self.moved {
            regions = vec![Cube::any()];
        }
        if regions.is_empty() {
            return Ok(out);
        }
        // What an opaque condition makes of a packet is asked for both answers.
        let mut regions = disjoint(regions.iter().map(Cube::without_conditions).collect(), family);
        if self.old.space.reads_fragments() || self.new.space.reads_fragments() {
            // What a later fragment happens to carry says nothing about a policy.
            regions.retain_mut(|c| c.narrow(Dim::field(Field::Fragment), &Ranges::interval(0, 1), family));
        }
        let sets = |side: Side, want| -> Result<Vec<Passing>, Limit> {
            passing(self.side(side), Query::new(way, family, want), &regions, &[Cube::any()])
        };
        let [old_yes, old_no] = [sets(Side::Old, Want::Accepted)?, sets(Side::Old, Want::Blocked)?];
        let [new_yes, new_no] = [sets(Side::New, Want::Accepted)?, sets(Side::New, Want::Blocked)?];
        let ask = Ask { pair: self, way, family };
        for a in &new_yes {
            out.packets.extend(ask.lost((a, Side::New), &old_yes, &old_no));
        }
        for a in &old_yes {
            out.packets.extend(ask.lost((a, Side::Old), &new_yes, &new_no));
            out.packets.extend(ask.translated(a, &new_yes));
        }
        Ok(out)
    }

    /// How packets are translated on their way, rule by rule.
    fn translations(&self, passing: &Passing, side: Side) -> Vec<String> {
        let device = self.side(side).device;
        let rule = |l: &Line| device.chains.get(l.chain.0 as usize)?.rules.get(l.rule? as usize);
        let translation = |l: &Line| match &rule(l)?.action {
            Action::Nat(t) => Some(format!("{t:?}")),
            _ => None,
        };
        passing.via.iter().filter_map(translation).collect()
    }

    /// A packet of a box of which a walk through either version says that it is treated so.
    pub fn witness(&self, packets: &Cube, turn: Turn, way: Way, family: Family) -> Option<Packet> {
        // A packet that opens a connection says most.
        let opened: Vec<Cube> = packets.and(&opening(family)).into_iter().collect();
        let order = opened.iter().chain([packets]);
        for cube in order.flat_map(|p| header_space(family).into_iter().filter_map(move |s| p.and(&s))) {
            let packet = plausible(&cube.without_conditions(), family);
            let given = |side: Side| -> Vec<(u32, bool)> {
                let map = &self.conditions[side as usize];
                let asked = |n: u32| cube.get(Dim::condition(n)).and_then(Ranges::as_single).map(|v| v == 1);
                (0..map.len() as u32).filter_map(|id| asked(map[id as usize]).map(|holds| (id, holds))).collect()
            };
            let passes = |side: Side| {
                let walked = walk_given(self.side(side), (way, family), &packet, &given(side), None, false);
                match walked.verdict {
                    Outcome::Accept => Some(true),
                    Outcome::Drop | Outcome::Reject => Some(false),
                    _ => None,
                }
            };
            if passes(Side::Old) == Some(turn != Turn::Allowed) && passes(Side::New) == Some(turn != Turn::Denied) {
                return Some(packet);
            }
        }
        None
    }
}

/// A question about one way.
struct Ask<'p, 'a> {
    pair: &'p Pair<'a>,
    way: Way,
    family: Family,
}

impl Ask<'_, '_> {
    fn of(&self, passing: &Passing, side: Side) -> Cube {
        self.pair.shared(&passing.arriving, side, self.family)
    }

    /// What passes on one side and not on the other: refused there, or sent another way.
    fn lost(&self, (passing, side): (&Passing, Side), yes: &[Passing], no: &[Passing]) -> Vec<Change> {
        let (other, turn) = if side == Side::Old { (Side::New, Turn::Denied) } else { (Side::Old, Turn::Allowed) };
        let mine = self.of(passing, side);
        let occurring = self.pair.side(other).space.occurring(self.way, self.family);
        let mut rest: Vec<Cube> = occurring.iter().filter_map(|o| mine.and(o)).collect();
        for passes in yes {
            let passes = self.of(passes, other);
            rest = rest.iter().flat_map(|c| c.minus(&passes, self.family)).collect();
            if rest.is_empty() {
                return Vec::new();
            }
        }
        // By the line that refuses them; what no line refuses goes another way.
        let mut out = Vec::new();
        for refusing in no {
            let refused = self.of(refusing, other);
            let (inside, outside): (Vec<_>, Vec<_>) = rest.iter().map(|c| (c.and(&refused), c.minus(&refused, self.family))).unzip();
            let lines =
                if side == Side::Old { [Some(passing.line), Some(refusing.line)] } else { [Some(refusing.line), Some(passing.line)] };
            let certain = passing.certain && refusing.certain;
            out.extend(inside.into_iter().flatten().map(|packets| self.change(turn, packets, lines, certain)));
            rest = outside.into_iter().flatten().collect();
        }
        let lines = if side == Side::Old { [Some(passing.line), None] } else { [None, Some(passing.line)] };
        out.extend(rest.into_iter().map(|packets| self.change(turn, packets, lines, passing.certain)));
        out
    }

    /// What passes on both sides, changed otherwise.
    fn translated(&self, old: &Passing, new_yes: &[Passing]) -> Vec<Change> {
        let becomes = self.pair.translations(old, Side::Old);
        let mine = self.of(old, Side::Old);
        let mut out = Vec::new();
        for new in new_yes {
            if let Some(packets) = mine.and(&self.of(new, Side::New))
                && becomes != self.pair.translations(new, Side::New)
            {
                let line = |p: &Passing| Some(p.via.last().copied().unwrap_or(p.line));
                out.push(self.change(Turn::Translated, packets, [line(old), line(new)], old.certain && new.certain));
            }
        }
        out
    }

    fn change(&self, turn: Turn, packets: Cube, lines: [Option<Line>; 2], certain: bool) -> Change {
        let witness = self.pair.witness(&packets, turn, self.way, self.family);
        let certain = certain && !packets.has_conditions() && witness.is_some();
        Change { turn, packets, lines, witness, certain }
    }
}

/// The same packets without overlaps, as far as that is little work.
fn disjoint(cubes: Vec<Cube>, family: Family) -> Vec<Cube> {
    if cubes.len() > CUT {
        return cubes;
    }
    let mut out: Vec<Cube> = Vec::new();
    for cube in cubes {
        let mut rest = vec![cube];
        for known in &out {
            rest = rest.iter().flat_map(|c| c.minus(known, family)).collect();
        }
        out.extend(rest);
    }
    out
}

/// Finding entries without a partner.
struct Work<'p, 'a> {
    pair: &'p Pair<'a>,
    way: Way,
    family: Family,
    purpose: Purpose,
    /// Pairs of programs after a change of the packet: whether they differ.
    done: BTreeMap<(String, String), bool>,
    lines: BTreeSet<(Side, Line)>,
    count: usize,
}

impl Work<'_, '_> {
    /// The packets of entries that have no partner.
    fn regions(&mut self, [old, new]: [&Program; 2]) -> Result<Vec<Cube>, Limit> {
        let keys = [self.keys(old, Side::Old), self.keys(new, Side::New)];
        let numbers = numbered(&keys);
        let ops = capture_diff_slices(Algorithm::Myers, &numbers[0], &numbers[1]);
        // For each entry the place of its partner.
        let mut partner: Vec<Option<u32>> = vec![None; old.entries.len()];
        let mut has: Vec<bool> = vec![false; new.entries.len()];
        for op in ops {
            if let DiffOp::Equal { old_index, new_index, len } = op {
                for k in 0..len {
                    partner[old_index + k] = Some((new_index + k) as u32);
                    has[new_index + k] = true;
                }
            }
        }
        let next = [following(&partner.iter().map(Option::is_some).collect::<Vec<_>>()), following(&has)];
        let mut out = Vec::new();
        for (i, entry) in old.entries.iter().enumerate() {
            let Some(j) = partner[i] else {
                self.lines.insert((Side::Old, old.lines[entry.line as usize]));
                out.push(self.pair.shared(&entry.cube, Side::Old, self.family));
                continue;
            };
            let other = &new.entries[j as usize];
            let same = match (entry.act, other.act) {
                // The next partner from where they go on must be the same.
                (Act::Skip(a), Act::Skip(b)) => {
                    let target = next[0].get(a as usize).copied().flatten().and_then(|k| partner[k as usize]);
                    target == next[1].get(b as usize).copied().flatten()
                }
                (Act::Divert(a), Act::Divert(b)) => self.alike([&old.diverts[a as usize], &new.diverts[b as usize]])?,
                _ => true,
            };
            if !same {
                out.push(self.pair.shared(&entry.cube, Side::Old, self.family));
            }
        }
        for (_, entry) in new.entries.iter().enumerate().filter(|(j, _)| !has[*j]) {
            self.lines.insert((Side::New, new.lines[entry.line as usize]));
            out.push(self.pair.shared(&entry.cube, Side::New, self.family));
        }
        Ok(out)
    }

    /// Whether what comes after two changes of the packet is alike.
    fn alike(&mut self, [old, new]: [&Divert; 2]) -> Result<bool, Limit> {
        let key = (old.then.key(), new.then.key());
        if let Some(known) = self.done.get(&key) {
            return Ok(*known);
        }
        self.count += 1;
        if self.count > PROGRAMS {
            return Err(Limit(format!("rules change packets in more than {PROGRAMS} ways")));
        }
        // Whoever comes back here while it is being found out asks about the same pair: it is alike unless something else differs.
        self.done.insert(key.clone(), true);
        let programs = [
            self.pair.old.program(self.way, self.family, self.purpose, Some(&old.then))?,
            self.pair.new.program(self.way, self.family, self.purpose, Some(&new.then))?,
        ];
        let alike = self.regions([&programs[0], &programs[1]])?.is_empty();
        self.done.insert(key, alike);
        Ok(alike)
    }

    /// What must be equal in a partner.
    fn keys(&self, program: &Program, side: Side) -> Vec<(Cube, u8, String)> {
        let key = |e: &super::program::Entry| {
            let (kind, text) = match e.act {
                Act::Accept => (0, String::new()),
                Act::Drop => (1, String::new()),
                Act::Reject => (2, String::new()),
                Act::Elsewhere => (3, String::new()),
                Act::Skip(_) => (4, String::new()),
                Act::Divert(d) => {
                    let divert = &program.diverts[d as usize];
                    (5, format!("{:?} {:?}", divert.effects, divert.translation))
                }
            };
            (self.pair.shared(&e.cube, side, self.family), kind, text)
        };
        program.entries.iter().map(key).collect()
    }
}

/// Equal keys as equal numbers.
fn numbered(keys: &[Vec<(Cube, u8, String)>; 2]) -> [Vec<u32>; 2] {
    let mut index: HashMap<&(Cube, u8, String), u32> = HashMap::new();
    let mut out = [Vec::new(), Vec::new()];
    for (list, numbers) in keys.iter().zip(&mut out) {
        for key in list {
            let next = index.len() as u32;
            numbers.push(*index.entry(key).or_insert(next));
        }
    }
    out
}

/// For each place, and the one past the end, the first place from there on that has a partner.
fn following(has: &[bool]) -> Vec<Option<u32>> {
    let mut out = vec![None; has.len() + 1];
    for i in (0..has.len()).rev() {
        out[i] = if has[i] { Some(i as u32) } else { out[i + 1] };
    }
    out
}
