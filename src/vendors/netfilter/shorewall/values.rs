//! Variables, their expansion, and the expressions of `?IF`.
//!
//! Source: shorewall-params(5) and the section on conditional entries of the configuration file basics of Shorewall 5.2.

use std::collections::BTreeMap;

use crate::net::Family;

/// Stands in an expanded text for a value that is not known: no text of Shorewall's files may hold it (they are ASCII).
pub(super) const UNKNOWN: char = '\u{e000}';

/// Longest line after the expansion of its variables, in bytes.
const LONGEST: usize = 1 << 16;

/// Variables that may be replaced in one line (Shorewall stops after as many).
const MOST: usize = 100;

/// The variables of a configuration.
#[derive(Default)]
pub(super) struct Variables {
    /// `None`: set to something that is not known.
    values: BTreeMap<String, Option<String>>,
    /// What names are not set at all: empty, refused, or unknown because the file that sets them is not there.
    pub missing: Missing,
}

/// What a variable that nothing sets is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Missing {
    /// Nobody knows: `params` is not among the files.
    #[default]
    Unknown,
    /// An empty text (`IGNOREUNKNOWNVARIABLES=Yes`).
    Empty,
    /// Shorewall refuses the file.
    Refused,
}

/// Parameters of an action's body, and what calls it.
#[derive(Clone, Default)]
pub(super) struct Arguments {
    /// `$1`, `@1` and so on, from the first.
    pub list: Vec<String>,
    /// Within an action: `@0`, `@chain`, `@caller` stand for texts that decide nothing.
    pub action: bool,
}

/// Why a text could not be expanded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    Undefined(String),
    Loop,
}

impl Variables {
    pub fn set(&mut self, name: &str, value: Option<String>) {
        self.values.insert(name.to_owned(), value);
    }

    pub fn unset(&mut self, name: &str) {
        self.values.remove(name);
    }

    pub fn get(&self, name: &str) -> Option<&Option<String>> {
        self.values.get(name)
    }

    /// `$NAME`, `${NAME}` and within actions `$1`, `@1`, `@{1}` replaced by their values, again and again until none is left.
    pub fn expand(&self, text: &str, arguments: &Arguments) -> Result<String, Trouble> {
        let mut text = text.to_owned();
        for sign in if arguments.action { &['$', '@'][..] } else { &['$'][..] } {
            let mut from = 0;
            for step in 0.. {
                let Some((start, end, name)) = reference(&text, from, *sign) else { break };
                if step >= MOST || text.len() > LONGEST {
                    return Err(Trouble::Loop);
                }
                let value = self.value(name, arguments, *sign)?;
                let Some(value) = value else {
                    // An at sign that names nothing stays.
                    from = end;
                    continue;
                };
                text = format!("{}{value}{}", text.get(..start).unwrap_or(""), text.get(end..).unwrap_or(""));
            }
        }
        Ok(text)
    }

    fn value(&self, name: &str, arguments: &Arguments, sign: char) -> Result<Option<String>, Trouble> {
        if let Ok(n) = name.parse::<usize>() {
            let none = if n == 0 { "chain".to_owned() } else { String::new() };
            return Ok(Some(n.checked_sub(1).and_then(|i| arguments.list.get(i)).cloned().unwrap_or(none)));
        }
        if sign == '@' {
            let known = ["chain", "caller", "action", "loglevel", "logtag", "disposition"];
            return Ok(known.contains(&name).then(|| "none".to_owned()));
        }
        match self.values.get(name) {
            Some(Some(value)) => Ok(Some(value.clone())),
            Some(None) => Ok(Some(UNKNOWN.to_string())),
            None => match self.missing {
                Missing::Unknown => Ok(Some(UNKNOWN.to_string())),
                Missing::Empty => Ok(Some(String::new())),
                Missing::Refused => Err(Trouble::Undefined(name.to_owned())),
            },
        }
    }

    /// Whether an expression of `?IF` holds; `None`: not known, or not one of those that are understood.
    pub fn condition(&self, text: &str, arguments: &Arguments, family: Family) -> Option<bool> {
        let mut parser = Expression { words: words(text)?, at: 0, variables: self, arguments, family, depth: 0 };
        let value = parser.or()?;
        (parser.at == parser.words.len()).then_some(())?;
        Some(value?.is_true())
    }
}

/// The next reference: where it begins and ends, and its name.
fn reference(text: &str, from: usize, sign: char) -> Option<(usize, usize, &str)> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find(sign)?;
        let rest = text.get(start + 1..)?;
        let (inner, braces) = rest.strip_prefix('{').map_or((rest, false), |r| (r, true));
        let length = if inner.starts_with(|c: char| c.is_ascii_digit()) {
            inner.bytes().take_while(u8::is_ascii_digit).count()
        } else {
            inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
        };
        let name = inner.get(..length).unwrap_or("");
        let end = start + 1 + length + 2 * usize::from(braces);
        if !name.is_empty() && (!braces || inner.get(length..length + 1) == Some("}")) {
            return Some((start, end, name));
        }
        at = start + 1;
    }
}

/// A word of an expression.
#[derive(Clone, PartialEq, Debug)]
enum Word {
    Sign(&'static str),
    Text(String),
    Variable(String),
    Capability(String),
    Passed(usize),
}

const SIGNS: [&str; 17] = ["&&", "||", "==", "!=", "<=", ">=", "=~", "!~", "!", "<", ">", "(", ")", "eq", "ne", "and", "or"];

fn words(text: &str) -> Option<Vec<Word>> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let first = rest.chars().next()?;
        if let Some(quote) = Some(first).filter(|c| matches!(c, '\'' | '"')) {
            let (inner, after) = rest.get(1..)?.split_once(quote)?;
            match inner.strip_prefix('$') {
                Some(name) => out.push(Word::Variable(name.trim_matches(['{', '}']).to_owned())),
                None if inner.contains('$') => return None,
                None => out.push(Word::Text(inner.to_owned())),
            }
            rest = after.trim_start();
            continue;
        }
        if matches!(first, '$' | '@') {
            let (start, end, name) = reference(rest, 0, first).filter(|r| r.0 == 0)?;
            debug_assert_eq!(start, 0);
            out.push(Word::Variable(name.to_owned()));
            rest = rest.get(end..)?.trim_start();
            continue;
        }
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let word = rest.get(..length).unwrap_or("");
        if let Some(sign) = SIGNS.iter().find(|s| if word.is_empty() { rest.starts_with(**s) } else { word == **s }) {
            out.push(Word::Sign(sign));
            rest = rest.get(sign.len()..)?.trim_start();
            continue;
        }
        if word.is_empty() {
            return None;
        }
        rest = rest.get(length..)?.trim_start();
        if word == "passed" {
            let (inner, after) = rest.strip_prefix('(')?.split_once(')')?;
            out.push(Word::Passed(inner.trim().trim_start_matches(['$', '@']).trim_matches(['{', '}']).parse().ok()?));
            rest = after.trim_start();
        } else if let Some(name) = word.strip_prefix("__") {
            out.push(Word::Capability(name.to_owned()));
        } else {
            out.push(Word::Text(word.to_owned()));
        }
    }
    Some(out)
}

/// A value within an expression.
#[derive(Clone, PartialEq, Debug)]
struct Value(String);

impl Value {
    /// As Perl asks: neither empty nor `0`.
    fn is_true(&self) -> bool {
        !self.0.is_empty() && self.0 != "0"
    }

    fn number(&self) -> Option<i64> {
        if self.0.is_empty() { Some(0) } else { self.0.parse().ok() }
    }

    fn of(truth: bool) -> Value {
        Value(if truth { "1".into() } else { String::new() })
    }
}

/// A reading of the words. `None` outside: not understood; `None` inside: not known.
struct Expression<'v> {
    words: Vec<Word>,
    at: usize,
    variables: &'v Variables,
    arguments: &'v Arguments,
    family: Family,
    depth: usize,
}

type Maybe = Option<Option<Value>>;

impl Expression<'_> {
    fn take(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        match self.words.get(self.at) {
            Some(Word::Sign(s)) if signs.contains(s) => {
                self.at += 1;
                Some(s)
            }
            _ => None,
        }
    }

    fn or(&mut self) -> Maybe {
        let mut left = self.and()?;
        while self.take(&["||", "or"]).is_some() {
            let right = self.and()?;
            left = match (left, right) {
                (Some(l), _) if l.is_true() => Some(l),
                (_, Some(r)) if r.is_true() => Some(r),
                (Some(_), Some(r)) => Some(r),
                _ => None,
            };
        }
        Some(left)
    }

    fn and(&mut self) -> Maybe {
        let mut left = self.compared()?;
        while self.take(&["&&", "and"]).is_some() {
            let right = self.compared()?;
            left = match (left, right) {
                (Some(l), _) if !l.is_true() => Some(l),
                (_, Some(r)) if !r.is_true() => Some(r),
                (Some(_), Some(r)) => Some(r),
                _ => None,
            };
        }
        Some(left)
    }

    fn compared(&mut self) -> Maybe {
        let left = self.single()?;
        let Some(sign) = self.take(&["==", "!=", "<=", ">=", "<", ">", "eq", "ne"]) else { return Some(left) };
        let (Some(left), Some(right)) = (left, self.single()?) else { return Some(None) };
        let numbers = left.number().zip(right.number());
        let truth = match sign {
            "eq" => Some(left.0 == right.0),
            "ne" => Some(left.0 != right.0),
            "==" => numbers.map(|(l, r)| l == r),
            "!=" => numbers.map(|(l, r)| l != r),
            "<=" => numbers.map(|(l, r)| l <= r),
            ">=" => numbers.map(|(l, r)| l >= r),
            "<" => numbers.map(|(l, r)| l < r),
            _ => numbers.map(|(l, r)| l > r),
        };
        Some(truth.map(Value::of))
    }

    fn single(&mut self) -> Maybe {
        self.depth += 1;
        if self.depth > 64 {
            return None;
        }
        let value = self.single_inner();
        self.depth -= 1;
        value
    }

    fn single_inner(&mut self) -> Maybe {
        if self.take(&["!"]).is_some() {
            return Some(self.single()?.map(|v| Value::of(!v.is_true())));
        }
        if self.take(&["("]).is_some() {
            let value = self.or()?;
            self.take(&[")"])?;
            return Some(value);
        }
        let word = self.words.get(self.at).cloned()?;
        self.at += 1;
        Some(match word {
            Word::Text(text) => Some(Value(text)),
            Word::Passed(n) => {
                let given = n.checked_sub(1).and_then(|i| self.arguments.list.get(i));
                Some(Value::of(given.is_some_and(|g| !g.is_empty() && g != "-")))
            }
            Word::Variable(name) => match name.parse::<usize>() {
                Ok(n) => Some(Value(n.checked_sub(1).and_then(|i| self.arguments.list.get(i)).cloned().unwrap_or_default())),
                // What is not set is empty in an expression, whatever else is said of unknown variables.
                Err(_) => match (self.variables.get(&name), self.variables.missing) {
                    (Some(value), _) => value.clone().map(Value),
                    (None, Missing::Unknown) => None,
                    (None, _) => Some(Value(String::new())),
                },
            },
            Word::Capability(name) => match name.as_str() {
                "IPV4" => Some(Value::of(self.family == Family::V4)),
                "IPV6" => Some(Value::of(self.family == Family::V6)),
                // Any kernel and iptables since 2015 has these.
                "ADDRTYPE" | "CT_TARGET" | "CONNTRACK_MATCH" | "MULTIPORT" | "RAW_TABLE" | "MANGLE_ENABLED" | "NAT_ENABLED" => {
                    Some(Value::of(true))
                }
                name if name.ends_with("_HELPER") => Some(Value::of(true)),
                _ => None,
            },
            Word::Sign(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let mut v = Variables { missing: Missing::Empty, ..Variables::default() };
        v.set("NET", Some("eth0".into()));
        v.set("ALIAS", Some("$NET".into()));
        v.set("SECRET", None);
        v.set("LOOP", Some("${LOOP}x".into()));
        v
    }

    #[test]
    fn variables_are_replaced_until_none_is_left() {
        let v = variables();
        let args = Arguments::default();
        assert_eq!(v.expand("net ${ALIAS} $NET.5", &args).as_deref(), Ok("net eth0 eth0.5"));
        assert_eq!(v.expand("a $NOTHING b", &args).as_deref(), Ok("a  b"));
        assert_eq!(v.expand("$SECRET", &args), Ok(UNKNOWN.to_string()));
        assert_eq!(v.expand("$LOOP", &args), Err(Trouble::Loop));
        assert_eq!(v.expand("100% $ {", &args).as_deref(), Ok("100% $ {"));
    }

    #[test]
    fn conditions_are_read_as_perl_does() {
        let v = variables();
        let args = Arguments { list: vec!["DROP".into(), "-".into()], action: true };
        let ask = |text: &str| v.condition(text, &args, Family::V4);
        assert_eq!(ask("$NET"), Some(true));
        assert_eq!(ask("! $NOTHING && __IPV4"), Some(true));
        assert_eq!(ask("__IPV6 || '$NET' eq 'eth1'"), Some(false));
        assert_eq!(ask("$SECRET || 1"), Some(true));
        assert_eq!(ask("$SECRET"), None);
        assert_eq!(ask("passed(@1) and ! passed(@2)"), Some(true));
        assert_eq!(ask("( 3 < 5 ) && ! 0"), Some(true));
        assert_eq!(ask("$NET =~ /eth/"), None);
    }
}
