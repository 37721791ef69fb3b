//! What a check of a flow says of the other devices on a packet's way.

use super::compose::{Stop, Stopped, paths};
use super::start::{Start, from_zone};
use crate::checks::{World, Zone};
use crate::diag::{Finding, Label};
use crate::eval::flow::Hit;
use crate::eval::{Analysis, Way, words};
use crate::model::Device;
use crate::net::{Family, Ranges, prefix_bounds, to_number};
use crate::packets::fields::ABSENT_PORT;
use crate::packets::{Cube, Dim, Field};
use crate::source::Span;

/// Whether the way that was found is the only one that was read: nothing about it was assumed.
fn is_sure(stopped: &Stopped) -> bool {
    stopped.doubts.is_empty()
}

/// A line of the last device, or what else stops packets there.
fn words_of(analysis: &Analysis<'_>, stop: &Stop, fallback: Span) -> (String, Span) {
    match stop {
        Stop::Line(line) => (analysis.line_words(*line), analysis.span(*line).unwrap_or(fallback)),
        Stop::Elsewhere(span, why) => (why.clone(), *span),
    }
}

/// Where a flow that must pass is stopped on its way by devices other than those of `judged`. What is only assumed of the way, or not known,
/// says nothing here: the devices in front of the target are judged in any case.
pub(in crate::checks) fn stops_on_the_way(
    world: &World<'_>,
    (from, target): (&Zone, &Zone),
    service: &[Cube],
    family: Family,
    judged: &dyn Fn(&str) -> bool,
    span: Span,
) -> (Vec<Finding>, Vec<String>) {
    let starts: Vec<Start> = from_zone(world, from);
    let found = paths(world, &starts, target, service, family);
    let mut out: Vec<Finding> = Vec::new();
    for stopped in found.stopped.iter().filter(|s| is_sure(s)) {
        let Some(device) = stopped.steps.last().and_then(|s| world.devices.get(s.device)) else { continue };
        if judged(&device.name) {
            continue;
        }
        let Some(analysis) = world.analysis(&device.name) else { continue };
        let (line, at) = words_of(analysis, &stopped.stop, span);
        let way: Vec<&str> = stopped.steps.iter().filter_map(|s| world.devices.get(s.device)).map(|d| d.name.as_str()).collect();
        let what = words::service_words(
            &crate::packets::readable(std::slice::from_ref(&stopped.arriving), family).into_iter().next().unwrap_or_default(),
            family,
        );
        let way = if way.len() > 1 { format!(", on the way over {}", way.join(" and ")) } else { String::new() };
        let message = format!("{} cannot reach {} with {what} ({}): {} stops it{way}", from.name, target.name, family.name(), device.name);
        let mut finding = Finding::new(message, Label::new(at, format!("{line} stops it"))).on(&device.name);
        finding.subject = format!("on the way {} {} {} {line}", from.name, target.name, family.name());
        if !stopped.certain {
            finding.verdict = crate::diag::Verdict::Unknown;
            finding.causes.push(Label::new(at, "it depends on something that is not modelled"));
        }
        if !out.iter().any(|f| (&f.subject, &f.device) == (&finding.subject, &finding.device)) {
            out.push(finding);
        }
    }
    (out, found.limits)
}

/// What the devices before and after do with a packet that a finding shows: one label for each, in the order of its way.
pub(in crate::checks) fn before_and_after(
    world: &World<'_>,
    analysis: &Analysis<'_>,
    hit: &Hit,
    family: Family,
    from: &[&Zone],
) -> Vec<Label> {
    let mut out = Vec::new();
    let Some(at) = world.devices.iter().position(|d| d.name == analysis.device.name) else { return out };
    let Some(iif) = analysis.space.interface_name(hit.packet.field(Field::Iif)) else { return out };
    let single = |n: u128| Ranges::single(n);
    let source = hit.packet.field(Field::Src);
    let zone = |address: u128| {
        let (v4, v6) = if family == Family::V4 { (single(address), Ranges::EMPTY) } else { (Ranges::EMPTY, single(address)) };
        let span = from.first().map(|z| z.span).or(world.zones.first().map(|z| z.span));
        span.map(|span| Zone { name: String::new(), v4, v6, internet: false, on: Default::default(), through: Vec::new(), span })
    };
    let cube = |packet: &crate::packets::Packet| {
        let proto = Cube::of(Dim::field(Field::Proto), single(packet.field(Field::Proto)), family)?;
        match packet.field(Field::Dport) {
            ABSENT_PORT => Some(proto),
            port => proto.with(Dim::field(Field::Dport), &single(port), family),
        }
    };
    // Before: from where its source is, if that is behind another device.
    let starts: Vec<Start> = from.iter().flat_map(|z| from_zone(world, z)).filter_map(|s| narrowed(s, source, family)).collect();
    let elsewhere = starts.iter().all(|s| !matches!(s, Start::Arriving { device, .. } if *device == at)) && !starts.is_empty();
    if let (true, Some(target), Some(service)) = (elsewhere, zone(hit.packet.field(Field::Dst)), cube(&hit.packet)) {
        let found = paths(world, &starts, &target, &[service], family);
        let label = |device: usize, line: crate::eval::Line, what: &str| {
            let d = world.devices.get(device)?;
            let a = world.analysis(&d.name)?;
            Some(Label::new(a.span(line)?, format!("{what} {} of {} {}", a.line_words(line), d.name, "lets it through")))
        };
        let way =
            found.found.iter().find(|f| f.doubts.is_empty() && f.steps.iter().any(|s| s.device == at && s.iif.as_deref() == Some(&*iif)));
        if let Some(way) = way {
            let before = way.steps.iter().zip(&way.passed).take_while(|(s, _)| s.device != at);
            out.extend(before.filter_map(|(s, p)| label(s.device, p.line, "before that,")));
        } else if found.found.is_empty()
            && found.unclear.is_empty()
            && let Some(stopped) = found.stopped.iter().find(|s| is_sure(s) && s.steps.last().is_some_and(|l| l.device != at))
            && let Some(last) = stopped.steps.last().and_then(|s| world.devices.get(s.device))
            && let Some(a) = world.analysis(&last.name)
        {
            let (line, span) = words_of(a, &stopped.stop, a.device.chains.first().map_or(stopped_span(hit, analysis), |c| c.span));
            out.push(Label::new(
                span,
                format!(
                    "on the way that was read, {line} of {} stops it before; this line lets through what comes by any other way",
                    last.name
                ),
            ));
        }
    }
    // After.
    let start = Start::Arriving { device: at, iif, sources: single(source), family, doubt: None };
    if hit.walked.verdict.passes()
        && goes_on(world, analysis.device, hit.decided_as.field(Field::Dst), family)
        && hit.packet.field(Field::Oif) != 0
        && let (Some(target), Some(service)) = (zone(hit.decided_as.field(Field::Dst)), cube(&hit.decided_as))
    {
        let found = paths(world, &[start], &target, &[service], family);
        if let Some(way) = found.found.iter().find(|f| f.doubts.is_empty() && f.steps.len() > 1) {
            for (step, passed) in way.steps.iter().zip(&way.passed).skip(1) {
                let Some(a) = world.devices.get(step.device).and_then(|d| world.analysis(&d.name)) else { continue };
                let place = a.span(passed.line);
                out.extend(
                    place.map(|s| Label::new(s, format!("after that, {} of {} lets it through", a.line_words(passed.line), a.device.name))),
                );
            }
        } else if let Some(stopped) =
            found.stopped.iter().find(|s| is_sure(s) && s.steps.len() > 1 && s.steps.first().is_some_and(|f| f.way == Way::Forward))
            && let Some(a) = stopped.steps.last().and_then(|s| world.devices.get(s.device)).and_then(|d| world.analysis(&d.name))
        {
            let (line, span) = words_of(a, &stopped.stop, stopped_span(hit, analysis));
            out.push(Label::new(span, format!("after that, {line} of {} stops it", a.device.name)));
        }
    }
    out
}

/// Whether another device that was read may come after this one: the destination is on none of its networks, or is that device itself.
fn goes_on(world: &World<'_>, device: &Device, to: u128, family: Family) -> bool {
    let near = |d: &Device| {
        let mut nets = d.interfaces.iter().flatten().flat_map(|i| &i.addresses).map(|a| prefix_bounds(*a));
        nets.any(|(f, lo, hi)| f == family && hi > lo && lo <= to && to <= hi)
    };
    let is = |d: &Device| d.interfaces.iter().flatten().flat_map(|i| &i.addresses).any(|a| to_number(a.ip()) == (family, to));
    !near(device) || world.devices.iter().any(is)
}

fn stopped_span(hit: &Hit, analysis: &Analysis<'_>) -> Span {
    let chain = analysis.device.chains.first().map(|c| c.span);
    analysis.span(hit.line).or(chain).unwrap_or(Span::new(crate::source::FileId(0), 0, 0))
}

/// The same start for one source alone.
fn narrowed(start: Start, source: u128, family: Family) -> Option<Start> {
    match start {
        Start::Arriving { device, iif, sources, family: f, doubt } if f == family && sources.contains(source) => {
            Some(Start::Arriving { device, iif, sources: Ranges::single(source), family, doubt })
        }
        _ => None,
    }
}
