//! Statements of a rule.

use super::ast::{Cmp, Expr, Kind, Nat, Op, Rule, Sel, Stmt, Verdict};
use super::lex::T;
use super::parse::Parser;
use crate::model::NatKind;
use crate::net::Family;

impl<'a> Parser<'_, 'a> {
    /// A rule: statements up to the end of the statement. Never fails: what is not understood becomes [`Stmt::Unknown`].
    pub(super) fn rule(&mut self) -> Rule<'a> {
        let start = self.span();
        let mut stmts: Vec<(Stmt<'a>, _)> = Vec::new();
        let mut comment = None;
        while !self.at_end_of_statement() {
            let from = self.index();
            let at = self.span();
            if self.is_word("comment") {
                self.bump();
                if let Some(text) = self.take_name() {
                    comment = Some(text.into_owned());
                    continue;
                }
            }
            match self.statement() {
                Some(stmt) if self.index() > from => stmts.push((stmt, self.since(at))),
                _ => {
                    self.go_back(from);
                    self.skip_statement();
                    let text = self.joined(from);
                    stmts.push((Stmt::Unknown(text), self.since(at)));
                }
            }
        }
        let span = self.since(start);
        Rule { stmts, comment, span, handle: self.handle_after(span) }
    }

    fn statement(&mut self) -> Option<Stmt<'a>> {
        if self.kind() == T::Xt {
            return Some(self.compat());
        }
        if let Some(v) = self.verdict()? {
            return Some(Stmt::Verdict(v));
        }
        match self.word() {
            "reject" => self.reject(),
            "counter" => {
                self.bump();
                if self.is_word("name") {
                    self.bump();
                    self.value()?;
                    return Some(Stmt::Neutral);
                }
                let mut packets = None;
                while matches!(self.word(), "packets" | "bytes") {
                    let key = self.take_word()?;
                    let n = self.take_word()?.parse().ok();
                    if &*key == "packets" {
                        packets = n;
                    }
                }
                Some(Stmt::Counter(packets))
            }
            "log" => {
                self.bump();
                self.log_options()?;
                Some(Stmt::Log)
            }
            "limit" => self.limit(),
            "quota" => self.quota(),
            "notrack" => {
                self.bump();
                Some(Stmt::Untrack)
            }
            "masquerade" | "redirect" | "snat" | "dnat" => self.nat(),
            "tproxy" => {
                self.bump();
                if matches!(self.word(), "ip" | "ip6") {
                    self.bump();
                }
                self.eat_word("to");
                self.endpoint(&mut Nat { kind: NatKind::Redirect, family: None, addr: None, port: None, prefix: false })?;
                Some(Stmt::Opaque("tproxy".to_owned()))
            }
            "synproxy" => {
                self.bump();
                while matches!(self.word(), "mss" | "wscale" | "timestamp" | "sack-perm" | "name") {
                    let key = self.take_word()?;
                    match &*key {
                        "mss" | "wscale" => {
                            self.take_word()?;
                        }
                        "name" => {
                            self.value()?;
                        }
                        _ => {}
                    }
                }
                Some(Stmt::Opaque("synproxy".to_owned()))
            }
            "dup" => {
                self.bump();
                self.eat_word("to");
                self.value()?;
                if self.eat_word("device") {
                    self.value()?;
                }
                Some(Stmt::Copies("dup".to_owned()))
            }
            "fwd" => {
                self.bump();
                while matches!(self.word(), "ip" | "ip6" | "to") {
                    self.bump();
                }
                self.value()?;
                if self.eat_word("device") {
                    self.value()?;
                }
                Some(Stmt::Opaque("fwd".to_owned()))
            }
            "flow" if matches!(self.peek_word(1), Some("add" | "offload")) => {
                self.bump();
                self.bump();
                self.eat_punct(b'@');
                self.take_name()?;
                Some(Stmt::Neutral)
            }
            "meter" | "flow" => self.meter(),
            "add" | "update" | "delete" => {
                self.bump();
                self.set_update()
            }
            "set" if matches!(self.peek_word(1), Some("add" | "update")) => {
                // The old spelling: `set add ip saddr @name`.
                self.bump();
                self.bump();
                let key = self.left()?;
                self.options_of_key()?;
                self.expect_punct(b'@')?;
                Some(Stmt::Update(self.take_name()?, key, None))
            }
            "xt" => Some(self.compat()),
            "last" => {
                self.bump();
                while matches!(self.word(), "used" | "never") {
                    if self.take_word().as_deref() == Some("used") && !self.eat_word("never") {
                        self.take_word()?;
                    }
                }
                Some(Stmt::Neutral)
            }
            "secmark" => {
                self.bump();
                self.value()?;
                Some(Stmt::Neutral)
            }
            "reset" => {
                self.bump();
                self.left()?;
                Some(Stmt::Neutral)
            }
            "ct" if self.peek_word(1) == Some("count") => {
                self.bump();
                self.bump();
                let over = self.eat_word("over");
                let n = self.take_word()?;
                Some(Stmt::Condition { text: format!("ct count {}{n}", if over { "over " } else { "" }), scoped: false })
            }
            _ => self.comparison(),
        }
    }

    /// A comparison, a verdict map, or an assignment.
    fn comparison(&mut self) -> Option<Stmt<'a>> {
        let left = self.left()?;
        if self.eat_word("vmap") {
            let data = match self.kind() {
                T::P(b'{') => self.set_literal()?,
                _ => self.right()?,
            };
            return Some(Stmt::Vmap(left, data));
        }
        if self.is_word("set") {
            self.bump();
            let value = self.value()?;
            // `meta priority set 1:10`
            if self.eat_punct(b':') {
                self.take_word()?;
            }
            // `ct event set new,related`
            while self.eat_punct(b',') {
                self.value()?;
            }
            let Kind::Sel(sel) = left.kind else { return None };
            return Some(Stmt::Assign(sel, value));
        }
        // Anything that reads nothing from the packet is no comparison.
        if !reads_packet(&left) {
            return None;
        }
        let cmp = match (self.kind(), self.word()) {
            (T::EqEq, _) | (T::P(b'='), _) | (T::Word, "eq") => Cmp::Eq,
            (T::Ne, _) | (T::Word, "ne") => Cmp::Ne,
            (T::P(b'<'), _) | (T::Word, "lt") => Cmp::Lt,
            (T::P(b'>'), _) | (T::Word, "gt") => Cmp::Gt,
            (T::Le, _) | (T::Word, "le") => Cmp::Le,
            (T::Ge, _) | (T::Word, "ge") => Cmp::Ge,
            (T::P(b'!'), _) => Cmp::Without,
            _ => Cmp::Implicit,
        };
        if cmp != Cmp::Implicit {
            self.bump();
        }
        let mut right = self.right()?;
        // `meta priority 1:10`
        if matches!(left.kind, Kind::Sel(Sel::Meta(_))) && self.eat_punct(b':') {
            let text = format!("{}:{}", right.word()?, self.take_word()?);
            right = Expr::new(Kind::Word(text.into()), right.span.to(self.last_span()));
        }
        // `tcp flags syn / fin,syn,rst,ack`: value and mask.
        if self.eat_punct(b'/') {
            let mask = self.right()?;
            let span = left.span.to(mask.span);
            let masked = Expr::new(Kind::Bin(Op::And, Box::new(left), Box::new(mask)), span);
            return Some(Stmt::Match(masked, if cmp == Cmp::Implicit { Cmp::Eq } else { cmp }, right));
        }
        Some(Stmt::Match(left, cmp, right))
    }

    fn reject(&mut self) -> Option<Stmt<'a>> {
        self.bump();
        if !self.eat_word("with") {
            return Some(Stmt::Verdict(Verdict::Reject(None)));
        }
        let kind = self.take_word()?;
        if &*kind == "tcp" {
            self.take_word()?;
            return Some(Stmt::Verdict(Verdict::Reject(Some((kind, "reset".into())))));
        }
        self.eat_word("type");
        let code = self.concat_word()?;
        Some(Stmt::Verdict(Verdict::Reject(Some((kind, code.into())))))
    }

    fn concat_word(&mut self) -> Option<String> {
        Some(self.right()?.text())
    }

    /// `prefix "x" group 1 level warn flags tcp sequence,options …`
    fn log_options(&mut self) -> Option<()> {
        loop {
            match self.word() {
                "prefix" => {
                    self.bump();
                    self.value()?;
                }
                "group" | "level" | "snaplen" | "queue-threshold" => {
                    self.bump();
                    self.value()?;
                }
                "flags" => {
                    self.bump();
                    let what = self.take_word()?;
                    if matches!(&*what, "tcp" | "ip") {
                        self.take_word()?;
                        while self.eat_punct(b',') {
                            self.take_word()?;
                        }
                    }
                }
                _ => return Some(()),
            }
        }
    }

    /// `limit rate [over] 10/second [burst 5 packets]`, `limit name x`. Without a burst it is 5 packets (nft(8), "LIMIT STATEMENT").
    fn limit(&mut self) -> Option<Stmt<'a>> {
        self.bump();
        if self.eat_word("name") {
            let name = self.value()?;
            return Some(Stmt::Condition { text: format!("limit {}", name.text()), scoped: true });
        }
        if !self.eat_word("rate") {
            return None;
        }
        Some(Stmt::Condition { text: self.rate()?, scoped: false })
    }

    /// The text of a rate, from after `rate`.
    fn rate(&mut self) -> Option<String> {
        let over = self.eat_word("over");
        let n = self.take_word()?;
        let mut unit = String::new();
        if self.kind() == T::Word && !self.is_word("burst") {
            // "10 mbytes/second": the scanner takes "mbytes/second" for one word.
            unit = self.take_word()?.into_owned();
        }
        if self.eat_punct(b'/') {
            unit = format!("{unit}/{}", self.take_word()?);
        }
        let unit = unit.trim_start_matches('/');
        let mut burst = None;
        if self.eat_word("burst") {
            let n = self.take_word()?;
            burst = Some(format!("{n} {}", self.take_word()?));
        }
        Some(limit_text(&n, unit, over, burst.as_deref()))
    }

    fn quota(&mut self) -> Option<Stmt<'a>> {
        self.bump();
        if self.eat_word("name") {
            let name = self.value()?;
            return Some(Stmt::Condition { text: format!("quota {}", name.text()), scoped: true });
        }
        let over = self.eat_word("over");
        if !over {
            self.eat_word("until");
        }
        let n = self.take_word()?;
        let unit = self.take_word()?;
        if self.eat_word("used") {
            self.take_word()?;
            self.take_word()?;
        }
        Some(Stmt::Condition { text: format!("quota {}{n} {unit}", if over { "over " } else { "" }), scoped: false })
    }

    /// `meter name [size n] { key statement }`, formerly `flow table name { … }`.
    fn meter(&mut self) -> Option<Stmt<'a>> {
        self.bump();
        self.eat_word("table");
        let name = if self.is_punct(b'{') { "".into() } else { self.take_name()? };
        if self.eat_word("size") {
            self.take_word()?;
        }
        self.expect_punct(b'{')?;
        self.skip_newlines();
        let key = self.left()?;
        let condition = self.key_statements()?;
        self.skip_newlines();
        self.expect_punct(b'}')?;
        let text = condition.map(|c| format!("meter {name} {{ {} {c} }}", key.text()));
        Some(Stmt::Update(name, key, text))
    }

    /// `@set { key … }`, after `add`.
    fn set_update(&mut self) -> Option<Stmt<'a>> {
        self.expect_punct(b'@')?;
        let name = self.take_name()?;
        self.expect_punct(b'{')?;
        self.skip_newlines();
        let key = self.left()?;
        let mut condition = self.key_statements()?;
        self.skip_newlines();
        if self.eat_punct(b':') {
            self.value()?;
            condition = condition.or(self.key_statements()?);
            self.skip_newlines();
        }
        self.expect_punct(b'}')?;
        let text = condition.map(|c| format!("@{name} {{ {} {c} }}", key.text()));
        Some(Stmt::Update(name, key, text))
    }

    fn options_of_key(&mut self) -> Option<()> {
        while matches!(self.word(), "timeout" | "expires" | "comment") {
            self.bump();
            self.take_name()?;
        }
        Some(())
    }

    /// What follows a key in a set statement: the text of what limits it, if anything does.
    fn key_statements(&mut self) -> Option<Option<String>> {
        let mut text: Option<String> = None;
        loop {
            self.options_of_key()?;
            let part = match (self.word(), self.peek_word(1)) {
                ("limit" | "quota", _) | ("ct", Some("count")) => match self.statement()? {
                    Stmt::Condition { text, .. } => text,
                    _ => return None,
                },
                ("counter" | "last", _) => {
                    self.statement()?;
                    continue;
                }
                _ => return Some(text),
            };
            text = Some(match text {
                Some(t) => format!("{t} {part}"),
                None => part,
            });
        }
    }

    fn nat(&mut self) -> Option<Stmt<'a>> {
        let kind = match &*self.take_word()? {
            "masquerade" => NatKind::Masquerade,
            "redirect" => NatKind::Redirect,
            "snat" => NatKind::Source,
            _ => NatKind::Destination,
        };
        let mut nat = Nat { kind, family: None, addr: None, port: None, prefix: false };
        loop {
            match (self.word(), self.peek_word(1)) {
                // `dnat ip to …`, `dnat ip addr . port to …`, but not `dnat ip saddr map …` without `to`
                ("ip", Some("to" | "prefix" | "addr" | "interval")) => nat.family = Some(Family::V4),
                ("ip6", Some("to" | "prefix" | "addr" | "interval")) => nat.family = Some(Family::V6),
                ("inet", _) => {}
                ("prefix", _) => nat.prefix = true,
                ("interval" | "addr" | "port", _) => {}
                ("to", _) => {
                    self.bump();
                    break;
                }
                ("", _) if self.is_punct(b'.') => {}
                _ => break,
            }
            self.bump();
        }
        if !self.at_end_of_statement() && !self.at_nat_flag() && self.word() != "comment" {
            self.endpoint(&mut nat)?;
        }
        while self.at_nat_flag() {
            self.bump();
            self.eat_punct(b',');
        }
        Some(Stmt::Nat(nat))
    }

    fn at_nat_flag(&self) -> bool {
        matches!(self.word(), "random" | "fully-random" | "persistent")
    }

    /// `address[:port]`, `:port`.
    fn endpoint(&mut self, nat: &mut Nat<'a>) -> Option<()> {
        if !self.is_punct(b':') {
            let e = self.value()?;
            // `redirect to 8080` is not valid, but `redirect to tcp dport map` is: the data are ports.
            if nat.kind == NatKind::Redirect || nat.kind == NatKind::Masquerade {
                nat.port = Some(e);
            } else {
                nat.addr = Some(e);
            }
        }
        if self.eat_punct(b':') {
            nat.port = Some(self.value()?);
        }
        Some(())
    }

    /// `xt match "name"`, `xt target "name"`, or the old comment form. xtables names its targets in capitals.
    fn compat(&mut self) -> Stmt<'a> {
        if self.kind() == T::Xt {
            let name = self.tok().text(self.file);
            self.bump();
            let name = name.trim_start_matches("xt_");
            let target = name.chars().any(|c| c.is_ascii_uppercase());
            return compat(if target { "target" } else { "match" }, name);
        }
        self.bump();
        let kind = self.word();
        self.bump();
        let name = self.take_name().unwrap_or_default();
        compat(kind, &name)
    }
}

/// An xtables expression that nft shows by its name only. Some targets change nothing that a match of the model sees
/// (iptables-extensions(8)).
pub(super) fn compat<'a>(kind: &str, name: &str) -> Stmt<'a> {
    const HARMLESS: &[&str] =
        &["AUDIT", "CHECKSUM", "CLASSIFY", "DSCP", "HL", "IDLETIMER", "LED", "RATEEST", "TCPMSS", "TCPOPTSTRIP", "TOS", "TRACE", "TTL"];
    match kind {
        "match" if name == "comment" => Stmt::Neutral,
        "match" => Stmt::Condition { text: format!("xt match {name}"), scoped: false },
        _ if HARMLESS.contains(&name) => Stmt::Neutral,
        _ if matches!(name, "LOG" | "NFLOG" | "ULOG") => Stmt::Log,
        _ => Stmt::Opaque(format!("xt target {name}")),
    }
}

/// Canonical text of a rate limit.
pub(super) fn limit_text(rate: &str, unit: &str, over: bool, burst: Option<&str>) -> String {
    let over = if over { "over " } else { "" };
    let bytes = unit.contains("byte");
    let space = if bytes { " " } else { "/" };
    let default = if bytes { "" } else { " burst 5 packets" };
    match burst {
        Some("0 bytes") => format!("limit rate {over}{rate}{space}{unit}"),
        Some(b) => format!("limit rate {over}{rate}{space}{unit} burst {b}"),
        None => format!("limit rate {over}{rate}{space}{unit}{default}"),
    }
}

/// Whether an expression reads anything from the packet.
fn reads_packet(e: &Expr<'_>) -> bool {
    match &e.peel().kind {
        Kind::Sel(_) => true,
        Kind::Bin(_, a, b) => reads_packet(a) || reads_packet(b),
        Kind::Map(k, _) => reads_packet(k),
        Kind::Concat(v) => v.iter().any(reads_packet),
        _ => false,
    }
}
