//! Single bits of marks, asked under a mask.

use std::collections::BTreeSet;

use super::{Action, Device, Effect, Match};
use crate::net::{Family, Ranges};
use crate::packets::Field;

/// Whether the bits of a mask have a value: `field & mask == value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    /// [`Field::Mark`] or [`Field::CtMark`].
    pub field: Field,
    /// The bits that are asked.
    pub mask: u128,
    /// Their value.
    pub value: u128,
}

impl Bits {
    fn hold(self, mark: u128) -> bool {
        mark & self.mask == self.value
    }
}

/// Marks that are told apart by their value.
const MARKS: usize = 64;

/// Places at which a packet may be marked. Each splits the packets in two, those that were marked there and those that were not, so more than
/// these are not followed.
const PLACES: u64 = 10;

impl Device {
    /// Makes questions for bits exact for the marks that the device's own rules can make, beginning with none (0, which every packet has
    /// that arrives). For all other marks (a local process may set any) they stay conditions: the numbers with one bit set are too many
    /// intervals. Where rules mark at many places, nothing changes.
    pub fn settle_marks(&mut self) {
        if self.conditions.bits().next().is_none() || self.marking_places().is_none_or(|n| n > PLACES) {
            return;
        }
        let [marks, connection_marks] = self.marks();
        let conditions = &self.conditions;
        let settle = |m: &mut Match| {
            let Match::Opaque(id) = m else { return };
            let Some(bits) = conditions.bits_of(*id) else { return };
            let known = if bits.field == Field::Mark { &marks } else { &connection_marks };
            let these = Match::Field(bits.field, Ranges::from_values(known.iter().copied().filter(|n| bits.hold(*n))));
            let others = Ranges::from_values(known.iter().copied()).complement(bits.field.max(Family::V4));
            *m = Match::AnyOf(vec![these, Match::All(vec![Match::Field(bits.field, others), Match::Opaque(*id)])]);
        };
        for rule in self.chains.iter_mut().flat_map(|c| &mut c.rules) {
            rule.matcher.replace(&settle);
        }
    }

    /// How many places on all ways of packets change a mark: a rule counts once for each way in which its chain can be called. `None`: calls
    /// go in a circle.
    fn marking_places(&self) -> Option<u64> {
        let calls = |c: usize| {
            self.chains[c].rules.iter().filter(|r| r.enabled).filter_map(|r| match r.action {
                Action::Jump(to) | Action::Goto(to) => Some(to.0 as usize).filter(|to| *to < self.chains.len()),
                _ => None,
            })
        };
        let mut waiting = vec![0usize; self.chains.len()];
        (0..self.chains.len()).flat_map(calls).for_each(|to| waiting[to] += 1);
        let mut ways = vec![0u64; self.chains.len()];
        for base in &self.base_chains {
            ways[base.chain.0 as usize] += 1;
        }
        let mut ready: Vec<usize> = (0..self.chains.len()).filter(|c| waiting[*c] == 0).collect();
        let (mut done, mut places) = (0, 0u64);
        while let Some(c) = ready.pop() {
            done += 1;
            let marking = self.chains[c].rules.iter().filter(|r| r.enabled && r.effects.iter().any(|e| changed(e).is_some())).count();
            places = places.saturating_add(ways[c].saturating_mul(marking as u64));
            for to in calls(c) {
                ways[to] = ways[to].saturating_add(ways[c]);
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    ready.push(to);
                }
            }
        }
        (done == self.chains.len()).then_some(places)
    }

    /// The marks of packets and of connections that rules can make of 0, or the first of them.
    fn marks(&self) -> [BTreeSet<u128>; 2] {
        let mut found = [BTreeSet::from([0]), BTreeSet::from([0])];
        let at = |field: Field| usize::from(field == Field::CtMark);
        let effects: Vec<&Effect> =
            self.chains.iter().flat_map(|c| &c.rules).flat_map(|r| &r.effects).filter(|e| changed(e).is_some()).collect();
        loop {
            let before = found.iter().map(BTreeSet::len).sum::<usize>();
            for effect in &effects {
                let new: Vec<u128> = match effect {
                    Effect::Set(_, value) => vec![*value],
                    Effect::SetBits { field, mask, value, xor } => {
                        let set = |n: &u128| if *xor { (n & !mask) ^ value } else { (n & !mask) | (value & mask) };
                        found[at(*field)].iter().map(set).collect()
                    }
                    Effect::Copy { from, .. } if matches!(from, Field::Mark | Field::CtMark) => found[at(*from)].iter().copied().collect(),
                    _ => continue,
                };
                if let Some(field) = changed(effect) {
                    let max = field.max(Family::V4);
                    found[at(field)].extend(new.into_iter().filter(|n| *n <= max).take(MARKS));
                }
            }
            let after = found.iter().map(BTreeSet::len).sum::<usize>();
            if after == before || found.iter().any(|f| f.len() > MARKS) {
                return found;
            }
        }
    }
}

/// The mark that an effect changes.
fn changed(effect: &Effect) -> Option<Field> {
    match effect {
        Effect::Set(field, _) | Effect::SetBits { field, .. } | Effect::Unknown(field) | Effect::Copy { to: field, .. } => {
            Some(*field).filter(|f| matches!(f, Field::Mark | Field::CtMark))
        }
        Effect::Untrack => None,
    }
}
