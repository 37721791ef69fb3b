//! The firewall package: defaults, zones, forwardings and sets, as the chains that fw4 makes of them (`ruleset.uc`).
//!
//! Packets are sent by their interface to the chains of a zone: its rules first, then its forwardings, then its policy. The policy of a zone for
//! `forward` is about packets between its own interfaces; packets to another zone need a forwarding or a rule, and what none of these
//! lets through gets the policy of `defaults`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::uci::{Section, Word};
use super::values::{Subnet, either, family, interface, negated, subnet, word};
use super::{nat, rules};
use crate::diag::LineState::{Irrelevant, NotModelled, Unrecognised, Unsupported};
use crate::model::{
    Action, BaseChain, Chain, ChainId, Direction, Hook, HostSetting, Match, NamedSet, Policy, PolicyAction, Rule, SetElement, SetValue,
};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;
use crate::vendors::Reader;

/// What happens to packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fate {
    Accept,
    Reject,
    Drop,
}

impl Fate {
    /// `accept`, `reject`, `drop`, or a beginning of these (fw4 `parse_policy`).
    pub fn read(text: &str) -> Option<Fate> {
        match word(text, &["accept", "reject", "drop"])? {
            "accept" => Some(Fate::Accept),
            "reject" => Some(Fate::Reject),
            _ => Some(Fate::Drop),
        }
    }

    pub fn action(self) -> Action {
        match self {
            Fate::Accept => Action::Accept,
            // TCP gets a reset (`handle_reject`).
            Fate::Reject => Action::Reject("tcp reset, icmpx port-unreachable".into()),
            Fate::Drop => Action::Drop,
        }
    }
}

/// A zone.
#[derive(Debug)]
pub(super) struct Zone<'s> {
    pub name: String,
    pub section: &'s Section,
    pub family: Option<Family>,
    /// Networks and devices, each of which may be negated.
    devices: Vec<Word>,
    subnets: Vec<Word>,
    pub masq: [bool; 2],
    allow_invalid: bool,
    fates: [(Fate, Span); 3],
}

impl Zone<'_> {
    /// Packets that arrive from (`In`) or leave to (`Out`) the zone; none where the zone has neither networks nor devices nor addresses.
    pub fn matches(&self, direction: Direction) -> Match {
        if self.devices.is_empty() && self.subnets.is_empty() {
            return Match::Never;
        }
        let (mut plain, mut not) = (Vec::new(), Vec::new());
        for device in &self.devices {
            match negated(&device.text) {
                // A lone `+` means every device, and its negation none.
                (false, "+") => {}
                (true, "+") => plain.push(Match::Never),
                (false, name) => plain.push(interface(direction, name)),
                (true, name) => not.push(interface(direction, name)),
            }
        }
        let mut parts = vec![either(plain, not), self.addresses(direction)];
        parts.extend(self.family.map(Match::Family));
        Match::all(parts)
    }

    /// Packets that the exemption from tracking is about: before routing those of the zone, its loopback device and addresses left out; on
    /// their way out those to the latter alone (`filter_loopback_devs`, `filter_loopback_addrs` of `fw4.uc`).
    fn untracked(&self, output: bool) -> Match {
        let loopback = |w: &Word| {
            let (negative, text) = negated(&w.text);
            !negative && (text == "lo" || text == "loopback" || text.starts_with("127.") || text == "::1" || text == "::1/128")
        };
        let keep = |list: &[Word]| list.iter().filter(|w| loopback(w) == output || negated(&w.text).0).cloned().collect::<Vec<_>>();
        let (devices, subnets) = (keep(&self.devices), keep(&self.subnets));
        if devices.is_empty() && subnets.is_empty() {
            return Match::Never;
        }
        // Both ask for the source and the arrival interface, the latter in vain on the way out (`zone-jump.uc`).
        Zone { name: String::new(), devices, subnets, ..*self }.matches(Direction::In)
    }

    /// The zone's `subnet` list: addresses of sources of what arrives, of destinations of what leaves.
    fn addresses(&self, direction: Direction) -> Match {
        let field = if direction == Direction::In { Field::Src } else { Field::Dst };
        rules::address_match(field, &self.subnets, &mut Vec::new())
    }
}

/// Which chains are asked for; fw4 makes those that something jumps to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Name {
    Input,
    Forward,
    Output,
    OfZone(&'static str, String),
    From(Fate, String),
    To(Fate, String),
    Prerouting,
    Srcnat,
    Raw,
    RawOutput,
    Mangle(&'static str),
}

/// The ruleset in the making.
pub(super) struct Build<'s> {
    pub zones: Vec<Zone<'s>>,
    pub sets: BTreeMap<String, SetFacts>,
    chains: BTreeMap<Name, Vec<Rule>>,
    /// Zones whose packets may be port-forwarded (`ct status dnat accept`).
    pub dnat: Vec<String>,
    pub notrack: Vec<String>,
}

/// What a rule must know of a set.
#[derive(Clone, Debug)]
pub(super) struct SetFacts {
    pub family: Option<Family>,
    /// Direction (`src`, `dst`) and type of each part.
    pub parts: Vec<(&'static str, &'static str)>,
}

impl Build<'_> {
    pub fn zone(&self, name: &str) -> Option<&Zone<'_>> {
        self.zones.iter().find(|z| z.name == name)
    }

    pub fn push(&mut self, name: Name, rule: Rule) {
        self.chains.entry(name).or_default().push(rule);
    }
}

/// Options that concern no check.
const QUIET: &[&str] =
    &["name", "_name", "comment", "counter", "enabled", "custom_chains", "mtu_fix", "auto_helper", "helper", "set_helper"];

/// Says which options of a section are neither known nor irrelevant.
pub(super) fn unknown_options(reader: &mut Reader<'_>, section: &Section, known: &[&str]) {
    for option in &section.options {
        if QUIET.contains(&option.key.as_str()) {
            if option.key != "name" && option.key != "enabled" {
                reader.mark(option.span, Irrelevant);
            }
        } else if !known.contains(&option.key.as_str()) {
            let text = format!("fw4 does not know the option {} of a {}, and ignores it", option.key, section.kind);
            reader.note(option.span, Unrecognised, text);
        }
    }
}

/// Whether a section is switched off; its lines are then irrelevant.
pub(super) fn disabled(reader: &mut Reader<'_>, section: &Section) -> bool {
    let off = section.flag("enabled") == Some(false);
    if off {
        reader.mark(section.head, Irrelevant);
        section.options.iter().for_each(|o| reader.mark(o.span, Irrelevant));
    }
    off
}

pub(super) fn lower(reader: &mut Reader<'_>, sections: &[&Section]) {
    let of = |kind: &'static str| sections.iter().copied().filter(move |s| s.kind == kind);
    let defaults = of("defaults").next();
    for extra in of("defaults").skip(1) {
        reader.note(extra.head, Unsupported, "a second section of defaults, which fw4 ignores");
    }
    let base = defaults.map_or([(Fate::Drop, Span::new(reader.file.id, 0, 0)); 3], |d| fates(reader, d, None));
    let mut build = Build { zones: Vec::new(), sets: BTreeMap::new(), chains: BTreeMap::new(), dnat: Vec::new(), notrack: Vec::new() };
    of("ipset").for_each(|s| set(reader, &mut build, s));
    of("zone").for_each(|s| zone(reader, &mut build, s, base));
    of("rule").for_each(|s| rules::rule(reader, &mut build, s));
    of("forwarding").for_each(|s| forwarding(reader, &mut build, s));
    of("redirect").for_each(|s| nat::redirect(reader, &mut build, s));
    of("nat").for_each(|s| nat::nat(reader, &mut build, s));
    of("include").for_each(|s| include(reader, s));
    let known = ["defaults", "ipset", "zone", "rule", "forwarding", "redirect", "nat", "include"];
    for section in sections.iter().filter(|s| !known.contains(&s.kind.as_str())) {
        reader.note(section.head, Unrecognised, format!("fw4 knows no section {}", section.kind));
    }
    let options = Options {
        base,
        drop_invalid: defaults.is_some_and(|d| d.flag("drop_invalid") == Some(true)),
        at: defaults.map_or(Span::new(reader.file.id, 0, 0), |d| d.head),
    };
    if let Some(defaults) = defaults {
        unknown_options(reader, defaults, &DEFAULTS);
        settings(reader, defaults);
    }
    chains(reader, build, &options);
    reader.device.exhaustive = true;
}

const DEFAULTS: [&str; 25] = [
    "input",
    "output",
    "forward",
    "drop_invalid",
    "drop_invalid_early",
    "tcp_reject_code",
    "any_reject_code",
    "syn_flood",
    "synflood_protect",
    "synflood_rate",
    "synflood_burst",
    "tcp_syncookies",
    "tcp_ecn",
    "tcp_window_scaling",
    "accept_redirects",
    "accept_source_route",
    "auto_helper",
    "custom_chains",
    "disable_ipv6",
    "flow_offloading",
    "flow_offloading_hw",
    "flow_offloading_related",
    "auto_includes",
    "fullcone",
    "fullcone6",
];

/// Kernel settings that the defaults make (fw4 writes them to `/proc/sys/net` when it starts).
fn settings(reader: &mut Reader<'_>, defaults: &Section) {
    for (key, name) in [("accept_redirects", "accept_redirects"), ("accept_source_route", "accept_source_route")] {
        if let Some(on) = defaults.flag(key) {
            let span = defaults.at(key);
            let name = format!("net.ipv4.conf.all.{name}");
            reader.device.settings.push(HostSetting { name, value: u8::from(on).to_string(), span });
        }
    }
}

struct Options {
    base: [(Fate, Span); 3],
    drop_invalid: bool,
    at: Span,
}

/// Policies for input, output and forward; what is not written is inherited, and DROP in the end (fw4 `parse_defaults`, `parse_zone`).
fn fates(reader: &mut Reader<'_>, section: &Section, inherited: Option<[(Fate, Span); 3]>) -> [(Fate, Span); 3] {
    let mut out = [(Fate::Drop, section.head); 3];
    for (i, key) in ["input", "output", "forward"].into_iter().enumerate() {
        if let Some(base) = inherited {
            out[i] = (base[i].0, section.head);
        }
        match section.value(key).map(Fate::read) {
            Some(Some(fate)) => out[i] = (fate, section.at(key)),
            Some(None) => reader.note(section.at(key), Unsupported, "no policy: ACCEPT, REJECT or DROP"),
            None => {}
        }
    }
    out
}

fn zone<'s>(reader: &mut Reader<'_>, build: &mut Build<'s>, section: &'s Section, base: [(Fate, Span); 3]) {
    if disabled(reader, section) {
        return;
    }
    let Some(name) = section.value("name").filter(|n| !n.is_empty()) else {
        reader.note(section.head, Unsupported, "a zone without a name, which is not loaded");
        return;
    };
    const KNOWN: &[&str] = &[
        "network",
        "device",
        "subnet",
        "input",
        "output",
        "forward",
        "masq",
        "masq6",
        "masq_allow_invalid",
        "masq_src",
        "masq_dest",
        "family",
        "log",
        "log_limit",
        "extra",
        "extra_src",
        "extra_dest",
    ];
    unknown_options(reader, section, KNOWN);
    for key in ["extra", "extra_src", "extra_dest"] {
        if let Some(option) = section.get(key) {
            reader.note(option.span, NotModelled, format!("{key} is for fw3 alone, which adds it to the rules of the zone"));
        }
    }
    // Releases before 19.07 take the zone's name for its network where none is written; fw4 does not.
    let mut devices = section.list("network");
    devices.extend(section.list("device"));
    let subnets = section.list("subnet");
    let mut bad = Vec::new();
    rules::address_match(Field::Src, &subnets, &mut bad);
    for word in bad {
        reader.note(word.span, Unsupported, format!("{} is no network", word.text));
    }
    let written = section.value("family").and_then(family).flatten();
    let of = |f| subnets.iter().filter_map(|w| subnet(negated(&w.text).1)).any(|s: Subnet| s.family() == f);
    // Addresses of one family alone make a zone of that family (fw4 `infer_family`).
    let inferred = match (of(Family::V4), of(Family::V6)) {
        (true, false) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        _ => None,
    };
    let flag = |key| section.flag(key) == Some(true);
    if devices.is_empty() && subnets.is_empty() {
        reader.note(section.head, Unsupported, format!("zone {name} has neither networks nor devices: no packet belongs to it"));
    }
    reader.device.names.define("zone", name, section.head);
    let zone = Zone {
        name: name.to_owned(),
        section,
        family: written.or(inferred),
        devices,
        subnets,
        masq: [flag("masq"), flag("masq6")],
        allow_invalid: flag("masq_allow_invalid"),
        fates: fates(reader, section, Some(base)),
    };
    build.zones.push(zone);
}

/// A zone that a section names: `*` for any, or a zone that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ZoneRef {
    Any,
    Of(String),
}

/// Reads an option that names a zone. `Err`: there is no such zone, and fw4 skips the section.
pub(super) fn zone_ref(reader: &mut Reader<'_>, build: &Build<'_>, section: &Section, key: &str) -> Result<Option<ZoneRef>, ()> {
    let Some(name) = section.value(key).filter(|v| !v.is_empty()) else { return Ok(None) };
    if name == "*" {
        return Ok(Some(ZoneRef::Any));
    }
    reader.device.names.used("zone", name, section.at(key));
    if build.zone(name).is_none() {
        let text = format!("there is no zone {name}: the {} is not loaded", section.kind);
        reader.note(section.at(key), Unsupported, text);
        return Err(());
    }
    Ok(Some(ZoneRef::Of(name.to_owned())))
}

/// The family of a section: that of all that belongs to it. `Err`: they contradict each other, and fw4 skips the section.
pub(super) fn common_family(families: &[Option<Family>]) -> Result<Option<Family>, ()> {
    let mut found = None;
    for family in families.iter().flatten() {
        if found.is_some_and(|f| f != *family) {
            return Err(());
        }
        found = Some(*family);
    }
    Ok(found)
}

fn forwarding(reader: &mut Reader<'_>, build: &mut Build<'_>, section: &Section) {
    if disabled(reader, section) {
        return;
    }
    unknown_options(reader, section, &["src", "dest", "family"]);
    let (Ok(src), Ok(dest)) = (zone_ref(reader, build, section, "src"), zone_ref(reader, build, section, "dest")) else { return };
    let (Some(src), Some(dest)) = (src, dest) else {
        reader.note(section.head, Unsupported, "a forwarding needs src and dest; it is not loaded");
        return;
    };
    let of = |z: &ZoneRef| match z {
        ZoneRef::Any => None,
        ZoneRef::Of(name) => build.zone(name).and_then(|z| z.family),
    };
    let Ok(family) = common_family(&[section.value("family").and_then(family).flatten(), of(&src), of(&dest)]) else {
        reader.note(section.head, Unsupported, "the families of the zones contradict each other: the forwarding is not loaded");
        return;
    };
    let place = match &src {
        ZoneRef::Any => Name::Forward,
        ZoneRef::Of(name) => Name::OfZone("forward", name.clone()),
    };
    let matcher = family.map_or(Match::Any, Match::Family);
    let action = target(build, Fate::Accept, Some(&dest));
    let comment = section.value("name").map(str::to_owned);
    let mut rule = Rule::new(matcher, action, section.whole);
    rule.name = Some(format!("forwarding {} to {}", section.value("src").unwrap_or("*"), section.value("dest").unwrap_or("*")));
    rule.comment = comment;
    build.push(place, rule);
}

/// What a rule does to packets towards a zone: the jump to the chain that asks whether they leave to it, or the fate itself.
pub(super) fn target(build: &Build<'_>, fate: Fate, dest: Option<&ZoneRef>) -> Action {
    match dest {
        Some(ZoneRef::Of(name)) => Action::Jump(chain_id(&build.zones, &Name::To(fate, name.clone()))),
        _ => fate.action(),
    }
}

/// The number of a chain. Every zone has every chain, so that the numbers are known before the rules are; those that stay without
/// use are not called by anything.
fn chain_id(zones: &[Zone<'_>], name: &Name) -> ChainId {
    let fixed = [
        Name::Input,
        Name::Forward,
        Name::Output,
        Name::Prerouting,
        Name::Srcnat,
        Name::Raw,
        Name::Mangle("prerouting"),
        Name::Mangle("input"),
        Name::Mangle("forward"),
        Name::Mangle("output"),
        Name::Mangle("postrouting"),
        Name::RawOutput,
    ];
    if let Some(i) = fixed.iter().position(|n| n == name) {
        return ChainId(i as u32);
    }
    let zone = |z: &String| zones.iter().position(|known| known.name == *z).unwrap_or(0);
    const PARTS: [&str; 6] = ["input", "output", "forward", "dstnat", "srcnat", "notrack"];
    let (zone, part) = match name {
        Name::OfZone(what, z) => (zone(z), PARTS.iter().position(|w| w == what).unwrap_or(0)),
        Name::From(fate, z) => (zone(z), PARTS.len() + *fate as usize),
        Name::To(fate, z) => (zone(z), PARTS.len() + 3 + *fate as usize),
        _ => (0, 0),
    };
    ChainId((fixed.len() + zone * PER_ZONE + part) as u32)
}

/// Chains of a zone.
const PER_ZONE: usize = 12;

/// Writes the chains out.
fn chains(reader: &mut Reader<'_>, mut build: Build<'_>, options: &Options) {
    let at = options.at;
    let mut add = |chain: String, span: Span, rules: Vec<Rule>| reader.device.chains.push(Chain { name: chain, span, rules });
    let answers = || Match::Field(Field::Ct, Ranges::interval(ct::ESTABLISHED, ct::RELATED));
    let invalid = || Match::Field(Field::Ct, Ranges::single(ct::INVALID));
    let mut take = |name: &Name| build.chains.remove(name).unwrap_or_default();
    let zones = &build.zones;
    let id = |name: Name| chain_id(zones, &name);
    for (name, direction, text, loopback, i) in [
        (Name::Input, Direction::In, "input", true, 0),
        (Name::Forward, Direction::In, "forward", false, 2),
        (Name::Output, Direction::Out, "output", true, 1),
    ] {
        let mut list = Vec::new();
        if loopback {
            list.push(Rule::implied("rule for the loopback interface", interface(direction, "lo"), Action::Accept, at));
        }
        list.push(Rule::implied("rule for open connections", answers(), Action::Accept, at));
        if options.drop_invalid {
            list.push(Rule::implied("rule for invalid packets", invalid(), Action::Drop, at));
        }
        list.extend(take(&name));
        for zone in zones {
            let jump = Action::Jump(id(Name::OfZone(text, zone.name.clone())));
            list.push(Rule::implied("jump to the zone", zone.matches(direction), jump, zone.section.head));
        }
        let (fate, span) = options.base[i];
        if fate == Fate::Reject {
            list.push(Rule::implied("policy", Match::Any, fate.action(), span));
        }
        add(text.to_owned(), at, list);
    }
    let mut dstnat = Vec::new();
    let mut srcnat = take(&Name::Srcnat);
    let (mut raw, mut raw_output) = (Vec::new(), Vec::new());
    for zone in zones {
        let head = zone.section.head;
        let jump = |what: &'static str, direction| {
            Rule::implied("jump to the zone", zone.matches(direction), Action::Jump(id(Name::OfZone(what, zone.name.clone()))), head)
        };
        dstnat.push(jump("dstnat", Direction::In));
        srcnat.push(jump("srcnat", Direction::Out));
        if build.notrack.contains(&zone.name) {
            for (list, output) in [(&mut raw, false), (&mut raw_output, true)] {
                let to = Action::Jump(id(Name::OfZone("notrack", zone.name.clone())));
                list.push(Rule::implied("jump to the zone", zone.untracked(output), to, head));
            }
        }
    }
    add("dstnat".into(), at, dstnat);
    add("srcnat".into(), at, srcnat);
    add("raw_prerouting".into(), at, raw);
    for hook in ["prerouting", "input", "forward", "output", "postrouting"] {
        add(format!("mangle_{hook}"), at, take(&Name::Mangle(hook)));
    }
    add("raw_output".into(), at, raw_output);
    for zone in zones {
        let (name, head) = (&zone.name, zone.section.head);
        for (i, what) in ["input", "output", "forward"].into_iter().enumerate() {
            let mut list = take(&Name::OfZone(what, name.clone()));
            if what != "output" && build.dnat.contains(name) {
                let translated = Match::Field(Field::CtNat, Ranges::interval(2, 3));
                list.push(Rule::implied("rule for port forwardings", translated, Action::Accept, head));
            }
            let (fate, span) = zone.fates[i];
            let to = if what == "input" { Name::From(fate, name.clone()) } else { Name::To(fate, name.clone()) };
            list.push(Rule::implied("policy of the zone", Match::Any, Action::Jump(id(to)), span));
            add(format!("{what}_{name}"), head, list);
        }
        add(format!("dstnat_{name}"), head, take(&Name::OfZone("dstnat", name.clone())));
        let mut list = take(&Name::OfZone("srcnat", name.clone()));
        list.extend(nat::masquerade(zone));
        add(format!("srcnat_{name}"), head, list);
        add(format!("notrack_{name}"), head, take(&Name::OfZone("notrack", name.clone())));
        for (direction, word) in [(Direction::In, "from"), (Direction::Out, "to")] {
            for fate in [Fate::Accept, Fate::Reject, Fate::Drop] {
                let mut list = Vec::new();
                let here = zone.matches(direction);
                // Packets that translation does not know would leave with their inside address (`zone-drop-invalid.uc`).
                let families = Family::BOTH.into_iter().zip(zone.masq).filter(|(_, masq)| *masq).map(|(f, _)| f);
                for family in families.filter(|_| direction == Direction::Out && fate == Fate::Accept && !zone.allow_invalid) {
                    let matcher = Match::all(vec![Match::Family(family), here.clone(), invalid()]);
                    list.push(Rule::implied("rule against untranslated packets", matcher, Action::Drop, head));
                }
                list.push(Rule::implied("verdict of the zone", here, fate.action(), head));
                add(format!("{}_{word}_{name}", format!("{fate:?}").to_lowercase()), head, list);
            }
        }
    }
    bases(reader, options);
}

fn bases(reader: &mut Reader<'_>, options: &Options) {
    // Numbers as in `Build::id`. Priorities: raw -300, mangle -150, dstnat -100, filter 0, srcnat 100 (`ruleset.uc`).
    let hooks = [
        (0, Hook::Input, 0, false, Some(options.base[0])),
        (1, Hook::Forward, 0, false, Some(options.base[2])),
        (2, Hook::Output, 0, false, Some(options.base[1])),
        (3, Hook::Prerouting, -100, true, None),
        (4, Hook::Postrouting, 100, true, None),
        (5, Hook::Prerouting, -300, false, None),
        (6, Hook::Prerouting, -150, false, None),
        (7, Hook::Input, -150, false, None),
        (8, Hook::Forward, -150, false, None),
        (9, Hook::Output, -150, false, None),
        (10, Hook::Postrouting, -150, false, None),
        (11, Hook::Output, -300, false, None),
    ];
    for (chain, hook, priority, nat, policy) in hooks {
        let (fate, span) = policy.unwrap_or((Fate::Accept, options.at));
        let action = if fate == Fate::Accept { PolicyAction::Accept } else { PolicyAction::Drop };
        reader.device.base_chains.push(BaseChain {
            chain: ChainId(chain),
            hook,
            priority,
            families: Family::BOTH.to_vec(),
            nat,
            policy: Policy { action, span },
            devices: Vec::new(),
        });
    }
}

fn include(reader: &mut Reader<'_>, section: &Section) {
    if disabled(reader, section) {
        return;
    }
    unknown_options(reader, section, &["path", "type", "fw4_compatible", "family", "reload", "position", "chain"]);
    let script = section.value("type").is_none_or(|t| t == "script");
    let path = section.value("path").unwrap_or("?");
    // fw4 runs a script only if it is said to be made for it (`parse_include`).
    let text = match (script, section.flag("fw4_compatible")) {
        (true, Some(true)) => format!("the script {path} may change every rule, and is not read"),
        (true, _) => format!("the script {path} is not read: fw4 does not run it, fw3 does"),
        (false, _) => format!("the file {path} adds rules that are not read"),
    };
    reader.note(section.head, NotModelled, text);
}

fn set(reader: &mut Reader<'_>, build: &mut Build<'_>, section: &Section) {
    if disabled(reader, section) {
        return;
    }
    const KNOWN: &[&str] = &[
        "family",
        "match",
        "storage",
        "iprange",
        "portrange",
        "netmask",
        "maxelem",
        "hashsize",
        "timeout",
        "external",
        "entry",
        "loadfile",
        "reload_set",
        "counters",
    ];
    unknown_options(reader, section, KNOWN);
    let Some(name) = section.value("name").filter(|n| !n.is_empty()) else {
        reader.note(section.head, Unsupported, "a set without a name, which is not loaded");
        return;
    };
    reader.device.names.define("set", name, section.head);
    let family = section.value("family").map_or(Some(Some(Family::V4)), family).flatten();
    let mut parts = Vec::new();
    for word in section.list("match") {
        let (direction, kind) = word.text.split_once(['_', '-']).unwrap_or(("", &word.text));
        let direction = if direction.starts_with('d') { "dst" } else { "src" };
        match ["ip", "net", "port", "mac"].into_iter().find(|k| *k == kind) {
            Some(kind) => parts.push((direction, kind)),
            None => reader.note(word.span, Unsupported, format!("sets of {} are not loaded by fw4", word.text)),
        }
    }
    let mut elements = Vec::new();
    for word in section.get("entry").map(|o| o.values.clone()).unwrap_or_default() {
        match element(&word.text, &parts, family) {
            Some(values) => elements.push(SetElement { values, excluded: false, span: word.span }),
            None => reader.note(word.span, Unsupported, format!("{} is no entry of the set", word.text)),
        }
    }
    let dynamic =
        section.get("loadfile").is_some() || section.get("external").is_some() || section.value("timeout").is_some_and(|t| t != "0");
    if let Some(option) = section.get("loadfile").or(section.get("external")) {
        reader.note(option.span, NotModelled, "what is in the set is not in this file");
    }
    build.sets.insert(name.to_owned(), SetFacts { family, parts });
    reader.device.sets.push(NamedSet { name: Arc::from(format!("ipset/{name}")), span: section.whole, elements, dynamic });
}

/// An entry: its parts are separated by blanks or commas.
fn element(text: &str, parts: &[(&str, &str)], family: Option<Family>) -> Option<Vec<SetValue>> {
    let values: Vec<&str> = text.split([' ', '\t', ',']).filter(|v| !v.is_empty()).collect();
    if values.len() != parts.len() || parts.is_empty() {
        return None;
    }
    let one = |(value, (_, kind)): (&&str, &(&str, &str))| match *kind {
        "ip" | "net" => match subnet(value)? {
            Subnet::Known(f, set) if family.is_none_or(|want| want == f) => Some(SetValue::Address(f, set)),
            _ => None,
        },
        "port" => super::values::ports(value).map(SetValue::Number),
        _ => super::values::mac(value).map(|m| SetValue::Number(Ranges::single(m))),
    };
    values.iter().zip(parts).map(one).collect()
}
