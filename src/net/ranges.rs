//! Sets of unsigned numbers as sorted, disjoint, non-adjacent closed intervals.
//!
//! One type serves addresses, ports, protocols, interface numbers and flags, so that every header field is
//! handled by the same code. The universe (how many bits) is not stored: whoever complements a set says it.

use std::fmt;
use std::sync::Arc;

/// A set of `u128` numbers. Cheap to clone. The representation is canonical: equal sets compare equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ranges(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Empty,
    One([(u128, u128); 1]),
    Many(Arc<[(u128, u128)]>),
}

impl Ranges {
    /// The empty set.
    pub const EMPTY: Ranges = Ranges(Repr::Empty);

    /// The closed interval `lo..=hi`; empty when `lo > hi`.
    pub const fn interval(lo: u128, hi: u128) -> Ranges {
        if lo > hi { Ranges(Repr::Empty) } else { Ranges(Repr::One([(lo, hi)])) }
    }

    /// The set of one number.
    pub const fn single(n: u128) -> Ranges {
        Ranges(Repr::One([(n, n)]))
    }

    /// Any intervals, in any order, overlapping or not; those with `lo > hi` are ignored.
    pub fn from_intervals(mut v: Vec<(u128, u128)>) -> Ranges {
        v.retain(|&(lo, hi)| lo <= hi);
        v.sort_unstable();
        let mut out: Vec<(u128, u128)> = Vec::with_capacity(v.len());
        for (lo, hi) in v {
            match out.last_mut() {
                Some(last) if last.1.checked_add(1).is_none_or(|next| lo <= next) => last.1 = last.1.max(hi),
                _ => out.push((lo, hi)),
            }
        }
        Self::from_canonical(&out)
    }

    fn from_canonical(v: &[(u128, u128)]) -> Ranges {
        match v {
            [] => Ranges(Repr::Empty),
            [one] => Ranges(Repr::One([*one])),
            _ => Ranges(Repr::Many(v.into())),
        }
    }

    /// The set of the given numbers.
    pub fn from_values(values: impl IntoIterator<Item = u128>) -> Ranges {
        Self::from_intervals(values.into_iter().map(|n| (n, n)).collect())
    }

    /// The intervals, ascending.
    pub fn intervals(&self) -> &[(u128, u128)] {
        match &self.0 {
            Repr::Empty => &[],
            Repr::One(one) => one,
            Repr::Many(v) => v,
        }
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Empty)
    }

    /// The least number, if any.
    pub fn min(&self) -> Option<u128> {
        self.intervals().first().map(|i| i.0)
    }

    /// The greatest number, if any.
    pub fn max(&self) -> Option<u128> {
        self.intervals().last().map(|i| i.1)
    }

    /// The only number of a set of one.
    pub fn as_single(&self) -> Option<u128> {
        match &self.0 {
            Repr::One([(lo, hi)]) if lo == hi => Some(*lo),
            _ => None,
        }
    }

    /// Whether `n` is in the set.
    pub fn contains(&self, n: u128) -> bool {
        match &self.0 {
            Repr::Empty => false,
            Repr::One([(lo, hi)]) => *lo <= n && n <= *hi,
            Repr::Many(v) => {
                let i = v.partition_point(|&(_, hi)| hi < n);
                i < v.len() && v[i].0 <= n
            }
        }
    }

    /// How many numbers are in the set; saturates at `u128::MAX`.
    pub fn count(&self) -> u128 {
        self.intervals().iter().fold(0u128, |sum, &(lo, hi)| sum.saturating_add((hi - lo).saturating_add(1)))
    }

    /// Numbers in both sets.
    pub fn and(&self, other: &Ranges) -> Ranges {
        if let (Repr::One([(a, b)]), Repr::One([(c, d)])) = (&self.0, &other.0) {
            return Ranges::interval(*a.max(c), *b.min(d));
        }
        let (a, b) = (self.intervals(), other.intervals());
        let (mut i, mut j) = (0, 0);
        // Skip what cannot overlap when one side is a short list inside a long one.
        if let (Some(first_a), Some(first_b)) = (a.first(), b.first()) {
            i = a.partition_point(|&(_, hi)| hi < first_b.0);
            j = b.partition_point(|&(_, hi)| hi < first_a.0);
        }
        let mut out = Vec::new();
        while i < a.len() && j < b.len() {
            let lo = a[i].0.max(b[j].0);
            let hi = a[i].1.min(b[j].1);
            if lo <= hi {
                out.push((lo, hi));
            }
            if a[i].1 < b[j].1 { i += 1 } else { j += 1 }
        }
        Self::from_canonical(&out)
    }

    /// Whether the sets share a number.
    pub fn overlaps(&self, other: &Ranges) -> bool {
        if let (Repr::One([(a, b)]), Repr::One([(c, d)])) = (&self.0, &other.0) {
            return a <= d && c <= b;
        }
        let (a, b) = (self.intervals(), other.intervals());
        let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        short.iter().any(|&(lo, hi)| {
            let k = long.partition_point(|&(_, h)| h < lo);
            k < long.len() && long[k].0 <= hi
        })
    }

    /// Whether every number of this set is in `other`.
    pub fn is_subset(&self, other: &Ranges) -> bool {
        let b = other.intervals();
        if let ([(lo, hi)], Some(min), Some(max)) = (b, self.min(), self.max()) {
            return *lo <= min && max <= *hi;
        }
        self.intervals().iter().all(|&(lo, hi)| {
            let k = b.partition_point(|&(_, h)| h < lo);
            k < b.len() && b[k].0 <= lo && hi <= b[k].1
        })
    }

    /// Numbers in either set.
    pub fn or(&self, other: &Ranges) -> Ranges {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        let mut v = Vec::with_capacity(self.intervals().len() + other.intervals().len());
        v.extend_from_slice(self.intervals());
        v.extend_from_slice(other.intervals());
        Self::from_intervals(v)
    }

    /// Numbers of this set that are not in `other`.
    pub fn minus(&self, other: &Ranges) -> Ranges {
        let b = other.intervals();
        let mut out = Vec::new();
        let mut j = 0;
        if let Some(min) = self.min() {
            j = b.partition_point(|&(_, hi)| hi < min);
        }
        'outer: for &(lo, hi) in self.intervals() {
            let mut lo = lo;
            while j < b.len() && b[j].0 <= hi {
                if b[j].1 < lo {
                    j += 1;
                    continue;
                }
                if b[j].0 > lo {
                    out.push((lo, b[j].0 - 1));
                }
                if b[j].1 >= hi {
                    continue 'outer;
                }
                lo = b[j].1 + 1;
                j += 1;
            }
            out.push((lo, hi));
        }
        Self::from_canonical(&out)
    }

    /// Numbers of `0..=max` that are not in this set.
    pub fn complement(&self, max: u128) -> Ranges {
        Ranges::interval(0, max).minus(self)
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (n, (lo, hi)) in self.intervals().iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            if lo == hi { write!(f, "{lo}")? } else { write!(f, "{lo}-{hi}")? }
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOP: u128 = 63;

    fn set() -> impl Strategy<Value = Ranges> {
        prop::collection::vec((0u128..=TOP, 0u128..=TOP), 0..6)
            .prop_map(|v| Ranges::from_intervals(v.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect()))
    }

    fn members(s: &Ranges) -> Vec<bool> {
        (0..=TOP).map(|n| s.contains(n)).collect()
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership(a in set(), b in set()) {
            let (ma, mb) = (members(&a), members(&b));
            let each = |f: fn(bool, bool) -> bool| ma.iter().zip(&mb).map(|(x, y)| f(*x, *y)).collect::<Vec<_>>();
            prop_assert_eq!(members(&a.and(&b)), each(|x, y| x && y));
            prop_assert_eq!(members(&a.or(&b)), each(|x, y| x || y));
            prop_assert_eq!(members(&a.minus(&b)), each(|x, y| x && !y));
            prop_assert_eq!(members(&a.complement(TOP)), ma.iter().map(|x| !x).collect::<Vec<_>>());
            prop_assert_eq!(a.overlaps(&b), !a.and(&b).is_empty());
            prop_assert_eq!(a.is_subset(&b), a.minus(&b).is_empty());
            prop_assert_eq!(a.count(), ma.iter().filter(|x| **x).count() as u128);
        }

        #[test]
        fn equal_sets_are_equal_values(a in set(), b in set()) {
            prop_assert_eq!(a.or(&b).minus(&b).or(&b), a.or(&b));
            prop_assert_eq!(a.or(&b), b.or(&a));
        }
    }

    #[test]
    fn the_greatest_number_is_no_overflow() {
        let all = Ranges::interval(0, u128::MAX);
        assert_eq!(all.or(&Ranges::single(u128::MAX)), all);
        assert_eq!(all.complement(u128::MAX), Ranges::EMPTY);
        assert_eq!(all.count(), u128::MAX);
    }
}
