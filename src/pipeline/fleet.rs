//! A fleet of remote workers, read and judged a few devices at a time.
//!
//! What is no worker's is read first and kept whole. Then come the folders of workers, wave by wave: read, judged by every check that looks at
//! each device by itself ([`Scope::Device`]), and given back but for the tunnels, the names, and what was found. Checks that compare devices
//! ([`Scope::Tunnels`]) come last. The report is the same, byte for byte, as if everything had been read at once; where that cannot be
//! promised (a check that must see all devices whole, files that include those of another device), everything is read at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use rayon::prelude::*;

use super::read::{Looked, read_part, read_walked};
use super::secrets::{Secrets, renumber};
use super::shard::{self, Shard, Share};
use super::walk::{self, Found, Walked};
use super::{Inventory, Options, group, in_pool, judge};
use crate::checks::vpn::serves;
use crate::checks::{Outcome, Scope, World, select};
use crate::diag::Report;
use crate::model::{Device, TunnelKind};
use crate::rulesets::Baseline;
use crate::source::{FileId, Redactor, SecretLabel, Sources, Span};

/// What was read and what came of it.
pub struct Checked {
    /// What was read. Of workers' devices only names, files and tunnels may be there, and texts that are read again when they are asked for.
    pub inventory: Inventory,
    /// Hides every secret of it.
    pub redactor: Redactor,
    /// What it was judged against.
    pub baseline: Baseline,
    /// The verdicts.
    pub report: Report,
    /// For a run that is cut: its share, without the lines that are cited. `None` too where the run cannot be cut.
    pub share: Option<Share>,
}

/// Told now and then how many of how many folders of workers are done.
pub type Progress<'p> = &'p (dyn Fn(usize, usize) + Sync);

/// Folders of workers that are in hand at the same time, at most.
const HOMES: usize = 256;

/// Bytes of configuration that are in hand at the same time, at most, unless one folder has more.
const BYTES: u64 = 16 << 20;

/// Reads everything at `paths` and judges it against the baseline that `load` reads into the given collection, as of a day.
///
/// # Errors
/// Those of `load`.
pub fn check<E: Send>(
    paths: &[PathBuf],
    options: &Options,
    load: impl Fn(&mut Sources) -> Result<Baseline, E> + Sync,
    as_of: Date,
    progress: Progress<'_>,
) -> Result<Checked, E> {
    in_pool(options.threads, || {
        let walk = || {
            let mut walked = walk::walk(paths, options.limits.files);
            walk::measure(&mut walked.files, &options.limits);
            walked
        };
        let walked = walk();
        let first = walked.files.len() as u32;
        let mut beside = Sources::default();
        beside.reserve(first);
        let baseline = load(&mut beside)?;
        let estate = estate(&baseline);
        let print = print(&walked.files, &beside);
        let mut kept = BTreeSet::new();
        let (mut walked, beside) = (Some(walked), Arc::new(beside));
        loop {
            let plan = Plan::new(walked.take().unwrap_or_else(walk), &baseline, &estate, &kept);
            if plan.homes.is_empty() {
                walked = Some(plan.all());
                break;
            }
            let job = Job { baseline: &baseline, estate: &estate, options, as_of, first, print: &print, kept: &kept };
            match stream(plan, &job, &beside, progress) {
                Streamed::Done(done) => {
                    let Done { inventory, redactor, report, share } = *done;
                    return Ok(Checked { inventory, redactor, baseline, report, share });
                }
                Streamed::Again(more) => kept.extend(more),
                Streamed::Whole => break,
            }
        }
        let mut inventory = read_walked(walked.unwrap_or_else(walk), &estate, options);
        let redactor = inventory.redactor();
        // Includes may have found more files than the walk, so that their numbers are taken.
        let baseline = match inventory.sources.next() <= first {
            true => {
                inventory.sources = std::mem::take(&mut inventory.sources).with(beside);
                baseline
            }
            false => load(&mut inventory.sources)?,
        };
        let report = judge::check(&inventory, &baseline, &redactor, as_of, options.threads);
        Ok(Checked { inventory, redactor, baseline, report, share: None })
    })
}

/// Tells runs apart: of the paths of the files, and the texts of the baseline and what belongs to it.
fn print(files: &[Found], beside: &Sources) -> String {
    let mut hasher = DefaultHasher::new();
    files.iter().for_each(|f| f.display.hash(&mut hasher));
    beside.iter().for_each(|f| (f.path.as_str(), &*f.text).hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}

/// Names of devices that a baseline knows.
pub fn estate(baseline: &Baseline) -> BTreeSet<String> {
    let sites = baseline.sites.iter().flat_map(|s| s.devices.iter().cloned());
    let people = baseline.workers.iter().flat_map(|w| w.people.iter().map(|p| p.device.clone()));
    sites.chain(people).collect()
}

/// Which files are read first, and which in waves.
struct Plan {
    rest: Vec<Found>,
    homes: Vec<(String, Vec<Found>)>,
    walked: Walked,
}

impl Plan {
    /// `kept`: names of folders that are read with the rest though they are workers'.
    fn new(mut walked: Walked, baseline: &Baseline, estate: &BTreeSet<String>, kept: &BTreeSet<String>) -> Plan {
        let files = std::mem::take(&mut walked.files);
        // Names that differ in nothing but capitals may mean each other.
        let mut spellings: HashMap<String, BTreeSet<&str>> = HashMap::new();
        for name in estate {
            spellings.entry(name.to_lowercase()).or_default().insert(name);
        }
        let homes: Vec<PathBuf> = files.iter().map(|f| group::home(&f.folder, estate)).collect();
        let names: Vec<String> =
            homes.iter().map(|h| h.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())).collect();
        let mut places: HashMap<&str, BTreeSet<&Path>> = HashMap::new();
        for (name, home) in names.iter().zip(&homes) {
            spellings.entry(name.to_lowercase()).or_default().insert(name);
            places.entry(name).or_default().insert(home);
        }
        let offices: HashSet<&str> = baseline.sites.iter().flat_map(|s| s.devices.iter().map(String::as_str)).collect();
        let people = baseline.workers.iter().flat_map(|w| &w.people).map(|p| p.device.as_str());
        let workers: HashSet<&str> = people
            .filter(|d| !offices.contains(d) && !kept.contains(*d))
            .filter(|d| places.get(d).is_some_and(|p| p.len() == 1))
            .filter(|d| spellings.get(&d.to_lowercase()).is_none_or(|s| s.len() == 1))
            .collect();
        let wanted = |entry: &crate::rulesets::Entry| {
            entry.check.scope(&entry.spec) == Scope::Everything
                && (entry.spec.on.is_empty() || workers.iter().any(|w| entry.spec.on.iter().any(|p| select::selects_worker(p, w))))
        };
        // Waivers in comments are looked for beside the rules that they are about.
        let whole = baseline.waivers.in_configurations || baseline.checks.iter().any(wanted);
        let streamed: Vec<bool> = names.iter().map(|n| !whole && workers.contains(n.as_str())).collect();
        let mut plan = Plan { rest: Vec::new(), homes: Vec::new(), walked };
        let mut at: HashMap<String, usize> = HashMap::new();
        for ((found, name), streamed) in files.into_iter().zip(names).zip(streamed) {
            if !streamed || found.explicit {
                plan.rest.push(found);
                continue;
            }
            let i = *at.entry(name).or_insert_with_key(|name| {
                plan.homes.push((name.clone(), Vec::new()));
                plan.homes.len() - 1
            });
            plan.homes[i].1.push(found);
        }
        plan
    }

    /// The walk as it was.
    fn all(self) -> Walked {
        let mut walked = self.walked;
        walked.files = self.rest.into_iter().chain(self.homes.into_iter().flat_map(|h| h.1)).collect();
        walked.files.sort_by_key(|f| f.number);
        walked
    }

    /// The folders of workers, some at a time.
    fn waves(homes: Vec<(String, Vec<Found>)>) -> Vec<Vec<(String, Vec<Found>)>> {
        let mut waves: Vec<Vec<(String, Vec<Found>)>> = Vec::new();
        let mut bytes = 0u64;
        for home in homes {
            let size = home.1.iter().map(|f| f.size).fold(0u64, u64::saturating_add);
            match waves.last_mut() {
                Some(wave) if wave.len() < HOMES && bytes.saturating_add(size) <= BYTES => {
                    bytes = bytes.saturating_add(size);
                    wave.push(home);
                }
                _ => {
                    bytes = size;
                    waves.push(vec![home]);
                }
            }
        }
        waves
    }
}

/// How reading in waves ended.
enum Streamed {
    Done(Box<Done>),
    /// These folders concern others: once more, with them among the rest.
    Again(BTreeSet<String>),
    /// Everything must be read at once.
    Whole,
}

struct Done {
    inventory: Inventory,
    redactor: Redactor,
    report: Report,
    share: Option<Share>,
}

/// What is asked.
#[derive(Clone, Copy)]
struct Job<'j> {
    baseline: &'j Baseline,
    estate: &'j BTreeSet<String>,
    options: &'j Options,
    as_of: Date,
    /// How many files were found.
    first: u32,
    print: &'j str,
    kept: &'j BTreeSet<String>,
}

impl Job<'_> {
    /// Whether what is no worker's is judged in this run.
    fn is_first(&self) -> bool {
        self.options.shard.is_none_or(Shard::is_first)
    }

    /// Whether a worker's folder is judged in this run.
    fn has(&self, home: &str) -> bool {
        self.options.shard.is_none_or(|s| s.has(home))
    }
}

fn stream(plan: Plan, job: &Job<'_>, beside: &Arc<Sources>, progress: Progress<'_>) -> Streamed {
    let Plan { rest, mut homes, walked } = plan;
    let names: BTreeSet<String> = homes.iter().map(|h| h.0.clone()).collect();
    // Only what compares devices needs the folders of other shares.
    homes.retain(|h| job.is_first() || job.has(&h.0));
    let Some((mut inventory, mut looked)) = read_part(rest, job.estate, job.options) else { return Streamed::Whole };
    let mut again: BTreeSet<String> = inventory.devices.iter().filter(|d| names.contains(&d.name)).map(|d| d.name.clone()).collect();
    inventory.incomplete.extend(walked.incomplete);
    let mut secrets = Secrets::default();
    let common = secrets.add(&inventory.sources, inventory.hidden(), true);
    let office = std::mem::take(&mut inventory.devices);
    let base = Arc::new(std::mem::take(&mut inventory.sources).with(Arc::clone(beside)));
    if !job.is_first() {
        inventory = Inventory::default();
    }
    let mut run = Run { job, base, common, office, secrets, outcomes: Vec::new(), sources: Sources::default() };
    run.outcomes.resize_with(job.baseline.checks.len(), Outcome::default);
    let total = homes.len();
    let mut done = 0;
    let mut tunnels: Vec<Device> = Vec::new();
    for wave in Plan::waves(homes) {
        progress(done, total);
        done += wave.len();
        let here: BTreeSet<String> = wave.iter().map(|h| h.0.clone()).collect();
        let owner: HashMap<u32, String> = wave.iter().flat_map(|h| h.1.iter().map(|f| (f.number, h.0.clone()))).collect();
        let files: Vec<Found> = wave.into_iter().flat_map(|h| h.1).collect();
        let on_disk: HashMap<FileId, PathBuf> = files.iter().filter_map(|f| Some((FileId(f.number), f.path.clone()?))).collect();
        let own = |number: u32| owner.get(&number).is_none_or(|home| job.has(home));
        let others: HashSet<String> = files.iter().filter(|f| !own(f.number)).map(|f| f.display.clone()).collect();
        let Some((mut part, seen)) = read_part(files, job.estate, job.options) else { return Streamed::Whole };
        looked = Looked { files: looked.files + seen.files, found: looked.found || seen.found };
        for device in &part.devices {
            if !here.contains(&device.name) || device.tunnels.iter().any(serves) {
                again.extend(device.files.iter().filter_map(|(id, _)| owner.get(&id.0).cloned()));
            }
        }
        if again.is_empty() {
            tunnels.extend(run.wave(&mut part, &here, on_disk));
        }
        // What is said of other shares' files is theirs to say.
        part.files.retain(|f| own(f.file.0));
        part.incomplete.retain(|i| !others.contains(&i.path));
        inventory.absorb(part);
    }
    progress(total, total);
    if !again.is_empty() {
        return Streamed::Again(again);
    }
    if job.is_first() {
        inventory.nothing(looked);
    }
    inventory.tidy();
    inventory.files.sort_by_key(|f| f.file);
    Streamed::Done(Box::new(run.finish(inventory, tunnels, &names)))
}

/// A run at work.
struct Run<'j> {
    job: &'j Job<'j>,
    /// The texts of what is no worker's, and of the baseline.
    base: Arc<Sources>,
    /// Secrets in them.
    common: Vec<(Span, SecretLabel)>,
    /// Devices that are no worker's.
    office: Vec<Device>,
    secrets: Secrets,
    /// What came of each check so far.
    outcomes: Vec<Outcome>,
    /// The texts of workers, to be read again.
    sources: Sources,
}

impl Run<'_> {
    /// Judges some workers' devices, and gives back what is kept of them.
    fn wave(&mut self, part: &mut Inventory, here: &BTreeSet<String>, on_disk: HashMap<FileId, PathBuf>) -> Vec<Device> {
        let labels = self.secrets.add(&part.sources, part.hidden(), false);
        let redactor = Redactor::labelled(self.common.iter().copied().chain(labels), []);
        let sources = std::mem::take(&mut part.sources).with(Arc::clone(&self.base));
        // Devices of other shares are not judged.
        let (own, other): (Vec<Device>, Vec<Device>) = std::mem::take(&mut part.devices).into_iter().partition(|d| self.job.has(&d.name));
        let mut devices = self.office.clone();
        let silent = devices.len();
        devices.extend(own);
        let mut world = self.job.baseline.world(&devices, &sources, &redactor, self.job.as_of, part.exported.clone());
        world.silent = silent;
        people(&mut world, |device| here.contains(device) && self.job.has(device));
        self.judge(&world, |scope| scope == Scope::Device);
        drop(world);
        sources.put_away(&mut self.sources, |id| on_disk.get(&id).cloned(), fetch);
        self.sources.settle();
        // Ends of IPsec are found by addresses too.
        let kept = |d: Device| {
            let interfaces = if d.tunnels.iter().any(|t| t.kind == TunnelKind::Ipsec) { d.interfaces } else { None };
            Device { name: d.name, files: d.files, hostname: d.hostname, tunnels: d.tunnels, interfaces, ..Device::default() }
        };
        devices.drain(silent..).chain(other).map(kept).collect()
    }

    fn judge(&mut self, world: &World<'_>, wanted: impl Fn(Scope) -> bool + Sync) {
        let checks = &self.job.baseline.checks;
        let came: Vec<Option<Outcome>> =
            checks.par_iter().map(|entry| wanted(entry.check.scope(&entry.spec)).then(|| judge::outcome(entry, world))).collect();
        for (all, came) in self.outcomes.iter_mut().zip(came) {
            if let Some(came) = came {
                all.absorb(came);
            }
        }
    }

    /// Judges what is left.
    fn finish(mut self, mut inventory: Inventory, tunnels: Vec<Device>, names: &BTreeSet<String>) -> Done {
        let (job, secrets) = (self.job, std::mem::take(&mut self.secrets));
        let numbers = secrets.numbers();
        let labels = job.options.shard.map(|s| secrets.table(&numbers, s.is_first()));
        let redactor = secrets.redactor(&numbers);
        for finding in self.outcomes.iter_mut().flat_map(|o| &mut o.findings) {
            judge::each_text(finding, &mut |text: &mut String| renumber(text, &numbers));
        }
        let sources = std::mem::take(&mut self.sources).with(Arc::clone(&self.base));
        let mut devices = std::mem::take(&mut self.office);
        let exported = inventory.exported.clone();
        if job.is_first() {
            let mut world = job.baseline.world(&devices, &sources, &redactor, job.as_of, exported.clone());
            people(&mut world, |device| !names.contains(device));
            self.judge(&world, |scope| scope != Scope::Tunnels);
        } else {
            devices.clear();
        }
        devices.extend(tunnels);
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        let world = job.baseline.world(&devices, &sources, &redactor, job.as_of, exported);
        if job.is_first() {
            self.judge(&world, |scope| scope == Scope::Tunnels);
        }
        let files = std::mem::take(&mut inventory.files);
        let mut outcomes = std::mem::take(&mut self.outcomes);
        let share = job.options.shard.zip(labels).map(|(shard, labels)| {
            let clean = &mut |text: &mut String| *text = redactor.scrub(text);
            let findings = outcomes.iter_mut().flat_map(|o| &mut o.findings);
            findings.for_each(|f| judge::each_text(f, clean));
            inventory.incomplete.iter_mut().for_each(|i| clean(&mut i.text));
            let mut files = files.clone();
            files.iter_mut().flat_map(|f| &mut f.notes).for_each(|n| clean(&mut n.text));
            let names = devices.iter().map(|d| d.name.clone()).collect();
            shard::Found {
                shard,
                as_of: job.as_of,
                first: job.first,
                print: job.print.to_owned(),
                kept: job.kept,
                inventory: &inventory,
                devices: names,
                files: &files,
                outcomes: &outcomes,
                labels,
            }
            .share(&sources)
        });
        let report = judge::conclude(&inventory, files, job.baseline, &world, outcomes);
        drop(world);
        inventory.devices = devices;
        inventory.sources = sources;
        Done { inventory, redactor, report, share }
    }
}

/// Keeps the people whose device fits.
fn people(world: &mut World<'_>, keep: impl Fn(&str) -> bool) {
    if let Some(workers) = &mut world.workers {
        workers.people.retain(|p| keep(&p.device));
    }
}

impl Inventory {
    /// What was read in a wave, but for its devices and texts.
    fn absorb(&mut self, other: Inventory) {
        let Inventory { files, exported, incomplete, remarks, passed_over, .. } = other;
        self.files.extend(files);
        self.exported.extend::<BTreeMap<String, Date>>(exported);
        self.incomplete.extend(incomplete);
        self.remarks.extend(remarks);
        self.passed_over += passed_over;
    }
}

impl Outcome {
    /// Adds what came of other devices.
    pub(super) fn absorb(&mut self, other: Outcome) {
        let Outcome { findings, considered, inapplicable, inapplicable_if_alone, attested, incomplete } = other;
        self.findings.extend(findings);
        self.considered.extend(considered);
        self.inapplicable.extend(inapplicable);
        self.inapplicable_if_alone |= inapplicable_if_alone;
        self.attested |= attested;
        self.incomplete.extend(incomplete);
    }
}

/// Reads a file of a worker again. It was read before, so that its size is within the bounds; should it have grown, it is another file.
fn fetch(path: &Path) -> Option<Vec<u8>> {
    let most = crate::source::Limits::default().file_bytes;
    let file = fs::File::open(path).ok().filter(|f| f.metadata().is_ok_and(|m| m.is_file()))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
