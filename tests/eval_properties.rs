//! The packet engine against the independent walk and against brute force, on random rulesets over few values.

use std::collections::BTreeMap;
use std::sync::Arc;

use fwproof::eval::fates::{Fate, fates};
use fwproof::eval::flow::{Hits, Query, Want, hits, passing};
use fwproof::eval::walk::{Outcome, walk, walk_given};
use fwproof::eval::{Analysis, Line, Way};
use fwproof::model::*;
use fwproof::net::{Family, Ranges};
use fwproof::packets::fields::{ABSENT_FLAGS, ABSENT_PORT};
use fwproof::packets::{Cube, Field, Packet};
use fwproof::source::{FileId, Limits, Span};
use proptest::prelude::*;

const FAMILY: Family = Family::V4;
const ADDRESSES: [u128; 4] = [0, 1, 2, 9];
const PORTS: [u128; 3] = [0, 1, 7];
const MARKS: [u128; 3] = [0, 1, 2];

fn span(n: usize) -> Span {
    Span::new(FileId(0), n, n + 1)
}

fn set(values: &'static [u128]) -> impl Strategy<Value = Ranges> {
    prop::collection::vec(prop::sample::select(values), 1..3).prop_map(Ranges::from_values)
}

fn leaf() -> impl Strategy<Value = Match> {
    prop_oneof![
        3 => (prop::sample::select(&[Field::Src, Field::Dst][..]), set(&ADDRESSES), any::<bool>())
            .prop_map(|(f, s, n)| Match::address(f, FAMILY, s, n)),
        3 => (set(&PORTS), any::<bool>()).prop_map(|(s, n)| Match::All(vec![
            Match::Field(Field::Proto, Ranges::single(17)),
            Match::field(Field::Dport, s, n),
        ])),
        1 => (0u128..5).prop_map(|n| Match::Field(Field::Ct, Ranges::single(n))),
        1 => (0u32..2).prop_map(|n| Match::Opaque(ConditionId(n))),
        1 => prop::sample::select(&["eth0", "eth1"][..]).prop_map(|n| Match::Interface(Direction::In, NamePattern::exact(n))),
        1 => Just(Match::Interface(Direction::In, NamePattern::prefix("eth"))),
        1 => prop::sample::select(&MARKS[..]).prop_map(|n| Match::Field(Field::Mark, Ranges::single(n))),
        1 => any::<bool>().prop_map(|n| Match::InSet {
            set: if n { "known".into() } else { "unknown".into() },
            fields: vec![Field::Src, Field::Dport],
            span: span(0),
        }),
        1 => Just(Match::Any),
    ]
}

fn matcher() -> impl Strategy<Value = Match> {
    leaf().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Match::all),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Match::any_of),
            inner.prop_map(|m| m.negate_if(true)),
        ]
    })
}

/// Actions of chain `c` of `n`: calls go to later chains only.
fn action(c: u32, n: u32) -> BoxedStrategy<Action> {
    let simple = prop_oneof![
        3 => Just(Action::Accept),
        3 => Just(Action::Drop),
        1 => Just(Action::Reject("reset".into())),
        2 => Just(Action::Return),
        1 => Just(Action::Continue),
        1 => Just(Action::Opaque("QUEUE".into())),
    ];
    if c + 1 < n {
        let to = c + 1..n;
        prop_oneof![
            3 => simple,
            2 => to.clone().prop_map(|t| Action::Jump(ChainId(t))),
            1 => to.prop_map(|t| Action::Goto(ChainId(t))),
        ]
        .boxed()
    } else {
        simple.boxed()
    }
}

fn rules(c: u32, n: u32, marks: bool) -> impl Strategy<Value = Vec<Rule>> {
    let effects = if marks {
        prop_oneof![
            6 => Just(vec![]),
            1 => prop::sample::select(&MARKS[..]).prop_map(|m| vec![Effect::Set(Field::Mark, m)]),
        ]
        .boxed()
    } else {
        Just(vec![]).boxed()
    };
    prop::collection::vec((matcher(), action(c, n), effects), 0..5).prop_map(move |v| {
        v.into_iter().enumerate().map(|(i, (m, a, e))| Rule { effects: e, ..Rule::new(m, a, span(c as usize * 100 + i)) }).collect()
    })
}

fn nat_rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec((matcher(), prop::sample::select(&ADDRESSES[..]), prop::option::of(prop::sample::select(&PORTS[..]))), 0..3)
        .prop_map(|v| {
            v.into_iter()
                .enumerate()
                .map(|(i, (m, a, p))| {
                    let t = Translation {
                        kind: NatKind::Destination,
                        addresses: Some((FAMILY, Ranges::single(a))),
                        keep_host_bits: false,
                        ports: p.map(Ranges::single),
                        unknown: false,
                    };
                    Rule::new(m, Action::Nat(t), span(900 + i))
                })
                .collect()
        })
}

/// Two filter base chains (0, 1), a NAT chain (2), and three called chains.
fn device(marks: bool) -> impl Strategy<Value = Device> {
    let policy = || prop_oneof![Just(PolicyAction::Accept), Just(PolicyAction::Drop), Just(PolicyAction::Unknown)];
    ((rules(0, 5, marks), rules(1, 5, marks), rules(2, 5, false), rules(3, 5, false), rules(4, 5, false), nat_rules()), policy(), policy())
        .prop_map(|((a, b, c, d, e, nat), p, q)| {
            let mut device = Device { name: "random".into(), ..Device::default() };
            let mut chain = |name: &str, rules| device.chains.push(Chain { name: name.into(), span: span(0), rules });
            for (name, rules) in [("a", a), ("b", b), ("c", c), ("d", d), ("e", e), ("nat", nat)] {
                chain(name, rules);
            }
            let base = |chain: u32, hook, priority, nat, action| BaseChain {
                chain: ChainId(chain),
                hook,
                priority,
                families: vec![FAMILY],
                nat,
                policy: Policy { action, span: span(0) },
                devices: vec![],
            };
            device.base_chains = vec![
                base(1, Hook::Forward, 10, false, q),
                base(0, Hook::Forward, 0, false, p),
                base(5, Hook::Prerouting, -100, true, PolicyAction::Accept),
            ];
            device.conditions.intern("limit", span(0));
            device.conditions.intern("recent", span(0));
            device.sets.push(NamedSet {
                name: Arc::from("known"),
                span: span(0),
                dynamic: false,
                elements: [(0, 1, false), (1, 7, false), (0, 1, true)]
                    .map(|(a, p, excluded)| SetElement {
                        values: vec![SetValue::Address(FAMILY, Ranges::single(a)), SetValue::Number(Ranges::single(p))],
                        excluded,
                        span: span(0),
                    })
                    .to_vec(),
            });
            device
        })
}

/// A packet for every combination of the values that rules can tell apart.
fn grid(analysis: &Analysis<'_>) -> Vec<Packet> {
    let mut out = Vec::new();
    let eth = |n: &str| analysis.space.interface_number(n);
    for iif in [eth("eth0"), eth("eth5"), eth("wlan9")] {
        for src in [0, 1, 9, 5000] {
            for dst in [0, 1, 2, 5000] {
                for ct in 0..4 {
                    for port in [Some(0), Some(1), Some(7), Some(333), None] {
                        let mut p = Packet::zero();
                        p.set(Field::Iif, iif);
                        p.set(Field::Oif, eth("wlan9"));
                        p.set(Field::Src, src);
                        p.set(Field::Dst, dst);
                        p.set(Field::Ct, ct);
                        p.set(Field::Proto, if port.is_some() { 17 } else { 47 });
                        p.set(Field::Dport, port.unwrap_or(ABSENT_PORT));
                        p.set(Field::Sport, if port.is_some() { 40000 } else { ABSENT_PORT });
                        p.set(Field::Icmp, ABSENT_PORT);
                        p.set(Field::TcpFlags, ABSENT_FLAGS);
                        out.push(p);
                    }
                }
            }
        }
    }
    out
}

fn passes(analysis: &Analysis<'_>, p: &Packet) -> Outcome {
    walk(analysis, Way::Forward, FAMILY, p, Some(p.conditions()), None, false).verdict
}

/// Steps after which a search goes over to its second method: at once, soon, or (on rulesets as small as these) never.
const PATIENCE: [usize; 3] = [0, 3, 1000];

fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("FWPROOF_CASES").ok().and_then(|c| c.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn the_accepted_set_is_what_single_packets_get(device in device(true), patience in prop::sample::select(&PATIENCE[..])) {
        let analysis = Analysis::new(&device, &[], &Limits::default()).with_patience(patience);
        let any = [Cube::any()];
        let accepted = passing(&analysis, Query::new(Way::Forward, FAMILY, Want::Accepted), &any, &any).unwrap();
        let blocked = passing(&analysis, Query::new(Way::Forward, FAMILY, Want::Blocked), &any, &any).unwrap();
        for mut p in grid(&analysis) {
            for bits in [0u32, 1, 2, 3, 0b1101, 0b11_1110] {
                for c in 0..8 {
                    p.set_condition(c, bits >> c & 1 == 1);
                }
                let is = accepted.iter().filter(|a| a.arriving.contains(&p)).count();
                let not = blocked.iter().filter(|a| a.arriving.contains(&p)).count();
                prop_assert_eq!(is + not, 1, "{:?} is in {} accepted and {} blocked cubes", p, is, not);
                prop_assert_eq!(is == 1, passes(&analysis, &p) == Outcome::Accept, "{:?}", p);
            }
        }
    }

    #[test]
    fn an_open_walk_is_certain_only_where_all_valuations_agree(device in device(true)) {
        let analysis = Analysis::new(&device, &[], &Limits::default());
        for mut p in grid(&analysis).into_iter().step_by(7) {
            let open = walk(&analysis, Way::Forward, FAMILY, &p, None, None, false).verdict;
            let mut seen = Vec::new();
            for bits in 0..64u32 {
                for c in 0..6 {
                    p.set_condition(c, bits >> c & 1 == 1);
                }
                seen.push(passes(&analysis, &p));
            }
            if open != Outcome::Unknown {
                prop_assert!(seen.iter().all(|s| *s == open));
            }
        }
    }

    #[test]
    fn hits_find_every_deciding_line(device in device(true), patience in prop::sample::select(&PATIENCE[..])) {
        let analysis = Analysis::new(&device, &[], &Limits::default()).with_patience(patience);
        let any = [Cube::any()];
        for want in [Want::Accepted, Want::Blocked] {
            // A search that reaches its bound says so, and answers nothing: that is no wrong answer.
            let Ok(Hits { found, .. }) = hits(&analysis, Query::new(Way::Forward, FAMILY, want), &any, &any) else { continue };
            for h in &found {
                let is = passes(&analysis, &h.packet) == Outcome::Accept;
                prop_assert_eq!(is, want == Want::Accepted);
            }
            let some = grid(&analysis).iter().any(|p| (passes(&analysis, p) == Outcome::Accept) == (want == Want::Accepted));
            prop_assert!(!some || !found.is_empty());
        }
    }

    #[test]
    fn what_passes_at_rest_passes_whatever_else_is_so(mut device in device(true), answer: bool, patience in prop::sample::select(&PATIENCE[..])) {
        device.conditions.set_at_rest(ConditionId(0), answer);
        let analysis = Analysis::new(&device, &[], &Limits::default()).with_patience(patience);
        let given = [(0, answer)];
        let any = [Cube::any()];
        let way = (Way::Forward, FAMILY);
        for want in [Want::Accepted, Want::Blocked] {
            let Ok(Hits { found, .. }) = hits(&analysis, Query::new(Way::Forward, FAMILY, want), &any, &any) else { continue };
            for h in found.iter().filter(|h| h.certain) {
                prop_assert!(!h.at_rest || want == Want::Accepted);
                let given = if h.at_rest { &given[..] } else { &[] };
                let verdict = walk_given(&analysis, way, &h.packet, given, Some(&h.decided_as), false).verdict;
                prop_assert!(verdict != Outcome::Unknown && (verdict == Outcome::Accept) == (want == Want::Accepted), "{:?}", h);
            }
        }
    }

    #[test]
    fn a_shadowed_rule_is_met_by_no_packet_and_a_redundant_one_changes_nothing(device in device(false), patience in prop::sample::select(&PATIENCE[..])) {
        let analysis = Analysis::new(&device, &[], &Limits::default()).with_patience(patience);
        let fates = fates(&analysis).unwrap();
        let mut met: BTreeMap<Line, usize> = BTreeMap::new();
        let mut packets = Vec::new();
        for mut p in grid(&analysis) {
            for bits in 0..16u32 {
                for c in 0..8 {
                    p.set_condition(c, bits >> (c % 4) & 1 == 1);
                }
                for line in walk(&analysis, Way::Forward, FAMILY, &p, Some(p.conditions()), None, false).path {
                    *met.entry(line).or_default() += 1;
                }
                if bits % 5 == 0 {
                    packets.push(p.clone());
                }
            }
        }
        for (line, fate) in &fates {
            match fate {
                Fate::Shadowed(_) | Fate::Empty | Fate::Uncalled => prop_assert!(!met.contains_key(line), "{:?} {:?}", line, fate),
                Fate::Redundant(_) => {
                    let mut without = device.clone();
                    without.chains[line.chain.0 as usize].rules[line.rule.unwrap() as usize].enabled = false;
                    let other = Analysis::new(&without, &[], &Limits::default());
                    for p in &packets {
                        prop_assert_eq!(passes(&analysis, p), passes(&other, p), "{:?} {:?}", line, p);
                    }
                }
                Fate::Live => {}
                Fate::Undecided => prop_assert!(false, "undecided"),
            }
        }
    }
}
