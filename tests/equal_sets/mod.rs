//! Whether two devices let the same packets through: for every way and family, no packet is accepted by one and denied by the other.
#![allow(missing_docs, dead_code)]

use std::collections::BTreeSet;

use fwproof::eval::flow::{Query, Want, passing};
use fwproof::eval::{Analysis, Way};
use fwproof::model::{ConditionId, Device, Match, NamePattern};
use fwproof::net::Family;
use fwproof::packets::{Cube, Dim};
use fwproof::source::Limits;

/// Every interface that a device names.
fn names(device: &Device) -> Vec<NamePattern> {
    let mut out = BTreeSet::new();
    for rule in device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| {
            if let Match::Interface(_, p) = m {
                out.insert(p.clone());
            }
        });
    }
    out.into_iter().collect()
}

/// The conditions of a device by text.
fn conditions(device: &Device) -> Vec<String> {
    (0..device.conditions.len() as u32).map(|i| device.conditions.get(ConditionId(i)).0.to_owned()).collect()
}

/// The same device, whose conditions begin with `shared` in this order, and after them as many that it does not have.
fn renumbered(device: &Device, shared: &[String], spare: usize) -> Device {
    let mut out = Device::default();
    let spare: Vec<String> = (0..spare).map(|i| format!("spare {i}")).collect();
    for text in shared.iter().chain(&spare) {
        out.conditions.intern(text, fwproof::source::Span::new(fwproof::source::FileId(0), 0, 0));
    }
    out.absorb(device.clone());
    out
}

/// Conditions that are the same in both, each in its own words: those of the same text, and limits in the order of their rules.
fn shared(a: &Device, b: &Device) -> (Vec<String>, Vec<String>) {
    let (of_a, of_b) = (conditions(a), conditions(b));
    let mine: BTreeSet<&String> = of_a.iter().collect();
    let equal: Vec<String> = of_b.iter().filter(|c| mine.contains(c)).cloned().collect();
    let limits = |list: &[String]| list.iter().filter(|c| c.starts_with("limit ") && !equal.contains(c)).cloned().collect::<Vec<_>>();
    let (la, lb) = (limits(&of_a), limits(&of_b));
    let n = if la.len() == lb.len() { la.len() } else { 0 };
    let with = |limits: Vec<String>| equal.iter().cloned().chain(limits.into_iter().take(n)).collect();
    (with(la), with(lb))
}

/// What one accepts and the other denies, in words; nothing if they are equal. Conditions of the same text are the same; packets that
/// turn on another condition, or become something that is not known, are left out, and counted. Also the number of pairs of sets that were compared.
pub fn differences(a: (&str, &Device), b: (&str, &Device)) -> (Vec<String>, usize, usize) {
    differences_within(a, b, &Way::ALL, &|_, _, _| vec![Cube::any()])
}

/// As [`differences`], of the packets of a region alone, on some ways.
pub fn differences_within(
    a: (&str, &Device),
    b: (&str, &Device),
    ways: &[Way],
    region: &dyn Fn(&Analysis<'_>, Way, Family) -> Vec<Cube>,
) -> (Vec<String>, usize, usize) {
    let mut all = names(a.1);
    all.extend(names(b.1));
    let (of_a, of_b) = shared(a.1, b.1);
    let common = of_a.len();
    // What only one of them has gets numbers that the other does not have.
    let (da, db) = (renumbered(a.1, &of_a, 0), renumbered(b.1, &of_b, 1 << 16));
    let limits = Limits::default();
    let (xa, xb) = (Analysis::new(&da, &all, &limits), Analysis::new(&db, &all, &limits));
    let certain = |c: &Cube| c.dims().iter().all(|(d, _)| d.as_condition().is_none_or(|c| (c as usize) < common));
    let (mut out, mut compared, mut left_out) = (Vec::new(), 0, 0);
    for &way in ways {
        for family in Family::BOTH {
            let region = region(&xa, way, family);
            let sets = |x: &Analysis<'_>, want| passing(x, Query::new(way, family, want), &region, &[Cube::any()]).expect("within bounds");
            for (yes, no) in [((a.0, &xa), (b.0, &xb)), ((b.0, &xb), (a.0, &xa))] {
                let accepted = sets(yes.1, Want::Accepted);
                let blocked = sets(no.1, Want::Blocked);
                for p in &accepted {
                    for q in &blocked {
                        compared += 1;
                        let Some(both) = p.arriving.and(&q.arriving) else { continue };
                        if !certain(&p.arriving) || !certain(&q.arriving) || !p.certain || !q.certain {
                            left_out += 1;
                            continue;
                        }
                        if out.len() < 12 {
                            let dims: Vec<String> = both.dims().iter().map(|(d, s)| format!("{} {:?}", dim(*d), s.intervals())).collect();
                            out.push(format!(
                                "{} {}: accepted by {} ({}), denied by {} ({}): {}",
                                way.name(),
                                family.name(),
                                yes.0,
                                yes.1.line_words(p.line),
                                no.0,
                                no.1.line_words(q.line),
                                dims.join(", ")
                            ));
                        }
                    }
                }
            }
        }
    }
    (out, compared, left_out)
}

fn dim(d: Dim) -> String {
    match (d.as_field(), d.as_condition()) {
        (Some(f), _) => f.name().to_owned(),
        (_, Some(c)) => format!("condition {c}"),
        _ => "?".to_owned(),
    }
}
