//! Reading a baseline with everything that it names. All errors are found in one go.

mod entries;
mod intents;
mod waivers;

pub use intents::load_intents;

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use super::doc::{AttestationDoc, BaselineDoc, EachDoc, EstateDoc, SiteDoc, WorkersDoc};
use super::files::{self, Folder};
use super::yaml::Document;
use super::{Baseline, BaselineError, Entry, VERSION, places, roster};
use crate::checks::attest::{self, Attest, Attestation};
use crate::checks::body::{self, quote, suggestion};
use crate::checks::dates::Duration;
use crate::checks::services::built_in_services;
use crate::checks::{BodyError, Names, Site, Spec, Workers};
use crate::diag::{Incomplete, Severity};
use crate::source::{Encoding, FileId, Limits, Sources, Span};

/// Errors of a baseline at most: nobody reads more, and hostile input must not grow the output.
const MOST: usize = 200;
/// Rulesets that a baseline uses at most.
const RULESETS: usize = 100;

/// Reads the baseline at `path` with its rulesets, roster and waivers, which lie beside or below it. Every file becomes one of `sources`.
///
/// # Errors
/// Everything that is wrong with any of them, in the order of the files and their lines.
pub fn load(sources: &mut Sources, path: &Path, limits: &Limits) -> Result<Baseline, Vec<BaselineError>> {
    let shown = files::display(path);
    let refused = |message: String| vec![BaselineError { path: shown.clone(), place: None, message }];
    let bytes = files::read(path, limits.baseline_bytes).map_err(refused)?;
    let folder = Folder::of(path).map_err(refused)?;
    let id = sources.add(shown, &bytes);
    Loader::new(sources, limits, Some(folder)).baseline(id)
}

/// Reads a baseline whose text is at hand (standard input, tests). It cannot name files; shipped rulesets it can.
///
/// # Errors
/// As [`load`].
pub fn load_text(sources: &mut Sources, path: &str, text: &str, limits: &Limits) -> Result<Baseline, Vec<BaselineError>> {
    if text.len() as u64 > limits.baseline_bytes {
        let message = format!("is larger than {} bytes", limits.baseline_bytes);
        return Err(vec![BaselineError { path: path.to_owned(), place: None, message }]);
    }
    let id = sources.add(path, text.as_bytes());
    Loader::new(sources, limits, None).baseline(id)
}

struct Attested {
    doc: AttestationDoc,
    attestation: Attestation,
    span: Span,
    used: bool,
}

pub(super) struct Loader<'a> {
    sources: &'a mut Sources,
    limits: &'a Limits,
    folder: Option<Folder>,
    errors: Vec<BaselineError>,
    out: Baseline,
    names: Names,
    /// Checks of rulesets by id, as written.
    of_rulesets: BTreeMap<String, Value>,
    /// Ids of checks with where they are written.
    ids: BTreeMap<String, Span>,
    attested: BTreeMap<String, Attested>,
    /// What every remote worker must have.
    each: Vec<EachDoc>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(sources: &'a mut Sources, limits: &'a Limits, folder: Option<Folder>) -> Loader<'a> {
        Loader {
            sources,
            limits,
            folder,
            errors: Vec::new(),
            out: Baseline::default(),
            names: Names::default(),
            of_rulesets: BTreeMap::new(),
            ids: BTreeMap::new(),
            attested: BTreeMap::new(),
            each: Vec::new(),
        }
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        if self.errors.len() < MOST {
            let file = self.sources.get(span.file);
            let place = Some((file.place(span.start), span));
            self.errors.push(BaselineError { path: file.path.clone(), place, message: message.into() });
        }
    }

    /// Errors of a piece of YAML that stands at `at`.
    fn errors_at(&mut self, document: &Document, at: &str, errors: Vec<BodyError>) {
        for e in errors {
            let span = document.span(&join(at, &e.path));
            self.error(span, e.message);
        }
    }

    /// A piece of YAML as a type, if nothing is wrong with it.
    pub(super) fn piece<T: DeserializeOwned + schemars::JsonSchema + 'static>(
        &mut self,
        document: &Document,
        at: &str,
        value: &Value,
    ) -> Option<T> {
        let problems = body::problems(value, &body::schema_value::<T>());
        if problems.is_empty() {
            match serde_yaml::from_value(value.clone()) {
                Ok(piece) => return Some(piece),
                Err(e) => self.error(document.span(at), e.to_string()),
            }
        }
        self.errors_at(document, at, problems);
        None
    }

    /// The entries of a mapping of the document; an error unless it is one (or is not there at all).
    fn entries(&mut self, document: &Document, key: &str) -> Vec<(String, Value)> {
        match document.value.get(key) {
            None => Vec::new(),
            Some(Value::Mapping(m)) => self.keys(document, key, m),
            Some(_) => {
                self.error(document.span(key), format!("{key} must be a mapping of names"));
                Vec::new()
            }
        }
    }

    fn keys(&mut self, document: &Document, at: &str, mapping: &Mapping) -> Vec<(String, Value)> {
        let mut entries = Vec::new();
        for (key, value) in mapping {
            match key.as_str() {
                Some(key) => entries.push((key.to_owned(), value.clone())),
                None => self.error(document.span(at), "a name must be text: put it in quotes"),
            }
        }
        entries
    }

    /// The items of a list of the document; an error unless it is one (or is not there at all).
    pub(super) fn items(&mut self, document: &Document, key: &str) -> Vec<Value> {
        match document.value.get(key) {
            None => Vec::new(),
            Some(Value::Sequence(list)) => list.clone(),
            Some(_) => {
                self.error(document.span(key), format!("{key} must be a list"));
                Vec::new()
            }
        }
    }

    pub(super) fn read_document(&mut self, id: FileId) -> Option<Document> {
        self.out.files.push(id);
        let file = self.sources.get(id);
        let whole = Span::new(id, 0, 0);
        if matches!(file.encoding, Encoding::Binary | Encoding::Damaged) {
            self.error(whole, "the file is not text (UTF-8, or UTF-16 with a byte-order mark)");
            return None;
        }
        match Document::read(file) {
            Ok(document) => Some(document),
            Err(problems) => {
                problems.into_iter().for_each(|p| self.error(p.span, p.message));
                None
            }
        }
    }

    /// Whether the document is a mapping of the right version; says everything about its outermost keys.
    pub(super) fn top<T: schemars::JsonSchema + 'static>(&mut self, document: &Document) -> bool {
        let problems = body::problems_on_top(&document.value, &body::schema_value::<T>());
        let mapping = document.value.is_mapping();
        self.errors_at(document, "", problems);
        match document.value.get("fwproof") {
            Some(version) if version.as_u64() != Some(VERSION) => {
                self.error(
                    document.span("fwproof"),
                    format!("this program reads version {VERSION} of the language: write `fwproof: {VERSION}`"),
                );
            }
            _ => {}
        }
        mapping
    }

    /// Reads a file that the baseline names at `span`, and adds it to the sources.
    fn open(&mut self, name: &str, span: Span, most: u64) -> Option<FileId> {
        let Some(folder) = &self.folder else {
            self.error(span, format!("{}: a baseline that is not a file cannot name files", quote(name)));
            return None;
        };
        let read = folder.find(name).and_then(|path| files::read(&path, most));
        let shown = folder.display(name);
        match read {
            Ok(bytes) => Some(self.sources.add(shown, &bytes)),
            Err(refusal) => {
                self.error(span, format!("{} {refusal}", quote(name)));
                None
            }
        }
    }

    fn baseline(mut self, id: FileId) -> Result<Baseline, Vec<BaselineError>> {
        if let Some(document) = self.read_document(id)
            && self.top::<BaselineDoc>(&document)
        {
            self.sections(&document);
        }
        self.finish()
    }

    fn sections(&mut self, document: &Document) {
        match document.value.get("title") {
            Some(Value::String(title)) if !title.trim().is_empty() => self.out.title = title.clone(),
            Some(_) => self.error(document.span("title"), "title must be text"),
            None => {}
        }
        self.zones(document);
        self.services(document);
        self.estate(document);
        self.attestations(document);
        for (i, value) in self.items(document, "checks").iter().enumerate() {
            if let Some(entry) = self.check(document, &format!("checks[{i}]"), value, None) {
                self.out.checks.push(entry);
            }
        }
        let own = self.out.checks.len();
        self.rulesets(document);
        self.adjust(document);
        // Attestations that answer no check of a ruleset are checks of their own, after the user's own ones.
        let mut rest: Vec<Attested> = std::mem::take(&mut self.attested).into_values().filter(|a| !a.used).collect();
        rest.sort_by_key(|a| std::cmp::Reverse(a.span));
        for a in rest {
            self.claim(&a.doc.id, a.span);
            let spec = Spec {
                title: a.doc.title.clone().unwrap_or_else(|| title_of(&a.doc.id)),
                severity: a.doc.severity.unwrap_or(Severity::Medium),
                why: String::new(),
                fix: String::new(),
                refs: a.doc.refs.0.clone(),
                on: Vec::new(),
                span: a.span,
                id: a.doc.id,
            };
            let entry = Entry { spec, kind: &attest::ATTEST, check: Box::new(Attest(Some(a.attestation))), ruleset: None };
            self.out.checks.insert(own, entry);
        }
        self.waivers(document);
        self.intents(document);
    }

    fn zones(&mut self, document: &Document) {
        for (name, value) in self.entries(document, "zones") {
            let at = format!("zones.{name}");
            let span = document.span(&format!("{at}:"));
            self.names.zones.insert(name.clone());
            if let Some((word, meaning)) = places::RESERVED.iter().find(|(word, _)| *word == name) {
                self.error(span, format!("{} is not free as a name: it means {meaning}", quote(word)));
            } else if !is_name(&name) {
                self.error(span, format!("{} is no name: write letters, digits, - and _", quote(&name)));
            }
            match places::zone(&name, &value, span) {
                Ok(zone) => self.out.zones.push(zone),
                Err(errors) => self.errors_at(document, &at, errors),
            }
        }
    }

    fn services(&mut self, document: &Document) {
        self.out.services = built_in_services();
        for (name, value) in self.entries(document, "services") {
            let at = format!("services.{name}");
            let span = document.span(&format!("{at}:"));
            if !is_name(&name) {
                self.error(span, format!("{} is no name: write letters, digits, - and _", quote(&name)));
            }
            self.names.services.insert(name.clone());
            match places::service(&name, &value, span) {
                Ok(service) => {
                    self.out.services.insert(name, service);
                }
                Err(errors) => self.errors_at(document, &at, errors),
            }
        }
        self.names.services.extend(self.out.services.keys().cloned());
    }

    fn estate(&mut self, document: &Document) {
        let Some(estate) = document.value.get("estate") else { return };
        let problems = body::problems_on_top(estate, &body::schema_value::<EstateDoc>());
        self.errors_at(document, "estate", problems);
        match estate.get("sites") {
            None => {}
            Some(Value::Mapping(sites)) => {
                for (name, value) in self.keys(document, "estate.sites", sites) {
                    let at = format!("estate.sites.{name}");
                    let span = document.span(&format!("{at}:"));
                    let Some(site) = self.piece::<SiteDoc>(document, &at, &value) else { continue };
                    for (i, device) in site.devices.0.iter().enumerate() {
                        let other = self.out.sites.iter().find(|s| s.devices.contains(device)).map(|s| s.name.clone());
                        if let Some(other) = other {
                            let message = format!("{} already belongs to {}", quote(device), quote(&other));
                            self.error(document.span(&format!("{at}.devices[{i}]")), message);
                        }
                    }
                    self.names.devices.extend(site.devices.0.iter().cloned());
                    self.out.sites.push(Site { name, firewalls: site.firewalls, devices: site.devices.0, span });
                }
            }
            Some(_) => self.error(document.span("estate.sites"), "sites must be a mapping of names"),
        }
        if let Some(value) = estate.get("workers")
            && let Some(workers) = self.piece::<WorkersDoc>(document, "estate.workers", value)
        {
            self.workers(document, value, workers);
        }
    }

    fn workers(&mut self, document: &Document, value: &Value, doc: WorkersDoc) {
        self.each = if doc.each.0.is_empty() { vec![EachDoc::HostFirewall, EachDoc::VpnClient] } else { doc.each.0 };
        let span = document.span("estate.workers:");
        let mut exported_within_days = None;
        if let Some(text) = &doc.exported_within {
            exported_within_days = Duration::parse(text).and_then(Duration::days);
            if exported_within_days.is_none() {
                let message = format!("{} is no length of time in days or weeks: write 30d", quote(text));
                self.error(document.span("estate.workers.exported_within"), message);
            }
        }
        for (i, place) in doc.tunnelled.0.iter().enumerate() {
            if self.names.zones.contains(place) || places::addresses(place).is_ok() {
                continue;
            }
            let path = if value["tunnelled"].is_sequence() { format!("tunnelled[{i}]") } else { "tunnelled".to_owned() };
            let message = match places::addresses(place) {
                Err(message) if place.contains('/') => message,
                _ => format!(
                    "there is no zone {}, and it is no address or prefix{}",
                    quote(place),
                    suggestion(place, self.names.zones.iter().map(String::as_str))
                ),
            };
            self.error(document.span(&format!("estate.workers.{path}")), message);
        }
        let (host_firewall, vpn_client) = (self.each.contains(&EachDoc::HostFirewall), self.each.contains(&EachDoc::VpnClient));
        let mut people = Vec::new();
        let at = document.span("estate.workers.roster");
        if let Some(id) = self.open(&doc.roster, at, self.limits.file_bytes) {
            self.out.files.push(id);
            let read = roster::read(self.sources.get(id));
            people = read.people;
            read.fatal.into_iter().for_each(|p| self.error(p.span, p.message));
            let path = self.sources.get(id).path.clone();
            self.out.broken.extend(read.broken.into_iter().map(|p| Incomplete { path: path.clone(), span: Some(p.span), text: p.message }));
        }
        self.names.devices.extend(people.iter().map(|p| p.device.clone()));
        self.out.workers = Some(Workers { people, host_firewall, vpn_client, exported_within_days, tunnelled: doc.tunnelled.0, span });
    }

    fn attestations(&mut self, document: &Document) {
        for (i, value) in self.items(document, "attestations").iter().enumerate() {
            let at = format!("attestations[{i}]");
            let Some(doc) = self.piece::<AttestationDoc>(document, &at, value) else { continue };
            let span = document.span(&format!("{at}.id"));
            if !is_id(&doc.id) {
                self.error(span, format!("{} is no id: write words in lower case with - between them", quote(&doc.id)));
            }
            if let Some(first) = self.attested.get(&doc.id) {
                let place = self.sources.locate(first.span);
                self.error(span, format!("the id {} is taken: {place}", quote(&doc.id)));
                continue;
            }
            let mut attestation = match attest::attestation(&doc.owner, &doc.evidence, &doc.reviewed, &doc.every) {
                Ok(attestation) => attestation,
                Err(e) => {
                    self.errors_at(document, &at, vec![e]);
                    continue;
                }
            };
            if !doc.evidence.contains("://")
                && let Some(folder) = &self.folder
            {
                match folder.find(&doc.evidence) {
                    Ok(_) => {}
                    Err(refusal) if refusal == "is not there" => attestation.evidence_missing = true,
                    Err(refusal) => self.error(document.span(&format!("{at}.evidence")), format!("{} {refusal}", quote(&doc.evidence))),
                }
            }
            self.attested.insert(doc.id.clone(), Attested { doc, attestation, span, used: false });
        }
    }
}

fn join(at: &str, path: &str) -> String {
    if at.is_empty() || path.is_empty() || path.starts_with(['[', ':']) { format!("{at}{path}") } else { format!("{at}.{path}") }
}

/// Kebab-case words, the first of which begins with a letter.
pub(super) fn is_id(text: &str) -> bool {
    text.len() <= 80
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 80 && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A title for a check that has none: its id as a sentence.
fn title_of(id: &str) -> String {
    let words = id.replace('-', " ");
    let mut chars = words.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
