//! `ipset save` and `ipset list`.
//!
//! A set match of iptables names a set and directions (`src,dst`), not fields: what is compared depends on the set's type. So
//! the model's key of such a match is [`Field::Src`](crate::packets::Field::Src) or `Dst` for each direction, and the *values* of
//! an element say what is taken from the packet in that direction: an address, a [`SetValue::Service`] (whose port
//! is the source port under `Src` and the destination port under `Dst`), an interface (arrival under `Src`, departure
//! under `Dst`). An element with fewer values than the match has directions ignores the rest; one with more never matches
//! (`ip_set_test` in ip_set_core.c compares the dimensions).

mod elements;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::diag::LineState;
use crate::model::{NamedSet, SetElement, SetValue};
use crate::net::{Family, Ranges};
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};
use elements::{Kind, Part};

/// The format.
pub static IPSET: Format = Format {
    id: "ipset",
    title: "ipset save",
    export: "ipset save > HOST.ipset",
    covers: &["hash, bitmap and list sets of addresses, networks, ports and interfaces", "nomatch, netmask, timeouts", "ipset list"],
    leaves: &["elements with a running timeout (membership is opaque)", "sets keyed by mark or MAC address (membership is opaque)"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

/// Whether a line is one of `ipset save`.
pub(super) fn is_statement(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    match words.next() {
        Some("create") => words.nth(1).is_some_and(|t| Kind::of(t).is_some()),
        Some("add") => {
            words.next().is_some_and(|w| !matches!(w, "rule" | "table" | "chain" | "set" | "element" | "map")) && words.next().is_some()
        }
        _ => false,
    }
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let text = file.head(64 << 10);
    let (mut creates, mut rules, mut other, mut lines) = (0, 0, 0, 0);
    let (mut name, mut kind, mut members) = (false, false, false);
    for line in text.lines() {
        let line = line.trim();
        if is_statement(line) {
            creates += usize::from(line.starts_with("create "));
        } else if !line.is_empty() && !line.starts_with('#') {
            other += 1;
        }
        lines += 1;
        if ["-A ", "-P ", "-I ", "*filter", "*nat", "iptables "].iter().any(|s| line.starts_with(s)) {
            rules += 1;
        }
        name |= line.starts_with("Name: ");
        kind |= line.strip_prefix("Type: ").is_some_and(|t| Kind::of(t).is_some());
        members |= line.starts_with("Members:");
    }
    let found = |confidence, why| Some(Detection { confidence, why });
    match () {
        // Then it is a file of iptables that brings its sets along; that reader reads them as well.
        _ if creates > 0 && rules > 0 => found(Confidence::Weak, "has `create` lines of ipset, and rules"),
        _ if creates > 0 && other * 4 > lines => found(Confidence::Weak, "has `create` lines of ipset among others"),
        _ if creates > 0 => found(Confidence::Certain, "has `create NAME TYPE` lines of ipset save"),
        _ if name && kind && members => found(Confidence::Certain, "has Name, Type and Members as ipset list prints them"),
        _ => None,
    }
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let mut sets = Sets::default();
    let mut listed = Listed::default();
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span).trim();
        if text.is_empty() {
            listed = Listed::default();
        } else if text.starts_with('#') {
            reader.mark(span, LineState::Irrelevant);
        } else if let Some(name) = text.strip_prefix("Name:") {
            listed = Listed { name: Some((name.trim(), span)), ..Listed::default() };
            reader.mark(span, LineState::Understood);
        } else if listed.name.is_some() {
            sets.listed(reader, &mut listed, text, span);
        } else {
            sets.statement(reader, span);
        }
    }
    sets.finish(reader);
}

/// A set of `ipset list` being read.
#[derive(Default)]
struct Listed<'a> {
    name: Option<(&'a str, Span)>,
    kind: Option<&'a str>,
    members: bool,
}

/// Sets being collected.
#[derive(Default)]
pub(super) struct Sets {
    list: Vec<Building>,
    index: HashMap<String, usize>,
}

struct Building {
    name: String,
    span: Span,
    kind: Kind,
    elements: Vec<SetElement>,
    /// Size of the first and second address of each element, for the order that `nomatch` needs.
    sizes: Vec<(u128, u128)>,
    /// Members of a list:set.
    members: Vec<(String, Span)>,
    dynamic: bool,
    /// Some element expires; said once.
    expiring: bool,
    /// Nothing can be said of its elements.
    opaque: bool,
}

impl Sets {
    /// One line of `ipset save` or one `ipset` command without the program's name.
    pub fn statement(&mut self, reader: &mut Reader<'_>, span: Span) {
        let text = reader.file.slice(span);
        let words = words(text);
        let words: Vec<&str> = words.iter().copied().filter(|w| !matches!(*w, "-exist" | "-!" | "-q" | "-quiet" | "--exist")).collect();
        match words.as_slice() {
            ["create" | "-N" | "n" | "--create", name, kind, options @ ..] => self.create(reader, name, kind, options, span),
            ["add" | "-A" | "--add", name, element, options @ ..] => self.add(reader, name, element, options, span),
            ["del" | "-D" | "--del", name, ..] => self.remove(reader, name, span),
            ["flush" | "-F", name] => {
                if let Some(set) = self.get(name) {
                    set.elements.clear();
                    set.sizes.clear();
                    set.members.clear();
                }
                reader.mark(span, LineState::Understood);
            }
            ["flush" | "-F"] => {
                for set in &mut self.list {
                    set.elements.clear();
                    set.sizes.clear();
                    set.members.clear();
                }
                reader.mark(span, LineState::Understood);
            }
            ["destroy" | "-X", rest @ ..] => {
                match rest.first() {
                    Some(name) => drop(self.index.remove(*name)),
                    None => self.index.clear(),
                }
                reader.mark(span, LineState::Understood);
            }
            ["COMMIT" | "commit" | "quit"] | ["list" | "-L" | "save" | "test" | "-T" | "version", ..] => {
                reader.mark(span, LineState::Irrelevant)
            }
            ["swap" | "rename" | "-W" | "-E", ..] => {
                reader.note(span, LineState::Unsupported, "sets that change their name are not followed");
            }
            _ => reader.note(span, LineState::Unrecognised, "this line is not one of ipset save"),
        }
    }

    fn get(&mut self, name: &str) -> Option<&mut Building> {
        self.index.get(name).and_then(|i| self.list.get_mut(*i))
    }

    fn create(&mut self, reader: &mut Reader<'_>, name: &str, kind: &str, options: &[&str], span: Span) {
        let Some(mut kind) = Kind::of(kind) else {
            return reader.note(
                span,
                LineState::NotModelled,
                format!("set type `{kind}` is not modelled: membership in `{name}` is not known"),
            );
        };
        reader.mark(span, LineState::Understood);
        let mut opaque = !kind.is_modelled();
        if opaque {
            reader.note(
                span,
                LineState::NotModelled,
                format!("set `{name}` is keyed by a mark or MAC address, which is not modelled: membership is not known"),
            );
        }
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match *option {
                "family" => kind.family = if matches!(options.next(), Some(&("inet6" | "ipv6"))) { Family::V6 } else { Family::V4 },
                "-6" => kind.family = Family::V6,
                "netmask" | "--netmask" => kind.netmask = options.next().and_then(|n| n.parse().ok()),
                "bitmask" => {
                    opaque = true;
                    reader.note(
                        span,
                        LineState::NotModelled,
                        format!("the bitmask of set `{name}` is not modelled: membership is not known"),
                    );
                }
                _ => {}
            }
        }
        self.index.insert(name.to_owned(), self.list.len());
        self.list.push(Building {
            name: name.to_owned(),
            span,
            kind,
            elements: Vec::new(),
            sizes: Vec::new(),
            members: Vec::new(),
            dynamic: opaque,
            expiring: false,
            opaque,
        });
    }

    fn add(&mut self, reader: &mut Reader<'_>, name: &str, element: &str, options: &[&str], span: Span) {
        let Some(set) = self.get(name) else {
            return reader.note(span, LineState::Unsupported, format!("set `{name}` is not created before this element is added"));
        };
        let (mut excluded, mut wildcard, mut expires) = (false, false, false);
        let mut words = options.iter();
        while let Some(option) = words.next() {
            match *option {
                "nomatch" => excluded = true,
                "wildcard" => wildcard = true,
                "timeout" => expires = words.next().is_some_and(|t| *t != "0"),
                _ => {}
            }
        }
        reader.mark(span, LineState::Understood);
        if set.kind.parts == [Part::Set] {
            set.members.push((element.to_owned(), span));
        } else if set.opaque {
            // Already said at the set.
        } else if expires || element.contains("physdev:") {
            set.dynamic = true;
            if !set.expiring {
                set.expiring = true;
                let (span, name) = (set.span, set.name.clone());
                reader.note(
                    span,
                    LineState::NotModelled,
                    format!("set `{name}` has elements that expire or that ask for a bridge port: whether they match is not known"),
                );
            }
        } else {
            match elements::key(&set.kind, element, wildcard) {
                Some(keys) => {
                    for values in keys {
                        set.sizes.push(sizes(&values));
                        set.elements.push(SetElement { values, excluded, span });
                    }
                }
                None => {
                    set.dynamic = true;
                    reader.note(
                        span,
                        LineState::Unsupported,
                        format!("element `{element}` is not understood: membership in `{name}` is not known"),
                    );
                }
            }
        }
    }

    fn remove(&mut self, reader: &mut Reader<'_>, name: &str, span: Span) {
        if let Some(set) = self.get(name) {
            (set.dynamic, set.opaque) = (true, true);
            set.elements.clear();
            set.sizes.clear();
        }
        reader.note(span, LineState::Unsupported, format!("deletions are not followed: membership in `{name}` is not known"));
    }

    /// A line of `ipset list` below `Name:`.
    fn listed<'a>(&mut self, reader: &mut Reader<'a>, listed: &mut Listed<'a>, text: &'a str, span: Span) {
        let Some((name, name_span)) = listed.name else { return };
        if listed.members {
            let words = words(text);
            if let [element, options @ ..] = words.as_slice() {
                self.add(reader, name, element, options, span);
            }
        } else if let Some(kind) = text.strip_prefix("Type:") {
            listed.kind = Some(kind.trim());
            reader.mark(span, LineState::Understood);
        } else if let Some(header) = text.strip_prefix("Header:") {
            self.create(reader, name, listed.kind.unwrap_or(""), &words(header), name_span);
            reader.mark(span, LineState::Understood);
        } else if text.starts_with("Members:") {
            listed.members = true;
            reader.mark(span, LineState::Understood);
        } else if ["Revision:", "Size in memory:", "References:", "Number of entries:"].iter().any(|s| text.starts_with(s)) {
            reader.mark(span, LineState::Irrelevant);
        } else {
            reader.note(span, LineState::Unrecognised, "this line is not one of ipset list");
        }
    }

    /// Puts the sets into the device.
    pub fn finish(mut self, reader: &mut Reader<'_>) {
        for set in &mut self.list {
            if set.elements.iter().any(|e| e.excluded) {
                // The kernel asks for the most specific network first; in the model a later element overrides an earlier one.
                let mut order: Vec<usize> = (0..set.elements.len()).collect();
                order.sort_by_key(|&i| set.sizes.get(i).map(|&(a, b)| (std::cmp::Reverse(a), std::cmp::Reverse(b))));
                set.elements = order.into_iter().filter_map(|i| set.elements.get(i).cloned()).collect();
            }
        }
        let alive: Vec<bool> =
            (0..self.list.len()).map(|i| self.list.get(i).is_some_and(|s| self.index.get(&s.name) == Some(&i))).collect();
        for (i, set) in self.list.iter().enumerate() {
            if !alive.get(i).copied().unwrap_or(false) {
                continue;
            }
            let mut elements = set.elements.clone();
            let mut dynamic = set.dynamic;
            for (name, span) in &set.members {
                match self.index.get(name).and_then(|m| self.list.get(*m)).filter(|m| m.kind.parts != [Part::Set]) {
                    Some(member) => {
                        dynamic |= member.dynamic;
                        match settled(member) {
                            Some(settled) => elements.extend(settled),
                            None => {
                                dynamic = true;
                                reader.note(
                                    *span,
                                    LineState::Unsupported,
                                    format!("exceptions of member `{name}` are not followed: membership is not known"),
                                );
                            }
                        }
                    }
                    None => {
                        dynamic = true;
                        reader.note(
                            *span,
                            LineState::Unsupported,
                            format!("member `{name}` is not a set of this file: membership is not known"),
                        );
                    }
                }
            }
            let name: Arc<str> = format!("ipset/{}", set.name).into();
            reader.device.sets.push(NamedSet { name, span: set.span, elements, dynamic });
        }
    }
}

/// A set's elements without exceptions: those of a set of addresses are worked into the addresses.
fn settled(set: &Building) -> Option<Vec<SetElement>> {
    if !set.elements.iter().any(|e| e.excluded) {
        return Some(set.elements.clone());
    }
    let mut union = Ranges::EMPTY;
    for e in &set.elements {
        let [SetValue::Address(_, r)] = e.values.as_slice() else { return None };
        union = if e.excluded { union.minus(r) } else { union.or(r) };
    }
    Some(vec![SetElement { values: vec![SetValue::Address(set.kind.family, union)], excluded: false, span: set.span }])
}

/// How many addresses the first and the second address part of a key hold.
fn sizes(values: &[SetValue]) -> (u128, u128) {
    let mut sizes = values.iter().filter_map(|v| match v {
        SetValue::Address(_, r) => Some(r.count()),
        _ => None,
    });
    (sizes.next().unwrap_or(0), sizes.next().unwrap_or(0))
}

/// Words separated by blanks; a quoted comment is one word.
fn words(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('"') {
            Some(inner) => inner.find('"').map_or(rest.len(), |i| i + 2),
            None => rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        out.push(word);
        rest = after.trim_start();
    }
    out
}
