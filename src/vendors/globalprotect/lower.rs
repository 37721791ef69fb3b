//! From settings to a tunnel.

use ipnetwork::IpNetwork;

use super::Form;
use super::pairs::{self, Pair};
use crate::diag::LineState;
use crate::model::{Dns, Endpoint, Fact, Peer, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled, VpnRoute};
use crate::source::Span;
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;

/// Keys that are made use of.
const UNDERSTOOD: &[&str] = &[
    "portal",
    "connect-method",
    "enforce-globalprotect",
    "captive-portal-exception-timeout",
    "save-user-credentials",
    "can-save-password",
    "can-continue-if-portal-cert-invalid",
    "disable-allowed",
    "agent-user-override",
    "can-change-portal",
    "full-chain-cert-verify",
    "prelogon",
    "portal-2fa",
    "auto-discovery-external-gateway-2fa",
    "manual-only-gateway-2fa",
    "need-tunnel",
];

/// Words in the keys of secrets.
const SECRET: &[&str] = &["password", "passcode", "passwd", "cookie", "token", "secret", "preshared", "-key"];

/// Gateways, routes, servers of names.
const MOST: usize = 10_000;

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    reader.mark(file.whole(), LineState::Irrelevant);
    let form = super::form(file);
    let document = (form != Some(Form::Registry)).then(|| Document::read(file, reader.limits));
    for problem in document.iter().flat_map(Document::problems).filter(|p| p.kind.loses()) {
        reader.incomplete(problem.span, LineState::Unrecognised, format!("not read from here on: {}", problem.text));
    }
    let pairs = match (form, &document) {
        (Some(Form::Plist), Some(document)) => pairs::plist(document),
        (_, Some(document)) => pairs::leaves(document),
        _ => pairs::registry(reader),
    };
    for pair in &pairs {
        let allows = ["can-save-password", "save-user-credentials"].contains(&pair.key.as_str());
        if !allows && SECRET.iter().any(|w| pair.key.contains(w)) && !matches!(pair.value.as_str(), "" | "yes" | "no" | "0" | "1") {
            reader.secret(pair.at);
        }
        if UNDERSTOOD.contains(&pair.key.as_str()) {
            reader.mark(pair.span, LineState::Understood);
        }
    }
    let first = pairs.iter().find(|p| UNDERSTOOD.contains(&p.key.as_str())).map_or_else(|| file.line_span(0), |p| p.span);
    let mut tunnel = Tunnel::new(TunnelKind::TlsVpn, TunnelRole::Client, "", first);
    tunnel.name = Some("GlobalProtect".into());
    settings(&pairs, &mut tunnel);
    portal(&pairs, &mut tunnel);
    if let Some(root) = document.as_ref().and_then(Document::root).filter(|_| form == Some(Form::Portal)) {
        gateways(reader, root, &mut tunnel);
        routes(reader, root, &mut tunnel);
    }
    if tunnel.peers.is_empty() {
        tunnel.peers.push(Peer::new(first));
    }
    if tunnel.routes.is_empty() {
        // The gateway decides.
        tunnel.unmodelled.push(Unmodelled::routes(first));
        tunnel.settings.push(TunnelSetting { name: "pull".into(), value: String::new(), span: first });
    }
    reader.device.tunnels.push(tunnel);
}

fn value<'p>(pairs: &'p [Pair], key: &str) -> Option<&'p Pair> {
    pairs.iter().rev().find(|p| p.key == key && !p.value.is_empty())
}

fn settings(pairs: &[Pair], tunnel: &mut Tunnel) {
    let is = |key: &str, words: &[&str]| value(pairs, key).filter(|p| words.iter().any(|w| p.value.eq_ignore_ascii_case(w)));
    let mut say =
        |name: &str, value: &str, span: Span| tunnel.settings.push(TunnelSetting { name: name.into(), value: value.into(), span });
    for key in [
        "connect-method",
        "enforce-globalprotect",
        "disable-allowed",
        "agent-user-override",
        "can-change-portal",
        "full-chain-cert-verify",
        "prelogon",
    ] {
        if let Some(pair) = value(pairs, key) {
            say(key, &pair.value, pair.span);
        }
    }
    // Everything is blocked until there is a connection; but a captive portal, where that is allowed for, is let out for so many seconds.
    let exception = value(pairs, "captive-portal-exception-timeout").filter(|p| p.value != "0");
    if let (Some(pair), None) = (is("enforce-globalprotect", &["yes", "1", "true"]), exception) {
        say("kill-switch-v4", "enforce-globalprotect", pair.span);
        say("kill-switch-v6", "enforce-globalprotect", pair.span);
    }
    // 0 saves nothing, 1 name and password, 2 the name only, 3 with a fingerprint.
    let saved = is("save-user-credentials", &["1"])
        .or_else(|| is("can-save-password", &["yes"]).filter(|_| value(pairs, "save-user-credentials").is_none()));
    if let Some(pair) = saved {
        say("RememberCredential", "true", pair.span);
    }
    if let Some(pair) = is("can-continue-if-portal-cert-invalid", &["yes", "1", "true"]) {
        say("accepts-invalid-certificates", &pair.value, pair.span);
    }
    let second = ["portal-2fa", "auto-discovery-external-gateway-2fa", "manual-only-gateway-2fa"];
    tunnel.second_factor = second.iter().find_map(|k| is(k, &["yes"])).map(|p| Fact::written(true, p.span));
}

fn peer(host: &str, at: Span) -> Peer {
    let mut peer = Peer::new(at);
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse().unwrap_or(443)),
        _ => (host, 443),
    };
    peer.endpoint = Some(Endpoint { host: host.to_owned(), port, protocol: 6, span: at });
    peer
}

fn portal(pairs: &[Pair], tunnel: &mut Tunnel) {
    if let Some(pair) = value(pairs, "portal") {
        let hosts = pair.value.split([',', ';']).map(str::trim).filter(|h| !h.is_empty()).take(64);
        tunnel.peers.extend(hosts.map(|h| peer(h.trim_start_matches("https://").trim_end_matches('/'), pair.at)));
    }
}

/// `<gateways><external><list><entry name="gw.acme.example">`.
fn gateways(reader: &mut Reader<'_>, root: Element<'_>, tunnel: &mut Tunnel) {
    let lists = root.descendants().filter(|e| e.name() == "gateways").flat_map(Element::descendants).filter(|e| e.name() == "list");
    for entry in lists.flat_map(Element::children).filter(|e| e.name() == "entry").take(MOST) {
        if let Some(name) = entry.attribute("name") {
            reader.mark(entry.tag_span(), LineState::Understood);
            tunnel.peers.push(peer(&name.value(), name.span()));
        }
    }
}

/// `<access-routes><member>0.0.0.0/0</member>`, `<exclude-access-routes>`, `<dns>`.
fn routes(reader: &mut Reader<'_>, root: Element<'_>, tunnel: &mut Tunnel) {
    for (name, excluded) in
        [("access-routes", false), ("access-routes-v6", false), ("exclude-access-routes", true), ("exclude-access-routes-v6", true)]
    {
        let members = root.descendants().filter(|e| e.name() == name).flat_map(Element::children).filter(|e| e.name() == "member");
        for member in members.take(MOST) {
            let span = member.text_span();
            match member.text().trim().parse::<IpNetwork>() {
                Ok(to) => {
                    reader.mark(member.span(), LineState::Understood);
                    tunnel.routes.push(VpnRoute { to, excluded, span });
                }
                Err(_) => {
                    reader.note(member.span(), LineState::NotModelled, "a route without a destination that could be read");
                    tunnel.unmodelled.push(Unmodelled::routes(span));
                }
            }
        }
    }
    // By domain or by program: which packets these are is not known.
    for element in root.descendants().filter(|e| e.name().contains("split-tunneling") && e.children().next().is_some()) {
        reader.note(element.tag_span(), LineState::NotModelled, "a split tunnel by domain or program");
        tunnel.unmodelled.push(Unmodelled::routes(element.tag_span()));
    }
    for member in root.descendants().filter(|e| e.name() == "dns").flat_map(Element::children).filter(|e| e.name() == "member").take(MOST) {
        let text = member.text().trim().to_owned();
        reader.mark(member.span(), LineState::Understood);
        tunnel.dns.push(Dns { server: text.parse().ok(), text, span: member.text_span() });
    }
}
