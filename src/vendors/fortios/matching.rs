//! What policies of every kind ask of a packet.

use super::addresses::Addresses;
use super::defaults::Version;
use super::domain::Domain;
use super::lines::is_off;
use super::nat::{Pools, Vips};
use super::network::Zones;
use super::services::Services;
use super::tree::Entry;
use crate::model::Match;
use crate::net::{Family, Ranges};
use crate::packets::Field;
use crate::source::Span;
use crate::vendors::Reader;

/// One virtual domain at work.
pub(super) struct Context<'c, 't> {
    pub domain: &'c Domain<'t>,
    pub zones: &'c Zones,
    pub v4: Addresses<'t>,
    pub v6: Addresses<'t>,
    pub services: Services<'t>,
    pub vips: Vips,
    pub pools: Pools,
    /// Schedules that are always in force.
    pub always: Vec<String>,
    /// `set central-nat enable`: virtual IPs work without policies, and policies see the packet after them as any other.
    pub central: bool,
    pub version: Option<Version>,
    /// `system global`.
    pub global_setting: Option<Entry<'t>>,
    /// `log setting`, where it stands outside of virtual domains.
    pub global_log: Option<Entry<'t>>,
    /// `system ntp`, where it stands outside of virtual domains.
    pub global_ntp: Option<Entry<'t>>,
}

/// Which families a table of policies is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Settings of their own for each family.
    Both,
    V4,
    V6,
}

impl Kind {
    pub fn families(self) -> &'static [Family] {
        match self {
            Kind::Both => &Family::BOTH,
            Kind::V4 => &[Family::V4],
            Kind::V6 => &[Family::V6],
        }
    }
}

/// What a policy that denies sees of translated packets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SeesTranslated {
    No,
    Yes,
    Only,
    /// The version decides, and is not known.
    Unknown,
}

fn texts(entry: &Entry<'_>, setting: &str) -> String {
    entry.values(setting).iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) fn opaque(reader: &mut Reader<'_>, text: &str, span: Span) -> Match {
    Match::Opaque(reader.device.conditions.intern(text, span))
}

impl<'t> Context<'_, 't> {
    /// Whether a setting of `log setting` is on, of the domain or else of the appliance.
    pub fn log_setting(&self, name: &str) -> bool {
        let log = self.domain.section("log setting").or_else(|| self.global_log.clone());
        log.is_some_and(|l| l.is(name, "enable"))
    }

    pub fn addresses(&mut self, family: Family) -> &mut Addresses<'t> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    /// The setting that names the addresses of a side.
    fn setting(entry: &Entry<'_>, side: &str, family: Family, kind: Kind) -> String {
        match (kind, family) {
            (Kind::Both, Family::V6) => format!("{side}addr6"),
            // 6.2's consolidated policy.
            (Kind::Both, Family::V4) if !entry.values(&format!("{side}addr4")).is_empty() => format!("{side}addr4"),
            _ => format!("{side}addr"),
        }
    }

    /// Packets of `family` whose source (`src`) or destination (`dst`) is what the policy says. `None`: nothing is said of this family.
    pub fn side(
        &mut self,
        reader: &mut Reader<'_>,
        entry: &Entry<'_>,
        side: &str,
        family: Family,
        kind: Kind,
        sees: SeesTranslated,
    ) -> Option<Match> {
        let field = if side == "src" { Field::Src } else { Field::Dst };
        let six = if kind == Kind::Both && family == Family::V6 { "6" } else { "" };
        let suffix = if side == "src" { "-src" } else { "" };
        let internet = format!("internet-service{six}{suffix}");
        if entry.is(&internet, "enable") {
            // Which addresses an internet service has is in a database that comes from the vendor.
            let names: Vec<String> = ["-name", "-group", "-custom", "-custom-group", "-id", "-fortiguard"]
                .iter()
                .map(|p| texts(entry, &format!("{internet}{p}")))
                .filter(|t| !t.is_empty())
                .collect();
            let what = if side == "src" { "source" } else { "destination and service" };
            let condition = opaque(reader, &format!("{what} is the internet service {}", names.join(", ")), entry.at(&internet));
            let negated = entry.is(&format!("{internet}-negate"), "enable");
            let mut parts = vec![Match::Family(family), condition.negate_if(negated)];
            if side == "dst" && family == Family::V4 && !self.central && !self.vips.is_empty() {
                parts.push(Match::Field(Field::Mark, Ranges::single(0)));
            }
            return Some(Match::all(parts));
        }
        let setting = Self::setting(entry, side, family, kind);
        let values = entry.values(&setting);
        if values.is_empty() {
            return None;
        }
        let vips = side == "dst" && !self.vips.is_empty();
        let (mut parts, mut marks, mut all) = (Vec::new(), Vec::new(), false);
        for value in values {
            if vips && let Some(found) = self.vips.used(reader, &value.text, family, value.span) {
                marks.extend(found);
                continue;
            }
            let resolved = self.addresses(family).used(reader, &value.text, value.span);
            all |= resolved.is_all(family);
            parts.push(resolved.to_match(field, family, &mut reader.device.conditions));
        }
        let negated = entry.is(&format!("{setting}-negate"), "enable");
        let both =
            entry.is(&format!("{side}addr-negate"), "enable") && six == "6" && !entry.settings.contains_key(&format!("{setting}-negate"));
        let only_vips = parts.is_empty();
        let mut found = Match::any_of(parts);
        if negated {
            // Within the family: a packet of the other one does not match.
            found = Match::all(vec![Match::Family(family), found.negate_if(true)]);
            all = false;
        }
        if both {
            // Versions before `srcaddr6-negate` negated both lists by one switch; when it came is not known here.
            let open = opaque(reader, &format!("{side}addr-negate is about IPv6 too"), entry.at(&format!("{side}addr-negate")));
            let other = Match::all(vec![Match::Family(family), found.clone().negate_if(true)]);
            found = Match::any_of(vec![Match::all(vec![open.clone(), other]), Match::all(vec![open.negate_if(true), found])]);
            all = false;
        }
        if !vips || self.central {
            return Some(found);
        }
        let marked = Match::Field(Field::Mark, Ranges::from_values(marks.iter().copied()));
        if negated && !marks.is_empty() {
            return Some(Match::all(vec![
                Match::Family(family),
                opaque(reader, "a negated list of virtual IPs is met", entry.at(&setting)),
            ]));
        }
        let untouched = Match::Field(Field::Mark, Ranges::single(0));
        let touched = Match::Field(Field::Mark, Ranges::interval(1, u128::from(u32::MAX)));
        // Which of its two addresses is compared for a translated packet is not documented, so that only "all" is certain.
        let mut translated = || {
            let mut parts = vec![touched.clone(), Match::Family(family)];
            if !all {
                parts.push(opaque(
                    reader,
                    &format!("a translated packet is taken to go to {}", texts(entry, &setting)),
                    entry.at(&setting),
                ));
            }
            Match::all(parts)
        };
        let mut out = Vec::new();
        if !only_vips {
            if sees != SeesTranslated::Only {
                out.push(Match::all(vec![found, untouched]));
            }
            match sees {
                SeesTranslated::No => {}
                SeesTranslated::Yes | SeesTranslated::Only => out.push(translated()),
                SeesTranslated::Unknown => {
                    let translated = translated();
                    let open = opaque(reader, "policies that deny see translated packets (match-vip, by version)", entry.first);
                    out.push(Match::all(vec![translated, open]));
                }
            }
        }
        if !marks.is_empty() {
            out.push(Match::all(vec![Match::Family(family), marked]));
        }
        Some(Match::any_of(out))
    }

    /// The services of a policy, negation included.
    pub fn service(&mut self, reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Match> {
        let found = self.services.list(reader, entry, "service")?;
        Some(found.negate_if(entry.is("service-negate", "enable")))
    }

    /// When the policy is in force.
    pub fn schedule(&self, reader: &mut Reader<'_>, entry: &Entry<'_>) -> Match {
        match entry.values("schedule").first() {
            None => Match::Any,
            Some(v) if self.always.contains(&v.text) => Match::Any,
            Some(v) => {
                if !super::defaults::SHIPPED.contains(&v.text.as_str()) {
                    reader.device.names.used("schedule", &v.text, v.span);
                }
                opaque(reader, &format!("it is the time of the schedule {:?}", v.text), v.span)
            }
        }
    }

    /// Users and groups that the policy asks for.
    pub fn users(&self, reader: &mut Reader<'_>, entry: &Entry<'_>) -> Match {
        let mut parts = Vec::new();
        for setting in ["groups", "users", "fsso-groups"] {
            for value in entry.values(setting).iter().filter(|v| !v.text.is_empty()) {
                parts.push(value.text.clone());
            }
        }
        if parts.is_empty() {
            return Match::Any;
        }
        let at = ["groups", "users", "fsso-groups"].iter().find(|s| !entry.values(s).is_empty()).map_or(entry.first, |s| entry.at(s));
        opaque(reader, &format!("the user is known as one of {}", parts.join(", ")), at)
    }

    /// A condition for each setting of a policy that is neither read nor known to be without effect on what matches.
    pub fn others(&self, reader: &mut Reader<'_>, entry: &Entry<'_>, read: &[&str], irrelevant: &[&str]) -> Match {
        let mut parts = Vec::new();
        for (name, setting) in &entry.settings {
            if read.contains(&name.as_str()) || irrelevant.contains(&name.as_str()) || is_off(&setting.values) {
                continue;
            }
            parts.push(opaque(reader, &format!("{name} {}", texts(entry, name)), setting.span));
        }
        Match::all(parts)
    }
}
