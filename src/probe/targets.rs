//! Which addresses to ask, and which never.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::net::{Family, Ranges, parse_cidr, to_ip, to_number};

/// Targets of one run at most.
pub const MOST_TARGETS: usize = 65_536;
/// Addresses of an IPv6 prefix or range at most: nobody means to ask a whole network of it.
const MOST_V6: u128 = 256;

/// What a word for targets stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Addresses from the first to the last.
    Addresses(Family, u128, u128),
    /// A name to be looked up.
    Name(String),
}

impl Target {
    /// Reads an address, a prefix (`192.0.2.0/24`), a range (`192.0.2.1-20`, `192.0.2.1-192.0.2.20`), or a name.
    ///
    /// # Errors
    /// What is none of these, or stands for too much.
    pub fn read(text: &str) -> Result<Target, String> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Some((family, lo, hi)) = parse_cidr(bare) {
            return bounded(text, family, lo, hi);
        }
        if let Some((first, last)) = bare.split_once('-')
            && let Ok(first) = first.trim().parse::<IpAddr>()
        {
            let (family, lo) = to_number(first);
            let last = last.trim();
            let hi = match (last.parse::<IpAddr>(), last.parse::<u8>(), family) {
                (Ok(last), _, _) if Family::of(last) == family => to_number(last).1,
                (_, Ok(n), Family::V4) => (lo & !0xff) | u128::from(n),
                _ => return Err(format!("{text}: write a range as 192.0.2.1-20 or with both addresses")),
            };
            if hi < lo {
                return Err(format!("{text}: the range ends before it begins"));
            }
            return bounded(text, family, lo, hi);
        }
        if is_name(bare) { Ok(Target::Name(bare.to_owned())) } else { Err(format!("{text} is no address, prefix, range or name")) }
    }

    /// Whether it lies within `allowed` (of its family); a name is asked for after it has been looked up.
    pub fn is_within(&self, v4: &Ranges, v6: &Ranges) -> bool {
        match self {
            Target::Addresses(Family::V4, lo, hi) => Ranges::interval(*lo, *hi).is_subset(v4),
            Target::Addresses(Family::V6, lo, hi) => Ranges::interval(*lo, *hi).is_subset(v6),
            Target::Name(_) => false,
        }
    }
}

fn bounded(text: &str, family: Family, lo: u128, hi: u128) -> Result<Target, String> {
    if family == Family::V6 && hi - lo >= MOST_V6 {
        return Err(format!("{text}: whole IPv6 networks are not asked ({MOST_V6} addresses at most); name the addresses"));
    }
    if hi - lo >= MOST_TARGETS as u128 {
        return Err(format!("{text}: that are more than {MOST_TARGETS} addresses; take a part of them"));
    }
    Ok(Target::Addresses(family, lo, hi))
}

/// Letters, digits, dots and hyphens with a letter in the last part: what a mistyped address is not.
fn is_name(text: &str) -> bool {
    let labels: Vec<&str> = text.trim_end_matches('.').split('.').collect();
    text.len() <= 253
        && labels
            .iter()
            .all(|l| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && l.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)))
        && labels.last().is_some_and(|l| l.chars().any(char::is_alphabetic))
}

/// The targets of a file: one or more a line, `#` begins a comment.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split([' ', '\t', ',']).map(str::trim)).filter(|w| !w.is_empty())
}

/// Why nothing is ever sent to an address; `None`: it may be.
///
/// `broadcasts`: the broadcast addresses of this machine's own networks.
pub fn refusal(address: IpAddr, broadcasts: &HashSet<Ipv4Addr>) -> Option<&'static str> {
    let plain = match address {
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    match plain {
        a if a.is_unspecified() => Some("the unspecified address"),
        a if a.is_multicast() => Some("a multicast address"),
        IpAddr::V4(a) if a.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(a) if broadcasts.contains(&a) => Some("the broadcast address of a network of this machine"),
        // "This network" (RFC 1122) and what is reserved (RFC 1112): nobody is there.
        IpAddr::V4(a) if a.octets()[0] == 0 || a.octets()[0] >= 240 => Some("a reserved address"),
        _ => None,
    }
}

/// The addresses that words stand for, without those excluded, and without doubles.
#[derive(Debug, Default)]
pub struct Expanded {
    /// In the order of the words, addresses of one word in theirs.
    pub addresses: Vec<(IpAddr, Option<String>)>,
    /// Addresses of prefixes and ranges that were left out, and why.
    pub left_out: Vec<(IpAddr, &'static str)>,
    /// Names that could not be looked up, and why.
    pub unresolved: Vec<(String, String)>,
}

/// Writes targets out. A single address that may not be asked is an error; within a prefix it is left out. Exclusions win over everything.
///
/// # Errors
/// An address that is refused, or too many targets.
pub fn expand(
    targets: &[Target],
    excluded: &[Target],
    broadcasts: &HashSet<Ipv4Addr>,
    resolve: &dyn Fn(&str) -> Result<Vec<IpAddr>, String>,
) -> Result<Expanded, String> {
    let mut out = Expanded::default();
    let mut without: [Vec<(u128, u128)>; 2] = Default::default();
    for target in excluded {
        match target {
            Target::Addresses(f, lo, hi) => without[usize::from(*f == Family::V6)].push((*lo, *hi)),
            Target::Name(name) => {
                let found = resolve(name).map_err(|e| format!("{name}, which is to be left out, cannot be looked up: {e}"))?;
                for (f, n) in found.into_iter().map(to_number) {
                    without[usize::from(f == Family::V6)].push((n, n));
                }
            }
        }
    }
    let without = without.map(Ranges::from_intervals);
    let mut seen = BTreeSet::new();
    for target in targets {
        let (list, name): (Vec<IpAddr>, Option<&String>) = match target {
            Target::Addresses(f, lo, hi) => ((*lo..=*hi).map(|n| to_ip(*f, n)).collect(), None),
            Target::Name(name) => match resolve(name) {
                Ok(list) => (list, Some(name)),
                Err(why) => {
                    out.unresolved.push((name.clone(), why));
                    continue;
                }
            },
        };
        let single = list.len() == 1;
        for address in list {
            let (family, n) = to_number(address);
            if without[usize::from(family == Family::V6)].contains(n) || !seen.insert(address) {
                continue;
            }
            match refusal(address, broadcasts) {
                Some(why) if single || name.is_some() => return Err(format!("{address} is {why}: nothing is sent there")),
                Some(why) => out.left_out.push((address, why)),
                None => out.addresses.push((address, name.cloned())),
            }
            if out.addresses.len() > MOST_TARGETS {
                return Err(format!("more than {MOST_TARGETS} targets; take a part of them at a time"));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(words: &[&str], without: &[&str]) -> Result<Vec<String>, String> {
        let read = |list: &[&str]| list.iter().map(|w| Target::read(w)).collect::<Result<Vec<_>, _>>();
        let resolve =
            |name: &str| if name == "known.example" { Ok(vec!["192.0.2.9".parse().unwrap()]) } else { Err("no such name".into()) };
        let broadcasts = HashSet::from(["192.0.2.255".parse().unwrap()]);
        let out = expand(&read(words)?, &read(without)?, &broadcasts, &resolve)?;
        Ok(out.addresses.iter().map(|(a, _)| a.to_string()).collect())
    }

    #[test]
    fn targets_are_addresses_prefixes_ranges_and_names() {
        assert_eq!(all(&["192.0.2.1", "192.0.2.4/31", "192.0.2.5-6"], &[]).unwrap(), ["192.0.2.1", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
        assert_eq!(all(&["[2001:db8::1]", "2001:db8::2-2001:db8::3"], &[]).unwrap(), ["2001:db8::1", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(all(&["known.example"], &[]).unwrap(), ["192.0.2.9"]);
        assert_eq!(words("192.0.2.1 192.0.2.2, a.example # both\n\n# none\n").count(), 3);
    }

    #[test]
    fn exclusions_win() {
        assert_eq!(all(&["192.0.2.0/29", "192.0.2.3"], &["192.0.2.1-192.0.2.6"]).unwrap(), ["192.0.2.0", "192.0.2.7"]);
        assert_eq!(all(&["192.0.2.8/30"], &["known.example"]).unwrap(), ["192.0.2.8", "192.0.2.10", "192.0.2.11"]);
        assert!(all(&["192.0.2.1"], &["unknown.example"]).is_err());
    }

    #[test]
    fn what_reaches_more_than_one_host_is_refused() {
        for word in ["255.255.255.255", "224.0.0.1", "0.0.0.0", "::", "ff02::1", "192.0.2.255", "0.1.2.3", "250.1.2.3", "::ffff:224.0.0.1"]
        {
            assert!(all(&[word], &[]).is_err(), "{word}");
        }
        for word in ["2001:db8::/64", "::/0", "0.0.0.0/0", "10.0.0.0/8", "2001:db8::-2001:db8::ffff"] {
            assert!(all(&[word], &[]).is_err(), "{word}");
        }
        assert!(!all(&["192.0.2.252/30"], &[]).unwrap().contains(&"192.0.2.255".to_owned()));
    }

    #[test]
    fn a_mistyped_address_is_no_name() {
        for word in ["192.0.2", "192.0.2.256", "1.2.3.4.5", "", "a b", "-x.example", "192.0.2.9-1", "192.0.2.1-x"] {
            assert!(Target::read(word).is_err(), "{word}");
        }
    }
}
