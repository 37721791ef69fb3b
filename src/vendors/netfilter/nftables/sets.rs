//! Named sets: their keys and elements.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{Elem, Expr, KeyType, Kind, SetDecl};
use super::matching::is_interface;
use super::ruleset::Table;
use super::values::{Info, Ty, info, interface, named_type, ranges, to_model};
use crate::diag::LineState;
use crate::model::{NamedSet, SetElement, SetValue};
use crate::net::Family;
use crate::source::Span;
use crate::vendors::Reader;

/// The sets of a table, by whether the model can hold them.
#[derive(Default)]
pub struct Sets {
    /// Modelled: nftables name to model name.
    pub modelled: HashMap<String, Arc<str>>,
    /// Not modelled: of a type that the model lacks.
    pub unmodelled: HashMap<String, Span>,
}

/// Lowers the sets of a table into the reader's device. Maps are lowered where they are used.
pub fn lower_sets(reader: &mut Reader<'_>, table: &Table<'_>, scope: &str, only: Option<Family>) -> Sets {
    let mut sets = Sets::default();
    for decl in table.sets.iter().filter(|s| !s.is_map) {
        let infos: Vec<Info> = decl.key.iter().map(|k| key_info(k, only)).collect();
        if infos.is_empty() || infos.iter().any(|i| !modelled(i.ty)) {
            sets.unmodelled.insert(decl.name.clone(), decl.span);
            reader.note(
                decl.span,
                LineState::NotModelled,
                format!("the type of set {} is not modelled: what it holds is not known", decl.name),
            );
            continue;
        }
        let name: Arc<str> = Arc::from(format!("{scope}/{}", decl.name));
        sets.modelled.insert(decl.name.clone(), name.clone());
        let set = named_set(reader, decl, name, &infos, table.updated.contains(&decl.name));
        reader.device.sets.push(set);
    }
    sets
}

fn modelled(ty: Ty) -> bool {
    !matches!(ty, Ty::Other | Ty::CtStatus | Ty::FragOff | Ty::EtherType | Ty::NfProto | Ty::Version)
}

/// The type of a key's part.
fn key_info(key: &KeyType<'_>, only: Option<Family>) -> Info {
    match key {
        KeyType::Name(name) => named_type(name),
        KeyType::Of(e) => match &e.peel().kind {
            Kind::Sel(sel) => info(sel, only),
            _ => named_type(""),
        },
    }
}

fn named_set(reader: &mut Reader<'_>, decl: &SetDecl<'_>, name: Arc<str>, infos: &[Info], updated: bool) -> NamedSet {
    let mut set = NamedSet { name, span: decl.span, elements: Vec::with_capacity(decl.elements.len()), dynamic: decl.dynamic || updated };
    for elem in &decl.elements {
        match element(elem, infos) {
            Some(values) => set.elements.push(SetElement { values, excluded: false, span: elem.span }),
            None => {
                set.dynamic = true;
                let text = elem.key.text();
                reader.note(
                    elem.span,
                    LineState::Unsupported,
                    format!("element {text} is not understood: membership of the set is not known"),
                );
            }
        }
    }
    set
}

fn element(elem: &Elem<'_>, infos: &[Info]) -> Option<Vec<SetValue>> {
    let key = elem.key.peel();
    match (&key.kind, infos) {
        (Kind::Any, _) => Some(vec![SetValue::Any; infos.len()]),
        (Kind::Concat(parts), _) if parts.len() == infos.len() => parts.iter().zip(infos).map(|(p, i)| value(p, *i)).collect(),
        (_, [one]) => value(key, *one).map(|v| vec![v]),
        _ => None,
    }
}

fn value(e: &Expr<'_>, info: Info) -> Option<SetValue> {
    if matches!(e.peel().kind, Kind::Any) {
        return Some(SetValue::Any);
    }
    if is_interface(info.ty) {
        return interface(e, matches!(info.ty, Ty::Iface(_, true))).map(SetValue::Interface);
    }
    let raw = ranges(info.ty, info.proto, e, &mut 1)?;
    Some(match info.ty {
        Ty::Addr(family) => SetValue::Address(family, raw),
        ty => SetValue::Number(to_model(ty, &raw)),
    })
}
