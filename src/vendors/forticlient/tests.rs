use proptest::prelude::*;

use super::FORTICLIENT;
use crate::diag::LineState;
use crate::model::{CryptoUse, TunnelKind};
use crate::source::{FileId, SourceFile};
use crate::vendors::detect;

const VPN: &str = include_str!("../../../tests/fixtures/forticlient/vpn.xml");

#[test]
fn connections_of_both_kinds_are_read() {
    let (file, reading) = FORTICLIENT.read_text("vpn.xml", VPN);
    assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), ["forticlient"]);
    assert!(reading.lines[&file.id].iter().all(|s| *s <= LineState::Understood), "{:?}", reading.notes);
    let [ipsec, ssl] = reading.device.tunnels.as_slice() else { panic!("two tunnels") };
    assert_eq!((ipsec.kind, ssl.kind), (TunnelKind::Ipsec, TunnelKind::TlsVpn));
    let names: Vec<&str> = ipsec.crypto.iter().filter(|o| o.usage != CryptoUse::Authentication).map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["1-AGGRESSIVE", "3DES-CBC", "MD5", "AES-256-CBC", "SHA256", "DH-1536", "DH-2048", "AES-128-CBC", "SHA1", "DH-1536"]);
    assert_eq!(ipsec.routes.iter().map(|r| r.to.to_string()).collect::<Vec<_>>(), ["0.0.0.0/0"]);
    assert_eq!(ipsec.peers.len(), 2);
    assert!(ipsec.peers[0].preshared_key.is_some());
    assert_eq!(ssl.peers[0].endpoint.as_ref().map(|e| (e.host.as_str(), e.port)), Some(("vpn.acme.example", 10443)));
    assert!(reading.secrets.iter().any(|s| file.slice(*s).starts_with("Enc ")));
}

#[test]
fn what_is_switched_off_is_no_tunnel() {
    let (_, reading) = FORTICLIENT.read_text(
        "vpn.xml",
        &VPN.replace("<enabled>1</enabled>\n                <block_ipv6>1", "<enabled>0</enabled>\n                <block_ipv6>1"),
    );
    assert_eq!(reading.device.tunnels.len(), 1);
}

proptest! {
    #[test]
    fn damaged_configurations_are_read_without_panic(cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = VPN.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = FORTICLIENT.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
