//! openvpn: to be written.

use super::{Format, Role};

/// The format.
pub static OPENVPN: Format = Format {
    id: "openvpn",
    title: "openvpn",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Vpn,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
