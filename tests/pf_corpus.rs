//! Reads the real pf files of the development corpus, where it is there (`FWPROOF_CORPUS`, else `../shared/corpus`), and compares each input of
//! pfctl's regression tests with what pfctl prints of it (`.ok`, `.loaded`, `.optimized`): both must treat packets alike.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::eval::Analysis;
use fwproof::eval::trace::read_packet;
use fwproof::eval::walk::walk;
use fwproof::model::{Device, Match};
use fwproof::net::{Family, to_ip};
use fwproof::packets::Field;
use fwproof::source::{FileId, Limits, SourceFile};
use fwproof::vendors::{self, Reader, Reading};
use serde_json::{Value, json};

fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("FWPROOF_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    if !path.join("SOURCES.md").is_file() {
        eprintln!("SKIPPED: no corpus at {} (set FWPROOF_CORPUS)", path.display());
        return None;
    }
    Some(path.join("pf"))
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

fn read(path: &Path) -> (SourceFile, Reading) {
    read_after("", path)
}

/// Reads a file as if it began with `head`.
fn read_after(head: &str, path: &Path) -> (SourceFile, Reading) {
    let load = |path: &Path, id: u32| SourceFile::new(FileId(id), path.to_string_lossy(), &std::fs::read(path).unwrap_or_default());
    let own = [head.as_bytes(), &std::fs::read(path).unwrap_or_default()].concat();
    let own = SourceFile::new(FileId(0), path.to_string_lossy(), &own);
    let beside: Vec<(String, SourceFile)> = (vendors::format("pf").unwrap().includes.unwrap())(&own)
        .into_iter()
        .enumerate()
        .map(|(i, (name, _))| (name.clone(), load(&path.with_file_name(name), i as u32 + 1)))
        .collect();
    let limits = Limits::default();
    let get = |id: FileId| if id.0 == 0 { &own } else { &beside[id.0 as usize - 1].1 };
    let resolve = |_: FileId, name: &str| beside.iter().filter(|(n, _)| n == name).map(|(_, f)| f.id).collect();
    let mut reader = Reader::new(&own, &limits, &get, &resolve);
    (vendors::format("pf").unwrap().read)(&mut reader);
    let reading = reader.finish();
    (own, reading)
}

/// Files that are configurations or lists of pfctl: not the logs of another program, and not pfctl's complaints.
fn is_pf(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let complaint = name.starts_with("pfail") && !name.ends_with(".in");
    !complaint
        && name != "Makefile"
        && [".conf", ".in", ".ok", ".loaded", ".optimized", ".ref", ".include"].iter().any(|e| name.ends_with(e))
}

#[test]
fn every_corpus_file_is_read_and_no_line_of_a_rule_is_not_recognised() {
    let Some(corpus) = corpus() else { return };
    let mut all = Vec::new();
    files(&corpus, &mut all);
    let mut total: BTreeMap<LineState, usize> = BTreeMap::new();
    let (mut read_files, mut rules) = (0, 0);
    for path in all.iter().filter(|p| is_pf(p)) {
        let (file, reading) = read(path);
        let found = vendors::detect(&file);
        assert_eq!(found.first().map(|(f, _)| f.id), Some("pf"), "{}", path.display());
        assert_eq!(found.iter().filter(|(_, d)| d.confidence == found[0].1.confidence).count(), 1, "{}", path.display());
        read_files += 1;
        rules += reading.device.chains.iter().map(|c| c.rules.len()).sum::<usize>();
        // pfctl itself calls line 3 of this one a syntax error.
        let refused = path.ends_with("pfail4.in");
        for (i, state) in reading.lines[&FileId(0)].iter().enumerate() {
            *total.entry(*state).or_default() += 1;
            assert!(*state != LineState::Unrecognised || (refused && i == 2), "{}:{}: {}", path.display(), i + 1, file.line(i));
        }
        if std::env::var_os("FWPROOF_NOTES").is_some() {
            for n in &reading.notes {
                println!("{}:{}: {:?} {}", path.display(), file.place(n.span.start).line, n.state, n.text);
            }
        }
    }
    println!("{read_files} files, {rules} rules: {total:?}");
    assert!(read_files > 60);
}

/// Values at the edges of what a device's rules mention, as JSON packets have them.
#[derive(Default)]
struct Edges {
    interfaces: Vec<String>,
    addresses: [Vec<u128>; 2],
    ports: Vec<u16>,
    protocols: Vec<u8>,
}

impl Edges {
    fn add(&mut self, device: &Device) {
        for rule in device.chains.iter().flat_map(|c| &c.rules) {
            rule.matcher.walk(&mut |m| match m {
                Match::Interface(_, p) => self.interfaces.push(p.name.clone()),
                Match::Address(_, family, set) => {
                    let list = &mut self.addresses[usize::from(*family == Family::V6)];
                    for (lo, hi) in set.intervals().iter().take(20) {
                        list.extend([*lo, *hi, lo.saturating_sub(1), hi.saturating_add(1).min(family.max_address())]);
                    }
                }
                Match::Field(Field::Sport | Field::Dport, set) => {
                    for (lo, hi) in set.intervals().iter().take(20) {
                        self.ports.extend([*lo, *hi, lo.saturating_sub(1), (hi + 1).min(65535)].map(|p| p.min(65535) as u16));
                    }
                }
                Match::Field(Field::Proto, set) if set.count() < 10 => self.protocols.extend(set.min().map(|p| p as u8)),
                _ => {}
            });
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    fn of<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        if list.is_empty() { None } else { list.get(self.next() % list.len()) }
    }
}

fn packet(random: &mut Random, edges: &Edges) -> Value {
    let family = if random.next().is_multiple_of(4) { Family::V6 } else { Family::V4 };
    let list = &edges.addresses[usize::from(family == Family::V6)];
    let mut address = || {
        let n = if random.next().is_multiple_of(5) { None } else { random.of(list).copied() };
        to_ip(family, n.unwrap_or(random.next() as u128)).to_string()
    };
    let (src, dst) = (address(), address());
    let interface = |random: &mut Random| random.of(&edges.interfaces).filter(|n| !n.is_empty()).cloned().unwrap_or("zz9".into());
    let hook = ["input", "output", "forward"][random.next() % 3];
    let proto = match random.next() % 3 {
        0 => random.of(&edges.protocols).copied().unwrap_or(6),
        1 => 6,
        _ => [17, 1, 58, 50][random.next() % 4],
    };
    let mut port = || random.of(&edges.ports).copied().unwrap_or(random.next() as u16);
    let (sport, dport) = (port(), port());
    let flags = ["S", "S", "S", "A", "SA", "SF", "F"][random.next() % 7];
    let icmp_type = [0, 3, 8, 128, 1][random.next() % 5];
    let icmp_code = random.next() % 3;
    let mut p = json!({"hook": hook, "src": src, "dst": dst, "proto": proto, "sport": sport, "dport": dport, "tcp_flags": flags,
        "icmp_type": icmp_type, "icmp_code": icmp_code});
    if hook != "output" {
        p["iif"] = json!(interface(random));
    }
    if hook != "input" {
        p["oif"] = json!(interface(random));
    }
    p
}

/// Conditions that hold: by their text, so that they are the same for both. pfctl prints users and groups by number.
fn conditions(analysis: &Analysis<'_>, seed: usize) -> Vec<u32> {
    let holds = |id: &u32| {
        let text = analysis.space.condition(*id).0.replace("user root", "user 0").replace("group sshd", "group 27");
        let text = text.replace(|c: char| c.is_ascii_digit() && text.contains("line"), "");
        let hash = text.bytes().fold(seed, |h, b| h.wrapping_mul(31).wrapping_add(usize::from(b)));
        (hash / 7).is_multiple_of(2)
    };
    (0..analysis.space.condition_count() as u32).filter(holds).collect()
}

/// A comment, which pfctl does not print: what follows is all there is, not a list that leaves things out.
const WHOLE: &str = "# all there is\n";

#[test]
fn an_input_of_pfctl_and_what_pfctl_prints_of_it_treat_packets_alike() {
    let Some(corpus) = corpus() else { return };
    let mut all = Vec::new();
    files(&corpus, &mut all);
    let (mut pairs, mut compared) = (0, BTreeMap::<&str, usize>::new());
    for path in all.iter().filter(|p| p.extension().is_some_and(|e| e == "in") && is_pf(p)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("pfail") {
            continue;
        }
        let (file, input) = read_after(WHOLE, path);
        let translates = file.text.lines().any(|l| ["nat", "rdr", "binat"].iter().any(|w| l.starts_with(w)));
        for end in ["ok", "loaded", "optimized"] {
            let other = path.with_extension(end);
            // `pfctl -sr`, by which the latter two are made, prints no translation rules.
            if !other.exists() || (translates && end != "ok") {
                continue;
            }
            let (_, output) = read_after(WHOLE, &other);
            let mut edges = Edges::default();
            edges.add(&input.device);
            edges.add(&output.device);
            let [one, two] = [&input.device, &output.device].map(|d| Analysis::new(d, &[], &Limits::default()));
            let mut random = Random(name.len() as u64);
            pairs += 1;
            for _ in 0..2000 {
                let json = packet(&mut random, &edges);
                let seed = random.next();
                let [a, b] = [&one, &two].map(|analysis| {
                    let (way, family, packet) = read_packet(&json, &analysis.space).expect("a packet");
                    let known = conditions(analysis, seed);
                    walk(analysis, way, family, &packet, Some(&known), None, false).verdict.name()
                });
                assert_eq!(a, b, "{} and {}: {json}", path.display(), other.display());
                *compared.entry(a).or_default() += 1;
            }
        }
    }
    println!("{pairs} pairs, packets by verdict: {compared:?}");
    assert!(pairs >= 30, "{pairs}");
}
