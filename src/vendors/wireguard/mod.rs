//! wireguard: to be written.

use super::{Format, Role};

/// The format.
pub static WIREGUARD: Format = Format {
    id: "wireguard",
    title: "wireguard",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Vpn,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
