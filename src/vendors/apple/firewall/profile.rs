//! Property lists: the payload of profiles, and the preferences of the firewall itself.

use super::facts::{Facts, Program, Source, Switch, Treated};
use crate::diag::LineState;
use crate::source::Span;
use crate::syntax::xml::Document;
use crate::vendors::Reader;
use crate::vendors::apple::FIREWALL_PAYLOAD;
use crate::vendors::apple::plist::Dict;

/// Payloads that a file may have.
const MOST: usize = 1000;
/// Programs of all lists.
const PROGRAMS: usize = 100_000;

/// Switches of the payload (Apple, "Firewall").
const KEYS: &[(&str, Switch)] = &[
    ("EnableFirewall", Switch::Enabled),
    ("BlockAllIncoming", Switch::BlockAll),
    ("EnableStealthMode", Switch::Stealth),
    ("EnableLogging", Switch::Logging),
    ("AllowSigned", Switch::BuiltIn),
    ("AllowSignedApp", Switch::Downloaded),
];

/// Payloads `com.apple.security.firewall`.
pub(super) fn payloads(reader: &mut Reader<'_>, document: &Document<'_>, facts: &mut Facts) {
    let Some(root) = document.root() else { return };
    let dicts = root.descendants().filter(|e| e.name() == "dict").map(Dict::of);
    for payload in dicts.filter(|d| d.text("PayloadType").is_some_and(|(t, _)| t == FIREWALL_PAYLOAD)).take(MOST) {
        let payload = payload.settings();
        for item in &payload.items {
            let name = item.name();
            let state = match name.as_ref() {
                "Applications" | "PayloadType" => LineState::Understood,
                // How much is logged.
                "LoggingOption" => LineState::Irrelevant,
                n if n.starts_with("Payload") => LineState::Irrelevant,
                n if KEYS.iter().any(|k| k.0 == n) && payload.flag(n).is_some() => LineState::Understood,
                n => {
                    reader.note(item.span(), LineState::NotModelled, format!("{n} is not a setting that is known, or not with this value"));
                    continue;
                }
            };
            reader.mark(item.span(), state);
        }
        for (key, switch) in KEYS {
            if let Some((value, span)) = payload.flag(key) {
                facts.say(*switch, value, Source::Profile, span);
            } else if matches!(switch, Switch::BuiltIn | Switch::Downloaded) && payload.get("EnableFirewall").is_some() {
                // What is not written is true.
                facts.imply(*switch, true, Source::Profile, payload.span);
            }
        }
        for entry in payload.list("Applications").into_iter().take(PROGRAMS) {
            let entry = Dict::of(entry);
            let Some((name, span)) = entry.text("BundleID") else { continue };
            let treated = match entry.flag("Allowed") {
                Some((true, _)) => Treated::Allowed,
                Some((false, _)) => Treated::Blocked,
                None => Treated::Unknown,
            };
            facts.programs.push(Program { name, treated, source: Source::Profile, span });
        }
    }
}

/// `com.apple.alf.plist`, until macOS 14.
pub(super) fn preferences(reader: &mut Reader<'_>, document: &Document<'_>, facts: &mut Facts) {
    let Some(root) = document.root() else { return };
    let top = if root.name() == "dict" { Some(root) } else { root.children().find(|e| e.name() == "dict") };
    let Some(top) = top.map(Dict::of) else { return };
    for item in &top.items {
        let known = ["globalstate", "applications", "exceptions", "firewall", "stealthenabled", "loggingenabled", "allowsignedenabled"];
        let beside = ["explicitauths", "loggingoption", "version", "firewallunload", "previousonstate"];
        match item.name().as_ref() {
            n if known.contains(&n) || n == "allowdownloadsignedenabled" => reader.mark(item.span(), LineState::Understood),
            n if beside.contains(&n) => reader.mark(item.span(), LineState::Irrelevant),
            n => reader.note(item.span(), LineState::NotModelled, format!("{n} is not a setting that is known")),
        }
    }
    let source = Source::Preferences;
    match top.text("globalstate") {
        Some((state, span)) => match state.trim() {
            "0" => facts.say(Switch::Enabled, false, source, span),
            "1" | "2" => {
                facts.say(Switch::Enabled, true, source, span);
                facts.say(Switch::BlockAll, state.trim() == "2", source, span);
            }
            _ => reader.note(span, LineState::NotModelled, "a state that is not known"),
        },
        None => reader.note(top.span, LineState::NotModelled, "whether the firewall is on is not said"),
    }
    for (key, switch) in [
        ("stealthenabled", Switch::Stealth),
        ("loggingenabled", Switch::Logging),
        ("allowsignedenabled", Switch::BuiltIn),
        ("allowdownloadsignedenabled", Switch::Downloaded),
    ] {
        if let Some((value, span)) = top.flag(key) {
            facts.say(switch, value, source, span);
        }
    }
    programs(&top, facts);
}

/// The lists of programs of the preferences. Apple documents the numbers of `state` nowhere.
fn programs(top: &Dict<'_>, facts: &mut Facts) {
    let source = Source::Preferences;
    let mut add = |name: Option<(String, Span)>, at: Span, treated: Treated| {
        let (name, span) = name.unwrap_or_else(|| ("a program without a name".into(), at));
        facts.programs.push(Program { name, treated, source, span });
    };
    for entry in top.list("applications").into_iter().take(PROGRAMS) {
        let entry = Dict::of(entry);
        add(entry.text("bundleid").or_else(|| entry.text("path")), entry.span, Treated::Unknown);
    }
    for entry in top.list("exceptions").into_iter().take(PROGRAMS) {
        let entry = Dict::of(entry);
        add(entry.text("path"), entry.span, Treated::Allowed);
    }
    // Services of the sharing settings.
    for item in top.dict("firewall").iter().flat_map(|d| &d.items).take(PROGRAMS) {
        if item.value.name() != "dict" {
            continue;
        }
        let entry = Dict::of(item.value);
        match entry.text("state").as_ref().map(|s| s.0.trim()) {
            Some("0") => {}
            Some("1") => {
                add(entry.text("proc").or_else(|| Some((item.name().into_owned(), item.key.span()))), entry.span, Treated::Allowed)
            }
            _ => add(entry.text("proc"), entry.span, Treated::Unknown),
        }
    }
    if top.get("applications").is_some() {
        facts.listed.get_or_insert(top.span);
    }
}
