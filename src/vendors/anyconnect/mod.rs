//! Profiles of Cisco AnyConnect and Secure Client (XML): where the client connects to, and what it must do.
//!
//! Facts are from Cisco's "AnyConnect Profile Editor" and "VPN XML Reference". What goes into the tunnel, and with which algorithms, is decided by the
//! head end.

mod lower;
#[cfg(test)]
mod tests;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

/// The format.
pub static ANYCONNECT: Format = Format {
    id: "anyconnect",
    title: "Cisco AnyConnect / Secure Client profile",
    export: r"copy %ProgramData%\Cisco\*\Profile\*.xml .   (macOS, Linux: /opt/cisco/*/profile/*.xml)",
    covers: &[
        "servers and backup servers with their protocol",
        "always-on with its failure policy",
        "trusted networks, local LAN access, certificate use",
    ],
    leaves: &["split tunnelling, DNS and algorithms, which the head end decides", "AnyConnectLocalPolicy.xml"],
    role: Role::Vpn,
    detect,
    read: lower::read,
    includes: None,
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 16 << 10;

fn detect(file: &SourceFile) -> Option<Detection> {
    file.head(DETECTED)
        .contains("<AnyConnectProfile")
        .then_some(Detection { confidence: Confidence::Certain, why: "has the root element AnyConnectProfile" })
}
