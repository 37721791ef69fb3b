//! Published profiles of cryptography: what each of them lets a VPN offer. What a profile does not name, it does not allow.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::checks::select::matches;
use crate::model::{CryptoLayer, CryptoOffer, CryptoUse};

/// A published profile.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standard {
    /// NIST SP 800-77 revision 1 (IPsec) and SP 800-52 revision 2 (TLS).
    Nist,
    /// BSI TR-02102-3 (IPsec) and TR-02102-2 (TLS).
    Bsi,
    /// ANSSI, Recommandations de sécurité relatives à IPsec, and the Guide des mécanismes cryptographiques.
    Anssi,
    /// NCSC, Using IPsec to protect data: the recommended profile, and what is stronger of the same sort.
    Ncsc,
    /// NSA's CNSA suite: RFC 9206 (IPsec) and RFC 9151 (TLS).
    Cnsa,
}

/// What a profile allows. Names as in [`CryptoOffer::name`], `*` for anything.
struct Allowed {
    title: &'static str,
    ciphers: &'static [&'static str],
    /// Digests and pseudo-random functions.
    digests: &'static [&'static str],
    curves: &'static [&'static str],
    /// Least bits of a Diffie-Hellman group in the exchange of keys, and in what renews the keys of the data.
    dh_bits: (u32, u32),
    tls_versions: &'static [&'static str],
}

const SHA2: &[&str] = &["SHA256", "SHA384", "SHA512", "SHA2-256", "SHA2-384", "SHA2-512", "RSA-SHA256", "RSA-SHA384", "RSA-SHA512"];
const TLS: &[&str] = &["1.2", "1.3"];

impl Standard {
    fn allowed(self) -> Allowed {
        match self {
            // SP 800-77r1: IKEv2; AES in GCM, CCM, CBC or CTR; SHA-2; MODP groups from 2048 bits and the NIST curves; perfect forward
            // secrecy. SP 800-131A r2: neither 3DES nor ChaCha20 is approved.
            Standard::Nist => Allowed {
                title: "NIST SP 800-77 and 800-52",
                ciphers: &["AES-*-GCM", "AES-*-CCM", "AES-*-CBC", "AES-*-CTR"],
                digests: SHA2,
                curves: &["SECP256R1", "SECP384R1", "SECP521R1", "PRIME256V1"],
                dh_bits: (2048, 2048),
                tls_versions: TLS,
            },
            // TR-02102-3, 2023-01: IKEv2; AES in CBC, CTR, GCM or CCM; HMAC-SHA-2; from 2023 a security of 120 bits, so MODP groups from
            // 3000 bits, curves from 250 bits: the NIST ones and brainpool; perfect forward secrecy.
            Standard::Bsi => Allowed {
                title: "BSI TR-02102",
                ciphers: &["AES-*-GCM", "AES-*-CCM", "AES-*-CBC", "AES-*-CTR"],
                digests: SHA2,
                curves: &["SECP256R1", "SECP384R1", "SECP521R1", "PRIME256V1", "BRAINPOOLP256R1", "BRAINPOOLP384R1", "BRAINPOOLP512R1"],
                dh_bits: (3000, 3000),
                tls_versions: TLS,
            },
            // As Stormshield's configuration recommendations after ANSSI give the least values: exchange of keys AES-256-GCM with 3072 bits or
            // curves from 256 bits; data AES-128-CBC with SHA-256 and 2048 bits.
            Standard::Anssi => Allowed {
                title: "ANSSI",
                ciphers: &["AES-*-GCM", "AES-*-CBC", "AES-*-CTR"],
                digests: SHA2,
                curves: &["SECP256R1", "SECP384R1", "SECP521R1", "PRIME256V1", "BRAINPOOLP256R1", "BRAINPOOLP384R1", "BRAINPOOLP512R1"],
                dh_bits: (3072, 2048),
                tls_versions: TLS,
            },
            // The recommended profile is AES-128-GCM, HMAC-SHA-256 and group 19 with IKEv2.
            Standard::Ncsc => Allowed {
                title: "NCSC, recommended profile",
                ciphers: &["AES-*-GCM"],
                digests: SHA2,
                curves: &["SECP256R1", "SECP384R1", "SECP521R1", "PRIME256V1"],
                dh_bits: (u32::MAX, u32::MAX),
                tls_versions: TLS,
            },
            // RFC 9206: AES-256-GCM; SHA-384 or SHA-512; groups 20, 15 and 16.
            Standard::Cnsa => Allowed {
                title: "CNSA (RFC 9206)",
                ciphers: &["AES-256-GCM"],
                digests: &["SHA384", "SHA512", "SHA2-384", "SHA2-512"],
                curves: &["SECP384R1"],
                dh_bits: (3072, 3072),
                tls_versions: TLS,
            },
        }
    }

    /// Why a profile does not allow what is offered, if it does not. `aead`: every cipher of this layer authenticates by itself.
    pub fn against(self, offer: &CryptoOffer, aead: bool) -> Option<String> {
        let allowed = self.allowed();
        let name = offer.name.as_str();
        let one_of = |list: &[&str]| list.iter().any(|p| matches(p, name));
        let no = |what: &str| Some(format!("{what} {name}, which {} does not allow,", allowed.title));
        match offer.usage {
            CryptoUse::Cipher if !one_of(allowed.ciphers) => no("cipher"),
            CryptoUse::Digest if aead => None,
            CryptoUse::Digest if !one_of(allowed.digests) => no("digest"),
            CryptoUse::Prf if !one_of(allowed.digests) => no("pseudo-random function"),
            CryptoUse::KeyExchange => {
                let least = if offer.layer == CryptoLayer::Data { allowed.dh_bits.1 } else { allowed.dh_bits.0 };
                let enough = name.strip_prefix("DH-").and_then(|b| b.parse::<u32>().ok()).is_some_and(|b| b >= least);
                if enough || one_of(allowed.curves) { None } else { no("key exchange") }
            }
            CryptoUse::TlsVersion if !one_of(allowed.tls_versions) => no("TLS"),
            CryptoUse::IkeVersion if name != "2" => no("IKE version"),
            _ => None,
        }
    }
}
