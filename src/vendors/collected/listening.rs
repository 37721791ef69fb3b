//! What listens: `ss -lntu` of Linux, `netstat -an` of macOS, the BSDs and Linux, and the sockets that the Windows script lists.
//!
//! Each sort of service becomes a setting of the host: `none` listens, or on the `loopback` only, or for the `network`.

use std::net::IpAddr;

use crate::diag::LineState;
use crate::model::HostSetting;
use crate::source::{SourceFile, Span};
use crate::syntax::json::{self, Value};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static LISTENING: Format = Format {
    id: "listening",
    title: "sockets that listen (ss, netstat, Windows)",
    export: "ss -lntu > listening.txt   (macOS: netstat -an | grep -E '^Proto|LISTEN|^udp'; Windows: fwproof collect --print windows)",
    covers: &["which services for remote control and file sharing listen, and whether on the loopback only"],
    leaves: &["which program listens", "other services"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

/// Sorts of services by name, with their ports of TCP (IANA).
const SERVICES: &[(&str, &[u16])] = &[
    ("remote-control.ssh", &[22]),
    ("remote-control.telnet", &[23]),
    ("remote-control.rdp", &[3389]),
    ("remote-control.vnc", &[5800, 5801, 5900, 5901, 5902, 5903]),
    ("remote-control.winrm", &[5985, 5986]),
    ("remote-control.rsh", &[512, 513, 514]),
    ("file-sharing.smb", &[139, 445]),
    ("file-sharing.afp", &[548]),
    ("file-sharing.nfs", &[2049]),
    ("file-sharing.ftp", &[21]),
];

/// A socket.
struct Socket {
    tcp: bool,
    /// Bound to the loopback only.
    loopback: bool,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Ss,
    Netstat,
    Json,
}

fn form(file: &SourceFile) -> Option<Form> {
    let head = file.head(16 << 10);
    let start = head.trim_start();
    if start.starts_with(['{', '[']) {
        let has = |name: &str| head.contains(&format!("\"{name}\""));
        return (has("LocalAddress")
            && has("LocalPort")
            && (has("Listening") || has("OwningProcess"))
            && !has("InstanceID")
            && !has("Direction"))
        .then_some(Form::Json);
    }
    let first = start.lines().find(|l| !l.trim().is_empty() && !l.starts_with('#'))?;
    if first.starts_with("Netid ") && first.contains("Recv-Q") || row_of_ss(first).is_some() {
        return Some(Form::Ss);
    }
    let titled = first.starts_with("Active Internet connections") || (first.starts_with("Proto") && first.contains("Local Address"));
    titled.then_some(Form::Netstat)
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let why = match form(file)? {
        Form::Ss => "is laid out as ss -lntu does it",
        Form::Netstat => "is laid out as netstat -an does it",
        Form::Json => "is JSON with LocalAddress and LocalPort of sockets",
    };
    Some(Detection { confidence: Confidence::Certain, why })
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let mut sockets: Vec<(Socket, Span)> = Vec::new();
    match form(file) {
        Some(Form::Json) => of_json(reader, &mut sockets),
        form => {
            let row = if form == Some(Form::Ss) { row_of_ss } else { row_of_netstat };
            for index in 0..file.line_count() {
                let span = file.line_span(index);
                let text = file.slice(span);
                let heading = ["Netid ", "Active ", "Proto", "#"].iter().any(|w| text.starts_with(w));
                match row(text) {
                    _ if heading || text.trim().is_empty() => reader.mark(span, LineState::Irrelevant),
                    Some(Some(socket)) => {
                        reader.mark(span, LineState::Understood);
                        sockets.push((socket, span));
                    }
                    // A connection, or another protocol.
                    Some(None) => reader.mark(span, LineState::Irrelevant),
                    None => reader.note(span, LineState::Unrecognised, "this is not a socket as it is listed here"),
                }
            }
        }
    }
    settings(reader, &sockets);
}

fn settings(reader: &mut Reader<'_>, sockets: &[(Socket, Span)]) {
    let whole = reader.file.line_span(0);
    for (service, ports) in SERVICES {
        let of = || sockets.iter().filter(|(s, _)| s.tcp && ports.contains(&s.port));
        let (value, span) = match (of().find(|(s, _)| !s.loopback), of().next()) {
            (Some((_, span)), _) => ("network", *span),
            (None, Some((_, span))) => ("loopback", *span),
            (None, None) => ("none", whole),
        };
        reader.device.settings.push(HostSetting { name: format!("listening.{service}"), value: value.into(), span });
    }
}

fn is_loopback(host: &str) -> Option<bool> {
    let host = host.trim_start_matches('[').trim_end_matches(']').split('%').next().unwrap_or("");
    if matches!(host, "*" | "") {
        return Some(false);
    }
    let ip: IpAddr = host.parse().ok()?;
    let mapped = match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
        IpAddr::V4(_) => false,
    };
    Some(ip.is_loopback() || mapped)
}

/// `0.0.0.0:22`, `[::1]:631`, `*.22`, `fe80::1%lo0.8021`.
fn place(text: &str, separator: char) -> Option<(bool, u16)> {
    let (host, port) = text.rsplit_once(separator)?;
    Some((is_loopback(host)?, port.parse().ok()?))
}

/// A row of `ss -lntu` (with or without `-p`); `Some(None)` where it is of no interest.
fn row_of_ss(line: &str) -> Option<Option<Socket>> {
    let words: Vec<&str> = line.split_ascii_whitespace().take(6).collect();
    let [proto @ ("tcp" | "udp"), state @ ("LISTEN" | "UNCONN" | "ESTAB"), _, _, local, _] = words.as_slice() else { return None };
    let (loopback, port) = place(local, ':')?;
    Some((*state != "ESTAB").then_some(Socket { tcp: *proto == "tcp", loopback, port }))
}

/// A row of `netstat -an`.
fn row_of_netstat(line: &str) -> Option<Option<Socket>> {
    let words: Vec<&str> = line.split_ascii_whitespace().take(6).collect();
    let [proto, _, _, local, rest @ ..] = words.as_slice() else { return None };
    let tcp = proto.starts_with("tcp");
    if !tcp && !proto.starts_with("udp") {
        return ["icm", "unix", "raw", "sctp", "div", "icmp"].iter().any(|p| proto.starts_with(p)).then_some(None);
    }
    // `127.0.0.1:22` and `:::22` on Linux, `127.0.0.1.22` and `::1.22` elsewhere.
    let linux = local.rsplit_once(':').is_some_and(|(_, p)| p.bytes().all(|b| b.is_ascii_digit()));
    if local.ends_with(".*") || local.ends_with(":*") {
        return Some(None);
    }
    let (loopback, port) = place(local, if linux { ':' } else { '.' })?;
    let listens = !tcp || rest.iter().any(|w| *w == "LISTEN");
    Some(listens.then_some(Socket { tcp, loopback, port }))
}

fn of_json(reader: &mut Reader<'_>, sockets: &mut Vec<(Socket, Span)>) {
    let file = reader.file;
    let Some(value) = json::read(file) else {
        return reader.incomplete(file.whole(), LineState::Unrecognised, "this is not JSON");
    };
    reader.mark(file.whole(), LineState::Irrelevant);
    let list = value.get("Listening").map_or_else(|| value.list(), Value::list);
    for one in list {
        let text = |name: &str| one.get(name).and_then(Value::text);
        let port = text("LocalPort").and_then(|p| p.parse().ok());
        let host = text("LocalAddress").and_then(is_loopback);
        let (Some(port), Some(loopback)) = (port, host) else {
            reader.note(one.span, LineState::Unrecognised, "this is not a socket");
            continue;
        };
        reader.mark(one.span, LineState::Understood);
        // Endpoints of UDP have no state.
        let udp = text("Protocol").is_some_and(|p| p.eq_ignore_ascii_case("udp"));
        let open = text("State").is_none_or(|s| s == "2" || s.eq_ignore_ascii_case("listen"));
        if open {
            sockets.push((Socket { tcp: !udp, loopback, port }, one.span));
        }
    }
}
