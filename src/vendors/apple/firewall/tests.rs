use proptest::prelude::*;

use super::MACOS_FIREWALL;
use crate::diag::LineState;
use crate::eval::{Analysis, trace, walk};
use crate::model::{ConditionId, Device, TunnelKind};
use crate::source::{FileId, Limits, SourceFile};
use crate::vendors::detect;

const LISTING: &str = include_str!("../../../../tests/fixtures/macos-firewall/socketfilterfw.txt");
const OLD: &str = include_str!("../../../../tests/fixtures/macos-firewall/old.txt");
const PREFERENCES: &str = include_str!("../../../../tests/fixtures/macos-firewall/alf.plist");
const PROFILE: &str = include_str!("../../../../tests/fixtures/macos-firewall/managed.mobileconfig");

const ALL: [&str; 4] = [LISTING, OLD, PREFERENCES, PROFILE];

fn device(text: &str) -> Device {
    MACOS_FIREWALL.read_text("mac.txt", text).1.device
}

/// What becomes of a packet; `holding`: parts of the texts of the conditions that hold, `None`: all are open.
fn fate(device: &Device, packet: &str, holding: Option<&[&str]>) -> &'static str {
    let analysis = Analysis::new(device, &[], &Limits::default());
    let text = format!(r#"{{"hook":"input","iif":"en0","src":"192.168.1.7","dst":"192.168.1.20",{packet}}}"#);
    let value = serde_json::from_str(&text).expect("JSON");
    let (way, family, packet) = trace::read_packet(&value, &analysis.space).expect("a packet");
    let ids = holding.map(|list| {
        let holds = |i: &u32| list.iter().any(|l| device.conditions.get(ConditionId(*i)).0.contains(l));
        (0..device.conditions.len() as u32).filter(holds).collect::<Vec<u32>>()
    });
    walk::walk(&analysis, way, family, &packet, ids.as_deref(), None, false).verdict.name()
}

const SSH: &str = r#""proto":"tcp","dport":22,"tcp_flags":"S","ct":"new""#;
const PING: &str = r#""proto":"icmp","icmp_type":8,"ct":"new""#;
const BONJOUR: &str = r#""proto":"udp","dport":5353,"ct":"new""#;

#[test]
fn each_form_is_known_and_read_to_the_last_line() {
    for text in ALL {
        let (file, reading) = MACOS_FIREWALL.read_text("mac", text);
        assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), ["macos-firewall"]);
        assert!(reading.lines[&file.id].iter().all(|s| *s <= LineState::NotModelled), "{:?}", reading.notes);
        assert!(reading.device.base_chains.len() == 1, "{text}");
    }
}

#[test]
fn which_program_listens_decides() {
    let mac = device(LISTING);
    assert_eq!(fate(&mac, SSH, None), "unknown");
    assert_eq!(fate(&mac, SSH, Some(&[])), "drop");
    assert_eq!(fate(&mac, SSH, Some(&["Team Chat"])), "accept");
    assert_eq!(fate(&mac, SSH, Some(&["a signed program of macOS itself"])), "accept");
    // An entry of its own goes before what holds for all signed programs.
    assert_eq!(fate(&mac, SSH, Some(&["sshd-keygen-wrapper", "a signed program of macOS itself"])), "drop");
    // Signed software that was installed is not let in by itself here.
    assert!((0..mac.conditions.len() as u32).all(|i| !mac.conditions.get(ConditionId(i)).0.contains("was installed")));
}

#[test]
fn only_incoming_connections_over_tcp_and_udp_are_filtered() {
    let mac = device(LISTING);
    assert_eq!(fate(&mac, r#""proto":"tcp","dport":50000,"tcp_flags":"SA","ct":"established""#, Some(&[])), "accept");
    assert_eq!(fate(&mac, r#""proto":47,"ct":"new""#, Some(&[])), "accept");
    assert_eq!(fate(&mac, PING, Some(&[])), "drop");
    let seen = device(&LISTING.replace("stealth mode is on", "stealth mode is off"));
    assert_eq!(fate(&seen, PING, Some(&[])), "accept");
    let unsaid = device(&LISTING.replace("Firewall stealth mode is on\n", ""));
    assert_eq!(fate(&unsaid, PING, None), "unknown");
}

#[test]
fn a_firewall_that_is_off_filters_nothing_and_says_so() {
    let mac = device(OLD);
    assert_eq!(fate(&mac, SSH, None), "accept");
    assert_eq!(mac.setting("firewall.all.enabled"), Some("false"));
    assert_eq!(mac.setting("firewall.all.inbound-default"), Some("allow"));
    assert_eq!(mac.setting("firewall.all.allow-signed-downloaded"), Some("true"));
}

#[test]
fn block_all_leaves_the_essential_services_whatever_programs_are_allowed() {
    let words = [
        ("(State = 1)", "(State = 2)", "Firewall has block all state set to disabled.\n", ""),
        ("", "", "Firewall has block all state set to disabled.", "Firewall is set to block all non-essential incoming connections"),
        ("", "", "Firewall has block all state set to disabled.", "Block all ENABLED!"),
    ];
    for (state, new_state, line, new_line) in words {
        let text = if state.is_empty() { LISTING.to_owned() } else { LISTING.replace(state, new_state) };
        let mac = device(&text.replace(line, new_line));
        assert_eq!(fate(&mac, SSH, None), "drop", "{new_line}");
        assert_eq!(fate(&mac, BONJOUR, None), "accept");
        assert_eq!(mac.setting("firewall.all.block-all"), Some("true"));
    }
}

#[test]
fn what_is_not_said_is_unknown() {
    let mac = device("Firewall stealth mode is on\nTotal number of apps = 0 \n");
    assert_eq!(fate(&mac, SSH, None), "unknown");
    assert!(mac.unseen.iter().any(|u| u.name == "firewall.all.enabled"));
    let unlisted = device(
        "Firewall is enabled. (State = 1)\nAutomatically allow built-in signed software DISABLED.\nAutomatically allow downloaded signed software DISABLED.\n",
    );
    assert_eq!(fate(&unlisted, SSH, None), "unknown");
    let (_, strange) = MACOS_FIREWALL.read_text("mac", "Firewall is enabled. (State = 7)\nTotal number of apps = 0\n");
    assert!(strange.notes.iter().any(|n| n.state == LineState::Unrecognised));
    assert_eq!(fate(&strange.device, SSH, None), "unknown");
}

#[test]
fn the_preferences_say_it_too() {
    let mac = device(PREFERENCES);
    assert_eq!(fate(&mac, SSH, Some(&[])), "drop");
    assert_eq!(fate(&mac, SSH, Some(&["sshd-keygen-wrapper"])), "accept");
    // What the numbers of a program's state mean is documented nowhere.
    let closed = device(&PREFERENCES.replace("<integer>1</integer>\n\t\t</dict>", "<integer>0</integer>\n\t\t</dict>"));
    assert_eq!(fate(&closed, SSH, None), "unknown");
    assert_eq!(mac.setting("firewall.all.stealth"), Some("false"));
}

#[test]
fn a_profile_for_firewall_and_vpn_is_read_for_both() {
    let (file, reading) = MACOS_FIREWALL.read_text("x.mobileconfig", PROFILE);
    let mac = &reading.device;
    assert_eq!(fate(mac, SSH, None), "drop");
    assert_eq!(mac.tunnels.iter().map(|t| t.kind).collect::<Vec<_>>(), [TunnelKind::Ipsec]);
    assert!(reading.secrets.iter().any(|s| file.slice(*s) == "one-word-for-the-whole-team"));
}

#[test]
fn what_the_tool_prints_goes_before_a_profile() {
    let limits = Limits::default();
    let (first, second) = (SourceFile::from_text(FileId(0), "a", LISTING), SourceFile::from_text(FileId(1), "b", PROFILE));
    let files = |id: FileId| if id.0 == 0 { &first } else { &second };
    let resolve = |_: FileId, _: &str| Vec::new();
    let mut reader = crate::vendors::Reader::new(&first, &limits, &files, &resolve);
    reader.beside = vec![&second];
    super::read(&mut reader);
    assert_eq!(reader.device.setting("firewall.all.block-all"), Some("false"));
    assert_eq!(fate(&reader.device, SSH, Some(&["Team Chat"])), "accept");
}

proptest! {
    #[test]
    fn damaged_exports_are_read_without_panic(which in 0usize..4, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = ALL[which].as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = MACOS_FIREWALL.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
