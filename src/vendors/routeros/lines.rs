//! Which line is what, and where secrets stand.

use std::collections::{BTreeMap, BTreeSet};

use super::dynamics::NOT_EXPORTED;
use super::parse::{Arg, Command};
use super::tables::holds_rules;
use super::{Export, INTERRUPTED};
use crate::diag::LineState;
use crate::source::Span;
use crate::vendors::Reader;

/// The first words of menus (help.mikrotik.com, the tree of the manual; packages included).
const ROOTS: &[&str] = &[
    "app",
    "caps-man",
    "certificate",
    "console",
    "container",
    "disk",
    "dude",
    "environment",
    "file",
    "interface",
    "iot",
    "ip",
    "ipv6",
    "log",
    "lora",
    "lcd",
    "metarouter",
    "mpls",
    "openflow",
    "partitions",
    "port",
    "ppp",
    "queue",
    "radius",
    "routing",
    "snmp",
    "special-login",
    "store",
    "system",
    "task",
    "tool",
    "tr069-client",
    "user",
    "user-manager",
    "zerotier",
];

/// Menus that are lowered: these very ones.
const LOWERED: &[&str] = &[
    "interface",
    "interface 6to4",
    "interface bonding",
    "interface bridge",
    "interface bridge filter",
    "interface bridge port",
    "interface bridge settings",
    "interface ethernet switch acl",
    "interface ethernet switch rule",
    "interface eoip",
    "interface ethernet",
    "interface gre",
    "interface gre6",
    "interface ipip",
    "interface l2tp-client",
    "interface l2tp-server",
    "interface l2tp-server server",
    "interface list",
    "interface list member",
    "interface lte",
    "interface lte apn",
    "interface macvlan",
    "interface ovpn-client",
    "interface ovpn-server",
    "interface ovpn-server server",
    "interface pppoe-client",
    "interface pptp-client",
    "interface pptp-server",
    "interface pptp-server server",
    "interface sstp-client",
    "interface sstp-server",
    "interface sstp-server server",
    "interface veth",
    "interface vlan",
    "interface vrrp",
    "interface vxlan",
    "interface wireguard",
    "interface wireguard peers",
    "interface wireless",
    "interface wifi",
    "interface wifiwave2",
    "ip address",
    "ip cloud",
    "ip dhcp-client",
    "ip dns",
    "ip firewall address-list",
    "ip firewall connection tracking",
    "ip firewall filter",
    "ip firewall mangle",
    "ip firewall nat",
    "ip firewall raw",
    "ip hotspot",
    "ip ipsec identity",
    "ip ipsec peer",
    "ip ipsec peer profile",
    "ip ipsec policy",
    "ip ipsec profile",
    "ip ipsec proposal",
    "ip nat-pmp",
    "ip proxy",
    "ip route",
    "ip service",
    "ip settings",
    "ip socks",
    "ip ssh",
    "ip upnp",
    "ipv6 address",
    "ipv6 dhcp-client",
    "ipv6 firewall address-list",
    "ipv6 firewall filter",
    "ipv6 firewall mangle",
    "ipv6 firewall nat",
    "ipv6 firewall raw",
    "ipv6 route",
    "ipv6 settings",
    "radius",
    "snmp",
    "snmp community",
    "system identity",
    "system logging",
    "system logging action",
    "tool mac-server",
    "tool mac-server mac-winbox",
    "user",
];

/// Menus that are not modelled, and may change which packets go where or who may log in.
const OPEN: &[(&str, &str)] = &[
    ("interface bridge nat", "translation within a bridge is not modelled"),
    ("ip accounting web-access", "the accounting page is not modelled"),
    ("ip firewall calea", "interception is not modelled"),
    ("ip hotspot", "users and profiles of hotspots are not modelled"),
    ("ip kid-control", "Kid Control is not modelled: it may drop what passes through"),
    ("ip route rule", "policy routing is not modelled"),
    ("ip route vrf", "routing tables are not modelled"),
    ("ip smb", "file sharing is not modelled"),
    ("ip tftp", "TFTP is not modelled"),
    ("ip vrf", "routing tables are not modelled"),
    ("mpls", "MPLS is not modelled"),
    ("ppp", "profiles and users of PPP are not modelled"),
    ("routing", "routing protocols and routing tables are not modelled"),
    ("system scheduler", "scripts are not run"),
    ("system script", "scripts are not run"),
    ("tool netwatch", "scripts are not run"),
    ("tool romon", "RoMON is not modelled"),
    ("user aaa", "accounts on other servers are not modelled"),
    ("user-manager", "the RADIUS server of the router is not modelled"),
    ("container", "containers are not modelled"),
    ("zerotier", "ZeroTier is not modelled"),
];

/// Whether the text behind a slash begins as a menu.
pub(super) fn is_menu(text: &str) -> bool {
    let first = text.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or("");
    // `interface` alone would also be a path of other systems.
    ROOTS.contains(&first)
}

/// Marks every command's lines.
pub(super) fn mark(reader: &mut Reader<'_>, commands: &[Command], export: &Export) {
    let mut said: BTreeSet<&str> = BTreeSet::new();
    let mut script_said = false;
    let mut broken: BTreeSet<Span> = BTreeSet::new();
    for command in commands {
        secrets(reader, command);
        if command.script {
            if std::mem::replace(&mut script_said, true) {
                reader.mark(command.span, LineState::NotModelled);
            } else {
                reader.note(command.span, LineState::NotModelled, "commands of the scripting language are not run");
            }
            continue;
        }
        // Other commands come from another file.
        if command.verb == "import" || (command.verb == "run" && command.menu == "system script") {
            reader.note(command.span, LineState::NotModelled, "what this command runs is not in the file: it may change anything");
            continue;
        }
        if command.broken {
            let text = "this command cannot be read: a quote or bracket is not closed, or it is no command of RouterOS";
            reader.note(command.span, LineState::Unrecognised, text);
            broken.insert(command.span);
            continue;
        }
        let menu = command.menu.as_str();
        let root = menu.split(' ').next().unwrap_or("");
        if menu.is_empty() || root == "export" {
            reader.mark(command.span, LineState::Irrelevant);
        } else if !ROOTS.contains(&root) {
            reader.note(command.span, LineState::Unrecognised, "this menu is not known");
        } else if LOWERED.contains(&menu) {
            reader.mark(command.span, LineState::Understood);
        } else if let Some((_, why)) =
            OPEN.iter().find(|(m, _)| menu == *m || (menu.starts_with(m) && menu.as_bytes().get(m.len()) == Some(&b' ')))
        {
            let quiet = command.verb.is_empty() || !said.insert(why);
            if quiet { reader.mark(command.span, LineState::NotModelled) } else { reader.note(command.span, LineState::NotModelled, *why) }
        } else {
            reader.mark(command.span, LineState::Irrelevant);
        }
    }
    for i in 0..reader.file.line_count() {
        let line = reader.file.line(i).trim_start();
        if line.starts_with(NOT_EXPORTED) {
            reader.note(reader.file.line_span(i), LineState::NotModelled, "the router could not export this menu");
        } else if line.starts_with(INTERRUPTED) {
            let text = "the export was interrupted: what would follow is not known";
            reader.incomplete(reader.file.line_span(i), LineState::Unsupported, text);
        } else if line.trim_start_matches('\u{feff}').starts_with('#') {
            reader.mark(reader.file.line_span(i), LineState::Irrelevant);
        }
    }
    for (menu, span) in &export.tables.unsure {
        let text = "which items this command changes cannot be told from the file: what it makes of its menu is not known";
        // What becomes of these menus is a condition.
        if broken.contains(span) {
            reader.incomplete(*span, LineState::Unrecognised, "without this command, what its menu holds is not known");
        } else if holds_rules(menu) || menu.starts_with("interface list") {
            reader.note(*span, LineState::Unsupported, text);
        } else if LOWERED.contains(&menu.as_str()) {
            reader.incomplete(*span, LineState::Unsupported, text);
        }
    }
    let mut by_place: BTreeMap<Span, Vec<&str>> = BTreeMap::new();
    for (menu, span) in &export.tables.scripted {
        by_place.entry(*span).or_default().push(menu);
    }
    for (span, menus) in by_place.into_iter().filter(|(span, _)| !reader.file.slice(*span).trim_start().starts_with('#')) {
        let text = format!("scripts are not run: this one may change {}, which is not known then", menus.join(", "));
        reader.note(span, LineState::NotModelled, text);
    }
}

/// Whether a property holds a secret, by its name.
fn is_secret(menu: &str, arg: &Arg) -> bool {
    let name = arg.name.as_str();
    let parts = [
        "password",
        "secret",
        "passphrase",
        "private-key",
        "preshared",
        "pre-shared-key",
        "static-key",
        "auth-key",
        "authentication-key",
        "md5-key",
        "protection-key",
        "private-pre",
        "token",
        "eap-identity",
        "community",
        "encryption-key",
    ];
    let telling =
        parts.iter().any(|p| name.contains(p)) || (menu == "snmp community" && name == "name") || (name == "pin" || name == "key");
    let setting = ["-length", "-login", "-method", "-authentication", "-file", "-version"].iter().any(|s| name.ends_with(s));
    // `public` is what every device is shipped with.
    let word = ["", "yes", "no", "none", "public", "radius", "disabled", "default"].contains(&arg.value.as_str());
    telling && !setting && !word && !arg.value.bytes().all(|c| c == b'*')
}

fn secrets(reader: &mut Reader<'_>, command: &Command) {
    for arg in command.args.iter().filter(|a| is_secret(&command.menu, a)) {
        reader.secret(arg.at);
        // What stands on several lines is a secret on each.
        let text = reader.file.slice(arg.at);
        if text.contains('\n') {
            let mut at = arg.at.start as usize;
            let mut pieces = Vec::new();
            for piece in text.split('\n') {
                let inner = piece.trim().trim_end_matches('\\').trim();
                if let Some(offset) = piece.find(inner).filter(|_| inner.len() > 3) {
                    pieces.push(Span::new(arg.at.file, at + offset, at + offset + inner.len()));
                }
                at += piece.len() + 1;
            }
            pieces.into_iter().for_each(|p| reader.secret(p));
        }
    }
    // `password=a"b` and the like: selectors may name secrets too.
    for arg in command.args.iter().filter(|a| a.bracket) {
        if let Some((_, value)) = arg.value.split_once("password=").or(arg.value.split_once("secret=")) {
            let value = value.split_whitespace().next().unwrap_or("").trim_matches('"');
            if let Some(offset) = reader.file.slice(arg.span).find(value).filter(|_| !value.is_empty()) {
                let start = arg.span.start as usize + offset;
                reader.secret(Span::new(arg.span.file, start, start + value.len()));
            }
        }
    }
}
