//! Commands and blocks: tables, chains, sets, and the objects beside them.

use std::borrow::Cow;

use super::ast::{Base, Elem, Expr, KeyType, Kind, SetDecl, TableFamily, Text};
use super::defaults;
use super::lex::T;
use super::parse::Parser;
use super::ruleset::{At, Table};
use crate::diag::LineState;
use crate::model::PolicyAction;
use crate::source::Span;

/// Objects that a table may hold beside chains, sets and maps. None of them changes what passes by itself.
const OBJECTS: &[&str] = &["counter", "quota", "limit", "synproxy", "secmark", "ct", "tunnel", "flowtable", "meter"];

/// Of what the kernel does not keep, and `nft list ruleset` does not print: definitions, includes, lines of comment within a table.
const BY_HAND: &str = "this file is written by hand and does not begin with `flush ruleset`";

/// A table being filled: its family and name.
type TableKey = (TableFamily, String);

impl<'a> Parser<'_, 'a> {
    /// A whole file.
    pub fn file(&mut self) {
        loop {
            self.skip_separators();
            let from = self.index();
            let start = self.span();
            match self.kind() {
                T::Eof => return,
                T::P(b'}') => {
                    self.bump();
                    self.reader.note(start, LineState::Unrecognised, "closing brace without an opening one");
                    continue;
                }
                _ => {}
            }
            if self.command().is_none() || !self.at_end_of_statement() && self.last_kind() != T::P(b'}') {
                self.recover(from, start);
            } else if self.index() == from {
                self.bump();
            }
        }
    }

    /// Notes a statement that was not understood, and skips it.
    fn recover(&mut self, from: usize, start: Span) {
        // What failed may have been deep in a block: skip from its beginning, whole.
        self.go_back(from);
        self.skip_statement();
        if self.index() == from {
            self.bump();
        }
        let span = self.since(start);
        // No more than a keyword is quoted: what is not understood may be a secret, and joined tokens escape the search for known ones.
        let text = self.joined(from);
        let word = text.split_whitespace().next().unwrap_or("");
        let keyword = (1..=16).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'));
        let text = if keyword { format!("a statement that begins with `{word}` is not understood") } else { "not understood".to_owned() };
        self.reader.note(span, LineState::Unrecognised, text);
    }

    fn command(&mut self) -> Option<()> {
        let start = self.span();
        let sign = match self.word() {
            "include" | "define" | "redefine" | "undefine" => Some(BY_HAND),
            "table" | "list" | "reset" | "monitor" | "describe" | "export" => None,
            // `flush ruleset` says itself that nothing else is there.
            "flush" if self.peek_word(1) == Some("ruleset") => None,
            _ => Some("this is a command that changes what is loaded already"),
        };
        if let Some(sign) = sign {
            self.ruleset.is_part(start, sign);
        }
        match self.word() {
            "include" => self.include_statement(|p| p.file()),
            "define" | "redefine" | "undefine" => self.definition(),
            "table" | "chain" | "rule" | "set" | "map" | "element" => self.object_command("add", start),
            w if OBJECTS.contains(&w) => self.object_command("add", start),
            "list" | "reset" | "monitor" | "describe" | "export" => {
                self.skip_statement();
                let span = self.since(start);
                self.mark(span, LineState::Irrelevant);
                Some(())
            }
            verb @ ("add" | "create" | "insert" | "replace" | "delete" | "destroy" | "flush" | "rename") => {
                self.bump();
                self.object_command(verb, start)
            }
            _ => None,
        }
    }

    fn include_statement(&mut self, f: impl Fn(&mut Self)) -> Option<()> {
        let start = self.span();
        self.bump();
        let pattern = self.take_name()?;
        let span = self.since(start);
        self.include(&pattern, span, f);
        Some(())
    }

    /// The family, or `ip` (nft(8): the default).
    fn family(&mut self) -> TableFamily {
        match TableFamily::parse(self.word()) {
            // `table ip {`: a table named ip? No: nft reads a family there.
            Some(f) => {
                self.bump();
                f
            }
            None => TableFamily::Ip,
        }
    }

    fn table_key(&mut self) -> Option<TableKey> {
        let family = self.family();
        Some((family, self.take_identifier()?.into_owned()))
    }

    /// A name, or a definition that holds one.
    fn take_identifier(&mut self) -> Option<Text<'a>> {
        if self.eat_punct(b'$') {
            let at = self.last_span();
            let name = self.take_word()?;
            let value = self.lookup(&name, at)?;
            return Some(Cow::Owned(value.word()?.to_owned()));
        }
        self.take_name()
    }

    fn object_command(&mut self, verb: &str, start: Span) -> Option<()> {
        let adds = matches!(verb, "add" | "create" | "insert" | "replace");
        let deletes = matches!(verb, "delete" | "destroy");
        let what = self.word();
        let known = matches!(what, "table" | "chain" | "rule" | "set" | "map" | "element" | "ruleset") || OBJECTS.contains(&what);
        if !known {
            // `add [family] table chain …`: the word "rule" may be left out.
            return if adds { self.rule_command(verb) } else { None };
        }
        self.bump();
        if deletes && !self.affords_deletion() {
            self.skip_statement();
            let span = self.since(start);
            self.reader.incomplete(span, LineState::Unsupported, "too many deletions: this one is not carried out");
            return Some(());
        }
        match what {
            "ruleset" if verb == "flush" => {
                let family = TableFamily::parse(self.word());
                if family.is_some() {
                    self.bump();
                }
                self.ruleset.flush(family);
            }
            "table" => {
                if deletes && self.is_word("handle") {
                    return None;
                }
                let key = self.table_key()?;
                match verb {
                    "flush" => {
                        if let Some(table) = self.ruleset.existing(key.0, &key.1) {
                            table.chains.iter_mut().for_each(|c| c.rules.clear());
                        }
                    }
                    _ if deletes => self.ruleset.delete(key.0, &key.1),
                    _ => {
                        self.ruleset.table(key.0, &key.1);
                        let head = self.since(start);
                        self.mark(head, LineState::Understood);
                        if self.is_punct(b'{') {
                            self.block(|p| p.table_item(&key))?;
                            if let Some(comment) = self.comment_line(self.since(start)) {
                                self.ruleset.is_part(comment, BY_HAND);
                            }
                        }
                        return Some(());
                    }
                }
            }
            "chain" => {
                let key = self.table_key()?;
                let name = self.take_identifier()?;
                match verb {
                    "flush" => {
                        if let Some(t) = self.ruleset.existing(key.0, &key.1) {
                            t.chain(&name, start).rules.clear();
                        }
                    }
                    "rename" => {
                        let new = self.take_name()?;
                        if let Some(t) = self.ruleset.existing(key.0, &key.1) {
                            t.rename_chain(&name, &new);
                        }
                    }
                    _ if deletes => {
                        if let Some(t) = self.ruleset.existing(key.0, &key.1) {
                            t.delete_chain(&name);
                        }
                    }
                    _ => return self.chain_body(&key, &name, start),
                }
            }
            "rule" if adds => return self.rule_command(verb),
            "rule" => {
                let key = self.table_key()?;
                let chain = self.take_identifier()?;
                self.eat_word("handle");
                let handle: u64 = self.take_word()?.parse().ok()?;
                let gone = self.ruleset.existing(key.0, &key.1).is_some_and(|t| {
                    let rules = &mut t.chain(&chain, start).rules;
                    let before = rules.len();
                    rules.retain(|r| r.handle != Some(handle));
                    rules.len() < before
                });
                if !gone {
                    let span = self.since(start);
                    self.reader.note(span, LineState::Unsupported, "the rule to delete is not known: handles are given by the kernel");
                    return Some(());
                }
            }
            "set" | "map" => {
                let key = self.table_key()?;
                let name = self.take_identifier()?;
                match verb {
                    "flush" => {
                        if let Some(t) = self.ruleset.existing(key.0, &key.1) {
                            t.flush_set(&name);
                        }
                    }
                    _ if deletes => {
                        if let Some(t) = self.ruleset.existing(key.0, &key.1) {
                            t.delete_set(&name);
                        }
                    }
                    _ => return self.set_body(&key, &name, what == "map", start),
                }
            }
            "element" => {
                let key = self.table_key()?;
                let name = self.take_identifier()?;
                let elements = self.elements()?;
                let span = self.since(start);
                match self.ruleset.existing(key.0, &key.1) {
                    Some(t) if deletes => t.delete_elements(&name, &elements),
                    table => {
                        if !table.is_some_and(|t| t.add_elements(&name, elements)) {
                            self.reader.note(span, LineState::Unsupported, format!("set {name} is not defined"));
                        }
                    }
                }
            }
            _ => {
                self.skip_statement();
                let span = self.since(start);
                self.mark(span, LineState::Irrelevant);
                return Some(());
            }
        }
        let span = self.since(start);
        self.mark(span, LineState::Understood);
        Some(())
    }

    /// Whether a deletion may still run: it may look at all that the largest table holds.
    fn affords_deletion(&mut self) -> bool {
        let size = |t: &Table<'_>| {
            let sets = t.sets.iter().map(|s| s.elements.len()).max().unwrap_or(0);
            t.chains.len().max(t.sets.len()).max(sets)
        };
        // Looking for the size is work as well, but of the number of sets only.
        let tables = self.ruleset.tables.len();
        let largest = self.ruleset.tables.iter().take(1000).map(size).max().unwrap_or(0);
        let sets: usize = self.ruleset.tables.iter().take(1000).map(|t| t.sets.len()).sum();
        self.ruleset.afford(largest.saturating_add(tables).saturating_add(sets).saturating_mul(4))
    }

    /// `rule [family] table chain [position N|handle N|index N] …`, after the verb.
    fn rule_command(&mut self, verb: &str) -> Option<()> {
        let start = self.span();
        let key = self.table_key()?;
        let chain = self.take_identifier()?;
        let mut at = if verb == "insert" { At::Front } else { At::End };
        if matches!(self.word(), "position" | "handle" | "index") {
            let how = self.take_word()?;
            let n: u64 = self.take_word()?.parse().ok()?;
            at = match (&*how, verb) {
                ("index", "insert") => At::BeforeIndex(n as usize),
                ("index", _) => At::AfterIndex(n as usize),
                (_, "replace") => At::Replace(n),
                (_, "insert") => At::BeforeHandle(n),
                _ => At::AfterHandle(n),
            };
        }
        let mut rule = self.rule();
        if rule.stmts.is_empty() {
            return None;
        }
        rule.span = self.since(start);
        let span = rule.span;
        self.mark(span, LineState::Irrelevant);
        let placed = self.ruleset.add_rule((key.0, &key.1), &chain, rule, at);
        if !placed {
            self.reader.note(
                span,
                LineState::Unsupported,
                "the place of this rule is not known (handles are given by the kernel): it is read as the last",
            );
        }
        Some(())
    }

    /// `{ item; item … }`; each item that fails is noted and skipped.
    fn block(&mut self, item: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        self.nested(|p| {
            let open = p.span();
            p.expect_punct(b'{')?;
            p.mark(open, LineState::Understood);
            p.open_scope();
            p.items(&item);
            p.close_scope();
            let close = p.span();
            if p.eat_punct(b'}') {
                p.mark(close, LineState::Understood);
            } else {
                p.reader.note(open, LineState::Unsupported, "this block is not closed: the file ends in it");
            }
            Some(())
        })
    }

    /// Items up to the end of the block or file.
    fn items(&mut self, item: &impl Fn(&mut Self) -> Option<()>) {
        loop {
            self.skip_separators();
            if matches!(self.kind(), T::Eof | T::P(b'}')) {
                return;
            }
            let from = self.index();
            let start = self.span();
            let done = match self.word() {
                "define" | "redefine" | "undefine" => self.definition(),
                "include" => {
                    // The included file continues this block.
                    self.bump();
                    self.take_name().map(|pattern| {
                        let span = self.since(start);
                        self.include(&pattern, span, |p| p.included_items(item));
                    })
                }
                _ => item(self),
            };
            if done.is_none() || !self.at_end_of_statement() && self.last_kind() != T::P(b'}') {
                self.recover(from, start);
            } else if self.index() == from {
                self.bump();
            }
        }
    }

    fn included_items(&mut self, item: &impl Fn(&mut Self) -> Option<()>) {
        loop {
            self.items(item);
            if self.kind() == T::Eof {
                return;
            }
            let span = self.span();
            self.reader.note(span, LineState::Unrecognised, "closing brace without an opening one");
            self.bump();
        }
    }

    fn last_kind(&self) -> T {
        // The token before the one at hand ends an inner block.
        match self.file.text.as_bytes().get(self.last_span().end.saturating_sub(1) as usize) {
            Some(b'}') => T::P(b'}'),
            _ => T::Other,
        }
    }

    fn table_item(&mut self, key: &TableKey) -> Option<()> {
        let start = self.span();
        let what = self.take_word()?;
        match &*what {
            "chain" => {
                let name = self.take_identifier()?;
                self.chain_body(key, &name, start)
            }
            "set" | "map" => {
                let name = self.take_identifier()?;
                self.set_body(key, &name, &*what == "map", start)
            }
            "flags" => {
                let mut dormant = false;
                while self.kind() == T::Word {
                    dormant |= self.take_word()? == "dormant";
                    self.eat_punct(b',');
                }
                self.ruleset.table(key.0, &key.1).dormant |= dormant;
                let span = self.since(start);
                self.mark(span, LineState::Understood);
                Some(())
            }
            "comment" => {
                self.take_name()?;
                let span = self.since(start);
                self.mark(span, LineState::Irrelevant);
                Some(())
            }
            w if OBJECTS.contains(&w) => {
                while !self.is_punct(b'{') {
                    if self.at_end_of_statement() {
                        return None;
                    }
                    self.bump();
                }
                self.skip_block();
                let span = self.since(start);
                self.mark(span, LineState::Irrelevant);
                Some(())
            }
            _ => None,
        }
    }

    fn chain_body(&mut self, key: &TableKey, name: &str, start: Span) -> Option<()> {
        let head = self.since(start);
        self.mark(head, LineState::Understood);
        self.ruleset.table(key.0, &key.1).chain(name, head);
        if self.is_punct(b'{') {
            self.block(|p| p.chain_item(key, name, head))?;
        }
        Some(())
    }

    fn chain_item(&mut self, key: &TableKey, name: &str, head: Span) -> Option<()> {
        let start = self.span();
        match self.word() {
            "type" => {
                let base = self.hook_spec(key.0)?;
                self.chain_of(key, name, head).hook(base);
            }
            "policy" => {
                self.bump();
                let policy = self.take_identifier()?;
                let action = match &*policy {
                    "accept" => PolicyAction::Accept,
                    "drop" => PolicyAction::Drop,
                    _ => return None,
                };
                let span = self.since(start);
                self.chain_of(key, name, head).set_policy(action, span);
            }
            "comment" => {
                self.bump();
                self.take_name()?;
            }
            "flags" => {
                self.bump();
                self.take_word()?;
            }
            "devices" => {
                self.bump();
                self.eat_punct(b'=');
                self.right()?;
            }
            _ => {
                let rule = self.rule();
                if rule.stmts.is_empty() {
                    return rule.comment.map(|_| ());
                }
                let span = rule.span;
                self.mark(span, LineState::Irrelevant);
                self.ruleset.add_rule((key.0, &key.1), name, rule, At::End);
                return Some(());
            }
        }
        let span = self.since(start);
        self.mark(span, LineState::Understood);
        Some(())
    }

    fn chain_of(&mut self, key: &TableKey, name: &str, span: Span) -> &mut super::ast::Chain<'a> {
        self.ruleset.table(key.0, &key.1).chain(name, span)
    }

    /// `type filter hook input [device x|devices = { … }] priority filter + 10`
    fn hook_spec(&mut self, family: TableFamily) -> Option<Base<'a>> {
        let start = self.span();
        self.bump();
        let kind = self.take_word()?;
        if !self.eat_word("hook") {
            return None;
        }
        let hook = self.take_word()?;
        let mut devices = Vec::new();
        loop {
            if self.eat_word("device") {
                devices.push(self.take_identifier()?);
            } else if self.eat_word("devices") {
                self.eat_punct(b'=');
                let list = self.right()?;
                let mut budget = self.limits().expanded_rules;
                flatten(&list, &mut budget, &mut |e| {
                    if let Some(w) = e.key.word() {
                        devices.push(Cow::Owned(w.to_owned()));
                    }
                });
            } else {
                break;
            }
        }
        if !self.eat_word("priority") {
            return None;
        }
        let priority = self.priority(family)?;
        Some(Base { kind, hook, priority, devices, span: self.since(start) })
    }

    /// `-150`, `filter`, `filter + 10`, `$priority`. The inner `None`: the name is not known.
    fn priority(&mut self, family: TableFamily) -> Option<Option<i32>> {
        let sign = |p: &mut Self| -> i32 {
            if p.eat_punct(b'-') {
                -1
            } else {
                p.eat_punct(b'+');
                1
            }
        };
        let first = sign(self);
        let word = self.take_identifier()?;
        let mut value = defaults::priority(family, &word).map(|v| v.saturating_mul(first));
        if self.is_punct(b'-') || self.is_punct(b'+') {
            let s = sign(self);
            let offset: i32 = self.take_identifier()?.parse().ok()?;
            value = value.map(|v| v.saturating_add(offset.saturating_mul(s)));
        }
        Some(value)
    }

    fn set_body(&mut self, key: &TableKey, name: &str, is_map: bool, start: Span) -> Option<()> {
        let head = self.since(start);
        self.mark(head, LineState::Understood);
        let set = SetDecl { name: name.to_owned(), span: head, key: vec![], is_map, dynamic: false, elements: vec![] };
        let known = self.ruleset.table(key.0, &key.1).set(name).is_some();
        if !known {
            self.ruleset.table(key.0, &key.1).define_set(set);
        }
        if self.is_punct(b'{') {
            self.block(|p| p.set_item(key, name))?;
        }
        Some(())
    }

    fn set_item(&mut self, key: &TableKey, name: &str) -> Option<()> {
        let start = self.span();
        let mut add = SetDecl { name: name.to_owned(), span: start, key: vec![], is_map: false, dynamic: false, elements: vec![] };
        match &*self.take_word()? {
            "type" => {
                add.key = self.key_types(false)?;
                if self.eat_punct(b':') {
                    add.is_map = true;
                    self.key_types(false)?;
                }
            }
            "typeof" => {
                add.key = self.key_types(true)?;
                if self.eat_punct(b':') {
                    add.is_map = true;
                    self.key_types(true)?;
                }
            }
            "flags" => {
                while self.kind() == T::Word {
                    // Elements with a timeout vanish and are added from outside (fail2ban, port knocking).
                    add.dynamic |= matches!(&*self.take_word()?, "dynamic" | "timeout");
                    self.eat_punct(b',');
                }
            }
            "timeout" => {
                self.take_word()?;
                add.dynamic = true;
            }
            "gc-interval" | "size" | "policy" | "comment" => {
                self.value()?;
            }
            "auto-merge" => {}
            "elements" => {
                self.expect_punct(b'=')?;
                add.elements = self.elements()?;
            }
            // Statements that every element gets.
            "counter" | "limit" | "quota" | "last" | "ct" => {
                self.skip_statement();
            }
            _ => return None,
        }
        let span = self.since(start);
        self.mark(span, LineState::Understood);
        self.ruleset.table(key.0, &key.1).define_set(add);
        Some(())
    }

    /// `ipv4_addr . inet_service` or `ip saddr . tcp dport`
    fn key_types(&mut self, of: bool) -> Option<Vec<KeyType<'a>>> {
        if of {
            self.eat_word("interval");
            let e = self.left()?;
            return Some(match e.kind {
                Kind::Concat(parts) => parts.into_iter().map(KeyType::Of).collect(),
                _ => vec![KeyType::Of(e)],
            });
        }
        let mut types = vec![];
        loop {
            self.eat_word("interval");
            types.push(KeyType::Name(self.take_word()?));
            if !self.eat_punct(b'.') {
                return Some(types);
            }
        }
    }

    /// `{ … }` or `$definition`, flattened.
    fn elements(&mut self) -> Option<Vec<Elem<'a>>> {
        let e = self.right()?;
        if let Kind::Set(v) = e.kind {
            let plain = |x: &Elem<'_>| !matches!(x.key.kind, Kind::Shared(_) | Kind::Set(_) | Kind::List(_));
            if v.iter().all(plain) {
                return Some(v);
            }
            return self.flat(&Expr::new(Kind::Set(v), e.span));
        }
        self.flat(&e)
    }

    fn flat(&mut self, e: &Expr<'a>) -> Option<Vec<Elem<'a>>> {
        let mut out = Vec::new();
        let mut budget = self.limits().expanded_rules;
        flatten(e, &mut budget, &mut |x| out.push(x.into_owned()));
        if budget == 0 {
            self.reader.incomplete(e.span, LineState::Unsupported, "the set has too many elements after its definitions are put in");
        }
        Some(out)
    }
}

/// Calls `f` on every element of a set, those of nested sets and definitions included; stops when `budget` is used up.
pub(super) fn flatten<'e, 'a>(e: &'e Expr<'a>, budget: &mut usize, f: &mut dyn FnMut(Cow<'e, Elem<'a>>)) {
    match &e.peel().kind {
        Kind::Set(v) => {
            for x in v {
                if *budget == 0 {
                    return;
                }
                *budget -= 1;
                if x.data.is_none() && matches!(x.key.peel().kind, Kind::Set(_) | Kind::List(_)) {
                    flatten(&x.key, budget, f);
                } else {
                    f(Cow::Borrowed(x));
                }
            }
        }
        Kind::List(v) => {
            for x in v {
                flatten(x, budget, f);
            }
        }
        _ if *budget > 0 => {
            *budget -= 1;
            f(Cow::Owned(Elem { key: e.clone(), data: None, span: e.span }));
        }
        _ => {}
    }
}

impl<'a> Table<'a> {
    /// Name as it is shown: `inet filter`.
    pub fn scope(&self) -> String {
        format!("{} {}", self.family.name(), self.name)
    }
}
