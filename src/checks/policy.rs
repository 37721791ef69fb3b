//! What a firewall does with packets in general: default deny, spoofed sources, invalid state, logging, IPv6 against IPv4, ports that are
//! published past the rules for input.

mod published;

use schemars::JsonSchema;
use serde::Deserialize;

use super::flow::{device_label, forwards, unexported};
use super::place::{cross, doubt, from_zone, interfaces, label, likely_hits, misnamed_interfaces, opening, unsolicited, witness};
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, Zone, body, select};
use crate::diag::{Finding, Label};
use crate::eval::flow::{Hit, Query, Want, passing};
use crate::eval::{Analysis, Limit, Purpose, Way, words};
use crate::model::{Device, Match, Tunnel};
use crate::net::{Family, Ranges, parse_cidr, prefix_bounds};
use crate::packets::fields::ct;
use crate::packets::{Cube, Dim, Field};

/// The kind.
pub static POLICY: Kind = Kind { id: "policy", page: include_str!("policy.md"), parse, schema: body::schema_of::<Body> };

/// What must hold in general: a hook with its default, or an aspect.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The hook, with `default`.
    hook: Option<HookName>,
    /// What must happen by default, with `hook`.
    default: Option<Default>,
    /// Another aspect.
    aspect: Option<Aspect>,
}

/// A way through the device.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum HookName {
    /// To the device.
    Input,
    /// Through the device.
    Forward,
    /// From the device.
    Output,
}

/// The wanted default.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Default {
    /// What no rule singles out is dropped.
    Deny,
}

/// An aspect.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Aspect {
    /// Packets from the internet with a source that cannot be there are dropped.
    SpoofedSources,
    /// Packets in no valid connection are dropped.
    InvalidDropped,
    /// What is dropped on the way in is logged.
    DeniedLogged,
    /// IPv6 lets no service in that IPv4 does not.
    V6NoWiderThanV4,
    /// No container engine leads packets around the rules for input.
    InputNotBypassed,
}

enum Asked {
    Default(Way),
    Aspect(Aspect),
}

fn parse(value: &serde_yaml::Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = body::read(value)?;
    match (body.hook, body.default, body.aspect) {
        (Some(hook), Some(Default::Deny), None) => Ok(Box::new(Asked::Default(match hook {
            HookName::Input => Way::Input,
            HookName::Forward => Way::Forward,
            HookName::Output => Way::Output,
        }))),
        (None, None, Some(aspect)) => Ok(Box::new(Asked::Aspect(aspect))),
        _ => Err(BodyError { path: String::new(), message: "needs either hook and default, or aspect".into() }),
    }
}

impl Check for Asked {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Device
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome::default();
        for device in select::devices(world, spec).into_iter().filter(|d| d.filter_is_known()) {
            let Some(analysis) = world.analysis(&device.name) else { continue };
            let case = Case { world, spec, analysis, device };
            let found = match self {
                Asked::Default(way) => {
                    if *way == Way::Forward && !forwards(world, device) {
                        continue;
                    }
                    case.each_family(|c, f| c.default_deny(*way, f))
                }
                Asked::Aspect(Aspect::SpoofedSources) => case.each_family(Case::spoofed),
                Asked::Aspect(Aspect::InvalidDropped) => case.each_family(Case::invalid),
                Asked::Aspect(Aspect::DeniedLogged) => case.each_family(Case::unlogged),
                Asked::Aspect(Aspect::V6NoWiderThanV4) => case.v6_wider(),
                Asked::Aspect(Aspect::InputNotBypassed) => case.each_family(Case::published),
            };
            outcome.considered.push(device.name.clone());
            outcome.findings.extend(misnamed_interfaces(world, device));
            match found {
                Ok(findings) => outcome.findings.extend(findings),
                Err(Limit(why)) => outcome.incomplete.push(format!("{}: {why}", device.name)),
            }
        }
        outcome
    }
}

/// What rules single out of the values from 0 to `top`: the smallest sets that they name, up to half of all values. Several rules that together
/// leave hardly anything have the effect of one for everything.
fn singled_out(mut named: Vec<Ranges>, top: u128) -> Ranges {
    named.sort_by_key(Ranges::count);
    let (mut rest, mut intervals) = (top / 2, Vec::new());
    for set in named {
        // Sets that overlap are counted twice; this is a matter of taste and not of exactness.
        let Some(left) = rest.checked_sub(set.count()) else { break };
        rest = left;
        intervals.extend_from_slice(set.intervals());
    }
    Ranges::from_intervals(intervals)
}

/// Multicast and broadcast addresses (RFC 5771, RFC 919, RFC 4291).
fn group_addresses(family: Family) -> Vec<(u128, u128)> {
    let list = if family == Family::V4 { &["224.0.0.0/4", "255.255.255.255/32"][..] } else { &["ff00::/8"] };
    list.iter().filter_map(|s| parse_cidr(s)).map(|(_, lo, hi)| (lo, hi)).collect()
}

/// The widest interval of a set, as a set.
fn widest(set: &Ranges) -> Ranges {
    let best = set.intervals().iter().max_by_key(|(lo, hi)| (hi - lo, std::cmp::Reverse(*lo)));
    best.map_or(Ranges::EMPTY, |&(lo, hi)| Ranges::interval(lo, hi))
}

struct Case<'c, 'a> {
    world: &'c World<'a>,
    spec: &'c Spec,
    analysis: &'c Analysis<'a>,
    device: &'c Device,
}

impl Case<'_, '_> {
    fn each_family(&self, judge: impl Fn(&Self, Family) -> Result<Vec<Finding>, Limit>) -> Result<Vec<Finding>, Limit> {
        let mut out = Vec::new();
        for family in Family::BOTH.into_iter().filter(|f| !self.device.switched_off(*f)) {
            out.extend(judge(self, family)?);
        }
        Ok(out)
    }

    fn ways(&self) -> Vec<Way> {
        if forwards(self.world, self.device) { vec![Way::Input, Way::Forward] } else { vec![Way::Input] }
    }

    fn internet(&self) -> Vec<&Zone> {
        self.world.zones.iter().filter(|z| z.internet).collect()
    }

    /// The interfaces behind which the internet is, if that is known.
    fn outside(&self, family: Family) -> Option<Ranges> {
        let known: Vec<_> = self.internet().into_iter().filter_map(|z| interfaces(self.device, z, family)).flatten().collect();
        let set = known.iter().fold(Ranges::EMPTY, |s, p| s.or(&self.analysis.space.interfaces(p)));
        (!set.is_empty()).then_some(set)
    }

    /// Packets from outside; where it is not known which interface that is, on every interface but the loopback.
    fn arriving(&self, family: Family) -> Vec<Cube> {
        let set = self.outside(family).unwrap_or_else(|| self.not_loopback(family));
        Cube::of(Dim::field(Field::Iif), set, family).into_iter().collect()
    }

    fn not_loopback(&self, family: Family) -> Ranges {
        let of = |name: &&str| self.analysis.space.interfaces(&crate::model::NamePattern::exact(*name));
        let lo = crate::model::LOOPBACK.iter().map(of).fold(Ranges::EMPTY, |s, n| s.or(&n));
        lo.or(&Ranges::single(0)).complement(Field::Iif.max(family))
    }

    fn finding(&self, hit: &Hit, way: Way, family: Family, message: String, text: &str) -> Finding {
        let line = self.analysis.line_words(hit.line);
        let mut finding = Finding::new(message, label(self.analysis, hit.line, self.spec.span, format!("{line} {text}")));
        finding = finding.on(&self.device.name).about(format!("{} {} {}", self.device.name, way.name(), family.name()));
        finding.witness = Some(witness(self.analysis, hit, way, family));
        doubt(self.analysis, hit, finding)
    }

    /// By default: what becomes of packets that no rule singles out, by address, interface, protocol or port.
    fn default_deny(&self, way: Way, family: Family) -> Result<Vec<Finding>, Limit> {
        if let Some(answer) = unexported(self.analysis, self.spec, way, family) {
            return Ok(answer);
        }
        let unmentioned = self.unmentioned(way, family);
        let ask = |cube: Cube| {
            let region = cross(&[cube], &[unsolicited(family)]);
            likely_hits(self.analysis, Query::new(way, family, Want::Accepted), &region, &[Cube::any()])
        };
        let found = ask(unmentioned.clone())?;
        let Some(hit) = found.best() else {
            return match self.somewhere(&unmentioned, way, family) {
                Some(cube) => Ok(ask(cube)?.best().map(|hit| self.only_there(hit, way, family)).into_iter().collect()),
                None => Ok(Vec::new()),
            };
        };
        let message = format!("{} {} is not denied by default: what no rule singles out passes", family.name(), way.name());
        let mut finding = self.finding(hit, way, family, message, "lets it through");
        if self.analysis.span(hit.line).is_none() {
            finding.primary = device_label(self.device, self.spec.span, format!("no chain filters {} {}", family.name(), way.name()));
        }
        Ok(vec![finding])
    }

    /// The same packets on whichever interface, where it is not known which one the internet is behind: a rule for one of them may be
    /// about that one.
    fn somewhere(&self, unmentioned: &Cube, way: Way, family: Family) -> Option<Cube> {
        let space = &self.analysis.space;
        if way == Way::Output || self.outside(family).is_some() {
            return None;
        }
        let tunnels = self.device.tunnels.iter().filter_map(Tunnel::interfaces);
        let inner = tunnels.fold(Ranges::EMPTY, |s, p| s.or(&space.interfaces(&p)));
        let set = self.not_loopback(family).minus(&inner);
        unmentioned.replaced(Dim::field(Field::Iif), Some(set), family)
    }

    /// Something passes by default on one interface alone.
    fn only_there(&self, hit: &Hit, way: Way, family: Family) -> Finding {
        let name = self.analysis.space.interface_name(hit.packet.field(Field::Iif)).unwrap_or_else(|| "one interface".into());
        let message = format!(
            "whether {} {} is denied by default depends on what is behind {name}, where everything that no rule singles out passes",
            family.name(),
            way.name()
        );
        let mut finding = self.finding(hit, way, family, message, "lets it through");
        finding.verdict = crate::diag::Verdict::Unknown;
        finding.causes.push(Label::new(finding.primary.span, format!("it depends on whether {name} leads to strangers")));
        let device = &self.device.name;
        finding.fix = Some(format!(
            "Say behind which interface of {device} the internet is (`zones: internet: on: {{ {device}: NAME }}`), export `ip route` too, or \
             narrow the rule."
        ));
        finding
    }

    /// Values that no rule of the device mentions; for interfaces: where the internet is, if that is known.
    fn unmentioned(&self, way: Way, family: Family) -> Cube {
        let fields = [Field::Src, Field::Dst, Field::Proto, Field::Dport, Field::Sport, Field::Iif, Field::Oif];
        let mut mentioned: Vec<Vec<Ranges>> = vec![Vec::new(); Field::ALL.len()];
        let mut add = |field: Field, set: &Ranges, top: u128| {
            let other = set.complement(top);
            // "All but 10.0.0.0/8" mentions 10.0.0.0/8.
            let named = if set.count() <= other.count() { set } else { &other };
            if named.count() <= top / 2 {
                mentioned[field as usize].push(named.clone());
            }
        };
        for rule in self.device.chains.iter().flat_map(|c| &c.rules) {
            rule.matcher.walk(&mut |m| match m {
                Match::Address(field, f, set) if *f == family => add(*field, set, family.max_address()),
                Match::Field(field @ (Field::Dport | Field::Sport), set) => add(*field, set, 65535),
                _ => {}
            });
        }
        let mut cube = Cube::any();
        for field in fields {
            let top = field.max(family);
            let set = match field {
                // Of the protocols everybody uses: a default is no default if it lets these through.
                Field::Proto => Ranges::from_values([6, 17]),
                Field::Iif if way == Way::Output => continue,
                Field::Oif if way != Way::Output => continue,
                Field::Iif | Field::Oif => match self.outside(family) {
                    Some(set) => set,
                    None => Ranges::single(self.analysis.space.interface_number("\u{0}")),
                },
                // What reaches the device bears an address of the device: a rule for that address singles nothing out.
                Field::Dst if way == Way::Input => widest(&Ranges::from_intervals(group_addresses(family)).complement(top)),
                // No rule tells these values apart, so the widest stretch of them speaks for all.
                _ => widest(&singled_out(std::mem::take(&mut mentioned[field as usize]), top).complement(top)),
            };
            cube = cube.with(Dim::field(field), &set, family).unwrap_or(cube);
        }
        cube
    }

    fn spoofed(&self, family: Family) -> Result<Vec<Finding>, Limit> {
        let Some(outside) = self.outside(family) else {
            // Said once where it is so for both families.
            let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
            let of = if self.outside(other).is_some() { format!(" ({})", family.name()) } else { String::new() };
            let text = format!("which interface is outside is not known{of}");
            let cause = Label::new(self.spec.span, "neither the baseline nor a default route says it");
            let mut finding = Finding::unknown(text, device_label(self.device, self.spec.span, ""), vec![cause]);
            finding.fix = Some(format!(
                "Say it in the baseline (`zones: internet: on: {{ {}: INTERFACE }}`), or export `ip route` and `ip -6 route` too.",
                self.device.name
            ));
            return Ok(vec![finding.on(&self.device.name).about(format!("{} outside", self.device.name))]);
        };
        let sources = self.impossible_sources(family, &outside);
        let Some(cube) = Cube::of(Dim::field(Field::Iif), outside, family).and_then(|c| c.with(Dim::field(Field::Src), &sources, family))
        else {
            return Ok(Vec::new());
        };
        // Link-local neighbours speak ICMPv6 with sources that are never routed (RFC 4861).
        let icmp = Ranges::from_values([1, 58]).complement(255);
        let region: Vec<Cube> = cube.with(Dim::field(Field::Proto), &icmp, family).into_iter().collect();
        let region = cross(&region, &[unsolicited(family)]);
        let mut out = Vec::new();
        for way in self.ways() {
            if let Some(answer) = unexported(self.analysis, self.spec, way, family) {
                out.extend(answer);
                continue;
            }
            let found = likely_hits(self.analysis, Query::new(way, family, Want::Accepted), &region, &[Cube::any()])?;
            let Some(hit) = found.best() else { continue };
            let from = crate::net::to_ip(family, hit.packet.field(Field::Src));
            let message = format!("a packet from outside with the impossible source {from} passes ({} {})", family.name(), way.name());
            let mut finding = self.finding(hit, way, family, message, "accepts it");
            finding.count = found.count();
            out.push(finding);
        }
        Ok(out)
    }

    /// Sources that cannot come from the internet: the device's inner networks, and what is never routed (RFC 6890). The network
    /// of the outer interface itself is left out: behind a provider's router it may be a private one.
    fn impossible_sources(&self, family: Family, outside: &Ranges) -> Ranges {
        const NEVER4: &[&str] =
            &["0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4"];
        const NEVER6: &[&str] = &["::1/128", "fc00::/7", "ff00::/8"];
        let list = if family == Family::V4 { NEVER4 } else { NEVER6 };
        let bounds = |s: &&str| parse_cidr(s).map(|(_, lo, hi)| (lo, hi));
        let mut set = Ranges::from_intervals(list.iter().filter_map(bounds).collect());
        let mut own = Ranges::EMPTY;
        for i in self.device.interfaces.iter().flatten() {
            let is_outside = outside.contains(self.analysis.space.interface_number(&i.name));
            for (_, lo, hi) in i.addresses.iter().map(|a| prefix_bounds(*a)).filter(|b| b.0 == family) {
                let network = Ranges::interval(lo, hi);
                if is_outside { own = own.or(&network) } else { set = set.or(&network) }
            }
        }
        // A device with one interface towards everything has no inside.
        let mut out = set.minus(&own);
        if self.strict_reverse_path(family, outside) {
            for (f, lo, hi, name) in self.device.routes.iter().flatten().filter_map(|r| {
                let (f, lo, hi) = prefix_bounds(r.to);
                r.interface.as_ref().map(|i| (f, lo, hi, i))
            }) {
                let elsewhere = !outside.contains(self.analysis.space.interface_number(name));
                if f == family && elsewhere && hi - lo < family.max_address() {
                    // The kernel drops these itself (RFC 3704, `net.ipv4.conf.*.rp_filter` = 1).
                    out = out.minus(&Ranges::interval(lo, hi));
                }
            }
        }
        out
    }

    /// Whether the kernel drops on every outside interface what would not be answered through it. The greater of the values for all and for
    /// the interface counts: 1 is strict, 2 asks only whether there is any way back (Documentation/networking/ip-sysctl.rst, `rp_filter`).
    fn strict_reverse_path(&self, family: Family, outside: &Ranges) -> bool {
        let value = |of: &str| self.device.setting(&format!("net.ipv4.conf.{of}.rp_filter")).map(|v| v.parse::<u8>().unwrap_or(0));
        let interfaces = self.device.interfaces.iter().flatten().map(|i| i.name.as_str());
        let routes = self.device.routes.iter().flatten().filter_map(|r| r.interface.as_deref());
        let mut names = interfaces.chain(routes).filter(|n| outside.contains(self.analysis.space.interface_number(n))).peekable();
        let strict = |name: &str| value("all").max(value(name).or_else(|| value("default"))) == Some(1);
        // What the filter takes for the way back, rules may make another one.
        let main = matches!(self.device.policy_routing(family), crate::model::PolicyRouting::Main);
        family == Family::V4 && main && names.peek().is_some() && names.all(strict)
    }

    fn invalid(&self, family: Family) -> Result<Vec<Finding>, Limit> {
        let state = Cube::of(Dim::field(Field::Ct), Ranges::single(ct::INVALID), family).unwrap_or_default();
        let region = cross(&self.arriving(family), &[state]);
        let mut out = Vec::new();
        for way in self.ways() {
            if let Some(answer) = unexported(self.analysis, self.spec, way, family) {
                out.extend(answer);
                continue;
            }
            let found = likely_hits(self.analysis, Query::new(way, family, Want::Accepted), &region, &[Cube::any()])?;
            let Some(hit) = found.best() else { continue };
            let message = format!("packets that belong to no valid connection pass ({} {})", family.name(), way.name());
            let mut finding = self.finding(hit, way, family, message, "accepts them");
            finding.count = found.count();
            out.push(finding);
        }
        Ok(out)
    }

    fn unlogged(&self, family: Family) -> Result<Vec<Finding>, Limit> {
        let region = cross(&self.arriving(family), &[unsolicited(family)]);
        let mut out = Vec::new();
        for way in self.ways() {
            if let Some(answer) = unexported(self.analysis, self.spec, way, family) {
                out.extend(answer);
                continue;
            }
            let query = Query { purpose: Purpose { logs_decide: true, all_chains: false }, ..Query::new(way, family, Want::Blocked) };
            let found = likely_hits(self.analysis, query, &region, &[Cube::any()])?;
            let Some(hit) = found.found.first() else { continue };
            let message = format!("packets are dropped without a log entry ({} {})", family.name(), way.name());
            let mut finding = self.finding(hit, way, family, message, "drops them unlogged");
            finding.count = found.count();
            out.push(finding);
        }
        Ok(out)
    }

    fn v6_wider(&self) -> Result<Vec<Finding>, Limit> {
        if self.device.switched_off(Family::V6) {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for way in self.ways() {
            if let Some(answer) = unexported(self.analysis, self.spec, way, Family::V6) {
                out.extend(answer);
                continue;
            }
            if let Some(answer) = unexported(self.analysis, self.spec, way, Family::V4) {
                out.extend(answer);
                continue;
            }
            let v4 = self.services(way, Family::V4)?;
            let mut wider: Vec<Cube> = self.services(way, Family::V6)?;
            for cube in &v4 {
                wider = wider.iter().flat_map(|w| w.minus(cube, Family::V6)).collect();
            }
            if wider.is_empty() {
                continue;
            }
            let region = cross(&self.internet_packets(Family::V6), &[opening(Family::V6)]);
            let found = likely_hits(self.analysis, Query::new(way, Family::V6, Want::Accepted), &region, &wider)?;
            for hit in found.found {
                let service = words::service_words(&hit.decided_as.header_cube(Family::V6), Family::V6);
                let message = format!("{service} is open to the internet over IPv6 but not over IPv4 ({})", way.name());
                out.push(self.finding(&hit, way, Family::V6, message, "lets it through"));
            }
        }
        Ok(out)
    }

    fn internet_packets(&self, family: Family) -> Vec<Cube> {
        let zones = self.internet();
        if zones.is_empty() {
            return self.arriving(family);
        }
        zones.iter().flat_map(|z| from_zone(self.analysis, z, family)).collect()
    }

    /// The services (protocol and destination port) that packets from the internet can reach somewhere, ICMP aside.
    fn services(&self, way: Way, family: Family) -> Result<Vec<Cube>, Limit> {
        type Intervals = Vec<(u128, u128)>;
        let icmp = Ranges::from_values([1, 2, 58]).complement(255);
        let other = Cube::of(Dim::field(Field::Proto), icmp, family).into_iter().collect::<Vec<_>>();
        let region = cross(&self.internet_packets(family), &[opening(family)]);
        // For each set of protocols the ports that some packets have; `None`: all.
        let mut ports: Vec<(Option<Ranges>, Option<Intervals>)> = Vec::new();
        for p in passing(self.analysis, Query::new(way, family, Want::Accepted), &region, &other)? {
            let protocols = p.arriving.field(Field::Proto).cloned();
            let at = ports.iter().position(|(known, _)| *known == protocols).unwrap_or_else(|| {
                ports.push((protocols, Some(Vec::new())));
                ports.len() - 1
            });
            match (p.arriving.field(Field::Dport), &mut ports[at].1) {
                (None, all) => *all = None,
                (Some(set), Some(all)) => all.extend_from_slice(set.intervals()),
                (Some(_), None) => {}
            }
        }
        let out = ports.into_iter().filter_map(|(protocols, ports)| {
            let mut service = Cube::any();
            let sets = [(Field::Proto, protocols), (Field::Dport, ports.map(Ranges::from_intervals))];
            let fits = sets.into_iter().all(|(field, set)| set.is_none_or(|set| service.narrow(Dim::field(field), &set, family)));
            fits.then_some(service)
        });
        let out = out.collect();
        Ok(out)
    }
}
