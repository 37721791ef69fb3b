//! What bad input gets: said with its place, exit code 3, and the rest is still judged.

mod cli_support;

use cli_support::{BASELINE, EDGE, Place};

fn tiny() -> Place {
    Place::with(&[("edge/nftables.conf", EDGE), ("baseline.yaml", BASELINE)])
}

#[track_caller]
fn incomplete(place: &Place, args: &[&str], said: &str) {
    let run = place.run(args);
    assert_eq!(run.code, 3, "{}{}", run.out, run.err);
    assert!(run.err.lines().any(|l| l.starts_with("error: ") && l.contains(said)), "{}", run.err);
    let mut allowed = args.to_vec();
    allowed.push("--allow-incomplete");
    let run = place.run(&allowed);
    assert_ne!(run.code, 3, "{}", run.err);
    assert!(run.err.lines().any(|l| l.starts_with("warning: ") && l.contains(said)), "{}", run.err);
}

#[test]
fn a_path_that_is_not_there_is_said_and_the_rest_is_judged() {
    let place = tiny();
    incomplete(&place, &["check", ".", "nowhere"], "nowhere: is not there");
    let run = place.run(&["check", ".", "nowhere"]);
    assert!(run.out.contains("1 file, no findings, 0 waived, 1 unread: INCOMPLETE"), "{}", run.out);
}

#[test]
fn a_folder_without_configurations_is_said() {
    let place = Place::with(&[("empty/README.md", "hello"), ("empty/notes.txt", "hello there")]);
    incomplete(&place, &["check", "empty"], "nothing to read: no configuration was recognised among 2 files");
}

#[test]
fn a_named_file_of_no_format_is_said_with_what_it_looks_like() {
    let place = Place::with(&[("a.txt", "ASA Version 9.1\nobject network x\n host 10.0.0.1\n"), ("b.txt", "-A FOO\nsomething\n")]);
    incomplete(&place, &["annotate", "a.txt"], "a.txt: is not read by this version (3 lines were looked at; 2 look like Cisco IOS or ASA)");
    incomplete(&place, &["annotate", "b.txt"], "say --format-of b.txt=iptables");
    assert_eq!(place.run(&["annotate", "b.txt", "--format-of", "b.txt=wireguard"]).err.matches("--format-of").count(), 0);
}

#[test]
fn a_foreign_firewall_in_a_folder_is_not_overlooked_and_a_letter_is_only_mentioned() {
    let place = tiny();
    place.write("edge/letter.txt", b"Dear all,\nplease read.\n");
    let run = place.run(&["check", "."]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("note: edge/letter.txt: is in no format that is recognised"), "{}", run.err);
    place.write(
        "branch/fw.txt",
        b"set security policies default-policy deny-all\nset interfaces ge-0/0/0 unit 0\nset firewall family inet filter x\n",
    );
    incomplete(&place, &["check", "."], "branch/fw.txt: is not read by this version");
}

#[test]
fn an_empty_export_proves_nothing() {
    let place = Place::with(&[("edge/rules.v4", ""), ("baseline.yaml", BASELINE)]);
    incomplete(&place, &["check", "."], "edge/rules.v4: is empty");
}

#[test]
fn includes_are_read_inside_the_folder_and_refused_outside() {
    let place = Place::with(&[
        ("edge/nftables.conf", "flush ruleset\ninclude \"./parts/*.nft\"\ninclude \"/etc/nftables.d/own.nft\"\n"),
        ("edge/parts/a.nft", EDGE),
        ("edge/nftables.d/own.nft", "define x = 1\n"),
        ("secret.nft", "define leaked = 4711\n"),
    ]);
    let run = place.run(&["annotate", "edge", "--summary"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert_eq!(run.out.matches("device edge").count(), 3, "{}", run.out);
    place.write("edge/nftables.conf", b"flush ruleset\ninclude \"../secret.nft\"\n");
    incomplete(&place, &["annotate", "edge"], "edge/nftables.conf:2:9: the include");
    let run = place.run(&["annotate", "edge"]);
    assert!(run.err.contains("leads out of the given folder") && !run.out.contains("4711"), "{}", run.err);
    place.write("edge/nftables.conf", b"flush ruleset\ninclude \"gone.nft\"\n");
    incomplete(&place, &["annotate", "edge"], "edge/nftables.conf:2:9: the included file \"gone.nft\" was not found");
}

#[test]
fn files_that_include_each_other_end() {
    let place = Place::with(&[("edge/a.nft", "include \"b.nft\"\ntable ip x {}\n"), ("edge/b.nft", "include \"a.nft\"\ntable ip y {}\n")]);
    let run = place.run(&["annotate", "edge"]);
    assert_eq!(run.code, 3, "{}{}", run.out, run.err);
    assert!(run.err.contains("includes itself"), "{}", run.err);
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_only_and_pipes_never_opened() {
    let place = tiny();
    place.write("outside.nft", EDGE.as_bytes());
    std::os::unix::fs::symlink(place.path().join("outside.nft"), place.path().join("edge/link.nft")).unwrap();
    incomplete(&place, &["check", "edge", "-b", "baseline.yaml"], "edge/link.nft: is a link that leads out of the given folder");
    std::fs::remove_file(place.path().join("edge/link.nft")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path().join("edge/dangling")).unwrap();
    incomplete(&place, &["check", "."], "edge/dangling: is a link whose target is not there");
    std::fs::remove_file(place.path().join("edge/dangling")).unwrap();
    std::os::unix::fs::symlink("nftables.conf", place.path().join("edge/current")).unwrap();
    assert_eq!(place.run(&["check", "."]).code, 0);
    assert!(std::process::Command::new("mkfifo").arg(place.path().join("edge/pipe.nft")).status().unwrap().success());
    incomplete(&place, &["check", "."], "edge/pipe.nft: is neither a file nor a folder");
    incomplete(&place, &["check", "edge/pipe.nft", "-b", "baseline.yaml"], "edge/pipe.nft: is neither a file nor a folder");
}

#[test]
fn bytes_that_are_not_text_and_every_encoding_are_read_as_far_as_they_go() {
    let place = Place::with(&[]);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(EDGE.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    place.write("a/utf16.nft", &utf16);
    place.write("b/crlf.nft", EDGE.replace('\n', "\r\n").as_bytes());
    place.write("c/bom.nft", format!("\u{feff}{EDGE}").as_bytes());
    let mut damaged = EDGE.replace("admins", "B\u{1}ro").into_bytes();
    let at = damaged.iter().position(|b| *b == 1).unwrap();
    damaged[at] = 0xfc;
    place.write("d/latin1.nft", &damaged);
    let run = place.run(&["annotate", ".", "--summary", "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let lines: Vec<serde_json::Value> = run.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[0]["lines"], &lines[1]["lines"]), (&lines[2]["lines"], &lines[2]["lines"]));
    assert_eq!(lines[3]["lines"]["not_modelled"], 1);
    assert_eq!(lines[3]["notes"][0]["line"], 5);
}

#[test]
fn standard_input_is_read_and_named() {
    let place = Place::with(&[]);
    let run = place.run_with(&["annotate", "-", "--summary"], &[], Some(EDGE.as_bytes()));
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.starts_with("<stdin> (nftables, device stdin): "), "{}", run.out);
    let run = place.run_with(&["annotate", "-"], &[], Some(b""));
    assert!(run.code == 3 && run.err.contains("<stdin>: is empty"), "{}", run.err);
}

#[test]
fn the_summary_has_its_keys_in_order() {
    let run = tiny().run(&["annotate", "edge", "--summary", "--json"]);
    let start = "{\"file\":\"edge/nftables.conf\",\"format\":\"nftables\",\"device\":\"edge\",\"lines\":{\"understood\":";
    assert!(run.out.starts_with(start), "{}", run.out);
    assert!(run.out.trim_end().ends_with(",\"not_modelled\":0,\"unsupported\":0,\"unrecognised\":0},\"notes\":[]}"), "{}", run.out);
}

#[test]
fn secrets_and_control_characters_reach_no_output() {
    let key = "YAnz5TF+lXXJte14tji3zlMNftqV0rGrmoz7VfQR1mE=";
    let place = Place::with(&[
        (
            "anna/wg0.conf",
            &format!(
                "[Interface]\nPrivateKey = {key}\nPrivatKey = {key}\nPassword = c4n4ry-hidden\nAddress = 10.0.0.2/32\n# \u{1b}[31m ##vso[task] \u{202e}x\n[Peer]\nPublicKey = HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=\nPresharedKey = {key}\nAllowedIPs = 0.0.0.0/0\n"
            ),
        ),
        (
            "ovpn/client.ovpn",
            "client\ndev tun\nremote vpn.example.com 1194\n<key>\n-----BEGIN PRIVATE KEY-----\nc4n4ryc4n4ryc4n4ryc4n4ryc4n4ry\n-----END PRIVATE KEY-----\n</key>\nfrobnicate password c4n4ry-plain\n",
        ),
        ("baseline.yaml", BASELINE),
    ]);
    let commands: [&[&str]; 8] = [
        &["check", "."],
        &["check", ".", "--format", "json"],
        &["check", ".", "--all"],
        &["annotate", "."],
        &["annotate", ".", "--summary", "--json"],
        &["show", "."],
        &["show", ".", "--json"],
        &["init", ".", "-o", "-"],
    ];
    for args in commands {
        let run = place.run(args);
        for text in [&run.out, &run.err] {
            assert!(!text.contains("YAnz5TF") && !text.contains("c4n4ry"), "{args:?}: {text}");
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains("##vso["), "{args:?}: {text}");
        }
    }
    let run = place.run(&["annotate", "anna"]);
    assert!(run.out.contains("PrivateKey = <secret 1>") && run.out.contains("PresharedKey = <secret 1>"), "{}", run.out);
}

#[test]
fn show_names_devices_hooks_chains_and_rules() {
    let run = tiny().run(&["show", "edge"]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("device edge\n") && run.out.contains("hook input") && run.out.contains("tcp dport 22 accept"), "{}", run.out);
    let run = tiny().run(&["show", "edge", "--json"]);
    let doc: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(doc["schema"], "fwproof-model/1");
    assert_eq!(doc["devices"][0]["hooks"][0]["policy"], "drop");
}

#[test]
fn a_first_baseline_is_written_once_and_is_valid() {
    let place = Place::with(&[("edge/nftables.conf", EDGE)]);
    let run = place.run(&["init", "."]);
    assert_eq!(run.code, 0, "{}", run.err);
    let before = std::fs::read(place.path().join("baseline.yaml")).unwrap();
    assert!(String::from_utf8_lossy(&before).contains("firewalls: 1, devices: [edge]"));
    let run = place.run(&["init", "."]);
    assert!(run.code == 2 && run.err.contains("is not overwritten"), "{}", run.err);
    assert_eq!(std::fs::read(place.path().join("baseline.yaml")).unwrap(), before);
    let run = place.run(&["check", "."]);
    assert_ne!(run.code, 2, "{}", run.err);
    // Editors know the words from the schema beside it, which is no configuration.
    let first = String::from_utf8_lossy(&before);
    assert!(first.starts_with("# yaml-language-server: $schema=baseline.schema.json\n"), "{first}");
    let schema = std::fs::read(place.path().join("baseline.schema.json")).unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&schema).unwrap()["properties"]["allow-change"].is_object());
    assert!(!run.err.contains("schema"), "{}", run.err);
}

#[test]
fn without_a_baseline_the_fitting_rulesets_are_used_and_the_next_step_is_named() {
    let place = Place::with(&[("edge/nftables.conf", EDGE)]);
    let run = place.run(&["check", "edge"]);
    assert!(
        run.err.contains("note: no baseline: checking against network-edge as shipped; `fwproof init` writes a first baseline"),
        "{}",
        run.err
    );
    assert!(run.err.contains("note: customer-data, estate, remote-worker ask for what only a baseline can say"), "{}", run.err);
    assert!(run.out.contains("network-edge"), "{}", run.out);
    assert_eq!(place.run(&["check", "edge", "-q"]).err, "");
}

#[test]
fn formats_explain_and_schema_answer() {
    let place = Place::with(&[]);
    let run = place.run(&["formats"]);
    assert!(run.code == 0 && run.out.contains("wireguard") && run.out.contains("export: "), "{}", run.out);
    assert!(serde_json::from_str::<serde_json::Value>(&place.run(&["formats", "--json"]).out).unwrap().is_array());
    assert!(serde_json::from_str::<serde_json::Value>(&place.run(&["schema"]).out).unwrap().is_object());
    assert_eq!(place.run(&["explain"]).code, 0);
    assert_eq!(place.run(&["explain", "vpn"]).code, 0);
}

#[test]
fn of_a_family_that_was_not_exported_nothing_is_said_to_pass_or_to_be_dropped() {
    let place = Place::with(&[("edge/rules.v4", "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n")]);
    let trace = |from: &str, to: &str| place.run(&["trace", "edge", "--hook", "input", "--from", from, "--to", to, "--proto", "tcp"]);
    let six = trace("2001:db8::1", "2001:db8::2");
    assert!(six.out.contains("\nunknown\n") && six.out.contains("ip6tables-save"), "{}", six.out);
    assert!(trace("192.0.2.1", "192.0.2.2").out.contains("\ndrop, by policy of filter/INPUT"));
    let packets = "{\"hook\":\"input\",\"src\":\"2001:db8::1\",\"dst\":\"2001:db8::2\",\"proto\":\"tcp\"}\n\
                   {\"hook\":\"forward\",\"src\":\"192.0.2.1\",\"dst\":\"192.0.2.2\",\"proto\":\"tcp\"}\n";
    let many = place.run_with(&["trace", "edge", "--packets", "-"], &[], Some(packets.as_bytes()));
    assert_eq!(many.out.matches("\"verdict\":\"unknown\"").count(), 2, "{}", many.out);
    let reach = place.run(&["reach", "edge"]).out;
    assert!(reach.contains("edge: IPv6 input\n  not known: no IPv6 rules for input were read"), "{reach}");
    assert!(reach.contains("edge: IPv4 forward\n  not known") && reach.contains("edge: IPv4 input\n  by rule 1"), "{reach}");
    let json = place.run(&["reach", "edge", "--json", "--hook", "input"]).out;
    assert!(json.lines().any(|l| l.contains("\"family\":\"IPv6\"") && l.contains("\"unknown\":")), "{json}");
}
