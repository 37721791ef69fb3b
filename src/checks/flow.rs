//! Who may reach what: nobody but these, or certainly these.

use schemars::JsonSchema;
use serde::Deserialize;

use super::body::{self, OneOrMany};
use super::place::{
    cross, doubt, from_zone, interfaces, label, likely_hits, line_subject, misnamed_interfaces, of_service, opening, to_zone, unseen,
    unsolicited, without, witness,
};
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, Zone, path, select, services};
use crate::diag::{Finding, Label};
use crate::eval::flow::{Hit, Query, Want};
use crate::eval::{Analysis, Limit, Line, Way};
use crate::model::{Device, Hook, LOOPBACK, Match, NamePattern};
use crate::net::{Family, Ranges, parse_cidr, prefix_bounds};
use crate::packets::{Cube, Dim, Field};

/// The kind.
pub static FLOW: Kind = Kind { id: "flow", page: include_str!("flow.md"), parse, schema: body::schema_of::<Body> };

/// A flow and what must become of it.
#[derive(Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Where from: a zone, `any`, `untrusted` (the zones that are the internet), or `unnamed` (whatever is in no zone).
    #[serde(default)]
    from: OneOrMany<String>,
    /// Where to: a zone, `any`, or `firewall` (the device itself).
    to: String,
    /// Services by name or as `tcp/443`; `any`, `cleartext` or `admin`.
    #[serde(default)]
    service: OneOrMany<String>,
    /// The only flows that may pass; everything else to `to` must not.
    only: Option<Vec<Exception>>,
    /// Flows that are left out of account.
    #[serde(default)]
    except: Vec<Exception>,
    /// Whether the flow must pass, or must not.
    must: Option<Must>,
    /// Only on networks of this sort, where the device's firewall tells sorts of networks apart.
    network: Option<Network>,
}

/// A sort of networks.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Network {
    /// Networks that strangers share.
    Public,
}

/// A flow by where it comes from and its service.
#[derive(Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// Zones; none: from anywhere.
    #[serde(default)]
    from: OneOrMany<String>,
    /// Services; none: any.
    #[serde(default)]
    service: OneOrMany<String>,
}

/// What must become of a flow.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Must {
    /// It must pass.
    Pass,
    /// It must not.
    Drop,
}

fn parse(value: &serde_yaml::Value, names: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = body::read(value)?;
    let from = |list: &OneOrMany<String>, path: &str| zones(list, path, names);
    from(&body.from, "from")?;
    if !["any", "firewall"].contains(&body.to.as_str()) {
        names.zone(&body.to, "to")?;
    }
    services_of(&body.service, "service", names)?;
    for (key, list) in [("only", body.only.as_deref().unwrap_or(&[])), ("except", &body.except)] {
        for (i, e) in list.iter().enumerate() {
            from(&e.from, &format!("{key}[{i}].from"))?;
            services_of(&e.service, &format!("{key}[{i}].service"), names)?;
        }
    }
    if body.only.is_some() && (body.must.is_some() || !body.from.0.is_empty() || !body.service.0.is_empty()) {
        let message = "\"only\" stands alone with \"to\": it says itself who may use which service".to_owned();
        return Err(BodyError { path: "only".into(), message });
    }
    Ok(Box::new(body))
}

fn at(list: &OneOrMany<String>, path: &str, i: usize) -> String {
    if list.0.len() == 1 { path.to_owned() } else { format!("{path}[{i}]") }
}

fn zones(list: &OneOrMany<String>, path: &str, names: &Names) -> Result<(), BodyError> {
    for (i, name) in list.0.iter().enumerate().filter(|(_, n)| !["any", "untrusted", "unnamed"].contains(&n.as_str())) {
        names.zone(name, &at(list, path, i))?;
    }
    Ok(())
}

fn services_of(list: &OneOrMany<String>, path: &str, names: &Names) -> Result<(), BodyError> {
    for (i, name) in list.0.iter().enumerate().filter(|(_, n)| !["any", "cleartext", "admin"].contains(&n.as_str())) {
        if services::service_ports(name).is_err() {
            names.service(name, &at(list, path, i))?;
        }
    }
    Ok(())
}

impl Check for Body {
    fn scope(&self, spec: &Spec) -> Scope {
        match self.to.as_str() {
            "any" | "firewall" => Scope::Device,
            // Which devices stand in front of a zone is seen from all of them. Workers' are not asked unless they are named.
            _ if spec.on.is_empty() => Scope::Once,
            _ => Scope::Everything,
        }
    }

    fn zones(&self) -> Vec<String> {
        Some(self.to.clone()).filter(|to| !["any", "untrusted", "firewall"].contains(&to.as_str())).into_iter().collect()
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome::default();
        for (device, ways) in devices(world, spec, &self.to) {
            let Some(analysis) = world.analysis(&device.name) else { continue };
            outcome.considered.push(device.name.clone());
            outcome.findings.extend(misnamed_interfaces(world, device));
            for way in ways {
                for family in Family::BOTH {
                    match self.judge(world, spec, analysis, way, family) {
                        Ok(findings) => outcome.findings.extend(findings),
                        Err(Limit(why)) => outcome.incomplete.push(format!("{}: {why}", device.name)),
                    }
                }
            }
        }
        self.along_the_way(world, spec, &mut outcome);
        outcome
    }
}

impl Body {
    /// A flow that must pass is stopped by a device further away, or a packet that a finding shows has passed others: that is told where the whole
    /// way is known. Each device in front of the target is judged by itself in any case, which is the stricter.
    fn along_the_way(&self, world: &World<'_>, spec: &Spec, outcome: &mut Outcome) {
        let Some(target) = world.zone(&self.to).filter(|_| self.must == Some(Must::Pass) && spec.on.is_empty()) else { return };
        let considered = outcome.considered.clone();
        for from in self.from.0.iter().filter_map(|n| world.zone(n)).filter(|z| !z.internet) {
            for family in Family::BOTH {
                let mut except = Vec::new();
                for e in &self.except {
                    except.extend(
                        service_cubes(world, &e.service, family)
                            .into_iter()
                            .filter(|_| e.from.0.is_empty() || e.from.0.iter().any(|n| n == "any" || *n == from.name)),
                    );
                }
                let service = without(&service_cubes(world, &self.service, family), &except, family);
                if service.is_empty() {
                    continue;
                }
                let judged = |name: &str| considered.iter().any(|c| c == name);
                let (found, limits) = path::judge::stops_on_the_way(world, (from, target), &service, family, &judged, spec.span);
                outcome.findings.extend(found);
                outcome.incomplete.extend(limits);
            }
        }
    }

    fn judge(&self, world: &World<'_>, spec: &Spec, analysis: &Analysis<'_>, way: Way, family: Family) -> Result<Vec<Finding>, Limit> {
        if let Some(answer) = unexported(analysis, spec, way, family) {
            return Ok(answer);
        }
        let target = world.zone(&self.to);
        let to = match target {
            Some(zone) => to_zone(analysis, zone, way, family),
            None => vec![Cube::any()],
        };
        let mut except = Vec::new();
        for e in self.only.iter().flatten().chain(&self.except) {
            let from = sources(world, analysis, &e.from, family, false);
            except.extend(cross(&from, &service_cubes(world, &e.service, family)));
        }
        let mut arriving = sources(world, analysis, &self.from, family, self.must == Some(Must::Pass));
        if let (Some(zone), true) = (target, self.must != Some(Must::Pass)) {
            // Within the zone no firewall stands between.
            arriving = without(&arriving, &inside(analysis, zone, family), family);
        }
        let deciding = without(&cross(&to, &service_cubes(world, &self.service, family)), &except, family);
        if arriving.is_empty() || deciding.is_empty() {
            return Ok(Vec::new());
        }
        let (want, state) = match self.must {
            Some(Must::Pass) => (Want::Blocked, opening(family)),
            _ => (Want::Accepted, unsolicited(family)),
        };
        let mut arriving = cross(&arriving, &[state]);
        if self.network == Some(Network::Public) {
            arriving = cross(&arriving, on_public(analysis.device, family).as_slice());
        }
        let found = likely_hits(analysis, Query::new(way, family, want), &arriving, &deciding)?;
        let mut out: Vec<Finding> = found.found.iter().map(|h| self.finding(world, spec, analysis, h, way, family)).collect();
        let more = out.last().and_then(|last| unseen(found.more, last));
        out.extend(more);
        Ok(out)
    }

    fn finding(&self, world: &World<'_>, spec: &Spec, analysis: &Analysis<'_>, hit: &Hit, way: Way, family: Family) -> Finding {
        let goal = match (self.to.as_str(), way) {
            ("firewall", _) => "the firewall itself".to_owned(),
            ("any", Way::Forward) => "what is behind the firewall".to_owned(),
            (zone, _) => zone.to_owned(),
        };
        // Of several places the one from which the packet comes.
        let own = |n: &&String| {
            let from = sources(world, analysis, &OneOrMany(vec![(*n).clone()]), family, false);
            from.iter().any(|c| c.contains(&hit.packet))
        };
        let who = match self.from.0.iter().find(own).or(self.from.0.first()).map(String::as_str) {
            None => "somebody else",
            Some("any") => "anybody",
            Some("untrusted") => "the internet",
            Some("unnamed") => "a place that is in no zone",
            Some(zone) => zone,
        };
        let line = analysis.line_words(hit.line);
        let mut words = crate::eval::words::service_words(&hit.decided_as.header_cube(family), family);
        if self.must != Some(Must::Pass) && !asks_for_service(analysis, hit.line) {
            words = format!("anything, such as {words}");
        }
        let (message, text) = if self.must == Some(Must::Pass) {
            (format!("{who} cannot reach {goal} with {words} ({})", family.name()), format!("{line} stops it"))
        } else {
            (format!("{who} can reach {goal} with {words} ({})", family.name()), format!("{line} lets it through"))
        };
        let mut finding = Finding::new(message, label(analysis, hit.line, spec.span, text)).on(&analysis.device.name);
        finding.subject = format!("{} {} {}", way.name(), family.name(), line_subject(world, analysis, hit.line));
        finding.witness = Some(witness(analysis, hit, way, family));
        finding.fix = self.unplaced(world, analysis, family);
        if way == Way::Forward {
            let zones: Vec<&Zone> =
                world.zones.iter().filter(|z| !z.internet && z.addresses(family).contains(hit.packet.field(Field::Src))).collect();
            finding.related.extend(path::judge::before_and_after(world, analysis, hit, family, &zones));
        }
        doubt(analysis, hit, finding)
    }

    /// What to write where it is not known behind which interface the source is.
    fn unplaced(&self, world: &World<'_>, analysis: &Analysis<'_>, family: Family) -> Option<String> {
        let named = |n: &String| -> Vec<&Zone> {
            if n == "untrusted" { world.zones.iter().filter(|z| z.internet).collect() } else { world.zone(n).into_iter().collect() }
        };
        let zone = self.from.0.iter().flat_map(named).find(|z| interfaces(analysis.device, z, family).is_none())?;
        let device = &analysis.device.name;
        Some(format!(
            "It is not known behind which interface of {device} {} is, so every interface was considered: write `on: {{ {device}: [NAME] }}` for \
             the zone, or export `ip addr` and `ip route` too.",
            zone.name
        ))
    }
}

/// Packets on networks that strangers share.
fn on_public(device: &Device, family: Family) -> Option<Cube> {
    let fixed = device.on_public_network.iter();
    fixed.clone().try_fold(Cube::any(), |c, (id, value)| c.with(Dim::condition(id.0), &Ranges::single(u128::from(*value)), family))
}

/// Whether a line is about some protocols or ports; those that are not let everything through.
fn asks_for_service(analysis: &Analysis<'_>, line: Line) -> bool {
    let chain = analysis.device.chains.get(line.chain.0 as usize);
    let Some(rule) = line.rule.and_then(|r| chain.and_then(|c| c.rules.get(r as usize))) else { return false };
    let mut asks = false;
    rule.matcher.walk(&mut |m| {
        asks |= match m {
            Match::Field(f, _) => matches!(f, Field::Proto | Field::Dport | Field::Sport | Field::Icmp),
            Match::Opaque(_) => true,
            _ => false,
        }
    });
    asks
}

/// The devices that stand in the way of the flow, and the ways through them.
pub(super) fn devices<'a>(world: &World<'a>, spec: &Spec, to: &str) -> Vec<(&'a Device, Vec<Way>)> {
    let chosen = select::devices(world, spec).into_iter();
    let chosen = chosen.filter(|d| d.filter_is_known() && (!spec.on.is_empty() || !world.is_worker(&d.name)));
    in_front(world, chosen.collect(), to)
}

/// Those of `chosen` that stand in front of a zone, of `any` place, or of the `firewall` itself, and the ways through them.
pub(super) fn in_front<'a>(world: &World<'a>, chosen: Vec<&'a Device>, to: &str) -> Vec<(&'a Device, Vec<Way>)> {
    if to == "firewall" {
        return chosen.into_iter().map(|d| (d, vec![Way::Input])).collect();
    }
    let target = world.zone(to);
    // Devices to which the target is connected stand in front of it; where none is known, any may.
    let near: Vec<&Device> = chosen.iter().copied().filter(|d| target.is_some_and(|z| connected(d, z))).collect();
    let front = if near.is_empty() { chosen.clone() } else { near };
    let mut out = Vec::new();
    for device in chosen {
        let mut ways = Vec::new();
        let forwards = forwards(world, device);
        if target.is_some_and(|z| owns(device, z, forwards)) {
            ways.push(Way::Input);
        }
        if front.iter().any(|d| d.name == device.name) && forwards {
            ways.push(Way::Forward);
        }
        if !ways.is_empty() {
            out.push((device, ways));
        }
    }
    out
}

/// The zones that are the internet.
fn untrusted<'w>(world: &'w World<'_>) -> Vec<&'w Zone> {
    world.zones.iter().filter(|z| z.internet).collect()
}

/// Packets from each of the named places; from anywhere if none is named. `honest`: only those whose source belongs to the place; a forged
/// one need not pass.
fn sources(world: &World<'_>, analysis: &Analysis<'_>, list: &OneOrMany<String>, family: Family, honest: bool) -> Vec<Cube> {
    if list.0.is_empty() || list.0.iter().any(|n| n == "any") {
        return vec![Cube::any()];
    }
    let from = |z: &Zone| {
        let arriving = from_zone(analysis, z, family);
        let own = Cube::of(Dim::field(Field::Src), z.addresses(family).clone(), family);
        if honest { cross(&arriving, own.as_slice()) } else { arriving }
    };
    let mut out = Vec::new();
    for name in &list.0 {
        if name == "unnamed" {
            out.extend(unnamed(world, analysis, family));
            continue;
        }
        let zones: Vec<&Zone> = if name == "untrusted" { untrusted(world) } else { world.zone(name).into_iter().collect() };
        if zones.is_empty() {
            // No zone is the internet: then every place of which nothing is said is untrusted.
            out.extend(unnamed(world, analysis, family));
        }
        out.extend(zones.into_iter().flat_map(from));
    }
    out
}

/// Packets that come from no zone: neither from behind an interface that serves nothing but zones, nor with a source of one. Sources that no
/// router passes on are left out (RFC 6890, RFC 4291: this host, loopback, link-local, multicast).
fn unnamed(world: &World<'_>, analysis: &Analysis<'_>, family: Family) -> Vec<Cube> {
    const NEVER4: &[&str] = &["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];
    const NEVER6: &[&str] = &["::/127", "fe80::/10", "ff00::/8"];
    let never = if family == Family::V4 { NEVER4 } else { NEVER6 };
    let never = Ranges::from_intervals(never.iter().filter_map(|s| parse_cidr(s)).map(|(_, lo, hi)| (lo, hi)).collect());
    let lo = LOOPBACK.iter().fold(Ranges::EMPTY, |s, n| s.or(&analysis.space.interfaces(&NamePattern::exact(*n))));
    let all = Cube::of(Dim::field(Field::Src), never.complement(family.max_address()), family)
        .and_then(|c| c.with(Dim::field(Field::Iif), &lo.complement(Field::Iif.max(family)), family));
    let named: Vec<Cube> = world.zones.iter().flat_map(|z| from_zone(analysis, z, family)).collect();
    without(all.as_slice(), &named, family)
}

/// Packets whose source is the zone itself (by interface too, where that is known).
fn inside(analysis: &Analysis<'_>, zone: &Zone, family: Family) -> Vec<Cube> {
    if zone.internet || zone.addresses(family).is_empty() {
        return Vec::new();
    }
    from_zone(analysis, zone, family)
}

/// Packets of each of the named services; of any if none is named.
fn service_cubes(world: &World<'_>, list: &OneOrMany<String>, family: Family) -> Vec<Cube> {
    if list.0.is_empty() || list.0.iter().any(|n| n == "any") {
        return vec![Cube::any()];
    }
    let mut out = Vec::new();
    for name in &list.0 {
        let group: Vec<&str> = match name.as_str() {
            "cleartext" => services::CLEARTEXT.to_vec(),
            "admin" => services::ADMIN.to_vec(),
            one => vec![one],
        };
        for one in group {
            match (world.services.get(one), services::service_ports(one)) {
                (Some(s), _) => out.extend(of_service(s, family)),
                (None, Ok(ports)) => {
                    out.extend(of_service(&super::Service { name: one.into(), ports: vec![ports], encrypted: None, span: None }, family));
                }
                (None, Err(_)) => {}
            }
        }
    }
    out
}

/// Whether the zone's addresses are in a network of one of the device's interfaces (or behind one, as the baseline says).
fn connected(device: &Device, zone: &Zone) -> bool {
    zone.on.contains_key(&device.name)
        || device.interfaces.iter().flatten().flat_map(|i| &i.addresses).any(|a| {
            let (f, lo, hi) = prefix_bounds(*a);
            hi > lo && !zone.internet && Ranges::interval(lo, hi).overlaps(zone.addresses(f))
        })
        || Family::BOTH.iter().any(|f| zone.internet && interfaces(device, zone, *f).is_some())
}

/// Whether an address of the zone is the device's own. A firewall has one in each network that it serves, and does not thereby belong to the
/// zone: what reaches the firewall itself is asked with `to: firewall`.
fn owns(device: &Device, zone: &Zone, forwards: bool) -> bool {
    device.interfaces.iter().flatten().flat_map(|i| &i.addresses).any(|a| {
        let (f, n) = crate::net::to_number(a.ip());
        let (_, lo, hi) = prefix_bounds(*a);
        let serves = forwards && hi > lo && Ranges::interval(lo, hi).is_subset(zone.addresses(f));
        !zone.internet && !serves && zone.addresses(f).contains(n)
    })
}

/// The answer for a way and family of which no rules were read: none is needed where the family is switched off, and nothing is known
/// unless the export shows every filter that there is.
pub(super) fn unexported(analysis: &Analysis<'_>, spec: &Spec, way: Way, family: Family) -> Option<Vec<Finding>> {
    let device = analysis.device;
    if device.switched_off(family) {
        return Some(Vec::new());
    }
    let missing = analysis.missing(way, family)?;
    let text = missing.what;
    let cause = match &device.fragment {
        Some((span, _)) if !device.has_filter() => Label::new(*span, missing.export),
        _ => device_label(device, spec.span, format!("{text}: {}", missing.export)),
    };
    let finding = Finding::unknown(text.clone(), device_label(device, spec.span, ""), vec![cause]);
    Some(vec![finding.on(&device.name).about(format!("{} {text}", device.name))])
}

/// Whether packets go through the device: it is named as a site's firewall, has rules for it, translates the sources of what leaves it, or has
/// forwarding switched on; and forwarding is not switched off.
pub fn forwards(world: &World<'_>, device: &Device) -> bool {
    let named = world.sites.iter().any(|s| s.devices.contains(&device.name));
    let rules = device.base_chains.iter().any(|b| match b.hook {
        Hook::Forward => true,
        Hook::Postrouting => b.nat && !device.chain(b.chain).rules.is_empty(),
        _ => false,
    });
    let switches = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"].map(|name| device.setting(name));
    (named || rules || switches.contains(&Some("1"))) && switches != [Some("0"), Some("0")]
}

/// A place in the configuration that stands for a device.
pub(super) fn device_label(device: &Device, fallback: crate::source::Span, text: impl Into<String>) -> Label {
    let span = device.base_chains.first().map(|b| device.chain(b.chain).span);
    Label::new(span.or(device.tunnels.first().map(|t| t.span)).unwrap_or(fallback), text)
}
