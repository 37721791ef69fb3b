//! The kinds of checks: one file per kind, with its page `<kind>.md` beside it.
//!
//! A kind is a plain [`Kind`] value. To add one, write `checks/<kind>.rs` and `<kind>.md` and add its two lines here.

pub mod attest;
pub mod body;
mod coverage;
pub mod dates;
mod encrypted;
pub mod exposure;
mod flow;
mod identity;
mod killswitch;
mod kind;
mod management;
mod objects;
pub mod path;
mod place;
mod policy;
mod rule_text;
mod rules;
pub mod select;
pub mod services;
mod setting;
pub mod vpn;
mod world;

pub use flow::forwards;
pub use kind::{BodyError, Check, Kind, Names, Outcome, Scope, Spec};
pub use place::{cross, from_zone, label, likely_hits, line_subject, of_service, to_zone, witness};
pub use rule_text::expiry;
pub use world::{Analyses, Person, Service, ServicePorts, Site, Workers, World, Zone};

/// Every kind, by id.
pub static KINDS: &[&Kind] = &[
    &attest::ATTEST,
    &coverage::COVERAGE,
    &encrypted::ENCRYPTED,
    &flow::FLOW,
    &killswitch::KILLSWITCH,
    &management::MANAGEMENT,
    &objects::OBJECTS,
    &policy::POLICY,
    &rule_text::RULE_TEXT,
    &rules::RULES,
    &setting::SETTING,
    &vpn::VPN,
];

/// The kind of an id.
pub fn kind(id: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.id == id)
}
