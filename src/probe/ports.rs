//! Which ports to ask: `22,80,1000-2000,T:443,U:53,top-100`.

use std::collections::BTreeSet;

use super::Protocol;
use super::top::top;
use crate::net::service_port;

/// Ports by protocol, each list without doubles, in the order of the numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ports {
    /// TCP ports.
    pub tcp: Vec<u16>,
    /// UDP ports.
    pub udp: Vec<u16>,
}

impl Ports {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.tcp.len() + self.udp.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ports of a protocol.
    pub fn of(&self, protocol: Protocol) -> &[u16] {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        }
    }

    /// Reads a list. Parts are a port, a range (either end may be missing: `-` is every port from 1), the name of a service, or `top-N`;
    /// `T:` and `U:` say for what follows that it is TCP or UDP. Without, it is `usual`.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn read(text: &str, usual: Protocol) -> Result<Ports, String> {
        let mut sets: [BTreeSet<u16>; 2] = Default::default();
        let mut protocol = usual;
        for part in text.split(',').map(str::trim) {
            let mut part = part;
            for (prefix, of) in [("T:", Protocol::Tcp), ("U:", Protocol::Udp), ("t:", Protocol::Tcp), ("u:", Protocol::Udp)] {
                if let Some(rest) = part.strip_prefix(prefix) {
                    (protocol, part) = (of, rest.trim());
                }
            }
            let set = &mut sets[usize::from(protocol == Protocol::Udp)];
            if let Some(n) = part.strip_prefix("top-") {
                let n = n.parse::<usize>().ok().filter(|n| (1..=65_535).contains(n));
                let n = n.ok_or_else(|| format!("{part}: write top-N with N from 1 to 65535, for instance top-100"))?;
                set.extend(top(protocol, n));
                continue;
            }
            let (lo, hi) = range(part, protocol)?;
            set.extend(lo..=hi);
        }
        let [tcp, udp] = sets.map(|s| s.into_iter().collect());
        Ok(Ports { tcp, udp })
    }
}

fn range(part: &str, protocol: Protocol) -> Result<(u16, u16), String> {
    let number = |text: &str| -> Result<u16, String> {
        let bad = || format!("{text} is no port: ports are numbers from 0 to 65535, ranges of them, or names of services such as https");
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map_err(|_| bad());
        }
        service_port(text, Some(protocol.number())).ok_or_else(bad)
    };
    if part.is_empty() {
        return Err("a port is missing between two commas".into());
    }
    // A name may hold a hyphen itself.
    if let Some(port) = service_port(part, Some(protocol.number())) {
        return Ok((port, port));
    }
    let Some((lo, hi)) = part.split_once('-') else { return number(part).map(|n| (n, n)) };
    let lo = if lo.is_empty() { 1 } else { number(lo.trim())? };
    let hi = if hi.is_empty() { u16::MAX } else { number(hi.trim())? };
    if lo > hi { Err(format!("{part}: the range ends before it begins")) } else { Ok((lo, hi)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Vec<u16> {
        Ports::read(text, Protocol::Tcp).unwrap().tcp
    }

    #[test]
    fn ports_are_written_as_people_know_it() {
        assert_eq!(tcp("80,22,1000-1002,22"), [22, 80, 1000, 1001, 1002]);
        assert_eq!(tcp("https"), [443]);
        assert_eq!(tcp("-").len(), 65_535);
        assert_eq!(tcp("65530-").len(), 6);
        assert_eq!(tcp("-3"), [1, 2, 3]);
        let both = Ports::read("22,U:53,161,T:443", Protocol::Tcp).unwrap();
        assert_eq!((both.tcp, both.udp), (vec![22, 443], vec![53, 161]));
        assert_eq!(Ports::read("53", Protocol::Udp).unwrap().udp, [53]);
    }

    #[test]
    fn the_top_of_any_number_has_that_many_ports() {
        for n in [1, 10, 100, 1000, 65_535] {
            assert_eq!(tcp(&format!("top-{n}")).len(), n);
            assert_eq!(Ports::read(&format!("U:top-{n}"), Protocol::Tcp).unwrap().udp.len(), n);
        }
    }

    #[test]
    fn what_is_no_port_is_refused_in_words() {
        for text in ["", "22,,80", "70000", "abc", "30-20", "top-0", "top-x", "1-2-3", "T:", "é", "-1-"] {
            assert!(Ports::read(text, Protocol::Tcp).is_err(), "{text}");
        }
    }
}
