//! Sections to tunnels.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::parse::{Entry, Kind, Section, Text};
use super::{hooks, keys};
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unrecognised, Unsupported};
use crate::model::{Dns, Endpoint, Peer, Secret, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled, VpnRoute};
use crate::net::Family;
use crate::source::Span;
use crate::vendors::Reader;

/// UDP: WireGuard has no other transport.
const UDP: u8 = 17;

/// Where sections come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// A configuration: one interface, however many `[Interface]` headers.
    Conf,
    /// `wg show`: several interfaces, and nothing of what wg-quick adds.
    Show,
}

/// Lowers the sections of a file into the tunnels of the reader's device.
pub(super) fn lower(reader: &mut Reader<'_>, sections: &[Section<'_>], origin: Origin) {
    let stem = stem(&reader.file.path).to_owned();
    let mut open: Option<Draft> = None;
    for section in sections {
        let starts = section.kind == Kind::Interface && origin == Origin::Show;
        if starts {
            finish(reader, open.take());
        }
        if section.kind == Kind::Unknown {
            unknown(reader, section);
            continue;
        }
        reader.mark(Span { end: section.span.start.saturating_add(1), ..section.span }, Understood);
        let name = section.interface.unwrap_or(&stem);
        let draft = open.get_or_insert_with(|| Draft::new(name, section.span, origin));
        if section.kind == Kind::Interface {
            draft.interface(reader, section);
        } else {
            draft.peer(reader, section);
        }
    }
    finish(reader, open);
}

/// wg-quick takes the interface's name from the file's (wg-quick(8)).
fn stem(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.strip_suffix(".conf").unwrap_or_else(|| name.split('.').next().unwrap_or(name))
}

fn unknown(reader: &mut Reader<'_>, section: &Section<'_>) {
    let first = section.entries.first().map_or(section.span, |e| e.span);
    if first.start > section.span.start {
        let header = Span { end: first.start, ..section.span };
        let text = reader.file.slice(header).trim();
        let shown = Span { end: header.start + text.len() as u32, ..header };
        reader.note(shown, Unrecognised, "WireGuard has no such section: wg refuses the file");
    } else if section.entries.is_empty() {
        reader.note(section.span, Unrecognised, "WireGuard has no such section: wg refuses the file");
    }
    for entry in &section.entries {
        hide(reader, entry);
        reader.note(entry.span, Unsupported, "outside [Interface] and [Peer]: not applied");
    }
}

/// A tunnel in the making, with what decides at the end about its role and routes.
struct Draft {
    tunnel: Tunnel,
    origin: Origin,
    /// A key that only wg-quick knows was seen: wg-quick makes routes, `wg setconf` makes none.
    quick: bool,
    mark: Option<String>,
    hooks: Vec<(&'static str, String, Span)>,
}

impl Draft {
    fn new(interface: &str, span: Span, origin: Origin) -> Draft {
        let tunnel = Tunnel::new(TunnelKind::WireGuard, TunnelRole::Peer, interface, span);
        Draft { tunnel, origin, quick: false, mark: None, hooks: vec![] }
    }

    fn set(&mut self, name: &str, value: &str, span: Span) {
        self.tunnel.settings.push(TunnelSetting { name: name.to_owned(), value: value.to_owned(), span });
    }

    /// Whether wg-quick gives the tunnel's own packets a mark, without which `wg show … fwmark` says "off": it does so for a default route in
    /// a table that it chooses itself (wg-quick(8), `Table`).
    fn marks_itself(&self) -> bool {
        let auto = self.tunnel.settings.iter().rev().find(|s| s.name == "Table").is_none_or(|s| s.value.eq_ignore_ascii_case("auto"));
        auto && self.tunnel.peers.iter().flat_map(|p| &p.allowed).any(|(net, _)| net.prefix() == 0)
    }

    fn interface(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        if self.tunnel.peers.is_empty() {
            self.tunnel.span = section.span;
        }
        if let Some(name) = &section.name {
            self.set("name", name, section.span);
        }
        for entry in &section.entries {
            let value = entry.value;
            reader.mark(entry.span, Understood);
            match entry.key.to_ascii_lowercase().as_str() {
                "privatekey" => self.private_key(reader, entry),
                "publickey" if self.origin == Origin::Show => self.tunnel.public_key = public_key(reader, entry),
                "listenport" => match value.text.parse::<u16>() {
                    // Port 0 means that the kernel chooses one.
                    Ok(0) => {}
                    Ok(port) => self.tunnel.listen = Some((UDP, port, entry.span)),
                    Err(_) => reader.note(entry.span, Unsupported, "ListenPort is not a port: wg refuses the file"),
                },
                "fwmark" => {
                    self.set("FwMark", value.text, entry.span);
                    self.mark = Some(value.text.to_owned());
                }
                key => match QUICK.iter().find(|q| q.eq_ignore_ascii_case(key)) {
                    Some(name) => {
                        self.quick = true;
                        self.quick_entry(reader, name, entry);
                    }
                    None => unknown_key(reader, entry),
                },
            }
        }
    }

    fn quick_entry(&mut self, reader: &mut Reader<'_>, name: &'static str, entry: &Entry<'_>) {
        match name {
            "Address" => {
                for item in entry.value.list() {
                    match network(item.text) {
                        Some(net) => self.tunnel.addresses.push((net, item.span)),
                        None => {
                            reader.note(item.span, Unsupported, "Address holds something that is no address: wg-quick refuses the file")
                        }
                    }
                }
            }
            // What is no address is a search domain (wg-quick(8)).
            "DNS" => self.tunnel.dns.extend(entry.value.list().map(|item| Dns {
                server: item.text.parse::<IpAddr>().ok(),
                text: item.text.to_owned(),
                span: item.span,
            })),
            "PreUp" | "PostUp" | "PreDown" | "PostDown" => self.hooks.push((name, entry.value.text.to_owned(), entry.value.span)),
            _ => {
                self.set(name, entry.value.text, entry.span);
                if name.ends_with("Applications") {
                    reader.note(entry.span, NotModelled, format!("{name}: which applications use the tunnel is not modelled"));
                }
            }
        }
    }

    fn private_key(&mut self, reader: &mut Reader<'_>, entry: &Entry<'_>) {
        let value = entry.value;
        if keys::is_placeholder(value.text) {
            if let Some(public) = keys::public_key_behind(reader.text_of(entry.span.file), entry.span) {
                self.tunnel.public_key.get_or_insert((public, entry.span));
            } else if self.origin == Origin::Conf {
                reader.note(entry.span, NotModelled, "PrivateKey was taken out: the public key of this end is not known");
            }
            return;
        }
        reader.secret(value.span);
        match keys::public_key(value.text) {
            Some(public) => {
                self.tunnel.private_key = Some(Secret(value.span));
                self.tunnel.public_key.get_or_insert((public, entry.span));
            }
            None => reader.note(entry.span, Unsupported, "PrivateKey is no key (44 characters of base64): wg refuses the file"),
        }
    }

    fn peer(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        let mut peer = Peer { name: section.name.clone(), ..Peer::new(section.span) };
        let mut keyed = false;
        for entry in &section.entries {
            let value = entry.value;
            reader.mark(entry.span, Understood);
            match entry.key.to_ascii_lowercase().as_str() {
                "publickey" => {
                    keyed = true;
                    peer.public_key = public_key(reader, entry);
                }
                "presharedkey" if keys::is_placeholder(value.text) => {}
                "presharedkey" => {
                    reader.secret(value.span);
                    if keys::is_key(value.text) {
                        peer.preshared_key = Some(Secret(value.span));
                    } else {
                        reader.note(entry.span, Unsupported, "PresharedKey is no key (44 characters of base64): wg refuses the file");
                    }
                }
                "allowedips" => {
                    for item in value.list() {
                        match network(item.text) {
                            Some(net) => peer.allowed.push((without_host_bits(net), item.span)),
                            None => {
                                reader.note(item.span, Unsupported, "AllowedIPs holds something that is no network: wg refuses the file")
                            }
                        }
                    }
                }
                "endpoint" => match endpoint(value) {
                    Some(endpoint) => peer.endpoint = Some(endpoint),
                    None => reader.note(entry.span, Unsupported, "Endpoint is not host:port"),
                },
                "persistentkeepalive" => match value.text {
                    "off" => peer.keepalive = Some(0),
                    text => match text.parse::<u16>() {
                        Ok(seconds) => peer.keepalive = Some(seconds.into()),
                        Err(_) => reader.note(entry.span, Unsupported, "PersistentKeepalive is neither `off` nor seconds up to 65535"),
                    },
                },
                _ => unknown_key(reader, entry),
            }
        }
        if !keyed {
            reader.note(Span { end: section.span.start + 1, ..section.span }, Unsupported, "a peer without PublicKey: wg refuses the file");
        }
        self.tunnel.peers.push(peer);
    }
}

fn finish(reader: &mut Reader<'_>, draft: Option<Draft>) {
    let Some(mut draft) = draft else { return };
    draft.tunnel.role = role(&draft.tunnel);
    for (name, command, span) in std::mem::take(&mut draft.hooks) {
        hook(reader, &mut draft, name, &command, span);
    }
    if draft.tunnel.role != TunnelRole::Server {
        routes(reader, &mut draft);
    }
    reader.device.tunnels.push(draft.tunnel);
}

/// WireGuard itself knows only peers. A server is one that others find: it has a fixed port and a peer of whose address it knows nothing.
/// A client knows where its peer is and has no port of its own. With both, endpoints may have been learned (`SaveConfig`, `wg showconf` and
/// `wg show` write down where a peer was last seen), so AllowedIPs decide: a default route leads from a client, nothing but single
/// addresses from a server; networks join two sites.
fn role(tunnel: &Tunnel) -> TunnelRole {
    let with_endpoint = tunnel.peers.iter().filter(|p| p.endpoint.is_some()).count();
    let mut allowed = tunnel.peers.iter().flat_map(|p| &p.allowed);
    match (tunnel.listen.is_some(), with_endpoint) {
        (true, n) if n < tunnel.peers.len() || n == 0 => TunnelRole::Server,
        (false, 0) => TunnelRole::Peer,
        (false, _) => TunnelRole::Client,
        (true, _) if allowed.clone().any(|(net, _)| net.prefix() <= 1) => TunnelRole::Client,
        (true, _) if allowed.all(|(net, _)| net.prefix() == if net.is_ipv4() { 32 } else { 128 }) => TunnelRole::Server,
        (true, _) => TunnelRole::Peer,
    }
}

/// wg-quick routes the AllowedIPs of every peer into the interface, into the table that `Table` names (wg-quick(8)).
fn routes(reader: &mut Reader<'_>, draft: &mut Draft) {
    let tunnel = &mut draft.tunnel;
    let all = || tunnel.peers.iter().flat_map(|p| &p.allowed).map(|(to, span)| VpnRoute { to: *to, excluded: false, span: *span });
    let table = tunnel.settings.iter().rev().find(|s| s.name == "Table").map(|s| (s.value.to_ascii_lowercase(), s.span));
    let routes: Vec<VpnRoute> = all().collect();
    match table.as_ref().map(|(value, span)| (value.as_str(), *span)) {
        Some(("off", _)) => {}
        Some(("auto" | "main" | "254", _)) => tunnel.routes = routes,
        Some((_, span)) => {
            tunnel.unmodelled.push(Unmodelled::routes(span));
            reader.note(span, NotModelled, "routes go into another table: whether traffic uses it depends on `ip rule`");
        }
        None if draft.quick => tunnel.routes = routes,
        None if routes.is_empty() => {}
        None => {
            let text = "nothing here is of wg-quick: which routes lead into the tunnel is not known";
            let span = Span { end: tunnel.span.start + 1, ..tunnel.span };
            tunnel.unmodelled.push(Unmodelled { filter: false, ..Unmodelled::anything(span) });
            reader.note(span, NotModelled, text);
        }
    }
}

fn hook(reader: &mut Reader<'_>, draft: &mut Draft, name: &str, command: &str, span: Span) {
    let secret = hooks::may_hold_secret(command);
    if secret {
        reader.secret(span);
    }
    draft.set(name, if secret { "" } else { command }, span);
    let up = name.ends_with("Up");
    let mark = draft.mark.is_some() || draft.marks_itself();
    let families = if up && mark { hooks::kill_switch(command, &draft.tunnel.interface, draft.mark.as_deref()) } else { vec![] };
    for family in &families {
        let setting = if *family == Family::V4 { "kill-switch-v4" } else { "kill-switch-v6" };
        draft.set(setting, name, span);
    }
    if families.is_empty() && (up || !hooks::only_deletes(command)) {
        let reach = hooks::reach(command);
        // What happens when the tunnel goes down changes nothing about where it leads.
        let reach = if up { reach } else { hooks::Reach { routes: false, names: false, ..reach } };
        if reach != hooks::Reach::default() {
            draft.tunnel.unmodelled.push(Unmodelled { routes: reach.routes, filter: reach.filter, names: reach.names, span });
        }
        reader.note(span, NotModelled, format!("{name} runs a command that is not modelled: it may change routes or the packet filter"));
    }
}

fn public_key(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<(String, Span)> {
    let value = entry.value;
    if keys::is_key(value.text) {
        return Some((value.text.to_owned(), value.span));
    }
    if !keys::is_placeholder(value.text) {
        reader.note(entry.span, Unsupported, "PublicKey is no key (44 characters of base64): wg refuses the file");
    } else if entry.value.text != "(none)" {
        reader.note(entry.span, NotModelled, "PublicKey was taken out: the peer cannot be told from others");
    }
    None
}

/// Marks what may be a secret in an entry that is not understood (`PrivatKey = …`, a key without its name).
fn hide(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    let key = entry.key.to_ascii_lowercase();
    let named = ["key", "psk", "pass", "secret"].iter().any(|w| key.contains(w));
    if key.contains("public") || (!entry.value.text.is_empty() && keys::is_placeholder(entry.value.text)) {
        return;
    }
    if keys::looks_like_key(entry.value.text) || (named && !entry.value.text.is_empty()) {
        reader.secret(entry.value.span);
    } else if keys::looks_like_key(reader.file.slice(entry.span)) {
        reader.secret(entry.span);
    }
}

fn unknown_key(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    hide(reader, entry);
    if OBFUSCATION.iter().any(|k| k.eq_ignore_ascii_case(entry.key)) {
        reader.mark(entry.span, Irrelevant);
    } else if entry.key.is_empty() || entry.value.text.is_empty() {
        reader.note(entry.span, Unrecognised, "neither `key = value` nor a section");
    } else {
        // The value is not quoted: nobody knows what it is.
        reader.note(entry.span, Unrecognised, "a key that this section of WireGuard does not have: wg refuses the file");
    }
}

/// `address[/length]`; without a length, one address.
fn network(text: &str) -> Option<IpNetwork> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let length = match length {
        None => {
            if address.is_ipv4() {
                32
            } else {
                128
            }
        }
        Some(l) if l.bytes().all(|b| b.is_ascii_digit()) => l.parse().ok()?,
        Some(_) => return None,
    };
    IpNetwork::new(address, length).ok()
}

/// The kernel keeps only the network bits of an allowed address (wg's config.c, allowedips.c).
fn without_host_bits(net: IpNetwork) -> IpNetwork {
    IpNetwork::new(net.network(), net.prefix()).unwrap_or(net)
}

/// `host:port`, `address:port` or `[v6 address]:port`.
fn endpoint(value: Text<'_>) -> Option<Endpoint> {
    let (host, port) = value.text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| Endpoint { host: host.to_owned(), port, protocol: UDP, span: value.span })
}

/// Keys of `[Interface]` that wg-quick takes out before it calls wg (wg-quick(8)); the last two are of the Android app.
const QUICK: &[&str] = &[
    "Address",
    "DNS",
    "MTU",
    "Table",
    "PreUp",
    "PostUp",
    "PreDown",
    "PostDown",
    "SaveConfig",
    "IncludedApplications",
    "ExcludedApplications",
];

/// Keys of AmneziaWG, which disguises WireGuard's packets: they change nothing about who reaches whom.
const OBFUSCATION: &[&str] =
    &["Jc", "Jmin", "Jmax", "S1", "S2", "S3", "S4", "H1", "H2", "H3", "H4", "I1", "I2", "I3", "I4", "I5", "J1", "J2", "J3", "Itime"];
