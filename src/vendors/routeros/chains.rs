//! The tables of rules as chains.

use std::collections::BTreeMap;

use super::Export;
use super::lists::{Lists, addresses};
use super::matching::{Context, Ipsec, ports};
use super::parse::Command;
use super::tables::Item;
use crate::diag::LineState;
use crate::model::{
    Action, BaseChain, Chain, ChainId, Direction, Effect, Hook, Match, NamePattern, NatKind, Policy, PolicyAction, Rule, Translation,
};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Built-in chains of a table, with their hook and priority. The order is that of Linux (help.mikrotik.com, "Packet Flow in RouterOS", figure
/// of the chains: raw, connection tracking, mangle, destination NAT; mangle, filter; mangle, source NAT).
fn built_in(table: &str) -> &'static [(&'static str, Hook, i32)] {
    match table {
        "raw" => &[("prerouting", Hook::Prerouting, -300), ("output", Hook::Output, -300)],
        "mangle" => &[
            ("prerouting", Hook::Prerouting, -150),
            ("input", Hook::Input, -150),
            ("forward", Hook::Forward, -150),
            ("output", Hook::Output, -150),
            ("postrouting", Hook::Postrouting, -150),
        ],
        "nat" => &[("dstnat", Hook::Prerouting, -100), ("srcnat", Hook::Postrouting, 100)],
        _ => &[("input", Hook::Input, 0), ("forward", Hook::Forward, 0), ("output", Hook::Output, 0)],
    }
}

/// Lowers all tables of both families.
pub(super) fn lower(reader: &mut Reader<'_>, export: &Export, lists: &Lists, commands: &[Command]) {
    let tracking = export.tables.settings("ip firewall connection tracking");
    let mut cx = Context {
        lists,
        marks: Default::default(),
        budget: reader.limits.expanded_rules,
        ipsec: ipsec(export),
        untracked: tracking.is_some_and(|t| t.off("enabled")),
    };
    // A script may change any table.
    let script = commands.iter().find(|c| c.script && reader.file.slice(c.span).contains("firewall")).map(|c| c.span);
    for family in Family::BOTH {
        let root = if family == Family::V4 { "ip" } else { "ipv6" };
        for table in ["raw", "mangle", "nat", "filter"] {
            let menu = format!("{root} firewall {table}");
            let unsure = export.tables.unsure.get(&menu).copied().or(script.filter(|_| table == "filter"));
            one_table(reader, export, &mut cx, family, table, &menu, unsure);
        }
    }
    settings(reader, export);
    bridge_filter(reader, export);
}

/// Whether the file shows anything that protects packets with IPsec: where it shows all and nothing of that, no packet comes of IPsec.
fn ipsec(export: &Export) -> Ipsec {
    let t = &export.tables;
    let items = ["ip ipsec peer", "ip ipsec identity", "ip ipsec policy"];
    let any = items.iter().any(|m| t.unsure.contains_key(*m) || t.items(m).iter().any(|i| i.added && !i.disabled()));
    let inside = t
        .names()
        .into_iter()
        .filter(|m| m.starts_with("interface "))
        .any(|m| t.items(m).iter().any(|i| i.filled("ipsec-secret").is_some() || i.get("use-ipsec").is_some_and(|u| u != "no")));
    if export.whole() && !any && !inside { Ipsec::Nothing } else { Ipsec::Unknown }
}

fn one_table(
    reader: &mut Reader<'_>,
    export: &Export,
    cx: &mut Context<'_>,
    family: Family,
    table: &'static str,
    menu: &str,
    unsure: Option<Span>,
) {
    let rules = export.tables.items(menu);
    let base = built_in(table);
    let Some(at) = export.tables.span(menu).or(unsure) else { return };
    let mut names: Vec<(String, Span)> = base.iter().map(|(n, ..)| ((*n).to_owned(), at)).collect();
    let mut ids: BTreeMap<String, ChainId> = BTreeMap::new();
    for rule in &rules {
        for property in ["chain", "jump-target"] {
            if let Some(name) = rule.filled(property) {
                names.push((name.to_owned(), rule.span));
            }
        }
    }
    let prefix = if family == Family::V4 { table.to_owned() } else { format!("ipv6 {table}") };
    for (name, span) in names {
        if ids.contains_key(&name) {
            continue;
        }
        ids.insert(name.clone(), ChainId(reader.device.chains.len() as u32));
        reader.device.chains.push(Chain { name: format!("{prefix}/{name}"), span, rules: vec![] });
    }
    if let Some(span) = unsure {
        for (name, ..) in base {
            let what = format!("what the commands at this place make of {menu}");
            let rule = Rule::implied("commands that are not followed", Match::Any, Action::Opaque(what.into()), span);
            push(reader, &ids, name, rule);
        }
    }
    let own = chain_space(family, table);
    for rule in rules {
        let Some(chain) = rule.filled("chain") else {
            reader.note(rule.span, LineState::Unsupported, "a rule without a chain does nothing");
            continue;
        };
        if !base.iter().any(|(n, ..)| n == &chain) {
            reader.device.names.define(own, chain, rule.at("chain"));
        }
        if table == "nat" && matches!(chain, "input" | "output") {
            reader.note(rule.span, LineState::NotModelled, "translation of what the router itself sends or gets is not modelled");
        }
        for lowered in lower_rule(reader, cx, rule, family, table, &ids, own) {
            push(reader, &ids, chain, lowered);
        }
    }
    for (name, hook, priority) in base {
        let Some(chain) = ids.get(*name).copied() else { continue };
        // A built-in chain without rules is left out, but for those of the filter: what they let pass has a place to name.
        if table != "filter" && reader.device.chain(chain).rules.is_empty() {
            continue;
        }
        reader.device.base_chains.push(BaseChain {
            chain,
            hook: *hook,
            priority: *priority,
            families: vec![family],
            nat: table == "nat",
            policy: Policy { action: PolicyAction::Accept, span: at },
            devices: vec![],
        });
    }
}

fn chain_space(family: Family, table: &str) -> &'static str {
    match (family, table) {
        (Family::V4, "raw") => "chain of raw",
        (Family::V4, "mangle") => "chain of mangle",
        (Family::V4, "nat") => "chain of nat",
        (Family::V4, _) => "chain of filter",
        (Family::V6, "raw") => "chain of IPv6 raw",
        (Family::V6, "mangle") => "chain of IPv6 mangle",
        (Family::V6, "nat") => "chain of IPv6 nat",
        (Family::V6, _) => "chain of IPv6 filter",
    }
}

fn push(reader: &mut Reader<'_>, ids: &BTreeMap<String, ChainId>, chain: &str, rule: Rule) {
    if let Some(chain) = ids.get(chain).and_then(|id| reader.device.chains.get_mut(id.0 as usize)) {
        chain.rules.push(rule);
    }
}

/// One rule. Where it is not known whether an action ends the chain, two: that it does under a condition, and that it does not.
fn lower_rule(
    reader: &mut Reader<'_>,
    cx: &mut Context<'_>,
    item: &Item,
    family: Family,
    table: &str,
    ids: &BTreeMap<String, ChainId>,
    chains: &'static str,
) -> Vec<Rule> {
    let matcher = cx.matcher(reader, item, family);
    // Every table: "action (default: accept)".
    let action = item.filled("action").unwrap_or("accept");
    let mut effects = Vec::new();
    let mut further: Option<(Match, &str)> = None;
    let computed = ["action", "chain", "jump-target", "disabled"].iter().any(|p| item.value(p).is_some_and(|v| v.computed));
    // `passthrough` is on by default (help.mikrotik.com, "Mangle").
    let goes_on = if item.off("passthrough") { Action::Accept } else { Action::Continue };
    let lowered = match (table, action) {
        _ if computed => Action::Opaque("a rule of which a script says what it does".into()),
        (_, "accept") => Action::Accept,
        ("filter" | "raw", "drop") => Action::Drop,
        ("filter", "reject") => Action::Reject(item.filled("reject-with").unwrap_or("icmp-network-unreachable").to_owned()),
        // It answers, keeps the connection open and lets nothing through.
        ("filter", "tarpit") => Action::Reject("tarpit".to_owned()),
        (_, "log" | "passthrough" | "add-src-to-address-list" | "add-dst-to-address-list") => Action::Continue,
        (_, "return") => Action::Return,
        (_, "jump") => match item.filled("jump-target") {
            Some(target) => {
                if !built_in(table).iter().any(|(n, ..)| *n == target) {
                    reader.device.names.used(chains, target, item.at("jump-target"));
                }
                match ids.get(target) {
                    Some(id) => Action::Jump(*id),
                    None => Action::Opaque("a jump to nowhere".into()),
                }
            }
            None => Action::Opaque("a jump to nowhere".into()),
        },
        // The packet goes on; the later ones of its connection may pass the rules by (help.mikrotik.com, "Connection tracking", FastTrack).
        ("filter" | "mangle", "fasttrack-connection") => {
            let fast = reader.device.conditions.intern("the connection is on the fast track already", item.span);
            let transport = Match::Field(Field::Proto, Ranges::from_values([6, 17]));
            further = Some((Match::all(vec![transport, Match::Opaque(fast)]), "fast track"));
            Action::Continue
        }
        ("raw", "notrack") => {
            effects.push(Effect::Untrack);
            let ends = reader.device.conditions.intern("notrack ends the chain", item.span);
            further = Some((Match::Opaque(ends), "notrack"));
            Action::Continue
        }
        ("nat", _) => match translation(item, family, action) {
            Some(t) => Action::Nat(t),
            None => {
                reader.note(item.at("action"), LineState::NotModelled, format!("the action {action} is not modelled"));
                Action::Opaque(format!("action={action}").into())
            }
        },
        ("mangle", "mark-connection") => {
            effects.push(Effect::Set(Field::CtMark, cx.mark(item.get("new-connection-mark").unwrap_or(""))));
            goes_on
        }
        ("mangle", "mark-packet") => {
            effects.push(Effect::Set(Field::Mark, cx.mark(item.get("new-packet-mark").unwrap_or(""))));
            goes_on
        }
        ("mangle", "change-ttl" | "change-hop-limit") => {
            effects.push(Effect::Unknown(Field::Ttl));
            goes_on
        }
        ("mangle", "change-dscp") => {
            effects.push(match item.get("new-dscp").and_then(|d| d.parse::<u128>().ok()).filter(|d| *d < 64) {
                Some(d) => Effect::Set(Field::Dscp, d),
                None => Effect::Unknown(Field::Dscp),
            });
            goes_on
        }
        (
            "mangle",
            "mark-routing" | "change-mss" | "clear-df" | "set-priority" | "sniff-pc" | "sniff-tzsp" | "strip-ipv4-options" | "route"
            | "snpt" | "dnpt",
        ) => {
            if matches!(action, "mark-routing" | "route" | "snpt" | "dnpt") {
                reader.mark(item.at("action"), LineState::NotModelled);
            }
            if matches!(action, "snpt" | "dnpt") {
                effects.push(Effect::Unknown(if action == "snpt" { Field::Src } else { Field::Dst }));
            }
            goes_on
        }
        _ => {
            reader.note(
                item.at("action"),
                LineState::NotModelled,
                format!("the action {action} is not modelled: the packet may pass or not"),
            );
            Action::Opaque(format!("action={action}").into())
        }
    };
    let enabled = !item.disabled();
    let log = item.on("log") || action == "log";
    let comment = item.filled("comment").map(str::to_owned);
    let make = |matcher, action| {
        let mut rule = Rule::new(matcher, action, item.span);
        (rule.enabled, rule.comment) = (enabled, comment.clone());
        rule
    };
    let mut first = make(matcher.clone(), lowered);
    (first.effects, first.log) = (effects, log);
    let mut out = vec![first];
    if let Some((condition, what)) = further {
        let mut rule = make(Match::all(vec![matcher, condition]), Action::Accept);
        rule.implied = Some(if what == "notrack" { "notrack ends the chain" } else { "the connection is on the fast track" });
        // An untracked packet no longer matches what the first rule asked of its state, which raw rules cannot ask.
        out.push(rule);
    }
    out
}

fn translation(item: &Item, family: Family, action: &str) -> Option<Translation> {
    let source = item.is("chain", "srcnat");
    let kind = match action {
        "dst-nat" => NatKind::Destination,
        "src-nat" | "same" => NatKind::Source,
        "masquerade" => NatKind::Masquerade,
        "redirect" => NatKind::Redirect,
        "netmap" if source => NatKind::Source,
        // In a chain of its own nothing says which side is meant.
        "netmap" if item.is("chain", "dstnat") => NatKind::Destination,
        _ => return None,
    };
    let written = item.value("to-addresses").or(item.value("to-address")).filter(|v| !v.text.is_empty());
    let to = written.map(|v| addresses(family, &v.text).filter(|_| !v.computed));
    let to_ports = item.value("to-ports").filter(|v| !v.text.is_empty()).map(|v| ports(&v.text).filter(|_| !v.computed));
    let mut unknown = matches!(to, Some(None)) || matches!(to_ports, Some(None));
    let to = to.flatten();
    if action == "netmap" {
        let prefix = to
            .as_ref()
            .and_then(|t| t.min().zip(t.max()))
            .is_some_and(|(lo, hi)| hi.checked_sub(lo).and_then(|d| d.checked_add(1)).is_some_and(|n| n.is_power_of_two() && lo % n == 0));
        unknown |= !prefix;
    }
    // Without an address, the source stays or is the router's: nothing says which.
    unknown |= kind == NatKind::Source && to.is_none();
    let takes = !matches!(kind, NatKind::Masquerade | NatKind::Redirect);
    Some(Translation {
        kind,
        addresses: to.filter(|_| takes).map(|r| (family, r)),
        keep_host_bits: action == "netmap" && !unknown,
        ports: to_ports.flatten(),
        unknown,
    })
}

/// Forwarding that is switched off.
fn settings(reader: &mut Reader<'_>, export: &Export) {
    let drop = |reader: &mut Reader<'_>, hook: Hook, family: Family, what: &'static str, matcher: Match, span: Span| {
        let chain = ChainId(reader.device.chains.len() as u32);
        reader.device.chains.push(Chain { name: what.to_owned(), span, rules: vec![Rule::implied(what, matcher, Action::Drop, span)] });
        let policy = Policy { action: PolicyAction::Accept, span };
        reader.device.base_chains.push(BaseChain {
            chain,
            hook,
            priority: -400,
            families: vec![family],
            nat: false,
            policy,
            devices: vec![],
        });
    };
    // "ip-forward", "forward" and "disable-ipv6": help.mikrotik.com, "IP Settings" and "IPv6 Settings".
    if let Some(v4) = export.tables.settings("ip settings").filter(|s| s.off("ip-forward")) {
        drop(reader, Hook::Forward, Family::V4, "forwarding is off", Match::Any, v4.at("ip-forward"));
    }
    let Some(v6) = export.tables.settings("ipv6 settings") else { return };
    if v6.off("forward") {
        drop(reader, Hook::Forward, Family::V6, "IPv6 forwarding is off", Match::Any, v6.at("forward"));
    }
    if v6.on("disable-ipv6") {
        let span = v6.at("disable-ipv6");
        for hook in [Hook::Input, Hook::Forward] {
            let off = reader.device.conditions.intern("disable-ipv6 keeps out every IPv6 packet", span);
            drop(reader, hook, Family::V6, "IPv6 is off", Match::Opaque(off), span);
        }
    }
}

/// What comes in through a bridge passes the bridge's filter first, of which only that it may drop is kept.
fn bridge_filter(reader: &mut Reader<'_>, export: &Export) {
    let mut rules = Vec::new();
    let items = export.tables.items("interface bridge filter");
    let at = items.first().map(|i| i.span);
    for item in items {
        if item.disabled()
            || matches!(item.get("action"), None | Some("accept" | "log" | "passthrough" | "mark-packet" | "set-priority" | "return"))
        {
            continue;
        }
        let on = match item.filled("in-bridge").filter(|b| !b.starts_with('!')) {
            Some(bridge) => Match::Interface(Direction::In, NamePattern::exact(bridge)),
            None => Match::any_of(
                export
                    .tables
                    .items("interface bridge")
                    .iter()
                    .filter_map(|b| b.filled("name"))
                    .take(64)
                    .map(|b| Match::Interface(Direction::In, NamePattern::exact(b)))
                    .collect(),
            ),
        };
        let line = reader.file.place(item.span.start).line;
        let drops = reader.device.conditions.intern(&format!("the bridge filter of line {line} drops the frame"), item.span);
        let mut rule = Rule::new(Match::all(vec![on, Match::Opaque(drops)]), Action::Drop, item.span);
        rule.comment = item.filled("comment").map(str::to_owned);
        rules.push(rule);
        if rules.len() >= 256 {
            break;
        }
    }
    let Some(span) = at.filter(|_| !rules.is_empty()) else { return };
    let chain = ChainId(reader.device.chains.len() as u32);
    reader.device.chains.push(Chain { name: "bridge filter".into(), span, rules });
    let policy = Policy { action: PolicyAction::Accept, span };
    let families = Family::BOTH.to_vec();
    reader.device.base_chains.push(BaseChain {
        chain,
        hook: Hook::Prerouting,
        priority: -400,
        families,
        nat: false,
        policy,
        devices: vec![],
    });
}
