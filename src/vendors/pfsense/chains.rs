//! From "the last match decides, `quick` ends" to "the first match decides".
//!
//! pf looks at a forwarded packet twice: on its way in and on its way out (pf.conf(5)). What is decided on arrival hangs on the hooks for input and
//! for forwarding, so that an answer names the rule of the interface where a packet arrived; what is decided on departure comes after the source
//! is translated. A chain holds the rules with `quick` and those that set a tag in their order, then the other rules in reverse order. The tag of a packet is its
//! [`Field::Mark`], whose highest bit says that a translation with `pass` let it through.

use std::collections::HashSet;

use super::interfaces::On;
use super::lower::Lowering;
use super::rules::{Step, Way};
use crate::model::{Action, BaseChain, Chain, ChainId, Direction, Effect, Hook, Match, Policy, PolicyAction, Rule};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;

/// The bit of [`Field::Mark`] for "let through by its translation".
const PASSED: u128 = 1 << 31;
const TRANSLATION: i32 = -100;
const SOURCE: i32 = 100;
const FILTER: i32 = 0;

impl Lowering<'_, '_, '_> {
    /// What a translation with `pass` does to its packets: the filter lets them through by a rule that names it.
    pub fn passed(&mut self, span: Span) -> Effect {
        let value = PASSED | (self.passes.len() as u128 & (PASSED - 1));
        self.passes.push((value, span));
        Effect::Set(Field::Mark, value)
    }
}

/// Those of TCP with the flags `set` of `of`, and whatever is not TCP.
pub(super) fn flags(of: u8, set: u8) -> Match {
    let values = Ranges::from_values((0..256u128).filter(|f| f & u128::from(of) == u128::from(set & of)));
    Match::AnyOf(vec![Match::field_not(Field::Proto, &Ranges::single(6)), Match::Field(Field::TcpFlags, values)])
}

impl Step {
    /// A rule that the firewall makes by itself.
    pub fn implied(what: &'static str, on: On, way: Way, quick: bool, matcher: Match, action: Action, span: Span) -> Step {
        let state = if matches!(action, Action::Accept) { flags(super::rules::SYN_ACK, super::rules::SYN) } else { Match::Any };
        let rule = Rule::implied(what, Match::all(vec![matcher, state]), action, span);
        Step { on, way, quick, rule, tag: None, tagged: None }
    }

    fn looks(&self, direction: Direction) -> bool {
        match direction {
            Direction::In => self.way != Way::Out,
            Direction::Out => self.way != Way::In,
        }
    }

    fn lower(&self, direction: Direction) -> Rule {
        let mut rule = self.rule.clone();
        rule.matcher = Match::all(vec![self.on.matcher(direction), rule.matcher]);
        rule
    }
}

impl Lowering<'_, '_, '_> {
    /// The chains of the whole device. `rdr` translates destinations on arrival, `nat` sources on departure.
    pub fn chains(&mut self, steps: &[Step], rdr: Vec<Rule>, nat: Vec<Rule>) {
        if !rdr.is_empty() {
            self.base("nat/in", rdr, &[Hook::Prerouting], TRANSLATION, true);
        }
        if !nat.is_empty() {
            // Before the filter of departing packets, which sees the translated source.
            self.base("nat/out", nat, &[Hook::Postrouting], TRANSLATION, true);
        }
        let rules = self.filter(steps, Direction::In);
        self.base("filter/in", rules, &[Hook::Input, Hook::Forward], FILTER, false);
        // Routing comes after what is decided on arrival.
        self.base("routing", self.not_forwarded(), &[Hook::Forward], FILTER + 1, false);
        let rules = self.filter(steps, Direction::Out);
        self.base("filter/out", rules, &[Hook::Postrouting], FILTER + SOURCE, false);
    }

    /// What FreeBSD does not route: `in_canforward` of `in.c`; link-local IPv6 addresses (RFC 4291, section 2.5.6), and what would go to the loopback interface.
    fn not_forwarded(&self) -> Vec<Rule> {
        let (mut any, host) = (Vec::new(), |field, family, lo, hi| Match::Address(field, family, Ranges::interval(lo, hi)));
        for (lo, hi) in [(0, 0x00ff_ffff), (0x7f00_0000, 0x7fff_ffff), (0xa9fe_0000, 0xa9fe_ffff), (0xe000_0000, 0xffff_ffff)] {
            any.push(host(Field::Dst, Family::V4, lo, hi));
        }
        for field in [Field::Src, Field::Dst] {
            any.push(host(field, Family::V6, 0xfe80 << 112, (0xfe80 << 112) | ((1 << 118) - 1)));
            any.push(host(field, Family::V6, 0, 1));
        }
        // Multicast goes where a multicast router sends it, which neither has.
        any.push(host(Field::Dst, Family::V6, 0xff << 120, u128::MAX));
        any.push(host(Field::Src, Family::V6, 0xff << 120, u128::MAX));
        // What arrives on the loopback interface the firewall has sent to itself.
        for direction in [Direction::In, Direction::Out] {
            any.push(Match::Interface(direction, crate::model::NamePattern::exact("lo0")));
        }
        let rule = Rule::implied("addresses that are not routed", Match::AnyOf(any), Action::Drop, self.whole);
        // The kernel counts them; no line of the policy could log them.
        vec![Rule { log: true, ..rule }]
    }

    fn base(&mut self, name: &str, rules: Vec<Rule>, hooks: &[Hook], priority: i32, nat: bool) {
        let device = &mut self.reader.device;
        let chain = ChainId(device.chains.len() as u32);
        device.chains.push(Chain { name: name.to_owned(), span: self.whole, rules });
        for hook in hooks {
            device.base_chains.push(BaseChain {
                chain,
                hook: *hook,
                priority,
                families: vec![Family::V4, Family::V6],
                nat,
                // The filter's chains end with the default deny rule.
                policy: Policy { action: PolicyAction::Accept, span: self.whole },
                devices: vec![],
            });
        }
    }

    fn filter(&mut self, steps: &[Step], direction: Direction) -> Vec<Rule> {
        let mut rules = self.heads(direction);
        let mut deferred: Vec<Rule> = Vec::new();
        let mut here: Vec<&Step> = steps.iter().filter(|s| s.looks(direction)).collect();
        if direction == Direction::In {
            // A packet arrives without a tag: a rule for both ways that asks for one which nothing sets here is about the way out.
            let set: HashSet<u128> = here.iter().filter_map(|s| s.tag).collect();
            here.retain(|s| s.way == Way::In || s.tagged.is_none_or(|t| set.contains(&t)));
        }
        let last_tag = here.iter().rposition(|s| s.tag.is_some());
        for (i, step) in here.iter().enumerate() {
            let mut rule = step.lower(direction);
            let set = step.tag.map(|id| Effect::Set(Field::Mark, id));
            if step.quick || matches!(rule.action, Action::Continue) {
                rule.effects.extend(set);
                rules.push(rule);
                continue;
            }
            if step.tagged.is_some() && last_tag.is_some_and(|t| t >= i) {
                // It looks at the tag when it is met, and a later rule may set another.
                let unclear = self.opaque("a packet has the tag that it had when an earlier rule was met", rule.span);
                rule.matcher = Match::all(vec![rule.matcher, unclear]);
            }
            if let Some(set) = set {
                let mut met = rule.clone();
                (met.action, met.log) = (Action::Continue, false);
                met.effects.push(set);
                rules.push(met);
            }
            deferred.push(rule);
        }
        rules.extend(deferred.into_iter().rev());
        rules
    }

    /// What comes before all rules: packets of connections that have a state, those that their translation let through, and the loopback interface.
    fn heads(&mut self, direction: Direction) -> Vec<Rule> {
        let whole = self.whole;
        let icmp = Match::Field(Field::Proto, Ranges::from_values([1, 58]));
        let related = Match::all(vec![Match::Field(Field::Ct, Ranges::single(ct::RELATED)), icmp]);
        let known = Match::any_of(vec![Match::Field(Field::Ct, Ranges::single(ct::ESTABLISHED)), related]);
        let mut rules = vec![Rule::implied("state of a connection that was let through", known, Action::Accept, whole)];
        let lo = Match::Interface(direction, crate::model::NamePattern::exact("lo0"));
        rules.push(Rule::implied("loopback interface", lo, Action::Accept, whole));
        for (value, span) in self.passes.iter().filter(|_| direction == Direction::In) {
            let passed = Match::Field(Field::Mark, Ranges::single(*value));
            rules.push(Rule::implied("pass of a port forwarding", passed, Action::Accept, *span));
        }
        if direction == Direction::Out && !self.tags.is_empty() {
            // What the firewall itself sends begins without a tag; what it forwards keeps the one of its way in.
            let mut reset = Rule::implied("begins without a tag", Match::Field(Field::Iif, Ranges::single(0)), Action::Continue, whole);
            reset.effects.push(Effect::Set(Field::Mark, 0));
            rules.push(reset);
        }
        if self.loses {
            // Any rule may be missing.
            let text = "a rule that was not read";
            rules.push(Rule::implied("rules that were not read", Match::Any, Action::Opaque(text.into()), whole));
        }
        rules
    }
}
