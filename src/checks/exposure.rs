//! The matrix of zones: no check, but the same questions as the kind `flow` asks, for every pair of zones.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::flow::{forwards, in_front};
use super::place::{label, likely_hits, opening, without};
use super::{World, Zone, cross, from_zone, to_zone};
use crate::diag::{Answer, Cell, Exposure, Passage};
use crate::eval::flow::{Query, Want, passing_in};
use crate::eval::{Analysis, Limit, Line, Way, words};
use crate::net::Family;
use crate::packets::{Cube, readable};

/// Zones that are shown at most: nobody reads a larger matrix.
const ZONES: usize = 24;
/// Questions (pairs of zones, times devices) that are asked at most.
const QUESTIONS: usize = 20_000;
/// Steps of work for one question; then examples stand for the exact boxes.
const STEPS: usize = 200_000;
/// Boxes of one line that are listed.
const BOXES: usize = 8;
/// Lines of a cell that are listed.
const LINES: usize = 40;

/// The name of the last column.
pub const FIREWALLS: &str = "the firewalls themselves";

/// Who can open a connection to what, through the firewalls that were read (computers of remote workers aside).
pub fn exposure(world: &World<'_>) -> Exposure {
    let shown: Vec<&Zone> = world.zones.iter().take(ZONES).collect();
    let mut out = Exposure {
        from: shown.iter().map(|z| z.name.clone()).collect(),
        to: shown.iter().map(|z| z.name.clone()).chain([FIREWALLS.to_owned()]).collect(),
        ..Exposure::default()
    };
    if world.zones.len() > ZONES {
        out.left_out = Some(format!("only the first {ZONES} of {} zones are shown", world.zones.len()));
    }
    // A device without a filter that is known is not asked: nothing is closed by it, and what it lets through is not known.
    let unread = world.devices.iter().filter(|d| !d.filter_is_known() && !world.is_worker(&d.name) && forwards(world, d));
    let unread: Vec<&str> = unread.map(|d| d.name.as_str()).collect();
    if !unread.is_empty() {
        let text = format!("what passes {} is not part of the matrix: no packet filter of it was read", unread.join(", "));
        out.left_out = Some(out.left_out.map_or(text.clone(), |t| format!("{t}; {text}")));
    }
    let firewalls = || world.devices.iter().filter(|d| d.filter_is_known() && !world.is_worker(&d.name)).collect::<Vec<_>>();
    let columns: Vec<(Option<&Zone>, Vec<_>)> = shown
        .iter()
        .map(|z| Some(*z))
        .chain([None])
        .map(|z| (z, in_front(world, firewalls(), z.map_or("firewall", |z| z.name.as_str()))))
        .collect();
    let questions: usize = columns.iter().map(|(_, devices)| devices.len() * shown.len()).sum();
    if questions > QUESTIONS {
        out.left_out = Some(format!("the matrix was not made: it takes {questions} questions, more than {QUESTIONS}"));
        (out.from, out.to) = Default::default();
        return out;
    }
    let pairs: Vec<(&Zone, &(Option<&Zone>, Vec<_>))> = shown.iter().flat_map(|f| columns.iter().map(move |c| (*f, c))).collect();
    out.cells = pairs
        .par_iter()
        .map(|(from, (to, devices))| {
            let mut cell = Cell::default();
            if to.is_some_and(|t| t.name == from.name) {
                return cell;
            }
            for (device, ways) in devices {
                let Some(analysis) = world.analysis(&device.name) else { continue };
                for (way, family) in ways.iter().flat_map(|w| Family::BOTH.map(|f| (*w, f))) {
                    if !device.switched_off(family) {
                        ask(&mut cell, analysis, from, *to, way, family);
                    }
                }
            }
            cell
        })
        .collect();
    out
}

fn ask(cell: &mut Cell, analysis: &Analysis<'_>, from: &Zone, to: Option<&Zone>, way: Way, family: Family) {
    let mut arriving = cross(&from_zone(analysis, from, family), &[opening(family)]);
    let mut deciding = vec![Cube::any()];
    if let Some(to) = to {
        if !to.internet && !to.addresses(family).is_empty() {
            // Within a zone no firewall stands between.
            arriving = without(&arriving, &from_zone(analysis, to, family), family);
        }
        deciding = to_zone(analysis, to, way, family);
    }
    if arriving.is_empty() || deciding.is_empty() {
        return;
    }
    if let Some(missing) = analysis.missing(way, family) {
        cell.unknown.push(format!("{}: {}: {}", analysis.device.name, missing.what, missing.export));
        cell.answer = cell.answer.max(Answer::Unknown);
        return;
    }
    let query = Query::new(way, family, Want::Accepted);
    let asked = Asked { analysis, way, family, fallback: from.span };
    let found = asked.exactly(query, &arriving, &deciding).or_else(|_| asked.examples(query, &arriving, &deciding));
    match found {
        Ok(list) => {
            let answer = list.iter().map(|p| if p.certain { Answer::Open } else { Answer::Perhaps }).max().unwrap_or(Answer::Closed);
            cell.answer = cell.answer.max(answer);
            let room = LINES.saturating_sub(cell.passages.len());
            if list.len() > room {
                cell.unknown.push(format!("{}: {} more lines let something through", analysis.device.name, list.len() - room));
            }
            cell.passages.extend(list.into_iter().take(room));
        }
        Err(Limit(why)) => {
            cell.unknown.push(format!("{}: {why}", analysis.device.name));
            cell.answer = cell.answer.max(Answer::Unknown);
        }
    }
}

struct Asked<'a, 'd> {
    analysis: &'a Analysis<'d>,
    way: Way,
    family: Family,
    /// Where to point where a device has no line at all.
    fallback: crate::source::Span,
}

impl Asked<'_, '_> {
    /// Every packet that gets through, in boxes.
    fn exactly(&self, query: Query, arriving: &[Cube], deciding: &[Cube]) -> Result<Vec<Passage>, Limit> {
        let found = passing_in(self.analysis, query, arriving, deciding, STEPS)?;
        let mut lines: BTreeMap<Line, (Vec<Cube>, Vec<Cube>, bool)> = BTreeMap::new();
        for p in found {
            let certain = p.certain && !p.accepted_as.has_conditions() && !p.arriving.has_conditions();
            let entry = lines.entry(p.line).or_default();
            entry.0.push(p.arriving);
            entry.1.push(p.accepted_as);
            entry.2 |= certain;
        }
        Ok(lines
            .into_iter()
            .map(|(line, (arriving, accepted, certain))| {
                // Boxes that differ in nothing but the service are one: what opens a connection is told in several, by TCP flags and ICMP types.
                let mut boxes: Vec<(String, Vec<String>)> = Vec::new();
                for cube in readable(&arriving, self.family) {
                    let service = words::service_words(&cube, self.family);
                    let all = words::cube_words(&cube, self.way, self.family, &self.analysis.space);
                    let rest = all.strip_prefix(&service).map_or_else(|| format!(" {all}"), str::to_owned);
                    match boxes.iter_mut().find(|(r, _)| *r == rest) {
                        Some((_, services)) => services.push(service),
                        None => boxes.push((rest, vec![service])),
                    }
                }
                let services = readable(&accepted, self.family).iter().map(|c| words::service_words(c, self.family)).collect();
                let shown = boxes.iter().take(BOXES).map(|(rest, services)| format!("{}{rest}", merged(services.clone()).join(" or ")));
                self.passage(line, merged(services), shown.collect(), boxes.len().saturating_sub(BOXES), certain)
            })
            .collect())
    }

    /// One packet for each line that lets something through.
    fn examples(&self, query: Query, arriving: &[Cube], deciding: &[Cube]) -> Result<Vec<Passage>, Limit> {
        let hits = likely_hits(self.analysis, query, arriving, deciding)?;
        Ok(hits
            .found
            .iter()
            .map(|hit| {
                let service = words::service_words(&hit.decided_as.header_cube(self.family), self.family);
                let packet = words::packet_words(&hit.packet, self.way, self.family, &self.analysis.space);
                self.passage(hit.line, vec![format!("such as {service}")], vec![format!("for instance {packet}")], 0, hit.certain)
            })
            .collect())
    }

    fn passage(&self, line: Line, services: Vec<String>, boxes: Vec<String>, more: usize, certain: bool) -> Passage {
        Passage {
            device: self.analysis.device.name.clone(),
            family: self.family.name(),
            line: label(self.analysis, line, self.fallback, self.analysis.line_words(line)),
            services,
            boxes,
            more,
            certain,
        }
    }
}

/// The same services in few words: without doubles, `anything` where every protocol is among them, TCP and UDP first.
fn merged(mut services: Vec<String>) -> Vec<String> {
    let rank = |s: &str| if s.starts_with("tcp") { 0 } else { usize::from(!s.starts_with("udp")) + 1 };
    services.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    services.dedup();
    let rest = services.iter().find_map(|s| s.strip_prefix("any protocol but ").map(str::to_owned));
    // Of ICMP only what asks something opens a connection, and each family has its own.
    let whole = |p: &str| p.starts_with("icmp") || services.iter().any(|s| s == p);
    let all = services.iter().any(|s| s == "any protocol") || rest.is_some_and(|r| r.split(',').all(whole));
    if all { vec!["anything".into()] } else { services }
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn what_holds_every_protocol_is_anything() {
        let of = |list: &[&str]| merged(list.iter().map(|s| (*s).to_owned()).collect()).join("; ");
        assert_eq!(of(&["any protocol but icmp,tcp,icmpv6", "icmpv6 type 128,139", "tcp"]), "anything");
        assert_eq!(of(&["any protocol but icmp,tcp,icmpv6", "tcp/22 (ssh)"]), "tcp/22 (ssh); any protocol but icmp,tcp,icmpv6");
        assert_eq!(of(&["icmp type 8", "udp/53", "tcp/22", "tcp/22"]), "tcp/22; udp/53; icmp type 8");
    }
}
