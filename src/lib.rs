//! fwproof proves what a network edge lets through.
//!
//! Data goes one way: bytes → text with spans ([`source`]) → vendor syntax ([`vendors`]) → vendor-neutral model
//! ([`model`]) → packet sets ([`packets`], [`eval`]) → verdicts ([`checks`]) → report ([`report`]).
//! A module imports only from lower floors; `docs/contributing.md` lists the floors, and a test keeps them.

pub mod checks;
pub mod cli;
pub mod diag;
pub mod eval;
pub mod model;
pub mod net;
pub mod packets;
pub mod pipeline;
pub mod probe;
pub mod report;
pub mod rulesets;
pub mod source;
pub mod syntax;
pub mod vendors;
