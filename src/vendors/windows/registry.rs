//! The firewall's part of the registry: rules as strings (MS-GPFAS 2.2.2.19) and the settings of the profiles (MS-GPFAS 2.2.3), as they stand in
//! `.reg` files, in `Registry.pol`, and in security templates.

use super::facts::{Facts, Source};
use super::profile::Profile;
use super::props::{Key, Props};
use super::rule::Origin;
use super::settings::{Setting, Store, Value};
use crate::diag::LineState;
use crate::source::Span;
use crate::vendors::Reader;

/// A value of the registry.
pub(super) enum Data {
    Number(u32),
    Text(String),
    /// Of another type.
    Other,
}

/// The place of a key of the firewall, whatever the root is called: `HKEY_LOCAL_MACHINE\…`, `HKLM\…`, `MACHINE\…`, or nothing.
pub(super) enum Place {
    /// A key of profile settings.
    Profile(Store, ProfileKey, Below),
    /// A key of rules, and whose they are.
    Rules(Origin),
    /// Another key of the firewall.
    Other,
}

/// What a key of a profile is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProfileKey {
    One(Profile),
    /// The key `StandardProfile` of a policy, which older systems wrote for private and public networks alike.
    Standard,
}

/// Which key below a profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Below {
    Itself,
    Logging,
    /// Lists of exceptions of the firewall of Windows XP.
    Exceptions,
    Other,
}

const POLICY: &str = "software\\policies\\microsoft\\windowsfirewall";
const LOCAL: &str = "\\services\\sharedaccess\\parameters\\firewallpolicy";
const DEFAULTS: &str = "\\services\\sharedaccess\\defaults\\firewallpolicy";

/// Where a key belongs; `None`: not to the firewall.
pub(super) fn place(key: &str) -> Option<Place> {
    let key = key.trim_matches('\\').to_ascii_lowercase();
    let (store, rest) = if let Some(at) = key.find(POLICY) {
        (Store::Policy, key.get(at + POLICY.len()..)?)
    } else if let Some(at) = key.find(LOCAL) {
        let rest = key.get(at + LOCAL.len()..)?;
        match rest.strip_prefix("\\mdm") {
            Some(below) => (Store::Management, below),
            None => (Store::Local, rest),
        }
    } else if key.contains(DEFAULTS) {
        return Some(Place::Other);
    } else {
        return None;
    };
    if !rest.is_empty() && !rest.starts_with('\\') {
        return None;
    }
    let mut parts = rest.trim_start_matches('\\').split('\\');
    let first = parts.next().unwrap_or("");
    let second = parts.next();
    let profile = match first {
        "domainprofile" => Some(ProfileKey::One(Profile::Domain)),
        "privateprofile" => Some(ProfileKey::One(Profile::Private)),
        "publicprofile" => Some(ProfileKey::One(Profile::Public)),
        // On the device itself this key is the private profile.
        "standardprofile" if store == Store::Local => Some(ProfileKey::One(Profile::Private)),
        "standardprofile" => Some(ProfileKey::Standard),
        _ => None,
    };
    if let Some(profile) = profile {
        let below = match second {
            None => Below::Itself,
            Some("logging") => Below::Logging,
            Some("globallyopenports" | "authorizedapplications" | "services" | "remoteadminsettings" | "icmpsettings") => Below::Exceptions,
            Some(_) => Below::Other,
        };
        return Some(Place::Profile(store, profile, below));
    }
    let origin = if store == Store::Local { Origin::Local } else { Origin::Policy };
    Some(match (first, second, parts.next()) {
        ("firewallrules", ..) => Place::Rules(origin),
        // Rules for packaged apps; they are Windows' own and no local rules.
        ("restrictedservices", Some("appiso"), Some("firewallrules")) => Place::Rules(Origin::Policy),
        _ => Place::Other,
    })
}

/// Takes a value in.
pub(super) fn take(reader: &mut Reader<'_>, facts: &mut Facts, place: &Place, name: &str, data: &Data, (span, value_span): (Span, Span)) {
    match place {
        Place::Rules(origin) => match data {
            Data::Text(text) => match rule(reader, name, text, span, value_span) {
                Some(props) => {
                    reader.mark(span, LineState::Understood);
                    facts.rules.push((Source::Registry, Some(*origin), props));
                }
                None => {
                    reader.note(span, LineState::Unrecognised, "this is no rule as the registry has them");
                    facts.lost(span);
                }
            },
            _ => {
                reader.note(span, LineState::Unrecognised, "this is no rule as the registry has them");
                facts.lost(span);
            }
        },
        Place::Profile(store, profile, below) => setting(reader, facts, (*store, *profile, *below), name, data, span),
        Place::Other => reader.mark(span, LineState::Irrelevant),
    }
}

fn setting(
    reader: &mut Reader<'_>,
    facts: &mut Facts,
    (store, profile, below): (Store, ProfileKey, Below),
    name: &str,
    data: &Data,
    span: Span,
) {
    let lower = name.to_ascii_lowercase();
    if below == Below::Exceptions {
        reader.note(span, LineState::NotModelled, "exceptions of the old Windows Firewall are not modelled; what they let in is not known");
        facts.lost(span);
        return;
    }
    let number = match data {
        Data::Number(n) => Some(*n),
        Data::Text(t) => t.trim().parse().ok(),
        Data::Other => None,
    };
    // DefaultInboundAction 1 blocks; DefaultOutboundAction 1 blocks (MS-GPFAS 2.2.3.16 and 2.2.3.17); DisableNotifications and
    // DoNotAllowExceptions are the opposites of what is asked.
    let flag = |yes: Value, no: Value| match number {
        Some(1) => yes,
        Some(0) => no,
        _ => Value::Unknown(format!("{name} with a value that it cannot have")),
    };
    let (setting, value) = match (below, lower.as_str()) {
        (Below::Itself, "enablefirewall") => (Setting::Enabled, flag(Value::Yes, Value::No)),
        (Below::Itself, "defaultinboundaction") => (Setting::Inbound, flag(Value::Block, Value::Allow)),
        (Below::Itself, "defaultoutboundaction") => (Setting::Outbound, flag(Value::Block, Value::Allow)),
        (Below::Itself, "donotallowexceptions") => (Setting::InboundRules, flag(Value::No, Value::Yes)),
        (Below::Itself, "allowlocalpolicymerge") => (Setting::LocalRules, flag(Value::Yes, Value::No)),
        (Below::Itself, "disablenotifications") => (Setting::Notify, flag(Value::No, Value::Yes)),
        (Below::Itself, "disabledinterfaces") => {
            let list = if let Data::Text(t) = data {
                t.split(['{', '}', ',', ' ']).filter(|s| !s.is_empty()).map(|s| format!("{{{s}}}")).collect()
            } else {
                vec![]
            };
            (Setting::OffOn, Value::Names(list))
        }
        (Below::Logging, "logdroppedpackets") => (Setting::LogDropped, flag(Value::Yes, Value::No)),
        (Below::Logging, "logsuccessfulconnections") => (Setting::LogAllowed, flag(Value::Yes, Value::No)),
        (Below::Logging, "logfilesize") => (Setting::LogSize, number.map_or_else(|| Value::Unknown(name.into()), Value::Number)),
        _ => {
            let known = [
                "logfilepath",
                "logignoredrules",
                "allowlocalipsecpolicymerge",
                "disablestealthmode",
                "disablestealthmodeipsecsecuredpacketexemption",
                "disableunicastresponsestomulticastbroadcast",
                "authappsallowuserprefmerge",
                "globalportsallowuserprefmerge",
            ];
            if !known.contains(&lower.as_str()) && below != Below::Other {
                reader.note(
                    span,
                    LineState::NotModelled,
                    format!("the setting \"{}\" is not known", name.chars().take(60).collect::<String>()),
                );
            } else {
                reader.mark(span, LineState::Irrelevant);
            }
            return;
        }
    };
    reader.mark(span, LineState::Understood);
    match profile {
        ProfileKey::One(profile) => facts.settings.say(store, profile, setting, value, span),
        ProfileKey::Standard => facts.standard.push((store, setting, value, span)),
    }
}

/// A rule as a string: `v2.30|Action=Allow|Active=TRUE|Dir=In|…|`. `None`: it is none.
pub(super) fn rule(reader: &mut Reader<'_>, id: &str, text: &str, span: Span, value_span: Span) -> Option<Props> {
    let mut fields = text.split('|');
    let version = fields.next()?.trim();
    if !version.strip_prefix(['v', 'V'])?.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut props = Props::new(span, true);
    props.say(Key::Name, id, span);
    let mut platform: Option<String> = None;
    let mut newer = false;
    for field in fields.map(str::trim).filter(|f| !f.is_empty()) {
        let Some((name, value)) = field.split_once('=') else {
            reader.note(
                value_span,
                LineState::NotModelled,
                format!("\"{}\" of this rule is not understood", field.chars().take(60).collect::<String>()),
            );
            props.say(Key::Other, format!("what \"{}\" means", field.to_lowercase()), value_span);
            continue;
        };
        let name = name.trim();
        let plain = name.to_ascii_lowercase();
        // Names with a version say the same of what came later: LPort2_10, RA42, TTK2_27.
        let key = match plain.as_str() {
            "action" => Key::Action,
            "active" => Key::Enabled,
            "dir" => Key::Direction,
            "profile" => Key::Profile,
            "protocol" => Key::Protocol,
            "icmp4" | "icmp6" => Key::IcmpType,
            "app" => Key::Program,
            "svc" => Key::Service,
            "if" => Key::InterfaceAlias,
            "iftype" => Key::InterfaceType,
            "la4" | "la6" => Key::LocalAddress,
            "ra4" | "ra6" | "ra42" | "ra62" => Key::RemoteAddress,
            "name" => Key::DisplayName,
            "desc" => Key::Description,
            "embedctxt" => Key::Group,
            "edge" | "defer" => Key::Edge,
            "security" | "security2" | "security2_9" => Key::Authentication,
            "rmauth" => Key::RemoteMachine,
            "ruauth" => Key::RemoteUser,
            "luauth" | "luauth2_24" => Key::LocalUser,
            "luown" => Key::Owner,
            "apppkgid" | "pfn" => Key::Package,
            "platform" => {
                platform = Some(value.to_owned());
                continue;
            }
            "platform2" => {
                newer = value.eq_ignore_ascii_case("GTEQ");
                continue;
            }
            // How a packet's way through address translation of the host is counted, and which version may skip the rule.
            "lsm" | "lom" | "skipver" => continue,
            _ if plain.starts_with("lport") => Key::LocalPort,
            _ if plain.starts_with("rport") => Key::RemotePort,
            _ => {
                if !["ttk", "nnm", "securityrealmid", "pcross", "authbypassout"].iter().any(|k| plain.starts_with(k)) {
                    let text = format!("\"{}\" of this rule is not known", name.chars().take(60).collect::<String>());
                    reader.note(value_span, LineState::NotModelled, text);
                }
                props.say(Key::Other, format!("the traffic fits {}", field.to_lowercase()), value_span);
                continue;
            }
        };
        // A family's keyword is meant for this family: RA6=LocalSubnet.
        let keyword = matches!(key, Key::RemoteAddress | Key::LocalAddress) && super::addresses::interval(value).is_none();
        match (keyword, plain.as_bytes().get(2)) {
            (true, Some(b'4')) => props.say(key, format!("{value}4"), value_span),
            (true, Some(b'6')) => props.say(key, format!("{value}6"), value_span),
            _ => props.say(key, value, value_span),
        }
    }
    if let Some(version) = platform {
        // `2:6:2` is Windows (2), 6.2.
        let mut parts = version.split(':').skip(1);
        let (major, minor) = (parts.next().unwrap_or("?"), parts.next().unwrap_or("0"));
        props.say(Key::Platform, format!("{major}.{minor}{}", if newer { "+" } else { "" }), value_span);
    }
    // Without Profile it is for all; without Action, Dir or Active nothing is assumed.
    Some(props)
}
