//! What administers the router: dropbear (SSH), uhttpd (LuCI), and what else its packages say about logs and port mapping.

use super::uci::Section;
use crate::diag::LineState::Unsupported;
use crate::model::{Fact, LogHost, ManagementProtocol, ManagementService, NamePattern};
use crate::vendors::Reader;

pub(super) fn lower(reader: &mut Reader<'_>, dropbear: &[&Section], uhttpd: &[&Section], upnpd: &[&Section], system: &[&Section]) {
    for section in dropbear.iter().filter(|s| s.kind == "dropbear" && s.flag("enable") != Some(false)) {
        // Port 22 where none is written (dropbear(8), `dropbear.init`).
        let port = match section.value("Port") {
            Some(text) => text.parse().ok(),
            None => Some(22),
        };
        let interfaces = section.value("Interface").map(|i| vec![NamePattern::exact(i)]);
        reader.device.management.services.push(ManagementService {
            protocol: ManagementProtocol::Ssh,
            name: "dropbear".into(),
            versions: vec!["2".into()],
            port,
            interfaces,
            from: None,
            // `IdleTimeout` is off where it is not written (`dropbear.init`).
            idle_timeout: Some(match section.value("IdleTimeout") {
                Some(text) => Fact::written(text.parse().ok().filter(|s| *s > 0), section.at("IdleTimeout")),
                None => Fact::default(None, section.head),
            }),
            span: section.whole,
        });
    }
    for section in uhttpd.iter().filter(|s| s.kind == "uhttpd") {
        let redirects = section.flag("redirect_https") == Some(true);
        for (key, protocol) in [("listen_http", ManagementProtocol::Http), ("listen_https", ManagementProtocol::Https)] {
            let list = section.list(key);
            let Some(first) = list.first() else { continue };
            // With the redirection on, HTTP does no more than lead to HTTPS.
            if protocol == ManagementProtocol::Http && redirects {
                continue;
            }
            let port = first.text.rsplit(':').next().and_then(|p| p.parse().ok());
            reader.device.management.services.push(ManagementService {
                protocol,
                name: format!("uhttpd {}", section.name.as_deref().unwrap_or_default()).trim_end().to_owned(),
                versions: Vec::new(),
                port,
                interfaces: None,
                from: None,
                idle_timeout: None,
                span: first.span,
            });
        }
    }
    for section in upnpd.iter().filter(|s| s.kind == "upnpd") {
        // miniupnpd runs only if it is enabled; each of its protocols is on where nothing is written (`miniupnpd.init`).
        if section.flag("enabled") != Some(true) {
            continue;
        }
        for (key, name) in [("enable_upnp", "UPnP"), ("enable_natpmp", "NAT-PMP")] {
            if section.flag(key) != Some(false) {
                reader.device.management.port_mapping.push(Fact::written(name.to_owned(), section.at(key)));
            }
        }
    }
    for section in system.iter().filter(|s| s.kind == "system") {
        if let Some(name) = section.value("hostname") {
            reader.device.hostname = Some((name.to_owned(), section.at("hostname")));
        }
        let hosts = reader.device.management.log_hosts.get_or_insert_default();
        let Some(host) = section.value("log_ip").filter(|h| !h.is_empty()) else { continue };
        hosts.push(LogHost { address: host.parse().ok(), text: host.to_owned(), encrypted: None, span: section.at("log_ip") });
        if section.value("log_proto").is_some_and(|p| !["udp", "tcp"].contains(&p)) {
            reader.note(section.at("log_proto"), Unsupported, "log_proto is udp or tcp");
        }
    }
}
