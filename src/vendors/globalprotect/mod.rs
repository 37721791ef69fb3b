//! GlobalProtect, the client's side: the registry of Windows, the settings of macOS (`com.paloaltonetworks.GlobalProtect.settings.plist` as XML), and
//! the configuration that a portal or gateway sends to the client.
//!
//! Facts are from the vendor's "GlobalProtect Administrator's Guide": "App Behavior Options" and "User Behavior Options" (keys, values and
//! defaults), "Customize the GlobalProtect App", and "Enforce GlobalProtect for Network Access".

mod lower;
mod pairs;
#[cfg(test)]
mod tests;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

/// The format.
pub static GLOBALPROTECT: Format = Format {
    id: "globalprotect",
    title: "GlobalProtect client (registry, macOS settings, portal's configuration)",
    export: r#"reg export "HKLM\SOFTWARE\Palo Alto Networks\GlobalProtect" globalprotect.reg   (macOS: plutil -convert xml1 -o globalprotect.plist /Library/Preferences/com.paloaltonetworks.GlobalProtect.settings.plist)"#,
    covers: &[
        "portal and gateways, connect method, enforcement without a connection, user override, saved passwords, what invalid certificates are met with",
        "routes in and out of the tunnel where a gateway's configuration shows them",
    ],
    leaves: &[
        "what the portal and the gateway send, where only the client's settings were exported: split tunnel, cryptography, name servers",
    ],
    role: Role::Vpn,
    detect,
    read: lower::read,
    includes: None,
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 256 << 10;

/// The forms of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Registry,
    Plist,
    Portal,
}

fn form(file: &SourceFile) -> Option<Form> {
    let text = file.head(DETECTED);
    let start = text.trim_start();
    if start.starts_with("Windows Registry Editor Version") || start.starts_with("REGEDIT4") {
        return text.to_ascii_lowercase().contains("palo alto networks\\globalprotect").then_some(Form::Registry);
    }
    if text.contains("<plist") {
        let ours = text.contains("<key>Palo Alto Networks</key>") && text.contains("<key>GlobalProtect</key>");
        return ours.then_some(Form::Plist);
    }
    let of_portal = text.contains("<policy>") && text.contains("<agent-config>") && text.contains("<gateways>");
    let of_gateway = text.contains("<response") && text.contains("<need-tunnel>") && text.contains("<access-routes>");
    (start.starts_with('<') && (of_portal || of_gateway)).then_some(Form::Portal)
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let why = match form(file)? {
        Form::Registry => "has the registry's keys of GlobalProtect",
        Form::Plist => "is a property list with the settings of GlobalProtect",
        Form::Portal => "is what a portal or gateway of GlobalProtect sends",
    };
    Some(Detection { confidence: Confidence::Certain, why })
}
