//! What a format is, and what a reader of one has in its hands.

use std::collections::BTreeMap;

use crate::diag::{LineState, LineStates, Note};
use crate::model::Device;
use crate::net::Family;
use crate::source::{FileId, Limits, SourceFile, Span};

/// A configuration format: facts and functions.
pub struct Format {
    /// Kebab-case id, for ever: `--format-of`, JSON.
    pub id: &'static str,
    /// Name for people: `iptables-save`.
    pub title: &'static str,
    /// How to export such a file: the command to type.
    pub export: &'static str,
    /// What is read of it, a few words each.
    pub covers: &'static [&'static str],
    /// What is known not to be modelled, a few words each.
    pub leaves: &'static [&'static str],
    /// What a file of it is of a device.
    pub role: Role,
    /// Whether a file looks like this format. Must be fast: look at a bounded part of the text.
    pub detect: fn(&SourceFile) -> Option<Detection>,
    /// Reads a file of this format. Never panics, never fails: what cannot be read becomes notes.
    pub read: fn(&mut Reader<'_>),
    /// The files that this file includes, as written; `None` for formats without includes.
    pub includes: Option<IncludesFn>,
}

/// What a file is of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A packet filter.
    Firewall,
    /// A VPN configuration.
    Vpn,
    /// Read beside others: addresses, routes, sets, kernel settings.
    Companion,
}

/// How sure a format is that a file is its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Confidence {
    /// Nothing speaks against it.
    Weak,
    /// Several things speak for it.
    Strong,
    /// Only this format looks so.
    Certain,
}

/// A format's claim to a file.
#[derive(Clone, Debug)]
pub struct Detection {
    /// How sure.
    pub confidence: Confidence,
    /// Why: `begins with "*filter"`.
    pub why: &'static str,
}

/// A reader at work: the file, and what has been read so far.
pub struct Reader<'a> {
    /// The file to read.
    pub file: &'a SourceFile,
    /// Bounds.
    pub limits: &'a Limits,
    /// Where the result goes.
    pub device: Device,
    /// The other files of this format of the device, for formats that are read together ([`super::TOGETHER`]).
    pub beside: Vec<&'a SourceFile>,
    /// Families whose packet filter another file of the device shows as the kernel has it.
    pub dumped: Vec<Family>,
    files: &'a dyn Fn(FileId) -> &'a SourceFile,
    resolve: &'a dyn Fn(FileId, &str) -> Vec<FileId>,
    notes: Vec<Note>,
    lines: BTreeMap<FileId, LineStates>,
    secrets: Vec<Span>,
    included: Vec<FileId>,
}

/// What came of reading a file.
#[derive(Debug)]
pub struct Reading {
    /// What the file says of its device.
    pub device: Device,
    /// What was not fully understood, in the order of the text.
    pub notes: Vec<Note>,
    /// The state of each line, of the file and of those it included.
    pub lines: BTreeMap<FileId, Vec<LineState>>,
    /// Where secrets stand.
    pub secrets: Vec<Span>,
    /// Files that this one included: they are not devices of their own.
    pub included: Vec<FileId>,
}

impl<'a> Reader<'a> {
    /// A reader of `file`. `files` gives any file of the run, `resolve` the files that an include in a file names (those that were found
    /// and may be read).
    pub fn new(
        file: &'a SourceFile,
        limits: &'a Limits,
        files: &'a dyn Fn(FileId) -> &'a SourceFile,
        resolve: &'a dyn Fn(FileId, &str) -> Vec<FileId>,
    ) -> Reader<'a> {
        let mut lines = BTreeMap::new();
        lines.insert(file.id, LineStates::new(file));
        Reader {
            file,
            limits,
            device: Device::default(),
            beside: vec![],
            dumped: vec![],
            files,
            resolve,
            notes: vec![],
            lines,
            secrets: vec![],
            included: vec![],
        }
    }

    /// A file of the run by its number.
    pub fn text_of(&self, id: FileId) -> &'a SourceFile {
        if id == self.file.id { self.file } else { (self.files)(id) }
    }

    /// A file of the run: the one to read, or one that [`Reader::include`] gave.
    pub fn source(&self, id: FileId) -> &'a SourceFile {
        (self.files)(id)
    }

    /// Raises the state of the lines that `span` touches.
    pub fn mark(&mut self, span: Span, state: LineState) {
        let file = (self.files)(span.file);
        self.lines.entry(span.file).or_insert_with(|| LineStates::new(file)).mark(file, span, state);
    }

    /// Says that something at `span` was not fully understood, and marks its line so.
    pub fn note(&mut self, span: Span, state: LineState, text: impl Into<String>) {
        self.mark(span, state);
        self.notes.push(Note { span, state, text: text.into(), incomplete: false });
    }

    /// As [`Reader::note`], for what the device itself would refuse to load.
    pub fn refused(&mut self, span: Span, text: impl Into<String>) {
        let text = text.into();
        self.device.refused.push((span, text.clone()));
        self.note(span, LineState::Unsupported, text);
    }

    /// As [`Reader::note`], for what makes the whole analysis incomplete (a limit was hit, an include was not found).
    pub fn incomplete(&mut self, span: Span, state: LineState, text: impl Into<String>) {
        self.mark(span, state);
        self.notes.push(Note { span, state, text: text.into(), incomplete: true });
    }

    /// Marks a secret: its text will never be shown.
    pub fn secret(&mut self, span: Span) {
        self.secrets.push(span);
    }

    /// The files that `pattern` (an include as written in the file `from`) names: those that were found inside the given folder.
    /// They count as part of this one from now on.
    pub fn include(&mut self, from: FileId, pattern: &str) -> Vec<&'a SourceFile> {
        let ids = (self.resolve)(from, pattern);
        self.included.extend(&ids);
        ids.into_iter().map(|id| (self.files)(id)).collect()
    }

    /// Ends the reading.
    pub fn finish(mut self) -> Reading {
        let files = self.files;
        self.notes.sort();
        self.notes.dedup();
        self.included.sort_unstable();
        self.included.dedup();
        Reading {
            device: self.device,
            notes: self.notes,
            lines: self.lines.into_iter().map(|(id, l)| (id, l.finish(files(id)))).collect(),
            secrets: self.secrets,
            included: self.included,
        }
    }
}

impl Format {
    /// Reads one text on its own, without includes: for tests and tools.
    pub fn read_text(&self, path: &str, text: &str) -> (SourceFile, Reading) {
        let file = SourceFile::from_text(FileId(0), path, text);
        let reading = self.read_file(&file);
        (file, reading)
    }

    /// Reads one file on its own, without includes.
    pub fn read_file(&self, file: &SourceFile) -> Reading {
        let limits = Limits::default();
        let files = |_| file;
        let resolve = |_: FileId, _: &str| Vec::new();
        let mut reader = Reader::new(file, &limits, &files, &resolve);
        (self.read)(&mut reader);
        reader.device.files.push((file.id, self.id));
        reader.finish()
    }
}

/// Lists the includes of a file, as written, with where they stand. One with an empty span is not written but implied by the format: it may
/// lead to nothing, or out of the given folder (where nothing is opened), without a word.
pub type IncludesFn = fn(&SourceFile) -> Vec<(String, Span)>;
