//! Policies: which one decides between two zones, and the chains that they make.
//!
//! Source: shorewall-policy(5), shorewall.conf(5) of version 5.2.8.

use super::book::{Asks, Table};
use super::compile::{Compiler, Pair, Section};
use super::lines::{Entry, Item};
use super::values::UNKNOWN;
use super::zones::Kind;
use crate::diag::LineState::NotModelled;
use crate::source::Span;

/// States that have a disposition of their own, with the settings that say which.
pub(super) const STATES: [(&str, char); 4] = [("ESTABLISHED", '^'), ("RELATED", '+'), ("INVALID", '_'), ("UNTRACKED", '&')];

type Names = (String, String);

impl Compiler<'_, '_> {
    pub fn pair(&self, from: &str, to: &str) -> Option<&Pair> {
        self.pairs.get(&(from.to_owned(), to.to_owned()))
    }

    pub fn pair_mut(&mut self, from: &str, to: &str) -> &mut Pair {
        let fast = self.fast_states();
        self.pairs.entry((from.to_owned(), to.to_owned())).or_insert_with(|| Pair { states: fast, ..Pair::default() })
    }

    /// States that are accepted before any rule (`FASTACCEPT`).
    fn fast_states(&self) -> std::collections::BTreeSet<&'static str> {
        let mut out = std::collections::BTreeSet::new();
        if self.settings.is_yes("FASTACCEPT") {
            out.insert("ESTABLISHED");
            if self.settings.get("RELATED_DISPOSITION") == "ACCEPT" && self.settings.level("RELATED_LOG_LEVEL").is_none() {
                out.insert("RELATED");
            }
        }
        out
    }

    /// The target for packets of a state that no rule of its section decides about; empty: the rules for new connections decide.
    pub fn state_target(&self, state: &str) -> String {
        let value = match state {
            "ESTABLISHED" => "ACCEPT",
            state => self.settings.get(&format!("{state}_DISPOSITION")),
        };
        match value.strip_prefix("A_").unwrap_or(value) {
            "REJECT" => "reject".into(),
            "CONTINUE" => String::new(),
            other => other.to_owned(),
        }
    }

    pub fn read_policies(&mut self) {
        for state in ["RELATED", "INVALID", "UNTRACKED"] {
            let setting = format!("{state}_DISPOSITION");
            if !matches!(self.state_target(state).as_str(), "" | "ACCEPT" | "DROP" | "reject") {
                let span = self.settings.span(&setting);
                self.reader.refused(span, format!("{setting} has no such value"));
            }
        }
        for policy in ["DROP", "REJECT", "ACCEPT", "BLACKLIST", "QUEUE", "NFQUEUE"] {
            let setting = format!("{policy}_DEFAULT");
            let text = self.settings.get(&setting).to_owned();
            let span = self.settings.span(&setting);
            let actions = self.actions_of(policy, &text, span);
            self.policy_actions.insert(policy.to_owned(), actions);
        }
        let names = self.zones.names();
        let anchor = self.settings.anchor;
        for zone in &names {
            let kind = self.zones.get(zone).map_or(Kind::Ip, |z| z.kind);
            let span = self.zones.get(zone).map_or(anchor, |z| z.span);
            self.own_policy((zone, zone), "ACCEPT", true, span);
            if kind == Kind::BridgePort {
                let firewall = self.zones.firewall.clone();
                self.own_policy((&firewall, zone), "NONE", true, span);
            }
            if matches!(kind, Kind::Local | Kind::Loopback) {
                for other in self.zones.off_firewall() {
                    if other != *zone && !(kind == Kind::Loopback && self.zones.has_kind(&other, &[Kind::Loopback])) {
                        for (a, b) in [(zone, &other), (&other, zone)] {
                            let pair = self.pair_mut(a, b);
                            if pair.policy.is_empty() {
                                pair.policy = "NONE".into();
                                pair.policy_of = (a.clone(), b.clone());
                            }
                        }
                    }
                }
            }
            let nested = self.zones.get(zone).is_some_and(|z| !z.parents.is_empty());
            if self.settings.is_yes("IMPLICIT_CONTINUE") && (nested || kind == Kind::Vserver) {
                for other in names.iter().filter(|o| *o != zone) {
                    for (a, b) in [(zone, other), (other, zone)] {
                        if !self.pair(a, b).is_some_and(|p| p.is_policy) {
                            self.own_policy((a, b), "CONTINUE", true, span);
                        }
                    }
                }
            }
        }
        for item in self.items("policy", 1) {
            match item {
                Item::Entry(entry) => self.policy(&entry),
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Filter], what, span),
            }
        }
        for from in &names {
            for to in &names {
                if self.pair(from, to).is_none_or(|p| p.policy.is_empty()) {
                    self.reader.refused(anchor, format!("there is no policy from {from} to {to}"));
                    let pair = self.pair_mut(from, to);
                    pair.policy = "UNKNOWN".into();
                    pair.policy_of = (from.clone(), to.clone());
                }
            }
        }
    }

    fn own_policy(&mut self, (from, to): (&str, &str), policy: &str, provisional: bool, span: Span) {
        let names = (from.to_owned(), to.to_owned());
        let pair = self.pair_mut(from, to);
        pair.is_policy = true;
        pair.provisional = provisional;
        pair.policy = policy.to_owned();
        pair.policy_of = names.clone();
        pair.wild = from == "all" || to == "all";
        pair.span = Some(span);
        self.policies.push(names);
    }

    /// Actions for packets before a policy decides about them.
    fn actions_of(&mut self, policy: &str, text: &str, span: Span) -> Vec<String> {
        let mut out = Vec::new();
        let text = match text.strip_prefix('+') {
            Some(more) => {
                out = self.policy_actions.get(policy).cloned().unwrap_or_default();
                more
            }
            None => text,
        };
        if text.is_empty() || text.eq_ignore_ascii_case("none") {
            return out;
        }
        for action in super::zones::list(text) {
            if action.contains(UNKNOWN) {
                self.reader.note(span, NotModelled, "a variable of this setting is not known here");
            }
            out.push(action);
        }
        out
    }

    fn policy(&mut self, entry: &Entry) {
        let (mut from, mut to) = (entry.column(&["source"], 0).to_owned(), entry.column(&["dest"], 1).to_owned());
        if [&from, &to, &entry.column(&["policy"], 2).to_owned()].iter().any(|c| c.contains(UNKNOWN)) {
            self.reader.note(entry.span, NotModelled, "a variable of this line is not known here");
            return self.hide(&[Table::Filter], "a policy that is not known", entry.span);
        }
        let all = |name: &str| name.get(..3).is_some_and(|n| n.eq_ignore_ascii_case("all"));
        let mut within = false;
        let lists = (from.contains(',') && !all(&from), to.contains(',') && !all(&to));
        for (name, is_list) in [(&mut from, lists.0), (&mut to, lists.1)] {
            if is_list && let Some(short) = name.strip_suffix('+') {
                *name = short.to_owned();
                within = true;
            }
        }
        let split = |name: &str, is_list: bool| if is_list { name.split(',').map(str::to_owned).collect() } else { vec![name.to_owned()] };
        for a in split(&from, lists.0) {
            for b in split(&to, lists.1) {
                if !(lists.0 || lists.1) || within || a != b {
                    self.one_policy(entry, &a, &b, within);
                }
            }
        }
    }

    /// `all`, `all+`, `all!a,b`: whether it is all, whether within zones too, and what is left out.
    fn wildcard(name: &str) -> (bool, bool, Vec<String>) {
        let Some(rest) = name.get(..3).filter(|n| n.eq_ignore_ascii_case("all")).and_then(|_| name.get(3..)) else {
            return (false, false, Vec::new());
        };
        let (plus, rest) = rest.strip_prefix('+').map_or((false, rest), |r| (true, r));
        match rest.strip_prefix('!') {
            Some(list) => (true, plus, list.split(',').map(str::to_owned).collect()),
            None => (rest.is_empty(), plus, Vec::new()),
        }
    }

    fn one_policy(&mut self, entry: &Entry, from: &str, to: &str, within: bool) {
        let (from_all, plus, without_from) = Self::wildcard(from);
        let (to_all, plus_to, without_to) = Self::wildcard(to);
        let within = within || plus || plus_to;
        let span = entry.span;
        for name in without_from.iter().chain(&without_to) {
            self.zone_used(name, span);
        }
        for (name, is_all) in [(from, from_all), (to, to_all)] {
            if !is_all && !self.zone_used(name, span) {
                return self.hide(&[Table::Filter], "a policy that is refused", span);
            }
        }
        let written = entry.column(&["policy"], 2).to_owned();
        let written = written.strip_suffix(":audit").unwrap_or(&written).to_owned();
        let (text, actions) = match split_colon(&written) {
            (text, Some(actions)) => (text, Some(actions)),
            (text, None) => (text, None),
        };
        let (policy, queue) = parameter(text);
        let policy = match policy {
            "ACCEPT" | "DROP" | "REJECT" | "CONTINUE" | "NONE" | "QUEUE" | "BLACKLIST" => policy.to_owned(),
            "NFQUEUE" => match queue {
                Some(queue) => format!("NFQUEUE({queue})"),
                None => "NFQUEUE".to_owned(),
            },
            other => {
                self.refuse(entry, format!("there is no policy {other}"));
                return self.hide(&[Table::Filter], "a policy that is refused", span);
            }
        };
        let kind = policy.split('(').next().unwrap_or("").to_owned();
        if kind == "NONE" && (from_all || to_all || self.zones.is_on_firewall(from) || self.zones.is_on_firewall(to)) {
            return self.refuse(entry, "NONE is no policy for all zones, nor for the firewall");
        }
        let names: Names = (if from_all { "all" } else { from }.to_owned(), if to_all { "all" } else { to }.to_owned());
        let actions = match actions {
            Some(text) => self.actions_of(&kind, text, span),
            None => self.policy_actions.get(&kind).cloned().unwrap_or_default(),
        };
        let level = Some(entry.column(&["loglevel"], 3)).filter(|l| *l != "-").map(str::to_owned);
        let mut limit = Asks::default();
        let has_limit = entry.column(&["limit", "rate"], 4) != "-" || entry.column(&["connlimit"], 5) != "-";
        if has_limit {
            let rate = entry.column(&["limit", "rate"], 4).to_owned();
            limit.add(&self.rate(entry, &rate));
            limit.add(&self.connections(entry.column(&["connlimit"], 5)));
        }
        let expand = self.settings.is_yes("EXPAND_POLICIES");
        if self.pair(&names.0, &names.1).is_some_and(|p| !(p.policy.is_empty() || p.is_policy && p.provisional)) {
            self.refuse(entry, format!("there is a policy from {} to {} already", names.0, names.1));
            return;
        }
        let pair = self.pair_mut(&names.0, &names.1);
        let was_policy = pair.is_policy;
        pair.is_policy = true;
        pair.provisional = false;
        pair.policy = policy.clone();
        pair.policy_of = names.clone();
        pair.wild = from_all || to_all;
        pair.level = level;
        pair.actions = actions;
        pair.limit = limit;
        pair.has_limit = has_limit;
        pair.span = Some(span);
        let template = pair.clone();
        if !was_policy && !(expand && (from_all || to_all)) {
            self.policies.push(names.clone());
        }
        // The zones that a policy for all is about; `all` itself unless policies are expanded.
        let mut everyone = self.zones.names();
        if !expand {
            everyone.push("all".into());
        }
        let zones = |is_all: bool, name: &str, without: &[String], own: &[String]| -> Vec<String> {
            if is_all { own.iter().filter(|z| !without.contains(z)).cloned().collect() } else { vec![name.to_owned()] }
        };
        let only_zones = self.zones.names();
        let sources = zones(from_all, from, &without_from, if to_all { &everyone } else { &only_zones });
        // What a list after `all!` leaves out as destination counts only where the source is one zone (as 5.2.8 does).
        let left_out: &[String] = if from_all { &[] } else { &without_to };
        let targets = zones(to_all, to, left_out, &everyone);
        if from_all || to_all {
            for a in &sources {
                for b in &targets {
                    self.inherit((a, b), &names, &template, within, expand);
                }
            }
        }
    }

    /// Gives a pair of zones the policy of another pair, unless it has one.
    fn inherit(&mut self, (from, to): (&str, &str), of: &Names, template: &Pair, within: bool, expand: bool) {
        let names = (from.to_owned(), to.to_owned());
        let pair = self.pair_mut(from, to);
        if within && from == to && pair.provisional {
            pair.policy_of = Names::default();
            pair.provisional = false;
        }
        if !pair.policy_of.0.is_empty() {
            return;
        }
        pair.policy = template.policy.clone();
        pair.span = template.span;
        if expand {
            pair.policy_of = names.clone();
            pair.level = template.level.clone();
            pair.actions = template.actions.clone();
            pair.limit = template.limit.clone();
            pair.has_limit = template.has_limit;
            let was = pair.is_policy;
            pair.is_policy = true;
            if !was {
                self.policies.push(names);
            }
        } else {
            pair.policy_of = of.clone();
        }
    }

    /// Makes packets go through the chain of two zones, with the rules for states of the sections that have ended.
    pub fn use_pair(&mut self, from: &str, to: &str) -> String {
        let name = self.chain_of(from, to);
        if !self.pair(from, to).is_some_and(|p| p.used) {
            self.end_sections((from, to), None);
            self.pair_mut(from, to).used = true;
        }
        name
    }

    /// Rules for the states whose sections have ended. `only`: the section that ends now.
    pub fn end_sections(&mut self, names: (&str, &str), only: Option<&[&'static str]>) {
        let all: &[&'static str] = match self.section {
            Section::New | Section::Policy => &["ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"],
            Section::Untracked => &["ESTABLISHED", "RELATED", "INVALID"],
            Section::Invalid => &["ESTABLISHED", "RELATED"],
            Section::Related => &["ESTABLISHED"],
            _ => &[],
        };
        if only.is_none() && all.is_empty() {
            return;
        }
        let states: Vec<&'static str> = only.unwrap_or(all).to_vec();
        self.implied("rule for connections that are known", |c| c.end_states(names, &states));
    }

    fn end_states(&mut self, (from, to): (&str, &str), states: &[&'static str]) {
        let chain = self.chain_of(from, to);
        let Some(pair) = self.pair(from, to).cloned() else { return };
        let mut left: Vec<&'static str> = states.iter().copied().filter(|s| !pair.states.contains(s)).collect();
        self.pair_mut(from, to).states.extend(left.iter().copied());
        let span = pair.span.unwrap_or(self.settings.anchor);
        if !pair.wild {
            for (state, sign) in STATES {
                if !left.contains(&state) {
                    continue;
                }
                let setting = format!("{state}_LOG_LEVEL");
                let level = if state == "ESTABLISHED" { None } else { self.settings.level(&setting).map(str::to_owned) };
                let target = self.state_target(state);
                let own = format!("{sign}{chain}");
                let has_own = self.book.has(Table::Filter, &own);
                if !has_own && level.is_none() && target == "ACCEPT" {
                    continue;
                }
                let at = if state == "ESTABLISHED" { span } else { self.settings.span(&format!("{state}_DISPOSITION")) };
                if has_own {
                    // What its section left undecided.
                    self.log(Table::Filter, &own, Asks::default(), level.as_deref(), at);
                    if !target.is_empty() {
                        self.add(Table::Filter, &own, Asks::default(), &Self::jump(&target), at);
                    }
                    left.retain(|s| *s != state);
                    continue;
                }
                if !target.is_empty() || level.is_some() {
                    if left.contains(&"ESTABLISHED") && !target.is_empty() {
                        self.add(Table::Filter, &chain, Self::state("ESTABLISHED"), "-j ACCEPT", span);
                        left.retain(|s| *s != "ESTABLISHED");
                    }
                    self.log(Table::Filter, &chain, Self::state(state), level.as_deref(), at);
                    if !target.is_empty() {
                        self.add(Table::Filter, &chain, Self::state(state), &Self::jump(&target), at);
                    }
                }
                left.retain(|s| *s != state);
            }
        }
        let fast = self.settings.is_yes("FASTACCEPT");
        // The chain of a policy for all zones has no rules for states (5.2.8): packets without a chain of their own zones get its verdict.
        let mut accepted: Vec<&str> =
            left.iter().copied().filter(|s| !fast && !pair.wild && matches!(*s, "ESTABLISHED" | "RELATED")).collect();
        if !pair.wild && left.contains(&"UNTRACKED") && self.state_target("UNTRACKED") == "ACCEPT" {
            accepted.push("UNTRACKED");
        }
        if !accepted.is_empty() {
            self.add(Table::Filter, &chain, Self::state(&accepted.join(",")), "-j ACCEPT", span);
        }
        if self.section >= Section::New {
            self.limit_jump((from, to), &pair);
        }
    }

    /// Sends TCP that opens a connection to the limit of a policy.
    fn limit_jump(&mut self, (from, to): (&str, &str), pair: &Pair) {
        let of = if pair.is_policy { (from.to_owned(), to.to_owned()) } else { pair.policy_of.clone() };
        let Some(policy) = self.pairs.get(&of).filter(|p| p.has_limit).cloned() else { return };
        let accepts = ["ACCEPT", "CONTINUE", "QUEUE", "NFQUEUE"].iter().any(|p| policy.policy.starts_with(p));
        if self.section == Section::Policy && pair.is_policy && !accepts {
            return;
        }
        let span = policy.span.unwrap_or(self.settings.anchor);
        let name = format!("@{}", self.chain_of(&of.0, &of.1));
        if self.book.is_empty(Table::Filter, &name) {
            self.add(Table::Filter, &name, policy.limit.clone(), "-j RETURN", span);
            self.log(Table::Filter, &name, Asks::default(), policy.level.as_deref(), span);
            self.add(Table::Filter, &name, Asks::default(), "-j DROP", span);
        }
        let chain = self.chain_of(from, to);
        self.add(Table::Filter, &chain, Asks::words("-p tcp --syn"), &Self::jump(&name), span);
    }

    /// Ends the chains of all policies and pairs of zones that packets go through.
    pub fn complete_policies(&mut self) {
        let optimize = self.settings.optimize() & 2 != 0;
        let multicast = self.settings.is_yes("MULTICAST");
        for names in self.policies.clone() {
            let Some(pair) = self.pairs.get(&names).cloned().filter(|p| p.policy != "NONE") else { continue };
            if !pair.used && !pair.provisional && pair.policy != "CONTINUE" {
                let plain = pair.policy == "ACCEPT" || self.settings.is_yes("FASTACCEPT");
                if !optimize || !pair.actions.is_empty() || pair.level.is_some() || pair.has_limit || multicast || !plain {
                    self.use_pair(&names.0, &names.1);
                }
            }
            if pair.wild {
                let chain = self.chain_of(&names.0, &names.1);
                self.policy_rules(&chain, &pair, multicast);
            }
        }
        let zones = self.zones.names();
        for from in &zones {
            for to in &zones {
                let Some(pair) = self.pair(from, to).cloned().filter(|p| p.used) else { continue };
                let chain = self.chain_of(from, to);
                if pair.policy_of == (from.clone(), to.clone()) {
                    self.policy_rules(&chain, &pair, multicast);
                    continue;
                }
                let Some(policy) = self.pairs.get(&pair.policy_of).cloned() else { continue };
                let passes = ["ACCEPT", "QUEUE", "NFQUEUE"].iter().any(|p| policy.policy.starts_with(p));
                if policy.policy == "CONTINUE" || (passes && policy.has_limit) {
                    self.policy_rules(&chain, &policy, multicast);
                } else {
                    let of = self.chain_of(&pair.policy_of.0, &pair.policy_of.1);
                    let span = policy.span.unwrap_or(self.settings.anchor);
                    self.implied("jump to a policy", |c| c.add(Table::Filter, &chain, Asks::default(), &format!("-g {of}"), span));
                }
            }
        }
    }

    /// What a policy does: its actions, its log, its verdict.
    pub fn policy_rules(&mut self, chain: &str, pair: &Pair, multicast: bool) {
        let span = pair.span.unwrap_or(self.settings.anchor);
        let kind = pair.policy.split('(').next().unwrap_or("").to_owned();
        if kind == "NONE" {
            return;
        }
        if multicast && !matches!(kind.as_str(), "CONTINUE" | "ACCEPT") {
            self.add(Table::Filter, chain, Asks::words("-d 224.0.0.0/4"), "-j RETURN", span);
        }
        for action in pair.actions.clone() {
            self.implied("action before a policy", |c| c.policy_action(chain, &action, span));
        }
        // A policy is written once and stands in many chains: that one of them could do without it blames nobody. What accepts everything that
        // no zone has, in a built-in chain, is told as written.
        let bare = matches!(chain, "INPUT" | "FORWARD" | "OUTPUT") && kind == "ACCEPT";
        let before = self.implied;
        self.implied = if bare { None } else { Some("policy") };
        self.verdict(chain, &kind, pair, span);
        self.implied = before;
    }

    fn verdict(&mut self, chain: &str, kind: &str, pair: &Pair, span: Span) {
        self.log(Table::Filter, chain, Asks::default(), pair.level.as_deref(), span);
        match kind {
            "CONTINUE" => {}
            "UNKNOWN" => self.add_unknown(Table::Filter, chain, Asks::default(), "a policy that is missing".into(), span),
            "REJECT" => self.add(Table::Filter, chain, Asks::default(), "-g reject", span),
            "BLACKLIST" => self.add(Table::Filter, chain, Asks::default(), "-j DROP", span),
            "NFQUEUE" => self.add(Table::Filter, chain, Asks::default(), "-j NFQUEUE --queue-num 0", span),
            // ACCEPT, DROP, QUEUE
            other => self.add(Table::Filter, chain, Asks::default(), &Self::jump(other), span),
        }
    }

    /// Where packets from one zone to another go: a chain, a verdict, or nowhere (empty: the rules of other zones decide).
    pub fn destination(&self, from: &str, to: &str) -> String {
        let Some(pair) = self.pair(from, to) else { return String::new() };
        if pair.used {
            return self.chain_of(from, to);
        }
        if from == to {
            return "ACCEPT".into();
        }
        if pair.policy == "CONTINUE" {
            return String::new();
        }
        if pair.policy_of != (from.to_owned(), to.to_owned()) {
            return self.chain_of(&pair.policy_of.0, &pair.policy_of.1);
        }
        match pair.policy.split('(').next().unwrap_or("") {
            "REJECT" => "reject".into(),
            other => other.to_owned(),
        }
    }
}

/// The text before the first colon outside parentheses, and what is after it.
pub(super) fn split_colon(text: &str) -> (&str, Option<&str>) {
    let mut depth = 0i32;
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth -= 1,
            ':' if depth <= 0 => return (text.get(..i).unwrap_or(""), text.get(i + 1..)),
            _ => {}
        }
    }
    (text, None)
}

/// `NAME(PARAMETERS)` or `NAME/PARAMETERS`.
pub(super) fn parameter(text: &str) -> (&str, Option<&str>) {
    if let Some((name, rest)) = text.split_once('/').filter(|(n, _)| !n.contains('(')) {
        return (name, Some(rest));
    }
    match text.split_once('(').and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?))) {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    }
}
