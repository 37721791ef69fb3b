//! Where rulesets hang: on interfaces (EdgeOS, VyOS up to 1.3 and the first of 1.4), on hooks (since 1.4), between zones.
//!
//! Up to 1.3 a ruleset that accepts hands the packet back (`RETURN`), so that it still meets the ruleset of the departure interface and then those of
//! zones; since 1.4 `accept` ends the chain of its hook, and zones are asked after it (priority 1, `nftables-zone.j2` of vyos-1x). Both are chains of one
//! hook here, one after the other, of which each must let the packet through.

use std::collections::HashMap;

use super::rules::{self, Rulesets};
use super::tree::At;
use super::{Context, Era, matching};
use crate::diag::LineState::{Irrelevant, NotModelled, Unsupported};
use crate::model::{Action, BaseChain, ChainId, Direction, Effect, Hook, Match, NamePattern, Policy, PolicyAction, Rule};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Hangs a chain with these rules on a hook.
pub(super) fn hang(
    reader: &mut Reader<'_>,
    name: String,
    rules: Vec<Rule>,
    (hook, priority): (Hook, i32),
    families: &[Family],
    policy: Policy,
) {
    let nat = rules.iter().any(|r| matches!(r.action, Action::Nat(_)));
    let chain = rules::chain(reader, name, policy.span);
    rules::fill(reader, chain, rules);
    reader.device.base_chains.push(BaseChain { chain, hook, priority, families: families.to_vec(), nat, policy, devices: vec![] });
}

fn accepting(span: Span) -> Policy {
    Policy { action: PolicyAction::Accept, span }
}

fn six(family: Family, name: &str) -> String {
    if family == Family::V6 { format!("ipv6 {name}") } else { name.to_owned() }
}

/// Lowers the firewall. `first`: rules that come before everything in the forward chains of IPv4, and in the input chains.
pub(super) fn lower(reader: &mut Reader<'_>, cx: &Context<'_>, forwarded: &[Rule], received: &[Rule]) {
    let sets = rules::named(reader, cx);
    for family in Family::BOTH {
        let state = rules::state_policy(cx);
        if cx.era == Era::New {
            hooks(reader, cx, &sets, family, &state);
        }
        bindings(reader, cx, &sets, family, &state, forwarded, received);
        let before: (&[Rule], &[Rule]) = if family == Family::V4 { (forwarded, received) } else { (&[], &[]) };
        zones(reader, cx, &sets, family, &state, before);
        routes(reader, cx, &sets, family);
    }
    if cx.whole {
        open_hooks(reader, cx);
    }
    fragments(reader);
    untracked(reader, cx);
    if let Some(bridge) = cx.root.path(&["firewall", "bridge"]) {
        bridge.note(NotModelled, "the firewall of bridges is not modelled: it is about packets that are not routed");
    }
}

/// Hooks on which nothing hangs let everything through: chains without rules say so.
fn open_hooks(reader: &mut Reader<'_>, cx: &Context<'_>) {
    let span = cx.root.get("firewall").map_or(reader.file.line_span(0), At::line);
    for family in Family::BOTH {
        for (hook, old, new) in [(Hook::Forward, "interfaces: in", "forward filter"), (Hook::Input, "interfaces: local", "input filter")] {
            let there = reader.device.base_chains.iter().any(|b| b.hook == hook && !b.nat && b.families.contains(&family));
            if !there {
                let word = if family == Family::V4 { "ipv4" } else { "ipv6" };
                let name = if cx.era == Era::New { format!("{word} {new}") } else { six(family, old) };
                hang(reader, name, vec![], (hook, 0), &[family], accepting(span));
            }
        }
    }
}

/// `firewall ipv4 forward filter` and its like.
fn hooks(reader: &mut Reader<'_>, cx: &Context<'_>, sets: &Rulesets, family: Family, state: &[Rule]) {
    let word = if family == Family::V4 { "ipv4" } else { "ipv6" };
    let Some(of) = cx.root.path(&["firewall", word]) else { return };
    for (hook_word, hook) in
        [("prerouting", Hook::Prerouting), ("input", Hook::Input), ("forward", Hook::Forward), ("output", Hook::Output)]
    {
        for (priority_word, priority) in [("raw", -300), ("filter", 0)] {
            let Some(at) = of.path(&[hook_word, priority_word]) else { continue };
            let asked = match hook {
                Hook::Prerouting => false,
                Hook::Output => priority == 0,
                _ => true,
            };
            let mut all = if asked { state.to_vec() } else { vec![] };
            all.extend(rules::rules(reader, cx, sets, at, family));
            // `default-action-base-chains.xml.i`: accept, where nothing is written.
            let value = at.value("default-action");
            let action = match value.map(At::word) {
                None | Some("accept") => PolicyAction::Accept,
                Some("drop") => PolicyAction::Drop,
                Some(other) => {
                    let action = rules::fate(value);
                    if let (Action::Opaque(_), Some(value)) = (&action, value) {
                        value.note(Unsupported, format!("{other} is no default action that is known"));
                    }
                    all.push(Rule::implied("default action", Match::Any, action, at.line()));
                    PolicyAction::Accept
                }
            };
            let policy = Policy { action, span: value.map_or(at.line(), At::line) };
            hang(reader, format!("{word} {hook_word} {priority_word}"), all, (hook, priority), &[family], policy);
        }
    }
}

/// Rulesets on interfaces: `in` is what arrives there to be forwarded, `out` what leaves, `local` what is for the device.
fn bindings(
    reader: &mut Reader<'_>,
    cx: &Context<'_>,
    sets: &Rulesets,
    family: Family,
    state: &[Rule],
    forwarded: &[Rule],
    received: &[Rule],
) {
    let mut bound: Vec<(&str, NamePattern, At<'_>)> = Vec::new();
    let word = if family == Family::V4 { "name" } else { "ipv6-name" };
    let mut all: Vec<(NamePattern, At<'_>)> =
        cx.interfaces.iter().filter_map(|i| Some((NamePattern::exact(i.name.as_str()), i.at.get("firewall")?))).collect();
    for at in cx.root.path(&["firewall"]).into_iter().flat_map(|f| f.all("interface")) {
        all.push((super::values::pattern(at.word()), at));
    }
    for (name, firewall) in all {
        for direction in ["in", "out", "local"] {
            let Some(value) = firewall.get(direction).and_then(|d| d.value(word)) else { continue };
            bound.push((direction, name.clone(), value));
        }
    }
    let before = |hook: Hook| match (hook, family) {
        (Hook::Forward, Family::V4) => forwarded,
        (Hook::Input, Family::V4) => received,
        _ => &[],
    };
    let old = cx.era != Era::New;
    let first = cx.root.get("firewall").map_or(reader.file.line_span(0), At::line);
    for (word, hook, priority, direction) in
        [("in", Hook::Forward, 0, Direction::In), ("out", Hook::Forward, 1, Direction::Out), ("local", Hook::Input, 0, Direction::In)]
    {
        let mut rules = before(hook).to_vec();
        if old {
            rules.extend_from_slice(state);
        }
        let mut any = !bound.is_empty() && bound.iter().any(|b| b.0 == word);
        // Without rulesets, what is asked before them is asked once.
        any |= old && !rules.is_empty() && word != "out";
        if !any {
            continue;
        }
        for (_, name, value) in bound.iter().filter(|b| b.0 == word) {
            let action = sets.chain(reader, family, *value);
            rules.push(Rule::new(Match::Interface(direction, name.clone()), action, value.line()));
        }
        let span = rules.first().map_or(first, |r| r.span);
        hang(reader, six(family, &format!("interfaces: {word}")), rules, (hook, priority), &[family], accepting(span));
    }
    if old && !state.is_empty() {
        let span = state.first().map_or(first, |r| r.span);
        hang(reader, six(family, "state-policy: output"), state.to_vec(), (Hook::Output, 0), &[family], accepting(span));
    }
}

/// A zone.
struct Zone<'t> {
    at: At<'t>,
    local: bool,
    interfaces: Vec<NamePattern>,
    vrfs: Vec<At<'t>>,
}

impl Zone<'_> {
    fn on(&self, reader: &mut Reader<'_>, direction: Direction) -> Match {
        let mut parts: Vec<Match> = self.interfaces.iter().map(|n| Match::Interface(direction, n.clone())).collect();
        for vrf in &self.vrfs {
            vrf.note(NotModelled, "which packets belong to a VRF is not modelled: they may or may not");
            let text = format!("{} the VRF {}", if direction == Direction::In { "from" } else { "to" }, vrf.word());
            parts.push(Match::Opaque(reader.device.conditions.intern(&text, vrf.line())));
        }
        Match::any_of(parts)
    }
}

/// The ruleset for what comes from a zone.
fn ruleset<'t>(to: &Zone<'t>, from: &str, word: &str) -> Option<At<'t>> {
    to.at.get("from")?.get(from)?.get("firewall")?.value(word)
}

fn zones(
    reader: &mut Reader<'_>,
    cx: &Context<'_>,
    sets: &Rulesets,
    family: Family,
    state: &[Rule],
    (forwarded, received): (&[Rule], &[Rule]),
) {
    let places = [cx.root.path(&["zone-policy"]), cx.root.path(&["firewall"])];
    let zones: Vec<Zone<'_>> = places.into_iter().flatten().flat_map(|p| p.all("zone")).map(zone).collect();
    let Some(first) = zones.first() else { return };
    let (span, word) = (first.at.line(), if family == Family::V4 { "name" } else { "ipv6-name" });
    let names: HashMap<&str, &Zone<'_>> = zones.iter().map(|z| (z.at.word(), z)).collect();
    for zone in &zones {
        for from in zone.at.all("from") {
            if !names.contains_key(from.word()) {
                from.note(Unsupported, format!("there is no zone {}", from.word()));
            }
        }
    }
    let mut forward = [forwarded, state].concat();
    for zone in zones.iter().filter(|z| !z.local) {
        let id = zone_chain(reader, sets, family, zone, &names);
        let to = zone.on(reader, Direction::Out);
        forward.push(Rule::implied("way into a zone", to, Action::Jump(id), zone.at.line()));
    }
    hang(reader, six(family, "zones: forward"), forward, (Hook::Forward, 2), &[family], accepting(span));
    let Some(local) = zones.iter().find(|z| z.local) else { return };
    let loopback = |direction| Match::Interface(direction, NamePattern::exact("lo"));
    let default = || {
        let value = local.at.value("default-action");
        Rule::implied("default action of a zone", Match::Any, rules::fate(value), value.map_or(local.at.line(), At::line))
    };
    let mut input = [received, state].concat();
    input.push(Rule::implied("loopback", loopback(Direction::In), Action::Accept, local.at.line()));
    for from in zones.iter().filter(|z| !z.local) {
        let Some(value) = ruleset(local, from.at.word(), word) else { continue };
        let on = from.on(reader, Direction::In);
        input.push(Rule::new(on.clone(), sets.chain(reader, family, value), value.line()));
        input.push(Rule::implied("way between zones", on, Action::Accept, value.line()));
    }
    input.push(default());
    hang(reader, six(family, "zones: input"), input, (Hook::Input, 2), &[family], accepting(span));
    let mut output = state.to_vec();
    output.push(Rule::implied("loopback", loopback(Direction::Out), Action::Accept, local.at.line()));
    let from_local = |z: &Zone<'_>| ["name", "ipv6-name"].iter().any(|w| ruleset(z, local.at.word(), w).is_some());
    let any = zones.iter().any(from_local);
    for to in zones.iter().filter(|z| !z.local) {
        let Some(value) = ruleset(to, local.at.word(), word) else { continue };
        let on = to.on(reader, Direction::Out);
        output.push(Rule::new(on.clone(), sets.chain(reader, family, value), value.line()));
        output.push(Rule::implied("way between zones", on, Action::Accept, value.line()));
    }
    output.push(default());
    // Up to 1.3 the chain is only reached where a zone has a ruleset for what comes from the device, of whichever family (`add_fromzone_fw` of
    // Vyatta's `vyatta-zone.pl`).
    if any || cx.era.nftables() {
        hang(reader, six(family, "zones: output"), output, (Hook::Output, 2), &[family], accepting(span));
    }
}

fn zone(at: At<'_>) -> Zone<'_> {
    at.get("description").into_iter().for_each(|d| d.mark_all(Irrelevant));
    for log in ["default-log", "enable-default-log"] {
        at.get(log).into_iter().for_each(|l| l.mark_all(crate::diag::LineState::Understood));
    }
    let member = at.get("member");
    let mut interfaces = at.all("interface");
    interfaces.extend(member.into_iter().flat_map(|m| m.all("interface")));
    let mut vrfs = at.all("vrf");
    vrfs.extend(member.into_iter().flat_map(|m| m.all("vrf")));
    Zone { at, local: at.has("local-zone"), interfaces: interfaces.iter().map(|i| super::values::pattern(i.word())).collect(), vrfs }
}

/// What leaves to a zone: from the zone itself it passes, from others by their rulesets, else the default action.
fn zone_chain<'t>(reader: &mut Reader<'_>, sets: &Rulesets, family: Family, zone: &Zone<'t>, zones: &HashMap<&str, &Zone<'t>>) -> ChainId {
    let id = rules::chain(reader, six(family, &format!("zone {}", zone.at.word())), zone.at.line());
    let mut out = Vec::new();
    let within = zone.on(reader, Direction::In);
    let word = if family == Family::V4 { "name" } else { "ipv6-name" };
    let mut action = (Action::Accept, zone.at.line());
    if let Some(intra) = zone.at.get("intra-zone-filtering") {
        // `nft_intra_zone_action` of vyos-1x.
        match (intra.value("action"), intra.get("firewall").and_then(|f| f.value(word))) {
            (Some(value), _) => action = (rules::fate(Some(value)), value.line()),
            (None, Some(value)) => out.push(Rule::new(within.clone(), sets.chain(reader, family, value), value.line())),
            (None, None) => {}
        }
    }
    out.push(Rule::implied("traffic within a zone", within, action.0, action.1));
    for from in zone.at.all("from") {
        let Some(from) = zones.get(from.word()).filter(|z| !z.local && z.at.word() != zone.at.word()) else { continue };
        let Some(value) = ruleset(zone, from.at.word(), word) else { continue };
        let on = from.on(reader, Direction::In);
        out.push(Rule::new(on.clone(), sets.chain(reader, family, value), value.line()));
        out.push(Rule::implied("way between zones", on, Action::Accept, value.line()));
    }
    let value = zone.at.value("default-action");
    let default = rules::fate(value);
    out.push(Rule::implied("default action of a zone", Match::Any, default, value.map_or(zone.at.line(), At::line)));
    rules::fill(reader, id, out);
    id
}

/// Policy routes and EdgeOS's `modify`: they mark packets and may drop them, before routing (priority -150).
fn routes(reader: &mut Reader<'_>, cx: &Context<'_>, sets: &Rulesets, family: Family) {
    let (words, modify) = match family {
        Family::V4 => (["route", "route"], "modify"),
        Family::V6 => (["route6", "ipv6-route"], "ipv6-modify"),
    };
    let mut rules = Vec::new();
    let on = |name: &str| Match::Interface(Direction::In, super::values::pattern(name));
    for interface in &cx.interfaces {
        let mut values: Vec<At<'_>> = interface.at.get("policy").into_iter().flat_map(|p| words.map(|w| p.value(w))).flatten().collect();
        values.dedup_by_key(|v| v.line());
        if let Some(firewall) = interface.at.get("firewall") {
            values.extend(firewall.get("in").and_then(|d| d.value(modify)));
            for direction in ["out", "local"] {
                if let Some(value) = firewall.get(direction).and_then(|d| d.value(modify)) {
                    value.note(NotModelled, "what is modified on departure is not modelled");
                }
            }
        }
        for value in values {
            let action = sets.mark(reader, family, value);
            rules.extend(action.map(|action| Rule::new(on(&interface.name), action, value.line())));
        }
    }
    for word in &words[usize::from(family == Family::V4)..] {
        for route in cx.root.path(&["policy"]).into_iter().flat_map(|p| p.all(word)) {
            for interface in route.all("interface") {
                let action = sets.mark(reader, family, route);
                rules.extend(action.map(|action| Rule::new(on(interface.word()), action, interface.line())));
            }
        }
    }
    if let Some(first) = rules.first() {
        let span = first.span;
        hang(reader, six(family, "policy routes"), rules, (Hook::Prerouting, -150), &[family], accepting(span));
    }
}

/// A chain that marks fragments before they are put together, where a rule asks for the mark.
fn fragments(reader: &mut Reader<'_>) {
    let mut asked: Option<Span> = None;
    for rule in reader.device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| {
            if let Match::Field(Field::Mark, _) = m {
                asked = asked.or(Some(rule.span));
            }
        });
    }
    let Some(span) = asked else { return };
    let fragment = Match::Field(Field::Fragment, Ranges::interval(1, 2));
    let mut rule = Rule::implied("mark of fragments", fragment, Action::Continue, span);
    rule.effects.push(Effect::Set(Field::Mark, super::FRAGMENT_MARK));
    hang(reader, "mark of fragments".into(), vec![rule], (Hook::Prerouting, -450), &Family::BOTH, accepting(span));
}

/// `system conntrack ignore`: connections that are not tracked.
fn untracked(reader: &mut Reader<'_>, cx: &Context<'_>) {
    let Some(ignore) = cx.root.path(&["system", "conntrack", "ignore"]) else { return };
    let places = [(ignore.get("ipv4"), Family::V4), (ignore.get("ipv6"), Family::V6), (Some(ignore), Family::V4)];
    for (at, family) in places {
        let mut out = Vec::new();
        for rule in at.into_iter().flat_map(|a| a.numbered("rule")) {
            let matcher = matching::rule(reader, cx, rule, family, &["disable"]);
            let mut made = Rule::new(matcher, Action::Continue, rule.whole());
            made.effects.push(Effect::Untrack);
            made.enabled = !rule.has("disable");
            made.name = Some(rule.word().to_owned());
            out.push(made);
        }
        let Some(first) = out.first() else { continue };
        let span = first.span;
        let name = six(family, "conntrack ignore");
        for hook in [Hook::Prerouting, Hook::Output] {
            hang(reader, format!("{name}: {}", hook.name()), out.clone(), (hook, -300), &[family], accepting(span));
        }
    }
}
