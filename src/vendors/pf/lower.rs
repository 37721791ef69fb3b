//! From statements to chains.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::ast::{Config, Dir, Item, Kind, Stage};
use super::flat::Anchors;
use super::{lex, parse};
use crate::diag::LineState;
use crate::model::{Action, HostSetting, Match, Rule};
use crate::net::{Family, Ranges};
use crate::source::{FileId, SourceFile, Span};
use crate::vendors::Reader;

/// What lowering has in its hands.
pub(super) struct Lowering<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub whole: Span,
    /// Numbers of the tags that rules set.
    pub tags: HashMap<String, u128>,
    /// Interfaces that are skipped.
    pub skip: Vec<(String, Span)>,
    /// A rule that keeps state.
    pub stateful: Option<Span>,
    /// The filter is not shown.
    pub filter_missing: bool,
    /// What the lists of pfctl that were exported do not show, and that lets packets past the filter.
    pub beside: Option<Rule>,
    /// The addresses of tables, where they are known and of one family.
    pub table_ranges: HashMap<Arc<str>, Option<(Family, Ranges)>>,
    /// Why pfctl would refuse the rule that is being lowered.
    pub refused: Option<&'static str>,
    pub most_steps: usize,
    /// Indices of the last steps that changed the tag or the addresses of the packet.
    pub last_tag: Option<usize>,
    pub last_translation: Option<usize>,
}

/// Rules of one direction with those of all anchors.
const STEPS: usize = 200_000;
/// Anchors that are loaded from files.
const LOADS: usize = 1_000;

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let mut config = config_of(reader, file);
    let anchors = load_anchors(reader, &mut config);
    dialect(reader, &config, file);
    reader.device.exhaustive = true;
    reader.device.no_sysctl = true;
    let mut all: Vec<&Item> = Vec::new();
    for items in std::iter::once(config.items.as_slice()).chain(anchors.values().map(|a| a.as_slice())) {
        collect(items, &mut all, 0);
    }
    let most_steps = reader.limits.expanded_rules.min(STEPS);
    let mut lowering = Lowering {
        reader,
        whole: file.whole(),
        tags: HashMap::new(),
        skip: Vec::new(),
        stateful: None,
        filter_missing: !config.has_filter && !config.is_file && !config.items.is_empty(),
        beside: None,
        table_ranges: HashMap::new(),
        refused: None,
        most_steps,
        last_tag: None,
        last_translation: None,
    };
    for item in all {
        lowering.survey(item);
    }
    lowering.not_listed(&config);
    lowering.tables(&config.tables, &config.overload);
    for dir in [Dir::In, Dir::Out] {
        let stages = if dir == Dir::In { [Stage::Rdr, Stage::Binat] } else { [Stage::Binat, Stage::Nat] };
        let mut translations = lowering.flatten(&config.items, &anchors, dir, stages[0]);
        translations.extend(lowering.flatten(&config.items, &anchors, dir, stages[1]));
        translations.retain(|s| !matches!(s.what, super::flat::What::EndOfQuick(_)));
        let filter = lowering.flatten(&config.items, &anchors, dir, Stage::Filter);
        lowering.direction(dir, &translations, &filter);
    }
}

impl Lowering<'_, '_> {
    /// What a list of pfctl leaves out: `pfctl -sr` and `-sa` show no `set skip`, and `-sr` shows no translation rules where these are rules of
    /// their own (`pfctl.c`). What is left out may let packets past the filter, and is not taken for absent.
    fn not_listed(&mut self, config: &Config) {
        if config.is_file || !config.has_filter {
            return;
        }
        let lists_translations = config.all_rules || config.has_translations || config.new_style.is_some();
        let mut missing = Vec::new();
        if !config.interfaces {
            missing.push(("the interfaces that `set skip` leaves alone", "`sudo pfctl -vsI`"));
        }
        if !lists_translations {
            missing.push(("translation rules (rdr, nat, binat)", "`sudo pfctl -sn`"));
        }
        if missing.is_empty() {
            return;
        }
        let what = missing.iter().map(|(what, _)| *what).collect::<Vec<_>>().join(" and ");
        let how = missing.iter().map(|(_, how)| *how).collect::<Vec<_>>().join(" and ");
        let text = format!("this list of pfctl does not show {what}: add the output of {how} to the file, or export pf.conf");
        let first = self.reader.file.line_span(0);
        self.reader.note(first, LineState::NotModelled, text);
        let what = format!("{what}, which this list of pfctl does not show");
        let condition = self.reader.device.conditions.intern(&what, first);
        // An interface that is skipped passes everything; a translation may do anything.
        let action = if lists_translations { Action::Accept } else { Action::Opaque(what.into()) };
        self.beside = Some(Rule::implied("what this list does not show", Match::Opaque(condition), action, first));
    }

    /// What must be known of all rules before the first of them is lowered.
    fn survey(&mut self, item: &Item) {
        match &item.kind {
            Kind::Filter(rule) | Kind::Translate(rule) => {
                if let Some(tag) = &rule.tag {
                    let next = self.tags.len() as u128 + 1;
                    self.tags.entry(tag.clone()).or_insert(next);
                }
                if self.stateful.is_none() {
                    self.stateful = Lowering::state_of(rule, item.span);
                }
            }
            Kind::Skip(list) => {
                for iface in list {
                    if iface.not {
                        self.reader.note(
                            iface.span,
                            LineState::Unsupported,
                            "`!` is not understood here: the interface is not taken for skipped",
                        );
                    } else {
                        self.skip.push((iface.name.clone(), iface.span));
                    }
                }
            }
            Kind::Anchor { name, body: None, stage, .. } if *stage == Stage::Filter => {
                let name = name.as_deref().unwrap_or("");
                self.reader.device.names.used("anchor", name, item.span);
            }
            Kind::Anchor { .. } => {}
        }
    }
}

/// A place for the text of a condition, so that two rules are told apart.
pub(super) fn spot(reader: &Reader<'_>, span: Span) -> String {
    if span.file == reader.file.id {
        format!("line {}", reader.file.line_index(span.start) + 1)
    } else {
        format!("byte {} of included file {}", span.start, span.file.0)
    }
}

/// All statements, those of anchors too.
fn collect<'i>(items: &'i [Item], out: &mut Vec<&'i Item>, depth: usize) {
    for item in items {
        out.push(item);
        if let Kind::Anchor { body: Some(body), .. } = &item.kind
            && depth < 128
        {
            collect(body, out, depth + 1);
        }
    }
}

fn config_of<'a>(reader: &mut Reader<'a>, file: &'a SourceFile) -> Config {
    let lexed = lex::lex(reader, file);
    parse::parse(reader, lexed, file.whole())
}

/// Reads the files of `load anchor`. Macros of one file are not those of another; tables of an anchor are its own, and are told apart from others
/// by name only.
fn load_anchors(reader: &mut Reader<'_>, config: &mut Config) -> Anchors {
    let mut anchors = Anchors::new();
    let mut open: VecDeque<_> = config.loads.drain(..).map(|l| (String::new(), l)).collect();
    let mut done: HashSet<(String, FileId)> = HashSet::new();
    let names: HashSet<String> = config.tables.iter().map(|t| t.name.clone()).collect();
    while let Some((within, load)) = open.pop_front() {
        let path = match within.as_str() {
            "" => load.anchor.clone(),
            within => format!("{within}/{}", load.anchor),
        };
        reader.device.names.define("anchor", &*load.anchor, load.span);
        let files = reader.include(load.span.file, &load.file);
        if files.is_empty() {
            let text = format!("the file \"{}\" of the anchor \"{path}\" was not read: what it holds is not known", load.file);
            reader.note(load.span, LineState::NotModelled, text);
        }
        for file in files {
            if done.len() >= LOADS || !done.insert((path.clone(), file.id)) {
                continue;
            }
            let mut loaded = config_of(reader, file);
            open.extend(loaded.loads.drain(..).map(|l| (path.clone(), l)));
            config.overload.append(&mut loaded.overload);
            for mut table in loaded.tables {
                if names.contains(&table.name) {
                    reader.note(
                        table.span,
                        LineState::NotModelled,
                        "a table of this name is also outside of the anchor: which is meant is not told apart",
                    );
                    table.persist = true;
                    config.overload.push(table.name.clone());
                }
                config.tables.push(table);
            }
            config.has_filter |= loaded.has_filter;
            config.is_file = true;
            anchors.insert(path.clone(), Rc::new(loaded.items));
        }
    }
    anchors
}

/// Says which dialect the configuration is in, and why.
fn dialect(reader: &mut Reader<'_>, config: &Config, file: &SourceFile) {
    let (value, span) = match (&config.old_style, &config.new_style) {
        (Some((what, span)), None) => (format!("FreeBSD and macOS, or OpenBSD before 4.7: it has {what}"), *span),
        (None, Some((what, span))) => (format!("OpenBSD since 4.7: it has {what}"), *span),
        (Some((old, span)), Some((new, _))) => (format!("mixed, as FreeBSD 15 allows: it has {old}, and {new}"), *span),
        (None, None) => ("either: nothing in it is of one dialect only".to_owned(), Span::new(file.id, 0, 0)),
    };
    reader.device.settings.push(HostSetting { name: "pf.dialect".into(), value, span });
}
