//! Matchers to cubes.

use std::collections::HashMap;
use std::sync::Arc;

use super::program::Stage;
use super::space::Space;
use crate::model::{Device, Match, NamedSet, SetElement, SetValue};
use crate::net::{Family, Ranges};
use crate::packets::fields::ct;
use crate::packets::{Cube, Dim, Field};

/// A matcher has more alternatives than the bound allows.
#[derive(Debug)]
pub(super) struct TooMany;

/// A set's name and the fields that are looked up in it.
type SetKey = (Arc<str>, Vec<Field>);

/// Turns the matchers of one device into cubes of one family.
pub(super) struct Compiler<'a> {
    space: &'a Space,
    family: Family,
    sets: HashMap<&'a str, &'a NamedSet>,
    resolved: HashMap<SetKey, Arc<Vec<Cube>>>,
    limit: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(device: &'a Device, space: &'a Space, family: Family, limit: usize) -> Compiler<'a> {
        let sets = device.sets.iter().map(|s| (&*s.name, s)).collect();
        Compiler { space, family, sets, resolved: HashMap::new(), limit }
    }

    /// The cubes of the packets that match at a stage of their way. They may overlap. Before connection tracking a packet reads as
    /// invalid (`xt_conntrack.c`, `nft_ct.c`: no entry and not exempt).
    pub(super) fn cubes(&mut self, m: &Match, stage: Stage) -> Result<Vec<Cube>, TooMany> {
        self.signed(m, true, stage)
    }

    fn signed(&mut self, m: &Match, sign: bool, stage: Stage) -> Result<Vec<Cube>, TooMany> {
        let truth = |b: bool| if b == sign { vec![Cube::any()] } else { Vec::new() };
        Ok(match m {
            Match::Any => truth(true),
            Match::Never => truth(false),
            Match::Family(f) => truth(*f == self.family),
            Match::Field(Field::Ct, set) if stage.early => self.early_state(set, sign),
            Match::Field(Field::Ttl, set) => self.single(Field::Ttl, &stage.arriving_ttl(set), sign),
            Match::Field(field, set) => match self.space.fragment_condition(*field, set) {
                None => self.single(*field, set, sign),
                Some(id) => self.or_fragment(self.single(*field, set, sign), id, sign),
            },
            Match::Address(_, family, _) if *family != self.family => truth(false),
            Match::Address(field, _, set) => self.single(*field, set, sign),
            Match::Interface(direction, pattern) => {
                let set = self.space.interfaces(pattern);
                self.single(Space::direction_field(*direction), &set, sign)
            }
            Match::Opaque(id) => self.condition(id.0, sign),
            Match::InSet { set, fields, .. } => {
                let inside = self.members(set, fields)?;
                let cubes = if sign { inside.to_vec() } else { self.outside(&inside)? };
                match self.space.fragment_set_condition(set, fields) {
                    None => cubes,
                    Some(id) => self.or_fragment(cubes, id, sign),
                }
            }
            Match::Not(inner) => self.signed(inner, !sign, stage)?,
            Match::All(parts) if sign => self.product(parts, true, stage)?,
            Match::AnyOf(parts) if !sign => self.product(parts, false, stage)?,
            Match::All(parts) | Match::AnyOf(parts) => {
                let mut out = Vec::new();
                for part in parts {
                    out.extend(self.signed(part, sign, stage)?);
                    self.check(out.len())?;
                }
                merge(out, self.family)
            }
        })
    }

    fn check(&self, n: usize) -> Result<(), TooMany> {
        if n > self.limit { Err(TooMany) } else { Ok(()) }
    }

    fn single(&self, field: Field, set: &Ranges, sign: bool) -> Vec<Cube> {
        let set = if sign { set.clone() } else { set.complement(field.max(self.family)) };
        Cube::of(Dim::field(field), set, self.family).into_iter().collect()
    }

    /// Before tracking, a packet reads as untracked if a rule has exempted it, else as invalid.
    fn early_state(&self, set: &Ranges, sign: bool) -> Vec<Cube> {
        let untracked = Ranges::single(ct::UNTRACKED);
        let mut values = Ranges::EMPTY;
        if set.contains(ct::UNTRACKED) {
            values = values.or(&untracked);
        }
        if set.contains(ct::INVALID) {
            values = values.or(&untracked.complement(Field::Ct.max(self.family)));
        }
        self.single(Field::Ct, &values, sign)
    }

    /// `cubes` are the packets that match (`sign`) or do not: a later fragment also matches if what it carries reads so.
    fn or_fragment(&self, mut cubes: Vec<Cube>, id: u32, sign: bool) -> Vec<Cube> {
        let narrow = |c: &Cube, dim: Dim, set: &Ranges| c.with(dim, set, self.family);
        let later = Ranges::single(2);
        if sign {
            let fragment = narrow(&Cube::any(), Dim::field(Field::Fragment), &later);
            cubes.extend(fragment.and_then(|c| narrow(&c, Dim::condition(id), &Ranges::single(1))));
            return cubes;
        }
        let mut out = Vec::new();
        for cube in &cubes {
            out.extend(narrow(cube, Dim::field(Field::Fragment), &Ranges::interval(0, 1)));
            let fragment = narrow(cube, Dim::field(Field::Fragment), &later);
            out.extend(fragment.and_then(|c| narrow(&c, Dim::condition(id), &Ranges::single(0))));
        }
        out
    }

    fn condition(&self, id: u32, sign: bool) -> Vec<Cube> {
        Cube::of(Dim::condition(id), Ranges::single(u128::from(sign)), self.family).into_iter().collect()
    }

    /// The dimension and the values of a matcher that asks for one alone.
    fn one(&self, m: &Match, sign: bool, stage: Stage) -> Option<(Dim, Ranges)> {
        let signed =
            |field: Field, set: &Ranges| (Dim::field(field), if sign { set.clone() } else { set.complement(field.max(self.family)) });
        Some(match m {
            Match::Field(Field::Ct, _) if stage.early => return None,
            Match::Field(Field::Ttl, set) => signed(Field::Ttl, &stage.arriving_ttl(set)),
            Match::Field(field, set) if self.space.fragment_condition(*field, set).is_some() => return None,
            Match::Field(field, set) => signed(*field, set),
            Match::Address(field, family, set) if *family == self.family => signed(*field, set),
            Match::Interface(direction, pattern) => signed(Space::direction_field(*direction), &self.space.interfaces(pattern)),
            Match::Opaque(id) => (Dim::condition(id.0), Ranges::single(u128::from(sign))),
            Match::Not(inner) => return self.one(inner, !sign, stage),
            _ => return None,
        })
    }

    fn product(&mut self, parts: &[Match], sign: bool, stage: Stage) -> Result<Vec<Cube>, TooMany> {
        let mut out = vec![Cube::any()];
        for part in parts {
            if let Some((dim, set)) = self.one(part, sign, stage) {
                out.retain_mut(|cube| cube.narrow(dim, &set, self.family));
                if out.is_empty() {
                    break;
                }
                continue;
            }
            let next = self.signed(part, sign, stage)?;
            out = match (out.as_slice(), next.as_slice()) {
                ([one], [other]) => one.and(other).into_iter().collect(),
                _ => {
                    self.check(out.len().saturating_mul(next.len()))?;
                    out.iter().flat_map(|a| next.iter().filter_map(|b| a.and(b))).collect()
                }
            };
            if out.is_empty() {
                break;
            }
        }
        Ok(out)
    }

    /// The packets that are in none of the cubes.
    fn outside(&self, inside: &[Cube]) -> Result<Vec<Cube>, TooMany> {
        let mut rest = vec![Cube::any()];
        for cube in inside {
            let mut next = Vec::new();
            for piece in &rest {
                piece.minus_into(cube, self.family, &mut next);
            }
            self.check(next.len())?;
            rest = next;
        }
        Ok(rest)
    }

    fn members(&mut self, name: &Arc<str>, fields: &[Field]) -> Result<Arc<Vec<Cube>>, TooMany> {
        let cached = (name.clone(), fields.to_vec());
        if let Some(done) = self.resolved.get(&cached) {
            return Ok(done.clone());
        }
        let set = self.sets.get(&**name).copied();
        let mut cubes = Vec::new();
        if let Some(set) = set {
            for element in &set.elements {
                let Some(cube) = self.element(element, fields) else { continue };
                if element.excluded {
                    let mut left = Vec::new();
                    for c in &cubes {
                        Cube::minus_into(c, &cube, self.family, &mut left);
                    }
                    cubes = left;
                } else {
                    cubes.push(cube);
                }
                self.check(cubes.len())?;
            }
            cubes = merge(cubes, self.family);
        }
        if let Some(id) = self.space.set_condition(name, fields) {
            // Contents unknown: in the set under the condition, besides what is known to be in it.
            cubes.extend(self.condition(id, true));
        }
        let cubes = Arc::new(cubes);
        self.resolved.insert(cached, cubes.clone());
        Ok(cubes)
    }

    /// The packets of an element; `None` if there are none in this family.
    fn element(&self, element: &SetElement, fields: &[Field]) -> Option<Cube> {
        let mut cube = Cube::any();
        let with = |c: &Cube, field: Field, set: &Ranges| c.with(Dim::field(field), set, self.family);
        if element.values.len() > fields.len() {
            return None;
        }
        for (value, &field) in element.values.iter().zip(fields) {
            cube = match value {
                SetValue::Any => cube,
                SetValue::Address(family, set) if *family == self.family => with(&cube, field, set)?,
                SetValue::Address(..) => return None,
                SetValue::Number(set) => with(&cube, field, set)?,
                SetValue::Interface(pattern) => with(&cube, interface_of(field), &self.space.interfaces(pattern))?,
                SetValue::Service(protocol, rest) => {
                    let c = with(&cube, Field::Proto, &Ranges::single(u128::from(*protocol)))?;
                    match rest {
                        Some((kind, set)) => with(&c, port_of(*kind, field), set)?,
                        None => c,
                    }
                }
            };
        }
        Some(cube)
    }
}

/// The field that an interface in a set's element is compared with, where the key's field is the direction `src` or `dst`.
pub(super) fn interface_of(key: Field) -> Field {
    match key {
        Field::Src => Field::Iif,
        Field::Dst => Field::Oif,
        other => other,
    }
}

/// The field that a port (or ICMP type) in a set's element is compared with, where the key's field is the direction `src` or `dst`.
pub(super) fn port_of(kind: Field, key: Field) -> Field {
    match (kind, key) {
        (Field::Icmp, _) => Field::Icmp,
        (_, Field::Src) => Field::Sport,
        (_, Field::Dst) => Field::Dport,
        (_, other) => other,
    }
}

/// Where a group began, and the intervals of the dimension in which its cubes differ.
type Group = (usize, Vec<(u128, u128)>);

/// Joins cubes that differ in one dimension alone (the usual set of addresses or ports, and concatenations).
fn merge(cubes: Vec<Cube>, family: Family) -> Vec<Cube> {
    if cubes.len() < 2 {
        return cubes;
    }
    if cubes.iter().any(|c| c.dims().is_empty()) {
        return vec![Cube::any()];
    }
    let dims: Vec<Dim> = cubes[0].dims().iter().map(|d| d.0).collect();
    let mut list = cubes;
    for at in (0..dims.len()).rev() {
        if list.len() < 2 || !list.iter().all(|c| c.dims().iter().map(|d| d.0).eq(dims.iter().copied())) {
            break;
        }
        let mut groups: HashMap<Vec<Ranges>, Group> = HashMap::new();
        for (i, cube) in list.iter().enumerate() {
            let rest = cube.dims().iter().enumerate().filter(|(k, _)| *k != at).map(|(_, d)| d.1.clone()).collect();
            groups.entry(rest).or_insert_with(|| (i, Vec::new())).1.extend_from_slice(cube.dims()[at].1.intervals());
        }
        let mut joined: Vec<_> = groups.into_iter().map(|(rest, (i, v))| (i, rest, Ranges::from_intervals(v))).collect();
        joined.sort_by_key(|g| g.0);
        list = joined
            .into_iter()
            .filter_map(|(_, rest, set)| {
                let mut rest = rest.into_iter();
                dims.iter().enumerate().try_fold(Cube::any(), |cube, (k, dim)| {
                    let part = if k == at { set.clone() } else { rest.next()? };
                    cube.with(*dim, &part, family)
                })
            })
            .collect();
    }
    list
}
