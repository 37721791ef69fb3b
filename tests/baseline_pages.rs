//! The page of a kind is its test: it has its sections, and what it shows as an example can be written.

use std::collections::BTreeSet;

use fwproof::checks::services::built_in_services;
use fwproof::checks::{KINDS, Names};

const SECTIONS: [&str; 6] = ["What it does", "Why", "Fields", "Examples", "Fix", "References"];

#[test]
fn every_page_has_its_sections_in_order() {
    for kind in KINDS {
        assert!(kind.page.starts_with(&format!("# {}\n", kind.id)), "{}", kind.id);
        let headings: Vec<&str> = kind.page.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(headings, SECTIONS, "{}", kind.id);
        for (section, text) in SECTIONS.iter().zip(kind.page.split("\n## ").skip(1)) {
            assert!(text.lines().skip(1).any(|l| !l.trim().is_empty()), "{}: {section} is empty", kind.id);
        }
    }
}

#[test]
fn every_example_can_be_written() {
    let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
    let names = Names {
        zones: words(&["office", "finance", "support", "internet", "customer-data"]),
        services: built_in_services().into_keys().chain(["crm".to_owned()]).collect(),
        devices: words(&["edge"]),
    };
    for kind in KINDS {
        let mut examples = 0;
        for block in kind.page.split("```yaml\n").skip(1) {
            let text = block.split("```").next().unwrap();
            let value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
            let body = value.get(kind.id).unwrap_or_else(|| panic!("{}: an example of another kind", kind.id));
            if let Err(e) = (kind.parse)(body, &names) {
                panic!("{}: {}: {}\n{text}", kind.id, e.path, e.message);
            }
            examples += 1;
        }
        assert!(examples > 0, "{}", kind.id);
    }
}

#[test]
fn kinds_are_in_order_and_their_ids_words() {
    let ids: Vec<&str> = KINDS.iter().map(|k| k.id).collect();
    assert!(ids.windows(2).all(|w| w[0] < w[1]), "{ids:?}");
    assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
}

#[test]
fn a_wrong_body_is_an_error_and_no_panic() {
    for kind in KINDS {
        for text in ["[]", "1", "nonsense", "{ nonsense: 1 }", "{ aspect: nonsense }", "", "{ owner: x }"] {
            let value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
            assert!((kind.parse)(&value, &Names::default()).is_err(), "{}: {text}", kind.id);
        }
    }
}

#[test]
fn every_field_and_word_of_a_body_stands_on_its_page() {
    for kind in KINDS {
        let mut generator = schemars::SchemaGenerator::default();
        let schema = (kind.schema)(&mut generator).to_value();
        let defined = serde_json::to_value(generator.definitions()).unwrap();
        let mut words = Vec::new();
        for part in defined.as_object().into_iter().flat_map(|d| d.values()).chain([&schema]) {
            collect(part, &mut words);
        }
        for word in words {
            assert!(kind.page.contains(&format!("`{word}`")), "the page of {} does not explain {word}", kind.id);
        }
    }
}

/// The keys and the words that a schema names.
fn collect(schema: &serde_json::Value, words: &mut Vec<String>) {
    if let Some(keys) = schema.get("properties").and_then(serde_json::Value::as_object) {
        words.extend(keys.keys().cloned());
    }
    let list = |key: &str| schema.get(key).and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    list("oneOf").iter().chain(&list("anyOf")).for_each(|part| collect(part, words));
    words.extend(schema.get("const").and_then(serde_json::Value::as_str).map(str::to_owned));
    words.extend(list("enum").iter().filter_map(serde_json::Value::as_str).map(str::to_owned));
}
