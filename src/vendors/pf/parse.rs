//! From tokens to statements. The grammar is that of pf.conf(5) of OpenBSD, FreeBSD and macOS together, with the words of a rule in any order.

use std::collections::BTreeMap;

use super::ast::{Config, Iface, Item, Kind, Load, Rule, Stage, Table, Verb, span_of};
use super::lex::{Lexed, STATEMENTS, Tok, Token};
use crate::diag::LineState;
use crate::source::{FileId, Span};
use crate::vendors::Reader;

/// What could not be understood, and where.
pub(super) type Failed = (Span, String);

pub(super) struct Parser<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    tokens: Vec<Token>,
    pos: usize,
    end: Span,
    comments: BTreeMap<(FileId, u32), String>,
    pub config: Config,
}

/// Parses a configuration.
pub(super) fn parse(reader: &mut Reader<'_>, lexed: Lexed, whole: Span) -> Config {
    let is_file = lexed.of_a_file;
    let comments = lexed.comments.into_iter().map(|(file, at, text)| ((file, at), text)).collect();
    let mut parser = Parser { reader, tokens: lexed.tokens, pos: 0, end: whole, comments, config: Config { is_file, ..Config::default() } };
    let items = parser.items(0);
    parser.config.items = items;
    parser.config
}

impl Parser<'_, '_> {
    pub fn peek(&self) -> Option<&Tok> {
        self.tokens.get(self.pos).map(|t| &t.tok)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Tok> {
        self.tokens.get(self.pos + ahead).map(|t| &t.tok)
    }

    /// The bare word that is next.
    pub fn word(&self) -> Option<&str> {
        match self.peek() {
            Some(Tok::Word(w)) => Some(w),
            _ => None,
        }
    }

    pub fn span(&self) -> Span {
        self.tokens.get(self.pos).map_or(Span { start: self.end.end, ..self.end }, |t| t.span)
    }

    pub fn before(&self) -> Span {
        self.pos.checked_sub(1).and_then(|p| self.tokens.get(p)).map_or(self.end, |t| t.span)
    }

    pub fn advance(&mut self) {
        self.pos += 1;
    }

    pub fn accept(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Tok::Punct(p)) if *p == sign);
        if found {
            self.pos += 1;
        }
        found
    }

    pub fn accept_word(&mut self, word: &str) -> bool {
        let found = self.word() == Some(word);
        if found {
            self.pos += 1;
        }
        found
    }

    pub fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(Tok::Newline))
    }

    pub fn unexpected(&self, wanted: &str) -> Failed {
        let text = match self.peek() {
            None | Some(Tok::Newline) => format!("{wanted} is missing"),
            Some(Tok::Word(w) | Tok::Quoted(w)) => format!("`{w}` stands where {wanted} should"),
            Some(Tok::Punct(p)) => format!("`{p}` stands where {wanted} should"),
        };
        (self.span(), text)
    }

    /// A word or quoted string.
    pub fn string(&mut self, what: &str) -> Result<(String, Span), Failed> {
        match self.tokens.get(self.pos) {
            Some(Token { tok: Tok::Word(w) | Tok::Quoted(w), span }) => {
                self.pos += 1;
                Ok((w.clone(), *span))
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// One element, or several within braces.
    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T, Failed>) -> Result<Vec<T>, Failed> {
        let open = self.span();
        if !self.accept("{") {
            return Ok(vec![element(self)?]);
        }
        let mut out = Vec::new();
        let mut depth = 1;
        loop {
            while self.accept(",") {}
            match self.peek() {
                None => return Err((open, "this brace is not closed".into())),
                Some(Tok::Newline) => {
                    let next = self.peek_at(1);
                    if matches!(next, Some(Tok::Word(w)) if STATEMENTS.contains(&w.as_str())) {
                        return Err((open, "this brace is not closed".into()));
                    }
                    self.pos += 1;
                }
                // A list that comes out of a macro stands within another list: `{ $hosts, 192.0.2.1 }`.
                Some(Tok::Punct("{")) => {
                    depth += 1;
                    self.pos += 1;
                }
                Some(Tok::Punct("}")) => {
                    self.pos += 1;
                    depth -= 1;
                    if depth == 0 {
                        return if out.is_empty() { Err((open.to(self.before()), "this list is empty".into())) } else { Ok(out) };
                    }
                }
                _ => out.push(element(self)?),
            }
        }
    }

    /// Goes to the end of the statement: the end of the line, braces closed as far as that works.
    pub fn skip_statement(&mut self) -> Span {
        let start = self.span();
        let mut depth = 0usize;
        while let Some(token) = self.tokens.get(self.pos) {
            match &token.tok {
                Tok::Newline if depth == 0 => break,
                Tok::Newline => {
                    if matches!(self.peek_at(1), Some(Tok::Word(w)) if STATEMENTS.contains(&w.as_str())) {
                        break;
                    }
                }
                Tok::Punct("{") => depth += 1,
                Tok::Punct("}") if depth == 0 => break,
                Tok::Punct("}") => depth -= 1,
                _ => {}
            }
            self.pos += 1;
        }
        start.to(self.before())
    }

    /// Goes to the end of the line.
    pub fn skip_line(&mut self) -> Span {
        let start = self.pos;
        while !self.at_end() {
            self.pos += 1;
        }
        self.tokens.get(start..self.pos).and_then(span_of).unwrap_or(self.span())
    }

    /// The statements up to the end, or up to the brace that closes an anchor.
    fn items(&mut self, depth: usize) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        let mut passed_over = false;
        loop {
            match self.peek() {
                None => return items,
                Some(Tok::Newline) => self.pos += 1,
                Some(Tok::Punct("}")) if depth > 0 => return items,
                Some(Tok::Word(w)) if is_heading(w, self.peek_at(1)) => {
                    passed_over = !matches!(w.as_str(), "FILTER" | "TRANSLATION");
                    self.config.all_rules |= !passed_over;
                    let span = self.skip_line();
                    self.reader.mark(span, LineState::Irrelevant);
                }
                Some(Tok::Word(_)) if self.at_interface() => items.extend(self.interface()),
                _ if passed_over => {
                    let span = self.skip_line();
                    self.reader.mark(span, LineState::Irrelevant);
                }
                Some(Tok::Word(w)) if w.starts_with('[') => self.counters(items.last_mut()),
                _ => self.statement(&mut items, depth),
            }
        }
    }

    /// `lo0 (skip)` and the line that `pfctl -vsI` prints below each interface.
    fn at_interface(&self) -> bool {
        let after = match (self.peek_at(1), self.peek_at(2), self.peek_at(3)) {
            (Some(Tok::Punct("(")), Some(Tok::Word(skip)), Some(Tok::Punct(")"))) if skip == "skip" => 4,
            _ => 1,
        };
        matches!(self.peek_at(after), Some(Tok::Newline)) && matches!(self.peek_at(after + 1), Some(Tok::Word(w)) if w == "Cleared:")
    }

    /// An interface as `pfctl -vsI` prints it (`pfi_show_ifaces`, `print_iface` of `pfctl_table.c` and `pfctl_parser.c`).
    fn interface(&mut self) -> Option<Item> {
        self.config.interfaces = true;
        let iface = self.iface().ok()?;
        let skipped = self.accept("(");
        let span = iface.span.to(self.skip_line());
        let state = if skipped { LineState::Understood } else { LineState::Irrelevant };
        self.reader.mark(span, state);
        while matches!(self.peek(), Some(Tok::Newline))
            && matches!(self.peek_at(1), Some(Tok::Word(w)) if INTERFACE_COUNTERS.contains(&w.as_str()))
        {
            self.pos += 1;
            let span = self.skip_line();
            self.reader.mark(span, LineState::Irrelevant);
        }
        skipped.then(|| Item { span, kind: Kind::Skip(vec![iface]), comment: None, number: None, packets: None })
    }

    /// A line of `pfctl -v` below a rule.
    fn counters(&mut self, item: Option<&mut Item>) {
        let start = self.pos;
        let span = self.skip_line();
        let mut packets = None;
        for pair in self.tokens.get(start..self.pos).unwrap_or_default().windows(2) {
            if let [Token { tok: Tok::Word(k), .. }, Token { tok: Tok::Word(v), .. }] = pair
                && k == "Packets:"
            {
                packets = v.parse().ok();
            }
        }
        if let (Some(item), Some(n)) = (item, packets) {
            item.packets = Some(n);
        }
        self.reader.mark(span, LineState::Irrelevant);
    }

    fn statement(&mut self, items: &mut Vec<Item>, depth: usize) {
        let start = self.pos;
        let first = self.span();
        let mut number = None;
        if let Some(n) = self.word().and_then(|w| w.strip_prefix('@'))
            && !n.is_empty()
            && n.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        {
            number = Some(format!("@{n}"));
            self.pos += 1;
            // `@12(1000000103) pass …` of FreeBSD.
            if self.accept("(") {
                self.pos += 1;
                self.accept(")");
            }
        }
        let word = self.word().unwrap_or_default().to_owned();
        let kinds = self.kind(&word, depth);
        let mut whole = first.to(self.before());
        match kinds {
            Ok(kinds) => {
                if !self.at_end() && !matches!(self.peek(), Some(Tok::Punct("}"))) {
                    let rest = self.skip_statement();
                    self.reader.note(rest, LineState::Unrecognised, "the rest of this statement is not understood");
                    whole = first.to(self.before());
                }
                self.reader.mark(whole, LineState::Understood);
                let comment = self.comment(whole);
                for kind in kinds {
                    items.push(Item { span: whole, kind, comment: comment.clone(), number: number.clone(), packets: None });
                }
            }
            Err((span, text)) => {
                self.reader.note(span, LineState::Unrecognised, text);
                if self.pos == start {
                    self.pos += 1;
                }
                self.skip_statement();
                let whole = first.to(self.before());
                self.reader.mark(whole, LineState::Unrecognised);
            }
        }
        if self.pos == start {
            self.pos += 1;
        }
    }

    /// The comment at the end of the line of a statement.
    fn comment(&self, whole: Span) -> Option<String> {
        let next = self.tokens.get(self.pos).map_or(u32::MAX, |t| if t.span.file == whole.file { t.span.end } else { u32::MAX });
        let found = self.comments.range((whole.file, whole.start)..=(whole.file, next)).next();
        found.map(|(_, text)| text.clone()).filter(|t| !t.is_empty())
    }

    fn kind(&mut self, word: &str, depth: usize) -> Result<Vec<Kind>, Failed> {
        let one = |kind| Ok(vec![kind]);
        match word {
            "pass" | "block" | "match" => {
                self.config.has_filter = true;
                let start = self.pos;
                let rule = self.filter_rule()?;
                self.config.is_file |= !self.printed_by_pfctl(start);
                one(Kind::Filter(Box::new(rule)))
            }
            "nat" | "rdr" | "binat" | "no" => {
                self.config.has_translations = true;
                let rule = self.translation_rule()?;
                Ok(rule.into_iter().map(|r| Kind::Translate(Box::new(r))).collect())
            }
            "anchor" => self.anchor(Stage::Filter, depth),
            "nat-anchor" => self.anchor(Stage::Nat, depth),
            "rdr-anchor" => self.anchor(Stage::Rdr, depth),
            "binat-anchor" => self.anchor(Stage::Binat, depth),
            "antispoof" => {
                self.config.has_filter = true;
                self.antispoof()
            }
            "table" => self.table().map(|()| vec![]),
            "set" => self.set(),
            "load" => self.load().map(|()| vec![]),
            "scrub" | "scrub-anchor" | "altq" | "queue" | "dummynet-anchor" => {
                self.config.is_file |= word != "scrub-anchor";
                let span = self.skip_statement();
                if word.starts_with("scrub") {
                    self.config.old_style.get_or_insert(("scrub", span));
                }
                self.reader.mark(span, LineState::Irrelevant);
                Ok(vec![])
            }
            "ether" | "dummynet" => {
                let span = self.skip_statement();
                self.reader.note(span, LineState::NotModelled, format!("rules of `{word}` are not modelled"));
                Ok(vec![])
            }
            // Warnings and prompts that a redirected pfctl leaves in its output.
            "No" | "Use" | "ALTQ" | "pf" | "pfctl:" | "Status:" | "#" => {
                let span = self.skip_line();
                self.reader.mark(span, LineState::Irrelevant);
                Ok(vec![])
            }
            _ => Err(self.unexpected("a statement of pf.conf")),
        }
    }

    /// Whether pfctl prints a rule so: with what a `block` does, `all` or both ends, and
    /// a sign before a port (`print_rule`, `print_fromto`, `print_port` of `pfctl_parser.c`).
    fn printed_by_pfctl(&self, start: usize) -> bool {
        let tokens = self.tokens.get(start..self.pos).unwrap_or_default();
        let mut words = tokens.iter().filter_map(|t| if let Tok::Word(w) = &t.tok { Some(w.as_str()) } else { None });
        let verb = words.next();
        let (mut all, mut from, mut to, mut answer) = (false, false, false, false);
        for word in words {
            all |= word == "all";
            from |= word == "from";
            to |= word == "to";
            answer |= word == "drop" || word.starts_with("return");
        }
        let otherwise = tokens.windows(2).any(|pair| match pair {
            [Token { tok: Tok::Punct("{"), .. }, _] => true,
            // `port = ssh`, `port 1024:65535`: pfctl never leaves out the sign.
            [Token { tok: Tok::Word(port), .. }, Token { tok: Tok::Word(value), .. }] if port == "port" => {
                !value.contains(':') && matches!(value.bytes().next(), Some(b) if b.is_ascii_alphanumeric())
            }
            _ => false,
        });
        (all || from && to) && (verb != Some("block") || answer) && !otherwise
    }

    fn load(&mut self) -> Result<(), Failed> {
        self.config.is_file = true;
        let start = self.span();
        self.pos += 1;
        if !self.accept_word("anchor") {
            return Err(self.unexpected("`anchor`"));
        }
        let (anchor, _) = self.string("the name of an anchor")?;
        if !self.accept_word("from") {
            return Err(self.unexpected("`from`"));
        }
        let (file, last) = self.string("the name of a file")?;
        self.config.loads.push(Load { anchor, file, span: start.to(last) });
        Ok(())
    }

    fn anchor(&mut self, stage: Stage, depth: usize) -> Result<Vec<Kind>, Failed> {
        let start = self.span();
        self.pos += 1;
        match stage {
            Stage::Filter => self.config.has_filter = true,
            _ => drop(self.config.old_style.get_or_insert(("nat-anchor, rdr-anchor or binat-anchor", start))),
        }
        let name = match self.peek() {
            Some(Tok::Quoted(s)) => Some(s.clone()),
            Some(Tok::Word(w)) if !OPTIONS_OF_ANCHORS.contains(&w.as_str()) => Some(w.clone()),
            _ => None,
        };
        if name.is_some() {
            self.pos += 1;
        }
        let mut rule = Rule::default();
        self.rule_words(&mut rule);
        let mut body = None;
        if self.accept("{") {
            let open = self.before();
            if depth >= self.reader.limits.nesting.min(64) {
                let text = "anchors are nested deeper than is read";
                self.reader.incomplete(open, LineState::Unsupported, text);
                self.skip_block();
            } else {
                body = Some(self.items(depth + 1));
            }
            if !self.accept("}") && body.is_some() {
                self.reader.note(open, LineState::Unrecognised, "this brace is not closed: all that follows is taken for the anchor's");
            }
        }
        Ok(vec![Kind::Anchor { stage, name, rule: Box::new(rule), body }])
    }

    /// Goes past the brace that closes a block of which the first brace has been read.
    fn skip_block(&mut self) {
        let mut depth = 1usize;
        while depth > 0 && self.pos < self.tokens.len() {
            match self.peek() {
                Some(Tok::Punct("{")) => depth += 1,
                Some(Tok::Punct("}")) => depth -= 1,
                _ => {}
            }
            self.pos += 1;
        }
        self.pos = self.pos.saturating_sub(1);
    }

    fn table(&mut self) -> Result<(), Failed> {
        self.config.is_file = true;
        let start = self.span();
        self.pos += 1;
        if !self.accept("<") {
            return Err(self.unexpected("`<`"));
        }
        let (name, _) = self.string("the name of a table")?;
        if !self.accept(">") {
            return Err(self.unexpected("`>`"));
        }
        let mut table = Table { name, span: start, entries: vec![], files: vec![], persist: false };
        loop {
            match self.peek() {
                Some(Tok::Word(w)) if matches!(w.as_str(), "const" | "counters") => self.pos += 1,
                Some(Tok::Word(w)) if w == "persist" => {
                    table.persist = true;
                    self.pos += 1;
                }
                Some(Tok::Word(w)) if w == "file" => {
                    self.pos += 1;
                    table.files.push(self.string("the name of a file")?);
                }
                // Only tables may be empty.
                Some(Tok::Punct("{")) if matches!(self.peek_at(1), Some(Tok::Punct("}"))) => self.pos += 2,
                Some(Tok::Punct("{")) => {
                    let entries = self.list(Self::place);
                    match entries {
                        Ok(entries) => table.entries.extend(entries),
                        Err(e) => {
                            // What the table holds is not known: it is there, and may hold anything.
                            table.persist = true;
                            self.push_table(table, start);
                            return Err(e);
                        }
                    }
                }
                _ => break,
            }
        }
        self.push_table(table, start);
        Ok(())
    }

    fn push_table(&mut self, mut table: Table, start: Span) {
        table.span = start.to(self.before());
        self.reader.device.names.define("table", &*table.name, table.span);
        self.config.tables.push(table);
    }

    fn set(&mut self) -> Result<Vec<Kind>, Failed> {
        self.config.is_file = true;
        let start = self.span();
        self.pos += 1;
        match self.word() {
            Some("skip") => {
                self.pos += 1;
                if !self.accept_word("on") {
                    return Err(self.unexpected("`on`"));
                }
                let list = self.list(Self::iface)?;
                Ok(vec![Kind::Skip(list)])
            }
            Some("block-policy") => {
                self.pos += 1;
                self.config.block_return = match self.word() {
                    Some("return") => true,
                    Some("drop") => false,
                    _ => return Err(self.unexpected("`drop` or `return`")),
                };
                self.pos += 1;
                Ok(vec![])
            }
            Some(w) if IRRELEVANT_SETTINGS.contains(&w) => {
                self.skip_statement();
                self.reader.mark(start.to(self.before()), LineState::Irrelevant);
                Ok(vec![])
            }
            _ => Err(self.unexpected("an option of `set`")),
        }
    }

    /// An interface, perhaps negated.
    pub fn iface(&mut self) -> Result<Iface, Failed> {
        let start = self.span();
        let not = self.accept("!");
        let (name, span) = match self.accept("(") {
            true => {
                let name = self.string("an interface")?;
                self.accept(")");
                name
            }
            false => self.string("an interface")?,
        };
        Ok(Iface { not, name, span: start.to(span) })
    }

    fn antispoof(&mut self) -> Result<Vec<Kind>, Failed> {
        let start = self.span();
        self.pos += 1;
        let mut rule = Rule { verb: Verb::Block(self.config.block_return.then(|| "return".to_owned())), ..Rule::default() };
        // `antispoof` blocks in silence whatever the policy is (pf.conf(5)).
        rule.verb = Verb::Block(None);
        let mut ifaces = Vec::new();
        loop {
            match self.word() {
                Some("log") => {
                    self.pos += 1;
                    self.parentheses();
                    rule.log = true;
                }
                Some("quick") => {
                    self.pos += 1;
                    rule.quick = true;
                }
                Some("for") => {
                    self.pos += 1;
                    ifaces = self.list(|p| {
                        let dynamic = matches!(p.peek(), Some(Tok::Punct("(")));
                        p.iface().map(|i| (i, dynamic))
                    })?;
                }
                Some("inet") => {
                    self.pos += 1;
                    rule.family = Some(crate::net::Family::V4);
                }
                Some("inet6") => {
                    self.pos += 1;
                    rule.family = Some(crate::net::Family::V6);
                }
                Some("label") => {
                    self.pos += 1;
                    rule.label = Some(self.string("a label")?.0);
                }
                Some("rtable" | "ridentifier") => {
                    self.pos += 1;
                    self.string("a number")?;
                }
                _ => break,
            }
        }
        if ifaces.is_empty() {
            return Err((start, "`antispoof` names no interface".into()));
        }
        Ok(super::rule::antispoof(&rule, &ifaces))
    }

    /// Goes past a group in parentheses, if there is one; its words.
    pub fn parentheses(&mut self) -> Vec<(Tok, Span)> {
        let mut inside = Vec::new();
        if self.accept("(") {
            let mut depth = 1;
            while !self.at_end() {
                match self.peek() {
                    Some(Tok::Punct("(")) => depth += 1,
                    Some(Tok::Punct(")")) => depth -= 1,
                    _ => {}
                }
                let token = self.tokens.get(self.pos).map(|t| (t.tok.clone(), t.span));
                self.pos += 1;
                if depth == 0 {
                    break;
                }
                inside.extend(token);
            }
        }
        inside
    }
}

/// Headings of `pfctl -sa` (`pfctl.c`).
fn is_heading(first: &str, second: Option<&Tok>) -> bool {
    let second = match second {
        Some(Tok::Word(w)) => w.as_str(),
        _ => "",
    };
    matches!(
        (first, second),
        ("FILTER" | "TRANSLATION" | "ETHER" | "DUMMYNET", "RULES:")
            | ("STATES:" | "INFO:" | "TIMEOUTS:" | "LIMITS:" | "TABLES:" | "INTERFACES:" | "QUEUES:" | "RUNNING:" | "LABEL", _)
            | ("OS", "FINGERPRINTS:")
            | ("SOURCE", "TRACKING")
            | ("ALTQ", "QUEUES:")
            | ("LABELS:" | "QUEUE", _)
    )
}

/// What `pfctl -vsI` prints below the name of an interface.
const INTERFACE_COUNTERS: &[&str] = &[
    "Cleared:",
    "References:",
    "In4/Pass:",
    "In4/Block:",
    "Out4/Pass:",
    "Out4/Block:",
    "In6/Pass:",
    "In6/Block:",
    "Out6/Pass:",
    "Out6/Block:",
];

/// Words that cannot be the name of an anchor that is written without quotes.
const OPTIONS_OF_ANCHORS: &[&str] = &[
    "in",
    "out",
    "on",
    "log",
    "quick",
    "inet",
    "inet6",
    "proto",
    "all",
    "from",
    "to",
    "tagged",
    "user",
    "group",
    "icmp-type",
    "icmp6-type",
    "flags",
    "label",
    "fragment",
    "received-on",
    "probability",
    "rtable",
    "keep",
    "no",
    "os",
    "tos",
];

/// Options of `set` that change nothing of what is let through in the model: pf.conf(5).
const IRRELEVANT_SETTINGS: &[&str] = &[
    "timeout",
    "limit",
    "optimization",
    "loginterface",
    "hostid",
    "require-order",
    "fingerprints",
    "debug",
    "state-policy",
    "state-defaults",
    "reassemble",
    "ruleset-optimization",
    "fail-policy",
    "syncookies",
    "keepcounters",
    "src-track",
    "cache",
];
