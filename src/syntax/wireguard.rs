//! WireGuard keys: 32 bytes in base64, 44 characters (wg(8)), in whatever format they stand.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x25519_dalek::{PublicKey, StaticSecret};

/// Whether a word has the form of a key.
pub fn looks_like_key(word: &str) -> bool {
    word.len() == 44 && word.ends_with('=') && word.bytes().take(43).all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn decode(text: &str) -> Option<[u8; 32]> {
    if !looks_like_key(text) {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Whether a text is a key.
pub fn is_key(text: &str) -> bool {
    decode(text).is_some()
}

/// The public key of a private key; `None` if that is none.
pub fn public_key(private: &str) -> Option<String> {
    let secret = StaticSecret::from(decode(private)?);
    Some(STANDARD.encode(PublicKey::from(&secret).as_bytes()))
}

/// Whether a text stands where a key was taken out: `(hidden)` and `(none)` of wg(8), `<redacted>`, `xxxx`, `****`. It is no secret, and
/// marking it as one would take a common word out of every report.
pub fn is_placeholder(text: &str) -> bool {
    let bracketed = [("(", ")"), ("<", ">"), ("{{", "}}"), ("[", "]")].iter().any(|(a, b)| text.starts_with(a) && text.ends_with(b));
    let filler = text.bytes().all(|b| matches!(b, b'x' | b'X' | b'*' | b'.' | b'-' | b'_'));
    bracketed || filler || ["redacted", "hidden", "removed"].iter().any(|w| text.eq_ignore_ascii_case(w))
}
