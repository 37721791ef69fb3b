//! What `ConvertTo-Json` writes.

use jsonc_parser::ParseOptions;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;

use super::bag::{Bag, DEPTH, Datum};
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// The objects of a file: the whole text, or, where it is cut off or damaged, those that are whole.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile) -> Vec<Datum> {
    if let Some(whole) = parse(file, 0, file.text.len()) {
        return vec![whole];
    }
    let end = Span::new(file.id, file.text.len().saturating_sub(1), file.text.len());
    reader.incomplete(end, LineState::Unsupported, "the JSON is not whole: the file may be cut off; only objects that are whole were read");
    let mut found = Vec::new();
    for (start, end) in whole_objects(&file.text) {
        match parse(file, start, end) {
            Some(datum) => found.push(datum),
            None => reader.note(Span::new(file.id, start, end), LineState::Unrecognised, "this is not JSON"),
        }
    }
    found
}

fn parse(file: &SourceFile, start: usize, end: usize) -> Option<Datum> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = jsonc_parser::parse_to_ast(file.text.get(start..end)?, &Default::default(), &strict).ok()?;
    let convert = Convert { file, base: start };
    parsed.value.map(|v| convert.datum(v, 0))
}

struct Convert<'f> {
    file: &'f SourceFile,
    base: usize,
}

impl Convert<'_> {
    fn span(&self, node: &impl Ranged) -> Span {
        let range = node.range();
        Span::new(self.file.id, self.base + range.start, self.base + range.end)
    }

    fn datum(&self, value: Value<'_>, depth: usize) -> Datum {
        let span = self.span(&value);
        match value {
            Value::StringLit(s) => Datum::Text(s.value.into_owned(), span),
            Value::NumberLit(n) => Datum::Text(n.value.to_owned(), span),
            Value::BooleanLit(b) => Datum::Text(b.value.to_string(), span),
            Value::NullKeyword(_) => Datum::Text(String::new(), span),
            Value::Array(_) | Value::Object(_) if depth >= DEPTH => Datum::Text(String::new(), span),
            Value::Array(a) => Datum::List(a.elements.into_iter().map(|v| self.datum(v, depth + 1)).collect(), span),
            Value::Object(o) => Datum::Object(self.bag(o, depth)),
        }
    }

    fn bag(&self, object: Object<'_>, depth: usize) -> Bag {
        let span = self.span(&object);
        // What the CIM classes carry along is large and says nothing of the rule.
        let wanted = object.properties.into_iter().filter(|p| !p.name.as_str().starts_with("Cim"));
        let fields = wanted.map(|p| (p.name.clone().into_string(), self.datum(p.value, depth + 1))).collect();
        Bag { fields, span }
    }
}

/// The greatest objects that are whole, in the order of the text; one pass.
fn whole_objects(text: &str) -> Vec<(usize, usize)> {
    let (mut open, mut done): (Vec<usize>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
    let bytes = text.as_bytes();
    let (mut quoted, mut i) = (false, 0);
    while let Some(b) = bytes.get(i) {
        match b {
            b'\\' if quoted => i += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => open.push(i),
            b'}' => {
                if let Some(start) = open.pop() {
                    while done.last().is_some_and(|(s, _)| *s > start) {
                        done.pop();
                    }
                    done.push((start, i + 1));
                }
            }
            _ => {}
        }
        i += 1;
    }
    done
}
