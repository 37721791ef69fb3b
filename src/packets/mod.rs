//! Exact packet sets. Knows nothing of firewalls.

pub mod fields;

mod boxes;
mod cube;
mod domain;

pub use boxes::readable;
pub use cube::{Cube, Dim, Packet};
pub use domain::{header_space, plausible};
pub use fields::Field;
