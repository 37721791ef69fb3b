//! What each profile is set to, by whom, and what follows from it.
//!
//! Settings come from several stores: that of the device, that of a device management, and that of Group Policy; or the active store was exported,
//! in which Windows has already joined them. Group Policy goes before the device's own settings (learn.microsoft.com, "Best practices for
//! configuring Windows Firewall"; MS-FASP 2.2.38: each setting has a merge law, and for all that are read here the value of the policy wins).

use std::collections::BTreeMap;

use super::profile::Profile;
use super::props::bare;
use crate::source::Span;

/// A setting of a profile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Setting {
    Enabled,
    Inbound,
    Outbound,
    /// Rules for what comes in are asked at all (`AllowInboundRules`, the opposite of `DoNotAllowExceptions`, "shields up").
    InboundRules,
    /// Local rules are joined with those of the policy.
    LocalRules,
    LogDropped,
    LogAllowed,
    Notify,
    LogSize,
    /// Interfaces that the profile leaves out.
    OffOn,
}

impl Setting {
    /// All that are reported as settings of the device.
    pub const REPORTED: [Setting; 9] = [
        Setting::Enabled,
        Setting::Inbound,
        Setting::Outbound,
        Setting::InboundRules,
        Setting::LocalRules,
        Setting::LogDropped,
        Setting::LogAllowed,
        Setting::Notify,
        Setting::LogSize,
    ];

    /// The last part of its name among the settings of the device.
    pub fn name(self) -> &'static str {
        match self {
            Setting::Enabled => "enabled",
            Setting::Inbound => "inbound-default",
            Setting::Outbound => "outbound-default",
            Setting::InboundRules => "inbound-rules",
            Setting::LocalRules => "local-rules",
            Setting::LogDropped => "log-dropped",
            Setting::LogAllowed => "log-accepted",
            Setting::Notify => "notify",
            Setting::LogSize => "log-size-kib",
            Setting::OffOn => "off-on",
        }
    }
}

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Yes,
    No,
    Allow,
    Block,
    Number(u32),
    Names(Vec<String>),
    /// Written as "not configured": the next store counts.
    NotConfigured,
    /// In words that are not understood.
    Unknown(String),
}

impl Value {
    /// As a setting's value.
    pub fn text(&self) -> Option<String> {
        Some(match self {
            Value::Yes => "true".into(),
            Value::No => "false".into(),
            Value::Allow => "allow".into(),
            Value::Block => "block".into(),
            Value::Number(n) => n.to_string(),
            Value::Names(list) => list.join(", "),
            Value::NotConfigured | Value::Unknown(_) => return None,
        })
    }
}

/// Where a setting is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Store {
    /// As Windows has joined the others.
    Active,
    Policy,
    Management,
    Local,
}

/// What a profile is set to, as far as is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Effective {
    /// This, and where; `default`: nobody wrote it.
    Known { value: Value, span: Option<Span> },
    /// Why it is not known.
    Unknown { why: String, span: Option<Span> },
}

/// Everything that was read of the profiles.
#[derive(Default, Debug)]
pub(super) struct Settings {
    values: BTreeMap<(Store, Profile, Setting), (Value, Span)>,
    /// Stores that were exported whole, so that what is not there is not set in them.
    pub whole: Vec<Store>,
}

/// What Windows does where no store says anything: the firewall is on, blocks what comes in and lets out (learn.microsoft.com, "Windows
/// Firewall overview", default behaviour; INetFwPolicy2::get_DefaultInboundAction: block by default), asks rules, joins local rules (MS-FASP
/// 2.2.38, FW_PROFILE_CONFIG_ALLOW_LOCAL_POLICY_MERGE), logs nothing ("Configure Windows Firewall logging": off by default, 4,096 KB), and
/// leaves no interface out.
pub(super) fn default(setting: Setting) -> Option<Value> {
    Some(match setting {
        Setting::Enabled | Setting::InboundRules | Setting::LocalRules => Value::Yes,
        Setting::Inbound => Value::Block,
        Setting::Outbound => Value::Allow,
        Setting::LogDropped | Setting::LogAllowed => Value::No,
        Setting::LogSize => Value::Number(4096),
        Setting::OffOn => Value::Names(Vec::new()),
        // Clients tell the user, servers do not.
        Setting::Notify => return None,
    })
}

impl Settings {
    /// A setting of a profile in a store; said twice in different words, it is not known.
    pub fn say(&mut self, store: Store, profile: Profile, setting: Setting, value: Value, span: Span) {
        match self.values.get_mut(&(store, profile, setting)) {
            Some((known, _)) if *known != value => *known = Value::Unknown("it is exported with two values".into()),
            Some(_) => {}
            None => {
                self.values.insert((store, profile, setting), (value, span));
            }
        }
    }

    /// Whether anything was read.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.whole.is_empty()
    }

    /// Where something of a profile is written.
    pub fn place(&self, profile: Profile) -> Option<Span> {
        self.values.iter().find(|((_, p, _), _)| *p == profile).map(|(_, (_, span))| *span)
    }

    /// What a profile is set to: the first store that says something, if those before it are known not to.
    pub fn effective(&self, profile: Profile, setting: Setting) -> Effective {
        let active = self.values.keys().any(|(s, p, _)| *s == Store::Active && *p == profile);
        let of_device = self.whole.contains(&Store::Local) || self.values.keys().any(|(s, ..)| *s == Store::Local);
        let stores: &[Store] = if active { &[Store::Active] } else { &[Store::Policy, Store::Management, Store::Local] };
        for store in stores {
            match self.values.get(&(*store, profile, setting)) {
                Some((Value::NotConfigured, _)) => {}
                Some((Value::Unknown(text), span)) => {
                    let why = format!("\"{text}\" is not understood");
                    return Effective::Unknown { why, span: Some(*span) };
                }
                Some((value, span)) => return Effective::Known { value: value.clone(), span: Some(*span) },
                None if *store == Store::Active => {
                    return Effective::Unknown { why: "the export of the profiles leaves it out".into(), span: self.place(profile) };
                }
                None if self.whole.contains(store) => {}
                // A policy of a device management by itself: what it sets is what it asks for.
                None if *store == Store::Policy && !of_device && self.values.contains_key(&(Store::Management, profile, setting)) => {}
                None => {
                    let of = match store {
                        Store::Policy => "Group Policy may set it, and was not exported",
                        Store::Management => "a device management may set it, and was not exported",
                        _ => "the settings of the device itself were not exported",
                    };
                    return Effective::Unknown { why: of.into(), span: self.place(profile) };
                }
            }
        }
        match default(setting) {
            Some(value) => Effective::Known { value, span: self.place(profile) },
            None => Effective::Unknown { why: "it is not set, and the default differs between clients and servers".into(), span: None },
        }
    }
}

/// A value of PowerShell, netsh, the registry or a policy. Numbers of `GpoBoolean`: 0 false, 1 true, 2 not configured; of actions: 0 not
/// configured, 2 allow, 4 block (learn.microsoft.com, "MSFT_NetFirewallProfile class").
pub(super) fn value(setting: Setting, words: &[String]) -> Value {
    let first = words.first().map(|w| w.trim()).unwrap_or_default();
    let word = bare(first);
    if setting == Setting::OffOn {
        let names = words.iter().map(|w| w.trim()).filter(|w| !w.is_empty());
        let names: Vec<String> = names.filter(|w| !w.eq_ignore_ascii_case("NotConfigured")).map(str::to_owned).collect();
        return Value::Names(names);
    }
    match (setting, word.as_str()) {
        (_, "notconfigured") => Value::NotConfigured,
        (Setting::Inbound | Setting::Outbound, "allow" | "2") => Value::Allow,
        (Setting::Inbound | Setting::Outbound, "block" | "4") => Value::Block,
        (Setting::Inbound | Setting::Outbound, "0") => Value::NotConfigured,
        (Setting::Inbound | Setting::Outbound, _) => Value::Unknown(first.into()),
        (Setting::LogSize, n) => n.parse().map_or_else(|_| Value::Unknown(first.into()), Value::Number),
        (_, "true" | "1" | "yes" | "on" | "enable" | "enabled") => Value::Yes,
        (_, "false" | "0" | "no" | "off" | "disable" | "disabled") => Value::No,
        (_, "2") => Value::NotConfigured,
        _ => Value::Unknown(first.into()),
    }
}
