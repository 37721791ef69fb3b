//! Whether `trace` and `reach` agree, on files and folders of real rulesets: `cargo run --release --example agreement -- [--packets N] PATH…`.
//!
//! For each file, packets at the edges of its rules are walked through its chains one by one, and looked for among the exact sets of
//! accepted and blocked packets of their neighbourhood. Ends with an error if one of them is on the wrong side or on none.
#![allow(clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

#[path = "../tests/agreement_support/mod.rs"]
mod support;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut packets = 10_000;
    if args.first().is_some_and(|a| a == "--packets") {
        packets = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(packets);
        args.drain(..2.min(args.len()));
    }
    let mut files = Vec::new();
    for path in &args {
        support::files(Path::new(path), &mut files);
    }
    let (mut rulesets, mut all, mut wrong) = (0, 0, 0);
    println!("{:>8} {:>8} {:>6} {:>8} {:>6} {:>7}  file", "packets", "accepted", "open", "given up", "wrong", "seconds");
    for file in &files {
        let start = Instant::now();
        let Some(c) = support::compare(file, packets) else { continue };
        let seconds = start.elapsed().as_secs_f32();
        let n = c.disagreements.len();
        println!("{:>8} {:>8} {:>6} {:>8} {n:>6} {seconds:>7.1}  {}", c.packets, c.accepted, c.open, c.given_up, file.display());
        c.disagreements.iter().take(3).for_each(|d| println!("  {d}"));
        rulesets += 1;
        all += c.packets;
        wrong += n + c.given_up;
    }
    println!("{all} packets on {rulesets} rulesets; {wrong} disagreements or searches given up");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
