//! The parser's hands: tokens, definitions, includes. The grammar stands in `expr`, `stmt` and `commands`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Expr, Text};
use super::lex::{Lexed, T, Tok, lex};
use super::ruleset::Ruleset;
use crate::diag::LineState;
use crate::source::{FileId, Limits, SourceFile, Span};
use crate::vendors::Reader;

/// The value of a definition, and how many definitions deep it is.
type Definition<'a> = (Rc<Expr<'a>>, usize);

/// A parser of one file and what it includes.
pub struct Parser<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) file: &'a SourceFile,
    lexed: Lexed,
    pos: usize,
    scopes: Vec<HashMap<String, Definition<'a>>>,
    /// How deeply the definitions used since this was set to 0 are nested in one another.
    used_depth: usize,
    pub(super) ruleset: Ruleset<'a>,
    depth: usize,
    files: Vec<FileId>,
}

impl<'r, 'a> Parser<'r, 'a> {
    /// A parser of the reader's file.
    pub fn new(reader: &'r mut Reader<'a>) -> Parser<'r, 'a> {
        let file = reader.file;
        Parser {
            reader,
            file,
            lexed: Lexed::default(),
            pos: 0,
            scopes: vec![HashMap::new()],
            used_depth: 0,
            ruleset: Ruleset::default(),
            depth: 0,
            files: Vec::new(),
        }
    }

    /// Runs `f` over a file from its beginning, in the place of the tokens at hand.
    pub(super) fn within(&mut self, file: &'a SourceFile, f: impl FnOnce(&mut Self)) {
        let lexed = lex(file);
        for (start, end) in &lexed.comments {
            self.reader.mark(Span { file: file.id, start: *start, end: *end }, LineState::Irrelevant);
        }
        let outer = (std::mem::replace(&mut self.lexed, lexed), self.pos, self.file);
        self.pos = 0;
        self.file = file;
        self.files.push(file.id);
        f(self);
        self.files.pop();
        (self.lexed, self.pos, self.file) = outer;
    }

    /// Reads the files that an `include` names, with `f`.
    pub(super) fn include(&mut self, pattern: &str, span: Span, f: impl Fn(&mut Self)) {
        self.mark(span, LineState::Understood);
        if self.files.len() > self.limits().include_depth {
            self.reader.incomplete(span, LineState::Unsupported, "includes nest too deeply: this one is not read");
            return;
        }
        let found = self.reader.include(self.file.id, pattern);
        // nft(8): a pattern with wildcards that matches nothing is no error, a missing file is one.
        if found.is_empty() && !pattern.contains(['*', '?', '[']) {
            self.reader.incomplete(
                span,
                LineState::Unsupported,
                "the included file was not found inside the given folder: what it holds is not known",
            );
        }
        for file in found {
            if self.files.contains(&file.id) {
                self.reader.incomplete(span, LineState::Unsupported, "the file includes itself: this include is not read");
                continue;
            }
            self.within(file, &f);
        }
    }

    pub(super) fn limits(&self) -> &'a Limits {
        self.reader.limits
    }

    /// Runs `f` one level deeper; fails beyond the bound.
    pub(super) fn nested<R>(&mut self, f: impl FnOnce(&mut Self) -> Option<R>) -> Option<R> {
        if self.depth >= self.limits().nesting {
            return None;
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    pub(super) fn tok(&self) -> Tok {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, n: usize) -> Tok {
        let end = Tok { kind: T::Eof, start: self.file.text.len() as u32, end: self.file.text.len() as u32 };
        self.lexed.toks.get(self.pos.saturating_add(n)).copied().unwrap_or(end)
    }

    pub(super) fn kind(&self) -> T {
        self.tok().kind
    }

    /// The text of the token at hand, empty if it is no word.
    pub(super) fn word(&self) -> &'a str {
        let tok = self.tok();
        if tok.kind == T::Word { tok.text(self.file) } else { "" }
    }

    /// The word `n` tokens ahead, if it is one.
    pub(super) fn peek_word(&self, n: usize) -> Option<&'a str> {
        let tok = self.ahead(n);
        (tok.kind == T::Word).then(|| tok.text(self.file))
    }

    pub(super) fn bump(&mut self) {
        if self.pos + 1 < self.lexed.toks.len() {
            self.pos += 1;
        }
    }

    pub(super) fn index(&self) -> usize {
        self.pos
    }

    pub(super) fn go_back(&mut self, to: usize) {
        self.pos = to;
    }

    pub(super) fn span(&self) -> Span {
        self.tok().span(self.file)
    }

    /// The span of the token before the one at hand.
    pub(super) fn last_span(&self) -> Span {
        match self.pos.checked_sub(1).and_then(|i| self.lexed.toks.get(i)) {
            Some(tok) => tok.span(self.file),
            None => self.span(),
        }
    }

    /// The text of the tokens from `from` up to the one at hand, one space between them.
    pub(super) fn joined(&self, from: usize) -> String {
        let mut out = String::new();
        for tok in self.lexed.toks.get(from..self.pos).unwrap_or(&[]).iter().take(400) {
            let text = tok.text(self.file);
            let tight = matches!(text, "," | "/" | ":") || out.ends_with(['/', ':']) || (text == "-") || out.ends_with('-');
            if !out.is_empty() && !tight {
                out.push(' ');
            }
            out.push_str(text);
        }
        out
    }

    pub(super) fn is_word(&self, w: &str) -> bool {
        self.word() == w
    }

    pub(super) fn is_punct(&self, p: u8) -> bool {
        self.kind() == T::P(p)
    }

    pub(super) fn eat_word(&mut self, w: &str) -> bool {
        let yes = self.is_word(w);
        if yes {
            self.bump();
        }
        yes
    }

    pub(super) fn eat_punct(&mut self, p: u8) -> bool {
        let yes = self.is_punct(p);
        if yes {
            self.bump();
        }
        yes
    }

    pub(super) fn expect_punct(&mut self, p: u8) -> Option<()> {
        self.eat_punct(p).then_some(())
    }

    pub(super) fn take_word(&mut self) -> Option<Text<'a>> {
        let tok = self.tok();
        if tok.kind != T::Word {
            return None;
        }
        self.bump();
        Some(Cow::Borrowed(tok.text(self.file)))
    }

    /// A word or quoted text.
    pub(super) fn take_name(&mut self) -> Option<Text<'a>> {
        let tok = self.tok();
        if !matches!(tok.kind, T::Word | T::Str) {
            return None;
        }
        self.bump();
        Some(Cow::Borrowed(tok.text(self.file)))
    }

    pub(super) fn skip_newlines(&mut self) {
        while self.kind() == T::Newline {
            self.bump();
        }
    }

    pub(super) fn skip_separators(&mut self) {
        while matches!(self.kind(), T::Newline | T::P(b';')) {
            self.bump();
        }
    }

    pub(super) fn at_end_of_statement(&self) -> bool {
        matches!(self.kind(), T::Newline | T::P(b';') | T::P(b'}') | T::Eof)
    }

    /// Skips to the end of the statement; braces are skipped whole.
    pub(super) fn skip_statement(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.kind() {
                T::Eof => return,
                T::Newline | T::P(b';') if depth == 0 => return,
                T::P(b'{') => depth += 1,
                T::P(b'}') if depth == 0 => return,
                T::P(b'}') => depth -= 1,
                _ => {}
            }
            self.bump();
        }
    }

    /// Skips a `{ … }` whole, the opening brace included.
    pub(super) fn skip_block(&mut self) {
        if !self.eat_punct(b'{') {
            return;
        }
        let mut depth = 1usize;
        while depth > 0 {
            match self.kind() {
                T::Eof => return,
                T::P(b'{') => depth += 1,
                T::P(b'}') => depth -= 1,
                _ => {}
            }
            self.bump();
        }
    }

    /// The handle that a comment at the end of the line of `span` gives.
    pub(super) fn handle_after(&self, span: Span) -> Option<u64> {
        let i = self.lexed.handles.partition_point(|(at, _)| *at < span.end);
        let (at, handle) = *self.lexed.handles.get(i)?;
        let between = self.file.text.get(span.end as usize..at as usize)?;
        (!between.contains('\n')).then_some(handle)
    }

    /// The first line within `span` that holds nothing but a comment (what `nft` writes is at the end of a line).
    pub(super) fn comment_line(&self, span: Span) -> Option<Span> {
        let from = self.lexed.comments.partition_point(|(start, _)| *start < span.start);
        let inside = self.lexed.comments.get(from..)?.iter().take_while(|(start, _)| *start < span.end);
        let alone = |start: u32| {
            let before = self.file.text.get(..start as usize).unwrap_or("").trim_end_matches([' ', '\t']);
            before.ends_with('\n')
        };
        let &(start, end) = inside.into_iter().find(|(start, _)| alone(*start))?;
        Some(Span { file: self.file.id, start, end })
    }

    pub(super) fn mark(&mut self, span: Span, state: LineState) {
        self.reader.mark(span, state);
    }

    pub(super) fn open_scope(&mut self) {
        self.scopes.push(HashMap::new());
    }

    pub(super) fn close_scope(&mut self) {
        self.scopes.pop();
    }

    /// `define`, `redefine` or `undefine`, at hand.
    pub(super) fn definition(&mut self) -> Option<()> {
        let start = self.span();
        let how = self.take_word()?;
        let name = self.take_word()?.into_owned();
        if &*how == "undefine" {
            for scope in self.scopes.iter_mut().rev() {
                if scope.remove(&name).is_some() {
                    break;
                }
            }
        } else {
            self.expect_punct(b'=')?;
            self.used_depth = 0;
            let value = (self.initialiser()?, self.used_depth);
            let scopes = self.scopes.len();
            let holder = match &*how {
                "redefine" => self.scopes.iter().rposition(|s| s.contains_key(&name)).unwrap_or(scopes - 1),
                _ => scopes - 1,
            };
            if let Some(scope) = self.scopes.get_mut(holder) {
                scope.insert(name, value);
            }
        }
        if !self.at_end_of_statement() {
            return None;
        }
        let span = self.since(start);
        self.mark(span, LineState::Understood);
        Some(())
    }

    /// The value of a definition.
    pub(super) fn lookup(&mut self, name: &str, span: Span) -> Option<Rc<Expr<'a>>> {
        let Some((value, depth)) = self.scopes.iter().rev().find_map(|s| s.get(name)).cloned() else {
            self.reader.note(span, LineState::Unsupported, format!("${name} is not defined"));
            return None;
        };
        // Definitions of definitions are nesting like any other: what follows walks them recursively.
        if depth >= self.limits().nesting {
            self.reader.incomplete(span, LineState::Unsupported, "definitions nest too deeply");
            return None;
        }
        self.used_depth = self.used_depth.max(depth + 1);
        Some(value)
    }
}
