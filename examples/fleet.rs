//! Writes the folders of a fleet of remote workers, with roster and baseline: `cargo run --release --example fleet -- FOLDER WORKERS`.
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

#[path = "../benches/generate/fleet.rs"]
mod fleet;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(workers)) = (args.next(), args.next().and_then(|n| n.parse().ok())) else {
        eprintln!("usage: fleet FOLDER WORKERS");
        return Ok(());
    };
    fleet::fleet(Path::new(&folder), workers)?;
    println!("fwproof check {folder} --as-of {}", fleet::AS_OF);
    Ok(())
}
