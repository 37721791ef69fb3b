//! The kinds of checks: one file per kind, with its page `<kind>.md` beside it.
//!
//! A kind is a plain [`Kind`] value. To add one, write `checks/<kind>.rs` and `<kind>.md` and add its two lines here.

pub mod attest;
pub mod body;
pub mod dates;
pub mod encrypted;
pub mod flow;
mod kind;
pub mod killswitch;
mod place;
pub mod policy;
pub mod rules;
pub mod select;
pub mod services;
mod world;

pub use kind::{BodyError, Check, Kind, Names, Outcome, Spec};
pub use world::{Analyses, Person, Service, ServicePorts, Site, Workers, World, Zone};

/// Every kind, by id.
pub static KINDS: &[&Kind] =
    &[&attest::ATTEST, &encrypted::ENCRYPTED, &flow::FLOW, &killswitch::KILLSWITCH, &policy::POLICY, &rules::RULES];

/// The kind of an id.
pub fn kind(id: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.id == id)
}
