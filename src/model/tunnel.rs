//! VPN tunnels: WireGuard interfaces, OpenVPN clients and servers.

use ipnetwork::IpNetwork;

use crate::source::Span;

/// A secret, by the place where it is written. Two secrets are the same when the run's redactor gives their spans the same label; the
/// text itself never enters the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Secret(pub Span);

/// Protocol family of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TunnelKind {
    /// WireGuard.
    WireGuard,
    /// OpenVPN.
    OpenVpn,
}

impl TunnelKind {
    /// Name as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            TunnelKind::WireGuard => "WireGuard",
            TunnelKind::OpenVpn => "OpenVPN",
        }
    }
}

/// Which end of the tunnel a configuration is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TunnelRole {
    /// Connects to somebody.
    Client,
    /// Is connected to.
    Server,
    /// Neither can be told from the configuration.
    Peer,
}

/// One tunnel interface as configured.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Protocol family.
    pub kind: TunnelKind,
    /// Which end this is.
    pub role: TunnelRole,
    /// Interface name (`wg0`, `tun0`); a family of names for a bare `dev tun`.
    pub interface: String,
    /// The whole of its configuration (its `[Interface]` section, its first line).
    pub span: Span,
    /// Addresses of the tunnel interface.
    pub addresses: Vec<(IpNetwork, Span)>,
    /// Name servers used while the tunnel is up.
    pub dns: Vec<Dns>,
    /// The transport it listens on or is bound to: protocol number (6, 17) and port, where said or defaulted.
    pub listen: Option<(u8, u16, Span)>,
    /// This end's private key.
    pub private_key: Option<Secret>,
    /// This end's public key in its usual text form, derived from the private key where the protocol allows it.
    pub public_key: Option<(String, Span)>,
    /// Destinations that are routed into the tunnel by this configuration (client), or pushed to clients (server).
    pub routes: Vec<VpnRoute>,
    /// The other ends.
    pub peers: Vec<Peer>,
    /// What is offered or required of cryptography, each thing one entry.
    pub crypto: Vec<CryptoOffer>,
    /// Other settings that checks ask for, by the name that the format gives them (`remote-cert-tls`, `PostUp`).
    pub settings: Vec<TunnelSetting>,
}

impl Tunnel {
    /// The first setting of a name.
    pub fn setting(&self, name: &str) -> Option<&TunnelSetting> {
        self.settings.iter().find(|s| s.name == name)
    }
}

/// A name server or search domain of a tunnel.
#[derive(Clone, Debug)]
pub struct Dns {
    /// The name server's address; `None` for a search domain.
    pub server: Option<std::net::IpAddr>,
    /// As written.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// A destination that goes through the tunnel.
#[derive(Clone, Debug)]
pub struct VpnRoute {
    /// Destination.
    pub to: IpNetwork,
    /// Explicitly kept out of the tunnel (OpenVPN `route … net_gateway`).
    pub excluded: bool,
    /// Where it is written.
    pub span: Span,
}

/// The other end of a tunnel.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Name from a comment, a file name or a certificate's common name, where there is one.
    pub name: Option<String>,
    /// Public key in its usual text form.
    pub public_key: Option<(String, Span)>,
    /// Pre-shared key.
    pub preshared_key: Option<Secret>,
    /// Where it is reached.
    pub endpoint: Option<Endpoint>,
    /// Inner addresses that it may use and that are routed to it.
    pub allowed: Vec<(IpNetwork, Span)>,
    /// Seconds between keep-alives, 0 for none.
    pub keepalive: Option<u32>,
    /// The peer's whole section.
    pub span: Span,
}

/// Host and port of a tunnel's far end.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Name or address as written, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protocol number: 6 or 17.
    pub protocol: u8,
    /// Where it is written.
    pub span: Span,
}

/// What a piece of cryptography is used for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CryptoUse {
    /// Cipher of the data channel.
    Cipher,
    /// Digest of the data channel.
    Digest,
    /// Diffie-Hellman group or elliptic curve.
    KeyExchange,
    /// Least TLS version.
    TlsVersion,
    /// TLS cipher suite.
    TlsCipher,
    /// Size of a key in bits.
    KeySize,
    /// Compression (leaks plaintext length: VORACLE).
    Compression,
}

/// One algorithm that is offered, accepted or, by default, in force.
#[derive(Clone, Debug)]
pub struct CryptoOffer {
    /// What for.
    pub usage: CryptoUse,
    /// Name in upper case as the format writes it: `AES-256-GCM`, `SHA1`, `1.0`, `2048`.
    pub name: String,
    /// Not written, but the default of the software.
    pub default: bool,
    /// Where it is written, or the tunnel's configuration if it is a default.
    pub span: Span,
}

/// Another setting of a tunnel.
#[derive(Clone, Debug)]
pub struct TunnelSetting {
    /// Name as the format writes it.
    pub name: String,
    /// Value; empty for a flag. Never a secret.
    pub value: String,
    /// Where it is written.
    pub span: Span,
}
