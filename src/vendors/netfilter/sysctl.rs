//! `sysctl -a`, and files of `/etc/sysctl.d`.

use crate::diag::LineState;
use crate::model::HostSetting;
use crate::source::SourceFile;
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static SYSCTL: Format = Format {
    id: "sysctl",
    title: "sysctl -a",
    export: "sysctl -a > HOST.sysctl",
    covers: &["forwarding, rp_filter, accept_redirects, accept_source_route, disable_ipv6 and bridge-nf-call of IPv4 and IPv6"],
    leaves: &["every other setting"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

/// First parts of the names of kernel settings (Linux `Documentation/admin-guide/sysctl`).
const ROOTS: [&str; 9] = ["abi", "crypto", "debug", "dev", "fs", "kernel", "net", "user", "vm"];

/// Last parts of the names of settings that checks may ask for.
const WANTED: [&str; 9] = [
    "ip_forward",
    "forwarding",
    "mc_forwarding",
    "rp_filter",
    "accept_redirects",
    "secure_redirects",
    "accept_source_route",
    "disable_ipv6",
    // With `net.bridge.bridge-nf-call-iptables` = 1, frames that a bridge passes on by itself go through the rules of iptables too; with 0, or
    // without the module br_netfilter, they go past them, and `-m physdev` matches nothing (Documentation/networking/ip-sysctl.rst).
    "bridge-nf-call-",
];

/// Name with dots and value of a line `name = value`.
fn setting(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('-').unwrap_or(line).split_once('=')?;
    let name = name.trim();
    let root = name.split(['.', '/']).next()?;
    if !ROOTS.contains(&root) || root == name || name.contains(|c: char| c.is_whitespace()) {
        return None;
    }
    let name = name.replace('/', ".");
    Some((name, value.trim()))
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let (mut settings, mut other) = (0, 0);
    for line in file.text.lines().take(500).map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
        if setting(line).is_some() { settings += 1 } else { other += 1 }
    }
    match (settings, other) {
        (0, _) => None,
        (s, o) if s > 10 * o => Some(Detection { confidence: Confidence::Certain, why: "has kernel settings as sysctl prints them" }),
        (s, o) if s > o => Some(Detection { confidence: Confidence::Weak, why: "has kernel settings among other lines" }),
        _ => None,
    }
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span).trim();
        if text.is_empty() {
            continue;
        }
        if text.starts_with(['#', ';']) {
            reader.mark(span, LineState::Irrelevant);
            continue;
        }
        match setting(text) {
            Some((name, value)) if is_wanted(&name) => {
                reader.mark(span, LineState::Understood);
                reader.device.settings.push(HostSetting { name, value: value.to_owned(), span });
            }
            Some(_) => reader.mark(span, LineState::Irrelevant),
            // What `sysctl -a` says of settings that it may not read.
            None if text.starts_with("sysctl: ") => reader.mark(span, LineState::Irrelevant),
            None => reader.note(span, LineState::Unrecognised, "this line is not one of sysctl"),
        }
    }
}

fn is_wanted(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    name.starts_with("net.") && WANTED.iter().any(|w| last == *w || (w.ends_with('-') && last.starts_with(w)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_checks_ask_for_are_kept() {
        let text = "# c\nkernel.hostname = secret-host\nnet.ipv4.ip_forward = 1\nnet/ipv6/conf/all/forwarding=0\n-net.ipv4.conf.eth0.rp_filter = 2\nsysctl: permission denied on key 'x'\nnet.bridge.bridge-nf-call-iptables = 1\n";
        let (file, reading) = SYSCTL.read_text("a", text);
        assert!(detect(&file).is_some());
        assert!(reading.notes.is_empty());
        let settings: Vec<_> = reading.device.settings.iter().map(|s| format!("{}={}", s.name, s.value)).collect();
        assert_eq!(
            settings,
            [
                "net.ipv4.ip_forward=1",
                "net.ipv6.conf.all.forwarding=0",
                "net.ipv4.conf.eth0.rp_filter=2",
                "net.bridge.bridge-nf-call-iptables=1"
            ]
        );
    }

    #[test]
    fn other_files_are_not_taken_for_settings() {
        for text in ["[Interface]\nPrivateKey = x\n", "net = 1\n", "a.b = c\n", ""] {
            assert!(detect(&SourceFile::from_text(crate::source::FileId(0), "a", text)).is_none());
        }
    }
}
