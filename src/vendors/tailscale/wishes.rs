//! `tests`: what a policy says that it must accept and deny. Tailscale refuses a policy whose tests fail.

use super::lower::{Access, Traffic, destination};
use super::selector::{Defined, Selector};
use crate::diag::LineState;
use crate::net::Ranges;
use crate::syntax::json::Value;
use crate::vendors::Reader;

/// An answer of which not everything is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    No,
    Maybe,
    Yes,
}

/// Decisions that the tests of a policy may take: more is a policy made to take long.
const MOST: usize = 2_000_000;

pub(super) fn judge(reader: &mut Reader<'_>, defined: &Defined, policy: &Value, rules: &[Access]) {
    let mut left = MOST;
    for test in policy.get("tests").map(Value::list).unwrap_or_default() {
        let Some(source) = test.get("src").or_else(|| test.get("user")).and_then(|v| Some((v.text()?, v.span))) else {
            reader.note(test.span, LineState::Unsupported, "a test without a source");
            continue;
        };
        let from = Selector::of(&mut reader.device.names, defined, source.0, source.1);
        let icmp = test.get("proto").and_then(Value::text).filter(|p| !p.is_empty());
        let protocol = match icmp {
            Some("udp") => 17,
            Some("icmp") => 1,
            Some(p) => p.parse::<u8>().ok().or_else(|| crate::net::protocol_number(p)).map_or(6, u128::from),
            None => 6,
        };
        for (list, wanted) in [("accept", true), ("allow", true), ("deny", false)] {
            for item in test.get(list).map(Value::list).unwrap_or_default() {
                let Some((host, ports)) = item.text().and_then(destination) else {
                    reader.note(item.span, LineState::Unsupported, "not host:port");
                    continue;
                };
                let Some(rest) = left.checked_sub(rules.len()) else {
                    return reader.incomplete(item.span, LineState::Unsupported, "more tests than are decided");
                };
                left = rest;
                let to = Selector::of(&mut reader.device.names, defined, host, item.span);
                let ends = ((source.0, &from), (host, &to));
                let answer = rules.iter().map(|rule| accepts(rule, defined, ends, protocol, ports.as_ref())).max().unwrap_or(Answer::No);
                let text = item.text().unwrap_or("");
                match (answer, wanted) {
                    (Answer::No, true) => {
                        reader.refused(item.span, format!("the policy's own test fails: {} does not reach {text}", source.0))
                    }
                    (Answer::Yes, false) => reader.refused(item.span, format!("the policy's own test fails: {} reaches {text}", source.0)),
                    (Answer::Maybe, _) => {
                        reader.note(item.span, LineState::NotModelled, "whether this test passes depends on who has which address");
                    }
                    _ => {}
                }
            }
        }
    }
}

type End<'s> = (&'s str, &'s Selector);

fn accepts(rule: &Access, defined: &Defined, (from, to): (End<'_>, End<'_>), protocol: u128, ports: Option<&Ranges>) -> Answer {
    let any = |list: &[(String, Selector)], end: End<'_>, source: bool| {
        list.iter().map(|(name, s)| meets(name, s, end, source, from, defined)).max().unwrap_or(Answer::No)
    };
    let traffic = rule.traffic.iter().any(|t| carries(t, protocol, ports));
    if !traffic {
        return Answer::No;
    }
    let both = any(&rule.src, from, true).min(any(&rule.dst, to, false));
    if rule.conditional { both.min(Answer::Maybe) } else { both }
}

fn carries(traffic: &Traffic, protocol: u128, ports: Option<&Ranges>) -> bool {
    let protocols = traffic.any || traffic.protocols.contains(&protocol) || protocol == 1;
    let fits = match (&traffic.ports, ports) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(own), Some(asked)) => asked.is_subset(own),
    };
    protocols && (fits || protocol == 1)
}

/// Whether what a rule names holds the end of a test.
fn meets(name: &str, selector: &Selector, end: End<'_>, source: bool, from: End<'_>, defined: &Defined) -> Answer {
    let yes = |b: bool| if b { Answer::Yes } else { Answer::No };
    match (selector, end.1) {
        (Selector::Any, _) => Answer::Yes,
        (Selector::Addresses(own), Selector::Addresses(asked)) => {
            let inside = asked.iter().filter(|a| !a.1.is_empty()).all(|(f, r)| own.iter().any(|(g, o)| f == g && r.is_subset(o)));
            let apart = asked.iter().all(|(f, r)| own.iter().all(|(g, o)| f != g || r.and(o).is_empty()));
            if inside {
                Answer::Yes
            } else if apart {
                Answer::No
            } else {
                Answer::Maybe
            }
        }
        // Its own devices: a user's, if both ends are the same user.
        (Selector::Own, Selector::Named(_)) if !source => yes(end.0 == from.0 && is_user(end.0)),
        (Selector::Own | Selector::Internet, _) => Answer::Maybe,
        (Selector::Named(_), Selector::Named(asked)) => {
            let user = is_user(asked);
            let member = defined.groups.get(name).is_some_and(|m| m.contains(asked));
            match name {
                _ if name == asked || member => Answer::Yes,
                "autogroup:member" | "autogroup:members" if user => Answer::Yes,
                "autogroup:tagged" => yes(asked.starts_with("tag:")),
                _ if name.starts_with("autogroup:") && user => Answer::Maybe,
                // The members of a group are written; a tagged device has no user.
                _ if name.starts_with("group:") || name.starts_with("tag:") || is_user(name) => Answer::No,
                _ => Answer::Maybe,
            }
        }
        // Who has an address is not in the policy.
        _ => Answer::Maybe,
    }
}

fn is_user(name: &str) -> bool {
    name.contains('@') && !name.starts_with("group:")
}
