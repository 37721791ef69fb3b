//! Who a certificate is for, where somebody printed it beside the PEM block (`openssl x509 -text` does, and so do the files of easy-rsa).
//! The certificate itself is not decoded.

use crate::source::{SourceFile, Span};

/// The common name of a printed subject in the text of `<cert>`: `Subject: C=DE, CN=alice`, `subject=/C=DE/CN=alice`.
pub(super) fn common_name(file: &SourceFile, body: Span) -> Option<(String, Span)> {
    let mut at = body.start as usize;
    for line in file.slice(body).split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim_start();
        let printed =
            trimmed.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("subject")) && trimmed.get(7..8).is_some_and(|c| c == ":" || c == "=");
        if !printed {
            continue;
        }
        let mut from = 0;
        while let Some(found) = line.get(from..).and_then(|l| l.find("CN")) {
            let name = from + found;
            from = name + 2;
            let before = line.get(..name).and_then(|l| l.chars().last());
            let Some(value) = line.get(from..).map(str::trim_start).and_then(|l| l.strip_prefix('=')) else { continue };
            if before.is_some_and(char::is_alphanumeric) {
                continue;
            }
            let value = value.trim_start();
            let begin = line.len() - value.len();
            let end = value.find([',', '/', '\r', '\n']).unwrap_or(value.len());
            let value = value.get(..end).unwrap_or("").trim();
            if !value.is_empty() && value.len() <= 64 && !value.chars().any(char::is_control) {
                return Some((value.to_owned(), Span::new(body.file, start + begin, start + begin + value.len())));
            }
        }
    }
    None
}

/// The certificate of `<cert>` as one word of base64, to be compared with others.
pub(super) fn certificate(file: &SourceFile, body: Span) -> Option<(String, Span)> {
    let text = file.slice(body);
    let begin = text.find("-----BEGIN CERTIFICATE-----")?;
    let rest = text.get(begin..)?;
    let end = rest.find("-----END CERTIFICATE-----")?;
    let base64: String = rest.get("-----BEGIN CERTIFICATE-----".len()..end)?.split_ascii_whitespace().collect();
    let start = body.start as usize + begin;
    (base64.len() >= 64).then(|| (base64, Span::new(body.file, start, start + end)))
}
