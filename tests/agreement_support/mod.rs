//! Compares the packet sets with the walk of single packets, on one ruleset.

use std::path::{Path, PathBuf};

use fwproof::eval::flow::{Query, Want, passing};
use fwproof::eval::walk::{Outcome, walk};
use fwproof::eval::{Analysis, Space};
use fwproof::model::{Match, SetValue};
use fwproof::net::{Family, Ranges};
use fwproof::packets::{Cube, Dim, Field, Packet};
use fwproof::source::{FileId, Limits, SourceFile};
use fwproof::vendors;

/// SplitMix64: the same packets in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u128 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(z ^ (z >> 31))
    }

    fn of<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.next() as usize % list.len()]
    }
}

/// Values on and beside every edge that the rules of a device mention, for each field.
fn edges(analysis: &Analysis<'_>, family: Family) -> Vec<Vec<u128>> {
    let mut values = vec![Vec::new(); Field::ALL.len()];
    let mut add = |field: Field, lo: u128, hi: u128| {
        let max = field.max(family);
        values[field as usize].extend([lo, hi, lo.saturating_sub(1), hi.saturating_add(1)].into_iter().filter(|v| *v <= max));
    };
    for rule in analysis.device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| match m {
            Match::Field(f, set) => set.intervals().iter().take(50).for_each(|(lo, hi)| add(*f, *lo, *hi)),
            Match::Address(f, fam, set) if *fam == family => set.intervals().iter().take(50).for_each(|(lo, hi)| add(*f, *lo, *hi)),
            Match::Interface(d, p) => {
                analysis.space.interfaces(p).intervals().iter().for_each(|(lo, hi)| add(Space::direction_field(*d), *lo, *hi));
            }
            _ => {}
        });
    }
    for value in analysis.device.sets.iter().flat_map(|s| &s.elements).flat_map(|e| &e.values) {
        match value {
            SetValue::Address(fam, set) if *fam == family => {
                for f in [Field::Src, Field::Dst] {
                    set.intervals().iter().take(4).for_each(|(lo, hi)| add(f, *lo, *hi));
                }
            }
            SetValue::Number(set) => set.intervals().iter().take(4).for_each(|(lo, hi)| add(Field::Dport, *lo, *hi)),
            _ => {}
        }
    }
    values
}

/// A packet that can occur, with values at the edges of the rules more often than not.
fn packet(random: &mut Random, edges: &[Vec<u128>], occurring: &[Cube], family: Family) -> Packet {
    let cube = random.of(occurring).clone();
    let mut p = Packet::zero();
    for &field in Field::ALL {
        let list = &edges[field as usize];
        let edge = (!list.is_empty() && !random.next().is_multiple_of(4)).then(|| *random.of(list));
        let allowed = cube.field(field);
        let free = match allowed {
            None => (random.next() << 64 | random.next()) % field.max(family).saturating_add(1).max(1),
            Some(set) => {
                let (lo, hi) = *random.of(set.intervals());
                lo + (random.next() << 64 | random.next()) % (hi - lo).saturating_add(1)
            }
        };
        p.set(field, edge.filter(|e| allowed.is_none_or(|s| s.contains(*e))).unwrap_or(free));
    }
    p
}

/// The packet, and others around it: those that differ from it in some fields.
fn around(random: &mut Random, packet: &Packet, conditions: u32, family: Family) -> Cube {
    let mut cube = Cube::any();
    let free = random.next() as u64 & random.next() as u64 & random.next() as u64;
    // Of many independent conditions, all valuations are too many.
    let open = [(); 2].map(|()| random.next() as u32 % conditions.max(1));
    let fields = Field::ALL.iter().map(|f| Dim::field(*f));
    for dim in fields.chain((0..conditions).map(Dim::condition)) {
        let fixed = match (dim.as_field(), dim.as_condition()) {
            (Some(field), _) => free >> field as u32 & 1 == 0,
            (None, condition) => condition.is_none_or(|c| !open.contains(&c)),
        };
        if fixed {
            cube.narrow(dim, &Ranges::single(packet.get(dim)), family);
        }
    }
    cube
}

/// What came of one ruleset.
#[derive(Default)]
pub struct Compared {
    /// Packets about which both said the same.
    pub packets: usize,
    /// Those of them that pass.
    pub accepted: usize,
    /// Packets about which the sets say nothing, since they take another way or are changed to what is not known exactly, or
    /// the walk was given up.
    pub open: usize,
    /// Searches that were given up at a bound.
    pub given_up: usize,
    /// What they did not agree about.
    pub disagreements: Vec<String>,
}

/// Compares on one file with so many packets; `None` if it is no ruleset.
pub fn compare(path: &Path, packets: usize) -> Option<Compared> {
    let bytes = std::fs::read(path).ok()?;
    let file = SourceFile::new(FileId(0), path.to_string_lossy(), &bytes);
    let (format, _) = vendors::detect(&file).into_iter().next()?;
    let mut reading = format.read_file(&file);
    reading.device.settle_marks();
    if !reading.device.has_filter() {
        return None;
    }
    let analysis = Analysis::new(&reading.device, &[], &Limits::default());
    let ways = analysis.used_ways();
    let mut random = Random(packets as u64);
    let mut out = Compared::default();
    let conditions = analysis.space.condition_count() as u32;
    for (w, (way, family)) in ways.iter().enumerate() {
        let edges = edges(&analysis, *family);
        let occurring = analysis.space.occurring(*way, *family);
        // As many as asked for, if twice as many are enough to find them.
        let wanted = packets * (w + 1) / ways.len();
        for _ in 0..2 * packets.div_ceil(ways.len()) {
            if out.packets >= wanted {
                break;
            }
            let mut p = packet(&mut random, &edges, &occurring, *family);
            for c in 0..conditions {
                p.set_condition(c, random.next().is_multiple_of(2));
            }
            let walked = walk(&analysis, *way, *family, &p, Some(p.conditions()), None, false).verdict;
            let region = [around(&mut random, &p, conditions, *family)];
            let sets = [Want::Accepted, Want::Blocked].map(|w| passing(&analysis, Query::new(*way, *family, w), &region, &[Cube::any()]));
            let [Ok(accepted), Ok(blocked)] = &sets else {
                out.given_up += 1;
                continue;
            };
            let [accepted, blocked] = [accepted, blocked].map(|s| s.iter().filter(|b| b.certain && b.arriving.contains(&p)).count());
            if walked == Outcome::Unknown || accepted + blocked == 0 {
                out.open += 1;
                continue;
            }
            if accepted + blocked > 1 || (accepted > 0) != (walked == Outcome::Accept) {
                out.disagreements.push(format!("{}: {way:?} {family:?} {walked:?} {accepted} {blocked} {p:?}", path.display()));
            }
            out.packets += 1;
            out.accepted += accepted;
        }
    }
    Some(out)
}

/// All files below a folder, in order.
pub fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    if folder.is_file() {
        return out.push(folder.to_owned());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        files(&path, out);
    }
}
