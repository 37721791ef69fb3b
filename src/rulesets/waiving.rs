//! Adding a waiver to a file that people keep: their comments and their order stay as they are.

use std::fmt::Write as _;

use jiff::civil::Date;

use super::load::Loader;
use super::waivers::Waiver;
use super::yaml::quoted;
use crate::source::{Limits, Sources};

/// What is to be accepted.
#[derive(Clone, Debug)]
pub struct NewWaiver {
    /// Id of the check.
    pub check: String,
    /// The finding.
    pub fingerprint: String,
    /// Its device.
    pub device: Option<String>,
    /// Why.
    pub reason: String,
    /// Who accepts it.
    pub owner: String,
    /// Where it was decided.
    pub ticket: Option<String>,
    /// The last day.
    pub expires: Date,
    /// What the finding says, for people: a comment.
    pub about: String,
}

/// The text of a file of waivers with one more at its end. Everything else stays as it is, byte for byte.
///
/// # Errors
/// Why it cannot be done: the file is written in a way into which nothing can be put (`waivers: [...]` on one line), or is not valid.
pub fn add_waiver(text: &str, new: &NewWaiver) -> Result<String, String> {
    let before = read(text)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let key = lines.iter().position(|l| l.starts_with("waivers:")).ok_or("there is no line `waivers:`")?;
    let (first, rest) = lines[key].split_at("waivers:".len());
    let value = rest.split(" #").next().unwrap_or("").trim();
    let (indent, at, head) = match value {
        "" | "[]" if before.is_empty() => {
            let comment = rest.find(" #").map_or("", |i| &rest[i..]).trim_end();
            (2, key + 1, Some(format!("{first}{comment}{newline}")))
        }
        "" => {
            let dash = lines[key + 1..].iter().find(|l| l.trim_start().starts_with("- ")).ok_or("there is no waiver after `waivers:`")?;
            let indent = dash.len() - dash.trim_start().len();
            // The list ends where another key begins; what stands between its last line and that key belongs to the key.
            let is_key = |l: &&str| !l.starts_with([' ', '\t', '#', '-', '\r', '\n']);
            let end = lines[key + 1..].iter().position(is_key).map_or(lines.len(), |i| key + 1 + i);
            let is_content = |l: &&str| !l.trim().is_empty() && !l.trim_start().starts_with('#');
            let last = lines[..end].iter().rposition(is_content).unwrap_or(key);
            (indent, last + 1, None)
        }
        _ => return Err("`waivers:` has its list on the same line: write each waiver on lines of its own".into()),
    };
    let mut out = String::new();
    for (i, line) in lines[..at].iter().enumerate() {
        out.push_str(if i == key { head.as_deref().unwrap_or(line) } else { line });
    }
    if !out.ends_with('\n') {
        out.push_str(newline);
    }
    let pad = " ".repeat(indent);
    let about: String = quoted(&new.about).chars().take(160).collect();
    let mut item = vec![format!("# {}", about.trim_matches('"')), format!("check: {}", new.check)];
    item.push(format!("fingerprint: {}", quoted(&new.fingerprint)));
    item.extend(new.device.as_ref().map(|d| format!("device: {}", quoted(d))));
    item.push(format!("reason: {}", quoted(&new.reason)));
    item.push(format!("owner: {}", quoted(&new.owner)));
    item.extend(new.ticket.as_ref().map(|t| format!("ticket: {}", quoted(t))));
    item.push(format!("expires: {}", new.expires));
    for (i, line) in item.iter().enumerate() {
        let lead = match i {
            0 => "",
            1 => "- ",
            _ => "  ",
        };
        let _ = write!(out, "{pad}{lead}{line}{newline}");
    }
    lines[at..].iter().for_each(|l| out.push_str(l));
    // Whatever the file looks like: it must now say what it said, and this.
    let after = read(&out)?;
    let same = |a: &Waiver, b: &Waiver| Waiver { span: b.span, ..a.clone() } == *b;
    let added = after.last().is_some_and(|w| {
        (w.check == new.check && w.fingerprint.as_ref() == Some(&new.fingerprint) && w.device == new.device)
            && (w.reason == new.reason && w.owner == new.owner && w.ticket == new.ticket && w.expires == new.expires)
    });
    let kept = after.len() == before.len() + 1 && before.iter().zip(&after).all(|(a, b)| same(a, b));
    if added && kept { Ok(out) } else { Err("the file is written in a way into which no waiver can be put: add it by hand".into()) }
}

fn read(text: &str) -> Result<Vec<Waiver>, String> {
    let (mut sources, limits) = (Sources::default(), Limits::default());
    let id = sources.add("waivers", text.as_bytes());
    let mut loader = Loader::new(&mut sources, &limits, None);
    loader.waiver_file(id);
    let problem = |errors: Vec<super::BaselineError>| {
        let first = errors.first();
        let line = first.and_then(|e| e.place).map_or(1, |p| p.0.line);
        format!("line {line}: {}", first.map_or("", |e| &e.message))
    };
    loader.finish().map(|b| b.waivers.list).map_err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewWaiver {
        NewWaiver {
            check: "no-any-to-any".into(),
            fingerprint: "0123456789abcdef".into(),
            device: Some("edge: fw #1".into()),
            reason: "the lab \"moves\"\n# soon: ü".into(),
            owner: "cto@example.com".into(),
            ticket: Some("NET-1".into()),
            expires: "2026-12-31".parse().unwrap(),
            about: "rule 3\nlets everything in".into(),
        }
    }

    #[test]
    fn what_is_there_stays_byte_for_byte() {
        let one = "check: a-b\n    reason: x\n    owner: y\n    expires: 2026-12-31 # soon\n";
        let files = [
            "fwproof: 1\nwaivers: []\n".to_owned(),
            "fwproof: 1\nwaivers: [] # none yet".to_owned(),
            "fwproof: 1\nwaivers: []\n# the end\n".to_owned(),
            format!("# ours\nfwproof: 1\nwaivers:\n  # first\n  - {one}\n  # last words\n"),
            format!("fwproof: 1\nwaivers:\n  - {one}").trim_end().to_owned(),
            format!("fwproof: 1\nwaivers:\n  - {one}").replace('\n', "\r\n"),
            format!("waivers:\n  - {one}\n# about the version\nfwproof: 1\n"),
            "fwproof: 1\nwaivers:\n- check: a-b\n  reason: |\n    long\n    text\n  owner: y\n  expires: 2026-12-31\n".to_owned(),
            "fwproof: 1\nwaivers:\n  - { check: a-b, reason: x, owner: y, expires: 2026-12-31 }\n".to_owned(),
        ];
        for text in files {
            let out = add_waiver(&text, &new()).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let mut rest = out.lines();
            for line in text.lines().filter(|l| !l.contains("[]")) {
                assert!(rest.any(|l| l == line), "{line:?} is gone of\n{out}");
            }
            let twice = add_waiver(&out, &new()).unwrap();
            assert_eq!(read(&twice).unwrap().len(), read(&text).unwrap().len() + 2, "{twice}");
        }
    }

    #[test]
    fn a_file_into_which_nothing_can_be_put_is_left_alone() {
        for (text, why) in [
            ("fwproof: 1\nwaivers: [{ check: a-b, reason: x, owner: y, expires: 2026-12-31 }]\n", "on the same line"),
            ("{ fwproof: 1, waivers: [] }\n", "no line `waivers:`"),
            ("fwproof: 1\nwaivers: 7\n", "must be a list"),
            ("fwproof: 1\nwaivers:\n  - check: a-b\n", "line 3"),
        ] {
            let said = add_waiver(text, &new()).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
