//! What `Export-Clixml` writes (MS-PSRP 2.2.5, "Serialization of Complex Objects"): objects with their properties, lists, and enumerations
//! as an object with a number and its name.

use super::bag::{Bag, DEPTH, Datum};
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;

/// The objects of a file.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile) -> Vec<Datum> {
    let document = Document::read(file, reader.limits);
    for problem in document.problems() {
        if problem.kind.loses() {
            reader.incomplete(problem.span, LineState::Unsupported, problem.text.clone());
        }
    }
    let Some(root) = document.root() else { return Vec::new() };
    root.children().map(|e| datum(e, 0)).collect()
}

fn datum(e: Element<'_>, depth: usize) -> Datum {
    let span = e.span();
    match e.name() {
        "Obj" if depth < DEPTH => object(e, depth),
        "LST" | "IE" | "STK" | "QUE" if depth < DEPTH => Datum::List(e.children().map(|c| datum(c, depth + 1)).collect(), span),
        "Obj" | "LST" | "IE" | "STK" | "QUE" | "Nil" | "Ref" | "DCT" => Datum::Text(String::new(), span),
        _ => Datum::Text(unescape(&e.text()), e.text_span()),
    }
}

fn object(e: Element<'_>, depth: usize) -> Datum {
    let mut fields: Vec<(String, Datum)> = Vec::new();
    let (mut text, mut value) = (None, None);
    for child in e.children() {
        match child.name() {
            "Props" | "MS" => {
                for p in child.children() {
                    let name = p.attribute("N").map(|a| unescape(&a.value())).unwrap_or_default();
                    if !name.starts_with("Cim") && !name.starts_with("__") {
                        fields.push((name, datum(p, depth + 1)));
                    }
                }
            }
            "ToString" => text = Some(Datum::Text(unescape(&child.text()), child.text_span())),
            "LST" | "IE" => return datum(child, depth + 1),
            "TN" | "TNRef" | "DCT" => {}
            _ => value = Some(datum(child, depth + 1)),
        }
    }
    if fields.is_empty() {
        // An enumeration: its name says more than its number.
        return text.or(value).unwrap_or(Datum::Text(String::new(), e.span()));
    }
    Datum::Object(Bag { fields, span: Span { ..e.span() } })
}

/// `_x000A_` stands for a character that XML cannot hold.
fn unescape(text: &str) -> String {
    if !text.contains("_x") {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let code =
            from.get(2..6).filter(|_| from.get(6..7) == Some("_")).and_then(|h| u32::from_str_radix(h, 16).ok()).and_then(char::from_u32);
        match code {
            Some(c) => {
                out.push(c);
                rest = from.get(7..).unwrap_or("");
            }
            None => {
                out.push_str("_x");
                rest = from.get(2..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    out
}
