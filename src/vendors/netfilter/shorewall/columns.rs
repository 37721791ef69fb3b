//! Columns that ask something of a packet: protocol and ports, rates, users, marks, times; and lists of addresses with what is left out of them.
//!
//! Source: shorewall-rules(5) of version 5.2.8.

use super::book::{Asks, Table};
use super::compile::{Compiler, set_match};
use super::lines::Entry;
use super::values::UNKNOWN;
use super::zones::{bare, list};
use crate::diag::LineState::NotModelled;
use crate::net::{Family, parse_cidr, protocol_number};
use crate::source::Span;

/// What an interface or address in a column is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Through the firewall, in a chain of any kind.
    Any,
    /// Before routing: departure interfaces are not known.
    Prerouting,
    /// To the firewall.
    Input,
    /// From the firewall.
    Output,
    /// On the way out: arrival interfaces are not known.
    Postrouting,
}

/// A rule to be expanded over its lists of addresses.
pub(super) struct Expand<'e> {
    pub table: Table,
    pub chain: &'e str,
    pub side: Side,
    pub asks: Asks,
    pub source: &'e str,
    pub dest: &'e str,
    pub origdest: &'e str,
    /// `-j …`; empty: the rule only counts.
    pub target: &'e str,
    pub level: Option<&'e str>,
    /// What the target needs to be asked again where addresses are left out.
    pub again: Asks,
    /// The target is not known.
    pub unknown: Option<&'e str>,
    /// It lets a forward through: see [`super::book::Line::forward`].
    pub forward: Option<(usize, String)>,
    pub span: Span,
}

/// A list of addresses: those that are meant, and those that are left out.
struct Nets {
    nets: Vec<String>,
    without: Vec<String>,
}

impl Compiler<'_, '_> {
    /// PROTO, DPORT and SPORT.
    pub fn protocol(&mut self, entry: &Entry, proto: &str, dport: &str, sport: &str) -> Asks {
        if [proto, dport, sport].iter().any(|c| c.contains(UNKNOWN)) {
            self.reader.note(entry.span, NotModelled, "a protocol or port of this line is a variable that is not known here");
            let mut asks = Asks::unknown(format!("protocol {proto} {dport} {sport}").replace(UNKNOWN, "?"));
            if let Some(n) = protocol_number(proto) {
                asks.words = format!("-p {n}");
            }
            return asks;
        }
        let given = |c: &str| c != "-" && !c.is_empty() && c != "any" && c != "all";
        if !given(proto) {
            if given(dport) || given(sport) {
                self.refuse(entry, "ports need a protocol");
                return Asks::unknown("ports without a protocol");
            }
            return Asks::default();
        }
        let lower = proto.to_ascii_lowercase();
        let (name, flags) = match lower.rsplit_once(':') {
            Some((name, "syn")) => (name, " --syn"),
            Some((name, "!syn")) => (name, " ! --syn"),
            Some((name, "all")) => (name, ""),
            _ => (lower.as_str(), ""),
        };
        let (not, name) = name.strip_prefix('!').map_or(("", name), |n| ("! ", n));
        let name = if matches!(name, "icmpv6") { "ipv6-icmp" } else { name };
        let Some(number) = protocol_number(name) else {
            self.refuse(entry, format!("{name} is no protocol"));
            return Asks::unknown(format!("protocol {name}"));
        };
        let mut words = format!("{not}-p {number}{flags}");
        let mut unknown = String::new();
        let has_ports = matches!(number, 6 | 17 | 33 | 132 | 136);
        let icmp = matches!((number, self.family), (1, Family::V4) | (58, Family::V6));
        if (given(dport) || given(sport)) && (!not.is_empty() || !(has_ports || icmp)) {
            self.refuse(entry, format!("packets of protocol {proto} have no ports"));
            return Asks::unknown(format!("ports of protocol {proto}"));
        }
        if icmp {
            let option = if number == 1 { "--icmp-type" } else { "--icmpv6-type" };
            let (not, types) = dport.strip_prefix('!').map_or(("", dport), |t| ("! ", t));
            let known: Vec<&str> = types.split(',').filter(|t| given(t)).collect();
            match known.as_slice() {
                [] => {}
                [one] => words += &format!(" {not}{option} {one}"),
                many => unknown = format!("{option} {}", many.join(",")),
            }
            return Asks { words, unknown };
        }
        let multi = number == 136 || dport.contains(',') || sport.contains(',') || sport == "=";
        let both = sport == "=";
        for (ports, side, option) in [(dport, "dst", "dport"), (if both { "-" } else { sport }, "src", "sport")] {
            if !given(ports) {
                continue;
            }
            let (not, ports) = ports.strip_prefix('!').map_or(("", ports), |p| ("! ", p));
            if let Some(set) = ports.strip_prefix('+') {
                let asks = set_match(set, side, not);
                words += &format!(" {}", asks.words);
                unknown += &asks.unknown;
                continue;
            }
            // A hyphen is written for a colon in ranges; names with one are left.
            let ports = ports
                .split(',')
                .map(|p| if p.bytes().all(|b| b.is_ascii_digit() || b == b'-') { p.replace('-', ":") } else { p.to_owned() });
            let ports: Vec<String> = ports.collect();
            if multi {
                let option = if both { "ports".to_owned() } else { format!("{option}s") };
                words += &format!(" -m multiport {not}--{option} {}", ports.join(","));
            } else {
                words += &format!(" {not}--{option} {}", ports.join(","));
            }
        }
        Asks { words, unknown }
    }

    /// RATE or LIMIT.
    pub fn rate(&mut self, entry: &Entry, text: &str) -> Asks {
        let mut out = Asks::default();
        if text == "-" {
            return out;
        }
        let rates = list(text);
        let count = rates.len();
        for (i, rate) in rates.into_iter().enumerate() {
            match rate_words(&rate, (count == 2).then_some(if i == 0 { "s" } else { "d" }), &mut self.rate_tables) {
                Some(words) => out.add(&Asks::words(words)),
                None => {
                    self.refuse(entry, format!("{} is no rate", rate.replace(UNKNOWN, "?")));
                    out.add(&Asks::unknown(format!("rate {rate}")));
                }
            }
        }
        out
    }

    /// CONNLIMIT.
    pub fn connections(&self, text: &str) -> Asks {
        if text == "-" {
            return Asks::default();
        }
        let (address, rest) = text.strip_prefix("d:").map_or(("", text), |r| ("--connlimit-daddr ", r));
        let (not, rest) = rest.strip_prefix('!').map_or(("! ", rest), |r| ("", r));
        let number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        match rest.split_once(':') {
            Some((n, mask)) if number(n) && number(mask) => {
                Asks::words(format!("-m connlimit {not}--connlimit-above {n} --connlimit-mask {mask} {address}").trim_end())
            }
            None if number(rest) => Asks::words(format!("-m connlimit {not}--connlimit-above {rest} {address}").trim_end()),
            _ => Asks::unknown(format!("connlimit {text}")),
        }
    }

    /// USER.
    pub fn user(&self, text: &str) -> Asks {
        if text == "-" {
            return Asks::default();
        }
        let (not, rest) = text.strip_prefix('!').map_or(("", text), |r| ("! ", r));
        let (user, group) = rest.split_once(':').map_or((rest, ""), |(u, g)| (u, g));
        let number = |t: &str| t.split('-').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        // Only the machine itself knows the numbers of its names, root's aside.
        let known = |t: &str| if t == "root" { "0".to_owned() } else { t.to_owned() };
        let mut words = "-m owner".to_owned();
        for (name, option) in [(known(user), "--uid-owner"), (known(group), "--gid-owner")] {
            if !name.is_empty() {
                if !number(&name) {
                    return Asks::unknown(format!("owner {text}").replace(UNKNOWN, "?"));
                }
                words += &format!(" {not}{option} {name}");
            }
        }
        Asks::words(words)
    }

    /// MARK.
    pub fn mark(&self, text: &str) -> Asks {
        if text == "-" {
            return Asks::default();
        }
        let (not, rest) = text.strip_prefix('!').map_or(("", text), |r| ("! ", r));
        let (rest, module) = rest.strip_suffix(":C").map_or((rest, "mark"), |r| (r, "connmark"));
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Asks::unknown(format!("mark {text}").replace(UNKNOWN, "?"));
        }
        let rest = if rest.contains('/') { rest.to_owned() } else { format!("{rest}/{:#x}", self.mark_mask()) };
        Asks::words(format!("-m {module} {not}--mark {rest}"))
    }

    /// The bits of a mark that rules and traffic shaping have (`MASK_BITS`).
    pub fn mark_mask(&self) -> u32 {
        let bits = self.settings.bits("MASK_BITS", 8);
        1u32.checked_shl(bits).map_or(u32::MAX, |m| m - 1)
    }

    /// TIME.
    pub fn time(&self, text: &str) -> Asks {
        if text == "-" {
            return Asks::default();
        }
        let mut words = "-m time".to_owned();
        for part in text.split('&') {
            let option = match part.split_once('=') {
                Some((name @ ("timestart" | "timestop" | "datestart" | "datestop"), value)) => format!("--{name} {value}"),
                Some(("weekdays", days)) => format!("--weekdays {days}"),
                Some(("monthdays", days)) => format!("--monthdays {days}"),
                None if matches!(part, "utc" | "localtz" | "kerneltz" | "contiguous") => format!("--{part}"),
                _ => return Asks::unknown(format!("time {text}").replace(UNKNOWN, "?")),
            };
            words += &format!(" {option}");
        }
        Asks::words(words)
    }

    /// Columns that are conditions of their own.
    pub fn opaque(&mut self, entry: &Entry, name: &str, text: &str) -> Asks {
        if text == "-" {
            return Asks::default();
        }
        self.reader.note(entry.span, NotModelled, format!("the column {name} is not modelled: the rule may or may not apply"));
        Asks::unknown(format!("{name} {text}").replace(UNKNOWN, "?"))
    }

    /// `INTERFACE:ADDRESSES`, either of which may be missing.
    fn parts<'t>(&self, text: &'t str) -> (Option<&'t str>, Option<&'t str>) {
        if text == "-" || text.is_empty() {
            return (None, None);
        }
        if self.family == Family::V4 {
            let addresses = |t: &str| {
                let t = t.trim_start_matches('!');
                t.starts_with(['+', '&', '~', '%', '^', UNKNOWN])
                    || t.split(['.', '/']).next().is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
                    || t.matches('.').count() >= 2
            };
            // A MAC address is written with hyphens, so a colon ends an interface.
            return match text.split_once(':') {
                Some((interface, nets)) if !interface.is_empty() => (Some(interface), Some(nets).filter(|n| !n.is_empty())),
                Some((_, nets)) => (None, Some(nets).filter(|n| !n.is_empty())),
                None if addresses(text) => (None, Some(text)),
                None => (Some(text), None),
            };
        }
        // Addresses have colons of their own: they stand in brackets after an interface.
        let signs = |t: &str| t.trim_start_matches('!').starts_with(['+', '&', '~', '%', '^', UNKNOWN]);
        if let Some((interface, nets)) = text.split_once(':')
            && !interface.is_empty()
            && !interface.contains('[')
            && (nets.starts_with(['[', '<']) || nets.starts_with("![") || signs(nets))
        {
            return (Some(interface), Some(nets));
        }
        if text.contains([':', '[', '<']) || signs(text) || text.matches('.').count() >= 2 {
            (None, Some(text.strip_prefix(':').filter(|t| t.starts_with('[')).unwrap_or(text)))
        } else {
            (Some(text), None)
        }
    }

    /// The addresses of a list, and those after `!`.
    fn nets(&mut self, text: &str, span: Span) -> Nets {
        let mut out = Nets { nets: Vec::new(), without: Vec::new() };
        let mut excluding = false;
        let text = text.replace(['<', '>'], "");
        for part in list(&text) {
            let inside = part.starts_with("+[");
            let (plain, left) = match part.split_once('!').filter(|_| !inside) {
                Some((plain, left)) => (plain.to_owned(), Some(left.to_owned())),
                None => (part, None),
            };
            if !plain.is_empty() {
                let net = self.one_net(&plain, span);
                if excluding { &mut out.without } else { &mut out.nets }.push(net);
            }
            if let Some(left) = left {
                if excluding {
                    self.reader.refused(span, "a list of addresses has one exclamation mark at most");
                }
                excluding = true;
                out.without.push(self.one_net(&left, span));
            }
        }
        out
    }

    fn one_net(&mut self, text: &str, span: Span) -> String {
        let text = text.trim_matches(['(', ')']);
        let net = if self.family == Family::V6 { bare_range(text) } else { text.to_owned() };
        if net.contains(UNKNOWN) {
            self.reader.note(span, NotModelled, "an address of this line is a variable that is not known here");
            return net;
        }
        if !self.is_net(&net) {
            let name = net.chars().any(|c| c.is_ascii_alphabetic()) && net.contains('.') && parse_cidr(&net).is_none();
            if name {
                self.reader.note(span, NotModelled, format!("{net} is a name, whose addresses are found when the firewall starts"));
            } else {
                self.reader.refused(span, format!("{net} is no address of {}", self.family.name()));
            }
        }
        net
    }

    /// Arrival interface, for the way of the rule.
    fn arrival(&mut self, name: &str, e: &Expand<'_>) -> Asks {
        if !self.interface_used(name, e.span) {
            return Asks::unknown(format!("arrives on {name}").replace(UNKNOWN, "?"));
        }
        match e.side {
            Side::Postrouting => {
                self.reader.note(e.span, NotModelled, format!("the networks behind {name} are found when the firewall starts"));
                Asks::unknown(format!("the source is of a network behind {name}"))
            }
            _ => self.dev("-i", name),
        }
    }

    fn departure(&mut self, name: &str, e: &Expand<'_>) -> Asks {
        if !self.interface_used(name, e.span) {
            return Asks::unknown(format!("leaves through {name}").replace(UNKNOWN, "?"));
        }
        match e.side {
            Side::Prerouting => {
                self.reader.note(e.span, NotModelled, format!("the networks behind {name} are found when the firewall starts"));
                Asks::unknown(format!("the destination is of a network behind {name}"))
            }
            _ => self.dev("-o", name),
        }
    }

    fn interface_used(&mut self, name: &str, span: Span) -> bool {
        let known = self.zones.interface(name.trim_start_matches('!')).is_some();
        if !known {
            self.reader.refused(span, format!("the interface {} is not defined", name.replace(UNKNOWN, "?")));
        }
        known
    }

    /// Adds the rule for each pair of its addresses.
    pub fn expand(&mut self, e: &Expand<'_>) {
        // Several places of one column: `(eth0:10.0.0.0/8),(eth1:…)`.
        let split = |text: &str| -> Vec<String> {
            if text.contains('(') && !text.contains('[') {
                list(text).into_iter().map(|p| unwrapped(&p)).collect()
            } else {
                vec![text.to_owned()]
            }
        };
        for source in split(e.source) {
            for dest in split(e.dest) {
                self.expand_one(e, &source, &dest);
            }
        }
    }

    fn expand_one(&mut self, e: &Expand<'_>, source: &str, dest: &str) {
        let mut asks = Asks::default();
        let (mut nets, mut without): ([Vec<String>; 3], [Vec<String>; 3]) = Default::default();
        let (arrival, from) = self.parts(source);
        let (departure, to) = self.parts(dest);
        if let Some(name) = arrival {
            asks.add(&self.arrival(name, e));
        }
        if let Some(name) = departure {
            asks.add(&self.departure(name, e));
        }
        let before = if e.origdest == "-" || e.origdest == "all" || e.origdest.is_empty() { None } else { Some(e.origdest) };
        if let Some(detect) = before.filter(|b| b.starts_with("detect")) {
            self.reader.note(e.span, NotModelled, "the addresses of the interface are found when the firewall starts");
            asks.add(&Asks::unknown(format!("the original destination is {detect}")));
        }
        let before = before.filter(|b| !b.starts_with("detect"));
        for (i, text) in [from, to, before].into_iter().enumerate() {
            let Some(text) = text else { continue };
            let found = self.nets(text, e.span);
            match (found.nets.is_empty(), found.without.as_slice()) {
                // One address that is left out is a negation.
                (true, [one]) => {
                    let one = format!("!{one}");
                    asks.add(&self.address(i, &one));
                }
                _ => {
                    nets[i] = found.nets;
                    without[i] = found.without;
                }
            }
        }
        asks.add(&e.asks);
        let mut rows = vec![Asks::default()];
        // The original destination is the outermost list, the destination the innermost.
        for i in [2, 0, 1] {
            let mut more = Vec::new();
            for row in &rows {
                if nets[i].is_empty() {
                    more.push(row.clone());
                }
                for net in &nets[i] {
                    more.push(row.and(&self.address(i, net)));
                }
                if more.len() > 100_000 {
                    self.book.full = true;
                    break;
                }
            }
            rows = more;
        }
        let left_out: Vec<(usize, String)> = without.iter().enumerate().flat_map(|(i, w)| w.iter().map(move |n| (i, n.clone()))).collect();
        if left_out.is_empty() {
            for row in rows {
                self.last(e, e.chain, row.and(&asks), e.target);
            }
            return;
        }
        // Packets of what is left out come back from a chain of their own, and go on after the rule.
        let name = self.book.fresh("~excl");
        let (prefix, target) = if e.target == "-j RETURN" { (true, "-j RETURN") } else { (false, e.target) };
        if prefix {
            // A return from that chain would not end this one: those that are left out are marked by a rule before it instead.
            for row in rows {
                let mut all = row.and(&asks);
                for (i, net) in &left_out {
                    all.add(&self.address(*i, &format!("!{net}")));
                }
                self.last(e, e.chain, merged(all), target);
            }
            return;
        }
        for row in rows {
            self.add(e.table, e.chain, row.and(&asks), &format!("-j {name}"), e.span);
        }
        for (i, net) in left_out {
            let asks = self.address(i, &net);
            self.add(e.table, &name, asks, "-j RETURN", e.span);
        }
        self.last(e, &name, e.again.clone(), target);
    }

    fn address(&self, which: usize, net: &str) -> Asks {
        match which {
            0 => self.net(true, net),
            1 => self.net(false, net),
            _ => {
                let (not, net) = net.strip_prefix('!').map_or(("", net), |n| ("! ", n));
                if self.is_all(net) && not.is_empty() {
                    Asks::default()
                } else if parse_cidr(net).is_some_and(|(f, ..)| f == self.family) {
                    Asks::words(format!("-m conntrack {not}--ctorigdst {net}"))
                } else {
                    Asks::unknown(format!("{not}original destination {net}").replace(UNKNOWN, "?"))
                }
            }
        }
    }

    fn last(&mut self, e: &Expand<'_>, chain: &str, asks: Asks, target: &str) {
        if let Some(level) = e.level {
            self.log(e.table, chain, asks.clone(), Some(level), e.span);
        }
        match e.unknown {
            Some(what) => self.add_unknown(e.table, chain, asks, what.to_owned(), e.span),
            None if target.is_empty() && e.level.is_some() => {}
            None => {
                let mut line = self.line(asks, target, e.span);
                line.forward = e.forward.clone();
                self.book.push(e.table, chain, line);
            }
        }
    }
}

/// A rule may ask for one source and one destination by `-s` and `-d`: further ones are asked by ranges.
fn merged(asks: Asks) -> Asks {
    let mut words = String::new();
    let (mut seen_s, mut seen_d) = (false, false);
    let mut iter = asks.words.split(' ').peekable();
    let mut unknown = asks.unknown;
    let mut negated = false;
    while let Some(word) = iter.next() {
        let seen = match word {
            "-s" => &mut seen_s,
            "-d" => &mut seen_d,
            _ => {
                if negated {
                    words += " !";
                }
                negated = word == "!";
                if !negated {
                    words = words + " " + word;
                }
                continue;
            }
        };
        let value = iter.next().unwrap_or("");
        let not = if std::mem::take(&mut negated) { "! " } else { "" };
        if *seen {
            let side = if word == "-s" { "src" } else { "dst" };
            match parse_cidr(value) {
                Some((family, lo, hi)) => {
                    let (lo, hi) = (crate::net::to_ip(family, lo), crate::net::to_ip(family, hi));
                    words += &format!(" -m iprange {not}--{side}-range {lo}-{hi}");
                }
                None => unknown += &format!(" {not}{side} {value}"),
            }
        } else {
            *seen = true;
            words += &format!(" {not}{word} {value}");
        }
    }
    Asks { words: words.trim().to_owned(), unknown: unknown.trim().to_owned() }
}

/// `interface:(addresses)` and `(…)` without the parentheses.
fn unwrapped(text: &str) -> String {
    if let Some(inner) = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        return inner.to_owned();
    }
    match text.split_once(":(").and_then(|(a, b)| Some((a, b.strip_suffix(')')?))) {
        Some((a, b)) => format!("{a}:{b}"),
        None => text.to_owned(),
    }
}

/// An address or range of IPv6 without brackets: `[a]`, `[a]/64`, `[a]-[b]`.
fn bare_range(text: &str) -> String {
    match text.split_once("]-[") {
        Some((a, b)) => format!("{}-{}", a.trim_start_matches('['), b.trim_end_matches(']')),
        None if text.starts_with('[') => bare(text),
        None => text.to_owned(),
    }
}

/// `[{s|d}[/MASK]:][NAME:]RATE/UNIT[:BURST]` in the words of `limit` or `hashlimit`.
fn rate_words(text: &str, side: Option<&str>, tables: &mut usize) -> Option<String> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_rate = |t: &str| {
        let (n, unit) = t.split_once('/').unwrap_or((t, "sec"));
        !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && ["sec", "min", "hour", "day", "second", "minute"].contains(&unit)
    };
    let at = parts.iter().position(|p| is_rate(p))?;
    let (before, rest) = parts.split_at_checked(at)?;
    let rate = rest.first()?;
    let burst = match rest.get(1..)? {
        [] => None,
        [burst] => Some(burst.parse::<u32>().ok()?),
        _ => return None,
    };
    let mut direction = side;
    let mut name = "";
    for (i, part) in before.iter().enumerate() {
        match part.split('/').next() {
            Some(d @ ("s" | "d")) if i == 0 => direction = Some(d),
            _ => name = part,
        }
    }
    if direction.is_none() && name.is_empty() {
        let burst = burst.map_or(String::new(), |b| format!(" --limit-burst {b}"));
        return Some(format!("-m limit --limit {rate}{burst}"));
    }
    let burst = burst.map_or(String::new(), |b| format!(" --hashlimit-burst {b}"));
    let table = match name.split('(').next().unwrap_or("") {
        "" => {
            *tables += 1;
            format!("shorewall{}", *tables - 1)
        }
        name => name.to_owned(),
    };
    if !table.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return None;
    }
    let mode = direction.map_or(String::new(), |d| format!(" --hashlimit-mode {}ip", if d == "s" { "src" } else { "dst" }));
    let expire = match (direction, rate.split_once('/').map(|(_, unit)| unit)) {
        (Some(_), Some("min" | "minute")) => " --hashlimit-htable-expire 60000",
        (Some(_), Some("hour")) => " --hashlimit-htable-expire 3600000",
        (Some(_), Some("day")) => " --hashlimit-htable-expire 86400000",
        _ => "",
    };
    Some(format!("-m hashlimit --hashlimit-upto {rate}{burst} --hashlimit-name {table}{mode}{expire}"))
}
