//! Writes the rulesets of docs/performance.md into a folder: `cargo run --release --example performance_inputs -- FOLDER`.
#![allow(clippy::print_stderr, missing_docs)]

#[path = "../benches/generate/mod.rs"]
mod generate;

use std::fmt::Write as _;
use std::fs::{create_dir_all, write};
use std::path::Path;

use generate::stress;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: performance_inputs FOLDER");
        return Ok(());
    };
    let folder = Path::new(&folder);
    for (name, file, text) in [
        ("small", "firewall.rules", generate::flat(20, false)),
        ("chains-5k", "firewall.rules", generate::chained(5000, 90)),
        ("flat-10k", "firewall.rules", generate::flat(10_000, false)),
        ("flat-100k", "firewall.rules", generate::flat(100_000, false)),
        ("flat-100k-v6", "firewall.rules", generate::flat(100_000, true)),
        ("nft-100k", "ruleset.nft", generate::nft(100_000)),
        ("stress-kd-10k", "firewall.rules", stress::kd(10_000)),
        ("stress-slabs-2k", "firewall.rules", stress::slabs(2_000)),
        ("stress-grid-8k", "firewall.rules", stress::grid(20)),
        ("stress-returns-10k", "firewall.rules", stress::returns(10_000, 50)),
    ] {
        let place = folder.join(name);
        create_dir_all(&place)?;
        write(place.join(file), text)?;
    }
    let mut roster = String::from("name,device\n");
    for n in 0..1000 {
        let place = folder.join("workers").join(format!("worker-{n:04}"));
        create_dir_all(&place)?;
        for (file, text) in generate::worker(n) {
            write(place.join(file), text)?;
        }
        let _ = writeln!(roster, "Worker {n},worker-{n:04}");
    }
    write(folder.join("roster.csv"), roster)?;
    write(folder.join("edge.yaml"), "fwproof: 1\ntitle: Speed\nuse: [network-edge]\nzones:\n  internet: { addresses: public }\n")?;
    let estate = "estate: { workers: { roster: roster.csv, each: [host-firewall, vpn-client] } }\n";
    write(
        folder.join("workers.yaml"),
        format!("fwproof: 1\ntitle: Speed\nuse: [remote-worker]\nzones:\n  internet: {{ addresses: public }}\n{estate}"),
    )
}
