//! Hosts, networks, tables and ports as pf.conf(5) writes them.

use super::ast::{Host, Place};
use super::lex::Tok;
use super::names;
use super::parse::{Failed, Parser};
use crate::net::{Family, Ranges, parse_addr};

const PORTS: u128 = 0xffff;

impl Parser<'_, '_> {
    /// A host, network, range, interface or table, perhaps negated.
    pub fn place(&mut self) -> Result<Place, Failed> {
        let start = self.span();
        let mut not = false;
        while self.accept("!") {
            not = !not;
        }
        let host = self.host()?;
        Ok(Place { not, host, span: start.to(self.before()) })
    }

    fn host(&mut self) -> Result<Host, Failed> {
        if self.accept("<") {
            let at = self.span();
            let (name, _) = self.string("the name of a table")?;
            self.accept(">");
            self.reader.device.names.used("table", &*name, at);
            return Ok(Host::Table(name));
        }
        if self.accept("(") {
            let (name, _) = self.string("an interface")?;
            if !self.accept(")") {
                return Err(self.unexpected("`)`"));
            }
            let mask = self.mask();
            return Ok(interface(&name, mask, true));
        }
        let (text, _) = self.string("an address")?;
        match text.as_str() {
            "any" => return Ok(Host::Any),
            "no-route" => return Ok(Host::Opaque("no-route".into())),
            "urpf-failed" => return Ok(Host::Opaque("urpf-failed".into())),
            "route" => {
                let (label, _) = self.string("the label of a route")?;
                return Ok(Host::Opaque(format!("route \"{label}\"")));
            }
            _ => {}
        }
        let full = match self.word().filter(|w| w.starts_with('/')) {
            Some(mask) => {
                let full = format!("{text}{mask}");
                self.advance();
                full
            }
            None => text,
        };
        if let Some((family, lo, hi)) = network(&full) {
            if self.word() == Some("-") {
                self.advance();
                let (last, at) = self.string("the last address of a range")?;
                return match network(&last) {
                    Some((f, _, end)) if f == family && end >= lo => Ok(Host::Net(family, lo, end)),
                    _ => Err((at, format!("`{last}` is not the last address of a range"))),
                };
            }
            return Ok(Host::Net(family, lo, hi));
        }
        if let Some((first, last)) = full.split_once('-')
            && let (Some((f, lo, _)), Some((g, _, hi))) = (network(first), network(last))
            && f == g
            && lo <= hi
        {
            return Ok(Host::Net(f, lo, hi));
        }
        if full.starts_with('$') {
            return Ok(Host::Opaque(format!("undefined macro {full}")));
        }
        let (name, mask) = match full.split_once('/') {
            Some((name, mask)) => (name, mask.parse().ok()),
            None => (full.as_str(), None),
        };
        if is_interface(name) { Ok(interface(name, mask, false)) } else { Ok(Host::Opaque(format!("host {full}"))) }
    }

    fn mask(&mut self) -> Option<u8> {
        let mask = self.word()?.strip_prefix('/')?.parse().ok()?;
        self.advance();
        Some(mask)
    }

    /// `port …` after the word: one operator or a list of them, of which any may hold.
    pub fn ports(&mut self, proto: Option<u8>) -> Result<Ranges, Failed> {
        let list = self.list(|p| p.port_item(proto))?;
        Ok(list.iter().fold(Ranges::EMPTY, |sum, r| sum.or(r)))
    }

    fn port_item(&mut self, proto: Option<u8>) -> Result<Ranges, Failed> {
        let sign = match self.peek() {
            Some(Tok::Punct(p @ ("=" | "!=" | "<" | "<=" | ">" | ">="))) => Some(*p),
            // `! = 22` of careless hands is not pf's.
            _ => None,
        };
        if let Some(sign) = sign {
            self.advance();
            let (lo, hi) = self.port_range(proto)?;
            let set = Ranges::interval(lo, hi);
            return Ok(match sign {
                "=" => set,
                "!=" => set.complement(PORTS),
                "<" => below(lo),
                "<=" => Ranges::interval(0, hi),
                ">" => above(hi),
                _ => Ranges::interval(lo, PORTS),
            });
        }
        let (lo, hi) = self.port_range(proto)?;
        // Both operators exclude their ends (pf.conf(5): `><` is the range without its ends, `<>` what lies outside of both).
        if self.accept("><") {
            let (_, last) = self.port_range(proto)?;
            return Ok(above(lo).and(&below(last)));
        }
        if self.accept("<>") {
            let (_, last) = self.port_range(proto)?;
            return Ok(below(lo).or(&above(last)));
        }
        Ok(Ranges::interval(lo, hi))
    }

    fn port_range(&mut self, proto: Option<u8>) -> Result<(u128, u128), Failed> {
        let (text, span) = self.string("a port")?;
        let (first, last) = text.split_once(':').unwrap_or((&text, &text));
        match (names::port(first, proto), names::port(last, proto)) {
            (Some(lo), Some(hi)) => Ok((u128::from(lo.min(hi)), u128::from(hi.max(lo)))),
            _ => Err((span, format!("`{text}` is not a port that is known"))),
        }
    }
}

fn below(n: u128) -> Ranges {
    n.checked_sub(1).map_or(Ranges::EMPTY, |top| Ranges::interval(0, top))
}

fn above(n: u128) -> Ranges {
    if n >= PORTS { Ranges::EMPTY } else { Ranges::interval(n + 1, PORTS) }
}

/// An address or network. IPv4 networks may leave out their last bytes (`10/8`, `192.168/16`), as inet_net_pton(3) reads them; host bits are
/// cleared, as pfctl does; a zone (`fe80::1%lo0`) is left out.
pub(super) fn network(text: &str) -> Option<(Family, u128, u128)> {
    let (addr, bits) = match text.split_once('/') {
        Some((addr, bits)) => (addr, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let addr = addr.split('%').next().unwrap_or(addr);
    let (family, n) = match parse_addr(addr) {
        Some(found) => found,
        None => {
            bits?;
            let mut bytes = [0u8; 4];
            for (i, part) in addr.split('.').enumerate() {
                *bytes.get_mut(i)? = part.parse().ok()?;
            }
            (Family::V4, u128::from(u32::from_be_bytes(bytes)))
        }
    };
    let bits = bits.unwrap_or(family.bits());
    let host = u32::from(family.bits().checked_sub(bits)?);
    let mask = if host >= 128 { u128::MAX } else { (1u128 << host) - 1 };
    Some((family, n & !mask, n | mask))
}

/// Whether a bare word in the place of a host is an interface or a group rather than the name of a host: pfctl asks the system; here a name
/// without a dot is one.
fn is_interface(word: &str) -> bool {
    !word.is_empty()
        && !word.contains('.')
        && word.split(':').next().is_some_and(|w| w.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn interface(text: &str, mask: Option<u8>, dynamic: bool) -> Host {
    let (name, part) = text.split_once(':').unwrap_or((text, ""));
    Host::Iface { name: name.to_owned(), part: part.to_owned(), mask, dynamic }
}
