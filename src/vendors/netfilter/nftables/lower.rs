//! The tree to the model: tables to chains, rules to rules.

use std::collections::{HashMap, HashSet};

use super::ast::{Chain, Cmp, Expr, Kind, Nat, Rule, Sel, Stmt, TableFamily, Verdict};
use super::commands::flatten;
use super::defaults;
use super::matching::{Scope, fold, reads_any_transport, reads_icmp};
use super::nat::translations;
use super::ruleset::{Ruleset, Table};
use super::sets::{Sets, lower_sets};
use super::values::{Info, Ty, constant, info};
use crate::diag::LineState;
use crate::model::{self, Action, BaseChain, ChainId, Effect, Hook, Match, Policy, PolicyAction};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::PORT_PROTOCOLS;
use crate::source::Span;
use crate::vendors::Reader;

/// Lowers a ruleset into the reader's device.
pub fn lower(reader: &mut Reader<'_>, ruleset: &Ruleset<'_>) {
    // What is written out is bounded by the text; definitions used over and over are bounded here.
    let mut budget = reader.limits.expanded_rules.saturating_add(reader.file.text.len());
    let mut bases = Vec::new();
    for table in &ruleset.tables {
        match table.family {
            // ARP is no IP traffic, and rules of the bridge see frames, also those that are never routed.
            TableFamily::Arp => {}
            TableFamily::Bridge => bridge(reader, table, &mut bases),
            _ => lower_table(reader, table, &mut budget, &mut bases),
        }
    }
    // The kernel puts a chain before those of its priority that are there already (nf_hook_grow in net/netfilter/core.c).
    bases.reverse();
    reader.device.base_chains.extend(bases);
    // What `nft list ruleset` prints, and what is loaded after `flush ruleset`, is all there is for both families: a hook without a chain
    // lets everything pass. (`nft list table` prints no sign that it is less.)
    match ruleset.part().or_else(|| in_parts(reader)) {
        None => reader.device.exhaustive = true,
        Some((span, sign)) => reader.device.fragment = Some((span, sign.to_owned())),
    }
    reader.device.reads_fragments = true;
    if budget == 0 {
        let whole = reader.file.line_span(0);
        reader.incomplete(
            whole,
            LineState::Unsupported,
            "the rules are too many after definitions and maps are put in: some were read as unknown",
        );
    }
}

/// Whether the file lies in a folder of parts that are loaded together (`/etc/nftables.d`).
fn in_parts(reader: &Reader<'_>) -> Option<(Span, &'static str)> {
    let folder = reader.file.path.rsplit('/').nth(1).unwrap_or("");
    folder.ends_with("nftables.d").then(|| (reader.file.line_span(0), "this file is one part of several"))
}

/// Rules of the bridge family see frames. Those that a bridge passes on by itself are not routed, and not what anybody asks here; but what
/// comes to the host over a bridge, or leaves it over one, meets these chains too (`br_pass_frame_up` and `br_dev_xmit` of net/bridge): there a
/// chain that may drop stands as a rule of which nobody knows what it does.
fn bridge(reader: &mut Reader<'_>, table: &Table<'_>, bases: &mut Vec<BaseChain>) {
    let statements = || table.chains.iter().flat_map(|c| &c.rules).flat_map(|r| &r.stmts).map(|(s, _)| s);
    let harmless = |s: &Stmt<'_>| match s {
        Stmt::Verdict(v) => !matches!(v, Verdict::Drop | Verdict::Reject(_) | Verdict::Opaque(_)),
        Stmt::Opaque(_) | Stmt::Unknown(_) | Stmt::Vmap(..) | Stmt::Assign(..) => false,
        _ => true,
    };
    let drops = !statements().all(harmless);
    let marks = statements().any(|s| matches!(s, Stmt::Assign(..)));
    for chain in &table.chains {
        for rule in &chain.rules {
            reader.mark(rule.span, LineState::NotModelled);
        }
        let Some(base) = &chain.base else { continue };
        reader.note(base.span, LineState::NotModelled, "bridged frames are not modelled: what this chain does to them is not known");
        let (hook, priority) = match &*base.hook {
            "prerouting" | "input" => (Hook::Prerouting, i32::MIN),
            "output" | "postrouting" => (Hook::Postrouting, i32::MAX),
            _ => continue,
        };
        let policy = chain.policy.map(|(action, _)| action);
        if table.dormant || !drops && policy.unwrap_or(PolicyAction::Accept) == PolicyAction::Accept {
            continue;
        }
        let name = format!("{}/{}", table.scope(), chain.name);
        let id = reader.device.conditions.intern(&format!("the frame comes over a bridge, and {name} drops it"), base.span);
        let mut rules = vec![model::Rule::implied("rules of a bridge", Match::Opaque(id), Action::Drop, base.span)];
        if marks {
            let mark = model::Rule::implied("rules of a bridge", Match::Any, Action::Continue, base.span);
            rules.push(model::Rule { effects: vec![Effect::Unknown(Field::Mark)], ..mark });
        }
        bases.push(BaseChain {
            chain: ChainId(reader.device.chains.len() as u32),
            hook,
            priority,
            families: Family::BOTH.to_vec(),
            nat: false,
            policy: Policy { action: PolicyAction::Accept, span: base.span },
            devices: Vec::new(),
        });
        reader.device.chains.push(model::Chain { name, span: chain.span, rules });
    }
}

fn lower_table(reader: &mut Reader<'_>, table: &Table<'_>, budget: &mut usize, bases: &mut Vec<BaseChain>) {
    let scope = table.scope();
    let families = defaults::families(table.family);
    let only = match families.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    let sets = lower_sets(reader, table, &scope, only);
    let first = reader.device.chains.len() as u32;
    let ids: HashMap<&str, ChainId> = table.chains.iter().enumerate().map(|(i, c)| (c.name.as_str(), ChainId(first + i as u32))).collect();
    let mut opaque = Vec::new();
    let mut shared = HashSet::new();
    for (i, chain) in table.chains.iter().enumerate() {
        let mut lowering = Lowering {
            table,
            scope: &scope,
            only,
            sets: &sets,
            ids: &ids,
            budget,
            opaque: &mut opaque,
            shared: &mut shared,
            reader,
            rules: Vec::with_capacity(chain.rules.len()),
            chain: &chain.name,
        };
        for rule in &chain.rules {
            lowering.rule(rule);
        }
        let rules = std::mem::take(&mut lowering.rules);
        reader.device.chains.push(model::Chain { name: format!("{scope}/{}", chain.name), span: chain.span, rules });
        if let Some(base) = base_chain(reader, table, chain, ChainId(first + i as u32), &families) {
            bases.push(base);
        }
    }
}

fn base_chain(reader: &mut Reader<'_>, table: &Table<'_>, chain: &Chain<'_>, id: ChainId, families: &[Family]) -> Option<BaseChain> {
    let base = chain.base.as_ref()?;
    if table.dormant {
        reader.note(base.span, LineState::Unsupported, "the table is dormant: no packet enters this chain");
        return None;
    }
    let Some(hook) = defaults::hook(&base.hook) else {
        reader.note(base.span, LineState::NotModelled, format!("hook {} is not modelled: this chain is not judged", base.hook));
        return None;
    };
    let priority = base.priority.unwrap_or_else(|| {
        reader.note(base.span, LineState::Unsupported, "the priority is not understood: 0 is assumed");
        0
    });
    // nft(8), "CHAINS": the policy is accept unless stated.
    let (action, span) = chain.policy.unwrap_or((PolicyAction::Accept, base.span));
    Some(BaseChain {
        chain: id,
        hook,
        priority,
        families: families.to_vec(),
        nat: base.kind == "nat",
        policy: Policy { action, span },
        devices: base.devices.iter().map(|d| wildcard(d)).collect(),
    })
}

fn wildcard(name: &str) -> model::NamePattern {
    match name.strip_suffix('*') {
        Some(stem) => model::NamePattern::prefix(stem),
        None => model::NamePattern::exact(name),
    }
}

/// How many matches of a rule are looked through for repetitions.
const LONG_RULE: usize = 64;

/// A rule half lowered: what has been asked and done so far.
#[derive(Clone, Default)]
pub(super) struct Draft {
    pub matches: Vec<Match>,
    effects: Vec<Effect>,
    log: bool,
    packets: Option<u64>,
    /// A statement that is not modelled and may have decided, whatever comes after it.
    opaque: Option<String>,
}

/// The lowering of a chain.
pub(super) struct Lowering<'x, 'r, 'a> {
    pub table: &'x Table<'a>,
    scope: &'x str,
    pub only: Option<Family>,
    sets: &'x Sets,
    ids: &'x HashMap<&'x str, ChainId>,
    budget: &'x mut usize,
    opaque: &'x mut Vec<String>,
    shared: &'x mut HashSet<Ranges>,
    pub reader: &'x mut Reader<'r>,
    rules: Vec<model::Rule>,
    chain: &'x str,
}

impl<'a> Lowering<'_, '_, 'a> {
    /// The means to lower matches.
    pub fn matching(&mut self) -> Scope<'_> {
        Scope {
            name: self.scope,
            only: self.only,
            sets: &self.sets.modelled,
            unmodelled: &self.sets.unmodelled,
            conditions: &mut self.reader.device.conditions,
            budget: self.budget,
            opaque: self.opaque,
            shared: self.shared,
        }
    }

    pub fn flatten<'e>(&mut self, e: &'e Expr<'a>, f: &mut dyn FnMut(std::borrow::Cow<'e, super::ast::Elem<'a>>)) -> bool {
        flatten(e, self.budget, f);
        *self.budget > 0
    }

    /// Accounts for what one written rule is multiplied to. `false`: the bound is passed.
    fn spend(&mut self, steps: usize) -> bool {
        let left = self.budget.checked_sub(steps);
        *self.budget = left.unwrap_or(0);
        left.is_some()
    }

    fn rule(&mut self, rule: &Rule<'a>) {
        self.reader.mark(rule.span, LineState::Understood);
        self.opaque.clear();
        let first = self.rules.len();
        let mut draft = Draft::default();
        let mut decided = false;
        for (stmt, span) in &rule.stmts {
            if decided {
                // nft refuses statements after a verdict.
                self.reader.refused(*span, "a statement after the verdict has no effect");
                break;
            }
            decided = self.statement(rule, &mut draft, stmt, *span);
        }
        if !decided {
            self.emit(&draft, Match::Any, Action::Continue, rule.span);
        }
        for out in self.rules.iter_mut().skip(first) {
            out.whole = rule.span;
            out.comment.clone_from(&rule.comment);
        }
        self.opaque.sort();
        self.opaque.dedup();
        for text in std::mem::take(self.opaque) {
            self.reader.note(rule.span, LineState::NotModelled, format!("match `{text}` is not modelled: the rule may or may not apply"));
        }
    }

    /// Adds a rule to the chain.
    pub fn emit(&mut self, draft: &Draft, extra: Match, action: Action, span: Span) {
        let mut parts = draft.matches.clone();
        match extra {
            Match::All(v) => parts.extend(v),
            m => parts.push(m),
        }
        let action = match &draft.opaque {
            Some(text) => Action::Opaque(text.as_str().into()),
            None => action,
        };
        let mut rule = model::Rule::new(Match::all(parts), action, span);
        rule.effects.clone_from(&draft.effects);
        rule.log = draft.log;
        rule.packets = draft.packets;
        self.rules.push(rule);
    }

    /// Asks for something more. What the rule did so far it did whether or not this matches.
    fn require(&mut self, rule: &Rule<'a>, draft: &mut Draft, m: Match) {
        // What was not modelled may have happened to the packet already.
        if draft.opaque.is_some() {
            return;
        }
        if !draft.effects.is_empty() && !self.spend(draft.matches.len() + draft.effects.len()) {
            draft.opaque = Some("more changes than can be followed".to_owned());
            return;
        }
        if !draft.effects.is_empty() {
            let before = Draft { matches: draft.matches.clone(), effects: std::mem::take(&mut draft.effects), ..Draft::default() };
            let changed: HashSet<Field> = before.effects.iter().filter_map(changed_field).collect();
            self.emit(&before, Match::Any, Action::Continue, rule.span);
            // The second half asks again, of the packet as it is now: what looked at a changed field cannot be asked again.
            for asked in &mut draft.matches {
                if reads(asked, &changed) {
                    let text = format!("the packet before rule {} of chain {}", self.rules.len(), self.chain);
                    *asked = self.matching().condition(&text, true, rule.span);
                }
            }
        }
        match m {
            Match::All(v) => draft.matches.extend(v),
            Match::Any => {}
            // An address says its family: whoever says both says nothing more.
            Match::Family(f) if draft.matches.iter().take(LONG_RULE).any(|m| matches!(m, Match::Address(_, g, _) if *g == f)) => {}
            Match::Address(field, family, set) => {
                draft.matches.retain(|m| *m != Match::Family(family));
                draft.matches.push(Match::Address(field, family, set));
            }
            Match::Field(field, set) => {
                // `icmp type 3 icmp code 1`: one field, both at once.
                let same = draft.matches.iter_mut().take(LONG_RULE).find_map(|m| match m {
                    Match::Field(f, old) if *f == field => Some(old),
                    _ => None,
                });
                match same {
                    Some(old) => *old = old.and(&set),
                    None => draft.matches.push(Match::Field(field, set)),
                }
            }
            m => draft.matches.push(m),
        }
    }

    /// Adds what reading an expression implies.
    fn imply(&mut self, rule: &Rule<'a>, draft: &mut Draft, e: &Expr<'a>) {
        let mut implied = Vec::new();
        self.matching().implied(e, &mut implied);
        for m in implied {
            self.require_new(rule, draft, m);
        }
    }

    fn require_new(&mut self, rule: &Rule<'a>, draft: &mut Draft, m: Match) {
        // Nobody writes rules so long that looking at their beginning would miss a repetition.
        if !draft.matches.iter().take(LONG_RULE).any(|old| *old == m) {
            self.require(rule, draft, m);
        }
    }

    /// Lowers a statement. `true`: it decides, nothing after it matters.
    fn statement(&mut self, rule: &Rule<'a>, draft: &mut Draft, stmt: &Stmt<'a>, span: Span) -> bool {
        match stmt {
            Stmt::Match(left, cmp, right) => {
                let mut m = self.matching().compare(left, *cmp, right, span);
                if reads_any_transport(left) && !has_ports(draft) {
                    m = self.matching().any_transport(m, &format!("{} {}{}", left.text(), sign(*cmp), right.text()), span);
                }
                self.refuse(left, right, span);
                if let Some(other) = self.foreign_icmp(draft, left) {
                    m = self.matching().foreign_icmp(m, other, &format!("{} {}{}", left.text(), sign(*cmp), right.text()), span);
                }
                let parts = match m {
                    Match::All(v) => v,
                    m => vec![m],
                };
                for m in parts {
                    self.require_new(rule, draft, m);
                }
            }
            Stmt::Verdict(Verdict::Continue) => {}
            Stmt::Verdict(v) => {
                if let Verdict::Reject(with) = v {
                    self.imply_reject(rule, draft, with.as_ref().map(|(k, _)| &**k));
                }
                let action = self.action(v, span);
                self.emit(draft, Match::Any, action, rule.span);
                return true;
            }
            Stmt::Vmap(key, data) => {
                if let Some(other) = self.foreign_icmp(draft, key) {
                    let text = format!("{} vmap", key.text());
                    let m = self.matching().foreign_icmp(Match::Never, other, &text, span);
                    self.emit(draft, m, Action::Opaque(text.into()), rule.span);
                }
                self.imply(rule, draft, key);
                self.verdict_map(draft, key, data, rule.span);
                return true;
            }
            Stmt::Counter(packets) => draft.packets = draft.packets.or(*packets),
            Stmt::Log => draft.log = true,
            Stmt::Condition { text, scoped } => {
                let m = self.matching().passing_condition(text, *scoped, span);
                self.require(rule, draft, m);
            }
            Stmt::Assign(sel, value) => self.assign(rule, draft, sel, value, span),
            Stmt::Nat(nat) => {
                self.nat(rule, draft, nat, span);
                return true;
            }
            Stmt::Untrack => draft.effects.push(Effect::Untrack),
            Stmt::Update(_, key, condition) => {
                self.imply(rule, draft, key);
                if let Some(text) = condition {
                    let m = self.matching().passing_condition(text, true, span);
                    self.require(rule, draft, m);
                }
            }
            Stmt::Neutral => {}
            Stmt::Copies(text) => {
                self.reader.note(span, LineState::NotModelled, format!("`{text}` copies packets elsewhere: the copies are not modelled"));
            }
            Stmt::Opaque(text) => {
                self.reader.note(span, LineState::NotModelled, format!("`{text}` is not modelled: the packet may pass or not"));
                draft.opaque.get_or_insert_with(|| text.clone());
            }
            Stmt::Unknown(text) => {
                self.reader.note(span, LineState::Unrecognised, format!("not understood: `{}`: the packet may pass or not", short(text)));
                self.emit(draft, Match::Any, Action::Opaque(short(text).into()), rule.span);
                return true;
            }
        }
        false
    }

    /// `reject with tcp reset` answers TCP only, `with icmp …` IPv4 only: nft adds these conditions (evaluate.c, stmt_evaluate_reject).
    fn imply_reject(&mut self, rule: &Rule<'a>, draft: &mut Draft, kind: Option<&str>) {
        let m = match kind {
            Some("tcp") => Match::Field(Field::Proto, Ranges::single(6)),
            Some("icmp") if self.only.is_none() => Match::Family(Family::V4),
            Some("icmpv6") if self.only.is_none() => Match::Family(Family::V6),
            _ => return,
        };
        self.require_new(rule, draft, m);
    }

    /// Says what nft refuses in a comparison: a set that the table does not have, a number that is no port.
    fn refuse(&mut self, left: &Expr<'a>, right: &Expr<'a>, span: Span) {
        if let Kind::SetRef(name) = &right.peel().kind
            && self.table.set(name).is_none()
        {
            self.reader.refused(span, format!("set {name} is not defined"));
        }
        if let Kind::Sel(sel) = &left.peel().kind
            && info(sel, self.only).ty == Ty::Port
            && let Some(n) = right.word().and_then(|w| w.parse::<u64>().ok()).filter(|n| *n > 65535)
        {
            self.reader.refused(span, format!("{n} is no port"));
        }
    }

    /// The family whose packets an ICMP expression also reads, because the rule has asked for the protocol before and not for a family.
    fn foreign_icmp(&self, draft: &Draft, e: &Expr<'a>) -> Option<Family> {
        let (proto, other) = reads_icmp(e).filter(|_| self.only.is_none())?;
        let asked = draft.matches.iter().take(LONG_RULE);
        let mut protocol = false;
        for m in asked {
            match m {
                Match::Field(Field::Proto, set) => protocol |= set.as_single() == Some(proto),
                Match::Family(_) | Match::Address(..) => return None,
                _ => {}
            }
        }
        protocol.then_some(other)
    }

    fn action(&mut self, v: &Verdict<'a>, span: Span) -> Action {
        match v {
            Verdict::Accept => Action::Accept,
            Verdict::Drop => Action::Drop,
            Verdict::Continue => Action::Continue,
            Verdict::Return => Action::Return,
            Verdict::Jump(name) | Verdict::Goto(name) => match self.ids.get(&**name) {
                Some(id) if matches!(v, Verdict::Jump(_)) => Action::Jump(*id),
                Some(id) => Action::Goto(*id),
                None => {
                    self.reader.refused(span, format!("chain {name} is not defined: the packet may pass or not"));
                    Action::Opaque(format!("jump to the undefined chain {name}").into())
                }
            },
            Verdict::Reject(None) => Action::Reject(defaults::reject(self.table.family).to_owned()),
            Verdict::Reject(Some((kind, code))) => Action::Reject(format!("{kind} {code}")),
            Verdict::Opaque(text) => {
                self.reader.note(span, LineState::NotModelled, format!("`{text}` is not modelled: the packet may pass or not"));
                Action::Opaque(text.as_str().into())
            }
        }
    }

    /// Each element of a verdict map is a rule; a packet that is in none of them goes on.
    fn verdict_map(&mut self, draft: &Draft, key: &Expr<'a>, data: &Expr<'a>, whole: Span) {
        let table = self.table;
        let (elems, dynamic) = match &data.peel().kind {
            Kind::SetRef(name) => match table.set(name) {
                Some(decl) => (Some(decl.elements.as_slice()), decl.dynamic || table.updated.contains(&**name)),
                None => {
                    self.reader.refused(data.span, format!("map {name} is not defined"));
                    (None, true)
                }
            },
            Kind::Set(v) => (Some(v.as_slice()), false),
            _ => (None, true),
        };
        let any_transport = reads_any_transport(key) && !has_ports(draft);
        let mut others = Vec::new();
        for pass in [false, true] {
            // `*` takes what no other element takes: it comes last.
            // A second `*` is refused by nft.
            let most = if pass { 1 } else { usize::MAX };
            for elem in elems.unwrap_or(&[]).iter().filter(|e| matches!(e.key.peel().kind, Kind::Any) == pass).take(most) {
                if !self.spend(draft.matches.len() + 1) {
                    self.emit(draft, Match::Any, Action::Opaque("a map of too many elements".into()), whole);
                    return;
                }
                let Some(Kind::Verdict(verdict)) = elem.data.as_ref().map(|d| &d.peel().kind) else {
                    self.reader.note(elem.span, LineState::Unsupported, "this element has no verdict");
                    self.emit(draft, Match::Any, Action::Opaque("a map without verdicts".into()), elem.span);
                    continue;
                };
                let mut m =
                    if pass { Match::any_of(others.clone()).negate_if(true) } else { self.matching().element(key, &elem.key, elem.span) };
                if !pass && any_transport {
                    m = self.matching().any_transport(m, &format!("{} {}", key.text(), elem.key.text()), elem.span);
                }
                let action = self.action(verdict, elem.span);
                // What is decided never comes to `*`.
                if !pass && !matches!(action, Action::Accept | Action::Drop | Action::Reject(_)) {
                    others.push(m.clone());
                }
                self.emit(draft, m, action, elem.span);
            }
        }
        if dynamic {
            let text = format!("{} in {}", key.text(), data.text());
            let m = self.matching().condition(&text, true, whole);
            self.emit(draft, m, Action::Opaque(text.into()), whole);
        }
    }

    fn nat(&mut self, rule: &Rule<'a>, draft: &mut Draft, nat: &Nat<'a>, span: Span) {
        if let Some(e) = &nat.addr {
            self.imply(rule, draft, e);
        }
        if let Some(e) = &nat.port {
            self.imply(rule, draft, e);
        }
        // A translation of one family lets packets of the other go on (nft_nat_inet_eval in net/netfilter/nft_nat.c).
        let family = nat.family.or(self.only);
        let found = translations(self, nat, family, span);
        for (m, translation, at) in found {
            if !self.spend(draft.matches.len() + 1) {
                self.emit(draft, Match::Any, Action::Opaque("a map of too many elements".into()), rule.span);
                return;
            }
            let mut parts = vec![m];
            if let Some((f, _)) = translation.addresses
                && self.only.is_none()
            {
                let family = Match::Family(f);
                if !draft.matches.contains(&family) {
                    parts.insert(0, family);
                }
            }
            self.emit(draft, Match::all(parts), Action::Nat(translation), at.unwrap_or(rule.span));
        }
    }

    fn assign(&mut self, rule: &Rule<'a>, draft: &mut Draft, sel: &Sel<'a>, value: &Expr<'a>, span: Span) {
        // Setting something of a connection that is not there does nothing, and the rule goes on (`nft_ct_set_eval` in nft_ct.c).
        if !matches!(sel, Sel::Ct(..)) {
            let target = Expr::new(Kind::Sel(sel.clone()), span);
            self.imply(rule, draft, &target);
        }
        let what = info(sel, self.only);
        let Some(field) = what.field.filter(|_| settable(what.ty)) else {
            // Marks of the log, MSS, priority, helper, zone …: nothing that a match of the model sees. A zone keeps connections apart.
            if matches!(sel, Sel::Ct(_, key) if key == "zone") {
                self.reader.note(span, LineState::NotModelled, "connection tracking zones are not modelled");
            }
            self.imply(rule, draft, value);
            return;
        };
        if let Kind::Map(key, data) = &value.peel().kind {
            self.imply(rule, draft, key);
            // A packet that is not in the map leaves the rule: whether it is, is not known here.
            let text = format!("{} in {}", key.text(), data.text());
            let m = self.matching().condition(&text, true, span);
            self.require(rule, draft, m);
            draft.effects.push(Effect::Unknown(field));
            return;
        }
        self.imply(rule, draft, value);
        draft.effects.push(effect(field, what, value, self.only));
    }
}

/// The effect of giving `field` a value.
fn effect(field: Field, what: Info, value: &Expr<'_>, only: Option<Family>) -> Effect {
    let constant_of = |e: &Expr<'_>| constant(what.ty, what.proto, e);
    if let Some(v) = constant_of(value) {
        return Effect::Set(field, v & what.ty.max());
    }
    let max = what.ty.max();
    let is_field = |e: &Expr<'_>| match &e.peel().kind {
        Kind::Sel(sel) => info(sel, only).field,
        _ => None,
    };
    match &value.peel().kind {
        Kind::Sel(_) => match is_field(value) {
            Some(from) if from == field => Effect::SetBits { field, mask: 0, value: 0, xor: false },
            Some(from @ (Field::Mark | Field::CtMark)) if matches!(field, Field::Mark | Field::CtMark) => Effect::Copy { from, to: field },
            _ => Effect::Unknown(field),
        },
        Kind::Bin(..) => match fold(value, &|e| is_field(e) == Some(field), &constant_of, max) {
            // (x & keep) ^ flip
            Some((keep, flip)) => {
                let mask = max & !keep;
                if mask & flip == flip {
                    Effect::SetBits { field, mask, value: flip, xor: false }
                } else {
                    Effect::SetBits { field, mask, value: flip, xor: true }
                }
            }
            None => Effect::Unknown(field),
        },
        _ => Effect::Unknown(field),
    }
}

/// A comparison's sign, so that different questions are different conditions.
fn sign(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::Eq | Cmp::Implicit => "",
        Cmp::Ne => "!= ",
        Cmp::Lt => "< ",
        Cmp::Gt => "> ",
        Cmp::Le => "<= ",
        Cmp::Ge => ">= ",
        Cmp::Without => "! ",
    }
}

/// Whether the rule has asked for a protocol that has ports.
fn has_ports(draft: &Draft) -> bool {
    let ports = Ranges::from_values(PORT_PROTOCOLS);
    draft.matches.iter().take(LONG_RULE).any(|m| matches!(m, Match::Field(Field::Proto, set) if set.is_subset(&ports)))
}

fn settable(ty: Ty) -> bool {
    matches!(ty, Ty::Mark | Ty::Addr(_) | Ty::Port | Ty::Dscp | Ty::Byte | Ty::PktType | Ty::Short)
}

fn changed_field(e: &Effect) -> Option<Field> {
    match e {
        Effect::Set(f, _) | Effect::SetBits { field: f, .. } | Effect::Copy { to: f, .. } | Effect::Unknown(f) => Some(*f),
        Effect::Untrack => None,
    }
}

fn reads(m: &Match, fields: &HashSet<Field>) -> bool {
    let mut found = false;
    m.walk(&mut |m| match m {
        Match::Field(f, _) | Match::Address(f, _, _) => found |= fields.contains(f),
        Match::InSet { fields: keys, .. } => found |= keys.iter().any(|k| fields.contains(k)),
        _ => {}
    });
    found
}

fn short(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((i, _)) => format!("{}…", text.get(..i).unwrap_or("")),
        None => text.to_owned(),
    }
}
