//! What runs on a host of the laboratory: this program again, in the host's namespace.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

use pnet_datalink::Channel;
use serde::{Deserialize, Serialize};

/// Tells this program what host it is.
pub const HOST: &str = "FWPROOF_PROBE_HOST";
/// The file that it makes when everything listens.
pub const READY: &str = "FWPROOF_PROBE_READY";

/// A host.
#[derive(Default, Serialize, Deserialize)]
pub struct Host {
    /// Ports on which connections are taken, and closed at once.
    pub tcp: Vec<u16>,
    /// Ports that send back what they get.
    pub udp: Vec<u16>,
    /// Answers every SYN to an address that is nobody's.
    pub answers: Option<Answers>,
}

/// How SYNs are answered by hand.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answers {
    /// With a window of nothing: a tarpit.
    Tarpit,
    /// As if open and in every other way, but never as the answer to what was asked; and with packets cut short.
    Forger,
}

/// Serves until standard input ends. `false`: this is no host.
pub fn main() -> bool {
    let Ok(text) = std::env::var(HOST) else { return false };
    let host: Host = serde_json::from_str(&text).unwrap();
    for port in host.tcp {
        let listener = TcpListener::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), port)).unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
    }
    for port in host.udp {
        let socket = UdpSocket::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), port)).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..n], from);
            }
        });
    }
    if let Some(answers) = host.answers {
        let interface = pnet_datalink::interfaces().into_iter().find(|i| i.name == "eth0").unwrap();
        let Ok(Channel::Ethernet(mut send, mut hear)) = pnet_datalink::channel(&interface, Default::default()) else {
            panic!("no channel")
        };
        std::thread::spawn(move || {
            while let Ok(frame) = hear.next() {
                let all = answer(frame, answers);
                for answer in all {
                    let _ = send.send_to(&answer, None);
                }
            }
        });
    }
    std::fs::write(std::env::var(READY).unwrap(), "").unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    true
}

/// What comes back for a frame with a SYN in IPv4.
fn answer(frame: &[u8], answers: Answers) -> Vec<Vec<u8>> {
    if frame.len() < 54 || frame[12..14] != [8, 0] || frame[23] != 6 || frame[47] & 0x3f != 2 {
        return Vec::new();
    }
    let at = 14 + usize::from(frame[14] & 15) * 4;
    let sequence = u32::from_be_bytes(frame[at + 4..at + 8].try_into().unwrap());
    let segment = |flags: u8, ack: u32| {
        let mut t = [&frame[at + 2..at + 4], &frame[at..at + 2]].concat();
        t.extend(77u32.to_be_bytes());
        t.extend(ack.to_be_bytes());
        t.extend([5 << 4, flags, 0, 0, 0, 0, 0, 0]);
        wrapped(frame, 6, &t)
    };
    let quoted = |sequence: u32| {
        let mut copy = frame[14..at + 8].to_vec();
        let n = copy.len();
        copy[n - 4..].copy_from_slice(&sequence.to_be_bytes());
        copy
    };
    let error = |code: u8, about: &[u8]| wrapped(frame, 1, &[&[3, code, 0, 0, 0, 0, 0, 0], about].concat());
    match answers {
        Answers::Tarpit => vec![segment(0x12, sequence.wrapping_add(1))],
        Answers::Forger => {
            let mut all = vec![
                segment(0x12, sequence),
                segment(0x12, sequence.wrapping_add(2)),
                segment(0x12, 0),
                segment(0x02, sequence.wrapping_add(1)),
                segment(0x04, sequence.wrapping_add(1)),
                segment(0x10, sequence.wrapping_add(1)),
                error(3, &quoted(sequence.wrapping_add(1))),
                error(13, &[]),
                error(13, &frame[14..20]),
            ];
            let whole = segment(0x12, sequence.wrapping_add(1));
            all.extend([16, 20, 33, 34, 40, 53].map(|n| whole[..n].to_vec()));
            all
        }
    }
}

/// A payload in an answer to a frame.
fn wrapped(frame: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let (src, dst) = (&frame[30..34], &frame[26..30]);
    let sum = |bytes: &[u8]| {
        let total: u32 = bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
        let folded = (total & 0xffff) + (total >> 16);
        (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes()
    };
    if protocol == 6 {
        let pseudo = [src, dst, &[0, 6], &(payload.len() as u16).to_be_bytes(), &payload[..]].concat();
        payload[16..18].copy_from_slice(&sum(&pseudo));
    } else {
        let s = sum(&payload);
        payload[2..4].copy_from_slice(&s);
    }
    let total = (20 + payload.len()) as u16;
    let mut ip = vec![0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    ip.extend(src);
    ip.extend(dst);
    let s = sum(&ip);
    ip[10..12].copy_from_slice(&s);
    [&frame[6..12], &frame[0..6], &[8, 0], &ip[..], &payload[..]].concat()
}

/// The address of a host in the laboratory's network, by its number.
pub fn v4(n: u8) -> String {
    Ipv4Addr::new(10, 99, 0, n).to_string()
}
