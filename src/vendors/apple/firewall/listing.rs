//! What `/usr/libexec/ApplicationFirewall/socketfilterfw` prints. It speaks English on every Mac, and its words changed with the versions.

use super::facts::{Facts, Program, Source, Switch, Treated};
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// What a line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line<'t> {
    /// `Firewall is enabled. (State = 1)`: 0 off, 1 on, 2 on and everything blocked but essential services.
    State(u8),
    /// A switch.
    Set(Switch, bool),
    /// Both kinds of signed software, as before macOS 10.13.
    Signed(bool),
    /// `Total number of apps = 3`.
    Total,
    /// `1 :  /usr/libexec/sshd-keygen-wrapper`.
    Program(&'t str),
    /// `( Allow incoming connections )`.
    Treated(Treated),
    /// Of no interest: how much is logged, that the settings are managed.
    Beside,
}

/// Whether a line is one that nothing else prints.
pub(super) fn tells(text: &str) -> bool {
    matches!(line(text), Some(Line::State(_) | Line::Total | Line::Signed(_) | Line::Set(..)))
}

/// `on`, `off`, `enabled`, `DISABLED!` at the end of a line.
fn on_or_off(text: &str) -> Option<bool> {
    let end = text.trim_end_matches(['.', '!', ' ', '\t']);
    let last = end.rsplit([' ', '\t']).next()?;
    match last {
        "on" | "enabled" => Some(true),
        "off" | "disabled" => Some(false),
        _ => None,
    }
}

fn line(text: &str) -> Option<Line<'_>> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let set = |switch: Switch| on_or_off(&lower).map(|v| Line::Set(switch, v));
    if let Some(state) = lower.strip_prefix("firewall is ").and_then(|r| r.split_once("(state = ")) {
        return match state.1.trim_end_matches([')', '.', ' ']) {
            "0" => Some(Line::State(0)),
            "1" => Some(Line::State(1)),
            "2" => Some(Line::State(2)),
            _ => None,
        };
    }
    if lower.starts_with("firewall is set to block all") || lower.starts_with("firewall is blocking all") {
        return Some(Line::Set(Switch::BlockAll, true));
    }
    if lower.starts_with("firewall has block all state") || lower.starts_with("block all ") {
        return set(Switch::BlockAll);
    }
    if lower.starts_with("automatically allow ") && lower.contains("signed") {
        return match () {
            () if lower.contains("built-in") => set(Switch::BuiltIn),
            () if lower.contains("downloaded") => set(Switch::Downloaded),
            () => on_or_off(&lower).map(Line::Signed),
        };
    }
    if lower.starts_with("stealth mode ") || lower.starts_with("firewall stealth mode ") {
        return set(Switch::Stealth);
    }
    if ["log mode is", "logging mode", "firewall logging", "logging is"].iter().any(|w| lower.starts_with(w)) {
        return set(Switch::Logging);
    }
    if lower.contains("total number of apps = ") {
        return Some(Line::Total);
    }
    if text.starts_with('(') && lower.contains("incoming connections") {
        let inner = lower.trim_start_matches('(').trim_start();
        return Some(Line::Treated(match () {
            () if inner.starts_with("allow") => Treated::Allowed,
            () if inner.starts_with("block") => Treated::Blocked,
            () => Treated::Unknown,
        }));
    }
    if let Some((number, name)) = text.split_once(':')
        && !number.trim().is_empty()
        && number.trim().bytes().all(|b| b.is_ascii_digit())
        && !name.trim().is_empty()
    {
        return Some(Line::Program(name.trim()));
    }
    let beside = lower.starts_with("log option") || lower.starts_with("firewall settings cannot be modified") || lower.starts_with('#');
    beside.then_some(Line::Beside)
}

pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile, facts: &mut Facts) {
    let source = Source::Listing;
    let mut open: Option<(String, Span)> = None;
    for index in 0..file.line_count() {
        let span = file.line_span(index);
        let text = file.slice(span);
        if text.trim().is_empty() {
            continue;
        }
        let Some(line) = line(text) else {
            reader.note(span, LineState::Unrecognised, "this line is not one of socketfilterfw");
            facts.lost.get_or_insert(span);
            continue;
        };
        let state = if line == Line::Beside { LineState::Irrelevant } else { LineState::Understood };
        reader.mark(span, state);
        match line {
            Line::State(n) => {
                facts.say(Switch::Enabled, n > 0, source, span);
                if n > 0 {
                    facts.imply(Switch::BlockAll, n == 2, source, span);
                }
            }
            Line::Set(switch, value) => facts.say(switch, value, source, span),
            Line::Signed(value) => {
                facts.say(Switch::BuiltIn, value, source, span);
                facts.say(Switch::Downloaded, value, source, span);
            }
            Line::Total => facts.listed = Some(span),
            Line::Program(name) => unsaid(reader, facts, open.replace((name.to_owned(), span))),
            Line::Treated(treated) => match open.take() {
                Some((name, at)) => facts.programs.push(Program { name, treated, source, span: at }),
                None => reader.note(span, LineState::Unrecognised, "no program stands before this"),
            },
            Line::Beside => {}
        }
    }
    unsaid(reader, facts, open);
}

/// A program of which the list does not say what is done with it.
fn unsaid(reader: &mut Reader<'_>, facts: &mut Facts, program: Option<(String, Span)>) {
    let Some((name, span)) = program else { return };
    reader.note(span, LineState::NotModelled, "whether this program receives connections is not said");
    facts.programs.push(Program { name, treated: Treated::Unknown, source: Source::Listing, span });
}
