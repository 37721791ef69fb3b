//! What `wg show` prints, for people and (`dump`) for programs, read into the same sections as a configuration.

use super::keys;
use super::parse::{Entry, Kind, Section, Text};
use crate::diag::LineState::{Irrelevant, Unrecognised};
use crate::source::SourceFile;
use crate::vendors::Reader;

/// Whether a text begins as `wg show` does.
pub(super) fn is_show(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    lines.next().is_some_and(|l| l.starts_with("interface: "))
        && lines.take(4).any(|l| ["public key:", "private key:", "listening port:"].iter().any(|k| l.starts_with(k)))
}

/// The words of `wg show` and the keys of a configuration.
const WORDS: &[(&str, &str)] = &[
    ("public key", "PublicKey"),
    ("private key", "PrivateKey"),
    ("listening port", "ListenPort"),
    ("fwmark", "FwMark"),
    ("preshared key", "PresharedKey"),
    ("endpoint", "Endpoint"),
    ("allowed ips", "AllowedIPs"),
    ("persistent keepalive", "PersistentKeepalive"),
];

/// Reads `wg show`.
pub(super) fn parse_show<'a>(file: &'a SourceFile, reader: &mut Reader<'_>) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    for index in 0..file.line_count() {
        let line = Text::line(file, index);
        let line = line.part(0, line.text.len());
        let Some((word, value)) = line.split(':') else {
            if !line.text.is_empty() {
                reader.note(line.span, Unrecognised, "not a line of `wg show`");
            }
            continue;
        };
        let entry = |key| Entry { key, value, span: line.span };
        match word.text {
            "interface" => {
                let interface = Some(value.text);
                sections.push(Section { kind: Kind::Interface, interface, span: line.span, entries: vec![], name: None });
            }
            "peer" => {
                let entries = vec![entry("PublicKey")];
                sections.push(Section { kind: Kind::Peer, interface: None, span: line.span, entries, name: None });
            }
            "latest handshake" | "transfer" => reader.mark(line.span, Irrelevant),
            word => match (WORDS.iter().find(|(w, _)| *w == word), sections.last_mut()) {
                (Some((_, key)), Some(section)) => {
                    section.span = section.span.to(line.span);
                    section.entries.extend(shown(key, value).map(|value| Entry { value, ..entry(key) }));
                    reader.mark(line.span, Irrelevant);
                }
                _ => reader.note(line.span, Unrecognised, "not a line of `wg show`"),
            },
        }
    }
    sections
}

/// A value as a configuration would have it; `None` for one that says that there is none.
fn shown<'a>(key: &str, value: Text<'a>) -> Option<Text<'a>> {
    match (key, value.text) {
        (_, "(none)" | "(hidden)" | "") => None,
        ("FwMark", "off" | "0x0") => None,
        // `every 25 seconds`; other spellings (minutes) have more than one number and are left out.
        ("PersistentKeepalive", text) => {
            let seconds = text.strip_prefix("every ")?.strip_suffix(" seconds").or(text.strip_prefix("every ")?.strip_suffix(" second"))?;
            Some(value.part("every ".len(), "every ".len() + seconds.len())).filter(|v| v.text.bytes().all(|b| b.is_ascii_digit()))
        }
        _ => Some(value),
    }
}

/// Columns of a peer in `wg show INTERFACE dump`; `wg show all dump` has the interface before them (wg(8)).
const PEER: [&str; 8] = ["PublicKey", "PresharedKey", "Endpoint", "AllowedIPs", "", "", "", "PersistentKeepalive"];
/// Columns of an interface.
const INTERFACE: [&str; 4] = ["PrivateKey", "PublicKey", "ListenPort", "FwMark"];

/// Whether a text has the columns of `wg show dump`.
pub(super) fn is_dump(text: &str) -> bool {
    let Some(line) = text.lines().find(|l| !l.trim().is_empty()) else { return false };
    let columns: Vec<&str> = line.split('\t').collect();
    // The public key decides: the private one may be hidden.
    match columns.as_slice() {
        [_, public, _, _] | [_, _, public, _, _] => keys::looks_like_key(public),
        _ => false,
    }
}

/// Reads `wg show dump`.
pub(super) fn parse_dump<'a>(file: &'a SourceFile, reader: &mut Reader<'_>) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    for index in 0..file.line_count() {
        let line = Text::line(file, index);
        if line.text.trim().is_empty() {
            continue;
        }
        let mut at = 0;
        let mut columns: Vec<Text<'a>> = Vec::new();
        for column in line.text.split('\t') {
            columns.push(line.part(at, at + column.len()));
            at += column.len() + 1;
        }
        let (kind, names): (_, &[&'static str]) = match columns.len() {
            4 | 5 => (Kind::Interface, &INTERFACE),
            8 | 9 => (Kind::Peer, &PEER),
            _ => {
                // Which column is the private key is not known, so none is shown.
                columns.iter().filter(|c| keys::looks_like_key(c.text)).for_each(|c| reader.secret(c.span));
                reader.note(line.span, Unrecognised, "not a line of `wg show dump`");
                continue;
            }
        };
        let named = columns.len() > names.len();
        let interface = columns.first().filter(|_| named).map(|c| c.text);
        let entries = names
            .iter()
            .zip(columns.iter().skip(usize::from(named)))
            .filter(|(name, column)| !name.is_empty() && !matches!(column.text, "(none)" | "(hidden)" | "" | "off") && column.text != "0x0")
            .map(|(key, value)| Entry { key, value: *value, span: value.span })
            .collect();
        sections.push(Section { kind, interface, span: line.span, entries, name: None });
    }
    sections
}
