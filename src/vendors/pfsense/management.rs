//! Who administers the device, and how.

use super::Dialect;
use super::lower::Lowering;
use super::tree::{Text, Tree, parts};
use crate::diag::LineState;
use crate::model::{Account, Fact, Lockout, LogHost, ManagementProtocol, ManagementService, NamePattern};
use crate::source::Span;
use crate::syntax::xml::Element;

/// Minutes after which an idle session of the web interface ends where nothing is written: help text of "Session Timeout" in
/// `system_usermanager_settings.php` of pfSense and `system_advanced_admin.php` of OPNsense.
const SESSION_MINUTES: u32 = 240;
/// pfSense watches logins with sshguard since 2.4.4, whose threshold is 30 points at 10 for each failed login, and which blocks for 120 seconds at
/// first (sshguard(8); `system_syslogd_get_globals` of pfSense).
const ATTEMPTS: u32 = 3;
const BLOCKED_SECONDS: u32 = 120;
/// Version of the configuration of pfSense 2.4.4.
const SSHGUARD_SINCE: f64 = 18.9;

impl<'d> Lowering<'_, '_, 'd> {
    pub fn management(&mut self) {
        let Some(system) = self.root.child("system") else { return };
        self.reader.device.management.exhaustive = true;
        self.web(system);
        self.ssh(system);
        self.snmp();
        self.accounts(system);
        self.logs();
        self.lockout(system);
        if let Some((span, _)) = self.upnp() {
            self.reader.device.management.port_mapping.push(Fact::written("miniupnpd".into(), span));
        }
    }

    fn listening(&mut self, list: Option<Text<'d>>) -> Option<Vec<NamePattern>> {
        let list = list?;
        let found: Vec<NamePattern> = parts(&list.text).filter_map(|n| self.ifaces.resolve(n)).flatten().collect();
        (!found.is_empty()).then_some(found)
    }

    fn web(&mut self, system: Element<'d>) {
        let gui = system.child("webgui");
        let protocol = gui.and_then(|g| g.value("protocol"));
        let https = protocol.as_ref().is_some_and(|p| p.is(&["https"]));
        let span = protocol.as_ref().map(|p| p.span).or(gui.map(|g| g.tag_span())).unwrap_or(system.tag_span());
        let port = gui.and_then(|g| g.value("port")).and_then(|p| p.text.parse().ok());
        let timeout = gui.and_then(|g| g.value("session_timeout")).or_else(|| system.value("session_timeout"));
        let idle = match timeout.as_ref().and_then(|t| Some((t.text.parse::<u32>().ok()?, t.span))) {
            // pfSense: 0 never ends a session.
            Some((0, span)) => Fact::written(None, span),
            Some((minutes, span)) => Fact::written(Some(minutes.saturating_mul(60)), span),
            None => Fact::default(Some(SESSION_MINUTES * 60), span),
        };
        let interfaces = self.listening(gui.and_then(|g| g.value("interfaces")));
        let service = ManagementService {
            protocol: if https { ManagementProtocol::Https } else { ManagementProtocol::Http },
            name: "the web interface".into(),
            versions: vec![],
            port: Some(port.unwrap_or(if https { 443 } else { 80 })),
            interfaces,
            from: None,
            idle_timeout: Some(idle),
            span,
        };
        self.reader.device.management.services.push(service);
    }

    fn ssh(&mut self, system: Element<'d>) {
        let Some(span) = self.ssh_enabled() else { return };
        let ssh = system.child("ssh");
        let port = ssh.and_then(|s| s.value("port")).and_then(|p| p.text.parse().ok()).unwrap_or(22);
        let interfaces = self.listening(ssh.and_then(|s| s.value("interfaces")));
        let service = ManagementService {
            protocol: ManagementProtocol::Ssh,
            name: "SSH".into(),
            // OpenSSH since 7.6 knows nothing else.
            versions: vec!["2".into()],
            port: Some(port),
            interfaces,
            from: None,
            idle_timeout: None,
            span,
        };
        self.reader.device.management.services.push(service);
        for (name, setting) in
            [("passwordauth", "ssh.password-authentication"), ("permitrootlogin", "ssh.permit-root-login"), ("sshdkeyonly", "ssh.key-only")]
        {
            if let Some(child) = ssh.and_then(|s| s.child(name)).or_else(|| system.child(name)) {
                let text = child.text();
                let value = if text.is_empty() { "1".to_owned() } else { text.into_owned() };
                self.reader.device.settings.push(crate::model::HostSetting { name: setting.into(), value, span: child.span() });
            }
        }
    }

    fn snmp(&mut self) {
        let root = self.root;
        // bsnmpd of pfSense (and of old OPNsense): versions 1 and 2c.
        if let Some(section) = root.child("snmpd").filter(|s| s.has("enable")) {
            let interfaces = self.listening(section.value("bindip"));
            let port = section.value("pollport").and_then(|p| p.text.parse().ok()).unwrap_or(161);
            self.snmp_service(section.tag_span(), vec!["1".into(), "2c".into()], port, interfaces);
        }
        let Some(net) = root.at(&["OPNsense", "Netsnmp", "general"]).filter(|g| g.yes("enabled")) else { return };
        let span = net.child("enabled").map_or(net.tag_span(), |e| e.span());
        let users = root.at(&["OPNsense", "Netsnmp", "user", "users"]).is_some_and(|u| u.children().next().is_some());
        let mut versions = Vec::new();
        if net.value("community").is_some() {
            versions.extend(["1".to_owned(), "2c".to_owned()]);
        }
        if users || net.yes("enableagent") {
            versions.push("3".into());
        }
        self.snmp_service(span, versions, 161, None);
    }

    fn snmp_service(&mut self, span: Span, versions: Vec<String>, port: u16, interfaces: Option<Vec<NamePattern>>) {
        let service = ManagementService {
            protocol: ManagementProtocol::Snmp,
            name: "SNMP".into(),
            versions,
            port: Some(port),
            interfaces,
            from: None,
            idle_timeout: None,
            span,
        };
        self.reader.device.management.services.push(service);
    }

    fn accounts(&mut self, system: Element<'d>) {
        let administrators = administrators(system);
        // One-time passwords are asked for where the web interface uses a server of accounts that knows them.
        let modes: Vec<Text<'d>> = system.at(&["webgui", "authmode"]).and_then(super::tree::text_of).into_iter().collect();
        let servers = system.list("authserver");
        let totp = |name: &str| {
            let server = servers.iter().find(|s| s.value("name").is_some_and(|n| n.text == name));
            server.and_then(|s| s.value("type")).is_some_and(|t| t.text.contains("totp"))
        };
        let second = match modes.first() {
            Some(list) => list.text.split(',').filter(|m| !m.trim().is_empty()).all(|m| totp(m.trim())),
            None => false,
        };
        for user in system.list("user") {
            let Some(name) = user.value("name") else { continue };
            if self.is_disabled(user) || !is_administrator(user, &administrators) {
                continue;
            }
            let shipped = match self.dialect {
                Dialect::Pfsense => name.is(&["admin"]),
                Dialect::Opnsense => name.is(&["root"]),
            } || user.value("uid").is_some_and(|u| u.text == "0");
            let account = Account {
                name: name.text.into_owned(),
                shipped,
                // Passwords are hashed with a salt: whether it is the one of the manual cannot be told without trying.
                default_password: None,
                from: None,
                // A RADIUS server may ask for more than the file shows; accounts of this file are asked for their password alone.
                second_factor: Some(second),
                span: name.span,
            };
            self.reader.device.management.accounts.push(account);
        }
    }

    fn logs(&mut self) {
        let mut hosts = Vec::new();
        let root = self.root;
        if let Some(section) = root.child("syslog").filter(|s| s.has("enable")) {
            for name in ["remoteserver", "remoteserver2", "remoteserver3"] {
                let Some(host) = section.value(name) else { continue };
                hosts.push(log_host(&host, None));
            }
        }
        for destination in root.at(&["OPNsense", "Syslog", "destinations"]).into_iter().flat_map(|d| d.list("destination")) {
            let Some(host) = destination.value("hostname").filter(|_| !self.switched_off(destination)) else { continue };
            let transport = destination.value("transport").map(|t| t.text.starts_with("tls"));
            hosts.push(log_host(&host, transport));
        }
        for server in root.at(&["installedpackages", "syslogng"]).into_iter().flat_map(|p| p.list("config")) {
            self.reader.mark(server.tag_span(), LineState::NotModelled);
        }
        self.reader.device.management.log_hosts = Some(hosts);
    }

    fn lockout(&mut self, system: Element<'d>) {
        let number = |name: &str| {
            let value = system.value(name)?;
            Some((value.text.parse::<u32>().ok()?, value.span))
        };
        if let Some(off) = system.child("no_sshlockout").filter(|_| self.dialect == Dialect::Opnsense && system.yes("no_sshlockout")) {
            let none = Lockout { attempts: None, seconds: None };
            self.reader.device.management.lockout = Some(Fact::written(none, off.span()));
            return;
        }
        let version = self.root.value("version").and_then(|v| v.text.parse::<f64>().ok()).unwrap_or(0.0);
        // How OPNsense counts depends on its version, and older pfSense counted otherwise.
        if self.dialect == Dialect::Opnsense || version < SSHGUARD_SINCE {
            return;
        }
        let threshold = number("sshguard_threshold");
        let seconds = number("sshguard_blocktime").map_or(BLOCKED_SECONDS, |(n, _)| n);
        let attempts = threshold.map_or(ATTEMPTS, |(n, _)| n.div_ceil(10).max(1));
        let lockout = Lockout { attempts: Some(attempts), seconds: Some(seconds) };
        let fact = match threshold {
            Some((_, span)) => Fact::written(lockout, span),
            None => Fact::default(lockout, system.tag_span()),
        };
        self.reader.device.management.lockout = Some(fact);
    }
}

fn log_host(host: &Text<'_>, encrypted: Option<bool>) -> LogHost {
    let bare = host
        .text
        .rsplit_once(':')
        .filter(|(_, p)| p.parse::<u16>().is_ok() && host.text.matches(':').count() == 1)
        .map_or(&*host.text, |(h, _)| h);
    LogHost { address: bare.parse().ok(), text: host.text.to_string(), encrypted, span: host.span }
}

/// Numbers of the users in groups that have all pages or a shell.
fn administrators(system: Element<'_>) -> Vec<String> {
    let powerful = |g: &Element<'_>| g.list("priv").iter().any(|p| matches!(&*p.text(), "page-all" | "user-shell-access"));
    let groups = system.list("group").into_iter().filter(powerful);
    groups.flat_map(|g| g.list("member")).flat_map(|m| parts(&m.text()).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn is_administrator(user: Element<'_>, administrators: &[String]) -> bool {
    let uid = user.value("uid").map(|u| u.text);
    let own = user.list("priv").iter().any(|p| matches!(&*p.text(), "page-all" | "user-shell-access"));
    own || uid.as_deref() == Some("0")
        || uid.is_some_and(|u| administrators.iter().any(|a| *a == *u))
        || user.value("groupname").is_some_and(|g| g.is(&["admins"]))
}
