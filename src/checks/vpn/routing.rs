//! Which traffic a VPN client sends through its tunnel.

use super::server::{Narrowed, naming, narrowed};
use super::{Run, is_client, is_fragment, is_openvpn, is_server, leaks, own_kill_switch};
use crate::checks::place::{cross, opening, without};
use crate::checks::{Workers, World, Zone, killswitch};
use crate::diag::{Finding, Label};
use crate::eval::flow::{Query, Want, hits};
use crate::eval::{Limit, Way};
use crate::model::{Device, LOOPBACK, NamePattern, Tunnel, TunnelKind, Unmodelled, VpnRoute};
use crate::net::{Family, Ranges, format_addresses, parse_cidr, prefix_bounds, to_number};
use crate::packets::{Cube, Dim, Field};
use crate::source::Span;

/// Where the routes and name servers of a tunnel come from.
pub(super) enum Pushed<'w> {
    /// The configuration says it all.
    Nothing,
    /// This server pushes what the client adds.
    By(&'w Tunnel),
    /// The server was not read, or cannot be told from others.
    Unknown(Label),
}

/// Settings by which a client takes no default route from its server, whatever that pushes: for IPv4 and for IPv6.
const NEVER_DEFAULT: [&str; 2] = ["never-default", "never-default-v6"];

/// Who pushes to an OpenVPN client: the server that was read and listens on the port to which the client connects.
pub(super) fn pushed<'w>(devices: &'w [Device], tunnel: &Tunnel) -> Pushed<'w> {
    let Some(pull) = tunnel.setting("pull") else { return Pushed::Nothing };
    if !is_openvpn(tunnel) {
        return Pushed::Unknown(Label::new(pull.span, "the server decides what is sent into the tunnel"));
    }
    // NetworkManager takes no default route from the server then; what else it takes is not known.
    if let Some(never) = tunnel.setting(NEVER_DEFAULT[0]) {
        return Pushed::Unknown(Label::new(
            never.span,
            "this keeps the default route off the VPN; what else the server pushes is not known",
        ));
    }
    if tunnel.setting("route-nopull").is_some() {
        return Pushed::Nothing;
    }
    if let Some(filter) = tunnel.setting("pull-filter") {
        return Pushed::Unknown(Label::new(filter.span, "what is taken of what the server pushes is not modelled"));
    }
    let listens = |server: &Tunnel| {
        let ports = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| (e.protocol, e.port));
        server.listen.is_some_and(|(protocol, port, _)| ports.clone().any(|p| p == (protocol, port)))
    };
    let servers = devices.iter().flat_map(|d| d.tunnels.iter().map(move |t| (d, t)));
    let servers: Vec<_> = servers.filter(|(_, t)| is_server(t) && is_openvpn(t) && listens(t)).collect();
    match servers.as_slice() {
        // What the server says about one client may take back what it pushes to all (openvpn(8), `--push-reset`, `--push-remove`).
        [(at, server)] => {
            let mut taken = at.tunnels.iter().filter(|t| is_fragment(t)).flat_map(|t| &t.settings);
            match taken.find(|s| matches!(s.name.as_str(), "push-reset" | "push-remove")) {
                Some(s) => Pushed::Unknown(Label::new(
                    s.span,
                    "for one client the server takes back what it pushes, and whose that is is not known",
                )),
                None => Pushed::By(server),
            }
        }
        [] => Pushed::Unknown(Label::new(pull.span, "the server decides, and no server on this port was read")),
        [..] => Pushed::Unknown(Label::new(pull.span, "the server decides, and several that were read listen on this port")),
    }
}

/// What goes through the tunnels of a device, as far as servers that were read agree to it.
fn taken(sources: &[(&Tunnel, Pushed<'_>)], limits: &[Narrowed<'_>], family: Family) -> Ranges {
    if !limits.iter().any(|l| matches!(l, Narrowed::By(_))) {
        let all: Vec<&VpnRoute> = sources.iter().flat_map(|(t, p)| routes(t, p)).collect();
        return routed(&all, family);
    }
    let mut set = Ranges::EMPTY;
    for ((tunnel, pushed), limit) in sources.iter().zip(limits) {
        let mut own = routed(&routes(tunnel, pushed), family);
        if let Some(limit) = limit.limit(family) {
            own = own.and(&limit);
        }
        set = set.or(&own);
    }
    set
}

/// Destinations that go through the tunnels, by family: the longest prefix decides, and at equal length the one that keeps traffic out.
fn routed(routes: &[&VpnRoute], family: Family) -> Ranges {
    let mut routes: Vec<_> = routes
        .iter()
        .map(|r| (prefix_bounds(r.to), r.to.prefix(), r.excluded))
        .filter(|((f, _, _), _, _)| *f == family)
        .map(|((_, lo, hi), length, excluded)| (length, excluded, lo, hi))
        .collect();
    routes.sort_unstable();
    let mut set = Ranges::EMPTY;
    for group in routes.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let these = Ranges::from_intervals(group.iter().map(|r| (r.2, r.3)).collect());
        set = if group[0].1 { set.minus(&these) } else { set.or(&these) };
    }
    set
}

/// The routes of a client, those that its server pushes included.
pub(super) fn routes<'w>(tunnel: &'w Tunnel, pushed: &Pushed<'w>) -> Vec<&'w VpnRoute> {
    let own = tunnel.routes.iter();
    match pushed {
        Pushed::By(server) => own.chain(server.routes.iter()).collect(),
        _ => own.collect(),
    }
}

pub(super) fn full_tunnel(run: &mut Run<'_, '_>) {
    let tunnels = run.tunnels(is_client);
    for group in tunnels.chunk_by(|a, b| a.0.name == b.0.name) {
        let device = group[0].0;
        let sources: Vec<_> = group.iter().map(|(_, t)| (*t, pushed(run.world.devices, t))).collect();
        let limits: Vec<_> = group.iter().map(|(_, t)| narrowed(run.world.devices, t)).collect();
        let all: Vec<&VpnRoute> = sources.iter().flat_map(|(t, p)| routes(t, p)).collect();
        let tunnel = group[0].1;
        let label = match all.first() {
            Some(route) => Label::new(route.span, "the tunnel takes this"),
            None => run.head(tunnel.span, "no route leads into the tunnel here"),
        };
        let unknown = sources.iter().find_map(|(_, p)| match p {
            Pushed::Unknown(label) => Some(label.clone()),
            _ => None,
        });
        let unmodelled = |what: fn(&Unmodelled) -> bool| group.iter().flat_map(|(_, t)| &t.unmodelled).find(|u| what(u));
        if let Some(part) = unmodelled(|u| u.routes) {
            let message = "which traffic the VPN takes depends on a part of its configuration that is not modelled";
            let cause = Label::new(part.span, "it may change the routes");
            run.say(device, tunnel.title(), Finding::unknown(message, label, vec![cause]));
            continue;
        }
        let filter = unmodelled(|u| u.filter);
        for family in Family::BOTH {
            let takes = taken(&sources, &limits, family);
            let (wanted, declared) = wanted(run, family);
            let tunnels: Vec<&Tunnel> = group.iter().map(|g| g.1).collect();
            led_around(run, device, &tunnels, &all, (family, &wanted));
            let missing = wanted.minus(&takes);
            if missing.is_empty() {
                if !wanted.is_empty() && limits.iter().any(|l| matches!(l, Narrowed::Unknown)) {
                    let message = format!(
                        "whether the VPN takes all that it should of {} depends on its server, which may agree to less",
                        family.name()
                    );
                    let cause = run.head(tunnel.span, "no server with the name that the client expects was read");
                    run.say(device, format!("{} {}", tunnel.title(), family.name()), Finding::unknown(message, label.clone(), vec![cause]));
                }
                continue;
            }
            let blocked = match !declared {
                true => stopped(run.world, device, &tunnels, (family, &missing), tunnel.span),
                false => Ok(Blocked::No(None)),
            };
            let blocked = match blocked {
                Ok(blocked) => blocked,
                Err(Limit(why)) => {
                    run.outcome.incomplete.push(format!("{}: {why}", device.name));
                    Blocked::Maybe(tunnel.span)
                }
            };
            let blocked = match filter {
                Some(part) if !declared => Blocked::Maybe(part.span),
                _ => blocked,
            };
            let outside = format_addresses(family, &missing);
            // Everything was wanted, and the client itself refuses to take everything.
            let refuses = group.iter().all(|(_, t)| t.setting(NEVER_DEFAULT[usize::from(family == Family::V6)]).is_some());
            let unknown = unknown.as_ref().filter(|_| declared || !refuses);
            let subject = format!("{} {}", tunnel.title(), family.name());
            match (blocked, unknown) {
                (Blocked::Yes, _) => {}
                (_, Some(cause)) => {
                    let message = format!("whether the VPN takes all {} traffic depends on what the server pushes", family.name());
                    run.say(device, subject, Finding::unknown(message, label.clone(), vec![cause.clone()]));
                }
                (Blocked::Maybe(span), None) => {
                    let name = family.name();
                    let message = format!(
                        "the VPN does not take all {name} traffic, and whether the host firewall stops the rest depends on its rules"
                    );
                    let cause = Label::new(span, format!("this may stop {name} beside the tunnel"));
                    run.say(device, subject, Finding::unknown(message, label.clone(), vec![cause]));
                }
                (Blocked::No(out), None) => {
                    let (message, fix) = if takes.is_empty() && family == Family::V6 && !declared {
                        (
                            "IPv6 leaks: the VPN takes no IPv6 traffic, and nothing stops it from going around".to_owned(),
                            "Add `::/0` to AllowedIPs (OpenVPN: `redirect-gateway def1 ipv6`), or block outgoing IPv6 on the host.",
                        )
                    } else if declared {
                        (
                            format!("the VPN does not take {outside}, which the baseline wants in the tunnel"),
                            "Route these destinations into the tunnel.",
                        )
                    } else {
                        (
                            format!("{} traffic to {outside} goes around the VPN", family.name()),
                            match tunnel.kind {
                                TunnelKind::WireGuard => {
                                    "Send everything into the tunnel (AllowedIPs = 0.0.0.0/0, ::/0), or declare under `estate: workers: tunnelled:` what belongs in it."
                                }
                                _ => {
                                    "Send everything into the tunnel, without exceptions, or declare under `estate: workers: tunnelled:` what belongs in it."
                                }
                            },
                        )
                    };
                    let mut finding = Finding::new(message, label.clone());
                    finding.fix = Some(fix.into());
                    let kept = all.iter().filter(|r| r.excluded).find(|r| {
                        let (f, lo, hi) = prefix_bounds(r.to);
                        f == family && missing.overlaps(&Ranges::interval(lo, hi))
                    });
                    finding.related.extend(kept.map(|r| Label::new(r.span, "this keeps traffic out of the tunnel")));
                    finding.related.extend(out.map(|span| Label::new(span, "this lets it out")));
                    run.say(device, subject, finding);
                }
            }
        }
        more_than_declared(run, device, group, &all);
    }
}

/// Routes of the host that lead around the tunnel by a longer prefix, such as a DHCP server can give (RFC 3442).
fn led_around(run: &mut Run<'_, '_>, device: &Device, tunnels: &[&Tunnel], all: &[&VpnRoute], (family, wanted): (Family, &Ranges)) {
    let inner = all.iter().filter_map(|r| leaks::of_tunnel(r, family));
    for (route, span) in leaks::beside(device, tunnels, family) {
        let inside = leaks::inside(inner.clone().chain([route]).collect());
        let around = wanted.and(&Ranges::interval(route.to.0, route.to.1)).and(&routed(all, family)).minus(&inside);
        if around.is_empty() {
            continue;
        }
        let places = format_addresses(family, &around);
        let mut finding = match stopped(run.world, device, tunnels, (family, &around), span) {
            Ok(Blocked::Yes) => continue,
            Ok(Blocked::No(out)) => {
                let mut finding =
                    Finding::new(format!("a route leads {places} around the VPN, which takes less exactly"), Label::new(span, ""));
                finding.related.extend(out.map(|span| Label::new(span, "this lets it out")));
                finding
            }
            Ok(Blocked::Maybe(at)) => {
                let message =
                    format!("a route leads {places} around the VPN, and whether the host firewall stops that depends on its rules");
                Finding::unknown(message, Label::new(span, ""), vec![Label::new(at, "this may stop it")])
            }
            Err(Limit(why)) => {
                run.outcome.incomplete.push(format!("{}: {why}", device.name));
                continue;
            }
        };
        finding.fix = Some("Take the route away, or let the host firewall stop what leaves outside the tunnel.".into());
        run.say(device, format!("around {places}"), finding);
    }
}

/// Every address to which a packet can go beyond the link. In IPv6 that is global unicast (2000::/3) and unique local addresses (fc00::/7):
/// the rest is unassigned, or link-local and multicast (IANA, Internet Protocol Version 6 Address Space). `redirect-gateway ipv6` of OpenVPN
/// leaves the unassigned part out.
pub(super) fn everything(family: Family) -> Ranges {
    match family {
        Family::V4 => Ranges::interval(0, family.max_address()),
        Family::V6 => Ranges::from_intervals(vec![(0x2000 << 112, (0x4000 << 112) - 1), (0xfc00 << 112, (0xfe00 << 112) - 1)]),
    }
}

/// What must go through the tunnel, and whether the baseline declares it.
fn wanted(run: &Run<'_, '_>, family: Family) -> (Ranges, bool) {
    let everything = everything(family);
    match run.world.workers.as_ref().and_then(|w| declared(w, &run.world.zones, family)) {
        Some(set) => (set, true),
        None => (everything, false),
    }
}

/// What the baseline declares as belonging in the tunnel; `None`: it declares nothing, so that everything does.
pub(super) fn declared(workers: &Workers, zones: &[Zone], family: Family) -> Option<Ranges> {
    if workers.tunnelled.is_empty() {
        return None;
    }
    let mut set = Ranges::EMPTY;
    for name in &workers.tunnelled {
        if let Some(zone) = zones.iter().find(|z| z.name == *name) {
            set = set.or(zone.addresses(family));
        } else if let Some((f, lo, hi)) = parse_cidr(name)
            && f == family
        {
            set = set.or(&Ranges::interval(lo, hi));
        }
    }
    Some(set)
}

/// Where a part is declared, a tunnel that takes other parts too is not what was declared; taking everything is, and so is the tunnel's own
/// network with its name servers.
fn more_than_declared(run: &mut Run<'_, '_>, device: &Device, group: &[(&Device, &Tunnel)], all: &[&VpnRoute]) {
    for family in Family::BOTH {
        let (declared, is_declared) = wanted(run, family);
        let takes = routed(all, family);
        if !is_declared || everything(family).is_subset(&takes) {
            continue;
        }
        let mut allowed = declared;
        for (_, tunnel) in group {
            let nets = tunnel.addresses.iter().map(|(n, _)| prefix_bounds(*n)).filter(|n| n.0 == family).map(|n| (n.1, n.2));
            let dns = tunnel.dns.iter().filter_map(|d| d.server.map(to_number)).filter(|n| n.0 == family).map(|n| (n.1, n.1));
            allowed = allowed.or(&Ranges::from_intervals(nets.chain(dns).collect()));
        }
        for route in all.iter().filter(|r| !r.excluded) {
            let (f, lo, hi) = prefix_bounds(route.to);
            let extra = Ranges::interval(lo, hi).and(&takes).minus(&allowed);
            if f != family || extra.is_empty() {
                continue;
            }
            let message = format!("the VPN also takes {}, which the baseline does not declare", format_addresses(family, &extra));
            let mut finding = Finding::new(message, Label::new(route.span, ""));
            finding.fix = Some("Take the route out, or declare it under `estate: workers: tunnelled:`.".into());
            run.say(device, format!("also {}", route.to), finding);
        }
    }
}

/// Whether something can leave a host beside its tunnels.
enum Blocked {
    Yes,
    /// It can, by this rule or policy if one decides about it.
    No(Option<Span>),
    /// It depends on something at this place that was not understood.
    Maybe(Span),
}

/// Asks the device's own rules about every connection that it may open beside its tunnels. What the tunnel needs to come up (its own
/// packets to the server) is no leak.
fn stopped(
    world: &World<'_>,
    device: &Device,
    tunnels: &[&Tunnel],
    (family, destinations): (Family, &Ranges),
    fallback: Span,
) -> Result<Blocked, Limit> {
    let own = |t: &&Tunnel| if family == Family::V4 { own_kill_switch(t).v4 } else { own_kill_switch(t).v6 };
    if device.switched_off(family) || tunnels.iter().any(|t| own(t).is_some()) {
        return Ok(Blocked::Yes);
    }
    let Some(analysis) = world.analysis(&device.name) else { return Ok(Blocked::No(None)) };
    if device.has_filter() && analysis.missing(Way::Output, family).is_some() {
        return Ok(Blocked::Maybe(fallback));
    }
    let inside = tunnels.iter().filter_map(|t| t.interfaces()).chain(LOOPBACK.map(NamePattern::exact));
    let inside = inside.fold(Ranges::single(0), |s, p| s.or(&analysis.space.interfaces(&p)));
    let beside: Vec<Cube> = Cube::of(Dim::field(Field::Oif), inside.complement(Field::Oif.max(family)), family).into_iter().collect();
    let far = leaks::beyond_the_link(family).and(destinations);
    let far: Vec<Cube> = Cube::of(Dim::field(Field::Dst), far, family).into_iter().collect();
    let far = without(&far, &killswitch::allowed(tunnels, family), family);
    let found = hits(analysis, Query::new(Way::Output, family, Want::Accepted), &cross(&beside, &[opening(family)]), &far)?;
    Ok(match found.best() {
        None => Blocked::Yes,
        Some(hit) if hit.certain => Blocked::No(analysis.span(hit.line)),
        Some(hit) => Blocked::Maybe(analysis.span(hit.line).unwrap_or(fallback)),
    })
}

/// Whether a device was exported with the packet filter of Linux.
fn filters_like_linux(device: &Device) -> bool {
    device.files.iter().any(|(_, format)| matches!(*format, "iptables" | "nftables" | "nftables-json"))
}

pub(super) fn dns_through_tunnel(run: &mut Run<'_, '_>) {
    for (device, tunnel) in run.tunnels(is_client) {
        if let Some(part) = tunnel.unmodelled.iter().find(|u| u.routes || u.names) {
            let message = "whether names are looked up through the VPN depends on a part of its configuration that is not modelled";
            let cause = Label::new(part.span, "it may change name servers, or the way to them");
            let place = tunnel.dns.first().map_or_else(|| run.head(tunnel.span, ""), |d| Label::new(d.span, ""));
            run.say(device, tunnel.title(), Finding::unknown(message, place, vec![cause]));
            continue;
        }
        let source = naming(run.world.devices, tunnel);
        let routes = if is_openvpn(tunnel) { routes(tunnel, &source) } else { routes(tunnel, &Pushed::Nothing) };
        let mut servers: Vec<_> = tunnel.dns.iter().filter_map(|d| d.server.map(|s| (s, d.span))).collect();
        if let Pushed::By(server) = &source {
            servers.extend(server.dns.iter().filter_map(|d| d.server.map(|s| (s, d.span))));
        }
        if servers.is_empty() {
            let label = run.head(tunnel.span, "no name server is set here");
            match source {
                Pushed::Unknown(cause) => {
                    let message = "whether names are looked up through the VPN depends on what the server pushes";
                    run.say(device, tunnel.title(), Finding::unknown(message, label, vec![cause]));
                }
                _ => {
                    let message = "the VPN sets no name server: names are looked up at whatever the local network offers";
                    let mut finding = Finding::new(message, label);
                    finding.fix = Some(
                        match tunnel.kind {
                            TunnelKind::WireGuard => "Add `DNS =` with a name server that lies inside AllowedIPs.",
                            TunnelKind::OpenVpn => "Let the server push `dhcp-option DNS` with an address that is routed into the tunnel.",
                            _ => "Let the gateway hand out a name server whose address goes through the tunnel.",
                        }
                        .into(),
                    );
                    run.say(device, tunnel.title(), finding);
                }
            }
            continue;
        }
        if is_openvpn(tunnel)
            && filters_like_linux(device)
            && !["up", "route-up", "plugin", "dns-updown"].iter().any(|s| tunnel.setting(s).is_some())
        {
            // openvpn(8) of 2.6 and older, `--dhcp-option`: outside of Windows and Android it only tells scripts; 2.7 has one of its own.
            let message = "on Linux, OpenVPN before 2.7 leaves name servers to a script, and the client names none";
            let cause = Label::new(servers[0].1, "who sets this is not known");
            let mut finding = Finding::unknown(message, run.head(tunnel.span, "no `up` here"), vec![cause]);
            finding.fix = Some("Add `script-security 2`, `up /etc/openvpn/update-resolv-conf` and the same for `down`.".into());
            run.say(device, tunnel.title(), finding);
            continue;
        }
        for (address, span) in servers {
            let (family, n) = to_number(address);
            // The tunnel's own network is reached through it without a route of its own.
            let own = tunnel.addresses.iter().map(|(net, _)| prefix_bounds(*net)).any(|(f, lo, hi)| f == family && lo <= n && n <= hi);
            if !address.is_loopback() && (own || routed(&routes, family).contains(n)) {
                continue;
            }
            let label = Label::new(span, "");
            let finding = match &source {
                _ if address.is_loopback() => {
                    let message =
                        format!("names are looked up at {address}, on the device itself: where it asks is not in the configuration");
                    Finding::unknown(message, label.clone(), vec![label])
                }
                Pushed::Unknown(cause) => {
                    let message = format!("whether {address} is asked through the VPN depends on what the server pushes");
                    Finding::unknown(message, label, vec![cause.clone()])
                }
                _ => {
                    let mut finding =
                        Finding::new(format!("the name server {address} is asked around the VPN: no route to it leads into it"), label);
                    finding.fix = Some(format!("Route {address} into the tunnel, or use a name server behind it."));
                    finding
                }
            };
            run.say(device, format!("{} {address}", tunnel.title()), finding);
        }
    }
}
