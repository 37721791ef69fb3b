//! Values that are never shown.

use super::tree::At;
use crate::syntax::wireguard::is_placeholder;
use crate::vendors::Reader;

/// Leaves whose value is a secret, by their name.
fn secret_leaf(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    const PARTS: &[&str] = &[
        "password",
        "secret",
        "passphrase",
        "private-key",
        "preshared",
        "pre-shared",
        "md5-key",
        "auth-key",
        "plaintext-key",
        "encrypted-key",
        "api-key",
        "token",
        "passwd",
        "auth-md5",
    ];
    const NOT: &[&str] = &[
        "disable-password-authentication",
        "shared-secret-key-file",
        "shared-secret-key",
        "private-key-file",
        "password-authentication",
        "rsa-key-name",
        "password-policy",
        "password-complexity",
        "password-less",
        "key-file",
    ];
    PARTS.iter().any(|p| word.contains(p)) && !NOT.contains(&word.as_str()) && !word.ends_with("-file")
}

/// Whether the value of `key` is one, by what it stands in.
fn secret_key(at: At<'_>) -> bool {
    let path = at.words();
    let inside = |words: &[&str]| path.iter().any(|w| words.contains(w));
    let public = inside(&["public-keys", "public-key", "host-key"]);
    match at.word() {
        "key" => {
            !public
                && (inside(&[
                    "api",
                    "otp",
                    "radius",
                    "radius-server",
                    "tacacs",
                    "tacacs-server",
                    "wep",
                    "shared-secret",
                    "private",
                    "macsec",
                    "security",
                    "server",
                    "openvpn",
                    "psk",
                ]))
        }
        "psk" | "mka" => at.children().all(|c| c.children().next().is_none()),
        "cak" => true,
        _ => false,
    }
}

/// Marks all secrets of a configuration.
pub(super) fn hide(reader: &mut Reader<'_>, root: At<'_>) {
    let mut todo = vec![root];
    while let Some(at) = todo.pop() {
        let word = at.word();
        let values = || at.children();
        if word == "community" && at.parent().word() == "snmp" {
            values().for_each(|v| hidden(reader, v));
        }
        // An SNMP community may stand behind `service snmp trap-target … community` too.
        let community = word == "community" && at.words().contains(&"snmp");
        // `pki certificate NAME private key …`, `environment NAME value …` of a container.
        let environment = word == "value" && {
            let name = at.parent().word().to_ascii_lowercase();
            at.words().contains(&"environment") && ["pass", "secret", "token", "key"].iter().any(|p| name.contains(p))
        };
        if secret_leaf(word) || secret_key(at) || environment || community {
            for value in values().filter(|v| v.children().next().is_none()) {
                hidden(reader, value);
            }
        }
        todo.extend(at.children());
    }
}

fn hidden(reader: &mut Reader<'_>, value: At<'_>) {
    let text = value.word();
    // Passwords and communities with which things are shipped are no secrets, and hiding them would take common words out of every report.
    if !text.is_empty() && !is_placeholder(text) && !matches!(text, "vyos" | "ubnt" | "public" | "private") {
        reader.secret(value.span());
    }
}
