//! How ufw makes one ruleset of its files.
//!
//! Source: `ufw_start` of `src/ufw-init-functions` of ufw 0.36.2. Each family is built in this order: the primary chains, and the built-in
//! chains call them; what a policy REJECT or ACCEPT adds; the chains that user rules and shipped rules jump to; before.rules;
//! after.rules; user.rules, and only then the calls of the user chains at the end of the before chains; at last the policies.

use super::super::iptables::{Built, Step, restore};
use super::Stage;
use super::settings::Settings;
use crate::diag::LineState;
use crate::model::{Action, Match, PolicyAction, Rule};
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// The rules of a device, from files or from what ufw prints of itself.
#[derive(Default)]
pub(super) struct Parts<'a> {
    files: Vec<(Stage, bool, &'a SourceFile)>,
    built: Vec<(Stage, bool, Vec<Step<'a>>)>,
}

impl<'a> Parts<'a> {
    pub fn put(&mut self, stage: Stage, six: bool, file: &'a SourceFile) {
        self.files.push((stage, six, file));
    }

    pub fn put_built(&mut self, stage: Stage, six: bool, steps: Vec<Step<'a>>) {
        self.built.push((stage, six, steps));
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.built.is_empty()
    }

    fn has(&self, six: bool) -> bool {
        self.files.iter().any(|f| f.1 == six) || self.built.iter().any(|b| b.1 == six)
    }

    fn get(&self, stage: Stage, six: bool) -> Option<Vec<Step<'a>>> {
        let file = self.files.iter().find(|f| f.0 == stage && f.1 == six).map(|f| vec![Step::File(f.2)]);
        file.or_else(|| self.built.iter().find(|b| b.0 == stage && b.1 == six).map(|b| b.2.clone()))
    }
}

/// The directions in the names of ufw's chains, with the built-in chain and the setting of the policy.
const DIRECTIONS: [(&str, &str, &str); 3] = [
    ("input", "INPUT", "DEFAULT_INPUT_POLICY"),
    ("output", "OUTPUT", "DEFAULT_OUTPUT_POLICY"),
    ("forward", "FORWARD", "DEFAULT_FORWARD_POLICY"),
];

/// The chains that the built-in ones call, in this order.
const PRIMARY: [&str; 6] = ["before-logging", "before", "after", "after-logging", "reject", "track"];

/// What is not among the files, and therefore not known.
const SWITCH: &str = "ufw is enabled (nothing here says so)";

/// [`Rule::implied`] of what ufw adds to its files.
const START: Option<&str> = Some("rule of the firewall's start script");

/// Builds the ruleset. `defaults` and `conf`: whether these files are there; `anchor` stands for what nothing is written of.
pub(super) fn load<'a>(reader: &mut Reader<'a>, parts: &Parts<'a>, settings: &Settings, defaults: bool, conf: bool, anchor: Span) {
    let enabled = settings.get("ENABLED");
    if (conf || enabled.is_some()) && !settings.is_yes("ENABLED") && !settings.is_computed("ENABLED") {
        return disabled(reader, parts, enabled.map_or(anchor, |(_, s)| s));
    }
    if enabled.is_none() && parts.built.is_empty() {
        reader.note(anchor, LineState::NotModelled, "no ufw.conf among the files says whether ufw is enabled: what it blocks is unknown");
    }
    if !defaults {
        reader.note(anchor, LineState::NotModelled, "/etc/default/ufw is not among the files: the default policies of ufw are not known");
    }
    let six = match settings.get("IPV6") {
        Some(_) => Some(settings.is_yes("IPV6")),
        // An unset variable is not `yes`.
        None if defaults && !settings.is_computed("IPV6") => Some(false),
        None => None,
    };
    for family in Family::BOTH {
        if reader.dumped.contains(&family) {
            superseded(reader, parts, family, anchor);
            continue;
        }
        let first = reader.device.base_chains.len();
        match (family, six) {
            (Family::V6, Some(false)) => {
                let span = settings.get("IPV6").map_or(anchor, |(_, s)| s);
                unwanted(reader, parts, span);
            }
            // Filtered by default policies that nobody shows, or, with IPV6=no, dropped.
            (Family::V6, None) if !parts.has(true) => {
                let chain = |(_, chain, _): &(&str, &str, &str)| Step::Chain((*chain).to_owned(), Some(PolicyAction::Unknown), anchor);
                restore(reader, family, &DIRECTIONS.iter().map(chain).collect::<Vec<_>>());
                continue;
            }
            _ => build(reader, parts, settings, family, anchor),
        }
        if enabled.is_none() || (family == Family::V6 && six.is_none()) {
            doubt(reader, first, anchor);
        }
    }
}

/// A disabled ufw loads nothing: everything passes it.
fn disabled<'a>(reader: &mut Reader<'a>, parts: &Parts<'a>, span: Span) {
    for (.., file) in &parts.files {
        reader.mark(file.whole(), LineState::Irrelevant);
    }
    reader.mark(span, LineState::Understood);
    for family in Family::BOTH {
        if reader.dumped.contains(&family) {
            continue;
        }
        let steps: Vec<Step<'a>> =
            DIRECTIONS.iter().map(|(_, chain, _)| Step::Chain((*chain).to_owned(), Some(PolicyAction::Accept), span)).collect();
        restore(reader, family, &steps);
    }
}

/// What the kernel has is in another file of the device.
fn superseded(reader: &mut Reader<'_>, parts: &Parts<'_>, family: Family, anchor: Span) {
    if !parts.built.is_empty() {
        let text = format!("another file of this device shows more of the rules of {}: that one is read, and not this", family.name());
        reader.note(anchor, LineState::NotModelled, text);
    }
    for (_, six, file) in &parts.files {
        if *six == (family == Family::V6) {
            reader.mark(file.whole(), LineState::Irrelevant);
            let text = "another file of this device shows the rules of this family as the kernel has them: that one is read, and not this";
            // It is no gap: what the kernel has decides, whatever is written here.
            reader.note(file.line_span(0), LineState::Irrelevant, text);
        }
    }
}

/// `IPV6=no`: everything but the loopback interface is dropped.
fn unwanted<'a>(reader: &mut Reader<'a>, parts: &Parts<'a>, span: Span) {
    for (_, _, file) in parts.files.iter().filter(|f| f.1) {
        reader.mark(file.whole(), LineState::Irrelevant);
    }
    let mut steps: Vec<Step<'a>> =
        DIRECTIONS.iter().map(|(_, chain, _)| Step::Chain((*chain).to_owned(), Some(PolicyAction::Drop), span)).collect();
    steps.push(Step::Rule(Built::new("-A INPUT -i lo -j ACCEPT", START), span));
    steps.push(Step::Rule(Built::new("-A OUTPUT -o lo -j ACCEPT", START), span));
    restore(reader, Family::V6, &steps);
}

fn build<'a>(reader: &mut Reader<'a>, parts: &Parts<'a>, settings: &Settings, family: Family, anchor: Span) {
    let six = family == Family::V6;
    let ufw = if six { "ufw6" } else { "ufw" };
    let on = settings.get("ENABLED").map_or(anchor, |(_, s)| s);
    let policy = |name: &str| settings.get(name).unwrap_or(("", anchor));
    let chain = |name: &str, span| Step::Chain(format!("{ufw}-{name}"), None, span);
    let rule = |text: String, span| Step::Rule(Built::new(text, START), span);
    let mut steps: Vec<Step<'a>> = Vec::new();
    for (_, builtin, setting) in DIRECTIONS {
        let (value, span) = policy(setting);
        let action = match value {
            "ACCEPT" => PolicyAction::Accept,
            "DROP" | "REJECT" => PolicyAction::Drop,
            _ => PolicyAction::Unknown,
        };
        steps.push(Step::Chain(builtin.to_owned(), Some(action), span));
    }
    for (direction, builtin, _) in DIRECTIONS {
        for name in PRIMARY {
            steps.push(chain(&format!("{name}-{direction}"), on));
            steps.push(rule(format!("-A {builtin} -j {ufw}-{name}-{direction}"), on));
        }
    }
    for (direction, _, setting) in DIRECTIONS {
        let (value, span) = policy(setting);
        match value {
            "REJECT" => steps.push(rule(format!("-A {ufw}-reject-{direction} -j REJECT"), span)),
            "ACCEPT" => {
                for proto in ["tcp", "udp"] {
                    let text = format!("-A {ufw}-track-{direction} -p {proto} -m conntrack --ctstate NEW -j ACCEPT");
                    steps.push(rule(text, span));
                }
            }
            _ => {}
        }
    }
    steps.extend(["logging-deny", "logging-allow"].map(|n| chain(n, on)));
    let mut unknown: Vec<(String, &'static str, Span)> = Vec::new();
    for (direction, _, setting) in DIRECTIONS {
        let (value, span) = policy(setting);
        let name = format!("skip-to-policy-{direction}");
        steps.push(chain(&name, span));
        match value {
            "ACCEPT" | "DROP" | "REJECT" => steps.push(rule(format!("-A {ufw}-{name} -j {value}"), span)),
            _ => unknown.push((name, "the default policy of ufw, which is not known", span)),
        }
    }
    let mut missing = |stage: Stage, steps: &mut Vec<Step<'a>>, name: &'static str, why: &'static str| match parts.get(stage, six) {
        Some(part) => steps.extend(part),
        None => unknown.extend(DIRECTIONS.iter().map(|(direction, ..)| (format!("{name}-{direction}"), why, on))),
    };
    missing(Stage::Before, &mut steps, "before", "the rules of before.rules, which is not among the files");
    missing(Stage::After, &mut steps, "after", "the rules of after.rules, which is not among the files");
    for (direction, ..) in DIRECTIONS {
        steps.push(chain(&format!("user-{direction}"), on));
        steps.push(chain(&format!("user-logging-{direction}"), on));
    }
    steps.extend(["user-limit", "user-limit-accept"].map(|n| chain(n, on)));
    missing(Stage::User, &mut steps, "user", "the rules of user.rules, which is not among the files");
    for (direction, ..) in DIRECTIONS {
        steps.push(rule(format!("-A {ufw}-before-{direction} -j {ufw}-user-{direction}"), on));
    }
    let first = reader.device.chains.len();
    restore(reader, family, &steps);
    // What is not among the files may do anything.
    let prefix = if six { "ip6 filter" } else { "filter" };
    let mut said: Vec<&str> = Vec::new();
    for (name, why, span) in unknown {
        let full = format!("{prefix}/{ufw}-{name}");
        if let Some(chain) = reader.device.chains.iter_mut().skip(first).find(|c| c.name == full) {
            chain.rules.insert(0, Rule::implied("rules that are not among the files", Match::Any, Action::Opaque(why.into()), span));
        }
        if !said.contains(&why) && !why.starts_with("the default policy") {
            said.push(why);
            let of = if six { " (of IPv6)" } else { "" };
            reader.note(span, LineState::NotModelled, format!("missing here: {why}{of}; what it does is unknown"));
        }
    }
}

/// Before everything else in the base chains from `first` on: if ufw is not enabled, they are not there.
fn doubt(reader: &mut Reader<'_>, first: usize, span: Span) {
    let id = reader.device.conditions.intern(SWITCH, span);
    let chains: Vec<usize> = reader.device.base_chains.iter().skip(first).map(|b| b.chain.0 as usize).collect();
    for i in chains {
        if let Some(chain) = reader.device.chains.get_mut(i) {
            chain.rules.insert(0, Rule::implied("doubt whether ufw is enabled", Match::Opaque(id).negate_if(true), Action::Accept, span));
        }
    }
}
