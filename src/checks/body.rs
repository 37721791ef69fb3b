//! Reading a piece of YAML into a Rust type, with an error at its place for everything that is wrong.
//!
//! The type's JSON Schema is the only description of what may be written: it is what editors get, and what [`problems`] judges a
//! value by. Only a value without problems is handed to serde, whose own messages for nested data have no place. So a body type
//! derives `Deserialize` and `JsonSchema`, says `deny_unknown_fields`, and uses neither `untagged` nor `flatten`.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_yaml::Value;

use super::BodyError;

/// After so many problems the rest is not said: nobody reads it, and hostile input must not grow the output.
const MOST: usize = 100;

/// Reads a value of a type from YAML.
///
/// # Errors
/// The first of [`problems`].
pub fn read<T: DeserializeOwned + JsonSchema + 'static>(value: &Value) -> Result<T, BodyError> {
    match problems(value, &schema_value::<T>()).into_iter().next() {
        Some(problem) => Err(problem),
        None => serde_yaml::from_value(value.clone()).map_err(|e| BodyError { path: String::new(), message: e.to_string() }),
    }
}

/// The schema of a type, for [`Kind::schema`](super::Kind::schema).
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of a type as one JSON value without references.
pub fn schema_value<T: JsonSchema + 'static>() -> Arc<Json> {
    // Made once: a baseline has many entries of few types.
    static MADE: LazyLock<Mutex<HashMap<TypeId, Arc<Json>>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = made.entry(TypeId::of::<T>()).or_insert_with(|| {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        Arc::new(settings.into_generator().into_root_schema_for::<T>().to_value())
    });
    Arc::clone(schema)
}

/// Everything about a value that its schema does not allow, at most a hundred things.
pub fn problems(value: &Value, schema: &Json) -> Vec<BodyError> {
    let mut found = Found { path: Vec::new(), problems: Vec::new() };
    found.judge(value, schema, usize::MAX);
    found.problems
}

/// As [`problems`], but only of the value itself and the names of its keys, not of what the keys hold.
pub fn problems_on_top(value: &Value, schema: &Json) -> Vec<BodyError> {
    let mut found = Found { path: Vec::new(), problems: Vec::new() };
    found.judge(value, schema, 0);
    found.problems
}

/// The candidate that somebody who wrote `word` most likely meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let short: String = word.chars().take(64).collect::<String>().to_lowercase();
    let limit = short.chars().count().div_ceil(3).max(1);
    let whole = |c: &str| short.len() >= 4 && c.to_lowercase().contains(&short);
    candidates
        .into_iter()
        .map(|c| (if whole(c) { limit } else { strsim::damerau_levenshtein(&short, &c.to_lowercase()) }, c))
        .filter(|(distance, c)| *distance <= limit && *distance < c.chars().count())
        .min()
        .map(|(_, c)| c)
}

/// `; did you mean "…"?`, or the whole list where it is short and nothing is near, or nothing.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("; did you mean \"{near}\"?");
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    if all.is_empty() || all.len() > 16 { String::new() } else { format!("; one of: {}", all.join(", ")) }
}

/// A piece of the user's text, cut to what a message can hold.
pub fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// One thing, or a list of them: `ssh`, `[ssh, https]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

// A derived default would ask for `T: Default`.
impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = match value {
            Value::Sequence(_) => serde_yaml::from_value(value),
            other => serde_yaml::from_value(other).map(|one| vec![one]),
        };
        read.map(OneOrMany).map_err(serde::de::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

enum Step {
    Key(String),
    Index(usize),
}

struct Found {
    path: Vec<Step>,
    problems: Vec<BodyError>,
}

impl Found {
    fn say(&mut self, at_key: bool, message: String) {
        if self.problems.len() < MOST {
            let mut path = String::new();
            for step in &self.path {
                match step {
                    Step::Key(key) if path.is_empty() => path.push_str(key),
                    Step::Key(key) => path.extend([".", key]),
                    Step::Index(i) => path.push_str(&format!("[{i}]")),
                }
            }
            if at_key {
                path.push(':');
            }
            self.problems.push(BodyError { path, message });
        }
    }

    fn within(&mut self, step: Step, value: &Value, schema: &Json, depth: usize) {
        if depth > 0 {
            self.path.push(step);
            self.judge(value, schema, depth - 1);
            self.path.pop();
        }
    }

    // As deep as the schema, whose types do not recurse, and so not as deep as the input likes.
    fn judge(&mut self, value: &Value, schema: &Json, depth: usize) {
        for key in ["anyOf", "oneOf"] {
            if let Some(branches) = schema[key].as_array() {
                if let Some(words) = words(branches) {
                    return self.word(value, &words);
                }
                return match branches.iter().find(|b| fits(value, b)) {
                    Some(branch) => self.judge(value, branch, depth),
                    None => self.say(false, format!("expected {}, found {}", branches_text(branches), found(value))),
                };
            }
        }
        if let Some(list) = schema["enum"].as_array() {
            let words: Vec<&str> = list.iter().filter_map(Json::as_str).collect();
            if list.iter().any(Json::is_null) && value.is_null() {
                return;
            }
            return self.word(value, &words);
        }
        if !fits(value, schema) {
            // A whole document that is a mere text is no baseline: it may be a file with secrets, and is not quoted.
            let found = if self.path.is_empty() && value.is_string() { "a text".to_owned() } else { found(value) };
            return self.say(false, format!("expected {}, found {found}", expected(schema)));
        }
        match value {
            Value::Mapping(mapping) => self.mapping(mapping, schema, depth),
            Value::Sequence(list) => {
                if list.len() < schema["minItems"].as_u64().unwrap_or(0) as usize {
                    self.say(false, "the list is empty".into());
                }
                for (i, item) in list.iter().enumerate() {
                    self.within(Step::Index(i), item, &schema["items"], depth);
                }
            }
            Value::Number(number) => {
                let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
                let n = number.as_f64().unwrap_or(f64::NAN);
                if least.is_some_and(|l| n < l) || most.is_some_and(|m| n > m) {
                    self.say(false, format!("{number} is out of range"));
                }
            }
            _ => {}
        }
    }

    fn word(&mut self, value: &Value, words: &[&str]) {
        match value.as_str() {
            Some(s) if words.contains(&s) => {}
            Some(s) => self.say(false, format!("{} is not known here{}", quote(s), suggestion(s, words.iter().copied()))),
            None => self.say(false, format!("expected one of {}, found {}", words.join(", "), found(value))),
        }
    }

    fn mapping(&mut self, mapping: &serde_yaml::Mapping, schema: &Json, depth: usize) {
        let properties = schema["properties"].as_object();
        let known: Vec<&str> = properties.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default();
        for (key, value) in mapping {
            let Some(key) = key.as_str() else {
                self.say(false, format!("a key must be text, found {}: put it in quotes", found(key)));
                continue;
            };
            if let Some(schema) = properties.and_then(|p| p.get(key)) {
                self.within(Step::Key(key.to_owned()), value, schema, depth);
                continue;
            }
            match &schema["additionalProperties"] {
                Json::Bool(false) if self.problems.len() >= MOST => return,
                Json::Bool(false) => {
                    self.path.push(Step::Key(key.to_owned()));
                    let text = match key {
                        "<<" => "merge keys are not read: write the entries out".into(),
                        _ => format!("unknown key {}{}", quote(key), suggestion(key, known.iter().copied())),
                    };
                    self.say(true, text);
                    self.path.pop();
                }
                more => self.within(Step::Key(key.to_owned()), value, more, depth),
            }
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if !mapping.contains_key(required) {
                self.say(false, format!("\"{required}\" is missing"));
            }
        }
    }
}

/// The words of an enum whose variants have descriptions (schemars writes them as constants, or lists of them).
fn words(branches: &[Json]) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    for branch in branches {
        match (branch["const"].as_str(), branch["enum"].as_array()) {
            (Some(word), _) => words.push(word),
            (None, Some(list)) => words.extend(list.iter().filter_map(Json::as_str)),
            (None, None) => return None,
        }
    }
    Some(words)
}

fn types(schema: &Json) -> Vec<&str> {
    match &schema["type"] {
        Json::String(s) => vec![s],
        Json::Array(list) => list.iter().filter_map(Json::as_str).collect(),
        _ => match schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
            Some(branches) => branches.iter().flat_map(types).collect(),
            None if schema["const"].is_string() || schema["enum"].is_array() => vec!["string"],
            None => vec![],
        },
    }
}

fn fits(value: &Value, schema: &Json) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|t| match *t {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_bool(),
            "array" => value.is_sequence(),
            "object" => value.is_mapping(),
            "null" => value.is_null(),
            _ => true,
        })
}

fn branches_text(branches: &[Json]) -> String {
    let mut texts: Vec<String> = branches.iter().map(expected).filter(|t| !t.is_empty()).collect();
    texts.dedup();
    texts.join(" or ")
}

fn expected(schema: &Json) -> String {
    let mut names: Vec<&str> = types(schema)
        .into_iter()
        .filter_map(|t| match t {
            "string" => Some("text"),
            "integer" => Some("a whole number"),
            "number" => Some("a number"),
            "boolean" => Some("true or false"),
            "array" => Some("a list"),
            "object" => Some("a mapping"),
            _ => None,
        })
        .collect();
    names.dedup();
    names.join(" or ")
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) => quote(s),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) => "a mapping".into(),
        Value::Tagged(_) => "a tagged value".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, JsonSchema, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Body {
        name: String,
        #[serde(default)]
        many: OneOrMany<String>,
        color: Option<Color>,
        port: Option<u16>,
    }

    #[derive(Deserialize, JsonSchema, Debug)]
    #[serde(rename_all = "kebab-case")]
    enum Color {
        /// Red.
        DarkRed,
        /// Green.
        Green,
    }

    fn said(text: &str) -> Vec<String> {
        let value = serde_yaml::from_str(text).unwrap();
        problems(&value, &schema_value::<Body>()).into_iter().map(|p| format!("{}|{}", p.path, p.message)).collect()
    }

    #[test]
    fn every_problem_is_said_at_its_place() {
        assert_eq!(said("name: a\nmany: [b, c]\ncolor: green\nport: 1"), [""; 0]);
        assert_eq!(said("name: a\nmany: b"), [""; 0]);
        assert_eq!(
            said("nam: a\nmany: [1]\ncolor: dark-rad\nport: 65536"),
            [
                "nam:|unknown key \"nam\"; did you mean \"name\"?",
                "many[0]|expected text, found the number 1",
                "color|\"dark-rad\" is not known here; did you mean \"dark-red\"?",
                "port|65536 is out of range",
                "|\"name\" is missing",
            ]
        );
        assert_eq!(said("name: a\nmany: {}"), ["many|expected text or a list, found a mapping"]);
        assert_eq!(said("[]"), ["|expected a mapping, found a list"]);
    }

    #[test]
    fn what_has_no_problem_is_read() {
        let value = serde_yaml::from_str("name: a\nmany: b\ncolor: dark-red").unwrap();
        let body: Body = read(&value).unwrap();
        assert_eq!(body.many, OneOrMany(vec!["b".into()]));
        assert!(matches!(body.color, Some(Color::DarkRed)));
    }
}
