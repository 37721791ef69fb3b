//! Sending: packets by the handful, and what becomes of those that the system does not take.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, sendmmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};

use crate::net::Family;

/// Packets that go by one call.
pub const HANDFUL: usize = 64;
/// Bytes that may wait to be sent.
const BUFFER: usize = 8 << 20;
/// How often a full queue is waited for before a packet counts as not sent.
const PATIENCE: u32 = 400;

/// Why a packet was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is no way to the target.
    NoRoute,
    /// This machine forbids it.
    Forbidden,
    /// Something else.
    Other(i32),
}

/// Raw sockets, one for each family that is asked.
pub struct Mouth {
    v4: Option<Socket>,
    v6: Option<Socket>,
    /// How often a queue was full.
    pub full: u64,
}

/// A packet with where it goes.
pub struct Packet {
    /// Its target.
    pub to: IpAddr,
    /// From the IP header on.
    pub bytes: Vec<u8>,
}

impl Mouth {
    /// Opens what is needed.
    pub fn open(v4: bool, v6: bool) -> io::Result<Mouth> {
        // IPPROTO_RAW: the header is ours (raw(7), and for IPv6 RFC 3542 as Linux has it).
        let raw = |domain| -> io::Result<Socket> {
            let socket = Socket::new(domain, Type::RAW, Some(SocketProtocol::from(255)))?;
            if setsockopt(&socket, sockopt::SndBuf, &BUFFER).is_err() {
                let _ = socket.set_send_buffer_size(BUFFER);
            }
            Ok(socket)
        };
        Ok(Mouth { v4: v4.then(|| raw(Domain::IPV4)).transpose()?, v6: v6.then(|| raw(Domain::IPV6)).transpose()?, full: 0 })
    }

    /// Sends packets, in their order within a family. `refused` is told of each that was not sent, by its number.
    pub fn send(&mut self, packets: &[Packet], refused: &mut dyn FnMut(usize, Refused)) {
        let of = |family: Family| (0..packets.len()).filter(move |i| Family::of(packets[*i].to) == family).collect::<Vec<usize>>();
        if let Some(socket) = &self.v4 {
            let address = |ip: IpAddr| match ip {
                IpAddr::V4(a) => Some(SockaddrIn::from(SocketAddrV4::new(a, 0))),
                IpAddr::V6(_) => None,
            };
            self.full += handfuls(socket, packets, &of(Family::V4), address, refused);
        }
        if let Some(socket) = &self.v6 {
            let address = |ip: IpAddr| match ip {
                IpAddr::V6(a) => Some(SockaddrIn6::from(SocketAddrV6::new(a, 0, 0, 0))),
                IpAddr::V4(_) => None,
            };
            self.full += handfuls(socket, packets, &of(Family::V6), address, refused);
        }
    }
}

fn handfuls<S: SockaddrLike + Copy>(
    socket: &Socket,
    packets: &[Packet],
    numbers: &[usize],
    address: impl Fn(IpAddr) -> Option<S>,
    refused: &mut dyn FnMut(usize, Refused),
) -> u64 {
    let (mut at, mut waits, mut full) = (0, 0, 0);
    while at < numbers.len() {
        let some = &numbers[at..numbers.len().min(at + HANDFUL)];
        let slices: Vec<[IoSlice<'_>; 1]> = some.iter().map(|i| [IoSlice::new(&packets[*i].bytes)]).collect();
        let addresses: Vec<Option<S>> = some.iter().map(|i| address(packets[*i].to)).collect();
        let mut headers = MultiHeaders::<S>::preallocate(some.len(), None);
        match sendmmsg(socket.as_raw_fd(), &mut headers, &slices, &addresses, [], MsgFlags::MSG_DONTWAIT) {
            Ok(sent) => {
                at += sent.count().max(1);
                waits = 0;
            }
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) if waits < PATIENCE => {
                full += 1;
                waits += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(Errno::EINTR) => {}
            // The first of them is refused; the others have not been tried.
            Err(e) => {
                let why = match e {
                    Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EHOSTDOWN | Errno::ENODEV | Errno::ENXIO => {
                        Refused::NoRoute
                    }
                    Errno::EPERM | Errno::EACCES => Refused::Forbidden,
                    other => Refused::Other(other as i32),
                };
                refused(some[0], why);
                at += 1;
                waits = 0;
            }
        }
    }
    full
}
