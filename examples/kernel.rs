//! Compares fwproof with the Linux kernel for as long as is asked: `cargo run --release --example kernel -- PACKETS`.
//!
//! Rule sets are those of `tests/fixtures/kernel`, random ones, and the real ones of `FWPROOF_CORPUS` (else `../shared/corpus`) that the
//! kernel loads, if need be without the lines that it does not take; sets that are not there are made empty. Prints how many packets were compared, by back end, hook and family. Needs root or user namespaces, and `nft`, `iptables`,
//! `ipset` and `ip`. Ends with 1 if an answer differs, with 3 if nothing could be compared.
#![cfg_attr(not(target_os = "linux"), allow(missing_docs))]

#[cfg(target_os = "linux")]
#[path = "../tests/kernel_support/mod.rs"]
mod kernel_support;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
#[allow(clippy::print_stdout, clippy::print_stderr)]
fn main() -> std::process::ExitCode {
    use kernel_support::compare::Tally;
    if kernel_support::inside::main() {
        return 0.into();
    }
    let wanted: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    if kernel_support::inside::unshare().is_none() {
        eprintln!("no network namespace can be made: this needs nft, root, or user namespaces");
        return 3.into();
    }
    let mut tally = Tally::default();
    let mut round = 0;
    let fixed = rulesets();
    let mut plans = Plans::new();
    while tally.packets() < wanted && round < 10_000 {
        let rulesets = if round % 4 == 0 { fixed.as_slice() } else { &plans.next(16) };
        let jobs: Vec<_> =
            rulesets.iter().flat_map(|r| kernel_support::compare::loaders(r.extension).iter().map(move |l| (r, *l))).collect();
        let each = (wanted / 4 / fixed.len().max(1)).clamp(200, 3000);
        let done = std::sync::Mutex::new(Tally::default());
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some((ruleset, loader)) = jobs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                        let one = adapted(ruleset, *loader, each, round as u64);
                        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(one);
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if round > 0 {
            done.not_loaded.retain(|(name, _)| name.starts_with("random"));
        }
        tally.add(done);
        round += 1;
        eprintln!("{} packets, {} different", tally.packets(), tally.different.len());
    }
    println!("{}", tally.table());
    let mut shares = std::collections::BTreeMap::<String, (usize, usize)>::new();
    for (name, unknown, all) in tally.shares.iter().filter(|s| !s.0.starts_with("random")) {
        let sum = shares.entry(name.clone()).or_default();
        *sum = (sum.0 + unknown, sum.1 + all);
    }
    for (name, (unknown, all)) in shares.iter().filter(|s| s.1.0 > 0) {
        println!("unknown in {name}: {:.1} % of {all}", *unknown as f64 * 100.0 / (*all).max(1) as f64);
    }
    for text in &tally.different {
        println!("DIFFERENT {text}");
    }
    match (tally.different.is_empty(), tally.packets()) {
        (false, _) => 1.into(),
        (_, 0) => 3.into(),
        _ => 0.into(),
    }
}

/// Our own rule sets, and the real ones that are there.
#[cfg(target_os = "linux")]
fn rulesets() -> Vec<kernel_support::compare::Ruleset> {
    use fwproof::net::Family;
    use kernel_support::compare::{Ruleset, folder};
    use std::path::{Path, PathBuf};
    let mut out = folder(Path::new("tests/fixtures/kernel"));
    let corpus = std::env::var_os("FWPROOF_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    let mut todo = vec![corpus.join("iptables"), corpus.join("nftables")];
    let mut files = Vec::new();
    while let Some(path) = todo.pop() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.path().is_dir() { todo.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let extension = if text.lines().any(|l| ["*filter", "*nat", "*mangle", "*raw"].iter().any(|t| l.starts_with(t))) {
            let named = if name.contains("6.") { "v6" } else { "rules" };
            let one = Ruleset { name: name.clone(), text: text.clone(), extension: named, sets: None, addresses: None };
            match kernel_support::compare::family(&one) {
                Some(Family::V6) => "v6",
                _ => "v4",
            }
        } else if file.extension().is_none_or(|e| e != "json") && text.lines().any(|l| l.trim_start().starts_with("table ")) {
            "nft"
        } else {
            continue;
        };
        let text = text.replace("XX:XX:XX:XX:XX:XX", "02:00:00:00:00:01");
        let sets = missing_sets(&text, extension == "v6");
        if out.iter().all(|r| r.text != text) {
            out.push(Ruleset { name, text, extension, sets, addresses: None });
        }
    }
    out
}

/// Commands that make the address sets which a rule set only names, with nothing in them.
#[cfg(target_os = "linux")]
fn missing_sets(text: &str, six: bool) -> Option<String> {
    let family = if six { "inet6" } else { "inet" };
    let mut sets = std::collections::BTreeMap::new();
    let words: Vec<&str> = text.split_whitespace().collect();
    for three in words.windows(3).filter(|w| w[0] == "--match-set") {
        let kind = ["hash:net", "hash:net,port", "hash:ip,port,net"][three[2].matches(',').count().min(2)];
        sets.entry(three[1]).or_insert(kind);
    }
    (!sets.is_empty()).then(|| sets.iter().map(|(name, kind)| format!("create {name} {kind} family {family}\n")).collect())
}

/// Compares a rule set, without the lines of a real one that this machine's programs or kernel do not take. Both sides see the same rest.
#[cfg(target_os = "linux")]
fn adapted(
    ruleset: &kernel_support::compare::Ruleset,
    loader: kernel_support::Loader,
    most: usize,
    seed: u64,
) -> kernel_support::compare::Tally {
    use kernel_support::compare::{Ruleset, compare};
    let mut rest = Ruleset {
        name: ruleset.name.clone(),
        text: ruleset.text.clone(),
        extension: ruleset.extension,
        sets: ruleset.sets.clone(),
        addresses: ruleset.addresses.clone(),
    };
    let mut without = 0;
    loop {
        let mut tally = compare(&rest, loader, most, seed, &[]);
        let line = tally.not_loaded.first().and_then(|(_, why)| refused_line(why));
        let mut lines: Vec<&str> = rest.text.lines().collect();
        let place = line.and_then(|n| n.checked_sub(1)).filter(|i| lines.get(*i).is_some_and(|l| l.starts_with("-A")));
        match place {
            Some(i) if without < 40 && !ruleset.name.starts_with("random") => {
                lines[i] = "# left out";
                rest.text = lines.join("\n") + "\n";
                without += 1;
            }
            _ => {
                if without > 0 {
                    *tally.left_out.entry(ruleset.name.clone()).or_default() = without;
                }
                return tally;
            }
        }
    }
}

/// The line that a program of iptables complains about.
#[cfg(target_os = "linux")]
fn refused_line(why: &str) -> Option<usize> {
    ["Error occurred at line: ", "line "].iter().find_map(|mark| {
        let digits: String = why.split_once(mark)?.1.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

/// Random rule sets, one after the other.
#[cfg(target_os = "linux")]
struct Plans(proptest::test_runner::TestRunner);

#[cfg(target_os = "linux")]
impl Plans {
    fn new() -> Plans {
        Plans(proptest::test_runner::TestRunner::deterministic())
    }

    /// This many plans, each for both programs.
    fn next(&mut self, many: usize) -> Vec<kernel_support::compare::Ruleset> {
        use kernel_support::compare::Ruleset;
        use proptest::strategy::{Strategy, ValueTree};
        let mut out = Vec::new();
        for _ in 0..many {
            let Ok(tree) = kernel_support::random::plans().new_tree(&mut self.0) else { continue };
            let plan = tree.current();
            let ruleset = |text, extension| Ruleset { name: "random".into(), text, extension, sets: None, addresses: None };
            out.push(ruleset(plan.iptables(), if plan.six { "v6" } else { "v4" }));
            out.push(ruleset(plan.nftables(), "nft"));
        }
        out
    }
}
