//! What the properties of a rule mean: its action, when it holds, and which packets it is about.

use super::addresses;
use super::ports;
use super::profile::Profiles;
use super::props::{Key, Props};
use crate::diag::LineState;
use crate::model::{Direction, Match, NamePattern};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// Which packets a rule asks for: those that come in or those that go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    In,
    Out,
}

impl Flow {
    /// The fields of the own side: address, port.
    pub fn local(self) -> (Field, Field) {
        if self == Flow::In { (Field::Dst, Field::Dport) } else { (Field::Src, Field::Sport) }
    }

    /// The fields of the other side.
    pub fn remote(self) -> (Field, Field) {
        if self == Flow::In { (Field::Src, Field::Sport) } else { (Field::Dst, Field::Dport) }
    }

    /// The interface that the rule asks for.
    pub fn interface(self) -> Direction {
        if self == Flow::In { Direction::In } else { Direction::Out }
    }
}

/// What a rule does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    Allow,
    /// Allow, and before the rules that block.
    Bypass,
    Block,
    /// Not understood.
    Unknown(String),
}

/// Something that is said, left out, or said in words that are not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Switch {
    On,
    Off,
    Unknown,
}

/// Whose rule it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// Of the device itself: it holds only where local rules are merged.
    Local,
    /// Of Group Policy, of a device management, or of Windows itself.
    Policy,
    /// The export does not say.
    Unknown,
}

/// A rule, with what can be said of it before anything is known of the profiles.
#[derive(Debug)]
pub(super) struct Understood {
    pub verb: Verb,
    pub enabled: Switch,
    pub profiles: Option<Profiles>,
    pub origin: Origin,
    /// `None`: it does not say; then it may be for either.
    pub flow: Option<Flow>,
    /// What people call it.
    pub name: String,
    pub group: Option<String>,
    /// All of it.
    pub span: Span,
}

/// Whether a value asks for nothing.
pub(super) fn is_any(value: &str) -> bool {
    let v = value.trim();
    v.is_empty() || v.eq_ignore_ascii_case("any") || v == "*"
}

/// Reads what a rule is; which packets it is about is [`matcher`].
///
/// Numbers are those of the CIM class `MSFT_NetFirewallRule` (learn.microsoft.com, "MSFT_NetFirewallRule class"): Direction 1 inbound, 2
/// outbound; Action 2 allow, 3 allow and bypass, 4 block; Enabled 1 true, 2 false; Profiles 1 domain, 2 private, 4 public, 0 any. COM
/// (`NET_FW_ACTION`, `NET_FW_RULE_DIRECTION`) has 0 block and 1 allow.
pub(super) fn understand(reader: &mut Reader<'_>, props: &Props, origin: Option<Origin>) -> Understood {
    let name = name(props);
    let lower = |key| props.one(key).map(str::to_ascii_lowercase);
    let verb = match lower(Key::Action).as_deref() {
        Some("allow" | "2") => Verb::Allow,
        Some("1") if props.com => Verb::Allow,
        Some("allowbypass" | "bypass" | "3") => Verb::Bypass,
        Some("block" | "4") => Verb::Block,
        Some("0") if props.com => Verb::Block,
        other => {
            unclear(reader, props, Key::Action, "action");
            Verb::Unknown(other.unwrap_or("not said").to_owned())
        }
    };
    let overrides = lower(Key::OverrideBlockRules).is_some_and(|v| v == "true" || v == "1");
    let verb = if overrides && verb == Verb::Allow { Verb::Bypass } else { verb };
    let enabled = match lower(Key::Enabled).as_deref() {
        Some("true" | "yes" | "1") => Switch::On,
        Some("false" | "no" | "2") => Switch::Off,
        _ => {
            unclear(reader, props, Key::Enabled, "state");
            Switch::Unknown
        }
    };
    let flow = match lower(Key::Direction).as_deref() {
        Some("inbound" | "in" | "1") => Some(Flow::In),
        Some("outbound" | "out" | "2") => Some(Flow::Out),
        _ => {
            unclear(reader, props, Key::Direction, "direction");
            None
        }
    };
    let profiles = profiles(props);
    if profiles.is_none() {
        unclear(reader, props, Key::Profile, "list of profiles");
    }
    let origin = origin.unwrap_or_else(|| match lower(Key::StoreType).as_deref() {
        Some("local" | "1" | "local setting") => Origin::Local,
        Some("grouppolicy" | "2" | "dynamic" | "3" | "generated" | "4" | "hardcoded" | "5" | "mdm" | "6") => Origin::Policy,
        _ if lower(Key::Store).is_some_and(|s| s == "persistentstore" || s == "localhost") => Origin::Local,
        _ => Origin::Unknown,
    });
    let group = props.one(Key::Group).map(str::to_owned);
    Understood { verb, enabled, profiles, origin, flow, name, group, span: props.span }
}

fn unclear(reader: &mut Reader<'_>, props: &Props, key: Key, what: &str) {
    let (span, text) = match props.get(key) {
        Some((values, span)) => (*span, format!("the {what} \"{}\" of this rule is not understood", shown(&values.join(", ")))),
        None => (props.span, format!("the {what} of this rule was not exported")),
    };
    reader.note(span, LineState::NotModelled, text);
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// What people call a rule: the name that is shown, unless it is a reference into a library (`@FirewallAPI.dll,-25000`).
fn name(props: &Props) -> String {
    let shown = props.one(Key::DisplayName).filter(|n| !n.starts_with('@'));
    shown.or(props.one(Key::Name)).or(props.one(Key::DisplayName)).unwrap_or("without a name").to_owned()
}

/// The profiles of a rule; `None` where they are not understood.
fn profiles(props: &Props) -> Option<Profiles> {
    let Some((values, _)) = props.get(Key::Profile) else {
        // In the registry, and in CIM, a rule without profiles is for all (MS-FASP 2.2.37, dwProfiles).
        return props.complete.then_some(Profiles::ALL);
    };
    let mut all = Profiles::NONE;
    let words = values.iter().flat_map(|v| v.split([',', ';', '|', ' '])).map(str::trim).filter(|w| !w.is_empty());
    for word in words {
        let some = match word.to_ascii_lowercase().as_str() {
            "any" | "all" | "notapplicable" => Profiles::ALL,
            "domain" => Profiles::from_bits(1)?,
            "private" => Profiles::from_bits(2)?,
            "public" => Profiles::from_bits(4)?,
            number => Profiles::from_bits(number.parse().ok()?)?,
        };
        all = all.or(some);
    }
    if all.is_none() { props.complete.then_some(Profiles::ALL) } else { Some(all) }
}

/// Filters without which a rule may ask for more than the export shows. Of each list one must be there.
const ASKED: &[(&str, &[Key])] = &[
    ("Protocol", &[Key::Protocol]),
    ("LocalPort", &[Key::LocalPort]),
    ("RemotePort", &[Key::RemotePort]),
    ("LocalAddress", &[Key::LocalAddress]),
    ("RemoteAddress", &[Key::RemoteAddress]),
    ("Program", &[Key::Program]),
    ("Package", &[Key::Package]),
    ("Service", &[Key::Service]),
    ("InterfaceAlias", &[Key::InterfaceAlias]),
    ("InterfaceType", &[Key::InterfaceType]),
    ("LocalUser", &[Key::LocalUser, Key::Authentication, Key::RemoteUser, Key::RemoteMachine]),
];

/// The properties that the export leaves out.
pub(super) fn missing(props: &Props) -> Vec<&'static str> {
    if props.complete {
        return Vec::new();
    }
    ASKED.iter().filter(|(_, keys)| !props.says(keys)).map(|(name, _)| *name).collect()
}

/// Which packets of a direction a rule is about, profiles aside. What is not modelled is a named condition.
pub(super) fn matcher(reader: &mut Reader<'_>, props: &Props, rule: &Understood, flow: Flow) -> Match {
    let mut parts = Vec::new();
    let left_out = missing(props);
    if !left_out.is_empty() {
        let text = format!("rule \"{}\" fits by what was not exported of it ({})", rule.name, left_out.join(", "));
        // Rules may bear one name.
        parts.push(Match::Opaque(reader.device.conditions.intern_afresh(&text, props.span)));
    }
    if rule.flow.is_none() {
        parts.push(condition(reader, format!("rule \"{}\" is for this direction", rule.name), props.span));
    }
    if rule.enabled == Switch::Unknown {
        parts.push(condition(reader, format!("rule \"{}\" is enabled", rule.name), props.span));
    }
    parts.push(ports::protocol(reader, props, flow));
    for (key, field) in [(Key::LocalAddress, flow.local().0), (Key::RemoteAddress, flow.remote().0)] {
        parts.push(addresses::matching(reader, props, key, field));
    }
    scopes(reader, props, flow, &mut parts);
    Match::all(parts)
}

fn condition(reader: &mut Reader<'_>, text: String, span: Span) -> Match {
    Match::Opaque(reader.device.conditions.intern(&text, span))
}

/// Programs, services, packages, users, computers, interfaces, platforms.
fn scopes(reader: &mut Reader<'_>, props: &Props, flow: Flow, parts: &mut Vec<Match>) {
    // With each: how the condition begins, and the words that ask for nothing.
    let side = if flow == Flow::In { "receives" } else { "sends" };
    let named: [(Key, String, &[&str]); 8] = [
        (Key::Program, format!("the program that {side} is"), &["any"]),
        (Key::Package, format!("the app package that {side} is"), &["any"]),
        (Key::Service, format!("the service that {side} is"), &["any"]),
        (Key::Owner, "the user is".into(), &["any"]),
        (Key::LocalUser, "the local user is authorised by".into(), &["any"]),
        (Key::RemoteUser, "the remote user is authorised by".into(), &["any"]),
        (Key::RemoteMachine, "the remote computer is authorised by".into(), &["any"]),
        (Key::Dynamic, "the traffic is of the dynamic target".into(), &["any", "0"]),
    ];
    for (key, words, nothing) in named {
        let Some((values, span)) = props.get(key) else { continue };
        let asked: Vec<&str> = values.iter().map(|v| v.trim()).filter(|v| !v.is_empty()).collect();
        if asked.is_empty() || asked.iter().any(|v| nothing.iter().any(|n| v.eq_ignore_ascii_case(n))) {
            continue;
        }
        let all = asked.iter().map(|v| condition(reader, format!("{words} {}", v.to_lowercase()), *span)).collect();
        parts.push(Match::any_of(all));
    }
    for (key, words) in
        [(Key::Authentication, "the packet is authenticated by IPsec"), (Key::Encryption, "the packet is encrypted by IPsec")]
    {
        let Some((values, span)) = props.get(key) else { continue };
        let nothing = |v: &String| matches!(bare_word(v).as_str(), "" | "notrequired" | "any" | "0" | "false" | "none");
        if !values.iter().all(nothing) {
            parts.push(condition(reader, words.to_owned(), *span));
        }
    }
    interfaces(reader, props, flow, parts);
    if let Some((values, span)) = props.get(Key::Platform) {
        platform(reader, values, *span, parts);
    }
    if let Some((values, span)) = props.get(Key::Enforcement)
        && values.iter().any(|v| v.eq_ignore_ascii_case("NotTargetPlatform") || v.trim() == "18")
    {
        parts.push(condition(reader, "the rule is for this version of Windows".into(), *span));
    }
    if let Some((values, span)) = props.get(Key::Other) {
        for value in values {
            parts.push(condition(reader, value.clone(), *span));
        }
    }
}

fn bare_word(text: &str) -> String {
    super::props::bare(text)
}

/// Interfaces by name and by sort. The numbers are those of `MSFT_NetInterfaceTypeFilter`: 1 wired, 2 wireless, 4 remote access, 0 any.
fn interfaces(reader: &mut Reader<'_>, props: &Props, flow: Flow, parts: &mut Vec<Match>) {
    if let Some((values, span)) = props.get(Key::InterfaceAlias)
        && !values.iter().all(|v| is_any(v))
    {
        let mut list = Vec::new();
        for value in values.iter().map(|v| v.trim()).filter(|v| !v.is_empty()) {
            let (name, wildcard) = value.strip_suffix('*').map_or((value, false), |v| (v, true));
            if value.starts_with('{') || name.contains(['*', '?']) {
                list.push(condition(reader, format!("the interface is {}", value.to_lowercase()), *span));
            } else {
                list.push(Match::Interface(flow.interface(), NamePattern { name: name.to_owned(), wildcard }));
            }
        }
        parts.push(Match::any_of(list));
    }
    if let Some((values, span)) = props.get(Key::InterfaceType) {
        let words: Vec<&str> = values.iter().flat_map(|v| v.split([',', ';'])).map(str::trim).filter(|w| !w.is_empty()).collect();
        let sort = |bits: u32| -> Vec<&'static str> {
            [(1, "wired"), (2, "wireless"), (4, "for remote access")].into_iter().filter(|(b, _)| bits & b != 0).map(|(_, w)| w).collect()
        };
        let mut asked: Vec<String> = Vec::new();
        for word in words {
            match bare_word(word).as_str() {
                "any" | "all" | "0" => return,
                "wired" | "lan" => asked.push("wired".into()),
                "wireless" => asked.push("wireless".into()),
                "remoteaccess" | "ras" => asked.push("for remote access".into()),
                number => match number.parse::<u32>() {
                    Ok(bits @ 1..=7) => asked.extend(sort(bits).into_iter().map(str::to_owned)),
                    _ => {
                        reader.note(*span, LineState::NotModelled, format!("the interface type \"{}\" is not known", shown(word)));
                        asked.push(format!("of the type {}", word.to_lowercase()));
                    }
                },
            }
        }
        asked.sort();
        asked.dedup();
        if asked.is_empty() || asked.len() == 3 {
            return;
        }
        let list = asked.into_iter().map(|w| condition(reader, format!("the interface is {w}"), *span)).collect();
        parts.push(Match::any_of(list));
    }
}

/// Versions of Windows for which a rule is (`6.1+`; `2:6:2` with `GTEQ` in the registry). Those "or newer" from 10.0 down hold for every Windows that
/// is still maintained.
fn platform(reader: &mut Reader<'_>, values: &[String], span: Span, parts: &mut Vec<Match>) {
    let asked: Vec<&str> = values.iter().map(|v| v.trim()).filter(|v| !v.is_empty()).collect();
    let holds = |v: &&str| {
        let newer = v.strip_suffix('+').and_then(|v| v.split('.').next()?.parse::<u32>().ok());
        newer.is_some_and(|major| major <= 10)
    };
    if !asked.is_empty() && !asked.iter().any(holds) {
        parts.push(condition(reader, format!("the version of Windows is {}", asked.join(" or ")), span));
    }
}

/// `field` has one of these numbers.
pub(super) fn number(field: Field, n: u128) -> Match {
    Match::Field(field, Ranges::single(n))
}

/// Only packets of a family.
pub(super) fn family(family: Family) -> Match {
    Match::Family(family)
}
