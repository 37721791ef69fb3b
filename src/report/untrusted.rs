//! Text from configurations on its way to a terminal, a log or a pipeline.

use std::fmt;

/// Columns of one piece of text at most; the rest is cut off.
const MOST: usize = 500;

/// Text that somebody else wrote. Its `Display` cannot steer a terminal (control characters become pictures), cannot look like other text
/// (bidirectional and invisible characters become escapes), cannot give commands to a build server (`##[`, `##vso[`, `##teamcity[`, a
/// leading `::` are broken up), and is of bounded length.
#[derive(Clone, Copy, Debug)]
pub struct Untrusted<'a>(pub &'a str);

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A command at the beginning of a line counts for a build server even behind blanks.
        let guard = if self.0.trim_start().starts_with("::") { "|" } else { "" };
        f.pad(&format!("{guard}{}", visible(self.0, &mut [])))
    }
}

/// As [`Untrusted`] shows `text` that does not stand at the beginning of a line; byte offsets in `marks` become those of the result.
pub(super) fn visible(text: &str, marks: &mut [usize]) -> String {
    let mut out = String::with_capacity(text.len().min(2 * MOST) + 8);
    let mut moved: Vec<Option<usize>> = vec![None; marks.len()];
    let mut cut = false;
    for (columns, (at, c)) in text.char_indices().enumerate() {
        if columns >= MOST {
            cut = true;
            break;
        }
        for (mark, new) in marks.iter().zip(&mut moved) {
            if new.is_none() && *mark <= at {
                *new = Some(out.len());
            }
        }
        push(&mut out, c, &text[at..]);
    }
    let end = out.len();
    if cut {
        out.push('…');
    }
    for (mark, new) in marks.iter_mut().zip(moved) {
        *mark = new.unwrap_or(end);
    }
    out
}

fn push(out: &mut String, c: char, rest: &str) {
    match c {
        '\t' => out.push(c),
        '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('␀')),
        '\u{7f}' => out.push('␡'),
        // C1 controls, soft hyphen, zero-width and bidirectional characters, separators, tags, variation selectors.
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => {
            out.push_str(&format!("\\u{{{:x}}}", c as u32));
        }
        '#' if is_command(rest) => out.push_str("# "),
        _ => out.push(c),
    }
}

/// Whether a command of a build server begins here: `##[group]`, `##vso[…]`, `##teamcity[…]`.
fn is_command(rest: &str) -> bool {
    rest.strip_prefix("##").is_some_and(|r| r.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_configuration_steers_a_terminal() {
        assert_eq!(Untrusted("a\x1b[31mb\r\n\u{7f}\u{9b}").to_string(), "a␛[31mb␍␊␡\\u{9b}");
        assert_eq!(Untrusted("user\u{202e}txt\u{2066}\u{200b}\u{2028}").to_string(), "user\\u{202e}txt\\u{2066}\\u{200b}\\u{2028}");
    }

    #[test]
    fn nothing_in_a_configuration_commands_a_build_server() {
        assert_eq!(Untrusted("##[error]x ##vso[task] ##teamcity[y]").to_string(), "# #[error]x # #vso[task] # #teamcity[y]");
        assert_eq!(Untrusted("  ::set-output x").to_string(), "|  ::set-output x");
        assert_eq!(Untrusted("## heading").to_string(), "## heading");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Untrusted(&"ä".repeat(600)).to_string().chars().count(), 501);
    }

    #[test]
    fn marks_follow_what_grows() {
        let mut marks = [0, 2, 3, 99];
        let shown = visible("a\x1bbc", &mut marks);
        assert_eq!(shown, "a␛bc");
        assert_eq!(marks, [0, 4, 5, 6]);
    }
}
