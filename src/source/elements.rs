//! Secrets in XML, by the names of the elements in which they stand.
//!
//! The text is searched, not the tree: what stands behind damage is hidden as well, and what is read as another format.

use super::{SourceFile, Span};

/// Parts of names behind which something secret stands.
const SECRET: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "psk",
    "prv",
    "privkey",
    "private",
    "hash",
    "community",
    "otp_seed",
    "otpseed",
    "token",
    "shared",
    "bindpw",
    "apikey",
    "api_key",
    "credential",
    "crypt_key",
    "static_keys",
    "pincode",
];
/// Names as a whole.
const EXACT: &[&str] =
    &["key", "tls", "tls_key", "seed", "pin", "sharedkey", "ddnsdomainkey", "enckey", "authkey", "pre-shared-key", "license_key", "md5key"];
/// Names that look so and hold none.
const HARMLESS: &[&str] = &[
    "passtos",
    "passthrough",
    "passthroughmac",
    "ipsecpassthru",
    "passthrumacadd",
    "passthrumacaddusername",
    "pass",
    "password_policy",
    "hash-algorithm",
    "hash-algorithm-option",
    "hashalgos",
    "source_hash",
    "shared_forward",
    "pf_share_forward",
    "passive",
    "bypass",
    "passwordless",
    "nopass",
    "passwordauth",
    "sshdkeyonly",
    "prvkeylen",
    "passtype",
    "passwordfield",
    "privatenets",
    "private_address",
    "private_domain",
    "nologprivatenets",
    "logprivatenets",
    "password_expiration",
    "enable_password_policy_constraints",
    "shared_key_id",
    "pass_through",
    "privatedomain",
    "privateaddress",
    "passwd_auth",
    "privsep",
];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.rsplit(':').next().unwrap_or("");
    EXACT.contains(&name)
        || (!HARMLESS.contains(&name) && !name.contains("policy") && !name.contains("length") && SECRET.iter().any(|s| name.contains(s)))
}

/// Where elements with names such as `password` hold something: from its first to its last character, and of longer ones each line.
pub fn secret_elements(file: &SourceFile) -> Vec<Span> {
    let text: &str = &file.text;
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find('<')) {
        let start = at + open + 1;
        let Some(rest) = text.get(start..) else { break };
        at = start;
        let Some(end) = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/' | '<')) else { break };
        let Some(name) = rest.get(..end).filter(|n| !n.is_empty() && is_secret(n)) else { continue };
        let Some(close) = rest.find(['>', '<']) else { break };
        if rest.as_bytes().get(close) != Some(&b'>') || rest.as_bytes().get(close.wrapping_sub(1)) == Some(&b'/') {
            continue;
        }
        let body = start + close + 1;
        let Some(inner) = text.get(body..) else { break };
        let (skip, stop) = match inner.strip_prefix("<![CDATA[") {
            Some(inner) => (9, inner.find("]]>").unwrap_or(inner.len())),
            None => (0, inner.find('<').unwrap_or(inner.len())),
        };
        let value = inner.get(skip..skip + stop).unwrap_or("");
        // `key` is also what a setting or a record is called by, as in property lists: those are words.
        let is_word = value.trim().len() < 16 || !value.bytes().any(|b| b.is_ascii_digit()) || value.contains('.');
        let plain = name.eq_ignore_ascii_case("key") && is_word;
        let from = body + skip + (value.len() - value.trim_start().len());
        if !value.trim().is_empty() && !plain {
            found.push(Span::new(file.id, from, from + value.trim().len()));
            lines(file, from, value.trim(), &mut found);
        }
        at = body + skip + value.len();
        if plain && is_secret(value.trim()) {
            found.extend(named(file, at));
        }
    }
    found
}

/// What a property list has under a name: the string or the data behind `</key>`, which begins at `at`. Short words are settings.
fn named(file: &SourceFile, at: usize) -> Option<Span> {
    let rest = file.text.get(at..)?.strip_prefix("</key>")?;
    let element = rest.trim_start();
    let inner = element.strip_prefix("<string>").or_else(|| element.strip_prefix("<data>"))?;
    let value = inner.split('<').next().unwrap_or("").trim();
    let start = file.text.len() - inner.trim_start().len();
    (value.len() >= 6).then(|| Span::new(file.id, start, start + value.len()))
}

/// The lines of a longer secret, which may also stand elsewhere one by one.
fn lines(file: &SourceFile, from: usize, value: &str, found: &mut Vec<Span>) {
    if !value.contains('\n') {
        return;
    }
    let mut at = from;
    for line in value.split('\n') {
        let text = line.trim();
        if text.len() >= 8 {
            let start = at + (line.len() - line.trim_start().len());
            found.push(Span::new(file.id, start, start + text.len()));
        }
        at += line.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    #[test]
    fn values_are_found_by_the_names_of_their_elements() {
        let text = "<a><password>one</password><bcrypt-hash><![CDATA[two<x]]></bcrypt-hash><type>pass</type><psk/><pass>x</pass>\
                    <hash-algorithm>sha256</hash-algorithm><key>Label</key><key>abc123XYZabc123XYZ</key><prv>cut";
        let file = SourceFile::from_text(FileId(0), "config.xml", text);
        let found: Vec<&str> = secret_elements(&file).iter().map(|s| file.slice(*s)).collect();
        assert_eq!(found, ["one", "two<x", "abc123XYZabc123XYZ", "cut"]);
    }

    #[test]
    fn a_property_list_names_a_secret_before_it() {
        let text = "<dict><key>SharedSecret</key>\n  <string> open sesame</string><key>PasswordType</key><string>None</string><key>Password</key><true/>\
                    <key>Name</key><string>nothing secret</string><key>AuthPassword</key><string>swordfish";
        let file = SourceFile::from_text(FileId(0), "a.mobileconfig", text);
        let found: Vec<&str> = secret_elements(&file).iter().map(|s| file.slice(*s)).collect();
        assert_eq!(found, ["open sesame", "swordfish"]);
    }
}
