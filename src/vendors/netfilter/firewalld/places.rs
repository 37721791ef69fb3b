//! Sources and destinations, and the ip sets that they name.

use std::collections::HashMap;
use std::sync::Arc;

use super::chains::Chains;
use super::objects::{IpSet, Place, Said, addresses, mac, ports, protocol};
use crate::diag::LineState;
use crate::model::{Match, NamedSet, SetElement, SetValue};
use crate::net::{Family, Ranges, parse_addr};
use crate::packets::Field;
use crate::source::Span;

/// What is known of a set: its family and the parts of its key; no parts if it is not modelled.
struct Known {
    name: Arc<str>,
    family: Family,
    parts: Vec<String>,
}

/// The ip sets by name.
#[derive(Default)]
pub(super) struct Sets {
    known: HashMap<String, Known>,
}

impl Sets {
    /// Lowers the sets.
    pub fn lower(chains: &mut Chains<'_, '_>, sets: Vec<IpSet>) -> Sets {
        let mut index: HashMap<String, IpSet> = HashMap::new();
        let mut order = Vec::new();
        for set in sets {
            if !index.contains_key(&set.name) {
                order.push(set.name.clone());
            }
            index.insert(set.name.clone(), set);
        }
        let mut out = Sets::default();
        for name in order {
            let Some(set) = index.remove(&name) else { continue };
            out.add(chains, set);
        }
        out
    }

    fn add(&mut self, chains: &mut Chains<'_, '_>, set: IpSet) {
        let model: Arc<str> = format!("firewalld/{}", set.name).into();
        let parts: Vec<&str> = set.parts.iter().map(String::as_str).collect();
        // Keys with an interface or two addresses are compared in a way that differs between versions.
        let modelled = matches!(parts[..], ["ip" | "net"] | ["mac"] | ["ip" | "net", "port"] | ["ip", "mark"]);
        let mut elements = Vec::with_capacity(set.entries.len());
        for entry in set.entries.iter().filter(|_| modelled) {
            match values(&parts, entry) {
                Some(values) => elements.push(SetElement { values, excluded: false, span: entry.span }),
                None => {
                    let text = format!("this is no entry of a set of the type hash:{}", parts.join(","));
                    chains.reader.incomplete(entry.span, LineState::Unsupported, text);
                }
            }
        }
        if !modelled {
            let text = format!("sets of the type hash:{} are not modelled", parts.join(","));
            chains.reader.note(set.span, LineState::NotModelled, text);
        }
        let parts = if modelled { set.parts.clone() } else { Vec::new() };
        chains.reader.device.sets.push(NamedSet { name: model.clone(), span: set.span, elements, dynamic: set.timeout || !modelled });
        self.known.insert(set.name, Known { name: model, family: set.family, parts });
    }

    /// The family of a set; `None` for MAC addresses, or where it is not known.
    pub fn family(&self, name: &str) -> Option<Family> {
        self.known.get(name).filter(|k| k.parts.first().is_some_and(|p| p != "mac")).map(|k| k.family)
    }
}

/// The values of an entry.
fn values(parts: &[&str], entry: &Said<String>) -> Option<Vec<SetValue>> {
    let words: Vec<&str> = entry.value.split(',').map(str::trim).collect();
    if words.len() != parts.len() {
        return None;
    }
    let mut out = Vec::new();
    for (part, word) in parts.iter().zip(words) {
        match *part {
            "ip" | "net" => {
                let found = addresses(word).or_else(|| {
                    let (lo, hi) = word.split_once('-')?;
                    let ((family, lo), (other, hi)) = (parse_addr(lo)?, parse_addr(hi)?);
                    (family == other && lo <= hi).then(|| (family, Ranges::interval(lo, hi)))
                });
                let (family, set) = found?;
                out.push(SetValue::Address(family, set));
            }
            "mac" => out.push(SetValue::Number(Ranges::single(mac(word)?))),
            "port" => {
                let (proto, port) = word.split_once(':').unwrap_or(("tcp", word));
                let proto = protocol(proto)?;
                out.push(SetValue::Number(Ranges::single(proto.into())));
                out.push(SetValue::Number(ports(port, Some(proto))?));
            }
            "mark" => {
                let n = match word.strip_prefix("0x") {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => word.parse().ok()?,
                };
                out.push(SetValue::Number(Ranges::single(n.into())));
            }
            _ => return None,
        }
    }
    Some(out)
}

/// The packets whose source or destination (`field`) is there.
pub(super) fn place(chains: &mut Chains<'_, '_>, sets: &Sets, place: &Place, inverted: bool, field: Field, span: Span) -> Match {
    match place {
        Place::Addresses(family, set) => Match::address(field, *family, set.clone(), inverted),
        Place::Mac(n) if field == Field::Src => Match::field(Field::SrcMac, Ranges::single(*n), inverted),
        Place::Mac(n) => chains.condition(&format!("ether daddr {n:#x}"), span).negate_if(inverted),
        Place::Set(name) => in_set(chains, sets, name, inverted, field, span),
    }
}

fn in_set(chains: &mut Chains<'_, '_>, sets: &Sets, name: &str, inverted: bool, field: Field, span: Span) -> Match {
    let side = if field == Field::Src { "source" } else { "destination" };
    let unknown = format!("{side} in the set {name}");
    let Some(known) = sets.known.get(name) else {
        let text = format!("the set `{name}` was not read: firewalld would not load this");
        chains.reader.note(span, LineState::Unsupported, text);
        return chains.condition(&unknown, span).negate_if(inverted);
    };
    let port = if field == Field::Src { Field::Sport } else { Field::Dport };
    let parts: Vec<&str> = known.parts.iter().map(String::as_str).collect();
    let (fields, family) = match parts[..] {
        ["ip" | "net"] => (vec![field], Some(known.family)),
        ["ip" | "net", "port"] => (vec![field, Field::Proto, port], Some(known.family)),
        ["ip", "mark"] => (vec![field, Field::Mark], Some(known.family)),
        ["mac"] if field == Field::Src => (vec![Field::SrcMac], None),
        _ => return chains.condition(&unknown, span).negate_if(inverted),
    };
    let mut out: Vec<Match> = family.map(Match::Family).into_iter().collect();
    if inverted && fields.len() == 3 {
        // A port is read before it is compared.
        out.push(Match::Field(port, Ranges::interval(0, port.max_present(Family::V4))));
    }
    out.push(Match::InSet { set: known.name.clone(), fields, span }.negate_if(inverted));
    Match::all(out)
}
