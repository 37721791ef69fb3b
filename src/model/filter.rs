//! Chains of rules and the hooks on which they hang.

use std::sync::Arc;

use super::{Match, NamePattern};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;

/// Index of a chain in its device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChainId(pub u32);

/// Where a packet meets a device. A packet to the device passes ingress, prerouting, input; through it: ingress,
/// prerouting, forward, postrouting; from it: output, postrouting (Linux netfilter; other systems use the middle ones only).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hook {
    /// Before everything else, per network device.
    Ingress,
    /// Before the routing decision.
    Prerouting,
    /// To the device.
    Input,
    /// Through the device.
    Forward,
    /// From the device.
    Output,
    /// After the routing decision, on the way out.
    Postrouting,
}

impl Hook {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Ingress => "ingress",
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        }
    }
}

/// A chain of rules: first match decides.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Name as people know it, with its table where the format has tables: `filter/INPUT`, `inet filter/input`.
    pub name: String,
    /// Where it is defined.
    pub span: Span,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// A chain that packets enter at a hook.
#[derive(Clone, Debug)]
pub struct BaseChain {
    /// The chain.
    pub chain: ChainId,
    /// The hook.
    pub hook: Hook,
    /// Chains of one hook run in ascending order of priority (Linux `enum nf_ip_hook_priorities`: raw -300, conntrack -200,
    /// mangle -150, dstnat -100, filter 0, security 50, srcnat 100); equal ones in the order of this list.
    pub priority: i32,
    /// Which packets enter it.
    pub families: Vec<Family>,
    /// A NAT chain: only packets that open a connection enter it, and it decides about translation.
    pub nat: bool,
    /// What happens to packets that no rule decides about.
    pub policy: Policy,
    /// Only packets on these interfaces enter (nftables `netdev` ingress). Empty: all.
    pub devices: Vec<NamePattern>,
}

impl BaseChain {
    /// Whether it decides about packets of a hook: it hangs there, or it filters on arrival or departure, as pf does (priority 0 or more; what
    /// comes before that, Linux' tables raw and mangle, only prepares), and packets of the hook pass it.
    pub fn guards(&self, hook: Hook) -> bool {
        let beside = match hook {
            Hook::Input => self.hook == Hook::Prerouting,
            Hook::Forward => matches!(self.hook, Hook::Prerouting | Hook::Postrouting),
            Hook::Output => self.hook == Hook::Postrouting,
            _ => false,
        };
        !self.nat && (self.hook == hook || (beside && self.priority >= 0))
    }
}

/// What happens at the end of a base chain.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// What happens.
    pub action: PolicyAction,
    /// Where it is written; the chain's definition where it is a default.
    pub span: Span,
}

/// The possible policies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyAction {
    /// The packet goes on to the next base chain.
    Accept,
    /// The packet is dropped.
    Drop,
    /// The configuration does not say, and the default is not known.
    Unknown,
}

/// One line of a firewall's policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which packets.
    pub matcher: Match,
    /// What is changed in the packet before `action`, in order.
    pub effects: Vec<Effect>,
    /// What happens to the packet.
    pub action: Action,
    /// Whether it logs.
    pub log: bool,
    /// Disabled rules are kept for lints and decide nothing.
    pub enabled: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// What the firewall itself calls it, where it has a name or a number of its own (`policy 12`, `allow-web`).
    pub name: Option<String>,
    /// Nobody wrote this rule: the firewall makes it by itself, or another setting brings it about. What it is, in a few words
    /// (`anti-lockout rule`); `span` is what brings it about. Such rules decide like any others, and no lint blames them.
    pub implied: Option<&'static str>,
    /// No setting takes it away as long as the device does what it is configured for, and what it lets in the network cannot do without: answers
    /// to the device's own DHCP client (RFC 2131, RFC 8415), the ICMPv6 without which IPv6 does not work (RFC 4890, sections 4.3.1 and 4.4.1).
    /// It decides like any other rule, and no check finds fault with what it lets through.
    pub inherent: bool,
    /// Packets counted, where the export has counters.
    pub packets: Option<u64>,
    /// The rule (for several rules made of one written one, e.g. the elements of a verdict map: the part that is this).
    pub span: Span,
    /// The whole written rule.
    pub whole: Span,
}

impl Rule {
    /// An enabled rule without effects, log, comment or name.
    pub fn new(matcher: Match, action: Action, span: Span) -> Rule {
        Rule {
            matcher,
            effects: Vec::new(),
            action,
            log: false,
            enabled: true,
            comment: None,
            name: None,
            implied: None,
            inherent: false,
            packets: None,
            span,
            whole: span,
        }
    }

    /// A rule that nobody wrote, see [`Rule::implied`].
    pub fn implied(what: &'static str, matcher: Match, action: Action, span: Span) -> Rule {
        Rule { implied: Some(what), ..Rule::new(matcher, action, span) }
    }

    /// A rule that nobody wrote and nobody can take away, see [`Rule::inherent`].
    pub fn inherent(what: &'static str, matcher: Match, action: Action, span: Span) -> Rule {
        Rule { inherent: true, ..Rule::implied(what, matcher, action, span) }
    }
}

/// What a rule does to a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ends this base chain; the packet goes on to the next one of its way.
    Accept,
    /// Ends the packet, silently.
    Drop,
    /// Ends the packet with an answer (TCP reset, ICMP error); the text says which.
    Reject(String),
    /// Back to the calling chain; in a base chain: to its policy.
    Return,
    /// Calls a chain and comes back after its last rule or `Return`.
    Jump(ChainId),
    /// Continues in a chain; its end and its `Return` go to where the current chain would have returned.
    Goto(ChainId),
    /// The next rule (log, count, mark).
    Continue,
    /// Translates the connection and ends this base chain as `Accept` does.
    Nat(Translation),
    /// Not modelled: the packet may be accepted, dropped, or go on. The text says what it is (`QUEUE`, an undefined jump).
    Opaque(Arc<str>),
}

impl Action {
    pub(super) fn renumber(&mut self, base: u32) {
        if let Action::Jump(c) | Action::Goto(c) = self {
            c.0 += base;
        }
    }
}

/// Address translation of a connection's first packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Translation {
    /// Which side.
    pub kind: NatKind,
    /// The new addresses with their family; `None` keeps the address (or, for masquerade and redirect, takes the interface's).
    pub addresses: Option<(Family, Ranges)>,
    /// For prefix-to-prefix translation (NETMAP, `dnat prefix to`): host bits are kept, and `addresses` is one prefix.
    pub keep_host_bits: bool,
    /// The new ports; `None` keeps the port.
    pub ports: Option<Ranges>,
    /// Something in it is not modelled (a map by key, an unknown option): the result may be any address or port.
    pub unknown: bool,
}

/// Kinds of translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatKind {
    /// New destination.
    Destination,
    /// New source.
    Source,
    /// New source: the address of the departure interface.
    Masquerade,
    /// New destination: this device itself.
    Redirect,
}

/// A change of the packet that later rules can see.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The field gets this value.
    Set(Field, u128),
    /// The bits of `mask` of the field get the value `value`; the others stay.
    SetBits {
        /// The field.
        field: Field,
        /// The bits that change.
        mask: u128,
        /// Their new value.
        value: u128,
        /// Combine by exclusive or instead of replacing (xtables `--set-xmark`: zero `mask`, xor `value`).
        xor: bool,
    },
    /// The field gets the value of another field (save-mark, restore-mark).
    Copy {
        /// Where from.
        from: Field,
        /// Where to.
        to: Field,
    },
    /// The field gets a value that is not known.
    Unknown(Field),
    /// The connection is exempt from tracking. Has an effect only before connection tracking (priority below -200).
    Untrack,
}
