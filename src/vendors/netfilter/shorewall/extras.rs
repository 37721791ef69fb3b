//! The files `conntrack`, `tunnels` and `mangle`.
//!
//! Source: shorewall-conntrack(5), shorewall-tunnels(5), shorewall-mangle(5) of version 5.2.8.

use super::book::{Asks, Table};
use super::columns::{Expand, Side};
use super::compile::Compiler;
use super::lines::{Entry, Item};
use super::values::UNKNOWN;
use super::words::mark_target;
use super::zones::{Kind, bare, list};
use crate::diag::LineState::{Irrelevant, NotModelled};
use crate::net::Family;

impl Compiler<'_, '_> {
    pub fn read_conntrack(&mut self) {
        for item in self.items("conntrack", 1) {
            match item {
                Item::Entry(entry) => self.conntrack(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Raw], what, span),
            }
        }
    }

    fn conntrack(&mut self, e: &Entry) {
        // FORMAT 1 has no actions: every line exempts from tracking.
        let shift = usize::from(e.format > 1);
        let action = if shift == 1 { e.column(&["action"], 0).to_owned() } else { "NOTRACK".to_owned() };
        let column = |names: &[&str], place: usize| e.column(names, place + shift).to_owned();
        let (source, dest) = (column(&["source"], 0), column(&["dest"], 1));
        let (proto, dport, sport) = (column(&["proto"], 2), column(&["dport"], 3), column(&["sport"], 4));
        let (user, switch) = (column(&["user"], 5), column(&["switch"], 6));
        let (word, place) = match action.rsplit_once(':') {
            Some((word, place @ ("P" | "O" | "PO" | "OP"))) => (word.to_owned(), place.to_owned()),
            _ => (action.clone(), "P".to_owned()),
        };
        let target = match word.split(':').next().unwrap_or("") {
            "NOTRACK" => "-j CT --notrack",
            "CT" if word == "CT:notrack" => "-j CT --notrack",
            // Helpers and events change nothing of what passes by themselves.
            "CT" => return self.reader.mark(e.span, Irrelevant),
            "LOG" | "NFLOG" | "ULOG" => return self.reader.mark(e.span, Irrelevant),
            "DROP" => "-j DROP",
            "-" => return self.refuse(e, "an action is missing"),
            other => {
                self.reader.note(e.span, NotModelled, format!("{other} is not modelled here").replace(UNKNOWN, "?"));
                return self.hide(&[Table::Raw], "an action before connection tracking that is not modelled", e.span);
            }
        };
        let any = |c: String| if c == "any" || c == "all" { "-".to_owned() } else { c };
        let (proto, dport, sport) = (any(proto), any(dport), any(sport));
        for proto in list(&proto) {
            let mut asks = self.protocol(e, &proto, &dport, &sport);
            asks.add(&self.user(&user));
            asks.add(&self.opaque(e, "switch", &switch));
            if let Some(inline) = e.inline.as_ref().filter(|i| !i.is_empty()) {
                let plain = !inline.contains(['"', '\'', '`', '\\']) && !inline.contains("-j ");
                asks.add(&if plain {
                    Asks::words(inline.trim_start_matches('+').trim())
                } else {
                    Asks::unknown(format!("words of iptables: {inline}"))
                });
            }
            if e.format > 2 {
                for (letter, chain, side) in [("P", "PREROUTING", Side::Prerouting), ("O", "OUTPUT", Side::Output)] {
                    if place.contains(letter) {
                        self.conntrack_rule(e, (chain, side), &asks, &source, &dest, target);
                    }
                }
                continue;
            }
            let (zone, rest) = source.split_once(':').map_or((source.as_str(), "-"), |(z, r)| (z, r));
            let zones = match zone {
                "all" => self.zones.names(),
                "all-" => self.zones.off_firewall(),
                zone => vec![zone.to_owned()],
            };
            for zone in zones {
                if !self.zone_used(&zone, e.span) {
                    continue;
                }
                let side = if self.zones.is_on_firewall(&zone) { Side::Output } else { Side::Prerouting };
                let chain = format!("{zone}_ctrk");
                self.conntrack_rule(e, (&chain, side), &asks, rest, &dest, target);
            }
        }
    }

    fn conntrack_rule(&mut self, e: &Entry, (chain, side): (&str, Side), asks: &Asks, source: &str, dest: &str, target: &str) {
        self.expand(&Expand {
            table: Table::Raw,
            chain,
            side,
            asks: asks.clone(),
            source,
            dest,
            origdest: "-",
            target,
            level: None,
            again: Asks::default(),
            unknown: None,
            forward: None,
            span: e.span,
        });
    }

    pub fn read_tunnels(&mut self) {
        for item in self.items("tunnels", 1) {
            match item {
                Item::Entry(entry) => self.tunnel(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Filter], what, span),
            }
        }
    }

    /// Lets a tunnel's packets pass between the firewall and the other end.
    fn tunnel(&mut self, e: &Entry) {
        let kind = e.column(&["type"], 0).to_ascii_lowercase();
        let (zone, gateways) = (e.column(&["zone"], 1).to_owned(), e.column(&["gateway", "gateways"], 2).to_owned());
        let inner = e.column(&["gateway_zone", "gateway_zones"], 3).to_owned();
        if !self.zone_used(&zone, e.span) {
            return;
        }
        if self.zones.has_kind(&zone, &[Kind::Firewall, Kind::BridgePort]) || kind.contains(UNKNOWN) || zone.contains(UNKNOWN) {
            return self.refuse(e, "a tunnel ends in another zone than the firewall");
        }
        let parts: Vec<&str> = kind.split(':').collect();
        let word = |i: usize| parts.get(i).copied().filter(|p| !p.is_empty());
        let number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':' || b == b'-');
        let (proto, port) = match (word(1), word(2)) {
            (Some(proto), Some(port)) => (proto, port),
            (Some(p @ ("udp" | "tcp")), None) => (p, "1194"),
            (Some(port), None) => ("udp", port),
            _ => ("udp", "1194"),
        };
        // What arrives for the firewall, and what it sends; as words of iptables.
        let mut rows: Vec<(bool, String)> = Vec::new();
        let both = |words: &str| vec![(true, words.to_owned()), (false, words.to_owned())];
        let ipsec = matches!(parts.first(), Some(&("ipsec" | "ipsecnat")));
        match parts.first().copied().unwrap_or("") {
            "ipsec" | "ipsecnat" => {
                if word(1) == Some("ah") {
                    rows.extend(both("-p 51"));
                }
                let ike = if parts.first() == Some(&"ipsec") { "-p udp --dport 500" } else { "-p udp -m multiport --dports 500,4500" };
                rows.extend(both(&format!("{ike} -m conntrack --ctstate NEW,UNTRACKED")));
            }
            "ipip" => rows = both("-p 4"),
            "gre" => rows = both("-p 47"),
            "6to4" | "6in4" => rows = both("-p 41"),
            "pptpclient" => {
                rows = both("-p 47");
                rows.push((false, "-p tcp --dport 1723".into()));
            }
            "pptpserver" => {
                rows = both("-p 47");
                rows.push((true, "-p tcp --dport 1723".into()));
            }
            "tinc" => {
                rows = both("-p udp --dport 655");
                rows.extend(both("-p tcp --dport 655"));
            }
            "openvpn" if number(port) && number(proto) => rows = both(&format!("-p {proto} --dport {port}")),
            "openvpnclient" if number(port) && number(proto) => {
                rows = vec![(true, format!("-p {proto} --sport {port}")), (false, format!("-p {proto} --dport {port}"))];
            }
            "openvpnserver" if number(port) && number(proto) => {
                rows = vec![(true, format!("-p {proto} --dport {port}")), (false, format!("-p {proto} --sport {port}"))];
            }
            "l2tp" => rows = both("-p udp --sport 1701 --dport 1701"),
            "generic" => match (word(1), word(2)) {
                (Some(proto), Some(port)) if number(proto) && number(port) => rows = both(&format!("-p {proto} --dport {port}")),
                (Some(proto), None) if number(proto) => rows = both(&format!("-p {proto}")),
                _ => rows = both("-p udp"),
            },
            other => {
                let text = format!("there are no tunnels of type {other}");
                self.refuse(e, text);
                return self.hide(&[Table::Filter], "a tunnel that is not known", e.span);
            }
        }
        let firewall = self.zones.firewall.clone();
        let gateways = if gateways == "-" { vec![self.all().to_owned()] } else { list(&gateways) };
        for gateway in gateways {
            let gateway = if self.family == Family::V6 { bare(&gateway) } else { gateway };
            let mut zones = vec![(zone.clone(), true)];
            zones.extend(list(&inner).into_iter().filter(|z| ipsec && z != "-").map(|z| (z, false)));
            for (zone, outer) in zones {
                if !self.zone_used(&zone, e.span) {
                    continue;
                }
                let chains = [self.use_pair(&zone, &firewall), self.use_pair(&firewall, &zone)];
                let mut rows = rows.clone();
                if ipsec && (outer || !self.zones.ipsec) {
                    rows.splice(0..0, both("-p 50"));
                } else if !outer {
                    rows.retain(|(_, words)| words != "-p 51" || !self.zones.ipsec);
                }
                for (arrives, words) in rows {
                    let asks = Asks::words(words).and(&self.net(arrives, &gateway));
                    self.add(Table::Filter, &chains[usize::from(!arrives)], asks, "-j ACCEPT", e.span);
                }
            }
        }
    }

    pub fn read_mangle(&mut self) {
        let span = self.settings.span("FORWARD_CLEAR_MARK");
        if !self.settings.is_yes("MANGLE_ENABLED") {
            for item in self.items("mangle", 1) {
                if let Item::Entry(e) = item {
                    self.reader.mark(e.span, Irrelevant);
                }
            }
            return;
        }
        if self.settings.is_yes("FORWARD_CLEAR_MARK") {
            let bits = self.settings.bits("PROVIDER_BITS", 8);
            let mask =
                1u32.checked_shl(bits).map_or(u32::MAX, |m| m - 1).checked_shl(self.settings.bits("PROVIDER_OFFSET", 0)).unwrap_or(0);
            self.implied("marks of routing are forgotten", |c| {
                c.add(Table::Mangle, "FORWARD", Asks::default(), &format!("-j MARK --set-mark 0/{mask:#x}"), span);
            });
        }
        for item in self.items("mangle", 1) {
            match item {
                Item::Entry(entry) => self.mangle(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Mangle], what, span),
            }
        }
        let marks: [(&str, &str); 5] =
            [("tcpre", "PREROUTING"), ("tcin", "INPUT"), ("tcfor", "FORWARD"), ("tcout", "OUTPUT"), ("tcpost", "POSTROUTING")];
        for (chain, base) in marks {
            if !self.book.is_empty(Table::Mangle, chain) {
                self.implied("jump to rules of the file mangle", |c| {
                    c.add(Table::Mangle, base, Asks::default(), &format!("-j {chain}"), span)
                });
            }
        }
    }

    fn mangle(&mut self, e: &Entry) {
        let text = e.column(&["mark", "action"], 0).to_owned();
        let (action, place) = match text.rsplit_once(':') {
            Some((action, place @ ("P" | "I" | "F" | "O" | "T" | "R" | "NP" | "NI" | "NO" | "NT"))) => {
                (action.to_owned(), place.to_owned())
            }
            _ => (text.clone(), String::new()),
        };
        let (name, inner) = action.split_once('(').map_or((action.as_str(), ""), |(n, r)| (n, r.trim_end_matches(')')));
        let column = |names: &[&str], place: usize| e.column(names, place).to_owned();
        let (source, dest) = (column(&["source"], 1), column(&["dest"], 2));
        let firewall = self.zones.firewall.clone();
        let from_firewall = source == firewall || source.starts_with(&format!("{firewall}:"));
        let to_firewall = dest == firewall || dest.starts_with(&format!("{firewall}:"));
        let forward = self.settings.is_yes("MARK_IN_FORWARD_CHAIN");
        let place = match place.trim_start_matches('N') {
            "" if from_firewall => "O",
            "" if to_firewall => "I",
            "" if forward => "F",
            "" | "R" => "P",
            other => other,
        };
        let (chain, side) = match place {
            "P" if from_firewall => ("tcout", Side::Output),
            "P" => ("tcpre", Side::Prerouting),
            "I" => ("tcin", Side::Input),
            "F" => ("tcfor", Side::Any),
            "O" => ("tcout", Side::Output),
            _ => ("tcpost", Side::Postrouting),
        };
        let (target, unknown) = match name {
            "MARK" | "CONNMARK" if inner.contains('-') => (String::new(), Some("a range of marks")),
            "MARK" | "CONNMARK" => (mark_target(name, inner, self.mark_mask()), None),
            "RESTORE" | "SAVE" => {
                // Only the bits of rules and traffic shaping, unless others are named.
                let legal = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b'x');
                let mask = if legal { inner.to_owned() } else { format!("{:#x}", self.mark_mask()) };
                (format!("-j CONNMARK --{}-mark --mask {mask}", name.to_ascii_lowercase()), None)
            }
            "DROP" => ("-j DROP".to_owned(), None),
            "CONTINUE" => ("-j RETURN".to_owned(), None),
            // Changes of packets and of how they are sent, which decide about none.
            "CLASSIFY" | "CHECKSUM" | "COMMENT" | "DSCP" | "TOS" | "TTL" | "HL" | "IMQ" | "IPMARK" | "ECN" | "TCPMSS" | "ADD" | "DEL"
            | "-" => {
                return self.reader.mark(e.span, Irrelevant);
            }
            other => {
                self.reader.note(e.span, NotModelled, format!("{other} is not modelled here").replace(UNKNOWN, "?"));
                (String::new(), Some("an action of the file mangle that is not modelled"))
            }
        };
        if unknown == Some("a range of marks") {
            self.reader.note(e.span, NotModelled, "which of several marks a packet gets is not modelled");
        }
        let strip = |text: &str| {
            let rest = text.strip_prefix(firewall.as_str()).map(|r| r.trim_start_matches(':'));
            rest.filter(|_| text == firewall || text.starts_with(&format!("{firewall}:")))
                .map_or(text.to_owned(), |r| if r.is_empty() { "-".into() } else { r.to_owned() })
        };
        let (source, dest) = (strip(&source), strip(&dest));
        let shift = usize::from(self.family == Family::V6);
        for proto in list(&column(&["proto"], 3)) {
            let (dport, sport) = (column(&["dport"], 4), column(&["sport"], 5));
            let mut asks = self.protocol(e, &proto, &dport, &sport);
            asks.add(&self.user(e.column(&["user"], 6)));
            asks.add(&self.mark(e.column(&["test"], 7)));
            let quiet = [
                ("length", 8),
                ("tos", 9),
                ("connbytes", 10),
                ("helper", 11),
                ("probability", 12 + shift),
                ("dscp", 13 + shift),
                ("switch", 16 + shift),
            ];
            for (name, place) in quiet {
                let text = column(&[name], place);
                asks.add(&self.opaque(e, name, &text));
            }
            let state = column(&["state"], 14 + shift);
            asks.add(&Self::state(&state));
            asks.add(&self.time(e.column(&["time"], 15 + shift)));
            self.expand(&Expand {
                table: Table::Mangle,
                chain,
                side,
                asks,
                source: &source,
                dest: &dest,
                origdest: "-",
                target: &target,
                level: None,
                again: Asks::default(),
                unknown,
                forward: None,
                span: e.span,
            });
        }
    }
}
