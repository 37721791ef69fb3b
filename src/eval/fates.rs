//! Which rules are live, which are shadowed and by whom, and which change nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cells::{Cells, Instead};
use super::flow::Variants;
use super::program::{Act, Line, Program};
use super::solve::{Budget, GaveUp, Reached, Sampler};
use super::{Analysis, Limit};
use crate::model::{Action, Chain, ChainId};
use crate::packets::{Cube, Packet};

/// What becomes of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Some packet gets to it and is treated differently because of it.
    Live,
    /// No packet gets to it: these lines, alone or together, take them all before.
    Shadowed(Vec<Line>),
    /// Packets get to it, but without it each would be treated the same: by these lines.
    Redundant(Vec<Line>),
    /// It matches no packet that can come this way (a contradiction in its conditions, or in those of its callers).
    Empty,
    /// Its chain hangs on no hook and is called from nowhere that does.
    Uncalled,
    /// The search was given up at its bound.
    Undecided,
}

#[derive(Default)]
struct Sum {
    called: bool,
    seen: bool,
    live: bool,
    matters: bool,
    undecided: bool,
    blockers: BTreeSet<Line>,
    instead: BTreeSet<Line>,
}

/// A group of entries (one written rule at one place), or a mark.
struct Place {
    line: u32,
    target: u32,
    after: u32,
    what: What,
}

/// Where the cubes of a place stand.
#[derive(Clone, Copy)]
enum What {
    /// Entries from the place's target up to this one, exclusive. They do the same.
    Entries(u32),
    /// A mark.
    Mark(usize),
}

/// The fate of every rule of a device, by chain and rule, over all ways and both families.
pub fn fates(analysis: &Analysis<'_>) -> Result<BTreeMap<Line, Fate>, Limit> {
    let none = |c: &Chain| c.rules.iter().map(|_| Sum::default()).collect();
    let mut sums = Sums(analysis.device.chains.iter().map(none).collect());
    for (way, family) in analysis.used_ways() {
        let variants = Variants::for_fates(analysis, way, family)?;
        for variant in variants.all() {
            judge(&variant.program, &variant.regions, &mut sums);
        }
    }
    let mut out = Vec::new();
    for (c, chain) in analysis.device.chains.iter().enumerate() {
        for (r, rule) in chain.rules.iter().enumerate().filter(|(_, r)| r.enabled) {
            let line = Line { chain: ChainId(c as u32), rule: Some(r as u32) };
            let fate = match sums.of(line).map(std::mem::take) {
                None => Fate::Uncalled,
                Some(s) if !s.called => Fate::Uncalled,
                Some(s) if s.matters => Fate::Live,
                Some(s) if s.undecided => Fate::Undecided,
                Some(s) if s.live && can_be_redundant(&rule.action) => Fate::Redundant(s.instead.into_iter().collect()),
                Some(s) if s.live => Fate::Live,
                Some(s) if !s.seen => Fate::Empty,
                Some(s) => Fate::Shadowed(s.blockers.into_iter().collect()),
            };
            out.push((line, fate));
        }
    }
    Ok(out.into_iter().collect())
}

fn can_be_redundant(action: &Action) -> bool {
    matches!(action, Action::Accept | Action::Drop | Action::Reject(_) | Action::Return)
}

/// What is known so far of each rule, by chain and rule.
struct Sums(Vec<Vec<Sum>>);

impl Sums {
    fn of(&mut self, line: Line) -> Option<&mut Sum> {
        self.0.get_mut(line.chain.0 as usize)?.get_mut(line.rule? as usize)
    }
}

fn judge(program: &Program, regions: &[Cube], sums: &mut Sums) {
    let mut places: Vec<Place> = Vec::new();
    for (i, entry) in program.entries.iter().enumerate() {
        match places.last_mut() {
            Some(p) if p.line == entry.line && p.after == entry.after => p.what = What::Entries(i as u32 + 1),
            _ => {
                places.push(Place { line: entry.line, target: i as u32, after: entry.after, what: What::Entries(i as u32 + 1) });
            }
        }
    }
    let marks = program.marks.iter().enumerate();
    places.extend(marks.map(|(i, m)| Place { line: m.line, target: m.at, after: m.at, what: What::Mark(i) }));
    places.retain(|p| program.lines[p.line as usize].rule.is_some());
    places.retain(|p| !sums.of(program.lines[p.line as usize]).is_some_and(|s| s.matters));
    for (place, answer) in places.iter().zip(answers(program, regions, &places)) {
        let Some(sum) = sums.of(program.lines[place.line as usize]) else { continue };
        sum.called = true;
        match answer {
            Answer::Nothing => {}
            Answer::Blocked(by) => {
                sum.seen = true;
                sum.blockers.extend(by.into_iter().map(|l| program.lines[l as usize]));
            }
            Answer::Same(by) => {
                sum.seen = true;
                sum.live = true;
                sum.instead.extend(by.into_iter().map(|l| program.lines[l as usize]));
            }
            Answer::Matters => {
                sum.seen = true;
                sum.live = true;
                sum.matters = true;
            }
            Answer::GaveUp => {
                sum.seen = true;
                sum.undecided = true;
            }
        }
    }
}

/// Places that one thread takes at a time.
const CHUNK: usize = 512;

/// The answers for all places, in their order. Threads of our own: a thread of the pool that waits for others would begin another check meanwhile,
/// and that might wait for these very answers.
fn answers(program: &Program, regions: &[Cube], places: &[Place]) -> Vec<Answer> {
    let all = |places: &[Place]| places.iter().map(|p| answer(program, regions, p)).collect::<Vec<_>>();
    let threads = rayon::current_num_threads().min(places.len() / CHUNK);
    if threads < 2 {
        return all(places);
    }
    let next = AtomicUsize::new(0);
    let done: Vec<OnceLock<Vec<Answer>>> = places.chunks(CHUNK).map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(cell), Some(chunk)) = (done.get(i), places.chunks(CHUNK).nth(i)) else { break };
                    cell.get_or_init(|| all(chunk));
                }
            });
        }
    });
    done.into_iter().filter_map(OnceLock::into_inner).flatten().collect()
}

enum Answer {
    /// No packet of the place can occur at all.
    Nothing,
    /// Lines that take all packets.
    Blocked(Vec<u32>),
    /// Packets get there, but are treated as without the rule, by these lines.
    Same(Vec<u32>),
    /// A packet gets there and is treated differently.
    Matters,
    GaveUp,
}

fn answer(program: &Program, regions: &[Cube], place: &Place) -> Answer {
    let within = |c: &Cube| regions.iter().filter(|r| r.overlaps(c)).filter_map(|r| r.and(c)).collect::<Vec<Cube>>();
    let region: Vec<Cube> = match place.what {
        What::Entries(end) => (place.target..end).flat_map(|e| within(&program.entries[e as usize].cube)).collect(),
        What::Mark(m) => program.marks[m].cubes.iter().flat_map(within).collect(),
    };
    if region.is_empty() {
        return Answer::Nothing;
    }
    match program.meets(place.target, &region) {
        Err(GaveUp) => Answer::GaveUp,
        Ok(Reached::No(blockers)) => Answer::Blocked(blame(program, &region, &blockers)),
        Ok(Reached::Yes(_)) => match place.what {
            What::Mark(_) => Answer::Matters,
            What::Entries(_) => match instead(program, place, place.target, region) {
                Err(GaveUp) => Answer::GaveUp,
                Ok(None) => Answer::Matters,
                Ok(Some(by)) => Answer::Same(by),
            },
        },
    }
}

/// The fewest lines to blame among the entries that took the region's packets: one alone if it suffices, else those that
/// cannot be left out.
fn blame(program: &Program, region: &[Cube], blockers: &[u32]) -> Vec<u32> {
    let line = |e: &u32| program.entries[*e as usize].line;
    if let Some(one) = blockers.iter().find(|e| region.iter().all(|r| r.is_subset(&program.entries[**e as usize].cube))) {
        return vec![line(one)];
    }
    let mut lines: Vec<u32> = blockers.iter().map(line).collect();
    lines.sort_unstable();
    lines.dedup();
    if lines.len() > 16 {
        return lines;
    }
    let mut needed = lines.clone();
    for l in lines.iter().rev() {
        let without: Vec<u32> = needed.iter().copied().filter(|n| n != l).collect();
        let cubes = blockers.iter().filter(|e| without.contains(&line(e))).map(|e| &program.entries[*e as usize].cube);
        if covered(region, cubes, program) {
            needed = without;
        }
    }
    needed
}

fn covered<'c>(region: &[Cube], cubes: impl Iterator<Item = &'c Cube>, program: &Program) -> bool {
    let mut rest = region.to_vec();
    for cube in cubes {
        let mut next = Vec::new();
        for piece in &rest {
            piece.minus_into(cube, program.family, &mut next);
        }
        if next.len() > 2000 {
            return false;
        }
        rest = next;
    }
    rest.is_empty()
}

/// Whether every packet that gets to the place would be treated the same without it; then by which lines.
fn instead(program: &Program, place: &Place, entry: u32, region: Vec<Cube>) -> Result<Option<Vec<u32>>, GaveUp> {
    let act = program.entries[entry as usize].act;
    if matches!(act, Act::Divert(_) | Act::Elsewhere) {
        return Ok(None);
    }
    match instead_by_packets(program, place, act, region.clone(), &mut Budget(program.patience)) {
        Err(GaveUp) => {
            let rule = Instead { line: place.line, target: place.target, after: place.after, act };
            let by = Cells::instead(program, &rule, region)?;
            Ok(by.map(|by| by.into_iter().map(|e| program.entries[e as usize].line).collect::<BTreeSet<u32>>().into_iter().collect()))
        }
        done => done,
    }
}

fn instead_by_packets(
    program: &Program,
    place: &Place,
    act: Act,
    region: Vec<Cube>,
    budget: &mut Budget,
) -> Result<Option<Vec<u32>>, GaveUp> {
    let mut pieces = region;
    let mut lines = BTreeSet::new();
    let mut sample = Sampler::new(place.target ^ 0x5555);
    while let Some(piece) = pieces.pop() {
        budget.spend(1)?;
        let packet = sample.packet(&piece, program);
        if let Some(e) = program.blocker(&packet, place.target) {
            program.take_away(&piece, e, place.target, &mut pieces, budget)?;
            continue;
        }
        if let Act::Skip(to) = act
            && converges(program, place, to, &piece, &packet, &mut pieces, &mut lines)
        {
            continue;
        }
        // With the rule, and without it.
        let (with, with_end) = match act {
            Act::Skip(to) => {
                let path = program.path(&packet, to);
                let end = path.last().map_or(act, |e| program.entries[*e as usize].act);
                (Some((to, path)), end)
            }
            _ => (None, act),
        };
        let path = program.path_without(&packet, place.after, place.line);
        let Some(last) = path.last().copied() else { return Ok(None) };
        let end = program.entries[last as usize].act;
        if std::mem::discriminant(&end) != std::mem::discriminant(&with_end) || (matches!(end, Act::Divert(_)) && end != with_end) {
            return Ok(None);
        }
        lines.insert(program.entries[last as usize].line);
        // The packets around this one that meet the same entries both ways.
        let mut same = piece.clone();
        let ways = 1 + usize::from(with.is_some());
        let paths = with.iter().map(|(from, p)| (*from, p)).chain([(place.after, &path)]);
        for e in paths.clone().flat_map(|(_, p)| p.iter()) {
            match same.and(&program.entries[*e as usize].cube) {
                Some(narrower) => same = narrower,
                None => return Err(GaveUp),
            }
        }
        piece.minus_into(&same, program.family, &mut pieces);
        // Where other entries lie over these, packets may meet them instead: those parts are looked at on their own. (They may overlap each
        // other, which costs time but no truth. The first entries are looked at first: they are the likeliest to be met.)
        let mut parts = Vec::new();
        for (without, (from, p)) in paths.enumerate().map(|(i, p)| (i + 1 == ways, p)) {
            let mut at = from;
            for &e in p {
                for k in program.overlapping(&same, at, e) {
                    let other = &program.entries[k as usize];
                    if other.act == end || (without && other.line == place.line) {
                        continue;
                    }
                    budget.spend(1)?;
                    parts.extend(same.and(&other.cube));
                }
                if let Act::Skip(to) = program.entries[e as usize].act {
                    at = to;
                }
            }
        }
        pieces.extend(parts.into_iter().rev());
    }
    Ok(Some(lines.into_iter().collect()))
}

/// A rule that skips to `to` changes nothing for a packet that gets there without it too, whatever comes after. If the packet is such a one,
/// removes from `piece` those like it; what is left goes to `pieces`.
fn converges(
    program: &Program,
    place: &Place,
    to: u32,
    piece: &Cube,
    packet: &Packet,
    pieces: &mut Vec<Cube>,
    lines: &mut BTreeSet<u32>,
) -> bool {
    let entry = |e: u32| &program.entries[e as usize];
    let next = program.path_without(packet, place.after, place.line).first().copied().filter(|e| *e < to);
    let (same, end) = match next {
        None => (piece.clone(), to),
        Some(e) if entry(e).act == Act::Skip(to) => {
            let Some(same) = piece.and(&entry(e).cube) else { return false };
            piece.minus_into(&same, program.family, pieces);
            lines.insert(entry(e).line);
            (same, e)
        }
        Some(_) => return false,
    };
    let others = program.overlapping(&same, place.after, end).into_iter().map(entry);
    let others = others.filter(|o| o.line != place.line && o.act != Act::Skip(to));
    let parts: Vec<Cube> = others.filter_map(|o| same.and(&o.cube)).collect();
    pieces.extend(parts.into_iter().rev());
    true
}
