//! What a change is meant to do, and what differs besides packets.
#![allow(missing_docs)]

#[allow(dead_code)]
mod cli_support;

use cli_support::Place;
use serde_json::Value;

const OLD: &str = "\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -s 10.1.0.0/24 -d 10.2.0.5 -p tcp --dport 22 -j ACCEPT
COMMIT
";

/// One port more for the office, and one that nobody asked for.
fn new(more: &str) -> String {
    OLD.replace("COMMIT", &format!("-A FORWARD -s 10.1.0.0/24 -d 10.2.0.5 -p tcp --dport 443 -j ACCEPT\n{more}COMMIT"))
}

const BASELINE: &str = "fwproof: 1
title: Gate
zones:
  office: { addresses: 10.1.0.0/24 }
  servers: { addresses: 10.2.0.0/24 }
checks: []
";

const INTENT: &str = "fwproof: 1
allow-change:
  - { from: office, to: servers, service: https, direction: allow, reason: the new shop }
";

fn place(new: &str, intent: &str) -> Place {
    Place::with(&[("old/fw/fw.rules", OLD), ("new/fw/fw.rules", new), ("gate/baseline.yaml", BASELINE), ("gate/intent.yaml", intent)])
}

const ARGS: [&str; 7] = ["diff", "old", "new", "-b", "gate/baseline.yaml", "--intent", "gate/intent.yaml"];

#[test]
fn what_is_meant_may_happen_and_nothing_else() {
    let run = place(&new(""), INTENT).run(&ARGS);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("  newly allowed: IPv4 forward, as meant (gate/intent.yaml:3)\n"), "{}", run.out);
    assert!(run.out.ends_with(", 0 not meant: AS MEANT\n"), "{}", run.out);

    // A second port: the witness is one of the packets that nobody meant.
    let run = place(&new("-A FORWARD -s 10.1.0.0/24 -d 10.2.0.6 -p tcp --dport 440:450 -j ACCEPT\n"), INTENT).run(&ARGS);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    let unmeant: Vec<&str> = run.out.split("  newly allowed").filter(|p| p.starts_with(": IPv4 forward\n")).collect();
    assert_eq!(unmeant.len(), 1, "{}", run.out);
    assert!(unmeant[0].contains("tcp/440-442,444-450") && unmeant[0].contains("to 10.2.0.6 port 4"), "{}", run.out);
    assert!(!unmeant[0].contains("port 443"), "{}", run.out);
    assert!(run.out.ends_with(": NOT AS MEANT\n"), "{}", run.out);

    // Allowed is not denied.
    let run = place(OLD, &INTENT.replace("https", "ssh")).run(&[
        "diff",
        "new",
        "old",
        "-b",
        "gate/baseline.yaml",
        "--intent",
        "gate/intent.yaml",
    ]);
    assert_eq!(run.code, 0, "nothing differs: {}{}", run.out, run.err);
    assert!(run.out.contains("what gate/intent.yaml:3 means did not happen\n"), "{}", run.out);
    let closed = OLD.replace("-A FORWARD -s 10.1.0.0/24 -d 10.2.0.5 -p tcp --dport 22 -j ACCEPT\n", "");
    assert_eq!(place(&closed, &INTENT.replace("https", "ssh")).run(&ARGS).code, 1);
    assert_eq!(place(&closed, &INTENT.replace("https", "ssh").replace("allow, r", "deny, r")).run(&ARGS).code, 0);
}

#[test]
fn an_intent_is_bound_to_its_device_and_hook() {
    let with = |more: &str| place(&new(""), &INTENT.replace(", reason", &format!(", {more}, reason"))).run(&ARGS).code;
    assert_eq!((with("device: fw"), with("device: other-*"), with("hook: forward"), with("hook: [input, output]")), (0, 1, 0, 1));
}

#[test]
fn the_baseline_may_say_what_is_meant_and_addresses_do_without_zones() {
    let entry = "allow-change:\n  - { from: 10.1.0.0/24, to: 10.2.0.5, service: tcp/443, direction: [allow, deny] }\n";
    let place = place(&new(""), &format!("fwproof: 1\n{entry}"));
    assert_eq!(place.run(&["diff", "old", "new", "--intent", "gate/intent.yaml"]).code, 0);
    place.write("gate/baseline.yaml", format!("{BASELINE}{entry}").as_bytes());
    let run = place.run(&["diff", "old", "new", "-b", "gate/baseline.yaml"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("as meant (gate/baseline.yaml:8)"), "{}", run.out);
    // The other way round the same packets are denied.
    assert_eq!(place.run(&["diff", "new", "old", "-b", "gate/baseline.yaml"]).code, 0);
}

#[test]
fn a_wrong_intent_is_said_at_its_place() {
    for (text, said) in [
        (
            "fwproof: 1\nallow-change:\n  - { from: ofice, direction: allow }\n",
            "gate/intent.yaml:3:13: \"ofice\" is no zone of the baseline, no address and no prefix; did you mean \"office\"?",
        ),
        ("fwproof: 1\nallow-change:\n  - { from: office }\n", "gate/intent.yaml:3:5: say what may become of these packets"),
        ("fwproof: 1\nallow-change:\n  - { reason: x }\n", "gate/intent.yaml:3:5: an entry says which packets"),
        ("fwproof: 1\nallow-change:\n  - { about: tunels }\n", "gate/intent.yaml:3:"),
        ("fwproof: 1\nallow-changes: []\n", "gate/intent.yaml:2:1: "),
    ] {
        let run = place(OLD, text).run(&ARGS);
        assert_eq!(run.code, 2, "{text}{}", run.out);
        assert!(run.err.contains(said), "{}", run.err);
    }
}

const WG: &str = "[Interface]\nPrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAddress = 10.9.0.1/24\nListenPort = 51820\n[Peer]\nPublicKey = BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=\nPresharedKey = CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCE=\nAllowedIPs = 10.9.0.2/32\n";

#[test]
fn tunnels_cryptography_and_keys_that_are_others_are_told_without_the_keys() {
    let changed = WG.replace("CCCCE=", "DDDDE=").replace("10.9.0.2/32", "10.9.0.0/28").replace("51820", "51821");
    let ovpn = "client\ndev tun\nproto udp\nremote vpn.example.com 1194\nca ca.crt\ncert c.crt\nkey c.key\n";
    let place = Place::with(&[
        ("old/gw/wg0.conf", WG),
        ("new/gw/wg0.conf", &changed),
        ("old/pc/office.ovpn", &format!("{ovpn}data-ciphers AES-256-GCM\n")),
        ("new/pc/office.ovpn", &format!("{ovpn}data-ciphers AES-256-GCM:BF-CBC\n")),
    ]);
    let run = place.run(&["diff", "old", "new"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    for said in [
        "  + tunnels: WireGuard wg0: another pre-shared key of BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA= than before (new/gw/wg0.conf:7:",
        "  - tunnels: WireGuard wg0: listens on udp port 51820 (old/gw/wg0.conf:4:",
        "  + tunnels: WireGuard wg0: listens on udp port 51821 (new/gw/wg0.conf:4:",
        "10.9.0.0/28",
        "  + crypto: ",
    ] {
        assert!(run.out.contains(said), "{said}:\n{}", run.out);
    }
    assert!(!run.out.contains("CCCC") && !run.out.contains("DDDD") && !run.out.contains("AAAA"), "{}", run.out);
    // Meant or not.
    let intent = "fwproof: 1\nallow-change:\n  - { about: tunnels, device: gw }\n";
    place.write("intent.yaml", intent.as_bytes());
    assert_eq!(place.run(&["diff", "old", "new", "--intent", "intent.yaml"]).code, 1, "cryptography is no tunnel");
    place.write("intent.yaml", format!("{intent}  - {{ about: [crypto, tunnels], device: pc }}\n").as_bytes());
    let run = place.run(&["diff", "old", "new", "--intent", "intent.yaml"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
}

#[test]
fn translation_and_logging_that_are_others_are_told() {
    let head = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n";
    let nat = |to: &str| format!("{head}-A PREROUTING -i eth0 -p tcp --dport 443 -j DNAT --to-destination {to}\nCOMMIT\n{}", OLD);
    let logged = OLD.replace("-A FORWARD -s", "-A FORWARD -j LOG --log-prefix x\n-A FORWARD -s");
    let place = Place::with(&[
        ("old/fw/fw.rules", &nat("10.2.0.5")),
        ("new/fw/fw.rules", &nat("10.2.0.6")),
        ("old/b/fw.rules", &logged),
        ("new/b/fw.rules", OLD),
    ]);
    let run = place.run(&["diff", "old", "new"]);
    assert!(run.out.contains("  + nat: destination to 10.2.0.6: -A PREROUTING -i eth0"), "{}", run.out);
    assert!(
        run.out.contains("b: equal: no packet is treated differently\n  - logging: filter/FORWARD logs: -A FORWARD -j LOG"),
        "{}",
        run.out
    );
}

#[test]
fn a_device_that_comes_or_goes_must_be_meant() {
    let place = place(OLD, "fwproof: 1\nallow-change:\n  - { about: devices, device: lab }\n");
    place.write("new/lab/fw.rules", OLD.as_bytes());
    assert_eq!(place.run(&["diff", "old", "new"]).code, 1);
    assert_eq!(place.run(&ARGS).code, 0);
    place.write("new/lab2/fw.rules", OLD.as_bytes());
    let run = place.run(&ARGS);
    assert_eq!(run.code, 1, "{}", run.out);
    assert!(run.out.contains("lab2: only in the new version\n"), "{}", run.out);
}

#[test]
fn a_comment_for_a_pull_request_has_what_is_not_meant_first_and_no_live_text() {
    let evil = "-A FORWARD -s 10.1.0.0/24 -d 10.2.0.7 -p tcp --dport 23 -m comment --comment \"</details><script>@all [x](http://e) ```\" -j ACCEPT\n";
    let place = place(&new(evil), INTENT);
    let mut args = ARGS.to_vec();
    args.extend(["--format", "markdown", "-o", "json=out.json", "-o", "markdown=out.md"]);
    let run = place.run(&args);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    assert!(run.err.contains(": NOT AS MEANT\n"), "{}", run.err);
    let text = std::fs::read_to_string(place.path().join("out.md")).unwrap();
    assert!(text.starts_with("<!-- fwproof diff -->\n## fwproof: NOT AS MEANT\n"), "{text}");
    let (not, meant) = (text.find("tcp/23 (telnet)").unwrap(), text.find("as meant").unwrap());
    assert!(not < meant, "{text}");
    let outside: String = text.split("````").step_by(2).collect();
    for live in ["<script", "@all", "](http"] {
        assert!(!outside.contains(live), "{live}: {text}");
    }
    assert_eq!(text.matches("<details").count(), outside.matches("</details>").count(), "{text}");
    let json = std::fs::read_to_string(place.path().join("out.json")).unwrap();
    let lines: Vec<Value> = json.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let of = |meant: bool| lines.iter().filter(|l| l["change"] == "allowed" && l["meant"].is_string() == meant).count();
    assert_eq!((of(true), of(false)), (1, 1), "{json}");
}
