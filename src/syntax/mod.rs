//! Reading tools that several formats share. They know text and spans, and nothing of firewalls.

pub mod ini;
pub mod json;
pub mod pf;
pub mod wireguard;
pub mod xml;
