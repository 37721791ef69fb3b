//! Whether two devices treat all packets the same, exactly: for oracles that write the same intent in another format.
#![allow(dead_code, reason = "each test uses a part of it")]

use fwproof::eval::flow::{Query, Want, passing};
use fwproof::eval::{Analysis, Way, words};
use fwproof::model::{Device, NamePattern};
use fwproof::net::{Family, Ranges};
use fwproof::packets::{Cube, Dim, Field, plausible};
use fwproof::source::Limits;

/// An interface that neither device names.
pub const OTHER: &str = "elsewhere9";

/// The first difference between two devices in words, on these interfaces (and one that nothing names), for packets of `region` (all, if empty); `None` if
/// both let pass the same packets, and keep out the same. Matches that are not modelled count as such that may hold or not, on both sides.
pub fn difference(a: &Device, b: &Device, interfaces: &[&str], region: impl Fn(Family) -> Vec<Cube>) -> Option<String> {
    let all: Vec<&str> = interfaces.iter().copied().chain([OTHER]).collect();
    let names: Vec<NamePattern> = all.iter().map(|n| NamePattern::exact(*n)).collect();
    let (a, b) = (Analysis::new(a, &names, &Limits::default()), Analysis::new(b, &names, &Limits::default()));
    for family in Family::BOTH {
        let region = region(family);
        for way in Way::ALL {
            let arrivals: Vec<Option<&str>> = if way == Way::Output { vec![None] } else { all.iter().map(|n| Some(*n)).collect() };
            let departures: Vec<Option<&str>> = if way == Way::Input { vec![None] } else { all.iter().map(|n| Some(*n)).collect() };
            for iif in &arrivals {
                for oif in &departures {
                    for want in [Want::Accepted, Want::Blocked] {
                        let of = |x: &Analysis<'_>| packets(x, way, family, want, (*iif, *oif), &region);
                        let (of_a, of_b) = (of(&a), of(&b));
                        for (left, right, who) in [(&of_a, &of_b, "the first"), (&of_b, &of_a, "the second")] {
                            let rest = minus(left, right, family);
                            let Some(cube) = rest.first() else { continue };
                            let packet = plausible(cube, family);
                            let verb = if want == Want::Accepted { "may let pass" } else { "may keep out" };
                            return Some(format!(
                                "only {who} {verb}, {} {} from {iif:?} to {oif:?}: {}, as in {}",
                                family.name(),
                                way.name(),
                                words::cube_words(cube, way, family, &a.space),
                                words::packet_words(&packet, way, family, &a.space),
                            ));
                        }
                    }
                }
            }
        }
    }
    None
}

/// The packets of a device that may pass (or be kept out) between two interfaces, without what the question fixes.
fn packets(
    analysis: &Analysis<'_>,
    way: Way,
    family: Family,
    want: Want,
    (iif, oif): (Option<&str>, Option<&str>),
    region: &[Cube],
) -> Vec<Cube> {
    let mut here = Some(Cube::any());
    for (name, field) in [(iif, Field::Iif), (oif, Field::Oif)] {
        if let Some(name) = name {
            let number = Ranges::single(analysis.space.interface_number(name));
            here = here.and_then(|c| c.with(Dim::field(field), &number, family));
        }
    }
    let here: Vec<Cube> = here.into_iter().collect();
    let arriving: Vec<Cube> =
        if region.is_empty() { here } else { here.iter().flat_map(|h| region.iter().filter_map(|r| r.and(h))).collect() };
    let found = passing(analysis, Query::new(way, family, want), &arriving, &[Cube::any()]).unwrap_or_else(|e| panic!("{}", e.0));
    found.iter().map(|p| bare(&p.arriving, family)).collect()
}

/// Without interfaces and conditions, which differ by their numbers.
fn bare(cube: &Cube, family: Family) -> Cube {
    let mut out = Cube::any();
    for (dim, set) in cube.without_conditions().dims() {
        if *dim != Dim::field(Field::Iif) && *dim != Dim::field(Field::Oif) {
            out = out.with(*dim, set, family).expect("a part of itself");
        }
    }
    out
}

/// The packets of `a` that are in none of `b`.
pub fn minus(a: &[Cube], b: &[Cube], family: Family) -> Vec<Cube> {
    let mut rest = a.to_vec();
    for cube in b {
        let mut next = Vec::new();
        for piece in &rest {
            piece.minus_into(cube, family, &mut next);
        }
        rest = next;
        assert!(rest.len() < 200_000, "too many pieces to compare");
    }
    rest
}
