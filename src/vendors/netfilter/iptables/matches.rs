//! Options of the match modules that the model can say exactly.

use std::sync::Arc;

use super::rule::RuleReader;
use super::values;
use crate::diag::LineState;
use crate::model::{Bits, Match};
use crate::net::{Ranges, icmp4_type, icmp6_type, protocol_number};
use crate::packets::Field;
use crate::packets::fields::{PORT_PROTOCOLS, addr_type, ct};

impl<'t> RuleReader<'t, '_, '_, '_> {
    /// An option of a module of [`super::modules::Precision::Exact`].
    pub(super) fn exact(&mut self, module: &'static str, option: &'static str, attached: Option<&'t str>, mut negated: bool) {
        match option {
            "syn" => {
                self.transport_used();
                return self.tcp_flags(0x17, 0x02, negated);
            }
            "limit-iface-in" | "limit-iface-out" | "return-nomatch" | "update-counters" | "update-subcounters" | "socket-exists"
            | "suppl-groups" => {
                // The two that update counters change nothing but counters; the others have no argument and are not modelled.
                if !option.starts_with("update") {
                    self.opaque_option(module, option, negated);
                }
                return;
            }
            _ => {}
        }
        let Some(value) = self.argument(attached, &mut negated) else {
            return self.bad_value(module, option, "", negated);
        };
        let done = match (module, option) {
            ("comment", _) => {
                self.comment = Some(match self.comment.take() {
                    Some(before) => format!("{before}; {value}"),
                    None => value.to_owned(),
                });
                true
            }
            ("tcp", "tcp-flags") => {
                let wanted = self.argument(None, &mut negated).unwrap_or("");
                match (values::tcp_flags(value), values::tcp_flags(wanted)) {
                    (Some(mask), Some(wanted)) => {
                        self.transport_used();
                        self.tcp_flags(mask, wanted, negated);
                        true
                    }
                    _ => false,
                }
            }
            ("tcp" | "udp" | "udplite" | "sctp" | "dccp", "sport" | "source-port" | "dport" | "destination-port") => {
                let field = if option.starts_with('s') { Field::Sport } else { Field::Dport };
                match (values::port_range(value, ':', self.protocol), self.protocol) {
                    // Every port: no more than asking for the module.
                    (Some(ports), Some(_)) if ports.count() == 1 << 16 && !negated => {
                        self.transport_asked();
                        true
                    }
                    (Some(ports), Some(_)) => {
                        self.transport_used();
                        self.push(Match::field(field, ports, negated))
                    }
                    _ => false,
                }
            }
            ("multiport", _) => self.multiport(option, value, negated),
            ("icmp" | "icmp6", _) => {
                self.transport_used();
                self.icmp(module, value, negated)
            }
            ("iprange", _) => match values::address_range(value, self.context.family) {
                Some(set) => {
                    let field = if option == "src-range" { Field::Src } else { Field::Dst };
                    self.push(Match::address(field, self.context.family, set, negated))
                }
                None => false,
            },
            ("state", _) | ("conntrack", "ctstate") => self.state(module == "conntrack", value, negated),
            ("set", "match-set" | "set") => {
                let flags = self.argument(None, &mut negated).unwrap_or("");
                self.set(value, flags, negated)
            }
            ("addrtype", _) => self.address_type(option, value, negated),
            ("mac", _) => {
                self.parts.push(Match::on_ethernet());
                self.field(Field::SrcMac, values::mac(value).map(Ranges::single), negated)
            }
            ("mark" | "connmark", _) => {
                let field = if module == "mark" { Field::Mark } else { Field::CtMark };
                if module == "connmark" {
                    // Without a connection there is no mark that could be or not be this one (`connmark_mt` in xt_connmark.c).
                    self.parts.push(Match::tracked());
                }
                match values::int_mask(value) {
                    None => false,
                    Some((v, m)) => match values::masked(v.into(), m.into(), 32) {
                        Some(set) => self.push(Match::field(field, set, negated)),
                        None => {
                            let bits = Bits { field, mask: m.into(), value: v.into() };
                            self.opaque_bits(module, &format!("mark {v:#x}/{m:#x}"), negated, Some(bits));
                            true
                        }
                    },
                }
            }
            ("length", _) => self.field(Field::Length, values::int_range(value, ':', 65535), negated),
            ("ttl" | "hl", _) => {
                let set = values::int(value).filter(|n| *n <= 255).map(|n| match option {
                    "ttl-lt" | "hl-lt" => n.checked_sub(1).map_or(Ranges::EMPTY, |m| Ranges::interval(0, m.into())),
                    "ttl-gt" | "hl-gt" => Ranges::interval(u128::from(n) + 1, 255),
                    _ => Ranges::single(n.into()),
                });
                self.field(Field::Ttl, set, negated)
            }
            ("dscp", _) => {
                let n = if option == "dscp" { values::int(value).and_then(|n| u8::try_from(n).ok()) } else { values::dscp_class(value) };
                self.field(Field::Dscp, n.filter(|n| *n < 64).map(|n| Ranges::single(n.into())), negated)
            }
            ("tos", _) => match values::tos(value) {
                None => false,
                // The two low bits are those of congestion notification, which the model does not have.
                Some((v, m)) if m & 3 == 0 && v & 3 == 0 => {
                    self.field(Field::Dscp, values::masked((v >> 2).into(), (m >> 2).into(), 6), negated)
                }
                Some((v, m)) => {
                    self.opaque_option("tos", &format!("tos {v:#04x}/{m:#04x}"), negated);
                    true
                }
            },
            ("pkttype", _) => {
                let n = match value.to_ascii_lowercase().as_str() {
                    "unicast" | "host" => Some(0),
                    "broadcast" => Some(1),
                    "multicast" => Some(2),
                    "otherhost" => Some(3),
                    _ => None,
                };
                self.field(Field::PktType, n.map(Ranges::single), negated)
            }
            ("owner", "uid-owner" | "gid-owner") => match values::int_range(value, '-', u32::MAX) {
                Some(set) => self.push(Match::field(if option == "uid-owner" { Field::Uid } else { Field::Gid }, set, negated)),
                None => {
                    self.opaque_option(module, &format!("{option} {value}"), negated);
                    true
                }
            },
            ("conntrack", _) => {
                // The same condition in its different spellings (`:4`, `0:4`) is one condition.
                let max = if option.ends_with("port") { 65535 } else { u32::MAX };
                let range = if option.ends_with("port") || option == "ctexpire" { values::int_range(value, ':', max) } else { None };
                let value = match range.as_ref().map(|r| r.intervals()) {
                    Some(&[(lo, hi)]) if lo == hi => lo.to_string(),
                    Some(&[(lo, hi)]) => format!("{lo}:{hi}"),
                    _ if option == "ctproto" => protocol_number(value).map_or_else(|| value.to_owned(), |n| n.to_string()),
                    _ => value.to_owned(),
                };
                self.opaque_option(module, &format!("{option} {value}"), negated);
                true
            }
            _ => {
                self.opaque_option(module, &format!("{option} {value}"), negated);
                true
            }
        };
        if !done {
            self.bad_value(module, option, value, negated);
        }
    }

    fn push(&mut self, m: Match) -> bool {
        self.parts.push(m);
        true
    }

    fn field(&mut self, field: Field, set: Option<Ranges>, negated: bool) -> bool {
        match set {
            Some(set) => self.push(Match::field(field, set, negated)),
            None => false,
        }
    }

    fn tcp_flags(&mut self, mask: u8, wanted: u8, negated: bool) {
        let set = self
            .shared
            .flags
            .entry((mask, wanted, negated))
            .or_insert_with(|| Ranges::from_values((0..=255u8).filter(|f| (f & mask == wanted) != negated).map(u128::from)))
            .clone();
        self.parts.push(Match::Field(Field::TcpFlags, set));
    }

    fn multiport(&mut self, option: &str, value: &str, negated: bool) -> bool {
        let Some(protocol) = self.protocol.filter(|p| PORT_PROTOCOLS.contains(&u128::from(*p))) else { return false };
        let Some(ports) = values::port_list(value, Some(protocol)) else { return false };
        let one = |field| Match::field(field, ports.clone(), negated);
        let m = match option {
            "sports" | "source-ports" => one(Field::Sport),
            "dports" | "destination-ports" => one(Field::Dport),
            // One of the two; negated: neither (`ports_match_v1` in xt_multiport.c).
            _ if negated => Match::All(vec![one(Field::Sport), one(Field::Dport)]),
            _ => Match::AnyOf(vec![one(Field::Sport), one(Field::Dport)]),
        };
        self.push(m)
    }

    fn icmp(&mut self, module: &str, value: &str, negated: bool) -> bool {
        let all = Ranges::interval(0, 0xffff);
        let set = if value.eq_ignore_ascii_case("any") {
            Some(all)
        } else if module == "icmp6" {
            icmp_set(icmp6_type(value).map(|c| (c.icmp_type, c.first, c.last)), value)
        } else {
            // Type 255 stands for every type (`icmp_type_code_match` in ip_tables.c).
            let set = icmp_set(icmp4_type(value).map(|c| (c.icmp_type, c.first, c.last)), value);
            set.map(|s| if s.min().is_some_and(|m| m >> 8 == 255) { all } else { s })
        };
        self.field(Field::Icmp, set, negated)
    }

    fn state(&mut self, with_nat: bool, value: &str, negated: bool) -> bool {
        let (mut states, mut nat) = (Vec::new(), 0u128);
        for name in value.split(',') {
            match name.to_ascii_uppercase().as_str() {
                "NEW" => states.push(ct::NEW),
                "ESTABLISHED" => states.push(ct::ESTABLISHED),
                "RELATED" => states.push(ct::RELATED),
                "INVALID" => states.push(ct::INVALID),
                "UNTRACKED" => states.push(ct::UNTRACKED),
                "SNAT" if with_nat => nat |= 1,
                "DNAT" if with_nat => nat |= 2,
                _ => return false,
            }
        }
        let states = Ranges::from_values(states);
        let m = if nat == 0 {
            Match::field(Field::Ct, states, negated)
        } else {
            // The translation bits count like further states (`conntrack_mt` in xt_conntrack.c).
            let bits = Ranges::from_values((0..4).filter(|n| n & nat != 0));
            let translated = Match::All(vec![Match::tracked(), Match::Field(Field::CtNat, bits)]);
            if negated {
                Match::all(vec![Match::field_not(Field::Ct, &states), translated.negate_if(true)])
            } else if states.is_empty() {
                translated
            } else {
                Match::AnyOf(vec![Match::Field(Field::Ct, states), translated])
            }
        };
        self.push(m)
    }

    /// `--match-set NAME src,dst`. The flags say a direction only; what is taken from the packet in that direction
    /// (address, port, interface) is a matter of the set's type, hence of each element's values.
    fn set(&mut self, name: &str, flags: &str, negated: bool) -> bool {
        let fields: Option<Vec<Field>> = flags
            .split(',')
            .map(|f| match f {
                "src" => Some(Field::Src),
                "dst" => Some(Field::Dst),
                _ => None,
            })
            .collect();
        let Some(fields) = fields else { return false };
        if name.contains('$') {
            let m = self.opaque(
                LineState::Unsupported,
                &format!("set --match-set {name} {flags}"),
                negated,
                &format!("set `{name}` is not a plain name"),
            );
            return self.push(m);
        }
        let set: Arc<str> = format!("ipset/{name}").into();
        self.push(Match::InSet { set, fields, span: self.context.span }.negate_if(negated))
    }

    fn address_type(&mut self, option: &str, value: &str, negated: bool) -> bool {
        let field = if option == "src-type" { Field::SrcType } else { Field::DstType };
        let numbers: Option<Vec<u128>> =
            value.split(',').map(|n| addr_type::NAMES.iter().position(|t| t.eq_ignore_ascii_case(n)).map(|i| i as u128)).collect();
        self.field(field, numbers.map(Ranges::from_values), negated)
    }
}

/// Types and codes as numbers; `type/first:last` is read here, everything else came as `known`.
fn icmp_set(known: Option<(u8, u8, u8)>, value: &str) -> Option<Ranges> {
    let (t, first, last) = match known {
        Some(k) => k,
        None => {
            let (t, codes) = value.split_once('/')?;
            let (first, last) = codes.split_once(':')?;
            (t.parse().ok()?, first.parse().ok()?, last.parse().ok()?)
        }
    };
    let base = u128::from(t) << 8;
    (first <= last).then(|| Ranges::interval(base | u128::from(first), base | u128::from(last)))
}
