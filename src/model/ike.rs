//! Names of IKE's algorithms: the words of IANA, strongSwan and libreswan in those of [`CryptoOffer::name`].

use super::{CryptoLayer, CryptoOffer, CryptoUse};
use crate::source::Span;

/// Groups of IKE by their number (IANA, "Transform Type 4"), in the words of the model.
const GROUPS: &[(&str, &str)] = &[
    ("0", "NONE"),
    ("1", "DH-768"),
    ("2", "DH-1024"),
    ("5", "DH-1536"),
    ("14", "DH-2048"),
    ("15", "DH-3072"),
    ("16", "DH-4096"),
    ("17", "DH-6144"),
    ("18", "DH-8192"),
    ("19", "SECP256R1"),
    ("20", "SECP384R1"),
    ("21", "SECP521R1"),
    ("22", "DH-1024"),
    ("23", "DH-2048"),
    ("24", "DH-2048"),
    ("25", "SECP192R1"),
    ("26", "SECP224R1"),
    ("27", "BRAINPOOLP224R1"),
    ("28", "BRAINPOOLP256R1"),
    ("29", "BRAINPOOLP384R1"),
    ("30", "BRAINPOOLP512R1"),
    ("31", "X25519"),
    ("32", "X448"),
    ("off", "NONE"),
];

/// Key exchange in the words of strongSwan's proposals (its `proposal_keywords_static.txt`) and of libreswan's (`ike_alg_dh.c`).
const EXCHANGES: &[(&str, &str)] = &[
    ("none", "NONE"),
    ("null", "NONE"),
    ("modpnone", "NONE"),
    ("modp768", "DH-768"),
    ("modp1024", "DH-1024"),
    ("modp1024s160", "DH-1024"),
    ("modp1536", "DH-1536"),
    ("modp2048", "DH-2048"),
    ("modp2048s224", "DH-2048"),
    ("modp2048s256", "DH-2048"),
    ("modp3072", "DH-3072"),
    ("modp4096", "DH-4096"),
    ("modp6144", "DH-6144"),
    ("modp8192", "DH-8192"),
    ("ecp192", "SECP192R1"),
    ("ecp224", "SECP224R1"),
    ("ecp256", "SECP256R1"),
    ("ecp384", "SECP384R1"),
    ("ecp521", "SECP521R1"),
    ("secp256r1", "SECP256R1"),
    ("secp384r1", "SECP384R1"),
    ("secp521r1", "SECP521R1"),
    ("ecp256bp", "BRAINPOOLP256R1"),
    ("ecp384bp", "BRAINPOOLP384R1"),
    ("ecp512bp", "BRAINPOOLP512R1"),
    ("ecp224bp", "BRAINPOOLP224R1"),
    ("curve25519", "X25519"),
    ("x25519", "X25519"),
    ("curve448", "X448"),
    ("x448", "X448"),
    ("mlkem512", "ML-KEM-512"),
    ("mlkem768", "ML-KEM-768"),
    ("mlkem1024", "ML-KEM-1024"),
];

/// The model's name of a group of IKE; `GROUP-99` where IANA's number is not known here.
pub fn group(number: &str) -> String {
    GROUPS.iter().find(|(n, _)| *n == number).map_or_else(|| format!("GROUP-{number}"), |(_, name)| (*name).to_owned())
}

/// A cipher by its word and length of key. Where neither says the length, it is `ANY`.
pub fn cipher(word: &str, bits: Option<&str>) -> String {
    let word = word.to_ascii_lowercase();
    let digits: String = word.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let own = Some(digits.as_str()).filter(|d| d.len() == 3);
    // A GCM algorithm is written with the length of its key in its name; the number beside it is that of its tag.
    let bits = own.or(bits.filter(|b| matches!(*b, "128" | "192" | "256"))).unwrap_or("ANY");
    match word.as_str() {
        "null" => "NULL".into(),
        "des" => "DES-CBC".into(),
        "3des" => "3DES-CBC".into(),
        w if w.starts_with("chacha20poly1305") => "CHACHA20-POLY1305".into(),
        w if w.starts_with("blowfish") => "BF-CBC".into(),
        w if w.starts_with("cast") => "CAST5-CBC".into(),
        // GMAC authenticates and encrypts nothing (RFC 4543).
        w if w.contains("gmac") => "NULL".into(),
        w if w.starts_with("aes") && w.contains("gcm") => format!("AES-{bits}-GCM"),
        w if w.starts_with("aes") && w.contains("ccm") => format!("AES-{bits}-CCM"),
        w if w.starts_with("aes") && w.contains("ctr") => format!("AES-{bits}-CTR"),
        w if w.starts_with("aes") => format!("AES-{bits}-CBC"),
        w if w.starts_with("camellia") && w.contains("ctr") => format!("CAMELLIA-{bits}-CTR"),
        w if w.starts_with("camellia") && w.contains("ccm") => format!("CAMELLIA-{bits}-CCM"),
        w if w.starts_with("camellia") => format!("CAMELLIA-{bits}-CBC"),
        w if w.starts_with("serpent") => format!("SERPENT-{bits}-CBC"),
        w if w.starts_with("twofish") => format!("TWOFISH-{bits}-CBC"),
        w => w.to_ascii_uppercase(),
    }
}

/// A digest or pseudo-random function by its word: `hmac_sha256`, `sha256`, `sha2_256`.
pub fn digest(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    let word = word.strip_prefix("hmac_").unwrap_or(&word);
    match word {
        "sha" | "sha1" | "sha1_96" | "sha1_160" => "SHA1".into(),
        "sha2" | "sha2_256" | "sha256_96" | "sha2_256_96" | "sha2_256_128" => "SHA256".into(),
        "sha2_384" => "SHA384".into(),
        "sha2_512" => "SHA512".into(),
        "md5" | "md5_96" | "md5_128" => "MD5".into(),
        w => w.to_ascii_uppercase(),
    }
}

/// Adds an offer unless the same place says the same.
pub fn offer(offers: &mut Vec<CryptoOffer>, usage: CryptoUse, layer: CryptoLayer, name: &str, span: Span) {
    let known = offers.iter().rev().take_while(|c| c.span == span).any(|c| c.usage == usage && c.layer == layer && c.name == name);
    if !known {
        offers.push(CryptoOffer { layer, ..CryptoOffer::written(usage, name, span) });
    }
}

/// Words of a proposal, sorted by what they are for.
#[derive(Default)]
struct Words {
    ciphers: Vec<String>,
    digests: Vec<String>,
    prfs: Vec<String>,
    exchanges: Vec<String>,
}

impl Words {
    fn offer(&self, layer: CryptoLayer, span: Span, out: &mut Vec<CryptoOffer>) {
        let aead = !self.ciphers.is_empty() && self.ciphers.iter().all(|c| is_aead(c));
        self.ciphers.iter().for_each(|c| offer(out, CryptoUse::Cipher, layer, c, span));
        // Beside a cipher that authenticates by itself, what IKE writes as integrity is its pseudo-random function.
        let used = if aead && layer == CryptoLayer::Control { CryptoUse::Prf } else { CryptoUse::Digest };
        self.digests.iter().for_each(|d| offer(out, used, layer, d, span));
        self.prfs.iter().for_each(|p| offer(out, CryptoUse::Prf, layer, p, span));
        self.exchanges.iter().for_each(|e| offer(out, CryptoUse::KeyExchange, layer, e, span));
    }
}

fn is_aead(cipher: &str) -> bool {
    ["-GCM", "-CCM", "-POLY1305"].iter().any(|end| cipher.ends_with(end))
}

fn is_digest(word: &str) -> bool {
    word.starts_with("sha") || word.starts_with("md5") || matches!(word, "aesxcbc" | "aescmac" | "camelliaxcbc" | "aes_xcbc" | "aes_cmac")
}

fn is_cipher(word: &str) -> bool {
    let start = ["aes", "3des", "camellia", "chacha20", "blowfish", "cast", "serpent", "twofish", "null_auth"];
    matches!(word, "null" | "des") || start.iter().any(|s| word.starts_with(s))
}

/// Adds what a proposal in strongSwan's words offers (`aes256-sha256-modp2048`, `aes128gcm16-x25519`), and gives the words that are none
/// of them. `default` is strongSwan's own list, which depends on its version and plugins: nothing is added for it.
pub fn strongswan(proposal: &str, layer: CryptoLayer, span: Span, out: &mut Vec<CryptoOffer>) -> Vec<String> {
    let proposal = proposal.trim();
    let mut unknown = Vec::new();
    if proposal.is_empty() || proposal == "default" {
        return unknown;
    }
    let mut words = Words::default();
    for word in proposal.split('-').map(|w| w.trim().to_ascii_lowercase()) {
        if word == "null" {
            words.ciphers.push("NULL".into());
        } else if let Some((_, name)) = EXCHANGES.iter().find(|(k, _)| *k == word) {
            words.exchanges.push((*name).to_owned());
        } else if let Some(prf) = word.strip_prefix("prf") {
            words.prfs.push(digest(prf));
        } else if is_digest(&word) {
            words.digests.push(digest(&word));
        } else if is_cipher(&word) {
            // `aes` alone is AES-128 (proposal_keywords_static.txt).
            words.ciphers.push(cipher(&word, Some("128")));
        } else if !matches!(word.as_str(), "esn" | "noesn" | "") && !is_additional(&word) {
            unknown.push(word);
        }
    }
    if layer == CryptoLayer::Data && words.exchanges.is_empty() {
        words.exchanges.push("NONE".into());
    }
    words.offer(layer, span, out);
    unknown
}

/// A further exchange of keys beside the first (RFC 9370: `ke1_mlkem768`): it can only make the whole stronger.
fn is_additional(word: &str) -> bool {
    word.strip_prefix("ke").and_then(|w| w.split_once('_')).is_some_and(|(n, _)| matches!(n, "1" | "2" | "3" | "4" | "5" | "6" | "7"))
}

/// Adds what a proposal in libreswan's words offers (`aes256-sha2_512+sha2_256-dh19+dh20`, `aes_gcm256`, `3des-sha1;modp1024`), and gives the
/// words that are none of them. What a part of IKE is not written for is added from libreswan's defaults ([`libreswan_default`]) by the
/// caller.
pub fn libreswan(proposal: &str, layer: CryptoLayer, span: Span, out: &mut Vec<CryptoOffer>) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut words = Words::default();
    let mut parts = proposal.trim().split(['-', ';', '+']).map(|w| w.trim().to_ascii_lowercase()).peekable();
    let mut after_cipher = false;
    while let Some(word) = parts.next() {
        // `aes-256`: the length of the key as a part of its own.
        let bits = parts.next_if(|next| matches!(next.as_str(), "128" | "192" | "256"));
        if word == "null" && words.ciphers.is_empty() {
            words.ciphers.push("NULL".into());
        } else if matches!(word.as_str(), "null" | "none" | "") && after_cipher {
            // No integrity beside a cipher that authenticates: `aes_gcm-null`.
        } else if let Some((_, name)) = EXCHANGES.iter().find(|(k, _)| *k == word) {
            words.exchanges.push((*name).to_owned());
        } else if let Some(number) = word.strip_prefix("dh").filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            words.exchanges.push(group(number));
        } else if is_digest(&word) {
            words.digests.push(digest(&word));
        } else if is_cipher(&word) {
            match libreswan_cipher(&word, bits.as_deref()) {
                names if names.is_empty() => unknown.push(word),
                names => words.ciphers.extend(names),
            }
            after_cipher = true;
            continue;
        } else {
            unknown.push(word);
        }
        after_cipher = false;
    }
    words.offer(layer, span, out);
    unknown
}

/// `aes_gcm_c_256`, `aes_gcm256`, `aes128`, `aes_cbc`: without a length both 128 and 256 bits (libreswan's ipsec.conf(5), `ike`).
fn libreswan_cipher(word: &str, bits: Option<&str>) -> Vec<String> {
    let mut plain = String::new();
    let mut tagged = false;
    for piece in word.split('_') {
        // `aes_gcm_16_256`, `aes_gcm_c`: the length of the tag is not that of the key.
        if !(tagged && matches!(piece, "8" | "12" | "16" | "a" | "b" | "c")) {
            plain.push_str(piece);
        }
        tagged |= matches!(piece, "gcm" | "ccm");
    }
    let plain = if plain.starts_with("3des") { "3des" } else { plain.as_str() };
    let name = cipher(plain, bits);
    if name.contains("-ANY-") { ["128", "256"].map(|b| name.replace("-ANY-", &format!("-{b}-"))).to_vec() } else { vec![name] }
}

/// A default of a program: what is offered where nothing is written.
type Default = &'static [(CryptoUse, &'static str)];

/// The default proposals of libreswan (`ike_info.c` and `esp_info.c` of 4.0 and newer), by the version of IKE. Of ESP only what carries the
/// packets: the exchange of keys follows IKE's, unless `pfs=no`.
pub fn libreswan_default(version: u8, layer: CryptoLayer) -> Default {
    use CryptoUse::{Cipher, Digest, KeyExchange, Prf};
    match (version, layer) {
        (1, CryptoLayer::Control) => &[
            (Cipher, "AES-128-CBC"),
            (Cipher, "AES-256-CBC"),
            (Cipher, "3DES-CBC"),
            (Digest, "SHA256"),
            (Digest, "SHA512"),
            (Digest, "SHA1"),
            (KeyExchange, "DH-2048"),
            (KeyExchange, "DH-1536"),
            (KeyExchange, "SECP256R1"),
            (KeyExchange, "X25519"),
        ],
        (1, _) => &[
            (Cipher, "AES-128-CBC"),
            (Cipher, "AES-256-CBC"),
            (Cipher, "AES-128-GCM"),
            (Cipher, "AES-256-GCM"),
            (Cipher, "3DES-CBC"),
            (Digest, "SHA1"),
            (Digest, "SHA512"),
            (Digest, "SHA256"),
        ],
        (_, CryptoLayer::Control) => &[
            (Cipher, "AES-256-GCM"),
            (Cipher, "AES-128-GCM"),
            (Cipher, "CHACHA20-POLY1305"),
            (Cipher, "AES-256-CBC"),
            (Cipher, "AES-128-CBC"),
            (Digest, "SHA512"),
            (Digest, "SHA256"),
            (Prf, "SHA512"),
            (Prf, "SHA256"),
            (KeyExchange, "SECP256R1"),
            (KeyExchange, "SECP384R1"),
            (KeyExchange, "SECP521R1"),
            (KeyExchange, "X25519"),
            (KeyExchange, "DH-4096"),
            (KeyExchange, "DH-3072"),
            (KeyExchange, "DH-2048"),
            (KeyExchange, "DH-8192"),
        ],
        (_, _) => &[
            (Cipher, "AES-256-GCM"),
            (Cipher, "AES-128-GCM"),
            (Cipher, "CHACHA20-POLY1305"),
            (Cipher, "AES-256-CBC"),
            (Cipher, "AES-128-CBC"),
            (Digest, "SHA512"),
            (Digest, "SHA256"),
        ],
    }
}

/// The proposals that strongSwan forms by itself (`proposal_create_default` of its `proposal.c`, 5.5 to 6.0), with `true` for what is among
/// them only where a plugin provides it: of IKE 3DES (`des`) and SHA-1.
pub fn strongswan_default(layer: CryptoLayer) -> &'static [(CryptoUse, &'static str, bool)] {
    use CryptoUse::{Cipher, Digest, KeyExchange, Prf};
    match layer {
        CryptoLayer::Control => &[
            (Cipher, "AES-128-CBC", false),
            (Cipher, "AES-192-CBC", false),
            (Cipher, "AES-256-CBC", false),
            (Cipher, "AES-128-GCM", false),
            (Cipher, "AES-192-GCM", false),
            (Cipher, "AES-256-GCM", false),
            (Cipher, "3DES-CBC", true),
            (Digest, "SHA256", false),
            (Digest, "SHA384", false),
            (Digest, "SHA512", false),
            (Digest, "SHA1", true),
            (Prf, "SHA256", false),
            (Prf, "SHA384", false),
            (Prf, "SHA512", false),
            (Prf, "SHA1", true),
            (KeyExchange, "SECP256R1", false),
            (KeyExchange, "SECP384R1", false),
            (KeyExchange, "SECP521R1", false),
            (KeyExchange, "X25519", false),
            (KeyExchange, "DH-3072", false),
            (KeyExchange, "DH-4096", false),
            (KeyExchange, "DH-6144", false),
            (KeyExchange, "DH-8192", false),
            (KeyExchange, "DH-2048", false),
        ],
        _ => &[
            (Cipher, "AES-128-CBC", false),
            (Cipher, "AES-192-CBC", false),
            (Cipher, "AES-256-CBC", false),
            (Digest, "SHA256", false),
            (Digest, "SHA384", false),
            (Digest, "SHA512", false),
            (Digest, "SHA1", false),
            (KeyExchange, "NONE", false),
        ],
    }
}

/// Adds a program's defaults. `span`: the configuration of which they are.
pub fn defaults(
    list: impl IntoIterator<Item = (CryptoUse, &'static str, bool)>,
    layer: CryptoLayer,
    span: Span,
    out: &mut Vec<CryptoOffer>,
) {
    let offers = list.into_iter().map(|(usage, name, perhaps)| CryptoOffer {
        layer,
        default: true,
        perhaps,
        ..CryptoOffer::written(usage, name, span)
    });
    out.extend(offers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn names(read: fn(&str, CryptoLayer, Span, &mut Vec<CryptoOffer>) -> Vec<String>, text: &str, layer: CryptoLayer) -> String {
        let mut out = Vec::new();
        let unknown = read(text, layer, Span::new(FileId(0), 0, 1), &mut out);
        let names: Vec<&str> = out.iter().map(|o| o.name.as_str()).chain(unknown.iter().map(String::as_str)).collect();
        names.join(" ")
    }

    #[test]
    fn words_of_strongswan_are_known() {
        use CryptoLayer::{Control, Data};
        assert_eq!(names(strongswan, "aes256-sha256-modp2048", Control), "AES-256-CBC SHA256 DH-2048");
        assert_eq!(names(strongswan, "aes128gcm128-x25519", Data), "AES-128-GCM X25519");
        assert_eq!(names(strongswan, "aes-sha1", Data), "AES-128-CBC SHA1 NONE");
        assert_eq!(names(strongswan, "null-md5_128", Data), "NULL MD5 NONE");
        assert_eq!(names(strongswan, "aes256gcm16-prfsha384-ecp384-ke1_mlkem768", Control), "AES-256-GCM SHA384 SECP384R1");
        assert_eq!(names(strongswan, "aes128gmac-esn", Data), "NULL NONE");
        assert_eq!(names(strongswan, "aes128-sha256-modp999", Control), "AES-128-CBC SHA256 modp999");
        assert_eq!(names(strongswan, "default", Control), "");
    }

    #[test]
    fn words_of_libreswan_are_known() {
        use CryptoLayer::{Control, Data};
        assert_eq!(names(libreswan, "aes256-sha2_512+sha2_256-dh19+dh14", Control), "AES-256-CBC SHA512 SHA256 SECP256R1 DH-2048");
        assert_eq!(names(libreswan, "3des-sha1;modp1024", Control), "3DES-CBC SHA1 DH-1024");
        assert_eq!(names(libreswan, "aes_gcm-null", Data), "AES-128-GCM AES-256-GCM");
        assert_eq!(names(libreswan, "aes_gcm_16_256", Data), "AES-256-GCM");
        assert_eq!(names(libreswan, "aes_128-sha1", Data), "AES-128-CBC SHA1");
        assert_eq!(names(libreswan, "aes-256-sha1", Data), "AES-256-CBC SHA1");
        assert_eq!(names(libreswan, "chacha20_poly1305", Data), "CHACHA20-POLY1305");
    }

    #[test]
    fn beside_an_aead_the_digest_of_ike_is_its_pseudo_random_function() {
        let mut out = Vec::new();
        libreswan("aes_gcm256-sha1-dh20", CryptoLayer::Control, Span::new(FileId(0), 0, 1), &mut out);
        assert_eq!(out[1].usage, CryptoUse::Prf);
    }
}
