//! Who and what a policy names: users, groups, tags, hosts, addresses.

use std::collections::BTreeMap;

use crate::model::{Match, Names};
use crate::net::{Family, PUBLIC4, PUBLIC6, Ranges, parse_addr, parse_cidr};
use crate::packets::Field;
use crate::source::Span;
use crate::syntax::json::{Kind, Value};
use crate::vendors::Reader;

/// Name spaces of a policy.
pub(super) const GROUP: &str = "group";
pub(super) const TAG: &str = "tag";
pub(super) const HOST: &str = "host";
pub(super) const POSTURE: &str = "posture";
pub(super) const IPSET: &str = "ip set";

/// What a policy defines.
#[derive(Default)]
pub(super) struct Defined {
    pub groups: BTreeMap<String, Vec<String>>,
    pub hosts: BTreeMap<String, (Family, u128, u128)>,
    /// Addresses of a set by family; `None`: not all of it is addresses.
    pub ipsets: BTreeMap<String, Option<[Ranges; 2]>>,
}

impl Defined {
    pub fn read(reader: &mut Reader<'_>, policy: &Value) -> Defined {
        let mut out = Defined::default();
        for group in section(policy, "groups") {
            reader.device.names.define(GROUP, &*group.name, group.at);
            let members = group.value.list().into_iter().filter_map(Value::text).map(str::to_owned);
            out.groups.insert(group.name.clone(), members.collect());
        }
        for tag in section(policy, "tagOwners") {
            reader.device.names.define(TAG, &*tag.name, tag.at);
        }
        for posture in section(policy, "postures") {
            reader.device.names.define(POSTURE, &*posture.name, posture.at);
        }
        for host in section(policy, "hosts") {
            reader.device.names.define(HOST, &*host.name, host.at);
            match host.value.text().and_then(parse_cidr) {
                Some(net) => {
                    out.hosts.insert(host.name.clone(), net);
                }
                None => reader.refused(host.value.span, format!("the host {} is no address", host.name)),
            }
        }
        for set in section(policy, "ipsets") {
            reader.device.names.define(IPSET, &*set.name, set.at);
            let mut ranges = [Ranges::EMPTY, Ranges::EMPTY];
            let mut known = true;
            for item in set.value.list().into_iter().filter_map(Value::text) {
                let item = item.trim();
                let (remove, word) = match item.strip_prefix("remove ") {
                    Some(rest) => (true, rest.trim()),
                    None => (false, item.strip_prefix("add ").unwrap_or(item).trim()),
                };
                let word = word.strip_prefix("host:").unwrap_or(word);
                match parse_range(word).or_else(|| out.hosts.get(word).copied()) {
                    Some((family, lo, hi)) => {
                        let slot = &mut ranges[usize::from(family == Family::V6)];
                        let this = Ranges::interval(lo, hi);
                        *slot = if remove { slot.minus(&this) } else { slot.or(&this) };
                    }
                    None => known = false,
                }
            }
            out.ipsets.insert(set.name.clone(), known.then_some(ranges));
        }
        out
    }
}

/// The properties of a section, whatever the case of its name (old policies write `Groups`).
pub(super) fn section<'v>(policy: &'v Value, name: &str) -> &'v [crate::syntax::json::Property] {
    policy.get(name).map(Value::properties).unwrap_or(&[])
}

/// An address, a prefix, or `first-last`.
pub(super) fn parse_range(text: &str) -> Option<(Family, u128, u128)> {
    if let Some((a, b)) = text.split_once('-')
        && let (Some((f, lo)), Some((g, hi))) = (parse_addr(a), parse_addr(b))
    {
        return (f == g && lo <= hi).then_some((f, lo, hi));
    }
    parse_cidr(text)
}

/// What a selector means.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Selector {
    /// Everything of the tailnet.
    Any,
    /// These addresses.
    Addresses(Vec<(Family, Ranges)>),
    /// A user, a group, a tag, an autogroup: known by its name only.
    Named(String),
    /// Addresses of the internet, through an exit node.
    Internet,
    /// Devices of the same user.
    Own,
    /// Not defined.
    Undefined(String),
}

impl Selector {
    /// Reads a selector, and notes what it uses.
    pub fn of(names: &mut Names, defined: &Defined, text: &str, span: Span) -> Selector {
        let one = |(family, lo, hi): (Family, u128, u128)| Selector::Addresses(vec![(family, Ranges::interval(lo, hi))]);
        if matches!(text, "*" | "autogroup:danger-all") {
            return Selector::Any;
        }
        if text == "autogroup:internet" {
            return Selector::Internet;
        }
        if text == "autogroup:self" {
            return Selector::Own;
        }
        if let Some(net) = parse_range(text.trim_start_matches('[').trim_end_matches(']')) {
            return one(net);
        }
        if let Some(set) = text.strip_prefix("ipset:").map(|_| text) {
            names.used(IPSET, set, span);
            return match defined.ipsets.get(set) {
                Some(Some(ranges)) => Selector::Addresses(Family::BOTH.into_iter().zip(ranges.iter().cloned()).collect()),
                Some(None) => Selector::Named(set.to_owned()),
                None => Selector::Undefined(set.to_owned()),
            };
        }
        let space = match text.split_once(':') {
            Some(("group", _)) => Some(GROUP),
            Some(("tag", _)) => Some(TAG),
            _ => None,
        };
        if let Some(space) = space {
            names.used(space, text, span);
            return Selector::Named(text.to_owned());
        }
        if let Some(net) = defined.hosts.get(text.strip_prefix("host:").unwrap_or(text)) {
            names.used(HOST, text.strip_prefix("host:").unwrap_or(text), span);
            return one(*net);
        }
        // A mail address or a provider's name, an autogroup, a user of Headscale (`alice@`).
        if text.contains('@') || text.starts_with("autogroup:") || text.starts_with("user:") || text.starts_with("svc:") {
            return Selector::Named(text.to_owned());
        }
        names.used(HOST, text, span);
        Selector::Undefined(text.to_owned())
    }

    /// As a match of the source or destination.
    pub fn matcher(&self, reader: &mut Reader<'_>, field: Field, span: Span) -> Match {
        let source = field == Field::Src;
        let side = if source { "from" } else { "to" };
        let mut opaque = |text: String| Match::Opaque(reader.device.conditions.intern(&text, span));
        match self {
            // What comes from elsewhere comes through a router of the tailnet, whose networks the policy does not name.
            Selector::Any if source => {
                let routed = opaque("from a network behind a router of the tailnet".into());
                Match::any_of([own_addresses(field), vec![routed]].concat())
            }
            Selector::Any => Match::Any,
            Selector::Addresses(list) => {
                let parts = list.iter().filter(|(_, r)| !r.is_empty());
                Match::any_of(parts.map(|(family, ranges)| Match::Address(field, *family, ranges.clone())).collect())
            }
            Selector::Named(name) if name.starts_with("ipset:") => opaque(format!("{side} {name}")),
            // Devices of users and with tags have addresses of the tailnet.
            Selector::Named(name) => Match::all(vec![Match::any_of(own_addresses(field)), opaque(format!("{side} {name}"))]),
            Selector::Undefined(name) => opaque(format!("{side} {name}, which is not defined")),
            Selector::Own => Match::all(vec![Match::any_of(own_addresses(field)), opaque("to a device of the same user".into())]),
            Selector::Internet => {
                Match::any_of(vec![Match::Address(field, Family::V4, PUBLIC4.clone()), Match::Address(field, Family::V6, PUBLIC6.clone())])
            }
        }
    }
}

/// Addresses that Tailscale gives to devices (100.64.0.0/10 and fd7a:115c:a1e0::/48, "IP pool"); Headscale gives such too.
fn own_addresses(field: Field) -> Vec<Match> {
    let nets = ["100.64.0.0/10", "fd7a:115c:a1e0::/48"].into_iter().filter_map(parse_cidr);
    nets.map(|(family, lo, hi)| Match::Address(field, family, Ranges::interval(lo, hi))).collect()
}

/// Whether a JSON value is a list or a text, as selectors are.
pub(super) fn is_selectors(value: &Value) -> bool {
    matches!(value.kind, Kind::List(_) | Kind::Text(_))
}
