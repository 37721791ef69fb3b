use proptest::prelude::*;

use super::GLOBALPROTECT;
use crate::diag::LineState;
use crate::model::Tunnel;
use crate::source::{FileId, SourceFile};
use crate::vendors::detect;

const REGISTRY: &str = include_str!("../../../tests/fixtures/globalprotect/globalprotect.reg");
const PLIST: &str = include_str!("../../../tests/fixtures/globalprotect/globalprotect.plist");
const PORTAL: &str = include_str!("../../../tests/fixtures/globalprotect/portal.xml");
const GATEWAY: &str = include_str!("../../../tests/fixtures/globalprotect/gateway.xml");

const ALL: [&str; 4] = [REGISTRY, PLIST, PORTAL, GATEWAY];

fn tunnel(text: &str) -> Tunnel {
    GLOBALPROTECT.read_text("x", text).1.device.tunnels.remove(0)
}

fn hosts(tunnel: &Tunnel) -> Vec<&str> {
    tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| e.host.as_str()).collect()
}

#[test]
fn each_form_is_known_and_read() {
    for text in ALL {
        let (file, reading) = GLOBALPROTECT.read_text("x", text);
        assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), ["globalprotect"]);
        assert!(reading.lines[&file.id].iter().all(|s| *s <= LineState::NotModelled), "{:?}", reading.notes);
    }
}

#[test]
fn the_client_says_when_it_connects_and_what_it_blocks_meanwhile() {
    let windows = tunnel(REGISTRY);
    assert_eq!(hosts(&windows), ["portal.acme.example"]);
    let said = |t: &Tunnel, name: &str| t.setting(name).map(|s| s.value.clone());
    assert_eq!(said(&windows, "connect-method").as_deref(), Some("user-logon"));
    assert!(windows.setting("kill-switch-v4").is_some() && windows.setting("kill-switch-v6").is_some());
    assert!(windows.setting("accepts-invalid-certificates").is_none() && windows.setting("RememberCredential").is_none());
    let mac = tunnel(PLIST);
    assert_eq!(said(&mac, "connect-method").as_deref(), Some("on-demand"));
    assert!(mac.setting("kill-switch-v4").is_none() && mac.setting("accepts-invalid-certificates").is_some());
    assert!(mac.setting("RememberCredential").is_some());
    // Where a captive portal may be visited, everything may be for a while.
    assert!(tunnel(PORTAL).setting("kill-switch-v4").is_none());
    assert!(!windows.unmodelled.is_empty() && windows.routes.is_empty());
}

#[test]
fn a_portal_names_gateways_and_a_gateway_routes() {
    let portal = tunnel(PORTAL);
    assert_eq!(hosts(&portal), ["gw1.acme.example", "gw2.acme.example"]);
    assert_eq!(portal.second_factor.as_ref().map(|f| f.value), Some(true));
    let gateway = tunnel(GATEWAY);
    let routes: Vec<String> = gateway.routes.iter().map(|r| format!("{}{}", if r.excluded { "!" } else { "" }, r.to)).collect();
    assert_eq!(routes, ["0.0.0.0/0", "!198.51.100.0/24"]);
    assert_eq!(gateway.dns.len(), 1);
}

#[test]
fn passwords_and_cookies_are_hidden() {
    for (text, secret) in [(REGISTRY, "kept-in-the-registry"), (PORTAL, "one-cookie-for-all")] {
        let (file, reading) = GLOBALPROTECT.read_text("x", text);
        assert!(reading.secrets.iter().any(|s| file.slice(*s).contains(secret)), "{secret}");
    }
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
        let reading = GLOBALPROTECT.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
