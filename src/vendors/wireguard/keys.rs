//! WireGuard keys in comments.

pub(super) use crate::syntax::wireguard::{is_key, is_placeholder, looks_like_key, public_key};

use super::parse::Text;
use crate::source::{SourceFile, Span};

/// The public key that stands behind an entry as a comment: `PrivateKey = (removed) # PublicKey = …`, as the scripts of `fwproof collect` leave it.
pub(super) fn public_key_behind(file: &SourceFile, entry: Span) -> Option<String> {
    let line = file.line(file.line_index(entry.end));
    let key = line.split_once('#')?.1.trim().strip_prefix("PublicKey")?.trim_start().strip_prefix('=')?.trim();
    is_key(key).then(|| key.to_owned())
}

/// The secret of a comment that holds a commented-out key (`# PrivateKey = …`).
pub(super) fn secret_in_comment(comment: Text<'_>) -> Option<Text<'_>> {
    let lower = comment.text.to_ascii_lowercase();
    let word = ["privatekey", "private key", "private_key", "presharedkey", "preshared key", "preshared_key", "psk"];
    let end = word.iter().filter_map(|w| lower.find(w).map(|at| at + w.len())).min()?;
    let rest = comment.text.get(end..)?;
    let start = end + (rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '=' | ':')).len());
    let secret = comment.part(start, comment.text.len());
    // Prose about keys is no key: a key is one long word.
    let first = secret.text.split_whitespace().next()?;
    (first.len() >= 16 && !is_placeholder(first)).then(|| secret.part(0, first.len()))
}
