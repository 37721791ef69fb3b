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

/// A share of a run, as the program writes it.
fn share(folder: &Path, as_of: &str, shard: &str, into: &Path) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_fwproof"))
        .args(["check", "-q", "--as-of", as_of, "--format", "json", "--shard", shard, "-o"])
        .arg(into)
        .arg(folder)
        .output()
        .unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1 | 3)), "{shard}: {}", String::from_utf8_lossy(&out.stderr));
}

fn program(args: &[&str]) -> (Option<i32>, String, String) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_fwproof")).args(args).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn shares_in_any_order_come_to_the_report_of_one_run() {
    let fleet = tempfile::tempdir().unwrap();
    generate::fleet(fleet.path(), 160).unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/acme");
    for (folder, as_of) in [(samples.as_path(), "2026-11-23"), (fleet.path(), generate::AS_OF)] {
        let shares = tempfile::tempdir().unwrap();
        let names: Vec<PathBuf> = (1..=3).map(|n| shares.path().join(format!("{n}.json"))).collect();
        for (n, name) in names.iter().enumerate() {
            share(folder, as_of, &format!("{}/3", n + 1), name);
        }
        for format in ["json", "text", "sarif", "scorecard", "csv"] {
            let whole = program(&["check", "-q", "--as-of", as_of, "--all", "--format", format, folder.to_str().unwrap()]);
            for order in [[0, 1, 2], [2, 0, 1]] {
                let [a, b, c] = order.map(|i| names[i].to_str().unwrap());
                let merged = program(&["merge", "--all", "--format", format, a, b, c]);
                assert_eq!(whole.0, merged.0, "{}", merged.2);
                let first = whole.1.lines().zip(merged.1.lines()).find(|(a, b)| a != b);
                assert!(whole.1 == merged.1, "{format} of {} differs: {first:#?}", folder.display());
            }
        }
        let [a, b, c] = [0, 1, 2].map(|i| names[i].to_str().unwrap());
        for (wrong, why) in [(vec![a, b], "missing"), (vec![a, b, b], "twice"), (vec![a, b, c, a], "twice")] {
            let (code, _, said) = program(&[vec!["merge"], wrong].concat());
            assert_eq!(code, Some(2));
            assert!(said.contains(why), "{said}");
        }
    }
}

#[test]
fn what_cannot_be_cut_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.nft"), "table inet f { chain input { type filter hook input priority 0; policy drop; } }\n")
        .unwrap();
    for (shard, why) in [("1/2", "cannot be cut"), ("3/2", "3/16"), ("x", "3/16")] {
        let (code, _, said) = program(&["check", "--shard", shard, folder.path().to_str().unwrap()]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_share_holds_no_secret() {
    let fleet = tempfile::tempdir().unwrap();
    generate::fleet(fleet.path(), 160).unwrap();
    let into = fleet.path().join("share.json");
    share(fleet.path(), generate::AS_OF, "1/1", &into);
    let text = std::fs::read_to_string(into).unwrap();
    for n in 0..160 {
        for (_, config) in generate::worker(n) {
            for key in config.lines().filter_map(|l| l.strip_prefix("PrivateKey = ")) {
                assert!(!text.contains(key), "the key of worker {n}");
            }
        }
    }
}
