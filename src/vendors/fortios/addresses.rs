//! Address objects and groups, as ranges and as conditions that nobody can know from a configuration.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

use super::defaults::SHIPPED;
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::{Conditions, Match};
use crate::net::{Family, Ranges, parse_addr, parse_cidr};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Groups within groups that are followed. The appliance allows fewer.
const DEPTH: usize = 64;
/// Intervals that the expansion of all groups of a file may copy.
const WORK: usize = 4_000_000;
/// Unknown members of a group that stay conditions of their own; above, the group is one condition.
const UNKNOWN_MEMBERS: usize = 32;
/// Intervals that a mask with holes may stand for.
const WILDCARD: u32 = 12;

/// What an object or a group comes to.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    ranges: Ranges,
    /// Conditions: what the object is, in words, with the place of its definition.
    unknown: Vec<(String, Span)>,
    /// Members without other members.
    without: Vec<(Rc<Resolved>, Rc<Resolved>)>,
}

impl Default for Resolved {
    fn default() -> Resolved {
        Resolved { ranges: Ranges::EMPTY, unknown: vec![], without: vec![] }
    }
}

impl Resolved {
    fn unknown(what: String, span: Span) -> Resolved {
        Resolved { unknown: vec![(what, span)], ..Resolved::default() }
    }

    fn size(&self) -> usize {
        self.ranges.intervals().len() + self.unknown.len() + self.without.len()
    }

    /// Whether these are all addresses of the family.
    pub fn is_all(&self, family: Family) -> bool {
        self.ranges.intervals() == [(0, family.max_address())]
    }

    /// The addresses, if all of them are known.
    pub fn known(&self) -> Option<&Ranges> {
        (self.unknown.is_empty() && self.without.is_empty()).then_some(&self.ranges)
    }

    /// As a match of a packet's source or destination.
    pub fn to_match(&self, field: Field, family: Family, conditions: &mut Conditions) -> Match {
        let mut parts = Vec::new();
        if !self.ranges.is_empty() {
            parts.push(Match::Address(field, family, self.ranges.clone()));
        }
        let side = if field == Field::Src { "source" } else { "destination" };
        for (what, span) in &self.unknown {
            let condition = conditions.intern(&format!("{side} is {what}"), *span);
            parts.push(Match::all(vec![Match::Family(family), Match::Opaque(condition)]));
        }
        for (with, without) in &self.without {
            let (with, without) = (with.to_match(field, family, conditions), without.to_match(field, family, conditions));
            parts.push(Match::all(vec![with, without.negate_if(true)]));
        }
        Match::any_of(parts)
    }
}

/// The objects and groups of one family in one virtual domain.
pub(super) struct Addresses<'t> {
    pub family: Family,
    /// What they are called in [`crate::model::Names`].
    pub space: &'static str,
    objects: HashMap<String, Entry<'t>>,
    groups: HashMap<String, Entry<'t>>,
    done: HashMap<String, Rc<Resolved>>,
    open: Vec<String>,
    work: usize,
    /// It was said that the work is bounded.
    said: bool,
    /// Networks of interfaces, for objects that stand for them.
    pub interfaces: HashMap<String, Ranges>,
}

impl<'t> Addresses<'t> {
    pub fn new(reader: &mut Reader<'_>, family: Family, space: &'static str, objects: Vec<Entry<'t>>, groups: Vec<Entry<'t>>) -> Self {
        for entry in objects.iter().chain(&groups) {
            if !SHIPPED.contains(&entry.name.as_str()) {
                reader.device.names.define(space, &entry.name, entry.name_span);
            }
        }
        let map = |list: Vec<Entry<'t>>| list.into_iter().map(|e| (e.name.clone(), e)).collect();
        Addresses {
            family,
            space,
            objects: map(objects),
            groups: map(groups),
            done: HashMap::new(),
            open: vec![],
            work: 0,
            said: false,
            interfaces: HashMap::new(),
        }
    }

    /// Resolves everything that is defined, so that every definition is read and every use in a group told.
    pub fn resolve_all(&mut self, reader: &mut Reader<'_>) {
        let mut all: Vec<(String, Span)> = self.objects.values().chain(self.groups.values()).map(|e| (e.name.clone(), e.first)).collect();
        all.sort_by_key(|(_, span)| *span);
        for (name, span) in all {
            self.resolve(reader, &name, span);
        }
    }

    /// What is used at `span` under this name. Tells the use.
    pub fn used(&mut self, reader: &mut Reader<'_>, name: &str, span: Span) -> Rc<Resolved> {
        if !SHIPPED.contains(&name) {
            reader.device.names.used(self.space, name, span);
        }
        self.resolve(reader, name, span)
    }

    fn resolve(&mut self, reader: &mut Reader<'_>, name: &str, span: Span) -> Rc<Resolved> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let result = if let Some(group) = self.groups.get(name).cloned() {
            if self.open.iter().any(|o| o == name) {
                reader.device.names.cyclic(self.space, name, group.name_span);
                // What a group that contains itself means is undefined. Nothing of it is kept, so that the others do not depend on the order.
                return Rc::new(Resolved::unknown(format!("in the group {name:?}, which contains itself"), group.first));
            }
            if self.open.len() >= DEPTH {
                let text = format!("groups are nested deeper than {DEPTH}: {name:?} is not followed");
                reader.incomplete(group.first, LineState::NotModelled, text);
                return Rc::new(Resolved::unknown(format!("in the group {name:?}"), group.first));
            }
            self.open.push(name.to_owned());
            let resolved = self.group(reader, &group);
            self.open.pop();
            resolved
        } else if let Some(object) = self.objects.get(name).cloned() {
            self.object(reader, &object)
        } else {
            match name {
                // Both are there from the start (CLI reference, `firewall address`); "none" is 0.0.0.0/32.
                "all" => Resolved { ranges: Ranges::interval(0, self.family.max_address()), ..Resolved::default() },
                "none" => Resolved { ranges: Ranges::single(0), ..Resolved::default() },
                _ => Resolved::unknown(format!("in the undefined {} {name:?}", self.space), span),
            }
        };
        let result = Rc::new(result);
        self.done.insert(name.to_owned(), result.clone());
        result
    }

    fn members(&mut self, reader: &mut Reader<'_>, group: &Entry<'t>, setting: &str) -> Resolved {
        let mut intervals = Vec::new();
        let mut out = Resolved::default();
        for member in group.values(setting) {
            let one = self.used(reader, &member.text, member.span);
            self.work += one.size() + 1;
            if self.work > WORK {
                if !std::mem::replace(&mut self.said, true) {
                    let text = format!("groups come to more than {WORK} ranges: {:?} and groups behind it are not expanded", group.name);
                    reader.incomplete(group.first, LineState::NotModelled, text);
                }
                return Resolved::unknown(format!("in the group {:?}", group.name), group.first);
            }
            intervals.extend_from_slice(one.ranges.intervals());
            out.unknown.extend(one.unknown.iter().cloned());
            out.without.extend(one.without.iter().cloned());
        }
        out.ranges = Ranges::from_intervals(intervals);
        out.unknown.sort();
        out.unknown.dedup();
        if out.unknown.len() + out.without.len() > UNKNOWN_MEMBERS {
            out.unknown = vec![(format!("one of the members of the group {:?} that are not known", group.name), group.first)];
            out.without.clear();
        }
        out
    }

    fn group(&mut self, reader: &mut Reader<'_>, group: &Entry<'t>) -> Resolved {
        let with = self.members(reader, group, "member");
        if group.values("member").is_empty() {
            return Resolved::unknown(format!("in the group {:?} without members", group.name), group.first);
        }
        // Exclusion is off by default, and members to exclude stay written while it is off.
        if !group.is("exclude", "enable") {
            return with;
        }
        let without = self.members(reader, group, "exclude-member");
        match (with.known(), without.known()) {
            (Some(a), Some(b)) => Resolved { ranges: a.minus(b), ..Resolved::default() },
            _ => Resolved { without: vec![(Rc::new(with), Rc::new(without))], ..Resolved::default() },
        }
    }

    fn object(&mut self, reader: &mut Reader<'_>, object: &Entry<'t>) -> Resolved {
        let kind = object.value("type").unwrap_or(if self.family == Family::V4 { "ipmask" } else { "ipprefix" });
        let name = &object.name;
        let opaque = |what: String| Resolved::unknown(what, object.first);
        let ranges = match (kind, self.family) {
            ("ipmask", Family::V4) => match object.values("subnet") {
                // The default of `subnet` is 0.0.0.0 0.0.0.0 (CLI reference, `firewall address`): that is how "all" is written.
                [] => Some(Ranges::interval(0, self.family.max_address())),
                values => subnet(&values.iter().map(|w| w.text.as_str()).collect::<Vec<_>>()),
            },
            ("ipprefix", Family::V6) => match object.value("ip6") {
                // `::/0` by default, in the same way.
                None => Some(Ranges::interval(0, self.family.max_address())),
                Some(text) => parse_cidr(text).filter(|c| c.0 == Family::V6).map(|(_, lo, hi)| Ranges::interval(lo, hi)),
            },
            ("iprange", family) => {
                let bound = |name: &str| match object.value(name) {
                    None => Some(0),
                    Some(text) => parse_addr(text).filter(|a| a.0 == family).map(|a| a.1),
                };
                match (bound("start-ip"), bound("end-ip")) {
                    (Some(lo), Some(hi)) if lo <= hi => Some(Ranges::interval(lo, hi)),
                    _ => None,
                }
            }
            ("wildcard", Family::V4) => wildcard(&object.values("wildcard").iter().map(|w| w.text.as_str()).collect::<Vec<_>>()),
            ("interface-subnet", Family::V4) => match object.values("subnet") {
                [] => {
                    let interface = object.value("interface").unwrap_or_default().to_owned();
                    match self.interfaces.get(&interface) {
                        Some(ranges) => Some(ranges.clone()),
                        None => return opaque(format!("in the network of the interface {interface:?}, which the file does not show")),
                    }
                }
                values => subnet(&values.iter().map(|w| w.text.as_str()).collect::<Vec<_>>()),
            },
            ("fqdn" | "wildcard-fqdn", _) => {
                let host = object.value("fqdn").or(object.value("wildcard-fqdn")).unwrap_or_default();
                return opaque(format!("an address of {host:?} (object {name:?})"));
            }
            ("geography", _) => {
                return opaque(format!("in the country {:?} (object {name:?})", object.value("country").unwrap_or_default()));
            }
            ("mac", _) => return opaque(format!("a host with one of the MAC addresses of the object {name:?}")),
            ("dynamic", _) => return opaque(format!("in the dynamic object {name:?}")),
            ("template" | "route-tag" | "device" | "sdn", _) => return opaque(format!("in the object {name:?} of type {kind}")),
            _ => None,
        };
        match ranges {
            Some(ranges) => Resolved { ranges, ..Resolved::default() },
            None => {
                reader.note(object.first, LineState::NotModelled, format!("the address object {name:?} is not understood"));
                opaque(format!("in the object {name:?}, which is not understood"))
            }
        }
    }
}

/// `a.b.c.d m.m.m.m`, `a.b.c.d/length` or a bare address.
pub(super) fn subnet(values: &[&str]) -> Option<Ranges> {
    let text = match values {
        [one] => (*one).to_owned(),
        [address, mask] => format!("{address}/{mask}"),
        _ => return None,
    };
    match parse_cidr(&text) {
        Some((Family::V4, lo, hi)) => Some(Ranges::interval(lo, hi)),
        // A mask with holes is read as one with wildcards.
        None if values.len() == 2 => wildcard(values),
        _ => None,
    }
}

/// An address and a mask whose set bits must be equal; the default is 0.0.0.0 0.0.0.0.
fn wildcard(values: &[&str]) -> Option<Ranges> {
    let (address, mask) = match values {
        [] => return Some(Ranges::interval(0, u128::from(u32::MAX))),
        [one] => one.split_once('/')?,
        [address, mask] => (*address, *mask),
        _ => return None,
    };
    let (address, mask) = (u32::from(address.parse::<Ipv4Addr>().ok()?), u32::from(mask.parse::<Ipv4Addr>().ok()?));
    let tail = mask.trailing_zeros().min(32);
    let low = if tail >= 32 { u32::MAX } else { (1u32 << tail) - 1 };
    // Every combination of the free bits above the last set one begins an interval.
    let free: Vec<u32> = (tail..32).map(|bit| 1u32 << bit).filter(|bit| mask & bit == 0).collect();
    if free.len() as u32 > WILDCARD {
        return None;
    }
    let base = address & mask;
    let starts =
        (0u32..1 << free.len()).map(|n| free.iter().enumerate().filter(|(i, _)| n >> i & 1 == 1).fold(base, |a, (_, bit)| a | bit));
    Some(Ranges::from_intervals(starts.map(|s| (u128::from(s), u128::from(s | low))).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_with_holes_is_all_that_it_leaves_open() {
        let r = wildcard(&["10.0.5.0", "255.0.255.0"]).expect("few enough");
        assert_eq!(r.intervals().len(), 256);
        assert!(r.contains(0x0aff_05ff) && !r.contains(0x0a00_0600));
        assert_eq!(wildcard(&["1.2.3.0", "255.255.255.0"]), Some(Ranges::interval(0x0102_0300, 0x0102_03ff)));
        assert_eq!(wildcard(&["0.0.0.1", "0.0.0.1"]), None);
        assert_eq!(wildcard(&["0.0.0.0", "0.0.0.0"]), Some(Ranges::interval(0, 0xffff_ffff)));
    }
}
