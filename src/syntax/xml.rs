//! XML as a tree in which every element, attribute and text knows its place.
//!
//! Made for files that somebody else wrote: time and memory are linear in the text, depth and size are bounded, nothing is fetched and no
//! entity is expanded. A damaged file is read up to its damage; [`Document::problems`] says where that is.
//!
//! ```
//! use fwproof::source::{FileId, Limits, SourceFile};
//! use fwproof::syntax::xml::Document;
//!
//! let file = SourceFile::from_text(FileId(0), "zone.xml", "<zone><port port='22' protocol=\"tcp\"/></zone>");
//! let document = Document::read(&file, &Limits::default());
//! let zone = document.root().unwrap();
//! let port = zone.children().next().unwrap();
//! assert_eq!((port.name(), port.attribute("port").unwrap().value()), ("port", "22".into()));
//! assert!(document.problems().is_empty());
//! ```

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::source::{FileId, Limits, SourceFile, Span};

/// Most elements, texts and attributes of a document, together.
pub const MOST_NODES: usize = 2_000_000;

/// Most attributes of one element.
pub const MOST_ATTRIBUTES: usize = 1024;

/// What was read of an XML text.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    file: FileId,
    /// In the order of the text, so that everything within a node stands directly after it.
    nodes: Vec<Node>,
    attributes: Vec<RawAttribute>,
    asides: Vec<Span>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    /// The whole node: of an element, from the start tag to the end tag.
    start: u32,
    end: u32,
    /// One past the last node within this one.
    beyond: u32,
}

#[derive(Debug)]
enum Kind {
    Element {
        name: (u32, u32),
        tag_end: u32,
        attributes: (u32, u32),
        closed: bool,
    },
    /// Characters that stand for themselves.
    Text,
    /// A character reference.
    Character(char),
    /// A reference to an entity that XML itself does not define.
    Entity,
}

#[derive(Debug)]
struct RawAttribute {
    name: (u32, u32),
    value: (u32, u32),
}

/// Something in the text that was not read, or not as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where. Of damage, from there to the end of the text.
    pub span: Span,
    /// Which sort.
    pub kind: ProblemKind,
    /// What it is, in a few words.
    pub text: String,
}

/// Sorts of problems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProblemKind {
    /// A document type without declarations of its own. Nothing was fetched for it; files that carry one as a matter of form (property
    /// lists) are complete without.
    Doctype,
    /// Declarations of entities or a reference to one: refused, so that a text or value may be other than it was meant.
    Refused,
    /// A bound was hit: nothing is read from here on.
    Limit,
    /// Not XML from here on.
    Damaged,
}

impl ProblemKind {
    /// Whether the tree may lack or misrepresent something for it.
    pub fn loses(self) -> bool {
        self != ProblemKind::Doctype
    }
}

/// An element.
#[derive(Clone, Copy, Debug)]
pub struct Element<'d> {
    document: &'d Document<'d>,
    index: usize,
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'d> {
    document: &'d Document<'d>,
    raw: &'d RawAttribute,
}

impl<'t> Document<'t> {
    /// Reads a file. `limits.nesting` bounds the depth; [`MOST_NODES`] and [`MOST_ATTRIBUTES`] the rest.
    pub fn read(file: &'t SourceFile, limits: &Limits) -> Document<'t> {
        let text: &'t str = &file.text;
        let document = Document { text, file: file.id, nodes: vec![], attributes: vec![], asides: vec![], problems: vec![] };
        Builder { document, open: vec![], depth: limits.nesting, rooted: false }.build()
    }

    /// The outermost element, if the text came so far.
    pub fn root(&self) -> Option<Element<'_>> {
        self.nodes.iter().position(|n| matches!(n.kind, Kind::Element { .. })).map(|index| Element { document: self, index })
    }

    /// Comments, processing instructions and the XML declaration.
    pub fn asides(&self) -> &[Span] {
        &self.asides
    }

    /// What was not read, or not as written, in the order of the text.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn span(&self, start: u32, end: u32) -> Span {
        Span { file: self.file, start, end: end.max(start) }
    }

    fn slice(&self, (start, end): (u32, u32)) -> &str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }
}

impl<'d> Element<'d> {
    /// Its name as written, with its prefix if it has one.
    pub fn name(self) -> &'d str {
        self.document.slice(self.parts().0)
    }

    /// Where its name stands in the start tag.
    pub fn name_span(self) -> Span {
        let (start, end) = self.parts().0;
        self.document.span(start, end)
    }

    /// Its name without a prefix. Namespaces are not resolved.
    pub fn local_name(self) -> &'d str {
        self.name().rsplit(':').next().unwrap_or("")
    }

    /// From the start tag to the end tag. What was never closed goes to the damage.
    pub fn span(self) -> Span {
        self.node().map_or(self.document.span(0, 0), |n| self.document.span(n.start, n.end))
    }

    /// The start tag.
    pub fn tag_span(self) -> Span {
        self.document.span(self.node().map_or(0, |n| n.start), self.parts().1)
    }

    /// Whether its end was seen: else there may have been more in it.
    pub fn is_closed(self) -> bool {
        matches!(self.node().map(|n| &n.kind), Some(Kind::Element { closed: true, .. }))
    }

    /// Its attributes in the order of the text.
    pub fn attributes(self) -> impl Iterator<Item = Attribute<'d>> {
        let (start, end) = self.parts().2;
        let list = self.document.attributes.get(start as usize..end as usize).unwrap_or(&[]);
        list.iter().map(move |raw| Attribute { document: self.document, raw })
    }

    /// The attribute of this name as written.
    pub fn attribute(self, name: &str) -> Option<Attribute<'d>> {
        self.attributes().find(|a| a.name() == name)
    }

    /// The elements directly within it.
    pub fn children(self) -> impl Iterator<Item = Element<'d>> {
        self.nodes_within().filter(|(_, n)| matches!(n.kind, Kind::Element { .. })).map(move |(index, _)| Element { index, ..self })
    }

    /// The first element directly within it of this name as written.
    pub fn child(self, name: &str) -> Option<Element<'d>> {
        self.children().find(|e| e.name() == name)
    }

    /// All elements within it at any depth, in the order of the text; not itself.
    pub fn descendants(self) -> impl Iterator<Item = Element<'d>> {
        let beyond = self.node().map_or(0, |n| n.beyond as usize);
        let range = self.index + 1..beyond.max(self.index + 1);
        range
            .filter(move |i| matches!(self.document.nodes.get(*i).map(|n| &n.kind), Some(Kind::Element { .. })))
            .map(move |index| Element { index, ..self })
    }

    /// The characters directly within it, with references resolved and without spaces and line ends at both ends. A reference to an
    /// entity that XML itself does not define stays as written.
    pub fn text(self) -> Cow<'d, str> {
        let mut whole = Cow::Borrowed("");
        for (_, node) in self.nodes_within() {
            let piece = match node.kind {
                Kind::Element { .. } => continue,
                Kind::Character(c) => {
                    whole.to_mut().push(c);
                    continue;
                }
                Kind::Text | Kind::Entity => self.document.slice((node.start, node.end)),
            };
            match &mut whole {
                Cow::Borrowed("") => whole = Cow::Borrowed(piece),
                _ => whole.to_mut().push_str(piece),
            }
        }
        match whole {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        }
    }

    /// Where its text stands: from its first to its last character that is no space. Empty, at the end of the start tag, where there is
    /// none.
    pub fn text_span(self) -> Span {
        let mut found: Option<Span> = None;
        for (_, node) in self.nodes_within().filter(|(_, n)| !matches!(n.kind, Kind::Element { .. })) {
            let raw = self.document.slice((node.start, node.end));
            let start = node.start as usize + raw.len() - raw.trim_start().len();
            if !raw.trim().is_empty() {
                let span = Span::new(self.document.file, start, start + raw.trim().len());
                found = Some(found.map_or(span, |s| s.to(span)));
            }
        }
        found.unwrap_or_else(|| {
            let end = self.parts().1;
            self.document.span(end, end)
        })
    }

    fn node(self) -> Option<&'d Node> {
        self.document.nodes.get(self.index)
    }

    /// Name, end of the start tag, attributes.
    fn parts(self) -> ((u32, u32), u32, (u32, u32)) {
        match self.node().map(|n| &n.kind) {
            Some(Kind::Element { name, tag_end, attributes, .. }) => (*name, *tag_end, *attributes),
            _ => ((0, 0), 0, (0, 0)),
        }
    }

    /// The nodes directly within it.
    fn nodes_within(self) -> impl Iterator<Item = (usize, &'d Node)> {
        let beyond = self.node().map_or(0, |n| n.beyond as usize);
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            let index = next;
            let node = self.document.nodes.get(index).filter(|_| index < beyond)?;
            next = (node.beyond as usize).max(index + 1);
            Some((index, node))
        })
    }
}

impl<'d> Attribute<'d> {
    /// Its name as written, with its prefix if it has one.
    pub fn name(self) -> &'d str {
        self.document.slice(self.raw.name)
    }

    /// Its value with references resolved; one to an entity that XML itself does not define stays as written.
    pub fn value(self) -> Cow<'d, str> {
        unescape(self.document.slice(self.raw.value))
    }

    /// Where its value stands, without the quotes.
    pub fn span(self) -> Span {
        self.document.span(self.raw.value.0, self.raw.value.1)
    }

    /// Where its name and value stand.
    pub fn whole_span(self) -> Span {
        let quoted = (self.raw.value.1 as usize).saturating_add(1).min(self.document.text.len());
        self.document.span(self.raw.name.0, quoted as u32)
    }
}

/// The character of a reference without its `&` and `;`, if XML itself defines it.
fn referred(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32).filter(|c| *c != '\0')
        }
    }
}

/// The first reference of a text: what stands before it, it without `&` and `;`, and what follows.
fn reference(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('&')?;
    let (name, after) = rest.split_once(';')?;
    Some((before, name, after))
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = reference(rest) {
        out.push_str(before);
        match referred(name) {
            Some(c) => out.push(c),
            None => {
                out.push('&');
                out.push_str(name);
                out.push(';');
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

struct Builder<'t> {
    document: Document<'t>,
    open: Vec<usize>,
    depth: usize,
    rooted: bool,
}

impl<'t> Builder<'t> {
    fn build(mut self) -> Document<'t> {
        let text = self.document.text;
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.allow_dangling_amp = true;
        loop {
            let start = reader.buffer_position().min(text.len() as u64) as u32;
            let event = reader.read_event();
            let end = reader.buffer_position().min(text.len() as u64) as u32;
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    let at = reader.error_position().min(text.len() as u64) as u32;
                    self.stop(at.max(start), ProblemKind::Damaged, &format!("not XML from here on: {error}"));
                    break;
                }
            };
            let goes_on = match event {
                Event::Start(tag) => self.element(&tag, start, end, false),
                Event::Empty(tag) => self.element(&tag, start, end, true),
                Event::End(_) => {
                    self.close(end, true);
                    true
                }
                Event::Text(_) => self.text(start, end),
                Event::CData(_) => {
                    // Within `<![CDATA[` and `]]>`, which no character reference interrupts.
                    self.leaf(Kind::Text, start.saturating_add(9), end.saturating_sub(3))
                }
                Event::GeneralRef(name) => match referred(&name) {
                    Some(c) => self.leaf(Kind::Character(c), start, end),
                    None => {
                        self.refuse(start, end);
                        self.leaf(Kind::Entity, start, end)
                    }
                },
                Event::DocType(doctype) => {
                    let declares = doctype.contains('[');
                    let (kind, what) = match declares {
                        true => (ProblemKind::Refused, "the declarations of this document type are refused: no entity is expanded"),
                        false => (ProblemKind::Doctype, "this document type is not looked at, and nothing is fetched for it"),
                    };
                    self.problem(start, end, kind, what);
                    true
                }
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {
                    let span = self.document.span(start, end);
                    self.document.asides.push(span);
                    self.has_room(start)
                }
                Event::Eof => {
                    if let Some(index) = self.open.last() {
                        let name = Element { document: &self.document, index: *index }.name().to_owned();
                        self.stop(end, ProblemKind::Damaged, &format!("the text ends within <{name}>"));
                    } else if !self.rooted {
                        self.stop(end, ProblemKind::Damaged, "there is no element");
                    }
                    false
                }
            };
            if !goes_on {
                break;
            }
        }
        let end = self.document.problems.last().filter(|p| p.kind.loses()).map_or(text.len() as u32, |p| p.span.start);
        while !self.open.is_empty() {
            self.close(end, false);
        }
        self.document
    }

    /// Says a problem; false, so that the reading ends where it must.
    fn problem(&mut self, start: u32, end: u32, kind: ProblemKind, text: &str) -> bool {
        let span = self.document.span(start, end);
        self.document.problems.push(Problem { span, kind, text: text.to_owned() });
        false
    }

    /// Says a problem from `start` to the end of the text.
    fn stop(&mut self, start: u32, kind: ProblemKind, text: &str) -> bool {
        self.problem(start, self.document.text.len() as u32, kind, text)
    }

    fn refuse(&mut self, start: u32, end: u32) {
        // One is enough to know it; a flood of them would be a flood of notes.
        const MOST: usize = 100;
        if self.document.problems.len() < MOST {
            self.problem(start, end, ProblemKind::Refused, "a reference to an entity is not resolved");
        }
    }

    fn has_room(&mut self, at: u32) -> bool {
        let document = &self.document;
        let used = document.nodes.len() + document.attributes.len() + document.asides.len();
        used < MOST_NODES || self.stop(at, ProblemKind::Limit, "too many elements: nothing is read from here on")
    }

    fn leaf(&mut self, kind: Kind, start: u32, end: u32) -> bool {
        if self.open.is_empty() {
            return self.stop(start, ProblemKind::Damaged, "text outside of the outermost element");
        }
        let beyond = self.document.nodes.len() as u32 + 1;
        self.document.nodes.push(Node { kind, start, end: end.max(start), beyond });
        self.has_room(start)
    }

    fn text(&mut self, start: u32, end: u32) -> bool {
        let blank = self.document.slice((start, end)).trim_start_matches('\u{feff}').trim().is_empty();
        if self.open.is_empty() && blank {
            return true;
        }
        self.leaf(Kind::Text, start, end)
    }

    fn element(&mut self, tag: &BytesStart<'_>, start: u32, end: u32, empty: bool) -> bool {
        if self.open.is_empty() && self.rooted {
            return self.stop(start, ProblemKind::Damaged, "a second outermost element");
        }
        if self.open.len() >= self.depth {
            return self.stop(
                start,
                ProblemKind::Limit,
                &format!("elements nest deeper than {}: nothing is read from here on", self.depth),
            );
        }
        if tag.name().as_ref().is_empty() {
            return self.stop(start, ProblemKind::Damaged, "an element without a name");
        }
        self.rooted = true;
        let first = self.document.attributes.len();
        let name_start = start + 1;
        let mut goes_on = true;
        let mut attributes = tag.attributes();
        attributes.with_checks(false);
        for attribute in attributes {
            let Ok(attribute) = attribute else {
                goes_on = self.stop(start, ProblemKind::Damaged, "an attribute cannot be read");
                break;
            };
            let name = self.place(attribute.key.as_ref());
            let value = self.place(&attribute.value);
            if self.document.attributes.len() - first >= MOST_ATTRIBUTES {
                goes_on = self.stop(start, ProblemKind::Limit, "too many attributes: nothing is read from here on");
                break;
            }
            self.document.attributes.push(RawAttribute { name, value });
            self.check_references(value);
        }
        goes_on = goes_on && self.check_twice(first, start);
        if !goes_on {
            // What could be read of a damaged tag is no statement of its author.
            self.document.attributes.truncate(first);
            return false;
        }
        let kind = Kind::Element {
            name: (name_start, name_start + tag.name().as_ref().len() as u32),
            tag_end: end,
            attributes: (first as u32, self.document.attributes.len() as u32),
            closed: false,
        };
        let index = self.document.nodes.len();
        self.document.nodes.push(Node { kind, start, end, beyond: index as u32 + 1 });
        self.open.push(index);
        if empty {
            self.close(end, true);
        }
        self.has_room(start)
    }

    /// Where a piece that the parser borrowed from the text stands in it.
    fn place(&self, piece: &str) -> (u32, u32) {
        let start = (piece.as_ptr() as usize).wrapping_sub(self.document.text.as_ptr() as usize);
        match self.document.text.get(start..start.saturating_add(piece.len())) {
            Some(_) => (start as u32, (start + piece.len()) as u32),
            None => (0, 0),
        }
    }

    fn check_references(&mut self, value: (u32, u32)) {
        let text = self.document.text;
        let mut rest = text.get(value.0 as usize..value.1 as usize).unwrap_or("");
        while let Some((_, name, after)) = reference(rest) {
            if referred(name).is_none() {
                self.refuse(value.0, value.1);
                return;
            }
            rest = after;
        }
    }

    /// Whether no attribute from `first` on is there twice: XML does not allow it, and readers differ in which they take.
    fn check_twice(&mut self, first: usize, start: u32) -> bool {
        let list = self.document.attributes.get(first..).unwrap_or(&[]);
        let mut names: Vec<&str> = list.iter().map(|a| self.document.slice(a.name)).collect();
        names.sort_unstable();
        match names.windows(2).any(|w| w.first() == w.last()) {
            true => self.stop(start, ProblemKind::Damaged, "an attribute is there twice"),
            false => true,
        }
    }

    fn close(&mut self, end: u32, seen: bool) {
        let Some(index) = self.open.pop() else { return };
        let beyond = self.document.nodes.len() as u32;
        if let Some(node) = self.document.nodes.get_mut(index) {
            (node.end, node.beyond) = (end.max(node.end), beyond);
            if let Kind::Element { closed, .. } = &mut node.kind {
                *closed = seen;
            }
        }
    }
}

#[cfg(test)]
mod tests;
