//! Which lines are understood: the state of every statement, by its section.

use super::syntax::Word;
use super::tree::{Body, Item, Op, Scope, Tree};
use crate::diag::LineState;
use crate::vendors::Reader;

/// What a section is to the reader.
#[derive(Clone, Copy)]
enum Class {
    /// Lowered: these settings; others of it matter to nothing that is checked.
    Part(&'static [&'static str]),
    /// Lowered: these settings; those of the second list matter to nothing, any other may.
    Whole(&'static [&'static str], &'static [&'static str]),
    /// It may matter, and is not modelled.
    NotModelled(&'static str),
    /// It matters to no check.
    Irrelevant,
}

/// Settings of policies that are read.
pub(super) const POLICY_READ: &[&str] = &[
    "policyid", "name", "status", "action", "srcintf", "dstintf", "srcaddr", "dstaddr", "srcaddr4", "dstaddr4", "srcaddr6", "dstaddr6", "srcaddr-negate", "dstaddr-negate",
    "srcaddr6-negate", "dstaddr6-negate", "service", "service-negate", "schedule", "groups", "users", "fsso-groups", "internet-service", "internet-service-id",
    "internet-service-name", "internet-service-group", "internet-service-custom", "internet-service-custom-group", "internet-service-negate", "internet-service-src",
    "internet-service-src-id", "internet-service-src-name", "internet-service-src-group", "internet-service-src-custom", "internet-service-src-custom-group",
    "internet-service-src-negate", "internet-service6", "internet-service6-name", "internet-service6-group", "internet-service6-custom", "internet-service6-custom-group",
    "internet-service6-negate", "internet-service6-src", "internet-service6-src-name", "internet-service6-src-group", "internet-service6-src-custom",
    "internet-service6-src-custom-group", "internet-service6-src-negate", "internet-service-fortiguard", "internet-service-src-fortiguard", "match-vip", "match-vip-only", "nat", "ippool", "poolname", "poolname6",
    "logtraffic", "comments", "comment", "send-deny-packet", "inbound", "vpntunnel",
];

/// Settings of policies that decide about nothing in the header of a packet: what is inspected, shaped, shown or logged.
pub(super) const POLICY_IRRELEVANT: &[&str] = &[
    "uuid", "utm-status", "inspection-mode", "profile-type", "profile-group", "profile-protocol-options", "ssl-ssh-profile", "av-profile", "webfilter-profile",
    "dnsfilter-profile", "emailfilter-profile", "spamfilter-profile", "dlp-sensor", "dlp-profile", "file-filter-profile", "ips-sensor", "ips-voip-filter", "application-list", "voip-profile",
    "waf-profile", "icap-profile", "cifs-profile", "ssh-filter-profile", "videofilter-profile", "virtual-patch-profile", "casb-profile", "sctp-filter-profile",
    "diameter-filter-profile", "ztna-profile", "proxy-based", "http-policy-redirect", "ssh-policy-redirect", "webproxy-profile", "webproxy-forward-server", "webcache", "webcache-https", "wanopt",
    "wanopt-detection", "wanopt-passive-opt", "wanopt-peer", "wanopt-profile", "logtraffic-start", "log-http-transaction", "capture-packet", "custom-log-fields", "auto-asic-offload", "np-acceleration",
    "traffic-shaper", "traffic-shaper-reverse", "per-ip-shaper", "dynamic-shaping", "session-ttl", "tcp-mss-sender", "tcp-mss-receiver", "diffserv-forward", "diffserv-reverse",
    "diffservcode-forward", "diffservcode-rev", "diffserv-copy", "vlan-cos-fwd", "vlan-cos-rev", "label", "global-label", "fixedport", "port-preserve", "port-random", "permit-any-host",
    "permit-stun-host", "pcp-inbound", "pcp-outbound", "pcp-poolname", "natinbound", "natoutbound", "natip", "outbound", "block-notification", "replacemsg-override-group", "disclaimer", "email-collect",
    "redirect-url", "auth-redirect-addr", "auth-cert", "auth-path", "captive-portal-exempt", "ntlm", "ntlm-guest", "ntlm-enabled-browsers", "fsso", "fsso-agent-for-ntlm", "wsso", "rsso", "radius-mac-auth-bypass", "identity-based-route", "timeout-send-rst",
    "schedule-timeout", "anti-replay", "delay-tcp-npu-session", "tcp-session-without-syn", "dsri", "nat46", "nat64", "geoip-anycast", "decrypted-traffic-mirror", "ssl-mirror", "ssl-mirror-intf",
    "fec", "eif-check", "eif-learn", "policy-expiry", "policy-expiry-date", "policy-expiry-date-utc", "tags", "tag-name", "tag-type", "learning-mode", "scan-botnet-connections", "devices-detection", "app-monitor", "ztna-policy-redirect",
    "passive-wan-health-measurement", "policy-offload", "cgn-session-quota", "cgn-resource-quota", "cgn-eif", "cgn-eim", "cgn-log-server-grp", "logtraffic-app", "radius-ip-auth-bypass", "best-route", "rtp-nat", "rtp-addr", "sgt",
    "internet-service-id-list", "webfilter-override", "virtual-patch", "policy-behaviour-type", "reputation-direction", "reputation-direction6", "tos-mask", "match-vendor-mac", "geoip-match", "pfcp-profile", "gtp-profile", "mms-profile", "dponly", "global", "implicit", "port-selection-mode", "wccp", "cos", "vlan-cos", "ztna-device-ownership", "ztna-tags-match-logic", "ztna-ems-tag-negate",
];

/// Settings of local-in policies that are read.
pub(super) const LOCAL_IN_READ: &[&str] = &[
    "policyid", "intf", "srcaddr", "dstaddr", "srcaddr-negate", "dstaddr-negate", "service", "service-negate", "schedule", "status", "action", "comments", "logtraffic",
    "internet-service-src", "internet-service-src-name", "internet-service-src-group", "internet-service-src-custom", "internet-service-src-custom-group", "internet-service-src-negate",
    "internet-service-src-fortiguard",
];

/// Settings of objects that say nothing about what they stand for.
const OBJECT_IRRELEVANT: &[&str] = &[
    "uuid", "comment", "comments", "color", "visibility", "associated-interface", "allow-routing", "fabric-object", "category", "tags", "cache-ttl", "global-object", "passive-fqdn-learning",
    "session-ttl", "helper", "check-reset-range", "tcp-halfclose-timer", "tcp-halfopen-timer", "tcp-timewait-timer", "tcp-rst-timer", "udp-idle-timer", "taggable", "dirty", "explicit-proxy", "radius-server", "policy-group", "subnet-segment", "tagging", "list", "profile-list",
];

const ADDRESS: &[&str] = &[
    "type", "subnet", "start-ip", "end-ip", "wildcard", "wildcard-fqdn", "fqdn", "country", "interface", "ip6", "macaddr", "start-mac", "end-mac", "sdn", "filter", "sub-type",
    "template", "host", "host-type", "subnet-name", "obj-type", "tenant", "organization", "epg-name", "sdn-tag", "clearpass-spt", "fsso-group", "obj-tag", "tag-type", "hw-vendor", "hw-model", "os",
    "sw-version", "route-tag", "obj-id", "tag-detection-level", "node-ip-only", "sdn-addr-type", "member", "exclude", "exclude-member",
];

const VIP: &[&str] = &[
    "type", "extip", "extaddr", "mappedip", "mapped-addr", "extintf", "portforward", "protocol", "extport", "mappedport", "src-filter", "srcintf-filter", "service", "status", "server-type", "realservers", "member", "interface", "ip", "port",
    "start-ip", "end-ip", "startip", "endip",
];

const VIP_IRRELEVANT: &[&str] = &[
    "id", "uuid", "comment", "comments", "color", "arp-reply", "nat-source-vip", "gratuitous-arp-interval", "ldb-method", "persistence", "http-ip-header", "http-multiplex", "http-redirect", "ssl-mode",
    "ssl-certificate", "ssl-min-version", "ssl-max-version", "ssl-algorithm", "ssl-cipher-suites", "ssl-dh-bits", "ssl-pfs", "ssl-hpkp", "ssl-hsts", "monitor", "max-embryonic-connections", "portmapping-type", "weight",
    "healthcheck", "holddown-interval", "max-connections", "client-ip", "http-host", "outlook-web-access", "weblogic-server", "websphere-server", "dns-mapping-ttl", "empty-cert-action", "type",
    "arp-intf", "permit-any-host", "associated-interface", "block-size", "num-blocks-per-user", "pba-timeout", "source-startip", "source-endip", "add-nat64-route", "nat64", "nat46", "add-nat46-route", "nat66", "ndp-reply", "one-click-gslb-server", "gslb-hostname", "gslb-domain-name", "nat44", "embedded-ipv4-address", "http2", "h2-support", "h3-support", "http-cookie-age", "http-multiplex-ttl", "http-multiplex-max-request", "http-supported-max-version", "ssl-http-location-conversion", "ssl-http-match-host", "ssl-send-empty-frags", "ssl-client-fallback", "ssl-client-renegotiation", "ssl-client-session-state-type", "ssl-client-session-state-timeout", "ssl-client-session-state-max", "ssl-client-rekey-count", "ssl-server-min-version", "ssl-server-max-version", "ssl-server-algorithm", "ssl-server-session-state-type", "ssl-server-session-state-timeout", "ssl-server-session-state-max", "ssl-server-renegotiation", "ssl-hsts-age", "ssl-hsts-include-subdomains", "ssl-accept-ffdhe-groups", "cgn-spa", "port-per-user", "exclude-ip", "excludeip", "subnet-broadcast-in-ippool", "tcp-session-quota", "udp-session-quota", "icmp-session-quota", "privileged-port-use-pba", "startport", "endport", "policy", "order", "cookie", "http-cookie-domain", "http-cookie-path",
];

const PHASE: &[&str] = &[
    "type", "interface", "ike-version", "mode", "proposal", "dhgrp", "authmethod", "psksecret", "psksecret-remote", "xauthtype", "eap", "authusrgrp", "remote-gw", "remote-gw6", "remotegw-ddns", "peertype", "mode-cfg", "net-device",
    "phase1name", "pfs", "src-subnet", "dst-subnet", "src-subnet6", "dst-subnet6", "src-addr-type", "dst-addr-type", "src-name", "dst-name", "src-name6", "dst-name6", "src-start-ip", "src-end-ip", "dst-start-ip", "dst-end-ip",
    "src-start-ip6", "dst-start-ip6", "src-end-ip6", "dst-end-ip6", "comments",
];

const INTERFACE: &[&str] = &[
    "vdom", "ip", "mode", "status", "alias", "allowaccess", "secondary-IP", "secondaryip", "ipv6", "ip6-address", "ip6-allowaccess", "ip6-mode", "autoconf", "ip6-extra-addr", "defaultgw", "distance", "dhcp-relay-service",
    "ident-accept", "bfd", "vrrp", "explicit-web-proxy", "explicit-ftp-proxy", "type",
];

/// Sections by path, the longest beginning first where one begins with another.
const SECTIONS: &[(&str, Class)] = &[
    ("system global", Class::Part(&["hostname", "admin-sport", "admin-port", "admin-ssh-port", "admin-telnet-port", "admin-telnet", "admin-ssh-v1", "admin-https-redirect", "admintimeout", "admin-lockout-threshold", "admin-lockout-duration", "strong-crypto", "admin-https-ssl-versions", "ssl-min-proto-version", "allow-traffic-redirect", "ipv6-allow-traffic-redirect"])),
    ("system settings", Class::Part(&["central-nat", "ngfw-mode", "consolidated-firewall-mode", "ike-port"])),
    ("system interface", Class::Part(INTERFACE)),
    ("system zone", Class::Whole(&["interface", "intrazone"], &["description", "tagging", "name", "category", "tags", "comment"])),
    ("system virtual-wan-link", Class::Part(&["interface", "zone", "status"])),
    ("system sdwan", Class::Part(&["interface", "zone", "status"])),
    ("system admin", Class::Part(&["password", "two-factor", "remote-auth", "peer-auth", "wildcard", "accprofile", "vdom"])),
    ("system api-user", Class::Part(&["api-key", "trusthost", "ipv4-trusthost", "type"])),
    ("system snmp community", Class::Part(&["name", "status", "query-v1-status", "query-v2c-status"])),
    ("system snmp user", Class::Part(&["security-level", "auth-proto", "priv-proto", "auth-pwd", "priv-pwd"])),
    ("system snmp sysinfo", Class::Part(&["status"])),
    ("system dhcp server", Class::Part(&["interface", "status"])),
    ("system dhcp6 server", Class::Part(&["interface", "status"])),
    ("system dns-server", Class::Part(&["mode"])),
    ("system ntp", Class::Part(&["server-mode", "interface"])),
    ("system gre-tunnel", Class::Part(&["interface"])),
    ("system ipip-tunnel", Class::Part(&["interface"])),
    ("system sit-tunnel", Class::Part(&["interface"])),
    ("system vxlan", Class::Part(&["interface"])),
    ("system accprofile", Class::Part(&["admintimeout-override"])),
    ("firewall address", Class::Whole(ADDRESS, OBJECT_IRRELEVANT)),
    ("firewall address6", Class::Whole(ADDRESS, OBJECT_IRRELEVANT)),
    ("firewall address6-template", Class::Irrelevant),
    ("firewall addrgrp", Class::Whole(ADDRESS, OBJECT_IRRELEVANT)),
    ("firewall addrgrp6", Class::Whole(ADDRESS, OBJECT_IRRELEVANT)),
    ("firewall multicast-address", Class::Irrelevant),
    ("firewall multicast-address6", Class::Irrelevant),
    ("firewall wildcard-fqdn custom", Class::Irrelevant),
    ("firewall wildcard-fqdn group", Class::Irrelevant),
    ("firewall service category", Class::Irrelevant),
    ("firewall service custom", Class::Whole(&["protocol", "protocol-number", "tcp-portrange", "udp-portrange", "sctp-portrange", "udplite-portrange", "icmptype", "icmpcode", "iprange", "fqdn", "proxy", "app-service-type", "app-category", "application"], OBJECT_IRRELEVANT)),
    ("firewall service group", Class::Whole(&["member"], &["uuid", "comment", "color", "proxy", "fabric-object"])),
    ("firewall schedule recurring", Class::Part(&["day", "start", "end"])),
    ("firewall schedule onetime", Class::Part(&["start", "end"])),
    ("firewall schedule group", Class::Part(&["member"])),
    ("firewall policy", Class::Whole(POLICY_READ, POLICY_IRRELEVANT)),
    ("firewall policy6", Class::Whole(POLICY_READ, POLICY_IRRELEVANT)),
    ("firewall consolidated policy", Class::Whole(POLICY_READ, POLICY_IRRELEVANT)),
    ("firewall local-in-policy", Class::Whole(LOCAL_IN_READ, POLICY_IRRELEVANT)),
    ("firewall local-in-policy6", Class::Whole(LOCAL_IN_READ, POLICY_IRRELEVANT)),
    ("firewall multicast-policy", Class::NotModelled("multicast policies are not modelled: what they decide is not known")),
    ("firewall multicast-policy6", Class::NotModelled("multicast policies are not modelled: what they decide is not known")),
    ("firewall policy46", Class::NotModelled("policies between IPv4 and IPv6 are not modelled: what they let through is not known")),
    ("firewall policy64", Class::NotModelled("policies between IPv4 and IPv6 are not modelled: what they let through is not known")),
    ("firewall vip46", Class::NotModelled("translation between IPv4 and IPv6 is not modelled")),
    ("firewall vip64", Class::NotModelled("translation between IPv4 and IPv6 is not modelled")),
    ("firewall security-policy", Class::NotModelled("policies by application are not modelled")),
    ("firewall proxy-policy", Class::NotModelled("policies of the explicit proxy are not modelled")),
    ("firewall acl", Class::NotModelled("access lists of the network processor are not modelled: they may drop what policies accept")),
    ("firewall acl6", Class::NotModelled("access lists of the network processor are not modelled: they may drop what policies accept")),
    ("firewall ttl-policy", Class::NotModelled("policies by time to live are not modelled: they may drop what policies accept")),
    ("firewall ipmacbinding setting", Class::NotModelled("the binding of addresses to MAC addresses is not modelled: it may drop what policies accept")),
    ("firewall vip", Class::Whole(VIP, VIP_IRRELEVANT)),
    ("firewall vip6", Class::Whole(VIP, VIP_IRRELEVANT)),
    ("firewall vipgrp", Class::Whole(VIP, VIP_IRRELEVANT)),
    ("firewall vipgrp6", Class::Whole(VIP, VIP_IRRELEVANT)),
    ("firewall ippool", Class::Whole(VIP, VIP_IRRELEVANT)),
    ("firewall ippool6", Class::Whole(VIP, VIP_IRRELEVANT)),
    ("firewall central-snat-map", Class::Whole(&["type", "srcintf", "dstintf", "orig-addr", "dst-addr", "orig-addr6", "dst-addr6", "protocol", "orig-port", "dst-port", "nat", "nat-ippool", "nat-ippool6", "status", "comments"], &["uuid", "policyid", "nat-port", "port-preserve", "port-random"])),
    ("router static", Class::Part(&["dst", "gateway", "device", "status", "blackhole", "distance", "sdwan", "sdwan-zone", "virtual-wan-link", "dstaddr", "internet-service"])),
    ("router static6", Class::Part(&["dst", "gateway", "device", "status", "blackhole", "distance", "sdwan", "sdwan-zone", "virtual-wan-link"])),
    ("router policy", Class::NotModelled("policy routes are not modelled: packets may leave by other interfaces than the routing table says")),
    ("router policy6", Class::NotModelled("policy routes are not modelled: packets may leave by other interfaces than the routing table says")),
    ("router bgp", Class::Part(&["neighbor"])),
    ("router ospf", Class::Part(&["area", "network"])),
    ("vpn ipsec phase1-interface", Class::Part(PHASE)),
    ("vpn ipsec phase1", Class::Part(PHASE)),
    ("vpn ipsec phase2-interface", Class::Part(PHASE)),
    ("vpn ipsec phase2", Class::Part(PHASE)),
    ("vpn ipsec manualkey", Class::NotModelled("IPsec with manual keys is not modelled")),
    ("vpn ipsec manualkey-interface", Class::NotModelled("IPsec with manual keys is not modelled")),
    ("vpn ssl settings", Class::Part(&["status", "source-interface", "port", "ssl-min-proto-ver", "tlsv1-0", "tlsv1-1", "force-two-factor-auth", "reqclientcert", "tunnel-ip-pools", "tunnel-ipv6-pools", "source-address", "source-address6", "groups", "idle-timeout", "auth-timeout", "login-attempt-limit", "login-block-time", "algorithm", "servercert"])),
    ("vpn ssl web portal", Class::Part(&["ip-pools", "ipv6-pools", "split-tunneling-routing-address", "split-tunneling-routing-negate"])),
    ("vpn l2tp", Class::Part(&["status"])),
    ("vpn pptp", Class::Part(&["status"])),
    ("user group", Class::Part(&["member"])),
    ("log setting", Class::Part(&["fwpolicy-implicit-log", "fwpolicy6-implicit-log"])),
    ("log syslogd setting", Class::Part(&["status", "server", "mode", "enc-algorithm"])),
    ("log syslogd2 setting", Class::Part(&["status", "server", "mode", "enc-algorithm"])),
    ("log syslogd3 setting", Class::Part(&["status", "server", "mode", "enc-algorithm"])),
    ("log syslogd4 setting", Class::Part(&["status", "server", "mode", "enc-algorithm"])),
    ("log fortianalyzer setting", Class::Part(&["status", "server", "enc-algorithm"])),
    ("log fortianalyzer2 setting", Class::Part(&["status", "server", "enc-algorithm"])),
    ("log fortianalyzer3 setting", Class::Part(&["status", "server", "enc-algorithm"])),
    ("log fortiguard setting", Class::Part(&["status"])),
];

fn class(path: &str) -> Option<Class> {
    if let Some((_, class)) = SECTIONS.iter().find(|(p, _)| *p == path) {
        return Some(*class);
    }
    super::tree::is_top(path).then_some(Class::Irrelevant)
}

/// Whether values mean that a setting is off or empty, as `show full-configuration` writes it.
pub(super) fn is_off(values: &[Word]) -> bool {
    values.iter().all(|v| matches!(v.text.as_str(), "disable" | "" | "0" | "0x00" | "0.0.0.0" | "::" | "none" | "255"))
}

/// Marks every statement of the file.
pub(super) fn mark(reader: &mut Reader<'_>, tree: &Tree) {
    for section in &tree.sections {
        let path = section.body.path();
        let Some(class) = class(&path) else {
            reader.note(section.body.first, LineState::Unrecognised, "this section is not known");
            reader.mark(section.body.span, LineState::Unrecognised);
            continue;
        };
        match class {
            Class::Irrelevant => reader.mark(section.body.span, LineState::Irrelevant),
            Class::NotModelled(text) if section.body.items.is_empty() => {
                let _ = text;
                reader.mark(section.body.span, LineState::Irrelevant);
            }
            Class::NotModelled(text) => {
                reader.mark(section.body.span, LineState::NotModelled);
                reader.note(section.body.first, LineState::NotModelled, text);
            }
            Class::Part(_) | Class::Whole(..) => body(reader, &section.body, class, section.scope == Scope::Whole),
        }
    }
}

/// Blocks inside of blocks are at most as deep as the reader's limit on nesting.
fn body(reader: &mut Reader<'_>, block: &Body, class: Class, whole: bool) {
    reader.mark(block.first, LineState::Understood);
    // The line with `next` or `end`.
    let last = crate::source::Span { start: block.span.end.saturating_sub(1).max(block.span.start), ..block.span };
    reader.mark(last, LineState::Understood);
    for item in &block.items {
        match item {
            Item::Edit(inner) => body(reader, inner, class, whole),
            // What stands in a table inside is looked up by the same lists; what is not in them matters to nothing.
            Item::Config(inner) => {
                let known = match class {
                    Class::Part(known) | Class::Whole(known, _) => known,
                    Class::NotModelled(_) | Class::Irrelevant => &[],
                };
                body(reader, inner, Class::Part(known), whole);
            }
            Item::Command(_, span) => reader.mark(*span, LineState::Understood),
            Item::Setting(op, words, span) => {
                let Some((name, values)) = words.split_first() else { continue };
                let name = name.text.as_str();
                let trusthost = name.starts_with("trusthost") || name.starts_with("ip6-trusthost");
                let state = match class {
                    Class::Part(known) if known.contains(&name) || trusthost => LineState::Understood,
                    Class::Whole(known, _) if known.contains(&name) => LineState::Understood,
                    Class::Whole(_, irrelevant) if irrelevant.contains(&name) || *op == Op::Unset || is_off(values) => LineState::Irrelevant,
                    Class::Whole(..) => {
                        reader.note(*span, LineState::NotModelled, format!("{name:?} is not modelled"));
                        LineState::NotModelled
                    }
                    _ => LineState::Irrelevant,
                };
                reader.mark(*span, state);
            }
        }
    }
}
