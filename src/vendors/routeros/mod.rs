//! MikroTik RouterOS: what `/export` writes, of versions 6 and 7, terse, verbose, with and without secrets; and scripts of the same commands.
//!
//! [`parse`] cuts commands, [`tables`] keeps the items of every menu, [`lists`] resolves lists of interfaces and addresses, [`matching`] what rules
//! ask for, [`chains`] makes chains of them, [`dynamics`] adds what the router itself and its scripts change; [`network`], [`management`] and [`vpn`] lower the rest. [`lines`] says which line is what.
//!
//! RouterOS filters with Linux netfilter: raw, mangle, destination translation, filter, source translation, in this order, and what no rule decides
//! about is accepted (help.mikrotik.com, "Packet Flow in RouterOS" and "Filter").

mod chains;
mod dynamics;
mod layer2;
mod lines;
mod lists;
mod management;
mod matching;
mod network;
mod parse;
mod tables;
#[cfg(test)]
mod tests;
mod vpn;

use super::{Confidence, Detection, Format, Reader, Role};
use crate::source::SourceFile;

/// The format.
pub static ROUTEROS: Format = Format {
    id: "routeros",
    title: "MikroTik RouterOS",
    export: "/export file=HOST   (v6: also /export hide-sensitive), and fetch HOST.rsc",
    covers: &[
        "filter, NAT, raw and mangle rules of IPv4 and IPv6, jump and return, in the order of the packet flow",
        "address lists and interface lists, nested and with exceptions; connection states, marks, negation",
        "interfaces, bridges, addresses, static routes, DHCP and PPP clients",
        "services with the addresses that they answer, MAC server, SNMP, accounts, UPnP, log hosts, with the defaults",
        "IPsec with all proposals, WireGuard, L2TP, PPTP, SSTP and OpenVPN",
    ],
    leaves: &[
        "limits, times, contents, layer-7 protocols, hotspot and other conditions that are not in the header (they may or may not hold)",
        "lists that are filled while the router runs, domain names in lists, interface lists of dynamic interfaces",
        "scripts and the rules that hotspots, Kid Control, UPnP and the like make (the tables that they may change are left open)",
        "policy routing, routing protocols, validation of sources (rp-filter), policies of IPsec that discard",
        "traffic within a bridge (filters of bridges and switch chips may drop what they see)",
    ],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

/// How much of a file detection looks at, in lines.
const DETECTED: usize = 300;

fn detect(file: &SourceFile) -> Option<Detection> {
    let found = |confidence, why| Some(Detection { confidence, why });
    if version(file).is_some() {
        return found(Confidence::Certain, "begins as /export of RouterOS does");
    }
    let (mut menus, mut fitting, mut others, mut inside) = (0usize, 0usize, 0usize, false);
    for i in 0..file.line_count().min(DETECTED) {
        let line = file.line(i).trim_start_matches('\u{feff}').trim();
        let continued = std::mem::replace(&mut inside, line.ends_with('\\'));
        if continued || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let first = line.split_whitespace().next().unwrap_or("");
        match line.strip_prefix('/') {
            Some(menu) if lines::is_menu(menu) => menus += 1,
            _ if matches!(first, "add" | "set" | "remove") && (line.contains('=') || line.contains('[')) => fitting += 1,
            _ if line.starts_with([':', '}', '{']) => fitting += 1,
            _ => others += 1,
        }
    }
    (menus > 0 && menus + fitting > others * 2).then_some(())?;
    found(Confidence::Certain, "has menus and commands of RouterOS")
}

/// The version in the header: `# 2024-01-02 03:04:05 by RouterOS 7.12.1`.
fn version(file: &SourceFile) -> Option<(u32, u32)> {
    for i in 0..file.line_count().min(5) {
        let line = file.line(i).trim_start_matches('\u{feff}');
        let Some((_, version)) = line.strip_prefix('#').and_then(|l| l.split_once("by RouterOS ")) else { continue };
        let mut numbers = version.trim().split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
        return Some((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)));
    }
    None
}

/// What an export ends with that was broken off.
const INTERRUPTED: &str = "#interrupted";

/// What all parts of the reader look at.
struct Export {
    tables: tables::Tables,
    /// Version by the header.
    version: Option<(u32, u32)>,
    /// The file shows all that is not a default.
    whole: bool,
}

impl Export {
    fn new(file: &SourceFile, commands: &[parse::Command]) -> Export {
        let version = version(file);
        let interrupted = (0..file.line_count()).any(|i| file.line(i).trim_start().starts_with(INTERRUPTED));
        let whole = version.is_some() && !interrupted && shows_all(commands);
        Export { tables: tables::Tables::new(commands, whole), version, whole }
    }

    fn whole(&self) -> bool {
        self.whole
    }
}

/// Whether an export is that of all menus. `/ip firewall export` has the same header; one of everything also has interfaces, and something of `/ip`
/// beside the firewall: without either, no packet would come in.
fn shows_all(commands: &[parse::Command]) -> bool {
    let any = |fits: fn(&str) -> bool| commands.iter().any(|c| !c.script && fits(&c.menu));
    any(|m| m.starts_with("interface")) && any(|m| m.starts_with("ip ") && !m.starts_with("ip firewall"))
}

fn read(reader: &mut Reader<'_>) {
    let commands = parse::parse(reader.file);
    let mut export = Export::new(reader.file, &commands);
    export.tables.scripted = dynamics::scripted(reader.file, &commands);
    lines::mark(reader, &commands, &export);
    // Version 6 speaks IPv6 only with a package that it is shipped without (wiki.mikrotik.com, "Manual:System/Packages"): where nothing of it is
    // written, there may be no IPv6 at all.
    let speaks_ipv6 = export.version.is_some_and(|v| v.0 >= 7) || export.tables.names().iter().any(|m| m.starts_with("ipv6 "));
    reader.device.exhaustive = export.whole() && speaks_ipv6;
    // Of its kernel's settings, RouterOS shows those that have a name of its own.
    reader.device.no_sysctl = true;
    network::lower(reader, &export);
    let lists = lists::Lists::new(reader, &export);
    chains::lower(reader, &export, &lists);
    management::lower(reader, &export, &lists);
    vpn::lower(reader, &export);
}
