//! Dictionaries of a property list.

use std::borrow::Cow;

use crate::source::Span;
use crate::syntax::xml::Element;

/// A value of a dictionary, with its key.
#[derive(Clone, Copy)]
pub(in crate::vendors::apple) struct Item<'d> {
    pub key: Element<'d>,
    pub value: Element<'d>,
}

impl<'d> Item<'d> {
    pub fn name(&self) -> Cow<'d, str> {
        self.key.text()
    }

    /// Key and value.
    pub fn span(&self) -> Span {
        self.key.span().to(self.value.span())
    }
}

/// The items of a `<dict>`: keys and values by turns.
pub(in crate::vendors::apple) fn items<'d>(dict: Element<'d>) -> Vec<Item<'d>> {
    let mut found = Vec::new();
    let mut key: Option<Element<'d>> = None;
    for element in dict.children() {
        if element.name() == "key" {
            key = Some(element);
        } else if let Some(key) = key.take() {
            found.push(Item { key, value: element });
        }
    }
    found
}

/// A dictionary to ask.
#[derive(Clone)]
pub(in crate::vendors::apple) struct Dict<'d> {
    pub items: Vec<Item<'d>>,
    pub span: Span,
}

impl<'d> Dict<'d> {
    pub fn of(element: Element<'d>) -> Dict<'d> {
        Dict { items: items(element), span: element.tag_span() }
    }

    /// The settings of a payload: what `profiles show` prints has them in a dictionary of their own, a profile beside its type.
    pub fn settings(self) -> Dict<'d> {
        self.dict("PayloadContent").unwrap_or(self)
    }

    pub fn get(&self, name: &str) -> Option<Item<'d>> {
        self.items.iter().find(|i| i.name() == name).copied()
    }

    pub fn dict(&self, name: &str) -> Option<Dict<'d>> {
        self.get(name).filter(|i| i.value.name() == "dict").map(|i| Dict::of(i.value))
    }

    /// Elements of an array.
    pub fn list(&self, name: &str) -> Vec<Element<'d>> {
        self.get(name).filter(|i| i.value.name() == "array").map(|i| i.value.children().collect()).unwrap_or_default()
    }

    /// A text that is not empty.
    pub fn text(&self, name: &str) -> Option<(String, Span)> {
        let item = self.get(name)?;
        let text = item.value.text().into_owned();
        (!text.is_empty()).then(|| (text, item.value.text_span()))
    }

    /// `<true/>`, `<false/>`, or an integer.
    pub fn flag(&self, name: &str) -> Option<(bool, Span)> {
        let item = self.get(name)?;
        let value = match item.value.name() {
            "true" => true,
            "false" => false,
            _ => match item.value.text().as_ref() {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => return None,
            },
        };
        Some((value, item.span()))
    }

    /// Whether a flag is set.
    pub fn on(&self, name: &str) -> Option<Span> {
        self.flag(name).filter(|f| f.0).map(|f| f.1)
    }
}
