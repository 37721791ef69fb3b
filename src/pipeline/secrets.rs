//! The secrets of a run that is read piece by piece: which are the same, and under which number each is shown.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use crate::source::{Redactor, SecretLabel, Sources, Span};

/// Labels are given as pieces are read, from here upwards, so that they cannot be taken for those that are shown in the end.
const FOR_NOW: u32 = 3_000_000_000;

/// Secrets that are longer, or of several lines, are hidden where they stand and not looked for elsewhere: nobody types them.
const SEARCHED: usize = 256;

/// What is known of all secrets so far. Of those that are not looked for elsewhere the text is not kept.
#[derive(Default)]
pub(super) struct Secrets {
    /// By two hashes of the text under random keys: the label for now, and where the secret stands first.
    known: HashMap<(u64, u64), (u32, Span)>,
    keys: (RandomState, RandomState),
    spans: Vec<(Span, u32)>,
    texts: Vec<(String, u32)>,
}

impl Secrets {
    /// Takes note of the secrets of a piece, and gives the labels for now.
    pub fn add(&mut self, sources: &Sources, spans: impl Iterator<Item = Span>, whole: bool) -> Vec<(Span, SecretLabel)> {
        let mut spans: Vec<Span> = spans.filter(|s| s.start < s.end).collect();
        spans.sort_unstable();
        spans.dedup();
        let mut labels = Vec::with_capacity(spans.len());
        for span in spans {
            let text = sources.get(span.file).slice(span).trim();
            let key = (self.keys.0.hash_one(text), self.keys.1.hash_one(text));
            let next = FOR_NOW + self.known.len() as u32;
            let entry = self.known.entry(key).or_insert((next, span));
            if entry.0 == next && (whole || (text.len() <= SEARCHED && !text.contains('\n'))) {
                self.texts.push((text.to_owned(), next));
            }
            entry.1 = entry.1.min(span);
            self.spans.push((span, entry.0));
            labels.push((span, SecretLabel(entry.0)));
        }
        labels
    }

    /// The labels that are shown, by those for now: numbers in the order in which secrets stand first.
    pub fn numbers(&self) -> HashMap<u32, SecretLabel> {
        let mut order: Vec<(Span, u32)> = self.known.values().map(|(label, first)| (*first, *label)).collect();
        order.sort_unstable();
        order.iter().enumerate().map(|(i, (_, label))| (*label, SecretLabel(i as u32 + 1))).collect()
    }

    /// Where the secret of each label stands first, or (`all`) where every secret stands.
    pub fn table(&self, numbers: &HashMap<u32, SecretLabel>, all: bool) -> Vec<(Span, u32)> {
        let number = |label: &u32| numbers.get(label).map_or(*label, |n| n.0);
        let mut table: Vec<(Span, u32)> = match all {
            true => self.spans.iter().map(|(span, label)| (*span, number(label))).collect(),
            false => self.known.values().map(|(label, first)| (*first, number(label))).collect(),
        };
        table.sort_unstable();
        table
    }

    /// Hides all of them.
    pub fn redactor(self, numbers: &HashMap<u32, SecretLabel>) -> Redactor {
        let number = |label: &u32| numbers.get(label).copied().unwrap_or(SecretLabel(*label));
        let spans: Vec<(Span, SecretLabel)> = self.spans.iter().map(|(span, label)| (*span, number(label))).collect();
        let mut texts = self.texts;
        texts.sort_unstable();
        Redactor::labelled(spans, texts.iter().map(|(text, label)| (text.as_str(), number(label))))
    }
}

/// Puts the labels that are shown in the place of those for now.
pub(super) fn renumber(text: &mut String, numbers: &HashMap<u32, SecretLabel>) {
    if text.contains("<secret 3") {
        relabel(text, numbers);
    }
}

/// Puts other labels in the place of those that are known.
pub(super) fn relabel(text: &mut String, numbers: &HashMap<u32, SecretLabel>) {
    const BEFORE: &str = "<secret ";
    if numbers.is_empty() || !text.contains(BEFORE) {
        return;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(BEFORE) {
        let (before, label) = rest.split_at(at);
        out.push_str(before);
        let end = label.find('>').map_or(label.len(), |e| e + 1);
        let (label, after) = label.split_at(end);
        let digits = label.strip_prefix(BEFORE).and_then(|l| l.strip_suffix('>'));
        match digits.and_then(|d| d.parse().ok()).and_then(|n: u32| numbers.get(&n)) {
            Some(number) => out.push_str(&number.to_string()),
            None => out.push_str(label),
        }
        rest = after;
    }
    out.push_str(rest);
    *text = out;
}
