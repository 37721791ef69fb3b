//! XML and HTML in which every text that is not ours is escaped: markup is a constant of the program, everything else goes in as text.

use super::Lines;

/// A document in the making.
pub(super) struct Markup<'a> {
    out: String,
    lines: &'a Lines<'a>,
}

impl<'a> Markup<'a> {
    /// An empty one; `lines` knows the secrets.
    pub fn new(lines: &'a Lines<'a>) -> Markup<'a> {
        Markup { out: String::new(), lines }
    }

    /// Markup of our own.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Text: secrets taken out, made visible, bounded, escaped.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let clean = self.lines.clean(text);
        escape(&mut self.out, &clean);
        self
    }

    /// Text that may be long.
    pub fn prose(&mut self, text: &str) -> &mut Self {
        let clean = self.lines.prose(text);
        escape(&mut self.out, &clean);
        self
    }

    /// Text that has been made safe to print already (lines of source), escaped.
    pub fn shown(&mut self, text: &str) -> &mut Self {
        escape(&mut self.out, text);
        self
    }

    /// A number.
    pub fn number(&mut self, n: impl Into<u64>) -> &mut Self {
        self.out.push_str(&n.into().to_string());
        self
    }

    /// ` name="value"`.
    pub fn attr(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// The document.
    pub fn finish(self) -> String {
        self.out
    }
}

/// Escapes for text and for attributes in double quotes. What XML 1.0 does not allow at all becomes U+FFFD.
pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Redactor, Sources};

    #[test]
    fn text_stays_text() {
        let (sources, files) = (Sources::default(), []);
        let redactor = Redactor::new(&sources, []);
        let lines = Lines::new(&sources, &redactor, &files);
        let mut markup = Markup::new(&lines);
        markup.raw("<p").attr("title", "\"><script>'&").raw(">").text("<b>\x1b\u{202e}\u{ffff}##[x]").raw("</p>").number(3u32);
        assert_eq!(markup.finish(), "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\">&lt;b&gt;␛\\u{202e}\u{fffd}# #[x]</p>3");
    }
}
