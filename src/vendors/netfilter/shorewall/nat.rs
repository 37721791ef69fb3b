//! Translation of addresses: DNAT and REDIRECT rules, and the files `snat`, `masq`, `nat`, `netmap`.
//!
//! Source: shorewall-rules(5), shorewall-snat(5), shorewall-masq(5), shorewall-nat(5), shorewall-netmap(5) of version 5.2.8.

use super::book::{Asks, Forward, Table};
use super::columns::{Expand, Side};
use super::compile::Compiler;
use super::lines::{Entry, Item};
use super::policy::split_colon;
use super::rules::{Place, Way};
use super::values::UNKNOWN;
use super::words::Columns;
use super::zones::{bare, list};
use crate::diag::LineState::NotModelled;
use crate::net::Family;

/// What a line of `snat` or `masq` says.
struct Source {
    /// `-j …`
    target: String,
    unknown: Option<&'static str>,
    early: bool,
    level: Option<String>,
    source: String,
    dest: String,
    proto: String,
    dport: String,
    sport: String,
    ipsec: String,
    mark: String,
    user: String,
    switch: String,
    origdest: String,
    probability: String,
}

impl Compiler<'_, '_> {
    /// The destination of a REDIRECT is a port of the firewall itself: as `$FW::PORT`.
    pub fn redirected(&self, columns: &mut Columns, place: &Place) {
        let brackets = if self.family == Family::V6 { "[]" } else { "" };
        let firewall = if place.chain.is_some() { "" } else { self.zones.firewall.as_str() };
        let own = |d: &str| !d.starts_with(|c: char| c.is_ascii_digit()) && d.contains(':');
        columns.dest = match columns.dest.as_str() {
            "-" if columns.dport.contains([':', ',']) || columns.dport == "-" => format!("{firewall}:{brackets}:"),
            "-" => format!("{firewall}:{brackets}:{}", columns.dport),
            d if d == firewall => format!("{firewall}:{brackets}:"),
            d if own(d) => d.to_owned(),
            d => format!("{firewall}:{brackets}:{d}"),
        };
    }

    /// Server and port of a destination: `10.0.0.1:8080`, `[2001:db8::1]:8080`.
    fn server(&self, text: &str) -> (String, String) {
        let text = if text == "-" { "" } else { text };
        if self.family == Family::V6 {
            if let Some((server, port)) = text.strip_prefix('[').and_then(|t| t.rsplit_once("]:")) {
                return (server.replace("]-[", "-"), port.to_owned());
            }
            let whole = text.replace("]-[", "-");
            return (whole.trim_start_matches('[').trim_end_matches([']', ':']).to_owned(), String::new());
        }
        match text.rsplit_once(':') {
            Some((server, port)) => (server.to_owned(), port.to_owned()),
            None => (text.to_owned(), String::new()),
        }
    }

    pub fn translate(
        &mut self,
        entry: &Entry,
        c: &Columns,
        way: &Way,
        asks: Asks,
        (only, redirect, level): (bool, bool, Option<&str>),
        place: &Place,
    ) {
        let (text, random) = way.dest.strip_suffix(":random").map_or((way.dest.as_str(), ""), |d| (d, " --random"));
        let (server, port) = self.server(text);
        let legal = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-".contains(&b));
        if server.contains(UNKNOWN) || port.contains(UNKNOWN) || !legal(&server) || !legal(&port) || server.contains(',') {
            self.reader.note(entry.span, NotModelled, "where this translation leads is not known");
            return self.hide(&[Table::Filter, Table::Nat], "a translation that is not known", entry.span);
        }
        if !server.is_empty() && !self.is_net(&server)
            || (redirect && !server.is_empty())
            || (!redirect && server.is_empty() && port.is_empty())
        {
            self.refuse(entry, "a destination needs the address of a server, a redirection none");
            return self.hide(&[Table::Filter, Table::Nat], "a rule that is refused", entry.span);
        }
        let ports = port.replace('-', ":");
        let target = if redirect {
            let to = if port.is_empty() { String::new() } else { format!(" --to-ports {port}") };
            format!("-j REDIRECT{to}{random}")
        } else {
            let server = if self.family == Family::V6 && !port.is_empty() { format!("[{server}]") } else { server.clone() };
            let port = if port.is_empty() { String::new() } else { format!(":{port}") };
            format!("-j DNAT --to-destination {server}{port}{random}")
        };
        let firewall = self.zones.is_on_firewall(&way.from);
        let chain = if firewall { "OUTPUT".to_owned() } else { format!("{}_dnat", way.from) };
        let detect = c.origdest.starts_with("detect") || (c.origdest == "-" && self.settings.is_yes("DETECT_DNAT_IPADDRS") && !firewall);
        let mut nat_asks = asks;
        let before = if detect {
            self.reader.note(entry.span, NotModelled, "the addresses of the interface are found when the firewall starts");
            nat_asks.add(&Asks::unknown(format!("the destination is an address of an interface of {}", way.from)));
            "-"
        } else {
            c.origdest.as_str()
        };
        let again = if port.is_empty() { Asks::default() } else { self.protocol(entry, &c.proto, "-", "-") };
        self.expand(&Expand {
            table: Table::Nat,
            chain: &chain,
            side: if firewall { Side::Output } else { Side::Prerouting },
            asks: nat_asks,
            source: &way.source,
            dest: before,
            origdest: "-",
            target: &target,
            level,
            again,
            unknown: None,
            forward: None,
            span: entry.span,
        });
        self.nat_used.insert(chain);
        if only {
            self.book.forwards.push(Forward { server, port: if port.is_empty() { c.dport.clone() } else { port }, span: entry.span });
            return;
        }
        // After translation: the server's address and port, no log, no rate.
        let after = Columns {
            dport: if port.is_empty() { c.dport.clone() } else { ports.clone() },
            rate: "-".into(),
            connlimit: "-".into(),
            time: "-".into(),
            headers: "-".into(),
            ..c.clone()
        };
        let Some(to) = self.rules_chain(
            &Way { to: if redirect { self.zones.firewall.clone() } else { way.to.clone() }, ..way.clone() },
            "DNAT",
            None,
            place,
        ) else {
            return;
        };
        let filter = self.asked(entry, &after, place);
        let mut original = String::new();
        let one = !c.dport.is_empty() && c.dport != "-" && !c.dport.contains([',', ':', '!', '+']) && !c.dport.contains('-');
        if !port.is_empty() && one {
            let number = c.dport.parse().ok().or_else(|| crate::net::service_port(&c.dport, crate::net::protocol_number(&c.proto)));
            original = match number {
                Some(n) => format!(" -m conntrack --ctorigdstport {n}"),
                None => format!(" -m conntrack --ctorigdstport {}", c.dport),
            };
        }
        let single = c.origdest != "-" && !c.origdest.contains([',', '!', '+']) && !detect;
        let origdest = if single {
            let net = if self.family == Family::V6 { bare(&c.origdest) } else { c.origdest.clone() };
            if self.is_all(&net) || net == "all" {
            } else if self.is_net(&net) {
                original = format!("{original} -m conntrack --ctorigdst {net}");
            }
            "-"
        } else if c.origdest.contains('+') || detect {
            "-"
        } else {
            c.origdest.as_str()
        };
        let forward = (!original.is_empty()).then(|| {
            self.book.forwards.push(Forward {
                server: server.clone(),
                port: if port.is_empty() { c.dport.clone() } else { port.clone() },
                span: entry.span,
            });
            (self.book.forwards.len() - 1, original)
        });
        if forward.is_none() {
            // Others must not be told from it by having been translated.
            self.book.forwards.push(Forward {
                server: server.clone(),
                port: if port.is_empty() { c.dport.clone() } else { port.clone() },
                span: entry.span,
            });
        }
        let filter = if detect {
            filter.and(&Asks::unknown(format!("the original destination is an address of an interface of {}", way.from)))
        } else {
            filter
        };
        self.expand(&Expand {
            table: Table::Filter,
            chain: &to,
            side: if redirect && way.side == Side::Any { Side::Input } else { way.side },
            asks: filter,
            source: &way.source,
            dest: if server.is_empty() { "-" } else { &server },
            origdest,
            target: "-j ACCEPT",
            level: None,
            again: Asks::default(),
            unknown: None,
            forward,
            span: entry.span,
        });
    }

    /// ACCEPT+ and NONAT: what matches is not asked by later translations of destinations.
    pub fn exempt(&mut self, entry: &Entry, c: &Columns, way: &Way, asks: &Asks, level: Option<&str>) {
        let firewall = way.from == self.zones.firewall;
        let chain = if firewall { "OUTPUT".to_owned() } else { format!("{}_dnat", way.from) };
        let mut target = if firewall { "-j RETURN".to_owned() } else { "-j ACCEPT".to_owned() };
        let interfaces: Vec<String> = self.zones.get(&way.from).map(|z| z.interfaces.iter().cloned().collect()).unwrap_or_default();
        if !firewall && interfaces.iter().any(|i| !self.book.is_empty(Table::Nat, &format!("{i}_in"))) {
            // Translations one to one are still asked.
            let name = self.book.fresh("nonat");
            for interface in &interfaces {
                let own = format!("{interface}_in");
                if !self.book.is_empty(Table::Nat, &own) {
                    let asks = if interfaces.len() > 1 { self.dev("-i", interface) } else { Asks::default() };
                    self.add(Table::Nat, &name, asks, &Self::jump(&own), entry.span);
                }
            }
            self.add(Table::Nat, &name, Asks::default(), "-j ACCEPT", entry.span);
            target = Self::jump(&name);
        }
        self.expand(&Expand {
            table: Table::Nat,
            chain: &chain,
            side: Side::Prerouting,
            asks: asks.clone(),
            source: &way.source,
            dest: &way.dest,
            origdest: &c.origdest,
            target: &target,
            level,
            again: Asks::default(),
            unknown: None,
            forward: None,
            span: entry.span,
        });
        self.nat_used.insert(chain);
    }

    pub fn read_snat(&mut self) {
        for item in self.items("masq", 1) {
            match item {
                Item::Entry(entry) => self.masq(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Nat], what, span),
            }
        }
        for item in self.items("snat", 1) {
            match item {
                Item::Entry(entry) => self.snat(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Nat], what, span),
            }
        }
    }

    fn snat(&mut self, e: &Entry) {
        let (action, level) = split_colon(e.column(&["action"], 0));
        let (action, level) = (action.to_owned(), level.map(str::to_owned));
        // FORMAT 2 has a column for source ports.
        let shift = usize::from(e.format > 1);
        let column = |names: &[&str], place: usize| e.column(names, place).to_owned();
        let (text, early) = match action.split_once('(') {
            Some((name, rest)) if name.ends_with('+') => (format!("{}({rest}", name.trim_end_matches('+')), true),
            None if action.ends_with('+') => (action.trim_end_matches('+').to_owned(), true),
            _ => (action.clone(), false),
        };
        let inner = text.split_once('(').and_then(|(_, r)| r.strip_suffix(')')).unwrap_or("").to_owned();
        let (target, unknown) = match text.split('(').next().unwrap_or("") {
            "MASQUERADE" => (self.masquerade(&inner), None),
            "SNAT" => self.source_target(e, &inner),
            "CONTINUE" => ("-j RETURN".into(), None),
            "LOG" => (String::new(), None),
            other => {
                if self.is_action(other) {
                    self.reader.note(e.span, NotModelled, "actions of this file are not modelled");
                } else {
                    self.refuse(e, format!("there is no action {other} for sources").replace(UNKNOWN, "?"));
                }
                (String::new(), Some("an action of the file snat"))
            }
        };
        let s = Source {
            target,
            unknown,
            early,
            level,
            source: column(&["source"], 1),
            dest: column(&["dest"], 2),
            proto: column(&["proto"], 3),
            dport: column(&["port", "dport"], 4),
            sport: if shift == 1 { column(&["sport"], 5) } else { column(&["sport"], usize::MAX) },
            ipsec: column(&["ipsec"], 5 + shift),
            mark: column(&["mark"], 6 + shift),
            user: column(&["user"], 7 + shift),
            switch: column(&["switch"], 8 + shift),
            origdest: column(&["origdest"], 9 + shift),
            probability: column(&["probability"], 10 + shift),
        };
        self.source_rule(e, &s);
    }

    fn masq(&mut self, e: &Entry) {
        let column = |names: &[&str], place: usize| e.column(names, place).to_owned();
        let dest = column(&["interface"], 0);
        let (dest, early) = dest.strip_prefix('+').map_or((dest.clone(), false), |d| (d.to_owned(), true));
        let address = column(&["address"], 2);
        let (target, unknown) = match address.as_str() {
            "-" => (self.masquerade(""), None),
            "random" => (self.masquerade("random"), None),
            "NONAT" => ("-j RETURN".into(), None),
            // Ports alone: those of the address that the interface has.
            a if a.starts_with(':') => (self.masquerade(a.trim_start_matches(':')), None),
            a => self.source_target(e, a),
        };
        let s = Source {
            target,
            unknown,
            early,
            level: None,
            source: column(&["source"], 1),
            dest,
            proto: column(&["proto"], 3),
            dport: column(&["port"], 4),
            sport: "-".into(),
            ipsec: column(&["ipsec"], 5),
            mark: column(&["mark"], 6),
            user: column(&["user"], 7),
            switch: column(&["switch"], 8),
            origdest: column(&["origdest"], 9),
            probability: column(&["probability"], 10),
        };
        self.source_rule(e, &s);
    }

    fn masquerade(&self, inner: &str) -> String {
        let (ports, random) = match inner.strip_suffix("random") {
            Some(rest) => (rest.trim_end_matches(':'), " --random"),
            None => (inner, ""),
        };
        let legal = !ports.is_empty() && ports.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let ports = if legal { format!(" --to-ports {ports}") } else { String::new() };
        format!("-j MASQUERADE{ports}{random}")
    }

    fn source_target(&mut self, e: &Entry, inner: &str) -> (String, Option<&'static str>) {
        let mut text = inner.to_owned();
        let mut flags = String::new();
        for flag in ["persistent", "random"] {
            if let Some(short) = text.strip_suffix(&format!(":{flag}")) {
                text = short.to_owned();
                flags = format!(" --{flag}{flags}");
            }
        }
        let legal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit() || b".:-[]".contains(&b));
        if !legal || text == "detect" {
            self.reader.note(e.span, NotModelled, "the new source address is found when the firewall starts");
            // The address of an interface, whichever it is: as masquerading has it.
            return ("-j MASQUERADE".into(), None);
        }
        if self.family == Family::V6 {
            let text = match text.rsplit_once("]:") {
                Some(_) => text.replace("]-[", "-"),
                None => text.replace("]-[", "-").replace(['[', ']'], ""),
            };
            return (format!("-j SNAT --to-source {text}{flags}"), None);
        }
        let text = if text.contains('.') || text.starts_with(':') { text } else { format!(":{text}") };
        (format!("-j SNAT --to-source {text}{flags}"), None)
    }

    fn source_rule(&mut self, e: &Entry, s: &Source) {
        if s.dest == "-" {
            return self.refuse(e, "the interface through which packets leave is missing");
        }
        let (interfaces, nets) = self.leaves_through(&s.dest);
        for interface in list(&interfaces) {
            if interface.contains(UNKNOWN) {
                self.reader.note(e.span, NotModelled, "a variable of this line is not known here");
                self.hide(&[Table::Nat], "a translation that is not known", e.span);
                continue;
            }
            let firewall = interface == self.zones.firewall || interface == "$FW";
            let alias = interface.split([':', '(']).next().unwrap_or("").to_owned();
            let mut asks = self.protocol(e, &s.proto, &s.dport, &s.sport);
            let chain = if firewall {
                "INPUT".to_owned()
            } else {
                let Some(found) = self.zones.interface(&alias).cloned() else {
                    self.refuse(e, format!("the interface {alias} is not defined"));
                    self.hide(&[Table::Nat], "a translation that is refused", e.span);
                    continue;
                };
                if !self.zones.defines(&alias) {
                    asks.add(&Asks::words(format!("-o {alias}")));
                }
                format!("{}_{}", found.name, if s.early { "snat" } else { "masq" })
            };
            if interface.contains('(') {
                asks.add(&self.opaque(e, "provider", &interface));
            }
            asks.add(&self.mark(&s.mark));
            asks.add(&self.user(&s.user));
            asks.add(&self.opaque(e, "probability", &s.probability));
            asks.add(&self.opaque(e, "switch", &s.switch));
            let dir = if firewall { "in" } else { "out" };
            match s.ipsec.to_ascii_lowercase().as_str() {
                "-" if self.zones.ipsec => asks.add(&Asks::words(format!("-m policy --pol none --dir {dir}"))),
                "-" => {}
                "yes" => asks.add(&Asks::words(format!("-m policy --pol ipsec --dir {dir}"))),
                "no" => asks.add(&Asks::words(format!("-m policy --pol none --dir {dir}"))),
                other => {
                    let other = other.to_owned();
                    asks.add(&self.opaque(e, "ipsec", &other));
                }
            }
            let inline = e.inline.clone().unwrap_or_default();
            if !inline.is_empty() {
                let plain = !inline.contains(['"', '\'', '`', '\\']) && !inline.contains("-j ");
                asks.add(&if plain {
                    Asks::words(inline.trim_start_matches('+').trim())
                } else {
                    Asks::unknown(format!("words of iptables: {inline}"))
                });
            }
            self.comment = e.comment.clone();
            self.expand(&Expand {
                table: Table::Nat,
                chain: &chain,
                side: if firewall { Side::Input } else { Side::Postrouting },
                asks,
                source: &s.source,
                dest: &nets,
                origdest: &s.origdest,
                target: &s.target,
                level: s.level.as_deref(),
                again: Asks::default(),
                unknown: s.unknown,
                forward: None,
                span: e.span,
            });
            self.comment = None;
        }
    }

    /// Interfaces and networks of a destination: `eth0`, `eth0:0`, `eth0:10.0.0.0/8`, `eth0:0:10.0.0.0/8`.
    fn leaves_through(&self, text: &str) -> (String, String) {
        let none = "-".to_owned();
        if self.family == Family::V6 {
            return match text.split_once(':') {
                Some((i, n)) if !n.is_empty() => (i.to_owned(), n.to_owned()),
                Some((i, _)) => (i.to_owned(), none),
                None => (text.to_owned(), none),
            };
        }
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        match parts.as_slice() {
            [i, _, n] if !n.is_empty() => ((*i).to_owned(), (*n).to_owned()),
            [i, n] if n.contains('.') || n.starts_with(['+', '%', '!', '&']) || n.contains(UNKNOWN) => ((*i).to_owned(), (*n).to_owned()),
            [i, ..] => ((*i).to_owned(), none),
            [] => (text.to_owned(), none),
        }
    }

    /// The file `nat`: translation one to one.
    pub fn read_nat(&mut self) {
        for item in self.items("nat", 1) {
            let e = match item {
                Item::Entry(e) => e,
                Item::Section(_, span) | Item::Hidden(_, span) => {
                    self.hide(&[Table::Nat], "translations that are not known", span);
                    continue;
                }
            };
            self.book.translates = true;
            let (external, interfaces, internal) =
                (e.column(&["external"], 0).to_owned(), e.column(&["interface"], 1).to_owned(), e.column(&["internal"], 2).to_owned());
            let (external, internal) = if self.family == Family::V6 { (bare(&external), bare(&internal)) } else { (external, internal) };
            let yes = |t: &str| t.eq_ignore_ascii_case("yes");
            let (all, local) = (yes(e.column(&["allints"], 3)), yes(e.column(&["local"], 4)));
            let single = |t: &str| crate::net::parse_addr(t).is_some_and(|(f, _)| f == self.family);
            if !single(&external) || !single(&internal) {
                if external.contains(UNKNOWN) || internal.contains(UNKNOWN) {
                    self.reader.note(e.span, NotModelled, "a variable of this line is not known here");
                } else {
                    self.refuse(&e, "the addresses of a translation one to one are single ones");
                }
                self.hide(&[Table::Nat], "a translation that is not known", e.span);
                continue;
            }
            let (pol_in, pol_out) =
                if self.zones.ipsec { (" -m policy --pol none --dir in", " -m policy --pol none --dir out") } else { ("", "") };
            let dnat = format!("-j DNAT --to-destination {internal}");
            let snat = format!("-j SNAT --to-source {external}");
            let (there, back) = (Asks::words(format!("-d {external}{pol_in}")), Asks::words(format!("-s {internal}{pol_out}")));
            for interface in list(interfaces.split(':').next().unwrap_or("")) {
                let Some(found) = self.zones.interface(&interface).map(|i| i.name.clone()) else {
                    self.refuse(&e, format!("the interface {interface} is not defined"));
                    continue;
                };
                let wild = !self.zones.defines(&interface);
                let dev = |c: &Self, option: &str| if wild { c.dev(option, &interface) } else { Asks::default() };
                let (chain_in, chain_out) =
                    if all { ("nat_in".to_owned(), "nat_out".to_owned()) } else { (format!("{found}_in"), format!("{found}_out")) };
                let (dev_in, dev_out) = if all { (Asks::default(), Asks::default()) } else { (dev(self, "-i"), dev(self, "-o")) };
                self.add(Table::Nat, &chain_in, dev_in.and(&there), &dnat, e.span);
                self.add(Table::Nat, &chain_out, dev_out.and(&back), &snat, e.span);
                if local {
                    self.add(Table::Nat, "OUTPUT", Asks::words(format!("-d {external}{pol_out}")), &dnat, e.span);
                }
            }
        }
    }

    /// The file `netmap`: networks one to one.
    pub fn read_netmap(&mut self) {
        for item in self.items("netmap", 1) {
            let e = match item {
                Item::Entry(e) => e,
                Item::Section(_, span) | Item::Hidden(_, span) => {
                    self.hide(&[Table::Nat], "translations that are not known", span);
                    continue;
                }
            };
            self.book.translates = true;
            let column = |names: &[&str], place: usize| e.column(names, place).to_owned();
            let (kind, from, interfaces, to) =
                (column(&["type"], 0), column(&["net1"], 1), column(&["interface"], 2), column(&["net2"], 3));
            let other = column(&["net3"], 4);
            let (proto, dport, sport) = (column(&["proto"], 5), column(&["dport"], 6), column(&["sport"], 7));
            let direction = kind.split(':').next().unwrap_or("").to_owned();
            let net = |t: &str| if self.family == Family::V6 { bare(t) } else { t.to_owned() };
            let (first, without) = from.split_once('!').map_or((from.as_str(), ""), |(a, b)| (a, b));
            let (first, to, other) = (net(first), net(&to), net(&other));
            if kind.contains(':')
                || !matches!(direction.as_str(), "DNAT" | "SNAT")
                || crate::net::parse_cidr(&to).is_none()
                || crate::net::parse_cidr(&first).is_none()
            {
                self.reader.note(e.span, NotModelled, "this mapping of networks is not modelled");
                self.hide(&[Table::Nat, Table::Raw], "a mapping of networks that is not modelled", e.span);
                continue;
            }
            for interface in list(&interfaces) {
                let Some(found) = self.zones.interface(&interface).map(|i| i.name.clone()) else {
                    self.refuse(&e, format!("the interface {interface} is not defined"));
                    continue;
                };
                let dnat = direction == "DNAT";
                let chain = format!("{found}_{}", if dnat { "in" } else { "out" });
                let mut asks =
                    if self.zones.defines(&interface) { Asks::default() } else { self.dev(if dnat { "-i" } else { "-o" }, &interface) };
                asks.add(&self.protocol(&e, &proto, &dport, &sport));
                if other != "-" {
                    asks.add(&self.net(dnat, &other));
                }
                asks.add(&self.net(!dnat, &first));
                let target = format!("NETMAP --to {to}");
                let left_out = list(without);
                if left_out.is_empty() {
                    self.add(Table::Nat, &chain, asks, &format!("-j {target}"), e.span);
                } else {
                    let name = self.book.fresh("~excl");
                    for net in left_out {
                        let asks = self.net(!dnat, &net);
                        self.add(Table::Nat, &name, asks, "-j RETURN", e.span);
                    }
                    self.add(Table::Nat, &name, Asks::default(), &format!("-j {target}"), e.span);
                    self.add(Table::Nat, &chain, asks, &format!("-j {name}"), e.span);
                }
            }
        }
    }
}
