//! What a change may do: flows that may come or go, and facts that may be others. Whatever is beyond must stay as it is.

use std::collections::BTreeSet;

use crate::checks::select::matches;
use crate::checks::{Service, Zone, cross, from_zone, of_service, to_zone};
use crate::eval::compare::Turn;
use crate::eval::facts::Area;
use crate::eval::{Analysis, Way};
use crate::model::NamePattern;
use crate::net::{Family, Ranges};
use crate::packets::{Cube, Dim, Field};
use crate::source::Span;

/// A change that is meant.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Sources; empty: anywhere.
    pub(super) from: Vec<End>,
    /// Destinations; empty: anywhere.
    pub(super) to: Vec<End>,
    /// Services; empty: any.
    pub(super) services: Vec<Service>,
    /// Device, or a pattern with `*`; `None`: any.
    pub(super) device: Option<String>,
    /// Ways through the device; empty: all.
    pub(super) hooks: Vec<Way>,
    /// What may become of the packets; empty: nothing, as the intent is about facts.
    pub(super) turns: Vec<Turn>,
    /// Facts that may be others.
    pub(super) areas: BTreeSet<Area>,
    /// Devices may come and go.
    pub(super) devices: bool,
    /// Where it is written.
    pub span: Span,
}

/// One end of a flow.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The device itself.
    Firewall,
    /// A zone of the baseline.
    Zone(Box<Zone>),
    /// Addresses.
    Addresses(Family, Ranges),
}

impl Intent {
    fn concerns(&self, device: &str) -> bool {
        self.device.as_deref().is_none_or(|p| matches(p, device))
    }

    /// Whether a fact of a device may be another.
    pub fn allows_fact(&self, device: &str, area: Area) -> bool {
        self.concerns(device) && self.areas.contains(&area)
    }

    /// Whether a device may come or go.
    pub fn allows_device(&self, device: &str) -> bool {
        self.concerns(device) && self.devices
    }

    /// The packets to which this may happen on a way, as they arrive. What has an address of a zone is from (to) that zone, and so is what
    /// arrives where the baseline says that it lies.
    pub fn packets(&self, analysis: &Analysis<'_>, turn: Turn, way: Way, family: Family) -> Vec<Cube> {
        if !self.concerns(&analysis.device.name) || !self.turns.contains(&turn) || !(self.hooks.is_empty() || self.hooks.contains(&way)) {
            return Vec::new();
        }
        let ends = |ends: &[End], field: Field, own: Way| -> Vec<Cube> {
            let mut out = Vec::new();
            if ends.is_empty() {
                out.push(Cube::any());
            }
            for end in ends {
                match end {
                    End::Firewall if way == own => out.push(Cube::any()),
                    End::Firewall => {}
                    End::Addresses(f, set) if *f == family => out.extend(Cube::of(Dim::field(field), set.clone(), family)),
                    End::Addresses(..) => {}
                    End::Zone(zone) => {
                        out.extend(Cube::of(Dim::field(field), zone.addresses(family).clone(), family));
                        match field {
                            Field::Src if way != Way::Output => out.extend(from_zone(analysis, zone, family)),
                            Field::Dst => out.extend(to_zone(analysis, zone, way, family)),
                            _ => {}
                        }
                    }
                }
            }
            out
        };
        let services: Vec<Cube> = match self.services.as_slice() {
            [] => vec![Cube::any()],
            list => list.iter().flat_map(|s| of_service(s, family)).collect(),
        };
        cross(&cross(&ends(&self.from, Field::Src, Way::Output), &ends(&self.to, Field::Dst, Way::Input)), &services)
    }

    /// Names of interfaces that its zones use.
    pub fn interfaces(&self) -> impl Iterator<Item = &NamePattern> {
        let zones = self.from.iter().chain(&self.to).filter_map(|e| if let End::Zone(z) = e { Some(z) } else { None });
        zones.flat_map(|z| z.through.iter().chain(z.on.values().flatten()))
    }
}
