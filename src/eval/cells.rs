//! The second method, for clusters of rules in which counterexamples do not get anywhere.
//!
//! The region is cut into cells until each is decided as a whole. An entry that covers a cell settles it; entries that cover it in all dimensions but
//! one are taken out of it at once, by narrowing that dimension (a cell is a product of arbitrary sets, so this costs no piece); skips that a whole cell
//! takes make everything they jump over irrelevant. Only what is left is cut, at the median edge of the dimension in which most entries cover the
//! cell partly. A cell is always a part of the region, so that a packet of an open cell is a witness as it stands.
//!
//! Cutting ends, since every cut lies on an edge of an entry's set; a cell without an edge in it is decided. The answers are exact. The work is
//! bounded all the same (the problem is hard in the number of dimensions), and who runs into the bound says so.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::program::{Act, Program};
use super::solve::{GaveUp, Reached, Sampler};
use crate::net::Ranges;
use crate::packets::{Cube, Dim, Packet, plausible};

/// Entries that one search looks at, each cell's counted anew.
const WORK: usize = 40_000_000;

/// Cells that the packets which get to an entry may be cut into.
const CELLS: usize = 200_000;

/// How an entry lies over a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cover {
    /// It holds all packets of the cell.
    Whole,
    /// It would, but for this dimension.
    AllBut(Dim),
    /// In several dimensions it holds a part.
    Part,
}

/// How `theirs` lies over `cell`; `None` if they share no packet.
fn cover(cell: &Cube, theirs: &Cube) -> Option<Cover> {
    let mut out = Cover::Whole;
    let mut mine = cell.dims().iter().peekable();
    for (dim, set) in theirs.dims() {
        while mine.next_if(|m| m.0 < *dim).is_some() {}
        let whole = match mine.peek() {
            Some((d, m)) if d == dim => {
                if !m.overlaps(set) {
                    return None;
                }
                m.is_subset(set)
            }
            _ => false,
        };
        if !whole {
            out = if out == Cover::Whole { Cover::AllBut(*dim) } else { Cover::Part };
        }
    }
    Some(out)
}

/// A cell that waits, with the entries that lay over the cell it was cut from.
struct Waiting {
    cell: Cube,
    list: Rc<Vec<u32>>,
}

/// What is known of a cell after one look.
enum Look {
    /// Settled: nothing of it is of interest any more.
    Settled,
    /// Some of it was taken away: look again.
    Narrowed(Box<Cube>),
    /// It must be cut, if it is not open.
    Mixed,
}

/// The entries over a cell, with how they lie.
type Over = Vec<(u32, Cover)>;

/// One search.
pub(super) struct Cells<'p> {
    program: &'p Program,
    work: usize,
    waiting: Vec<Waiting>,
    /// Entries that settled cells, or parts of them.
    used: Vec<u32>,
}

/// What a redundant rule's packets would meet in its stead.
pub(super) struct Instead {
    /// The rule's line.
    pub line: u32,
    /// Before which entry its packets stand.
    pub target: u32,
    /// The first entry after it.
    pub after: u32,
    /// What it does.
    pub act: Act,
}

impl<'p> Cells<'p> {
    fn new(program: &'p Program, region: Vec<Cube>, to: u32) -> Cells<'p> {
        let waiting = region.into_iter().map(|cell| Waiting { list: Rc::new(program.overlapping(&cell, 0, to)), cell }).collect();
        Cells { program, work: 0, waiting, used: Vec::new() }
    }

    /// The entries of a waiting cell's list that lie over it.
    fn over(&mut self, waiting: &Waiting) -> Result<Over, GaveUp> {
        self.work += 1 + waiting.list.len();
        if self.work > WORK {
            return Err(GaveUp);
        }
        let entries = &self.program.entries;
        Ok(waiting.list.iter().filter_map(|e| Some((*e, cover(&waiting.cell, &entries[*e as usize].cube)?))).collect())
    }

    /// Looks at what lies before `target`: takes from the cell what does not get there.
    fn before(&mut self, cell: &Cube, over: &mut Over, target: u32) -> Look {
        let entries = &self.program.entries;
        // Up to where every packet of the cell is past, and how far some may have skipped.
        let (mut past, mut farthest) = (0, 0);
        let mut taken: BTreeMap<Dim, Vec<(u128, u128)>> = BTreeMap::new();
        let mut only_way: Option<(u32, u32)> = None;
        let mut ways = 0usize;
        let mut kept = Vec::with_capacity(over.len());
        for &(e, how) in over.iter() {
            if e >= target {
                kept.push((e, how));
                continue;
            }
            if e < past {
                continue;
            }
            let certain = farthest <= e;
            match entries[e as usize].act {
                Act::Skip(to) if to <= target => {
                    if certain && how == Cover::Whole {
                        past = to;
                    }
                    if certain {
                        ways = 0;
                    }
                    ways += 1;
                    only_way = Some((e, to));
                    farthest = farthest.max(to);
                }
                _ => match how {
                    Cover::Whole if certain => {
                        self.used.push(e);
                        return Look::Settled;
                    }
                    Cover::AllBut(dim) if certain => {
                        self.used.push(e);
                        if let Some(set) = entries[e as usize].cube.get(dim) {
                            taken.entry(dim).or_default().extend_from_slice(set.intervals());
                        }
                        continue;
                    }
                    // Only packets of the one skip that jumps over it get by.
                    Cover::Whole if ways == 1 => {
                        if let Some((skip, to)) = only_way
                            && to > e
                            && taken.is_empty()
                        {
                            self.used.push(e);
                            return cell.and(&entries[skip as usize].cube).map_or(Look::Settled, |c| Look::Narrowed(Box::new(c)));
                        }
                    }
                    _ => {}
                },
            }
            kept.push((e, how));
        }
        *over = kept;
        self.narrow(cell, taken)
    }

    /// The cell without the values in each dimension.
    fn narrow(&self, cell: &Cube, taken: BTreeMap<Dim, Vec<(u128, u128)>>) -> Look {
        if taken.is_empty() {
            return Look::Mixed;
        }
        let family = self.program.family;
        let mut narrower = cell.clone();
        for (dim, values) in taken {
            let left = Ranges::from_intervals(values).complement(dim.top(family));
            match narrower.with(dim, &left, family) {
                Some(n) => narrower = n,
                None => return Look::Settled,
            }
        }
        Look::Narrowed(Box::new(narrower))
    }

    /// Cuts a cell in two and lets both wait.
    fn cut(&mut self, cell: &Cube, over: &Over) -> Result<(), GaveUp> {
        let family = self.program.family;
        let entries = &self.program.entries;
        let bounds = |dim: Dim| match cell.get(dim) {
            Some(set) => (set.min().unwrap_or(0), set.max().unwrap_or(0)),
            None => (0, dim.top(family)),
        };
        // How many entries cover the cell partly in each dimension.
        let mut busy: BTreeMap<Dim, usize> = BTreeMap::new();
        let partial = |dim: Dim, set: &Ranges| cell.get(dim).is_none_or(|mine| !mine.is_subset(set));
        for (e, how) in over {
            if *how != Cover::Whole {
                for (dim, set) in entries[*e as usize].cube.dims() {
                    if partial(*dim, set) {
                        *busy.entry(*dim).or_default() += 1;
                    }
                }
            }
        }
        let Some((&dim, _)) = busy.iter().max_by_key(|(d, n)| (**n, std::cmp::Reverse(**d))) else { return Err(GaveUp) };
        let (min, max) = bounds(dim);
        let mut edges: Vec<u128> = Vec::new();
        for (e, how) in over {
            if *how == Cover::Whole {
                continue;
            }
            let Some(set) = entries[*e as usize].cube.get(dim) else { continue };
            for &(lo, hi) in set.intervals() {
                if lo > min && lo <= max {
                    edges.push(lo);
                }
                if hi >= min && hi < max {
                    edges.push(hi + 1);
                }
            }
        }
        if edges.is_empty() {
            return Err(GaveUp);
        }
        let middle = edges.len() / 2;
        let (_, at, _) = edges.select_nth_unstable(middle);
        let at = *at;
        let list = Rc::new(over.iter().map(|o| o.0).collect::<Vec<u32>>());
        for part in [Ranges::interval(at, max), Ranges::interval(min, at - 1)] {
            if let Some(cell) = cell.with(dim, &part, family) {
                self.waiting.push(Waiting { cell, list: list.clone() });
            }
        }
        Ok(())
    }

    fn wait(&mut self, cell: Cube, over: &Over) {
        let list = Rc::new(over.iter().map(|o| o.0).collect());
        self.waiting.push(Waiting { cell, list });
    }

    fn used(mut self) -> Vec<u32> {
        self.used.sort_unstable();
        self.used.dedup();
        self.used
    }

    /// Whether a packet of the region gets to `target`.
    pub(super) fn reach(program: &'p Program, target: u32, region: Vec<Cube>) -> Result<Reached, GaveUp> {
        let mut search = Cells::new(program, region, target);
        let mut sample = Sampler::new(target);
        while let Some(waiting) = search.waiting.pop() {
            let mut over = search.over(&waiting)?;
            match search.before(&waiting.cell, &mut over, target) {
                Look::Settled => {}
                Look::Narrowed(cell) => search.wait(*cell, &over),
                Look::Mixed => {
                    let packet = sample.packet(&waiting.cell, program);
                    if program.blocker(&packet, target).is_none() {
                        let likely = plausible(&waiting.cell, program.family);
                        let best = if program.blocker(&likely, target).is_none() { likely } else { packet };
                        return Ok(Reached::Yes(Box::new(best)));
                    }
                    search.cut(&waiting.cell, &over)?;
                }
            }
        }
        Ok(Reached::No(search.used()))
    }

    /// All packets of the region that get to `target`, as disjoint cubes, if those of the region are.
    pub(super) fn effective(program: &'p Program, target: u32, region: Vec<Cube>) -> Result<Vec<Cube>, GaveUp> {
        let mut search = Cells::new(program, region, target);
        let mut out = Vec::new();
        while let Some(waiting) = search.waiting.pop() {
            let mut over = search.over(&waiting)?;
            match search.before(&waiting.cell, &mut over, target) {
                Look::Settled => {}
                Look::Narrowed(cell) => search.wait(*cell, &over),
                Look::Mixed => {
                    let blocks = |act: Act| !matches!(act, Act::Skip(to) if to <= target);
                    if over.iter().any(|(e, _)| blocks(program.entries[*e as usize].act)) {
                        search.cut(&waiting.cell, &over)?;
                    } else {
                        out.push(waiting.cell);
                        if out.len() > CELLS {
                            return Err(GaveUp);
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// Whether every packet of the region that gets to the rule would be treated the same without it; then the entries that would do it.
    pub(super) fn instead(program: &'p Program, rule: &Instead, region: Vec<Cube>) -> Result<Option<Vec<u32>>, GaveUp> {
        let mut search = Cells::new(program, region, program.entries.len() as u32);
        let mut sample = Sampler::new(rule.target ^ 0x5555);
        let mut by = Vec::new();
        while let Some(waiting) = search.waiting.pop() {
            let mut over = search.over(&waiting)?;
            over.retain(|(e, _)| *e < rule.target || (*e >= rule.after && program.entries[*e as usize].line != rule.line));
            match search.before(&waiting.cell, &mut over, rule.target) {
                Look::Settled => continue,
                Look::Narrowed(cell) => {
                    search.wait(*cell, &over);
                    continue;
                }
                Look::Mixed => {}
            }
            match after(program, &waiting.cell, &over, rule, &mut by) {
                Look::Settled => continue,
                Look::Narrowed(cell) => {
                    search.wait(*cell, &over);
                    continue;
                }
                Look::Mixed => {}
            }
            let packet = sample.packet(&waiting.cell, program);
            if program.blocker(&packet, rule.target).is_none() && differs(program, rule, &packet) {
                return Ok(None);
            }
            search.cut(&waiting.cell, &over)?;
        }
        by.sort_unstable();
        by.dedup();
        Ok(Some(by))
    }
}

/// Whether the packet, which gets to the rule, ends otherwise without it.
fn differs(program: &Program, rule: &Instead, packet: &Packet) -> bool {
    let end = |path: &[u32]| path.last().map(|e| program.entries[*e as usize].act);
    let with = match rule.act {
        Act::Skip(to) => end(&program.path(packet, to)),
        act => Some(act),
    };
    with.is_none() || with != end(&program.path_without(packet, rule.after, rule.line))
}

/// Looks at what a cell's packets meet after the rule.
fn after(program: &Program, cell: &Cube, over: &Over, rule: &Instead, by: &mut Vec<u32>) -> Look {
    let act = |e: u32| program.entries[e as usize].act;
    if let Act::Skip(to) = rule.act {
        // They come to where the rule sends them, if nothing else on the way decides.
        let mut farthest = rule.after;
        let mut met = false;
        for &(e, how) in over.iter().filter(|(e, _)| *e >= rule.after && *e < to) {
            match act(e) {
                Act::Skip(t) if t <= to => {
                    if how == Cover::Whole && farthest <= e && t == to {
                        by.push(e);
                        return Look::Settled;
                    }
                    farthest = farthest.max(t);
                }
                _ => {
                    met = true;
                    break;
                }
            }
        }
        if !met {
            return Look::Settled;
        }
    }
    let with = match rule.act {
        Act::Skip(to) => end_of(program, over, to).map(act),
        act => Some(act),
    };
    if let (Some(with), Some(e)) = (with, end_of(program, over, rule.after))
        && act(e) == with
    {
        by.push(e);
        return Look::Settled;
    }
    if matches!(rule.act, Act::Skip(_)) {
        return Look::Mixed;
    }
    // Entries that do the same before any that does not: what they hold in one dimension is settled.
    let mut farthest = rule.after;
    let mut taken: Option<(Dim, Vec<(u128, u128)>)> = None;
    for &(e, how) in over.iter().filter(|(e, _)| *e >= rule.after) {
        match (act(e), how) {
            (Act::Skip(to), _) => farthest = farthest.max(to),
            (a, _) if a != rule.act => break,
            (_, Cover::AllBut(dim)) if farthest <= e => {
                let set = program.entries[e as usize].cube.get(dim).map_or(&[][..], Ranges::intervals);
                match &mut taken {
                    Some((d, values)) if *d == dim => values.extend_from_slice(set),
                    Some(_) => continue,
                    None => taken = Some((dim, set.to_vec())),
                }
                by.push(e);
            }
            _ => {}
        }
    }
    let Some((dim, values)) = taken else { return Look::Mixed };
    let left = Ranges::from_intervals(values).complement(dim.top(program.family));
    cell.with(dim, &left, program.family).map_or(Look::Settled, |c| Look::Narrowed(Box::new(c)))
}

/// The entry behind which no packet of a cell gets from `from` on, if all that may decide before it do the same.
fn end_of(program: &Program, over: &Over, from: u32) -> Option<u32> {
    let (mut past, mut farthest) = (from, from);
    let mut all = None;
    for &(e, how) in over.iter().filter(|(e, _)| *e >= from) {
        if e < past {
            continue;
        }
        let certain = farthest <= e;
        match program.entries[e as usize].act {
            Act::Skip(to) => {
                if certain && how == Cover::Whole {
                    past = to;
                }
                farthest = farthest.max(to);
            }
            act if all.is_some_and(|a| a != act) => return None,
            act => {
                all = Some(act);
                if certain && how == Cover::Whole {
                    return Some(e);
                }
            }
        }
    }
    None
}
