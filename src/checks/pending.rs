//! Kinds whose analysis is not there yet: they read names of zones and services and find nothing to check.

use serde_yaml::Value;

use super::{BodyError, Check, Kind, Names, Outcome, Spec, World};

macro_rules! pending {
    ($name:ident, $id:literal) => {
        /// Not there yet.
        pub static $name: Kind = Kind { id: $id, page: "", parse, schema: |_| true.into() };
    };
}

pending!(FLOW, "flow");
pending!(POLICY, "policy");
pending!(RULES, "rules");
pending!(KILLSWITCH, "killswitch");
pending!(ENCRYPTED, "encrypted");

struct Pending;

impl Check for Pending {
    fn run(&self, _: &World<'_>, _: &Spec) -> Outcome {
        Outcome::default()
    }
}

fn parse(value: &Value, names: &Names) -> Result<Box<dyn Check>, BodyError> {
    for key in ["from", "to"] {
        if let Some(name) = value.get(key).and_then(Value::as_str)
            && !["any", "untrusted", "firewall"].contains(&name)
        {
            names.zone(name, key)?;
        }
    }
    if let Some(name) = value.get("service").and_then(Value::as_str)
        && !["any", "cleartext", "admin"].contains(&name)
    {
        names.service(name, "service")?;
    }
    Ok(Box::new(Pending))
}
