//! The tables of rules as chains.

use std::collections::BTreeMap;

use super::lists::{Lists, addresses};
use super::matching::{Context, Ipsec, OF_ONE_PACKET, ports};
use super::tables::Item;
use super::{Export, dynamics, layer2};
use crate::diag::LineState;
use crate::model::{Action, BaseChain, Chain, ChainId, Effect, Hook, Match, NatKind, Policy, PolicyAction, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
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
        // `input` and `output` are of version 7 (help.mikrotik.com, "NAT"); before, nothing enters chains of these names.
        "nat" => &[
            ("dstnat", Hook::Prerouting, -100),
            ("srcnat", Hook::Postrouting, 100),
            ("input", Hook::Input, 100),
            ("output", Hook::Output, -100),
        ],
        _ => &[("input", Hook::Input, 0), ("forward", Hook::Forward, 0), ("output", Hook::Output, 0)],
    }
}

/// Lowers all tables of both families.
pub(super) fn lower(reader: &mut Reader<'_>, export: &Export, lists: &Lists) {
    let tracking = export.tables.settings("ip firewall connection tracking");
    let mut cx = Context {
        lists,
        marks: Default::default(),
        budget: reader.limits.expanded_rules,
        ipsec: ipsec(export),
        untracked: tracking.is_some_and(|t| t.off("enabled")),
        fast: None,
    };
    for family in Family::BOTH {
        let root = if family == Family::V4 { "ip" } else { "ipv6" };
        cx.fast = fast_track(reader, export, root).filter(|_| !cx.untracked);
        for table in ["raw", "mangle", "nat", "filter"] {
            one_table(reader, export, &mut cx, family, table, &format!("{root} firewall {table}"));
        }
    }
    settings(reader, export);
    layer2::lower(reader, export);
}

/// The connections that are on the fast track, where a rule puts any there. The later packets of such a connection, in both directions, pass by the
/// firewall (help.mikrotik.com, "Connection tracking", FastTrack: TCP and UDP).
fn fast_track(reader: &mut Reader<'_>, export: &Export, root: &str) -> Option<(Match, Span)> {
    let tables = ["filter", "mangle"].map(|t| format!("{root} firewall {t}"));
    let mut rules = tables.iter().flat_map(|menu| export.tables.items(menu));
    let rule = rules.find(|r| !r.disabled() && r.is("action", "fasttrack-connection"))?;
    let on = reader.device.conditions.intern("the connection is on the fast track already", rule.span);
    let transport = Match::Field(Field::Proto, Ranges::from_values([6, 17]));
    Some((Match::all(vec![transport, Match::Opaque(on)]), rule.span))
}

/// What is in a connection that packets were seen of.
fn underway() -> Match {
    Match::Field(Field::Ct, Ranges::from_values([ct::ESTABLISHED, ct::RELATED]))
}

/// Whether the file shows anything that protects packets with IPsec: where it shows all and nothing of that, no packet comes of IPsec.
fn ipsec(export: &Export) -> Ipsec {
    let t = &export.tables;
    let items = ["ip ipsec peer", "ip ipsec identity", "ip ipsec policy"];
    let any = items.iter().any(|m| t.open(m).is_some() || t.items(m).iter().any(|i| i.added && !i.disabled()));
    let inside = t
        .names()
        .into_iter()
        .filter(|m| m.starts_with("interface "))
        .any(|m| t.items(m).iter().any(|i| i.filled("ipsec-secret").is_some() || i.get("use-ipsec").is_some_and(|u| u != "no")));
    if export.whole() && !any && !inside { Ipsec::Nothing } else { Ipsec::Unknown }
}

fn one_table(reader: &mut Reader<'_>, export: &Export, cx: &mut Context<'_>, family: Family, table: &'static str, menu: &str) {
    let rules = export.tables.items(menu);
    let base = built_in(table);
    // An identity of IPsec may have rules of raw made for it ("IPsec", Identities: notrack-chain).
    let mut identities = export.tables.items("ip ipsec identity").into_iter().filter(|_| table == "raw" && family == Family::V4);
    let untracks = identities.find(|i| !i.disabled() && i.filled("notrack-chain").is_some()).map(|i| i.at("notrack-chain"));
    let unsure = export.tables.open(menu).or(untracks);
    let made = if family == Family::V4 { dynamics::made(export) } else { vec![] };
    let mapped = dynamics::mappings(export).filter(|_| table == "nat" && family == Family::V4);
    let maker = made.iter().find(|m| table == "filter" || (table == "nat" && m.translates)).map(|m| m.span);
    // A whole export without rules lets everything pass that it can speak of.
    let none =
        (table == "filter" && export.whole() && (family == Family::V4 || reader.device.exhaustive)).then(|| reader.file.line_span(0));
    let Some(at) = export.tables.span(menu).or(unsure).or(mapped.as_ref().map(|m| m.1)).or(maker).or(none) else { return };
    // The built-in chains of the filter are always there: what they let pass has a place to name.
    let used = |name: &str| table == "filter" || rules.iter().any(|r| r.is("chain", name) || r.is("jump-target", name));
    let added = |name: &str| unsure.is_some() || (name == "dstnat" && (mapped.is_some() || maker.is_some()));
    let mut names: Vec<(String, Span)> = base.iter().filter(|(n, ..)| used(n) || added(n)).map(|(n, ..)| ((*n).to_owned(), at)).collect();
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
    for (name, hook, _) in base {
        if let Some((fast, span)) = cx.fast.clone().filter(|_| *hook == Hook::Forward && matches!(table, "filter" | "mangle")) {
            let matcher = Match::all(vec![underway(), fast]);
            push(reader, &ids, name, Rule::implied("fast track", matcher, Action::Accept, span));
        }
        if let Some(span) = unsure {
            for rule in not_followed(reader, table, name, menu, span) {
                push(reader, &ids, name, rule);
            }
        }
        for made in
            made.iter().filter(|m| (table == "filter" && *name != "output") || (table == "nat" && *name == "dstnat" && m.translates))
        {
            if table == "nat" {
                let there = Match::Opaque(reader.device.conditions.intern(&format!("{} translate it", made.what), made.span));
                let matcher = Match::all(vec![made.matcher.clone(), there]);
                push(reader, &ids, name, Rule::implied(made.what, matcher, Action::Nat(somewhere(NatKind::Destination)), made.span));
            } else {
                push(reader, &ids, name, Rule::implied(made.what, made.matcher.clone(), Action::Opaque(made.what.into()), made.span));
            }
        }
    }
    if let Some((matcher, span)) = mapped {
        let there = reader.device.conditions.intern("a machine inside has asked for this forwarding (UPnP or NAT-PMP)", span);
        let matcher = Match::all(vec![matcher, Match::Opaque(there)]);
        let rule = Rule::implied("forwarding that a machine inside asks for", matcher, Action::Nat(somewhere(NatKind::Destination)), span);
        push(reader, &ids, "dstnat", rule);
    }
    // Profiles and servers of RADIUS put rules into the chain of this name (help.mikrotik.com, "PPP AAA": incoming-filter, outgoing-filter).
    if table == "filter" && family == Family::V4 && rules.iter().any(|r| r.is("jump-target", "ppp")) {
        let rule = Rule::implied("rules of PPP profiles", Match::Any, Action::Opaque("rules of PPP profiles".into()), at);
        push(reader, &ids, "ppp", rule);
        reader.device.names.define(chain_space(family, table), "ppp", at);
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
        for lowered in lower_rule(reader, cx, rule, family, table, &ids, own) {
            push(reader, &ids, chain, lowered);
        }
    }
    for (name, hook, priority) in base {
        let Some(chain) = ids.get(*name).copied() else { continue };
        if table == "nat" && matches!(*hook, Hook::Input | Hook::Output) && export.version.is_some_and(|v| v.0 < 7) {
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

/// What commands or scripts that are not followed may make of a built-in chain.
fn not_followed(reader: &mut Reader<'_>, table: &str, chain: &str, menu: &str, span: Span) -> Vec<Rule> {
    const WHAT: &str = "commands that are not followed";
    let mut out = Vec::new();
    let mut perhaps = |what: &str| Match::Opaque(reader.device.conditions.intern(&format!("commands at this place {what} {menu}"), span));
    match table {
        "nat" => {
            let kind = if matches!(chain, "dstnat" | "output") { NatKind::Destination } else { NatKind::Source };
            out.push(Rule::implied(WHAT, perhaps("translate in"), Action::Nat(somewhere(kind)), span));
            out.push(Rule::implied(WHAT, perhaps("take translations from"), Action::Accept, span));
            return out;
        }
        "mangle" => {
            let mut rule = Rule::implied(WHAT, Match::Any, Action::Continue, span);
            rule.effects = [Field::Mark, Field::CtMark, Field::Dscp, Field::Ttl].map(Effect::Unknown).to_vec();
            out.push(rule);
        }
        "raw" => {
            let mut rule = Rule::implied(WHAT, perhaps("exempt from tracking in"), Action::Continue, span);
            rule.effects.push(Effect::Untrack);
            out.push(rule);
        }
        _ => {}
    }
    let what = format!("what the commands at this place make of {menu}");
    out.push(Rule::implied(WHAT, Match::Any, Action::Opaque(what.into()), span));
    out
}

/// A translation to nobody knows what.
fn somewhere(kind: NatKind) -> Translation {
    Translation { kind, addresses: None, keep_host_bits: false, ports: None, unknown: true }
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
    let mut matcher = cx.matcher(reader, item, family);
    // Every table: "action (default: accept)".
    let action = item.filled("action").unwrap_or("accept");
    let mut effects = Vec::new();
    let mut further: Option<(Match, &'static str)> = None;
    if let Some((fast, _)) = cx.fast.as_ref().filter(|_| action == "drop") {
        // A connection of which raw drops every packet is never on the fast track; one of which it drops some may be.
        let some = OF_ONE_PACKET.iter().any(|m| item.value(m).is_some());
        match table {
            "raw" if some => matcher = Match::all(vec![matcher, fast.clone().negate_if(true)]),
            "mangle" => matcher = Match::all(vec![matcher, Match::all(vec![underway(), fast.clone()]).negate_if(true)]),
            _ => {}
        }
    }
    let computed = ["action", "chain", "jump-target", "disabled"].iter().any(|p| item.value(p).is_some_and(|v| v.computed));
    // `passthrough` is on by default (help.mikrotik.com, "Mangle").
    let goes_on = if item.off("passthrough") { Action::Accept } else { Action::Continue };
    let lowered = match (table, action) {
        _ if computed => Action::Opaque("a rule of which a script says what it does".into()),
        (_, "accept") => Action::Accept,
        // Mangle drops too in version 7 (help.mikrotik.com, "Mangle").
        ("filter" | "raw" | "mangle", "drop") => Action::Drop,
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
        // This packet goes on; for the later ones of its connection see `fast_track`.
        ("filter" | "mangle", "fasttrack-connection") => Action::Continue,
        ("raw", "notrack") => {
            effects.push(Effect::Untrack);
            let ends = reader.device.conditions.intern("notrack ends the chain", item.span);
            further = Some((Match::Opaque(ends), "end by notrack"));
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
    // What a mark does for queues and routes is not modelled: it is not the end of the chain that the rule was written for. Told apart, no lint finds
    // that the rule changes nothing.
    let ends = table == "mangle" && action != "accept" && lowered == Action::Accept;
    let lowered = if ends && !sees(&matcher, &effects) {
        further = Some((Match::Any, "passthrough=no"));
        Action::Continue
    } else {
        lowered
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
        rule.implied = Some(what);
        out.push(rule);
    }
    out
}

/// Whether a matcher looks at a field that one of these effects changes.
fn sees(matcher: &Match, effects: &[Effect]) -> bool {
    let mut found = false;
    matcher.walk(&mut |m| {
        if let Match::Field(f, _) | Match::Address(f, ..) = m {
            found |= effects.iter().any(|e| matches!(e, Effect::Set(g, _) | Effect::Unknown(g) if g == f));
        }
        if let Match::InSet { fields, .. } = m {
            found |= effects.iter().any(|e| matches!(e, Effect::Set(g, _) | Effect::Unknown(g) if fields.contains(g)));
        }
    });
    found
}

fn translation(item: &Item, family: Family, action: &str) -> Option<Translation> {
    let source = matches!(item.get("chain"), Some("srcnat" | "input"));
    let destination = matches!(item.get("chain"), Some("dstnat" | "output"));
    let kind = match action {
        "dst-nat" => NatKind::Destination,
        "src-nat" => NatKind::Source,
        "masquerade" => NatKind::Masquerade,
        "redirect" => NatKind::Redirect,
        "netmap" | "same" if source => NatKind::Source,
        // In a chain of its own nothing says which side is meant.
        "netmap" | "same" if destination => NatKind::Destination,
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
    // `ip-forward`, `forward` and "disable-ipv6": help.mikrotik.com, "IP Settings" and "IPv6 Settings".
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
