//! `fwproof explain`: what a check or kind means.

use std::fmt::Write as _;

use colored::Colorize as _;
use serde_yaml::Value;

use super::output::Output;
use super::{Failure, Outcome};
use crate::checks::body::suggestion;
use crate::checks::{KINDS, kind};
use crate::rulesets::SHIPPED;

/// Says what a check of the shipped rulesets or a kind of check means, why it matters, and how to fix it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Id of a check or kind; without it, all are listed
    id: Option<String>,
}

/// A check of a shipped ruleset.
struct Entry {
    ruleset: &'static str,
    id: String,
    check: Value,
}

impl Entry {
    fn text(&self, key: &str) -> &str {
        self.check.get(key).and_then(Value::as_str).unwrap_or("").trim()
    }
}

fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    for ruleset in SHIPPED {
        let Ok(doc) = serde_yaml::from_str::<Value>(ruleset.text) else { continue };
        for check in doc.get("checks").and_then(Value::as_sequence).into_iter().flatten() {
            if let Some(id) = check.get("id").and_then(Value::as_str) {
                entries.push(Entry { ruleset: ruleset.id, id: id.to_owned(), check: check.clone() });
            }
        }
    }
    entries
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let entries = entries();
    let mut text = String::new();
    let Some(id) = args.id.as_deref() else {
        for ruleset in SHIPPED {
            let _ = writeln!(text, "{}", ruleset.id.bold());
            for entry in entries.iter().filter(|e| e.ruleset == ruleset.id) {
                let _ = writeln!(text, "  {:<44} {}", entry.id, entry.text("title"));
            }
        }
        let kinds: Vec<&str> = KINDS.iter().map(|k| k.id).collect();
        let _ = writeln!(text, "{}\n  {}", "kinds of checks".bold(), kinds.join(", "));
        out.write(&text);
        return Ok(0);
    };
    if let Some(entry) = entries.iter().find(|e| e.id == id) {
        let _ = writeln!(text, "{} ({}, ruleset {})", entry.id.bold(), entry.text("severity"), entry.ruleset);
        for (name, key) in [("must hold", "title"), ("why", "why"), ("fix", "fix")] {
            if !entry.text(key).is_empty() {
                let _ = writeln!(text, "\n{}\n  {}", name.bold(), entry.text(key).replace('\n', "\n  "));
            }
        }
        let refs: Vec<&str> =
            entry.check.get("refs").and_then(Value::as_sequence).into_iter().flatten().filter_map(Value::as_str).collect();
        if !refs.is_empty() {
            let _ = writeln!(text, "\n{}\n  {}", "answers".bold(), refs.join(", "));
        }
        let known = entry.check.as_mapping().into_iter().flatten().filter_map(|(k, _)| k.as_str()).find_map(kind);
        if let Some(kind) = known {
            let _ = writeln!(text, "\nIt is a check of the kind {0}: `fwproof explain {0}`.", kind.id);
        }
    } else if let Some(kind) = kind(id) {
        text.push_str(kind.page.trim_end());
        text.push('\n');
    } else {
        let ids = entries.iter().map(|e| e.id.as_str()).chain(KINDS.iter().map(|k| k.id));
        let hint = suggestion(id, ids.collect::<Vec<_>>());
        return Err(Failure::usage(format!("there is no check or kind {id} (`fwproof explain` lists them){hint}")));
    }
    out.write(&text);
    Ok(0)
}
