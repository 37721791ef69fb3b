//! `swanctl.conf` to tunnels.

use super::secrets::Psk;
use super::swan_tree::{self, Tree, Value, View};
use super::swanctl_words::{self, is_round};
use super::tunnel::{self, Ends, Round, Shunt};
use super::words::{is_yes, list};
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoUse, Dns, Secret, Tunnel, TunnelRole, Unmodelled, VpnRoute, ike};
use crate::source::{SourceFile, Span};
use crate::vendors::{Detection, Reader};

/// Shunts of a file that are looked at.
const SHUNTS: usize = 200;

pub(super) fn detect(source: &SourceFile) -> Option<Detection> {
    let text = super::head(source);
    let (mut sections, mut telling, mut secret) = (0usize, 0usize, false);
    let mut depth = 0usize;
    for line in text.lines().map(|l| l.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty()) {
        let word = line.split(|c: char| c.is_whitespace() || matches!(c, '{' | '=' | ':')).next().unwrap_or("");
        let opens = line.contains('{') || line == word;
        match word {
            "connections" | "secrets" | "pools" | "authorities" if depth == 0 && opens => {
                sections += 1;
                secret |= word != "connections";
            }
            // A semicolon ends nothing here: it is a file of something else.
            _ if line.ends_with(';') => return None,
            _ if line.contains('=') && swanctl_words::TELLING.contains(&word) => telling += 1,
            _ => {}
        }
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
    }
    let has = |w: &str| text.contains(w);
    let inner = has("children") || has("secret") || has("addrs") || has("cacert") || has("include");
    if sections > 0 && (telling >= 1 || (secret && inner)) {
        super::certain("has sections of swanctl.conf: connections, secrets, pools, authorities")
    } else if sections > 0 && has("include") && has("connections") {
        super::certain("has a section `connections` with an include")
    } else if telling >= 2 && (has("children") || has("local")) && has("{") {
        super::certain("has parts of a connection of swanctl.conf")
    } else {
        // What ships with strongSwan: nothing but the include of a folder.
        let only: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        let name = source.path.rsplit(['/', '\\']).next().unwrap_or("");
        (name == "swanctl.conf" && only.iter().all(|l| l.starts_with("include "))).then_some(())?;
        super::certain("is named swanctl.conf, and includes others")
    }
}

pub(super) fn includes(source: &SourceFile) -> Vec<(String, Span)> {
    swan_tree::includes(source)
}

pub(super) fn read(reader: &mut Reader<'_>) {
    let tree = swan_tree::parse(reader);
    mark(reader, &tree);
    let root = tree.root();
    let secrets = secrets(&tree, &root);
    let mut shunts = Vec::new();
    if let Some(all) = tree.section(&root, "connections") {
        for name in tree.names(&all) {
            if let Some(view) = tree.section(&all, &name) {
                Connection { tree: &tree, root: &root, view, name, secrets: &secrets }.lower(reader, &mut shunts);
            }
        }
    }
    if shunts.len() > SHUNTS {
        let whole = reader.file.whole();
        reader.incomplete(Span { end: whole.start, ..whole }, LineState::Unsupported, "more shunts than are looked at");
        shunts.truncate(SHUNTS);
    }
    tunnel::apply(reader, &shunts);
}

/// Gives every line its state, and hides secrets.
fn mark(reader: &mut Reader<'_>, tree: &Tree) {
    // Depth first without recursion: the path is kept beside.
    let mut open: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new())];
    while let Some((id, path)) = open.pop() {
        let Some(node) = tree.nodes.get(id) else { continue };
        let names: Vec<&str> = path.iter().filter_map(|p| tree.nodes.get(*p)).map(|n| n.name.as_str()).collect();
        for (key, value) in &node.keys {
            let secret = names.first() == Some(&"secrets") && matches!(key.as_str(), "secret" | "pin");
            if secret {
                hide(reader, value);
            } else {
                super::words::hide(reader, key, value.at);
            }
            match swanctl_words::state(&names, key) {
                Some(LineState::NotModelled) => {
                    reader.note(value.span, LineState::NotModelled, format!("{key} is not modelled"));
                }
                Some(state) => reader.mark(value.span, state),
                None => reader.note(value.span, LineState::Unrecognised, "a key that swanctl.conf does not have here"),
            }
        }
        for (path, span) in &node.refs {
            match tree.at(path) {
                Some(_) => reader.mark(*span, LineState::Understood),
                None => reader.refused(*span, format!("refers to {path}, which is no section")),
            }
        }
        if id != 0 {
            reader.mark(node.span, LineState::Understood);
        }
        for child in &node.children {
            let mut path = path.clone();
            path.push(*child);
            open.push((*child, path));
        }
    }
}

fn hide(reader: &mut Reader<'_>, value: &Value) {
    if value.text.chars().count() > 1 {
        reader.secret(value.at);
    }
}

/// Pre-shared keys of IKE: sections that begin with `ike`.
fn secrets(tree: &Tree, root: &View) -> Vec<Psk> {
    let Some(all) = tree.section(root, "secrets") else { return Vec::new() };
    let mut found = Vec::new();
    for name in tree.names(&all).into_iter().filter(|n| n.starts_with("ike")) {
        let Some(view) = tree.section(&all, &name) else { continue };
        let ids = tree.keys(&view).into_iter().filter(|(k, _)| k.starts_with("id")).map(|(_, v)| v.text.clone()).collect();
        if let Some(secret) = tree.value(&view, "secret") {
            found.push(Psk { ids, secret: secret.at });
        }
    }
    found
}

struct Connection<'t> {
    tree: &'t Tree,
    root: &'t View,
    view: View,
    name: String,
    secrets: &'t [Psk],
}

impl<'t> Connection<'t> {
    fn value(&self, key: &str) -> Option<&'t Value> {
        self.tree.value(&self.view, key)
    }

    fn text(&self, key: &str) -> Option<&'t str> {
        self.value(key).map(|v| v.text.as_str())
    }

    fn lower(&self, reader: &mut Reader<'_>, shunts: &mut Vec<Shunt>) {
        let span = self.tree.span(&self.view);
        let children: Vec<(String, View)> = self
            .tree
            .section(&self.view, "children")
            .map(|all| self.tree.names(&all).into_iter().filter_map(|n| self.tree.section(&all, &n).map(|v| (n, v))).collect())
            .unwrap_or_default();
        let mode = |v: &View| self.tree.value(v, "mode").map_or("tunnel", |m| m.text.as_str());
        let before = shunts.len();
        for (_, child) in &children {
            let at = self.tree.span(child);
            match mode(child) {
                "pass" => shunts.push(Shunt::Pass(self.selectors(child, "remote_ts"), at)),
                "drop" => shunts.push(Shunt::Drop(at)),
                _ => {}
            }
        }
        if shunts.len() > before && children.iter().all(|(_, c)| matches!(mode(c), "pass" | "drop")) {
            return;
        }
        let hosts: Vec<&str> = self.text("remote_addrs").map(|t| list(t).collect()).unwrap_or_default();
        let known: Vec<&str> = hosts.iter().copied().filter(|h| !tunnel::is_any(h) && !is_range(h)).collect();
        let vips = self.value("vips");
        // To initiate, one specific address or name must be given (swanctl.conf(5), `remote_addrs`).
        let role = match (known.is_empty(), vips.is_some()) {
            (true, _) => TunnelRole::Server,
            (false, true) => TunnelRole::Client,
            (false, false) => TunnelRole::Peer,
        };
        let mut tunnel = tunnel::tunnel(role, &self.name, span);
        self.versions(&mut tunnel, span);
        self.proposals(reader, &mut tunnel, self.value("proposals"), CryptoLayer::Control, span);
        let (local, remote) = (self.rounds("local"), self.rounds("remote"));
        let (local_id, remote_id) = (self.id("local"), self.id("remote"));
        tunnel::authenticate(&mut tunnel, &local, &remote);
        if let Some(vips) = vips {
            let nets = list(&vips.text).filter(|a| !tunnel::is_any(a)).filter_map(tunnel::network);
            tunnel.addresses.extend(nets.map(|n| (n, vips.at)));
        }
        let outer = self.text("local_addrs").and_then(|t| list(t).next());
        let ends = Ends {
            local: outer.and_then(|a| a.parse().ok()),
            remote: known.first().and_then(|a| a.parse().ok()),
            asks: vips.is_some(),
            pools: self.pools(&mut tunnel),
        };
        for (_, child) in children.iter().filter(|(_, c)| !matches!(mode(c), "pass" | "drop")) {
            self.child(reader, &mut tunnel, child, &ends, mode(child));
        }
        if children.is_empty() {
            reader.note(span, LineState::NotModelled, "a connection without children carries no traffic");
        }
        let port = self.text("remote_port").and_then(|p| p.parse().ok()).unwrap_or(500);
        let psk = tunnel.crypto.iter().any(|o| o.usage == CryptoUse::Authentication && o.name == "PSK");
        let ids = [
            local_id.map_or(outer.unwrap_or("%any"), |v| v.text.as_str()),
            remote_id.map_or(known.first().copied().unwrap_or("%any"), |v| v.text.as_str()),
        ];
        let key = if psk { super::secrets::find(self.secrets, ids[0], ids[1]).map(Secret) } else { None };
        let at = self.value("remote_addrs").map_or(span, |v| v.at);
        let first = known.first().map(|h| (*h, at));
        for host in std::iter::once(first).chain(known.iter().skip(1).map(|h| Some((*h, at)))) {
            let mut peer = tunnel::peer(host, port, span);
            peer.name =
                remote_id.map(|i| i.text.as_str()).filter(|i| !i.contains(['%', '*'])).map(|i| i.trim_start_matches('@').to_owned());
            peer.preshared_key = key;
            tunnel.peers.push(peer);
        }
        if role == TunnelRole::Server {
            tunnel.listen = Some((17, self.text("local_port").and_then(|p| p.parse().ok()).unwrap_or(500), span));
        }
        for key in ["mobike", "dpd_delay", "dpd_timeout", "rekey_time", "reauth_time", "unique", "ppk_required"] {
            tunnel::setting(&mut tunnel, key, self.value(key).map(|v| (v.text.as_str(), v.span)));
        }
        // Without a name, the address is one (swanctl.conf(5), `id`).
        let own = self.value("local_addrs").zip(outer.filter(|a| !tunnel::is_any(a)));
        let far = self.value("remote_addrs").zip(known.first().copied());
        tunnel::setting(&mut tunnel, "local-id", local_id.map(|v| (v.text.as_str(), v.span)).or(own.map(|(v, a)| (a, v.span))));
        tunnel::setting(&mut tunnel, "remote-id", remote_id.map(|v| (v.text.as_str(), v.span)).or(far.map(|(v, a)| (a, v.span))));
        for key in ["if_id_in", "if_id_out"] {
            if let Some(v) = self.value(key).filter(|v| v.text != "0") {
                tunnel.unmodelled.push(Unmodelled::routes(v.span));
            }
        }
        reader.device.tunnels.push(tunnel);
    }

    /// 0, the default, accepts both versions and initiates version 2 (swanctl.conf(5), `version`).
    fn versions(&self, tunnel: &mut Tunnel, span: Span) {
        let written = self.value("version");
        let list: &[(&str, bool, bool)] = match written.map(|v| v.text.as_str()) {
            Some("1") => &[("1", false, false)],
            Some("2") => &[("2", false, false)],
            _ if tunnel.role == TunnelRole::Client => &[("2", true, false)],
            _ => &[("2", true, false), ("1", true, false)],
        };
        let aggressive = self.value("aggressive").filter(|v| is_yes(&v.text)).map(|v| v.span);
        tunnel::versions(tunnel, list, aggressive, written.map_or(span, |v| v.span));
    }

    fn proposals(&self, reader: &mut Reader<'_>, tunnel: &mut Tunnel, written: Option<&Value>, layer: CryptoLayer, span: Span) {
        let at = written.map_or(span, |v| v.at);
        let text = written.map_or("default", |v| v.text.as_str());
        let mut unknown = Vec::new();
        for proposal in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            if proposal == "default" {
                ike::defaults(ike::strongswan_default(layer).iter().copied(), layer, at, &mut tunnel.crypto);
            } else {
                unknown.extend(ike::strongswan(proposal, layer, at, &mut tunnel.crypto));
            }
        }
        if !unknown.is_empty() {
            unknown.truncate(3);
            reader.note(at, LineState::NotModelled, format!("algorithms that are not known: {}", unknown.join(", ")));
        }
    }

    fn round_sections(&self, end: &str) -> Vec<View> {
        let names = self.tree.names(&self.view).into_iter().filter(|n| is_round(n) && n.starts_with(end));
        names.filter_map(|n| self.tree.section(&self.view, &n)).collect()
    }

    fn rounds(&self, end: &str) -> Vec<Round> {
        let sections = self.round_sections(end);
        let rounds = sections.iter().map(|view| match self.tree.value(view, "auth") {
            Some(v) => Round { auth: v.text.clone(), span: v.span, default: false },
            None => Round { auth: "pubkey".into(), span: self.tree.span(view), default: true },
        });
        rounds.collect()
    }

    fn id(&self, end: &str) -> Option<&'t Value> {
        self.round_sections(end).iter().find_map(|view| self.tree.value(view, "id"))
    }

    fn selectors(&self, child: &View, key: &str) -> Vec<tunnel::Ts> {
        tunnel::selectors(self.tree.value(child, key).map_or("dynamic", |v| v.text.as_str()))
    }

    /// The addresses of the pools that the connection names, with what they hand out.
    fn pools(&self, tunnel: &mut Tunnel) -> Vec<ipnetwork::IpNetwork> {
        let Some(names) = self.text("pools") else { return Vec::new() };
        let all = self.tree.section(self.root, "pools");
        let mut nets = Vec::new();
        for name in list(names) {
            let Some(pool) = all.as_ref().and_then(|all| self.tree.section(all, name)) else { continue };
            nets.extend(self.tree.value(&pool, "addrs").into_iter().flat_map(|v| list(&v.text)).filter_map(tunnel::network));
            if let Some(dns) = self.tree.value(&pool, "dns") {
                tunnel.dns.extend(list(&dns.text).map(|w| Dns { server: w.parse().ok(), text: w.to_owned(), span: dns.at }));
            }
            for (key, excluded) in [("subnet", false), ("split_include", false), ("split_exclude", true)] {
                if let Some(v) = self.tree.value(&pool, key) {
                    let routes = list(&v.text).filter_map(tunnel::network);
                    tunnel.routes.extend(routes.map(|to| VpnRoute { to, excluded, span: v.at }));
                }
            }
        }
        nets
    }

    fn child(&self, reader: &mut Reader<'_>, tunnel: &mut Tunnel, child: &View, ends: &Ends, mode: &str) {
        let span = self.tree.span(child);
        let value = |key: &str| self.tree.value(child, key);
        let (esp, ah) = (value("esp_proposals"), value("ah_proposals"));
        if let Some(ah) = ah {
            ike::offer(&mut tunnel.crypto, CryptoUse::Cipher, CryptoLayer::Data, "NULL", ah.at);
            self.proposals(reader, tunnel, Some(ah), CryptoLayer::Data, span);
        }
        if esp.is_some() || ah.is_none() {
            self.proposals(reader, tunnel, esp, CryptoLayer::Data, span);
        }
        let transport = matches!(mode, "transport" | "transport_proxy" | "beet");
        let (local, remote) = (self.selectors(child, "local_ts"), self.selectors(child, "remote_ts"));
        let at = value("remote_ts").map_or(span, |v| v.at);
        tunnel::select(reader, tunnel, ends, (&local, &remote), transport, at);
        let marks = ["mark_in", "mark_out", "if_id_in", "if_id_out"].iter().filter_map(|k| value(k));
        let marked: Vec<Span> = marks.filter(|v| !v.text.starts_with("0/") && v.text != "0").map(|v| v.span).collect();
        tunnel.unmodelled.extend(marked.into_iter().map(Unmodelled::routes));
        if let Some(v) = value("policies").filter(|v| !is_yes(&v.text)) {
            tunnel.unmodelled.push(Unmodelled::routes(v.span));
        }
        if let Some(v) = value("ipcomp").filter(|v| is_yes(&v.text)) {
            ike::offer(&mut tunnel.crypto, CryptoUse::Compression, CryptoLayer::Data, "IPCOMP", v.span);
        }
        for key in ["start_action", "dpd_action", "mode", "life_time", "inactivity"] {
            tunnel::setting(tunnel, key, value(key).map(|v| (v.text.as_str(), v.span)));
        }
        tunnel::setting(tunnel, "child rekey_time", value("rekey_time").map(|v| (v.text.as_str(), v.span)));
    }
}

/// `192.0.2.1-192.0.2.9`.
fn is_range(host: &str) -> bool {
    host.split_once('-').is_some_and(|(a, b)| a.parse::<std::net::IpAddr>().is_ok() && b.parse::<std::net::IpAddr>().is_ok())
}
