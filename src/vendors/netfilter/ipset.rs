//! ipset: to be written.

use crate::vendors::{Format, Role};

/// The format.
pub static IPSET: Format = Format {
    id: "ipset",
    title: "ipset",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Companion,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
