//! Whether everything that must exist does: firewalls of offices, and what remote workers must have.

use std::collections::{BTreeSet, HashMap, HashSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use super::dates::days_between;
use super::select::worker_devices;
use super::vpn::is_vpn_client;
use super::{BodyError, Check, Kind, Names, Outcome, Person, Scope, Spec, Workers, World, body};
use crate::diag::{Finding, Label};
use crate::eval::Way;
use crate::model::{BaseChain, Device, Hook, PolicyAction, Shows};
use crate::net::Family;
use crate::source::Span;

/// The kind.
pub static COVERAGE: Kind = Kind { id: "coverage", page: include_str!("coverage.md"), parse, schema: body::schema_of::<Aspect> };

/// What must be complete.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Aspect {
    /// Every office has as many firewalls as the baseline says.
    FirewallsPerSite,
    /// Every remote worker's device has a host firewall.
    HostFirewalls,
    /// Every remote worker's device has a VPN client.
    VpnClients,
    /// No export of a remote worker's device is too old.
    FreshExports,
    /// Every device that was read belongs to an office or to somebody on the roster.
    KnownDevices,
    /// Nobody who left still has a device.
    Leavers,
    /// What was exported for a remote worker's device is of that device, as far as the exports name their host.
    RightHost,
    /// Nobody's device was exported twice, belongs to two people, or has two programs that manage its firewall.
    NothingTwice,
}

fn parse(value: &Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    Ok(Box::new(Coverage(body::read(value)?)))
}

struct Coverage(Aspect);

impl Check for Coverage {
    fn scope(&self, _: &Spec) -> Scope {
        match self.0 {
            Aspect::FirewallsPerSite => Scope::Once,
            Aspect::RightHost | Aspect::NothingTwice => Scope::Tunnels,
            _ => Scope::Device,
        }
    }

    fn run(&self, world: &World<'_>, _: &Spec) -> Outcome {
        let mut out = Outcome::default();
        match (self.0, &world.workers) {
            (Aspect::FirewallsPerSite, _) => firewalls_per_site(world, &mut out),
            (Aspect::KnownDevices, _) => known_devices(world, &mut out),
            // Without a roster there is nobody to check, and the outcome says so.
            (_, None) => {}
            (Aspect::HostFirewalls, Some(workers)) if workers.host_firewall => each(world, workers, &mut out, host_firewall),
            (Aspect::VpnClients, Some(workers)) if workers.vpn_client => each(world, workers, &mut out, vpn_client),
            // The baseline does not ask for it.
            (Aspect::HostFirewalls | Aspect::VpnClients, Some(_)) => {}
            (Aspect::FreshExports, Some(workers)) if workers.exported_within_days.is_none() => {}
            (Aspect::FreshExports, Some(workers)) => each(world, workers, &mut out, |w, p, d| fresh(w, workers, p, d)),
            (Aspect::Leavers, Some(workers)) => leavers(world, workers, &mut out),
            (Aspect::RightHost, Some(workers)) => right_host(world, workers, &mut out),
            (Aspect::NothingTwice, Some(workers)) => nothing_twice(world, workers, &mut out),
        }
        out
    }
}

fn firewalls_per_site(world: &World<'_>, out: &mut Outcome) {
    for site in &world.sites {
        out.considered.push(site.name.clone());
        let label = Label::new(site.span, "");
        let wanted = count(site.firewalls as usize, "firewall");
        if site.devices.is_empty() && (world.sites.len() > 1 || world.workers.is_none()) {
            let message = format!("which firewalls belong to {} is not said", site.name);
            let cause = Label::new(site.span, "list them under `devices:`");
            out.findings.push(Finding::unknown(message, label, vec![cause]).about(site.name.as_str()));
            continue;
        }
        // The only office has every device that is no remote worker's.
        let (found, wanting): (Vec<&str>, Vec<String>) = if site.devices.is_empty() {
            let workers = worker_devices(world);
            let others = world.judged().iter().filter(|d| !workers.contains(d.name.as_str()));
            (others.filter(|d| d.has_filter()).map(|d| d.name.as_str()).collect(), vec![])
        } else {
            let has = |name: &&String| world.device(name).is_some_and(Device::has_filter);
            let why = |name: &String| match world.device(name) {
                None => format!("nothing was read of {name}"),
                Some(_) => format!("{name} has no packet filter"),
            };
            // A firewall that is listed twice is one.
            let once: BTreeSet<&str> = site.devices.iter().filter(has).map(String::as_str).collect();
            (once.into_iter().collect(), site.devices.iter().filter(|n| !has(n)).map(why).collect())
        };
        if found.len() == site.firewalls as usize {
            continue;
        }
        let which = match (found.is_empty(), wanting.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!(" ({})", found.join(", ")),
            (_, false) => format!(" ({})", wanting.join(", ")),
        };
        let was = if found.len() == 1 { "was" } else { "were" };
        let message = format!("{} must have {wanted}, and {} {was} read{which}", site.name, found.len());
        let mut finding = Finding::new(message, label);
        finding.fix = Some(
            if found.len() < site.firewalls as usize {
                "Export the missing firewall into a folder of its name, or correct the number."
            } else {
                "Find out what the other firewall is for: retire it, or correct the number."
            }
            .into(),
        );
        out.findings.push(finding.about(site.name.as_str()));
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Whether somebody works here on the day of the check.
fn is_staff(world: &World<'_>, person: &Person) -> bool {
    person.left.is_none_or(|left| left > world.as_of)
}

/// Judges every device of the roster whose user has not left.
fn each(world: &World<'_>, workers: &Workers, out: &mut Outcome, judge: impl Fn(&World<'_>, &Person, Option<&Device>) -> Option<Finding>) {
    let devices: HashMap<&str, &Device> = world.devices.iter().map(|d| (d.name.as_str(), d)).collect();
    for person in workers.people.iter().filter(|p| is_staff(world, p)) {
        out.considered.push(person.name.clone());
        if let Some(finding) = judge(world, person, devices.get(person.device.as_str()).copied()) {
            out.findings.push(finding.on(&person.device).about(person.device.as_str()));
        }
    }
    out.considered.sort();
    out.considered.dedup();
}

fn nothing_read(person: &Person) -> Finding {
    let message = format!("nothing was read of {}, the device of {}", person.device, person.name);
    let mut finding = Finding::new(message, Label::new(person.span, ""));
    finding.fix =
        Some(format!("Export its configuration into a folder named {}; or, if the person has left, say so on the roster.", person.device));
    finding
}

/// The place in the baseline or roster, with the files of the device beside it.
fn with_files(world: &World<'_>, mut finding: Finding, device: &Device) -> Finding {
    let files: Vec<&str> = device.files.iter().map(|(id, _)| world.sources.path(*id)).collect();
    if !files.is_empty() {
        finding.primary.text = format!("read: {}", files.join(", "));
    }
    finding
}

/// What the collecting script could not show is not known.
fn not_collected(person: &Person, device: &Device, shows: Shows) -> Option<Finding> {
    let lacking = device.lacks(shows)?;
    let what = if shows == Shows::Filter { "a host firewall" } else { "a VPN client" };
    let message = format!("whether {} has {what} is not known: it could not be collected", device.name);
    let cause = Label::new(lacking.span, lacking.text.clone());
    let mut finding = Finding::unknown(message, Label::new(person.span, ""), vec![cause]);
    finding.fix = Some("Run the collecting script again as an administrator.".into());
    Some(finding)
}

fn host_firewall(world: &World<'_>, person: &Person, device: Option<&Device>) -> Option<Finding> {
    let Some(device) = device else { return Some(nothing_read(person)) };
    let guards = |b: &&BaseChain| b.guards(Hook::Input);
    let stops = |b: &BaseChain| {
        let chain = device.chain(b.chain);
        chain.rules.iter().any(|r| r.enabled) || !matches!(b.policy.action, PolicyAction::Accept)
    };
    let guarded = |family: &Family| device.base_chains.iter().filter(guards).any(|b| b.families.contains(family) && stops(b));
    let (guarded, open): (Vec<Family>, Vec<Family>) = Family::BOTH.into_iter().filter(|f| !device.switched_off(*f)).partition(guarded);
    if let [family, ..] = guarded[..] {
        let open = open.first()?;
        return not_collected(person, device, Shows::Filter).or_else(|| {
            let missing = world.analysis(&device.name).and_then(|a| a.missing(Way::Input, *open));
            let label = Label::new(person.span, "");
            let mut finding = match missing {
                Some(missing) => {
                    let message = format!("whether {} has a host firewall for {} is not known: {}", device.name, open.name(), missing.what);
                    Finding::unknown(message, label.clone(), vec![Label::new(person.span, missing.export)])
                }
                None => {
                    Finding::new(format!("{} has a host firewall for {}, and none for {}", device.name, family.name(), open.name()), label)
                }
            };
            finding.fix = Some(format!("Let the host firewall filter {} as well, and export its rules.", open.name()));
            Some(with_files(world, finding, device))
        });
    }
    if let Some(finding) = not_collected(person, device, Shows::Filter) {
        return Some(finding);
    }
    let message = if device.base_chains.iter().any(|b| guards(&b)) {
        format!("{} has chains for what reaches it, with no rule in them and the policy accept: that is no firewall", device.name)
    } else if device.has_filter() {
        format!("{} has packet-filter rules, but none for what reaches the device itself", device.name)
    } else {
        format!("{} has no host firewall", device.name)
    };
    let mut finding = Finding::new(message, Label::new(person.span, ""));
    finding.fix = Some("Switch the host firewall on, and export its rules.".into());
    Some(with_files(world, finding, device))
}

fn vpn_client(world: &World<'_>, person: &Person, device: Option<&Device>) -> Option<Finding> {
    let Some(device) = device else { return Some(nothing_read(person)) };
    if device.tunnels.iter().any(is_vpn_client) {
        return None;
    }
    if let Some(finding) = not_collected(person, device, Shows::Vpn) {
        return Some(finding);
    }
    let message = format!("{} has no VPN client", device.name);
    let mut finding = Finding::new(message, Label::new(person.span, ""));
    finding.fix = Some("Set up the VPN on the device, and export its configuration.".into());
    Some(with_files(world, finding, device))
}

fn fresh(world: &World<'_>, workers: &Workers, person: &Person, device: Option<&Device>) -> Option<Finding> {
    let limit = i64::from(workers.exported_within_days?);
    // A device of which nothing was read is the finding of other aspects.
    let device = device?;
    let label = Label::new(person.span, "");
    let Some(exported) = world.exported.get(&device.name) else {
        let message = format!("when {} was exported is not known", device.name);
        return Some(Finding::unknown(message, label.clone(), vec![label]));
    };
    let age = days_between(*exported, world.as_of);
    if age < -1 {
        // A day of grace: the export is dated where the device is.
        let message = format!("{} is dated {exported}, a day that is still to come: when it was exported is not known", device.name);
        return Some(with_files(world, Finding::unknown(message, label.clone(), vec![label]), device));
    }
    if age <= limit {
        return None;
    }
    let message = format!("{} was exported {age} days ago, on {exported}; {limit} are allowed", device.name);
    let mut finding = Finding::new(message, label);
    finding.fix = Some("Export the device anew.".into());
    Some(with_files(world, finding, device))
}

fn known_devices(world: &World<'_>, out: &mut Outcome) {
    if world.sites.is_empty() && world.workers.is_none() {
        return;
    }
    let listed: BTreeSet<&str> = world.sites.iter().flat_map(|s| s.devices.iter().map(String::as_str)).collect();
    // A site that lists no devices has whatever is left.
    let open = world.sites.iter().any(|s| s.devices.is_empty());
    let workers = worker_devices(world);
    for device in world.judged() {
        out.considered.push(device.name.clone());
        if open || listed.contains(device.name.as_str()) || workers.contains(device.name.as_str()) {
            continue;
        }
        let span = device.files.first().map(|(id, _)| world.sources.get(*id).line_span(0));
        let Some(span) = span.or_else(|| world.sites.first().map(|s| s.span)) else { continue };
        let mut finding = Finding::new(format!("{} belongs to no site and to nobody on the roster", device.name), Label::new(span, ""));
        finding.fix = Some("Add it to a site under `estate:` or to the roster, or retire it.".into());
        out.findings.push(finding.on(&device.name).about(device.name.as_str()));
    }
}

fn leavers(world: &World<'_>, workers: &Workers, out: &mut Outcome) {
    let in_use: HashSet<&str> = workers.people.iter().filter(|p| is_staff(world, p)).map(|p| p.device.as_str()).collect();
    for person in &workers.people {
        out.considered.push(person.name.clone());
        // The device may have passed to somebody else.
        if is_staff(world, person) || in_use.contains(person.device.as_str()) {
            continue;
        }
        let Some(device) = world.device(&person.device) else { continue };
        let left = person.left.map(|d| d.to_string()).unwrap_or_default();
        let message = format!("{} left on {left}, and {} is still among the devices", person.name, device.name);
        let mut finding = Finding::new(message, Label::new(person.span, ""));
        finding.fix = Some("Take the device back, delete its export, and take its VPN peer off the server.".into());
        out.findings.push(with_files(world, finding, device).on(&device.name).about(person.name.as_str()));
    }
    out.considered.sort();
    out.considered.dedup();
}

/// The first part of a host's name, without regard to case: `LT-7.corp.example` and `lt-7` are one.
fn host(name: &str) -> String {
    name.split('.').next().unwrap_or("").trim().to_lowercase()
}

/// Folders are named for people as often as for hosts, so that a host of another name proves nothing. A host that is somebody else's device on
/// the roster, or that two folders have in common, does.
fn right_host(world: &World<'_>, workers: &Workers, out: &mut Outcome) {
    let owners: HashMap<String, &Person> = workers.people.iter().filter(|p| is_staff(world, p)).map(|p| (host(&p.device), p)).collect();
    let mut seen: HashMap<String, (&Device, Span)> = HashMap::new();
    let mine = worker_devices(world);
    for device in world.judged().iter().filter(|d| mine.contains(d.name.as_str())) {
        let named = device.hostname.as_ref().map(|(name, span)| (host(name), span)).filter(|(name, _)| !name.is_empty());
        let Some((named, span)) = named else {
            out.inapplicable.push(device.name.clone());
            continue;
        };
        out.considered.push(device.name.clone());
        let label = Label::new(*span, "the host that was exported");
        let mut finding = if let Some(owner) = owners.get(&named).filter(|p| p.device != device.name && host(&device.name) != named) {
            let message = format!("what was read of {} is of {}, the device of {}", device.name, owner.device, owner.name);
            let mut finding = Finding::new(message, label);
            finding.related.push(Label::new(owner.span, "on the roster"));
            finding
        } else if let Some((other, first)) = seen.get(&named) {
            let mut finding = Finding::new(format!("what was read of {} and of {} is of one host", device.name, other.name), label);
            finding.related.push(Label::new(*first, "the same host"));
            finding
        } else {
            seen.insert(named, (device, *span));
            continue;
        };
        finding.fix = Some("Export each device into its own folder, on the device itself.".into());
        out.findings.push(finding.on(&device.name).about(format!("host of {}", device.name)));
    }
}

/// Programs that manage the packet filter of a host, by the beginnings of their formats: each overwrites what the other set.
const MANAGERS: [(&str, &str); 3] = [("ufw", "ufw"), ("firewalld", "firewalld"), ("shorewall", "Shorewall")];

fn nothing_twice(world: &World<'_>, workers: &Workers, out: &mut Outcome) {
    let devices: HashMap<&str, &Device> = world.devices.iter().map(|d| (d.name.as_str(), d)).collect();
    // Folders of one name are told apart by the folders above them.
    let mut copies: HashMap<&str, Vec<&Device>> = HashMap::new();
    for device in world.devices {
        if let Some((_, name)) = device.name.rsplit_once('/') {
            copies.entry(name).or_default().push(device);
        }
    }
    let mut users: HashMap<&str, &Person> = HashMap::new();
    for person in workers.people.iter().filter(|p| is_staff(world, p)) {
        out.considered.push(person.name.clone());
        let about = |finding: Finding, what: &str| finding.on(&person.device).about(format!("{} {what}", person.device));
        let label = Label::new(person.span, "");
        if let Some(first) = users.get(person.device.as_str()) {
            let message = format!("{} is the device of {} and of {}", person.device, first.name, person.name);
            let mut finding = Finding::new(message, label);
            finding.related.push(Label::new(first.span, "here too"));
            finding.fix = Some("Give everybody a device of their own; or, if one of them has left, say so on the roster.".into());
            out.findings.push(about(finding, "users"));
            continue;
        }
        users.insert(&person.device, person);
        if let Some(all) = copies.get(person.device.as_str()).filter(|all| all.len() > 1) {
            let names: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
            let message = format!("{} was exported {} times: {}", person.device, names.len(), names.join(", "));
            let mut finding = Finding::new(message, label.clone());
            finding.fix = Some("Keep the newest of these folders.".into());
            out.findings.push(about(finding, "folders"));
        }
        let Some(device) = devices.get(person.device.as_str()) else { continue };
        let managers = MANAGERS.iter().filter(|(start, _)| device.files.iter().any(|(_, format)| format.starts_with(start)));
        let managers: Vec<&str> = managers.map(|(_, name)| *name).collect();
        if managers.len() > 1 {
            let message =
                format!("the firewall of {} is managed by {}: each overwrites what the other sets", device.name, managers.join(" and by "));
            let mut finding = Finding::new(message, label);
            finding.fix = Some("Switch one of them off and take it off the device, then export anew.".into());
            out.findings.push(about(with_files(world, finding, device), "managers"));
        }
    }
    out.considered.sort();
    out.considered.dedup();
}
