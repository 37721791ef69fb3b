//! What came back. The bytes are anybody's: nothing here panics on them, and nothing is believed that could be made without having seen
//! what was asked.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Reason;

/// The flags SYN, RST and ACK of TCP.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// ACK.
pub const ACK: u8 = 16;

/// The ends of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Ends {
    /// Where it comes from.
    pub src: IpAddr,
    /// Where it goes.
    pub dst: IpAddr,
    /// Its source port.
    pub sport: u16,
    /// Its destination port.
    pub dport: u16,
}

impl Ends {
    /// The other way round.
    pub fn back(self) -> Ends {
        Ends { src: self.dst, dst: self.src, sport: self.dport, dport: self.sport }
    }
}

/// A keyed hash of the ends of a packet: the sequence number of a SYN, by which its answer is known without keeping a list, and which nobody
/// can guess who does not see the packet.
#[derive(Clone, Debug, Default)]
pub struct Cookies(RandomState);

impl Cookies {
    /// With a new random key.
    pub fn new() -> Cookies {
        Cookies::default()
    }

    /// The number of these ends.
    pub fn of(&self, ends: &Ends) -> u32 {
        self.0.hash_one(ends) as u32
    }

    /// More bits, for payloads.
    pub fn token(&self, ends: &Ends) -> u64 {
        self.0.hash_one((ends, 0x746f_6b65_u32))
    }
}

/// A packet, as far as it may be an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard<'a> {
    /// A TCP segment.
    Tcp {
        /// As it came.
        ends: Ends,
        /// Its flags.
        flags: u8,
        /// What it acknowledges.
        ack: u32,
    },
    /// A UDP datagram.
    Udp {
        /// As it came.
        ends: Ends,
        /// What it holds.
        payload: &'a [u8],
    },
    /// An ICMP echo reply.
    Echo {
        /// Who answers.
        src: IpAddr,
        /// Whom.
        dst: IpAddr,
        /// Identifier and sequence number.
        id: (u16, u16),
        /// What it holds.
        payload: &'a [u8],
    },
    /// An ICMP error about a packet of ours.
    Error {
        /// To whom it came.
        dst: IpAddr,
        /// What it says.
        reason: Reason,
        /// The protocol of the packet that it is about.
        protocol: u8,
        /// The ends of that packet.
        about: Ends,
        /// The bytes four to seven of its payload: the sequence number of TCP, length and checksum of UDP.
        word: u32,
    },
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The ends, the protocol and the payload of an IP packet; `None`: it is none, or a later fragment. `cut`: the payload may be shorter than it
/// says, as in ICMP errors.
fn ip(packet: &[u8], cut: bool) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet.first()? & 15) * 4;
            let total = usize::from(be16(packet, 2)?);
            if header < 20 || be16(packet, 6)? & 0x1fff != 0 || (!cut && (total < header || total > packet.len())) {
                return None;
            }
            let octets = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?)));
            let end = if cut { packet.len() } else { total };
            Some((octets(12)?, octets(16)?, *packet.get(9)?, packet.get(header..end)?))
        }
        6 => {
            let octets = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?)));
            let total = usize::from(be16(packet, 4)?) + 40;
            if !cut && total > packet.len() {
                return None;
            }
            let end = if cut { packet.len() } else { total };
            let (mut next, mut rest) = (*packet.get(6)?, packet.get(40..end)?);
            // Extension headers (RFC 8200); eight of them are more than anybody sends.
            for _ in 0..8 {
                let length = match next {
                    0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
                    44 if be16(rest, 2)? & 0xfff8 == 0 => 8,
                    44 => return None,
                    _ => break,
                };
                (next, rest) = (*rest.first()?, rest.get(length..)?);
            }
            Some((octets(8)?, octets(24)?, next, rest))
        }
        _ => None,
    }
}

/// Reads a packet from its IP header on.
pub fn hear(packet: &[u8]) -> Option<Heard<'_>> {
    let (src, dst, protocol, rest) = ip(packet, false)?;
    match (protocol, src) {
        (6, _) => {
            rest.get(..20)?;
            let ends = Ends { src, dst, sport: be16(rest, 0)?, dport: be16(rest, 2)? };
            Some(Heard::Tcp { ends, flags: *rest.get(13)?, ack: be32(rest, 8)? })
        }
        (17, _) => {
            let length = usize::from(be16(rest, 4)?);
            let ends = Ends { src, dst, sport: be16(rest, 0)?, dport: be16(rest, 2)? };
            Some(Heard::Udp { ends, payload: rest.get(8..length)? })
        }
        (1, IpAddr::V4(_)) | (58, IpAddr::V6(_)) => icmp(src, dst, rest),
        _ => None,
    }
}

fn icmp(src: IpAddr, dst: IpAddr, rest: &[u8]) -> Option<Heard<'_>> {
    let (kind, code) = (*rest.first()?, *rest.get(1)?);
    let reason = match (src, kind, code) {
        (IpAddr::V4(_), 0, _) | (IpAddr::V6(_), 129, _) => {
            return Some(Heard::Echo { src, dst, id: (be16(rest, 4)?, be16(rest, 6)?), payload: rest.get(8..)? });
        }
        // RFC 792, 1122, 1812.
        (IpAddr::V4(_), 3, 0 | 5 | 6 | 11) => Reason::IcmpNetUnreachable,
        (IpAddr::V4(_), 3, 1 | 7 | 8 | 12) => Reason::IcmpHostUnreachable,
        (IpAddr::V4(_), 3, 2) => Reason::IcmpProtoUnreachable,
        (IpAddr::V4(_), 3, 3) => Reason::IcmpPortUnreachable,
        (IpAddr::V4(_), 3, 9) => Reason::IcmpNetProhibited,
        (IpAddr::V4(_), 3, 10) => Reason::IcmpHostProhibited,
        (IpAddr::V4(_), 3, 13) => Reason::IcmpAdminProhibited,
        (IpAddr::V4(_), 11, _) | (IpAddr::V6(_), 3, _) => Reason::IcmpTimeExceeded,
        // RFC 4443: no route, prohibited, beyond scope, address unreachable, port unreachable, failed policy, reject route.
        (IpAddr::V6(_), 1, 0 | 2) => Reason::IcmpNetUnreachable,
        (IpAddr::V6(_), 1, 1 | 5 | 6) => Reason::IcmpAdminProhibited,
        (IpAddr::V6(_), 1, 3) => Reason::IcmpHostUnreachable,
        (IpAddr::V6(_), 1, 4) => Reason::IcmpPortUnreachable,
        // An unknown next header.
        (IpAddr::V6(_), 4, 1) => Reason::IcmpProtoUnreachable,
        _ => return None,
    };
    let (from, to, protocol, inner) = ip(rest.get(8..)?, true)?;
    let about = Ends { src: from, dst: to, sport: be16(inner, 0)?, dport: be16(inner, 2)? };
    Some(Heard::Error { dst, reason, protocol, about, word: be32(inner, 4)? })
}

/// What a TCP segment says to a SYN whose sequence number was `cookie`; `None`: it is no answer to it.
pub fn says(flags: u8, ack: u32, cookie: u32) -> Option<Reason> {
    if flags & ACK == 0 || ack != cookie.wrapping_add(1) {
        return None;
    }
    match (flags & SYN != 0, flags & RST != 0) {
        (true, false) => Some(Reason::SynAck),
        (false, true) => Some(Reason::Rst),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN with an ACK from 192.0.2.1 port 80.
    fn syn_ack() -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7];
        p.extend([0, 80, 0x9c, 0x40, 0, 0, 0, 9, 0, 0, 0, 43, 0x60, SYN | ACK, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4]);
        p
    }

    /// An ICMP error from a router about a SYN of ours.
    fn error() -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 203, 0, 113, 1, 198, 51, 100, 7, 3, 13, 0, 0, 0, 0, 0, 0];
        p.extend([0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 7, 192, 0, 2, 1, 0x9c, 0x40, 0, 80, 0, 0, 0, 42]);
        p
    }

    /// An answer of ICMPv6 about a datagram of ours, behind an extension header.
    fn error6() -> Vec<u8> {
        let (us, them) = ("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets(), "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        let mut p = vec![0x60, 0, 0, 0, 0, 64, 0, 64];
        p.extend(them.iter().chain(&us));
        p.extend([58, 0, 1, 4, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 9, 17, 64]);
        p.extend(us.iter().chain(&them));
        p.extend([0x9c, 0x40, 0, 53, 0, 9, 1, 2]);
        p
    }

    #[test]
    fn answers_are_read() {
        let packet = syn_ack();
        let Some(Heard::Tcp { ends, flags, ack }) = hear(&packet) else { panic!() };
        assert_eq!((ends.sport, ends.dport, says(flags, ack, 42)), (80, 40_000, Some(Reason::SynAck)));
        let packet = error();
        let Some(Heard::Error { reason, about, word, protocol, .. }) = hear(&packet) else { panic!() };
        assert_eq!((reason, about.dport, word, protocol), (Reason::IcmpAdminProhibited, 80, 42, 6));
        let packet = error6();
        let Some(Heard::Error { reason, about, protocol, .. }) = hear(&packet) else { panic!() };
        assert_eq!((reason, about.dport, protocol), (Reason::IcmpPortUnreachable, 53, 17));
    }

    #[test]
    fn only_an_answer_to_this_very_packet_is_believed() {
        assert_eq!(says(SYN | ACK, 43, 42), Some(Reason::SynAck));
        assert_eq!(says(SYN | ACK, 0, u32::MAX), Some(Reason::SynAck));
        assert_eq!(says(RST | ACK, 43, 42), Some(Reason::Rst));
        for (flags, ack) in [(SYN | ACK, 42), (SYN | ACK, 44), (SYN, 43), (RST, 43), (ACK, 43), (SYN | ACK | RST, 43), (0, 43)] {
            assert_eq!(says(flags, ack, 42), None);
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for packet in [syn_ack(), error(), error6()] {
            for n in 0..packet.len() {
                hear(&packet[..n]);
                for value in [0, 1, 4, 0x0f, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0xff] {
                    let mut damaged = packet.clone();
                    damaged[n] = value;
                    hear(&damaged);
                }
            }
        }
    }

    #[test]
    fn a_cookie_depends_on_every_part_and_on_the_key() {
        let cookies = Cookies::new();
        let ends = Ends { src: "198.51.100.7".parse().unwrap(), dst: "192.0.2.1".parse().unwrap(), sport: 40_000, dport: 80 };
        let all = [ends, ends.back(), Ends { sport: 40_001, ..ends }, Ends { dport: 81, ..ends }].map(|e| cookies.of(&e));
        assert!((1..4).all(|i| all[i] != all[0]));
        assert_ne!(Cookies::new().token(&ends), cookies.token(&ends));
    }
}
