//! Secrets never leave: readers mark their spans, and every output passes through here.

use std::collections::BTreeMap;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{SourceFile, Sources, Span};

/// The label under which a secret is shown: the same number for the same secret within one run. It says nothing
/// else about the secret: not its length, not a hash (secrets can be guessed).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SecretLabel(pub u32);

impl fmt::Display for SecretLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<secret {}>", self.0)
    }
}

/// Knows every marked secret of a run, and takes them out of text.
#[derive(Default)]
pub struct Redactor {
    by_span: BTreeMap<Span, SecretLabel>,
    finder: Option<(AhoCorasick, Vec<SecretLabel>)>,
}

/// Secrets shorter than this are cut out where they stand but not searched for elsewhere: a four-letter password
/// would take words out of every report.
const SEARCHED_LENGTH: usize = 6;

impl Redactor {
    /// Labels the marked spans in the order of the files; equal text gets equal labels.
    pub fn new(sources: &Sources, spans: impl IntoIterator<Item = Span>) -> Redactor {
        let mut spans: Vec<Span> = spans.into_iter().filter(|s| s.start < s.end).collect();
        spans.sort_unstable();
        spans.dedup();
        let mut labels: BTreeMap<String, SecretLabel> = BTreeMap::new();
        let mut by_span = BTreeMap::new();
        for span in spans {
            let text = sources.get(span.file).slice(span).trim();
            let next = SecretLabel(labels.len() as u32 + 1);
            let label = *labels.entry(text.to_owned()).or_insert(next);
            by_span.insert(span, label);
        }
        let texts = labels.iter().map(|(text, label)| (text.as_str(), *label));
        Redactor { finder: finder(texts), by_span }
    }

    /// One whose labels are given already. `texts` are the secrets that are searched for wherever they stand.
    pub fn labelled<'t>(
        by_span: impl IntoIterator<Item = (Span, SecretLabel)>,
        texts: impl IntoIterator<Item = (&'t str, SecretLabel)>,
    ) -> Redactor {
        Redactor { by_span: by_span.into_iter().collect(), finder: finder(texts) }
    }

    /// The marked spans with their labels, in order.
    pub fn labels(&self) -> impl Iterator<Item = (Span, SecretLabel)> + '_ {
        self.by_span.iter().map(|(span, label)| (*span, *label))
    }

    /// The label of a marked secret: equal labels mean the same secret.
    pub fn label(&self, span: Span) -> Option<SecretLabel> {
        self.by_span.get(&span).copied()
    }

    /// The marked secrets that have something in common with a span.
    pub fn within(&self, span: Span) -> Vec<(Span, SecretLabel)> {
        let first = Span { file: span.file, start: 0, end: 0 };
        let last = Span { file: span.file, start: span.end, end: u32::MAX };
        self.by_span.range(first..last).filter(|(s, _)| s.end > span.start && s.start < span.end).map(|(s, l)| (*s, *l)).collect()
    }

    /// How many spans are marked.
    pub fn marked(&self) -> usize {
        self.by_span.len()
    }

    /// The text of a span with every marked secret that overlaps it replaced by its label, whole.
    pub fn show(&self, file: &SourceFile, span: Span) -> String {
        self.show_with_map(file, span).0
    }

    /// As [`Redactor::show`], with the byte offset in the result of each offset asked for in `marks`.
    pub fn show_with_marks(&self, file: &SourceFile, span: Span, marks: &mut [u32]) -> String {
        let (text, map) = self.show_with_map(file, span);
        for mark in marks {
            let mut shown = 0;
            for &(from, to, start) in &map {
                if *mark >= from {
                    shown = start + ((*mark).min(to) - from) as usize;
                }
            }
            *mark = shown.min(text.len()) as u32;
        }
        text
    }

    /// The shown text and its kept pieces: (first byte, one past the last byte, offset in the shown text).
    fn show_with_map(&self, file: &SourceFile, span: Span) -> (String, Vec<(u32, u32, usize)>) {
        let mut out = String::new();
        let mut map = Vec::new();
        let mut at = span.start;
        let first = Span { file: span.file, start: 0, end: 0 };
        let last = Span { file: span.file, start: span.end, end: u32::MAX };
        for (secret, label) in self.by_span.range(first..last) {
            if secret.end <= at || secret.start >= span.end {
                continue;
            }
            if secret.start > at {
                map.push((at, secret.start, out.len()));
                out.push_str(file.slice(Span { file: span.file, start: at, end: secret.start }));
            }
            out.push_str(&label.to_string());
            at = secret.end;
        }
        if at < span.end {
            map.push((at, span.end, out.len()));
            out.push_str(file.slice(Span { file: span.file, start: at, end: span.end }));
        }
        (out, map)
    }

    /// As [`Redactor::scrub`]; byte offsets in `marks` become those of the result (those in a secret: the beginning of its label).
    pub fn scrub_with_marks(&self, text: &str, marks: &mut [u32]) -> String {
        let Some((finder, labels)) = &self.finder else { return text.to_owned() };
        let old = marks.to_vec();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for found in finder.find_iter(text) {
            out.push_str(&text[at..found.start()]);
            for (mark, old) in marks.iter_mut().zip(&old).filter(|(_, old)| (**old as usize) >= found.start()) {
                let past = (*old as usize).saturating_sub(found.end());
                *mark = (out.len() + past) as u32;
            }
            let label = labels[found.pattern().as_usize()].to_string();
            out.push_str(&label);
            at = found.end();
            for (mark, old) in marks.iter_mut().zip(&old).filter(|(_, old)| (**old as usize) >= found.end()) {
                *mark = (out.len() + *old as usize - at) as u32;
            }
        }
        out.push_str(&text[at..]);
        out
    }

    /// Where known secrets stand in a text, whoever marked them: first byte, one past the last, label.
    pub fn find(&self, text: &str) -> Vec<(usize, usize, SecretLabel)> {
        let Some((finder, labels)) = &self.finder else { return Vec::new() };
        finder.find_iter(text).filter_map(|m| Some((m.start(), m.end(), *labels.get(m.pattern().as_usize())?))).collect()
    }

    /// Replaces every known secret in finished output. The last line of defence: whatever a reader, a check or a
    /// report let slip is caught here.
    pub fn scrub(&self, output: &str) -> String {
        match &self.finder {
            None => output.to_owned(),
            Some((finder, labels)) => {
                let mut out = String::with_capacity(output.len());
                finder.replace_all_with(output, &mut out, |m, _, dst| {
                    dst.push_str(&labels[m.pattern().as_usize()].to_string());
                    true
                });
                out
            }
        }
    }
}

/// What finds secrets in text. A secret of several lines (a PEM block) is searched for line by line.
fn finder<'t>(texts: impl IntoIterator<Item = (&'t str, SecretLabel)>) -> Option<(AhoCorasick, Vec<SecretLabel>)> {
    let mut patterns: BTreeMap<&str, SecretLabel> = BTreeMap::new();
    for (text, label) in texts {
        for line in text.lines().map(str::trim) {
            if line.len() >= SEARCHED_LENGTH && !line.starts_with("-----") {
                patterns.entry(line).or_insert(label);
            }
        }
    }
    let labels: Vec<SecretLabel> = patterns.values().copied().collect();
    let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns.keys()).ok();
    finder.filter(|_| !labels.is_empty()).map(|f| (f, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_has_the_same_label_everywhere() {
        let mut sources = Sources::default();
        let a = sources.add("a", b"key = hunter2hunter2\n");
        let b = sources.add("b", b"psk hunter2hunter2 psk other-secret end\n");
        let spans = [Span::new(a, 6, 20), Span::new(b, 4, 18), Span::new(b, 23, 35)];
        let redactor = Redactor::new(&sources, spans);
        assert_eq!(redactor.show(sources.get(a), sources.get(a).line_span(0)), "key = <secret 1>");
        assert_eq!(redactor.show(sources.get(b), sources.get(b).line_span(0)), "psk <secret 1> psk <secret 2> end");
        assert_eq!(redactor.scrub("leak: other-secret!"), "leak: <secret 2>!");
        let mut marks = [0, 6, 10, 18, 19];
        assert_eq!(redactor.scrub_with_marks("leak: other-secret!", &mut marks), "leak: <secret 2>!");
        assert_eq!(marks, [0, 6, 6, 16, 17]);
        let mut marks = [0, 19, 35, 39];
        redactor.show_with_marks(sources.get(b), sources.get(b).line_span(0), &mut marks);
        assert_eq!(marks, [0, 15, 29, 33]);
    }
}
