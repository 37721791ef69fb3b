//! WireGuard: pfSense's package and OPNsense's model.

use std::collections::HashMap;

use ipnetwork::IpNetwork;

use super::interfaces::network;
use super::lower::Lowering;
use super::tree::{Text, Tree, parts};
use crate::model::{Dns, Endpoint, Peer, Route, Secret, Tunnel, TunnelKind, TunnelRole};
use crate::source::Span;
use crate::syntax::xml::Element;

/// The port where none is written: wg-quick(8) takes any, the forms of both propose this one.
const PORT: u16 = 51820;

impl<'d> Lowering<'_, '_, 'd> {
    pub fn wireguard(&mut self) {
        self.opnsense_wireguard();
        self.pfsense_wireguard();
    }

    /// Devices of WireGuard that are switched on, with their own addresses.
    pub fn wireguard_devices(&self) -> Vec<(String, Vec<IpNetwork>)> {
        let mut out = Vec::new();
        for server in self.opnsense_servers() {
            let list = server.value("tunneladdress");
            let addresses = list.iter().flat_map(|l| parts(&l.text)).filter_map(|a| network(a, None)).collect();
            out.push((device_of(server), addresses));
        }
        let package = self.root.at(&["installedpackages", "wireguard", "tunnels"]);
        for item in package.into_iter().flat_map(|t| t.list("item")).filter(|i| !off(*i)) {
            if let Some(name) = item.value("name") {
                out.push((name.text.into_owned(), rows(item, "addresses").into_iter().map(|(a, _)| a).collect()));
            }
        }
        out
    }

    /// Routes to what OPNsense's peers may send, which it sets unless it is told not to ("Disable routes"), where the device is assigned.
    /// pfSense's package sets none.
    pub fn wireguard_routes(&self) -> Vec<Route> {
        let mut out = Vec::new();
        let by_id = self.opnsense_clients();
        for server in self.opnsense_servers().into_iter().filter(|s| !s.yes("disableroutes")) {
            let Some(iface) = self.ifaces.called(&device_of(server)) else { continue };
            let peers = server.value("peers");
            for client in peers.iter().flat_map(|p| parts(&p.text)).filter_map(|id| by_id.get(id)).filter(|c| !self.switched_off(**c)) {
                let Some(list) = client.value("tunneladdress") else { continue };
                let to = |to| Route { to, interface: Some(iface.key.clone()), via: None, metric: 0, kind: None, span: list.span };
                out.extend(parts(&list.text).filter_map(|a| network(a, None)).map(to));
            }
        }
        out
    }

    fn opnsense_section(&self) -> Option<Element<'d>> {
        let section = self.root.at(&["OPNsense", "wireguard"])?;
        let off = section.at(&["general"]).is_some_and(|g| g.value("enabled").is_some_and(|v| v.is(&["0"])));
        (!off).then_some(section)
    }

    fn opnsense_servers(&self) -> Vec<Element<'d>> {
        let all = self.opnsense_section().and_then(|s| s.at(&["server", "servers"])).map(|s| s.list("server")).unwrap_or_default();
        all.into_iter().filter(|s| !self.switched_off(*s)).collect()
    }

    fn opnsense_clients(&self) -> HashMap<String, Element<'d>> {
        let all = self.opnsense_section().and_then(|s| s.at(&["client", "clients"])).map(|c| c.list("client")).unwrap_or_default();
        all.into_iter().filter_map(|c| Some((c.attribute("uuid")?.value().into_owned(), c))).collect()
    }

    fn begin(&self, device: &str, element: Element<'d>, listen: Option<Text<'d>>) -> Tunnel {
        let interface = self.ifaces.called(device).map_or_else(|| device.to_owned(), |i| i.key.clone());
        let mut tunnel = Tunnel::new(TunnelKind::WireGuard, TunnelRole::Peer, interface, element.tag_span());
        let port = listen.as_ref().and_then(|p| p.text.parse().ok());
        tunnel.listen = Some((17, port.unwrap_or(PORT), listen.map_or(element.tag_span(), |p| p.span)));
        tunnel
    }

    fn opnsense_wireguard(&mut self) {
        let by_id = self.opnsense_clients();
        for server in self.opnsense_servers() {
            let mut tunnel = self.begin(&device_of(server), server, server.value("port"));
            tunnel.name = server.value("name").map(|n| n.text.into_owned());
            self.keys(server, &mut tunnel, "privkey", "pubkey");
            if let Some(list) = server.value("tunneladdress") {
                tunnel.addresses.extend(parts(&list.text).filter_map(|a| network(a, None)).map(|n| (n, list.span)));
            }
            if let Some(dns) = server.value("dns") {
                tunnel.dns.extend(parts(&dns.text).map(|d| Dns { server: d.parse().ok(), text: d.to_owned(), span: dns.span }));
            }
            if let Some(peers) = server.value("peers") {
                for id in parts(&peers.text) {
                    let Some(client) = by_id.get(id).filter(|c| !self.switched_off(**c)) else { continue };
                    let peer = self.peer(*client, "pubkey", "psk", "serveraddress", "serverport", "keepalive", "name");
                    let mut peer = peer;
                    if let Some(list) = client.value("tunneladdress") {
                        peer.allowed.extend(parts(&list.text).filter_map(|a| network(a, None)).map(|n| (n, list.span)));
                    }
                    tunnel.peers.push(peer);
                }
            }
            self.reader.device.tunnels.push(tunnel);
        }
    }

    fn pfsense_wireguard(&mut self) {
        let Some(section) = self.root.at(&["installedpackages", "wireguard"]) else { return };
        if section.at(&["config", "enable"]).is_some_and(|e| matches!(&*e.text(), "off" | "0")) {
            return;
        }
        self.reader.mark(section.tag_span(), crate::diag::LineState::Understood);
        let peers = section.child("peers").map(|p| p.list("item")).unwrap_or_default();
        let mut by_tunnel: HashMap<String, Vec<Element<'d>>> = HashMap::new();
        for peer in peers {
            if let Some(name) = peer.value("tun").filter(|_| !off(peer)) {
                by_tunnel.entry(name.text.into_owned()).or_default().push(peer);
            }
        }
        for item in section.child("tunnels").into_iter().flat_map(|t| t.list("item")) {
            let Some(name) = item.value("name").filter(|_| !off(item)) else { continue };
            self.reader.mark(item.span(), crate::diag::LineState::Understood);
            let mut tunnel = self.begin(&name.text, item, item.value("listenport"));
            tunnel.name = item.value("descr").map(|d| d.text.into_owned());
            self.keys(item, &mut tunnel, "privatekey", "publickey");
            tunnel.addresses.extend(rows(item, "addresses"));
            for element in by_tunnel.get(&*name.text).into_iter().flatten() {
                self.reader.mark(element.span(), crate::diag::LineState::Understood);
                let mut peer = self.peer(*element, "publickey", "presharedkey", "endpoint", "port", "persistentkeepalive", "descr");
                peer.allowed.extend(rows(*element, "allowedips"));
                tunnel.peers.push(peer);
            }
            self.reader.device.tunnels.push(tunnel);
        }
    }

    fn keys(&mut self, element: Element<'d>, tunnel: &mut Tunnel, private: &str, public: &str) {
        tunnel.private_key = element.value(private).map(|k| Secret(k.span));
        tunnel.public_key = element.value(public).map(|k| (k.text.into_owned(), k.span));
    }

    #[allow(clippy::too_many_arguments, reason = "the names of the same things in two forms")]
    fn peer(&self, element: Element<'d>, key: &str, psk: &str, host: &str, port: &str, keepalive: &str, name: &str) -> Peer {
        let mut peer = Peer::new(element.tag_span());
        peer.name = element.value(name).map(|n| n.text.into_owned());
        peer.public_key = element.value(key).map(|k| (k.text.into_owned(), k.span));
        peer.preshared_key = element.value(psk).map(|k| Secret(k.span));
        peer.keepalive = element.value(keepalive).and_then(|k| k.text.parse().ok());
        if let Some(host) = element.value(host) {
            let port = element.value(port).and_then(|p| p.text.parse().ok()).unwrap_or(PORT);
            peer.endpoint = Some(Endpoint { host: host.text.into_owned(), port, protocol: 17, span: host.span });
        }
        peer
    }
}

/// The device of one of OPNsense's instances.
fn device_of(server: Element<'_>) -> String {
    format!("wg{}", server.value("instance").map(|i| i.text.into_owned()).unwrap_or_default())
}

/// Switched off by `<enabled>no</enabled>`.
fn off(element: Element<'_>) -> bool {
    element.value("enabled").is_some_and(|v| v.is(&["no", "0", "off"]))
}

/// Rows of an address and a length.
fn rows(element: Element<'_>, list: &str) -> Vec<(IpNetwork, Span)> {
    let rows = element.child(list).map(|l| l.list("row")).unwrap_or_default();
    let one = |row: &Element<'_>| {
        let address = row.value("address")?;
        Some((network(&address.text, row.value("mask").as_ref().map(|m| &*m.text))?, address.span))
    };
    rows.iter().filter_map(one).collect()
}
