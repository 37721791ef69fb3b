//! The files `rules` and `blrules`, macros, and what a rule's action does.
//!
//! Source: shorewall-rules(5), shorewall-blrules(5), the pages on macros and actions of version 5.2.8.

use super::book::{Asks, Table};
use super::columns::{Expand, Side};
use super::compile::{Compiler, Section};
use super::lines::{Entry, Item};
use super::macros;
use super::policy::{parameter, split_colon};
use super::values::{Arguments, UNKNOWN};
use super::words::{Columns, mark_target, merged, queue, raw, set_target};
use super::zones::{Kind, list};
use crate::diag::LineState::NotModelled;
use crate::source::Span;

/// Where a rule stands while it is lowered.
#[derive(Clone)]
pub(super) struct Place {
    /// The chain of an action; `None`: that of the rule's zones.
    pub chain: Option<String>,
    /// Zones of the rule that led here.
    pub zones: Option<(String, String)>,
    /// The rule is one of several that a wildcard makes.
    pub wild: bool,
    /// Matches in the words of iptables that the line carries, before and after the others.
    pub before: Asks,
    pub after: Asks,
    /// Parameter of the macro that led here.
    pub parameter: String,
    /// The rule is in the body of an action that is a chain of its own.
    pub action: bool,
}

/// What an action of a rule does.
enum Verb {
    Verdict(&'static str),
    Reject(String),
    Return,
    Log,
    Count,
    Nat {
        only: bool,
        redirect: bool,
    },
    /// ACCEPT+ and NONAT: exempt from later translations of destinations.
    Exempt {
        only: bool,
    },
    Queue(String),
    /// Changes nothing that decides.
    Quiet,
    /// A mark: words of the target.
    Mark(String),
    Set(String),
    Unknown(String),
    Macro,
    Action,
}

impl Compiler<'_, '_> {
    pub fn read_rules(&mut self) {
        self.section = Section::Blacklist;
        let mut blacklisted = false;
        for item in self.items("blrules", 1) {
            match item {
                Item::Entry(entry) => {
                    blacklisted = true;
                    self.raw_rule(&entry);
                }
                Item::Section(_, span) => self.reader.refused(span, "this file has no sections"),
                Item::Hidden(what, span) => self.hide(&[Table::Filter], what, span),
            }
        }
        self.section = Section::None;
        self.spread_options(blacklisted);
        let mut next = Section::New;
        for item in self.items("rules", 1) {
            match item {
                Item::Section(name, span) => {
                    let section = match name.as_str() {
                        "ALL" => Section::All,
                        "ESTABLISHED" => Section::Established,
                        "RELATED" => Section::Related,
                        "INVALID" => Section::Invalid,
                        "UNTRACKED" => Section::Untracked,
                        "NEW" => Section::New,
                        // Sections of version 4: those of new connections.
                        "DONE" => continue,
                        other => {
                            self.reader.refused(span, format!("there is no section {other}"));
                            continue;
                        }
                    };
                    if section <= self.section {
                        self.reader.refused(span, "sections come in their order, each once");
                        continue;
                    }
                    next = section;
                }
                Item::Entry(entry) => {
                    self.enter(next);
                    self.raw_rule(&entry);
                }
                Item::Hidden(what, span) => {
                    self.enter(next);
                    self.hide(&[Table::Filter, Table::Nat], what, span);
                }
            }
        }
        self.section = Section::Policy;
    }

    /// Ends the sections before `next`.
    fn enter(&mut self, next: Section) {
        if self.section == next {
            return;
        }
        let ended: &[&'static str] = match next {
            Section::Related => &["ESTABLISHED"],
            Section::Invalid => &["ESTABLISHED", "RELATED"],
            Section::Untracked => &["ESTABLISHED", "RELATED", "INVALID"],
            Section::New => &["ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"],
            _ => &[],
        };
        if !ended.is_empty() {
            let names = self.zones.names();
            for from in &names {
                for to in &names {
                    if self.pair(from, to).is_some_and(|p| p.used) {
                        self.end_sections((from, to), Some(ended));
                    }
                }
            }
        }
        self.section = next;
    }

    fn raw_rule(&mut self, entry: &Entry) {
        self.comment = entry.comment.clone();
        let columns = Columns::of(entry);
        let split = |text: &str| {
            if text.contains(":(") {
                list(text).into_iter().map(|p| p.replacen(":(", ":", 1).trim_end_matches(')').to_owned()).collect()
            } else {
                vec![text.to_owned()]
            }
        };
        for source in split(&columns.source) {
            for dest in split(&columns.dest) {
                self.raw_rule_between(entry, &columns, &source, &dest);
            }
        }
        self.comment = None;
    }

    fn raw_rule_between(&mut self, entry: &Entry, columns: &Columns, source: &str, dest: &str) {
        if columns.action == "-" {
            return self.refuse(entry, "a rule needs an action");
        }
        let none = |t: &str| t.split(':').next().is_some_and(|z| z.eq_ignore_ascii_case("none"));
        if none(source) || none(dest) {
            // Written so that the rule is ignored.
            return self.reader.mark(entry.span, crate::diag::LineState::Irrelevant);
        }
        let zone_unknown = |t: &str| t.split(':').next().is_some_and(|z| z.contains(UNKNOWN));
        if columns.action.contains(UNKNOWN) || zone_unknown(source) || zone_unknown(dest) {
            self.reader.note(entry.span, NotModelled, "a variable of this line is not known here: the rule may be any");
            return self.hide(&[Table::Filter, Table::Nat], "a rule that is not known", entry.span);
        }
        let (mut within, mut wild) = (false, false);
        let sources = self.zone_list(entry, source, &mut within, &mut wild);
        let dests = self.zone_list(entry, dest, &mut within, &mut wild);
        let inline = entry.inline.clone().unwrap_or_default();
        let (before, after) = match inline.trim_start().strip_prefix('+') {
            Some(early) => (raw(early), Asks::default()),
            None => (Asks::default(), raw(&inline)),
        };
        let redirects = parameter(split_colon(&columns.action).0).0.starts_with("REDIRECT");
        for source in &sources {
            for dest in &dests {
                let from = source.split(':').next().unwrap_or("");
                let to = dest.split(':').next().unwrap_or("");
                let to = match self.zones.get(to) {
                    Some(_) => to.to_owned(),
                    None if redirects => self.zones.firewall.clone(),
                    None => String::new(),
                };
                if wild && !within && from == to {
                    continue;
                }
                for proto in list(&columns.proto) {
                    for user in list(&columns.user) {
                        let columns = Columns { source: source.clone(), dest: dest.clone(), proto: proto.clone(), user, ..columns.clone() };
                        let place = Place {
                            chain: None,
                            zones: None,
                            wild,
                            before: before.clone(),
                            after: after.clone(),
                            parameter: String::new(),
                            action: false,
                        };
                        self.rule(entry, &columns, &place);
                    }
                }
            }
        }
    }

    /// The zones of a column, each with what follows the first colon.
    fn zone_list(&mut self, entry: &Entry, text: &str, within: &mut bool, wild: &mut bool) -> Vec<String> {
        let (zones, rest) = match text.split_once(':') {
            Some((z, r)) => (z.to_owned(), format!(":{r}")),
            None => (text.to_owned(), String::new()),
        };
        let any = zones.starts_with("any");
        let all = if any { zones.replacen("any", "all", 1) } else { zones.clone() };
        let with_rest = |list: Vec<String>| list.into_iter().map(|z| format!("{z}{rest}")).collect::<Vec<_>>();
        if let Some(after) = all.strip_prefix("all").filter(|a| a.is_empty() || a.starts_with(['+', '-', '!'])) {
            let (signs, left_out) = after.split_once('!').map_or((after, ""), |(s, l)| (s, l));
            *wild = true;
            *within |= signs.contains('+');
            let mut without: Vec<String> = left_out.split(',').filter(|z| !z.is_empty()).map(str::to_owned).collect();
            for zone in without.clone() {
                self.zone_used(&zone, entry.span);
            }
            let firewall = self.zones.firewall.clone();
            if signs.contains('-') {
                without.push(firewall.clone());
            }
            let mut out = vec![firewall];
            out.extend(
                self.zones
                    .list
                    .iter()
                    .filter(|z| z.kind != Kind::Firewall && (!any || (z.parents.is_empty() && z.kind != Kind::Vserver)))
                    .map(|z| z.name.clone()),
            );
            out.retain(|z| !without.contains(z));
            return with_rest(out);
        }
        if zones.contains(',') {
            *wild = true;
            let (names, plus) = zones.strip_suffix('+').map_or((zones.as_str(), false), |z| (z, true));
            *within |= plus;
            return with_rest(names.split(',').filter(|z| !z.is_empty()).map(str::to_owned).collect());
        }
        vec![text.to_owned()]
    }

    /// Lowers a rule whose zones are single ones, or one in the body of an action or macro.
    pub fn rule(&mut self, entry: &Entry, columns: &Columns, place: &Place) {
        if self.book.full {
            return;
        }
        let (action, level) = split_colon(&columns.action);
        let (action, level) = (action.to_owned(), level.map(str::to_owned).filter(|l| !l.is_empty()));
        let (name, param) = parameter(&action);
        let (name, param) = (name.to_owned(), param.map(str::to_owned));
        let verb = self.verb(entry, &name, param.as_deref(), level.as_deref());
        match verb {
            Verb::Macro => self.call_macro(entry, &name, param.as_deref(), columns, place),
            Verb::Action => self.call_action(entry, (&name, param.as_deref(), level.as_deref()), columns, place),
            verb => self.simple(entry, (&name, verb, level.as_deref()), columns, place),
        }
    }

    fn verb(&mut self, entry: &Entry, name: &str, param: Option<&str>, level: Option<&str>) -> Verb {
        let bare = name.strip_prefix("A_").unwrap_or(name);
        let param_text = param.unwrap_or("");
        match bare.trim_end_matches('!') {
            "ACCEPT" => Verb::Verdict("ACCEPT"),
            "DROP" => Verb::Verdict("DROP"),
            "REJECT" if !self.actions.contains_key(name) => Verb::Reject(param_text.to_owned()),
            "CONTINUE" | "WHITELIST" => Verb::Return,
            "ACCEPT+" => Verb::Exempt { only: false },
            "NONAT" => Verb::Exempt { only: true },
            "DNAT" => Verb::Nat { only: false, redirect: false },
            "DNAT-" => Verb::Nat { only: true, redirect: false },
            "REDIRECT" => Verb::Nat { only: false, redirect: true },
            "REDIRECT-" => Verb::Nat { only: true, redirect: true },
            "LOG" => Verb::Log,
            "NFLOG" | "ULOG" => Verb::Log,
            "COUNT" | "HELPER" => Verb::Count,
            "AUDIT" => Verb::Quiet,
            "QUEUE" => Verb::Queue("-j QUEUE".into()),
            "NFQUEUE" => Verb::Queue(queue(param_text)),
            "MARK" | "CONNMARK" => Verb::Mark(mark_target(bare, param_text, self.mark_mask())),
            "ADD" | "DEL" => Verb::Set(set_target(bare, param_text)),
            "TARPIT" => Verb::Verdict("DROP"),
            "INLINE" => match param {
                // The words of iptables say what becomes of the packet.
                None if entry.inline.as_ref().is_some_and(|i| i.contains("-j ")) => Verb::Unknown("INLINE".into()),
                None if level.is_some() => Verb::Log,
                None => Verb::Count,
                Some(inner) => {
                    let (inner, inner_param) = parameter(inner);
                    let (inner, inner_param) = (inner.to_owned(), inner_param.map(str::to_owned));
                    if inner == "INLINE" { Verb::Unknown("INLINE".into()) } else { self.verb(entry, &inner, inner_param.as_deref(), level) }
                }
            },
            "IPTABLES" | "IP6TABLES" => match param {
                None | Some("") => Verb::Count,
                Some(words) => Verb::Unknown(words.to_owned()),
            },
            _ if self.is_action(name) => Verb::Action,
            _ if self.is_macro(name) => Verb::Macro,
            _ => {
                self.reader.device.names.used("action", name, entry.span);
                self.refuse(entry, format!("there is no action or macro {}", name.replace(UNKNOWN, "?")));
                Verb::Unknown(format!("{name}, which is not defined").replace(UNKNOWN, "?"))
            }
        }
    }

    fn is_macro(&self, name: &str) -> bool {
        self.folder.has(&format!("macro.{name}")) || macros::shipped(name, self.family == crate::net::Family::V6).is_some()
    }

    /// The log level of a rule that a macro or action is called with goes to its rules.
    pub fn with_level(outer: Option<&str>, inner: &str) -> String {
        let (action, own) = split_colon(inner);
        match (outer, own) {
            (Some(level), None) => format!("{action}:{level}"),
            (Some(level), Some(_)) if level.split(':').next().is_some_and(|l| l.ends_with('!')) => format!("{action}:{level}"),
            _ => inner.to_owned(),
        }
    }

    fn call_macro(&mut self, entry: &Entry, name: &str, param: Option<&str>, columns: &Columns, place: &Place) {
        if self.nested > 9 {
            self.refuse(entry, "macros are nested too deep");
            return self.hide(&[Table::Filter], "a macro that is not followed", entry.span);
        }
        self.nested += 1;
        let level = split_colon(&columns.action).1.map(str::to_owned);
        let mut parameter_text = match param {
            None | Some("" | "PARAM") => place.parameter.clone(),
            Some(p) => p.to_owned(),
        };
        for (body, span) in self.macro_body(name) {
            let Some(body) = body else {
                self.hide(&[Table::Filter], "a macro with lines that are not known", span);
                continue;
            };
            let mut inner = Columns::of(&body);
            if matches!(inner.action.as_str(), "DEFAULT" | "DEFAULTS") {
                if parameter_text.is_empty() {
                    parameter_text = inner.source.clone();
                }
                continue;
            }
            inner.action = Self::with_level(level.as_deref(), &inner.action);
            let (first, own_level) = split_colon(&inner.action);
            if first == "PARAM" {
                if parameter_text.is_empty() {
                    self.refuse(entry, format!("the macro {name} needs an action: {name}(ACCEPT)"));
                    self.hide(&[Table::Filter], "a rule that is refused", entry.span);
                    continue;
                }
                inner.action = match own_level {
                    Some(level) => format!("{parameter_text}:{level}"),
                    None => parameter_text.clone(),
                };
            }
            let (own, other) = (("SOURCE", columns.source.as_str()), ("DEST", columns.dest.as_str()));
            let source = merged(&inner.source, own, other);
            let dest = merged(&inner.dest, other, own);
            let mut whole = inner.within(columns, source, dest);
            for proto in list(&inner.proto) {
                if columns.proto == "-" || columns.proto.is_empty() {
                    whole.proto = proto;
                }
                let inside = Place { parameter: parameter_text.clone(), ..place.clone() };
                self.rule(entry, &whole, &inside);
            }
        }
        self.nested -= 1;
    }

    /// The lines of a macro, the user's own before those that Shorewall brings; `None` for what is not known.
    fn macro_body(&mut self, name: &str) -> Vec<(Option<Entry>, Span)> {
        if let Some(file) = self.folder.get(&format!("macro.{name}")) {
            let items = self.items_of(file, 2, Arguments::default());
            self.reader.device.names.used("macro", name, file.line_span(0));
            return items
                .into_iter()
                .map(|item| match item {
                    Item::Entry(entry) => (Some(entry.clone()), entry.span),
                    Item::Section(_, span) | Item::Hidden(_, span) => (None, span),
                })
                .collect();
        }
        let body = macros::shipped(name, self.family == crate::net::Family::V6).unwrap_or("");
        let span = self.settings.anchor;
        body.split(';')
            .map(|item| {
                let words: Vec<String> = item.split_ascii_whitespace().map(str::to_owned).collect();
                let short = words.first().is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase()));
                let columns = if short { ["PARAM", "-", "-"].map(str::to_owned).into_iter().chain(words).collect() } else { words };
                (Some(Entry { columns, pairs: Vec::new(), inline: None, comment: None, format: 2, span }), span)
            })
            .collect()
    }

    /// What a rule asks, but its addresses and zones.
    pub fn asked(&mut self, entry: &Entry, c: &Columns, place: &Place) -> Asks {
        let mut asks = place.before.clone();
        asks.add(&self.protocol(entry, &c.proto, &c.dport, &c.sport));
        asks.add(&self.rate(entry, &c.rate));
        asks.add(&self.user(&c.user));
        asks.add(&self.mark(&c.mark));
        asks.add(&self.connections(&c.connlimit));
        asks.add(&self.time(&c.time));
        asks.add(&self.opaque(entry, "headers", &c.headers));
        asks.add(&self.opaque(entry, "switch", &c.switch));
        asks.add(&place.after);
        asks
    }

    fn simple(&mut self, entry: &Entry, (name, verb, level): (&str, Verb, Option<&str>), columns: &Columns, place: &Place) {
        let only_nat = matches!(verb, Verb::Nat { only: true, .. } | Verb::Exempt { only: true });
        let blacklist = self.section == Section::Blacklist;
        if matches!(verb, Verb::Nat { .. } | Verb::Exempt { .. }) && self.section != Section::New {
            self.refuse(entry, "addresses are translated for new connections only");
            return self.hide(&[Table::Filter, Table::Nat], "a rule that is refused", entry.span);
        }
        let mut columns = columns.clone();
        if let Verb::Nat { redirect: true, .. } = verb {
            self.redirected(&mut columns, place);
        }
        let Some(way) = self.way(entry, &columns, place, only_nat) else {
            return self.hide(&[Table::Filter, Table::Nat], "a rule that is refused", entry.span);
        };
        let asks = self.asked(entry, &columns, place);
        match verb {
            Verb::Nat { only, redirect } => return self.translate(entry, &columns, &way, asks, (only, redirect, level), place),
            Verb::Exempt { only } => {
                self.exempt(entry, &columns, &way, &asks, level);
                if only {
                    return;
                }
            }
            _ => {}
        }
        let Some(chain) = self.rules_chain(&way, name, level, place) else { return };
        let again = self.protocol(entry, if name == "REJECT" && columns.proto != "-" { &columns.proto } else { "-" }, "-", "-");
        let (target, unknown, level) = match verb {
            Verb::Verdict("ACCEPT") if blacklist => ("-j RETURN".to_owned(), None, level),
            Verb::Verdict(verdict) => (Self::jump(verdict), None, level),
            Verb::Exempt { .. } => ("-j ACCEPT".into(), None, level),
            Verb::Reject(with) if with.is_empty() => ("-j reject".into(), None, level),
            Verb::Reject(with) => {
                (format!("-j REJECT --reject-with {}", if with == "icmp-tcp-reset" { "tcp-reset" } else { &with }), None, level)
            }
            Verb::Return => ("-j RETURN".into(), None, level),
            Verb::Log => (String::new(), None, level.or(Some("info"))),
            Verb::Count | Verb::Quiet => (String::new(), None, level),
            Verb::Queue(target) | Verb::Mark(target) | Verb::Set(target) => (target, None, level),
            Verb::Unknown(what) => {
                self.reader.note(entry.span, NotModelled, format!("what {what} does is not modelled"));
                (String::new(), Some(what), level)
            }
            Verb::Nat { .. } | Verb::Macro | Verb::Action => return,
        };
        let section = self.section_asks(place, name);
        self.expand(&Expand {
            table: Table::Filter,
            chain: &chain,
            side: way.side,
            asks: asks.and(&section),
            source: &way.source,
            dest: &way.dest,
            origdest: &columns.origdest,
            target: &target,
            level,
            again,
            unknown: unknown.as_deref(),
            forward: None,
            span: entry.span,
        });
    }

    fn section_asks(&self, place: &Place, _name: &str) -> Asks {
        if self.section == Section::Established && !place.action { Self::state("ESTABLISHED") } else { Asks::default() }
    }

    /// Zones of a rule, its addresses without them, and the way its packets go. `None`: it is refused.
    pub fn way(&mut self, entry: &Entry, columns: &Columns, place: &Place, only_nat: bool) -> Option<Way> {
        if place.chain.is_some() {
            let (from, to) = place.zones.clone().unwrap_or_default();
            return Some(Way { from, to, source: columns.source.clone(), dest: columns.dest.clone(), side: Side::Any });
        }
        let split = |text: &str| match text.split_once(':') {
            Some((zone, rest)) => (zone.to_owned(), rest.to_owned()),
            None => (text.to_owned(), "-".to_owned()),
        };
        let (from, source) = split(&columns.source);
        if !self.zone_used(&from, entry.span) {
            return None;
        }
        let (mut to, mut dest) = split(&columns.dest);
        if only_nat {
            if self.zones.get(&to).is_none() {
                dest = columns.dest.clone();
                to = String::new();
            }
        } else if !self.zone_used(&to, entry.span) {
            return None;
        }
        let side = match (self.zones.is_on_firewall(&from), self.zones.is_on_firewall(&to)) {
            (true, _) => Side::Output,
            (false, true) => Side::Input,
            _ => Side::Any,
        };
        Some(Way { from, to, source, dest, side })
    }

    /// The chain that a rule of these zones stands in; `None`: it is left out.
    pub fn rules_chain(&mut self, way: &Way, name: &str, level: Option<&str>, place: &Place) -> Option<String> {
        if let Some(chain) = &place.chain {
            return Some(chain.clone());
        }
        let (from, to) = (&way.from, &way.to);
        let policy = self.pair(from, to).map(|p| p.policy.clone()).unwrap_or_default();
        if policy == "NONE" {
            return None;
        }
        // With OPTIMIZE=1 (alone among the bits 1 and 4), a rule for many zones that repeats the policy is left out.
        if place.wild && !name.ends_with('!') && self.settings.optimize() & 5 == 1 && self.section == Section::New {
            let of = self.pair(from, to).map(|p| p.policy_of.clone()).unwrap_or_default();
            let policy_level = self.pairs.get(&of).and_then(|p| p.level.clone());
            if name == policy && policy_level.as_deref() == level {
                return None;
            }
        }
        let chain = self.use_pair(from, to);
        let (sign, states) = match self.section {
            Section::Blacklist => ('~', self.settings.get("BLACKLIST").to_owned()),
            Section::Established => ('^', "ESTABLISHED".into()),
            Section::Related => ('+', "RELATED".into()),
            Section::Invalid => ('_', "INVALID".into()),
            Section::Untracked => ('&', "UNTRACKED".into()),
            _ => return Some(chain),
        };
        let own = format!("{sign}{chain}");
        if !self.book.has(Table::Filter, &own) {
            let span = self.settings.anchor;
            self.book.chain(Table::Filter, &own, span);
            self.implied("jump to the rules of a section", |c| {
                c.add(Table::Filter, &chain, Self::state(&states), &format!("-j {own}"), span);
            });
        }
        Some(own)
    }
}

/// Zones and addresses of a rule.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub from: String,
    pub to: String,
    pub source: String,
    pub dest: String,
    pub side: Side,
}
