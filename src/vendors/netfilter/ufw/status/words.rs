//! One rule as `ufw status` and as `ufw show added` write it.
//!
//! Sources: `get_status` of `backend_iptables.py`, `get_command` of `parser.py` of ufw 0.36.2.

use super::intent::{Intent, Log, Path, Side, Verdict, family_of, is_interface, is_word, ports};
use crate::net::Family;

/// Where the second column begins.
const ACTION_COLUMN: usize = 27;

/// One of the columns To and From.
#[derive(Default)]
struct Place<'a> {
    side: Side<'a>,
    protocol: Option<&'a str>,
    interface: Option<&'a str>,
    six: bool,
}

/// A row below `To Action From`. `None` if it is none.
pub(super) fn row(line: &str) -> Option<Intent<'_>> {
    let line = without_number(line);
    let (to, verdict, rest) = columns(line)?;
    let (path, rest) = [("IN", Path::In), ("OUT", Path::Out), ("FWD", Path::Through)]
        .into_iter()
        .find_map(|(word, path)| {
            let rest = rest.strip_prefix(word)?;
            (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some((path, rest))
        })
        .unwrap_or((Path::In, rest));
    let rest = rest.split(" #").next().unwrap_or("").trim();
    let (from, log) = attributes(rest);
    let (to, from) = (place(to)?, place(from)?);
    let families: Vec<Option<Family>> = [to.side.address, from.side.address].map(|a| a.and_then(family_of)).into();
    let six = to.six || from.six || families.contains(&Some(Family::V6));
    if six && families.contains(&Some(Family::V4)) {
        return None;
    }
    let protocol = match (to.protocol, from.protocol) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    // Of a rule for what passes through, each interface stands where the packets come from and go to; of another one, To has the
    // interface of what comes in and From that of what goes out.
    let (incoming, outgoing) = match path {
        Path::Through => (from.interface, to.interface),
        _ => (to.interface, from.interface),
    };
    let strange = match path {
        Path::In => outgoing.map(|o| format!("going out through {o}, of what comes in")),
        Path::Out => incoming.map(|i| format!("coming in on {i}, of what goes out")),
        Path::Through => None,
    };
    let (incoming, outgoing) = match path {
        Path::In => (incoming, None),
        Path::Out => (None, outgoing),
        Path::Through => (incoming, outgoing),
    };
    Some(Intent {
        verdict,
        path,
        log,
        family: Some(if six { Family::V6 } else { Family::V4 }),
        incoming,
        outgoing,
        protocol,
        to: to.side,
        from: from.side,
        unclear: strange,
    })
}

/// Without the `[ 1] ` of `ufw status numbered`.
fn without_number(line: &str) -> &str {
    let number = line.trim_start().strip_prefix('[').and_then(|l| l.split_once(']'));
    match number {
        Some((n, rest)) if !n.trim().is_empty() && n.trim().bytes().all(|b| b.is_ascii_digit()) => rest.strip_prefix(' ').unwrap_or(rest),
        _ => line,
    }
}

/// What stands before the action, the action, and what stands behind it.
fn columns(line: &str) -> Option<(&str, Verdict, &str)> {
    let at = |i: usize| {
        let (before, after) = (line.get(..i)?, line.get(i..)?);
        let word = after.split(char::is_whitespace).next().unwrap_or("");
        let verdict = Verdict::of(word).filter(|_| word.bytes().all(|b| b.is_ascii_uppercase()))?;
        before.ends_with(char::is_whitespace).then(|| (before.trim(), verdict, after.get(word.len()..).unwrap_or("").trim_start()))
    };
    // A long first column moves the second one, and so does whoever folds blanks.
    at(ACTION_COLUMN).or_else(|| line.char_indices().filter(|(_, c)| c.is_ascii_uppercase()).find_map(|(i, _)| at(i)))
}

/// The third column without `(log)`, `(log-all, out)` and the like.
fn attributes(text: &str) -> (&str, Log) {
    let none = (text, Log::No);
    let Some((before, inner)) = text.strip_suffix(')').and_then(|t| t.rsplit_once('(')) else { return none };
    let words: Vec<&str> = inner.split(',').map(str::trim).collect();
    if !words.iter().all(|w| matches!(*w, "log" | "log-all" | "in" | "out")) {
        return none;
    }
    let log = match () {
        _ if words.contains(&"log-all") => Log::All,
        _ if words.contains(&"log") => Log::New,
        _ => Log::No,
    };
    (before.trim_end(), log)
}

/// `Anywhere (v6) on eth0`, `192.0.2.0/24 80,443/tcp (Web)`, `10.0.0.1/esp`, `Nginx Full (v6)`.
fn place(text: &str) -> Option<Place<'_>> {
    let mut out = Place::default();
    let mut text = text.trim();
    if let Some((before, name)) = text.rsplit_once(" on ") {
        if !is_interface(name.trim()) {
            return None;
        }
        out.interface = Some(name.trim());
        text = before.trim_end();
    }
    if let Some(before) = text.strip_suffix("(v6)") {
        out.six = true;
        text = before.trim_end();
    }
    // The name of a profile whose ports stand before it.
    if let Some((before, name)) = text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        out.six |= name.contains("(v6)");
        text = before.trim_end();
    }
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut rest = rest.trim();
    if let Some(after) = rest.strip_prefix("(v6)") {
        out.six = true;
        rest = after.trim_start();
    }
    if first == "Anywhere" || first.starts_with("Anywhere/") {
        out.protocol = first.strip_prefix("Anywhere/");
        return (rest.is_empty() && out.protocol.is_none_or(is_word)).then_some(out);
    }
    // Behind an address there may be a protocol: `10.0.0.1/esp`, `10.4.0.0/16/esp`.
    let split =
        first.rsplit_once('/').filter(|(a, p)| p.starts_with(|c: char| c.is_ascii_alphabetic()) && is_word(p) && family_of(a).is_some());
    if let Some((address, protocol)) = split {
        out.protocol = Some(protocol);
        out.side.address = Some(address);
        return rest.is_empty().then_some(out);
    }
    let what = if family_of(first).is_some() {
        out.side.address = Some(first);
        rest
    } else {
        text
    };
    if what.is_empty() {
        return out.side.address.is_some().then_some(out);
    }
    match ports(what) {
        Some((numbers, protocol)) => {
            out.side.ports = numbers;
            out.protocol = protocol;
        }
        None if is_app(what) => out.side.app = Some(what),
        None => return None,
    }
    Some(out)
}

/// Whether a profile may be called so (`verify_profile_name` of `applications.py`).
fn is_app(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b" _-.+".contains(&b))
}

/// A command as `ufw show added` prints it, without the `ufw` before it. `None` if it is none that makes a rule.
pub(super) fn command(text: &str) -> Option<Intent<'_>> {
    let words = split(text)?;
    let mut words = words.into_iter().peekable();
    let route = words.next_if_eq(&"route").is_some();
    let verdict = Verdict::of(words.next()?)?;
    let mut out = Intent {
        verdict,
        path: if route { Path::Through } else { Path::In },
        log: Log::No,
        family: None,
        incoming: None,
        outgoing: None,
        protocol: None,
        to: Side::default(),
        from: Side::default(),
        unclear: None,
    };
    let (mut to, mut long) = (true, false);
    while let Some(word) = words.next() {
        match word {
            "in" | "out" => {
                if word == "out" && !route {
                    out.path = Path::Out;
                }
                if words.next_if_eq(&"on").is_some() {
                    let name = words.next().filter(|n| is_interface(n))?;
                    *(if word == "in" { &mut out.incoming } else { &mut out.outgoing }) = Some(name);
                }
            }
            "log" => out.log = Log::New,
            "log-all" => out.log = Log::All,
            "to" | "from" => {
                (to, long) = (word == "to", true);
                let address = words.next()?;
                if address != "any" {
                    let family = family_of(address)?;
                    if out.family.is_some_and(|f| f != family) {
                        return None;
                    }
                    out.family = Some(family);
                    (if to { &mut out.to } else { &mut out.from }).address = Some(address);
                }
            }
            "port" if long => (if to { &mut out.to } else { &mut out.from }).ports = ports(words.next()?)?.0,
            "app" if long => (if to { &mut out.to } else { &mut out.from }).app = Some(words.next()?),
            "proto" => out.protocol = words.next().filter(|p| is_word(p)).map(Some)?.filter(|p| *p != "any"),
            "comment" => {
                words.next();
            }
            _ if long || out.to != Side::default() => return None,
            _ => match ports(word) {
                Some((numbers, protocol)) => {
                    out.to.ports = numbers;
                    out.protocol = protocol;
                }
                None if is_app(word) => out.to.app = Some(word),
                None => return None,
            },
        }
    }
    Some(out)
}

/// The words of a command: between blanks, or between quotes.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' | '"' => rest.get(1..)?.split_once(first)?,
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        out.push(word);
        rest = after.trim_start();
    }
    Some(out)
}
