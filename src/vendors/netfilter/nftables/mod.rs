//! nftables: what `nft list ruleset` prints, what people write in `/etc/nftables.conf`, and the JSON of `nft -j`.

mod ast;
mod commands;
mod defaults;
mod expr;
mod json;
mod json_rule;
mod lex;
mod lower;
mod matching;
mod nat;
mod parse;
mod ruleset;
mod sets;
mod stmt;
mod values;

pub use json::NFTABLES_JSON;

use lex::{T, lex};
use parse::Parser;

use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// What the model leaves out, for both forms.
const LEAVES: &[&str] = &[
    "bridge tables (may drop what comes or leaves over a bridge: an unknown condition)",
    "egress hook",
    "limit, quota, meters (opaque conditions)",
    "queue, tproxy, synproxy, fwd (unknown actions)",
    "IPv6 extension headers (ip6 nexthdr is read as the transport protocol)",
    "xtables compat expressions",
];

const COVERS: &[&str] = &[
    "tables, chains, rules of ip, ip6, inet, netdev",
    "definitions, includes, commands",
    "sets, maps, verdict maps, concatenations",
    "NAT, marks, connection state",
];

/// The text form.
pub static NFTABLES: Format = Format {
    id: "nftables",
    title: "nftables ruleset",
    export: "nft list ruleset",
    covers: COVERS,
    leaves: LEAVES,
    role: Role::Firewall,
    detect,
    read,
    includes: Some(includes),
};

/// Words that a ruleset may begin with.
const FIRST_WORDS: &[&str] = &[
    "table", "flush", "add", "create", "insert", "delete", "destroy", "define", "include", "chain", "type", "set", "map", "element", "list",
];

/// How much of a file is looked at.
const LOOK: usize = 64 << 10;

fn detect(file: &SourceFile) -> Option<Detection> {
    let text = file.head(LOOK);
    if text.trim_start().starts_with(['{', '[', '<', '*']) {
        return None;
    }
    if text.lines().next().is_some_and(|l| l.starts_with("#!") && l.contains("nft")) {
        return Some(Detection { confidence: Confidence::Certain, why: "is a script of nft" });
    }
    // A ruleset that is part of something else (a test, a template) begins with that.
    let first = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or("");
    let begins = first.split([' ', '\t']).next().is_some_and(|w| FIRST_WORDS.contains(&w));
    let (mut table, mut chain, mut command, mut define) = (false, false, false, false);
    for line in text.lines() {
        let line = line.trim_start();
        let mut words = line.split([' ', '\t', ';', '{']).filter(|w| !w.is_empty());
        let (first, second, third) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
        match first {
            "table" if line.contains('{') && !second.starts_with('<') => {
                table |= ast::TableFamily::parse(second).is_some() || third.is_empty() || third == "chain";
            }
            "flush" if second == "ruleset" => command = true,
            "add" | "insert" | "create" | "delete" | "destroy" | "flush" => {
                command |= matches!(second, "table" | "chain" | "rule" | "element" | "set" | "map")
                    && (ast::TableFamily::parse(third).is_some() || line.contains('{'));
            }
            "chain" if line.contains('{') => chain = true,
            "type" if second == "filter" || second == "nat" || second == "route" => chain |= third == "hook",
            "define" if third.starts_with('=') => define = true,
            _ => {}
        }
    }
    let confidence = match (table, chain, command, define) {
        (true, true, _, _) | (true, _, true, _) if begins => Confidence::Certain,
        (true, ..) | (_, _, true, _) => Confidence::Strong,
        (_, true, _, _) => Confidence::Strong,
        (_, _, _, true) => Confidence::Weak,
        _ => return None,
    };
    Some(Detection { confidence, why: "holds tables and chains of nftables" })
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let mut parser = Parser::new(reader);
    parser.within(file, |p| p.file());
    let ruleset = std::mem::take(&mut parser.ruleset);
    lower::lower(reader, &ruleset);
}

/// The patterns of `include "…"`, wherever they stand.
fn includes(file: &SourceFile) -> Vec<(String, Span)> {
    let toks = lex(file).toks;
    toks.windows(2)
        .enumerate()
        .filter(|(i, pair)| {
            let at_start = i.checked_sub(1).and_then(|i| toks.get(i)).is_none_or(|t| !matches!(t.kind, T::Word | T::Str));
            matches!(pair, [a, b] if at_start && a.kind == T::Word && a.text(file) == "include" && b.kind == T::Str)
        })
        .filter_map(|(_, pair)| pair.get(1))
        .map(|t| (t.text(file).to_owned(), t.span(file)))
        .collect()
}
