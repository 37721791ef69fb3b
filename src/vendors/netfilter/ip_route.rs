//! ip-route: to be written.

use crate::vendors::{Format, Role};

/// The format.
pub static IP_ROUTE: Format = Format {
    id: "ip-route",
    title: "ip-route",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Companion,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
