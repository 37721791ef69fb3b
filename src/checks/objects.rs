//! Named objects (addresses, services, aliases, schedules) that nothing uses, or that are used and not there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, body, select};
use crate::diag::{Finding, Label};
use crate::model::{Device, Named};

/// The kind.
pub static OBJECTS: Kind = Kind { id: "objects", page: include_str!("objects.md"), parse, schema: body::schema_of::<Aspect> };

/// What is asked of named objects.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Aspect {
    /// Objects that nothing uses.
    Unused,
    /// Objects that are used and not defined, or contain themselves.
    Undefined,
}

fn parse(value: &Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    Ok(Box::new(body::read::<Aspect>(value)?))
}

/// Places that a finding names.
const PLACES: usize = 8;

impl Check for Aspect {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Device
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome::default();
        for device in select::devices(world, spec).into_iter().filter(|d| d.has_filter()) {
            if device.names.is_empty() {
                outcome.inapplicable.push(device.name.clone());
                continue;
            }
            outcome.considered.push(device.name.clone());
            let found = match self {
                Aspect::Unused => unused(device),
                Aspect::Undefined => undefined(device),
            };
            outcome.findings.extend(found.into_iter().map(|f| f.on(&device.name)));
        }
        outcome
    }
}

/// One finding for each name space: nobody reads two hundred.
fn unused(device: &Device) -> Vec<Finding> {
    let mut spaces: BTreeMap<&str, Vec<&Named>> = BTreeMap::new();
    for named in device.names.unused() {
        spaces.entry(named.space).or_default().push(named);
    }
    let one = |(space, list): (&str, Vec<&Named>)| {
        let first = list.first()?;
        let message = match list.len() {
            1 => format!("nothing uses the {space} {}", first.name),
            n => format!("nothing uses {n} objects of the sort {space}, of them {}", first.name),
        };
        let mut finding = Finding::new(message, Label::new(first.span, ""));
        finding.related = list.iter().skip(1).take(PLACES - 1).map(|n| Label::new(n.span, format!("nor {}", n.name))).collect();
        finding.count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        Some(finding.about(format!("unused {space}")))
    };
    spaces.into_iter().filter_map(one).collect()
}

fn undefined(device: &Device) -> Vec<Finding> {
    let missing = device.names.undefined().into_iter().map(|n| {
        let message = format!("the {} {} is used here and defined nowhere", n.space, n.name);
        Finding::new(message, Label::new(n.span, "")).about(format!("undefined {} {}", n.space, n.name))
    });
    let cyclic = device.names.cycles().into_iter().map(|n| {
        let message = format!("the {} {} contains itself", n.space, n.name);
        Finding::new(message, Label::new(n.span, "")).about(format!("cyclic {} {}", n.space, n.name))
    });
    missing.chain(cyclic).collect()
}
