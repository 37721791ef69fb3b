//! `.reg` files of the registry editor and `reg export`: keys in brackets, values as `"name"=data`.

use super::facts::Facts;
use super::registry::{self, Data, Place};
use super::settings::Store;
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// Reads a file.
pub(super) fn read(reader: &mut Reader<'_>, facts: &mut Facts, file: &SourceFile) {
    let mut at: Option<Place> = None;
    let mut index = 0;
    while index < file.line_count() {
        let line = file.line(index);
        let span = file.line_span(index);
        index += 1;
        let trimmed = line.trim();
        if let Some(key) = trimmed.strip_prefix('[').and_then(|k| k.strip_suffix(']')) {
            if key.starts_with('-') {
                // A file that removes keys is no export.
                at = None;
                continue;
            }
            at = registry::place(key);
            if at.is_some() {
                reader.mark(span, LineState::Understood);
                key_seen(facts, key);
            }
            continue;
        }
        secret(reader, file, line, span);
        let Some(place) = &at else { continue };
        let Some(rest) = trimmed.strip_prefix('"') else {
            if !trimmed.is_empty() && !trimmed.starts_with(';') && !trimmed.starts_with('@') {
                reader.note(span, LineState::Unrecognised, "this is no value of the registry");
                facts.lost(span);
            }
            continue;
        };
        let Some((name, rest)) = quoted(rest) else {
            reader.note(span, LineState::Unrecognised, "the quotes of this value do not end");
            facts.lost(span);
            continue;
        };
        if name.starts_with("**") {
            // An instruction of a policy (`**del.`): it takes values away.
            reader.mark(span, LineState::NotModelled);
            continue;
        }
        let data = rest.trim_start().strip_prefix('=').map(str::trim_start).unwrap_or("");
        // Bytes go on in the next line after a backslash.
        let mut whole = span;
        if data.starts_with("hex") && data.ends_with('\\') {
            while index < file.line_count() {
                let more = file.line(index);
                whole = whole.to(file.line_span(index));
                index += 1;
                if !more.trim_end().ends_with('\\') {
                    break;
                }
            }
        }
        let data = if let Some(text) = data.strip_prefix('"') {
            quoted(text).map_or(Data::Other, |(t, _)| Data::Text(t))
        } else if let Some(hex) = data.strip_prefix("dword:") {
            u32::from_str_radix(hex.trim(), 16).map_or(Data::Other, Data::Number)
        } else if data == "-" {
            // The value is removed.
            continue;
        } else {
            Data::Other
        };
        registry::take(reader, facts, place, &name, &data, (whole, value_span(file, whole, line)));
    }
}

/// Reads a security template (`GptTmpl.inf`): the values of the registry in its section `[Registry Values]`, `MACHINE\\key\\name=type,data`.
pub(super) fn template(reader: &mut Reader<'_>, facts: &mut Facts, file: &SourceFile) {
    let mut inside = false;
    for index in 0..file.line_count() {
        let line = file.line(index).trim();
        let span = file.line_span(index);
        if line.starts_with('[') {
            inside = line.eq_ignore_ascii_case("[Registry Values]");
            continue;
        }
        if !inside {
            continue;
        }
        let Some((path, data)) = line.split_once('=') else { continue };
        let Some((key, name)) = path.trim().trim_matches('"').rsplit_once('\\') else { continue };
        let Some(place) = registry::place(key) else { continue };
        let (kind, text) = data.split_once(',').unwrap_or((data, ""));
        let data = match kind.trim() {
            "4" => text.trim().parse().map_or(Data::Other, Data::Number),
            "1" | "2" => Data::Text(text.trim().trim_matches('"').to_owned()),
            _ => Data::Other,
        };
        registry::take(reader, facts, &place, name, &data, (span, span));
    }
}

/// Which stores the file shows whole: `reg export` writes the key that was asked for first, and all that is below it.
fn key_seen(facts: &mut Facts, key: &str) {
    let key = key.to_ascii_lowercase();
    let roots = [
        ("\\services\\sharedaccess\\parameters\\firewallpolicy", &[Store::Local, Store::Management][..]),
        ("\\software\\policies\\microsoft\\windowsfirewall", &[Store::Policy][..]),
    ];
    for (root, stores) in roots {
        if key.ends_with(root) {
            facts.whole_rules.extend_from_slice(stores);
            facts.settings.whole.extend_from_slice(stores);
        }
    }
}

/// Parts of names whose values are secrets: `SHKey` is the pre-shared key of a set of authentication methods of IPsec (MS-GPFAS 2.2.4), and a file may
/// hold other keys than those of the firewall.
const SECRET: &[&str] = &["shkey", "password", "passwd", "passphrase", "secret", "sharedkey", "psk", "privatekey", "apikey", "token"];

/// Marks what a value holds, if its name says that it is secret.
fn secret(reader: &mut Reader<'_>, file: &SourceFile, line: &str, span: Span) {
    let Some((name, data)) = line.split_once('=') else { return };
    let bare = super::props::bare(name);
    if SECRET.iter().any(|s| bare.contains(s)) {
        let quotes = |c: char| c == '"' || c.is_whitespace();
        let start = span.start as usize + name.len() + 1 + (data.len() - data.trim_start_matches(quotes).len());
        let length = data.trim_matches(quotes).len();
        if length > 0 {
            reader.secret(Span::new(file.id, start, start + length));
        }
    }
}

/// Text up to the closing quote, with `\\` and `\"` resolved, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => out.push(chars.next().map_or('\\', |(_, c)| c)),
            '"' => return Some((out, text.get(i + 1..)?)),
            c => out.push(c),
        }
    }
    None
}

fn value_span(file: &SourceFile, span: Span, line: &str) -> Span {
    let at = line.find("\"=").map_or(0, |i| i + 2);
    Span::new(file.id, span.start as usize + at, span.end as usize)
}
