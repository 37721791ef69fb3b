//! Reading a ruleset, and finding the fate of every rule of it.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use fwproof::eval::Analysis;
use fwproof::source::Limits;
use fwproof::vendors;

#[allow(dead_code, reason = "the examples use the rest of it")]
mod generate;

use generate::stress;

fn fates(c: &mut Criterion) {
    let Some(format) = vendors::format("iptables") else { return };
    let mut group = c.benchmark_group("iptables");
    group.sample_size(10);
    for (name, text) in [
        ("flat 1,000", generate::flat(1000, false)),
        ("flat 10,000", generate::flat(10_000, false)),
        ("90 chains", generate::chained(5000, 90)),
        ("a partition", stress::kd(1000)),
        ("crossing slabs", stress::slabs(300)),
        ("a grid", stress::grid(10)),
        ("returns", stress::returns(2000, 20)),
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
