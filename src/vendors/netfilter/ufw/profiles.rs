//! Application profiles: `/etc/ufw/applications.d/*`. The rules of user.rules hold the ports already, so nothing depends on them.

use crate::diag::LineState;
use crate::source::SourceFile;
use crate::vendors::Reader;

/// What speaks for a file of profiles.
#[derive(Default)]
pub(super) struct Evidence {
    section: bool,
    title: bool,
    ports: bool,
    other: bool,
}

/// Keys of a profile (ufw(8), "APPLICATION INTEGRATION").
const KEYS: [&str; 5] = ["title", "description", "ports", "categories", "reference"];

impl Evidence {
    /// Takes a line that is neither empty nor a comment.
    pub fn line(&mut self, line: &str) {
        match key(line) {
            _ if line.starts_with('[') && line.ends_with(']') => self.section = true,
            Some("title") => self.title = true,
            Some("ports") => self.ports = true,
            Some(_) => {}
            None => self.other = true,
        }
    }

    pub fn is_enough(&self) -> bool {
        self.section && self.title && self.ports && !self.other
    }
}

fn key(line: &str) -> Option<&'static str> {
    let name = line.split('=').next().unwrap_or("").trim();
    KEYS.into_iter().find(|k| name.eq_ignore_ascii_case(k) || name.to_ascii_lowercase().strip_prefix("x-").is_some_and(|n| n == *k))
}

pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile) {
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span).trim();
        let known = text.is_empty() || text.starts_with(['#', ';', '[']) || key(text).is_some();
        match known {
            true => reader.mark(span, LineState::Irrelevant),
            false => reader.note(span, LineState::Unrecognised, "this is no line of an application profile"),
        }
    }
}
