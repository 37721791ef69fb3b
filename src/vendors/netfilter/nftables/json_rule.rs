//! Statements and expressions of the JSON form (libnftables-json(5), "STATEMENTS" and "EXPRESSIONS").

use std::borrow::Cow;

use jsonc_parser::ast::{Object, Value};

use super::ast::{Cmp, Expr, Kind, Nat, Op, Sel, Stmt, Text, Verdict, fib_flags};
use super::expr::{meta_key, queue_text};
use super::json::{Json, get, scalar, single, string, strings, truth};
use super::stmt::{compat, limit_text};
use crate::model::NatKind;
use crate::net::Family;

impl<'a> Json<'a> {
    /// A statement; `None` if it is not understood.
    pub(super) fn statement(&mut self, v: &Value<'a>) -> Option<Stmt<'a>> {
        let Value::Object(o) = v else { return None };
        let (name, value) = single(o)?;
        let inner = value.as_object();
        if let Some(verdict) = self.verdict(name, value) {
            return Some(Stmt::Verdict(verdict));
        }
        Some(match name {
            "match" => {
                let m = inner?;
                let cmp = match string(m, "op").as_deref() {
                    Some("==") => Cmp::Eq,
                    Some("!=") => Cmp::Ne,
                    Some("<") => Cmp::Lt,
                    Some(">") => Cmp::Gt,
                    Some("<=") => Cmp::Le,
                    Some(">=") => Cmp::Ge,
                    Some("!") => Cmp::Without,
                    Some("in") | None => Cmp::Implicit,
                    _ => return None,
                };
                Stmt::Match(self.expr(get(m, "left")?)?, cmp, self.expr(get(m, "right")?)?)
            }
            "vmap" => {
                let m = inner?;
                Stmt::Vmap(self.expr(get(m, "key")?)?, self.expr(get(m, "data")?)?)
            }
            "counter" => match inner {
                Some(c) => Stmt::Counter(scalar(c, "packets").and_then(|n| n.parse().ok())),
                None if matches!(value, Value::StringLit(_)) => Stmt::Neutral,
                None => Stmt::Counter(None),
            },
            "log" => Stmt::Log,
            "limit" | "quota" | "ct count" => {
                let (text, scoped) = self.condition(name, value)?;
                Stmt::Condition { text, scoped }
            }
            "mangle" => {
                let m = inner?;
                let key = self.expr(get(m, "key")?)?;
                let Kind::Sel(sel) = key.kind else { return None };
                Stmt::Assign(sel, self.expr(get(m, "value")?)?)
            }
            "snat" | "dnat" | "masquerade" | "redirect" => Stmt::Nat(self.nat(name, inner)?),
            "notrack" => Stmt::Untrack,
            "dup" => Stmt::Copies("dup".to_owned()),
            "fwd" | "tproxy" | "synproxy" => Stmt::Opaque(name.to_owned()),
            "set" | "map" => {
                let s = inner?;
                let key = self.expr(get(s, "elem")?)?;
                let target = string(s, "set").or_else(|| string(s, "map"))?;
                let target = strip_at(target);
                let condition = self.conditions(get(s, "stmt"))?;
                let text = condition.map(|c| format!("@{target} {{ {} {c} }}", key.text()));
                Stmt::Update(target, key, text)
            }
            "meter" => {
                let m = inner?;
                let key = self.expr(get(m, "key")?)?;
                let meter = string(m, "name")?;
                let (text, _) = match get(m, "stmt")? {
                    Value::Object(o) => {
                        let (name, value) = single(o)?;
                        self.condition(name, value)?
                    }
                    _ => return None,
                };
                let text = format!("meter {meter} {{ {} {text} }}", key.text());
                Stmt::Update(meter, key, Some(text))
            }
            "flow" | "secmark" | "last" | "ct helper" | "ct timeout" | "ct expectation" | "reset" => Stmt::Neutral,
            "xt" => {
                let x = inner?;
                compat(&string(x, "type")?, &string(x, "name")?)
            }
            _ => return None,
        })
    }

    fn verdict(&mut self, name: &str, value: &Value<'a>) -> Option<Verdict<'a>> {
        let target = |v: &Value<'a>| match v {
            Value::Object(o) => string(o, "target"),
            Value::StringLit(s) => Some(s.value.clone()),
            _ => None,
        };
        Some(match name {
            "accept" => Verdict::Accept,
            "drop" => Verdict::Drop,
            "continue" => Verdict::Continue,
            "return" => Verdict::Return,
            "jump" => Verdict::Jump(target(value)?),
            "goto" => Verdict::Goto(target(value)?),
            "reject" => {
                let o = value.as_object();
                match o.and_then(|o| string(o, "type")) {
                    None => Verdict::Reject(None),
                    Some(kind) if kind == "tcp reset" => Verdict::Reject(Some(("tcp".into(), "reset".into()))),
                    Some(kind) => {
                        let code = o.and_then(|o| scalar(o, "expr")).unwrap_or("port-unreachable".into());
                        Verdict::Reject(Some((kind, code)))
                    }
                }
            }
            "queue" => {
                let o = value.as_object();
                let to = match o.and_then(|o| get(o, "num")) {
                    Some(v) => Some(self.expr(v)?.text()),
                    None => None,
                };
                Verdict::Opaque(queue_text(o.map(|o| strings(o, "flags")).unwrap_or_default(), to))
            }
            _ => return None,
        })
    }

    /// The canonical text of what limits a rule, and whether it names an object.
    fn condition(&mut self, name: &str, value: &Value<'a>) -> Option<(String, bool)> {
        let Value::Object(o) = value else {
            return Some((format!("{name} {}", self.expr(value)?.text()), true));
        };
        let over = truth(o, "inv");
        Some((
            match name {
                "limit" => {
                    let per = string(o, "per").unwrap_or("second".into());
                    let unit = match string(o, "rate_unit") {
                        Some(u) if u != "packets" => format!("{u}/{per}"),
                        _ => per.into_owned(),
                    };
                    let burst = scalar(o, "burst").map(|b| format!("{b} {}", string(o, "burst_unit").unwrap_or("packets".into())));
                    limit_text(&scalar(o, "rate")?, &unit, over, burst.as_deref())
                }
                "quota" => {
                    let unit = string(o, "val_unit").unwrap_or("bytes".into());
                    format!("quota {}{} {unit}", if over { "over " } else { "" }, scalar(o, "val")?)
                }
                "ct count" => format!("ct count {}{}", if over { "over " } else { "" }, scalar(o, "val")?),
                _ => return None,
            },
            false,
        ))
    }

    /// The conditions in the statements of a set update.
    fn conditions(&mut self, list: Option<&Value<'a>>) -> Option<Option<String>> {
        let Some(Value::Array(list)) = list else { return Some(None) };
        let mut texts = Vec::new();
        for v in &list.elements {
            let Value::Object(o) = v else { return None };
            let (name, value) = single(o)?;
            if !matches!(name, "counter" | "last") {
                texts.push(self.condition(name, value)?.0);
            }
        }
        Some((!texts.is_empty()).then(|| texts.join(" ")))
    }

    fn nat(&mut self, name: &str, o: Option<&Object<'a>>) -> Option<Nat<'a>> {
        let kind = match name {
            "snat" => NatKind::Source,
            "dnat" => NatKind::Destination,
            "masquerade" => NatKind::Masquerade,
            _ => NatKind::Redirect,
        };
        let mut nat = Nat { kind, family: None, addr: None, port: None, prefix: false };
        if let Some(o) = o {
            nat.family = match string(o, "family").as_deref() {
                Some("ip") => Some(Family::V4),
                Some("ip6") => Some(Family::V6),
                _ => None,
            };
            if let Some(v) = get(o, "addr") {
                nat.addr = Some(self.expr(v)?);
            }
            if let Some(v) = get(o, "port") {
                nat.port = Some(self.expr(v)?);
            }
            nat.prefix = strings(o, "type_flags").iter().any(|f| f == "prefix");
        }
        Some(nat)
    }

    /// An expression; `None` if it is not understood or nests too deeply.
    pub(super) fn expr(&mut self, v: &Value<'a>) -> Option<Expr<'a>> {
        if self.nesting == 0 {
            return None;
        }
        self.nesting -= 1;
        let e = self.expr_inner(v);
        self.nesting += 1;
        e
    }

    fn expr_inner(&mut self, v: &Value<'a>) -> Option<Expr<'a>> {
        let span = self.span(v);
        let kind = match v {
            Value::StringLit(s) => {
                if s.value.starts_with('@') {
                    Kind::SetRef(strip_at(s.value.clone()))
                } else if s.value == "*" {
                    Kind::Any
                } else {
                    Kind::Word(s.value.clone())
                }
            }
            Value::NumberLit(n) => Kind::Word(n.value.into()),
            Value::BooleanLit(b) => Kind::Word(if b.value { "true" } else { "false" }.into()),
            Value::NullKeyword(_) => return None,
            Value::Array(list) => Kind::List(list.elements.iter().map(|v| self.expr(v)).collect::<Option<_>>()?),
            Value::Object(o) => {
                let (name, value) = single(o)?;
                if let Some(verdict) = self.verdict(name, value) {
                    Kind::Verdict(verdict)
                } else {
                    return self.operator(name, value, v);
                }
            }
        };
        Some(Expr::new(kind, span))
    }

    fn operator(&mut self, name: &str, value: &Value<'a>, whole: &Value<'a>) -> Option<Expr<'a>> {
        let span = self.span(whole);
        let list = value.as_array();
        let inner = value.as_object();
        let kind = match name {
            "concat" => Kind::Concat(list?.elements.iter().map(|v| self.expr(v)).collect::<Option<_>>()?),
            "set" => Kind::Set(self.elements(value)?),
            "map" => {
                let m = inner?;
                Kind::Map(Box::new(self.expr(get(m, "key")?)?), Box::new(self.expr(get(m, "data")?)?))
            }
            "prefix" => {
                let p = inner?;
                Kind::Prefix(Box::new(self.expr(get(p, "addr")?)?), scalar(p, "len")?.parse().ok()?)
            }
            "range" => match list?.elements.as_slice() {
                [a, b] => Kind::Range(Box::new(self.expr(a)?), Box::new(self.expr(b)?)),
                _ => return None,
            },
            // An element with options: they are irrelevant to what the set holds.
            "elem" => return self.expr(get(inner?, "val")?),
            "|" | "&" | "^" | "<<" | ">>" => {
                let op = match name {
                    "|" => Op::Or,
                    "&" => Op::And,
                    "^" => Op::Xor,
                    "<<" => Op::Shl,
                    _ => Op::Shr,
                };
                let mut parts = list?.elements.iter();
                let mut left = self.expr(parts.next()?)?;
                for (n, v) in parts.enumerate() {
                    if n >= self.nesting {
                        return None;
                    }
                    let right = self.expr(v)?;
                    left = Expr::new(Kind::Bin(op, Box::new(left), Box::new(right)), span);
                }
                return Some(left);
            }
            _ => Kind::Sel(self.selector(name, inner?, whole)?),
        };
        Some(Expr::new(kind, span))
    }

    fn selector(&mut self, name: &str, o: &Object<'a>, whole: &Value<'a>) -> Option<Sel<'a>> {
        let number = |key: &str| scalar(o, key).and_then(|n| n.parse().ok());
        Some(match name {
            "payload" => match (string(o, "protocol"), string(o, "base")) {
                (Some(protocol), _) if get(o, "tunnel").is_none() => Sel::Payload(protocol, string(o, "field")?),
                (Some(protocol), _) => Sel::Other(format!("{} {protocol} {}", string(o, "tunnel")?, string(o, "field")?)),
                (None, base) => Sel::Raw(base?, number("offset")?, number("len")?),
            },
            "meta" => Sel::Meta(meta_key(string(o, "key")?)),
            "ct" => {
                let key = string(o, "key")?;
                let key: Text<'a> = match string(o, "family") {
                    Some(family) if !key.contains(' ') => Cow::Owned(format!("{family} {key}")),
                    _ => key,
                };
                Sel::Ct(string(o, "dir"), key)
            }
            "fib" => {
                let flags = strings(o, "flags");
                Sel::Fib(fib_flags(flags.iter().map(|f| &**f).collect()), string(o, "result")?)
            }
            "exthdr" => match (string(o, "name")?, string(o, "field")) {
                (name, Some(field)) => Sel::Other(format!("{name} {field}")),
                (name, None) => Sel::Other(format!("exthdr {name}")),
            },
            "tcp option" | "ip option" | "sctp chunk" | "dccp option" => {
                match (scalar(o, "name").or_else(|| scalar(o, "type"))?, string(o, "field")) {
                    (option, Some(field)) => Sel::Other(format!("{name} {option} {field}")),
                    (option, None) => Sel::Other(format!("{name} {option}")),
                }
            }
            "rt" => match string(o, "family") {
                Some(family) => Sel::Other(format!("rt {family} {}", string(o, "key")?)),
                None => Sel::Other(format!("rt {}", string(o, "key")?)),
            },
            "socket" => Sel::Other(format!("socket {}", string(o, "key")?)),
            "osf" => match string(o, "ttl") {
                Some(ttl) => Sel::Other(format!("osf ttl {ttl} {}", string(o, "key")?)),
                None => Sel::Other(format!("osf {}", string(o, "key")?)),
            },
            "numgen" | "jhash" | "symhash" => {
                let head = match name {
                    "numgen" => format!("numgen {}", string(o, "mode")?),
                    "jhash" => format!("jhash {}", self.expr(get(o, "expr")?)?.text()),
                    _ => "symhash".to_owned(),
                };
                let mut text = format!("{head} mod {}", scalar(o, "mod")?);
                for key in ["seed", "offset"] {
                    if let Some(n) = scalar(o, key).filter(|n| key != "offset" || n != "0") {
                        text = format!("{text} {key} {}", self.symbol(n, whole).text());
                    }
                }
                Sel::Other(text)
            }
            "ipsec" => {
                let mut text = "ipsec".to_owned();
                for key in ["dir", "spnum", "family", "key"] {
                    if let Some(part) = scalar(o, key) {
                        text = format!("{text} {part}");
                    }
                }
                Sel::Other(text)
            }
            _ => return None,
        })
    }
}

fn strip_at(t: Text<'_>) -> Text<'_> {
    match t {
        Cow::Borrowed(s) => Cow::Borrowed(s.strip_prefix('@').unwrap_or(s)),
        Cow::Owned(s) => Cow::Owned(s.strip_prefix('@').unwrap_or(&s).to_owned()),
    }
}
