//! Both ends of each connection of IPsec, and of the protocols over TLS and PPP: do they expect each other, and can they agree?

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::crypto::{Profile, aead_only};
use super::ends::{Ends, id};
use super::keys::list;
use super::pairing::{Index, server_peer};
use super::{Run, is_client, is_fragment};
use crate::checks::World;
use crate::diag::{Finding, Label};
use crate::model::{CryptoLayer, CryptoOffer, CryptoUse, Device, Endpoint, Secret, Selector, Tunnel, TunnelKind, TunnelRole};
use crate::net::{Family, Ranges, format_addresses, parse_addr, prefix_bounds, to_number};

/// Connections that an orphan is compared with in its finding.
const SHOWN: usize = 4;

/// Pairs the ends of IPsec.
pub(super) fn ipsec(run: &mut Run<'_, '_>, index: &Index<'_>) {
    let ends = Ends::new(run.world.devices);
    let chosen: BTreeSet<&str> = run.devices.iter().map(|d| d.name.as_str()).collect();
    let numbers: HashMap<&str, usize> = run.world.devices.iter().enumerate().map(|(i, d)| (d.name.as_str(), i)).collect();
    let mut named: BTreeMap<(String, String), Vec<(&Device, &Tunnel)>> = BTreeMap::new();
    for (device, tunnel) in run.tunnels(|t| t.kind == TunnelKind::Ipsec && t.setting("L2TP").is_none()) {
        let Some(at) = numbers.get(device.name.as_str()).copied() else { continue };
        if tunnel.role == TunnelRole::Client
            && let Some(own) = id(tunnel, "local-id").filter(|n| parse_addr(n).is_none())
        {
            named.entry((own, far(tunnel))).or_default().push((device, tunnel));
        }
        let open = tunnel.role == TunnelRole::Server && tunnel.peers.iter().all(|p| p.endpoint.is_none());
        if open {
            people(run, index, device, tunnel);
            continue;
        }
        let others = ends.of_ipsec((at, tunnel));
        match others.as_slice() {
            [] => orphan(run, &ends, (at, device), tunnel),
            [one] => {
                let Some(other) = run.world.devices.get(one.device) else { continue };
                let theirs = chosen.contains(other.name.as_str()) && one.tunnel.role != TunnelRole::Server;
                // Of two that are both looked at, the first one tells.
                if tunnel.role == TunnelRole::Client || !theirs || at < one.device {
                    Pair { a: (device, tunnel), b: (other, one.tunnel) }.compare(run);
                }
            }
            [..] => {
                let label = head(run, tunnel);
                let causes = others.iter().take(SHOWN).filter_map(|o| Some((run.world.devices.get(o.device)?, o.tunnel)));
                let causes: Vec<Label> = causes.map(|(d, t)| run.head(t.span, format!("{} of {} may be", t.title(), d.name))).collect();
                let message = format!("which of several connections is the other end of {} cannot be told", tunnel.title());
                run.say(device, tunnel.title(), Finding::unknown(message, label, causes));
            }
        }
    }
    for ((own, _), uses) in named {
        let devices: BTreeSet<&str> = uses.iter().map(|(d, _)| d.name.as_str()).collect();
        if devices.len() < 2 {
            continue;
        }
        let at = |(d, t): &(&Device, &Tunnel)| t.setting("local-id").map(|s| Label::new(s.span, format!("{} calls itself so", d.name)));
        let mut labels = uses.iter().filter_map(at);
        let (Some(first), Some((device, _))) = (labels.next(), uses.first()) else { continue };
        let names: Vec<String> = devices.iter().map(|d| (*d).to_owned()).collect();
        let mut finding = Finding::new(format!("one identity, {own}, on {} devices: {}", names.len(), list(&names)), first);
        finding.related.extend(labels);
        finding.fix =
            Some("Give each device an identity and credentials of its own, so that one can be locked out without the others.".into());
        run.say(device, format!("identity {own}"), finding);
    }
}

/// Clients of protocols of which no more than the address of their server can be compared.
pub(super) fn others(run: &mut Run<'_, '_>) {
    let kinds = [TunnelKind::TlsVpn, TunnelKind::Sstp, TunnelKind::L2tp, TunnelKind::Pptp];
    let all = run.everywhere(|t| kinds.contains(&t.kind) && t.role == TunnelRole::Server && !is_fragment(t));
    for (device, tunnel) in run.tunnels(|t| is_client(t) && kinds.contains(&t.kind)) {
        let servers: Vec<_> = all.iter().filter(|(_, t)| t.kind == tunnel.kind).collect();
        let Some(end) = endpoints(tunnel).next().cloned() else {
            let label = head(run, tunnel);
            run.say(device, tunnel.title(), Finding::unknown("the client names no server", label.clone(), vec![label]));
            continue;
        };
        let label = Label::new(end.span, "");
        if servers.is_empty() {
            let message = format!("the client's server, {}, was not read", end.host);
            run.say(device, tunnel.title(), Finding::unknown(message, label.clone(), vec![label]));
            continue;
        }
        let owner = parse_addr(&end.host).map(|n| servers.iter().any(|(d, _)| owns(d, n)));
        let (message, causes) = match owner {
            Some(true) => continue,
            Some(false) => (format!("no {} server that was read has the address {}", tunnel.kind.name(), end.host), "this one has others"),
            None => (format!("whether {} is a server that was read cannot be told from its name", end.host), "it may be this one"),
        };
        let causes = servers.iter().take(SHOWN).map(|(d, t)| run.head(t.span, format!("{}: {causes}", d.name))).collect();
        run.say(device, tunnel.title(), Finding::unknown(message, label, causes));
    }
}

fn head(run: &Run<'_, '_>, tunnel: &Tunnel) -> Label {
    run.head(tunnel.span, "")
}

fn endpoints(tunnel: &Tunnel) -> impl Iterator<Item = &Endpoint> {
    tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref())
}

/// Whom a client expects, in words to compare.
fn far(tunnel: &Tunnel) -> String {
    id(tunnel, "remote-id").or_else(|| endpoints(tunnel).next().map(|e| e.host.to_ascii_lowercase())).unwrap_or_default()
}

fn owns(device: &Device, address: (Family, u128)) -> bool {
    device.interfaces.iter().flatten().flat_map(|i| &i.addresses).any(|a| to_number(a.ip()) == address)
}

/// A server that takes whoever comes: the names of those who may are all that shows who they are.
fn people(run: &mut Run<'_, '_>, index: &Index<'_>, device: &Device, tunnel: &Tunnel) {
    let mut known = false;
    for peer in tunnel.peers.iter().filter(|p| p.name.is_some()) {
        known = true;
        server_peer(run, index, (device, tunnel), peer);
    }
    if known {
        return;
    }
    let by: BTreeSet<&str> = offers(tunnel, CryptoUse::Authentication, CryptoLayer::Control).iter().map(|o| proof(&o.name)).collect();
    let who = if by.contains("PSK") {
        "everybody who has the shared key"
    } else if by.contains("certificate") {
        "every certificate of its authority"
    } else {
        "every account that its user database accepts"
    };
    let label = head(run, tunnel);
    let message = format!("who can connect was not looked at: the server takes {who}, and these are in no configuration");
    let mut finding = Finding::unknown(message, label.clone(), vec![label]);
    finding.fix = Some("Compare the list of certificates or accounts with the roster, and take leavers out.".into());
    run.say(device, format!("{} people", tunnel.title()), finding);
}

/// A connection whose other end was not found.
fn orphan(run: &mut Run<'_, '_>, ends: &Ends<'_>, (at, device): (usize, &Device), tunnel: &Tunnel) {
    let end = endpoints(tunnel).next();
    let label = end.map_or_else(|| head(run, tunnel), |e| Label::new(e.span, ""));
    let host = match end.map(|e| e.host.clone()).or_else(|| id(tunnel, "remote-id")) {
        Some(host) => host,
        None => {
            let message = format!("who is at the other end of {} is not told", tunnel.title());
            return run.say(device, tunnel.title(), Finding::unknown(message, label.clone(), vec![label]));
        }
    };
    let owner = parse_addr(&host).and_then(|n| ends.owner(n, at)).and_then(|i| run.world.devices.get(i));
    let Some(owner) = owner else {
        let message = format!("the other end of {}, {host}, is no device that was read", tunnel.title());
        return run.say(device, tunnel.title(), Finding::unknown(message, label.clone(), vec![label]));
    };
    let theirs: Vec<&Tunnel> = owner.tunnels.iter().filter(|t| t.kind == TunnelKind::Ipsec).collect();
    if theirs.is_empty() {
        let message = format!("the other end of {} is {}, of which no IPsec was read", tunnel.title(), owner.name);
        return run.say(device, tunnel.title(), Finding::unknown(message, label.clone(), vec![label]));
    }
    // By its names each of them is somebody else's: then this is certain.
    let (own, wanted) = (id(tunnel, "local-id"), id(tunnel, "remote-id"));
    let differs = |x: &Option<String>, y: &Option<String>| x.as_ref().zip(y.as_ref()).is_some_and(|(x, y)| !super::ends::same_name(x, y));
    let stranger = |t: &&Tunnel| differs(&wanted, &id(t, "local-id")) || differs(&own, &id(t, "remote-id"));
    let expects = |t: &&Tunnel| {
        let name = |n: Option<String>| n.unwrap_or_else(|| "nobody in particular".into());
        let whom = id(t, "remote-id").or_else(|| endpoints(t).next().map(|e| e.host.clone()));
        run.head(t.span, format!("{} calls itself {}, and expects {}", t.title(), name(id(t, "local-id")), name(whom)))
    };
    let related: Vec<Label> = theirs.iter().take(SHOWN).map(expects).collect();
    let message = format!("no connection of {} fits {}, which ends there", owner.name, tunnel.title());
    let finding = if theirs.iter().all(stranger) {
        let mut finding = Finding::new(message, label);
        finding.related = related;
        finding.fix = Some("Let each end expect the name that the other one gives itself, or retire the connection.".into());
        finding
    } else {
        Finding::unknown(message, label, related)
    };
    run.say(device, tunnel.title(), finding);
}

fn offers(tunnel: &Tunnel, usage: CryptoUse, layer: CryptoLayer) -> Vec<&CryptoOffer> {
    tunnel.crypto.iter().filter(|o| o.usage == usage && (o.layer == layer || o.layer == CryptoLayer::Whole)).collect()
}

/// Ways to prove who one is, as far as they can be told apart.
fn proof(name: &str) -> &str {
    match name {
        "RSA" | "ECDSA" | "CERTIFICATE" | "ED25519" => "certificate",
        n if n.starts_with("EAP") => "EAP",
        n => n,
    }
}

/// Two ends that expect each other.
struct Pair<'w> {
    a: (&'w Device, &'w Tunnel),
    b: (&'w Device, &'w Tunnel),
}

/// What two ends have in common of one thing.
enum Common<'w> {
    /// These, each as the first end offers it.
    These(Vec<&'w CryptoOffer>),
    /// Nothing, for certain.
    Nothing,
    /// It depends on the version of the software.
    Perhaps,
    /// One end does not say.
    Unknown,
}

impl<'w> Pair<'w> {
    fn names(&self) -> (String, String) {
        let one = |(d, t): (&Device, &Tunnel)| format!("{} of {}", t.title(), d.name);
        (one(self.a), one(self.b))
    }

    fn compare(&self, run: &mut Run<'_, '_>) {
        self.versions(run);
        self.proofs(run);
        self.shared_keys(run);
        let profile = Profile::new(None, None);
        for layer in [CryptoLayer::Control, CryptoLayer::Data] {
            self.algorithms(run, layer, &profile);
        }
        if self.a.1.role == TunnelRole::Peer && self.b.1.role == TunnelRole::Peer {
            self.networks(run);
        }
    }

    fn say(&self, run: &mut Run<'_, '_>, what: &str, mut finding: Finding) {
        if finding.related.is_empty() {
            finding.related.push(run.head(self.b.1.span, "the other end"));
        }
        run.say(self.a.0, format!("{} and {}: {what}", self.a.1.title(), self.b.0.name), finding);
    }

    /// The labels of an end's offers, one or the whole.
    fn place(&self, run: &Run<'_, '_>, of: &[&CryptoOffer], tunnel: &Tunnel) -> Label {
        of.first().map_or_else(|| head(run, tunnel), |o| run.head(o.span, ""))
    }

    fn common(&self, usage: CryptoUse, layer: CryptoLayer) -> Common<'w> {
        let (a, b) = (offers(self.a.1, usage, layer), offers(self.b.1, usage, layer));
        if a.is_empty() || b.is_empty() {
            return Common::Unknown;
        }
        let same = |x: &CryptoOffer, y: &CryptoOffer| same_algorithm(&x.name, &y.name);
        let both: Vec<(&CryptoOffer, bool)> = a
            .iter()
            .filter_map(|x| {
                let mut fits = b.iter().filter(|y| same(x, y)).peekable();
                fits.peek()?;
                Some((*x, !x.perhaps && fits.any(|y| !y.perhaps)))
            })
            .collect();
        let firm: Vec<&CryptoOffer> = both.iter().filter(|(_, firm)| *firm).map(|(x, _)| *x).collect();
        match (firm.is_empty(), both.is_empty()) {
            (false, _) => Common::These(firm),
            (true, false) => Common::Perhaps,
            (true, true) => Common::Nothing,
        }
    }

    fn versions(&self, run: &mut Run<'_, '_>) {
        let of = |t: &'w Tunnel| offers(t, CryptoUse::IkeVersion, CryptoLayer::Control);
        let (a, b) = (of(self.a.1), of(self.b.1));
        let words = |l: &[&CryptoOffer]| list(&l.iter().map(|o| o.name.replace("-AGGRESSIVE", " in aggressive mode")).collect::<Vec<_>>());
        if a.is_empty() || b.is_empty() || !matches!(self.common(CryptoUse::IkeVersion, CryptoLayer::Control), Common::Nothing) {
            return;
        }
        let (left, right) = self.names();
        let message = format!("the ends have no version of IKE in common: {left} speaks {}, {right} {}", words(&a), words(&b));
        let mut finding = Finding::new(message, self.place(run, &a, self.a.1));
        finding.related.push(self.place(run, &b, self.b.1));
        finding.fix = Some("Set both ends to IKEv2.".into());
        self.say(run, "version", finding);
    }

    fn proofs(&self, run: &mut Run<'_, '_>) {
        let of = |t: &'w Tunnel| offers(t, CryptoUse::Authentication, CryptoLayer::Control);
        let (a, b) = (of(self.a.1), of(self.b.1));
        let set = |l: &[&'w CryptoOffer]| l.iter().map(|o| proof(&o.name)).collect::<BTreeSet<&str>>();
        let (x, y) = (set(&a), set(&b));
        if x.is_empty() || y.is_empty() || !x.is_disjoint(&y) {
            return;
        }
        let words = |s: &BTreeSet<&str>| list(&s.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        let (left, right) = self.names();
        let message = format!("the ends prove who they are in different ways: {left} by {}, {right} by {}", words(&x), words(&y));
        let mut finding = Finding::new(message, self.place(run, &a, self.a.1));
        finding.related.push(self.place(run, &b, self.b.1));
        self.say(run, "authentication", finding);
    }

    /// The keys themselves are never shown, only whether they are the same.
    fn shared_keys(&self, run: &mut Run<'_, '_>) {
        let psk = |t: &Tunnel| offers(t, CryptoUse::Authentication, CryptoLayer::Control).iter().any(|o| o.name == "PSK");
        if !psk(self.a.1) || !psk(self.b.1) {
            return;
        }
        let keys = |t: &Tunnel| t.peers.iter().filter_map(|p| p.preshared_key).collect::<Vec<Secret>>();
        let (a, b) = (keys(self.a.1), keys(self.b.1));
        let shown = |s: &Secret| is_plain(run.world, *s);
        let (left, right) = self.names();
        let missing =
            |list: &[Secret], name: &str| list.iter().find(|s| !shown(s)).map(|s| (s.0, format!("that of {name} is not readable as text")));
        let unread = missing(&a, &left).or_else(|| missing(&b, &right));
        let none =
            |list: &[Secret], t: &Tunnel, name: &str| list.is_empty().then(|| (t.span, format!("that of {name} is not in what was read")));
        let unread = unread.or_else(|| none(&a, self.a.1, &left)).or_else(|| none(&b, self.b.1, &right));
        if let Some((span, why)) = unread {
            let label = if none(&a, self.a.1, "").is_none() && none(&b, self.b.1, "").is_none() {
                Label::new(span, why)
            } else {
                run.head(span, why)
            };
            let message = format!("whether {left} and {right} have the same pre-shared key cannot be told");
            let place = a.first().map_or_else(|| head(run, self.a.1), |s| Label::new(s.0, ""));
            return self.say(run, "pre-shared key", Finding::unknown(message, place, vec![label]));
        }
        let label = |s: &Secret| run.world.redactor.label(s.0).map(|l| l.to_string());
        let same = a.iter().any(|x| b.iter().any(|y| label(x).is_some() && label(x) == label(y)));
        if let (false, Some(first), Some(second)) = (same, a.first(), b.first()) {
            let mut finding = Finding::new(format!("{left} and {right} have different pre-shared keys"), Label::new(first.0, ""));
            finding.related.push(Label::new(second.0, "of the other end"));
            self.say(run, "pre-shared key", finding);
        }
    }

    fn algorithms(&self, run: &mut Run<'_, '_>, layer: CryptoLayer, profile: &Profile) {
        let (left, right) = self.names();
        let mut weak: Vec<(String, &CryptoOffer)> = Vec::new();
        let mut ciphers: Vec<&CryptoOffer> = Vec::new();
        for usage in [CryptoUse::Cipher, CryptoUse::Digest, CryptoUse::KeyExchange] {
            let what = match usage {
                CryptoUse::Cipher => "cipher",
                CryptoUse::Digest => "digest",
                _ => "key exchange",
            };
            let of = |t: &'w Tunnel| offers(t, usage, layer);
            let (a, b) = (of(self.a.1), of(self.b.1));
            // A cipher that authenticates by itself needs no digest.
            let unneeded = usage == CryptoUse::Digest && ciphers.iter().any(|o| is_aead(&o.name));
            match self.common(usage, layer) {
                Common::These(common) => {
                    let bare = aead_only(self.a.1, layer) || aead_only(self.b.1, layer);
                    weak.extend(common.iter().filter_map(|o| Some((profile.weak(o, bare)?, *o))));
                    if usage == CryptoUse::Cipher {
                        ciphers = common;
                    }
                }
                Common::Nothing if unneeded => {}
                Common::Nothing => {
                    let words = |l: &[&CryptoOffer]| {
                        let names: BTreeSet<&str> = l.iter().map(|o| o.name.as_str()).collect();
                        list(&names.into_iter().map(str::to_owned).collect::<Vec<_>>())
                    };
                    let then =
                        if usage == CryptoUse::KeyExchange && layer == CryptoLayer::Data { ", and fail when keys are renewed" } else { "" };
                    let message = format!(
                        "the ends have no {what} for the {} in common{then}: {left} offers {}, {right} {}",
                        layer.name(),
                        words(&a),
                        words(&b)
                    );
                    let mut finding = Finding::new(message, self.place(run, &a, self.a.1));
                    finding.related.push(self.place(run, &b, self.b.1));
                    finding.fix = Some("Offer the same on both ends.".into());
                    self.say(run, &format!("{what} {}", layer.name()), finding);
                }
                Common::Perhaps => {
                    let label = self.place(run, &a, self.a.1);
                    let message =
                        format!("whether the ends have a {what} for the {} in common depends on the version of the software", layer.name());
                    self.say(run, &format!("{what} {}", layer.name()), Finding::unknown(message, label.clone(), vec![label]));
                }
                // That the other end does not say what it offers is told where its algorithms are judged.
                Common::Unknown if usage == CryptoUse::Cipher => {
                    let silent = if a.is_empty() { self.a.1 } else { self.b.1 };
                    let label = head(run, silent);
                    let message =
                        format!("what the ends agree on for the {} cannot be told: one of them does not say what it offers", layer.name());
                    self.say(run, &format!("{what} {}", layer.name()), Finding::unknown(message, label.clone(), vec![label]));
                }
                Common::Unknown => {}
            }
        }
        if let Some((_, first)) = weak.first() {
            let mut names: Vec<String> = weak.iter().map(|w| w.0.clone()).collect();
            names.dedup();
            let message = format!("both ends accept what is weak for the {}, and may agree on it: {}", layer.name(), list(&names));
            let mut finding = Finding::new(message, run.head(first.span, ""));
            finding.related.push(run.head(self.b.1.span, "the other end accepts it too"));
            finding.fix = Some("Take it out of the proposals of both ends.".into());
            self.say(run, &format!("weak {}", layer.name()), finding);
        }
    }

    /// Each end's networks are the other end's far side. With IKEv2 they agree on what both take (RFC 7296, section 2.9); with IKEv1 on nothing.
    fn networks(&self, run: &mut Run<'_, '_>) {
        let (left, right) = (&self.a.1.selectors, &self.b.1.selectors);
        if left.is_empty() || right.is_empty() {
            return;
        }
        for family in Family::BOTH {
            let set = |l: &[ipnetwork::IpNetwork]| {
                let nets = l.iter().map(|n| prefix_bounds(*n)).filter(|b| b.0 == family);
                Ranges::from_intervals(nets.map(|b| (b.1, b.2)).collect())
            };
            let mine: Vec<(Ranges, Ranges, &Selector)> = left.iter().map(|s| (set(&s.local), set(&s.remote), s)).collect();
            let theirs: Vec<(Ranges, Ranges, &Selector)> = right.iter().map(|s| (set(&s.remote), set(&s.local), s)).collect();
            let alone =
                |list: &[(Ranges, Ranges, &'w Selector)], others: &[(Ranges, Ranges, &'w Selector)]| -> Option<(&'w Selector, bool)> {
                    let full = |s: &(Ranges, Ranges, &Selector)| !s.0.is_empty() && !s.1.is_empty();
                    let missing = list.iter().filter(|s| full(s)).find(|s| !others.iter().any(|o| o.0 == s.0 && o.1 == s.1))?;
                    let partly = others.iter().any(|o| o.0.overlaps(&missing.0) && o.1.overlaps(&missing.1));
                    Some((missing.2, partly))
                };
            let (name_a, name_b) = self.names();
            let found = alone(&mine, &theirs)
                .map(|m| (m, &name_a, &name_b, right))
                .or_else(|| alone(&theirs, &mine).map(|m| (m, &name_b, &name_a, left)));
            let Some(((selector, partly), name, other, others)) = found else { continue };
            let takes =
                |s: &Selector| format!("{} to {}", format_addresses(family, &set(&s.local)), format_addresses(family, &set(&s.remote)));
            let tail = if partly { "only what both take can pass" } else { "this traffic cannot pass" };
            let message = format!(
                "the networks of the ends do not mirror each other: {name} takes {}, and {other} nothing that is the same; {tail}",
                takes(selector)
            );
            let mut finding = Finding::new(message, run.head(selector.span, ""));
            finding.related.extend(others.iter().take(SHOWN).map(|s| run.head(s.span, format!("{other}: {}", takes(s)))));
            finding.fix = Some("Write the same two networks on both ends, each as its own and as the other's.".into());
            self.say(run, &format!("networks {}", family.name()), finding);
        }
    }
}

fn is_aead(name: &str) -> bool {
    ["-GCM", "-CCM", "-POLY1305"].iter().any(|end| name.ends_with(end))
}

/// Whether two names mean the same algorithm: where one says no length of key (`AES-ANY-CBC`), any will do.
fn same_algorithm(a: &str, b: &str) -> bool {
    let any = |x: &str, y: &str| {
        x.split_once("ANY").is_some_and(|(start, end)| y.len() >= start.len() + end.len() && y.starts_with(start) && y.ends_with(end))
    };
    a == b || any(a, b) || any(b, a)
}

/// Whether a key is readable as text. Some firewalls write it encrypted with a key of their own (FortiOS `ENC`, FortiClient `Enc`), others as
/// base64 or hexadecimal (`0s`, `0x` of ipsec.secrets(5)), and some exports have stars in its place: these are not comparable.
fn is_plain(world: &World<'_>, secret: Secret) -> bool {
    let file = world.sources.get(secret.0.file);
    let text = file.slice(secret.0).trim();
    let lower: String = text.chars().take(4).collect::<String>().to_ascii_lowercase();
    let line_start = crate::source::Span { file: secret.0.file, start: 0, end: secret.0.start };
    let before = file.slice(line_start);
    let before: String = before.chars().rev().take(6).collect::<String>().to_ascii_uppercase();
    // The text before, backwards: `"CNE` of `ENC "…`.
    let encrypted = before.trim_start_matches([' ', '"']).starts_with("CNE") && before.starts_with([' ', '"']);
    let hidden = text.is_empty() || text.chars().all(|c| matches!(c, '*' | 'x' | 'X' | '.')) || text.starts_with('<');
    !(encrypted || hidden || lower.starts_with("enc ") || lower.starts_with("0x") || lower.starts_with("0s") || lower.starts_with("{"))
}
