//! Writes the rulesets of docs/performance.md into a folder: `cargo run --release --example performance_inputs -- FOLDER`.
#![allow(clippy::print_stderr, missing_docs)]

#[path = "../benches/generate/mod.rs"]
mod generate;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: performance_inputs FOLDER");
        return Ok(());
    };
    let baseline = "fwproof: 1\ntitle: Speed\nuse: [network-edge]\nzones:\n  internet: { addresses: public }\n";
    for (name, text) in [
        ("small", generate::flat(20, false)),
        ("chains-5k", generate::chained(5000, 90)),
        ("flat-10k", generate::flat(10_000, false)),
        ("flat-100k", generate::flat(100_000, false)),
        ("flat-100k-v6", generate::flat(100_000, true)),
    ] {
        let place = std::path::Path::new(&folder).join(name);
        std::fs::create_dir_all(&place)?;
        std::fs::write(place.join("firewall.rules"), text)?;
    }
    std::fs::write(std::path::Path::new(&folder).join("edge.yaml"), baseline)
}
