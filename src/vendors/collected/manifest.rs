//! The manifest of a folder that a script of `fwproof collect` wrote.
//!
//! ```text
//! fwproof-collected: 1
//! host: anna
//! system: Linux 6.12.48, Debian GNU/Linux 13
//! time: 2026-11-23T08:15:02Z
//! elevated: no
//! got filter 0 9f86…0a08 nftables.txt nft list ruleset
//! failed filter 1 - - iptables-save
//! absent vpn - - - wg showconf
//! nothing vpn 0 - - nmcli
//! ```
//!
//! A line for each command: what came of it, what it shows, its exit code, SHA-256 and name of the file, the command.

use jiff::Timestamp;

use crate::diag::LineState;
use crate::model::{Digest, HostSetting, Lacking, Shows};
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static COLLECT_MANIFEST: Format = Format {
    id: "collect-manifest",
    title: "manifest of `fwproof collect`",
    export: "fwproof collect --print linux | sh   (also: macos, windows)",
    covers: &["host name, day, what could not be exported, which files were changed afterwards"],
    leaves: &[],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

/// The first line that is no comment.
const FIRST: &str = "fwproof-collected:";
/// Files of a manifest.
const MOST: usize = 10_000;

fn detect(file: &SourceFile) -> Option<Detection> {
    let first = file.head(4096).lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'))?.to_owned();
    first.starts_with(FIRST).then_some(Detection { confidence: Confidence::Certain, why: "begins with fwproof-collected" })
}

/// Something that a command would have shown, and whether anything of that sort was shown.
#[derive(Default)]
struct Sort {
    shown: bool,
    lacking: Vec<Lacking>,
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let mut sorts: [Sort; Shows::ALL.len()] = Default::default();
    let mut elevated = None;
    let mut system = String::new();
    for index in 0..file.line_count() {
        let span = file.line_span(index);
        let text = file.slice(span).trim();
        if text.is_empty() || text.starts_with('#') {
            reader.mark(span, LineState::Irrelevant);
            continue;
        }
        reader.mark(span, LineState::Understood);
        if let Some((key, value)) = text.split_once(": ").filter(|(k, _)| k.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')) {
            let value = value.trim();
            match key {
                "fwproof-collected" if value == "1" => {}
                "fwproof-collected" => reader.incomplete(span, LineState::Unsupported, "a manifest of a version that is not known"),
                "host" => reader.device.hostname = Some((value.to_owned(), span)),
                "system" => system = value.to_owned(),
                "elevated" => {
                    elevated = Some(value == "yes");
                    reader.device.settings.push(HostSetting { name: "collected.elevated".into(), value: value.to_owned(), span });
                }
                "time" if value.parse::<Timestamp>().is_ok() => {}
                "time" => reader.note(span, LineState::Unsupported, "this is no time"),
                _ => reader.note(span, LineState::Unrecognised, "not a line of a manifest"),
            }
            continue;
        }
        if let Err(text) = command(reader, text, span, elevated, &mut sorts) {
            reader.note(span, LineState::Unrecognised, text);
        }
    }
    if !system.is_empty() && !system.starts_with("Linux") {
        reader.device.no_sysctl = true;
    }
    if whole_filter(reader.file, &system, elevated) {
        reader.device.exhaustive = true;
    }
    for (sort, (_, shows)) in sorts.into_iter().zip(Shows::ALL) {
        // One way of showing it is enough: iptables is not asked where nftables has answered.
        if sort.shown {
            continue;
        }
        if let (Shows::Filter, Some(first)) = (shows, sort.lacking.first()) {
            reader.device.fragment.get_or_insert((first.span, format!("{}; collect as an administrator", first.text)));
        }
        reader.device.lacking.extend(sort.lacking);
    }
}

/// Whether every packet filter of the host was asked, and answered: then what is not shown is not there. The rules of Linux are all in nftables or
/// iptables; macOS has the application firewall and pf, which shows nothing where it is switched off.
fn whole_filter(file: &SourceFile, system: &str, elevated: Option<bool>) -> bool {
    let outcome = |command: &str| {
        let lines = file.text.lines().filter(|l| l.split_ascii_whitespace().nth(1) == Some("filter") && l.contains(command));
        lines.filter_map(|l| l.split_ascii_whitespace().next()).next_back()
    };
    let answered = |command: &str| matches!(outcome(command), Some("got" | "nothing"));
    let failed = |command: &str| outcome(command) == Some("failed");
    match () {
        () if elevated != Some(true) => false,
        () if system.starts_with("Linux") => answered(" nft list ruleset") && !failed(" iptables-save") && !failed(" ip6tables-save"),
        () if system.starts_with("macOS") => answered(" pfctl ") && outcome(" application_firewall") == Some("got"),
        () => false,
    }
}

/// A command and what came of it.
fn command(
    reader: &mut Reader<'_>,
    text: &str,
    span: Span,
    elevated: Option<bool>,
    sorts: &mut [Sort; Shows::ALL.len()],
) -> Result<(), &'static str> {
    let mut words = text.splitn(6, ' ');
    let mut next = || words.next().filter(|w| !w.is_empty()).ok_or("not a line of a manifest");
    let (status, shows, exit, hash, name, command) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let at = Shows::ALL.iter().position(|(n, _)| *n == shows).ok_or("what it shows is not known")?;
    let (Some(sort), Some((_, shows))) = (sorts.get_mut(at), Shows::ALL.get(at)) else { return Err("what it shows is not known") };
    match status {
        "got" => {
            let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            if !is_hash || name == "-" {
                return Err("a file without its hash");
            }
            sort.shown = true;
            if reader.device.digests.len() < MOST {
                reader.device.digests.push(Digest { file: name.to_owned(), sha256: hash.to_ascii_lowercase(), span });
            }
        }
        // It ran, and there is none of it.
        "nothing" => sort.shown = true,
        "absent" => {}
        "failed" => {
            let who = if elevated == Some(false) { ", and was not run as an administrator" } else { "" };
            let text = format!("`{command}` failed (exit code {exit}{who}): what it shows is not known");
            reader.note(span, LineState::NotModelled, text.clone());
            sort.lacking.push(Lacking { shows: *shows, text, span });
        }
        _ => return Err("not a line of a manifest"),
    }
    Ok(())
}
