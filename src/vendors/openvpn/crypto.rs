//! What is offered or accepted of cryptography, written or by default.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::parse::Directive;
use crate::model::{CryptoOffer, CryptoUse};
use crate::source::Span;

/// Ciphers of the data channel where none are named: openvpn(8) of 2.6, `--data-ciphers` (2.5 had the first two only).
const DATA_CIPHERS: &[&str] = &["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"];
/// Cipher of a static-key tunnel, or without negotiation, where none is named: openvpn(8) of 2.4 and 2.5, `--cipher`.
const LEGACY_CIPHER: &str = "BF-CBC";
/// Digest where none is named: openvpn(8) of 2.4 to 2.6, `--auth`.
const DIGEST: &str = "SHA1";
/// Least TLS version where none is named: openvpn(8) of 2.6, `--tls-version-min`.
const TLS_VERSION: &str = "1.2";
/// The same before 2.6, and in 2.6 under `--compat-mode` 2.3.6 or less.
const OLD_TLS_VERSION: &str = "1.0";

/// Directives that 2.5 and older refuse (Changes.rst of 2.6 and 2.7).
const NEW: [&str; 8] = [
    "compat-mode",
    "connect-freq-initial",
    "dns",
    "force-tls-key-material-export",
    "peer-fingerprint",
    "protocol-flags",
    "providers",
    "tls-groups",
];

/// What decides about defaults.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Facts {
    /// Static-key mode: `secret`, no TLS.
    pub static_key: bool,
    /// `ncp-disable`: no negotiation of ciphers, which also says that the software is older than 2.6 (removed there).
    pub no_negotiation: bool,
    /// `compat-mode` 2.3.6 or less.
    pub ancient: bool,
}

/// Adds what a directive offers.
pub(super) fn written(offers: &mut Vec<CryptoOffer>, directive: &Directive<'_>) {
    let span = directive.span;
    let mut add = |usage, name: &str| offers.push(CryptoOffer::written(usage, name, span));
    let arg = directive.arg(0);
    let mut list = |usage| {
        for name in arg.split(':').map(|n| n.trim_start_matches('?')).filter(|n| !n.is_empty()) {
            // 2.7: the defaults, by name.
            if usage == CryptoUse::Cipher && name == "DEFAULT" {
                DATA_CIPHERS.iter().for_each(|n| add(usage, n));
            } else {
                add(usage, name);
            }
        }
    };
    match directive.name.as_str() {
        "cipher" | "data-ciphers-fallback" if !arg.is_empty() => add(CryptoUse::Cipher, arg),
        "data-ciphers" | "ncp-ciphers" => list(CryptoUse::Cipher),
        "auth" if !arg.is_empty() => add(CryptoUse::Digest, arg),
        "tls-version-min" if !arg.is_empty() => add(CryptoUse::TlsVersion, arg),
        "tls-cipher" | "tls-ciphersuites" => list(CryptoUse::TlsCipher),
        "tls-groups" => list(CryptoUse::KeyExchange),
        "ecdh-curve" if !arg.is_empty() => add(CryptoUse::KeyExchange, arg),
        "dh" => {
            let bits = match directive.body {
                Some(body) => pem_bits(directive.file.slice(body)),
                None => bits_in_name(arg),
            };
            if let Some(bits) = bits {
                add(CryptoUse::KeyExchange, &format!("DH-{bits}"));
            }
        }
        "keysize" if !arg.is_empty() => add(CryptoUse::KeySize, arg),
        // Without an argument, and with the stubs, only the framing is used (openvpn(8), `--compress`).
        "compress" if !matches!(arg, "" | "stub" | "stub-v2" | "migrate") => add(CryptoUse::Compression, arg),
        "comp-lzo" if arg != "no" => add(CryptoUse::Compression, "LZO"),
        _ => {}
    }
}

/// Adds the defaults of what no directive names. `span` is the tunnel's configuration.
pub(super) fn defaults(offers: &mut Vec<CryptoOffer>, directives: &[Directive<'_>], facts: Facts, span: Span) {
    let names = |names: &[&str]| directives.iter().any(|d| names.contains(&d.name.as_str()) && !d.args.is_empty());
    let mut add = |usage, name: &str| {
        let perhaps = usage == CryptoUse::TlsVersion && name == OLD_TLS_VERSION && !facts.no_negotiation && !facts.ancient;
        offers.push(CryptoOffer { default: true, perhaps, ..CryptoOffer::written(usage, name, span) });
    };
    if facts.static_key || facts.no_negotiation {
        if !names(&["cipher"]) {
            add(CryptoUse::Cipher, LEGACY_CIPHER);
        }
    } else if !names(&["data-ciphers", "ncp-ciphers"]) {
        DATA_CIPHERS.iter().for_each(|n| add(CryptoUse::Cipher, n));
    }
    if !names(&["auth"]) {
        add(CryptoUse::Digest, DIGEST);
    }
    if !facts.static_key && !names(&["tls-version-min"]) {
        // Nothing in a configuration says which version reads it, unless it uses what only new ones know.
        let new = names(&NEW) && !facts.no_negotiation && !facts.ancient;
        add(CryptoUse::TlsVersion, if new { TLS_VERSION } else { OLD_TLS_VERSION });
    }
}

/// The size in the name of a parameter file: `dh2048.pem`, `/etc/openvpn/dh-1024.pem`.
fn bits_in_name(path: &str) -> Option<u32> {
    let name = path.rsplit(['/', '\\']).next()?;
    let mut sizes = name.rsplit(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok());
    sizes.find(|n| (512..=16384).contains(n) && n % 8 == 0)
}

/// The size of the prime in a PEM block of Diffie-Hellman parameters: the first integer of a DER sequence (PKCS #3).
fn pem_bits(text: &str) -> Option<u32> {
    let begin = text.find("-----BEGIN ")?;
    let body = text.get(begin..)?.split_once('\n')?.1;
    let body = body.get(..body.find("-----END")?)?;
    let encoded: String = body.chars().filter(|c| !c.is_whitespace()).take(16 << 10).collect();
    let der = STANDARD.decode(encoded).ok()?;
    let rest = element(&der, 0x30)?;
    let prime = element(rest, 0x02)?;
    let first = prime.iter().position(|b| *b != 0)?;
    let bytes = u32::try_from(prime.len() - first).ok()?;
    Some(bytes * 8 - prime.get(first)?.leading_zeros())
}

/// The content of a DER element with this tag at the beginning of `der`; as much of it as there is.
fn element(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (first, rest) = der.split_first()?;
    let (length, mut rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let mut size = usize::from(*length);
    if size >= 0x80 {
        let (bytes, after) = rest.split_at_checked(size - 0x80).filter(|(b, _)| b.len() <= 3)?;
        size = bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        rest = after;
    }
    Some(rest.get(..size).unwrap_or(rest))
}
