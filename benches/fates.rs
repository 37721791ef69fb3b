//! Reading a ruleset, and finding the fate of every rule of it.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use fwproof::eval::Analysis;
use fwproof::source::Limits;
use fwproof::vendors;

mod generate;

fn fates(c: &mut Criterion) {
    let Some(format) = vendors::format("iptables") else { return };
    let mut group = c.benchmark_group("iptables");
    group.sample_size(10);
    for (name, text) in [
        ("flat 1,000", generate::flat(1000, false)),
        ("flat 10,000", generate::flat(10_000, false)),
        ("90 chains", generate::chained(5000, 90)),
    ] {
        group.bench_function(format!("read {name}"), |b| b.iter(|| format.read_text("bench", &text)));
        let (_, reading) = format.read_text("bench", &text);
        group.bench_function(format!("fates of {name}"), |b| {
            b.iter(|| Analysis::new(&reading.device, &[], &Limits::default()).fates().map(|f| f.len()));
        });
    }
    group.finish();
}

criterion_group!(benches, fates);
criterion_main!(benches);
