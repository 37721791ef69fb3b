//! Single rules that another format of this family carries in the words of iptables.

use std::collections::HashMap;

use super::defaults::{DEFAULT_POLICY, TableKind};
use super::lower::{cut_cycles, sides};
use super::rule::{ChainRef, Context, RuleReader, Shared};
use super::tokens::{Quoting, split};
use crate::diag::LineState;
use crate::model::{Action, BaseChain, Chain, ChainId, Match, Policy, Rule};
use crate::net::{Family, Ranges};
use crate::source::Span;
use crate::vendors::Reader;

/// A rule for a chain of iptables.
pub(in crate::vendors::netfilter) struct DirectRule {
    pub family: Family,
    pub table: String,
    pub chain: String,
    /// Where the words stand.
    pub words: Span,
    /// The whole.
    pub span: Span,
    /// The words stand there as they are meant; else what they say is not known.
    pub plain: bool,
}

/// Makes the chains that `rules` (in order) and `declared` name, and fills them.
pub(in crate::vendors::netfilter) fn direct_chains(
    reader: &mut Reader<'_>,
    declared: &[(Family, String, String, Span)],
    rules: &[DirectRule],
) {
    let first = reader.device.chains.len();
    let mut ids: HashMap<(Family, &str, &str), ChainId> = HashMap::new();
    let named = declared.iter().map(|(f, t, c, s)| (*f, t.as_str(), c.as_str(), *s, true));
    let used = rules.iter().map(|r| (r.family, r.table.as_str(), r.chain.as_str(), r.span, false));
    for (family, table, chain, span, created) in named.chain(used) {
        let Some(kind) = TableKind::of(table) else {
            reader.note(span, LineState::Unsupported, format!("there is no table `{table}` in iptables"));
            continue;
        };
        if ids.contains_key(&(family, table, chain)) {
            continue;
        }
        let builtin = kind.builtin(chain);
        if builtin.is_none() && !created {
            reader.note(span, LineState::Unsupported, format!("chain `{chain}` is not created: the rule would be refused"));
        }
        let id = ChainId(reader.device.chains.len() as u32);
        let prefix = if family == Family::V4 { "" } else { "ip6 " };
        reader.device.chains.push(Chain { name: format!("{prefix}{table}/{chain}"), span, rules: Vec::new() });
        ids.insert((family, table, chain), id);
        if let Some((hook, priority)) = builtin {
            let policy = Policy { action: DEFAULT_POLICY, span };
            let nat = kind == TableKind::Nat;
            reader.device.base_chains.push(BaseChain { chain: id, hook, priority, families: vec![family], nat, policy, devices: vec![] });
        }
    }
    let (mut ordinals, mut flags) = (HashMap::new(), HashMap::new());
    let mut netmaps: HashMap<Family, Vec<(usize, usize, Ranges)>> = HashMap::new();
    for rule in rules {
        let Some(id) = ids.get(&(rule.family, rule.table.as_str(), rule.chain.as_str())).copied() else { continue };
        let Some(table) = TableKind::of(&rule.table) else { continue };
        let lookup = |name: &str| match ids.get(&(rule.family, rule.table.as_str(), name)) {
            _ if table.builtin(name).is_some() => ChainRef::Builtin,
            Some(id) => ChainRef::User(*id),
            None => ChainRef::None,
        };
        let file = reader.source(rule.words.file);
        let mut words = Vec::new();
        split(&file.text, rule.words.start as usize, rule.words.end as usize, Quoting::Shell, &mut words);
        if !rule.plain {
            reader.note(rule.span, LineState::NotModelled, "words that are written with references of XML are not read");
            let unread = Rule::new(Match::Any, Action::Opaque("a direct rule that is not read".into()), rule.span);
            if let Some(chain) = reader.device.chains.get_mut(id.0 as usize) {
                chain.rules.push(unread);
            }
            continue;
        }
        let context = Context { family: rule.family, table, span: rule.span, chain: &lookup };
        let shared = Shared { conditions: &mut reader.device.conditions, ordinals: &mut ordinals, flags: &mut flags };
        let lowered = RuleReader::new(&words, context, shared).read();
        for (state, text) in lowered.notes {
            reader.note(rule.span, state, text);
        }
        let Some(chain) = reader.device.chains.get_mut(id.0 as usize) else { continue };
        if let Some(net) = lowered.netmap {
            netmaps.entry(rule.family).or_default().push((id.0 as usize, chain.rules.len(), net));
        }
        chain.rules.push(Rule {
            effects: lowered.effects,
            log: lowered.log,
            comment: lowered.comment,
            packets: lowered.packets,
            ..Rule::new(lowered.matcher, lowered.action, rule.span)
        });
    }
    if reader.device.chains.len() > first {
        cut_cycles(reader, first);
        for (family, list) in netmaps {
            sides(reader, first, family, list);
        }
    }
}
