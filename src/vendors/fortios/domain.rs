//! The sections of one virtual domain, or of the whole file.

use std::collections::HashMap;

use super::tree::{Body, Entry, Scope, Tree, entries, whole};

/// What belongs together.
pub(super) struct Domain<'t> {
    /// Name of the virtual domain, where the file has them; `None` for the whole file and for `config global`.
    pub vdom: Option<String>,
    bodies: HashMap<String, Vec<&'t Body>>,
}

impl<'t> Domain<'t> {
    /// All of a file: first what is global or outside of virtual domains, then each virtual domain.
    pub fn all(tree: &'t Tree) -> Vec<Domain<'t>> {
        let mut out = vec![Domain { vdom: None, bodies: HashMap::new() }];
        let mut index: HashMap<&str, usize> = HashMap::new();
        for (name, _) in &tree.vdoms {
            index.insert(name, out.len());
            out.push(Domain { vdom: Some(name.clone()), bodies: HashMap::new() });
        }
        for section in &tree.sections {
            let at = match &section.scope {
                Scope::Vdom(name) => index.get(name.as_str()).copied().unwrap_or(0),
                Scope::Whole | Scope::Global => 0,
            };
            if let Some(domain) = out.get_mut(at) {
                domain.bodies.entry(section.body.path()).or_default().push(&section.body);
            }
        }
        out
    }

    /// Whether there is such a section, be it empty.
    pub fn has(&self, path: &str) -> bool {
        self.bodies.contains_key(path)
    }

    /// The first line of a section.
    pub fn first(&self, path: &str) -> Option<crate::source::Span> {
        self.bodies.get(path).and_then(|b| b.first()).map(|b| b.first)
    }

    /// Whether any section begins with these words.
    pub fn has_any(&self, beginning: &str) -> bool {
        self.bodies.keys().any(|path| path.starts_with(beginning))
    }

    /// The entries of a table.
    pub fn table(&self, path: &str) -> Vec<Entry<'t>> {
        entries(self.bodies.get(path).into_iter().flatten().copied())
    }

    /// A section that is no table.
    pub fn section(&self, path: &str) -> Option<Entry<'t>> {
        whole(self.bodies.get(path).into_iter().flatten().copied())
    }
}
