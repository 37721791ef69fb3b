//! Listening: every packet that arrives for our ports, as the wire brings it, before any filter of this machine.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol as SocketProtocol, SockFilter, Socket, Type};

use super::super::answer::{Cookies, Ends, Heard, hear, says};
use super::super::board::{Board, Id};
use super::super::pace::RoundTrips;
use super::super::payloads;
use super::super::{Protocol, Reason};
use super::PORTS;
use crate::net::Family;

/// Bytes of answers that may wait until they are read.
const BUFFER: usize = 64 << 20;

/// An answer about UDP, for whoever waits for this very one.
pub type Event = (Id, u32, Reason);

/// What sender and listener share.
pub struct Shared<'a> {
    /// What is known.
    pub board: &'a Board,
    /// The key.
    pub cookies: Cookies,
    /// Our first port: the `n`-th question comes from the `n`-th port from there.
    pub first_port: u16,
    /// Our address before each target.
    pub sources: Vec<Option<IpAddr>>,
    /// How long answers take.
    pub trips: RoundTrips,
    /// When it began: what echoes carry.
    pub began: Instant,
    /// The question whose round trip is measured, plus one; 0: none.
    pub sample: AtomicU64,
    /// When it was asked.
    pub sampled_at: Mutex<Instant>,
    /// Time to end.
    pub over: AtomicBool,
}

/// A question and how often it was asked, as one number that is not 0.
pub fn sample_key(id: Id, attempt: u32) -> u64 {
    (id * u64::from(PORTS) + u64::from(attempt)) + 1
}

/// Opens a socket that hears what arrives of a family for these ports, and ICMP.
pub fn open(family: Family, first_port: u16) -> io::Result<Socket> {
    let ether: u16 = if family == Family::V4 { 0x0800 } else { 0x86dd };
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(SocketProtocol::from(i32::from(ether.to_be()))))?;
    socket.attach_filter(&filter(family, first_port))?;
    // Beyond the usual bound where that is allowed.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(BUFFER);
    }
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    Ok(socket)
}

/// A program of the kernel's packet filter: TCP and UDP to our ports, and ICMP. What has IPv6 extension headers is let through.
fn filter(family: Family, first_port: u16) -> Vec<SockFilter> {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_FROM_HEADER: u16 = 0x48;
    const HEADER_LENGTH: u16 = 0xb1;
    const EQUAL: u16 = 0x15;
    const AT_LEAST: u16 = 0x35;
    const ABOVE: u16 = 0x25;
    const RETURN: u16 = 0x06;
    let (lo, hi) = (u32::from(first_port), u32::from(first_port + PORTS - 1));
    let (next, icmp) = if family == Family::V4 { (9, 1) } else { (6, 58) };
    let [header, port] = if family == Family::V4 {
        [SockFilter::new(HEADER_LENGTH, 0, 0, 0), SockFilter::new(LOAD_HALF_FROM_HEADER, 0, 0, 2)]
    } else {
        [SockFilter::new(LOAD_HALF, 0, 0, 42), SockFilter::new(LOAD_HALF, 0, 0, 42)]
    };
    // Another protocol is nothing to us; an extension header may have TCP or UDP behind it.
    let other = if family == Family::V4 { 4 } else { 5 };
    vec![
        SockFilter::new(LOAD_BYTE, 0, 0, next),
        SockFilter::new(EQUAL, 7, 0, icmp),
        SockFilter::new(EQUAL, 1, 0, 6),
        SockFilter::new(EQUAL, 0, other, 17),
        header,
        port,
        SockFilter::new(AT_LEAST, 0, 1, lo),
        SockFilter::new(ABOVE, 0, 1, hi),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, 0x40000),
    ]
}

/// Listens until it is over.
pub fn listen(socket: &Socket, shared: &Shared<'_>, events: &Sender<Event>) {
    let mut buffer = vec![0u8; 4096];
    let mut from = socket;
    loop {
        match from.read(&mut buffer) {
            Ok(n) => {
                if let Some(packet) = buffer.get(..n) {
                    consider(packet, shared, events);
                }
            }
            Err(_) if shared.over.load(Ordering::Relaxed) => return,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
            // An interface went down, say: others may go on.
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Takes down what a packet says, if it is an answer to us.
pub fn consider(packet: &[u8], shared: &Shared<'_>, events: &Sender<Event>) {
    let Some(heard) = hear(packet) else { return };
    let board = shared.board;
    match heard {
        Heard::Tcp { ends, flags, ack } => {
            let Some((id, attempt)) = ours(shared, &ends.back(), Protocol::Tcp) else { return };
            if let Some(reason) = says(flags, ack, shared.cookies.of(&ends.back())) {
                note(shared, id, attempt, reason);
                if let Some(target) = board.target(ends.src) {
                    board.lives(target, false);
                }
            }
        }
        Heard::Udp { ends, payload } => {
            let mut back = ends.back();
            if board.target(back.dst).is_some_and(|t| board.id(t, Protocol::Udp, back.dport).is_none())
                && matches!(payload, [0, 3 | 5 | 6, ..])
            {
                // TFTP answers from a new port (RFC 1350).
                back.dport = 69;
            }
            let Some((id, attempt)) = ours(shared, &back, Protocol::Udp) else { return };
            if payloads::is_answer(back.dport, shared.cookies.token(&back), payload) {
                note(shared, id, attempt, Reason::UdpResponse);
                let _ = events.send((id, attempt, Reason::UdpResponse));
                if let Some(target) = board.target(ends.src) {
                    board.lives(target, false);
                }
            }
        }
        Heard::Echo { src, dst, id, payload } => {
            let Some(target) = board.target(src) else { return };
            let cookie = shared.cookies.of(&Ends { src: dst, dst: src, sport: 0, dport: 0 });
            if id != ((cookie >> 16) as u16, cookie as u16) {
                return;
            }
            board.lives(target, true);
            let sent = payload.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
            if let Some(took) = sent.and_then(|s| shared.began.elapsed().checked_sub(Duration::from_nanos(s))) {
                shared.trips.measured(target, took);
            }
        }
        Heard::Error { dst, reason, protocol, about, word } => {
            let of = match protocol {
                6 => Protocol::Tcp,
                17 => Protocol::Udp,
                _ => return,
            };
            let Some((id, attempt)) = ours(shared, &about, of).filter(|_| about.src == dst) else { return };
            if of == Protocol::Tcp && word != shared.cookies.of(&about) {
                return;
            }
            note(shared, id, attempt, reason);
            if of == Protocol::Udp {
                let _ = events.send((id, attempt, reason));
            }
        }
    }
}

/// The question that a packet with these ends asked, and for the how manieth time; `None`: it was none of ours.
fn ours(shared: &Shared<'_>, asked: &Ends, protocol: Protocol) -> Option<(Id, u32)> {
    let attempt = asked.sport.checked_sub(shared.first_port).filter(|a| *a < PORTS)?;
    let target = shared.board.target(asked.dst)?;
    if shared.sources.get(target as usize).copied().flatten() != Some(asked.src) {
        return None;
    }
    Some((shared.board.id(target, protocol, asked.dport)?, u32::from(attempt)))
}

fn note(shared: &Shared<'_>, id: Id, attempt: u32, reason: Reason) {
    let key = sample_key(id, attempt);
    if shared.sample.load(Ordering::Acquire) == key {
        let at = *shared.sampled_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Errors may come from elsewhere on the way, and late.
        if matches!(reason, Reason::SynAck | Reason::Rst | Reason::UdpResponse) {
            shared.trips.measured(shared.board.question(id).0, at.elapsed());
        }
        let _ = shared.sample.compare_exchange(key, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
    shared.board.answered(id, reason, attempt);
}
