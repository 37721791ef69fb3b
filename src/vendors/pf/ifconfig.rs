//! `ifconfig` of OpenBSD, FreeBSD and macOS: interfaces with their addresses and groups.
//!
//! What rules of pf call the addresses of an interface (`em0:network`, `self`) or a group of interfaces (`egress`) become sets of these names.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::IpNetwork;

use super::matching::group_set;
use crate::diag::LineState;
use crate::model::{Interface, NamePattern, NamedSet, SetElement, SetValue};
use crate::net::{Family, Ranges, prefix_bounds, to_number};
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static IFCONFIG: Format = Format {
    id: "ifconfig",
    title: "ifconfig (OpenBSD, FreeBSD, macOS)",
    export: "ifconfig -a > HOST.ifconfig   (OpenBSD: ifconfig -A)",
    covers: &["interface names, addresses with prefix, broadcast and peer addresses, groups, administrative state"],
    leaves: &["media, options, link-layer addresses, VLAN and bridge members"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

fn detect(file: &SourceFile) -> Option<Detection> {
    let (mut headers, mut details, mut other) = (0, 0, 0);
    for line in file.text.lines().take(300).filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        match header(line) {
            Some(_) => headers += 1,
            None if line.starts_with(['\t', ' ']) => details += 1,
            None => other += 1,
        }
    }
    let why = "has interfaces with flags as ifconfig prints them";
    match () {
        _ if headers > 0 && details > 0 && other == 0 => Some(Detection { confidence: Confidence::Certain, why }),
        _ if headers > 0 && other <= headers => Some(Detection { confidence: Confidence::Weak, why }),
        _ => None,
    }
}

/// `em0: flags=8843<UP,…> metric 0 mtu 1500`: name, and whether it is up.
fn header(line: &str) -> Option<(&str, bool)> {
    let (name, rest) = line.split_once(": flags=")?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let flags = rest.split_once('<')?.1.split_once('>')?.0;
    Some((name, flags.split(',').any(|f| f == "UP")))
}

/// An address with what the rules may call by it.
struct Address {
    net: IpNetwork,
    broadcast: Option<IpAddr>,
    peer: Option<IpAddr>,
    /// Not the first of its family, or (IPv6) link-local: left out by `:0`.
    alias: bool,
}

#[derive(Default)]
struct Read {
    addresses: Vec<Address>,
    groups: Vec<String>,
    span: Option<Span>,
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut details: Vec<Read> = Vec::new();
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span);
        if let Some((name, up)) = header(text) {
            interfaces.push(Interface { up: Some(up), ..Interface::new(name, span) });
            details.push(Read { span: Some(span), ..Read::default() });
            reader.mark(span, LineState::Understood);
            continue;
        }
        let mut words = text.split_ascii_whitespace();
        let first = words.next().unwrap_or("");
        if first.is_empty() || text.starts_with('#') {
            continue;
        }
        let (Some(interface), Some(detail)) = (interfaces.last_mut(), details.last_mut()) else {
            reader.note(span, LineState::Unrecognised, "this line is not one of ifconfig");
            continue;
        };
        match first {
            "inet" | "inet6" => match address(words) {
                Some(mut a) => {
                    a.alias = detail.addresses.iter().any(|b| b.net.is_ipv4() == a.net.is_ipv4()) || is_link_local(a.net.ip());
                    interface.addresses.push(a.net);
                    detail.addresses.push(a);
                    reader.mark(span, LineState::Understood);
                }
                None => reader.note(span, LineState::Unrecognised, "this is not an address as ifconfig prints it"),
            },
            "groups:" => {
                detail.groups.extend(words.map(str::to_owned));
                reader.mark(span, LineState::Understood);
            }
            "description:" => {
                let text = text.trim_start().trim_start_matches("description:").trim();
                if !text.is_empty() {
                    interface.aliases.push(text.to_owned());
                }
                reader.mark(span, LineState::Understood);
            }
            // A key of WireGuard that OpenBSD shows to root.
            "wgkey" | "wgpsk" => {
                reader.secret(span);
                reader.mark(span, LineState::Irrelevant);
            }
            _ if text.starts_with(['\t', ' ']) => reader.mark(span, LineState::Irrelevant),
            _ => reader.note(span, LineState::Unrecognised, "this line is not one of ifconfig"),
        }
    }
    // Descriptions that several interfaces share name none of them.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for alias in interfaces.iter().flat_map(|i| &i.aliases) {
        *seen.entry(alias.clone()).or_default() += 1;
    }
    for interface in &mut interfaces {
        interface.aliases.retain(|a| seen.get(a) == Some(&1));
    }
    sets(reader, &mut interfaces, &details);
    reader.device.interfaces = Some(interfaces);
}

/// `192.0.2.1 netmask 0xffffff00 broadcast 192.0.2.255`, `10.0.0.1 --> 10.0.0.2 netmask 0xffffffff`, `2001:db8::1 prefixlen 64`,
/// `192.0.2.1/24 broadcast …` (FreeBSD with `-f inet:cidr`).
fn address<'t>(mut words: impl Iterator<Item = &'t str>) -> Option<Address> {
    let first = words.next()?;
    let (ip, mut bits) = match first.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits.parse().ok()?)),
        None => (first, None),
    };
    let ip: IpAddr = ip.split('%').next()?.parse().ok()?;
    let (mut broadcast, mut peer) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "netmask" => {
                let hex = words.next()?;
                let mask = match hex.strip_prefix("0x") {
                    Some(hex) => Ipv4Addr::from(u32::from_str_radix(hex, 16).ok()?),
                    None => hex.parse().ok()?,
                };
                bits = Some(ipnetwork::ipv4_mask_to_prefix(mask).ok()?);
            }
            "prefixlen" => bits = Some(words.next()?.parse().ok()?),
            "broadcast" => broadcast = words.next()?.parse().ok(),
            "-->" => peer = words.next()?.split(['%', '/']).next()?.parse().ok(),
            _ => {}
        }
    }
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    let net = IpNetwork::new(ip, bits.unwrap_or(whole)).ok()?;
    Some(Address { net, broadcast, peer, alias: false })
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

/// The sets of addresses of each interface, each group and the host, and of the interfaces of each group.
fn sets(reader: &mut Reader<'_>, interfaces: &mut [Interface], details: &[Read]) {
    let mut named: BTreeMap<String, Vec<(&Address, Span)>> = BTreeMap::new();
    let mut members: BTreeMap<String, Vec<(String, Span)>> = BTreeMap::new();
    let mut groups_of: BTreeMap<&str, usize> = BTreeMap::new();
    for group in details.iter().flat_map(|d| &d.groups) {
        *groups_of.entry(group).or_default() += 1;
    }
    for (interface, detail) in interfaces.iter_mut().zip(details) {
        let Some(span) = detail.span else { continue };
        let own = [interface.name.clone(), "self".to_owned()];
        for name in own.iter().chain(&detail.groups) {
            named.entry(name.clone()).or_default().extend(detail.addresses.iter().map(|a| (a, span)));
        }
        for name in std::iter::once(&interface.name).chain(&detail.groups) {
            members.entry(name.clone()).or_default().push((interface.name.clone(), span));
        }
        // A group of one interface is another name for it.
        interface.aliases.extend(detail.groups.iter().filter(|g| groups_of.get(g.as_str()) == Some(&1)).cloned());
    }
    let device = &mut reader.device;
    for (name, list) in &members {
        let elements = list.iter().map(|(member, span)| SetElement {
            values: vec![SetValue::Interface(NamePattern::exact(member.clone()))],
            excluded: false,
            span: *span,
        });
        let Some((_, span)) = list.first() else { continue };
        device.sets.push(NamedSet { name: group_set(name).into(), span: *span, elements: elements.collect(), dynamic: false });
    }
    for (name, list) in &named {
        let Some((_, span)) = list.first() else { continue };
        for part in ["", ":network", ":broadcast", ":peer", ":0", ":network:0"] {
            let mut intervals: [Vec<(u128, u128)>; 2] = [Vec::new(), Vec::new()];
            for (address, _) in list.iter().filter(|(a, _)| !part.ends_with(":0") || !a.alias) {
                let single = |ip: IpAddr| {
                    let (family, n) = to_number(ip);
                    (family, n, n)
                };
                let found = match part {
                    ":network" | ":network:0" => Some(prefix_bounds(address.net)),
                    ":broadcast" => address.broadcast.map(single),
                    ":peer" => address.peer.map(single),
                    _ => Some(single(address.net.ip())),
                };
                if let Some((family, lo, hi)) = found {
                    intervals[usize::from(family == Family::V6)].push((lo, hi));
                }
            }
            for negated in [false, true] {
                let mut elements = Vec::new();
                for (family, list) in [Family::V4, Family::V6].into_iter().zip(&intervals) {
                    if list.is_empty() {
                        continue;
                    }
                    // Negated and without parentheses, each address is a rule of its own: what any of them matches.
                    let ranges = if negated {
                        let each = list.iter().map(|(lo, hi)| Ranges::interval(*lo, *hi).complement(family.max_address()));
                        each.fold(Ranges::EMPTY, |sum, r| sum.or(&r))
                    } else {
                        Ranges::from_intervals(list.clone())
                    };
                    elements.push(SetElement { values: vec![SetValue::Address(family, ranges)], excluded: false, span: *span });
                }
                let prefix = if negated { "! " } else { "" };
                device.sets.push(NamedSet { name: format!("{prefix}{name}{part}").into(), span: *span, elements, dynamic: false });
            }
        }
    }
}
