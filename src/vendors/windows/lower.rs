//! From everything that was read to the chains and settings of the device.
//!
//! The order in which Windows decides (learn.microsoft.com, "Windows Firewall rules", rule precedence for inbound and outbound rules; "Order of
//! Windows Firewall with Advanced Security Rules Evaluation", technet cc755191): rules that override block rules for authenticated traffic, rules
//! that block, rules that allow, the default of the profile. It is lowered to one chain for each direction.

use super::facts::{Facts, Source};
use super::profile::{self, Profile, Profiles};
use super::props::Key;
use super::rule::{self, Flow, Origin, Switch, Understood, Verb};
use super::settings::{Effective, Setting, Store, Value};
use crate::diag::LineState;
use crate::model::{
    Action, BaseChain, Chain, ChainId, Hook, HostSetting, LOOPBACK, Match, NamePattern, Policy, PolicyAction, Rule, UnseenSetting,
};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;
use crate::vendors::Reader;

/// Builds the device.
pub(super) fn lower(reader: &mut Reader<'_>, facts: &mut Facts) {
    let first = facts.rules.first().map(|(_, _, p)| p.span);
    let place = first
        .or_else(|| Profile::ALL.iter().find_map(|p| facts.settings.place(*p)))
        .or(facts.place)
        .unwrap_or_else(|| reader.file.line_span(0));
    standard(facts);
    settings(reader, facts, place);
    let known = !facts.rules.is_empty() || !facts.settings.is_empty();
    reader.device.no_sysctl = true;
    if !known {
        return;
    }
    let rules: Vec<(Understood, super::props::Props)> =
        std::mem::take(&mut facts.rules).into_iter().map(|(_, origin, props)| (rule::understand(reader, &props, origin), props)).collect();
    let complete = is_complete(facts);
    if !complete {
        said(reader, facts, place);
    }
    reader.device.exhaustive |= complete;
    reader.device.on_public_network = profile::on_public(&mut reader.device.conditions, place);
    for flow in [Flow::In, Flow::Out] {
        chain(reader, facts, &rules, flow, complete, place);
    }
}

/// Whether every rule that Windows asks was exported, and every setting that decides.
fn is_complete(facts: &Facts) -> bool {
    let whole = |store: Store| facts.whole_rules.contains(&store);
    (facts.active || (whole(Store::Local) && whole(Store::Policy) && whole(Store::Management))) && facts.lost.is_empty()
}

/// Says what was not exported.
fn said(reader: &mut Reader<'_>, facts: &Facts, place: Span) {
    let text = if !facts.lost.is_empty() {
        "some rules could not be read: what they let through is not known"
    } else if facts.has(Source::Policy) || facts.whole_rules.contains(&Store::Policy) && !facts.whole_rules.contains(&Store::Local) {
        "this is a policy: which rules the device has of its own, or from other policies, is not known; export the active store too \
         (Get-NetFirewallRule -PolicyStore ActiveStore)"
    } else {
        "rules and settings of Group Policy are not shown here, and go before these: export the active store \
         (Get-NetFirewallRule -PolicyStore ActiveStore)"
    };
    reader.note(place, LineState::NotModelled, text);
}

/// The old standard profile of a policy is for private and public networks of systems that have no such profiles of their own in it; whether
/// newer ones take it is not known, unless the profile is set besides.
fn standard(facts: &mut Facts) {
    for (store, setting, value, span) in std::mem::take(&mut facts.standard) {
        for profile in [Profile::Private, Profile::Public] {
            let Effective::Known { value: known, span: Some(at) } = facts.settings.effective(profile, setting) else {
                let text = value.text().unwrap_or_default();
                facts.settings.say(store, profile, setting, Value::Unknown(format!("{text}, for the standard profile")), span);
                continue;
            };
            if known != value && at != span {
                facts.settings.say(store, profile, setting, Value::Unknown("set otherwise for the standard profile".into()), span);
            }
        }
    }
}

fn setting_name(profile: Profile, setting: Setting) -> String {
    format!("firewall.{}.{}", profile.name(), setting.name())
}

/// What the profiles are set to, as settings that checks may ask for.
fn settings(reader: &mut Reader<'_>, facts: &Facts, place: Span) {
    for profile in Profile::ALL {
        for setting in Setting::REPORTED {
            let name = setting_name(profile, setting);
            match facts.settings.effective(profile, setting) {
                Effective::Known { value, span } => {
                    if let Some(value) = value.text() {
                        reader.device.settings.push(HostSetting { name, value, span: span.unwrap_or(place) });
                    }
                }
                Effective::Unknown { why, span } => reader.device.unseen.push(UnseenSetting {
                    name,
                    why,
                    export: "Get-NetFirewallProfile -PolicyStore ActiveStore | ConvertTo-Json",
                    span: span.unwrap_or(place),
                }),
            }
        }
    }
    for (alias, category, span) in &facts.networks {
        let name = format!("network.{alias}.category");
        reader.device.settings.push(HostSetting { name, value: category.to_lowercase(), span: *span });
    }
}

/// A condition about a profile that is not known.
fn open(reader: &mut Reader<'_>, text: String, span: Span) -> Match {
    Match::Opaque(reader.device.conditions.intern(&text, span))
}

struct Build {
    rules: Vec<Rule>,
    place: Span,
}

impl Build {
    /// An implied rule for the profiles in which a setting has a value, and, under a condition, for those in which it is not known.
    fn by_setting(
        &mut self,
        reader: &mut Reader<'_>,
        facts: &Facts,
        setting: Setting,
        wanted: &Value,
        (what, unknown): (&'static str, &str),
        action: &Action,
    ) {
        // Profiles with the same answer are one rule.
        let mut sure: (Profiles, Option<Span>) = (Profiles::NONE, None);
        for profile in Profile::ALL {
            match facts.settings.effective(profile, setting) {
                Effective::Known { value, span } if value == *wanted => {
                    sure = (sure.0.or(Profiles::that(|p| p == profile)), sure.1.or(span));
                }
                Effective::Known { .. } => {}
                Effective::Unknown { span, .. } => {
                    let span = span.unwrap_or(self.place);
                    let on = profile::on(Profiles::that(|p| p == profile), &mut reader.device.conditions, span);
                    let condition = open(reader, format!("{unknown} the {} profile", profile.name()), span);
                    self.rules.push(Rule::implied(what, Match::all(vec![on, condition]), action.clone(), span));
                }
            }
        }
        if !sure.0.is_none() {
            let span = sure.1.unwrap_or(self.place);
            let on = profile::on(sure.0, &mut reader.device.conditions, span);
            self.rules.push(Rule::implied(what, on, action.clone(), span));
        }
    }
}

fn chain(reader: &mut Reader<'_>, facts: &Facts, rules: &[(Understood, super::props::Props)], flow: Flow, complete: bool, place: Span) {
    let mut build = Build { rules: Vec::new(), place };
    // Microsoft documents nowhere whether rules are asked about what a host sends to itself. It is taken to pass: nobody else can send there,
    // so that too much is said to get in at most.
    let loopback = Match::Interface(flow.interface(), NamePattern::exact(LOOPBACK[2]));
    build.rules.push(Rule::implied("loopback", loopback, Action::Accept, place));
    build.by_setting(
        reader,
        facts,
        Setting::Enabled,
        &Value::No,
        ("firewall that is switched off", "the firewall is switched off in"),
        &Action::Accept,
    );
    off_on(reader, facts, flow, &mut build);
    // Stateful: what belongs to a connection that was let out or in passes ("Windows Firewall overview": a stateful firewall).
    let answers = Match::Field(Field::Ct, Ranges::interval(ct::ESTABLISHED, ct::RELATED));
    build.rules.push(Rule::implied("answers of known connections", answers, Action::Accept, place));
    if !complete {
        let at = facts.lost.first().copied().unwrap_or(place);
        let what = if facts.lost.is_empty() { "rules and settings that were not exported" } else { "rules that could not be read" };
        build.rules.push(Rule::implied("what was not exported", Match::Any, Action::Opaque(what.into()), at));
    }
    if flow == Flow::In {
        build.by_setting(
            reader,
            facts,
            Setting::InboundRules,
            &Value::No,
            ("inbound rules that are not asked", "inbound rules are not asked in"),
            &Action::Drop,
        );
    }
    for wanted in [Verb::Bypass, Verb::Block, Verb::Allow] {
        if wanted == Verb::Block {
            logged(reader, facts, &mut build);
        }
        for (understood, props) in rules.iter().filter(|(u, _)| u.flow.is_none_or(|f| f == flow)) {
            let action = match (&understood.verb, &wanted) {
                (Verb::Bypass, Verb::Bypass) | (Verb::Allow, Verb::Allow) => Action::Accept,
                (Verb::Block, Verb::Block) => Action::Drop,
                // What is not understood may go before everything.
                (Verb::Unknown(text), Verb::Bypass) => Action::Opaque(format!("the action {text}").into()),
                _ => continue,
            };
            let lowered = written(reader, facts, understood, props, flow, action);
            build.rules.push(lowered);
        }
    }
    ending(reader, facts, flow, build);
}

/// What is dropped from here on is logged in these profiles.
fn logged(reader: &mut Reader<'_>, facts: &Facts, build: &mut Build) {
    let logs = |p: Profile| matches!(facts.settings.effective(p, Setting::LogDropped), Effective::Known { value: Value::Yes, .. });
    let profiles = Profiles::that(logs);
    if !profiles.is_none() {
        let on = profile::on(profiles, &mut reader.device.conditions, build.place);
        let mut rule = Rule::implied("logging of what is dropped", on, Action::Continue, build.place);
        rule.log = true;
        build.rules.push(rule);
    }
}

/// Interfaces that a profile leaves out: nothing is filtered there.
fn off_on(reader: &mut Reader<'_>, facts: &Facts, flow: Flow, build: &mut Build) {
    for profile in Profile::ALL {
        let Effective::Known { value: Value::Names(list), span } = facts.settings.effective(profile, Setting::OffOn) else { continue };
        let span = span.unwrap_or(build.place);
        for name in list.iter().flat_map(|n| n.split(',')).map(str::trim).filter(|n| !n.is_empty()) {
            let on = profile::on(Profiles::that(|p| p == profile), &mut reader.device.conditions, span);
            let interface = if name.starts_with('{') {
                open(reader, format!("the interface is {}", name.to_lowercase()), span)
            } else {
                Match::Interface(flow.interface(), NamePattern::exact(name))
            };
            build.rules.push(Rule::implied("interface that the profile leaves out", Match::all(vec![on, interface]), Action::Accept, span));
        }
    }
}

/// A rule that somebody wrote.
fn written(
    reader: &mut Reader<'_>,
    facts: &Facts,
    understood: &Understood,
    props: &super::props::Props,
    flow: Flow,
    action: Action,
) -> Rule {
    let span = understood.span;
    let mut parts = Vec::new();
    match understood.profiles {
        Some(profiles) => {
            // Local rules are ignored where the policy says so.
            let merged = |p: Profile| facts.settings.effective(p, Setting::LocalRules);
            let ignored = Profiles::that(|p| matches!(merged(p), Effective::Known { value: Value::No, .. }));
            let kept = match understood.origin {
                Origin::Local => profiles.minus(ignored),
                _ => profiles,
            };
            parts.push(profile::on(kept, &mut reader.device.conditions, span));
            if understood.origin == Origin::Unknown && !profiles.minus(profiles.minus(ignored)).is_none() {
                let sure = profile::on(profiles.minus(ignored), &mut reader.device.conditions, span);
                let condition = open(reader, format!("rule \"{}\" is of a policy and not local", understood.name), span);
                parts.push(Match::any_of(vec![sure, condition]));
            }
        }
        None => parts.push(open(reader, format!("the profiles of rule \"{}\" are those of the network", understood.name), span)),
    }
    if understood.verb == Verb::Bypass {
        // Only for what IPsec has authenticated (learn.microsoft.com, New-NetFirewallRule, -OverrideBlockRules).
        parts.push(open(reader, "the packet is authenticated by IPsec".into(), span));
    }
    parts.push(rule::matcher(reader, props, understood, flow));
    // The line with its name, rather than the brace with which an object begins.
    let named = props.get(Key::DisplayName).or(props.get(Key::Name)).map_or(span, |(_, at)| *at);
    let mut rule = Rule::new(Match::all(parts), action, named);
    rule.whole = span;
    rule.enabled = understood.enabled != Switch::Off;
    rule.name = Some(understood.name.clone());
    rule.comment = understood.group.clone();
    rule
}

/// What happens to packets that no rule decides about.
fn ending(reader: &mut Reader<'_>, facts: &Facts, flow: Flow, mut build: Build) {
    let setting = if flow == Flow::In { Setting::Inbound } else { Setting::Outbound };
    let answers = Profile::ALL.map(|p| facts.settings.effective(p, setting));
    let known = |e: &Effective| matches!(e, Effective::Known { value: Value::Allow | Value::Block, .. });
    let value = |e: &Effective| if let Effective::Known { value, .. } = e { Some(value.clone()) } else { None };
    let same = answers.iter().all(known) && answers.iter().all(|a| value(a) == value(&answers[0]));
    let mut policy = Policy { action: PolicyAction::Unknown, span: build.place };
    if same {
        let allow = value(&answers[0]) == Some(Value::Allow);
        policy.action = if allow { PolicyAction::Accept } else { PolicyAction::Drop };
        if let Effective::Known { span: Some(span), .. } = &answers[0] {
            policy.span = *span;
        }
    } else if answers.iter().all(known) {
        for (profile, answer) in Profile::ALL.into_iter().zip(&answers) {
            let Effective::Known { value: Value::Allow, span } = answer else { continue };
            let span = span.unwrap_or(build.place);
            let on = profile::on(Profiles::that(|p| p == profile), &mut reader.device.conditions, span);
            build.rules.push(Rule::implied("default of the profile", on, Action::Accept, span));
        }
        let blocked = answers.iter().find(|a| value(a) == Some(Value::Block));
        policy.action = PolicyAction::Drop;
        if let Some(Effective::Known { span: Some(span), .. }) = blocked {
            policy.span = *span;
        }
    } else {
        for (profile, answer) in Profile::ALL.into_iter().zip(&answers) {
            let (span, action) = match answer {
                Effective::Known { value: Value::Allow, span } => (*span, Action::Accept),
                Effective::Known { value: Value::Block, span } => (*span, Action::Drop),
                _ => continue,
            };
            let span = span.unwrap_or(build.place);
            let on = profile::on(Profiles::that(|p| p == profile), &mut reader.device.conditions, span);
            build.rules.push(Rule::implied("default of the profile", on, action, span));
        }
        if let Some(Effective::Unknown { span: Some(span), .. }) = answers.iter().find(|a| matches!(a, Effective::Unknown { .. })) {
            policy.span = *span;
        }
    }
    let (name, hook) = if flow == Flow::In { ("inbound rules", Hook::Input) } else { ("outbound rules", Hook::Output) };
    let id = ChainId(reader.device.chains.len() as u32);
    reader.device.chains.push(Chain { name: name.into(), span: policy.span, rules: build.rules });
    reader.device.base_chains.push(BaseChain {
        chain: id,
        hook,
        priority: 0,
        families: Family::BOTH.to_vec(),
        nat: false,
        policy,
        devices: Vec::new(),
    });
}
