//! A rule of ufw as its user thinks of it, and the rules of iptables that ufw makes of it.
//!
//! Source: `format_rule` of `common.py` and `_get_rules_from_formatted` of `backend_iptables.py` of ufw 0.36.2.

use std::collections::BTreeMap;

use super::super::super::iptables::{Built, Step, Unknown};
use super::shipped;
use crate::net::{Family, parse_addr};
use crate::source::Span;

/// What becomes of the packets of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Allow,
    Deny,
    Reject,
    /// Allowed until somebody opens too many connections, then rejected.
    Limit,
}

impl Verdict {
    /// By its word in any case.
    pub fn of(word: &str) -> Option<Verdict> {
        let all = [("allow", Verdict::Allow), ("deny", Verdict::Deny), ("reject", Verdict::Reject), ("limit", Verdict::Limit)];
        all.into_iter().find(|(w, _)| word.eq_ignore_ascii_case(w)).map(|(_, v)| v)
    }
}

/// Which packets a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Path {
    In,
    Out,
    /// A `route` rule.
    Through,
}

/// What of a rule's packets is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Log {
    No,
    /// What opens a connection.
    New,
    All,
}

/// Destination or source of a rule; nothing: any.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Side<'a> {
    pub address: Option<&'a str>,
    /// Numbers and ranges (`80,443`, `6000:6007`).
    pub ports: Option<&'a str>,
    /// The application profile that has the ports.
    pub app: Option<&'a str>,
}

/// A rule.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Intent<'a> {
    pub verdict: Verdict,
    pub path: Path,
    pub log: Log,
    /// The only family that it is of; `None`: of both, if ufw filters both.
    pub family: Option<Family>,
    pub incoming: Option<&'a str>,
    pub outgoing: Option<&'a str>,
    pub protocol: Option<&'a str>,
    pub to: Side<'a>,
    pub from: Side<'a>,
    /// Something about it that is not known.
    pub unclear: Option<String>,
}

/// One piece of a profile's ports: `80,443` and `tcp`. `None`: any.
pub(super) type Ports<'a> = (Option<&'a str>, Option<&'a str>);

/// Protocol, destination ports, source ports.
type Variant<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// The profiles that a device shows, by name; `None` where their ports could not be read.
pub(super) type Profiles<'a> = BTreeMap<&'a str, Option<Vec<Ports<'a>>>>;

/// More pieces of one profile are not read: each rule that names it would become as many. (ufw takes 15 ports a piece.)
const MAX_PIECES: usize = 64;

/// Where the ports of a rule come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// From the rule itself, or from a profile that the device shows.
    Shown,
    /// From what a package ships under that name.
    Shipped,
    /// From nowhere.
    Nowhere,
}

/// Splits `80,443/tcp`. `None` if these are no ports.
pub(super) fn ports(text: &str) -> Option<Ports<'_>> {
    let (numbers, protocol) = text.split_once('/').map_or((text, None), |(n, p)| (n, Some(p)));
    let plain = numbers.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b':') && numbers.starts_with(|c: char| c.is_ascii_digit());
    let named = protocol.is_none_or(is_word);
    match numbers {
        "any" if named => Some((None, protocol)),
        _ => (plain && named).then_some((Some(numbers), protocol)),
    }
}

/// Whether this can be the name of a protocol.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The family of an address or a network.
pub(super) fn family_of(text: &str) -> Option<Family> {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let length = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    parse_addr(address).filter(|_| length).map(|(family, _)| family)
}

/// Whether an interface may be called so, so that nothing else is read into it.
pub(super) fn is_interface(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '!' | '#'))
}

impl<'a> Intent<'a> {
    /// The rules that it is, and where their ports come from.
    fn variants(&self, profiles: &Profiles<'a>) -> (Vec<Variant<'a>>, Known) {
        let plain = (self.protocol, self.to.ports, self.from.ports);
        let (app, is_to) = match (self.to.app, self.from.app) {
            (None, None) => return (vec![plain], Known::Shown),
            (Some(app), None) => (app, true),
            (None, Some(app)) => (app, false),
            // Which ports of the one go with which of the other is not written.
            (Some(_), Some(_)) => return (vec![plain], Known::Nowhere),
        };
        let (list, known) = match (profiles.get(app), shipped::profile(app)) {
            (Some(Some(list)), _) if !list.is_empty() && list.len() <= MAX_PIECES => (list.clone(), Known::Shown),
            (Some(_), _) => return (vec![plain], Known::Nowhere),
            (None, Some(text)) => (text.split('|').filter_map(ports).collect(), Known::Shipped),
            (None, None) => return (vec![plain], Known::Nowhere),
        };
        let with = |(numbers, protocol)| match is_to {
            true => (protocol, numbers, self.from.ports),
            false => (protocol, self.to.ports, numbers),
        };
        (list.into_iter().map(with).collect(), known)
    }

    /// Where its ports come from.
    pub fn known(&self, profiles: &Profiles<'a>) -> Known {
        self.variants(profiles).1
    }

    /// Its rules for one family.
    pub fn steps<'s>(&self, six: bool, profiles: &Profiles<'a>, span: Span) -> Vec<Step<'s>> {
        let ufw = if six { "ufw6" } else { "ufw" };
        let direction = match self.path {
            Path::In => "input",
            Path::Out => "output",
            Path::Through => "forward",
        };
        let chain = format!("{ufw}-user-{direction}");
        let logging = format!("{ufw}-user-logging-{direction}");
        let (variants, known) = self.variants(profiles);
        let unknown = self.unclear.clone().or_else(|| {
            let names: Vec<&str> = [self.to.app, self.from.app].into_iter().flatten().collect();
            (known == Known::Nowhere).then(|| format!("the ports of the application profile {}", names.join(" and ")))
        });
        let mut out = Vec::new();
        for (protocol, to, from) in variants {
            let both = protocol.is_none() && (to.is_some() || from.is_some());
            for protocol in if both { vec![Some("tcp"), Some("udp")] } else { vec![protocol] } {
                let what = self.words(protocol, to, from);
                let mut add = |chain: &str, rest: &str, implied| {
                    let unknown = unknown.as_deref().map(|u| Unknown::Match(u.into()));
                    let built = Built { unknown, ..Built::new(format!("-A {chain}{what}{rest}"), implied) };
                    out.push(Step::Rule(built, span));
                };
                if self.log != Log::No {
                    let new = if self.log == Log::New { " -m conntrack --ctstate NEW" } else { "" };
                    let logs = Some("rule of ufw that logs for another one");
                    add(&logging, &format!("{new} -m limit --limit 3/min --limit-burst 10 -j LOG"), logs);
                    add(&logging, " -j RETURN", logs);
                    add(&chain, &format!(" -j {logging}"), logs);
                }
                match self.verdict {
                    Verdict::Allow => add(&chain, " -j ACCEPT", None),
                    Verdict::Deny => add(&chain, " -j DROP", None),
                    Verdict::Reject if protocol == Some("tcp") => add(&chain, " -j REJECT --reject-with tcp-reset", None),
                    Verdict::Reject => add(&chain, " -j REJECT", None),
                    Verdict::Limit => {
                        let counts = Some("rule of ufw that counts for another one");
                        let recent = " -m conntrack --ctstate NEW -m recent";
                        add(&chain, &format!("{recent} --set"), counts);
                        add(&chain, &format!("{recent} --update --seconds 30 --hitcount 6 -j {ufw}-user-limit"), counts);
                        add(&chain, &format!(" -j {ufw}-user-limit-accept"), None);
                    }
                }
            }
        }
        out
    }

    fn words(&self, protocol: Option<&str>, to: Option<&str>, from: Option<&str>) -> String {
        let mut out = String::new();
        let mut add = |option: &str, value: Option<&str>| {
            if let Some(value) = value {
                out += &format!(" {option} {value}");
            }
        };
        add("-i", self.incoming);
        add("-o", self.outgoing);
        add("-p", protocol);
        let many = [to, from].into_iter().flatten().any(|p| p.contains([',', ':']));
        let (dport, sport) = if many { ("-m multiport --dports", "-m multiport --sports") } else { ("--dport", "--sport") };
        add("-d", self.to.address);
        add("-s", self.from.address);
        add(dport, to);
        add(sport, from);
        out
    }
}

/// A rule of which nothing is known: it may do anything to any packet.
pub(super) fn anything<'s>(text: &str, six: bool, span: Span) -> Vec<Step<'s>> {
    let ufw = if six { "ufw6" } else { "ufw" };
    let rule = |direction| {
        let unknown = Some(Unknown::Action(format!("the rule of ufw `{text}`").into()));
        Step::Rule(Built { unknown, ..Built::new(format!("-A {ufw}-user-{direction}"), None) }, span)
    };
    ["input", "output", "forward"].map(rule).into()
}
