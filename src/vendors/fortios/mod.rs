//! FortiOS: what `show`, `show full-configuration` and backups of a FortiGate hold, also with virtual domains.
//!
//! [`syntax`] cuts statements, [`tree`] builds sections and tables, [`domain`] sorts them by virtual domain. [`addresses`] and [`services`] resolve
//! objects; [`nat`], [`policy`] and [`local_in`] make chains of what was resolved; [`network`], [`management`] and [`vpn`] lower the rest.
//! [`lines`] says which line is what, by the lists of [`sections`] and [`settings`].
//!
//! How packets meet it: virtual IPs translate before routing; then the policies of the virtual domain of the arrival interface decide, in the order of
//! the file; then sources are translated. Traffic to the appliance meets the local-in policies, then the services that are switched on.

mod addresses;
mod defaults;
mod domain;
mod lines;
mod local_in;
mod management;
mod matching;
mod nat;
mod network;
mod policy;
mod secrets;
mod sections;
mod services;
mod settings;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod vpn;

use std::collections::HashMap;

use addresses::Addresses;
use domain::Domain;
use matching::Context;
use network::{Interfaces, Zones};

use super::{Confidence, Detection, Format, Reader, Role};
use crate::model::{Action, BaseChain, Chain, ChainId, Direction, Hook, Match, Policy, PolicyAction, Rule};
use crate::net::Family;
use crate::source::{SourceFile, Span};

/// The format.
pub static FORTIOS: Format = Format {
    id: "fortios",
    title: "FortiOS (FortiGate)",
    export: "System > Configuration > Backup, not encrypted   (or: show full-configuration)",
    covers: &[
        "firewall policy, policy6 and consolidated policy, in the order of the file, with the implicit deny",
        "virtual IPs and their groups before the policies, IP pools, central source NAT",
        "local-in policies, allowaccess, and the services that the appliance itself opens",
        "address and service objects and groups, nested, negated and with exceptions; the services it is shipped with",
        "zones, SD-WAN zones, interfaces, static routes, virtual domains",
        "administrators with trusted hosts and second factor, lock-out, SNMP, log hosts",
        "IPsec phase 1 and 2 with all proposals, SSL VPN, L2TP, PPTP",
    ],
    leaves: &[
        "domain names, countries, dynamic and internet-service objects, users and schedules (conditions that may or may not hold)",
        "policies by application, policies of proxies, multicast policies, policies between IPv4 and IPv6",
        "traffic between virtual domains, policy routes, routing protocols, DoS policies, security profiles",
        "sources that virtual IPs give to outgoing connections; which of several that overlap takes a packet, before 7.2 and in IPv6",
        "packets that leave by an outside interface through which they came in (allow-traffic-redirect)",
    ],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

/// How much of a file detection looks at, in lines.
const DETECTED: usize = 400;

fn detect(file: &SourceFile) -> Option<Detection> {
    let first = file.line(0).trim_start_matches('\u{feff}');
    if first.starts_with("#config-version=") {
        return Some(Detection { confidence: Confidence::Certain, why: "begins with \"#config-version=\"" });
    }
    let (mut sections, mut inside, mut others) = (0, 0, 0);
    for i in 0..file.line_count().min(DETECTED) {
        let line = file.line(i).trim();
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("config"), Some(second)) => {
                let named = tree::is_top(second) && words.next().is_some();
                sections += usize::from(named || matches!(second, "vdom" | "global"));
            }
            (Some("edit" | "set" | "next" | "end" | "unset"), _) => inside += 1,
            (Some(word), _) if !word.starts_with('#') => others += 1,
            _ => {}
        }
    }
    // Strings over several lines are lines of another kind.
    (sections > 0 && inside > 0 && (others <= inside + sections * 4 || others > 200))
        .then_some(Detection { confidence: Confidence::Certain, why: "has sections from \"config\" to \"end\" of FortiOS" })
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let tree = tree::parse(reader);
    let first = file.line(0).trim_start_matches('\u{feff}');
    // A backup shows all; a part of it may leave out what nobody printed.
    let full = first.starts_with("#config-version=");
    let version = defaults::version(first);
    lines::mark(reader, &tree);
    let domains = Domain::all(&tree);
    let several = domains.len() > 1;
    let phase1 = vpn::interfaces(&domains);
    let interfaces = network::interfaces(reader, &domains, &phase1);
    let over_v6 = interfaces.entries.iter().any(|e| e.section("ipv6").is_some_and(|s| !s.values("ip6-allowaccess").is_empty()));
    let admins = management::accounts(reader, &domains, over_v6, full);
    management::services(reader, &domains, &interfaces, full);
    management::log_hosts(reader, &domains, full);
    let zones: Vec<Zones> = domains.iter().map(|d| Zones::new(reader, d, &interfaces, several)).collect();
    network::routes(reader, &domains, &zones, &interfaces);
    let mut chains = Chains::new(file.line_span(0), full);
    let mut mark = 1;
    for (domain, zones) in domains.iter().zip(&zones) {
        // With virtual domains, what is outside of them is no firewall.
        if several && domain.vdom.is_none() {
            continue;
        }
        let mut cx = context(reader, domain, zones, &domains, &interfaces, version, &mut mark);
        lower(reader, &mut cx, &interfaces, &admins, &mut chains, several);
    }
    chains.hang(reader, several, &domains);
    used_elsewhere(reader, &tree);
}

/// Sections that are not lowered use objects too (proxies, wireless networks, exceptions of profiles): an object that any setting names is in use.
fn used_elsewhere(reader: &mut Reader<'_>, tree: &tree::Tree) {
    let mut open: HashMap<String, Vec<&'static str>> = HashMap::new();
    for name in reader.device.names.unused() {
        open.entry(name.name.clone()).or_default().push(name.space);
    }
    if open.is_empty() {
        return;
    }
    const WORDS_OF_PEOPLE: &[&str] = &["name", "comment", "comments", "description", "alias", "uuid", "hostname"];
    let mut todo: Vec<&tree::Body> = tree.sections.iter().map(|s| &s.body).collect();
    while let Some(body) = todo.pop() {
        for item in &body.items {
            match item {
                tree::Item::Edit(inner) | tree::Item::Config(inner) => todo.push(inner),
                tree::Item::Setting(_, words, _) => {
                    let Some((name, values)) = words.split_first() else { continue };
                    if WORDS_OF_PEOPLE.contains(&name.text.as_str()) {
                        continue;
                    }
                    for value in values {
                        for space in open.remove(&value.text).unwrap_or_default() {
                            reader.device.names.used(space, &value.text, value.span);
                        }
                    }
                }
                tree::Item::Command(..) => {}
            }
        }
    }
}

fn context<'c, 't>(
    reader: &mut Reader<'_>,
    domain: &'c Domain<'t>,
    zones: &'c Zones,
    domains: &[Domain<'t>],
    interfaces: &Interfaces<'t>,
    version: Option<defaults::Version>,
    mark: &mut u128,
) -> Context<'c, 't> {
    let mut v4 = Addresses::new(reader, Family::V4, "address object", domain.table("firewall address"), domain.table("firewall addrgrp"));
    v4.interfaces.clone_from(&interfaces.networks);
    let mut v6 =
        Addresses::new(reader, Family::V6, "IPv6 address object", domain.table("firewall address6"), domain.table("firewall addrgrp6"));
    let mut services = services::Services::new(reader, domain.table("firewall service custom"), domain.table("firewall service group"));
    v4.resolve_all(reader);
    v6.resolve_all(reader);
    services.resolve_all(reader);
    let settings = domain.section("system settings");
    // Policies by application always go with the central tables (administration guide, "NGFW policy").
    let central = settings.as_ref().is_some_and(|s| s.is("central-nat", "enable") || s.is("ngfw-mode", "policy-based"));
    let vips = nat::Vips::new(reader, domain, zones, &mut services, central, version, mark);
    let pools = nat::Pools::new(reader, domain);
    let global = |path: &str| domains.iter().find_map(|d| d.section(path));
    Context {
        domain,
        zones,
        v4,
        v6,
        services,
        vips,
        pools,
        always: schedules(reader, domain),
        central,
        version,
        global_setting: global("system global"),
        global_log: domains.first().and_then(|d| d.section("log setting")),
        global_ntp: domains.first().filter(|d| !std::ptr::eq(*d, domain)).and_then(|d| d.section("system ntp")),
    }
}

/// Tells the schedules, and which of them are always in force: every day of the week, without hours.
fn schedules(reader: &mut Reader<'_>, domain: &Domain<'_>) -> Vec<String> {
    let mut always = Vec::new();
    let mut shown = false;
    for path in ["firewall schedule recurring", "firewall schedule onetime", "firewall schedule group"] {
        for entry in domain.table(path) {
            if !defaults::SHIPPED.contains(&entry.name.as_str()) && entry.name != "none" {
                reader.device.names.define("schedule", &entry.name, entry.name_span);
            }
            for member in if path.ends_with("group") { entry.values("member") } else { &[] } {
                if !defaults::SHIPPED.contains(&member.text.as_str()) {
                    reader.device.names.used("schedule", &member.text, member.span);
                }
            }
            shown |= entry.name == "always";
            let days = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
            let all_days = days.iter().all(|d| entry.values("day").iter().any(|w| w.text == *d));
            let no_hours = ["start", "end"].iter().all(|s| matches!(entry.value(s), None | Some("00:00")));
            if path.ends_with("recurring") && all_days && no_hours {
                always.push(entry.name.clone());
            }
        }
    }
    // It is there from the start.
    if !shown {
        always.push("always".to_owned());
    }
    always
}

fn lower(
    reader: &mut Reader<'_>,
    cx: &mut Context<'_, '_>,
    interfaces: &Interfaces<'_>,
    admins: &management::Admins,
    chains: &mut Chains,
    several: bool,
) {
    let domain = cx.domain;
    let name = |what: &str| domain.vdom.as_ref().map_or_else(|| what.to_owned(), |v| format!("{v}/{what}"));
    let paths = ["firewall policy", "firewall policy6", "firewall consolidated policy", "firewall security-policy"];
    let at = paths.iter().find_map(|p| domain.first(p)).unwrap_or(chains.at);
    let shows_policies = chains.full || paths.iter().any(|p| domain.has(p));
    let mut asks_users = false;
    let translations = std::mem::take(&mut cx.vips.rules);
    if !translations.is_empty() {
        let at = translations.first().map_or(at, |r| r.span);
        let id = chains.add(reader, name("virtual IPs"), translations, at);
        chains.ways.push((Hook::Prerouting, id, domain.vdom.clone()));
    }
    if shows_policies {
        let policies = policy::policies(reader, cx, at);
        asks_users = policies.asks_users;
        chains.v6 |= domain.has("firewall policy6") || domain.has("firewall consolidated policy") || says_v6(domain);
        let id = chains.add(reader, name("firewall policy"), policies.forward, at);
        chains.ways.push((Hook::Forward, id, domain.vdom.clone()));
        let source = if cx.central { nat::central(reader, cx) } else { policies.source };
        if source.iter().any(|r| matches!(r.action, Action::Nat(_))) {
            let at = source.first().map_or(at, |r| r.span);
            let id = chains.add(reader, name("source NAT"), source, at);
            chains.ways.push((Hook::Postrouting, id, domain.vdom.clone()));
        }
    }
    // What the appliance answers is known where its interfaces are shown.
    if interfaces.shown && (chains.full || domain.has("system interface") || several) {
        let own = interfaces.entries.iter().find(|e| cx.zones.interfaces().any(|n| *n == e.name)).map(|e| e.first);
        let at = domain.first("firewall local-in-policy").or(domain.first("system interface")).or(own).unwrap_or(chains.at);
        let services = local_in::services(reader, cx, interfaces, admins, asks_users, at);
        let services = chains.add(reader, name("local services"), services, at);
        let policies = local_in::policies(reader, cx, services, at);
        let id = chains.add(reader, name("local-in policy"), policies, at);
        chains.ways.push((Hook::Input, id, domain.vdom.clone()));
    }
    vpn::tunnels(reader, cx);
}

/// Whether `firewall policy` itself has IPv6 addresses, as it does since 6.4.
fn says_v6(domain: &Domain<'_>) -> bool {
    domain.table("firewall policy").iter().any(|e| e.settings.contains_key("srcaddr6") || e.settings.contains_key("dstaddr6"))
}

/// The chains of all virtual domains, and where they hang.
struct Chains {
    /// The first line: the place of what nobody wrote.
    at: Span,
    full: bool,
    /// The policies of IPv6 are shown.
    v6: bool,
    ways: Vec<(Hook, ChainId, Option<String>)>,
}

impl Chains {
    fn new(at: Span, full: bool) -> Chains {
        Chains { at, full, v6: full, ways: vec![] }
    }

    fn add(&mut self, reader: &mut Reader<'_>, name: String, rules: Vec<Rule>, span: Span) -> ChainId {
        let id = ChainId(reader.device.chains.len() as u32);
        reader.device.chains.push(Chain { name, span, rules });
        id
    }

    /// Hangs the chains on the hooks: those of virtual domains behind a chain that sends packets to the domain of their interface.
    fn hang(mut self, reader: &mut Reader<'_>, several: bool, domains: &[Domain<'_>]) {
        reader.device.exhaustive = self.full;
        reader.device.no_sysctl = true;
        let ways = std::mem::take(&mut self.ways);
        for hook in [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Postrouting] {
            let here: Vec<_> = ways.iter().filter(|w| w.0 == hook).collect();
            let Some((_, first, _)) = here.first() else { continue };
            let nat = matches!(hook, Hook::Prerouting | Hook::Postrouting);
            let (chain, at) = if several {
                let rules = into_domains(hook, &here, domains, self.at);
                let name = format!("virtual domains/{}", hook.name());
                (self.add(reader, name, rules, self.at), self.at)
            } else {
                (*first, reader.device.chain(*first).span)
            };
            let action = if nat { PolicyAction::Accept } else { PolicyAction::Drop };
            // What is not printed may still be there.
            let families = if hook == Hook::Forward && !self.v6 { vec![Family::V4] } else { Family::BOTH.to_vec() };
            let priority = match hook {
                Hook::Prerouting => -100,
                Hook::Postrouting => 100,
                _ => 0,
            };
            let policy = Policy { action, span: at };
            reader.device.base_chains.push(BaseChain { chain, hook, priority, families, nat, policy, devices: vec![] });
        }
    }
}

fn into_domains(hook: Hook, here: &[&(Hook, ChainId, Option<String>)], domains: &[Domain<'_>], at: Span) -> Vec<Rule> {
    let mut rules = Vec::new();
    let of: std::collections::BTreeMap<String, Vec<String>> = {
        let mut map: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
        for entry in domains.iter().flat_map(|d| d.table("system interface")) {
            map.entry(entry.value("vdom").unwrap_or("root").to_owned()).or_default().push(entry.name);
        }
        for (name, vdom, _) in vpn::interfaces(domains) {
            map.entry(vdom).or_default().push(name);
        }
        for domain in domains.iter().filter_map(|d| d.vdom.as_ref()) {
            map.entry(domain.clone()).or_default().push(format!("ssl.{domain}"));
        }
        map
    };
    // Links are configured, or made by the network processor (`npu0_vlink0` and its like).
    let links = domains.iter().any(|d| !d.table("system vdom-link").is_empty()) || of.values().flatten().any(|n| n.starts_with("npu"));
    let on = |direction: Direction, vdom: &str| {
        let names = of.get(vdom).into_iter().flatten();
        Match::any_of(names.map(|n| Match::Interface(direction, crate::model::NamePattern::exact(&**n))).collect())
    };
    for (_, chain, vdom) in here {
        let Some(vdom) = vdom else { continue };
        let arrival = on(Direction::In, vdom);
        if hook == Hook::Forward {
            // A link between virtual domains is an interface of each: a packet passes the policies of both. Without one there is no way.
            let across = Match::all(vec![arrival.clone(), on(Direction::Out, vdom).negate_if(true)]);
            let action = if links { Action::Opaque("the way from one virtual domain to another".into()) } else { Action::Drop };
            rules.push(Rule::implied("way between virtual domains", across, action, at));
        }
        rules.push(Rule::implied("way into a virtual domain", arrival, Action::Goto(*chain), at));
    }
    if hook == Hook::Forward || hook == Hook::Input {
        let what: std::sync::Arc<str> = "the virtual domain of an interface that is not shown".into();
        rules.push(Rule::implied("way into a virtual domain", Match::Any, Action::Opaque(what), at));
    }
    rules
}
