//! Which lines are understood: the state of every statement, by its section.

use super::sections::{Class, class};
use super::syntax::Word;
use super::tree::{Body, Item, Op, Tree};
use crate::diag::LineState;
use crate::vendors::Reader;

/// Whether values mean that a setting is off or empty, as `show full-configuration` writes it.
pub(super) fn is_off(values: &[Word]) -> bool {
    values.iter().all(|v| matches!(v.text.as_str(), "disable" | "" | "0" | "0x00" | "0.0.0.0" | "::" | "none" | "255"))
}

/// Marks every statement of the file.
pub(super) fn mark(reader: &mut Reader<'_>, tree: &Tree) {
    for section in &tree.sections {
        let path = section.body.path();
        let Some(class) = class(&path) else {
            reader.note(section.body.first, LineState::Unrecognised, "this section is not known");
            reader.mark(section.body.span, LineState::Unrecognised);
            continue;
        };
        match class {
            Class::Irrelevant => reader.mark(section.body.span, LineState::Irrelevant),
            Class::NotModelled(_) if section.body.items.is_empty() => reader.mark(section.body.span, LineState::Irrelevant),
            Class::NotModelled(text) => {
                reader.mark(section.body.span, LineState::NotModelled);
                reader.note(section.body.first, LineState::NotModelled, text);
            }
            Class::Part(_) | Class::Whole(..) => body(reader, &section.body, class),
        }
    }
}

/// Blocks inside of blocks are at most as deep as the reader's limit on nesting.
fn body(reader: &mut Reader<'_>, block: &Body, class: Class) {
    reader.mark(block.first, LineState::Understood);
    // The line with `next` or `end`.
    let last = crate::source::Span { start: block.span.end.saturating_sub(1).max(block.span.start), ..block.span };
    reader.mark(last, LineState::Understood);
    for item in &block.items {
        match item {
            Item::Edit(inner) => body(reader, inner, class),
            // What stands in a table inside is looked up by the same lists; what is not in them matters to nothing.
            Item::Config(inner) => {
                let known = match class {
                    Class::Part(known) | Class::Whole(known, _) => known,
                    Class::NotModelled(_) | Class::Irrelevant => &[],
                };
                body(reader, inner, Class::Part(known));
            }
            Item::Command(_, span) => reader.mark(*span, LineState::Understood),
            Item::Setting(op, words, span) => {
                let Some((name, values)) = words.split_first() else { continue };
                let name = name.text.as_str();
                let trusthost = name.starts_with("trusthost") || name.starts_with("ip6-trusthost");
                let state = match class {
                    Class::Part(known) if known.contains(&name) || trusthost => LineState::Understood,
                    Class::Whole(known, _) if known.contains(&name) => LineState::Understood,
                    Class::Whole(_, irrelevant) if irrelevant.contains(&name) || *op == Op::Unset || is_off(values) => {
                        LineState::Irrelevant
                    }
                    Class::Whole(..) => {
                        reader.note(*span, LineState::NotModelled, format!("{name:?} is not modelled"));
                        LineState::NotModelled
                    }
                    _ => LineState::Irrelevant,
                };
                reader.mark(*span, state);
            }
        }
    }
}
