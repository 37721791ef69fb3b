//! Second pass: tables and rule lines become the model's chains.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::defaults::{DEFAULT_POLICY, TableKind};
use super::rule::{ChainRef, Context, RuleReader, Shared};
use super::statements::{Table, Unknown};
use super::tokens::{Token, split};
use crate::diag::LineState;
use crate::model::{Action, BaseChain, Chain, ChainId, Hook, Match, NamedSet, NatKind, Policy, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::source::Span;
use crate::vendors::Reader;

/// A NETMAP that waits for its side: chain, place of the rule in it, network.
type Netmap = (usize, usize, Ranges);

/// Lowers all tables into the reader's device.
pub(super) fn lower(reader: &mut Reader<'_>, tables: &[Table]) {
    // Whether the dump will be loaded through nftables is not known.
    reader.device.reads_fragments = true;
    let mut ordinals = HashMap::new();
    let mut flags = HashMap::new();
    let mut fills: Vec<(String, Span)> = Vec::new();
    for table in tables {
        let first = reader.device.chains.len();
        // Chains that are defined, or have rules: those get a number. A chain that is only jumped to has none.
        let mut ids: HashMap<&str, ChainId> = HashMap::new();
        let kept: Vec<_> = table.chains.iter().filter(|c| !c.deleted && (c.declared || !c.rules.is_empty())).collect();
        for (i, chain) in kept.iter().enumerate() {
            ids.insert(&chain.name, ChainId((first + i) as u32));
        }
        let lookup = |name: &str| match ids.get(name) {
            _ if table.kind.builtin(name).is_some() => ChainRef::Builtin,
            Some(id) => ChainRef::User(*id),
            None => ChainRef::None,
        };
        let mut netmaps: Vec<Netmap> = Vec::new();
        let mut words = Vec::new();
        for (i, lines) in kept.iter().enumerate() {
            if !lines.declared {
                reader.refused(lines.span, format!("chain `{}` has rules but is not created: the kernel would refuse them", lines.name));
            }
            let mut chain = Chain { name: name(table, &lines.name), span: lines.span, rules: Vec::with_capacity(lines.rules.len()) };
            for line in &lines.rules {
                words.clear();
                match (line.words.and_then(|w| table.words.get(w as usize)), &line.built) {
                    (Some(list), _) => {
                        let (start, end) = (line.from, line.span.end as usize);
                        words.extend(list.iter().map(|w| Token { text: w.text.as_str().into(), start, end, quoted: w.value }));
                    }
                    (None, Some(built)) => {
                        split(&built.words, 0, built.words.len(), line.quoting, &mut words);
                    }
                    (None, None) => {
                        split(&reader.text_of(line.span.file).text, line.from, line.span.end as usize, line.quoting, &mut words);
                    }
                }
                let context = Context { family: table.family, table: table.kind, span: line.span, chain: &lookup };
                let shared = Shared { conditions: &mut reader.device.conditions, ordinals: &mut ordinals, flags: &mut flags };
                let mut lowered = RuleReader::new(&words, context, shared).read();
                match line.built.as_ref().and_then(|b| b.unknown.as_ref()) {
                    Some(Unknown::Match(what)) => {
                        let id = reader.device.conditions.intern(what, line.span);
                        lowered.matcher = Match::all(vec![lowered.matcher, Match::Opaque(id)]);
                    }
                    Some(Unknown::Action(what)) => lowered.action = Action::Opaque(what.clone()),
                    None => {}
                }
                if line.hides_interfaces {
                    let text = format!("the interfaces of rule {} of {}, which are not shown", chain.rules.len() + 1, chain.name);
                    let hidden = Match::Opaque(reader.device.conditions.intern(&text, line.span));
                    lowered.matcher = Match::all(vec![lowered.matcher, hidden]);
                }
                if let Some(net) = lowered.netmap {
                    netmaps.push((first + i, chain.rules.len(), net));
                }
                fills.extend(lowered.fills.map(|n| (n, line.span)));
                let implied = line.built.as_ref().and_then(|b| b.implied);
                for (state, text) in lowered.notes {
                    let text = implied.map_or_else(|| text.clone(), |what| format!("{what}: {text}"));
                    if lowered.refused && state == LineState::Unsupported {
                        reader.refused(line.span, text);
                    } else {
                        reader.note(line.span, state, text);
                    }
                }
                chain.rules.push(Rule {
                    effects: lowered.effects,
                    log: lowered.log,
                    comment: lowered.comment,
                    packets: line.packets.or(lowered.packets),
                    implied,
                    ..Rule::new(lowered.matcher, lowered.action, line.span)
                });
            }
            reader.device.chains.push(chain);
            if let Some((hook, priority)) = table.kind.builtin(&lines.name) {
                let (action, span) = lines.policy.unwrap_or((DEFAULT_POLICY, lines.span));
                reader.device.base_chains.push(BaseChain {
                    chain: ChainId((first + i) as u32),
                    hook,
                    priority,
                    families: vec![table.family],
                    nat: table.kind == TableKind::Nat,
                    policy: Policy { action, span },
                    devices: Vec::new(),
                });
            }
        }
        cut_cycles(reader, first);
        if table.kind == TableKind::Nat {
            sides(reader, first, table.family, netmaps);
        }
    }
    let mut seen = HashSet::new();
    for (name, span) in fills {
        if seen.insert(name.clone()) {
            let name: Arc<str> = format!("ipset/{name}").into();
            match reader.device.sets.iter_mut().find(|s| s.name == name) {
                Some(set) => set.dynamic = true,
                None => reader.device.sets.push(NamedSet { name, span, elements: Vec::new(), dynamic: true }),
            }
        }
    }
}

/// A chain's name in the model.
fn name(table: &Table, chain: &str) -> String {
    match table.family {
        Family::V4 => format!("{}/{chain}", table.kind.name()),
        Family::V6 => format!("ip6 {}/{chain}", table.kind.name()),
    }
}

/// The chain that an action goes to, as an index.
fn goes_to(action: &Action) -> Option<usize> {
    match action {
        Action::Jump(c) | Action::Goto(c) => Some(c.0 as usize),
        _ => None,
    }
}

/// Makes a jump opaque where it closes a cycle: the kernel refuses such rulesets (`mark_source_chains` in ip_tables.c).
pub(super) fn cut_cycles(reader: &mut Reader<'_>, first: usize) {
    #[derive(Clone, Copy, PartialEq)]
    enum Color {
        New,
        Open,
        Done,
    }
    let count = reader.device.chains.len();
    let mut colors = vec![Color::New; count];
    // Depth first with a stack of (chain, next rule).
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for root in first..count {
        if colors[root] != Color::New {
            continue;
        }
        colors[root] = Color::Open;
        stack.push((root, 0));
        while let Some((chain, rule)) = stack.pop() {
            let rules = &reader.device.chains[chain].rules;
            let Some((at, to)) = rules.iter().enumerate().skip(rule).find_map(|(i, r)| Some((i, goes_to(&r.action)?))) else {
                colors[chain] = Color::Done;
                continue;
            };
            stack.push((chain, at + 1));
            match colors.get(to) {
                Some(Color::New) => {
                    colors[to] = Color::Open;
                    stack.push((to, 0));
                }
                Some(Color::Open) => {
                    let name = reader.device.chains[to].name.clone();
                    let rule = &mut reader.device.chains[chain].rules[at];
                    let span = rule.span;
                    rule.action = Action::Opaque(format!("jump to {name}").into());
                    reader.refused(span, format!("the jump to `{name}` closes a cycle, which the kernel refuses"));
                }
                _ => {}
            }
        }
    }
}

/// Settles what depends on which hook a nat chain is called from: NETMAP translates the destination when it is reached from
/// PREROUTING or OUTPUT, else the source; the other targets are refused on the wrong side (`nf_nat_*_checkentry` hook masks in xt_nat.c).
pub(super) fn sides(reader: &mut Reader<'_>, first: usize, family: Family, netmaps: Vec<Netmap>) {
    const DESTINATION: u8 = 1;
    const SOURCE: u8 = 2;
    let count = reader.device.chains.len();
    let mut side = vec![0u8; count];
    let mut todo: Vec<usize> = Vec::new();
    for base in reader.device.base_chains.iter().filter(|b| b.chain.0 as usize >= first) {
        let bit = if matches!(base.hook, Hook::Prerouting | Hook::Output) { DESTINATION } else { SOURCE };
        side[base.chain.0 as usize] |= bit;
        todo.push(base.chain.0 as usize);
    }
    while let Some(chain) = todo.pop() {
        for rule in &reader.device.chains[chain].rules {
            if let Some(to) = goes_to(&rule.action)
                && let Some(&old) = side.get(to)
                && old | side[chain] != old
            {
                side[to] |= side[chain];
                todo.push(to);
            }
        }
    }
    for (chain, rule, net) in netmaps {
        let kind = match side[chain] {
            DESTINATION => NatKind::Destination,
            SOURCE => NatKind::Source,
            _ => {
                let span = reader.device.chains[chain].rules[rule].span;
                reader.note(
                    span,
                    LineState::Unsupported,
                    "target `NETMAP` in a chain that is called from both sides or from none is not followed",
                );
                continue;
            }
        };
        let addresses = Some((family, net));
        reader.device.chains[chain].rules[rule].action =
            Action::Nat(Translation { kind, addresses, keep_host_bits: true, ports: None, unknown: false });
    }
    for (chain, side) in side.iter().enumerate().skip(first) {
        for i in 0..reader.device.chains[chain].rules.len() {
            let rule = &reader.device.chains[chain].rules[i];
            let Action::Nat(t) = &rule.action else { continue };
            let wanted = if matches!(t.kind, NatKind::Destination | NatKind::Redirect) { DESTINATION } else { SOURCE };
            if side & !wanted != 0 {
                let span = rule.span;
                reader.device.chains[chain].rules[i].action = Action::Opaque("address translation at the wrong hook".into());
                reader.refused(span, "this translation is not possible at the hook that calls its chain: the kernel refuses it");
            }
        }
    }
}
