//! Silent UDP ports of hosts that answer others with ICMP errors. Hosts send few of those: Linux six at once and then one a second to each
//! address (`icmp_ratelimit`, icmp(7)). So silence means nothing, unless at that moment an error would have been sent.
//!
//! That is found out by asking a second question right behind the first, about a port that is known to be answered with an error. If the
//! second is answered and the first is not, the first is silent. If neither is, the host has no errors to spare: slower. While there are
//! errors to spare, more and more ports are asked before the one that is known.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::board::Id;
use super::super::{Protocol, Reason};
use super::ears::Event;
use super::mouth::Packet;
use super::{Asker, PORTS};

/// Time between two questions to a host at first, and at most.
const GAP: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(1100));
/// Ports that are asked at once, at most.
const BATCH: usize = 64;
/// How often in a row a host may have no error to spare before it is left alone.
const DRY: u32 = 20;

/// A host that is asked slowly.
struct Host {
    queue: VecDeque<Id>,
    /// A question that is answered with an error.
    control: Id,
    gap: Duration,
    /// How many are asked at once.
    batch: usize,
    waiting: Option<Waiting>,
    dry: u32,
}

/// Questions that are under way.
struct Waiting {
    ids: Vec<Id>,
    attempt: u32,
    asked: Instant,
    /// How many of them were answered.
    heard: usize,
    /// The one that is known was answered too.
    control: bool,
}

impl Asker<'_> {
    /// Asks silent UDP ports until it is known that they are silent.
    pub(super) fn slowly(&mut self, heard: &mpsc::Receiver<Event>) {
        let board = self.shared.board;
        let mut controls: HashMap<u32, Id> = HashMap::new();
        let mut silent: HashMap<u32, VecDeque<Id>> = HashMap::new();
        for id in 0..board.len() {
            let (target, protocol, _) = board.question(id);
            match (protocol, board.reason(id)) {
                (Protocol::Udp, None) => silent.entry(target).or_default().push_back(id),
                (Protocol::Udp, Some(reason)) if is_error(reason) => {
                    controls.entry(target).or_insert(id);
                }
                _ => {}
            }
        }
        let mut hosts: HashMap<u32, Host> = silent
            .into_iter()
            .filter_map(|(target, queue)| {
                Some((target, Host { queue, control: *controls.get(&target)?, gap: GAP.0, batch: 1, waiting: None, dry: 0 }))
            })
            .collect();
        while heard.try_recv().is_ok() {}
        let mut order: Vec<u32> = hosts.keys().copied().collect();
        order.sort_unstable();
        let mut due: BinaryHeap<Reverse<(Instant, u32)>> = order.iter().map(|t| Reverse((Instant::now(), *t))).collect();
        let mut attempt = 2;
        let mut budget = super::Pacer::new(self.settings.rate);
        let mut left_alone = 0;
        while let Some(Reverse((at, target))) = due.pop() {
            if self.progress.stopped() {
                return;
            }
            loop {
                let pause = at.saturating_duration_since(Instant::now());
                match heard.recv_timeout(pause) {
                    Ok(event) => take(&mut hosts, event, board),
                    Err(_) => break,
                }
            }
            let Some(host) = hosts.get_mut(&target) else { continue };
            // Not before the answers of the last pair can be here.
            let wait = self.shared.trips.wait((Duration::from_millis(30), self.settings.timeout.1), super::UNKNOWN);
            if let Some(w) = &host.waiting {
                let all = w.heard == w.ids.len() && w.control;
                if !all && w.asked.elapsed() < wait {
                    due.push(Reverse((Instant::now() + Duration::from_millis(2).max(wait.saturating_sub(w.asked.elapsed())), target)));
                    continue;
                }
                if w.control {
                    // An error was to be had for each: what got none is silent.
                    (host.gap, host.dry, host.batch) = (host.gap / 2, 0, (host.batch * 2).min(BATCH));
                } else {
                    (host.gap, host.dry) =
                        if w.heard > 0 { (host.gap.mul_f64(0.97), 0) } else { ((host.gap * 2).max(GAP.0), host.dry + 1) };
                    host.batch = 1;
                    w.ids.iter().filter(|id| board.reason(**id).is_none()).for_each(|id| host.queue.push_front(*id));
                }
                host.gap = host.gap.clamp(Duration::from_millis(1), GAP.1);
                let next = w.asked + host.gap;
                host.waiting = None;
                if next > Instant::now() {
                    due.push(Reverse((next, target)));
                    continue;
                }
            }
            if host.dry > DRY {
                left_alone += 1;
                continue;
            }
            let mut ids = Vec::new();
            while ids.len() < host.batch {
                let Some(id) = host.queue.pop_front() else { break };
                if board.reason(id).is_none() {
                    ids.push(id);
                }
            }
            if ids.is_empty() {
                continue;
            }
            attempt = if attempt + 1 >= u32::from(PORTS) { 2 } else { attempt + 1 };
            let mut packets: Vec<Packet> = Vec::new();
            for id in ids.iter().chain([&host.control]) {
                let mut packet = Packet { to: board.address(target), bytes: Vec::new() };
                self.packet(*id, attempt, &mut packet);
                packets.push(packet);
            }
            host.waiting = Some(Waiting { ids, attempt, asked: Instant::now(), heard: 0, control: false });
            self.progress.planned.fetch_add(packets.len() as u64, std::sync::atomic::Ordering::Relaxed);
            let mut left = &packets[..];
            while !left.is_empty() {
                let (now, later) = left.split_at(budget.next(left.len()));
                self.hand_over(now, &[]);
                left = later;
            }
            due.push(Reverse((Instant::now() + Duration::from_millis(1), target)));
        }
        if left_alone > 0 {
            self.notes.push(format!("{left_alone} hosts ceased to send ICMP errors: what stays silent there may be closed"));
        }
    }
}

fn is_error(reason: Reason) -> bool {
    !matches!(reason, Reason::UdpResponse | Reason::NoResponse | Reason::NoRoute | Reason::NotSent)
}

fn take(hosts: &mut HashMap<u32, Host>, (id, attempt, _): Event, board: &super::Board) {
    let Some(host) = hosts.get_mut(&board.question(id).0) else { return };
    let control = host.control;
    let Some(waiting) = host.waiting.as_mut().filter(|w| w.attempt == attempt) else { return };
    waiting.heard += usize::from(waiting.ids.contains(&id));
    waiting.control |= control == id;
}
