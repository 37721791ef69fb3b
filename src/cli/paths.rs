//! `fwproof reach` over every device of a way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::json;

use super::output::Output;
use super::reach::{Args, service};
use super::{Failure, Outcome};
use crate::checks::body::suggestion;
use crate::checks::path::{End, Found, Paths, Start, Step, Stop, Stopped, from_worker, from_zone, paths, replay};
use crate::checks::{World, Zone, of_service};
use crate::eval::plain::{box_words, opening_boxes};
use crate::eval::{Analysis, Line, Way};
use crate::net::{Family, Ranges, parse_cidr};
use crate::packets::Cube;
use crate::pipeline::Inventory;
use crate::report::Untrusted;
use crate::rulesets::Baseline;
use crate::source::{Redactor, Span};

/// What stands before the name of a remote worker.
pub(crate) const WORKER: &str = "worker:";
/// Boxes of one group that are shown.
const BOXES: usize = 12;

pub(crate) fn run(args: &Args, out: &mut Output, inventory: &Inventory, loaded: &Baseline, redactor: &Redactor, code: u8) -> Outcome {
    // Nothing here depends on the day.
    let world = loaded.world(&inventory.devices, &inventory.sources, redactor, Date::constant(2000, 1, 1), BTreeMap::new());
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        return Err(Failure::usage("--to is missing: the zone, address or prefix at the end of the way"));
    };
    let target = place(to, &world, "--to")?;
    let starts = match from.strip_prefix(WORKER) {
        Some(name) => {
            let Some(analysis) = world.analysis(device_of(name, &world)?) else { return Err(Failure::usage("no such device was read")) };
            from_worker(&world, analysis, &target)
        }
        None => from_zone(&world, &place(from, &world, "--from")?),
    };
    let wanted = args.service.as_deref().map(|t| service(t, &world.services)).transpose()?;
    let mut limits = Vec::new();
    let families = Family::BOTH.into_iter().filter(|f| target.internet || !target.addresses(*f).is_empty());
    for family in families {
        let cubes = wanted.as_ref().map(|s| of_service(s, family)).unwrap_or_default();
        if wanted.is_some() && cubes.is_empty() {
            continue;
        }
        let found = paths(&world, &starts, &target, &cubes, family);
        let page = Page { world: &world, family, json: args.json };
        if !args.json {
            let what = wanted.as_ref().map_or_else(String::new, |s| format!(" with {}", Untrusted(&s.name)));
            out.write(&redactor.scrub(&format!("{} from {} to {}{what}\n", family.name(), Untrusted(from), Untrusted(to))));
        }
        out.write(&redactor.scrub(&page.text(&found, &starts, &mut limits)));
        limits.extend(found.limits);
    }
    if !limits.is_empty() {
        return Err(Failure::Incomplete(limits));
    }
    Ok(code)
}

/// The device of a remote worker, by the name of either.
fn device_of<'w>(name: &str, world: &'w World<'_>) -> Result<&'w str, Failure> {
    let folded = name.trim().to_lowercase();
    let people = || world.workers.iter().flat_map(|w| &w.people);
    // The first name does where nobody else has it.
    let first = |n: &str| n.split_whitespace().next().is_some_and(|w| w.to_lowercase() == folded);
    let mut fits: Vec<&str> =
        people().filter(|p| p.device.to_lowercase() == folded || p.name.to_lowercase() == folded).map(|p| p.device.as_str()).collect();
    if fits.is_empty() {
        fits = people().filter(|p| first(&p.name)).map(|p| p.device.as_str()).collect();
    }
    let all: BTreeSet<&str> = fits.iter().copied().collect();
    match all.iter().collect::<Vec<_>>().as_slice() {
        [one] => match world.device(one) {
            Some(device) => Ok(&device.name),
            None => Err(Failure::usage(format!("no export of {one} was read"))),
        },
        [] => {
            let hint = suggestion(name, people().flat_map(|p| [p.name.as_str(), p.device.as_str()]));
            Err(Failure::usage(format!("{name} is nobody on the roster of the baseline{hint}")))
        }
        [..] => Err(Failure::usage(format!(
            "{name} may be one of several on the roster: {}",
            all.iter().copied().collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// A zone of the baseline, or one of plain addresses.
fn place(text: &str, world: &World<'_>, option: &str) -> Result<Zone, Failure> {
    if let Some(zone) = world.zone(text) {
        return Ok(zone.clone());
    }
    let Some((family, lo, hi)) = parse_cidr(text) else {
        let hint = suggestion(text, world.zones.iter().map(|z| z.name.as_str()));
        return Err(Failure::usage(format!("{option} {text} is no zone of the baseline and no address or prefix{hint}")));
    };
    let set = Ranges::interval(lo, hi);
    let (v4, v6) = if family == Family::V4 { (set, Ranges::EMPTY) } else { (Ranges::EMPTY, set) };
    let span = world.zones.first().map_or(Span::new(crate::source::FileId(0), 0, 0), |z| z.span);
    Ok(Zone { name: text.to_owned(), v4, v6, internet: false, on: BTreeMap::new(), through: Vec::new(), span })
}

struct Page<'p, 'a> {
    world: &'p World<'a>,
    family: Family,
    json: bool,
}

/// What is shown together: the same devices with the same lines.
type Key = (Vec<Step>, End, Vec<(Line, Vec<Line>)>, bool, Vec<String>);

/// The same for what is stopped.
type StopKey = (Vec<Step>, Stop, bool, Vec<String>);

impl<'p, 'a> Page<'p, 'a> {
    fn text(&self, found: &Paths, starts: &[Start], limits: &mut Vec<String>) -> String {
        let mut groups: BTreeMap<Key, Vec<&Found>> = BTreeMap::new();
        for f in &found.found {
            let lines = f.passed.iter().map(|p| (p.line, p.via.clone())).collect();
            groups.entry((f.steps.clone(), f.end.clone(), lines, f.certain, f.doubts.clone())).or_default().push(f);
        }
        let mut out = String::new();
        for (key, all) in &groups {
            out.push_str(&self.group(key, all, limits));
        }
        let mut stops: BTreeMap<StopKey, Vec<&Stopped>> = BTreeMap::new();
        for s in &found.stopped {
            stops.entry((s.steps.clone(), s.stop.clone(), s.certain, s.doubts.clone())).or_default().push(s);
        }
        let mut unclear: BTreeMap<(&[Step], &str), Vec<&Cube>> = BTreeMap::new();
        for u in &found.unclear {
            unclear.entry((&u.steps, &u.why)).or_default().extend(&u.packets);
        }
        if !self.json && groups.is_empty() {
            let any = starts.iter().any(|s| !matches!(s, Start::Unknown { .. }));
            out.push_str(match (any, unclear.is_empty()) {
                (true, true) => "  nothing gets there\n",
                _ => "  nothing is known to get there\n",
            });
        }
        for ((steps, stop, certain, doubts), all) in &stops {
            out.push_str(&self.stop(steps, stop, *certain, doubts, all));
        }
        for ((steps, why), cubes) in &unclear {
            let after = self.names(steps);
            if self.json {
                let o = json!({ "family": self.family.name(), "after": steps.iter().map(|s| self.name(s)).collect::<Vec<_>>(), "unknown": why });
                out.push_str(&format!("{o}\n"));
                continue;
            }
            let after = if steps.is_empty() { String::new() } else { format!(" after {after}") };
            out.push_str(&format!("  not known{after}: {}\n", Untrusted(why)));
            if let Some(first) = steps.first() {
                out.push_str(&self.boxes(first, &cubes.iter().map(|c| (*c).clone()).collect::<Vec<_>>()));
            }
        }
        out
    }

    fn group(&self, (steps, end, lines, certain, doubts): &Key, all: &[&Found], limits: &mut Vec<String>) -> String {
        let cubes: Vec<Cube> = all.iter().filter_map(|f| f.passed.first().map(|p| p.arriving.clone())).collect();
        let replayed = all.first().map(|f| replay(self.world, f, self.family));
        let replayed = match replayed {
            Some(Ok(replayed)) => replayed,
            Some(Err(limit)) => {
                limits.push(limit.0);
                None
            }
            None => None,
        };
        let sure = *certain && doubts.is_empty();
        let decided: Vec<(&Step, String, Option<String>)> = steps
            .iter()
            .zip(lines)
            .filter_map(|(step, (line, via))| {
                let analysis = self.analysis(step)?;
                let mut words = analysis.line_words(*line);
                for v in via {
                    words.push_str(&format!(", after {}", analysis.line_words(*v)));
                }
                Some((step, words, analysis.span(*line).map(|s| self.world.sources.locate(s))))
            })
            .collect();
        let Some(first) = steps.first() else { return String::new() };
        if self.json {
            let path: Vec<_> = decided
                .iter()
                .enumerate()
                .map(|(i, (step, rule, at))| {
                    let packet = replayed.as_ref().and_then(|r| serde_json::from_str::<serde_json::Value>(r.packets.get(i)?).ok());
                    json!({ "device": self.name(step), "hook": step.way.name(), "iif": step.iif, "oif": step.oif, "rule": rule, "at": at, "packet": packet })
                })
                .collect();
            let end = if *end == End::Device { "device" } else { "network" };
            let boxes = self.words(first, &cubes);
            let o = json!({ "family": self.family.name(), "path": path, "end": end, "boxes": boxes, "certain": sure, "assumed": doubts });
            return format!("{o}\n");
        }
        let end = match end {
            End::Network => " > the network behind it",
            End::Device => "",
        };
        let mut out = format!("  {}{end}{}\n", self.names(steps), if sure { "" } else { ": perhaps" });
        out.push_str(&self.boxes(first, &cubes));
        for (step, words, at) in decided {
            let at = at.map_or_else(String::new, |a| format!(" ({})", Untrusted(&a)));
            out.push_str(&format!("      {}: {}{at}\n", Untrusted(self.name(step)), Untrusted(&words)));
        }
        for doubt in doubts {
            out.push_str(&format!("      assumed: {}\n", Untrusted(doubt)));
        }
        if let Some(r) = replayed {
            out.push_str(&format!("      for instance {}\n", Untrusted(&r.words)));
        }
        out
    }

    fn stop(&self, steps: &[Step], stop: &Stop, certain: bool, doubts: &[String], all: &[&Stopped]) -> String {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return String::new() };
        let Some(analysis) = self.analysis(last) else { return String::new() };
        let (words, at) = match stop {
            Stop::Line(line) => (analysis.line_words(*line), analysis.span(*line)),
            Stop::Elsewhere(span, why) => (why.clone(), Some(*span)),
        };
        let at = at.map(|s| self.world.sources.locate(s));
        let cubes: Vec<Cube> = all.iter().map(|s| s.packets.clone()).collect();
        let sure = certain && doubts.is_empty();
        if self.json {
            let before: Vec<&str> = steps.iter().map(|s| self.name(s)).collect();
            let boxes = self.words(first, &cubes);
            let o = json!({ "family": self.family.name(), "stopped": self.name(last), "devices": before, "rule": words, "at": at, "boxes": boxes, "certain": sure });
            return format!("{o}\n");
        }
        let boxes = self.boxes(first, &cubes);
        if boxes.is_empty() {
            return String::new();
        }
        let at = at.map_or_else(String::new, |a| format!(" ({})", Untrusted(&a)));
        let sure = if sure { "" } else { ": perhaps" };
        format!("  {}: stopped by {}{at}{sure}\n{boxes}", self.names(steps), Untrusted(&words))
    }

    fn analysis(&self, step: &Step) -> Option<&'p Analysis<'a>> {
        self.world.devices.get(step.device).and_then(|d| self.world.analysis(&d.name))
    }

    fn name(&self, step: &Step) -> &'p str {
        self.world.devices.get(step.device).map_or("", |d| &d.name)
    }

    /// The devices with their interfaces: `anna (wg0) > vpn-gw (wg-staff to eth1)`.
    fn names(&self, steps: &[Step]) -> String {
        let one = |s: &Step| {
            let ends = match (s.way, &s.iif, &s.oif) {
                (Way::Output, _, Some(oif)) => format!(" ({oif})"),
                (_, Some(iif), Some(oif)) => format!(" ({iif} to {oif})"),
                (Way::Input, Some(iif), _) => format!(" ({iif}, itself)"),
                (_, Some(iif), None) => format!(" ({iif})"),
                _ => String::new(),
            };
            format!("{}{}", Untrusted(self.name(s)), Untrusted(&ends))
        };
        steps.iter().map(one).collect::<Vec<_>>().join(" > ")
    }

    /// Packets as they meet the first device, in boxes.
    fn words(&self, first: &Step, cubes: &[Cube]) -> Vec<String> {
        let Some(analysis) = self.analysis(first) else { return Vec::new() };
        let plain: Vec<Cube> = cubes.iter().map(Cube::without_conditions).collect();
        let boxes = opening_boxes(&plain, first.way, self.family, &analysis.space).unwrap_or_default();
        // Interfaces are said with the devices.
        let bare = |c: &Cube| {
            let bare = crate::eval::plain::without(c.clone(), crate::packets::Field::Iif, self.family);
            crate::eval::plain::without(bare, crate::packets::Field::Oif, self.family)
        };
        let boxes = crate::packets::readable(&boxes.iter().map(bare).collect::<Vec<_>>(), self.family);
        boxes.iter().map(|c| box_words(c, first.way, self.family, &analysis.space)).collect()
    }

    fn boxes(&self, first: &Step, cubes: &[Cube]) -> String {
        let words = self.words(first, cubes);
        let mut out: String = words.iter().take(BOXES).map(|w| format!("    {}\n", Untrusted(w))).collect();
        if words.len() > BOXES {
            out.push_str(&format!("    and {} more\n", words.len() - BOXES));
        }
        out
    }
}
