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
    for (name, file, text) in [
        ("diff-chains-5k", "firewall.rules", generate::chained(5000, 90)),
        ("diff-flat-5k", "firewall.rules", generate::flat(5000, false)),
        ("diff-flat-50k", "firewall.rules", generate::flat(50_000, false)),
        ("diff-nft-50k", "ruleset.nft", generate::nft(50_000)),
    ] {
        for (version, text) in [("old", text.clone()), ("new", edited(&text))] {
            let place = folder.join(name).join(version).join("fw");
            create_dir_all(&place)?;
            write(place.join(file), text)?;
        }
    }
    for n in [1000u32, 10_000, 100_000] {
        let mut text = String::from("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\n");
        for i in 0..n {
            let _ = writeln!(text, "-A INPUT -s {}/32 -j ACCEPT", std::net::Ipv4Addr::from((10 << 24) + i));
        }
        let place = folder.join(format!("findings-{n}")).join("fw");
        create_dir_all(&place)?;
        write(place.join("firewall.rules"), text + "COMMIT\n")?;
    }
    let shadowed = "  - { id: rules-apply, rules: { aspect: shadowed } }\n";
    write(folder.join("findings.yaml"), format!("fwproof: 1\ntitle: Findings\nchecks:\n{shadowed}"))?;
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

/// A ruleset with a few rules that do otherwise, spread over it.
fn edited(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let every = lines.len() / 4 + 1;
    let mut out = String::with_capacity(text.len());
    let mut since = 0;
    for line in lines {
        since += 1;
        let turned = match line {
            l if since < every => l.to_owned(),
            l if l.ends_with("-j ACCEPT") => l.replace("-j ACCEPT", "-j DROP"),
            l if l.ends_with(" accept") => l.replace(" accept", " drop"),
            l => l.to_owned(),
        };
        if turned != line {
            since = 0;
        }
        out.push_str(&turned);
        out.push('\n');
    }
    out
}
