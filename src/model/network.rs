//! Interfaces, routes and host settings.

use ipnetwork::IpNetwork;

use crate::net::Family;
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
    /// Other names by which people and the configuration know it (`wan`, `Guest WLAN`), unique on the device.
    pub aliases: Vec<String>,
    /// It also has addresses that the configuration cannot show (DHCP, PPP, router advertisements), by family.
    pub dynamic: Vec<Family>,
    /// Where it is written.
    pub span: Span,
}

impl Interface {
    /// An interface without addresses or further names, of which nothing says whether it is up.
    pub fn new(name: impl Into<String>, span: Span) -> Interface {
        Interface { name: name.into(), addresses: Vec::new(), up: None, aliases: Vec::new(), dynamic: Vec::new(), span }
    }
}

/// Names of the loopback interface: on Linux, on the BSDs and macOS, and on Windows (`netsh interface ip show interfaces`).
pub const LOOPBACK: [&str; 3] = ["lo", "lo0", "Loopback Pseudo-Interface 1"];

/// Whether an interface of this name is the loopback.
pub fn is_loopback(name: &str) -> bool {
    LOOPBACK.contains(&name)
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

/// A rule that says which routing table decides about a packet (Linux policy routing).
#[derive(Clone, Debug)]
pub struct RoutingRule {
    /// The packets' family; `None` where the export does not say it: either.
    pub family: Option<Family>,
    /// Rules are asked in ascending order.
    pub preference: u32,
    /// Whether it is about some packets only.
    pub selects: bool,
    /// What decides about them.
    pub table: RoutingTable,
    /// Where it is written.
    pub span: Span,
}

/// What a routing rule leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoutingTable {
    /// Addresses of the host itself.
    Local,
    /// The table of [`super::Device::routes`].
    Main,
    /// Another one.
    Named(String),
    /// No table: a jump among the rules, or the end of the packet.
    None,
    /// Something that is not modelled.
    Unknown,
}

/// Who decides about the way of a device's packets beside the main table.
#[derive(Clone, Debug)]
pub enum PolicyRouting<'d> {
    /// Nobody.
    Main,
    /// These routes too, for some packets.
    Routes(Vec<&'d Route>),
    /// Tables too that are not shown.
    Unknown,
}

/// A setting that the device has, and whose value its export does not show: a check that asks for it is answered with "unknown".
#[derive(Clone, Debug)]
pub struct UnseenSetting {
    /// Dotted name, as of [`HostSetting`].
    pub name: String,
    /// Why the value is not known, as the end of a sentence.
    pub why: String,
    /// The command that shows it.
    pub export: &'static str,
    /// What stands for it.
    pub span: Span,
}
