//! The properties of a firewall rule under one name each, whatever the form of the export calls them.

use std::collections::BTreeMap;

use super::bag::Bag;
use crate::source::Span;

/// A property of a rule, named as PowerShell names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Key {
    Name,
    DisplayName,
    Description,
    Group,
    Enabled,
    Action,
    Direction,
    Profile,
    Protocol,
    LocalPort,
    RemotePort,
    IcmpType,
    LocalAddress,
    RemoteAddress,
    Program,
    Package,
    Service,
    Owner,
    LocalUser,
    RemoteUser,
    RemoteMachine,
    InterfaceType,
    InterfaceAlias,
    Authentication,
    Encryption,
    OverrideBlockRules,
    Platform,
    Dynamic,
    DynamicKeyword,
    StoreType,
    Store,
    Enforcement,
    Edge,
    /// A further condition of the registry form that has no name of its own; its text says what it is.
    Other,
}

/// Names of properties: of the cmdlets (`Get-NetFirewallRule` and the filters), of the CIM classes under them (`MSFT_NetFirewallRule`,
/// `MSFT_NetProtocolPortFilter` …), of the COM interface `INetFwRule`, and those that scripts and netsh give them. In lower case, without
/// spaces and underscores.
const NAMES: &[(Key, &[&str])] = &[
    (Key::Name, &["instanceid", "name", "id", "ruleid"]),
    (Key::DisplayName, &["displayname", "elementname", "rulename"]),
    (Key::Description, &["description"]),
    (Key::Group, &["group", "displaygroup", "rulegroup", "grouping"]),
    (Key::Enabled, &["enabled"]),
    (Key::Action, &["action"]),
    (Key::Direction, &["direction"]),
    (Key::Profile, &["profile", "profiles"]),
    (Key::Protocol, &["protocol"]),
    (Key::LocalPort, &["localport", "localports"]),
    (Key::RemotePort, &["remoteport", "remoteports"]),
    (Key::IcmpType, &["icmptype", "icmptypes", "icmptypesandcodes"]),
    (Key::LocalAddress, &["localaddress", "localaddresses", "localip", "localips"]),
    (Key::RemoteAddress, &["remoteaddress", "remoteaddresses", "remoteip", "remoteips"]),
    (Key::Program, &["program", "apppath", "applicationname", "application", "programpath"]),
    (Key::Package, &["package", "localappcontainerpackageid", "packagefamilyname", "localapppackageid"]),
    (Key::Service, &["service", "servicename"]),
    (Key::Owner, &["owner", "localuserowner"]),
    (Key::LocalUser, &["localuser", "localusers", "localuserauthorizedlist"]),
    (Key::RemoteUser, &["remoteuser", "remoteusers", "remoteuserauthorizedlist"]),
    (Key::RemoteMachine, &["remotemachine", "remotemachines", "remotemachineauthorizedlist"]),
    (Key::InterfaceType, &["interfacetype", "interfacetypes"]),
    (Key::InterfaceAlias, &["interfacealias", "interfaces", "interface"]),
    (Key::Authentication, &["authentication", "security", "secureflags"]),
    (Key::Encryption, &["encryption"]),
    (Key::OverrideBlockRules, &["overrideblockrules"]),
    (Key::Platform, &["platform", "platforms"]),
    (Key::Dynamic, &["dynamictarget", "dynamictransport"]),
    (Key::DynamicKeyword, &["remotedynamickeywordaddresses"]),
    (Key::StoreType, &["policystoresourcetype"]),
    (Key::Store, &["policystoresource"]),
    (Key::Enforcement, &["enforcementstatus"]),
    (Key::Edge, &["edgetraversalpolicy", "edgetraversal", "edgetraversaloptions"]),
];

/// Lower case, without spaces, underscores and hyphens.
pub(super) fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The property that a name means.
pub(super) fn key(name: &str) -> Option<Key> {
    let name = bare(name);
    NAMES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(k, _)| *k)
}

/// Values with their place.
pub(super) type Values = (Vec<String>, Span);

/// What is exported of a rule.
#[derive(Clone, Debug)]
pub(super) struct Props {
    values: BTreeMap<Key, Values>,
    /// All of it.
    pub span: Span,
    /// The form shows every condition of a rule, so that what is not there is not asked.
    pub complete: bool,
    /// Numbers of `Action` are those of the COM interface.
    pub com: bool,
}

impl Props {
    /// Nothing yet.
    pub fn new(span: Span, complete: bool) -> Props {
        Props { values: BTreeMap::new(), span, complete, com: false }
    }

    /// Of an object of PowerShell: its properties, and those of the filters that lie in it.
    pub fn of(bag: &Bag) -> Props {
        let mut props = Props::new(bag.span, false);
        // `ApplicationName` and `Grouping` are names of INetFwRule alone.
        props.com = bag.has(&["ApplicationName", "IcmpTypesAndCodes", "EdgeTraversalOptions"]);
        props.take(bag);
        for (_, value) in &bag.fields {
            if let super::bag::Datum::Object(inner) = value {
                props.take(inner);
            }
        }
        props
    }

    /// Adds what an object says and this does not yet say; where an object has several names of one thing, the first of [`NAMES`].
    pub fn take(&mut self, bag: &Bag) {
        let mut best: BTreeMap<Key, (usize, &super::bag::Datum)> = BTreeMap::new();
        for (name, value) in &bag.fields {
            let name = bare(name);
            for (key, names) in NAMES {
                if let Some(rank) = names.iter().position(|n| *n == name) {
                    let known = best.get(key);
                    let has_text = value.texts().iter().any(|t| !t.trim().is_empty());
                    if known.is_none_or(|(r, d)| rank < *r && (has_text || !d.texts().iter().any(|t| !t.trim().is_empty()))) {
                        best.insert(*key, (rank, value));
                    }
                }
            }
        }
        for (key, (_, value)) in best {
            self.values.entry(key).or_insert_with(|| (value.texts(), value.span()));
        }
    }

    /// Says a property, unless it is said.
    pub fn say(&mut self, key: Key, value: impl Into<String>, span: Span) {
        self.values.entry(key).or_insert_with(|| (Vec::new(), span)).0.push(value.into());
    }

    /// Says a property anew.
    pub fn set(&mut self, key: Key, values: Vec<String>, span: Span) {
        self.values.insert(key, (values, span));
    }

    /// Says that values of a property follow.
    pub fn start(&mut self, key: Key, span: Span) {
        self.values.entry(key).or_insert_with(|| (Vec::new(), span));
    }

    /// The values of a property.
    pub fn get(&self, key: Key) -> Option<&Values> {
        self.values.get(&key)
    }

    /// The first value of a property, if it is not empty.
    pub fn one(&self, key: Key) -> Option<&str> {
        self.get(key).and_then(|(v, _)| v.first()).map(|s| s.trim()).filter(|s| !s.is_empty())
    }

    /// Adds what another says and this does not.
    pub fn join(&mut self, other: &Props) {
        for (key, value) in &other.values {
            // The names of a filter are those of its rule or its own, and say nothing.
            if !matches!(key, Key::Name | Key::DisplayName | Key::Description) {
                self.values.entry(*key).or_insert_with(|| value.clone());
            }
        }
    }

    /// Whether one of these is said.
    pub fn says(&self, keys: &[Key]) -> bool {
        keys.iter().any(|k| self.values.contains_key(k))
    }
}
