//! `type=vpn`: which plugin, and what its data says.

use super::lower::{mark_keys, openvpn_tunnel, push, rename};
use super::profile::{Profile, Section};
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Fact, Peer, Secret, Selector, Tunnel, TunnelKind, TunnelRole, ike};
use crate::source::Span;
use crate::vendors::Reader;

pub(super) fn tunnel(reader: &mut Reader<'_>, profile: &Profile, connection: &Section) -> Option<Tunnel> {
    let Some(vpn) = profile.section("vpn") else {
        reader.note(connection.span, LineState::Unsupported, "a VPN profile without a section [vpn]");
        return None;
    };
    let service = vpn.value("service-type").unwrap_or("");
    let name = service.rsplit('.').next().unwrap_or("");
    let mut tunnel = match name {
        "openvpn" => return Some(openvpn_tunnel(reader, vpn)),
        "strongswan" => strongswan(reader, vpn),
        "libreswan" | "openswan" => libreswan(reader, vpn),
        "l2tp" => l2tp(reader, vpn),
        "vpnc" => vpnc(reader, vpn),
        "openconnect" => simple(reader, vpn, TunnelKind::TlsVpn, "gateway", 443),
        "fortisslvpn" => simple(reader, vpn, TunnelKind::TlsVpn, "gateway", 443),
        "sstp" => simple(reader, vpn, TunnelKind::Sstp, "gateway", 443),
        "pptp" => simple(reader, vpn, TunnelKind::Pptp, "gateway", 1723),
        _ => {
            mark_keys(reader, vpn, &[], &[]);
            reader.note(vpn.span, LineState::NotModelled, format!("the VPN plugin {name} is not modelled"));
            return None;
        }
    };
    rename(&mut tunnel, vpn, "service-type", "service-type");
    if let Some(key) =
        profile.section("vpn-secrets").and_then(|s| s.get("ipsec-psk").or_else(|| s.get("IPSec secret")).or_else(|| s.get("pskvalue")))
        && let Some(peer) = tunnel.peers.first_mut()
    {
        peer.preshared_key = Some(Secret(key.at));
    }
    Some(tunnel)
}

fn client(vpn: &Section, kind: TunnelKind, gateway: &str, protocol: u8, port: u16) -> Tunnel {
    let mut tunnel = Tunnel::new(kind, TunnelRole::Client, "", vpn.span);
    let mut peer = Peer::new(vpn.span);
    if let Some(entry) = vpn.get(gateway) {
        let host = entry.value.trim_start_matches("https://").split('/').next().unwrap_or("");
        let (host, own) = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') && port.parse::<u16>().is_ok() => (name, port.parse().ok()),
            _ => (host, None),
        };
        peer.endpoint = Some(Endpoint { host: host.to_owned(), port: own.unwrap_or(port), protocol, span: entry.at });
    }
    tunnel.peers.push(peer);
    tunnel
}

fn proof(tunnel: &mut Tunnel, name: &str, span: Span) {
    ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, name, span);
}

fn version(tunnel: &mut Tunnel, name: &str, default: bool, span: Span) {
    let offer = CryptoOffer::written(CryptoUse::IkeVersion, name, span);
    tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Control, default, ..offer });
}

/// charon-nm speaks IKEv2 only, and asks for everything unless `remote-ts` says less (strongSwan's NetworkManager documentation).
fn strongswan(reader: &mut Reader<'_>, vpn: &Section) -> Tunnel {
    let understood = [
        "service-type",
        "address",
        "server-port",
        "method",
        "proposal",
        "ike",
        "esp",
        "remote-ts",
        "virtual",
        "ipcomp",
        "user",
        "remote-identity",
        "local-identity",
    ];
    mark_keys(reader, vpn, &understood, &["certificate", "usercert", "userkey", "certsource", "encap", "password-flags", "cert-source"]);
    let port = vpn.value("server-port").and_then(|p| p.parse().ok()).unwrap_or(500);
    let mut tunnel = client(vpn, TunnelKind::Ipsec, "address", 17, port);
    version(&mut tunnel, "2", false, vpn.span);
    let own = vpn.yes("proposal");
    for (key, layer) in [("ike", CryptoLayer::Control), ("esp", CryptoLayer::Data)] {
        match vpn.get(key).filter(|_| own) {
            Some(entry) => {
                for proposal in entry.value.split([';', ',']) {
                    ike::strongswan(proposal, layer, entry.at, &mut tunnel.crypto);
                }
            }
            None => ike::defaults(ike::strongswan_default(layer).iter().copied(), layer, vpn.span, &mut tunnel.crypto),
        }
    }
    let method = vpn.get("method");
    let at = method.map_or(vpn.span, |m| m.span);
    match method.map(|m| m.value.as_str()) {
        Some("eap") => {
            proof(&mut tunnel, "EAP", at);
        }
        Some("eap-tls") => proof(&mut tunnel, "EAP-TLS", at),
        Some("psk") => proof(&mut tunnel, "PSK", at),
        Some(_) => proof(&mut tunnel, "CERTIFICATE", at),
        None => {}
    }
    if let Some(entry) = vpn.get("ipcomp").filter(|e| super::profile::is_yes(&e.value)) {
        ike::offer(&mut tunnel.crypto, CryptoUse::Compression, CryptoLayer::Data, "IPCOMP", entry.span);
    }
    rename(&mut tunnel, vpn, "remote-identity", "remote-id");
    rename(&mut tunnel, vpn, "local-identity", "local-id");
    let everything = ["0.0.0.0/0", "::/0"];
    let written = vpn.get("remote-ts");
    let span = written.map_or(vpn.span, |w| w.span);
    let nets: Vec<&str> = written.map_or_else(|| everything.to_vec(), |w| super::ip::words(&w.value).collect());
    let nets: Vec<ipnetwork::IpNetwork> = nets.into_iter().filter_map(|n| n.parse().ok()).collect();
    tunnel.routes.extend(nets.iter().map(|to| crate::model::VpnRoute { to: *to, excluded: false, span }));
    tunnel.selectors.push(Selector { local: Vec::new(), remote: nets, span });
    tunnel
}

fn libreswan(reader: &mut Reader<'_>, vpn: &Section) -> Tunnel {
    let understood = [
        "service-type",
        "right",
        "ike",
        "esp",
        "ikev2",
        "leftid",
        "rightid",
        "rightsubnet",
        "leftxauthusername",
        "leftusername",
        "authby",
        "pskinputmodes",
    ];
    let irrelevant = [
        "leftcert",
        "leftrsasigkey",
        "rightrsasigkey",
        "rightcert",
        "ikelifetime",
        "salifetime",
        "rekey",
        "dpddelay",
        "dpdtimeout",
        "dpdaction",
        "fragmentation",
        "mobike",
        "vendor",
        "Domain",
        "xauthpasswordinputmodes",
        "narrowing",
        "leftmodecfgclient",
        "leftsendcert",
        "rightmodecfgserver",
        "modecfgpull",
        "remote-peer-type",
        "require-id-on-certificate",
        "nm-configured",
        "leftxauthclient",
        "remote_peer_type",
    ];
    mark_keys(reader, vpn, &understood, &irrelevant);
    let mut tunnel = client(vpn, TunnelKind::Ipsec, "right", 17, 500);
    let two = vpn.get("ikev2").filter(|e| matches!(e.value.as_str(), "insist" | "yes" | "propose"));
    // Without it the plugin writes a connection of IKEv1, in aggressive mode for a group's name (`leftid`).
    let number = if two.is_some() { 2 } else { 1 };
    match (two, vpn.get("leftid").filter(|id| !id.value.starts_with(['%', '@']) || vpn.get("leftcert").is_none())) {
        (Some(entry), _) => version(&mut tunnel, "2", false, entry.span),
        (None, Some(id)) if vpn.get("leftcert").is_none() => version(&mut tunnel, "1-AGGRESSIVE", false, id.span),
        _ => version(&mut tunnel, "1", true, vpn.span),
    }
    for (key, layer) in [("ike", CryptoLayer::Control), ("esp", CryptoLayer::Data)] {
        match vpn.get(key) {
            Some(entry) => {
                for proposal in entry.value.split(',') {
                    ike::libreswan(proposal, layer, entry.at, &mut tunnel.crypto);
                }
            }
            None => {
                let list = ike::libreswan_default(number, layer).iter().map(|(u, n)| (*u, *n, false));
                ike::defaults(list, layer, vpn.span, &mut tunnel.crypto);
            }
        }
    }
    if let Some(cert) = vpn.get("leftcert") {
        proof(&mut tunnel, "CERTIFICATE", cert.span);
    } else {
        proof(&mut tunnel, "PSK", vpn.span);
    }
    if let Some(user) = vpn.get("leftxauthusername").or_else(|| vpn.get("leftusername")) {
        proof(&mut tunnel, "XAUTH", user.span);
        tunnel.second_factor = Some(Fact::written(vpn.get("leftcert").is_some(), user.span));
    }
    rename(&mut tunnel, vpn, "rightid", "remote-id");
    rename(&mut tunnel, vpn, "leftid", "local-id");
    tunnel
}

/// L2TP with IPsec around it, or without.
fn l2tp(reader: &mut Reader<'_>, vpn: &Section) -> Tunnel {
    let understood = [
        "service-type",
        "gateway",
        "ipsec-enabled",
        "ipsec-psk",
        "ipsec-ike",
        "ipsec-esp",
        "ipsec-gateway-id",
        "ipsec-remote-id",
        "machine-auth-type",
        "user-auth-type",
        "user",
        "refuse-pap",
        "refuse-chap",
        "refuse-mschap",
        "refuse-mschapv2",
        "refuse-eap",
        "ipsec-pfs",
        "ipsec-ipcomp",
    ];
    let irrelevant = [
        "domain",
        "mtu",
        "mru",
        "lcp-echo-failure",
        "lcp-echo-interval",
        "noaccomp",
        "nobsdcomp",
        "nodeflate",
        "no-vj-comp",
        "nopcomp",
        "require-mppe",
        "require-mppe-40",
        "require-mppe-128",
        "mppe-stateful",
        "machine-ca",
        "machine-cert",
        "machine-key",
        "user-ca",
        "user-cert",
        "user-key",
        "ipsec-forceencaps",
        "ipsec-ikelifetime",
        "ipsec-salifetime",
        "ephemeral-port",
        "password-flags",
        "ipsec-psk-flags",
        "unit",
    ];
    mark_keys(reader, vpn, &understood, &irrelevant);
    let secure = vpn.get("ipsec-enabled").filter(|e| super::profile::is_yes(&e.value));
    let (kind, port) = if secure.is_some() { (TunnelKind::Ipsec, 500) } else { (TunnelKind::L2tp, 1701) };
    let mut tunnel = client(vpn, kind, "gateway", 17, port);
    if let Some(on) = secure {
        // xl2tpd's plugin writes a connection of IKEv1 (RFC 3193).
        version(&mut tunnel, "1", false, on.span);
        for (key, layer) in [("ipsec-ike", CryptoLayer::Control), ("ipsec-esp", CryptoLayer::Data)] {
            if let Some(entry) = vpn.get(key) {
                for proposal in entry.value.trim_end_matches('!').split(',') {
                    ike::strongswan(proposal, layer, entry.at, &mut tunnel.crypto);
                }
            }
        }
        let tls = vpn.get("machine-auth-type").filter(|e| e.value == "tls");
        match (tls, vpn.get("ipsec-psk")) {
            (Some(e), _) => proof(&mut tunnel, "CERTIFICATE", e.span),
            (None, key) => {
                proof(&mut tunnel, "PSK", key.map_or(on.span, |k| k.span));
                if let (Some(key), Some(peer)) = (key, tunnel.peers.first_mut()) {
                    peer.preshared_key = Some(Secret(key.at));
                }
            }
        }
    }
    // Inside: what PPP may use unless it is refused. In IPsec a password in the clear is not in the clear.
    if secure.is_none() {
        for (key, name) in [("refuse-pap", "PAP"), ("refuse-chap", "CHAP"), ("refuse-mschap", "MSCHAP"), ("refuse-mschapv2", "MSCHAPV2")] {
            if !vpn.yes(key) {
                let offer = CryptoOffer::written(CryptoUse::Authentication, name, vpn.span);
                tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Control, default: true, ..offer });
            }
        }
    }
    tunnel
}

/// Cisco's VPN of IKEv1 with XAuth: always in aggressive mode, with the group's secret as a pre-shared key (vpnc(8)).
fn vpnc(reader: &mut Reader<'_>, vpn: &Section) -> Tunnel {
    let understood = [
        "service-type",
        "IPSec gateway",
        "IPSec ID",
        "IPSec secret",
        "Xauth username",
        "IKE DH Group",
        "Perfect Forward Secrecy",
        "Enable Single DES",
        "Enable no encryption",
        "IKE Authmode",
    ];
    let irrelevant = [
        "NAT Traversal Mode",
        "Vendor",
        "Domain",
        "Local Port",
        "DPD idle timeout (our side)",
        "Application Version",
        "ipsec-secret-type",
        "xauth-password-type",
        "CA-File",
        "Cisco UDP Encapsulation Port",
        "Rekeying interval",
        "Enable weak encryption",
        "Enable weak authentication",
    ];
    mark_keys(reader, vpn, &understood, &irrelevant);
    let mut tunnel = client(vpn, TunnelKind::Ipsec, "IPSec gateway", 17, 500);
    version(&mut tunnel, "1-AGGRESSIVE", false, vpn.get("IPSec ID").map_or(vpn.span, |e| e.span));
    let hybrid = vpn.get("IKE Authmode").filter(|e| e.value == "hybrid");
    proof(&mut tunnel, if hybrid.is_some() { "CERTIFICATE" } else { "PSK" }, hybrid.map_or(vpn.span, |e| e.span));
    proof(&mut tunnel, "XAUTH", vpn.get("Xauth username").map_or(vpn.span, |e| e.span));
    tunnel.second_factor = Some(Fact::written(false, vpn.span));
    if let Some(entry) = vpn.get("IKE DH Group") {
        let group = ike::group(entry.value.trim_start_matches("dh"));
        ike::offer(&mut tunnel.crypto, CryptoUse::KeyExchange, CryptoLayer::Control, &group, entry.span);
    }
    if let Some(entry) = vpn.get("Perfect Forward Secrecy").filter(|e| e.value != "server") {
        let group = if entry.value == "nopfs" { "NONE".to_owned() } else { ike::group(entry.value.trim_start_matches("dh")) };
        ike::offer(&mut tunnel.crypto, CryptoUse::KeyExchange, CryptoLayer::Data, &group, entry.span);
    }
    for (key, name) in [("Enable Single DES", "DES-CBC"), ("Enable no encryption", "NULL")] {
        if let Some(entry) = vpn.get(key) {
            for layer in [CryptoLayer::Control, CryptoLayer::Data] {
                ike::offer(&mut tunnel.crypto, CryptoUse::Cipher, layer, name, entry.span);
            }
        }
    }
    tunnel
}

/// Plugins of which the profile tells little more than where they connect to.
fn simple(reader: &mut Reader<'_>, vpn: &Section, kind: TunnelKind, gateway: &str, port: u16) -> Tunnel {
    let understood = [
        "service-type",
        "gateway",
        "user",
        "protocol",
        "require-mppe",
        "require-mppe-40",
        "require-mppe-128",
        "ignore-cert-warn",
        "refuse-pap",
        "refuse-chap",
        "refuse-mschap",
        "refuse-mschapv2",
        "refuse-eap",
    ];
    let irrelevant = [
        "authtype",
        "autoconnect-flags",
        "cacert",
        "ca-cert",
        "usercert",
        "userkey",
        "certsigs-flags",
        "cookie-flags",
        "enable_csd_trojan",
        "csd_wrapper",
        "csd_fork",
        "gateway-flags",
        "gwcert-flags",
        "lasthost-flags",
        "pem_passphrase_fsid",
        "prevent_invalid_cert",
        "stoken_source",
        "xmlconfig-flags",
        "proxy",
        "reported_os",
        "useragent",
        "disable_udp",
        "resolve-flags",
        "domain",
        "mppe-stateful",
        "nobsdcomp",
        "nodeflate",
        "no-vj-comp",
        "nopcomp",
        "noaccomp",
        "lcp-echo-failure",
        "lcp-echo-interval",
        "password-flags",
        "trusted-cert",
        "realm",
        "otp-flags",
        "2fa-flags",
        "key",
        "cert",
        "mtu",
        "stoken_string",
        "stoken_string-flags",
        "form:main:group_list",
        "form:main:username",
        "lasthost",
        "certsigs",
        "save_passwords",
    ];
    mark_keys(reader, vpn, &understood, &irrelevant);
    let protocol = 6;
    let mut tunnel = client(vpn, kind, gateway, protocol, port);
    if kind == TunnelKind::Sstp
        && let Some(entry) = vpn.get("ignore-cert-warn").filter(|e| super::profile::is_yes(&e.value))
    {
        push(&mut tunnel, "ignore-cert-warn", "yes", entry.span);
    }
    tunnel
}
