//! `firewall group`: addresses, networks, ports, interfaces, MAC addresses, and groups in groups (`include`).
//!
//! Groups of addresses become sets of the device, which rules name; the others are few, and stand in the rules. Members of domain, remote and dynamic
//! groups come at run time: conditions that may or may not hold.

use std::collections::HashMap;

use super::tree::At;
use super::values;
use crate::diag::LineState::{Irrelevant, NotModelled, Unsupported};
use crate::model::{Direction, Match, NamePattern, NamedSet, SetElement, SetValue};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Members of all groups together, after includes: beyond that, members are not known.
const MEMBERS: usize = 1_000_000;

/// What a group holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Addresses(Family),
    Ports,
    Interfaces,
    Macs,
    /// Members come at run time.
    Opaque,
}

/// Spaces of names: word of the configuration, what it holds, leaf of its members.
const SPACES: &[(&str, Kind, &str)] = &[
    ("address-group", Kind::Addresses(Family::V4), "address"),
    ("network-group", Kind::Addresses(Family::V4), "network"),
    ("ipv6-address-group", Kind::Addresses(Family::V6), "address"),
    ("ipv6-network-group", Kind::Addresses(Family::V6), "network"),
    ("port-group", Kind::Ports, "port"),
    ("interface-group", Kind::Interfaces, "interface"),
    ("mac-group", Kind::Macs, "mac-address"),
    ("domain-group", Kind::Opaque, "address"),
    ("remote-group", Kind::Opaque, "url"),
];

/// A group as resolved.
#[derive(Clone)]
struct Group {
    numbers: Ranges,
    interfaces: Vec<NamePattern>,
    /// Not everything of it is known.
    unknown: bool,
}

impl Group {
    fn new(unknown: bool) -> Group {
        Group { numbers: Ranges::EMPTY, interfaces: Vec::new(), unknown }
    }
}

enum State {
    Open,
    Done(Group),
}

/// All groups of a configuration.
#[derive(Default)]
pub(super) struct Groups<'t> {
    defined: HashMap<(&'static str, String), At<'t>>,
    done: HashMap<(&'static str, String), State>,
    /// Groups that the system fills: addresses of an interface (EdgeOS).
    own: HashMap<String, (Family, Ranges, Ranges, bool)>,
    members: usize,
}

impl<'t> Groups<'t> {
    /// Reads all groups. `own`: addresses and networks of interfaces, by name and family, and whether more may come at run time.
    pub fn new(reader: &mut Reader<'_>, firewall: Option<At<'t>>, own: HashMap<String, (Family, Ranges, Ranges, bool)>) -> Groups<'t> {
        let mut groups = Groups { own, ..Groups::default() };
        let Some(list) = firewall.and_then(|f| f.get("group")) else { return groups };
        for (space, kind, _) in SPACES {
            for group in list.all(space) {
                reader.device.names.define(space, group.word(), group.line());
                groups.defined.insert((space, group.word().to_owned()), group);
                if *kind == Kind::Opaque {
                    group.mark_all(NotModelled);
                }
                for key in ["description"] {
                    if let Some(d) = group.get(key) {
                        d.mark_all(Irrelevant);
                    }
                }
            }
        }
        for (space, names) in [("dynamic-group", ["address-group", "ipv6-address-group"])] {
            for group in list.get(space).into_iter().flat_map(|d| names.into_iter().flat_map(move |n| d.all(n))) {
                reader.device.names.define("dynamic group", group.word(), group.line());
                group.mark_all(NotModelled);
            }
        }
        let mut names: Vec<(&'static str, String)> = groups.defined.keys().cloned().collect();
        names.sort();
        for (space, name) in names {
            groups.resolve(reader, space, &name, 0);
        }
        groups
    }

    fn resolve(&mut self, reader: &mut Reader<'_>, space: &'static str, name: &str, depth: usize) -> Option<Group> {
        let key = (space, name.to_owned());
        match self.done.get(&key) {
            Some(State::Done(group)) => return Some(group.clone()),
            Some(State::Open) => {
                let at = self.defined.get(&key).map(|d| d.line());
                if let Some(at) = at {
                    reader.device.names.cyclic(space, name, at);
                }
                return Some(Group::new(true));
            }
            None => {}
        }
        let at = *self.defined.get(&key)?;
        let (_, kind, leaf) = SPACES.iter().find(|s| s.0 == space)?;
        if depth > reader.limits.nesting {
            at.note(Unsupported, "groups are nested too deep: what is in this one is not known");
            return Some(Group::new(true));
        }
        self.done.insert(key.clone(), State::Open);
        let mut group = Group::new(*kind == Kind::Opaque);
        let mut elements: Vec<SetElement> = Vec::new();
        let mut intervals: Vec<(u128, u128)> = Vec::new();
        let mut add = |elements: &mut Vec<SetElement>, set: &Ranges, span: Span| {
            intervals.extend(set.intervals());
            let value = match kind {
                Kind::Addresses(family) => SetValue::Address(*family, set.clone()),
                _ => SetValue::Number(set.clone()),
            };
            elements.push(SetElement { values: vec![value], excluded: false, span });
        };
        for member in at.all(leaf) {
            let text = member.word();
            let known = match kind {
                Kind::Addresses(family) => values::addresses(text).filter(|(f, _)| f == family).map(|(_, set)| set),
                // A list with commas is one value.
                Kind::Ports => text.split(',').try_fold(Ranges::EMPTY, |all, p| Some(all.or(&values::port(p.trim(), None)?))),
                Kind::Macs => values::mac(text).map(Ranges::single),
                Kind::Interfaces => {
                    group.interfaces.push(values::pattern(text));
                    continue;
                }
                Kind::Opaque => continue,
            };
            match known {
                Some(set) => add(&mut elements, &set, member.line()),
                None => {
                    member.note(Unsupported, format!("{text} is nothing that a {space} holds"));
                    group.unknown = true;
                }
            }
        }
        for include in at.all("include") {
            reader.device.names.used(space, include.word(), include.line());
            match self.resolve(reader, space, include.word(), depth + 1) {
                Some(inner) => {
                    self.members = self.members.saturating_add(inner.numbers.intervals().len().max(inner.interfaces.len()));
                    group.unknown |= inner.unknown;
                    if self.members > MEMBERS {
                        reader.incomplete(include.line(), Unsupported, "groups hold too many members: what this includes is not known");
                        group.unknown = true;
                        continue;
                    }
                    add(&mut elements, &inner.numbers, include.line());
                    group.interfaces.extend(inner.interfaces);
                }
                None => {
                    include.note(Unsupported, format!("there is no {space} {}", include.word()));
                    group.unknown = true;
                }
            }
        }
        group.interfaces.sort();
        group.interfaces.dedup();
        group.numbers = Ranges::from_intervals(intervals);
        if matches!(kind, Kind::Addresses(_)) {
            let name = format!("{space} {name}").into();
            reader.device.sets.push(NamedSet { name, span: at.line(), elements, dynamic: group.unknown });
        }
        self.done.insert(key, State::Done(group.clone()));
        Some(group)
    }

    fn group(&self, space: &'static str, name: &str) -> Option<&Group> {
        match self.done.get(&(space, name.to_owned()))? {
            State::Done(group) => Some(group),
            State::Open => None,
        }
    }

    /// A match on the group that `value` names, which may be negated. `word`: how the rule calls the kind of group.
    pub fn matches(&self, reader: &mut Reader<'_>, word: &str, field: Field, family: Family, value: At<'_>) -> Match {
        let (not, name) = values::negated(value.word());
        let six = family == Family::V6;
        let space = match word {
            "address-group" | "ipv6-address-group" if six => "ipv6-address-group",
            "network-group" | "ipv6-network-group" if six => "ipv6-network-group",
            "address-group" | "ipv4-address-group" => "address-group",
            "network-group" | "ipv4-network-group" => "network-group",
            "port-group" => "port-group",
            "mac-group" => "mac-group",
            "domain-group" => "domain-group",
            "remote-group" => "remote-group",
            "dynamic-address-group" | "dynamic-ipv6-address-group" => "dynamic group",
            _ => "group",
        };
        if let Some(found) = self.of_system(reader, field, name, value) {
            return found.negate_if(not);
        }
        reader.device.names.used(space, name, value.line());
        let ports = field_is_port(field);
        match self.group(space, name) {
            Some(group) if !group.unknown && ports => return Match::field(field, group.numbers.clone(), not),
            Some(group) if !group.unknown && space == "mac-group" => {
                // Only what arrives from a network has a link-layer source.
                let is = if field == Field::Src {
                    Match::Field(Field::SrcMac, group.numbers.clone())
                } else {
                    opaque(reader, value, space, name)
                };
                return Match::all(vec![Match::on_ethernet(), is.negate_if(not)]);
            }
            Some(_) if space.ends_with("address-group") || space.ends_with("network-group") => {
                let set = format!("{space} {name}").into();
                let is = Match::InSet { set, fields: vec![field], span: value.line() };
                return Match::all(vec![Match::Family(family), is.negate_if(not)]);
            }
            None if space != "dynamic group" => value.note(Unsupported, format!("there is no {space} {name}")),
            _ => value.note(NotModelled, format!("what the {space} {name} holds is not known")),
        }
        opaque(reader, value, space, name).negate_if(not)
    }

    /// Interfaces of a group.
    pub fn interfaces(&self, reader: &mut Reader<'_>, direction: Direction, value: At<'_>) -> Match {
        let (not, name) = values::negated(value.word());
        reader.device.names.used("interface-group", name, value.line());
        let found = match self.group("interface-group", name) {
            Some(group) if !group.unknown => {
                Match::any_of(group.interfaces.iter().map(|p| Match::Interface(direction, p.clone())).collect())
            }
            _ => {
                value.note(Unsupported, format!("there is no interface-group {name} that is known"));
                let text = format!("{} an interface of the group {name}", if direction == Direction::In { "from" } else { "to" });
                Match::Opaque(reader.device.conditions.intern(&text, value.line()))
            }
        };
        found.negate_if(not)
    }

    /// `ADDRv4_eth0`, `NETv6_eth1`: groups that EdgeOS fills with what an interface has.
    fn of_system(&self, reader: &mut Reader<'_>, field: Field, name: &str, value: At<'_>) -> Option<Match> {
        let (kind, interface) = name.split_once('_')?;
        let (family, nets) = match kind {
            "ADDRv4" => (Family::V4, false),
            "ADDRv6" => (Family::V6, false),
            "NETv4" => (Family::V4, true),
            "NETv6" => (Family::V6, true),
            _ => return None,
        };
        let found = self.own.get(&format!("{interface} {}", family.name()));
        Some(match found {
            Some((_, addresses, networks, false)) => Match::Address(field, family, if nets { networks.clone() } else { addresses.clone() }),
            _ => {
                value.note(NotModelled, format!("which addresses {interface} has is not known"));
                opaque(reader, value, "group", name)
            }
        })
    }
}

fn field_is_port(field: Field) -> bool {
    matches!(field, Field::Sport | Field::Dport)
}

fn opaque(reader: &mut Reader<'_>, value: At<'_>, space: &str, name: &str) -> Match {
    let side = value.parent().parent().parent().word();
    Match::Opaque(reader.device.conditions.intern(&format!("{side} in the {space} {name}"), value.line()))
}
