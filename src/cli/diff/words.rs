//! The comparison as text, JSON and markdown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Totals;
use super::judge::{FactItem, Item, Judged, RuleAt};
use crate::eval::compare::{Side, Turn};
use crate::report::{Untrusted, counted, markdown};

/// Boxes of one change that the text form lists.
const BOXES: usize = 8;

fn what(turn: Turn) -> &'static str {
    match turn {
        Turn::Allowed => "newly allowed",
        Turn::Denied => "newly denied",
        Turn::Translated => "translated otherwise",
    }
}

fn version(side: Side) -> &'static str {
    match side {
        Side::Old => "old",
        Side::New => "new",
    }
}

fn sign(side: Side) -> char {
    match side {
        Side::Old => '-',
        Side::New => '+',
    }
}

/// `, as meant (intent.yaml:4)`.
fn meant(of: Option<usize>, places: &[String]) -> String {
    of.and_then(|i| places.get(i)).map_or_else(String::new, |at| format!(", as meant ({})", Untrusted(at)))
}

/// A device as text. `intents`: where the entries of the intent are written.
pub(super) fn text(judged: &Judged, intents: &[String]) -> String {
    let name = Untrusted(&judged.name);
    if let Some(side) = judged.only {
        return format!("{name}: only in the {} version{}\n", version(side), meant(judged.only_meant, intents));
    }
    let mut out = match () {
        () if judged.is_equal() => format!("{name}: equal: no packet is treated differently\n"),
        () if !judged.has_filter => format!("{name}: has no packet filter\n"),
        () if judged.changes.is_empty() && judged.limits.is_empty() => {
            format!("{name}: no packet is known to be treated differently\n")
        }
        () => format!("{name}\n"),
    };
    for item in &judged.changes {
        change(&mut out, item, intents);
    }
    for unknown in &judged.unknown {
        let _ = writeln!(out, "  {} {}: not known: {}", unknown.family.name(), unknown.way.name(), Untrusted(&unknown.why));
    }
    for fact in &judged.facts {
        let at = fact.at.as_ref().map_or_else(String::new, |a| format!(" ({})", Untrusted(a)));
        let meant = meant(fact.meant, intents);
        let _ = writeln!(out, "  {} {}: {}{at}{meant}", sign(fact.side), fact.area.name(), Untrusted(&fact.text));
    }
    out
}

fn change(out: &mut String, item: &Item, intents: &[String]) {
    let perhaps = if item.certain { "" } else { ", perhaps" };
    let meant = meant(item.meant, intents);
    let _ = writeln!(out, "  {}{perhaps}: {} {}{meant}", what(item.turn), item.family.name(), item.way.name());
    for text in item.shown.iter().take(BOXES) {
        let _ = writeln!(out, "    {}", Untrusted(text));
    }
    if item.shown.len() > BOXES {
        let _ = writeln!(out, "    and {} (--json has all)", counted(item.shown.len() - BOXES, "more box", "more boxes"));
    }
    for condition in &item.conditions {
        let _ = writeln!(out, "      depending on: {}", Untrusted(condition));
    }
    if let Some((words, _)) = &item.packet {
        let _ = writeln!(out, "      for instance {}", Untrusted(words));
    }
    for (word, rule) in [("before", &item.before), ("now", &item.now)] {
        let Some(RuleAt { words, at }) = rule else {
            let _ = writeln!(out, "      {word}: goes another way");
            continue;
        };
        let at = at.as_ref().map_or_else(String::new, |a| format!(" ({})", Untrusted(a)));
        let _ = writeln!(out, "      {word}: {}{at}", Untrusted(words));
    }
    for cause in &item.because {
        let _ = writeln!(out, "      {} {}  {}", sign(cause.side), Untrusted(&cause.at), Untrusted(&cause.text));
    }
}

/// A device as JSON, one object a line. `intents`: where the entries of the intent are written; `None`: there is none.
pub(super) fn json(judged: &Judged, intents: Option<&[String]>) -> String {
    let mut lines: Vec<Value> = Vec::new();
    let with = |mut object: Value, of: Option<usize>| {
        if let Some(places) = intents {
            object["meant"] = of.and_then(|i| places.get(i)).map_or(Value::Null, |at| json!(at));
        }
        object
    };
    if let Some(side) = judged.only {
        lines.push(with(json!({ "device": judged.name, "only": version(side) }), judged.only_meant));
    }
    if judged.is_equal() {
        lines.push(json!({ "device": judged.name, "equal": true }));
    }
    for item in &judged.changes {
        let rule = |r: &Option<RuleAt>| r.as_ref().map(|r| json!({ "rule": r.words, "at": r.at }));
        let because: Vec<Value> = item.because.iter().map(|c| json!({ "version": version(c.side), "at": c.at })).collect();
        let object = json!({
            "device": judged.name, "hook": item.way.name(), "family": item.family.name(), "change": item.turn.name(), "certain": item.certain,
            "boxes": item.boxes, "packet": item.packet.as_ref().map(|p| &p.1),
            "before": rule(&item.before), "now": rule(&item.now), "because": because,
        });
        lines.push(with(object, item.meant));
    }
    for unknown in &judged.unknown {
        lines.push(json!({
            "device": judged.name, "hook": unknown.way.name(), "family": unknown.family.name(), "unknown": unknown.why,
        }));
    }
    for fact in &judged.facts {
        let object = json!({
            "device": judged.name, "area": fact.area.name(), "fact": fact.text, "version": version(fact.side), "at": fact.at,
        });
        lines.push(with(object, fact.meant));
    }
    lines.iter().map(|l| format!("{}\n", crate::report::json::safe(&l.to_string()))).collect()
}

/// Characters of a comment, with room for what a script adds: GitHub refuses more than 65,536.
const MOST: usize = 60_000;
/// Boxes of one change in it.
const FEW: usize = 4;

/// All devices as markdown for a comment on a pull request: what is not meant first, and of it what is newly allowed.
pub(super) fn markdown(all: &[Judged], totals: &Totals, intents: &[String], unused: &[String]) -> String {
    let mut out = String::from("<!-- fwproof diff -->\n");
    let _ = writeln!(out, "## fwproof: {}\n\n{}.\n", totals.verdict(), totals.counts());
    let mut items: Vec<(&Judged, &Item)> = all.iter().flat_map(|j| j.changes.iter().map(move |c| (j, c))).collect();
    items.sort_by_key(|(_, c)| (c.meant.is_some(), c.turn, !c.certain));
    let mut used = out.chars().count();
    let mut left = 0;
    let mut put = |out: &mut String, text: String| {
        let n = text.chars().count();
        if left > 0 || used + n > MOST {
            left += 1;
            return;
        }
        used += n;
        out.push_str(&text);
    };
    for judged in all.iter().filter(|j| j.only.is_some()) {
        let side = judged.only.map_or("", version);
        put(
            &mut out,
            format!("- {} is only in the {side} version{}\n\n", escaped(&judged.name), escaped(&meant(judged.only_meant, intents))),
        );
    }
    for (judged, item) in items {
        put(&mut out, change_markdown(judged, item, intents));
    }
    for judged in all.iter().filter(|j| !j.facts.is_empty()) {
        let mut text =
            format!("<details><summary>{}: what else differs</summary>\n\n", markdown::html(&Untrusted(&judged.name).to_string()));
        let (unmeant, rest): (Vec<&FactItem>, Vec<&FactItem>) = judged.facts.iter().partition(|f| f.meant.is_none());
        let rows = unmeant.into_iter().chain(rest);
        let lines: Vec<String> = rows.take(100).map(|f| format!("{} {}: {}", sign(f.side), f.area.name(), Untrusted(&f.text))).collect();
        let more = judged.facts.len() - lines.len();
        text.push_str(&markdown::fenced_as("diff", &lines.join("\n")));
        if more > 0 {
            let _ = write!(text, "\n\nand {more} more");
        }
        text.push_str("\n\n</details>\n\n");
        put(&mut out, text);
    }
    for judged in all {
        for unknown in &judged.unknown {
            let (family, way) = (unknown.family.name(), unknown.way.name());
            put(&mut out, format!("- {}: {family} {way} is not known: {}\n", escaped(&judged.name), escaped(&unknown.why)));
        }
        for limit in &judged.limits {
            put(&mut out, format!("- not compared: {}\n", escaped(limit)));
        }
    }
    let equal: Vec<String> = all.iter().filter(|j| j.is_equal()).map(|j| escaped(&j.name)).collect();
    if !equal.is_empty() {
        let more = if equal.len() > 50 { format!(" and {} more", equal.len() - 50) } else { String::new() };
        put(&mut out, format!("\nProved equal, whatever the text says: {}{more}.\n", equal[..equal.len().min(50)].join(", ")));
    }
    for at in unused.iter().take(50) {
        put(&mut out, format!("- what {} means did not happen\n", escaped(at)));
    }
    if left > 0 {
        let _ = writeln!(out, "\n… and {}: `fwproof diff --json` has all.", counted(left, "more difference", "more differences"));
    }
    out
}

fn escaped(text: &str) -> String {
    markdown::escape(&Untrusted(text).to_string())
}

fn change_markdown(judged: &Judged, item: &Item, intents: &[String]) -> String {
    let mut out = String::new();
    let perhaps = if item.certain { "" } else { ", perhaps" };
    let html = |text: &str| markdown::html(&Untrusted(text).to_string());
    let open = if item.meant.is_none() && item.turn == Turn::Allowed { " open" } else { "" };
    let first = item.shown.first().map_or("", String::as_str);
    let meant = meant(item.meant, intents);
    let _ = writeln!(
        out,
        "<details{open}><summary><b>{}{perhaps}</b> on {} ({} {}): {}{}</summary>\n",
        what(item.turn),
        html(&judged.name),
        item.family.name(),
        item.way.name(),
        html(first),
        html(&meant)
    );
    for text in item.shown.iter().skip(1).take(FEW) {
        let _ = writeln!(out, "- {}", escaped(text));
    }
    if item.shown.len() > FEW + 1 {
        let _ = writeln!(out, "- and {}", counted(item.shown.len() - FEW - 1, "more box", "more boxes"));
    }
    for condition in &item.conditions {
        let _ = writeln!(out, "- depending on: {}", escaped(condition));
    }
    if let Some((words, _)) = &item.packet {
        let _ = writeln!(out, "- for instance {}", escaped(words));
    }
    for (word, rule) in [("before", &item.before), ("now", &item.now)] {
        let text = match rule {
            Some(RuleAt { words, at }) => {
                let at = at.as_ref().map_or_else(String::new, |a| format!(" ({})", markdown::code(&Untrusted(a).to_string())));
                format!("{}{at}", escaped(words))
            }
            None => "goes another way".to_owned(),
        };
        let _ = writeln!(out, "- {word}: {text}");
    }
    if !item.because.is_empty() {
        let lines: Vec<String> =
            item.because.iter().map(|c| format!("{} {}  {}", sign(c.side), Untrusted(&c.at), Untrusted(&c.text))).collect();
        let _ = writeln!(out, "\n{}", markdown::fenced_as("diff", &lines.join("\n")));
    }
    out.push_str("\n</details>\n\n");
    out
}
