//! What a VPN's own configuration says: which traffic it takes, with which cryptography, and who is at its other end.
//!
//! Everything here is read from tunnels alone; what needs the packets that a host firewall lets through is asked of other kinds.

mod crypto;
pub mod ends;
mod ike_pairs;
mod keys;
pub mod leaks;
mod pairing;
mod routing;
mod server;
mod settings;
mod standards;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_yaml::Value;

use super::body::{self, OneOrMany};
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, select};
use crate::diag::{Finding, Label};
use crate::model::{Device, Tunnel, TunnelKind, TunnelRole};
use crate::source::Span;

/// The kind.
pub static VPN: Kind = Kind { id: "vpn", page: include_str!("../vpn.md"), parse, schema };

/// What is asked of the tunnels.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Aspect {
    /// Clients send all traffic, or exactly the declared part, through the tunnel; IPv6 too.
    FullTunnel,
    /// Clients ask name servers that are reached through the tunnel.
    DnsThroughTunnel,
    /// No weak algorithm is offered or accepted.
    Crypto,
    /// Every peer of a WireGuard server has single addresses only.
    MinimalAllowedIps,
    /// No two peers of a WireGuard server have the same address.
    NoOverlappingAllowedIps,
    /// No key is used in two places.
    UniqueKeys,
    /// Every client has its peer on a server, and every peer of a server belongs to somebody.
    Paired,
    /// OpenVPN clients make sure that the other end is a server.
    VerifyServer,
    /// OpenVPN's control channel is protected by a key of its own.
    TlsAuth,
    /// Nothing is compressed before it is encrypted.
    NoCompression,
    /// An OpenVPN server does not let several clients use one certificate.
    NoDuplicateCn,
    /// An OpenVPN server does not pass traffic between its clients.
    ClientIsolation,
    /// Logging in to a VPN takes a second factor, where the configuration shows it.
    SecondFactor,
    /// Sessions of a VPN end, where the configuration shows it.
    SessionsEnd,
}

/// An aspect with what can be set about it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// What is asked.
    aspect: Aspect,
    /// For `crypto`: what is weak, instead of the list that the page shows.
    weak: Option<Weak>,
    /// For `crypto`: a published profile; whatever it does not allow is weak too.
    profile: Option<standards::Standard>,
}

/// Which algorithms are weak: names, `*` stands for anything.
#[derive(Deserialize, JsonSchema, Clone, Default)]
#[serde(deny_unknown_fields)]
struct Weak {
    /// Ciphers of the data channel.
    ciphers: Option<OneOrMany<String>>,
    /// Digests of the data channel.
    digests: Option<OneOrMany<String>>,
    /// Groups and curves of the key exchange.
    groups: Option<OneOrMany<String>>,
    /// Diffie-Hellman groups of fewer bits.
    dh_bits_below: Option<u32>,
    /// TLS versions that may be negotiated.
    tls_versions: Option<OneOrMany<String>>,
    /// TLS cipher suites.
    tls_ciphers: Option<OneOrMany<String>>,
}

fn schema(generator: &mut SchemaGenerator) -> Schema {
    let (word, full) = (generator.subschema_for::<Aspect>(), generator.subschema_for::<Body>());
    schemars::json_schema!({ "anyOf": [word, full] })
}

fn parse(value: &Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = if value.is_mapping() {
        body::read(value)?
    } else {
        let aspect: Aspect = body::read(value)?;
        Body { aspect, weak: None, profile: None }
    };
    if body.weak.is_some() && body.aspect != Aspect::Crypto {
        return Err(BodyError { path: "weak:".into(), message: "only the aspect crypto has a list of what is weak".into() });
    }
    if body.profile.is_some() && body.aspect != Aspect::Crypto {
        return Err(BodyError { path: "profile:".into(), message: "only the aspect crypto has a profile".into() });
    }
    Ok(Box::new(Vpn { aspect: body.aspect, profile: crypto::Profile::new(body.weak.as_ref(), body.profile) }))
}

struct Vpn {
    aspect: Aspect,
    profile: crypto::Profile,
}

impl Check for Vpn {
    fn scope(&self, _: &Spec) -> Scope {
        match self.aspect {
            Aspect::UniqueKeys | Aspect::Paired => Scope::Tunnels,
            // Of other devices at most servers are looked up ([`serves`]).
            _ => Scope::Device,
        }
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut run = Run { world, devices: select::devices(world, spec), outcome: Outcome::default(), considered: BTreeSet::new() };
        match self.aspect {
            Aspect::FullTunnel => routing::full_tunnel(&mut run),
            Aspect::DnsThroughTunnel => routing::dns_through_tunnel(&mut run),
            Aspect::Crypto => crypto::weak(&mut run, &self.profile),
            Aspect::MinimalAllowedIps => keys::minimal_allowed_ips(&mut run),
            Aspect::NoOverlappingAllowedIps => keys::no_overlapping_allowed_ips(&mut run),
            Aspect::UniqueKeys => keys::unique_keys(&mut run),
            Aspect::Paired => pairing::paired(&mut run),
            Aspect::VerifyServer => settings::verify_server(&mut run),
            Aspect::TlsAuth => settings::tls_auth(&mut run),
            Aspect::NoCompression => settings::no_compression(&mut run),
            Aspect::NoDuplicateCn => settings::no_duplicate_cn(&mut run),
            Aspect::ClientIsolation => settings::client_isolation(&mut run),
            Aspect::SecondFactor => settings::second_factor(&mut run),
            Aspect::SessionsEnd => settings::sessions_end(&mut run),
        }
        if matches!(self.aspect, Aspect::Crypto | Aspect::SecondFactor | Aspect::SessionsEnd) {
            // That a VPN is there at all is for `coverage` to ask.
            run.outcome.inapplicable = run.devices.iter().map(|d| d.name.clone()).collect();
            run.outcome.inapplicable_if_alone = true;
        }
        run.outcome.considered = run.considered.into_iter().map(str::to_owned).collect();
        run.outcome
    }
}

/// A check at work.
struct Run<'w, 'a> {
    world: &'w World<'a>,
    devices: Vec<&'w Device>,
    outcome: Outcome,
    considered: BTreeSet<&'w str>,
}

impl<'w> Run<'w, '_> {
    /// The tunnels of the devices that the check is about, and notes that these devices are looked at.
    fn tunnels(&mut self, wanted: impl Fn(&Tunnel) -> bool) -> Vec<(&'w Device, &'w Tunnel)> {
        let tunnels = self.devices.iter().flat_map(|d| d.tunnels.iter().map(move |t| (*d, t)));
        let found: Vec<_> = tunnels.filter(|(_, t)| !is_fragment(t) && wanted(t)).collect();
        self.considered.extend(found.iter().map(|(d, _)| d.name.as_str()));
        found
    }

    /// The tunnels of every device that was read: a pair has two ends, and a check may be about one of them.
    fn everywhere(&self, wanted: impl Fn(&Tunnel) -> bool) -> Vec<(&'w Device, &'w Tunnel)> {
        let tunnels = self.world.devices.iter().flat_map(|d| d.tunnels.iter().map(move |t| (d, t)));
        tunnels.filter(|(_, t)| wanted(t)).collect()
    }

    fn say(&mut self, device: &Device, subject: impl Into<String>, finding: Finding) {
        self.outcome.findings.push(finding.on(&device.name).about(subject));
    }

    /// A label at the first line of a configuration or section.
    fn head(&self, span: Span, text: impl Into<String>) -> Label {
        Label::new(head(self.world, span), text)
    }
}

/// The first line of a span that is more than blanks: a finding about a whole section points there.
pub(super) fn head(world: &World<'_>, span: Span) -> Span {
    let text = world.sources.get(span.file).slice(span);
    let start = text.len() - text.trim_start().len();
    let line = text.get(start..).unwrap_or("").lines().next().unwrap_or("").trim_end();
    Span { file: span.file, start: span.start + start as u32, end: span.start + (start + line.len()) as u32 }
}

/// What an OpenVPN server says about one client (`client-config-dir`): a part of a server, not a tunnel.
fn is_fragment(tunnel: &Tunnel) -> bool {
    tunnel.setting("client-config").is_some()
}

fn is_server(tunnel: &Tunnel) -> bool {
    tunnel.role == TunnelRole::Server && !is_fragment(tunnel)
}

/// Whether what this tunnel says may decide about the traffic of another device's client.
pub fn serves(tunnel: &Tunnel) -> bool {
    match tunnel.kind {
        // A pair of peers has the same rights: nothing is handed out.
        TunnelKind::WireGuard => false,
        TunnelKind::Ipsec => tunnel.role != TunnelRole::Client,
        _ => tunnel.role == TunnelRole::Server,
    }
}

/// A client, or a peer that knows where its other end is.
fn is_client(tunnel: &Tunnel) -> bool {
    !is_fragment(tunnel)
        && match tunnel.role {
            TunnelRole::Client => true,
            TunnelRole::Server => false,
            TunnelRole::Peer => tunnel.peers.iter().any(|p| p.endpoint.is_some()),
        }
}

fn is_openvpn(tunnel: &Tunnel) -> bool {
    tunnel.kind == TunnelKind::OpenVpn
}

/// OpenVPN with one secret for both ends instead of TLS.
fn is_static_key(tunnel: &Tunnel) -> bool {
    is_openvpn(tunnel) && tunnel.setting("secret").is_some() && !["tls-client", "tls-server"].iter().any(|s| tunnel.setting(s).is_some())
}

/// Whether a tunnel connects its device to somewhere: a VPN client for the purposes of the kind `coverage`.
pub fn is_vpn_client(tunnel: &Tunnel) -> bool {
    is_client(tunnel)
}

/// Where a tunnel's own settings stop traffic that would leave beside it, by family. This says nothing of what the host firewall does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnKillSwitch {
    /// For IPv4: wg-quick's `PostUp` with the rule that wg-quick(8) gives.
    pub v4: Option<Span>,
    /// For IPv6: the same. OpenVPN's `block-ipv6` is none: it answers what is routed into the tunnel, and routes nothing there (openvpn(8)).
    pub v6: Option<Span>,
}

/// The kill switch in a tunnel's own settings.
pub fn own_kill_switch(tunnel: &Tunnel) -> OwnKillSwitch {
    let at = |name: &str| tunnel.setting(name).map(|s| s.span);
    OwnKillSwitch { v4: at("kill-switch-v4"), v6: at("kill-switch-v6") }
}

/// Where a client's own settings let nothing out while its VPN is down, of either family; while it is up, they stop nothing.
pub fn closed_while_down(tunnel: &Tunnel) -> Option<Span> {
    tunnel.setting("closed-while-down").map(|s| s.span)
}
