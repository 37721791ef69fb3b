//! Zones, interfaces and hosts.
//!
//! Source: shorewall-zones(5), shorewall-interfaces(5), shorewall-hosts(5) of version 5.2.8.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::compile::Compiler;
use super::lines::{Entry, Item};
use super::values::UNKNOWN;
use crate::diag::LineState::NotModelled;
use crate::net::Family;
use crate::source::Span;

/// What a zone is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Firewall,
    Ip,
    BridgePort,
    Ipsec,
    Vserver,
    Loopback,
    Local,
}

/// A zone.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    pub name: String,
    pub kind: Kind,
    pub parents: Vec<String>,
    pub children: Vec<String>,
    /// An IPsec zone lies within it, so that its own packets are not asked for their policy.
    pub holds_ipsec: bool,
    /// Its packets cannot be told by an interface alone.
    pub complex: bool,
    pub routeback: bool,
    pub bridge: String,
    /// Words of the policy match, for both directions and for each.
    pub ipsec: [String; 3],
    pub hosts: Vec<Hosts>,
    pub interfaces: BTreeSet<String>,
    pub span: Span,
}

/// A group of hosts of a zone.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    pub ipsec: bool,
    pub interface: String,
    pub nets: Vec<String>,
    pub exclusions: Vec<String>,
    pub options: BTreeSet<String>,
    pub span: Span,
}

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub name: String,
    pub physical: String,
    /// The bridge of a port; the interface itself for others.
    pub bridge: String,
    pub port: bool,
    /// How many ports it has.
    pub ports: usize,
    /// How many networks of zones are on it.
    pub nets: usize,
    /// The zone that has all of its addresses.
    pub zone: String,
    pub zones: BTreeSet<String>,
    pub options: BTreeMap<String, String>,
    pub sfilter: Vec<String>,
    pub span: Span,
}

impl Interface {
    /// Whether an option is set, and not to 0.
    pub fn has(&self, option: &str) -> bool {
        self.options.get(option).is_some_and(|v| v != "0")
    }
}

/// The zones of a configuration, those within others before these.
#[derive(Default)]
pub(super) struct Zones {
    pub list: Vec<Zone>,
    index: HashMap<String, usize>,
    pub interfaces: Vec<Interface>,
    by_name: HashMap<String, usize>,
    pub firewall: String,
    /// Some zone or host is told by IPsec.
    pub ipsec: bool,
}

impl Zones {
    pub fn get(&self, name: &str) -> Option<&Zone> {
        self.index.get(name).and_then(|i| self.list.get(*i))
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Zone> {
        self.index.get(name).and_then(|i| self.list.get_mut(*i))
    }

    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.by_name.get(name).and_then(|i| self.interfaces.get(*i)).or_else(|| {
            // A name that begins as one with a wildcard does.
            self.interfaces.iter().find(|i| i.name.strip_suffix('+').is_some_and(|root| !root.is_empty() && name.starts_with(root)))
        })
    }

    fn interface_mut(&mut self, name: &str) -> Option<&mut Interface> {
        self.by_name.get(name).and_then(|i| self.interfaces.get_mut(*i))
    }

    /// Whether an interface of exactly this name is defined.
    pub fn defines(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub fn names(&self) -> Vec<String> {
        self.list.iter().map(|z| z.name.clone()).collect()
    }

    /// Those that are neither the firewall nor on it.
    pub fn off_firewall(&self) -> Vec<String> {
        let off = |z: &&Zone| !matches!(z.kind, Kind::Firewall | Kind::Vserver);
        self.list.iter().filter(off).map(|z| z.name.clone()).collect()
    }

    pub fn vservers(&self) -> Vec<String> {
        self.list.iter().filter(|z| z.kind == Kind::Vserver).map(|z| z.name.clone()).collect()
    }

    pub fn has_kind(&self, name: &str, kinds: &[Kind]) -> bool {
        self.get(name).is_some_and(|z| kinds.contains(&z.kind))
    }

    pub fn is_on_firewall(&self, name: &str) -> bool {
        self.has_kind(name, &[Kind::Firewall, Kind::Vserver])
    }
}

impl Compiler<'_, '_> {
    /// Reads the file `zones`. False if it is not there or names no firewall.
    pub fn read_zones(&mut self) -> bool {
        let mut zones: Vec<Zone> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        for item in self.items("zones", 1) {
            let entry = match item {
                Item::Entry(entry) => entry,
                Item::Section(_, span) => {
                    self.reader.refused(span, "this file has no sections");
                    continue;
                }
                Item::Hidden(..) => {
                    self.unreadable = true;
                    continue;
                }
            };
            let Some(zone) = self.zone(&entry, &mut zones, &index) else { continue };
            if index.contains_key(&zone.name) {
                self.reader.refused(entry.span, format!("there is a zone {} already", zone.name));
                continue;
            }
            index.insert(zone.name.clone(), zones.len());
            self.reader.device.names.define("zone", &zone.name, zone.span);
            zones.push(zone);
        }
        // Zones within others come before them, else in the order of the file.
        let mut done: BTreeSet<String> = BTreeSet::new();
        let mut order: Vec<usize> = Vec::new();
        let mut stack: Vec<(usize, bool)> = (0..zones.len()).rev().map(|i| (i, false)).collect();
        while let Some((i, ready)) = stack.pop() {
            let Some(zone) = zones.get(i) else { continue };
            if done.contains(&zone.name) {
                continue;
            }
            if ready {
                done.insert(zone.name.clone());
                order.push(i);
            } else {
                stack.push((i, true));
                stack.extend(zone.children.iter().rev().filter_map(|c| index.get(c)).map(|c| (*c, false)));
            }
        }
        self.zones.list = order.into_iter().filter_map(|i| zones.get(i).cloned()).collect();
        self.zones.index = self.zones.list.iter().enumerate().map(|(i, z)| (z.name.clone(), i)).collect();
        self.zones.ipsec = self.zones.list.iter().any(|z| z.kind == Kind::Ipsec);
        !self.zones.firewall.is_empty()
    }

    fn zone(&mut self, entry: &Entry, zones: &mut [Zone], index: &HashMap<String, usize>) -> Option<Zone> {
        let first = entry.column(&["zone"], 0).to_owned();
        let (name, parents) = match first.split_once(':') {
            Some((name, parents)) => (name.to_owned(), parents.split(',').map(str::to_owned).collect::<Vec<_>>()),
            None => (first, Vec::new()),
        };
        let kind = match entry.column(&["type"], 1).to_ascii_lowercase().as_str() {
            "firewall" => Kind::Firewall,
            "-" | "ip" | "ipv4" | "ipv6" => Kind::Ip,
            "bport" | "bport4" | "bport6" => Kind::BridgePort,
            "ipsec" | "ipsec4" | "ipsec6" => Kind::Ipsec,
            "vserver" => Kind::Vserver,
            "loopback" => Kind::Loopback,
            "local" => Kind::Local,
            other => {
                self.reader.refused(entry.span, format!("there is no type of zones {other}"));
                return None;
            }
        };
        let reserved = ["all", "any", "none", "SOURCE", "DEST"];
        let legal = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !legal || reserved.contains(&name.as_str()) {
            self.reader.refused(entry.span, format!("{} is no name for a zone", name.replace(UNKNOWN, "?")));
            self.unreadable |= name.contains(UNKNOWN);
            return None;
        }
        if kind == Kind::Firewall {
            if !self.zones.firewall.is_empty() {
                self.reader.refused(entry.span, "there is a firewall zone already");
                return None;
            }
            self.zones.firewall = name.clone();
            self.variables.set("FW", Some(name.clone()));
        }
        for parent in &parents {
            let Some(p) = index.get(parent).and_then(|i| zones.get_mut(*i)) else {
                self.reader.refused(entry.span, format!("the zone {parent} is not defined before this one"));
                return None;
            };
            p.children.push(name.clone());
        }
        if kind == Kind::Ipsec {
            let mut todo = parents.clone();
            while let Some(parent) = todo.pop() {
                if let Some(p) = index.get(&parent).and_then(|i| zones.get_mut(*i)).filter(|p| p.kind != Kind::Ipsec && !p.holds_ipsec) {
                    p.holds_ipsec = true;
                    todo.extend(p.parents.iter().cloned());
                }
            }
        }
        let mut zone = Zone {
            name,
            kind,
            parents,
            children: Vec::new(),
            holds_ipsec: false,
            complex: kind == Kind::Ipsec,
            routeback: false,
            bridge: String::new(),
            ipsec: Default::default(),
            hosts: Vec::new(),
            interfaces: BTreeSet::new(),
            span: entry.span,
        };
        for (place, names) in [["options"], ["in_options"], ["out_options"]].iter().enumerate() {
            let options = entry.column(names, place + 2).to_owned();
            for option in options.split(',').filter(|o| *o != "-") {
                self.zone_option(entry, &mut zone, place, option);
            }
        }
        Some(zone)
    }

    fn zone_option(&mut self, entry: &Entry, zone: &mut Zone, place: usize, option: &str) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let (name, not) = name.strip_suffix('!').map_or((name, false), |n| (n, true));
        match name {
            "strict" | "next" | "reqid" | "spi" | "proto" | "mode" | "tunnel-src" | "tunnel-dst" => {
                if let Some(words) = zone.ipsec.get_mut(place) {
                    *words += &format!("{}--{name} {value} ", if not { "! " } else { "" });
                }
                zone.complex = true;
            }
            "mss" => zone.complex = true,
            "blacklist" => self.reader.note(entry.span, NotModelled, "the option blacklist is no longer supported, and ignored"),
            "nomark" | "dynamic_shared" => {}
            _ => self.reader.refused(entry.span, format!("zones have no option {name}")),
        }
    }

    /// Reads the file `interfaces`. False if it is not there.
    pub fn read_interfaces(&mut self) -> bool {
        if !self.folder.has("interfaces") {
            return false;
        }
        for item in self.items("interfaces", 1) {
            match item {
                Item::Entry(entry) => self.interface(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(..) => self.unreadable = true,
            }
        }
        true
    }

    fn interface(&mut self, entry: &Entry) {
        let zone = entry.column(&["zone"], 0).to_owned();
        let written = entry.column(&["interface"], 1).to_owned();
        let options = entry.column(&["options"], if entry.format == 1 { 3 } else { 2 }).to_owned();
        let zone = if zone == "-" { String::new() } else { zone };
        if entry.columns.iter().any(|c| c.contains(UNKNOWN)) || entry.pairs.iter().any(|(_, v)| v.contains(UNKNOWN)) {
            self.reader.note(entry.span, NotModelled, "a variable of this line is not known here");
            self.unreadable = true;
            return;
        }
        if !zone.is_empty() && !self.zone_used(&zone, entry.span) {
            return;
        }
        if self.zones.has_kind(&zone, &[Kind::Firewall, Kind::Vserver]) {
            return self.reader.refused(entry.span, "an interface is of no such zone");
        }
        let (bridge, name, port) = match written.split_once(':') {
            Some((bridge, port)) if !port.is_empty() => (bridge.to_owned(), port.to_owned(), true),
            _ => (written.trim_end_matches(':').to_owned(), written.trim_end_matches(':').to_owned(), false),
        };
        let legal = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"()[]*?%'\"\\!,;".contains(&b));
        if !legal || written == "-" {
            return self.reader.refused(entry.span, format!("{written} is no interface"));
        }
        if self.zones.defines(&name) {
            return self.reader.refused(entry.span, format!("there is an interface {name} already"));
        }
        let mut interface = Interface {
            physical: name.clone(),
            bridge: bridge.clone(),
            port,
            ports: 0,
            nets: 0,
            zone: String::new(),
            zones: BTreeSet::new(),
            options: BTreeMap::new(),
            sfilter: Vec::new(),
            span: entry.span,
            name: name.clone(),
        };
        if port {
            match self.zones.interface_mut(&bridge) {
                Some(b) if b.has("bridge") => b.ports += 1,
                _ => return self.reader.refused(entry.span, format!("{bridge} is no bridge that is defined before")),
            }
            if let Some(z) = self.zones.get_mut(&zone) {
                z.bridge = bridge;
            }
        }
        let mut hosts: BTreeSet<String> = BTreeSet::new();
        let mut nets = Vec::new();
        for option in list(&options).into_iter().filter(|o| o != "-") {
            self.interface_option(entry, &mut interface, &option, &mut hosts, &mut nets);
        }
        if interface.has("bridge") && !interface.options.contains_key("routeback") {
            interface.options.insert("routeback".into(), "1".into());
            hosts.insert("routeback".into());
        }
        if !interface.has("unmanaged") && !interface.options.contains_key("tcpflags") {
            // On where nothing is said, since 4.6.0 (shorewall-interfaces(5)).
            interface.options.insert("tcpflags".into(), "1".into());
            hosts.insert("tcpflags".into());
        }
        if interface.physical == "lo" {
            interface.options.insert("loopback".into(), "1".into());
        }
        self.zones.by_name.insert(name.clone(), self.zones.interfaces.len());
        if interface.physical != name {
            self.zones.by_name.insert(interface.physical.clone(), self.zones.interfaces.len());
        }
        self.zones.interfaces.push(interface);
        if zone.is_empty() {
            return;
        }
        let kind = self.zones.get(&zone).map_or(Kind::Ip, |z| z.kind);
        let multicast = !nets.is_empty();
        if nets.is_empty() {
            nets.push(self.all().to_owned());
        }
        let inherit = kind != Kind::Ipsec;
        self.add_hosts(&zone, kind == Kind::Ipsec, &name, &nets, hosts, inherit, entry.span);
        if multicast && self.zones.interface(&name).is_some_and(|i| i.zone != zone) {
            let nets = vec![self.multicast().to_owned()];
            let only = BTreeSet::from(["destonly".to_owned()]);
            self.add_hosts(&zone, kind == Kind::Ipsec, &name, &nets, only, false, entry.span);
        }
    }

    fn interface_option(
        &mut self,
        entry: &Entry,
        interface: &mut Interface,
        option: &str,
        hosts: &mut BTreeSet<String>,
        nets: &mut Vec<String>,
    ) {
        let (name, value) = option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v)));
        let on = value.unwrap_or("1").to_owned();
        let mut host = |interface: &mut Interface, on: String| {
            if on != "0" {
                hosts.insert(name.to_owned());
            } else {
                hosts.remove(name);
            }
            interface.options.insert(name.to_owned(), on);
        };
        match name {
            "maclist" | "nosmurfs" | "tcpflags" | "routeback" | "destonly" | "blacklist" => host(interface, on),
            "physical" => match value.filter(|v| !v.is_empty()) {
                Some(v) => interface.physical = v.to_owned(),
                None => self.reader.refused(entry.span, "the option physical needs a name"),
            },
            "sfilter" => interface.sfilter = list(value.unwrap_or("")),
            "nets" => {
                let value = value.unwrap_or("");
                if value == "dynamic" {
                    nets.push(format!("+{}", self.dynamic_set(interface, entry)));
                } else {
                    if value.starts_with('!') {
                        nets.push(self.all().to_owned());
                    }
                    nets.extend(list(value));
                }
                hosts.insert("broadcast".to_owned());
            }
            "nodbl" => {
                interface.options.insert("dbl".into(), "none".into());
            }
            "dhcp" | "bridge" | "optional" | "required" | "rpfilter" | "upnp" | "upnpclient" | "unmanaged" | "ignore" | "loopback"
            | "routefilter" | "mss" | "dbl" | "sourceroute" | "logmartians" | "proxyarp" | "proxyndp" | "arp_filter" | "arp_ignore"
            | "accept_ra" | "wait" | "forward" | "omitanycast" => {
                interface.options.insert(name.to_owned(), on);
            }
            // Removed from Shorewall, which says so and goes on.
            "norfc1918" | "detectnets" | "nobogons" | "newnotsyn" => {
                self.reader.note(entry.span, NotModelled, format!("the option {name} was removed from Shorewall; it is ignored"));
            }
            _ => self.reader.refused(entry.span, format!("interfaces have no option {name}")),
        }
    }

    /// The name of a set that is filled while the firewall runs.
    fn dynamic_set(&mut self, interface: &Interface, entry: &Entry) -> String {
        let zone = entry.column(&["zone"], 0);
        let six = if self.family == Family::V6 { "6_" } else { "" };
        let base: String = interface.physical.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("{six}{zone}_{base}")
    }

    /// Reads the file `hosts`.
    pub fn read_hosts(&mut self) {
        for item in self.items("hosts", 1) {
            match item {
                Item::Entry(entry) => self.host(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(..) => self.unreadable = true,
            }
        }
        for zone in &mut self.zones.list {
            zone.complex |= zone.interfaces.len() > 1;
        }
    }

    fn host(&mut self, entry: &Entry) {
        let zone = entry.column(&["zone"], 0).to_owned();
        let hosts = entry.column(&["host", "hosts"], 1).to_owned();
        let options = entry.column(&["options"], 2).to_owned();
        if [&zone, &hosts, &options].iter().any(|c| c.contains(UNKNOWN)) {
            self.reader.note(entry.span, NotModelled, "a variable of this line is not known here");
            self.unreadable = true;
            return;
        }
        if !self.zone_used(&zone, entry.span) {
            return;
        }
        let kind = self.zones.get(&zone).map_or(Kind::Ip, |z| z.kind);
        let parts = match hosts.find([':', '[', '<']) {
            Some(at) => hosts.split_at(at),
            None => return self.reader.refused(entry.span, "hosts are written INTERFACE:ADDRESSES"),
        };
        let (name, rest) = (parts.0.to_owned(), parts.1.strip_prefix(':').unwrap_or(parts.1));
        let Some(interface) = self.zones.interface(&name).map(|i| i.name.clone()).filter(|_| self.zones.defines(&name)) else {
            return self.reader.refused(entry.span, format!("the interface {name} is not defined"));
        };
        let mut set = BTreeSet::new();
        let mut ipsec = kind == Kind::Ipsec;
        for option in list(&options).into_iter().filter(|o| o != "-") {
            match option.split('=').next().unwrap_or("") {
                "ipsec" => {
                    ipsec = true;
                    self.zones.ipsec = true;
                    if let Some(z) = self.zones.get_mut(&zone) {
                        z.complex = true;
                    }
                }
                "maclist" | "nosmurfs" | "routeback" | "tcpflags" | "broadcast" | "destonly" | "sourceonly" => {
                    set.insert(option.clone());
                }
                "mss" => {}
                "blacklist" | "norfc1918" => {
                    self.reader.note(entry.span, NotModelled, format!("the option {option} is no longer supported, and ignored"));
                }
                _ => self.reader.refused(entry.span, format!("hosts have no option {option}")),
            }
        }
        if rest.contains('+')
            && let Some(z) = self.zones.get_mut(&zone)
        {
            z.complex = true;
        }
        let six = self.family == Family::V6;
        let rest = if six { rest.replace(['<', '>'], "") } else { rest.to_owned() };
        let nets: Vec<String> = if rest == "dynamic" {
            let physical = self.zones.interface(&name).cloned();
            physical.map(|i| format!("+{}", self.dynamic_set(&i, entry))).into_iter().collect()
        } else {
            // A `!` in a list begins what is left out of it.
            let text = rest.replace('!', ",!");
            let text = text.strip_prefix(",!").map_or(text.clone(), |t| format!("{},!{t}", self.all()));
            list(&text).into_iter().map(|n| if six { bare(&n) } else { n }).collect()
        };
        let interface = if kind == Kind::Vserver { "%vserver%".to_owned() } else { interface };
        self.add_hosts(&zone, ipsec, &interface, &nets, set, false, entry.span);
    }

    #[allow(clippy::too_many_arguments)] // The columns of a line.
    fn add_hosts(
        &mut self,
        zone: &str,
        ipsec: bool,
        name: &str,
        nets: &[String],
        mut options: BTreeSet<String>,
        inherit: bool,
        span: Span,
    ) {
        let all = self.all().to_owned();
        let (mut plain, mut excluded, mut negative) = (Vec::new(), Vec::new(), false);
        for net in nets {
            let net = match net.strip_prefix('!') {
                Some(net) => {
                    negative = true;
                    net
                }
                None => net,
            };
            if !self.is_net(net) {
                self.reader.refused(span, format!("{net} is neither an address nor a set"));
                continue;
            }
            if negative { &mut excluded } else { &mut plain }.push(net.to_owned());
        }
        if let Some(interface) = self.zones.interface_mut(name) {
            interface.nets += nets.len();
            interface.zones.insert(zone.to_owned());
            if interface.has("destonly") {
                options.insert("destonly".into());
            }
            if inherit {
                for option in ["maclist", "nosmurfs", "tcpflags"] {
                    if interface.has(option) {
                        options.insert(option.into());
                    }
                }
            }
            if plain.contains(&all) && !ipsec {
                interface.zone = zone.to_owned();
                interface.options.insert("allip".into(), "1".into());
            }
            if options.contains("routeback") && !ipsec {
                interface.options.insert("routeback".into(), "1".into());
            }
        }
        let Some(z) = self.zones.get_mut(zone) else { return };
        z.interfaces.insert(name.to_owned());
        z.routeback |= options.contains("routeback");
        let again = z.hosts.iter().any(|h| h.interface == name && h.ipsec == ipsec);
        z.complex |= again || plain.len() > 1 || !excluded.is_empty() || options.contains("routeback");
        z.hosts.push(Hosts { ipsec, interface: name.to_owned(), nets: plain, exclusions: excluded, options, span });
    }

    /// Whether a zone is defined; says it if not.
    pub fn zone_used(&mut self, name: &str, span: Span) -> bool {
        self.reader.device.names.used("zone", name, span);
        let known = self.zones.get(name).is_some();
        if !known {
            self.reader.refused(span, format!("the zone {} is not defined", name.replace(UNKNOWN, "?")));
        }
        known
    }
}

/// The parts of a list, with brackets and parentheses kept together. Parentheses around a part are left out.
pub(super) fn list(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let (mut part, mut depth) = (String::new(), 0i32);
    for c in text.chars() {
        match c {
            '(' | '[' => depth = depth.saturating_add(1),
            ')' | ']' => depth -= 1,
            ',' if depth <= 0 => {
                out.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    out.push(part);
    out.retain(|p| !p.is_empty());
    for part in &mut out {
        // `nets=(a,b)`
        if let Some((name, inner)) = part.split_once("=(")
            && let Some(inner) = inner.strip_suffix(')')
        {
            *part = format!("{name}={inner}");
        }
    }
    out
}

/// An address of IPv6 without the brackets around it.
pub(super) fn bare(text: &str) -> String {
    match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((address, rest)) => format!("{address}{}", rest.trim_start_matches('-').trim_start_matches('[').trim_end_matches(']')),
        None => text.to_owned(),
    }
}
