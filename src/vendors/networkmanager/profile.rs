//! A profile as sections of entries.

use crate::diag::LineState;
use crate::source::Span;
use crate::syntax::ini::{Line, Text, line};
use crate::syntax::wireguard::is_placeholder;
use crate::vendors::Reader;

/// `key=value` of a section.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    /// As written.
    pub value: String,
    /// Where the value stands.
    pub at: Span,
    /// The line.
    pub span: Span,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    pub name: String,
    pub span: Span,
    pub entries: Vec<Entry>,
}

/// A profile.
pub(super) struct Profile {
    pub sections: Vec<Section>,
}

impl Section {
    /// The last entry of a key: a key file keeps the last.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|e| e.key == key).filter(|e| !e.value.is_empty())
    }

    /// Its value.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(|e| e.value.as_str())
    }

    /// Whether it is `true`, `yes` or 1.
    pub fn yes(&self, key: &str) -> bool {
        self.value(key).is_some_and(is_yes)
    }
}

/// A key file writes `true`; the data of plugins `yes`.
pub(super) fn is_yes(value: &str) -> bool {
    ["true", "yes", "1", "on"].iter().any(|w| value.eq_ignore_ascii_case(w))
}

impl Profile {
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }
}

/// Keys that hold a secret, in whatever section. Their flags and what names a file are none.
fn is_secret(section: &str, key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    if lower.ends_with("-flags") || lower.ends_with(" flags") || lower.ends_with("-type") {
        return false;
    }
    if section == "vpn-secrets" {
        return true;
    }
    let words =
        ["password", "secret", "psk", "preshared-key", "private-key", "wep-key", "pin", "leap-password", "cookie", "gwcert", "passwd"];
    // `private-key=/path` of a certificate is a path; a key of WireGuard is none.
    words.iter().any(|w| lower == *w || lower.ends_with(&format!("-{w}")) || lower.starts_with("wep-key"))
        || lower.contains("password")
        || lower.contains("psk")
}

/// Reads the profile, and hides its secrets. Blank lines are marked here, entries by whoever lowers them.
pub(super) fn parse(reader: &mut Reader<'_>) -> Profile {
    let source = reader.file;
    let mut profile = Profile { sections: Vec::new() };
    for i in 0..source.line_count() {
        match line(source, i) {
            Line::Blank(span) => reader.mark(span, LineState::Irrelevant),
            Line::Section(name) => {
                reader.mark(name.span, LineState::Understood);
                profile.sections.push(Section { name: name.text.to_owned(), span: source.line_span(i), entries: Vec::new() });
            }
            Line::Entry(key, value) => entry(reader, &mut profile, key, value),
            Line::Other(text) => {
                reader.secret(text.span);
                reader.note(text.span, LineState::Unrecognised, "neither `key=value` nor a section");
            }
        }
    }
    profile
}

fn entry(reader: &mut Reader<'_>, profile: &mut Profile, key: Text<'_>, value: Text<'_>) {
    let span = key.span.to(value.span);
    let Some(section) = profile.sections.last_mut() else {
        reader.secret(value.span);
        return reader.note(span, LineState::Unrecognised, "an entry outside of any section");
    };
    let path = value.text.starts_with("file:") || (value.text.starts_with('/') && section.name != "vpn-secrets");
    if is_secret(&section.name, key.text) && !value.text.is_empty() && !path && !is_placeholder(value.text) {
        reader.secret(value.span);
    }
    section.entries.push(Entry { key: key.text.to_owned(), value: value.text.to_owned(), at: value.span, span });
}
