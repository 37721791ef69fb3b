//! ufw, the Uncomplicated Firewall: the files of `/etc/ufw` and `/etc/default/ufw`, and application profiles.
//!
//! None of these files is a ruleset by itself: at start ufw builds one of all of them (`load`). So the files of a device are read
//! together.

mod load;
mod profiles;
mod settings;
mod status;
#[cfg(test)]
mod tests;

use crate::diag::LineState;
use crate::source::SourceFile;
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

pub use status::{UFW_STATUS, evidence as status_evidence};

/// The format.
pub static UFW: Format = Format {
    id: "ufw",
    title: "ufw: /etc/ufw and /etc/default/ufw",
    export: "cp -r --parents /etc/ufw /etc/default/ufw HOST/",
    covers: &[
        "before.rules, user.rules, after.rules and those of IPv6, joined as ufw loads them",
        "ENABLED, IPV6, and the default policies",
        "what the iptables format covers",
    ],
    leaves: &["before.init and after.init", "rules that others put beside those of ufw"],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

/// What a file is of ufw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Rules in the syntax of iptables-restore, with whether they are of IPv6.
    Rules(Stage, bool),
    /// `/etc/default/ufw`.
    Defaults,
    /// `/etc/ufw/ufw.conf`.
    Conf,
    /// A file of `/etc/ufw/applications.d`.
    Profiles,
}

/// When the rules of a file are loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Before,
    User,
    After,
}

/// How much of a file detection looks at.
const DETECT_BYTES: usize = 64 << 10;

/// The first lines of a file, without blanks around them.
fn head(file: &SourceFile) -> impl Iterator<Item = &str> {
    file.head(DETECT_BYTES).lines().map(str::trim)
}

/// The rules files of ufw declare the chains that they fill, and no built-in chain of the filter table, which a dump of the kernel has.
fn stage(file: &SourceFile) -> Option<(Stage, bool)> {
    let mut found = None;
    let mut filter = false;
    for line in head(file) {
        if let Some(table) = line.strip_prefix('*') {
            filter = table == "filter";
        }
        let Some(chain) = line.strip_prefix(':').and_then(|l| l.split_ascii_whitespace().next()).filter(|_| filter) else { continue };
        let stage = match chain {
            "INPUT" | "FORWARD" | "OUTPUT" => return None,
            "ufw-before-input" => (Stage::Before, false),
            "ufw6-before-input" => (Stage::Before, true),
            "ufw-user-input" => (Stage::User, false),
            "ufw6-user-input" => (Stage::User, true),
            "ufw-after-input" => (Stage::After, false),
            "ufw6-after-input" => (Stage::After, true),
            _ => continue,
        };
        found.get_or_insert(stage);
    }
    found
}

/// Whether a file in the syntax of iptables-restore is one of ufw.
pub(super) fn is_fragment(file: &SourceFile) -> bool {
    stage(file).is_some()
}

fn part(file: &SourceFile) -> Option<Part> {
    if let Some((stage, six)) = stage(file) {
        return Some(Part::Rules(stage, six));
    }
    let (mut policies, mut enabled, mut level, mut profiles, mut other) = (false, false, false, profiles::Evidence::default(), false);
    for line in head(file).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        profiles.line(line);
        let name = line.split('=').next().unwrap_or("").trim_start_matches("export ").trim();
        match name {
            "DEFAULT_INPUT_POLICY" | "DEFAULT_OUTPUT_POLICY" | "DEFAULT_FORWARD_POLICY" | "DEFAULT_APPLICATION_POLICY" => policies = true,
            "ENABLED" => enabled = true,
            "LOGLEVEL" => level = true,
            _ => other = true,
        }
    }
    let named = file.path.rsplit('/').next() == Some("ufw.conf");
    match () {
        _ if policies => Some(Part::Defaults),
        _ if enabled && (level || named) && !other => Some(Part::Conf),
        _ if profiles.is_enough() => Some(Part::Profiles),
        _ => None,
    }
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let (confidence, why) = match part(file)? {
        Part::Rules(..) => (Confidence::Certain, "declares the chains of ufw and no built-in chain"),
        Part::Defaults => (Confidence::Certain, "has the default policies of ufw"),
        Part::Conf => (Confidence::Strong, "has ENABLED and LOGLEVEL of ufw.conf"),
        Part::Profiles => (Confidence::Strong, "has application profiles with title and ports"),
    };
    Some(Detection { confidence, why })
}

/// `ufw reset` keeps what was there under names with the time (`user.rules.20260901_120000`).
fn is_backup(file: &SourceFile) -> bool {
    let end = file.path.rsplit('.').next().unwrap_or("");
    end.len() == 15 && end.bytes().enumerate().all(|(i, b)| if i == 8 { b == b'_' } else { b.is_ascii_digit() })
}

/// What there is at most one of in a device.
pub fn evidence(file: &SourceFile) -> Option<&'static str> {
    if is_backup(file) {
        return None;
    }
    Some(match part(file)? {
        Part::Rules(Stage::Before, false) => "before.rules",
        Part::Rules(Stage::Before, true) => "before6.rules",
        Part::Rules(Stage::User, false) => "user.rules",
        Part::Rules(Stage::User, true) => "user6.rules",
        Part::Rules(Stage::After, false) => "after.rules",
        Part::Rules(Stage::After, true) => "after6.rules",
        Part::Defaults => "default/ufw",
        Part::Conf => "ufw.conf",
        Part::Profiles => return None,
    })
}

fn read(reader: &mut Reader<'_>) {
    let mut parts = load::Parts::default();
    let mut settings = settings::Settings::default();
    let mut confs = Vec::new();
    let mut files = vec![reader.file];
    files.extend(reader.beside.iter().copied());
    for file in files {
        let whole = file.whole();
        if is_backup(file) {
            // Nothing loads it.
            reader.mark(whole, LineState::Irrelevant);
            continue;
        }
        match part(file) {
            Some(Part::Rules(stage, six)) => parts.put(stage, six, file),
            Some(Part::Defaults) => settings.read(reader, file),
            // Read after the defaults, whose values it may replace: ufw-init-functions sources them in this order.
            Some(Part::Conf) => confs.push(file),
            Some(Part::Profiles) => profiles::read(reader, file),
            None => {
                reader.note(whole, LineState::Unrecognised, "is none of the files of ufw");
            }
        }
    }
    let defaults = settings.files > 0;
    for file in &confs {
        settings.read(reader, file);
    }
    if !parts.is_empty() || defaults || !confs.is_empty() {
        let anchor = reader.file.line_span(0);
        load::load(reader, &parts, &settings, defaults, !confs.is_empty(), anchor);
    }
}
