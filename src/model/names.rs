//! Objects by name: what is defined, and what is used.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Span;

/// A name at a place, in one of the name spaces of its format.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Named {
    /// The name space in words for people, in the singular: `address object`, `service`, `alias`, `schedule`. Objects that a format
    /// lets bear the same name and mean different things are in different ones.
    pub space: &'static str,
    /// The name.
    pub name: String,
    /// Where.
    pub span: Span,
}

/// Definitions and uses of the named objects of a device: readers fill it while they lower, so that undefined and unused objects fall
/// out for every format at once.
#[derive(Clone, Debug, Default)]
pub struct Names {
    defined: Vec<Named>,
    used: Vec<Named>,
    cyclic: Vec<Named>,
}

impl Names {
    /// An object is defined. Objects that the software ships are not told: nobody blames them for being unused.
    pub fn define(&mut self, space: &'static str, name: impl Into<String>, span: Span) {
        self.defined.push(Named { space, name: name.into(), span });
    }

    /// An object is used by a rule, a group, a translation, a tunnel … For objects that the software ships, nothing is told.
    pub fn used(&mut self, space: &'static str, name: impl Into<String>, span: Span) {
        self.used.push(Named { space, name: name.into(), span });
    }

    /// An object contains itself, directly or through others.
    pub fn cyclic(&mut self, space: &'static str, name: impl Into<String>, span: Span) {
        self.cyclic.push(Named { space, name: name.into(), span });
    }

    /// Whether the format told anything of names.
    pub fn is_empty(&self) -> bool {
        self.defined.is_empty() && self.used.is_empty() && self.cyclic.is_empty()
    }

    /// Objects that nothing uses, in the order of the text.
    pub fn unused(&self) -> Vec<&Named> {
        let used: BTreeSet<_> = self.used.iter().map(|n| (n.space, n.name.as_str())).collect();
        sorted(self.defined.iter().filter(|n| !used.contains(&(n.space, n.name.as_str()))).collect())
    }

    /// The first use of each name that is not defined, in the order of the text.
    pub fn undefined(&self) -> Vec<&Named> {
        let defined: BTreeSet<_> = self.defined.iter().map(|n| (n.space, n.name.as_str())).collect();
        let mut first: BTreeMap<(&str, &str), &Named> = BTreeMap::new();
        for use_ in self.used.iter().filter(|n| !defined.contains(&(n.space, n.name.as_str()))) {
            let at = first.entry((use_.space, &use_.name)).or_insert(use_);
            if use_.span < at.span {
                *at = use_;
            }
        }
        sorted(first.into_values().collect())
    }

    /// Objects that contain themselves, in the order of the text.
    pub fn cycles(&self) -> Vec<&Named> {
        sorted(self.cyclic.iter().collect())
    }

    pub(super) fn absorb(&mut self, other: Names) {
        self.defined.extend(other.defined);
        self.used.extend(other.used);
        self.cyclic.extend(other.cyclic);
    }
}

fn sorted(mut list: Vec<&Named>) -> Vec<&Named> {
    list.sort_by(|a, b| (a.span, &a.name).cmp(&(b.span, &b.name)));
    list.dedup();
    list
}
