//! First pass: lines become tables, chains and rule lines. Nothing is said yet about what a rule means.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::defaults::TableKind;
use super::family;
use super::tokens::{Quoting, Token, split};
use crate::diag::LineState;
use crate::model::PolicyAction;
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;
use crate::vendors::netfilter::ipset;

/// A table of one family as the file leaves it.
pub(super) struct Table {
    pub kind: TableKind,
    pub family: Family,
    pub chains: Vec<ChainLines>,
    /// The words of rules that are not written as commands, see [`RuleLine::words`].
    pub words: Vec<Vec<Word>>,
    index: HashMap<String, usize>,
}

/// A word of a command that nobody wrote.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Word {
    pub text: String,
    /// It is the value of an option, whatever it looks like.
    pub value: bool,
}

/// A chain of a table.
pub(super) struct ChainLines {
    pub name: String,
    /// Where it is first named.
    pub span: Span,
    /// Its policy as stated.
    pub policy: Option<(PolicyAction, Span)>,
    pub rules: VecDeque<RuleLine>,
    /// It was created (`:NAME`, `-N`) or is built in.
    pub declared: bool,
    /// It was deleted (`-X`).
    pub deleted: bool,
}

/// A rule as written.
#[derive(Clone)]
pub(super) struct RuleLine {
    /// The line or command.
    pub span: Span,
    /// Where its options begin (`-A CHAIN` included).
    pub from: usize,
    pub quoting: Quoting,
    /// Packets counted.
    pub packets: Option<u64>,
    /// Where its words are in [`Table::words`]; `None`: in the text.
    pub words: Option<u32>,
    /// It may ask for interfaces that are not shown.
    pub hides_interfaces: bool,
    /// What it is, if its words stand in no file: a program adds it.
    pub built: Option<Built>,
}

/// A rule that a program makes.
#[derive(Clone)]
pub(in crate::vendors::netfilter) struct Built {
    /// `-A CHAIN …`
    pub words: Arc<str>,
    /// [`crate::model::Rule::implied`].
    pub implied: Option<&'static str>,
    /// What the words do not say.
    pub unknown: Option<Unknown>,
}

/// What is not known of a rule that a program makes.
#[derive(Clone)]
pub(in crate::vendors::netfilter) enum Unknown {
    /// It asks for this too.
    Match(Arc<str>),
    /// It does this, whatever that is.
    Action(Arc<str>),
}

impl Built {
    /// A rule of which all is known.
    pub fn new(words: impl Into<Arc<str>>, implied: Option<&'static str>) -> Built {
        Built { words: words.into(), implied, unknown: None }
    }
}

/// One run of `iptables-restore --noflush`, or what a program adds by itself.
#[derive(Clone)]
pub(in crate::vendors::netfilter) enum Step<'a> {
    /// A file in the syntax of iptables-restore. Chains that it declares are emptied, all others stay.
    File(&'a SourceFile),
    /// The table of the following steps, until another is named; the filter table before the first.
    Table(TableKind),
    /// A chain of the table; for a built-in one with its policy.
    Chain(String, Option<PolicyAction>, Span),
    /// A rule of the table, for which the span stands.
    Rule(Built, Span),
}

/// Runs `steps` one after another, for one family.
pub(super) fn restore<'a>(reader: &mut Reader<'a>, family: Family, steps: &[Step<'a>]) -> Vec<Table> {
    let mut pass = Pass::new(reader, reader_file(steps));
    pass.fixed = Some(family);
    let mut table = TableKind::Filter;
    for step in steps {
        match step {
            Step::Table(kind) => table = *kind,
            Step::File(file) => {
                pass.file = file;
                pass.current = None;
                pass.bare = None;
                pass.lines();
            }
            Step::Chain(name, policy, span) => {
                let i = pass.table(table, family);
                let chain = pass.tables[i].chain(name, *span);
                chain.declared = true;
                if let Some(policy) = policy {
                    chain.policy = Some((*policy, *span));
                }
            }
            Step::Rule(built, span) => {
                let rule = RuleLine {
                    span: *span,
                    from: 0,
                    quoting: Quoting::Restore,
                    packets: None,
                    words: None,
                    hides_interfaces: false,
                    built: Some(built.clone()),
                };
                let name = built.words.split_ascii_whitespace().nth(1).unwrap_or("");
                let i = pass.table(table, family);
                pass.tables[i].chain(name, *span).rules.push_back(rule);
            }
        }
    }
    let Pass { tables, sets, reader, .. } = pass;
    sets.finish(reader);
    tables
}

/// The first file of some steps.
fn reader_file<'a>(steps: &[Step<'a>]) -> Option<&'a SourceFile> {
    steps.iter().find_map(|s| match s {
        Step::File(file) => Some(*file),
        _ => None,
    })
}

impl Table {
    /// An empty table.
    pub fn new(kind: TableKind, family: Family) -> Table {
        Table { kind, family, chains: Vec::new(), words: Vec::new(), index: HashMap::new() }
    }

    /// The chain of a name, made if it is not there.
    pub fn chain(&mut self, name: &str, span: Span) -> &mut ChainLines {
        let i = match self.index.get(name) {
            Some(i) => *i,
            None => {
                self.index.insert(name.to_owned(), self.chains.len());
                self.chains.push(ChainLines {
                    name: name.to_owned(),
                    span,
                    policy: None,
                    rules: VecDeque::new(),
                    declared: self.kind.builtin(name).is_some(),
                    deleted: false,
                });
                self.chains.len() - 1
            }
        };
        &mut self.chains[i]
    }

    fn clear(&mut self) {
        self.chains.clear();
        self.index.clear();
    }
}

/// Reads all lines of the reader's file.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Table> {
    let mut pass = Pass::new(reader, None);
    pass.lines();
    let Pass { tables, sets, reader, .. } = pass;
    sets.finish(reader);
    tables
}

struct Pass<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// The file that is read now.
    file: &'a SourceFile,
    /// The family, where it is known beforehand; the file is then one of several that are loaded with `--noflush`.
    fixed: Option<Family>,
    tables: Vec<Table>,
    /// The table between `*table` and `COMMIT`.
    current: Option<usize>,
    /// The family that the last header comment names.
    header: Option<Family>,
    /// Table and family of lines outside any `*table` section, and whether the last such line was `-P`.
    bare: Option<(TableKind, Family, bool)>,
    /// The file is a shell script rather than a list of rules.
    script: bool,
    sets: ipset::Sets,
}

/// Everything a command needs to know of its surroundings.
struct Place {
    table: TableKind,
    family: Family,
    span: Span,
    from: usize,
    quoting: Quoting,
    packets: Option<u64>,
}

impl Place {
    /// The command as a rule.
    fn rule(&self) -> RuleLine {
        let Place { span, from, quoting, packets, .. } = *self;
        RuleLine { span, from, quoting, packets, words: None, hides_interfaces: false, built: None }
    }
}

impl<'r, 'a> Pass<'r, 'a> {
    fn new(reader: &'r mut Reader<'a>, file: Option<&'a SourceFile>) -> Pass<'r, 'a> {
        let file = file.unwrap_or(reader.file);
        Pass {
            file,
            fixed: None,
            tables: Vec::new(),
            current: None,
            header: None,
            bare: None,
            script: super::is_script(file),
            sets: ipset::Sets::default(),
            reader,
        }
    }

    fn lines(&mut self) {
        let file = self.file;
        let count = file.line_count();
        let mut line = 0;
        // A `*table` section of something that is no table of iptables is skipped as a whole.
        let mut foreign = false;
        while line < count {
            let span = file.line_span(line);
            line += 1;
            let text = file.slice(span).trim();
            match text.as_bytes().first() {
                None => {}
                Some(b'#') => self.comment(text, span),
                Some(b'*') => foreign = !self.section(text, span, line),
                _ if foreign => self.reader.mark(span, LineState::Unsupported),
                Some(b':') => self.declaration(text, span),
                Some(b'C') if text == "COMMIT" => {
                    self.current = None;
                    self.reader.mark(span, LineState::Understood);
                }
                Some(b'-' | b'[') => self.restore_line(text, span),
                _ if ipset::is_statement(text) => self.sets.statement(self.reader, span),
                _ => {
                    // A shell command goes on over lines that end in a backslash.
                    let mut whole = span;
                    while file.slice(whole).trim_end().ends_with('\\') && line < count {
                        whole = whole.to(file.line_span(line));
                        line += 1;
                    }
                    self.shell(whole);
                }
            }
        }
    }

    fn comment(&mut self, text: &str, span: Span) {
        self.reader.mark(span, LineState::Irrelevant);
        if text.contains("Generated by") {
            self.header = family::of_header(text);
        } else if text.starts_with("# Completed") {
            self.header = None;
        } else if text.contains("tables present, use") {
            // iptables-nft-save prints this when the kernel also holds rules of the other backend.
            self.reader.note(
                span,
                LineState::NotModelled,
                "the kernel holds tables of the legacy backend as well, which this export does not show",
            );
        } else if text.contains("is incompatible, use 'nft' tool") {
            self.reader.note(
                span,
                LineState::NotModelled,
                "a table is left out of this export: it holds what iptables cannot show (export it with `nft list ruleset`)",
            );
        }
    }

    /// `*table`. False if there is no such table.
    fn section(&mut self, text: &str, span: Span, next_line: usize) -> bool {
        let name = text[1..].trim();
        self.current = None;
        let Some(kind) = TableKind::of(name) else {
            self.reader.note(span, LineState::Unsupported, format!("table `{name}` is not one of iptables: its rules are not read"));
            return false;
        };
        let family = self.fixed.or(self.header).unwrap_or_else(|| family::of_section(self.file, next_line));
        self.reader.mark(span, LineState::Understood);
        let i = self.table(kind, family);
        if !self.tables[i].chains.is_empty() && self.fixed.is_none() {
            self.reader.note(
                span,
                LineState::Unsupported,
                format!("table `{name}` is given twice: this one replaces the earlier one, as iptables-restore would do"),
            );
            self.tables[i].clear();
        }
        self.current = Some(i);
        true
    }

    fn table(&mut self, kind: TableKind, family: Family) -> usize {
        self.tables.iter().position(|t| t.kind == kind && t.family == family).unwrap_or_else(|| {
            self.tables.push(Table::new(kind, family));
            self.tables.len() - 1
        })
    }

    /// `:CHAIN POLICY [packets:bytes]`.
    fn declaration(&mut self, text: &str, span: Span) {
        let mut words = text[1..].split_ascii_whitespace();
        let (Some(name), policy) = (words.next(), words.next()) else {
            return self.reader.note(span, LineState::Unrecognised, "a chain is declared without a name");
        };
        let i = match self.current {
            Some(i) => i,
            None => {
                let (kind, family) = self.bare(span, false);
                self.table(kind, family)
            }
        };
        self.reader.mark(span, LineState::Understood);
        let builtin = self.tables[i].kind.builtin(name).is_some();
        let flush = self.fixed.is_some() && !builtin;
        let chain = self.tables[i].chain(name, span);
        if flush {
            chain.rules.clear();
            chain.span = span;
        }
        chain.declared = true;
        if let Some(policy) = policy.filter(|p| *p != "-" && !p.starts_with('[')) {
            self.policy(i, name, policy, span);
        }
    }

    fn policy(&mut self, table: usize, chain: &str, policy: &str, span: Span) {
        let action = match policy {
            "ACCEPT" => PolicyAction::Accept,
            "DROP" => PolicyAction::Drop,
            _ => PolicyAction::Unknown,
        };
        let table = &mut self.tables[table];
        let builtin = table.kind.builtin(chain).is_some();
        let entry = table.chain(chain, span);
        if builtin {
            entry.policy = Some((action, span));
        }
        if !builtin {
            let text = format!("table {} has no built-in chain `{chain}`, and only built-in chains have a policy", table.kind.name());
            self.reader.note(span, LineState::Unsupported, text);
        } else if action == PolicyAction::Unknown {
            self.reader.note(span, LineState::NotModelled, format!("policy `{policy}` is not modelled"));
        }
    }

    /// Table and family of lines outside `*table` sections: `iptables -S` prints such. Which table it was asked for, only the set of
    /// built-in chains tells.
    fn bare(&mut self, span: Span, is_policy: bool) -> (TableKind, Family) {
        let file = self.file;
        if let Some((kind, family, was_policy)) = self.bare
            && (was_policy || !is_policy)
        {
            self.bare = Some((kind, family, is_policy));
            return (kind, family);
        }
        let family = self.fixed.or(self.header).unwrap_or_else(|| family::of_file(file));
        let kind = if is_policy { table_of_policies(&file.text, span.start as usize) } else { TableKind::Filter };
        self.bare = Some((kind, family, is_policy));
        (kind, family)
    }

    /// A line of a restore file: `[packets:bytes] -A …`.
    fn restore_line(&mut self, text: &str, span: Span) {
        let start = span.start as usize + (self.file.slice(span).len() - self.file.slice(span).trim_start().len());
        let mut rest = text;
        let mut from = start;
        let mut packets = None;
        if let Some(inner) = text.strip_prefix('[')
            && let Some((counters, after)) = inner.split_once(']')
        {
            packets = counters.split(':').next().and_then(|n| n.trim().parse().ok());
            rest = after.trim_start();
            from = start + (text.len() - rest.len());
        }
        let mut words = rest.split_ascii_whitespace();
        let command = words.next().unwrap_or("");
        let (table, family) = match self.current.and_then(|i| self.tables.get(i)) {
            Some(t) => (t.kind, t.family),
            None => self.bare(span, matches!(command, "-P" | "--policy")),
        };
        let place = Place { table, family, span, from, quoting: Quoting::Restore, packets };
        if let ("-A", Some(chain)) = (command, words.next()) {
            // The usual line, without splitting it into words twice.
            return self.append(&place, chain);
        }
        let mut tokens = Vec::new();
        split(&self.file.text, from, span.end as usize, Quoting::Restore, &mut tokens);
        self.command(&tokens, place);
    }

    fn append(&mut self, place: &Place, chain: &str) {
        let rule = place.rule();
        let i = self.table(place.table, place.family);
        self.reader.mark(place.span, LineState::Understood);
        let chain = self.tables[i].chain(chain, place.span);
        chain.deleted = false;
        chain.rules.push_back(rule);
    }

    /// A command with its options; `tokens` begin after the program's name.
    fn command(&mut self, tokens: &[Token<'_>], mut place: Place) {
        let mut command: Option<(&str, usize)> = None;
        for (i, t) in tokens.iter().enumerate() {
            let text = &*t.text;
            let next = || tokens.get(i + 1).map(|t| &*t.text);
            if t.quoted {
                continue;
            }
            match text {
                "-t" | "--table" => match next().and_then(TableKind::of) {
                    Some(kind) => place.table = kind,
                    None => return self.reader.note(place.span, LineState::Unsupported, "the table of this command is not known"),
                },
                "-4" | "--ipv4" if i == 0 && place.family == Family::V6 => return self.reader.mark(place.span, LineState::Irrelevant),
                "-6" | "--ipv6" if i == 0 && place.family == Family::V4 => return self.reader.mark(place.span, LineState::Irrelevant),
                _ if command.is_none() => {
                    let short = match text {
                        "--append" => "-A",
                        "--insert" => "-I",
                        "--new-chain" | "--new" => "-N",
                        "--policy" => "-P",
                        "--delete" => "-D",
                        "--delete-chain" => "-X",
                        "--flush" => "-F",
                        "--zero" => "-Z",
                        "--list" => "-L",
                        "--list-rules" => "-S",
                        "--check" => "-C",
                        "--replace" => "-R",
                        "--rename-chain" => "-E",
                        "-A" | "-I" | "-N" | "-P" | "-D" | "-X" | "-F" | "-Z" | "-L" | "-S" | "-C" | "-R" | "-E" => text,
                        _ => continue,
                    };
                    command = Some((short, i));
                }
                _ => {}
            }
        }
        let Some((command, at)) = command else {
            return self.reader.note(place.span, LineState::Unrecognised, "this line has no iptables command (-A, -I, -P …)");
        };
        let arg = |n: usize| tokens.get(at + n).filter(|t| !t.is_option() && !t.is_not()).map(|t| &*t.text);
        let table = self.table(place.table, place.family);
        if arg(1).is_some_and(|c| place.quoting == Quoting::Shell && c.contains(['$', '`']))
            && !matches!(command, "-L" | "-S" | "-Z" | "-C")
        {
            return self.reader.note(
                place.span,
                LineState::Unsupported,
                "the chain of this command is a shell variable: the command is not read",
            );
        }
        match (command, arg(1)) {
            ("-A", Some(chain)) => self.append(&place, chain),
            ("-I", Some(chain)) => {
                let at = arg(2).and_then(|n| n.parse::<usize>().ok()).unwrap_or(1).saturating_sub(1);
                self.reader.mark(place.span, LineState::Understood);
                let rule = place.rule();
                let chain = self.tables[table].chain(chain, place.span);
                chain.deleted = false;
                if at > chain.rules.len() {
                    let text =
                        format!("there are fewer than {at} rules in this chain: the kernel would refuse to insert here; read as appended");
                    chain.rules.push_back(rule);
                    return self.reader.note(place.span, LineState::Unsupported, text);
                }
                chain.rules.insert(at, rule);
            }
            ("-N", Some(chain)) => {
                let chain = self.tables[table].chain(chain, place.span);
                (chain.declared, chain.deleted) = (true, false);
                self.reader.mark(place.span, LineState::Understood);
            }
            ("-P", Some(chain)) => {
                self.reader.mark(place.span, LineState::Understood);
                match arg(2) {
                    Some(policy) => self.policy(table, chain, policy, place.span),
                    None => self.reader.note(place.span, LineState::Unrecognised, "a policy is missing"),
                }
            }
            ("-F", chain) => {
                let chains = &mut self.tables[table].chains;
                chains.iter_mut().filter(|c| chain.is_none_or(|n| n == c.name)).for_each(|c| c.rules.clear());
                self.reader.mark(place.span, LineState::Understood);
            }
            ("-X", chain) => {
                let table = &mut self.tables[table];
                let kind = table.kind;
                for c in table.chains.iter_mut().filter(|c| kind.builtin(&c.name).is_none() && chain.is_none_or(|n| n == c.name)) {
                    // The kernel refuses to delete a chain that has rules.
                    c.deleted = c.rules.is_empty();
                }
                self.reader.mark(place.span, LineState::Understood);
            }
            ("-D", Some(chain)) => self.delete(table, chain, arg(2).and_then(|n| n.parse().ok()), &tokens[at..], &place),
            ("-Z" | "-L" | "-S" | "-C", _) => self.reader.mark(place.span, LineState::Irrelevant),
            ("-R" | "-E", _) => self.reader.note(
                place.span,
                LineState::Unsupported,
                format!("`{command}` is not followed: what it changes is read as it was before"),
            ),
            _ => self.reader.note(place.span, LineState::Unrecognised, "this command names no chain"),
        }
    }

    /// `-D CHAIN number` or `-D CHAIN rule`.
    fn delete(&mut self, table: usize, chain: &str, number: Option<usize>, tokens: &[Token<'_>], place: &Place) {
        let text = &self.file.text;
        let here = self.file.id;
        let chain = self.tables[table].chain(chain, place.span);
        let found = match number {
            Some(n) => n.checked_sub(1).filter(|n| *n < chain.rules.len()),
            None => chain.rules.iter().position(|r| {
                if r.built.is_some() || r.span.file != here {
                    return false;
                }
                let mut words = Vec::new();
                split(text, r.from, r.span.end as usize, r.quoting, &mut words);
                let start = words.iter().position(|t| matches!(&*t.text, "-A" | "--append" | "-I" | "--insert")).unwrap_or(0);
                let words = words.get(start + 1..).unwrap_or(&[]);
                words.iter().map(|t| &t.text).eq(tokens.iter().skip(1).map(|t| &t.text))
            }),
        };
        if let Some(i) = found {
            chain.rules.remove(i);
        }
        self.reader.mark(place.span, LineState::Understood);
        if found.is_none() {
            self.reader.note(place.span, LineState::Unsupported, "the rule to delete is not found in what was read before");
        }
    }

    /// Commands of a shell script.
    fn shell(&mut self, span: Span) {
        let mut from = span.start as usize;
        let end = span.end as usize;
        let mut tokens = Vec::new();
        while from < end {
            tokens.clear();
            let stop = split(&self.file.text, from, end, Quoting::Shell, &mut tokens);
            if !tokens.is_empty() {
                let first = tokens.first().map_or(from, |t| t.start);
                let last = tokens.last().map_or(stop, |t| t.end);
                self.shell_command(&tokens, Span::new(span.file, first, last));
            }
            // The operator itself; the rest of a redirection or a comment is no command of ours.
            match self.file.text.as_bytes().get(stop) {
                Some(b';' | b'&' | b'|' | b'(' | b')') => from = stop + 1,
                _ => break,
            }
        }
    }

    fn shell_command(&mut self, tokens: &[Token<'_>], span: Span) {
        let skip = tokens.iter().take_while(|t| matches!(&*t.text, "sudo" | "exec" | "then" | "do" | "else" | "if" | "!" | "{")).count();
        let conditional = tokens[..skip].iter().any(|t| matches!(&*t.text, "then" | "do" | "else" | "if"));
        let Some(program) = tokens.get(skip) else {
            return self.reader.note(span, LineState::Unsupported, "shell control flow is not followed");
        };
        match program_of(&program.text) {
            Some(Program::Iptables(family)) => {
                let Some(rest) = tokens.get(skip + 1..).filter(|r| !r.is_empty()) else {
                    return self.reader.mark(span, LineState::Irrelevant);
                };
                let from = rest.first().map_or(span.start as usize, |t| t.start);
                let place = Place { table: TableKind::Filter, family, span, from, quoting: Quoting::Shell, packets: None };
                self.command(rest, place);
                if conditional {
                    self.reader.note(
                        span,
                        LineState::Unsupported,
                        "shell control flow is not followed: this command is read as if it ran once",
                    );
                }
            }
            Some(Program::Ipset) => {
                let from = tokens.get(skip + 1).map_or(span.end as usize, |t| t.start);
                self.sets.statement(self.reader, Span::new(span.file, from, span.end as usize));
            }
            Some(Program::Harmless) => self.reader.mark(span, LineState::Irrelevant),
            None if program
                .text
                .split_once('=')
                .is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')) =>
            {
                self.reader.mark(span, LineState::Irrelevant);
            }
            None if self.script => self.reader.note(span, LineState::Unsupported, "shell command is not followed"),
            None => self.reader.note(span, LineState::Unrecognised, "this line is not one of iptables-save"),
        }
    }
}

/// Programs that a shell script calls.
enum Program {
    Iptables(Family),
    Ipset,
    /// Neither changes rules nor decides whether others do.
    Harmless,
}

fn program_of(word: &str) -> Option<Program> {
    let base = word.rsplit('/').next().unwrap_or(word);
    let variable = base.strip_prefix('$').map(|v| v.trim_matches(['{', '}']).to_ascii_lowercase());
    match variable.as_deref().unwrap_or(base) {
        "iptables" | "iptables-nft" | "iptables-legacy" => Some(Program::Iptables(Family::V4)),
        "ip6tables" | "ip6tables-nft" | "ip6tables-legacy" => Some(Program::Iptables(Family::V6)),
        "ipt" | "ipt4" | "iptables4" | "iptables_cmd" | "iptables_bin" if variable.is_some() => Some(Program::Iptables(Family::V4)),
        "ipt6" | "ip6t" | "iptables6" | "ip6tables_cmd" | "ip6tables_bin" if variable.is_some() => Some(Program::Iptables(Family::V6)),
        "ipset" => Some(Program::Ipset),
        "echo" | "exit" | "set" | "modprobe" | "sysctl" | "logger" | "printf" | "export" | "true" | "sleep" | "fi" | "done" | "}" => {
            Some(Program::Harmless)
        }
        _ => None,
    }
}

/// Which table `iptables -S` was asked for, by the policies that it prints first.
fn table_of_policies(text: &str, start: usize) -> TableKind {
    let (mut pre, mut post, mut forward, mut output) = (false, false, false, false);
    for line in text.get(start..).unwrap_or("").lines() {
        let mut words = line.split_ascii_whitespace();
        if !matches!(words.next(), Some("-P" | "--policy")) {
            break;
        }
        match words.next() {
            Some("PREROUTING") => pre = true,
            Some("POSTROUTING") => post = true,
            Some("FORWARD") => forward = true,
            Some("OUTPUT") => output = true,
            _ => {}
        }
    }
    match (pre, post) {
        (false, false) => TableKind::Filter,
        _ if forward => TableKind::Mangle,
        (true, false) if output => TableKind::Raw,
        _ => TableKind::Nat,
    }
}
