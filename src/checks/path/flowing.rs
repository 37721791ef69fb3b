//! Packets on their way over devices: as they are now, and what they were before.

use std::sync::Arc;

use super::{kept, one_hop_less, one_hop_more};
use crate::eval::Line;
use crate::eval::flow::Passing;
use crate::net::{Family, Ranges};
use crate::packets::{Cube, Dim, Field};

/// A device with what it did to some packets.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The packets as they arrive, and only those that got to the end.
    pub arriving: Cube,
    /// As the deciding line sees them.
    pub accepted: Cube,
    /// The fields of which a translation chooses the value.
    pub chosen: Vec<Field>,
    /// The deciding line.
    pub line: Line,
    /// The rules that changed them.
    pub via: Vec<Line>,
}

/// Packets on their way.
#[derive(Clone)]
pub(super) struct Flow {
    pub now: Cube,
    /// They are told as they arrive at the next device, and not as they left the last one.
    pub crossed: bool,
    pub back: Option<Arc<Back>>,
    pub certain: bool,
}

/// Where packets come from: what became of them at the device before.
pub(super) struct Back {
    pub passing: Passing,
    /// The line that let them through.
    pub line: Line,
    /// It forwarded them, so that they have one hop less.
    pub hopped: bool,
    pub before: Option<Arc<Back>>,
}

impl Back {
    /// The part of what a device accepted that has become some packets after it.
    fn piece(&self, now: &Cube, family: Family) -> Option<Cube> {
        let piece = self.passing.accepted_as.and(&kept(now, family))?;
        match now.field(Field::Ttl) {
            Some(set) => piece.with(Dim::field(Field::Ttl), set, family),
            None => Some(piece),
        }
    }
}

impl Flow {
    /// A flow that passed the last device, as it arrived there.
    pub fn at_the_last(&self, family: Family) -> Option<Flow> {
        let back = self.back.clone()?;
        let piece = back.piece(&self.now, family)?;
        Some(Flow {
            now: back.passing.before(&piece, family)?.without_conditions(),
            crossed: true,
            back: back.before.clone(),
            certain: self.certain,
        })
    }

    /// What packets of `end`, a part of a flow as it is now, were when they left the start, with what each device did to them, the first first.
    pub fn origin(&self, end: &Cube, family: Family) -> Option<(Cube, Vec<(Passed, bool)>)> {
        let mut now = end.clone();
        let mut back = self.back.clone();
        let mut all = Vec::new();
        let mut crossed = self.crossed;
        while let Some(step) = back {
            if crossed && let Some(set) = now.field(Field::Ttl).cloned() {
                // As it left: the next device saw one hop less than the rules of this one.
                let before = if step.hopped { one_hop_more(&set) } else { set };
                now = now.replaced(Dim::field(Field::Ttl), Some(before), family)?;
            }
            crossed = true;
            let piece = step.piece(&now, family)?;
            let arriving = step.passing.before(&piece, family)?;
            let chosen = step.passing.chosen();
            let narrowed = chosen.iter().any(|f| match (step.passing.accepted_as.field(*f), piece.field(*f)) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(all), Some(some)) => !all.is_subset(some),
            });
            now = kept(&arriving, family);
            if let Some(set) = arriving.field(Field::Ttl) {
                now = now.with(Dim::field(Field::Ttl), set, family).unwrap_or(now);
            }
            let passed = Passed { arriving, accepted: piece, chosen, line: step.line, via: step.passing.via.clone() };
            all.push((passed, narrowed));
            back = step.before.clone();
        }
        all.reverse();
        let first = all.first().map_or_else(|| now.clone(), |(p, _)| p.arriving.clone());
        Some((first, all))
    }

    /// A flow on its way to the next device.
    pub fn crossing(&self, hopped: bool, matched: bool, family: Family) -> Option<Flow> {
        let now = kept(&self.now, family);
        let set = self.now.field(Field::Ttl);
        if !matched && set.is_none() {
            return Some(Flow { now, crossed: true, ..self.clone() });
        }
        let left = if hopped { one_hop_less(set) } else { set.cloned().unwrap_or(Ranges::interval(1, 255)) };
        Some(Flow { now: now.with(Dim::field(Field::Ttl), &left, family)?, crossed: true, ..self.clone() })
    }
}
