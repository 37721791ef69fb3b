//! Redirections (port forwardings), their reflections, and translations of sources (fw4 `parse_redirect`, `parse_nat`).

use super::firewall::{Build, Name, Zone, ZoneRef, disabled, unknown_options, zone_ref};
use super::rules::{COMMON, asked, dressed, opaque};
use super::uci::Section;
use super::values::{Subnet, ports, subnet, word};
use crate::diag::LineState::Unsupported;
use crate::model::{Action, Match, NatKind, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::vendors::Reader;

fn to(kind: NatKind, address: Option<(Family, Ranges)>, ports: Option<Ranges>) -> Translation {
    Translation { kind, addresses: address, keep_host_bits: false, ports, unknown: false }
}

/// The one address that an option gives: the first of a network or range, as fw4 takes it.
fn address(reader: &mut Reader<'_>, section: &Section, key: &str) -> Option<(Family, Ranges)> {
    match subnet(section.value(key)?) {
        Some(Subnet::Known(family, set)) => set.min().map(|n| (family, Ranges::single(n))),
        _ => {
            reader.note(section.at(key), Unsupported, "no address");
            None
        }
    }
}

pub(super) fn redirect(reader: &mut Reader<'_>, build: &mut Build<'_>, section: &Section) {
    if disabled(reader, section) {
        return;
    }
    let known: Vec<&str> =
        COMMON.iter().copied().chain(["src_dip", "src_dport", "helper", "reflection", "reflection_src", "reflection_zone"]).collect();
    unknown_options(reader, section, &known);
    let (Ok(src), Ok(dest)) = (zone_ref(reader, build, section, "src"), zone_ref(reader, build, section, "dest")) else { return };
    let of = |build: &Build<'_>, z: &Option<ZoneRef>| match z {
        Some(ZoneRef::Of(name)) => build.zone(name).and_then(|z| z.family),
        _ => None,
    };
    if section.value("target").and_then(|t| word(t, &["dnat", "snat"])) == Some("snat") {
        let Some(ZoneRef::Of(zone)) = dest else {
            reader.note(section.head, Unsupported, "SNAT needs a destination zone; the redirection is not loaded");
            return;
        };
        let Some((family, new)) = address(reader, section, "src_dip") else {
            reader.note(section.head, Unsupported, "SNAT needs src_dip; the redirection is not loaded");
            return;
        };
        let families = [Some(family), of(build, &src)];
        let Some(asked) = asked(reader, build, section, ["src_ip", "dest_ip", "src_port", "dest_port"], "tcpudp", &families) else {
            return;
        };
        let port = section.value("src_dport").and_then(ports);
        let action = Action::Nat(to(NatKind::Source, Some((family, new)), port));
        build.push(Name::OfZone("srcnat", zone), dressed(section, Rule::new(asked.matcher, action, section.whole)));
        return;
    }
    let Some(ZoneRef::Of(zone)) = src.clone() else {
        reader.note(section.head, Unsupported, "DNAT needs a source zone; the redirection is not loaded");
        return;
    };
    let new = address(reader, section, "dest_ip");
    let families = [new.as_ref().map(|n| n.0), of(build, &src), of(build, &dest)];
    let Some(mut asked) = asked(reader, build, section, ["src_ip", "src_dip", "src_port", "src_dport"], "tcpudp", &families) else {
        return;
    };
    if asked.family.is_none() && section.value("family").is_none() {
        // Without any address a redirection is about IPv4, for the sake of old configurations.
        asked.matcher = Match::all(vec![asked.matcher, Match::Family(Family::V4)]);
    }
    let port = section.value("dest_port").and_then(ports).or_else(|| section.value("src_dport").and_then(ports));
    let kind = if new.is_some() { NatKind::Destination } else { NatKind::Redirect };
    // A range of ports that stays the same is no change.
    let port = port.filter(|p| Some(p) != section.value("src_dport").and_then(ports).as_ref() || kind == NatKind::Redirect);
    let action = Action::Nat(to(kind, new.clone(), port));
    reflect(reader, build, section, (&zone, &dest), &asked.matcher, &action);
    if !build.dnat.contains(&zone) {
        build.dnat.push(zone.clone());
    }
    build.push(Name::OfZone("dstnat", zone), dressed(section, Rule::new(asked.matcher, action, section.whole)));
}

/// Hosts inside reach a published service by its outside address too, unless `reflection` is off. Where the outside address is not written
/// (`src_dip`), only the router knows it.
fn reflect(
    reader: &mut Reader<'_>,
    build: &mut Build<'_>,
    section: &Section,
    zones: (&str, &Option<ZoneRef>),
    matcher: &Match,
    action: &Action,
) {
    let masq = build.zone(zones.0).is_some_and(|z| z.masq != [false; 2]);
    let (Some(ZoneRef::Of(inside)), true, true) = (zones.1, masq, section.flag("reflection") != Some(false)) else { return };
    if section.get("dest_ip").is_none() {
        return;
    }
    let named = section.list("reflection_zone");
    let list: Vec<String> = if named.is_empty() { vec![inside.clone()] } else { named.into_iter().map(|w| w.text).collect() };
    let here = match section.get("src_dip") {
        Some(_) => Match::Any,
        None => opaque(reader, &format!("the destination is an address of zone {}", zones.0), section.head),
    };
    let there: Vec<String> = list.into_iter().filter(|z| build.zone(z).is_some()).collect();
    for zone in there {
        let matcher = Match::all(vec![matcher.clone(), here.clone()]);
        let rule = Rule::implied("reflection of a port forwarding", matcher, action.clone(), section.head);
        if !build.dnat.contains(&zone) {
            build.dnat.push(zone.clone());
        }
        build.push(Name::OfZone("dstnat", zone), rule);
    }
}

pub(super) fn nat(reader: &mut Reader<'_>, build: &mut Build<'_>, section: &Section) {
    if disabled(reader, section) {
        return;
    }
    let known: Vec<&str> = COMMON.iter().copied().chain(["device", "snat_ip", "snat_port", "connlimit_ports"]).collect();
    unknown_options(reader, section, &known);
    let Ok(src) = zone_ref(reader, build, section, "src") else { return };
    let new = address(reader, section, "snat_ip");
    let family = match &src {
        Some(ZoneRef::Of(name)) => build.zone(name).and_then(|z| z.family),
        _ => None,
    };
    let Some(mut asked) =
        asked(reader, build, section, ["src_ip", "dest_ip", "src_port", "dest_port"], "all", &[family, new.as_ref().map(|n| n.0)])
    else {
        return;
    };
    if asked.family.is_none() && section.value("family").is_none() {
        asked.matcher = Match::all(vec![asked.matcher, Match::Family(Family::V4)]);
    }
    let action = match section.value("target").and_then(|t| word(t, &["accept", "snat", "masquerade"])) {
        Some("accept") => Action::Accept,
        Some("snat") => Action::Nat(to(NatKind::Source, new, section.value("snat_port").and_then(ports))),
        _ => Action::Nat(to(NatKind::Masquerade, None, None)),
    };
    // Without a source zone the rule is about every packet that leaves; its `device` is the one through which.
    let place = match src {
        Some(ZoneRef::Of(zone)) => Name::OfZone("srcnat", zone),
        _ => Name::Srcnat,
    };
    build.push(place, dressed(section, Rule::new(asked.matcher, action, section.whole)));
}

/// What masquerading of a zone comes to: one rule for each family that is masqueraded.
pub(super) fn masquerade(zone: &Zone<'_>) -> Vec<Rule> {
    let mut out = Vec::new();
    for (family, on, key) in [(Family::V4, zone.masq[0], "masq"), (Family::V6, zone.masq[1], "masq6")] {
        if !on {
            continue;
        }
        let mut parts = vec![Match::Family(family)];
        for (key, field) in [("masq_src", Field::Src), ("masq_dest", Field::Dst)] {
            let list = zone.section.list(key);
            parts.push(super::rules::address_match(field, &list, &mut Vec::new()));
        }
        let action = Action::Nat(to(NatKind::Masquerade, None, None));
        out.push(Rule::implied("masquerading of the zone", Match::all(parts), action, zone.section.at(key)));
    }
    out
}
