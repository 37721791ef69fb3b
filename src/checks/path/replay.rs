//! One packet from the first device to the last, by the independent walk at each of them.

use super::KEPT;
use super::compose::{Found, Step};
use super::flowing::Passed;
use crate::checks::World;
use crate::eval::walk::{Outcome, walk, walk_given};
use crate::eval::{Analysis, Limit, Way, words};
use crate::net::Family;
use crate::packets::fields::ct;
use crate::packets::{Cube, Dim, Field, Packet, plausible};

/// A packet at each device of its path.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The packet in words, as it leaves the start.
    pub words: String,
    /// For each device: the packet as a line of `trace --packets`.
    pub packets: Vec<String>,
}

/// A packet that gets to the end, walked at each device: its way there is shown, not only computed.
///
/// # Errors
/// The walk disagrees with the packet sets: an error of the analysis.
pub fn replay(world: &World<'_>, found: &Found, family: Family) -> Result<Option<Replay>, Limit> {
    let mut packets = Vec::new();
    let mut shown = String::new();
    let mut before: Option<(Packet, Way)> = None;
    for (step, passed) in found.steps.iter().zip(&found.passed) {
        let Some(analysis) = world.devices.get(step.device).and_then(|d| world.analysis(&d.name)) else { return Ok(None) };
        let Some(packet) = arriving(passed, before.as_ref(), analysis, family) else {
            return Err(disagreement(analysis, step));
        };
        let mut hint = packet.clone();
        let likely = plausible(&passed.accepted, family);
        for field in &passed.chosen {
            hint.set(*field, likely.field(*field));
        }
        let way = step.way;
        let walked = if found.certain {
            let given = analysis.space.at_rest();
            walk_given(analysis, (way, family), &packet, given, Some(&hint), false)
        } else {
            walk(analysis, way, family, &packet, Some(packet.conditions()), Some(&hint), false)
        };
        if found.certain && !walked.verdict.passes() || !matches!(walked.verdict, Outcome::Accept | Outcome::Unknown) {
            return Err(disagreement(analysis, step));
        }
        if shown.is_empty() {
            shown = words::packet_words(&packet, way, family, &analysis.space);
        }
        packets.push(words::packet_json(&packet, way, family, &analysis.space));
        before = Some((walked.became, way));
    }
    Ok((!packets.is_empty()).then_some(Replay { words: shown, packets }))
}

fn disagreement(analysis: &Analysis<'_>, step: &Step) -> Limit {
    Limit(format!("internal disagreement about a packet {} {}: please report it", step.way.name(), analysis.device.name))
}

/// The packet as it arrives at a device: what it has become before, and what a device gives it of its own.
fn arriving(passed: &Passed, before: Option<&(Packet, Way)>, analysis: &Analysis<'_>, family: Family) -> Option<Packet> {
    let Some((packet, way)) = before else { return Some(plausible(&passed.arriving, family)) };
    let fixed = |c: Cube, f: Field, n: u128| c.with(Dim::field(f), &crate::net::Ranges::single(n), family);
    let mut cube = KEPT.iter().try_fold(passed.arriving.clone(), |c, f| fixed(c, *f, packet.field(*f)))?;
    cube = fixed(cube.clone(), Field::Ct, ct::NEW).unwrap_or(cube);
    if analysis.space.is_matched(Field::Ttl) {
        let left = packet.field(Field::Ttl).checked_sub(u128::from(*way == Way::Forward))?;
        cube = fixed(cube, Field::Ttl, left)?;
    }
    Some(plausible(&cube, family))
}
