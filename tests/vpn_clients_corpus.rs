//! Real files of IPsec and of VPN clients, where a corpus is at hand (`FWPROOF_CORPUS`, else `../shared/corpus`): each is detected without a tie, no
//! line is unknown, and what strongSwan's own tests say in both of its languages is the same tunnel.
#![allow(clippy::print_stderr, reason = "the figures are what the test is for, and a test that is skipped must say so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fwproof::model::{CryptoUse, Tunnel};
use fwproof::source::{FileId, SourceFile};
use fwproof::vendors;

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("FWPROOF_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared/corpus")).find(|p| p.is_dir());
    let found = given.or(beside).filter(|p| p.is_dir());
    if found.is_none() {
        eprintln!("skipped: no corpus (set FWPROOF_CORPUS)");
    }
    found
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn every_file_of_the_corpus_is_read_and_no_line_is_unknown() {
    let Some(corpus) = corpus() else { return };
    // The other files of `tailscale` are what its service answered, not policies.
    for folder in ["ipsec", "anyconnect", "tailscale/SimplyMinimal+tailscale-network-topology-mapper"] {
        let mut found = Vec::new();
        files(&corpus.join(folder), &mut found);
        let policies = folder.starts_with("tailscale");
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for path in &found {
            let bytes = std::fs::read(path).expect("a readable file");
            let file = SourceFile::new(FileId(0), path.to_string_lossy(), &bytes);
            let detected = vendors::detect(&file);
            assert_eq!(
                detected.len(),
                1,
                "{}: {detected:?}",
                path.display(),
                detected = detected.iter().map(|d| d.0.id).collect::<Vec<_>>()
            );
            let reading = detected[0].0.read_file(&file);
            assert!(policies != reading.device.chains.is_empty() && policies == reading.device.tunnels.is_empty(), "{}", path.display());
            for state in &reading.lines[&file.id] {
                *states.entry(state.name()).or_default() += 1;
            }
            if std::env::var_os("FWPROOF_NOTES").is_some() {
                reading.notes.iter().for_each(|n| eprintln!("{}: {}: {}", path.display(), n.state.name(), n.text));
            }
        }
        eprintln!("{folder}: {} files, {states:?}", found.len());
        assert_eq!(states.get("unrecognised"), None, "{folder}");
    }
}

fn tunnels(path: &Path) -> Vec<Tunnel> {
    let bytes = std::fs::read(path).expect("a readable file");
    let file = SourceFile::new(FileId(0), path.to_string_lossy(), &bytes);
    vendors::detect(&file)[0].0.read_file(&file).device.tunnels
}

/// Selectors that are networks, and how the ends prove who they are.
fn gist(tunnel: &Tunnel) -> (Vec<String>, Vec<String>) {
    let nets = tunnel.selectors.iter().flat_map(|s| s.local.iter().chain(&s.remote)).filter(|n| n.prefix() < 32).map(ToString::to_string);
    let mut proofs: Vec<String> = tunnel.crypto.iter().filter(|o| o.usage == CryptoUse::Authentication).map(|o| o.name.clone()).collect();
    proofs.sort();
    proofs.dedup();
    (nets.collect(), proofs)
}

#[test]
fn both_languages_of_strongswan_say_the_same() {
    let Some(corpus) = corpus() else { return };
    let base = corpus.join("ipsec/strongswan+strongswan");
    let at = |test: &str, file: &str| base.join(test).join("hosts/moon/etc").join(file);
    let mut compared = 0;
    for (old, new) in [
        ("ikev1-stroke/net2net-cert", "ikev1/net2net-cert"),
        ("ikev1-stroke/net2net-psk", "ikev1/net2net-psk"),
        ("ikev1-stroke/rw-cert", "ikev1/rw-cert"),
        ("ikev1-stroke/host2host-transport", "ikev1/host2host-transport"),
        ("ikev2-stroke/net2net-cert", "ikev2/net2net-cert"),
        ("ikev2-stroke/host2host-transport", "ikev2/host2host-transport"),
    ] {
        let (old, new) = (at(old, "ipsec.conf"), at(new, "swanctl/swanctl.conf"));
        if !(old.is_file() && new.is_file()) {
            continue;
        }
        let (a, b) = (tunnels(&old), tunnels(&new));
        assert_eq!(a.iter().map(gist).collect::<Vec<_>>(), b.iter().map(gist).collect::<Vec<_>>(), "{}", old.display());
        compared += 1;
    }
    eprintln!("{compared} pairs compared");
}
