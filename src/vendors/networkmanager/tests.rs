use proptest::prelude::*;

use super::NETWORKMANAGER;
use crate::diag::LineState;
use crate::model::{CryptoUse, Tunnel, TunnelKind, TunnelRole};
use crate::source::{FileId, SourceFile};
use crate::vendors::{Reading, detect};

const OFFICE: &str = include_str!("../../../tests/fixtures/networkmanager/office.nmconnection");
const WIREGUARD: &str = include_str!("../../../tests/fixtures/networkmanager/wireguard.nmconnection");
const IKEV2: &str = include_str!("../../../tests/fixtures/networkmanager/ikev2.nmconnection");
const L2TP: &str = include_str!("../../../tests/fixtures/networkmanager/l2tp.nmconnection");
const WIFI: &str = include_str!("../../../tests/fixtures/networkmanager/wifi.nmconnection");
const ALL: [&str; 5] = [OFFICE, WIREGUARD, IKEV2, L2TP, WIFI];

fn read(text: &str) -> (SourceFile, Reading) {
    NETWORKMANAGER.read_text("x.nmconnection", text)
}

fn one(text: &str) -> Tunnel {
    let (_, mut reading) = read(text);
    assert_eq!(reading.device.tunnels.len(), 1);
    reading.device.tunnels.remove(0)
}

fn routes(tunnel: &Tunnel) -> Vec<String> {
    tunnel.routes.iter().map(|r| r.to.to_string()).collect()
}

#[test]
fn each_profile_is_known_and_every_line_has_a_state() {
    for text in ALL {
        let (file, reading) = read(text);
        assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), ["networkmanager"], "{text}");
        assert!(reading.lines[&file.id].iter().all(|s| *s < LineState::NotModelled), "{:?}", reading.notes);
    }
}

#[test]
fn a_profile_of_openvpn_has_its_remotes_ciphers_and_routes() {
    let tunnel = one(OFFICE);
    assert_eq!((tunnel.kind, tunnel.role), (TunnelKind::OpenVpn, TunnelRole::Client));
    let ends: Vec<_> = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| (e.host.as_str(), e.port, e.protocol)).collect();
    assert_eq!(ends, [("vpn.acme.example", 1194, 17), ("vpn2.acme.example", 443, 6)]);
    assert_eq!(routes(&tunnel), ["10.10.0.0/16", "10.20.0.0/16"]);
    assert!(tunnel.setting("never-default").is_some() && tunnel.setting("pull").is_some());
    assert!(tunnel.setting("remote-cert-tls").is_some() && tunnel.setting("tls-auth").is_some());
    assert_eq!(tunnel.second_factor.as_ref().map(|f| f.value), Some(true));
}

#[test]
fn networkmanager_routes_what_peers_may_use() {
    let tunnel = one(WIREGUARD);
    assert_eq!((tunnel.kind, tunnel.role, tunnel.interface.as_str()), (TunnelKind::WireGuard, TunnelRole::Client, "wg-acme"));
    assert_eq!(routes(&tunnel), ["0.0.0.0/0", "::/0"]);
    assert_eq!(tunnel.peers[0].keepalive, Some(25));
    let split = WIREGUARD.replace("method=manual\n\n[ipv6]", "method=manual\nnever-default=true\n\n[ipv6]");
    assert_eq!(routes(&one(&split)), ["::/0"]);
    let off = WIREGUARD.replace("address1=fd00:8::2/128\nmethod=manual", "method=disabled");
    assert_eq!(routes(&one(&off)), ["0.0.0.0/0"]);
    let none = WIREGUARD.replace("listen-port=0", "peer-routes=false");
    assert!(one(&none).routes.is_empty());
}

#[test]
fn a_profile_of_strongswan_asks_for_everything() {
    let tunnel = one(IKEV2);
    assert_eq!(routes(&tunnel), ["0.0.0.0/0", "::/0"]);
    let weak: Vec<&str> = tunnel.crypto.iter().filter(|o| o.usage == CryptoUse::KeyExchange).map(|o| o.name.as_str()).collect();
    assert_eq!(weak, ["SECP384R1", "DH-1024", "SECP384R1"]);
}

#[test]
fn l2tp_in_ipsec_is_ipsec_and_without_is_not() {
    let tunnel = one(L2TP);
    assert_eq!(tunnel.kind, TunnelKind::Ipsec);
    assert!(tunnel.peers[0].preshared_key.is_some() && tunnel.setting("pull").is_none());
    assert_eq!(one(&L2TP.replace("ipsec-enabled=yes", "ipsec-enabled=no")).kind, TunnelKind::L2tp);
}

#[test]
fn secrets_are_hidden() {
    for (text, secret) in [
        (OFFICE, "annas own password"),
        (WIREGUARD, "1fH5hAH2N2aQQY7UqDprNVUQkioK49DPzANHQPdLUvg="),
        (L2TP, "0sb2xkIGtleSBvZiBldmVyeWJvZHk="),
        (WIFI, "living room password"),
    ] {
        let (file, reading) = read(text);
        assert!(reading.secrets.iter().any(|s| file.slice(*s) == secret), "{secret}");
    }
}

proptest! {
    #[test]
    fn damaged_profiles_are_read_without_panic(which in 0usize..5, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = ALL[which].as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = NETWORKMANAGER.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
