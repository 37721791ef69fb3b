//! Files as text with spans: decoding, line numbers, and the redaction of secrets.

mod codepage;
mod decode;
mod elements;
mod preg;
mod probable;
mod redact;

pub use decode::{Decoded, Encoding, decode};
pub use elements::secret_elements;
pub use preg::{DAMAGED as POLICY_DAMAGED, HEADING as POLICY_HEADING};
pub use probable::probable_secrets;
pub use redact::{Redactor, SecretLabel};

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use serde::{Deserialize, Serialize};

/// A file of this run, numbered in the order of its display path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A piece of a file, in bytes of its decoded text; `end` is exclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span of bytes `start..end`.
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        Span { file, start: start as u32, end: end.max(start) as u32 }
    }

    /// The least span that holds both; `other` must be of the same file (else `self` is returned).
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A place for people: 1-based line and column (columns count characters).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A decoded file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Number within the run.
    pub id: FileId,
    /// Path as the user gave it or as it was found below what the user gave, with `/`.
    pub path: String,
    /// Decoded text. Line ends are as in the file (`\n` or `\r\n`).
    pub text: Arc<str>,
    /// What had to be done to make text of it.
    pub encoding: Encoding,
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// Decodes `bytes`. Never fails: bytes that are not text become U+FFFD, and `encoding` says so.
    pub fn new(id: FileId, path: impl Into<String>, bytes: &[u8]) -> SourceFile {
        let Decoded { text, encoding } = decode(bytes);
        Self::from_decoded(id, path.into(), text.into(), encoding)
    }

    /// A file whose text is at hand (tests, standard input).
    pub fn from_text(id: FileId, path: impl Into<String>, text: &str) -> SourceFile {
        Self::from_decoded(id, path.into(), text.into(), Encoding::Utf8)
    }

    fn from_decoded(id: FileId, path: String, text: Arc<str>, encoding: Encoding) -> SourceFile {
        let mut line_starts = vec![0u32];
        line_starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        if line_starts.len() > 1 && *line_starts.last().unwrap_or(&0) as usize == text.len() {
            line_starts.pop();
        }
        SourceFile { id, path, text, encoding, line_starts }
    }

    /// The same file under another number.
    pub fn with_id(self, id: FileId) -> SourceFile {
        SourceFile { id, ..self }
    }

    /// Number of lines; an empty file has one empty line.
    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// The 0-based line that holds a byte offset.
    pub fn line_index(&self, offset: u32) -> usize {
        self.line_starts.partition_point(|&s| s <= offset).saturating_sub(1)
    }

    /// The span of a 0-based line, without its line end. Lines past the end are empty.
    pub fn line_span(&self, index: usize) -> Span {
        let len = self.text.len();
        let start = self.line_starts.get(index).map_or(len, |&s| s as usize);
        let mut end = self.line_starts.get(index + 1).map_or(len, |&s| s as usize);
        let bytes = self.text.as_bytes();
        if end > start && bytes[end - 1] == b'\n' {
            end -= 1;
        }
        if end > start && bytes[end - 1] == b'\r' {
            end -= 1;
        }
        Span::new(self.id, start, end)
    }

    /// The text of a 0-based line, without its line end.
    pub fn line(&self, index: usize) -> &str {
        self.slice(self.line_span(index))
    }

    /// The text of a span of this file; empty where the span does not fall on characters of it.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// The beginning of the text: at most so many bytes, whole characters. What a format is recognised by.
    pub fn head(&self, bytes: usize) -> &str {
        self.text.get(..self.text.floor_char_boundary(bytes)).unwrap_or("")
    }

    /// A span of the whole text.
    pub fn whole(&self) -> Span {
        Span::new(self.id, 0, self.text.len())
    }

    /// Line and column of a byte offset, both from 1.
    pub fn place(&self, offset: u32) -> Place {
        let index = self.line_index(offset);
        let start = self.line_starts[index] as usize;
        let upto = self.text.get(start..offset as usize).unwrap_or("");
        Place { line: index as u32 + 1, column: upto.chars().count() as u32 + 1 }
    }
}

/// All files of a run, by number. Numbers need not follow each other.
#[derive(Default, Debug)]
pub struct Sources {
    files: Vec<SourceFile>,
    /// Files that are read again when somebody asks for them.
    put_away: Vec<PutAway>,
    /// More files, which several collections have in common.
    shared: Option<Arc<Sources>>,
    /// The least number that the next file may have.
    next: u32,
}

/// A file whose text was given back, and which is read again should it be asked for.
#[derive(Debug)]
struct PutAway {
    id: FileId,
    path: String,
    place: PathBuf,
    fetch: Fetch,
    /// Tells whether it is still the same.
    print: u64,
    again: OnceLock<SourceFile>,
}

/// Reads the bytes of a file again; `None` if that is not possible any more.
pub type Fetch = fn(&Path) -> Option<Vec<u8>>;

/// What stands for a file that there is not.
static NO_FILE: LazyLock<SourceFile> = LazyLock::new(|| SourceFile::from_text(FileId(u32::MAX), "", ""));

impl Sources {
    /// All files of a run, numbered in the order in which they are given.
    pub fn from_files(files: impl IntoIterator<Item = SourceFile>) -> Sources {
        let number = |(i, file)| SourceFile { id: FileId(i as u32), ..file };
        Sources::numbered(files.into_iter().enumerate().map(number).collect())
    }

    /// Files that have their numbers already, in the order of these.
    pub fn numbered(files: Vec<SourceFile>) -> Sources {
        let next = files.last().map_or(0, |f| f.id.0 + 1);
        Sources { files, next, ..Sources::default() }
    }

    /// The same with all of another collection, of which no number is among its own.
    pub fn with(mut self, shared: Arc<Sources>) -> Sources {
        self.next = self.next.max(shared.next);
        self.shared = Some(shared);
        self
    }

    /// Keeps the numbers below `next` free for files that are read later.
    pub fn reserve(&mut self, next: u32) {
        self.next = self.next.max(next);
    }

    /// The least number that no file has, nor a greater one.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Adds a file; its id is the next number.
    pub fn add(&mut self, path: impl Into<String>, bytes: &[u8]) -> FileId {
        let id = FileId(self.next);
        self.next += 1;
        self.files.push(SourceFile::new(id, path, bytes));
        id
    }

    /// Gives the texts of the files back, and takes note of where they can be read again. Those of which `place` knows none are kept.
    pub fn put_away(self, into: &mut Sources, place: impl Fn(FileId) -> Option<PathBuf>, fetch: Fetch) {
        for file in self.files {
            let id = file.id;
            match place(id) {
                Some(place) => {
                    let print = print(&file.text);
                    into.put_away.push(PutAway { id, path: file.path, place, fetch, print, again: OnceLock::new() });
                }
                None => into.files.push(file),
            }
        }
        into.next = into.next.max(self.next);
    }

    /// Puts the files into the order of their numbers, after [`Sources::put_away`].
    pub fn settle(&mut self) {
        self.files.sort_by_key(|f| f.id);
        self.put_away.sort_by_key(|f| f.id);
    }

    /// The paths of the files that were other ones, or not there any more, when they were read again.
    pub fn changed(&self) -> Vec<&str> {
        self.put_away.iter().filter(|p| p.again.get().is_some_and(|f| print(&f.text) != p.print)).map(|p| p.path.as_str()).collect()
    }

    /// The file of an id that this run handed out.
    pub fn get(&self, id: FileId) -> &SourceFile {
        if let Some(file) = self.index(id).and_then(|i| self.files.get(i)) {
            return file;
        }
        if let Some(shared) = self.shared.as_ref().filter(|s| s.has(id)) {
            return shared.get(id);
        }
        match self.put_away.binary_search_by_key(&id, |p| p.id) {
            Ok(i) => self.put_away[i].get(),
            Err(_) => &NO_FILE,
        }
    }

    /// The path of a file, which for one that was put away is known without reading it again.
    pub fn path(&self, id: FileId) -> &str {
        match self.put_away.binary_search_by_key(&id, |p| p.id) {
            Ok(i) => &self.put_away[i].path,
            Err(_) => &self.get(id).path,
        }
    }

    fn has(&self, id: FileId) -> bool {
        self.index(id).is_some()
            || self.put_away.binary_search_by_key(&id, |p| p.id).is_ok()
            || self.shared.as_ref().is_some_and(|s| s.has(id))
    }

    /// Where a file is among [`Sources::all`].
    pub fn index(&self, id: FileId) -> Option<usize> {
        let first = self.files.first()?.id.0;
        let near = id.0.checked_sub(first)? as usize;
        match self.files.get(near) {
            Some(file) if file.id == id => Some(near),
            _ => self.files.binary_search_by_key(&id, |f| f.id).ok(),
        }
    }

    /// The files in hand, by id.
    pub fn all(&self) -> &[SourceFile] {
        &self.files
    }

    /// The files in hand, by id.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// How many files are in hand.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// `path:line:column` of a span's start.
    pub fn locate(&self, span: Span) -> String {
        let file = self.get(span.file);
        let place = file.place(span.start);
        format!("{}:{}:{}", file.path, place.line, place.column)
    }
}

impl PutAway {
    fn get(&self) -> &SourceFile {
        self.again.get_or_init(|| {
            let file = (self.fetch)(&self.place).map(|bytes| SourceFile::new(self.id, self.path.as_str(), &bytes));
            // Spans of another text would point anywhere.
            match file {
                Some(file) if print(&file.text) == self.print => file,
                _ => SourceFile::from_text(self.id, self.path.as_str(), ""),
            }
        })
    }
}

/// A number by which a text is told from others, within one run.
fn print(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Bounds on input. Whatever is over a bound is said, never skipped in silence.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Bytes of a baseline or waiver file.
    pub baseline_bytes: u64,
    /// Nesting of blocks in a configuration.
    pub nesting: usize,
    /// Depth of includes.
    pub include_depth: usize,
    /// Rules of one device after the expansion of jumps and alternatives.
    pub expanded_rules: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            file_bytes: 64 << 20,
            total_bytes: 2 << 30,
            files: 50_000,
            baseline_bytes: 1 << 20,
            nesting: 128,
            include_depth: 8,
            expanded_rules: 2_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_places_survive_every_line_end() {
        let f = SourceFile::from_text(FileId(0), "a", "eins\r\nzwei\n\nvier");
        assert_eq!(f.line_count(), 4);
        assert_eq!((0..5).map(|i| f.line(i)).collect::<Vec<_>>(), ["eins", "zwei", "", "vier", ""]);
        assert_eq!(f.place(6), Place { line: 2, column: 1 });
        assert_eq!(SourceFile::from_text(FileId(0), "a", "x\n").line_count(), 1);
        assert_eq!(SourceFile::from_text(FileId(0), "a", "").line_count(), 1);
    }
}
