//! sysctl: to be written.

use crate::vendors::{Format, Role};

/// The format.
pub static SYSCTL: Format = Format {
    id: "sysctl",
    title: "sysctl",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Companion,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
