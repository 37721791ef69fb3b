use proptest::prelude::*;

use super::{IPSEC_CONF, IPSEC_SECRETS, SWANCTL};
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoUse, Tunnel, TunnelRole};
use crate::source::{FileId, SourceFile};
use crate::vendors::{Format, Reading, detect};

const STRONGSWAN: &str = include_str!("../../../tests/fixtures/ipsec/strongswan.conf");
const LIBRESWAN: &str = include_str!("../../../tests/fixtures/ipsec/libreswan.conf");
const SECRETS: &str = include_str!("../../../tests/fixtures/ipsec/ipsec.secrets");
const GATEWAY: &str = include_str!("../../../tests/fixtures/swanctl/swanctl.conf");
const LAPTOP: &str = include_str!("../../../tests/fixtures/swanctl/laptop.conf");

fn all() -> [(&'static Format, &'static str); 5] {
    [(&IPSEC_CONF, STRONGSWAN), (&IPSEC_CONF, LIBRESWAN), (&IPSEC_SECRETS, SECRETS), (&SWANCTL, GATEWAY), (&SWANCTL, LAPTOP)]
}

fn read(format: &Format, text: &str) -> (SourceFile, Reading) {
    format.read_text("etc/x.conf", text)
}

fn tunnel(format: &Format, text: &str, name: &str) -> Tunnel {
    let (_, reading) = read(format, text);
    reading.device.tunnels.into_iter().find(|t| t.name.as_deref() == Some(name)).expect(name)
}

fn offered(tunnel: &Tunnel, layer: CryptoLayer) -> String {
    let all = tunnel.crypto.iter().filter(|o| o.layer == layer && o.usage != CryptoUse::IkeVersion && o.usage != CryptoUse::Authentication);
    all.map(|o| format!("{}{}{}", o.name, if o.default { "*" } else { "" }, if o.perhaps { "?" } else { "" })).collect::<Vec<_>>().join(" ")
}

fn proofs(tunnel: &Tunnel) -> String {
    let all = tunnel.crypto.iter().filter(|o| o.usage == CryptoUse::Authentication);
    all.map(|o| o.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn versions(tunnel: &Tunnel) -> String {
    let all = tunnel.crypto.iter().filter(|o| o.usage == CryptoUse::IkeVersion);
    all.map(|o| format!("{}{}{}", o.name, if o.default { "*" } else { "" }, if o.perhaps { "?" } else { "" })).collect::<Vec<_>>().join(" ")
}

fn sides(tunnel: &Tunnel) -> Vec<String> {
    let nets = |list: &[ipnetwork::IpNetwork]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    tunnel.selectors.iter().map(|s| format!("{} = {}", nets(&s.local), nets(&s.remote))).collect()
}

fn routes(tunnel: &Tunnel) -> Vec<String> {
    tunnel.routes.iter().map(|r| format!("{}{}", if r.excluded { "not " } else { "" }, r.to)).collect()
}

#[test]
fn each_fixture_is_known_for_what_it_is_and_has_no_unknown_line() {
    for (format, text) in all() {
        let (file, reading) = read(format, text);
        let found = detect(&file);
        assert_eq!(found.iter().map(|d| d.0.id).collect::<Vec<_>>(), [format.id], "{text}");
        assert!(reading.lines[&file.id].iter().all(|s| *s != LineState::Unrecognised), "{:?}", reading.notes);
    }
}

#[test]
fn a_section_takes_over_what_also_and_the_defaults_say() {
    let graz = tunnel(&IPSEC_CONF, STRONGSWAN, "graz");
    assert_eq!((graz.role, versions(&graz).as_str(), proofs(&graz).as_str()), (TunnelRole::Peer, "2", "CERTIFICATE"));
    assert_eq!(offered(&graz, CryptoLayer::Control), "AES-256-CBC SHA256 SECP256R1 AES-256-GCM SHA384 SECP384R1");
    assert_eq!(offered(&graz, CryptoLayer::Data), "AES-256-GCM SECP384R1");
    assert_eq!(sides(&graz), ["10.10.0.0/16,2001:db8:10::/48 = 10.20.0.0/16,2001:db8:20::/48"]);
    assert_eq!(routes(&graz), ["10.20.0.0/16", "2001:db8:20::/48", "not 10.10.9.0/24"]);
    assert_eq!(graz.peers[0].endpoint.as_ref().map(|e| e.host.as_str()), Some("198.51.100.7"));
    // `conn strong` itself is never loaded.
    assert!(read(&IPSEC_CONF, STRONGSWAN).1.device.tunnels.iter().all(|t| t.name.as_deref() != Some("strong")));
}

#[test]
fn weak_proposals_and_aggressive_mode_are_seen_each() {
    let weak = tunnel(&IPSEC_CONF, STRONGSWAN, "supplier");
    assert_eq!(versions(&weak), "1-AGGRESSIVE");
    assert_eq!(offered(&weak, CryptoLayer::Control), "3DES-CBC MD5 DH-1024");
    assert_eq!(offered(&weak, CryptoLayer::Data), "3DES-CBC SHA1 NONE IPCOMP");
    assert_eq!(proofs(&weak), "PSK PSK".split(' ').next().unwrap_or(""));
}

#[test]
fn a_server_with_two_rounds_asks_for_a_second_factor() {
    let server = tunnel(&IPSEC_CONF, STRONGSWAN, "roadwarrior");
    assert_eq!(server.role, TunnelRole::Server);
    assert_eq!(server.second_factor.as_ref().map(|f| f.value), Some(true));
    assert_eq!(sides(&server), ["0.0.0.0/0 = 10.99.0.0/24"]);
    assert_eq!(server.dns[0].text, "10.10.0.53");
    assert!(server.routes.is_empty());
}

#[test]
fn without_the_exclamation_mark_the_defaults_of_strongswan_are_offered_too() {
    let conn =
        |ike: &str| format!("config setup\n\tcharondebug=\"ike 1\"\nconn a\n\tleftauth=pubkey\n{ike}\tright=192.0.2.1\n\tauto=add\n");
    let open = tunnel(&IPSEC_CONF, &conn("\tike=aes256-sha256-ecp256\n"), "a");
    assert!(offered(&open, CryptoLayer::Control).contains("3DES-CBC*?"), "{}", offered(&open, CryptoLayer::Control));
    assert!(offered(&open, CryptoLayer::Data).contains("SHA1*"));
    let strict = tunnel(&IPSEC_CONF, &conn("\tike=aes256-sha256-ecp256!\n"), "a");
    assert_eq!(offered(&strict, CryptoLayer::Control), "AES-256-CBC SHA256 SECP256R1");
    assert_eq!(versions(&strict), "2* 1*");
}

#[test]
fn libreswan_fills_in_its_own_defaults() {
    let site = tunnel(&IPSEC_CONF, LIBRESWAN, "datacentre");
    assert_eq!((site.interface.as_str(), versions(&site).as_str(), proofs(&site).as_str()), ("ipsec1", "2", "PSK"));
    assert!(offered(&site, CryptoLayer::Control).starts_with("AES-256-GCM* AES-128-GCM*"));
    assert!(!offered(&site, CryptoLayer::Control).contains("3DES"));
    assert_eq!(sides(&site), ["10.1.0.0/24,10.1.1.0/24 = 10.2.0.0/16"]);
    let l2tp = tunnel(&IPSEC_CONF, LIBRESWAN, "l2tp-psk");
    assert_eq!((l2tp.role, versions(&l2tp).as_str()), (TunnelRole::Server, "1"));
    assert_eq!(offered(&l2tp, CryptoLayer::Control), "AES-256-CBC SHA1 DH-2048 AES-128-CBC SHA256 DH-1024");
    assert_eq!(offered(&l2tp, CryptoLayer::Data), "AES-128-CBC AES-256-CBC SHA1 AES-128-GCM AES-256-GCM NONE");
    let xauth = tunnel(&IPSEC_CONF, LIBRESWAN, "xauth-rsa");
    assert_eq!((versions(&xauth).as_str(), proofs(&xauth).as_str()), ("1", "CERTIFICATE XAUTH"));
    assert_eq!(xauth.second_factor.as_ref().map(|f| f.value), Some(true));
    assert_eq!(xauth.dns.len(), 2);
    assert!(offered(&xauth, CryptoLayer::Control).contains("3DES-CBC*"));
}

#[test]
fn nothing_is_made_up_where_nothing_tells_the_program() {
    let (_, reading) = read(&IPSEC_CONF, "conn a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tauto=start\n");
    assert!(reading.device.tunnels[0].crypto.iter().all(|o| o.usage != CryptoUse::Cipher));
    assert_eq!(reading.notes.iter().filter(|n| n.text.contains("depends on the program")).count(), 2);
}

#[test]
fn references_and_pools_of_swanctl_are_followed() {
    let people = tunnel(&SWANCTL, GATEWAY, "people");
    assert_eq!((people.role, versions(&people).as_str(), proofs(&people).as_str()), (TunnelRole::Server, "2", "CERTIFICATE EAP-RADIUS"));
    assert_eq!(offered(&people, CryptoLayer::Control), "AES-256-GCM SHA384 SECP384R1");
    assert_eq!(offered(&people, CryptoLayer::Data), "AES-256-GCM SECP384R1");
    assert_eq!(sides(&people), ["0.0.0.0/0,::/0 = 10.99.0.0/24,2001:db8:99::/64"]);
    assert_eq!(people.dns.len(), 2);
    assert_eq!(people.setting("local-id").map(|s| s.value.as_str()), Some("vpn.acme.example"));
}

#[test]
fn default_in_a_list_of_proposals_is_the_list_of_strongswan() {
    let branch = tunnel(&SWANCTL, GATEWAY, "branch");
    assert_eq!((branch.role, versions(&branch).as_str()), (TunnelRole::Peer, "2* 1*"));
    let data = offered(&branch, CryptoLayer::Data);
    assert!(data.contains("3DES-CBC MD5 NONE") && data.contains("SHA1*"), "{data}");
    assert_eq!(branch.peers.len(), 2);
    assert!(branch.peers.iter().all(|p| p.preshared_key.is_some()));
    // Only one port of one network, packets with a mark, and a policy that drops.
    assert_eq!(branch.unmodelled.len(), 3);
    assert_eq!(routes(&branch), ["10.21.0.0/16", "10.30.0.0/16"]);
}

#[test]
fn a_client_routes_what_it_asks_for_but_for_what_passes_by() {
    let laptop = tunnel(&SWANCTL, LAPTOP, "office");
    assert_eq!(laptop.role, TunnelRole::Client);
    assert_eq!(routes(&laptop), ["0.0.0.0/0", "::/0", "not 192.168.0.0/16"]);
    assert_eq!(versions(&laptop), "2");
}

#[test]
fn every_secret_is_hidden() {
    let (file, reading) = read(&IPSEC_SECRETS, SECRETS);
    let hidden: Vec<&str> = reading.secrets.iter().map(|s| file.slice(*s)).collect();
    for secret in [
        "weak but agreed with the supplier",
        "0sMTIzNDU2Nzg5MGFiY2RlZg==",
        "annas own password",
        "berts own password",
        "opens the key of the gateway",
    ] {
        assert!(hidden.contains(&secret), "{secret}: {hidden:?}");
    }
    let (file, reading) = read(&SWANCTL, GATEWAY);
    let hidden: Vec<&str> = reading.secrets.iter().map(|s| file.slice(*s)).collect();
    assert_eq!(hidden, ["0sYW5uYXMgcGFzc3dvcmQ=", "an agreement between two gateways"]);
}

#[test]
fn hostile_files_end_soon_and_are_said() {
    // Sections that name each other, deep nesting, references in a circle, and many of everything.
    let also: String = (0..2000)
        .map(|i| {
            format!(
                "conn c{i}\n\tauto=add\n\tleftid=a\n\tright=192.0.2.1\n{}",
                (0..30).map(|j| format!("\talso=c{}\n", (i * 7 + j * 13) % 2000)).collect::<String>()
            )
        })
        .collect();
    let (_, reading) = read(&IPSEC_CONF, &also);
    assert!(reading.notes.iter().any(|n| n.incomplete));
    let deep = format!("connections {{\n{}\n", "a {\n".repeat(5000));
    assert!(read(&SWANCTL, &deep).1.notes.iter().any(|n| n.incomplete));
    let circle = "a : b { x : a { } }\nb : a { proposals = default }\nconnections {\n c : a { children { n : b { } } }\n}\n";
    assert!(!read(&SWANCTL, circle).1.device.tunnels.is_empty());
    let wide: String = (0..3000)
        .map(|i| format!("s{i} : {} {{ k = v }}\n", (0..20).map(|j| format!("s{}", (i + j) % 3000)).collect::<Vec<_>>().join(", ")))
        .collect();
    read(&SWANCTL, &format!("{wide}connections {{ c : s1 {{ }} }}\n"));
    for text in [
        "conn",
        "conn \nleft",
        "conn a\n\tleftsubnet=\"",
        "}",
        "a = ",
        "connections { a { proposals = \"",
        "include",
        ": PSK",
        ": RSA {",
        "é : PSK é",
    ] {
        for (format, _) in all() {
            read(format, text);
        }
    }
}

proptest! {
    #[test]
    fn damaged_files_are_read_without_panic(which in 0usize..5, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let (format, text) = all()[which];
        let mut bytes = text.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x.conf", &bytes);
        let _ = detect(&file);
        let reading = format.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
