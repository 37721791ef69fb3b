//! What is known of each port, shared by who asks and who listens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::plan::Plan;
use super::ports::Ports;
use super::{HostResult, PortResult, Protocol, Reason, State};

/// The number of a question: a port of a target.
pub type Id = u64;

/// Where in a list each port stands.
struct Index {
    ports: Arc<Ports>,
    /// By protocol and port; `u32::MAX`: not in the list.
    place: [Vec<u32>; 2],
}

impl Index {
    fn new(ports: &Arc<Ports>) -> Index {
        let mut place = [Vec::new(), Vec::new()];
        let lists = [(&ports.tcp, 0), (&ports.udp, ports.tcp.len())];
        for (place, (list, offset)) in place.iter_mut().zip(lists) {
            if !list.is_empty() {
                *place = vec![u32::MAX; 65_536];
                for (i, port) in list.iter().enumerate() {
                    place[usize::from(*port)] = (offset + i) as u32;
                }
            }
        }
        Index { ports: Arc::clone(ports), place }
    }
}

/// One byte for each port: the number of the reason, `ASKED` until one is known.
pub struct Board {
    addresses: Vec<IpAddr>,
    by_address: HashMap<IpAddr, u32>,
    /// For each target: its first question, and its list of ports.
    first: Vec<Id>,
    lists: Vec<usize>,
    indices: Vec<Index>,
    reasons: Vec<AtomicU8>,
    pending: AtomicU64,
    /// Per target: 1, something answered; 2, an echo came back.
    alive: Vec<AtomicU8>,
    /// Answers to a second or later question where none came to the first: what was lost on the way.
    recovered: AtomicU64,
}

/// Nothing is known yet.
const ASKED: u8 = u8::MAX;

impl Board {
    /// For a plan.
    pub fn new(plan: &Plan) -> Board {
        let mut indices: Vec<Index> = Vec::new();
        let (mut first, mut lists) = (Vec::new(), Vec::new());
        let mut next: Id = 0;
        for target in &plan.targets {
            let known = indices.iter().position(|i| Arc::ptr_eq(&i.ports, &target.ports) || i.ports == target.ports);
            lists.push(known.unwrap_or_else(|| {
                indices.push(Index::new(&target.ports));
                indices.len() - 1
            }));
            first.push(next);
            next += target.ports.len() as u64;
        }
        let addresses: Vec<IpAddr> = plan.targets.iter().map(|t| t.address).collect();
        Board {
            by_address: addresses.iter().enumerate().map(|(i, a)| (*a, i as u32)).collect(),
            alive: addresses.iter().map(|_| AtomicU8::new(0)).collect(),
            addresses,
            first,
            lists,
            indices,
            reasons: (0..next).map(|_| AtomicU8::new(ASKED)).collect(),
            pending: AtomicU64::new(next),
            recovered: AtomicU64::new(0),
        }
    }

    /// How many questions there are.
    pub fn len(&self) -> u64 {
        self.reasons.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// How many have no answer.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// How many answers came to a repeated question only.
    pub fn recovered(&self) -> u64 {
        self.recovered.load(Ordering::Relaxed)
    }

    /// The address of a target.
    pub fn address(&self, target: u32) -> IpAddr {
        self.addresses[target as usize]
    }

    /// The target of an address.
    pub fn target(&self, address: IpAddr) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    /// The target, protocol and port of a question.
    pub fn question(&self, id: Id) -> (u32, Protocol, u16) {
        let target = self.first.partition_point(|f| *f <= id).saturating_sub(1);
        let ports = &self.indices[self.lists[target]].ports;
        let k = (id - self.first[target]) as usize;
        match ports.tcp.get(k) {
            Some(port) => (target as u32, Protocol::Tcp, *port),
            None => (target as u32, Protocol::Udp, ports.udp[k - ports.tcp.len()]),
        }
    }

    /// The question about a port of a target; `None`: nobody asked it.
    pub fn id(&self, target: u32, protocol: Protocol, port: u16) -> Option<Id> {
        let target = target as usize;
        let place = &self.indices[self.lists[target]].place[usize::from(protocol == Protocol::Udp)];
        let k = *place.get(usize::from(port))?;
        (k != u32::MAX).then(|| self.first[target] + Id::from(k))
    }

    /// What is known; `None`: nothing yet.
    pub fn reason(&self, id: Id) -> Option<Reason> {
        let n = self.reasons[id as usize].load(Ordering::Relaxed);
        (n != ASKED).then(|| Reason::of(n))
    }

    /// Takes down an answer to the `attempt`-th question (from 0). Whether it is news.
    pub fn answered(&self, id: Id, reason: Reason, attempt: u32) -> bool {
        let cell = &self.reasons[id as usize];
        let mut old = cell.load(Ordering::Relaxed);
        loop {
            if old != ASKED && Reason::of(old).weight() >= reason.weight() {
                return false;
            }
            match cell.compare_exchange_weak(old, reason as u8, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => old = now,
            }
        }
        if old == ASKED {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            if attempt > 0 && !matches!(reason, Reason::NotSent | Reason::NoRoute) {
                self.recovered.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    }

    /// Something of a target answered, an echo if `echo`.
    pub fn lives(&self, target: u32, echo: bool) {
        if let Some(cell) = self.alive.get(target as usize) {
            let bit = if echo { 2 } else { 1 };
            if cell.load(Ordering::Relaxed) & bit == 0 {
                cell.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    /// Whether anything of a target answered.
    pub fn is_alive(&self, target: u32) -> bool {
        self.alive.get(target as usize).is_some_and(|c| c.load(Ordering::Relaxed) != 0)
    }

    /// The questions without an answer.
    pub fn open_questions(&self) -> Vec<Id> {
        (0..self.len()).filter(|id| self.reasons[*id as usize].load(Ordering::Relaxed) == ASKED).collect()
    }

    /// What is known of a target's ports. What nobody answered is silence; where nothing came back but that the host cannot be reached, it
    /// is that.
    pub fn host(&self, target: u32, name: Option<String>, error: Option<String>) -> HostResult {
        let ports = &self.indices[self.lists[target as usize]].ports;
        let first = self.first[target as usize];
        let all = ports.tcp.iter().map(|p| (Protocol::Tcp, *p)).chain(ports.udp.iter().map(|p| (Protocol::Udp, *p)));
        let mut list: Vec<PortResult> = Vec::with_capacity(ports.len());
        for (k, (protocol, port)) in all.enumerate() {
            let reason = self.reason(first + k as u64).unwrap_or(Reason::NoResponse);
            list.push(PortResult { port, protocol, state: reason.state(protocol), reason });
        }
        let gone = |p: &PortResult| matches!(p.reason, Reason::IcmpHostUnreachable | Reason::IcmpNetUnreachable | Reason::NoRoute);
        let up = self.is_alive(target);
        if !up && !list.is_empty() && list.iter().any(gone) && list.iter().all(|p| gone(p) || p.reason == Reason::NoResponse) {
            for port in list.iter_mut().filter(|p| gone(p)) {
                port.state = State::Unreachable;
            }
        }
        HostResult { address: self.address(target), name, up: Some(up), error, ports: list }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::PlanTarget;
    use super::*;

    fn board() -> Board {
        let target = |address: &str, ports: &str| PlanTarget {
            address: address.parse().unwrap(),
            name: None,
            ports: Arc::new(Ports::read(ports, Protocol::Tcp).unwrap()),
        };
        Board::new(&Plan {
            targets: vec![target("192.0.2.1", "22,80,U:53"), target("192.0.2.2", "443"), target("2001:db8::1", "22,80,U:53")],
        })
    }

    #[test]
    fn every_question_has_a_number_and_every_number_a_question() {
        let board = board();
        assert_eq!(board.len(), 7);
        for id in 0..board.len() {
            let (target, protocol, port) = board.question(id);
            assert_eq!(board.id(target, protocol, port), Some(id));
            assert_eq!(board.target(board.address(target)), Some(target));
        }
        assert_eq!((board.id(1, Protocol::Tcp, 22), board.id(1, Protocol::Udp, 53)), (None, None));
    }

    #[test]
    fn a_service_that_answered_is_open_whatever_else_is_said() {
        let board = board();
        assert!(board.answered(0, Reason::IcmpAdminProhibited, 0));
        assert!(board.answered(0, Reason::SynAck, 1));
        assert!(!board.answered(0, Reason::Rst, 0));
        assert_eq!((board.reason(0), board.pending(), board.recovered()), (Some(Reason::SynAck), 6, 0));
        assert!(board.answered(1, Reason::Rst, 1));
        assert_eq!((board.recovered(), board.open_questions().len()), (1, 5));
    }

    #[test]
    fn only_a_host_of_which_nothing_answers_is_unreachable() {
        let board = board();
        board.answered(0, Reason::IcmpHostUnreachable, 0);
        assert_eq!(
            board.host(0, None, None).ports.iter().map(|p| p.state).collect::<Vec<_>>(),
            [State::Unreachable, State::Filtered, State::OpenFiltered]
        );
        board.lives(0, false);
        assert_eq!(board.host(0, None, None).ports[0].state, State::Filtered);
    }
}
