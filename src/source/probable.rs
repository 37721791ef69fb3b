//! Secrets that no reader marked: in comments, in lines of no meaning, in files of another format than they seemed to be.

use std::sync::LazyLock;

use regex::Regex;

use super::{SourceFile, Span};

/// A word for a secret with its value, credentials in an address or after `-u`, hashes of passwords (crypt(5)), and what FortiOS writes
/// behind `ENC`. The value is the first group that matched. After a mere blank it must have a digit: "password reset" tells nothing.
static VALUES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // Lines of ipsec.secrets: `: RSA key.pem "passphrase"`, `anna : EAP "password"`.
    let kinds = r"(?-i:RSA|ECDSA|PKCS8|PKCS12|P12|EAP|XAUTH|NTLM|PIN)";
    let word = r"(?:pass(?:word|wd|phrase)?|askpass?|secret|psk|token|community|(?:pre-?|pre_)?shared[-_ ]?key|private?[-_ ]?key|api[-_]?key|auth[-_]?key|auth[-_ ]?cookie|shkey|\bpin\b)";
    Regex::new(&format!(
        r#"(?i){word}["']?\s*[=:]\s*["']?([^\s"'<>,;]{{6,}})|{word}["']?[ \t]+["']?([^\s"'<>,;=]*[0-9][^\s"'<>,;]*)|://[^\s/:@]+:([^\s/@]{{4,}})@|(?:\s-u|--user)[ \t=]+[^\s:]+:(\S{{4,}})|(\$(?:1|2[abxy]?|5|6|7|y|gy)\$[^\s"':]{{8,}})|\b(?-i:ENC)[ \t]+["']?([^\s"']{{4,}})|:[ \t]+{kinds}[ \t]+(?:[^\s"]+[ \t]+)?"([^"]{{4,}})|:[ \t]+{kinds}[ \t]+([^\s"]{{6,}})[ \t]*$"#
    ))
    .ok()
});

/// What a line has at the least that [`VALUES`] may find something in: one fast pass over the text spares most lines the slow one.
static TELLING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)pass|askpas|secret|psk|token|community|key|cookie|://|(?:\s-u|--user)[ \t=]|\$(?:1|2|5|6|7|y|gy)|(?-i:ENC)[ \t]|\bpin\b|:[ \t]+(?-i:RSA|ECDSA|P12|EAP|XAUTH|NTLM)[ \t]").ok()
});

/// A WireGuard key: 32 bytes in Base64.
static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/]{43}=").ok());

/// Inline blocks of OpenVPN that hold a secret.
const INLINE: &[&str] = &[
    "auth-user-pass",
    "http-proxy-user-pass",
    "key",
    "pkcs12",
    "secret",
    "socks-proxy-user-pass",
    "tls-auth",
    "tls-crypt",
    "tls-crypt-v2",
];

/// The secrets that a file seems to hold. Of keys of which nothing says whether they are public, those in comments count: wherever else a
/// key may stand, a reader knows what it is.
pub fn probable_secrets(file: &SourceFile) -> Vec<Span> {
    let mut out = super::secret_elements(file);
    let mut telling = vec![false; file.line_count()];
    for found in TELLING.iter().flat_map(|r| r.find_iter(&file.text)) {
        // A blank before it may be the end of the line before.
        telling[file.line_index(found.end() as u32 - 1)] = true;
    }
    let (mut in_block, mut in_inline) = (false, false);
    for (i, &telling) in telling.iter().enumerate() {
        let line = file.line(i);
        let span = file.line_span(i);
        let text = line.trim();
        if let Some(tag) = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
            in_inline = INLINE.contains(&tag);
        } else if in_inline && text.len() >= 6 && !text.starts_with("-----") && !text.starts_with('#') {
            out.push(Span::new(span.file, span.start as usize, span.start as usize + line.trim_end().len()));
        }
        if let Some(title) = text.find("-----BEGIN ").and_then(|at| text.get(at + 11..)) {
            in_block = title.contains("PRIVATE KEY") || title.contains("Static key");
        } else if text.starts_with("-----END ") {
            in_block = false;
        } else if in_block && text.len() >= 16 && !text.starts_with('#') {
            let start = span.start as usize + (line.len() - line.trim_start().len());
            out.push(Span::new(span.file, start, start + text.len()));
            // A reader of another format may take the line apart at its signs.
            let mut at = 0;
            for piece in text.split(|c: char| !c.is_ascii_alphanumeric()) {
                if piece.len() >= 8 && piece.len() < text.len() {
                    out.push(Span::new(span.file, start + at, start + at + piece.len()));
                }
                at += piece.len() + 1;
            }
        }
        let mut add = |from: usize, to: usize| out.push(Span::new(span.file, span.start as usize + from, span.start as usize + to));
        for found in VALUES.iter().filter(|_| telling).flat_map(|r| r.captures_iter(line)) {
            let value = found.iter().skip(1).flatten().next();
            // A path names the file that holds the secret.
            if let Some(value) = value.filter(|v| !v.as_str().starts_with(['/', '<', '.'])) {
                add(value.start(), value.end());
                let bare = value.as_str().trim_end_matches('=');
                if bare.len() >= 16 && bare.len() < value.len() {
                    add(value.start(), value.start() + bare.len());
                }
            }
        }
        if let Some(comment) = line.find(['#', ';']) {
            let lower = line.to_ascii_lowercase();
            if !lower.contains("public") && !lower.contains("peer") {
                for key in KEY.iter().flat_map(|r| r.find_iter(line)).filter(|k| k.start() > comment) {
                    add(key.start(), key.end());
                    add(key.start(), key.end() - 1);
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn found(text: &str) -> Vec<String> {
        let file = SourceFile::from_text(FileId(0), "x", text);
        probable_secrets(&file).into_iter().map(|s| file.slice(s).to_owned()).collect()
    }

    #[test]
    fn what_stands_behind_a_word_for_a_secret_is_one() {
        assert_eq!(found("# password: tr0ub4dor"), ["tr0ub4dor"]);
        assert_eq!(found("comment \"password=correcthorse\""), ["correcthorse"]);
        assert_eq!(found("askpas hunter2"), ["hunter2"]);
        assert_eq!(found(": RSA key.pem \"opens the key\""), ["opens the key"]);
        assert_eq!(found("anna : EAP sesame42"), ["sesame42"]);
        assert_eq!(found("PostUp = curl -u admin:sesame99 https://x/"), ["sesame99"]);
        assert_eq!(found("proxy http://joe:opensesame@192.0.2.1/"), ["opensesame"]);
        assert_eq!(found("root:$6$salt1234$hashhash"), ["$6$salt1234$hashhash"]);
    }

    #[test]
    fn words_about_secrets_and_paths_are_none() {
        for text in ["# password reset portal", "secret /etc/openvpn/static.key", "tcp dport 443 accept comment \"token service\"", "# psk"]
        {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_body_of_a_private_key_is_a_secret_in_any_file() {
        let text = "-----BEGIN CERTIFICATE-----\nMIIBpublicpublicpublic\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMIIBsecretsecretsecret\n";
        assert_eq!(found(text), ["MIIBsecretsecretsecret"]);
    }
}
