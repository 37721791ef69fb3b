//! NetworkManager's profiles (`.nmconnection`): VPN of every plugin, WireGuard, and what they say of addresses, routes and name servers.
//!
//! Facts are from nm-settings-keyfile(5) and nm-settings-nmcli(5) of NetworkManager, and from the properties that the plugins read.

mod ip;
mod lower;
mod openvpn;
mod plugins;
mod profile;
#[cfg(test)]
mod tests;
mod wireguard;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;
use crate::syntax::ini::{Line, line};

/// The format.
pub static NETWORKMANAGER: Format = Format {
    id: "networkmanager",
    title: "NetworkManager profile (.nmconnection)",
    export: "sudo cat /etc/NetworkManager/system-connections/NAME.nmconnection   (or: nmcli connection export is not needed)",
    covers: &[
        "VPN profiles for OpenVPN, strongSwan, libreswan, L2TP, vpnc, OpenConnect, PPTP, SSTP, FortiSSL",
        "WireGuard profiles with the routes that NetworkManager makes of AllowedIPs",
        "never-default, ignore-auto-routes, routes, DNS and its priority",
    ],
    leaves: &["what a server pushes", "routing rules and other routing tables", "NetworkManager.conf", "dispatcher scripts"],
    role: Role::Vpn,
    detect,
    read: lower::read,
    includes: None,
};

/// How many lines detection looks at.
const LINES: usize = 400;

fn detect(source: &SourceFile) -> Option<Detection> {
    let (mut inside, mut id, mut kind) = (false, false, false);
    for i in 0..source.line_count().min(LINES) {
        match line(source, i) {
            Line::Section(name) => inside = name.text == "connection",
            Line::Entry(key, _) if inside => {
                id |= matches!(key.text, "id" | "uuid");
                kind |= key.text == "type";
            }
            _ => {}
        }
    }
    (id && kind).then_some(Detection { confidence: Confidence::Certain, why: "has a section [connection] with id or uuid, and type" })
}
