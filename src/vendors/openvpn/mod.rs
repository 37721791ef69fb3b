//! OpenVPN: configurations of servers and clients (`.conf`, `.ovpn` with inline files), and files of a `client-config-dir`.
//!
//! [`parse`] makes directives with spans, [`directives`] is the one table of their names, [`lower`] makes a tunnel of them, with
//! [`routes`], [`crypto`] and [`identity`] for what needs more than a line.

mod crypto;
mod directives;
mod identity;
mod lower;
mod parse;
mod routes;
mod secrets;
#[cfg(test)]
mod tests;

use super::{Confidence, Detection, Format, Role};
use crate::source::{SourceFile, Span};

/// The format.
pub static OPENVPN: Format = Format {
    id: "openvpn",
    title: "OpenVPN",
    export: "sudo cat /etc/openvpn/server/server.conf   (or the client's .ovpn)",
    covers: &[
        "all directives of OpenVPN 2.4 to 2.7 by name",
        "inline files and <connection> blocks",
        "roles, transport, remotes, addresses",
        "routes, redirect-gateway and DNS, own and pushed",
        "ciphers, digests, TLS versions and groups, with the defaults of 2.6",
        "client-config-dir files",
    ],
    leaves: &["scripts and plugins", "what a client is pushed", "certificates but for a printed subject"],
    role: Role::Vpn,
    detect,
    read: lower::read,
    includes: Some(includes),
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 64 << 10;

fn detect(file: &SourceFile) -> Option<Detection> {
    let (mut known, mut all, mut telling) = (0usize, 0usize, Vec::new());
    let mut block: Option<&str> = None;
    for line in file.head(DETECTED).lines().map(str::trim) {
        if let Some(name) = block {
            if line.strip_prefix("</").is_some_and(|l| l.starts_with(name)) {
                block = None;
            }
            continue;
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let word = line.split_whitespace().next().unwrap_or("");
        let word = word.strip_prefix("--").unwrap_or(word);
        let opened = word.strip_prefix('<').and_then(|w| w.strip_suffix('>'));
        let is_block = opened.is_some_and(|n| directives::SECRET_BLOCKS.contains(&n) || directives::PUBLIC_BLOCKS.contains(&n));
        all += 1;
        known += usize::from(is_block || directives::class(word).is_some());
        if is_block && word != "<connection>" {
            block = opened;
        }
        if (directives::TELLING.binary_search(&word).is_ok() || tells(line)) && !telling.contains(&word) {
            telling.push(word);
        }
    }
    let mostly = known * 10 >= all * 8;
    let confidence = match telling.len() {
        0 => return None,
        n if n >= 3 && known * 2 >= all => Confidence::Certain,
        2 if mostly && file.path.ends_with(".ovpn") => Confidence::Certain,
        _ if mostly && telling.iter().any(|t| matches!(*t, "ifconfig-push" | "iroute")) => Confidence::Strong,
        2 if mostly => Confidence::Strong,
        1 if mostly => Confidence::Weak,
        _ => return None,
    };
    Some(Detection { confidence, why: "has directives of OpenVPN at the beginning of lines" })
}

/// Directives with common names that tell by their arguments.
fn tells(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().take(4).collect();
    let address = |w: &str| w.parse::<std::net::Ipv4Addr>().is_ok();
    match words.as_slice() {
        ["client"] => true,
        ["dev", name, ..] => name.starts_with("tun") || name.starts_with("tap"),
        ["proto", name, ..] => name.starts_with("udp") || name.starts_with("tcp"),
        ["server" | "ifconfig", a, b, ..] => address(a) && address(b),
        ["remote", _, port, ..] => port.parse::<u16>().is_ok(),
        ["push", option, ..] => option.starts_with('"'),
        ["secret", ..] => words.len() <= 3,
        _ => false,
    }
}

fn includes(file: &SourceFile) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    for index in 0..file.line_count() {
        let span = file.line_span(index);
        let text = file.slice(span);
        if !text.contains("config") {
            continue;
        }
        let words = parse::words(text, span).unwrap_or_default();
        if let [name, path, ..] = words.as_slice()
            && name.text.trim_start_matches("--") == "config"
        {
            found.push((path.text.clone(), path.span));
        }
    }
    found
}
