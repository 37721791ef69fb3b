//! From text to words: quotes, comments, continuation lines, macros and `include`, as the scanner of pfctl(8) (`parse.y`) has them.
//!
//! `$name` is replaced by the text of the macro, which is scanned anew, so that a macro may hold braces, and `$if:network` is one word.
//! Within quotes nothing is replaced. Words that come out of a macro have the span of its use.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diag::LineState;
use crate::source::{FileId, SourceFile, Span};
use crate::vendors::Reader;

/// What a token is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Tok {
    /// A bare word.
    Word(String),
    /// A quoted one.
    Quoted(String),
    /// `{ } ( ) , ! = != < <= <> > >= >< ->`.
    Punct(&'static str),
    /// The end of a line that is not continued.
    Newline,
}

/// A token with its place.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub tok: Tok,
    pub span: Span,
}

/// The tokens of a configuration and what was said beside them.
#[derive(Default)]
pub(super) struct Lexed {
    pub tokens: Vec<Token>,
    /// Comments at the end of a line that has something before it, by the offset at which they begin.
    pub comments: Vec<(FileId, u32, String)>,
    /// A comment or a macro was seen: pfctl prints neither.
    pub of_a_file: bool,
}

/// Macros in macros, files in files.
const DEPTH: usize = 16;
/// Bytes that macros may come to in one configuration.
const EXPANDED: usize = 8 << 20;

struct Macro {
    text: Arc<str>,
    busy: bool,
}

struct Lexer<'r, 'a> {
    reader: &'r mut Reader<'a>,
    out: Lexed,
    macros: HashMap<String, Macro>,
    expanded: usize,
    said: bool,
    files: Vec<FileId>,
}

/// Scans a file and what it includes.
pub(super) fn lex<'a>(reader: &mut Reader<'a>, file: &'a SourceFile) -> Lexed {
    let mut lexer = Lexer { reader, out: Lexed::default(), macros: HashMap::new(), expanded: 0, said: false, files: vec![file.id] };
    lexer.text(&file.text, file.id, None, 0);
    lexer.newline(file.whole());
    lexer.out
}

/// Words that begin a statement, by which the end of a forgotten quote or brace is seen.
pub(super) const STATEMENTS: &[&str] = &[
    "pass",
    "block",
    "match",
    "set",
    "table",
    "anchor",
    "nat",
    "rdr",
    "binat",
    "no",
    "antispoof",
    "load",
    "nat-anchor",
    "rdr-anchor",
    "binat-anchor",
    "scrub",
    "altq",
    "queue",
    "include",
    "scrub-anchor",
    "dummynet-anchor",
];

/// Where a text stands: in a file at an offset, or in a macro that is used at a span.
#[derive(Clone, Copy)]
struct At {
    file: FileId,
    used: Option<Span>,
}

impl At {
    fn span(self, from: usize, to: usize) -> Span {
        self.used.unwrap_or_else(|| Span::new(self.file, from, to))
    }
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"(){}<>!=#,\"\\".contains(c)
}

impl<'a> Lexer<'_, 'a> {
    fn push(&mut self, tok: Tok, span: Span) {
        self.out.tokens.push(Token { tok, span });
    }

    fn newline(&mut self, span: Span) {
        self.push(Tok::Newline, Span { start: span.end, ..span });
    }

    fn at_start(&self) -> bool {
        self.out.tokens.last().is_none_or(|t| t.tok == Tok::Newline)
    }

    fn text(&mut self, text: &str, file: FileId, used: Option<Span>, depth: usize) {
        let at = At { file, used };
        let mut pos = 0;
        // The last token came out of a macro and ended where this one begins.
        let mut glued = false;
        while let Some(c) = text.get(pos..).and_then(|t| t.chars().next()) {
            let rest = &text[pos..];
            let glue = std::mem::take(&mut glued);
            match c {
                '\n' => {
                    self.end_of_line(at, pos);
                    pos += 1;
                }
                '\\' if rest.starts_with("\\\n") => pos += 2,
                '\\' if rest.starts_with("\\\r\n") => pos += 3,
                c if c.is_whitespace() => pos += c.len_utf8(),
                '#' => {
                    let end = comment_end(text, pos);
                    self.reader.mark(at.span(pos, end), LineState::Irrelevant);
                    self.out.of_a_file = true;
                    if used.is_none() && !self.at_start() {
                        let said = text[pos + 1..end].trim();
                        self.out.comments.push((file, pos as u32, said.to_owned()));
                    }
                    pos = end;
                }
                '"' => {
                    let (value, end, closed) = quoted(text, pos);
                    let span = at.span(pos, end);
                    if !closed {
                        self.reader.note(span, LineState::Unrecognised, "this quote is not closed");
                    }
                    self.push(Tok::Quoted(value), span);
                    pos = end;
                }
                '$' if glue || rest[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => {
                    let len = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len() - 1);
                    let (name, end) = (&rest[1..1 + len], pos + 1 + len);
                    glued = self.expand(name, at.span(pos, end), file, depth);
                    pos = end.max(pos + 1);
                }
                _ => {
                    if let Some(p) = punct(rest) {
                        self.push(Tok::Punct(p), at.span(pos, pos + p.len()));
                        pos += p.len();
                        continue;
                    }
                    let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len()).max(c.len_utf8());
                    let span = at.span(pos, pos + len);
                    let word = &rest[..len];
                    pos += len;
                    if glue && let Some(Token { tok: Tok::Word(w), span: s }) = self.out.tokens.last_mut() {
                        w.push_str(word);
                        *s = s.to(span);
                        continue;
                    }
                    self.push(Tok::Word(word.to_owned()), span);
                }
            }
        }
        if used.is_none() {
            self.end_of_line(at, text.len());
        }
    }

    /// Replaces a macro by its text. Whether what follows at once belongs to the last word.
    fn expand(&mut self, name: &str, span: Span, file: FileId, depth: usize) -> bool {
        self.reader.device.names.used("macro", name, span);
        let Some(entry) = self.macros.get_mut(name) else {
            self.push(Tok::Word(format!("${name}")), span);
            return false;
        };
        let text = entry.text.clone();
        if entry.busy || depth >= DEPTH {
            self.reader.device.names.cyclic("macro", name, span);
            self.reader.note(span, LineState::Unsupported, format!("the macro `{name}` contains itself"));
            self.push(Tok::Word(format!("${name}")), span);
            return false;
        }
        self.expanded += text.len() + 1;
        if self.expanded > EXPANDED {
            if !std::mem::replace(&mut self.said, true) {
                let what = "macros come to more text than is read: from here on they are not replaced";
                self.reader.incomplete(span, LineState::Unsupported, what);
            }
            self.push(Tok::Word(format!("${name}")), span);
            return false;
        }
        entry.busy = true;
        self.text(&text, file, Some(span), depth + 1);
        if let Some(entry) = self.macros.get_mut(name) {
            entry.busy = false;
        }
        matches!(self.out.tokens.last(), Some(Token { tok: Tok::Word(_), .. }))
    }

    /// Ends a line: what defines a macro or includes a file is done at once.
    fn end_of_line(&mut self, at: At, pos: usize) {
        if at.used.is_some() {
            return;
        }
        let span = at.span(pos, pos);
        let start = self.out.tokens.iter().rposition(|t| t.tok == Tok::Newline).map_or(0, |i| i + 1);
        match self.out.tokens.get(start..) {
            Some([Token { tok: Tok::Word(name), span: first }, Token { tok: Tok::Punct("="), .. }, value @ ..])
                if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') =>
            {
                let (name, whole) = (name.clone(), first.to(value.last().map_or(*first, |t| t.span)));
                // The value of a macro is words and strings, joined by blanks; pfctl refuses other signs outside of quotes.
                let bare = value.iter().any(|t| matches!(t.tok, Tok::Punct(_)));
                let mut text = String::new();
                for token in value {
                    let part = match &token.tok {
                        Tok::Word(w) | Tok::Quoted(w) => w.as_str(),
                        Tok::Punct(p) => p,
                        Tok::Newline => "",
                    };
                    if !text.is_empty() {
                        text.push(' ');
                    }
                    text.push_str(part);
                }
                let state = if bare { LineState::Unsupported } else { LineState::Understood };
                if bare {
                    self.reader.note(whole, state, format!("pfctl asks for quotes around the value of the macro `{name}`"));
                }
                self.reader.mark(whole, state);
                self.reader.device.names.define("macro", &*name, whole);
                self.out.of_a_file = true;
                self.macros.insert(name, Macro { text: text.into(), busy: false });
                self.out.tokens.truncate(start);
            }
            Some([Token { tok: Tok::Word(w), span: first }, Token { tok: Tok::Quoted(path) | Tok::Word(path), span: last }])
                if w == "include" =>
            {
                let (whole, path) = (first.to(*last), path.clone());
                self.out.tokens.truncate(start);
                self.include(at.file, &path, whole);
            }
            Some([]) | None => {}
            _ => self.newline(span),
        }
    }

    fn include(&mut self, from: FileId, path: &str, span: Span) {
        self.reader.mark(span, LineState::Understood);
        let files = self.reader.include(from, path);
        if files.is_empty() {
            self.reader.note(span, LineState::NotModelled, format!("the included file \"{path}\" was not read"));
        }
        for file in files {
            if self.files.len() > DEPTH || self.files.contains(&file.id) {
                self.reader.note(span, LineState::Unsupported, "this include is nested too deep, or includes itself");
                continue;
            }
            self.files.push(file.id);
            self.text(&file.text, file.id, None, 0);
            self.files.pop();
        }
    }
}

/// The sign at the beginning of a text.
fn punct(rest: &str) -> Option<&'static str> {
    const SIGNS: &[&str] = &["->", "!=", "<>", "<=", "><", ">=", "{", "}", "(", ")", ",", "!", "=", "<", ">"];
    SIGNS.iter().copied().find(|s| rest.starts_with(s))
}

/// Where a comment ends. A backslash at the end of its line continues it, as it continues any line.
fn comment_end(text: &str, from: usize) -> usize {
    let mut pos = from;
    loop {
        let Some(len) = text.get(pos..).and_then(|t| t.find('\n')) else { return text.len() };
        let line = text[pos..pos + len].trim_end_matches('\r');
        if !line.ends_with('\\') {
            return pos + len;
        }
        pos += len + 1;
    }
}

/// The value of a quoted string that begins at `from`, where it ends, and whether it is closed. It may go over several lines, unless one of
/// them begins like a statement: then the quote was forgotten.
fn quoted(text: &str, from: usize) -> (String, usize, bool) {
    let body = &text[from + 1..];
    let mut value = String::new();
    let mut chars = body.char_indices().peekable();
    let mut first_line_end = None;
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, from + 1 + i + 1, true),
            '\\' if matches!(chars.peek(), Some((_, '\n' | '"'))) => {
                let next = chars.next();
                if let Some((_, '"')) = next {
                    value.push('"');
                }
            }
            '\n' => {
                first_line_end.get_or_insert(i);
                let next = body[i + 1..].trim_start_matches([' ', '\t']);
                let word = next.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or("");
                if STATEMENTS.contains(&word) {
                    break;
                }
                value.push(' ');
            }
            c => value.push(c),
        }
    }
    let end = first_line_end.unwrap_or(body.len());
    (body[..end].trim_end().to_owned(), from + 1 + end, false)
}
