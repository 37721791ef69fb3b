//! The kinds of checks: one file per kind, with its page `<kind>.md` beside it.
//!
//! A kind is a plain [`Kind`] value. To add one, write `checks/<kind>.rs` and `<kind>.md` and add its two lines here.

mod kind;
mod world;

pub use kind::{BodyError, Check, Kind, Names, Outcome, Spec};
pub use world::{Person, Service, ServicePorts, Site, Workers, World, Zone};

/// Every kind, by id.
pub static KINDS: &[&Kind] = &[];

/// The kind of an id.
pub fn kind(id: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.id == id)
}
