//! Rulesets: their rules, actions and default actions.

use std::collections::HashMap;

use super::tree::At;
use super::{Context, Era, matching, values};
use crate::diag::LineState::{Irrelevant, NotModelled, Unsupported};
use crate::model::{Action, Chain, ChainId, Effect, Rule};
use crate::net::Family;
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Statements of a rule that say what becomes of a packet.
const WHAT: &[&str] = &[
    "action",
    "disable",
    "log",
    "jump-target",
    "offload-target",
    "queue",
    "queue-options",
    "set",
    "synproxy",
    "add-address-to-group",
    "modify",
];

/// Rulesets by name.
#[derive(Default)]
pub(super) struct Rulesets {
    ids: HashMap<(Family, String), ChainId>,
    /// Marks that policy routes and `modify` set, of IPv4 and IPv6 (another space of names).
    marks: HashMap<(Family, String), ChainId>,
}

pub(super) fn space(family: Family) -> &'static str {
    if family == Family::V4 { "firewall ruleset" } else { "IPv6 firewall ruleset" }
}

impl Rulesets {
    /// The chain of a ruleset that is bound, jumped to, or used between zones.
    pub fn chain(&self, reader: &mut Reader<'_>, family: Family, value: At<'_>) -> Action {
        let name = value.word();
        reader.device.names.used(space(family), name, value.line());
        match self.ids.get(&(family, name.to_owned())) {
            Some(id) => Action::Jump(*id),
            None => {
                value.note(Unsupported, format!("there is no {} {name}", space(family)));
                Action::Opaque(format!("the ruleset {name}, which is not there").into())
            }
        }
    }

    /// The chain of a policy route or `modify` ruleset.
    pub fn mark(&self, reader: &mut Reader<'_>, family: Family, value: At<'_>) -> Option<Action> {
        reader.device.names.used(route_space(family), value.word(), value.line());
        let found = self.marks.get(&(family, value.word().to_owned())).map(|id| Action::Jump(*id));
        if found.is_none() {
            value.note(Unsupported, format!("there is no {} {}", route_space(family), value.word()));
        }
        found
    }
}

fn route_space(family: Family) -> &'static str {
    if family == Family::V4 { "policy route" } else { "IPv6 policy route" }
}

/// A chain without rules, to be filled: others may jump to it.
pub(super) fn chain(reader: &mut Reader<'_>, name: String, span: Span) -> ChainId {
    let id = ChainId(reader.device.chains.len() as u32);
    reader.device.chains.push(Chain { name, span, rules: vec![] });
    id
}

pub(super) fn fill(reader: &mut Reader<'_>, id: ChainId, rules: Vec<Rule>) {
    if let Some(chain) = reader.device.chains.get_mut(id.0 as usize) {
        chain.rules = rules;
    }
}

/// Lowers all rulesets that have a name.
pub(super) fn named(reader: &mut Reader<'_>, cx: &Context<'_>) -> Rulesets {
    let mut out = Rulesets::default();
    let mut todo = Vec::new();
    let root = cx.root;
    let places: [(&[&str], &str, Family); 4] = [
        (&["firewall"], "name", Family::V4),
        (&["firewall"], "ipv6-name", Family::V6),
        (&["firewall", "ipv4"], "name", Family::V4),
        (&["firewall", "ipv6"], "name", Family::V6),
    ];
    for (path, word, family) in places {
        for at in root.path(path).into_iter().flat_map(|f| f.all(word)) {
            reader.device.names.define(space(family), at.word(), at.line());
            let name = [path.get(1).copied().unwrap_or(""), word, at.word()].join(" ").trim_start().to_owned();
            let id = chain(reader, name, at.line());
            out.ids.insert((family, at.word().to_owned()), id);
            todo.push((id, at, family));
        }
    }
    for (id, at, family) in todo {
        let mut rules = rules(reader, cx, &out, at, family);
        rules.extend(default(reader, cx, &out, at, family));
        fill(reader, id, rules);
    }
    let routes: [(&[&str], &str, Family); 5] = [
        (&["policy"], "route", Family::V4),
        (&["policy"], "route6", Family::V6),
        (&["policy"], "ipv6-route", Family::V6),
        (&["firewall"], "modify", Family::V4),
        (&["firewall"], "ipv6-modify", Family::V6),
    ];
    for (path, word, family) in routes {
        for at in root.path(path).into_iter().flat_map(|f| f.all(word)) {
            reader.device.names.define(route_space(family), at.word(), at.line());
            for key in ["description", "enable-default-log", "default-log"] {
                at.get(key).into_iter().for_each(|d| d.mark_all(Irrelevant));
            }
            let id = chain(reader, format!("{word} {}", at.word()), at.line());
            let made = at.numbered("rule").into_iter().map(|r| rule(reader, cx, &out, r, family, true)).collect();
            fill(reader, id, made);
            out.marks.insert((family, at.word().to_owned()), id);
        }
    }
    out
}

/// The rules of a ruleset in the order of their numbers.
pub(super) fn rules(reader: &mut Reader<'_>, cx: &Context<'_>, sets: &Rulesets, at: At<'_>, family: Family) -> Vec<Rule> {
    for key in ["description", "enable-default-log", "default-log"] {
        at.get(key)
            .into_iter()
            .for_each(|d| d.mark_all(if key == "description" { Irrelevant } else { crate::diag::LineState::Understood }));
    }
    at.numbered("rule").into_iter().map(|r| rule(reader, cx, sets, r, family, false)).collect()
}

fn rule(reader: &mut Reader<'_>, cx: &Context<'_>, sets: &Rulesets, at: At<'_>, family: Family, marks: bool) -> Rule {
    let matcher = matching::rule(reader, cx, at, family, WHAT);
    let mut effects = Vec::new();
    let table = set(cx, at, &mut effects);
    let action = match at.value("action") {
        Some(value) => action(reader, cx, sets, at, value, family, &mut effects),
        // A policy route that chooses a table decides; one that only marks goes on, as the target MARK of iptables does.
        None if marks && table => Action::Accept,
        None if marks || cx.era == Era::New => Action::Continue,
        None => {
            at.note(Unsupported, "a rule without an action, which the system refuses");
            Action::Opaque("a rule without an action".into())
        }
    };
    let mut rule = Rule::new(matcher, action, at.line());
    if let Some(more) = at.get("add-address-to-group") {
        more.note(NotModelled, "which addresses come into a group at run time is not modelled");
    }
    rule.effects = effects;
    rule.whole = at.whole();
    rule.span = at.whole();
    rule.enabled = !at.has("disable");
    rule.log = at.get("log").is_some_and(|l| l.children().next().is_none_or(|v| v.word() != "disable"));
    if rule.log {
        at.all("log");
    }
    at.all("log");
    rule.comment = at.text("description").map(str::to_owned);
    rule.name = Some(at.word().to_owned());
    rule
}

/// What a rule sets; whether it chooses a routing table.
fn set(cx: &Context<'_>, at: At<'_>, effects: &mut Vec<Effect>) -> bool {
    let mut table = false;
    // `modify` is EdgeOS's word for what `set` is in a policy route.
    for set in [at.get("set"), at.get("modify")].into_iter().flatten() {
        for part in set.children() {
            part.touch();
            let value = set.text(part.word()).unwrap_or_default();
            let number = values::number(value, u32::MAX.into()).and_then(|r| r.as_single());
            match (part.word(), number) {
                ("mark", Some(n)) => effects.push(Effect::Set(Field::Mark, n)),
                ("connection-mark", Some(n)) => effects.push(Effect::Set(Field::CtMark, n)),
                ("dscp", Some(n)) if n < 64 => effects.push(Effect::Set(Field::Dscp, n)),
                ("ttl" | "hop-limit", Some(n)) if n < 256 => effects.push(Effect::Set(Field::Ttl, n)),
                ("tcp-mss", _) => part.mark_all(Irrelevant),
                ("table" | "vrf" | "lb-group", _) => {
                    part.note(NotModelled, "policy routing is not modelled: packets are taken to go by the main table");
                    table = true;
                    // The mark that stands for the table (`set_table` of vyos-1x, `add_route_table` of Vyatta).
                    match number.filter(|n| *n < 0x7fff_ffff) {
                        Some(n) if cx.era.nftables() => effects.push(Effect::Set(Field::Mark, 0x7fff_ffff - n)),
                        Some(n) if part.word() == "table" => effects.push(Effect::Set(Field::Mark, 0x7fff_ffff + n)),
                        _ => effects.push(Effect::Unknown(Field::Mark)),
                    }
                }
                _ => {
                    part.note(NotModelled, format!("what `set {}` changes is not modelled", part.word()));
                    effects.push(Effect::Unknown(Field::Mark));
                }
            }
        }
    }
    table
}

/// What is behind a reject: `icmp port-unreachable`, also for TCP (`reject` of nftables, `REJECT` of iptables without a type).
const REJECT: &str = "icmp port-unreachable";

fn action(
    reader: &mut Reader<'_>,
    cx: &Context<'_>,
    sets: &Rulesets,
    at: At<'_>,
    value: At<'_>,
    family: Family,
    effects: &mut Vec<Effect>,
) -> Action {
    match value.word() {
        "accept" => cx.accept(),
        "drop" => Action::Drop,
        "reject" => Action::Reject(REJECT.into()),
        "return" => Action::Return,
        "continue" => Action::Continue,
        "modify" => Action::Continue,
        "jump" => match at.value("jump-target").or(at.value("default-jump-target")) {
            Some(target) => sets.chain(reader, family, target),
            None => {
                value.note(Unsupported, "a jump without a target, which the system refuses");
                Action::Opaque("a jump without a target".into())
            }
        },
        "notrack" => {
            effects.push(Effect::Untrack);
            Action::Continue
        }
        // What is put into a flow table goes on: it is a packet of a connection that was let through (`flow add` of nft(8)).
        "offload" => {
            at.all("offload-target");
            Action::Continue
        }
        "queue" | "synproxy" | "inspect" => {
            for word in ["queue", "queue-options", "synproxy"] {
                at.get(word).into_iter().for_each(|q| q.mark_all(NotModelled));
            }
            value.note(NotModelled, format!("what becomes of packets by `{}` is not modelled", value.word()));
            Action::Opaque(value.word().into())
        }
        other => {
            value.note(Unsupported, format!("{other} is no action that is known"));
            Action::Opaque(format!("action {other}").into())
        }
    }
}

/// What a ruleset does with packets that no rule of it meets: it drops them where nothing is written (`default-action`: vyos-1x,
/// `default-action.xml.i`; Vyatta, `update_rules`).
fn default(reader: &mut Reader<'_>, cx: &Context<'_>, sets: &Rulesets, at: At<'_>, family: Family) -> Option<Rule> {
    let (action, span) = match at.value("default-action") {
        Some(value) => (action(reader, cx, sets, at, value, family, &mut Vec::new()), value.line()),
        None => (Action::Drop, at.line()),
    };
    let mut rule = Rule::implied("default action", crate::model::Match::Any, action, span);
    rule.log = at.has("enable-default-log") || at.has("default-log");
    (rule.action != Action::Continue).then_some(rule)
}

/// `state-policy`: what becomes of packets by the state of their connection, before all rules.
pub(super) fn state_policy(cx: &Context<'_>) -> Vec<Rule> {
    use crate::packets::fields::ct;
    let places = [cx.root.path(&["firewall", "state-policy"]), cx.root.path(&["firewall", "global-options", "state-policy"])];
    let Some(policy) = places.into_iter().flatten().next() else { return vec![] };
    let mut out = Vec::new();
    for (word, number) in [("established", ct::ESTABLISHED), ("invalid", ct::INVALID), ("related", ct::RELATED)] {
        let Some(state) = policy.get(word) else { continue };
        state.get("log-level").into_iter().for_each(|l| l.mark_all(Irrelevant));
        let action = match state.text("action") {
            Some("accept") => Action::Accept,
            Some("drop") => Action::Drop,
            Some("reject") => Action::Reject(REJECT.into()),
            Some(other) => Action::Opaque(format!("action {other}").into()),
            None => continue,
        };
        let matcher = crate::model::Match::Field(Field::Ct, crate::net::Ranges::single(number));
        // It stands in every chain, and each but the first may have nothing left to do.
        let mut rule = Rule::implied("state policy", matcher, action, state.whole());
        rule.log = state.get("log").is_some_and(|l| l.children().next().is_none_or(|v| v.word() != "disable"));
        state.all("log");
        out.push(rule);
    }
    if let Some(offload) = policy.get("offload") {
        offload.mark_all(crate::diag::LineState::Understood);
    }
    out
}

/// What a zone or an interface does by its default action.
pub(super) fn fate(value: Option<At<'_>>) -> Action {
    match value.map(At::word) {
        None | Some("drop") => Action::Drop,
        Some("reject") => Action::Reject(REJECT.into()),
        Some("accept") => Action::Accept,
        Some(other) => Action::Opaque(format!("default-action {other}").into()),
    }
}
