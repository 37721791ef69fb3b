//! From facts to the chain that decides about incoming connections.

use super::facts::{Facts, Switch, Treated};
use crate::diag::LineState;
use crate::model::{
    Action, BaseChain, Chain, ChainId, Direction, Hook, HostSetting, LOOPBACK, Match, NamePattern, Policy, PolicyAction, Rule,
    UnseenSetting,
};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;
use crate::vendors::Reader;

const EXPORT: &str =
    "/usr/libexec/ApplicationFirewall/socketfilterfw --getglobalstate --getblockall --getallowsigned --getstealthmode --getloggingmode";

const TCP: u128 = 6;
const UDP: u128 = 17;

/// What "block all incoming connections" still lets in: configd (DHCP), mDNSResponder (Bonjour) and racoon (IPsec), says Apple's HT1810. The
/// ports are those of their protocols: RFC 2131, RFC 8415, RFC 6762, RFC 7296.
const ESSENTIAL: &[(&str, &[u128])] = &[
    ("answers of DHCP", &[68, 546]),
    ("Bonjour, which is an essential service", &[5353]),
    ("IPsec, which is an essential service", &[500, 4500]),
];

pub(super) fn lower(reader: &mut Reader<'_>, facts: &Facts) {
    reader.device.no_sysctl = true;
    if !facts.any() {
        return;
    }
    let enabled = facts.effective(Switch::Enabled);
    let place = enabled.map(|e| e.1).or(facts.listed).unwrap_or_else(|| reader.file.line_span(0));
    settings(reader, facts, place);
    let (rules, action) = match enabled {
        Some((false, _)) => (Vec::new(), PolicyAction::Accept),
        _ => (rules(reader, facts, enabled.is_some(), place), PolicyAction::Drop),
    };
    let id = ChainId(reader.device.chains.len() as u32);
    reader.device.chains.push(Chain { name: "application firewall".into(), span: place, rules });
    reader.device.base_chains.push(BaseChain {
        chain: id,
        hook: Hook::Input,
        priority: 0,
        families: Family::BOTH.to_vec(),
        nat: false,
        policy: Policy { action, span: place },
        devices: Vec::new(),
    });
}

/// The settings for which checks may ask. The firewall treats all networks alike.
fn settings(reader: &mut Reader<'_>, facts: &Facts, place: Span) {
    let device = &mut reader.device;
    let flag = |v: bool| v.to_string();
    let default = |on: bool| if on { "block".to_owned() } else { "allow".to_owned() };
    for (name, switch, words) in [
        ("enabled", Switch::Enabled, &flag as &dyn Fn(bool) -> String),
        ("inbound-default", Switch::Enabled, &default),
        ("log-dropped", Switch::Logging, &flag),
        ("stealth", Switch::Stealth, &flag),
        ("block-all", Switch::BlockAll, &flag),
        ("allow-signed-built-in", Switch::BuiltIn, &flag),
        ("allow-signed-downloaded", Switch::Downloaded, &flag),
    ] {
        let name = format!("firewall.all.{name}");
        match facts.effective(switch) {
            Some((value, span)) => device.settings.push(HostSetting { name, value: words(value), span }),
            None => device.unseen.push(UnseenSetting { name, why: "no file says it".into(), export: EXPORT, span: place }),
        }
    }
}

fn of_protocol(number: u128) -> Match {
    Match::Field(Field::Proto, Ranges::single(number))
}

/// What the firewall is about: "it applies to TCP and UDP" (HT1810).
fn filtered() -> Match {
    Match::Field(Field::Proto, Ranges::from_values([TCP, UDP]))
}

fn rules(reader: &mut Reader<'_>, facts: &Facts, sure: bool, place: Span) -> Vec<Rule> {
    let mut rules = Vec::new();
    let open = |reader: &mut Reader<'_>, text: &str, span: Span| Match::Opaque(reader.device.conditions.intern(text, span));
    if !sure {
        let off = open(reader, "the application firewall is switched off", place);
        rules.push(Rule::implied("firewall that is perhaps switched off", off, Action::Accept, place));
    }
    // Nobody else can send there, so that too much is said to get in at most.
    let loopback = Match::Interface(Direction::In, NamePattern::exact(LOOPBACK[1]));
    rules.push(Rule::implied("loopback", loopback, Action::Accept, place));
    // It "controls incoming connections": what belongs to one that was let in or out is none.
    let answers = Match::Field(Field::Ct, Ranges::interval(ct::ESTABLISHED, ct::RELATED));
    rules.push(Rule::implied("answers of known connections", answers, Action::Accept, place));
    stealth(reader, facts, place, &mut rules);
    rules.push(Rule::implied(
        "protocols other than TCP and UDP, which are not filtered",
        Match::Not(Box::new(filtered())),
        Action::Accept,
        place,
    ));
    if let Some((true, span)) = facts.effective(Switch::BlockAll) {
        for (what, ports) in ESSENTIAL {
            let ports = Match::Field(Field::Dport, Ranges::from_values(ports.iter().copied()));
            let matcher = Match::all(vec![of_protocol(UDP), ports]);
            let dhcp = what.contains("DHCP");
            rules.push(if dhcp {
                Rule::inherent(what, matcher, Action::Accept, span)
            } else {
                Rule::implied(what, matcher, Action::Accept, span)
            });
        }
        logged(facts, place, &mut rules);
        return rules;
    }
    if let Some(span) = facts.lost {
        rules.push(Rule::implied(
            "what could not be read",
            filtered(),
            Action::Opaque("a setting or program that could not be read".into()),
            span,
        ));
    }
    // A program has one entry. Blocked ones come first because the entries are about different programs and one may stand twice.
    for wanted in [Treated::Blocked, Treated::Unknown, Treated::Allowed] {
        for program in facts.effective_programs().filter(|p| p.treated == wanted) {
            let condition = open(reader, &format!("it is {} that receives the connection", program.name), program.span);
            let action = match wanted {
                Treated::Allowed => Action::Accept,
                Treated::Blocked => Action::Drop,
                Treated::Unknown => Action::Opaque("whether this program receives connections is not known".into()),
            };
            let mut rule = Rule::new(Match::all(vec![filtered(), condition]), action, program.span);
            rule.name = Some(program.name.clone());
            rules.push(rule);
        }
    }
    for (switch, what, text) in [
        (
            Switch::BuiltIn,
            "signed software of the system",
            "a signed program of macOS itself receives the connection (a sharing service that is on, say)",
        ),
        (Switch::Downloaded, "signed software", "a signed program that was installed receives the connection"),
    ] {
        let set = facts.effective(switch);
        if !matches!(set, Some((false, _))) {
            let span = set.map_or(place, |s| s.1);
            let condition = open(reader, text, span);
            rules.push(Rule::implied(what, Match::all(vec![filtered(), condition]), Action::Accept, span));
        }
    }
    if facts.listed.is_none() {
        reader.note(
            place,
            LineState::NotModelled,
            "which programs may receive connections is not shown: export socketfilterfw --listapps too",
        );
        let condition = open(reader, "a program that was not listed is allowed to receive the connection", place);
        rules.push(Rule::implied("programs that were not listed", Match::all(vec![filtered(), condition]), Action::Accept, place));
    }
    logged(facts, place, &mut rules);
    rules
}

/// Stealth mode: echo requests get no answer (HT1810, HT201642). What else it keeps quiet about are answers, which are not modelled.
fn stealth(reader: &mut Reader<'_>, facts: &Facts, place: Span, rules: &mut Vec<Rule>) {
    let (known, span) = match facts.effective(Switch::Stealth) {
        Some((false, _)) => return,
        Some((true, span)) => (true, span),
        None => (false, place),
    };
    let request = |proto: u128, kind: u128| {
        let icmp = Match::Field(Field::Icmp, Ranges::interval(kind << 8, (kind << 8) | 0xff));
        Match::all(vec![of_protocol(proto), icmp])
    };
    let echo = Match::AnyOf(vec![request(1, 8), request(58, 128)]);
    let mut parts = vec![echo];
    if !known {
        parts.push(Match::Opaque(reader.device.conditions.intern("stealth mode is on", span)));
    }
    rules.push(Rule::implied("stealth mode", Match::all(parts), Action::Drop, span));
}

/// What is dropped from here on is logged.
fn logged(facts: &Facts, place: Span, rules: &mut Vec<Rule>) {
    if let Some((true, span)) = facts.effective(Switch::Logging) {
        let mut rule = Rule::implied("logging of what is dropped", Match::Any, Action::Continue, place);
        (rule.log, rule.span) = (true, span);
        rules.push(rule);
    }
}
