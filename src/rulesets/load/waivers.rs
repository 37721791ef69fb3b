//! Accepted findings, and what holds for them.

use serde_yaml::Value;

use super::Loader;
use crate::checks::body::quote;
use crate::checks::dates::{self, Duration};
use crate::rulesets::doc::{WaiverDoc, WaiversDoc, WaiversFullDoc};
use crate::rulesets::known::is_fingerprint;
use crate::rulesets::waivers::{Waiver, WaiverFile};
use crate::rulesets::yaml::Document;
use crate::source::FileId;

impl Loader<'_> {
    pub(super) fn waivers(&mut self, document: &Document) {
        let (name, at) = match document.value.get("waivers") {
            None => return,
            Some(Value::String(name)) => (Some(name.clone()), "waivers"),
            Some(value @ Value::Mapping(_)) => {
                let Some(doc) = self.piece::<WaiversFullDoc>(document, "waivers", value) else { return };
                self.out.waivers.in_configurations = doc.in_configurations;
                if let Some(text) = &doc.at_most {
                    self.out.waivers.at_most_days = Duration::parse(text).and_then(Duration::days);
                    if self.out.waivers.at_most_days.is_none() {
                        let message = format!("{} is no length of time in days or weeks: write 90 days", quote(text));
                        self.error(document.span("waivers.at_most"), message);
                    }
                }
                (doc.file, "waivers.file")
            }
            Some(_) => return self.error(document.span("waivers"), "waivers must be the path of a file, or a mapping"),
        };
        let Some(name) = name else { return };
        let Some(id) = self.open(&name, document.span(at), self.limits.baseline_bytes) else { return };
        self.out.waivers.file = Some(WaiverFile { name, id });
        self.waiver_file(id);
    }

    /// The waivers of a file.
    pub(in crate::rulesets) fn waiver_file(&mut self, id: FileId) {
        let Some(document) = self.read_document(id) else { return };
        if !self.top::<WaiversDoc>(&document) {
            return;
        }
        for (i, value) in self.items(&document, "waivers").iter().enumerate() {
            let at = format!("waivers[{i}]");
            let Some(doc) = self.piece::<WaiverDoc>(&document, &at, value) else { continue };
            for (key, text) in [("reason", &doc.reason), ("owner", &doc.owner)] {
                if text.trim().is_empty() {
                    self.error(document.span(&format!("{at}.{key}")), format!("{key} is empty"));
                }
            }
            if let Some(print) = doc.fingerprint.as_ref().filter(|p| !is_fingerprint(p)) {
                let message = format!("{} is no fingerprint: 16 hexadecimal digits in quotes, as reports have them", quote(print));
                self.error(document.span(&format!("{at}.fingerprint")), message);
            }
            let span = document.span(&format!("{at}.check"));
            if self.out.waivers.refused.contains(&doc.check) {
                self.error(span, format!("findings of {} cannot be waived (`waivable: false`)", quote(&doc.check)));
            }
            let Some(expires) = dates::date(&doc.expires) else {
                let message = format!("{} is no date: write it as 2026-12-31", quote(&doc.expires));
                self.error(document.span(&format!("{at}.expires")), message);
                continue;
            };
            self.out.waivers.list.push(Waiver {
                check: doc.check,
                fingerprint: doc.fingerprint,
                device: doc.device,
                subject: doc.subject,
                within: None,
                reason: doc.reason,
                owner: doc.owner,
                ticket: doc.ticket,
                expires,
                span,
            });
        }
    }
}
