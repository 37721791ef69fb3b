//! Policies between zones.

use super::chains::Chains;
use super::lower::{Owner, World, contents, family_of, pattern, target};
use super::objects::{Body, Said};
use super::places::place;
use super::settings::Settings;
use crate::diag::LineState;
use crate::model::{Action, Direction, Match};
use crate::net::Family;
use crate::packets::Field;

/// One end of a policy: what packets must look like there, with the family that they then have.
struct End {
    matcher: Match,
    family: Option<Family>,
}

/// Lowers every policy that is in use.
pub(super) fn lower(chains: &mut Chains<'_, '_>, world: &World, settings: &Settings) {
    let mut order: Vec<&Body> = world.policies.iter().collect();
    order.sort_by_key(|p| p.priority);
    for policy in order {
        one(chains, world, policy, settings);
    }
}

/// Whether one end names something that is there: the host, any zone, or a zone with an interface or source (or perhaps the default one).
fn active(world: &World, names: &[Said<String>], settings: &Settings) -> bool {
    let bound = |name: &str| world.zone(name).is_some_and(|z| !(z.interfaces.is_empty() && z.sources.is_empty()));
    names.iter().any(|n| matches!(n.value.as_str(), "HOST" | "ANY") || bound(&n.value) || world.may_be_default(&n.value, settings))
}

fn has(names: &[Said<String>], name: &str) -> bool {
    names.iter().any(|n| n.value == name)
}

/// The hooks at which a policy is asked (firewalld `_get_table_chains_for_policy_dispatch`, nftables backend).
fn hooks(policy: &Body, egress_has_interfaces: bool) -> Vec<&'static str> {
    let (from_any, from_host) = (has(&policy.ingress, "ANY"), has(&policy.ingress, "HOST"));
    let (to_any, to_host) = (has(&policy.egress, "ANY"), has(&policy.egress, "HOST"));
    match () {
        () if from_any && to_host => vec!["filter_INPUT", "nat_PREROUTING", "mangle_PREROUTING"],
        () if to_host => vec!["filter_INPUT"],
        () if from_host => vec!["filter_OUTPUT", "nat_OUTPUT"],
        () if to_any => vec!["filter_FORWARD", "nat_PREROUTING", "mangle_PREROUTING", "nat_POSTROUTING"],
        () if egress_has_interfaces => vec!["filter_FORWARD", "nat_POSTROUTING"],
        () => vec!["filter_FORWARD", "nat_POSTROUTING", "nat_PREROUTING", "mangle_PREROUTING"],
    }
}

fn one(chains: &mut Chains<'_, '_>, world: &World, policy: &Body, settings: &Settings) {
    let nowhere = policy.ingress.is_empty() || policy.egress.is_empty();
    let both_host = has(&policy.ingress, "HOST") && has(&policy.egress, "HOST");
    let mixed = |names: &[Said<String>]| names.len() > 1 && (has(names, "ANY") || has(names, "HOST"));
    if nowhere || both_host || mixed(&policy.ingress) || mixed(&policy.egress) {
        let text = "firewalld needs one or more zones, or ANY, or HOST, at each end of a policy, and HOST at one end only";
        match nowhere {
            true => chains.reader.mark(policy.span, LineState::Understood),
            false => chains.reader.incomplete(policy.span, LineState::Unsupported, text),
        }
        return;
    }
    for name in policy.ingress.iter().chain(&policy.egress) {
        let named = matches!(name.value.as_str(), "ANY" | "HOST") || world.zone(&name.value).is_some();
        if !named {
            let text =
                format!("the zone `{}` was not read, and firewalld ships none of that name: it would not load this policy", name.value);
            chains.reader.incomplete(name.span, LineState::Unsupported, text);
        }
    }
    let egress_has_interfaces = policy.egress.iter().any(|e| world.zone(&e.value).is_some_and(|z| !z.interfaces.is_empty()));
    let hooks = hooks(policy, egress_has_interfaces);
    let suffix = format!("policy_{}", policy.name);
    let chain_of = |hook: &str| {
        let prefix = match hook {
            "filter_INPUT" => "filter_IN",
            "filter_OUTPUT" => "filter_OUT",
            "filter_FORWARD" => "filter_FWD",
            "nat_OUTPUT" => "nat_OUT",
            "nat_PREROUTING" => "nat_PRE",
            "nat_POSTROUTING" => "nat_POST",
            _ => "mangle_PRE",
        };
        format!("{prefix}_{suffix}")
    };
    let find = |wanted: &[&str]| hooks.iter().find(|h| wanted.contains(h)).map(|h| chain_of(h));
    let filter = find(&["filter_INPUT", "filter_OUTPUT", "filter_FORWARD"]);
    let owner = Owner {
        filter,
        destination: find(&["nat_PREROUTING", "nat_OUTPUT"]),
        source: find(&["nat_POSTROUTING"]),
        mangle: find(&["mangle_PREROUTING"]),
    };
    if !(active(world, &policy.ingress, settings) && active(world, &policy.egress, settings)) {
        // No zone of it has an interface or source: firewalld makes nothing of it.
        return;
    }
    let from = ends(chains, world, &policy.ingress, Direction::In, Field::Src, settings);
    let to = ends(chains, world, &policy.egress, Direction::Out, Field::Dst, settings);
    let side = if policy.priority < 0 { "pre" } else { "post" };
    for hook in &hooks {
        let name = chain_of(hook);
        chains.skeleton(&name, None, policy.span);
        let to_chain = chains.chain(&name, policy.span);
        for a in &from {
            for b in &to {
                if !chains.step() {
                    break;
                }
                if a.family.is_some() && b.family.is_some() && a.family != b.family {
                    continue;
                }
                let mut parts = vec![a.matcher.clone(), b.matcher.clone()];
                if policy.doubtful {
                    parts.push(chains.condition(&format!("policy {} is in force as it is read", policy.name), policy.span));
                }
                let matcher = Match::all(parts);
                chains.implied(&format!("{hook}_POLICIES_{side}"), "dispatch of a policy", matcher, Action::Jump(to_chain), policy.span);
            }
        }
    }
    contents(chains, world, policy, &owner, settings);
    if let Some(filter) = &owner.filter {
        target(chains, filter, policy, settings);
    }
}

/// The interfaces and sources of the zones of an end; one that holds for every packet for ANY, HOST, or zones without either.
fn ends(
    chains: &mut Chains<'_, '_>,
    world: &World,
    names: &[Said<String>],
    direction: Direction,
    field: Field,
    settings: &Settings,
) -> Vec<End> {
    let mut found: Vec<End> = Vec::new();
    for (name, zone) in names.iter().filter_map(|n| Some((n, world.zone(&n.value)?))) {
        for interface in &zone.interfaces {
            found.push(End { matcher: Match::Interface(direction, pattern(&interface.value)), family: None });
        }
        for source in &zone.sources {
            let family = family_of(&source.value, &world.sets);
            found.push(End { matcher: place(chains, &world.sets, &source.value, false, field, source.span), family });
        }
        if world.may_be_default(&zone.name, settings) {
            // Up to 1.3 the interfaces that no zone names are of no zone for a policy; from 2.0 on the default zone is always active.
            let text = "for policies, interfaces that no zone names are of the default zone in newer versions of firewalld only";
            chains.reader.note(name.span, LineState::NotModelled, text);
            found.push(End { matcher: chains.condition(text, name.span), family: None });
        }
    }
    if found.is_empty() {
        found.push(End { matcher: Match::Any, family: None });
    }
    found
}
