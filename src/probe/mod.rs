//! Real packets: which ports of named hosts answer, and how.
//!
//! * [`ports`], [`targets`], [`top`]: what may be written on the command line;
//! * [`authority`]: who allowed it, and until when;
//! * [`plan`]: what will be asked, before anything is sent;
//! * [`payloads`]: what is said to UDP services so that they answer;
//! * [`answer`]: what came back, from bytes that anybody may have made;
//! * [`board`]: what is known of each port, shared by sender and receiver;
//! * [`pace`]: how fast, and how long to wait;
//! * [`connect`]: asking through the system's own sockets, without privileges;
//! * `raw`: asking with packets of our own (Linux, privileged);
//! * [`output`]: tables, JSON and XML;
//! * [`expect`], [`drift`]: what a configuration says should be open, and where reality parts from it;
//! * [`since`], [`vantage`]: against other runs.

pub mod answer;
pub mod authority;
pub mod board;
pub mod connect;
pub mod drift;
pub mod expect;
pub mod output;
pub mod pace;
pub mod payloads;
pub mod plan;
pub mod ports;
#[cfg(target_os = "linux")]
pub mod raw;
pub mod since;
pub mod targets;
pub mod top;
pub mod vantage;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A protocol with ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }

    /// `tcp` or `udp`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// What is known of a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum State {
    /// A service answers.
    #[serde(rename = "open")]
    Open,
    /// UDP that stays silent: a service that does not answer, or a filter.
    #[serde(rename = "open|filtered")]
    OpenFiltered,
    /// A filter stands before it.
    #[serde(rename = "filtered")]
    Filtered,
    /// The host answers that there is no service.
    #[serde(rename = "closed")]
    Closed,
    /// Nothing of the host can be reached.
    #[serde(rename = "unreachable")]
    Unreachable,
}

impl State {
    /// All, the most open first.
    pub const ALL: [State; 5] = [State::Open, State::OpenFiltered, State::Filtered, State::Closed, State::Unreachable];

    /// The word in all outputs.
    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::OpenFiltered => "open|filtered",
            State::Filtered => "filtered",
            State::Closed => "closed",
            State::Unreachable => "unreachable",
        }
    }
}

/// Why a state is believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Reason {
    /// Nothing came back.
    NoResponse = 0,
    /// A SYN with an ACK.
    SynAck,
    /// A UDP datagram.
    UdpResponse,
    /// A reset.
    Rst,
    /// The system says that a connection was refused: a reset, or an ICMP error that means the same.
    ConnRefused,
    /// ICMP: there is no such port.
    IcmpPortUnreachable,
    /// ICMP: forbidden by an administrator.
    IcmpAdminProhibited,
    /// ICMP: the host is forbidden.
    IcmpHostProhibited,
    /// ICMP: the network is forbidden.
    IcmpNetProhibited,
    /// ICMP: the host cannot be reached.
    IcmpHostUnreachable,
    /// ICMP: the network cannot be reached.
    IcmpNetUnreachable,
    /// ICMP: the protocol is not spoken there.
    IcmpProtoUnreachable,
    /// ICMP: the packet went too far.
    IcmpTimeExceeded,
    /// There is no route to it from here.
    NoRoute,
    /// This machine would not send it.
    NotSent,
    /// ICMP echo, for a host.
    EchoReply,
}

impl Reason {
    /// Every reason, by its number.
    pub const ALL: [Reason; 16] = [
        Reason::NoResponse,
        Reason::SynAck,
        Reason::UdpResponse,
        Reason::Rst,
        Reason::ConnRefused,
        Reason::IcmpPortUnreachable,
        Reason::IcmpAdminProhibited,
        Reason::IcmpHostProhibited,
        Reason::IcmpNetProhibited,
        Reason::IcmpHostUnreachable,
        Reason::IcmpNetUnreachable,
        Reason::IcmpProtoUnreachable,
        Reason::IcmpTimeExceeded,
        Reason::NoRoute,
        Reason::NotSent,
        Reason::EchoReply,
    ];

    /// The reason with a number.
    pub fn of(number: u8) -> Reason {
        Reason::ALL.get(usize::from(number)).copied().unwrap_or(Reason::NoResponse)
    }

    /// The word in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NoResponse => "no-response",
            Reason::SynAck => "syn-ack",
            Reason::UdpResponse => "udp-response",
            Reason::Rst => "rst",
            Reason::ConnRefused => "conn-refused",
            Reason::IcmpPortUnreachable => "icmp-port-unreachable",
            Reason::IcmpAdminProhibited => "icmp-admin-prohibited",
            Reason::IcmpHostProhibited => "icmp-host-prohibited",
            Reason::IcmpNetProhibited => "icmp-net-prohibited",
            Reason::IcmpHostUnreachable => "icmp-host-unreachable",
            Reason::IcmpNetUnreachable => "icmp-net-unreachable",
            Reason::IcmpProtoUnreachable => "icmp-proto-unreachable",
            Reason::IcmpTimeExceeded => "icmp-time-exceeded",
            Reason::NoRoute => "no-route",
            Reason::NotSent => "not-sent",
            Reason::EchoReply => "echo-reply",
        }
    }

    /// The word that nmap has for it (its manual, "--reason").
    pub fn nmap_name(self) -> &'static str {
        match self {
            Reason::Rst => "reset",
            Reason::IcmpPortUnreachable => "port-unreach",
            Reason::IcmpAdminProhibited => "admin-prohibited",
            Reason::IcmpHostProhibited => "host-prohibited",
            Reason::IcmpNetProhibited => "net-prohibited",
            Reason::IcmpHostUnreachable => "host-unreach",
            Reason::IcmpNetUnreachable => "net-unreach",
            Reason::IcmpProtoUnreachable => "proto-unreach",
            Reason::IcmpTimeExceeded => "time-exceeded",
            Reason::NoRoute | Reason::NotSent => "no-response",
            other => other.name(),
        }
    }

    /// What it says of a port.
    pub fn state(self, protocol: Protocol) -> State {
        match self {
            Reason::SynAck | Reason::UdpResponse | Reason::EchoReply => State::Open,
            Reason::Rst | Reason::ConnRefused => State::Closed,
            Reason::IcmpPortUnreachable if protocol == Protocol::Udp => State::Closed,
            Reason::NoResponse if protocol == Protocol::Udp => State::OpenFiltered,
            Reason::NoRoute | Reason::NotSent => State::Unreachable,
            _ => State::Filtered,
        }
    }

    /// How much it weighs against another answer for the same port: a service that answered is there, whatever else was said.
    fn weight(self) -> u8 {
        match self {
            Reason::SynAck | Reason::UdpResponse => 3,
            Reason::Rst | Reason::ConnRefused | Reason::IcmpPortUnreachable => 2,
            Reason::NoResponse | Reason::NotSent | Reason::NoRoute => 0,
            _ => 1,
        }
    }
}

/// A port with what is known of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct PortResult {
    /// Its number.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// What is known.
    pub state: State,
    /// Why.
    pub reason: Reason,
}

/// A host with its ports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostResult {
    /// Its address.
    pub address: IpAddr,
    /// The name under which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether anything of it answered, an echo for instance; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// What keeps its ports from being known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// By protocol, then by number.
    pub ports: Vec<PortResult>,
}

/// What a run found out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Scan {
    /// Hosts in the order in which they were named.
    pub hosts: Vec<HostResult>,
    /// Packets (or connections) that were sent.
    #[serde(default)]
    pub sent: u64,
    /// Seconds that it took.
    #[serde(default)]
    pub seconds: f64,
    /// It was ended before everything had been asked.
    #[serde(default)]
    pub interrupted: bool,
    /// Method, in a word: `syn`, `connect`.
    #[serde(default)]
    pub method: String,
    /// What else should be known: loss, a slower pace.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How to ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Packets a second at most, over all targets.
    pub rate: u64,
    /// Packets a second at most to one target.
    pub target_rate: Option<u64>,
    /// How often a silent port is asked again; at least once.
    pub retries: u32,
    /// How long to wait for an answer at least and at most; between them the round trips decide.
    pub timeout: (Duration, Duration),
    /// Silent UDP ports of hosts that bound their ICMP errors are asked until it is known whether they are silent.
    pub patient: bool,
    /// Ask for an ICMP echo too.
    pub echo: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            rate: 1000,
            target_rate: None,
            retries: 1,
            timeout: (Duration::from_millis(100), Duration::from_millis(1500)),
            patient: true,
            echo: true,
        }
    }
}

/// The address from which the system would ask a target. Sends nothing.
///
/// # Errors
/// There is no way to it.
pub fn source(target: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if target.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect((target, 9))?;
    socket.local_addr().map(|a| a.ip())
}

/// What a run tells while it goes on, and how it is told to stop.
#[derive(Debug, Default)]
pub struct Progress {
    /// Set from outside: stop, and say what is known.
    pub stop: AtomicBool,
    /// Packets sent so far.
    pub sent: AtomicU64,
    /// Packets that are to be sent in all, as far as it is known.
    pub planned: AtomicU64,
    /// Ports of which something is known.
    pub settled: AtomicU64,
}

impl Progress {
    /// Whether to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host seemed to have open by TCP.
    pub(super) fn scan(ports: &[(u16, Reason)]) -> Scan {
        let port = |(port, reason): &(u16, Reason)| PortResult {
            port: *port,
            protocol: Protocol::Tcp,
            state: reason.state(Protocol::Tcp),
            reason: *reason,
        };
        let ports = ports.iter().map(port).collect();
        Scan {
            hosts: vec![HostResult { address: "192.0.2.1".parse().unwrap(), name: None, up: None, error: None, ports }],
            ..Scan::default()
        }
    }
}
