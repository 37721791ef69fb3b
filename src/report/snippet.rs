//! Lines of source for people: secrets taken out, unseen characters made visible.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::untrusted::visible;
use crate::diag::{FileReport, LineState};
use crate::source::{FileId, Redactor, SecretLabel, SourceFile, Sources, Span};

/// Shows lines of the files of a run.
pub struct Lines<'a> {
    sources: &'a Sources,
    redactor: &'a Redactor,
    states: BTreeMap<FileId, &'a FileReport>,
}

/// Bytes of a line that are shown before and after a place in it, at most.
const AROUND: usize = 240;

/// What stands for something that looks like a secret but that no reader marked as one.
const HIDDEN: &str = "<hidden>";

impl<'a> Lines<'a> {
    /// Lines of `sources`; `files` says in which state each line is.
    pub fn new(sources: &'a Sources, redactor: &'a Redactor, files: &'a [FileReport]) -> Lines<'a> {
        Lines { sources, redactor, states: files.iter().map(|f| (f.file, f)).collect() }
    }

    /// The file of an id.
    pub fn file(&self, id: FileId) -> &'a SourceFile {
        self.sources.get(id)
    }

    /// Text without any known secret.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.redactor.scrub(text)
    }

    /// `path:line:column` of a span's start.
    pub fn locate(&self, span: Span) -> String {
        let file = self.file(span.file);
        let place = file.place(snapped(file, span.start));
        format!("{}:{}:{}", visible(&file.path, &mut []), place.line, place.column)
    }

    /// The line on which `span` begins, safe to print, with the part of it that `span` covers as a range of bytes of the result.
    pub fn line(&self, span: Span) -> (String, std::ops::Range<usize>) {
        let file = self.file(span.file);
        let index = file.line_index(snapped(file, span.start));
        let line = file.line_span(index);
        let start = snapped(file, span.start.clamp(line.start, line.end));
        let end = snapped(file, span.end.clamp(start, line.end));
        let window = Span {
            file: span.file,
            start: if start - line.start > AROUND as u32 { snapped(file, start - AROUND as u32) } else { line.start },
            end: if line.end - start > 2 * AROUND as u32 { snapped(file, start + 2 * AROUND as u32) } else { line.end },
        };
        let mut marks = [start, end.min(window.end)];
        let text = self.redactor.show_with_marks(file, window, &mut marks);
        let text = self.redactor.scrub_with_marks(&text, &mut marks);
        let mut marks = marks.map(|m| m as usize);
        let text = if self.is_trusted(span.file, index) { text } else { net(&text, &mut marks) };
        let before = if window.start > line.start { "…" } else { "" };
        let mut shown = visible(&text, &mut marks);
        if window.end < line.end && !shown.ends_with('…') {
            shown.push('…');
        }
        let range = marks[0] + before.len()..marks[1].max(marks[0]) + before.len();
        (format!("{before}{shown}"), range)
    }

    /// A whole line by its 0-based number, safe to print.
    pub fn whole_line(&self, file: FileId, index: usize) -> String {
        let span = self.file(file).line_span(index);
        self.line(Span { end: span.start, ..span }).0
    }

    /// The text of a span that lies in one line, safe to print.
    pub fn text(&self, span: Span) -> String {
        let (line, range) = self.line(span);
        line.get(range).unwrap_or("").to_owned()
    }

    /// A whole line with its end, in which each byte of a secret, or of what looks like one, is an `x`, so that all places stay where they are; and the
    /// places of known secrets with their labels, as bytes of the file.
    pub fn masked(&self, id: FileId, index: usize) -> (String, Vec<(Span, SecretLabel)>) {
        let file = self.file(id);
        let start = file.line_span(index).start;
        let end = if index + 1 < file.line_count() { file.line_span(index + 1).start } else { file.text.len() as u32 };
        let whole = Span { file: id, start, end };
        let raw = file.slice(whole);
        let mut labels = self.redactor.within(whole);
        for (from, to, label) in self.redactor.find(raw) {
            let span = Span { file: id, start: start + from as u32, end: start + to as u32 };
            if labels.iter().all(|(l, _)| l.end <= span.start || l.start >= span.end) {
                labels.push((span, label));
            }
        }
        let mut hidden: Vec<(usize, usize)> =
            labels.iter().map(|(l, _)| (l.start.max(start) as usize - start as usize, (l.end.min(end) - start) as usize)).collect();
        if !self.is_trusted(id, index) {
            // What begins like the hash of a password keeps that beginning, by which it is known again.
            hidden.extend(suspects(raw).into_iter().map(|(a, b)| match raw.get(a..b).and_then(|t| t.strip_prefix('$')?.find('$')) {
                Some(at) => (a + at + 2, b),
                None => (a, b),
            }));
        }
        let masked = raw
            .char_indices()
            .flat_map(|(at, c)| {
                let inside = c != '\n' && c != '\r' && hidden.iter().any(|(a, b)| (*a..*b).contains(&at));
                std::iter::repeat_n(if inside { 'x' } else { c }, if inside { c.len_utf8() } else { 1 })
            })
            .collect();
        (masked, labels)
    }

    /// Whether a reader understood the line, and has marked what is secret in it; or it is the user's own baseline.
    fn is_trusted(&self, file: FileId, line: usize) -> bool {
        match self.states.get(&file) {
            None => true,
            Some(report) => report.format.is_some() && report.lines.get(line) == Some(&LineState::Understood),
        }
    }
}

/// The nearest character boundary at or before an offset.
fn snapped(file: &SourceFile, offset: u32) -> u32 {
    file.text.floor_char_boundary(offset as usize) as u32
}

/// What looks like a secret: hashes of crypt(3), bodies of PEM blocks and other long keys, and what follows a telling word.
static NET: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r#"\$(?:1|2[abxy]?|5|6|7|y|gy|argon2[a-z]*)\$[^\s"']+"#,
        r"[A-Za-z0-9+/]{40,}={0,2}",
        r#"(?i)(?:pass(?:word|wd|phrase)?|pwd?|secret|psk|(?:pre-?|pre_)?shared[-_ ]?key|private[-_ ]?key|community|token|api[-_]?key|auth[-_]?key)\b["']?(?:\s*[=:]\s*|\s+)("[^"]*"?|'[^']*'?|\S+)"#,
    ]
    .iter()
    .filter_map(|r| Regex::new(r).ok())
    .collect()
});

/// Words of pf.conf(5) that follow `pass`.
const RULE_WORDS: &[&str] = &["in", "out", "quick", "log", "on", "inet", "inet6", "proto", "all", "from", "to"];

/// Where something looks like a secret: first bytes and those past the last.
fn suspects(text: &str) -> Vec<(usize, usize)> {
    let mut hits: Vec<(usize, usize)> = Vec::new();
    for regex in NET.iter() {
        for found in regex.captures_iter(text) {
            let Some(hit) = found.get(1).or_else(|| found.get(0)) else { continue };
            // `<secret 3>` is no secret, neither as a value nor as a word before one.
            let label = found.get(0).is_some_and(|all| text[..all.start()].ends_with('<'));
            // `pass in quick on em0` of pf is no password either.
            let whole = found.get(0).map_or("", |all| all.as_str());
            let rule = whole.split_once([' ', '\t']).is_some_and(|(w, rest)| w == "pass" && RULE_WORDS.contains(&rest.trim()));
            if !hit.as_str().starts_with('<') && !label && !rule {
                hits.push((hit.start(), hit.end()));
            }
        }
    }
    hits
}

fn net(text: &str, marks: &mut [usize]) -> String {
    let mut hits = suspects(text);
    if hits.is_empty() {
        return text.to_owned();
    }
    hits.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (start, end) in hits {
        match merged.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let old: Vec<usize> = marks.to_vec();
    for (start, end) in merged {
        for (mark, old) in marks.iter_mut().zip(&old) {
            if (at..start).contains(old) {
                *mark = out.len() + old - at;
            } else if (start..end).contains(old) {
                *mark = out.len() + start - at;
            }
        }
        out.push_str(&text[at..start]);
        out.push_str(HIDDEN);
        at = end;
    }
    for (mark, old) in marks.iter_mut().zip(&old) {
        if *old >= at {
            *mark = out.len() + old - at;
        }
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: usize, end: usize) -> (String, String) {
        let mut sources = Sources::default();
        let id = sources.add("a", text.as_bytes());
        let redactor = Redactor::new(&sources, []);
        let report = FileReport { file: id, format: Some("x"), device: None, lines: vec![LineState::Unrecognised; 9], notes: vec![] };
        let reports = [report];
        let lines = Lines::new(&sources, &redactor, &reports);
        let (line, range) = lines.line(Span::new(id, start, end));
        let part = line[range].to_owned();
        (line, part)
    }

    #[test]
    fn what_looks_like_a_secret_is_hidden_in_lines_that_nobody_understood() {
        assert_eq!(
            shown("username joe password hunter2 level 5", 0, 8),
            ("username joe password <hidden> level 5".into(), "username".into())
        );
        assert_eq!(shown("key=<secret 3> x", 15, 16), ("key=<secret 3> x".into(), "x".into()));
        assert_eq!(shown("psk = \"a b c\" x", 14, 15), ("psk = <hidden> x".into(), "x".into()));
        assert_eq!(shown("root:$6$salt$abcdef/ghi:19000", 0, 4), ("root:<hidden>".into(), "root".into()));
        assert_eq!(shown(&"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj".repeat(2), 0, 3).0, "<hidden>");
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}here{}", "ä".repeat(5000), "ö".repeat(5000));
        let (line, part) = shown(&text, 10_000, 10_004);
        assert!(line.starts_with('…') && line.ends_with('…') && line.len() < 1000, "{}", line.len());
        assert_eq!(part, "here");
    }

    #[test]
    fn a_span_that_falls_into_a_character_or_past_the_end_is_harmless() {
        assert_eq!(shown("aäb", 2, 3).1, "ä");
        assert_eq!(shown("ab", 50, 60).1, "");
        assert_eq!(shown("ab\ncd", 1, 5), ("ab".into(), "b".into()));
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_any_span_are_shown(text in ".{0,200}", a in 0usize..300, b in 0usize..300) {
            shown(&text, a, b);
        }
    }
}
