//! Translations: constants, and maps with one rule for each element.

use super::ast::{Elem, Expr, Kind, Nat, Sel};
use super::lower::Lowering;
use super::values::{Ty, ranges};
use crate::diag::LineState;
use crate::model::{Match, NatKind, Translation};
use crate::net::{Family, Ranges};
use crate::source::Span;

/// A translation with what it asks beside the rule, and its place if that is not the whole rule.
type Found = (Match, Translation, Option<Span>);

/// The translations that a statement makes, in order.
pub fn translations<'a>(lowering: &mut Lowering<'_, '_, 'a>, nat: &Nat<'a>, family: Option<Family>, span: Span) -> Vec<Found> {
    let mut base = Translation { kind: nat.kind, addresses: None, keep_host_bits: nat.prefix, ports: None, unknown: false };
    let (map, other, of_ports) = match (nat.addr.as_ref().map(|e| &e.peel().kind), nat.port.as_ref().map(|e| &e.peel().kind)) {
        (Some(Kind::Map(key, data)), port) => {
            if matches!(port, Some(Kind::Map(..))) {
                return unknown(lowering, base, span);
            }
            (Some((&**key, &**data)), nat.port.as_ref(), false)
        }
        (_, Some(Kind::Map(key, data))) => (Some((&**key, &**data)), nat.addr.as_ref(), true),
        _ => (None, None, false),
    };
    let Some((key, data)) = map else {
        let ok = nat.addr.as_ref().is_none_or(|e| address(&mut base, family, e)) && nat.port.as_ref().is_none_or(|e| port(&mut base, e));
        return if ok { vec![(Match::Any, base, None)] } else { unknown(lowering, base, span) };
    };
    // The part that is no map.
    if let Some(e) = other
        && !(if of_ports { address(&mut base, family, e) } else { port(&mut base, e) })
    {
        return unknown(lowering, base, span);
    }
    expand(lowering, nat, base, family, (key, data), of_ports, span)
}

/// One translation for each element of a map.
fn expand<'a>(
    lowering: &mut Lowering<'_, '_, 'a>,
    nat: &Nat<'a>,
    base: Translation,
    family: Option<Family>,
    (key, data): (&Expr<'a>, &Expr<'a>),
    of_ports: bool,
    span: Span,
) -> Vec<Found> {
    let table = lowering.table;
    let mut dynamic = false;
    let mut elems: Vec<Elem<'a>> = Vec::new();
    match &data.peel().kind {
        Kind::SetRef(name) => match table.set(name) {
            Some(decl) => {
                dynamic = decl.dynamic || table.updated.contains(&**name);
                elems.clone_from(&decl.elements);
            }
            None => {
                lowering.reader.refused(data.span, format!("map {name} is not defined"));
                dynamic = true;
            }
        },
        _ => {
            let mut all = Vec::new();
            dynamic |= !lowering.flatten(data, &mut |e| all.push(e.into_owned()));
            elems = all;
        }
    }
    let target = |to: &mut Translation, e: &Elem<'a>| match &e.data {
        Some(d) if of_ports => port(to, d),
        Some(d) => address(to, family, d),
        None => false,
    };
    let mut found = Vec::new();
    // Distribution over several targets: which one a packet gets is nobody's to say, that it gets one of them is.
    let spread = matches!(&key.peel().kind, Kind::Sel(Sel::Other(t)) if t.starts_with("numgen") || t.starts_with("jhash") || t.starts_with("symhash"));
    if spread && !dynamic {
        let mut all = base.clone();
        let mut ok = !elems.is_empty();
        for (n, e) in elems.iter().enumerate() {
            let mut one = base.clone();
            ok &= target(&mut one, e);
            if n == 0 {
                all = one;
            } else {
                all.addresses = match (all.addresses, one.addresses) {
                    (Some((f, a)), Some((g, b))) if f == g => Some((f, a.or(&b))),
                    _ => None,
                };
                all.ports = match (all.ports, one.ports) {
                    (Some(a), Some(b)) => Some(a.or(&b)),
                    _ => None,
                };
            }
        }
        return if ok { vec![(Match::Any, all, None)] } else { unknown(lowering, base, span) };
    }
    for e in &elems {
        let mut one = base.clone();
        if !target(&mut one, e) {
            one.unknown = true;
            lowering.reader.note(
                e.span,
                LineState::Unsupported,
                "the target of this element is not understood: it may be any address or port",
            );
        }
        let m = lowering.matching().element(key, &e.key, e.span);
        found.push((m, one, Some(e.span)));
    }
    if dynamic {
        let text = format!("{} in {}", key.text(), data.text());
        let m = lowering.matching().condition(&text, true, span);
        found.push((m, Translation { unknown: true, keep_host_bits: nat.prefix, ..base }, None));
    }
    found
}

fn unknown(lowering: &mut Lowering<'_, '_, '_>, base: Translation, span: Span) -> Vec<Found> {
    lowering.reader.note(span, LineState::NotModelled, "the target of this translation is not modelled: it may be any address or port");
    vec![(Match::Any, Translation { unknown: true, ..base }, None)]
}

/// Reads new addresses, or `address . port`. `false`: not understood.
fn address(to: &mut Translation, family: Option<Family>, e: &Expr<'_>) -> bool {
    if let Kind::Concat(parts) = &e.peel().kind {
        return match parts.as_slice() {
            [a, p] => address(to, family, a) && port(to, p),
            _ => false,
        };
    }
    if matches!(to.kind, NatKind::Redirect | NatKind::Masquerade) {
        return port(to, e);
    }
    let families = family.map_or(Family::BOTH.to_vec(), |f| vec![f]);
    let read = families.iter().find_map(|f| ranges(Ty::Addr(*f), None, e, &mut 1).map(|r| (*f, r)));
    let ok = read.is_some();
    to.addresses = read;
    ok
}

/// Reads new ports.
fn port(to: &mut Translation, e: &Expr<'_>) -> bool {
    let read: Option<Ranges> = ranges(Ty::Port, None, e, &mut 1);
    let ok = read.is_some();
    to.ports = read;
    ok
}
