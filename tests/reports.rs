//! Reports as those who read them want them: schemas, limits, bad text, and what was reviewed.

mod cli_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cli_support::{BASELINE, EDGE, Place};
use fwproof::diag::{CheckResult, FileReport, Finding, Label, LineState, Report, Severity, Verdict, Witness};
use fwproof::report::{FORMATS, View};
use fwproof::source::{Redactor, Sources, Span};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports")
}

/// The report of the fixture in a format.
fn small(format: &str) -> String {
    let place = Place::with(&[]);
    let args = ["check", ".", "-b", "baseline.yaml", "--as-of", "2026-11-23", "--format", format, "-q"];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fwproof"));
    let out = command.args(args).current_dir(folder().join("input")).env_clear().output().unwrap();
    drop(place);
    assert_eq!(out.status.code(), Some(1), "{format}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn each_format_writes_what_was_reviewed() {
    let mut wrong = Vec::new();
    for format in FORMATS {
        let path = folder().join("expected").join(format!("report.{}", format.id));
        let version = env!("CARGO_PKG_VERSION");
        let now =
            small(format.id).replace(&format!("\"{version}\""), "\"VERSION\"").replace(&format!("fwproof {version}"), "fwproof VERSION");
        if std::env::var_os("UPDATE_REPORTS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &now).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if now != expected {
            let line = now.lines().zip(expected.lines()).position(|(a, b)| a != b);
            wrong.push(format!("{} differs from line {:?} (UPDATE_REPORTS=1 writes it anew)", path.display(), line.map(|l| l + 1)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the schema of SARIF is, that a development dependency ships.
fn sarif_schema() -> Value {
    let out = std::process::Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--offline"]).output().unwrap();
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "serde-sarif").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(manifest.parent().unwrap().join("src/schema.json")).unwrap()).unwrap();
    // The published pattern has a bracket too many, which validators refuse. No report says its language.
    for definition in ["run", "toolComponent"] {
        schema["definitions"][definition]["properties"]["language"].as_object_mut().unwrap().remove("pattern");
    }
    schema
}

fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(value).take(5).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn sarif_is_valid_against_the_published_schema() {
    let schema = sarif_schema();
    for (what, text) in [("small", small("sarif")), ("many", many(6000, "sarif")), ("hostile", hostile("sarif").0)] {
        let log: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(errors(&schema, &log), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn sarif_has_what_github_and_gitlab_ask_for() {
    let log: Value = serde_json::from_str(&small("sarif")).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<&str> = rules.iter().map(|r| r["id"].as_str().unwrap()).collect();
    for id in ["only-the-shop-is-public", "rules-apply", "objects-are-used", "breach-notification", "firewall-rules-reviewed"] {
        assert!(ids.contains(&id), "every check that ran is listed: {id} of {ids:?}");
    }
    for rule in rules {
        for text in [&rule["shortDescription"]["text"], &rule["fullDescription"]["text"], &rule["help"]["text"], &rule["help"]["markdown"]]
        {
            assert!(text.as_str().is_some_and(|t| !t.is_empty()), "{rule}");
        }
        let number = rule["properties"]["security-severity"].as_str().map(|n| n.parse::<f32>().unwrap());
        let expected = match rule["properties"]["severity"].as_str().unwrap() {
            "critical" => Some(9.1..=10.0),
            "high" => Some(7.0..=8.9),
            "medium" => Some(4.0..=6.9),
            "low" => Some(0.1..=3.9),
            _ => None,
        };
        assert!(number.zip(expected.clone()).map_or(expected.is_none(), |(n, range)| range.contains(&n)), "{rule}");
    }
    let results = run["results"].as_array().unwrap();
    for result in results {
        assert_eq!(ids[result["ruleIndex"].as_u64().unwrap() as usize], result["ruleId"].as_str().unwrap());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && !uri.contains('\\') && !uri.starts_with("./"), "{uri}");
        assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
        let region = &place["region"];
        assert!(region["endLine"].is_null() || region["endLine"] == region["startLine"], "the region is one line: {region}");
        assert!(result["partialFingerprints"]["fwproof/v1"].is_string());
        // GitHub shows a related location only where the text links to it.
        for related in result["relatedLocations"].as_array().into_iter().flatten() {
            assert!(result["message"]["text"].as_str().unwrap().contains(&format!("]({})", related["id"])), "{result}");
        }
    }
    let waived: Vec<&Value> = results.iter().filter(|r| !r["suppressions"].as_array().unwrap().is_empty()).collect();
    assert!(!waived.is_empty() && waived.iter().all(|r| r["suppressions"][0]["justification"].as_str().unwrap().contains("January")));
    let steps = &results[0]["codeFlows"][0]["threadFlows"][0]["locations"];
    assert!(steps.as_array().is_some_and(|s| !s.is_empty()), "a witness's way is a code flow: {}", results[0]);
    let notes = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    let said = |id: &str| notes.iter().any(|n| n["descriptor"]["id"] == id);
    assert!(said("not-fully-understood") && said("not-shown"), "{notes:?}");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    assert!(results.iter().any(|r| r["message"]["text"].as_str().unwrap().starts_with("unknown: ") && r["level"] == "warning"));
}

#[test]
fn what_is_beyond_githubs_limits_is_left_out_and_said() {
    let log: Value = serde_json::from_str(&many(6000, "sarif")).unwrap();
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 5000);
    assert_eq!((&results[0]["level"], &results[4999]["level"]), (&"error".into(), &"note".into()), "the worst are kept");
    let notes = run["invocations"][0]["toolExecutionNotifications"].to_string();
    assert!(notes.contains("1000 results left out"), "{notes}");
    let markdown = many(6000, "markdown");
    assert!(markdown.chars().count() <= 60_000 && markdown.contains("more findings, none of them worse"), "{}", markdown.len());
    let github = many(6000, "github");
    for level in ["::error ", "::warning ", "::notice "] {
        assert!(github.lines().filter(|l| l.starts_with(level)).count() <= 10, "{github}");
    }
    assert!(github.contains("more annotations are not shown here"), "{github}");
    let html = many(6000, "html");
    assert!(html.contains("4000 more findings are not shown on this page"));
}

#[test]
fn the_json_report_is_valid_against_its_schema_and_the_schema_is_written_down() {
    let schema: Value = serde_json::from_str(&Place::with(&[]).run(&["schema", "report"]).out).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
    }
    let written: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(written == schema, "docs/report.schema.json is not that of the program (UPDATE_SCHEMA=1 writes it anew)");
    for (what, text) in [("small", small("json")), ("many", many(300, "json")), ("hostile", hostile("json").0)] {
        assert_eq!(errors(&schema, &serde_json::from_str(&text).unwrap()), Vec::<String>::new(), "{what}");
    }
}

/// An element of an XML document: name, attributes, depth.
type Element = (String, Vec<(String, String)>, usize);

fn elements(xml: &str) -> Vec<Element> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut out, mut depth) = (Vec::new(), 0);
    loop {
        let event = reader.read_event().unwrap_or_else(|e| panic!("not well-formed: {e}"));
        let (start, empty) = match event {
            quick_xml::events::Event::Start(e) => (e, false),
            quick_xml::events::Event::Empty(e) => (e, true),
            quick_xml::events::Event::End(_) => {
                depth -= 1;
                continue;
            }
            quick_xml::events::Event::Eof => break,
            _ => continue,
        };
        let attributes = start.attributes().map(|a| a.unwrap());
        let attributes = attributes.map(|a| (a.key.as_ref().to_owned(), a.value.to_string())).collect();
        out.push((start.name().as_ref().to_owned(), attributes, depth));
        depth += usize::from(!empty);
    }
    assert_eq!(depth, 0);
    out
}

/// Elements and attributes of Jenkins' junit-10.xsd, as far as they are used.
#[test]
fn junit_is_well_formed_and_its_counts_are_right() {
    let allowed = |element: &str| -> &[&str] {
        match element {
            "testsuites" => &["name", "tests", "failures", "errors"],
            "testsuite" => &["name", "tests", "failures", "errors", "skipped"],
            "testcase" => &["classname", "name"],
            "failure" | "error" | "skipped" => &["type", "message"],
            "system-out" => &[],
            other => panic!("{other} is no element of JUnit"),
        }
    };
    for xml in [small("junit"), many(300, "junit"), hostile("junit").0] {
        let list = elements(&xml);
        for (name, attributes, _) in &list {
            for (attribute, _) in attributes {
                assert!(allowed(name).contains(&attribute.as_str()), "{name} {attribute}");
            }
        }
        let count = |name: &str| list.iter().filter(|(n, ..)| n == name).count().to_string();
        let of = |e: &Element, name: &str| e.1.iter().find(|a| a.0 == name).map(|a| a.1.clone());
        assert_eq!(list[0].0, "testsuites");
        assert_eq!(of(&list[0], "tests"), Some(count("testcase")));
        assert_eq!(of(&list[0], "failures"), Some(count("failure")));
        let names: Vec<_> = list.iter().filter(|e| e.0 == "testcase").map(|e| e.1.clone()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "names of tests differ");
    }
    let xml = small("junit");
    assert!(xml.contains("<skipped type=\"medium\" message=\"waived: Moves behind the VPN in January"), "{xml}");
    assert!(xml.contains("not applicable: no export of these shows what it asks: edge"), "{xml}");
    assert!(xml.contains("<failure type=\"overdue (medium)\"") && xml.contains("<failure type=\"unknown (critical)\""), "{xml}");
}

#[test]
fn an_incomplete_run_is_an_error_in_every_format_that_has_one() {
    let place = Place::with(&[("edge/nftables.conf", EDGE), ("baseline.yaml", BASELINE)]);
    place.write("edge/broken.nft", b"\0\x01\x02\x03\x04\x05");
    for format in FORMATS {
        let run = place.run(&["check", ".", "--format", format.id]);
        assert_eq!(run.code, 3, "{}: the format does not change the exit code", format.id);
        if format.id != "text" {
            assert!(run.out.contains("broken.nft"), "{} does not say what was not read: {}", format.id, run.out);
        }
    }
    let out = |format| place.run(&["check", ".", "--format", format]).out;
    let log: Value = serde_json::from_str(&out("sarif")).unwrap();
    assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], false);
    assert_eq!(log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["level"], "error");
    assert!(out("junit").contains("<error type=\"incomplete\""));
    assert!(out("github").starts_with("::error file=edge/broken.nft,"), "{}", out("github"));
    assert!(out("markdown").contains("## fwproof: INCOMPLETE"));
}

#[test]
fn gitlab_gets_an_array_of_issues_with_unique_fingerprints() {
    for text in [small("gitlab"), many(300, "gitlab"), hostile("gitlab").0] {
        assert!(text.starts_with('['), "no byte order mark");
        let issues: Vec<Value> = serde_json::from_str(&text).unwrap();
        let mut seen = BTreeSet::new();
        for issue in &issues {
            assert!(
                ["description", "check_name", "fingerprint"].iter().all(|k| issue[k].as_str().is_some_and(|t| !t.is_empty())),
                "{issue}"
            );
            assert!(seen.insert(issue["fingerprint"].as_str().unwrap().to_owned()), "{issue}");
            assert!(["info", "minor", "major", "critical", "blocker"].contains(&issue["severity"].as_str().unwrap()));
            assert!(issue["location"]["lines"]["begin"].as_u64().unwrap() > 0);
        }
    }
    assert!(!small("gitlab").contains("2222"), "what is waived is left out: it would be shown as open");
}

#[test]
fn github_gets_nothing_but_commands_and_the_verdict() {
    for text in [small("github"), hostile("github").0] {
        let lines: Vec<&str> = text.lines().collect();
        let (last, commands) = lines.split_last().unwrap();
        assert!(last.starts_with("fwproof: "), "{last}");
        for line in commands {
            let known = ["::error file=", "::warning file=", "::notice file=", "::notice title="];
            assert!(known.iter().any(|k| line.starts_with(k)), "{line}");
            let (properties, _) = line[2..].split_once("::").unwrap();
            for property in properties.split_once(' ').unwrap().1.split(',') {
                let (key, value) = property.split_once('=').unwrap();
                assert!(["file", "line", "endLine", "col", "endColumn", "title"].contains(&key) && !value.contains(':'), "{line}");
            }
        }
    }
}

#[test]
fn a_table_has_the_same_columns_in_every_row_and_no_formula() {
    for text in [small("csv"), many(300, "csv"), hostile("csv").0] {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
        assert!(rows.len() > 1);
        for field in rows.iter().flatten() {
            assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r', '＝']), "{field}");
        }
    }
    let text = small("csv");
    for verdict in ["\"holds\"", "\"attested\"", "\"not-applicable\"", "\"unknown\"", "\"overdue\"", "\"violated\""] {
        assert!(text.contains(verdict), "{verdict} has no row");
    }
}

#[test]
fn one_page_needs_nothing_from_elsewhere_and_its_links_lead_somewhere() {
    for html in [small("html"), many(300, "html"), hostile("html").0] {
        for outside in
            ["<script", "javascript:", "src=", "<link", "@import", "url(", "http://", "https://", " onerror", " onload", " onclick"]
        {
            let tags = html.split('<').skip(1).filter_map(|t| t.split('>').next());
            let hit = tags.map(|t| format!("<{t}")).find(|t| t.contains(outside));
            assert!(hit.is_none(), "{outside}: {hit:?}");
        }
        let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|r| r.split('"').next()).collect();
        let unique: BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "ids are unique");
        for target in html.split("href=\"").skip(1).filter_map(|r| r.split('"').next()) {
            assert!(target.strip_prefix('#').is_some_and(|t| unique.contains(&t)), "{target} leads nowhere");
        }
        assert_eq!(html.matches("<h1>").count(), 1);
        let headings: Vec<u8> = html.split("<h").skip(1).filter_map(|r| r.bytes().next()).filter(u8::is_ascii_digit).collect();
        assert!(headings.windows(2).all(|w| w[1] <= w[0] + 1), "no level of headings is left out");
        for tag in ["article", "section", "table", "details", "pre", "dl", "ul", "div", "span", "a", "p", "main"] {
            let open = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
            assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "{tag} is closed as often as it is opened");
        }
    }
    let html = small("html");
    for part in ["Who can reach what", "not modelled", "attested", "not-applicable", "Waived", "Small &amp; Sons", "&lt;b&gt;old&lt;/b&gt;"]
    {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn one_run_writes_many_reports_and_the_exit_code_is_the_same() {
    let place = Place::with(&[("edge/nftables.conf", EDGE), ("baseline.yaml", &BASELINE.replace("firewalls: 1", "firewalls: 2"))]);
    let mut args = vec!["check".to_owned(), ".".into(), "--as-of".into(), "2026-09-01".into()];
    let mut alone = Vec::new();
    for format in FORMATS {
        args.extend(["-o".into(), format!("{}=out.{}", format.id, format.id)]);
        let run = place.run(&["check", ".", "--as-of", "2026-09-01", "--format", format.id]);
        assert_eq!(run.code, 1, "{}", format.id);
        alone.push(run.out);
    }
    // The second time there are reports in the folder: they are no configurations.
    for _ in 0..2 {
        let run = place.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
        assert!(run.err.ends_with("FAIL (fail-on medium)\n"), "{}", run.err);
        for (format, alone) in FORMATS.iter().zip(&alone).filter(|(f, _)| f.id != "text") {
            assert_eq!(&fs::read_to_string(place.path().join(format!("out.{}", format.id))).unwrap(), alone, "{}", format.id);
        }
    }
    // A format on standard output, and another beside it.
    let run = place.run(&["check", "edge", "-b", "baseline.yaml", "--format", "concise", "-o", "sarif=x.sarif"]);
    assert!(run.code == 1 && run.out.contains("high[all-firewalls-there]") && place.path().join("x.sarif").exists(), "{}", run.out);
    assert_eq!(place.run(&["check", ".", "-o", "sarif="]).code, 2);
}

#[test]
fn a_run_in_a_part_of_a_repository_names_files_as_the_repository_does() {
    let place =
        Place::with(&[("configs/edge/nftables.conf", EDGE), ("configs/baseline.yaml", &BASELINE.replace("firewalls: 1", "firewalls: 2"))]);
    let root = fs::canonicalize(place.path()).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fwproof"));
    command.args(["check", ".", "--format", "github"]).current_dir(root.join("configs")).env_clear().env("GITHUB_WORKSPACE", &root);
    let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(out.starts_with("::error file=configs/baseline.yaml,line=6,"), "{out}");
}

/// A report with many findings, and a view of it in a format.
fn many(n: usize, format: &str) -> String {
    let mut sources = Sources::default();
    let text = "tcp dport 22 accept\n".repeat(n);
    let id = sources.add("edge/big.nft", text.as_bytes());
    let redactor = Redactor::new(&sources, []);
    let check = |severity: Severity| {
        let findings = (0..n / 3).map(|i| {
            let span = Span::new(id, i * 20, i * 20 + 19);
            let mut f =
                Finding::new(format!("rule {i} lets too much through"), Label::new(span, "this one")).on("edge").about(format!("{i}"));
            (f.check, f.severity) = (format!("a-{severity}"), severity);
            f.related = (0..if i == 0 { 150 } else { 2 }).map(|k| Label::new(span, format!("other {k}"))).collect();
            f.witness =
                Some(Witness { words: "TCP".into(), packet: "{}".into(), path: vec![Label::new(span, "rule")], conditions: vec![] });
            f
        });
        CheckResult {
            id: format!("a-{severity}"),
            title: "Something holds".into(),
            severity,
            kind: "flow",
            ruleset: Some("rules".into()),
            why: "It matters.".into(),
            fix: "Mend it.".into(),
            refs: vec![],
            verdict: Verdict::Violated,
            considered: vec!["edge".into()],
            inapplicable: vec![],
            zones: vec![],
            findings: findings.collect(),
        }
    };
    let report = Report {
        title: "Many".into(),
        as_of: "2026-11-23".into(),
        files: vec![FileReport {
            file: id,
            format: Some("nftables"),
            device: Some("edge".into()),
            lines: vec![LineState::Understood; n],
            notes: vec![],
        }],
        devices: vec!["edge".into()],
        checks: [Severity::Low, Severity::Critical, Severity::Medium].map(check).into(),
        ..Report::default()
    };
    let view = View {
        report: &report,
        sources: &sources,
        redactor: &redactor,
        fail_on: Severity::Medium,
        allow_incomplete: false,
        all: false,
        list_incomplete: false,
        color: false,
        workspace: Default::default(),
    };
    let format = FORMATS.iter().find(|f| f.id == format).unwrap();
    (format.render)(&view)
}

/// What an attacker writes into names and comments.
const EVIL: &str = "<script>alert(1)</script><img src=x onerror=y>\"'&amp; ]]> --> =cmd|' /C calc'!A1 ##[error]x ##vso[task.complete] ::error::x %0A::error::y [l](http://evil.example) `x` @everyone #1 \u{202e}\u{200b}\u{9b}31m \u{1b}]8;;http://x\u{7}link";

/// A run over hostile text, in a format; with what was said besides.
fn hostile(format: &str) -> (String, String) {
    let place = Place::with(&[]);
    let comment = EVIL.replace('"', "'");
    let rule = format!("tcp dport 23 accept comment \"{comment}\"");
    let text = EDGE.replace(
        "iifname \"eth0\" tcp dport 22 accept comment \"admins\"",
        &format!("{rule}\n    bogus {comment}\n    ::error::begins a line"),
    );
    place.write("::error::edge,=1 <b>&%0A@x #1/a b.nft", text.as_bytes());
    let telnet = "  - id: telnet-closed\n    title: \"<i>Telnet</i> is closed ::x\"\n    severity: high\n    flow: { from: internet, to: firewall }\n    why: \"=1+1 <script>\"\n    fix: \"@me ##[x] \\u202e\"\n";
    let baseline =
        BASELINE.replace("devices: [edge]", "devices: [edge, 'other']").replace("title: Tiny Ltd", "title: \"Tiny <script> ::error::\"");
    place.write("baseline.yaml", format!("{baseline}{telnet}").as_bytes());
    let run = place.run(&["check", ".", "--format", format, "--as-of", "2026-09-01", "--all"]);
    assert!(run.code == 1 || run.code == 3, "{}", run.err);
    (run.out, run.err)
}

#[test]
fn hostile_text_is_only_text_in_every_format() {
    for format in FORMATS {
        let (out, err) = hostile(format.id);
        let quotes = ["html", "json", "junit", "markdown", "text"].contains(&format.id);
        // Without a roster there is no worker to say anything of.
        assert!(
            (out.contains("telnet-closed") || format.id == "scorecard") && (!quotes || out.contains("alert(1)")),
            "{}: the text is there: {out}",
            format.id
        );
        for c in out.chars().chain(err.chars()) {
            let bad = (c.is_control() && !matches!(c, '\n' | '\t')) && !(c == '\r' && format.id == "csv");
            let bidi = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{9b}');
            assert!(!bad && !bidi, "{}: {c:?}", format.id);
        }
        for line in out.lines().filter(|_| format.id != "github") {
            assert!(!line.trim_start().starts_with("::"), "{}: {line}", format.id);
        }
        for command in ["##[", "##vso["] {
            assert!(!out.contains(command), "{}: {command}", format.id);
        }
        if ["html", "junit"].contains(&format.id) {
            assert!(!out.contains("<script") && !out.contains("<img") && !out.contains("<i>"), "{}", format.id);
        }
        if format.id == "markdown" {
            // In a fence it is text; elsewhere no HTML, no link, no mention.
            let outside: String = out.split("```").step_by(2).collect();
            for live in ["<script", "<img", "](http", "@everyone", "http://"] {
                assert!(!outside.contains(live), "{live}: {outside}");
            }
        }
    }
}

#[test]
fn every_format_is_byte_for_byte_the_same_again() {
    for format in FORMATS {
        assert_eq!(small(format.id), small(format.id), "{}", format.id);
    }
}
