//! What changes while the router runs: by its scripts, and by services that make rules of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::Export;
use super::parse::Command;
use super::tables::Item;
use crate::model::{Direction, Match, NamePattern};
use crate::net::Ranges;
use crate::packets::Field;
use crate::packets::fields::addr_type;
use crate::source::{SourceFile, Span};

/// Menus that are opened where a script may change them.
const OPENED: &[&str] = &[
    "interface bridge filter",
    "interface list",
    "interface list member",
    "ip firewall address-list",
    "ip firewall filter",
    "ip firewall mangle",
    "ip firewall nat",
    "ip firewall raw",
    "ip service",
    "ipv6 firewall address-list",
    "ipv6 firewall filter",
    "ipv6 firewall mangle",
    "ipv6 firewall nat",
    "ipv6 firewall raw",
];

/// Properties whose value is a script, or the name of one (help.mikrotik.com: "Scripting", "Scheduler", "Netwatch", "DHCP", "PPP AAA", "VRRP").
const SCRIPTS: &[&str] = &[
    "down-script",
    "lease-script",
    "on-backup",
    "on-down",
    "on-event",
    "on-fail",
    "on-login",
    "on-logout",
    "on-master",
    "on-up",
    "script",
    "source",
    "test-script",
    "up-script",
];

/// What an export says of a menu that the router failed to export.
pub(super) const NOT_EXPORTED: &str = "#error exporting";

/// The menus that scripts of a file change or may change, and those that are missing, with the place of the first such script.
pub(super) fn scripted(file: &SourceFile, commands: &[Command]) -> BTreeMap<String, Span> {
    let mut out = BTreeMap::new();
    for i in 0..file.line_count() {
        let Some(menu) = file.line(i).trim_start().strip_prefix(NOT_EXPORTED) else { continue };
        let menu = menu.replace('/', " ");
        let words: Vec<&str> = menu.split_whitespace().collect();
        let within = |m: &&&str| !words.is_empty() && words.iter().copied().eq(m.split(' ').take(words.len()));
        OPENED.iter().filter(within).for_each(|m| insert(&mut out, m, file.line_span(i)));
    }
    for command in commands {
        if command.script {
            opens(file.slice(command.span), &command.menu, command.span, &mut out);
        } else if command.verb == "import" || (command.verb == "run" && command.menu == "system script") {
            // Whatever is in there.
            OPENED.iter().for_each(|menu| insert(&mut out, menu, command.span));
        }
        for arg in command.args.iter().filter(|a| SCRIPTS.contains(&a.name.as_str())) {
            opens(&arg.value, "", arg.span, &mut out);
        }
    }
    out
}

fn insert(out: &mut BTreeMap<String, Span>, menu: &str, span: Span) {
    if !out.contains_key(menu) {
        out.insert(menu.to_owned(), span);
    }
}

/// Notes the menus that a script may change: those of which it has all words, the menu that it stands in counted.
fn opens(script: &str, inside: &str, span: Span, out: &mut BTreeMap<String, Span>) {
    let words: BTreeSet<&str> = script.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | ':')).collect();
    let any = |list: &[&str]| list.iter().any(|w| words.contains(w));
    let changes = any(&["add", "set", "remove", "disable", "enable", "move", "unset", "reset"]);
    let runs = any(&["execute", ":execute", "parse", ":parse", "import", "/import"]);
    if !changes && !runs {
        return;
    }
    for menu in OPENED {
        let named = menu.split(' ').all(|w| words.contains(w) || inside.split(' ').any(|i| i == w));
        if named || runs {
            insert(out, menu, span);
        }
    }
}

/// Rules that the router makes by itself, of which only that they may be there is known.
pub(super) struct Made {
    /// What makes them.
    pub what: &'static str,
    /// The packets that they may decide about.
    pub matcher: Match,
    pub span: Span,
    /// They may translate destinations too.
    pub translates: bool,
}

/// What makes rules for packets to the router and through it: hotspots (help.mikrotik.com, "HotSpot": its dynamic rules), limits for children ("Kid
/// Control") and the VPN of MikroTik's cloud ("Back To Home").
pub(super) fn made(export: &Export) -> Vec<Made> {
    let t = &export.tables;
    let mut out = Vec::new();
    for item in t.items("ip hotspot").into_iter().filter(|i| !i.disabled()).take(64) {
        let Some(name) = item.filled("interface") else { continue };
        let on = |direction| Match::Interface(direction, NamePattern::exact(name));
        let matcher = Match::any_of(vec![on(Direction::In), on(Direction::Out)]);
        out.push(Made { what: "rules of a hotspot", matcher, span: item.span, translates: true });
    }
    if let Some(item) = t.items("ip kid-control").into_iter().find(|i| !i.disabled()) {
        out.push(Made { what: "rules of Kid Control", matcher: Match::Any, span: item.span, translates: false });
    }
    if let Some(cloud) = t.settings("ip cloud").filter(|c| c.is("back-to-home-vpn", "enabled")) {
        let span = cloud.at("back-to-home-vpn");
        out.push(Made { what: "rules of Back To Home", matcher: Match::Any, span, translates: true });
    }
    out
}

/// Where UPnP or NAT-PMP is on: packets to the router's own address outside may have their destination translated to a machine inside, and the place
/// of the setting. Both work on the interfaces that are named as external ones (help.mikrotik.com, "UPnP" and "NAT-PMP").
pub(super) fn mappings(export: &Export) -> Option<(Match, Span)> {
    let mut outside = Vec::new();
    let mut span = None;
    for (menu, interfaces) in [("ip upnp", "ip upnp interfaces"), ("ip nat-pmp", "ip nat-pmp interfaces")] {
        let Some(settings) = export.tables.settings(menu).filter(|s| s.on("enabled")) else { continue };
        let external = |i: &&Item| !i.disabled() && i.is("type", "external");
        let names: Vec<&str> =
            export.tables.items(interfaces).into_iter().filter(external).filter_map(|i| i.filled("interface")).take(256).collect();
        if names.is_empty() && export.whole() {
            continue;
        }
        span.get_or_insert(settings.at("enabled"));
        if names.is_empty() {
            outside.push(Match::Interface(Direction::In, NamePattern::prefix("")));
        }
        outside.extend(names.into_iter().map(|n| Match::Interface(Direction::In, NamePattern::exact(n))));
    }
    let transport = Match::Field(Field::Proto, Ranges::from_values([6, 17]));
    let own = Match::Field(Field::DstType, Ranges::single(addr_type::LOCAL));
    span.map(|span| (Match::all(vec![Match::any_of(outside), transport, own]), span))
}
