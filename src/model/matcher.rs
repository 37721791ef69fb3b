//! What a rule asks of a packet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Bits;
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;

/// A boolean tree over fields. Never flattened by a reader; `eval` turns it into packet sets.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// Every packet.
    Any,
    /// No packet.
    Never,
    /// Packets of one family.
    Family(Family),
    /// A field other than an address has one of these values. Values are those of the header: "absent" (a fragment
    /// without ports, say) is never among them, also not under negation: write `not` as the complement within
    /// [`Field::max_present`], as [`Match::field_not`] does, where the firewall reads the field before it negates.
    Field(Field, Ranges),
    /// [`Field::Src`] or [`Field::Dst`] is one of these addresses of this family (so the packet is of it).
    Address(Field, Family, Ranges),
    /// The arrival or departure interface has such a name.
    Interface(Direction, NamePattern),
    /// The packet's values of `fields`, in this order, are an element of the named set.
    ///
    /// Where a format names directions instead of fields (the `src,dst` of an ipset match), `fields` are [`Field::Src`] and
    /// [`Field::Dst`], and each value of an element says what is taken from the packet in that direction: an address is
    /// compared with the address; the ports of a [`SetValue::Service`] (written as [`Field::Dport`]) with the source port
    /// under `Src` and the destination port under `Dst`, its [`Field::Icmp`] with ICMP type and code under either; an
    /// interface with the arrival interface under `Src` and the departure interface under `Dst`. An element with fewer
    /// values than there are fields ignores the further fields; one with more never matches (Linux `ip_set_test`).
    InSet {
        /// [`NamedSet::name`].
        set: Arc<str>,
        /// The fields that make up the key.
        fields: Vec<Field>,
        /// Where the set is named, for findings about undefined sets.
        span: Span,
    },
    /// A match that is not modelled.
    Opaque(ConditionId),
    /// The opposite.
    Not(Box<Match>),
    /// All of these (an empty list is [`Match::Any`]).
    All(Vec<Match>),
    /// At least one of these (an empty list is [`Match::Never`]).
    AnyOf(Vec<Match>),
}

impl Match {
    /// `field` has one of the values `set`, or, if `negated`, another value that it really has.
    pub fn field(field: Field, set: Ranges, negated: bool) -> Match {
        if negated { Match::field_not(field, &set) } else { Match::Field(field, set) }
    }

    /// `field` is there and has none of the values `set`. Not for addresses.
    pub fn field_not(field: Field, set: &Ranges) -> Match {
        Match::Field(field, set.complement(field.max_present(Family::V4)))
    }

    /// An address match; `negated` is within the family (a packet of the other family does not match).
    pub fn address(field: Field, family: Family, set: Ranges, negated: bool) -> Match {
        let set = if negated { set.complement(family.max_address()) } else { set };
        Match::Address(field, family, set)
    }

    /// The packet belongs to a connection, or opens one: only then are there a connection's mark and translation to look at.
    pub fn tracked() -> Match {
        Match::Field(Field::Ct, Ranges::interval(ct::NEW, ct::RELATED))
    }

    /// The packet came in on an interface that can have MAC addresses: not on the loopback, and not from this host.
    pub fn on_ethernet() -> Match {
        let from = |pattern| Match::Interface(Direction::In, pattern);
        Match::All(vec![from(NamePattern::prefix("")), Match::Not(Box::new(from(NamePattern::exact("lo"))))])
    }

    /// The opposite if `negate`, else the match itself.
    pub fn negate_if(self, negate: bool) -> Match {
        match (negate, self) {
            (false, m) => m,
            (true, Match::Any) => Match::Never,
            (true, Match::Never) => Match::Any,
            (true, Match::Not(m)) => *m,
            (true, m) => Match::Not(Box::new(m)),
        }
    }

    /// All of these, without needless nesting.
    pub fn all(mut parts: Vec<Match>) -> Match {
        parts.retain(|m| *m != Match::Any);
        match parts.len() {
            0 => Match::Any,
            1 => parts.remove(0),
            _ => Match::All(parts),
        }
    }

    /// At least one of these, without needless nesting.
    pub fn any_of(mut parts: Vec<Match>) -> Match {
        parts.retain(|m| *m != Match::Never);
        match parts.len() {
            0 => Match::Never,
            1 => parts.remove(0),
            _ => Match::AnyOf(parts),
        }
    }

    /// Calls `f` on this match and everything below it, depth first.
    pub fn walk(&self, f: &mut impl FnMut(&Match)) {
        f(self);
        match self {
            Match::Not(m) => m.walk(f),
            Match::All(v) | Match::AnyOf(v) => v.iter().for_each(|m| m.walk(f)),
            _ => {}
        }
    }

    /// The same, to change them.
    pub fn walk_mut(&mut self, f: &mut impl FnMut(&mut Match)) {
        f(self);
        match self {
            Match::Not(m) => m.walk_mut(f),
            Match::All(v) | Match::AnyOf(v) => v.iter_mut().for_each(|m| m.walk_mut(f)),
            _ => {}
        }
    }

    /// Calls `f` on every match below that has no parts, and may put another in its place.
    pub(super) fn replace(&mut self, f: &impl Fn(&mut Match)) {
        match self {
            Match::Not(m) => m.replace(f),
            Match::All(v) | Match::AnyOf(v) => v.iter_mut().for_each(|m| m.replace(f)),
            leaf => f(leaf),
        }
    }

    pub(super) fn renumber(&mut self, conditions: &[ConditionId]) {
        self.walk_mut(&mut |m| {
            if let Match::Opaque(id) = m {
                *id = conditions[id.0 as usize];
            }
        });
    }
}

/// Arrival or departure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// On which interface the packet came in.
    In,
    /// Through which interface it goes out.
    Out,
}

/// Interface names: one, or all that begin so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NamePattern {
    /// The name, or its beginning. Without the `+` or `*` that marks a wildcard.
    pub name: String,
    /// Whether `name` is only the beginning.
    pub wildcard: bool,
}

impl NamePattern {
    /// Exactly this name.
    pub fn exact(name: impl Into<String>) -> NamePattern {
        NamePattern { name: name.into(), wildcard: false }
    }

    /// All names that begin with this.
    pub fn prefix(name: impl Into<String>) -> NamePattern {
        NamePattern { name: name.into(), wildcard: true }
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        if self.wildcard { name.starts_with(&self.name) } else { name == self.name }
    }
}

/// Number of an opaque condition within its device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConditionId(pub u32);

/// The opaque conditions of a device. The same text is the same condition, so that two rules with the same
/// unmodelled match stay correlated.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    list: Vec<(String, Span)>,
    index: HashMap<String, ConditionId>,
    /// How often a condition was made afresh from a text.
    times: HashMap<String, usize>,
    /// See [`Conditions::at_rest`].
    rest: BTreeMap<ConditionId, bool>,
    /// See [`Conditions::bits`].
    bits: BTreeMap<ConditionId, Bits>,
}

impl Conditions {
    /// The condition of this text (normalised by the reader: `recent --rcheck --name ssh`), first seen at `span`.
    pub fn intern(&mut self, text: &str, span: Span) -> ConditionId {
        if let Some(id) = self.index.get(text) {
            return *id;
        }
        let id = ConditionId(self.list.len() as u32);
        self.list.push((text.to_owned(), span));
        self.index.insert(text.to_owned(), id);
        id
    }

    /// A condition of its own, though the text has been seen: what it asks has a state for each rule (a rate), or may have another answer
    /// when it is asked the next time (a mark that a rule between has set).
    pub fn intern_afresh(&mut self, text: &str, span: Span) -> ConditionId {
        let times = self.times.entry(text.to_owned()).or_insert(0);
        *times += 1;
        let own = if *times == 1 { text.to_owned() } else { format!("{text} [{times}]") };
        self.intern(&own, span)
    }

    /// Says what a condition answers about any packet that comes when none has come for long: a rate is not exceeded then. All conditions of
    /// which this is said must answer so at the same moment, and to one packet that asks them all, so that such a moment certainly comes.
    pub fn set_at_rest(&mut self, id: ConditionId, answer: bool) {
        self.rest.insert(id, answer);
    }

    /// Says that a condition is a question for bits of a mark, see [`super::Device::settle_marks`].
    pub fn set_bits(&mut self, id: ConditionId, bits: Bits) {
        self.bits.insert(id, bits);
    }

    /// The bits that a condition asks for.
    pub fn bits_of(&self, id: ConditionId) -> Option<Bits> {
        self.bits.get(&id).copied()
    }

    /// All conditions that ask for bits of a mark.
    pub fn bits(&self) -> impl Iterator<Item = (ConditionId, Bits)> {
        self.bits.iter().map(|(id, bits)| (*id, *bits))
    }

    /// The conditions whose answer at rest is known, with the answer.
    pub fn at_rest(&self) -> impl Iterator<Item = (ConditionId, bool)> {
        self.rest.iter().map(|(id, answer)| (*id, *answer))
    }

    /// Text and first place of a condition.
    pub fn get(&self, id: ConditionId) -> (&str, Span) {
        let (text, span) = &self.list[id.0 as usize];
        (text, *span)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn absorb(&mut self, other: Conditions) -> Vec<ConditionId> {
        let map: Vec<ConditionId> = other.list.iter().map(|(text, span)| self.intern(text, *span)).collect();
        self.rest.extend(other.rest.iter().map(|(id, answer)| (map[id.0 as usize], *answer)));
        self.bits.extend(other.bits.iter().map(|(id, bits)| (map[id.0 as usize], *bits)));
        map
    }
}

/// A named set (ipset, nftables set, address group).
#[derive(Clone, Debug)]
pub struct NamedSet {
    /// Its name as [`Match::InSet`] uses it. Readers put a scope before it where a format has scopes
    /// (`ipset/blocklist`, `inet filter/blocklist`).
    pub name: Arc<str>,
    /// Where it is defined.
    pub span: Span,
    /// The elements.
    pub elements: Vec<SetElement>,
    /// Elements come and go while the firewall runs (filled by rules), so that nobody can know them from the
    /// configuration: membership of what is not listed is an opaque condition.
    pub dynamic: bool,
}

/// One element: a value for each field of the key.
#[derive(Clone, Debug)]
pub struct SetElement {
    /// A value for each field of the key.
    pub values: Vec<SetValue>,
    /// An exception: packets that match this element are not in the set (ipset `nomatch`). The most specific decides
    /// in ipset; readers order elements so that a later one overrides an earlier one.
    pub excluded: bool,
    /// Where it is written.
    pub span: Span,
}

/// One field of a set's element.
#[derive(Clone, Debug)]
pub enum SetValue {
    /// Any value.
    Any,
    /// Addresses.
    Address(Family, Ranges),
    /// Ports, protocols, marks, MAC addresses …
    Number(Ranges),
    /// An interface.
    Interface(NamePattern),
    /// A protocol together with its port or ICMP type (ipset `tcp:80`, `icmp:8/0`): constrains [`Field::Proto`] and, if given, the named
    /// field instead of the one of the key.
    Service(u8, Option<(Field, Ranges)>),
}
