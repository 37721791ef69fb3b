//! From the files of one family to a ruleset, as Shorewall's compiler does it.
//!
//! Source: the manual pages of version 5.2.8; what they leave open (the order of what options add, the chains that are asked) was found by having
//! the compiler translate configurations (`shorewall check -r`), which `tests/shorewall_oracle.rs` does again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::book::{Asks, Book, Line, Table};
use super::lines::{Entry, Item, Reading, read};
use super::settings::{self, Settings};
use super::values::{Arguments, Missing, UNKNOWN, Variables};
use super::zones::{Zones, list};
use crate::diag::LineState::{Irrelevant, NotModelled, Unsupported};
use crate::model::{HostSetting, PolicyAction};
use crate::net::{Family, parse_addr, parse_cidr};
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;
use crate::vendors::netfilter::iptables::restore;

/// The files of a folder, by name.
#[derive(Default)]
pub(super) struct Folder<'a> {
    pub files: BTreeMap<String, &'a SourceFile>,
}

impl<'a> Folder<'a> {
    pub fn get(&self, name: &str) -> Option<&'a SourceFile> {
        self.files.get(name).copied()
    }

    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }
}

/// Sections of the file `rules`, and what comes before and after.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Section {
    None,
    Blacklist,
    All,
    Established,
    Related,
    Invalid,
    Untracked,
    New,
    Policy,
}

/// The chain between two zones.
#[derive(Clone, Default, Debug)]
pub(super) struct Pair {
    /// `ACCEPT`, `DROP` …; empty: none yet.
    pub policy: String,
    /// The pair of names whose policy decides; empty: none yet.
    pub policy_of: (String, String),
    pub is_policy: bool,
    pub provisional: bool,
    /// It is of a policy for all zones.
    pub wild: bool,
    pub level: Option<String>,
    pub actions: Vec<String>,
    pub limit: Asks,
    pub has_limit: bool,
    /// Rules for its states stand in it.
    pub states: BTreeSet<&'static str>,
    /// Packets are sent to it.
    pub used: bool,
    pub span: Option<Span>,
}

pub(super) struct Compiler<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub family: Family,
    pub folder: Folder<'a>,
    pub variables: Variables,
    pub settings: Settings,
    pub zones: Zones,
    pub book: Book,
    pub pairs: HashMap<(String, String), Pair>,
    /// Pairs with a policy of their own, in order.
    pub policies: Vec<(String, String)>,
    /// Actions for packets that a policy is about to decide, by policy.
    pub policy_actions: HashMap<String, Vec<String>>,
    pub section: Section,
    /// User's own actions: their options.
    pub actions: HashMap<String, BTreeSet<String>>,
    /// Chains of actions that were made, by name, log level and parameters.
    pub made: HashMap<String, String>,
    /// Actions whose body is being read.
    pub active: Vec<String>,
    pub nested: usize,
    /// Something that decides what the rest means is not known.
    pub unreadable: bool,
    /// Any rule may stand before what is read, and what brings it about.
    pub hidden: Vec<(Table, &'static str, Span)>,
    /// Files whose lines were read and marked.
    pub seen: HashSet<String>,
    pub rate_tables: usize,
    pub raw_insert: HashMap<String, usize>,
    pub nat_used: BTreeSet<String>,
    pub jumps: HashSet<(&'static str, String)>,
    /// The comment of the line that is read.
    pub comment: Option<String>,
    /// What is given for a rule that nobody wrote.
    pub implied: Option<&'static str>,
}

/// Compiles the files of one family. What switches the other one off (`DISABLE_IPV6`), if it is.
pub(super) fn compile<'a>(reader: &mut Reader<'a>, family: Family, folder: Folder<'a>) -> Option<Span> {
    let first = folder.files.values().next()?;
    let anchor = first.line_span(0);
    let most = reader.limits.expanded_rules / 10;
    let mut c = Compiler {
        reader,
        family,
        folder,
        variables: Variables::default(),
        settings: Settings::new(family, anchor),
        zones: Zones::default(),
        book: Book::new(most),
        pairs: HashMap::new(),
        policies: Vec::new(),
        policy_actions: HashMap::new(),
        section: Section::None,
        actions: HashMap::new(),
        made: HashMap::new(),
        active: Vec::new(),
        nested: 0,
        unreadable: false,
        hidden: Vec::new(),
        seen: HashSet::new(),
        rate_tables: 0,
        raw_insert: HashMap::new(),
        nat_used: BTreeSet::new(),
        jumps: HashSet::new(),
        comment: None,
        implied: None,
    };
    c.run();
    (family == Family::V4 && c.settings.is_yes("DISABLE_IPV6")).then(|| c.settings.span("DISABLE_IPV6"))
}

/// `DISABLE_IPV6=Yes`: IPv6 passes on the loopback interface alone (`disable_ipv6` of `lib.runtime`).
pub(super) fn without_six(reader: &mut Reader<'_>, span: Span) {
    let mut book = Book::new(16);
    for chain in ["INPUT", "FORWARD", "OUTPUT"] {
        book.policy(Table::Filter, chain, PolicyAction::Drop, span);
    }
    for (chain, words) in [("INPUT", "-i lo"), ("OUTPUT", "-o lo")] {
        let implied = Some("rule of a firewall without IPv6");
        let asks = Asks::words(words);
        book.push(
            Table::Filter,
            chain,
            Line { asks, target: "-j ACCEPT".into(), span, implied, unknown_action: None, comment: None, forward: None },
        );
    }
    restore(reader, Family::V6, &book.steps());
}

impl<'a> Compiler<'_, 'a> {
    fn run(&mut self) {
        self.read_settings();
        self.other_files();
        let complete = self.read_zones();
        let complete = self.read_interfaces() && complete;
        self.read_hosts();
        let complete = complete && self.folder.has("policy");
        if !complete || self.unreadable {
            return self.unknown_ruleset(complete);
        }
        self.read_actions();
        self.read_policies();
        self.common_rules();
        self.read_snat();
        self.read_nat();
        self.read_netmap();
        self.maclist_chains();
        self.read_rules();
        self.read_conntrack();
        self.read_tunnels();
        self.maclist_ends();
        self.complete_policies();
        self.read_mangle();
        self.matrix();
        self.finish();
    }

    fn read_settings(&mut self) {
        let name = if self.family == Family::V6 { "shorewall6.conf" } else { "shorewall.conf" };
        self.variables.missing = Missing::Empty;
        self.variables.set("PRODUCT", Some(if self.family == Family::V6 { "shorewall6" } else { "shorewall" }.into()));
        for (name, value) in [("CONFDIR", "/etc"), ("SHAREDIR", "/usr/share")] {
            self.variables.set(name, Some(value.into()));
        }
        if let Some(file) = self.folder.get("params") {
            settings::params(self.reader, file, &mut self.variables, 0);
        } else {
            self.variables.missing = Missing::Unknown;
        }
        match self.folder.get(name) {
            Some(file) => self.settings.read(self.reader, file, &mut self.variables),
            None => {
                let text = format!("{name} is not among the files: read with the settings that version 5.2.8 ships");
                self.reader.note(self.settings.anchor, NotModelled, text);
            }
        }
        if self.folder.get("params").is_none() && self.settings.present {
            // A folder with its settings is whole: without `params` nothing is set.
            self.variables.missing = if self.settings.is_yes("IGNOREUNKNOWNVARIABLES") { Missing::Empty } else { Missing::Refused };
        }
        let six = self.family == Family::V6;
        let name = if six { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
        if let value @ ("1" | "0") = match self.settings.get("IP_FORWARDING").to_ascii_lowercase().as_str() {
            "on" | "yes" => "1",
            "off" | "no" => "0",
            _ => "keep",
        } {
            let span = self.settings.span("IP_FORWARDING");
            self.reader.device.settings.push(HostSetting { name: name.into(), value: value.into(), span });
        }
    }

    /// The lines of a file of the folder; none if it is not there.
    pub fn items(&mut self, name: &str, format: u32) -> Vec<Item> {
        let Some(file) = self.folder.get(name) else { return Vec::new() };
        self.items_of(file, format, Arguments::default())
    }

    pub fn items_of(&mut self, file: &'a SourceFile, format: u32, arguments: Arguments) -> Vec<Item> {
        let silent = !self.seen.insert(file.path.clone());
        let mut how = Reading { variables: &mut self.variables, arguments, family: self.family, format, silent };
        read(self.reader, file, &mut how)
    }

    /// That a file may hold any rule of some tables.
    pub fn hide(&mut self, tables: &[Table], what: &'static str, span: Span) {
        self.hidden.extend(tables.iter().map(|t| (*t, what, span)));
    }

    /// Every address.
    pub fn all(&self) -> &'static str {
        if self.family == Family::V4 { "0.0.0.0/0" } else { "::/0" }
    }

    pub fn multicast(&self) -> &'static str {
        if self.family == Family::V4 { "224.0.0.0/4" } else { "ff00::/8" }
    }

    /// Whether a text is an address, network, range, set or MAC address of this family.
    pub fn is_net(&self, text: &str) -> bool {
        let of = |t: &str| parse_cidr(t).is_some_and(|(f, ..)| f == self.family);
        let range =
            || text.split_once('-').is_some_and(|(a, b)| [a, b].iter().all(|t| parse_addr(t).is_some_and(|(f, _)| f == self.family)));
        text.starts_with(['+', '~', '&', '%', '^']) || of(text) || range()
    }

    /// A rule.
    pub fn add(&mut self, table: Table, chain: &str, asks: Asks, target: &str, span: Span) {
        let line = self.line(asks, target, span);
        self.book.push(table, chain, line);
    }

    pub fn line(&self, asks: Asks, target: &str, span: Span) -> Line {
        Line {
            asks,
            target: target.to_owned(),
            span,
            implied: self.implied,
            unknown_action: None,
            comment: self.comment.clone(),
            forward: None,
        }
    }

    /// A rule whose effect is not known.
    pub fn add_unknown(&mut self, table: Table, chain: &str, asks: Asks, what: String, span: Span) {
        let mut line = self.line(asks, "", span);
        line.unknown_action = Some(what);
        self.book.push(table, chain, line);
    }

    /// Runs `f` with what it adds told as made by the firewall itself.
    pub fn implied<T>(&mut self, what: &'static str, f: impl FnOnce(&mut Self) -> T) -> T {
        let (before, comment) = (self.implied.replace(what), self.comment.take());
        let out = f(self);
        self.implied = before;
        self.comment = comment;
        out
    }

    pub fn jump(target: &str) -> String {
        format!("-j {target}")
    }

    pub fn chain_of(&self, from: &str, to: &str) -> String {
        format!("{from}{}{to}", self.settings.get("ZONE2ZONE"))
    }

    /// Interface name in a match; empty for all.
    pub fn dev(&self, option: &str, name: &str) -> Asks {
        let (not, name) = name.strip_prefix('!').map_or(("", name), |n| ("! ", n));
        let interface = self.zones.interface(name);
        let known = self.zones.defines(name);
        let physical = interface.filter(|_| known).map_or(name, |i| &i.physical).to_owned();
        if physical == "+" {
            return Asks::default();
        }
        match interface.filter(|i| i.port && known) {
            Some(port) => {
                let bridge = self.zones.interface(&port.bridge).map_or(port.bridge.as_str(), |b| &b.physical);
                let (side, extra) = if option == "-i" { ("in", "") } else { ("out", "--physdev-is-bridged ") };
                Asks::words(format!("{option} {bridge} -m physdev {extra}{not}--physdev-{side} {physical}"))
            }
            None => Asks::words(format!("{not}{option} {physical}")),
        }
    }

    /// An address in a match: `-s`/`-d` for networks, the modules for sets, ranges and MAC addresses.
    pub fn net(&self, source: bool, net: &str) -> Asks {
        let (not, net) = net.strip_prefix('!').map_or(("", net), |n| ("! ", n));
        let (option, side) = if source { ("-s", "src") } else { ("-d", "dst") };
        if net.contains(UNKNOWN) {
            return Asks::unknown(format!("{side} is an address that only a variable names"));
        }
        if let Some(mac) = net.strip_prefix('~') {
            return Asks::words(format!("-m mac {not}--mac-source {}", mac.replace('-', ":")));
        }
        if let Some(sets) = net.strip_prefix("+[").and_then(|s| s.strip_suffix(']')) {
            let mut out = Asks::default();
            for set in list(sets) {
                out.add(&self.net(source, &format!("{not}+{}", set.trim_start_matches('+')).replace("! ", "!")));
            }
            return out;
        }
        if let Some(set) = net.strip_prefix('+') {
            return set_match(set, side, not);
        }
        if net.starts_with(['&', '%', '^']) {
            return Asks::unknown(format!("{not}{side} {net}"));
        }
        if net.contains('-') && !net.contains('/') {
            return Asks::words(format!("-m iprange {not}--{side}-range {net}"));
        }
        match parse_cidr(net) {
            Some((f, ..)) if not.is_empty() && f == self.family && self.is_all(net) => Asks::default(),
            Some((f, ..)) if f == self.family => Asks::words(format!("{not}{option} {net}")),
            _ => Asks::unknown(format!("{not}{side} {net}")),
        }
    }

    pub fn is_all(&self, net: &str) -> bool {
        parse_cidr(net).is_some_and(|(f, lo, hi)| f == self.family && lo == 0 && hi == f.max_address())
    }

    pub fn state(states: &str) -> Asks {
        if states == "ALL" || states.is_empty() || states == "-" {
            Asks::default()
        } else {
            Asks::words(format!("-m conntrack --ctstate {states}"))
        }
    }

    /// Something that Shorewall refuses. What it was about is not known then.
    pub fn refuse(&mut self, entry: &Entry, text: impl Into<String>) {
        self.reader.refused(entry.span, text);
    }

    /// Zones, interfaces or policies are missing: what is filtered is not known.
    fn unknown_ruleset(&mut self, complete: bool) {
        let anchor = self.settings.anchor;
        let text = if complete {
            "the zones of this configuration cannot be known from its files: what it blocks is unknown"
        } else {
            "zones, interfaces or policy are not among the files of this configuration: what it blocks is unknown"
        };
        self.reader.note(anchor, NotModelled, text);
        for (name, file) in self.folder.files.clone() {
            if self.seen.contains(&file.path) || name.ends_with(".conf") || name == "params" {
                continue;
            }
            let silent = name.starts_with("macro.") || name.starts_with("action.");
            for line in 0..file.line_count() {
                let words = file.line(line).trim();
                if silent || words.is_empty() || words.starts_with('#') {
                    self.reader.mark(file.line_span(line), Irrelevant);
                } else {
                    self.reader.mark(file.line_span(line), NotModelled);
                }
            }
        }
        for chain in ["INPUT", "FORWARD", "OUTPUT"] {
            self.book.policy(Table::Filter, chain, PolicyAction::Unknown, anchor);
        }
        self.load();
    }

    fn finish(&mut self) {
        let anchor = self.settings.anchor;
        for (name, file) in self.folder.files.clone() {
            if let Some(name) = name.strip_prefix("macro.") {
                self.reader.device.names.define("macro", name, file.line_span(0));
            }
            // A macro or action that nothing calls.
            let body = name.starts_with("macro.") || name.starts_with("action.");
            if body && !self.seen.contains(&file.path) {
                self.reader.mark(file.whole(), Irrelevant);
            }
        }
        if self.book.full {
            self.reader.incomplete(anchor, Unsupported, "the rules of this configuration, multiplied by its zones, are more than are read");
            self.hide(&[Table::Filter, Table::Nat], "rules beyond the bound", anchor);
        }
        for chain in ["INPUT", "FORWARD", "OUTPUT"] {
            // Shorewall sets these before anything else; they decide where no rule of a policy for all does.
            self.book.policy(Table::Filter, chain, PolicyAction::Drop, anchor);
        }
        let hidden = std::mem::take(&mut self.hidden);
        for (table, what, span) in hidden {
            let chains: &[&str] = match table {
                Table::Filter => &["INPUT", "FORWARD", "OUTPUT"],
                Table::Nat => &["PREROUTING", "OUTPUT", "POSTROUTING"],
                _ => &["PREROUTING", "OUTPUT"],
            };
            for chain in chains {
                let line = Line {
                    asks: Asks::default(),
                    target: String::new(),
                    span,
                    implied: Some("rules that are not known"),
                    unknown_action: Some(what.to_owned()),
                    comment: None,
                    forward: None,
                };
                self.book.insert(table, chain, 0, line);
            }
        }
        if !self.settings.get("STARTUP_ENABLED").eq_ignore_ascii_case("yes") {
            let span = self.settings.span("STARTUP_ENABLED");
            self.reader.note(
                span,
                NotModelled,
                "Shorewall does not start with this setting: unless something else starts it, nothing is filtered",
            );
            for chain in ["INPUT", "FORWARD", "OUTPUT"] {
                let asks = Asks::unknown("Shorewall is not started (STARTUP_ENABLED)");
                let line = Line {
                    asks,
                    target: "-j ACCEPT".into(),
                    span,
                    implied: Some("doubt whether Shorewall is started"),
                    unknown_action: None,
                    comment: None,
                    forward: None,
                };
                self.book.insert(Table::Filter, chain, 0, line);
            }
        }
        self.load();
    }

    fn load(&mut self) {
        let most = self.reader.limits.expanded_rules / 10;
        let book = std::mem::replace(&mut self.book, Book::new(most));
        let steps = book.steps();
        restore(self.reader, self.family, &steps);
    }

    /// Files that say nothing of packets, and those whose lines no version reads any more.
    fn other_files(&mut self) {
        for (name, file) in self.folder.files.clone() {
            match name.as_str() {
                "accounting" | "routes" | "tcdevices" | "tcclasses" | "tcfilters" | "tcinterfaces" | "tcpri" | "secmarks" | "ecn"
                | "tos" | "arprules" | "proxyarp" | "proxyndp" | "vardir" | "capabilities" | "stoppedrules" | "routestopped"
                | "lib.private" | "modules" | "helpers" | "Makefile" | "scfilter" | "savesets" | "findgw" | "isusable" | "stop"
                | "stopped" | "clear" | "tcclear" | "tcstart" => {
                    self.irrelevant(file);
                }
                "rtrules" | "route_rules" | "providers" => self.irrelevant(file),
                "init" | "initdone" | "start" | "started" | "refresh" | "refreshed" | "restored" | "compile" | "postcompile"
                | "enabled" | "disabled" => {
                    self.extension(file);
                }
                "blacklist" => {
                    self.not_read(file, "Shorewall 5 no longer reads the file blacklist (`shorewall update` makes blrules of it)")
                }
                "notrack" => self.not_read(file, "Shorewall 5 no longer reads the file notrack (`shorewall update` makes conntrack of it)"),
                "tcrules" => self.not_read(file, "Shorewall 5 no longer reads the file tcrules (`shorewall update` makes mangle of it)"),
                _ => {}
            }
        }
    }

    fn irrelevant(&mut self, file: &SourceFile) {
        self.reader.mark(file.whole(), Irrelevant);
        self.seen.insert(file.path.clone());
    }

    fn not_read(&mut self, file: &SourceFile, text: &str) {
        self.seen.insert(file.path.clone());
        for line in 0..file.line_count() {
            let words = file.line(line).trim();
            if words.is_empty() || words.starts_with(['#', '?']) {
                self.reader.mark(file.line_span(line), Irrelevant);
            } else {
                self.reader.note(file.line_span(line), NotModelled, text);
            }
        }
    }

    /// A script that Shorewall runs.
    fn extension(&mut self, file: &SourceFile) {
        self.seen.insert(file.path.clone());
        let mut adds = None;
        for line in 0..file.line_count() {
            let (span, text) = (file.line_span(line), file.line(line).trim());
            if text.is_empty() || text.starts_with('#') {
                self.reader.mark(span, Irrelevant);
                continue;
            }
            if matches!(text, "return 0" | "return" | "exit 0" | ":" | "true") {
                self.reader.mark(span, Irrelevant);
                continue;
            }
            settings::hide(self.reader, file, span, text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest));
            self.reader.note(span, NotModelled, "a script that Shorewall runs is not followed");
            let rules = ["iptables", "ip6tables", "nft ", "add_rule", "insert_rule", "Shorewall::", "ipset"];
            if adds.is_none() && rules.iter().any(|r| text.contains(r)) {
                adds = Some(span);
            }
        }
        if let Some(span) = adds {
            self.hide(&[Table::Filter, Table::Nat], "a script that Shorewall runs may add any rule", span);
        }
    }
}

/// `set`, `set[2]`, `set[src,dst]`.
pub(super) fn set_match(set: &str, side: &str, not: &str) -> Asks {
    let (name, rest) = set.split_once('[').map_or((set, ""), |(n, r)| (n, r.trim_end_matches(']')));
    let flags = match rest {
        "" => side.to_owned(),
        n if n.parse::<usize>().is_ok_and(|n| (1..=6).contains(&n)) => vec![side; n.parse().unwrap_or(1)].join(","),
        flags if flags.split(',').all(|f| matches!(f, "src" | "dst")) => flags.to_owned(),
        _ => return Asks::unknown(format!("{not}in the set {set}")),
    };
    let legal = name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.starts_with("6_");
    if !legal || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Asks::unknown(format!("{not}in the set {}", set.replace(UNKNOWN, "?")));
    }
    Asks::words(format!("-m set {not}--match-set {name} {flags}"))
}
