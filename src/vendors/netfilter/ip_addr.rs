//! ip-addr: to be written.

use crate::vendors::{Format, Role};

/// The format.
pub static IP_ADDR: Format = Format {
    id: "ip-addr",
    title: "ip-addr",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Companion,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
