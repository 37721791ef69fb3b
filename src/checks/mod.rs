//! The kinds of checks: one file per kind, with its page `<kind>.md` beside it.
//!
//! A kind is a plain [`Kind`] value. To add one, write `checks/<kind>.rs` and `<kind>.md` and add its two lines here.

pub mod attest;
pub mod body;
mod coverage;
pub mod dates;
mod kind;
mod pending;
mod rule_text;
pub mod select;
pub mod services;
mod setting;
pub mod vpn;
mod world;

pub use kind::{BodyError, Check, Kind, Names, Outcome, Spec};
pub use rule_text::expiry;
pub use world::{Person, Service, ServicePorts, Site, Workers, World, Zone};

/// Every kind, by id.
pub static KINDS: &[&Kind] = &[
    &attest::ATTEST,
    &coverage::COVERAGE,
    &pending::ENCRYPTED,
    &pending::FLOW,
    &pending::KILLSWITCH,
    &pending::POLICY,
    &rule_text::RULE_TEXT,
    &pending::RULES,
    &setting::SETTING,
    &vpn::VPN,
];

/// The kind of an id.
pub fn kind(id: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.id == id)
}
