//! Pieces of text with their place, and values that several files of IPsec have in common.

use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// A piece of the text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'t> {
    pub text: &'t str,
    pub span: Span,
}

impl<'t> Place<'t> {
    pub fn of(source: &'t SourceFile, span: Span) -> Place<'t> {
        Place { text: source.slice(span), span }
    }

    /// The piece from byte `start` to byte `end` of this one, without surrounding blanks.
    pub fn part(self, start: usize, end: usize) -> Place<'t> {
        let piece = self.text.get(start..end).unwrap_or("");
        let trimmed = piece.trim();
        let start = self.span.start as usize + start + (piece.len() - piece.trim_start().len());
        Place { text: trimmed, span: Span::new(self.span.file, start, start + trimmed.len()) }
    }

    /// The first word, and what follows it.
    pub fn word(self) -> (Place<'t>, Place<'t>) {
        let end = self.text.find([' ', '\t']).unwrap_or(self.text.len());
        (self.part(0, end), self.part(end, self.text.len()))
    }

    /// What stands before and after the first `separator`.
    pub fn split(self, separator: char) -> Option<(Place<'t>, Place<'t>)> {
        let at = self.text.find(separator)?;
        Some((self.part(0, at), self.part(at + separator.len_utf8(), self.text.len())))
    }

    /// Without the quotes or braces around it.
    pub fn unquoted(self) -> Place<'t> {
        for (open, close) in [('"', '"'), ('\'', '\''), ('{', '}')] {
            if self.text.len() >= 2 && self.text.starts_with(open) && self.text.ends_with(close) {
                return self.part(1, self.text.len() - 1);
            }
        }
        self
    }
}

/// The entries of a list: between commas or blanks.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|p| !p.is_empty())
}

/// The first words for yes of both programs.
pub(super) fn is_yes(text: &str) -> bool {
    ["yes", "true", "on", "1", "enabled", "y"].iter().any(|w| text.eq_ignore_ascii_case(w))
}

/// Hides a value that stands where no secret belongs, but whose key says that it is one.
pub(super) fn hide(reader: &mut Reader<'_>, key: &str, value: Span) {
    let key = key.to_ascii_lowercase();
    let named = ["secret", "password", "passphrase", "psk", "private"].iter().any(|w| key.contains(w));
    if named && key != "virtual_private" && key != "virtual-private" && !key.starts_with("authby") {
        reader.secret(value);
    }
}
