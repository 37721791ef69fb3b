//! Rules that do nothing, or too much.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::identity::line_identity;
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, body, select};
use crate::diag::{Finding, Label};
use crate::eval::fates::Fate;
use crate::eval::{Analysis, Limit, Line};
use crate::model::{Action, ChainId, Device, Match};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;

/// The kind.
pub static RULES: Kind = Kind { id: "rules", page: include_str!("rules.md"), parse, schema: body::schema_of::<Body> };

/// What to look for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// What to look for.
    aspect: Aspect,
}

/// What to look for.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Aspect {
    /// Rules that no packet gets to, because earlier ones, alone or together, take them all.
    Shadowed,
    /// Rules without which every packet would be treated the same.
    Redundant,
    /// Chains that hang on no hook and that nothing calls.
    Uncalled,
    /// Rules that accept every packet from anywhere to anywhere.
    AnyToAny,
    /// Things that the firewall would refuse to load.
    InvalidRuleset,
}

fn parse(value: &serde_yaml::Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = body::read(value)?;
    Ok(Box::new(body))
}

impl Check for Body {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Device
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome::default();
        for device in select::devices(world, spec).into_iter().filter(|d| d.has_filter()) {
            let Some(analysis) = world.analysis(&device.name) else { continue };
            outcome.considered.push(device.name.clone());
            match self.aspect {
                Aspect::Uncalled => uncalled(analysis, &mut outcome.findings),
                Aspect::AnyToAny => any_to_any(analysis, &mut outcome.findings),
                Aspect::InvalidRuleset => invalid(analysis, &mut outcome.findings),
                Aspect::Shadowed | Aspect::Redundant => match analysis.fates() {
                    Err(Limit(why)) => outcome.incomplete.push(format!("{}: {why}", device.name)),
                    Ok(fates) => {
                        let called = called(analysis, fates);
                        for (line, fate) in fates {
                            let known = outcome.findings.len();
                            self.rule(world, analysis, &called, *line, fate, &mut outcome);
                            for finding in outcome.findings.iter_mut().skip(known) {
                                finding.identity = line_identity(world, analysis, *line);
                            }
                        }
                    }
                },
            }
        }
        outcome
    }
}

impl Body {
    fn rule(&self, world: &World<'_>, analysis: &Analysis<'_>, called: &BTreeSet<ChainId>, line: Line, fate: &Fate, outcome: &mut Outcome) {
        if matches!(fate, Fate::Live | Fate::Uncalled) {
            return;
        }
        if is_implied(analysis, line) {
            return;
        }
        let Some(span) = analysis.span(line) else { return };
        let chain = &analysis.device.chain(line.chain).name;
        let name = analysis.line_words(line);
        let text = world.redactor.show(world.sources.get(span.file), span);
        let (message, by, how) = match (self.aspect, fate) {
            (Aspect::Shadowed, Fate::Shadowed(by)) => {
                // In a chain that is itself called from shadowed rules only, the call is to blame and is reported.
                if !called.contains(&line.chain) {
                    return;
                }
                let what = if by.len() > 1 { "the rules below together take" } else { "an earlier rule takes" };
                (format!("{name} never applies: {what} all its packets"), by, "takes packets of it")
            }
            (Aspect::Shadowed, Fate::Empty) => {
                let none = &Vec::new();
                return self.push(
                    analysis,
                    line,
                    format!("{name} never applies: no packet can match it here"),
                    none,
                    "",
                    text,
                    chain,
                    outcome,
                );
            }
            (Aspect::Redundant, Fate::Redundant(by)) => {
                (format!("{name} changes nothing: without it every packet would be treated the same"), by, "treats its packets the same")
            }
            (_, Fate::Undecided) => {
                outcome
                    .incomplete
                    .push(format!("{}: whether {name} ever applies could not be decided within the bound", analysis.device.name));
                return;
            }
            _ => return,
        };
        self.push(analysis, line, message, by, how, text, chain, outcome);
    }

    #[allow(clippy::too_many_arguments, reason = "one place that builds the finding")]
    fn push(
        &self,
        analysis: &Analysis<'_>,
        line: Line,
        message: String,
        by: &[Line],
        how: &str,
        text: String,
        chain: &str,
        outcome: &mut Outcome,
    ) {
        let Some(span) = analysis.span(line) else { return };
        let mut finding = Finding::new(message, Label::new(span, "")).on(&analysis.device.name);
        finding.subject = format!("{} {chain} {}", analysis.device.name, text.trim());
        finding.related =
            by.iter().filter_map(|l| analysis.span(*l).map(|s| Label::new(s, format!("{} {how}", analysis.line_words(*l))))).collect();
        finding.related.truncate(12);
        outcome.findings.push(finding);
    }
}

/// Whether nobody wrote the rule: then nobody can mend it either.
fn is_implied(analysis: &Analysis<'_>, line: Line) -> bool {
    let rule = line.rule.and_then(|r| analysis.device.chains.get(line.chain.0 as usize)?.rules.get(r as usize));
    rule.is_some_and(|r| r.implied.is_some())
}

/// The chains that hang on a hook or are called by a rule that some packet gets to.
fn called(analysis: &Analysis<'_>, fates: &BTreeMap<Line, Fate>) -> BTreeSet<ChainId> {
    let device = analysis.device;
    let mut out: BTreeSet<ChainId> = device.base_chains.iter().map(|b| b.chain).collect();
    for line in fates.iter().filter(|(_, fate)| matches!(fate, Fate::Live)).map(|(line, _)| line) {
        match line.rule.and_then(|r| device.chain(line.chain).rules.get(r as usize)).map(|r| &r.action) {
            Some(Action::Jump(to) | Action::Goto(to)) => out.insert(*to),
            _ => false,
        };
    }
    out
}

/// Chains with rules that no base chain leads to.
fn uncalled(analysis: &Analysis<'_>, findings: &mut Vec<Finding>) {
    let device = analysis.device;
    let mut reached: BTreeSet<ChainId> = BTreeSet::new();
    let mut todo: Vec<ChainId> = device.base_chains.iter().map(|b| b.chain).collect();
    while let Some(id) = todo.pop() {
        if reached.insert(id) {
            todo.extend(device.chain(id).rules.iter().filter(|r| r.enabled).filter_map(|r| match r.action {
                Action::Jump(to) | Action::Goto(to) => Some(to),
                _ => None,
            }));
        }
    }
    for (i, chain) in device.chains.iter().enumerate() {
        if !reached.contains(&ChainId(i as u32)) && !chain.rules.is_empty() {
            let message = match chain.rules.len() {
                1 => format!("the rule of {} never applies: nothing calls the chain", chain.name),
                n => format!("the {n} rules of {} never apply: nothing calls the chain", chain.name),
            };
            let finding = Finding::new(message, Label::new(chain.span, "")).on(&device.name);
            findings.push(finding.about(format!("{} {}", device.name, chain.name)));
        }
    }
}

fn any_to_any(analysis: &Analysis<'_>, findings: &mut Vec<Finding>) {
    let device = analysis.device;
    let hooked: BTreeSet<ChainId> = device
        .base_chains
        .iter()
        .filter(|b| b.guards(crate::model::Hook::Input) || b.guards(crate::model::Hook::Forward))
        .map(|b| b.chain)
        .collect();
    for id in hooked {
        let chain = device.chain(id);
        for (i, rule) in chain.rules.iter().enumerate() {
            if !rule.enabled || rule.implied.is_some() || rule.action != Action::Accept {
                continue;
            }
            let all: Vec<Family> = Family::BOTH.into_iter().filter(|f| is_everything(&rule.matcher, *f)).collect();
            if !all.is_empty() {
                let line = Line { chain: id, rule: Some(i as u32) };
                let packet = match all.as_slice() {
                    [family] => format!("{} packet", family.name()),
                    _ => "packet".to_owned(),
                };
                let message = format!("{} accepts every {packet} from anywhere to anywhere", analysis.line_words(line));
                findings.push(
                    Finding::new(message, Label::new(rule.span, "no condition that narrows it"))
                        .on(&device.name)
                        .about(format!("{} {}", device.name, chain.name)),
                );
            }
        }
    }
}

/// Whether a match leaves nothing of a family out but packets of some states: with new connections let in, answers come along. A packet comes without a
/// mark, and opens a TCP connection by SYN.
fn is_everything(matcher: &Match, family: Family) -> bool {
    const SYN: u128 = 2;
    let is = |m: &Match| is_everything(m, family);
    match matcher {
        Match::Any => true,
        Match::Family(f) => *f == family,
        Match::Address(field, f, set) => *f == family && set.complement((*field).max(family)).is_empty(),
        Match::Field(Field::Ct, states) => states.contains(ct::NEW),
        Match::Field(Field::Mark, marks) => marks.contains(0),
        Match::Field(field, set) => set.complement((*field).max(family)).is_empty(),
        Match::All(parts) => parts.iter().all(is),
        Match::AnyOf(parts) => {
            let not_tcp = |m: &Match| matches!(m, Match::Field(Field::Proto, p) if p.complement(255).is_subset(&Ranges::single(6)));
            let syn = |m: &Match| matches!(m, Match::Field(Field::TcpFlags, flags) if flags.contains(SYN));
            parts.iter().any(is) || (parts.iter().any(not_tcp) && parts.iter().any(syn))
        }
        _ => false,
    }
}

/// Sets that rules ask and that are defined nowhere: where the export shows everything the firewall would refuse the rule, else the sets were
/// not exported.
fn undefined_sets(device: &Device, findings: &mut Vec<Finding>) {
    let mut said = BTreeSet::new();
    for rule in device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| {
            let Match::InSet { set, span, .. } = m else { return };
            if device.set(set).is_some() || !said.insert(set.clone()) {
                return;
            }
            let label = Label::new(*span, "");
            let finding = if device.exhaustive {
                Finding::new(format!("the firewall would refuse these rules: the set {set} is not defined"), label)
            } else {
                Finding::unknown(format!("the set {set} was not exported: whether it is there is not known"), label.clone(), vec![label])
            };
            findings.push(finding.on(&device.name).about(format!("{} set {set}", device.name)));
        });
    }
}

/// What the reader knows that the device would refuse, and sets of another program (ipset) that were not exported.
fn invalid(analysis: &Analysis<'_>, findings: &mut Vec<Finding>) {
    let device = analysis.device;
    undefined_sets(device, findings);
    for (span, why) in &device.refused {
        let message = format!("the firewall would refuse these rules: {why}");
        findings.push(Finding::new(message, Label::new(*span, "")).on(&device.name).about(format!("{} {why}", device.name)));
    }
}
