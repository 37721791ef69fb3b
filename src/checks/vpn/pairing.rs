//! Both ends of each tunnel: the client's peer on a server, and the person behind each peer of a server.

use std::collections::HashMap;

use jiff::civil::Date;

use super::keys::{list, peer_name};
use super::{Run, ike_pairs, is_client, is_fragment, is_openvpn, is_server, is_static_key};
use crate::checks::{Person, World};
use crate::diag::{Finding, Label};
use crate::model::{Device, Peer, Tunnel, TunnelKind};
use crate::net::{format_interval, prefix_bounds};

/// What is looked up again and again.
#[derive(Default)]
pub(super) struct Index<'w> {
    /// Tunnels of WireGuard by the public key of their own end.
    by_key: HashMap<&'w str, Vec<(&'w Device, &'w Tunnel)>>,
    /// A WireGuard server was read.
    servers: bool,
    /// One whose public key is not known.
    nameless: Option<(&'w Device, &'w Tunnel)>,
    /// Peers by the public key of the end that names them, and their own.
    peers: HashMap<(&'w str, &'w str), &'w Peer>,
    /// People by name and by device, both in their [`normal`] form.
    people: HashMap<String, Vec<&'w Person>>,
    /// People by device.
    users: HashMap<&'w str, Vec<&'w Person>>,
}

impl<'w> Index<'w> {
    fn new(run: &Run<'w, '_>) -> Index<'w> {
        let all = run.everywhere(|t| t.kind == TunnelKind::WireGuard);
        let mut index = Index::default();
        for (device, tunnel) in all {
            let server = !is_client(tunnel) || tunnel.listen.is_some();
            index.servers |= server;
            match &tunnel.public_key {
                None if server => index.nameless = index.nameless.or(Some((device, tunnel))),
                None => {}
                Some((own, _)) => {
                    index.by_key.entry(own).or_default().push((device, tunnel));
                    for (key, peer) in tunnel.peers.iter().filter_map(|p| p.public_key.as_ref().map(|k| (&k.0, p))) {
                        index.peers.entry((own, key)).or_insert(peer);
                    }
                }
            }
        }
        for person in run.world.workers.iter().flat_map(|w| &w.people) {
            index.person(person);
        }
        index
    }

    fn person(&mut self, person: &'w Person) {
        self.users.entry(&person.device).or_default().push(person);
        let (name, device) = (normal(&person.name), normal(&person.device));
        for text in [(name != device).then_some(device), Some(name)].into_iter().flatten().filter(|t| !t.is_empty()) {
            self.people.entry(text).or_default().push(person);
        }
    }

    /// Whose name a peer has: that of the person or of the person's device, or one of these with more words after it: `alice`,
    /// `Alice`, `alice@example.com`, `alice laptop`. The longest that somebody has decides.
    fn named(&self, peer: &str) -> Vec<&'w Person> {
        let name = normal(peer);
        let ends = name.char_indices().filter(|(_, c)| *c == '-').map(|(i, _)| i).chain([name.len()]);
        let ends: Vec<usize> = ends.collect();
        ends.into_iter().rev().find_map(|end| self.people.get(name.get(..end)?)).cloned().unwrap_or_default()
    }
}

pub(super) fn paired(run: &mut Run<'_, '_>) {
    let index = Index::new(run);
    let pairs = |t: &Tunnel| matches!(t.kind, TunnelKind::WireGuard | TunnelKind::OpenVpn);
    for (device, tunnel) in run.tunnels(|t| is_client(t) && pairs(t)) {
        match tunnel.kind {
            TunnelKind::WireGuard => wireguard_client(run, &index, device, tunnel),
            TunnelKind::OpenVpn => openvpn_client(run, device, tunnel),
            _ => {}
        }
    }
    for (device, tunnel) in run.tunnels(|t| is_server(t) && pairs(t)) {
        match tunnel.kind {
            TunnelKind::WireGuard => tunnel.peers.iter().for_each(|peer| server_peer(run, &index, (device, tunnel), peer)),
            TunnelKind::OpenVpn => openvpn_server(run, device, tunnel),
            _ => {}
        }
    }
    ike_pairs::ipsec(run, &index);
    ike_pairs::others(run);
    // What an OpenVPN server says about single clients is all that it says of who they are.
    let fragments: Vec<(&Device, &Tunnel)> = run.devices.iter().flat_map(|d| d.tunnels.iter().map(move |t| (*d, t))).collect();
    for (device, tunnel) in fragments.into_iter().filter(|(_, t)| is_fragment(t)) {
        for peer in &tunnel.peers {
            // A file of this name is for every client that has none of its own (openvpn(8), `--client-config-dir`).
            if peer.name.as_deref() != Some("DEFAULT") {
                server_peer(run, &index, (device, tunnel), peer);
            }
        }
    }
}

fn wireguard_client(run: &mut Run<'_, '_>, index: &Index<'_>, device: &Device, tunnel: &Tunnel) {
    for peer in &tunnel.peers {
        let Some((key, key_span)) = &peer.public_key else {
            let label = run.head(peer.span, "no public key here");
            let message = "which server the client connects to cannot be told: its public key was taken out";
            run.say(device, &tunnel.interface, Finding::unknown(message, label.clone(), vec![label]));
            continue;
        };
        let label = Label::new(*key_span, "of this server");
        let others = index.by_key.get(key.as_str()).into_iter().flatten().filter(|(_, t)| !std::ptr::eq(*t, tunnel));
        let Some((at, server)) = others.max_by_key(|(_, t)| t.peers.len()) else {
            let finding = if let Some((other, server)) = index.nameless {
                let cause = run.head(server.span, format!("the private key of {} was taken out", other.name));
                Finding::unknown("whether the client's server was read cannot be told", label, vec![cause])
            } else if !index.servers {
                Finding::unknown("the client's server was not read", label.clone(), vec![label])
            } else {
                let mut finding = Finding::new("the client's peer is no server that was read", label);
                finding.fix = Some("Correct the public key, or give the configuration of that server too.".into());
                finding
            };
            run.say(device, &tunnel.interface, finding);
            continue;
        };
        if let (Some(endpoint), Some((_, port, span))) = (&peer.endpoint, server.listen)
            && endpoint.port != port
        {
            let message = format!("the client connects to port {}, and {} listens on {port}", endpoint.port, at.name);
            let cause = Label::new(span, "unless a device before it translates the port");
            run.say(device, &tunnel.interface, Finding::unknown(message, Label::new(endpoint.span, ""), vec![cause]));
        }
        let Some((own, own_span)) = &tunnel.public_key else {
            let label = run.head(tunnel.span, "no private key here");
            let message = format!("whether {} knows the client cannot be told: the private key was taken out", at.name);
            run.say(device, &tunnel.interface, Finding::unknown(message, label.clone(), vec![label]));
            continue;
        };
        let Some(entry) = index.peers.get(&(key.as_str(), own.as_str())) else {
            let mut finding =
                Finding::new(format!("{} has no peer with the key of this client: it cannot connect", at.name), Label::new(*own_span, ""));
            finding.related.push(run.head(server.span, "the server"));
            finding.fix = Some("Add a peer with this client's public key to the server, or retire the client.".into());
            run.say(device, &tunnel.interface, finding);
            continue;
        };
        for (net, span) in &tunnel.addresses {
            let (family, n) = crate::net::to_number(net.ip());
            let inside = entry.allowed.iter().map(|(a, _)| prefix_bounds(*a)).any(|(f, lo, hi)| f == family && lo <= n && n <= hi);
            if !inside {
                let message =
                    format!("{} drops what comes from {}: it is not among the peer's AllowedIPs", at.name, format_interval(family, n, n));
                let mut finding = Finding::new(message, Label::new(*span, ""));
                finding.related.push(run.head(entry.span, "the peer on the server"));
                run.say(device, format!("{} {}", tunnel.interface, net.ip()), finding);
            }
        }
    }
}

fn openvpn_client(run: &mut Run<'_, '_>, device: &Device, tunnel: &Tunnel) {
    let servers = run.everywhere(|t| is_openvpn(t) && is_server(t));
    let ends: Vec<_> = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).collect();
    let label = ends.first().map_or_else(|| run.head(tunnel.span, ""), |e| Label::new(e.span, ""));
    if servers.is_empty() {
        run.say(device, &tunnel.interface, Finding::unknown("the client's server was not read", label.clone(), vec![label]));
        return;
    }
    let meets =
        |server: &Tunnel| server.listen.is_some_and(|(protocol, port, _)| ends.iter().any(|e| (e.protocol, e.port) == (protocol, port)));
    if !servers.iter().any(|(_, s)| meets(s)) {
        let ports: Vec<String> = ends.iter().map(|e| format!("{}/{}", if e.protocol == 6 { "tcp" } else { "udp" }, e.port)).collect();
        let causes = servers.iter().map(|(d, s)| {
            let at = s.listen.map_or(s.span, |l| l.2);
            Label::new(at, format!("{} listens here", d.name))
        });
        let causes: Vec<Label> = causes.map(|l| Label { span: super::head(run.world, l.span), ..l }).collect();
        let message = format!("no OpenVPN server that was read listens on {}", list(&ports));
        run.say(device, &tunnel.interface, Finding::unknown(message, label, causes));
    }
    // Which certificates a server accepts is in the files of its authority, not in any configuration: the port is all that can be compared.
}

/// An OpenVPN server accepts every certificate of its authority, unless it wants a file in `client-config-dir` for each client (openvpn(8),
/// `--ccd-exclusive`): these were looked at as its peers.
fn openvpn_server(run: &mut Run<'_, '_>, device: &Device, tunnel: &Tunnel) {
    if is_static_key(tunnel) || (tunnel.setting("ccd-exclusive").is_some() && device.tunnels.iter().any(is_fragment)) {
        return;
    }
    let label = run.head(tunnel.span, "the server");
    let message =
        "who can connect was not looked at: the server accepts every certificate of its authority, and these are in no configuration";
    let mut finding = Finding::unknown(message, label.clone(), vec![label]);
    finding.fix = Some(
        "Compare the list of certificates with the roster, and revoke those of leavers (`crl-verify`). With `ccd-exclusive` and a file per client, \
         exported too, this check can see who may connect."
            .into(),
    );
    run.say(device, format!("{} certificates", tunnel.interface), finding);
}

/// Judges that a peer of a server belongs to somebody.
pub(super) fn server_peer(run: &mut Run<'_, '_>, index: &Index<'_>, (device, tunnel): (&Device, &Tunnel), peer: &Peer) {
    let name = peer_name(peer);
    let key = peer.public_key.as_ref();
    let label = match key {
        Some((_, span)) => Label::new(*span, format!("the peer {name}")),
        None => run.head(peer.span, format!("the peer {name}")),
    };
    let ends = key.and_then(|(key, _)| index.by_key.get(key.as_str())).into_iter().flatten();
    let devices: Vec<&str> = ends.filter(|(_, t)| !std::ptr::eq(*t, tunnel)).map(|(d, _)| d.name.as_str()).collect();
    let world = run.world;
    let by_key: Vec<&Person> = devices.iter().filter_map(|d| index.users.get(d)).flatten().copied().collect();
    let people = if by_key.is_empty() { peer.name.as_deref().map(|n| index.named(n)).unwrap_or_default() } else { by_key };
    if let Some(leaver) = everybody_left(&people, world.as_of) {
        let left = leaver.left.map(|d| d.to_string()).unwrap_or_default();
        let mut finding = Finding::new(format!("{} left on {left} and can still connect as the peer {name}", leaver.name), label);
        finding.related.push(Label::new(leaver.span, "left"));
        finding.fix = Some("Take the peer off the server, and reload it.".into());
        return run.say(device, name, finding);
    }
    if !people.is_empty() {
        return;
    }
    // The other end was read and is no remote worker's: a site.
    if devices.iter().any(|d| !world.is_worker(d)) && (world.workers.is_none() || devices.iter().any(|d| is_of_an_office(world, d))) {
        return;
    }
    let finding = match &world.workers {
        Some(_) => {
            let mut finding =
                Finding::new(format!("the peer {name} belongs to nobody on the roster, and no device with its key was read"), label);
            if !devices.is_empty() {
                finding.message = format!("the peer {name} belongs to {}, which is on no roster and at no site", devices.join(", "));
            }
            finding.fix = Some(
                "Take the peer off the server; or put its owner on the roster, and name the peer as the roster does (`# alice`).".into(),
            );
            finding
        }
        None => {
            let message =
                format!("to whom the peer {name} belongs is not known: the baseline names no roster, and no device with its key was read");
            Finding::unknown(message, label.clone(), vec![label])
        }
    };
    run.say(device, name, finding);
}

fn is_of_an_office(world: &World<'_>, device: &str) -> bool {
    world.sites.iter().any(|s| s.devices.iter().any(|d| d == device))
}

/// Somebody to name, if everyone to whom it may belong has left.
fn everybody_left<'p>(people: &[&'p Person], as_of: Date) -> Option<&'p Person> {
    let gone = |p: &&&Person| p.left.is_some_and(|d| d <= as_of);
    people.first().filter(|_| people.iter().all(|p| gone(&p))).copied()
}

/// Lower case, without a mail domain, other signs as single hyphens.
fn normal(name: &str) -> String {
    let local = name.split('@').next().unwrap_or(name).to_lowercase();
    let words: Vec<&str> = local.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileId, Span};

    #[test]
    fn a_peer_is_known_by_the_name_of_its_person_or_device() {
        let person = |name: &str, device: &str| Person {
            name: name.into(),
            device: device.into(),
            role: None,
            platform: None,
            left: None,
            span: Span::new(FileId(0), 0, 0),
        };
        let people = [person("Alice Ng", "lt-0042"), person("alice", "lt-0001")];
        let mut index = Index::default();
        people.iter().for_each(|p| index.person(p));
        let known = |name: &str| index.named(name).iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(",");
        for name in ["alice ng", "alice.ng@example.com", "Alice_Ng laptop", "LT-0042"] {
            assert_eq!(known(name), "Alice Ng", "{name}");
        }
        for name in ["alice", "alice laptop", "alice ngata"] {
            assert_eq!(known(name), "alice", "{name}");
        }
        for name in ["lt-00421", "", "bob", "alicea", "-"] {
            assert_eq!(known(name), "", "{name}");
        }
    }
}
