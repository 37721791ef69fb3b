//! What settings and the options of interfaces and hosts add: smurfs, TCP flags, DHCP, routing back, reverse paths, MAC addresses.
//!
//! Source: shorewall-interfaces(5), shorewall-maclist(5), shorewall.conf(5) of version 5.2.8.

use super::book::{Asks, Table};
use super::compile::Compiler;
use super::lines::Item;
use super::zones::{Interface, Kind, list};
use crate::diag::LineState::NotModelled;
use crate::net::Family;
use crate::source::Span;

/// Hosts with an option: interface, whether by IPsec (`None`: not asked), network, exclusions, place.
type Found = (String, Option<bool>, String, Vec<String>, Span);

const OPTION: &str = "rule of an option of an interface";

impl Compiler<'_, '_> {
    /// Interfaces that packets come and go through.
    pub fn real_interfaces(&self) -> Vec<Interface> {
        self.zones.interfaces.iter().filter(|i| !i.has("unmanaged")).cloned().collect()
    }

    fn hosts_with(&self, option: &str) -> Vec<Found> {
        let mut out = Vec::new();
        let mut done = Vec::new();
        for interface in &self.zones.interfaces {
            if interface.zone.is_empty() && interface.has(option) && !interface.has("unmanaged") {
                out.push((interface.name.clone(), None, self.all().to_owned(), Vec::new(), interface.span));
                done.push(interface.name.clone());
            }
        }
        for zone in self.zones.list.iter().filter(|z| z.kind != Kind::Firewall) {
            for group in zone.hosts.iter().filter(|h| h.options.contains(option) && !done.contains(&h.interface)) {
                for net in &group.nets {
                    out.push((group.interface.clone(), Some(group.ipsec), net.clone(), group.exclusions.clone(), group.span));
                }
            }
        }
        out
    }

    /// The disposition without the audit before it, as a target.
    fn disposition(&self, setting: &str) -> String {
        let value = self.settings.get(setting);
        let value = value.strip_prefix("A_").unwrap_or(value);
        if value == "REJECT" { "reject".into() } else { value.to_owned() }
    }

    /// The rules that do not come from the files of rules.
    pub fn common_rules(&mut self) {
        for setting in ["SFILTER_DISPOSITION", "SMURF_DISPOSITION", "TCP_FLAGS_DISPOSITION", "RPFILTER_DISPOSITION", "MACLIST_DISPOSITION"]
        {
            let value = self.disposition(setting);
            if !matches!(value.as_str(), "DROP" | "reject" | "ACCEPT") {
                let span = self.settings.span(setting);
                self.reader.refused(span, format!("{setting} has no such value"));
            }
        }
        self.implied("rule of the chain that rejects", Self::reject_chain);
        if self.settings.is_yes("DOCKER") {
            let span = self.settings.span("DOCKER");
            self.reader.note(span, NotModelled, "DOCKER=Yes keeps the rules that Docker makes, which are not among the files");
            self.hide(&[Table::Filter, Table::Nat], "rules of Docker", span);
        }
        self.implied(OPTION, |c| {
            let fast = if c.settings.get("RELATED_DISPOSITION") == "ACCEPT" && c.settings.level("RELATED_LOG_LEVEL").is_none() {
                "ESTABLISHED,RELATED"
            } else {
                "ESTABLISHED"
            };
            if c.settings.is_yes("FASTACCEPT") {
                let span = c.settings.span("FASTACCEPT");
                c.add(Table::Filter, "OUTPUT", Self::state(fast), "-j ACCEPT", span);
            }
            c.per_interface(fast);
            c.smurfs();
            c.dhcp();
            c.tcp_flags();
            c.upnp();
        });
    }

    /// The chain `reject`: no answer to broadcasts, multicasts and IGMP, a reset for TCP.
    fn reject_chain(&mut self) {
        let span = self.settings.span("REJECT_ACTION");
        if !self.settings.get("REJECT_ACTION").is_empty() {
            self.reader.note(span, NotModelled, "an action that replaces the way of rejecting is not read");
            return self.add_unknown(Table::Filter, "reject", Asks::default(), "REJECT_ACTION".into(), span);
        }
        let six = self.family == Family::V6;
        let host = if six { "icmp6-addr-unreachable" } else { "icmp-host-unreachable" };
        let prohibited = if six { "icmp6-adm-prohibited" } else { "icmp-host-prohibited" };
        let rules = [
            // IPv6 has no broadcasts: Shorewall asks for the anycast addresses that the firewall has when it starts.
            (if six { "-m addrtype --dst-type ANYCAST" } else { "-m addrtype --src-type BROADCAST" }.to_owned(), "-j DROP".to_owned()),
            (format!("-s {}", self.multicast()), "-j DROP".into()),
            ("-p 2".into(), "-j DROP".into()),
            ("-p 6".into(), "-j REJECT --reject-with tcp-reset".into()),
            ("-p 17".into(), "-j REJECT".into()),
            (if six { "-p 58" } else { "-p 1" }.into(), format!("-j REJECT --reject-with {host}")),
            (String::new(), format!("-j REJECT --reject-with {prohibited}")),
        ];
        for (words, target) in rules {
            self.add(Table::Filter, "reject", Asks::words(words), &target, span);
        }
    }

    fn per_interface(&mut self, fast: &str) {
        let (level, target) = (self.settings.level("SFILTER_LOG_LEVEL").map(str::to_owned), self.disposition("SFILTER_DISPOSITION"));
        let span = self.settings.span("SFILTER_DISPOSITION");
        for name in ["sfilter", "sfilter1"] {
            if name == "sfilter1" && !self.zones.ipsec {
                break;
            }
            if name == "sfilter1" {
                self.add(Table::Filter, name, Asks::words("-m policy --pol ipsec --dir out"), "-j RETURN", span);
            }
            self.log(Table::Filter, name, Asks::default(), level.as_deref(), span);
            self.add(Table::Filter, name, Asks::default(), &format!("-g {target}").replace("-g DROP", "-j DROP"), span);
        }
        let (in_plain, ipsec) =
            if self.zones.ipsec { (Asks::words("-m policy --pol none --dir in"), true) } else { (Asks::default(), false) };
        let blacklist = self.dynamic_blacklist();
        let states = Self::state(self.settings.get("BLACKLIST"));
        for interface in self.real_interfaces() {
            let (fop, iop, oop) = (format!("{}_fop", interface.name), format!("{}_iop", interface.name), format!("{}_oop", interface.name));
            for chain in [&fop, &iop, &oop] {
                self.book.chain(Table::Filter, chain, interface.span);
            }
            if interface.has("loopback") {
                continue;
            }
            let forward = if ipsec { "-j sfilter1" } else { "-g sfilter" };
            if !interface.has("rpfilter") && !interface.has("ignore") {
                for net in &interface.sfilter {
                    self.add(Table::Filter, &fop, self.net(true, net).and(&in_plain), forward, interface.span);
                    self.add(Table::Filter, &iop, self.net(true, net).and(&in_plain), "-g sfilter", interface.span);
                }
                let on = matches!(self.settings.get("ROUTE_FILTER").to_ascii_lowercase().as_str(), "yes" | "on");
                let back = on || interface.has("routeback") || interface.has("routefilter") || interface.physical == "+";
                if interface.sfilter.is_empty() && !interface.port && !back {
                    let asks = self.dev("-o", &interface.name).and(&in_plain);
                    self.implied("what arrives must not leave where it came from", |c| {
                        c.add(Table::Filter, &fop, asks, forward, interface.span)
                    });
                }
            }
            let dbl = interface.options.get("dbl").map_or("", String::as_str);
            if let Some(set) = blacklist.as_ref().filter(|_| dbl != "none") {
                let span = self.settings.span("DYNAMIC_BLACKLIST");
                let side = if dbl == "dst" { "dst" } else { "src" };
                let asks = Asks::words(format!("-m set --match-set {set} {side}")).and(&states);
                if side == "src" {
                    self.add(Table::Filter, &iop, asks.clone(), "-j DROP", span);
                }
                self.add(Table::Filter, &fop, asks, "-j DROP", span);
                if dbl == "src-dst" || (dbl.is_empty() && self.settings.get("DYNAMIC_BLACKLIST").contains("src-dst")) {
                    let asks = Asks::words(format!("-m set --match-set {set} dst")).and(&states);
                    self.add(Table::Filter, &oop, asks, "-j DROP", span);
                }
            }
            if self.settings.is_yes("FASTACCEPT") {
                let span = self.settings.span("FASTACCEPT");
                for chain in [&fop, &iop] {
                    self.add(Table::Filter, chain, Self::state(fast), "-j ACCEPT", span);
                }
            }
        }
        self.reverse_paths();
    }

    /// The set of addresses that are blocked while the firewall runs; `None` where a chain has them, which is empty when it starts.
    fn dynamic_blacklist(&mut self) -> Option<String> {
        let value = self.settings.get("DYNAMIC_BLACKLIST").to_owned();
        let mut parts = value.split(':');
        let kind = parts.next().unwrap_or("");
        if !kind.starts_with("ipset") {
            return None;
        }
        let default = if self.family == Family::V6 { "SW_DBL6" } else { "SW_DBL4" };
        let name = parts.next().filter(|n| !n.is_empty()).unwrap_or(default);
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-').then(|| name.to_owned())
    }

    fn reverse_paths(&mut self) {
        let list: Vec<Interface> = self.real_interfaces().into_iter().filter(|i| i.has("rpfilter")).collect();
        let Some(span) = list.first().map(|i| i.span) else { return };
        let target = self.disposition("RPFILTER_DISPOSITION");
        let level = self.settings.level("RPFILTER_LOG_LEVEL").map(str::to_owned);
        if let Some(first) = list.iter().find(|i| i.has("dhcp") && self.family == Family::V4) {
            self.add(Table::Mangle, "rpfilter", Asks::words("-s 0.0.0.0 -p 17 --dport 67 --sport 68"), "-j RETURN", first.span);
        }
        let mut asks = Asks::words("-m rpfilter --validmark --invert").and(&Self::state("NEW,RELATED,INVALID"));
        if self.zones.ipsec {
            asks.add(&Asks::words("-m policy --pol none --dir in"));
        }
        self.log(Table::Mangle, "rpfilter", asks.clone(), level.as_deref(), span);
        // Nothing can be rejected before routing: such a setting drops.
        let target = if target == "reject" { "DROP".to_owned() } else { target };
        self.add(Table::Mangle, "rpfilter", asks, &Self::jump(&target), span);
    }

    /// A rule that writes to the log.
    pub fn log(&mut self, table: Table, chain: &str, asks: Asks, level: Option<&str>, span: Span) {
        if let Some(level) = level.filter(|l| !l.is_empty() && !l.trim_end_matches('!').eq_ignore_ascii_case("none")) {
            let target = if level.to_ascii_uppercase().starts_with("NFLOG") { "-j NFLOG" } else { "-j LOG" };
            self.add(table, chain, asks, target, span);
        }
    }

    fn smurfs(&mut self) {
        let list = self.hosts_with("nosmurfs");
        let Some(first) = list.first() else { return };
        let span = first.4;
        let level = self.settings.level("SMURF_LOG_LEVEL").map(str::to_owned);
        let kind = if self.family == Family::V4 {
            self.add(Table::Filter, "smurfs", Asks::words("-s 0.0.0.0"), "-j RETURN", span);
            "BROADCAST"
        } else {
            "ANYCAST"
        };
        for words in [format!("-m addrtype --src-type {kind}"), format!("-s {}", self.multicast())] {
            self.log(Table::Filter, "smurfs", Asks::words(words.clone()), level.as_deref(), span);
            self.add(Table::Filter, "smurfs", Asks::words(words), "-j DROP", span);
        }
        for host in list {
            self.on_hosts(&host, &Self::state("NEW,INVALID,UNTRACKED"), "smurfs");
        }
    }

    /// Sends packets of hosts to a chain, from what arrives for the firewall and what goes through.
    fn on_hosts(&mut self, (interface, ipsec, net, exclusions, span): &Found, asks: &Asks, chain: &str) {
        let mut asks = asks.and(&self.net(true, net));
        if let Some(ipsec) = ipsec.filter(|_| self.zones.ipsec) {
            asks.add(&Asks::words(format!("-m policy --pol {} --dir in", if ipsec { "ipsec" } else { "none" })));
        }
        let target = self.without(Table::Filter, chain, exclusions, true, *span);
        for side in ["fop", "iop"] {
            self.add(Table::Filter, &format!("{interface}_{side}"), asks.clone(), &Self::jump(&target), *span);
        }
    }

    /// A chain before `target` that packets of `exclusions` come back from; `target` itself if there are none.
    pub fn without(&mut self, table: Table, target: &str, exclusions: &[String], source: bool, span: Span) -> String {
        if exclusions.is_empty() {
            return target.to_owned();
        }
        let name = self.book.fresh("~excl");
        for net in exclusions {
            self.add(table, &name, self.net(source, net), "-j RETURN", span);
        }
        let go = if is_verdict(target) { "-j" } else { "-g" };
        self.add(table, &name, Asks::default(), &format!("{go} {target}"), span);
        name
    }

    fn dhcp(&mut self) {
        let v4 = self.family == Family::V4;
        let asks = Asks::words(if v4 { "-p udp --dport 67:68" } else { "-p udp --dport 546:547" });
        for interface in self.real_interfaces().into_iter().filter(|i| i.has("dhcp")) {
            let (name, span) = (&interface.name, interface.span);
            for side in ["iop", "oop"] {
                self.add(Table::Filter, &format!("{name}_{side}"), asks.clone(), "-j ACCEPT", span);
            }
            if interface.has("bridge") {
                let asks = asks.and(&self.dev("-o", name));
                self.add(Table::Filter, &format!("{name}_fop"), asks, "-j ACCEPT", span);
            }
            if v4 && !interface.has("allip") {
                self.add(Table::Filter, &format!("{name}_in"), asks.and(&Asks::words("-s 0.0.0.0/32")), "-j ACCEPT", span);
            }
        }
    }

    fn tcp_flags(&mut self) {
        let list = self.hosts_with("tcpflags");
        let Some(first) = list.first() else { return };
        let span = first.4;
        let level = self.settings.level("TCP_FLAGS_LOG_LEVEL").map(str::to_owned);
        let target = match self.disposition("TCP_FLAGS_DISPOSITION").as_str() {
            "reject" if level.is_some() => "-j REJECT --reject-with tcp-reset".to_owned(),
            "reject" => "-g reject".into(),
            other => format!("-j {other}"),
        };
        let sets = [
            "--tcp-flags ALL FIN,URG,PSH",
            "--tcp-flags ALL NONE",
            "--tcp-flags SYN,RST SYN,RST",
            "--tcp-flags FIN,RST FIN,RST",
            "--tcp-flags SYN,FIN SYN,FIN",
            "--tcp-flags ACK,PSH,FIN PSH,FIN",
            "--syn --sport 0",
        ];
        for words in sets {
            let asks = Asks::words(format!("-p tcp {words}"));
            self.log(Table::Filter, "tcpflags", asks.clone(), level.as_deref(), span);
            self.add(Table::Filter, "tcpflags", asks, &target, span);
        }
        for host in list {
            self.on_hosts(&host, &Asks::words("-p tcp"), "tcpflags");
        }
    }

    fn upnp(&mut self) {
        for interface in self.real_interfaces() {
            if interface.has("upnp") {
                self.reader.note(
                    interface.span,
                    NotModelled,
                    "machines inside open ports by themselves (upnp): what they open is not known",
                );
                let fact = crate::model::Fact::written("UPnP".to_owned(), interface.span);
                self.reader.device.management.port_mapping.push(fact);
            }
            if interface.has("upnpclient") {
                self.reader.note(
                    interface.span,
                    NotModelled,
                    "the address of the gateway is found while running: whether its answers pass is not known",
                );
                let asks = Asks { words: "-p udp".into(), unknown: format!("the source is the gateway of {}", interface.name) };
                self.add(Table::Filter, &format!("{}_iop", interface.name), asks, "-j ACCEPT", interface.span);
            }
        }
    }

    /// What `maclist` and the option of that name ask: first the entries and the jumps to them.
    pub fn maclist_chains(&mut self) {
        let hosts = self.hosts_with("maclist");
        let table = self.maclist_table();
        let mut interfaces: Vec<String> = hosts.iter().map(|h| h.0.clone()).collect();
        interfaces.sort();
        interfaces.dedup();
        let span = self.settings.span("MACLIST_DISPOSITION");
        self.implied(OPTION, |c| {
            for name in &interfaces {
                let chain = format!("{name}_mac");
                c.book.chain(table, &chain, span);
                if c.family == Family::V4 {
                    if table == Table::Mangle && c.zones.interface(name).is_some_and(|i| i.has("dhcp")) {
                        c.add(table, &chain, Asks::words("-s 0.0.0.0 -d 255.255.255.255 -p udp --dport 67:68"), "-j RETURN", span);
                    }
                } else {
                    // Shorewall writes ff80 where fe80 is meant (5.2.8).
                    for words in ["-s ff80::/10", "-d ff80::/10", "-d ff00::/8"] {
                        c.add(table, &chain, Asks::words(words), "-j RETURN", span);
                    }
                }
                if !c.settings.get("MACLIST_TTL").is_empty() && c.settings.get("MACLIST_TTL") != "0" {
                    c.add(table, &chain, Asks::unknown("the MAC address was seen a short while before (MACLIST_TTL)"), "-j RETURN", span);
                }
            }
        });
        for item in self.items("maclist", 1) {
            let Item::Entry(entry) = item else {
                if let Item::Hidden(what, span) = item {
                    self.hide(&[Table::Filter], what, span);
                }
                continue;
            };
            let disposition = entry.column(&["disposition"], 0).to_owned();
            let (name, mac) = (entry.column(&["interface"], 1).to_owned(), entry.column(&["mac"], 2).to_owned());
            let addresses = entry.column(&["addresses"], 3).to_owned();
            let mut parts = disposition.splitn(3, ':');
            let (what, level) = (parts.next().unwrap_or("").to_owned(), parts.next().map(str::to_owned));
            let target = match what.as_str() {
                "ACCEPT" => "RETURN",
                "DROP" => "DROP",
                "REJECT" if table == Table::Filter => "reject",
                _ => {
                    self.refuse(&entry, format!("{what} is no disposition of a MAC address here"));
                    continue;
                }
            };
            if !interfaces.contains(&name) {
                self.refuse(&entry, format!("no hosts of {name} have the option maclist"));
                continue;
            }
            let asks = if mac == "-" { Asks::default() } else { self.net(true, &format!("~{}", mac.trim_start_matches('~'))) };
            for address in list(if addresses == "-" { "" } else { &addresses }).iter().map(Some).chain((addresses == "-").then_some(None)) {
                let asks = address.map_or(asks.clone(), |a| asks.and(&self.net(true, a)));
                self.log(table, &format!("{name}_mac"), asks.clone(), level.as_deref(), entry.span);
                self.add(table, &format!("{name}_mac"), asks, &Self::jump(target), entry.span);
            }
        }
        self.implied(OPTION, |c| {
            for host in &hosts {
                let chain = format!("{}_mac", host.0);
                if table == Table::Filter {
                    c.on_hosts(host, &Self::state("NEW,UNTRACKED"), &chain);
                } else {
                    let asks = c.dev("-i", &host.0).and(&c.net(true, &host.2)).and(&Self::state("NEW,UNTRACKED"));
                    let target = c.without(table, &chain, &host.3, true, host.4);
                    c.add(table, "PREROUTING", asks, &Self::jump(&target), host.4);
                }
            }
        });
    }

    fn maclist_table(&self) -> Table {
        if self.settings.get("MACLIST_TABLE") == "mangle" { Table::Mangle } else { Table::Filter }
    }

    /// What becomes of packets with a MAC address that no entry names.
    pub fn maclist_ends(&mut self) {
        let table = self.maclist_table();
        let mut interfaces: Vec<String> = self.hosts_with("maclist").into_iter().map(|h| h.0).collect();
        interfaces.sort();
        interfaces.dedup();
        let span = self.settings.span("MACLIST_DISPOSITION");
        let target = self.disposition("MACLIST_DISPOSITION");
        let target = if target == "ACCEPT" { "RETURN".to_owned() } else { target };
        let level = self.settings.level("MACLIST_LOG_LEVEL").map(str::to_owned);
        self.implied(OPTION, |c| {
            for name in interfaces {
                let chain = format!("{name}_mac");
                if c.family == Family::V4 && (level.is_some() || target != "RETURN") {
                    let own = format!("the source is an address of {name}");
                    for words in ["-m addrtype --dst-type BROADCAST", "-d 224.0.0.0/4"] {
                        c.add(table, &chain, Asks { words: words.into(), unknown: own.clone() }, "-j RETURN", span);
                    }
                }
                c.log(table, &chain, Asks::default(), level.as_deref(), span);
                c.add(table, &chain, Asks::default(), &Self::jump(&target), span);
            }
        });
    }
}

/// Targets that end a packet's way, which no `-g` can go to.
pub(super) fn is_verdict(target: &str) -> bool {
    matches!(
        target.split(' ').next(),
        Some("ACCEPT" | "DROP" | "REJECT" | "RETURN" | "QUEUE" | "NFQUEUE" | "SNAT" | "DNAT" | "MASQUERADE" | "REDIRECT")
    )
}
