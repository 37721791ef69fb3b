//! `fwproof reach`: all packets that pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::input::Reading;
use super::output::Output;
use super::{Failure, Outcome, baseline, paths};
use crate::checks::body::suggestion;
use crate::checks::services::{built_in_services, service_ports};
use crate::checks::{Service, Zone, cross, from_zone, of_service, to_zone};
use crate::eval::flow::{Passing, Query, Want, passing};
use crate::eval::{Analysis, Line, Missing, Way, words};
use crate::model::NamePattern;
use crate::net::{Family, Ranges, format_addresses, parse_cidr};
use crate::packets::{Cube, Dim, Field, readable};
use crate::report::Untrusted;
use crate::source::{Limits, Sources};

/// Lists all packets that pass, as few boxes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files or folders of configurations, - for standard input
    #[arg(value_name = "CONFIG", required = true)]
    pub paths: Vec<PathBuf>,
    /// Only packets from here: a zone of the baseline, an address or prefix, or a remote worker (worker:NAME)
    #[arg(long, value_name = "ZONE|CIDR|worker:NAME")]
    pub from: Option<String>,
    /// Only packets to there
    #[arg(long, value_name = "ZONE|CIDR")]
    pub to: Option<String>,
    /// Only packets of this service: a name, or tcp/443
    #[arg(long)]
    pub service: Option<String>,
    /// The whole way from the one zone to the other, over every device between, instead of each device by itself (as for worker:NAME)
    #[arg(long, requires = "from", requires = "to", conflicts_with = "hook")]
    pub path: bool,
    /// Only packets to (input), through (forward) or from (output) the device
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(["input", "forward", "output"]))]
    pub hook: Option<String>,
    /// Zones and services are those of this baseline
    #[arg(short, long, value_name = "BASELINE")]
    pub baseline: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let origin = args.baseline.clone().map(|b| baseline::find(Some(&b), &args.paths, true)).transpose()?;
    let estate = || origin.as_ref().map_or_else(|| Ok(BTreeSet::new()), baseline::Origin::estate);
    let beside = origin.as_ref().map(baseline::Origin::beside).unwrap_or_default();
    let mut inventory = args.reading.read_with_estate(&args.paths, estate, beside)?;
    let loaded = match &origin {
        Some(o) => Some(o.load(&mut inventory.sources, true)?),
        None => None,
    };
    let redactor = inventory.redactor();
    let code = args.reading.tell(&inventory.incomplete, &inventory.sources, &redactor);
    let zones = loaded.as_ref().map(|b| b.zones.clone()).unwrap_or_default();
    let services = loaded.as_ref().map_or_else(built_in_services, |b| b.services.clone());
    if args.path || args.from.as_deref().is_some_and(|f| f.starts_with(paths::WORKER)) {
        let Some(loaded) = &loaded else {
            return Err(Failure::usage("the whole way is asked with a baseline (-b), which says what the zones are"));
        };
        return paths::run(args, out, &inventory, loaded, &redactor, code);
    }
    let from = args.from.as_deref().map(|t| Place::read(t, &zones)).transpose()?;
    let to = args.to.as_deref().map(|t| Place::read(t, &zones)).transpose()?;
    let service = args.service.as_deref().map(|t| service(t, &services)).transpose()?;
    let mut found = false;
    let mut limits = Vec::new();
    for device in inventory.devices.iter().filter(|d| d.has_filter()) {
        found = true;
        let named: Vec<NamePattern> = zones.iter().flat_map(|z| z.through.iter().chain(z.on.values().flatten())).cloned().collect();
        let analysis = Analysis::new(device, &named, &Limits::default());
        let used = analysis.used_ways();
        for (way, family) in Way::ALL.into_iter().flat_map(|w| Family::BOTH.map(|f| (w, f))) {
            let other = [&from, &to].into_iter().flatten().any(|p| p.is_of_the_other(family));
            if args.hook.as_deref().is_some_and(|h| h != way.name()) || other {
                continue;
            }
            if let Some(missing) = analysis.missing(way, family) {
                if !device.switched_off(family) {
                    out.write(&redactor.scrub(&unknown(&device.name, way, family, &missing, args.json)));
                }
                continue;
            }
            if !used.contains(&(way, family)) {
                continue;
            }
            let arriving = from.as_ref().map_or_else(|| vec![Cube::any()], |p| p.arriving(&analysis, way, family));
            let target = to.as_ref().map_or_else(|| vec![Cube::any()], |p| p.deciding(&analysis, way, family));
            let wanted = service.as_ref().map_or_else(|| vec![Cube::any()], |s| of_service(s, family));
            let deciding = cross(&target, &wanted);
            let query = Query::new(way, family, Want::Accepted);
            match passing(&analysis, query, &arriving, &deciding) {
                Ok(boxes) => {
                    let text = shown(&analysis, way, family, &boxes, &inventory.sources, args.json);
                    out.write(&redactor.scrub(&text));
                }
                Err(limit) => limits.push(format!("{}: {limit}", device.name)),
            }
        }
    }
    if !limits.is_empty() {
        return Err(Failure::Incomplete(limits));
    }
    if !found {
        return Err(Failure::Incomplete(vec!["no packet filter was read".into()]));
    }
    Ok(code)
}

/// A zone, or plain addresses.
enum Place<'z> {
    Zone(&'z Zone),
    Addresses(Family, Ranges),
}

impl<'z> Place<'z> {
    fn read(text: &str, zones: &'z [Zone]) -> Result<Place<'z>, Failure> {
        if let Some(zone) = zones.iter().find(|z| z.name == text) {
            return Ok(Place::Zone(zone));
        }
        match parse_cidr(text) {
            Some((family, lo, hi)) => Ok(Place::Addresses(family, Ranges::interval(lo, hi))),
            None => {
                let hint = suggestion(text, zones.iter().map(|z| z.name.as_str()));
                Err(Failure::usage(format!("{text} is no zone of the baseline (-b) and no address or prefix{hint}")))
            }
        }
    }

    /// Whether no packet of the family has to do with the place.
    fn is_of_the_other(&self, family: Family) -> bool {
        matches!(self, Place::Addresses(f, _) if *f != family)
    }

    fn arriving(&self, analysis: &Analysis<'_>, way: Way, family: Family) -> Vec<Cube> {
        match self {
            Place::Zone(zone) if way != Way::Output => from_zone(analysis, zone, family),
            Place::Zone(zone) => Cube::of(Dim::field(Field::Src), zone.addresses(family).clone(), family).into_iter().collect(),
            Place::Addresses(f, set) if *f == family => Cube::of(Dim::field(Field::Src), set.clone(), family).into_iter().collect(),
            Place::Addresses(..) => Vec::new(),
        }
    }

    fn deciding(&self, analysis: &Analysis<'_>, way: Way, family: Family) -> Vec<Cube> {
        match self {
            Place::Zone(zone) => to_zone(analysis, zone, way, family),
            Place::Addresses(f, set) if *f == family => Cube::of(Dim::field(Field::Dst), set.clone(), family).into_iter().collect(),
            Place::Addresses(..) => Vec::new(),
        }
    }
}

pub(crate) fn service(text: &str, services: &BTreeMap<String, Service>) -> Result<Service, Failure> {
    if let Some(s) = services.get(text) {
        return Ok(s.clone());
    }
    let ports = service_ports(text).map_err(|why| {
        let hint = suggestion(text, services.keys().map(String::as_str));
        Failure::usage(format!("--service {text}: {why}{hint}"))
    })?;
    Ok(Service { name: text.to_owned(), ports: vec![ports], encrypted: None, span: None })
}

/// A way and family of which the export does not show what passes.
fn unknown(device: &str, way: Way, family: Family, missing: &Missing, json: bool) -> String {
    let Missing { what, export } = missing;
    if json {
        let o =
            serde_json::json!({ "device": device, "hook": way.name(), "family": family.name(), "unknown": format!("{what}: {export}") });
        return format!("{o}\n");
    }
    format!("{}: {} {}\n  not known: {what}: {}\n", Untrusted(device), family.name(), way.name(), Untrusted(export))
}

/// The boxes of one way and family, by the line that lets them through.
fn shown(analysis: &Analysis<'_>, way: Way, family: Family, boxes: &[Passing], sources: &Sources, json: bool) -> String {
    let mut by_line: BTreeMap<(Line, Vec<Line>, bool), Vec<Cube>> = BTreeMap::new();
    for b in boxes {
        by_line.entry((b.line, b.via.clone(), b.certain)).or_default().push(b.arriving.clone());
    }
    let device = &analysis.device.name;
    let mut out = String::new();
    if !json {
        out.push_str(&format!("{}: {} {}\n", Untrusted(device), family.name(), way.name()));
        if boxes.is_empty() {
            out.push_str("  nothing passes\n");
        }
    }
    for ((line, via, certain), cubes) in by_line {
        let at = analysis.span(line).map(|s| sources.locate(s));
        let mut words_of = analysis.line_words(line);
        for v in &via {
            words_of.push_str(&format!(", after {}", analysis.line_words(*v)));
        }
        let cubes = readable(&cubes, family);
        if json {
            for cube in &cubes {
                let addresses = |f| format_addresses(family, cube.field(f).unwrap_or(&Ranges::interval(0, family.max_address())));
                let o = serde_json::json!({
                    "device": device, "hook": way.name(), "family": family.name(), "service": words::service_words(cube, family),
                    "from": addresses(Field::Src), "to": addresses(Field::Dst), "certain": certain && !cube.has_conditions(),
                    "box": words::cube_words(cube, way, family, &analysis.space), "rule": words_of, "at": at,
                });
                out.push_str(&format!("{o}\n"));
            }
            continue;
        }
        let at = at.map_or_else(String::new, |a| format!(" ({})", Untrusted(&a)));
        out.push_str(&format!("  by {}{at}{}\n", Untrusted(&words_of), if certain { "" } else { ": perhaps" }));
        for cube in &cubes {
            out.push_str(&format!("    {}\n", Untrusted(&words::cube_words(cube, way, family, &analysis.space))));
        }
    }
    out
}
