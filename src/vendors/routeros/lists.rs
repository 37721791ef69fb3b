//! Lists of interfaces and of addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Export;
use super::tables::Item;
use crate::model::{Direction, Match, NamePattern, NamedSet, SetElement, SetValue};
use crate::net::{Family, Ranges, parse_addr, parse_cidr};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

pub(super) const INTERFACE_LIST: &str = "interface list";

/// The interfaces of a list.
#[derive(Clone, Default)]
struct Members {
    names: BTreeSet<String>,
    /// All others too.
    all: bool,
    /// Those that are not in it, if it has all.
    except: BTreeSet<String>,
    /// Others may be in it that nobody knows.
    open: bool,
    /// Interfaces that come and go may be in it; those that the file shows are not, unless named.
    coming: bool,
}

/// All lists.
pub(super) struct Lists {
    interfaces: HashMap<String, Members>,
    /// Bridge of each port.
    pub ports: BTreeMap<String, String>,
    /// Interfaces that belong to a table of their own (VRF): rules see them, or the interface of the table.
    apart: BTreeSet<String>,
    /// The interfaces that the file shows.
    known: BTreeSet<String>,
    /// Address lists that rules fill, by family.
    filled: [BTreeSet<String>; 2],
}

/// Lists in lists (RouterOS itself allows one level or more; nothing says how many).
const DEPTH: usize = 16;

/// The name of a list of addresses as rules use it.
pub(super) fn set_name(family: Family, list: &str) -> Arc<str> {
    match family {
        Family::V4 => format!("address list {list}").into(),
        Family::V6 => format!("IPv6 address list {list}").into(),
    }
}

pub(super) fn address_space(family: Family) -> &'static str {
    if family == Family::V4 { "address list" } else { "IPv6 address list" }
}

/// One address, a prefix, or a range.
pub(super) fn addresses(family: Family, text: &str) -> Option<Ranges> {
    let (f, lo, hi) = match text.split_once('-') {
        Some((a, b)) => {
            let ((f, a), (g, b)) = (parse_addr(a)?, parse_addr(b)?);
            (f == g && a <= b).then_some((f, a, b))?
        }
        None => parse_cidr(text)?,
    };
    (f == family).then_some(Ranges::interval(lo, hi))
}

impl Lists {
    pub fn new(reader: &mut Reader<'_>, export: &Export) -> Lists {
        let mut out = Lists {
            interfaces: HashMap::new(),
            ports: BTreeMap::new(),
            apart: BTreeSet::new(),
            known: reader.device.interfaces.iter().flatten().map(|i| i.name.clone()).collect(),
            filled: Family::BOTH.map(|family| filled_by_rules(export, family)),
        };
        for menu in ["ip vrf", "ip route vrf"] {
            for vrf in export.tables.items(menu).into_iter().filter(|v| !v.disabled()) {
                out.apart.extend(vrf.list("interfaces").into_iter().map(str::to_owned));
            }
        }
        for port in export.tables.items("interface bridge port") {
            if let (Some(i), Some(b), false) = (port.filled("interface"), port.filled("bridge"), port.disabled()) {
                out.ports.insert(i.to_owned(), b.to_owned());
            }
        }
        out.interface_lists(reader, export);
        for family in Family::BOTH {
            address_lists(reader, export, family);
        }
        out
    }

    /// Packets on an interface of this name; `None` where it cannot be told from the name.
    pub fn interface(&self, direction: Direction, name: &str) -> Option<Match> {
        // Sorts of interfaces (`all-ppp`), internal numbers of what was deleted (`*F00012`), ports of a bridge, whose packets come from the bridge.
        let unclear = name.starts_with("all-") || name.starts_with('*') || name == "dynamic" || self.ports.contains_key(name);
        (!unclear && !self.apart.contains(name)).then(|| Match::Interface(direction, NamePattern::exact(name)))
    }

    fn interface_lists(&mut self, reader: &mut Reader<'_>, export: &Export) {
        let mut lists: HashMap<&str, &Item> = HashMap::new();
        for list in export.tables.items("interface list") {
            let Some(name) = list.filled("name") else { continue };
            if list.added {
                reader.device.names.define(INTERFACE_LIST, name, list.at("name"));
            }
            lists.insert(name, list);
        }
        let mut fixed: HashMap<&str, BTreeSet<String>> = HashMap::new();
        for member in export.tables.items("interface list member") {
            let (Some(list), Some(interface)) = (member.filled("list"), member.filled("interface")) else { continue };
            reader.device.names.used(INTERFACE_LIST, list, member.at("list"));
            if !member.disabled() {
                fixed.entry(list).or_default().insert(interface.to_owned());
            }
        }
        let mut names: Vec<&str> = lists.keys().copied().chain(fixed.keys().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let unsure = ["interface list", "interface list member"].iter().any(|m| export.tables.open(m).is_some());
        // Users of PPP and wireless clients bring interfaces of their own (help.mikrotik.com, "PPP AAA" and "WiFi": interface-list).
        let mut coming: BTreeSet<&str> = BTreeSet::new();
        for menu in export.tables.names() {
            if ["ppp", "interface wifi", "interface l2tp-server", "caps-man"].iter().any(|m| menu.starts_with(m)) {
                for item in export.tables.items(menu) {
                    for property in ["interface-list", "datapath.interface-list", "l2tpv3-ether-interface-list"] {
                        coming.extend(item.filled(property));
                    }
                }
            }
        }
        let mut budget = 200_000usize;
        for name in names {
            let mut members = resolve(name, &lists, &fixed, &coming, 0, &mut budget);
            members.open |= unsure;
            self.interfaces.insert(name.to_owned(), members);
        }
        for (_, list) in lists {
            for word in list.list("include").into_iter().chain(list.list("exclude")) {
                if !BUILTIN.contains(&word) {
                    reader.device.names.used(INTERFACE_LIST, word, list.span);
                }
            }
        }
    }

    /// The names of a list, where they are all known.
    pub fn names(&self, list: &str) -> Option<Vec<String>> {
        match list {
            "none" => Some(vec![]),
            _ => self.interfaces.get(list).filter(|m| !m.all && !m.open && !m.coming).map(|m| m.names.iter().cloned().collect()),
        }
    }

    /// Packets on an interface of a list.
    pub fn on(&self, reader: &mut Reader<'_>, direction: Direction, list: &str, span: Span, budget: &mut usize) -> Match {
        let way = if direction == Direction::In { "arrives at" } else { "leaves by" };
        match list {
            "all" => return Match::Interface(direction, NamePattern::prefix("")),
            "none" => return Match::Never,
            _ => {}
        }
        if !BUILTIN.contains(&list) {
            reader.device.names.used(INTERFACE_LIST, list, span);
        }
        let named = |n: &String| Match::Interface(direction, NamePattern::exact(&**n));
        let others = |names: &BTreeSet<String>| {
            let any = Match::Interface(direction, NamePattern::prefix(""));
            Match::all(vec![any, Match::any_of(names.iter().map(named).collect()).negate_if(true)])
        };
        let opaque = |reader: &mut Reader<'_>| {
            Match::Opaque(
                reader
                    .device
                    .conditions
                    .intern(&format!("the packet {way} an interface of the list {list:?} that the file does not show"), span),
            )
        };
        // Those that come and go, and those that do not.
        if matches!(list, "dynamic" | "static") {
            if self.known.len() > *budget {
                return opaque(reader);
            }
            *budget -= self.known.len();
        }
        match list {
            "dynamic" => return Match::all(vec![others(&self.known), opaque(reader)]),
            "static" => {
                let known = Match::any_of(self.known.iter().map(named).collect());
                return Match::any_of(vec![known, Match::all(vec![others(&self.known), opaque(reader)])]);
            }
            _ => {}
        }
        match self.interfaces.get(list) {
            Some(members) if members.names.len() + members.except.len() + self.known.len() <= *budget => {
                *budget -= members.names.len() + members.except.len();
                if members.coming {
                    *budget -= self.known.len();
                }
                let apart = members.names.union(&members.except).any(|n| self.apart.contains(n));
                let known = Match::any_of(members.names.iter().map(named).collect());
                let rest = match (members.open || apart, members.all, members.coming) {
                    (true, ..) => opaque(reader),
                    (_, true, _) => others(&members.except),
                    (_, _, true) => Match::all(vec![others(&self.known), opaque(reader)]),
                    _ => Match::Never,
                };
                Match::any_of(vec![known, rest])
            }
            _ => opaque(reader),
        }
    }

    /// Packets of which an address is in a list. What rules put on it while a packet passes them may be there at one rule and not at the one
    /// before: it is asked anew each time.
    pub fn address(&self, reader: &mut Reader<'_>, family: Family, field: Field, list: &str, span: Span) -> Match {
        reader.device.names.used(address_space(family), list, span);
        let listed = Match::InSet { set: set_name(family, list), fields: vec![field], span };
        let [v4, v6] = &self.filled;
        if !(if family == Family::V4 { v4 } else { v6 }).contains(list) {
            return listed;
        }
        let side = if field == Field::Src { "source" } else { "destination" };
        let text = format!("a rule has put the {side} on the address list {list:?} by then");
        Match::any_of(vec![listed, Match::Opaque(reader.device.conditions.intern_afresh(&text, span))])
    }
}

/// Address lists that rules fill.
fn filled_by_rules(export: &Export, family: Family) -> BTreeSet<String> {
    let root = if family == Family::V4 { "ip" } else { "ipv6" };
    let tables = ["filter", "nat", "raw", "mangle"].map(|table| format!("{root} firewall {table}"));
    let rules = tables.iter().flat_map(|menu| export.tables.items(menu)).filter(|r| !r.disabled());
    rules.filter_map(|r| r.filled("address-list")).map(str::to_owned).collect()
}

const BUILTIN: &[&str] = &["all", "none", "dynamic", "static"];

/// First what other lists bring, then without what is excluded, then the list's own (help.mikrotik.com, "Interface Lists").
fn resolve(
    name: &str,
    lists: &HashMap<&str, &Item>,
    fixed: &HashMap<&str, BTreeSet<String>>,
    coming: &BTreeSet<&str>,
    depth: usize,
    budget: &mut usize,
) -> Members {
    match name {
        "all" => return Members { all: true, ..Members::default() },
        "none" => return Members::default(),
        "dynamic" => return Members { coming: true, ..Members::default() },
        "static" => return Members { open: true, ..Members::default() },
        _ => {}
    }
    if depth > DEPTH || *budget == 0 {
        return Members { open: true, ..Members::default() };
    }
    let mut out = Members::default();
    if let Some(list) = lists.get(name) {
        for other in list.list("include") {
            let other = resolve(other, lists, fixed, coming, depth + 1, budget);
            out.open |= other.open;
            out.coming |= other.coming;
            *budget = budget.saturating_sub(1 + other.names.len());
            match (out.all, other.all) {
                (true, true) => out.except.retain(|n| other.except.contains(n)),
                (false, true) => out.except = other.except,
                _ => {}
            }
            out.all |= other.all;
            out.names.extend(other.names);
            out.except.retain(|n| !out.names.contains(n));
        }
        for other in list.list("exclude") {
            let other = resolve(other, lists, fixed, coming, depth + 1, budget);
            *budget = budget.saturating_sub(1 + other.names.len());
            // What is taken away of what is not known stays unknown.
            if other.open || other.coming || (other.all && !other.except.is_empty()) {
                return Members { open: true, names: fixed.get(name).cloned().unwrap_or_default(), ..Members::default() };
            }
            if other.all {
                out = Members::default();
            }
            out.names.retain(|n| !other.names.contains(n));
            if out.all {
                out.except.extend(other.names);
            }
        }
    }
    out.coming |= coming.contains(name);
    if let Some(own) = fixed.get(name) {
        out.except.retain(|n| !own.contains(n));
        out.names.extend(own.iter().cloned());
    }
    out
}

/// Address lists become sets. Those that something fills while the router runs are open.
fn address_lists(reader: &mut Reader<'_>, export: &Export, family: Family) {
    let root = if family == Family::V4 { "ip" } else { "ipv6" };
    let menu = format!("{root} firewall address-list");
    let mut sets: BTreeMap<String, NamedSet> = BTreeMap::new();
    let mut filled: BTreeSet<String> = BTreeSet::new();
    // Users, leases and hosts that come and go are put on lists too.
    for menu in export.tables.names() {
        if ["ppp", "ip dhcp-server", "ip hotspot", "ipv6 dhcp-server", "ip dns", "caps-man", "user-manager"]
            .iter()
            .any(|m| menu.starts_with(m))
        {
            for item in export.tables.items(menu) {
                for property in ["address-list", "address-lists"] {
                    filled.extend(item.list(property).into_iter().map(str::to_owned));
                }
            }
        }
    }
    let space = address_space(family);
    for item in export.tables.items(&menu) {
        let Some(list) = item.filled("list") else { continue };
        let set = sets.entry(list.to_owned()).or_insert_with(|| {
            reader.device.names.define(space, list, item.at("list"));
            NamedSet { name: set_name(family, list), span: item.span, elements: vec![], dynamic: false }
        });
        if item.disabled() {
            continue;
        }
        match item.value("address").filter(|v| !v.computed).and_then(|v| addresses(family, &v.text)) {
            // An entry with a timeout goes away.
            Some(_) if item.filled("timeout").is_some_and(|t| t != "0s" && t != "none") => set.dynamic = true,
            Some(ranges) => {
                set.elements.push(SetElement { values: vec![SetValue::Address(family, ranges)], excluded: false, span: item.span });
            }
            None => set.dynamic = true,
        }
    }
    let unsure = export.tables.open(&menu).is_some();
    for (name, mut set) in sets {
        set.dynamic |= unsure || filled.contains(&name);
        if unsure {
            set.elements.clear();
        }
        reader.device.sets.push(set);
    }
    // A list that only rules fill is defined by them.
    for table in ["filter", "nat", "raw", "mangle"] {
        for rule in export.tables.items(&format!("{root} firewall {table}")) {
            if let Some(list) = rule.filled("address-list") {
                reader.device.names.define(space, list, rule.at("address-list"));
            }
        }
    }
}
