//! The vendor-neutral device. Readers lower into it; `eval` and `checks` read nothing else.
//!
//! A reader lowers one file into a [`Device`] that holds only what that file says; [`Device::absorb`] joins the pieces
//! of one device (`iptables-save` and `ip6tables-save` and `ip addr` of one host, say).

mod collected;
mod filter;
pub mod ike;
mod management;
mod marks;
mod matcher;
mod names;
mod network;
mod tunnel;

pub use collected::{Digest, Lacking, Shows};
pub use filter::{Action, BaseChain, Chain, ChainId, Effect, Hook, NatKind, Policy, PolicyAction, Rule, Translation};
pub use management::{Account, Fact, Lockout, LogHost, Management, ManagementProtocol, ManagementService};
pub use marks::Bits;
pub use matcher::{ConditionId, Conditions, Direction, Match, NamePattern, NamedSet, SetElement, SetValue};
pub use names::{Named, Names};
pub use network::{HostSetting, Interface, LOOPBACK, PolicyRouting, Route, RoutingRule, RoutingTable, UnseenSetting, is_loopback};
pub use tunnel::{
    CryptoLayer, CryptoOffer, CryptoUse, Dns, Endpoint, Peer, Secret, Selector, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled,
    VpnRoute,
};

use std::collections::HashMap;
use std::sync::Arc;

use crate::net::Family;
use crate::source::{FileId, Span};

/// One firewall, host or VPN endpoint.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Its name: set by whoever groups files into devices.
    pub name: String,
    /// The files it was read from, with the id of the format of each.
    pub files: Vec<(FileId, &'static str)>,
    /// Host name as a file states it, if one does.
    pub hostname: Option<(String, Span)>,
    /// Interfaces with addresses, from companions or from the configuration itself. `None`: no file says anything.
    pub interfaces: Option<Vec<Interface>>,
    /// Routes, most specific order not implied. `None`: no file says anything.
    pub routes: Option<Vec<Route>>,
    /// Which table decides about which packets. `None`: no file says anything.
    pub routing_rules: Option<Vec<RoutingRule>>,
    /// Routes of other tables than the main one, with the name or number of the table.
    pub other_routes: Vec<(String, Route)>,
    /// Rule chains. [`ChainId`] is an index into this list.
    pub chains: Vec<Chain>,
    /// Which chains hang on which hook.
    pub base_chains: Vec<BaseChain>,
    /// Named sets of addresses, ports and so on. Names are unique within a scope (see [`NamedSet::name`]).
    pub sets: Vec<NamedSet>,
    /// Opaque conditions: matches that are not modelled, as named booleans.
    pub conditions: Conditions,
    /// VPN tunnels: one per WireGuard interface or OpenVPN configuration.
    pub tunnels: Vec<Tunnel>,
    /// The export shows every packet filter of the device (`nft list ruleset` does; `iptables-save` shows IPv4 only), so that a hook
    /// without chains lets everything pass. Else nothing is known of such a hook.
    pub exhaustive: bool,
    /// A file changes a packet filter of which the rest is not shown (commands that add to tables which they do not make): where, and how one
    /// sees it.
    pub fragment: Option<(Span, String)>,
    /// Rules may take what a later fragment carries for a transport header, as nftables does where connections are not tracked (the fast
    /// path `nft_payload_fast_eval` in nf_tables_core.c does not ask whether there is a header).
    pub reads_fragments: bool,
    /// What the device would refuse to load, and why: one sentence each.
    pub refused: Vec<(Span, String)>,
    /// It has no settings of the Linux kernel that an export could show (another system, or an appliance that hides them).
    pub no_sysctl: bool,
    /// Kernel and service settings that checks may ask for (`net.ipv4.ip_forward`), by name.
    pub settings: Vec<HostSetting>,
    /// Settings that it has and that no export shows.
    pub unseen: Vec<UnseenSetting>,
    /// Where the firewall tells sorts of networks apart: the conditions that say that a packet is on a network which strangers share, with
    /// the value of each. Empty: it treats all networks alike.
    pub on_public_network: Vec<(ConditionId, bool)>,
    /// How it is administered.
    pub management: Management,
    /// Named objects: addresses, services, aliases, schedules …
    pub names: Names,
    /// What a collecting script could not export.
    pub lacking: Vec<Lacking>,
    /// The files that a collecting script wrote.
    pub digests: Vec<Digest>,
}

impl Device {
    /// Adds what another file says of the same device. Chain, condition and set references of `other` are renumbered.
    /// Where both say something (interfaces, routes), the lists are joined.
    pub fn absorb(&mut self, other: Device) {
        let chain_base = self.chains.len() as u32;
        let map = self.conditions.absorb(other.conditions);
        self.chains.extend(other.chains.into_iter().map(|mut chain| {
            for rule in &mut chain.rules {
                rule.matcher.renumber(&map);
                rule.action.renumber(chain_base);
            }
            chain
        }));
        self.base_chains.extend(other.base_chains.into_iter().map(|mut b| {
            b.chain = ChainId(b.chain.0 + chain_base);
            b
        }));
        self.files.extend(other.files);
        self.absorb_sets(other.sets);
        self.tunnels.extend(other.tunnels);
        self.settings.extend(other.settings);
        self.unseen.extend(other.unseen);
        if self.on_public_network.is_empty() {
            self.on_public_network = other.on_public_network.iter().filter_map(|(id, v)| Some((*map.get(id.0 as usize)?, *v))).collect();
        }
        self.management.absorb(other.management);
        self.names.absorb(other.names);
        self.lacking.extend(other.lacking);
        self.digests.extend(other.digests);
        join(&mut self.interfaces, other.interfaces);
        join(&mut self.routes, other.routes);
        join(&mut self.routing_rules, other.routing_rules);
        self.other_routes.extend(other.other_routes);
        self.exhaustive |= other.exhaustive;
        if self.fragment.is_none() {
            self.fragment = other.fragment;
        }
        self.refused.extend(other.refused);
        self.no_sysctl |= other.no_sysctl;
        self.reads_fragments |= other.reads_fragments;
        if self.hostname.is_none() {
            self.hostname = other.hostname;
        }
    }

    /// Sets of one name become one: a rule that fills a set may be in another file than the set.
    fn absorb_sets(&mut self, sets: Vec<NamedSet>) {
        let mut index: HashMap<Arc<str>, usize> = self.sets.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect();
        for mut set in sets {
            match index.get(&set.name).and_then(|i| self.sets.get_mut(*i)) {
                Some(mine) => {
                    if mine.elements.is_empty() {
                        mine.span = set.span;
                    }
                    mine.elements.append(&mut set.elements);
                    mine.dynamic |= set.dynamic;
                }
                None => {
                    index.insert(set.name.clone(), self.sets.len());
                    self.sets.push(set);
                }
            }
        }
    }

    /// Gives interfaces other names, wherever they stand: for a comparison with another device that calls them otherwise.
    pub fn rename_interfaces(&mut self, names: &HashMap<String, String>) {
        let renamed = |name: &mut String| {
            if let Some(new) = names.get(name) {
                name.clone_from(new);
            }
        };
        for rule in self.chains.iter_mut().flat_map(|c| &mut c.rules) {
            rule.matcher.walk_mut(&mut |m| {
                if let Match::Interface(_, pattern) = m
                    && !pattern.wildcard
                {
                    renamed(&mut pattern.name);
                }
            });
        }
        self.base_chains.iter_mut().flat_map(|b| &mut b.devices).filter(|p| !p.wildcard).for_each(|p| renamed(&mut p.name));
        self.interfaces.iter_mut().flatten().for_each(|i| renamed(&mut i.name));
        self.routes.iter_mut().flatten().filter_map(|r| r.interface.as_mut()).for_each(renamed);
        self.tunnels.iter_mut().for_each(|t| renamed(&mut t.interface));
    }

    /// The chain of an id.
    pub fn chain(&self, id: ChainId) -> &Chain {
        &self.chains[id.0 as usize]
    }

    /// The value of a setting, by name: of several, the last, as for `sysctl --load`.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|s| s.name == name).map(|s| s.value.trim())
    }

    /// Whether something is known of the device's packet filter: rules of it were read, or an export that shows every one, and there is
    /// none.
    pub fn filter_is_known(&self) -> bool {
        self.has_filter() || self.exhaustive || self.fragment.is_some()
    }

    /// Whether the device does not speak the family at all.
    pub fn switched_off(&self, family: Family) -> bool {
        let all = "net.ipv6.conf.all.disable_ipv6";
        // What is written to "all" goes to every interface; a later 0 for one of them, or for those to come, switches it on there again
        // (Documentation/networking/ip-sysctl.rst of the kernel, `disable_ipv6`).
        let each = self.settings.iter().filter(|s| s.name.starts_with("net.ipv6.conf.") && s.name.ends_with(".disable_ipv6"));
        let mut others = each.filter(|s| s.name != all && s.name != "net.ipv6.conf.lo.disable_ipv6");
        family == Family::V6 && self.setting(all) == Some("1") && others.all(|s| self.setting(&s.name) != Some("0"))
    }

    /// Who decides about the way of packets of a family beside the main routing table.
    pub fn policy_routing(&self, family: Family) -> PolicyRouting<'_> {
        let of_family = |r: &Route| Family::of(r.to.ip()) == family;
        let table = |name: &str| {
            let name = name.to_owned();
            self.other_routes.iter().filter(move |(t, r)| *t == name && of_family(r)).map(|(_, r)| r)
        };
        let Some(rules) = &self.routing_rules else {
            let all: Vec<&Route> = self.other_routes.iter().map(|(_, r)| r).filter(|r| of_family(r)).collect();
            return if all.is_empty() { PolicyRouting::Main } else { PolicyRouting::Routes(all) };
        };
        let mut routes = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for rule in rules.iter().filter(|r| r.family.is_none_or(|f| f == family)) {
            match &rule.table {
                RoutingTable::Unknown => return PolicyRouting::Unknown,
                RoutingTable::Named(name) if !names.contains(&name.as_str()) => {
                    names.push(name);
                    let before = routes.len();
                    routes.extend(table(name));
                    // The table of the last rule is empty unless somebody fills it.
                    if routes.len() == before && name != "default" {
                        return PolicyRouting::Unknown;
                    }
                }
                _ => {}
            }
        }
        if routes.is_empty() { PolicyRouting::Main } else { PolicyRouting::Routes(routes) }
    }

    /// Whether the addresses of the interfaces decide which packets are for the device itself: the table of its addresses is asked first, and no
    /// other one takes packets to foreign addresses for its own (as transparent proxies want it).
    pub fn delivers_by_address(&self, family: Family) -> bool {
        let mine = |r: &&RoutingRule| r.family.is_none_or(|f| f == family);
        let first = self.routing_rules.iter().flatten().filter(mine).min_by_key(|r| r.preference);
        let local_first = first.is_none_or(|r| r.table == RoutingTable::Local && !r.selects);
        local_first
            && match self.policy_routing(family) {
                PolicyRouting::Main => true,
                PolicyRouting::Unknown => false,
                PolicyRouting::Routes(routes) => routes.iter().all(|r| r.kind.as_deref() != Some("local")),
            }
    }

    /// The export of a sort that a collecting script could not make, where it made none of that sort.
    pub fn lacks(&self, shows: Shows) -> Option<&Lacking> {
        self.lacking.iter().find(|l| l.shows == shows)
    }

    /// Whether any packet filter was read.
    pub fn has_filter(&self) -> bool {
        !self.base_chains.is_empty()
    }

    /// The interfaces that a name or a beginning of names means, aliases included. What means none stays as it is.
    pub fn interfaces_called(&self, pattern: &NamePattern) -> Vec<NamePattern> {
        let list = self.interfaces.iter().flatten();
        let called = list.filter(|i| !pattern.matches(&i.name) && i.aliases.iter().any(|a| pattern.matches(a)));
        let mut out: Vec<NamePattern> = called.map(|i| NamePattern::exact(&*i.name)).collect();
        if out.is_empty() || self.interfaces.iter().flatten().any(|i| pattern.matches(&i.name)) {
            out.push(pattern.clone());
        }
        out
    }

    /// The set of a name.
    pub fn set(&self, name: &str) -> Option<&NamedSet> {
        self.sets.iter().find(|s| &*s.name == name)
    }
}

fn join<T>(mine: &mut Option<Vec<T>>, theirs: Option<Vec<T>>) {
    match (mine.as_mut(), theirs) {
        (Some(mine), Some(theirs)) => mine.extend(theirs),
        (None, theirs) => *mine = theirs,
        (Some(_), None) => {}
    }
}
