//! The state of each line that no reader says more of.

use crate::diag::LineState;
use crate::source::Span;
use crate::syntax::xml::Element;
use crate::vendors::Reader;

/// Sections that concern no check, or only people.
const IRRELEVANT: &[&str] = &[
    "version",
    "lastchange",
    "theme",
    "trigger_initial_wizard",
    "revision",
    "widgets",
    "rrd",
    "ntpd",
    "cron",
    "wol",
    "ca",
    "cert",
    "crl",
    "ovpnserver",
    "load_balancer",
    "dyndns",
    "dyndnses",
    "dnsupdates",
    "rfc2136",
    "unbound",
    "dnsmasq",
    "notifications",
    "hasync",
    "shaper",
    "dnshaper",
    "ezshaper",
    "sysctl",
    "diag",
    "bridge",
    "ppps",
    "pppoe",
    "pptp",
    "bigpond",
    "laggs",
    "gifs",
    "gres",
    "bridges",
    "vlans",
    "qinqs",
    "wireless",
    "ifgroups",
    "proxyarp",
    "ovpn",
    "dhcpbackend",
    "dhcrelay",
    "dhcrelay6",
    "openvpn-csc",
    "igmpproxy",
    "created",
    "changes",
    "wizardtemp",
    "backup_area",
    "hwacl",
    "sshdata",
    "crypto",
    "captiveportal",
    "voucher",
    "tor",
    "rrddata",
    "monitoring",
    "kea",
    "netflow",
    "ndproxy",
    "dpinger",
    "staticmaps",
];
/// Sections that are lowered, whole or in part.
const LOWERED: &[&str] = &[
    "system",
    "interfaces",
    "filter",
    "nat",
    "aliases",
    "gateways",
    "staticroutes",
    "virtualip",
    "openvpn",
    "ipsec",
    "snmpd",
    "syslog",
    "schedules",
    "dhcpd",
    "dhcpdv6",
    "OPNsense",
    "installedpackages",
    "wireguard",
    "pptpd",
    "l2tp",
    "pppoes",
];
/// Parts of `<OPNsense>` that are lowered, and such as concern no check.
const MODELS: &[&str] = &[
    "Firewall",
    "wireguard",
    "IPsec",
    "Swanctl",
    "OpenVPN",
    "OpenVPNExport",
    "Gateways",
    "Interfaces",
    "Syslog",
    "Netsnmp",
    "Kea",
    "miniupnpd",
];
const MODELS_IRRELEVANT: &[&str] = &[
    "cron",
    "monit",
    "captiveportal",
    "Netflow",
    "proxy",
    "IDS",
    "TrafficShaper",
    "unboundplus",
    "unbound",
    "trust",
    "DHCRelay",
    "DynDNS",
    "core",
    "Core",
    "Trust",
    "Firmware",
    "Dnsmasq",
    "dnsmasq",
    "backup",
    "diagnostics",
    "Diagnostics",
    "Widgets",
    "ndproxy",
    "hostdiscovery",
    "ntpd",
    "radvd",
    "quagga",
    "Backup",
    "AuthGroups",
    "vlans",
    "laggs",
    "Hasync",
    "hasync",
];
/// Parts of `<OPNsense><Firewall>` that are read or say nothing, and such of its `<Filter>`.
const FIREWALL: &[&str] = &["Alias", "Category", "Filter", "Group", "Lvtemplate"];
const FILTER: &[&str] = &["rules", "snatrules", "npt", "onetoone"];
/// Parts of a lowered section that say nothing to any check.
const ASIDE: &[&str] = &[
    "created",
    "updated",
    "category",
    "categories",
    "descr",
    "description",
    "staticmap",
    "range",
    "dnsserver",
    "ntpserver",
    "winsserver",
    "timeservers",
    "language",
    "timezone",
    "priv",
    "gid",
    "uid",
    "nextuid",
    "nextgid",
    "member",
    "crt",
    "media",
    "mediaopt",
    "spoofmac",
    "mtu",
    "mss",
    "numberoptions",
    "Category",
    "Lvtemplate",
    "serial",
    "powerd_ac_mode",
    "powerd_battery_mode",
    "powerd_normal_mode",
    "firmware",
    "rrdbackup",
    "netflowbackup",
    "scope",
    "expires",
    "groupname",
    "webguicss",
    "logincss",
    "dashboardcolumns",
    "loginautocomplete",
    "althostnames",
    "interfaces_ordered",
    "separator",
];

/// Marks all lines: what is read further raises them.
pub(super) fn mark(reader: &mut Reader<'_>, root: Element<'_>) {
    ends(reader, root);
    for section in root.children() {
        match section.name() {
            "OPNsense" => {
                ends(reader, section);
                for model in section.children() {
                    let name = model.name();
                    one(reader, model, MODELS.contains(&name), MODELS_IRRELEVANT.contains(&name));
                    if name == "Firewall" {
                        others(reader, model, FIREWALL);
                        model.children().filter(|c| c.name() == "Filter").for_each(|filter| others(reader, filter, FILTER));
                    }
                }
            }
            // Packages of pfSense, each in its own words; those that matter are asked by name.
            "installedpackages" => {
                ends(reader, section);
                section.children().for_each(|p| lines(reader, p, LineState::Irrelevant));
            }
            name => one(reader, section, LOWERED.contains(&name), IRRELEVANT.contains(&name)),
        }
    }
}

fn one(reader: &mut Reader<'_>, section: Element<'_>, lowered: bool, irrelevant: bool) {
    if lowered {
        lowered_section(reader, section);
    } else if irrelevant {
        lines(reader, section, LineState::Irrelevant);
    } else {
        lines(reader, section, LineState::NotModelled);
        let text = format!("what <{}> configures is not known", section.name());
        reader.note(section.tag_span(), LineState::NotModelled, text);
    }
}

/// Parts of a section that is read which are none of those that are known, and not empty.
fn others(reader: &mut Reader<'_>, section: Element<'_>, known: &[&str]) {
    let empty = |e: &Element<'_>| e.children().next().is_none() && e.text().trim().is_empty();
    for part in section.children().filter(|c| !known.contains(&c.name()) && !empty(c)) {
        one(reader, part, false, false);
    }
}

fn lines(reader: &mut Reader<'_>, element: Element<'_>, state: LineState) {
    reader.mark(element.span(), state);
}

/// The lines of the start tag and of the end.
fn ends(reader: &mut Reader<'_>, element: Element<'_>) {
    reader.mark(element.tag_span(), LineState::Understood);
    let span = element.span();
    if element.is_closed() {
        reader.mark(Span { start: span.end.saturating_sub(1), ..span }, LineState::Understood);
    }
}

fn lowered_section(reader: &mut Reader<'_>, section: Element<'_>) {
    ends(reader, section);
    let mut past = 0;
    for element in section.descendants() {
        let span = element.span();
        if span.start < past {
            continue;
        }
        if ASIDE.contains(&element.name()) {
            lines(reader, element, LineState::Irrelevant);
            past = span.end;
        } else if element.children().next().is_some() {
            ends(reader, element);
        } else {
            lines(reader, element, LineState::Understood);
        }
    }
}
