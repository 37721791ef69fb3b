//! `fwproof check` as a user meets it: exit codes, streams, formats, the same answer every time.

mod cli_support;

use cli_support::{BASELINE, EDGE, Place};

fn tiny() -> Place {
    Place::with(&[("edge/nftables.conf", EDGE), ("baseline.yaml", BASELINE)])
}

/// Two firewalls are asked for, so the check fails.
fn wanting() -> Place {
    Place::with(&[("edge/nftables.conf", EDGE), ("baseline.yaml", &BASELINE.replace("firewalls: 1", "firewalls: 2"))])
}

#[test]
fn what_holds_ends_with_0_and_pass_in_the_last_line() {
    let run = tiny().run(&["check", "."]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert_eq!(run.out.lines().last(), Some("fwproof: 1 file, no findings, 0 waived, 0 unread: PASS (fail-on medium)"));
    assert!(run.err.contains("the baseline is baseline.yaml"), "{}", run.err);
}

#[test]
fn a_finding_ends_with_1_unless_it_is_below_the_bar() {
    let place = wanting();
    let run = place.run(&["check", "."]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(run.out.starts_with("high[all-firewalls-there]: "), "{}", run.out);
    assert!(run.out.contains("\n --> baseline.yaml:6:12\n"), "{}", run.out);
    assert_eq!(run.out.lines().last(), Some("fwproof: 1 file, 1 high, 0 waived, 0 unread: FAIL (fail-on medium)"));
    let run = place.run(&["check", ".", "--fail-on", "critical"]);
    assert_eq!((run.code, run.out.lines().last().unwrap().contains("PASS (fail-on critical)")), (0, true), "{}", run.out);
}

#[test]
fn the_format_does_not_change_the_exit_code_and_json_says_the_same() {
    let run = wanting().run(&["check", ".", "--format", "json", "--as-of", "2026-09-01"]);
    assert_eq!(run.code, 1);
    let doc: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(doc["schema"], "fwproof-report/1");
    assert_eq!((&doc["exit_code"], &doc["conclusion"], &doc["as_of"]), (&1.into(), &"FAIL".into(), &"2026-09-01".into()));
    assert_eq!(doc["summary"]["findings"]["high"], 1);
    let finding = &doc["checks"][0]["findings"][0];
    assert_eq!((&finding["location"]["line"], &finding["location"]["column"]), (&6.into(), &12.into()));
    assert_eq!(finding["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(doc["files"][0]["path"], "edge/nftables.conf");
    assert_eq!(doc["files"][0]["lines"]["unrecognised"], 0);
}

#[test]
fn a_format_that_does_not_exist_is_answered_with_those_that_do() {
    let run = tiny().run(&["check", ".", "--format", "jsno"]);
    assert!(run.code == 2 && run.out.is_empty() && run.err.contains("did you mean \"json\"?"), "{}", run.err);
    assert!(run.err.contains("concise, csv, github, gitlab, html, json, junit, markdown, sarif, scorecard, text"), "{}", run.err);
}

#[test]
fn an_invalid_baseline_ends_with_2_and_every_error_at_its_place() {
    let place = tiny();
    place.write("bad.yaml", b"fwproof: 1\ntitle: x\nzoness: {}\nzones:\n  a: { addresses: [10.0.0.0/33] }\n");
    let run = place.run(&["check", ".", "-b", "bad.yaml"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("error: bad.yaml:3:1: ") && run.err.contains("did you mean \"zones\"?"), "{}", run.err);
    assert!(run.err.contains("error: bad.yaml:5:"), "{}", run.err);
}

#[test]
fn bad_arguments_end_with_2_whatever_else_is_wrong() {
    let place = tiny();
    for args in [
        &["check", "nowhere", "--as-of", "yesterday"][..],
        &["check", "--fail-on", "awful"],
        &["check", ".", "--format-of", "a"],
        &["check", ".", "--format-of", "a=iptabels"],
        &["check", ".", "--format-of", "nowhere.txt=iptables"],
        &["check", "-b", "nowhere.yaml"],
        &["chekc"],
        &["check", "--no-such-flag"],
        &["explain", "no-such-check"],
    ] {
        let run = place.run(args);
        assert_eq!(run.code, 2, "{args:?}: {}{}", run.out, run.err);
        assert!(run.err.lines().any(|l| l.starts_with("error: ")) && run.out.is_empty(), "{args:?}: {}", run.err);
    }
}

#[test]
fn several_baselines_are_not_chosen_from_at_random() {
    let place = tiny();
    place.write("fwproof.yaml", BASELINE.as_bytes());
    let run = place.run(&["check", "."]);
    assert!(run.code == 2 && run.err.contains("say which with -b"), "{}", run.err);
}

#[test]
fn the_answer_is_the_same_bytes_whatever_the_threads_and_the_order() {
    let place = Place::with(&[("baseline.yaml", BASELINE)]);
    for i in 0..30 {
        place.write(&format!("d{i}/fw.nft"), EDGE.replace("22", &format!("{}", 2200 + i)).replace("comment", "frob").as_bytes());
        place.write(&format!("d{i}/wg0.conf"), b"[Interface]\nAddress = 10.9.0.1/24\nFoo = bar\n");
    }
    let args = |jobs: &'static str, paths: &[&'static str]| {
        let mut args = vec!["check", "-b", "baseline.yaml", "--as-of", "2026-09-01", "-j", jobs];
        args.extend(paths);
        args
    };
    let paths = ["d1", "d2/fw.nft", "d10", "d3", "d20", "d2/wg0.conf"];
    let shuffled = ["d20", "d2/wg0.conf", "d3", "d1", "d10", "d2/fw.nft", "d10"];
    for format in fwproof::report::FORMATS.iter().map(|f| f.id) {
        let run = |jobs, paths: &[&'static str]| {
            let mut args = args(jobs, paths);
            args.extend(["--format", format]);
            let run = place.run(&args);
            (run.code, run.out, run.err)
        };
        let first = run("1", &paths);
        assert_eq!(first, run("4", &paths));
        assert_eq!(first, run("4", &shuffled));
        assert_eq!(first, run("1", &shuffled));
        let all = run("1", &["."]);
        assert_eq!(all, run("4", &["."]));
    }
}

#[test]
fn a_report_goes_to_a_file_without_colours_and_says_what_was_not_read() {
    let place = wanting();
    place.write("edge/broken.nft", b"\0\x01\x02\x03\x04\x05");
    let run = place.run(&["check", ".", "-o", "report.txt", "--color", "always"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    let text = std::fs::read_to_string(place.path().join("report.txt")).unwrap();
    assert!(text.contains("not read: edge/broken.nft: is not text") && text.ends_with("INCOMPLETE (fail-on medium)\n"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn colours_are_switched_in_one_place() {
    let place = wanting();
    assert!(!place.run(&["check", "."]).out.contains('\u{1b}'));
    assert!(place.run(&["check", ".", "--color", "always"]).out.contains('\u{1b}'));
    assert!(place.run_with(&["check", "."], &[("FORCE_COLOR", "1")], None).out.contains('\u{1b}'));
    assert!(!place.run_with(&["check", ".", "--color", "never"], &[("CLICOLOR_FORCE", "1")], None).out.contains('\u{1b}'));
}

#[test]
fn the_day_is_that_of_the_argument_or_of_the_environment() {
    let place = tiny();
    let epoch = [("SOURCE_DATE_EPOCH", "1788220800")];
    assert!(place.run_with(&["check", "."], &epoch, None).out.contains("as of 2026-09-01"));
    assert!(place.run_with(&["check", ".", "--as-of", "2025-01-02"], &epoch, None).out.contains("as of 2025-01-02"));
    assert_eq!(place.run_with(&["check", "."], &[("SOURCE_DATE_EPOCH", "soon")], None).code, 2);
}

#[test]
fn a_check_on_a_device_that_is_not_there_is_unknown() {
    let place = tiny();
    let more = "  - id: ghost\n    title: x\n    severity: medium\n    on: [nobody]\n    vpn: crypto\n    why: x\n    fix: y\n";
    place.write("baseline.yaml", format!("{BASELINE}{more}").as_bytes());
    let run = place.run(&["check", "."]);
    assert_eq!(run.code, 1, "{}", run.out);
    assert!(run.out.contains("unknown (medium)[ghost]: `on` names nobody"), "{}", run.out);
    assert!(run.out.lines().last().unwrap().contains("1 unknown"), "{}", run.out);
}

#[test]
fn alone_it_says_how_to_begin() {
    let run = tiny().run(&[]);
    assert!(run.out.lines().count() <= 20 && run.out.matches("\n  ").count() == 3, "{}", run.out);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = wanting();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fwproof"))
        .args(["check", "."])
        .current_dir(place.path())
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("failed"));
}
