//! Services for administrators, accounts, log hosts.

use ipnetwork::IpNetwork;

use super::Export;
use super::lists::{INTERFACE_LIST, Lists};
use super::tables::Item;
use crate::diag::LineState;
use crate::model::{Account, Fact, LogHost, ManagementProtocol, ManagementService, NamePattern};
use crate::source::Span;
use crate::vendors::Reader;

/// Services, their ports, and whether they are on by default (help.mikrotik.com, "Services": the ports, and the example's listing, in which only
/// www-ssl is off).
const SERVICES: &[(&str, ManagementProtocol, u16, bool)] = &[
    ("telnet", ManagementProtocol::Telnet, 23, true),
    ("ftp", ManagementProtocol::Ftp, 21, true),
    ("www", ManagementProtocol::Http, 80, true),
    ("ssh", ManagementProtocol::Ssh, 22, true),
    ("www-ssl", ManagementProtocol::Https, 443, false),
    ("api", ManagementProtocol::VendorCleartext, 8728, true),
    ("winbox", ManagementProtocol::Vendor, 8291, true),
    ("api-ssl", ManagementProtocol::Vendor, 8729, true),
];

pub(super) fn lower(reader: &mut Reader<'_>, export: &Export, lists: &Lists) {
    let first = reader.file.line_span(0);
    reader.device.management.exhaustive = export.whole() && export.tables.open("ip service").is_none();
    let written = export.tables.items("ip service");
    for (name, protocol, port, on) in SERVICES {
        let item = written.iter().find(|i| i.is("name", name)).copied();
        // A part of an export does not say what it leaves out.
        let enabled = match item {
            Some(item) if item.get("disabled").is_some() => !item.disabled(),
            Some(_) => *on,
            None => *on && export.whole(),
        };
        if !enabled {
            continue;
        }
        let service = ManagementService {
            protocol: *protocol,
            name: (*name).to_owned(),
            versions: if *name == "ssh" { vec!["2".into()] } else { vec![] },
            port: Some(item.and_then(|i| i.get("port")).and_then(|p| p.parse().ok()).unwrap_or(*port)),
            interfaces: None,
            from: item.and_then(|i| sources(reader, i, if i.value("address").is_some() { "address" } else { "available-from" })),
            idle_timeout: None,
            span: item.map_or(export.tables.span("ip service").unwrap_or(first), |i| i.span),
        };
        reader.device.management.services.push(service);
    }
    // Services that are not known here, as far as they are switched on.
    for item in written.iter().filter(|i| !SERVICES.iter().any(|s| i.is("name", s.0)) && i.off("disabled")) {
        let Some(name) = item.filled("name") else { continue };
        let service = ManagementService {
            protocol: ManagementProtocol::VendorCleartext,
            name: name.to_owned(),
            versions: vec![],
            port: item.get("port").and_then(|p| p.parse().ok()),
            interfaces: None,
            from: sources(reader, item, "address"),
            idle_timeout: None,
            span: item.span,
        };
        reader.device.management.services.push(service);
    }
    for (menu, name) in [("tool mac-server", "mac-telnet"), ("tool mac-server mac-winbox", "mac-winbox")] {
        let items = export.tables.items(menu);
        if items.is_empty() && !export.whole() {
            continue;
        }
        // Before 6.41 there were items, one for each interface or for `all`; the one that the router came with is on (wiki.mikrotik.com, "MAC access").
        if items.iter().any(|i| i.added || i.value("interface").is_some() || i.value("disabled").is_some()) {
            let shipped = items.iter().find(|i| !i.added).is_none_or(|i| !i.disabled() && i.get("interface").is_none_or(|n| n == "all"));
            let on: Vec<&&Item> = items.iter().filter(|i| i.added && !i.disabled()).collect();
            let all = shipped || on.iter().any(|i| i.filled("interface").is_none_or(|n| n == "all"));
            if let Some(span) = on.first().map(|i| i.span).or(items.first().map(|i| i.span)).filter(|_| all || !on.is_empty()) {
                let names = on.iter().filter_map(|i| i.filled("interface")).map(NamePattern::exact).collect();
                mac_service(reader, name, (!all).then_some(names), span);
            }
            continue;
        }
        let settings = export.tables.settings(menu);
        // Without a word of it, all interfaces are allowed (`/export` of routers without a default configuration leaves it out as `all`; the
        // factory's configuration writes LAN).
        let list = settings.and_then(|s| s.filled("allowed-interface-list")).unwrap_or("all");
        let names = lists.names(list);
        if names.as_ref().is_some_and(Vec::is_empty) && list == "none" {
            continue;
        }
        if !matches!(list, "all" | "none" | "static" | "dynamic") {
            let span = settings.map_or(first, |s| s.at("allowed-interface-list"));
            reader.device.names.used(INTERFACE_LIST, list.trim_start_matches('!'), span);
        }
        let interfaces = names.filter(|n| !n.is_empty()).map(|n| n.into_iter().map(NamePattern::exact).collect());
        mac_service(reader, name, interfaces, settings.map_or(first, |s| s.span));
    }
    snmp(reader, export);
    for (menu, name) in [("ip upnp", "UPnP"), ("ip nat-pmp", "NAT-PMP")] {
        if let Some(settings) = export.tables.settings(menu).filter(|s| s.on("enabled")) {
            reader.device.management.port_mapping.push(Fact::written(name.to_owned(), settings.at("enabled")));
        }
    }
    for user in export.tables.items("user").into_iter().filter(|u| !u.disabled()) {
        let Some(name) = user.filled("name") else { continue };
        let account = Account {
            name: name.to_owned(),
            shipped: name == "admin",
            default_password: user.value("password").filter(|v| !v.computed).map(|v| v.text.is_empty()),
            from: sources(reader, user, "address"),
            second_factor: None,
            span: user.span,
        };
        reader.device.management.accounts.push(account);
    }
    logs(reader, export);
}

fn mac_service(reader: &mut Reader<'_>, name: &str, interfaces: Option<Vec<NamePattern>>, span: Span) {
    reader.device.management.services.push(ManagementService {
        protocol: ManagementProtocol::Vendor,
        name: name.to_owned(),
        versions: vec![],
        port: None,
        interfaces,
        from: None,
        idle_timeout: None,
        span,
    });
}

/// The addresses of a list; `None` where it says none, or everything.
fn sources(reader: &mut Reader<'_>, item: &Item, property: &str) -> Option<Vec<IpNetwork>> {
    let list = item.list(property);
    let mut out = Vec::new();
    for text in &list {
        match text.parse::<IpNetwork>() {
            // Everything, of one family or both: the other family has no list then that would keep it out.
            Ok(network) if network.prefix() == 0 => return None,
            Ok(network) => out.push(network),
            Err(_) => {
                reader.note(
                    item.at(property),
                    LineState::NotModelled,
                    "one of these addresses is not understood: all are taken to be let in",
                );
                return None;
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

fn snmp(reader: &mut Reader<'_>, export: &Export) {
    // Off by default (help.mikrotik.com, "SNMP").
    let Some(settings) = export.tables.settings("snmp").filter(|s| s.on("enabled")) else { return };
    let communities: Vec<&Item> = export.tables.items("snmp community").into_iter().filter(|c| !c.disabled()).collect();
    let shipped = communities.iter().any(|c| !c.added) || export.tables.items("snmp community").iter().any(|c| !c.added);
    let mut versions: Vec<String> = Vec::new();
    // The community that it is shipped with has no security and answers everybody, and an export leaves it out where it was not changed.
    let open = communities.iter().any(|c| c.filled("security").is_none_or(|s| s == "none")) || !shipped;
    if open {
        versions.extend(["1".to_owned(), "2c".to_owned()]);
    }
    if communities.iter().any(|c| c.filled("security").is_some_and(|s| s != "none")) {
        versions.push("3".to_owned());
    }
    let mut from = Some(Vec::new());
    for community in &communities {
        match (sources(reader, community, "addresses"), &mut from) {
            (Some(list), Some(all)) => all.extend(list),
            _ => from = None,
        }
    }
    if !shipped {
        from = None;
    }
    reader.device.management.services.push(ManagementService {
        protocol: ManagementProtocol::Snmp,
        name: "snmp".into(),
        versions,
        port: Some(161),
        interfaces: None,
        from: from.filter(|f| !f.is_empty()),
        idle_timeout: None,
        span: settings.at("enabled"),
    });
}

fn logs(reader: &mut Reader<'_>, export: &Export) {
    let actions = export.tables.items("system logging action");
    let mut used: Vec<(&str, Span)> = Vec::new();
    for rule in export.tables.items("system logging").into_iter().filter(|r| !r.disabled()) {
        if let Some(action) = rule.filled("action") {
            used.push((action, rule.span));
        }
    }
    used.sort_by(|a, b| a.0.cmp(b.0));
    used.dedup_by(|a, b| a.0 == b.0);
    let mut by_name: std::collections::HashMap<&str, &Item> = std::collections::HashMap::new();
    for action in &actions {
        let key = if action.is("#", "3") && action.get("name").is_none() { Some("remote") } else { action.filled("name") };
        if let Some(key) = key {
            by_name.entry(key).or_insert(action);
        }
    }
    let mut hosts = Vec::new();
    for (name, _) in used {
        // The fourth of the actions that every router has is `remote` (`/export verbose`: `set 3 name=remote target=remote`).
        let action = by_name.get(name).copied();
        let Some(action) = action.filter(|a| a.is("target", "remote") || a.get("target").is_none()) else { continue };
        let Some(remote) = action.value("remote").filter(|v| !matches!(v.text.as_str(), "" | "0.0.0.0" | "::")) else { continue };
        hosts.push(LogHost {
            address: remote.text.parse().ok(),
            text: remote.text.clone(),
            encrypted: Some(action.get("remote-protocol").is_some_and(|p| p == "tls")),
            span: remote.span,
        });
    }
    if export.whole() || !hosts.is_empty() {
        reader.device.management.log_hosts = Some(hosts);
    }
}
