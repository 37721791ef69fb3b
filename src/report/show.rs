//! The vendor-neutral model of what was read, for people and for programs.

use std::fmt::Write as _;

use colored::Colorize as _;
use serde_json::{Map, Value, json};

use super::{Lines, Untrusted, counted, json::safe};
use crate::model::{Action, BaseChain, Device, Direction, Effect, Fact, Management, Match, NamedSet, PolicyAction, Rule, SetValue, Tunnel};
use crate::net::{Family, Ranges, format_addresses};
use crate::source::{Redactor, Span};

/// Name and version of the JSON shape.
pub const SCHEMA: &str = "fwproof-model/1";

/// Elements of a set that the text form shows.
const ELEMENTS: usize = 8;

/// The devices as text.
pub fn text(devices: &[Device], lines: &Lines<'_>) -> String {
    let mut out = String::new();
    for device in devices {
        let _ = writeln!(out, "{}", format!("device {}", Untrusted(&device.name)).bold());
        if let Some((name, span)) = &device.hostname {
            let _ = writeln!(out, "  calls itself {} ({})", Untrusted(name), lines.locate(*span));
        }
        for (file, format) in &device.files {
            let _ = writeln!(out, "  file {} ({format})", Untrusted(&lines.file(*file).path));
        }
        network(&mut out, device);
        for base in &device.base_chains {
            let _ = writeln!(out, "  {}", base_words(device, base));
        }
        for chain in &device.chains {
            let _ = writeln!(out, "  chain {} ({})", Untrusted(&chain.name), counted(chain.rules.len(), "rule", "rules"));
            for rule in &chain.rules {
                // The line of a rule that nobody wrote is what brings it about.
                let implied = rule.implied.map_or_else(String::new, |what| format!(" ({what})"));
                let does = Untrusted(&action(device, &rule.action)).to_string();
                let _ = writeln!(out, "    {does:<28} {}{implied}", lines.line(rule.span).0.trim());
            }
        }
        for set in &device.sets {
            let shown: Vec<String> = set.elements.iter().take(ELEMENTS).map(|e| element(&e.values).join(" . ")).collect();
            let more = if set.elements.len() > ELEMENTS { ", …" } else { "" };
            let dynamic = if set.dynamic { ", filled while running" } else { "" };
            let n = counted(set.elements.len(), "element", "elements");
            let _ = writeln!(out, "  set {} ({n}{dynamic}): {}{more}", Untrusted(&set.name), Untrusted(&shown.join(", ")));
        }
        for tunnel in &device.tunnels {
            tunnel_text(&mut out, tunnel);
        }
        management_text(&mut out, device);
        for i in 0..device.conditions.len() {
            let (text, span) = device.conditions.get(crate::model::ConditionId(i as u32));
            let _ = writeln!(out, "  condition {} ({})", Untrusted(text), lines.locate(span));
        }
        out.push('\n');
    }
    out
}

fn network(out: &mut String, device: &Device) {
    for interface in device.interfaces.iter().flatten() {
        let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
        let up = match interface.up {
            Some(false) => " (down)",
            _ => "",
        };
        let called = if interface.aliases.is_empty() { String::new() } else { format!(" ({})", Untrusted(&interface.aliases.join(", "))) };
        let more = if interface.dynamic.is_empty() { "" } else { " and addresses that are not known" };
        let _ = writeln!(out, "  interface {}{called}{up} {}{more}", Untrusted(&interface.name), addresses.join(", "));
    }
    for route in device.routes.iter().flatten() {
        let via = route.via.map_or_else(String::new, |v| format!(" via {v}"));
        let dev = route.interface.as_deref().map_or_else(String::new, |d| format!(" on {}", Untrusted(d)));
        let _ = writeln!(out, "  route {}{via}{dev}", route.to);
    }
    for (table, route) in &device.other_routes {
        let dev = route.interface.as_deref().map_or_else(String::new, |d| format!(" on {}", Untrusted(d)));
        let _ = writeln!(out, "  route {}{dev} (table {})", route.to, Untrusted(table));
    }
}

/// Seconds of idleness in words.
fn idle(timeout: Option<&Fact<Option<u32>>>) -> String {
    match timeout.map(|f| f.value) {
        None => String::new(),
        Some(None) => ", idle sessions never end".into(),
        Some(Some(s)) => format!(", idle sessions end after {s} s"),
    }
}

fn management_text(out: &mut String, device: &Device) {
    let management = &device.management;
    for service in &management.services {
        let on = service.interfaces.as_ref().map_or_else(String::new, |list| {
            let names: Vec<String> = list.iter().map(pattern).collect();
            format!(" on {}", names.join(", "))
        });
        let port = service.port.map_or_else(String::new, |p| format!(" port {p}"));
        let versions = if service.versions.is_empty() { String::new() } else { format!(" version {}", service.versions.join(", ")) };
        let from = service.from.as_ref().map_or_else(String::new, |list| format!(" from {}", networks(list).join(", ")));
        let line = format!("{} {}{versions}{port}{on}{from}{}", service.protocol.name(), service.name, idle(service.idle_timeout.as_ref()));
        let _ = writeln!(out, "  management {}", Untrusted(&line));
    }
    for account in &management.accounts {
        let from = account.from.as_ref().map_or_else(String::new, |list| format!(" from {}", networks(list).join(", ")));
        let factor = match account.second_factor {
            Some(true) => " with a second factor",
            Some(false) => " without a second factor",
            None => "",
        };
        let _ = writeln!(out, "  administrator {}{factor}{from}", Untrusted(&account.name));
    }
    for host in management.log_hosts.iter().flatten() {
        let _ = writeln!(out, "  logs to {}", Untrusted(&host.text));
    }
}

fn networks(list: &[ipnetwork::IpNetwork]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn base_words(device: &Device, base: &BaseChain) -> String {
    let families: Vec<&str> = base.families.iter().map(|f| f.name()).collect();
    let nat = if base.nat { ", nat" } else { "" };
    let name = device.chains.get(base.chain.0 as usize).map_or("?", |c| c.name.as_str());
    format!(
        "hook {} {} priority {}{nat}: chain {}, policy {}",
        base.hook.name(),
        families.join("+"),
        base.priority,
        Untrusted(name),
        policy(base.policy.action)
    )
}

fn tunnel_text(out: &mut String, tunnel: &Tunnel) {
    let role = format!("{:?}", tunnel.role).to_lowercase();
    let listen = tunnel.listen.map_or_else(String::new, |(proto, port, _)| format!(", listens on {} port {port}", protocol(proto)));
    let _ = writeln!(out, "  {} {role} {}{listen}", tunnel.kind.name(), Untrusted(tunnel.title()));
    for route in &tunnel.routes {
        let _ = writeln!(out, "    route {}{}", route.to, if route.excluded { " (kept out)" } else { "" });
    }
    for peer in &tunnel.peers {
        let allowed: Vec<String> = peer.allowed.iter().map(|(n, _)| n.to_string()).collect();
        let name = peer.name.as_deref().or(peer.public_key.as_ref().map(|k| k.0.as_str())).unwrap_or("unnamed");
        let at = peer.endpoint.as_ref().map_or_else(String::new, |e| format!(" at {} port {}", Untrusted(&e.host), e.port));
        let _ = writeln!(out, "    peer {}{at} {}", Untrusted(name), allowed.join(", "));
    }
}

fn protocol(n: u8) -> String {
    crate::net::protocol_name(n).map_or_else(|| n.to_string(), str::to_owned)
}

fn policy(action: PolicyAction) -> &'static str {
    match action {
        PolicyAction::Accept => "accept",
        PolicyAction::Drop => "drop",
        PolicyAction::Unknown => "unknown",
    }
}

fn action(device: &Device, action: &Action) -> String {
    let name = |id: &crate::model::ChainId| device.chains.get(id.0 as usize).map_or("?", |c| c.name.as_str());
    match action {
        Action::Accept => "accept".into(),
        Action::Drop => "drop".into(),
        Action::Reject(how) => format!("reject {how}"),
        Action::Return => "return".into(),
        Action::Jump(id) => format!("jump {}", name(id)),
        Action::Goto(id) => format!("goto {}", name(id)),
        Action::Continue => "continue".into(),
        Action::Nat(t) => format!("nat {}", format!("{:?}", t.kind).to_lowercase()),
        Action::Opaque(what) => format!("unknown ({what})"),
    }
}

/// The devices as one JSON document, with a line end at the end.
pub fn json(devices: &[Device], lines: &Lines<'_>, redactor: &Redactor) -> String {
    let list: Vec<Value> = devices.iter().map(|d| device_json(d, lines)).collect();
    let doc = json!({ "schema": SCHEMA, "devices": list });
    let text = serde_json::to_string_pretty(&doc).unwrap_or_default();
    safe(&redactor.scrub(&text)) + "\n"
}

fn device_json(device: &Device, lines: &Lines<'_>) -> Value {
    let at = |span: Span| place(lines, span);
    json!({
        "name": device.name,
        "hostname": device.hostname.as_ref().map(|h| &h.0),
        "files": device.files.iter().map(|(f, format)| json!({ "path": lines.file(*f).path, "format": format })).collect::<Vec<_>>(),
        "interfaces": device.interfaces.as_ref().map(|list| list.iter().map(|i| json!({
            "name": i.name, "up": i.up, "at": at(i.span),
            "addresses": i.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>()),
        "routes": device.routes.as_ref().map(|list| list.iter().map(|r| json!({
            "to": r.to.to_string(), "interface": r.interface, "via": r.via.map(|v| v.to_string()),
            "metric": r.metric, "kind": r.kind, "at": at(r.span),
        })).collect::<Vec<_>>()),
        "hooks": device.base_chains.iter().map(|b| json!({
            "hook": b.hook.name(), "priority": b.priority, "nat": b.nat, "policy": policy(b.policy.action),
            "families": b.families.iter().map(|f| f.name()).collect::<Vec<_>>(),
            "chain": device.chains.get(b.chain.0 as usize).map(|c| &c.name),
            "interfaces": b.devices.iter().map(pattern).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "chains": device.chains.iter().map(|c| json!({
            "name": c.name, "at": at(c.span),
            "rules": c.rules.iter().map(|r| rule(device, r, lines)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "sets": device.sets.iter().map(|s| set(s, lines)).collect::<Vec<_>>(),
        "tunnels": device.tunnels.iter().map(|t| tunnel(t, lines)).collect::<Vec<_>>(),
        "settings": device.settings.iter().map(|s| json!({ "name": s.name, "value": s.value, "at": at(s.span) })).collect::<Vec<_>>(),
        "management": management(&device.management, lines),
    })
}

fn management(m: &Management, lines: &Lines<'_>) -> Value {
    let at = |span| place(lines, span);
    json!({
        "services": m.services.iter().map(|s| json!({
            "protocol": s.protocol.name(), "name": s.name, "versions": s.versions, "port": s.port,
            "interfaces": s.interfaces.as_ref().map(|l| l.iter().map(pattern).collect::<Vec<_>>()),
            "from": s.from.as_deref().map(networks),
            "idle_timeout": s.idle_timeout.as_ref().map(|f| json!({ "seconds": f.value, "default": f.default })),
            "at": at(s.span),
        })).collect::<Vec<_>>(),
        "accounts": m.accounts.iter().map(|a| json!({
            "name": a.name, "shipped": a.shipped, "default_password": a.default_password,
            "from": a.from.as_deref().map(networks), "second_factor": a.second_factor, "at": at(a.span),
        })).collect::<Vec<_>>(),
        "lockout": m.lockout.as_ref().map(|f| json!({ "attempts": f.value.attempts, "seconds": f.value.seconds, "default": f.default })),
        "port_mapping": m.port_mapping.iter().map(|f| &f.value).collect::<Vec<_>>(),
        "log_hosts": m.log_hosts.as_ref().map(|l| l.iter().map(|h| json!({ "host": h.text, "encrypted": h.encrypted })).collect::<Vec<_>>()),
    })
}

fn place(lines: &Lines<'_>, span: Span) -> Value {
    let file = lines.file(span.file);
    let place = file.place(span.start.min(file.text.len() as u32));
    json!({ "file": file.path, "line": place.line, "column": place.column })
}

fn rule(device: &Device, rule: &Rule, lines: &Lines<'_>) -> Value {
    json!({
        "at": place(lines, rule.span),
        "match": matcher(device, &rule.matcher),
        "effects": rule.effects.iter().map(effect).collect::<Vec<_>>(),
        "action": action(device, &rule.action),
        "log": rule.log,
        "enabled": rule.enabled,
        "comment": rule.comment,
        "name": rule.name,
        "implied": rule.implied,
        "packets": rule.packets,
    })
}

fn effect(effect: &Effect) -> Value {
    match effect {
        Effect::Set(field, value) => json!({ "set": field.name(), "to": number(*value) }),
        Effect::SetBits { field, mask, value, xor } => {
            json!({ "set": field.name(), "mask": number(*mask), "to": number(*value), "xor": xor })
        }
        Effect::Copy { from, to } => json!({ "set": to.name(), "from": from.name() }),
        Effect::Unknown(field) => json!({ "set": field.name(), "to": null }),
        Effect::Untrack => json!("untrack"),
    }
}

/// Numbers above 2^53 as text, as most readers of JSON lose them otherwise.
fn number(n: u128) -> Value {
    match u64::try_from(n) {
        Ok(small) if small < 1 << 53 => json!(small),
        _ => json!(n.to_string()),
    }
}

fn ranges(set: &Ranges) -> Value {
    set.intervals().iter().map(|(a, b)| if a == b { number(*a) } else { json!([number(*a), number(*b)]) }).collect()
}

fn pattern(p: &crate::model::NamePattern) -> String {
    format!("{}{}", p.name, if p.wildcard { "*" } else { "" })
}

/// Depth is bounded by the nesting that readers allow.
fn matcher(device: &Device, m: &Match) -> Value {
    let one = |key: &str, value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    match m {
        Match::Any => json!("any"),
        Match::Never => json!("never"),
        Match::Family(f) => one("family", json!(f.name())),
        Match::Field(field, set) => one(field.name(), ranges(set)),
        Match::Address(field, family, set) => one(field.name(), addresses(*family, set)),
        Match::Interface(Direction::In, p) => one("iif", json!(pattern(p))),
        Match::Interface(Direction::Out, p) => one("oif", json!(pattern(p))),
        Match::InSet { set, fields, .. } => json!({ "set": &**set, "fields": fields.iter().map(|f| f.name()).collect::<Vec<_>>() }),
        Match::Opaque(id) => {
            let known = (id.0 as usize) < device.conditions.len();
            one("condition", if known { json!(device.conditions.get(*id).0) } else { Value::Null })
        }
        Match::Not(inner) => one("not", matcher(device, inner)),
        Match::All(list) => one("all", list.iter().map(|m| matcher(device, m)).collect()),
        Match::AnyOf(list) => one("any_of", list.iter().map(|m| matcher(device, m)).collect()),
    }
}

fn addresses(family: Family, set: &Ranges) -> Value {
    set.intervals().iter().map(|(a, b)| json!(crate::net::format_interval(family, *a, *b))).collect()
}

fn set(set: &NamedSet, lines: &Lines<'_>) -> Value {
    json!({
        "name": &*set.name,
        "at": place(lines, set.span),
        "dynamic": set.dynamic,
        "elements": set.elements.iter().map(|e| json!({ "values": element(&e.values), "excluded": e.excluded })).collect::<Vec<_>>(),
    })
}

fn element(values: &[SetValue]) -> Vec<String> {
    values
        .iter()
        .map(|v| match v {
            SetValue::Any => "any".to_owned(),
            SetValue::Address(family, set) => format_addresses(*family, set),
            SetValue::Number(set) => numbers(set),
            SetValue::Interface(p) => pattern(p),
            SetValue::Service(proto, None) => protocol(*proto),
            SetValue::Service(proto, Some((_, set))) => format!("{}/{}", protocol(*proto), numbers(set)),
        })
        .collect()
}

fn numbers(set: &Ranges) -> String {
    let parts: Vec<String> = set.intervals().iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect();
    parts.join(",")
}

fn tunnel(t: &Tunnel, lines: &Lines<'_>) -> Value {
    json!({
        "kind": t.kind.name(),
        "role": format!("{:?}", t.role).to_lowercase(),
        "interface": t.interface,
        "name": t.name,
        "at": place(lines, t.span),
        "addresses": t.addresses.iter().map(|(a, _)| a.to_string()).collect::<Vec<_>>(),
        "dns": t.dns.iter().map(|d| &d.text).collect::<Vec<_>>(),
        "listen": t.listen.map(|(proto, port, _)| json!({ "protocol": protocol(proto), "port": port })),
        "public_key": t.public_key.as_ref().map(|k| &k.0),
        "routes": t.routes.iter().map(|r| json!({ "to": r.to.to_string(), "excluded": r.excluded })).collect::<Vec<_>>(),
        "peers": t.peers.iter().map(|p| json!({
            "name": p.name,
            "public_key": p.public_key.as_ref().map(|k| &k.0),
            "preshared_key": p.preshared_key.is_some(),
            "endpoint": p.endpoint.as_ref().map(|e| json!({ "host": e.host, "port": e.port, "protocol": protocol(e.protocol) })),
            "allowed": p.allowed.iter().map(|(n, _)| n.to_string()).collect::<Vec<_>>(),
            "keepalive": p.keepalive,
            "at": place(lines, p.span),
        })).collect::<Vec<_>>(),
        "crypto": t.crypto.iter().map(|c| json!({
            "for": format!("{:?}", c.usage), "layer": c.layer.name(), "name": c.name, "default": c.default,
        })).collect::<Vec<_>>(),
        "selectors": t.selectors.iter().map(|s| json!({ "local": networks(&s.local), "remote": networks(&s.remote) })).collect::<Vec<_>>(),
        "second_factor": t.second_factor.as_ref().map(|f| f.value),
        "settings": t.settings.iter().map(|s| json!({ "name": s.name, "value": s.value })).collect::<Vec<_>>(),
    })
}
