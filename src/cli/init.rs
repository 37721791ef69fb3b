//! `fwproof init`: a first baseline from what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::baseline::SCHEMA_FILE;
use super::input::{self, Reading};
use super::output::{self, Output};
use super::{Failure, Outcome};
use crate::model::{Device, Hook, TunnelRole};
use crate::net::{is_global_unicast, to_number};
use crate::rulesets;

/// Writes a first baseline: zones from the interfaces and addresses found, devices into the estate. It is meant to be edited. Its JSON Schema is
/// written beside it, for editors. Nothing is overwritten.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files or folders of configurations
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Where to write; - for standard output [default: baseline.yaml in the first folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let inventory = args.reading.read(&args.paths)?;
    let text = inventory.redactor().scrub(&draft(&inventory.devices));
    let code = args.reading.tell(&inventory.incomplete, &inventory.sources, &inventory.redactor());
    if args.output.as_deref() == Some(Path::new("-")) {
        out.write(&text);
        return Ok(code);
    }
    let path = args.output.clone().unwrap_or_else(|| {
        let folder = input::folders(&args.paths).first().map_or_else(|| PathBuf::from("."), |f| f.to_path_buf());
        folder.join("baseline.yaml")
    });
    let shown = path.display();
    let mut file = fs::File::create_new(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{shown}: is there already, and is not overwritten; -o FILE names another"))
        }
        _ => Failure::usage(format!("{shown}: cannot be written: {e}")),
    })?;
    file.write_all(text.as_bytes()).map_err(|e| Failure::usage(format!("{shown}: cannot be written: {e}")))?;
    // Editors look for the schema there. One that is there is left alone: it may be of another version, and it only helps.
    let schema = path.with_file_name(SCHEMA_FILE);
    if let Ok(mut file) = fs::File::create_new(&schema) {
        let text = serde_json::to_string_pretty(&rulesets::json_schema()).unwrap_or_default() + "\n";
        file.write_all(text.as_bytes()).map_err(|e| Failure::usage(format!("{}: cannot be written: {e}", schema.display())))?;
    }
    if !args.reading.quiet {
        output::say(&format!("wrote {shown}; read it, correct it, then: fwproof check -b {shown}"));
    }
    Ok(code)
}

/// A string of YAML: JSON's strings are such.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::to_string(text).unwrap_or_default() }
}

/// Whether a name can be written in a baseline; others are left for the user to deal with.
fn is_interface(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c))
}

/// Letters, digits and hyphens: what the name of a zone may be made of.
fn zone_name(parts: &[&str]) -> String {
    let joined = parts.join("-").to_lowercase();
    let clean: String = joined.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<&str> = clean.split('-').filter(|w| !w.is_empty()).collect();
    let name = words.join("-");
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("zone-{name}") }
}

#[derive(Default)]
struct ZoneDraft {
    addresses: BTreeSet<String>,
    on: BTreeMap<String, BTreeSet<String>>,
}

fn draft(devices: &[Device]) -> String {
    let mut outside: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut zones: BTreeMap<String, ZoneDraft> = BTreeMap::new();
    for device in devices {
        let default: BTreeSet<&str> =
            device.routes.iter().flatten().filter(|r| r.to.prefix() == 0).filter_map(|r| r.interface.as_deref()).collect();
        for interface in device.interfaces.iter().flatten().filter(|i| i.name != "lo" && is_interface(&i.name)) {
            if default.contains(interface.name.as_str()) {
                outside.entry(device.name.clone()).or_default().insert(interface.name.clone());
                continue;
            }
            let inside = interface.addresses.iter().filter(|a| {
                let (family, n) = to_number(a.ip());
                let link_local = matches!(a.ip(), std::net::IpAddr::V6(v6) if v6.is_unicast_link_local());
                !link_local && (!is_global_unicast(family, n) || a.is_ipv6())
            });
            let networks: BTreeSet<String> = inside.map(|a| format!("{}/{}", a.network(), a.prefix())).collect();
            if !networks.is_empty() {
                let zone = zones.entry(zone_name(&[&device.name, &interface.name])).or_default();
                zone.addresses.extend(networks);
                zone.on.entry(device.name.clone()).or_default().insert(interface.name.clone());
            }
        }
    }
    zones.remove("internet");
    let is_client = |d: &Device| d.tunnels.iter().any(|t| t.role == TunnelRole::Client);
    let forwards = |d: &Device| d.base_chains.iter().any(|b| b.guards(Hook::Forward));
    let (workers, rest): (Vec<&Device>, Vec<&Device>) = devices.iter().partition(|d| is_client(d));
    let firewalls: Vec<&Device> = rest.iter().copied().filter(|d| d.has_filter() && forwards(d)).collect();

    let mut text = String::from(
        "# yaml-language-server: $schema=baseline.schema.json\n\
         # A first baseline, written by `fwproof init` from what was read. It says what is there, not what ought to be:\n\
         # read every line, correct it, and delete these comments. Editors know the words from the schema beside it (`fwproof schema`).\n\
         fwproof: 1\n\
         title: Our network edge\n\
         \n\
         # Shipped sets of checks: customer-data, network-edge, remote-worker (`fwproof explain` lists their checks).\n\
         # customer-data needs a zone of that name, remote-worker a roster under `estate`.\n\
         use: [network-edge]\n\
         \n\
         # Places in the network: their addresses, and behind which interfaces they lie on which device.\n\
         zones:\n",
    );
    if outside.is_empty() {
        text.push_str(
            "  # Which interface faces the internet could not be told (`ip route` was not exported). Say it: on: { edge: [eth0] }\n",
        );
        text.push_str("  internet: { addresses: public }\n");
    } else {
        let _ = writeln!(text, "  internet: {{ addresses: public, on: {} }}", on(&outside));
    }
    for (name, zone) in &zones {
        let addresses: Vec<String> = zone.addresses.iter().map(|a| serde_json::to_string(a).unwrap_or_default()).collect();
        let _ = writeln!(text, "  {name}: {{ addresses: [{}], on: {} }}", addresses.join(", "), on(&zone.on));
    }
    text.push_str(
        "  # customer-data: { addresses: [10.20.0.10] }\n\
         \n\
         # Own names for services; common ones (ssh, https, dns, rdp …) are known.\n\
         # services:\n\
         #   crm: [tcp/8443]\n\
         \n\
         # What must exist, so that a missing or stale export is noticed.\n\
         estate:\n",
    );
    if firewalls.is_empty() {
        text.push_str("  # sites:\n  #   head-office: { firewalls: 1, devices: [edge-fw] }\n  sites: {}\n");
    } else {
        let names: Vec<String> = firewalls.iter().map(|d| quoted(&d.name)).collect();
        let _ = writeln!(text, "  sites:\n    head-office: {{ firewalls: {}, devices: [{}] }}", names.len(), names.join(", "));
    }
    let workers: Vec<String> = workers.iter().map(|d| d.name.clone()).collect();
    if !workers.is_empty() {
        let _ = writeln!(
            text,
            "  # These have a VPN client and look like remote workers: list them in a roster (columns: name, device, role, left)."
        );
        for name in &workers {
            let _ = writeln!(text, "  #   {}", quoted(name));
        }
    }
    text.push_str(
        "  # workers: { roster: staff.csv, each: [host-firewall, vpn-client], exported_within: 30d }\n\
         \n\
         # Checks of your own.\n\
         # checks:\n\
         #   - id: customer-data-need-to-know\n\
         #     title: Only finance reaches customer data\n\
         #     severity: critical\n\
         #     flow: { to: customer-data, only: [{ from: [finance], service: https }] }\n\
         #     why: Customer data is limited to those who need it.\n\
         #     fix: Narrow the rule to the finance network.\n\
         \n\
         # Accepted findings: each with a reason, an owner and the day on which it ends.\n\
         # waivers: waivers.yaml\n",
    );
    text
}

/// `{ edge: [eth0, eth1] }`.
fn on(map: &BTreeMap<String, BTreeSet<String>>) -> String {
    let parts: Vec<String> = map
        .iter()
        .map(|(device, interfaces)| {
            let list: Vec<String> = interfaces.iter().map(|i| quoted(i)).collect();
            format!("{}: [{}]", quoted(device), list.join(", "))
        })
        .collect();
    format!("{{ {} }}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Interface;
    use crate::rulesets::load_text;
    use crate::source::{FileId, Limits, Sources, Span};

    #[test]
    fn the_draft_is_a_valid_baseline_whatever_the_names() {
        let span = Span::new(FileId(0), 0, 0);
        let interface = |name: &str, address: &str| Interface { addresses: vec![address.parse().unwrap()], ..Interface::new(name, span) };
        let device = |name: &str| Device {
            name: name.into(),
            interfaces: Some(vec![interface("eth0", "10.0.0.1/24"), interface("a b: {", "fd00::1/64"), interface("9", "192.0.2.1/24")]),
            ..Device::default()
        };
        for devices in [vec![], vec![device("edge")], vec![device("no"), device("x: [\"\n"), device("internet")]] {
            let text = draft(&devices);
            let loaded = load_text(&mut Sources::default(), "b", &text, &Limits::default());
            assert!(loaded.is_ok(), "{:?}\n{text}", loaded.err());
        }
    }

    #[test]
    fn words_that_yaml_takes_for_something_else_are_quoted() {
        for word in ["no", "True", "1e3", "", "a: b", "#x", "- x"] {
            assert!(quoted(word).starts_with('"'), "{word}");
        }
        assert_eq!(quoted("edge-fw.example"), "edge-fw.example");
    }
}
