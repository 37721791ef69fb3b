//! `ipsec.secrets`: everything in it is hidden; pre-shared keys can be compared.

use super::words::Place;
use crate::diag::LineState;
use crate::source::{FileId, SourceFile, Span};
use crate::vendors::{Detection, Reader};

/// A pre-shared key with the ids of its ends.
#[derive(Clone, Debug)]
pub(super) struct Psk {
    pub ids: Vec<String>,
    pub secret: Span,
}

/// Kinds of secrets (strongSwan's and libreswan's ipsec.secrets(5)).
const KINDS: &[&str] =
    &["PSK", "RSA", "ECDSA", "PKCS8", "PKCS12", "P12", "EAP", "XAUTH", "NTLM", "PIN", "BLISS", "DSA", "PPK", "PPKS", "PUBKEY"];

/// What stands behind the colon of a line: ids, kind, value.
fn entry(place: Place<'_>) -> Option<(Place<'_>, Place<'_>, Place<'_>)> {
    let mut from = 0;
    // An id may hold colons (IPv6): the colon that counts has a kind behind it.
    while let Some(at) = place.text.get(from..)?.find(':') {
        let colon = from + at;
        let (kind, value) = place.part(colon + 1, place.text.len()).word();
        if KINDS.iter().any(|k| kind.text.eq_ignore_ascii_case(k)) {
            return Some((place.part(0, colon), kind, value));
        }
        from = colon + 1;
    }
    None
}

pub(super) fn detect(source: &SourceFile) -> Option<Detection> {
    let lines = super::head(source).lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let (mut found, mut all) = (0usize, 0usize);
    let mut block = false;
    for line in lines {
        if block {
            block = !line.starts_with('}');
            continue;
        }
        all += 1;
        let place = Place { text: line, span: Span::new(source.id, 0, line.len()) };
        if let Some((ids, kind, value)) = entry(place) {
            // `interface: eth0` and the like have other words there.
            found += usize::from(!ids.text.contains('=') && kind.text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()));
            block = value.text.starts_with('{') && !value.text.contains('}');
        } else if line.starts_with("include ") {
            all -= 1;
        }
    }
    if found > 0 && found * 2 >= all { super::certain("has lines `: PSK`, `: RSA` and the like") } else { None }
}

pub(super) fn includes(source: &SourceFile) -> Vec<(String, Span)> {
    (0..source.line_count())
        .filter_map(|i| {
            let (word, rest) = Place::of(source, source.line_span(i)).word();
            (word.text == "include" && !rest.text.is_empty()).then(|| (rest.unquoted().text.to_owned(), rest.span))
        })
        .collect()
}

pub(super) fn read(reader: &mut Reader<'_>) {
    read_file(reader, reader.file.id);
}

/// Reads a file of secrets. Each of its lines is hidden but for the ids and the kind.
pub(super) fn read_file(reader: &mut Reader<'_>, id: FileId) -> Vec<Psk> {
    let source = reader.text_of(id);
    let mut found = Vec::new();
    // Ids of an entry whose kind is on a line of its own.
    let mut block = false;
    for i in 0..source.line_count() {
        let place = Place::of(source, source.line_span(i));
        let trimmed = place.part(0, place.text.len());
        let mut state = LineState::Irrelevant;
        if trimmed.text.is_empty() {
        } else if trimmed.text.starts_with('#') {
            // Old secrets live on in comments.
            if let Some((_, _, value)) = entry(trimmed) {
                hide(reader, value);
            }
        } else if block {
            hide(reader, trimmed);
            block = !trimmed.text.contains('}');
        } else if trimmed.text.starts_with("include") {
            state = LineState::Understood;
            for target in reader.include(id, trimmed.word().1.unquoted().text) {
                if target.id != id && detect(target).is_some() {
                    // One level: a secret that includes secrets that include more is not known to happen.
                    found.extend(lines_of(reader, target));
                }
            }
        } else if let Some((ids, kind, value)) = entry(trimmed) {
            state = LineState::Understood;
            found.extend(psk(ids, kind, value));
            hide(reader, value);
            block = value.text.starts_with('{') && !value.text.contains('}');
        } else {
            hide(reader, trimmed);
            reader.note(trimmed.span, LineState::Unrecognised, "neither a secret nor an include");
        }
        reader.mark(place.span, state);
    }
    found
}

/// The secrets of an included file.
fn lines_of(reader: &mut Reader<'_>, source: &SourceFile) -> Vec<Psk> {
    let mut found = Vec::new();
    for i in 0..source.line_count() {
        let place = Place::of(source, source.line_span(i));
        let trimmed = place.part(0, place.text.len());
        let state = match entry(trimmed) {
            Some((ids, kind, value)) => {
                found.extend(psk(ids, kind, value));
                hide(reader, value);
                LineState::Understood
            }
            None => {
                if !trimmed.text.starts_with('#') {
                    hide(reader, trimmed);
                }
                LineState::Irrelevant
            }
        };
        reader.mark(place.span, state);
    }
    found
}

fn psk(ids: Place<'_>, kind: Place<'_>, value: Place<'_>) -> Option<Psk> {
    let value = value.unquoted();
    let wanted = kind.text.eq_ignore_ascii_case("PSK") && !value.text.is_empty();
    wanted.then(|| Psk { ids: ids.text.split_whitespace().map(|w| w.trim_matches('"').to_owned()).collect(), secret: value.span })
}

/// Hides a value: of a key file with its passphrase in quotes only that, else all of it.
fn hide(reader: &mut Reader<'_>, value: Place<'_>) {
    let quotes: Vec<usize> = value.text.match_indices('"').map(|(i, _)| i).collect();
    for pair in quotes.chunks(2) {
        let (start, end) = (pair.first().map_or(0, |i| i + 1), pair.get(1).copied().unwrap_or(value.text.len()));
        let inner = value.part(start, end);
        if inner.text.len() > 1 {
            reader.secret(inner.span);
        }
    }
    if quotes.is_empty() && value.text.len() > 1 {
        reader.secret(value.unquoted().span);
    }
}

/// The key of two ends: the entry that names most of them (ipsec.secrets(5)).
pub(super) fn find(list: &[Psk], local: &str, remote: &str) -> Option<Span> {
    let same = |a: &str, b: &str| a.trim_start_matches('@').eq_ignore_ascii_case(b.trim_start_matches('@'));
    let score = |psk: &Psk| -> Option<usize> {
        let any = |i: &String| matches!(i.as_str(), "%any" | "%any6" | "0.0.0.0" | "::");
        let fits = |end: &str| psk.ids.iter().any(|i| same(i, end));
        match psk.ids.len() {
            0 => Some(0),
            1 => (fits(local) || fits(remote)).then_some(2).or(psk.ids.iter().any(any).then_some(0)),
            _ => {
                let wild = psk.ids.iter().any(any);
                match (fits(local), fits(remote)) {
                    (true, true) => Some(4),
                    (false, true) | (true, false) if wild => Some(3),
                    (false, false) if psk.ids.iter().all(any) => Some(1),
                    _ => None,
                }
            }
        }
    };
    let mut best: Option<(usize, Span)> = None;
    for psk in list {
        if let Some(n) = score(psk)
            && best.is_none_or(|(m, _)| n > m)
        {
            best = Some((n, psk.secret));
        }
    }
    best.map(|b| b.1)
}
