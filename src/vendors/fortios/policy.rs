//! Firewall policies, and the source translation that they bring.

use super::defaults;
use super::matching::{Context, Kind, SeesTranslated, opaque};
use super::settings::{POLICY_IRRELEVANT, POLICY_READ};
use super::tree::Entry;
use crate::diag::LineState;
use crate::model::{Action, Direction, Match, Rule, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::packets::fields::ct;
use crate::source::Span;
use crate::vendors::Reader;

/// What the policies of a virtual domain come to.
#[derive(Default)]
pub(super) struct Policies {
    pub forward: Vec<Rule>,
    /// Source translation, in the same order.
    pub source: Vec<Rule>,
    /// Some policy asks for users, so that the appliance shows them a login page.
    pub asks_users: bool,
}

/// Source translations that are lowered. More would be as many ways for a packet to change.
const TRANSLATIONS: usize = 1024;

/// What sessions decide before any policy: answers pass, and TCP opens a session by SYN alone (CLI reference, `system settings`,
/// `tcp-session-without-syn` and `asymroute`, both off by default).
pub(super) fn sessions(cx: &Context<'_, '_>, span: Span) -> Vec<Rule> {
    let known = Match::Field(Field::Ct, Ranges::from_values([ct::ESTABLISHED, ct::RELATED]));
    let mut out = vec![Rule::implied("acceptance of answers", known, Action::Accept, span)];
    let settings = cx.domain.section("system settings");
    let loose = ["tcp-session-without-syn", "asymroute", "asymroute6"].iter().any(|s| settings.as_ref().is_some_and(|e| e.is(s, "enable")));
    if !loose {
        let no_syn = Match::Field(Field::TcpFlags, Ranges::from_values((0..256).filter(|flags| flags & 2 == 0)));
        let tcp = Match::Field(Field::Proto, Ranges::single(6));
        let mut refusal = Rule::implied("refusal of TCP without a session", Match::all(vec![tcp, no_syn]), Action::Drop, span);
        // Answers and errors of ICMP that belong to no session are dropped too where routing is not asymmetric (technical tip "How the FortiGate
        // behaves when asymmetric routing is enabled"), damaged headers always ("Life of a packet", IP integrity header checking).
        let invalid = Match::Field(Field::Ct, Ranges::single(ct::INVALID));
        let mut other = Rule::implied("refusal of packets in no valid session", invalid, Action::Drop, span);
        // CLI reference, `log setting`: off by default.
        let log = cx.log_setting("log-invalid-packet");
        (refusal.log, other.log) = (log, log);
        out.extend([refusal, other]);
    }
    out
}

/// Lowers all policies of a domain. `at` is where a rule that nobody wrote has its place.
pub(super) fn policies(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, at: Span) -> Policies {
    let mut out = Policies::default();
    out.forward.extend(sessions(cx, at));
    redirects(reader, cx, &mut out, at);
    multicast(reader, cx, &mut out);
    translating_families(reader, cx, &mut out);
    let settings = cx.domain.section("system settings");
    if let Some(mode) = settings.as_ref().filter(|s| s.is("ngfw-mode", "policy-based")) {
        let span = mode.at("ngfw-mode");
        reader.note(span, LineState::Unsupported, "policies by application (ngfw-mode policy-based) are not modelled");
        out.forward.push(Rule::new(Match::Any, Action::Opaque("the security policies by application".into()), span));
    } else {
        let consolidated = settings.as_ref().is_some_and(|s| s.is("consolidated-firewall-mode", "enable"));
        let tables: &[(&str, Kind)] = if consolidated {
            &[("firewall consolidated policy", Kind::Both)]
        } else {
            &[("firewall policy", Kind::Both), ("firewall policy6", Kind::V6)]
        };
        for (path, kind) in tables {
            for entry in cx.domain.table(path) {
                policy(reader, cx, &entry, *kind, &mut out);
            }
        }
    }
    intrazone(cx, &mut out);
    implicit_deny(cx, &mut out, at);
    if out.source.len() > TRANSLATIONS {
        out.source.clear();
        let text = format!("policies translate sources in more than {TRANSLATIONS} ways: none of them is shown");
        reader.note(at, LineState::NotModelled, text);
    }
    out
}

/// Packets that leave by the interface where they came in, see [`defaults::redirect`].
fn redirects(reader: &mut Reader<'_>, cx: &Context<'_, '_>, out: &mut Policies, at: Span) {
    // What an outside interface sends back where it came from never gets inside. Its addresses are no bound, so that every question about the
    // internet would turn on it: left out, as the format's facts say.
    let outside: Vec<String> =
        reader.device.routes.iter().flatten().filter(|r| r.to.prefix() == 0).filter_map(|r| r.interface.clone()).collect();
    let global = cx.global_setting.as_ref();
    for (setting, family) in [("allow-traffic-redirect", Family::V4), ("ipv6-allow-traffic-redirect", Family::V6)] {
        let written = global.and_then(|g| g.value(setting));
        let on = match written {
            Some(value) => Some(value == "enable"),
            None => defaults::redirect(cx.version),
        };
        if on == Some(false) {
            continue;
        }
        let span = global.filter(|g| g.value(setting).is_some()).map_or(at, |g| g.at(setting));
        let same = |name: &String| {
            let one = |d| Match::Interface(d, crate::model::NamePattern::exact(&**name));
            Match::all(vec![one(Direction::In), one(Direction::Out)])
        };
        let interfaces: Vec<Match> = cx.zones.interfaces().filter(|n| !outside.contains(n)).take(1024).map(same).collect();
        if interfaces.is_empty() {
            continue;
        }
        // The tips and the guides of versions differ in whether the source must be of the interface's network.
        let open = opaque(reader, &format!("what leaves where it came in needs no policy ({setting})"), span);
        let matcher = Match::all(vec![Match::Family(family), Match::any_of(interfaces), open]);
        out.forward.push(Rule::implied("redirection without a policy", matcher, Action::Accept, span));
    }
}

/// Groups of receivers have policies of their own.
fn multicast(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, out: &mut Policies) {
    let groups = [
        ("firewall multicast-policy", Family::V4, Ranges::interval(0xe000_0000, 0xefff_ffff)),
        ("firewall multicast-policy6", Family::V6, Ranges::interval(0xff << 120, u128::MAX)),
    ];
    for (path, family, ranges) in groups {
        for entry in cx.domain.table(path) {
            let arrival = cx.zones.list(reader, Direction::In, &entry, "srcintf").unwrap_or(Match::Any);
            let departure = cx.zones.list(reader, Direction::Out, &entry, "dstintf").unwrap_or(Match::Any);
            let to = Match::Address(Field::Dst, family, ranges.clone());
            let matcher = Match::all(vec![arrival, departure, to]);
            let mut rule = Rule::new(matcher, Action::Opaque(format!("multicast policy {}", entry.name).into()), entry.first);
            rule.enabled = !entry.is("status", "disable");
            rule.name = Some(format!("multicast policy {}", entry.name));
            rule.whole = entry.span;
            out.forward.push(rule);
        }
    }
}

/// Policies between the families: what they let through is not followed.
fn translating_families(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, out: &mut Policies) {
    for (path, family) in [("firewall policy46", Family::V4), ("firewall policy64", Family::V6)] {
        for entry in cx.domain.table(path) {
            let arrival = cx.zones.list(reader, Direction::In, &entry, "srcintf").unwrap_or(Match::Any);
            let matcher = Match::all(vec![arrival, Match::Family(family)]);
            let mut rule = Rule::new(matcher, Action::Opaque(format!("policy {} between IPv4 and IPv6", entry.name).into()), entry.first);
            rule.enabled = !entry.is("status", "disable");
            rule.whole = entry.span;
            out.forward.push(rule);
        }
    }
}

fn policy(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, entry: &Entry<'_>, kind: Kind, out: &mut Policies) {
    // Default deny (CLI reference, `firewall policy`).
    let action = entry.value("action").unwrap_or("deny");
    let sees = sees_translated(cx, entry, action);
    let arrival = cx.zones.list(reader, Direction::In, entry, "srcintf");
    let departure = cx.zones.list(reader, Direction::Out, entry, "dstintf");
    let missing =
        |reader: &mut Reader<'_>, what: &str| opaque(reader, &format!("policy {} is met, which names no {what}", entry.name), entry.first);
    let mut parts = vec![arrival.unwrap_or_else(|| missing(reader, "srcintf")), departure.unwrap_or_else(|| missing(reader, "dstintf"))];
    let mut families = Vec::new();
    for family in kind.families() {
        let source = cx.side(reader, entry, "src", *family, kind, SeesTranslated::No);
        let destination = cx.side(reader, entry, "dst", *family, kind, sees);
        if let (Some(source), Some(destination)) = (source, destination) {
            families.push(Match::all(vec![source, destination]));
        }
    }
    parts.push(if families.is_empty() { missing(reader, "source and destination of one family") } else { Match::any_of(families) });
    let by_internet_service = ["internet-service", "internet-service6"].iter().any(|s| entry.is(s, "enable"));
    match cx.service(reader, entry) {
        Some(service) => parts.push(service),
        None if by_internet_service => {}
        None => parts.push(missing(reader, "service")),
    }
    parts.push(cx.schedule(reader, entry));
    let users = cx.users(reader, entry);
    let enabled = !entry.is("status", "disable");
    out.asks_users |= users != Match::Any && enabled;
    parts.push(users);
    parts.push(cx.others(reader, entry, POLICY_READ, POLICY_IRRELEVANT));
    let matcher = Match::all(parts);
    let action = match action {
        "accept" => Action::Accept,
        "deny" if entry.is("send-deny-packet", "enable") => Action::Reject("TCP reset or ICMP unreachable".into()),
        "deny" => Action::Drop,
        // A policy of a policy-based IPsec tunnel: what it matches goes into the tunnel.
        "ipsec" | "ssl-vpn" => Action::Accept,
        other => {
            reader.note(entry.at("action"), LineState::NotModelled, "this action is not modelled");
            Action::Opaque(format!("the action {other:?}").into())
        }
    };
    let mut rule = Rule::new(matcher.clone(), action, entry.first);
    rule.enabled = enabled;
    rule.whole = entry.span;
    // `utm`, the default, logs nothing but what security profiles find.
    rule.log = entry.is("logtraffic", "all");
    rule.comment = entry.value("comments").or(entry.value("comment")).filter(|c| !c.is_empty()).map(str::to_owned);
    rule.name = Some(match entry.value("name").filter(|n| !n.is_empty()) {
        Some(name) => format!("policy {} ({name})", entry.name),
        None => format!("policy {}", entry.name),
    });
    let accepts = rule.action == Action::Accept;
    out.forward.push(rule);
    if entry.is("action", "ipsec") && entry.is("inbound", "enable") {
        backwards(reader, cx, entry, kind, enabled, out);
    }
    if accepts && enabled && !cx.central {
        source_translation(reader, cx, entry, matcher, out);
    }
}

fn sees_translated(cx: &Context<'_, '_>, entry: &Entry<'_>, action: &str) -> SeesTranslated {
    if entry.is("match-vip-only", "enable") {
        return SeesTranslated::Only;
    }
    match entry.value("match-vip") {
        Some("enable") => SeesTranslated::Yes,
        Some(_) => SeesTranslated::No,
        None if action != "deny" => SeesTranslated::No,
        None => match defaults::match_vip(cx.version) {
            Some(true) => SeesTranslated::Yes,
            Some(false) => SeesTranslated::No,
            None => SeesTranslated::Unknown,
        },
    }
}

/// The way in of a policy-based tunnel: source and destination change places.
fn backwards(reader: &mut Reader<'_>, cx: &mut Context<'_, '_>, entry: &Entry<'_>, kind: Kind, enabled: bool, out: &mut Policies) {
    let (Some(arrival), Some(departure)) =
        (cx.zones.list(reader, Direction::In, entry, "dstintf"), cx.zones.list(reader, Direction::Out, entry, "srcintf"))
    else {
        return;
    };
    let family = kind.families()[0];
    let tunnel = opaque(
        reader,
        &format!("the packet came through the tunnel {:?}", entry.value("vpntunnel").unwrap_or_default()),
        entry.at("inbound"),
    );
    let mut parts = vec![arrival, departure, tunnel, Match::Family(family)];
    for (setting, field) in [("dstaddr", Field::Src), ("srcaddr", Field::Dst)] {
        let mut any = Vec::new();
        for value in entry.values(setting) {
            let resolved = cx.addresses(family).used(reader, &value.text, value.span);
            any.push(resolved.to_match(field, family, &mut reader.device.conditions));
        }
        parts.push(Match::any_of(any));
    }
    let mut rule = Rule::implied("way in of an IPsec policy", Match::all(parts), Action::Accept, entry.at("inbound"));
    rule.enabled = enabled;
    out.forward.push(rule);
}

fn source_translation(reader: &mut Reader<'_>, cx: &Context<'_, '_>, entry: &Entry<'_>, matcher: Match, out: &mut Policies) {
    if !entry.is("nat", "enable") {
        out.source.push(Rule::implied("policy without source NAT", matcher, Action::Accept, entry.first));
        return;
    }
    let span = entry.at("nat");
    let kind = crate::model::NatKind::Masquerade;
    let plain = Translation { kind, addresses: None, keep_host_bits: false, ports: None, unknown: false };
    let pools = entry.is("ippool", "enable");
    let mut translations = vec![];
    for (setting, family) in [("poolname", Family::V4), ("poolname6", Family::V6)] {
        let names = entry.values(setting);
        if !pools || names.is_empty() {
            continue;
        }
        translations.push((family, cx.pools.translation(reader, names, family)));
    }
    for (family, translation) in translations {
        let of = Match::all(vec![Match::Family(family), matcher.clone()]);
        out.source.push(Rule::implied("source NAT of a policy", of, Action::Nat(translation), span));
    }
    out.source.push(Rule::implied("source NAT of a policy", matcher, Action::Nat(plain), span));
}

/// Zones that let their own traffic through: looked at after the policies (technical tip 264457).
fn intrazone(cx: &Context<'_, '_>, out: &mut Policies) {
    for (name, span) in &cx.zones.open {
        let members = cx.zones.members(name).unwrap_or_default();
        let on =
            |d: Direction| Match::any_of(members.iter().map(|m| Match::Interface(d, crate::model::NamePattern::exact(&**m))).collect());
        let matcher = Match::all(vec![on(Direction::In), on(Direction::Out)]);
        out.forward.push(Rule::implied("passage within a zone", matcher, Action::Accept, *span));
    }
}

/// Technical tip 207381: what no policy matches is denied.
fn implicit_deny(cx: &Context<'_, '_>, out: &mut Policies, at: Span) {
    for (family, setting) in [(Family::V4, "fwpolicy-implicit-log"), (Family::V6, "fwpolicy6-implicit-log")] {
        let mut rule = Rule::implied("implicit deny policy", Match::Family(family), Action::Drop, at);
        rule.log = cx.log_setting(setting);
        out.forward.push(rule);
    }
}
