//! What Apple's systems export: the application firewall of macOS, and configuration profiles for it and for VPNs.

mod firewall;
mod plist;
mod services;
mod vpn;

pub use firewall::MACOS_FIREWALL;
pub(super) use firewall::evidence;
pub use services::MACOS_VPN_SERVICES;
pub use vpn::APPLE_VPN;

/// The type of a payload that sets the application firewall.
const FIREWALL_PAYLOAD: &str = "com.apple.security.firewall";
