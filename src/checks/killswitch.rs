//! Nothing leaves a worker's device outside the tunnel, whether it is up or down.

use schemars::JsonSchema;
use serde::Deserialize;

use super::place::{cross, doubt, label, likely_hits, opening, without, witness};
use super::vpn::{closed_while_down, own_kill_switch};
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, body, flow, select};
use crate::diag::{Finding, Label};
use crate::eval::flow::{Query, Want};
use crate::eval::{Analysis, Limit, Way};
use crate::model::{Device, LOOPBACK, NamePattern, Tunnel, TunnelKind, TunnelRole, Unmodelled};
use crate::net::{Family, PUBLIC4, PUBLIC6, Ranges, parse_addr};
use crate::packets::{Cube, Dim, Field};

/// The kind.
pub static KILLSWITCH: Kind = Kind { id: "killswitch", page: include_str!("killswitch.md"), parse, schema: body::schema_of::<Body> };

/// Nothing to say: it applies to every remote worker's VPN client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {}

fn parse(value: &serde_yaml::Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = body::read(value)?;
    Ok(Box::new(body))
}

impl Check for Body {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Device
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome::default();
        let workers = select::devices(world, spec).into_iter().filter(|d| !spec.on.is_empty() || world.is_worker(&d.name));
        for device in workers {
            let clients: Vec<&Tunnel> = device.tunnels.iter().filter(|t| t.role != TunnelRole::Server).collect();
            let (Some(first), Some(analysis)) = (clients.first(), world.analysis(&device.name)) else { continue };
            outcome.considered.push(device.name.clone());
            for family in Family::BOTH {
                if device.switched_off(family) {
                    continue;
                }
                if let Some(part) = clients.iter().flat_map(|t| &t.unmodelled).find(|u| u.filter) {
                    outcome.findings.push(undecided(device, first, part, family));
                    continue;
                }
                let own = |t: &&Tunnel| if family == Family::V4 { own_kill_switch(t).v4 } else { own_kill_switch(t).v6 };
                if clients.iter().any(|t| own(t).is_some() || closed_while_down(t).is_some()) {
                    continue;
                }
                if device.has_filter()
                    && let Some(answer) = flow::unexported(analysis, spec, Way::Output, family)
                {
                    outcome.findings.extend(answer);
                    continue;
                }
                match judge(spec, analysis, &clients, first, family) {
                    Ok(finding) => outcome.findings.extend(finding),
                    Err(Limit(why)) => outcome.incomplete.push(format!("{}: {why}", device.name)),
                }
            }
        }
        outcome
    }
}

/// A command of the tunnel may open or close what the rules that were read do not show.
fn undecided(device: &Device, first: &Tunnel, part: &Unmodelled, family: Family) -> Finding {
    let message = format!("whether {} traffic can leave outside the VPN depends on a command that is not modelled", family.name());
    let cause = Label::new(part.span, "it may change the packet filter");
    let finding = Finding::unknown(message, Label::new(part.span, ""), vec![cause]);
    let mut finding = finding.on(&device.name).about(format!("{} {}", device.name, family.name()));
    finding.related.push(Label::new(first.span, "the tunnel"));
    finding.fix = Some("Put the rules into the host firewall and export it, or use the rules that wg-quick(8) gives for `PostUp`.".into());
    finding
}

fn judge(spec: &Spec, analysis: &Analysis<'_>, clients: &[&Tunnel], first: &Tunnel, family: Family) -> Result<Option<Finding>, Limit> {
    let device = analysis.device;
    let public = if family == Family::V4 { PUBLIC4.clone() } else { PUBLIC6.clone() };
    let through = clients.iter().filter_map(|t| t.interfaces()).chain(LOOPBACK.map(NamePattern::exact));
    let inner = through.fold(Ranges::single(0), |s, p| s.or(&analysis.space.interfaces(&p)));
    let outside = inner.complement(Field::Oif.max(family));
    let arriving: Vec<Cube> = Cube::of(Dim::field(Field::Oif), outside, family).into_iter().collect();
    let deciding: Vec<Cube> = Cube::of(Dim::field(Field::Dst), public, family).into_iter().collect();
    let deciding = without(&deciding, &allowed(clients, family), family);
    let query = Query::new(Way::Output, family, Want::Accepted);
    let found = likely_hits(analysis, query, &cross(&arriving, &[opening(family)]), &deciding)?;
    let Some(hit) = found.best() else { return Ok(None) };
    let message = format!("{} traffic leaves outside the VPN when the tunnel does not take it", family.name());
    let line = analysis.line_words(hit.line);
    let place = match analysis.span(hit.line) {
        Some(_) => label(analysis, hit.line, spec.span, format!("{line} lets it out")),
        None => Label::new(first.span, "nothing on this device filters what leaves it"),
    };
    let mut finding = Finding::new(message, place).on(&device.name).about(format!("{} {}", device.name, family.name()));
    finding.count = found.count();
    finding.witness = Some(witness(analysis, hit, Way::Output, family));
    finding.related.push(Label::new(first.span, "the tunnel"));
    Ok(Some(doubt(analysis, hit, finding)))
}

/// What must leave outside the tunnel for it to come up: the tunnel's own packets, and address configuration (DHCP: RFC 2131, RFC 8415).
pub(super) fn allowed(clients: &[&Tunnel], family: Family) -> Vec<Cube> {
    let mut out = Vec::new();
    let ports = |proto: u128, port: Ranges| {
        Cube::of(Dim::field(Field::Proto), Ranges::single(proto), family).and_then(|c| c.with(Dim::field(Field::Dport), &port, family))
    };
    out.extend(ports(17, Ranges::from_values([67, 547])));
    for (tunnel, endpoint) in clients.iter().flat_map(|t| t.peers.iter().filter_map(move |p| Some((*t, p.endpoint.as_ref()?)))) {
        let mut cubes: Vec<Cube> = Vec::new();
        if tunnel.kind == TunnelKind::Ipsec {
            // Behind a translation IKE moves to port 4500, and ESP into it (RFC 3948); else ESP and AH are protocols of their own.
            cubes.extend(ports(17, Ranges::from_values([u128::from(endpoint.port), 4500])));
            cubes.extend(Cube::of(Dim::field(Field::Proto), Ranges::from_values([50, 51]), family));
        } else {
            cubes.extend(ports(u128::from(endpoint.protocol), Ranges::single(u128::from(endpoint.port))));
        }
        for cube in cubes {
            match parse_addr(&endpoint.host) {
                Some((f, n)) if f == family => out.extend(cube.with(Dim::field(Field::Dst), &Ranges::single(n), family)),
                Some(_) => {}
                // By name: the address is not known, so its port is let out to any.
                None => out.push(cube),
            }
        }
    }
    out
}
