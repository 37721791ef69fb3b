//! `fwproof probe` as a process: what it refuses, what it says before it sends, and what it finds on the loopback without privileges.
#![allow(missing_docs)]

mod cli_support;

use std::net::{TcpListener, UdpSocket};

use cli_support::{EDGE, Place};

const AUTHORITY: &str = "fwproof: 1\nauthorised_by: J. Doe\nuntil: 2099-12-31\nrate: 50\ntargets: [192.0.2.0/28]\nexclude: 192.0.2.3\n";

fn probe(place: &Place, args: &[&str]) -> cli_support::Run {
    place.run(&[&["probe"], args].concat())
}

#[test]
fn nothing_is_sent_without_leave() {
    let place = Place::with(&[]);
    let run = probe(&place, &["192.0.2.1", "-p", "80"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("nobody has said that you may ask this target"), "{}", run.err);
    let run = probe(&place, &["192.0.2.1", "-p", "80", "--dry-run"]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("plan: 1 target, 1 TCP ports in all") && run.out.contains("NOT ALLOWED"), "{}", run.out);
}

#[test]
fn an_authorisation_allows_its_targets_its_rate_and_its_time() {
    let place = Place::with(&[("probe.yaml", AUTHORITY), ("old.yaml", &AUTHORITY.replace("2099", "2020"))]);
    let run = probe(&place, &["192.0.2.1-4", "-p", "80", "--dry-run"]);
    assert!(run.out.contains("plan: 3 targets") && run.out.contains("at most 50 a second"), "{}", run.out);
    assert!(run.out.contains("allowed by J. Doe until 2099-12-31 (probe.yaml)"), "{}", run.out);
    for (args, why) in [
        (&["192.0.2.77"][..], "does not allow 192.0.2.77"),
        (&["192.0.2.1", "--rate", "51"], "allows at most 50 packets a second, not 51"),
        (&["192.0.2.1", "--authority", "old.yaml"], "the authorisation ended on 2020-12-31"),
        (&["192.0.2.1", "--authority", "none.yaml"], "none.yaml"),
    ] {
        let run = probe(&place, args);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}");
        assert!(run.err.contains(why), "{args:?}: {}", run.err);
    }
    place.write("probe.yaml", AUTHORITY.replace("192.0.2.0/28", "192.0.2.0/40").as_bytes());
    let run = probe(&place, &["192.0.2.1"]);
    assert!(run.code == 2 && run.err.contains("probe.yaml:5:"), "{}", run.err);
}

#[test]
fn what_reaches_many_is_refused_whoever_allows_it() {
    let place = Place::with(&[]);
    for target in ["255.255.255.255", "224.0.0.251", "ff02::1", "0.0.0.0", "::", "2001:db8::/64", "10.0.0.0/8"] {
        let run = probe(&place, &[target, "--i-am-authorised", "--dry-run"]);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{target}");
    }
    for args in [
        &["192.0.2.1", "-p", "99999"][..],
        &[],
        &["192.0.2.1", "--format", "sarif"],
        &["192.0.2.1", "--from", "internet"],
        &["x", "--rate", "0"],
    ] {
        assert_eq!(probe(&place, args).code, 2, "{args:?}");
    }
}

#[test]
fn the_loopback_is_asked_without_leave_and_without_privileges() {
    let place = Place::with(&[]);
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (a, b, c) = (open.local_addr().unwrap().port(), closed.local_addr().unwrap().port(), echo.local_addr().unwrap().port());
    drop(closed);
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((n, from)) = echo.recv_from(&mut buffer) {
            let _ = echo.send_to(&buffer[..n], from);
        }
    });
    let ports = format!("{a},{b},U:{c}");
    let run = probe(&place, &["127.0.0.1", "-p", &ports, "--method", "connect", "--format", "json", "-o", "new.json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let text = std::fs::read_to_string(place.path().join("new.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let state = |port: u16| {
        let all = value["hosts"][0]["ports"].as_array().unwrap();
        all.iter().find(|p| p["port"] == port).map(|p| p["state"].as_str().unwrap().to_owned()).unwrap()
    };
    assert_eq!([state(a), state(b), state(c)], ["open", "closed", "open"]);
    assert_eq!(value["hosts"][0]["address"], "127.0.0.1");

    // What was closed then is open now.
    let old = text.replace(
        &format!("\"port\":{a},\"protocol\":\"tcp\",\"state\":\"open\""),
        &format!("\"port\":{a},\"protocol\":\"tcp\",\"state\":\"closed\""),
    );
    place.write("old.json", old.as_bytes());
    let run = probe(&place, &["127.0.0.1", "-p", &ports, "--method", "connect", "--since", "old.json"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains(&format!("+ 127.0.0.1 {a}/tcp: open")), "{}", run.out);

    let run = probe(&place, &["--vantage", "inside=new.json", "--vantage", "outside=old.json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.lines().any(|l| l.contains(&format!("{a}/tcp")) && l.contains("open") && l.contains("closed")), "{}", run.out);
}

#[test]
fn a_plan_is_made_from_a_configuration() {
    let place = Place::with(&[("edge/rules.nft", EDGE)]);
    let args = ["127.0.0.1", "--from", "internet", "--dry-run", "--expect", "edge"];
    let run = probe(&place, &args);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("127.0.0.1 from internet"), "{}", run.out);
    let run = probe(&place, &["127.0.0.1", "--from", "nowhere", "--dry-run", "--expect", "edge"]);
    assert!(run.code == 2 && run.err.contains("--from nowhere"), "{}", run.err);
}
