//! Bytes to tokens: what nft's own scanner (`src/scanner.l` of nftables) takes for one word.

use crate::source::{SourceFile, Span};

/// Kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum T {
    /// A name, number or address.
    Word,
    /// Text in double quotes.
    Str,
    /// End of a line that no backslash continues.
    Newline,
    /// `xt_name` of a comment `# xt_name`, which nft without libxtables writes for a compat expression.
    Xt,
    /// Punctuation: one of `{}()[];,:.=<>&|^!/-*@$+` or, for two characters, see the other kinds.
    P(u8),
    /// `==`.
    EqEq,
    /// `!=`.
    Ne,
    /// `<=`.
    Le,
    /// `>=`.
    Ge,
    /// `<<`.
    Shl,
    /// `>>`.
    Shr,
    /// A character that nft has no use for.
    Other,
    /// End of the file.
    Eof,
}

/// A token: its kind and bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tok {
    /// Kind.
    pub kind: T,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The tokens of a file and its comments.
#[derive(Default)]
pub struct Lexed {
    /// Tokens, the last one is [`T::Eof`].
    pub toks: Vec<Tok>,
    /// Comments with their `#`.
    pub comments: Vec<(u32, u32)>,
    /// `# handle N` comments (`nft -a list ruleset`): where, and N. Ascending.
    pub handles: Vec<(u32, u64)>,
}

fn word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

/// The length of an IPv6 or MAC address at the beginning of `s`, or 0.
fn colon_address(s: &[u8]) -> usize {
    let mut n = s.iter().take(64).take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    if s.get(n).is_some_and(|b| word_byte(*b)) {
        return 0;
    }
    for _ in 0..2 {
        let Some(text) = s.get(..n).and_then(|t| std::str::from_utf8(t).ok()) else { return 0 };
        if !text.contains(':') {
            return 0;
        }
        let mac = || text.split(':').count() == 6 && text.split(':').all(|p| (1..=2).contains(&p.len()) && !p.contains('.'));
        if text.parse::<std::net::Ipv6Addr>().is_ok() || mac() {
            return n;
        }
        // "2001:db8::1: drop" and "::1." at the end of what is an address
        if n == 0 || !matches!(s.get(n - 1), Some(b':' | b'.')) {
            return 0;
        }
        n -= 1;
    }
    0
}

/// Splits a file into tokens.
pub fn lex(file: &SourceFile) -> Lexed {
    let s = file.text.as_bytes();
    let mut out = Lexed { toks: Vec::with_capacity(s.len() / 5 + 1), ..Lexed::default() };
    let mut i = 0;
    let at = |k: usize| s.get(k).copied().unwrap_or(0);
    while i < s.len() {
        let start = i;
        let b = at(i);
        let kind = match b {
            b' ' | b'\t' | b'\r' | 0x0c | 0 => {
                i += 1;
                continue;
            }
            b'\n' => {
                i += 1;
                T::Newline
            }
            b'\\' => {
                let skip = match (at(i + 1), at(i + 2)) {
                    (b'\n', _) => 2,
                    (b'\r', b'\n') => 3,
                    _ => 1,
                };
                i += skip;
                if skip > 1 {
                    continue;
                }
                T::Other
            }
            b'#' => {
                while i < s.len() && at(i) != b'\n' {
                    i += 1;
                }
                out.comments.push((start as u32, i as u32));
                let text = file.text.get(start + 1..i).unwrap_or("").trim();
                if let Some(n) = text.strip_prefix("handle ").and_then(|n| n.trim().parse().ok()) {
                    out.handles.push((start as u32, n));
                }
                if text.starts_with("xt_") {
                    // The rest of the line is still the rule.
                    out.comments.pop();
                    i = start + 1;
                    while at(i) == b' ' {
                        i += 1;
                    }
                    let first = i;
                    while word_byte(at(i)) {
                        i += 1;
                    }
                    out.toks.push(Tok { kind: T::Xt, start: first as u32, end: i as u32 });
                }
                continue;
            }
            b'"' => {
                i += 1;
                while i < s.len() && at(i) != b'"' && at(i) != b'\n' {
                    i += 1;
                }
                if at(i) == b'"' {
                    i += 1;
                }
                T::Str
            }
            _ if b.is_ascii_hexdigit() || b == b':' => match colon_address(s.get(i..).unwrap_or(&[])) {
                0 if b == b':' => {
                    i += 1;
                    T::P(b':')
                }
                0 => {
                    i = word_end(s, i);
                    T::Word
                }
                n => {
                    i += n;
                    T::Word
                }
            },
            _ if word_byte(b) => {
                i = word_end(s, i);
                T::Word
            }
            _ => {
                let two = match (b, at(i + 1)) {
                    (b'=', b'=') => Some(T::EqEq),
                    (b'!', b'=') => Some(T::Ne),
                    (b'<', b'=') => Some(T::Le),
                    (b'>', b'=') => Some(T::Ge),
                    (b'<', b'<') => Some(T::Shl),
                    (b'>', b'>') => Some(T::Shr),
                    _ => None,
                };
                i += 1 + usize::from(two.is_some());
                two.unwrap_or(if b"{}()[];,.=<>&|^!/-*@$+".contains(&b) { T::P(b) } else { T::Other })
            }
        };
        out.toks.push(Tok { kind, start: start as u32, end: i as u32 });
    }
    out.toks.push(Tok { kind: T::Eof, start: s.len() as u32, end: s.len() as u32 });
    out
}

/// Where the word that begins at `i` ends.
fn word_end(s: &[u8], i: usize) -> usize {
    let at = |k: usize| s.get(k).copied().unwrap_or(0);
    let mut n = i;
    if at(i).is_ascii_digit() {
        // A number, perhaps with a unit, or an IPv4 address.
        let dotted = s[i..].iter().take(16).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let v4 = s.get(i..i + dotted).and_then(|t| std::str::from_utf8(t).ok()).is_some_and(|t| t.parse::<std::net::Ipv4Addr>().is_ok());
        if v4 {
            return i + dotted;
        }
        while word_byte(at(n)) {
            n += 1;
        }
        return n;
    }
    while word_byte(at(n)) || (matches!(at(n), b'-' | b'/' | b'.') && word_byte(at(n + 1))) {
        n += 1;
    }
    match (at(n), at(n + 1)) {
        (b'*', _) => n + 1,
        (b'\\', b'*') => n + 2,
        _ => n,
    }
}

impl Tok {
    /// The token's place in `file`.
    pub fn span(self, file: &SourceFile) -> Span {
        Span { file: file.id, start: self.start, end: self.end }
    }

    /// The token's text; of a quoted one what is between the quotes.
    pub fn text(self, file: &SourceFile) -> &str {
        let text = file.text.get(self.start as usize..self.end as usize).unwrap_or("");
        match self.kind {
            T::Str => {
                let inner = text.strip_prefix('"').unwrap_or(text);
                inner.strip_suffix('"').unwrap_or(inner)
            }
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn words(text: &str) -> Vec<String> {
        let file = SourceFile::from_text(FileId(0), "x", text);
        lex(&file).toks.iter().map(|t| t.text(&file).to_owned()).collect()
    }

    #[test]
    fn addresses_ranges_and_names_are_words() {
        assert_eq!(
            words("10.0.0.1-10.0.0.9 fe80::/10 1024-65535 eth0.5 wg* ::1 80:accept 10/second 02:00:00:00:00:01"),
            [
                "10.0.0.1",
                "-",
                "10.0.0.9",
                "fe80::",
                "/",
                "10",
                "1024",
                "-",
                "65535",
                "eth0.5",
                "wg*",
                "::1",
                "80",
                ":",
                "accept",
                "10",
                "/",
                "second",
                "02:00:00:00:00:01",
                ""
            ]
        );
    }

    #[test]
    fn a_backslash_continues_the_line_and_a_comment_is_no_token() {
        assert_eq!(words("a \\\n b # c \"d\"\n\"e # f\""), ["a", "b", "\n", "e # f", ""]);
    }
}
