//! Where secrets stand in a configuration.

use std::ops::Range;

use super::parse::Directive;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// Whether the first line of a PEM block (or of an OpenVPN key) begins a secret.
pub(super) fn is_secret_pem(line: &str) -> bool {
    ["PRIVATE KEY", "Static key", "tls-crypt-v2", "auth-token"].iter().any(|w| line.contains(w))
}

/// Marks the secrets of a block's lines: a PEM as a whole, every other line that is no comment.
pub(super) fn mark_body(reader: &mut Reader<'_>, file: &SourceFile, lines: Range<usize>) {
    let mut index = lines.start;
    while index < lines.end {
        let text = file.line(index);
        let mut last = index;
        if text.trim_start().starts_with("-----BEGIN ") {
            last = (index..lines.end).find(|&i| file.line(i).trim_start().starts_with("-----END ")).unwrap_or(lines.end - 1);
        } else if text.trim().is_empty() || text.trim_start().starts_with('#') {
            index += 1;
            continue;
        }
        let span = file.line_span(index).to(file.line_span(last));
        reader.secret(trimmed(file, span));
        index = last + 1;
    }
}

/// Marks the private keys among a block's lines.
pub(super) fn mark_secret_pems(reader: &mut Reader<'_>, file: &SourceFile, lines: Range<usize>) {
    let mut index = lines.start;
    while index < lines.end {
        let text = file.line(index);
        if text.trim_start().starts_with("-----BEGIN ") && is_secret_pem(text) {
            let last = (index..lines.end).find(|&i| file.line(i).trim_start().starts_with("-----END ")).unwrap_or(lines.end - 1);
            reader.secret(trimmed(file, file.line_span(index).to(file.line_span(last))));
            index = last;
        }
        index += 1;
    }
}

fn trimmed(file: &SourceFile, span: Span) -> Span {
    let text = file.slice(span);
    let start = span.start as usize + (text.len() - text.trim_start().len());
    Span::new(span.file, start, span.start as usize + text.trim_end().len())
}

/// Keys that were commented out line by line.
#[derive(Default)]
pub(super) struct CommentedPem {
    inside: bool,
}

impl CommentedPem {
    /// Looks at a comment line.
    pub fn line(&mut self, reader: &mut Reader<'_>, text: &str, span: Span) {
        let bare = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '#' | ';'));
        if bare.starts_with("-----BEGIN ") {
            self.inside = is_secret_pem(bare);
        } else if bare.starts_with("-----END ") {
            self.inside = false;
        } else if self.inside && !bare.trim().is_empty() {
            let start = span.start as usize + (text.len() - bare.len());
            reader.secret(Span::new(span.file, start, start + bare.trim_end().len()));
        }
    }
}

/// Words in the name of something that holds a secret.
pub(super) fn sounds_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "pwd", "psk", "auth", "cred", "pin"].iter().any(|w| lower.contains(w))
}

/// Marks all of a line that is not understood and may hold a secret; its first word stays visible if it is a word.
pub(super) fn hide_line(reader: &mut Reader<'_>, file: &SourceFile, span: Span) {
    let span = trimmed(file, span);
    let text = file.slice(span);
    let first = text.split_whitespace().next().unwrap_or("");
    if !is_name(first) {
        reader.secret(span);
    } else if text.len() > first.len() && sounds_secret(first) {
        reader.secret(trimmed(file, Span { start: span.start + first.len() as u32, ..span }));
    }
}

/// Marks the arguments of a directive that is not understood, if `name`, what it seems to be about, sounds as if they were secret.
pub(super) fn hide_args(reader: &mut Reader<'_>, directive: &Directive<'_>, name: &str) {
    if sounds_secret(name) {
        directive.args.iter().filter(|w| w.text != name).for_each(|w| reader.secret(w.span));
    }
}

/// Whether a word can be the name of a directive: short, lower-case letters, digits and hyphens.
pub(super) fn is_name(word: &str) -> bool {
    let word = word.strip_prefix("--").unwrap_or(word);
    (1..=40).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        && word.bytes().any(|b| b.is_ascii_lowercase())
}

/// The value under which a directive is kept: its arguments, without what is or may be secret, which is marked.
pub(super) fn value(reader: &mut Reader<'_>, directive: &Directive<'_>) -> String {
    let mut hide = |from: usize| directive.args.iter().skip(from).for_each(|w| reader.secret(w.span));
    match directive.name.as_str() {
        // `scramble obfuscate PASSWORD`.
        "auth-token" | "scramble" => {
            hide(0);
            String::new()
        }
        // `http-proxy-option CUSTOM-HEADER Proxy-Authorization "Basic …"`.
        "http-proxy-option" if directive.arg(0).eq_ignore_ascii_case("CUSTOM-HEADER") => {
            hide(2);
            directive.args.iter().take(2).map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
        }
        "setenv" | "setenv-safe" => {
            if sounds_secret(directive.arg(0)) {
                hide(1);
            }
            directive.arg(0).to_owned()
        }
        "pkcs11-id" if directive.joined().contains("pin-value") => {
            hide(0);
            String::new()
        }
        _ => directive.joined(),
    }
}

/// The program of a directive that runs a command. Its arguments are not kept; where they may be secret, they are marked.
pub(super) fn program(reader: &mut Reader<'_>, directive: &Directive<'_>) -> String {
    let Some(first) = directive.args.first() else { return String::new() };
    let program = first.text.split_whitespace().next().unwrap_or("").to_owned();
    let rest: String = directive.joined().chars().skip(program.chars().count()).collect();
    if sounds_secret(&rest) {
        for (i, word) in directive.args.iter().enumerate() {
            let raw = directive.file.slice(word.span);
            let skip = if i > 0 { 0 } else { raw.find(char::is_whitespace).unwrap_or(raw.len()) };
            let start = word.span.start as usize + skip;
            if start < word.span.end as usize {
                reader.secret(trimmed(directive.file, Span::new(word.span.file, start, word.span.end as usize)));
            }
        }
    }
    program
}
