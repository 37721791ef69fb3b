//! The syntax of strongswan.conf(5): nested sections with values, references to other sections, includes.

use std::collections::HashMap;

use crate::diag::LineState;
use crate::source::{FileId, SourceFile, Span};
use crate::vendors::Reader;

/// A value of a key.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// Without quotes, several words joined by blanks; empty takes back what a referenced section says.
    pub text: String,
    /// Where it stands, without quotes if it is one quoted text.
    pub at: Span,
    /// Key and value.
    pub span: Span,
}

/// A section.
#[derive(Debug)]
pub(super) struct Node {
    pub name: String,
    /// Where it opens.
    pub span: Span,
    /// Sections whose values and sections it takes over, by their path.
    pub refs: Vec<(String, Span)>,
    pub keys: Vec<(String, Value)>,
    pub children: Vec<usize>,
    by_name: HashMap<String, usize>,
    by_key: HashMap<String, usize>,
}

/// All sections; the first is the root.
pub(super) struct Tree {
    pub nodes: Vec<Node>,
}

/// How deep sections and includes nest at most: swanctl.conf has five levels.
const DEPTH: usize = 32;
/// How many sections one may be put together of.
const LAYERS: usize = 32;

impl Node {
    fn new(name: &str, span: Span) -> Node {
        Node {
            name: name.to_owned(),
            span,
            refs: Vec::new(),
            keys: Vec::new(),
            children: Vec::new(),
            by_name: HashMap::new(),
            by_key: HashMap::new(),
        }
    }

    fn set(&mut self, key: &str, value: Value) {
        match self.by_key.get(key).and_then(|i| self.keys.get_mut(*i)) {
            // The last one counts.
            Some(old) => old.1 = value,
            None => {
                self.by_key.insert(key.to_owned(), self.keys.len());
                self.keys.push((key.to_owned(), value));
            }
        }
    }
}

/// A section with what it takes over: the first layer that says something decides.
#[derive(Clone, Debug)]
pub(super) struct View {
    layers: Vec<usize>,
}

impl Tree {
    fn node(&self, id: usize) -> &Node {
        // The root is always there.
        self.nodes.get(id).unwrap_or(&self.nodes[0])
    }

    fn child(&mut self, parent: usize, name: &str, span: Span) -> usize {
        if let Some(id) = self.node(parent).by_name.get(name) {
            return *id;
        }
        let id = self.nodes.len();
        self.nodes.push(Node::new(name, span));
        if let Some(node) = self.nodes.get_mut(parent) {
            node.by_name.insert(name.to_owned(), id);
            node.children.push(id);
        }
        id
    }

    /// The whole.
    pub fn root(&self) -> View {
        View { layers: vec![0] }
    }

    /// A section with those that it refers to, and those that these refer to.
    fn expand(&self, ids: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut layers: Vec<usize> = Vec::new();
        let mut open: Vec<usize> = ids.into_iter().collect();
        open.reverse();
        while let Some(id) = open.pop() {
            if layers.contains(&id) || layers.len() >= LAYERS {
                continue;
            }
            layers.push(id);
            let refs = self.node(id).refs.iter().filter_map(|(path, _)| self.at(path));
            let more: Vec<usize> = refs.take(LAYERS).collect();
            open.extend(more.into_iter().rev());
        }
        layers
    }

    /// The section of a path such as `conn-defaults` or `connections.base`.
    pub fn at(&self, path: &str) -> Option<usize> {
        path.split('.').try_fold(0, |at, name| self.node(at).by_name.get(name).copied())
    }

    /// A section directly within.
    pub fn section(&self, view: &View, name: &str) -> Option<View> {
        let ids: Vec<usize> = view.layers.iter().filter_map(|l| self.node(*l).by_name.get(name).copied()).collect();
        (!ids.is_empty()).then(|| View { layers: self.expand(ids) })
    }

    /// The names of the sections directly within, in the order of the text.
    pub fn names(&self, view: &View) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let all = view.layers.iter().flat_map(|l| self.node(*l).children.iter().map(|c| self.node(*c).name.clone()));
        all.filter(|n| seen.insert(n.clone())).collect()
    }

    /// The value of a key; none if it is not written, or empty.
    pub fn value(&self, view: &View, key: &str) -> Option<&Value> {
        let found = view.layers.iter().find_map(|l| {
            let node = self.node(*l);
            node.by_key.get(key).and_then(|i| node.keys.get(*i))
        });
        found.map(|(_, v)| v).filter(|v| !v.text.is_empty())
    }

    /// All keys with their values.
    pub fn keys<'t>(&'t self, view: &View) -> Vec<(&'t str, &'t Value)> {
        let mut seen = std::collections::HashSet::new();
        let layers = view.layers.clone();
        let all = layers.into_iter().flat_map(|l| self.node(l).keys.iter());
        all.filter(|(k, _)| seen.insert(k.as_str())).map(|(k, v)| (k.as_str(), v)).filter(|(_, v)| !v.text.is_empty()).collect()
    }

    /// Where the section opens.
    pub fn span(&self, view: &View) -> Span {
        self.node(view.layers.first().copied().unwrap_or(0)).span
    }
}

/// Reads a file with what it includes. Includes stand at any level, and bring sections and values to it.
pub(super) fn parse(reader: &mut Reader<'_>) -> Tree {
    let main = reader.file;
    let mut tree = Tree { nodes: vec![Node::new("", Span::new(main.id, 0, 0))] };
    file(reader, main, 0, &mut vec![main.id], &mut tree);
    tree
}

/// A piece of the syntax.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Open,
    Close,
    Equal,
    Line,
    /// `:` and `,` between a section's name and its references.
    Between,
    Name,
    /// `"…"`; the span is of what is inside.
    Text,
    Broken,
}

struct Lexer<'t> {
    source: &'t SourceFile,
    at: usize,
}

impl Lexer<'_> {
    /// The next piece. In values, more signs are part of words.
    fn next(&mut self, value: bool) -> Option<(Token, Span)> {
        let bytes = self.source.text.as_bytes();
        loop {
            let start = self.at;
            let span = |end: usize| Span::new(self.source.id, start, end);
            let byte = *bytes.get(start)?;
            let single = match byte {
                b' ' | b'\t' | b'\r' => {
                    self.at += 1;
                    continue;
                }
                b'#' => {
                    self.at += bytes.get(start..)?.iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - start);
                    continue;
                }
                b'\n' => Some(Token::Line),
                b'}' => Some(Token::Close),
                b'{' if !value => Some(Token::Open),
                b'=' if !value => Some(Token::Equal),
                b':' | b',' if !value => Some(Token::Between),
                _ => None,
            };
            if let Some(token) = single {
                self.at += 1;
                return Some((token, span(start + 1)));
            }
            if byte == b'"' {
                let mut end = start + 1;
                while let Some(b) = bytes.get(end) {
                    match b {
                        b'\\' => end += 1,
                        b'"' => {
                            self.at = end + 1;
                            return Some((Token::Text, Span::new(self.source.id, start + 1, end)));
                        }
                        _ => {}
                    }
                    end += 1;
                }
                // Without an end, the rest of the line is what can be made of it.
                let line = bytes.get(start..)?.iter().position(|b| *b == b'\n').map_or(bytes.len(), |p| start + p);
                self.at = line;
                return Some((Token::Broken, span(line)));
            }
            let stop = |b: &u8| {
                let always = matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b'#' | b'}' | b'"');
                always || (!value && matches!(b, b'{' | b'=' | b':' | b','))
            };
            let length = bytes.get(start..)?.iter().position(stop).unwrap_or(bytes.len() - start).max(1);
            self.at = start + length;
            return Some((Token::Name, span(start + length)));
        }
    }
}

fn file(reader: &mut Reader<'_>, source: &SourceFile, root: usize, open_files: &mut Vec<FileId>, tree: &mut Tree) {
    for i in 0..source.line_count() {
        let span = source.line_span(i);
        let text = source.slice(span).trim();
        if text.is_empty() || text.starts_with('#') || text.bytes().all(|b| b == b'}') {
            reader.mark(span, LineState::Irrelevant);
        }
    }
    let mut lexer = Lexer { source, at: 0 };
    let mut stack = vec![root];
    let mut too_deep = 0usize;
    // Whether what follows the name is what it refers to.
    let mut referring = false;
    let mut name: Option<Span> = None;
    let mut refs: Vec<(String, Span)> = Vec::new();
    while let Some((token, span)) = lexer.next(false) {
        let at = stack.last().copied().unwrap_or(root);
        match token {
            // A line end between a section's name and its brace means nothing.
            Token::Line => {}
            Token::Between => referring |= name.is_some(),
            Token::Name if source.slice(span) == "include" && name.is_none() && is_include(source, span.end as usize) => {
                include(reader, source, &mut lexer, at, (span, stack.len()), open_files, tree);
            }
            Token::Name => match name {
                Some(_) if referring => refs.push((source.slice(span).to_owned(), span)),
                Some(old) => {
                    reader.note(old, LineState::Unrecognised, "neither a section nor a value");
                    name = Some(span);
                }
                None => name = Some(span),
            },
            Token::Open => {
                reader.mark(span, LineState::Irrelevant);
                match name.take() {
                    Some(name) if stack.len() < DEPTH => {
                        let id = tree.child(at, source.slice(name), name);
                        if let Some(node) = tree.nodes.get_mut(id) {
                            node.refs.append(&mut refs);
                        }
                        stack.push(id);
                    }
                    Some(name) => {
                        reader.incomplete(name, LineState::Unsupported, "sections are nested too deep: this one is not read");
                        too_deep += 1;
                        stack.push(at);
                    }
                    None => {
                        reader.note(span, LineState::Unrecognised, "a section without a name");
                        stack.push(at);
                    }
                }
                refs.clear();
                referring = false;
            }
            Token::Close => {
                reader.mark(span, LineState::Irrelevant);
                if let Some(name) = name.take() {
                    reader.note(name, LineState::Unrecognised, "neither a section nor a value");
                }
                refs.clear();
                referring = false;
                if stack.len() > 1 {
                    stack.pop();
                } else {
                    reader.note(span, LineState::Unrecognised, "a brace that closes nothing");
                }
            }
            Token::Equal => {
                let Some(key) = name.take() else {
                    reader.note(span, LineState::Unrecognised, "a value without a name");
                    continue;
                };
                refs.clear();
                referring = false;
                let value = value(reader, source, &mut lexer, key);
                let text = source.slice(key).to_owned();
                if too_deep == 0
                    && let Some(node) = tree.nodes.get_mut(at)
                {
                    node.set(&text, value);
                }
            }
            Token::Text | Token::Broken => {
                reader.secret(span);
                reader.note(span, LineState::Unrecognised, "a text where a name should stand");
            }
        }
    }
    if let Some(name) = name {
        reader.note(name, LineState::Unrecognised, "neither a section nor a value");
    }
    if stack.len() > 1 {
        let end = source.text.len();
        reader.note(
            Span::new(source.id, end.saturating_sub(1), end),
            LineState::Unsupported,
            "a section is not closed: the file is refused",
        );
    }
}

/// `include` is a word like any other before `=` or `{`.
fn is_include(source: &SourceFile, from: usize) -> bool {
    let rest = source.text.get(from..).unwrap_or("");
    let next = rest.trim_start_matches([' ', '\t']);
    rest.starts_with([' ', '\t']) && !next.starts_with(['=', '{', ':', '\n', '\r'])
}

fn include(
    reader: &mut Reader<'_>,
    source: &SourceFile,
    lexer: &mut Lexer<'_>,
    at: usize,
    (word, depth): (Span, usize),
    open: &mut Vec<FileId>,
    tree: &mut Tree,
) {
    let Some((_, pattern)) = lexer.next(true) else { return };
    let text = source.slice(pattern).to_owned();
    reader.mark(word.to(pattern), LineState::Understood);
    for target in reader.include(source.id, &text) {
        if open.contains(&target.id) || open.len() + depth > DEPTH {
            reader.incomplete(pattern, LineState::Unsupported, "this include goes round in a circle or nests too deep");
        } else {
            open.push(target.id);
            file(reader, target, at, open, tree);
            open.pop();
        }
    }
}

/// Reads a value up to the end of its line.
fn value(reader: &mut Reader<'_>, source: &SourceFile, lexer: &mut Lexer<'_>, key: Span) -> Value {
    let mut parts: Vec<(Token, Span)> = Vec::new();
    loop {
        let before = lexer.at;
        match lexer.next(true) {
            None => break,
            Some((Token::Line | Token::Close, _)) => {
                lexer.at = before;
                // What stood between is a comment, if anything: it is passed over again.
                break;
            }
            Some((Token::Broken, span)) => {
                reader.note(span, LineState::Unsupported, "a text that is not closed");
                parts.push((Token::Broken, span));
            }
            Some(part) => parts.push(part),
        }
    }
    let unescape = |(token, span): &(Token, Span)| {
        let text = source.slice(*span);
        if *token == Token::Text { text.replace("\\\"", "\"").replace("\\\\", "\\") } else { text.to_owned() }
    };
    let text = parts.iter().map(unescape).collect::<Vec<_>>().join(" ");
    let end = parts.last().map_or(key, |p| p.1);
    let at = match parts.as_slice() {
        [(_, only)] => *only,
        [(_, first), .., (_, last)] => first.to(*last),
        [] => Span { start: key.end, ..key },
    };
    Value { text, at, span: key.to(end) }
}

/// The includes of a file, at whatever level.
pub(super) fn includes(source: &SourceFile) -> Vec<(String, Span)> {
    let mut lexer = Lexer { source, at: 0 };
    let mut found = Vec::new();
    while let Some((token, span)) = lexer.next(false) {
        match token {
            Token::Name if source.slice(span) == "include" && is_include(source, span.end as usize) => {
                if let Some((_, pattern)) = lexer.next(true) {
                    found.push((source.slice(pattern).to_owned(), pattern));
                }
            }
            // The words of a value are none.
            Token::Equal => while !matches!(lexer.next(true), None | Some((Token::Line | Token::Close, _))) {},
            _ => {}
        }
    }
    found
}
