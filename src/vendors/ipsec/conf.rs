//! `ipsec.conf` as text: sections of parameters, includes followed.

use std::collections::HashMap;

use super::words::Place;
use crate::diag::LineState;
use crate::source::{FileId, SourceFile, Span};
use crate::vendors::{Detection, Reader};

/// What a section is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    /// `config setup`.
    Setup,
    /// `conn NAME`.
    Conn,
    /// `ca NAME`: a certification authority of strongSwan.
    Ca,
}

/// A parameter of a section.
#[derive(Clone, Debug)]
pub(super) struct Param {
    /// In lower case.
    pub key: String,
    /// Without quotes; empty stands for the default.
    pub value: String,
    /// Where the value stands, without quotes.
    pub at: Span,
    /// Key and value.
    pub span: Span,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    pub kind: Kind,
    pub name: String,
    /// Its first line.
    pub header: Span,
    pub params: Vec<Param>,
}

/// How deep includes nest: libreswan has ten levels (`MAX_INCLUDE_DEPTH` of its parser).
const DEPTH: usize = 10;

/// Everything that a file and its includes say.
pub(super) struct Conf {
    pub sections: Vec<Section>,
    /// Where the last section of a kind and name is.
    index: HashMap<(Kind, String), usize>,
    /// Files of secrets that were found beside.
    pub secrets: Vec<FileId>,
}

impl Conf {
    /// The section of a name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Section> {
        self.index.get(&(kind, name.to_owned())).and_then(|i| self.sections.get(*i))
    }
}

/// A line taken apart.
enum Line<'t> {
    Blank,
    Header(Kind, Place<'t>),
    Include(Place<'t>),
    Version,
    /// Key, value, and whether the value ends as it should.
    Param(Place<'t>, Place<'t>, bool),
    Other(Place<'t>),
}

/// What stands before a comment. `#` begins one at the beginning of a line and after a blank (ipsec.conf(5)).
fn code(text: &str) -> &str {
    let mut quoted = false;
    let mut blank = true;
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if blank && !quoted => return text.get(..i).unwrap_or(""),
            _ => {}
        }
        blank = c.is_whitespace();
    }
    text
}

fn line(place: Place<'_>) -> Line<'_> {
    let indented = place.text.starts_with([' ', '\t']);
    let code = place.part(0, code(place.text).len());
    if code.text.is_empty() {
        return Line::Blank;
    }
    let (word, rest) = code.word();
    let is_key = rest.text.starts_with('=') || word.text.contains('=');
    if !is_key {
        let kind = match word.text.to_ascii_lowercase().as_str() {
            "include" => return Line::Include(rest.unquoted()),
            "version" if !indented => return Line::Version,
            "config" if rest.text.eq_ignore_ascii_case("setup") => Some(Kind::Setup),
            "conn" => Some(Kind::Conn),
            "ca" => Some(Kind::Ca),
            _ => None,
        };
        return match kind {
            Some(kind) if !indented => Line::Header(kind, if kind == Kind::Setup { rest } else { rest.unquoted() }),
            _ => Line::Other(code),
        };
    }
    match code.split('=') {
        Some((key, value)) if indented && !key.text.is_empty() => {
            let closed = value.text.matches('"').count() % 2 == 0;
            Line::Param(key, value.unquoted(), closed)
        }
        _ => Line::Other(code),
    }
}

/// Reads a file with what it includes.
pub(super) fn parse(reader: &mut Reader<'_>) -> Conf {
    let mut conf = Conf { sections: Vec::new(), index: HashMap::new(), secrets: Vec::new() };
    let main = reader.file;
    file(reader, main, &mut vec![main.id], &mut conf);
    for pattern in SECRETS {
        for found in reader.include(main.id, pattern) {
            if super::secrets::detect(found).is_some() && !conf.secrets.contains(&found.id) {
                conf.secrets.push(found.id);
            }
        }
    }
    conf
}

/// Where secrets lie: beside `ipsec.conf`, and in files that the secrets themselves include.
const SECRETS: [&str; 1] = ["ipsec.secrets"];

fn file(reader: &mut Reader<'_>, source: &SourceFile, open: &mut Vec<FileId>, conf: &mut Conf) {
    // A section goes on from line to line, never from file to file.
    let mut current: Option<usize> = None;
    for index in 0..source.line_count() {
        let place = Place::of(source, source.line_span(index));
        match line(place) {
            Line::Blank => reader.mark(place.span, LineState::Irrelevant),
            Line::Version => reader.mark(place.span, LineState::Irrelevant),
            Line::Header(kind, name) => {
                reader.mark(place.span, LineState::Understood);
                let key = (kind, name.text.to_owned());
                let at = *conf.index.entry(key).or_insert_with(|| {
                    let header = Span { start: place.span.start, ..name.span };
                    conf.sections.push(Section { kind, name: name.text.to_owned(), header, params: Vec::new() });
                    conf.sections.len() - 1
                });
                if kind == Kind::Conn && name.text.is_empty() {
                    reader.refused(place.span, "a connection without a name");
                }
                current = Some(at);
            }
            Line::Include(pattern) => {
                reader.mark(place.span, LineState::Understood);
                current = None;
                for target in reader.include(source.id, pattern.text) {
                    if open.contains(&target.id) || open.len() >= DEPTH {
                        reader.incomplete(place.span, LineState::Unsupported, "this include goes round in a circle or nests too deep");
                    } else {
                        open.push(target.id);
                        file(reader, target, open, conf);
                        open.pop();
                    }
                }
            }
            Line::Param(key, value, closed) => {
                let span = key.span.to(value.span);
                let name = key.text.to_ascii_lowercase();
                super::words::hide(reader, &name, value.span);
                match current.and_then(|i| conf.sections.get_mut(i)) {
                    Some(section) => {
                        section.params.push(Param { key: name, value: value.text.to_owned(), at: value.span, span });
                    }
                    None => reader.note(span, LineState::Unrecognised, "a parameter outside of any section"),
                }
                if !closed {
                    reader.note(span, LineState::Unsupported, "a value whose quotes do not close on its line is not read");
                }
            }
            Line::Other(code) => {
                super::words::hide(reader, code.text, code.span);
                let text = if !place.text.starts_with([' ', '\t']) && code.text.contains('=') {
                    "a parameter that is not indented belongs to no section: the file is refused"
                } else {
                    "neither a section nor a parameter"
                };
                reader.note(code.span, LineState::Unrecognised, text);
            }
        }
    }
}

/// Parameters that only connections of IPsec have.
const TELLING: &[&str] = &[
    "authby",
    "keyexchange",
    "ikev2",
    "leftsubnet",
    "rightsubnet",
    "leftid",
    "rightid",
    "leftauth",
    "rightauth",
    "ike",
    "esp",
    "phase2alg",
    "ikelifetime",
    "keyingtries",
    "rekeymargin",
    "leftcert",
    "rightcert",
    "leftsourceip",
    "rightsourceip",
    "dpdaction",
    "dpddelay",
    "pfs",
    "left",
    "right",
    "also",
    "charondebug",
    "uniqueids",
    "plutodebug",
    "virtual_private",
    "virtual-private",
    "protostack",
    "leftrsasigkey",
    "rightrsasigkey",
    "leftprotoport",
    "rightprotoport",
    "leftsubnets",
    "rightsubnets",
    "rightaddresspool",
    "leftfirewall",
    "keylife",
    "mobike",
    "type",
];

pub(super) fn detect(source: &SourceFile) -> Option<Detection> {
    let mut section = false;
    let mut telling = 0;
    let mut include = false;
    let text = super::head(source);
    for (start, text) in lines(text) {
        let place = Place { text, span: Span::new(source.id, start, start + text.len()) };
        match line(place) {
            Line::Header(Kind::Ca, _) | Line::Blank | Line::Version => {}
            Line::Header(..) => section = true,
            Line::Include(_) => include = true,
            Line::Param(key, ..) => telling += usize::from(section && TELLING.contains(&key.text.to_ascii_lowercase().as_str())),
            // Text that is something else altogether.
            Line::Other(_) if !section => return None,
            Line::Other(_) => {}
        }
    }
    if telling >= 2 || (section && telling >= 1) {
        super::certain("has sections `conn` or `config setup` with parameters of IPsec")
    } else if section && (include || text.contains("config setup")) {
        super::certain("has a section `config setup`")
    } else {
        None
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |l| {
        let start = at;
        at += l.len();
        (start, l.trim_end_matches(['\n', '\r']))
    })
}

pub(super) fn includes(source: &SourceFile) -> Vec<(String, Span)> {
    let mut found: Vec<(String, Span)> = (0..source.line_count())
        .filter_map(|i| match line(Place::of(source, source.line_span(i))) {
            Line::Include(pattern) if !pattern.text.is_empty() => Some((pattern.text.to_owned(), pattern.span)),
            _ => None,
        })
        .collect();
    found.extend(SECRETS.map(|p| (p.to_owned(), Span::new(source.id, 0, 0))));
    found
}
