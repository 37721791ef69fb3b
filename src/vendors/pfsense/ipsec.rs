//! IPsec: `<phase1>` and `<phase2>` of both, and OPNsense's connections of strongSwan.

use std::collections::HashMap;

use ipnetwork::IpNetwork;

use super::interfaces::network;
use super::lower::Lowering;
use super::tree::{Text, Tree, parts};
use crate::model::ike::{self, cipher, digest, group};
use crate::model::{CryptoLayer, CryptoUse, Endpoint, Peer, Secret, Selector, Tunnel, TunnelKind, TunnelRole};
use crate::source::Span;
use crate::syntax::xml::Element;

fn offer(tunnel: &mut Tunnel, usage: CryptoUse, layer: CryptoLayer, name: &str, span: Span) {
    ike::offer(&mut tunnel.crypto, usage, layer, name, span);
}

impl<'d> Lowering<'_, '_, 'd> {
    /// The children of a phase 1.
    pub fn phase2_of(&self, id: Option<&str>) -> Vec<Element<'d>> {
        let Some(id) = id else { return Vec::new() };
        let all = self.root.child("ipsec").map(|s| s.list("phase2")).unwrap_or_default();
        all.into_iter().filter(|p| !self.is_disabled(*p) && p.value("ikeid").is_some_and(|i| i.text == id)).collect()
    }

    pub fn ipsec(&mut self) {
        for phase in self.root.child("ipsec").into_iter().flat_map(|s| s.list("phase1")) {
            if !self.is_disabled(phase) && phase.children().next().is_some() {
                self.phase1(phase);
            }
        }
        self.swanctl();
    }

    fn phase1(&mut self, phase: Element<'d>) {
        let span = phase.tag_span();
        let mobile = phase.has("mobile");
        let mut tunnel = Tunnel::new(TunnelKind::Ipsec, if mobile { TunnelRole::Server } else { TunnelRole::Peer }, "", span);
        tunnel.name = phase.value("descr").map(|d| d.text.into_owned());
        let version = phase.value("iketype");
        let aggressive = phase.value("mode").filter(|m| m.is(&["aggressive"]));
        let names: &[&str] = match &version {
            Some(v) if v.is(&["ikev2"]) => &["2"],
            Some(v) if v.is(&["auto", "ike"]) => &["1", "2"],
            // Both write "ikev1", and old ones nothing.
            _ => &["1"],
        };
        for name in names {
            let aggressive = aggressive.as_ref().filter(|_| *name == "1");
            let written = if aggressive.is_some() { "1-AGGRESSIVE" } else { name };
            let at = aggressive.or(version.as_ref()).map_or(span, |v| v.span);
            offer(&mut tunnel, CryptoUse::IkeVersion, CryptoLayer::Control, written, at);
        }
        let mut sets: Vec<Element<'d>> = phase.child("encryption").map(|e| e.list("item")).unwrap_or_default();
        if sets.is_empty() {
            // OPNsense, and pfSense before 2.4.4: one set, with lists of digests and groups.
            sets.push(phase);
        }
        for set in sets {
            proposal1(&mut tunnel, set);
        }
        self.phase1_authentication(phase, &mut tunnel);
        let id = phase.value("ikeid").map(|i| i.text.into_owned());
        for child in self.phase2_of(id.as_deref()) {
            proposal2(&mut tunnel, child);
            let local = self.identity(child.child("localid"));
            let remote = self.identity(child.child("remoteid"));
            if !(local.is_empty() && remote.is_empty()) {
                tunnel.selectors.push(Selector { local, remote, span: child.tag_span() });
            }
        }
        self.reader.device.tunnels.push(tunnel);
    }

    fn phase1_authentication(&mut self, phase: Element<'d>, tunnel: &mut Tunnel) {
        if let Some(method) = phase.value("authentication_method") {
            let names: &[&str] = match &*method.text {
                "pre_shared_key" => &["PSK"],
                "xauth_psk_server" => &["PSK", "XAUTH"],
                "rsasig" | "cert" | "pkcs11" => &["CERTIFICATE"],
                "xauth_rsa_server" | "xauth_cert_server" | "hybrid_rsa_server" | "hybrid_cert_server" => &["CERTIFICATE", "XAUTH"],
                "eap-tls" | "psk_eap-tls" => &["EAP-TLS"],
                "eap-mschapv2" | "rsa_eap-mschapv2" => &["EAP-MSCHAPV2"],
                "eap-radius" => &["EAP-RADIUS"],
                _ => &[],
            };
            for name in names {
                offer(tunnel, CryptoUse::Authentication, CryptoLayer::Control, name, method.span);
            }
        }
        // The names of both ends; `myaddress`, `peeraddress` and `any` name none.
        for (kind, data, name) in [("myid_type", "myid_data", "local-id"), ("peerid_type", "peerid_data", "remote-id")] {
            let named = phase.value(kind).is_some_and(|k| !matches!(&*k.text, "myaddress" | "peeraddress" | "any" | "auto"));
            if let (true, Some(value)) = (named, phase.value(data)) {
                tunnel.settings.push(crate::model::TunnelSetting { name: name.into(), value: value.text.into_owned(), span: value.span });
            }
        }
        let key = phase.value("pre-shared-key").map(|k| Secret(k.span));
        let host = phase.value("remote-gateway");
        if key.is_some() || host.is_some() {
            let mut peer = Peer::new(phase.tag_span());
            peer.preshared_key = key;
            peer.endpoint = host.map(|h| Endpoint { host: h.text.into_owned(), port: 500, protocol: 17, span: h.span });
            tunnel.peers.push(peer);
        }
    }

    /// A side of a phase 2: an address, a network, or that of an interface.
    fn identity(&self, element: Option<Element<'d>>) -> Vec<IpNetwork> {
        let Some(element) = element else { return Vec::new() };
        let kind = element.value("type").map(|t| t.text.into_owned()).unwrap_or_default();
        match kind.as_str() {
            "address" => element.value("address").and_then(|a| network(&a.text, None)).into_iter().collect(),
            "network" => element
                .value("address")
                .and_then(|a| network(&a.text, element.value("netbits").as_ref().map(|b| &*b.text)))
                .into_iter()
                .collect(),
            "mobile" | "none" | "" => Vec::new(),
            key => {
                let own = self.ifaces.get(key).and_then(|i| i.primary[0]);
                own.and_then(|n| IpNetwork::new(n.network(), n.prefix()).ok()).into_iter().collect()
            }
        }
    }

    /// OPNsense's connections: parts that name the connection to which they belong.
    fn swanctl(&mut self) {
        let Some(section) = self.root.at(&["OPNsense", "Swanctl"]) else { return };
        let of = |list: &str, item: &str| -> HashMap<String, Vec<Element<'d>>> {
            let mut found: HashMap<String, Vec<Element<'d>>> = HashMap::new();
            for element in section.child(list).into_iter().flat_map(|l| l.list(item)) {
                if let Some(id) = element.value("connection") {
                    found.entry(id.text.into_owned()).or_default().push(element);
                }
            }
            found
        };
        let (locals, remotes, children) = (of("locals", "local"), of("remotes", "remote"), of("children", "child"));
        for connection in section.child("Connections").into_iter().flat_map(|l| l.list("Connection")) {
            if self.switched_off(connection) {
                continue;
            }
            let id = connection.attribute("uuid").map(|u| u.value().into_owned()).unwrap_or_default();
            let mut tunnel = Tunnel::new(TunnelKind::Ipsec, TunnelRole::Peer, "", connection.tag_span());
            tunnel.name = connection.value("description").map(|d| d.text.into_owned());
            let versions: &[&str] = match connection.value("version") {
                Some(v) if v.is(&["2"]) => &["2"],
                Some(v) if v.is(&["1"]) => &["1"],
                // "IKEv1+IKEv2" is written as 0.
                _ => &["1", "2"],
            };
            let aggressive = connection.yes("aggressive");
            for version in versions {
                let name = if aggressive && *version == "1" { "1-AGGRESSIVE" } else { version };
                let span = connection.value("version").map_or(connection.tag_span(), |v| v.span);
                offer(&mut tunnel, CryptoUse::IkeVersion, CryptoLayer::Control, name, span);
            }
            if let Some(list) = connection.value("proposals") {
                parts(&list.text).for_each(|p| keywords(&mut tunnel, CryptoLayer::Control, p, list.span));
            }
            for end in [&locals, &remotes].into_iter().flat_map(|m| m.get(&id)).flatten().filter(|e| !self.switched_off(**e)) {
                let Some(method) = end.value("auth") else { continue };
                let name = match &*method.text {
                    "psk" => "PSK",
                    "pubkey" => "CERTIFICATE",
                    "eap-tls" => "EAP-TLS",
                    "eap-mschapv2" => "EAP-MSCHAPV2",
                    "xauth-pam" => "XAUTH",
                    other => &other.to_ascii_uppercase(),
                };
                offer(&mut tunnel, CryptoUse::Authentication, CryptoLayer::Control, name, method.span);
            }
            if let Some(hosts) = connection.value("remote_addrs") {
                for host in parts(&hosts.text) {
                    let mut peer = Peer::new(connection.tag_span());
                    peer.endpoint = Some(Endpoint { host: host.to_owned(), port: 500, protocol: 17, span: hosts.span });
                    tunnel.peers.push(peer);
                }
            }
            for child in children.get(&id).into_iter().flatten().filter(|c| !self.switched_off(**c)) {
                if let Some(list) = child.value("esp_proposals") {
                    parts(&list.text).for_each(|p| keywords(&mut tunnel, CryptoLayer::Data, p, list.span));
                }
                let nets = |t: Option<Text<'d>>| {
                    t.map(|t| parts(&t.text).filter_map(|n| network(n, None)).collect::<Vec<_>>()).unwrap_or_default()
                };
                let (local, remote) = (nets(child.value("local_ts")), nets(child.value("remote_ts")));
                if !(local.is_empty() && remote.is_empty()) {
                    tunnel.selectors.push(Selector { local, remote, span: child.tag_span() });
                }
            }
            self.reader.device.tunnels.push(tunnel);
        }
    }
}

/// What a set of phase 1 offers.
fn proposal1(tunnel: &mut Tunnel, set: Element<'_>) {
    let layer = CryptoLayer::Control;
    if let Some(algorithm) = set.child("encryption-algorithm") {
        let name = algorithm.value("name");
        let bits = algorithm.value("keylen");
        if let Some(name) = name {
            offer(tunnel, CryptoUse::Cipher, layer, &cipher(&name.text, bits.as_ref().map(|b| &*b.text)), name.span);
        }
    }
    for list in set.list("hash-algorithm").into_iter().filter_map(super::tree::text_of) {
        parts(&list.text).for_each(|d| offer(tunnel, CryptoUse::Digest, layer, &digest(d), list.span));
    }
    if let Some(prf) = set.value("prf-algorithm") {
        offer(tunnel, CryptoUse::Prf, layer, &digest(&prf.text), prf.span);
    }
    for list in set.list("dhgroup").into_iter().filter_map(super::tree::text_of) {
        parts(&list.text).for_each(|g| offer(tunnel, CryptoUse::KeyExchange, layer, &group(g), list.span));
    }
}

/// What a phase 2 offers.
fn proposal2(tunnel: &mut Tunnel, phase: Element<'_>) {
    let layer = CryptoLayer::Data;
    let only_ah = phase.value("protocol").is_some_and(|p| p.is(&["ah"]));
    if only_ah {
        let span = phase.value("protocol").map_or(phase.tag_span(), |p| p.span);
        offer(tunnel, CryptoUse::Cipher, layer, "NULL", span);
    } else {
        for option in phase.list("encryption-algorithm-option") {
            let Some(name) = option.value("name") else { continue };
            let bits = option.value("keylen");
            offer(tunnel, CryptoUse::Cipher, layer, &cipher(&name.text, bits.as_ref().map(|b| &*b.text)), name.span);
        }
    }
    for option in phase.list("hash-algorithm-option").into_iter().filter_map(super::tree::text_of) {
        parts(&option.text).for_each(|d| offer(tunnel, CryptoUse::Digest, layer, &digest(d), option.span));
    }
    match phase.value("pfsgroup") {
        Some(pfs) => offer(tunnel, CryptoUse::KeyExchange, layer, &group(&pfs.text), pfs.span),
        None => offer(tunnel, CryptoUse::KeyExchange, layer, "NONE", phase.tag_span()),
    }
}

/// A proposal in strongSwan's words. "default" is strongSwan's own list, which this does not spell out.
fn keywords(tunnel: &mut Tunnel, layer: CryptoLayer, proposal: &str, span: Span) {
    for unknown in ike::strongswan(proposal, layer, span, &mut tunnel.crypto) {
        offer(tunnel, CryptoUse::Cipher, layer, &unknown.to_ascii_uppercase(), span);
    }
}
