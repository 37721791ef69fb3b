//! OpenWrt: the files of `/etc/config` (UCI), `uci export` and `uci show`.
//!
//! [`uci`] makes sections and options with spans of the text; each package then has its own part: [`firewall`] (zones, forwardings, rules,
//! redirections, sets) becomes the chains that fw4 makes of it, [`network`] interfaces, routes and WireGuard, [`services`] what
//! administers the router. Facts are from OpenWrt's documentation of UCI and from fw4 (`firewall4`: `fw4.uc`, `ruleset.uc`), which
//! 22.03 and later have; fw3 of earlier releases differs where the comments say so.

mod firewall;
mod nat;
mod network;
mod rules;
mod services;
#[cfg(test)]
mod tests;
mod uci;
mod values;

use super::{Confidence, Detection, Format, Reader, Role};
use crate::diag::LineState;
use crate::source::SourceFile;

/// The format.
pub static OPENWRT: Format = Format {
    id: "openwrt",
    title: "OpenWrt (UCI)",
    export: "cp /etc/config/firewall /etc/config/network … into the device's folder   (or: uci export > openwrt.uci)",
    covers: &[
        "zones, forwardings, rules, redirections, nat sections, sets, as fw4 loads them",
        "networks, devices, static routes, WireGuard interfaces and peers",
        "dropbear, uhttpd, upnpd, log host",
        "/etc/config, uci export, uci show",
    ],
    leaves: &[
        "scripts and nftables files that are included",
        "the limit on SYN floods (packets above it are dropped)",
        "addresses of networks that are assigned while running",
        "conntrack helpers",
    ],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

/// How much of a file detection looks at, in lines.
const DETECTED: usize = 400;

fn detect(file: &SourceFile) -> Option<Detection> {
    let (mut sections, mut options, mut shown) = (0, 0, 0);
    for line in file.text.lines().take(DETECTED) {
        let line = line.trim();
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            None => {}
            Some(first) if first.starts_with('#') => {}
            // FortiOS has `config` too, and these within.
            Some("set" | "edit" | "next" | "end") => return None,
            Some("config") if words.next().is_some() => sections += 1,
            Some("option" | "list") if sections > 0 && words.next().is_some() => options += 1,
            Some(_) if uci::shown(line).is_some() => shown += 1,
            Some("package") => {}
            Some(_) => return None,
        }
    }
    if sections > 0 && options > 0 {
        Some(Detection { confidence: Confidence::Certain, why: "has sections and options of UCI" })
    } else if shown > 2 {
        Some(Detection { confidence: Confidence::Certain, why: "has lines of `uci show`" })
    } else {
        None
    }
}

/// What a section is about, by the package that it is in, or, where a file of `/etc/config` does not say, by its name or type.
fn package<'s>(file: &'s SourceFile, section: &'s uci::Section) -> &'s str {
    if let Some(package) = &section.package {
        return package;
    }
    let name = file.path.rsplit(['/', '\\']).next().unwrap_or_default();
    let known = ["firewall", "network", "dropbear", "uhttpd", "upnpd", "system"];
    if let Some(known) = known.into_iter().find(|k| *k == name) {
        return known;
    }
    match section.kind.as_str() {
        "defaults" | "zone" | "forwarding" | "rule" | "redirect" | "include" | "ipset" | "nat" => "firewall",
        "interface" | "route" | "route6" | "device" | "globals" | "switch" | "switch_vlan" | "bridge-vlan" => "network",
        kind if kind.starts_with("wireguard_") => "network",
        kind => kind,
    }
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let sections = uci::parse(reader);
    let of = |name: &str| sections.iter().filter(|s| package(file, s) == name).collect::<Vec<_>>();
    let firewall = of("firewall");
    if !firewall.is_empty() {
        firewall::lower(reader, &firewall);
    }
    network::lower(reader, &of("network"));
    services::lower(reader, &of("dropbear"), &of("uhttpd"), &of("upnpd"), &of("system"));
    for section in &sections {
        let known = ["firewall", "network", "dropbear", "uhttpd", "upnpd", "system"].contains(&package(file, section));
        match package(file, section) {
            "openvpn" | "ipsec" | "strongswan" | "sqm" | "mwan3" | "banip" | "adblock" if !known => {
                let matters = matches!(package(file, section), "openvpn" | "ipsec" | "strongswan" | "banip");
                if matters {
                    let text = format!("the package {} is not read", package(file, section));
                    reader.note(section.head, LineState::NotModelled, text);
                }
            }
            _ => {}
        }
        for option in &section.options {
            if uci::is_secret(&option.key) {
                option.values.iter().filter(|v| !v.text.is_empty()).for_each(|v| reader.secret(v.span));
            }
        }
    }
}
