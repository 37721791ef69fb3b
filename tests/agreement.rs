//! The packet sets and the walk of single packets agree on real rulesets: those of the samples, and those of the corpus where it is there.
//! `FWPROOF_PACKETS` says how many packets each file gets (1,000 without).
#![allow(missing_docs, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use fwproof::eval::flow::{Query, Want, passing};
use fwproof::eval::walk::{Outcome, walk};
use fwproof::eval::{Analysis, Space};
use fwproof::model::{Match, SetValue};
use fwproof::net::Family;
use fwproof::packets::{Cube, Field, Packet, header_space};
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

/// Compares on one file; returns how many packets.
fn compare(path: &Path, packets: usize) -> usize {
    let Ok(bytes) = std::fs::read(path) else { return 0 };
    let file = SourceFile::new(FileId(0), path.to_string_lossy(), &bytes);
    let Some((format, _)) = vendors::detect(&file).into_iter().next() else { return 0 };
    let reading = format.read_file(&file);
    if !reading.device.has_filter() {
        return 0;
    }
    let analysis = Analysis::new(&reading.device, &[], &Limits::default());
    let ways = analysis.used_ways();
    let mut random = Random(packets as u64);
    let mut compared = 0;
    for (way, family) in &ways {
        let any = [Cube::any()];
        let sets =
            [Want::Accepted, Want::Blocked].map(|w| passing(&analysis, Query::new(*way, *family, w), &any, &any).expect("within bounds"));
        let edges = edges(&analysis, *family);
        let occurring = analysis.space.occurring(*way, *family);
        assert!(!header_space(*family).is_empty());
        for _ in 0..packets.div_ceil(ways.len()) {
            let mut p = packet(&mut random, &edges, &occurring, *family);
            for c in 0..analysis.space.condition_count() as u32 {
                p.set_condition(c, random.next().is_multiple_of(2));
            }
            let walked = walk(&analysis, *way, *family, &p, Some(p.conditions()), None, false).verdict;
            if walked == Outcome::Unknown {
                continue;
            }
            let [accepted, blocked] = sets.each_ref().map(|s| s.iter().filter(|b| b.certain && b.arriving.contains(&p)).count());
            if accepted + blocked == 0 {
                // On another way, or changed in a way that is not known exactly.
                continue;
            }
            assert_eq!(accepted > 0, walked == Outcome::Accept, "{}: {way:?} {family:?} {p:?}", path.display());
            compared += 1;
        }
    }
    compared
}

fn rulesets(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { rulesets(&path, out) } else { out.push(path) }
    }
}

fn run(folders: &[PathBuf]) {
    let packets = std::env::var("FWPROOF_PACKETS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let mut files = Vec::new();
    folders.iter().for_each(|f| rulesets(f, &mut files));
    // The whole of everything that a large ruleset accepts is large: those are compared where it is asked for.
    let most = if std::env::var_os("FWPROOF_PACKETS").is_some() { u64::MAX } else { 3000 };
    files.retain(|f| f.metadata().is_ok_and(|m| m.len() <= most));
    let counts: Vec<usize> = files.iter().map(|f| compare(f, packets)).filter(|n| *n > 0).collect();
    eprintln!("{} packets on {} rulesets: the sets and the walk agree", counts.iter().sum::<usize>(), counts.len());
    assert!(!counts.is_empty());
}

#[test]
fn packet_sets_and_single_packets_agree_on_the_samples() {
    run(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")]);
}

#[test]
fn packet_sets_and_single_packets_agree_on_the_corpus() {
    let corpus =
        std::env::var_os("FWPROOF_CORPUS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    if !corpus.is_dir() {
        eprintln!("SKIPPED: no corpus of real files");
        return;
    }
    run(&[corpus.join("iptables"), corpus.join("nftables")]);
}
