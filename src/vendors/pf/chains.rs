//! From "the last match decides, `quick` ends" to "the first match decides".
//!
//! A chain holds, in the order of the text, the rules with `quick` and what else takes effect when it is met (`match`, `tag`); then the other rules
//! in reverse order. What a rule asks must be asked at its place in the text, though: where a later rule changes what an earlier one looks at
//! (a tag, or an address by `match … nat-to`), the earlier rule leaves its number in a register when it is met, and the reverse part asks for that
//! number. The register is [`Field::CtMark`], which pf itself does not have; the tag of a packet is its [`Field::Mark`].
//!
//! A `match` rule that translates is a base chain of its own, since a translation ends a chain. What a rule with `quick` before it has let through goes
//! past the rest: the register then says so.

use super::ast::{Dir, Pool, Rule as PfRule, Stage, Verb, Xlate};
use super::flat::{Step, What};
use super::lower::Lowering;
use crate::model::{Action, BaseChain, Chain, ChainId, Effect, Hook, Match, Policy, PolicyAction, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;

/// The register's value for "let through already".
const DECIDED: u128 = 0xffff_ffff;
/// Priorities of base chains: translation of the old kind, then the filter.
const TRANSLATION: i32 = -100;
const FILTER: i32 = 0;

/// A rule that decides only if no later one matches.
struct Deferred {
    step: usize,
    rules: Vec<Rule>,
}

impl Lowering<'_, '_> {
    /// The base chains of a direction: the old translation rules, and the filter.
    pub fn direction(&mut self, dir: Dir, translations: &[Step<'_>], filter: &[Step<'_>]) {
        let mut bases: Vec<(Vec<Rule>, &'static str)> = Vec::new();
        let (mut register, mut gone_past) = (false, false);
        if !translations.is_empty() {
            let mut rules = Vec::new();
            for step in translations {
                gone_past |= self.old_translation(step, dir, &mut rules);
            }
            bases.push((rules, if dir == Dir::In { "rdr, binat" } else { "binat, nat" }));
        }
        register |= gone_past;
        let has_translations = bases.len();
        register |= self.filter(dir, filter, &mut bases);
        let count = bases.len();
        for (i, (rules, what)) in bases.into_iter().enumerate() {
            let mut all = self.heads(dir);
            let first = i == 0;
            if first && register {
                all.push(self.reset(Field::CtMark, Match::Any));
            }
            if first && dir == Dir::Out && !self.tags.is_empty() {
                // What this host sends begins without a tag; what it forwards keeps the one that it got on its way in.
                all.push(self.reset(Field::Mark, Match::Field(Field::Iif, Ranges::single(0))));
            }
            if !first && register {
                let decided = Match::Field(Field::CtMark, Ranges::single(DECIDED));
                all.push(Rule::implied("let through by an earlier rule", decided, Action::Accept, self.whole));
            }
            all.extend(rules);
            let priority = if i < has_translations { TRANSLATION } else { FILTER + i32::try_from(i).unwrap_or(i32::MAX) };
            let last = i + 1 == count;
            self.base(dir, what, all, priority, last);
        }
    }

    fn base(&mut self, dir: Dir, what: &str, rules: Vec<Rule>, priority: i32, last: bool) {
        let device = &mut self.reader.device;
        let chain = ChainId(device.chains.len() as u32);
        let name = if dir == Dir::In { "in" } else { "out" };
        let name = if what.is_empty() { name.to_owned() } else { format!("{name} ({what})") };
        device.chains.push(Chain { name, span: self.whole, rules });
        let hook = if dir == Dir::In { Hook::Prerouting } else { Hook::Postrouting };
        // pf.conf(5): a packet that no rule matches is passed.
        let action = if last && self.filter_missing { PolicyAction::Unknown } else { PolicyAction::Accept };
        device.base_chains.push(BaseChain {
            chain,
            hook,
            priority,
            families: vec![Family::V4, Family::V6],
            nat: false,
            policy: Policy { action, span: self.whole },
            devices: vec![],
        });
    }

    fn reset(&self, field: Field, matcher: Match) -> Rule {
        let mut rule = Rule::implied("begins without a tag", matcher, Action::Continue, self.whole);
        rule.effects.push(Effect::Set(field, 0));
        rule
    }

    /// What comes before all rules: interfaces that are skipped, and packets of connections that have a state.
    fn heads(&mut self, dir: Dir) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (iface, span) in self.skip.clone() {
            let matcher = super::matching::interface(&iface, super::matching::direction(dir), span);
            rules.push(Rule { whole: span, ..Rule::implied("set skip", matcher, Action::Accept, span) });
        }
        rules.extend(self.beside.clone());
        if let Some(span) = self.stateful {
            let icmp = Match::Field(Field::Proto, Ranges::from_values([1, 58]));
            let related = Match::all(vec![Match::Field(Field::Ct, Ranges::single(ct::RELATED)), icmp]);
            let known = Match::any_of(vec![Match::Field(Field::Ct, Ranges::single(ct::ESTABLISHED)), related]);
            rules.push(Rule::implied("state of a connection that was let through", known, Action::Accept, span));
        }
        rules
    }

    /// A model rule of a step, without effects.
    fn rule(&self, step: &Step<'_>, matcher: Match, action: Action) -> Rule {
        let mut rule = Rule::new(matcher, action, step.item.span);
        rule.log = step.rule.log;
        rule.comment = step.item.comment.clone().or_else(|| step.rule.label.clone());
        rule.name = step.item.number.clone();
        rule.packets = step.item.packets;
        rule
    }

    fn tag(&self, rule: &PfRule) -> Option<Effect> {
        self.tags.get(rule.tag.as_ref()?).map(|id| Effect::Set(Field::Mark, *id))
    }

    /// An old translation rule: the first that matches decides. Whether it goes past the filter.
    fn old_translation(&mut self, step: &Step<'_>, dir: Dir, rules: &mut Vec<Rule>) -> bool {
        let way = if dir == Dir::In { "in" } else { "out" };
        let unknown = |kind| Translation { kind, addresses: None, keep_host_bits: false, ports: None, unknown: true };
        if let What::Unknown(name) = step.what {
            let kind = if dir == Dir::In { crate::model::NatKind::Destination } else { crate::model::NatKind::Source };
            let translates = self.opaque(&format!("the anchor \"{name}\" translates the packet on its way {way}"), step.item.span);
            let passes = self.opaque(&format!("the anchor \"{name}\" translates and passes the packet on its way {way}"), step.item.span);
            let with = |more: Match| Match::all(vec![step.matcher.clone(), more]);
            let mut pass = self.rule(step, with(passes), Action::Nat(unknown(kind)));
            pass.effects.push(Effect::Set(Field::CtMark, DECIDED));
            rules.push(pass);
            rules.push(self.rule(step, with(translates), Action::Nat(unknown(kind))));
            return true;
        }
        let Verb::Translate { no, pass, stage } = step.rule.verb else { return false };
        let action = match step.rule.pools.first() {
            Some(pool) if !no => Action::Nat(self.of_pool(step.rule, pool, dir)),
            _ => Action::Accept,
        };
        let matcher = match (step.rule.family, step.rule.pools.first().and_then(super::nat::family), stage) {
            // pfctl makes it a rule for the family of its pool.
            (None, Some(family), Some(Stage::Nat | Stage::Rdr)) => Match::all(vec![Match::Family(family), step.matcher.clone()]),
            _ => step.matcher.clone(),
        };
        let mut rule = self.rule(step, matcher, action);
        rule.effects.extend(self.tag(step.rule));
        let past = pass && !no;
        if past {
            rule.effects.push(Effect::Set(Field::CtMark, DECIDED));
        }
        rules.push(rule);
        past
    }

    fn of_pool(&self, rule: &PfRule, pool: &Pool, dir: Dir) -> Translation {
        match (pool.kind, dir) {
            (Xlate::Binat, dir) => {
                let out = dir == Dir::Out;
                let places = if out { pool.places.clone() } else { rule.src.clone() };
                let pool = Pool { places, static_port: true, ports: None, ..pool.clone() };
                let kind = if out { Xlate::Nat } else { Xlate::Rdr };
                let mut translation = self.translation(rule, &pool, kind);
                // Network to network: the host bits stay.
                translation.keep_host_bits = translation.addresses.as_ref().is_some_and(|(_, r)| r.count() > 1);
                translation
            }
            (kind, _) => self.translation(rule, pool, kind),
        }
    }

    /// What a rule does to what it matches.
    fn action(&self, step: &Step<'_>, dir: Dir) -> (Action, Vec<Effect>) {
        let rule = step.rule;
        let mut effects: Vec<Effect> = self.tag(rule).into_iter().collect();
        let action = match (&rule.verb, &rule.divert, rule.pools.as_slice()) {
            (Verb::Block(None), ..) => Action::Drop,
            (Verb::Block(Some(answer)), ..) => Action::Reject(answer.clone()),
            (_, Some(divert), _) => Action::Opaque(divert.as_str().into()),
            (_, None, []) => Action::Accept,
            (_, None, pools) if pools.iter().any(|p| p.kind == Xlate::Af) => Action::Opaque("af-to".into()),
            (_, None, [pool, more @ ..]) => {
                if more.iter().any(|p| p.kind == Xlate::Nat) {
                    effects.extend([Effect::Unknown(Field::Src), Effect::Unknown(Field::Sport)]);
                } else if !more.is_empty() {
                    effects.extend([Effect::Unknown(Field::Dst), Effect::Unknown(Field::Dport)]);
                }
                Action::Nat(self.of_pool(rule, pool, dir))
            }
        };
        (action, effects)
    }

    /// The filter rules. Whether the register is used.
    fn filter(&mut self, dir: Dir, steps: &[Step<'_>], bases: &mut Vec<(Vec<Rule>, &'static str)>) -> bool {
        let last_translation = steps.iter().rposition(Step::translates);
        let last_tag = steps.iter().rposition(|s| s.rule.tag.is_some() && matches!(s.what, What::Rule));
        let mut register = false;
        let mut current: Vec<Rule> = Vec::new();
        let mut deferred: Vec<Deferred> = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            // Later base chains would ask again.
            let more = last_translation.is_some_and(|t| t > i);
            let decide = |mut rule: Rule, register: &mut bool| {
                if more && matches!(rule.action, Action::Accept | Action::Nat(_) | Action::Opaque(_)) {
                    rule.effects.push(Effect::Set(Field::CtMark, DECIDED));
                    *register = true;
                }
                rule
            };
            match step.what {
                What::EndOfQuick(first) => {
                    while deferred.last().is_some_and(|d| d.step >= first) {
                        for rule in deferred.pop().into_iter().flat_map(|d| d.rules) {
                            current.push(decide(rule, &mut register));
                        }
                    }
                }
                What::Unknown(name) => {
                    let (quick, last) = self.unknown_anchor(step, dir, name);
                    for rule in quick {
                        current.push(decide(rule, &mut register));
                    }
                    deferred.push(Deferred { step: i, rules: last });
                }
                What::Rule if step.translates() => {
                    let (action, effects) = self.action(step, dir);
                    let mut rule = self.rule(step, step.matcher.clone(), action);
                    rule.effects = effects;
                    bases.push((std::mem::take(&mut current), ""));
                    bases.push((vec![rule], "match, translation"));
                }
                What::Rule if step.rule.verb == Verb::Match => {
                    let mut rule = self.rule(step, step.matcher.clone(), Action::Continue);
                    rule.effects.extend(self.tag(step.rule));
                    current.push(rule);
                }
                What::Rule if step.rule.quick => {
                    let (action, effects) = self.action(step, dir);
                    let mut rule = self.rule(step, step.matcher.clone(), action);
                    rule.effects = effects;
                    current.push(decide(rule, &mut register));
                }
                What::Rule => {
                    let (action, effects) = self.action(step, dir);
                    let asks_later = (step.tagged && last_tag.is_some_and(|t| t >= i)) || (more && asks_addresses(&step.matcher));
                    let mut rule = self.rule(step, step.matcher.clone(), action);
                    let mut met: Vec<Effect> = self.tag(step.rule).into_iter().collect();
                    if asks_later {
                        let number = i as u128 + 1;
                        met.push(Effect::Set(Field::CtMark, number));
                        rule.matcher = Match::Field(Field::CtMark, Ranges::single(number));
                        register = true;
                    }
                    if !met.is_empty() {
                        let mut note = self.rule(step, step.matcher.clone(), Action::Continue);
                        note.effects = met;
                        note.log = false;
                        current.push(note);
                    }
                    // The tag was set when the rule was met.
                    rule.effects = effects.into_iter().filter(|e| !matches!(e, Effect::Set(Field::Mark, _))).collect();
                    deferred.push(Deferred { step: i, rules: vec![rule] });
                }
            }
        }
        current.extend(deferred.into_iter().rev().flat_map(|d| d.rules));
        bases.push((current, ""));
        register
    }

    /// An anchor whose rules nobody knows may pass or block with `quick`, or as a last match.
    fn unknown_anchor(&mut self, step: &Step<'_>, dir: Dir, name: &str) -> (Vec<Rule>, Vec<Rule>) {
        let way = if dir == Dir::In { "in" } else { "out" };
        let span = step.item.span;
        let mut pair = |how: &str| {
            let mut one = |does: &str, action: Action| {
                let condition = self.opaque(&format!("the anchor \"{name}\" {does} the packet {how}on its way {way}"), span);
                self.rule(step, Match::all(vec![step.matcher.clone(), condition]), action)
            };
            vec![one("passes", Action::Accept), one("blocks", Action::Drop)]
        };
        (pair("at once "), pair(""))
    }

    /// The first place at which a rule makes state.
    pub fn state_of(rule: &PfRule, span: Span) -> Option<Span> {
        let keeps = match rule.verb {
            Verb::Pass => rule.state != Some(super::ast::State::None) || !rule.pools.is_empty(),
            Verb::Translate { no, .. } => !no,
            _ => false,
        };
        keeps.then_some(span)
    }
}

/// Whether a match looks at what a translation changes.
pub(super) fn asks_addresses(matcher: &Match) -> bool {
    let mut found = false;
    matcher.walk(&mut |m| {
        found |= match m {
            Match::Address(..) => true,
            Match::InSet { set, .. } => !set.starts_with("interface group "),
            Match::Field(f, _) => matches!(f, Field::Sport | Field::Dport),
            _ => false,
        }
    });
    found
}
