//! Objects of PowerShell as they are exported: a list of named values, from JSON, CSV or CliXml.

use crate::source::Span;

/// Nesting of values that is looked into; what lies deeper is no property of a firewall rule.
pub(super) const DEPTH: usize = 16;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Datum {
    /// A scalar as text; `null` is empty.
    Text(String, Span),
    /// A list.
    List(Vec<Datum>, Span),
    /// An object.
    Object(Bag),
}

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Bag {
    /// Its properties in the order of the text.
    pub fields: Vec<(String, Datum)>,
    /// All of it.
    pub span: Span,
}

impl Datum {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Datum::Text(_, span) | Datum::List(_, span) => *span,
            Datum::Object(bag) => bag.span,
        }
    }

    /// The scalars of it: of a list those within, of an object as ConvertTo-Json writes a value with further properties (`value`, `Value`)
    /// that value.
    pub fn texts(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect(&mut out, 0);
        out
    }

    fn collect(&self, out: &mut Vec<String>, depth: usize) {
        match self {
            Datum::Text(text, _) => out.push(text.clone()),
            Datum::List(list, _) if depth < DEPTH => list.iter().for_each(|d| d.collect(out, depth + 1)),
            Datum::Object(bag) if depth < DEPTH => {
                if let Some((_, value)) = bag.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("value")) {
                    value.collect(out, depth + 1);
                }
            }
            _ => {}
        }
    }
}

impl Bag {
    /// The property of this name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&Datum> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, d)| d)
    }

    /// Whether there is a property of one of these names.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|n| self.get(n).is_some())
    }
}
