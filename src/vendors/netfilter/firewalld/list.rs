//! What `firewall-cmd --list-all-zones`, `--list-all-policies` and `--list-all` print.

use super::files::Config;
use super::objects::{Body, IpSet, Said, Service, Target, addresses, forward_port, place, port, protocol};
use super::rich;
use super::settings::Settings;
use crate::diag::LineState;
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// What a listing shows besides its zones and policies.
#[derive(Default)]
pub(super) struct Shown {
    pub policies: bool,
}

/// Keys of a listing, of any version, without the colon.
const KEYS: &[&str] = &[
    "target",
    "icmp-block-inversion",
    "interfaces",
    "sources",
    "services",
    "ports",
    "protocols",
    "forward",
    "masquerade",
    "forward-ports",
    "source-ports",
    "icmp-blocks",
    "rich rules",
    "priority",
    "ingress-zones",
    "egress-zones",
    "ingress-priority",
    "egress-priority",
    "summary",
    "description",
    // Of a service.
    "modules",
    "destination",
    "includes",
    "helpers",
    // Of an ip set.
    "type",
    "options",
    "entries",
];

/// What a block of a listing is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Zone,
    Policy,
    Service,
    Set,
}

/// A block of a listing.
struct Block {
    sort: Sort,
    body: Body,
    /// Of `--info-service`.
    service: Service,
    /// Of `--info-ipset`.
    set: Option<IpSet>,
    /// Anything stands below its name: else it is what `--get-default-zone` prints.
    any: bool,
}

/// The key and value of an indented line.
pub(super) fn entry(line: &str) -> Option<(&str, &str)> {
    if !line.starts_with([' ', '\t']) {
        return None;
    }
    let (key, value) = line.trim().split_once(':')?;
    KEYS.contains(&key).then_some((key, value.trim()))
}

/// The name and the words in parentheses of a line that begins a zone or policy.
pub(super) fn heading(line: &str) -> Option<(&str, &str)> {
    if line.starts_with([' ', '\t', '#', '<']) || line.trim().is_empty() {
        return None;
    }
    let line = line.trim();
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let marks = match rest {
        "" => "",
        _ => rest.strip_prefix('(')?.strip_suffix(')')?,
    };
    let plain = name.chars().all(|c| c.is_alphanumeric() || "_-/.".contains(c));
    (plain && marks.split(',').all(|m| matches!(m.trim(), "" | "active" | "default"))).then_some((name, marks))
}

/// Reads a listing.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile, config: &mut Config, settings: &mut Settings) -> Shown {
    let mut shown = Shown::default();
    let mut current: Option<Block> = None;
    let mut last = "";
    for line in 0..file.line_count() {
        let whole = file.line_span(line);
        let text = file.slice(whole);
        let trimmed = text.trim();
        let start = whole.start as usize + text.len() - text.trim_start().len();
        let span = Span::new(file.id, start, start + trimmed.len());
        if trimmed.is_empty() {
            continue;
        }
        if let Some((name, marks)) = heading(text) {
            finish(config, settings, current.take(), &mut shown);
            reader.mark(whole, LineState::Understood);
            if marks.split(',').any(|m| m.trim() == "default") {
                settings.read = true;
                settings.default_zone = Some(Said { value: name.to_owned(), span });
                settings.span = span;
            }
            let body = Body::new(name, span, Target::Default);
            current = Some(Block { sort: Sort::Zone, body, service: Service::default(), set: None, any: false });
            last = "";
            continue;
        }
        let Some(block) = &mut current else {
            reader.note(whole, LineState::Unrecognised, "this is no part of a listing of firewalld");
            continue;
        };
        reader.mark(whole, LineState::Understood);
        match entry(text) {
            Some((key, value)) => {
                block.any = true;
                last = KEYS.iter().copied().find(|k| *k == key).unwrap_or("");
                match last {
                    "priority" | "ingress-zones" | "egress-zones" => block.sort = Sort::Policy,
                    "modules" | "destination" | "includes" | "helpers" => block.sort = Sort::Service,
                    "type" | "options" | "entries" => block.sort = Sort::Set,
                    _ => {}
                }
                take(reader, block, last, value, span);
            }
            // Forwarded ports and rich rules stand on lines of their own; long lists do not break.
            None if matches!(last, "forward-ports" | "rich rules") => take(reader, block, last, trimmed, span),
            None => reader.note(whole, LineState::Unrecognised, "this is no part of a listing of firewalld"),
        }
    }
    finish(config, settings, current, &mut shown);
    shown
}

fn finish(config: &mut Config, settings: &mut Settings, block: Option<Block>, shown: &mut Shown) {
    let Some(Block { sort, body, mut service, set, any }) = block else { return };
    if !any {
        settings.read = true;
        settings.span = body.span;
        settings.default_zone = Some(Said { value: body.name, span: body.span });
        return;
    }
    match sort {
        Sort::Policy => {
            shown.policies = true;
            config.policies.push(body);
        }
        Sort::Zone => config.zones.push(body),
        Sort::Service => {
            service.ports = body.ports.into_iter().map(|p| p.value).collect();
            service.source_ports = body.source_ports.into_iter().map(|p| p.value).collect();
            service.protocols = body.protocols.into_iter().map(|p| p.value).collect();
            config.services.push((body.name, service));
        }
        Sort::Set => config.sets.extend(set),
    }
}

fn take(reader: &mut Reader<'_>, block: &mut Block, key: &'static str, value: &str, span: Span) {
    let Block { body, service, set, .. } = block;
    let said = |value: &str| Said { value: value.to_owned(), span };
    let mut bad = |what: &str| {
        let text = format!("`{what}` is not understood here");
        reader.note(span, LineState::Unrecognised, text);
    };
    let yes = value == "yes";
    let words = value.split_ascii_whitespace();
    match key {
        "target" => match Target::of(value) {
            Some(target) => body.target = target,
            None => bad(value),
        },
        "priority" | "ingress-priority" => match value.parse() {
            Ok(n) => body.priority = n,
            Err(_) => bad(value),
        },
        "icmp-block-inversion" => body.inversion = yes.then_some(span),
        "forward" => body.forward = yes.then_some(span),
        "masquerade" => body.masquerade = yes.then_some(span),
        "interfaces" => body.interfaces.extend(words.map(|w| said(&w.replace('+', "*")))),
        "sources" => {
            for word in words {
                match place(word) {
                    Some(value) => body.sources.push(Said { value, span }),
                    None => bad(word),
                }
            }
        }
        "services" => body.services.extend(words.map(said)),
        "icmp-blocks" => body.icmp_blocks.extend(words.map(said)),
        "ingress-zones" => body.ingress.extend(words.map(said)),
        "egress-zones" => body.egress.extend(words.map(said)),
        "ports" | "source-ports" => {
            for word in words {
                match word.split_once('/').and_then(|(p, proto)| port(p, proto)) {
                    Some(value) if key == "ports" => body.ports.push(Said { value, span }),
                    Some(value) => body.source_ports.push(Said { value, span }),
                    None => bad(word),
                }
            }
        }
        "protocols" => {
            for word in words {
                match protocol(word) {
                    Some(value) => body.protocols.push(Said { value, span }),
                    None => bad(word),
                }
            }
        }
        "forward-ports" => {
            // `port=80:proto=tcp:toport=8080:toaddr=192.0.2.1`; an IPv6 address has colons itself, and stands last.
            for word in words {
                let (head, address) = word.split_once(":toaddr=").unwrap_or((word, ""));
                let get = |name: &str| head.split(':').find_map(|p| p.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
                match forward_port(get("port"), get("proto"), get("toport"), address) {
                    Some(value) => body.forward_ports.push(Said { value, span }),
                    None => bad(word),
                }
            }
        }
        "includes" => service.includes.extend(words.map(str::to_owned)),
        "destination" => {
            for word in words {
                let address = word.strip_prefix("ipv4:").or_else(|| word.strip_prefix("ipv6:"));
                match address.and_then(addresses) {
                    Some(found) => service.destinations.push(found),
                    // Of an ICMP type: its families.
                    None if matches!(word, "ipv4" | "ipv6") => {}
                    None => bad(word),
                }
            }
        }
        "type" => match value.strip_prefix("hash:") {
            Some(parts) => {
                let parts = parts.split(',').map(str::to_owned).collect();
                let name = body.name.clone();
                *set = Some(IpSet { name, span: body.span, parts, family: Family::V4, timeout: false, entries: vec![] });
            }
            None => bad(value),
        },
        "options" | "entries" => {
            let Some(set) = set else {
                if !value.is_empty() {
                    bad(value);
                }
                return;
            };
            for word in words {
                match (key, word.split_once('=')) {
                    ("entries", _) => set.entries.push(said(word)),
                    (_, Some(("family", family))) => set.family = if family == "inet6" { Family::V6 } else { Family::V4 },
                    (_, Some(("timeout", time))) => set.timeout = time != "0",
                    _ => {}
                }
            }
        }
        "rich rules" if !value.is_empty() => {
            let rule = rich::parse(value, span);
            if let Some(what) = &rule.unknown {
                reader.note(span, LineState::NotModelled, format!("{what} in this rich rule is not understood"));
            }
            body.rules.push(rule);
        }
        _ => {}
    }
}
