//! Products of per-field sets, and single packets.

use smallvec::SmallVec;

use super::fields::Field;
use crate::net::{Family, Ranges};

/// A dimension of packet space: a header field, or an opaque condition of the device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Dim(u32);

const CONDITION_BASE: u32 = 64;

impl Dim {
    /// The dimension of a header field.
    pub const fn field(field: Field) -> Dim {
        Dim(field as u32)
    }

    /// The dimension of the opaque condition with this number.
    pub const fn condition(id: u32) -> Dim {
        Dim(CONDITION_BASE + id)
    }

    /// The header field, unless this is a condition.
    pub fn as_field(self) -> Option<Field> {
        Field::ALL.get(self.0 as usize).copied()
    }

    /// The number of the opaque condition, unless this is a field.
    pub fn as_condition(self) -> Option<u32> {
        self.0.checked_sub(CONDITION_BASE)
    }

    /// The greatest value of the dimension.
    pub fn top(self, family: Family) -> u128 {
        self.as_field().map_or(1, |f| f.max(family))
    }
}

/// A set of packets of one family: for each dimension a set of values, and the packet has one of them in every dimension.
/// Dimensions that are not listed are unconstrained. Never empty in a listed dimension.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cube {
    // Sorted by dimension; no entry is the full set or empty.
    dims: SmallVec<[(Dim, Ranges); 4]>,
}

impl Cube {
    /// All packets.
    pub fn any() -> Cube {
        Cube::default()
    }

    /// The packets with a value of `set` in `dim`; `None` if there is none.
    pub fn of(dim: Dim, set: Ranges, family: Family) -> Option<Cube> {
        Cube::any().with(dim, &set, family)
    }

    /// The constrained dimensions with their sets, ascending by dimension.
    pub fn dims(&self) -> &[(Dim, Ranges)] {
        &self.dims
    }

    /// The set of a dimension; `None` means unconstrained.
    pub fn get(&self, dim: Dim) -> Option<&Ranges> {
        self.dims.iter().find(|(d, _)| *d == dim).map(|(_, s)| s)
    }

    /// The set of a field; `None` means unconstrained.
    pub fn field(&self, field: Field) -> Option<&Ranges> {
        self.get(Dim::field(field))
    }

    /// This cube narrowed to `set` in `dim`; `None` if nothing is left.
    pub fn with(&self, dim: Dim, set: &Ranges, family: Family) -> Option<Cube> {
        let mut out = self.clone();
        out.narrow(dim, set, family).then_some(out)
    }

    /// Narrows this cube to `set` in `dim`; false if nothing would be left: then it is as it was.
    pub fn narrow(&mut self, dim: Dim, set: &Ranges, family: Family) -> bool {
        match self.dims.binary_search_by_key(&dim, |(d, _)| *d) {
            Ok(i) => {
                let both = self.dims[i].1.and(set);
                if both.is_empty() {
                    return false;
                }
                self.dims[i].1 = both;
            }
            Err(i) => {
                if set.is_empty() {
                    return false;
                }
                if set.intervals() != [(0, dim.top(family))] {
                    self.dims.insert(i, (dim, set.clone()));
                }
            }
        }
        true
    }

    /// This cube with the constraint on `dim` replaced (`None`: removed).
    pub fn replaced(&self, dim: Dim, set: Option<Ranges>, family: Family) -> Option<Cube> {
        let mut out = self.clone();
        out.dims.retain(|(d, _)| *d != dim);
        match set {
            None => Some(out),
            Some(set) => out.with(dim, &set, family),
        }
    }

    /// This cube without its constraints on opaque conditions: the packets of it under some valuation.
    pub fn without_conditions(&self) -> Cube {
        let mut out = self.clone();
        out.dims.retain(|(d, _)| d.as_condition().is_none());
        out
    }

    /// Whether an opaque condition is constrained.
    pub fn has_conditions(&self) -> bool {
        self.dims.last().is_some_and(|(d, _)| d.as_condition().is_some())
    }

    /// Packets in both; `None` if there is none.
    pub fn and(&self, other: &Cube) -> Option<Cube> {
        let (mut i, mut j) = (0, 0);
        let (a, b) = (&self.dims, &other.dims);
        let mut dims = SmallVec::with_capacity(a.len().max(b.len()));
        while i < a.len() && j < b.len() {
            match a[i].0.cmp(&b[j].0) {
                std::cmp::Ordering::Less => {
                    dims.push(a[i].clone());
                    i += 1;
                }
                std::cmp::Ordering::Greater => {
                    dims.push(b[j].clone());
                    j += 1;
                }
                std::cmp::Ordering::Equal => {
                    let both = a[i].1.and(&b[j].1);
                    if both.is_empty() {
                        return None;
                    }
                    dims.push((a[i].0, both));
                    i += 1;
                    j += 1;
                }
            }
        }
        dims.extend(a[i..].iter().cloned());
        dims.extend(b[j..].iter().cloned());
        Some(Cube { dims })
    }

    /// Whether the cubes share a packet.
    pub fn overlaps(&self, other: &Cube) -> bool {
        let (mut i, mut j) = (0, 0);
        let (a, b) = (&self.dims, &other.dims);
        while i < a.len() && j < b.len() {
            match a[i].0.cmp(&b[j].0) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    if !a[i].1.overlaps(&b[j].1) {
                        return false;
                    }
                    i += 1;
                    j += 1;
                }
            }
        }
        true
    }

    /// Whether every packet of this cube is in `other`.
    pub fn is_subset(&self, other: &Cube) -> bool {
        other.dims.iter().all(|(d, theirs)| match self.dims.binary_search_by_key(d, |(e, _)| *e) {
            Ok(i) => self.dims[i].1.is_subset(theirs),
            Err(_) => false,
        })
    }

    /// Appends the packets of this cube that are not in `other` to `out`, as disjoint cubes (at most one for each
    /// dimension that `other` constrains). Returns whether the cubes overlap; if not, `out` gets the cube itself.
    pub fn minus_into(&self, other: &Cube, family: Family, out: &mut Vec<Cube>) -> bool {
        if !self.overlaps(other) {
            out.push(self.clone());
            return false;
        }
        let mut rest = self.clone();
        for (dim, theirs) in &other.dims {
            let (outside, inside) = match rest.dims.binary_search_by_key(dim, |(d, _)| *d) {
                Ok(i) => (rest.dims[i].1.minus(theirs), rest.dims[i].1.and(theirs)),
                Err(_) => (theirs.complement(dim.top(family)), theirs.clone()),
            };
            if outside.is_empty() {
                continue;
            }
            let mut piece = rest.clone();
            set_dim(&mut piece, *dim, outside);
            out.push(piece);
            set_dim(&mut rest, *dim, inside);
        }
        true
    }

    /// The packets of this cube that are not in `other`, as disjoint cubes.
    pub fn minus(&self, other: &Cube, family: Family) -> Vec<Cube> {
        let mut out = Vec::new();
        self.minus_into(other, family, &mut out);
        out
    }

    /// Whether the packet is in the cube.
    pub fn contains(&self, packet: &Packet) -> bool {
        self.dims.iter().all(|(d, s)| s.contains(packet.get(*d)))
    }
}

fn set_dim(cube: &mut Cube, dim: Dim, set: Ranges) {
    match cube.dims.binary_search_by_key(&dim, |(d, _)| *d) {
        Ok(i) => cube.dims[i].1 = set,
        Err(i) => cube.dims.insert(i, (dim, set)),
    }
}

/// One packet: a value for every field, and the opaque conditions that hold for it (all others do not).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    fields: [u128; Field::ALL.len()],
    conditions: SmallVec<[u32; 4]>,
}

impl Packet {
    /// The packet whose fields are all 0.
    pub fn zero() -> Packet {
        Packet { fields: [0; Field::ALL.len()], conditions: SmallVec::new() }
    }

    /// The value in a dimension.
    pub fn get(&self, dim: Dim) -> u128 {
        match dim.as_condition() {
            None => self.fields[dim.0 as usize],
            Some(c) => u128::from(self.conditions.contains(&c)),
        }
    }

    /// The value of a field.
    pub fn field(&self, field: Field) -> u128 {
        self.fields[field as usize]
    }

    /// Sets the value of a field.
    pub fn set(&mut self, field: Field, value: u128) {
        self.fields[field as usize] = value;
    }

    /// Sets whether an opaque condition holds.
    pub fn set_condition(&mut self, id: u32, holds: bool) {
        self.conditions.retain(|c| *c != id);
        if holds {
            self.conditions.push(id);
            self.conditions.sort_unstable();
        }
    }

    /// The opaque conditions that hold, ascending.
    pub fn conditions(&self) -> &[u32] {
        &self.conditions
    }

    /// The cube of this packet's header fields alone: all valuations of the opaque conditions.
    pub fn header_cube(&self, family: Family) -> Cube {
        let mut cube = Cube::any();
        for &field in Field::ALL {
            if let Some(c) = cube.with(Dim::field(field), &Ranges::single(self.field(field)), family) {
                cube = c;
            }
        }
        cube
    }
}
