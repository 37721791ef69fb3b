//! VPN payloads of configuration profiles for macOS, iOS and their like (`com.apple.vpn.managed`, property list as XML).
//!
//! Facts are from Apple's device management documentation ("VPN", "VPN.IKEv2", "VPN.IPSec", "VPN.VPN").

mod lower;
#[cfg(test)]
mod tests;

use crate::diag::LineState;
use crate::source::SourceFile;
use crate::syntax::xml::Document;
use crate::vendors::apple::FIREWALL_PAYLOAD;
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

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
    read,
    includes: None,
};

/// How much of a file detection looks at, in bytes: certificates stand before some payloads.
const DETECTED: usize = 512 << 10;

/// What every VPN payload's type begins with.
const PAYLOAD: &str = "com.apple.vpn.managed";

/// A profile that also sets the application firewall is read by that one's reader, which reads these payloads too.
fn detect(file: &SourceFile) -> Option<Detection> {
    let text = file.head(DETECTED);
    (text.contains("<plist") && text.contains(PAYLOAD) && !text.contains(FIREWALL_PAYLOAD))
        .then_some(Detection { confidence: Confidence::Certain, why: "is a property list with a payload com.apple.vpn.managed" })
}

fn read(reader: &mut Reader<'_>) {
    reader.mark(reader.file.whole(), LineState::Irrelevant);
    let file = reader.file;
    let document = Document::read(file, reader.limits);
    for problem in document.problems().iter().filter(|p| p.kind.loses()) {
        reader.incomplete(problem.span, LineState::Unrecognised, format!("not read from here on: {}", problem.text));
    }
    payloads(reader, file, &document);
}

/// Reads the VPN payloads of a profile.
pub(super) fn payloads(reader: &mut Reader<'_>, file: &SourceFile, document: &Document<'_>) {
    lower::read(reader, file, document);
}
