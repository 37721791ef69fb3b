//! Tables: sets of addresses of which the most specific entry decides, so that `{ 10/8, !10.1/16 }` is 10/8 without 10.1/16 (pf.conf(5), "Tables").

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{Host, Place, Table};
use super::lower::Lowering;
use super::place::network;
use crate::diag::LineState;
use crate::model::{NamedSet, SetElement, SetValue};
use crate::net::Ranges;
use crate::source::{SourceFile, Span};

impl Lowering<'_, '_> {
    /// Lowers all tables. What is filled while the firewall runs (by `overload`, or because nothing is in it) and what holds names or interfaces may
    /// have further members.
    pub fn tables(&mut self, tables: &[Table], overload: &[String]) {
        let overload: std::collections::HashSet<&str> = overload.iter().map(String::as_str).collect();
        let mut sets: Vec<NamedSet> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        for table in tables {
            let mut set = NamedSet { name: format!("<{}>", table.name).into(), span: table.span, elements: Vec::new(), dynamic: false };
            for place in &table.entries {
                self.entry(&mut set, place);
            }
            for (path, span) in &table.files {
                let found = self.reader.include(span.file, path);
                if found.is_empty() {
                    set.dynamic = true;
                    let text = format!("the file \"{path}\" of the table <{}> was not read: what it holds is not known", table.name);
                    self.reader.note(*span, LineState::NotModelled, text);
                }
                for file in found {
                    self.table_file(&mut set, file);
                }
            }
            set.dynamic |= overload.contains(table.name.as_str()) || (table.persist && set.elements.is_empty());
            // The greatest networks first: later elements override earlier ones.
            set.elements.sort_by_key(|e| std::cmp::Reverse(size(e)));
            // Of two definitions the second counts: pfctl replaces what a table holds.
            match index.get(&table.name).and_then(|i| sets.get_mut(*i)) {
                Some(old) => *old = set,
                None => {
                    index.insert(table.name.clone(), sets.len());
                    sets.push(set);
                }
            }
        }
        for set in &sets {
            let known = if set.dynamic { None } else { ranges(set) };
            self.table_ranges.insert(Arc::clone(&set.name), known);
        }
        self.reader.device.sets.extend(sets);
    }

    fn entry(&mut self, set: &mut NamedSet, place: &Place) {
        match &place.host {
            Host::Net(family, lo, hi) => set.elements.push(SetElement {
                values: vec![SetValue::Address(*family, Ranges::interval(*lo, *hi))],
                excluded: place.not,
                span: place.span,
            }),
            Host::Any => {}
            Host::Table(_) => {
                set.dynamic = true;
                self.reader.note(place.span, LineState::Unsupported, "a table cannot hold a table");
            }
            Host::Iface { .. } | Host::Opaque(_) => {
                set.dynamic = true;
                let text = "what this stands for is not known: any address may be in the table";
                self.reader.note(place.span, LineState::NotModelled, text);
            }
        }
    }

    /// A file of addresses, one or more on a line, with comments.
    fn table_file(&mut self, set: &mut NamedSet, file: &SourceFile) {
        for line in 0..file.line_count() {
            let span = file.line_span(line);
            let text = file.slice(span);
            let code = text.split(['#', ';']).next().unwrap_or("");
            if code.trim().is_empty() {
                self.reader.mark(span, LineState::Irrelevant);
            }
            let mut not = false;
            for word in code.split([' ', '\t', '\r', ',']).filter(|w| !w.is_empty()) {
                let bare = word.trim_start_matches('!');
                let odd = (word.len() - bare.len()) % 2 == 1;
                if bare.is_empty() {
                    not ^= odd;
                    continue;
                }
                let excluded = not ^ odd;
                not = false;
                match network(bare) {
                    Some((family, lo, hi)) => {
                        self.reader.mark(span, LineState::Understood);
                        let values = vec![SetValue::Address(family, Ranges::interval(lo, hi))];
                        set.elements.push(SetElement { values, excluded, span });
                    }
                    None => {
                        set.dynamic = true;
                        self.reader.note(span, LineState::NotModelled, "this is not an address: any address may be in the table");
                    }
                }
            }
        }
    }
}

fn size(element: &SetElement) -> (u128, Span) {
    let size = match element.values.first() {
        // IPv4 and IPv6 never meet, so their order does not matter.
        Some(SetValue::Address(_, r)) => r.max().unwrap_or(0) - r.min().unwrap_or(0),
        _ => 0,
    };
    (size, element.span)
}

/// The addresses of a table of one family without exceptions, for address pools.
fn ranges(set: &NamedSet) -> Option<(crate::net::Family, Ranges)> {
    let mut family = None;
    let mut intervals = Vec::new();
    for element in &set.elements {
        match element.values.as_slice() {
            [SetValue::Address(f, r)] if !element.excluded && family.is_none_or(|g| g == *f) => {
                family = Some(*f);
                intervals.extend(r.intervals().iter().copied());
            }
            _ => return None,
        }
    }
    Some((family?, Ranges::from_intervals(intervals)))
}
