//! VPN tunnels: WireGuard interfaces, OpenVPN clients and servers, IPsec connections and others.

use ipnetwork::IpNetwork;

use super::{Fact, NamePattern};
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
    /// IPsec with IKE, also where L2TP runs inside it.
    Ipsec,
    /// L2TP on its own, which encrypts nothing.
    L2tp,
    /// PPTP, whose encryption is broken.
    Pptp,
    /// SSTP: PPP over TLS.
    Sstp,
    /// A vendor's VPN over TLS ("SSL VPN", AnyConnect, OpenConnect).
    TlsVpn,
}

impl TunnelKind {
    /// Name as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            TunnelKind::WireGuard => "WireGuard",
            TunnelKind::OpenVpn => "OpenVPN",
            TunnelKind::Ipsec => "IPsec",
            TunnelKind::L2tp => "L2TP",
            TunnelKind::Pptp => "PPTP",
            TunnelKind::Sstp => "SSTP",
            TunnelKind::TlsVpn => "TLS VPN",
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
    /// Interface name (`wg0`, `tun0`); a family of names for a bare `dev tun`. Empty for tunnels without an interface (IPsec policies).
    pub interface: String,
    /// What the configuration calls it, where that is something else than the interface (`to-branch`).
    pub name: Option<String>,
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
    /// What is offered or required of cryptography, each thing one entry: of all proposals, not only of the first.
    pub crypto: Vec<CryptoOffer>,
    /// Inner traffic that the tunnel takes, as pairs of places (IPsec traffic selectors); empty where routes and allowed addresses decide.
    pub selectors: Vec<Selector>,
    /// Users need a second factor; `None`: the configuration cannot show it, or there are no users.
    pub second_factor: Option<Fact<bool>>,
    /// Other settings that checks ask for, by the name that the format gives them (`remote-cert-tls`, `PostUp`).
    pub settings: Vec<TunnelSetting>,
    /// What is not modelled and may change where traffic goes while the tunnel is up.
    pub unmodelled: Vec<Unmodelled>,
}

/// A part of a tunnel's configuration that is not modelled (a command that it runs, another routing table), with what it may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unmodelled {
    /// Which traffic goes into the tunnel.
    pub routes: bool,
    /// What the device's packet filter lets out.
    pub filter: bool,
    /// Which name servers are asked.
    pub names: bool,
    /// Where it is written.
    pub span: Span,
}

impl Unmodelled {
    /// It may change anything.
    pub fn anything(span: Span) -> Unmodelled {
        Unmodelled { routes: true, filter: true, names: true, span }
    }

    /// It may change routes and nothing else.
    pub fn routes(span: Span) -> Unmodelled {
        Unmodelled { routes: true, filter: false, names: false, span }
    }
}

/// Traffic between two places inside a tunnel.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Networks on this side.
    pub local: Vec<IpNetwork>,
    /// Networks on the other side.
    pub remote: Vec<IpNetwork>,
    /// Where it is written.
    pub span: Span,
}

impl Tunnel {
    /// A tunnel of which nothing else is known yet.
    pub fn new(kind: TunnelKind, role: TunnelRole, interface: impl Into<String>, span: Span) -> Tunnel {
        Tunnel {
            kind,
            role,
            interface: interface.into(),
            name: None,
            span,
            addresses: vec![],
            dns: vec![],
            listen: None,
            private_key: None,
            public_key: None,
            routes: vec![],
            peers: vec![],
            crypto: vec![],
            selectors: vec![],
            second_factor: None,
            settings: vec![],
            unmodelled: vec![],
        }
    }

    /// What to call it: its own name, its interface, or its protocol.
    pub fn title(&self) -> &str {
        match (&self.name, self.interface.as_str()) {
            (Some(name), _) => name,
            (None, "") => self.kind.name(),
            (None, interface) => interface,
        }
    }

    /// The interfaces that may be the tunnel's: the one that it names, or whichever of a family is free (`dev tun` of openvpn(8)). `None` where
    /// the configuration names none: then no interface is known to be the tunnel.
    pub fn interfaces(&self) -> Option<NamePattern> {
        match (self.kind, self.interface.as_str()) {
            (_, "") => None,
            (TunnelKind::OpenVpn, "tun" | "tap") => Some(NamePattern::prefix(&*self.interface)),
            (_, name) => Some(NamePattern::exact(name)),
        }
    }

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

impl Peer {
    /// A peer of which nothing else is known yet.
    pub fn new(span: Span) -> Peer {
        Peer { name: None, public_key: None, preshared_key: None, endpoint: None, allowed: vec![], keepalive: None, span }
    }
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
    /// Version of IKE: `1`, `1-AGGRESSIVE` or `2`.
    IkeVersion,
    /// Pseudo-random function of IKE.
    Prf,
    /// How an end proves who it is: `PSK`, `RSA`, `ECDSA`, `CERTIFICATE`, `PASSWORD`, `EAP-TLS`, `EAP-MSCHAPV2`, `XAUTH`, `PAP`, `CHAP`,
    /// `MSCHAPV2`, `NONE`.
    Authentication,
}

/// To which part of a tunnel's protocol a piece of cryptography belongs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CryptoLayer {
    /// The protocol has only one, or it cannot be told.
    Whole,
    /// The exchange of keys: IKE, phase 1, the TLS handshake.
    Control,
    /// What carries the packets: ESP, phase 2, the data channel.
    Data,
}

impl CryptoLayer {
    /// Name for people; empty for the whole.
    pub fn name(self) -> &'static str {
        match self {
            CryptoLayer::Whole => "",
            CryptoLayer::Control => "key exchange",
            CryptoLayer::Data => "data",
        }
    }
}

/// One algorithm that is offered, accepted or, by default, in force.
#[derive(Clone, Debug)]
pub struct CryptoOffer {
    /// What for.
    pub usage: CryptoUse,
    /// Which part of the protocol.
    pub layer: CryptoLayer,
    /// Name in upper case. Ciphers: `AES-256-GCM`, `AES-128-CBC`, `CHACHA20-POLY1305`, `3DES-CBC`, `DES-CBC`, `NULL`. Digests and pseudo-random
    /// functions: `MD5`, `SHA1`, `SHA256`, `SHA384`, `SHA512`. Key exchange: `DH-2048` (MODP group of so many bits: IKE groups 1, 2, 5, 14, 15, 16
    /// are `DH-768`, `DH-1024`, `DH-1536`, `DH-2048`, `DH-3072`, `DH-4096`), `SECP256R1`, `X25519`, `NONE` (no perfect forward secrecy).
    /// TLS versions `1.0` to `1.3`, key sizes `2048`. A format's own spelling is turned into these where the meaning is the same, else kept.
    pub name: String,
    /// Not written, but the default of the software.
    pub default: bool,
    /// The default of some versions of the software that are in use, and not of others.
    pub perhaps: bool,
    /// Where it is written, or the tunnel's configuration if it is a default.
    pub span: Span,
}

impl CryptoOffer {
    /// An algorithm that is written at `span`; the name is put in upper case.
    pub fn written(usage: CryptoUse, name: &str, span: Span) -> CryptoOffer {
        CryptoOffer { usage, layer: CryptoLayer::Whole, name: name.to_ascii_uppercase(), default: false, perhaps: false, span }
    }
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
