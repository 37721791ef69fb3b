//! Administration: services, accounts, log hosts, kernel settings of the firewall.

use ipnetwork::IpNetwork;

use super::Context;
use super::tree::At;
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unsupported};
use crate::model::{Account, Fact, HostSetting, Lockout, LogHost, ManagementProtocol, ManagementService, NamePattern};
use crate::vendors::Reader;

/// The hash of the password `vyos` with which VyOS is shipped (`data/config.boot.default` of vyos-1x), and of `ubnt` with which EdgeOS is (its
/// `config.boot.default`).
const SHIPPED: &[&str] = &[
    "$6$QxPS.uk6mfo$9QBSo8u1FkH16gMyAVhus6fU3LOzvLR9Z9.82m3tiHFAxTtIkhaZSWssSgzt4v4dGAL8rhVQxTg0oAG9/q11h/",
    "$1$zKNoUbAo$gomzUbYvgyUMcD436Wo66.",
];

pub(super) fn lower(reader: &mut Reader<'_>, cx: &Context<'_>) {
    let root = cx.root;
    if let Some(name) = root.get("system").and_then(|s| s.value("host-name")) {
        reader.device.hostname = Some((name.word().to_owned(), name.span()));
    }
    let service = root.get("service");
    let seconds = root.path(&["system", "login"]).and_then(|l| l.value("timeout"));
    let idle = seconds.and_then(|v| v.word().parse().ok().map(|n: u32| Fact::written(Some(n), v.line())));
    if let Some(service) = service {
        ssh(reader, cx, service, idle.clone());
        for (word, protocol, port) in [("telnet", ManagementProtocol::Telnet, 23), ("webgui", ManagementProtocol::Https, 443)] {
            let Some(at) = service.get(word) else { continue };
            let number = at.value("port").and_then(|p| p.word().parse().ok()).unwrap_or(port);
            add(reader, cx, protocol, word, Some(number), at, &at.all("listen-address"), None);
            for quiet in ["allow-root", "vrf"] {
                at.get(quiet).into_iter().for_each(|q| q.mark_all(Understood));
            }
        }
        gui(reader, cx, service);
        https(reader, cx, service);
        snmp(reader, cx, service);
        for word in ["upnp", "upnp2"] {
            let Some(at) = service.get(word) else { continue };
            // `upnp2` and VyOS's `upnp` may also speak NAT-PMP; each is on as soon as it is configured.
            if !at.has("disable") {
                reader.device.management.port_mapping.push(Fact::written(word.to_owned(), at.line()));
            }
            at.mark_all(Understood);
        }
    }
    accounts(reader, root);
    logs(reader, root);
    settings(reader, root);
}

/// The interfaces that have the addresses on which a service listens; `None`: all.
fn interfaces(reader: &mut Reader<'_>, cx: &Context<'_>, listen: &[At<'_>]) -> Option<Vec<NamePattern>> {
    if listen.is_empty() || listen.iter().any(|l| matches!(l.word(), "0.0.0.0" | "::" | "[::]")) {
        return None;
    }
    let _ = reader;
    let mut out = Vec::new();
    for at in listen {
        let name = at.text("interface").map(str::to_owned).or_else(|| cx.addresses.get(&at.word().parse().ok()?).cloned());
        // An address that no interface is known to have may be on any.
        out.push(NamePattern::exact(name?));
    }
    out.dedup();
    Some(out)
}

#[allow(clippy::too_many_arguments, reason = "what a service is made of")]
fn add(
    reader: &mut Reader<'_>,
    cx: &Context<'_>,
    protocol: ManagementProtocol,
    name: &str,
    port: Option<u16>,
    at: At<'_>,
    listen: &[At<'_>],
    idle: Option<Fact<Option<u32>>>,
) {
    let interfaces = interfaces(reader, cx, listen);
    reader.device.management.services.push(ManagementService {
        protocol,
        name: name.to_owned(),
        versions: vec![],
        port,
        interfaces,
        from: None,
        idle_timeout: idle,
        span: at.line(),
    });
}

fn ssh(reader: &mut Reader<'_>, cx: &Context<'_>, service: At<'_>, idle: Option<Fact<Option<u32>>>) {
    let Some(at) = service.get("ssh") else { return };
    let ports = at.all("port");
    let numbers: Vec<Option<u16>> = if ports.is_empty() { vec![Some(22)] } else { ports.iter().map(|p| p.word().parse().ok()).collect() };
    let listen = at.all("listen-address");
    for port in numbers {
        add(reader, cx, ManagementProtocol::Ssh, "ssh", port, at, &listen, idle.clone());
        // EdgeOS: `protocol-version` is `v2` by default, others have to be written; VyOS speaks version 2 alone.
        let versions = match at.text("protocol-version") {
            Some("v1") => vec!["1".to_owned()],
            Some("all") => vec!["1".to_owned(), "2".to_owned()],
            _ => vec!["2".to_owned()],
        };
        if let Some(last) = reader.device.management.services.last_mut() {
            last.versions = versions;
        }
    }
    if let Some(protection) = at.get("dynamic-protection") {
        // Each failed login counts ten (sshguard(8)); 30 and 120 seconds where nothing is written (`service_ssh.xml.in` of vyos-1x).
        let number = |word: &str, default: u32| protection.value(word).and_then(|v| v.word().parse::<u32>().ok()).unwrap_or(default);
        let attempts = number("threshold", 30).div_ceil(10).max(1);
        let lockout = Lockout { attempts: Some(attempts), seconds: Some(number("block-time", 120)) };
        protection.mark_all(Understood);
        reader.device.management.lockout = Some(Fact::written(lockout, protection.line()));
    }
    for part in at.children() {
        part.mark_all(if matches!(part.word(), "vrf" | "access-control" | "allow-root" | "disable-password-authentication") {
            Understood
        } else {
            Irrelevant
        });
    }
}

/// EdgeOS's web interface: TLS on port 443; port 80 only leads there.
fn gui(reader: &mut Reader<'_>, cx: &Context<'_>, service: At<'_>) {
    let Some(at) = service.get("gui") else { return };
    let port = at.value("https-port").and_then(|p| p.word().parse().ok()).unwrap_or(443);
    let listen = at.all("listen-address");
    add(reader, cx, ManagementProtocol::Https, "gui", Some(port), at, &listen, None);
    for part in at.children() {
        part.mark_all(Irrelevant);
    }
}

/// VyOS's HTTP API.
fn https(reader: &mut Reader<'_>, cx: &Context<'_>, service: At<'_>) {
    let Some(at) = service.get("https") else { return };
    let hosts = at.all("virtual-host");
    let api = at.get("api");
    let number = |of: At<'_>| of.value("port").or(of.value("listen-port")).and_then(|p| p.word().parse().ok());
    if hosts.is_empty() {
        let listen = at.all("listen-address");
        add(reader, cx, ManagementProtocol::Https, "https", Some(number(at).unwrap_or(443)), api.unwrap_or(at), &listen, None);
    }
    for host in hosts {
        let listen = host.all("listen-address");
        add(reader, cx, ManagementProtocol::Https, "https", Some(number(host).unwrap_or(443)), host, &listen, None);
    }
    let from: Vec<IpNetwork> =
        at.get("allow-client").into_iter().flat_map(|a| a.all("address")).filter_map(|a| a.word().parse().ok()).collect();
    if !from.is_empty() {
        for service in reader.device.management.services.iter_mut().filter(|s| s.name == "https") {
            service.from = Some(from.clone());
        }
    }
    at.mark_all(Understood);
}

fn snmp(reader: &mut Reader<'_>, cx: &Context<'_>, service: At<'_>) {
    let Some(at) = service.get("snmp") else { return };
    let communities = at.all("community");
    let users = at.get("v3").map(|v| v.all("user")).unwrap_or_default();
    let mut versions = Vec::new();
    let mut from = Some(Vec::new());
    for community in &communities {
        versions = vec!["1".to_owned(), "2c".to_owned()];
        let mut own: Vec<IpNetwork> = Vec::new();
        for source in community.all("network").into_iter().chain(community.all("client")) {
            match source.word().parse() {
                Ok(net) => own.push(net),
                Err(_) => source.note(Unsupported, "no address"),
            }
        }
        match &mut from {
            Some(list) if !own.is_empty() => list.extend(own),
            _ => from = None,
        }
    }
    if !users.is_empty() {
        versions.push("3".to_owned());
        from = None;
    }
    let listen = at.all("listen-address");
    let port = listen.iter().find_map(|l| l.value("port")?.word().parse().ok()).unwrap_or(161);
    // Without a community and without users, the agent answers nobody.
    if !versions.is_empty() {
        add(reader, cx, ManagementProtocol::Snmp, "snmp", Some(port), at, &listen, None);
        if let Some(last) = reader.device.management.services.last_mut() {
            last.versions = versions;
            last.from = from;
        }
    }
    for part in at.children() {
        part.mark_all(if matches!(part.word(), "community" | "v3" | "listen-address") { Understood } else { Irrelevant });
    }
}

fn accounts(reader: &mut Reader<'_>, root: At<'_>) {
    let Some(login) = root.path(&["system", "login"]) else { return };
    for at in login.all("user") {
        let authentication = at.get("authentication");
        let password = |word: &str| authentication.and_then(|a| a.value(word)).map(At::word).filter(|p| !p.is_empty());
        let (plain, hash) = (password("plaintext-password"), password("encrypted-password"));
        let shipped = matches!(at.word(), "vyos" | "ubnt" | "vyatta");
        let default = match (plain, hash) {
            (Some(text), _) if shipped => Some(text == at.word()),
            (_, Some(text)) if SHIPPED.contains(&text) => Some(true),
            // A hash of the shipped password looks like any other.
            (_, Some(text)) if shipped && !text.starts_with(['!', '*']) => None,
            (None, None) if shipped && authentication.is_none_or(|a| !a.has("public-keys")) => None,
            _ => Some(false),
        };
        // A user without any way to log in, or who is switched off, is no account.
        if !at.has("disable") {
            reader.device.management.accounts.push(Account {
                name: at.word().to_owned(),
                shipped,
                default_password: default,
                from: None,
                second_factor: Some(authentication.is_some_and(|a| a.has("otp"))),
                span: at.line(),
            });
        }
        at.mark_all(Understood);
    }
    for word in [
        "radius",
        "radius-server",
        "tacacs",
        "tacacs-plus",
        "banner",
        "timeout",
        "max-login-session",
        "operator-group",
        "command-policy",
        "group",
        "radius-source-address",
    ] {
        login
            .get(word)
            .into_iter()
            .for_each(|w| w.mark_all(if word.starts_with("radius") || word.starts_with("tacacs") { NotModelled } else { Irrelevant }));
    }
}

fn logs(reader: &mut Reader<'_>, root: At<'_>) {
    if root.get("system").is_none() {
        return;
    }
    let mut hosts = Vec::new();
    if let Some(syslog) = root.path(&["system", "syslog"]) {
        for word in ["host", "remote"] {
            for at in syslog.all(word) {
                let tls = at.has("tls");
                let host = at.word();
                // EdgeOS writes a port behind a colon.
                let bare = host.rsplit_once(':').filter(|(h, _)| !h.contains(':')).map_or(host, |(h, _)| h);
                hosts.push(LogHost { address: bare.parse().ok(), text: host.to_owned(), encrypted: Some(tls), span: at.line() });
                at.mark_all(Understood);
            }
        }
        for part in syslog.children() {
            part.mark_all(Irrelevant);
        }
    }
    reader.device.management.log_hosts = Some(hosts);
}

/// Kernel settings that options of the firewall make (`sysctl-firewall.conf.j2` of vyos-1x), and those that are written themselves.
fn settings(reader: &mut Reader<'_>, root: At<'_>) {
    // Name, sysctl, value when enabled, value when disabled.
    const OPTIONS: &[(&str, &str, &str, &str)] = &[
        ("all-ping", "net.ipv4.icmp_echo_ignore_all", "0", "1"),
        ("broadcast-ping", "net.ipv4.icmp_echo_ignore_broadcasts", "0", "1"),
        ("directed-broadcast", "net.ipv4.conf.all.bc_forwarding", "1", "0"),
        ("ip-src-route", "net.ipv4.conf.all.accept_source_route", "1", "0"),
        ("ipv6-receive-redirects", "net.ipv6.conf.all.accept_redirects", "1", "0"),
        ("ipv6-src-route", "net.ipv6.conf.all.accept_source_route", "0", "-1"),
        ("log-martians", "net.ipv4.conf.all.log_martians", "1", "0"),
        ("receive-redirects", "net.ipv4.conf.all.accept_redirects", "1", "0"),
        ("send-redirects", "net.ipv4.conf.all.send_redirects", "1", "0"),
        ("syn-cookies", "net.ipv4.tcp_syncookies", "1", "0"),
        ("twa-hazards-protection", "net.ipv4.tcp_rfc1337", "1", "0"),
    ];
    let firewall = root.get("firewall");
    for at in [firewall, firewall.and_then(|f| f.get("global-options"))].into_iter().flatten() {
        for (word, name, on, off) in OPTIONS {
            let Some(value) = at.value(word) else { continue };
            let text = match value.word() {
                "enable" => on,
                "disable" => off,
                _ => {
                    value.note(Unsupported, "neither enable nor disable");
                    continue;
                }
            };
            reader.device.settings.push(HostSetting { name: (*name).to_owned(), value: (*text).to_owned(), span: value.line() });
        }
        for (word, name) in
            [("source-validation", "net.ipv4.conf.all.rp_filter"), ("ipv6-source-validation", "net.ipv6.conf.all.rp_filter")]
        {
            let Some(value) = at.value(word) else { continue };
            let text = match value.word() {
                "strict" => "1",
                "loose" => "2",
                _ => "0",
            };
            if name.contains("ipv4") {
                reader.device.settings.push(HostSetting { name: name.to_owned(), value: text.to_owned(), span: value.line() });
            }
        }
        at.get("apply-to-bridged-traffic").into_iter().for_each(|a| a.note(NotModelled, "rules for what bridges switch are not modelled"));
    }
    let sysctl = root.path(&["system", "sysctl"]);
    for word in ["custom", "parameter", "all", "default"] {
        for at in sysctl.into_iter().flat_map(|s| s.all(word)) {
            if let Some(value) = at.value("value") {
                reader.device.settings.push(HostSetting { name: at.word().to_owned(), value: value.word().to_owned(), span: at.line() });
            }
        }
    }
    for (word, name) in [("ip", "net.ipv4.ip_forward"), ("ipv6", "net.ipv6.conf.all.forwarding")] {
        if let Some(at) = root.path(&["system", word, "disable-forwarding"]) {
            reader.device.settings.push(HostSetting { name: name.to_owned(), value: "0".to_owned(), span: at.line() });
        }
    }
}
