//! Aliases: names for addresses and ports, which may name other aliases.

use std::collections::HashMap;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::lower::Lowering;
use super::tree::{Text, Tree, parts};
use super::words;
use crate::diag::LineState;
use crate::model::{NamedSet, SetElement, SetValue};
use crate::net::{Family, Ranges, parse_cidr};
use crate::source::Span;

/// The name space of aliases.
pub(super) const SPACE: &str = "alias";
/// Entries of all aliases together, with those that they take over from others.
const ENTRIES: usize = 500_000;
/// Aliases within aliases.
const DEPTH: usize = 32;
/// Tables that the firewalls themselves fill, or fetch.
pub(super) const BUILT_IN: &[&str] =
    &["bogons", "bogonsv6", "virusprot", "sshlockout", "sshguard", "snort2c", "webConfiguratorlockout", "negate_networks", "vpn_networks"];

/// An alias.
#[derive(Clone)]
pub(super) struct Alias {
    pub kind: String,
    pub entries: Vec<(String, Span)>,
    pub enabled: bool,
    pub span: Span,
}

/// Whether what an alias of a type holds is in the file. Others are fetched, or looked up while the firewall runs.
fn is_written(kind: &str) -> bool {
    matches!(kind, "host" | "network" | "networkgroup" | "port" | "")
}

/// What a list of ports comes to.
#[derive(Clone, Default)]
pub(super) struct PortSet {
    pub known: Vec<(u128, u128)>,
    /// Names of that of which it is not known.
    pub unknown: Vec<String>,
}

#[derive(Default)]
pub(super) struct Aliases {
    by_name: HashMap<String, Alias>,
    /// Sets that were made of them.
    sets: HashMap<String, Arc<str>>,
    ports: HashMap<String, PortSet>,
    entries: usize,
}

impl<'d> Lowering<'_, '_, 'd> {
    /// Reads all aliases: `<aliases>` of both, and OPNsense's model of them.
    pub fn aliases(&mut self) {
        let root = self.root;
        let legacy = root.child("aliases").into_iter().flat_map(|s| s.list("alias"));
        let model = root.at(&["OPNsense", "Firewall", "Alias", "aliases"]).into_iter().flat_map(|s| s.list("alias"));
        for element in legacy.chain(model) {
            let Some(name) = element.value("name") else { continue };
            let mut entries = Vec::new();
            for field in ["address", "content", "url", "aliasurl"] {
                for child in element.list(field) {
                    let text = child.text();
                    entries.extend(parts(&text).map(|p| (p.to_owned(), child.text_span())));
                }
            }
            let kind = element.value("type").map(|t| t.text.into_owned()).unwrap_or_default();
            let enabled = !element.value("enabled").is_some_and(|v| v.is(&["0"]));
            let alias = Alias { kind, entries, enabled, span: name.span };
            self.reader.device.names.define(SPACE, &*name.text, name.span);
            self.aliases.by_name.insert(name.text.into_owned(), alias);
        }
        let names: Vec<String> = self.aliases.by_name.keys().cloned().collect();
        for (name, alias) in names.iter().filter_map(|n| Some((n, self.aliases.by_name.get(n)?))) {
            // What an alias names is used, whoever uses the alias.
            for (entry, span) in alias.entries.iter().filter(|_| is_written(&alias.kind)) {
                let entry = entry.strip_prefix('!').unwrap_or(entry);
                if entry != name && self.aliases.by_name.contains_key(entry) {
                    self.reader.device.names.used(SPACE, entry, *span);
                }
            }
        }
    }

    pub fn alias(&self, name: &str) -> Option<&Alias> {
        self.aliases.by_name.get(name)
    }

    /// The networks of an alias, where all of them are written.
    pub fn alias_networks(&mut self, name: &Text<'_>) -> Vec<IpNetwork> {
        self.reader.device.names.used(SPACE, &*name.text, name.span);
        let entries = self.alias(&name.text).map(|a| a.entries.clone()).unwrap_or_default();
        entries.iter().filter_map(|(e, _)| super::interfaces::network(e, None)).collect()
    }

    /// The set of addresses of an alias. `None`: there is no such alias.
    pub fn address_set(&mut self, name: &str) -> Option<Arc<str>> {
        if let Some(set) = self.aliases.sets.get(name) {
            return Some(set.clone());
        }
        let alias = self.aliases.by_name.get(name)?;
        let span = alias.span;
        let mut set = NamedSet { name: name.into(), span, elements: Vec::new(), dynamic: false };
        self.fill(name, &mut set, &mut Vec::new(), false);
        // pf takes the most specific entry of a table.
        set.elements.sort_by_key(|e| (std::cmp::Reverse(size(e)), e.excluded));
        let key: Arc<str> = set.name.clone();
        self.reader.device.sets.push(set);
        self.aliases.sets.insert(name.to_owned(), key.clone());
        Some(key)
    }

    fn fill(&mut self, name: &str, set: &mut NamedSet, open: &mut Vec<String>, inverted: bool) {
        let Some(alias) = self.aliases.by_name.get(name).cloned() else { return };
        if open.iter().any(|o| o == name) {
            self.reader.device.names.cyclic(SPACE, name, alias.span);
            return;
        }
        if open.len() >= DEPTH {
            self.reader.incomplete(
                alias.span,
                LineState::Unsupported,
                format!("aliases nest deeper than {DEPTH}: the rest is not looked at"),
            );
            set.dynamic = true;
            return;
        }
        if !is_written(&alias.kind) || !alias.enabled {
            // What is switched off is no table at all in OPNsense, or an empty one: nothing is said of it.
            set.dynamic = true;
            return;
        }
        open.push(name.to_owned());
        for (entry, span) in &alias.entries {
            self.aliases.entries += 1;
            if self.aliases.entries > ENTRIES {
                self.reader.incomplete(
                    *span,
                    LineState::Unsupported,
                    format!("aliases have more than {ENTRIES} entries: the rest is not looked at"),
                );
                set.dynamic = true;
                break;
            }
            let (entry, excluded) = entry.strip_prefix('!').map_or((entry.as_str(), inverted), |e| (e, !inverted));
            if let Some((family, ranges)) = addresses(entry) {
                for (lo, hi) in ranges.intervals() {
                    let values = vec![SetValue::Address(family, Ranges::interval(*lo, *hi))];
                    set.elements.push(SetElement { values, excluded, span: *span });
                }
            } else if self.aliases.by_name.contains_key(entry) {
                self.fill(entry, set, open, excluded);
            } else if let Some(key) =
                entry.strip_prefix("__").and_then(|e| e.strip_suffix("_network")).filter(|k| self.ifaces.get(k).is_some())
            {
                self.networks_of(key, set, excluded, *span);
            } else {
                // The name of a host, or of another table.
                set.dynamic = true;
            }
        }
        open.pop();
    }

    fn networks_of(&self, key: &str, set: &mut NamedSet, excluded: bool, span: Span) {
        let Some(iface) = self.ifaces.get(key) else { return };
        set.dynamic |= iface.dynamic.contains(&true);
        for address in &iface.addresses {
            let (family, lo, hi) = crate::net::prefix_bounds(*address);
            set.elements.push(SetElement { values: vec![SetValue::Address(family, Ranges::interval(lo, hi))], excluded, span });
        }
    }

    /// The ports of a word: numbers, ranges, names, aliases, or a list of them.
    pub fn port_set(&mut self, text: &str, protocol: Option<u8>, span: Span) -> PortSet {
        let mut all = PortSet::default();
        for part in parts(text) {
            if self.aliases.by_name.contains_key(part) {
                self.reader.device.names.used(SPACE, part, span);
                let set = self.port_alias(part, &mut Vec::new());
                all.known.extend(set.known);
                all.unknown.extend(set.unknown);
            } else if let Some(ranges) = words::ports(part, protocol) {
                all.known.extend_from_slice(ranges.intervals());
            } else if !part.eq_ignore_ascii_case("any") {
                self.reader.device.names.used(SPACE, part, span);
                all.unknown.push(part.to_owned());
            } else {
                all.known.push((0, 65535));
            }
        }
        all
    }

    fn port_alias(&mut self, name: &str, open: &mut Vec<String>) -> PortSet {
        if let Some(known) = self.aliases.ports.get(name) {
            return known.clone();
        }
        let mut all = PortSet::default();
        let Some(alias) = self.aliases.by_name.get(name).cloned() else { return all };
        if open.iter().any(|o| o == name) {
            self.reader.device.names.cyclic(SPACE, name, alias.span);
            return all;
        }
        if open.len() >= DEPTH || !matches!(alias.kind.as_str(), "port" | "") || !alias.enabled {
            all.unknown.push(name.to_owned());
            return all;
        }
        open.push(name.to_owned());
        for (entry, span) in &alias.entries {
            self.aliases.entries += 1;
            if self.aliases.entries > ENTRIES {
                self.reader.incomplete(
                    *span,
                    LineState::Unsupported,
                    format!("aliases have more than {ENTRIES} entries: the rest is not looked at"),
                );
                all.unknown.push(name.to_owned());
                break;
            }
            if self.aliases.by_name.contains_key(entry.as_str()) {
                let inner = self.port_alias(entry, open);
                all.known.extend(inner.known);
                all.unknown.extend(inner.unknown);
            } else {
                match words::ports(entry, None) {
                    Some(ranges) => all.known.extend_from_slice(ranges.intervals()),
                    None => all.unknown.push(entry.clone()),
                }
            }
        }
        open.pop();
        all.known = Ranges::from_intervals(all.known).intervals().to_vec();
        all.unknown.sort_unstable();
        all.unknown.dedup();
        if open.is_empty() {
            self.aliases.ports.insert(name.to_owned(), all.clone());
        }
        all
    }
}

/// An address, a network, or a range of addresses.
pub(super) fn addresses(text: &str) -> Option<(Family, Ranges)> {
    if let Some((family, lo, hi)) = parse_cidr(text) {
        return Some((family, Ranges::interval(lo, hi)));
    }
    let (first, last) = text.split_once('-')?;
    let (family, lo, _) = parse_cidr(first.trim()).filter(|(_, lo, hi)| lo == hi)?;
    let (other, _, hi) = parse_cidr(last.trim()).filter(|(_, lo, hi)| lo == hi)?;
    (family == other && lo <= hi).then(|| (family, Ranges::interval(lo, hi)))
}

fn size(element: &SetElement) -> u128 {
    match element.values.first() {
        Some(SetValue::Address(_, r)) => r.max().unwrap_or(0) - r.min().unwrap_or(0),
        _ => 0,
    }
}
