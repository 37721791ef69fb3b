//! The baseline language: reading a baseline with the rulesets, roster and waivers that it names.

mod comments;
mod doc;
mod files;
mod intent;
mod known;
mod load;
mod places;
mod roster;
mod schema;
mod shipped;
mod waivers;
mod waiving;
pub(crate) mod yaml;

pub use intent::Intent;
pub use known::{is_fingerprint, known_text, load_known};
pub use load::{load, load_intents, load_text};
pub use schema::json_schema;
pub use shipped::{SHIPPED, Shipped};
pub use waivers::{Waiver, Waivers, apply_waivers};
pub use waiving::{NewWaiver, add_waiver};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use jiff::civil::Date;

use crate::checks::{Analyses, Check, Kind, Service, Site, Spec, Workers, World, Zone, body};
use crate::diag::{CheckResult, Finding, Incomplete, Label, Severity, Verdict};
use crate::model::Device;
use crate::source::{FileId, Limits, Place, Redactor, Sources, Span};

/// Version of the language that this program reads.
pub const VERSION: u64 = 1;

/// A check of a baseline, ready to run.
pub struct Entry {
    /// What all checks have in common.
    pub spec: Spec,
    /// Its kind.
    pub kind: &'static Kind,
    /// The check.
    pub check: Box<dyn Check>,
    /// Id of the ruleset that it comes from; `None`: the user's own.
    pub ruleset: Option<String>,
}

/// A check of a ruleset that the baseline switched off.
#[derive(Clone, Debug)]
pub struct SwitchedOff {
    /// Id of the check.
    pub id: String,
    /// The ruleset that it comes from.
    pub ruleset: String,
    /// Why, as the baseline says.
    pub reason: String,
    /// Where the baseline says so.
    pub span: Span,
}

/// A baseline, read with everything that it names.
#[derive(Default)]
pub struct Baseline {
    /// Title of reports.
    pub title: String,
    /// Zones in the order of the file.
    pub zones: Vec<Zone>,
    /// Services by name, built-in ones included.
    pub services: BTreeMap<String, Service>,
    /// Offices by name.
    pub sites: Vec<Site>,
    /// Remote workers; `None`: the baseline says nothing of them.
    pub workers: Option<Workers>,
    /// Checks: the user's own (attestations last), then those of the rulesets in the order of use.
    pub checks: Vec<Entry>,
    /// Checks that it switched off.
    pub switched_off: Vec<SwitchedOff>,
    /// Accepted findings.
    pub waivers: Waivers,
    /// Changes that are meant.
    pub intents: Vec<Intent>,
    /// Lines of its roster that are broken: the analysis is incomplete on account of them.
    pub broken: Vec<Incomplete>,
    /// The files that were read for it, itself first. Shipped rulesets are among them.
    pub files: Vec<FileId>,
}

impl Baseline {
    /// Zones that say behind which interface of a device they lie, where no such device was read: a slip of the pen, or a device that is
    /// missing. Nothing, if there is none.
    fn unread_devices(&self, devices: &[Device]) -> Option<CheckResult> {
        let read: HashSet<String> = devices.iter().map(|d| d.name.to_lowercase()).collect();
        let names = self.zones.iter().flat_map(|z| z.on.keys().map(move |d| (z, d)));
        let findings = names.filter(|(_, d)| !read.contains(&d.to_lowercase())).map(|(zone, device)| {
            let hint = body::suggestion(device, devices.iter().map(|d| d.name.as_str()));
            let message = format!("{} says where it lies on {device}, and no such device was read{hint}", zone.name);
            let label = Label::new(zone.span, "");
            Finding::unknown(message, label.clone(), vec![label]).about(format!("{} {device}", zone.name))
        });
        let findings: Vec<Finding> = findings.collect();
        (!findings.is_empty()).then(|| {
            let result = waivers::own_result(
                "zones-are-on-known-devices",
                "Every device of which a zone says where it lies was read",
                Severity::Info,
                "What is said of a device that is not there is said of no device: perhaps its name is misspelt, perhaps its export is missing.",
                "Correct the name under `on:`, or export the device.",
                self.zones.iter().map(|z| z.name.clone()).collect(),
                findings,
            );
            CheckResult { verdict: Verdict::Unknown, ..result }
        })
    }

    /// The world that its checks are judged on.
    pub fn world<'a>(
        &self,
        devices: &'a [Device],
        sources: &'a Sources,
        redactor: &'a Redactor,
        as_of: Date,
        exported: BTreeMap<String, Date>,
    ) -> World<'a> {
        let names = Spellings::new(devices);
        let (mut zones, mut sites, mut workers) = (self.zones.clone(), self.sites.clone(), self.workers.clone());
        workers.iter_mut().flat_map(|w| &mut w.people).for_each(|p| names.settle(&mut p.device));
        sites.iter_mut().flat_map(|s| &mut s.devices).for_each(|d| names.settle(d));
        for zone in &mut zones {
            let settled = |(mut device, interfaces)| {
                names.settle(&mut device);
                (device, interfaces)
            };
            zone.on = std::mem::take(&mut zone.on).into_iter().map(settled).collect();
        }
        World {
            devices,
            silent: 0,
            zones,
            services: self.services.clone(),
            sites,
            workers,
            as_of,
            exported,
            sources,
            redactor,
            analyses: Analyses::new(devices, Limits::default()),
        }
    }

    /// What is to be done with the results of its checks: waivers are applied ([`apply_waivers`]), and what concerns the baseline itself
    /// (waivers that expired or accept nothing, checks that are switched off, zones on devices that were not read) is added as results of its
    /// own.
    pub fn conclude(&self, results: &mut Vec<CheckResult>, devices: &[Device], sources: &Sources, as_of: Date) {
        results.extend(self.unread_devices(devices));
        let mut waivers = self.waivers.clone();
        comments::look(&mut waivers, results, &self.files, devices, sources);
        apply_waivers(results, &waivers, as_of);
        if self.switched_off.is_empty() {
            return;
        }
        let findings = self.switched_off.iter().map(|off| {
            let message = format!("{} of {} is switched off: {}", off.id, off.ruleset, off.reason);
            Finding::new(message, Label::new(off.span, "")).about(off.id.as_str())
        });
        results.push(waivers::own_result(
            "check-switched-off",
            "Every check of the rulesets in use is on",
            Severity::Info,
            "A check that is switched off says nothing, so the reader of a report must know that it is.",
            "Delete its entry under `adjust:` when the reason no longer applies.",
            self.switched_off.iter().map(|off| off.id.clone()).collect(),
            findings.collect(),
        ));
    }
}

/// How the devices that were read are spelt: a folder `Anna` is the device of `anna`, unless there is an `anna` too.
struct Spellings<'d> {
    exact: HashSet<&'d str>,
    /// By their lower case; `None` where several have the same.
    folded: HashMap<String, Option<&'d str>>,
}

impl<'d> Spellings<'d> {
    fn new(devices: &'d [Device]) -> Spellings<'d> {
        let mut folded = HashMap::new();
        for device in devices {
            folded.entry(device.name.to_lowercase()).and_modify(|d| *d = None).or_insert(Some(device.name.as_str()));
        }
        Spellings { exact: devices.iter().map(|d| d.name.as_str()).collect(), folded }
    }

    /// Spells a name as the device that it means.
    fn settle(&self, name: &mut String) {
        if !self.exact.contains(name.as_str())
            && let Some(Some(device)) = self.folded.get(&name.to_lowercase())
        {
            *name = (*device).to_owned();
        }
    }
}

/// Something wrong with a baseline or a file that it names: exit code 2.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub struct BaselineError {
    /// Path of the file, for people.
    pub path: String,
    /// Where in it; `None` if it could not be read at all.
    pub place: Option<(Place, Span)>,
    /// What is wrong, with "did you mean" where something is near.
    pub message: String,
}

impl fmt::Display for BaselineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((place, _)) => write!(f, "{}:{}:{}: {}", self.path, place.line, place.column, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}
