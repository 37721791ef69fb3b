//! The one table of header fields and their bits.

use crate::net::Family;

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident $name:literal $bits:literal),* $(,)?) => {
        /// A field of the symbolic packet header.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Field { $($(#[$doc])* $variant),* }

        impl Field {
            /// All fields, in the order in which packet sets keep them.
            pub const ALL: &'static [Field] = &[$(Field::$variant),*];

            /// The field's name in machine-readable output.
            pub fn name(self) -> &'static str {
                match self { $(Field::$variant => $name),* }
            }

            /// The field's width in bits (`0` stands for the width of an address).
            const fn width(self) -> u32 {
                match self { $(Field::$variant => $bits),* }
            }
        }
    };
}

// Ports, ICMP and TCP flags have one number more than their header field, `ABSENT`: the packet has no such field (another protocol, or a
// fragment that is not the first). Hence 17 and 9 bits. See `domain.rs` for which packets have what.
fields! {
    /// Destination address, as the packet has it at that point of its way.
    Dst "dst" 0,
    /// Source address.
    Src "src" 0,
    /// Protocol number (IPv4 protocol, last IPv6 next header).
    Proto "proto" 8,
    /// Destination port of TCP, UDP, UDP-Lite, SCTP and DCCP, or [`ABSENT_PORT`].
    Dport "dport" 17,
    /// Source port, or [`ABSENT_PORT`].
    Sport "sport" 17,
    /// ICMP or ICMPv6 `type << 8 | code`, or [`ABSENT_PORT`].
    Icmp "icmp" 17,
    /// TCP flags as the byte of the header (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128), or [`ABSENT_FLAGS`].
    TcpFlags "tcp_flags" 9,
    /// State that connection tracking gives the packet, see [`ct`].
    Ct "ct" 3,
    /// Whether connection tracking translated the connection: bit 0 source (SNAT), bit 1 destination (DNAT).
    CtNat "ct_nat" 2,
    /// Interface on which the packet arrived: a number of the device's interface table; 0 is none (output).
    Iif "iif" 16,
    /// Interface through which the packet leaves; 0 is none (input).
    Oif "oif" 16,
    /// Packet mark (`meta mark`), 0 on arrival.
    Mark "mark" 32,
    /// Connection mark (`ct mark`).
    CtMark "ct_mark" 32,
    /// 0: not a fragment; 1: first fragment; 2: later fragment.
    Fragment "fragment" 2,
    /// What the routing table says of the destination address, see [`addr_type`].
    DstType "dst_type" 4,
    /// What the routing table says of the source address, see [`addr_type`].
    SrcType "src_type" 4,
    /// Link-layer addressing: 0 host, 1 broadcast, 2 multicast, 3 other host (`if_packet.h`).
    PktType "pkttype" 2,
    /// Length of the IP packet in bytes.
    Length "length" 16,
    /// IPv4 time to live or IPv6 hop limit.
    Ttl "ttl" 8,
    /// Differentiated services code point.
    Dscp "dscp" 6,
    /// Source MAC address as a number.
    SrcMac "src_mac" 48,
    /// User id of the sending socket (output only).
    Uid "uid" 32,
    /// Group id of the sending socket (output only).
    Gid "gid" 32,
}

/// "No such field" for [`Field::Sport`], [`Field::Dport`] and [`Field::Icmp`].
pub const ABSENT_PORT: u128 = 0x1_0000;
/// "No such field" for [`Field::TcpFlags`].
pub const ABSENT_FLAGS: u128 = 0x100;

impl Field {
    /// The greatest value of the field for packets of a family.
    pub fn max(self, family: Family) -> u128 {
        match self {
            Field::Src | Field::Dst => family.max_address(),
            Field::Sport | Field::Dport | Field::Icmp => ABSENT_PORT,
            Field::TcpFlags => ABSENT_FLAGS,
            _ => (1u128 << self.width()) - 1,
        }
    }

    /// The greatest value that a match in a configuration can mean: "absent" is beyond it.
    pub fn max_present(self, family: Family) -> u128 {
        match self {
            Field::Sport | Field::Dport | Field::Icmp => ABSENT_PORT - 1,
            Field::TcpFlags => ABSENT_FLAGS - 1,
            _ => self.max(family),
        }
    }
}

/// Values of [`Field::Ct`].
pub mod ct {
    /// Opens a connection.
    pub const NEW: u128 = 0;
    /// Belongs to a connection that was seen in both directions.
    pub const ESTABLISHED: u128 = 1;
    /// Opens a connection that an existing one announced, or an ICMP error about one.
    pub const RELATED: u128 = 2;
    /// Fits no connection and opens none.
    pub const INVALID: u128 = 3;
    /// Exempt from connection tracking.
    pub const UNTRACKED: u128 = 4;
    /// Names by value.
    pub const NAMES: [&str; 5] = ["new", "established", "related", "invalid", "untracked"];
}

/// Values of [`Field::DstType`] and [`Field::SrcType`]: `RTN_*` of Linux `rtnetlink.h`.
pub mod addr_type {
    /// Names by value.
    pub const NAMES: [&str; 12] = [
        "unspec",
        "unicast",
        "local",
        "broadcast",
        "anycast",
        "multicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
        "nat",
        "xresolve",
    ];
    /// `RTN_UNICAST`.
    pub const UNICAST: u128 = 1;
    /// `RTN_LOCAL`: an address of this host.
    pub const LOCAL: u128 = 2;
    /// `RTN_BROADCAST`.
    pub const BROADCAST: u128 = 3;
    /// `RTN_ANYCAST`.
    pub const ANYCAST: u128 = 4;
    /// `RTN_MULTICAST`.
    pub const MULTICAST: u128 = 5;
}

/// Protocols whose packets have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
pub const PORT_PROTOCOLS: [u128; 5] = [6, 17, 33, 132, 136];
