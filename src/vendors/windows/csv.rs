//! What `Export-Csv` and `ConvertTo-Csv` write: a header, then one object a line; `#TYPE` before it in Windows PowerShell.

use super::bag::{Bag, Datum};
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// Columns that are looked at.
const MOST_COLUMNS: usize = 512;

/// The names of the columns, with what separates them, and where the objects begin; `None` if it has no header of several columns.
pub(super) fn header(text: &str) -> Option<(Vec<String>, char, usize)> {
    let mut at = 0;
    loop {
        let line = text.get(at..)?.split('\n').next()?;
        let trimmed = line.trim();
        let next = at + line.len() + 1;
        if !(trimmed.is_empty() || trimmed.starts_with("#TYPE") || trimmed.to_ascii_lowercase().starts_with("sep=")) {
            let separator = [',', ';', '\t'].into_iter().max_by_key(|c| line.matches(*c).count())?;
            if !line.contains(separator) || line.len() > 16_384 {
                return None;
            }
            let cells = line_cells(line.trim_end_matches('\r'), 0, separator);
            return Some((cells.into_iter().map(|c| c.text.trim().to_owned()).collect(), separator, next.min(text.len())));
        }
        at = next;
        if at >= text.len() {
            return None;
        }
    }
}

struct Cell {
    text: String,
    start: usize,
    end: usize,
}

/// The cells of one line.
fn line_cells(line: &str, base: usize, separator: char) -> Vec<Cell> {
    let mut rows = Rows { text: line, at: 0, separator };
    let mut cells = rows.row().unwrap_or_default();
    for cell in &mut cells {
        cell.start += base;
        cell.end += base;
    }
    cells
}

/// The rows of a text; quotes may hold separators and line ends, a doubled quote is one (RFC 4180).
struct Rows<'t> {
    text: &'t str,
    at: usize,
    separator: char,
}

impl Rows<'_> {
    fn row(&mut self) -> Option<Vec<Cell>> {
        if self.at >= self.text.len() {
            return None;
        }
        let mut cells = Vec::new();
        let mut cell = Cell { text: String::new(), start: self.at, end: self.at };
        let mut quoted = false;
        let rest = self.text.get(self.at..)?;
        let mut chars = rest.char_indices().peekable();
        let base = self.at;
        while let Some((i, c)) = chars.next() {
            let after = base + i + c.len_utf8();
            match c {
                '"' if quoted && chars.peek().is_some_and(|(_, n)| *n == '"') => {
                    chars.next();
                    cell.text.push('"');
                }
                '"' if quoted => quoted = false,
                '"' if cell.text.is_empty() => quoted = true,
                '\n' if !quoted => {
                    cell.end = base + i;
                    self.at = after;
                    if cell.text.ends_with('\r') {
                        cell.text.pop();
                    }
                    cells.push(cell);
                    return Some(cells);
                }
                c if c == self.separator && !quoted => {
                    cell.end = base + i;
                    cells.push(std::mem::replace(&mut cell, Cell { text: String::new(), start: after, end: after }));
                }
                c => cell.text.push(c),
            }
        }
        cell.end = self.text.len();
        self.at = self.text.len();
        cells.push(cell);
        Some(cells)
    }
}

/// The objects of a file.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile) -> Vec<Datum> {
    let Some((names, separator, start)) = header(&file.text) else { return Vec::new() };
    let mut rows = Rows { text: &file.text, at: start, separator };
    let mut out = Vec::new();
    while let Some(cells) = rows.row() {
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else { continue };
        let span = Span::new(file.id, first.start, last.end);
        if cells.len() == 1 && first.text.trim().is_empty() {
            continue;
        }
        if cells.len() != names.len() || names.len() > MOST_COLUMNS {
            let text = format!("this row has {} columns and the header {}", cells.len(), names.len());
            reader.incomplete(span, LineState::Unrecognised, text);
            continue;
        }
        let fields = names.iter().zip(cells);
        let fields = fields.map(|(n, c)| (n.clone(), Datum::Text(c.text, Span::new(file.id, c.start, c.end)))).collect();
        out.push(Datum::Object(Bag { fields, span }));
    }
    out
}
