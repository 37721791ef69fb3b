//! What netsh prints: `netsh advfirewall firewall show rule name=all verbose` and `netsh advfirewall show allprofiles`.

use super::facts::{Facts, Source};
use super::profile::Profile;
use super::props::{Key, Props};
use super::settings::{self, Setting, Store, Value};
use super::words::{self, ProfileLabel};
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// What a listing of netsh is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Listing {
    Rules,
    Profiles,
}

/// Hyphens that netsh draws below a heading, at least.
const RULER: usize = 40;

fn is_ruler(line: &str) -> bool {
    let line = line.trim();
    line.len() >= RULER && line.bytes().all(|b| b == b'-')
}

/// Which listing a text is, by its beginning.
pub(super) fn listing(text: &str) -> Option<Listing> {
    let mut before = "";
    for line in text.lines().take(400) {
        if is_ruler(line) {
            if words::heading(before).is_some() {
                return Some(Listing::Profiles);
            }
            if split(before).is_some_and(|(l, _)| words::label(l) == Some(Key::DisplayName)) {
                return Some(Listing::Rules);
            }
        }
        if !line.trim().is_empty() {
            before = line;
        }
    }
    None
}

/// Label and value of a line: `Enabled:     Yes`.
fn split(line: &str) -> Option<(&str, &str)> {
    if line.starts_with([' ', '\t']) && !line.trim_start().contains(": ") {
        return None;
    }
    // French writes a blank before the colon; a value may hold colons of its own, a label never.
    let at = line.find(':')?;
    let (label, value) = line.split_at(at);
    Some((label.trim(), value.get(1..)?.trim()))
}

/// Reads a listing.
pub(super) fn read(reader: &mut Reader<'_>, facts: &mut Facts, file: &SourceFile) {
    match listing(&file.text) {
        Some(Listing::Rules) => rules(reader, facts, file),
        Some(Listing::Profiles) => profiles(reader, facts, file),
        None => {}
    }
}

/// A rule that is being read.
struct Open {
    props: Props,
    last: Option<Key>,
    /// A column of ICMP types follows.
    icmp: bool,
}

fn rules(reader: &mut Reader<'_>, facts: &mut Facts, file: &SourceFile) {
    let lines = file.line_count();
    let mut done: Vec<Props> = Vec::new();
    let mut open: Option<Open> = None;
    for index in 0..lines {
        let line = file.line(index);
        let span = file.line_span(index);
        if line.trim().is_empty() || is_ruler(line) {
            continue;
        }
        let heads = is_ruler(file.line(index + 1));
        let parts = split(line).and_then(|(l, v)| words::label(l).map(|k| (k, v)));
        if let (true, Some((Key::DisplayName, value))) = (heads, &parts) {
            done.extend(open.take().map(|o| o.props));
            let mut props = Props::new(span, false);
            props.say(Key::DisplayName, *value, span);
            open = Some(Open { props, last: None, icmp: false });
            reader.mark(span, LineState::Understood);
            continue;
        }
        let Some(rule) = &mut open else {
            // Before the first rule: the command as it was typed, or an error.
            reader.mark(span, LineState::Irrelevant);
            continue;
        };
        match parts {
            Some((key, value)) => {
                rule.props.span = rule.props.span.to(span);
                rule.props.set(key, words::value(key, value), span);
                rule.last = Some(key);
                rule.icmp = key == Key::Protocol;
                reader.mark(span, LineState::Understood);
            }
            None => other(reader, facts, rule, line, span),
        }
    }
    done.extend(open.map(|o| o.props));
    let verbose = done.iter().any(|p| p.says(&[Key::InterfaceType, Key::Authentication, Key::StoreType, Key::Description]));
    let from_policy = |p: &Props| p.one(Key::StoreType).is_some_and(|s| s == "GroupPolicy" || s == "Dynamic");
    // netsh lists the device's own store, unless it is asked for what is in force (`netsh advfirewall monitor show firewall`).
    let active = done.iter().any(from_policy) && done.iter().any(|p| p.one(Key::StoreType) == Some("Local"));
    if !verbose && let Some(first) = done.first() {
        let text = "programs, services and interfaces of these rules are not shown: add \"verbose\" to the command";
        reader.note(first.span, LineState::NotModelled, text);
    }
    for mut props in done {
        props.complete = verbose;
        if !verbose {
            // These are always shown.
            for key in [Key::LocalPort, Key::RemotePort, Key::LocalAddress, Key::RemoteAddress] {
                if !props.says(&[key]) {
                    props.say(key, "Any", props.span);
                }
            }
        }
        let all = props.one(Key::Protocol).is_none_or(super::rule::is_any) && !props.says(&[Key::Program, Key::Service]);
        if verbose && all {
            // Rules of packaged apps look so: netsh shows neither the package nor the user for which they are.
            let span = props.span;
            props.say(Key::Other, "the traffic is of an app package or a user that netsh does not show", span);
        }
        facts.rules.push((Source::Netsh, None, props));
    }
    facts.active |= active;
}

/// A line of a rule that begins with no known label.
fn other(reader: &mut Reader<'_>, facts: &mut Facts, rule: &mut Open, line: &str, span: Span) {
    let cells: Vec<&str> = line.split_whitespace().collect();
    if rule.icmp && line.starts_with(' ') {
        match cells.as_slice() {
            // "Type Code", in whatever language.
            [a, b]
                if !a.bytes().any(|c| c.is_ascii_digit())
                    && !b.bytes().any(|c| c.is_ascii_digit())
                    && rule.props.get(Key::IcmpType).is_none() =>
            {
                let any = |w: &str| words::value(Key::IcmpType, w).first().is_some_and(|v| v == "Any");
                if any(a) && any(b) {
                    rule.props.say(Key::IcmpType, "Any", span);
                } else {
                    // An empty list is no list: types follow.
                    rule.props.start(Key::IcmpType, span);
                }
                reader.mark(span, LineState::Understood);
                return;
            }
            [kind, code] => {
                let english = |w: &str| words::value(Key::IcmpType, w).into_iter().next().unwrap_or_default();
                rule.props.say(Key::IcmpType, format!("{}:{}", english(kind), english(code)), span);
                reader.mark(span, LineState::Understood);
                return;
            }
            _ => {}
        }
    }
    if rule.last == Some(Key::Description) || rule.last.is_none() {
        // A description of several lines.
        reader.mark(span, LineState::Irrelevant);
        return;
    }
    if matches!(cells.as_slice(), [word] if word.trim_end_matches('.').eq_ignore_ascii_case("ok")) {
        reader.mark(span, LineState::Irrelevant);
        return;
    }
    if let Some((label, value)) = split(line) {
        let text: String = label.chars().take(60).collect();
        let values = words::value(Key::Authentication, value);
        let nothing = values.is_empty() || values.iter().all(|v| matches!(v.as_str(), "Any" | "No" | "NotRequired"));
        reader.note(span, LineState::NotModelled, format!("the label \"{text}\" is not known"));
        if !nothing {
            rule.props.say(Key::Other, format!("the traffic fits \"{}\"", line.trim().to_lowercase()), span);
        }
        return;
    }
    if line.starts_with(' ')
        && let Some(last) = rule.last
    {
        // A long list goes on.
        for value in words::value(last, line) {
            rule.props.say(last, value, span);
        }
        reader.mark(span, LineState::Understood);
        return;
    }
    if rule.last == Some(Key::Action) {
        // After the last line of a rule: what the shell says when the command is done.
        reader.mark(span, LineState::Irrelevant);
        return;
    }
    reader.note(span, LineState::Unrecognised, "this line is not understood");
    facts.lost(span);
}

fn profiles(reader: &mut Reader<'_>, facts: &mut Facts, file: &SourceFile) {
    let mut profile: Option<Profile> = None;
    let mut found: Vec<(Profile, Setting, Value, Span)> = Vec::new();
    for index in 0..file.line_count() {
        let line = file.line(index);
        let span = file.line_span(index);
        if line.trim().is_empty() || is_ruler(line) {
            continue;
        }
        if is_ruler(file.line(index + 1)) {
            profile = words::heading(line);
            if profile.is_some() {
                reader.mark(span, LineState::Understood);
            } else {
                reader.note(span, LineState::Unrecognised, "which profile this is is not understood");
            }
            continue;
        }
        // Label and value are columns.
        let Some((label, value)) = line.trim().split_once("  ").map(|(l, v)| (l.trim(), v.trim())) else {
            reader.mark(span, LineState::Irrelevant);
            continue;
        };
        let Some(profile) = profile else {
            reader.mark(span, LineState::Irrelevant);
            continue;
        };
        match words::profile_label(label) {
            Some(ProfileLabel::Irrelevant) => reader.mark(span, LineState::Irrelevant),
            Some(ProfileLabel::Policy) => {
                reader.mark(span, LineState::Understood);
                for (setting, value) in policy(value) {
                    found.push((profile, setting, value, span));
                }
            }
            Some(ProfileLabel::Setting(setting)) => {
                let read = match setting {
                    Setting::LogSize => settings::value(setting, &[value.to_owned()]),
                    // "N/A (GPO-store only)": the device's own store cannot say it.
                    Setting::LocalRules if value.starts_with("N/A") => Value::NotConfigured,
                    _ => match words::switch(value) {
                        Some(true) => Value::Yes,
                        Some(false) => Value::No,
                        None => settings::value(setting, &[value.to_owned()]),
                    },
                };
                if let Value::Unknown(text) = &read {
                    reader.note(
                        span,
                        LineState::NotModelled,
                        format!("\"{}\" is not understood", text.chars().take(60).collect::<String>()),
                    );
                } else {
                    reader.mark(span, LineState::Understood);
                }
                found.push((profile, setting, read, span));
            }
            None => {
                let text: String = label.chars().take(60).collect();
                reader.note(span, LineState::NotModelled, format!("the label \"{text}\" is not known"));
            }
        }
    }
    let settled = found.iter().any(|(_, s, v, _)| *s == Setting::LocalRules && matches!(v, Value::Yes | Value::No));
    let store = if settled { Store::Active } else { Store::Local };
    let has = |p: Profile, s: Setting| found.iter().any(|(q, t, ..)| *q == p && *t == s);
    if store == Store::Local && Profile::ALL.iter().all(|p| has(*p, Setting::Enabled) && has(*p, Setting::Inbound)) {
        facts.settings.whole.push(Store::Local);
    }
    for (profile, setting, value, span) in found {
        facts.settings.say(store, profile, setting, value, span);
    }
}

/// `BlockInbound,AllowOutbound`, which is the same in every language. `BlockInboundAlways` is shields up.
fn policy(text: &str) -> Vec<(Setting, Value)> {
    let mut out = Vec::new();
    for word in text.split(',').map(|w| w.trim().to_ascii_lowercase()) {
        match word.as_str() {
            "blockinbound" => out.extend([(Setting::Inbound, Value::Block), (Setting::InboundRules, Value::Yes)]),
            "blockinboundalways" => out.extend([(Setting::Inbound, Value::Block), (Setting::InboundRules, Value::No)]),
            "allowinbound" => out.extend([(Setting::Inbound, Value::Allow), (Setting::InboundRules, Value::Yes)]),
            "allowoutbound" => out.push((Setting::Outbound, Value::Allow)),
            "blockoutbound" => out.push((Setting::Outbound, Value::Block)),
            "notconfigured" => {}
            _ => out.extend([(Setting::Inbound, Value::Unknown(text.to_owned())), (Setting::Outbound, Value::Unknown(text.to_owned()))]),
        }
    }
    out
}
