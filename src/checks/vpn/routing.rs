//! Which traffic a VPN client sends through its tunnel.

use super::{Run, is_client, is_openvpn, is_server, own_kill_switch};
use crate::diag::{Finding, Label};
use crate::model::{Action, Device, Direction, Hook, Match, PolicyAction, Tunnel, TunnelKind, VpnRoute};
use crate::net::{Family, Ranges, format_addresses, parse_cidr, prefix_bounds, to_number};
use crate::source::Span;

/// Where the routes and name servers of a tunnel come from.
enum Pushed<'w> {
    /// The configuration says it all.
    Nothing,
    /// This server pushes what the client adds.
    By(&'w Tunnel),
    /// The server was not read, or cannot be told from others.
    Unknown(Label),
}

/// Who pushes to an OpenVPN client: the server that was read and listens on the port to which the client connects.
fn pushed<'w>(run: &Run<'w, '_>, tunnel: &Tunnel) -> Pushed<'w> {
    let Some(pull) = tunnel.setting("pull") else { return Pushed::Nothing };
    if !is_openvpn(tunnel) || tunnel.setting("route-nopull").is_some() {
        return Pushed::Nothing;
    }
    if let Some(filter) = tunnel.setting("pull-filter") {
        return Pushed::Unknown(Label::new(filter.span, "what is taken of what the server pushes is not modelled"));
    }
    let listens = |server: &Tunnel| {
        let ports = tunnel.peers.iter().filter_map(|p| p.endpoint.as_ref()).map(|e| (e.protocol, e.port));
        server.listen.is_some_and(|(protocol, port, _)| ports.clone().any(|p| p == (protocol, port)))
    };
    match run.everywhere(|t| is_server(t) && is_openvpn(t) && listens(t)).as_slice() {
        [(_, server)] => Pushed::By(server),
        [] => Pushed::Unknown(Label::new(pull.span, "the server decides, and no server on this port was read")),
        [..] => Pushed::Unknown(Label::new(pull.span, "the server decides, and several that were read listen on this port")),
    }
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
fn routes<'w>(tunnel: &'w Tunnel, pushed: &Pushed<'w>) -> Vec<&'w VpnRoute> {
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
        let sources: Vec<_> = group.iter().map(|(_, t)| (*t, pushed(run, t))).collect();
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
        for family in Family::BOTH {
            let takes = routed(&all, family);
            let (wanted, declared) = wanted(run, family);
            let missing = wanted.minus(&takes);
            if missing.is_empty() {
                continue;
            }
            let blocked = if family == Family::V6 && !declared { v6_blocked(device, group.iter().map(|g| g.1)) } else { Blocked::No };
            let outside = format_addresses(family, &missing);
            let subject = format!("{} {}", tunnel.interface, family.name());
            match (blocked, &unknown) {
                (Blocked::Yes, _) => {}
                (_, Some(cause)) => {
                    let message = format!("whether the VPN takes all {} traffic depends on what the server pushes", family.name());
                    run.say(device, subject, Finding::unknown(message, label.clone(), vec![cause.clone()]));
                }
                (Blocked::Maybe(span), None) => {
                    let message =
                        "the VPN does not take all IPv6 traffic, and whether the host firewall stops the rest depends on its rules";
                    let cause = Label::new(span, "this may stop IPv6 beside the tunnel");
                    run.say(device, subject, Finding::unknown(message, label.clone(), vec![cause]));
                }
                (Blocked::No, None) => {
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
                            "Send everything into the tunnel (AllowedIPs = 0.0.0.0/0, ::/0), or declare under `estate: workers: tunnelled:` what belongs in it.",
                        )
                    };
                    let mut finding = Finding::new(message, label.clone());
                    finding.fix = Some(fix.into());
                    run.say(device, subject, finding);
                }
            }
        }
        more_than_declared(run, device, group, &all);
    }
}

/// Every address to which a packet can go beyond the link. In IPv6 that is global unicast (2000::/3) and unique local addresses (fc00::/7):
/// the rest is unassigned, or link-local and multicast (IANA, Internet Protocol Version 6 Address Space). `redirect-gateway ipv6` of OpenVPN
/// leaves the unassigned part out.
fn everything(family: Family) -> Ranges {
    match family {
        Family::V4 => Ranges::interval(0, family.max_address()),
        Family::V6 => Ranges::from_intervals(vec![(0x2000 << 112, (0x4000 << 112) - 1), (0xfc00 << 112, (0xfe00 << 112) - 1)]),
    }
}

/// What must go through the tunnel, and whether the baseline declares it.
fn wanted(run: &Run<'_, '_>, family: Family) -> (Ranges, bool) {
    let everything = everything(family);
    let Some(workers) = &run.world.workers else { return (everything, false) };
    if workers.tunnelled.is_empty() {
        return (everything, false);
    }
    let mut set = Ranges::EMPTY;
    for name in &workers.tunnelled {
        if let Some(zone) = run.world.zone(name) {
            set = set.or(zone.addresses(family));
        } else if let Some((f, lo, hi)) = parse_cidr(name)
            && f == family
        {
            set = set.or(&Ranges::interval(lo, hi));
        }
    }
    (set, true)
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

/// Whether IPv6 can leave a host beside its tunnels.
enum Blocked {
    Yes,
    No,
    /// Rules that this place cannot judge.
    Maybe(Span),
}

fn v6_blocked<'t>(device: &Device, tunnels: impl Iterator<Item = &'t Tunnel>) -> Blocked {
    let mut inside: Vec<&str> = vec!["lo"];
    for tunnel in tunnels {
        if own_kill_switch(tunnel).v6.is_some() {
            return Blocked::Yes;
        }
        inside.push(&tunnel.interface);
    }
    // Linux, Documentation/networking/ip-sysctl: `all` switches IPv6 off on every interface.
    if device.settings.iter().any(|s| s.name == "net.ipv6.conf.all.disable_ipv6" && s.value.trim() == "1") {
        return Blocked::Yes;
    }
    let mut answer = Blocked::No;
    for base in device.base_chains.iter().filter(|b| b.hook == Hook::Output && b.families.contains(&Family::V6) && !b.nat) {
        let chain = device.chain(base.chain);
        let mut open: Option<Span> = None;
        let mut drops = base.policy.action == PolicyAction::Drop;
        for rule in chain.rules.iter().filter(|r| r.enabled && may_be_v6(&r.matcher)) {
            match &rule.action {
                Action::Continue => {}
                Action::Drop | Action::Reject(_) if rule.matcher == Match::Any || rule.matcher == Match::Family(Family::V6) => {
                    drops = true;
                    break;
                }
                Action::Accept if only_leaves_by(&rule.matcher, &inside) || only_local(&rule.matcher) => {}
                // Drops of a part, returns, jumps, and what is accepted elsewhere: a matter of packet sets.
                _ => open = open.or(Some(rule.span)),
            }
        }
        match (drops, open) {
            (true, None) => return Blocked::Yes,
            (true, Some(span)) => answer = Blocked::Maybe(span),
            (false, Some(span)) if chain.rules.iter().any(|r| r.enabled && stops(&r.action) && may_be_v6(&r.matcher)) => {
                answer = Blocked::Maybe(span);
            }
            _ => {}
        }
    }
    answer
}

fn stops(action: &Action) -> bool {
    matches!(action, Action::Drop | Action::Reject(_) | Action::Jump(_) | Action::Goto(_) | Action::Opaque(_))
}

/// Whether a match can hold for an IPv6 packet; `true` where it is not obvious.
fn may_be_v6(matcher: &Match) -> bool {
    match matcher {
        Match::Never | Match::Family(Family::V4) | Match::Address(_, Family::V4, _) => false,
        Match::All(parts) => parts.iter().all(may_be_v6),
        Match::AnyOf(parts) => parts.iter().any(may_be_v6),
        _ => true,
    }
}

/// Whether every packet that matches leaves by one of these interfaces.
fn only_leaves_by(matcher: &Match, interfaces: &[&str]) -> bool {
    match matcher {
        Match::Interface(Direction::Out, pattern) => !pattern.wildcard && interfaces.contains(&pattern.name.as_str()),
        Match::All(parts) => parts.iter().any(|p| only_leaves_by(p, interfaces)),
        Match::AnyOf(parts) => !parts.is_empty() && parts.iter().all(|p| only_leaves_by(p, interfaces)),
        _ => false,
    }
}

/// Whether every packet that matches stays on the link: to link-local addresses (fe80::/10) or link-local multicast (ff02::/16).
fn only_local(matcher: &Match) -> bool {
    let local = || Ranges::from_intervals(vec![(0xfe80 << 112, (0xfec0 << 112) - 1), (0xff02 << 112, (0xff03 << 112) - 1)]);
    match matcher {
        Match::Address(crate::packets::Field::Dst, Family::V6, set) => set.is_subset(&local()),
        Match::All(parts) => parts.iter().any(only_local),
        Match::AnyOf(parts) => !parts.is_empty() && parts.iter().all(only_local),
        _ => false,
    }
}

pub(super) fn dns_through_tunnel(run: &mut Run<'_, '_>) {
    for (device, tunnel) in run.tunnels(is_client) {
        let source = pushed(run, tunnel);
        let routes = routes(tunnel, &source);
        let mut servers: Vec<_> = tunnel.dns.iter().filter_map(|d| d.server.map(|s| (s, d.span))).collect();
        if let Pushed::By(server) = &source {
            servers.extend(server.dns.iter().filter_map(|d| d.server.map(|s| (s, d.span))));
        }
        if servers.is_empty() {
            let label = run.head(tunnel.span, "no name server is set here");
            match source {
                Pushed::Unknown(cause) => {
                    let message = "whether names are looked up through the VPN depends on what the server pushes";
                    run.say(device, &tunnel.interface, Finding::unknown(message, label, vec![cause]));
                }
                _ => {
                    let message = "the VPN sets no name server: names are looked up at whatever the local network offers";
                    let mut finding = Finding::new(message, label);
                    finding.fix = Some(
                        match tunnel.kind {
                            TunnelKind::WireGuard => "Add `DNS =` with a name server that lies inside AllowedIPs.",
                            TunnelKind::OpenVpn => "Let the server push `dhcp-option DNS` with an address that is routed into the tunnel.",
                        }
                        .into(),
                    );
                    run.say(device, &tunnel.interface, finding);
                }
            }
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
            run.say(device, format!("{} {address}", tunnel.interface), finding);
        }
    }
}
