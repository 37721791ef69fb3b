//! iptables: to be written.

use crate::vendors::{Format, Role};

/// The format.
pub static IPTABLES: Format = Format {
    id: "iptables",
    title: "iptables",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Firewall,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
