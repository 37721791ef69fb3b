//! What FortiOS does where a configuration says nothing, by version, and the objects that it is shipped with.
//!
//! Sources: the CLI references at docs.fortinet.com (columns "Default"), the technical tips of community.fortinet.com by number, and the
//! configuration of a factory-reset appliance (`show full-configuration`). Values for which none of them was found are not here: what depends
//! on them is said not to be known.

use crate::net::Family;

/// Major, minor and patch number.
pub(super) type Version = (u16, u16, u16);

/// The version that the first line of a backup states: `#config-version=FGT60F-7.2.4-FW-build1396-230131:opmode=0:vdom=0:user=admin`.
pub(super) fn version(first: &str) -> Option<Version> {
    let rest = first.trim_start_matches('\u{feff}').strip_prefix("#config-version=")?.trim_start();
    let stamp = rest.split(':').next()?;
    stamp.split('-').find_map(|part| {
        let mut numbers = part.split('.');
        let version = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        numbers.next().is_none().then_some(version)
    })
}

/// Whether policies that deny also see packets whose destination a virtual IP changed (`match-vip`), where they do not say.
/// `None`: it depends on the version, which is not known.
///
/// Technical tip 192456 (94794): enabled from 7.2.3 on, disabled before. A policy that accepts cannot have it from 6.4.3 on, and sees no such packets.
pub(super) fn match_vip(version: Option<Version>) -> Option<bool> {
    version.map(|v| v >= (7, 2, 3))
}

/// Whether a packet that leaves through the interface on which it came in needs no policy (`allow-traffic-redirect`).
/// `None`: the version is not known.
///
/// Technical tip 196651 (98332): enabled before 7.4.10 and 7.6.5, disabled from these and from 8.0 on.
pub(super) fn redirect(version: Option<Version>) -> Option<bool> {
    version.map(|v| match (v.0, v.1) {
        (7, 4) => v.2 < 10,
        (7, 6) => v.2 < 5,
        (major, minor) => (major, minor) < (7, 5),
    })
}

/// Version of IKE: CLI reference of 7.4.4, `vpn ipsec phase1-interface`, `ike-version` (1). Those of 7.6 and 8.0 were not looked up.
pub(super) fn ike_version(version: Option<Version>) -> Option<&'static str> {
    version.filter(|v| *v < (7, 6, 0)).map(|_| "1")
}

/// Diffie-Hellman group of phase 1 and 2: CLI reference of 7.4.4, `dhgrp` (14). Other versions have others (7.6 and 8.0 changed it).
pub(super) fn dh_group(version: Option<Version>) -> Option<&'static str> {
    version.filter(|v| (v.0, v.1) == (7, 4)).map(|_| "14")
}

/// Ports for administration: CLI reference of 7.4.4, `system global`; the same in `show full-configuration` of 7.0.3.
pub(super) const HTTPS_PORT: u16 = 443;
/// As [`HTTPS_PORT`].
pub(super) const HTTP_PORT: u16 = 80;
/// As [`HTTPS_PORT`].
pub(super) const SSH_PORT: u16 = 22;
/// As [`HTTPS_PORT`].
pub(super) const TELNET_PORT: u16 = 23;
/// FGFM: FortiManager communications protocol guide, "Protocol components": TCP 541, over IPv6 also 542.
pub(super) const FGFM_PORTS: (u16, u16) = (541, 542);
/// Minutes until an idle session of an administrator ends: CLI reference of 7.4.4, `admintimeout`.
pub(super) const IDLE_MINUTES: u32 = 5;
/// Failed logins before a lock-out: same, `admin-lockout-threshold`; also 7.0.3.
pub(super) const LOCKOUT_ATTEMPTS: u32 = 3;
/// Seconds of a lock-out: same, `admin-lockout-duration`; also 7.0.3.
pub(super) const LOCKOUT_SECONDS: u32 = 60;

/// Objects other than services that are there from the start, or that a factory-reset appliance has in its configuration.
pub(super) const SHIPPED: &[&str] = &[
    "all",
    "none",
    "any",
    "FIREWALL_AUTH_PORTAL_ADDRESS",
    "FABRIC_DEVICE",
    "SSLVPN_TUNNEL_ADDR1",
    "SSLVPN_TUNNEL_IPv6_ADDR1",
    "login.microsoftonline.com",
    "login.microsoft.com",
    "login.windows.net",
    "gmail.com",
    "wildcard.google.com",
    "wildcard.dropbox.com",
    "G Suite",
    "Microsoft Office 365",
    "EMS_ALL_UNKNOWN_CLIENTS",
    "EMS_ALL_UNMANAGEABLE_CLIENTS",
    "always",
    "default-darrp-optimize",
    "all_hosts",
    "all_routers",
    "Bonjour",
    "EIGRP",
    "OSPF",
    "FCTEMS_ALL_FORTICLOUD_SERVERS",
    "swscan.apple.com",
    "update.microsoft.com",
    "autoupdate.opera.com",
    "google-play",
    "skype",
    "adobe",
];

/// What a shipped service is.
pub(super) enum Shipped {
    Everything,
    /// Protocol and destination ports.
    Ports(u8, (u16, u16)),
    /// Protocol, destination ports, source ports.
    PortsFrom(u8, (u16, u16), (u16, u16)),
    Protocol(u8),
    /// Family and type.
    Icmp(Family, Option<u8>),
}

use Shipped::{Everything, Icmp, Ports, PortsFrom, Protocol};

const fn t(port: u16) -> Shipped {
    Ports(6, (port, port))
}

const fn u(port: u16) -> Shipped {
    Ports(17, (port, port))
}

const fn tr(lo: u16, hi: u16) -> Shipped {
    Ports(6, (lo, hi))
}

const fn ur(lo: u16, hi: u16) -> Shipped {
    Ports(17, (lo, hi))
}

/// Services that a factory-reset appliance has (`show firewall service custom` of 6.0 to 7.4), for exports of parts that leave them out. A full export
/// shows them, and then what it shows counts.
pub(super) const SERVICES: &[(&str, &[Shipped])] = &[
    ("ALL", &[Everything]),
    ("ALL_TCP", &[tr(1, 65535)]),
    ("ALL_UDP", &[ur(1, 65535)]),
    ("ALL_ICMP", &[Icmp(Family::V4, None)]),
    ("ALL_ICMP6", &[Icmp(Family::V6, None)]),
    ("GRE", &[Protocol(47)]),
    ("AH", &[Protocol(51)]),
    ("ESP", &[Protocol(50)]),
    ("AOL", &[tr(5190, 5194)]),
    ("BGP", &[t(179)]),
    ("DHCP", &[ur(67, 68)]),
    ("DNS", &[t(53), u(53)]),
    ("FINGER", &[t(79)]),
    ("FTP", &[t(21)]),
    ("FTP_GET", &[t(21)]),
    ("FTP_PUT", &[t(21)]),
    ("GOPHER", &[t(70)]),
    ("H323", &[t(1720), t(1503), u(1719)]),
    ("HTTP", &[t(80)]),
    ("HTTPS", &[t(443)]),
    ("IKE", &[u(500), u(4500)]),
    ("IMAP", &[t(143)]),
    ("IMAPS", &[t(993)]),
    ("Internet-Locator-Service", &[t(389)]),
    ("IRC", &[tr(6660, 6669)]),
    ("L2TP", &[t(1701), u(1701)]),
    ("LDAP", &[t(389)]),
    ("NetMeeting", &[t(1720)]),
    ("NFS", &[t(111), t(2049), u(111), u(2049)]),
    ("NNTP", &[t(119)]),
    ("NTP", &[t(123), u(123)]),
    ("OSPF", &[Protocol(89)]),
    ("PC-Anywhere", &[t(5631), u(5632)]),
    ("PING", &[Icmp(Family::V4, Some(8))]),
    ("TIMESTAMP", &[Icmp(Family::V4, Some(13))]),
    ("INFO_REQUEST", &[Icmp(Family::V4, Some(15))]),
    ("INFO_ADDRESS", &[Icmp(Family::V4, Some(17))]),
    ("ONC-RPC", &[t(111), u(111)]),
    ("DCE-RPC", &[t(135), u(135)]),
    ("POP3", &[t(110)]),
    ("POP3S", &[t(995)]),
    ("PPTP", &[t(1723)]),
    ("QUAKE", &[u(26000), u(27000), u(27910), u(27960)]),
    ("RAUDIO", &[u(7070)]),
    ("REXEC", &[t(512)]),
    ("RIP", &[u(520)]),
    ("RLOGIN", &[PortsFrom(6, (513, 513), (512, 1023))]),
    ("RSH", &[PortsFrom(6, (514, 514), (512, 1023))]),
    ("SCCP", &[t(2000)]),
    ("SIP", &[t(5060), u(5060)]),
    ("SIP-MSNmessenger", &[t(1863)]),
    ("SAMBA", &[t(139)]),
    ("SMTP", &[t(25)]),
    ("SMTPS", &[t(465)]),
    ("SNMP", &[tr(161, 162), ur(161, 162)]),
    ("SSH", &[t(22)]),
    ("SYSLOG", &[u(514)]),
    ("TALK", &[ur(517, 518)]),
    ("TELNET", &[t(23)]),
    ("TFTP", &[u(69)]),
    ("MGCP", &[u(2427), u(2727)]),
    ("UUCP", &[t(540)]),
    ("VDOLIVE", &[tr(7000, 7010)]),
    ("WAIS", &[t(210)]),
    ("WINFRAME", &[t(1494), t(2598)]),
    ("X-WINDOWS", &[tr(6000, 6063)]),
    ("PING6", &[Icmp(Family::V6, Some(128))]),
    ("MS-SQL", &[t(1433), t(1434)]),
    ("MYSQL", &[t(3306)]),
    ("RDP", &[t(3389)]),
    ("VNC", &[t(5900)]),
    ("DHCP6", &[u(546), u(547)]),
    ("SQUID", &[t(3128)]),
    ("SOCKS", &[t(1080), u(1080)]),
    ("WINS", &[t(1512), u(1512)]),
    ("RADIUS", &[u(1812), u(1813)]),
    ("RADIUS-OLD", &[u(1645), u(1646)]),
    ("CVSPSERVER", &[t(2401), u(2401)]),
    ("AFS3", &[tr(7000, 7009), ur(7000, 7009)]),
    ("TRACEROUTE", &[ur(33434, 33535)]),
    ("RTSP", &[t(554), t(7070), t(8554), u(554)]),
    ("MMS", &[t(1755), ur(1024, 5000)]),
    ("KERBEROS", &[t(88), t(464), u(88), u(464)]),
    ("LDAP_UDP", &[u(389)]),
    ("SMB", &[t(445)]),
    ("NONE", &[t(0)]),
];

/// Groups of services that a factory-reset appliance has.
pub(super) const SERVICE_GROUPS: &[(&str, &[&str])] = &[
    ("Email Access", &["DNS", "IMAP", "IMAPS", "POP3", "POP3S", "SMTP", "SMTPS"]),
    ("Web Access", &["DNS", "HTTP", "HTTPS"]),
    ("Windows AD", &["DCE-RPC", "DNS", "KERBEROS", "LDAP", "LDAP_UDP", "SAMBA", "SMB"]),
    ("Exchange Server", &["DCE-RPC", "DNS", "HTTPS"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_the_version() {
        assert_eq!(version("#config-version=FGT60F-7.2.4-FW-build1396-230131:opmode=0:vdom=0:user=admin"), Some((7, 2, 4)));
        assert_eq!(version("#config-version= FGVMK6-6.4.10-FW-build0237-211207:opmode=1"), Some((6, 4, 10)));
        assert_eq!(version("#config-version=FGT60F"), None);
        assert_eq!(version("config system global"), None);
    }

    #[test]
    fn defaults_change_with_the_version() {
        assert_eq!([(7, 2, 2), (7, 2, 3), (6, 4, 9)].map(|v| match_vip(Some(v))), [Some(false), Some(true), Some(false)]);
        assert_eq!(
            [(7, 2, 12), (7, 4, 9), (7, 4, 10), (7, 6, 4), (7, 6, 5), (8, 0, 0)].map(|v| redirect(Some(v))),
            [true, true, false, true, false, false].map(Some)
        );
        assert_eq!((match_vip(None), redirect(None), dh_group(None)), (None, None, None));
    }
}
