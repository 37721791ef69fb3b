//! Values of the firewall package as matches.

use super::uci::Word;
use crate::model::{Direction, Match, NamePattern};
use crate::net::{Family, Ranges, parse_addr, parse_cidr};
use crate::packets::Field;

/// A value that may be negated by a leading `!`.
pub(super) fn negated(text: &str) -> (bool, &str) {
    match text.trim_start().strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, text.trim()),
    }
}

/// Addresses of one family.
#[derive(Clone, Debug)]
pub(super) enum Subnet {
    /// These.
    Known(Family, Ranges),
    /// Of this family, by a mask with gaps (`::1/::ffff`), which is no set of few ranges.
    Masked(Family),
}

impl Subnet {
    pub fn family(&self) -> Family {
        match self {
            Subnet::Known(f, _) | Subnet::Masked(f) => *f,
        }
    }
}

/// `192.168.1.0/24`, `10.0.0.1-10.0.0.9`, `192.168.1.0/255.255.255.0`.
pub(super) fn subnet(text: &str) -> Option<Subnet> {
    if let Some((first, last)) = text.split_once('-') {
        let ((f, lo), (g, hi)) = (parse_addr(first)?, parse_addr(last)?);
        return (f == g && lo <= hi).then(|| Subnet::Known(f, Ranges::interval(lo, hi)));
    }
    if let Some((address, mask)) = text.split_once('/')
        && let Some((g, mask)) = parse_addr(mask)
    {
        let (f, address) = parse_addr(address)?;
        let host = f.max_address() & !mask;
        if f != g {
            return None;
        }
        // The host part of a proper mask is one less than a power of two.
        return Some(if host & host.wrapping_add(1) == 0 {
            Subnet::Known(f, Ranges::interval(address & mask, (address & mask) | host))
        } else {
            Subnet::Masked(f)
        });
    }
    parse_cidr(text).map(|(f, lo, hi)| Subnet::Known(f, Ranges::interval(lo, hi)))
}

/// `22`, `8000-8080`, `8000:8080`.
pub(super) fn ports(text: &str) -> Option<Ranges> {
    let (first, last) = text.split_once(['-', ':']).unwrap_or((text, text));
    let (lo, hi) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
    (lo <= hi).then(|| Ranges::interval(lo.into(), hi.into()))
}

/// `00:11:22:33:44:55`.
pub(super) fn mac(text: &str) -> Option<u128> {
    let mut n = 0;
    let mut parts = 0;
    for part in text.split([':', '-']) {
        n = n << 8 | u128::from(u8::from_str_radix(part, 16).ok()?);
        parts += 1;
        if parts > 6 {
            return None;
        }
    }
    (parts == 6).then_some(n)
}

/// A family as fw4 reads it: `ipv4`, `4`, `inet`, `ipv6`, `any`. `Some(None)`: both.
pub(super) fn family(text: &str) -> Option<Option<Family>> {
    match text {
        "any" | "all" | "*" => Some(None),
        "inet" => Some(Some(Family::V4)),
        t if t.contains('4') => Some(Some(Family::V4)),
        t if t.contains('6') => Some(Some(Family::V6)),
        _ => None,
    }
}

/// A word of which the beginning is enough, as fw4 reads policies and targets.
pub(super) fn word<'c>(text: &str, choices: &[&'c str]) -> Option<&'c str> {
    let text = text.to_ascii_lowercase();
    choices.iter().find(|c| !text.is_empty() && c.starts_with(&text)).copied()
}

/// A list of values, each of which may be negated: one of the plain ones (if there is any) and none of the negated ones.
pub(super) fn either(plain: Vec<Match>, negated: Vec<Match>) -> Match {
    let mut parts: Vec<Match> = negated.into_iter().map(|m| Match::Not(Box::new(m))).collect();
    if !plain.is_empty() {
        parts.insert(0, Match::any_of(plain));
    }
    Match::all(parts)
}

/// Interface names with a `+` for anything.
pub(super) fn interface(direction: Direction, name: &str) -> Match {
    let pattern = match name.strip_suffix('+') {
        Some(beginning) => NamePattern::prefix(beginning),
        None => NamePattern::exact(name),
    };
    Match::Interface(direction, pattern)
}

/// Ports of `field`, each of which may be negated; values that are none are handed back.
pub(super) fn port_match(field: Field, list: &[Word], bad: &mut Vec<Word>) -> Match {
    let (mut plain, mut not) = (Ranges::EMPTY, Ranges::EMPTY);
    for word in list {
        let (negative, text) = negated(&word.text);
        match ports(text) {
            Some(set) if negative => not = not.or(&set),
            Some(set) => plain = plain.or(&set),
            None => bad.push(word.clone()),
        }
    }
    let mut parts = Vec::new();
    if !plain.is_empty() {
        parts.push(Match::Field(field, plain));
    }
    if !not.is_empty() {
        parts.push(Match::field_not(field, &not));
    }
    Match::all(parts)
}
