//! Keys and values, whatever the form.

use crate::diag::LineState;
use crate::source::Span;
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;

/// A setting.
pub(super) struct Pair {
    /// In lower case.
    pub key: String,
    pub value: String,
    /// Where the value stands.
    pub at: Span,
    /// Key and value.
    pub span: Span,
}

/// Settings of a file.
const MOST: usize = 100_000;

/// `"connect-method"="user-logon"`, `"Prelogon"=dword:00000001`.
pub(super) fn registry(reader: &mut Reader<'_>) -> Vec<Pair> {
    let file = reader.file;
    let mut found = Vec::new();
    let mut ours = false;
    for index in 0..file.line_count() {
        let span = file.line_span(index);
        let text = file.slice(span);
        let trimmed = text.trim();
        if trimmed.starts_with('[') {
            ours = trimmed.to_ascii_lowercase().contains("palo alto networks\\globalprotect");
            reader.mark(span, LineState::Irrelevant);
            continue;
        }
        reader.mark(span, LineState::Irrelevant);
        let Some((key, value)) = trimmed.strip_prefix('"').and_then(|r| r.split_once("\"=")) else { continue };
        if !ours || found.len() >= MOST {
            continue;
        }
        let start = span.start as usize + (text.len() - text.trim_start().len()) + key.len() + 3;
        let at = Span::new(file.id, start, start + value.len());
        let (value, at) = match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
            Some(inner) => (inner.replace("\\\\", "\\"), Span::new(file.id, start + 1, start + 1 + inner.len())),
            None => {
                let number = value.strip_prefix("dword:").and_then(|n| u32::from_str_radix(n, 16).ok());
                (number.map_or_else(|| value.to_owned(), |n| n.to_string()), at)
            }
        };
        found.push(Pair { key: key.to_ascii_lowercase(), value, at, span });
    }
    found
}

/// Keys of a property list with texts, numbers and flags, at whatever depth.
pub(super) fn plist(document: &Document<'_>) -> Vec<Pair> {
    let Some(root) = document.root() else { return Vec::new() };
    let mut found = Vec::new();
    for dict in root.descendants().filter(|e| e.name() == "dict") {
        let mut key: Option<Element<'_>> = None;
        for element in dict.children() {
            if element.name() == "key" {
                key = Some(element);
                continue;
            }
            let Some(key) = key.take() else { continue };
            let value = match element.name() {
                "true" => "yes".to_owned(),
                "false" => "no".to_owned(),
                "string" | "integer" => element.text().trim().to_owned(),
                _ => continue,
            };
            let at = if matches!(element.name(), "true" | "false") { element.span() } else { element.text_span() };
            if found.len() < MOST {
                found.push(Pair { key: key.text().trim().to_ascii_lowercase(), value, at, span: key.span().to(element.span()) });
            }
        }
    }
    found
}

/// Elements with nothing but a text.
pub(super) fn leaves(document: &Document<'_>) -> Vec<Pair> {
    let Some(root) = document.root() else { return Vec::new() };
    let leaf = |e: &Element<'_>| e.children().next().is_none() && !e.text().trim().is_empty();
    let pair =
        |e: Element<'_>| Pair { key: e.name().to_ascii_lowercase(), value: e.text().trim().to_owned(), at: e.text_span(), span: e.span() };
    root.descendants().filter(leaf).take(MOST).map(pair).collect()
}
