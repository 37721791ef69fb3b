//! Packets of the model as bytes, with correct checksums.

use fwproof::net::Family;
use fwproof::packets::fields::{ABSENT_PORT, ct};
use fwproof::packets::{Field, Packet};

/// Ports of the connection that an ICMP error is about.
const INNER_PORTS: (u16, u16) = (5555, 7777);

/// A packet as bytes.
pub struct Wire {
    /// From the IP header on.
    pub bytes: Vec<u8>,
    /// A packet that opens its connection from the other side, if it is to belong to one.
    pub opener: Option<Vec<u8>>,
}

/// Builds a packet. Its number travels where no rule looks: in the IPv4 identification or the IPv6 flow label, and again where an answer
/// repeats it (sequence numbers, the quoted header). `None`: the model's packet cannot be built.
pub fn build(p: &Packet, family: Family, number: u16, tracks: bool) -> Option<Wire> {
    let get = |f: Field| p.field(f);
    let proto = u8::try_from(get(Field::Proto)).ok()?;
    if family == Family::V6 && matches!(proto, 0 | 43 | 44 | 51 | 59 | 60 | 135 | 139 | 140) {
        return None; // Extension headers, and no next header: not what the model means by a protocol.
    }
    if matches!(proto, 4 | 41 | 51 | 94) {
        return None; // Packets within packets, and authentication headers, which some readers look through.
    }
    let icmp = (get(Field::Icmp) != ABSENT_PORT).then(|| (get(Field::Icmp) >> 8, get(Field::Icmp) & 255));
    let ends = Ends { family, src: get(Field::Src), dst: get(Field::Dst) };
    let header = if family == Family::V4 { 20 } else { 40 };
    let fragment = get(Field::Fragment);
    let extension = if family == Family::V6 && fragment > 0 { 8 } else { 0 };
    let room = usize::try_from(get(Field::Length)).ok()?.saturating_sub(header + extension).min(1200);
    let ports = (get(Field::Sport) != ABSENT_PORT).then(|| (get(Field::Sport) as u16, get(Field::Dport) as u16));
    let mut payload = match (fragment == 2, ports, icmp) {
        (true, ..) => vec![0; room.max(8)],
        (_, Some(ports), _) => transport(proto, ports, get(Field::TcpFlags) as u8, number, room, &ends),
        (_, _, Some((kind, code))) => message(kind as u8, code as u8, room, &ends),
        _ => opaque(proto, number, room),
    };
    if fragment == 1 {
        payload.resize(payload.len().next_multiple_of(8), 0);
    }
    let bytes = ip(p, &ends, proto, number, fragment, &payload)?;
    let opener = match get(Field::Ct) {
        ct::ESTABLISHED if tracks && fragment == 0 => opener(proto, ports, icmp, number, &ends),
        ct::RELATED if tracks && icmp.is_some_and(|(t, _)| is_error(family, t as u8)) => Some(quoted(&ends.reversed())),
        _ => None,
    };
    Some(Wire { bytes, opener })
}

/// Whether an ICMP type says that something went wrong with another packet.
pub fn is_error(family: Family, kind: u8) -> bool {
    match family {
        Family::V4 => matches!(kind, 3 | 4 | 5 | 11 | 12),
        Family::V6 => kind < 128,
    }
}

struct Ends {
    family: Family,
    src: u128,
    dst: u128,
}

impl Ends {
    fn reversed(&self) -> Ends {
        Ends { family: self.family, src: self.dst, dst: self.src }
    }

    fn octets(&self, n: u128) -> Vec<u8> {
        let bytes = n.to_be_bytes();
        match self.family {
            Family::V4 => bytes[12..].to_vec(),
            Family::V6 => bytes.to_vec(),
        }
    }

    /// The checksum of a transport header under its pseudo header.
    fn checksum(&self, proto: u8, payload: &[u8]) -> u16 {
        let mut pseudo = self.octets(self.src);
        pseudo.extend(self.octets(self.dst));
        pseudo.extend((payload.len() as u32).to_be_bytes());
        pseudo.extend([0, 0, 0, proto]);
        pseudo.extend(payload);
        sum(&pseudo)
    }
}

fn sum(bytes: &[u8]) -> u16 {
    let mut total: u32 = bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn transport(proto: u8, (sport, dport): (u16, u16), flags: u8, number: u16, room: usize, ends: &Ends) -> Vec<u8> {
    let least = match proto {
        6 => 20,
        17 | 136 => 8,
        132 => 32,
        _ => 24,
    };
    let mut t = vec![0u8; room.max(least)];
    let whole = t.len() as u16;
    put16(&mut t, 0, sport);
    put16(&mut t, 2, dport);
    match proto {
        6 => {
            put16(&mut t, 4, number);
            put16(&mut t, 8, number);
            t[12] = 5 << 4;
            t[13] = flags;
            put16(&mut t, 14, 65000);
            let c = ends.checksum(6, &t);
            put16(&mut t, 16, c);
        }
        17 | 136 => {
            put16(&mut t, 4, whole);
            let c = ends.checksum(proto, &t);
            put16(&mut t, 6, if c == 0 { 0xffff } else { c });
        }
        132 => {
            // One INIT chunk, which opens an association.
            t.truncate(32);
            t[12] = 1;
            put16(&mut t, 14, 20);
            t[19] = 1;
            put16(&mut t, 20, 1);
            put16(&mut t, 24, 1);
            put16(&mut t, 26, 1);
            let c = crc32c(&t);
            t[8..12].copy_from_slice(&c.to_le_bytes());
        }
        _ => {
            // A DCCP request.
            t[4] = (t.len().min(24) / 4) as u8;
            t[8] = 1;
            put16(&mut t, 10, number);
            let c = ends.checksum(proto, &t);
            put16(&mut t, 6, c);
        }
    }
    t
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for b in bytes {
        crc ^= u32::from(*b);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn message(kind: u8, code: u8, room: usize, ends: &Ends) -> Vec<u8> {
    let mut t = vec![kind, code, 0, 0, 0, 7, 0, 1];
    if is_error(ends.family, kind) {
        t[4..8].fill(0);
        t.extend(quoted(&ends.reversed()));
    } else if ends.family == Family::V6 && kind >= 130 {
        t.resize(48, 0);
    }
    t.resize(room.max(t.len()), 0);
    let c = match ends.family {
        Family::V4 => sum(&t),
        Family::V6 => ends.checksum(58, &t),
    };
    put16(&mut t, 2, c);
    t
}

/// The datagram that ICMP errors are about.
fn quoted(ends: &Ends) -> Vec<u8> {
    let datagram = transport(17, INNER_PORTS, 0, 0, 8, ends);
    let mut p = Packet::zero();
    p.set(Field::Ttl, 64);
    ip(&p, ends, 17, 0, 0, &datagram).unwrap_or_default()
}

fn opaque(proto: u8, number: u16, room: usize) -> Vec<u8> {
    let mut t = vec![0u8; room.max(16)];
    match proto {
        // A security parameter index, and a plain GRE header.
        50 => t[3] = 1,
        47 => put16(&mut t, 2, 0x0800),
        _ => put16(&mut t, 6, number),
    }
    t
}

fn opener(proto: u8, ports: Option<(u16, u16)>, icmp: Option<(u128, u128)>, number: u16, ends: &Ends) -> Option<Vec<u8>> {
    let back = ends.reversed();
    let payload = match (proto, ports, icmp) {
        // An acknowledgement picks up a connection in its middle.
        (6, Some((s, d)), _) => transport(6, (d, s), 0x10, number, 20, &back),
        (17, Some((s, d)), _) => transport(17, (d, s), 0, number, 8, &back),
        (_, _, Some((0, 0))) if ends.family == Family::V4 => message(8, 0, 8, &back),
        (_, _, Some((129, 0))) if ends.family == Family::V6 => message(128, 0, 8, &back),
        (_, None, None) if !matches!(proto, 1 | 58) => opaque(proto, 0, 16),
        _ => return None,
    };
    let mut p = Packet::zero();
    p.set(Field::Ttl, 64);
    ip(&p, &back, proto, 0, 0, &payload)
}

fn ip(p: &Packet, ends: &Ends, proto: u8, number: u16, fragment: u128, payload: &[u8]) -> Option<Vec<u8>> {
    let (dscp, ttl) = (p.field(Field::Dscp) as u8, p.field(Field::Ttl) as u8);
    let mut out = Vec::new();
    match ends.family {
        Family::V4 => {
            let total = u16::try_from(20 + payload.len()).ok()?;
            out.extend([0x45, dscp << 2]);
            out.extend(total.to_be_bytes());
            out.extend(number.to_be_bytes());
            out.extend(
                match fragment {
                    0 => 0u16,
                    1 => 0x2000,
                    _ => 100,
                }
                .to_be_bytes(),
            );
            out.extend([ttl, proto, 0, 0]);
            out.extend(ends.octets(ends.src));
            out.extend(ends.octets(ends.dst));
            let c = sum(&out);
            put16(&mut out, 10, c);
        }
        Family::V6 => {
            let extension: &[u8] = match fragment {
                0 => &[],
                1 => &[proto, 0, 0, 1, 0, 0, 0, 9],
                _ => &[proto, 0, 0x03, 0x20, 0, 0, 0, 9],
            };
            let class = dscp << 2;
            out.extend([0x60 | class >> 4, class << 4]);
            out.extend(number.to_be_bytes());
            out.extend(u16::try_from(payload.len() + extension.len()).ok()?.to_be_bytes());
            out.extend([if fragment == 0 { proto } else { 44 }, ttl]);
            out.extend(ends.octets(ends.src));
            out.extend(ends.octets(ends.dst));
            out.extend(extension);
        }
    }
    out.extend(payload);
    Some(out)
}
