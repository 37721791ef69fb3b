//! Expressions: what is compared, and with what.

use std::borrow::Cow;
use std::rc::Rc;

use super::ast::{Elem, Expr, Kind, Op, Sel, Text, Verdict, fib_flags};
use super::lex::T;
use super::parse::Parser;
use crate::source::Span;

/// `meta` keys that may be written without `meta` (nft(8), "META EXPRESSIONS").
const BARE_META: &[&str] = &[
    "mark",
    "iif",
    "iifname",
    "iiftype",
    "oif",
    "oifname",
    "oiftype",
    "skuid",
    "skgid",
    "nftrace",
    "rtclassid",
    "ibriport",
    "ibrname",
    "obriport",
    "obrname",
    "pkttype",
    "cpu",
    "iifgroup",
    "oifgroup",
    "cgroup",
];

/// Headers whose fields are read as `header field`.
const HEADERS: &[&str] = &[
    "ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "th", "icmp", "icmpv6", "igmp", "ether", "vlan", "arp", "ah", "esp", "comp",
    "gre", "gretap", "vxlan", "geneve",
];

/// IPv6 extension headers.
const EXTENSIONS: &[&str] = &["hbh", "rt0", "rt2", "rt4", "srh", "frag", "dst", "mh"];

impl<'a> Parser<'_, 'a> {
    /// What may stand on the left of a comparison: selectors joined by `.`, with bitwise operators.
    pub(super) fn left(&mut self) -> Option<Expr<'a>> {
        let e = self.concat(true)?;
        self.map_tail(e)
    }

    /// A value: words are symbols, not selectors.
    pub(super) fn right(&mut self) -> Option<Expr<'a>> {
        let first = self.concat(false)?;
        if !self.is_punct(b',') {
            return Some(first);
        }
        let mut list = vec![first];
        while self.eat_punct(b',') {
            list.push(self.concat(false)?);
        }
        let span = list.first().map_or(self.span(), |e| e.span).to(list.last().map_or(self.span(), |e| e.span));
        Some(Expr::new(Kind::List(list), span))
    }

    /// A value that may be read from the packet: of `set`, of a NAT statement.
    pub(super) fn value(&mut self) -> Option<Expr<'a>> {
        let e = self.concat(true)?;
        self.map_tail(e)
    }

    fn map_tail(&mut self, e: Expr<'a>) -> Option<Expr<'a>> {
        if !self.is_word("map") {
            return Some(e);
        }
        self.bump();
        let data = self.primary(false)?;
        let span = e.span.to(data.span);
        Some(Expr::new(Kind::Map(Box::new(e), Box::new(data)), span))
    }

    fn concat(&mut self, selectors: bool) -> Option<Expr<'a>> {
        let first = self.range(selectors)?;
        if !self.is_punct(b'.') {
            return Some(first);
        }
        let mut parts = vec![first];
        while self.eat_punct(b'.') {
            parts.push(self.range(selectors)?);
        }
        let span = parts.first().map_or(self.span(), |e| e.span).to(parts.last().map_or(self.span(), |e| e.span));
        Some(Expr::new(Kind::Concat(parts), span))
    }

    fn range(&mut self, selectors: bool) -> Option<Expr<'a>> {
        let first = self.binary(selectors, 0)?;
        if self.is_punct(b'-') {
            self.bump();
            let last = self.binary(false, 0)?;
            let span = first.span.to(last.span);
            return Some(Expr::new(Kind::Range(Box::new(first), Box::new(last)), span));
        }
        Some(first)
    }

    /// Bitwise operators by precedence, as in C: shifts, then `&`, `^`, `|`.
    fn binary(&mut self, selectors: bool, level: usize) -> Option<Expr<'a>> {
        if level == 4 {
            return self.primary(selectors);
        }
        let mut left = self.binary(selectors, level + 1)?;
        // A chain of operators nests to the left: it is bounded like any nesting.
        for _ in 0..self.limits().nesting {
            let op = match (level, self.kind(), self.word()) {
                (0, T::P(b'|'), _) | (0, T::Word, "or") => Op::Or,
                (1, T::P(b'^'), _) | (1, T::Word, "xor") => Op::Xor,
                (2, T::P(b'&'), _) | (2, T::Word, "and") => Op::And,
                (3, T::Shl, _) | (3, T::Word, "lshift") => Op::Shl,
                (3, T::Shr, _) | (3, T::Word, "rshift") => Op::Shr,
                _ => return Some(left),
            };
            self.bump();
            let right = self.binary(selectors, level + 1)?;
            let span = left.span.to(right.span);
            left = Expr::new(Kind::Bin(op, Box::new(left), Box::new(right)), span);
        }
        None
    }

    fn primary(&mut self, selectors: bool) -> Option<Expr<'a>> {
        self.nested(|p| p.primary_inner(selectors))
    }

    fn primary_inner(&mut self, selectors: bool) -> Option<Expr<'a>> {
        let start = self.span();
        let kind = match self.kind() {
            T::P(b'(') => {
                self.bump();
                self.skip_newlines();
                let mut inner = self.right_or_left(selectors)?;
                self.skip_newlines();
                self.expect_punct(b')')?;
                inner.span = start.to(self.last_span());
                return Some(inner);
            }
            T::P(b'{') => return self.set_literal(),
            T::P(b'*') => {
                self.bump();
                Kind::Any
            }
            T::P(b'$') => {
                self.bump();
                let name = self.take_word()?;
                let value = self.lookup(&name, start.to(self.last_span()))?;
                Kind::Shared(value)
            }
            T::P(b'@') => {
                self.bump();
                let name = self.take_name()?;
                if selectors && self.is_punct(b',') && matches!(&*name, "ll" | "nh" | "th" | "ih") {
                    self.bump();
                    let offset = self.take_word()?.parse().ok()?;
                    self.expect_punct(b',')?;
                    let length = self.take_word()?.parse().ok()?;
                    Kind::Sel(Sel::Raw(name, offset, length))
                } else {
                    Kind::SetRef(name)
                }
            }
            T::P(b'[') => {
                // `[2001:db8::1]:80`
                self.bump();
                let inner = self.range(selectors)?;
                self.expect_punct(b']')?;
                return Some(inner);
            }
            T::Str => Kind::Str(self.take_name()?),
            T::Word => {
                if selectors && let Some(sel) = self.selector()? {
                    Kind::Sel(sel)
                } else {
                    Kind::Word(self.take_word()?)
                }
            }
            _ => return None,
        };
        let mut e = Expr::new(kind, start.to(self.last_span()));
        let base_is_value = matches!(e.kind, Kind::Word(_) | Kind::Shared(_));
        if base_is_value && self.is_punct(b'/') && self.peek_word(1).is_some_and(|w| w.parse::<u8>().is_ok()) {
            self.bump();
            let length = self.take_word()?.parse().ok()?;
            let span = e.span.to(self.last_span());
            e = Expr::new(Kind::Prefix(Box::new(e), length), span);
        }
        Some(e)
    }

    fn right_or_left(&mut self, selectors: bool) -> Option<Expr<'a>> {
        if selectors { self.concat(true) } else { self.right() }
    }

    /// `{ … }`, with newlines and comments anywhere.
    pub(super) fn set_literal(&mut self) -> Option<Expr<'a>> {
        self.nested(|p| {
            let start = p.span();
            p.expect_punct(b'{')?;
            let mut elems = Vec::new();
            loop {
                p.skip_newlines();
                if p.eat_punct(b'}') {
                    break;
                }
                elems.push(p.element()?);
                p.skip_newlines();
                if !p.eat_punct(b',') {
                    p.skip_newlines();
                    p.expect_punct(b'}')?;
                    break;
                }
            }
            Some(Expr::new(Kind::Set(elems), start.to(p.last_span())))
        })
    }

    /// An element with its options and data.
    fn element(&mut self) -> Option<Elem<'a>> {
        let start = self.span();
        let key = self.concat(false)?;
        self.element_options()?;
        self.skip_newlines();
        let mut data = None;
        if self.eat_punct(b':') {
            self.skip_newlines();
            let from = self.span();
            data = Some(match self.verdict()? {
                Some(v) => Expr::new(Kind::Verdict(v), from.to(self.last_span())),
                None => self.concat(false)?,
            });
            self.element_options()?;
        }
        Some(Elem { key, data, span: start.to(self.last_span()) })
    }

    /// `timeout 1h expires 30m comment "x" counter packets 1 bytes 2 limit rate …`: irrelevant to what the set holds.
    fn element_options(&mut self) -> Option<()> {
        while self.kind() == T::Word {
            match self.word() {
                "timeout" | "expires" | "comment" | "packets" | "bytes" | "burst" | "rate" | "used" => {
                    self.bump();
                    self.take_name()?;
                }
                "counter" | "limit" | "over" | "quota" | "ct" | "count" | "last" | "until" | "never" | "mbytes" | "kbytes" | "second"
                | "minute" | "hour" | "day" | "week" => self.bump(),
                _ => return None,
            }
            while self.eat_punct(b'/') {
                self.take_word()?;
            }
        }
        Some(())
    }

    /// A verdict, if one begins here; the outer `None` is a syntax error.
    pub(super) fn verdict(&mut self) -> Option<Option<Verdict<'a>>> {
        if self.kind() != T::Word {
            return Some(None);
        }
        let v = match self.word() {
            "accept" => Verdict::Accept,
            "drop" => Verdict::Drop,
            "continue" => Verdict::Continue,
            "return" => Verdict::Return,
            w @ ("jump" | "goto") => {
                let jump = w == "jump";
                self.bump();
                let target = if self.is_punct(b'$') {
                    let e = self.primary(false)?;
                    Cow::Owned(e.word()?.to_owned())
                } else {
                    self.take_name()?
                };
                return Some(Some(if jump { Verdict::Jump(target) } else { Verdict::Goto(target) }));
            }
            "queue" => return self.queue().map(|text| Some(Verdict::Opaque(text))),
            _ => return Some(None),
        };
        self.bump();
        Some(Some(v))
    }

    /// `queue num 1-3 bypass`, `queue flags bypass to 1-3`: canonical text.
    fn queue(&mut self) -> Option<String> {
        self.bump();
        let (mut flags, mut to): (Vec<Text<'a>>, _) = (vec![], None);
        loop {
            match (self.kind(), self.word()) {
                (T::Word, "num" | "to") => {
                    self.bump();
                    to = Some(self.value()?.text());
                }
                (T::Word, "bypass" | "fanout") => flags.push(self.take_word()?),
                (T::Word, "flags") | (T::P(b','), _) => self.bump(),
                (T::Word, w) if to.is_none() && w.bytes().all(|b| b.is_ascii_digit()) => to = Some(self.value()?.text()),
                _ => break,
            }
        }
        Some(queue_text(flags, to))
    }

    /// A selector, if one begins at this word. The outer `None` is a syntax error.
    fn selector(&mut self) -> Option<Option<Sel<'a>>> {
        let w = self.word();
        if BARE_META.contains(&w) {
            let key = self.take_word()?;
            return Some(Some(Sel::Meta(meta_key(key))));
        }
        if HEADERS.contains(&w) {
            let proto = self.take_word()?;
            return self.header_field(proto).map(Some);
        }
        if EXTENSIONS.contains(&w) {
            let header = self.take_word()?;
            let mut text = header.into_owned();
            if self.kind() == T::Word && !matches!(self.word(), "exists" | "missing") {
                text = format!("{text} {}", self.take_word()?);
            }
            return Some(Some(Sel::Other(text)));
        }
        let from = self.index();
        match w {
            "meta" => {
                self.bump();
                let key = self.take_word()?;
                Some(Some(Sel::Meta(meta_key(key))))
            }
            "ct" => {
                self.bump();
                let mut direction = None;
                let mut key = self.take_word()?;
                if matches!(&*key, "original" | "reply") {
                    direction = Some(key);
                    key = self.take_word()?;
                }
                if matches!(&*key, "ip" | "ip6") {
                    key = Cow::Owned(format!("{key} {}", self.take_word()?));
                }
                Some(Some(Sel::Ct(direction, key)))
            }
            "fib" => {
                self.bump();
                let mut flags = vec![self.take_word()?];
                while self.eat_punct(b'.') {
                    flags.push(self.take_word()?);
                }
                let result = self.take_word()?;
                Some(Some(Sel::Fib(fib_flags(flags.iter().map(|f| &**f).collect()), result)))
            }
            "exthdr" => {
                self.bump();
                let name = self.take_word()?;
                Some(Some(Sel::Other(format!("exthdr {name}"))))
            }
            "rt" => {
                self.bump();
                let mut text = format!("rt {}", self.take_word()?);
                if text == "rt ip" || text == "rt ip6" {
                    text = format!("{text} {}", self.take_word()?);
                }
                Some(Some(Sel::Other(text)))
            }
            "socket" => {
                self.bump();
                let key = self.take_word()?;
                if &*key == "cgroupv2" && self.eat_word("level") {
                    self.take_word()?;
                }
                Some(Some(Sel::Other(self.joined(from))))
            }
            "osf" => {
                self.bump();
                if self.eat_word("ttl") {
                    self.take_word()?;
                }
                self.take_word()?;
                Some(Some(Sel::Other(self.joined(from))))
            }
            "numgen" => {
                self.bump();
                let mode = self.take_word()?;
                Some(Some(Sel::Other(self.modulus(format!("numgen {mode}"))?)))
            }
            "symhash" => {
                self.bump();
                Some(Some(Sel::Other(self.modulus("symhash".to_owned())?)))
            }
            "jhash" => {
                self.bump();
                let e = self.concat(true)?;
                Some(Some(Sel::Other(self.modulus(format!("jhash {}", e.text()))?)))
            }
            "ipsec" => {
                self.bump();
                while matches!(self.word(), "in" | "out" | "spnum") {
                    let counted = self.word() == "spnum";
                    self.bump();
                    if counted {
                        self.take_word()?;
                    }
                }
                if matches!(&*self.take_word()?, "ip" | "ip6") {
                    self.take_word()?;
                }
                Some(Some(Sel::Other(self.joined(from))))
            }
            _ => Some(None),
        }
    }

    /// `mod 10 seed 0x1 offset 3`
    fn modulus(&mut self, head: String) -> Option<String> {
        let mut text = head;
        while matches!(self.word(), "mod" | "seed" | "offset") && self.kind() == T::Word {
            let key = self.take_word()?;
            let value = self.take_word()?;
            if !(&*key == "offset" && &*value == "0") {
                text = format!("{text} {key} {}", Expr::new(Kind::Word(value), self.last_span()).text());
            }
        }
        Some(text)
    }

    fn header_field(&mut self, proto: Text<'a>) -> Option<Sel<'a>> {
        let field = self.take_word()?;
        match (&*proto, &*field) {
            ("ip" | "tcp", "option") => {
                let name = self.take_word()?;
                let mut text = format!("{proto} option {name}");
                if matches!(
                    self.word(),
                    "size" | "count" | "left" | "right" | "tsval" | "tsecr" | "kind" | "length" | "type" | "ptr" | "value" | "addr"
                ) && self.kind() == T::Word
                {
                    text = format!("{text} {}", self.take_word()?);
                }
                Some(Sel::Other(text))
            }
            ("sctp", "chunk") => {
                let name = self.take_word()?;
                let mut text = format!("sctp chunk {name}");
                if self.kind() == T::Word && !matches!(self.word(), "exists" | "missing") {
                    text = format!("{text} {}", self.take_word()?);
                }
                Some(Sel::Other(text))
            }
            ("gre" | "gretap" | "vxlan" | "geneve", "ip" | "ip6" | "tcp" | "udp" | "ether" | "icmp") => {
                let inner = self.take_word()?;
                Some(Sel::Other(format!("{proto} {field} {inner}")))
            }
            ("tcp" | "ip" | "sctp", "@") => None,
            _ => Some(Sel::Payload(proto, field)),
        }
    }
}

/// Canonical text of `queue`. Queue 0 is the default (nft(8), "QUEUE STATEMENT").
pub(super) fn queue_text(mut flags: Vec<Text<'_>>, to: Option<String>) -> String {
    flags.sort();
    let flags = if flags.is_empty() { String::new() } else { format!("flags {} ", flags.join(",")) };
    format!("queue {flags}to {}", to.as_deref().unwrap_or("0"))
}

/// One name for keys that have two.
pub(super) fn meta_key(key: Text<'_>) -> Text<'_> {
    match &*key {
        "ibriport" => Cow::Borrowed("ibrname"),
        "obriport" => Cow::Borrowed("obrname"),
        "secpath" => Cow::Borrowed("ipsec"),
        _ => key,
    }
}

/// The value of a `define`: a set, or values.
impl<'a> Parser<'_, 'a> {
    pub(super) fn initialiser(&mut self) -> Option<Rc<Expr<'a>>> {
        let start = self.span();
        if matches!(self.kind(), T::Newline | T::P(b';') | T::Eof) {
            return Some(Rc::new(Expr::new(Kind::Set(vec![]), start)));
        }
        // `define x = -150` and `define x = filter - 10` are priorities.
        if self.is_punct(b'-') {
            self.bump();
            let n = self.take_word()?;
            return Some(Rc::new(Expr::new(Kind::Word(Cow::Owned(format!("-{n}"))), start.to(self.last_span()))));
        }
        self.right().map(Rc::new)
    }

    /// The span of everything since a token.
    pub(super) fn since(&self, from: Span) -> Span {
        from.to(self.last_span())
    }
}
