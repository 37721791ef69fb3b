//! Translation: what addresses and ports become.

use super::ast::{Host, Iface, Pool, Rule, Xlate};
use super::lower::Lowering;
use crate::model::{NatKind, Translation};
use crate::net::{Family, Ranges};

/// The ports that pf gives to translated connections unless told otherwise (`PF_NAT_PROXY_PORT_LOW` and `_HIGH` of `pfvar.h`).
const PROXY_PORTS: (u128, u128) = (50001, 65535);

impl Lowering<'_, '_> {
    /// The translation of a pool that applies to what `rule` matches.
    pub fn translation(&self, rule: &Rule, pool: &Pool, kind: Xlate) -> Translation {
        let source = kind == Xlate::Nat;
        let mut translation = Translation {
            kind: if source { NatKind::Source } else { NatKind::Destination },
            addresses: None,
            keep_host_bits: pool.bitmask,
            ports: None,
            unknown: false,
        };
        self.addresses(rule, pool, source, &mut translation);
        translation.ports = if source { source_ports(pool) } else { destination_ports(rule, pool) };
        translation
    }

    fn addresses(&self, rule: &Rule, pool: &Pool, source: bool, translation: &mut Translation) {
        let mut family = None;
        let mut intervals = Vec::new();
        for place in &pool.places {
            let known = match &place.host {
                Host::Net(f, lo, hi) if !place.not => Some((*f, Ranges::interval(*lo, *hi))),
                Host::Table(name) if !place.not => self.table_ranges.get(format!("<{name}>").as_str()).cloned().flatten(),
                Host::Iface { name, part, mask: None, .. } if !place.not && pool.places.len() == 1 => {
                    if name == "lo0" && !source {
                        // A rule without a family redirects both: which address it is follows from the packet's, and is this host's own.
                        translation.kind = NatKind::Redirect;
                        return;
                    }
                    // The address of the interface through which the packet leaves, or on which it arrived.
                    let same = matches!(rule.on.as_slice(), [Iface { not: false, name: on, .. }] if on == name);
                    if source && same && (part.is_empty() || part == "0") {
                        translation.kind = NatKind::Masquerade;
                        return;
                    }
                    None
                }
                _ => None,
            };
            match known {
                Some((f, set)) if family.is_none_or(|g| g == f) => {
                    family = Some(f);
                    intervals.extend_from_slice(set.intervals());
                }
                // Addresses of both families: which of them follows from the packet.
                _ => {
                    translation.unknown = true;
                    return;
                }
            }
        }
        match family {
            Some(family) => translation.addresses = Some((family, Ranges::from_intervals(intervals))),
            None => translation.unknown = true,
        }
    }
}

fn source_ports(pool: &Pool) -> Option<Ranges> {
    match pool.ports {
        Some((lo, Some(hi))) => Some(Ranges::interval(u128::from(lo.min(hi)), u128::from(hi.max(lo)))),
        Some((lo, None)) => Some(Ranges::single(u128::from(lo))),
        None if pool.static_port => None,
        None => Some(Ranges::interval(PROXY_PORTS.0, PROXY_PORTS.1)),
    }
}

/// `80` is that port; `80:*` keeps the distance from the first port of the rule, `80:90` is any of them.
fn destination_ports(rule: &Rule, pool: &Pool) -> Option<Ranges> {
    let (lo, hi) = pool.ports?;
    let lo = u128::from(lo);
    let range = rule.dport.as_ref().and_then(|r| Some((r.min()?, r.max()?)));
    match (hi, range) {
        (Some(hi), _) => Some(Ranges::interval(lo.min(u128::from(hi)), u128::from(hi).max(lo))),
        (None, Some((first, last))) => Some(Ranges::interval(lo, (lo + (last - first)).min(0xffff))),
        (None, None) => Some(Ranges::single(lo)),
    }
}

/// The family of a pool's first address, by which a rule without one is of that family.
pub(super) fn family(pool: &Pool) -> Option<Family> {
    let mut families = pool.places.iter().map(|p| match &p.host {
        Host::Net(f, ..) => Some(*f),
        _ => None,
    });
    let first = families.next()??;
    families.all(|f| f == Some(first)).then_some(first)
}
