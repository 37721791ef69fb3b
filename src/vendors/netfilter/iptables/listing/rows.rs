//! The columns of a listing.

use crate::net::{Family, protocol_number};

/// Which columns a listing has, by its heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Columns {
    numbers: bool,
    counters: bool,
    /// `in` and `out`: with -v.
    pub interfaces: bool,
}

impl Columns {
    /// Reads the line of the heads.
    pub fn of(line: &str) -> Option<Columns> {
        let mut words = line.split_ascii_whitespace().peekable();
        let numbers = words.next_if_eq(&"num").is_some();
        let counters = words.next_if_eq(&"pkts").is_some() && words.next_if_eq(&"bytes").is_some();
        let start = ["target", "prot", "opt"].iter().all(|w| words.next_if_eq(w).is_some());
        let interfaces = words.next_if_eq(&"in").is_some() && words.next_if_eq(&"out").is_some();
        let end = words.next() == Some("source") && words.next() == Some("destination") && words.next().is_none();
        (start && end).then_some(Columns { numbers, counters, interfaces })
    }
}

/// A rule as its columns say.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Row<'a> {
    pub packets: Option<u64>,
    /// `None`: the rule only counts.
    pub target: Option<&'a str>,
    pub protocol: &'a str,
    /// `-f` or `!f`; `None` also where the column is blank, as old versions of ip6tables leave it.
    pub option: Option<&'a str>,
    blank_option: bool,
    /// Arrival and departure, with -v.
    pub interfaces: Option<(&'a str, &'a str)>,
    pub source: &'a str,
    pub destination: &'a str,
    /// Matches and what the target says.
    pub rest: &'a str,
}

impl<'a> Row<'a> {
    /// Reads a line; `None` if it is none of such columns.
    pub fn of(line: &'a str, columns: Columns) -> Option<Row<'a>> {
        let mut rest = line;
        let mut packets = None;
        // A blank target leaves its column empty, eleven characters wide; a number of a rule or a counter never is.
        if columns.numbers {
            let (number, after) = word(rest)?;
            number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
            // "%-4u ": short numbers are filled up.
            rest = after.get(4usize.saturating_sub(number.len())..).unwrap_or("");
        }
        if columns.counters {
            let (count, after) = word(rest)?;
            packets = Some(counter(count)?);
            let (bytes, after) = word(after)?;
            counter(bytes)?;
            rest = after;
        }
        let separated = if columns.counters || columns.numbers { rest.strip_prefix(' ').unwrap_or(rest) } else { rest };
        let blank = separated.starts_with(' ');
        let mut fields: Vec<(&str, &str)> = Vec::with_capacity(8);
        let mut left = rest;
        while fields.len() < 8
            && let Some((w, after)) = word(left)
        {
            fields.push((w, after));
            left = after;
        }
        let is_option = |w: &str| matches!(w, "--" | "-f" | "!f" | "----");
        let at = |i: usize| fields.get(i).map(|f| f.0);
        // Where the spaces before it were lost, the option's place tells whether there is a target.
        let has_target = match (at(1).is_some_and(is_option), at(2).is_some_and(is_option)) {
            (true, false) => false,
            (false, true) => true,
            _ => !blank,
        };
        let mut i = usize::from(has_target);
        let target = if has_target { at(0) } else { None };
        let protocol = at(i)?;
        is_protocol(protocol).then_some(())?;
        i += 1;
        let option = at(i).filter(|w| is_option(w));
        let blank_option = option.is_none();
        i += usize::from(!blank_option);
        let interfaces = match columns.interfaces {
            true => {
                i += 2;
                Some((at(i - 2)?, at(i - 1)?))
            }
            false => None,
        };
        let source = at(i)?;
        let (destination, rest) = *fields.get(i + 1)?;
        let option = option.filter(|o| o.ends_with('f'));
        Some(Row { packets, target, protocol, option, blank_option, interfaces, source, destination, rest: rest.trim() })
    }

    /// The family of which the row can only be.
    pub fn family(&self) -> Option<Family> {
        let of = |address: &str| {
            let host = address.trim_start_matches('!');
            let numbers = |s: &str| s.contains('.') && s.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/'));
            match host {
                _ if host.contains(':') && host.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'/' | b'.')) => {
                    Some(Family::V6)
                }
                _ if numbers(host) => Some(Family::V4),
                _ => None,
            }
        };
        let by_protocol = match self.protocol.trim_start_matches('!') {
            "icmp" => Some(Family::V4),
            "icmpv6" | "ipv6-icmp" => Some(Family::V6),
            _ => None,
        };
        // Only ip6tables leaves the column blank.
        of(self.source).or(of(self.destination)).or(by_protocol).or(self.blank_option.then_some(Family::V6))
    }
}

/// The next word and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `12`, `318K`, `4M`: the tool rounds to thousands and millions.
fn counter(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'K' => (text.get(..text.len() - 1)?, 1_000),
        b'M' => (text.get(..text.len() - 1)?, 1_000_000),
        b'G' => (text.get(..text.len() - 1)?, 1_000_000_000),
        b'T' => (text.get(..text.len() - 1)?, 1_000_000_000_000),
        _ => (text, 1),
    };
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok()?.checked_mul(factor))?
}

fn is_protocol(text: &str) -> bool {
    let name = text.strip_prefix('!').unwrap_or(text);
    name == "all" || name.parse::<u8>().is_ok() || protocol_number(name).is_some()
}
