//! Lines of Shorewall's files: continuation, comments, directives, includes, embedded scripts, columns.
//!
//! Source: the configuration file basics of Shorewall 5.2 ("Line Continuation", "INCLUDE Directive", "Compiler Directives", "Embedded Shell and
//! Perl", "Specifying Columns by Name").

use super::values::{Arguments, Trouble, UNKNOWN, Variables};
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unrecognised, Unsupported};
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// A line with its columns, variables replaced.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// By place.
    pub columns: Vec<String>,
    /// By name, in lower case.
    pub pairs: Vec<(String, String)>,
    /// What follows `;;`: matches in the words of iptables.
    pub inline: Option<String>,
    /// What `?COMMENT` or a `comment` column says of it.
    pub comment: Option<String>,
    /// Of `?FORMAT`.
    pub format: u32,
    /// All of its lines.
    pub span: Span,
}

impl Entry {
    /// The column of this name and place; `-` where nothing is written.
    pub fn column(&self, names: &[&str], place: usize) -> &str {
        let named = self.pairs.iter().rev().find(|(name, _)| names.contains(&name.as_str())).map(|(_, v)| v.as_str());
        named.or_else(|| self.columns.get(place).map(String::as_str)).filter(|c| !c.is_empty()).unwrap_or("-")
    }
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Entry(Entry),
    /// `?SECTION`, in upper case.
    Section(String, Span),
    /// Something that may stand for any number of lines: what it is.
    Hidden(&'static str, Span),
}

/// How to read a file.
pub(super) struct Reading<'v> {
    pub variables: &'v mut Variables,
    pub arguments: Arguments,
    pub family: Family,
    /// The format of the file where no `?FORMAT` says otherwise.
    pub format: u32,
    /// Lines were marked before, and nothing is said again (a macro that is expanded twice).
    pub silent: bool,
}

const DIRECTIVES: [&str; 12] = ["IF", "ELSIF", "ELSE", "ENDIF", "SET", "RESET", "FORMAT", "COMMENT", "ERROR", "WARNING", "INFO", "REQUIRE"];

/// A level of `?IF`.
#[derive(Clone, Copy)]
struct Level {
    /// Lines before it were left out.
    outer: bool,
    /// A branch of it was taken, or may have been.
    taken: bool,
    omit: bool,
}

/// Reads a file and what it includes.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile, how: &mut Reading<'_>) -> Vec<Item> {
    let mut out = Vec::new();
    let mut state = State { format: how.format, comment: None };
    file_items(reader, file, how, &mut state, 0, &mut out);
    out
}

struct State {
    format: u32,
    comment: Option<String>,
}

fn file_items(reader: &mut Reader<'_>, file: &SourceFile, how: &mut Reading<'_>, state: &mut State, depth: usize, out: &mut Vec<Item>) {
    let mut levels: Vec<Level> = Vec::new();
    let (mut line, count) = (0, file.line_count());
    let mut whole: Option<Span> = None;
    let mut text = String::new();
    while line < count {
        let span = file.line_span(line);
        let raw = file.slice(span).trim_end_matches(['\r', '\n']);
        line += 1;
        if let Some((word, rest)) = directive(raw) {
            directive_line(reader, how, state, &mut levels, (word, rest), span, out);
            continue;
        }
        if levels.last().is_some_and(|l| l.omit) {
            if !how.silent {
                reader.mark(span, Irrelevant);
            }
            continue;
        }
        let mut part = raw;
        if text.trim_end().ends_with([',', ':']) {
            part = part.trim_start();
        }
        if let Some((before, _)) = part.split_once('#').filter(|(b, _)| b.trim_end().ends_with('\\')) {
            part = before.trim_end();
        }
        whole = Some(whole.map_or(span, |w| w.to(span)));
        if let Some(joined) = part.strip_suffix('\\').filter(|_| line < count) {
            text.push_str(joined);
            continue;
        }
        text.push_str(part);
        let full = std::mem::take(&mut text);
        let span = whole.take().unwrap_or(span);
        if let Some(multi) = script(&full) {
            let mut to = span;
            while multi && line < count {
                let next = file.line_span(line);
                line += 1;
                to = to.to(next);
                super::settings::hide(reader, file, next, file.slice(next).trim());
                let word = file.slice(next).trim().trim_start_matches('?').to_ascii_uppercase();
                if word == "END" || word.starts_with("END ") || word.starts_with("END;") {
                    break;
                }
            }
            if !multi {
                super::settings::hide(
                    reader,
                    file,
                    span,
                    full.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_end()),
                );
            }
            hidden(reader, how, to, "an embedded script, which is not run here: it may add any rule", out);
            continue;
        }
        let full = full.split('#').next().unwrap_or("").trim_end();
        if full.trim().is_empty() {
            if !how.silent {
                reader.mark(span, Irrelevant);
            }
            continue;
        }
        if !full.is_ascii() {
            if !how.silent {
                reader.refused(span, "Shorewall refuses characters beyond ASCII outside comments");
            }
            out.push(Item::Hidden("a line that is refused", span));
            continue;
        }
        let full = match how.variables.expand(full, &how.arguments) {
            Ok(full) => full,
            Err(trouble) => {
                let what = match trouble {
                    Trouble::Undefined(name) => format!("the variable {name} is not set, and Shorewall refuses the line"),
                    Trouble::Loop => "the variables of this line lead to too much text, or to themselves".to_owned(),
                };
                if !how.silent {
                    reader.refused(span, what);
                }
                out.push(Item::Hidden("a line that is refused", span));
                continue;
            }
        };
        let mut words = full.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next());
        match (first.trim_start_matches('?').to_ascii_uppercase().as_str(), second) {
            // Without the question mark as in version 4.
            ("INCLUDE", Some(name)) if first != "include" => {
                include(reader, file, how, state, depth, (name, span), out);
            }
            ("SECTION", Some(name)) => {
                mark(reader, how, span);
                out.push(Item::Section(name.to_ascii_uppercase(), span));
            }
            ("FORMAT", Some(n)) if first == "FORMAT" => format_line(reader, how, state, n, span),
            ("COMMENT", _) if first == "COMMENT" => {
                state.comment = Some(full.trim_start().trim_start_matches("COMMENT").trim().to_owned()).filter(|c| !c.is_empty());
                if !how.silent {
                    reader.mark(span, Irrelevant);
                }
            }
            _ if first.starts_with('?') => {
                if !how.silent {
                    reader.note(span, Unrecognised, "Shorewall knows no such directive");
                }
                out.push(Item::Hidden("a directive that is not known", span));
            }
            ("DEFAULTS" | "DEFAULT", Some(values)) if how.arguments.action && first.starts_with("DEFAULT") => {
                mark(reader, how, span);
                for (i, value) in values.split(',').enumerate().take(32) {
                    match how.arguments.list.get_mut(i) {
                        Some(given) if given.is_empty() => *given = value.to_owned(),
                        Some(_) => {}
                        None => how.arguments.list.push(value.to_owned()),
                    }
                }
            }
            _ => {
                mark(reader, how, span);
                out.push(split(reader, how, state, &full, span));
            }
        }
    }
    if let Some(span) = whole.filter(|_| !text.trim().is_empty()) {
        out.push(Item::Hidden("a line that is not ended", span));
    }
    if !levels.is_empty() && !how.silent {
        reader.refused(file.line_span(count.saturating_sub(1)), "an ?IF of this file has no ?ENDIF");
    }
}

fn mark(reader: &mut Reader<'_>, how: &Reading<'_>, span: Span) {
    if !how.silent {
        reader.mark(span, Understood);
    }
}

fn hidden(reader: &mut Reader<'_>, how: &Reading<'_>, span: Span, what: &'static str, out: &mut Vec<Item>) {
    if !how.silent {
        reader.note(span, NotModelled, what);
    }
    out.push(Item::Hidden(what, span));
}

/// The directive of a line and the rest of it.
fn directive(line: &str) -> Option<(&'static str, &str)> {
    let rest = line.trim_start().strip_prefix('?')?;
    let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let word = rest.get(..length)?.to_ascii_uppercase();
    let known = DIRECTIVES.iter().find(|d| **d == word)?;
    Some((known, rest.get(length..)?.trim()))
}

/// Whether a line begins a script, and whether that goes on over more lines.
fn script(line: &str) -> Option<bool> {
    let line = line.trim_start();
    let (asked, line) = line.strip_prefix('?').map_or((false, line), |l| (true, l));
    let mut words = line.split(|c: char| c.is_whitespace() || c == ';').filter(|w| !w.is_empty()).map(str::to_ascii_uppercase);
    let first = words.next()?;
    match first.as_str() {
        "BEGIN" => matches!(words.next()?.as_str(), "PERL" | "SHELL").then_some(true),
        "PERL" => Some(false),
        "SHELL" if asked || line.starts_with("SHELL") => Some(false),
        _ => None,
    }
}

fn format_line(reader: &mut Reader<'_>, how: &Reading<'_>, state: &mut State, n: &str, span: Span) {
    match n.parse() {
        Ok(n @ 1..=3) => {
            state.format = n;
            mark(reader, how, span);
        }
        _ => {
            if !how.silent {
                reader.refused(span, "there is no such format");
            }
        }
    }
}

fn directive_line(
    reader: &mut Reader<'_>,
    how: &mut Reading<'_>,
    state: &mut State,
    levels: &mut Vec<Level>,
    (word, rest): (&str, &str),
    span: Span,
    out: &mut Vec<Item>,
) {
    let omit = levels.last().is_some_and(|l| l.omit);
    let rest = if word == "COMMENT" { rest } else { rest.split('#').next().unwrap_or("").trim() };
    let ask = |how: &Reading<'_>| how.variables.condition(rest, &how.arguments, how.family);
    if !omit || matches!(word, "ELSE" | "ELSIF" | "ENDIF") {
        mark(reader, how, span);
    }
    match word {
        "IF" => {
            if levels.len() >= reader.limits.nesting {
                return reader.incomplete(
                    span,
                    Unsupported,
                    "conditions are nested too deep: what follows is read as if this one did not stand here",
                );
            }
            let answer = if omit { Some(false) } else { ask(how) };
            if answer.is_none() {
                hidden(reader, how, span, "whether this holds is not known: the lines after it may or may not count", out);
            }
            levels.push(Level { outer: omit, taken: answer != Some(false), omit: omit || answer != Some(true) });
        }
        "ELSIF" | "ELSE" => {
            let Some(level) = levels.last().copied() else {
                if !how.silent {
                    reader.refused(span, format!("?{word} without ?IF"));
                }
                return;
            };
            let answer = match (level.outer || level.taken, word) {
                (true, _) => Some(false),
                (false, "ELSE") => Some(true),
                _ => ask(how),
            };
            if answer.is_none() {
                hidden(reader, how, span, "whether this holds is not known: the lines after it may or may not count", out);
            }
            if let Some(last) = levels.last_mut() {
                last.taken |= answer != Some(false);
                last.omit = level.outer || answer != Some(true);
            }
        }
        "ENDIF" => {
            let open = levels.pop();
            if open.is_none() && !how.silent {
                reader.refused(span, "?ENDIF without ?IF");
            }
        }
        _ if omit => {}
        "SET" => {
            let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let name = name.trim_start_matches('$');
            if let Some(n) = name.strip_prefix('@') {
                let value = constant(how, value.trim());
                if let Some(i) = n.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|i| *i < 32) {
                    if how.arguments.list.len() <= i {
                        how.arguments.list.resize(i + 1, String::new());
                    }
                    how.arguments.list[i] = value.unwrap_or_else(|| UNKNOWN.to_string());
                }
                return;
            }
            let value = constant(how, value.trim());
            if value.is_none() && !how.silent {
                reader.note(span, NotModelled, format!("the value of {name} is not computed here"));
            }
            how.variables.set(name, value);
        }
        "RESET" => how.variables.unset(rest.trim_start_matches('$')),
        "FORMAT" => format_line(reader, how, state, rest, span),
        "COMMENT" => state.comment = Some(rest.to_owned()).filter(|c| !c.is_empty()),
        "ERROR" if !how.silent => reader.refused(span, "the files themselves stop the compiler here"),
        _ => {}
    }
}

/// The value of an expression that is a constant or a variable.
fn constant(how: &Reading<'_>, text: &str) -> Option<String> {
    let text = how.variables.expand(text, &how.arguments).ok()?;
    let text = text.trim();
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)).filter(|t| !t.contains(quote)) {
            return Some(inner.to_owned());
        }
    }
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:,/-".contains(&b));
    (plain && !text.is_empty()).then(|| text.to_owned())
}

fn include(
    reader: &mut Reader<'_>,
    file: &SourceFile,
    how: &mut Reading<'_>,
    state: &mut State,
    depth: usize,
    (name, span): (&str, Span),
    out: &mut Vec<Item>,
) {
    mark(reader, how, span);
    if depth >= reader.limits.include_depth {
        reader.incomplete(
            span,
            Unsupported,
            format!("includes are nested more than {} deep: this one is not read", reader.limits.include_depth),
        );
        out.push(Item::Hidden("an include that is not read", span));
        return;
    }
    let files = reader.include(file.id, name);
    if files.is_empty() {
        if !how.silent {
            reader.incomplete(span, NotModelled, format!("the included file {name} is not among the files"));
        }
        out.push(Item::Hidden("an include that is not among the files", span));
    }
    for included in files {
        file_items(reader, included, how, state, depth + 1, out);
    }
}

/// The files that a file includes, as written. Names in variables are those of nobody.
pub(super) fn includes(file: &SourceFile) -> Vec<(String, Span)> {
    let mut out = Vec::new();
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span).split('#').next().unwrap_or("");
        let mut words = text.split_ascii_whitespace();
        if let (Some("INCLUDE" | "?INCLUDE" | "?include" | "." | "source"), Some(name), None) = (words.next(), words.next(), words.next())
            && !name.contains(['$', '`', '"'])
        {
            out.push((name.to_owned(), span));
        }
    }
    out
}

/// Columns by white space, with parentheses kept together.
fn columns(text: &str) -> Option<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    let mut depth = 0i64;
    for word in text.split_ascii_whitespace() {
        match out.last_mut().filter(|_| depth > 0) {
            Some(last) => {
                last.push(' ');
                last.push_str(word);
            }
            None => out.push(word.to_owned()),
        }
        let count = |c: u8| word.bytes().filter(|b| *b == c).count() as i64;
        depth += count(b'(') - count(b')');
        if depth < 0 {
            return None;
        }
    }
    (depth == 0).then_some(out)
}

fn split(reader: &mut Reader<'_>, how: &Reading<'_>, state: &State, full: &str, span: Span) -> Item {
    let mut refuse = |text: &str| {
        if !how.silent {
            reader.refused(span, text);
        }
        Item::Hidden("a line that is refused", span)
    };
    let (before, inline) = match full.split_once(";;") {
        Some((before, after)) => (before.trim_end(), Some(after.trim().to_owned())),
        None => (full, None),
    };
    let (text, named) = match before.split_once(';') {
        Some((text, named)) => (text, named),
        None => match before.trim_end().strip_suffix('}').and_then(|b| brace(b).map(|at| b.split_at(at))) {
            Some((text, named)) => (text, named.get(1..).unwrap_or("")),
            None => (before, ""),
        },
    };
    let Some(columns) = columns(text) else { return refuse("the parentheses of this line do not match") };
    let (mut pairs, mut comment) = (Vec::new(), state.comment.clone());
    for word in quoted_words(named) {
        let at = word.find(['=', ':']);
        let Some((name, value)) = at.map(|at| word.split_at(at)).filter(|(n, _)| !n.is_empty()) else {
            return refuse("a column by name is written NAME=VALUE");
        };
        let value = value.get(1..).unwrap_or("");
        let value = value.strip_prefix('>').unwrap_or(value);
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value).to_owned();
        if name.eq_ignore_ascii_case("comment") {
            comment = Some(value);
        } else {
            pairs.push((name.to_ascii_lowercase(), value));
        }
    }
    Item::Entry(Entry { columns, pairs, inline, comment, format: state.format, span })
}

/// Where the `{` of columns by name stands: not one of a variable (`&{name}`).
fn brace(text: &str) -> Option<usize> {
    let at = text.rfind('{')?;
    let before = text.get(..at)?;
    (!before.ends_with(['&', '@', '%'])).then_some(at)
}

/// Words by white space and commas before it, with quotes kept together.
fn quoted_words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let (mut word, mut open) = (String::new(), false);
    for c in text.chars() {
        if c == '"' {
            open = !open;
        }
        if c.is_whitespace() && !open {
            if !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    for word in &mut out {
        if word.ends_with(',') {
            word.pop();
        }
    }
    out.retain(|w| !w.is_empty());
    out
}
