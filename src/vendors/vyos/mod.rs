//! VyOS, EdgeOS (Ubiquiti) and Vyatta: `config.boot` and `set` commands, from the firewall of EdgeOS to that of VyOS 1.5.
//!
//! [`parse`] makes a [`tree`] of words of either spelling. [`groups`] resolves groups, [`matching`] what rules ask, [`rules`] makes rulesets of them, [`chains`]
//! hangs those on interfaces, hooks and zones, [`nat`] lowers translation. [`network`], [`management`], [`ipsec`] and [`tunnels`] lower the rest;
//! [`sections`] says what concerns no check, [`secrets`] what is never shown.
//!
//! There are three firewalls ([`Era`]): that of Vyatta on iptables (EdgeOS, VyOS up to 1.3), the same language on nftables (the first of 1.4), and the one
//! with chains on hooks (since 1.4). What they do is in Vyatta's `vyatta-firewall.pl` and `Rule.pm`, and in `firewall.py` and `nftables.j2` of vyos-1x.

mod chains;
mod groups;
mod ipsec;
mod management;
mod matching;
mod nat;
mod network;
mod parse;
mod rules;
mod secrets;
mod sections;
#[cfg(test)]
mod tests;
mod tree;
mod tunnels;
mod values;

use std::collections::HashMap;
use std::net::IpAddr;

use groups::Groups;
use network::Port;
use tree::At;

use super::{Confidence, Detection, Format, Reader, Role};
use crate::model::{Action, Match, Rule};
use crate::net::Ranges;
use crate::packets::Field;
use crate::source::SourceFile;

/// The format.
pub static VYOS: Format = Format {
    id: "vyos",
    title: "VyOS, EdgeOS",
    export: "show configuration commands   (or: cat /config/config.boot)",
    covers: &[
        "rulesets on interfaces (EdgeOS, VyOS to 1.3), on hooks with jumps (since 1.4), and between zones, with state policies and default actions",
        "groups of addresses, networks, ports, interfaces and MAC addresses, nested and negated",
        "source, destination and static translation, nat66, load balancing; service nat and port-forward of EdgeOS",
        "interfaces with VLANs, PPPoE and DHCP, static routes, exemptions from connection tracking, marks of policy routes",
        "WireGuard, OpenVPN, IPsec with all proposals, L2TP, PPTP, SSTP, OpenConnect",
        "SSH, telnet, HTTP API and GUI, SNMP, accounts, log hosts, UPnP",
    ],
    leaves: &[
        "domain, remote and dynamic groups, countries, times, rates, `recent`, IPsec and helper matches (conditions that may or may not hold)",
        "the firewall of bridges, zones of VRFs, queues, synproxy, carrier-grade translation",
        "whether a packet came in fragments, where connections are tracked (it is taken for whole)",
        "which way packets take by policy routes, load balancing and routing protocols",
        "what `auto-firewall-nat-exclude` lets through for IPsec (it may or may not)",
    ],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

/// The mark that nftables-based releases give to fragments before they are put together (`VYOS_FRAG_MARK` in `nftables.j2`).
const FRAGMENT_MARK: u128 = 0xffff1;

/// Which firewall a configuration is written for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Era {
    /// iptables: EdgeOS, VyOS up to 1.3.
    Old,
    /// nftables with the old language: the first releases of 1.4.
    Middle,
    /// Chains on hooks: since 1.4.
    New,
}

impl Era {
    fn nftables(self) -> bool {
        self != Era::Old
    }

    /// By what is written; where that is the same in several, by the version of the firewall's syntax (`firewall@11` came with the hooks, `@6` with
    /// nftables: migration scripts of vyos-1x).
    fn of(root: At<'_>, file: &SourceFile) -> Era {
        let firewall = root.get("firewall");
        let has = |words: &[&str]| firewall.is_some_and(|f| words.iter().any(|w| f.has(w)));
        if has(&["ipv4", "ipv6", "global-options", "flowtable", "bridge"]) {
            return Era::New;
        }
        match version(file) {
            Some(11..) => Era::New,
            Some(6..) => Era::Middle,
            Some(_) => Era::Old,
            None if has(&["interface"]) => Era::Middle,
            None if has(&["zone"]) && !has(&["name", "ipv6-name"]) => Era::New,
            None if has(&["zone"]) => Era::Middle,
            None => Era::Old,
        }
    }
}

/// How many lines at the end of a file are searched for its versions.
const FOOTER: usize = 12;

/// The line that says with which versions of its parts a configuration was saved.
fn footer(file: &SourceFile) -> Option<&str> {
    let count = file.line_count();
    let is = |l: &&str| l.contains("vyatta-config-version:") || l.contains("vyos-config-version:");
    (count.saturating_sub(FOOTER)..count).map(|i| file.line(i)).find(is)
}

fn version(file: &SourceFile) -> Option<u32> {
    let line = footer(file)?;
    let list = line.split('"').nth(1)?;
    list.split(':').find_map(|part| part.strip_prefix("firewall@")).and_then(|n| n.parse().ok())
}

/// What all parts of the reader need.
struct Context<'t> {
    root: At<'t>,
    era: Era,
    groups: Groups<'t>,
    interfaces: Vec<Port<'t>>,
    /// Which interface has an address.
    addresses: HashMap<IpAddr, String>,
    /// All of the firewall is shown: what is not bound to anything passes.
    whole: bool,
    /// Accepting hands back to the ruleset that jumped here.
    returns: bool,
}

impl Context<'_> {
    /// What `accept` in a ruleset is. Before the hooks it was `return`: that is the same where rulesets are only reached from interfaces and zones, and
    /// another thing where a ruleset jumps to them (`nft_action` of vyos-1x).
    fn accept(&self) -> Action {
        if self.returns { Action::Return } else { Action::Accept }
    }
}

/// How much of a file detection looks at, in lines.
const DETECTED: usize = 400;

/// Words behind `set`, or of a section and its first block, that only these systems have together.
fn own(first: &str, second: &str) -> bool {
    match first {
        "interfaces" => matches!(
            second,
            "ethernet"
                | "loopback"
                | "bonding"
                | "bridge"
                | "dummy"
                | "geneve"
                | "input"
                | "l2tpv3"
                | "macsec"
                | "openvpn"
                | "pppoe"
                | "pseudo-ethernet"
                | "sstpc"
                | "switch"
                | "tunnel"
                | "virtual-ethernet"
                | "vti"
                | "vxlan"
                | "wireguard"
                | "wireless"
                | "wwan"
                | "wirelessmodem"
        ),
        "firewall" => matches!(
            second,
            "all-ping"
                | "broadcast-ping"
                | "bridge"
                | "config-trap"
                | "flowtable"
                | "global-options"
                | "group"
                | "interface"
                | "ipv4"
                | "ipv6"
                | "ip-src-route"
                | "ipv6-name"
                | "ipv6-receive-redirects"
                | "ipv6-src-route"
                | "log-martians"
                | "modify"
                | "name"
                | "options"
                | "receive-redirects"
                | "send-redirects"
                | "source-validation"
                | "state-policy"
                | "syn-cookies"
                | "twa-hazards-protection"
                | "zone"
        ),
        "nat" => matches!(second, "source" | "destination" | "static" | "cgnat"),
        "nat66" => matches!(second, "source" | "destination"),
        "zone-policy" => second == "zone",
        "port-forward" => matches!(second, "auto-firewall" | "hairpin-nat" | "lan-interface" | "rule" | "wan-interface"),
        "high-availability" => matches!(second, "vrrp" | "virtual-server"),
        "load-balancing" => second == "wan",
        "service" => matches!(
            second,
            "ssh"
                | "dhcp-server"
                | "gui"
                | "nat"
                | "dns"
                | "https"
                | "lldp"
                | "snmp"
                | "ntp"
                | "router-advert"
                | "conntrack-sync"
                | "unms"
                | "ubnt-discover"
        ),
        "system" => matches!(
            second,
            "config-management" | "console" | "conntrack" | "task-scheduler" | "offload" | "static-host-mapping" | "option"
        ),
        "vpn" => matches!(second, "ipsec" | "l2tp" | "pptp" | "sstp" | "openconnect"),
        "protocols" => second == "static",
        "pki" => matches!(second, "ca" | "certificate" | "key-pair" | "openvpn"),
        _ => false,
    }
}

fn detect(file: &SourceFile) -> Option<Detection> {
    if footer(file).is_some() {
        return Some(Detection {
            confidence: Confidence::Certain,
            why: "ends with the versions of its parts, as VyOS and EdgeOS write them",
        });
    }
    let (mut commands, mut blocks, mut others) = (0, 0, 0);
    let mut section = "";
    for i in 0..file.line_count().min(DETECTED) {
        let line = file.line(i).trim_start_matches('\u{feff}');
        // Statements of Junos end so, and those of other routers do not begin a section at the margin.
        if line.trim_end().ends_with(';') {
            return None;
        }
        let indented = line.starts_with([' ', '\t']);
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("set"), Some(first), Some(second)) if !indented => {
                if own(first, second) {
                    commands += 1
                } else if !parse::TOP.contains(&first) {
                    others += 1
                }
            }
            (Some("set" | "delete" | "commit" | "save" | "configure" | "exit"), _, _) => {}
            (Some(first), Some("{"), None) if !indented && parse::TOP.contains(&first) => {
                section = parse::TOP.iter().find(|t| **t == first).copied().unwrap_or_default();
            }
            (Some(first), _, _) if indented && own(section, first) => blocks += 1,
            (Some(_), _, _) if !indented && line.trim() != "}" && !line.starts_with(['#', '/', '*']) => others += 1,
            _ => {}
        }
    }
    if commands > 0 && commands > others {
        return Some(Detection { confidence: Confidence::Certain, why: "has commands \"set\" of VyOS or EdgeOS" });
    }
    (blocks > 0 && others <= blocks)
        .then_some(Detection { confidence: Confidence::Certain, why: "has sections in braces of VyOS or EdgeOS" })
}

fn read(reader: &mut Reader<'_>) {
    let tree = parse::parse(reader);
    let root = tree.root();
    secrets::hide(reader, root);
    let era = Era::of(root, reader.file);
    let interfaces = network::ports(root);
    network::interfaces(reader, root, &interfaces);
    network::routes(reader, root);
    let own = network::own(reader);
    let groups = Groups::new(reader, root.get("firewall"), own);
    let jumps = era == Era::Middle && jumps(root);
    let list = reader.device.interfaces.iter().flatten();
    let addresses = list.flat_map(|i| i.addresses.iter().map(|n| (n.ip(), i.name.clone()))).collect();
    // A part of a configuration may leave out what is there; a whole one has interfaces, on which rulesets are bound.
    let sections = root.has("interfaces") && ["system", "firewall", "zone-policy"].iter().any(|s| root.has(s));
    let whole = footer(reader.file).is_some() || sections || (era == Era::New && root.has("firewall"));
    let cx = Context { root, era, groups, interfaces, addresses, whole, returns: jumps };
    let received = ipsec::let_in(reader, &cx);
    let mut forwarded = nat::let_in(&cx);
    forwarded.extend(ipsec::let_through(reader, &cx));
    chains::lower(reader, &cx, &forwarded, &received);
    nat::lower(reader, &cx);
    ipsec::lower(reader, &cx);
    tunnels::lower(reader, &cx);
    management::lower(reader, &cx);
    reader.device.exhaustive = cx.whole;
    reader.device.management.exhaustive = footer(reader.file).is_some() || (root.has("interfaces") && root.has("system"));
    reader.device.reads_fragments = era.nftables();
    sections::mark(root);
    tree.finish(reader);
}

/// Whether a ruleset jumps to another.
fn jumps(root: At<'_>) -> bool {
    let sets = ["name", "ipv6-name"].into_iter().flat_map(|w| root.path(&["firewall"]).map(|f| f.all(w)).unwrap_or_default());
    sets.flat_map(|s| s.all("rule")).any(|r| r.is("action", "jump"))
}

/// A rule for packets of a protocol and port to the device or through it.
fn opened(
    protocol: u8,
    ports: Option<Ranges>,
    from: Option<Match>,
    to: Option<Match>,
    action: Action,
    what: &'static str,
    at: At<'_>,
) -> Rule {
    let mut parts = vec![Match::Field(Field::Proto, Ranges::single(protocol.into()))];
    parts.extend(ports.map(|p| Match::Field(Field::Dport, p)));
    parts.extend(from);
    parts.extend(to);
    Rule::implied(what, Match::all(parts), action, at.line())
}
