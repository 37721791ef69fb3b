//! Text to a tree: blocks in braces (`config.boot`, `show configuration`) and commands (`show configuration commands`), also mixed.

use super::tree::Tree;
use crate::diag::LineState::{Irrelevant, Unrecognised, Unsupported};
use crate::source::Span;
use crate::vendors::Reader;

/// Words of one statement that are kept; no path of either system is longer.
const WORDS: usize = 64;

/// Sections at the top of a configuration.
pub(super) const TOP: &[&str] = &[
    "cluster",
    "container",
    "custom-attribute",
    "firewall",
    "high-availability",
    "interfaces",
    "load-balance",
    "load-balancing",
    "nat",
    "nat66",
    "pki",
    "policy",
    "port-forward",
    "protocols",
    "qos",
    "qos-policy",
    "service",
    "system",
    "traffic-control",
    "traffic-policy",
    "vpn",
    "vpp",
    "vrf",
    "zone-policy",
];

/// A word and where it stands, without its quotes.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    span: Span,
    /// With its quotes.
    outer: Span,
    quoted: bool,
}

/// Cuts words and line ends.
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    file: crate::source::FileId,
    /// A quote of this kind is not closed any more in the rest of the text.
    open: [bool; 2],
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\u{feff}']).len();
        self.at += blank;
    }

    fn line_end(&self) -> usize {
        self.rest().find('\n').map_or(self.text.len(), |n| self.at + n)
    }

    /// The next word of this line; `None` at its end. The flag says that a quote is not closed.
    fn word(&mut self) -> Option<(Word, bool)> {
        self.skip_blanks();
        let start = self.at;
        let first = self.rest().chars().next().filter(|c| *c != '\n')?;
        let kind = match first {
            '"' => Some(0),
            '\'' => Some(1),
            _ => None,
        };
        if let Some(kind) = kind {
            let closed = !self.open.get(kind).copied().unwrap_or(true);
            if closed && let Some((text, end)) = quoted(self.rest(), first) {
                self.at += end;
                let span = Span::new(self.file, start + 1, (start + end).saturating_sub(1));
                let outer = Span::new(self.file, start, start + end);
                return Some((Word { text, span, outer, quoted: true }, false));
            }
            if let Some(open) = self.open.get_mut(kind) {
                *open = true;
            }
            let end = self.line_end();
            let text = self.text.get(start + 1..end).unwrap_or_default().trim_end().to_owned();
            self.at = end;
            let span = Span::new(self.file, start, end);
            return Some((Word { text, span, outer: span, quoted: true }, true));
        }
        let rest = self.rest();
        let end = rest.find([' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default().to_owned();
        self.at += end;
        let span = Span::new(self.file, start, start + end);
        Some((Word { text, span, outer: span, quoted: false }, false))
    }
}

/// A quoted word at the beginning of a text, and how many bytes it takes.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, i + 1)),
            // Only double quotes know an escape.
            '\\' if quote == '"' => {
                let (_, next) = chars.next()?;
                if !matches!(next, '"' | '\\') {
                    out.push('\\');
                }
                out.push(next);
            }
            c => out.push(c),
        }
    }
    None
}

/// Reads a file.
pub(super) fn parse(reader: &mut Reader<'_>) -> Tree {
    let file = reader.file;
    let mut tree = Tree::new(file.line_span(0));
    let mut parser =
        Parser { lexer: Lexer { text: &file.text, at: 0, file: file.id, open: [false; 2] }, open: vec![], edit: vec![], skip: 0 };
    while parser.lexer.at < file.text.len() {
        parser.line(reader, &mut tree);
        // The line end.
        let lexer = &mut parser.lexer;
        if lexer.rest().starts_with('\n') {
            lexer.at += 1;
        }
    }
    if let Some(first) = parser.open.iter().rev().flatten().next() {
        reader.note(*first, Unsupported, "this block is not closed");
    }
    tree
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Open blocks: for each the statement that opened it, once, and the node.
    open: Vec<Option<Span>>,
    /// Nodes of the open blocks, or of `edit`.
    edit: Vec<u32>,
    /// Open blocks inside one that is not kept.
    skip: usize,
}

impl Parser<'_> {
    fn here(&self) -> u32 {
        self.edit.last().copied().unwrap_or(0)
    }

    fn comment(&mut self, reader: &mut Reader<'_>, end: &str) {
        let lexer = &mut self.lexer;
        let start = lexer.at;
        let length = lexer.rest().find(end).map(|n| n + end.len());
        if length.is_none() && end != "\n" {
            let line = lexer.line_end();
            reader.note(Span::new(lexer.file, start, line), Unsupported, "this comment is not closed");
            lexer.at = line;
            return;
        }
        let stop = start + length.unwrap_or(lexer.rest().len());
        reader.mark(Span::new(lexer.file, start, stop), Irrelevant);
        lexer.at = if end == "\n" && length.is_some() { stop - 1 } else { stop };
    }

    fn line(&mut self, reader: &mut Reader<'_>, tree: &mut Tree) {
        let indent = self.lexer.at;
        self.lexer.skip_blanks();
        let indented = self.lexer.at > indent;
        let rest = self.lexer.rest();
        if rest.starts_with("/*") {
            return self.comment(reader, "*/");
        }
        if rest.starts_with("//") || rest.starts_with('#') {
            return self.comment(reader, "\n");
        }
        let mut words: Vec<Word> = Vec::new();
        while let Some((word, broken)) = self.lexer.word() {
            if broken {
                reader.note(word.span, Unsupported, "a quote is not closed");
            }
            match word.text.as_str() {
                "{" if !word.quoted => {
                    self.block(reader, tree, std::mem::take(&mut words), word.span, indented);
                }
                "}" if !word.quoted => {
                    self.leaf(reader, tree, std::mem::take(&mut words), indented);
                    self.close(reader, tree, word.span);
                }
                _ => {
                    // A comment behind a statement.
                    if !word.quoted && word.text.starts_with("/*") {
                        self.lexer.at = word.span.start as usize;
                        self.comment(reader, "*/");
                        continue;
                    }
                    words.push(word);
                }
            }
        }
        self.leaf(reader, tree, words, indented);
    }

    /// A block that is not closed, and a section of the top at the beginning of a line: what is open is closed.
    fn resynchronise(&mut self, reader: &mut Reader<'_>, words: &[Word], indented: bool) {
        let top = words.len() == 1 && words.first().is_some_and(|w| TOP.contains(&w.text.as_str()));
        if !indented && top && !self.open.is_empty() {
            if let Some(first) = self.open.iter().rev().flatten().next() {
                reader.note(*first, Unsupported, "this block is not closed before the next section begins");
            }
            self.open.clear();
            self.edit.clear();
            self.skip = 0;
        }
    }

    fn block(&mut self, reader: &mut Reader<'_>, tree: &mut Tree, words: Vec<Word>, brace: Span, indented: bool) {
        self.resynchronise(reader, &words, indented);
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            reader.note(brace, Unsupported, "a block without a name");
            self.skip += 1;
            return;
        };
        let line = first.outer.to(last.outer);
        if self.skip > 0 || self.open.len() >= reader.limits.nesting {
            if self.skip == 0 {
                reader.note(line, Unsupported, "blocks are nested too deep: this one is left out");
            }
            reader.mark(line, Unsupported);
            self.skip += 1;
            return;
        }
        // Vyatta marks what is deactivated so.
        if first.text == "!" {
            reader.note(line, Unsupported, "a deactivated block, which is left out");
            self.skip += 1;
            return;
        }
        let id = self.insert(tree, &words, line);
        tree.statement(line, id);
        self.open.push(Some(line));
        self.edit.push(id);
    }

    fn close(&mut self, reader: &mut Reader<'_>, tree: &mut Tree, brace: Span) {
        reader.mark(brace, Irrelevant);
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        if self.open.pop().is_none() {
            return reader.note(brace, Unsupported, "a brace that closes nothing");
        }
        if let Some(id) = self.edit.pop() {
            tree.extend(id, brace, |_, _| true);
        }
    }

    fn insert(&self, tree: &mut Tree, words: &[Word], line: Span) -> u32 {
        let mut at = self.here();
        for word in words.iter().take(WORDS) {
            let id = tree.child(at, &word.text, word.span, line);
            at = id;
        }
        at
    }

    fn leaf(&mut self, reader: &mut Reader<'_>, tree: &mut Tree, words: Vec<Word>, indented: bool) {
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
        let line = first.outer.to(last.outer);
        if self.skip > 0 {
            return reader.mark(line, Unsupported);
        }
        if self.open.is_empty() && !first.quoted {
            return self.command(reader, tree, &words, line);
        }
        self.resynchronise(reader, &words, indented);
        if first.text == "!" {
            return reader.note(line, Unsupported, "a deactivated statement, which is left out");
        }
        let id = self.insert(tree, &words, line);
        tree.statement(line, id);
        tree.extend(id, line, |_, _| true);
    }

    fn command(&mut self, reader: &mut Reader<'_>, tree: &mut Tree, words: &[Word], line: Span) {
        let text = self.lexer.text;
        let adjacent = |a: u32, b: u32| text.get(a as usize..b as usize).is_some_and(|t| t.len() < 16 && t.trim().is_empty());
        let Some((first, path)) = words.split_first() else { return };
        match first.text.as_str() {
            "set" if !path.is_empty() => {
                let id = self.insert(tree, path, line);
                tree.statement(line, id);
                tree.extend(id, line, adjacent);
            }
            "delete" if !path.is_empty() => {
                let mut at = Some(self.here());
                for word in path.iter().take(WORDS) {
                    at = at.and_then(|a| tree.find_child(a, &word.text));
                }
                if let Some(id) = at {
                    tree.remove(id);
                }
                reader.mark(line, crate::diag::LineState::Understood);
            }
            "edit" if !path.is_empty() => {
                let id = self.insert(tree, path, line);
                self.edit.push(id);
                reader.mark(line, crate::diag::LineState::Understood);
            }
            "up" | "top" | "exit" => {
                if first.text == "top" {
                    self.edit.clear();
                } else {
                    self.edit.pop();
                }
                reader.mark(line, Irrelevant);
            }
            "configure" | "commit" | "commit-confirm" | "save" | "discard" | "comment" | "confirm" | "run" | "show" | "load" | "source" => {
                if matches!(first.text.as_str(), "load" | "discard") {
                    reader.note(line, Unsupported, "this command changes what is configured in a way that the file does not show");
                } else {
                    reader.mark(line, Irrelevant);
                }
            }
            "rename" | "copy" | "deactivate" | "activate" | "rollback" | "merge" => {
                reader.note(line, Unsupported, "this command changes what is configured, and is not followed");
            }
            word if TOP.contains(&word) => {
                // A section without a block.
                let id = self.insert(tree, words, line);
                tree.statement(line, id);
            }
            // The prompt that was copied with it.
            word if word.contains('@') && word.ends_with(['$', '#', '>']) => reader.mark(line, Irrelevant),
            "[edit]" => reader.mark(line, Irrelevant),
            _ => reader.note(line, Unrecognised, "neither a block nor a command of VyOS or EdgeOS"),
        }
    }
}
