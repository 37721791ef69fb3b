//! The rules that the firewall makes by itself: `filter_rules_generate` of pfSense, `filter_core_rules_system` of OPNsense, and what its plugins
//! register for IPsec, static routes and DHCP.

use super::Dialect;
use super::interfaces::{On, index_of};
use super::lower::Lowering;
use super::places::{Negation, Side};
use super::rules::{Step, Way};
use super::tree::{Text, Tree};
use crate::model::{Action, Match};
use crate::net::{Family, Ranges, parse_cidr, prefix_bounds};
use crate::packets::Field;
use crate::source::Span;
use crate::syntax::xml::Element;

/// What "block private networks" blocks: `filter.inc` of pfSense.
const PRIVATE: &[&str] = &["10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// The same of OPNsense. Newer versions also name link-local addresses and no longer all of fc00::/7: what all versions block.
const PRIVATE_OPNSENSE: &[&str] = &["10.0.0.0/8", "127.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"];
/// What the list of IPv4 bogons holds for sure: addresses of the IANA IPv4 Special-Purpose Address Registry. Private ones are taken out of it
/// (the `egrep -v` of `rc.update_bogons.sh`), which is what "block private networks" is for. Whole unallocated blocks are no longer left in IPv4.
const BOGONS: &[&str] =
    &["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"];

/// Addresses of the given networks.
fn of(field: Field, list: &[&str]) -> Match {
    let mut any = Vec::new();
    for family in Family::BOTH {
        let nets = list.iter().filter_map(|t| parse_cidr(t)).filter(|(f, _, _)| *f == family);
        let set = Ranges::from_intervals(nets.map(|(_, lo, hi)| (lo, hi)).collect());
        if !set.is_empty() {
            any.push(Match::Address(field, family, set));
        }
    }
    Match::any_of(any)
}

fn proto(list: &[u128]) -> Match {
    Match::Field(Field::Proto, Ranges::from_values(list.iter().copied()))
}

fn port(field: Field, n: u128) -> Match {
    Match::Field(field, Ranges::single(n))
}

fn udp(from: Option<u128>, to: Option<u128>) -> Match {
    let ports = [(Field::Sport, from), (Field::Dport, to)].into_iter().filter_map(|(f, n)| n.map(|n| port(f, n)));
    Match::all(std::iter::once(proto(&[17])).chain(ports).collect())
}

fn icmp6(types: &[u128]) -> Match {
    let set = Ranges::from_intervals(types.iter().map(|t| (t << 8, t << 8 | 0xff)).collect());
    Match::all(vec![Match::Family(Family::V6), proto(&[58]), Match::Field(Field::Icmp, set)])
}

/// Steps as they are made.
#[derive(Default)]
struct Made(Vec<Step>);

impl Made {
    fn pass(&mut self, what: &'static str, on: On, way: Way, quick: bool, matcher: Match, span: Span) {
        self.0.push(Step::implied(what, on, way, quick, matcher, Action::Accept, span));
    }

    /// As [`Made::pass`], for what no setting takes away.
    fn need(&mut self, what: &'static str, on: On, way: Way, quick: bool, matcher: Match, span: Span) {
        self.pass(what, on, way, quick, matcher, span);
        self.0.iter_mut().next_back().into_iter().for_each(|step| step.rule.inherent = true);
    }

    fn block(&mut self, what: &'static str, on: On, way: Way, quick: bool, matcher: Match, span: Span) {
        let mut step = Step::implied(what, on, way, quick, matcher, Action::Drop, span);
        step.rule.log = true;
        self.0.push(step);
    }
}

impl<'d> Lowering<'_, '_, 'd> {
    fn system(&self) -> Option<Element<'d>> {
        self.root.child("system")
    }

    fn system_has(&self, name: &str) -> bool {
        self.system().is_some_and(|s| s.has(name))
    }

    /// Whether IPv6 is let through at all.
    fn allows_ipv6(&self) -> bool {
        let settings = self.root.at(&["OPNsense", "Interfaces", "settings"]).filter(|_| self.dialect == Dialect::Opnsense);
        self.system_has("ipv6allow") || settings.is_some_and(|s| s.has("disableipv6") && !s.yes("disableipv6"))
    }

    /// What stands before the rules that people write.
    pub fn before_rules(&mut self) -> Vec<Step> {
        let whole = self.whole;
        let mut made = Made::default();
        let any = || On::Any;
        let pfsense = self.dialect == Dialect::Pfsense;
        let system = self.system().map_or(whole, |s| s.tag_span());
        let log_off = self.root.child("syslog").is_some_and(|s| s.has("nologdefaultblock"));
        if !self.allows_ipv6() {
            made.block("IPv6 is not allowed", any(), Way::Both, true, Match::Family(Family::V6), system);
        }
        if pfsense && !self.system_has("no_apipa_block") {
            for field in [Field::Src, Field::Dst] {
                made.block("link-local IPv4 addresses are blocked", any(), Way::In, true, of(field, &["169.254.0.0/16"]), whole);
            }
        }
        made.block("default deny rule", any(), Way::Both, false, Match::Any, whole);
        self.icmp6(&mut made);
        let without = self.system().is_some_and(|s| s.yes("no_port0_block")) && !pfsense;
        if !without {
            for field in [Field::Sport, Field::Dport] {
                let matcher = Match::all(vec![proto(&[6, 17]), port(field, 0)]);
                made.block("port 0 is blocked", any(), Way::Both, true, matcher, whole);
            }
        }
        let carp = self.root.child("virtualip").filter(|v| v.list("vip").iter().any(|v| v.value("mode").is_some_and(|m| m.is(&["carp"]))));
        if let Some(carp) = carp {
            made.pass("CARP", any(), Way::Both, true, proto(&[112]), carp.tag_span());
        }
        for i in 0..self.ifaces.list.len() {
            let Some(iface) = self.ifaces.list.get(i).filter(|i| !i.is_virtual).cloned() else { continue };
            self.of_interface(&mut made, &iface.key, iface.element, iface.dynamic);
        }
        made.pass("the firewall itself may send anything", any(), Way::Out, false, Match::Any, whole);
        self.anti_lockout(&mut made);
        if log_off {
            made.0.iter_mut().for_each(|s| s.rule.log = false);
        }
        made.0
    }

    /// What IPv6 cannot do without.
    fn icmp6(&mut self, made: &mut Made) {
        let whole = self.whole;
        if self.dialect == Dialect::Opnsense && self.system().is_some_and(|s| s.yes("no_ipv6_rfc4890_req")) {
            return;
        }
        let what = "ICMPv6 that IPv6 needs";
        made.need(what, On::Any, Way::Both, true, icmp6(&[1, 2, 135, 136]), whole);
        if self.dialect == Dialect::Opnsense {
            let newer = self.opaque("this version of OPNsense lets ICMPv6 types 3 and 4 through by itself", whole);
            made.need(what, On::Any, Way::Both, true, Match::all(vec![icmp6(&[3, 4]), newer]), whole);
        }
        let out = Match::all(vec![
            icmp6(&[129, 133, 134, 135, 136]),
            of(Field::Src, &["fe80::/10"]),
            of(Field::Dst, &["fe80::/10", "ff02::/16"]),
        ]);
        made.need(what, On::Any, Way::Out, true, out, whole);
        for (from, to) in [("fe80::/10", &["fe80::/10", "ff02::/16"][..]), ("ff02::/16", &["fe80::/10"])] {
            let near = Match::all(vec![icmp6(&[128, 133, 134, 135, 136]), of(Field::Src, &[from]), of(Field::Dst, to)]);
            made.need(what, On::Any, Way::In, true, near, whole);
        }
    }

    fn of_interface(&mut self, made: &mut Made, key: &str, element: Element<'d>, dynamic: [bool; 2]) {
        let on = || On::one(key);
        let opnsense = self.dialect == Dialect::Opnsense;
        let set = |name: &str| element.child(name).filter(|_| if opnsense { element.yes(name) } else { true });
        let is = |name: &str, words: &[&str]| element.value(name).filter(|v| v.is(words));
        if let Some(v6) = is("ipaddrv6", &["dhcp6", "slaac"]).filter(|_| self.allows_ipv6()) {
            let what = "answers to the DHCPv6 client";
            // The least that all versions let in.
            let near = Match::all(vec![udp(Some(547), Some(546)), of(Field::Dst, &["fe80::/10"])]);
            made.need(what, on(), Way::In, true, near, v6.span);
            made.pass("questions of the DHCPv6 client", on(), Way::Out, true, udp(Some(546), Some(547)), v6.span);
        }
        if let Some(v4) = is("ipaddr", &["dhcp"]).filter(|_| dynamic[0]) {
            made.need("answers to the DHCP client", on(), Way::In, opnsense, udp(Some(67), Some(68)), v4.span);
        }
        if let Some(b) = set("blockbogons") {
            made.block("bogon networks are blocked", on(), Way::In, true, of(Field::Src, BOGONS), b.span());
            let six = self.opaque("the source is in the list of IPv6 bogons", b.span());
            made.block("bogon networks are blocked", on(), Way::In, true, Match::all(vec![Match::Family(Family::V6), six]), b.span());
        }
        if let Some(b) = set("blockpriv") {
            let list = if opnsense { PRIVATE_OPNSENSE } else { PRIVATE };
            made.block("private networks are blocked", on(), Way::In, true, of(Field::Src, list), b.span());
        }
        let server = self.root.at(&["dhcpd", key]).filter(|d| if opnsense { d.yes("enable") } else { d.has("enable") });
        if let Some(server) = server.filter(|_| !dynamic[0]) {
            let span = server.tag_span();
            let what = "questions to the DHCP server";
            let broadcast = Match::all(vec![udp(Some(68), Some(67)), of(Field::Dst, &["255.255.255.255/32"])]);
            made.pass(what, on(), Way::In, true, broadcast, span);
            let me = if opnsense { "(self)".to_owned() } else { format!("{key}ip") };
            let side = Side { words: vec![Text { text: me.into(), span }], not: Negation::No, port: None };
            let own = self.place(&side, Field::Dst, Family::V4, None);
            made.pass(what, on(), Way::In, true, Match::all(vec![Match::Family(Family::V4), udp(Some(68), Some(67)), own.clone()]), span);
            if let Some(peer) = server.value("failover_peerip").filter(|p| parse_cidr(&p.text).is_some()) {
                let ports = Match::Field(Field::Dport, Ranges::interval(519, 520));
                let all = vec![Match::Family(Family::V4), of(Field::Src, &[&peer.text]), own, proto(&[6, 17]), ports];
                made.pass("the other DHCP server of a pair", on(), Way::In, true, Match::all(all), peer.span);
            }
        }
        self.kea(made, key);
        let server6 = self.root.at(&["dhcpdv6", key]).filter(|d| d.has("enable")).map(|d| d.tag_span());
        let tracks = is("ipaddrv6", &["track6"]).map(|v| v.span).filter(|_| !opnsense);
        if let Some(span) = server6.or(tracks) {
            let what = "questions to the DHCPv6 server";
            let near = Match::all(vec![proto(&[17]), of(Field::Src, &["fe80::/10"]), of(Field::Dst, &["fe80::/10", "ff02::/16"])]);
            made.pass(what, on(), Way::Both, true, Match::all(vec![near.clone(), port(Field::Dport, 546)]), span);
            let far =
                Match::all(vec![proto(&[17]), of(Field::Src, &["fe80::/10"]), of(Field::Dst, &["ff02::/16"]), port(Field::Dport, 547)]);
            made.pass(what, on(), Way::Both, true, far, span);
        }
        if let Some(kind) = is("ipaddrv6", &["6rd", "6to4"]) {
            let from = element.value("gateway-6rd").filter(|_| kind.is(&["6rd"])).map_or(Match::Any, |g| of(Field::Src, &[&g.text]));
            made.pass("IPv6 in IPv4 of the provider", on(), Way::In, false, Match::all(vec![proto(&[41]), from]), kind.span);
        }
    }

    /// OPNsense's Kea: a rule for each interface on which it answers, if it is told so.
    fn kea(&mut self, made: &mut Made, key: &str) {
        let Some(general) = self.root.at(&["OPNsense", "Kea", "dhcp4", "general"]).filter(|g| g.yes("enabled") && g.yes("fwrules")) else {
            return;
        };
        let Some(list) = general.value("interfaces") else { return };
        if super::tree::parts(&list.text).any(|i| i == key) {
            made.pass("questions to the DHCP server", On::one(key), Way::In, true, udp(Some(68), Some(67)), list.span);
        }
    }

    /// The ports that are kept open for administrators: `filter_get_antilockout_ports`.
    pub fn antilockout_ports(&self) -> Vec<u128> {
        let Some(system) = self.system() else { return Vec::new() };
        let gui = system.child("webgui");
        let number = |v: Option<Text<'_>>, default: u128| v.and_then(|t| t.text.parse::<u16>().ok()).map_or(default, u128::from);
        let https = gui.and_then(|g| g.value("protocol")).is_some_and(|p| p.is(&["https"]));
        let mut ports = vec![number(gui.and_then(|g| g.value("port")), if https { 443 } else { 80 })];
        if https && !gui.is_some_and(|g| g.has("disablehttpredirect")) {
            ports.push(80);
        }
        if let Some(ssh) = system.child("ssh").filter(|_| self.ssh_enabled().is_some()) {
            ports.push(number(ssh.value("port"), 22));
        }
        ports
    }

    /// Where SSH is switched on. Old pfSense has `<enablesshd>`.
    pub fn ssh_enabled(&self) -> Option<Span> {
        let system = self.system()?;
        let ssh = system.at(&["ssh", "enable"]).or_else(|| system.at(&["ssh", "enabled"])).or_else(|| system.child("enablesshd"))?;
        (!matches!(&*ssh.text(), "0" | "disabled" | "no")).then(|| ssh.span())
    }

    /// On which interface administrators are kept from locking themselves out, and whether that is certain.
    pub fn lockout_interface(&self) -> Option<(String, bool)> {
        if self.system().and_then(|s| s.child("webgui")).is_some_and(|g| g.has("noantilockout")) {
            return None;
        }
        let here = |i: &&super::interfaces::Iface<'_>| !i.is_virtual && i.key != "lo0";
        let count = self.ifaces.list.iter().filter(here).count();
        match (self.ifaces.get("lan"), self.dialect) {
            (Some(_), _) if count > 1 => Some(("lan".into(), true)),
            (Some(_), Dialect::Opnsense) => Some(("lan".into(), true)),
            _ if count == 1 => self.ifaces.list.iter().find(here).filter(|i| i.key == "wan").map(|i| (i.key.clone(), true)),
            // Newer OPNsense takes the first of the others; older ones none.
            (None, Dialect::Opnsense) => {
                self.ifaces.list.iter().filter(here).filter(|i| i.key != "wan").map(|i| (i.key.clone(), false)).min()
            }
            _ => None,
        }
    }

    fn anti_lockout(&mut self, made: &mut Made) {
        let Some((key, certain)) = self.lockout_interface() else { return };
        let ports = self.antilockout_ports();
        if ports.is_empty() {
            return;
        }
        let span = self.system().and_then(|s| s.child("webgui")).map_or(self.whole, |g| g.tag_span());
        let me = if self.dialect == Dialect::Opnsense { "(self)".to_owned() } else { format!("{key}ip") };
        let side = Side { words: vec![Text { text: me.into(), span }], not: Negation::No, port: None };
        let mut any = Vec::new();
        for family in Family::BOTH {
            let own = self.place(&side, Field::Dst, family, None);
            any.push(Match::all(vec![Match::Family(family), own]));
        }
        let mut all = vec![Match::any_of(any), proto(&[6]), Match::Field(Field::Dport, Ranges::from_values(ports))];
        if !certain {
            all.push(self.opaque("this version of OPNsense has an anti-lockout rule where there is no lan", span));
        }
        made.pass("anti-lockout rule", On::one(key), Way::In, true, Match::all(all), span);
    }

    /// What stands behind the rules that people write.
    pub fn after_rules(&mut self) -> Vec<Step> {
        let mut made = Made::default();
        self.static_route_rules(&mut made);
        if !self.system_has("disablevpnrules") {
            self.ipsec_rules(&mut made);
        }
        made.0.extend(self.forward_rules());
        made.0
    }

    /// "Bypass firewall rules for traffic on the same interface".
    fn static_route_rules(&mut self, made: &mut Made) {
        let Some(switch) = self.root.at(&["filter", "bypassstaticroutes"]) else { return };
        let routes: Vec<_> = self.reader.device.routes.iter().flatten().filter(|r| r.to.prefix() > 0).cloned().collect();
        for route in routes {
            let Some(iface) = route.interface.as_deref().and_then(|i| self.ifaces.get(i)) else { continue };
            let (family, lo, hi) = prefix_bounds(route.to);
            let Some(own) = iface.primary[index_of(family)] else { continue };
            let (_, first, last) = prefix_bounds(own);
            let key = iface.key.clone();
            let pair = |a: (u128, u128), b: (u128, u128)| {
                let side = |field, (lo, hi)| Match::Address(field, family, Ranges::interval(lo, hi));
                Match::all(vec![side(Field::Src, a), side(Field::Dst, b)])
            };
            let quick = self.dialect == Dialect::Pfsense;
            for matcher in [pair((lo, hi), (first, last)), pair((first, last), (lo, hi))] {
                let mut step =
                    Step::implied("networks of static routes", On::one(&*key), Way::Both, quick, Match::Any, Action::Accept, switch.span());
                // Flags do not matter for these.
                step.rule.matcher = matcher;
                made.0.push(step);
            }
        }
    }

    /// IKE and ESP between the peers of IPsec. Neither is quick: a rule of people that is comes first.
    fn ipsec_rules(&mut self, made: &mut Made) {
        let Some(section) = self.root.child("ipsec") else { return };
        if self.dialect == Dialect::Opnsense && !section.yes("enable") {
            return;
        }
        let what = "IPsec of a configured peer";
        for phase in section.list("phase1") {
            if self.is_disabled(phase) {
                continue;
            }
            let span = super::rules::telling(phase);
            let on = match phase.value("interface").filter(|i| !i.text.starts_with("_vip") && !i.is(&["any"])) {
                Some(i) => self.on(&[i.text.split("_vhid").next().unwrap_or("")], false, i.span),
                None => On::Any,
            };
            let peer = match phase.value("remote-gateway") {
                _ if phase.has("mobile") => Match::Any,
                Some(g) => match parse_cidr(&g.text) {
                    Some((family, lo, hi)) => Match::Address(Field::Src, family, Ranges::interval(lo, hi)),
                    None => self.opaque(&format!("the source is {}", g.text), g.span),
                },
                None => continue,
            };
            made.pass(what, on.clone(), Way::In, false, Match::all(vec![udp(None, Some(500)), peer.clone()]), span);
            if !phase.value("nat_traversal").is_some_and(|n| n.is(&["off"])) {
                made.pass(what, on.clone(), Way::In, false, Match::all(vec![udp(None, Some(4500)), peer.clone()]), span);
            }
            let id = phase.value("ikeid").map(|i| i.text);
            let mut used: Vec<u128> = Vec::new();
            for child in self.phase2_of(id.as_deref()) {
                used.extend(child.value("protocol").map(|p| if p.is(&["ah"]) { 51 } else { 50 }));
            }
            if !used.is_empty() {
                made.pass(what, on, Way::In, false, Match::all(vec![proto(&used), peer]), span);
            }
        }
    }
}
