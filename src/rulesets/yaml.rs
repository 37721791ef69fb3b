//! YAML with places: what serde sees, and beside it where each part stands.
//!
//! The text first goes through an event parser that builds nothing: nesting, anchors and aliases are bounded there, duplicate keys
//! are found with both places, and what a baseline has no use for (tags, several documents, keys that are no text) is refused, all
//! before serde expands anything.

use std::collections::HashMap;

use granit_parser::{Event, Parser};
use serde_yaml::Value;

use crate::source::{SourceFile, Span};

const DEPTH: usize = 128;
const ANCHORS: usize = 64;
const ALIASES: usize = 1024;
/// Bytes of a key: paths of errors hold keys, and there may be many.
const KEY: usize = 200;

/// A text as YAML writes it in double quotes, whatever is in it, on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            _ if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// A problem at a place of a YAML file.
pub(crate) struct Problem {
    pub span: Span,
    pub message: String,
}

/// A YAML document and its places.
pub(crate) struct Document {
    pub value: Value,
    nodes: Vec<Node>,
}

struct Node {
    /// The value; for a collection its beginning.
    span: Span,
    key: Option<Span>,
    children: Children,
}

enum Children {
    None,
    Keys(HashMap<String, usize>),
    Items(Vec<usize>),
}

impl Document {
    /// Reads a file.
    pub fn read(file: &SourceFile) -> Result<Document, Vec<Problem>> {
        let nodes = Outline::new(file).read()?;
        match serde_yaml::from_str(&file.text) {
            Ok(value) => Ok(Document { value, nodes }),
            Err(e) => {
                let at = e.location().map_or(0, |l| l.index().min(file.text.len()));
                Err(vec![Problem { span: snap(file, at, at), message: format!("invalid YAML: {e}") }])
            }
        }
    }

    /// Where a path of keys and indices (`checks[0].flow.to`) stands: a scalar's text, a collection's key. A colon at the end asks for the
    /// key. What is not there has the place of what should hold it.
    pub fn span(&self, path: &str) -> Span {
        let (path, at_key) = path.strip_suffix(':').map_or((path, false), |p| (p, true));
        let mut at = 0;
        let mut rest = path;
        while let Some((next, left)) = self.step(at, rest) {
            at = next;
            rest = left;
        }
        let node = &self.nodes[at];
        match (&node.children, node.key) {
            (Children::None, Some(key)) if at_key => key,
            (Children::None, _) => node.span,
            (_, Some(key)) => key,
            (_, None) => node.span,
        }
    }

    fn step<'p>(&self, at: usize, path: &'p str) -> Option<(usize, &'p str)> {
        match &self.nodes[at].children {
            Children::None => None,
            Children::Items(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                Some((*items.get(index.parse::<usize>().ok()?)?, rest))
            }
            // A key may itself hold dots and brackets: the longest that fits.
            Children::Keys(keys) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let ends = path.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(i, _)| i);
                let mut ends: Vec<usize> = ends.filter(|i| *i > 0).collect();
                ends.push(path.len());
                ends.into_iter().rev().find_map(|end| Some((*keys.get(&path[..end])?, &path[end..])))
            }
        }
    }
}

fn snap(file: &SourceFile, start: usize, end: usize) -> Span {
    let floor = |mut i: usize| {
        i = i.min(file.text.len());
        while !file.text.is_char_boundary(i) {
            i -= 1;
        }
        i
    };
    Span::new(file.id, floor(start), floor(end))
}

/// A collection that is open.
struct Open {
    node: usize,
    /// In a mapping: the key that waits for its value.
    key: Option<(String, Span)>,
}

struct Outline<'a> {
    file: &'a SourceFile,
    nodes: Vec<Node>,
    open: Vec<Open>,
    problems: Vec<Problem>,
}

impl<'a> Outline<'a> {
    fn new(file: &'a SourceFile) -> Outline<'a> {
        Outline { file, nodes: Vec::new(), open: Vec::new(), problems: Vec::new() }
    }

    fn say(&mut self, span: Span, message: impl Into<String>) {
        if self.problems.len() < 100 {
            self.problems.push(Problem { span, message: message.into() });
        }
    }

    fn stop(mut self, span: Span, message: impl Into<String>) -> Vec<Problem> {
        self.say(span, message);
        self.problems
    }

    fn read(mut self) -> Result<Vec<Node>, Vec<Problem>> {
        let file = self.file;
        let (mut anchors, mut aliases, mut documents) = (0, 0, 0);
        for event in Parser::new_from_str(&file.text) {
            let (event, place) = match event {
                Ok(event) => event,
                Err(e) => {
                    let at = e.marker().byte_offset().unwrap_or(file.text.len());
                    let span = snap(file, at, at + 1);
                    let what = match e.kind() {
                        granit_parser::ErrorKind::RecursionLimitExceeded => format!("nested deeper than {DEPTH}"),
                        _ => format!("invalid YAML: {}", e.info()),
                    };
                    return Err(self.stop(span, what));
                }
            };
            let byte = |m: granit_parser::Marker| m.byte_offset().unwrap_or(0);
            let span = snap(file, byte(place.start), byte(place.end));
            if event.anchor_id().is_some() {
                anchors += 1;
            }
            if event.is_alias() {
                aliases += 1;
            }
            if anchors > ANCHORS {
                return Err(self.stop(span, format!("more than {ANCHORS} anchors")));
            }
            if aliases > ALIASES {
                return Err(self.stop(span, format!("more than {ALIASES} aliases")));
            }
            if event.tag().is_some() {
                self.say(span, "tags (`!…`) are not read: write the value without one");
            }
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(
                            self.stop(span, "a second document begins here: one file holds one baseline, ruleset or list of waivers")
                        );
                    }
                }
                Event::Scalar(text, ..) => match self.open.last_mut() {
                    Some(open) if open.key.is_none() && matches!(self.nodes[open.node].children, Children::Keys(_)) => {
                        open.key = Some((text.chars().take(KEY).collect(), span));
                        if text.len() > KEY {
                            return Err(self.stop(span, format!("a key is longer than {KEY} bytes")));
                        }
                    }
                    _ => {
                        self.put(span, Children::None);
                    }
                },
                Event::SequenceStart(..) | Event::MappingStart(..) => {
                    if self.open.len() >= DEPTH {
                        return Err(self.stop(span, format!("nested deeper than {DEPTH}")));
                    }
                    let waits_for_key =
                        self.open.last().is_some_and(|o| o.key.is_none() && matches!(self.nodes[o.node].children, Children::Keys(_)));
                    if waits_for_key {
                        return Err(self.stop(span, "a key must be text"));
                    }
                    let mapping = matches!(event, Event::MappingStart(..));
                    let node = self.put(span, if mapping { Children::Keys(HashMap::new()) } else { Children::Items(Vec::new()) });
                    self.open.push(Open { node, key: None });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    self.open.pop();
                }
                _ if event.is_alias() => {
                    let waits_for_key =
                        self.open.last().is_some_and(|o| o.key.is_none() && matches!(self.nodes[o.node].children, Children::Keys(_)));
                    if waits_for_key {
                        return Err(self.stop(span, "a key must be text"));
                    }
                    self.put(span, Children::None);
                }
                _ => {}
            }
        }
        if self.nodes.is_empty() {
            let span = Span::new(file.id, 0, 0);
            return Err(self.stop(span, "the file is empty"));
        }
        if self.problems.is_empty() { Ok(self.nodes) } else { Err(self.problems) }
    }

    /// Adds a node below the open collection.
    fn put(&mut self, span: Span, children: Children) -> usize {
        let id = self.nodes.len();
        let mut own_key = None;
        let mut twice = None;
        if let Some(open) = self.open.last_mut() {
            match (&mut self.nodes[open.node].children, open.key.take()) {
                (Children::Keys(keys), Some((key, at))) => {
                    own_key = Some(at);
                    match keys.entry(key) {
                        std::collections::hash_map::Entry::Occupied(e) => twice = Some((e.key().clone(), *e.get(), at)),
                        std::collections::hash_map::Entry::Vacant(e) => {
                            e.insert(id);
                        }
                    }
                }
                (Children::Items(items), _) => items.push(id),
                _ => {}
            }
        }
        if let Some((key, first, at)) = twice {
            let line = self.nodes[first].key.map_or(0, |k| self.file.place(k.start).line);
            self.say(at, format!("the key {} is here twice (first on line {line})", crate::checks::body::quote(&key)));
        }
        self.nodes.push(Node { span, key: own_key, children });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn read(text: &str) -> Result<(SourceFile, Document), Vec<String>> {
        let file = SourceFile::from_text(FileId(0), "b.yaml", text);
        match Document::read(&file) {
            Ok(document) => Ok((file, document)),
            Err(problems) => Err(problems
                .into_iter()
                .map(|p| {
                    let place = file.place(p.span.start);
                    format!("{}:{}: {}", place.line, place.column, p.message)
                })
                .collect()),
        }
    }

    #[test]
    fn a_path_leads_to_its_place() {
        let (file, document) = read("a:\n  - b: ü\n    \"c.d[1]\": [x, y]\n  - z\n").ok().unwrap();
        let at = |path: &str| {
            let span = document.span(path);
            let place = file.place(span.start);
            (place.line, place.column, file.slice(span).to_owned())
        };
        assert_eq!(at("a[0].b"), (2, 8, "ü".into()));
        assert_eq!(at("a[0].b:"), (2, 5, "b".into()));
        assert_eq!(at("a[0].c.d[1][1]"), (3, 19, "y".into()));
        assert_eq!(at("a[1].nothing"), (4, 5, "z".into()));
        assert_eq!(at("a"), (1, 1, "a".into()));
    }

    #[test]
    fn a_quoted_text_is_read_as_it_was() {
        for text in ["", "plain", "a: \"b\" # c", "tab\t nl\n \u{202e} \u{7f} \u{85} \u{1f600} é \u{feff}", "back\\slash"] {
            let value: String = serde_yaml::from_str(&quoted(text)).unwrap();
            assert_eq!(value, text);
            assert!(!quoted(text).contains('\n'));
        }
    }

    #[test]
    fn bombs_are_refused_before_they_go_off() {
        let deep = "[".repeat(200_000);
        let said = read(&deep).err().unwrap();
        assert!(said[0].contains("nest"), "{said:?}");
        let dashes = "- ".repeat(100_000);
        let said = read(&dashes).err().unwrap();
        assert!(said[0].contains("nest"), "{said:?}");
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (i, c) in ('b'..='k').enumerate() {
            let before = char::from(b'a' + i as u8);
            bomb.push_str(&format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 10].join(",")));
        }
        assert!(!read(&bomb).err().unwrap().is_empty());
        let aliases = format!("a: &a 1\nb: [{}]\n", vec!["*a"; 2000].join(","));
        assert!(read(&aliases).err().unwrap()[0].contains("more than 1024 aliases"));
        let anchors: String = (0..70).map(|i| format!("k{i}: &a{i} 1\n")).collect();
        assert!(read(&anchors).err().unwrap()[0].contains("more than 64 anchors"));
    }

    #[test]
    fn a_key_twice_is_said_with_both_places() {
        assert_eq!(read("a: 1\nb: 2\na: 3\n").err().unwrap(), ["3:1: the key \"a\" is here twice (first on line 1)"]);
    }

    #[test]
    fn what_a_baseline_has_no_use_for_is_refused() {
        assert!(read("a: 1\n---\nb: 2\n").err().unwrap()[0].contains("second document"));
        assert!(read("a: !x 1\n").err().unwrap()[0].contains("tags"));
        assert!(read("? [a]\n: 1\n").err().unwrap()[0].contains("must be text"));
        assert!(read("").err().unwrap()[0].contains("empty"));
        assert!(read("a: [1\nb: 2").is_err());
        assert!(read("a: *nobody\n").is_err());
    }
}
