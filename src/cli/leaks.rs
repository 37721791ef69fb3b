//! `fwproof leaks`: what leaves a device outside its VPN.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;

use super::input::Reading;
use super::output::Output;
use super::{Failure, Outcome, baseline};
use crate::checks::vpn::leaks::{Leaks, State, Subject, Why, beyond_the_link, name_servers, wanted_inside};
use crate::checks::{Workers, Zone, likely_hits, witness};
use crate::diag::Witness;
use crate::eval::flow::{Query, Want};
use crate::eval::plain::{box_words, opening_boxes, without};
use crate::eval::{Analysis, Limit, Line, Way, words};
use crate::model::NamePattern;
use crate::net::{Family, Ranges, format_addresses};
use crate::packets::{Cube, Dim, Field, readable};
use crate::report::Untrusted;
use crate::source::{Limits, Sources};

/// Lists what leaves each device outside its VPN, while that is up and while it is down: routes, VPN client and host firewall together. What the
/// VPN itself needs (its packets to the server, DHCP) is no leak.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "With -b, what `estate: workers: tunnelled:` leaves out of the tunnel on purpose is told apart from what should be in it."
)]
pub(crate) struct Args {
    /// Files or folders of configurations, - for standard input
    #[arg(value_name = "CONFIG", required = true)]
    pub paths: Vec<PathBuf>,
    /// What belongs in the tunnel is declared in this baseline
    #[arg(short, long, value_name = "BASELINE")]
    pub baseline: Option<PathBuf>,
    /// As JSON, one object a line
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
    let workers = loaded.as_ref().and_then(|b| b.workers.as_ref());
    let mut found = false;
    let mut limits = Vec::new();
    for device in &inventory.devices {
        let named: Vec<NamePattern> = zones.iter().flat_map(|z| z.through.iter().chain(z.on.values().flatten())).cloned().collect();
        let analysis = Analysis::new(device, &named, &Limits::default());
        let subject = Subject { devices: &inventory.devices, analysis: &analysis };
        let asked = workers.is_none_or(|w| w.people.iter().any(|p| p.device == device.name));
        if subject.clients().is_empty() || !asked {
            continue;
        }
        found = true;
        let page = Page { subject, sources: &inventory.sources, workers, zones: &zones, json: args.json };
        let text = page.device(&mut limits);
        out.write(&redactor.scrub(&text));
    }
    if !limits.is_empty() {
        return Err(Failure::Incomplete(limits));
    }
    if !found {
        return Err(Failure::Incomplete(vec!["no VPN client was read".into()]));
    }
    Ok(code)
}

struct Page<'p, 'a> {
    subject: Subject<'p, 'a>,
    sources: &'p Sources,
    workers: Option<&'p Workers>,
    zones: &'p [Zone],
    json: bool,
}

/// Packets that one line lets out.
struct Group {
    line: Line,
    certain: bool,
    /// They should be in the tunnel.
    wanted: bool,
    cubes: Vec<Cube>,
    /// What the VPN itself needs and the same line lets out: people's boxes are not cut around it.
    own: Vec<Cube>,
}

impl Page<'_, '_> {
    fn device(&self, limits: &mut Vec<String>) -> String {
        let device = self.subject.analysis.device;
        let mut out = String::new();
        if !self.json {
            let tunnels: Vec<String> =
                self.subject.clients().iter().map(|t| format!("{} {}", t.kind.name(), Untrusted(t.title()))).collect();
            out.push_str(&format!("{}: {}\n", Untrusted(&device.name), tunnels.join(", ")));
        }
        for state in State::ALL {
            if !self.json {
                out.push_str(&format!("  while the VPN is {}\n", state.name()));
            }
            for family in Family::BOTH {
                match self.subject.leaks(family, state) {
                    Ok(leaks) => match self.leaks(&leaks, family, state) {
                        Ok(text) => out.push_str(&text),
                        Err(limit) => limits.push(format!("{}: {limit}", device.name)),
                    },
                    Err(Why::NotExported(missing)) => {
                        out.push_str(&self.not_known(family, state, &format!("{}: {}", missing.what, missing.export)));
                    }
                    Err(Why::Limit(limit)) => limits.push(format!("{}: {limit}", device.name)),
                }
            }
            if state == State::Up {
                out.push_str(&self.names());
            }
        }
        out
    }

    fn not_known(&self, family: Family, state: State, why: &str) -> String {
        let device = &self.subject.analysis.device.name;
        if self.json {
            let o = json!({ "device": device, "vpn": state.name(), "family": family.name(), "unknown": why });
            return format!("{o}\n");
        }
        format!("    {}: not known: {}\n", family.name(), Untrusted(why))
    }

    fn leaks(&self, leaks: &Leaks, family: Family, state: State) -> Result<String, Limit> {
        let mut out = String::new();
        for label in &leaks.unknown {
            let at = self.sources.locate(label.span);
            out.push_str(&self.not_known(family, state, &format!("{} ({at})", label.text)));
        }
        if self.json && leaks.boxes.is_empty() && leaks.unknown.is_empty() {
            let device = &self.subject.analysis.device.name;
            out.push_str(&format!("{}\n", json!({ "device": device, "vpn": state.name(), "family": family.name(), "leaks": false })));
        }
        if !self.json {
            let text = match (leaks.own_rule, leaks.boxes.is_empty()) {
                (Some(span), _) => {
                    format!(
                        "nothing leaves outside the tunnel, until it is taken down on purpose ({})",
                        Untrusted(&self.sources.locate(span))
                    )
                }
                (None, true) if leaks.unknown.is_empty() => "nothing leaves outside the tunnel".into(),
                (None, true) => "nothing is known to leave outside the tunnel".into(),
                (None, false) => "leaves outside the tunnel".into(),
            };
            out.push_str(&format!("    {}: {text}\n", family.name()));
            if state == State::Up && leaks.local_routes_unknown && leaks.own_rule.is_none() {
                out.push_str("      and what the network around it routes more exactly: no routes were exported (ip route, ip -6 route)\n");
            }
        }
        for group in self.groups(leaks, family) {
            out.push_str(&self.group(&group, family, state)?);
        }
        Ok(out)
    }

    /// The boxes by what the baseline says of them and by the line that lets them out.
    fn groups(&self, leaks: &Leaks, family: Family) -> Vec<Group> {
        let inside = wanted_inside(self.workers, self.zones, family);
        let mut by: BTreeMap<(bool, Line, bool), [Vec<Cube>; 2]> = BTreeMap::new();
        for (b, own) in leaks.boxes.iter().map(|b| (b, 0)).chain(leaks.own.iter().map(|b| (b, 1))) {
            for (wanted, set) in [(true, inside.clone()), (false, inside.complement(family.max_address()))] {
                if let Some(cube) = b.arriving.with(Dim::field(Field::Dst), &set, family) {
                    by.entry((!wanted, b.line, b.certain && !cube.has_conditions())).or_default()[own].push(cube);
                }
            }
        }
        let leaking = by.into_iter().filter(|(_, [cubes, _])| !cubes.is_empty());
        leaking.map(|((declared, line, certain), [cubes, own])| Group { line, certain, wanted: !declared, cubes, own }).collect()
    }

    /// The boxes without what goes without saying here: that they leave outside the tunnel, and that addresses of the link itself are none of their
    /// destinations.
    fn plain(&self, cubes: &[Cube], family: Family) -> Vec<Cube> {
        let link = beyond_the_link(family).complement(family.max_address());
        let outside = self.subject.outside(family);
        let one = |mut cube: Cube| {
            if cube.field(Field::Oif).is_some_and(|s| outside.is_subset(s)) {
                cube = without(cube, Field::Oif, family);
            }
            let wide = cube.field(Field::Dst).filter(|s| s.intervals().len() > 1).map(|s| (s.intervals().len(), s.or(&link)));
            match wide.filter(|(before, wide)| wide.intervals().len() <= *before) {
                Some((_, wide)) => cube.replaced(Dim::field(Field::Dst), Some(wide), family).unwrap_or(cube),
                None => cube,
            }
        };
        let opening = opening_boxes(cubes, Way::Output, family, &self.subject.analysis.space).unwrap_or_default();
        readable(&opening.into_iter().map(one).collect::<Vec<_>>(), family)
    }

    fn witness(&self, cubes: &[Cube], family: Family) -> Result<Option<Witness>, Limit> {
        let query = Query::new(Way::Output, family, Want::Accepted);
        let found = likely_hits(self.subject.analysis, query, cubes, &[Cube::any()])?;
        Ok(found.best().map(|hit| witness(self.subject.analysis, hit, Way::Output, family)))
    }

    fn group(&self, group: &Group, family: Family, state: State) -> Result<String, Limit> {
        let analysis = self.subject.analysis;
        let at = analysis.span(group.line).map(|s| self.sources.locate(s));
        let rule = analysis.line_words(group.line);
        let mut out = String::new();
        if !self.json {
            let at = at.as_ref().map_or_else(String::new, |a| format!(" ({})", Untrusted(a)));
            let perhaps = if group.certain { "" } else { ": perhaps" };
            let declared = if group.wanted { "" } else { ", as the baseline declares" };
            out.push_str(&format!("      by {}{at}{declared}{perhaps}\n", Untrusted(&rule)));
            let cubes: Vec<Cube> = group.cubes.iter().chain(&group.own).cloned().collect();
            for cube in self.plain(&cubes, family) {
                out.push_str(&format!("        {}\n", Untrusted(&box_words(&cube, Way::Output, family, &analysis.space))));
            }
            if let Some(w) = self.witness(&group.cubes, family)? {
                out.push_str(&format!("        for instance {}\n", Untrusted(&w.words)));
            }
            return Ok(out);
        }
        for cube in &readable(&group.cubes, family) {
            let text = words::cube_words(cube, Way::Output, family, &analysis.space);
            let shown = self.witness(&group.cubes.iter().filter_map(|c| c.and(cube)).collect::<Vec<_>>(), family)?;
            {
                let to = format_addresses(family, cube.field(Field::Dst).unwrap_or(&Ranges::interval(0, family.max_address())));
                let packet = shown.and_then(|w| serde_json::from_str::<serde_json::Value>(&w.packet).ok());
                let o = json!({
                    "device": analysis.device.name, "vpn": state.name(), "family": family.name(), "leaks": true, "declared": !group.wanted,
                    "service": words::service_words(cube, family), "to": to, "certain": group.certain, "box": text, "packet": packet,
                    "rule": rule, "at": at,
                });
                out.push_str(&format!("{o}\n"));
            }
        }
        Ok(out)
    }

    /// Where names are looked up while the VPN is up.
    fn names(&self) -> String {
        let mut out = String::new();
        for family in Family::BOTH {
            for (server, inside, span) in name_servers(&self.subject, family) {
                let at = self.sources.locate(span);
                if self.json {
                    let device = &self.subject.analysis.device.name;
                    let o = json!({ "device": device, "vpn": "up", "name_server": server.to_string(), "inside": inside, "at": at });
                    out.push_str(&format!("{o}\n"));
                } else {
                    let way = if inside { "through the tunnel" } else { "outside the tunnel" };
                    out.push_str(&format!("    names: {server} is asked {way} ({})\n", Untrusted(&at)));
                }
            }
        }
        if out.is_empty() && !self.json {
            out.push_str("    names: the VPN sets no name server; whatever the local network offers is asked\n");
        }
        out
    }
}
