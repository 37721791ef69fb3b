use proptest::prelude::*;

use super::WIREGUARD;
use crate::diag::LineState;
use crate::model::{Tunnel, TunnelRole};
use crate::source::SourceFile;
use crate::vendors::{Confidence, Reading};

const SERVER: &str = include_str!("../../../tests/fixtures/wireguard/server.conf");
const CLIENT: &str = include_str!("../../../tests/fixtures/wireguard/client.conf");
const SHOW: &str = include_str!("../../../tests/fixtures/wireguard/show.txt");
const DUMP: &str = include_str!("../../../tests/fixtures/wireguard/dump.txt");

const SERVER_KEY: &str = "2/FDt5NpNzTUTB7S6UpQ7Axq2Fk3IWL9hPhiBkO9NwQ=";
const ALICE_KEY: &str = "AjbVApV+qi4/q3YceEI+2fGlbCtDz73OzIv3uwiBEnY=";

fn read(text: &str) -> (SourceFile, Reading) {
    WIREGUARD.read_text("etc/wireguard/wg0.conf", text)
}

fn one(text: &str) -> Tunnel {
    let (_, mut reading) = read(text);
    assert_eq!(reading.device.tunnels.len(), 1);
    reading.device.tunnels.remove(0)
}

fn client(interface: &str, peer: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = 1fH5hAH2N2aQQY7UqDprNVUQkioK49DPzANHQPdLUvg=\nAddress = 10.8.0.2/32\n{interface}\n\
         [Peer]\nPublicKey = {SERVER_KEY}\nEndpoint = vpn.example:51820\nAllowedIPs = 0.0.0.0/0\n{peer}\n"
    )
}

fn states(file: &SourceFile, reading: &Reading) -> Vec<LineState> {
    reading.lines[&file.id].clone()
}

#[test]
fn a_client_pairs_with_its_peer_on_the_server() {
    let (server, client) = (one(SERVER), one(CLIENT));
    assert_eq!(client.public_key.map(|k| k.0), server.peers[0].public_key.clone().map(|k| k.0));
    assert_eq!(server.public_key.map(|k| k.0), client.peers[0].public_key.clone().map(|k| k.0));
}

#[test]
fn the_derived_key_is_that_of_the_rfc() {
    // RFC 7748, section 6.1: Alice's keys, in base64.
    let public = super::keys::public_key("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
    assert_eq!(public.as_deref(), Some("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="));
}

#[test]
fn a_server_lists_its_peers_with_their_names_and_networks() {
    let tunnel = one(SERVER);
    assert_eq!((tunnel.role, tunnel.interface.as_str()), (TunnelRole::Server, "wg0"));
    assert_eq!(tunnel.listen.map(|l| (l.0, l.1)), Some((17, 51820)));
    let names: Vec<_> = tunnel.peers.iter().map(|p| p.name.as_deref()).collect();
    assert_eq!(names, [Some("alice"), Some("bob"), Some("carol")]);
    let allowed: Vec<Vec<String>> = tunnel.peers.iter().map(|p| p.allowed.iter().map(|(n, _)| n.to_string()).collect()).collect();
    assert_eq!(allowed, [vec!["10.8.0.2/32", "fd00:8::2/128"], vec!["10.8.0.3/32", "192.168.7.0/24"], vec![]]);
    assert!(tunnel.routes.is_empty() && tunnel.private_key.is_some() && tunnel.peers[0].preshared_key.is_some());
    assert_eq!(tunnel.addresses[0].0.to_string(), "10.8.0.1/24");
}

#[test]
fn a_client_routes_what_its_peer_may_use() {
    let tunnel = one(CLIENT);
    assert_eq!(tunnel.role, TunnelRole::Client);
    assert_eq!(tunnel.routes.iter().map(|r| r.to.to_string()).collect::<Vec<_>>(), ["0.0.0.0/0", "::/0"]);
    let peer = &tunnel.peers[0];
    assert_eq!(peer.endpoint.as_ref().map(|e| (e.host.as_str(), e.port)), Some(("2001:db8::1", 51820)));
    assert_eq!(peer.keepalive, Some(25));
    assert_eq!(
        tunnel.dns.iter().map(|d| (d.server.is_some(), d.text.as_str())).collect::<Vec<_>>(),
        [(true, "10.8.0.1"), (false, "corp.example")]
    );
}

#[test]
fn the_kill_switch_is_known_for_each_family() {
    let (file, reading) = read(CLIENT);
    let tunnel = &reading.device.tunnels[0];
    for setting in ["kill-switch-v4", "kill-switch-v6"] {
        let span = tunnel.setting(setting).expect(setting).span;
        assert!(file.slice(span).starts_with("iptables -I OUTPUT"), "{setting}");
    }
    assert!(reading.notes.is_empty(), "{:?}", reading.notes);
}

#[test]
fn a_kill_switch_with_a_hole_is_none() {
    let switch = |rest: &str| format!("PostUp = iptables -I OUTPUT ! -o %i {rest}");
    let mark = "-m mark ! --mark $(wg show %i fwmark)";
    for rest in [
        format!("{mark} -p tcp -j REJECT"),
        format!("{mark} ! -d 192.168.0.0/16 -j REJECT"),
        format!("{mark} -j ACCEPT"),
        format!("{mark} -j REJECT; iptables -F OUTPUT"),
        "-m mark ! --mark 0x1 -j REJECT".into(),
    ] {
        let (_, reading) = read(&client(&switch(&rest), ""));
        assert!(reading.device.tunnels[0].setting("kill-switch-v4").is_none(), "{rest}");
        assert_eq!(reading.notes.len(), 1, "{rest}");
    }
    let tunnel = one(&client(&format!("FwMark = 51820\n{}", switch("-m mark ! --mark 0xca6c -j DROP")), ""));
    assert!(tunnel.setting("kill-switch-v4").is_some() && tunnel.setting("kill-switch-v6").is_none());
    let appended = one(&client(&format!("PostUp = iptables -A OUTPUT ! -o %i {mark} -j REJECT"), ""));
    assert!(appended.setting("kill-switch-v4").is_none());
}

#[test]
fn the_table_decides_about_routes() {
    assert_eq!(one(&client("Table = auto", "")).routes.len(), 1);
    let off = one(&client("Table = off", ""));
    assert!(off.routes.is_empty());
    assert_eq!(off.setting("Table").map(|s| s.value.as_str()), Some("off"));
    let (_, other) = read(&client("Table = 1234", ""));
    assert!(other.device.tunnels[0].routes.is_empty());
    assert_eq!(other.notes[0].state, LineState::NotModelled);
}

#[test]
fn routes_of_a_bare_wg_file_are_not_known() {
    let text = client("", "").replace("Address = 10.8.0.2/32\n", "");
    let (_, reading) = read(&text);
    assert!(reading.device.tunnels[0].routes.is_empty());
    assert_eq!(reading.notes.len(), 1);
}

#[test]
fn the_role_follows_ports_endpoints_and_networks() {
    let peer = |endpoint: bool, allowed: &str| {
        let endpoint = if endpoint { "Endpoint = 192.0.2.1:1\n" } else { "" };
        format!("[Peer]\nPublicKey = {ALICE_KEY}\n{endpoint}AllowedIPs = {allowed}\n")
    };
    let role = |port: bool, peers: &[String]| {
        one(&format!("[Interface]\n{}Address = 10.8.0.1/24\n{}", if port { "ListenPort = 1\n" } else { "" }, peers.concat())).role
    };
    let (roaming, known, site, full) =
        (peer(false, "10.8.0.2/32"), peer(true, "10.8.0.2/32"), peer(true, "10.9.0.0/16"), peer(true, "0.0.0.0/1"));
    assert_eq!(role(true, &[]), TunnelRole::Server);
    assert_eq!(role(false, &[]), TunnelRole::Peer);
    assert_eq!(role(true, &[roaming.clone(), site.clone()]), TunnelRole::Server);
    assert_eq!(role(true, std::slice::from_ref(&known)), TunnelRole::Server);
    assert_eq!(role(true, &[known, site.clone()]), TunnelRole::Peer);
    assert_eq!(role(true, std::slice::from_ref(&full)), TunnelRole::Client);
    assert_eq!(role(false, &[site]), TunnelRole::Client);
    assert_eq!(role(false, &[roaming]), TunnelRole::Peer);
}

#[test]
fn names_are_taken_from_comments_and_prose_is_not() {
    let named = |above: &str, inside: &str| {
        let text = format!("[Interface]\nListenPort = 1\n\n{above}[Peer]\n{inside}PublicKey = {ALICE_KEY}\n");
        one(&text).peers[0].name.clone()
    };
    assert_eq!(named("# alice\n", "").as_deref(), Some("alice"));
    assert_eq!(named("# alice\n", "# Name: bob\n").as_deref(), Some("bob"));
    assert_eq!(named("# END_PEER bob\n# BEGIN_PEER alice\n", "").as_deref(), Some("alice"));
    assert_eq!(named("", "# friendly_name = \"Alice Smith\"\n").as_deref(), Some("Alice Smith"));
    assert_eq!(named("# bob\n\n", "# alice's laptop\n").as_deref(), Some("alice's laptop"));
    assert_eq!(named("# the one who sits in the corner\n", ""), None);
    assert_eq!(named("# Endpoint = 192.0.2.1:5\n", ""), None);
}

#[test]
fn what_wg_refuses_is_noted_and_the_rest_is_read() {
    let text = format!(
        "stray\n[Interface]\nListenPort = 99999\nPrivateKey = bad\nFoo = bar\n[Beer]\nPublicKey = {ALICE_KEY}\n[Peer]\nEndpoint = nowhere\nAllowedIPs = 10.0.0.0/33, 10.0.0.0/8\n"
    );
    let (file, reading) = read(&text);
    use LineState::{NotModelled as N, Unrecognised as U, Unsupported as S};
    assert_eq!(states(&file, &reading), [S, N, S, S, U, U, S, S, S, S]);
    assert_eq!(reading.device.tunnels[0].peers[0].allowed.len(), 1);
}

#[test]
fn a_key_that_was_taken_out_is_no_secret() {
    let (_, reading) = read("[Interface]\nPrivateKey = <redacted>\nListenPort = 1\n");
    let tunnel = &reading.device.tunnels[0];
    assert!(reading.secrets.is_empty() && tunnel.private_key.is_none() && tunnel.public_key.is_none());
    assert_eq!(reading.notes[0].state, LineState::NotModelled);
}

#[test]
fn wg_show_and_its_dump_say_what_the_configuration_says() {
    for text in [SHOW, DUMP] {
        let (file, reading) = WIREGUARD.read_text("wg.txt", text);
        let tunnel = &reading.device.tunnels[0];
        assert_eq!((tunnel.interface.as_str(), tunnel.role), ("wg0", TunnelRole::Server));
        assert_eq!(tunnel.public_key.as_ref().map(|k| k.0.as_str()), Some(SERVER_KEY));
        assert_eq!(tunnel.peers.len(), 2);
        assert_eq!(tunnel.peers[0].allowed.len(), 2);
        assert_eq!(tunnel.peers[0].endpoint.as_ref().map(|e| e.port), Some(40112));
        assert_eq!(tunnel.peers[1].keepalive, Some(25));
        assert!(states(&file, &reading).iter().all(|s| *s <= LineState::Understood), "{:?}", reading.notes);
    }
    let (_, dump) = WIREGUARD.read_text("wg.txt", DUMP);
    assert_eq!(dump.secrets.len(), 2);
}

#[test]
fn detection_needs_no_file_name() {
    for text in [SERVER, CLIENT, SHOW, DUMP] {
        let file = SourceFile::from_text(crate::source::FileId(0), "-", text);
        assert_eq!((WIREGUARD.detect)(&file).map(|d| d.confidence), Some(Confidence::Certain));
    }
    for text in ["", "[Interface]\nName=eth0\n", "[Peer]\n", "interface: wg0\n", "a\tb\tc\td\n", "PrivateKey = x\n"] {
        let file = SourceFile::from_text(crate::source::FileId(0), "wg0.conf", text);
        assert!((WIREGUARD.detect)(&file).is_none(), "{text}");
    }
}

#[test]
fn no_secret_leaves_the_spans_that_mark_it() {
    let canaries = [
        "[Interface]\nPrivateKey = CANARY-not-a-key\nListenPort = 1\n",
        "[Interface]\nPrivatKey = CANARY-not-a-key\nListenPort = 1\n",
        "[Interface]\nListenPort = 1\n# PrivateKey = CANARY+not+a+key+but+long\n",
        "[Interface]\nListenPort = 1\n#PresharedKey=CANARY+not+a+key+but+long # x\n[Peer]\nPublicKey = x\n",
        "[Interface]\nListenPort = 1\nPostUp = wg set %i peer x preshared-key <(echo CANARY)\n",
        "[Interface]\nListenPort = 1\nPostUp = curl https://me:CANARY@example.com/up\n",
        "[Peer]\nPresharedKey = CANARY\nPublicKey = x\n",
        "[Beer]\nPrivateKey = CANARYCANARY\n[Peer]\nPublicKey = x\n",
        "[Interface]\nListenPort = 1\nCANARYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "wg0\tCANARYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\tAjbVApV+qi4/q3YceEI+2fGlbCtDz73OzIv3uwiBEnY=\t51820\toff\n\
         wg0\tAjbVApV+qi4/q3YceEI+2fGlbCtDz73OzIv3uwiBEnY=\tCANARY\t(none)\t(none)\t0\t0\t0\toff\nCANARYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\t2\n",
    ];
    for text in canaries {
        let (file, reading) = read(text);
        let said = format!("{:?} {:?}", reading.device, reading.notes);
        assert!(!said.contains("CANARY"), "{text}\n{said}");
        let mut shown = file.text.to_string();
        for secret in &reading.secrets {
            shown.replace_range(secret.start as usize..secret.end as usize, &"#".repeat((secret.end - secret.start) as usize));
        }
        assert!(!shown.contains("CANARY"), "{text}\n{shown}");
    }
}

proptest! {
    #[test]
    fn damaged_files_are_read_without_panic(which in 0usize..4, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = [SERVER, CLIENT, SHOW, DUMP][which].as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(crate::source::FileId(0), "wg0.conf", &bytes);
        let _ = (WIREGUARD.detect)(&file);
        let reading = WIREGUARD.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
