//! The page of a kind is its test: it has its sections, and what it shows as an example can be written.

use std::collections::BTreeSet;

use fwproof::checks::{KINDS, Kind, Names};

/// A page that is no more than its title is still to be written.
fn is_written(kind: &Kind) -> bool {
    kind.page.lines().count() > 1
}

#[test]
fn every_page_has_its_sections() {
    for kind in KINDS.iter().filter(|k| is_written(k)) {
        assert!(kind.page.starts_with(&format!("# {}\n", kind.id)), "{}", kind.id);
        for section in ["What it does", "Why", "Fields", "Fix", "References"] {
            assert!(kind.page.contains(&format!("\n## {section}\n")), "{}: {section}", kind.id);
        }
        assert!(kind.page.contains("\n## Example"), "{}: Example", kind.id);
    }
}

#[test]
fn every_example_can_be_written() {
    let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
    let names = Names {
        zones: words(&["office", "finance", "internet", "customer-data"]),
        services: words(&["crm", "ssh", "https"]),
        devices: words(&["edge"]),
    };
    for kind in KINDS.iter().filter(|k| is_written(k)) {
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
    for kind in KINDS.iter().filter(|k| is_written(k)) {
        for text in ["[]", "1", "nonsense", "{ nonsense: 1 }", "{ aspect: nonsense }", "", "{ owner: x }"] {
            let value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
            assert!((kind.parse)(&value, &Names::default()).is_err(), "{}: {text}", kind.id);
        }
    }
}
