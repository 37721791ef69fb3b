//! A ruleset as it grows command by command, as the kernel would hold it after the file was loaded into nothing.

use std::collections::{HashMap, HashSet, VecDeque};

use super::ast::{Base, Chain, Elem, Rule, SetDecl, Stmt, TableFamily};
use crate::model::PolicyAction;
use crate::source::Span;

/// All tables.
#[derive(Default)]
pub struct Ruleset<'a> {
    /// Tables in the order of their first definition.
    pub tables: Vec<Table<'a>>,
    index: HashMap<(TableFamily, String), usize>,
    work: usize,
    /// Everything that was loaded before is gone: the file shows all there is.
    whole: bool,
    part: Option<(Span, &'static str)>,
}

/// How many steps all commands together may take that search or rebuild what is there: deletions, rules with a place.
/// A file that needs more is no ruleset that anybody wrote.
const WORK: usize = 10_000_000;

/// A table.
pub struct Table<'a> {
    /// Family.
    pub family: TableFamily,
    /// Name.
    pub name: String,
    /// `flags dormant`: its base chains are not hooked.
    pub dormant: bool,
    /// Chains by first definition.
    pub chains: Vec<Chain<'a>>,
    chain_index: HashMap<String, usize>,
    /// Sets and maps by first definition.
    pub sets: Vec<SetDecl<'a>>,
    set_index: HashMap<String, usize>,
    /// Sets that rules add to.
    pub updated: HashSet<String>,
    deleted: bool,
}

/// Where a rule goes in its chain.
#[derive(Clone, Copy, Debug)]
pub enum At {
    /// At the end.
    End,
    /// At the beginning.
    Front,
    /// After the rule of this handle.
    AfterHandle(u64),
    /// Before the rule of this handle.
    BeforeHandle(u64),
    /// After the rule of this index, from 0.
    AfterIndex(usize),
    /// Before the rule of this index, from 0.
    BeforeIndex(usize),
    /// In the place of the rule of this handle.
    Replace(u64),
}

impl<'a> Ruleset<'a> {
    /// The table of a name, made if it is not there.
    pub fn table(&mut self, family: TableFamily, name: &str) -> &mut Table<'a> {
        let next = self.tables.len();
        let i = *self.index.entry((family, name.to_owned())).or_insert(next);
        if i == next {
            self.tables.push(Table {
                family,
                name: name.to_owned(),
                dormant: false,
                chains: Vec::new(),
                chain_index: HashMap::new(),
                sets: Vec::new(),
                set_index: HashMap::new(),
                updated: HashSet::new(),
                deleted: false,
            });
        }
        let last = self.tables.len() - 1;
        &mut self.tables[i.min(last)]
    }

    /// The table of a name, if it is there.
    pub fn existing(&mut self, family: TableFamily, name: &str) -> Option<&mut Table<'a>> {
        let i = *self.index.get(&(family, name.to_owned()))?;
        self.tables.get_mut(i)
    }

    /// Accounts for a command that looks at `steps` things. `false`: the bound is passed, and the command must not run.
    pub fn afford(&mut self, steps: usize) -> bool {
        self.work = self.work.saturating_add(steps);
        self.work <= WORK
    }

    /// Keeps in mind that something here is not as `nft list ruleset` prints it, so that other tables may be loaded beside these.
    pub fn is_part(&mut self, span: Span, sign: &'static str) {
        if !self.whole && self.part.is_none() {
            self.part = Some((span, sign));
        }
    }

    /// Where and by what one sees that other tables may be loaded beside these. `None`: this is all.
    pub fn part(&self) -> Option<(Span, &'static str)> {
        let hangs = |t: &Table<'_>| t.chains.is_empty() || t.chains.iter().any(|c| c.base.is_some());
        match self.part {
            None if !self.whole && !self.tables.iter().any(hangs) => {
                let chain = self.tables.first()?.chains.first()?;
                Some((chain.span, "the chains of this file hang on no hook"))
            }
            part => part,
        }
    }

    /// `flush ruleset [family]`.
    pub fn flush(&mut self, family: Option<TableFamily>) {
        if family.is_none() {
            (self.whole, self.part) = (true, None);
        }
        for table in self.tables.iter_mut().filter(|t| family.is_none_or(|f| f == t.family)) {
            table.deleted = true;
        }
        self.sweep();
    }

    /// `delete table`.
    pub fn delete(&mut self, family: TableFamily, name: &str) {
        if let Some(table) = self.existing(family, name) {
            table.deleted = true;
            self.sweep();
        }
    }

    /// Adds a rule to a chain, and sees which sets it fills. `false`: its place is not known.
    pub fn add_rule(&mut self, key: (TableFamily, &str), chain: &str, rule: Rule<'a>, at: At) -> bool {
        if !self.existing(key.0, key.1).is_some_and(|t| t.has_chain(chain)) {
            self.is_part(rule.span, "this rule is added to a chain that the file does not make");
        }
        self.table(key.0, key.1);
        let Some(table) = self.index.get(&(key.0, key.1.to_owned())).and_then(|i| self.tables.get_mut(*i)) else { return false };
        for (stmt, _) in &rule.stmts {
            if let Stmt::Update(set, _, _) = stmt
                && !table.updated.contains(&**set)
            {
                table.updated.insert(set.clone().into_owned());
            }
        }
        let span = rule.span;
        let chain = table.chain(chain, span);
        let at = match at {
            At::End | At::Front => at,
            // Counted apart from `afford`: the table is in use.
            _ if self.work.saturating_add(chain.rules.len()) > WORK => At::AfterHandle(u64::MAX),
            _ => {
                self.work += chain.rules.len();
                at
            }
        };
        chain.put(rule, at)
    }

    fn sweep(&mut self) {
        self.tables.retain(|t| !t.deleted);
        self.index = self.tables.iter().enumerate().map(|(i, t)| ((t.family, t.name.clone()), i)).collect();
    }
}

impl<'a> Table<'a> {
    /// The chain of a name, made if it is not there.
    pub fn chain(&mut self, name: &str, span: Span) -> &mut Chain<'a> {
        let next = self.chains.len();
        let i = match self.chain_index.get(name) {
            Some(i) => *i,
            None => {
                self.chain_index.insert(name.to_owned(), next);
                self.chains.push(Chain { name: name.to_owned(), span, base: None, policy: None, rules: VecDeque::new() });
                next
            }
        };
        let last = self.chains.len() - 1;
        &mut self.chains[i.min(last)]
    }

    /// Whether there is a chain of a name.
    fn has_chain(&self, name: &str) -> bool {
        self.chain_index.contains_key(name)
    }

    /// The set of a name.
    pub fn set(&self, name: &str) -> Option<&SetDecl<'a>> {
        self.sets.get(*self.set_index.get(name)?)
    }

    /// Defines a set, or adds to the definition.
    pub fn define_set(&mut self, set: SetDecl<'a>) {
        match self.set_index.get(&set.name).and_then(|i| self.sets.get_mut(*i)) {
            Some(old) => {
                old.elements.extend(set.elements);
                old.dynamic |= set.dynamic;
                old.is_map |= set.is_map;
                if old.key.is_empty() {
                    old.key = set.key;
                }
            }
            None => {
                self.set_index.insert(set.name.clone(), self.sets.len());
                self.sets.push(set);
            }
        }
    }

    /// `add element`. `false`: there is no such set.
    pub fn add_elements(&mut self, name: &str, elements: Vec<Elem<'a>>) -> bool {
        match self.set_index.get(name).and_then(|i| self.sets.get_mut(*i)) {
            Some(set) => {
                set.elements.extend(elements);
                true
            }
            None => false,
        }
    }

    /// `delete element`: elements written the same way go.
    pub fn delete_elements(&mut self, name: &str, elements: &[Elem<'a>]) {
        if let Some(set) = self.set_index.get(name).and_then(|i| self.sets.get_mut(*i)) {
            let gone: HashSet<String> = elements.iter().map(|e| e.key.text()).collect();
            set.elements.retain(|e| !gone.contains(&e.key.text()));
        }
    }

    /// `flush set`.
    pub fn flush_set(&mut self, name: &str) {
        if let Some(set) = self.set_index.get(name).and_then(|i| self.sets.get_mut(*i)) {
            set.elements.clear();
        }
    }

    /// `delete set`.
    pub fn delete_set(&mut self, name: &str) {
        self.sets.retain(|s| s.name != name);
        self.set_index = self.sets.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect();
    }

    /// `delete chain`.
    pub fn delete_chain(&mut self, name: &str) {
        self.chains.retain(|c| c.name != name);
        self.chain_index = self.chains.iter().enumerate().map(|(i, c)| (c.name.clone(), i)).collect();
    }

    /// `rename chain`.
    pub fn rename_chain(&mut self, name: &str, new: &str) {
        if let Some(i) = self.chain_index.remove(name) {
            if let Some(chain) = self.chains.get_mut(i) {
                chain.name = new.to_owned();
            }
            self.chain_index.insert(new.to_owned(), i);
        }
    }
}

impl<'a> Chain<'a> {
    /// Puts a rule in its place. `false`: the place is not known, and the rule went to the end.
    pub fn put(&mut self, rule: Rule<'a>, at: At) -> bool {
        let by_handle = |rules: &VecDeque<Rule<'_>>, h: u64| rules.iter().position(|r| r.handle == Some(h));
        let place = match at {
            At::End => Some(self.rules.len()),
            At::Front => Some(0),
            At::AfterHandle(h) => by_handle(&self.rules, h).map(|i| i + 1),
            At::BeforeHandle(h) => by_handle(&self.rules, h),
            At::AfterIndex(i) => (i < self.rules.len()).then(|| i + 1),
            At::BeforeIndex(i) => (i < self.rules.len()).then_some(i),
            At::Replace(h) => by_handle(&self.rules, h).inspect(|&i| {
                self.rules.remove(i);
            }),
        };
        self.rules.insert(place.unwrap_or(self.rules.len()), rule);
        place.is_some()
    }

    /// Sets the hook, unless the chain has one.
    pub fn hook(&mut self, base: Base<'a>) {
        self.base.get_or_insert(base);
    }

    /// Sets the policy.
    pub fn set_policy(&mut self, action: PolicyAction, span: Span) {
        self.policy = Some((action, span));
    }
}
