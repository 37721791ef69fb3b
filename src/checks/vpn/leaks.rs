//! What leaves a device outside its tunnels, exactly: routes, VPN client and host firewall together, while the VPN is up and while it is down.

use super::is_client;
use super::routing::{Pushed, pushed, routes};
use super::server::{Narrowed, narrowed};
use crate::checks::place::{cross, opening, without};
use crate::checks::{Workers, Zone, killswitch};
use crate::diag::Label;
use crate::eval::flow::{Passing, Query, Want, passing};
use crate::eval::{Analysis, Limit, Missing, Way};
use crate::model::{Device, LOOPBACK, NamePattern, PolicyRouting, Tunnel, VpnRoute};
use crate::net::{Family, Ranges, prefix_bounds, to_number};
use crate::packets::{Cube, Dim, Field};
use crate::source::Span;

/// Whether the VPN is up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// Its routes are there, and its interface.
    Up,
    /// Neither is: it is off, or broke down.
    Down,
}

impl State {
    /// Both, in the order in which they are shown.
    pub const ALL: [State; 2] = [State::Up, State::Down];

    /// As a word of a sentence and of JSON.
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Down => "down",
        }
    }
}

/// A destination with its kind, as the longest match compares them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Routed {
    /// Length of the prefix.
    pub length: u8,
    /// First and last address.
    pub to: (u128, u128),
    /// It leads into the tunnel.
    pub inside: bool,
}

/// The destinations that go into a tunnel: the longest prefix decides. Of equal ones that of the host wins, because one that is there already
/// cannot be added again (`EEXIST` of rtnetlink(7)), and because wg-quick(8) asks the main table first for all but the default route
/// (`suppress_prefixlength 0`); of two default routes the tunnel's wins.
pub fn inside(mut routes: Vec<Routed>) -> Ranges {
    routes.sort_unstable_by_key(|r| (r.length, r.inside == (r.length == 0), r.to));
    let mut set = Ranges::EMPTY;
    for group in routes.chunk_by(|a, b| (a.length, a.inside) == (b.length, b.inside)) {
        let these = Ranges::from_intervals(group.iter().map(|r| r.to).collect());
        set = if group[0].inside { set.or(&these) } else { set.minus(&these) };
    }
    set
}

/// Addresses to which a packet can go beyond the link. Not among them: this network, loopback, link-local, multicast and broadcast addresses
/// (RFC 6890); of IPv6 what is no global unicast or unique local address.
pub fn beyond_the_link(family: Family) -> Ranges {
    match family {
        Family::V4 => {
            let not = [(0, 0xff_ffff), (0x7f00_0000, 0x7fff_ffff), (0xa9fe_0000, 0xa9fe_ffff), (0xe000_0000, 0xefff_ffff)];
            Ranges::from_intervals(not.to_vec()).or(&Ranges::single(u128::from(u32::MAX))).complement(family.max_address())
        }
        Family::V6 => super::routing::everything(family),
    }
}

/// What leaves a device outside its tunnels.
#[derive(Default)]
pub struct Leaks {
    /// The packets that open a connection there, each with the line that lets it out. Their conditions are those of the device. Later fragments
    /// are left out.
    pub boxes: Vec<Passing>,
    /// What the tunnels need to come up and is let out too, where anything leaks.
    pub own: Vec<Passing>,
    /// Why it is not known whether this is all.
    pub unknown: Vec<Label>,
    /// No route of the host was exported: whatever network it is in may be reached beside the tunnel too.
    pub local_routes_unknown: bool,
    /// A rule of the tunnel's own keeps everything in: it stands from when the tunnel is brought up until it is taken down on purpose.
    pub own_rule: Option<Span>,
}

/// Whose leaks are asked for.
pub struct Subject<'w, 'a> {
    /// Every device that was read, among them the servers that push routes.
    pub devices: &'w [Device],
    /// The device, as packets see it.
    pub analysis: &'w Analysis<'a>,
}

impl Subject<'_, '_> {
    fn device(&self) -> &Device {
        self.analysis.device
    }

    /// The tunnels of which the device is a client.
    pub fn clients(&self) -> Vec<&Tunnel> {
        self.device().tunnels.iter().filter(|t| is_client(t)).collect()
    }

    /// Destinations that the routes lead around the tunnels, and why that is not known for certain.
    fn around(&self, clients: &[&Tunnel], family: Family) -> (Ranges, Vec<Label>) {
        let mut unknown = Vec::new();
        let mut limits: Vec<Ranges> = Vec::new();
        let mut all: Vec<Routed> = Vec::new();
        for tunnel in clients {
            let source = pushed(self.devices, tunnel);
            all.extend(routes(tunnel, &source).into_iter().filter_map(|r| of_tunnel(r, family)));
            if let Pushed::Unknown(label) = source {
                unknown.push(label);
            }
            match narrowed(self.devices, tunnel) {
                Narrowed::Unknown => unknown.push(Label::new(tunnel.span, "the server may agree to less than this asks for")),
                by => limits.extend(by.limit(family)),
            }
            let parts = tunnel.unmodelled.iter().filter(|u| u.routes);
            unknown.extend(parts.map(|u| Label::new(u.span, "it may change the routes")));
        }
        if !matches!(self.device().policy_routing(family), PolicyRouting::Main) {
            let rule = self.device().routing_rules.iter().flatten().next();
            unknown.extend(rule.map(|r| Label::new(r.span, "rules choose among several routing tables")));
        }
        all.extend(of_host(self.device(), clients, family));
        let mut taken = inside(all);
        match limits.as_slice() {
            [] => {}
            [limit] if clients.len() == 1 => taken = taken.and(limit),
            // Which of several tunnels takes what is not told apart here.
            _ => unknown.extend(clients.first().map(|t| Label::new(t.span, "a server agrees to a part of this only"))),
        }
        (beyond_the_link(family).minus(&taken), unknown)
    }

    /// Each tunnel with the destinations that go into it while it is up, and why that is not known for certain.
    pub fn taken(&self, family: Family) -> Vec<(&Tunnel, Ranges, Vec<Label>)> {
        let clients = self.clients();
        let (around, unknown) = self.around(&clients, family);
        let inside = beyond_the_link(family).minus(&around);
        let one = |tunnel: &Tunnel| {
            let source = pushed(self.devices, tunnel);
            self::inside(routes(tunnel, &source).into_iter().filter_map(|r| of_tunnel(r, family)).collect()).and(&inside)
        };
        clients.into_iter().map(|t| (t, one(t), unknown.clone())).collect()
    }

    /// The packets of a family that leave outside the tunnels. What a tunnel needs to come up (its own packets to the server, DHCP) is no leak.
    ///
    /// # Errors
    /// A bound of the analysis was hit, or the export does not show what the host firewall lets out.
    pub fn leaks(&self, family: Family, state: State) -> Result<Leaks, Why> {
        let device = self.device();
        let clients = self.clients();
        let mut out = Leaks { local_routes_unknown: device.routes.is_none() && device.interfaces.is_none(), ..Leaks::default() };
        if device.switched_off(family) {
            return Ok(out);
        }
        if device.has_filter()
            && let Some(missing) = self.analysis.missing(Way::Output, family)
        {
            return Err(Why::NotExported(missing));
        }
        out.own_rule = clients.iter().map(|t| super::own_kill_switch(t)).find_map(|o| if family == Family::V4 { o.v4 } else { o.v6 });
        if state == State::Down && out.own_rule.is_none() {
            out.own_rule = clients.iter().find_map(|t| super::closed_while_down(t));
        }
        if out.own_rule.is_some() {
            return Ok(out);
        }
        let destinations = match state {
            State::Up => {
                let (around, unknown) = self.around(&clients, family);
                out.unknown = unknown;
                around
            }
            State::Down => beyond_the_link(family),
        };
        let parts = clients.iter().flat_map(|t| &t.unmodelled).filter(|u| u.filter);
        out.unknown.extend(parts.map(|u| Label::new(u.span, "it may change the packet filter")));
        // Later fragments open nothing: they belong to a packet whose first one is asked about.
        let beside = Cube::of(Dim::field(Field::Oif), self.outside(family), family);
        let beside = beside.and_then(|c| c.with(Dim::field(Field::Fragment), &Ranges::interval(0, 1), family));
        let beside: Vec<Cube> = beside.into_iter().collect();
        let far: Vec<Cube> = Cube::of(Dim::field(Field::Dst), destinations, family).into_iter().collect();
        let query = Query::new(Way::Output, family, Want::Accepted);
        let own = killswitch::allowed(&clients, family);
        let passing = |far: &[Cube]| passing(self.analysis, query, &cross(&beside, &[opening(family)]), far).map_err(Why::Limit);
        out.boxes = passing(&without(&far, &own, family))?;
        if !out.boxes.is_empty() {
            out.own = passing(&cross(&far, &own))?;
        }
        Ok(out)
    }

    /// The interfaces that are neither a tunnel nor the loopback, by number.
    pub fn outside(&self, family: Family) -> Ranges {
        let clients = self.clients();
        let through = clients.iter().filter_map(|t| t.interfaces()).chain(LOOPBACK.map(NamePattern::exact));
        let inner = through.fold(Ranges::single(0), |s, p| s.or(&self.analysis.space.interfaces(&p)));
        inner.complement(Field::Oif.max(family))
    }
}

/// Why there is no answer.
pub enum Why {
    /// The export does not show what the host firewall lets out.
    NotExported(Missing),
    /// A bound was hit.
    Limit(Limit),
}

pub(super) fn of_tunnel(route: &VpnRoute, family: Family) -> Option<Routed> {
    let (f, lo, hi) = prefix_bounds(route.to);
    (f == family).then_some(Routed { length: route.to.prefix(), to: (lo, hi), inside: !route.excluded })
}

/// The routes of the host's own table and the networks of its interfaces, those of the tunnels aside. The route to a VPN server is what the VPN
/// itself needs.
fn of_host(device: &Device, clients: &[&Tunnel], family: Family) -> Vec<Routed> {
    let inner = |name: &str| clients.iter().filter_map(|t| t.interfaces()).any(|p| p.matches(name)) || crate::model::is_loopback(name);
    let ends: Vec<(Family, u128)> =
        clients.iter().flat_map(|t| &t.peers).filter_map(|p| crate::net::parse_addr(&p.endpoint.as_ref()?.host)).collect();
    let written = device.routes.iter().flatten().filter(|r| !r.interface.as_deref().is_some_and(inner));
    let written = written.filter(|r| !matches!(r.kind.as_deref(), Some("blackhole" | "unreachable" | "prohibit" | "throw" | "local")));
    let connected = device.interfaces.iter().flatten().filter(|i| !inner(&i.name)).flat_map(|i| &i.addresses);
    let all = written.map(|r| r.to).chain(connected.copied());
    all.map(|net| (prefix_bounds(net), net.prefix()))
        .filter(|((f, lo, hi), length)| *f == family && *length > 0 && !(lo == hi && ends.contains(&(*f, *lo))))
        .map(|((_, lo, hi), length)| Routed { length, to: (lo, hi), inside: false })
        .collect()
}

/// Routes of the host, through a gateway, that lead around the tunnels whatever these take: by a longer prefix.
pub(super) fn beside(device: &Device, clients: &[&Tunnel], family: Family) -> Vec<(Routed, Span)> {
    let known = of_host(device, clients, family);
    let far = device.routes.iter().flatten().filter(|r| r.via.is_some());
    far.filter_map(|r| {
        let (_, lo, hi) = prefix_bounds(r.to);
        known.iter().find(|k| k.to == (lo, hi) && k.length == r.to.prefix()).map(|k| (*k, r.span))
    })
    .collect()
}

/// What of the destinations must go through the tunnel by the baseline: everything, unless it declares a part.
pub fn wanted_inside(workers: Option<&Workers>, zones: &[Zone], family: Family) -> Ranges {
    let declared = workers.and_then(|w| super::routing::declared(w, zones, family));
    declared.unwrap_or_else(|| beyond_the_link(family))
}

/// Name servers of the tunnels with whether packets to them go into a tunnel.
pub fn name_servers(subject: &Subject<'_, '_>, family: Family) -> Vec<(std::net::IpAddr, bool, Span)> {
    let clients = subject.clients();
    let (around, _) = subject.around(&clients, family);
    let mut out = Vec::new();
    for dns in clients.iter().flat_map(|t| &t.dns) {
        let Some(server) = dns.server else { continue };
        let (f, n) = to_number(server);
        if f == family {
            out.push((server, !around.contains(n), dns.span));
        }
    }
    out
}
