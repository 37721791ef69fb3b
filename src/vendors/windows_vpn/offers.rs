//! What Windows offers of cryptography.

use crate::model::{CryptoLayer, CryptoOffer, CryptoUse, Tunnel, ike};
use crate::source::Span;

use CryptoUse::{Cipher, Digest, KeyExchange, Prf};

/// What IKEv2 of Windows proposes without a policy of its own: every cipher with the group of 1024 bits (seen in the proposals that gateways log;
/// Microsoft Learn, "Configure cryptographic settings for IKEv2 VPN connections": "default encryption settings … aren't secure"). That
/// `NegotiateDH2048_AES256` may be set in the registry does not show here.
const IKE: &[(CryptoUse, &str, bool)] = &[
    (Cipher, "AES-256-GCM", false),
    (Cipher, "AES-256-CBC", false),
    (Cipher, "AES-192-CBC", false),
    (Cipher, "AES-128-CBC", false),
    (Cipher, "3DES-CBC", false),
    (Digest, "SHA1", false),
    (Digest, "SHA256", false),
    (Digest, "SHA384", false),
    (Prf, "SHA1", false),
    (Prf, "SHA256", false),
    (Prf, "SHA384", false),
    (KeyExchange, "DH-1024", true),
];

/// Of ESP, with no further exchange of keys.
const ESP: &[(CryptoUse, &str, bool)] = &[
    (Cipher, "AES-256-CBC", false),
    (Cipher, "AES-128-CBC", false),
    (Cipher, "3DES-CBC", false),
    (Digest, "SHA1", false),
    (KeyExchange, "NONE", false),
];

/// Adds the defaults of IKE and ESP.
pub(super) fn defaults(tunnel: &mut Tunnel, span: Span) {
    ike::defaults(IKE.iter().copied(), CryptoLayer::Control, span, &mut tunnel.crypto);
    ike::defaults(ESP.iter().copied(), CryptoLayer::Data, span, &mut tunnel.crypto);
}

/// Adds one thing of a custom policy by its name in `Set-VpnConnectionIPsecConfiguration`; `false` where the name is not known (a number, say).
pub(super) fn custom(tunnel: &mut Tunnel, setting: &str, value: &str, span: Span) -> bool {
    let (control, data) = (CryptoLayer::Control, CryptoLayer::Data);
    let upper = value.to_ascii_uppercase();
    let cipher = match upper.as_str() {
        "DES" => Some("DES-CBC"),
        "DES3" => Some("3DES-CBC"),
        "AES128" => Some("AES-128-CBC"),
        "AES192" => Some("AES-192-CBC"),
        "AES256" => Some("AES-256-CBC"),
        "GCMAES128" => Some("AES-128-GCM"),
        "GCMAES192" => Some("AES-192-GCM"),
        "GCMAES256" => Some("AES-256-GCM"),
        "NONE" => Some("NULL"),
        _ => None,
    };
    let digest = match upper.as_str() {
        "MD5" | "MD596" => Some("MD5"),
        "SHA1" | "SHA196" => Some("SHA1"),
        "SHA256" | "SHA256128" => Some("SHA256"),
        "SHA384" => Some("SHA384"),
        _ => None,
    };
    let group = match upper.as_str() {
        "NONE" => Some("NONE"),
        "GROUP1" | "PFS1" => Some("DH-768"),
        "GROUP2" | "PFS2" => Some("DH-1024"),
        "GROUP14" | "PFS2048" | "PFS14" => Some("DH-2048"),
        "GROUP24" | "PFS24" => Some("DH-2048"),
        "ECP256" => Some("SECP256R1"),
        "ECP384" => Some("SECP384R1"),
        // The exchange of the main mode is taken over: there is one.
        "PFSMM" => Some("PFSMM"),
        _ => None,
    };
    let (usage, layer, name) = match setting {
        "EncryptionMethod" => (Cipher, control, cipher),
        "IntegrityCheckMethod" => (Digest, control, digest),
        "DHGroup" => (KeyExchange, control, group),
        "CipherTransformConstants" => (Cipher, data, cipher),
        // With GCM the integrity is the cipher's own.
        "AuthenticationTransformConstants" if upper.starts_with("GCM") => return true,
        "AuthenticationTransformConstants" => (Digest, data, digest),
        "PfsGroup" => (KeyExchange, data, group),
        _ => return false,
    };
    match name {
        Some("PFSMM") => true,
        Some(name) => {
            ike::offer(&mut tunnel.crypto, usage, layer, name, span);
            true
        }
        None => false,
    }
}

/// Adds a version of IKE.
pub(super) fn version(tunnel: &mut Tunnel, name: &str, span: Span) {
    let offer = CryptoOffer::written(CryptoUse::IkeVersion, name, span);
    tunnel.crypto.push(CryptoOffer { layer: CryptoLayer::Control, ..offer });
}
