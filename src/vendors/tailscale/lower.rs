//! The rules of a policy to one chain.

use super::selector::{Defined, POSTURE, Selector, is_selectors};
use super::wishes;
use crate::diag::LineState;
use crate::model::{Action, BaseChain, Chain, ChainId, Hook, Match, Policy, PolicyAction, Rule};
use crate::net::{Family, Ranges, protocol_number};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;
use crate::syntax::json::{self, Property, Value};
use crate::vendors::Reader;

/// Rules that a policy may have.
const MOST: usize = 100_000;

/// TCP, UDP and ICMP: what a rule without a protocol is about.
const USUAL: [u128; 4] = [6, 17, 1, 58];
const ICMP: [u128; 2] = [1, 58];

/// A rule as written, for the tests of the policy too.
pub(super) struct Access {
    pub src: Vec<(String, Selector)>,
    /// Destinations with their traffic.
    pub dst: Vec<(String, Selector)>,
    pub traffic: Vec<Traffic>,
    /// Something more is asked (a posture).
    pub conditional: bool,
}

/// Protocols and ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Traffic {
    pub protocols: Vec<u128>,
    /// Every protocol.
    pub any: bool,
    /// `None`: every port.
    pub ports: Option<Ranges>,
}

impl Traffic {
    /// Packets of it. Where a rule lets anything from one address to another, it lets ICMP too (`matchIPsOnly` of the client's filter).
    fn matcher(&self) -> Match {
        if self.any && self.ports.is_none() {
            return Match::Any;
        }
        let icmp = Match::Field(Field::Proto, Ranges::from_values(ICMP));
        let own = Ranges::from_values(self.protocols.iter().copied().filter(|p| !ICMP.contains(p)));
        let ported = match &self.ports {
            None => Match::Field(Field::Proto, own.clone()),
            Some(ports) => Match::all(vec![Match::Field(Field::Proto, own.clone()), Match::Field(Field::Dport, ports.clone())]),
        };
        if own.is_empty() { icmp } else { Match::any_of(vec![ported, icmp]) }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let Some(policy) = json::read(file) else {
        return reader.incomplete(file.whole(), LineState::Unrecognised, "this is not HuJSON");
    };
    reader.mark(file.whole(), LineState::Irrelevant);
    let defined = Defined::read(reader, &policy);
    for property in policy.properties() {
        top(reader, property);
    }
    let mut rules = vec![answers(policy.span)];
    let mut accesses: Vec<Access> = Vec::new();
    let default_posture = policy.get("defaultSrcPosture").map(Value::list).unwrap_or_default();
    for (section, grants) in [("acls", false), ("grants", true)] {
        for rule in policy.get(section).map(Value::list).unwrap_or_default().into_iter().take(MOST) {
            lower(reader, &defined, rule, grants, &default_posture, &mut rules, &mut accesses);
        }
    }
    // Without both sections everything is allowed; with one that is empty nothing ("acls").
    let written = policy.get("acls").is_some() || policy.get("grants").is_some();
    let action = if written { PolicyAction::Drop } else { PolicyAction::Accept };
    let span = policy.get("acls").or_else(|| policy.get("grants")).map_or(policy.span, |v| Span { end: v.span.start + 1, ..v.span });
    let chain = ChainId(reader.device.chains.len() as u32);
    reader.device.chains.push(Chain { name: "tailnet policy".into(), span: policy.span, rules });
    reader.device.base_chains.push(BaseChain {
        chain,
        hook: Hook::Forward,
        priority: 0,
        families: Family::BOTH.to_vec(),
        nat: false,
        policy: Policy { action, span },
        devices: Vec::new(),
    });
    wishes::judge(reader, &defined, &policy, &accesses);
    for (section, fields) in [("ssh", ["src", "dst"]), ("nodeAttrs", ["target", "app"])] {
        for rule in policy.get(section).map(Value::list).unwrap_or_default() {
            for field in fields {
                uses(reader, &defined, rule.get(field));
            }
        }
    }
}

/// Answers to what was let out before.
fn answers(span: Span) -> Rule {
    let known = Match::Field(Field::Ct, Ranges::interval(ct::ESTABLISHED, ct::RELATED));
    Rule::implied("answers to what was let through", known, Action::Accept, span)
}

/// Marks a section.
fn top(reader: &mut Reader<'_>, property: &Property) {
    let span = property.at.to(property.value.span);
    match property.name.to_ascii_lowercase().as_str() {
        "acls" | "grants" | "groups" | "hosts" | "tagowners" | "postures" | "ipsets" | "tests" | "defaultsrcposture" => {
            reader.mark(span, LineState::Understood);
        }
        "ssh" => reader.note(span, LineState::NotModelled, "Tailscale SSH asks who logs in as whom: that is no matter of packets"),
        "autoapprovers" | "nodeattrs" | "attrconfig" => reader.mark(span, LineState::NotModelled),
        "derpmap" | "disableipv4" | "randomizeclientport" | "onecgnatroute" | "sshtests" | "extradnsrecords" | "$schema" => {}
        _ => reader.note(property.at, LineState::Unrecognised, "a section that a policy does not have"),
    }
}

fn uses(reader: &mut Reader<'_>, defined: &Defined, value: Option<&Value>) {
    for item in value.filter(|v| is_selectors(v)).map(Value::list).unwrap_or_default() {
        if let Some(text) = item.text().filter(|t| t.starts_with("group:") || t.starts_with("tag:")) {
            Selector::of(&mut reader.device.names, defined, text, item.span);
        }
    }
}

/// Ports as written; `None`: none of these.
fn ports(text: &str) -> Option<Option<Ranges>> {
    if text == "*" {
        return Some(None);
    }
    let mut list = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (lo, hi) = part.split_once('-').unwrap_or((part, part));
        let (lo, hi): (u16, u16) = (lo.trim().parse().ok()?, hi.trim().parse().ok()?);
        if lo > hi {
            return None;
        }
        list.push((u128::from(lo), u128::from(hi)));
    }
    Some(Some(Ranges::from_intervals(list)))
}

/// Protocols by a name or number; `None`: none of these.
fn protocols(text: &str) -> Option<Vec<u128>> {
    match text {
        "icmp" => Some(ICMP.to_vec()),
        _ => text.parse::<u8>().ok().or_else(|| protocol_number(text)).map(|n| vec![u128::from(n)]),
    }
}

/// `host:ports` of an ACL. The last colon counts: names of tags and addresses of IPv6 have others.
pub(super) fn destination(text: &str) -> Option<(&str, Option<Ranges>)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host, ports(port)?))
}

/// What `ip` of a grant says: `*`, `443`, `tcp:443`, `icmp:*`, `tcp:1000-2000`.
fn capability(text: &str) -> Option<Traffic> {
    if text == "*" {
        return Some(Traffic { protocols: Vec::new(), any: true, ports: None });
    }
    match text.split_once(':') {
        Some((proto, port)) => Some(Traffic { protocols: protocols(proto)?, any: false, ports: ports(port)? }),
        None => Some(Traffic { protocols: USUAL.to_vec(), any: false, ports: ports(text)? }),
    }
}

fn lower(
    reader: &mut Reader<'_>,
    defined: &Defined,
    rule: &Value,
    grants: bool,
    default_posture: &[&Value],
    rules: &mut Vec<Rule>,
    accesses: &mut Vec<Access>,
) {
    let span = Span { end: rule.span.end, ..rule.span };
    if let Some(action) = rule.get("action").filter(|a| a.text() != Some("accept")) {
        return reader.refused(action.span, "the only action of a rule is accept");
    }
    // Old policies write `users` and `ports`.
    let source = rule.get("src").or_else(|| rule.get("users"));
    let target = rule.get("dst").or_else(|| rule.get("ports"));
    let (Some(source), Some(target)) = (source, target) else {
        return reader.note(span, LineState::Unsupported, "a rule without src or dst: the policy is refused");
    };
    let mut from = Vec::new();
    for item in source.list() {
        let Some(text) = item.text() else { continue };
        let selector = Selector::of(&mut reader.device.names, defined, text, item.span);
        let matcher = selector.matcher(reader, Field::Src, item.span);
        from.push((text.to_owned(), selector, matcher));
    }
    let mut extra = Vec::new();
    let own = rule.get("srcPosture").map(Value::list).unwrap_or_default();
    let postures = if own.is_empty() { default_posture.to_vec() } else { own };
    for posture in &postures {
        let Some(text) = posture.text() else { continue };
        reader.device.names.used(POSTURE, text, posture.span);
        extra.push(Match::Opaque(reader.device.conditions.intern(&format!("the source has {text}"), posture.span)));
    }
    let mut more = if extra.is_empty() { Vec::new() } else { vec![Match::any_of(extra)] };
    let via = rule.get("via").map(Value::list).unwrap_or_default();
    if let Some(first) = via.first() {
        let words: Vec<&str> = via.iter().filter_map(|v| v.text()).collect();
        uses(reader, defined, rule.get("via"));
        more.push(Match::Opaque(reader.device.conditions.intern(&format!("through {}", words.join(" or ")), first.span)));
    }
    let conditional = !more.is_empty();
    let sources = Match::any_of(from.iter().map(|f| f.2.clone()).collect());
    let mut to = Vec::new();
    for item in target.list() {
        let Some(text) = item.text() else { continue };
        let (host, traffic) = if grants {
            (text, grant_traffic(reader, rule))
        } else {
            match destination(text) {
                Some((host, ports)) => (host, acl_traffic(reader, rule, ports)),
                None => {
                    reader.refused(item.span, format!("{text} is not host:ports"));
                    continue;
                }
            }
        };
        let selector = Selector::of(&mut reader.device.names, defined, host, item.span);
        if traffic.is_empty() {
            continue;
        }
        let mut parts = vec![sources.clone(), selector.matcher(reader, Field::Dst, item.span)];
        parts.extend(more.iter().cloned());
        parts.push(Match::any_of(traffic.iter().map(Traffic::matcher).collect()));
        let mut made = Rule::new(Match::all(parts), Action::Accept, item.span);
        made.whole = span;
        rules.push(made);
        to.push((host.to_owned(), selector, traffic));
    }
    let from: Vec<(String, Selector)> = from.into_iter().map(|f| (f.0, f.1)).collect();
    for (host, selector, traffic) in to {
        accesses.push(Access { src: from.clone(), dst: vec![(host, selector)], traffic, conditional });
    }
}

fn acl_traffic(reader: &mut Reader<'_>, rule: &Value, ports: Option<Ranges>) -> Vec<Traffic> {
    let proto = rule.get("proto").filter(|p| p.text().is_some_and(|t| !t.is_empty()));
    match proto.map(|p| (p.text().and_then(protocols), p.span)) {
        None => vec![Traffic { protocols: USUAL.to_vec(), any: false, ports }],
        Some((Some(protocols), _)) => vec![Traffic { protocols, any: false, ports }],
        Some((None, span)) => {
            reader.refused(span, "this is no protocol");
            Vec::new()
        }
    }
}

/// A grant without `ip` gives capabilities of applications, and lets no packets through.
fn grant_traffic(reader: &mut Reader<'_>, rule: &Value) -> Vec<Traffic> {
    let mut out = Vec::new();
    for item in rule.get("ip").map(Value::list).unwrap_or_default() {
        match item.text().and_then(capability) {
            Some(traffic) => out.push(traffic),
            None => reader.refused(item.span, "this is neither ports nor protocol:ports"),
        }
    }
    out
}
