//! How packets get to the chain of their zones: from the built-in chains by interface, to zones by addresses, to pairs of zones by departure.
//!
//! Source: what `shorewall check -r` of version 5.2.8 prints.

use std::collections::BTreeSet;

use super::book::{Asks, Table};
use super::compile::Compiler;
use super::zones::{Hosts, Interface, Kind, Zone};
use crate::net::Family;
use crate::source::Span;

const JUMP: &str = "jump to the rules of a zone";

impl Compiler<'_, '_> {
    /// Puts what options add before the rules of interfaces; or, where there are rules of the file blrules, after these.
    pub fn spread_options(&mut self, blacklisted: bool) {
        if !blacklisted {
            for interface in self.real_interfaces() {
                for (from, to) in [("iop", "in"), ("fop", "fwd"), ("oop", "out")] {
                    let lines = self.book.take(Table::Filter, &format!("{}_{from}", interface.name));
                    self.book.put(Table::Filter, &format!("{}_{to}", interface.name), lines, true);
                }
            }
            return;
        }
        let off = self.zones.off_firewall();
        let all = self.zones.names();
        self.implied("jump to the options of an interface", |c| {
            for from in &off {
                let interfaces: Vec<String> = c.zones.get(from).map(|z| z.interfaces.iter().cloned().collect()).unwrap_or_default();
                for to in &all {
                    let side = if c.zones.is_on_firewall(to) { "iop" } else { "fop" };
                    for interface in &interfaces {
                        let asks = if interfaces.len() > 1 { c.dev("-i", interface) } else { Asks::default() };
                        c.option_jump((from, to), interface, side, asks);
                    }
                }
            }
            for from in all.iter().filter(|z| c.zones.is_on_firewall(z)).cloned().collect::<Vec<_>>() {
                for to in &off {
                    let interfaces: Vec<String> = c.zones.get(to).map(|z| z.interfaces.iter().cloned().collect()).unwrap_or_default();
                    for interface in &interfaces {
                        c.option_jump((&from, to), interface, "oop", Asks::default());
                    }
                }
            }
        });
    }

    fn option_jump(&mut self, (from, to): (&str, &str), interface: &str, side: &str, asks: Asks) {
        let options = format!("{interface}_{side}");
        if self.book.is_empty(Table::Filter, &options) || interface.starts_with('%') {
            return;
        }
        let span = self.zones.interface(interface).map_or(self.settings.anchor, |i| i.span);
        let chain = self.chain_of(from, to);
        self.add(Table::Filter, &chain, asks, &format!("-j {options}"), span);
        self.pair_mut(from, to).used = true;
    }

    /// Whether the rules of an interface have a chain of their own.
    fn own_chain(&self, interface: &Interface, chain: &str) -> bool {
        if interface.zones.len() > 1 || interface.nets > 1 || interface.ports > 0 {
            return true;
        }
        if chain.ends_with("_fwd") && interface.zone.is_empty() {
            return true;
        }
        if interface.nets == 0 {
            return false;
        }
        if interface.zone.is_empty() {
            return true;
        }
        !self.book.is_empty(Table::Filter, chain) && self.zones.get(&interface.zone).is_some_and(|z| z.interfaces.len() > 1)
    }

    /// Words of the policy match for packets of hosts of a zone; `way`: 1 for arrival, 2 for departure.
    fn ipsec(&self, zone: &Zone, hosts: &Hosts, way: usize) -> Asks {
        if (way == 1 && zone.holds_ipsec) || zone.kind == Kind::Vserver {
            return Asks::default();
        }
        let kind = match (zone.kind == Kind::Ipsec, self.zones.ipsec) {
            (true, _) => "ipsec",
            (false, true) if hosts.ipsec => "ipsec",
            (false, true) => "none",
            _ => return Asks::default(),
        };
        let dir = if way == 1 { "in" } else { "out" };
        let more = format!("{}{}", zone.ipsec[0], zone.ipsec.get(way).map_or("", String::as_str));
        let legal = more.bytes().all(|b| b.is_ascii_alphanumeric() || b" -!./:".contains(&b));
        let words = format!("-m policy --dir {dir} --pol {kind} {}", if legal { more.trim() } else { "" });
        Asks::words(words.trim_end())
    }

    pub fn matrix(&mut self) {
        self.implied(JUMP, Self::jumps);
    }

    fn jumps(&mut self) {
        let off = self.zones.off_firewall();
        let firewall = self.zones.firewall.clone();
        let several = off.len() > 1;
        for zone in &off {
            let Some(z) = self.zones.get(zone).cloned() else { continue };
            let frwd = format!("{zone}_frwd");
            let forwards = z.kind != Kind::Local && (several || z.complex);
            if forwards {
                self.book.chain(Table::Filter, &frwd, z.span);
            }
        }
        self.ipsec_first(&off);
        for zone in &off {
            let Some(z) = self.zones.get(zone).cloned() else { continue };
            let forwards = self.book.has(Table::Filter, &format!("{zone}_frwd"));
            let (has_nat, has_raw) = self.of_parents(&z);
            let mut groups: Vec<&Hosts> = z.hosts.iter().collect();
            groups.sort_by_key(|h| (h.ipsec, h.interface.clone()));
            for hosts in groups {
                let Some(interface) = self.zones.interface(&hosts.interface).cloned() else { continue };
                if interface.physical == "+" {
                    // What is for one interface comes before what is for all.
                    self.by_interface();
                }
                for net in &hosts.nets {
                    if !self.destination(&firewall, zone).is_empty() && z.kind != Kind::BridgePort {
                        self.output_jump(&z, &interface, hosts, net);
                    }
                    if hosts.options.contains("destonly") {
                        continue;
                    }
                    self.prerouting_jump(&z, &interface, hosts, net, has_nat, has_raw);
                    self.input_jump(&z, &interface, hosts, net);
                    if forwards && !hosts.ipsec {
                        self.forward_jump(&z, &interface, hosts, net);
                    }
                }
            }
            if forwards {
                self.destinations(&z, &off);
            }
        }
        self.ends();
    }

    /// Zones told by IPsec are asked for first, so that their packets do not count as those of the zones around them.
    fn ipsec_first(&mut self, zones: &[String]) {
        if !self.zones.ipsec {
            return;
        }
        for zone in zones {
            let Some(z) = self.zones.get(zone).cloned().filter(|z| zones.len() > 2 || z.complex) else { continue };
            for hosts in z.hosts.iter().filter(|h| h.ipsec) {
                let Some(interface) = self.zones.interface(&hosts.interface).cloned().filter(|i| !i.has("destonly")) else { continue };
                let own = format!("{}_fwd", interface.name);
                let frwd = format!("{zone}_frwd");
                let (chain, dev) = if self.own_chain(&interface, &own) || self.jumps.contains(&("fwd", interface.name.clone())) {
                    self.jump_once("FORWARD", "fwd", &interface, interface.span);
                    (own, Asks::default())
                } else {
                    let lines = self.book.take(Table::Filter, &own);
                    self.book.put(Table::Filter, &frwd, lines, true);
                    ("FORWARD".to_owned(), self.dev("-i", &interface.name))
                };
                for net in &hosts.nets {
                    let asks = dev.and(&self.net(true, net)).and(&self.ipsec(&z, hosts, 1));
                    let go = if z.parents.is_empty() { "-g" } else { "-j" };
                    let target = self.without(Table::Filter, &frwd, &hosts.exclusions, true, hosts.span);
                    self.add(Table::Filter, &chain, asks, &format!("{go} {target}"), hosts.span);
                }
            }
        }
    }

    /// Whether a zone's packets must be kept from the translations, and from the exemptions from tracking, of the zones around it.
    fn of_parents(&self, zone: &Zone) -> (bool, bool) {
        if zone.parents.is_empty() {
            return (false, false);
        }
        let any = |table, end: &str| zone.parents.iter().any(|p| !self.book.is_empty(table, &format!("{p}_{end}")));
        let (nat, raw) = (any(Table::Nat, "dnat"), any(Table::Raw, "ctrk"));
        let goes_on = self.zones.list.iter().any(|z| self.pair(&zone.name, &z.name).is_some_and(|p| p.policy == "CONTINUE"));
        if goes_on { (false, false) } else { (nat, raw) }
    }

    /// The jump from a built-in chain to that of an interface, once.
    fn jump_once(&mut self, base: &str, end: &'static str, interface: &Interface, span: Span) {
        if !self.jumps.insert((end, interface.name.clone())) {
            return;
        }
        let option = if end == "out" { "-o" } else { "-i" };
        let asks = self.dev(option, &interface.name);
        let target = format!("{}_{end}", interface.name);
        self.book.chain(Table::Filter, &target, span);
        // A port's packets come by the chain of its bridge.
        let base = if interface.port { format!("{}_{end}", interface.bridge) } else { base.to_owned() };
        self.add(Table::Filter, &base, asks, &format!("-j {target}"), span);
    }

    fn output_jump(&mut self, z: &Zone, interface: &Interface, hosts: &Hosts, net: &str) {
        let firewall = self.zones.firewall.clone();
        let target = self.destination(&firewall, &z.name);
        let own = format!("{}_out", interface.name);
        let is_chain = self.book.has(Table::Filter, &target);
        let vservers = self.zones.vservers();
        let alone = vservers.is_empty()
            && !self.own_chain(interface, &own)
            && (self.book.is_empty(Table::Filter, &own) || is_chain)
            && z.interfaces.len() <= 1;
        let next = self.without(Table::Filter, &target, &hosts.exclusions, false, hosts.span);
        let (chain, dev) = if alone {
            let lines = self.book.take(Table::Filter, &own);
            self.book.put(Table::Filter, &target, lines, true);
            ("OUTPUT".to_owned(), self.dev("-o", &interface.name))
        } else {
            self.jump_once("OUTPUT", "out", interface, interface.span);
            for vserver in &vservers {
                self.vserver_source(&own, vserver, &z.name, &self.net(false, net), hosts.span);
            }
            (own, Asks::default())
        };
        let (chain, dev) = if interface.port && alone { (format!("{}_out", interface.bridge), dev) } else { (chain, dev) };
        let policy = self.ipsec(z, hosts, 2);
        let asks = dev.and(&self.net(false, net)).and(&policy);
        self.add(Table::Filter, &chain, asks, &Self::jump(&next), hosts.span);
        if self.family == Family::V4 && hosts.options.contains("broadcast") {
            let asks = dev.and(&Asks::words("-d 255.255.255.255")).and(&policy);
            self.add(Table::Filter, &chain, asks, &Self::jump(&next), interface.span);
        }
    }

    /// Packets of servers on the firewall itself.
    fn vserver_source(&mut self, chain: &str, from: &str, to: &str, asks: &Asks, span: Span) {
        let target = self.destination(from, to);
        if target.is_empty() || target == "NONE" {
            return;
        }
        let hosts: Vec<Hosts> = self.zones.get(from).map(|z| z.hosts.clone()).unwrap_or_default();
        for group in hosts {
            let next = self.without(Table::Filter, &target, &group.exclusions, true, group.span);
            for net in &group.nets {
                let asks = self.net(true, net).and(asks);
                self.vserver_destination(chain, &next, to, &asks, span);
            }
        }
    }

    /// A jump for packets to a zone that may be one of the servers on the firewall itself.
    fn vserver_destination(&mut self, chain: &str, target: &str, to: &str, asks: &Asks, span: Span) {
        let Some(zone) = self.zones.get(to).cloned().filter(|z| z.kind == Kind::Vserver) else {
            return self.add(Table::Filter, chain, asks.clone(), &Self::jump(target), span);
        };
        for group in zone.hosts {
            let next = self.without(Table::Filter, target, &group.exclusions, false, group.span);
            for net in &group.nets {
                let asks = self.net(false, net).and(asks);
                self.add(Table::Filter, chain, asks, &Self::jump(&next), group.span);
            }
        }
    }

    fn prerouting_jump(&mut self, z: &Zone, interface: &Interface, hosts: &Hosts, net: &str, has_nat: bool, has_raw: bool) {
        let asks = self.dev("-i", &interface.name).and(&self.net(true, net)).and(&self.ipsec(z, hosts, 1));
        let dnat = format!("{}_dnat", z.name);
        if !self.book.is_empty(Table::Nat, &dnat) {
            let target = self.without(Table::Nat, &dnat, &hosts.exclusions, true, hosts.span);
            self.add(Table::Nat, "PREROUTING", asks.clone(), &Self::jump(&target), hosts.span);
        }
        let raw = format!("{}_ctrk", z.name);
        let mut front = Vec::new();
        if !self.book.is_empty(Table::Raw, &raw) {
            let target = self.without(Table::Raw, &raw, &hosts.exclusions, true, hosts.span);
            front.push(Self::jump(&target));
        }
        if has_nat {
            self.add(Table::Nat, "PREROUTING", asks.clone(), "-j RETURN", hosts.span);
        }
        if has_raw {
            front.push("-j RETURN".into());
        }
        for target in front {
            let at = self.raw_insert.entry("PREROUTING".into()).or_insert(0);
            let place = *at;
            *at += 1;
            let line = self.line(asks.clone(), &target, hosts.span);
            self.book.insert(Table::Raw, "PREROUTING", place, line);
        }
    }

    fn input_jump(&mut self, z: &Zone, interface: &Interface, hosts: &Hosts, net: &str) {
        let firewall = self.zones.firewall.clone();
        let target = self.destination(&z.name, &firewall);
        let own = format!("{}_in", interface.name);
        let is_chain = self.book.has(Table::Filter, &target);
        let vservers = self.zones.vservers();
        let alone = vservers.is_empty()
            && !self.own_chain(interface, &own)
            && !target.is_empty()
            && (self.book.is_empty(Table::Filter, &own) || is_chain);
        let policy = self.ipsec(z, hosts, 1);
        let source = self.net(true, net);
        let (chain, dev) = if alone {
            let lines = self.book.take(Table::Filter, &own);
            self.book.put(Table::Filter, &target, lines, true);
            let base = if interface.port { format!("{}_in", interface.bridge) } else { "INPUT".to_owned() };
            (base, self.dev("-i", &interface.name))
        } else {
            self.jump_once("INPUT", "in", interface, interface.span);
            for vserver in &vservers {
                let to = self.destination(&z.name, vserver);
                if !to.is_empty() {
                    let asks = source.and(&policy);
                    self.vserver_destination(&own, &to, vserver, &asks, hosts.span);
                }
            }
            (own, Asks::default())
        };
        if !target.is_empty() {
            let next = self.without(Table::Filter, &target, &hosts.exclusions, true, hosts.span);
            self.add(Table::Filter, &chain, dev.and(&source).and(&policy), &Self::jump(&next), hosts.span);
        }
    }

    fn forward_jump(&mut self, z: &Zone, interface: &Interface, hosts: &Hosts, net: &str) {
        let own = format!("{}_fwd", interface.name);
        let frwd = format!("{}_frwd", z.name);
        let source = self.net(true, net).and(&self.ipsec(z, hosts, 1));
        let target = self.without(Table::Filter, &frwd, &hosts.exclusions, true, hosts.span);
        if self.own_chain(interface, &own) || self.jumps.contains(&("fwd", interface.name.clone())) {
            self.add(Table::Filter, &own, source, &Self::jump(&target), hosts.span);
            self.jump_once("FORWARD", "fwd", interface, interface.span);
        } else {
            let base = if interface.port { format!("{}_fwd", interface.bridge) } else { "FORWARD".to_owned() };
            let asks = self.dev("-i", &interface.name).and(&source);
            self.add(Table::Filter, &base, asks, &Self::jump(&target), hosts.span);
            let lines = self.book.take(Table::Filter, &own);
            self.book.put(Table::Filter, &frwd, lines, true);
        }
    }

    /// From the packets of a zone to those of it and each other zone, by where they leave.
    fn destinations(&mut self, z: &Zone, off: &[String]) {
        let frwd = format!("{}_frwd", z.name);
        for to in off {
            let Some(z1) = self.zones.get(to).cloned() else { continue };
            if self.pair(&z.name, to).is_some_and(|p| p.policy == "NONE") {
                continue;
            }
            let target = self.destination(&z.name, to);
            if target.is_empty() {
                continue;
            }
            let interfaces = z.interfaces.len();
            if z.name == *to && interfaces < 2 && !z.routeback {
                continue;
            }
            if z1.kind == Kind::BridgePort && z.bridge != z1.bridge {
                continue;
            }
            for hosts in z1.hosts.iter().filter(|h| !h.options.contains("sourceonly")) {
                if z.name == *to && interfaces <= 1 && !hosts.options.contains("routeback") {
                    continue;
                }
                let next = self.without(Table::Filter, &target, &hosts.exclusions, false, hosts.span);
                for net in &hosts.nets {
                    let asks = self.dev("-o", &hosts.interface).and(&self.net(false, net)).and(&self.ipsec(&z1, hosts, 2));
                    self.add(Table::Filter, &frwd, asks, &Self::jump(&next), hosts.span);
                }
            }
        }
    }

    fn ends(&mut self) {
        let anchor = self.settings.anchor;
        for (base, chain) in [("PREROUTING", "nat_in"), ("POSTROUTING", "nat_out")] {
            if !self.book.is_empty(Table::Nat, chain) {
                self.add(Table::Nat, base, Asks::default(), &Self::jump(chain), anchor);
            }
        }
        self.by_interface();
        if !self.settings.is_yes("COMPLETE") {
            for interface in self.zones.interfaces.clone().into_iter().filter(|i| i.has("unmanaged")) {
                let (arrive, leave) = (self.dev("-i", &interface.physical), self.dev("-o", &interface.physical));
                self.add(Table::Filter, "INPUT", arrive, "-j ACCEPT", interface.span);
                self.add(Table::Filter, "OUTPUT", leave, "-j ACCEPT", interface.span);
            }
            let firewall = self.zones.firewall.clone();
            self.last_policy("INPUT", ("all", &firewall), "DROP");
            self.last_policy("OUTPUT", (&firewall, "all"), "REJECT");
            self.last_policy("FORWARD", ("all", "all"), "REJECT");
        }
    }

    /// Jumps that depend on interfaces alone, once.
    fn by_interface(&mut self) {
        if !self.jumps.insert(("interfaces", String::new())) {
            return;
        }
        let anchor = self.settings.anchor;
        let real = self.real_interfaces();
        for interface in &real {
            self.nat_jump("POSTROUTING", interface, "snat", "-o");
        }
        for interface in &real {
            self.nat_jump("PREROUTING", interface, "in", "-i");
            self.nat_jump("POSTROUTING", interface, "out", "-o");
            self.nat_jump("POSTROUTING", interface, "masq", "-o");
            if interface.has("rpfilter") {
                let asks = self.dev("-i", &interface.name);
                self.add(Table::Mangle, "PREROUTING", asks, "-j rpfilter", interface.span);
            }
        }
        let lo = self.zones.interfaces.iter().find(|i| i.has("loopback")).cloned();
        let mut loopback = lo.as_ref().is_some_and(|i| !i.zones.is_empty() && !i.has("destonly"));
        // `-i lo` whatever the loopback interface is called in the file.
        let name = lo.as_ref().map_or("lo", |i| &i.physical).to_owned();
        let device = |option: &str| Asks::words(format!("{option} {name}"));
        for interface in &real {
            if interface.physical == "+" && !loopback {
                loopback = true;
                self.add(Table::Filter, "INPUT", device("-i"), "-j ACCEPT", anchor);
            }
            let (fwd, input, out) =
                (format!("{}_fwd", interface.name), format!("{}_in", interface.name), format!("{}_out", interface.name));
            if !interface.port && interface.nets == 0 && interface.has("bridge") {
                let asks = self.dev("-i", &interface.name).and(&self.dev("-o", &interface.name));
                self.add(Table::Filter, "FORWARD", asks, "-j ACCEPT", interface.span);
            }
            if interface.port && interface.nets == 0 {
                let asks = self
                    .dev("-i", &interface.name)
                    .and(&Asks::words(format!("-m physdev --physdev-is-bridged --physdev-out {}", interface.physical)));
                self.add(Table::Filter, &format!("{}_fwd", interface.bridge), asks, "-j ACCEPT", interface.span);
            }
            let is_lo = interface.has("loopback") && interface.zones.is_empty();
            if self.own_chain(interface, &fwd) && !is_lo {
                self.jump_once("FORWARD", "fwd", interface, interface.span);
            }
            if self.own_chain(interface, &input) {
                self.jump_once("INPUT", "in", interface, interface.span);
            }
            if self.own_chain(interface, &out) && !interface.port {
                self.jump_once("OUTPUT", "out", interface, interface.span);
            }
        }
        if !loopback {
            self.add(Table::Filter, "INPUT", device("-i"), "-j ACCEPT", anchor);
        }
        self.loopback(&device("-o"), lo.as_ref());
    }

    fn nat_jump(&mut self, base: &str, interface: &Interface, end: &str, option: &str) {
        let chain = format!("{}_{end}", interface.name);
        if !self.book.is_empty(Table::Nat, &chain) {
            let asks = self.dev(option, &interface.name);
            self.add(Table::Nat, base, asks, &Self::jump(&chain), interface.span);
        }
    }

    /// Packets of the firewall to itself.
    fn loopback(&mut self, out: &Asks, lo: Option<&Interface>) {
        let firewall = self.zones.firewall.clone();
        let anchor = self.settings.anchor;
        let vservers = self.zones.vservers();
        let has_zone = self.zones.list.iter().any(|z| z.kind == Kind::Loopback);
        let unmanaged = lo.is_some_and(|i| i.has("unmanaged"));
        if vservers.is_empty() {
            if unmanaged {
                self.add(Table::Filter, "OUTPUT", out.clone(), "-j ACCEPT", anchor);
            } else if !has_zone {
                let target = self.destination(&firewall, &firewall);
                if !target.is_empty() {
                    self.add(Table::Filter, "OUTPUT", out.clone(), &Self::jump(&target), anchor);
                }
            }
        } else {
            self.add(Table::Filter, "OUTPUT", out.clone(), "-j loopback", anchor);
            let zones: Vec<String> = vservers.iter().cloned().chain([firewall.clone()]).collect();
            for from in &zones {
                for to in &zones {
                    if *from == firewall {
                        if from == to && (has_zone || unmanaged) {
                            continue;
                        }
                        let target = self.destination(from, to);
                        if !target.is_empty() {
                            self.vserver_destination("loopback", &target, to, &Asks::default(), anchor);
                        }
                    } else {
                        self.vserver_source("loopback", from, to, &Asks::default(), anchor);
                    }
                }
            }
        }
        let raw = format!("{firewall}_ctrk");
        if !self.book.is_empty(Table::Raw, &raw) {
            self.add(Table::Raw, "OUTPUT", Asks::default(), &Self::jump(&raw), anchor);
        }
        for vserver in vservers {
            let dnat = format!("{vserver}_dnat");
            if !self.book.is_empty(Table::Nat, &dnat) {
                let hosts: BTreeSet<String> =
                    self.zones.get(&vserver).map(|z| z.hosts.iter().flat_map(|h| h.nets.clone()).collect()).unwrap_or_default();
                for net in hosts {
                    let asks = self.net(true, &net);
                    let line = self.line(asks, &Self::jump(&dnat), anchor);
                    self.book.insert(Table::Nat, "OUTPUT", 0, line);
                }
            }
        }
    }

    /// What becomes of packets that no zone has.
    fn last_policy(&mut self, chain: &str, (from, to): (&str, &str), default: &str) {
        let found = self.pair(from, to).or_else(|| self.pair("all", "all")).map(|p| p.policy_of.clone());
        let policy = found.and_then(|of| self.pairs.get(&of).cloned());
        self.implied = None;
        match policy {
            Some(policy) => self.policy_rules(chain, &policy, false),
            None => {
                let actions = self.policy_actions.get(default).cloned().unwrap_or_default();
                let pair = super::compile::Pair {
                    policy: default.to_owned(),
                    level: Some("info".into()),
                    actions,
                    ..super::compile::Pair::default()
                };
                self.implied("policy where none is written", |c| c.policy_rules(chain, &pair, false));
            }
        }
        self.implied = Some(JUMP);
    }
}
