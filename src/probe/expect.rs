//! What a configuration says of the ports of a target, seen from a zone: which are open for certain, which perhaps, and the few that are worth
//! asking to find out whether it is so.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Protocol;
use super::ports::Ports;
use super::top::top;
use crate::checks::{World, Zone, cross, forwards, from_zone, to_zone};
use crate::eval::flow::{Passing, Query, Want, passing_in};
use crate::eval::plain::opening;
use crate::eval::{Analysis, Line, Way};
use crate::model::{Device, is_loopback};
use crate::net::{Family, Ranges, prefix_bounds, to_number};
use crate::packets::fields::ct;
use crate::packets::{Cube, Dim, Field};

/// Steps of work for one question about a device.
const STEPS: usize = 2_000_000;
/// Ports of one protocol and target in a plan, at most: a policy with more edges is asked at some of them.
const MOST: usize = 300;
/// Well-known TCP and UDP ports that are asked besides.
const KNOWN: (usize, usize) = (60, 12);

/// What the devices before a target say of its ports.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The target.
    pub address: IpAddr,
    /// Who stands before it: name, and the way of the packets through it.
    pub devices: Vec<(String, Way)>,
    /// TCP ports.
    pub tcp: Sides,
    /// UDP ports.
    pub udp: Sides,
    /// Why nothing, or not everything, is known; a sentence each.
    pub unknown: Vec<String>,
    /// The source address that was reckoned with; `None`: any of the zone.
    pub source: Option<IpAddr>,
    /// Which line decides about which ports.
    decisions: Vec<Decision>,
}

/// A line that decides about ports.
#[derive(Clone, Debug)]
struct Decision {
    protocol: Protocol,
    blocks: bool,
    device: String,
    line: Line,
    ports: Ranges,
    /// How many sources it decides about: of two lines the one that decides about more is named.
    weight: u128,
}

/// Ports by what is said of them. What is in neither is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sides {
    /// Every packet that opens a connection passes.
    pub open: Ranges,
    /// It depends on something: the source, a rate, a condition that is not known.
    pub perhaps: Ranges,
}

/// What is said of a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// It is closed.
    Closed,
    /// It depends.
    Perhaps,
    /// It is open.
    Open,
}

impl Sides {
    /// Everything is closed.
    const CLOSED: Sides = Sides { open: Ranges::EMPTY, perhaps: Ranges::EMPTY };

    /// What is said of a port.
    pub fn of(&self, port: u16) -> Side {
        match (self.open.contains(port.into()), self.perhaps.contains(port.into())) {
            (true, _) => Side::Open,
            (_, true) => Side::Perhaps,
            _ => Side::Closed,
        }
    }

    /// Nothing is known.
    fn unknown() -> Sides {
        Sides { open: Ranges::EMPTY, perhaps: Ranges::interval(0, u16::MAX.into()) }
    }

    /// Where it is not known which of the two is so: what both say is.
    fn either(&self, other: &Sides) -> Sides {
        let open = self.open.and(&other.open);
        let all = self.open.or(&self.perhaps).or(&other.open).or(&other.perhaps);
        Sides { perhaps: all.minus(&open), open }
    }

    /// Of two filters one behind the other: what both let through.
    fn and(&self, other: &Sides) -> Sides {
        let open = self.open.and(&other.open);
        let not_closed = self.open.or(&self.perhaps).and(&other.open.or(&other.perhaps));
        Sides { perhaps: not_closed.minus(&open), open }
    }

    /// Of two ways through one device: what either lets through. `self` is for certain the way of what is in it.
    fn or(&self, other: &Sides) -> Sides {
        let open = self.open.or(&other.open);
        Sides { perhaps: self.perhaps.or(&other.perhaps).minus(&open), open }
    }

    /// Ports at both sides of every edge, and in the middle of what is open: `most` at most.
    fn edges(&self, most: usize) -> BTreeSet<u16> {
        let mut out = BTreeSet::new();
        let all = self.open.intervals().iter().chain(self.perhaps.intervals());
        for &(lo, hi) in all {
            for port in [lo.checked_sub(1), Some(lo), Some(lo.midpoint(hi)), Some(hi), Some(hi + 1)].into_iter().flatten() {
                out.extend(u16::try_from(port).ok().filter(|p| *p > 0));
            }
        }
        let step = out.len().div_ceil(most.max(1)).max(1);
        out.into_iter().step_by(step).collect()
    }
}

impl Expected {
    /// Asks a device about both protocols, and keeps which lines decide.
    fn ask(&mut self, world: &World<'_>, analysis: &Analysis<'_>, zone: &Zone, way: Way, questions: &[Question; 2]) -> [Sides; 2] {
        let device = analysis.device;
        if way == Way::Forward && !forwards(world, device) {
            return [Sides::CLOSED, Sides::CLOSED];
        }
        if let Some(missing) = analysis.missing(way, questions[0].family) {
            self.unknown.push(format!("{}: {}: {}", device.name, missing.what, missing.export));
            return [Sides::unknown(), Sides::unknown()];
        }
        if !self.devices.contains(&(device.name.clone(), way)) {
            self.devices.push((device.name.clone(), way));
        }
        [0, 1].map(|i| match ask(analysis, zone, way, &questions[i]) {
            Ok((answer, decisions)) => {
                self.decisions.extend(decisions);
                answer
            }
            Err(why) => {
                self.unknown.push(format!("{}: {why}", device.name));
                Sides::unknown()
            }
        })
    }

    /// What is said of the ports of a protocol.
    pub fn sides(&self, protocol: Protocol) -> &Sides {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        }
    }

    /// The device and its line that decide about a port: one that blocks, or one that lets through.
    pub fn deciding(&self, protocol: Protocol, port: u16, blocks: bool) -> Option<(&str, Line)> {
        let all = self.decisions.iter().filter(|d| d.protocol == protocol && d.blocks == blocks && d.ports.contains(port.into()));
        all.max_by(|a, b| a.weight.cmp(&b.weight).then_with(|| b.line.cmp(&a.line))).map(|d| (d.device.as_str(), d.line))
    }

    /// The ports to ask: where open ends and closed begins, and those where people would look for a service.
    pub fn ports(&self) -> Ports {
        let of = |protocol, known: usize| {
            let mut set = self.sides(protocol).edges(MOST);
            set.extend(top(protocol, known));
            set.into_iter().collect()
        };
        Ports { tcp: of(Protocol::Tcp, KNOWN.0), udp: of(Protocol::Udp, KNOWN.1) }
    }
}

/// Asks every device before a target what it does with packets from a zone. `source`: the address that they come from, if it is known.
pub fn expected(world: &World<'_>, zone: &Zone, address: IpAddr, source: Option<IpAddr>) -> Expected {
    let (family, number) = to_number(address);
    let mut out = Expected {
        address,
        devices: Vec::new(),
        tcp: Sides::CLOSED,
        udp: Sides::CLOSED,
        unknown: Vec::new(),
        source,
        decisions: Vec::new(),
    };
    let open = Sides { open: Ranges::interval(0, u16::MAX.into()), perhaps: Ranges::EMPTY };
    let mut sides = [open.clone(), open];
    for (device, owns) in before(world, zone, family, number) {
        let Some(analysis) = world.analysis(&device.name) else { continue };
        if device.switched_off(family) {
            continue;
        }
        let mut ask = |way: Way, own: bool| {
            let question = |protocol| Question { family, target: number, own, source, protocol };
            out.ask(world, analysis, zone, way, &[question(Protocol::Tcp), question(Protocol::Udp)])
        };
        let as_own = |ask: &mut dyn FnMut(Way, bool) -> [Sides; 2]| {
            let (input, forward) = (ask(Way::Input, true), ask(Way::Forward, true));
            [input[0].or(&forward[0]), input[1].or(&forward[1])]
        };
        let here = match owns {
            Owns::Yes => as_own(&mut ask),
            Owns::No => ask(Way::Forward, false),
            Owns::Unknown => {
                let (own, other) = (as_own(&mut ask), ask(Way::Forward, false));
                [own[0].either(&other[0]), own[1].either(&other[1])]
            }
        };
        if owns == Owns::Unknown {
            let text = "its addresses were not read, so that it is not known whether it is the target itself: export ip addr too";
            out.unknown.push(format!("{}: {text}", device.name));
        }
        sides = [sides[0].and(&here[0]), sides[1].and(&here[1])];
    }
    if out.devices.is_empty() {
        if out.unknown.is_empty() {
            out.unknown.push(format!("none of the devices that were read stands between {} and {address}", zone.name));
        }
        sides = [Sides::unknown(), Sides::unknown()];
    }
    [out.tcp, out.udp] = sides;
    out
}

/// A question about a device.
struct Question {
    family: Family,
    target: u128,
    /// The target is an address of the device.
    own: bool,
    source: Option<IpAddr>,
    protocol: Protocol,
}

fn ask(analysis: &Analysis<'_>, zone: &Zone, way: Way, question: &Question) -> Result<(Sides, Vec<Decision>), String> {
    let whole = Ranges::interval(0, u16::MAX.into());
    let ports_of = |p: &Passing| p.arriving.field(Field::Dport).map_or_else(|| whole.clone(), |d| d.and(&whole));
    let ports = |list: &[Passing], only: &dyn Fn(&Passing) -> bool| {
        Ranges::from_intervals(list.iter().filter(|p| only(p)).flat_map(|p| ports_of(p).intervals().to_vec()).collect())
    };
    let accepted = relevant(analysis, zone, way, question, Want::Accepted)?;
    let blocked = relevant(analysis, zone, way, question, Want::Blocked)?;
    let passes = ports(&accepted, &|_| true);
    let doubtful = ports(&accepted, &|p| !p.certain).or(&ports(&blocked, &|_| true));
    let open = passes.minus(&doubtful);
    let all = accepted.iter().map(|p| (p, false)).chain(blocked.iter().map(|p| (p, true)));
    let decisions = all.map(|(p, blocks)| Decision {
        protocol: question.protocol,
        blocks,
        device: analysis.device.name.clone(),
        line: p.line,
        ports: ports_of(p),
        weight: p.arriving.field(Field::Src).map_or(u128::MAX, Ranges::count),
    });
    Ok((Sides { perhaps: passes.minus(&open), open }, decisions.collect()))
}

/// The packets of a question that pass, or do not; of a device's own address those that stay with it (`input`), or that it translates and sends on.
fn relevant(analysis: &Analysis<'_>, zone: &Zone, way: Way, q: &Question, want: Want) -> Result<Vec<Passing>, String> {
    let family = q.family;
    let with = |c: Cube, field: Field, set: Ranges| c.with(Dim::field(field), &set, family);
    let protocol = u128::from(q.protocol.number());
    let narrow = |c: Cube| -> Option<Cube> {
        let mut c = with(c, Field::Dst, Ranges::single(q.target))?;
        c = with(c, Field::Proto, Ranges::single(protocol))?;
        c = with(c, Field::Sport, Ranges::interval(32_768, 65_535))?;
        c = with(c, Field::Fragment, Ranges::single(0))?;
        c = with(c, Field::Ct, Ranges::single(ct::NEW))?;
        if let Some(source) = q.source {
            c = with(c, Field::Src, Ranges::single(to_number(source).1))?;
        }
        // While no rate is exceeded: we ask slowly.
        analysis
            .space
            .at_rest()
            .iter()
            .try_fold(c, |c, (id, answer)| c.with(Dim::condition(*id), &Ranges::single((*answer).into()), family))
    };
    let arriving: Vec<Cube> = cross(&from_zone(analysis, zone, family), &[opening(family)]).into_iter().filter_map(narrow).collect();
    if arriving.is_empty() {
        return Ok(Vec::new());
    }
    // Routes say through which interface it leaves; what is translated goes where the translation says.
    let deciding = if way == Way::Forward && !q.own { to_zone(analysis, &place(q, zone), way, family) } else { vec![Cube::any()] };
    let found = passing_in(analysis, Query::new(way, family, want), &arriving, &deciding, STEPS).map_err(|limit| limit.to_string())?;
    let own = own_addresses(analysis, family).or(&if q.own { Ranges::single(q.target) } else { Ranges::EMPTY });
    let stays = |p: &Passing| p.accepted_as.field(Field::Dst).is_none_or(|d| d.overlaps(&own));
    Ok(found.into_iter().filter(|p| if way == Way::Input { stays(p) } else { !q.own || !stays(p) }).collect())
}

/// The target as a place.
fn place(q: &Question, zone: &Zone) -> Zone {
    let set = |family: Family| if q.family == family { Ranges::single(q.target) } else { Ranges::EMPTY };
    let name = String::from("target");
    Zone { name, v4: set(Family::V4), v6: set(Family::V6), internet: false, on: Default::default(), through: Vec::new(), span: zone.span }
}

fn own_addresses(analysis: &Analysis<'_>, family: Family) -> Ranges {
    let known = analysis.space.local(family).cloned();
    known.unwrap_or_else(|| {
        let all = analysis.device.interfaces.iter().flatten().flat_map(|i| &i.addresses).map(|a| to_number(a.ip()));
        Ranges::from_values(all.filter(|(f, _)| *f == family).map(|(_, n)| n))
    })
}

/// Whether a device has an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owns {
    Yes,
    No,
    Unknown,
}

/// The devices before a target: the one that has the address; else those that are connected to its network or have a route to it that is not the
/// default; else all that forward, and those that may have it. Where the target is in the zone itself, only the one that has it, or may.
fn before<'w>(world: &'w World<'_>, zone: &Zone, family: Family, target: u128) -> Vec<(&'w Device, Owns)> {
    let known = || world.devices.iter().filter(|d| d.filter_is_known());
    let addresses = |d: &'w Device| d.interfaces.iter().flatten().filter(|i| !is_loopback(&i.name)).flat_map(|i| &i.addresses);
    let owner: Vec<(&Device, Owns)> =
        known().filter(|d| addresses(d).any(|a| to_number(a.ip()) == (family, target))).map(|d| (d, Owns::Yes)).collect();
    if !owner.is_empty() {
        return owner;
    }
    // Addresses that are given from elsewhere are not known either.
    let dynamic = |d: &Device| d.interfaces.iter().flatten().any(|i| i.dynamic.contains(&family));
    let owns = |d: &'w Device| if addresses(d).next().is_none() || dynamic(d) { Owns::Unknown } else { Owns::No };
    let alone = world.devices.len() == 1;
    let may = |d: &&Device| alone || (!world.is_worker(&d.name) && forwards(world, d));
    if !zone.internet && zone.addresses(family).contains(target) {
        return known().filter(|d| may(d) && owns(d) == Owns::Unknown).map(|d| (d, Owns::Unknown)).collect();
    }
    let leads = |d: &&Device| {
        let connected = d.interfaces.iter().flatten().flat_map(|i| &i.addresses).copied();
        let routes = d.routes.iter().flatten().map(|r| r.to);
        connected
            .chain(routes)
            .map(prefix_bounds)
            .any(|(f, lo, hi)| f == family && hi - lo < family.max_address() && (lo..=hi).contains(&target))
    };
    let near: Vec<(&Device, Owns)> =
        known().filter(|d| !world.is_worker(&d.name) && forwards(world, d)).filter(leads).map(|d| (d, Owns::No)).collect();
    if !near.is_empty() {
        return near;
    }
    known().filter(may).map(|d| (d, owns(d))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(u128, u128)]) -> Ranges {
        Ranges::from_intervals(list.to_vec())
    }

    #[test]
    fn the_ports_at_both_sides_of_every_edge_are_asked() {
        let sides = Sides { open: ranges(&[(22, 22), (8000, 8100)]), perhaps: ranges(&[(0, 1), (65_535, 65_535)]) };
        let edges: Vec<u16> = sides.edges(100).into_iter().collect();
        assert_eq!(edges, [1, 2, 21, 22, 23, 7999, 8000, 8050, 8100, 8101, 65_534, 65_535]);
        let many = Sides { open: ranges(&(0..1000).map(|i| (i * 10, i * 10 + 1)).collect::<Vec<_>>()), perhaps: Ranges::EMPTY };
        assert!(many.edges(300).len() <= 300);
    }

    #[test]
    fn behind_two_filters_only_what_both_let_through_is_open() {
        let one = Sides { open: ranges(&[(1, 100)]), perhaps: ranges(&[(200, 300)]) };
        let two = Sides { open: ranges(&[(50, 250)]), perhaps: Ranges::EMPTY };
        let both = one.and(&two);
        assert_eq!((both.of(20), both.of(60), both.of(220), both.of(290)), (Side::Closed, Side::Open, Side::Perhaps, Side::Closed));
        let either = one.or(&two);
        assert_eq!((either.of(20), either.of(220), either.of(290), either.of(400)), (Side::Open, Side::Open, Side::Perhaps, Side::Closed));
    }
}
