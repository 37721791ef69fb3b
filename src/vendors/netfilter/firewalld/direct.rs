//! Direct rules: words of iptables.
//!
//! With the nftables backend they stand in the chains of iptables (priority 0, before those of firewalld with priority 10), so that both must
//! let a packet through (firewalld.direct(5)).

use super::chains::Chains;
use super::files::Direct;
use crate::diag::LineState;
use crate::model::{Action, BaseChain, Hook, Match, Policy, PolicyAction};
use crate::net::Family;
use crate::vendors::netfilter::iptables::{DirectRule, direct_chains};

/// Lowers the rules in the order of their priorities; of equal ones in that of the text.
pub(super) fn lower(chains: &mut Chains<'_, '_>, direct: Vec<Direct>) {
    let mut rules: Vec<DirectRule> = Vec::new();
    let mut declared: Vec<(Family, String, String, crate::source::Span)> = Vec::new();
    let mut order: Vec<Direct> = Vec::new();
    for d in direct {
        if d.bridge {
            let text = "direct rules of ebtables are not modelled: they concern bridged frames";
            chains.reader.note(d.span, LineState::NotModelled, text);
        } else if d.passthrough {
            let text = "a passthrough may add, change or delete any rule of iptables: what it comes to is not followed";
            chains.reader.note(d.span, LineState::NotModelled, text);
            opaque(chains, &d);
        } else if d.words.is_none() {
            declared.extend(d.family.map(|f| (f, d.table.clone(), d.chain.clone(), d.span)));
        } else {
            order.push(d);
        }
    }
    order.sort_by_key(|d| d.priority);
    for d in order {
        let (Some(family), Some(words)) = (d.family, d.words) else { continue };
        // What XML writes as references cannot be read where it stands.
        let plain = chains.reader.source(words.span.file).slice(words.span).trim() == words.value.trim();
        rules.push(DirectRule { family, table: d.table, chain: d.chain, words: words.span, span: d.span, plain });
    }
    direct_chains(chains.reader, &declared, &rules);
}

/// A base chain at each hook whose only rule is not known.
fn opaque(chains: &mut Chains<'_, '_>, d: &Direct) {
    let Some(family) = d.family else { return };
    for hook in [Hook::Input, Hook::Forward, Hook::Output] {
        let name = format!("direct passthrough {} {}", family.name(), hook.name());
        let new = !chains.has(&name);
        let chain = chains.chain(&name, d.span);
        if new {
            let policy = Policy { action: PolicyAction::Accept, span: d.span };
            let base = BaseChain { chain, hook, priority: 0, families: vec![family], nat: false, policy, devices: vec![] };
            chains.reader.device.base_chains.push(base);
        }
        let action = Action::Opaque("a passthrough to iptables".into());
        chains.push(&name, crate::model::Rule::new(Match::Any, action, d.span));
    }
}
