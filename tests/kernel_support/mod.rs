//! What fwproof says of a packet, beside what the Linux kernel does with it.
//!
//! * [`wire`]: a packet of the model as bytes;
//! * [`inside`]: one rule set in one network namespace: loads it, sends packets, reads what became of them;
//! * [`sample`]: packets at and beside the edges of a rule set;
//! * [`random`]: random rule sets, for both programs that load them;
//! * [`compare`]: brings both answers together and counts.

pub mod compare;
pub mod inside;
pub mod random;
pub mod sample;
pub mod wire;

use serde::{Deserialize, Serialize};

/// Who loads a rule set into the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Loader {
    /// `nft -f`.
    Nft,
    /// `iptables-legacy-restore`.
    Legacy,
    /// `ip6tables-legacy-restore`.
    Legacy6,
    /// `iptables-nft-restore`.
    Translated,
    /// `ip6tables-nft-restore`.
    Translated6,
}

impl Loader {
    /// The program with its arguments.
    pub fn command(self) -> &'static [&'static str] {
        match self {
            Loader::Nft => &["nft", "-f", "-"],
            Loader::Legacy => &["iptables-legacy-restore"],
            Loader::Legacy6 => &["ip6tables-legacy-restore"],
            Loader::Translated => &["iptables-nft-restore"],
            Loader::Translated6 => &["ip6tables-nft-restore"],
        }
    }

    /// The name of the kernel's back end.
    pub fn backend(self) -> &'static str {
        match self {
            Loader::Nft => "nft",
            Loader::Legacy | Loader::Legacy6 => "iptables-legacy",
            Loader::Translated | Loader::Translated6 => "iptables-nft",
        }
    }
}

/// What a namespace is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub loader: Loader,
    pub ruleset: String,
    /// Commands for `ipset restore`.
    pub sets: Option<String>,
    /// Names of the interfaces besides `lo`.
    pub interfaces: Vec<String>,
    /// Whether the rule set looks at connections: else tracking stays off, and fragments are not put together.
    pub tracks: bool,
    /// Addresses that are to be the host's own.
    pub own: Vec<String>,
    /// Addresses of interfaces (`eth0`, `192.0.2.1/24`): then the kernel routes by them. Without: packets are sent on the way that is
    /// asked for.
    pub addresses: Vec<(String, String)>,
    pub shots: Vec<Shot>,
}

/// The way that a packet is to take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Aim {
    Input,
    Forward,
    Output,
}

/// A packet to send. Its number is its place in the list plus one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shot {
    pub aim: Aim,
    /// Arrival and departure interface; empty where there is none.
    pub iif: String,
    pub oif: String,
    /// The packet from the IP header on.
    pub bytes: Vec<u8>,
    /// A packet in the other direction that opens the connection first.
    pub opener: Option<Vec<u8>>,
    pub src_mac: Option<u64>,
    /// 0 host, 1 broadcast, 2 multicast.
    pub pkttype: u8,
    pub mark: u32,
}

/// What became of a packet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The last hook at which it was seen, and whether it was seen there behind all rules.
    pub last: Option<(String, bool)>,
    /// The interface through which it was to leave, at the last hook that knows it.
    pub oif: Option<String>,
    /// The state that tracking gave it.
    pub state: Option<String>,
    /// The kernel began to answer it with a reset or an ICMP error.
    pub answered: bool,
}

/// What the namespace answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Seen(Vec<Seen>),
    /// The rule set does not load; what the program said.
    NotLoaded(String),
    /// Something else went wrong.
    Broken(String),
}

/// SplitMix64: the same packets in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u128 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(z ^ (z >> 31))
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u128) as usize
    }

    pub fn of<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        let at = self.below(list.len());
        list.get(at)
    }
}
