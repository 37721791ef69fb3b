//! Peers of servers: which addresses each may use, and whether its keys are its own.

use std::collections::BTreeMap;

use super::{Run, is_client, is_server};
use crate::diag::{Finding, Label};
use crate::model::{Device, Peer, TunnelKind, TunnelRole};
use crate::net::{Family, format_interval, prefix_bounds};
use crate::source::Span;

/// What people call a peer: its name, or the first characters of its public key, as `wg` shows it in its logs.
pub(super) fn peer_name(peer: &Peer) -> String {
    match (&peer.name, &peer.public_key) {
        (Some(name), _) => name.clone(),
        (None, Some((key, _))) => format!("{}…", key.chars().take(8).collect::<String>()),
        (None, None) => "a peer without a name".into(),
    }
}

pub(super) fn minimal_allowed_ips(run: &mut Run<'_, '_>) {
    // An OpenVPN server gives out addresses itself.
    for (device, tunnel) in run.tunnels(is_server).into_iter().filter(|(_, t)| t.kind == TunnelKind::WireGuard) {
        for peer in &tunnel.peers {
            for (net, span) in &peer.allowed {
                let (family, lo, hi) = prefix_bounds(*net);
                if lo == hi || is_site(run, family, lo, hi) {
                    continue;
                }
                let prefix = format_interval(family, lo, hi);
                let name = peer_name(peer);
                let message = if net.prefix() == 0 {
                    format!("the peer {name} may use every {} address as its own, and gets all traffic", family.name())
                } else {
                    format!("the peer {name} may use all of {prefix} as its own")
                };
                let mut finding = Finding::new(message, Label::new(*span, ""));
                finding.fix = Some(
                    "Give a person's device one address (/32 and /128). If a network lies behind this peer, name it as a zone with exactly this prefix."
                        .into(),
                );
                run.say(device, format!("{name} {prefix}"), finding);
            }
        }
    }
}

/// A network behind a peer that the baseline knows: a zone has exactly this prefix among its addresses, and does not itself lie behind a
/// tunnel of whoever connects (as a pool of client addresses does).
fn is_site(run: &Run<'_, '_>, family: Family, lo: u128, hi: u128) -> bool {
    run.world.zones.iter().any(|z| !z.internet && z.through.is_empty() && z.addresses(family).intervals().contains(&(lo, hi)))
}

/// WireGuard sends each packet to the peer with the longest prefix; the same prefix twice belongs to the peer that was configured last
/// (wg(8), `allowed-ips`).
pub(super) fn no_overlapping_allowed_ips(run: &mut Run<'_, '_>) {
    for (device, tunnel) in run.tunnels(|_| true).into_iter().filter(|(_, t)| t.kind == TunnelKind::WireGuard) {
        let mut all: Vec<(Family, u128, std::cmp::Reverse<u128>, usize, Span)> = Vec::new();
        for (i, peer) in tunnel.peers.iter().enumerate() {
            for (net, span) in &peer.allowed {
                let (family, lo, hi) = prefix_bounds(*net);
                all.push((family, lo, std::cmp::Reverse(hi), i, *span));
            }
        }
        all.sort_unstable();
        all.dedup_by_key(|e| (e.0, e.1, e.2, e.3));
        // Prefixes nest or are apart: those that hold the current one are a stack.
        let mut open: Vec<usize> = Vec::new();
        for i in 0..all.len() {
            let (family, lo, hi, peer, span) = all[i];
            while open.last().is_some_and(|&o| all[o].0 != family || all[o].2.0 < lo) {
                open.pop();
            }
            if let Some(&other) = open.iter().rev().find(|&&o| all[o].3 != peer) {
                let outer = all[other];
                let (a, b) = (peer_name(&tunnel.peers[peer]), peer_name(&tunnel.peers[outer.3]));
                let prefix = format_interval(family, lo, hi.0);
                let message = if (outer.1, outer.2) == (lo, hi) {
                    format!("{prefix} is given to two peers, {b} and {a}: only the last one gets it")
                } else {
                    format!("{prefix} of {a} lies inside {} of {b}", format_interval(family, outer.1, outer.2.0))
                };
                let mut finding = Finding::new(message, Label::new(span, format!("of {a}")));
                finding.related.push(Label::new(outer.4, format!("of {b}")));
                run.say(device, format!("{a} {b} {prefix}"), finding);
            }
            open.push(i);
        }
    }
}

/// Where a key is written.
struct Use<'w> {
    device: &'w Device,
    span: Span,
    what: String,
    /// Public keys of this end and of the other, where both are known.
    ends: Option<(&'w str, &'w str)>,
}

pub(super) fn unique_keys(run: &mut Run<'_, '_>) {
    // The same private key has the same label; the public key of each end is compared as text, so that a key also counts where only one
    // of its ends shows the private part.
    let mut private: BTreeMap<String, Vec<Use<'_>>> = BTreeMap::new();
    let mut shared: BTreeMap<String, Vec<Use<'_>>> = BTreeMap::new();
    // A certificate is about one key: where the key was cut out of an export, it tells whether two devices have the same.
    let mut certified: BTreeMap<&str, (bool, Vec<Use<'_>>)> = BTreeMap::new();
    let mut elsewhere: Vec<(&Device, Span)> = Vec::new();
    let redactor = run.world.redactor;
    for (device, tunnel) in run.tunnels(|_| true) {
        let shown = tunnel.private_key.is_some() || tunnel.public_key.is_some() || tunnel.peers.iter().any(|p| p.preshared_key.is_some());
        let keyed = match tunnel.kind {
            TunnelKind::WireGuard | TunnelKind::OpenVpn => true,
            // A site's end is no user's; PPTP and L2TP have no keys but passwords.
            TunnelKind::Ipsec | TunnelKind::TlsVpn | TunnelKind::Sstp => tunnel.role == TunnelRole::Client,
            _ => false,
        };
        let certificate = tunnel.setting("certificate");
        if let Some(certificate) = certificate {
            let (cut, uses) = certified.entry(&certificate.value).or_default();
            *cut |= tunnel.private_key.is_none();
            uses.push(Use { device, span: certificate.span, what: tunnel.interface.clone(), ends: None });
        }
        if is_client(tunnel) && keyed && !shown && certificate.is_none() {
            elsewhere.push((device, tunnel.setting("key").map_or(tunnel.span, |s| s.span)));
        }
        let label = tunnel.private_key.and_then(|s| redactor.label(s.0).map(|l| (l, s.0)));
        match (&tunnel.public_key, label) {
            (Some((key, span)), label) => {
                let span = label.map_or(*span, |l| l.1);
                private.entry(key.clone()).or_default().push(Use { device, span, what: tunnel.interface.clone(), ends: None });
            }
            (None, Some((label, span))) => {
                private.entry(label.to_string()).or_default().push(Use { device, span, what: tunnel.interface.clone(), ends: None });
            }
            (None, None) => {}
        }
        let mut seen: BTreeMap<&str, &Peer> = BTreeMap::new();
        for peer in &tunnel.peers {
            if let Some((key, span)) = &peer.public_key
                && let Some(first) = seen.insert(key, peer)
            {
                let message = format!(
                    "the peers {} and {} have the same public key: WireGuard takes them for one",
                    peer_name(first),
                    peer_name(peer)
                );
                let mut finding = Finding::new(message, Label::new(*span, ""));
                finding.related.extend(first.public_key.as_ref().map(|(_, s)| Label::new(*s, "first here")));
                run.say(device, key.as_str(), finding);
            }
        }
        // A pre-shared key belongs to a pair: the server has one per peer, and each client its own. An OpenVPN static key is one of a pair too.
        if is_server(tunnel) || is_client(tunnel) {
            let mut own: BTreeMap<String, (Span, Vec<String>, Option<&str>)> = BTreeMap::new();
            for peer in &tunnel.peers {
                if let Some(secret) = peer.preshared_key
                    && let Some(label) = redactor.label(secret.0)
                {
                    let other = peer.public_key.as_ref().map(|(key, _)| key.as_str());
                    own.entry(label.to_string()).or_insert((secret.0, vec![], other)).1.push(peer_name(peer));
                }
            }
            for (label, (span, mut peers, other)) in own {
                peers.sort();
                peers.dedup();
                if is_server(tunnel) && peers.len() > 1 && tunnel.kind == TunnelKind::WireGuard {
                    let message = format!("one pre-shared key for {} peers: {}", peers.len(), list(&peers));
                    run.say(device, peers.join(" "), Finding::new(message, Label::new(span, "")));
                }
                if is_client(tunnel) {
                    // Of IPsec the names of the ends stand for their keys.
                    let id = |name: &str| tunnel.setting(name).map(|s| s.value.trim_start_matches('@'));
                    let named = (tunnel.kind == TunnelKind::Ipsec).then(|| id("local-id").zip(id("remote-id"))).flatten();
                    let ends = tunnel.public_key.as_ref().map(|(key, _)| key.as_str()).zip(other).or(named);
                    shared.entry(label).or_default().push(Use { device, span, what: tunnel.interface.clone(), ends });
                }
            }
        }
    }
    keys_elsewhere(run, &elsewhere);
    private.extend(certified.into_iter().filter(|(_, (cut, _))| *cut).map(|(text, (_, uses))| (text.to_owned(), uses)));
    for (uses, what) in private.into_values().map(|u| (u, "private key")).chain(shared.into_values().map(|u| (u, "pre-shared key"))) {
        let mut devices: Vec<&str> = uses.iter().map(|u| u.device.name.as_str()).collect();
        devices.sort_unstable();
        devices.dedup();
        if devices.len() < 2 || is_pair(&uses) {
            continue;
        }
        let names: Vec<String> = devices.iter().map(|d| (*d).to_owned()).collect();
        let message = format!("one {what} on {} devices: {}", names.len(), list(&names));
        let mut finding = Finding::new(message, Label::new(uses[0].span, format!("{} of {}", uses[0].what, uses[0].device.name)));
        finding.related = uses.iter().skip(1).map(|u| Label::new(u.span, format!("{} of {}", u.what, u.device.name))).collect();
        finding.fix = Some("Make a new key on every device but one (`wg genkey`), and put its public key on the server.".into());
        run.say(uses[0].device, format!("{what} {}", names.join(" ")), finding);
    }
}

/// Says in one finding whose keys were not read: one for each device would say no more.
fn keys_elsewhere(run: &mut Run<'_, '_>, clients: &[(&Device, Span)]) {
    let Some((first, span)) = clients.first() else { return };
    let mut names: Vec<String> = clients.iter().map(|(d, _)| d.name.clone()).collect();
    names.dedup();
    let message = format!("whether others have the VPN keys of {} too is not known: their keys are not in what was read", list(&names));
    let places = clients.iter().take(6).map(|(d, span)| run.head(*span, format!("the key of {} is elsewhere", d.name))).collect();
    let mut finding = Finding::unknown(message, run.head(*span, ""), places);
    finding.fix = Some("Export the files with the keys inside (their text is never shown), or accept this with a waiver.".into());
    run.say(first, "keys that were not read", finding);
}

/// Whether these are the two ends of one tunnel, each with the other as its peer: a pre-shared key is theirs in common.
fn is_pair(uses: &[Use<'_>]) -> bool {
    match uses {
        [a, b] => a.ends.zip(b.ends).is_some_and(|((own, other), (their_own, their_other))| own == their_other && other == their_own),
        _ => false,
    }
}

/// Names, with no more of them than a sentence can hold.
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => "nobody".into(),
        [one] => one.clone(),
        [rest @ .., last] if names.len() <= 6 => format!("{} and {last}", rest.join(", ")),
        _ => format!("{} and {} more", names[..5].join(", "), names.len() - 5),
    }
}
