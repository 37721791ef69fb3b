//! nftables: to be written.

use crate::vendors::{Format, Role};

/// The format.
pub static NFTABLES: Format = Format {
    id: "nftables",
    title: "nftables",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Firewall,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
