//! Policies of Intune's settings catalog as Microsoft Graph exports them (`deviceManagement/configurationPolicies`): settings of the Firewall
//! configuration service provider.

use super::bag::{Bag, DEPTH, Datum};
use super::facts::{Facts, Source};
use super::profile::Profile;
use super::props::{Key, Props};
use super::registry::{self, Below, Data, Place, ProfileKey};
use super::rule::Origin;
use super::settings::Store;
use crate::diag::LineState;
use crate::source::Span;
use crate::vendors::Reader;

const STORE: &str = "vendor_msft_firewall_mdmstore_";

/// Reads the settings of a policy.
pub(super) fn read(reader: &mut Reader<'_>, facts: &mut Facts, data: &[Datum]) {
    for datum in data {
        facts.place = facts.place.or(Some(Span { end: datum.span().start, ..datum.span() }));
        walk(reader, facts, datum, 0);
    }
}

fn id(bag: &Bag) -> Option<(String, Span)> {
    let datum = bag.get("settingDefinitionId")?;
    Some((datum.texts().into_iter().next()?.to_ascii_lowercase(), datum.span()))
}

/// The value of a setting: of a choice what follows the name of the setting, else the value itself.
fn value(bag: &Bag, id: &str) -> Option<(String, Span)> {
    let holder = ["choiceSettingValue", "simpleSettingValue"].iter().find_map(|n| bag.get(n))?;
    let Datum::Object(holder) = holder else { return None };
    let datum = holder.get("value")?;
    let text = datum.texts().into_iter().next()?;
    let lower = text.to_ascii_lowercase();
    Some((lower.strip_prefix(id).and_then(|t| t.strip_prefix('_')).map_or(text, str::to_owned), datum.span()))
}

/// The values of a list of choices or of simple values.
fn values(bag: &Bag, id: &str) -> Vec<(String, Span)> {
    let list = ["choiceSettingCollectionValue", "simpleSettingCollectionValue"].iter().find_map(|n| bag.get(n));
    let Some(Datum::List(list, _)) = list else { return value(bag, id).into_iter().collect() };
    let one = |d: &Datum| {
        let Datum::Object(b) = d else { return None };
        let datum = b.get("value")?;
        let text = datum.texts().into_iter().next()?;
        let lower = text.to_ascii_lowercase();
        Some((lower.strip_prefix(id).and_then(|t| t.strip_prefix('_')).map_or(text, str::to_owned), datum.span()))
    };
    list.iter().filter_map(one).collect()
}

fn walk(reader: &mut Reader<'_>, facts: &mut Facts, datum: &Datum, depth: usize) {
    // Settings lie within the values of others.
    if depth > 2 * DEPTH {
        return;
    }
    match datum {
        Datum::Text(..) => {}
        Datum::List(list, _) => list.iter().for_each(|d| walk(reader, facts, d, depth + 1)),
        Datum::Object(bag) => {
            if let Some((id, span)) = id(bag)
                && let Some(name) = id.strip_prefix(STORE)
            {
                if name.starts_with("firewallrules_") && bag.get("groupSettingCollectionValue").is_some() {
                    rules(reader, facts, bag, span);
                    return;
                }
                setting(reader, facts, bag, &id, name, span);
            }
            bag.fields.iter().for_each(|(_, d)| walk(reader, facts, d, depth + 1));
        }
    }
}

/// Settings of a profile by the names of the provider (learn.microsoft.com, "Firewall CSP"), with those of the registry.
const SETTINGS: &[(&str, &str, Below)] = &[
    ("enablefirewall", "EnableFirewall", Below::Itself),
    ("defaultinboundaction", "DefaultInboundAction", Below::Itself),
    ("defaultoutboundaction", "DefaultOutboundAction", Below::Itself),
    ("shielded", "DoNotAllowExceptions", Below::Itself),
    ("allowlocalpolicymerge", "AllowLocalPolicyMerge", Below::Itself),
    ("disableinboundnotifications", "DisableNotifications", Below::Itself),
    ("enablelogdroppedpackets", "LogDroppedPackets", Below::Logging),
    ("enablelogsuccessconnections", "LogSuccessfulConnections", Below::Logging),
    ("logmaxfilesize", "LogFileSize", Below::Logging),
];

fn setting(reader: &mut Reader<'_>, facts: &mut Facts, bag: &Bag, id: &str, name: &str, span: Span) {
    let profiles = [("domainprofile_", Profile::Domain), ("privateprofile_", Profile::Private), ("publicprofile_", Profile::Public)];
    let found = profiles.iter().find_map(|(prefix, p)| name.strip_prefix(prefix).map(|n| (n, *p)));
    let Some((name, profile)) = found else {
        reader.mark(span, LineState::Irrelevant);
        return;
    };
    let Some((_, registry_name, below)) = SETTINGS.iter().find(|(n, ..)| *n == name) else {
        reader.mark(span, LineState::Irrelevant);
        return;
    };
    let Some((text, at)) = value(bag, id) else {
        reader.note(span, LineState::NotModelled, "this setting has no value that is understood");
        return;
    };
    let data = match text.to_ascii_lowercase().as_str() {
        "true" => Data::Number(1),
        "false" => Data::Number(0),
        number => number.parse().map_or(Data::Other, Data::Number),
    };
    reader.mark(at, LineState::Understood);
    let place = Place::Profile(Store::Management, ProfileKey::One(profile), *below);
    registry::take(reader, facts, &place, registry_name, &data, (span, at));
}

/// Properties of a rule by the names of the provider.
const RULE: &[(&str, Key)] = &[
    ("name", Key::DisplayName),
    ("description", Key::Description),
    ("enabled", Key::Enabled),
    ("direction", Key::Direction),
    ("action_type", Key::Action),
    ("profiles", Key::Profile),
    ("protocol", Key::Protocol),
    ("localportranges", Key::LocalPort),
    ("remoteportranges", Key::RemotePort),
    ("localaddressranges", Key::LocalAddress),
    ("remoteaddressranges", Key::RemoteAddress),
    ("icmptypesandcodes", Key::IcmpType),
    ("app_filepath", Key::Program),
    ("app_packagefamilyname", Key::Package),
    ("app_servicename", Key::Service),
    ("interfacetypes", Key::InterfaceType),
    ("edgetraversal", Key::Edge),
    ("localuserauthorizedlist", Key::LocalUser),
    ("remoteaddressdynamickeywords", Key::DynamicKeyword),
];

fn rules(reader: &mut Reader<'_>, facts: &mut Facts, bag: &Bag, span: Span) {
    let Some(Datum::List(list, _)) = bag.get("groupSettingCollectionValue") else { return };
    for item in list {
        let Datum::Object(rule) = item else { continue };
        let mut props = Props::new(item.span(), true);
        fields(reader, rule, &mut props, 0);
        if !props.says(&[Key::Enabled]) {
            // A rule is enabled unless it says otherwise ("Firewall CSP", Enabled).
            props.say(Key::Enabled, "True", span);
        }
        if !props.says(&[Key::Direction]) {
            // "Out" is the default ("Firewall CSP", Direction).
            props.say(Key::Direction, "Out", span);
        }
        facts.rules.push((Source::Policy, Some(Origin::Policy), props));
    }
    reader.mark(span, LineState::Understood);
}

fn fields(reader: &mut Reader<'_>, bag: &Bag, props: &mut Props, depth: usize) {
    if depth > DEPTH {
        return;
    }
    for (_, datum) in &bag.fields {
        let inner: Vec<&Bag> = match datum {
            Datum::Object(b) => vec![b],
            Datum::List(list, _) => list.iter().filter_map(|d| if let Datum::Object(b) = d { Some(b) } else { None }).collect(),
            Datum::Text(..) => continue,
        };
        for child in inner {
            let Some((id, span)) = id(child) else {
                fields(reader, child, props, depth + 1);
                continue;
            };
            let key = RULE.iter().find(|(n, _)| id.ends_with(&format!("_{{firewallrulename}}_{n}"))).map(|(_, k)| *k);
            let Some(key) = key else {
                if id.contains("_{firewallrulename}_") && child.get("groupSettingCollectionValue").is_none() && value(child, &id).is_some()
                {
                    reader.note(span, LineState::NotModelled, "this property of a rule is not known");
                    props.say(Key::Other, format!("the traffic fits {id}"), span);
                }
                fields(reader, child, props, depth + 1);
                continue;
            };
            for (text, at) in values(child, &id) {
                reader.mark(at, LineState::Understood);
                let word = match (key, text.as_str()) {
                    (Key::Action, "0") => "Block",
                    (Key::Action, "1") => "Allow",
                    (Key::Enabled, "0") => "False",
                    _ => text.as_str(),
                };
                props.say(key, word, at);
            }
            fields(reader, child, props, depth + 1);
        }
    }
}
