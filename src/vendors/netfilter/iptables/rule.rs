//! Second pass, one rule: its options become a matcher and an action.

use super::defaults::TableKind;
use super::modules::{self, Module, Precision};
use super::targets::{self, Target};
use super::tokens::Token;
use super::values::{self, AddressValue};
use crate::diag::LineState;
use crate::model::{Action, Bits, Conditions, Direction, Effect, Match, NamePattern};
use crate::net::{Family, Ranges, protocol_number};
use crate::packets::Field;
use crate::source::Span;
use std::collections::HashMap;

/// What a rule's options came to.
pub(super) struct Lowered {
    pub matcher: Match,
    pub action: Action,
    pub effects: Vec<Effect>,
    pub log: bool,
    pub comment: Option<String>,
    pub packets: Option<u64>,
    /// A NETMAP whose side depends on who calls the chain.
    pub netmap: Option<Ranges>,
    /// Sets that the rule fills.
    pub fills: Option<String>,
    pub notes: Vec<(LineState, String)>,
    /// The tool or the kernel would refuse the rule, for the reasons among the notes.
    pub refused: bool,
}

/// What all rules of a file share.
pub(super) struct Shared<'s> {
    pub conditions: &'s mut Conditions,
    /// How many rules have had a per-rule condition of a text.
    pub ordinals: &'s mut HashMap<String, u32>,
    /// TCP flag sets by mask, value and sign.
    pub flags: &'s mut HashMap<(u8, u8, bool), Ranges>,
}

/// Where a rule stands.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub family: Family,
    pub table: TableKind,
    pub span: Span,
    /// The chain of a name in this table.
    pub chain: &'c dyn Fn(&str) -> ChainRef,
}

/// What a name after `-j` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ChainRef {
    User(crate::model::ChainId),
    Builtin,
    None,
}

/// Whether a transport module (`-m tcp` and its like) takes part in a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    No,
    /// Only by its name.
    Asked,
    /// By an option.
    Used,
}

/// An opaque module with the options collected for it so far.
struct Group {
    module: String,
    text: String,
    per_rule: bool,
}

/// Reads the words of one rule.
pub(super) struct RuleReader<'t, 'a, 's, 'c> {
    tokens: &'t [Token<'a>],
    next: usize,
    pub(super) context: Context<'c>,
    pub(super) shared: Shared<'s>,
    /// The protocol, where it is one and not negated.
    pub(super) protocol: Option<u8>,
    source: Match,
    destination: Match,
    in_interface: Match,
    out_interface: Match,
    proto: Match,
    fragment: Match,
    pub(super) parts: Vec<Match>,
    groups: Vec<Group>,
    /// The group that takes unknown options: that of the last module that is not known.
    open: Option<usize>,
    loaded: Vec<&'static Module>,
    transport: Transport,
    /// The tool would refuse the rule.
    refused: bool,
    target: Option<Target<'t>>,
    pub(super) comment: Option<String>,
    packets: Option<u64>,
    pub(super) notes: Vec<(LineState, String)>,
}

impl<'t, 'a, 's, 'c> RuleReader<'t, 'a, 's, 'c> {
    /// A reader of the words of a rule.
    pub fn new(tokens: &'t [Token<'a>], context: Context<'c>, shared: Shared<'s>) -> Self {
        RuleReader {
            tokens,
            next: 0,
            context,
            shared,
            protocol: protocol_of(tokens),
            source: Match::Any,
            destination: Match::Any,
            in_interface: Match::Any,
            out_interface: Match::Any,
            proto: Match::Any,
            fragment: Match::Any,
            parts: Vec::new(),
            groups: Vec::new(),
            open: None,
            loaded: Vec::new(),
            transport: Transport::No,
            refused: false,
            target: None,
            comment: None,
            packets: None,
            notes: Vec::new(),
        }
    }

    /// Reads all words.
    pub fn read(mut self) -> Lowered {
        let mut negated = false;
        while let Some(token) = self.tokens.get(self.next) {
            self.next += 1;
            if token.is_not() {
                negated = !negated;
                continue;
            }
            if token.is_option() {
                self.option(&token.text, std::mem::take(&mut negated));
            } else {
                self.opaque_text(LineState::Unsupported, &token.text, std::mem::take(&mut negated), "stray word");
            }
        }
        self.finish()
    }

    fn option(&mut self, text: &'t str, mut negated: bool) {
        let (name, attached) = match text.strip_prefix("--") {
            Some(long) => match long.split_once('=') {
                Some((n, v)) => (n, Some(v)),
                None => (long, None),
            },
            // `-ieth0`: a short option with its value in one word.
            None => match text.char_indices().nth(2) {
                Some((i, _)) => (&text[..i], Some(&text[i..])),
                None => (text, None),
            },
        };
        if !text.starts_with("--") {
            return self.common(name, attached, negated);
        }
        match self.owner(name) {
            Owner::Target(name) => {
                let args = self.arguments(attached, &mut negated, targets::takes_any(name));
                if let Some(target) = &mut self.target {
                    target.options.push((name, negated, args));
                }
            }
            Owner::Module(module, name) => {
                if module.precision == Precision::Exact {
                    self.exact(module.name, name, attached, negated);
                } else {
                    let i = self.group(module.name, module.precision == Precision::PerRule);
                    self.group_option(i, name, attached, negated);
                }
            }
            Owner::Common(short) => self.common(short, attached, negated),
            Owner::Group(i) => self.group_option(i, name, attached, negated),
            Owner::Nobody => {
                let args = self.arguments(attached, &mut negated, false);
                let words = join(name, &args);
                self.opaque_text(LineState::NotModelled, &format!("--{words}"), negated, "unknown option");
            }
        }
    }

    fn owner(&self, name: &'t str) -> Owner<'t> {
        let exact = |list: &'static [&'static str]| list.iter().find(|o| **o == name).copied();
        let target = self.target.as_ref().and_then(|t| t.known).unwrap_or(&[]);
        if let Some(o) = exact(target) {
            return Owner::Target(o);
        }
        let implied = self.protocol.and_then(modules::of_protocol);
        let modules = || self.loaded.iter().rev().copied().chain(implied);
        if let Some((m, o)) = modules().find_map(|m| Some((m, exact(m.options)?))) {
            return Owner::Module(m, o);
        }
        if let Some((_, short)) = COMMON.iter().find(|(long, _)| *long == name) {
            return Owner::Common(short);
        }
        if let Some(o) = modules::abbreviated(target, name) {
            return Owner::Target(o);
        }
        if let Some(i) = self.open {
            return Owner::Group(i);
        }
        if let Some((m, o)) = modules().find_map(|m| Some((m, modules::abbreviated(m.options, name)?))) {
            return Owner::Module(m, o);
        }
        let mut common = COMMON.iter().filter(|(long, _)| long.starts_with(name));
        match (common.next(), &self.target) {
            (Some((_, short)), _) if common.all(|(_, s)| s == short) => Owner::Common(short),
            // A target that is not known owns what nobody else knows.
            (_, Some(target)) if target.known.is_none() => Owner::Target(name),
            _ => Owner::Nobody,
        }
    }

    /// Options that belong to no module.
    fn common(&mut self, short: &str, attached: Option<&'t str>, mut negated: bool) {
        match short {
            "-m" => match self.argument(attached, &mut negated) {
                Some(name) => self.load(name),
                None => self.missing("-m"),
            },
            "-j" | "-g" => match self.argument(attached, &mut negated) {
                Some(name) => self.target = Some(Target::new(name, short == "-g")),
                None => self.missing(short),
            },
            "-s" | "-d" => match self.argument(attached, &mut negated) {
                Some(value) => {
                    let field = if short == "-s" { Field::Src } else { Field::Dst };
                    let m = self.addresses(field, short, value, negated);
                    let slot = if short == "-s" { &mut self.source } else { &mut self.destination };
                    *slot = Match::all(vec![std::mem::replace(slot, Match::Any), m]);
                }
                None => self.missing(short),
            },
            "-i" | "-o" => match self.argument(attached, &mut negated) {
                Some(value) => {
                    let m = if value.contains('$') || value.is_empty() {
                        self.opaque(
                            LineState::Unsupported,
                            &format!("{short} {value}"),
                            negated,
                            &format!("interface `{value}` is not a plain name"),
                        )
                    } else {
                        interface(if short == "-i" { Direction::In } else { Direction::Out }, value).negate_if(negated)
                    };
                    *(if short == "-i" { &mut self.in_interface } else { &mut self.out_interface }) = m;
                }
                None => self.missing(short),
            },
            "-p" => match self.argument(attached, &mut negated) {
                Some(value) => self.proto = self.protocol_match(value, negated),
                None => self.missing(short),
            },
            // Second and further fragments; `! -f`: everything else.
            "-f" if self.context.family == Family::V4 => {
                self.fragment = Match::Field(Field::Fragment, if negated { Ranges::interval(0, 1) } else { Ranges::single(2) });
            }
            "-c" => {
                let packets = self.argument(attached, &mut negated).and_then(|v| v.split(',').next()?.parse().ok());
                self.packets = packets.or(self.packets);
                if self.tokens.get(self.next).is_some_and(|t| t.text.bytes().all(|b| b.is_ascii_digit())) {
                    self.next += 1;
                }
            }
            "-A" | "-I" | "-t" => {
                self.argument(attached, &mut negated);
                if short == "-I" && self.tokens.get(self.next).is_some_and(|t| t.text.bytes().all(|b| b.is_ascii_digit())) {
                    self.next += 1;
                }
            }
            "-w" | "-W" => {
                if self.tokens.get(self.next).is_some_and(|t| t.text.bytes().all(|b| b.is_ascii_digit())) {
                    self.next += 1;
                }
            }
            "-v" | "-n" | "-4" | "-6" => {}
            _ => {
                let args = self.arguments(attached, &mut negated, false);
                self.opaque_text(LineState::NotModelled, &join(short, &args), negated, "unknown option");
            }
        }
    }

    fn missing(&mut self, option: &str) {
        self.opaque_text(LineState::Unsupported, option, false, "option without its argument");
    }

    /// The next word as the argument of an option; an old-style `!` before it negates.
    pub(super) fn argument(&mut self, attached: Option<&'t str>, negated: &mut bool) -> Option<&'t str> {
        if attached.is_some() {
            return attached;
        }
        while self.tokens.get(self.next)?.is_not() {
            *negated = !*negated;
            self.next += 1;
        }
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        Some(&token.text)
    }

    /// All words up to the next option; with `any`, the next word is one whatever it looks like.
    fn arguments(&mut self, attached: Option<&'t str>, negated: &mut bool, any: bool) -> Vec<&'t str> {
        let mut out: Vec<&'t str> = attached.into_iter().collect();
        while let Some(token) = self.tokens.get(self.next) {
            if token.is_not() && out.is_empty() && self.tokens.get(self.next + 1).is_some_and(|t| !t.is_option()) {
                *negated = !*negated;
            } else if token.is_not() || (token.is_option() && !(any && out.is_empty())) {
                break;
            } else {
                out.push(&token.text);
            }
            self.next += 1;
        }
        out
    }

    fn load(&mut self, name: &'t str) {
        match modules::module(name) {
            Some(m) => {
                if m.precision != Precision::Exact {
                    self.groups.push(Group {
                        module: m.name.to_owned(),
                        text: m.name.to_owned(),
                        per_rule: m.precision == Precision::PerRule,
                    });
                } else if matches!(m.name, "tcp" | "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmp6") {
                    self.transport_asked();
                }
                // Several `-m set` are several matches, which hold their options apart by order alone.
                if !self.loaded.iter().any(|l| l.name == m.name) || self.loaded.last().is_none_or(|l| l.name != m.name) {
                    self.loaded.push(m);
                }
            }
            None => {
                self.groups.push(Group { module: name.to_owned(), text: name.to_owned(), per_rule: true });
                self.open = Some(self.groups.len() - 1);
            }
        }
    }

    fn group(&mut self, module: &str, per_rule: bool) -> usize {
        self.groups.iter().rposition(|g| g.module == module).unwrap_or_else(|| {
            self.groups.push(Group { module: module.to_owned(), text: module.to_owned(), per_rule });
            self.groups.len() - 1
        })
    }

    fn group_option(&mut self, i: usize, name: &str, attached: Option<&'t str>, mut negated: bool) {
        let args = self.arguments(attached, &mut negated, matches!(name, "string" | "hex-string"));
        let Some(group) = self.groups.get_mut(i) else { return };
        let mut words = join(name, &args);
        if group.module == "limit" {
            // The tool prints the default burst as nothing and units by their short names.
            if name == "limit-burst" && args == ["5"] {
                return;
            }
            words = words.replace("/second", "/sec").replace("/minute", "/min");
        }
        group.text.push_str(if negated { " ! --" } else { " --" });
        group.text.push_str(&words);
    }

    /// An opaque condition with its note.
    pub(super) fn opaque(&mut self, state: LineState, text: &str, negated: bool, note: &str) -> Match {
        let note = format!("{note}: the rule may or may not apply");
        if !self.notes.iter().any(|(_, n)| *n == note) {
            self.notes.push((state, note));
        }
        Match::Opaque(self.shared.conditions.intern(text, self.context.span)).negate_if(negated)
    }

    fn opaque_text(&mut self, state: LineState, text: &str, negated: bool, what: &str) {
        let m = self.opaque(state, text, negated, &format!("{what} `{text}`"));
        self.parts.push(m);
    }

    /// An option of an exact module that is beyond the model.
    pub(super) fn opaque_option(&mut self, module: &str, words: &str, negated: bool) {
        self.opaque_bits(module, words, negated, None);
    }

    /// As [`RuleReader::opaque_option`], for bits of a mark.
    pub(super) fn opaque_bits(&mut self, module: &str, words: &str, negated: bool, bits: Option<Bits>) {
        let mut text = format!("{module} --{words}");
        if matches!(module, "mark" | "connmark" | "tos" | "dscp" | "ttl" | "hl") {
            // What a rule between may have changed: the next rule that asks may get another answer.
            let n = self.shared.ordinals.entry(text.clone()).or_insert(0);
            *n += 1;
            if *n > 1 {
                text = format!("{text} [{n}]");
            }
        }
        let m = match bits {
            Some(bits) => {
                let note = format!("match `-m {module} --{words}` is modelled for the marks that rules make, if they are few; else");
                let m = self.opaque(LineState::NotModelled, &text, false, &note);
                if let Match::Opaque(id) = m {
                    self.shared.conditions.set_bits(id, bits);
                }
                m.negate_if(negated)
            }
            None => self.opaque(LineState::NotModelled, &text, negated, &format!("match `-m {module} --{words}` is not modelled")),
        };
        self.parts.push(m);
    }

    /// An option whose value makes no sense to us.
    pub(super) fn bad_value(&mut self, module: &str, option: &str, value: &str, negated: bool) {
        let mut note = format!("value `{value}` of `--{option}` is not understood");
        if option.contains("port") && is_no_port(value) {
            note = format!("`{value}` of `--{option}` is no port");
            self.refused = true;
        }
        let m = self.opaque(LineState::Unsupported, &format!("{module} --{option} {value}"), negated, &note);
        self.parts.push(m);
    }

    /// A transport module is asked for, which by itself excludes later fragments.
    pub(super) fn transport_asked(&mut self) {
        if self.transport == Transport::No {
            self.transport = Transport::Asked;
        }
    }

    /// An option of a transport module says something of a header that later fragments do not have.
    pub(super) fn transport_used(&mut self) {
        self.transport = Transport::Used;
    }

    fn addresses(&mut self, field: Field, option: &str, value: &str, negated: bool) -> Match {
        let family = self.context.family;
        let mut union: Option<Ranges> = None;
        for part in value.split(',') {
            let text = format!("{option} {value}");
            let note = match values::address(part, family) {
                AddressValue::Set(set) => {
                    union = Some(match union {
                        None => set,
                        Some(u) => u.or(&set),
                    });
                    continue;
                }
                AddressValue::Name => format!("`{part}` is not an address"),
                AddressValue::Mask => format!("mask of `{part}` has holes"),
                AddressValue::OtherFamily => format!("`{part}` is not an {} address", family.name()),
            };
            return self.opaque(LineState::NotModelled, &text, negated, &note);
        }
        if negated && value.contains(',') {
            let note = "several addresses cannot be negated together (the kernel's tool refuses this)";
            return self.opaque(LineState::Unsupported, &format!("{option} {value}"), true, note);
        }
        let set = union.unwrap_or(Ranges::EMPTY);
        if set.intervals() == [(0, family.max_address())] {
            return if negated { Match::Never } else { Match::Any };
        }
        Match::address(field, family, set, negated)
    }

    fn protocol_match(&mut self, value: &str, negated: bool) -> Match {
        match protocol(value) {
            Some(0) if !negated => Match::Any,
            // "Not any protocol" is refused by the tool.
            Some(0) => Match::Never,
            Some(n) => Match::field(Field::Proto, Ranges::single(n.into()), negated),
            None => self.opaque(LineState::Unsupported, &format!("-p {value}"), negated, &format!("protocol `{value}` is not known")),
        }
    }

    fn finish(mut self) -> Lowered {
        if self.transport == Transport::Asked {
            // The transport modules ask for their header, even without options of their own (`tcp_mt` in xt_tcpudp.c).
            let field = if self.protocol.is_some_and(|p| matches!(p, 1 | 58)) { Field::Icmp } else { Field::Dport };
            self.parts.push(Match::Field(field, Ranges::interval(0, field.max_present(Family::V4))));
        }
        for group in std::mem::take(&mut self.groups) {
            let mut text = group.text;
            if group.per_rule {
                let n = self.shared.ordinals.entry(text.clone()).or_insert(0);
                *n += 1;
                if *n > 1 {
                    text = format!("{text} [{n}]");
                }
            }
            let at_rest = modules::at_rest(&group.module, &text);
            let m = self.opaque(LineState::NotModelled, &text, false, &format!("match `-m {}` is not modelled", group.module));
            if let (Match::Opaque(id), Some(answer)) = (&m, at_rest) {
                self.shared.conditions.set_at_rest(*id, answer);
            }
            self.parts.push(m);
        }
        if self.target.as_ref().is_some_and(|t| t.name == "CONNMARK") {
            // Without a connection the target does nothing (`connmark_tg` in xt_connmark.c).
            self.parts.push(Match::tracked());
        }
        let mut all = Vec::with_capacity(self.parts.len() + 6);
        all.extend([self.source, self.destination, self.in_interface, self.out_interface, self.proto, self.fragment]);
        all.append(&mut self.parts);
        let matcher = Match::all(all);
        let outcome = targets::lower(self.target.as_ref(), &self.context, &mut self.notes, &mut self.refused);
        Lowered {
            matcher,
            action: outcome.action,
            effects: outcome.effects,
            log: outcome.log,
            comment: self.comment,
            packets: self.packets,
            netmap: outcome.netmap,
            fills: outcome.fills,
            notes: self.notes,
            refused: self.refused,
        }
    }
}

/// Whose an option is.
enum Owner<'t> {
    Target(&'t str),
    Module(&'static Module, &'static str),
    /// An option of iptables itself, by its short form.
    Common(&'static str),
    /// A module that is not known.
    Group(usize),
    Nobody,
}

/// Long options of iptables itself with their short forms (iptables(8)).
static COMMON: &[(&str, &str)] = &[
    ("source", "-s"),
    ("src", "-s"),
    ("destination", "-d"),
    ("dst", "-d"),
    ("in-interface", "-i"),
    ("out-interface", "-o"),
    ("protocol", "-p"),
    ("proto", "-p"),
    ("match", "-m"),
    ("jump", "-j"),
    ("goto", "-g"),
    ("fragment", "-f"),
    ("set-counters", "-c"),
    ("append", "-A"),
    ("insert", "-I"),
    ("table", "-t"),
    ("wait", "-w"),
    ("verbose", "-v"),
    ("numeric", "-n"),
    ("ipv4", "-4"),
    ("ipv6", "-6"),
];

fn interface(direction: Direction, value: &str) -> Match {
    match value.strip_suffix('+') {
        Some("") => Match::Any,
        Some(prefix) => Match::Interface(direction, NamePattern::prefix(prefix)),
        None => Match::Interface(direction, NamePattern::exact(value)),
    }
}

/// The number of a protocol argument; 0 stands for all.
fn protocol(value: &str) -> Option<u8> {
    if value.eq_ignore_ascii_case("all") { Some(0) } else { protocol_number(value) }
}

/// The rule's protocol, which may be written after the options that need it.
fn protocol_of(tokens: &[Token<'_>]) -> Option<u8> {
    let at = tokens.iter().position(|t| !t.quoted && matches!(&*t.text, "-p" | "--protocol" | "--proto"));
    let value = match at {
        Some(at) => {
            if at.checked_sub(1).and_then(|i| tokens.get(i)).is_some_and(Token::is_not) {
                return None;
            }
            &*tokens.get(at + 1)?.text
        }
        None => tokens.iter().find_map(|t| {
            t.text
                .strip_prefix("--protocol=")
                .or_else(|| t.text.strip_prefix("-p"))
                .filter(|v| !t.quoted && !v.is_empty() && !v.starts_with('-'))
        })?,
    };
    protocol(value).filter(|n| *n != 0)
}

/// Whether one of the numbers is greater than any port, or a range ends before it begins.
fn is_no_port(value: &str) -> bool {
    value.split(',').any(|part| {
        let number = |s: &str| s.parse::<u64>().ok();
        match part.split_once([':', '-']) {
            Some((lo, hi)) => matches!((number(lo), number(hi)), (Some(lo), Some(hi)) if lo > hi || hi > 65535),
            None => number(part).is_some_and(|n| n > 65535),
        }
    })
}

/// An option's name with its arguments, as text.
pub(super) fn join(name: &str, args: &[&str]) -> String {
    let mut s = name.to_owned();
    for a in args {
        s.push(' ');
        s.push_str(a);
    }
    s
}
