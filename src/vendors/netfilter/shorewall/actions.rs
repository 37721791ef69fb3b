//! Actions: those that Shorewall brings along, and the user's own.
//!
//! Source: the files `actions.std` and `action.*` of shorewall 5.2.8, shorewall-actions(5). `Drop` and `Reject` are of versions before 5.2.

use std::collections::BTreeSet;

use super::book::{Asks, Table};
use super::columns::{Expand, Side};
use super::compile::Compiler;
use super::lines::{Entry, Item};
use super::policy::{parameter, split_colon};
use super::rules::Place;
use super::values::{Arguments, UNKNOWN};
use super::words::{Columns, merged};
use super::zones::list;
use crate::diag::LineState::NotModelled;
use crate::net::Family;
use crate::source::Span;

/// Actions that Shorewall brings along, with what their first parameter is where none is given.
const SHIPPED: &[(&str, &str)] = &[
    ("A_REJECT", "REJECT"),
    ("AllowICMPs", "ACCEPT"),
    ("allowBcast", "ACCEPT"),
    ("allowinUPnP", "ACCEPT"),
    ("allowInvalid", "ACCEPT"),
    ("allowMcast", "ACCEPT"),
    ("AutoBL", ""),
    ("AutoBLL", ""),
    ("BLACKLIST", ""),
    ("Broadcast", "DROP"),
    ("DNSAmp", "DROP"),
    ("Drop", ""),
    ("dropBcast", "DROP"),
    ("dropBcasts", "DROP"),
    ("dropInvalid", "DROP"),
    ("dropMcast", "DROP"),
    ("dropNotSyn", "DROP"),
    ("DropDNSrep", "DROP"),
    ("DropSmurfs", ""),
    ("Established", "ACCEPT"),
    ("FIN", "ACCEPT"),
    ("forwardUPnP", ""),
    ("GlusterFS", ""),
    ("IfEvent", ""),
    ("Invalid", "DROP"),
    ("Limit", ""),
    ("Multicast", "DROP"),
    ("New", "ACCEPT"),
    ("NotSyn", "DROP"),
    ("Reject", ""),
    ("rejNotSyn", "REJECT(tcp-reset)"),
    ("Related", "DROP"),
    ("ResetEvent", ""),
    ("RST", "DROP"),
    ("SetEvent", ""),
    ("TCPFlags", ""),
    ("Untracked", "DROP"),
];

/// ICMPv6 that hosts cannot do without (RFC 4890), and those of it that come from neighbours only.
const ICMP6: &[&str] = &["1", "2", "3", "4", "133", "134", "135", "136", "137", "141", "142", "148", "149"];
const ICMP6_NEAR: &[&str] = &["130", "131", "132", "143", "151", "152", "153"];

impl Compiler<'_, '_> {
    /// Reads the file `actions`.
    pub fn read_actions(&mut self) {
        for item in self.items("actions", 1) {
            match item {
                Item::Entry(entry) => {
                    let name = entry.column(&["action"], 0).split(':').next().unwrap_or("").to_owned();
                    let options: BTreeSet<String> = list(entry.column(&["options"], 1)).into_iter().filter(|o| o != "-").collect();
                    let shipped = SHIPPED.iter().any(|(n, _)| *n == name);
                    if !self.folder.has(&format!("action.{name}")) && !shipped && !options.contains("builtin") {
                        self.refuse(&entry, format!("there is no file action.{}", name.replace(UNKNOWN, "?")));
                    }
                    self.reader.device.names.define("action", &name, entry.span);
                    self.actions.insert(name, options);
                }
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Filter], what, span),
            }
        }
    }

    pub fn is_action(&self, name: &str) -> bool {
        self.actions.contains_key(name) || SHIPPED.iter().any(|(n, _)| *n == name)
    }

    /// A call of an action by a policy, for packets that it is about to decide.
    pub fn policy_action(&mut self, chain: &str, text: &str, span: Span) {
        let (action, level) = split_colon(text);
        let columns =
            Columns::of(&Entry { columns: vec![action.to_owned()], pairs: Vec::new(), inline: None, comment: None, format: 2, span });
        let entry = Entry { columns: vec![action.to_owned()], pairs: Vec::new(), inline: None, comment: None, format: 2, span };
        let columns = match level.filter(|l| !l.eq_ignore_ascii_case("none") && !l.is_empty()) {
            Some(level) => Columns { action: format!("{action}:{level}"), ..columns },
            None => columns,
        };
        let place = Place {
            chain: Some(chain.to_owned()),
            zones: None,
            wild: true,
            before: Asks::default(),
            after: Asks::default(),
            parameter: String::new(),
            action: true,
        };
        self.rule(&entry, &columns, &place);
    }

    pub fn call_action(
        &mut self,
        entry: &Entry,
        (name, param, level): (&str, Option<&str>, Option<&str>),
        columns: &Columns,
        place: &Place,
    ) {
        if let Some(file) = self.folder.get(&format!("action.{name}")) {
            let path = file.path.clone();
            self.reader.device.names.used("action", name, entry.span);
            if self.active.iter().any(|a| a == name) || self.active.len() > 15 {
                self.reader.device.names.cyclic("action", name, entry.span);
                self.refuse(entry, format!("the action {name} leads to itself"));
                return self.hide(&[Table::Filter], "an action that leads to itself", entry.span);
            }
            self.active.push(name.to_owned());
            self.own_action(entry, (name, param, level), columns, place, &path);
            self.active.pop();
            return;
        }
        if self.actions.get(name).is_some_and(|o| o.contains("builtin")) {
            self.reader.note(entry.span, NotModelled, format!("what {name} does is not modelled"));
            return self.shipped_rule(entry, columns, place, &[("", "")], "", level, Some(name));
        }
        self.shipped_action(entry, (name, param, level), columns, place);
    }

    /// The body of the user's own action.
    fn own_action(
        &mut self,
        entry: &Entry,
        (name, param, level): (&str, Option<&str>, Option<&str>),
        columns: &Columns,
        place: &Place,
        path: &str,
    ) {
        let options = self.actions.get(name).cloned().unwrap_or_default();
        let Some(file) = self.folder.get(&format!("action.{name}")).filter(|f| f.path == path) else { return };
        let given: Vec<String> =
            param.map(|p| p.split(',').map(|v| if v == "-" { String::new() } else { v.to_owned() }).collect()).unwrap_or_default();
        let mut columns = columns.clone();
        if let Some(proto) = options.iter().find_map(|o| o.strip_prefix("proto=")).filter(|_| columns.proto == "-") {
            columns.proto = proto.to_owned();
        }
        let level = level.filter(|_| !options.contains("nolog") && !options.contains("logjump"));
        if options.contains("inline") {
            // The rules of its body stand in the chain of the rule that calls it.
            let Some(way) = self.way(entry, &columns, place, false) else {
                return self.hide(&[Table::Filter], "a rule that is refused", entry.span);
            };
            let Some(chain) = self.rules_chain(&way, name, level, place) else { return };
            let columns = Columns { source: way.source.clone(), dest: way.dest.clone(), ..columns };
            let place = &Place { chain: Some(chain), zones: Some((way.from.clone(), way.to.clone())), ..place.clone() };
            for item in self.items_of(file, 2, Arguments { list: given, action: true }) {
                let Item::Entry(body) = item else {
                    if let Item::Hidden(what, span) = item {
                        self.hide(&[Table::Filter, Table::Nat], what, span);
                    }
                    continue;
                };
                let mut inner = Columns::of(&body);
                inner.action = Self::with_level(level, &inner.action);
                let (own, other) = (("SOURCE", columns.source.as_str()), ("DEST", columns.dest.as_str()));
                let source = merged(&inner.source, own, other);
                let dest = merged(&inner.dest, other, own);
                let mut whole = inner.within(&columns, source, dest);
                for proto in list(&inner.proto) {
                    if columns.proto == "-" {
                        whole.proto = proto;
                    }
                    self.rule(entry, &whole, place);
                }
            }
            return;
        }
        let Some(way) = self.way(entry, &columns, place, false) else {
            return self.hide(&[Table::Filter], "a rule that is refused", entry.span);
        };
        let Some(from) = self.rules_chain(&way, name, level, place) else { return };
        let key = format!("{name}:{}:{}", level.unwrap_or(""), param.unwrap_or(""));
        let chain = match self.made.get(&key) {
            Some(chain) => chain.clone(),
            None => {
                let chain = if self.book.has(Table::Filter, name) { self.book.fresh(&format!("%{name}")) } else { name.to_owned() };
                self.book.chain(Table::Filter, &chain, file.line_span(0));
                self.made.insert(key, chain.clone());
                self.action_chain(file, given, level, &chain, &way);
                chain
            }
        };
        let asks = self.asked(entry, &columns, place);
        self.expand(&Expand {
            table: Table::Filter,
            chain: &from,
            side: way.side,
            asks,
            source: &way.source,
            dest: &way.dest,
            origdest: &columns.origdest,
            target: &format!("-j {chain}"),
            level: None,
            again: Asks::default(),
            unknown: None,
            forward: None,
            span: entry.span,
        });
    }

    fn action_chain(
        &mut self,
        file: &crate::source::SourceFile,
        given: Vec<String>,
        level: Option<&str>,
        chain: &str,
        way: &super::rules::Way,
    ) {
        // The file lives as long as the reader: it is one of its own.
        let Some(file) = self.folder.files.values().find(|f| f.path == file.path).copied() else { return };
        for item in self.items_of(file, 2, Arguments { list: given, action: true }) {
            let body = match item {
                Item::Entry(body) => body,
                Item::Section(_, span) | Item::Hidden(_, span) => {
                    self.hide(&[Table::Filter, Table::Nat], "lines of an action that are not known", span);
                    continue;
                }
            };
            let mut columns = Columns::of(&body);
            columns.action = Self::with_level(level, &columns.action);
            let verb = parameter(split_colon(&columns.action).0).0.to_owned();
            if ["DNAT", "REDIRECT", "ACCEPT+", "NONAT"].iter().any(|n| verb.starts_with(n)) {
                self.reader.note(body.span, NotModelled, "translation within an action is not modelled");
                self.hide(&[Table::Filter, Table::Nat], "translation within an action", body.span);
                continue;
            }
            let (before, comment) = (self.comment.take(), body.comment.clone());
            self.comment = comment;
            let place = Place {
                chain: Some(chain.to_owned()),
                zones: Some((way.from.clone(), way.to.clone())),
                wild: true,
                before: Asks::default(),
                after: Asks::words(
                    body.inline.clone().filter(|i| !i.contains(['"', '\'', '`', '\\'])).unwrap_or_default().trim_start_matches('+').trim(),
                ),
                parameter: String::new(),
                action: true,
            };
            for proto in list(&columns.proto) {
                for user in list(&columns.user) {
                    self.rule(&body, &Columns { proto: proto.clone(), user, ..columns.clone() }, &place);
                }
            }
            self.comment = before;
        }
    }

    fn shipped_action(
        &mut self,
        entry: &Entry,
        (name, param, level): (&str, Option<&str>, Option<&str>),
        columns: &Columns,
        place: &Place,
    ) {
        let default = SHIPPED.iter().find(|(n, _)| *n == name).map_or("", |(_, d)| *d);
        let given: Vec<&str> = param.map(|p| p.split(',').collect()).unwrap_or_default();
        let argument = |i: usize, default: &'static str| {
            given.get(i).copied().filter(|a| !a.is_empty() && *a != "-" && *a != "audit").unwrap_or(default).to_owned()
        };
        let v6 = self.family == Family::V6;
        let verdict = argument(0, default);
        let simple = |c: &mut Self, asks: &[(&str, &str)]| c.shipped_rule(entry, columns, place, asks, &verdict, level, None);
        match name {
            "A_REJECT" => {
                let with = given.first().copied().filter(|p| *p != "-" && !p.is_empty());
                let verdict = with.map_or("REJECT".to_owned(), |w| format!("REJECT({w})"));
                self.shipped_rule(entry, columns, place, &[("", "")], &verdict, level, None);
            }
            "Broadcast" | "allowBcast" | "dropBcast" | "dropBcasts" if v6 => simple(self, &[("", "-m addrtype --dst-type ANYCAST")]),
            "Multicast" | "allowMcast" | "dropMcast" if v6 => simple(self, &[("", "-d ff00::/8")]),
            "Broadcast" | "allowBcast" | "dropBcast" | "dropBcasts" => {
                simple(self, &[("", "-m addrtype --dst-type BROADCAST"), ("", "-m addrtype --dst-type ANYCAST")]);
            }
            "Multicast" | "allowMcast" | "dropMcast" => simple(self, &[("", "-m addrtype --dst-type MULTICAST")]),
            "Invalid" | "dropInvalid" | "allowInvalid" => simple(self, &[("", "-m conntrack --ctstate INVALID")]),
            "Established" => simple(self, &[("", "-m conntrack --ctstate ESTABLISHED")]),
            "Related" => simple(self, &[("", "-m conntrack --ctstate RELATED")]),
            "Untracked" => simple(self, &[("", "-m conntrack --ctstate UNTRACKED")]),
            "New" => simple(self, &[("", "-m conntrack --ctstate NEW")]),
            "NotSyn" | "dropNotSyn" => simple(self, &[("6", "! --syn")]),
            "rejNotSyn" => simple(self, &[("6", "! --syn")]),
            "RST" => simple(self, &[("6", "--tcp-flags RST RST")]),
            "FIN" => simple(self, &[("6", "--tcp-flags ACK,FIN ACK,FIN")]),
            "DropDNSrep" => simple(self, &[("17", "--sport 53")]),
            "allowinUPnP" => simple(self, &[("17", "--dport 1900"), ("6", "--dport 49152")]),
            "AllowICMPs" if !v6 => simple(self, &[("1", "--icmp-type fragmentation-needed"), ("1", "--icmp-type time-exceeded")]),
            "AllowICMPs" => {
                let all = ICMP6.iter().map(|t| format!("--icmpv6-type {t}"));
                let near = ICMP6_NEAR.iter().map(|t| format!("--icmpv6-type {t} -s fe80::/10"));
                let words: Vec<String> = all.chain(near).collect();
                let rows: Vec<(&str, &str)> = words.iter().map(|w| ("58", w.as_str())).collect();
                simple(self, &rows);
            }
            "TCPFlags" => {
                let rows = [
                    ("6", "--tcp-flags ALL FIN,URG,PSH"),
                    ("6", "--tcp-flags ALL NONE"),
                    ("6", "--tcp-flags SYN,RST SYN,RST"),
                    ("6", "--tcp-flags SYN,FIN SYN,FIN"),
                    ("6", "--syn --sport 0"),
                ];
                self.shipped_rule(entry, columns, place, &rows, "DROP", level, None);
            }
            "DropSmurfs" => {
                let bad = if v6 { "-m addrtype --src-type ANYCAST" } else { "! -s 0.0.0.0 -m addrtype --src-type BROADCAST" };
                let rows = [("", bad.to_owned()), ("", format!("-s {}", self.multicast()))];
                let rows: Vec<(&str, &str)> = rows.iter().map(|(p, w)| (*p, w.as_str())).collect();
                self.shipped_rule(entry, columns, place, &rows, "DROP", level, None);
            }
            "GlusterFS" => {
                let bricks: u32 = given.first().and_then(|n| n.parse().ok()).filter(|n| *n <= 1024).unwrap_or(2);
                let managers = if given.get(1).copied() == Some("1") { "24007:24008" } else { "24007" };
                let rows = [
                    ("17", "-m multiport --dports 111,2049".to_owned()),
                    ("6", "--dport 38465:38467".to_owned()),
                    ("6", format!("--dport {managers}")),
                    ("6", format!("--dport 49151:{}", 49150 + bricks)),
                ];
                let rows: Vec<(&str, &str)> = rows.iter().map(|(p, w)| (*p, w.as_str())).collect();
                self.shipped_rule(entry, columns, place, &rows, "ACCEPT", level, None);
            }
            "Drop" | "Reject" => self.old_default(entry, name, columns, place, level),
            "BLACKLIST" => {
                self.reader.note(
                    entry.span,
                    NotModelled,
                    "which addresses are on the dynamic blacklist is known only while the firewall runs",
                );
                let verdict = argument(1, "DROP");
                self.shipped_rule(entry, columns, place, &[("", "")], &verdict, level, None);
            }
            // What these do depends on packets that came before, or on what another program has written.
            _ => {
                self.reader.note(
                    entry.span,
                    NotModelled,
                    format!("the action {name} depends on what was seen before: it may or may not decide"),
                );
                let what = format!("{name}({})", param.unwrap_or("")).replace(UNKNOWN, "?");
                self.shipped_rule(entry, columns, place, &[("", "")], "", level, Some(&what));
            }
        }
    }

    /// What the default actions did before version 5.2: what needs no answer is dropped, needed ICMP accepted.
    fn old_default(&mut self, entry: &Entry, name: &str, columns: &Columns, place: &Place, level: Option<&str>) {
        let silent = [("", "-m addrtype --dst-type BROADCAST"), ("", "-m addrtype --dst-type ANYCAST")];
        self.shipped_rule(entry, columns, place, &silent, "DROP", None, None);
        self.shipped_action(entry, ("AllowICMPs", None, None), columns, place);
        self.shipped_action(entry, ("dropInvalid", None, None), columns, place);
        let smb = if name == "Drop" { "DROP" } else { "REJECT" };
        let rows = [
            ("17", "-m multiport --dports 135,445"),
            ("17", "--dport 137:139"),
            ("17", "--sport 137 --dport 1024:65535"),
            ("6", "-m multiport --dports 135,139,445"),
        ];
        self.shipped_rule(entry, columns, place, &rows, smb, level, None);
        self.shipped_rule(entry, columns, place, &[("17", "--dport 1900"), ("6", "! --syn"), ("17", "--sport 53")], "DROP", None, None);
    }

    /// Rules of an action: what each asks beside the columns of the call (protocol, words), and what it does.
    #[allow(clippy::too_many_arguments)] // A call with its columns, and what it comes to.
    fn shipped_rule(
        &mut self,
        entry: &Entry,
        columns: &Columns,
        place: &Place,
        rows: &[(&str, &str)],
        verdict: &str,
        level: Option<&str>,
        unknown: Option<&str>,
    ) {
        for (proto, words) in rows {
            let mut columns = columns.clone();
            let mut place = place.clone();
            if !proto.is_empty() && columns.proto == "-" {
                columns.proto = (*proto).to_owned();
            } else if !proto.is_empty()
                && crate::net::protocol_number(columns.proto.split(':').next().unwrap_or("")).map(|n| n.to_string()).as_deref()
                    != Some(*proto)
            {
                // Packets of another protocol.
                continue;
            }
            place.after.add(&Asks::words(*words));
            if let Some(what) = unknown {
                let Some(way) = self.way(entry, &columns, &place, false) else { continue };
                let Some(chain) = self.rules_chain(&way, what, level, &place) else { continue };
                let asks = self.asked(entry, &columns, &place);
                self.expand(&Expand {
                    table: Table::Filter,
                    chain: &chain,
                    side: if place.chain.is_some() { Side::Any } else { way.side },
                    asks,
                    source: &way.source,
                    dest: &way.dest,
                    origdest: &columns.origdest,
                    target: "",
                    level,
                    again: Asks::default(),
                    unknown: Some(what),
                    forward: None,
                    span: entry.span,
                });
                continue;
            }
            columns.action = match level {
                Some(level) => format!("{verdict}:{level}"),
                None => verdict.to_owned(),
            };
            if self.is_action(parameter(split_colon(&columns.action).0).0) && self.nested > 9 {
                continue;
            }
            self.nested += 1;
            self.rule(entry, &columns, &place);
            self.nested -= 1;
        }
    }
}
