//! OpenVPN servers and clients: `<openvpn>` of both, and OPNsense's instances.

use super::interfaces::network;
use super::lower::Lowering;
use super::tree::{Text, Tree, parts};
use crate::model::{
    CryptoLayer, CryptoOffer, CryptoUse, Endpoint, Fact, Peer, Secret, Tunnel, TunnelKind, TunnelRole, TunnelSetting, VpnRoute,
};
use crate::source::Span;
use crate::syntax::xml::Element;

/// Ciphers of the data channel where none are named: openvpn(8) of 2.6, `--data-ciphers`.
const DATA_CIPHERS: &[&str] = &["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"];
/// Digest where none is named: openvpn(8), `--auth`.
const DIGEST: &str = "SHA1";
/// Least TLS version where none is named: openvpn(8) of 2.6, `--tls-version-min`.
const TLS_VERSION: &str = "1.2";
const PORT: u16 = 1194;

impl<'d> Lowering<'_, '_, 'd> {
    pub fn openvpn(&mut self) {
        let root = self.root;
        for (name, server) in [("openvpn-server", true), ("openvpn-client", false)] {
            for element in root.child("openvpn").into_iter().flat_map(|s| s.list(name)) {
                if element.has("disable") && !element.value("disable").is_some_and(|v| v.is(&["0"])) || element.children().next().is_none()
                {
                    continue;
                }
                self.instance(element, server);
            }
        }
        let instances = root.at(&["OPNsense", "OpenVPN", "Instances"]);
        for element in instances.into_iter().flat_map(|s| s.list("Instance")) {
            if !self.switched_off(element) {
                let server = !element.value("role").is_some_and(|r| r.is(&["client"]));
                self.instance(element, server);
            }
        }
    }

    fn instance(&mut self, element: Element<'d>, server: bool) {
        let span = element.tag_span();
        let id = element.value("vpnid").map(|v| v.text.into_owned()).unwrap_or_default();
        let device = format!("ovpn{}{id}", if server { "s" } else { "c" });
        let assigned = self.ifaces.called(&device).map(|i| i.key.clone());
        let role = if server { TunnelRole::Server } else { TunnelRole::Client };
        let mut tunnel = Tunnel::new(TunnelKind::OpenVpn, role, assigned.unwrap_or(device), span);
        tunnel.name = element.value("description").map(|d| d.text.into_owned());
        let word = |names: &[&str]| names.iter().find_map(|n| element.value(n));
        let udp = word(&["protocol", "proto"]).is_none_or(|p| p.text.to_ascii_lowercase().starts_with("udp"));
        let protocol = if udp { 17 } else { 6 };
        let port = word(&["local_port", "port"]);
        if server {
            let number = port.as_ref().and_then(|p| p.text.parse().ok()).unwrap_or(PORT);
            tunnel.listen = Some((protocol, number, port.map_or(span, |p| p.span)));
        }
        for field in ["tunnel_network", "tunnel_networkv6", "server", "server_ipv6"] {
            if let Some(net) = element.value(field) {
                tunnel.addresses.extend(network(&net.text, None).map(|n| (n, net.span)));
            }
        }
        let inner =
            if server { ["local_network", "local_networkv6", "push_route"] } else { ["remote_network", "remote_networkv6", "route"] };
        for net in inner.iter().filter_map(|f| element.value(f)) {
            tunnel.routes.extend(parts(&net.text).filter_map(|n| network(n, None)).map(|to| VpnRoute {
                to,
                excluded: false,
                span: net.span,
            }));
        }
        for (field, all) in [("gwredir", "0.0.0.0/0"), ("gwredir6", "::/0")] {
            if let Some(child) = element.child(field).filter(|_| element.yes(field))
                && let Ok(to) = all.parse()
            {
                tunnel.routes.push(VpnRoute { to, excluded: false, span: child.span() });
            }
        }
        let mode = element.value("mode");
        self.crypto(element, &mut tunnel, mode.as_ref());
        self.ends(element, &mut tunnel, server, protocol);
        self.authentication(element, &mut tunnel, server, mode.as_ref());
        if let Some(options) = element.value("custom_options") {
            custom(&options, &mut tunnel);
        }
        self.reader.device.tunnels.push(tunnel);
    }

    fn crypto(&mut self, element: Element<'d>, tunnel: &mut Tunnel, mode: Option<&Text<'d>>) {
        let span = element.tag_span();
        let mut add = |usage, layer, name: &str, span, default| {
            tunnel.crypto.push(CryptoOffer { layer, default, ..CryptoOffer::written(usage, name, span) });
        };
        let static_key = mode.is_some_and(|m| m.is(&["p2p_shared_key"]));
        // pfSense's `ncp_enable` and OPNsense's `ncp-disable` say whether ciphers are negotiated at all.
        let negotiates = !static_key && !element.value("ncp_enable").is_some_and(|v| v.is(&["disabled", "no"]));
        let list = ["data_ciphers", "data-ciphers", "ncp-ciphers", "ncp_ciphers"].iter().find_map(|n| element.value(n));
        let fallback = ["data_ciphers_fallback", "data-ciphers-fallback", "crypto"].iter().find_map(|n| element.value(n));
        let mut any = false;
        if let Some(list) = list.filter(|_| negotiates) {
            for name in list.text.split([',', ':', ' ']).filter(|n| !n.is_empty()) {
                add(CryptoUse::Cipher, CryptoLayer::Data, name, list.span, false);
                any = true;
            }
        }
        if let Some(cipher) = fallback.filter(|c| !c.is(&["none"]) || static_key) {
            add(CryptoUse::Cipher, CryptoLayer::Data, &cipher.text, cipher.span, false);
            any |= !negotiates;
        }
        if !any && negotiates {
            DATA_CIPHERS.iter().for_each(|n| add(CryptoUse::Cipher, CryptoLayer::Data, n, span, true));
        }
        match element.value("digest").or_else(|| element.value("auth")) {
            Some(digest) => add(CryptoUse::Digest, CryptoLayer::Data, &digest.text, digest.span, false),
            None => add(CryptoUse::Digest, CryptoLayer::Data, DIGEST, span, true),
        }
        if let Some(dh) = element.value("dh_length").filter(|d| d.text.parse::<u32>().is_ok()) {
            add(CryptoUse::KeyExchange, CryptoLayer::Control, &format!("DH-{}", dh.text), dh.span, false);
        }
        if let Some(curve) = element.value("ecdh_curve").filter(|c| !c.is(&["none"])) {
            add(CryptoUse::KeyExchange, CryptoLayer::Control, &curve.text, curve.span, false);
        }
        if !static_key {
            add(CryptoUse::TlsVersion, CryptoLayer::Control, TLS_VERSION, span, true);
        }
        let compression = ["compression", "compress_migrate", "compress"].iter().find_map(|n| element.value(n));
        if let Some(c) = compression.filter(|c| !c.is(&["no", "none", "0", "1", "pfc", "stub", "stub-v2", "noadapt", "migrate", "asym"])) {
            let name = if c.is(&["yes", "adaptive"]) { "LZO" } else { &*c.text };
            add(CryptoUse::Compression, CryptoLayer::Data, name, c.span, false);
        }
    }

    fn ends(&mut self, element: Element<'d>, tunnel: &mut Tunnel, server: bool, protocol: u8) {
        if let Some(key) = element.value("shared_key") {
            tunnel.settings.push(setting("secret", "", key.span));
        }
        // OPNsense's instances name a key that stands elsewhere.
        for field in ["tls", "tls_key"] {
            if let Some(key) = element.value(field) {
                let kind = element.value("tls_type").or_else(|| element.value("tlsmode"));
                let name = if kind.is_some_and(|k| k.is(&["crypt"])) { "tls-crypt" } else { "tls-auth" };
                tunnel.settings.push(setting(name, "", key.span));
            }
        }
        if server {
            return;
        }
        let host = ["server_addr", "remote"].iter().find_map(|n| element.value(n));
        let Some(host) = host else { return };
        let port = element.value("server_port").and_then(|p| p.text.parse().ok()).unwrap_or(PORT);
        for one in parts(&host.text) {
            let (name, port) = match one.rsplit_once(':') {
                Some((name, p)) if one.matches(':').count() == 1 => (name, p.parse().unwrap_or(port)),
                _ => (one, port),
            };
            let mut peer = Peer::new(host.span);
            peer.endpoint = Some(Endpoint { host: name.to_owned(), port, protocol, span: host.span });
            tunnel.peers.push(peer);
        }
        if let Some(password) = element.value("auth_pass") {
            tunnel.peers.iter_mut().for_each(|p| p.preshared_key = p.preshared_key.or(Some(Secret(password.span))));
        }
    }

    fn authentication(&mut self, element: Element<'d>, tunnel: &mut Tunnel, server: bool, mode: Option<&Text<'d>>) {
        let span = mode.map_or(element.tag_span(), |m| m.span);
        let mut add = |name: &str, span| {
            tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Control, ..CryptoOffer::written(CryptoUse::Authentication, name, span) })
        };
        let word = mode.map_or("", |m| &*m.text);
        let users = element.value("authmode");
        match word {
            "p2p_shared_key" => add("PSK", span),
            "server_user" => add("PASSWORD", span),
            "server_tls" | "p2p_tls" => add("CERTIFICATE", span),
            "server_tls_user" => {
                add("CERTIFICATE", span);
                add("PASSWORD", span);
            }
            _ => {
                if element.value("cert").is_some() || element.value("certref").is_some() {
                    add("CERTIFICATE", span);
                }
                if let Some(users) = &users {
                    add("PASSWORD", users.span);
                }
            }
        }
        if server && (matches!(word, "server_user" | "server_tls_user") || users.is_some()) {
            let servers = self.root.child("system").map(|s| s.list("authserver")).unwrap_or_default();
            let totp = |name: &str| {
                let one = servers.iter().find(|s| s.value("name").is_some_and(|n| n.text == name));
                one.and_then(|s| s.value("type")).is_some_and(|t| t.text.contains("totp"))
            };
            let remote = |name: &str| {
                let one = servers.iter().find(|s| s.value("name").is_some_and(|n| n.text == name));
                one.and_then(|s| s.value("type")).is_some_and(|t| t.is(&["radius", "ldap"]))
            };
            let Some(list) = users else { return };
            let names: Vec<&str> = list.text.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
            // What a RADIUS or LDAP server asks for stands elsewhere.
            if !names.iter().any(|n| remote(n)) {
                tunnel.second_factor = Some(Fact::written(!names.is_empty() && names.iter().all(|n| totp(n)), list.span));
            }
        }
    }
}

fn setting(name: &str, value: &str, span: Span) -> TunnelSetting {
    TunnelSetting { name: name.into(), value: value.into(), span }
}

/// Options in OpenVPN's own words, between semicolons or line ends.
fn custom(options: &Text<'_>, tunnel: &mut Tunnel) {
    for line in options.text.split([';', '\n']).map(str::trim).filter(|l| !l.is_empty()) {
        let (name, value) = line.split_once(char::is_whitespace).map_or((line, ""), |(n, v)| (n, v.trim()));
        match name {
            "tls-version-min" => {
                tunnel.crypto.retain(|c| c.usage != CryptoUse::TlsVersion);
                let version = value.split_whitespace().next().unwrap_or("");
                tunnel.crypto.push(CryptoOffer {
                    layer: CryptoLayer::Control,
                    ..CryptoOffer::written(CryptoUse::TlsVersion, version, options.span)
                });
            }
            "remote-cert-tls" | "verify-x509-name" | "tls-client" | "redirect-gateway" | "auth-nocache" | "remote-cert-eku"
            | "ns-cert-type" => {
                tunnel.settings.push(setting(name, value, options.span));
            }
            _ => {}
        }
    }
}
