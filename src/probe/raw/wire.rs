//! Packets of our own, as bytes from the IP header on.

use std::net::IpAddr;

use pnet::packet::icmp::{self, IcmpTypes, echo_request::MutableEchoRequestPacket};
use pnet::packet::icmpv6::{self, Icmpv6Packet};
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::packet::ipv4::MutableIpv4Packet;
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::packet::tcp::{self, MutableTcpPacket, TcpFlags, TcpOption, TcpPacket};
use pnet::packet::udp::{self, MutableUdpPacket, UdpPacket};

use super::super::answer::Ends;

/// Bytes of a TCP header with the one option that we send.
const TCP: usize = 24;

/// Makes room in `buffer` for an IP header and `length` bytes, and writes the header.
fn header(buffer: &mut Vec<u8>, src: IpAddr, dst: IpAddr, protocol: IpNextHeaderProtocol, length: usize) -> usize {
    buffer.clear();
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            buffer.resize(20 + length, 0);
            if let Some(mut ip) = MutableIpv4Packet::new(buffer) {
                ip.set_version(4);
                ip.set_header_length(5);
                ip.set_total_length((20 + length) as u16);
                // Not in fragments; the kernel fills in what is zero: the identification and the checksum (raw(7)).
                ip.set_flags(2);
                ip.set_ttl(64);
                ip.set_next_level_protocol(protocol);
                ip.set_source(src);
                ip.set_destination(dst);
            }
            20
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            buffer.resize(40 + length, 0);
            if let Some(mut ip) = MutableIpv6Packet::new(buffer) {
                ip.set_version(6);
                ip.set_payload_length(length as u16);
                ip.set_hop_limit(64);
                ip.set_next_header(protocol);
                ip.set_source(src);
                ip.set_destination(dst);
            }
            40
        }
        _ => 0,
    }
}

/// A SYN with a sequence number.
pub fn syn(buffer: &mut Vec<u8>, ends: &Ends, sequence: u32) {
    let at = header(buffer, ends.src, ends.dst, IpNextHeaderProtocols::Tcp, TCP);
    let Some(segment) = buffer.get_mut(at..) else { return };
    if let Some(mut tcp) = MutableTcpPacket::new(segment) {
        tcp.set_source(ends.sport);
        tcp.set_destination(ends.dport);
        tcp.set_sequence(sequence);
        tcp.set_data_offset((TCP / 4) as u8);
        tcp.set_flags(TcpFlags::SYN);
        tcp.set_window(1024);
        tcp.set_options(&[TcpOption::mss(1460)]);
    }
    let Some(packet) = TcpPacket::new(segment) else { return };
    let sum = match (ends.src, ends.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => tcp::ipv4_checksum(&packet, &src, &dst),
        (IpAddr::V6(src), IpAddr::V6(dst)) => tcp::ipv6_checksum(&packet, &src, &dst),
        _ => 0,
    };
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}

/// A datagram.
pub fn datagram(buffer: &mut Vec<u8>, ends: &Ends, payload: &[u8]) {
    let length = 8 + payload.len();
    let at = header(buffer, ends.src, ends.dst, IpNextHeaderProtocols::Udp, length);
    let Some(segment) = buffer.get_mut(at..) else { return };
    if let Some(mut udp) = MutableUdpPacket::new(segment) {
        udp.set_source(ends.sport);
        udp.set_destination(ends.dport);
        udp.set_length(length as u16);
        udp.set_payload(payload);
    }
    let Some(packet) = UdpPacket::new(segment) else { return };
    let sum = match (ends.src, ends.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => udp::ipv4_checksum(&packet, &src, &dst),
        (IpAddr::V6(src), IpAddr::V6(dst)) => udp::ipv6_checksum(&packet, &src, &dst),
        _ => 0,
    };
    // A sum of zero would say that there is none (RFC 768).
    segment[6..8].copy_from_slice(&(if sum == 0 { 0xffff } else { sum }).to_be_bytes());
}

/// An ICMP echo request.
pub fn echo(buffer: &mut Vec<u8>, src: IpAddr, dst: IpAddr, id: (u16, u16), payload: &[u8]) {
    let v4 = src.is_ipv4();
    let protocol = if v4 { IpNextHeaderProtocols::Icmp } else { IpNextHeaderProtocols::Icmpv6 };
    let at = header(buffer, src, dst, protocol, 8 + payload.len());
    let Some(message) = buffer.get_mut(at..) else { return };
    if let Some(mut echo) = MutableEchoRequestPacket::new(message) {
        echo.set_icmp_type(IcmpTypes::EchoRequest);
        echo.set_identifier(id.0);
        echo.set_sequence_number(id.1);
        echo.set_payload(payload);
    }
    if !v4 {
        // The same shape, another number (RFC 4443).
        message[0] = 128;
    }
    let sum = match (src, dst) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => Icmpv6Packet::new(message).map(|p| icmpv6::checksum(&p, &src, &dst)),
        _ => icmp::IcmpPacket::new(message).map(|p| icmp::checksum(&p)),
    };
    message[2..4].copy_from_slice(&sum.unwrap_or(0).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::super::answer::{Heard, SYN, hear};
    use super::*;

    fn ends(src: &str, dst: &str) -> Ends {
        Ends { src: src.parse().unwrap(), dst: dst.parse().unwrap(), sport: 40_000, dport: 53 }
    }

    /// One's complement sum of a packet's payload under its pseudo header: 0 if its checksum is right.
    fn sum(packet: &[u8], protocol: u8) -> u16 {
        let (at, addresses) = if packet[0] >> 4 == 4 { (20, &packet[12..20]) } else { (40, &packet[8..40]) };
        let rest = &packet[at..];
        let pseudo = [addresses, &(rest.len() as u32).to_be_bytes(), &[0, 0, 0, protocol], rest].concat();
        let total: u32 = pseudo.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
        let folded = (total & 0xffff) + (total >> 16);
        !(((folded & 0xffff) + (folded >> 16)) as u16)
    }

    #[test]
    fn packets_are_what_we_would_read_and_their_checksums_are_right() {
        for ends in [ends("192.0.2.7", "192.0.2.1"), ends("2001:db8::7", "2001:db8::1")] {
            let mut buffer = Vec::new();
            syn(&mut buffer, &ends, 42);
            assert_eq!(hear(&buffer), Some(Heard::Tcp { ends, flags: SYN, ack: 0 }));
            assert_eq!(sum(&buffer, 6), 0);
            for payload in [&b"odd"[..], b"even"] {
                datagram(&mut buffer, &ends, payload);
                assert_eq!(hear(&buffer), Some(Heard::Udp { ends, payload }));
                assert_eq!(sum(&buffer, 17), 0);
            }
            echo(&mut buffer, ends.src, ends.dst, (7, 9), b"payload");
            if ends.src.is_ipv6() {
                assert_eq!(sum(&buffer, 58), 0);
            }
        }
    }
}
