use super::*;
use crate::model::{Action, Device, Match, PolicyAction};
use crate::source::{FileId, Limits};
use crate::vendors::Reading;

fn read_all(texts: &[&str], dumped: &[Family]) -> Reading {
    let files: Vec<SourceFile> =
        texts.iter().enumerate().map(|(i, t)| SourceFile::from_text(FileId(i as u32), format!("status{i}"), t)).collect();
    let limits = Limits::default();
    let get = |id: FileId| &files[id.0 as usize];
    let resolve = |_: FileId, _: &str| Vec::new();
    let mut reader = Reader::new(&files[0], &limits, &get, &resolve);
    reader.beside = files.iter().skip(1).collect();
    reader.dumped = dumped.to_vec();
    read(&mut reader);
    reader.finish()
}

fn detected(text: &str) -> Option<Confidence> {
    detect(&SourceFile::from_text(FileId(0), "x", text)).map(|d| d.confidence)
}

fn rules<'d>(device: &'d Device, chain: &str) -> &'d [crate::model::Rule] {
    device.chains.iter().find(|c| c.name == chain).map_or(&[], |c| &c.rules)
}

fn unread(reading: &Reading) -> usize {
    reading.lines.values().flatten().filter(|s| **s == LineState::Unrecognised).count()
}

const VERBOSE: &str = "\
Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
22/tcp (OpenSSH)           LIMIT IN    Anywhere                   # the way in
80,443/tcp on eth0         ALLOW IN    198.51.100.0/24
10.0.0.1/esp               ALLOW IN    10.4.0.0/16/esp            (log)
Anywhere                   DENY IN     203.0.113.9
22/tcp (OpenSSH (v6))      LIMIT IN    Anywhere (v6)

25/tcp                     REJECT OUT  Anywhere on eth1           (log-all)

192.0.2.9 80/tcp on eth1   ALLOW FWD   Anywhere on eth0
";

#[test]
fn every_row_of_a_verbose_listing_becomes_the_rules_of_its_chain() {
    let reading = read_all(&[VERBOSE], &[]);
    assert_eq!(unread(&reading), 0, "{:?}", reading.notes);
    let device = reading.device;
    let written = |chain| rules(&device, chain).iter().filter(|r| r.implied.is_none()).count();
    // What counts for a limit and what logs is nobody's rule.
    assert_eq!((written("filter/ufw-user-input"), rules(&device, "filter/ufw-user-input").len()), (4, 3 + 1 + 2 + 1));
    assert_eq!(written("ip6 filter/ufw6-user-input"), 1);
    assert_eq!(written("filter/ufw-user-output"), 1);
    assert_eq!(written("filter/ufw-user-forward"), 1);
    assert!(rules(&device, "filter/ufw-before-input").iter().all(|r| r.implied.is_some()));
}

#[test]
fn the_default_policies_are_those_that_are_shown() {
    let device = read_all(&[VERBOSE], &[]).device;
    let policy = |name: &str| {
        let base = device.base_chains.iter().find(|b| device.chain(b.chain).name == name).expect("the chain is there");
        base.policy.action
    };
    assert_eq!(policy("filter/INPUT"), PolicyAction::Drop);
    assert_eq!(policy("filter/OUTPUT"), PolicyAction::Accept);
    assert_eq!(policy("filter/FORWARD"), PolicyAction::Unknown);
    assert!(device.settings.iter().any(|s| s.name == "net.ipv4.ip_forward" && s.value == "0"));
}

#[test]
fn without_verbose_the_policies_are_not_known() {
    let text = "Status: active\n\nTo                         Action      From\n--                         ------      ----\n22/tcp                     ALLOW       Anywhere\n";
    let reading = read_all(&[text], &[]);
    assert!(reading.device.base_chains.iter().all(|b| b.policy.action == PolicyAction::Unknown));
    assert!(reading.notes.iter().any(|n| n.text.contains("default policies are not shown")), "{:?}", reading.notes);
    let six = rules(&reading.device, "ip6 filter/INPUT");
    assert!(six.is_empty() && reading.device.base_chains.len() == 6, "nothing is known of IPv6");
}

#[test]
fn an_inactive_ufw_filters_nothing() {
    let reading = read_all(&["Status: inactive\n"], &[]);
    assert_eq!(reading.device.base_chains.len(), 6);
    assert!(reading.device.base_chains.iter().all(|b| b.policy.action == PolicyAction::Accept));
    assert!(reading.notes.is_empty(), "{:?}", reading.notes);
}

#[test]
fn what_is_added_may_not_be_active() {
    let text = "Added user rules (see 'ufw status' for running firewall):\nufw allow 22/tcp\n";
    let device = read_all(&[text], &[]).device;
    let first = &rules(&device, "filter/INPUT")[0];
    assert!(matches!(first.matcher, Match::Not(_)) && first.action == Action::Accept);
    let device = read_all(&[text, "Status: active\n"], &[]).device;
    assert!(rules(&device, "filter/INPUT").iter().all(|r| !matches!(r.matcher, Match::Not(_))));
}

#[test]
fn a_profile_that_nobody_shows_is_an_open_condition() {
    let text = "Status: active\n\nTo                         Action      From\n--                         ------      ----\nOur Thing                  ALLOW       Anywhere\n";
    let opaque = |reading: &Reading| {
        let mut found = false;
        rules(&reading.device, "filter/ufw-user-input")[0].matcher.walk(&mut |m| found |= matches!(m, Match::Opaque(_)));
        found
    };
    assert!(opaque(&read_all(&[text], &[])));
    let info = "Profile: Our Thing\nTitle: t\nDescription: d\nof two lines\n\nPorts:\n  8000/tcp\n  9000:9010/udp\n";
    let reading = read_all(&[text, info], &[]);
    assert!(!opaque(&reading));
    assert_eq!(rules(&reading.device, "filter/ufw-user-input").len(), 2);
    let broken = info.replace("9000:9010/udp", "9000-9010/udp");
    assert!(opaque(&read_all(&[text, &broken], &[])), "ports that cannot be read are not left out");
}

#[test]
fn a_row_that_is_no_rule_may_do_anything() {
    let text = VERBOSE.replace("DENY IN     203.0.113.9", "DENY IN     nobody's;address");
    let reading = read_all(&[&text], &[]);
    assert_eq!(unread(&reading), 1);
    for chain in ["filter/ufw-user-input", "filter/ufw-user-output", "ip6 filter/ufw6-user-input"] {
        assert!(rules(&reading.device, chain).iter().any(|r| matches!(r.action, Action::Opaque(_))), "{chain}");
    }
}

#[test]
fn the_listing_that_says_most_is_read_and_the_others_are_not() {
    let plain = "Status: active\n\nTo                         Action      From\n--                         ------      ----\n1/tcp                      ALLOW       Anywhere\n";
    let device = read_all(&[plain, VERBOSE], &[]).device;
    let again = read_all(&[VERBOSE, plain], &[]).device;
    let count = |d: &Device| rules(d, "filter/ufw-user-input").len();
    assert_eq!((count(&device), count(&again)), (7, 7));
}

#[test]
fn what_another_file_shows_of_the_kernel_goes_first() {
    let reading = read_all(&[VERBOSE], &[Family::V4, Family::V6]);
    assert!(reading.device.base_chains.is_empty());
    let reading = read_all(&[VERBOSE], &[Family::V4]);
    assert!(reading.device.base_chains.iter().all(|b| b.families == [Family::V6]));
}

#[test]
fn a_comment_that_speaks_of_ufw_hides_no_rule() {
    let row = VERBOSE.replace("# the way in", "# ufw status");
    assert_eq!(
        rules(&read_all(&[&row], &[]).device, "filter/ufw-user-input").len(),
        rules(&read_all(&[VERBOSE], &[]).device, "filter/ufw-user-input").len()
    );
    let added = "Added user rules (see 'ufw status' for running firewall):\nufw allow 22/tcp comment '# ufw status'\n";
    assert_eq!(rules(&read_all(&[added], &[]).device, "filter/ufw-user-input").len(), 1);
}

#[test]
fn too_many_rules_are_said_and_bounded() {
    let ports: String = (1..=60).map(|p| format!("  {p}\n")).collect();
    let row = "Many                       LIMIT       Anywhere                   (log)\n";
    let head = "Status: active\n\nTo                         Action      From\n--                         ------      ----\n";
    let text = format!("{head}{}", row.repeat(400));
    let reading = read_all(&[&text, &format!("Profile: Many\nPorts:\n{ports}")], &[]);
    assert!(reading.notes.iter().any(|n| n.incomplete), "{:?}", reading.notes.len());
    assert!(rules(&reading.device, "filter/ufw-user-input").iter().any(|r| matches!(r.action, Action::Opaque(_))));
}

#[test]
fn only_what_ufw_prints_is_detected() {
    assert_eq!(detected(VERBOSE), Some(Confidence::Certain));
    assert_eq!(detected("Status: inactive\n"), Some(Confidence::Strong));
    assert_eq!(detected("root@web:~# ufw status\nStatus: inactive\n"), Some(Confidence::Strong));
    assert_eq!(detected("Name: nginx\nStatus: active\nSince: Monday\nMain: yes\nTasks: 3\n"), None);
    assert_eq!(detected("#!/bin/sh\nufw allow 22\n"), None);
}

#[test]
fn no_prefix_and_no_flipped_byte_of_a_listing_panics() {
    let fixtures = [
        include_str!("../../../../../tests/fixtures/ufw-status/mail/status.txt"),
        include_str!("../../../../../tests/fixtures/ufw-status/kiosk/added.txt"),
        include_str!("../../../../../tests/fixtures/ufw-status/kiosk/numbered.txt"),
        "Profile: a b\nPorts:\n  1,2:3/tcp\n  any/udp\n",
    ];
    for text in fixtures {
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 0x15;
            for bytes in [&bytes[..], &text.as_bytes()[..at]] {
                let text = String::from_utf8_lossy(bytes);
                read_all(&[&text], &[]);
                detected(&text);
            }
        }
    }
}
