//! Rich rules to the chains of their zone or policy.

use super::chains::{Chains, REJECT};
use super::lower::{Owner, World, family_of, icmp_matches, masquerade, not_loopback, port_match, said_rule, service_matches, translation};
use super::objects::{Body, Element, Rich, Verdict};
use super::places::place;
use super::settings::Settings;
use crate::diag::LineState;
use crate::model::{Action, Effect, Match, Rule};
use crate::net::{Family, Ranges};
use crate::packets::Field;

/// Lowers the rich rules in the order of their priorities; of equal ones in that of the text.
pub(super) fn lower(chains: &mut Chains<'_, '_>, world: &World, body: &Body, owner: &Owner, _settings: &Settings) {
    let mut order: Vec<&Rich> = body.rules.iter().collect();
    order.sort_by_key(|r| r.priority);
    for (n, rule) in order.into_iter().enumerate() {
        if !chains.step() {
            break;
        }
        One { chains, world, body, owner, rule, number: n }.lower();
    }
}

struct One<'x, 'r, 'a> {
    chains: &'x mut Chains<'r, 'a>,
    world: &'x World,
    body: &'x Body,
    owner: &'x Owner,
    rule: &'x Rich,
    number: usize,
}

impl One<'_, '_, '_> {
    fn lower(&mut self) {
        let rule = self.rule;
        if let Some(what) = self.invalid() {
            let text = format!("{what}: firewalld passes over this rule");
            self.chains.reader.note(rule.span, LineState::Unsupported, text);
            return;
        }
        let base = self.base();
        let mut elements: Vec<Match> = match &rule.element {
            Element::None => vec![Match::Any],
            Element::Port(p) => vec![port_match(Field::Dport, p)],
            Element::SourcePort(p) => vec![port_match(Field::Sport, p)],
            Element::Protocol(p) => vec![Match::Field(Field::Proto, Ranges::single((*p).into()))],
            Element::Service(name) => service_matches(self.chains, self.world, name, self.family(), rule.span),
            Element::IcmpBlock(name) | Element::IcmpType(name) => match icmp_matches(self.world, name, self.family()) {
                Some(found) => found,
                None => {
                    let text = format!("the ICMP type `{name}` is not known: which packets it means is not known");
                    self.chains.reader.note(rule.span, LineState::NotModelled, text);
                    vec![self.chains.condition(&format!("icmp type {name}"), rule.span)]
                }
            },
            Element::ForwardPort(p) => vec![port_match(Field::Dport, &p.from)],
            Element::Masquerade => vec![not_loopback()],
            Element::MssClamp => return,
        };
        if let Some(what) = &rule.unknown {
            let unknown = self.chains.condition(&format!("{what} of a rich rule of {}", self.body.name), rule.span);
            elements = elements.into_iter().map(|m| Match::all(vec![m, unknown.clone()])).collect();
        }
        for element in elements {
            let matcher = Match::all(vec![base.clone(), element]);
            self.place(matcher);
        }
    }

    /// The rule's family, or that of its source.
    fn family(&self) -> Option<Family> {
        self.rule.family.or_else(|| self.rule.source.as_ref().and_then(|s| family_of(&s.0, &self.world.sets)))
    }

    /// Why firewalld does not take the rule (`Rich_Rule.check`); it warns, and goes on without it.
    fn invalid(&self) -> Option<&'static str> {
        let rule = self.rule;
        let special = matches!(rule.element, Element::Masquerade | Element::ForwardPort(_) | Element::IcmpBlock(_) | Element::MssClamp);
        let addressed = |p: &Option<(super::objects::Place, bool)>| matches!(p, Some((super::objects::Place::Addresses(..), _)));
        if rule.unknown.is_some() {
            return None;
        }
        if rule.family.is_none() && (addressed(&rule.source) || addressed(&rule.destination)) {
            return Some("a rule with an address must say its family");
        }
        if rule.family.is_none() && matches!(rule.element, Element::ForwardPort(_)) {
            return Some("a rule with a forward port must say its family");
        }
        if special && rule.action.is_some() && !matches!(rule.element, Element::MssClamp) {
            return Some("such a rule has no action of its own");
        }
        if !special && rule.action.is_none() {
            return Some("the rule has no action");
        }
        if rule.family.is_none() && matches!(rule.action, Some(Verdict::Reject(Some(_)))) {
            return Some("a rule with a type of rejection must say its family");
        }
        if rule.element == Element::None && rule.source.is_none() && rule.destination.is_none() && rule.priority == 0 {
            return Some("a rule without source, destination and element needs a priority");
        }
        None
    }

    /// Family, source and destination.
    fn base(&mut self) -> Match {
        let rule = self.rule;
        let mut parts: Vec<Match> = rule.family.map(Match::Family).into_iter().collect();
        for (side, field) in [(&rule.destination, Field::Dst), (&rule.source, Field::Src)] {
            if let Some((p, inverted)) = side {
                parts.push(place(self.chains, &self.world.sets, p, *inverted, field, rule.span));
            }
        }
        Match::all(parts)
    }

    fn limited(&mut self, matcher: Match, limit: &Option<String>, what: &str) -> Match {
        let Some(limit) = limit else { return matcher };
        // Each limit counts for itself.
        let text = format!("limit {limit} of the {what} of rich rule {} of {}", self.number + 1, self.body.name);
        Match::all(vec![matcher, self.chains.condition(&text, self.rule.span)])
    }

    fn place(&mut self, matcher: Match) {
        let rule = self.rule;
        let part = |normal: &'static str| match rule.priority {
            0 => normal,
            n if n < 0 => "pre",
            _ => "post",
        };
        let refuse = |one: &mut Self| {
            let text = "firewalld refuses this rule here: there is no chain for it";
            one.chains.reader.note(rule.span, LineState::Unsupported, text);
        };
        let body = self.body;
        match &rule.element {
            Element::Masquerade => match &self.owner.source {
                Some(chain) => {
                    let chain = format!("{chain}_{}", part("allow"));
                    self.chains.push(&chain, said_rule(body, matcher, masquerade(), rule.span));
                }
                None => refuse(self),
            },
            Element::ForwardPort(p) => match &self.owner.destination {
                Some(chain) => {
                    let chain = format!("{chain}_{}", part("allow"));
                    self.chains.push(&chain, said_rule(body, matcher, Action::Nat(translation(p)), rule.span));
                }
                None => refuse(self),
            },
            _ => {
                let Some(filter) = self.owner.filter.clone() else { return };
                for (limit, what) in [(&rule.log, "log"), (&rule.audit, "audit")] {
                    if let Some(limit) = limit {
                        let matcher = self.limited(matcher.clone(), limit, what);
                        let chain = format!("{filter}_{}", part("log"));
                        let logging = Rule { log: true, ..said_rule(body, matcher, Action::Continue, rule.span) };
                        self.chains.push(&chain, logging);
                    }
                }
                self.action(matcher, &filter, part);
            }
        }
    }

    fn action(&mut self, matcher: Match, filter: &str, part: impl Fn(&'static str) -> &'static str) {
        let rule = self.rule;
        let body = self.body;
        let matcher = self.limited(matcher, &rule.limit, "action");
        let (normal, action) = match &rule.action {
            Some(Verdict::Accept) => ("allow", Action::Accept),
            Some(Verdict::Drop) => ("deny", Action::Drop),
            Some(Verdict::Reject(kind)) => ("deny", Action::Reject(kind.clone().unwrap_or_else(|| "icmpx port-unreachable".into()))),
            None => ("deny", Action::Reject(REJECT.into())),
            Some(Verdict::Mark(set)) => {
                let Some(mangle) = &self.owner.mangle else {
                    let text = "firewalld refuses this rule here: there is no chain for marks";
                    self.chains.reader.note(rule.span, LineState::Unsupported, text);
                    return;
                };
                let chain = format!("{mangle}_{}", part("allow"));
                let mut marked = said_rule(body, matcher, Action::Continue, rule.span);
                marked.effects = vec![mark(set)];
                self.chains.push(&chain, marked);
                return;
            }
        };
        let chain = format!("{filter}_{}", part(normal));
        // An answer by TCP reset is given to TCP only, and others go on.
        let (matcher, action) = match &action {
            Action::Reject(kind) if kind.starts_with("tcp-r") => {
                (Match::all(vec![matcher, Match::Field(Field::Proto, Ranges::single(6))]), action)
            }
            _ => (matcher, action),
        };
        self.chains.push(&chain, said_rule(body, matcher, action, rule.span));
    }
}

fn number(text: &str) -> Option<u128> {
    match text.trim().strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.trim().parse::<u32>().ok(),
    }
    .map(u128::from)
}

/// `value`, or `value/mask`: firewalld makes `(mark and mask) xor value` of the latter.
fn mark(set: &str) -> Effect {
    let found = match set.split_once('/') {
        Some((value, mask)) => number(value).zip(number(mask)).map(|(value, keep)| Effect::SetBits {
            field: Field::Mark,
            mask: !keep & 0xffff_ffff,
            value,
            xor: true,
        }),
        None => number(set).map(|n| Effect::Set(Field::Mark, n)),
    };
    found.unwrap_or(Effect::Unknown(Field::Mark))
}
