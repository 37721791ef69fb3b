//! `rasphone.pbk`: an entry is a section, and within it what stands after `DEVICE=` is about that device.

use super::offers;
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoUse, Dns, Endpoint, Peer, Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled, VpnRoute, ike};
use crate::source::{SourceFile, Span};
use crate::syntax::ini::{Line, line};
use crate::vendors::{Confidence, Detection, Reader};

/// How many lines detection looks at.
const LINES: usize = 400;

pub(super) fn detect(file: &SourceFile) -> Option<Detection> {
    let mut seen = [false; 3];
    for i in 0..file.line_count().min(LINES) {
        if let Line::Entry(key, _) = line(file, i) {
            for (slot, name) in seen.iter_mut().zip(["VpnStrategy", "IpPrioritizeRemote", "PBVersion"]) {
                *slot |= key.text.eq_ignore_ascii_case(name);
            }
        }
    }
    let all = seen.iter().filter(|s| **s).count() >= 2;
    all.then_some(Detection { confidence: Confidence::Certain, why: "has VpnStrategy and its like of a Windows phone book" })
}

/// An entry: its keys with the place of value and line.
struct Entry<'t> {
    name: &'t str,
    span: Span,
    keys: Vec<(&'t str, &'t str, Span, Span)>,
}

impl<'t> Entry<'t> {
    fn get(&self, key: &str) -> Option<(&'t str, Span)> {
        self.keys.iter().find(|k| k.0.eq_ignore_ascii_case(key)).map(|k| (k.1, k.2)).filter(|v| !v.0.is_empty())
    }
}

const UNDERSTOOD: &[&str] = &[
    "Type",
    "VpnStrategy",
    "IpPrioritizeRemote",
    "Ipv6PrioritizeRemote",
    "PhoneNumber",
    "IpNameAssign",
    "IpDnsAddress",
    "IpDns2Address",
    "IpDnsSuffix",
    "CustomAuthKey",
    "NumCustomPolicy",
    "NumRoutes",
    "DisableClassBasedDefaultRoute",
    "DEVICE",
    "MEDIA",
    "Encoding",
    "PBVersion",
];

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for i in 0..file.line_count() {
        match line(file, i) {
            Line::Blank(span) => reader.mark(span, LineState::Irrelevant),
            Line::Section(name) => {
                reader.mark(name.span, LineState::Understood);
                entries.push(Entry { name: name.text, span: file.line_span(i), keys: Vec::new() });
            }
            Line::Entry(key, value) => {
                let span = key.span.to(value.span);
                let lower = key.text.to_ascii_lowercase();
                if (lower.contains("password") || lower.contains("presharedkey")) && value.text.len() > 1 {
                    reader.secret(value.span);
                }
                let understood = UNDERSTOOD.iter().any(|u| u.eq_ignore_ascii_case(key.text));
                reader.mark(span, if understood { LineState::Understood } else { LineState::Irrelevant });
                match entries.last_mut() {
                    Some(entry) => entry.keys.push((key.text, value.text, value.span, span)),
                    None => reader.note(span, LineState::Unrecognised, "an entry outside of any section"),
                }
            }
            Line::Other(text) => reader.note(text.span, LineState::Unrecognised, "neither `key=value` nor a section"),
        }
    }
    for entry in &entries {
        lower(reader, entry);
    }
}

/// `VpnStrategy` (RASENTRY, `dwVpnStrategy`): which protocols are tried.
fn kinds(strategy: &str) -> Option<&'static [TunnelKind]> {
    use TunnelKind::{Ipsec, Pptp, Sstp};
    Some(match strategy {
        "1" => &[Pptp],
        "3" | "7" => &[Ipsec],
        "5" => &[Sstp],
        "12" => &[Pptp, Sstp],
        "13" | "14" => &[Ipsec, Sstp],
        // Default, and whichever first: all of them.
        "0" | "2" | "4" | "6" | "8" => &[Ipsec, Sstp, Pptp],
        _ => return None,
    })
}

fn lower(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    let Some((strategy, span)) = entry.get("VpnStrategy") else { return };
    // Type 2 is a VPN; dial-up entries have a strategy too.
    if entry.get("Type").is_some_and(|t| t.0 != "2") {
        return;
    }
    let Some(kinds) = kinds(strategy) else {
        return reader.note(span, LineState::NotModelled, "a VpnStrategy that is not known");
    };
    for kind in kinds {
        let mut tunnel = Tunnel::new(*kind, TunnelRole::Client, "", entry.span);
        tunnel.name = Some(if kinds.len() > 1 { format!("{} ({})", entry.name, kind.name()) } else { entry.name.to_owned() });
        let (protocol, port) = match kind {
            TunnelKind::Ipsec => (17, 500),
            TunnelKind::Pptp => (6, 1723),
            _ => (6, 443),
        };
        if let Some((host, at)) = entry.get("PhoneNumber") {
            let mut peer = Peer::new(entry.span);
            peer.endpoint = Some(Endpoint { host: host.to_owned(), port, protocol, span: at });
            tunnel.peers.push(peer);
        }
        routes(reader, entry, &mut tunnel);
        if *kind == TunnelKind::Ipsec {
            let version = if strategy == "3" { "1" } else { "2" };
            offers::version(&mut tunnel, version, span);
            match entry.get("NumCustomPolicy").filter(|n| n.0 != "0") {
                Some((_, at)) => {
                    reader.note(at, LineState::NotModelled, "the custom IPsec policy is binary here: export Get-VpnConnection too")
                }
                None => offers::defaults(&mut tunnel, entry.span),
            }
        }
        // Numbers of EAP types (IANA).
        let eap = match entry.get("CustomAuthKey") {
            Some(("13", at)) => Some(("EAP-TLS", at)),
            Some(("26", at)) => Some(("EAP-MSCHAPV2", at)),
            Some(("25", at)) => Some(("EAP-PEAP", at)),
            Some(("21", at)) => Some(("EAP-TTLS", at)),
            _ => None,
        };
        if let Some((name, at)) = eap {
            ike::offer(&mut tunnel.crypto, CryptoUse::Authentication, CryptoLayer::Control, name, at);
        }
        for key in ["IpDnsAddress", "IpDns2Address"] {
            // 0.0.0.0 is none.
            if let Some((text, at)) = entry.get(key).filter(|v| v.0 != "0.0.0.0") {
                tunnel.dns.push(Dns { server: text.parse().ok(), text: text.to_owned(), span: at });
            }
        }
        if let Some((text, at)) = entry.get("IpDnsSuffix") {
            tunnel.dns.push(Dns { server: None, text: text.to_owned(), span: at });
        }
        reader.device.tunnels.push(tunnel);
    }
}

/// "Use default gateway on remote network", by family.
fn routes(reader: &mut Reader<'_>, entry: &Entry<'_>, tunnel: &mut Tunnel) {
    for (key, everything, name) in
        [("IpPrioritizeRemote", "0.0.0.0/0", "never-default"), ("Ipv6PrioritizeRemote", "::/0", "never-default-v6")]
    {
        let Some((value, at)) = entry.get(key) else {
            tunnel.unmodelled.push(Unmodelled::routes(entry.span));
            continue;
        };
        match (value, everything.parse()) {
            // An address of IPv6 comes from the server, or does not.
            ("1", Ok(to)) if key.starts_with("IpP") => tunnel.routes.push(VpnRoute { to, excluded: false, span: at }),
            ("1", _) => {}
            _ => tunnel.settings.push(TunnelSetting { name: name.into(), value: String::new(), span: at }),
        }
        if !tunnel.settings.iter().any(|s| s.name == "pull") {
            tunnel.settings.push(TunnelSetting { name: "pull".into(), value: String::new(), span: at });
        }
    }
    if let Some((_, at)) = entry.get("NumRoutes").filter(|n| n.0 != "0") {
        reader.note(at, LineState::NotModelled, "routes are binary here: export Get-VpnConnection too");
        tunnel.unmodelled.push(Unmodelled::routes(at));
    }
}
