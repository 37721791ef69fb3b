//! The ruleset in the making: the chains of the four tables, in the words of iptables.

use std::collections::{HashMap, HashSet};

use super::super::iptables::{Built, Step, TableKind, Unknown};
use crate::model::PolicyAction;
use crate::net::Ranges;
use crate::source::Span;

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    Raw,
    Mangle,
    Nat,
    Filter,
}

const TABLES: [(Table, TableKind); 4] =
    [(Table::Raw, TableKind::Raw), (Table::Mangle, TableKind::Mangle), (Table::Nat, TableKind::Nat), (Table::Filter, TableKind::Filter)];

/// What a rule asks for: words of iptables, and what is not known of it.
#[derive(Clone, Default, Debug, PartialEq)]
pub(super) struct Asks {
    pub words: String,
    /// Conditions that these words do not say.
    pub unknown: String,
}

impl Asks {
    pub fn words(words: impl Into<String>) -> Asks {
        Asks { words: words.into(), unknown: String::new() }
    }

    pub fn unknown(what: impl Into<String>) -> Asks {
        Asks { words: String::new(), unknown: what.into() }
    }

    /// This and more.
    pub fn and(&self, more: &Asks) -> Asks {
        let mut out = self.clone();
        out.add(more);
        out
    }

    pub fn add(&mut self, more: &Asks) {
        for (mine, theirs) in [(&mut self.words, &more.words), (&mut self.unknown, &more.unknown)] {
            if !theirs.is_empty() {
                if !mine.is_empty() {
                    mine.push(' ');
                }
                mine.push_str(theirs);
            }
        }
    }
}

/// A rule: what it asks, and its target with `-j` or `-g`.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub asks: Asks,
    pub target: String,
    pub span: Span,
    /// What it is, if nobody wrote it.
    pub implied: Option<&'static str>,
    /// Nobody knows what it does.
    pub unknown_action: Option<String>,
    pub comment: Option<String>,
    /// Which of [`Book::forwards`] it lets through, with the words that ask for the connection's original destination.
    pub forward: Option<(usize, String)>,
}

/// A translation of destinations with a rule of its own in the filter: the new address and port as written.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    pub server: String,
    pub port: String,
    pub span: Span,
}

impl Forward {
    /// Whether packets that the one translates may look like those of the other.
    fn meets(&self, other: &Forward) -> bool {
        let range = |s: &str| s.contains(['-', ',', '&', '%']);
        let servers = self.server == other.server || range(&self.server) || range(&other.server);
        // Ports that are not numbers may be any.
        let ports = ports(&self.port).zip(ports(&other.port));
        servers && ports.is_none_or(|(a, b)| a.overlaps(&b))
    }
}

/// Ports of a list of numbers and ranges.
fn ports(text: &str) -> Option<Ranges> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once([':', '-']).unwrap_or((part, part));
        out.push((first.parse::<u16>().ok()?.into(), last.parse::<u16>().ok()?.into()));
    }
    out.iter().all(|(lo, hi): &(u128, u128)| lo <= hi).then(|| Ranges::from_intervals(out))
}

/// A chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub name: String,
    pub lines: Vec<Line>,
    pub span: Span,
    policy: Option<(PolicyAction, Span)>,
}

/// All chains.
pub(super) struct Book {
    chains: Vec<Chain>,
    index: HashMap<(u8, String), usize>,
    of: Vec<Table>,
    /// How many rules there are, and may be.
    count: usize,
    most: usize,
    /// There would have been more.
    pub full: bool,
    sequence: usize,
    pub forwards: Vec<Forward>,
    /// Destinations are translated otherwise too.
    pub translates: bool,
}

impl Book {
    pub fn new(most: usize) -> Book {
        Book {
            chains: Vec::new(),
            index: HashMap::new(),
            of: Vec::new(),
            count: 0,
            most,
            full: false,
            sequence: 0,
            forwards: Vec::new(),
            translates: false,
        }
    }

    pub fn has(&self, table: Table, name: &str) -> bool {
        self.index.contains_key(&(table as u8, name.to_owned()))
    }

    /// The chain of a name, made if it is not there.
    pub fn chain(&mut self, table: Table, name: &str, span: Span) -> &mut Chain {
        let i = *self.index.entry((table as u8, name.to_owned())).or_insert_with(|| {
            self.chains.push(Chain { name: name.to_owned(), lines: Vec::new(), span, policy: None });
            self.of.push(table);
            self.chains.len() - 1
        });
        &mut self.chains[i]
    }

    pub fn lines(&self, table: Table, name: &str) -> &[Line] {
        self.index.get(&(table as u8, name.to_owned())).and_then(|i| self.chains.get(*i)).map_or(&[], |c| &c.lines)
    }

    pub fn is_empty(&self, table: Table, name: &str) -> bool {
        self.lines(table, name).is_empty()
    }

    pub fn policy(&mut self, table: Table, name: &str, action: PolicyAction, span: Span) {
        self.chain(table, name, span).policy = Some((action, span));
    }

    /// A name that no chain has yet.
    pub fn fresh(&mut self, prefix: &str) -> String {
        self.sequence += 1;
        format!("{prefix}{}", self.sequence)
    }

    fn room(&mut self, more: usize) -> bool {
        self.count = self.count.saturating_add(more);
        self.full |= self.count > self.most;
        !self.full
    }

    pub fn push(&mut self, table: Table, name: &str, line: Line) {
        if self.room(1) {
            let span = line.span;
            self.chain(table, name, span).lines.push(line);
        }
    }

    pub fn insert(&mut self, table: Table, name: &str, at: usize, line: Line) {
        if self.room(1) {
            let span = line.span;
            let lines = &mut self.chain(table, name, span).lines;
            lines.insert(at.min(lines.len()), line);
        }
    }

    /// Takes the rules of a chain.
    pub fn take(&mut self, table: Table, name: &str) -> Vec<Line> {
        let found = self.index.get(&(table as u8, name.to_owned())).copied();
        found.and_then(|i| self.chains.get_mut(i)).map(|c| std::mem::take(&mut c.lines)).unwrap_or_default()
    }

    /// Puts rules before those of a chain, or after them.
    pub fn put(&mut self, table: Table, name: &str, lines: Vec<Line>, before: bool) {
        let Some(span) = lines.first().map(|l| l.span) else { return };
        if !self.room(lines.len()) {
            return;
        }
        let mine = &mut self.chain(table, name, span).lines;
        let at = if before { 0 } else { mine.len() };
        mine.splice(at..at, lines);
    }

    /// For each of the forwards, whether every packet that looks like one of its own after the translation is one of its own: then the
    /// original destination need not be asked for.
    fn alone(&self) -> Vec<bool> {
        let mut by_server: HashMap<&str, Vec<&Forward>> = HashMap::new();
        for f in &self.forwards {
            by_server.entry(&f.server).or_default().push(f);
        }
        let ranges = self.forwards.iter().any(|f| f.server.contains(['-', ',', '&', '%']));
        let crowded =
            |f: &Forward| by_server.get(f.server.as_str()).is_none_or(|l| l.len() > 64 || l.iter().any(|o| o.span != f.span && o.meets(f)));
        self.forwards.iter().map(|f| !self.translates && !ranges && !crowded(f)).collect()
    }

    /// The steps that make these chains.
    pub fn steps<'a>(self) -> Vec<Step<'a>> {
        let mut out = Vec::new();
        let alone = self.alone();
        for (table, kind) in TABLES {
            let mine: Vec<&Chain> = self.chains.iter().zip(&self.of).filter(|(_, t)| **t == table).map(|(c, _)| c).collect();
            // Chains that nothing goes to are left out, unless somebody wrote a rule of them.
            let called: HashSet<&str> = mine.iter().flat_map(|c| &c.lines).filter_map(|l| l.target.split(' ').nth(1)).collect();
            let wanted = |c: &&Chain| {
                kind.builtin(&c.name).is_some() || called.contains(c.name.as_str()) || c.lines.iter().any(|l| l.implied.is_none())
            };
            let mine: Vec<&Chain> = mine.into_iter().filter(wanted).collect();
            if mine.is_empty() {
                continue;
            }
            out.push(Step::Table(kind));
            for chain in &mine {
                out.push(Step::Chain(chain.name.clone(), chain.policy.map(|p| p.0), chain.policy.map_or(chain.span, |p| p.1)));
            }
            for chain in mine {
                for line in &chain.lines {
                    let comment = line.comment.as_ref().map(|c| format!(" -m comment --comment \"{}\"", c.replace(['"', '\\'], "'")));
                    // A packet that was translated, and looks like one of this forward, came for its original destination.
                    let original = match &line.forward {
                        Some((i, _)) if alone.get(*i) == Some(&true) => " -m conntrack --ctstate DNAT",
                        Some((_, words)) => words.as_str(),
                        None => "",
                    };
                    let words = format!("-A {} {}{original} {}{}", chain.name, line.asks.words, line.target, comment.unwrap_or_default());
                    let mut built = Built::new(words, line.implied);
                    built.unknown = match (&line.unknown_action, line.asks.unknown.is_empty()) {
                        (Some(what), _) => Some(Unknown::Action(what.as_str().into())),
                        (None, false) => Some(Unknown::Match(line.asks.unknown.as_str().into())),
                        (None, true) => None,
                    };
                    out.push(Step::Rule(built, line.span));
                }
            }
        }
        out
    }
}
