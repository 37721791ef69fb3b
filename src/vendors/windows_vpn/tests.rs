use proptest::prelude::*;

use super::{RASPHONE, WINDOWS_NRPT, WINDOWS_VPN};
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoUse, Tunnel, TunnelKind};
use crate::source::{FileId, SourceFile};
use crate::vendors::{Format, detect};

const VPN: &str = include_str!("../../../tests/fixtures/windows-vpn/vpn.json");
const NRPT: &str = include_str!("../../../tests/fixtures/windows-vpn/nrpt.json");
const BOOK: &str = include_str!("../../../tests/fixtures/rasphone/rasphone.pbk");

fn all() -> [(&'static Format, &'static str); 3] {
    [(&WINDOWS_VPN, VPN), (&WINDOWS_NRPT, NRPT), (&RASPHONE, BOOK)]
}

fn tunnels(format: &Format, text: &str) -> Vec<Tunnel> {
    format.read_text("x", text).1.device.tunnels
}

fn offered(tunnel: &Tunnel) -> String {
    let all = tunnel.crypto.iter().filter(|o| o.usage != CryptoUse::Authentication);
    all.map(|o| format!("{}{}", if o.layer == CryptoLayer::Data { "esp:" } else { "" }, o.name)).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_export_is_known_and_read() {
    for (format, text) in all() {
        let (file, reading) = format.read_text("x", text);
        assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), [format.id]);
        assert!(reading.lines[&file.id].iter().all(|s| *s <= LineState::Understood), "{:?}", reading.notes);
    }
}

#[test]
fn a_policy_of_its_own_replaces_the_proposals_of_windows() {
    let all = tunnels(&WINDOWS_VPN, VPN);
    assert_eq!(offered(&all[0]), "2 esp:AES-256-GCM SECP384R1 AES-256-GCM SHA384 esp:SECP384R1");
    assert_eq!(all[0].routes.len(), 1);
    assert!(offered(&all[1]).contains("DH-1024") && offered(&all[1]).starts_with("1 "));
    assert!(all[1].setting("never-default").is_some());
    assert_eq!(all[1].routes.iter().map(|r| r.to.to_string()).collect::<Vec<_>>(), ["10.1.0.0/16"]);
}

#[test]
fn automatic_falls_back_to_pptp() {
    let kinds: Vec<TunnelKind> = tunnels(&WINDOWS_VPN, VPN).iter().skip(2).map(|t| t.kind).collect();
    assert_eq!(kinds, [TunnelKind::Ipsec, TunnelKind::Sstp, TunnelKind::Pptp]);
}

#[test]
fn a_single_connection_is_no_list() {
    let one = r#"{"Name":"A","ServerAddress":"192.0.2.1","TunnelType":"Sstp","SplitTunneling":true,"Routes":"10.0.0.0/8"}"#;
    let all = tunnels(&WINDOWS_VPN, one);
    assert_eq!((all.len(), all[0].kind, all[0].routes.len()), (1, TunnelKind::Sstp, 1));
}

#[test]
fn the_phone_book_tells_strategy_and_default_gateway() {
    let all = tunnels(&RASPHONE, BOOK);
    assert_eq!(all.iter().map(|t| t.kind).collect::<Vec<_>>(), [TunnelKind::Ipsec, TunnelKind::Ipsec, TunnelKind::Sstp, TunnelKind::Pptp]);
    assert_eq!(all[0].routes.len(), 1);
    assert_eq!(all[0].dns.len(), 2);
    assert_eq!(all[0].peers[0].endpoint.as_ref().map(|e| e.host.as_str()), Some("vpn.acme.example"));
    assert!(all[1].setting("never-default").is_some() && all[1].routes.is_empty());
}

#[test]
fn name_resolution_rules_are_settings_of_the_host() {
    let (_, reading) = WINDOWS_NRPT.read_text("x", NRPT);
    let names: Vec<_> = reading.device.settings.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
    assert_eq!(names, [("nrpt .acme.example", "10.10.0.53 10.10.1.53"), ("nrpt .", "10.10.0.53")]);
}

#[test]
fn deep_and_broken_json_is_said() {
    for text in [
        "[".repeat(100_000),
        format!("{}{}", "{\"TunnelType\":".repeat(5000), "\"SplitTunneling\""),
        "{\"TunnelType\": \"Ikev2\", \"SplitTunneling\": ".into(),
    ] {
        let (_, reading) = WINDOWS_VPN.read_text("x", &text);
        assert!(reading.notes.iter().any(|n| n.incomplete) || reading.device.tunnels.is_empty());
    }
}

proptest! {
    #[test]
    fn damaged_exports_are_read_without_panic(which in 0usize..3, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let (format, text) = all()[which];
        let mut bytes = text.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = format.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
