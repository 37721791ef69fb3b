//! Reading baselines: what is right is read, and what is wrong is said at its place, all of it at once.

use std::fs;
use std::path::{Path, PathBuf};

use fwproof::net::Family;
use fwproof::rulesets::{Baseline, SHIPPED, json_schema, load, load_text};
use fwproof::source::{Limits, Sources};
use proptest::prelude::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/baseline")
}

fn errors(text: &str) -> Vec<String> {
    match load_text(&mut Sources::default(), "b.yaml", text, &Limits::default()) {
        Ok(_) => vec![],
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// The errors of a baseline with these lines after its head (so the first of them is line 3).
fn errors_of(lines: &str) -> Vec<String> {
    errors(&format!("fwproof: 1\ntitle: t\n{lines}"))
}

fn good() -> (Sources, Baseline) {
    let mut sources = Sources::default();
    let baseline = match load(&mut sources, &fixtures().join("good.yaml"), &Limits::default()) {
        Ok(baseline) => baseline,
        Err(errors) => panic!("{}", errors.iter().map(|e| format!("{e}\n")).collect::<String>()),
    };
    (sources, baseline)
}

#[test]
fn a_whole_baseline_is_read() {
    let (sources, b) = good();
    assert_eq!(b.title, "Brook & Sons");
    assert_eq!(b.zones.iter().map(|z| z.name.as_str()).collect::<Vec<_>>(), ["office", "vpn", "customer-data", "internet"]);
    let internet = &b.zones[3];
    assert!(internet.internet && internet.v4.contains(0x0808_0808) && !internet.addresses(Family::V4).contains(10 << 24));
    assert!(internet.on["edge"][1].matches("ppp7") && b.zones[1].through[1].matches("tun0"));
    assert_eq!(b.services["ledger"].ports.len(), 3);
    assert_eq!(
        (b.services["ledger"].encrypted, b.services["crm"].encrypted, b.services["telnet"].encrypted),
        (Some(true), None, Some(false))
    );
    assert_eq!((b.sites[0].firewalls, b.sites[0].devices[0].as_str()), (1, "edge"));
    let workers = b.workers.as_ref().unwrap();
    assert_eq!(workers.exported_within_days, Some(30));
    assert_eq!(
        workers.people.iter().map(|p| (p.name.as_str(), p.device.as_str(), p.left.is_some())).collect::<Vec<_>>(),
        [("alice", "alice-laptop", false), ("bob", "bob", true)]
    );
    assert!(sources.locate(workers.people[1].span).ends_with("staff.csv:3:1"));
    let own: Vec<_> = b.checks.iter().filter(|e| e.ruleset.is_none()).map(|e| (e.spec.id.as_str(), e.kind.id)).collect();
    assert_eq!(own, [("crm-is-reachable", "flow"), ("backups-restore", "attest")]);
    assert_eq!(b.checks[0].spec.title, "Crm is reachable");
    assert!(sources.locate(b.checks[0].spec.span).ends_with("good.yaml:29:9"));
    let rule = b.checks.iter().find(|e| e.spec.id == "own-rule").unwrap();
    assert_eq!((rule.ruleset.as_deref(), rule.spec.severity.name()), (Some("own-rules"), "low"));
    assert_eq!((b.switched_off[0].id.as_str(), b.switched_off[0].ruleset.as_str()), ("own-second", "own-rules"));
    assert_eq!(b.waivers.list[0].ticket.as_deref(), Some("NET-7"));
    // A shipped check that asks for an attestation is answered by the one of the same id.
    let breach = b.checks.iter().find(|e| e.spec.id == "breach-notification").unwrap();
    assert_eq!(breach.ruleset.as_deref(), Some("customer-data"));
    assert_eq!(sources.get(breach.spec.span.file).path, sources.get(b.files[0]).path);
}

#[test]
fn every_error_is_said_at_its_place_and_all_at_once() {
    let said = errors_of(
        "zone: {}
zones:
  any: { addresses: any }
  office: { addresses: [10.0.0.5/8, 10.0.0.0/33, nonsense], onn: {} }
services:
  crm: [443, tcp/99999]
checks:
  - id: Bad_Id
    flow: { from: ofice, to: any }
  - id: a-check
    flwo: {}
  - id: a-check2
    severity: hgh
    attest: {}
  - id: a-check2
    attest: {}
    policy: {}
  - id: no-body
estate: { workers: { roster: staff.csv, each: [firewall], exported_within: 1 month } }
attestations:
  - { id: a-b, owner: x, evidence: https://x, reviewed: 1.9.2026, every: often }
adjust: { nothing-there: { severity: low } }
use: [customr-data]
",
    );
    let expected = [
        "b.yaml:3:1: unknown key \"zone\"; did you mean \"zones\"?",
        "b.yaml:5:3: \"any\" is not free as a name: it means every place",
        "b.yaml:6:61: unknown key \"onn\"; did you mean \"on\"?",
        "b.yaml:8:9: expected text, found the number 443",
        "b.yaml:10:9: \"Bad_Id\" is no id: write words in lower case with - between them",
        "b.yaml:11:19: there is no zone \"ofice\"; did you mean \"office\"?",
        "b.yaml:13:5: unknown key or kind of check \"flwo\"; did you mean \"flow\"?",
        "b.yaml:15:15: \"hgh\" is not known here; did you mean \"high\"?",
        "b.yaml:19:5: a check has the body of one kind only: make two checks",
        "b.yaml:20:9: the check has no body; write that of one kind:",
        "b.yaml:21:48: \"firewall\" is not known here; did you mean \"host-firewall\"?",
        "b.yaml:23:57: \"1.9.2026\" is no date: write it as 2026-09-01",
        "b.yaml:24:11: no ruleset in use has a check \"nothing-there\"",
        "b.yaml:25:7: there is no shipped ruleset \"customr-data\"; did you mean \"customer-data\"?",
    ];
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said}\n{expected}");
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}

#[test]
fn addresses_and_ports_are_judged_one_by_one() {
    let said = errors_of("zones:\n  a: { addresses: [10.0.0.5/8, 10.0.0.0/33, x] }\nservices: { s: [tcp/99999, '443', tpc/1, tcp/9-8] }\n");
    let places: Vec<&str> = said.iter().map(|s| s.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["b.yaml:4:20", "b.yaml:4:32", "b.yaml:4:45", "b.yaml:5:17", "b.yaml:5:28", "b.yaml:5:35", "b.yaml:5:42"]);
    assert!(said[0].contains("did you mean \"10.0.0.0/8\" or \"10.0.0.5\"?"));
}

#[test]
fn an_id_may_be_used_once() {
    let said = errors_of("checks:\n  - { id: a-b, attest: {} }\n  - { id: a-b, attest: {} }\n");
    assert_eq!(said, ["b.yaml:5:11: the id \"a-b\" is taken: b.yaml:4:11"]);
    let said = errors_of("zones:\n  a: { addresses: any }\n  a: { addresses: any }\n");
    assert_eq!(said, ["b.yaml:5:3: the key \"a\" is here twice (first on line 4)"]);
}

#[test]
fn bombs_and_wrong_shapes_are_errors() {
    assert!(errors(&"[".repeat(500_000))[0].contains("nested deeper"));
    assert!(errors(&"a: ".repeat(1000)).len() == 1);
    assert_eq!(errors("[]"), ["b.yaml:1:1: expected a mapping, found a list"]);
    assert_eq!(errors("hello"), ["b.yaml:1:1: expected a mapping, found a text"]);
    assert!(errors("fwproof: 2\ntitle: x\n")[0].contains("version 1"));
    assert_eq!(errors("title: x\n"), ["b.yaml:1:1: \"fwproof\" is missing"]);
    assert!(errors(&" ".repeat(2 << 20))[0].contains("larger than"));
    let mut bomb = String::from("fwproof: 1\ntitle: x\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")));
    }
    assert!(!errors(&bomb).is_empty());
}

#[test]
fn nothing_outside_the_folder_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("in");
    fs::create_dir(&inside).unwrap();
    fs::write(folder.path().join("secret.yaml"), "fwproof: 1\n").unwrap();
    fs::write(inside.join("big.yaml"), vec![b' '; 2 << 20]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("secret.yaml"), inside.join("link.yaml")).unwrap();
    let text =
        "fwproof: 1\ntitle: t\nuse: [../secret.yaml, /etc/passwd.yaml, link.yaml, gone.yaml, ./., big.yaml]\nwaivers: ../secret.yaml\n";
    fs::write(inside.join("b.yaml"), text).unwrap();
    let mut sources = Sources::default();
    let said: Vec<String> =
        load(&mut sources, &inside.join("b.yaml"), &Limits::default()).err().unwrap().into_iter().map(|e| e.message).collect();
    let ends = [
        "baseline's folder: only",
        "baseline's folder: only",
        "link that leads out",
        "is not there",
        "is not a file",
        "is larger than",
        "only files beside",
    ];
    assert_eq!(said.len(), ends.len(), "{said:#?}");
    for (said, end) in said.iter().zip(ends) {
        assert!(said.contains(end), "{said} {end}");
    }
    assert_eq!(sources.len(), 1);
}

#[test]
fn a_file_that_is_not_there_is_an_error_without_a_place() {
    let e = load(&mut Sources::default(), Path::new("gone/b.yaml"), &Limits::default()).err().unwrap();
    assert_eq!(e[0].to_string(), "gone/b.yaml: is not there");
}

#[test]
fn a_ruleset_says_what_it_needs() {
    let said = errors_of("use: customer-data\n");
    assert!(said[0].starts_with("b.yaml:3:6: customer-data needs a zone \"customer-data\": add it under `zones:`"), "{said:?}");
    let said = errors_of("use: [remote-worker, estate]\n");
    assert!(said[0].contains("workers") && said[1].contains("offices"), "{said:?}");
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/baseline.schema.json");
    let now = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(stored == now, "docs/baseline.schema.json is not up to date: run the tests once with UPDATE_SCHEMA=1");
}

#[test]
fn shipped_rulesets_are_complete_and_their_ids_unique() {
    let zones = "zones: { internet: { addresses: public }, customer-data: { addresses: 10.0.0.1 } }\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("staff.csv"), "name\nalice\n").unwrap();
    let uses: Vec<&str> = SHIPPED.iter().map(|s| s.id).collect();
    let text = format!(
        "fwproof: 1\ntitle: t\nuse: [{}]\n{zones}estate: {{ sites: {{ here: {{ firewalls: 1 }} }}, workers: {{ roster: staff.csv, each: [host-firewall, vpn-client, kill-switch] }} }}\n",
        uses.join(", ")
    );
    fs::write(folder.path().join("b.yaml"), text).unwrap();
    let baseline = match load(&mut Sources::default(), &folder.path().join("b.yaml"), &Limits::default()) {
        Ok(baseline) => baseline,
        Err(errors) => panic!("{errors:#?}"),
    };
    for entry in &baseline.checks {
        let spec = &entry.spec;
        for (what, text) in [("title", &spec.title), ("why", &spec.why), ("fix", &spec.fix)] {
            assert!(text.len() > 10, "{} has no {what}", spec.id);
        }
        assert!(!spec.title.ends_with('.'), "{}: a title is a sentence without its full stop", spec.id);
        assert!(!spec.refs.is_empty(), "{} answers no control", spec.id);
    }
    let ids: std::collections::BTreeSet<&str> = SHIPPED.iter().map(|s| s.id).collect();
    assert_eq!(ids.len(), SHIPPED.len());
}

fn damaged(text: &str, at: usize, byte: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    bytes[at] = byte;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn every_prefix_of_a_baseline_is_read_without_panic() {
    let text = fs::read_to_string(fixtures().join("good.yaml")).unwrap();
    for (end, _) in text.char_indices() {
        let _ = load_text(&mut Sources::default(), "b.yaml", &text[..end], &Limits::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_damaged_baseline_is_read_without_panic(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
        let text = fs::read_to_string(fixtures().join("good.yaml")).unwrap();
        let damaged = damaged(&text, at, byte);
        let _ = load_text(&mut Sources::default(), "b.yaml", &damaged, &Limits::default());
        let mut cut = cut.min(text.len());
        while !text.is_char_boundary(cut) { cut -= 1; }
        let _ = load_text(&mut Sources::default(), "b.yaml", &text[..cut], &Limits::default());
    }

    #[test]
    fn a_damaged_roster_is_read_without_panic(roster in "(name|alice|,|;|\n|\"|#|2026-01-01|é| ){0,40}") {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("staff.csv"), roster).unwrap();
        fs::write(folder.path().join("b.yaml"), "fwproof: 1\ntitle: t\nestate: { workers: { roster: staff.csv } }\n").unwrap();
        let _ = load(&mut Sources::default(), &folder.path().join("b.yaml"), &Limits::default());
    }
}
