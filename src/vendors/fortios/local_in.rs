//! Traffic to the appliance: local-in policies, and what it lets in by itself for the services that are switched on.
//!
//! Administration guide, "Local-in policy": the list is read from top to bottom, and what it does not decide is up to the services. Technical
//! description at yurisk.info, "Local-in policy configuration examples": policies of one's own come before those that the appliance makes, and
//! do not remove them; each service that is switched on opens its ports to all. Ports: "FortiOS ports and protocols" at docs.fortinet.com.

use super::defaults::{FGFM_PORTS, HTTP_PORT, HTTPS_PORT, SSH_PORT, TELNET_PORT};
use super::management::Admins;
use super::matching::{Context, Kind, SeesTranslated, opaque};
use super::network::Interfaces;
use super::services::transport;
use super::settings::{LOCAL_IN_READ, POLICY_IRRELEVANT};
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::{Action, ChainId, Direction, Match, NamePattern, Rule};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// The local-in policies; what they accept goes on to the `services`.
pub(super) fn policies(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, services: ChainId, at: Span) -> Vec<Rule> {
    let mut out = super::policy::sessions(cx, at);
    // Neighbour discovery and group membership (RFC 4861, RFC 2710) are below any policy.
    let neighbours = Ranges::interval(130 << 8, (137 << 8) + 255);
    let matcher =
        Match::all(vec![Match::Family(Family::V6), Match::Field(Field::Proto, Ranges::single(58)), Match::Field(Field::Icmp, neighbours)]);
    out.push(Rule::inherent("acceptance of neighbour discovery", matcher, Action::Accept, at));
    for (path, kind) in [("firewall local-in-policy", Kind::V4), ("firewall local-in-policy6", Kind::V6)] {
        for entry in cx.domain.table(path) {
            let family = kind.families()[0];
            let missing = |reader: &mut Reader<'_>, what: &str| {
                opaque(reader, &format!("local-in policy {} is met, which names no {what}", entry.name), entry.first)
            };
            let mut parts = vec![Match::Family(family)];
            let arrival = cx.zones.list(reader, Direction::In, &entry, "intf");
            parts.push(arrival.unwrap_or_else(|| missing(reader, "intf")));
            for (side, name) in [("src", "srcaddr"), ("dst", "dstaddr")] {
                let found = cx.side(reader, &entry, side, family, kind, SeesTranslated::Yes);
                parts.push(found.unwrap_or_else(|| missing(reader, name)));
            }
            let service = cx.service(reader, &entry);
            parts.push(service.unwrap_or_else(|| missing(reader, "service")));
            parts.push(cx.schedule(reader, &entry));
            parts.push(cx.others(reader, &entry, LOCAL_IN_READ, POLICY_IRRELEVANT));
            // Default deny (CLI reference, `firewall local-in-policy`). Acceptance opens nothing that no service has opened.
            let action = match entry.value("action").unwrap_or("deny") {
                "deny" => Action::Drop,
                "accept" => Action::Goto(services),
                other => {
                    reader.note(entry.at("action"), LineState::NotModelled, "this action is not modelled");
                    Action::Opaque(format!("the action {other:?}").into())
                }
            };
            let mut rule = Rule::new(Match::all(parts), action, entry.first);
            rule.whole = entry.span;
            rule.enabled = !entry.is("status", "disable");
            rule.log = entry.is("logtraffic", "enable") || entry.is("logtraffic", "all");
            rule.name = Some(format!("local-in policy {}", entry.name));
            rule.comment = entry.value("comments").filter(|c| !c.is_empty()).map(str::to_owned);
            out.push(rule);
        }
    }
    out.push(Rule::implied("way to the services", Match::Any, Action::Goto(services), at));
    out
}

fn on(interface: &str) -> Match {
    Match::Interface(Direction::In, NamePattern::exact(interface))
}

fn ports(protocol: u8, list: &[u16]) -> Match {
    transport(protocol, Ranges::from_values(list.iter().map(|p| u128::from(*p))), None)
}

fn protocol(n: u8) -> Match {
    Match::Field(Field::Proto, Ranges::single(u128::from(n)))
}

/// What the services of the appliance answer.
pub(super) fn services(
    reader: &mut Reader<'_>,
    cx: &Context<'_, '_>,
    interfaces: &Interfaces<'_>,
    admins: &Admins,
    asks_users: bool,
    at: Span,
) -> Vec<Rule> {
    let mut out = Vec::new();
    for entry in &interfaces.entries {
        if cx.zones.interfaces().any(|n| *n == entry.name) {
            access(reader, cx, entry, admins, &mut out);
            by_interface(reader, cx, entry, &mut out);
        }
    }
    vpn(reader, cx, &mut out);
    routing(cx, &mut out);
    others(reader, cx, asks_users, &mut out, at);
    // Technical tip 196654: what is refused is logged by two settings, which are off by default.
    let groups = [(Family::V4, 0xe000_0000), (Family::V6, 0xff << 120)];
    let groups = groups.map(|(f, first)| Match::Address(Field::Dst, f, Ranges::interval(first, f.max_address())));
    for (matcher, setting) in [(Match::AnyOf(groups.to_vec()), "local-in-deny-broadcast"), (Match::Any, "local-in-deny-unicast")] {
        let rule = Rule::implied("refusal of what no service answers", matcher, Action::Drop, at);
        out.push(Rule { log: cx.log_setting(setting), ..rule });
    }
    out
}

/// `allowaccess` of one interface.
fn access(reader: &mut Reader<'_>, cx: &Context<'_, '_>, entry: &Entry<'_>, admins: &Admins, out: &mut Vec<Rule>) {
    let global = cx.global_setting.as_ref();
    let port = |setting: &str, default: u16| global.and_then(|g| g.value(setting)).and_then(|v| v.parse::<u16>().ok()).unwrap_or(default);
    let v6 = entry.section("ipv6");
    let lists = [(Family::V4, Some(entry), "allowaccess"), (Family::V6, v6.as_ref(), "ip6-allowaccess")];
    for (family, section, setting) in lists {
        for word in section.map(|s| s.values(setting)).unwrap_or_default() {
            let (icmp, echo) = if family == Family::V4 { (1, 8u128) } else { (58, 128) };
            // Which of them a list of trusted hosts bounds: those where administrators log in. Whether ping and SNMP too differs by version.
            let (services, bound): (Vec<Match>, bool) = match word.text.as_str() {
                "https" => (vec![ports(6, &[port("admin-sport", HTTPS_PORT)])], true),
                "http" => (vec![ports(6, &[port("admin-port", HTTP_PORT)])], true),
                "ssh" => (vec![ports(6, &[port("admin-ssh-port", SSH_PORT)])], true),
                "telnet" if global.is_some_and(|g| g.is("admin-telnet", "disable")) => continue,
                "telnet" => (vec![ports(6, &[port("admin-telnet-port", TELNET_PORT)])], true),
                "ping" => {
                    let request = Match::Field(Field::Icmp, Ranges::interval(echo << 8, (echo << 8) + 255));
                    (vec![Match::all(vec![protocol(icmp), request])], false)
                }
                "snmp" => (vec![ports(17, &[161])], false),
                "fgfm" if family == Family::V4 => (vec![ports(6, &[FGFM_PORTS.0])], false),
                "fgfm" => (vec![ports(6, &[FGFM_PORTS.0, FGFM_PORTS.1])], false),
                "capwap" => (vec![ports(17, &[5246, 5247])], false),
                "fabric" => (vec![ports(6, &[8013]), ports(17, &[5246, 5247])], false),
                "ftm" => (vec![ports(6, &[4433])], false),
                "radius-acct" => (vec![ports(17, &[1813])], false),
                "probe-response" | "speed-test" | "dnp" | "auto-ipsec" | "scim" => {
                    let text = format!("{} of interface {} answers", word.text, entry.name);
                    (
                        vec![Match::all(vec![Match::Field(Field::Proto, Ranges::from_values([6, 17])), opaque(reader, &text, word.span)])],
                        false,
                    )
                }
                other => {
                    reader.note(word.span, LineState::NotModelled, format!("access by {other:?} is not modelled"));
                    (vec![opaque(reader, &format!("access by {other} answers"), word.span)], false)
                }
            };
            let mut parts = vec![Match::Family(family), on(&entry.name), Match::any_of(services)];
            if let Some(hosts) = admins.hosts(family) {
                let from = Match::Address(Field::Src, family, hosts.clone());
                let also_others = matches!(word.text.as_str(), "ping" | "snmp");
                if bound {
                    parts.push(from);
                } else if also_others {
                    let open = opaque(reader, &format!("{} answers others than the trusted hosts", word.text), word.span);
                    parts.push(Match::any_of(vec![from, open]));
                }
            }
            out.push(Rule::implied("access to the interface", Match::all(parts), Action::Accept, word.span));
        }
    }
}

const DHCP_CLIENT: &str = "answers to the DHCP client";

/// Other things that one interface answers.
fn by_interface(reader: &mut Reader<'_>, cx: &Context<'_, '_>, entry: &Entry<'_>, out: &mut Vec<Rule>) {
    let mut add = |what: &'static str, m: Match, span: Span| {
        let dhcp = what == DHCP_CLIENT;
        out.push(Rule { inherent: dhcp, ..Rule::implied(what, Match::all(vec![on(&entry.name), m]), Action::Accept, span) });
    };
    let v4 = |m: Match| Match::all(vec![Match::Family(Family::V4), m]);
    if entry.is("mode", "dhcp") {
        add(DHCP_CLIENT, v4(ports(17, &[68])), entry.at("mode"));
    }
    if entry.is("dhcp-relay-service", "enable") {
        add("DHCP relay", v4(ports(17, &[67])), entry.at("dhcp-relay-service"));
    }
    if entry.is("ident-accept", "enable") {
        add("answer to ident", ports(6, &[113]), entry.at("ident-accept"));
    }
    if entry.is("bfd", "enable") {
        add("BFD", ports(17, &[3784, 4784]), entry.at("bfd"));
    }
    if entry.inner.iter().any(|b| b.path() == "vrrp" && !b.items.is_empty()) {
        add("VRRP", protocol(112), entry.first);
    }
    let v6 = entry.section("ipv6");
    if let Some(v6) = v6.as_ref().filter(|s| s.is("ip6-mode", "dhcp")) {
        add(DHCP_CLIENT, Match::all(vec![Match::Family(Family::V6), ports(17, &[546])]), v6.first);
    }
    for setting in ["explicit-web-proxy", "explicit-ftp-proxy"] {
        if entry.is(setting, "enable") {
            let open = opaque(reader, &format!("the explicit proxy of interface {} listens there", entry.name), entry.at(setting));
            out.push(Rule::implied(
                "explicit proxy",
                Match::all(vec![on(&entry.name), protocol(6), open]),
                Action::Accept,
                entry.at(setting),
            ));
        }
    }
    let servers = [("system dhcp server", Family::V4, 67), ("system dhcp6 server", Family::V6, 547)];
    for (path, family, port) in servers {
        for server in cx.domain.table(path) {
            if server.is("interface", &entry.name) && !server.is("status", "disable") {
                let m = Match::all(vec![on(&entry.name), Match::Family(family), ports(17, &[port])]);
                out.push(Rule::implied("DHCP server", m, Action::Accept, server.first));
            }
        }
    }
}

fn vpn(reader: &mut Reader<'_>, cx: &Context<'_, '_>, out: &mut Vec<Rule>) {
    let own_port = cx.domain.section("system settings").and_then(|s| s.value("ike-port")?.parse::<u16>().ok()).unwrap_or(500);
    let ike = || Match::any_of(vec![ports(17, &[own_port, 500, 4500]), protocol(50)]);
    let mut first: Option<Span> = None;
    for path in ["vpn ipsec phase1-interface", "vpn ipsec phase1"] {
        for tunnel in cx.domain.table(path) {
            first = first.or(Some(tunnel.first));
            if let Some(word) = tunnel.values("interface").first() {
                let arrival = cx.zones.on(reader, Direction::In, &word.text, word.span);
                // CLI reference, `vpn ipsec phase1-interface`, `ip-version`: 4 by default.
                let family = Match::Family(if tunnel.is("ip-version", "6") { Family::V6 } else { Family::V4 });
                out.push(Rule::implied("IPsec", Match::all(vec![arrival, family, ike()]), Action::Accept, tunnel.first));
            }
        }
    }
    if let Some(span) = first {
        let open = opaque(reader, "IKE answers on interfaces without a tunnel", span);
        out.push(Rule::implied("IPsec", Match::all(vec![open, ike()]), Action::Accept, span));
    }
    if let Some(ssl) = cx.domain.section("vpn ssl settings") {
        let interfaces = ssl.values("source-interface");
        if !interfaces.is_empty() && !ssl.is("status", "disable") {
            let mut parts: Vec<Match> = interfaces.iter().map(|w| cx.zones.on(reader, Direction::In, &w.text, w.span)).collect();
            let arrival = Match::any_of(std::mem::take(&mut parts));
            let span = ssl.at("source-interface");
            let open = opaque(reader, "the SSL VPN listens there", span);
            let (list, certain) = match ssl.value("port").and_then(|p| p.parse::<u16>().ok()) {
                Some(port) => (vec![port], ssl.is("status", "enable")),
                // A factory-reset appliance has `set port 443`, so that the default is another; which, depends on the version.
                None => (vec![443, 10443], false),
            };
            let matcher =
                Match::all(vec![arrival, Match::any_of(vec![ports(6, &list), ports(17, &list)]), if certain { Match::Any } else { open }]);
            out.push(Rule::implied("SSL VPN", matcher, Action::Accept, span));
        }
    }
    for (path, what, services) in
        [("vpn l2tp", "L2TP", vec![ports(17, &[1701])]), ("vpn pptp", "PPTP", vec![ports(6, &[1723]), protocol(47)])]
    {
        if let Some(section) = cx.domain.section(path).filter(|s| s.is("status", "enable")) {
            out.push(Rule::implied(what, Match::any_of(services), Action::Accept, section.at("status")));
        }
    }
}

fn routing(cx: &Context<'_, '_>, out: &mut Vec<Rule>) {
    let list: [(&str, &'static str, Match); 6] = [
        ("router bgp", "BGP", ports(6, &[179])),
        ("router ospf", "OSPF", protocol(89)),
        ("router ospf6", "OSPF", protocol(89)),
        ("router rip", "RIP", ports(17, &[520])),
        ("router ripng", "RIP", ports(17, &[521])),
        ("router multicast", "multicast routing", Match::any_of(vec![protocol(103), protocol(2)])),
    ];
    for (path, what, m) in list {
        let Some(section) = cx.domain.section(path) else { continue };
        // Every export has these sections; they are on where there are neighbours, networks or interfaces.
        let tables = ["neighbor", "neighbor-group", "neighbor-range", "network", "area", "ospf-interface", "ospf6-interface", "interface"];
        let used = tables.iter().any(|t| !section.table(t).is_empty()) || section.is("multicast-routing", "enable");
        if used {
            out.push(Rule::implied(what, m, Action::Accept, section.first));
        }
    }
}

fn others(reader: &mut Reader<'_>, cx: &Context<'_, '_>, asks_users: bool, out: &mut Vec<Rule>, at: Span) {
    for server in cx.domain.table("system dns-server") {
        let m = Match::all(vec![on(&server.name), Match::any_of(vec![ports(6, &[53]), ports(17, &[53])])]);
        out.push(Rule::implied("DNS server", m, Action::Accept, server.first));
    }
    for ntp in [cx.domain.section("system ntp"), cx.global_ntp.clone()].into_iter().flatten() {
        if ntp.is("server-mode", "enable") {
            let interfaces: Vec<Match> = ntp.values("interface").iter().map(|w| on(&w.text)).collect();
            let m = Match::all(vec![Match::any_of(interfaces), ports(17, &[123])]);
            out.push(Rule::implied("NTP server", m, Action::Accept, ntp.at("server-mode")));
        }
    }
    for (path, what, m) in [
        ("system gre-tunnel", "GRE", protocol(47)),
        ("system ipip-tunnel", "IP in IP", protocol(4)),
        ("system sit-tunnel", "IPv6 in IPv4", protocol(41)),
        ("system vxlan", "VXLAN", ports(17, &[4789])),
    ] {
        if let Some(tunnel) = cx.domain.table(path).first() {
            out.push(Rule::implied(what, m, Action::Accept, tunnel.first));
        }
    }
    if asks_users {
        // The login page for users: `auth-http-port` 1000 and `auth-https-port` 1003 by default.
        let open = opaque(reader, "the login page for users answers on this interface", at);
        out.push(Rule::implied("login page for users", Match::all(vec![ports(6, &[1000, 1003]), open]), Action::Accept, at));
    }
}
