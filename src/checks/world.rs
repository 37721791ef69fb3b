//! What checks are judged on: the devices that were read, and what the baseline says of the network around them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::civil::Date;

use crate::eval::Analysis;
use crate::model::{Device, NamePattern};
use crate::net::{Family, Ranges};
use crate::source::{Limits, Redactor, Sources, Span};

/// A place in the network: addresses, and on each device the interfaces behind which they sit.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Name.
    pub name: String,
    /// Its addresses by family. A family without addresses has an empty set.
    pub v4: Ranges,
    /// IPv6 addresses.
    pub v6: Ranges,
    /// It is "the internet": every public address, and on a device whatever arrives where the default route points.
    pub internet: bool,
    /// Interfaces by device name.
    pub on: BTreeMap<String, Vec<NamePattern>>,
    /// Interfaces on whatever device has them (tunnels): `through: [wg0]`.
    pub through: Vec<NamePattern>,
    /// Where it is defined.
    pub span: Span,
}

impl Zone {
    /// Its addresses of a family.
    pub fn addresses(&self, family: Family) -> &Ranges {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// A service: what a name like `crm` stands for.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name.
    pub name: String,
    /// Alternatives.
    pub ports: Vec<ServicePorts>,
    /// Whether its traffic is encrypted end to end; `None`: judged by its ports.
    pub encrypted: Option<bool>,
    /// Where it is defined; `None` for built-in ones.
    pub span: Option<Span>,
}

/// One alternative of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePorts {
    /// Protocol number; `None`: any protocol.
    pub protocol: Option<u8>,
    /// Destination ports; `None`: any, or a protocol without ports.
    pub ports: Option<Ranges>,
}

/// An office.
#[derive(Clone, Debug)]
pub struct Site {
    /// Name.
    pub name: String,
    /// How many firewalls it must have.
    pub firewalls: u32,
    /// Their device names, if listed.
    pub devices: Vec<String>,
    /// Where it is written.
    pub span: Span,
}

/// Somebody who works outside the office.
#[derive(Clone, Debug)]
pub struct Person {
    /// Name or id, as in the roster; also the name of the folder of exports unless `device` says otherwise.
    pub name: String,
    /// Device (folder) name.
    pub device: String,
    /// Role or team, where the roster has one.
    pub role: Option<String>,
    /// Platform (`windows`, `macos`, `linux`), where the roster has one.
    pub platform: Option<String>,
    /// The day on which the person left or leaves.
    pub left: Option<Date>,
    /// The line of the roster.
    pub span: Span,
}

/// The people who work outside the office, and what each must have.
#[derive(Clone, Debug)]
pub struct Workers {
    /// The roster.
    pub people: Vec<Person>,
    /// Each must have a host firewall.
    pub host_firewall: bool,
    /// Each must have a VPN client.
    pub vpn_client: bool,
    /// Exports older than this many days are stale.
    pub exported_within_days: Option<u32>,
    /// Destinations that the VPN must take; empty: everything.
    pub tunnelled: Vec<String>,
    /// Where it is written.
    pub span: Span,
}

/// Everything a check may look at.
pub struct World<'a> {
    /// Devices in the order of their names, after those that are [`World::silent`].
    pub devices: &'a [Device],
    /// So many devices at the beginning are there to be looked up (the server of a client) and not to be judged.
    pub silent: usize,
    /// Zones in the order of the baseline.
    pub zones: Vec<Zone>,
    /// Services by name, built-in ones included.
    pub services: BTreeMap<String, Service>,
    /// Offices.
    pub sites: Vec<Site>,
    /// Remote workers; `None`: the baseline says nothing of them.
    pub workers: Option<Workers>,
    /// The date as of which everything is judged.
    pub as_of: Date,
    /// On which day a device's newest file was exported, where known (header date, else the file's date), by device name.
    pub exported: BTreeMap<String, Date>,
    /// The texts, for quoting.
    pub sources: &'a Sources,
    /// For comparing and hiding secrets.
    pub redactor: &'a Redactor,
    /// The packet analyses of the devices, made when they are first asked for.
    pub analyses: Analyses<'a>,
}

/// One packet analysis for each device, shared by all checks.
#[derive(Default)]
pub struct Analyses<'a> {
    limits: Limits,
    of_device: Vec<OnceLock<Analysis<'a>>>,
}

impl Analyses<'_> {
    /// Room for the analyses of `devices`.
    pub fn new(devices: &[Device], limits: Limits) -> Self {
        Analyses { limits, of_device: devices.iter().map(|_| OnceLock::new()).collect() }
    }
}

impl<'a> World<'a> {
    /// The devices that are to be judged.
    pub fn judged(&self) -> &'a [Device] {
        self.devices.get(self.silent..).unwrap_or(&[])
    }

    /// The packet analysis of a device; `None` for a device that is not of this world.
    pub fn analysis(&self, name: &str) -> Option<&Analysis<'a>> {
        let i = self.devices.iter().position(|d| d.name == name)?;
        let cell = self.analyses.of_device.get(i)?;
        Some(cell.get_or_init(|| self.analysis_of(&self.devices[i])))
    }

    /// A packet analysis of a device that is not of this world: one of it with some rules changed, for "what if".
    pub fn analysis_of<'d>(&self, device: &'d Device) -> Analysis<'d> {
        let named = self.zones.iter().flat_map(|z| z.through.iter().chain(z.on.values().flatten())).cloned();
        Analysis::new(device, &named.collect::<Vec<_>>(), &self.analyses.limits)
    }

    /// A zone by name.
    pub fn zone(&self, name: &str) -> Option<&Zone> {
        self.zones.iter().find(|z| z.name == name)
    }

    /// A device by name.
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|d| d.name == name)
    }

    /// Whether the baseline says that this device belongs to a remote worker.
    pub fn is_worker(&self, device: &str) -> bool {
        self.workers.as_ref().is_some_and(|w| w.people.iter().any(|p| p.device == device))
    }
}
