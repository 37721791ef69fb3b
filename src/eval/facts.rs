//! What a device is besides its packet filter, fact by fact: tunnels, cryptography, administration, logging, translation, addresses. Two
//! versions are compared by these.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::Side;
use crate::model::{Action, Device, Fact as Known, NatKind, Rule, Translation, Tunnel};
use crate::net::{format_addresses, protocol_name};
use crate::source::{Redactor, Sources, Span};

/// What a fact is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Area {
    /// Tunnels: ends, peers, networks, names.
    Tunnels,
    /// Cryptography that tunnels offer or accept.
    Crypto,
    /// How the device is administered.
    Management,
    /// What is logged, and where to.
    Logging,
    /// Rules that translate addresses.
    Nat,
    /// Interfaces, addresses and routes.
    Network,
    /// Settings of the kernel.
    Settings,
}

impl Area {
    /// All, in the order in which they are shown.
    pub const ALL: [Area; 7] = [Area::Tunnels, Area::Crypto, Area::Management, Area::Logging, Area::Nat, Area::Network, Area::Settings];

    /// The word for it, in JSON too.
    pub fn name(self) -> &'static str {
        match self {
            Area::Tunnels => "tunnels",
            Area::Crypto => "crypto",
            Area::Management => "management",
            Area::Logging => "logging",
            Area::Nat => "nat",
            Area::Network => "network",
            Area::Settings => "settings",
        }
    }
}

/// One thing that is so.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What it is about.
    pub area: Area,
    /// A sentence without a verb; may quote the configuration, and holds no secret that the redactor knows.
    pub text: String,
    /// Where it is written.
    pub span: Option<Span>,
    /// For a rule that logs and decides: what it decides about, so that it is only of interest where the other version has such a rule too.
    rule: Option<String>,
}

/// A fact that only one version has.
#[derive(Clone, Debug)]
pub struct FactChange {
    /// The version that has it.
    pub side: Side,
    /// The fact.
    pub fact: Fact,
}

/// A version with what is needed to quote it.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    /// The device.
    pub device: &'a Device,
    /// Its texts.
    pub sources: &'a Sources,
    /// Hides its secrets.
    pub redactor: &'a Redactor,
}

/// What differs, by area; within one, what went before what came.
pub fn changes(old: Version<'_>, new: Version<'_>) -> Vec<FactChange> {
    // Rules are quoted where both are of one format: the words of another format are others anyway.
    let formats = |v: &Version<'_>| v.device.files.iter().map(|(_, format)| *format).collect::<BTreeSet<_>>();
    let quoted = formats(&old) == formats(&new);
    let [a, b] = [&old, &new].map(|v| {
        let all = facts(v, quoted);
        all.into_iter().map(|f| ((f.area, f.text.clone()), f)).collect::<BTreeMap<_, _>>()
    });
    let gone = a.iter().filter(|(key, _)| !b.contains_key(key)).map(|(_, fact)| FactChange { side: Side::Old, fact: fact.clone() });
    let came = b.iter().filter(|(key, _)| !a.contains_key(key)).map(|(_, fact)| FactChange { side: Side::New, fact: fact.clone() });
    let mut out: Vec<FactChange> = gone.chain(came).collect();
    if out.iter().any(|c| c.fact.rule.is_some()) {
        let [a, b] =
            [&old, &new].map(|v| v.device.chains.iter().flat_map(|c| c.rules.iter().map(|r| decides(&c.name, r))).collect::<BTreeSet<_>>());
        // A rule that came or went altogether is told by its packets.
        out.retain(|c| c.fact.rule.as_ref().is_none_or(|rule| if c.side == Side::Old { b.contains(rule) } else { a.contains(rule) }));
    }
    out.extend(exchanged(&old, &new));
    out.sort_by(|x, y| (x.fact.area, x.side, &x.fact.text).cmp(&(y.fact.area, y.side, &y.fact.text)));
    out
}

/// Keys that are others now: that they are is said, not what they are.
fn exchanged(old: &Version<'_>, new: &Version<'_>) -> Vec<FactChange> {
    let mut before: BTreeMap<(String, String), String> = BTreeMap::new();
    for (title, what, span) in keys(old.device) {
        before.entry((title, what)).or_insert_with(|| old.sources.get(span.file).slice(span).to_owned());
    }
    let mut out = Vec::new();
    for (title, what, span) in keys(new.device) {
        let other = before.get(&(title.clone(), what.clone())).is_some_and(|b| b != new.sources.get(span.file).slice(span));
        if other {
            out.push(FactChange { side: Side::New, fact: fact(Area::Tunnels, format!("{title}: another {what} than before"), span) });
        }
    }
    out
}

/// Secret keys by the title of their tunnel and what they are.
fn keys(device: &Device) -> Vec<(String, String, Span)> {
    let mut out = Vec::new();
    for tunnel in &device.tunnels {
        let title = format!("{} {}", tunnel.kind.name(), tunnel.title());
        out.extend(tunnel.private_key.as_ref().map(|k| (title.clone(), "private key".to_owned(), k.0)));
        for peer in &tunnel.peers {
            let name = peer.name.as_deref().or(peer.public_key.as_ref().map(|k| k.0.as_str())).unwrap_or("unnamed");
            out.extend(peer.preshared_key.as_ref().map(|k| (title.clone(), format!("pre-shared key of {name}"), k.0)));
        }
    }
    out
}

fn decides(chain: &str, rule: &Rule) -> String {
    format!("{chain} {:?} {:?}", rule.matcher, rule.action)
}

/// All facts of a version. `quoted`: rules with their text.
fn facts(version: &Version<'_>, quoted: bool) -> Vec<Fact> {
    let device = version.device;
    let mut out = Vec::new();
    network(device, &mut out);
    management(device, &mut out);
    for tunnel in &device.tunnels {
        tunnel_facts(tunnel, &mut out);
    }
    for setting in &device.settings {
        out.push(fact(Area::Settings, format!("{} is {}", setting.name, setting.value.trim()), setting.span));
    }
    for chain in &device.chains {
        for rule in chain.rules.iter().filter(|r| r.enabled) {
            let text = || match quoted {
                true => {
                    let shown = version.redactor.show(version.sources.get(rule.span.file), rule.span);
                    format!(": {}", shown.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
                }
                false => String::new(),
            };
            if let Action::Nat(translation) = &rule.action {
                out.push(fact(Area::Nat, format!("{}{}", translation_words(translation), text()), rule.span));
            }
            if rule.log {
                let decisive = !matches!(rule.action, Action::Continue);
                let mut fact = fact(Area::Logging, format!("{} logs{}", chain.name, text()), rule.span);
                fact.rule = decisive.then(|| decides(&chain.name, rule));
                out.push(fact);
            }
        }
    }
    out
}

fn fact(area: Area, text: String, span: Span) -> Fact {
    Fact { area, text, span: Some(span), rule: None }
}

fn translation_words(t: &Translation) -> String {
    let kind = match t.kind {
        NatKind::Source => "source",
        NatKind::Destination => "destination",
        NatKind::Masquerade => "masquerade",
        NatKind::Redirect => "redirect",
    };
    let mut out = kind.to_owned();
    if let Some((family, addresses)) = &t.addresses {
        out.push_str(&format!(" to {}", format_addresses(*family, addresses)));
    }
    if let Some(ports) = &t.ports {
        let list: Vec<String> = ports.intervals().iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect();
        out.push_str(&format!(" port {}", list.join(",")));
    }
    if t.unknown {
        out.push_str(" to something that is not known");
    }
    out
}

fn network(device: &Device, out: &mut Vec<Fact>) {
    for interface in device.interfaces.iter().flatten() {
        let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
        let up = if interface.up == Some(false) { " (down)" } else { "" };
        let more = if interface.dynamic.is_empty() { "" } else { " and addresses that are not known" };
        out.push(fact(Area::Network, format!("interface {}{up} {}{more}", interface.name, addresses.join(", ")), interface.span));
    }
    let on = |name: &Option<String>| name.as_deref().map_or_else(String::new, |d| format!(" on {d}"));
    for route in device.routes.iter().flatten() {
        let via = route.via.map_or_else(String::new, |v| format!(" via {v}"));
        out.push(fact(Area::Network, format!("route {}{via}{}", route.to, on(&route.interface)), route.span));
    }
    for (table, route) in &device.other_routes {
        out.push(fact(Area::Network, format!("route {}{} (table {table})", route.to, on(&route.interface)), route.span));
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `, by default`, for what nobody wrote.
fn default<T>(fact: &Known<T>) -> &'static str {
    if fact.default { ", by default" } else { "" }
}

fn management(device: &Device, out: &mut Vec<Fact>) {
    let m = &device.management;
    for service in &m.services {
        let mut text = format!("{} {}", service.protocol.name(), service.name);
        if !service.versions.is_empty() {
            text.push_str(&format!(" version {}", service.versions.join(", ")));
        }
        if let Some(port) = service.port {
            text.push_str(&format!(" port {port}"));
        }
        if let Some(on) = &service.interfaces {
            let names: Vec<String> = on.iter().map(|p| format!("{}{}", p.name, if p.wildcard { "*" } else { "" })).collect();
            text.push_str(&format!(" on {}", if names.is_empty() { "no interface".to_owned() } else { names.join(", ") }));
        }
        if let Some(from) = &service.from {
            text.push_str(&format!(" from {}", if from.is_empty() { "nowhere".to_owned() } else { list(from) }));
        }
        if let Some(idle) = &service.idle_timeout {
            let what = idle.value.map_or_else(|| "idle sessions never end".to_owned(), |s| format!("idle sessions end after {s} s"));
            text.push_str(&format!(", {what}{}", default(idle)));
        }
        out.push(fact(Area::Management, text, service.span));
    }
    for account in &m.accounts {
        let from = account.from.as_ref().map_or_else(String::new, |f| format!(" from {}", list(f)));
        let factor = match account.second_factor {
            Some(true) => " with a second factor",
            Some(false) => " without a second factor",
            None => "",
        };
        let shipped = if account.default_password == Some(true) { " with the password that it was shipped with" } else { "" };
        out.push(fact(Area::Management, format!("administrator {}{factor}{shipped}{from}", account.name), account.span));
    }
    if let Some(lockout) = &m.lockout {
        let attempts = lockout.value.attempts.map_or_else(|| "never".to_owned(), |n| format!("after {n} attempts"));
        let seconds = lockout.value.seconds.map_or_else(String::new, |s| format!(" for {s} s"));
        out.push(fact(Area::Management, format!("accounts are locked {attempts}{seconds}{}", default(lockout)), lockout.span));
    }
    for mapping in &m.port_mapping {
        out.push(fact(Area::Management, format!("port mapping {}{}", mapping.value, default(mapping)), mapping.span));
    }
    for host in m.log_hosts.iter().flatten() {
        let how = match host.encrypted {
            Some(true) => ", encrypted",
            Some(false) => ", not encrypted",
            None => "",
        };
        out.push(fact(Area::Logging, format!("logs to {}{how}", host.text), host.span));
    }
}

fn tunnel_facts(tunnel: &Tunnel, out: &mut Vec<Fact>) {
    let title = format!("{} {}", tunnel.kind.name(), tunnel.title());
    let mut say = |text: String, span| out.push(fact(Area::Tunnels, format!("{title}: {text}"), span));
    say(format!("{:?} on {}", tunnel.role, tunnel.interface).to_lowercase(), tunnel.span);
    if let Some((protocol, port, span)) = tunnel.listen {
        let protocol = protocol_name(protocol).map_or_else(|| protocol.to_string(), str::to_owned);
        say(format!("listens on {protocol} port {port}"), span);
    }
    for (address, span) in &tunnel.addresses {
        say(format!("address {address}"), *span);
    }
    for dns in &tunnel.dns {
        say(format!("name server {}", dns.text), dns.span);
    }
    for route in &tunnel.routes {
        say(format!("route {}{}", route.to, if route.excluded { " (kept out)" } else { "" }), route.span);
    }
    for peer in &tunnel.peers {
        let key = peer.public_key.as_ref().map(|k| k.0.as_str());
        let name = peer.name.as_deref().or(key).unwrap_or("unnamed");
        let at = peer.endpoint.as_ref().map_or_else(String::new, |e| format!(" at {} port {}", e.host, e.port));
        let psk = if peer.preshared_key.is_some() { " with a pre-shared key" } else { "" };
        let allowed: Vec<String> = peer.allowed.iter().map(|(n, _)| n.to_string()).collect();
        say(format!("peer {name}{at}{psk} {}", allowed.join(", ")).trim_end().to_owned(), peer.span);
        if let (Some(_), Some(key)) = (&peer.name, key) {
            say(format!("peer {name} has the public key {key}"), peer.span);
        }
    }
    for s in &tunnel.selectors {
        let side = |nets: &[ipnetwork::IpNetwork]| if nets.is_empty() { "anything".to_owned() } else { list(nets) };
        say(format!("takes {} to {}", side(&s.local), side(&s.remote)), s.span);
    }
    if let Some(factor) = &tunnel.second_factor {
        let word = if factor.value { "asks for a second factor" } else { "asks for no second factor" };
        say(format!("{word}{}", default(factor)), factor.span);
    }
    for s in &tunnel.settings {
        say(format!("{} {}", s.name, s.value).trim_end().to_owned(), s.span);
    }
    for offer in &tunnel.crypto {
        let how = match (offer.default, offer.perhaps) {
            (_, true) => ", by default of some versions",
            (true, false) => ", by default",
            (false, false) => "",
        };
        let layer = if offer.layer.name().is_empty() { String::new() } else { format!(" for the {}", offer.layer.name()) };
        let usage = usage(offer.usage);
        out.push(fact(Area::Crypto, format!("{title}: {usage} {}{layer}{how}", offer.name), offer.span));
    }
}

fn usage(of: crate::model::CryptoUse) -> &'static str {
    use crate::model::CryptoUse as Use;
    match of {
        Use::Cipher => "cipher",
        Use::Digest => "digest",
        Use::KeyExchange => "key exchange",
        Use::TlsVersion => "least TLS version",
        Use::TlsCipher => "TLS cipher suite",
        Use::KeySize => "key size",
        Use::Compression => "compression",
        Use::IkeVersion => "IKE version",
        Use::Prf => "pseudo-random function",
        Use::Authentication => "authentication by",
    }
}
