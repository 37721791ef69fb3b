//! What ufw prints of itself: `ufw status`, `ufw status verbose`, `ufw status numbered`, `ufw show added`, `ufw app info`.
//!
//! Such a text shows the rules of the user. What stands before them is taken as ufw ships it (`shipped`). What ufw has after them
//! only keeps the log quiet: it leads to the default policies, as does the end of the rules.

mod intent;
mod listing;
mod shipped;
#[cfg(test)]
mod tests;
mod words;

use self::intent::{Known, Profiles, anything};
use self::listing::{Kind, Line, Listing};
use super::super::iptables::{Built, Step};
use super::Stage;
use super::load::{self, Parts};
use super::settings::Settings;
use crate::diag::LineState;
use crate::model::HostSetting;
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static UFW_STATUS: Format = Format {
    id: "ufw-status",
    title: "ufw status, ufw show added",
    export: "ufw status verbose > HOST.ufw",
    covers: &[
        "whether ufw is active, the default policies (verbose)",
        "the rules of `ufw status`, plain, verbose and numbered, and of `ufw show added`",
        "application profiles: the ports that `ufw app info` shows beside it, else as packages ship them",
    ],
    leaves: &[
        "before.rules: taken as ufw 0.36 ships it (loopback, established, ICMP, DHCP client, mDNS, SSDP); edits of it are not seen",
        "rules that others put beside those of ufw: export iptables-save",
    ],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

fn detect(file: &SourceFile) -> Option<Detection> {
    let found = |confidence, why| Some(Detection { confidence, why });
    let (mut status, mut rest, mut app, mut lines) = (false, false, false, 0);
    for line in super::head(file).filter(|l| !l.is_empty()) {
        lines += 1;
        match line {
            _ if line.starts_with(listing::ADDED) => return found(Confidence::Certain, "has the heading of ufw show added"),
            "Status: active" | "Status: inactive" => status = true,
            _ if listing::is_heading(line) || listing::policies(line).is_some() => rest = true,
            _ if line.starts_with("Profile: ") => app = true,
            "Port:" | "Ports:" if app => return found(Confidence::Strong, "has the ports of an application profile of ufw"),
            _ => {}
        }
        if status && rest {
            return found(Confidence::Certain, "has the status and the table of ufw status");
        }
    }
    // The whole of what a ufw without rules prints.
    if status && lines <= 4 { found(Confidence::Strong, "has the status that ufw prints") } else { None }
}

/// What there is at most one of in a device.
pub fn evidence(file: &SourceFile) -> Option<&'static str> {
    Some(match listing::kind_of(file)? {
        Kind::Verbose => "ufw status verbose",
        Kind::Numbered => "ufw status numbered",
        Kind::Plain => "ufw status",
        Kind::Added => "ufw show added",
    })
}

fn read(reader: &mut Reader<'_>) {
    let mut files = vec![reader.file];
    files.extend(reader.beside.iter().copied());
    let mut profiles = Profiles::new();
    let mut listings: Vec<Listing<'_>> = Vec::new();
    for file in files {
        listing::read(reader, file, &mut listings, &mut profiles);
    }
    // The one that says most; of equals the first.
    listings.sort_by_key(|l| (l.active.is_none(), l.kind, l.span.file, l.span.start));
    let Some(anchor) = listings.first().map(|l| l.span) else { return };
    let mut settings = Settings::default();
    let mut parts = Parts::default();
    if let Some(status) = listings.iter().find(|l| l.active.is_some()) {
        settings.set("ENABLED", if status.active == Some(true) { "yes" } else { "no" }, status.span);
    }
    let superseded = reader.dumped.len() == Family::BOTH.len();
    for (i, listing) in listings.iter().enumerate() {
        for (_, span) in &listing.lines {
            reader.mark(*span, if i == 0 && !superseded { LineState::Understood } else { LineState::Irrelevant });
        }
    }
    let (chosen, others) = match listings.split_first() {
        Some(x) => x,
        None => return,
    };
    let mut forward_off = None;
    for listing in std::iter::once(chosen).chain(others) {
        for (name, value, span) in &listing.policies {
            match *value {
                _ if settings.get(name).is_some() => {}
                "disabled" => forward_off = Some(*span),
                _ => settings.set(name, value, *span),
            }
        }
    }
    let six = chosen.lines.iter().find(|(l, _)| matches!(l, Line::Rule(r) if r.family == Some(Family::V6))).map(|(_, s)| *s);
    match six {
        Some(span) => settings.set("IPV6", "yes", span),
        None => settings.set_unknown("IPV6"),
    }
    if let Some(span) = forward_off {
        // `_get_default_policy` of `backend.py` asks these.
        let names = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
        for name in names.iter().take(if six.is_some() { 2 } else { 1 }) {
            reader.device.settings.push(HostSetting { name: (*name).to_owned(), value: "0".to_owned(), span });
        }
    }
    if settings.get("ENABLED").is_none_or(|(v, _)| v == "yes") && !superseded {
        say(reader, chosen, &profiles, &settings, forward_off, anchor);
    }
    for family in Family::BOTH {
        let shown = family == Family::V4 || six.is_some();
        let cut = if shown { put(&mut parts, chosen, &profiles, family, anchor) } else { None };
        if let Some(span) = cut {
            let text = format!("the rules up to here become more than {MAX_RULES}: from here on they are taken to be able to do anything");
            reader.incomplete(span, LineState::Unsupported, text);
        }
    }
    let said = settings.get("ENABLED").is_some();
    load::load(reader, &parts, &settings, true, said, anchor);
}

/// What is not known of an active ufw.
fn say(reader: &mut Reader<'_>, chosen: &Listing<'_>, profiles: &Profiles<'_>, settings: &Settings, off: Option<Span>, anchor: Span) {
    let text = "before.rules of this host is not shown: it is taken as ufw ships it (loopback, established, ICMP, DHCP, mDNS, SSDP)";
    reader.note(anchor, LineState::NotModelled, text);
    if settings.get("ENABLED").is_none() {
        reader.note(anchor, LineState::NotModelled, "`ufw show added` does not say whether ufw is active: what it blocks is unknown");
    }
    if settings.get("DEFAULT_INPUT_POLICY").is_none() {
        reader.note(anchor, LineState::NotModelled, "the default policies are not shown: `ufw status verbose` shows them");
    } else if let Some(span) = off {
        let text = "the host forwards nothing: the default policy for what is routed is not shown";
        reader.note(span, LineState::NotModelled, text);
    }
    if settings.get("IPV6").is_none() {
        reader.note(anchor, LineState::NotModelled, "no rule of IPv6 is shown: whether ufw filters IPv6, and how, is not known");
    }
    for (line, span) in &chosen.lines {
        match line {
            Line::Rule(rule) => match rule.known(profiles) {
                Known::Shown => {}
                Known::Shipped => {
                    let text = "the ports of this application profile are taken as its package ships them: `ufw status verbose` shows them";
                    reader.note(*span, LineState::NotModelled, text);
                }
                Known::Nowhere => {
                    reader.note(*span, LineState::NotModelled, "the ports of this application profile are not known here");
                }
            },
            Line::Unread(_) => reader.note(*span, LineState::Unrecognised, "this is no rule of ufw: it is taken to be able to do anything"),
        }
        if let Line::Rule(rule) = line
            && let Some(what) = &rule.unclear
        {
            reader.note(*span, LineState::NotModelled, format!("not modelled: {what}"));
        }
    }
}

/// So many rules of iptables are made of one listing for each family. (Profiles with many ports make many of one.)
const MAX_RULES: usize = 200_000;

/// The parts of one family. Returns where there were too many rules.
fn put<'a>(parts: &mut Parts<'a>, listing: &Listing<'_>, profiles: &Profiles<'_>, family: Family, anchor: Span) -> Option<Span> {
    let six = family == Family::V6;
    let ufw = if six { "ufw6" } else { "ufw" };
    let mut user: Vec<Step<'a>> = Vec::new();
    let mut cut = None;
    for (line, span) in &listing.lines {
        if user.len() > MAX_RULES {
            user.extend(anything("which is one too many", six, *span));
            cut = Some(*span);
            break;
        }
        match line {
            Line::Rule(rule) if rule.family.is_none_or(|f| f == family) => user.extend(rule.steps(six, profiles, *span)),
            Line::Rule(_) => {}
            Line::Unread(text) => user.extend(anything(text, six, *span)),
        }
    }
    for (chain, target) in [("limit", "REJECT"), ("limit-accept", "ACCEPT")] {
        let what = Some("rule of ufw for what is limited");
        user.push(Step::Rule(Built::new(format!("-A {ufw}-user-{chain} -j {target}"), what), anchor));
    }
    let after = ["input", "output", "forward"].map(|d| Step::Chain(format!("{ufw}-after-{d}"), None, anchor));
    parts.put_built(Stage::Before, six, shipped::before(six, anchor));
    parts.put_built(Stage::After, six, after.into());
    parts.put_built(Stage::User, six, user);
    cut
}
