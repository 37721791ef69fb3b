//! Directives to a tunnel.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::crypto;
use super::directives::{self, Class};
use super::parse::{self, Directive, Word};
use super::routes::{self, Redirect, Routed};
use super::{identity, secrets};
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unrecognised, Unsupported};
use crate::model::{Dns, Endpoint, Peer, Secret, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled, VpnRoute};
use crate::source::Span;
use crate::vendors::Reader;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// The port of both ends where none is named (openvpn(8), `--port`; registered with IANA).
const PORT: u16 = 1194;

/// Reads a file into the reader's device.
pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let parsed = parse::parse(file, reader);
    let mut directives = Vec::with_capacity(parsed.len());
    flatten(reader, parsed, &mut directives, 0);
    let Some(first) = directives.first() else { return };
    let span = first.span;
    let mut lowering = Lowering::new(&directives, span);
    for directive in &directives {
        lowering.directive(reader, directive);
    }
    lowering.finish(reader, &directives);
}

/// Puts included files in place, and takes `setenv opt` (an option that old software may ignore) off what it precedes.
fn flatten<'a>(reader: &mut Reader<'a>, parsed: Vec<Directive<'a>>, out: &mut Vec<Directive<'a>>, depth: usize) {
    for mut directive in parsed {
        if directive.name == "setenv" && directive.arg(0) == "opt" && directive.args.len() > 1 {
            directive.args.remove(0);
            directive.name = directive.args.remove(0).text;
        }
        if directive.name == "config" && !directive.args.is_empty() {
            if depth >= reader.limits.include_depth {
                reader.incomplete(directive.span, NotModelled, "includes are nested too deeply: this one is not read");
            } else {
                let files = reader.include(directive.file.id, directive.arg(0));
                if files.is_empty() {
                    reader.incomplete(directive.span, NotModelled, "the file that is included here was not read");
                }
                for file in files {
                    let inner = parse::parse(file, reader);
                    flatten(reader, inner, out, depth + 1);
                }
            }
        }
        out.push(directive);
    }
}

/// A `remote`, or a `<connection>` with one.
struct Remote {
    host: String,
    port: Option<u16>,
    protocol: Option<u8>,
    span: Span,
    whole: Span,
}

/// Port and protocol, global or of a `<connection>`.
#[derive(Clone, Copy, Default)]
struct Transport {
    protocol: Option<(u8, Span)>,
    /// `port`: both ends.
    port: Option<(u16, Span)>,
    local: Option<(u16, Span)>,
    remote: Option<u16>,
}

struct Lowering {
    tunnel: Tunnel,
    static_key: bool,
    /// A file of a `client-config-dir`: what a server does for one client.
    per_client: bool,
    unbound: bool,
    bound: bool,
    pulls: bool,
    proxied: bool,
    transport: Transport,
    remotes: Vec<Remote>,
    gateway: Option<IpAddr>,
    routed: Vec<(Routed, Span)>,
    redirect: Redirect,
    pushed_redirect: Redirect,
    ignored: HashSet<String>,
    inner: Vec<(IpNetwork, Span)>,
}

impl Lowering {
    fn new(directives: &[Directive<'_>], span: Span) -> Lowering {
        let has = |name: &str| directives.iter().any(|d| d.name == name);
        let remote = has("remote") || directives.iter().any(|d| d.inner.iter().any(|i| i.name == "remote"));
        let server_mode = directives.iter().any(|d| d.name == "mode" && d.arg(0) == "server");
        let pulls = has("client") || has("pull");
        let server = has("server") || has("server-ipv6") || has("server-bridge") || server_mode;
        let tls = server || pulls || has("tls-server") || has("tls-client");
        let static_key = has("secret") && !tls;
        let per_client = !tls
            && !static_key
            && !remote
            && !has("dev")
            && ["ifconfig-push", "ifconfig-ipv6-push", "iroute", "iroute-ipv6"].iter().any(|n| has(n));
        // Helper directives first, then who speaks first in TLS. Static keys know no sides: who names no remote waits for one, who binds no
        // port cannot be found.
        let role = if server {
            TunnelRole::Server
        } else if pulls {
            TunnelRole::Client
        } else if has("tls-server") {
            TunnelRole::Server
        } else if has("tls-client") {
            TunnelRole::Client
        } else if static_key && !remote {
            TunnelRole::Server
        } else if remote && (!static_key || has("nobind")) {
            TunnelRole::Client
        } else {
            TunnelRole::Peer
        };
        let tunnel = Tunnel::new(TunnelKind::OpenVpn, role, "", span);
        let ignored = directives.iter().filter(|d| d.name == "ignore-unknown-option").flat_map(|d| d.args.iter().map(|w| w.text.clone()));
        Lowering {
            tunnel,
            static_key,
            per_client,
            unbound: false,
            bound: false,
            pulls,
            proxied: has("http-proxy") || has("socks-proxy"),
            transport: Transport::default(),
            remotes: vec![],
            gateway: None,
            routed: vec![],
            redirect: Redirect::default(),
            pushed_redirect: Redirect::default(),
            ignored: ignored.collect(),
            inner: vec![],
        }
    }

    fn set(&mut self, name: impl Into<String>, value: impl Into<String>, span: Span) {
        self.tunnel.settings.push(TunnelSetting { name: name.into(), value: value.into(), span });
    }

    fn directive(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>) {
        let span = directive.span;
        let name = directive.name.as_str();
        if directive.body.is_some() {
            return self.block(reader, directive);
        }
        match directives::class(name) {
            None => return self.unknown(reader, directive),
            Some(Class::Irrelevant) => return reader.mark(span, Irrelevant),
            Some(Class::Command) => {
                let program = secrets::program(reader, directive);
                if directives::only_sets_names(&program) {
                    self.set(name, program, span);
                    return reader.mark(span, Understood);
                }
                match name {
                    "up" | "route-up" | "ipchange" | "plugin" => self.tunnel.unmodelled.push(Unmodelled::anything(span)),
                    "dns-updown" => self.tunnel.unmodelled.push(Unmodelled { routes: false, filter: false, names: true, span }),
                    "down" | "route-pre-down" => {
                        self.tunnel.unmodelled.push(Unmodelled { routes: false, filter: true, names: false, span });
                    }
                    // The others run on a server, or decide about who may connect.
                    _ => {}
                }
                self.set(name, program, span);
                let text = format!("`{name}` runs a command that is not modelled: it may change routes, DNS or the packet filter");
                return reader.note(span, NotModelled, text);
            }
            Some(Class::Matters(why)) => {
                let value = secrets::value(reader, directive);
                self.set(name, value, span);
                if matches!(name, "route-noexec" | "route-table") {
                    self.tunnel.unmodelled.push(Unmodelled::routes(span));
                }
                reader.note(span, NotModelled, format!("`{name}` is not modelled: {why}"));
            }
            Some(Class::Kept) => {
                reader.mark(span, Understood);
                if !matches!(name, "push" | "config") {
                    let value = secrets::value(reader, directive);
                    self.set(name, value, span);
                }
            }
        }
        crypto::written(&mut self.tunnel.crypto, directive);
        match name {
            "push" => self.push(reader, directive),
            "client" => {
                self.set("pull", "", span);
                self.set("tls-client", "", span);
            }
            // A bare `tun` or `tap` stands for the first that is free (openvpn(8), `--dev`).
            "dev" => self.tunnel.interface = directive.arg(0).to_owned(),
            "nobind" => self.unbound = true,
            "bind" | "local" => self.bound = true,
            "remote" => self.remote(reader, directive, span, Transport::default()),
            "proto" | "port" | "lport" | "rport" => {
                let mut transport = self.transport;
                set_transport(reader, &mut transport, directive);
                self.bound |= name == "lport";
                self.transport = transport;
            }
            "server" | "server-ipv6" | "ifconfig" | "ifconfig-ipv6" => self.address(reader, directive),
            "ifconfig-push" | "ifconfig-ipv6-push" | "iroute" | "iroute-ipv6" => self.per_client(reader, directive),
            "route-gateway" => self.gateway = directive.arg(0).parse().ok().or(self.gateway),
            "route" | "route-ipv6" if self.tunnel.role != TunnelRole::Server => self.route(reader, directive),
            "redirect-gateway" => {
                if let Some(flag) = self.redirect.add(directive) {
                    reader.note(span, Unsupported, format!("`redirect-gateway` has no flag `{flag}`: OpenVPN refuses the file"));
                }
            }
            "redirect-private" if directive.args.iter().any(|a| a.text == "ipv6") => {
                reader.note(span, NotModelled, "whether `redirect-private ipv6` redirects IPv6 depends on the version");
            }
            "dhcp-option" | "dns" if self.tunnel.role != TunnelRole::Server => self.dns(directive),
            _ => {}
        }
    }

    fn unknown(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>) {
        secrets::hide_line(reader, directive.file, directive.span);
        secrets::hide_args(reader, directive, &directive.name);
        if !secrets::is_name(&directive.name) {
            reader.note(directive.span, Unrecognised, "not a directive of OpenVPN");
        } else if self.ignored.contains(&directive.name) {
            reader.note(directive.span, NotModelled, format!("`{}` is not known here, and OpenVPN is told to ignore it", directive.name));
        } else {
            reader.note(directive.span, Unrecognised, format!("OpenVPN has no directive `{}`", directive.name));
        }
    }

    fn block(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>) {
        let (name, span) = (directive.name.as_str(), directive.span);
        let Some(body) = directive.body else { return };
        if name == "connection" {
            let mut transport = self.transport;
            for inner in &directive.inner {
                match inner.name.as_str() {
                    "proto" | "port" | "lport" | "rport" => {
                        reader.mark(inner.span, Understood);
                        set_transport(reader, &mut transport, inner);
                    }
                    "remote" => reader.mark(inner.span, Understood),
                    // The others (proxies, timers, MTU) are as good as global ones for any check.
                    _ => self.directive(reader, inner),
                }
            }
            for inner in directive.inner.iter().filter(|d| d.name == "remote") {
                self.remote(reader, inner, span.to(body), transport);
            }
            return;
        }
        if directives::SECRET_BLOCKS.contains(&name) || directives::PUBLIC_BLOCKS.contains(&name) {
            self.set(name, "[inline]", span);
        }
        crypto::written(&mut self.tunnel.crypto, directive);
        match name {
            "key" => self.tunnel.private_key = pem(directive).map(Secret),
            "cert" => {
                if let Some((common_name, span)) = identity::common_name(directive.file, body) {
                    self.set("common-name", common_name, span);
                }
                if let Some((certificate, span)) = identity::certificate(directive.file, body) {
                    self.set("certificate", certificate, span);
                }
            }
            _ => {}
        }
    }

    fn remote(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>, whole: Span, transport: Transport) {
        let host = directive.arg(0);
        if host.is_empty() {
            return reader.note(directive.span, Unsupported, "`remote` without a host: OpenVPN refuses the file");
        }
        let port = directive.args.get(1).map(|w| w.text.parse::<u16>());
        if matches!(port, Some(Err(_))) {
            reader.note(directive.arg_span(1), NotModelled, "the remote's port is no number");
            return;
        }
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        self.remotes.push(Remote {
            host: host.to_owned(),
            port: port.and_then(Result::ok).or(transport.remote).or(transport.port.map(|p| p.0)),
            protocol: protocol(directive.arg(2)).or(transport.protocol.map(|p| p.0)),
            span: directive.span,
            whole,
        });
    }

    fn address(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>) {
        let (a, b) = (directive.arg(0), directive.arg(1));
        let found = match directive.name.as_str() {
            "server" => a
                .parse()
                .ok()
                .zip(routes::mask(b))
                .and_then(|(ip, len)| IpNetwork::new(IpAddr::V4(ip), len).ok())
                .and_then(routes::first_host),
            "server-ipv6" => routes::address6(a).and_then(routes::first_host),
            "ifconfig-ipv6" => routes::address6(a),
            _ => routes::ifconfig(a, b).map(|(net, other)| {
                self.gateway = self.gateway.or(other);
                net
            }),
        };
        match found {
            // A later one replaces an earlier one of the same family.
            Some(net) => {
                self.tunnel.addresses.retain(|(old, _)| old.is_ipv4() != net.is_ipv4());
                self.tunnel.addresses.push((net, directive.span));
            }
            None => reader.note(directive.span, NotModelled, format!("`{}` holds something that is no address", directive.name)),
        }
    }

    /// Of a file in `client-config-dir`: addresses and networks of that client.
    fn per_client(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>) {
        let (a, b) = (directive.arg(0), directive.arg(1));
        let one = |text: &str| text.parse().ok().and_then(|ip: IpAddr| IpNetwork::new(ip, if ip.is_ipv4() { 32 } else { 128 }).ok());
        let found = match directive.name.as_str() {
            "ifconfig-push" => one(a),
            "ifconfig-ipv6-push" => one(a.split('/').next().unwrap_or(a)),
            "iroute" if b.is_empty() => one(a),
            "iroute" => a.parse().ok().zip(routes::mask(b)).and_then(|(ip, len)| IpNetwork::new(IpAddr::V4(ip), len).ok()),
            _ => routes::address6(a),
        };
        match found.and_then(|n| IpNetwork::new(n.network(), n.prefix()).ok()) {
            Some(net) => self.inner.push((net, directive.span)),
            None => reader.note(directive.span, NotModelled, format!("`{}` holds something that is no address", directive.name)),
        }
    }

    fn route(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>) {
        match routes::route(directive) {
            Routed::Host => {}
            Routed::Wrong => reader.note(directive.span, Unsupported, format!("`{}` holds something that is no network", directive.name)),
            Routed::Name => {
                self.tunnel.unmodelled.push(Unmodelled::routes(directive.span));
                reader.note(directive.span, NotModelled, "a route by name: which addresses it is for is not known");
            }
            routed => self.routed.push((routed, directive.span)),
        }
    }

    fn dns(&mut self, directive: &Directive<'_>) {
        let add =
            |list: &mut Vec<Dns>, word: &Word| list.push(Dns { server: dns_address(&word.text), text: word.text.clone(), span: word.span });
        let from = match (directive.name.as_str(), directive.arg(0)) {
            ("dhcp-option", "DNS" | "DNS6" | "DOMAIN" | "DOMAIN-SEARCH" | "ADAPTER_DOMAIN_SUFFIX") => 1,
            ("dns", "search-domains") => 1,
            ("dns", "server") if directive.arg(2) == "address" => 3,
            _ => return,
        };
        directive.args.iter().skip(from).for_each(|w| add(&mut self.tunnel.dns, w));
    }

    /// What a server pushes is a line of the client's configuration.
    fn push(&mut self, reader: &mut Reader<'_>, directive: &Directive<'_>) {
        let [option] = directive.args.as_slice() else {
            secrets::hide_args(reader, directive, directive.arg(0));
            return reader.note(directive.span, Unsupported, "`push` takes one argument, in quotation marks: OpenVPN refuses the file");
        };
        let words = match parse::words(&option.text, option.span) {
            Ok(words) => words,
            Err(why) => {
                reader.secret(option.span);
                return reader.note(directive.span, Unrecognised, format!("what is pushed is not readable: {why}"));
            }
        };
        let Some((name, args)) = words.split_first() else { return };
        // Spans are exact where the argument is written without escapes; else everything stands at the whole argument.
        let exact = directive.file.slice(option.span) == option.text;
        let args = args.iter().map(|w| if exact { w.clone() } else { Word { span: option.span, ..w.clone() } }).collect();
        let pushed = Directive { file: directive.file, name: name.text.clone(), args, span: directive.span, body: None, inner: vec![] };
        if directives::class(&pushed.name).is_none() {
            if !secrets::is_name(&pushed.name) {
                reader.secret(option.span);
            }
            return self.unknown(reader, &pushed);
        }
        let value = secrets::value(reader, &pushed);
        self.set(format!("push {}", pushed.name), value, pushed.span);
        crypto::written(&mut self.tunnel.crypto, &pushed);
        match pushed.name.as_str() {
            "redirect-gateway" => {
                if let Some(flag) = self.pushed_redirect.add(&pushed) {
                    reader.note(pushed.span, Unsupported, format!("`redirect-gateway` has no flag `{flag}`"));
                }
            }
            "route" | "route-ipv6" => self.route(reader, &pushed),
            "dhcp-option" | "dns" => self.dns(&pushed),
            _ => {}
        }
    }

    fn finish(mut self, reader: &mut Reader<'_>, directives: &[Directive<'_>]) {
        let server = self.tunnel.role == TunnelRole::Server;
        self.listen();
        for remote in std::mem::take(&mut self.remotes) {
            let port = remote.port.or(self.transport.remote).or(self.transport.port.map(|p| p.0)).unwrap_or(PORT);
            let protocol = remote.protocol.or(self.transport.protocol.map(|p| p.0)).unwrap_or(UDP);
            let endpoint = Endpoint { host: remote.host, port, protocol, span: remote.span };
            self.tunnel.peers.push(Peer { endpoint: Some(endpoint), span: remote.whole, ..Peer::new(remote.whole) });
        }
        if self.static_key {
            let secret = directives.iter().filter(|d| d.name == "secret").find_map(pem).map(Secret);
            if self.tunnel.peers.is_empty() {
                self.tunnel.peers.push(Peer::new(self.tunnel.span));
            }
            self.tunnel.peers.iter_mut().for_each(|p| p.preshared_key = secret);
        }
        if self.per_client {
            let name = reader.file.path.rsplit(['/', '\\']).next().map(str::to_owned).filter(|n| !n.is_empty());
            let span = self.inner.iter().fold(self.tunnel.span, |a, (_, b)| a.to(*b));
            self.tunnel.peers.push(Peer { name, allowed: std::mem::take(&mut self.inner), ..Peer::new(span) });
            self.set("client-config", "", self.tunnel.span);
        } else {
            let facts = crypto::Facts {
                static_key: self.static_key,
                no_negotiation: directives.iter().any(|d| d.name == "ncp-disable"),
                ancient: directives.iter().any(|d| d.name == "compat-mode" && is_ancient(d.arg(0))),
            };
            crypto::defaults(&mut self.tunnel.crypto, directives, facts, self.tunnel.span);
        }
        // `route-noexec` leaves routes to a script, which is noted where it stands.
        if server || self.tunnel.setting("route-noexec").is_none() {
            self.routes(reader, server);
        }
        reader.device.tunnels.push(self.tunnel);
    }

    fn routes(&mut self, reader: &mut Reader<'_>, server: bool) {
        let tunnel = &mut self.tunnel;
        for (routed, span) in std::mem::take(&mut self.routed) {
            let (to, excluded) = match routed {
                Routed::Tunnel(to) => (to, false),
                Routed::Around(to) => (to, true),
                Routed::Via(to, gateway) if Some(gateway) == self.gateway || tunnel.addresses.iter().any(|(n, _)| n.contains(gateway)) => {
                    (to, false)
                }
                _ => {
                    tunnel.unmodelled.push(Unmodelled::routes(span));
                    reader.note(span, NotModelled, "a route through a gateway of its own: whether that is in the tunnel is not known");
                    continue;
                }
            };
            tunnel.routes.push(VpnRoute { to, excluded, span });
        }
        let redirect = if server || self.per_client { &self.pushed_redirect } else { &self.redirect };
        tunnel.routes.extend(redirect.routes());
    }

    /// Both ends bind a port unless told otherwise. Clients that pull do not, since 2.6 (Changes.rst), nor do those that use TCP or a proxy
    /// (openvpn(8), `--bind`), unless `local`, `lport` or `bind` says so.
    fn listen(&mut self) {
        let protocol = self.transport.protocol.map_or(UDP, |p| p.0);
        let client = self.tunnel.role == TunnelRole::Client;
        let silent = client && !self.bound && (self.pulls || self.proxied || protocol == TCP);
        if self.per_client || self.unbound || silent {
            return;
        }
        let port = self.transport.local.or(self.transport.port);
        let span = port.map(|p| p.1).or(self.transport.protocol.map(|p| p.1)).unwrap_or(self.tunnel.span);
        let port = port.map_or(PORT, |p| p.0);
        self.tunnel.listen = (port != 0).then_some((protocol, port, span));
    }
}

fn set_transport(reader: &mut Reader<'_>, transport: &mut Transport, directive: &Directive<'_>) {
    let span = directive.span;
    let arg = directive.arg(0);
    if directive.name == "proto" {
        match protocol(arg) {
            Some(protocol) => transport.protocol = Some((protocol, span)),
            None => reader.note(span, Unsupported, "`proto` is neither udp nor tcp: OpenVPN refuses the file"),
        }
        return;
    }
    match (arg.parse::<u16>(), directive.name.as_str()) {
        (Ok(port), "port") => transport.port = Some((port, span)),
        (Ok(port), "lport") => transport.local = Some((port, span)),
        (Ok(port), _) => transport.remote = Some(port),
        (Err(_), _) => reader.note(span, NotModelled, format!("`{}` is no number", directive.name)),
    }
}

/// `udp`, `udp4`, `udp6`, `tcp`, `tcp-client`, `tcp4-server` …
fn protocol(text: &str) -> Option<u8> {
    match text.get(..3) {
        Some("udp") => Some(UDP),
        Some("tcp") => Some(TCP),
        _ => None,
    }
}

/// `address`, `address:port` or `[address]:port`.
fn dns_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Some(inner) = text.strip_prefix('[') {
        return inner.split(']').next()?.parse().ok();
    }
    text.rsplit_once(':')?.0.parse().ok()
}

/// Whether a version is 2.3.6 or less.
fn is_ancient(version: &str) -> bool {
    let mut parts = version.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) <= (2, 3, 6)
}

/// Where the key of an inline file stands: its PEM block.
fn pem(directive: &Directive<'_>) -> Option<Span> {
    let body = directive.body?;
    let text = directive.file.slice(body);
    let begin = text.find("-----BEGIN ")?;
    let end = text.get(begin..)?.find("-----END ").map(|e| begin + e)?;
    let end = text.get(end..)?.find('\n').map_or(text.len(), |e| end + e);
    let start = body.start as usize;
    Some(Span::new(body.file, start + begin, start + text.get(..end)?.trim_end().len()))
}
