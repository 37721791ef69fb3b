//! JSON as a tree in which every value knows its place. Comments and trailing commas are read too, as people write them (HuJSON).

use jsonc_parser::ParseOptions;
use jsonc_parser::ast::{ObjectPropName, Value as Ast};
use jsonc_parser::common::Ranged;

use crate::source::{SourceFile, Span};

/// A value.
#[derive(Debug)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it stands; of a text without the quotes.
    pub span: Span,
}

/// Sorts of values.
#[derive(Debug)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number as written.
    Number(String),
    /// A text without escapes.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Properties in the order of the text.
    Object(Vec<Property>),
}

/// A property of an object.
#[derive(Debug)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub at: Span,
    /// Its value.
    pub value: Value,
}

impl Value {
    /// The properties; none of what is no object.
    pub fn properties(&self) -> &[Property] {
        match &self.kind {
            Kind::Object(list) => list,
            _ => &[],
        }
    }

    /// The value of a property, whatever the case of its name; `None` for `null`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.properties().iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| &p.value);
        found.filter(|v| !matches!(v.kind, Kind::Null))
    }

    /// The elements of a list. PowerShell 5.1 writes one as `{ "value": […], "Count": 1 }`, and a single one without a list.
    pub fn list(&self) -> Vec<&Value> {
        match &self.kind {
            Kind::List(list) => list.iter().collect(),
            Kind::Object(_) if self.get("Count").is_some() && self.get("value").is_some() => {
                self.get("value").map(Value::list).unwrap_or_default()
            }
            Kind::Null => Vec::new(),
            _ => vec![self],
        }
    }

    /// A text, or a number as written.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(t) | Kind::Number(t) => Some(t),
            _ => None,
        }
    }

    /// A truth value, also as a text.
    pub fn bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Bool(b) => Some(*b),
            Kind::Text(t) if t.eq_ignore_ascii_case("true") => Some(true),
            Kind::Text(t) if t.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

/// Reads a text; `None` where it is no JSON (or nested deeper than the parser goes).
pub fn read(file: &SourceFile) -> Option<Value> {
    let options = ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = jsonc_parser::parse_to_ast(&file.text, &Default::default(), &options).ok()?;
    parsed.value.map(|v| value(file, &v))
}

fn value(file: &SourceFile, ast: &Ast<'_>) -> Value {
    let range = ast.range();
    let whole = Span::new(file.id, range.start, range.end);
    let (kind, span) = match ast {
        Ast::NullKeyword(_) => (Kind::Null, whole),
        Ast::BooleanLit(b) => (Kind::Bool(b.value), whole),
        Ast::NumberLit(n) => (Kind::Number(n.value.to_owned()), whole),
        Ast::StringLit(s) => (Kind::Text(s.value.to_string()), inner(whole)),
        Ast::Array(list) => (Kind::List(list.elements.iter().map(|v| value(file, v)).collect()), whole),
        Ast::Object(object) => {
            let property = |p: &jsonc_parser::ast::ObjectProp<'_>| {
                let name = match &p.name {
                    ObjectPropName::String(s) => s.value.to_string(),
                    ObjectPropName::Word(w) => w.value.to_owned(),
                };
                let at = p.name.range();
                Property { name, at: Span::new(file.id, at.start, at.end), value: value(file, &p.value) }
            };
            (Kind::Object(object.properties.iter().map(property).collect()), whole)
        }
    };
    Value { kind, span }
}

/// Between the quotes.
fn inner(span: Span) -> Span {
    if span.end - span.start >= 2 { Span { start: span.start + 1, end: span.end - 1, ..span } } else { span }
}
