//! The rules that people write: floating, group and interface rules, of the old form and of OPNsense's new one.

use super::Dialect;
use super::interfaces::On;
use super::lower::Lowering;
use super::places::Side;
use super::tree::{Tree, parts};
use super::words;
use crate::diag::LineState;
use crate::model::{Action, Match, Rule};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::syntax::xml::Element;

/// In which direction a rule of pf looks at packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    In,
    Out,
    Both,
}

/// A rule of pf's rule set, in its order.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub on: On,
    pub way: Way,
    pub quick: bool,
    /// What it asks besides the interface, the action, the log …
    pub rule: Rule,
    /// The tag that it sets.
    pub tag: Option<u128>,
    /// It asks for this tag.
    pub tagged: Option<u128>,
}

/// Elements of a rule that say nothing of which packets it matches or what becomes of them.
const NEUTRAL: &[&str] = &[
    "created",
    "updated",
    "descr",
    "description",
    "category",
    "categories",
    "id",
    "tracker",
    "associated-rule-id",
    "sequence",
    "seq",
    "log",
    "type",
    "action",
    "interface",
    "interfacenot",
    "interfacenotif",
    "ipprotocol",
    "protocol",
    "source",
    "destination",
    "source_net",
    "source_not",
    "source_port",
    "destination_net",
    "destination_not",
    "destination_port",
    "direction",
    "quick",
    "floating",
    "disabled",
    "enabled",
    "icmptype",
    "icmp6-type",
    "icmp6type",
    "tcpflags1",
    "tcpflags2",
    "tcpflags_any",
    "statetype",
    "tag",
    "tagged",
    "os",
    "sched",
    "gateway",
    "replyto",
    "reply-to",
    "disablereplyto",
    "allowopts",
    "nopfsync",
    "nosync",
    "statetimeout",
    "max",
    "max-src-nodes",
    "max-src-conn",
    "max-src-states",
    "max-src-conn-rate",
    "max-src-conn-rates",
    "adaptivestart",
    "adaptiveend",
    "overload",
    "set-prio",
    "set-prio-low",
    "vlanprioset",
    "defaultqueue",
    "ackqueue",
    "dnpipe",
    "pdnpipe",
    "shaper1",
    "shaper2",
    "tos",
    "dscp",
    "prio",
    "vlanprio",
    "label",
    "sort_order",
    "prio_group",
    "state-policy",
    "statepolicy",
    "udp-first",
    "udp-multiple",
    "udp-single",
    "source-track",
    "srctrack",
    "divert-to",
    "separator",
    "natreflection",
    "user",
    "sloppy",
    "nottagged",
    "if",
    "descr_hash",
    "pflow",
    "af",
    "bridgeto",
    "captiveportal",
];

/// Ranks of rules: `registerFilterRule` of OPNsense, and the three lists of pfSense's `filter_rules_generate`.
const FLOATING: u64 = 200_000;
const GROUP: u64 = 300_000;
const SINGLE: u64 = 400_000;

impl<'d> Lowering<'_, '_, 'd> {
    /// All rules that are written, in the order in which pf gets them.
    pub fn written_rules(&mut self) -> Vec<Step> {
        let root = self.root;
        // Rank, 0 for OPNsense's new form and 1 for the old one, number within.
        let mut ranked: Vec<(u64, u8, u64, Element<'d>)> = Vec::new();
        let section = root.at(&["OPNsense", "Firewall", "Filter", "rules"]).filter(|_| self.dialect == Dialect::Opnsense);
        for rule in section.into_iter().flat_map(|s| s.list("rule")) {
            let list = rule.value("interface");
            let names: Vec<&str> = list.as_ref().map(|l| parts(&l.text).collect()).unwrap_or_default();
            let rank = match names.as_slice() {
                [one] if self.ifaces.is_group(one) => GROUP + self.ifaces.sequence(one),
                [_] => SINGLE,
                _ => FLOATING,
            };
            let sequence = rule.value("sequence").and_then(|s| s.text.parse().ok()).unwrap_or(1);
            ranked.push((rank, 0, sequence, rule));
        }
        for rule in root.child("filter").into_iter().flat_map(|s| s.list("rule")) {
            let name = rule.value("interface");
            let rank = match &name {
                _ if rule.has("floating") => FLOATING,
                Some(name) if self.ifaces.is_group(&name.text) => GROUP + self.ifaces.sequence(&name.text),
                _ => SINGLE,
            };
            ranked.push((rank, 1, 0, rule));
        }
        // Within a rank the order of the file stays.
        ranked.sort_by_key(|(rank, form, number, _)| (*rank, *form, *number));
        let mut steps = Vec::new();
        for (_, form, _, rule) in ranked {
            if steps.len() >= self.most_steps {
                self.reader.incomplete(rule.tag_span(), LineState::Unsupported, "too many rules: nothing is lowered from here on");
                self.loses = true;
                break;
            }
            // A bar between rules in pfSense's list.
            if rule.has("separator") {
                continue;
            }
            steps.extend(self.rule(rule, form == 0));
        }
        steps
    }

    fn rule(&mut self, element: Element<'d>, new: bool) -> Option<Step> {
        let whole = element.span();
        let mut conditions = self.disabled_condition(element, new);
        let enabled = !(if new { element.value("enabled").is_some_and(|v| v.is(&["0"])) } else { self.is_disabled(element) });
        let kind = element.value(if new { "action" } else { "type" });
        let floating = !new && element.has("floating");
        let way = self.direction(element, floating);
        let on = self.rule_interfaces(element, floating, new);
        let name = element.value("interface");
        let single = name.as_ref().map(|n| n.text.to_string()).filter(|n| !n.contains(','));
        let (src, dst) = if new {
            (Side::flat(element, "source"), Side::flat(element, "destination"))
        } else {
            (Side::nested(element.child("source"), self.dialect), Side::nested(element.child("destination"), self.dialect))
        };
        let passes = kind.as_ref().is_none_or(|k| !k.is(&["block", "reject", "match"]));
        conditions.extend(self.conditions(element));
        let families = self.families(element);
        let mut any = Vec::new();
        for family in Family::BOTH.into_iter().filter(|f| families.contains(f)) {
            let mut all = vec![Match::Family(family)];
            all.extend(self.transport(element, family, &src, &dst, new));
            all.push(self.place(&src, Field::Src, family, single.as_deref()));
            all.push(self.place(&dst, Field::Dst, family, single.as_deref()));
            any.push(Match::all(all));
        }
        let flags = self.flags(element, passes);
        let matcher = Match::all([vec![simplify(any)], vec![flags], conditions].concat());
        let action = match &kind {
            Some(k) if k.is(&["block"]) => Action::Drop,
            Some(k) if k.is(&["reject"]) => Action::Reject("return".into()),
            Some(k) if k.is(&["match"]) => Action::Continue,
            Some(k) if !k.is(&["pass"]) && self.dialect == Dialect::Opnsense => {
                self.reader.note(k.span, LineState::Unrecognised, format!("`{}` is no action that is known", k.text));
                Action::Opaque(format!("the action {}", k.text).into())
            }
            // "default (for older rules) is pass": filter_generate_user_rule of pfSense.
            _ => match element.value("divert-to").filter(|_| new) {
                Some(to) => Action::Opaque(format!("divert-to {}", to.text).into()),
                None => Action::Accept,
            },
        };
        let log = if self.dialect == Dialect::Pfsense { element.has("log") } else { element.yes("log") };
        let comment = element.value("descr").or_else(|| element.value("description")).map(|d| d.text.into_owned());
        let rule = Rule { log, enabled, name: name_of(comment.as_deref()), comment, whole, ..Rule::new(matcher, action, telling(element)) };
        self.policy_routing(element, passes && enabled);
        let tag = element.value("tag").map(|t| self.tag(&t.text));
        let tagged = element.value("tagged").and_then(|t| self.tags.get(&*t.text)).copied();
        Some(Step { on, way, quick: self.quick(element, floating), rule, tag, tagged })
    }

    /// The direction: of interface rules it is "in", but for OPNsense, where each rule may say (`FilterRule.php`).
    fn direction(&self, element: Element<'d>, floating: bool) -> Way {
        let said = element.value("direction");
        match said {
            _ if self.dialect == Dialect::Pfsense && !floating => Way::In,
            Some(d) if d.is(&["out"]) => Way::Out,
            Some(d) if d.is(&["any", "both"]) => Way::Both,
            // pfSense writes a rule without a direction for one that says none, "in" for all others.
            None if self.dialect == Dialect::Pfsense => Way::Both,
            _ => Way::In,
        }
    }

    /// pfSense: every rule is quick, but for floating ones, which are if they have the element. OPNsense: what the element says, else as pfSense.
    fn quick(&self, element: Element<'d>, floating: bool) -> bool {
        match self.dialect {
            Dialect::Pfsense => !floating || element.has("quick"),
            Dialect::Opnsense => match element.child("quick") {
                Some(_) => element.yes("quick"),
                None => !floating,
            },
        }
    }

    fn rule_interfaces(&mut self, element: Element<'d>, floating: bool, new: bool) -> On {
        let Some(list) = element.value("interface") else {
            // Without an interface only a floating rule has a meaning; for others pfSense makes none.
            let unknown = !floating && !new && self.dialect == Dialect::Pfsense;
            return if unknown { On::These(Vec::new(), false) } else { On::Any };
        };
        let not = new && element.yes("interfacenot");
        let names: Vec<&str> = parts(&list.text).collect();
        if floating && names.contains(&"any") {
            return On::Any;
        }
        self.on(&names, not, list.span)
    }

    /// Without a family pfSense takes IPv4; OPNsense says none to pf, which then takes both.
    fn families(&self, element: Element<'d>) -> Vec<Family> {
        match element.value("ipprotocol") {
            Some(p) if p.is(&["inet6"]) => vec![Family::V6],
            Some(p) if p.is(&["inet46", "any"]) => vec![Family::V4, Family::V6],
            None if self.dialect == Dialect::Opnsense => vec![Family::V4, Family::V6],
            _ => vec![Family::V4],
        }
    }

    /// Protocol, ports and ICMP types.
    pub fn transport(&mut self, element: Element<'d>, family: Family, src: &Side<'d>, dst: &Side<'d>, new: bool) -> Vec<Match> {
        let word = element.value("protocol");
        let text = word.as_ref().map_or("", |w| &*w.text);
        let has_ports = src.port.is_some() || dst.port.is_some();
        let Some(mut protocols) = words::protocols(text, Some(family)) else {
            let span = word.as_ref().map_or(element.tag_span(), |w| w.span);
            return vec![self.opaque(&format!("protocol {text}"), span)];
        };
        // pfSense asks for TCP where a rule has ports and no protocol; OPNsense leaves the ports out.
        if protocols.is_empty() && has_ports && self.dialect == Dialect::Pfsense {
            protocols = vec![6];
        }
        let mut all = Vec::new();
        if !protocols.is_empty() {
            all.push(Match::Field(Field::Proto, Ranges::from_values(protocols.iter().map(|p| u128::from(*p)))));
        }
        if !protocols.is_empty() && protocols.iter().all(|p| matches!(p, 6 | 17)) {
            let one = match protocols.as_slice() {
                [one] => Some(*one),
                _ => None,
            };
            all.push(self.ports(src, Field::Sport, one));
            all.push(self.ports(dst, Field::Dport, one));
        }
        if matches!(protocols.as_slice(), [1] | [58]) {
            let icmp6 = element.value("icmp6-type").or_else(|| element.value("icmp6type"));
            let types =
                if family == Family::V6 { icmp6.or_else(|| element.value("icmptype").filter(|_| !new)) } else { element.value("icmptype") };
            if let Some(types) = types.filter(|t| !t.is(&["any"])) {
                all.push(match words::icmp_types(&types.text, family) {
                    Some(set) => Match::Field(Field::Icmp, set),
                    None => self.opaque(&format!("ICMP type {} ({})", types.text, family.name()), types.span),
                });
            }
        }
        all
    }

    /// TCP flags. pf itself asks for `S/SA` where a rule that passes keeps state; pfSense writes it into every rule for TCP alone.
    fn flags(&mut self, element: Element<'d>, passes: bool) -> Match {
        let of_tcp = element.value("protocol").is_some_and(|p| p.is(&["tcp"]));
        let stateless = element.value("statetype").is_some_and(|s| s.is(&["none", "no state"]));
        let any = if self.dialect == Dialect::Pfsense { element.has("tcpflags_any") } else { element.yes("tcpflags_any") };
        let wanted = match element.value("tcpflags2").filter(|_| of_tcp) {
            _ if of_tcp && any => None,
            Some(of) => {
                let set = element.value("tcpflags1");
                let bits = words::tcp_flags(&of.text).zip(words::tcp_flags(set.as_ref().map_or("", |s| &*s.text)));
                let Some(bits) = bits else { return self.opaque(&format!("TCP flags {}", of.text), of.span) };
                Some(bits)
            }
            None if of_tcp && self.dialect == Dialect::Pfsense => Some((SYN_ACK, SYN)),
            None if passes && !stateless => Some((SYN_ACK, SYN)),
            None => None,
        };
        match wanted {
            Some((of, set)) => super::chains::flags(of, set),
            None => Match::Any,
        }
    }

    /// What else a rule asks, as conditions: nothing is left out.
    fn conditions(&mut self, element: Element<'d>) -> Vec<Match> {
        let mut all = Vec::new();
        for name in ["os", "tos", "dscp", "prio", "vlanprio"] {
            if let Some(value) = element.value(name).filter(|v| !v.is(&["any", "none"])) {
                all.push(self.opaque(&format!("{name} {}", value.text), value.span));
            }
        }
        if let Some(schedule) = element.value("sched") {
            self.reader.device.names.used("schedule", &*schedule.text, schedule.span);
            all.push(self.opaque(&format!("the schedule {} is on", schedule.text), schedule.span));
        }
        if let Some(tag) = element.value("tagged") {
            let (text, not) = tag.text.strip_prefix('!').map_or((&*tag.text, false), |t| (t.trim(), true));
            let not = not || element.has("nottagged");
            let known = self.tags.get(text).copied();
            all.push(match known {
                Some(id) => Match::field(Field::Mark, Ranges::single(id), not),
                None => self.opaque(&format!("tagged {text}"), tag.span).negate_if(not),
            });
        }
        for child in element.children().filter(|c| !NEUTRAL.contains(&c.name())) {
            let text = child.text();
            if text.is_empty() && child.children().next().is_none() {
                continue;
            }
            let span = child.tag_span();
            self.reader.note(
                span,
                LineState::NotModelled,
                format!("<{}> in a rule is not known: whether it narrows the rule is open", child.name()),
            );
            all.push(self.opaque(&format!("<{}> of a rule holds: {text}", child.name()), span));
        }
        all
    }

    fn policy_routing(&mut self, element: Element<'d>, passes: bool) {
        let Some(gateway) = element.value("gateway").filter(|g| passes && !g.is(&["default"])) else { return };
        self.reader.device.names.used("gateway", &*gateway.text, gateway.span);
        // Those of DHCP and the like are defined by nobody.
        if !self.gateway_names.contains(&*gateway.text) {
            self.reader.device.names.define("gateway", &*gateway.text, gateway.span);
        }
        let text = format!("packets go to the gateway {}, whatever the routing table says: where they leave is not modelled", gateway.text);
        self.reader.note(gateway.span, LineState::NotModelled, text);
    }

    /// OPNsense asked for the presence of `<disabled>` at first, and later for something in it: an empty one is left open.
    fn disabled_condition(&mut self, element: Element<'d>, new: bool) -> Vec<Match> {
        let unclear = element.child("disabled").filter(|d| !new && self.dialect == Dialect::Opnsense && d.text().is_empty());
        unclear.map(|d| self.opaque("an empty <disabled> does not switch a rule off", d.span())).into_iter().collect()
    }

    pub fn is_disabled(&self, element: Element<'d>) -> bool {
        match self.dialect {
            Dialect::Pfsense => element.has("disabled"),
            Dialect::Opnsense => element.value("disabled").is_some_and(|v| !v.is(&["0"])),
        }
    }

    /// As [`Lowering::is_disabled`], for elements that may have `<enabled>` instead.
    pub fn switched_off(&self, element: Element<'d>) -> bool {
        self.is_disabled(element) || element.value("enabled").is_some_and(|v| v.is(&["0"]))
    }

    pub fn opaque(&mut self, text: &str, span: Span) -> Match {
        Match::Opaque(self.reader.device.conditions.intern(text, span))
    }

    /// The number of a tag.
    pub fn tag(&mut self, name: &str) -> u128 {
        let next = self.tags.len() as u128 + 1;
        *self.tags.entry(name.to_owned()).or_insert(next)
    }
}

pub(super) const SYN: u8 = 2;
pub(super) const SYN_ACK: u8 = 0x12;

/// What people call a rule: its description is what both show in their lists, and not the numbers that they give it.
pub(super) fn name_of(comment: Option<&str>) -> Option<String> {
    comment.map(|c| format!("\"{c}\""))
}

/// The part of a rule by which people know it: its description, else its interface or its action.
pub(super) fn telling(element: Element<'_>) -> Span {
    let described = ["descr", "description"].iter().find_map(|n| element.child(n).filter(|d| !d.text().is_empty()));
    let part = described.or_else(|| ["target", "interface", "type", "action"].iter().find_map(|n| element.child(n)));
    part.map_or(element.tag_span(), |p| p.span())
}

/// The alternatives of both families; what asks for nothing but the family is any packet.
fn simplify(any: Vec<Match>) -> Match {
    match any.as_slice() {
        [Match::Family(_), Match::Family(_)] => Match::Any,
        _ => Match::any_of(any),
    }
}
