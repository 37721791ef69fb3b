//! Statements of the command line: words, quotes, strings over several lines.

use crate::source::{SourceFile, Span};

/// Bytes within which a quoted string must end. The longest values are certificates and replacement messages, which the appliance bounds to
/// 32 KiB; a quote that does not end within this is a stray character.
const LONGEST_STRING: usize = 128 << 10;

/// A word of a statement.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// Its value: without quotes and backslashes.
    pub text: String,
    /// Where, quotes included.
    pub span: Span,
}

/// A line, or several lines that a quoted string joins.
#[derive(Debug)]
pub(super) struct Statement {
    /// At least one word.
    pub words: Vec<Word>,
    /// From the first word to the last.
    pub span: Span,
    /// A quote in it does not end.
    pub unended: bool,
}

/// Cuts a file into statements. Comments and blank lines are left out.
pub(super) struct Statements<'a> {
    file: &'a SourceFile,
    at: usize,
}

impl<'a> Statements<'a> {
    pub fn new(file: &'a SourceFile) -> Statements<'a> {
        Statements { file, at: 0 }
    }

    /// The position after the string that begins with `quote` before `from`, or `None` if it does not end.
    fn string(&self, from: usize, quote: u8, text: &mut Vec<u8>) -> Option<usize> {
        let bytes = self.file.text.as_bytes();
        let end = bytes.len().min(from.saturating_add(LONGEST_STRING));
        let mut i = from;
        while i < end {
            match bytes[i] {
                b if b == quote => return Some(i + 1),
                // `\"`, `\\` and `\'` stand for the character behind the backslash, in strings of either kind.
                b'\\' if i + 1 < end && matches!(bytes[i + 1], b'"' | b'\'' | b'\\') => {
                    text.push(bytes[i + 1]);
                    i += 2;
                }
                b => {
                    text.push(b);
                    i += 1;
                }
            }
        }
        None
    }
}

impl Iterator for Statements<'_> {
    type Item = Statement;

    fn next(&mut self) -> Option<Statement> {
        let bytes = self.file.text.as_bytes();
        let (mut words, mut unended): (Vec<Word>, bool) = (Vec::new(), false);
        loop {
            let Some(&b) = bytes.get(self.at) else {
                if words.is_empty() {
                    return None;
                }
                break;
            };
            match b {
                b'\n' => {
                    self.at += 1;
                    if !words.is_empty() {
                        break;
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' if words.is_empty() => {
                    while bytes.get(self.at).is_some_and(|b| *b != b'\n') {
                        self.at += 1;
                    }
                }
                _ => {
                    let start = self.at;
                    let mut text: Vec<u8> = Vec::new();
                    while let Some(&b) = bytes.get(self.at) {
                        match b {
                            b' ' | b'\t' | b'\r' | b'\n' => break,
                            b'"' | b'\'' => {
                                let mark = text.len();
                                match self.string(self.at + 1, b, &mut text) {
                                    Some(after) => self.at = after,
                                    None => {
                                        unended = true;
                                        text.truncate(mark);
                                        self.at += 1;
                                    }
                                }
                            }
                            b'\\' if bytes.get(self.at + 1).is_some_and(|b| !b.is_ascii_whitespace()) => {
                                text.push(bytes[self.at + 1]);
                                self.at += 2;
                            }
                            b => {
                                text.push(b);
                                self.at += 1;
                            }
                        }
                    }
                    words.push(Word { text: String::from_utf8_lossy(&text).into_owned(), span: Span::new(self.file.id, start, self.at) });
                }
            }
        }
        let span = words.first().zip(words.last()).map(|(a, b)| a.span.to(b.span))?;
        Some(Statement { words, span, unended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn words(text: &str) -> Vec<Vec<String>> {
        let file = SourceFile::from_text(FileId(0), "x", text);
        Statements::new(&file).map(|s| s.words.into_iter().map(|w| w.text).collect()).collect()
    }

    #[test]
    fn quotes_join_words_and_lines() {
        assert_eq!(
            words("set a \"b c\" d\nset e \"f\ng\" h\r\n# no\n\nend"),
            [vec!["set", "a", "b c", "d"], vec!["set", "e", "f\ng", "h"], vec!["end"]]
        );
        assert_eq!(words(r#"set a "say \"hi\" \\" '' 'x y'"#), [vec!["set", "a", "say \"hi\" \\", "", "x y"]]);
    }

    #[test]
    fn a_quote_that_never_ends_spoils_its_line_alone() {
        let file = SourceFile::from_text(FileId(0), "x", "set a \"b c\nnext\nend\n");
        let all: Vec<Statement> = Statements::new(&file).collect();
        assert_eq!(all.iter().map(|s| (s.words.len(), s.unended)).collect::<Vec<_>>(), [(4, true), (1, false), (1, false)]);
    }

    #[test]
    fn text_that_is_not_ascii_keeps_its_characters() {
        assert_eq!(words("set alias \"Büro – ÉG\" é\\ü"), [vec!["set", "alias", "Büro – ÉG", "éü"]]);
    }
}
