//! The roster of remote workers: a CSV file with a header line, or JSON.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::civil::Date;

use crate::checks::Person;
use crate::checks::body::{quote, suggestion};
use crate::checks::dates;
use crate::source::{SourceFile, Span};
use crate::syntax::json;

use super::yaml::Problem;

/// Columns: what they mean, and the headings by which people know them.
const COLUMNS: [(Column, &[&str]); 5] = [
    (Column::Name, &["name", "person", "employee", "user", "username", "id"]),
    (Column::Device, &["device", "devices", "hostname", "host", "computer", "folder"]),
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

/// What came of reading a roster.
#[derive(Default)]
pub(super) struct Roster {
    pub people: Vec<Person>,
    /// Why it is none at all.
    pub fatal: Vec<Problem>,
    /// Lines that are broken. What they mean is lost, and nothing else.
    pub broken: Vec<Problem>,
}

/// Broken lines that are named at most.
const NAMED: usize = 100;

impl Roster {
    fn say(&mut self, span: Span, message: String) {
        match self.broken.len() {
            0..NAMED => self.broken.push(Problem { span, message }),
            NAMED => self.broken.push(Problem { span, message: "from here on more lines are broken, which are not named".into() }),
            _ => {}
        }
    }

    /// A person's device on one line more: the same person with the same device on two lines is a mistake of the list; one person may have two
    /// devices, and one device pass to somebody else after its user left.
    fn add(&mut self, file: &SourceFile, seen: &mut HashMap<(String, String), Span>, person: Person) {
        match seen.entry((person.name.clone(), person.device.clone())) {
            Entry::Occupied(first) => {
                let line = file.place(first.get().start).line;
                self.say(person.span, format!("{} is already on line {line}", quote(&person.name)));
            }
            Entry::Vacant(place) if self.people.len() < MOST => {
                place.insert(person.span);
                self.people.push(person);
            }
            Entry::Vacant(_) if self.people.len() == MOST && self.fatal.is_empty() => {
                self.fatal.push(Problem { span: person.span, message: format!("more than {MOST} people") });
            }
            Entry::Vacant(_) => {}
        }
    }
}

/// Reads a roster: CSV with a header line, or JSON.
///
/// Headings (and keys of JSON) are compared without regard to case; columns with other headings are not looked at. A separator of CSV other than
/// the comma (`;`, tab) is recognised by the header. Lines that begin with `#` are comments. JSON is a list of objects, or an object with such a
/// list as `people`, `workers`, `staff` or `roster`; the devices of a person may be a list.
///
/// A broken line is a problem at its line, and the others are read.
pub(super) fn read(file: &SourceFile) -> Roster {
    match file.text.trim_start().starts_with(['[', '{']) {
        true => read_json(file),
        false => read_csv(file),
    }
}

/// The day on which somebody leaves; an error if that is no day.
fn left(text: Option<&str>) -> Result<Option<Date>, String> {
    match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) if matches!(text.to_lowercase().as_str(), "-" | "no" | "never" | "n/a") => Ok(None),
        Some(text) => match dates::date(text) {
            Some(date) => Ok(Some(date)),
            None => Err(format!("{} is no date: write it as 2026-09-01 (until then the person counts as staff)", quote(text))),
        },
    }
}

fn read_csv(file: &SourceFile) -> Roster {
    let mut roster = Roster::default();
    let mut seen = HashMap::new();
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
                roster.fatal.push(Problem { span: file.whole(), message: format!("cannot be read as CSV: {e}") });
                break;
            }
        };
        let byte = record.position().map_or(0, |p| p.byte() as usize).min(file.text.len());
        let span = line_of(file, byte);
        if record.iter().all(str::is_empty) {
            continue;
        }
        let Some((columns, width)) = &columns else {
            let found: Vec<Option<Column>> = record.iter().map(column).collect();
            let mut say = |message: String| roster.fatal.push(Problem { span, message });
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
            roster.say(span, format!("{} fields where the header has {width}", record.len()));
            continue;
        }
        let get = |wanted: Column| {
            let i = columns.iter().position(|c| *c == Some(wanted))?;
            record.get(i).filter(|s| !s.is_empty()).map(str::to_owned)
        };
        let device = get(Column::Device);
        let Some(name) = get(Column::Name).or_else(|| device.clone()) else {
            roster.say(span, "the line names nobody".into());
            continue;
        };
        let left = left(get(Column::Left).as_deref()).unwrap_or_else(|message| {
            roster.say(span, message);
            None
        });
        let device = device.unwrap_or_else(|| name.clone());
        roster.add(file, &mut seen, Person { name, device, role: get(Column::Role), platform: get(Column::Platform), left, span });
    }
    if columns.is_none() && roster.fatal.is_empty() {
        roster.fatal.push(Problem {
            span: file.line_span(0),
            message: "the roster is empty: its first line names the columns, at least \"name\"".into(),
        });
    }
    roster
}

/// Keys under which JSON may have the list of people.
const LISTS: [&str; 4] = ["people", "workers", "staff", "roster"];

fn read_json(file: &SourceFile) -> Roster {
    let mut roster = Roster::default();
    let mut fatal = |message: &str| roster.fatal.push(Problem { span: file.line_span(0), message: message.into() });
    let Some(root) = json::read(file) else {
        fatal("cannot be read as JSON");
        return roster;
    };
    let Some(list) = [Some(&root)].into_iter().chain(LISTS.map(|k| root.get(k))).flatten().find(|v| matches!(v.kind, json::Kind::List(_)))
    else {
        fatal("is no list of people: write [ { \"name\": …, \"device\": … }, … ]");
        return roster;
    };
    let mut seen = HashMap::new();
    for entry in list.list() {
        let span = file.line_span(file.line_index(entry.span.start));
        if !matches!(entry.kind, json::Kind::Object(_)) {
            roster.say(span, "this is no person: write { \"name\": …, \"device\": … }".into());
            continue;
        }
        let values = |wanted: Column| entry.properties().iter().filter(move |p| column(&p.name) == Some(wanted)).map(|p| &p.value);
        let get = |wanted: Column| values(wanted).find_map(|v| v.text()).map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        let named = values(Column::Device).flat_map(|v| v.list().into_iter().map(|d| d.text().or_else(|| device_of(d))));
        let mut devices: Vec<String> = Vec::new();
        for device in named {
            match device.map(str::trim).filter(|d| !d.is_empty()) {
                Some(device) => devices.push(device.to_owned()),
                None => roster.say(span, "a device must be a text".into()),
            }
        }
        let Some(name) = get(Column::Name).or_else(|| devices.first().cloned()) else {
            roster.say(span, "the entry names nobody".into());
            continue;
        };
        let left = left(get(Column::Left).as_deref()).unwrap_or_else(|message| {
            roster.say(span, message);
            None
        });
        if devices.is_empty() {
            devices.push(name.clone());
        }
        for device in devices {
            let person = Person { name: name.clone(), device, role: get(Column::Role), platform: get(Column::Platform), left, span };
            roster.add(file, &mut seen, person);
        }
    }
    roster
}

/// The name of a device that is an object.
fn device_of(value: &json::Value) -> Option<&str> {
    let named = |p: &&json::Property| matches!(column(&p.name), Some(Column::Device | Column::Name));
    value.properties().iter().find(named).and_then(|p| p.value.text())
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
        let Roster { people, mut fatal, broken } = read(&file);
        fatal.extend(broken);
        let problems = fatal;
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
        assert_eq!(
            people,
            ["alice@alice-laptop None line 4", "bob@bob Some(\"2026-08-31\") line 5", "dave@d None line 7", "eve, jr@eve None line 9"]
        );
        assert_eq!(
            problems,
            [
                "6: 2 fields where the header has 4",
                "7: \"31.08.2026\" is no date: write it as 2026-09-01 (until then the person counts as staff)",
                "8: the line names nobody"
            ]
        );
    }

    #[test]
    fn a_file_without_a_header_is_said() {
        assert!(roster("alice,laptop\n").1[0].contains("must name the columns"));
        assert!(roster("").1[0].contains("empty"));
        assert!(roster("name;device\r\nalice;a1\r\n").1.is_empty());
        assert!(roster("name,device\na,x\nb,x\na,x\n").1[0].contains("already on line 2"));
    }

    #[test]
    fn json_is_read_like_a_table_and_a_person_may_have_several_devices() {
        let text = "{ \"people\": [\n { \"Name\": \"Anna Weiss\", \"devices\": [\"anna\", \"anna-2\"], \"os\": \"windows\" },\n { \"user\": \"ben\", \"left\": \"2026-08-31\" },\n 7,\n { \"name\": \"x\", \"left\": \"soon\" },\n {} ] }";
        let (people, problems) = roster(text);
        assert_eq!(
            people,
            ["Anna Weiss@anna None line 2", "Anna Weiss@anna-2 None line 2", "ben@ben Some(\"2026-08-31\") line 3", "x@x None line 5"]
        );
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("4: this is no person") && problems[2].starts_with("6: the entry names nobody"), "{problems:?}");
        assert!(roster("{ \"a\": 1 }").1[0].contains("no list of people"));
        assert!(roster("[ {").1[0].contains("JSON"));
    }
}
