//! The JSON Schema of a baseline, for editors and for other tools.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::doc::{BaselineDoc, CheckDoc};
use crate::checks::KINDS;

/// The JSON Schema (draft 2020-12) of a baseline, with the body of every kind of check.
pub fn json_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut check = generator.subschema_for::<CheckDoc>().to_value();
    if let Some(name) = check["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        check = generator.definitions().get(name).cloned().unwrap_or(Value::Null);
    }
    let mut one_of = Vec::new();
    for kind in KINDS {
        let body = (kind.schema)(&mut generator).to_value();
        check["properties"][kind.id] = body;
        one_of.push(json!({ "required": [kind.id] }));
    }
    check["oneOf"] = Value::Array(one_of);
    check["description"] = json!("A check: what every check has, and the body of one kind.");
    let mut root = generator.into_root_schema_for::<BaselineDoc>().to_value();
    root["$defs"]["Check"] = check;
    if let Some(defs) = root["$defs"].as_object_mut() {
        defs.remove("CheckDoc");
    }
    root["properties"]["checks"]["items"] = json!({ "$ref": "#/$defs/Check" });
    root["properties"]["fwproof"] = json!({ "const": super::VERSION, "description": "Version of this language." });
    root["title"] = json!("fwproof baseline");
    root
}
