//! The roster of remote workers: a CSV file with a header line.

use crate::checks::Person;
use crate::checks::body::{quote, suggestion};
use crate::checks::dates;
use crate::source::{SourceFile, Span};

use super::yaml::Problem;

/// Columns: what they mean, and the headings by which people know them.
const COLUMNS: [(Column, &[&str]); 5] = [
    (Column::Name, &["name", "person", "employee", "user", "username", "id"]),
    (Column::Device, &["device", "hostname", "host", "computer", "folder"]),
    (Column::Role, &["role", "team", "department"]),
    (Column::Platform, &["platform", "os", "system"]),
    (Column::Left, &["left", "leaver", "leaver_date", "leaver date", "leaving_date", "left_on", "end_date", "leaves"]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Device,
    Role,
    Platform,
    Left,
}

/// People on a roster at most: beyond, the file is not a roster.
const MOST: usize = 200_000;

/// Reads a roster. Headings are compared without regard to case; columns with other headings are not looked at. A separator other than the
/// comma (`;`, tab) is recognised by the header. Lines that begin with `#` are comments.
///
/// A broken line is a problem at its line, and the others are read.
pub(super) fn read(file: &SourceFile) -> (Vec<Person>, Vec<Problem>) {
    let mut people: Vec<Person> = Vec::new();
    let mut problems = Vec::new();
    let header = (0..file.line_count()).map(|i| file.line(i)).find(|l| !l.trim().is_empty() && !l.starts_with('#')).unwrap_or("");
    let separator = [b',', b';', b'\t'].into_iter().max_by_key(|s| header.bytes().filter(|b| b == s).count()).unwrap_or(b',');
    let separator = if header.bytes().any(|b| b == separator) { separator } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .delimiter(separator)
        .trim(csv::Trim::All)
        .from_reader(file.text.as_bytes());
    let mut columns: Option<(Vec<Option<Column>>, usize)> = None;
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                problems.push(Problem { span: file.whole(), message: format!("cannot be read as CSV: {e}") });
                break;
            }
        };
        let byte = record.position().map_or(0, |p| p.byte() as usize).min(file.text.len());
        let span = line_of(file, byte);
        let mut say = |message: String| {
            if problems.len() < 100 {
                problems.push(Problem { span, message });
            }
        };
        if record.iter().all(str::is_empty) {
            continue;
        }
        let Some((columns, width)) = &columns else {
            let found: Vec<Option<Column>> = record.iter().map(column).collect();
            if !found.contains(&Some(Column::Name)) && !found.contains(&Some(Column::Device)) {
                let first = record.get(0).unwrap_or("");
                say(format!(
                    "the first line must name the columns, at least \"name\" (known: name, device, role, platform, left); {} is none{}",
                    quote(first),
                    suggestion(first, ["name", "device", "role", "platform", "left"])
                ));
                break;
            }
            for (_, names) in COLUMNS {
                if record.iter().filter(|h| names.contains(&h.to_lowercase().as_str())).count() > 1 {
                    say(format!("two columns mean the same: {}", names.join(", ")));
                }
            }
            columns = Some((found, record.len()));
            continue;
        };
        if record.len() != *width {
            say(format!("{} fields where the header has {width}", record.len()));
            continue;
        }
        let get = |wanted: Column| {
            let i = columns.iter().position(|c| *c == Some(wanted))?;
            record.get(i).filter(|s| !s.is_empty()).map(str::to_owned)
        };
        let device = get(Column::Device);
        let Some(name) = get(Column::Name).or_else(|| device.clone()) else {
            say("the line names nobody".into());
            continue;
        };
        let left = match get(Column::Left) {
            None => None,
            Some(text) if matches!(text.to_lowercase().as_str(), "-" | "no" | "never" | "n/a") => None,
            Some(text) => match dates::date(&text) {
                Some(date) => Some(date),
                None => {
                    say(format!("{} is no date: write it as 2026-09-01", quote(&text)));
                    continue;
                }
            },
        };
        let device = device.unwrap_or_else(|| name.clone());
        if people.len() >= MOST {
            say(format!("more than {MOST} people"));
            break;
        }
        people.push(Person { name, device, role: get(Column::Role), platform: get(Column::Platform), left, span });
    }
    if columns.is_none() && problems.is_empty() {
        problems.push(Problem {
            span: file.line_span(0),
            message: "the roster is empty: its first line names the columns, at least \"name\"".into(),
        });
    }
    twice(file, &people, &mut problems);
    (people, problems)
}

/// The same person with the same device on two lines is a mistake of the list; one person may have two devices, and one device pass to
/// somebody else after its user left.
fn twice(file: &SourceFile, people: &[Person], problems: &mut Vec<Problem>) {
    let mut seen = std::collections::BTreeMap::new();
    for person in people {
        if let Some(first) = seen.insert((&person.name, &person.device), person.span) {
            let line = file.place(first.start).line;
            problems.push(Problem { span: person.span, message: format!("{} is already on line {line}", quote(&person.name)) });
        }
    }
}

fn column(heading: &str) -> Option<Column> {
    let heading = heading.to_lowercase();
    COLUMNS.iter().find(|(_, names)| names.contains(&heading.as_str())).map(|(c, _)| *c)
}

fn line_of(file: &SourceFile, byte: usize) -> Span {
    // The position of a record is that of the bytes before it, which may be the line ends of blank lines and comments.
    let mut index = file.line_index(byte as u32);
    while index + 1 < file.line_count() && (file.line(index).trim().is_empty() || file.line(index).starts_with('#')) {
        index += 1;
    }
    file.line_span(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn roster(text: &str) -> (Vec<String>, Vec<String>) {
        let file = SourceFile::from_text(FileId(0), "staff.csv", text);
        let (people, problems) = read(&file);
        let show =
            |p: Person| format!("{}@{} {:?} line {}", p.name, p.device, p.left.map(|d| d.to_string()), file.place(p.span.start).line);
        (
            people.into_iter().map(show).collect(),
            problems.into_iter().map(|p| format!("{}: {}", file.place(p.span.start).line, p.message)).collect(),
        )
    }

    #[test]
    fn a_broken_line_does_not_hide_the_others() {
        let (people, problems) = roster(
            "# staff\nName,Device,Left,Desk\n\nalice,alice-laptop,,1\nbob,,2026-08-31,2\ncarol,x\ndave,d,31.08.2026,4\n,,,5\n\"eve, jr\",eve,-,6\n",
        );
        assert_eq!(people, ["alice@alice-laptop None line 4", "bob@bob Some(\"2026-08-31\") line 5", "eve, jr@eve None line 9"]);
        assert_eq!(
            problems,
            ["6: 2 fields where the header has 4", "7: \"31.08.2026\" is no date: write it as 2026-09-01", "8: the line names nobody"]
        );
    }

    #[test]
    fn a_file_without_a_header_is_said() {
        assert!(roster("alice,laptop\n").1[0].contains("must name the columns"));
        assert!(roster("").1[0].contains("empty"));
        assert!(roster("name;device\r\nalice;a1\r\n").1.is_empty());
        assert!(roster("name,device\na,x\nb,x\na,x\n").1[0].contains("already on line 2"));
    }
}
