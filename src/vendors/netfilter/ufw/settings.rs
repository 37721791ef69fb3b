//! `/etc/default/ufw` and `/etc/ufw/ufw.conf`: assignments that ufw's start script sources as a shell.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::LineState;
use crate::model::HostSetting;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// What is set, the last one of a name.
#[derive(Default)]
pub(super) struct Settings {
    values: BTreeMap<String, (String, Span)>,
    /// Names whose value only a shell knows.
    computed: BTreeSet<String>,
    /// How many files were read.
    pub files: usize,
}

/// Names of which nothing in the ruleset depends: modules, the path of a sysctl file, the level of logging (what it does stands in
/// user.rules), the policy for profiles (asked when a profile is installed).
const WITHOUT_EFFECT: [&str; 5] = ["LOGLEVEL", "IPT_SYSCTL", "IPT_MODULES", "DEFAULT_APPLICATION_POLICY", "IPT_BACKEND"];

impl Settings {
    pub fn get(&self, name: &str) -> Option<(&str, Span)> {
        self.values.get(name).map(|(v, s)| (v.as_str(), *s))
    }

    /// `yes` as ufw's start script asks for it.
    pub fn is_yes(&self, name: &str) -> bool {
        matches!(self.get(name), Some(("yes" | "YES", _)))
    }

    /// Whether the value stands there, and is computed by a shell.
    pub fn is_computed(&self, name: &str) -> bool {
        self.computed.contains(name)
    }

    /// What something else than a file of settings says. Not a setting of the host.
    pub fn set(&mut self, name: &str, value: &str, span: Span) {
        self.values.insert(name.to_owned(), (value.to_owned(), span));
    }

    /// That nobody says what the value is.
    pub fn set_unknown(&mut self, name: &str) {
        self.computed.insert(name.to_owned());
    }

    pub fn read(&mut self, reader: &mut Reader<'_>, file: &SourceFile) {
        self.files += 1;
        for line in 0..file.line_count() {
            let span = file.line_span(line);
            let text = file.slice(span).trim();
            if text.is_empty() || text.starts_with('#') {
                if !text.is_empty() {
                    reader.mark(span, LineState::Irrelevant);
                }
                continue;
            }
            let Some((name, value)) = text.strip_prefix("export ").unwrap_or(text).split_once('=') else {
                reader.note(span, LineState::Unrecognised, "this is no assignment");
                continue;
            };
            let Some(value) = value_of(value) else {
                self.values.remove(name);
                self.computed.insert(name.to_owned());
                reader.note(span, LineState::NotModelled, "this value is computed by a shell, and not known here");
                continue;
            };
            match name {
                "ENABLED" | "IPV6" | "DEFAULT_INPUT_POLICY" | "DEFAULT_OUTPUT_POLICY" | "DEFAULT_FORWARD_POLICY" => {
                    reader.mark(span, LineState::Understood);
                }
                "MANAGE_BUILTINS" if value != "yes" => reader.mark(span, LineState::Irrelevant),
                "MANAGE_BUILTINS" => reader.note(
                    span,
                    LineState::NotModelled,
                    "ufw then also empties the built-in chains when it starts and stops: rules of others in them do not stay",
                ),
                _ if WITHOUT_EFFECT.contains(&name) => reader.mark(span, LineState::Irrelevant),
                _ => reader.note(span, LineState::NotModelled, "this setting of ufw is not known"),
            }
            reader.device.settings.push(HostSetting { name: format!("ufw.{name}"), value: value.to_owned(), span });
            self.computed.remove(name);
            self.values.insert(name.to_owned(), (value.to_owned(), span));
        }
    }
}

/// The value of an assignment if no shell is needed to know it.
fn value_of(text: &str) -> Option<&str> {
    let text = text.trim();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (value, rest) = match quote {
        Some(q) => text.get(1..)?.split_once(q)?,
        None => text.split_once(char::is_whitespace).unwrap_or((text, "")),
    };
    let rest = rest.trim();
    let plain = !value.contains(['$', '`', '\\', ';', '&', '|', '"', '\'']) || quote == Some('\'');
    (plain && (rest.is_empty() || rest.starts_with('#'))).then_some(value)
}
