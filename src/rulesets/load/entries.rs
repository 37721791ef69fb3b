//! Checks: those of the baseline, those of the rulesets that it uses, and what it changes about these.

use serde_yaml::{Mapping, Value};

use super::{Loader, RULESETS, is_id, join, title_of};
use crate::checks::attest::{self, Attest};
use crate::checks::body::{self, quote, suggestion};
use crate::checks::select::GROUPS;
use crate::checks::{KINDS, Kind, Spec};
use crate::diag::Severity;
use crate::rulesets::doc::{AdjustDoc, CheckDoc, NeedsDoc, RulesetDoc};
use crate::rulesets::yaml::Document;
use crate::rulesets::{Entry, SHIPPED, SwitchedOff};
use crate::source::{FileId, Span};

impl Loader<'_> {
    /// Takes an id for a check.
    pub(super) fn claim(&mut self, id: &str, span: Span) {
        match self.ids.get(id) {
            Some(first) => {
                let place = self.sources.locate(*first);
                self.error(span, format!("the id {} is taken: {place}", quote(id)));
            }
            None => {
                self.ids.insert(id.to_owned(), span);
            }
        }
    }

    pub(super) fn check(&mut self, document: &Document, at: &str, value: &Value, ruleset: Option<&str>) -> Option<Entry> {
        let Some(mapping) = value.as_mapping() else {
            self.error(document.span(at), "a check must be a mapping with an id and the body of a kind");
            return None;
        };
        let schema = body::schema_value::<CheckDoc>();
        let is_common = |key: &str| schema["properties"].get(key).is_some();
        let mut common = Mapping::new();
        let mut bodies: Vec<(&'static Kind, &Value)> = Vec::new();
        let mut unknown = false;
        for (key, value) in mapping {
            let Some(key) = key.as_str() else {
                self.error(document.span(at), "a key must be text: put it in quotes");
                continue;
            };
            if is_common(key) {
                common.insert(key.into(), value.clone());
            } else if let Some(kind) = KINDS.iter().find(|k| k.id == key) {
                bodies.push((kind, value));
            } else {
                unknown = true;
                let known = schema["properties"].as_object().into_iter().flat_map(|p| p.keys().map(String::as_str));
                let near = body::nearest(key, known.chain(KINDS.iter().map(|k| k.id)));
                let advice = match near {
                    Some(near) => format!("; did you mean \"{near}\"?"),
                    None => format!("; kinds: {}", kinds()),
                };
                self.error(document.span(&format!("{at}.{key}:")), format!("unknown key or kind of check {}{advice}", quote(key)));
            }
        }
        let common = self.piece::<CheckDoc>(document, at, &Value::Mapping(common));
        let (kind, body) = match bodies.as_slice() {
            [one] => *one,
            [] => {
                if !unknown {
                    self.error(document.span(&format!("{at}.id")), format!("the check has no body; write that of one kind: {}", kinds()));
                }
                return None;
            }
            [_, (second, _), ..] => {
                self.error(document.span(&format!("{at}.{}:", second.id)), "a check has the body of one kind only: make two checks");
                return None;
            }
        };
        let parsed = (kind.parse)(body, &self.names);
        let check = match parsed {
            Ok(check) => Some(check),
            Err(e) => {
                self.errors_at(document, &join(at, kind.id), vec![e]);
                None
            }
        };
        let common = common?;
        let span = document.span(&format!("{at}.id"));
        if !is_id(&common.id) {
            self.error(span, format!("{} is no id: write words in lower case with - between them", quote(&common.id)));
        }
        for (i, on) in common.on.0.iter().enumerate() {
            if on.starts_with("group:") && !GROUPS.iter().any(|(g, _)| g == on) {
                let message = format!("there is no group {}{}", quote(on), suggestion(on, GROUPS.iter().map(|(g, _)| *g)));
                let path = if mapping.get("on").is_some_and(Value::is_sequence) { format!("{at}.on[{i}]") } else { format!("{at}.on") };
                self.error(document.span(&path), message);
            }
        }
        self.claim(&common.id, span);
        if common.waivable == Some(false) {
            self.out.waivers.refused.insert(common.id.clone());
        }
        let mut check = check?;
        if common.each.is_some_and(|each| !self.each.contains(&each)) {
            return None;
        }
        let mut spec = Spec {
            title: common.title.unwrap_or_else(|| title_of(&common.id)),
            severity: common.severity.unwrap_or(Severity::Medium),
            why: common.why,
            fix: common.fix,
            refs: common.refs.0,
            on: common.on.0,
            span,
            id: common.id,
        };
        // A ruleset asks for a process control, and the baseline answers under the same id.
        if kind.id == attest::ATTEST.id
            && ruleset.is_some()
            && let Some(answer) = self.attested.get_mut(&spec.id)
        {
            answer.used = true;
            check = Box::new(Attest(Some(answer.attestation.clone())));
            spec.span = answer.span;
            spec.title = answer.doc.title.clone().unwrap_or(spec.title);
            spec.severity = answer.doc.severity.unwrap_or(spec.severity);
            spec.refs.extend(answer.doc.refs.0.iter().cloned());
        }
        Some(Entry { spec, kind, check, ruleset: ruleset.map(str::to_owned) })
    }

    pub(super) fn rulesets(&mut self, document: &Document) {
        let (list, one) = match document.value.get("use") {
            None => return,
            Some(Value::Sequence(list)) => (list.clone(), false),
            Some(other) => (vec![other.clone()], true),
        };
        if list.len() > RULESETS {
            return self.error(document.span("use"), format!("more than {RULESETS} rulesets"));
        }
        let mut seen: Vec<&str> = Vec::new();
        for (i, value) in list.iter().enumerate() {
            let span = document.span(&if one { "use".to_owned() } else { format!("use[{i}]") });
            let Some(name) = value.as_str() else {
                self.error(span, "a ruleset must be the name of a shipped one or a path");
                continue;
            };
            if seen.contains(&name) {
                self.error(span, format!("{} is used twice", quote(name)));
                continue;
            }
            seen.push(name);
            if let Some(shipped) = SHIPPED.iter().find(|s| s.id == name) {
                let id = self.sources.add(format!("fwproof:rulesets/{}.yaml", shipped.id), shipped.text.as_bytes());
                self.ruleset(id, span);
            } else if name.contains(['/', '.']) {
                if let Some(id) = self.open(name, span, self.limits.baseline_bytes) {
                    self.ruleset(id, span);
                }
            } else {
                let advice = suggestion(name, SHIPPED.iter().map(|s| s.id));
                self.error(span, format!("there is no shipped ruleset {}{advice} (a path has a / or a . in it)", quote(name)));
            }
        }
    }

    fn ruleset(&mut self, id: FileId, used: Span) {
        let Some(document) = self.read_document(id) else { return };
        if !self.top::<RulesetDoc>(&document) {
            return;
        }
        let name = match document.value.get("ruleset") {
            Some(Value::String(name)) if is_id(name) => name.clone(),
            Some(_) => return self.error(document.span("ruleset"), "the id of a ruleset is words in lower case with - between them"),
            None => return,
        };
        if let Some(needs) = document.value.get("needs") {
            let Some(needs) = self.piece::<NeedsDoc>(&document, "needs", needs) else { return };
            let mut wanting = false;
            for (zone, what) in needs
                .zones
                .iter()
                .filter(|(zone, _)| !self.names.zones.contains(*zone))
                .map(|(z, w)| (z.clone(), w.clone()))
                .collect::<Vec<_>>()
            {
                wanting = true;
                self.error(used, format!("{name} needs a zone {}: add it under `zones:` ({what})", quote(&zone)));
            }
            if needs.workers && self.out.workers.is_none() {
                wanting = true;
                self.error(
                    used,
                    format!("{name} needs to know who works remotely: add `workers: {{ roster: staff.csv }}` under `estate:`"),
                );
            }
            if needs.sites && self.out.sites.is_empty() {
                wanting = true;
                let message = "needs to know which offices there are: add `sites: { head-office: { firewalls: 1 } }` under `estate:`";
                self.error(used, format!("{name} {message}"));
            }
            if wanting {
                return;
            }
        }
        for (i, value) in self.items(&document, "checks").iter().enumerate() {
            // Two rulesets may want the same thing: a check that is the same word for word is one check, of the ruleset named first.
            let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
            match self.of_rulesets.get(id) {
                Some(first) if first == value => continue,
                Some(_) => {}
                None => {
                    self.of_rulesets.insert(id.to_owned(), value.clone());
                }
            }
            if let Some(entry) = self.check(&document, &format!("checks[{i}]"), value, Some(&name)) {
                self.out.checks.push(entry);
            }
        }
    }

    pub(super) fn adjust(&mut self, document: &Document) {
        for (id, value) in self.entries(document, "adjust") {
            let at = format!("adjust.{id}");
            let span = document.span(&format!("{at}:"));
            let Some(doc) = self.piece::<AdjustDoc>(document, &at, &value) else { continue };
            let Some(index) = self.out.checks.iter().position(|e| e.spec.id == id && e.ruleset.is_some()) else {
                if self.out.checks.iter().any(|e| e.spec.id == id) || self.attested.contains_key(&id) {
                    self.error(span, format!("{} is this baseline's own: change it where it is written", quote(&id)));
                } else {
                    let known = self.out.checks.iter().filter(|e| e.ruleset.is_some()).map(|e| e.spec.id.as_str());
                    let advice = body::nearest(&id, known).map(|n| format!("; did you mean \"{n}\"?")).unwrap_or_default();
                    self.error(span, format!("no ruleset in use has a check {}{advice}", quote(&id)));
                }
                continue;
            };
            match doc.waivable {
                Some(true) => {
                    self.out.waivers.refused.remove(&id);
                }
                Some(false) => {
                    self.out.waivers.refused.insert(id.clone());
                }
                None => {}
            }
            match (doc.severity, doc.off) {
                (Some(severity), None) => self.out.checks[index].spec.severity = severity,
                (None, Some(reason)) if !reason.trim().is_empty() => {
                    let entry = self.out.checks.remove(index);
                    self.out.switched_off.push(SwitchedOff { id, ruleset: entry.ruleset.unwrap_or_default(), reason, span });
                }
                (None, Some(_)) => self.error(span, "say why it is off"),
                (Some(_), Some(_)) => self.error(span, "either another severity or off, not both"),
                (None, None) if doc.waivable.is_some() => {}
                (None, None) => self.error(span, "write `severity: …`, or `off: \"the reason\"`"),
            }
        }
    }
}

fn kinds() -> String {
    KINDS.iter().map(|k| k.id).collect::<Vec<_>>().join(", ")
}
