//! Who allowed it: `probe.yaml`, with the targets, the person, the last day and the rate.

use std::net::IpAddr;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use super::targets::Target;
use crate::checks::body::{self, OneOrMany, quote};
use crate::checks::dates;
use crate::net::{Family, Ranges, parse_cidr, to_number};
use crate::rulesets::BaselineError;
use crate::rulesets::yaml::Document;
use crate::source::{Encoding, SourceFile, Span};

/// What may be written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuthorityDoc {
    /// Version of this language: 1.
    fwproof: u32,
    /// Who allowed it.
    authorised_by: String,
    /// The last day on which it is allowed: `2026-12-31`.
    until: String,
    /// Packets a second at most.
    rate: Option<u64>,
    /// Addresses, prefixes, ranges, names.
    targets: OneOrMany<String>,
    /// What must never be asked, though `targets` holds it.
    #[serde(default)]
    exclude: OneOrMany<String>,
}

/// Packets a second where the file says nothing.
pub const USUAL_RATE: u64 = 1000;

/// An authorisation.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Who allowed it.
    pub by: String,
    /// The last day.
    pub until: Date,
    /// Packets a second at most.
    pub rate: u64,
    v4: Ranges,
    v6: Ranges,
    names: Vec<String>,
    /// What must never be asked.
    pub exclude: Vec<Target>,
}

impl Authority {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(file: &SourceFile) -> Result<Authority, Vec<BaselineError>> {
        let error =
            |span: Span, message: String| BaselineError { path: file.path.clone(), place: Some((file.place(span.start), span)), message };
        if matches!(file.encoding, Encoding::Binary | Encoding::Damaged) {
            return Err(vec![error(Span::new(file.id, 0, 0), "the file is not text (UTF-8, or UTF-16 with a byte-order mark)".into())]);
        }
        let document =
            Document::read(file).map_err(|problems| problems.into_iter().map(|p| error(p.span, p.message)).collect::<Vec<_>>())?;
        let problems = body::problems(&document.value, &body::schema_value::<AuthorityDoc>());
        if !problems.is_empty() {
            return Err(problems.into_iter().map(|p| error(document.span(&p.path), p.message)).collect());
        }
        let doc: AuthorityDoc =
            serde_yaml::from_value(document.value.clone()).map_err(|e| vec![error(document.span(""), e.to_string())])?;
        let mut errors = Vec::new();
        if doc.fwproof != 1 {
            errors.push(error(document.span("fwproof"), "this program reads version 1 of the language: write `fwproof: 1`".into()));
        }
        if doc.authorised_by.trim().is_empty() {
            errors.push(error(document.span("authorised_by"), "it must say who allowed it".into()));
        }
        if doc.rate == Some(0) {
            errors.push(error(document.span("rate"), "the rate must be at least one packet a second".into()));
        }
        let until = dates::date(&doc.until);
        if until.is_none() {
            errors.push(error(document.span("until"), format!("{} is no date: write it as 2026-12-31", quote(&doc.until))));
        }
        let (mut v4, mut v6, mut names, mut exclude) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let at = |list: &OneOrMany<String>, key: &str, i: usize| {
            document.span(&if list.0.len() == 1 { key.to_owned() } else { format!("{key}[{i}]") })
        };
        for (i, text) in doc.targets.0.iter().enumerate() {
            // Whole networks may be allowed, though not all of them are ever asked.
            let read = match parse_cidr(text) {
                Some((family, lo, hi)) => Ok(Target::Addresses(family, lo, hi)),
                None => Target::read(text),
            };
            match read {
                Ok(Target::Addresses(Family::V4, lo, hi)) => v4.push((lo, hi)),
                Ok(Target::Addresses(Family::V6, lo, hi)) => v6.push((lo, hi)),
                Ok(Target::Name(name)) => names.push(name.to_lowercase()),
                Err(why) => errors.push(error(at(&doc.targets, "targets", i), why)),
            }
        }
        for (i, text) in doc.exclude.0.iter().enumerate() {
            let read = match parse_cidr(text) {
                Some((family, lo, hi)) => Ok(Target::Addresses(family, lo, hi)),
                None => Target::read(text),
            };
            match read {
                Ok(target) => exclude.push(target),
                Err(why) => errors.push(error(at(&doc.exclude, "exclude", i), why)),
            }
        }
        match until {
            Some(until) if errors.is_empty() => Ok(Authority {
                by: doc.authorised_by.trim().to_owned(),
                until,
                rate: doc.rate.unwrap_or(USUAL_RATE),
                v4: Ranges::from_intervals(v4),
                v6: Ranges::from_intervals(v6),
                names,
                exclude,
            }),
            _ => Err(errors),
        }
    }

    /// Whether an address may be asked that was named so, or by itself.
    pub fn allows(&self, address: IpAddr, name: Option<&str>) -> bool {
        let (family, n) = to_number(address);
        let set = if family == Family::V4 { &self.v4 } else { &self.v6 };
        set.contains(n) || name.is_some_and(|n| self.names.contains(&n.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn read(text: &str) -> Result<Authority, Vec<String>> {
        Authority::read(&SourceFile::from_text(FileId(0), "probe.yaml", text)).map_err(|e| e.iter().map(ToString::to_string).collect())
    }

    const GOOD: &str =
        "fwproof: 1\nauthorised_by: J. Doe\nuntil: 2026-12-31\nrate: 500\ntargets: [192.0.2.0/24, \"2001:db8::/64\", www.example.org]\n";

    #[test]
    fn an_authorisation_allows_what_it_names() {
        let a = read(GOOD).unwrap();
        assert_eq!((a.by.as_str(), a.rate), ("J. Doe", 500));
        for (address, name, may) in [
            ("192.0.2.9", None, true),
            ("192.0.3.9", None, false),
            ("2001:db8::5", None, true),
            ("203.0.113.1", Some("WWW.example.org"), true),
            ("203.0.113.1", Some("example.org"), false),
        ] {
            assert_eq!(a.allows(address.parse().unwrap(), name), may, "{address} {name:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |from: &str, to: &str| read(&GOOD.replace(from, to)).unwrap_err().join("\n");
        assert!(wrong("2026-12-31", "soon").starts_with("probe.yaml:3:8: "));
        assert!(wrong("192.0.2.0/24", "192.0.2.300").contains("probe.yaml:5:"));
        assert!(wrong("rate: 500", "rate: 0").contains("probe.yaml:4:7"));
        assert!(wrong("authorised_by: J. Doe", "authorised_by: ' '").contains("who allowed it"));
        assert!(wrong("rate", "rats").contains("rats"));
        assert!(read("").is_err() && read("a: [").is_err() && read("- x").is_err());
    }
}
