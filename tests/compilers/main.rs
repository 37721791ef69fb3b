//! One policy, many targets: what a public compiler writes from it for each of them must be the same packets, as fwproof reads it, and
//! what the Linux kernel does with those of them that it loads.
//!
//! Compilers are Aerleon (`aclgen`) and Firewall Builder (`fwb_ipt`, `fwb_pf`). Policies are our own, under `tests/fixtures/compilers/`.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::print_stderr)]

mod aerleon;
#[path = "../equal_sets/mod.rs"]
mod equal_sets;
mod fwbuilder;
mod inside;
#[allow(dead_code, reason = "a part of it is for the tests of the kernel alone")]
#[path = "../kernel_support/mod.rs"]
mod kernel_support;
mod matrix;
mod regions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use equal_sets::differences_within;
use fwproof::eval::flow::{Query, Want, passing};
use fwproof::eval::{Analysis, Way};
use fwproof::model::Device;
use fwproof::net::Family;
use fwproof::packets::Cube;
use fwproof::pipeline::{Options, read};
use fwproof::source::Limits;
use kernel_support::Loader;
use kernel_support::compare::{Ruleset, Tally, compare};
use kernel_support::inside::{INSIDE, unshare};
use matrix::{Cell, Matrix};
use regions::Region;

/// How the test program comes to [`the_inside_of_a_namespace`].
const WITHIN: [&str; 4] = ["the_inside_of_a_namespace", "--exact", "--ignored", "--nocapture"];

#[test]
#[ignore = "is started by the other tests"]
fn the_inside_of_a_namespace() {
    kernel_support::inside::main();
}

/// What the kernel's tests need besides a compiler.
const PROGRAMS: [&str; 6] = ["unshare", "ip", "nft", "ipset", "iptables-legacy-restore", "iptables-nft-restore"];

/// Whether something is missing; says so. Under CI that is a failure, unless it is a compiler that could not be installed.
fn skipped(programs: &[&str]) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let there = |p: &str| std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/sbin".into()]).any(|f| f.join(p).is_file());
    let missing: Vec<&str> = programs.iter().copied().filter(|p| !there(p)).collect();
    let why = if !missing.is_empty() {
        format!("{} not installed", missing.join(", "))
    } else if programs.contains(&"unshare") && unshare().is_none() {
        "no network namespace can be made (needs root, or user namespaces)".to_owned()
    } else {
        return false;
    };
    // The compilers come from places that are not always to be had; whatever else is needed is there under CI.
    let compilers = ["aclgen", "fwb_ipt", "fwb_pf"];
    let excused = !missing.is_empty() && missing.iter().all(|m| compilers.contains(m));
    assert!(excused || std::env::var_os("CI").is_none(), "skipped under CI: {why}");
    eprintln!("skipped: {why}");
    true
}

/// The words that begin a command in a network namespace of its own; `None`, said once, where there can be none.
fn namespace() -> Option<&'static [&'static str]> {
    if skipped(&PROGRAMS) { None } else { unshare() }
}

/// Names of files with their texts.
type Files = Vec<(&'static str, String)>;

/// What fwproof reads of files, with these.
type Read = Result<(Device, Files), String>;

/// The device that fwproof reads from files; an error if it has a word to say about any line.
fn device(files: &Files) -> Result<Device, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).map_err(|e| e.to_string())?;
    }
    let inventory = read(&[folder.path().to_owned()], &Options { threads: 1, ..Options::default() });
    let notes: Vec<&str> = inventory.files.iter().flat_map(|f| &f.notes).map(|n| n.text.as_str()).collect();
    if !notes.is_empty() || !inventory.incomplete.is_empty() {
        return Err(format!("not all is understood: {} {:?}", notes.join("; "), inventory.incomplete));
    }
    match &*inventory.devices {
        [one] => Ok(one.clone()),
        other => Err(format!("{} devices", other.len())),
    }
}

/// Packets that there can be.
type Real<'r> = &'r dyn Fn(&Analysis<'_>, Way, Family) -> Vec<Cube>;

/// All.
fn any(_: &Analysis<'_>, _: Way, _: Family) -> Vec<Cube> {
    vec![Cube::any()]
}

/// Why two devices are not the same on some ways; nothing if they are. `real`: packets outside of these are not looked at.
fn unlike(a: (&str, &Device), b: (&str, &Device), ways: &[Way], region: Region, real: Real<'_>) -> Option<String> {
    let (different, compared, left_out) = differences_within(a, b, ways, &|analysis, way, family| {
        let real = real(analysis, way, family);
        region.cubes(family).iter().flat_map(|c| real.iter().filter_map(|r| r.and(c))).collect()
    });
    if let Some(first) = different.first() {
        return Some(format!("{} differences of {region:?}: {first}", different.len()));
    }
    if left_out > 0 {
        return Some(format!("{left_out} sets turn on something that is not modelled"));
    }
    (compared == 0).then(|| "nothing was compared".to_owned())
}

/// What a comparison means where it was said, or not, that the compiler means something else.
fn judged(said: bool, why: Option<String>) -> Cell {
    match (said, why) {
        (false, None) => Cell::Equal,
        (false, Some(why)) => Cell::Wrong(why),
        (true, Some(_)) => Cell::OtherMeaning,
        (true, None) => Cell::Wrong("it was said to differ, and does not".to_owned()),
    }
}

/// Whether a device lets some of the packets pass and others not: else it is no wonder that two are equal.
fn decides(device: &Device, way: Way) -> bool {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let some = |want| {
        Family::BOTH.iter().any(|f| {
            let found = passing(&analysis, Query::new(way, *f, want), &Region::Opening.cubes(*f), &[Cube::any()]);
            found.is_ok_and(|p| !p.is_empty())
        })
    };
    some(Want::Accepted) && some(Want::Blocked)
}

/// Prints the table, and fails if a cell is not as it should be.
fn conclude(compiler: &str, matrix: &Matrix, least: usize) {
    eprintln!("{compiler}\n{}", matrix.table());
    assert!(matrix.wrong().is_empty(), "\n{}\n{}", matrix.table(), matrix.wrong().join("\n"));
    assert!(matrix.count(&Cell::Equal) >= least, "too little was compared");
}

/// The targets of Aerleon whose text is also read as the kernel prints it.
const PRINTED: [(&str, &str); 3] = [("iptables", "printed by iptables"), ("ipset", "printed by ipset"), ("nft-split", "printed by nft")];

#[test]
fn what_aerleon_writes_is_the_same_packets_in_every_target() {
    if skipped(&["aclgen"]) {
        return;
    }
    let policies = aerleon::policies();
    let possible = aerleon::possible(&policies);
    let written = aerleon::compile(&possible).unwrap_or_else(|why| panic!("Aerleon refuses: {why}"));
    let namespace = namespace();
    let mut devices: BTreeMap<(&str, &str), Read> = BTreeMap::new();
    for ((policy, target), texts) in possible.iter().zip(&written) {
        let files = target.files(texts);
        devices.insert((&policy.name, target.name), device(&files).map(|d| (d, files)));
    }
    let mut matrix = Matrix::default();
    for policy in &policies {
        let of = |target| devices.get(&(policy.name.as_str(), target));
        for target in &aerleon::TARGETS {
            let cell = match of(target.name) {
                None if target.takes(policy) && aerleon::compile(&[(policy, target)]).is_ok() => {
                    Cell::Wrong("it can be compiled".to_owned())
                }
                None => Cell::CannotBeSaid,
                Some(Err(why)) => Cell::Wrong(why.clone()),
                Some(Ok(_)) if target.like.is_empty() => Cell::Measure,
                Some(Ok((device, _))) => {
                    // What means something else is no measure for others.
                    let measures = target.like.iter().filter(|(name, _)| !policy.says("differs", name));
                    let mut others = measures.filter_map(|(name, region)| match of(name) {
                        Some(Ok((other, _))) => unlike((target.name, device), (name, other), &[policy.way], policy.part(*region), &any),
                        _ => None,
                    });
                    judged(policy.says("differs", target.name), others.next())
                }
            };
            matrix.set(&policy.name, target.name, cell);
        }
        for (target, column) in PRINTED {
            let Some(Ok((device_as_written, files))) = of(target) else {
                matrix.set(&policy.name, column, Cell::CannotBeSaid);
                continue;
            };
            let cell = match namespace.map(|n| inside::printed(n, files).and_then(|f| device(&f))) {
                None => Cell::Skipped,
                Some(Err(why)) => Cell::Wrong(why),
                Some(Ok(printed)) => {
                    let region = policy.part(Region::All);
                    judged(false, unlike((column, &printed), (target, device_as_written), &[policy.way], region, &any))
                }
            };
            matrix.set(&policy.name, column, cell);
        }
        if let Some(Ok((device, _))) = of("speedway") {
            assert!(decides(device, policy.way), "{}: passes all, or nothing", policy.name);
        }
    }
    conclude("Aerleon", &matrix, 90);
}

/// Rule sets that are to be loaded, with the program that does it: those of `files` that a loader is named for.
fn rulesets(name: &str, files: &Files, loaders: &[(&str, Loader)]) -> Vec<(Ruleset, Loader)> {
    let text = |name: &str| files.iter().find(|(n, _)| *n == name).map(|(_, text)| text.clone());
    let of = |(file, loader): &(&str, Loader)| {
        let extension = match loader {
            Loader::Nft => "nft",
            Loader::Legacy | Loader::Translated => "v4",
            Loader::Legacy6 | Loader::Translated6 => "v6",
        };
        Some((Ruleset { name: name.to_owned(), text: text(file)?, extension, sets: text("ipset.save"), addresses: None }, *loader))
    };
    loaders.iter().filter_map(of).collect()
}

/// Packets for one rule set.
const PACKETS: usize = 200;

/// Compares rule sets with the kernel, some at a time. `refused`: whether the kernel is said not to load one.
fn with_the_kernel(work: &[(Ruleset, Loader, bool)]) -> Tally {
    let done = Mutex::new(Tally::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((ruleset, loader, refused)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut one = compare(ruleset, *loader, PACKETS, 1, &WITHIN);
                    match (one.not_loaded.first(), refused) {
                        (Some(_), true) => one.not_loaded.clear(),
                        (Some((_, why)), false) => one.different.push(format!("{} does not load: {why}", ruleset.name)),
                        (None, true) => one.different.push(format!("{} loads, though it is said that it does not", ruleset.name)),
                        (None, false) => {}
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).add(one);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn report(tally: &Tally, least: usize) {
    eprintln!("{}", tally.table());
    assert!(tally.different.is_empty(), "{} answers differ from the kernel's: {}", tally.different.len(), tally.different.join("\n"));
    assert!(tally.packets() > least, "too little was compared: {}", tally.packets());
}

#[test]
fn the_kernel_does_what_fwproof_says_of_what_aerleon_writes() {
    if std::env::var_os(INSIDE).is_some() || skipped(&["aclgen"]) || skipped(&PROGRAMS) {
        return;
    }
    let policies = aerleon::policies();
    let loaders = |target: &str| -> &'static [(&'static str, Loader)] {
        match target {
            "speedway" => &[("rules.v4", Loader::Legacy), ("rules.v6", Loader::Translated6)],
            "iptables" => &[("rules.v4", Loader::Translated), ("rules.v6", Loader::Legacy6)],
            "ipset" => &[("rules.v4", Loader::Legacy), ("rules.v6", Loader::Translated6)],
            "nft-split" | "nft-mixed" => &[("rules.nft", Loader::Nft)],
            _ => &[],
        }
    };
    let possible = aerleon::possible(&policies);
    let written = aerleon::compile(&possible).unwrap_or_else(|why| panic!("Aerleon refuses: {why}"));
    let mut work = Vec::new();
    for ((policy, target), texts) in possible.iter().zip(&written) {
        let name = format!("{} as {}", policy.name, target.name);
        for (ruleset, loader) in rulesets(&name, &target.files(texts), loaders(target.name)) {
            work.push((ruleset, loader, policy.says("refused", target.name)));
        }
    }
    report(&with_the_kernel(&work), 20_000);
}

/// The files that fwproof reads of what Firewall Builder wrote for a target; `None` where that takes a namespace and there is none.
fn of_firewall_builder(
    common: &fwbuilder::Common,
    policy: &fwbuilder::Policy,
    target: &fwbuilder::Target,
    namespace: Option<&[&str]>,
) -> Option<Result<Files, String>> {
    let written = match policy.compile(common, target) {
        Ok(written) => written,
        Err(why) => return Some(Err(why)),
    };
    if target.is_pf() {
        return Some(Ok(vec![("pf.conf", written), ("ifconfig", common.addresses(true))]));
    }
    let rules = match target.name {
        "commands" => fwbuilder::saved(&written, namespace?),
        _ => fwbuilder::restored(&written),
    };
    Some(rules.map(|(four, six)| vec![("rules.v4", four), ("rules.v6", six), ("ip-addr", common.addresses(false))]))
}

#[test]
fn what_firewall_builder_writes_is_the_same_packets_in_every_target() {
    if std::env::var_os(INSIDE).is_some() || skipped(&["fwb_ipt", "fwb_pf"]) {
        return;
    }
    let namespace = namespace();
    let (common, policies) = fwbuilder::policies();
    let mut matrix = Matrix::default();
    let mut work = Vec::new();
    for policy in &policies {
        let mut first: Option<(&str, Device)> = None;
        for target in &fwbuilder::TARGETS {
            let read = of_firewall_builder(&common, policy, target, namespace).map(|f| f.and_then(|files| Ok((device(&files)?, files))));
            let cell = match (&read, &first) {
                (None, _) => Cell::Skipped,
                (Some(Err(_)), _) if policy.cannot.contains_key(target.name) => Cell::CannotBeSaid,
                (Some(Ok(_)), _) if policy.cannot.contains_key(target.name) => Cell::Wrong("it can be compiled".to_owned()),
                (Some(Err(why)), _) => Cell::Wrong(why.clone()),
                (Some(Ok(_)), None) => Cell::Measure,
                (Some(Ok((device, _))), Some((name, other))) => {
                    let real = |a: &Analysis<'_>, w: Way, f: Family| if target.is_pf() { common.real(a, w, f) } else { any(a, w, f) };
                    let region = if target.is_pf() { Region::Opening } else { Region::All };
                    let why = unlike((target.name, device), (name, other), &Way::ALL, region, &real);
                    judged(policy.differs.contains_key(target.name), why)
                }
            };
            matrix.set(&policy.name, target.name, cell);
            if let (None, Some(Ok((device, files)))) = (&first, read) {
                assert!(decides(&device, Way::Forward) || decides(&device, Way::Input), "{}: passes all, or nothing", policy.name);
                // Where the kernel routes as it would there; and, since that says nothing of what the host sends, to wherever is asked.
                for addresses in [Some(common.addresses(false)), None] {
                    for (mut ruleset, loader) in
                        rulesets(&policy.name, &files, &[("rules.v4", Loader::Legacy), ("rules.v6", Loader::Translated6)])
                    {
                        ruleset.addresses.clone_from(&addresses);
                        work.push((ruleset, loader, false));
                    }
                }
                first = Some((target.name, device));
            }
        }
    }
    conclude("Firewall Builder", &matrix, 15);
    if namespace.is_some() {
        report(&with_the_kernel(&work), 4_000);
    }
}
