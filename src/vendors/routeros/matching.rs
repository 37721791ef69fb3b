//! What a rule asks of a packet.
//!
//! Matchers: help.mikrotik.com, "Filter", "NAT", "Mangle", "RAW", "Common Firewall Matchers and Actions".

use std::collections::HashMap;

use super::lists::{self, Lists};
use super::tables::{Item, Value};
use crate::diag::LineState;
use crate::model::{Direction, Match};
use crate::net::{Family, Ranges, protocol_number};
use crate::packets::Field;
use crate::packets::fields::{addr_type, ct};
use crate::source::Span;
use crate::vendors::Reader;

/// What all rules share.
pub(super) struct Context<'a> {
    pub lists: &'a Lists,
    /// Numbers of the names of marks; 0 is no mark.
    pub marks: HashMap<String, u128>,
    /// Interfaces that may still be written into rules.
    pub budget: usize,
    /// What `ipsec-policy=in,ipsec` asks for.
    pub ipsec: Ipsec,
    /// Connections are not tracked: no state is known.
    pub untracked: bool,
    /// Packets of connections that are on the fast track, of the family at hand, and the rule that puts them there.
    pub fast: Option<(Match, Span)>,
}

/// Which packets come out of IPsec.
#[derive(Clone)]
pub(super) enum Ipsec {
    /// None: the file shows all, and nothing of IPsec.
    Nothing,
    /// Not known.
    Unknown,
}

/// Properties of a rule that ask nothing of a packet.
const NO_MATCH: &[&str] = &[
    "action",
    "address-list",
    "address-list-timeout",
    "chain",
    "comment",
    "disabled",
    "hw-offload",
    "jump-target",
    "log",
    "log-prefix",
    "new-connection-mark",
    "new-dscp",
    "new-mss",
    "new-packet-mark",
    "new-priority",
    "new-routing-mark",
    "new-ttl",
    "new-hop-limit",
    "passthrough",
    "place-before",
    "reject-with",
    "route-dst",
    "sniff-id",
    "sniff-target",
    "sniff-target-port",
    "to-addresses",
    "to-address",
    "to-ports",
    "#",
    "randomise-ports",
    "randomize-ports",
    "copy-from",
    "dynamic",
    "invalid",
    "bytes",
    "packets",
];

/// Matchers that are in no header, or not modelled.
const OPAQUE: &[&str] = &[
    "connection-bytes",
    "connection-limit",
    "connection-rate",
    "connection-type",
    "content",
    "dst-limit",
    "hotspot",
    "in-bridge-port",
    "in-bridge-port-list",
    "ingress-priority",
    "ipv4-options",
    "ipsec-policy",
    "layer7-protocol",
    "limit",
    "nth",
    "out-bridge-port",
    "out-bridge-port-list",
    "p2p",
    "per-connection-classifier",
    "priority",
    "psd",
    "random",
    "routing-mark",
    "routing-table",
    "tcp-mss",
    "time",
    "tls-host",
    "headers",
    "realm",
    "socket",
    "vlan-id",
    "flow",
];

/// Matchers that each rule asks anew: a rate has a state for each rule, and marks, priorities and options are changed by rules between.
const ANEW: &[&str] = &[
    "connection-limit",
    "connection-mark",
    "dst-limit",
    "ipv4-options",
    "limit",
    "nth",
    "packet-mark",
    "per-connection-classifier",
    "priority",
    "psd",
    "random",
    "realm",
    "routing-mark",
    "routing-table",
    "tcp-mss",
];

/// Matchers by which packets of one connection differ.
pub(super) const OF_ONE_PACKET: &[&str] = &["dscp", "fragment", "hop-limit", "packet-size", "tcp-flags", "ttl"];

fn opaque(reader: &mut Reader<'_>, name: &str, text: &str, value: &Value) -> Match {
    let conditions = &mut reader.device.conditions;
    Match::Opaque(if ANEW.contains(&name) { conditions.intern_afresh(text, value.span) } else { conditions.intern(text, value.span) })
}

impl Context<'_> {
    pub fn mark(&mut self, name: &str) -> u128 {
        if name == "no-mark" || name.is_empty() {
            return 0;
        }
        let next = self.marks.len() as u128 + 1;
        *self.marks.entry(name.to_owned()).or_insert(next)
    }

    /// All that a rule asks for.
    pub fn matcher(&mut self, reader: &mut Reader<'_>, rule: &Item, family: Family) -> Match {
        let mut parts = Vec::new();
        for (name, value) in rule.values() {
            if NO_MATCH.contains(&name) {
                continue;
            }
            let m = if value.computed { None } else { self.one(reader, rule, family, name, value) };
            parts.push(match m {
                Some(m) => m,
                None => {
                    let known = OPAQUE.contains(&name) || value.computed || value.text.is_empty() || KNOWN.contains(&name);
                    if !known {
                        reader.note(value.span, LineState::NotModelled, format!("the matcher {name} is not known: it may or may not hold"));
                    }
                    let (negated, text) = negation(&value.text);
                    opaque(reader, name, &format!("{name}={text}"), value).negate_if(negated)
                }
            });
        }
        Match::all(parts)
    }

    /// One matcher; `None` where it stays an opaque condition.
    fn one(&mut self, reader: &mut Reader<'_>, rule: &Item, family: Family, name: &str, value: &Value) -> Option<Match> {
        let (negated, text) = negation(&value.text);
        if text.is_empty() {
            return None;
        }
        let number = |field, lo: u128, hi: u128| Match::field(field, Ranges::interval(lo, hi), negated);
        Some(match name {
            "connection-state" if !self.untracked => {
                let states: Option<Vec<u128>> =
                    text.split(',').map(|s| ct::NAMES.iter().position(|n| *n == s).map(|p| p as u128)).collect();
                Match::Field(Field::Ct, Ranges::from_values(states?)).negate_if(negated)
            }
            "connection-nat-state" if !self.untracked => {
                let bits: Option<Vec<u128>> = text
                    .split(',')
                    .map(|s| match s {
                        "srcnat" => Some(1),
                        "dstnat" => Some(2),
                        _ => None,
                    })
                    .collect();
                let bits = bits?.into_iter().fold(0, |a, b| a | b);
                Match::Field(Field::CtNat, Ranges::from_values((0..4u128).filter(|v| v & bits != 0))).negate_if(negated)
            }
            "connection-mark" => {
                let mark = self.mark(text);
                // Only what belongs to a connection has a mark of one.
                Match::all(vec![Match::tracked(), Match::Field(Field::CtMark, Ranges::single(mark)).negate_if(negated)])
            }
            "packet-mark" => {
                let marks: Vec<u128> = text.split(',').map(|m| self.mark(m)).collect();
                Match::Field(Field::Mark, Ranges::from_values(marks)).negate_if(negated)
            }
            "src-address" | "dst-address" => {
                let field = if name == "src-address" { Field::Src } else { Field::Dst };
                Match::address(field, family, lists::addresses(family, text)?, negated)
            }
            "src-address-list" | "dst-address-list" => {
                let field = if name == "src-address-list" { Field::Src } else { Field::Dst };
                self.lists.address(reader, family, field, text, value.span).negate_if(negated)
            }
            "src-address-type" | "dst-address-type" => {
                let field = if name == "src-address-type" { Field::SrcType } else { Field::DstType };
                let kinds: Option<Vec<u128>> =
                    text.split(',').map(|s| addr_type::NAMES.iter().position(|n| *n == s).map(|p| p as u128)).collect();
                Match::Field(field, Ranges::from_values(kinds?)).negate_if(negated)
            }
            "in-interface" | "out-interface" => {
                let direction = if name == "in-interface" { Direction::In } else { Direction::Out };
                self.lists.interface(direction, text)?.negate_if(negated)
            }
            "in-interface-list" | "out-interface-list" => {
                let direction = if name == "in-interface-list" { Direction::In } else { Direction::Out };
                let mut budget = self.budget;
                let m = self.lists.on(reader, direction, text, value.span, &mut budget).negate_if(negated);
                self.budget = budget;
                m
            }
            "protocol" => Match::field(Field::Proto, Ranges::single(u128::from(protocol(text)?)), negated),
            "src-port" | "dst-port" | "port" | "any-port" => {
                // Without a protocol that has ports, RouterOS does not take the rule.
                let with_ports = rule.get("protocol").and_then(protocol).is_some_and(|p| [6, 17, 33, 132, 136].contains(&p));
                let set = ports(text).filter(|_| with_ports)?;
                match name {
                    "src-port" => Match::field(Field::Sport, set, negated),
                    "dst-port" => Match::field(Field::Dport, set, negated),
                    _ => {
                        let both = [Field::Sport, Field::Dport].map(|f| Match::field(f, set.clone(), negated)).to_vec();
                        if negated { Match::all(both) } else { Match::any_of(both) }
                    }
                }
            }
            "icmp-options" => {
                rule.get("protocol").filter(|p| matches!(*p, "icmp" | "icmpv6" | "1" | "58"))?;
                Match::field(Field::Icmp, icmp(text)?, negated)
            }
            "tcp-flags" => {
                rule.get("protocol").and_then(protocol).filter(|p| *p == 6)?;
                Match::Field(Field::TcpFlags, flags(&value.text)?)
            }
            "ttl" | "hop-limit" => {
                let (how, n) = text.split_once(':').unwrap_or(("equal", text));
                let n: u128 = n.parse().ok().filter(|n| *n <= 255)?;
                match how {
                    "equal" => number(Field::Ttl, n, n),
                    "not-equal" => number(Field::Ttl, n, n).negate_if(true),
                    "less-than" if n > 0 => number(Field::Ttl, 0, n - 1),
                    "greater-than" if n < 255 => number(Field::Ttl, n + 1, 255),
                    _ => return None,
                }
            }
            "packet-size" => {
                let (lo, hi) = text.split_once('-').unwrap_or((text, text));
                let (lo, hi): (u16, u16) = (lo.parse().ok()?, hi.parse().ok()?);
                (lo <= hi).then(|| number(Field::Length, lo.into(), hi.into()))?
            }
            "dscp" => {
                let n: u128 = text.parse().ok().filter(|n| *n < 64)?;
                number(Field::Dscp, n, n)
            }
            "src-mac-address" => {
                let octets: Option<Vec<u8>> = text.split(':').map(|o| u8::from_str_radix(o, 16).ok()).collect();
                let octets = octets.filter(|o| o.len() == 6)?;
                let n = octets.into_iter().fold(0u128, |n, o| (n << 8) | u128::from(o));
                Match::all(vec![Match::on_ethernet(), number(Field::SrcMac, n, n)])
            }
            "fragment" => {
                let yes = text == "yes" || text == "true";
                Match::Field(Field::Fragment, Ranges::single(2)).negate_if(!yes ^ negated)
            }
            "ipsec-policy" => match (&self.ipsec, text) {
                (Ipsec::Nothing, "in,ipsec" | "out,ipsec") => Match::Never.negate_if(negated),
                (Ipsec::Nothing, "in,none" | "out,none") => Match::Any.negate_if(negated),
                // `none` is the opposite of `ipsec`.
                (Ipsec::Unknown, "in,none") => opaque(reader, name, "ipsec-policy=in,ipsec", value).negate_if(!negated),
                (Ipsec::Unknown, "out,none") => opaque(reader, name, "ipsec-policy=out,ipsec", value).negate_if(!negated),
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// Matchers of [`Context::one`]: with a value that it does not take, they are opaque without a word.
const KNOWN: &[&str] = &[
    "any-port",
    "connection-mark",
    "connection-nat-state",
    "connection-state",
    "dscp",
    "dst-address",
    "dst-address-list",
    "dst-address-type",
    "dst-port",
    "fragment",
    "hop-limit",
    "icmp-options",
    "in-interface",
    "in-interface-list",
    "out-interface",
    "out-interface-list",
    "packet-mark",
    "packet-size",
    "port",
    "protocol",
    "src-address",
    "src-address-list",
    "src-address-type",
    "src-mac-address",
    "src-port",
    "tcp-flags",
    "ttl",
];

fn negation(text: &str) -> (bool, &str) {
    match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// Protocols by the names of RouterOS. Of `ipip` nothing says whether 4 or 94 is meant.
pub(super) fn protocol(name: &str) -> Option<u8> {
    match name {
        "ipsec-esp" => Some(50),
        "ipsec-ah" => Some(51),
        "udp-lite" => Some(136),
        "ipv6-encap" => Some(41),
        "icmpv6" => Some(58),
        "ipip" => None,
        _ => protocol_number(name),
    }
}

/// `80`, `80,443`, `5000-5010,22`.
pub(super) fn ports(text: &str) -> Option<Ranges> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let (lo, hi) = part.split_once('-').unwrap_or((part, part));
        let (lo, hi): (u16, u16) = (lo.trim().parse().ok()?, hi.trim().parse().ok()?);
        if lo > hi {
            return None;
        }
        out.push((u128::from(lo), u128::from(hi)));
    }
    Some(Ranges::from_intervals(out))
}

/// `8:0`, `3:0-15`, `8:0-255`, `3:4,11:0`, `8`.
fn icmp(text: &str) -> Option<Ranges> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let (kind, codes) = part.split_once(':').unwrap_or((part, "0-255"));
        let kind: u8 = kind.parse().ok()?;
        let (lo, hi) = codes.split_once('-').unwrap_or((codes, codes));
        let (lo, hi): (u8, u8) = (lo.parse().ok()?, hi.parse().ok()?);
        if lo > hi {
            return None;
        }
        let base = u128::from(kind) << 8;
        out.push((base | u128::from(lo), base | u128::from(hi)));
    }
    Some(Ranges::from_intervals(out))
}

/// `syn,!ack`: flags that are set, and flags that are not.
fn flags(text: &str) -> Option<Ranges> {
    let (mut mask, mut value) = (0u128, 0u128);
    for part in text.split(',') {
        let (negated, name) = negation(part);
        let bit = match name {
            "fin" => 1,
            "syn" => 2,
            "rst" => 4,
            "psh" => 8,
            "ack" => 16,
            "urg" => 32,
            "ece" => 64,
            "cwr" => 128,
            _ => return None,
        };
        mask |= bit;
        value |= if negated { 0 } else { bit };
    }
    Some(Ranges::from_values((0..256u128).filter(|f| f & mask == value)))
}
