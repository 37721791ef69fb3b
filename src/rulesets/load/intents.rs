//! Changes that are meant: `allow-change:` of a baseline, or of a file of its own.

use std::path::Path;

use super::Loader;
use crate::checks::body::{quote, suggestion};
use crate::checks::services::{built_in_services, service_ports};
use crate::checks::{BodyError, Service};
use crate::eval::Way;
use crate::eval::compare::Turn;
use crate::eval::facts::Area;
use crate::net::{Ranges, parse_cidr};
use crate::rulesets::doc::{AboutDoc, AllowChangeDoc, DirectionDoc, HookDoc, IntentsDoc};
use crate::rulesets::intent::{End, Intent};
use crate::rulesets::yaml::Document;
use crate::rulesets::{Baseline, BaselineError, files};
use crate::source::{Limits, Sources};

/// Entries at most.
const MOST: usize = 1000;

/// Reads a file of changes that are meant. Zones and services are those of `baseline`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_intents(
    sources: &mut Sources,
    path: &Path,
    baseline: Option<&Baseline>,
    limits: &Limits,
) -> Result<Vec<Intent>, Vec<BaselineError>> {
    let shown = files::display(path);
    let bytes = files::read(path, limits.baseline_bytes)
        .map_err(|message| vec![BaselineError { path: shown.clone(), place: None, message: message.to_string() }])?;
    let id = sources.add(shown, &bytes);
    let mut loader = Loader::new(sources, limits, None);
    loader.out.services = baseline.map_or_else(built_in_services, |b| b.services.clone());
    loader.out.zones = baseline.map(|b| b.zones.clone()).unwrap_or_default();
    if let Some(document) = loader.read_document(id)
        && loader.top::<IntentsDoc>(&document)
    {
        loader.intents(&document);
    }
    loader.finish().map(|b| b.intents)
}

impl Loader<'_> {
    pub(super) fn intents(&mut self, document: &Document) {
        let list = self.items(document, "allow-change");
        if list.len() > MOST {
            return self.error(document.span("allow-change"), format!("more than {MOST} entries"));
        }
        for (i, value) in list.iter().enumerate() {
            let at = format!("allow-change[{i}]");
            let Some(doc) = self.piece::<AllowChangeDoc>(document, &at, value) else { continue };
            let many = |key: &str| value.get(key).is_some_and(serde_yaml::Value::is_sequence);
            let mut errors = Vec::new();
            let path = |key: &str, i: usize| if many(key) { format!("{key}[{i}]") } else { key.to_owned() };
            let from = self.ends(&doc.from.0, |i| path("from", i), &mut errors);
            let to = self.ends(&doc.to.0, |i| path("to", i), &mut errors);
            let services = self.services_named(&doc.service.0, |i| path("service", i), &mut errors);
            let flow = !(doc.from.0.is_empty() && doc.to.0.is_empty() && doc.service.0.is_empty() && doc.hook.0.is_empty());
            if flow && doc.direction.0.is_empty() {
                let message = "say what may become of these packets: `direction: allow`, `deny` or `translate`".to_owned();
                errors.push(BodyError { path: String::new(), message });
            }
            if !flow && doc.direction.0.is_empty() && doc.about.0.is_empty() {
                let message = "an entry says which packets may be treated otherwise (`direction: allow`, with `from`, `to`, `service`), or `about` what";
                errors.push(BodyError { path: String::new(), message: message.to_owned() });
            }
            if !errors.is_empty() {
                self.errors_at(document, &at, errors);
                continue;
            }
            let areas = doc.about.0.iter().filter_map(|a| match a {
                AboutDoc::Tunnels => Some(Area::Tunnels),
                AboutDoc::Crypto => Some(Area::Crypto),
                AboutDoc::Management => Some(Area::Management),
                AboutDoc::Logging => Some(Area::Logging),
                AboutDoc::Nat => Some(Area::Nat),
                AboutDoc::Network => Some(Area::Network),
                AboutDoc::Settings => Some(Area::Settings),
                AboutDoc::Devices => None,
            });
            let turn = |d: &DirectionDoc| match d {
                DirectionDoc::Allow => Turn::Allowed,
                DirectionDoc::Deny => Turn::Denied,
                DirectionDoc::Translate => Turn::Translated,
            };
            let way = |h: &HookDoc| match h {
                HookDoc::Input => Way::Input,
                HookDoc::Forward => Way::Forward,
                HookDoc::Output => Way::Output,
            };
            self.out.intents.push(Intent {
                from,
                to,
                services,
                areas: areas.collect(),
                devices: doc.about.0.contains(&AboutDoc::Devices),
                hooks: doc.hook.0.iter().map(way).collect(),
                turns: doc.direction.0.iter().map(turn).collect(),
                device: doc.device,
                span: document.span(&at),
            });
        }
    }

    fn ends(&self, names: &[String], path: impl Fn(usize) -> String, errors: &mut Vec<BodyError>) -> Vec<End> {
        let mut out = Vec::new();
        // Anywhere is said by no end at all.
        if names.iter().any(|n| n == "any") {
            return out;
        }
        for (i, name) in names.iter().enumerate() {
            if name == "firewall" {
                out.push(End::Firewall);
            } else if let Some(zone) = self.out.zones.iter().find(|z| z.name == *name) {
                out.push(End::Zone(Box::new(zone.clone())));
            } else if let Some((family, lo, hi)) = parse_cidr(name) {
                out.push(End::Addresses(family, Ranges::interval(lo, hi)));
            } else {
                let hint = suggestion(name, self.out.zones.iter().map(|z| z.name.as_str()));
                let message = format!("{} is no zone of the baseline, no address and no prefix{hint}", quote(name));
                errors.push(BodyError { path: path(i), message });
            }
        }
        out
    }

    fn services_named(&self, names: &[String], path: impl Fn(usize) -> String, errors: &mut Vec<BodyError>) -> Vec<Service> {
        let mut out = Vec::new();
        if names.iter().any(|n| n == "any") {
            return out;
        }
        for (i, name) in names.iter().enumerate() {
            if let Some(service) = self.out.services.get(name) {
                out.push(service.clone());
                continue;
            }
            match service_ports(name) {
                Ok(ports) => out.push(Service { name: name.clone(), ports: vec![ports], encrypted: None, span: None }),
                Err(why) => {
                    let hint = suggestion(name, self.out.services.keys().map(String::as_str));
                    errors.push(BodyError { path: path(i), message: format!("{}: {why}{hint}", quote(name)) });
                }
            }
        }
        out
    }

    /// What was read, or what is wrong with it.
    pub(in crate::rulesets) fn finish(mut self) -> Result<Baseline, Vec<BaselineError>> {
        if self.errors.is_empty() {
            return Ok(self.out);
        }
        self.errors.sort_by_key(|e| e.place.map(|(_, span)| span));
        self.errors.dedup();
        Err(self.errors)
    }
}
