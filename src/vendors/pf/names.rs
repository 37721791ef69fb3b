//! Names that pfctl(8) knows: ICMP types and codes (`pfctl_parser.c`, icmp(4), icmp6(4)), TCP flags, and services that
//! /etc/services of the BSDs has under other names than Linux.

use crate::net::Family;
use crate::syntax::pf::icmp_types;

const CODES4: &[(u8, &str, u8)] = &[
    (3, "net-unr", 0),
    (3, "host-unr", 1),
    (3, "proto-unr", 2),
    (3, "port-unr", 3),
    (3, "needfrag", 4),
    (3, "srcfail", 5),
    (3, "net-unk", 6),
    (3, "host-unk", 7),
    (3, "isolate", 8),
    (3, "net-prohib", 9),
    (3, "host-prohib", 10),
    (3, "net-tos", 11),
    (3, "host-tos", 12),
    (3, "filter-prohib", 13),
    (3, "host-preced", 14),
    (3, "cutoff-preced", 15),
    (5, "redir-net", 0),
    (5, "redir-host", 1),
    (5, "redir-tos-net", 2),
    (5, "redir-tos-host", 3),
    (9, "normal-adv", 0),
    (9, "common-adv", 16),
    (11, "transit", 0),
    (11, "reassemb", 1),
    (12, "badhead", 0),
    (12, "optmiss", 1),
    (12, "badlen", 2),
    (40, "unknown-ind", 0),
    (40, "auth-fail", 1),
    (40, "decrypt-fail", 2),
];

const CODES6: &[(u8, &str, u8)] = &[
    (1, "noroute-unr", 0),
    (1, "admin-unr", 1),
    (1, "notnbr-unr", 2),
    (1, "beyond-unr", 2),
    (1, "addr-unr", 3),
    (1, "port-unr", 4),
    (3, "transit", 0),
    (3, "reassemb", 1),
    (4, "badhead", 0),
    (4, "nxthdr", 1),
    (137, "redironlink", 0),
    (137, "redirrouter", 1),
];

const SERVICES: &[(&str, u16)] = &[
    ("www", 80),
    ("http", 80),
    ("https", 443),
    ("auth", 113),
    ("ident", 113),
    ("domain", 53),
    ("echo", 7),
    ("spamd", 8025),
    ("spamd-cfg", 8026),
    ("ftp-proxy", 8021),
    ("ipsec-nat-t", 4500),
    ("ipsec-msft", 4500),
    ("submission", 587),
    ("nfsd", 2049),
    ("nfs", 2049),
    ("rndc", 953),
    ("sunrpc", 111),
    ("netbios-ns", 137),
    ("netbios-dgm", 138),
    ("netbios-ssn", 139),
    ("microsoft-ds", 445),
    ("loc-srv", 135),
    ("epmap", 135),
    ("ms-sql-s", 1433),
    ("mysql", 3306),
    ("postgresql", 5432),
    ("rdp", 3389),
    ("ms-wbt-server", 3389),
    ("bgp", 179),
    ("ldaps", 636),
    ("imaps", 993),
    ("pop3s", 995),
    ("pptp", 1723),
    ("l2tp", 1701),
    ("isakmp", 500),
    ("radius", 1812),
    ("radacct", 1813),
    ("snmp", 161),
    ("snmptrap", 162),
    ("snmp-trap", 162),
    ("syslog", 514),
    ("tftp", 69),
    ("bootps", 67),
    ("bootpc", 68),
    ("dhcpv6-client", 546),
    ("dhcpv6-server", 547),
    ("ripng", 521),
    ("route", 520),
    ("router", 520),
    ("mdns", 5353),
    ("smtps", 465),
    ("socks", 1080),
    ("openvpn", 1194),
    ("sip", 5060),
    ("telnets", 992),
    ("whois", 43),
    ("git", 9418),
    ("ntalk", 518),
    ("sieve", 4190),
    ("hprop", 754),
    ("cvsup", 5999),
    ("gopher", 70),
    ("finger", 79),
    ("kerberos", 88),
    ("printer", 515),
    ("rsync", 873),
    ("x11", 6000),
];

/// The protocol of a name or number: those of /etc/protocols of the BSDs beside the common ones.
pub(super) fn protocol(s: &str) -> Option<u8> {
    match s {
        "icmp6" | "ipv6-icmp" => Some(58),
        "carp" | "vrrp" => Some(112),
        "pfsync" => Some(240),
        "etherip" => Some(97),
        "mobile" => Some(55),
        "ipencap" => Some(4),
        "rdp" => Some(27),
        _ => crate::net::protocol_number(s),
    }
}

/// An ICMP type by name or number.
pub(super) fn icmp_type(family: Family, s: &str) -> Option<u8> {
    if let Ok(n) = s.parse() {
        return Some(n);
    }
    let list = icmp_types(family);
    list.iter().find(|(n, _)| *n == s).map(|(_, t)| *t)
}

/// A code of an ICMP type by name or number.
pub(super) fn icmp_code(family: Family, icmp_type: u8, s: &str) -> Option<u8> {
    if let Ok(n) = s.parse() {
        return Some(n);
    }
    let list = if family == Family::V4 { CODES4 } else { CODES6 };
    list.iter().find(|(t, n, _)| *t == icmp_type && *n == s).map(|(_, _, c)| *c)
}

/// Bits of TCP flags as pf writes them: `F S R P A U E W`.
pub(super) fn tcp_flags(s: &str) -> Option<u8> {
    s.chars().try_fold(0, |sum, c| "FSRPAUEW".find(c).map(|bit| sum | 1u8 << bit))
}

/// A port by number (`0x10` too) or name.
pub(super) fn port(s: &str, proto: Option<u8>) -> Option<u16> {
    if let Some(hex) = s.strip_prefix("0x") {
        return u16::from_str_radix(hex, 16).ok();
    }
    if s.bytes().all(|b| b.is_ascii_digit()) {
        return s.parse().ok();
    }
    crate::net::service_port(s, proto).or_else(|| SERVICES.iter().find(|(n, _)| *n == s).map(|(_, p)| *p))
}
