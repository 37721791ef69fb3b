//! `fwproof probe --expect`: what configurations say, against what is.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use super::super::output::{self, Output};
use super::super::{Failure, Outcome, baseline, input};
use super::{Args, deliver, plan, send, told};
use crate::checks::body::suggestion;
use crate::checks::{World, Zone};
use crate::diag::{Severity, Verdict};
use crate::net::{Family, PUBLIC4, PUBLIC6, Ranges, parse_cidr, to_number};
use crate::pipeline::{self, Inventory};
use crate::probe::drift::{self, Compared};
use crate::probe::expect::{Expected, Side, expected};
use crate::probe::plan::{Plan, PlanTarget};
use crate::probe::ports::Ports;
use crate::probe::{Protocol, Scan, State, output as shape, source};
use crate::report::{self, Untrusted, View};
use crate::rulesets::{Baseline, Waiver, Waivers, apply_waivers};
use crate::source::{FileId, Redactor, Span};

pub(super) fn run(args: &Args, out: &mut Output) -> Outcome {
    let format = report::FORMATS.iter().find(|f| f.id == args.format);
    if format.is_none() && !["table", "xml"].contains(&args.format.as_str()) {
        let ids = report::FORMATS.iter().map(|f| f.id).chain(["table", "xml"]);
        return Err(Failure::usage(format!("--format {}: there is no such format{}", args.format, suggestion(&args.format, ids))));
    }
    let began = jiff::Timestamp::now().as_second();
    let as_of = input::as_of(None)?;
    let fail_on = Severity::ALL.into_iter().find(|s| s.name() == args.fail_on).unwrap_or(Severity::Medium);
    let origin = args.baseline.as_deref().map(|b| baseline::find(Some(b), &args.expect, true)).transpose()?;
    let estate = || origin.as_ref().map_or_else(|| Ok(BTreeSet::new()), baseline::Origin::estate);
    let beside = origin.as_ref().map(baseline::Origin::beside).unwrap_or_default();
    let mut inventory = args.reading.read_with_estate(&args.expect, estate, beside)?;
    let redactor = inventory.redactor();
    let loaded = match &origin {
        Some(o) => o.load(&mut inventory.sources, true)?,
        None => Baseline { title: "What is open, and what should be".into(), ..Baseline::default() },
    };
    let unread = args.reading.tell(&inventory.incomplete, &inventory.sources, &redactor);
    let world = loaded.world(&inventory.devices, &inventory.sources, &redactor, as_of, inventory.exported.clone());
    let place = inventory.files.first().map_or(Span::new(FileId(0), 0, 0), |f| Span::new(f.file, 0, 0));
    let zone = zone(args.from.as_deref().unwrap_or("internet"), &world, place)?;
    let place = if zone.span.end > zone.span.start { zone.span } else { place };

    let (authority, addresses) = plan::addresses(args)?;
    let own_ports =
        args.ports.as_deref().map(|t| Ports::read(t, Protocol::Tcp).map_err(|e| Failure::usage(format!("-p {t}: {e}")))).transpose()?;
    let mut all: Vec<Expected> = Vec::new();
    let mut targets = Vec::new();
    for (address, name) in &addresses.addresses {
        let e = expected(&world, &zone, *address, seen_from(args, &zone, *address));
        let mut ports = own_ports.clone().unwrap_or_else(|| e.ports());
        if args.full {
            ports.tcp = (1..=u16::MAX).collect();
        }
        targets.push(PlanTarget { address: *address, name: name.clone(), ports: Arc::new(ports) });
        all.push(e);
    }
    let mut asked = plan::finish(args, Plan { targets }, authority.as_ref(), addresses.unresolved, &addresses.left_out)?;
    // Whether silence of UDP is a filter's or a service's is nothing to wait for: neither is drift.
    asked.settings.patient = args.full && !args.impatient;
    asked.words += &redactor.scrub(&said(&zone, &all));
    if args.dry_run {
        out.write(&asked.words);
        return Ok(unread);
    }
    asked.permitted?;
    if !args.reading.quiet {
        output::say(asked.words.trim_end());
    }
    let scan = send(args, &asked.plan, &asked.settings)?;
    let (mut checks, compared) = drift::compare(&world, &zone, &scan, &all, place);
    let of_drift = |w: &&Waiver| [drift::DRIFT, drift::PASSES, drift::CLOSED].contains(&w.check.as_str());
    let list = loaded.waivers.list.iter().filter(of_drift).cloned().collect();
    apply_waivers(&mut checks, &Waivers { list, ..loaded.waivers.clone() }, as_of);
    let report = pipeline::report(&inventory, &loaded.title, checks, &redactor, as_of);

    let colors = out.color;
    out.colored(colors && args.format == "table" && args.output.is_none());
    let view = View {
        report: &report,
        sources: &inventory.sources,
        redactor: &redactor,
        fail_on,
        allow_incomplete: args.reading.allow_incomplete,
        all: args.all,
        list_incomplete: args.output.is_some(),
        color: out.color,
        workspace: output::workspace(),
    };
    let text = match (args.format.as_str(), format) {
        ("json", _) => {
            // The report, with the hosts in it.
            let text = report::json::render(&view);
            let body = text.trim_end().strip_suffix('}').unwrap_or("{").trim_end().to_owned();
            format!("{body},\n\"hosts\":{}}}\n", shape::json_hosts(&scan))
        }
        ("xml", _) => shape::xml(&scan, &super::command(), began),
        (_, Some(format)) => (format.render)(&view),
        _ => {
            let wanted = args.baseline.as_ref().map(|_| objections(&inventory, &loaded, &redactor, &world, &scan, &all, args.reading.jobs));
            let open = shape::table(&scan, args.all, &|t| Untrusted(t).to_string());
            let matches = redactor.scrub(&in_words(&compared, wanted.unwrap_or_default()));
            format!("{open}{matches}{}{}", shape::summary(&scan), report::text::render(&view))
        }
    };
    deliver(args, out, &scan, &text, began)?;
    let unasked = told(args, &scan, &asked.unresolved);
    let judged = report.conclusion(fail_on, args.reading.allow_incomplete).exit_code();
    Ok([unread, unasked, judged].into_iter().max().unwrap_or(0))
}

/// A zone of the baseline; else the internet; else addresses.
fn zone(text: &str, world: &World<'_>, place: Span) -> Result<Zone, Failure> {
    if let Some(zone) = world.zone(text) {
        return Ok(zone.clone());
    }
    let made =
        |v4, v6, internet| Zone { name: text.to_owned(), v4, v6, internet, on: Default::default(), through: Vec::new(), span: place };
    match (text, parse_cidr(text)) {
        ("internet", _) => Ok(made(PUBLIC4.clone(), PUBLIC6.clone(), true)),
        (_, Some((Family::V4, lo, hi))) => Ok(made(Ranges::interval(lo, hi), Ranges::EMPTY, false)),
        (_, Some((Family::V6, lo, hi))) => Ok(made(Ranges::EMPTY, Ranges::interval(lo, hi), false)),
        _ => {
            let hint = suggestion(text, world.zones.iter().map(|z| z.name.as_str()));
            Err(Failure::usage(format!("--from {text}: there is no such zone in the baseline (-b), and it is no address or prefix{hint}")))
        }
    }
}

/// The address from which the target sees us; `None`: it is not known (address translation stands between, or we are elsewhere).
fn seen_from(args: &Args, zone: &Zone, target: IpAddr) -> Option<IpAddr> {
    if let Some(given) = args.source {
        return (given.is_ipv4() == target.is_ipv4()).then_some(given);
    }
    let own = source(target).ok()?;
    let (family, number) = to_number(own);
    let private = match own {
        IpAddr::V4(a) => a.is_private() || a.is_loopback() || a.is_link_local() || (a.octets()[0] == 100 && a.octets()[1] & 0xc0 == 64),
        IpAddr::V6(a) => a.is_loopback() || a.is_unique_local() || a.is_unicast_link_local(),
    };
    (zone.addresses(family).contains(number) || (zone.internet && !private)).then_some(own)
}

/// What is expected, for the plan.
fn said(zone: &Zone, all: &[Expected]) -> String {
    let mut out = String::new();
    for e in all {
        let names: BTreeSet<&str> = e.devices.iter().map(|(d, _)| d.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let from = e.source.map_or_else(String::new, |s| format!(" ({s})"));
        let _ = writeln!(out, "  {} from {}{from}, through {}:", e.address, Untrusted(&zone.name), Untrusted(&names.join(", ")));
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let sides = e.sides(protocol);
            let list = |set: &Ranges| {
                let parts: Vec<String> =
                    set.intervals().iter().map(|(lo, hi)| if lo == hi { lo.to_string() } else { format!("{lo}-{hi}") }).collect();
                match parts.len() {
                    0 => "none".to_owned(),
                    n if n > 12 => format!("{} and {} more", parts[..12].join(","), n - 12),
                    _ => parts.join(","),
                }
            };
            let _ = writeln!(out, "    {}: open {}; perhaps {}", protocol.name(), list(&sides.open), list(&sides.perhaps));
        }
        for why in &e.unknown {
            let _ = writeln!(out, "    not known: {}", Untrusted(why));
        }
    }
    out
}

/// Ports that are open as configured though the baseline objects to the line that lets them through: text, and the ids of the checks.
fn objections(
    inventory: &Inventory,
    loaded: &Baseline,
    redactor: &Redactor,
    world: &World<'_>,
    scan: &Scan,
    all: &[Expected],
    jobs: usize,
) -> Vec<String> {
    let report = pipeline::check(inventory, loaded, redactor, world.as_of, jobs);
    let mut out = Vec::new();
    for (host, e) in scan.hosts.iter().zip(all) {
        for p in host.ports.iter().filter(|p| p.state == State::Open && e.sides(p.protocol).of(p.port) == Side::Open) {
            let Some((device, line)) = e.deciding(p.protocol, p.port, false) else { continue };
            let Some(span) = world.analysis(device).and_then(|a| a.span(line)) else { continue };
            let against = report
                .checks
                .iter()
                .filter(|c| c.findings.iter().any(|f| f.verdict == Verdict::Violated && f.waived.is_none() && f.primary.span == span));
            let ids: Vec<&str> = against.map(|c| c.id.as_str()).collect();
            if !ids.is_empty() {
                out.push(format!(
                    "{}/{} of {} is open as configured, and the baseline objects: {}",
                    p.protocol.name(),
                    p.port,
                    host.address,
                    ids.join(", ")
                ));
            }
        }
    }
    out
}

fn in_words(compared: &Compared, objections: Vec<String>) -> String {
    let Compared { open, denied, perhaps, silent, drift } = compared;
    let mut out = format!("as configured: {open} open, {denied} denied; otherwise: {drift}");
    if *perhaps > 0 {
        let _ = write!(out, "; not judged: {perhaps} that depend on what is not known");
    }
    if *silent > 0 {
        let _ = write!(out, "; {silent} UDP ports that are let through stay silent, which says nothing");
    }
    out.push('\n');
    objections.iter().for_each(|o| out.push_str(&format!("{}\n", Untrusted(o))));
    out
}
