//! Sections and tables: what `config`, `edit`, `set`, `next` and `end` build.

use std::collections::BTreeMap;

use super::secrets;
use super::syntax::{Statements, Word};
use crate::diag::LineState;
use crate::source::Span;
use crate::vendors::Reader;

/// First words of the sections that stand at the top. Tables inside of an entry begin with other words, so that a section that is not ended
/// can be told from a table in it (CLI reference of FortiOS 6.0 to 7.6: the chapters).
const TOP: &[&str] = &[
    "alertemail",
    "antivirus",
    "application",
    "authentication",
    "automation",
    "aws",
    "azure",
    "casb",
    "certificate",
    "cifs",
    "credential-store",
    "custom-command",
    "diameter-filter",
    "dlp",
    "dnsfilter",
    "dpdk",
    "emailfilter",
    "endpoint-control",
    "ethernet-oam",
    "extender",
    "extender-controller",
    "extension-controller",
    "file-filter",
    "firewall",
    "ftp-proxy",
    "gcp",
    "hardware",
    "icap",
    "ips",
    "ipsec",
    "log",
    "monitoring",
    "netscan",
    "nsx",
    "nsxt",
    "report",
    "router",
    "rule",
    "sctp-filter",
    "spamfilter",
    "ssh-filter",
    "switch-controller",
    "system",
    "telemetry-controller",
    "user",
    "videofilter",
    "virtual-patch",
    "voip",
    "vpn",
    "vpnsslweb",
    "waf",
    "wanopt",
    "web-proxy",
    "webfilter",
    "wireless-controller",
    "ztna",
];

/// Where a section belongs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Scope {
    /// The file has no virtual domains, or the section stands outside of them.
    Whole,
    /// `config global`.
    Global,
    /// A virtual domain.
    Vdom(String),
}

/// `set`, `unset` and their like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    Set,
    Append,
    Unselect,
    Unset,
}

/// One statement inside of a section.
#[derive(Debug)]
pub(super) enum Item {
    /// A setting: its name is the first word.
    Setting(Op, Vec<Word>, Span),
    /// An entry of a table.
    Edit(Body),
    /// A section inside of a section.
    Config(Body),
    /// `delete`, `move`, `rename`, `clone`, `purge`: the words with the command.
    Command(Vec<Word>, Span),
}

/// A section or an entry.
#[derive(Debug)]
pub(super) struct Body {
    /// What stands behind `config` or `edit`.
    pub head: Vec<Word>,
    /// The line that begins it.
    pub first: Span,
    /// All of it.
    pub span: Span,
    pub items: Vec<Item>,
}

impl Body {
    /// The words of the head with blanks between.
    pub fn path(&self) -> String {
        self.head.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// A section at the top.
#[derive(Debug)]
pub(super) struct Section {
    pub scope: Scope,
    pub body: Body,
}

/// All sections of a file, in order.
pub(super) struct Tree {
    pub sections: Vec<Section>,
    /// Names of virtual domains, with where they are first named.
    pub vdoms: Vec<(String, Span)>,
}

struct Open {
    body: Body,
    is_entry: bool,
}

struct Parser<'r, 'a> {
    reader: &'r mut Reader<'a>,
    stack: Vec<Open>,
    /// Depth of sections that are skipped because they are nested too deep.
    skipped: usize,
    tree: Tree,
    scope: Scope,
    /// Inside of `config vdom`.
    vdom_table: bool,
    /// The scope was ended, and may prove not to be.
    ended: Option<Span>,
}

/// Reads a file. What does not fit becomes notes.
pub(super) fn parse(reader: &mut Reader<'_>) -> Tree {
    let file = reader.file;
    for i in 0..file.line_count() {
        if file.line(i).trim_start().starts_with('#') {
            reader.mark(file.line_span(i), LineState::Irrelevant);
        }
    }
    let tree = Tree { sections: vec![], vdoms: vec![] };
    let mut p = Parser { reader, stack: vec![], skipped: 0, tree, scope: Scope::Whole, vdom_table: false, ended: None };
    for statement in Statements::new(file) {
        if statement.unended {
            p.bad(statement.span, "a quote does not end");
        }
        p.statement(statement.words, statement.span);
    }
    p.unwind("is not ended at the end of the file");
    p.tree
}

impl Parser<'_, '_> {
    fn bad(&mut self, span: Span, text: &str) {
        self.reader.note(span, LineState::Unrecognised, text);
    }

    fn statement(&mut self, mut words: Vec<Word>, span: Span) {
        let command = words.first().map(|w| w.text.clone()).unwrap_or_default();
        match command.as_str() {
            "config" => {
                words.remove(0);
                self.config(words, span);
            }
            "edit" => {
                words.remove(0);
                self.edit(words, span);
            }
            "next" => self.next(span),
            "end" => self.end(span),
            _ if self.skipped > 0 => self.reader.mark(span, LineState::NotModelled),
            "set" | "append" | "select" | "unset" | "clear" | "unselect" => {
                words.remove(0);
                let op = match command.as_str() {
                    "append" => Op::Append,
                    "unset" | "clear" => Op::Unset,
                    "unselect" => Op::Unselect,
                    _ => Op::Set,
                };
                if words.is_empty() {
                    return self.bad(span, "a setting without a name");
                }
                let path = self.stack.first().map(|o| o.body.path()).unwrap_or_default();
                secrets::mark(self.reader, &path, &words);
                match self.stack.last_mut() {
                    Some(open) => open.body.items.push(Item::Setting(op, words, span)),
                    None => self.bad(span, "a setting outside of any section"),
                }
            }
            "delete" | "move" | "rename" | "clone" | "purge" if self.stack.last().is_some_and(|o| !o.is_entry) => {
                if let Some(open) = self.stack.last_mut() {
                    open.body.items.push(Item::Command(words, span));
                }
            }
            _ => self.bad(span, "this statement is not known"),
        }
    }

    fn config(&mut self, head: Vec<Word>, span: Span) {
        let first = head.first().map(|w| w.text.as_str()).unwrap_or_default();
        let scopes = head.len() == 1 && matches!(first, "global" | "vdom");
        let top = scopes || (head.len() > 1 && TOP.contains(&first));
        if top && !self.stack.is_empty() {
            self.unwind("is not ended before the next one begins");
        }
        if scopes {
            self.reader.mark(span, LineState::Understood);
            self.vdom_table = first == "vdom";
            self.scope = if self.vdom_table { Scope::Whole } else { Scope::Global };
            self.ended = None;
            return;
        }
        if head.is_empty() {
            return self.bad(span, "a section without a name");
        }
        if self.skipped > 0 || self.stack.len() >= self.reader.limits.nesting {
            if self.skipped == 0 {
                let depth = self.reader.limits.nesting;
                let text = format!("sections are nested deeper than {depth}: what is inside is not read");
                self.reader.incomplete(span, LineState::NotModelled, text);
            }
            self.skipped += 1;
            return;
        }
        if self.stack.is_empty()
            && let Some(end) = self.ended.take()
        {
            // Virtual domains hold nothing but sections, and only `config vdom` or `config global` follows them.
            self.bad(end, "one `end` too many: the virtual domain goes on");
        }
        self.stack.push(Open { body: Body { head, first: span, span, items: vec![] }, is_entry: false });
    }

    fn edit(&mut self, head: Vec<Word>, span: Span) {
        if self.skipped > 0 {
            return self.reader.mark(span, LineState::NotModelled);
        }
        if self.stack.is_empty() && self.vdom_table {
            self.reader.mark(span, LineState::Understood);
            if let Some(name) = head.into_iter().next() {
                if self.tree.vdoms.iter().all(|v| v.0 != name.text) && self.tree.vdoms.len() < 1024 {
                    self.tree.vdoms.push((name.text.clone(), name.span));
                }
                self.scope = Scope::Vdom(name.text);
            }
            return;
        }
        if self.stack.last().is_some_and(|o| o.is_entry) {
            let first = self.stack.last().map_or(span, |o| o.body.first);
            self.bad(first, "this entry is not ended with `next`");
            self.close(span);
        }
        if self.stack.is_empty() {
            return self.bad(span, "an entry outside of any section");
        }
        self.stack.push(Open { body: Body { head, first: span, span, items: vec![] }, is_entry: true });
    }

    fn next(&mut self, span: Span) {
        match self.stack.last() {
            _ if self.skipped > 0 => self.reader.mark(span, LineState::NotModelled),
            Some(open) if open.is_entry => self.close(span),
            None if self.vdom_table => {
                self.reader.mark(span, LineState::Understood);
                self.scope = Scope::Whole;
            }
            _ => self.bad(span, "`next` without `edit`"),
        }
    }

    fn end(&mut self, span: Span) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return self.reader.mark(span, LineState::NotModelled);
        }
        if self.stack.is_empty() {
            if self.ended.is_none() && (self.vdom_table || self.scope == Scope::Global) {
                self.reader.mark(span, LineState::Understood);
                self.ended = Some(span);
            } else {
                self.bad(span, "`end` without `config`");
            }
            return;
        }
        // `end` inside of an entry ends the entry and its table.
        if self.stack.last().is_some_and(|o| o.is_entry) {
            self.close(span);
        }
        self.close(span);
    }

    /// Closes the innermost section or entry.
    fn close(&mut self, end: Span) {
        let Some(mut open) = self.stack.pop() else { return };
        open.body.span = open.body.span.to(end);
        match self.stack.last_mut() {
            Some(outer) if open.is_entry => outer.body.items.push(Item::Edit(open.body)),
            Some(outer) => outer.body.items.push(Item::Config(open.body)),
            None => self.tree.sections.push(Section { scope: self.scope.clone(), body: open.body }),
        }
    }

    fn unwind(&mut self, why: &str) {
        self.skipped = 0;
        while let Some(open) = self.stack.last() {
            let (first, is_entry) = (open.body.first, open.is_entry);
            let end = open.body.items.last().map_or(first, item_span);
            self.bad(first, &format!("this {} {why}", if is_entry { "entry" } else { "section" }));
            self.close(end);
        }
    }
}

fn item_span(item: &Item) -> Span {
    match item {
        Item::Setting(_, _, span) | Item::Command(_, span) => *span,
        Item::Edit(body) | Item::Config(body) => body.span,
    }
}

/// A setting as it stands in the end.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Its values, without the name.
    pub values: Vec<Word>,
    /// The last statement about it.
    pub span: Span,
}

/// An entry of a table, or a section that is none: its settings, and the tables in it.
#[derive(Clone, Debug)]
pub(super) struct Entry<'t> {
    /// Its name or number; the section's for a section.
    pub name: String,
    /// The name alone.
    pub name_span: Span,
    /// The line that begins it.
    pub first: Span,
    /// All of it.
    pub span: Span,
    pub settings: BTreeMap<String, Setting>,
    /// Sections inside, in order.
    pub inner: Vec<&'t Body>,
}

impl<'t> Entry<'t> {
    fn new(body: &'t Body) -> Entry<'t> {
        let name_span = body.head.first().map_or(body.first, |w| w.span);
        let name = body.head.first().map(|w| w.text.clone()).unwrap_or_default();
        let (first, span) = (body.first, body.span);
        Entry { name, name_span, first, span, settings: BTreeMap::new(), inner: vec![] }
    }

    fn take(&mut self, items: &'t [Item]) {
        for item in items {
            match item {
                Item::Setting(op, words, span) => {
                    let Some((name, values)) = words.split_first() else { continue };
                    let setting = self.settings.entry(name.text.clone()).or_insert_with(|| Setting { values: vec![], span: *span });
                    setting.span = if *op == Op::Append { setting.span.to(*span) } else { *span };
                    match op {
                        Op::Set => setting.values = values.to_vec(),
                        Op::Append => setting.values.extend_from_slice(values),
                        Op::Unset => setting.values.clear(),
                        Op::Unselect => setting.values.retain(|v| values.iter().all(|u| u.text != v.text)),
                    }
                }
                Item::Config(body) => self.inner.push(body),
                Item::Edit(_) | Item::Command(..) => {}
            }
        }
    }

    /// The values of a setting; empty if it is not written or was unset.
    pub fn values(&self, name: &str) -> &[Word] {
        self.settings.get(name).map_or(&[], |s| &s.values)
    }

    /// The first value of a setting, if there is one.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).first().map(|w| w.text.as_str())
    }

    /// Whether a setting is written with this value.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.value(name) == Some(value)
    }

    /// Where a setting is written; the entry's first line if it is not.
    pub fn at(&self, name: &str) -> Span {
        self.settings.get(name).map_or(self.first, |s| s.span)
    }

    /// A value as a number.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.value(name)?.parse().ok()
    }

    /// The entries of a table inside.
    pub fn table(&self, name: &str) -> Vec<Entry<'t>> {
        entries(self.inner.iter().copied().filter(|b| b.path() == name))
    }

    /// A section inside that is no table.
    pub fn section(&self, name: &str) -> Option<Entry<'t>> {
        whole(self.inner.iter().copied().filter(|b| b.path() == name))
    }
}

/// Sections of one name that are no table, as one.
pub(super) fn whole<'t>(bodies: impl Iterator<Item = &'t Body>) -> Option<Entry<'t>> {
    let mut out: Option<Entry<'t>> = None;
    for body in bodies {
        let entry = out.get_or_insert_with(|| Entry::new(body));
        entry.take(&body.items);
    }
    out
}

/// The entries of a table that stands in one or several sections, in their order in the end: `edit` of a known name goes on with it, and
/// `move`, `rename`, `clone`, `delete` and `purge` do what they say.
pub(super) fn entries<'t>(bodies: impl Iterator<Item = &'t Body>) -> Vec<Entry<'t>> {
    let mut list: Vec<Option<Entry<'t>>> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let (mut moves, mut copied) = (0usize, 0usize);
    for item in bodies.flat_map(|b| &b.items) {
        match item {
            Item::Edit(body) => {
                let new = Entry::new(body);
                // `edit 0` takes the next free number: it is always a new entry where entries have numbers.
                let at = match index.get(&new.name) {
                    Some(at) if new.name != "0" => *at,
                    _ => {
                        index.insert(new.name.clone(), list.len());
                        list.push(Some(new));
                        list.len() - 1
                    }
                };
                if let Some(Some(entry)) = list.get_mut(at) {
                    entry.take(&body.items);
                }
            }
            Item::Command(words, _) => {
                let text = |i: usize| words.get(i).map_or("", |w| w.text.as_str());
                match text(0) {
                    "purge" => {
                        list.clear();
                        index.clear();
                    }
                    "delete" => {
                        if let Some(at) = index.remove(text(1)) {
                            list[at] = None;
                        }
                    }
                    "rename" | "clone" => {
                        let (from, to) = (text(1).to_owned(), text(3).to_owned());
                        let Some(&at) = index.get(&from) else { continue };
                        if text(2) != "to" || to.is_empty() || index.contains_key(&to) {
                            continue;
                        }
                        let Some(mut entry) = list[at].clone() else { continue };
                        entry.name = to.clone();
                        if text(0) == "rename" {
                            index.remove(&from);
                            index.insert(to, at);
                            list[at] = Some(entry);
                        } else if copied < 1_000_000 {
                            copied += entry.settings.values().map(|s| s.values.len() + 1).sum::<usize>() + 1;
                            index.insert(to, list.len());
                            list.push(Some(entry));
                        }
                    }
                    // Each costs as much as the table is long; exports have none.
                    "move" if moves < 1_000 => {
                        moves += 1;
                        let (Some(&from), Some(_)) = (index.get(text(1)), index.get(text(3))) else { continue };
                        let moved = list[from].take();
                        list.retain(Option::is_some);
                        let place = list.iter().position(|e| e.as_ref().is_some_and(|e| e.name == text(3))).unwrap_or(list.len());
                        let place = if text(2) == "after" { place + 1 } else { place };
                        list.insert(place.min(list.len()), moved);
                        index = list.iter().enumerate().filter_map(|(i, e)| Some((e.as_ref()?.name.clone(), i))).collect();
                    }
                    _ => {}
                }
            }
            Item::Setting(..) | Item::Config(_) => {}
        }
    }
    list.into_iter().flatten().collect()
}

/// Whether a section of this path stands at the top.
pub(super) fn is_top(path: &str) -> bool {
    path.split(' ').next().is_some_and(|first| TOP.contains(&first))
}
