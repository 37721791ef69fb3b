//! Filters below IP: those of bridges and of switch chips. Of them only that they may drop is kept.

use super::Export;
use super::tables::Item;
use crate::model::{Action, BaseChain, Chain, ChainId, Direction, Hook, Match, NamePattern, Policy, PolicyAction, Rule};
use crate::net::Family;
use crate::source::Span;
use crate::vendors::Reader;

/// Rules that are kept each for itself.
const EACH: usize = 64;

pub(super) fn lower(reader: &mut Reader<'_>, export: &Export) {
    bridges(reader, export);
    switches(reader, export);
}

fn perhaps_dropped(reader: &mut Reader<'_>, what: &str, on: Match, span: Span) -> Rule {
    let drops = reader.device.conditions.intern(what, span);
    Rule::new(Match::all(vec![on, Match::Opaque(drops)]), Action::Drop, span)
}

/// A frame that comes in through a bridge passes the bridge's `input` before the IP firewall, one that leaves by a bridge its `output` behind it
/// (help.mikrotik.com, "Packet Flow in RouterOS", Bridge Input and Bridge Output). `forward` is for what stays within the bridge.
fn bridges(reader: &mut Reader<'_>, export: &Export) {
    let may_drop = |item: &&Item| {
        let goes_on = ["accept", "log", "passthrough", "mark-packet", "set-priority", "return"];
        !item.disabled() && item.get("action").is_some_and(|a| !goes_on.contains(&a)) && !item.is("chain", "forward")
    };
    let items: Vec<&Item> = export.tables.items("interface bridge filter").into_iter().filter(may_drop).collect();
    let open = export.tables.open("interface bridge filter");
    let mut every: Vec<NamePattern> =
        export.tables.items("interface bridge").iter().filter_map(|b| b.filled("name")).map(NamePattern::exact).collect();
    if every.len() > EACH || !export.whole() {
        every = vec![NamePattern::prefix("")];
    }
    for (direction, hook, chain, property, name) in [
        (Direction::In, Hook::Prerouting, "input", "in-bridge", "bridge filter, input"),
        (Direction::Out, Hook::Postrouting, "output", "out-bridge", "bridge filter, output"),
    ] {
        // A chain of another name is called by either.
        let other = if chain == "input" { "output" } else { "input" };
        let mine: Vec<&&Item> = items.iter().filter(|i| !i.is("chain", other)).collect();
        let any = || Match::any_of(every.iter().map(|b| Match::Interface(direction, b.clone())).collect());
        let mut rules = Vec::new();
        for item in mine.iter().take(EACH) {
            let on = match item.filled(property).filter(|b| !b.starts_with('!')) {
                Some(bridge) => Match::Interface(direction, NamePattern::exact(bridge)),
                None => any(),
            };
            let line = reader.file.place(item.span.start).line;
            let mut rule = perhaps_dropped(reader, &format!("the bridge filter of line {line} drops the frame"), on, item.span);
            rule.comment = item.filled("comment").map(str::to_owned);
            rules.push(rule);
        }
        if let Some(span) = open.or(mine.get(EACH).map(|i| i.span)) {
            rules.push(perhaps_dropped(reader, "a further rule of the bridge filter drops the frame", any(), span));
        }
        hang(reader, name, hook, rules);
    }
}

/// Rules of a switch chip that have ports to send to may have none: then they drop (help.mikrotik.com, "Switch Chip Features": new-dst-ports).
fn switches(reader: &mut Reader<'_>, export: &Export) {
    let mut items = Vec::new();
    for menu in ["interface ethernet switch rule", "interface ethernet switch acl"] {
        items.extend(export.tables.items(menu).into_iter().filter(|i| !i.disabled()));
    }
    let drops = |i: &&Item| i.value("new-dst-ports").is_some_and(|v| v.text.is_empty() || v.computed) || i.is("action", "drop");
    let Some(span) = items.iter().copied().find(drops).map(|i| i.span) else { return };
    let rule = perhaps_dropped(reader, "a rule of the switch chip drops the frame", Match::Any, span);
    hang(reader, "switch rules", Hook::Prerouting, vec![rule]);
}

fn hang(reader: &mut Reader<'_>, name: &str, hook: Hook, rules: Vec<Rule>) {
    let Some(span) = rules.first().map(|r| r.span) else { return };
    let chain = ChainId(reader.device.chains.len() as u32);
    reader.device.chains.push(Chain { name: name.to_owned(), span, rules });
    let policy = Policy { action: PolicyAction::Accept, span };
    // Before everything else; on the way out the place among the others makes no difference to what is dropped.
    let priority = if hook == Hook::Prerouting { -400 } else { -140 };
    let families = Family::BOTH.to_vec();
    reader.device.base_chains.push(BaseChain { chain, hook, priority, families, nat: false, policy, devices: vec![] });
}
