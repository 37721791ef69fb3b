//! The configuration as a tree of words: `firewall name WAN rule 10 action drop` is one path, whether it is written in braces or by `set`.
//!
//! Nodes lie in one list, each with the number of its parent, so that nothing here recurses.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::diag::LineState;
use crate::source::Span;
use crate::vendors::Reader;

/// Children from which on they are looked up by a table.
const TABLE: usize = 8;

struct Node {
    word: String,
    parent: u32,
    /// The word.
    span: Span,
    /// The statement in which it first stands.
    line: Span,
    /// From its first statement to the end of its block, as far as statements of it follow each other.
    whole: Span,
    /// Number of the last statement that ends with it.
    written: u32,
    children: Vec<u32>,
    table: HashMap<String, u32>,
    state: Cell<Option<LineState>>,
    /// State of everything below that has none of its own.
    deep: Cell<Option<LineState>>,
    /// Something in it was looked at.
    touched: Cell<bool>,
}

/// A configuration.
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Each statement with its last word.
    statements: Vec<(Span, u32)>,
    notes: RefCell<Vec<(Span, LineState, String)>>,
}

/// A place in a configuration.
#[derive(Clone, Copy)]
pub(super) struct At<'t> {
    tree: &'t Tree,
    id: u32,
}

impl Tree {
    pub fn new(at: Span) -> Tree {
        let mut tree = Tree { nodes: Vec::new(), statements: Vec::new(), notes: RefCell::new(Vec::new()) };
        tree.push(0, String::new(), at, at);
        tree
    }

    fn push(&mut self, parent: u32, word: String, span: Span, line: Span) -> u32 {
        let id = self.nodes.len() as u32;
        self.nodes.push(Node {
            word,
            parent,
            span,
            line,
            whole: line,
            written: 0,
            children: Vec::new(),
            table: HashMap::new(),
            state: Cell::new(None),
            deep: Cell::new(None),
            touched: Cell::new(false),
        });
        id
    }

    /// The number of a child.
    pub fn find_child(&self, parent: u32, word: &str) -> Option<u32> {
        self.find(parent, word)
    }

    fn find(&self, parent: u32, word: &str) -> Option<u32> {
        let node = self.nodes.get(parent as usize)?;
        if node.children.len() < TABLE {
            return node.children.iter().copied().find(|c| self.nodes.get(*c as usize).is_some_and(|n| n.word == word));
        }
        node.table.get(word).copied()
    }

    /// The child of this word, made if it is not there.
    pub fn child(&mut self, parent: u32, word: &str, span: Span, line: Span) -> u32 {
        if let Some(found) = self.find(parent, word) {
            return found;
        }
        let id = self.push(parent, word.to_owned(), span, line);
        let Tree { nodes, .. } = self;
        let words: Vec<(String, u32)> = match nodes.get_mut(parent as usize) {
            Some(node) => {
                node.children.push(id);
                match node.children.len() {
                    n if n < TABLE => Vec::new(),
                    TABLE => node.children.clone().into_iter().map(|c| (String::new(), c)).collect(),
                    _ => vec![(String::new(), id)],
                }
            }
            None => Vec::new(),
        };
        for (_, child) in words {
            let word = self.nodes.get(child as usize).map(|n| n.word.clone()).unwrap_or_default();
            if let Some(node) = self.nodes.get_mut(parent as usize) {
                node.table.insert(word, child);
            }
        }
        id
    }

    /// A statement ends with this word, and goes on up to `line`.
    pub fn statement(&mut self, line: Span, last: u32) {
        let number = self.statements.len() as u32;
        self.statements.push((line, last));
        if let Some(node) = self.nodes.get_mut(last as usize) {
            node.written = number;
        }
    }

    /// Takes a child out, with all below it.
    pub fn remove(&mut self, id: u32) {
        let Some(parent) = self.nodes.get(id as usize).map(|n| n.parent) else { return };
        let word = self.nodes.get(id as usize).map(|n| n.word.clone()).unwrap_or_default();
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.children.retain(|c| *c != id);
            node.table.remove(&word);
            if node.children.len() < TABLE {
                node.table.clear();
            }
        }
        if let Some(node) = self.nodes.get(id as usize) {
            node.deep.set(Some(LineState::Irrelevant));
        }
    }

    /// The statement or block of a node, and of those in which it stands, goes on up to here, if nothing else stands between.
    pub fn extend(&mut self, mut id: u32, to: Span, adjacent: impl Fn(u32, u32) -> bool) {
        while id != 0 {
            let Some(node) = self.nodes.get_mut(id as usize) else { return };
            if to.end > node.whole.end && adjacent(node.whole.end, to.start) {
                node.whole.end = to.end;
            }
            id = node.parent;
        }
    }

    pub fn root(&self) -> At<'_> {
        At { tree: self, id: 0 }
    }

    /// Hands the states of the statements to the reader.
    pub fn finish(&self, reader: &mut Reader<'_>) {
        for (span, state, text) in self.notes.take() {
            reader.note(span, state, text);
        }
        for (line, last) in &self.statements {
            let mut id = *last;
            let Some(node) = self.nodes.get(id as usize) else { continue };
            let mut state = node.state.get();
            if state.is_none() && node.touched.get() {
                state = Some(LineState::Understood);
            }
            while state.is_none() {
                let Some(node) = self.nodes.get(id as usize) else { break };
                state = node.deep.get();
                if id == 0 {
                    break;
                }
                id = node.parent;
            }
            match state {
                Some(state) => reader.mark(*line, state),
                None => reader.note(*line, LineState::Unrecognised, "no statement that fwproof knows of VyOS or EdgeOS"),
            }
        }
    }
}

impl<'t> At<'t> {
    fn node(self) -> &'t Node {
        // Numbers are only made by this tree; its root is always there.
        self.tree.nodes.get(self.id as usize).unwrap_or(&self.tree.nodes[0])
    }

    pub fn word(self) -> &'t str {
        &self.node().word
    }

    /// Place of the word.
    pub fn span(self) -> Span {
        self.node().span
    }

    /// The statement in which it first stands.
    pub fn line(self) -> Span {
        self.node().line
    }

    /// All of it.
    pub fn whole(self) -> Span {
        self.node().whole
    }

    pub fn parent(self) -> At<'t> {
        At { tree: self.tree, id: self.node().parent }
    }

    /// A child, which counts as looked at.
    pub fn get(self, word: &str) -> Option<At<'t>> {
        let found = At { tree: self.tree, id: self.tree.find(self.id, word)? };
        found.touch();
        Some(found)
    }

    /// A child, which does not count as looked at by that.
    pub fn peek(self, word: &str) -> Option<At<'t>> {
        Some(At { tree: self.tree, id: self.tree.find(self.id, word)? })
    }

    /// What nobody gave a state, here and below, has this one.
    pub fn rest(self, state: LineState) {
        let node = self.node();
        if node.deep.get().is_none() {
            node.deep.set(Some(state));
        }
        if !node.touched.get() && node.state.get().is_none() {
            node.state.set(Some(state));
        }
        self.parent().touch();
    }

    /// A node further below.
    pub fn path(self, words: &[&str]) -> Option<At<'t>> {
        words.iter().try_fold(self, |at, word| at.get(word))
    }

    pub fn has(self, word: &str) -> bool {
        self.get(word).is_some()
    }

    /// The children in order, without touching them.
    pub fn children(self) -> impl DoubleEndedIterator<Item = At<'t>> {
        self.node().children.iter().map(move |id| At { tree: self.tree, id: *id })
    }

    /// Children of a child, all of them looked at: the values of a leaf, or the blocks of a tag.
    pub fn all(self, word: &str) -> Vec<At<'t>> {
        let found: Vec<At<'t>> = self.get(word).into_iter().flat_map(At::children).collect();
        found.iter().for_each(|f| f.touch());
        found
    }

    /// The value of a leaf: the last one that is written.
    pub fn value(self, word: &str) -> Option<At<'t>> {
        self.all(word).into_iter().max_by_key(|a| a.node().written)
    }

    /// The value of a leaf as text.
    pub fn text(self, word: &str) -> Option<&'t str> {
        self.value(word).map(At::word)
    }

    pub fn is(self, word: &str, value: &str) -> bool {
        self.text(word) == Some(value)
    }

    /// Blocks in ascending order of their numbers; what is no number stays behind them.
    pub fn numbered(self, word: &str) -> Vec<At<'t>> {
        let mut found = self.all(word);
        found.sort_by_key(|a| a.word().parse::<u64>().unwrap_or(u64::MAX));
        found
    }

    /// Whether it is looked at: it and all around it.
    pub fn touch(self) {
        let mut id = self.id;
        while let Some(node) = self.tree.nodes.get(id as usize) {
            if node.touched.replace(true) || id == 0 {
                return;
            }
            id = node.parent;
        }
    }

    /// It, and all below it that has no state of its own, has this state.
    pub fn mark_all(self, state: LineState) {
        self.node().deep.set(Some(state));
        if self.node().children.is_empty() || state != LineState::Understood {
            self.node().state.set(Some(self.node().state.get().map_or(state, |old| old.max(state))));
        }
        self.parent().touch();
    }

    /// Says that something was not fully understood; the statements of it and below it get the state.
    pub fn note(self, state: LineState, text: impl Into<String>) {
        self.mark_all(state);
        self.tree.notes.borrow_mut().push((self.line(), state, text.into()));
    }

    /// The words from the top.
    pub fn words(self) -> Vec<&'t str> {
        let mut out = Vec::new();
        let mut at = self;
        while at.id != 0 {
            out.push(at.word());
            at = at.parent();
        }
        out.reverse();
        out
    }
}
