//! `scutil --nc list`: which VPN services a Mac has. What they do is in none of its words.

use crate::diag::LineState;
use crate::model::{Tunnel, TunnelKind, TunnelRole, TunnelSetting, Unmodelled};
use crate::source::SourceFile;
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static MACOS_VPN_SERVICES: Format = Format {
    id: "macos-vpn-services",
    title: "macOS VPN services (scutil --nc list)",
    export: "scutil --nc list > services.txt   (better: the profiles, which say what a VPN does)",
    covers: &["that there is a VPN, its name and kind"],
    leaves: &["servers, routes, cryptography"],
    role: Role::Vpn,
    detect,
    read,
    includes: None,
};

const HEADING: &str = "Available network connection services";

fn detect(file: &SourceFile) -> Option<Detection> {
    let first = file.head(4096).lines().find(|l| !l.trim().is_empty() && !l.starts_with('#'))?.to_owned();
    first.starts_with(HEADING).then_some(Detection { confidence: Confidence::Certain, why: "has the heading of scutil --nc list" })
}

/// Services of a list.
const MOST: usize = 1000;

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    for index in 0..file.line_count().min(MOST) {
        let span = file.line_span(index);
        let text = file.slice(span).trim();
        if text.is_empty() || text.starts_with(HEADING) || text.starts_with('#') {
            reader.mark(span, LineState::Irrelevant);
            continue;
        }
        // `* (Disconnected)  8A2C…  VPN (com.wireguard.macos) "Acme"   [VPN:com.wireguard.macos]`
        let kind = text.rsplit_once('[').and_then(|(_, k)| k.strip_suffix(']'));
        let name = text.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map(|(name, _)| name);
        let (Some(kind), Some(name)) = (kind, name) else {
            reader.note(span, LineState::Unrecognised, "this is not a service as scutil lists it");
            continue;
        };
        reader.mark(span, LineState::Understood);
        let lower = kind.to_ascii_lowercase();
        let of = match () {
            () if lower.starts_with("ipsec") || lower.contains("ikev2") || lower.ends_with("l2tp") => TunnelKind::Ipsec,
            () if lower.ends_with("pptp") => TunnelKind::Pptp,
            () if lower.contains("wireguard") => TunnelKind::WireGuard,
            () => TunnelKind::TlsVpn,
        };
        let mut tunnel = Tunnel::new(of, TunnelRole::Client, "", span);
        tunnel.name = Some(name.to_owned());
        tunnel.settings.push(TunnelSetting { name: "VPNType".into(), value: kind.to_owned(), span });
        tunnel.unmodelled.push(Unmodelled::routes(span));
        reader.device.tunnels.push(tunnel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_is_a_vpn_of_which_little_is_known() {
        let text = "Available network connection services in the current set (*=enabled):\n\
            * (Disconnected)   8A2C0B1E-0000-4000-8000-0123456789AB IPSec            \"Office\"      [IPSec]\n\
            * (Connected)      9A2C0B1E-0000-4000-8000-0123456789AB VPN (com.wireguard.macos) \"Acme \"x\"\" [VPN:com.wireguard.macos]\n";
        let (file, reading) = MACOS_VPN_SERVICES.read_text("services.txt", text);
        assert_eq!(crate::vendors::detect(&file).first().map(|d| d.0.id), Some("macos-vpn-services"));
        let found: Vec<_> = reading.device.tunnels.iter().map(|t| (t.kind, t.title().to_owned())).collect();
        assert_eq!(found, [(TunnelKind::Ipsec, "Office".to_owned()), (TunnelKind::WireGuard, "Acme \"x\"".to_owned())]);
        for end in 0..text.len() {
            let (file, reading) = MACOS_VPN_SERVICES.read_text("s", &text[..end]);
            assert_eq!(reading.lines[&file.id].len(), file.line_count());
        }
    }
}
