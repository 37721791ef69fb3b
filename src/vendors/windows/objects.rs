//! Which objects of PowerShell are rules, filters of rules, profiles and networks, and how the filters join their rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bag::{Bag, DEPTH, Datum};
use super::facts::{Facts, Source};
use super::profile::Profile;
use super::props::{self, Key, Props};
use super::settings::{self, Setting, Store, Value};
use crate::diag::LineState;
use crate::source::Span;
use crate::vendors::Reader;

/// The objects of all files of a device.
#[derive(Default)]
pub(super) struct Objects {
    /// With each of these: whether an object around them says that they are of the active store.
    rules: Vec<(Props, bool)>,
    filters: Vec<(String, Props)>,
    profiles: Vec<(Bag, bool)>,
    networks: Vec<Bag>,
    unknown: BTreeMap<String, Span>,
}

/// Properties of rules, profiles and filters that no question turns on.
const IRRELEVANT: &[&str] = &[
    "status",
    "statuscode",
    "primarystatus",
    "caption",
    "commonname",
    "policykeywords",
    "policydecisionstrategy",
    "policyroles",
    "conditionlisttype",
    "creationclassname",
    "executionstrategy",
    "mandatory",
    "policyrulename",
    "priority",
    "ruleusage",
    "sequencedactions",
    "systemcreationclassname",
    "systemname",
    "localonlymapping",
    "loosesourcemapping",
    "lsm",
    "pscomputername",
    "psshowcomputername",
    "runspaceid",
    "policystore",
    "number",
    "index",
    "computername",
    "date",
    "islogicalnegated",
    "isnegated",
    "policyapp",
    "policyappid",
    "mappingstrategy",
    "filtername",
    "primarystatusname",
];

/// Names by which a filter is told from other objects.
const FILTER: &[&str] = &[
    "LocalPort",
    "RemotePort",
    "LocalAddress",
    "RemoteAddress",
    "LocalIP",
    "RemoteIP",
    "Program",
    "AppPath",
    "Service",
    "ServiceName",
    "InterfaceAlias",
    "InterfaceType",
    "Authentication",
    "OverrideBlockRules",
    "Protocol",
];

impl Objects {
    /// Takes in what one file holds.
    pub fn take(&mut self, reader: &mut Reader<'_>, data: Vec<Datum>) {
        for datum in data {
            self.walk(reader, datum, false, 0);
        }
    }

    fn walk(&mut self, reader: &mut Reader<'_>, datum: Datum, active: bool, depth: usize) {
        match datum {
            _ if depth > DEPTH => {}
            Datum::Text(..) => {}
            Datum::List(list, _) => list.into_iter().for_each(|d| self.walk(reader, d, active, depth + 1)),
            Datum::Object(bag) => self.object(reader, bag, active, depth),
        }
    }

    fn object(&mut self, reader: &mut Reader<'_>, bag: Bag, active: bool, depth: usize) {
        let text = |name: &str| bag.get(name).and_then(|d| d.texts().into_iter().next()).unwrap_or_default();
        let active = active || text("PolicyStore").eq_ignore_ascii_case("ActiveStore");
        let of_profile = bag.has(&["DefaultInboundAction", "DefaultOutboundAction", "AllowInboundRules"])
            || (profile_of(&bag).is_some() && bag.has(&["Enabled"]) && !bag.has(&["Direction", "Action"]));
        if bag.has(&["NetworkCategory"]) {
            self.mark(reader, &bag, &["networkcategory", "interfacealias"]);
            self.networks.push(bag);
        } else if of_profile {
            self.mark(reader, &bag, &PROFILE.map(|(n, _)| n));
            self.profiles.push((bag, active));
        } else if bag.has(&["Direction"]) && (bag.has(&["Action"]) || bag.has(&["Enabled"])) {
            self.mark(reader, &bag, &[]);
            self.note_unjoined(reader, &bag);
            self.rules.push((Props::of(&bag), active));
        } else if let Some(id) = bag.get("InstanceID").filter(|_| bag.has(FILTER)).and_then(|d| d.texts().into_iter().next()) {
            self.mark(reader, &bag, &[]);
            self.filters.push((id, Props::of(&bag)));
        } else {
            for (_, datum) in bag.fields {
                self.walk(reader, datum, active, depth + 1);
            }
        }
    }

    /// Marks the lines of an object, and remembers properties that are not known.
    fn mark(&mut self, reader: &mut Reader<'_>, bag: &Bag, own: &[&str]) {
        for (name, value) in &bag.fields {
            let bare = props::bare(name);
            if props::key(name).is_some() || own.contains(&bare.as_str()) {
                reader.mark(value.span(), LineState::Understood);
            } else if let Datum::Object(inner) = value {
                for (name, value) in &inner.fields {
                    let state = if props::key(name).is_some() { LineState::Understood } else { LineState::Irrelevant };
                    reader.mark(value.span(), state);
                }
            } else if own.is_empty() && !IRRELEVANT.contains(&bare.as_str()) && value.texts().iter().any(|t| !super::rule::is_any(t)) {
                self.unknown.entry(name.clone()).or_insert(value.span());
            }
        }
    }

    /// A list that a script did not join: `System.String[]`.
    fn note_unjoined(&self, reader: &mut Reader<'_>, bag: &Bag) {
        for (name, value) in &bag.fields {
            if props::key(name).is_some() && value.texts().iter().any(|t| t.starts_with("System.") && t.ends_with("[]")) {
                reader.note(value.span(), LineState::NotModelled, format!("the list {name} was not exported: join it before (-join ',')"));
            }
        }
    }

    /// Puts rules and filters together.
    pub fn join(self, reader: &mut Reader<'_>, facts: &mut Facts) {
        let mut by_rule: HashMap<&str, Vec<&Props>> = HashMap::new();
        for (id, filter) in &self.filters {
            by_rule.entry(id).or_default().push(filter);
        }
        // Rules of two stores may bear one id; which filter is whose is then not known.
        let mut twice = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for (rule, _) in &self.rules {
            if let Some(id) = rule.one(Key::Name)
                && !ids.insert(id.to_owned())
            {
                twice.insert(id.to_owned());
            }
        }
        let (mut said, mut signs) = (!self.rules.is_empty(), Signs::default());
        let mut left_out: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut first = None;
        let mut rules = Vec::with_capacity(self.rules.len());
        for (mut rule, active) in self.rules {
            let id = rule.one(Key::Name).unwrap_or("").to_owned();
            if !twice.contains(&id) {
                for filter in by_rule.get(id.as_str()).into_iter().flatten() {
                    rule.join(filter);
                }
            }
            said &= active;
            signs.see(&rule);
            for name in super::rule::missing(&rule) {
                *left_out.entry(name).or_default() += 1;
            }
            first = first.or(Some(rule.span));
            rules.push((Source::PowerShell, None, rule));
        }
        if let (Some(span), false) = (first, left_out.is_empty()) {
            let list: Vec<String> = left_out.iter().map(|(name, n)| format!("{name} ({n} rules)")).collect();
            let text = format!(
                "what rules ask for was not exported whole: {} missing; each such rule may be about fewer packets",
                list.join(", ")
            );
            reader.note(span, LineState::NotModelled, text);
        }
        facts.active |= said || signs.of_active();
        facts.rules.extend(rules);
        for (name, span) in self.unknown {
            let name: String = name.chars().take(60).collect();
            reader.note(span, LineState::NotModelled, format!("the property \"{name}\" is not known, and was not looked at"));
        }
        profiles(reader, facts, &self.profiles);
        for bag in &self.networks {
            let text = |name: &str| bag.get(name).and_then(|d| d.texts().into_iter().next()).unwrap_or_default();
            facts.networks.push((text("InterfaceAlias"), text("NetworkCategory"), bag.span));
        }
    }
}

/// Settings of a profile by the names of `Get-NetFirewallProfile`.
const PROFILE: [(&str, Setting); 10] = [
    ("enabled", Setting::Enabled),
    ("defaultinboundaction", Setting::Inbound),
    ("defaultoutboundaction", Setting::Outbound),
    ("allowinboundrules", Setting::InboundRules),
    ("allowlocalfirewallrules", Setting::LocalRules),
    ("logblocked", Setting::LogDropped),
    ("logallowed", Setting::LogAllowed),
    ("notifyonlisten", Setting::Notify),
    ("logmaxsizekilobytes", Setting::LogSize),
    ("disabledinterfacealiases", Setting::OffOn),
];

/// Which profile an object of `Get-NetFirewallProfile` is.
fn profile_of(bag: &Bag) -> Option<Profile> {
    ["Name", "Profile", "InstanceID", "ElementName"].iter().find_map(|name| {
        let text = bag.get(name)?.texts().into_iter().next()?;
        let last = text.rsplit('|').next()?.trim().to_ascii_lowercase();
        match last.trim_end_matches("profile").trim() {
            "domain" | "1" => Some(Profile::Domain),
            "private" | "2" => Some(Profile::Private),
            "public" | "4" => Some(Profile::Public),
            _ => None,
        }
    })
}

/// Whether rules can only have been read from the active store: there alone rules have a state of enforcement, and rules of a policy stand beside those of
/// the device (learn.microsoft.com, "MSFT_NetFirewallRule class", EnforcementStatus and PolicyStoreSourceType).
#[derive(Default)]
struct Signs {
    enforced: bool,
    local: bool,
    elsewhere: bool,
}

impl Signs {
    fn see(&mut self, rule: &Props) {
        self.enforced |= rule.get(Key::Enforcement).is_some_and(|(values, _)| {
            let mut words = values.iter().flat_map(|v| v.split([',', ' ', ';'])).map(str::trim).filter(|w| !w.is_empty());
            words.any(|w| !matches!(w.to_ascii_lowercase().as_str(), "notapplicable" | "invalid" | "0" | "invalidattribute" | "unknown"))
        });
        let store = rule.one(Key::StoreType).map(str::to_ascii_lowercase);
        match store.as_deref() {
            Some("local" | "1") => self.local = true,
            Some("grouppolicy" | "2" | "dynamic" | "3" | "generated" | "4" | "hardcoded" | "5" | "mdm" | "6") => self.elsewhere = true,
            _ => {}
        }
    }

    fn of_active(&self) -> bool {
        self.enforced || (self.local && self.elsewhere)
    }
}

/// Takes in what the profiles are set to.
fn profiles(reader: &mut Reader<'_>, facts: &mut Facts, profiles: &[(Bag, bool)]) {
    let of = |bag: &Bag, name: &str, setting| {
        let datum = bag.fields.iter().find(|(n, _)| props::bare(n) == name).map(|(_, d)| d)?;
        Some((settings::value(setting, &datum.texts()), datum.span()))
    };
    let said = !profiles.is_empty() && profiles.iter().all(|(_, active)| *active);
    let all = |f: &dyn Fn(&Bag) -> bool| !profiles.is_empty() && profiles.iter().all(|(b, _)| f(b));
    // Only in the active store, and in policies, is it settled whether local rules are merged; and only in policies is it left open whether the
    // firewall is on, and what it does by default.
    let settled = all(&|b| matches!(of(b, "allowlocalfirewallrules", Setting::LocalRules), Some((Value::Yes | Value::No, _))));
    let open = |b: &Bag| {
        let main =
            [("enabled", Setting::Enabled), ("defaultinboundaction", Setting::Inbound), ("defaultoutboundaction", Setting::Outbound)];
        main.into_iter().any(|(n, s)| matches!(of(b, n, s), Some((Value::NotConfigured, _))))
    };
    let store = match (said, settled, profiles.iter().any(|(b, _)| open(b))) {
        (true, ..) | (_, true, false) => Store::Active,
        (_, true, true) => Store::Policy,
        _ => Store::Local,
    };
    let mut found = Vec::new();
    for (bag, _) in profiles {
        let Some(profile) = profile_of(bag) else {
            reader.note(bag.span, LineState::NotModelled, "which profile this is was not exported");
            continue;
        };
        found.push(profile);
        for (name, setting) in PROFILE {
            let Some((value, span)) = of(bag, name, setting) else { continue };
            if let Value::Unknown(text) = &value {
                reader.note(span, LineState::NotModelled, format!("\"{}\" is not understood", text.chars().take(60).collect::<String>()));
            }
            facts.settings.say(store, profile, setting, value, span);
        }
    }
    let columns = ["DefaultInboundAction", "DefaultOutboundAction", "AllowInboundRules", "Enabled", "LogBlocked"];
    let whole = all(&|b| columns.iter().all(|c| b.get(c).is_some())) && Profile::ALL.iter().all(|p| found.contains(p));
    if store == Store::Local && whole {
        facts.settings.whole.push(Store::Local);
    }
}
