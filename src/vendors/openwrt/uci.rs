//! UCI's text: `package`, `config`, `option`, `list`, with quotes; and the lines of `uci show`.
//!
//! Words are quoted as in a shell (libuci, `file.c`): single quotes hold everything, double quotes let a backslash quote the next character, and so
//! does a bare word. A quoted word may go on over lines.

use crate::diag::LineState::{Irrelevant, Understood, Unrecognised, Unsupported};
use crate::source::Span;
use crate::vendors::Reader;

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    /// Its package, where the text says.
    pub package: Option<String>,
    /// Its type: `zone`.
    pub kind: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The line that begins it.
    pub head: Span,
    /// From its first to its last line.
    pub whole: Span,
    /// Its options, in order.
    pub options: Vec<Opt>,
}

/// An option or list.
#[derive(Debug)]
pub(super) struct Opt {
    /// Its name.
    pub key: String,
    /// Its values: one for each `list` line, or the one of `option`.
    pub values: Vec<Word>,
    /// The whole line (the first, of a list).
    pub span: Span,
}

/// A word with its place.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub text: String,
    pub span: Span,
}

impl Section {
    /// The option of a name; the last one counts, as in libuci.
    pub fn get(&self, key: &str) -> Option<&Opt> {
        self.options.iter().rev().find(|o| o.key == key)
    }

    /// The first value of an option.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|o| o.values.first()).map(|v| v.text.as_str())
    }

    /// All values of an option; those of `option` are split at blanks, as everywhere in OpenWrt where a list may be written so.
    pub fn list(&self, key: &str) -> Vec<Word> {
        let split =
            |w: &Word| -> Vec<Word> { w.text.split_ascii_whitespace().map(|t| Word { text: t.to_owned(), span: w.span }).collect() };
        self.get(key).map(|o| o.values.iter().flat_map(split).collect()).unwrap_or_default()
    }

    /// The place of an option, or the section's first line.
    pub fn at(&self, key: &str) -> Span {
        self.get(key).map_or(self.head, |o| o.span)
    }

    /// A boolean, as fw4 and libubox read it.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            "1" | "on" | "true" | "yes" | "enabled" => Some(true),
            "0" | "off" | "false" | "no" | "disabled" => Some(false),
            _ => None,
        }
    }
}

/// Whether an option's value is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "private_key",
        "preshared_key",
        "password",
        "passwd",
        "key",
        "key1",
        "key2",
        "key3",
        "key4",
        "psk",
        "secret",
        "auth_secret",
        "pincode",
        "sae_password",
    ]
    .contains(&key.as_str())
        || key.ends_with("_password")
        || key.ends_with("_secret")
        || key.ends_with("passphrase")
}

/// The parts of a line of `uci show`: package, section, option, and the rest after the `=`.
pub(super) fn shown(line: &str) -> Option<(&str, &str, Option<&str>, &str)> {
    let (path, value) = line.split_once('=')?;
    let mut parts = path.splitn(3, '.');
    let (package, section, option) = (parts.next()?, parts.next()?, parts.next());
    let word = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let section_ok = word(section.trim_start_matches('@').split('[').next().unwrap_or_default());
    (word(package) && section_ok && option.is_none_or(word)).then_some((package, section, option, value))
}

/// Reads the sections of a file, and says what cannot be read.
pub(super) fn parse(reader: &mut Reader<'_>) -> Vec<Section> {
    let file = reader.file;
    let mut out: Vec<Section> = Vec::new();
    let mut package: Option<String> = None;
    let mut at = 0;
    while at < file.text.len() {
        let rest = file.text.get(at..).unwrap_or_default();
        let (words, used, closed) = words(rest, at, file.id);
        let span = Span::new(file.id, at, at + rest.get(..used).unwrap_or_default().trim_end().len());
        at += used.max(1);
        let Some(first) = words.first() else {
            reader.mark(span, Irrelevant);
            continue;
        };
        if !closed {
            reader.note(first.span, Unsupported, "a quote is not closed");
        }
        let arg = |i: usize| words.get(i).map(|w| w.text.clone());
        match first.text.as_str() {
            "package" => {
                package = arg(1);
                reader.mark(span, Understood);
            }
            "config" if words.len() >= 2 => {
                reader.mark(span, Understood);
                out.push(Section {
                    package: package.clone(),
                    kind: arg(1).unwrap_or_default(),
                    name: arg(2).filter(|n| !n.is_empty()),
                    head: span,
                    whole: span,
                    options: Vec::new(),
                });
            }
            kind @ ("option" | "list") if words.len() >= 2 && !out.is_empty() => {
                reader.mark(span, Understood);
                let (key, value) = (arg(1).unwrap_or_default(), words.get(2).cloned());
                if let Some(section) = out.last_mut() {
                    section.whole = section.whole.to(span);
                    add(section, kind == "list", key, value.into_iter().collect(), span);
                }
            }
            _ => match shown(rest.lines().next().unwrap_or_default().trim_end()) {
                Some((package, section, option, value)) => {
                    reader.mark(span, Understood);
                    show_line(&mut out, (package, section, option), value, span, file.id);
                }
                None => reader.note(span, Unrecognised, "neither a section nor an option of UCI"),
            },
        }
    }
    out
}

fn add(section: &mut Section, list: bool, key: String, mut values: Vec<Word>, span: Span) {
    match section.options.iter_mut().rev().find(|o| o.key == key) {
        Some(known) if list => known.values.append(&mut values),
        _ => section.options.push(Opt { key, values, span }),
    }
}

/// One line of `uci show`: the section begins with a line without option.
fn show_line(out: &mut Vec<Section>, path: (&str, &str, Option<&str>), value: &str, span: Span, file: crate::source::FileId) {
    let (package, section, option) = path;
    let start = span.end as usize - value.len().min(span.end as usize);
    let (values, ..) = words(value, start, file);
    let id = format!("{package}.{section}");
    match option {
        None => out.push(Section {
            package: Some(package.to_owned()),
            kind: values.first().map(|v| v.text.clone()).unwrap_or_default(),
            name: Some(section.to_owned()),
            head: span,
            whole: span,
            options: Vec::new(),
        }),
        Some(option) => {
            let same = |s: &Section| s.name.as_deref().is_some_and(|n| format!("{}.{n}", s.package.as_deref().unwrap_or_default()) == id);
            // `uci show` prints the options of a section right after it.
            if let Some(section) = out.last_mut().filter(|s| same(s)) {
                section.whole = section.whole.to(span);
                add(section, false, option.to_owned(), values, span);
            }
        }
    }
}

/// The words of one statement at the beginning of `text`, how many bytes it takes with its line end, and whether its quotes are closed.
/// `base` is where `text` begins in the file.
fn words(text: &str, base: usize, file: crate::source::FileId) -> (Vec<Word>, usize, bool) {
    let mut out: Vec<Word> = Vec::new();
    let mut word: Option<(String, usize)> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((i, c)) = chars.next() {
        let open = |word: &mut Option<(String, usize)>| {
            if word.is_none() {
                *word = Some((String::new(), i));
            }
        };
        match (quote, c) {
            (None, '\n') => {
                end = i + 1;
                if let Some((text, start)) = word.take() {
                    out.push(Word { text, span: Span::new(file, base + start, base + i) });
                }
                return (out, end, true);
            }
            (None, '#') if word.is_none() => {
                let line = text.get(i..).and_then(|t| t.find('\n')).map_or(text.len(), |n| i + n + 1);
                return (out, line, true);
            }
            (None, c) if c.is_ascii_whitespace() => {
                if let Some((text, start)) = word.take() {
                    out.push(Word { text, span: Span::new(file, base + start, base + i) });
                }
            }
            (None, '\'' | '"') => {
                open(&mut word);
                quote = Some(c);
            }
            (Some(q), c) if q == c => quote = None,
            (None | Some('"'), '\\') => {
                open(&mut word);
                if let (Some((text, _)), Some((_, next))) = (word.as_mut(), chars.next()) {
                    text.push(next);
                }
            }
            (_, c) => {
                open(&mut word);
                if let Some((text, _)) = word.as_mut() {
                    text.push(c);
                }
            }
        }
    }
    if let Some((text, start)) = word.take() {
        out.push(Word { text, span: Span::new(file, base + start, base + end) });
    }
    (out, end, quote.is_none())
}
