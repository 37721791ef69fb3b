//! From paths to an inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;

use super::collected;
use super::detect::Kind;
use super::group::{self, Group, Member};
use super::includes::{self, Includes};
use super::load::{self, INTERNAL, Loaded};
use super::{Inventory, Options, guarded, in_pool, walk};
use crate::diag::{FileReport, Incomplete, LineState, Note};
use crate::model::Device;
use crate::source::{Encoding, FileId, SourceFile, Sources, Span, probable_secrets};
use crate::vendors::{self, EvidenceFn, Format, Reader, Reading};

/// Reads everything at `paths` (files, folders, `-` for standard input). The result does not depend on their order, nor on the number
/// of threads. What could not be read is said in [`Inventory::incomplete`].
pub fn read(paths: &[PathBuf], options: &Options) -> Inventory {
    match read_with_estate(paths, options, || Ok::<_, std::convert::Infallible>(BTreeSet::new())) {
        Ok(inventory) => inventory,
    }
}

/// As [`read`]. `estate` gives the names of devices that the baseline knows (a folder of that name is that device, with all that is below it). They are
/// not needed before the files have been read, so the baseline is loaded meanwhile.
///
/// # Errors
/// That of `estate`.
pub fn read_with_estate<E: Send>(
    paths: &[PathBuf],
    options: &Options,
    estate: impl FnOnce() -> Result<BTreeSet<String>, E> + Send,
) -> Result<Inventory, E> {
    in_pool(options.threads, || {
        let (estate, read) = rayon::join(estate, || {
            let mut walked = walk::walk(paths, options.limits.files);
            walk::measure(&mut walked.files, &options.limits);
            read_files(walked, options)
        });
        Ok(put_together(read, &estate?, options))
    })
}

/// As [`read`], for files that were found already. They are numbered anew.
pub(super) fn read_walked(walked: walk::Walked, estate: &BTreeSet<String>, options: &Options) -> Inventory {
    put_together(read_files(walked, options), estate, options)
}

fn read_files(walked: walk::Walked, options: &Options) -> (Pieces, Resolved, Inventory) {
    let mut inventory = Inventory { incomplete: walked.incomplete, ..Inventory::default() };
    let mut files = load_all(walked.files, options);
    let includes = includes::follow(&mut files, options);
    let (order, included, looked) = settle(files, includes, false, &mut inventory);
    inventory.nothing(looked);
    let pieces = read_all(order, &included, options, &mut inventory);
    (pieces, included, inventory)
}

fn put_together(
    (pieces, included, mut inventory): (Pieces, Resolved, Inventory),
    estate: &BTreeSet<String>,
    options: &Options,
) -> Inventory {
    make_devices(pieces, &included, estate, options, &mut inventory);
    inventory.tidy();
    inventory
}

/// Reads some of the files of a run, which have their numbers. `None` if they include files that are not among them. The number tells how many
/// files there were, and whether one of them was a configuration or meant to be one.
pub(super) fn read_part(found: Vec<walk::Found>, estate: &BTreeSet<String>, options: &Options) -> Option<(Inventory, Looked)> {
    let given = found.len();
    let mut files = load_all(found, options);
    let includes = includes::follow(&mut files, options);
    if files.len() > given {
        return None;
    }
    let mut inventory = Inventory::default();
    let (order, included, looked) = settle(files, includes, true, &mut inventory);
    let pieces = read_all(order, &included, options, &mut inventory);
    make_devices(pieces, &included, estate, options, &mut inventory);
    Some((inventory, looked))
}

/// What was looked at.
#[derive(Clone, Copy, Default)]
pub(super) struct Looked {
    /// Files that were looked at, or passed over.
    pub files: usize,
    /// One was a configuration, or meant to be one.
    pub found: bool,
}

impl Inventory {
    /// Says so if there was nothing to read.
    pub(super) fn nothing(&mut self, looked: Looked) {
        if looked.found || !self.incomplete.is_empty() {
            return;
        }
        let text = format!(
            "nothing to read: no configuration was recognised among {} {}; `fwproof formats` lists what is read and how to export it",
            looked.files,
            if looked.files == 1 { "file" } else { "files" }
        );
        self.incomplete.push(Incomplete { path: "input".into(), span: None, text });
    }

    pub(super) fn tidy(&mut self) {
        self.incomplete.sort();
        self.incomplete.dedup();
        self.remarks.sort();
    }
}

fn load_all(found: Vec<walk::Found>, options: &Options) -> Vec<Loaded> {
    let work: Vec<(usize, walk::Found)> = found.into_iter().enumerate().collect();
    work.into_par_iter().map(|(i, found)| load::load(found, i, options)).collect()
}

/// A file with its place in the order.
struct Placed {
    id: FileId,
    loaded: Loaded,
    format: Option<&'static Format>,
}

/// Which files an include leads to, by final number.
type Resolved = BTreeMap<(FileId, String), Vec<FileId>>;

/// Numbers the files in the order of their paths (`numbered`: they have the numbers with which they were found), and says what could not be read.
fn settle(files: Vec<Loaded>, includes: Includes, numbered: bool, inventory: &mut Inventory) -> (Vec<Placed>, Resolved, Looked) {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by(|&a, &b| files[a].found.display.cmp(&files[b].found.display));
    let mut number: Vec<Option<FileId>> = vec![None; files.len()];
    let mut slots: Vec<Option<Loaded>> = files.into_iter().map(Some).collect();
    let mut placed: Vec<Placed> = Vec::new();
    let mut found_any = false;
    for i in order {
        let Some(loaded) = slots[i].take() else { continue };
        let path = loaded.found.display.clone();
        match &loaded.kind {
            Kind::PassedOver => {
                inventory.passed_over += 1;
                continue;
            }
            Kind::Other { text, meant: true } => {
                found_any = true;
                inventory.incomplete.push(Incomplete { path, span: None, text: text.clone() });
            }
            Kind::Other { text, meant: false } => inventory.remarks.push((path, text.clone())),
            Kind::Format(_) => found_any = true,
        }
        if loaded.source.is_some() {
            let id = FileId(if numbered { loaded.found.number } else { placed.len() as u32 });
            number[i] = Some(id);
            let format = loaded.format();
            placed.push(Placed { id, loaded, format });
        }
    }
    let looked = Looked { files: placed.len() + inventory.passed_over, found: found_any };
    for (i, mut incomplete) in includes.incomplete {
        let Some(id) = number[i] else { continue };
        incomplete.span = incomplete.span.map(|s| Span { file: id, ..s });
        inventory.incomplete.push(incomplete);
    }
    let mut resolved = Resolved::new();
    for ((from, pattern), targets) in includes.found {
        let Some(from) = number.get(from).copied().flatten() else { continue };
        resolved.insert((from, pattern), targets.into_iter().filter_map(|t| number.get(t).copied().flatten()).collect());
    }
    (placed, resolved, looked)
}

/// The files that are read on their own: recognised, and not part of another one. Of files that include each other in a circle, the
/// first.
fn heads(placed: &[Placed], resolved: &Resolved) -> Vec<usize> {
    let mut edges: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let at = |id: FileId| placed.binary_search_by_key(&id, |p| p.id).ok();
    for ((from, _), targets) in resolved {
        if let Some(from) = at(*from) {
            edges.entry(from).or_default().extend(targets.iter().filter_map(|t| at(*t)));
        }
    }
    let targets: BTreeSet<usize> = edges.iter().flat_map(|(from, to)| to.iter().copied().filter(move |t| t != from)).collect();
    let mut reached: BTreeSet<usize> = BTreeSet::new();
    let reach = |reached: &mut BTreeSet<usize>, start: usize| {
        let mut stack = vec![start];
        while let Some(at) = stack.pop() {
            if reached.insert(at) {
                stack.extend(edges.get(&at).into_iter().flatten().copied());
            }
        }
    };
    let recognised: Vec<usize> = (0..placed.len()).filter(|&i| placed[i].format.is_some()).collect();
    let mut heads: Vec<usize> = recognised.iter().copied().filter(|i| !targets.contains(i)).collect();
    for &head in &heads {
        reach(&mut reached, head);
    }
    for i in recognised {
        if !reached.contains(&i) {
            heads.push(i);
            reach(&mut reached, i);
        }
    }
    heads.sort_unstable();
    heads
}

/// What was read of each file by itself.
struct Pieces {
    /// All files, by number.
    rest: Vec<(Loaded, Option<&'static Format>)>,
    sources: Sources,
    reports: Vec<FileReport>,
    /// The files that are read on their own, what was read of each, and the files of which it consists.
    members: Vec<Member>,
    pieces: Vec<Option<Device>>,
    ids: Vec<Vec<FileId>>,
}

fn read_all(placed: Vec<Placed>, resolved: &Resolved, options: &Options, inventory: &mut Inventory) -> Pieces {
    let heads = heads(&placed, resolved);
    let mut rest = Vec::with_capacity(placed.len());
    let mut texts = Vec::with_capacity(placed.len());
    for Placed { id, mut loaded, format } in placed {
        texts.extend(loaded.source.take().map(|file| file.with_id(id)));
        rest.push((loaded, format));
    }
    let sources = Sources::numbered(texts);
    let read_head = |&i: &usize| {
        let (file, format) = (&sources.all()[i], rest[i].1?);
        if only(format).is_some() {
            // Read when it is known which files are of one device.
            return Some(Reading { device: Device::default(), notes: vec![], lines: BTreeMap::new(), secrets: vec![], included: vec![] });
        }
        guarded(|| read_one(file, format, &sources, resolved, options))
    };
    let (readings, probable) = rayon::join(
        || heads.par_iter().map(read_head).collect::<Vec<Option<Reading>>>(),
        || sources.all().par_iter().flat_map_iter(probable_secrets).collect(),
    );
    inventory.probable = probable;

    let mut reports: Vec<FileReport> = sources
        .iter()
        .zip(&rest)
        .map(|(s, (_, format))| FileReport { file: s.id, format: format.map(|f| f.id), device: None, lines: vec![], notes: vec![] })
        .collect();
    let mut members = Vec::new();
    let mut pieces: Vec<Option<Device>> = Vec::new();
    let mut ids: Vec<Vec<FileId>> = Vec::new();
    for (&i, reading) in heads.iter().zip(readings) {
        let (Some(format), file) = (rest[i].1, &sources.all()[i]) else { continue };
        let Some(reading) = reading else {
            reports[i].lines = vec![LineState::Unrecognised; file.line_count()];
            inventory.incomplete.push(Incomplete { path: file.path.clone(), span: None, text: INTERNAL.into() });
            continue;
        };
        let found = &rest[i].0.found;
        let families = reading.device.base_chains.iter().flat_map(|b| b.families.iter().copied()).collect();
        let name = found.display.rsplit('/').next().unwrap_or("").to_owned();
        let only = only(format).and_then(|f| f(file));
        let host = collected::host(&reading.device, format);
        members.push(Member { folder: found.folder.clone(), name, format: format.id, role: format.role, families, only, host });
        let mut all = vec![file.id];
        all.extend(reading.included.iter().copied().filter(|id| *id != file.id));
        for i in all.iter().filter_map(|id| sources.index(*id)) {
            reports[i].format.get_or_insert(format.id);
        }
        ids.push(all);
        let Reading { device, notes, lines, secrets, .. } = reading;
        pieces.push(Some(device));
        inventory.secrets.extend(secrets);
        take_lines(lines, &sources, &mut reports);
        take_notes(notes, &sources, &mut reports);
    }
    Pieces { rest, sources, reports, members, pieces, ids }
}

/// Puts the pieces of each device together.
fn make_devices(read: Pieces, resolved: &Resolved, estate: &BTreeSet<String>, options: &Options, inventory: &mut Inventory) {
    let Pieces { rest, sources, mut reports, members, mut pieces, mut ids } = read;
    let (groups, homeless) = group::group(&members, estate);
    for group in &groups {
        for (first, reading) in read_together(group, &members, &pieces, &ids, (&sources, resolved, options)) {
            let Some(reading) = reading else {
                let path = sources.get(ids[first][0]).path.clone();
                inventory.incomplete.push(Incomplete { path, span: None, text: INTERNAL.into() });
                continue;
            };
            pieces[first] = Some(reading.device);
            // What they include is of the device too.
            let format = members[first].format;
            for i in reading.included.iter().filter_map(|id| sources.index(*id)) {
                reports[i].format.get_or_insert(format);
            }
            ids[first].extend(reading.included);
            inventory.secrets.extend(reading.secrets);
            take_lines(reading.lines, &sources, &mut reports);
            take_notes(reading.notes, &sources, &mut reports);
        }
    }
    // A file that is included where nobody reads it to the end (after a note, say) has no states of its own.
    let mut known: BTreeMap<FileId, Vec<Span>> = BTreeMap::new();
    for span in inventory.incomplete.iter().filter_map(|i| i.span) {
        known.entry(span.file).or_default().push(span);
    }
    for report in &mut reports {
        let file = sources.get(report.file);
        if report.format.is_some() && report.lines.is_empty() {
            report.lines = crate::diag::LineStates::new(file).finish(file);
        }
        damaged(file, report);
        report.notes.sort();
        report.notes.dedup();
        complain(file, report, known.get(&file.id).map_or(&[], Vec::as_slice), &mut inventory.incomplete);
    }
    for i in homeless {
        let path = sources.get(ids[i][0]).path.clone();
        let text = format!(
            "is a companion ({}) whose device cannot be told; put it into the folder of the device, or begin its name with the device's",
            members[i].format
        );
        inventory.incomplete.push(Incomplete { path, span: None, text });
    }
    let digests = rest.iter().map(|(loaded, _)| (loaded.found.display.as_str(), loaded.digest.as_deref())).collect();
    for group in groups {
        let mut device = Device { name: group.name.clone(), ..Device::default() };
        let (mut header, mut modified) = (None, None);
        for &i in &group.members {
            let Some(piece) = pieces[i].take() else { continue };
            device.absorb(piece);
            for id in &ids[i] {
                let Some(at) = sources.index(*id) else { continue };
                let report = &mut reports[at];
                report.device = Some(group.name.clone());
                device.files.push((*id, report.format.unwrap_or("")));
                let loaded = &rest[at].0;
                header = header.max(loaded.header);
                modified = modified.max(loaded.modified);
            }
        }
        device.settle_marks();
        if !device.digests.is_empty() {
            let notes = collected::verify(&mut device, &sources, &digests);
            for note in notes {
                let report = &mut reports[note.span.file.0 as usize];
                let line = sources.get(note.span.file).line_index(note.span.start);
                if let Some(state) = report.lines.get_mut(line) {
                    *state = (*state).max(note.state);
                }
                report.notes.push(note);
            }
        }
        // The day of the file is the day of its copy; a header knows better.
        if let Some(day) = header.or(modified) {
            inventory.exported.insert(group.name.clone(), day);
        }
        inventory.devices.push(device);
    }
    inventory.files = reports;
    inventory.sources = sources;
}

/// For a format of which all files of a device are read as one: what there is only one of.
fn only(format: &Format) -> Option<EvidenceFn> {
    vendors::TOGETHER.iter().find(|(id, _)| *id == format.id).map(|(_, f)| *f)
}

/// Reads the files of a group that are read together. What comes of them stands in the place of the first one of each format.
fn read_together(
    group: &Group,
    members: &[Member],
    pieces: &[Option<Device>],
    ids: &[Vec<FileId>],
    (sources, resolved, options): (&Sources, &Resolved, &Options),
) -> Vec<(usize, Option<Reading>)> {
    let mut by_format: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    let mut dumped = BTreeSet::new();
    for &i in &group.members {
        let Some(format) = vendors::format(members[i].format) else { continue };
        match only(format) {
            Some(_) => by_format.entry(format.id).or_default().push(i),
            None => dumped.extend(pieces[i].iter().flat_map(vendors::dumped)),
        }
    }
    let mut out = Vec::new();
    for (id, files) in by_format {
        let (Some(format), Some(&first)) = (vendors::format(id), files.first()) else { continue };
        let files: Vec<&SourceFile> = files.iter().map(|&i| sources.get(ids[i][0])).collect();
        let reading = guarded(|| {
            let get = |id: FileId| sources.get(id);
            let resolve = |id: FileId, pattern: &str| resolved.get(&(id, pattern.to_owned())).cloned().unwrap_or_default();
            let mut reader = Reader::new(files[0], &options.limits, &get, &resolve);
            reader.beside = files[1..].to_vec();
            reader.dumped = dumped.iter().copied().collect();
            (format.read)(&mut reader);
            reader.finish()
        });
        dumped.extend(reading.iter().flat_map(|r| vendors::dumped(&r.device)));
        out.push((first, reading));
    }
    out
}

fn read_one(file: &SourceFile, format: &'static Format, sources: &Sources, resolved: &Resolved, options: &Options) -> Reading {
    let files = |id: FileId| sources.get(id);
    let resolve = |id: FileId, pattern: &str| resolved.get(&(id, pattern.to_owned())).cloned().unwrap_or_default();
    let mut reader = Reader::new(file, &options.limits, &files, &resolve);
    (format.read)(&mut reader);
    reader.finish()
}

/// A file that several files include has the greatest state that any of them gives a line.
fn take_lines(lines: BTreeMap<FileId, Vec<LineState>>, sources: &Sources, reports: &mut [FileReport]) {
    for (id, states) in lines {
        let Some(report) = sources.index(id).and_then(|i| reports.get_mut(i)) else { continue };
        if report.lines.is_empty() {
            report.lines = states;
        } else {
            for (old, new) in report.lines.iter_mut().zip(states) {
                *old = (*old).max(new);
            }
        }
    }
}

fn take_notes(notes: Vec<Note>, sources: &Sources, reports: &mut [FileReport]) {
    for note in notes {
        if let Some(report) = sources.index(note.span.file).and_then(|i| reports.get_mut(i)) {
            report.notes.push(note);
        }
    }
}

/// Notes of damaged text in one file at most.
const MOST_DAMAGE: usize = 20;

/// Lines whose bytes were not text are not fully understood, unless they do not matter.
fn damaged(file: &SourceFile, report: &mut FileReport) {
    if file.encoding != Encoding::Damaged || report.format.is_none() {
        return;
    }
    let mut said = 0;
    for (at, found) in file.text.match_indices('\u{fffd}') {
        let line = file.line_index(at as u32);
        let Some(state) = report.lines.get_mut(line).filter(|s| matches!(s, LineState::Understood | LineState::NotModelled)) else {
            continue;
        };
        *state = LineState::NotModelled;
        if said < MOST_DAMAGE {
            said += 1;
            let span = Span::new(file.id, at, at + found.len());
            let text = "bytes that are not text stand here, and were replaced".into();
            report.notes.push(Note { span, state: LineState::NotModelled, text, incomplete: false });
        }
    }
}

/// What of a file keeps the analysis from being complete.
fn complain(file: &SourceFile, report: &FileReport, known: &[Span], incomplete: &mut Vec<Incomplete>) {
    for note in report.notes.iter().filter(|n| n.incomplete) {
        // An include that could not be followed is said once.
        if !known.iter().any(|k| k.start < note.span.end && note.span.start < k.end) {
            incomplete.push(Incomplete { path: file.path.clone(), span: Some(note.span), text: note.text.clone() });
        }
    }
    let Some(format) = report.format else { return };
    let any = |s: LineState| report.lines.contains(&s);
    if any(LineState::Unrecognised) && !any(LineState::Understood) && !any(LineState::NotModelled) && !any(LineState::Unsupported) {
        let text = format!("nothing in it could be read as {format}");
        incomplete.push(Incomplete { path: file.path.clone(), span: None, text });
    }
}
