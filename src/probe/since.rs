//! What opened or closed since an earlier run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Protocol, Reason, Scan, State};

/// A port that both runs asked and that is another now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Its host.
    pub address: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// As it was.
    pub was: (State, Reason),
    /// As it is.
    pub is: (State, Reason),
}

impl Change {
    /// It was not open and is.
    pub fn opened(&self) -> bool {
        self.is.0 == State::Open
    }
}

/// Ports of which the state is another: those that opened first. What only one run asked is no change.
pub fn changes(old: &Scan, new: &Scan) -> Vec<Change> {
    let before: BTreeMap<(IpAddr, Protocol, u16), (State, Reason)> =
        old.hosts.iter().flat_map(|h| h.ports.iter().map(|p| ((h.address, p.protocol, p.port), (p.state, p.reason)))).collect();
    let mut out = Vec::new();
    for host in &new.hosts {
        for p in &host.ports {
            let Some(was) = before.get(&(host.address, p.protocol, p.port)) else { continue };
            if was.0 != p.state {
                out.push(Change { address: host.address, protocol: p.protocol, port: p.port, was: *was, is: (p.state, p.reason) });
            }
        }
    }
    out.sort_by_key(|c| (!c.opened(), c.was.0 != State::Open, c.address, c.protocol, c.port));
    out
}

/// A line for each: `+` opened, `-` no longer open, `~` another change.
pub fn words(changes: &[Change]) -> String {
    let mut out = String::new();
    for c in changes {
        let sign = if c.opened() {
            '+'
        } else if c.was.0 == State::Open {
            '-'
        } else {
            '~'
        };
        let port = format!("{}/{}", c.port, c.protocol.name());
        let _ = writeln!(
            out,
            "{sign} {} {port}: {} ({}), was {} ({})",
            c.address,
            c.is.0.name(),
            c.is.1.name(),
            c.was.0.name(),
            c.was.1.name()
        );
    }
    if changes.is_empty() {
        out.push_str("nothing has changed\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::scan;
    use super::*;

    #[test]
    fn what_opened_comes_first_and_what_was_not_asked_is_no_change() {
        let old = scan(&[(22, Reason::SynAck), (80, Reason::Rst), (443, Reason::Rst), (1, Reason::NoResponse)]);
        let new = scan(&[
            (22, Reason::NoResponse),
            (80, Reason::SynAck),
            (443, Reason::Rst),
            (8080, Reason::SynAck),
            (1, Reason::IcmpAdminProhibited),
        ]);
        let found = changes(&old, &new);
        assert_eq!(found.iter().map(|c| c.port).collect::<Vec<_>>(), [80, 22]);
        assert_eq!(words(&found).lines().next(), Some("+ 192.0.2.1 80/tcp: open (syn-ack), was closed (rst)"));
        assert_eq!(words(&[]), "nothing has changed\n");
    }
}
