//! The tree of an nftables ruleset: what the text and the JSON reader both produce.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;

use crate::model::{NatKind, PolicyAction};
use crate::net::{Family, parse_addr, to_ip};
use crate::source::Span;

/// Text of the file, or made of it.
pub type Text<'a> = Cow<'a, str>;

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// Where it is.
    pub span: Span,
}

/// Kinds of expressions. Symbols stay words until the type of what they are compared with is known.
#[derive(Clone, Debug)]
pub enum Kind<'a> {
    /// A symbol, number or address.
    Word(Text<'a>),
    /// Quoted text.
    Str(Text<'a>),
    /// `address/length`.
    Prefix(Box<Expr<'a>>, u8),
    /// `first-last`.
    Range(Box<Expr<'a>>, Box<Expr<'a>>),
    /// `{ … }`.
    Set(Vec<Elem<'a>>),
    /// `a . b`.
    Concat(Vec<Expr<'a>>),
    /// `a,b`.
    List(Vec<Expr<'a>>),
    /// `a & b`.
    Bin(Op, Box<Expr<'a>>, Box<Expr<'a>>),
    /// `@name`.
    SetRef(Text<'a>),
    /// What is read from the packet.
    Sel(Sel<'a>),
    /// `key map data`.
    Map(Box<Expr<'a>>, Box<Expr<'a>>),
    /// A verdict, in the data of a map.
    Verdict(Verdict<'a>),
    /// `*`: every other value.
    Any,
    /// The value of a `define`.
    Shared(Rc<Expr<'a>>),
}

/// An element of a set or map.
#[derive(Clone, Debug)]
pub struct Elem<'a> {
    /// Key.
    pub key: Expr<'a>,
    /// Data, in a map.
    pub data: Option<Expr<'a>>,
    /// The whole element.
    pub span: Span,
}

/// Bitwise operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// `&`.
    And,
    /// `|`.
    Or,
    /// `^`.
    Xor,
    /// `<<`.
    Shl,
    /// `>>`.
    Shr,
}

/// Relational operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cmp {
    /// None written: equal, or, for flags, at least one of them set (nft(8), "bitmask type").
    Implicit,
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `>`.
    Gt,
    /// `<=`.
    Le,
    /// `>=`.
    Ge,
    /// `!`: none of the flags set.
    Without,
}

/// What is read from a packet.
#[derive(Clone, PartialEq, Debug)]
pub enum Sel<'a> {
    /// A header's field: `tcp dport`.
    Payload(Text<'a>, Text<'a>),
    /// `meta key`.
    Meta(Text<'a>),
    /// `ct [direction] key`.
    Ct(Option<Text<'a>>, Text<'a>),
    /// `@base,offset,length` in bits.
    Raw(Text<'a>, u32, u32),
    /// `fib flags result`.
    Fib(String, Text<'a>),
    /// Anything else, as canonical text.
    Other(String),
}

/// Verdicts.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict<'a> {
    /// `accept`.
    Accept,
    /// `drop`.
    Drop,
    /// `continue`.
    Continue,
    /// `return`.
    Return,
    /// `jump chain`.
    Jump(Text<'a>),
    /// `goto chain`.
    Goto(Text<'a>),
    /// `reject`, with kind (`icmp`, `icmpv6`, `icmpx`, `tcp reset`) and code.
    Reject(Option<(Text<'a>, Text<'a>)>),
    /// Not modelled: `queue …`.
    Opaque(String),
}

/// A translation.
#[derive(Clone, Debug)]
pub struct Nat<'a> {
    /// Which.
    pub kind: NatKind,
    /// Family as written.
    pub family: Option<Family>,
    /// New addresses; data of a map may hold ports too.
    pub addr: Option<Expr<'a>>,
    /// New ports.
    pub port: Option<Expr<'a>>,
    /// `prefix to`.
    pub prefix: bool,
}

/// A statement of a rule.
#[derive(Clone, Debug)]
pub enum Stmt<'a> {
    /// A comparison.
    Match(Expr<'a>, Cmp, Expr<'a>),
    /// A verdict.
    Verdict(Verdict<'a>),
    /// `key vmap data`.
    Vmap(Expr<'a>, Expr<'a>),
    /// `counter`, with packets where counted.
    Counter(Option<u64>),
    /// `log …`.
    Log,
    /// A match that is not modelled, as canonical text; if it names an object, it is one of its table.
    Condition {
        /// Canonical text.
        text: String,
        /// Names an object of the table.
        scoped: bool,
    },
    /// `… set …`.
    Assign(Sel<'a>, Expr<'a>),
    /// `dnat` and its kin.
    Nat(Nat<'a>),
    /// `notrack`.
    Untrack,
    /// `add @set { key … }`: the key, and the condition in it (`limit rate over …`).
    Update(Text<'a>, Expr<'a>, Option<String>),
    /// Recognised, does not change what passes.
    Neutral,
    /// Recognised, copies the packet elsewhere.
    Copies(String),
    /// Recognised, not modelled, decides about the packet.
    Opaque(String),
    /// Not recognised.
    Unknown(String),
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule<'a> {
    /// Statements in order, with their places.
    pub stmts: Vec<(Stmt<'a>, Span)>,
    /// Its comment.
    pub comment: Option<String>,
    /// The whole rule.
    pub span: Span,
    /// Its handle, where listed.
    pub handle: Option<u64>,
}

/// Families of tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TableFamily {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// ARP.
    Arp,
    /// Bridged frames.
    Bridge,
    /// Network devices (ingress).
    Netdev,
}

impl TableFamily {
    /// Reads its name.
    pub fn parse(s: &str) -> Option<TableFamily> {
        Some(match s {
            "ip" => TableFamily::Ip,
            "ip6" => TableFamily::Ip6,
            "inet" => TableFamily::Inet,
            "arp" => TableFamily::Arp,
            "bridge" => TableFamily::Bridge,
            "netdev" => TableFamily::Netdev,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            TableFamily::Ip => "ip",
            TableFamily::Ip6 => "ip6",
            TableFamily::Inet => "inet",
            TableFamily::Arp => "arp",
            TableFamily::Bridge => "bridge",
            TableFamily::Netdev => "netdev",
        }
    }
}

/// The hook of a base chain.
#[derive(Clone, Debug)]
pub struct Base<'a> {
    /// `filter`, `nat`, `route`.
    pub kind: Text<'a>,
    /// Hook name.
    pub hook: Text<'a>,
    /// Priority; `None` where it cannot be read.
    pub priority: Option<i32>,
    /// Devices.
    pub devices: Vec<Text<'a>>,
    /// Where.
    pub span: Span,
}

/// A chain.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    /// Name.
    pub name: String,
    /// First definition.
    pub span: Span,
    /// Its hook.
    pub base: Option<Base<'a>>,
    /// Its policy.
    pub policy: Option<(PolicyAction, Span)>,
    /// Its rules.
    pub rules: VecDeque<Rule<'a>>,
}

/// A named set or map.
#[derive(Clone, Debug)]
pub struct SetDecl<'a> {
    /// Name.
    pub name: String,
    /// Where it is defined.
    pub span: Span,
    /// The type of its key: data types (`type`) or expressions (`typeof`).
    pub key: Vec<KeyType<'a>>,
    /// A map.
    pub is_map: bool,
    /// Elements come and go at run time.
    pub dynamic: bool,
    /// Elements.
    pub elements: Vec<Elem<'a>>,
}

/// One part of a set's key.
#[derive(Clone, Debug)]
pub enum KeyType<'a> {
    /// Data type: `ipv4_addr`.
    Name(Text<'a>),
    /// `typeof ip saddr`.
    Of(Expr<'a>),
}

impl<'a> Expr<'a> {
    /// An expression at a place.
    pub fn new(kind: Kind<'a>, span: Span) -> Expr<'a> {
        Expr { kind, span }
    }

    /// The expression behind a `define`.
    pub fn peel(&self) -> &Expr<'a> {
        let mut e = self;
        while let Kind::Shared(inner) = &e.kind {
            e = inner;
        }
        e
    }

    /// The text of a word or quoted text.
    pub fn word(&self) -> Option<&str> {
        match &self.peel().kind {
            Kind::Word(t) | Kind::Str(t) => Some(t),
            _ => None,
        }
    }

    /// Canonical text: equal for the text and the JSON form of one expression.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // A condition of a huge set need not be readable to the end (and definitions can multiply).
        self.write(&mut out, &mut 1000);
        out
    }

    fn write(&self, out: &mut String, budget: &mut usize) {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        match &self.kind {
            Kind::Word(t) | Kind::Str(t) => out.push_str(&canonical_word(t)),
            Kind::Prefix(a, n) => {
                a.write(out, budget);
                let _ = write!(out, "/{n}");
            }
            Kind::Range(a, b) => {
                a.write(out, budget);
                out.push('-');
                b.write(out, budget);
            }
            Kind::Set(elems) => {
                let mut texts: Vec<String> = elems
                    .iter()
                    .take(200)
                    .map(|e| {
                        let mut one = String::new();
                        e.key.write(&mut one, budget);
                        if let Some(d) = &e.data {
                            one.push_str(" : ");
                            d.write(&mut one, budget);
                        }
                        one
                    })
                    .collect();
                texts.sort();
                let _ = write!(out, "{{ {} }}", texts.join(", "));
            }
            Kind::Concat(v) => join(v, " . ", out, budget),
            Kind::List(v) => join(v, ",", out, budget),
            Kind::Bin(op, a, b) => {
                a.write(out, budget);
                out.push_str(match op {
                    Op::And => " & ",
                    Op::Or => " | ",
                    Op::Xor => " ^ ",
                    Op::Shl => " << ",
                    Op::Shr => " >> ",
                });
                b.write(out, budget);
            }
            Kind::SetRef(n) => {
                let _ = write!(out, "@{n}");
            }
            Kind::Sel(sel) => out.push_str(&sel.text()),
            Kind::Map(k, d) => {
                k.write(out, budget);
                out.push_str(" map ");
                d.write(out, budget);
            }
            Kind::Verdict(v) => {
                let _ = write!(out, "{v:?}");
            }
            Kind::Any => out.push('*'),
            Kind::Shared(e) => e.write(out, budget),
        }
    }
}

fn join(v: &[Expr<'_>], separator: &str, out: &mut String, budget: &mut usize) {
    for (n, e) in v.iter().enumerate() {
        if n > 0 {
            out.push_str(separator);
        }
        e.write(out, budget);
    }
}

fn canonical_word(t: &str) -> Text<'_> {
    if let Some(n) = t.strip_prefix("0x").and_then(|h| u128::from_str_radix(h, 16).ok()) {
        return Cow::Owned(n.to_string());
    }
    match parse_addr(t) {
        Some((family, n)) => Cow::Owned(to_ip(family, n).to_string()),
        None => seconds(t).map_or(Cow::Borrowed(t), |n| Cow::Owned(n.to_string())),
    }
}

/// A duration such as `1h30m`; JSON gives seconds.
fn seconds(t: &str) -> Option<u64> {
    if !t.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (mut total, mut n) = (0u64, 0u64);
    for c in t.chars() {
        let unit = match c {
            '0'..='9' => {
                n = n.checked_mul(10)?.checked_add(u64::from(c) - u64::from('0'))?;
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(n.checked_mul(unit)?)?;
        n = 0;
    }
    (n == 0).then_some(total)
}

impl Sel<'_> {
    /// Canonical text.
    pub fn text(&self) -> String {
        match self {
            Sel::Payload(p, f) => format!("{p} {f}"),
            Sel::Meta(k) => format!("meta {k}"),
            // The protocols of a connection are those of both directions.
            Sel::Ct(_, k) if k == "protocol" || k == "l3proto" => format!("ct {k}"),
            Sel::Ct(None, k) => format!("ct {k}"),
            Sel::Ct(Some(d), k) => format!("ct {d} {k}"),
            Sel::Raw(b, o, l) => format!("@{b},{o},{l}"),
            Sel::Fib(flags, result) => format!("fib {flags} {result}"),
            Sel::Other(t) => t.clone(),
        }
    }
}

/// Flags of `fib` in the order in which nft lists them.
pub fn fib_flags(mut flags: Vec<&str>) -> String {
    const ORDER: [&str; 5] = ["saddr", "daddr", "mark", "iif", "oif"];
    flags.sort_by_key(|f| ORDER.iter().position(|o| o == f));
    flags.join(" . ")
}
