//! The page of each kind of check: it has its sections, and what it shows as an example can be written so.

use fwproof::checks::services::built_in_services;
use fwproof::checks::{KINDS, Kind, Names};

const SECTIONS: [&str; 6] = ["What it does", "Why", "Fields", "Examples", "Fix", "References"];

/// The zones and services that the examples speak of.
fn names() -> Names {
    let of = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let mut names = Names {
        zones: of(&["customer-data", "finance", "support", "office", "internet"]),
        services: built_in_services().into_keys().collect(),
        devices: of(&["edge-fw"]),
    };
    names.services.insert("crm".into());
    names
}

/// The text of each fenced block that is marked as YAML.
fn examples(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line.trim_end()) {
            (None, "```yaml") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The body of an example, which is a mapping with the kind as its only key.
fn body(kind: &Kind, example: &str) -> serde_yaml::Value {
    let value: serde_yaml::Value = serde_yaml::from_str(example).unwrap_or_else(|e| panic!("{}: {e}\n{example}", kind.id));
    let mapping = value.as_mapping().unwrap_or_else(|| panic!("{}: no mapping\n{example}", kind.id));
    assert_eq!(mapping.len(), 1, "{}: an example shows the body of one check\n{example}", kind.id);
    value.get(kind.id).unwrap_or_else(|| panic!("{}: an example is of another kind\n{example}", kind.id)).clone()
}

#[test]
fn every_page_has_its_sections_in_order() {
    for kind in KINDS {
        let headings: Vec<&str> = kind.page.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(headings, SECTIONS, "{}", kind.id);
        assert_eq!(kind.page.lines().next(), Some(format!("# {}", kind.id).as_str()));
        for (i, section) in kind.page.split("\n## ").enumerate().skip(1) {
            assert!(section.lines().skip(1).any(|l| !l.trim().is_empty()), "{}: {} is empty", kind.id, SECTIONS[i - 1]);
        }
    }
}

#[test]
fn every_example_of_a_page_is_a_body_of_its_kind() {
    for kind in KINDS {
        let section = kind.page.split("\n## ").find_map(|s| s.strip_prefix("Examples\n")).unwrap_or("");
        let shown = examples(section);
        assert!(!shown.is_empty(), "{} shows no example", kind.id);
        for example in shown {
            if let Err(e) = (kind.parse)(&body(kind, &example), &names()) {
                panic!("{}: {}: {}\n{example}", kind.id, e.path, e.message);
            }
        }
    }
}

#[test]
fn every_field_of_a_body_stands_on_its_page() {
    for kind in KINDS {
        let mut generator = schemars::SchemaGenerator::default();
        let schema = (kind.schema)(&mut generator).to_value();
        let defined = serde_json::to_value(generator.definitions()).unwrap_or_default();
        let mut words = Vec::new();
        for part in defined.as_object().into_iter().flat_map(|d| d.values()).chain([&schema]) {
            collect(part, &mut words);
        }
        for word in words {
            assert!(kind.page.contains(&format!("`{word}`")), "the page of {} does not explain `{word}`", kind.id);
        }
    }
}

/// The keys and the words that a schema names.
fn collect(schema: &serde_json::Value, words: &mut Vec<String>) {
    if let Some(keys) = schema.get("properties").and_then(serde_json::Value::as_object) {
        words.extend(keys.keys().cloned());
    }
    for key in ["oneOf", "anyOf"] {
        for part in schema.get(key).and_then(serde_json::Value::as_array).into_iter().flatten() {
            collect(part, words);
        }
    }
    words.extend(schema.get("const").and_then(serde_json::Value::as_str).map(str::to_owned));
    let list = schema.get("enum").and_then(serde_json::Value::as_array).into_iter().flatten();
    words.extend(list.filter_map(serde_json::Value::as_str).map(str::to_owned));
}
