//! The words of a rule: pf.conf(5), "filter-rule", "nat-rule", "rdr-rule", "binat-rule" of its grammar.

use super::ast::{Dir, Host, Iface, Kind, Place, Pool, Proto, Rule, Stage, State, Verb, Xlate};
use super::lex::Tok;
use super::names;
use super::parse::{Failed, Parser};
use crate::diag::LineState;
use crate::net::{Family, Ranges};

impl Parser<'_, '_> {
    pub(super) fn filter_rule(&mut self) -> Result<Rule, Failed> {
        let mut rule = Rule::default();
        let at = self.span();
        match self.word() {
            Some("block") => {
                self.advance();
                rule.verb = Verb::Block(self.block_answer());
            }
            Some("match") => {
                self.advance();
                self.config.new_style.get_or_insert(("match", at));
                rule.verb = Verb::Match;
            }
            _ => self.advance(),
        }
        self.rule_words(&mut rule);
        Ok(rule)
    }

    /// How a `block` answers: what is written, else the policy that is in force at this line.
    fn block_answer(&mut self) -> Option<String> {
        let word = self.word().unwrap_or_default().to_owned();
        match word.as_str() {
            "drop" => {
                self.advance();
                None
            }
            "return" => {
                self.advance();
                Some("return".into())
            }
            "return-rst" | "return-icmp" | "return-icmp6" => {
                self.advance();
                self.parentheses();
                Some(word)
            }
            _ => self.config.block_return.then(|| "return".to_owned()),
        }
    }

    /// A rule of the old translation rules; `None` for `no scrub`.
    pub(super) fn translation_rule(&mut self) -> Result<Option<Rule>, Failed> {
        let at = self.span();
        let no = self.accept_word("no");
        let stage = match self.word() {
            Some("nat") => Stage::Nat,
            Some("rdr") => Stage::Rdr,
            Some("binat") => Stage::Binat,
            Some("scrub") if no => {
                let span = self.skip_statement();
                self.reader.mark(span, LineState::Irrelevant);
                return Ok(None);
            }
            _ => return Err(self.unexpected("nat, rdr or binat")),
        };
        self.advance();
        self.config.old_style.get_or_insert(("nat, rdr or binat as a rule of its own", at));
        let pass = self.accept_word("pass");
        let mut rule = Rule { verb: Verb::Translate { stage: Some(stage), no, pass }, ..Rule::default() };
        self.rule_words(&mut rule);
        if self.accept("->") {
            let kind = match stage {
                Stage::Rdr => Xlate::Rdr,
                Stage::Binat => Xlate::Binat,
                _ => Xlate::Nat,
            };
            let pool = self.pool(kind)?;
            rule.pools.push(pool);
        } else if !no {
            return Err(self.unexpected("`->`"));
        }
        self.rule_words(&mut rule);
        Ok(Some(rule))
    }

    /// All words of a rule up to the end of its line, an arrow or a brace. What is not understood becomes a condition that is not modelled, so
    /// that the rule stays.
    pub(super) fn rule_words(&mut self, rule: &mut Rule) {
        loop {
            let start = self.span();
            let not = self.accept("!");
            let word = match self.peek() {
                Some(Tok::Word(w)) => w.clone(),
                None | Some(Tok::Newline | Tok::Punct("->" | "{" | "}")) if !not => return,
                Some(Tok::Punct(",")) => {
                    self.advance();
                    continue;
                }
                _ => {
                    self.advance();
                    self.failed(rule, (start, "this is not understood".into()));
                    continue;
                }
            };
            self.advance();
            if let Err(failed) = self.rule_word(rule, &word, not) {
                self.failed(rule, failed);
            }
            if self.at_end() {
                return;
            }
        }
    }

    fn failed(&mut self, rule: &mut Rule, (span, text): Failed) {
        let known = rule.opaque.iter().any(|(t, _)| t.starts_with("a part that is not understood"));
        if !known {
            let spot = super::lower::spot(self.reader, span);
            rule.opaque.push((format!("a part that is not understood ({spot})"), span));
        }
        self.reader.note(span, LineState::Unrecognised, text);
    }

    fn rule_word(&mut self, rule: &mut Rule, word: &str, not: bool) -> Result<(), Failed> {
        let start = self.before();
        let one = match rule.protos.as_slice() {
            [Proto::Number(n)] => Some(*n),
            _ => None,
        };
        match word {
            "in" => rule.dir = Some(Dir::In),
            "out" => rule.dir = Some(Dir::Out),
            "log" => {
                self.parentheses();
                rule.log = true;
            }
            "quick" => rule.quick = true,
            "on" if matches!(self.word(), Some("rdomain")) => {
                self.advance();
                let (n, _) = self.string("a routing domain")?;
                self.opaque(rule, format!("on rdomain {n}"), not, start);
            }
            "on" => rule.on = self.list(Self::iface)?,
            "received-on" => {
                self.config.new_style.get_or_insert(("received-on", start));
                let mut list = self.list(Self::iface)?;
                if not && let [one] = list.as_mut_slice() {
                    one.not = !one.not;
                }
                rule.received_on = list;
            }
            "inet" => rule.family = Some(Family::V4),
            "inet6" => rule.family = Some(Family::V6),
            "proto" => rule.protos = self.list(Self::proto)?,
            "all" => rule.from_given = true,
            "from" => {
                rule.from_given = true;
                if self.word() != Some("port") {
                    rule.src = self.places()?;
                }
                if self.accept_word("port") {
                    rule.sport = Some(self.ports(one)?);
                }
            }
            "to" => {
                rule.from_given = true;
                if self.word() != Some("port") {
                    rule.dst = self.places()?;
                }
                if self.accept_word("port") {
                    rule.dport = Some(self.ports(one)?);
                }
            }
            "flags" => rule.flags = Some(self.flags()?),
            "icmp-type" => rule.icmp4 = Some(self.icmp(Family::V4)?),
            "icmp6-type" => rule.icmp6 = Some(self.icmp(Family::V6)?),
            "keep" | "modulate" | "synproxy" | "no" => {
                if !self.accept_word("state") {
                    return Err(self.unexpected("`state`"));
                }
                rule.state = Some(if word == "no" { State::None } else { State::Keep });
                self.state_options();
            }
            "user" | "group" => {
                let text = self.operators(word)?;
                self.opaque(rule, text, not, start);
            }
            "os" => {
                let list = self.list(|p| p.string("an operating system").map(|s| s.0))?;
                self.opaque(rule, format!("os {}", list.join(", ")), not, start);
                if rule.protos.is_empty() {
                    rule.protos = vec![Proto::Number(6)];
                }
            }
            "tag" => rule.tag = Some(self.string("a tag")?.0),
            "tagged" => rule.tagged = Some((not, self.string("a tag")?.0)),
            "label" => rule.label = Some(self.string("a label")?.0).filter(|l| !l.is_empty()),
            "probability" => {
                let (p, _) = self.string("a probability")?;
                let spot = super::lower::spot(self.reader, start);
                self.opaque(rule, format!("probability {p} ({spot})"), not, start);
            }
            "tos" | "prio" | "dscp" | "ieee8021q-pcp" | "schedule" | "max-pkt-rate" | "rtableid" => {
                let (value, _) = self.string("a value")?;
                self.opaque(rule, format!("{word} {value}"), not, start);
            }
            "once" => {
                let spot = super::lower::spot(self.reader, start);
                self.opaque(rule, format!("is the first packet that meets the rule of {spot}"), not, start);
            }
            "fragment" => rule.fragment = true,
            "allow-opts" | "static-port" | "divert-reply" | "no-df" | "random-id" => {}
            "rtable" => {
                let (n, _) = self.string("a routing table")?;
                let at = start.to(self.before());
                self.reader.note(
                    at,
                    LineState::NotModelled,
                    format!("routing table {n}: where the packet goes from there is not modelled"),
                );
            }
            "queue" | "dnpipe" | "dnqueue" | "pipe" => {
                if matches!(self.peek(), Some(Tok::Punct("("))) {
                    self.parentheses();
                } else {
                    self.string("a queue")?;
                }
            }
            "ridentifier" | "set-tos" | "max-mss" | "min-ttl" | "binat-anchor" => drop(self.string("a value")?),
            "reassemble" => drop(self.accept_word("tcp")),
            "scrub" | "set" => {
                self.config.new_style.get_or_insert(("scrub or set as an option of a rule", start));
                self.parentheses();
            }
            "fastroute" => {
                self.reader.note(start, LineState::NotModelled, "fastroute: where the packet goes from there is not modelled");
            }
            "route-to" | "dup-to" | "reply-to" => {
                self.list(Self::next_hop)?;
                self.pool_options(&mut Pool::new(Xlate::Nat, start))?;
                if word != "reply-to" {
                    let what =
                        if word == "dup-to" { "a copy of the packet goes elsewhere" } else { "the packet is not routed by the table" };
                    self.reader.note(start.to(self.before()), LineState::NotModelled, format!("{word}: {what}; this is not modelled"));
                }
            }
            "nat-to" | "rdr-to" | "binat-to" | "af-to" => {
                self.config.new_style.get_or_insert(("nat-to, rdr-to, binat-to or af-to", start));
                let kind = match word {
                    "nat-to" => Xlate::Nat,
                    "rdr-to" => Xlate::Rdr,
                    "binat-to" => Xlate::Binat,
                    _ => Xlate::Af,
                };
                let pool = self.pool(kind)?;
                rule.pools.push(pool);
            }
            "divert-to" | "divert-packet" => {
                self.config.new_style.get_or_insert(("divert-to or divert-packet", start));
                if self.word() != Some("port") {
                    self.places()?;
                }
                if self.accept_word("port") {
                    self.string("a port")?;
                }
                rule.divert = Some(word.to_owned());
            }
            _ => return Err((start, format!("`{word}` is no word of a rule"))),
        }
        if not && !matches!(word, "tagged" | "received-on" | "user" | "group" | "os" | "on" | "tos" | "prio" | "probability") {
            return Err((start, format!("`!` has no meaning before `{word}`")));
        }
        Ok(())
    }

    fn opaque(&self, rule: &mut Rule, text: String, not: bool, start: crate::source::Span) {
        let text = if not { format!("! {text}") } else { text };
        rule.opaque.push((text, start.to(self.before())));
    }

    fn places(&mut self) -> Result<Vec<Place>, Failed> {
        self.list(Self::place)
    }

    fn proto(&mut self) -> Result<Proto, Failed> {
        let (text, span) = self.string("a protocol")?;
        Ok(match names::protocol(&text) {
            Some(n) => Proto::Number(n),
            None => {
                self.reader.note(span, LineState::NotModelled, format!("the protocol `{text}` is not known"));
                Proto::Unknown(text)
            }
        })
    }

    /// `S/SA`, `/SFRA`, `any`.
    fn flags(&mut self) -> Result<Option<(u8, u8)>, Failed> {
        let (text, span) = self.string("TCP flags")?;
        if text == "any" {
            return Ok(None);
        }
        let found = match text.split_once('/') {
            Some((set, of)) => names::tcp_flags(set).zip(names::tcp_flags(of)),
            None => None,
        };
        match found {
            Some((set, of)) => Ok(Some((of, set))),
            None => Err((span, format!("`{text}` is not a set of TCP flags"))),
        }
    }

    fn icmp(&mut self, family: Family) -> Result<Ranges, Failed> {
        let list = self.list(|p| {
            let (text, span) = p.string("an ICMP type")?;
            let kind = names::icmp_type(family, &text).ok_or_else(|| (span, format!("`{text}` is not an ICMP type that is known")))?;
            let base = u128::from(kind) << 8;
            if !p.accept_word("code") {
                return Ok((base, base + 255));
            }
            let (text, span) = p.string("an ICMP code")?;
            let code =
                names::icmp_code(family, kind, &text).ok_or_else(|| (span, format!("`{text}` is not an ICMP code that is known")))?;
            Ok((base + u128::from(code), base + u128::from(code)))
        })?;
        Ok(Ranges::from_intervals(list))
    }

    /// `(max 100, overload <bad> flush global)`: limits are not modelled; a table that gets filled is known for one.
    fn state_options(&mut self) {
        let inside = self.parentheses();
        for four in inside.windows(3) {
            if let [(Tok::Word(w), _), (Tok::Punct("<"), _), (Tok::Word(name), span)] = four
                && w == "overload"
            {
                self.reader.device.names.used("table", &**name, *span);
                self.config.overload.push(name.clone());
            }
        }
    }

    /// `user { root, >= 1000 }`: one canonical text.
    fn operators(&mut self, word: &str) -> Result<String, Failed> {
        let list = self.list(|p| {
            let mut text = String::new();
            if let Some(Tok::Punct(sign @ ("=" | "!=" | "<" | "<=" | ">" | ">="))) = p.peek() {
                if *sign != "=" {
                    text = format!("{sign} ");
                }
                p.advance();
            }
            text.push_str(&p.string("a user or group")?.0);
            if let Some(Tok::Punct(sign @ ("><" | "<>"))) = p.peek() {
                text.push_str(&format!(" {sign} "));
                p.advance();
                text.push_str(&p.string("a user or group")?.0);
            }
            Ok(text)
        })?;
        Ok(format!("{word} {}", list.join(", ")))
    }

    /// `(em0 192.0.2.1)`, `em0`, `192.0.2.1`, `192.0.2.1@em0`.
    fn next_hop(&mut self) -> Result<(), Failed> {
        if matches!(self.peek(), Some(Tok::Punct("("))) {
            self.parentheses();
            return Ok(());
        }
        if matches!(self.peek(), Some(Tok::Punct("<"))) {
            return self.place().map(|_| ());
        }
        self.string("a next hop").map(|_| ())
    }

    /// What addresses and ports become.
    fn pool(&mut self, kind: Xlate) -> Result<Pool, Failed> {
        let mut pool = Pool::new(kind, self.before());
        if kind == Xlate::Af {
            if !self.accept_word("inet") {
                self.accept_word("inet6");
            }
            self.accept_word("from");
            self.places()?;
            if self.accept_word("to") {
                self.places()?;
            }
        } else {
            pool.places = self.places()?;
        }
        if self.accept_word("port") {
            let (text, span) = self.string("a port")?;
            let (first, last) = text.split_once(':').map_or((text.as_str(), Some(text.as_str())), |(a, b)| (a, Some(b)));
            let lo = names::port(first, None).ok_or_else(|| (span, format!("`{text}` is not a port that is known")))?;
            let hi = match last {
                Some("*") => None,
                Some(p) => Some(names::port(p, None).ok_or_else(|| (span, format!("`{text}` is not a range of ports")))?),
                None => None,
            };
            pool.ports = Some((lo, hi));
        }
        self.pool_options(&mut pool)?;
        pool.span = pool.span.to(self.before());
        Ok(pool)
    }

    fn pool_options(&mut self, pool: &mut Pool) -> Result<(), Failed> {
        loop {
            match self.word() {
                Some("bitmask") => pool.bitmask = true,
                Some("static-port") => pool.static_port = true,
                Some("random" | "round-robin" | "sticky-address" | "least-states" | "endpoint-independent") => {}
                Some("map-e-portset") => {
                    self.advance();
                    self.string("a port set")?;
                    continue;
                }
                Some("source-hash") => {
                    self.advance();
                    let key = match self.peek() {
                        Some(Tok::Quoted(_)) => true,
                        Some(Tok::Word(w)) => !AFTER_POOL.contains(&w.as_str()),
                        _ => false,
                    };
                    if key {
                        // The key of the hash: who knows it can tell where connections go.
                        self.reader.secret(self.span());
                        self.advance();
                    }
                    continue;
                }
                _ => return Ok(()),
            }
            self.advance();
        }
    }
}

/// Words that may follow `source-hash` and are not its key.
const AFTER_POOL: &[&str] = &[
    "bitmask",
    "static-port",
    "random",
    "round-robin",
    "sticky-address",
    "least-states",
    "from",
    "to",
    "all",
    "inet",
    "inet6",
    "proto",
    "on",
    "port",
    "keep",
    "modulate",
    "synproxy",
    "no",
    "tag",
    "tagged",
    "label",
    "flags",
    "nat-to",
    "rdr-to",
    "binat-to",
    "route-to",
    "reply-to",
    "dup-to",
    "set",
    "scrub",
    "queue",
    "rtable",
    "quick",
    "log",
    "allow-opts",
    "icmp-type",
    "icmp6-type",
    "user",
    "group",
    "os",
    "probability",
];

impl Pool {
    fn new(kind: Xlate, span: crate::source::Span) -> Pool {
        Pool { kind, places: vec![], ports: None, static_port: false, bitmask: false, span }
    }
}

/// The rules that `antispoof` stands for (pf.conf(5), "Blocking spoofed traffic"): what claims to come from the network of an interface must
/// arrive on it, and nothing arrives that claims to come from an address of this host; the latter is left out for the loopback.
pub(super) fn antispoof(base: &Rule, ifaces: &[(Iface, bool)]) -> Vec<Kind> {
    let mut out = Vec::new();
    for (iface, dynamic) in ifaces {
        let rule = |on: Vec<Iface>, part: &str| {
            let host = Host::Iface { name: iface.name.clone(), part: part.into(), mask: None, dynamic: *dynamic };
            let src = vec![Place { not: false, host, span: iface.span }];
            Kind::Filter(Box::new(Rule { dir: Some(Dir::In), on, src, ..base.clone() }))
        };
        out.push(rule(vec![Iface { not: !iface.not, ..iface.clone() }], "network"));
        let loopback = iface.name.strip_prefix("lo").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if !loopback && !iface.not {
            out.push(rule(vec![], ""));
        }
    }
    out
}
