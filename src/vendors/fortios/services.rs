//! Service objects and groups.

use std::collections::HashMap;
use std::rc::Rc;

use super::defaults::SERVICE_GROUPS;
use super::defaults::{SERVICES, Shipped};
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::Match;
use crate::net::{Family, Ranges, parse_cidr};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

const SPACE: &str = "service";
const DEPTH: usize = 64;
/// Parts that the expansion of all service groups of a file may copy.
const WORK: usize = 1_000_000;

/// The services of one virtual domain.
pub(super) struct Services<'t> {
    custom: HashMap<String, Entry<'t>>,
    groups: HashMap<String, Entry<'t>>,
    done: HashMap<String, Rc<Vec<Match>>>,
    open: Vec<String>,
    work: usize,
}

impl<'t> Services<'t> {
    pub fn new(reader: &mut Reader<'_>, custom: Vec<Entry<'t>>, groups: Vec<Entry<'t>>) -> Services<'t> {
        for entry in custom.iter().chain(&groups) {
            if !shipped(&entry.name) {
                reader.device.names.define(SPACE, &entry.name, entry.name_span);
            }
        }
        let map = |list: Vec<Entry<'t>>| list.into_iter().map(|e| (e.name.clone(), e)).collect();
        Services { custom: map(custom), groups: map(groups), done: HashMap::new(), open: vec![], work: 0 }
    }

    /// Resolves everything that is defined.
    pub fn resolve_all(&mut self, reader: &mut Reader<'_>) {
        let mut all: Vec<(String, Span)> = self.custom.values().chain(self.groups.values()).map(|e| (e.name.clone(), e.first)).collect();
        all.sort_by_key(|(_, span)| *span);
        for (name, span) in all {
            self.resolve(reader, &name, span);
        }
    }

    /// The packets of the services that a setting names. No value at all is `None`.
    pub fn list(&mut self, reader: &mut Reader<'_>, entry: &Entry<'_>, setting: &str) -> Option<Match> {
        let values = entry.values(setting);
        if values.is_empty() {
            return None;
        }
        let mut parts = Vec::new();
        for value in values {
            let one = self.used(reader, &value.text, value.span);
            if one.contains(&Match::Any) {
                parts = vec![Match::Any];
                continue;
            }
            parts.extend(one.iter().cloned());
        }
        Some(if parts.contains(&Match::Any) { Match::Any } else { Match::any_of(parts) })
    }

    fn used(&mut self, reader: &mut Reader<'_>, name: &str, span: Span) -> Rc<Vec<Match>> {
        if !shipped(name) {
            reader.device.names.used(SPACE, name, span);
        }
        self.resolve(reader, name, span)
    }

    fn resolve(&mut self, reader: &mut Reader<'_>, name: &str, span: Span) -> Rc<Vec<Match>> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let unknown = |reader: &mut Reader<'_>, text: String, span: Span| Match::Opaque(reader.device.conditions.intern(&text, span));
        let out = if let Some(group) = self.groups.get(name).cloned() {
            if self.open.iter().any(|o| o == name) {
                reader.device.names.cyclic(SPACE, name, group.name_span);
                let text = format!("service is in the group {name:?}, which contains itself");
                return Rc::new(vec![unknown(reader, text, group.first)]);
            }
            if self.open.len() >= DEPTH {
                reader.incomplete(group.first, LineState::NotModelled, format!("service groups are nested deeper than {DEPTH}"));
                return Rc::new(vec![unknown(reader, format!("service is in the group {name:?}"), group.first)]);
            }
            self.open.push(name.to_owned());
            let mut parts: Vec<Match> = Vec::new();
            for member in group.values("member") {
                let one = self.used(reader, &member.text, member.span);
                self.work += one.len() + 1;
                if self.work > WORK {
                    reader.incomplete(
                        group.first,
                        LineState::NotModelled,
                        format!("service groups come to more than {WORK} parts: {name:?} is not expanded"),
                    );
                    parts = vec![unknown(reader, format!("service is in the group {name:?}"), group.first)];
                    break;
                }
                parts.extend(one.iter().cloned());
            }
            self.open.pop();
            if parts.is_empty() {
                parts.push(unknown(reader, format!("service is in the group {name:?} without members"), group.first));
            }
            if parts.contains(&Match::Any) {
                parts = vec![Match::Any];
            }
            parts
        } else if let Some(custom) = self.custom.get(name).cloned() {
            self.service(reader, &custom)
        } else if let Some((_, what)) = SERVICES.iter().find(|(n, _)| *n == name) {
            what.iter().map(of_shipped).collect()
        } else if let Some((_, members)) = SERVICE_GROUPS.iter().find(|(n, _)| *n == name) {
            members
                .iter()
                .flat_map(|m| SERVICES.iter().filter(move |(n, _)| n == m))
                .flat_map(|(_, what)| what.iter().map(of_shipped))
                .collect()
        } else {
            vec![unknown(reader, format!("service is the undefined {name:?}"), span)]
        };
        let out = Rc::new(out);
        self.done.insert(name.to_owned(), out.clone());
        out
    }

    fn service(&mut self, reader: &mut Reader<'_>, s: &Entry<'t>) -> Vec<Match> {
        let name = &s.name;
        let unknown = |reader: &mut Reader<'_>, what: &str| {
            vec![Match::Opaque(reader.device.conditions.intern(&format!("service is {name:?}{what}"), s.first))]
        };
        if s.is("proxy", "enable") {
            return unknown(reader, ", a service of the explicit proxy");
        }
        if s.value("app-service-type").is_some_and(|v| v != "disable") {
            return unknown(reader, ", an application");
        }
        // The default of `protocol` (CLI reference, `firewall service custom`).
        let mut parts = match s.value("protocol").unwrap_or("TCP/UDP/SCTP") {
            "TCP/UDP/SCTP" | "TCP/UDP/UDP-Lite/SCTP" | "TCP/UDP" | "TCP" | "UDP" => {
                let mut parts = Vec::new();
                let lists = [("tcp-portrange", 6), ("udp-portrange", 17), ("sctp-portrange", 132), ("udplite-portrange", 136)];
                for (setting, protocol) in lists {
                    for value in s.values(setting) {
                        match ports(&value.text) {
                            Some((destination, source)) => parts.push(transport(protocol, destination, source)),
                            None => {
                                reader.note(value.span, LineState::NotModelled, "these ports are not understood");
                                parts.extend(unknown(reader, ", whose ports are not understood"));
                            }
                        }
                    }
                }
                parts
            }
            protocol @ ("ICMP" | "ICMP6") => {
                let proto = if protocol == "ICMP" { 1u128 } else { 58 };
                let family = if protocol == "ICMP" { Family::V4 } else { Family::V6 };
                let kind = s.value("icmptype").filter(|v| !v.is_empty()).map(str::parse::<u8>);
                let code = s.value("icmpcode").filter(|v| !v.is_empty()).map(str::parse::<u8>);
                let mut of = vec![Match::Family(family), Match::Field(Field::Proto, Ranges::single(proto))];
                match (kind, code) {
                    (Some(Ok(t)), None) => {
                        of.push(Match::Field(Field::Icmp, Ranges::interval(u128::from(t) << 8, (u128::from(t) << 8) + 255)))
                    }
                    (Some(Ok(t)), Some(Ok(c))) => of.push(Match::Field(Field::Icmp, Ranges::single((u128::from(t) << 8) + u128::from(c)))),
                    (None, _) => {}
                    _ => of.extend(unknown(reader, ", whose ICMP type is not understood")),
                }
                vec![Match::all(of)]
            }
            // Number 0 stands for every protocol.
            "IP" => match s.value("protocol-number").map(str::parse::<u8>) {
                None | Some(Ok(0)) => vec![Match::Any],
                Some(Ok(n)) => vec![Match::Field(Field::Proto, Ranges::single(u128::from(n)))],
                Some(Err(_)) => unknown(reader, ", whose protocol is not understood"),
            },
            "ALL" => vec![Match::Any],
            _ => {
                reader.note(s.at("protocol"), LineState::NotModelled, "this protocol is not modelled");
                unknown(reader, ", whose protocol is not modelled")
            }
        };
        if parts.is_empty() {
            parts = unknown(reader, ", which names no port");
        }
        // A service may be bound to addresses: those of its server.
        let range = s.value("iprange").filter(|v| !v.is_empty() && *v != "0.0.0.0");
        let bound = match (range, s.value("fqdn").filter(|v| !v.is_empty())) {
            (Some(range), _) => match address_range(range) {
                Some((family, ranges)) => Some(Match::Address(Field::Dst, family, ranges)),
                None => unknown(reader, ", whose addresses are not understood").pop(),
            },
            (None, Some(_)) => unknown(reader, ", whose server is named by a domain name").pop(),
            (None, None) => None,
        };
        match bound {
            Some(bound) => parts.into_iter().map(|p| Match::all(vec![p, bound.clone()])).collect(),
            None => parts,
        }
    }
}

fn shipped(name: &str) -> bool {
    name == "webproxy" || SERVICES.iter().any(|(n, _)| *n == name) || SERVICE_GROUPS.iter().any(|(n, _)| *n == name)
}

fn of_shipped(what: &Shipped) -> Match {
    let wide = |(lo, hi): (u16, u16)| Ranges::interval(u128::from(lo), u128::from(hi));
    match *what {
        Shipped::Everything => Match::Any,
        Shipped::Ports(protocol, destination) => transport(protocol, wide(destination), None),
        Shipped::PortsFrom(protocol, destination, source) => transport(protocol, wide(destination), Some(wide(source))),
        Shipped::Protocol(n) => Match::Field(Field::Proto, Ranges::single(u128::from(n))),
        Shipped::Icmp(family, kind) => {
            let proto = if family == Family::V4 { 1 } else { 58 };
            let mut parts = vec![Match::Family(family), Match::Field(Field::Proto, Ranges::single(proto))];
            if let Some(t) = kind {
                parts.push(Match::Field(Field::Icmp, Ranges::interval(u128::from(t) << 8, (u128::from(t) << 8) + 255)));
            }
            Match::all(parts)
        }
    }
}

/// Packets of a transport protocol to and from ports.
pub(super) fn transport(protocol: u8, destination: Ranges, source: Option<Ranges>) -> Match {
    let mut parts = vec![Match::Field(Field::Proto, Ranges::single(u128::from(protocol))), Match::Field(Field::Dport, destination)];
    // Source ports 1 to 65535 are the default and mean any, also 0.
    if let Some(source) = source.filter(|s| !Ranges::interval(1, 65535).is_subset(s)) {
        parts.push(Match::Field(Field::Sport, source));
    }
    Match::all(parts)
}

/// `80`, `80-90`, `80-90:1024-65535` (destination:source).
fn ports(text: &str) -> Option<(Ranges, Option<Ranges>)> {
    let (destination, source) = match text.split_once(':') {
        Some((d, s)) => (d, Some(s)),
        None => (text, None),
    };
    let source = match source {
        Some(s) => Some(port_range(s)?),
        None => None,
    };
    Some((port_range(destination)?, source))
}

/// `80` or `80-90`.
pub(super) fn port_range(text: &str) -> Option<Ranges> {
    let (lo, hi) = text.split_once('-').unwrap_or((text, text));
    let (lo, hi) = (lo.trim().parse::<u16>().ok()?, hi.trim().parse::<u16>().ok()?);
    (lo <= hi).then(|| Ranges::interval(u128::from(lo), u128::from(hi)))
}

/// `a`, `a-b` or `a/length`.
pub(super) fn address_range(text: &str) -> Option<(Family, Ranges)> {
    if let Some((lo, hi)) = text.split_once('-') {
        let ((f, lo, _), (g, _, hi)) = (parse_cidr(lo.trim())?, parse_cidr(hi.trim())?);
        return (f == g && lo <= hi).then(|| (f, Ranges::interval(lo, hi)));
    }
    parse_cidr(text).map(|(f, lo, hi)| (f, Ranges::interval(lo, hi)))
}
