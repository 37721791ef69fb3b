//! VPN payloads of configuration profiles for macOS, iOS and their like (`com.apple.vpn.managed`, property list as XML).
//!
//! Facts are from Apple's device management documentation ("VPN", "VPN.IKEv2", "VPN.IPSec", "VPN.VPN").

mod lower;
mod plist;
#[cfg(test)]
mod tests;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

/// The format.
pub static APPLE_VPN: Format = Format {
    id: "apple-vpn",
    title: "macOS and iOS VPN profile (mobileconfig)",
    export: "sudo profiles show -type configuration -output stdout-xml > profiles.plist   (or the .mobileconfig itself, unsigned)",
    covers: &[
        "IKEv2, IPsec (IKEv1), L2TP and VPN apps",
        "proposals with Apple's defaults, authentication, extended authentication",
        "IncludeAllNetworks, ExcludeLocalNetworks, OverridePrimary, DNS, on demand",
    ],
    leaves: &["what the server pushes", "AlwaysOn of supervised devices", "settings of VPN apps (VendorConfig)", "other payloads"],
    role: Role::Vpn,
    detect,
    read: lower::read,
    includes: None,
};

/// How much of a file detection looks at, in bytes: certificates stand before some payloads.
const DETECTED: usize = 512 << 10;

fn detect(file: &SourceFile) -> Option<Detection> {
    let text = file.head(DETECTED);
    (text.contains("<plist") && text.contains("com.apple.vpn.managed"))
        .then_some(Detection { confidence: Confidence::Certain, why: "is a property list with a payload com.apple.vpn.managed" })
}
