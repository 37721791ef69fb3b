//! A fleet that is read and judged wave by wave: the same report as of everything at once.
#![allow(missing_docs)]

#[path = "../benches/generate/fleet.rs"]
mod generate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fwproof::diag::Severity;
use fwproof::pipeline::{self, Options, fleet};
use fwproof::report::{self, View};
use fwproof::rulesets::{self, BaselineError};
use fwproof::source::{Limits, Redactor, Sources};

fn rendered(report: &fwproof::diag::Report, sources: &Sources, redactor: &Redactor, format: &str) -> String {
    let format = report::FORMATS.iter().find(|f| f.id == format).unwrap();
    let view = View {
        report,
        sources,
        redactor,
        fail_on: Severity::Medium,
        allow_incomplete: false,
        all: true,
        list_incomplete: true,
        color: false,
        workspace: Default::default(),
    };
    (format.render)(&view)
}

const FORMATS: [&str; 4] = ["json", "text", "html", "sarif"];

fn options(folder: &Path, threads: usize) -> Options {
    Options { beside: vec![folder.join("baseline.yaml")], threads, ..Options::default() }
}

fn at_once(folder: &Path, as_of: &str) -> Vec<String> {
    let baseline = folder.join("baseline.yaml");
    let known = rulesets::load(&mut Sources::default(), &baseline, &Limits::default()).unwrap();
    let estate: BTreeSet<String> = fleet::estate(&known);
    let Ok(mut inventory) =
        pipeline::read_with_estate(&[PathBuf::from(folder)], &options(folder, 1), || Ok::<_, std::convert::Infallible>(estate));
    let redactor = inventory.redactor();
    let loaded = rulesets::load(&mut inventory.sources, &baseline, &Limits::default()).unwrap();
    let report = pipeline::check(&inventory, &loaded, &redactor, as_of.parse().unwrap(), 1);
    FORMATS.map(|f| rendered(&report, &inventory.sources, &redactor, f)).into()
}

fn in_waves(folder: &Path, as_of: &str, threads: usize) -> (Vec<String>, usize) {
    let load = |sources: &mut Sources| -> Result<_, Vec<BaselineError>> {
        rulesets::load(sources, &folder.join("baseline.yaml"), &Limits::default())
    };
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let progress = |_: usize, of: usize| seen.store(of, std::sync::atomic::Ordering::Relaxed);
    let checked = fleet::check(&[PathBuf::from(folder)], &options(folder, threads), load, as_of.parse().unwrap(), &progress).unwrap();
    let out = FORMATS.map(|f| rendered(&checked.report, &checked.inventory.sources, &checked.redactor, f)).into();
    (out, seen.into_inner())
}

fn differs(folder: &Path, as_of: &str, at_least: usize) {
    let whole = at_once(folder, as_of);
    for threads in [1, 2] {
        let (waves, homes) = in_waves(folder, as_of, threads);
        assert!(homes >= at_least, "only {homes} folders were read in waves");
        for (format, (a, b)) in FORMATS.iter().zip(whole.iter().zip(&waves)) {
            let first = a.lines().zip(b.lines()).find(|(a, b)| a != b);
            assert!(a == b, "{format} on {threads} threads differs: {first:#?}");
        }
    }
}

#[test]
fn the_samples_in_waves_are_the_samples_at_once() {
    for sample in ["samples/acme", "samples/acme-fixed"] {
        differs(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sample), "2026-11-23", 6);
    }
}

#[test]
fn a_fleet_in_waves_is_the_fleet_at_once() {
    let folder = tempfile::tempdir().unwrap();
    generate::fleet(folder.path(), 220).unwrap();
    // A device that serves others, one in two folders, and one of nobody: they are read with the rest.
    let copy = |from: &str, to: &str| {
        let (from, to) = (folder.path().join(from), folder.path().join(to));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    copy("vpn-gw/server.conf", "remote/worker-00010/lab.conf");
    copy("remote/worker-00020/wg0.conf", "other/worker-00020/wg0.conf");
    copy("remote/worker-00030/ruleset.nft", "remote/nobody/ruleset.nft");
    copy("remote/worker-00031/ruleset.nft", "remote/worker-00031/more.nft");
    differs(folder.path(), generate::AS_OF, 150);
}
