//! What the files of firewalld say, in firewalld's words: zones, policies, services, ip sets, ICMP types.

use crate::net::{Family, Ranges, parse_addr, parse_cidr, protocol_number, service_port};
use crate::source::Span;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Said<T> {
    pub value: T,
    pub span: Span,
}

/// Ports of a protocol.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Port {
    pub ports: Ranges,
    pub protocol: u8,
}

/// `<forward-port>`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ForwardPort {
    pub from: Port,
    pub to_ports: Option<Ranges>,
    pub to_address: Option<(Family, u128)>,
}

/// What stands for a place in the network: of a zone's `<source>`, or of a rich rule.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Place {
    /// Addresses of a family.
    Addresses(Family, Ranges),
    /// A MAC address.
    Mac(u128),
    /// A named ip set.
    Set(String),
}

/// A zone or a policy.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub name: String,
    /// Where it is defined; of a shipped one, what brings it in.
    pub span: Span,
    /// Nobody wrote it: firewalld ships it.
    pub shipped: bool,
    /// One of several files that make up the zone.
    pub combined: bool,
    /// Something is said of the whole that is not understood: it may be switched off.
    pub doubtful: bool,
    pub target: Target,
    pub priority: i32,
    pub services: Vec<Said<String>>,
    pub ports: Vec<Said<Port>>,
    pub source_ports: Vec<Said<Port>>,
    pub protocols: Vec<Said<u8>>,
    pub icmp_blocks: Vec<Said<String>>,
    pub inversion: Option<Span>,
    pub forward: Option<Span>,
    pub masquerade: Option<Span>,
    pub forward_ports: Vec<Said<ForwardPort>>,
    pub rules: Vec<Rich>,
    /// Of a zone: the interfaces bound to it, with `*` as their last character for a beginning.
    pub interfaces: Vec<Said<String>>,
    /// Of a zone: the sources bound to it.
    pub sources: Vec<Said<Place>>,
    /// Of a policy.
    pub ingress: Vec<Said<String>>,
    /// Of a policy.
    pub egress: Vec<Said<String>>,
}

/// What happens to what no rule of a zone or policy decides about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// Of zones: ICMP is let through, everything else rejected.
    Default,
    Accept,
    Reject,
    Drop,
    /// Of policies: the next one decides.
    Continue,
}

impl Target {
    /// The target of a word; zones and policies write some differently.
    pub fn of(word: &str) -> Option<Target> {
        Some(match word {
            "default" | "{chain}_{zone}" | "" => Target::Default,
            "ACCEPT" => Target::Accept,
            "%%REJECT%%" | "REJECT" => Target::Reject,
            "DROP" => Target::Drop,
            "CONTINUE" => Target::Continue,
            _ => return None,
        })
    }
}

impl Body {
    /// An empty one.
    pub fn new(name: impl Into<String>, span: Span, target: Target) -> Body {
        Body {
            name: name.into(),
            span,
            shipped: false,
            combined: false,
            doubtful: false,
            target,
            priority: 0,
            services: vec![],
            ports: vec![],
            source_ports: vec![],
            protocols: vec![],
            icmp_blocks: vec![],
            inversion: None,
            forward: None,
            masquerade: None,
            forward_ports: vec![],
            rules: vec![],
            interfaces: vec![],
            sources: vec![],
            ingress: vec![],
            egress: vec![],
        }
    }

    /// Adds what another file of the same zone says (`zones/NAME/*.xml`).
    pub fn combine(&mut self, other: Body) {
        if other.target != Target::Default {
            self.target = other.target;
        }
        self.priority = if other.priority == 0 { self.priority } else { other.priority };
        self.services.extend(other.services);
        self.ports.extend(other.ports);
        self.source_ports.extend(other.source_ports);
        self.protocols.extend(other.protocols);
        self.icmp_blocks.extend(other.icmp_blocks);
        self.inversion = self.inversion.or(other.inversion);
        self.forward = self.forward.or(other.forward);
        self.masquerade = self.masquerade.or(other.masquerade);
        self.forward_ports.extend(other.forward_ports);
        self.rules.extend(other.rules);
        self.interfaces.extend(other.interfaces);
        self.sources.extend(other.sources);
    }
}

/// A rich rule.
#[derive(Clone, Debug)]
pub(super) struct Rich {
    pub span: Span,
    pub family: Option<Family>,
    pub priority: i32,
    pub source: Option<(Place, bool)>,
    pub destination: Option<(Place, bool)>,
    pub element: Element,
    pub log: Option<Option<String>>,
    pub audit: Option<Option<String>>,
    pub action: Option<Verdict>,
    /// The limit of the action.
    pub limit: Option<String>,
    /// Something in it is not understood: what.
    pub unknown: Option<String>,
}

/// What a rich rule is about.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Element {
    None,
    Service(String),
    Port(Port),
    SourcePort(Port),
    Protocol(u8),
    IcmpBlock(String),
    IcmpType(String),
    Masquerade,
    ForwardPort(ForwardPort),
    MssClamp,
}

/// The action of a rich rule.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Verdict {
    Accept,
    Reject(Option<String>),
    Drop,
    Mark(String),
}

impl Rich {
    pub fn new(span: Span) -> Rich {
        Rich {
            span,
            family: None,
            priority: 0,
            source: None,
            destination: None,
            element: Element::None,
            log: None,
            audit: None,
            action: None,
            limit: None,
            unknown: None,
        }
    }

    /// Says what is not understood, unless something else already was.
    pub fn puzzle(&mut self, what: impl Into<String>) {
        self.unknown.get_or_insert(what.into());
    }
}

/// A service.
#[derive(Clone, Default, Debug)]
pub(super) struct Service {
    pub ports: Vec<Port>,
    pub source_ports: Vec<Port>,
    pub protocols: Vec<u8>,
    pub includes: Vec<String>,
    /// To which addresses it is limited, by family.
    pub destinations: Vec<(Family, Ranges)>,
    /// Something in it is not understood.
    pub unknown: Option<String>,
}

/// An ip set.
#[derive(Clone, Debug)]
pub(super) struct IpSet {
    pub name: String,
    pub span: Span,
    /// `net` of `hash:net`; several of one with several dimensions.
    pub parts: Vec<String>,
    pub family: Family,
    /// Elements come and go by themselves.
    pub timeout: bool,
    pub entries: Vec<Said<String>>,
}

/// Reads `22`, `8000-8080`, `8000:8080` or a name.
pub(super) fn ports(text: &str, protocol: Option<u8>) -> Option<Ranges> {
    let one = |s: &str| {
        let s = s.trim();
        s.parse::<u16>().ok().or_else(|| service_port(s, protocol))
    };
    if let Some(n) = one(text) {
        return Some(Ranges::single(n.into()));
    }
    let (lo, hi) = text.split_once(['-', ':'])?;
    let (lo, hi) = (one(lo)?, one(hi)?);
    (lo <= hi).then(|| Ranges::interval(lo.into(), hi.into()))
}

/// A protocol with ports: tcp, udp, sctp or dccp (firewalld `check_tcpudp`).
pub(super) fn port(port: &str, protocol: &str) -> Option<Port> {
    let number = matches!(protocol, "tcp" | "udp" | "sctp" | "dccp").then(|| protocol_number(protocol)).flatten()?;
    Some(Port { ports: ports(port, Some(number))?, protocol: number })
}

/// A protocol by name or number.
pub(super) fn protocol(text: &str) -> Option<u8> {
    text.parse().ok().or_else(|| protocol_number(text))
}

/// Addresses, with a netmask or prefix.
pub(super) fn addresses(text: &str) -> Option<(Family, Ranges)> {
    if let Some((family, n)) = parse_addr(text) {
        return Some((family, Ranges::single(n)));
    }
    let (family, lo, hi) = parse_cidr(text)?;
    Some((family, Ranges::interval(lo, hi)))
}

/// A MAC address as a number.
pub(super) fn mac(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() != 6 || parts.iter().any(|p| p.len() != 2 || !p.bytes().all(|b| b.is_ascii_hexdigit())) {
        return None;
    }
    u128::from_str_radix(&parts.concat(), 16).ok()
}

/// An address, a MAC address, or `ipset:NAME`.
pub(super) fn place(text: &str) -> Option<Place> {
    if let Some(name) = text.strip_prefix("ipset:") {
        return Some(Place::Set(name.to_owned()));
    }
    if let Some(n) = mac(text) {
        return Some(Place::Mac(n));
    }
    addresses(text).map(|(f, r)| Place::Addresses(f, r))
}

/// A port to be forwarded, from its written parts; empty ones are not there.
pub(super) fn forward_port(from: &str, protocol: &str, to_port: &str, to_addr: &str) -> Option<ForwardPort> {
    let from = port(from, protocol)?;
    let to_ports = match to_port {
        "" => None,
        text => Some(ports(text, Some(from.protocol))?),
    };
    let to_address = match to_addr {
        "" => None,
        text => Some(parse_addr(text)?),
    };
    (to_ports.is_some() || to_address.is_some()).then_some(ForwardPort { from, to_ports, to_address })
}
