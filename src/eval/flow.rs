//! The packets of a region that are accepted or denied, through every change that rules make to them.

use std::sync::Arc;

use super::index::Bounds;
use super::program::{Act, Divert, Line, Program, Purpose};
use super::solve::{Budget, GaveUp, Reached};
use super::walk::{Walked, walk, walk_given};
use super::{Analysis, Limit, Space, Way};
use crate::model::{Effect, NatKind, Translation};
use crate::net::{Family, Ranges};
use crate::packets::fields::{ABSENT_PORT, addr_type, ct};
use crate::packets::{Cube, Dim, Field, Packet, plausible};

/// How many programs the changes of one way may lead to.
const VARIANTS: usize = 4096;

/// Packets that have met the same changes so far, and the program in which they go on.
pub struct Variant {
    /// The program.
    pub program: Arc<Program>,
    /// The packets as they are now.
    pub regions: Vec<Cube>,
    /// For each region: the packets as they arrived.
    pub origins: Vec<Cube>,
    /// For each region: the fields of which translation kept the host bits.
    kept: Vec<Vec<Kept>>,
    /// The rules that changed them.
    pub via: Vec<Line>,
    changed: Vec<Field>,
    /// What they were changed to is known.
    certain: bool,
}

/// An address that was translated prefix to prefix.
#[derive(Clone, Copy)]
struct Kept {
    field: Field,
    /// The bits of its prefix as it arrived.
    prefix: u128,
    /// The bits that stay.
    host: u128,
}

impl Kept {
    /// The address as it arrived.
    fn before(self, address: u128) -> u128 {
        self.prefix | (address & self.host)
    }
}

impl Variant {
    /// The arriving packets of region `k` that have become those of `piece`, a part of it.
    fn before_changes(&self, piece: &Cube, k: usize, family: Family) -> Option<Cube> {
        before(self.origins.get(k)?, piece, &self.changed, self.kept.get(k)?, family)
    }

    /// The arriving packets that have become those of `piece`, a part of some region.
    fn arrived(&self, piece: &Cube, family: Family) -> Option<Cube> {
        let k = self.regions.iter().position(|r| piece.is_subset(r))?;
        self.before_changes(piece, k, family)
    }
}

/// All variants of a way: the unchanged packets first.
pub struct Variants {
    list: Vec<Variant>,
}

impl Variants {
    /// Follows packets of `arriving` (cubes; intersected with what can occur) through all changes.
    pub fn explore(analysis: &Analysis<'_>, way: Way, family: Family, purpose: Purpose, arriving: &[Cube]) -> Result<Variants, Limit> {
        let occurring = analysis.space.occurring(way, family);
        let regions: Vec<Cube> = occurring.iter().flat_map(|o| arriving.iter().filter_map(|a| a.and(o))).collect();
        let program = analysis.program(way, family, purpose, None)?;
        let origins = regions.clone();
        let kept = vec![Vec::new(); regions.len()];
        let mut list = vec![Variant { program, regions, origins, kept, via: Vec::new(), changed: Vec::new(), certain: true }];
        let mut at = 0;
        while at < list.len() {
            let found = children(analysis, way, family, purpose, &list[at])?;
            list.extend(found);
            if list.len() > VARIANTS {
                return Err(Limit(format!("rules change packets in more than {VARIANTS} ways")));
            }
            at += 1;
        }
        Ok(Variants { list })
    }

    /// As [`Variants::explore`] for all packets, with all chains, and with the regions of equal programs joined.
    pub(super) fn for_fates(analysis: &Analysis<'_>, way: Way, family: Family) -> Result<Variants, Limit> {
        let purpose = Purpose { all_chains: true, ..Purpose::default() };
        let mut all = Self::explore(analysis, way, family, purpose, &analysis.space.meant(family))?;
        let mut joined: Vec<Variant> = Vec::new();
        for v in all.list.drain(..) {
            match joined.iter_mut().find(|j| Arc::ptr_eq(&j.program, &v.program)) {
                // Of joined ones nobody asks what they were.
                Some(j) => j.regions.extend(v.regions),
                None => joined.push(v),
            }
        }
        Ok(Variants { list: joined })
    }

    /// The variants.
    pub fn all(&self) -> &[Variant] {
        &self.list
    }
}

fn children(analysis: &Analysis<'_>, way: Way, family: Family, purpose: Purpose, v: &Variant) -> Result<Vec<Variant>, Limit> {
    let mut out: Vec<Variant> = Vec::new();
    for &e in &v.program.changing {
        let entry = &v.program.entries[e as usize];
        let Act::Divert(id) = entry.act else { continue };
        let divert = &v.program.diverts[id as usize];
        let mut child: Option<Variant> = None;
        for (k, region) in v.regions.iter().enumerate() {
            let Some(start) = region.and(&entry.cube) else { continue };
            let pieces = v.program.effective(e, &[start]).map_err(gave_up)?;
            for piece in pieces {
                let Some((cube, certain)) = apply(divert, &piece, &analysis.space, way, family) else { continue };
                let Some(origin) = v.before_changes(&piece, k, family) else { continue };
                if child.is_none() {
                    let program = analysis.program(way, family, purpose, Some(&divert.then))?;
                    let mut via = v.via.clone();
                    via.push(divert.line);
                    let mut changed = v.changed.clone();
                    changed.extend(changes(divert));
                    child = Some(Variant { program, regions: vec![], origins: vec![], kept: vec![], via, changed, certain: v.certain });
                }
                if let Some(c) = &mut child {
                    c.regions.push(cube);
                    c.origins.push(origin);
                    let changed = changes(divert);
                    let mut kept: Vec<Kept> = v.kept[k].iter().copied().filter(|kept| !changed.contains(&kept.field)).collect();
                    kept.extend(keeps(divert, &piece).into_iter().filter(|kept| !v.changed.contains(&kept.field)));
                    c.kept.push(kept);
                    c.certain &= certain;
                }
            }
        }
        out.extend(child);
    }
    Ok(out)
}

pub(super) fn gave_up(_: GaveUp) -> Limit {
    Limit("the rules are too entangled: the search for a packet was given up at its bound of work".into())
}

/// The address, port and address type that a translation changes.
fn sides(kind: NatKind) -> (Field, Field, Field) {
    match kind {
        NatKind::Destination | NatKind::Redirect => (Field::Dst, Field::Dport, Field::DstType),
        NatKind::Source | NatKind::Masquerade => (Field::Src, Field::Sport, Field::SrcType),
    }
}

/// The address of the packets of `cube` of which a divert keeps the host bits, if they are all of one prefix.
fn keeps(divert: &Divert, cube: &Cube) -> Option<Kept> {
    let t = divert.translation.as_ref().filter(|t| t.keep_host_bits && !t.unknown)?;
    let (field, ..) = sides(t.kind);
    let (old, [(lo, hi)]) = (cube.field(field)?, t.addresses.as_ref()?.1.intervals()) else { return None };
    let host = hi - lo;
    let prefix = old.min()? & !host;
    old.intervals().iter().all(|(a, b)| a & !host == prefix && b & !host == prefix).then_some(Kept { field, prefix, host })
}

/// The fields that a divert may change.
fn changes(divert: &Divert) -> Vec<Field> {
    let mut fields: Vec<Field> = divert
        .effects
        .iter()
        .map(|e| match e {
            Effect::Set(f, _) | Effect::SetBits { field: f, .. } | Effect::Unknown(f) => *f,
            Effect::Copy { to, .. } => *to,
            Effect::Untrack => Field::Ct,
        })
        .collect();
    if let Some(t) = &divert.translation {
        fields.push(Field::CtNat);
        let (address, port, kind) = sides(t.kind);
        if t.unknown || t.addresses.is_some() || matches!(t.kind, NatKind::Redirect | NatKind::Masquerade) {
            fields.extend([address, kind]);
        }
        if t.unknown || t.ports.is_some() {
            fields.push(port);
        }
    }
    fields
}

/// The packets of `cube` after the change, and whether that is known exactly; `None` if they do not take this way any more.
fn apply(divert: &Divert, cube: &Cube, space: &Space, way: Way, family: Family) -> Option<(Cube, bool)> {
    let mut cube = cube.clone();
    let mut certain = true;
    for effect in &divert.effects {
        let (field, set) = match effect {
            Effect::Set(field, value) => (*field, Some(Ranges::single(*value & (*field).max(family)))),
            Effect::SetBits { field, mask, value, xor } => (*field, set_bits(cube.field(*field), *mask, *value, *xor)),
            Effect::Copy { from, to } => {
                let set = cube.field(*from).cloned();
                certain &= set.as_ref().is_some_and(|s| s.as_single().is_some());
                (*to, set)
            }
            Effect::Unknown(field) => (*field, None),
            Effect::Untrack => (Field::Ct, Some(Ranges::single(ct::UNTRACKED))),
        };
        certain &= set.is_some();
        cube = cube.replaced(Dim::field(field), set, family)?;
    }
    if let Some(t) = &divert.translation {
        let (next, known) = translate(t, &cube, space, way, family)?;
        cube = next;
        certain &= known;
    }
    Some((cube, certain))
}

fn set_bits(old: Option<&Ranges>, mask: u128, value: u128, xor: bool) -> Option<Ranges> {
    let old = old?;
    if old.count() > 64 {
        return None;
    }
    let new = |n: u128| if xor { (n & !mask) ^ value } else { (n & !mask) | (value & mask) };
    Some(Ranges::from_values(old.intervals().iter().flat_map(|&(lo, hi)| lo..=hi).map(new)))
}

fn translate(t: &Translation, cube: &Cube, space: &Space, way: Way, family: Family) -> Option<(Cube, bool)> {
    let (address, port, kind) = sides(t.kind);
    let bit = if address == Field::Dst { 2 } else { 1 };
    let mut certain = !t.unknown;
    let old = cube.field(address).cloned();
    let new = match (&t.addresses, t.kind) {
        _ if t.unknown => None,
        (Some((f, _)), _) if *f != family => return None,
        (Some((_, set)), _) if t.keep_host_bits => Some(keep_host_bits(old.as_ref(), set)),
        (Some((_, set)), _) => Some(set.clone()),
        (None, NatKind::Redirect) if way == Way::Forward => return None,
        (None, NatKind::Redirect) => space.local(family).cloned(),
        (None, NatKind::Masquerade) => {
            let oif = cube.field(Field::Oif).and_then(Ranges::as_single);
            oif.and_then(|oif| space.masquerade(family, oif)).map(Ranges::single)
        }
        (None, _) => old.clone(),
    };
    if new.is_none() && space.is_matched(address) {
        certain = false;
    }
    if let (true, [(lo, hi)]) = (t.keep_host_bits && !t.unknown, t.addresses.as_ref().map_or(&[][..], |(_, set)| set.intervals())) {
        // From several prefixes into one: which address came from which is not kept.
        let of_one = |old: &Ranges| old.min().zip(old.max()).is_some_and(|(a, b)| a & !(hi - lo) == b & !(hi - lo));
        certain &= lo == hi || old.as_ref().is_some_and(of_one);
    }
    if way == Way::Input && t.kind == NatKind::Destination && space.local(family).is_none() {
        // Whether the new destination is this device's own is not known.
        certain = false;
    }
    let mut out = cube.replaced(Dim::field(address), new, family)?;
    if space.is_matched(kind) {
        // What is forwarded is not for this device, so the routing table does not call its destination its own.
        let forwarded = way == Way::Forward && t.kind == NatKind::Destination;
        certain &= forwarded || (space.local(family).is_some() && way != Way::Output);
        out = out.replaced(Dim::field(kind), forwarded.then(|| Ranges::single(addr_type::UNICAST)), family)?;
    }
    let has_ports = cube.field(port).is_none_or(|s| s.as_single() != Some(ABSENT_PORT));
    if has_ports && t.unknown {
        out = out.replaced(Dim::field(port), Some(Ranges::interval(0, ABSENT_PORT - 1)), family)?;
    } else if has_ports && let Some(ports) = &t.ports {
        out = out.replaced(Dim::field(port), Some(ports.clone()), family)?;
    }
    if space.is_matched(Field::CtNat) {
        let set = match out.field(Field::CtNat) {
            Some(s) => Ranges::from_values(s.intervals().iter().flat_map(|&(lo, hi)| lo..=hi).map(|v| v | bit)),
            None => Ranges::from_values((0..4).filter(|v| v & bit != 0)),
        };
        out = out.replaced(Dim::field(Field::CtNat), Some(set), family)?;
    }
    Some((out, certain))
}

/// Prefix-to-prefix translation: the old host bits under the new prefix.
fn keep_host_bits(old: Option<&Ranges>, new: &Ranges) -> Ranges {
    let (Some(old), [(lo, hi)]) = (old, new.intervals()) else { return new.clone() };
    let mask = hi - lo;
    let mut out = Vec::new();
    for &(a, b) in old.intervals() {
        if a & !mask != b & !mask {
            return new.clone();
        }
        out.push((lo | (a & mask), lo | (b & mask)));
    }
    Ranges::from_intervals(out)
}

/// What is asked of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Those that pass.
    Accepted,
    /// Those that do not.
    Blocked,
}

/// A question about packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// Their way.
    pub way: Way,
    /// Their family.
    pub family: Family,
    /// What the program is built for.
    pub purpose: Purpose,
    /// Which are asked for.
    pub want: Want,
}

impl Query {
    /// The plain question.
    pub fn new(way: Way, family: Family, want: Want) -> Query {
        Query { way, family, purpose: Purpose::default(), want }
    }
}

/// A line that decides so about a packet of the region.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The deciding line, as the walk shows it.
    pub line: Line,
    /// The packet as it arrives.
    pub packet: Packet,
    /// The packet as the deciding line sees it.
    pub decided_as: Packet,
    /// Its way.
    pub walked: Walked,
    /// It is so whatever the opaque conditions are, or at times (`at_rest`); else only for the valuation in `packet`.
    pub certain: bool,
    /// Certain only while no rate is exceeded.
    pub at_rest: bool,
}

/// Steps of the search for a packet that passes (or does not) whatever the opaque conditions are.
const CERTAINTY_STEPS: usize = 200_000;

/// Hits that [`hits`] looks for. Whoever reads a report wants to know that there are more, not each of them.
pub const MOST_HITS: usize = 12;

/// Some of the lines that decide as wanted.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// At most [`MOST_HITS`], the first ones. Empty only if there is no such line.
    pub found: Vec<Hit>,
    /// How many more places there are that may decide so; they were not looked at.
    pub more: usize,
}

impl Hits {
    /// The first that is certain, else the first.
    pub fn best(&self) -> Option<&Hit> {
        self.found.iter().find(|h| h.certain).or(self.found.first())
    }

    /// How many places one finding about the best stands for.
    pub fn count(&self) -> u32 {
        (self.found.len() + self.more) as u32
    }
}

/// One hit for each line that decides as wanted about some packet: `arriving` bounds the packets as they arrive, `deciding` as the
/// deciding rules see them (after destination translation). In the order of the lines.
pub fn hits(analysis: &Analysis<'_>, query: Query, arriving: &[Cube], deciding: &[Cube]) -> Result<Hits, Limit> {
    let Query { way, family, purpose, want } = query;
    let variants = Variants::explore(analysis, way, family, purpose, arriving)?;
    let mut out: Vec<Hit> = Vec::new();
    let mut more = 0;
    for v in variants.all() {
        let regions: Vec<Cube> = v.regions.iter().flat_map(|r| deciding.iter().filter_map(|d| r.and(d))).collect();
        for group in candidates(&v.program, &regions, want) {
            if out.len() >= MOST_HITS {
                more += 1;
                continue;
            }
            let start: Vec<Cube> =
                group.iter().flat_map(|e| regions.iter().filter_map(|r| r.and(&v.program.entries[*e as usize].cube))).collect();
            let Some(hit) = hit(analysis, query, v, group[0], start)? else { continue };
            match out.iter_mut().find(|h| h.line == hit.line) {
                Some(known) if !known.certain && hit.certain => *known = hit,
                Some(_) => {}
                None => out.push(hit),
            }
        }
    }
    Ok(Hits { found: out, more })
}

/// Entries that decide as wanted and overlap a region, those of one written place together.
fn candidates(program: &Program, regions: &[Cube], want: Want) -> Vec<Vec<u32>> {
    let wanted = match want {
        Want::Accepted => &program.accepting,
        Want::Blocked => &program.blocking,
    };
    // A look at all that decide so is cheap, and the index of little use where a region is wide.
    let bounds: Vec<Bounds> = regions.iter().map(|r| Bounds::of(r, program.family)).collect();
    let mut found: Vec<u32> = Vec::new();
    for &e in wanted {
        let entry = &program.bounds[e as usize];
        let meets = |(region, bounds): (&Cube, &Bounds)| entry.meet(bounds) && program.entries[e as usize].cube.overlaps(region);
        if regions.iter().zip(&bounds).any(meets) {
            found.push(e);
        }
    }
    let place = |e: u32| (program.entries[e as usize].line, program.entries[e as usize].after);
    found.chunk_by(|a, b| place(*a) == place(*b)).map(<[u32]>::to_vec).collect()
}

fn hit(analysis: &Analysis<'_>, query: Query, v: &Variant, target: u32, region: Vec<Cube>) -> Result<Option<Hit>, Limit> {
    let first = hit_given(analysis, query, v, target, &region, &[])?;
    let given = analysis.space.at_rest();
    if query.want == Want::Blocked || given.is_empty() || !v.certain || first.as_ref().is_none_or(|hit| hit.certain) {
        return Ok(first);
    }
    // A packet that passes at times passes: who waits until no rate is exceeded gets it through.
    let region: Vec<Cube> = region.iter().filter_map(|c| while_given(c, given, query.family)).collect();
    let then = hit_given(analysis, query, v, target, &region, given)?;
    let then = then.filter(|hit| hit.certain).map(|mut hit| {
        given.iter().for_each(|(id, answer)| hit.packet.set_condition(*id, *answer));
        Hit { at_rest: true, ..hit }
    });
    Ok(then.or(first))
}

/// The part of a cube in which conditions answer as given.
fn while_given(cube: &Cube, given: &[(u32, bool)], family: Family) -> Option<Cube> {
    given.iter().try_fold(cube.clone(), |c, (id, answer)| c.with(Dim::condition(*id), &Ranges::single((*answer).into()), family))
}

/// A hit with the answers of some conditions given.
fn hit_given(
    analysis: &Analysis<'_>,
    query: Query,
    v: &Variant,
    target: u32,
    region: &[Cube],
    given: &[(u32, bool)],
) -> Result<Option<Hit>, Limit> {
    let Query { way, family, purpose, want } = query;
    let Reached::Yes(found) = v.program.reach(target, region).map_err(gave_up)? else { return Ok(None) };
    let mut best = build(analysis, query, v, &found, given)?;
    if best.certain || !v.certain {
        best.certain &= v.certain;
        return Ok(Some(best));
    }
    // Some valuation decides so about this packet. Is there a packet about which every valuation does? Take away from the headers of the
    // region those about which some valuation decides otherwise.
    let pieces = v.program.effective(target, region).map_err(gave_up)?;
    let mut headers: Vec<Cube> = pieces.iter().filter_map(|p| v.arrived(p, family)).map(|c| c.without_conditions()).collect();
    let other = if want == Want::Accepted { Want::Blocked } else { Want::Accepted };
    let then: Vec<Cube> = headers.iter().filter_map(|c| while_given(c, given, family)).collect();
    for p in passing_within(analysis, Query { want: other, ..query }, &then, &[Cube::any()], Some(Budget(CERTAINTY_STEPS)))? {
        let cube = p.arriving.without_conditions();
        headers = headers.iter().flat_map(|h| h.minus(&cube, family)).collect();
        if headers.is_empty() {
            break;
        }
    }
    for header in &headers {
        let packet = plausible(header, family);
        let walked = walk_given(analysis, (way, family), &packet, given, Some(&best.decided_as), purpose.logs_decide);
        if walked.verdict != super::walk::Outcome::Unknown && walked.verdict.passes() == (want == Want::Accepted) {
            let line = walked.decided.unwrap_or(best.line);
            return Ok(Some(Hit { line, decided_as: walked.became.clone(), packet, walked, certain: true, at_rest: false }));
        }
    }
    Ok(Some(best))
}

/// Makes a hit of a packet as the deciding line sees it: undoes the changes and replays it through the independent walk.
fn build(analysis: &Analysis<'_>, query: Query, v: &Variant, decided: &Packet, given: &[(u32, bool)]) -> Result<Hit, Limit> {
    let Query { way, family, purpose, .. } = query;
    let k = v.regions.iter().position(|r| r.without_conditions().contains(decided)).unwrap_or(0);
    let mut packet = decided.clone();
    if let Some(origin) = v.origins.get(k) {
        let arrived = plausible(origin, family);
        for f in &v.changed {
            packet.set(*f, arrived.field(*f));
        }
        for kept in v.kept.get(k).into_iter().flatten() {
            packet.set(kept.field, kept.before(decided.field(kept.field)));
        }
    }
    let open = (analysis.space.condition_count() > 0)
        .then(|| walk_given(analysis, (way, family), &packet, given, Some(decided), purpose.logs_decide));
    let fixed = walk(analysis, way, family, &packet, Some(packet.conditions()), Some(decided), purpose.logs_decide);
    let expected = {
        let at = v.program.path(decided, 0).last().map(|e| v.program.entries[*e as usize].act);
        at.map(|a| a == Act::Accept)
    };
    if v.certain && expected.is_some_and(|accept| accept != fixed.verdict.passes()) {
        return Err(Limit(format!(
            "internal disagreement about a packet ({}): please report it",
            super::words::packet_words(&packet, way, family, &analysis.space)
        )));
    }
    let open = open.unwrap_or_else(|| fixed.clone());
    let certain = open.verdict != super::walk::Outcome::Unknown && open.verdict.passes() == fixed.verdict.passes();
    let line = fixed.decided.unwrap_or(Line { chain: crate::model::ChainId(u32::MAX), rule: None });
    let mut walked = if certain { open.clone() } else { fixed };
    if !certain && packet.conditions().is_empty() {
        // It depends on conditions that do not hold.
        walked.conditions = open.conditions;
    }
    Ok(Hit { line, packet, decided_as: decided.clone(), walked, certain, at_rest: false })
}

/// All packets of a region that pass, as disjoint cubes of arriving packets with what they have become when they are accepted.
pub struct Passing {
    /// The packets as they arrive.
    pub arriving: Cube,
    /// The same packets as the accepting line sees them.
    pub accepted_as: Cube,
    /// The accepting line.
    pub line: Line,
    /// The rules that changed them.
    pub via: Vec<Line>,
    /// What they were changed to is known.
    pub certain: bool,
    changed: Vec<Field>,
    kept: Vec<Kept>,
}

impl Passing {
    /// The arriving packets that can become those of `piece`, a part of what was accepted; `None` if there are none.
    pub fn before(&self, piece: &Cube, family: Family) -> Option<Cube> {
        before(&self.arriving, piece, &self.changed, &self.kept, family)
    }

    /// The fields of which rules chose the value: those that were changed, but for addresses that kept their host bits.
    pub fn chosen(&self) -> Vec<Field> {
        self.changed.iter().copied().filter(|f| !self.kept.iter().any(|k| k.field == *f)).collect()
    }
}

/// The packets of `origin` that have become those of `piece`, where rules changed some fields and kept the host bits of some of these.
fn before(origin: &Cube, piece: &Cube, changed: &[Field], kept: &[Kept], family: Family) -> Option<Cube> {
    let same = piece.dims().iter().filter(|(d, _)| d.as_field().is_none_or(|f| !changed.contains(&f)));
    let arrived = same.into_iter().try_fold(origin.clone(), |o, (d, s)| o.with(*d, s, family))?;
    kept.iter().try_fold(arrived, |o, kept| match piece.field(kept.field) {
        // The piece lies within one prefix, so that what lies between two addresses still does.
        Some(set) => {
            let before = set.intervals().iter().map(|&(lo, hi)| (kept.before(lo), kept.before(hi))).collect();
            o.with(Dim::field(kept.field), &Ranges::from_intervals(before), family)
        }
        None => Some(o),
    })
}

/// All packets that pass (`want` accepted) or do not pass, exactly. Opaque conditions stay in the cubes.
pub fn passing(analysis: &Analysis<'_>, query: Query, arriving: &[Cube], deciding: &[Cube]) -> Result<Vec<Passing>, Limit> {
    passing_within(analysis, query, arriving, deciding, None)
}

/// As [`passing`], giving up after so many steps of work.
pub fn passing_in(
    analysis: &Analysis<'_>,
    query: Query,
    arriving: &[Cube],
    deciding: &[Cube],
    steps: usize,
) -> Result<Vec<Passing>, Limit> {
    passing_within(analysis, query, arriving, deciding, Some(Budget(steps)))
}

/// As [`passing`]; with a budget, within that for all lines together.
fn passing_within(
    analysis: &Analysis<'_>,
    query: Query,
    arriving: &[Cube],
    deciding: &[Cube],
    mut budget: Option<Budget>,
) -> Result<Vec<Passing>, Limit> {
    let Query { way, family, purpose, want } = query;
    let variants = Variants::explore(analysis, way, family, purpose, arriving)?;
    let mut out = Vec::new();
    for v in variants.all() {
        for (k, region) in v.regions.iter().enumerate() {
            let regions: Vec<Cube> = deciding.iter().filter_map(|d| region.and(d)).collect();
            for group in candidates(&v.program, &regions, want) {
                for e in group {
                    let entry = &v.program.entries[e as usize];
                    let start: Vec<Cube> = regions.iter().filter_map(|r| r.and(&entry.cube)).collect();
                    let pieces = match &mut budget {
                        Some(budget) => v.program.effective_within(e, &start, budget),
                        None => v.program.effective(e, &start),
                    };
                    let pieces = pieces.map_err(gave_up)?;
                    for piece in pieces {
                        let Some(arriving) = v.before_changes(&piece, k, family) else { continue };
                        out.push(Passing {
                            arriving,
                            accepted_as: piece,
                            line: v.program.lines[entry.line as usize],
                            via: v.via.clone(),
                            certain: v.certain,
                            changed: v.changed.clone(),
                            kept: v.kept.get(k).cloned().unwrap_or_default(),
                        });
                    }
                }
            }
        }
    }
    Ok(out)
}
