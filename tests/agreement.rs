//! The packet sets and the walk of single packets agree on real rulesets: those of the samples, and those of the corpus where it is there.
//! `FWPROOF_PACKETS` says how many packets each file gets (200 without); `cargo run --release --example agreement` does more, and reports on each.
#![allow(missing_docs, clippy::print_stderr)]

use std::path::{Path, PathBuf};

#[path = "agreement_support/mod.rs"]
mod support;

fn run(folders: &[PathBuf]) {
    let packets = std::env::var("FWPROOF_PACKETS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut files = Vec::new();
    folders.iter().for_each(|f| support::files(f, &mut files));
    // Large rulesets take long in an unoptimised build.
    let most = if std::env::var_os("FWPROOF_PACKETS").is_some() { u64::MAX } else { 20_000 };
    files.retain(|f| f.metadata().is_ok_and(|m| m.len() <= most));
    let compared: Vec<support::Compared> = files.iter().filter_map(|f| support::compare(f, packets)).collect();
    let sum = |of: fn(&support::Compared) -> usize| compared.iter().map(of).sum::<usize>();
    eprintln!("{} packets on {} rulesets, {} of them pass", sum(|c| c.packets), compared.len(), sum(|c| c.accepted));
    let wrong: Vec<&String> = compared.iter().flat_map(|c| &c.disagreements).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(sum(|c| c.given_up), 0);
    assert!(sum(|c| c.packets) > 0);
}

#[test]
fn packet_sets_and_single_packets_agree_on_the_samples() {
    run(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")]);
}

#[test]
fn packet_sets_and_single_packets_agree_on_each_construct() {
    run(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kernel")]);
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
