//! Asking through the system's own sockets: no privileges, on every system. Slower, and the system says less of what it heard.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::board::{Board, Id};
use super::pace::{Pacer, RoundTrips};
use super::plan::{Plan, scattered};
use super::{Progress, Protocol, Reason, Scan, Settings, payloads};

/// Connections that are under way at once.
const AT_ONCE: u64 = 200;
/// How long to wait where no round trip is known.
const UNKNOWN: Duration = Duration::from_millis(1000);
/// Windows asks again by itself after a refusal, for two seconds (TcpMaxConnectRetransmissions); with less patience, closed ports look filtered.
const LEAST: Duration = if cfg!(windows) { Duration::from_millis(3000) } else { Duration::ZERO };

/// Asks everything of a plan.
pub fn scan(plan: &Plan, settings: &Settings, progress: &Progress) -> Scan {
    let began = Instant::now();
    let board = Board::new(plan);
    let trips = RoundTrips::default();
    let by_target = settings.target_rate.map_or(u64::MAX, |r| r.saturating_mul(plan.targets.len().max(1) as u64));
    let pacer = Mutex::new(Pacer::new(settings.rate.min(by_target)));
    let errors: Mutex<std::collections::BTreeMap<u32, String>> = Mutex::default();
    progress.planned.store(board.len(), Ordering::Relaxed);
    let mut questions: Vec<Id> = scattered(board.len(), 0).collect();
    let mut round = 0;
    while round <= settings.retries.max(1) && !questions.is_empty() && !progress.stopped() {
        let next = AtomicU64::new(0);
        let workers = AT_ONCE.min(questions.len() as u64);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(id) = questions.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        if progress.stopped() {
                            return;
                        }
                        pacer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next(1);
                        let (target, protocol, port) = board.question(*id);
                        let wait = trips.wait((settings.timeout.0.max(LEAST), settings.timeout.1.max(LEAST)), UNKNOWN);
                        progress.sent.fetch_add(1, Ordering::Relaxed);
                        let asked = Instant::now();
                        let answer = ask(SocketAddr::new(board.address(target), port), protocol, wait, round);
                        match answer {
                            Ok(Some(reason)) => {
                                if matches!(reason, Reason::SynAck | Reason::ConnRefused | Reason::UdpResponse) {
                                    trips.measured(target, asked.elapsed());
                                    board.lives(target, false);
                                }
                                board.answered(*id, reason, round);
                            }
                            Ok(None) => {}
                            Err(e) => {
                                let mut errors = errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                                errors.entry(target).or_insert_with(|| e.to_string());
                                board.answered(*id, Reason::NotSent, round);
                            }
                        }
                        progress.settled.store(board.len() - board.pending(), Ordering::Relaxed);
                    }
                });
            }
        });
        questions = board.open_questions();
        progress.planned.fetch_add(questions.len() as u64, Ordering::Relaxed);
        round += 1;
    }
    let mut errors = errors.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let hosts = plan.targets.iter().enumerate().map(|(i, t)| {
        let mut host = board.host(i as u32, t.name.clone(), errors.remove(&(i as u32)));
        host.up = host.up.filter(|up| *up);
        host
    });
    Scan {
        hosts: hosts.collect(),
        sent: progress.sent.load(Ordering::Relaxed),
        seconds: began.elapsed().as_secs_f64(),
        interrupted: progress.stopped(),
        method: "connect".into(),
        notes: Vec::new(),
    }
}

/// Asks once. `None`: silence. An error: it could not be asked.
fn ask(to: SocketAddr, protocol: Protocol, wait: Duration, attempt: u32) -> io::Result<Option<Reason>> {
    let answer = match protocol {
        Protocol::Tcp => TcpStream::connect_timeout(&to, wait).map(|stream| {
            // On this machine a port may come to be connected with itself: nobody else is there.
            let itself = stream.local_addr().is_ok_and(|a| a == to);
            if itself { Reason::ConnRefused } else { Reason::SynAck }
        }),
        Protocol::Udp => udp(to, wait, attempt),
    };
    match answer {
        Ok(reason) => Ok(Some(reason)),
        Err(e) => understood(e, protocol),
    }
}

fn udp(to: SocketAddr, wait: Duration, attempt: u32) -> io::Result<Reason> {
    let any: IpAddr = if to.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
    let token = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), to);
    socket.send(&payloads::payload(to.port(), token, attempt))?;
    let mut buffer = [0; 2048];
    let until = Instant::now() + wait;
    loop {
        let n = socket.recv(&mut buffer)?;
        if buffer.get(..n).is_some_and(|b| payloads::is_answer(to.port(), token, b)) {
            return Ok(Reason::UdpResponse);
        }
        if Instant::now() > until {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}

/// What an error of the system says of a port.
fn understood(e: io::Error, protocol: Protocol) -> io::Result<Option<Reason>> {
    match (e.kind(), protocol) {
        (ErrorKind::ConnectionRefused, Protocol::Tcp) => Ok(Some(Reason::ConnRefused)),
        (ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset, Protocol::Udp) => Ok(Some(Reason::IcmpPortUnreachable)),
        (ErrorKind::ConnectionReset, Protocol::Tcp) => Ok(Some(Reason::ConnRefused)),
        (ErrorKind::HostUnreachable, _) => Ok(Some(Reason::IcmpHostUnreachable)),
        (ErrorKind::NetworkUnreachable, _) => Ok(Some(Reason::IcmpNetUnreachable)),
        // ICMPv6 "prohibited" (icmpv6_err_convert of Linux); this machine's own firewall looks the same.
        (ErrorKind::PermissionDenied, _) => Ok(Some(Reason::IcmpAdminProhibited)),
        (ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted, _) => Ok(None),
        // ENOPROTOOPT is what "protocol unreachable" becomes.
        _ if cfg!(target_os = "linux") && e.raw_os_error() == Some(92) => Ok(Some(Reason::IcmpProtoUnreachable)),
        _ => Err(e),
    }
}
