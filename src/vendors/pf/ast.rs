//! What a pf.conf says, in its own words.

use super::lex::Token;
use crate::net::{Family, Ranges};
use crate::source::Span;

/// A statement.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub span: Span,
    pub kind: Kind,
    /// Comment at the end of its line.
    pub comment: Option<String>,
    /// Number that `pfctl -vv` prints before it.
    pub number: Option<String>,
    /// Packets that `pfctl -v` counts.
    pub packets: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// `pass`, `block`, `match`, and `antispoof`'s rules.
    Filter(Box<Rule>),
    /// `nat`, `rdr`, `binat` and `no …` of the old kind.
    Translate(Box<Rule>),
    /// An anchor of filter or translation rules.
    Anchor { stage: Stage, name: Option<String>, rule: Box<Rule>, body: Option<Vec<Item>> },
    /// `set skip on`.
    Skip(Vec<Iface>),
}

/// Rules of which kind an anchor holds, and which of the old kinds a translation rule is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Filter,
    Nat,
    Rdr,
    Binat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dir {
    In,
    Out,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Verb {
    #[default]
    Pass,
    /// With the answer that is sent, or in silence.
    Block(Option<String>),
    Match,
    /// Old translation rules; `no`: stops without translation; `pass`: goes past the filter.
    Translate {
        stage: Option<Stage>,
        no: bool,
        pass: bool,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Iface {
    pub not: bool,
    pub name: String,
    pub span: Span,
}

/// What a host is written as.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Host {
    Any,
    Net(Family, u128, u128),
    /// An interface, a group or `self`, with what is asked of it (`network`, `broadcast`, `peer`, `0`, or nothing), the length of a mask, and
    /// whether it stands in parentheses.
    Iface {
        name: String,
        part: String,
        mask: Option<u8>,
        dynamic: bool,
    },
    Table(String),
    /// A host name or whatever else only the running system knows.
    Opaque(String),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Place {
    pub not: bool,
    pub host: Host,
    pub span: Span,
}

/// How far a rule keeps state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Keep,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Xlate {
    Nat,
    Rdr,
    Binat,
    Af,
}

/// Where a translation goes.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub kind: Xlate,
    pub places: Vec<Place>,
    /// First port and, if given, last; `None` for the last of `80:*`.
    pub ports: Option<(u16, Option<u16>)>,
    pub static_port: bool,
    /// Host bits are kept (`bitmask`).
    pub bitmask: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum Proto {
    Number(u8),
    Unknown(String),
}

/// A rule of whatever kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    pub verb: Verb,
    pub dir: Option<Dir>,
    pub log: bool,
    pub quick: bool,
    pub on: Vec<Iface>,
    pub received_on: Vec<Iface>,
    pub family: Option<Family>,
    pub protos: Vec<Proto>,
    pub src: Vec<Place>,
    pub dst: Vec<Place>,
    pub sport: Option<Ranges>,
    pub dport: Option<Ranges>,
    /// `flags`: those looked at and those that must be set; within `None`: any.
    pub flags: Option<Option<(u8, u8)>>,
    /// ICMP `type << 8 | code`, for each family.
    pub icmp4: Option<Ranges>,
    pub icmp6: Option<Ranges>,
    pub state: Option<State>,
    pub tag: Option<String>,
    pub tagged: Option<(bool, String)>,
    pub fragment: bool,
    /// Conditions that are not modelled, as written.
    pub opaque: Vec<(String, Span)>,
    pub label: Option<String>,
    pub pools: Vec<Pool>,
    /// The packet goes to a program of this host.
    pub divert: Option<String>,
    pub from_given: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub name: String,
    pub span: Span,
    pub entries: Vec<Place>,
    pub files: Vec<(String, Span)>,
    pub persist: bool,
}

/// Rules that stand in another file.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub anchor: String,
    pub file: String,
    pub span: Span,
}

/// A whole configuration.
#[derive(Default, Debug)]
pub(super) struct Config {
    pub items: Vec<Item>,
    pub tables: Vec<Table>,
    pub loads: Vec<Load>,
    /// Tables that rules fill (`overload`).
    pub overload: Vec<String>,
    /// What only newer or only older pf has, as far as it is written: the word and its place.
    pub new_style: Option<(&'static str, Span)>,
    pub old_style: Option<(&'static str, Span)>,
    pub block_return: bool,
    pub has_filter: bool,
    /// Something that only a configuration file has (`set`, a table, a macro, a comment, a rule that pfctl prints otherwise …), and so not the
    /// output of one of pfctl's lists.
    pub is_file: bool,
    /// Headings as `pfctl -sa` prints them: filter and translation rules are both there.
    pub all_rules: bool,
    /// The interfaces as `pfctl -vsI` prints them, with those that are skipped.
    pub interfaces: bool,
    pub has_translations: bool,
}

/// The span of some tokens.
pub(super) fn span_of(tokens: &[Token]) -> Option<Span> {
    Some(tokens.first()?.span.to(tokens.last()?.span))
}
