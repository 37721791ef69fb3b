//! FortiClient's configuration (XML): its IPsec and SSL VPN connections.
//!
//! Facts are from Fortinet's "FortiClient XML Reference Guide", 6.0 to 7.4.

mod lower;
#[cfg(test)]
mod tests;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

/// The format.
pub static FORTICLIENT: Format = Format {
    id: "forticlient",
    title: "FortiClient configuration",
    export: "File > Settings > Backup without a password, or: FCConfig -m vpn -f vpn.xml -o export   (Windows), fcconfig (macOS)",
    covers: &[
        "IPsec connections with all proposals, groups, authentication, networks that go in",
        "SSL VPN connections, traffic that is kept out",
        "block_ipv6, keep running, warnings about certificates",
    ],
    leaves: &["what the gateway pushes", "the host firewall and other modules of FortiClient"],
    role: Role::Vpn,
    detect,
    read: lower::read,
    includes: None,
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 16 << 10;

fn detect(file: &SourceFile) -> Option<Detection> {
    file.head(DETECTED)
        .contains("<forticlient_configuration")
        .then_some(Detection { confidence: Confidence::Certain, why: "has the root element forticlient_configuration" })
}
