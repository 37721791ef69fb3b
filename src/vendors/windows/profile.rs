//! The three profiles: which of them a rule is for, what each is set to, and how a packet is told to be on a network of one.

use crate::model::{ConditionId, Conditions, Match};
use crate::source::Span;

/// A profile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Profile {
    Domain,
    Private,
    Public,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 3] = [Profile::Domain, Profile::Private, Profile::Public];

    /// As in settings and in sentences.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Domain => "domain",
            Profile::Private => "private",
            Profile::Public => "public",
        }
    }

    /// The bit of `NET_FW_PROFILE_TYPE2`.
    fn bit(self) -> u8 {
        match self {
            Profile::Domain => 1,
            Profile::Private => 2,
            Profile::Public => 4,
        }
    }
}

/// Some of the profiles.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Profiles(u8);

impl Profiles {
    /// All.
    pub const ALL: Profiles = Profiles(7);
    /// None.
    pub const NONE: Profiles = Profiles(0);

    /// Those for which it holds.
    pub fn that(f: impl Fn(Profile) -> bool) -> Profiles {
        Profiles(Profile::ALL.into_iter().filter(|p| f(*p)).fold(0, |s, p| s | p.bit()))
    }

    /// From the bits of `NET_FW_PROFILE_TYPE2`; 0 and those of all are all.
    pub fn from_bits(bits: u32) -> Option<Profiles> {
        match bits {
            0 | 0x7fff_ffff | 0xffff_ffff => Some(Profiles::ALL),
            1..=7 => Some(Profiles(bits as u8)),
            _ => None,
        }
    }

    /// Whether it is one of them.
    pub fn has(self, profile: Profile) -> bool {
        self.0 & profile.bit() != 0
    }

    /// Both.
    pub fn or(self, other: Profiles) -> Profiles {
        Profiles(self.0 | other.0)
    }

    /// Those of this and not of the other.
    pub fn minus(self, other: Profiles) -> Profiles {
        Profiles(self.0 & !other.0)
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// That the packet is on a network of one of these profiles.
///
/// Each network has exactly one profile, and each interface is on one network ("Windows Firewall overview", network profiles; several
/// profiles are active at once on a host with several interfaces). Which one is a matter of where the device is, and no part of its
/// configuration: two named conditions ([`kinds_of`]) divide the networks into three kinds, exactly.
pub(super) fn on(profiles: Profiles, conditions: &mut Conditions, span: Span) -> Match {
    if profiles == Profiles::ALL {
        return Match::Any;
    }
    if profiles.is_none() {
        return Match::Never;
    }
    let (public, private) = kinds_of(conditions, span);
    let (public, private) = (Match::Opaque(public), Match::Opaque(private));
    let not = |m: Match| Match::Not(Box::new(m));
    match (profiles.has(Profile::Domain), profiles.has(Profile::Private), profiles.has(Profile::Public)) {
        (false, false, true) => public,
        (true, true, false) => not(public),
        (false, true, false) => Match::All(vec![not(public), private]),
        (true, false, false) => Match::All(vec![not(public), not(private)]),
        (false, true, true) => Match::AnyOf(vec![public, private]),
        _ => Match::AnyOf(vec![public, not(private)]),
    }
}

/// The two conditions that divide networks into public ones, private ones and those of the domain: that the network is public, and, of those that
/// are not, that it is private. The only place where they are made.
fn kinds_of(conditions: &mut Conditions, span: Span) -> (ConditionId, ConditionId) {
    let public = conditions.intern("the network is public (profile public)", span);
    // Sooner or later the device is on a public network: what gets in there gets in.
    conditions.set_at_rest(public, true);
    (public, conditions.intern("the network is private, if it is not public (profile private, else domain)", span))
}

/// The values of the conditions on a public network.
pub(super) fn on_public(conditions: &mut Conditions, span: Span) -> Vec<(ConditionId, bool)> {
    vec![(kinds_of(conditions, span).0, true)]
}
