//! Weak cryptography, offered, accepted or in force by default.

use super::standards::Standard;
use super::{Run, Weak, is_openvpn, is_server, is_static_key};
use crate::checks::body::OneOrMany;
use crate::checks::select::matches;
use crate::diag::{Finding, Label};
use crate::model::{CryptoLayer, CryptoOffer, CryptoUse, Tunnel, TunnelKind};

/// Ciphers with blocks of 64 bits (SWEET32, CVE-2016-2183), stream ciphers that are broken, and none at all.
const CIPHERS: &[&str] = &["BF-*", "DES-*", "DES", "3DES*", "RC2-*", "RC4*", "RC5-*", "CAST5-*", "IDEA-*", "NONE", "NULL"];
/// Broken, or on the way out (BSI TR-02102-1 no longer recommends HMAC-SHA-1; NIST retires SHA-1 by the end of 2030).
const DIGESTS: &[&str] = &["NONE", "MD2", "MD4", "MD5", "RSA-MD4", "RSA-MD5", "SHA", "SHA1", "RSA-SHA", "RSA-SHA1"];
/// Curves of less than 224 bits.
const GROUPS: &[&str] = &["SECP112*", "SECP128*", "SECP160*", "SECP192*", "PRIME192*", "SECT113*", "SECT131*", "SECT163*", "SECT193*"];
/// Withdrawn by RFC 8996.
const TLS_VERSIONS: &[&str] = &["1.0", "1.1"];
/// No encryption, no authentication, export strength, what RFC 9325 section 4.1 forbids, and OpenSSL's level without any lower bound
/// (SSL_CTX_set_security_level(3)).
const TLS_CIPHERS: &[&str] =
    &["*NULL*", "*EXP*", "*RC4*", "*RC2*", "*DES*", "*MD5*", "*ANON*", "ADH-*", "AECDH-*", "*IDEA*", "LOW", "*SEED*", "*SECLEVEL=0*"];
/// Passwords in the clear, challenges that can be guessed offline (MS-CHAP: RFC 2759 with DES, broken in 2012), or nothing at all. Inside TLS or
/// EAP they go by other names (`EAP-MSCHAPV2`).
const AUTHENTICATION: &[&str] = &["NONE", "PAP", "CHAP", "MSCHAP", "MSCHAPV1", "MSCHAPV2"];
/// NIST SP 800-57 part 1, revision 5: less than 112 bits of security below this.
const DH_BITS: u32 = 2048;

/// What counts as weak.
pub(super) struct Profile {
    ciphers: Vec<String>,
    digests: Vec<String>,
    /// The user's own list of digests is taken at its word.
    own_digests: bool,
    groups: Vec<String>,
    dh_bits: u32,
    tls_versions: Vec<String>,
    tls_ciphers: Vec<String>,
    standard: Option<Standard>,
}

impl Profile {
    pub fn new(weak: Option<&Weak>, standard: Option<Standard>) -> Profile {
        let weak = weak.cloned().unwrap_or_default();
        let list = |own: Option<OneOrMany<String>>, default: &[&str]| match own {
            Some(own) => own.0.iter().map(|s| s.to_ascii_uppercase()).collect(),
            None => default.iter().map(|s| (*s).to_owned()).collect(),
        };
        Profile {
            own_digests: weak.digests.is_some(),
            ciphers: list(weak.ciphers, CIPHERS),
            digests: list(weak.digests, DIGESTS),
            groups: list(weak.groups, GROUPS),
            dh_bits: weak.dh_bits_below.unwrap_or(DH_BITS),
            tls_versions: list(weak.tls_versions, TLS_VERSIONS),
            tls_ciphers: list(weak.tls_ciphers, TLS_CIPHERS),
            standard,
        }
    }

    /// What an offer is, in words, if it is weak.
    pub fn weak(&self, offer: &CryptoOffer, aead_only: bool) -> Option<String> {
        let name = &offer.name;
        let any = |patterns: &[String]| patterns.iter().any(|p| matches(p, name));
        match offer.usage {
            CryptoUse::Cipher if any(&self.ciphers) => Some(format!("cipher {name}")),
            // A cipher that authenticates makes no use of the digest; it is left for `tls-auth` alone, where HMAC-SHA1 is still
            // sound (openvpn(8), `--auth`).
            CryptoUse::Digest if aead_only && !self.own_digests && (offer.default || name == "SHA1") => None,
            CryptoUse::Digest if any(&self.digests) => Some(format!("digest {name}")),
            CryptoUse::Prf if any(&self.digests) => Some(format!("pseudo-random function {name}")),
            CryptoUse::KeyExchange if name == "NONE" => Some("no perfect forward secrecy".into()),
            // RFC 9395 moves IKEv1 to historic; in aggressive mode a passive listener can guess the pre-shared key offline (NIST SP
            // 800-77r1, section 3.1).
            CryptoUse::IkeVersion if name != "2" => Some(format!("IKE version {}", name.replace("-AGGRESSIVE", " in aggressive mode"))),
            CryptoUse::Authentication if AUTHENTICATION.contains(&name.as_str()) => Some(format!("authentication by {name} alone")),
            CryptoUse::KeyExchange => {
                let bits = name.strip_prefix("DH-").and_then(|b| b.parse::<u32>().ok());
                (any(&self.groups) || bits.is_some_and(|b| b < self.dh_bits)).then(|| format!("key exchange {name}"))
            }
            CryptoUse::TlsVersion if any(&self.tls_versions) => Some(format!("TLS {name}")),
            // `!` and `-` take a suite out of a list in the way of OpenSSL.
            CryptoUse::TlsCipher if !name.starts_with(['!', '-']) && any(&self.tls_ciphers) => Some(format!("TLS cipher suite {name}")),
            CryptoUse::KeySize => name.parse::<u32>().ok().filter(|b| *b < 128).map(|b| format!("key of {b} bits")),
            _ => None,
        }
    }
}

pub(super) fn weak(run: &mut Run<'_, '_>, profile: &Profile) {
    // A client agrees with its server on what both accept: it is the server's least version that counts, if it was read.
    let alone = run.everywhere(|t| is_server(t) && is_openvpn(t)).is_empty();
    for (device, tunnel) in run.tunnels(|_| true) {
        // WireGuard has one set of algorithms (Curve25519, ChaCha20-Poly1305, BLAKE2s), and nothing to negotiate.
        if tunnel.kind == TunnelKind::WireGuard {
            if profile.standard.is_some() {
                let label = run.head(tunnel.span, "");
                let message = "WireGuard's algorithms (Curve25519, ChaCha20-Poly1305, BLAKE2s) are in none of the published profiles";
                run.say(device, tunnel.title(), Finding::new(message, label));
            }
            continue;
        }
        if let Some(why) = broken(tunnel.kind) {
            let label = run.head(tunnel.span, "");
            let mut finding = Finding::new(why, label);
            finding.fix = Some("Use IPsec with IKEv2, WireGuard or OpenVPN instead.".into());
            run.say(device, tunnel.title(), finding);
        }
        if let Some(layer) = unknown_layer(tunnel) {
            let label = run.head(tunnel.span, "");
            let part = if layer == CryptoLayer::Whole { String::new() } else { format!(" for the {}", layer.name()) };
            let message = format!("which algorithms are offered{part} is not in what was read");
            let mut finding = Finding::unknown(message, label.clone(), vec![label]);
            finding.fix = Some("Write the proposals down in the configuration, or look at them on the server that decides.".into());
            run.say(device, format!("{} algorithms", tunnel.title()), finding);
        }
        for offer in &tunnel.crypto {
            let aead_only = aead_only(tunnel, offer.layer);
            let known = profile.weak(offer, aead_only);
            let Some(what) = known.or_else(|| profile.standard?.against(offer, aead_only)) else { continue };
            if offer.perhaps && !is_openvpn(tunnel) {
                let message =
                    format!("{what} is accepted by default in some versions or builds of the software, and nothing here forbids it");
                let label = run.head(offer.span, "");
                let mut finding = Finding::unknown(message, label.clone(), vec![label]);
                finding.fix = Some(fix(tunnel.kind, offer.usage).into());
                run.say(device, format!("{} {what}", tunnel.title()), finding);
                continue;
            }
            if offer.perhaps && !(is_server(tunnel) || alone) {
                continue;
            }
            if offer.perhaps {
                let (label, message) = if tunnel.kind == TunnelKind::OpenVpn && offer.usage == CryptoUse::TlsVersion {
                    let message = format!("{what} is accepted if OpenVPN is older than 2.6: no least version is written");
                    (run.head(offer.span, "no `tls-version-min` here"), message)
                } else {
                    (
                        run.head(offer.span, ""),
                        format!("{what} may be in force: it is the default of some versions, and nothing else is written"),
                    )
                };
                let mut finding = Finding::unknown(message, label.clone(), vec![label]);
                finding.fix = Some(fix(tunnel.kind, offer.usage).into());
                run.say(device, format!("{} {what}", tunnel.title()), finding);
                continue;
            }
            let (message, label) = if offer.default && !is_openvpn(tunnel) {
                (
                    format!("{what} is accepted: it is in the default of the software, and nothing here takes it out"),
                    run.head(offer.span, ""),
                )
            } else if offer.default {
                (format!("{what} is in force: nothing else is written, and it is the default"), run.head(offer.span, ""))
            } else {
                (format!("{what} is offered"), Label::new(offer.span, ""))
            };
            let mut finding = Finding::new(message, label);
            finding.fix = Some(fix(tunnel.kind, offer.usage).into());
            run.say(device, format!("{} {what}", tunnel.title()), finding);
        }
        if let Some(setting) = tunnel.setting("tls-cert-profile").filter(|s| s.value == "insecure") {
            // openvpn(8), `--tls-cert-profile`: certificates signed with MD5 and keys of 1024 bits and less pass.
            let mut finding = Finding::new("certificates of any strength are accepted", Label::new(setting.span, ""));
            finding.fix = Some("Write `tls-cert-profile preferred`, and replace the certificates that it refuses.".into());
            run.say(device, format!("{} tls-cert-profile", tunnel.interface), finding);
        }
        if is_static_key(tunnel)
            && let Some(setting) = tunnel.setting("secret")
        {
            let message = "one secret key for both ends: whoever gets it reads all traffic, that of the past too";
            let mut finding = Finding::new(message, Label::new(setting.span, ""));
            finding.fix = Some("Use TLS mode with certificates; OpenVPN 2.7 drops static keys.".into());
            run.say(device, format!("{} static key", tunnel.interface), finding);
        }
    }
}

/// The part of a tunnel of whose ciphers nothing is known, so that nothing weak was found there for want of anything to find.
fn unknown_layer(tunnel: &Tunnel) -> Option<CryptoLayer> {
    let known = |layer: CryptoLayer| {
        tunnel.crypto.iter().any(|o| o.usage == CryptoUse::Cipher && (o.layer == layer || o.layer == CryptoLayer::Whole))
    };
    match tunnel.kind {
        TunnelKind::Ipsec if tunnel.crypto.iter().all(|o| o.usage != CryptoUse::Cipher) => Some(CryptoLayer::Whole),
        TunnelKind::Ipsec => [CryptoLayer::Control, CryptoLayer::Data].into_iter().find(|l| !known(*l)),
        TunnelKind::TlsVpn | TunnelKind::Sstp => {
            let tls = |o: &CryptoOffer| matches!(o.usage, CryptoUse::Cipher | CryptoUse::TlsVersion | CryptoUse::TlsCipher);
            tunnel.crypto.iter().all(|o| !tls(o)).then_some(CryptoLayer::Whole)
        }
        _ => None,
    }
}

/// Whether every cipher that is offered in a layer authenticates by itself, so that no digest is used there.
pub(super) fn aead_only(tunnel: &Tunnel, layer: CryptoLayer) -> bool {
    let mut ciphers = tunnel.crypto.iter().filter(|o| o.usage == CryptoUse::Cipher && o.layer == layer).peekable();
    ciphers.peek().is_some() && ciphers.all(|o| ["-GCM", "-CCM", "-POLY1305"].iter().any(|end| o.name.ends_with(end)))
}

/// Why a protocol protects nothing, whatever is configured.
fn broken(kind: TunnelKind) -> Option<&'static str> {
    match kind {
        TunnelKind::Pptp => Some("PPTP is broken: its keys come from a password that can be guessed offline (RFC 2637, RFC 3078)"),
        TunnelKind::L2tp => Some("L2TP without IPsec encrypts nothing (RFC 3193)"),
        _ => None,
    }
}

fn fix(kind: TunnelKind, usage: CryptoUse) -> &'static str {
    if kind != TunnelKind::OpenVpn {
        return match usage {
            CryptoUse::Cipher | CryptoUse::KeySize => "Offer AES-256-GCM or AES-128-GCM, and nothing else.",
            CryptoUse::Digest | CryptoUse::Prf => "Offer SHA-256, SHA-384 or SHA-512, and nothing else.",
            CryptoUse::KeyExchange => "Offer groups 19, 20 or 21 (elliptic curves), 15 or 16 (3072 and 4096 bits), and nothing else.",
            CryptoUse::TlsVersion => "Accept TLS 1.2 and 1.3 only.",
            CryptoUse::TlsCipher => "Accept suites with ECDHE and GCM or CHACHA20-POLY1305 only.",
            CryptoUse::Compression => "Switch compression off.",
            CryptoUse::IkeVersion => "Use IKEv2 on both ends.",
            CryptoUse::Authentication => "Use certificates, or EAP with TLS.",
        };
    }
    match usage {
        CryptoUse::Cipher | CryptoUse::KeySize => "Write `data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305` and no other cipher.",
        CryptoUse::Digest => "Write `auth SHA256`.",
        CryptoUse::KeyExchange => "Use `dh none` with `ecdh-curve secp384r1` or `tls-groups X25519`, or parameters of 3072 bits.",
        CryptoUse::TlsVersion => "Write `tls-version-min 1.2`.",
        CryptoUse::TlsCipher => "Name suites with ECDHE and GCM or CHACHA20-POLY1305 only, or leave `tls-cipher` out.",
        CryptoUse::Compression => "Leave compression out.",
        CryptoUse::IkeVersion | CryptoUse::Prf | CryptoUse::Authentication => "Use TLS with certificates on both ends.",
    }
}
