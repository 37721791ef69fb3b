//! Administration: services, accounts, lock-out, log hosts.

use ipnetwork::IpNetwork;

use super::defaults::{self, IDLE_MINUTES, LOCKOUT_ATTEMPTS, LOCKOUT_SECONDS};
use super::domain::Domain;
use super::network::Interfaces;
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::{Account, Fact, HostSetting, Lockout, LogHost, ManagementProtocol, ManagementService, NamePattern};
use crate::net::{Family, Ranges, prefix_bounds};
use crate::source::Span;
use crate::vendors::Reader;

/// From where administrators may log in, if every account is bound to hosts: the login page answers each address that any account trusts
/// (support forum of the vendor, "Trusted hosts question"; technical tip 369617).
#[derive(Default)]
pub(super) struct Admins {
    v4: Option<Ranges>,
    v6: Option<Ranges>,
}

impl Admins {
    pub fn hosts(&self, family: Family) -> Option<&Ranges> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }
}

/// The trusted hosts of an account, all zeros left out: they are the default and mean nothing where others are written.
fn trusted(entry: &Entry<'_>, prefix: &str) -> Vec<IpNetwork> {
    let list = (1..=10).filter_map(|i| {
        let words: Vec<&str> = entry.values(&format!("{prefix}{i}")).iter().map(|w| w.text.as_str()).collect();
        match words.as_slice() {
            [one] => one.parse::<IpNetwork>().ok(),
            [ip, mask] => IpNetwork::new(ip.parse().ok()?, ipnetwork::ipv4_mask_to_prefix(mask.parse().ok()?).ok()?).ok(),
            _ => None,
        }
    });
    list.filter(|n| n.prefix() > 0).collect()
}

/// Lowers `system admin` and `system api-user`.
pub(super) fn accounts(reader: &mut Reader<'_>, domains: &[Domain<'_>], over_v6: bool, full: bool) -> Admins {
    let (mut v4, mut v6): (Option<Vec<IpNetwork>>, Option<Vec<IpNetwork>>) = (Some(vec![]), Some(vec![]));
    let mut any = false;
    let mut bind = |four: &[IpNetwork], six: &[IpNetwork]| {
        any = true;
        for (all, own) in [(&mut v4, four), (&mut v6, six)] {
            match all {
                Some(list) if !own.is_empty() => list.extend_from_slice(own),
                _ => *all = None,
            }
        }
    };
    for domain in domains {
        for entry in domain.table("system admin") {
            let (four, six) = (trusted(&entry, "trusthost"), trusted(&entry, "ip6-trusthost"));
            bind(&four, &six);
            let remote = entry.is("remote-auth", "enable") || entry.is("peer-auth", "enable") || entry.is("wildcard", "enable");
            let second = entry.value("two-factor").unwrap_or("disable");
            let mut from: Vec<IpNetwork> = four.clone();
            from.extend(&six);
            // The lists of both families are apart: an account that is bound in IPv4 is open in IPv6, where something answers over IPv6.
            if (over_v6 || !six.is_empty()) && (four.is_empty() != six.is_empty()) {
                from.extend((if four.is_empty() { "0.0.0.0/0" } else { "::/0" }).parse::<IpNetwork>().ok());
            }
            // The appliance is shipped with the account `admin` and no password; backups show whatever is not as shipped.
            let password = ["password", "old-password"].iter().any(|p| !entry.values(p).is_empty());
            reader.device.management.accounts.push(Account {
                name: entry.name.clone(),
                shipped: entry.name == "admin",
                default_password: if remote || password { Some(false) } else { full.then_some(true) },
                from: (!from.is_empty()).then_some(from),
                second_factor: if remote { None } else { Some(!matches!(second, "disable" | "")) },
                span: entry.first,
            });
        }
        for entry in domain.table("system api-user") {
            let hosts: Vec<IpNetwork> = entry
                .table("trusthost")
                .iter()
                .filter(|t| !t.is("type", "ipv6-trusthost"))
                .filter_map(|t| {
                    let words: Vec<&str> = t.values("ipv4-trusthost").iter().map(|w| w.text.as_str()).collect();
                    match words.as_slice() {
                        [ip, mask] => IpNetwork::new(ip.parse().ok()?, ipnetwork::ipv4_mask_to_prefix(mask.parse().ok()?).ok()?).ok(),
                        [one] => one.parse().ok(),
                        _ => None,
                    }
                })
                .filter(|n: &IpNetwork| n.prefix() > 0)
                .collect();
            bind(&hosts, &[]);
            reader.device.management.accounts.push(Account {
                name: entry.name.clone(),
                shipped: false,
                default_password: None,
                from: (!hosts.is_empty()).then_some(hosts),
                // A key takes the place of a password, and nobody types anything.
                second_factor: None,
                span: entry.first,
            });
        }
    }
    let ranges = |list: Option<Vec<IpNetwork>>| {
        let bounds = |n: &IpNetwork| prefix_bounds(*n);
        list.filter(|l| !l.is_empty()).map(|l| Ranges::from_intervals(l.iter().map(bounds).map(|b| (b.1, b.2)).collect()))
    };
    if any { Admins { v4: ranges(v4), v6: ranges(v6) } } else { Admins::default() }
}

/// Lowers the services for administrators.
pub(super) fn services(reader: &mut Reader<'_>, domains: &[Domain<'_>], interfaces: &Interfaces<'_>, full: bool) {
    let global = domains.iter().find_map(|d| d.section("system global"));
    if let Some(global) = &global {
        hostname_and_settings(reader, global);
    }
    let at = global.as_ref().map_or_else(|| reader.file.line_span(0), |g| g.first);
    let known = full || global.is_some();
    let number = |setting: &str, default: u32| match global.as_ref().and_then(|g| g.number(setting)) {
        Some(n) => Fact::written(n, global.as_ref().map_or(at, |g| g.at(setting))),
        None => Fact::default(default, at),
    };
    if known {
        let (attempts, seconds) = (number("admin-lockout-threshold", LOCKOUT_ATTEMPTS), number("admin-lockout-duration", LOCKOUT_SECONDS));
        let value = Lockout { attempts: Some(attempts.value), seconds: Some(seconds.value) };
        reader.device.management.lockout = Some(Fact { value, default: attempts.default, span: attempts.span });
    }
    let minutes = number("admintimeout", IDLE_MINUTES);
    let idle = known.then_some(Fact { value: Some(minutes.value.saturating_mul(60)), default: minutes.default, span: minutes.span });
    reader.device.management.exhaustive = full && interfaces.shown;
    let setting = |name: &str| global.as_ref().and_then(|g| g.value(name).map(|v| (v.to_owned(), g.at(name))));
    let port = |name: &str, default: u16| setting(name).and_then(|(v, _)| v.parse().ok()).unwrap_or(default);
    let on = |access: &str| {
        let mut found: Vec<(String, Span)> = Vec::new();
        for entry in &interfaces.entries {
            let six = entry.section("ipv6");
            let mut words = entry.values("allowaccess").iter().chain(six.iter().flat_map(|s| s.values("ip6-allowaccess")));
            if let Some(word) = words.find(|w| w.text == access) {
                found.push((entry.name.clone(), word.span));
            }
        }
        found
    };
    let mut out = Vec::new();
    let mut add = |protocol, name: &str, access: &str, versions: &[&str], port: u16, idle: Option<Fact<Option<u32>>>| {
        let found = on(access);
        let Some((_, span)) = found.first().cloned() else { return };
        out.push(ManagementService {
            protocol,
            name: name.to_owned(),
            versions: versions.iter().map(|v| (*v).to_owned()).collect(),
            port: Some(port),
            interfaces: Some(found.into_iter().map(|(n, _)| NamePattern::exact(n)).collect()),
            from: None,
            idle_timeout: idle,
            span,
        });
    };
    add(ManagementProtocol::Https, "https", "https", &[], port("admin-sport", defaults::HTTPS_PORT), idle.clone());
    // HTTP leads to HTTPS by default (`admin-https-redirect`).
    if setting("admin-https-redirect").is_some_and(|(v, _)| v == "disable") {
        add(ManagementProtocol::Http, "http", "http", &[], port("admin-port", defaults::HTTP_PORT), idle.clone());
    }
    let ssh: &[&str] = if setting("admin-ssh-v1").is_some_and(|(v, _)| v == "enable") { &["1", "2"] } else { &["2"] };
    add(ManagementProtocol::Ssh, "ssh", "ssh", ssh, port("admin-ssh-port", defaults::SSH_PORT), idle.clone());
    // On by default (`admin-telnet`), where an interface lets it in.
    if setting("admin-telnet").is_none_or(|(v, _)| v != "disable") {
        add(ManagementProtocol::Telnet, "telnet", "telnet", &[], port("admin-telnet-port", defaults::TELNET_PORT), idle);
    }
    add(ManagementProtocol::Vendor, "fgfm", "fgfm", &[], defaults::FGFM_PORTS.0, None);
    let versions = snmp(domains);
    if let Some(versions) = versions {
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        add(ManagementProtocol::Snmp, "snmp", "snmp", &versions, 161, None);
    }
    reader.device.management.services.extend(out);
    if domains.iter().flat_map(|d| d.table("system accprofile")).any(|p| p.is("admintimeout-override", "enable")) {
        reader.note(at, LineState::NotModelled, "a profile of administrators has an idle timeout of its own, which is not modelled");
    }
}

fn hostname_and_settings(reader: &mut Reader<'_>, global: &Entry<'_>) {
    if let Some(name) = global.value("hostname").filter(|n| !n.is_empty()) {
        reader.device.hostname = Some((name.to_owned(), global.at("hostname")));
    }
    for setting in
        ["strong-crypto", "admin-https-ssl-versions", "admin-ssh-v1", "admin-telnet", "admin-https-redirect", "ssl-min-proto-version"]
    {
        let values: Vec<&str> = global.values(setting).iter().map(|w| w.text.as_str()).collect();
        if !values.is_empty() {
            let name = format!("system.global.{setting}");
            reader.device.settings.push(HostSetting { name, value: values.join(" "), span: global.at(setting) });
        }
    }
}

/// Versions of SNMP that are answered; `None` where it is off, as it is by default (`system snmp sysinfo`, `status`).
fn snmp(domains: &[Domain<'_>]) -> Option<Vec<String>> {
    let on = domains.iter().filter_map(|d| d.section("system snmp sysinfo")).any(|s| s.is("status", "enable"));
    if !on {
        return None;
    }
    let mut versions = Vec::new();
    for community in domains.iter().flat_map(|d| d.table("system snmp community")) {
        // Queries of both versions are on by default (CLI reference, `system snmp community`).
        for (setting, version) in [("query-v1-status", "1"), ("query-v2c-status", "2c")] {
            if !community.is("status", "disable") && !community.is(setting, "disable") {
                versions.push(version.to_owned());
            }
        }
    }
    if domains.iter().any(|d| !d.table("system snmp user").is_empty()) {
        versions.push("3".to_owned());
    }
    versions.sort();
    versions.dedup();
    Some(versions)
}

/// Lowers where log lines are sent.
pub(super) fn log_hosts(reader: &mut Reader<'_>, domains: &[Domain<'_>], full: bool) {
    let mut hosts = Vec::new();
    let mut shown = full;
    for domain in domains {
        shown |= domain.has_any("log syslogd") || domain.has_any("log fortianalyzer");
        for n in ["", "2", "3", "4"] {
            for (kind, analyzer) in [("syslogd", false), ("fortianalyzer", true)] {
                let Some(section) = domain.section(&format!("log {kind}{n} setting")) else { continue };
                // Off by default.
                let Some(server) = section.value("server").filter(|s| !s.is_empty() && section.is("status", "enable")) else { continue };
                let off = section.is("enc-algorithm", "disable");
                // FortiAnalyzer: encrypted by default (`enc-algorithm` high). Syslog: by TLS alone, which needs TCP (`mode reliable`).
                let encrypted =
                    if analyzer { !off } else { section.is("mode", "reliable") && !off && section.value("enc-algorithm").is_some() };
                hosts.push(LogHost {
                    address: server.parse().ok(),
                    text: server.to_owned(),
                    encrypted: Some(encrypted),
                    span: section.at("server"),
                });
            }
        }
        for path in ["log fortiguard setting", "log fortianalyzer-cloud setting"] {
            if let Some(section) = domain.section(path).filter(|s| s.is("status", "enable")) {
                let text = path.split(' ').nth(1).unwrap_or_default().to_owned();
                hosts.push(LogHost { address: None, text, encrypted: Some(true), span: section.at("status") });
            }
        }
    }
    if shown {
        reader.device.management.log_hosts = Some(hosts);
    }
}
