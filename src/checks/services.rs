//! Services that a baseline may name without defining them.

use std::collections::BTreeMap;

use super::{Service, ServicePorts};
use crate::net::{Ranges, protocol_number, service_port};

/// Name, ports, and whether the traffic is encrypted end to end when the service is used as its standard says on these ports.
///
/// Ports are those of the IANA service name registry. A protocol that may start in cleartext and upgrade (SMTP on 25, LDAP with StartTLS,
/// PostgreSQL) counts as cleartext: the port does not show that the upgrade is enforced, and an attacker in between can prevent it
/// (RFC 8314 section 4.1 for mail).
const BUILT_IN: &[(&str, &[&str], bool)] = &[
    ("afp", &["tcp/548"], false),
    ("amqp", &["tcp/5672"], false),
    ("amqps", &["tcp/5671"], true),
    ("cassandra", &["tcp/9042"], false),
    ("couchdb", &["tcp/5984"], false),
    ("dns", &["udp/53", "tcp/53"], false),
    ("dns-over-tls", &["tcp/853", "udp/853"], true),
    ("docker-api", &["tcp/2375"], false),
    ("docker-api-tls", &["tcp/2376"], true),
    ("elasticsearch", &["tcp/9200", "tcp/9300"], false),
    ("finger", &["tcp/79"], false),
    ("ftp", &["tcp/20-21"], false),
    ("ftps", &["tcp/989-990"], true),
    ("http", &["tcp/80"], false),
    ("http-alternative", &["tcp/8000", "tcp/8080"], false),
    ("https", &["tcp/443", "udp/443"], true),
    ("icmp", &["icmp"], false),
    ("icmpv6", &["icmpv6"], false),
    ("imap", &["tcp/143"], false),
    ("imaps", &["tcp/993"], true),
    ("ipmi", &["udp/623"], false),
    ("ipsec", &["udp/500", "udp/4500", "esp"], true),
    ("kerberos", &["tcp/88", "udp/88"], true),
    ("ldap", &["tcp/389", "udp/389"], false),
    ("ldaps", &["tcp/636"], true),
    ("memcached", &["tcp/11211", "udp/11211"], false),
    ("mongodb", &["tcp/27017-27019"], false),
    ("mqtt", &["tcp/1883"], false),
    ("mqtts", &["tcp/8883"], true),
    ("mssql", &["tcp/1433", "udp/1434"], false),
    ("mysql", &["tcp/3306", "tcp/33060"], false),
    ("netbios", &["udp/137-138", "tcp/139"], false),
    ("nfs", &["tcp/2049", "udp/2049", "tcp/111", "udp/111"], false),
    ("ntp", &["udp/123"], false),
    ("openvpn", &["udp/1194", "tcp/1194"], true),
    ("oracle", &["tcp/1521"], false),
    ("ping", &["icmp", "icmpv6"], false),
    ("pop3", &["tcp/110"], false),
    ("pop3s", &["tcp/995"], true),
    ("postgresql", &["tcp/5432"], false),
    ("pptp", &["tcp/1723", "gre"], false),
    ("proxy", &["tcp/3128", "tcp/1080"], false),
    ("rdp", &["tcp/3389", "udp/3389"], true),
    ("redis", &["tcp/6379"], false),
    ("rsh", &["tcp/512-514"], false),
    ("rsync", &["tcp/873"], false),
    ("sip", &["udp/5060", "tcp/5060"], false),
    ("sips", &["tcp/5061"], true),
    ("smb", &["tcp/445", "tcp/139", "udp/137-138"], false),
    ("smtp", &["tcp/25"], false),
    ("smtps", &["tcp/465"], true),
    ("snmp", &["udp/161-162", "tcp/161-162"], false),
    ("ssdp", &["udp/1900"], false),
    ("ssh", &["tcp/22"], true),
    ("submission", &["tcp/587"], false),
    ("syslog", &["udp/514", "tcp/514"], false),
    ("syslog-tls", &["tcp/6514"], true),
    ("telnet", &["tcp/23"], false),
    ("telnets", &["tcp/992"], true),
    ("tftp", &["udp/69"], false),
    ("vnc", &["tcp/5800-5801", "tcp/5900-5910"], false),
    ("web-admin", &["tcp/8443", "tcp/10000", "tcp/4443", "tcp/9090"], true),
    ("winrm", &["tcp/5985"], false),
    ("winrm-https", &["tcp/5986"], true),
    ("wireguard", &["udp/51820"], true),
    ("x11", &["tcp/6000-6063"], false),
    ("zabbix", &["tcp/10050-10051"], false),
];

/// Services whose traffic anybody on its way can read, and which have no business on the internet: what `service: cleartext` means. Name lookup,
/// time and ping are left out, though they are not encrypted: an edge cannot do without them.
pub const CLEARTEXT: &[&str] = &[
    "afp",
    "amqp",
    "cassandra",
    "couchdb",
    "docker-api",
    "elasticsearch",
    "finger",
    "ftp",
    "http",
    "http-alternative",
    "imap",
    "ipmi",
    "ldap",
    "memcached",
    "mongodb",
    "mqtt",
    "mssql",
    "mysql",
    "netbios",
    "nfs",
    "oracle",
    "pop3",
    "postgresql",
    "pptp",
    "redis",
    "rsh",
    "rsync",
    "sip",
    "smb",
    "smtp",
    "snmp",
    "ssdp",
    "submission",
    "syslog",
    "telnet",
    "tftp",
    "vnc",
    "winrm",
    "x11",
];

/// Services by which machines are administered: what `service: admin` means. HTTP and HTTPS are among them because the web
/// interface of a firewall listens there; a check that uses this group is about the firewall itself.
pub const ADMIN: &[&str] = &[
    "docker-api",
    "docker-api-tls",
    "http",
    "http-alternative",
    "https",
    "ipmi",
    "rdp",
    "rsh",
    "snmp",
    "ssh",
    "telnet",
    "telnets",
    "vnc",
    "web-admin",
    "winrm",
    "winrm-https",
    "x11",
];

/// Every built-in service by name.
pub fn built_in_services() -> BTreeMap<String, Service> {
    BUILT_IN
        .iter()
        .map(|(name, ports, encrypted)| {
            let ports = ports.iter().filter_map(|p| service_ports(p).ok()).collect();
            ((*name).to_owned(), Service { name: (*name).to_owned(), ports, encrypted: Some(*encrypted), span: None })
        })
        .collect()
}

/// Reads one alternative of a service: `tcp/443`, `udp/500-510`, `tcp/https`, `esp`.
///
/// # Errors
/// A sentence on what is wrong with it.
pub fn service_ports(text: &str) -> Result<ServicePorts, String> {
    let (protocol, ports) = match text.split_once('/') {
        None => (text, None),
        Some((protocol, ports)) => (protocol, Some(ports)),
    };
    if protocol.bytes().all(|b| b.is_ascii_digit()) {
        return Err("begins with a number, which may be a port or a protocol: write tcp/443, udp/500-510, icmp, esp".into());
    }
    let number = protocol_number(protocol).ok_or("begins with no protocol: write tcp/443, udp/500-510, icmp, esp")?;
    let Some(ports) = ports else {
        return Ok(ServicePorts { protocol: Some(number), ports: None });
    };
    if !matches!(number, 6 | 17 | 33 | 132 | 136) {
        return Err(format!("has a port, and {protocol} has none"));
    }
    let port = |s: &str| -> Result<u128, String> {
        if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) {
            return s.parse::<u16>().map(u128::from).map_err(|_| "has a port above 65535".to_owned());
        }
        service_port(s, Some(number)).map(u128::from).ok_or_else(|| "has no port after the slash: write a number, or first-last".to_owned())
    };
    let (lo, hi) = match ports.split_once('-') {
        Some((lo, hi)) if lo.bytes().all(|b| b.is_ascii_digit()) => (port(lo)?, port(hi)?),
        _ => (port(ports)?, port(ports)?),
    };
    if lo > hi {
        return Err(format!("ends before it begins: write {protocol}/{hi}-{lo}"));
    }
    Ok(ServicePorts { protocol: Some(number), ports: Some(Ranges::interval(lo, hi)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_service_is_readable_and_in_order() {
        for (name, ports, _) in BUILT_IN {
            assert!(!ports.is_empty());
            for port in *ports {
                assert!(service_ports(port).is_ok(), "{name}: {port}");
            }
        }
        assert!(BUILT_IN.windows(2).all(|w| w[0].0 < w[1].0));
        let services = built_in_services();
        assert!(CLEARTEXT.iter().all(|s| services[*s].encrypted == Some(false)));
        assert!(ADMIN.iter().all(|s| services.contains_key(*s)));
    }

    #[test]
    fn a_wrong_port_is_said() {
        assert_eq!(service_ports("tcp/443").unwrap().ports, Some(Ranges::single(443)));
        assert_eq!(service_ports("udp/500-510").unwrap().ports, Some(Ranges::interval(500, 510)));
        assert_eq!(service_ports("tcp/https").unwrap().ports, Some(Ranges::single(443)));
        assert_eq!(service_ports("esp").unwrap(), ServicePorts { protocol: Some(50), ports: None });
        for wrong in ["443", "80", "tpc/443", "tcp/", "tcp/70000", "tcp/20-10", "esp/5", "tcp/-", "", "/", "tcp/1-2-3", "tcp/nonesuch"] {
            assert!(service_ports(wrong).is_err(), "{wrong}");
        }
    }
}
