//! Ports that a container engine publishes past the host's own rules for input.
//!
//! A published port is a destination translation: packets to it do not meet the input chain at all, they pass forward. On an edge of a
//! network that is what a port forwarding is for. On a host whose input chain is closed it is what nobody expects. What tells the two
//! apart is who wrote the translation, see [`engine_chain`] and [`container_bridge`].

use std::collections::{BTreeMap, BTreeSet};

use super::Case;
use crate::checks::flow::unexported;
use crate::checks::identity::line_identity;
use crate::checks::place::{cross, doubt, label, likely_hits, line_subject, opening, without, witness};
use crate::diag::{Finding, Label, Verdict};
use crate::eval::flow::{Hit, Query, Want, hits, passing};
use crate::eval::{Analysis, Limit, Line, Way, words};
use crate::model::{Action, Device, Hook, Match, NamePattern, NatKind, Rule, SetValue, is_loopback};
use crate::net::{Family, Ranges};
use crate::packets::fields::addr_type;
use crate::packets::{Cube, Dim, Field, Packet};

/// Pieces of one translation that are looked at for a packet. Any of them shows it.
const MOST_PIECES: usize = 64;

/// A translation that asks for no more destinations than this names addresses.
const NAMED: u128 = 1 << 16;

/// Chain and table of a chain's name in the model: `ip6 nat/DOCKER`, `ip docker-bridges/nat-PREROUTING`.
fn parts(name: &str) -> (&str, &str) {
    let (table, chain) = name.rsplit_once('/').unwrap_or(("", name));
    (table.rsplit(' ').next().unwrap_or(table), chain)
}

/// Whether a container engine writes this chain.
///
/// Docker: `DOCKER` and `DOCKER-…` of iptables (docs.docker.com, "Docker with iptables"; `DOCKER-ISOLATION-STAGE-1` and `-2` until version
/// 27), table `docker-bridges` of nftables (version 29, "Docker with nftables"). Podman: `NETAVARK…` and `nv_…` (netavark,
/// `varktables` and `nft.rs`). The CNI plugins portmap and firewall: `CNI-…`. Kubernetes: `KUBE-…` and table `kube-proxy`.
/// `DOCKER-USER` is made by Docker and left to the administrator.
fn engine_chain(name: &str) -> bool {
    let (table, chain) = parts(name);
    let begins = ["DOCKER-", "NETAVARK", "CNI-", "KUBE-", "nv_"].iter().any(|p| chain.starts_with(p));
    matches!(table, "docker-bridges" | "netavark" | "kube-proxy") || chain == "DOCKER" || (begins && !users_chain(name))
}

/// Whether packets of a family can be in a chain, by the table in its name.
fn of_family(name: &str, family: Family) -> bool {
    match name.split(' ').next() {
        Some("inet") => true,
        Some("ip6") => family == Family::V6,
        _ => family == Family::V4,
    }
}

/// The chain that Docker leaves to the administrator.
fn users_chain(name: &str) -> bool {
    parts(name).1 == "DOCKER-USER"
}

/// Whether a container engine gives bridges this name: `docker0`, `docker_gwbridge`, `br-` with twelve hexadecimal digits (Docker, for
/// networks that a user made), `podman0`, `cni0`, `cni-podman0`. A bridge called `br-lan` is somebody else's.
fn container_bridge(pattern: &NamePattern) -> bool {
    let name = pattern.name.as_str();
    let of_docker = name.strip_prefix("br-").is_some_and(|id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let numbered = ["docker", "podman", "cni", "cni-podman"]
        .iter()
        .any(|p| name.strip_prefix(p).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && (pattern.wildcard || !n.is_empty())));
    of_docker || numbered || name == "docker_gwbridge"
}

/// The container bridges that the device names.
fn bridges(device: &Device) -> Vec<NamePattern> {
    let mut found: Vec<NamePattern> = device.interfaces.iter().flatten().map(|i| NamePattern::exact(&*i.name)).collect();
    for rule in device.chains.iter().flat_map(|c| &c.rules) {
        rule.matcher.walk(&mut |m| {
            if let Match::Interface(_, p) = m {
                found.push(p.clone());
            }
        });
    }
    for value in device.sets.iter().flat_map(|s| &s.elements).flat_map(|e| &e.values) {
        if let SetValue::Interface(p) = value {
            found.push(p.clone());
        }
    }
    found.retain(container_bridge);
    found.sort();
    found.dedup();
    found
}

fn rule_at(device: &Device, line: Line) -> Option<&Rule> {
    device.chains.get(line.chain.0 as usize)?.rules.get(line.rule? as usize)
}

fn leads_elsewhere(action: &Action) -> bool {
    matches!(action, Action::Nat(t) if matches!(t.kind, NatKind::Destination | NatKind::Redirect))
}

/// The device as it would be if nothing were translated: what its input chains say of a packet as it arrives.
fn untranslated(device: &Device) -> Device {
    let mut device = device.clone();
    for rule in device.chains.iter_mut().flat_map(|c| &mut c.rules).filter(|r| leads_elsewhere(&r.action)) {
        // As a translation does, this ends the chain.
        rule.action = Action::Accept;
    }
    device
}

/// The device as it would be if it had no rule of the administrator that lets a port by its name through. What passes even so, nobody
/// but the engine has asked for.
fn without_permissions(device: &Device) -> Device {
    let mut device = device.clone();
    let asked = asked_forward(&device);
    for (chain, _) in device.chains.iter_mut().zip(asked).filter(|(c, asked)| *asked && !engine_chain(&c.name)) {
        for rule in chain.rules.iter_mut().filter(|r| matches!(r.action, Action::Accept | Action::Return) && names_port(&r.matcher)) {
            rule.action = Action::Drop;
        }
    }
    device
}

/// For each chain, whether forwarded packets are asked about in it (rather than translated, or looked at on arrival).
fn asked_forward(device: &Device) -> Vec<bool> {
    let mut asked = vec![false; device.chains.len()];
    let mut todo: Vec<usize> =
        device.base_chains.iter().filter(|b| b.hook == Hook::Forward && !b.nat).map(|b| b.chain.0 as usize).collect();
    while let Some(i) = todo.pop() {
        if asked.get(i).copied() != Some(false) {
            continue;
        }
        asked[i] = true;
        todo.extend(device.chains[i].rules.iter().filter_map(|r| match r.action {
            Action::Jump(c) | Action::Goto(c) => Some(c.0 as usize),
            _ => None,
        }));
    }
    asked
}

fn names_port(matcher: &Match) -> bool {
    let mut names = false;
    matcher.walk(&mut |m| names |= matches!(m, Match::Field(Field::Dport, _)));
    names
}

impl Case<'_, '_> {
    /// Translations of a container engine that lead packets from outside to a container which the input chains would not let in.
    pub(super) fn published(&self, family: Family) -> Result<Vec<Finding>, Limit> {
        let bridges = bridges(self.device);
        if bridges.is_empty() && !self.device.chains.iter().any(|c| engine_chain(&c.name)) {
            return Ok(Vec::new());
        }
        for way in [Way::Forward, Way::Input] {
            if let Some(answer) = unexported(self.analysis, self.spec, way, family) {
                return Ok(answer);
            }
        }
        let nat = |b: &crate::model::BaseChain| b.nat && b.hook == Hook::Prerouting && b.families.contains(&family);
        let engine = |c: &crate::model::Chain| engine_chain(&c.name) && of_family(&c.name, family);
        if !self.device.base_chains.iter().any(nat) && !self.device.exhaustive && self.device.chains.iter().any(engine) {
            return Ok(vec![self.no_translations(family)]);
        }
        let behind = bridges.iter().fold(Ranges::EMPTY, |s, p| s.or(&self.analysis.space.interfaces(p)));
        let top = Field::Iif.max(family);
        let outer = Cube::of(Dim::field(Field::Iif), behind.complement(top), family).unwrap_or_default();
        let arriving = cross(&cross(&self.arriving(family), &[opening(family)]), &[outer]);

        let plain = untranslated(self.device);
        let host = self.world.analysis_of(&plain);
        let input = |want| passing(&host, Query::new(Way::Input, family, want), &arriving, &[Cube::any()]);
        let let_in: Vec<Cube> = input(Want::Accepted)?.iter().map(|p| as_addressed(&p.arriving, family)).collect();

        let bare = without_permissions(self.device);
        let unasked = self.world.analysis_of(&bare);
        let loopback = if family == Family::V4 { Ranges::interval(0x7f00_0000, 0x7fff_ffff) } else { Ranges::single(1) };
        // Translations of some addresses, of which nobody knows whether they are the device's own.
        let mut named: BTreeSet<Line> = BTreeSet::new();
        let mut by_rule: BTreeMap<Line, (Vec<Cube>, Vec<Cube>)> = BTreeMap::new();
        for p in passing(&unasked, Query::new(Way::Forward, family, Want::Accepted), &arriving, &[Cube::any()])? {
            let translation = p.via.iter().rev().copied().find(|l| rule_at(self.device, *l).is_some_and(|r| leads_elsewhere(&r.action)));
            let Some(line) = translation else { continue };
            let to_container = p.accepted_as.field(Field::Oif).is_some_and(|o| o.is_subset(&behind));
            if !to_container && !engine_chain(&self.device.chain(line.chain).name) {
                continue;
            }
            // The kernel takes nothing for the loopback network from another interface (martian destinations, `ip_route_input_slow`; RFC 4291).
            let own = match self.analysis.space.local(family) {
                Some(own) => own.minus(&loopback),
                None if p.arriving.field(Field::Dst).is_some_and(|d| !d.minus(&loopback).is_empty() && d.count() <= NAMED) => {
                    named.insert(line);
                    continue;
                }
                None => loopback.complement(family.max_address()),
            };
            let Some(own) = p.arriving.with(Dim::field(Field::Dst), &own, family) else { continue };
            let (refused, doubtful) = by_rule.entry(line).or_default();
            refused.extend(without(std::slice::from_ref(&own), &let_in, family));
            doubtful.push(own);
        }
        named.retain(|l| !by_rule.contains_key(l));
        let mut out: Vec<Finding> = named.into_iter().map(|l| self.perhaps_own(l, family)).collect();
        let mut kept_out: Option<Vec<(Cube, Vec<u32>)>> = None;
        for (line, (refused, all)) in by_rule {
            if let Some(finding) = self.published_by(line, &refused, &host, family)? {
                out.push(finding);
                continue;
            }
            // Perhaps the input chains refuse some of it, depending on what is not known.
            if kept_out.is_none() {
                let blocked = input(Want::Blocked)?;
                kept_out = Some(blocked.iter().map(|p| (as_addressed(&p.arriving, family), conditions(&p.arriving))).collect());
            }
            let kept_out = kept_out.as_deref().unwrap_or(&[]);
            let met = kept_out.iter().filter(|(c, _)| all.iter().any(|a| a.overlaps(c)));
            let mut turns: Vec<u32> = met.flat_map(|(_, ids)| ids.iter().copied()).collect();
            turns.sort_unstable();
            turns.dedup();
            if !turns.is_empty() {
                out.push(self.perhaps(line, &turns, &host, family));
            }
        }
        Ok(out)
    }

    fn no_translations(&self, family: Family) -> Finding {
        let engine = |c: &&crate::model::Chain| engine_chain(&c.name) && of_family(&c.name, family);
        let at = self.device.chains.iter().find(engine).map_or(self.spec.span, |c| c.span);
        let cause = Label::new(at, "a container engine writes rules here, and translations of the destination in the table nat");
        let text =
            format!("{}: the {} rules that translate destinations were not read: export every table", self.device.name, family.name());
        Finding::unknown(text, Label::new(at, ""), vec![cause]).on(&self.device.name).about(format!(
            "{} nat {}",
            self.device.name,
            family.name()
        ))
    }

    fn published_by(&self, line: Line, refused: &[Cube], host: &Analysis<'_>, family: Family) -> Result<Option<Finding>, Limit> {
        if refused.is_empty() {
            return Ok(None);
        }
        // The address that people use is one of an outer interface, not the one that the host has among its containers.
        let mut outer = Ranges::from_values(self.outer_addresses(family));
        if outer.is_empty() {
            // Of those that documentation may use (RFC 5737, RFC 3849), one that no packet of ours comes from.
            outer = Ranges::single(if family == Family::V4 { 0xc633_6402 } else { (0x2001_0db8 << 96) | 2 });
        }
        let near: Vec<Cube> = refused.iter().filter_map(|c| c.with(Dim::field(Field::Dst), &outer, family)).collect();
        let some: Vec<Cube> = if near.is_empty() { refused } else { &near }.iter().take(MOST_PIECES).cloned().collect();
        let found = likely_hits(self.analysis, Query::new(Way::Forward, family, Want::Accepted), &some, &[Cube::any()])?;
        let through = |h: &&Hit| h.walked.path.contains(&line);
        let best = found.found.iter().filter(through).find(|h| h.certain).or(found.found.iter().find(through));
        let Some(hit) = best else { return Ok(None) };
        let service = words::service_words(&packet_service(&hit.packet, family), family);
        let to = crate::net::to_ip(family, hit.decided_as.field(Field::Dst));
        let message = format!(
            "{service} goes around the input rules of {}: it is led to {to} before they are asked ({})",
            self.device.name,
            family.name()
        );
        let at = format!("{} publishes the port", self.analysis.line_words(line));
        let mut finding = Finding::new(message, label(self.analysis, line, self.spec.span, at)).on(&self.device.name);
        finding.subject = format!("published {} {}", family.name(), line_subject(self.world, self.analysis, line));
        finding.identity = format!("published {} {}", family.name(), line_identity(self.world, self.analysis, line));
        finding.witness = Some(witness(self.analysis, hit, Way::Forward, family));
        let passes = format!("{} lets it through to the container", self.analysis.line_words(hit.line));
        finding.related.extend(self.analysis.span(hit.line).map(|s| Label::new(s, passes)));
        finding.related.extend(self.refusal(&hit.packet, host, family)?);
        let mut users = self.device.chains.iter().filter(|c| users_chain(&c.name) && of_family(&c.name, family));
        finding.related.extend(users.next().map(|c| Label::new(c.span, "nothing in DOCKER-USER, which is asked first, drops it")));
        finding.fix = Some(self.remedy(hit, family));
        Ok(Some(doubt(self.analysis, hit, finding)))
    }

    /// Addresses of interfaces that are neither the loopback nor a container bridge.
    fn outer_addresses(&self, family: Family) -> impl Iterator<Item = u128> {
        let outer = |name: &str| !is_loopback(name) && !container_bridge(&NamePattern::exact(name));
        let interfaces = self.device.interfaces.iter().flatten().filter(move |i| outer(&i.name));
        interfaces.flat_map(|i| &i.addresses).map(|a| crate::net::to_number(a.ip())).filter(move |(f, _)| *f == family).map(|(_, n)| n)
    }

    /// The line that refuses the same packet, untranslated, to the host itself.
    fn refusal(&self, packet: &Packet, host: &Analysis<'_>, family: Family) -> Result<Option<Label>, Limit> {
        let same: Vec<Cube> = addressed_cube(packet, family).into_iter().collect();
        let found = hits(host, Query::new(Way::Input, family, Want::Blocked), &same, &[Cube::any()])?;
        Ok(found.best().and_then(|h| {
            let text = format!("{} would refuse the same packet to the host itself", host.line_words(h.line));
            host.span(h.line).map(|s| Label::new(s, text))
        }))
    }

    fn remedy(&self, hit: &Hit, family: Family) -> String {
        let port = hit.packet.field(Field::Dport);
        let proto = words::service_words(&packet_service(&hit.packet, family), family);
        let proto = proto.split('/').next().unwrap_or("tcp");
        let outer = self.analysis.space.interface_name(hit.packet.field(Field::Iif)).unwrap_or_else(|| "OUTSIDE".into());
        let lo = if family == Family::V4 { "127.0.0.1" } else { "[::1]" };
        let tool = if family == Family::V4 { "iptables" } else { "ip6tables" };
        if self.device.chains.iter().any(|c| users_chain(&c.name)) {
            format!(
                "Publish the port on the loopback address only (`-p {lo}:{port}:…`), or drop what comes from outside in the chain that is asked first: \
                 `{tool} -I DOCKER-USER -i {outer} -m conntrack --ctstate NEW -j DROP`, and above that a RETURN for each container's address and port \
                 that is wanted from there."
            )
        } else {
            format!(
                "Publish the port on the loopback address only (`-p {lo}:{port}:…`), or drop {proto} from outside in a forward chain of your own that is \
                 asked before those of the container engine."
            )
        }
    }

    fn perhaps_own(&self, line: Line, family: Family) -> Finding {
        let at = format!("{} publishes the port", self.analysis.line_words(line));
        let label = label(self.analysis, line, self.spec.span, at);
        let cause = Label::new(label.span, "the device's own addresses are not known: export `ip addr` too");
        let text = format!("whether a port that is published is one of {} itself is not known ({})", self.device.name, family.name());
        let finding = Finding::unknown(text, label, vec![cause]).on(&self.device.name);
        let identity = format!("published {} {}", family.name(), line_identity(self.world, self.analysis, line));
        finding.about(format!("published {} {}", family.name(), line_subject(self.world, self.analysis, line))).told_by(identity)
    }

    fn perhaps(&self, line: Line, turns: &[u32], host: &Analysis<'_>, family: Family) -> Finding {
        let causes =
            turns.iter().map(|id| host.space.condition(*id)).map(|(text, span)| Label::new(span, format!("it depends on: {text}")));
        let text = format!(
            "whether the input rules of {} would refuse a port that is published is not known ({})",
            self.device.name,
            family.name()
        );
        let at = format!("{} publishes the port", self.analysis.line_words(line));
        let mut finding = Finding::unknown(text, label(self.analysis, line, self.spec.span, at), causes.collect()).on(&self.device.name);
        finding.verdict = Verdict::Unknown;
        let identity = format!("published {} {}", family.name(), line_identity(self.world, self.analysis, line));
        finding.about(format!("published {} {}", family.name(), line_subject(self.world, self.analysis, line))).told_by(identity)
    }
}

/// Packets as they arrive, whatever becomes of them: without the departure interface, what the routing table says, and conditions.
fn as_addressed(cube: &Cube, family: Family) -> Cube {
    [Field::Oif, Field::DstType].iter().fold(cube.without_conditions(), |c, f| c.replaced(Dim::field(*f), None, family).unwrap_or(c))
}

/// One packet as it arrives, on its way to the device itself.
fn addressed_cube(packet: &Packet, family: Family) -> Option<Cube> {
    let mut packet = packet.clone();
    packet.set(Field::Oif, 0);
    packet.set(Field::DstType, addr_type::LOCAL);
    Some(packet.header_cube(family))
}

/// Protocol and port of a packet.
fn packet_service(packet: &Packet, family: Family) -> Cube {
    packet.header_cube(family)
}

fn conditions(cube: &Cube) -> Vec<u32> {
    cube.dims().iter().filter_map(|(d, _)| d.as_condition()).collect()
}
