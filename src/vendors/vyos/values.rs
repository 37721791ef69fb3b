//! Values as matches: addresses, ports, protocols, interface names.

use crate::model::{Direction, Match, NamePattern};
use crate::net::{Family, Ranges, parse_addr, parse_cidr, service_port};
use crate::packets::Field;

/// A value that may be negated by a leading `!`.
pub(super) fn negated(text: &str) -> (bool, &str) {
    match text.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, text),
    }
}

/// `10.0.0.0/8`, `10.0.0.1`, `10.0.0.1-10.0.0.9`.
pub(super) fn addresses(text: &str) -> Option<(Family, Ranges)> {
    if let Some((first, last)) = text.split_once('-') {
        let ((f, lo), (g, hi)) = (parse_addr(first.trim())?, parse_addr(last.trim())?);
        return (f == g && lo <= hi).then(|| (f, Ranges::interval(lo, hi)));
    }
    parse_cidr(text).map(|(f, lo, hi)| (f, Ranges::interval(lo, hi)))
}

/// `any`, `22`, `8000-8080`, `https`: one item of a list of ports.
pub(super) fn port(text: &str, protocol: Option<u8>) -> Option<Ranges> {
    let one = |t: &str| t.parse::<u16>().ok().or_else(|| service_port(t, protocol)).map(u128::from);
    if let Some(port) = one(text) {
        return Some(Ranges::single(port));
    }
    let (first, last) = text.split_once(['-', ':'])?;
    let (lo, hi) = (one(first.trim())?, one(last.trim())?);
    (lo <= hi).then(|| Ranges::interval(lo, hi))
}

/// Ports and ranges of them with commas between; each, or the whole, may be negated. `each`: a `!` is about its own item alone (since 1.4:
/// `parse_rule` of vyos-1x), else about all of the list (`getPortRuleString` of Vyatta).
pub(super) fn ports(field: Field, text: &str, protocol: Option<u8>, each: bool) -> Option<Match> {
    let (mut plain, mut not) = (Ranges::EMPTY, Ranges::EMPTY);
    let (all, text) = if each { (false, text) } else { negated(text) };
    for item in text.split(',') {
        let (own, item) = negated(item.trim());
        let set = port(item, protocol)?;
        if own || all { not = not.or(&set) } else { plain = plain.or(&set) }
    }
    let mut parts = Vec::new();
    if !plain.is_empty() {
        parts.push(Match::Field(field, plain));
    }
    if !not.is_empty() {
        parts.push(Match::field_not(field, &not));
    }
    Some(Match::all(parts))
}

/// Numbers and ranges of them.
pub(super) fn number(text: &str, max: u128) -> Option<Ranges> {
    let one = |t: &str| {
        let t = t.trim();
        t.strip_prefix("0x").map_or_else(|| t.parse::<u128>().ok(), |hex| u128::from_str_radix(hex, 16).ok()).filter(|n| *n <= max)
    };
    if let Some(n) = one(text) {
        return Some(Ranges::single(n));
    }
    let (first, last) = text.split_once('-')?;
    let (lo, hi) = (one(first)?, one(last)?);
    (lo <= hi).then(|| Ranges::interval(lo, hi))
}

/// `00:11:22:33:44:55`.
pub(super) fn mac(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split([':', '-']).take(7).collect();
    if parts.len() != 6 {
        return None;
    }
    parts.iter().try_fold(0u128, |n, p| Some(n << 8 | u128::from(u8::from_str_radix(p, 16).ok()?)))
}

/// An interface name; a `*` (nftables) or `+` (iptables) at its end stands for anything.
pub(super) fn pattern(name: &str) -> NamePattern {
    match name.strip_suffix(['*', '+']) {
        Some(beginning) => NamePattern::prefix(beginning),
        None => NamePattern::exact(name),
    }
}

/// An interface, negated or not.
pub(super) fn interface(direction: Direction, text: &str) -> Match {
    let (not, name) = negated(text);
    Match::Interface(direction, pattern(name)).negate_if(not)
}
