//! The device's interfaces as numbers, and which packets can occur on a way through it.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::{Action, ChainId, ConditionId, Device, Direction, Effect, Hook, Match, NamePattern, PolicyAction};
use crate::net::{Family, Ranges, prefix_bounds};
use crate::packets::fields::{addr_type, ct};
use crate::packets::{Cube, Dim, Field, Packet, header_space};
use crate::source::Span;

/// A packet's way through a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Way {
    /// To the device.
    Input,
    /// Through the device.
    Forward,
    /// From the device.
    Output,
}

impl Way {
    /// All ways, in the order in which they are answered.
    pub const ALL: [Way; 3] = [Way::Input, Way::Forward, Way::Output];

    /// The hooks that a packet passes, in order.
    pub fn hooks(self) -> &'static [Hook] {
        match self {
            Way::Input => &[Hook::Ingress, Hook::Prerouting, Hook::Input],
            Way::Forward => &[Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting],
            Way::Output => &[Hook::Output, Hook::Postrouting],
        }
    }

    /// The hook that gives the way its name.
    pub fn hook(self) -> Hook {
        match self {
            Way::Input => Hook::Input,
            Way::Forward => Hook::Forward,
            Way::Output => Hook::Output,
        }
    }

    /// `input`, `forward` or `output`.
    pub fn name(self) -> &'static str {
        self.hook().name()
    }
}

/// Interface number for "no interface".
pub const NO_INTERFACE: u128 = 0;

const IPV4_MULTICAST: (u128, u128) = (0xe000_0000, 0xefff_ffff);
const IPV4_BROADCAST: u128 = 0xffff_ffff;
const UDPLITE: u128 = 136;
const IPV6_MULTICAST: (u128, u128) = (0xff << 120, u128::MAX);

/// Everything about a device that turns names into numbers.
pub struct Space {
    /// Names with their number minus one: first every exact name, then every wildcard's beginning, which stands for "another interface whose
    /// name begins so". All greater numbers are interfaces that nothing names.
    names: Vec<NamePattern>,
    local4: Option<Ranges>,
    local6: Option<Ranges>,
    /// Addresses that may also be the device's own: one of its interfaces gets addresses that the configuration cannot show.
    unsure4: Ranges,
    unsure6: Ranges,
    /// Other names of interfaces, with the name that stands in `names`.
    aliases: HashMap<String, String>,
    broadcast4: Ranges,
    /// The address of an interface that has one of IPv4 and no more, by its number.
    only4: HashMap<u128, u128>,
    uses_ct: bool,
    uses_types: bool,
    /// The families of which own addresses decide what is delivered to the device.
    delivered: Vec<Family>,
    /// The families whose connections are translated.
    translated: Vec<Family>,
    conditions: Vec<(String, Span)>,
    /// See [`Space::at_rest`].
    at_rest: Vec<(u32, bool)>,
    of_sets: HashMap<(String, Vec<Field>), u32>,
    of_rules: HashMap<(ChainId, usize), u32>,
    of_policies: HashMap<ChainId, u32>,
    matched: BTreeSet<Field>,
    fragments: Fragments,
}

/// What becomes of the transport fields of later fragments, which have none.
#[derive(Default)]
struct Fragments {
    /// They may be read from what the fragment carries.
    read: bool,
    /// Conditions "what it carries reads so", by field and values, and by set.
    of_fields: HashMap<(Field, Ranges), u32>,
    of_sets: HashMap<(String, Vec<Field>), u32>,
}

/// More conditions of [`Fragments`] than these are not told apart: then no packet set says anything of later fragments, and the walk says
/// that it does not know.
const FRAGMENT_CONDITIONS: usize = 64;

impl Space {
    /// Collects the names that the device's rules, interfaces, sets and tunnels use, and `extra` ones (a baseline's).
    pub fn new(device: &Device, extra: &[NamePattern]) -> Space {
        let mut aliases: HashMap<String, String> = HashMap::new();
        for interface in device.interfaces.iter().flatten() {
            for alias in &interface.aliases {
                aliases.entry(alias.clone()).or_insert_with(|| interface.name.clone());
            }
        }
        let mut exact = BTreeSet::new();
        let mut wild = BTreeSet::new();
        let mut add = |p: &NamePattern| {
            if p.wildcard {
                wild.insert(p.name.clone())
            } else {
                exact.insert(aliases.get(&p.name).unwrap_or(&p.name).clone())
            };
        };
        let (mut uses_ct, mut uses_types) = (false, false);
        let mut conditions: Vec<(String, Span)> =
            (0..device.conditions.len() as u32).map(|i| device.conditions.get(ConditionId(i))).map(|(t, s)| (t.to_owned(), s)).collect();
        let mut of_sets = HashMap::new();
        let mut of_rules = HashMap::new();
        let mut of_policies = HashMap::new();
        let mut matched = BTreeSet::new();
        let mut transport: Vec<(Field, Ranges, Span)> = Vec::new();
        let mut transport_sets: Vec<(String, Vec<Field>, Span)> = Vec::new();
        let mut known: HashSet<(Field, Ranges)> = HashSet::new();
        let fixed: HashSet<&str> = device.sets.iter().filter(|s| !s.dynamic).map(|s| &*s.name).collect();
        for (c, chain) in device.chains.iter().enumerate() {
            for (r, rule) in chain.rules.iter().enumerate() {
                if let Action::Opaque(what) = &rule.action {
                    of_rules.insert((ChainId(c as u32), r), conditions.len() as u32);
                    conditions.push((format!("{what} accepts"), rule.span));
                    conditions.push((format!("{what} drops"), rule.span));
                }
                for effect in &rule.effects {
                    uses_ct |= matches!(effect, Effect::Untrack);
                    if let Effect::Copy { from, .. } = effect {
                        matched.insert(*from);
                    }
                }
                rule.matcher.walk(&mut |m| match m {
                    Match::InSet { set, fields, span } => {
                        matched.extend(fields);
                        // Keys by direction stand for ports and interfaces too.
                        matched.extend([Field::Sport, Field::Dport, Field::Iif, Field::Oif]);
                        let key = (set.to_string(), fields.clone());
                        if fields.iter().any(|f| is_transport(*f)) && !transport_sets.iter().any(|t| t.0 == key.0 && t.1 == key.1) {
                            transport_sets.push((key.0.clone(), key.1.clone(), *span));
                        }
                        if !fixed.contains(&**set) && !of_sets.contains_key(&key) {
                            of_sets.insert(key, conditions.len() as u32);
                            conditions.push((format!("is in set {set}"), *span));
                        }
                    }
                    Match::Interface(_, p) => add(p),
                    Match::Field(field, values) => {
                        matched.insert(*field);
                        if is_transport(*field)
                            && device.reads_fragments
                            && known.len() <= FRAGMENT_CONDITIONS
                            && known.insert((*field, values.clone()))
                        {
                            transport.push((*field, values.clone(), rule.span));
                        }
                        uses_ct |= matches!(field, Field::Ct | Field::CtNat | Field::CtMark);
                        uses_types |= matches!(field, Field::DstType | Field::SrcType);
                    }
                    Match::Address(field, ..) => {
                        matched.insert(*field);
                    }
                    _ => {}
                });
            }
        }
        for base in &device.base_chains {
            uses_ct |= base.nat;
            if base.policy.action == PolicyAction::Unknown {
                of_policies.insert(base.chain, conditions.len() as u32);
                conditions.push(("the policy accepts".into(), base.policy.span));
            }
            base.devices.iter().for_each(&mut add);
        }
        for set in &device.sets {
            for element in &set.elements {
                for value in &element.values {
                    if let crate::model::SetValue::Interface(p) = value {
                        add(p);
                    }
                }
            }
        }
        device.interfaces.iter().flatten().for_each(|i| add(&NamePattern::exact(&*i.name)));
        let routed: BTreeSet<&str> = device.routes.iter().flatten().filter_map(|r| r.interface.as_deref()).collect();
        routed.into_iter().for_each(|name| add(&NamePattern::exact(name)));
        // Tunnels of policies (IPsec) have no interface.
        device.tunnels.iter().filter(|t| !t.interface.is_empty()).for_each(|t| add(&NamePattern::exact(&*t.interface)));
        extra.iter().for_each(&mut add);
        let mut names: Vec<NamePattern> = exact.into_iter().map(NamePattern::exact).collect();
        names.extend(wild.into_iter().map(NamePattern::prefix));

        let mut fragments = Fragments { read: device.reads_fragments && !uses_ct, ..Fragments::default() };
        if fragments.read && transport.len() + transport_sets.len() <= FRAGMENT_CONDITIONS {
            for (field, values, span) in transport {
                let text = format!("what the fragment carries reads as {} {}", field.name(), super::words::few(&values));
                fragments.of_fields.insert((field, values), conditions.len() as u32);
                conditions.push((text, span));
            }
            for (set, fields, span) in transport_sets {
                let text = format!("what the fragment carries reads as an element of {set}");
                fragments.of_sets.insert((set, fields), conditions.len() as u32);
                conditions.push((text, span));
            }
        }

        let locals = |family: Family| {
            device.interfaces.as_ref().map(|list| {
                let own = list.iter().flat_map(|i| &i.addresses).filter_map(|a| {
                    let (f, n) = crate::net::to_number(a.ip());
                    (f == family).then_some((n, n))
                });
                let loopback = match family {
                    Family::V4 => (0x7f00_0000, 0x7fff_ffff),
                    Family::V6 => (1, 1),
                };
                Ranges::from_intervals(own.chain([loopback]).collect())
            })
        };
        let broadcasts = device.interfaces.iter().flatten().flat_map(|i| &i.addresses).filter_map(|a| {
            let (family, _, hi) = prefix_bounds(*a);
            (family == Family::V4 && a.prefix() < 31).then_some(hi)
        });
        let mut space = Space {
            names,
            only4: HashMap::new(),
            local4: locals(Family::V4),
            local6: locals(Family::V6),
            unsure4: unsure(device, Family::V4),
            unsure6: unsure(device, Family::V6),
            aliases,
            broadcast4: Ranges::from_values(broadcasts.chain([IPV4_BROADCAST])),
            uses_ct,
            uses_types,
            delivered: Family::BOTH.into_iter().filter(|f| device.delivers_by_address(*f)).collect(),
            translated: Family::BOTH.into_iter().filter(|f| device.base_chains.iter().any(|b| b.nat && b.families.contains(f))).collect(),
            conditions,
            at_rest: device.conditions.at_rest().map(|(id, answer)| (id.0, answer)).collect(),
            of_sets,
            of_rules,
            of_policies,
            matched,
            fragments,
        };
        space.only4 = space.only_addresses(device);
        space
    }

    /// The interfaces that surely have one address of IPv4 and no more, with that.
    fn only_addresses(&self, device: &Device) -> HashMap<u128, u128> {
        let mut all: HashMap<u128, BTreeSet<Option<u128>>> = HashMap::new();
        for interface in device.interfaces.iter().flatten() {
            let number = self.interface_number(&interface.name);
            let own = all.entry(number).or_default();
            own.extend(interface.addresses.iter().map(|a| crate::net::to_number(a.ip())).filter(|a| a.0 == Family::V4).map(|a| Some(a.1)));
            let exact = (number as usize).checked_sub(1).and_then(|i| self.names.get(i)).is_some_and(|n| !n.wildcard);
            if !exact || interface.dynamic.contains(&Family::V4) {
                own.insert(None);
            }
        }
        let only = |own: BTreeSet<Option<u128>>| own.first().copied().flatten().filter(|n| own.len() == 1 && n >> 24 != 127);
        all.into_iter().filter_map(|(number, own)| Some((number, only(own)?))).collect()
    }

    /// The source that masquerading gives to what leaves through an interface; `None` if that is not certain. Of several addresses the
    /// system chooses (Linux by the next hop and the scope, pf in turn); of IPv6 an interface nearly always has several.
    pub fn masquerade(&self, family: Family, oif: u128) -> Option<u128> {
        if family == Family::V4 { self.only4.get(&oif).copied() } else { None }
    }

    /// The condition "what the later fragment carries reads so" of a transport field. `None`: later fragments have no such field.
    pub fn fragment_condition(&self, field: Field, values: &Ranges) -> Option<u32> {
        if self.fragments.of_fields.is_empty() || !is_transport(field) {
            return None;
        }
        self.fragments.of_fields.get(&(field, values.clone())).copied()
    }

    /// As [`Space::fragment_condition`] of a key that has transport fields.
    pub fn fragment_set_condition(&self, set: &str, fields: &[Field]) -> Option<u32> {
        if self.fragments.of_sets.is_empty() {
            return None;
        }
        self.fragments.of_sets.get(&(set.to_owned(), fields.to_vec())).copied()
    }

    /// All packets, but of later fragments only those that no match of ports reads as if they had a header. A rule that nothing but such
    /// fragments gets to does nothing that anybody meant.
    pub(super) fn meant(&self, family: Family) -> Vec<Cube> {
        let mut read: Vec<u32> = self.fragments.of_fields.values().chain(self.fragments.of_sets.values()).copied().collect();
        if read.is_empty() {
            return vec![Cube::any()];
        }
        read.sort_unstable();
        let mut later = Cube::of(Dim::field(Field::Fragment), Ranges::single(2), family);
        for id in read {
            later = later.and_then(|c| c.with(Dim::condition(id), &Ranges::single(0), family));
        }
        Cube::of(Dim::field(Field::Fragment), Ranges::interval(0, 1), family).into_iter().chain(later).collect()
    }

    /// Whether nothing is known of the transport fields of later fragments, not even as a condition.
    pub fn fragments_are_unknown(&self) -> bool {
        self.fragments.read && self.fragments.of_fields.is_empty() && self.fragments.of_sets.is_empty()
    }

    /// Text and first place of an opaque condition, also of those that stand for unknown set contents, unknown actions and unknown
    /// policies.
    pub fn condition(&self, id: u32) -> (&str, Span) {
        let (text, span) = &self.conditions[id as usize];
        (text, *span)
    }

    /// The conditions of which it is certain what they answer when no packet has come for long (no rate is exceeded), with the answer.
    pub fn at_rest(&self) -> &[(u32, bool)] {
        &self.at_rest
    }

    /// How many opaque conditions the device has.
    pub fn condition_count(&self) -> usize {
        self.conditions.len()
    }

    /// The condition "is in the set", for sets whose contents are not known.
    pub fn set_condition(&self, set: &str, fields: &[Field]) -> Option<u32> {
        self.of_sets.get(&(set.to_owned(), fields.to_vec())).copied()
    }

    /// The condition "accepts" of a rule whose action is not modelled; the next number is its condition "drops".
    pub fn rule_condition(&self, chain: ChainId, rule: usize) -> Option<u32> {
        self.of_rules.get(&(chain, rule)).copied()
    }

    /// The condition "accepts" of a base chain whose policy is not known.
    pub fn policy_condition(&self, chain: ChainId) -> Option<u32> {
        self.of_policies.get(&chain).copied()
    }

    /// Every interface name that has a number, in order: made of the same names, two spaces have the same numbers.
    pub fn names(&self) -> &[NamePattern] {
        &self.names
    }

    /// Whether what a later fragment carries may be read as a transport header.
    pub fn reads_fragments(&self) -> bool {
        self.fragments.read
    }

    /// Whether the same packets are for the device itself.
    pub fn delivers_alike(&self, other: &Space) -> bool {
        (&self.local4, &self.local6, &self.unsure4, &self.unsure6) == (&other.local4, &other.local6, &other.unsure4, &other.unsure6)
            && (&self.broadcast4, &self.delivered) == (&other.broadcast4, &other.delivered)
    }

    /// Whether any rule of the device looks at the field.
    pub fn is_matched(&self, field: Field) -> bool {
        self.matched.contains(&field)
    }

    /// The addresses of the device itself; `None` if they are not known.
    pub fn local(&self, family: Family) -> Option<&Ranges> {
        match family {
            Family::V4 => self.local4.as_ref(),
            Family::V6 => self.local6.as_ref(),
        }
    }

    /// Addresses of which nothing says whether they are the device's own: none, unless an interface gets addresses that the configuration
    /// cannot show.
    fn unsure(&self, family: Family) -> &Ranges {
        match family {
            Family::V4 => &self.unsure4,
            Family::V6 => &self.unsure6,
        }
    }

    /// Whether an IPv4 address is that of everybody on a network of the device, as far as its addresses are known.
    pub fn is_broadcast(&self, address: u128) -> bool {
        self.broadcast4.contains(address)
    }

    /// The numbers of the interfaces that a pattern means, "no interface" never among them.
    pub fn interfaces(&self, pattern: &NamePattern) -> Ranges {
        if pattern.wildcard && pattern.name.is_empty() {
            return Ranges::interval(1, Field::Iif.max(Family::V4));
        }
        let exact = self.aliases.get(&pattern.name).unwrap_or(&pattern.name);
        let mut called: HashSet<&str> = HashSet::new();
        if pattern.wildcard {
            called.extend(self.aliases.iter().filter(|(alias, _)| alias.starts_with(&pattern.name)).map(|(_, name)| name.as_str()));
        }
        Ranges::from_values(self.names.iter().enumerate().filter_map(|(i, n)| {
            let inside = match (pattern.wildcard, n.wildcard) {
                (false, false) => n.name == *exact,
                (false, true) => false,
                (true, _) => n.name.starts_with(&pattern.name) || (!n.wildcard && called.contains(n.name.as_str())),
            };
            inside.then_some(i as u128 + 1)
        }))
    }

    /// The number of an interface by its name: its own, that of the longest wildcard that means it, or that of "any other".
    pub fn interface_number(&self, name: &str) -> u128 {
        let find = |name: &str| self.names.iter().position(|n| !n.wildcard && n.name == name);
        let exact = find(name).or_else(|| find(self.aliases.get(name)?));
        let wild = || {
            let fitting = self.names.iter().enumerate().filter(|(_, n)| n.wildcard && name.starts_with(&n.name));
            fitting.max_by_key(|(_, n)| n.name.len()).map(|(i, _)| i)
        };
        exact.or_else(wild).unwrap_or(self.names.len()) as u128 + 1
    }

    /// What to call an interface number: a name that really is one of those that the number stands for.
    pub fn interface_name(&self, number: u128) -> Option<String> {
        let index = (number as usize).checked_sub(1)?;
        let taken = |name: &str| self.names.iter().any(|n| !n.wildcard && n.name == name);
        match self.names.get(index) {
            Some(n) if !n.wildcard => Some(n.name.clone()),
            Some(n) => (0..1000)
                .map(|i| format!("{}{i}", n.name))
                .find(|c| !taken(c) && self.interface_number(c) == number)
                .or_else(|| Some(format!("{}*", n.name))),
            // Of the numbers beyond the names, only the first is ever given to a name; all of them mean an interface that nothing names.
            None => (0..1000).map(|i| format!("other{i}")).find(|n| !taken(n)),
        }
    }

    /// A set of interface numbers in words: `eth0, eth1`, `any interface but lo`.
    pub fn interface_words(&self, set: &Ranges) -> String {
        let top = Field::Iif.max(Family::V4);
        let all = Ranges::interval(1, top);
        if all.is_subset(set) {
            return "any interface".into();
        }
        let name = |i: u128| match self.names.get(i as usize - 1) {
            Some(n) if n.wildcard => format!("{}*", n.name),
            Some(n) => n.name.clone(),
            None => "any other".into(),
        };
        let list = |set: &Ranges| {
            let known = set.and(&Ranges::interval(1, self.names.len() as u128));
            let mut names: Vec<String> = known.intervals().iter().flat_map(|&(lo, hi)| lo..=hi).map(name).collect();
            names.dedup();
            names.join(", ")
        };
        if set.contains(top) { format!("any interface but {}", list(&all.minus(set))) } else { list(set) }
    }

    /// Whether any rule, NAT chain or effect makes the device track connections. Then fragments are reassembled before any chain
    /// (`nf_defrag_ipv4`, priority -400).
    pub fn tracks(&self) -> bool {
        self.uses_ct
    }

    /// Which packets can occur on a way, as disjoint cubes.
    pub fn occurring(&self, way: Way, family: Family) -> Vec<Cube> {
        let top = Field::Iif.max(family);
        let some = Ranges::interval(1, top);
        let none = Ranges::single(NO_INTERFACE);
        let (iif, oif) = match way {
            Way::Input => (&some, &none),
            Way::Forward => (&some, &some),
            Way::Output => (&none, &some),
        };
        let with = |c: Cube, field: Field, set: &Ranges| c.with(Dim::field(field), set, family);
        let zero = Ranges::single(0);
        let mut common = Some(Cube::any());
        for (field, set) in [(Field::Iif, iif), (Field::Oif, oif)] {
            common = common.and_then(|c| with(c, field, set));
        }
        if way != Way::Output {
            // A packet from outside has no mark; a local process can set one (SO_MARK).
            common = common.and_then(|c| with(c, Field::Mark, &zero));
        }
        if self.uses_ct {
            common = common.and_then(|c| with(c, Field::Fragment, &zero));
        }
        if self.fragments_are_unknown() && [Field::Sport, Field::Dport, Field::Icmp, Field::TcpFlags].iter().any(|f| self.is_matched(*f)) {
            common = common.and_then(|c| with(c, Field::Fragment, &Ranges::interval(0, 1)));
        }
        if way == Way::Forward && self.is_matched(Field::Ttl) {
            // Who has no hop left is not routed on.
            common = common.and_then(|c| with(c, Field::Ttl, &Ranges::interval(2, 255)));
        }
        let Some(common) = common else { return Vec::new() };
        let mut cubes: Vec<Cube> = header_space(family).iter().filter_map(|h| h.and(&common)).collect();
        if self.uses_ct {
            cubes = cubes.iter().flat_map(|c| self.tracked(c, family)).collect();
        }
        if self.uses_types {
            let types = self.types(way, family);
            cubes = cubes.iter().flat_map(|c| types.iter().filter_map(|t| c.and(t))).collect();
        }
        cubes
    }

    /// States that connection tracking can give: neighbour discovery and multicast listener messages are never tracked
    /// (`nf_conntrack_proto_icmpv6.c`, types 130-136 and 143; a redirect is an error about a connection, or invalid), multicast router
    /// discovery depends on the kernel (see [`router_discovery`]), everything else always is; and only some packets can open a connection
    /// (see [`opens`]).
    fn tracked(&self, cube: &Cube, family: Family) -> Vec<Cube> {
        let with = |c: Cube, field: Field, set: &Ranges| c.with(Dim::field(field), set, family);
        let mut out: Vec<Cube> = Vec::new();
        let mut tracked = Some(cube.clone());
        if family == Family::V6 {
            let types = untracked_types();
            let never = with(cube.clone(), Field::Icmp, &types).and_then(|c| with(c, Field::Ct, &Ranges::single(ct::UNTRACKED)));
            out.extend(never.and_then(|c| if self.is_matched(Field::CtNat) { with(c, Field::CtNat, &Ranges::single(0)) } else { Some(c) }));
            tracked = with(cube.clone(), Field::Icmp, &types.complement(Field::Icmp.max(family)));
            let perhaps =
                with(cube.clone(), Field::Icmp, &router_discovery()).and_then(|c| with(c, Field::Ct, &Ranges::single(ct::UNTRACKED)));
            out.extend(
                perhaps.and_then(|c| if self.is_matched(Field::CtNat) { with(c, Field::CtNat, &Ranges::single(0)) } else { Some(c) }),
            );
        }
        let Some(tracked) = tracked else { return out };
        let known = with(tracked.clone(), Field::Ct, &Ranges::interval(ct::ESTABLISHED, ct::RELATED));
        if self.is_matched(Field::CtNat) && self.translated.contains(&family) {
            // What address translation drops itself, see [`Space::is_lost_redirect`], gets to no rule that decides.
            let redirect = redirects(family);
            let other = redirect.complement(Field::Icmp.max(family));
            let splits = |c: &Cube| {
                let established =
                    with(c.clone(), Field::Icmp, &redirect).and_then(|c| with(c, Field::Ct, &Ranges::single(ct::ESTABLISHED)));
                let related = with(c.clone(), Field::Icmp, &redirect).and_then(|c| with(c, Field::Ct, &Ranges::single(ct::RELATED)));
                [with(c.clone(), Field::Icmp, &other), established, related.and_then(|c| with(c, Field::CtNat, &Ranges::single(0)))]
            };
            out.extend(known.iter().flat_map(splits).flatten());
        } else {
            out.extend(known);
        }
        // An invalid packet belongs to no connection, so to none that was translated (`nf_ct_get` gives none).
        let untranslated = |c: Cube| if self.is_matched(Field::CtNat) { with(c, Field::CtNat, &Ranges::single(0)) } else { Some(c) };
        out.extend(with(tracked.clone(), Field::Ct, &Ranges::single(ct::INVALID)).and_then(untranslated));
        let mut new = with(tracked, Field::Ct, &Ranges::single(ct::NEW));
        for (field, set) in opens(family) {
            new = new.and_then(|c| with(c, field, &set));
        }
        out.extend(new.and_then(untranslated));
        out
    }

    /// Whether address translation drops a packet by itself: an ICMP redirect about a connection that is translated (the check of
    /// `ICMP_REDIRECT` and `NDISC_REDIRECT` in `nf_nat_icmp_reply_translation` and `nf_nat_icmpv6_reply_translation`,
    /// net/netfilter/nf_nat_proto.c). Where no rule asks whether a connection is translated, packets stand for those of connections that are
    /// not. A redirect about a connection that was opened before there was any translation is dropped too, which the model does not tell
    /// apart.
    pub fn is_lost_redirect(&self, family: Family, packet: &Packet) -> bool {
        packet.field(Field::Ct) == ct::RELATED
            && packet.field(Field::CtNat) != 0
            && self.is_matched(Field::CtNat)
            && redirects(family).contains(packet.field(Field::Icmp))
            && self.translated.contains(&family)
    }

    /// The state that connection tracking gives a packet that belongs to no connection it knows; of multicast router discovery that of
    /// newer kernels.
    pub fn state_alone(&self, way: Way, family: Family, proto: u128, icmp: u128, flags: u128) -> u128 {
        if proto == UDPLITE && way != Way::Output {
            // The checksum of arriving UDP-Lite is verified as if it were that of UDP, and so found wrong, unless a network card has
            // verified it (`udplite_error` in nf_conntrack_proto_udp.c).
            return ct::INVALID;
        }
        if family == Family::V6 && (untracked_types().contains(icmp) || router_discovery().contains(icmp)) {
            return ct::UNTRACKED;
        }
        let value = |field: &Field| match field {
            Field::Icmp => icmp,
            Field::Proto => proto,
            _ => flags,
        };
        let opening = opens(family).iter().all(|(field, set)| set.contains(value(field)));
        if opening { ct::NEW } else { ct::INVALID }
    }

    /// Cubes of destination addresses with what the routing table says of them, given what it says of those that are neither
    /// multicast nor broadcast: `local` for own addresses (or all, if they are not known), `foreign` for the others.
    fn typed(&self, family: Family, local: &Ranges, foreign: &Ranges) -> Vec<Cube> {
        let multicast = match family {
            Family::V4 => Ranges::interval(IPV4_MULTICAST.0, IPV4_MULTICAST.1),
            Family::V6 => Ranges::interval(IPV6_MULTICAST.0, IPV6_MULTICAST.1),
        };
        let broadcast = if family == Family::V4 { self.broadcast4.clone() } else { Ranges::EMPTY };
        let rest = multicast.or(&broadcast).complement(family.max_address());
        let of = |addresses: &Ranges, types: &Ranges| {
            let cube = Cube::any().with(Dim::field(Field::Dst), addresses, family)?;
            if self.uses_types { cube.with(Dim::field(Field::DstType), types, family) } else { Some(cube) }
        };
        let single = Ranges::single;
        let mut out = vec![of(&multicast, &single(addr_type::MULTICAST)), of(&broadcast, &single(addr_type::BROADCAST))];
        match self.local(family) {
            Some(own) => {
                let unsure = self.unsure(family).minus(own);
                let other = rest.minus(own).minus(&unsure);
                out.push(if local.is_empty() { None } else { of(&rest.and(own), local) });
                out.push(if foreign.is_empty() { None } else { of(&other, foreign) });
                out.push(of(&rest.and(&unsure), &local.or(foreign)));
            }
            None => out.push(of(&rest, &local.or(foreign).or(&single(addr_type::BROADCAST)))),
        }
        out.into_iter().flatten().collect()
    }

    /// What packets can look like once the routing decision has sent them on this way: to own addresses and to groups for input, to
    /// others for forward. `None`: nothing is known that would bound them.
    pub(super) fn routed(&self, way: Way, family: Family) -> Option<Vec<Cube>> {
        if way == Way::Output || !self.delivered.contains(&family) || (!self.uses_types && self.local(family).is_none()) {
            return None;
        }
        let local = Ranges::single(addr_type::LOCAL);
        let foreign = Ranges::single(addr_type::UNICAST);
        Some(match way {
            Way::Input => self.typed(family, &local, &Ranges::EMPTY),
            _ => self.typed(family, &Ranges::EMPTY, &foreign),
        })
    }

    /// What the routing table can say of destination and source when a packet enters.
    fn types(&self, way: Way, family: Family) -> Vec<Cube> {
        let out = self.typed(family, &Ranges::single(addr_type::LOCAL), &Ranges::single(addr_type::UNICAST));
        let source = match way {
            Way::Output => Ranges::single(addr_type::LOCAL),
            _ => Ranges::interval(addr_type::UNICAST, addr_type::MULTICAST),
        };
        out.into_iter().filter_map(|c| c.with(Dim::field(Field::SrcType), &source, family)).collect()
    }

    /// The numbers of the interfaces of a direction's field.
    pub fn direction_field(direction: Direction) -> Field {
        match direction {
            Direction::In => Field::Iif,
            Direction::Out => Field::Oif,
        }
    }
}

/// Addresses that an interface with addresses of unknown value may have: those of no network that is known to be behind another one
/// (an address of it would not get there), and in IPv4 those that hosts can have at all.
fn unsure(device: &Device, family: Family) -> Ranges {
    let list = || device.interfaces.iter().flatten();
    if !list().any(|i| i.dynamic.contains(&family)) {
        return Ranges::EMPTY;
    }
    let networks = list().filter(|i| !i.dynamic.contains(&family)).flat_map(|i| &i.addresses).map(|a| prefix_bounds(*a));
    let known: Vec<(u128, u128)> = networks.filter(|(f, lo, hi)| *f == family && hi > lo).map(|(_, lo, hi)| (lo, hi)).collect();
    let never = match family {
        Family::V4 => Ranges::from_intervals(vec![(0, 0x00ff_ffff), (0x7f00_0000, 0x7fff_ffff), (0xe000_0000, 0xffff_ffff)]),
        Family::V6 => Ranges::from_intervals(vec![(0, 1), IPV6_MULTICAST]),
    };
    Ranges::from_intervals(known).or(&never).complement(family.max_address())
}

/// Whether a field is one of the transport header.
fn is_transport(field: Field) -> bool {
    matches!(field, Field::Sport | Field::Dport | Field::Icmp | Field::TcpFlags)
}

/// The type of a redirect, with all codes (RFC 792, RFC 4861).
fn redirects(family: Family) -> Ranges {
    let kind: u128 = if family == Family::V4 { 5 } else { 137 };
    Ranges::interval(kind << 8, (kind << 8) + 255)
}

/// ICMPv6 types that are never tracked.
fn untracked_types() -> Ranges {
    Ranges::from_intervals(vec![(130 << 8, (136 << 8) + 255), (143 << 8, (143 << 8) + 255)])
}

/// ICMPv6 types of multicast router discovery (RFC 4286: advertisement and solicitation), which newer kernels do not track either and which are
/// invalid for older ones (`noct_valid_new` of nf_conntrack_proto_icmpv6.c names `ICMPV6_MRDISC_ADV` and `ICMPV6_MRDISC_SOL` since a change
/// that was taken over into stable kernels): sets have both states.
fn router_discovery() -> Ranges {
    Ranges::interval(151 << 8, (152 << 8) + 255)
}

/// Which TCP flags and ICMP types can open a connection; packets of other protocols always can.
///
/// TCP (`nf_conntrack_proto_tcp.c`, `tcp_valid_flags` and the row of the state table for no connection): SYN, and ACK alone, which
/// picks up a connection in its middle (`nf_conntrack_tcp_loose`, on by default), each also with URG; PSH, ECE and CWR do not count.
/// ICMP (`nf_conntrack_proto_icmp.c`): echo, timestamp, information and address mask requests. ICMPv6: echo requests and node
/// information queries. ICMP of the other family never does.
fn opens(family: Family) -> [(Field, Ranges); 3] {
    let flags = (0..256u128).filter(|f| matches!(f & 0x37, 0x02 | 0x22 | 0x10 | 0x30));
    let flags = Ranges::from_values(flags.chain([crate::packets::fields::ABSENT_FLAGS]));
    let types: &[u128] = match family {
        Family::V4 => &[8, 13, 15, 17],
        Family::V6 => &[128, 139],
    };
    let mut intervals: Vec<(u128, u128)> = types.iter().map(|t| (t << 8, (t << 8) + 255)).collect();
    intervals.push((crate::packets::fields::ABSENT_PORT, crate::packets::fields::ABSENT_PORT));
    let foreign = Ranges::single(if family == Family::V4 { 58 } else { 1 });
    [(Field::TcpFlags, flags), (Field::Icmp, Ranges::from_intervals(intervals)), (Field::Proto, foreign.complement(255))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Interface;
    use crate::source::FileId;

    fn device(dynamic: bool) -> Device {
        let span = Span::new(FileId(0), 0, 0);
        let lan =
            Interface { addresses: vec!["192.168.1.1/24".parse().unwrap()], aliases: vec!["LAN".into()], ..Interface::new("em1", span) };
        let wan = Interface { dynamic: if dynamic { vec![Family::V4] } else { vec![] }, ..Interface::new("em0", span) };
        Device { interfaces: Some(vec![lan, wan]), ..Device::default() }
    }

    fn reaches(device: &Device, way: Way, to: [u8; 4]) -> bool {
        let to = Ranges::single(u128::from(u32::from_be_bytes(to)));
        let cubes = Space::new(device, &[]).routed(way, Family::V4).unwrap();
        cubes.iter().any(|c| c.with(Dim::field(Field::Dst), &to, Family::V4).is_some())
    }

    #[test]
    fn an_address_that_nobody_knows_may_be_anywhere_but_in_a_network_behind_another_interface() {
        let (known, unknown) = (device(false), device(true));
        assert!(!reaches(&known, Way::Input, [203, 0, 113, 9]) && reaches(&known, Way::Forward, [203, 0, 113, 9]));
        assert!(reaches(&unknown, Way::Input, [203, 0, 113, 9]) && reaches(&unknown, Way::Forward, [203, 0, 113, 9]));
        assert!(!reaches(&unknown, Way::Input, [192, 168, 1, 7]) && reaches(&unknown, Way::Forward, [192, 168, 1, 7]));
        assert!(reaches(&unknown, Way::Input, [192, 168, 1, 1]) && !reaches(&unknown, Way::Forward, [192, 168, 1, 1]));
    }

    #[test]
    fn an_interface_is_found_by_its_other_names() {
        let space = Space::new(&device(false), &[]);
        assert_eq!(space.interface_number("LAN"), space.interface_number("em1"));
        assert_ne!(space.interface_number("LAN"), space.interface_number("em0"));
        for pattern in [NamePattern::exact("LAN"), NamePattern::prefix("LA"), NamePattern::prefix("em1")] {
            assert_eq!(space.interfaces(&pattern).as_single(), Some(space.interface_number("em1")));
        }
    }
}
