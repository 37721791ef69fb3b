//! A run that is cut into shares: each judges some of the workers' folders, and what all shares found out is put together into the report of one
//! run.
//!
//! Share 1 of N judges besides what is no worker's, and what compares devices; for that it reads every folder, a few at a time. The others read
//! what is no worker's, and their own folders. A share carries the lines that its findings point at, with every secret made unreadable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::secrets::relabel;
use super::{Inventory, judge};
use crate::checks::Outcome;
use crate::diag::{FileReport, Finding, Incomplete, LineState, Note, Report};
use crate::model::Device;
use crate::rulesets::Baseline;
use crate::source::{FileId, Redactor, SecretLabel, SourceFile, Sources, Span};
use crate::vendors;

/// Version of the form of a share.
const FORM: u32 = 1;

/// Which share of how many, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shard {
    /// Which one.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Shard {
    /// Reads `3/16`.
    pub fn parse(text: &str) -> Option<Shard> {
        let (number, of) = text.split_once('/')?;
        let shard = Shard { number: number.trim().parse().ok()?, of: of.trim().parse().ok()? };
        (1..=100_000).contains(&shard.of).then_some(shard).filter(|s| (1..=s.of).contains(&s.number))
    }

    /// Whether a worker's folder is of this share: by its name, so that it stays in its share when others come and go (FNV-1a).
    pub fn has(self, name: &str) -> bool {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        // The low bits of FNV alone are those of the last letters.
        (hash ^ (hash >> 32)) % u64::from(self.of) == u64::from(self.number) - 1
    }

    /// Whether it is the one that judges what is no worker's.
    pub fn is_first(self) -> bool {
        self.number == 1
    }
}

/// What a share found out, before it is a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Share {
    form: u32,
    fwproof: String,
    /// Which share of how many.
    pub shard: Shard,
    /// The day as of which it was judged.
    pub as_of: String,
    /// The number of files that were found: the baseline's own come after them.
    pub first: u32,
    /// Tells whether the paths, the baseline and its files were the same.
    pub print: String,
    /// The path of the baseline, as it was given.
    pub baseline: Option<String>,
    /// Workers' folders that were read with what is no worker's.
    kept: BTreeSet<String>,
    files: Vec<FileShare>,
    devices: Vec<String>,
    exported: BTreeMap<String, String>,
    outcomes: Vec<Outcome>,
    incomplete: Vec<Incomplete>,
    texts: Vec<TextShare>,
    /// Where the secret of each label stands first; of share 1 where each secret stands.
    labels: Vec<(Span, u32)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileShare {
    file: FileId,
    path: String,
    format: Option<String>,
    device: Option<String>,
    /// States of lines and how many follow each other.
    lines: Vec<(LineState, u32)>,
    notes: Vec<Note>,
}

/// The lines of a file that something points at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct TextShare {
    file: FileId,
    /// Bytes of the whole file.
    bytes: u32,
    /// Ends of lines in it.
    ends: u32,
    /// By number from 0: the byte at which the line begins, and the line with its end.
    lines: BTreeMap<u32, (u32, String)>,
    secrets: Vec<(Span, u32)>,
}

/// A line of a file with secrets made unreadable byte by byte, and their places and labels.
pub type Masked<'m> = &'m dyn Fn(FileId, usize) -> (String, Vec<(Span, SecretLabel)>);

/// What is known of a share when its files have been judged.
pub(super) struct Found<'f> {
    pub shard: Shard,
    pub as_of: Date,
    pub first: u32,
    pub print: String,
    pub kept: &'f BTreeSet<String>,
    pub inventory: &'f Inventory,
    pub devices: Vec<String>,
    pub files: &'f [FileReport],
    pub outcomes: &'f [Outcome],
    pub labels: Vec<(Span, u32)>,
}

impl Found<'_> {
    /// The share, but for the lines that are cited.
    pub fn share(self, sources: &Sources) -> Share {
        let found = self;
        let file = |f: &FileReport| {
            let mut lines: Vec<(LineState, u32)> = Vec::new();
            for state in &f.lines {
                match lines.last_mut() {
                    Some((last, n)) if last == state => *n += 1,
                    _ => lines.push((*state, 1)),
                }
            }
            FileShare {
                file: f.file,
                path: sources.path(f.file).to_owned(),
                format: f.format.map(str::to_owned),
                device: f.device.clone(),
                lines,
                notes: f.notes.clone(),
            }
        };
        Share {
            form: FORM,
            fwproof: env!("CARGO_PKG_VERSION").into(),
            shard: found.shard,
            as_of: found.as_of.to_string(),
            first: found.first,
            print: found.print,
            baseline: None,
            kept: found.kept.clone(),
            files: found.files.iter().map(file).collect(),
            devices: found.devices,
            exported: found.inventory.exported.iter().map(|(name, day)| (name.clone(), day.to_string())).collect(),
            outcomes: found.outcomes.to_vec(),
            incomplete: found.inventory.incomplete.clone(),
            texts: Vec::new(),
            labels: found.labels,
        }
    }
}

impl Share {
    /// How many checks were run.
    pub fn checks(&self) -> usize {
        self.outcomes.len()
    }

    /// Adds the lines that something points at.
    pub fn cite(&mut self, sources: &Sources, masked: Masked<'_>) {
        let mut cited: BTreeMap<FileId, BTreeSet<usize>> = BTreeMap::new();
        let mut cite = |span: Span| {
            if span.file.0 < self.first {
                let file = sources.get(span.file);
                cited.entry(span.file).or_default().extend([file.line_index(span.start), file.line_index(span.end)]);
            }
        };
        self.outcomes.iter().flat_map(|o| &o.findings).for_each(|f| spans(f, &mut cite));
        self.files.iter().flat_map(|f| &f.notes).for_each(|n| cite(n.span));
        self.incomplete.iter().filter_map(|i| i.span).for_each(cite);
        for (id, lines) in cited {
            let file = sources.get(id);
            let ends = (file.line_count() - 1) as u32 + u32::from(file.line_span(file.line_count() - 1).end < file.text.len() as u32);
            let mut text = TextShare { file: id, bytes: file.text.len() as u32, ends, ..TextShare::default() };
            for i in lines {
                let (line, secrets) = masked(id, i);
                text.lines.insert(i as u32, (file.line_span(i).start, line));
                text.secrets.extend(secrets.into_iter().map(|(span, label)| (span, label.0)));
            }
            text.secrets.sort_unstable();
            text.secrets.dedup();
            self.texts.push(text);
        }
    }
}

/// Every place of a finding.
fn spans(finding: &Finding, cite: &mut impl FnMut(Span)) {
    cite(finding.primary.span);
    finding.related.iter().chain(&finding.causes).chain(finding.witness.iter().flat_map(|w| &w.path)).for_each(|l| cite(l.span));
}

impl TextShare {
    /// A text in which these lines stand where they stood, and blanks in the place of the others.
    fn text(&self) -> String {
        let mut out = String::new();
        let mut ends = 0u32;
        let fill = |out: &mut String, upto: u32, lines: u32| {
            let bytes = (upto.min(1 << 30) as usize).saturating_sub(out.len());
            let lines = (lines as usize).min(bytes);
            out.extend(std::iter::repeat_n(' ', bytes - lines));
            out.extend(std::iter::repeat_n('\n', lines));
        };
        for (number, (start, line)) in &self.lines {
            fill(&mut out, *start, number.saturating_sub(ends));
            out.push_str(line);
            ends = number + u32::from(line.ends_with('\n'));
        }
        fill(&mut out, self.bytes, self.ends.saturating_sub(ends));
        out
    }
}

/// What shares come to.
pub struct Merged {
    /// What was read: names of devices, and the lines that something points at.
    pub inventory: Inventory,
    /// Hides every secret of it.
    pub redactor: Redactor,
    /// What it was judged against.
    pub baseline: Baseline,
    /// The verdicts.
    pub report: Report,
}

/// Whether these are all shares of one run, each once; or why not.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn complete(shares: &[Share]) -> Result<(), String> {
    let Some(first) = shares.first() else { return Err("there is no report to merge".into()) };
    let version = env!("CARGO_PKG_VERSION");
    let mut missing: BTreeSet<u32> = (1..=first.shard.of).collect();
    for share in shares {
        let name = format!("share {}/{}", share.shard.number, share.shard.of);
        if share.form != FORM || share.fwproof != version {
            return Err(format!("{name} was written by another version of fwproof ({}, this is {version})", share.fwproof));
        }
        if share.shard.of != first.shard.of {
            return Err(format!("{name} and share {}/{} are of different runs", first.shard.number, first.shard.of));
        }
        if (share.as_of.as_str(), share.first, &share.print) != (first.as_of.as_str(), first.first, &first.print) {
            return Err(format!(
                "{name} was judged on other folders, another baseline or as of another day than share {}",
                first.shard.number
            ));
        }
        if share.outcomes.len() != first.outcomes.len() {
            return Err(format!("{name} has other checks than share {}", first.shard.number));
        }
        if !missing.remove(&share.shard.number) {
            return Err(format!("{name} is there twice"));
        }
    }
    if !missing.is_empty() {
        let list: Vec<String> = missing.iter().take(10).map(|n| format!("{n}/{}", first.shard.of)).collect();
        return Err(format!("{} of {} shares are missing: {}", missing.len(), first.shard.of, list.join(", ")));
    }
    let all = shares.iter().find(|s| s.shard.is_first()).map(|s| &s.kept);
    if let Some(share) = shares.iter().find(|s| all.is_some_and(|kept| s.kept != *kept)) {
        let names: Vec<&str> =
            all.into_iter().flatten().filter(|n| !share.kept.contains(*n)).chain(&share.kept).map(String::as_str).take(10).collect();
        return Err(format!(
            "{} concerns other devices (it is a server, or of several devices), and not every share knew of it: list it under `estate: sites:` of the \
             baseline and run the shares again",
            names.join(", ")
        ));
    }
    Ok(())
}

/// Puts the shares of one run together ([`complete`]). `load` reads the baseline.
///
/// # Errors
/// Those of `load`.
pub fn merge<E>(mut shares: Vec<Share>, load: impl FnOnce(&mut Sources) -> Result<Baseline, E>) -> Result<Merged, E> {
    shares.sort_by_key(|s| s.shard.number);
    let mut beside = Sources::default();
    beside.reserve(shares.first().map_or(0, |s| s.first));
    let baseline = load(&mut beside)?;
    let as_of: Date = shares.first().and_then(|s| s.as_of.parse().ok()).unwrap_or_default();
    let known: HashMap<Span, u32> = shares.iter().filter(|s| s.shard.is_first()).flat_map(|s| s.labels.iter().copied()).collect();
    let mut outcomes: Vec<Outcome> = Vec::new();
    outcomes.resize_with(baseline.checks.len(), Outcome::default);
    let mut inventory = Inventory::default();
    let (mut files, mut secrets) = (Vec::new(), Vec::new());
    let mut texts: BTreeMap<FileId, TextShare> = BTreeMap::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for share in shares {
        // Share 1 has seen all secrets, and numbered them.
        let numbers: HashMap<u32, SecretLabel> = match share.shard.is_first() {
            true => HashMap::new(),
            false => share.labels.iter().filter_map(|(span, own)| Some((*own, SecretLabel(*known.get(span)?)))).collect(),
        };
        let number = |label: u32| numbers.get(&label).copied().unwrap_or(SecretLabel(label));
        let fix = &mut |text: &mut String| relabel(text, &numbers);
        for (all, mut came) in outcomes.iter_mut().zip(share.outcomes) {
            came.findings.iter_mut().for_each(|f| judge::each_text(f, fix));
            all.absorb(came);
        }
        for mut incomplete in share.incomplete {
            fix(&mut incomplete.text);
            inventory.incomplete.push(incomplete);
        }
        names.extend(share.devices);
        inventory.exported.extend(share.exported.into_iter().filter_map(|(name, day)| Some((name, day.parse::<Date>().ok()?))));
        for text in share.texts {
            secrets.extend(text.secrets.iter().map(|(span, label)| (*span, number(*label))));
            let whole = texts.entry(text.file).or_insert_with(|| TextShare { lines: BTreeMap::new(), ..text.clone() });
            whole.lines.extend(text.lines);
        }
        for mut file in share.files {
            file.notes.iter_mut().for_each(|n| fix(&mut n.text));
            files.push(file);
        }
    }
    files.sort_by_key(|f| f.file);
    files.dedup_by_key(|f| f.file);
    let source =
        |f: &FileShare| SourceFile::from_text(f.file, f.path.as_str(), &texts.get(&f.file).map(TextShare::text).unwrap_or_default());
    let sources = Sources::numbered(files.iter().map(source).collect()).with(Arc::new(beside));
    let report = |f: FileShare| FileReport {
        file: f.file,
        format: f.format.and_then(|id| vendors::format(&id)).map(|f| f.id),
        device: f.device,
        lines: f.lines.into_iter().flat_map(|(state, n)| std::iter::repeat_n(state, n.min(1 << 26) as usize)).collect(),
        notes: f.notes,
    };
    let files: Vec<FileReport> = files.into_iter().map(report).collect();
    inventory.tidy();
    inventory.devices = names.into_iter().map(|name| Device { name, ..Device::default() }).collect();
    let redactor = Redactor::labelled(secrets, []);
    let world = baseline.world(&inventory.devices, &sources, &redactor, as_of, inventory.exported.clone());
    let report = judge::conclude(&inventory, files, &baseline, &world, outcomes);
    drop(world);
    inventory.sources = sources;
    Ok(Merged { inventory, redactor, baseline, report })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_of_one_share() {
        let shares: Vec<Shard> = (1..=3).map(|n| Shard::parse(&format!("{n}/3")).unwrap()).collect();
        let mut counts = [0; 3];
        for n in 0..300 {
            let name = format!("worker-{n:04}");
            let of: Vec<usize> = (0..3).filter(|i| shares[*i].has(&name)).collect();
            assert_eq!(of.len(), 1, "{name}");
            counts[of[0]] += 1;
        }
        assert!(counts.iter().all(|n| *n > 60), "{counts:?}");
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0", ""] {
            assert_eq!(Shard::parse(wrong), None, "{wrong}");
        }
    }
}
