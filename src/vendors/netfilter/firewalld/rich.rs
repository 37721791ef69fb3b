//! Rich rules as `firewall-cmd` prints them (firewalld.richlanguage(5)).

use super::objects::{Element, Place, Rich, Verdict, addresses, forward_port, mac, port, protocol};
use crate::net::Family;
use crate::source::Span;

/// A word: an element's name, or an attribute with its value.
enum Word {
    Name(String),
    Attribute(String, String),
}

/// Words, with quotes taken away.
fn words(text: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut equals = None;
    let mut quote = None;
    let mut any = false;
    for c in text.chars().chain([' ']) {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                any = true;
            }
            None if c.is_whitespace() => {
                if any || !word.is_empty() {
                    out.push(match equals {
                        Some(at) => {
                            let value = word.split_off(at);
                            Word::Attribute(std::mem::take(&mut word), value)
                        }
                        None => Word::Name(std::mem::take(&mut word)),
                    });
                }
                (equals, any) = (None, false);
                word.clear();
            }
            None if c == '=' && equals.is_none() => equals = Some(word.len()),
            None => {
                word.push(c);
                any = true;
            }
        }
    }
    out
}

/// An element with its attributes, and the limit within it.
#[derive(Default)]
struct Piece {
    name: String,
    attributes: Vec<(String, String)>,
    negated: bool,
    limit: Option<String>,
}

impl Piece {
    fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|a| a.0 == name).map_or("", |a| a.1.as_str())
    }
}

/// Reads one rule.
pub(super) fn parse(text: &str, span: Span) -> Rich {
    let mut rule = Rich::new(span);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut in_limit = false;
    for word in words(text) {
        match word {
            Word::Name(n) if n.eq_ignore_ascii_case("not") => {
                if let Some(p) = pieces.last_mut() {
                    p.negated = true;
                }
            }
            Word::Name(n) if n == "limit" => in_limit = true,
            Word::Name(name) => {
                in_limit = false;
                pieces.push(Piece { name, ..Piece::default() });
            }
            Word::Attribute(name, value) => match pieces.last_mut() {
                Some(p) if in_limit => {
                    p.limit = Some(value);
                    in_limit = false;
                }
                Some(p) => p.attributes.push((name, value)),
                None => rule.puzzle(name),
            },
        }
    }
    for (i, piece) in pieces.into_iter().enumerate() {
        if i == 0 {
            head(&piece, &mut rule);
        } else {
            part(&piece, &mut rule);
        }
    }
    rule
}

fn head(piece: &Piece, rule: &mut Rich) {
    if piece.name != "rule" {
        rule.puzzle(format!("`{}`", piece.name));
    }
    for (name, value) in &piece.attributes {
        match (name.as_str(), value.as_str()) {
            ("family", "ipv4") => rule.family = Some(Family::V4),
            ("family", "ipv6") => rule.family = Some(Family::V6),
            ("priority", value) if value.parse::<i32>().is_ok() => rule.priority = value.parse().unwrap_or(0),
            _ => rule.puzzle(format!("attribute `{name}`")),
        }
    }
}

fn part(piece: &Piece, rule: &mut Rich) {
    let about = match piece.name.as_str() {
        "source" | "destination" => {
            let inverted = piece.negated || matches!(piece.get("invert").to_lowercase().as_str(), "yes" | "true");
            let found = match (piece.get("ipset"), piece.get("address")) {
                ("", "") => mac(piece.get("mac")).map(Place::Mac),
                ("", address) => addresses(address).map(|(f, r)| Place::Addresses(f, r)),
                (set, _) => Some(Place::Set(set.to_owned())),
            };
            match found {
                Some(found) if piece.name == "source" => rule.source = Some((found, inverted)),
                Some(found) => rule.destination = Some((found, inverted)),
                None => rule.puzzle(format!("`{}`", piece.name)),
            }
            return;
        }
        "log" | "nflog" => {
            rule.log = Some(piece.limit.clone());
            return;
        }
        "audit" => {
            rule.audit = Some(piece.limit.clone());
            return;
        }
        "accept" | "reject" | "drop" | "mark" => {
            rule.limit.clone_from(&piece.limit);
            rule.action = Some(match piece.name.as_str() {
                "accept" => Verdict::Accept,
                "reject" => Verdict::Reject(Some(piece.get("type").to_owned()).filter(|t| !t.is_empty())),
                "drop" => Verdict::Drop,
                _ => Verdict::Mark(piece.get("set").to_owned()),
            });
            return;
        }
        "service" => Some(Element::Service(piece.get("name").to_owned())),
        "port" => port(piece.get("port"), piece.get("protocol")).map(Element::Port),
        "source-port" => port(piece.get("port"), piece.get("protocol")).map(Element::SourcePort),
        "protocol" => protocol(piece.get("value")).map(Element::Protocol),
        "icmp-block" => Some(Element::IcmpBlock(piece.get("name").to_owned())),
        "icmp-type" => Some(Element::IcmpType(piece.get("name").to_owned())),
        "masquerade" => Some(Element::Masquerade),
        "tcp-mss-clamp" => Some(Element::MssClamp),
        "forward-port" => {
            let (to_port, to_addr) = (piece.get("to-port"), piece.get("to-addr"));
            forward_port(piece.get("port"), piece.get("protocol"), to_port, to_addr).map(Element::ForwardPort)
        }
        _ => None,
    };
    match about {
        Some(about) if rule.element == Element::None => rule.element = about,
        _ => rule.puzzle(format!("`{}`", piece.name)),
    }
}
