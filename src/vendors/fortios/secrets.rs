//! Which values are secrets.

use super::syntax::Word;
use crate::vendors::Reader;

/// Settings that hold a secret, besides those that their names betray.
const NAMES: &[&str] = &[
    "psksecret",
    "psksecret-remote",
    "ppk-secret",
    "key",
    "passwd",
    "password",
    "secret",
    "secondary-secret",
    "tertiary-secret",
    "auth-pwd",
    "priv-pwd",
    "private-key",
    "passphrase",
    "sae-password",
    "authpasswd",
    "api-key",
    "apikey",
    "enckey",
    "authkey",
    "key-string",
    "md5-keychain",
    "authentication-key",
    "psk",
    "token",
    "access-key",
    "client-secret",
    "sso-attribute-value",
    "server-secret",
    "login-passwd",
    "hash",
    "keys",
    "mesh-backhaul-ssid-psk",
    "wpa-psk",
    "seed",
];

/// Settings whose names look like secrets and are none.
const NOT: &[&str] = &[
    "fortitoken",
    "two-factor",
    "password-expire",
    "force-password-change",
    "password-renewal",
    "keylife",
    "keylifeseconds",
    "keylifekbs",
    "keepalive",
    "key-id",
    "key-type",
    "ssh-public-key1",
    "ssh-public-key2",
    "ssh-public-key3",
    "password-policy",
    "public-key",
    "save-password",
    "admin-ssh-password",
    "keylife-type",
    "passwd-policy",
    "passwd-time",
    "password-attr",
    "password-expiry-warning",
    "key-inbound",
    "key-outbound",
    "acct-interim-interval",
];

/// Marks the secret values of the setting `words` (its name and values) of the section `path`. The whole text behind the name is a secret, but
/// for the word `ENC` that says how it is encoded.
pub(super) fn mark(reader: &mut Reader<'_>, path: &str, words: &[Word]) {
    let Some((name, values)) = words.split_first() else { return };
    let name = name.text.to_ascii_lowercase();
    // The name of an SNMP community is its password.
    let community = path == "system snmp community" && name == "name";
    let betrayed = ["passw", "secret", "passphrase", "-pwd", "psk", "-key", "token"].iter().any(|part| name.contains(part));
    let by_name = community || NAMES.contains(&name.as_str()) || (betrayed && !NOT.contains(&name.as_str()));
    let encoded = values.first().is_some_and(|v| v.text == "ENC");
    let pem = values.iter().any(|v| v.text.contains("PRIVATE KEY-----"));
    if !(by_name || encoded || pem) {
        return;
    }
    let switch = matches!(values, [one] if matches!(one.text.as_str(), "enable" | "disable" | "" | "any" | "auto"));
    for value in values.iter().filter(|v| v.text != "ENC" && !switch && !v.text.is_empty()) {
        let (start, end) = (value.span.start as usize, value.span.end as usize);
        let quoted = reader.file.slice(value.span).starts_with(['"', '\'']) && end - start >= 2;
        let inner = if quoted { crate::source::Span::new(value.span.file, start + 1, end - 1) } else { value.span };
        reader.secret(inner);
        // A value over several lines is shown line by line.
        if value.text.contains('\n') {
            let mut at = inner.start as usize;
            let text = reader.file.slice(inner).to_owned();
            for line in text.split_inclusive('\n') {
                let body = line.trim();
                if body.len() >= 6 && !body.starts_with("-----") {
                    let from = at + (line.len() - line.trim_start().len());
                    reader.secret(crate::source::Span::new(inner.file, from, from + body.len()));
                }
                at += line.len();
            }
        }
    }
}
