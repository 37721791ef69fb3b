//! How a device is administered: what listens for administrators, who may log in, and what it writes down.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::NamePattern;
use crate::source::Span;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Not written, but what the software does where nothing is written; `span` is then what it is a default of.
    pub default: bool,
    /// Where it is written.
    pub span: Span,
}

impl<T> Fact<T> {
    /// A value that is written at `span`.
    pub fn written(value: T, span: Span) -> Fact<T> {
        Fact { value, default: false, span }
    }

    /// The software's default for what is configured at `span`.
    pub fn default(value: T, span: Span) -> Fact<T> {
        Fact { value, default: true, span }
    }
}

/// Everything about the administration of a device. What a configuration does not show is `None` or empty: not known.
#[derive(Clone, Debug, Default)]
pub struct Management {
    /// The format shows every service for administrators of the device, so that what is not in `services` is off.
    pub exhaustive: bool,
    /// Services for administrators, those that are switched off left out.
    pub services: Vec<ManagementService>,
    /// Accounts of administrators, those that are switched off left out.
    pub accounts: Vec<Account>,
    /// Whether failed logins lock out, and how.
    pub lockout: Option<Fact<Lockout>>,
    /// UPnP, NAT-PMP or PCP: machines inside open ports by themselves. One entry for each such service that is on.
    pub port_mapping: Vec<Fact<String>>,
    /// Where log lines are sent. `None`: nothing is known; empty: nowhere.
    pub log_hosts: Option<Vec<LogHost>>,
}

impl Management {
    /// Adds what another file says.
    pub(super) fn absorb(&mut self, other: Management) {
        self.exhaustive |= other.exhaustive;
        self.services.extend(other.services);
        self.accounts.extend(other.accounts);
        self.port_mapping.extend(other.port_mapping);
        if self.lockout.is_none() {
            self.lockout = other.lockout;
        }
        super::join(&mut self.log_hosts, other.log_hosts);
    }
}

/// A protocol by which devices are administered or asked for their state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ManagementProtocol {
    /// SSH.
    Ssh,
    /// Telnet.
    Telnet,
    /// A web interface without TLS.
    Http,
    /// A web interface with TLS.
    Https,
    /// SNMP.
    Snmp,
    /// FTP or TFTP, for configurations and firmware.
    Ftp,
    /// A vendor's own protocol or API with encryption (WinBox, FGFM, API over TLS).
    Vendor,
    /// A vendor's own protocol or API without encryption.
    VendorCleartext,
}

impl ManagementProtocol {
    /// Name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            ManagementProtocol::Ssh => "SSH",
            ManagementProtocol::Telnet => "Telnet",
            ManagementProtocol::Http => "HTTP",
            ManagementProtocol::Https => "HTTPS",
            ManagementProtocol::Snmp => "SNMP",
            ManagementProtocol::Ftp => "FTP",
            ManagementProtocol::Vendor => "vendor's protocol",
            ManagementProtocol::VendorCleartext => "vendor's protocol without encryption",
        }
    }
}

/// Something that listens for administrators.
#[derive(Clone, Debug)]
pub struct ManagementService {
    /// The protocol.
    pub protocol: ManagementProtocol,
    /// Name as the format writes it (`www-ssl`, `winbox`, `webgui`).
    pub name: String,
    /// Versions that it answers, where the protocol has weak ones: `1`, `2c`, `3` (SNMP), `1`, `2` (SSH). Empty: not said.
    pub versions: Vec<String>,
    /// Port, where the protocol has one.
    pub port: Option<u16>,
    /// Interfaces on which it listens; `None`: all, or not said.
    pub interfaces: Option<Vec<NamePattern>>,
    /// Source addresses that it answers by a list of its own, beside any packet filter; `None`: all.
    pub from: Option<Vec<IpNetwork>>,
    /// Seconds after which an idle session ends; `None` within: never. `None` outside: not known.
    pub idle_timeout: Option<Fact<Option<u32>>>,
    /// Where it is switched on.
    pub span: Span,
}

/// Who may administer the device.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name.
    pub name: String,
    /// It is the account with which the vendor ships the device.
    pub shipped: bool,
    /// It has the password with which the vendor ships the device, or none; `None`: cannot be told.
    pub default_password: Option<bool>,
    /// Source addresses from which it may log in; `None`: from anywhere, empty never occurs.
    pub from: Option<Vec<IpNetwork>>,
    /// Logging in takes a second factor; `None`: the configuration cannot show it.
    pub second_factor: Option<bool>,
    /// Where it is written.
    pub span: Span,
}

/// How failed logins lock an account or an address out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lockout {
    /// Failed attempts before it; `None`: never locks out.
    pub attempts: Option<u32>,
    /// Seconds for which it lasts; `None`: not known, or until an administrator ends it.
    pub seconds: Option<u32>,
}

/// A host that log lines are sent to.
#[derive(Clone, Debug)]
pub struct LogHost {
    /// Its address, where it is written as one.
    pub address: Option<IpAddr>,
    /// As written.
    pub text: String,
    /// Whether lines travel encrypted; `None`: not said.
    pub encrypted: Option<bool>,
    /// Where it is written.
    pub span: Span,
}
