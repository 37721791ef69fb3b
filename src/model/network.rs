//! Interfaces, routes and host settings.

use ipnetwork::IpNetwork;

use crate::source::Span;

/// A network interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Addresses with the length of their prefix.
    pub addresses: Vec<IpNetwork>,
    /// Whether it is administratively up; `None` where the file does not say.
    pub up: Option<bool>,
    /// Where it is written.
    pub span: Span,
}

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Destination; the default route is `0.0.0.0/0` or `::/0`.
    pub to: IpNetwork,
    /// Departure interface, where named.
    pub interface: Option<String>,
    /// Next hop, where there is one.
    pub via: Option<std::net::IpAddr>,
    /// Lower wins among equal prefixes; 0 where not written (IPv6: the kernel's default 1024 is written by `ip -6 route`).
    pub metric: u32,
    /// Kind other than unicast (`blackhole`, `unreachable`, `local` …), as `ip route` writes it.
    pub kind: Option<String>,
    /// Where it is written.
    pub span: Span,
}

/// A setting of the host: a sysctl (`net.ipv4.ip_forward`), a service's option.
#[derive(Clone, Debug)]
pub struct HostSetting {
    /// Dotted name, sysctl names with dots.
    pub name: String,
    /// Value as written.
    pub value: String,
    /// Where it is written.
    pub span: Span,
}
