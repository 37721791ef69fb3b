//! pf: `pf.conf` of OpenBSD, FreeBSD and macOS, and what `pfctl -sr`, `-sn` and `-sa` print; `ifconfig` beside it.
//!
//! [`lex`] makes words of the text and replaces macros, [`parse`], [`rule`] and [`place`] make statements of them, [`lower`] makes chains:
//! [`flat`] brings the rules of a direction with those of their anchors into one list, and [`chains`] turns "the last match decides, `quick`
//! ends" into "the first match decides". Facts about the format are from pf.conf(5) of the three systems, pfctl(8), and `parse.y`,
//! `pfctl_parser.c` and `pf.c` of their sources.

mod ast;
mod chains;
mod flat;
mod ifconfig;
mod lex;
mod lower;
mod matching;
mod names;
mod nat;
mod parse;
mod place;
mod rule;
mod tables;

pub use ifconfig::IFCONFIG;

use super::{Confidence, Detection, Format, Role};
use crate::source::{SourceFile, Span};

/// The format.
pub static PF: Format = Format {
    id: "pf",
    title: "pf (OpenBSD, FreeBSD, macOS)",
    export: "sudo cat /etc/pf.conf > HOST/pf.conf   (with the files it names; or: (sudo pfctl -sa; sudo pfctl -vsI) > HOST.pf), and: ifconfig -a > HOST.ifconfig",
    covers: &[
        "pf.conf in the dialects of OpenBSD (nat-to, rdr-to, match) and of FreeBSD and macOS (nat, rdr, binat), and the lists of pfctl",
        "macros, lists, tables and their files, include, load anchor",
        "last match and quick, also through anchors; set skip; block-policy; antispoof",
        "state, flags, tags, ICMP types, negation, address pools, the order of translation and filter",
        "interface addresses, networks and groups, with the output of ifconfig beside it",
    ],
    leaves: &[
        "anchors that other programs fill, users, operating systems, probability, urpf-failed, af-to and divert-to (kept as conditions)",
        "route-to, dup-to, routing domains and tables, queues, limits of states, IP options, fragments that are not reassembled",
        "FreeBSD's ether rules and dummynet",
    ],
    role: Role::Firewall,
    detect,
    read: lower::read,
    includes: Some(includes),
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 64 << 10;

fn detect(file: &SourceFile) -> Option<Detection> {
    let (mut telling, mut fitting, mut other) = (0usize, 0usize, 0usize);
    let mut continued = false;
    for line in file.head(DETECTED).lines() {
        let trimmed = line.trim();
        let inside = std::mem::replace(&mut continued, trimmed.ends_with('\\'));
        if inside || trimmed.is_empty() || trimmed.starts_with(['#', '}', '{']) {
            continue;
        }
        match looks(trimmed) {
            Look::Telling => telling += 1,
            Look::Fitting => fitting += 1,
            Look::Other => other += 1,
        }
    }
    let found = |confidence, why| Some(Detection { confidence, why });
    match () {
        _ if telling == 0 => None,
        _ if telling * 4 >= other => found(Confidence::Certain, "has rules as pf.conf and pfctl write them"),
        _ if (telling + fitting) * 2 >= other => found(Confidence::Strong, "has rules as pf.conf and pfctl write them, among other lines"),
        _ => found(Confidence::Weak, "has a few lines that look like rules of pf"),
    }
}

enum Look {
    /// Only pf writes so.
    Telling,
    /// pf may write so.
    Fitting,
    Other,
}

fn looks(line: &str) -> Look {
    let line = match line.strip_prefix('@') {
        Some(rest) => rest.split_once(' ').map_or("", |(_, r)| r),
        None => line,
    };
    let mut words = line.split_ascii_whitespace().take(24);
    let first = words.next().unwrap_or("");
    let second = words.next().unwrap_or("");
    let telling = match first {
        "pass" | "block" | "match" => {
            let mut known = 0;
            let mut all = 0;
            for word in std::iter::once(second).chain(words).filter(|w| !w.is_empty()).take(6) {
                all += 1;
                known += usize::from(RULE_WORDS.contains(&word) || word.starts_with("return-icmp"));
            }
            all > 0 && known * 2 >= all.min(2) && RULE_WORDS.contains(&second) || second.starts_with("return-")
        }
        "nat" | "rdr" | "binat" => {
            line.contains("->") && matches!(second, "on" | "pass" | "log" | "inet" | "inet6" | "proto" | "from" | "quick")
        }
        "no" => matches!(second, "nat" | "rdr" | "binat" | "scrub"),
        "nat-anchor" | "rdr-anchor" | "binat-anchor" | "scrub-anchor" | "dummynet-anchor" => true,
        "anchor" => second.starts_with('"') || line.contains('{') || line.ends_with("all"),
        "load" => second == "anchor" && line.contains("from"),
        "scrub" => second.is_empty() || matches!(second, "in" | "out" | "all" | "on" | "from" | "proto" | "inet" | "inet6" | "log"),
        "table" => second.starts_with('<') && line.contains('>'),
        "antispoof" => true,
        "altq" => second == "on",
        "set" => SETTINGS.contains(&second),
        _ => false,
    };
    if telling {
        return Look::Telling;
    }
    let name = line.split('=').next().unwrap_or("").trim();
    let defines = line.contains('=') && !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let closes = line.ends_with(['}', ',']) || line.starts_with(['<', '$', '[']);
    if defines || closes || matches!(first, "queue" | "include" | "set") { Look::Fitting } else { Look::Other }
}

const RULE_WORDS: &[&str] = &[
    "in",
    "out",
    "on",
    "log",
    "quick",
    "inet",
    "inet6",
    "proto",
    "all",
    "from",
    "to",
    "drop",
    "return",
    "return-rst",
    "return-icmp",
    "return-icmp6",
    "tagged",
    "label",
    "flags",
];

const SETTINGS: &[&str] = &[
    "skip",
    "block-policy",
    "loginterface",
    "optimization",
    "timeout",
    "limit",
    "state-policy",
    "require-order",
    "fingerprints",
    "ruleset-optimization",
    "reassemble",
    "state-defaults",
    "hostid",
    "syncookies",
    "debug",
];

/// The files that a configuration names: `include "…"`, `load anchor … from "…"`, `table <…> file "…"`.
fn includes(file: &SourceFile) -> Vec<(String, Span)> {
    let mut out = Vec::new();
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span);
        let code = text.split('#').next().unwrap_or("");
        let wanted = code.trim_start().starts_with("include") || code.contains("load anchor") || code.contains(" file ");
        if !wanted {
            continue;
        }
        let mut rest = code;
        let mut after_keyword = false;
        while let Some((word, len)) = next_word(rest) {
            let at = code.len() - rest.len() + len - word.len();
            let plain = word.trim_matches('"');
            if after_keyword && !plain.is_empty() {
                out.push((plain.to_owned(), Span::new(file.id, span.start as usize + at, span.start as usize + at + word.len())));
            }
            after_keyword = matches!(word, "include" | "file") || (word == "from" && code.contains("load anchor"));
            rest = &rest[len..];
        }
    }
    out
}

/// The next word of a line and how far it reaches.
fn next_word(text: &str) -> Option<(&str, usize)> {
    let start = text.find(|c: char| !c.is_whitespace())?;
    let rest = &text[start..];
    let len = match rest.strip_prefix('"') {
        Some(inner) => inner.find('"').map_or(rest.len(), |i| i + 2),
        None => rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len()).max(1),
    };
    rest.get(..len).map(|word| (word, start + len))
}
