//! What people wrote about rules: whether they did, and whether its time has passed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use super::dates::days_between;
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, body, select};
use crate::diag::{Finding, Label};
use crate::model::{Action, ChainId, Device, Hook, Match, NatKind, Rule};

/// The kind.
pub static RULE_TEXT: Kind = Kind { id: "rule-text", page: include_str!("rule-text.md"), parse, schema: body::schema_of::<Aspect> };

/// What is asked of the texts.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Aspect {
    /// Every rule that lets something in or through says why.
    Undocumented,
    /// Every rule that publishes something inside (a port forwarding) says why.
    Forwards,
    /// No rule is in force after the day on which its comment says that it ends.
    Expired,
}

fn parse(value: &Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    Ok(Box::new(RuleText(body::read(value)?)))
}

struct RuleText(Aspect);

impl Check for RuleText {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Device
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut out = Outcome::default();
        for device in select::devices(world, spec).into_iter().filter(|d| d.has_filter()) {
            out.considered.push(device.name.clone());
            match self.0 {
                Aspect::Undocumented => undocumented(device, &mut out),
                Aspect::Forwards => forwards(device, &mut out),
                Aspect::Expired => expired(world, device, &mut out),
            }
        }
        out
    }
}

/// Places of a chain that a finding names.
const PLACES: usize = 5;

fn undocumented(device: &Device, out: &mut Outcome) {
    let reached = reached_from(device, &[Hook::Input, Hook::Forward]);
    for (chain, _) in device.chains.iter().zip(reached).filter(|(_, reached)| *reached) {
        let silent: Vec<&Rule> = chain.rules.iter().filter(|r| wants_a_reason(r)).collect();
        let Some(first) = silent.first() else { continue };
        let message = match silent.len() {
            1 => format!("one rule of {} lets traffic in and does not say why", chain.name),
            n => format!("{n} rules of {} let traffic in and do not say why", chain.name),
        };
        let mut finding = Finding::new(message, Label::new(first.whole, ""));
        finding.related = silent.iter().skip(1).take(PLACES - 1).map(|r| Label::new(r.whole, "")).collect();
        finding.count = silent.len() as u32;
        out.findings.push(finding.on(&device.name).about(chain.name.as_str()));
    }
}

/// One finding for each rule: there are few, and each publishes something.
fn forwards(device: &Device, out: &mut Outcome) {
    // A rule written once may have become several, one for each of its alternatives.
    let mut seen = BTreeMap::new();
    for chain in &device.chains {
        for rule in chain.rules.iter().filter(|r| r.enabled && r.implied.is_none()) {
            let Action::Nat(to) = &rule.action else { continue };
            let silent = rule.comment.as_deref().is_none_or(|c| c.trim().is_empty());
            if !matches!(to.kind, NatKind::Destination) || !silent || seen.insert(rule.whole, ()).is_some() {
                continue;
            }
            let finding =
                Finding::new(format!("a port forwarding of {} does not say why it is there", chain.name), Label::new(rule.whole, ""));
            let name = rule.name.as_deref().unwrap_or_default();
            let finding = finding.on(&device.name).about(format!("forward {} {name} {:?}", chain.name, to.addresses));
            // A rule that is called by its number keeps nothing when others come.
            let name = if name.bytes().all(|b| b.is_ascii_digit()) { "" } else { name };
            out.findings.push(finding.told_by(format!("forward {} {name} {:?} {:?}", chain.name, to.addresses, to.ports)));
        }
    }
}

/// Which chains packets of these hooks can reach, through whatever jumps. Chains that only translate addresses are left out.
fn reached_from(device: &Device, hooks: &[Hook]) -> Vec<bool> {
    let mut reached = vec![false; device.chains.len()];
    let mut open: Vec<ChainId> = device.base_chains.iter().filter(|b| hooks.iter().any(|h| b.guards(*h))).map(|b| b.chain).collect();
    while let Some(id) = open.pop() {
        let Some(slot) = reached.get_mut(id.0 as usize).filter(|r| !**r) else { continue };
        *slot = true;
        open.extend(device.chain(id).rules.iter().filter_map(|r| match r.action {
            Action::Jump(to) | Action::Goto(to) => Some(to),
            _ => None,
        }));
    }
    reached
}

/// An enabled rule that accepts something of its own and has no comment. Rules that every firewall has (the loopback interface, replies of
/// established connections) need no reason.
fn wants_a_reason(rule: &Rule) -> bool {
    rule.enabled
        && rule.implied.is_none()
        && matches!(rule.action, Action::Accept)
        && rule.comment.as_deref().is_none_or(|c| c.trim().is_empty())
        && !is_routine(&rule.matcher)
}

fn is_routine(matcher: &Match) -> bool {
    use crate::model::{Direction, is_loopback};
    use crate::packets::{Field, fields::ct};
    match matcher {
        Match::Never => true,
        Match::Interface(Direction::In | Direction::Out, p) => is_loopback(&p.name) && !p.wildcard,
        Match::Field(Field::Ct, states) => !states.contains(ct::NEW),
        Match::All(parts) => parts.iter().any(is_routine),
        Match::AnyOf(parts) => !parts.is_empty() && parts.iter().all(is_routine),
        _ => false,
    }
}

fn expired(world: &World<'_>, device: &Device, out: &mut Outcome) {
    // A rule written once may have become several, one for each of its alternatives.
    let mut seen = BTreeMap::new();
    for chain in &device.chains {
        for rule in chain.rules.iter().filter(|r| r.enabled) {
            let Some(comment) = &rule.comment else { continue };
            let Some(until) = expiry(comment) else { continue };
            if until >= world.as_of || seen.insert(rule.whole, ()).is_some() {
                continue;
            }
            let days = days_between(until, world.as_of);
            let plural = if days == 1 { "day" } else { "days" };
            let message = format!("a rule of {} was to end on {until}, {days} {plural} ago, and is still in force", chain.name);
            let mut finding = Finding::new(message, Label::new(rule.whole, ""));
            finding.fix = Some("Delete the rule; or, if it is still needed, write down until when.".into());
            out.findings.push(finding.on(&device.name).about(format!("{} {comment}", chain.name)));
        }
    }
}

/// The day until which a comment says that its rule is needed: the latest of those that stand right after a word for an end. `None`: it does
/// not say, or in a way that can be read as two different days (`03/04/2026`).
pub fn expiry(comment: &str) -> Option<Date> {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let words = "expir(?:es|ed|y|ation|ing|e)|until|till|valid[ -]?(?:to|thru|through)|ends?|end[ -]?date|sunset|remove(?:[ -]?(?:by|on|after))?|\
                     delete(?:[ -]?(?:by|on|after))?|temp(?:orary|orarily)?|review[ -]?by|bis|läuft ab|befristet(?: bis)?|gültig bis|jusqu'?au|hasta";
        // A few small words may stand between: "expires on:", "temporary until 2026", "(until: …".
        let between = "[ :=,(\\[-]*(?:(?:date|on|at|am|the|end of|until|till|by|bis|zum|rule)[ :=,(\\[-]*){0,3}";
        let month = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?";
        let date = format!(
            "(?:(?P<y>20[0-9]{{2}})[-/.](?P<m>[0-9]{{1,2}})(?:[-/.](?P<d>[0-9]{{1,2}}))?\
             |(?P<d2>[0-9]{{1,2}})\\.(?P<m2>[0-9]{{1,2}})\\.(?P<y2>20[0-9]{{2}})\
             |(?P<d3>[0-9]{{1,2}})(?:st|nd|rd|th)?[ -](?P<m3>{month})[ ,-]{{1,2}}(?P<y3>20[0-9]{{2}})\
             |(?P<m4>{month}) (?P<d4>[0-9]{{1,2}})(?:st|nd|rd|th)?,? (?P<y4>20[0-9]{{2}})\
             |(?P<m5>{month})[ -](?P<y5>20[0-9]{{2}}))(?:[^0-9]|$)"
        );
        Regex::new(&format!("(?i)(?:^|[^\\p{{L}}])(?:{words}){between}{date}")).ok()
    });
    let regex = WORD.as_ref()?;
    regex.captures_iter(comment).filter_map(|c| capture(&c)).max()
}

fn capture(c: &regex::Captures<'_>) -> Option<Date> {
    let text = |names: &[&str]| names.iter().find_map(|n| c.name(n)).map(|m| m.as_str());
    let year = text(&["y", "y2", "y3", "y4", "y5"])?.parse().ok()?;
    let month = text(&["m", "m2", "m3", "m4", "m5"])?;
    let month: i8 = match month.parse() {
        Ok(n) => n,
        Err(_) => {
            let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
            let short = month.get(..3)?.to_ascii_lowercase();
            names.iter().position(|n| *n == short)? as i8 + 1
        }
    };
    match text(&["d", "d2", "d3", "d4"]) {
        Some(day) => Date::new(year, month, day.parse().ok()?).ok(),
        // A month lasts until its last day.
        None => Date::new(year, month, 1).ok().map(Date::last_of_month),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(comment: &str) -> Option<String> {
        expiry(comment).map(|d| d.to_string())
    }

    #[test]
    fn a_day_after_a_word_for_an_end_is_read() {
        for (comment, day) in [
            ("temporary, until 2026-09-01", "2026-09-01"),
            ("Expires: 2026-09-01 NET-7", "2026-09-01"),
            ("temp bis 01.09.2026", "2026-09-01"),
            ("valid to 1 Sep 2026", "2026-09-01"),
            ("remove after Sept 1st, 2026", "2026-09-01"),
            ("until 2026/09", "2026-09-30"),
            ("ends Feb 2028", "2028-02-29"),
            ("supplier (expiry date: 3-Sep-2026)", "2026-09-03"),
            ("TEMP 2026-01-02", "2026-01-02"),
            ("until 2026-01-01, prolonged until 2026-06-30", "2026-06-30"),
        ] {
            assert_eq!(said(comment).as_deref(), Some(day), "{comment}");
        }
    }

    #[test]
    fn what_is_ambiguous_or_no_end_is_left_alone() {
        for comment in [
            "until 03/04/2026",
            "added 2026-09-01",
            "until further notice",
            "until 2026-13-01",
            "expires 20260901",
            "template 2026-01-01",
            "backends 2026-01-01",
            "until 2026",
            "",
        ] {
            assert_eq!(said(comment), None, "{comment}");
        }
    }
}
