use proptest::prelude::*;

use super::ANYCONNECT;
use crate::diag::LineState;
use crate::model::TunnelKind;
use crate::source::{FileId, SourceFile};
use crate::vendors::detect;

const ACME: &str = include_str!("../../../tests/fixtures/anyconnect/acme.xml");

#[test]
fn a_profile_is_one_tunnel_for_each_server() {
    let (file, reading) = ANYCONNECT.read_text("acme.xml", ACME);
    assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), ["anyconnect"]);
    assert!(reading.lines[&file.id].iter().all(|s| *s <= LineState::Understood), "{:?}", reading.notes);
    let [first, second] = reading.device.tunnels.as_slice() else { panic!("two tunnels") };
    assert_eq!((first.kind, second.kind), (TunnelKind::TlsVpn, TunnelKind::Ipsec));
    let ends: Vec<_> = first.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| (e.host.as_str(), e.port)).collect();
    assert_eq!(ends, [("vpn.acme.example", 443), ("vpn2.acme.example", 8443)]);
    assert!(first.setting("pull").is_some() && first.setting("closed-while-down").is_some());
}

#[test]
fn an_open_failure_policy_is_no_kill_switch() {
    let (_, reading) = ANYCONNECT.read_text("acme.xml", &ACME.replace("Closed", "Open"));
    assert!(reading.device.tunnels.iter().all(|t| t.setting("closed-while-down").is_none()));
    let (_, reading) = ANYCONNECT.read_text("acme.xml", &ACME.replace("<AlwaysOn>true", "<AlwaysOn>false"));
    assert!(reading.device.tunnels.iter().all(|t| t.setting("closed-while-down").is_none()));
}

proptest! {
    #[test]
    fn damaged_profiles_are_read_without_panic(cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = ACME.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = ANYCONNECT.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
