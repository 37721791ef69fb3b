//! The JSON of `nft -j list ruleset`.
use crate::vendors::{Format, Role};

/// The format.
pub static NFTABLES_JSON: Format = Format {
    id: "nftables-json",
    title: "nftables-json",
    export: "",
    covers: &[],
    leaves: &[],
    role: Role::Firewall,
    detect: |_| None,
    read: |_| (),
    includes: None,
};
