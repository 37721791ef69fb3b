//! Every admitted way to a zone is encrypted.

use schemars::JsonSchema;
use serde::Deserialize;

use super::identity::line_identity;
use super::place::{cross, doubt, from_zone, label, likely_hits, line_subject, of_service, to_zone, unseen, unsolicited, without, witness};
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, body, flow};
use crate::diag::Finding;
use crate::eval::flow::{Query, Want};
use crate::eval::{Analysis, Limit, Way};
use crate::model::Tunnel;
use crate::net::{Family, Ranges};
use crate::packets::{Cube, Dim, Field};

/// The kind.
pub static ENCRYPTED: Kind = Kind { id: "encrypted", page: include_str!("encrypted.md"), parse, schema: body::schema_of::<Body> };

/// Which zone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The zone.
    to: String,
}

fn parse(value: &serde_yaml::Value, names: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = body::read(value)?;
    names.zone(&body.to, "to")?;
    Ok(Box::new(body))
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
        vec![self.to.clone()]
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome::default();
        for (device, ways) in flow::devices(world, spec, &self.to) {
            let Some(analysis) = world.analysis(&device.name) else { continue };
            outcome.considered.push(device.name.clone());
            for (way, family) in ways.iter().flat_map(|w| Family::BOTH.map(|f| (*w, f))) {
                match self.judge(world, spec, analysis, way, family) {
                    Ok(findings) => outcome.findings.extend(findings),
                    Err(Limit(why)) => outcome.incomplete.push(format!("{}: {why}", device.name)),
                }
            }
        }
        outcome
    }
}

impl Body {
    fn judge(&self, world: &World<'_>, spec: &Spec, analysis: &Analysis<'_>, way: Way, family: Family) -> Result<Vec<Finding>, Limit> {
        let Some(zone) = world.zone(&self.to) else { return Ok(Vec::new()) };
        if let Some(answer) = flow::unexported(analysis, spec, way, family) {
            return Ok(answer);
        }
        // What comes out of a tunnel was encrypted on the way to this device.
        let tunnels = analysis.device.tunnels.iter().filter_map(Tunnel::interfaces);
        let tunnels = tunnels.chain(world.zones.iter().flat_map(|z| z.through.iter().cloned()));
        let inner = tunnels.fold(Ranges::EMPTY, |s, p| s.or(&analysis.space.interfaces(&p)));
        let outer = inner.complement(Field::Iif.max(family));
        let mut arriving: Vec<Cube> = Cube::of(Dim::field(Field::Iif), outer, family).into_iter().collect();
        if !zone.addresses(family).is_empty() {
            arriving = without(&arriving, &from_zone(analysis, zone, family), family);
        }
        let encrypted: Vec<Cube> =
            world.services.values().filter(|s| s.encrypted == Some(true)).flat_map(|s| of_service(s, family)).collect();
        // Error messages and pings carry no customer data.
        let icmp = Ranges::from_values([1, 58]).complement(255);
        let deciding: Vec<Cube> =
            to_zone(analysis, zone, way, family).iter().filter_map(|c| c.with(Dim::field(Field::Proto), &icmp, family)).collect();
        let deciding = without(&deciding, &encrypted, family);
        let arriving = cross(&arriving, &[unsolicited(family)]);
        let found = likely_hits(analysis, Query::new(way, family, Want::Accepted), &arriving, &deciding)?;
        let more = found.more;
        let mut out: Vec<Finding> = found
            .found
            .iter()
            .map(|hit| {
                let line = analysis.line_words(hit.line);
                let words = crate::eval::words::service_words(&hit.decided_as.header_cube(family), family);
                let message = format!("{} is reached with {words}, unencrypted and outside any tunnel ({})", self.to, family.name());
                let mut finding = Finding::new(message, label(analysis, hit.line, spec.span, format!("{line} lets it through")));
                finding = finding.on(&analysis.device.name).about(format!(
                    "{} {} {}",
                    way.name(),
                    family.name(),
                    line_subject(world, analysis, hit.line)
                ));
                finding.identity = format!("{} {} {}", way.name(), family.name(), line_identity(world, analysis, hit.line));
                finding.witness = Some(witness(analysis, hit, way, family));
                doubt(analysis, hit, finding)
            })
            .collect();
        let more = out.last().and_then(|last| unseen(more, last));
        out.extend(more);
        Ok(out)
    }
}
