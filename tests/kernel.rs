//! The Linux kernel does with packets what fwproof says: for rule sets of one construct each, and for random ones, through nft and both
//! back ends of iptables. Runs in network namespaces that it makes itself, as root or, where that is allowed, as anybody.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::print_stderr)]

mod kernel_support;

use std::path::Path;

use kernel_support::compare::{Ruleset, Tally, compare, folder, loaders};
use kernel_support::inside::{INSIDE, unshare};
use kernel_support::{Loader, inside, random};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How the test program comes to [`the_inside_of_a_namespace`].
const WITHIN: [&str; 4] = ["the_inside_of_a_namespace", "--exact", "--ignored", "--nocapture"];

#[test]
#[ignore = "is started by the other tests"]
fn the_inside_of_a_namespace() {
    inside::main();
}

/// Whether there can be no test here; says so. Under CI that is a failure.
fn skipped(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|p| !on_path(p)).collect();
    let why = if !missing.is_empty() {
        format!("{} not installed", missing.join(", "))
    } else if unshare().is_none() {
        "no network namespace can be made (needs root, or user namespaces)".to_owned()
    } else {
        return false;
    };
    assert!(std::env::var_os("CI").is_none(), "skipped under CI: {why}");
    eprintln!("skipped: {why}");
    true
}

fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/sbin".into()]).any(|f| f.join(program).is_file())
}

const PROGRAMS: [&str; 6] = ["unshare", "ip", "nft", "ipset", "iptables-legacy-restore", "iptables-nft-restore"];

fn report(tally: &Tally) {
    eprintln!("{}", tally.table());
    for (name, unknown, all) in tally.shares.iter().filter(|s| s.1 > 0) {
        eprintln!("unknown in {name}: {:.1} % of {all}", *unknown as f64 * 100.0 / (*all).max(1) as f64);
    }
    let mut shown = std::collections::BTreeMap::new();
    for text in &tally.different {
        let n = shown.entry(text.split(')').next()).or_insert(0);
        *n += 1;
        if *n <= 3 {
            eprintln!("DIFFERENT {text}");
        }
    }
    assert!(tally.different.is_empty(), "{} answers differ from the kernel's", tally.different.len());
}

#[test]
fn the_kernel_does_what_fwproof_says_of_each_construct() {
    if std::env::var_os(INSIDE).is_some() || skipped(&PROGRAMS) {
        return;
    }
    let mut tally = Tally::default();
    let only = std::env::var("FWPROOF_KERNEL_ONLY").unwrap_or_default();
    for (i, ruleset) in folder(Path::new("tests/fixtures/kernel")).iter().enumerate().filter(|(_, r)| r.name.contains(&only)) {
        for loader in loaders(ruleset.extension) {
            tally.add(compare(ruleset, *loader, 300, i as u64, &WITHIN));
        }
    }
    report(&tally);
    assert!(!tally.rulesets.is_empty() && (!only.is_empty() || tally.packets() > 20_000), "too little was compared");
}

#[test]
fn the_kernel_does_what_fwproof_says_of_random_rule_sets() {
    if std::env::var_os(INSIDE).is_some() || skipped(&PROGRAMS) {
        return;
    }
    let cases = std::env::var("FWPROOF_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let mut runner = TestRunner::new_with_rng(
        Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let tally = std::cell::RefCell::new(Tally::default());
    let outcome = runner.run(&random::plans(), |plan| {
        let iptables = if plan.six { [Loader::Legacy6, Loader::Translated6] } else { [Loader::Legacy, Loader::Translated] };
        let extension = if plan.six { "v6" } else { "v4" };
        for (text, extension, loaders) in [(plan.iptables(), extension, &iptables[..]), (plan.nftables(), "nft", &[Loader::Nft][..])] {
            for loader in loaders {
                let ruleset = Ruleset { name: "random".into(), text: text.clone(), extension, sets: None, addresses: None };
                let one = compare(&ruleset, *loader, 150, 1, &WITHIN);
                if let Some(text) = one.different.first() {
                    return Err(TestCaseError::fail(format!("{text}\n{}", ruleset.text)));
                }
                if let Some((_, why)) = one.not_loaded.first() {
                    return Err(TestCaseError::fail(format!("does not load: {why}\n{}", ruleset.text)));
                }
                tally.borrow_mut().add(one);
            }
        }
        Ok(())
    });
    report(&tally.borrow());
    if let Err(why) = outcome {
        panic!("{why}");
    }
}

#[test]
fn a_plan_is_written_the_same_each_time() {
    let mut runner = TestRunner::deterministic();
    let plan = random::plans().new_tree(&mut runner).expect("a plan").current();
    assert_eq!(plan.iptables(), plan.clone().iptables());
    assert!(plan.nftables().starts_with("table inet filter"));
}
