//! How elements are asked.

use std::borrow::Cow;

use crate::source::Span;
use crate::syntax::xml::Element;

/// A value with the place where it stands.
#[derive(Clone, Debug)]
pub(super) struct Text<'d> {
    pub text: Cow<'d, str>,
    pub span: Span,
}

impl Text<'_> {
    pub fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|w| self.text.eq_ignore_ascii_case(w))
    }
}

/// The parts that a list holds: they stand between commas, blanks or line ends.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|p| !p.is_empty())
}

/// Questions to an element.
pub(super) trait Tree<'d>: Sized + Copy {
    /// The element at a path of names, the first of each.
    fn at(self, path: &[&str]) -> Option<Element<'d>>;
    /// The elements of a name directly within.
    fn list(self, name: &str) -> Vec<Element<'d>>;
    /// The text of a child; none if there is no such child or it is empty.
    fn value(self, name: &str) -> Option<Text<'d>>;
    /// Whether there is such a child: PHP's `isset`.
    fn has(self, name: &str) -> bool;
    /// Whether there is such a child with something other than a no in it: PHP's `!empty`, and the words that people write for no.
    fn yes(self, name: &str) -> bool;
}

impl<'d> Tree<'d> for Element<'d> {
    fn at(self, path: &[&str]) -> Option<Element<'d>> {
        path.iter().try_fold(self, |e, name| e.child(name))
    }

    fn list(self, name: &str) -> Vec<Element<'d>> {
        self.children().filter(|e| e.name() == name).collect()
    }

    fn value(self, name: &str) -> Option<Text<'d>> {
        let child = self.child(name)?;
        let text = child.text();
        (!text.is_empty()).then(|| Text { text, span: child.text_span() })
    }

    fn has(self, name: &str) -> bool {
        self.child(name).is_some()
    }

    fn yes(self, name: &str) -> bool {
        self.value(name).is_some_and(|v| !v.is(&["0", "no", "off", "false", "disabled"]))
    }
}

/// The text of an element with its place; none if it is empty.
pub(super) fn text_of(element: Element<'_>) -> Option<Text<'_>> {
    let text = element.text();
    (!text.is_empty()).then(|| Text { text, span: element.text_span() })
}
