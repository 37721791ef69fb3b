//! What is not in the listings of ufw, because it is the same everywhere until somebody edits it.

use super::super::super::iptables::{Built, Step};
use crate::source::Span;

/// `Rule::implied` of what before.rules and before6.rules say as ufw ships them.
const SHIPPED: Option<&str> = Some("rule of before.rules as ufw ships it");

/// ICMP errors that come in and are forwarded, then the echo request. Source: before.rules of ufw 0.36.2.
const ICMP: [u8; 4] = [3, 11, 12, 8];
/// ICMPv6 errors. Source for these and what follows: before6.rules of ufw 0.36.2, which follows RFC 4890.
const ERRORS6: [u8; 4] = [1, 2, 3, 4];
/// Neighbour discovery, with a hop limit of 255, in the order of the file: coming in.
const NEIGHBOUR_IN: [u8; 6] = [133, 134, 135, 136, 141, 142];
/// The same going out.
const NEIGHBOUR_OUT: [u8; 6] = [133, 136, 135, 134, 141, 142];
/// Multicast listener discovery, from link-local addresses.
const LISTENER: [u8; 4] = [130, 131, 132, 143];
/// Certification paths (SEND), with a hop limit of 255.
const PATHS: [u8; 2] = [148, 149];
/// Multicast router discovery, from link-local addresses with a hop limit of 1.
const ROUTERS: [u8; 3] = [151, 152, 153];
/// Mobile IPv6.
const MOBILE: [u8; 4] = [144, 145, 146, 147];

/// The rules of before.rules or before6.rules.
pub(super) fn before<'a>(six: bool, span: Span) -> Vec<Step<'a>> {
    let ufw = if six { "ufw6" } else { "ufw" };
    let mut out = Vec::new();
    for direction in ["input", "output", "forward"] {
        out.push(Step::Chain(format!("{ufw}-before-{direction}"), None, span));
    }
    if !six {
        out.push(Step::Chain("ufw-not-local".into(), None, span));
    }
    let mut add = |chain: &str, what: &str| out.push(Step::Rule(Built::new(format!("-A {ufw}-{chain} {what}"), SHIPPED), span));
    add("before-input", "-i lo -j ACCEPT");
    add("before-output", "-o lo -j ACCEPT");
    let all = ["before-input", "before-output", "before-forward"];
    if six {
        for chain in all {
            add(chain, "-m rt --rt-type 0 -j DROP");
        }
    }
    for chain in all {
        add(chain, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
    }
    let icmp6 = |kind: u8, rest: &str| format!("-p icmpv6 --icmpv6-type {kind}{rest} -j ACCEPT");
    if six {
        add("before-input", &icmp6(129, ""));
    }
    add("before-input", "-m conntrack --ctstate INVALID -j DROP");
    if !six {
        for chain in ["before-input", "before-forward"] {
            for kind in ICMP {
                add(chain, &format!("-p icmp --icmp-type {kind} -j ACCEPT"));
            }
        }
        // The answers of a DHCP server, then what is not for this host, then mDNS and SSDP.
        add("before-input", "-p udp --sport 67 --dport 68 -j ACCEPT");
        add("before-input", "-j ufw-not-local");
        for kind in ["LOCAL", "MULTICAST", "BROADCAST"] {
            add("not-local", &format!("-m addrtype --dst-type {kind} -j RETURN"));
        }
        add("not-local", "-j DROP");
        add("before-input", "-p udp -d 224.0.0.251 --dport 5353 -j ACCEPT");
        add("before-input", "-p udp -d 239.255.255.250 --dport 1900 -j ACCEPT");
        return out;
    }
    for chain in all {
        for kind in ERRORS6.into_iter().chain([128]) {
            add(chain, &icmp6(kind, ""));
        }
        let neighbour = match chain {
            "before-input" => NEIGHBOUR_IN,
            "before-output" => NEIGHBOUR_OUT,
            _ => {
                add(chain, &icmp6(129, ""));
                continue;
            }
        };
        if chain == "before-output" {
            add(chain, &icmp6(129, ""));
        }
        let near = " -m hl --hl-eq 255";
        neighbour.into_iter().for_each(|k| add(chain, &icmp6(k, near)));
        LISTENER.into_iter().for_each(|k| add(chain, &icmp6(k, " -s fe80::/10")));
        PATHS.into_iter().for_each(|k| add(chain, &icmp6(k, near)));
        ROUTERS.into_iter().for_each(|k| add(chain, &icmp6(k, " -s fe80::/10 -m hl --hl-eq 1")));
    }
    MOBILE.into_iter().for_each(|k| add("before-input", &icmp6(k, "")));
    add("before-input", "-p udp -s fe80::/10 --sport 547 -d fe80::/10 --dport 546 -j ACCEPT");
    add("before-input", "-p udp -d ff02::fb --dport 5353 -j ACCEPT");
    add("before-input", "-p udp -d ff02::f --dport 1900 -j ACCEPT");
    out
}

/// The ports of application profiles as Debian and Ubuntu ship them in `/etc/ufw/applications.d`. Sources: the files that the packages
/// ufw 0.36.2 (names without a product), openssh-server, nginx-common, apache2 and postfix put there.
const PROFILES: &[(&str, &str)] = &[
    ("AIM", "5190/tcp"),
    ("Apache", "80/tcp"),
    ("Apache Full", "80,443/tcp"),
    ("Apache Secure", "443/tcp"),
    ("Bonjour", "5353/udp|5298"),
    ("CIFS", "137,138/udp|139,445/tcp"),
    ("DNS", "53"),
    ("Deluge", "6881:6891/tcp"),
    ("IMAP", "143/tcp"),
    ("IMAPS", "993/tcp"),
    ("IPP", "631"),
    ("KTorrent", "6881/tcp|4444/udp"),
    ("Kerberos Admin", "749/tcp"),
    ("Kerberos Full", "88,749/tcp|464/udp"),
    ("Kerberos KDC", "88"),
    ("Kerberos Password", "464/udp"),
    ("LDAP", "389/tcp"),
    ("LDAPS", "636/tcp"),
    ("LPD", "515/tcp"),
    ("MSN", "1863|6891:6900/tcp|6901"),
    ("MSN SSL", "443/tcp"),
    ("Mail submission", "587/tcp"),
    ("NFS", "2049,111/tcp|2049,111/udp"),
    ("Nginx Full", "80,443/tcp"),
    ("Nginx HTTP", "80/tcp"),
    ("Nginx HTTPS", "443/tcp"),
    ("OpenSSH", "22/tcp"),
    ("POP3", "110/tcp"),
    ("POP3S", "995/tcp"),
    ("PeopleNearby", "5353/udp|5298"),
    ("Postfix", "25/tcp"),
    ("Postfix SMTPS", "465/tcp"),
    ("Postfix Submission", "587/tcp"),
    ("SMTP", "25/tcp"),
    ("SSH", "22/tcp"),
    ("Socks", "1080/tcp"),
    ("Telnet", "23/tcp"),
    ("Transmission", "51413"),
    ("Transparent Proxy", "8081/tcp"),
    ("VNC", "5900/tcp"),
    ("WWW", "80/tcp"),
    ("WWW Cache", "8080/tcp"),
    ("WWW Full", "80,443/tcp"),
    ("WWW Secure", "443/tcp"),
    ("XMPP", "5222/tcp|5269/tcp"),
    ("Yahoo", "5050"),
    ("qBittorrent", "6881/tcp"),
    ("svnserve", "3690/tcp"),
];

/// The ports of a profile, as its line `ports=` has them.
pub(super) fn profile(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(n, _)| *n == name).map(|(_, ports)| *ports)
}
