//! The chains in which firewalld's nftables backend dispatches packets, and what stands in them by itself.
//!
//! Order and content are those of the ruleset that firewalld 1.3.3 makes (`tests/firewalld_oracle.rs` compares them).

use std::collections::HashMap;

use super::settings::{ReversePath, Settings};
use crate::diag::LineState;
use crate::model::{Action, BaseChain, Chain, ChainId, Direction, Hook, Match, NamePattern, Policy, PolicyAction, Rule};
use crate::net::{Family, Ranges, parse_cidr};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;
use crate::vendors::Reader;

/// The chains made so far.
pub(super) struct Chains<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    ids: HashMap<String, ChainId>,
    /// Rules that may still be made, see [`crate::source::Limits::expanded_rules`].
    budget: usize,
    whole: Span,
}

/// Parts of a chain of a zone or policy, in the order in which packets meet them.
pub(super) const PARTS: [&str; 5] = ["pre", "log", "deny", "allow", "post"];

/// What a rejected packet is answered with.
pub(super) const REJECT: &str = "icmpx admin-prohibited";

/// Hooks with zones: table, chain, hook, priority (standard priority plus 10), address translation, whether zones are asked.
const BASES: &[(&str, &str, Hook, i32, bool, bool)] = &[
    ("mangle", "PREROUTING", Hook::Prerouting, -140, false, true),
    ("nat", "PREROUTING", Hook::Prerouting, -90, true, true),
    ("nat", "POSTROUTING", Hook::Postrouting, 110, true, true),
    ("nat", "OUTPUT", Hook::Output, -90, true, false),
    ("filter", "PREROUTING", Hook::Prerouting, 10, false, false),
    ("filter", "INPUT", Hook::Input, 10, false, true),
    ("filter", "FORWARD", Hook::Forward, 10, false, true),
    ("filter", "OUTPUT", Hook::Output, 10, false, false),
];

/// Destinations of IPv6 that hold an IPv4 address which is not to be reached from outside (RFC 3964 section 5): as firewalld lists them.
const RFC3964: &[&str] = &[
    "::/96",
    "::ffff:0:0/96",
    "2002::/24",
    "2002:a00::/24",
    "2002:7f00::/24",
    "2002:ac10::/28",
    "2002:c0a8::/32",
    "2002:a9fe::/32",
    "2002:e000::/19",
];

impl<'r, 'a> Chains<'r, 'a> {
    pub fn new(reader: &'r mut Reader<'a>, whole: Span) -> Self {
        let budget = reader.limits.expanded_rules;
        Chains { reader, ids: HashMap::new(), budget, whole }
    }

    /// The chain of a name, made if it is not there.
    pub fn chain(&mut self, name: &str, span: Span) -> ChainId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = ChainId(self.reader.device.chains.len() as u32);
        self.reader.device.chains.push(Chain { name: name.to_owned(), span, rules: Vec::new() });
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// Whether a chain of this name was made.
    pub fn has(&self, name: &str) -> bool {
        self.ids.contains_key(name)
    }

    /// Adds a rule at the end of a chain.
    pub fn push(&mut self, chain: &str, rule: Rule) {
        let id = self.chain(chain, rule.span);
        let Some(chain) = self.reader.device.chains.get_mut(id.0 as usize) else { return };
        match self.budget {
            0 => {}
            1 => {
                self.budget = 0;
                let span = rule.span;
                let left_out = Action::Opaque("the rules after the bound".into());
                chain.rules.push(Rule::implied("rest after the bound on rules", Match::Any, left_out, span));
                let text =
                    format!("more than {} rules come of this configuration: the rest is not read", self.reader.limits.expanded_rules);
                self.reader.incomplete(span, LineState::NotModelled, text);
            }
            _ => {
                self.budget -= 1;
                chain.rules.push(rule);
            }
        }
    }

    /// Counts a step of work against the bound on rules; false once that is reached.
    pub fn step(&mut self) -> bool {
        if self.budget > 1 {
            self.budget -= 1;
        }
        self.budget > 1
    }

    /// Adds a rule that firewalld makes by itself.
    pub fn implied(&mut self, chain: &str, what: &'static str, matcher: Match, action: Action, span: Span) {
        self.push(chain, Rule::implied(what, matcher, action, span));
    }

    /// Adds a jump that firewalld makes by itself.
    pub fn jump(&mut self, from: &str, to: &str, span: Span) {
        let to = self.chain(to, span);
        self.implied(from, "dispatch of firewalld", Match::Any, Action::Jump(to), span);
    }

    /// An opaque condition.
    pub fn condition(&mut self, text: &str, span: Span) -> Match {
        Match::Opaque(self.reader.device.conditions.intern(text, span))
    }

    /// A chain of a zone or policy with its parts. `around`: the chains of policies before and after (of a zone).
    pub fn skeleton(&mut self, name: &str, around: Option<&str>, span: Span) {
        self.chain(name, span);
        if let Some(hook) = around {
            self.jump(name, &format!("{hook}_POLICIES_pre"), span);
        }
        for part in PARTS {
            self.jump(name, &format!("{name}_{part}"), span);
        }
        if let Some(hook) = around {
            self.jump(name, &format!("{hook}_POLICIES_post"), span);
        }
    }

    /// Logs what is about to be denied, if the configuration asks for it.
    pub fn log_denied(&mut self, chain: &str, matcher: Match, settings: &Settings, span: Span) {
        let Some(only) = settings.log_denied else { return };
        let mut parts = vec![matcher];
        parts.extend(only.map(|kind| Match::field(Field::PktType, Ranges::single(kind), false)));
        let rule = Rule { log: true, ..Rule::implied("logging of denied packets", Match::all(parts), Action::Continue, span) };
        self.push(chain, rule);
    }

    /// The base chains and what stands in them by itself.
    pub fn bases(&mut self, settings: &Settings) {
        let span = self.whole;
        for (table, chain, hook, priority, nat, zones) in BASES {
            let name = format!("{table}_{chain}");
            let id = self.chain(&name, span);
            self.reader.device.base_chains.push(BaseChain {
                chain: id,
                hook: *hook,
                priority: *priority,
                families: Family::BOTH.to_vec(),
                nat: *nat,
                policy: Policy { action: PolicyAction::Accept, span },
                devices: Vec::new(),
            });
            if *table == "filter" {
                self.filter(chain, &name, settings, span);
            }
            match *chain {
                _ if *zones => self.jump(&name, &format!("{name}_ZONES"), span),
                "OUTPUT" => {
                    self.jump(&name, &format!("{name}_POLICIES_pre"), span);
                    self.jump(&name, &format!("{name}_POLICIES_post"), span);
                }
                _ => {}
            }
            if *table == "filter" && *zones {
                self.log_denied(&name, Match::Any, settings, span);
                self.implied(&name, "rejection of what no zone decides about", Match::Any, Action::Reject(REJECT.into()), span);
            }
        }
    }

    fn filter(&mut self, chain: &str, name: &str, settings: &Settings, span: Span) {
        let state = |values: &[u128]| Match::Field(Field::Ct, Ranges::from_values(values.iter().copied()));
        if chain == "PREROUTING" {
            if let ReversePath::Arriving(strict) = settings.reverse_path {
                // Router advertisements and neighbour solicitations.
                let exempt = icmp(Family::V6, (134, None));
                let solicit = icmp(Family::V6, (135, None));
                let exempt = Match::any_of(vec![exempt, solicit]);
                self.implied(name, "exemption from the reverse path filter", exempt, Action::Accept, span);
                self.reverse_path(name, strict, settings, span);
            }
            return;
        }
        if let (ReversePath::Forwarded(strict), "FORWARD") = (settings.reverse_path, chain) {
            self.reverse_path(name, strict, settings, span);
        }
        self.implied(name, "acceptance of known connections", state(&[ct::ESTABLISHED, ct::RELATED]), Action::Accept, span);
        let lo = |direction| Match::Interface(direction, NamePattern::exact("lo"));
        if chain == "OUTPUT" {
            self.implied(name, "acceptance of loopback", lo(Direction::Out), Action::Accept, span);
        } else {
            let mut translated = vec![Match::Field(Field::CtNat, Ranges::from_values([2, 3]))];
            if settings.strict_forward_ports {
                translated.push(self.condition("translated by a forward port of firewalld", span));
            }
            self.implied(name, "acceptance of translated connections", Match::all(translated), Action::Accept, span);
            self.implied(name, "acceptance of loopback", lo(Direction::In), Action::Accept, span);
            self.log_denied(name, state(&[ct::INVALID]), settings, span);
            self.implied(name, "drop of invalid packets", state(&[ct::INVALID]), Action::Drop, span);
        }
        if settings.rfc3964 && chain != "INPUT" {
            let nets = RFC3964.iter().filter_map(|net| parse_cidr(net)).map(|(_, lo, hi)| (lo, hi)).collect();
            let to = Match::Address(Field::Dst, Family::V6, Ranges::from_intervals(nets));
            self.implied(name, "rejection of 6to4 addresses (RFC3964_IPv4)", to, Action::Reject("icmpv6 addr-unreachable".into()), span);
        }
    }

    fn reverse_path(&mut self, name: &str, strict: bool, settings: &Settings, span: Span) {
        let text = if strict { "fib saddr . mark . iif oif exists" } else { "fib saddr . mark oif exists" };
        let missing = self.condition(text, span).negate_if(true);
        let rule = Rule::implied("reverse path filter of IPv6", Match::all(vec![Match::Family(Family::V6), missing]), Action::Drop, span);
        self.push(name, Rule { log: settings.log_denied.is_some(), ..rule });
    }
}

/// An ICMP type, and a code if only that is meant.
pub(super) fn icmp(family: Family, (kind, code): (u8, Option<u8>)) -> Match {
    let base = u128::from(kind) << 8;
    let values = match code {
        Some(code) => Ranges::single(base | u128::from(code)),
        None => Ranges::interval(base, base | 0xff),
    };
    let number = if family == Family::V4 { 1 } else { 58 };
    Match::all(vec![Match::Family(family), Match::Field(Field::Proto, Ranges::single(number)), Match::Field(Field::Icmp, values)])
}
