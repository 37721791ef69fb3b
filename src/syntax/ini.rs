//! Files of `[section]` headers and `key=value` lines, as GLib's key files and Windows' phone books are: every piece with its place.

use crate::source::{SourceFile, Span};

/// A piece of the text and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Text<'t> {
    /// Without surrounding blanks.
    pub text: &'t str,
    /// Where it stands.
    pub span: Span,
}

/// A line.
#[derive(Clone, Copy, Debug)]
pub enum Line<'t> {
    /// Nothing, or a comment; the span is of the whole line.
    Blank(Span),
    /// `[name]`.
    Section(Text<'t>),
    /// `key=value`; the value may be empty.
    Entry(Text<'t>, Text<'t>),
    /// Something else.
    Other(Text<'t>),
}

impl<'t> Text<'t> {
    /// The piece from byte `start` to byte `end` of this one, without surrounding blanks.
    pub fn part(self, start: usize, end: usize) -> Text<'t> {
        let piece = self.text.get(start..end).unwrap_or("");
        let trimmed = piece.trim();
        let start = self.span.start as usize + start + (piece.len() - piece.trim_start().len());
        Text { text: trimmed, span: Span::new(self.span.file, start, start + trimmed.len()) }
    }

    /// The pieces between signs, without surrounding blanks; empty ones are left out.
    pub fn list(self, signs: &'static [char]) -> impl Iterator<Item = Text<'t>> {
        let mut at = 0;
        self.text.split(signs).filter_map(move |piece| {
            let part = self.part(at, at + piece.len());
            at += piece.len() + 1;
            (!part.text.is_empty()).then_some(part)
        })
    }
}

/// A line of a text. Comments begin with `#` or `;` at the beginning of a line (GLib's "Key-value file parser" knows the first only).
pub fn line(source: &SourceFile, index: usize) -> Line<'_> {
    let span = source.line_span(index);
    let whole = Text { text: source.slice(span), span };
    let code = whole.part(0, whole.text.len());
    if code.text.is_empty() || code.text.starts_with(['#', ';']) {
        return Line::Blank(span);
    }
    if code.text.starts_with('[') && code.text.ends_with(']') {
        return Line::Section(code.part(1, code.text.len() - 1));
    }
    match code.text.find('=') {
        Some(at) if at > 0 => Line::Entry(code.part(0, at), code.part(at + 1, code.text.len())),
        _ => Line::Other(code),
    }
}
