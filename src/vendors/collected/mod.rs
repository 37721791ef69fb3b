//! What the scripts of `fwproof collect` write beside exports of firewalls and VPNs: their manifest, listings of what listens, addresses and
//! routes of Windows, and the routes of macOS and the BSDs.

mod listening;
mod manifest;
mod netstat;
#[cfg(test)]
mod tests;
mod windows;

pub use listening::LISTENING;
pub use manifest::COLLECT_MANIFEST;
pub use netstat::NETSTAT_ROUTES;
pub use windows::WINDOWS_NETWORK;
