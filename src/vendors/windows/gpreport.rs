//! Reports of Group Policy (`gpreport.xml` of a backup, `Get-GPOReport -ReportType Xml`): the part of the Windows Firewall.

use super::facts::{Facts, Source};
use super::profile::Profile;
use super::registry::{self, Below, Data, Place, ProfileKey};
use super::rule::Origin;
use super::settings::Store;
use crate::diag::LineState;
use crate::source::SourceFile;
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;

/// Reads a report.
pub(super) fn read(reader: &mut Reader<'_>, facts: &mut Facts, file: &SourceFile) {
    let document = Document::read(file, reader.limits);
    for problem in document.problems() {
        if problem.kind.loses() {
            reader.incomplete(problem.span, LineState::Unsupported, problem.text.clone());
            facts.lost(problem.span);
        }
    }
    let Some(root) = document.root() else { return };
    facts.place = facts.place.or(Some(root.tag_span()));
    for extension in root.descendants().filter(|e| e.local_name() == "Extension") {
        let kind = extension.attributes().find(|a| a.name().ends_with(":type")).map(|a| a.value().into_owned()).unwrap_or_default();
        if !kind.ends_with("WindowsFirewallSettings") {
            continue;
        }
        reader.mark(extension.tag_span(), LineState::Understood);
        for part in extension.children() {
            match part.local_name() {
                "DomainProfile" => settings(reader, facts, part, ProfileKey::One(Profile::Domain)),
                "PrivateProfile" => settings(reader, facts, part, ProfileKey::One(Profile::Private)),
                "PublicProfile" => settings(reader, facts, part, ProfileKey::One(Profile::Public)),
                "StandardProfile" => settings(reader, facts, part, ProfileKey::Standard),
                "InboundFirewallRules" => rule(reader, facts, part, "In"),
                "OutboundFirewallRules" => rule(reader, facts, part, "Out"),
                // Global settings and rules of IPsec.
                _ => {}
            }
        }
    }
}

fn settings(reader: &mut Reader<'_>, facts: &mut Facts, profile: Element<'_>, key: ProfileKey) {
    reader.mark(profile.tag_span(), LineState::Understood);
    for setting in profile.children() {
        let value = setting.children().find(|c| c.local_name() == "Value").unwrap_or(setting);
        let text = value.text();
        let data = match text.to_ascii_lowercase().as_str() {
            "true" => Data::Number(1),
            "false" => Data::Number(0),
            number => number.parse().map_or_else(|_| Data::Text(text.clone().into_owned()), Data::Number),
        };
        let name = setting.local_name();
        let below = if name.starts_with("Log") { Below::Logging } else { Below::Itself };
        let place = Place::Profile(Store::Policy, key, below);
        registry::take(reader, facts, &place, name, &data, (setting.span(), value.span()));
    }
}

/// A rule: its fields as elements, named as in the registry. The direction is that of the list if the rule does not say it.
fn rule(reader: &mut Reader<'_>, facts: &mut Facts, rule: Element<'_>, direction: &str) {
    let mut text = String::from("v");
    let of = |name: &str| rule.children().find(|c| c.local_name().eq_ignore_ascii_case(name));
    text += &of("Version").map_or("2.0".into(), |v| v.text().into_owned());
    for field in rule.children().filter(|c| !c.local_name().eq_ignore_ascii_case("Version")) {
        // A separator within a value would be the end of it.
        text += &format!("|{}={}", field.local_name(), field.text().replace('|', " "));
    }
    if of("Dir").is_none() {
        text += &format!("|Dir={direction}");
    }
    match registry::rule(reader, "rule of a policy", &text, rule.span(), rule.span()) {
        Some(props) => {
            reader.mark(rule.span(), LineState::Understood);
            facts.rules.push((Source::Policy, Some(Origin::Policy), props));
        }
        None => {
            reader.note(rule.span(), LineState::Unrecognised, "this rule is not understood");
            facts.lost(rule.span());
        }
    }
}
