//! The gate: what is new since an older version, what is known, what is waived.
#![allow(missing_docs, clippy::print_stderr)]

#[allow(dead_code)]
mod cli_support;

use std::collections::BTreeSet;
use std::path::Path;

use cli_support::{Place, Run};
use proptest::prelude::*;
use serde_json::Value;

const BASELINE: &str = "fwproof: 1
title: Gate
zones:
  internet: { addresses: public, on: { edge: eth0 } }
  office: { addresses: 10.1.0.0/24 }
checks:
  - id: nothing-from-outside
    severity: high
    flow: { from: internet, to: office }
  - id: no-any-to-any
    severity: medium
    rules: { aspect: any-to-any }
";

const HEAD: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n";

fn rules(list: &[&str]) -> String {
    format!("{HEAD}{}COMMIT\n", list.iter().map(|r| format!("{r}\n")).collect::<String>())
}

const SSH: &str = "-A FORWARD -i eth0 -d 10.1.0.5 -p tcp --dport 22 -j ACCEPT";
const WEB: &str = "-A FORWARD -i eth0 -d 10.1.0.6 -p tcp --dport 443 -j ACCEPT";
const DNS: &str = "-A FORWARD -i eth0 -d 10.1.0.7 -p udp --dport 53 -j ACCEPT";

fn place(old: &[&str], new: &[&str]) -> Place {
    let place = Place::with(&[("gate/baseline.yaml", BASELINE), ("old/edge/fw.rules", &rules(old)), ("new/edge/fw.rules", &rules(new))]);
    // Nothing of IPv6.
    for version in ["old", "new"] {
        place.write(&format!("{version}/edge/ip6tables-save.txt"), rules(&[]).as_bytes());
    }
    place
}

fn check(place: &Place, more: &[&str]) -> Run {
    let mut args = vec!["check", "new", "-b", "gate/baseline.yaml", "--as-of", "2026-11-25"];
    args.extend(more);
    place.run(&args)
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("{e}: {}{}", run.out, run.err))
}

fn fingerprints(report: &Value) -> BTreeSet<String> {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().flat_map(|c| c["findings"].as_array().unwrap()).map(|f| f["fingerprint"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn against_an_older_version_only_what_is_new_counts() {
    let same = check(&place(&[SSH], &[SSH]), &["--against", "old"]);
    assert_eq!(same.code, 0, "{}{}", same.out, same.err);
    assert!(same.out.ends_with(
        "fwproof: 2 files, no new findings, 0 waived, 1 known, 0 gone, 0 unread: PASS (fail-on medium, only what is new or worse counts)\n"
    ), "{}", same.out);
    assert!(same.out.contains("known[nothing-from-outside]: "), "{}", same.out);

    let more = check(&place(&[SSH], &[WEB, SSH]), &["--against", "old"]);
    assert_eq!(more.code, 1, "{}{}", more.out, more.err);
    assert!(more.out.contains(", 1 new high, 0 waived, 1 known, 0 gone, 0 unread: FAIL"), "{}", more.out);

    let less = check(&place(&[SSH, WEB], &[SSH]), &["--against", "old"]);
    assert_eq!(less.code, 0, "{}{}", less.out, less.err);
    assert!(less.out.contains("gone: high[nothing-from-outside] on edge: ") && less.out.contains(", 1 known, 1 gone, "), "{}", less.out);

    // Nothing is known where there is nothing to compare with.
    assert_eq!(check(&place(&[SSH], &[SSH]), &[]).code, 1);
    // A device that is not read is no device that was mended.
    let place = place(&[SSH], &[]);
    place.write("old/lab/ip6tables-save.txt", rules(&[]).as_bytes());
    place.write("old/lab/fw.rules", rules(&[SSH, "-A FORWARD -j ACCEPT"]).as_bytes());
    let run = check(&place, &["--against", "old"]);
    assert!(run.out.contains("[no-any-to-any] on lab: ") && run.out.contains("as the device was not read)"), "{}", run.out);
}

#[test]
fn an_older_version_may_be_a_report_of_it() {
    let place = place(&[SSH], &[WEB, SSH]);
    let old = place.run(&["check", "old", "-b", "gate/baseline.yaml", "--format", "json", "--as-of", "2026-11-25"]);
    place.write("old.json", old.out.as_bytes());
    let (by_report, by_folder) = (check(&place, &["--against", "old.json"]), check(&place, &["--against", "old"]));
    assert_eq!((by_report.code, &by_report.out), (1, &by_folder.out));
    for (text, said) in [
        (old.out.get(..old.out.len() / 2).unwrap(), "is no whole report"),
        (&*old.out.replace("\"violated\"", "\"odd\""), "is not as this version writes it"),
    ] {
        place.write("broken.json", text.as_bytes());
        let run = check(&place, &["--against", "broken.json"]);
        assert_eq!(run.code, 2, "{}", run.out);
        assert!(run.err.contains(said), "{}", run.err);
    }
    assert_eq!(check(&place, &["--against", "nowhere"]).code, 2);
}

#[test]
fn an_older_version_may_be_a_revision() {
    let place = place(&[], &[SSH]);
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
        std::process::Command::new("git").current_dir(place.path()).args(identity).args(args).output()
    };
    if git(&["init", "-q"]).is_err() {
        eprintln!("skipped: git is not installed");
        return;
    }
    for args in [&["add", "."][..], &["commit", "-qm", "one"]] {
        assert!(git(args).unwrap().status.success());
    }
    assert_eq!(check(&place, &["--against-git", "HEAD"]).code, 0);
    place.write("new/edge/fw.rules", rules(&[WEB, SSH]).as_bytes());
    let run = check(&place, &["--against-git", "HEAD"]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(run.out.contains("1 new high, 0 waived, 1 known, 0 gone"), "{}", run.out);
    assert_eq!(check(&place, &["--against-git", "nowhere"]).code, 2);
}

#[test]
fn every_format_says_how_findings_stand() {
    let place = place(&[SSH, DNS], &[WEB, SSH]);
    for (format, said) in [
        ("concise", &["known high[nothing-from-outside]", "high[nothing-from-outside]", "gone: high[nothing-from-outside] on edge"][..]),
        ("csv", &["\"known\"", "\"new\"", "\"compared\""]),
        ("gitlab", &["dport 443", "dport 22"]),
        ("html", &["<h3 id=\"known\">", "<h3 id=\"gone\">", "</b> known"]),
        ("json", &["\"compared\": \"known\"", "\"compared\": \"new\"", "\"gone\": ["]),
        ("junit", &["known: it was there before", "<failure"]),
        ("markdown", &["1 known", "1 gone", "finding is known", "finding is gone"]),
        ("sarif", &["\"baselineState\": \"unchanged\"", "\"baselineState\": \"new\""]),
        ("text", &["known[nothing", "gone: high"]),
    ] {
        let run = check(&place, &["--against", "old", "--format", format]);
        assert_eq!(run.code, 1, "{format}: {}{}", run.out, run.err);
        for text in said {
            let text = if format == "gitlab" { text.trim_start_matches("dport ") } else { text };
            assert!(run.out.contains(text), "{format}: {text}\n{}", run.out);
        }
    }
    let github = check(&place, &["--against", "old", "--format", "github"]).out;
    assert_eq!(github.matches("::error file=").count(), 1, "{github}");
    let schema: Value = serde_json::from_str(&place.run(&["schema", "report"]).out).unwrap();
    let report = json(&check(&place, &["--against", "old", "--format", "json"]));
    let errors: Vec<String> = jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|e| e.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn what_is_known_stays_in_the_count_and_out_of_the_verdict() {
    let place = place(&[], &[SSH, WEB]);
    let run = check(&place, &["--write-known", "known.yaml"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let text = std::fs::read_to_string(place.path().join("known.yaml")).unwrap();
    assert_eq!(text.lines().filter(|l| l.starts_with("  - { check: \"nothing-from-outside\", fingerprint: \"")).count(), 2, "{text}");
    assert!(!text.contains("10.1.0.5"), "no text of a configuration: {text}");
    let run = check(&place, &["--known", "known.yaml"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("no new findings, 0 waived, 2 known, 0 gone"), "{}", run.out);
    // The same again, byte for byte.
    check(&place, &["--write-known", "again.yaml"]);
    assert_eq!(std::fs::read_to_string(place.path().join("again.yaml")).unwrap(), text);
    // One more, and one less.
    place.write("new/edge/fw.rules", rules(&[DNS, WEB]).as_bytes());
    let run = check(&place, &["--known", "known.yaml"]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(
        run.out.contains("1 new high, 0 waived, 1 known, 1 gone") && run.out.contains("gone: high[nothing-from-outside] on edge ("),
        "{}",
        run.out
    );
    // What got worse is not known.
    place.write("new/edge/fw.rules", rules(&[SSH, WEB]).as_bytes());
    place.write("known.yaml", text.replace("severity: high", "severity: medium").as_bytes());
    assert_eq!(check(&place, &["--known", "known.yaml"]).code, 1);
    for (bad, said) in [
        (text.replace("severity: high", "severity: hgh"), "known.yaml:5:"),
        (text.replace("fingerprint: \"", "fingerprint: \"X"), "is no fingerprint"),
        (text.replace("known:", "knwon:"), "known.yaml:4:1: "),
        (text.replace("fwproof: 1", "fwproof: 2"), "known.yaml:3:"),
        ("[".repeat(100_000), "nest"),
    ] {
        place.write("known.yaml", bad.as_bytes());
        let run = check(&place, &["--known", "known.yaml"]);
        assert_eq!(run.code, 2, "{}", run.out);
        assert!(run.err.contains(said), "{said}: {}", run.err);
    }
}

#[test]
fn a_rule_that_changes_what_it_says_is_another_finding() {
    // FortiOS calls rules by numbers: the number alone does not tell one from another.
    let conf = |port: &str, id: u32| {
        format!(
            "#config-version=FGT60F-7.2.5-FW-build1517-230606:opmode=0:vdom=0:user=admin\nconfig system interface\n    edit \"wan1\"\n        set ip 198.51.100.2 255.255.255.0\n    next\n    edit \"lan\"\n        set ip 10.1.0.1 255.255.255.0\n    next\nend\nconfig firewall service custom\n    edit \"S\"\n        set tcp-portrange 22\n    next\n    edit \"T\"\n        set tcp-portrange 23\n    next\nend\nconfig firewall policy\n    edit {id}\n        set srcintf \"wan1\"\n        set dstintf \"lan\"\n        set srcaddr \"all\"\n        set dstaddr \"all\"\n        set action accept\n        set schedule \"always\"\n        set service \"{port}\"\n    next\nend\n"
        )
    };
    let of = |text: &str| {
        let place = Place::with(&[("gate/baseline.yaml", &BASELINE.replace("eth0", "wan1")), ("new/edge/fw.conf", text)]);
        let report = json(&check(&place, &["--format", "json"]));
        let check = report["checks"].as_array().unwrap().iter().find(|c| c["id"] == "nothing-from-outside").unwrap().clone();
        check["findings"].as_array().unwrap().iter().map(|f| f["fingerprint"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let first = of(&conf("S", 1));
    assert!(!first.is_empty());
    assert_eq!(first, of(&conf("S", 7)), "renumbered");
    assert_ne!(first, of(&conf("T", 1)), "another service");
}

/// Noise around the rules that findings are about.
fn noisy(keep: &[&str], noise: &[(usize, u8)]) -> String {
    let mut list: Vec<String> = keep.iter().map(|r| (*r).to_owned()).collect();
    for (at, kind) in noise {
        let text = match kind {
            0 => "# a comment".to_owned(),
            1 => format!("-A INPUT -s 192.0.2.{at} -p tcp --dport 7 -j DROP"),
            2 => format!("-A FORWARD -i eth1 -s 10.1.0.{at} -d 198.51.100.9 -j ACCEPT"),
            3 => String::new(),
            _ => format!("-A OUTPUT -d 192.0.2.{at} -j DROP"),
        };
        list.insert(at % (list.len() + 1), text);
    }
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    rules(&list)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fingerprints_survive_what_happens_around_their_rules(noise in prop::collection::vec((1usize..200, 0u8..5), 0..20), swap in any::<bool>(), name in "[a-z]{1,8}") {
        let keep = if swap { [WEB, SSH, DNS] } else { [SSH, DNS, WEB] };
        let place = place(&[SSH, WEB, DNS], &[]);
        // The file is renamed, too.
        std::fs::remove_file(place.path().join("new/edge/fw.rules")).unwrap();
        place.write(&format!("new/edge/{name}.rules"), noisy(&keep, &noise).as_bytes());
        let old = place.run(&["check", "old", "-b", "gate/baseline.yaml", "--format", "json", "--as-of", "2026-11-25"]);
        let new = check(&place, &["--format", "json"]);
        prop_assert_eq!(fingerprints(&json(&old)), fingerprints(&json(&new)));
        let run = check(&place, &["--against", "old"]);
        prop_assert_eq!(run.code, 0, "{}", run.out);
        prop_assert!(run.out.contains("3 known, 0 gone"), "{}", run.out);
    }
}

#[test]
fn a_fingerprint_holds_no_secret() {
    // Two secrets, read in another order: the findings are the same, and nothing of the secrets is in them.
    let wg = |name: &str, psk: &str| {
        (
            format!("new/edge/{name}.conf"),
            format!(
                "[Interface]\nPrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAddress = 10.9.0.1/24\n[Peer]\nPublicKey = BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=\nPresharedKey = {psk}\nAllowedIPs = 0.0.0.0/0\n"
            ),
        )
    };
    let of = |psk: &str| {
        let (path, text) = wg("wg0", psk);
        let place = Place::with(&[("gate/baseline.yaml", BASELINE), (&path, &text), ("new/edge/fw.rules", &rules(&[SSH]))]);
        place.write(
            "gate/baseline.yaml",
            BASELINE.replace("title: Gate", "title: Gate\nuse: network-edge").replace("no-any-to-any", "none-from-any-to-any").as_bytes(),
        );
        fingerprints(&json(&check(&place, &["--format", "json"])))
    };
    assert_eq!(of("CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC="), of("DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDC="));
}

// ------------------------------------------------------------------------------------------------------------------------- waivers

fn with_waivers(waivers: &str, more: &str) -> Place {
    let place = place(&[], &[SSH, WEB]);
    place.write("gate/baseline.yaml", format!("{}waivers: {more}\n", BASELINE).as_bytes());
    place.write("gate/waivers.yaml", waivers.as_bytes());
    place
}

const EMPTY: &str = "# Ours.\nfwproof: 1\nwaivers: [] # none\n";

fn print_of(place: &Place, text: &str) -> String {
    let report = json(&check(place, &["--format", "json"]));
    let all: Vec<&Value> = report["checks"].as_array().unwrap().iter().flat_map(|c| c["findings"].as_array().unwrap()).collect();
    all.iter().find(|f| f["subject"].as_str().unwrap().contains(text)).unwrap()["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn a_finding_is_waived_by_a_command_and_counts_again_when_that_ends() {
    let place = with_waivers(EMPTY, "waivers.yaml");
    let print = print_of(&place, "--dport 22");
    let waive = |print: &str, expires: &str| {
        place.run(&[
            "waive",
            print,
            "new",
            "-b",
            "gate/baseline.yaml",
            "--as-of",
            "2026-11-25",
            "--reason",
            "until the move",
            "--owner",
            "cto@example.com",
            "--expires",
            expires,
            "--ticket",
            "NET-1",
        ])
    };
    let run = waive(&print, "2026-12-31");
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.starts_with("gate/waivers.yaml: accepts 1 finding of nothing-from-outside until 2026-12-31: "), "{}", run.out);
    let text = std::fs::read_to_string(place.path().join("gate/waivers.yaml")).unwrap();
    assert!(text.starts_with("# Ours.\nfwproof: 1\nwaivers: # none\n  # ") && text.contains("    ticket: \"NET-1\"\n"), "{text}");
    let run = check(&place, &[]);
    assert!(run.code == 1 && run.out.contains(", 1 high, 1 waived,"), "{}", run.out);
    // The day after.
    let run = place.run(&["check", "new", "-b", "gate/baseline.yaml", "--as-of", "2027-01-01"]);
    assert!(
        run.out.contains(", 2 high, 1 medium, 0 waived,")
            && run.out.contains("expired on 2026-12-31: the finding that it accepted counts again"),
        "{}",
        run.out
    );
    // What is not there, is over, or is waived already.
    for (print, expires, said) in [
        ("0123456789abcdef", "2026-12-31", "there is no such finding now"),
        ("x", "2026-12-31", "is no fingerprint"),
        (&print, "2026-12-31", "is waived already: until the move"),
        (&print, "2026-01-01", "that day is over"),
        (&print, "soon", "write a day"),
    ] {
        let run = waive(print, expires);
        assert_eq!(run.code, 2, "{}", run.out);
        assert!(run.err.contains(said), "{said}: {}", run.err);
    }
    assert_eq!(std::fs::read_to_string(place.path().join("gate/waivers.yaml")).unwrap(), text, "nothing was written");
    // A second one goes below the first.
    assert_eq!(waive(&print_of(&place, "--dport 443"), "2026-12-31").code, 0);
    assert_eq!(check(&place, &[]).code, 0);
    // One that is no longer needed is a finding.
    place.write("new/edge/fw.rules", rules(&[WEB]).as_bytes());
    let run = check(&place, &["--fail-on", "low"]);
    assert!(
        run.code == 1 && run.out.contains("the waiver of nothing-from-outside waives nothing: the check has no such finding"),
        "{}",
        run.out
    );
}

#[test]
fn a_baseline_bounds_waivers_and_a_check_may_refuse_them() {
    let waiver = "fwproof: 1\nwaivers:\n  - { check: nothing-from-outside, reason: x, owner: y, expires: 2027-06-30 }\n";
    let place = with_waivers(waiver, "{ file: waivers.yaml, at_most: 90 days }");
    let run = check(&place, &[]);
    assert!(run.code == 1 && run.out.contains("the baseline lets none end more than 90 days ahead: it accepts nothing"), "{}", run.out);
    assert!(run.out.contains("2 high, 1 medium, 0 waived"), "{}", run.out);
    assert_eq!(place.run(&["check", "new", "-b", "gate/baseline.yaml", "--as-of", "2027-05-01"]).code, 0);
    let print = print_of(&place, "--dport 22");
    let run = place.run(&[
        "waive",
        &print,
        "new",
        "-b",
        "gate/baseline.yaml",
        "--as-of",
        "2026-11-25",
        "--reason",
        "r",
        "--owner",
        "o",
        "--expires",
        "2027-06-30",
    ]);
    assert!(run.code == 2 && run.err.contains("lets no waiver end more than 90 days ahead"), "{}", run.err);

    let place = with_waivers(waiver, "waivers.yaml");
    let text = std::fs::read_to_string(place.path().join("gate/baseline.yaml")).unwrap();
    place.write("gate/baseline.yaml", text.replacen("    severity: high\n", "    severity: high\n    waivable: false\n", 1).as_bytes());
    let run = check(&place, &[]);
    assert_eq!(run.code, 2, "{}", run.out);
    assert!(run.err.contains("gate/waivers.yaml:3:14: findings of \"nothing-from-outside\" cannot be waived"), "{}", run.err);
    for (bad, said) in [("{ at_most: soon }", "is no length of time"), ("{ fil: x }", "unknown key"), ("[]", "must be the path of a file")]
    {
        let place = with_waivers(EMPTY, bad);
        let run = check(&place, &[]);
        assert!(run.code == 2 && run.err.contains(said), "{}{}", run.out, run.err);
    }
}

#[test]
fn comments_of_configurations_count_only_where_the_baseline_says_so() {
    let commented = |day: &str| {
        format!(
            "{HEAD}# fwproof: waive nothing-from-outside until {day}: the move\n{SSH}\n-A FORWARD -i eth0 -d 10.1.0.6 -p tcp --dport 443 -m comment --comment \"fwproof: waive nothing-from-outside until {day}: the shop\" -j ACCEPT\n{DNS}\nCOMMIT\n"
        )
    };
    let place = with_waivers(EMPTY, "waivers.yaml");
    place.write("new/edge/fw.rules", commented("2026-12-31").as_bytes());
    let run = check(&place, &[]);
    assert!(run.out.contains(", 3 high, 2 info, 0 waived,"), "{}", run.out);
    assert!(run.out.contains("is not heeded: the baseline does not allow it"), "{}", run.out);
    let place = with_waivers(EMPTY, "{ in_configurations: true }");
    place.write("new/edge/fw.rules", commented("2026-12-31").as_bytes());
    let run = check(&place, &[]);
    assert!(run.out.contains(", 1 high, 2 waived,"), "{}", run.out);
    assert!(run.out.contains("the move (new/edge/fw.rules:5, until 2026-12-31)"), "{}", run.out);
    place.write("new/edge/fw.rules", commented("2026-10-31").as_bytes());
    assert!(check(&place, &[]).out.contains(", 3 high, 2 medium, 0 waived,"));
    for (day, said) in [("soon", "cannot be read: the day is not written"), ("2026-12-31: \n#", "the reason is missing")] {
        place.write("new/edge/fw.rules", commented(day).as_bytes());
        let run = check(&place, &[]);
        assert!(run.out.contains(said), "{}", run.out);
    }
}

#[test]
fn the_file_of_the_sample_takes_a_waiver() {
    let sample = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/acme/waivers.yaml")).unwrap();
    let new = fwproof::rulesets::NewWaiver {
        check: "a-b".into(),
        fingerprint: "0123456789abcdef".into(),
        device: None,
        reason: "r".into(),
        owner: "o".into(),
        ticket: None,
        expires: "2026-12-31".parse().unwrap(),
        about: String::new(),
    };
    let out = fwproof::rulesets::add_waiver(&sample, &new).unwrap();
    assert!(out.starts_with(&sample), "{out}");
}
