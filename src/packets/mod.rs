//! Exact packet sets. Knows nothing of firewalls.

pub mod fields;

mod cube;
mod domain;

pub use cube::{Cube, Dim, Packet};
pub use domain::{header_space, plausible};
pub use fields::Field;
