//! Comparisons to matches.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::ast::{Cmp, Elem, Expr, Kind, Op, Sel};
use super::commands::flatten;
use super::values::{CT_BITS, Info, Ty, constant, info, interface, interfaces, operate, ranges, to_model};
use crate::model::{Bits, Conditions, Direction, Match};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::PORT_PROTOCOLS;
use crate::source::Span;

/// At most so many intervals for a masked number; beyond that the match is opaque.
const MASK_INTERVALS: u32 = 64;

/// What a comparison needs to know of its table.
pub struct Scope<'x> {
    /// `inet filter`.
    pub name: &'x str,
    /// The family of all packets, if it is but one.
    pub only: Option<Family>,
    /// Named sets that are modelled, with their model names.
    pub sets: &'x HashMap<String, Arc<str>>,
    /// Named sets that are not modelled: their types are not.
    pub unmodelled: &'x HashMap<String, Span>,
    /// Opaque conditions of the device.
    pub conditions: &'x mut Conditions,
    /// Elements and values that may still be looked at, see [`crate::source::Limits::expanded_rules`].
    pub budget: &'x mut usize,
    /// Texts of matches that were not modelled, for notes.
    pub opaque: &'x mut Vec<String>,
    /// Sets of many intervals that are in use: `icmp code 1` is 256 intervals, and need be held but once.
    pub shared: &'x mut HashSet<Ranges>,
}

impl<'x> Scope<'x> {
    /// An opaque condition.
    pub fn condition(&mut self, text: &str, scoped: bool, span: Span) -> Match {
        let text = if scoped || text.contains('@') { Cow::Owned(format!("{text} ({})", self.name)) } else { Cow::Borrowed(text) };
        self.opaque.push(text.clone().into_owned());
        Match::Opaque(self.conditions.intern(&text, span))
    }

    /// An opaque condition whose answer may be another one when another rule asks the same.
    pub fn passing_condition(&mut self, text: &str, scoped: bool, span: Span) -> Match {
        let text = if scoped || text.contains('@') { Cow::Owned(format!("{text} ({})", self.name)) } else { Cow::Borrowed(text) };
        let id = self.conditions.intern_afresh(&text, span);
        if let Some(answer) = (!scoped).then(|| super::defaults::at_rest(&text)).flatten() {
            self.conditions.set_at_rest(id, answer);
        }
        // The note says what is written; the number that tells conditions of one text apart is for the analysis.
        self.opaque.push(text.into_owned());
        Match::Opaque(id)
    }

    fn info(&self, sel: &Sel<'_>) -> Info {
        info(sel, self.only)
    }

    /// What reading this expression implies: `tcp dport` is read of TCP only.
    pub fn implied(&self, e: &Expr<'_>, out: &mut Vec<Match>) {
        match &e.peel().kind {
            Kind::Sel(sel) => {
                let info = self.info(sel);
                let mut add = |m: Match| {
                    if !out.contains(&m) {
                        out.push(m);
                    }
                };
                if info.never {
                    add(Match::Never);
                }
                match sel {
                    // Without a connection there is nothing to read: the rule ends (`nft_ct_get_eval` in nft_ct.c).
                    Sel::Ct(_, key) if matches!(&**key, "mark" | "status") => add(Match::tracked()),
                    // nft asks for the device's type first (`meta iiftype ether`).
                    Sel::Payload(proto, _) if proto == "ether" => add(Match::on_ethernet()),
                    _ => {}
                }
                if let Some(f) = info.family
                    && self.only != Some(f)
                {
                    add(Match::Family(f));
                }
                if let Some(p) = info.proto {
                    add(Match::Field(Field::Proto, Ranges::single(p.into())));
                }
                // nft asks for the types that have such a field (proto.c, icmp dependencies): echo request and reply.
                if let Sel::Payload(proto, field) = sel
                    && (field == "id" || field == "sequence")
                {
                    let raw = match &**proto {
                        "icmp" => Ranges::from_values([0, 8]),
                        "icmpv6" => Ranges::from_values([128, 129]),
                        _ => return,
                    };
                    add(Match::Field(Field::Icmp, to_model(Ty::IcmpType(Family::V4), &raw)));
                }
            }
            Kind::Concat(v) => v.iter().for_each(|x| self.implied(x, out)),
            Kind::Bin(_, a, b) => {
                self.implied(a, out);
                self.implied(b, out);
            }
            Kind::Map(k, _) => self.implied(k, out),
            _ => {}
        }
    }

    /// The match of a comparison, with what it implies.
    pub fn compare(&mut self, left: &Expr<'_>, cmp: Cmp, right: &Expr<'_>, span: Span) -> Match {
        let mut parts = Vec::new();
        self.implied(left, &mut parts);
        match self.exact(left, cmp, right) {
            // An address says its family by itself.
            Some(Match::Address(field, family, set)) => {
                parts.retain(|m| *m != Match::Family(family));
                parts.push(Match::Address(field, family, set));
            }
            Some(Match::All(inner)) => parts.extend(inner),
            Some(m) => parts.push(m),
            None => parts.push(self.opaque(left, cmp, right, span)),
        }
        Match::all(parts)
    }

    /// `th dport` is read of any transport header, also of those that have no ports: what stands there is not modelled. `m` is what
    /// packets with ports are asked; gives back what all packets are.
    pub fn any_transport(&mut self, m: Match, text: &str, span: Span) -> Match {
        let ports = Ranges::from_values(PORT_PROTOCOLS);
        // The raw spelling is the same question; nft itself prints it so.
        let text = &text.replace("@th,16,16", "th dport").replace("@th,0,16", "th sport");
        let others = vec![Match::Field(Field::Proto, ports.complement(255)), self.condition(text, false, span)];
        Match::any_of(vec![m, Match::All(others)])
    }

    /// ICMP of the other family, where the rule has asked for the protocol itself and nft therefore not for the family (proto.c): the kernel
    /// reads a type from whatever there is. Packets of this kind are no traffic, hence no note.
    pub fn foreign_icmp(&mut self, m: Match, other: Family, text: &str, span: Span) -> Match {
        let text = format!("{text} of an {} packet", other.name());
        let reads = Match::Opaque(self.conditions.intern(&text, span));
        Match::any_of(vec![m, Match::All(vec![Match::Family(other), reads])])
    }

    fn opaque(&mut self, left: &Expr<'_>, cmp: Cmp, right: &Expr<'_>, span: Span) -> Match {
        let mut what = left.text();
        if what == "rt nexthop"
            && let Some(f) = self.only
        {
            what = format!("rt {} nexthop", if f == Family::V4 { "ip" } else { "ip6" });
        }
        let (operator, mut negated) = match cmp {
            Cmp::Implicit | Cmp::Eq => (" ", false),
            Cmp::Ne => (" ", true),
            Cmp::Lt => (" < ", false),
            Cmp::Gt => (" > ", false),
            Cmp::Le => (" <= ", false),
            Cmp::Ge => (" >= ", false),
            Cmp::Without => (" ! ", false),
        };
        let mut value = right.text();
        // A route or a header that is there or not, in its several spellings.
        if what.starts_with("fib ") && value == "0" {
            value = "missing".to_owned();
        }
        // nft prints the group 0 by its name in `/etc/iproute2/group`.
        if what.ends_with("group") && value == "default" {
            value = "0".to_owned();
        }
        let value = match &*value {
            "false" | "missing" => {
                negated = !negated;
                "exists".to_owned()
            }
            "true" => "exists".to_owned(),
            _ => value,
        };
        let text = format!("{what}{operator}{value}");
        let asked = if self.may_change(left) || self.may_change(right) {
            self.passing_condition(&text, false, span)
        } else {
            self.condition(&text, false, span)
        };
        if let (Match::Opaque(id), " ", Some(bits)) = (&asked, operator, self.mark_bits(left, right)) {
            self.conditions.set_bits(*id, bits);
        }
        asked.negate_if(negated)
    }

    /// The bits of a mark that `meta mark & 0x1 == 0x1` asks for.
    fn mark_bits(&self, left: &Expr<'_>, right: &Expr<'_>) -> Option<Bits> {
        let mut sel = None;
        only_selector(left.peel(), &mut sel)?;
        let info = self.info(sel?);
        let field = info.field.filter(|f| matches!(f, Field::Mark | Field::CtMark))?;
        let number = |e: &Expr<'_>| constant(info.ty, None, e);
        let (mask, flip) = fold(left.peel(), &|e| matches!(e.peel().kind, Kind::Sel(_)), &number, info.ty.max())?;
        Some(Bits { field, mask, value: constant(info.ty, None, right)? ^ flip })
    }

    /// Whether what is read may be something else for the next rule that reads it: what rules can change, and what is drawn by lot or counted
    /// (`numgen`).
    fn may_change(&self, e: &Expr<'_>) -> bool {
        match &e.peel().kind {
            Kind::Sel(Sel::Other(text)) => text.starts_with("numgen"),
            Kind::Sel(Sel::Meta(key)) if key == "random" => true,
            Kind::Sel(sel) => matches!(
                self.info(sel).field,
                Some(
                    Field::Mark
                        | Field::CtMark
                        | Field::Dscp
                        | Field::Ttl
                        | Field::Src
                        | Field::Dst
                        | Field::Sport
                        | Field::Dport
                        | Field::Ct
                        | Field::CtNat
                )
            ),
            Kind::Bin(_, a, b) => self.may_change(a) || self.may_change(b),
            Kind::Concat(parts) => parts.iter().any(|p| self.may_change(p)),
            Kind::Map(k, _) => self.may_change(k),
            _ => false,
        }
    }

    /// The comparison itself, if the model can say it.
    fn exact(&mut self, left: &Expr<'_>, cmp: Cmp, right: &Expr<'_>) -> Option<Match> {
        match &left.peel().kind {
            Kind::Sel(sel) => self.simple(sel, cmp, right),
            Kind::Concat(keys) => self.concat(keys, cmp, right),
            Kind::Bin(..) => self.bits(left.peel(), cmp, right),
            _ => None,
        }
    }

    fn simple(&mut self, sel: &Sel<'_>, cmp: Cmp, right: &Expr<'_>) -> Option<Match> {
        let info = self.info(sel);
        if let Sel::Other(text) = sel {
            return fragment_header(text, cmp, right);
        }
        if let Kind::SetRef(name) = &right.peel().kind {
            let m = self.in_set(&[info], name, right.span)?;
            return Some(match cmp {
                Cmp::Eq | Cmp::Implicit => m,
                Cmp::Ne => Match::all(vec![present(info), m.negate_if(true)]),
                _ => return None,
            });
        }
        let negated = cmp == Cmp::Ne;
        let equality = matches!(cmp, Cmp::Eq | Cmp::Implicit | Cmp::Ne);
        match info.ty {
            Ty::Iface(direction, by_index) => {
                let names = interfaces(right, by_index, self.budget).filter(|_| equality)?;
                let any = Match::any_of(names.into_iter().map(|n| Match::Interface(direction, n)).collect());
                Some(any.negate_if(negated))
            }
            Ty::EtherType | Ty::NfProto | Ty::Version if equality => {
                let values = ranges(info.ty, None, right, self.budget)?;
                let (v4, v6) = match info.ty {
                    Ty::EtherType => (0x800, 0x86dd),
                    Ty::NfProto => (2, 10),
                    _ => (4, 6),
                };
                let (v4, v6) = (values.contains(v4) != negated, values.contains(v6) != negated);
                Some(match (v4, v6, self.only) {
                    (true, true, _) | (true, _, Some(Family::V4)) | (_, true, Some(Family::V6)) => Match::Any,
                    (true, false, None) => Match::Family(Family::V4),
                    (false, true, None) => Match::Family(Family::V6),
                    _ => Match::Never,
                })
            }
            Ty::CtStatus if matches!(cmp, Cmp::Implicit | Cmp::Without) => {
                let bits = constant(info.ty, None, right)?;
                status(|v| (v & bits != 0) == (cmp == Cmp::Implicit), bits)
            }
            Ty::FragOff | Ty::Other | Ty::CtStatus | Ty::EtherType | Ty::NfProto | Ty::Version => None,
            ty => {
                let is_set = matches!(right.peel().kind, Kind::Set(_));
                let raw = if ty.is_bitmask() && !is_set && matches!(cmp, Cmp::Implicit | Cmp::Without) {
                    let bits = constant(ty, info.proto, right)?;
                    Ranges::from_values((0..=ty.max()).filter(|v| (v & bits != 0) == (cmp == Cmp::Implicit)))
                } else {
                    related(cmp, ranges(ty, info.proto, right, self.budget)?, ty.max())?
                };
                self.field_match(info, &raw)
            }
        }
    }

    /// Membership of a named set; `None` if a key or the set is not modelled.
    fn in_set(&mut self, infos: &[Info], name: &str, span: Span) -> Option<Match> {
        if self.unmodelled.contains_key(name) {
            return None;
        }
        let fields: Option<Vec<Field>> = infos.iter().map(|i| i.field.filter(|_| !matches!(i.ty, Ty::FragOff | Ty::CtStatus))).collect();
        let set = match self.sets.get(name) {
            Some(known) => known.clone(),
            None => Arc::from(format!("{}/{name}", self.name)),
        };
        Some(Match::InSet { set, fields: fields?, span })
    }

    fn concat(&mut self, keys: &[Expr<'_>], cmp: Cmp, right: &Expr<'_>) -> Option<Match> {
        let negated = match cmp {
            Cmp::Eq | Cmp::Implicit => false,
            Cmp::Ne => true,
            _ => return None,
        };
        let infos: Option<Vec<Info>> = keys
            .iter()
            .map(|k| match &k.peel().kind {
                Kind::Sel(sel) => Some(self.info(sel)),
                _ => None,
            })
            .collect();
        let infos = infos?;
        let m = match &right.peel().kind {
            Kind::SetRef(name) => self.in_set(&infos, name, right.span)?,
            _ => {
                let mut elems: Vec<Elem<'_>> = Vec::new();
                flatten(right, self.budget, &mut |x| elems.push(x.into_owned()));
                if *self.budget == 0 {
                    return None;
                }
                let each: Option<Vec<Match>> = elems.iter().map(|x| self.components(&infos, &x.key)).collect();
                Match::any_of(each?)
            }
        };
        if !negated {
            return Some(m);
        }
        let mut parts: Vec<Match> = infos.iter().map(|i| present(*i)).collect();
        parts.push(m.negate_if(true));
        Some(Match::all(parts))
    }

    /// `10.0.0.1 . 22` against the parts of a concatenation.
    fn components(&mut self, infos: &[Info], e: &Expr<'_>) -> Option<Match> {
        if matches!(e.peel().kind, Kind::Any) {
            return Some(Match::Any);
        }
        let Kind::Concat(values) = &e.peel().kind else { return None };
        if values.len() != infos.len() {
            return None;
        }
        let parts: Option<Vec<Match>> = infos.iter().zip(values).map(|(i, v)| self.equals(*i, v)).collect();
        parts.map(Match::all)
    }

    /// A value that a field has, exactly.
    fn equals(&mut self, info: Info, e: &Expr<'_>) -> Option<Match> {
        if matches!(e.peel().kind, Kind::Any) {
            return Some(Match::Any);
        }
        match info.ty {
            Ty::Iface(direction, by_index) => interface(e, by_index).map(|n| Match::Interface(direction, n)),
            Ty::EtherType | Ty::NfProto | Ty::Version | Ty::FragOff | Ty::CtStatus | Ty::Other => None,
            ty => {
                let raw = ranges(ty, info.proto, e, self.budget)?;
                self.field_match(info, &raw)
            }
        }
    }

    /// Whether the key of a map has this element's value: without what the key implies.
    pub fn element(&mut self, key: &Expr<'_>, elem: &Expr<'_>, span: Span) -> Match {
        let key = key.peel();
        let found = match &key.kind {
            Kind::Sel(sel) => {
                let info = self.info(sel);
                match info.ty {
                    Ty::EtherType | Ty::NfProto | Ty::Version => self.simple(sel, Cmp::Eq, elem),
                    _ => self.equals(info, elem),
                }
            }
            _ => self.exact(key, Cmp::Eq, elem),
        };
        found.unwrap_or_else(|| self.opaque(key, Cmp::Eq, elem, span))
    }

    fn field_match(&mut self, info: Info, raw: &Ranges) -> Option<Match> {
        if let Ty::Addr(family) = info.ty {
            return Some(Match::Address(info.field?, family, raw.clone()));
        }
        let set = to_model(info.ty, raw);
        let set = match self.shared.get(&set) {
            Some(known) => known.clone(),
            None => {
                if set.intervals().len() > 8 {
                    self.shared.insert(set.clone());
                }
                set
            }
        };
        if info.next {
            // The first header after that of IPv6: in a fragment, the one that says so (44).
            let whole = Match::All(vec![Match::Field(Field::Proto, set.clone()), Match::Field(Field::Fragment, Ranges::single(0))]);
            let fragment = Match::Field(Field::Fragment, Ranges::interval(1, 2));
            return Some(if set.contains(44) { Match::AnyOf(vec![whole, fragment]) } else { whole });
        }
        Some(Match::Field(info.field?, set))
    }

    /// Bitwise operations on one selector.
    fn bits(&mut self, left: &Expr<'_>, cmp: Cmp, right: &Expr<'_>) -> Option<Match> {
        let mut sel = None;
        only_selector(left, &mut sel)?;
        let info = self.info(sel?);
        let ty = info.ty;
        let eval = |v: u128| evaluate(left, v, ty, info.proto);
        match ty {
            Ty::CtState => {
                let wanted = related(cmp, ranges(ty, None, right, self.budget)?, ty.max())?;
                let mut values = Vec::new();
                for (bit, value) in CT_BITS {
                    if wanted.contains(eval(bit)?) {
                        values.push(value);
                    }
                }
                Some(Match::Field(Field::Ct, Ranges::from_values(values)))
            }
            Ty::CtStatus => {
                let wanted = related(cmp, ranges(ty, None, right, self.budget)?, ty.max())?;
                let mask = and_mask(left, ty)?;
                status(|v| wanted.contains(v & mask), mask)
            }
            Ty::FragOff => {
                let mask = and_mask(left, ty)?;
                let zero = constant(ty, None, right)? == 0;
                let offset = mask & 0x1fff == 0x1fff && mask & 0x4000 == 0;
                let later = Ranges::interval(if mask & 0x2000 != 0 { 1 } else { 2 }, 2);
                let not_zero = match cmp {
                    Cmp::Ne | Cmp::Gt => true,
                    Cmp::Eq | Cmp::Implicit => false,
                    _ => return None,
                };
                (zero && offset).then(|| Match::field(Field::Fragment, if not_zero { later } else { later.complement(2) }, false))
            }
            Ty::Iface(..) | Ty::EtherType | Ty::NfProto | Ty::Version | Ty::Other => None,
            Ty::Mark | Ty::Addr(_) | Ty::Mac | Ty::Id => {
                let max = ty.max();
                let number = |e: &Expr<'_>| constant(ty, None, e);
                let (keep, flip) = fold(left, &|e| matches!(e.peel().kind, Kind::Sel(_)), &number, max)?;
                let wanted = ranges(ty, None, right, self.budget)?;
                let mut found = Ranges::EMPTY;
                for &(lo, hi) in wanted.intervals() {
                    // Values, not intervals: `mark & 0xff == 3`.
                    if lo != hi {
                        return None;
                    }
                    found = found.or(&masked(keep, lo ^ flip, max)?);
                }
                let set = match cmp {
                    Cmp::Eq | Cmp::Implicit => found,
                    Cmp::Ne => found.complement(max),
                    _ => return None,
                };
                self.field_match(info, &set)
            }
            ty => {
                let max = ty.max();
                // 256 values are nothing; ports are looked at as often as the budget allows.
                if max > 0xff {
                    *self.budget = self.budget.checked_sub(max as usize)?;
                }
                let wanted = related(cmp, ranges(ty, info.proto, right, self.budget)?, max)?;
                let mut values = Vec::new();
                for v in 0..=max {
                    if wanted.contains(eval(v)?) {
                        values.push((v, v));
                    }
                }
                self.field_match(info, &Ranges::from_intervals(values))
            }
        }
    }
}

/// The values that stand in this relation to `set`.
fn related(cmp: Cmp, set: Ranges, max: u128) -> Option<Ranges> {
    let single = set.as_single();
    Some(match cmp {
        Cmp::Eq | Cmp::Implicit => set,
        Cmp::Ne => set.complement(max),
        Cmp::Lt => single?.checked_sub(1).map_or(Ranges::EMPTY, |hi| Ranges::interval(0, hi)),
        Cmp::Le => Ranges::interval(0, single?),
        Cmp::Gt => single?.checked_add(1).map_or(Ranges::EMPTY, |lo| Ranges::interval(lo, max)),
        Cmp::Ge => Ranges::interval(single?, max),
        Cmp::Without => return None,
    })
}

/// The protocol of an ICMP field that an expression reads, and the family to which it does not belong.
pub(super) fn reads_icmp(e: &Expr<'_>) -> Option<(u128, Family)> {
    match &e.peel().kind {
        Kind::Sel(Sel::Payload(proto, _)) if proto == "icmp" => Some((1, Family::V6)),
        Kind::Sel(Sel::Payload(proto, _)) if proto == "icmpv6" => Some((58, Family::V4)),
        Kind::Bin(_, a, b) => reads_icmp(a).or_else(|| reads_icmp(b)),
        Kind::Concat(parts) => parts.iter().find_map(reads_icmp),
        _ => None,
    }
}

/// Whether an expression reads a transport header of no particular protocol. A protocol beside it in a key says which.
pub(super) fn reads_any_transport(e: &Expr<'_>) -> bool {
    match &e.peel().kind {
        Kind::Sel(Sel::Payload(proto, _)) => proto == "th",
        Kind::Sel(Sel::Raw(base, 0 | 16, 16)) => base == "th",
        Kind::Bin(_, a, b) => reads_any_transport(a) || reads_any_transport(b),
        Kind::Concat(parts) => {
            let protocol = |p: &Expr<'_>| matches!(&p.peel().kind, Kind::Sel(sel) if info(sel, None).field == Some(Field::Proto));
            parts.iter().any(reads_any_transport) && !parts.iter().any(protocol)
        }
        _ => false,
    }
}

/// Packets that have the field at all, as far as what is implied does not say so.
fn present(info: Info) -> Match {
    match info.field {
        Some(f @ (Field::Sport | Field::Dport | Field::Icmp | Field::TcpFlags)) => {
            Match::Field(f, Ranges::interval(0, f.max_present(Family::V4)))
        }
        _ => Match::Any,
    }
}

/// `ct status`: exact if only the bits of translation are asked for.
fn status(holds: impl Fn(u128) -> bool, bits: u128) -> Option<Match> {
    (bits & !0x30 == 0).then(|| Match::Field(Field::CtNat, Ranges::from_values((0..4).filter(|n| holds(n << 4)))))
}

/// `exthdr frag exists`: a fragment of IPv6.
fn fragment_header(text: &str, cmp: Cmp, right: &Expr<'_>) -> Option<Match> {
    if text != "exthdr frag" {
        return None;
    }
    let there = match (right.word()?, cmp) {
        ("exists" | "true" | "1", Cmp::Eq | Cmp::Implicit) | ("missing" | "false" | "0", Cmp::Ne) => true,
        ("missing" | "false" | "0", Cmp::Eq | Cmp::Implicit) | ("exists" | "true" | "1", Cmp::Ne) => false,
        _ => return None,
    };
    Some(Match::Field(Field::Fragment, if there { Ranges::interval(1, 2) } else { Ranges::single(0) }))
}

/// The one selector of a bitwise expression; `None` if there are several.
fn only_selector<'e, 'a>(e: &'e Expr<'a>, found: &mut Option<&'e Sel<'a>>) -> Option<()> {
    match &e.peel().kind {
        Kind::Sel(sel) => found.replace(sel).is_none().then_some(()),
        Kind::Bin(_, a, b) => {
            only_selector(a, found)?;
            only_selector(b, found)
        }
        Kind::Map(..) | Kind::Concat(_) => None,
        _ => Some(()),
    }
}

/// The value of a bitwise expression where the selector has the value `v`.
fn evaluate(e: &Expr<'_>, v: u128, ty: Ty, proto: Option<u8>) -> Option<u128> {
    match &e.peel().kind {
        Kind::Sel(_) => Some(v),
        Kind::Bin(op, a, b) => operate(*op, evaluate(a, v, ty, proto)?, evaluate(b, v, ty, proto)?),
        _ => constant(ty, proto, e),
    }
}

/// A bitwise expression of one selector `x` as `(x & keep) ^ flip`.
pub(super) fn fold(
    e: &Expr<'_>,
    is: &dyn Fn(&Expr<'_>) -> bool,
    number: &dyn Fn(&Expr<'_>) -> Option<u128>,
    max: u128,
) -> Option<(u128, u128)> {
    match &e.peel().kind {
        Kind::Sel(_) => is(e).then_some((max, 0)),
        Kind::Bin(op, a, b) => {
            let ((keep, flip), n) = match number(b) {
                Some(n) => (fold(a, is, number, max)?, n),
                None => (fold(b, is, number, max)?, number(a)?),
            };
            let n = n & max;
            Some(match op {
                Op::And => (keep & n, flip & n),
                Op::Or => (keep & !n, flip & !n | n),
                Op::Xor => (keep, flip ^ n),
                Op::Shl | Op::Shr => return None,
            })
        }
        _ => None,
    }
}

/// The mask of `selector & mask`.
fn and_mask(e: &Expr<'_>, ty: Ty) -> Option<u128> {
    let Kind::Bin(Op::And, a, b) = &e.peel().kind else { return None };
    match (&a.peel().kind, &b.peel().kind) {
        (Kind::Sel(_), _) => constant(ty, None, b),
        (_, Kind::Sel(_)) => constant(ty, None, a),
        _ => None,
    }
}

/// The numbers up to `max` (all bits set) whose bits under `mask` are `value`, if few intervals say so.
fn masked(mask: u128, value: u128, max: u128) -> Option<Ranges> {
    let mask = mask & max;
    if value & !mask != 0 {
        return Some(Ranges::EMPTY);
    }
    let free = max & !mask;
    let low = free.trailing_ones();
    let low_bits = if low >= 128 { u128::MAX } else { (1u128 << low) - 1 };
    let high = free & !low_bits;
    if high.count_ones() > MASK_INTERVALS.ilog2() {
        return None;
    }
    let mut intervals = Vec::new();
    // All subsets of the free bits above the lowest run.
    let mut subset = 0u128;
    loop {
        let base = value | subset;
        intervals.push((base, base | low_bits));
        subset = subset.wrapping_sub(high) & high;
        if subset == 0 {
            return Some(Ranges::from_intervals(intervals));
        }
    }
}

/// Which way an interface match looks, for the keys of sets.
pub(super) fn is_interface(ty: Ty) -> bool {
    matches!(ty, Ty::Iface(Direction::In | Direction::Out, _))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_number_is_the_intervals_that_agree_under_the_mask() {
        for (mask, value) in [(0xf0u128, 0x30u128), (0xff, 7), (0x0f, 3), (0, 0), (0x55, 0x11), (0x3c, 0x41)] {
            let set = masked(mask, value, 0xff).unwrap();
            for v in 0..=0xffu128 {
                assert_eq!(set.contains(v), v & mask == value, "{mask:#x} {value:#x} {v:#x}");
            }
        }
        assert_eq!(masked(1, 0, 0xffff_ffff), None.or(masked(1, 0, 0xffff_ffff)));
        assert_eq!(masked(0x00ff_0001, 0, 0xffff_ffff), None);
    }
}
