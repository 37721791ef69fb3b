//! Times reading, lowering and the fate of every rule of one ruleset file: `fates FORMAT RULESET`.
#![allow(clippy::print_stdout, missing_docs)]
use std::time::Instant;

use fwproof::eval::Analysis;
use fwproof::source::{FileId, Limits, SourceFile};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let start = Instant::now();
    let bytes = std::fs::read(&args[1]).unwrap();
    let file = SourceFile::new(FileId(0), &*args[1], &bytes);
    let decoded = start.elapsed();
    let reading = fwproof::vendors::format(&args[0]).unwrap().read_file(&file);
    let read = start.elapsed();
    let analysis = Analysis::new(&reading.device, &[], &Limits::default());
    let space = start.elapsed();
    let fates = analysis.fates().unwrap();
    let done = start.elapsed();
    let mut counts = std::collections::BTreeMap::new();
    for fate in fates.values() {
        let text = format!("{fate:?}");
        let word = text.split('(').next().unwrap_or("").to_owned();
        *counts.entry(word).or_insert(0) += 1;
    }
    println!("decode {decoded:?} read {:?} space {:?} fates {:?} {counts:?}", read - decoded, space - read, done - space);
}
