//! `fwproof diff`: what two versions of a configuration treat differently.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::input::Reading;
use super::output::Output;
use super::revision::{self, Revision};
use super::{Failure, Outcome};
use crate::eval::compare::{Change, Changes, Pair, Side, Turn};
use crate::eval::plain::{box_words, opening_boxes};
use crate::eval::{Analysis, Line, Way, words};
use crate::model::Device;
use crate::net::Family;
use crate::packets::{Cube, readable};
use crate::pipeline::Inventory;
use crate::report::{Untrusted, counted, show};
use crate::source::{Limits, Redactor};

/// Says which packets two versions of a configuration treat differently, with one of them and the lines that do it. A change after which every packet is
/// treated as before is proved to be one.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 no packet is treated differently; 1 some are; 2 bad arguments; 3 something could not be read or judged.\n\
Devices are compared by name; where each side has one, these two."
)]
pub(crate) struct Args {
    /// The old version: a file or folder (with --git: the only path, within the repository)
    #[arg(value_name = "OLD", required = true)]
    pub old: PathBuf,
    /// The new version
    #[arg(value_name = "NEW", required_unless_present = "git")]
    pub new: Option<PathBuf>,
    /// Compare two revisions of a git repository: BASE..HEAD, as git(1) names them
    #[arg(long, value_name = "BASE..HEAD", conflicts_with = "new")]
    pub git: Option<String>,
    /// An interface that the new version calls otherwise: OLD=NEW, repeatable
    #[arg(long, value_name = "OLD=NEW")]
    pub map: Vec<String>,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let names = interface_map(&args.map)?;
    let (paths, _kept) = match (&args.git, &args.new) {
        (Some(range), _) => {
            let [old, new] = revision::both(range, &args.old)?;
            ([old.path.clone(), new.path.clone()], vec![old, new])
        }
        (None, Some(new)) => ([args.old.clone(), new.clone()], Vec::new()),
        (None, None) => return Err(Failure::usage("a second version is needed: diff OLD NEW, or diff PATH --git BASE..HEAD")),
    };
    let mut old = args.reading.read(&[paths[0].clone()])?;
    let new = args.reading.read(&[paths[1].clone()])?;
    for device in &mut old.devices {
        device.rename_interfaces(&names);
    }
    let page = Page { old: &old, new: &new, redactors: [old.redactor(), new.redactor()], json: args.json, kept: &_kept };
    let mut code = args.reading.tell(&old.incomplete, &old.sources, &page.redactors[0]);
    code = code.max(args.reading.tell(&new.incomplete, &new.sources, &page.redactors[1]));
    let pairs = pairs(&old, &new);
    if pairs.iter().all(|(a, b)| a.is_none() || b.is_none()) {
        return Err(Failure::Incomplete(vec!["no device is in both versions".into()]));
    }
    let judged: Vec<Judged> = pairs.par_iter().map(|(a, b)| page.judge(*a, *b)).collect();
    let mut limits = Vec::new();
    let mut totals = Totals::default();
    for mut judged in judged {
        limits.append(&mut judged.limits);
        totals.add(&judged);
        out.write(&page.safe(&judged.text));
    }
    if !args.json {
        out.write(&totals.line());
    }
    if !limits.is_empty() {
        return Err(Failure::Incomplete(limits));
    }
    Ok(code.max(u8::from(totals.different > 0)))
}

fn interface_map(args: &[String]) -> Result<HashMap<String, String>, Failure> {
    let mut map = HashMap::new();
    for arg in args {
        match arg.split_once('=').filter(|(a, b)| !a.is_empty() && !b.is_empty()) {
            Some((old, new)) => map.insert(old.to_owned(), new.to_owned()),
            None => return Err(Failure::usage(format!("--map {arg}: write OLD=NEW, for instance --map eth0=wan"))),
        };
    }
    Ok(map)
}

type Both<'i> = (Option<&'i Device>, Option<&'i Device>);

/// Devices of one name; where each side has one device, these.
fn pairs<'i>(old: &'i Inventory, new: &'i Inventory) -> Vec<Both<'i>> {
    if let ([a], [b]) = (old.devices.as_slice(), new.devices.as_slice()) {
        return vec![(Some(a), Some(b))];
    }
    let mut by_name: BTreeMap<&str, Both<'i>> = BTreeMap::new();
    for device in &old.devices {
        by_name.entry(&device.name).or_default().0 = Some(device);
    }
    for device in &new.devices {
        by_name.entry(&device.name).or_default().1 = Some(device);
    }
    by_name.into_values().collect()
}

/// What came of one device.
#[derive(Default)]
struct Judged {
    text: String,
    limits: Vec<String>,
    changes: BTreeMap<Turn, usize>,
    facts: usize,
    only: Option<Side>,
    unknown: bool,
}

#[derive(Default)]
struct Totals {
    devices: usize,
    different: usize,
    changes: BTreeMap<Turn, usize>,
    other: usize,
    unknown: usize,
}

impl Totals {
    fn add(&mut self, judged: &Judged) {
        self.devices += 1;
        self.different += usize::from(!judged.changes.is_empty() || judged.only.is_some());
        self.other += judged.facts;
        self.unknown += usize::from(judged.unknown);
        for (turn, n) in &judged.changes {
            *self.changes.entry(*turn).or_default() += n;
        }
    }

    fn line(&self) -> String {
        let n = |turn| self.changes.get(&turn).copied().unwrap_or(0);
        let verdict = if self.different == 0 { "EQUAL" } else { "DIFFERENT" };
        let unknown = if self.unknown == 0 { String::new() } else { format!(", {} not known in part", self.unknown) };
        format!(
            "fwproof: {}, {} newly allowed, {} newly denied, {} translated otherwise, {}{unknown}: {verdict}\n",
            counted(self.devices, "device", "devices"),
            n(Turn::Allowed),
            n(Turn::Denied),
            n(Turn::Translated),
            counted(self.other, "other difference", "other differences"),
        )
    }
}

struct Page<'p> {
    old: &'p Inventory,
    new: &'p Inventory,
    redactors: [Redactor; 2],
    json: bool,
    kept: &'p [Revision],
}

/// Boxes of one change that the text form lists.
const BOXES: usize = 8;

/// Changes that read as one: what became of the packets, by which lines.
type Reads = (Turn, [Option<Line>; 2], bool);

impl Page<'_> {
    /// Without secrets, and with revisions instead of the folders in which they were unpacked.
    fn safe(&self, text: &str) -> String {
        let mut text = self.redactors[1].scrub(&self.redactors[0].scrub(text));
        for revision in self.kept {
            text = text.replace(&revision.prefix, &format!("{}:", revision.name));
        }
        text
    }

    fn judge(&self, old: Option<&Device>, new: Option<&Device>) -> Judged {
        let mut judged = Judged::default();
        match (old, new) {
            (Some(old), Some(new)) => self.compare(old, new, &mut judged),
            (Some(device), None) => self.alone(device, Side::Old, &mut judged),
            (None, Some(device)) => self.alone(device, Side::New, &mut judged),
            (None, None) => {}
        }
        judged
    }

    fn alone(&self, device: &Device, side: Side, judged: &mut Judged) {
        judged.only = Some(side);
        let what = if side == Side::Old { "only in the old version" } else { "only in the new version" };
        judged.text = match self.json {
            true => format!("{}\n", json!({ "device": device.name, "only": if side == Side::Old { "old" } else { "new" } })),
            false => format!("{}: {what}\n", Untrusted(&device.name)),
        };
    }

    fn compare(&self, old: &Device, new: &Device, judged: &mut Judged) {
        let pair = Pair::new(old, new, &[], &Limits::default());
        let mut body = String::new();
        for way in Way::ALL {
            for family in Family::BOTH {
                let missing = [&pair.old, &pair.new].map(|a| a.missing(way, family));
                if missing.iter().any(Option::is_some) {
                    // Where neither shows anything there is nothing to compare.
                    if let (Some(m), false) = (missing.iter().flatten().next(), missing.iter().all(Option::is_some)) {
                        judged.unknown = true;
                        body.push_str(&self.not_known(&new.name, way, family, &format!("{}: {}", m.what, m.export)));
                    }
                    continue;
                }
                match pair.changes(way, family) {
                    Ok(changes) => body.push_str(&self.changes(&pair, &changes, way, family, judged)),
                    Err(limit) => judged.limits.push(format!("{}: {} {}: {limit}", new.name, family.name(), way.name())),
                }
            }
        }
        body.push_str(&self.facts(old, new, judged));
        let has_filter = old.has_filter() || new.has_filter();
        judged.text = match (self.json, judged.changes.is_empty()) {
            (true, true) if has_filter && judged.limits.is_empty() && !judged.unknown => {
                format!("{}\n{body}", json!({ "device": new.name, "equal": true }))
            }
            (true, _) => body,
            (false, true) if judged.limits.is_empty() && has_filter => {
                let what =
                    if judged.unknown { "no packet is known to be treated differently" } else { "equal: no packet is treated differently" };
                format!("{}: {what}\n{body}", Untrusted(&new.name))
            }
            (false, true) if !has_filter => format!("{}: has no packet filter\n{body}", Untrusted(&new.name)),
            (false, _) => format!("{}\n{body}", Untrusted(&new.name)),
        };
    }

    fn not_known(&self, device: &str, way: Way, family: Family, why: &str) -> String {
        if self.json {
            return format!("{}\n", json!({ "device": device, "hook": way.name(), "family": family.name(), "unknown": why }));
        }
        format!("  {} {}: not known: {}\n", family.name(), way.name(), Untrusted(why))
    }

    fn inventory(&self, side: Side) -> &Inventory {
        match side {
            Side::Old => self.old,
            Side::New => self.new,
        }
    }

    fn place(&self, analysis: &Analysis<'_>, side: Side, line: Line) -> Option<String> {
        analysis.span(line).map(|s| self.inventory(side).sources.locate(s))
    }

    fn changes(&self, pair: &Pair<'_>, changes: &Changes, way: Way, family: Family, judged: &mut Judged) -> String {
        let mut by: BTreeMap<Reads, Vec<&Change>> = BTreeMap::new();
        for change in &changes.packets {
            by.entry((change.turn, change.lines, change.certain)).or_default().push(change);
        }
        let mut out = String::new();
        for ((turn, lines, certain), list) in by {
            *judged.changes.entry(turn).or_default() += 1;
            let cubes: Vec<Cube> = list.iter().map(|c| c.packets.clone()).collect();
            let boxes = readable(&cubes, family);
            let packet = list.iter().find_map(|c| c.witness.as_ref());
            let cause = cause(changes, lines);
            if self.json {
                out.push_str(&self.as_json(pair, (way, family), (turn, lines, certain), &boxes, packet, &cause));
                continue;
            }
            let what = match turn {
                Turn::Allowed => "newly allowed",
                Turn::Denied => "newly denied",
                Turn::Translated => "translated otherwise",
            };
            let perhaps = if certain { "" } else { ", perhaps" };
            out.push_str(&format!("  {what}{perhaps}: {} {}\n", family.name(), way.name()));
            // Who reads this thinks of connections; of other packets only where nothing else changes.
            let bare: Vec<Cube> = cubes.iter().map(Cube::without_conditions).collect();
            let opening = opening_boxes(&bare, way, family, &pair.new.space);
            let shown = opening.as_ref().unwrap_or(&boxes);
            for cube in shown.iter().take(BOXES) {
                let text = match opening {
                    Some(_) => box_words(cube, way, family, &pair.new.space),
                    None => self.words(pair, cube, way, family),
                };
                out.push_str(&format!("    {}\n", Untrusted(&text)));
            }
            if shown.len() > BOXES {
                out.push_str(&format!("    and {} (--json has all)\n", counted(shown.len() - BOXES, "more box", "more boxes")));
            }
            let conditions: BTreeSet<u32> = cubes.iter().flat_map(|c| c.dims()).filter_map(|(d, _)| d.as_condition()).collect();
            for id in conditions {
                out.push_str(&format!("      depending on: {}\n", Untrusted(pair.condition(id))));
            }
            if let Some(p) = packet {
                out.push_str(&format!("      for instance {}\n", Untrusted(&words::packet_words(p, way, family, &pair.new.space))));
            }
            for (side, word, analysis) in [(Side::Old, "before", &pair.old), (Side::New, "now", &pair.new)] {
                let Some(line) = lines[side as usize] else {
                    out.push_str(&format!("      {word}: goes another way\n"));
                    continue;
                };
                let at = self.place(analysis, side, line).map_or_else(String::new, |a| format!(" ({})", Untrusted(&a)));
                out.push_str(&format!("      {word}: {}{at}\n", Untrusted(&analysis.line_words(line))));
            }
            for (side, line) in &cause {
                let analysis = if *side == Side::Old { &pair.old } else { &pair.new };
                let sign = if *side == Side::Old { '-' } else { '+' };
                let Some(span) = analysis.span(*line) else { continue };
                let inventory = self.inventory(*side);
                let file = inventory.sources.get(span.file);
                let text = file.line(file.line_index(span.start)).trim();
                out.push_str(&format!("      {sign} {}  {}\n", Untrusted(&inventory.sources.locate(span)), Untrusted(text)));
            }
        }
        out
    }

    /// A box, its conditions by the numbers of the pair.
    fn words(&self, pair: &Pair<'_>, cube: &Cube, way: Way, family: Family) -> String {
        let mut text = words::cube_words(&cube.without_conditions(), way, family, &pair.new.space);
        for (dim, set) in cube.dims() {
            if let Some(id) = dim.as_condition() {
                let holds = if set.contains(1) { "if" } else { "unless" };
                text.push_str(&format!(", {holds} {}", pair.condition(id)));
            }
        }
        text
    }

    fn as_json(
        &self,
        pair: &Pair<'_>,
        (way, family): (Way, Family),
        (turn, lines, certain): Reads,
        boxes: &[Cube],
        packet: Option<&crate::packets::Packet>,
        cause: &[(Side, Line)],
    ) -> String {
        let line = |side: Side, analysis: &Analysis<'_>| {
            lines[side as usize].map(|line| json!({ "rule": analysis.line_words(line), "at": self.place(analysis, side, line) }))
        };
        let packet = packet.map(|p| words::packet_json(p, way, family, &pair.new.space));
        let because: Vec<Value> = cause
            .iter()
            .map(|(side, l)| {
                let analysis = if *side == Side::Old { &pair.old } else { &pair.new };
                json!({ "version": if *side == Side::Old { "old" } else { "new" }, "at": self.place(analysis, *side, *l) })
            })
            .collect();
        let o = json!({
            "device": pair.new.device.name, "hook": way.name(), "family": family.name(), "change": turn.name(), "certain": certain,
            "boxes": boxes.iter().map(|c| self.words(pair, c, way, family)).collect::<Vec<_>>(),
            "packet": packet.and_then(|p| serde_json::from_str::<Value>(&p).ok()),
            "before": line(Side::Old, &pair.old), "now": line(Side::New, &pair.new), "because": because,
        });
        format!("{o}\n")
    }

    /// What else differs: tunnels, administration, addresses, routes, settings.
    fn facts(&self, old: &Device, new: &Device, judged: &mut Judged) -> String {
        let [a, b] = [old, new].map(|d| show::facts(d).into_iter().collect::<BTreeSet<String>>());
        let gone = a.difference(&b).map(|f| ('-', f));
        let came = b.difference(&a).map(|f| ('+', f));
        let mut out = String::new();
        for (sign, fact) in gone.chain(came) {
            judged.facts += 1;
            match self.json {
                true => {
                    let o = json!({ "device": new.name, "fact": fact, "version": if sign == '-' { "old" } else { "new" } });
                    out.push_str(&format!("{o}\n"));
                }
                false => out.push_str(&format!("  {sign} {fact}\n")),
            }
        }
        out
    }
}

/// The changed lines to blame: those that decide, or else all that changed.
fn cause(changes: &Changes, lines: [Option<Line>; 2]) -> Vec<(Side, Line)> {
    /// More are not listed: they do not explain anything.
    const MOST: usize = 5;
    let deciding = [(Side::Old, lines[0]), (Side::New, lines[1])];
    let deciding = deciding.into_iter().filter_map(|(side, line)| Some((side, line?)));
    let found: Vec<(Side, Line)> = deciding.filter(|d| changes.lines.contains(d)).collect();
    if found.is_empty() { changes.lines.iter().copied().take(MOST).collect() } else { found }
}

/// Whether a path lies within the current folder: git names no other.
pub(super) fn is_within(path: &Path) -> bool {
    path.is_relative() && !path.components().any(|c| matches!(c, std::path::Component::ParentDir))
}
