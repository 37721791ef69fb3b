//! Asking with packets of our own: one sender, and a listener for each family.
//!
//! Questions go out through raw sockets, so that the system finds the way and the neighbour; answers are heard on packet sockets, before this
//! machine's own filters. The sequence number of a SYN is a keyed hash of its ends, so an answer needs no list of what is under way, and what
//! was not asked is not believed. Our ports are held by sockets that are bound and do nothing: no other program gets them meanwhile, and the
//! kernel answers a SYN with ACK by a reset, as it should: the service is rid of us at once. That reset cannot harm: what counts has been heard by
//! then, and a repeated question comes from another port. No rule of any filter is touched, and what was opened is closed with the process.

mod ears;
mod mouth;
mod slow;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::answer::{Cookies, Ends};
use super::board::{Board, Id};
use super::pace::{Pacer, RoundTrips};
use super::plan::{Plan, scattered};
use super::{Progress, Protocol, Reason, Scan, Settings, payloads, source};
use crate::net::Family;
use ears::{Event, Shared, sample_key};
use mouth::{HANDFUL, Mouth, Packet, Refused};

/// Ports of ours: so often can a question be repeated and its answers told apart.
pub const PORTS: u16 = 16;
/// How long to wait for answers where no round trip is known yet.
const UNKNOWN: Duration = Duration::from_millis(500);
/// Rounds at most, however much is lost.
const ROUNDS: u32 = 10;

/// Whether raw sockets may be opened; else why not.
///
/// # Errors
/// What the system says.
pub fn allowed() -> io::Result<()> {
    Socket::new(Domain::PACKET, Type::DGRAM, None)?;
    Mouth::open(true, false).map(|_| ())
}

/// The broadcast addresses of this machine's networks.
pub fn broadcasts() -> Vec<Ipv4Addr> {
    let all = pnet::datalink::interfaces();
    let networks = all.iter().flat_map(|i| &i.ips).filter_map(|n| match n {
        pnet::ipnetwork::IpNetwork::V4(n) if n.prefix() < 31 => Some([n.broadcast(), n.network()]),
        _ => None,
    });
    networks.flatten().collect()
}

/// Ports of ours next to each other, held by sockets that are bound and do nothing.
struct Held {
    first: u16,
    _sockets: Vec<Socket>,
}

impl Held {
    fn hold(salt: u64, v6: bool) -> io::Result<Held> {
        let bind = |port: u16| -> io::Result<Vec<Socket>> {
            let mut held = Vec::new();
            for kind in [Type::STREAM, Type::DGRAM] {
                let socket = Socket::new(Domain::IPV4, kind, None)?;
                socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
                held.push(socket);
                if v6 {
                    let socket = Socket::new(Domain::IPV6, kind, None)?;
                    socket.set_only_v6(true)?;
                    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
                    held.push(socket);
                }
            }
            Ok(held)
        };
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for i in 0..64 {
            // Between the lowest port that programs get by themselves and the highest.
            let first = 33_000 + ((salt.wrapping_add(i * 7919) % 2000) as u16) * PORTS;
            let held: io::Result<Vec<Vec<Socket>>> = (first..first + PORTS).map(bind).collect();
            match held {
                Ok(sockets) => return Ok(Held { first, _sockets: sockets.into_iter().flatten().collect() }),
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

/// Asks everything of a plan.
///
/// # Errors
/// Raw sockets are not allowed, or the system has none left.
pub fn scan(plan: &Plan, settings: &Settings, progress: &Progress) -> io::Result<Scan> {
    let board = Board::new(plan);
    let cookies = Cookies::new();
    let salt = cookies.token(&Ends { src: Ipv4Addr::LOCALHOST.into(), dst: Ipv4Addr::LOCALHOST.into(), sport: 0, dport: 0 });
    let families = Family::BOTH.map(|f| plan.targets.iter().any(|t| Family::of(t.address) == f));
    let held = Held::hold(salt, families[1])?;
    let mut mouth = Mouth::open(families[0], families[1])?;
    let mut sockets = Vec::new();
    for family in Family::BOTH.into_iter().zip(families).filter(|(_, used)| *used).map(|(f, _)| f) {
        sockets.push(ears::open(family, held.first)?);
    }
    let mut errors: BTreeMap<u32, String> = BTreeMap::new();
    let mut sources = Vec::with_capacity(plan.targets.len());
    for (i, target) in plan.targets.iter().enumerate() {
        sources.push(match source(target.address) {
            Ok(address) => Some(address),
            Err(e) => {
                errors.insert(i as u32, format!("no way to it: {e}"));
                None
            }
        });
    }
    let shared = Shared {
        board: &board,
        cookies,
        first_port: held.first,
        sources,
        trips: RoundTrips::default(),
        began: Instant::now(),
        sample: AtomicU64::new(0),
        sampled_at: Mutex::new(Instant::now()),
        over: AtomicBool::new(false),
    };
    let (events, heard) = mpsc::channel::<Event>();
    let mut notes = Vec::new();
    std::thread::scope(|scope| {
        for socket in &sockets {
            let (events, shared) = (events.clone(), &shared);
            scope.spawn(move || ears::listen(socket, shared, &events));
        }
        let mut asker = Asker {
            shared: &shared,
            settings,
            progress,
            mouth: &mut mouth,
            errors: &mut errors,
            sent: 0,
            refused: HashMap::new(),
            salt,
            notes: &mut notes,
        };
        asker.all(&heard);
        shared.over.store(true, Ordering::Relaxed);
    });
    let hosts = plan.targets.iter().enumerate().map(|(i, t)| board.host(i as u32, t.name.clone(), errors.remove(&(i as u32)))).collect();
    Ok(Scan {
        hosts,
        sent: progress.sent.load(Ordering::Relaxed),
        seconds: shared.began.elapsed().as_secs_f64(),
        interrupted: progress.stopped(),
        method: "syn".into(),
        notes,
    })
}

/// The sender.
struct Asker<'a> {
    shared: &'a Shared<'a>,
    settings: &'a Settings,
    progress: &'a Progress,
    mouth: &'a mut Mouth,
    errors: &'a mut BTreeMap<u32, String>,
    sent: u64,
    /// Questions that the system did not take when they were asked last.
    refused: HashMap<Id, Refused>,
    salt: u64,
    notes: &'a mut Vec<String>,
}

impl Asker<'_> {
    fn all(&mut self, heard: &mpsc::Receiver<Event>) {
        let board = self.shared.board;
        let targets = board_targets(self.shared);
        let by_target = self.settings.target_rate.map_or(u64::MAX, |r| r.saturating_mul(targets.max(1)));
        let mut pacer = Pacer::new(self.settings.rate.min(by_target));
        self.progress.planned.store(board.len() + if self.settings.echo { targets } else { 0 }, Ordering::Relaxed);
        // What cannot be reached at all is not asked.
        for target in 0..targets as u32 {
            if self.shared.sources[target as usize].is_none() {
                self.give_up(target, Reason::NoRoute);
            }
        }
        if self.settings.echo {
            self.echoes(&mut pacer);
            let nothing = (Duration::ZERO, Duration::MAX);
            if self.shared.trips.wait(nothing, Duration::ZERO) > self.settings.timeout.0 {
                // The first answer may have waited until the kernel knew where the neighbour is: that is no round trip.
                self.shared.trips.forget();
                self.echoes(&mut pacer);
            }
        }
        let mut round = 0;
        let mut questions: Option<Vec<Id>> = None;
        while round < ROUNDS && board.pending() > 0 && !self.progress.stopped() {
            let before = board.recovered();
            match &questions {
                None => self.ask(&mut pacer, scattered(board.len(), self.salt), round),
                Some(list) => self.ask(&mut pacer, scattered(list.len() as u64, self.salt).map(|i| list[i as usize]), round),
            }
            let unknown = if round == 0 { UNKNOWN } else { UNKNOWN * 2 };
            self.wait(unknown, || board.pending() == 0);
            let lost = board.recovered() - before;
            let answered = (board.len() - board.pending()).max(1);
            if lost * 20 > answered && pacer.rate() > 200.0 {
                // More than one in twenty was lost: slower.
                pacer.set_rate(pacer.rate() / 2.0);
                self.notes.push(format!("answers were lost; slowed down to {} packets a second", pacer.rate() as u64));
            }
            round += 1;
            // Where something was lost, whatever stays silent is asked once more, until nothing new is heard.
            let enough = round > self.settings.retries.max(1) && lost == 0 && (board.recovered() == 0 || round > 2);
            if enough {
                // Of who has not been heard at all it is not known how far away he is.
                let heard = (0..targets as u32).all(|t| board.is_alive(t));
                if board.pending() > 0 && !heard {
                    self.wait_at_least(UNKNOWN * 2);
                }
                break;
            }
            let slow = |id: &Id| {
                let (target, protocol, _) = board.question(*id);
                protocol == Protocol::Udp && round > 1 && board.is_alive(target)
            };
            let next: Vec<Id> = board.open_questions().into_iter().filter(|id| !slow(id)).collect();
            if next.is_empty() {
                break;
            }
            self.progress.planned.fetch_add(next.len() as u64, Ordering::Relaxed);
            questions = Some(next);
        }
        if self.settings.patient && !self.progress.stopped() {
            self.slowly(heard);
        }
        self.unsent();
    }

    fn give_up(&mut self, target: u32, reason: Reason) {
        let board = self.shared.board;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for port in 0..=u16::MAX {
                if let Some(id) = board.id(target, protocol, port) {
                    board.answered(id, reason, 0);
                }
            }
        }
    }

    /// Asks for echoes first: who is there, how far away, and the kernel learns where its neighbours are before packets come fast.
    fn echoes(&mut self, pacer: &mut Pacer) {
        let targets = board_targets(self.shared) as u32;
        let mut next = 0;
        while next < targets && !self.progress.stopped() {
            let n = pacer.next(HANDFUL.min((targets - next) as usize)) as u32;
            let mut packets = Vec::new();
            for target in next..next + n {
                let (dst, Some(src)) = (self.shared.board.address(target), self.shared.sources[target as usize]) else { continue };
                let cookie = self.shared.cookies.of(&Ends { src, dst, sport: 0, dport: 0 });
                let now = self.shared.began.elapsed().as_nanos() as u64;
                let mut bytes = Vec::new();
                wire::echo(&mut bytes, src, dst, ((cookie >> 16) as u16, cookie as u16), &[now.to_be_bytes(), [0; 8]].concat());
                packets.push(Packet { to: dst, bytes });
            }
            self.hand_over(&packets, &[]);
            next += n;
        }
        let shared = self.shared;
        let mut first = 0;
        self.wait(Duration::from_millis(150), move || {
            while first < targets && shared.board.is_alive(first) {
                first += 1;
            }
            first == targets
        });
    }

    /// Sends packets, `ids` their questions, and counts them.
    fn hand_over(&mut self, packets: &[Packet], ids: &[Id]) {
        let mut refusals: Vec<(usize, Refused)> = Vec::new();
        self.mouth.send(packets, &mut |i, why| refusals.push((i, why)));
        self.sent += (packets.len() - refusals.len()) as u64;
        self.progress.sent.store(self.sent, Ordering::Relaxed);
        let board = self.shared.board;
        self.progress.settled.store(board.len() - board.pending(), Ordering::Relaxed);
        if !self.refused.is_empty() {
            ids.iter().for_each(|id| {
                self.refused.remove(id);
            });
        }
        // It may pass (a full table of connections, an interface that comes back), so they are asked again with the others.
        self.refused.extend(refusals.iter().filter_map(|(i, why)| Some((*ids.get(*i)?, *why))));
    }

    /// Takes down what the system never took.
    fn unsent(&mut self) {
        let board = self.shared.board;
        for (id, why) in std::mem::take(&mut self.refused) {
            let (reason, text) = match why {
                Refused::NoRoute => (Reason::NoRoute, "there is no way to it from here".to_owned()),
                Refused::Forbidden => {
                    (Reason::NotSent, "this machine's own firewall, or its rights, keep packets from being sent to it".to_owned())
                }
                Refused::Other(code) => (Reason::NotSent, format!("packets could not be sent: {}", io::Error::from_raw_os_error(code))),
            };
            if board.reason(id).is_none() {
                board.answered(id, reason, 0);
                self.errors.entry(board.question(id).0).or_insert(text);
            }
        }
    }

    fn packet(&self, id: Id, attempt: u32, packet: &mut Packet) -> bool {
        let (target, protocol, port) = self.shared.board.question(id);
        let Some(src) = self.shared.sources[target as usize] else { return false };
        let ends =
            Ends { src, dst: self.shared.board.address(target), sport: self.shared.first_port + attempt as u16 % PORTS, dport: port };
        packet.to = ends.dst;
        match protocol {
            Protocol::Tcp => wire::syn(&mut packet.bytes, &ends, self.shared.cookies.of(&ends)),
            Protocol::Udp => wire::datagram(&mut packet.bytes, &ends, &payloads::payload(port, self.shared.cookies.token(&ends), attempt)),
        }
        true
    }

    /// Asks questions that have no answer yet, each once.
    fn ask(&mut self, pacer: &mut Pacer, ids: impl Iterator<Item = Id>, attempt: u32) {
        let board = self.shared.board;
        let mut ids = ids.filter(|id| board.reason(*id).is_none());
        let mut packets: Vec<Packet> =
            (0..HANDFUL).map(|_| Packet { to: Ipv4Addr::LOCALHOST.into(), bytes: Vec::with_capacity(128) }).collect();
        let mut sampled = Instant::now();
        let mut done = false;
        while !done && !self.progress.stopped() {
            let n = pacer.next(HANDFUL);
            let mut asked = Vec::with_capacity(n);
            while asked.len() < n {
                let Some(id) = ids.next() else {
                    done = true;
                    break;
                };
                let at = asked.len();
                if self.packet(id, attempt, &mut packets[at]) {
                    asked.push(id);
                }
            }
            if let Some(last) = asked.last()
                && (self.shared.sample.load(Ordering::Relaxed) == 0 || sampled.elapsed() > Duration::from_millis(300))
            {
                self.shared.sample.store(0, Ordering::Release);
                sampled = Instant::now();
                *self.shared.sampled_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = sampled;
                self.shared.sample.store(sample_key(*last, attempt), Ordering::Release);
            }
            self.hand_over(&packets[..asked.len()], &asked);
        }
    }

    /// Waits so long, unless there is nothing to wait for any more.
    fn wait_at_least(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time && self.shared.board.pending() > 0 && !self.progress.stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for late answers, unless there is nothing to wait for any more.
    fn wait(&self, unknown: Duration, mut enough: impl FnMut() -> bool) {
        let began = Instant::now();
        while began.elapsed() < self.shared.trips.wait(self.settings.timeout, unknown) && !enough() && !self.progress.stopped() {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

fn board_targets(shared: &Shared<'_>) -> u64 {
    shared.sources.len() as u64
}
