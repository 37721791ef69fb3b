//! Splits a line of `iptables-save`, or an `iptables` command of a shell script, into words.

use std::borrow::Cow;

/// One word with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    /// The word without quotes and escapes.
    pub text: Cow<'a, str>,
    /// First byte, quotes included.
    pub start: usize,
    /// One past the last byte, quotes included.
    pub end: usize,
    /// Some of it was quoted: then it is an argument, never an option.
    pub quoted: bool,
}

impl Token<'_> {
    /// Whether the word is written as an option (`-s`, `--dport`).
    pub fn is_option(&self) -> bool {
        let b = self.text.as_bytes();
        !self.quoted && b.len() >= 2 && b[0] == b'-' && (b[1] == b'-' || b[1].is_ascii_alphabetic())
    }

    /// Whether the word is the negation sign.
    pub fn is_not(&self) -> bool {
        !self.quoted && self.text == "!"
    }
}

/// How words are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Quoting {
    /// As `iptables-restore` reads them: double quotes, in which a backslash escapes. Single quotes around a whole word
    /// are taken for quotes as well: people write them, and the tool would refuse the line otherwise.
    Restore,
    /// As a shell reads them: both quotes, backslash, comments; the command ends at `;`, `&`, `|` and redirections.
    Shell,
}

/// Splits `text[start..end]` and appends the words to `out`. Returns where it stopped: `end`, or the shell operator that ends the command.
pub(super) fn split<'a>(text: &'a str, start: usize, end: usize, quoting: Quoting, out: &mut Vec<Token<'a>>) -> usize {
    let bytes = text.as_bytes();
    let shell = quoting == Quoting::Shell;
    let at = |i: usize| if i < end { bytes.get(i).copied() } else { None };
    let mut i = start;
    while let Some(b) = at(i) {
        if b.is_ascii_whitespace() {
            i += 1;
            continue;
        }
        // A backslash at the end of a line joins the next one.
        if shell && b == b'\\' && matches!(at(i + 1), None | Some(b'\n' | b'\r')) {
            i += 1;
            continue;
        }
        if shell && matches!(b, b'#' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') {
            // `2>` names a file descriptor: the number before it is no word of the command.
            if b == b'>' && out.last().is_some_and(|t| t.end == i && t.text.bytes().all(|c| c.is_ascii_digit())) {
                out.pop();
            }
            return i;
        }
        let token = word(text, i, end, shell);
        // Forward in any case: nothing that a word begins with may stop the reading.
        i = token.end.max(i + 1);
        out.push(token);
    }
    end
}

/// The word that begins at `start`, which is neither blank nor an operator.
fn word(text: &str, start: usize, end: usize, shell: bool) -> Token<'_> {
    let bytes = text.as_bytes();
    let get = |from: usize, to: usize| text.get(from..to).unwrap_or("");
    let mut owned: Option<String> = None;
    let mut quoted = false;
    let mut segment = start;
    let mut i = start;
    while i < end {
        let Some(&b) = bytes.get(i) else { break };
        let single = b == b'\'' && (shell || (i == start && closes(bytes, i, end)));
        if b == b'"' || single {
            quoted = true;
            let text = owned.get_or_insert_with(String::new);
            text.push_str(get(segment, i));
            i = quote(bytes, i, end, |from, to| text.push_str(get(from, to)));
            segment = i;
        } else if shell && b == b'\\' {
            if i + 1 >= end || matches!(bytes.get(i + 1), Some(b'\n' | b'\r')) {
                break;
            }
            owned.get_or_insert_with(String::new).push_str(get(segment, i));
            segment = i + 1;
            i += 1 + char_len(bytes, i + 1);
        } else if b.is_ascii_whitespace() || (shell && matches!(b, b';' | b'&' | b'|' | b'<' | b'>')) {
            break;
        } else {
            i += 1;
        }
    }
    let i = i.min(end);
    let text = match owned {
        None => Cow::Borrowed(get(start, i)),
        Some(mut s) => {
            s.push_str(get(segment, i));
            Cow::Owned(s)
        }
    };
    Token { text, start, end: i, quoted }
}

/// Walks over a quoted piece that begins at `start`, gives its plain parts to `push`, and returns the place after it.
/// A quote that is never closed ends with the text.
fn quote(bytes: &[u8], start: usize, end: usize, mut push: impl FnMut(usize, usize)) -> usize {
    let Some(&mark) = bytes.get(start) else { return end };
    let mut segment = start + 1;
    let mut i = start + 1;
    while i < end {
        match bytes.get(i) {
            Some(&b) if b == mark => {
                push(segment, i);
                return i + 1;
            }
            Some(b'\\') if mark == b'"' => {
                push(segment, i);
                segment = i + 1;
                i += 1 + char_len(bytes, i + 1);
            }
            _ => i += 1,
        }
    }
    push(segment.min(end), end);
    end
}

/// Whether the single quote at `start` has its partner right before a blank or the end.
fn closes(bytes: &[u8], start: usize, end: usize) -> bool {
    let rest = bytes.get(start + 1..end).unwrap_or(&[]);
    rest.iter().position(|&b| b == b'\'').is_some_and(|p| rest.get(p + 1).is_none_or(u8::is_ascii_whitespace))
}

/// Bytes of the UTF-8 character at `i`.
fn char_len(bytes: &[u8], i: usize) -> usize {
    match bytes.get(i) {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(s: &str, quoting: Quoting) -> Vec<String> {
        let mut out = Vec::new();
        split(s, 0, s.len(), quoting, &mut out);
        out.into_iter().map(|t| t.text.into_owned()).collect()
    }

    #[test]
    fn quotes_and_escapes_are_taken_off() {
        assert_eq!(
            words(r#"-m comment --comment "a \"b\" c\\" -j X"#, Quoting::Restore),
            ["-m", "comment", "--comment", r#"a "b" c\"#, "-j", "X"]
        );
        assert_eq!(words(r#"--log-prefix "" x"y z"w"#, Quoting::Restore), ["--log-prefix", "", "xy zw"]);
        assert_eq!(words("it's 'a b' c", Quoting::Restore), ["it's", "a b", "c"]);
        assert_eq!(words("\"é\\é open", Quoting::Restore), ["éé open"]);
    }

    #[test]
    fn a_shell_command_ends_at_an_operator() {
        assert_eq!(words("iptables -A X -j Y 2>/dev/null # c", Quoting::Shell), ["iptables", "-A", "X", "-j", "Y"]);
        assert_eq!(words("a 'b; c' d\\ e; f", Quoting::Shell), ["a", "b; c", "d e"]);
        assert_eq!(words("a \\\n b", Quoting::Shell), ["a", "b"]);
    }
}
