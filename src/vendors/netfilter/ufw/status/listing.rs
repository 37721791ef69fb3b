//! The lines of what ufw prints.

use super::intent::{Intent, Profiles, Verdict, ports};
use super::words;
use crate::diag::LineState;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// How `ufw show added` begins.
pub(super) const ADDED: &str = "Added user rules (see 'ufw status'";

/// Which listing of the rules it is; the one that says most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// `ufw status verbose`: with policies and ports.
    Verbose,
    Numbered,
    Plain,
    /// `ufw show added`: of whatever state.
    Added,
}

/// One listing.
pub(super) struct Listing<'a> {
    pub kind: Kind,
    /// Whether ufw is active, where that is said.
    pub active: Option<bool>,
    /// The line that begins it.
    pub span: Span,
    /// Default policies: name and value as in `/etc/default/ufw`, or `disabled`.
    pub policies: Vec<(&'static str, &'static str, Span)>,
    pub lines: Vec<(Line<'a>, Span)>,
}

/// A line with a rule.
pub(super) enum Line<'a> {
    Rule(Intent<'a>),
    /// It stands where rules stand.
    Unread(&'a str),
}

/// The heading of the table.
pub(super) fn is_heading(line: &str) -> bool {
    line.split_ascii_whitespace().eq(["To", "Action", "From"])
}

/// `Default: deny (incoming), allow (outgoing), disabled (routed)`, which before 0.34 has no third.
pub(super) fn policies(line: &str) -> Option<Vec<(&'static str, &'static str)>> {
    let one = |text: &str| {
        let (value, of) = text.trim().split_once(' ')?;
        let value = match value {
            "allow" => "ACCEPT",
            "deny" => "DROP",
            "reject" => "REJECT",
            "disabled" => "disabled",
            _ => return None,
        };
        let name = match of.trim() {
            "(incoming)" => "DEFAULT_INPUT_POLICY",
            "(outgoing)" => "DEFAULT_OUTPUT_POLICY",
            "(routed)" => "DEFAULT_FORWARD_POLICY",
            _ => return None,
        };
        Some((name, value))
    };
    line.strip_prefix("Default: ")?.split(',').map(one).collect()
}

/// What the first listing of a file is.
pub(super) fn kind_of(file: &SourceFile) -> Option<Kind> {
    let mut kind = None;
    for line in super::super::head(file) {
        match line {
            _ if line.starts_with(ADDED) => return kind.or(Some(Kind::Added)),
            "Status: active" | "Status: inactive" if kind.is_some() => return kind,
            "Status: active" | "Status: inactive" => kind = Some(Kind::Plain),
            _ if kind.is_some() && policies(line).is_some() => return Some(Kind::Verbose),
            _ if kind.is_some() && is_numbered(line) => return Some(Kind::Numbered),
            _ => {}
        }
    }
    kind
}

fn is_numbered(line: &str) -> bool {
    line.strip_prefix('[').is_some_and(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit()))
}

/// Where in the text we are.
#[derive(PartialEq)]
enum Mode<'a> {
    Outside,
    Status,
    /// Below the heading of the table.
    Table,
    Added,
    /// Within `ufw app info`, of this profile, and whether below `Ports:`.
    App(&'a str, bool),
}

pub(super) fn read<'a>(reader: &mut Reader<'_>, file: &'a SourceFile, listings: &mut Vec<Listing<'a>>, profiles: &mut Profiles<'a>) {
    let first = listings.len();
    let mut mode = Mode::Outside;
    for index in 0..file.line_count() {
        let span = file.line_span(index);
        let raw = file.slice(span);
        let line = raw.trim();
        let begin = |kind, active| Listing { kind, active, span, policies: Vec::new(), lines: Vec::new() };
        if line.is_empty() {
            continue;
        }
        match line {
            "Status: active" | "Status: inactive" => {
                reader.mark(span, LineState::Understood);
                listings.push(begin(Kind::Plain, Some(line == "Status: active")));
                mode = Mode::Status;
                continue;
            }
            _ if line.starts_with(ADDED) => {
                reader.mark(span, LineState::Understood);
                listings.push(begin(Kind::Added, None));
                mode = Mode::Added;
                continue;
            }
            _ if line.starts_with("Profile: ") && !matches!(mode, Mode::Table) => {
                reader.mark(span, LineState::Understood);
                mode = Mode::App(line.get(9..).unwrap_or("").trim(), false);
                continue;
            }
            // What was typed.
            _ if is_prompt(line) => {
                reader.mark(span, LineState::Irrelevant);
                mode = Mode::Outside;
                continue;
            }
            _ => {}
        }
        let current = listings.get_mut(first..).and_then(<[_]>::last_mut);
        let state = match (&mut mode, current) {
            (Mode::Status | Mode::Table, _) if is_heading(line) => {
                mode = Mode::Table;
                LineState::Irrelevant
            }
            (Mode::Status | Mode::Table, _) if line.bytes().all(|b| b == b'-' || b == b' ') => LineState::Irrelevant,
            (Mode::Status, Some(listing)) => match policies(line) {
                Some(found) => {
                    listing.policies = found.into_iter().map(|(n, v)| (n, v, span)).collect();
                    listing.kind = Kind::Verbose;
                    LineState::Understood
                }
                None if line.starts_with("Logging: ") || line.starts_with("New profiles: ") => LineState::Irrelevant,
                None => LineState::Unrecognised,
            },
            (Mode::Table, Some(listing)) => {
                if listing.kind == Kind::Plain && is_numbered(line) {
                    listing.kind = Kind::Numbered;
                }
                listing.lines.push((words::row(raw).map_or(Line::Unread(line), Line::Rule), span));
                continue;
            }
            (Mode::Added, _) if line == "(None)" => LineState::Irrelevant,
            (Mode::Added, Some(listing)) => {
                let rule = line.strip_prefix("ufw ").and_then(words::command);
                listing.lines.push((rule.map_or(Line::Unread(line), Line::Rule), span));
                continue;
            }
            (Mode::App(name, listed), _) => match line {
                "Port:" | "Ports:" => {
                    *listed = true;
                    profiles.entry(name).or_insert_with(|| Some(Vec::new()));
                    LineState::Irrelevant
                }
                "--" => LineState::Irrelevant,
                _ if *listed => match ports(line) {
                    Some(found) => {
                        if let Some(Some(list)) = profiles.get_mut(name) {
                            list.push(found);
                        }
                        LineState::Understood
                    }
                    None => {
                        profiles.insert(name, None);
                        LineState::Unrecognised
                    }
                },
                // Title and description, of one line or more.
                _ => LineState::Irrelevant,
            },
            _ => LineState::Unrecognised,
        };
        match state {
            LineState::Unrecognised => reader.note(span, state, "this is nothing that ufw prints there"),
            _ => reader.mark(span, state),
        }
    }
}

/// `root@host:~$ sudo ufw status`. The comment of a rule may look so too: what names an action is no prompt.
fn is_prompt(line: &str) -> bool {
    let commands = ["ufw status", "ufw show added", "ufw app info"];
    let Some(at) = commands.iter().filter_map(|c| line.find(c)).min() else { return false };
    let before = line.get(..at).unwrap_or("").trim_end();
    let before = before.strip_suffix("sudo").unwrap_or(before).trim_end();
    let acts = before.split_ascii_whitespace().any(|w| Verdict::of(w).is_some());
    !acts && (before.is_empty() || before.ends_with(['$', '#', '>', '%']))
}
