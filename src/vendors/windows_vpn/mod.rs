//! Windows' own VPN client: `Get-VpnConnection` and `Get-DnsClientNrptRule` as JSON, and the phone book `rasphone.pbk`.
//!
//! Facts are from Microsoft Learn: the cmdlets of VpnClient, `RASENTRY`, and the NRPT.

mod connection;
mod nrpt;
mod offers;
mod phonebook;
#[cfg(test)]
mod tests;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

/// `Get-VpnConnection`.
pub static WINDOWS_VPN: Format = Format {
    id: "windows-vpn",
    title: "Windows VPN connections (Get-VpnConnection)",
    export: "Get-VpnConnection | ConvertTo-Json -Depth 6 > vpn.json   (also with -AllUserConnection)",
    covers: &[
        "tunnel types with what Automatic falls back to",
        "split tunnelling, routes, DNS suffix",
        "authentication, encryption level, custom IPsec policies, Windows' own proposals",
    ],
    leaves: &["EAP configurations", "VPN plug-ins", "triggers", "the registry value NegotiateDH2048_AES256"],
    role: Role::Vpn,
    detect: connection::detect,
    read: connection::read,
    includes: None,
};

/// `rasphone.pbk`.
pub static RASPHONE: Format = Format {
    id: "rasphone",
    title: "Windows phone book (rasphone.pbk)",
    export: r"copy %APPDATA%\Microsoft\Network\Connections\Pbk\rasphone.pbk .   (and that below %ProgramData%)",
    covers: &["VPN entries: strategy, server, default gateway on the remote network by family, name servers, EAP type"],
    leaves: &["custom IPsec policies and routes, which are binary there: export Get-VpnConnection too"],
    role: Role::Vpn,
    detect: phonebook::detect,
    read: phonebook::read,
    includes: None,
};

/// `Get-DnsClientNrptRule`.
pub static WINDOWS_NRPT: Format = Format {
    id: "windows-nrpt",
    title: "Windows name resolution policy (Get-DnsClientNrptRule)",
    export: "Get-DnsClientNrptRule | ConvertTo-Json -Depth 4 > nrpt.json   (or: Get-DnsClientNrptPolicy)",
    covers: &["which names are asked of which servers"],
    leaves: &["DirectAccess, DNSSEC and encoding of names"],
    role: Role::Companion,
    detect: nrpt::detect,
    read: nrpt::read,
    includes: None,
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 64 << 10;

fn claims(file: &SourceFile, words: &[&str], why: &'static str) -> Option<Detection> {
    let text = file.head(DETECTED);
    let json = text.trim_start().starts_with(['{', '[']);
    (json && words.iter().all(|w| text.contains(w))).then_some(Detection { confidence: Confidence::Certain, why })
}
