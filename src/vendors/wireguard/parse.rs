//! Text to sections: `[Interface]` and `[Peer]` with their entries and the comments that may name a peer.

use super::{keys, names};
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// What a section describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `[Interface]`: this end.
    Interface,
    /// `[Peer]`: another end.
    Peer,
    /// A header that WireGuard does not know, or entries before the first header.
    Unknown,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// What it describes.
    pub kind: Kind,
    /// Name of the interface, where the text gives one (`wg show`).
    pub interface: Option<&'a str>,
    /// From its header to its last entry.
    pub span: Span,
    /// Its entries in order.
    pub entries: Vec<Entry<'a>>,
    /// A name for it, found in the comments around it.
    pub name: Option<String>,
}

/// `Key = value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// The key as written. Keys are compared without regard to case (wg(8)).
    pub key: &'a str,
    /// The value without surrounding blanks and comment.
    pub value: Text<'a>,
    /// Key and value.
    pub span: Span,
}

/// A piece of the text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// The text.
    pub text: &'a str,
    /// Where it stands.
    pub span: Span,
}

impl<'a> Text<'a> {
    /// A line of a file, without its line end.
    pub fn line(file: &'a SourceFile, index: usize) -> Text<'a> {
        let span = file.line_span(index);
        Text { text: file.slice(span), span }
    }

    /// The piece from byte `start` to byte `end` of this one, without surrounding blanks.
    pub fn part(self, start: usize, end: usize) -> Text<'a> {
        let piece = self.text.get(start..end).unwrap_or("");
        let trimmed = piece.trim();
        let start = self.span.start as usize + start + (piece.len() - piece.trim_start().len());
        Text { text: trimmed, span: Span::new(self.span.file, start, start + trimmed.len()) }
    }

    /// The pieces between commas, without surrounding blanks; empty ones are left out.
    pub fn list(self) -> impl Iterator<Item = Text<'a>> {
        let mut at = 0;
        self.text.split(',').filter_map(move |piece| {
            let part = self.part(at, at + piece.len());
            at += piece.len() + 1;
            (!part.text.is_empty()).then_some(part)
        })
    }

    /// What stands before and after the first byte `separator`, without surrounding blanks.
    pub fn split(self, separator: char) -> Option<(Text<'a>, Text<'a>)> {
        let at = self.text.find(separator)?;
        Some((self.part(0, at), self.part(at + separator.len_utf8(), self.text.len())))
    }
}

/// The kind of section that a header line (without its comment) opens.
fn header(line: &str) -> Option<Kind> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?.trim();
    Some(if name.eq_ignore_ascii_case("interface") {
        Kind::Interface
    } else if name.eq_ignore_ascii_case("peer") {
        Kind::Peer
    } else {
        Kind::Unknown
    })
}

/// Whether a text looks like a configuration: a section of WireGuard with a key that only WireGuard has there.
pub(super) fn is_conf(text: &str) -> bool {
    let mut inside = false;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        match header(line) {
            Some(kind) => inside = kind != Kind::Unknown,
            None if inside => {
                let key = line.split('=').next().unwrap_or("").trim();
                if ["PrivateKey", "PublicKey", "AllowedIPs", "ListenPort", "PresharedKey"].iter().any(|k| k.eq_ignore_ascii_case(key)) {
                    return true;
                }
            }
            None => {}
        }
    }
    false
}

/// Reads a configuration. Comments and blank lines are marked here, headers and entries by whoever lowers them.
pub(super) fn parse<'a>(file: &'a SourceFile, reader: &mut Reader<'_>) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    let mut comments = names::Comments::default();
    for index in 0..file.line_count() {
        let line = Text::line(file, index);
        // `#` begins a comment anywhere in a line (wg-quick's parse_options, wg's config.c).
        let (code, comment) = match line.split('#') {
            Some((code, _)) => (code, line.text.find('#').map(|at| line.part(at, line.text.len()))),
            None => (line.part(0, line.text.len()), None),
        };
        if let Some(secret) = comment.and_then(keys::secret_in_comment) {
            reader.secret(secret.span);
        }
        if code.text.is_empty() {
            reader.mark(line.span, LineState::Irrelevant);
            comments.line(comment.map(|c| c.text));
        } else if let Some(kind) = header(code.text) {
            if let Some(last) = sections.last_mut() {
                last.name = comments.close();
            }
            comments.open(comment.map(|c| c.text));
            sections.push(Section { kind, interface: None, span: code.span, entries: vec![], name: None });
        } else {
            comments.entry(comment.map(|c| c.text));
            if sections.is_empty() {
                sections.push(Section { kind: Kind::Unknown, interface: None, span: code.span, entries: vec![], name: None });
            }
            let (key, value) = code.split('=').unwrap_or((code, code.part(code.text.len(), code.text.len())));
            if let Some(section) = sections.last_mut() {
                section.span = section.span.to(code.span);
                section.entries.push(Entry { key: key.text, value, span: code.span });
            }
        }
    }
    if let Some(last) = sections.last_mut() {
        last.name = comments.close();
    }
    sections
}
