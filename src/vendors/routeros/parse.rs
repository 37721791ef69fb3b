//! Cuts an export into commands: menus, continuation lines, quotes with their escapes, selectors in brackets, blocks in braces.
//!
//! Syntax: help.mikrotik.com, "Scripting" (line structure, escape sequences) and "Command Line Interface" (menus, item names, `find`).

use crate::source::{SourceFile, Span};

/// A word of a command.
#[derive(Clone, Debug)]
pub(super) struct Arg {
    /// What stands before `=`; empty for a word on its own.
    pub name: String,
    /// The value, unescaped; of a word on its own, the word.
    pub value: String,
    /// `!name`: the property is not set.
    pub unset: bool,
    /// The value comes of a variable, a command or an expression.
    pub computed: bool,
    /// The value stands in quotes.
    pub quoted: bool,
    /// The word is a selector in brackets; `value` is what stands inside.
    pub bracket: bool,
    /// The whole word.
    pub span: Span,
    /// The value, without quotes.
    pub at: Span,
}

/// One command.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// The menu, its words with single spaces: `ip firewall filter`.
    pub menu: String,
    /// `add`, `set`, `remove` …; empty for a line that only enters a menu.
    pub verb: String,
    pub args: Vec<Arg>,
    pub span: Span,
    /// A quote or bracket is not closed.
    pub broken: bool,
    /// A command of the scripting language (`:local`, `:if`, a block); `menu` is then the one that it stands in.
    pub script: bool,
}

const VERBS: &[&str] = &[
    "add",
    "set",
    "remove",
    "disable",
    "enable",
    "print",
    "find",
    "move",
    "unset",
    "export",
    "import",
    "get",
    "edit",
    "comment",
    "reset",
    "reset-counters",
    "reset-counters-all",
    "sign",
    "fetch",
    "reboot",
    "shutdown",
    "save",
    "load",
    "run",
    "flush",
    "monitor",
    "upgrade",
    "clear",
    "make-static",
    "release",
    "renew",
    "generate",
    "regenerate-host-key",
    "generate-key",
    "create-certificate-request",
];

pub(super) fn parse(file: &SourceFile) -> Vec<Command> {
    let mut p = Parser { file, bytes: file.text.as_bytes(), i: 0, menu: Vec::new(), blocks: Vec::new(), wasted: 0 };
    let mut out = Vec::new();
    if file.text.starts_with('\u{feff}') {
        p.i = 3;
    }
    while p.i < p.bytes.len() {
        let before = p.i;
        if let Some(command) = p.command() {
            out.push(command);
        }
        if p.i == before {
            p.i += 1;
        }
    }
    out
}

struct Parser<'a> {
    file: &'a SourceFile,
    bytes: &'a [u8],
    i: usize,
    menu: Vec<String>,
    /// The menus to come back to at the ends of open blocks (`/ip firewall { … }`).
    blocks: Vec<Vec<String>>,
    /// Bytes that were looked through for a bracket that is not there.
    wasted: usize,
}

/// Blocks in blocks.
const BLOCKS: usize = 64;

impl Parser<'_> {
    fn at(&self, i: usize) -> Option<u8> {
        self.bytes.get(i).copied()
    }

    /// The byte here, behind any continuation: a backslash at the end of a line, and the indentation of the next.
    fn peek(&mut self) -> Option<u8> {
        while self.at(self.i) == Some(b'\\') {
            let end = match (self.at(self.i + 1), self.at(self.i + 2)) {
                (Some(b'\n'), _) => self.i + 2,
                (Some(b'\r'), Some(b'\n')) => self.i + 3,
                _ => break,
            };
            self.i = end;
            while matches!(self.at(self.i), Some(b' ' | b'\t')) {
                self.i += 1;
            }
        }
        self.at(self.i)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.i += 1;
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file.id, start, end.max(start))
    }

    fn line_end(&self, from: usize) -> usize {
        self.bytes.get(from..).and_then(|b| b.iter().position(|c| *c == b'\n')).map_or(self.bytes.len(), |n| from + n)
    }

    /// The rest of the line is no more of this command.
    fn skip_line(&mut self) {
        self.i = self.line_end(self.i);
    }

    fn command(&mut self) -> Option<Command> {
        self.blanks();
        match self.peek() {
            None => return None,
            Some(b'\n' | b';') => {
                self.i += 1;
                return None;
            }
            Some(b'#') => {
                self.skip_line();
                return None;
            }
            _ => {}
        }
        let start = self.i;
        let mut command =
            Command { menu: String::new(), verb: String::new(), args: vec![], span: self.span(start, start), broken: false, script: false };
        if self.peek() == Some(b'}')
            && let Some(menu) = self.blocks.pop()
        {
            self.i += 1;
            self.menu = menu;
            command.span = self.span(start, self.i);
            return Some(command);
        }
        // Words of the scripting language may stand without their colon.
        let (word, end) = self.bare_word();
        let language = ["if", "foreach", "for", "while", "do", "local", "global"].contains(&word.as_str());
        if (language && matches!(self.at(end), Some(b' ' | b'\t' | b'=')))
            || matches!(self.peek(), Some(b':' | b'{' | b'}' | b'$' | b'(' | b'[' | b')' | b']'))
        {
            command.script = true;
            command.menu = self.menu.join(" ");
            self.script(&mut command);
            command.span = self.span(start, self.i);
            return Some(command);
        }
        let mut menu = self.menu.clone();
        if self.peek() == Some(b'/') {
            menu.clear();
            self.i += 1;
        }
        let mut changed = false;
        loop {
            self.blanks();
            match self.peek() {
                None | Some(b'\n' | b';') => break,
                Some(b'}') if !self.blocks.is_empty() => break,
                Some(b'/') => {
                    self.i += 1;
                    continue;
                }
                Some(b'{') if changed && command.verb.is_empty() && self.blocks.len() < BLOCKS => {
                    self.i += 1;
                    self.blocks.push(self.menu.clone());
                    break;
                }
                _ => {}
            }
            if command.verb.is_empty() {
                let (word, end) = self.bare_word();
                let bare = !word.is_empty() && !matches!(self.at(end), Some(b'=' | b'"' | b'[' | b'~'));
                if bare && VERBS.contains(&word.as_str()) {
                    command.verb = word;
                    self.i = end;
                    continue;
                }
                if bare && word == ".." {
                    menu.pop();
                    self.i = end;
                    changed = true;
                    continue;
                }
                if bare
                    && menu.len() < 8
                    && word.len() < 64
                    && word.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
                {
                    menu.push(word);
                    self.i = end;
                    changed = true;
                    continue;
                }
                // Something that is no menu and no command.
                command.broken = true;
                self.skip_line();
                break;
            }
            match self.arg() {
                Some(arg) => command.args.push(arg),
                None => {
                    command.broken = true;
                    self.skip_line();
                    break;
                }
            }
        }
        command.menu = menu.join(" ");
        command.span = self.span(start, self.i);
        // Only a line without a command enters a menu for the lines that follow, and not where nothing was understood.
        if command.verb.is_empty() && !command.broken && (changed || command.menu.is_empty()) {
            self.menu = menu;
        }
        Some(command)
    }

    /// A word of letters and its end, without moving.
    fn bare_word(&mut self) -> (String, usize) {
        let mut end = self.i;
        while let Some(c) = self.at(end) {
            if c.is_ascii_whitespace() || matches!(c, b'/' | b'=' | b';' | b'"' | b'[' | b']' | b'{' | b'}' | b'\\' | b'~') {
                break;
            }
            end += 1;
        }
        (self.file.text.get(self.i..end).unwrap_or("").to_owned(), end)
    }

    /// Skips a command of the scripting language: to the end of its line, or of the blocks that it opens.
    fn script(&mut self, command: &mut Command) {
        while let Some(c) = self.peek() {
            match c {
                b'\n' => return,
                b'"' => {
                    if self.quoted().is_none() {
                        command.broken = true;
                        return self.skip_line();
                    }
                }
                b'{' | b'[' | b'(' => {
                    if !self.balanced(c) {
                        command.broken = true;
                        return self.skip_line();
                    }
                }
                b'\\' => self.i = (self.i + 2).min(self.bytes.len()),
                _ => self.i += 1,
            }
        }
    }

    /// Goes behind the bracket that closes the one here.
    fn balanced(&mut self, open: u8) -> bool {
        let close = match open {
            b'[' => b']',
            b'{' => b'}',
            _ => b')',
        };
        // A file of nothing but brackets is not looked through for each of them.
        if self.wasted > self.bytes.len().saturating_mul(4).saturating_add(1 << 16) {
            return false;
        }
        let start = self.i;
        let mut depth = 0usize;
        while let Some(c) = self.peek() {
            match c {
                b'\\' => self.i += 1,
                b'"' => {
                    if self.quoted().is_none() {
                        break;
                    }
                    continue;
                }
                b'#' if self.i > 0 && self.at(self.i - 1) == Some(b'\n') => {
                    self.skip_line();
                    continue;
                }
                b'\n' if open == b'[' => break,
                c if c == open => depth += 1,
                c if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        self.i += 1;
                        return true;
                    }
                }
                _ => {}
            }
            self.i += 1;
        }
        self.wasted = self.wasted.saturating_add(self.i.saturating_sub(start));
        self.i = start;
        false
    }

    /// A text in quotes: its value and where it stands between them.
    fn quoted(&mut self) -> Option<(String, Span)> {
        self.i += 1;
        let start = self.i;
        let mut out = Vec::new();
        loop {
            match self.peek()? {
                b'"' => {
                    let span = self.span(start, self.i);
                    self.i += 1;
                    return Some((String::from_utf8_lossy(&out).into_owned(), span));
                }
                b'\\' => {
                    let c = self.at(self.i + 1)?;
                    self.i += 2;
                    match c {
                        b'n' => out.push(b'\n'),
                        b'r' => out.push(b'\r'),
                        b't' => out.push(b'\t'),
                        b'a' | b'b' | b'f' | b'v' => {}
                        b'_' => out.push(b' '),
                        b'0'..=b'9' | b'A'..=b'F' => {
                            let hex = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
                            match (hex(c), self.at(self.i).and_then(hex)) {
                                (Some(a), Some(b)) => {
                                    self.i += 1;
                                    out.push(a * 16 + b);
                                }
                                _ => out.push(c),
                            }
                        }
                        c => out.push(c),
                    }
                }
                b'\n' => {
                    // A quote that nobody closed ends where a command begins: it loses one command, not the file.
                    let rest = self.file.text.get(self.i + 1..).unwrap_or("");
                    let menu = rest.strip_prefix('/').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_lowercase()));
                    if menu || ["add ", "set ", "remove ", "# "].iter().any(|w| rest.starts_with(w)) {
                        return None;
                    }
                    out.push(b'\n');
                    self.i += 1;
                }
                c => {
                    out.push(c);
                    self.i += 1;
                }
            }
        }
    }

    fn arg(&mut self) -> Option<Arg> {
        let start = self.i;
        let mut arg = Arg {
            name: String::new(),
            value: String::new(),
            unset: false,
            computed: false,
            quoted: false,
            bracket: false,
            span: self.span(start, start),
            at: self.span(start, start),
        };
        if self.peek() == Some(b'[') {
            let inside = self.i + 1;
            if !self.balanced(b'[') {
                return None;
            }
            arg.value = self.file.text.get(inside..self.i.saturating_sub(1)).unwrap_or("").trim().to_owned();
            arg.bracket = true;
            arg.span = self.span(start, self.i);
            arg.at = arg.span;
            return Some(arg);
        }
        // The name, if there is one.
        let mut end = self.i;
        while self.at(end).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'!' | b'*')) {
            end += 1;
        }
        let word = self.file.text.get(self.i..end).unwrap_or("");
        if self.at(end) == Some(b'=') && !word.is_empty() {
            arg.name = word.to_owned();
            self.i = end + 1;
        } else if let Some(name) = word.strip_prefix('!') {
            let over = self.at(end).is_none_or(|c| c.is_ascii_whitespace() || c == b'\\');
            if over && !name.is_empty() {
                arg.name = name.to_owned();
                arg.unset = true;
                self.i = end;
                arg.span = self.span(start, end);
                arg.at = arg.span;
                return Some(arg);
            }
        }
        let at = {
            self.peek();
            self.i
        };
        let mut value = Vec::new();
        let mut inner = None;
        while let Some(c) = self.peek() {
            match c {
                b' ' | b'\t' | b'\n' | b'\r' | b';' => break,
                b'"' => {
                    let (text, span) = self.quoted()?;
                    arg.quoted = true;
                    inner = if value.is_empty() { Some(span) } else { None };
                    value.extend_from_slice(text.as_bytes());
                }
                b'[' | b'{' | b'(' => {
                    let from = self.i;
                    if !self.balanced(c) {
                        return None;
                    }
                    arg.computed = true;
                    value.extend_from_slice(self.bytes.get(from..self.i).unwrap_or_default());
                }
                b'$' => {
                    arg.computed = true;
                    value.push(c);
                    self.i += 1;
                }
                b'\\' => {
                    value.extend(self.at(self.i + 1));
                    self.i = (self.i + 2).min(self.bytes.len());
                }
                c => {
                    value.push(c);
                    self.i += 1;
                }
            }
        }
        if self.i == start {
            return None;
        }
        arg.value = String::from_utf8_lossy(&value).into_owned();
        arg.span = self.span(start, self.i);
        arg.at = inner.unwrap_or(self.span(at, self.i));
        Some(arg)
    }
}
