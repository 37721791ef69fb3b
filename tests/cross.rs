//! One intent, many formats: what is written in `tests/cross/<intent>/<format>/` must let exactly those packets pass that `intent.yaml` says, in
//! every format; and the twin in `wrong/` must differ in the packet that is named there.
//!
//! Compared are packets that open a connection: TCP with SYN alone, UDP, echo requests, ESP and GRE; whole, unmarked, between the
//! addresses and interfaces that the intent names, and not from or to port 0. What firewalls do with other packets by themselves differs, and is no part of an intent.
#![allow(missing_docs, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fwproof::checks::services::service_ports;
use fwproof::eval::flow::{Query, Want, passing};
use fwproof::eval::{Analysis, Way, walk, words};
use fwproof::model::{Device, NamePattern};
use fwproof::net::{Family, Ranges, parse_cidr};
use fwproof::packets::fields::{ABSENT_PORT, ct};
use fwproof::packets::{Cube, Dim, Field, Packet, header_space, plausible};
use fwproof::pipeline::{self, Options};
use fwproof::source::Limits;
use serde::Deserialize;

/// `intent.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    /// In a sentence.
    intent: String,
    /// `forward` or `input`.
    way: String,
    /// Arrival interface.
    iif: String,
    /// Departure interface, of `forward`.
    oif: Option<String>,
    /// Sources and destinations that are looked at.
    src: Vec<String>,
    dst: Vec<String>,
    /// What passes, and nothing else of these.
    accepts: Vec<Flow>,
    /// A packet that the wrong twin treats differently.
    wrong: Flow,
    /// Formats that cannot say it, with the reason.
    #[serde(default)]
    not_in: BTreeMap<String, String>,
    /// Packets that are refused with an answer, and such as are dropped in silence.
    #[serde(default)]
    rejects: Vec<Flow>,
    #[serde(default)]
    drops: Vec<Flow>,
}

/// Packets of a service between addresses; empty: any of those that are looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    /// `tcp/443`, `udp/53`, `icmp`, `esp`, `any` …
    service: String,
    #[serde(default)]
    src: Vec<String>,
    #[serde(default)]
    dst: Vec<String>,
    /// Source ports.
    sport: Option<String>,
}

fn addresses(list: &[String], family: Family) -> Ranges {
    list.iter().fold(Ranges::EMPTY, |all, text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Some((of, lo, _)), Some((_, _, hi))) = (parse_cidr(first), parse_cidr(last)) else { panic!("{text} is no address") };
        if of == family { all.or(&Ranges::interval(lo, hi)) } else { all }
    })
}

fn with(cube: Cube, field: Field, set: &Ranges, family: Family) -> Option<Cube> {
    cube.with(Dim::field(field), set, family)
}

/// The packets of `service`, as described above.
fn opening(service: &str, family: Family) -> Vec<Cube> {
    let single = Ranges::single;
    let proto = |n: u128| Cube::of(Dim::field(Field::Proto), single(n), family);
    let echo = if family == Family::V4 { (1, 8 << 8) } else { (58, 128 << 8) };
    let ping = proto(echo.0).and_then(|c| with(c, Field::Icmp, &single(echo.1), family));
    let syn = |c: Cube| with(c, Field::TcpFlags, &single(2), family);
    let kinds: Vec<Cube> = match service {
        "any" => vec![proto(6).and_then(syn), proto(17), ping, proto(50), proto(47)].into_iter().flatten().collect(),
        "icmp" | "ping" => ping.into_iter().collect(),
        "esp" => proto(50).into_iter().collect(),
        "gre" => proto(47).into_iter().collect(),
        ports => {
            let p = service_ports(ports).unwrap_or_else(|e| panic!("{ports}: {e}"));
            let base = proto(u128::from(p.protocol.expect("a protocol")));
            let base = base.and_then(|c| if p.protocol == Some(6) { syn(c) } else { Some(c) });
            let set = p.ports.unwrap_or_else(|| Ranges::interval(0, 65535));
            base.and_then(|c| with(c, Field::Dport, &set, family)).into_iter().collect()
        }
    };
    let fixed = [(Field::Ct, ct::NEW), (Field::Fragment, 0), (Field::Mark, 0), (Field::CtMark, 0), (Field::PktType, 0), (Field::CtNat, 0)];
    // Port 0 is reserved (RFC 6335), and some firewalls drop it by themselves.
    let ports = Ranges::interval(1, ABSENT_PORT);
    let plain = |c: Cube| fixed.into_iter().try_fold(c, |c, (f, n)| with(c, f, &single(n), family));
    let plain = |c: Cube| [Field::Sport, Field::Dport].into_iter().try_fold(plain(c)?, |c, f| with(c, f, &ports, family));
    let kinds: Vec<Cube> = kinds.into_iter().filter_map(plain).collect();
    // Only packets that there can be: with ports where their protocol has ports, and so on.
    header_space(family).iter().flat_map(|h| kinds.iter().filter_map(|k| k.and(h))).collect()
}

impl Flow {
    fn cubes(&self, intent: &Intent, family: Family) -> Vec<Cube> {
        let of = |own: &[String], all: &[String]| addresses(if own.is_empty() { all } else { own }, family);
        let (src, dst) = (of(&self.src, &intent.src), of(&self.dst, &intent.dst));
        let sport = self.sport.as_ref().map(|s| Ranges::single(s.parse().expect("a port")));
        opening(&self.service, family)
            .into_iter()
            .filter_map(|c| with(c, Field::Src, &src, family))
            .filter_map(|c| with(c, Field::Dst, &dst, family))
            .filter_map(|c| sport.as_ref().map_or(Some(c.clone()), |s| with(c.clone(), Field::Sport, s, family)))
            .collect()
    }
}

fn minus(a: &[Cube], b: &[Cube], family: Family) -> Vec<Cube> {
    let mut rest = a.to_vec();
    for cube in b {
        rest = rest.iter().flat_map(|r| r.minus(cube, family)).collect();
    }
    rest
}

/// Without the dimensions that are fixed by the question.
fn bare(cube: &Cube, family: Family) -> Cube {
    let fixed = [Field::Iif, Field::Oif, Field::DstType, Field::SrcType, Field::Uid, Field::Gid];
    let mut out = Cube::any();
    for (dim, set) in cube.dims() {
        if !fixed.iter().any(|f| Dim::field(*f) == *dim) {
            out = out.with(*dim, set, family).expect("a part of itself");
        }
    }
    out
}

struct Reading {
    device: Device,
}

fn read(folder: &Path) -> Reading {
    let inventory = pipeline::read(&[folder.to_path_buf()], &Options::default());
    assert!(inventory.incomplete.is_empty(), "{}: {:?}", folder.display(), inventory.incomplete);
    assert_eq!(inventory.devices.len(), 1, "{}: one device is expected", folder.display());
    let bad: Vec<String> = inventory.files.iter().flat_map(|f| &f.notes).map(|n| n.text.clone()).collect();
    assert!(bad.is_empty(), "{}: {bad:?}", folder.display());
    Reading { device: inventory.devices[0].clone() }
}

struct Question<'q> {
    intent: &'q Intent,
    way: Way,
}

impl Question<'_> {
    /// All packets that are looked at, on the interfaces of the device.
    fn region(&self, analysis: &Analysis<'_>, family: Family) -> Vec<Cube> {
        let flow = Flow { service: "any".into(), src: vec![], dst: vec![], sport: None };
        let number = |name: &str| Ranges::single(analysis.space.interface_number(name));
        let on = |c: Cube| {
            let c = with(c, Field::Iif, &number(&self.intent.iif), family)?;
            match &self.intent.oif {
                Some(oif) => with(c, Field::Oif, &number(oif), family),
                None => Some(c),
            }
        };
        flow.cubes(self.intent, family).into_iter().filter_map(on).collect()
    }

    /// What passes, exactly.
    fn accepted(&self, reading: &Reading, family: Family, place: &str) -> Vec<Cube> {
        let names: Vec<NamePattern> =
            std::iter::once(&self.intent.iif).chain(&self.intent.oif).map(|n| NamePattern::exact(n.as_str())).collect();
        let analysis = Analysis::new(&reading.device, &names, &Limits::default());
        let region = self.region(&analysis, family);
        let found = passing(&analysis, Query::new(self.way, family, Want::Accepted), &region, &[Cube::any()]);
        let found = found.unwrap_or_else(|e| panic!("{place}: {}", e.0));
        for p in &found {
            assert!(!p.arriving.has_conditions(), "{place}: it depends on something that is not modelled");
        }
        found.iter().map(|p| bare(&p.arriving, family)).collect()
    }

    /// What the walk says of one packet of a flow.
    fn walked(&self, reading: &Reading, family: Family, flow: &Flow) -> Vec<&'static str> {
        let names: Vec<NamePattern> =
            std::iter::once(&self.intent.iif).chain(&self.intent.oif).map(|n| NamePattern::exact(n.as_str())).collect();
        let analysis = Analysis::new(&reading.device, &names, &Limits::default());
        flow.cubes(self.intent, family)
            .iter()
            .map(|c| {
                let mut p: Packet = plausible(c, family);
                p.set(Field::Iif, analysis.space.interface_number(&self.intent.iif));
                p.set(Field::Oif, self.intent.oif.as_ref().map_or(0, |o| analysis.space.interface_number(o)));
                walk::walk(&analysis, self.way, family, &p, None, None, false).verdict.name()
            })
            .collect()
    }
}

fn words_of(cubes: &[Cube], way: Way, family: Family) -> String {
    let device = Device::default();
    let analysis = Analysis::new(&device, &[], &Limits::default());
    cubes.iter().take(4).map(|c| words::cube_words(c, way, family, &analysis.space)).collect::<Vec<_>>().join("; ")
}

/// Formats of an intent: the folders beside `intent.yaml`.
fn formats(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut found: Vec<(String, PathBuf)> = entries
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.is_dir())
        .map(|p| (p.file_name().expect("a name").to_string_lossy().into_owned(), p))
        .filter(|(name, _)| name != "wrong")
        .collect();
    found.sort();
    found
}

fn intents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cross");
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(root).expect("the folder").map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

fn load(folder: &Path) -> Intent {
    let text = std::fs::read_to_string(folder.join("intent.yaml")).expect("intent.yaml");
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
}

#[test]
fn every_format_lets_pass_exactly_what_was_meant() {
    let (mut cells, mut seen) = (0, BTreeSet::new());
    for folder in intents() {
        let intent = load(&folder);
        let way = if intent.way == "input" { Way::Input } else { Way::Forward };
        let question = Question { intent: &intent, way };
        for (format, path) in formats(&folder) {
            let place = format!("{} in {format} ({})", folder.file_name().unwrap().to_string_lossy(), intent.intent);
            let reading = read(&path);
            for family in Family::BOTH {
                let meant: Vec<Cube> = intent.accepts.iter().flat_map(|f| f.cubes(&intent, family)).collect();
                let is = question.accepted(&reading, family, &place);
                let (too_much, too_little) = (minus(&is, &meant, family), minus(&meant, &is, family));
                assert!(too_much.is_empty(), "{place}: lets pass what was not meant: {}", words_of(&too_much, way, family));
                assert!(too_little.is_empty(), "{place}: does not let pass: {}", words_of(&too_little, way, family));
                for (flows, wanted) in [(&intent.rejects, "reject"), (&intent.drops, "drop")] {
                    for flow in flows {
                        let said = question.walked(&reading, family, flow);
                        assert!(said.iter().all(|v| *v == wanted), "{place}: {} is {said:?}", flow.service);
                    }
                }
            }
            cells += 1;
            seen.insert(format);
        }
    }
    eprintln!("{} intents, {} formats, {cells} cells", intents().len(), seen.len());
}

#[test]
fn every_wrong_twin_differs_in_the_packet_that_is_named() {
    for folder in intents() {
        let intent = load(&folder);
        let way = if intent.way == "input" { Way::Input } else { Way::Forward };
        let question = Question { intent: &intent, way };
        let twins = formats(&folder.join("wrong"));
        assert!(!twins.is_empty(), "{} has no wrong twin", folder.display());
        for (format, path) in twins {
            let place = format!("{}/wrong/{format}", folder.display());
            let reading = read(&path);
            let mut differs = false;
            for family in Family::BOTH {
                let meant: Vec<Cube> = intent.accepts.iter().flat_map(|f| f.cubes(&intent, family)).collect();
                let is = question.accepted(&reading, family, &place);
                let difference: Vec<Cube> = minus(&is, &meant, family).into_iter().chain(minus(&meant, &is, family)).collect();
                let named = intent.wrong.cubes(&intent, family);
                assert!(minus(&named, &difference, family).is_empty(), "{place}: the packet that is named is treated as it was meant");
                differs |= !named.is_empty();
            }
            assert!(differs, "{place}: no packet is named");
        }
    }
}

/// The formats that can filter packets at all: each is in every intent, or the intent says why not.
#[test]
fn an_intent_that_a_format_cannot_say_says_why() {
    let all: BTreeSet<String> = intents().iter().flat_map(|f| formats(f)).map(|(name, _)| name).collect();
    for folder in intents() {
        let intent = load(&folder);
        let here: BTreeSet<String> = formats(&folder).into_iter().map(|(name, _)| name).collect();
        for missing in all.difference(&here) {
            assert!(intent.not_in.get(missing).is_some_and(|why| why.len() > 10), "{} is not there in {missing}", folder.display());
        }
        for name in intent.not_in.keys() {
            assert!(!here.contains(name), "{}: {name} is there", folder.display());
        }
    }
}
