//! What `iptables -L` and `ip6tables -L` print, with and without `-n`, `-v`, `-x` and `--line-numbers`, of one table or several one after
//! the other.
//!
//! Each rule becomes the words that `iptables -S` would have printed ([`words`]), and from there on it is read like those. The layout
//! is that of `print_header`, `print_rule_details` and `print_firewall` (iptables.c, nft-ipv4.c, xshared.c) and of the `print` functions
//! of the extensions, of versions 1.4 to 1.8.

mod rows;
#[cfg(test)]
mod tests;
mod words;

use super::defaults::TableKind;
use super::statements::{RuleLine, Table};
use super::tokens::Quoting;
use super::{family, lower};
use crate::diag::LineState;
use crate::model::PolicyAction;
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};
use rows::{Columns, Row};

/// The format.
pub static IPTABLES_LIST: Format = Format {
    id: "iptables-list",
    title: "iptables -L and ip6tables -L",
    export: "iptables -L -n -v > HOST.filter; iptables -t nat -L -n -v > HOST.nat (better: iptables-save)",
    covers: &[
        "policies, chains, counters, negation, with and without -v, -n, -x and --line-numbers",
        "matches tcp, udp, sctp, dccp, icmp, multiport, iprange, state, conntrack, set, addrtype, mac, mark, connmark, length, ttl, hl, dscp, tos, pkttype, owner",
        "targets ACCEPT, DROP, REJECT, RETURN, LOG, NFLOG, DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP, MARK, CT notrack",
    ],
    leaves: &[
        "interfaces where the listing was made without -v (an opaque condition of each rule)",
        "names of hosts and networks where it was made without -n (opaque conditions)",
        "every other match and target (opaque)",
    ],
    role: Role::Firewall,
    detect,
    read: |reader| {
        let tables = read(reader);
        lower::lower(reader, &tables);
    },
    includes: None,
};

fn detect(file: &SourceFile) -> Option<Detection> {
    let mut chain = false;
    for line in super::head(file) {
        if chain && Columns::of(line).is_some() {
            return Some(Detection { confidence: Confidence::Certain, why: "has a chain with the column heads of `iptables -L`" });
        }
        if !line.trim().is_empty() {
            chain = ChainHead::of(line).is_some();
        }
    }
    None
}

/// `Chain NAME (policy ACCEPT 3 packets, 180 bytes)`, `Chain NAME (2 references)`.
struct ChainHead<'a> {
    name: &'a str,
    /// The policy; user chains have none.
    policy: Option<&'a str>,
}

impl ChainHead<'_> {
    fn of(line: &str) -> Option<ChainHead<'_>> {
        let (name, rest) = line.trim().strip_prefix("Chain ")?.split_once(" (")?;
        let inner = rest.split_once(')')?.0;
        let mut inside = inner.split_ascii_whitespace();
        let policy = match (inside.next()?, inside.next()) {
            ("policy", Some(policy)) => Some(policy),
            (count, Some(word)) if word.starts_with("reference") && count.bytes().all(|b| b.is_ascii_digit()) => None,
            _ => return None,
        };
        Some(ChainHead { name: name.trim(), policy }).filter(|h| !h.name.is_empty())
    }
}

/// The listing of one table.
#[derive(Default)]
struct Section {
    /// The table that the command or a title before it names.
    named: Option<TableKind>,
    /// The family that the command before it names.
    family: Option<Family>,
    chains: Vec<ListedChain>,
}

struct ListedChain {
    name: String,
    span: Span,
    policy: Option<(PolicyAction, Span)>,
    /// What the columns are, where the heads are there.
    columns: Option<Columns>,
    rows: Vec<Span>,
}

/// In this order the tool prints the built-in chains of a table.
const ORDER: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

impl Section {
    fn builtins(&self) -> impl Iterator<Item = &str> {
        self.chains.iter().filter(|c| c.policy.is_some()).map(|c| c.name.as_str())
    }

    /// Whether a chain is of the next table rather than of this one.
    fn ends_before(&self, chain: &ChainHead<'_>) -> bool {
        if self.chains.iter().any(|c| c.name == chain.name) {
            return true;
        }
        let at = |name: &str| ORDER.iter().position(|n| *n == name);
        let (Some(new), Some(last)) = (at(chain.name).filter(|_| chain.policy.is_some()), self.chains.last()) else { return false };
        // User chains come after the built-in ones. Kernels before 2.6.34 had the chains of nat in the order pre, post, output.
        let old_nat = last.name == "POSTROUTING" && chain.name == "OUTPUT" && !self.builtins().any(|n| n == "INPUT");
        last.policy.is_none() || (at(&last.name).is_some_and(|l| l > new) && !old_nat)
    }

    /// Which table it is: as it is called, else by its built-in chains.
    fn kind(&self) -> TableKind {
        let has = |name: &str| self.builtins().any(|n| n == name);
        let fits = |kind: &TableKind| self.builtins().all(|n| kind.builtin(n).is_some());
        self.named.filter(fits).unwrap_or_else(|| match (has("PREROUTING"), has("POSTROUTING")) {
            (false, false) => TableKind::Filter,
            _ if has("FORWARD") => TableKind::Mangle,
            (true, false) if has("OUTPUT") => TableKind::Raw,
            _ => TableKind::Nat,
        })
    }
}

/// Reads all lines of the reader's file.
fn read(reader: &mut Reader<'_>) -> Vec<Table> {
    let sections = sections(reader);
    let file = reader.file;
    let mut whole: Option<Family> = None;
    for section in &sections {
        whole = whole.or(section.family).or_else(|| rows_of(file, section).find_map(|r| r.family()));
    }
    let mut tables: Vec<Table> = Vec::new();
    for section in sections {
        let own = section.family.or_else(|| rows_of(file, &section).find_map(|r| r.family()));
        let certain = own.or_else(|| family::of_name(&file.path)).or(whole);
        let (kind, family) = (section.kind(), certain.unwrap_or(Family::V4));
        let Some(first) = section.chains.first().map(|c| c.span) else { continue };
        if certain.is_none() && section.chains.iter().any(|c| !c.rows.is_empty()) {
            let text = "nothing here says whether this is a listing of iptables or of ip6tables: it is read as of iptables (IPv4)";
            reader.note(first, LineState::NotModelled, text);
        }
        if tables.iter().any(|t| t.kind == kind && t.family == family) {
            let text = format!("a second listing of what looks like table {} of {} is not read", kind.name(), family.name());
            reader.incomplete(first, LineState::Unsupported, text);
            for span in section.chains.iter().flat_map(|c| &c.rows) {
                reader.mark(*span, LineState::Unsupported);
            }
            continue;
        }
        let mut table = Table::new(kind, family);
        for chain in &section.chains {
            fill(reader, &mut table, chain);
        }
        tables.push(table);
    }
    tables
}

fn rows_of<'f>(file: &'f SourceFile, section: &'f Section) -> impl Iterator<Item = Row<'f>> {
    section.chains.iter().flat_map(move |c| c.rows.iter().filter_map(move |s| Row::of(file.slice(*s), c.columns?)))
}

/// Sorts the lines into sections and chains.
fn sections(reader: &mut Reader<'_>) -> Vec<Section> {
    let file = reader.file;
    let mut done: Vec<Section> = Vec::new();
    let mut now = Section::default();
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span);
        if text.trim().is_empty() {
            continue;
        }
        if let Some(head) = ChainHead::of(text) {
            if now.ends_before(&head) {
                done.push(std::mem::take(&mut now));
            }
            let action = match head.policy {
                Some("ACCEPT") => PolicyAction::Accept,
                Some("DROP") => PolicyAction::Drop,
                _ => PolicyAction::Unknown,
            };
            reader.mark(span, LineState::Understood);
            if action == PolicyAction::Unknown && head.policy.is_some() {
                reader.note(span, LineState::NotModelled, format!("policy `{}` is not modelled", head.policy.unwrap_or("")));
            }
            let policy = head.policy.map(|_| (action, span));
            now.chains.push(ListedChain { name: head.name.to_owned(), span, policy, columns: None, rows: Vec::new() });
        } else if let Some(columns) = Columns::of(text) {
            match now.chains.last_mut() {
                Some(chain) => {
                    chain.columns = Some(columns);
                    reader.mark(span, LineState::Understood);
                }
                None => reader.note(span, LineState::Unsupported, "column heads without a chain before them"),
            }
        } else if let Some((table, family)) = title(text) {
            // The command, or what `service iptables status` prints before each table.
            if !now.chains.is_empty() {
                done.push(std::mem::take(&mut now));
            }
            (now.named, now.family) = (table, family);
            reader.mark(span, LineState::Irrelevant);
        } else if text.trim_start().starts_with('#') {
            if text.contains("tables present, use") {
                let words = "the kernel holds tables of the legacy backend as well, which this listing does not show";
                reader.note(span, LineState::NotModelled, words);
            } else {
                reader.mark(span, LineState::Irrelevant);
            }
        } else {
            match now.chains.last_mut().filter(|c| c.columns.is_some()) {
                Some(chain) => chain.rows.push(span),
                None => reader.note(span, LineState::Unrecognised, "this line is not one of `iptables -L`"),
            }
        }
    }
    done.push(now);
    done
}

/// A line that says which table comes next: `Table: nat`, `$ sudo iptables -t nat -L -n -v`.
fn title(line: &str) -> Option<(Option<TableKind>, Option<Family>)> {
    if let Some(name) = line.trim().strip_prefix("Table: ") {
        return Some((Some(TableKind::of(name.trim())?), None));
    }
    let mut words = line.split_ascii_whitespace().take(12);
    let program = words.find_map(|w| match w.rsplit(['/', '$', '#', '>']).next().unwrap_or(w) {
        "iptables" | "iptables-nft" | "iptables-legacy" => Some(Family::V4),
        "ip6tables" | "ip6tables-nft" | "ip6tables-legacy" => Some(Family::V6),
        _ => None,
    })?;
    let (mut table, mut lists) = (TableKind::Filter, false);
    while let Some(word) = words.next() {
        match word {
            "-t" | "--table" => table = TableKind::of(words.next()?)?,
            "--list" => lists = true,
            // `-nvL`, `-tnat`.
            _ if word.starts_with("-t") => table = TableKind::of(word.get(2..)?)?,
            _ => lists |= word.starts_with('-') && !word.starts_with("--") && word.contains('L'),
        }
    }
    lists.then_some((Some(table), Some(program)))
}

fn fill(reader: &mut Reader<'_>, table: &mut Table, listed: &ListedChain) {
    let file = reader.file;
    let (kind, family) = (table.kind, table.family);
    let chain = table.chain(&listed.name, listed.span);
    chain.declared = true;
    if kind.builtin(&listed.name).is_some() {
        chain.policy = listed.policy.or(Some((PolicyAction::Unknown, listed.span)));
    }
    let hidden = listed.columns.is_some_and(|c| !c.interfaces);
    if hidden && !listed.rows.is_empty() {
        let text = "a listing without -v does not show interfaces: each rule of this chain may hold for some interface only";
        reader.note(listed.span, LineState::NotModelled, text);
    }
    for span in &listed.rows {
        let Some(row) = listed.columns.and_then(|c| Row::of(file.slice(*span), c)) else {
            // What may have stood here may have decided about any packet.
            let text = "this line is not a rule as `iptables -L` prints them";
            reader.note(*span, LineState::Unrecognised, text);
            table.listed(&listed.name, *span, words::unreadable(&listed.name, file.slice(*span)), None, hidden);
            continue;
        };
        reader.mark(*span, if hidden { LineState::NotModelled } else { LineState::Understood });
        let packets = row.packets;
        table.listed(&listed.name, *span, words::of(&listed.name, &row, family), packets, hidden);
    }
}

impl Table {
    /// Appends a rule that was not written as a command.
    fn listed(&mut self, chain: &str, span: Span, words: Vec<super::statements::Word>, packets: Option<u64>, hidden: bool) {
        let index = self.words.len() as u32;
        self.words.push(words);
        let from = span.start as usize;
        let rule = RuleLine { span, from, quoting: Quoting::Restore, packets, words: Some(index), hides_interfaces: hidden, built: None };
        self.chain(chain, span).rules.push_back(rule);
    }
}
