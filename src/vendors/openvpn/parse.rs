//! Text to directives: words with quotes and escapes, inline files, `<connection>` blocks.

use std::ops::Range;

use super::directives::{PUBLIC_BLOCKS, SECRET_BLOCKS};
use super::secrets;
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unrecognised};
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// A word: a directive's name or an argument.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// Without quotes, escapes resolved.
    pub text: String,
    /// Where it stands, without quotes.
    pub span: Span,
}

/// A directive: a line, or an inline file.
#[derive(Clone, Debug)]
pub(super) struct Directive<'a> {
    /// The file it stands in.
    pub file: &'a SourceFile,
    /// Name, without `--` and `<>`.
    pub name: String,
    /// Arguments.
    pub args: Vec<Word>,
    /// The line; of a block, its first line.
    pub span: Span,
    /// The text inside a block.
    pub body: Option<Span>,
    /// The directives inside a `<connection>` block.
    pub inner: Vec<Directive<'a>>,
}

impl Directive<'_> {
    /// The text of an argument, from 0; empty where there is none.
    pub fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", |w| w.text.as_str())
    }

    /// The span of an argument; of the whole directive where there is none.
    pub fn arg_span(&self, index: usize) -> Span {
        self.args.get(index).map_or(self.span, |w| w.span)
    }

    /// All arguments, with one blank between them.
    pub fn joined(&self) -> String {
        self.args.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// Splits a line as OpenVPN does (`parse_line` of its options parser; openvpn(8), `--config`): blanks separate; `"…"` and `'…'` hold blanks;
/// a backslash outside `'…'` takes the next character as it is; `#` and `;` at the beginning of a word end the line.
pub(super) fn words(text: &str, span: Span) -> Result<Vec<Word>, &'static str> {
    let mut out = Vec::new();
    let mut chars = text.char_indices().peekable();
    let base = span.start as usize;
    let at = |a: usize, b: usize| Span::new(span.file, base + a, base + b);
    while let Some(&(start, c)) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        if c == '#' || c == ';' {
            break;
        }
        let quote = (c == '"' || c == '\'').then_some(c);
        if quote.is_some() {
            chars.next();
        }
        let start = start + usize::from(quote.is_some());
        let mut word = String::new();
        let mut end = text.len();
        let mut closed = quote.is_none();
        while let Some((i, c)) = chars.next() {
            match (quote, c) {
                (Some(q), c) if c == q => {
                    end = i;
                    closed = true;
                    break;
                }
                (None, c) if c.is_whitespace() => {
                    end = i;
                    break;
                }
                (quote, '\\') if quote != Some('\'') => match chars.next() {
                    Some((_, next)) => word.push(next),
                    None => return Err("a backslash at the end of the line"),
                },
                (_, c) => word.push(c),
            }
        }
        if !closed {
            return Err("a quotation mark without its counterpart");
        }
        out.push(Word { text: word, span: at(start, end) });
    }
    Ok(out)
}

/// Reads a file. Comments, blank lines and blocks are marked here, directives by whoever lowers them.
pub(super) fn parse<'a>(file: &'a SourceFile, reader: &mut Reader<'_>) -> Vec<Directive<'a>> {
    lines(file, reader, 0..file.line_count(), true)
}

fn lines<'a>(file: &'a SourceFile, reader: &mut Reader<'_>, range: Range<usize>, outermost: bool) -> Vec<Directive<'a>> {
    let mut out = Vec::new();
    let mut in_comment = secrets::CommentedPem::default();
    let mut endless = false;
    let mut index = range.start;
    while index < range.end {
        let line = index;
        index += 1;
        let span = file.line_span(line);
        let text = file.slice(span);
        if text.trim_start().starts_with("-----BEGIN ") {
            // Without an end it is this line only, and no later one needs to look for an end again.
            let end = if endless { None } else { (line..range.end).find(|&i| file.line(i).trim_start().starts_with("-----END ")) };
            endless = end.is_none();
            let last = end.unwrap_or(line);
            let whole = span.to(file.line_span(last));
            if secrets::is_secret_pem(text) {
                reader.secret(whole);
            }
            reader.note(whole, Unrecognised, "a PEM block outside of any inline file");
            index = last + 1;
            continue;
        }
        let words = match words(text, span) {
            Ok(words) => words,
            Err(why) => {
                secrets::hide_line(reader, file, span);
                reader.note(span, Unrecognised, format!("OpenVPN refuses this line: {why}"));
                continue;
            }
        };
        let Some((name, args)) = words.split_first() else {
            in_comment.line(reader, text, span);
            reader.mark(span, Irrelevant);
            continue;
        };
        in_comment = secrets::CommentedPem::default();
        let span = trimmed(text, span);
        let block = name.text.strip_prefix('<').and_then(|n| n.strip_suffix('>')).filter(|n| args.is_empty() && !n.starts_with('/'));
        let Some(block) = block else {
            let name = name.text.strip_prefix("--").unwrap_or(&name.text).to_owned();
            out.push(Directive { file, name, args: args.to_vec(), span, body: None, inner: vec![] });
            continue;
        };
        let end_tag = format!("</{block}>");
        let end = (index..range.end).find(|&i| file.line(i).trim_start().starts_with(&end_tag));
        let last = end.unwrap_or(range.end);
        let body = if last > index { file.line_span(index).to(file.line_span(last - 1)) } else { Span { start: span.end, ..span } };
        let whole = span.to(file.line_span(if end.is_some() { last } else { range.end - 1 }));
        let mut inner = Vec::new();
        if block == "connection" && outermost {
            reader.mark(span, Understood);
            if end.is_some() {
                reader.mark(file.line_span(last), Understood);
            }
            inner = lines(file, reader, index..last, false);
        } else if PUBLIC_BLOCKS.contains(&block) && block != "connection" {
            reader.mark(whole, Understood);
            // Whoever pastes a private key into <cert> must not see it in a report.
            secrets::mark_secret_pems(reader, file, index..last);
        } else {
            secrets::mark_body(reader, file, index..last);
            let known = SECRET_BLOCKS.contains(&block);
            reader.mark(whole, if known { Understood } else { NotModelled });
            if !known {
                reader.note(span, Unrecognised, "OpenVPN has no such inline file");
            }
        }
        if end.is_none() {
            reader.note(span, Unrecognised, "this block is not closed: OpenVPN refuses the file");
        }
        out.push(Directive { file, name: block.to_owned(), args: vec![], span, body: Some(body), inner });
        index = last + usize::from(end.is_some());
    }
    out
}

fn trimmed(text: &str, span: Span) -> Span {
    let start = span.start as usize + (text.len() - text.trim_start().len());
    Span::new(span.file, start, span.start as usize + text.trim_end().len())
}
