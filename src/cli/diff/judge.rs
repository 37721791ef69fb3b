//! Comparing the two versions of one device.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::eval::compare::{Change, Changes, Pair, Side, Turn};
use crate::eval::facts::{self, Area, Version};
use crate::eval::plain::{box_words, opening_boxes};
use crate::eval::{Analysis, Line, Way, words};
use crate::model::{Device, NamePattern};
use crate::net::Family;
use crate::packets::{Cube, readable};
use crate::pipeline::Inventory;
use crate::rulesets::Intent;
use crate::source::{Limits, Redactor};

/// What came of one device. Its texts are as they are in the configurations, secrets not yet taken out.
#[derive(Default)]
pub(super) struct Judged {
    pub name: String,
    /// Only one version has it.
    pub only: Option<Side>,
    /// The entry that allows that.
    pub only_meant: Option<usize>,
    pub has_filter: bool,
    pub limits: Vec<String>,
    pub changes: Vec<Item>,
    pub unknown: Vec<Unknown>,
    pub facts: Vec<FactItem>,
    /// Entries of the intent that were used.
    pub used: BTreeSet<usize>,
}

impl Judged {
    /// Whether it is proved that no packet is treated differently.
    pub fn is_equal(&self) -> bool {
        self.only.is_none() && self.changes.is_empty() && self.limits.is_empty() && self.unknown.is_empty() && self.has_filter
    }

    /// Packets (or the whole device) that are treated differently and are not meant to be.
    pub fn unmeant(&self) -> usize {
        self.changes.iter().filter(|c| c.meant.is_none()).count() + usize::from(self.only.is_some() && self.only_meant.is_none())
    }
}

/// A way of which one version does not show what passes.
pub(super) struct Unknown {
    pub way: Way,
    pub family: Family,
    pub why: String,
}

/// Packets that are treated differently for one reason.
pub(super) struct Item {
    pub turn: Turn,
    pub way: Way,
    pub family: Family,
    pub certain: bool,
    /// All boxes, exactly.
    pub boxes: Vec<String>,
    /// The same as people speak of them.
    pub shown: Vec<String>,
    /// What is not modelled and decides.
    pub conditions: Vec<String>,
    /// One of the packets, in words and as JSON.
    pub packet: Option<(String, Value)>,
    /// The rule that decided, and its place; none where the packets went another way.
    pub before: Option<RuleAt>,
    /// The rule that decides now.
    pub now: Option<RuleAt>,
    /// The changed lines to blame.
    pub because: Vec<Cause>,
    /// The entry that allows it.
    pub meant: Option<usize>,
}

/// A rule in words with its place.
pub(super) struct RuleAt {
    pub words: String,
    pub at: Option<String>,
}

/// A changed line.
pub(super) struct Cause {
    pub side: Side,
    pub at: String,
    pub text: String,
}

/// A fact that only one version has.
pub(super) struct FactItem {
    pub side: Side,
    pub area: Area,
    pub text: String,
    pub at: Option<String>,
    pub meant: Option<usize>,
}

/// Changes that read as one: meant by which entry, what became of the packets, by which lines.
type Reads = (Option<usize>, Turn, [Option<Line>; 2], bool);

pub(super) struct Judge<'p> {
    pub old: &'p Inventory,
    pub new: &'p Inventory,
    pub redactors: &'p [Redactor; 2],
    /// What the change is meant to do; `None`: nobody says.
    pub intents: &'p [Intent],
}

impl Judge<'_> {
    pub fn judge(&self, old: Option<&Device>, new: Option<&Device>) -> Judged {
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
        judged.name.clone_from(&device.name);
        judged.only = Some(side);
        judged.only_meant = self.intents.iter().position(|i| i.allows_device(&device.name));
        judged.used.extend(judged.only_meant);
    }

    fn compare(&self, old: &Device, new: &Device, judged: &mut Judged) {
        judged.name.clone_from(&new.name);
        judged.has_filter = old.has_filter() || new.has_filter();
        let named: Vec<NamePattern> = self.intents.iter().flat_map(Intent::interfaces).cloned().collect();
        let pair = Pair::new(old, new, &named, &Limits::default());
        for way in Way::ALL {
            for family in Family::BOTH {
                let missing = [&pair.old, &pair.new].map(|a| a.missing(way, family));
                if missing.iter().any(Option::is_some) {
                    // Where neither shows anything there is nothing to compare.
                    if let (Some(m), false) = (missing.iter().flatten().next(), missing.iter().all(Option::is_some)) {
                        judged.unknown.push(Unknown { way, family, why: format!("{}: {}", m.what, m.export) });
                    }
                    continue;
                }
                match pair.changes(way, family) {
                    Ok(changes) => self.changes(&pair, &changes, way, family, judged),
                    Err(limit) => judged.limits.push(format!("{}: {} {}: {limit}", new.name, family.name(), way.name())),
                }
            }
        }
        self.facts(old, new, judged);
    }

    fn inventory(&self, side: Side) -> &Inventory {
        match side {
            Side::Old => self.old,
            Side::New => self.new,
        }
    }

    fn rule_at(&self, pair: &Pair<'_>, side: Side, line: Option<Line>) -> Option<RuleAt> {
        let analysis = of(pair, side);
        line.map(|line| RuleAt {
            words: analysis.line_words(line),
            at: analysis.span(line).map(|s| self.inventory(side).sources.locate(s)),
        })
    }

    /// Each change, cut into what an entry of the intent allows and what none does.
    fn meant(&self, pair: &Pair<'_>, change: &Change, way: Way, family: Family) -> Vec<(Option<usize>, Change)> {
        let mut rest = vec![change.packets.clone()];
        let mut out = Vec::new();
        for (i, intent) in self.intents.iter().enumerate() {
            for allowed in intent.packets(&pair.new, change.turn, way, family) {
                let inside: Vec<Cube> = rest.iter().filter_map(|c| c.and(&allowed)).collect();
                if inside.is_empty() {
                    continue;
                }
                rest = rest.iter().flat_map(|c| c.minus(&allowed, family)).collect();
                out.extend(inside.into_iter().map(|packets| (Some(i), Change { packets, ..change.clone() })));
            }
        }
        if out.is_empty() {
            return vec![(None, change.clone())];
        }
        out.extend(rest.into_iter().map(|packets| (None, Change { packets, ..change.clone() })));
        for (_, part) in &mut out {
            part.witness = pair.witness(&part.packets, part.turn, way, family);
            part.certain &= part.witness.is_some();
        }
        out
    }

    fn changes(&self, pair: &Pair<'_>, changes: &Changes, way: Way, family: Family, judged: &mut Judged) {
        let mut by: BTreeMap<Reads, Vec<Change>> = BTreeMap::new();
        for change in &changes.packets {
            for (meant, part) in self.meant(pair, change, way, family) {
                by.entry((meant, part.turn, part.lines, part.certain)).or_default().push(part);
            }
        }
        for ((meant, turn, lines, certain), list) in by {
            judged.used.extend(meant);
            let cubes: Vec<Cube> = list.iter().map(|c| c.packets.clone()).collect();
            let boxes = readable(&cubes, family);
            // Who reads this thinks of connections; of other packets only where nothing else changes.
            let bare: Vec<Cube> = cubes.iter().map(Cube::without_conditions).collect();
            let exact: Vec<String> = boxes.iter().map(|c| cube_words(pair, c, way, family)).collect();
            let shown = match opening_boxes(&bare, way, family, &pair.new.space) {
                Some(opening) => opening.iter().map(|c| box_words(c, way, family, &pair.new.space)).collect(),
                None => exact.clone(),
            };
            let conditions: BTreeSet<u32> = cubes.iter().flat_map(|c| c.dims()).filter_map(|(d, _)| d.as_condition()).collect();
            let packet = list.iter().find_map(|c| c.witness.as_ref()).map(|p| {
                let json = words::packet_json(p, way, family, &pair.new.space);
                let json = serde_json::from_str(&json).unwrap_or(Value::Null);
                (words::packet_words(p, way, family, &pair.new.space), json)
            });
            let because = cause(changes, lines).into_iter().filter_map(|(side, line)| {
                let span = of(pair, side).span(line)?;
                let inventory = self.inventory(side);
                let file = inventory.sources.get(span.file);
                let text = file.line(file.line_index(span.start)).trim().to_owned();
                Some(Cause { side, at: inventory.sources.locate(span), text })
            });
            judged.changes.push(Item {
                turn,
                way,
                family,
                certain,
                boxes: exact,
                shown,
                conditions: conditions.into_iter().map(|id| pair.condition(id).to_owned()).collect(),
                packet,
                before: self.rule_at(pair, Side::Old, lines[0]),
                now: self.rule_at(pair, Side::New, lines[1]),
                because: because.collect(),
                meant,
            });
        }
    }

    /// What else differs: tunnels, cryptography, administration, logging, translation, addresses, settings.
    fn facts(&self, old: &Device, new: &Device, judged: &mut Judged) {
        let version = |device, side: Side| {
            let sources = &self.inventory(side).sources;
            Version { device, sources, redactor: &self.redactors[side as usize] }
        };
        for change in facts::changes(version(old, Side::Old), version(new, Side::New)) {
            let meant = self.intents.iter().position(|i| i.allows_fact(&new.name, change.fact.area));
            judged.used.extend(meant);
            judged.facts.push(FactItem {
                side: change.side,
                area: change.fact.area,
                at: change.fact.span.map(|s| self.inventory(change.side).sources.locate(s)),
                text: change.fact.text,
                meant,
            });
        }
    }
}

fn of<'p, 'a>(pair: &'p Pair<'a>, side: Side) -> &'p Analysis<'a> {
    match side {
        Side::Old => &pair.old,
        Side::New => &pair.new,
    }
}

/// A box, its conditions by the numbers of the pair.
fn cube_words(pair: &Pair<'_>, cube: &Cube, way: Way, family: Family) -> String {
    let mut text = words::cube_words(&cube.without_conditions(), way, family, &pair.new.space);
    for (dim, set) in cube.dims() {
        if let Some(id) = dim.as_condition() {
            let holds = if set.contains(1) { "if" } else { "unless" };
            text.push_str(&format!(", {holds} {}", pair.condition(id)));
        }
    }
    text
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
