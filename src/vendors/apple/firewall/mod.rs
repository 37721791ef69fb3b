//! The application firewall of macOS: what `socketfilterfw` prints, its preferences, and the payload of configuration profiles.
//!
//! Facts are from Apple's support pages "About the application firewall" (HT1810, HT201642) and "Change Firewall settings on Mac", from Apple's
//! device management documentation ("Firewall"), and from the words of `socketfilterfw` of macOS 10.7 to 26. All files of a device are read as one:
//! what the tool prints goes before a profile, and that before the preferences.

mod facts;
mod listing;
mod lower;
mod profile;
#[cfg(test)]
mod tests;

use super::FIREWALL_PAYLOAD;
use crate::diag::LineState;
use crate::source::SourceFile;
use crate::syntax::xml::Document;
use crate::vendors::{Confidence, Detection, Format, Reader, Role};
use facts::Facts;

/// The format.
pub static MACOS_FIREWALL: Format = Format {
    id: "macos-firewall",
    title: "macOS application firewall",
    export: "(cd /usr/libexec/ApplicationFirewall; for q in globalstate blockall allowsigned stealthmode loggingmode; do ./socketfilterfw --get$q; done; \
             ./socketfilterfw --listapps) > socketfilterfw.txt   (or: plutil -convert xml1 -o alf.plist /Library/Preferences/com.apple.alf.plist, \
             before macOS 15; or a profile with com.apple.security.firewall)",
    covers: &[
        "what socketfilterfw prints, com.apple.alf.plist as XML, and payloads com.apple.security.firewall, with VPN payloads beside them",
        "off, on, block all but essential services, stealth mode, logging; programs as named conditions, signed software as one condition each",
    ],
    leaves: &[
        "which ports a program listens on: what it lets in depends on the program",
        "programs that a profile does not list, where only the profile was exported",
        "stealth mode for anything but echo requests",
        "binary property lists: convert them with plutil -convert xml1",
    ],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

/// The forms of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// What the tool prints.
    Listing,
    /// `com.apple.alf.plist`.
    Preferences,
    /// A configuration profile.
    Profile,
}

/// How much of a file is looked at to recognise it, in bytes: certificates stand before some payloads.
const LOOK: usize = 512 << 10;

fn form(file: &SourceFile) -> Option<Form> {
    let text = file.head(LOOK);
    if text.contains("<plist") {
        let has = |key: &str| text.contains(&format!("<key>{key}</key>"));
        return match () {
            () if text.contains(FIREWALL_PAYLOAD) => Some(Form::Profile),
            () if has("globalstate") && (has("allowsignedenabled") || has("stealthenabled") || has("loggingenabled")) => {
                Some(Form::Preferences)
            }
            () => None,
        };
    }
    text.lines().take(400).any(listing::tells).then_some(Form::Listing)
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let why = match form(file)? {
        Form::Listing => "has what socketfilterfw prints",
        Form::Preferences => "has the keys of com.apple.alf.plist",
        Form::Profile => "is a property list with a payload com.apple.security.firewall",
    };
    Some(Detection { confidence: Confidence::Certain, why })
}

/// What there is at most one of in a device.
pub fn evidence(file: &SourceFile) -> Option<&'static str> {
    match form(file)? {
        Form::Listing => Some("listing"),
        Form::Preferences => Some("preferences"),
        Form::Profile => None,
    }
}

fn read(reader: &mut Reader<'_>) {
    let mut files = vec![reader.file];
    files.extend(reader.beside.iter().copied());
    let mut facts = Facts::default();
    for file in files {
        reader.mark(file.whole(), LineState::Irrelevant);
        match form(file) {
            Some(Form::Listing) => listing::read(reader, file, &mut facts),
            Some(form) => {
                let document = Document::read(file, reader.limits);
                for problem in document.problems().iter().filter(|p| p.kind.loses()) {
                    reader.incomplete(problem.span, LineState::Unrecognised, format!("not read from here on: {}", problem.text));
                    facts.lost.get_or_insert(problem.span);
                }
                if form == Form::Preferences {
                    profile::preferences(reader, &document, &mut facts);
                } else {
                    profile::payloads(reader, &document, &mut facts);
                    super::vpn::payloads(reader, file, &document);
                }
            }
            None => reader.note(file.whole(), LineState::Unrecognised, "nothing of the application firewall of macOS was found here"),
        }
    }
    lower::lower(reader, &facts);
}
