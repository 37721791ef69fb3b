use proptest::prelude::*;

use super::APPLE_VPN;
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoUse, Tunnel, TunnelKind};
use crate::source::{FileId, SourceFile};
use crate::vendors::detect;

const IKEV2: &str = include_str!("../../../../tests/fixtures/apple-vpn/ikev2.mobileconfig");
const OLD: &str = include_str!("../../../../tests/fixtures/apple-vpn/old.mobileconfig");

fn offered(tunnel: &Tunnel, layer: CryptoLayer) -> String {
    let all = tunnel.crypto.iter().filter(|o| o.layer == layer && !matches!(o.usage, CryptoUse::Authentication));
    all.map(|o| format!("{}{}", o.name, if o.default { "*" } else { "" })).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_profile_is_known_and_read() {
    for text in [IKEV2, OLD] {
        let (file, reading) = APPLE_VPN.read_text("x.mobileconfig", text);
        assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), ["apple-vpn"]);
        assert!(reading.lines[&file.id].iter().all(|s| *s <= LineState::Understood), "{:?}", reading.notes);
    }
}

#[test]
fn include_all_networks_takes_everything_and_keeps_it_in() {
    let (_, reading) = APPLE_VPN.read_text("x.mobileconfig", IKEV2);
    let tunnel = &reading.device.tunnels[0];
    assert_eq!((tunnel.kind, tunnel.title()), (TunnelKind::Ipsec, "Acme"));
    assert_eq!(tunnel.routes.len(), 2);
    assert!(tunnel.setting("kill-switch-v4").is_some() && tunnel.setting("kill-switch-v6").is_some());
    assert_eq!(offered(tunnel, CryptoLayer::Control), "2 AES-256-GCM SHA256* SECP384R1");
    assert_eq!(offered(tunnel, CryptoLayer::Data), "AES-256-GCM SHA384 SECP384R1");
    assert_eq!(tunnel.second_factor.as_ref().map(|f| f.value), Some(true));
    assert_eq!(tunnel.dns.len(), 2);
    let (_, without) = APPLE_VPN.read_text("x.mobileconfig", &IKEV2.replace("<key>IncludeAllNetworks</key>\n\t\t\t\t<true/>", ""));
    let tunnel = &without.device.tunnels[0];
    assert!(tunnel.routes.is_empty() && tunnel.setting("pull").is_some() && tunnel.setting("kill-switch-v4").is_none());
}

#[test]
fn old_protocols_are_seen_for_what_they_are() {
    let (file, reading) = APPLE_VPN.read_text("x.mobileconfig", OLD);
    let [first, second] = reading.device.tunnels.as_slice() else { panic!("two tunnels") };
    assert!(offered(first, CryptoLayer::Control).contains("1-AGGRESSIVE"));
    assert_eq!(first.routes.len(), 1);
    assert_eq!(second.kind, TunnelKind::Ipsec);
    let hidden: Vec<&str> = reading.secrets.iter().map(|s| file.slice(*s)).collect();
    assert!(hidden.contains(&"dGhlIGdyb3VwcyBvd24ga2V5") && hidden.contains(&"b25lIGtleSBmb3IgYWxs"), "{hidden:?}");
}

proptest! {
    #[test]
    fn damaged_profiles_are_read_without_panic(old in any::<bool>(), cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = if old { OLD } else { IKEV2 }.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = APPLE_VPN.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
