use proptest::prelude::*;

use super::OPENVPN;
use crate::diag::LineState;
use crate::model::{CryptoUse, Tunnel, TunnelRole};
use crate::source::{FileId, Redactor, SourceFile, Sources};
use crate::vendors::{Confidence, Reading};

const SERVER: &str = include_str!("../../../tests/fixtures/openvpn/server.conf");
const CLIENT: &str = include_str!("../../../tests/fixtures/openvpn/client.ovpn");
const STATIC: &str = include_str!("../../../tests/fixtures/openvpn/static.conf");
const PER_CLIENT: &str = include_str!("../../../tests/fixtures/openvpn/alice");
const DH: &str = include_str!("../../../tests/fixtures/openvpn/dh1024.pem");

fn read(text: &str) -> (SourceFile, Reading) {
    OPENVPN.read_text("etc/openvpn/alice", text)
}

fn one(text: &str) -> Tunnel {
    let (_, mut reading) = read(text);
    assert_eq!(reading.device.tunnels.len(), 1);
    reading.device.tunnels.remove(0)
}

fn routes(tunnel: &Tunnel) -> Vec<String> {
    tunnel.routes.iter().map(|r| format!("{}{}", if r.excluded { "not " } else { "" }, r.to)).collect()
}

fn offers(tunnel: &Tunnel, usage: CryptoUse) -> Vec<(&str, bool)> {
    tunnel.crypto.iter().filter(|c| c.usage == usage).map(|c| (c.name.as_str(), c.default)).collect()
}

fn value<'a>(tunnel: &'a Tunnel, name: &str) -> Option<&'a str> {
    tunnel.setting(name).map(|s| s.value.as_str())
}

fn state_of(text: &str, line: &str) -> LineState {
    let (file, reading) = read(text);
    let index = (0..file.line_count()).find(|i| file.line(*i) == line).expect("the line");
    reading.lines[&file.id][index]
}

#[test]
fn a_server_has_its_address_port_and_pushed_routes() {
    let tunnel = one(SERVER);
    assert_eq!((tunnel.role, tunnel.interface.as_str()), (TunnelRole::Server, "tun0"));
    assert_eq!(tunnel.listen.map(|l| (l.0, l.1)), Some((17, 1195)));
    assert_eq!(tunnel.addresses.iter().map(|a| a.0.to_string()).collect::<Vec<_>>(), ["10.9.0.1/24", "fd00:9::1/64"]);
    assert_eq!(routes(&tunnel), ["10.20.0.0/16", "0.0.0.0/1", "128.0.0.0/1", "::/3", "2000::/4", "3000::/4", "fc00::/7"]);
    assert_eq!(tunnel.dns.iter().map(|d| d.text.as_str()).collect::<Vec<_>>(), ["10.9.0.1", "corp.example"]);
    assert_eq!(value(&tunnel, "client-config-dir"), Some("ccd"));
    assert_eq!(value(&tunnel, "push redirect-gateway"), Some("def1 ipv6 bypass-dhcp"));
    assert_eq!(value(&tunnel, "client-connect"), Some("/etc/openvpn/hook.sh"));
    assert!(tunnel.setting("duplicate-cn").is_none() && tunnel.peers.is_empty());
}

#[test]
fn what_a_server_offers_of_cryptography_is_listed() {
    let tunnel = one(SERVER);
    assert_eq!(offers(&tunnel, CryptoUse::Cipher), [("AES-256-GCM", false), ("CHACHA20-POLY1305", false)]);
    assert_eq!(offers(&tunnel, CryptoUse::Digest), [("SHA256", false)]);
    assert_eq!(offers(&tunnel, CryptoUse::TlsVersion), [("1.1", false)]);
    assert_eq!(offers(&tunnel, CryptoUse::KeyExchange), [("DH-1024", false)]);
    assert_eq!(offers(&tunnel, CryptoUse::TlsCipher).len(), 2);
    assert_eq!(offers(&tunnel, CryptoUse::Compression), [("LZO", false)]);
}

#[test]
fn a_client_has_its_remotes_routes_and_name() {
    let tunnel = one(CLIENT);
    assert_eq!((tunnel.role, tunnel.listen.is_none()), (TunnelRole::Client, true));
    let ends: Vec<_> = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| (e.host.as_str(), e.port, e.protocol)).collect();
    assert_eq!(ends, [("vpn1.example", 1195, 17), ("vpn2.example", 1199, 6), ("2001:db8::5", 443, 6)]);
    assert_eq!(
        routes(&tunnel),
        ["not 192.0.2.0/24", "10.20.0.0/16", "fd00:20::/48", "0.0.0.0/1", "128.0.0.0/1", "::/3", "2000::/4", "3000::/4", "fc00::/7"]
    );
    for (name, expected) in [
        ("common-name", "alice"),
        ("pull", ""),
        ("block-outside-dns", ""),
        ("verify-x509-name", "vpn gateway name"),
        ("pull-filter", "ignore redirect-gateway ipv6"),
        ("tls-crypt", "[inline]"),
        ("remote-cert-tls", "server"),
    ] {
        assert_eq!(value(&tunnel, name), Some(expected), "{name}");
    }
    let (_, reading) = read(CLIENT);
    assert!(reading.notes.is_empty(), "{:?}", reading.notes);
}

#[test]
fn defaults_are_offers_too_and_say_so() {
    let client = one(CLIENT);
    let expected = [("AES-256-CBC", false), ("AES-256-GCM", true), ("AES-128-GCM", true), ("CHACHA20-POLY1305", true)];
    assert_eq!(offers(&client, CryptoUse::Cipher), expected);
    assert_eq!(offers(&client, CryptoUse::Digest), [("SHA1", true)]);
    // 2.5 and older accept 1.0; what only newer ones read tells them apart.
    assert_eq!(offers(&client, CryptoUse::TlsVersion), [("1.0", true)]);
    assert!(client.crypto.iter().any(|o| o.usage == CryptoUse::TlsVersion && o.perhaps));
    assert_eq!(offers(&one("client\nremote a\npeer-fingerprint AA:BB\n"), CryptoUse::TlsVersion), [("1.2", true)]);
    let old = one("client\nremote a\nncp-disable\n");
    assert_eq!(offers(&old, CryptoUse::Cipher), [("BF-CBC", true)]);
    assert_eq!(offers(&old, CryptoUse::TlsVersion), [("1.0", true)]);
    assert_eq!(offers(&one("client\nremote a\ncompat-mode 2.3.6\n"), CryptoUse::TlsVersion), [("1.0", true)]);
    assert_eq!(offers(&one(STATIC), CryptoUse::Cipher), [("BF-CBC", true)]);
    assert!(offers(&one(STATIC), CryptoUse::TlsVersion).is_empty());
}

#[test]
fn the_size_of_dh_parameters_comes_from_the_name_or_the_block() {
    let dh = |text: &str| {
        offers(&one(&format!("tls-server\n{text}\n")), CryptoUse::KeyExchange).iter().map(|o| o.0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(dh("dh /etc/openvpn/dh-2048.pem"), ["DH-2048"]);
    assert_eq!(dh(&format!("<dh>\n{DH}</dh>")), ["DH-1024"]);
    assert!(dh("dh none").is_empty() && dh("dh dh.pem").is_empty());
    assert_eq!(dh("ecdh-curve secp384r1\ntls-groups X25519:P-256"), ["SECP384R1", "X25519", "P-256"]);
}

#[test]
fn compression_that_only_frames_is_none() {
    for (text, expected) in
        [("compress", 0), ("compress stub-v2", 0), ("compress migrate", 0), ("compress lz4-v2", 1), ("comp-lzo no", 0), ("comp-lzo", 1)]
    {
        assert_eq!(offers(&one(&format!("client\nremote a\n{text}\n")), CryptoUse::Compression).len(), expected, "{text}");
    }
}

#[test]
fn a_static_key_tunnel_is_no_tls_client() {
    let (_, reading) = read(STATIC);
    let tunnel = &reading.device.tunnels[0];
    assert_eq!(tunnel.role, TunnelRole::Peer);
    assert_eq!(tunnel.listen.map(|l| l.1), Some(1194));
    assert_eq!(tunnel.addresses[0].0.to_string(), "10.8.0.2/32");
    assert_eq!(routes(tunnel), ["10.30.0.0/16"]);
    let key = tunnel.peers[0].preshared_key.expect("the static key").0;
    assert!(reading.secrets.contains(&key));
}

#[test]
fn a_file_for_one_client_names_it_and_its_networks() {
    let tunnel = one(PER_CLIENT);
    let peer = &tunnel.peers[0];
    assert_eq!((tunnel.role, peer.name.as_deref()), (TunnelRole::Peer, Some("alice")));
    assert_eq!(peer.allowed.iter().map(|a| a.0.to_string()).collect::<Vec<_>>(), ["10.9.0.66/32", "fd00:9::66/128", "192.168.40.0/24"]);
    assert!(tunnel.crypto.is_empty() && tunnel.listen.is_none() && tunnel.setting("client-config").is_some());
}

#[test]
fn the_role_follows_helpers_before_tls_before_remotes() {
    for (text, role) in [
        ("server 10.0.0.0 255.255.255.0\nremote a", TunnelRole::Server),
        ("mode server\ntls-server", TunnelRole::Server),
        ("server-bridge", TunnelRole::Server),
        ("tls-server\nremote a", TunnelRole::Server),
        ("tls-client\nremote a", TunnelRole::Client),
        ("pull\nremote a", TunnelRole::Client),
        ("remote a\nauth-user-pass", TunnelRole::Client),
        ("secret k", TunnelRole::Server),
        ("secret k\nremote a\nnobind", TunnelRole::Client),
        ("secret k\nremote a", TunnelRole::Peer),
        ("dev tun", TunnelRole::Peer),
    ] {
        assert_eq!(one(text).role, role, "{text}");
    }
}

#[test]
fn the_bound_port_follows_the_side() {
    let port = |text: &str| one(text).listen.map(|l| (l.0, l.1));
    assert_eq!(port("tls-server"), Some((17, 1194)));
    assert_eq!(port("tls-server\nproto tcp-server\nport 443\nlport 444"), Some((6, 444)));
    assert_eq!(port("client\nremote a"), None);
    assert_eq!(port("client\nremote a\nlport 1200"), Some((17, 1200)));
    assert_eq!(port("tls-client\nremote a"), Some((17, 1194)));
    assert_eq!(port("tls-client\nremote a\nproto tcp-client"), None);
    assert_eq!(port("tls-client\nremote a\nsocks-proxy 192.0.2.1"), None);
    assert_eq!(port("tls-client\nremote a\nnobind"), None);
}

#[test]
fn gateways_flags_decide_what_goes_into_the_tunnel() {
    let of = |text: &str| routes(&one(&format!("client\nremote a\n{text}\n")));
    assert_eq!(of("redirect-gateway"), ["0.0.0.0/0"]);
    assert_eq!(of("redirect-gateway def1 local autolocal block-local bypass-dhcp bypass-dns"), ["0.0.0.0/1", "128.0.0.0/1"]);
    assert_eq!(of("redirect-gateway ipv6 !ipv4").len(), 4);
    assert!(of("redirect-private def1").is_empty());
    assert_eq!(of("route 10.1.2.3 255.255.0.0"), ["10.1.0.0/16"]);
    assert_eq!(of("route 10.1.2.3"), ["10.1.2.3/32"]);
    assert_eq!(of("route 10.1.0.0 default vpn_gateway 5"), ["10.1.0.0/32"]);
    assert!(of("route 10.1.0.0 255.255.0.0 192.0.2.1").is_empty());
    assert_eq!(of("route-gateway 192.0.2.1\nroute 10.1.0.0 255.255.0.0 192.0.2.1"), ["10.1.0.0/16"]);
    assert!(of("route-noexec\nredirect-gateway").is_empty());
    assert!(of("route intranet.example").is_empty());
}

#[test]
fn quotes_escapes_and_comments_are_read_as_openvpn_does() {
    let text = "client # c\n;dev tap\nremote \"a b\" 1194\nverify-x509-name 'x\\y' name\ncd C:\\\\a\\ b\n  # x\nuser no#body\n";
    let tunnel = one(text);
    assert_eq!(tunnel.peers[0].endpoint.as_ref().map(|e| e.host.as_str()), Some("a b"));
    assert_eq!(value(&tunnel, "verify-x509-name"), Some("x\\y name"));
    assert_eq!(value(&tunnel, "user"), Some("no#body"));
    for bad in ["remote \"a", "remote a\\"] {
        assert_eq!(state_of(&format!("client\n{bad}\n"), bad), LineState::Unrecognised);
    }
}

#[test]
fn what_is_not_known_or_not_modelled_is_noted() {
    use LineState::*;
    let text = "client\nremote a\nfrobnicate 1\nup /etc/up.sh\nproto sctp\nverb 3\nignore-unknown-option future-thing\nfuture-thing 1\n\
                port-share 127.0.0.1 443\npush route 10.0.0.0\nredirect-gateway def2\n<mystery>\nx\n</mystery>\n<ca>\n";
    for (line, state) in [
        ("frobnicate 1", Unrecognised),
        ("up /etc/up.sh", NotModelled),
        ("proto sctp", Unsupported),
        ("verb 3", Irrelevant),
        ("future-thing 1", NotModelled),
        ("port-share 127.0.0.1 443", NotModelled),
        ("push route 10.0.0.0", Unsupported),
        ("redirect-gateway def2", Unsupported),
        ("<mystery>", Unrecognised),
        ("x", NotModelled),
        ("<ca>", Unrecognised),
    ] {
        assert_eq!(state_of(text, line), state, "{line}");
    }
}

#[test]
fn an_include_that_is_not_there_makes_the_analysis_incomplete() {
    let text = "client\nconfig more.conf\n";
    let (file, reading) = read(text);
    assert!(reading.notes[0].incomplete);
    let includes = OPENVPN.includes.expect("a function")(&file);
    assert_eq!(includes.iter().map(|i| i.0.as_str()).collect::<Vec<_>>(), ["more.conf"]);
}

#[test]
fn detection_needs_no_file_name_and_leaves_others_alone() {
    let claim = |text: &str| (OPENVPN.detect)(&SourceFile::from_text(FileId(0), "-", text)).map(|d| d.confidence);
    for text in [SERVER, CLIENT, STATIC, PER_CLIENT] {
        assert_eq!(claim(text), Some(Confidence::Certain));
    }
    assert_eq!(claim("iroute 10.0.0.0 255.0.0.0\n"), Some(Confidence::Strong));
    for text in
        ["", "server 10.0.0.1\nport 80\n", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n", "table inet filter {\n}\n", "user www\ngroup www\n"]
    {
        assert_eq!(claim(text), None, "{text}");
    }
}

#[test]
fn no_secret_leaves_the_spans_that_mark_it() {
    let blocks = super::directives::SECRET_BLOCKS.iter().chain(&["mystery"]);
    let mut texts: Vec<String> = blocks.map(|b| format!("client\n<{b}>\nCANARY\nCANARY2\n</{b}>\n")).collect();
    texts.extend([CLIENT, STATIC].map(str::to_owned));
    texts.extend(
        [
            "client\n<key>\n-----BEGIN PRIVATE KEY-----\nCANARY\n",
            "client\n<cert>\n-----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY-----\n</cert>\n",
            "client\n-----BEGIN PRIVATE KEY-----\nCANARYAAA\n-----END PRIVATE KEY-----\n",
            "client\n-----BEGIN PRIVATE KEY-----\nCANARYAAA\n",
            "client\n;<key>\n;-----BEGIN PRIVATE KEY-----\n;CANARYAAA\n;-----END PRIVATE KEY-----\n",
            "client\nauth-token CANARY\n",
            "client\nscramble obfuscate CANARY\n",
            "server 10.0.0.0 255.0.0.0\npush \"auth-token CANARY\"\n",
            "server 10.0.0.0 255.0.0.0\npush \"auth-token \\\"CANARY\\\"\"\n",
            "server 10.0.0.0 255.0.0.0\npush auth-token CANARY\n",
            "server 10.0.0.0 255.0.0.0\npush \"setenv-safe PASSWORD CANARY\"\n",
            "server 10.0.0.0 255.0.0.0\npush \"my-token CANARY\"\n",
            "server 10.0.0.0 255.0.0.0\npush \"CANARYAAA\"\n",
            "client\nsetenv VPN_PASSWORD CANARY\n",
            "client\nsetenv opt auth-token CANARY\n",
            "client\nhttp-proxy-option CUSTOM-HEADER Proxy-Authorization \"Basic CANARY\"\n",
            "client\nup \"/etc/up.sh --password CANARY\"\n",
            "client\nplugin auth.so token=CANARY\n",
            "client\npkcs11-id 'pkcs11:object=x;pin-value=CANARY'\n",
            "client\nauth-user-password \"CANARY\n",
            "client\nmy-password CANARY\n",
            "client\nCANARYAAAAAAAAAAA\n",
        ]
        .map(str::to_owned),
    );
    for text in texts {
        let mut sources = Sources::default();
        let id = sources.add("a.ovpn", text.as_bytes());
        let file = sources.get(id);
        let reading = OPENVPN.read_file(file);
        let said = format!("{:?} {:?}", reading.device, reading.notes);
        assert!(!said.contains("CANARY"), "{text}\n{said}");
        let redactor = Redactor::new(&sources, reading.secrets.iter().copied());
        let shown = redactor.show(file, file.whole());
        assert!(!shown.contains("CANARY"), "{text}\n{shown}");
        for tunnel in &reading.device.tunnels {
            assert!(tunnel.private_key.is_none_or(|k| redactor.label(k.0).is_some()), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn damaged_files_are_read_without_panic(which in 0usize..4, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = [SERVER, CLIENT, STATIC, PER_CLIENT][which].as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "a.ovpn", &bytes);
        let _ = (OPENVPN.detect)(&file);
        let reading = OPENVPN.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }

    #[test]
    fn any_line_is_read_without_panic(text in "(client\n)?[a-z<>/\"'\\\\ #;.0-9:\n-]{0,200}") {
        let (file, reading) = read(&text);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
