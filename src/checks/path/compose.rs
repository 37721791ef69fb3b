//! Packet sets through one device after another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flowing::{Back, Flow, Passed};
use super::kept;
use super::start::Start;
use super::topology::{Next, Onward, Topology, Whither};
use crate::checks::place::{cross, interfaces, opening};
use crate::checks::{World, Zone, flow};
use crate::eval::flow::{Passing, Query, Want, passing_in};
use crate::eval::{Analysis, Limit, Line, Purpose, Way};
use crate::model::{Action, Device, Effect, NatKind};
use crate::net::{Family, Ranges};
use crate::packets::{Cube, Dim, Field};
use crate::source::Span;

/// Devices on one path.
const HOPS: usize = 8;
/// Arrivals at a device that are looked at for one question.
const VISITS: usize = 200;
/// Sets of packets that are followed at one device.
const FLOWS: usize = 2000;
/// Steps of work for the packets of one set at one device.
const STEPS: usize = 400_000;
/// Combinations of lines that are kept apart; a bound for what is shown.
pub const LINES: usize = 2000;

/// A device on a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Step {
    /// Its number in [`World::devices`].
    pub device: usize,
    /// How packets meet it.
    pub way: Way,
    /// The interface on which they arrive, if known.
    pub iif: Option<String>,
    /// The interface through which they leave, if known.
    pub oif: Option<String>,
}

/// Where a path ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// On the network behind the last device: whether the computer there has a firewall of its own was not read.
    Network,
    /// At the last device itself.
    Device,
}

/// Packets that get from the start to the end.
#[derive(Clone, Debug)]
pub struct Found {
    /// The devices.
    pub steps: Vec<Step>,
    /// What each did.
    pub passed: Vec<Passed>,
    /// Where it ends.
    pub end: End,
    /// It is so whatever the opaque conditions are.
    pub certain: bool,
    /// What was assumed of the topology.
    pub doubts: Vec<String>,
}

/// Why packets get no further.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stop {
    /// A line of the last device.
    Line(Line),
    /// A route or tunnel of the last device, and why.
    Elsewhere(Span, String),
}

/// Packets that are stopped on their way.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The devices, that which stops them last.
    pub steps: Vec<Step>,
    /// What stops them.
    pub stop: Stop,
    /// The packets as they leave the start.
    pub packets: Cube,
    /// The packets as they arrive at the last device.
    pub arriving: Cube,
    /// It is so whatever the opaque conditions are.
    pub certain: bool,
    /// What was assumed of the topology.
    pub doubts: Vec<String>,
}

/// Packets of which it is not known what becomes of them.
#[derive(Clone, Debug)]
pub struct Unclear {
    /// The devices that they pass before.
    pub steps: Vec<Step>,
    /// What is missing.
    pub why: String,
    /// The packets as they leave the start; `None` where not even that is told.
    pub packets: Option<Cube>,
}

/// Everything that is known of the ways from one place to another.
#[derive(Default)]
pub struct Paths {
    /// Packets that get there.
    pub found: Vec<Found>,
    /// Packets that are stopped.
    pub stopped: Vec<Stopped>,
    /// Packets of which it is not known.
    pub unclear: Vec<Unclear>,
    /// Bounds that were hit.
    pub limits: Vec<String>,
}

struct Search<'q, 'w, 'a> {
    world: &'q World<'a>,
    topology: &'q Topology<'w>,
    family: Family,
    target: &'q Zone,
    /// Packets of the service; at the end, after all translation.
    service: &'q [Cube],
    /// Devices that may translate destinations.
    translates: Vec<bool>,
    visits: usize,
    out: Paths,
}

/// Arrival at a device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    device: usize,
    iif: String,
}

/// The trail of devices with what was assumed.
type Trail = (Vec<Step>, Vec<String>);

/// All ways of a family from one of the starts to a zone, for packets of a service (all, if empty) that open a connection.
///
/// What leaves to the internet is followed no further, unless the internet is where it should get.
pub fn paths(world: &World<'_>, starts: &[Start], target: &Zone, service: &[Cube], family: Family) -> Paths {
    let topology = Topology::new(world);
    let any = [Cube::any()];
    let service = if service.is_empty() { &any[..] } else { service };
    let mut search = Search {
        world,
        topology: &topology,
        family,
        target,
        service,
        translates: world.devices.iter().map(|d| !topology.is_worker(&d.name) && translates(d)).collect(),
        visits: 0,
        out: Paths::default(),
    };
    for start in starts {
        search.start(start);
    }
    let mut out = search.out;
    out.limits.sort();
    out.limits.dedup();
    out
}

/// Whether packets would leave the first device where they came from: between two places on one side of it, it does not stand.
fn turns_back(steps: &[Step]) -> bool {
    matches!(steps, [only] if only.iif.is_some() && only.iif == only.oif)
}

/// Whether a device may give packets another destination.
fn translates(device: &Device) -> bool {
    let changes = |a: &Action| matches!(a, Action::Nat(t) if matches!(t.kind, NatKind::Destination | NatKind::Redirect));
    device.chains.iter().flat_map(|c| &c.rules).any(|r| r.enabled && changes(&r.action))
}

impl<'w> Search<'_, 'w, '_> {
    fn start(&mut self, start: &Start) {
        match start {
            Start::Unknown { why, family } if family.is_none_or(|f| f == self.family) => {
                self.out.unclear.push(Unclear { steps: Vec::new(), why: why.clone(), packets: None });
            }
            Start::Unknown { .. } => {}
            Start::Arriving { device, iif, sources, family, doubt } if *family == self.family => {
                let Some(now) = Cube::of(Dim::field(Field::Src), sources.clone(), self.family) else { return };
                let flows = vec![Flow { now: self.opening(now), crossed: true, back: None, certain: true }];
                let mut trail = (Vec::new(), doubt.iter().cloned().collect());
                self.arrive(&At { device: *device, iif: iif.clone() }, flows, &mut trail);
            }
            Start::Leaving { device, oif, sources, to, family, doubt } if *family == self.family => {
                let wanted = self.wanted(*device, &[]).and(to);
                let now = Cube::of(Dim::field(Field::Src), sources.clone(), self.family);
                let (Some(now), false) = (now, wanted.is_empty()) else { return };
                let flows = vec![Flow { now: self.opening(now), crossed: true, back: None, certain: true }];
                let mut trail = (Vec::new(), doubt.iter().cloned().collect());
                let step = Step { device: *device, way: Way::Output, iif: None, oif: oif.clone() };
                self.through(step, (&wanted, None), &flows, &mut trail);
            }
            Start::Arriving { .. } | Start::Leaving { .. } => {}
        }
    }

    fn opening(&self, cube: Cube) -> Cube {
        let opening = kept(&opening(self.family), self.family);
        let cube = cube.and(&opening).unwrap_or(cube);
        cube.with(Dim::field(Field::Fragment), &Ranges::interval(0, 1), self.family).unwrap_or(cube)
    }

    fn zone(&self) -> &Ranges {
        self.target.addresses(self.family)
    }

    /// The destinations with which packets may leave a device and still get to the target: itself, or any if a device further on may translate.
    fn wanted(&self, at: usize, trail: &[Step]) -> Ranges {
        let later = |i: &usize| *i != at && !trail.iter().any(|s| s.device == *i);
        if self.translates.iter().enumerate().any(|(i, t)| *t && later(&i)) {
            return Ranges::interval(0, self.family.max_address());
        }
        self.zone().clone()
    }

    fn unclear(&mut self, trail: &Trail, why: impl Into<String>, flows: &[Flow]) {
        let why = why.into();
        if turns_back(&trail.0) {
            return;
        }
        for flow in flows {
            let zone = flow.now.with(Dim::field(Field::Dst), self.zone(), self.family);
            let ends: Vec<Cube> = zone.iter().flat_map(|z| self.service.iter().filter_map(|s| z.and(s))).collect();
            for end in ends {
                if let Some((packets, _)) = flow.origin(&end, self.family) {
                    self.out.unclear.push(Unclear { steps: trail.0.clone(), why: why.clone(), packets: Some(packets) });
                }
            }
        }
    }

    /// Packets arrive at a device.
    fn arrive(&mut self, at: &At, flows: Vec<Flow>, trail: &mut Trail) {
        let Some(device) = self.topology.device(at.device) else { return };
        if flows.is_empty() {
            return;
        }
        if trail.0.iter().any(|s| s.device == at.device) {
            // Round and round, unless rules send it another way the second time.
            return self.unclear(trail, format!("it comes back to {}", device.name), &flows);
        }
        self.visits += 1;
        if trail.0.len() >= HOPS || self.visits > VISITS {
            let text = if self.visits > VISITS {
                format!("more than {VISITS} arrivals at devices")
            } else {
                format!("a path of more than {HOPS} devices")
            };
            self.out.limits.push(format!("{text}: what lies beyond {} was not looked at", device.name));
            return;
        }
        if device.switched_off(self.family) {
            return self.unclear(trail, format!("{} does not speak {}", device.name, self.family.name()), &flows);
        }
        if at.iif.is_empty() {
            return self.unclear(trail, format!("on which interface it arrives at {} is not known", device.name), &flows);
        }
        let Some(analysis) = self.world.analysis(&device.name) else { return };
        let behind = self.behind(device);
        let local = match (analysis.space.local(self.family), &behind) {
            (Some(local), _) => local.clone(),
            // The baseline says where the target is: not at the device itself.
            (None, Some(_)) => {
                trail.1.push(format!("the addresses of {} were not read: none of the destinations is taken for its own", device.name));
                Ranges::EMPTY
            }
            (None, None) => return self.unclear(trail, format!("the addresses of {} were not read (ip addr)", device.name), &flows),
        };
        let iif = Some(at.iif.clone());
        // To itself.
        let own = self.zone().and(&local);
        if !own.is_empty() {
            let step = Step { device: at.device, way: Way::Input, iif: iif.clone(), oif: None };
            self.through(step, (&own, None), &flows, trail);
        }
        let wanted = self.wanted(at.device, &trail.0).minus(&local);
        if wanted.is_empty() {
            return;
        }
        if !flow::forwards(self.world, device) {
            let beyond = self.narrowed(&flows, &self.zone().minus(&local));
            let switch = if self.family == Family::V4 { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" };
            let off = device.settings.iter().rev().find(|s| s.name == switch && s.value.trim() == "0");
            match off {
                Some(s) => {
                    let step = Step { device: at.device, way: Way::Forward, iif, oif: None };
                    self.stop(&step, &Stop::Elsewhere(s.span, format!("{} forwards nothing", device.name)), &beyond, trail);
                }
                None => self.unclear(trail, format!("that {} forwards packets is in nothing that was read", device.name), &beyond),
            }
            return;
        }
        let ways = match self.topology.routes(at.device, self.family, &wanted) {
            Ok(ways) => ways,
            Err(Limit(why)) => return self.out.limits.push(format!("{}: {why}", device.name)),
        };
        for (to, nexts) in ways {
            let several = nexts.len() > 1;
            for next in nexts {
                let mut noted = (trail.0.clone(), trail.1.clone());
                if several {
                    noted.1.push(format!("{} has several ways there, and each is taken for some packets", device.name));
                }
                let step = |oif: Option<String>| Step { device: at.device, way: Way::Forward, iif: iif.clone(), oif };
                match next {
                    Next::Out(oif, via) => self.through(step(Some(oif)), (&to, via), &flows, &mut noted),
                    Next::Dropped(span, why) => {
                        let gone = self.narrowed(&flows, &to.and(self.zone()));
                        self.stop(&step(None), &Stop::Elsewhere(span, why), &gone, &noted);
                    }
                    Next::Unknown(_) if behind.is_some() && to.overlaps(self.zone()) => {
                        noted.1.push(format!(
                            "no route of {} leads to {}: that it lies where the baseline says is taken for one",
                            device.name, self.target.name
                        ));
                        self.through(step(behind.clone()), (&to.and(self.zone()), None), &flows, &mut noted);
                    }
                    Next::Unknown(why) => {
                        let gone = self.narrowed(&flows, &to.and(self.zone()));
                        noted.0.push(step(None));
                        self.unclear(&noted, why, &gone);
                    }
                }
            }
        }
    }

    /// The interface behind which the baseline says that the target lies, and behind that of no other device.
    fn behind(&self, device: &Device) -> Option<String> {
        let alone = self.target.on.len() == 1;
        match self.target.on.get(&device.name)?.as_slice() {
            [one] if alone && !one.wildcard => device.interfaces_called(one).first().map(|p| p.name.clone()),
            _ => None,
        }
    }

    fn narrowed(&self, flows: &[Flow], to: &Ranges) -> Vec<Flow> {
        let one = |f: &Flow| Some(Flow { now: f.now.with(Dim::field(Field::Dst), to, self.family)?, ..f.clone() });
        flows.iter().filter_map(one).collect()
    }

    /// Packets meet the rules of a device, on a way to some destinations (as they are after its translation).
    fn through(&mut self, step: Step, (to, via): (&Ranges, Option<std::net::IpAddr>), flows: &[Flow], trail: &mut Trail) {
        let family = self.family;
        let Some(device) = self.topology.device(step.device) else { return };
        let Some(analysis) = self.world.analysis(&device.name) else { return };
        let unfiltered = !device.has_filter() && !device.exhaustive;
        if unfiltered && step.way == Way::Output {
            // The rest of the way is worth telling.
            trail.1.push(format!("that {} lets it out: no packet filter of it was read", device.name));
        } else if unfiltered {
            trail.0.push(step);
            self.unclear(trail, format!("no packet filter of {} was read", device.name), flows);
            trail.0.pop();
            return;
        }
        if let Some(missing) = analysis.missing(step.way, family).filter(|_| !unfiltered) {
            trail.0.push(step);
            self.unclear(trail, format!("{}: {}: {}", device.name, missing.what, missing.export), flows);
            trail.0.pop();
            return;
        }
        let interface = |name: &Option<String>, field: Field| match name {
            Some(name) => Cube::of(Dim::field(field), Ranges::single(analysis.space.interface_number(name)), family),
            None => Some(Cube::any()),
        };
        let (Some(arrives), Some(leaves)) = (interface(&step.iif, Field::Iif), interface(&step.oif, Field::Oif)) else { return };
        let Some(arrives) = arrives.and(&leaves) else { return };
        let last = to.is_subset(self.zone());
        let Some(to_all) = Cube::of(Dim::field(Field::Dst), to.clone(), family) else { return };
        let goal: Vec<Cube> = Cube::of(Dim::field(Field::Dst), self.zone().clone(), family)
            .iter()
            .flat_map(|z| self.service.iter().filter_map(|s| z.and(s)))
            .collect();
        let deciding = if last { cross(std::slice::from_ref(&to_all), self.service) } else { vec![to_all.clone()] };
        let stopping = cross(&[to_all], &goal);
        let mut next: Vec<Flow> = Vec::new();
        for flow in flows {
            let Some(now) = flow.now.and(&arrives) else { continue };
            let arriving = cross(&[now], &[opening(family)]);
            match self.accepted(analysis, &step, &arriving, &deciding) {
                Ok(list) => {
                    for (line, p) in list {
                        let certain = flow.certain && p.certain && at_rest(analysis, &p.arriving) && at_rest(analysis, &p.accepted_as);
                        let now = kept(&p.accepted_as, family);
                        let now = match p.accepted_as.field(Field::Ttl).or(p.arriving.field(Field::Ttl)) {
                            Some(set) => now.with(Dim::field(Field::Ttl), set, family).unwrap_or(now),
                            None => now,
                        };
                        let back = Back { passing: p, line, hopped: step.way == Way::Forward, before: flow.back.clone() };
                        next.push(Flow { now, crossed: false, back: Some(Arc::new(back)), certain });
                    }
                }
                Err(Limit(why)) => {
                    self.out.limits.push(format!("{}: {why}", device.name));
                    return;
                }
            }
            let blocked = passing_in(analysis, query(step.way, family, Want::Blocked), &arriving, &stopping, STEPS);
            match blocked {
                Ok(list) => {
                    for p in list {
                        let certain = flow.certain && p.certain && !p.arriving.has_conditions() && !p.accepted_as.has_conditions();
                        let stop = Stop::Line(p.line);
                        let blocked = Flow { now: p.arriving.without_conditions(), crossed: true, back: flow.back.clone(), certain };
                        self.stop(&step, &stop, &[blocked], trail);
                    }
                }
                Err(Limit(why)) => self.out.limits.push(format!("{}: {why}", device.name)),
            }
        }
        if next.len() > FLOWS {
            self.out.limits.push(format!("more than {FLOWS} sets of packets leave {}: what lies beyond it was not looked at", device.name));
            return;
        }
        if next.is_empty() {
            return;
        }
        trail.0.push(step.clone());
        self.onwards(&step, via, to, next, trail);
        trail.0.pop();
    }

    /// The packets that pass, by the line that lets them through the filter, with what they have become at the end of their way.
    fn accepted(&self, analysis: &Analysis<'_>, step: &Step, arriving: &[Cube], deciding: &[Cube]) -> Result<Vec<(Line, Passing)>, Limit> {
        let plain = Query::new(step.way, self.family, Want::Accepted);
        let rules = || analysis.device.chains.iter().flat_map(|c| &c.rules).filter(|r| r.enabled);
        if !rules().any(|r| !r.effects.is_empty() || matches!(r.action, Action::Nat(_))) {
            let found = passing_in(analysis, plain, arriving, deciding, STEPS)?;
            return Ok(found.into_iter().map(|p| (p.line, p)).collect());
        }
        // First by the lines of the filter: where they are going to, only those that are not translated show before the end.
        let first: Vec<Cube> = if translates(analysis.device) { vec![Cube::any()] } else { deciding.to_vec() };
        let mut by_line: BTreeMap<Line, Vec<Cube>> = BTreeMap::new();
        for p in passing_in(analysis, plain, arriving, &first, STEPS)? {
            by_line.entry(p.line).or_default().push(p.arriving);
        }
        let mut out = Vec::new();
        for (line, cubes) in by_line {
            if out.len() > FLOWS {
                break;
            }
            for cube in cubes {
                let found = passing_in(analysis, query(step.way, self.family, Want::Accepted), &[cube], deciding, STEPS)?;
                out.extend(found.into_iter().map(|p| (line, p)));
            }
        }
        Ok(out)
    }

    /// Packets have passed a device.
    fn onwards(&mut self, step: &Step, via: Option<std::net::IpAddr>, to: &Ranges, flows: Vec<Flow>, trail: &mut Trail) {
        let family = self.family;
        if step.way == Way::Input {
            return self.arrived(&flows, trail, &End::Device);
        }
        let Some(device) = self.topology.device(step.device) else { return };
        if self.target.internet
            && let (Some(list), Some(oif)) = (interfaces(device, self.target, family), &step.oif)
            && list.iter().any(|p| p.matches(oif))
        {
            return self.arrived(&flows, trail, &End::Network);
        }
        let onwards = self.topology.leave(step.device, step.oif.as_deref().unwrap_or(""), via, family, to);
        let mut rest = flows;
        for group in onwards.chunk_by(|a, b| a.filter == b.filter) {
            let Some(Onward { filter, .. }) = group.first() else { continue };
            let split = |f: &Flow| Some(Flow { now: f.now.and(filter)?, ..f.clone() });
            let mine: Vec<Flow> = rest.iter().filter_map(split).collect();
            let less = |f: &Flow| f.now.minus(filter, family).into_iter().map(|now| Flow { now, ..f.clone() }).collect::<Vec<_>>();
            rest = rest.iter().flat_map(less).collect();
            if mine.is_empty() {
                continue;
            }
            for onward in group {
                let mut noted = (trail.0.clone(), trail.1.clone());
                noted.1.extend(onward.doubt.clone());
                match &onward.to {
                    Whither::Device(other, iif) => {
                        let there = self.topology.device(*other).and_then(|d| self.world.analysis(&d.name));
                        if let Some(field) = there.and_then(|t| changed_unseen(device, t)) {
                            let why = format!(
                                "{} changes the {} of packets, and {} asks for it",
                                device.name,
                                field.name(),
                                self.topology.name(*other)
                            );
                            self.unclear(&noted, why, &mine);
                            continue;
                        }
                        let matched = there.is_some_and(|a| a.space.is_matched(Field::Ttl));
                        let hopped = step.way == Way::Forward;
                        let there: Vec<Flow> = mine.iter().filter_map(|f| f.crossing(hopped, matched, family)).collect();
                        self.arrive(&At { device: *other, iif: iif.clone() }, there, &mut noted);
                    }
                    Whither::Delivered => self.arrived(&mine, &noted, &End::Network),
                    Whither::Dropped(span, why) => {
                        let gone = self.narrowed(&mine, self.zone());
                        let before = (noted.0[..noted.0.len().saturating_sub(1)].to_vec(), noted.1.clone());
                        let gone: Vec<Flow> = gone.into_iter().filter_map(|f| f.at_the_last(self.family)).collect();
                        self.stop(step, &Stop::Elsewhere(*span, why.clone()), &gone, &before);
                    }
                    Whither::Unknown(why) => self.unclear(&noted, why.clone(), &mine),
                }
            }
        }
        if !rest.is_empty() {
            self.unclear(trail, format!("where {} sends it is not known", device.name), &rest);
        }
    }

    fn arrived(&mut self, flows: &[Flow], trail: &Trail, end: &End) {
        for flow in flows {
            let zone = if self.target.internet && *end == End::Network {
                Some(flow.now.clone())
            } else {
                flow.now.with(Dim::field(Field::Dst), self.zone(), self.family)
            };
            let ends: Vec<Cube> = zone.iter().flat_map(|z| self.service.iter().filter_map(|s| z.and(s))).collect();
            for piece in ends {
                let Some((_, passed)) = flow.origin(&piece, self.family) else { continue };
                if self.out.found.len() >= LINES {
                    self.out.limits.push(format!("more than {LINES} sets of packets get there: the rest is not listed"));
                    return;
                }
                let narrowed = passed.iter().any(|(_, narrowed)| *narrowed);
                self.out.found.push(Found {
                    steps: trail.0.clone(),
                    passed: passed.into_iter().map(|(p, _)| p).collect(),
                    end: end.clone(),
                    certain: flow.certain && !narrowed,
                    doubts: trail.1.clone(),
                });
            }
        }
    }

    /// Packets are stopped at a device: they are told as they arrive there.
    fn stop(&mut self, step: &Step, stop: &Stop, flows: &[Flow], trail: &Trail) {
        for flow in flows {
            let Some((packets, passed)) = flow.origin(&flow.now, self.family) else { continue };
            if self.out.stopped.len() >= LINES {
                self.out.limits.push(format!("more than {LINES} sets of packets are stopped: the rest is not listed"));
                return;
            }
            let mut steps = trail.0.clone();
            steps.push(step.clone());
            if turns_back(&steps) {
                continue;
            }
            let narrowed = passed.iter().any(|(_, narrowed)| *narrowed);
            self.out.stopped.push(Stopped {
                steps,
                stop: stop.clone(),
                packets,
                arriving: flow.now.clone(),
                certain: flow.certain && !narrowed,
                doubts: trail.1.clone(),
            });
        }
    }
}

/// A question about packets that go on: chains that block nothing count too, because they translate.
fn query(way: Way, family: Family, want: Want) -> Query {
    Query { purpose: Purpose { all_chains: true, ..Purpose::default() }, ..Query::new(way, family, want) }
}

/// A field that rules of the one device change unseen, because none of its own asks for it, and that rules of the next one ask for.
fn changed_unseen(from: &Device, to: &Analysis<'_>) -> Option<Field> {
    let sets = |field: Field| {
        let effects = from.chains.iter().flat_map(|c| &c.rules).filter(|r| r.enabled).flat_map(|r| &r.effects);
        effects.into_iter().any(|e| match e {
            Effect::Set(f, _) | Effect::SetBits { field: f, .. } | Effect::Unknown(f) | Effect::Copy { to: f, .. } => *f == field,
            Effect::Untrack => false,
        })
    };
    [Field::Dscp, Field::Ttl, Field::Length].into_iter().find(|f| to.space.is_matched(*f) && sets(*f))
}

/// Whether a set of packets passes at times whatever the conditions are: it asks for none, or for no more than that no rate is exceeded.
fn at_rest(analysis: &Analysis<'_>, cube: &Cube) -> bool {
    let rest: BTreeMap<u32, bool> = analysis.space.at_rest().iter().copied().collect();
    let conditions = cube.dims().iter().filter_map(|(d, set)| Some((d.as_condition()?, set)));
    conditions.into_iter().all(|(id, set)| rest.get(&id).is_some_and(|answer| set.contains(u128::from(*answer))))
}
