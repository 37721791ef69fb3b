//! Addresses and prefixes as numbers.

use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Ranges;

/// IP version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4; addresses are the numbers `0..=2^32-1`.
    V4,
    /// IPv6; addresses are the numbers `0..=2^128-1`.
    V6,
}

impl Family {
    /// Both, in the order in which they are answered and printed.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The greatest address as a number.
    pub fn max_address(self) -> u128 {
        match self {
            Family::V4 => u32::MAX as u128,
            Family::V6 => u128::MAX,
        }
    }

    /// Length of an address in bits.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// `IPv4` or `IPv6`.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// The family of an address.
    pub fn of(addr: IpAddr) -> Family {
        if addr.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// An address as its family and number.
pub fn to_number(addr: IpAddr) -> (Family, u128) {
    match addr {
        IpAddr::V4(a) => (Family::V4, u32::from(a) as u128),
        IpAddr::V6(a) => (Family::V6, u128::from(a)),
    }
}

/// The address of a number; IPv4 numbers above `2^32-1` are cut to 32 bits.
pub fn to_ip(family: Family, n: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(n as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(n)),
    }
}

/// First and last address of a prefix (host bits are ignored).
pub fn prefix_bounds(net: IpNetwork) -> (Family, u128, u128) {
    let (family, n) = to_number(net.ip());
    let host = u32::from(family.bits() - net.prefix());
    let mask = if host >= 128 { u128::MAX } else { (1u128 << host) - 1 };
    (family, n & !mask, n | mask)
}

/// Reads an address without prefix length. A zone id (`fe80::1%eth0`) is not accepted.
pub fn parse_addr(s: &str) -> Option<(Family, u128)> {
    s.parse::<IpAddr>().ok().map(to_number)
}

/// Reads `address`, `address/length` or `address/dotted.netmask` (a contiguous one) as the bounds of its prefix.
pub fn parse_cidr(s: &str) -> Option<(Family, u128, u128)> {
    match s.split_once('/') {
        None => parse_addr(s).map(|(f, n)| (f, n, n)),
        Some((addr, len)) => {
            let addr: IpAddr = addr.parse().ok()?;
            let len: u8 = if len.contains('.') {
                let mask: Ipv4Addr = len.parse().ok()?;
                if !addr.is_ipv4() {
                    return None;
                }
                ipnetwork::ipv4_mask_to_prefix(mask).ok()?
            } else if len.len() <= 3 && !len.is_empty() && len.bytes().all(|b| b.is_ascii_digit()) {
                len.parse().ok()?
            } else {
                return None;
            };
            Some(prefix_bounds(IpNetwork::new(addr, len).ok()?))
        }
    }
}

/// IPv4 addresses that are not globally routed, from the IANA IPv4 Special-Purpose Address Registry (RFC 6890),
/// with multicast and class E.
const SPECIAL4: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "255.255.255.255"),
];

/// IPv4 addresses of the public internet.
pub static PUBLIC4: std::sync::LazyLock<Ranges> = std::sync::LazyLock::new(|| {
    let special = SPECIAL4.iter().filter_map(|(a, b)| Some((parse_addr(a)?.1, parse_addr(b)?.1))).collect();
    Ranges::from_intervals(special).complement(Family::V4.max_address())
});

/// IPv6 addresses of the public internet: global unicast `2000::/3` (IANA IPv6 Address Space Registry) without the
/// documentation prefixes `2001:db8::/32` and `3fff::/20` (RFC 3849, RFC 9637).
pub static PUBLIC6: std::sync::LazyLock<Ranges> = std::sync::LazyLock::new(|| {
    let of = |s: &str| parse_cidr(s).map_or(Ranges::EMPTY, |(_, lo, hi)| Ranges::interval(lo, hi));
    of("2000::/3").minus(&of("2001:db8::/32")).minus(&of("3fff::/20"))
});

/// Whether an address belongs to the public internet.
pub fn is_global_unicast(family: Family, n: u128) -> bool {
    match family {
        Family::V4 => PUBLIC4.contains(n),
        Family::V6 => PUBLIC6.contains(n),
    }
}

/// One interval of addresses as a person writes it: an address, a prefix, or `first-last`.
pub fn format_interval(family: Family, lo: u128, hi: u128) -> String {
    if lo == hi {
        return to_ip(family, lo).to_string();
    }
    let span = hi - lo;
    if span == u128::MAX {
        return format!("{}/0", to_ip(family, lo));
    }
    let size = span + 1;
    if size.is_power_of_two() && lo & span == 0 {
        let len = family.bits() as u32 - size.trailing_zeros();
        return format!("{}/{len}", to_ip(family, lo));
    }
    format!("{}-{}", to_ip(family, lo), to_ip(family, hi))
}

/// A set of addresses as a person writes it: `anywhere`, or prefixes and ranges separated by commas.
pub fn format_addresses(family: Family, set: &Ranges) -> String {
    if set.intervals() == [(0, family.max_address())] {
        return "anywhere".into();
    }
    let inverse = set.complement(family.max_address());
    if !set.is_empty() && inverse.intervals().len() < set.intervals().len() {
        return format!("anywhere but {}", join(family, &inverse));
    }
    join(family, set)
}

fn join(family: Family, set: &Ranges) -> String {
    set.intervals().iter().map(|&(lo, hi)| format_interval(family, lo, hi)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_written_as_it_was_read() {
        for s in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "192.0.2.1", "fe80::/10"] {
            let (f, lo, hi) = parse_cidr(s).unwrap();
            assert_eq!(format_interval(f, lo, hi), s);
        }
        assert_eq!(parse_cidr("10.1.2.3/255.255.0.0"), parse_cidr("10.1.0.0/16"));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for s in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "10.0.0.0/255.0.255.0", "::1/129", "::1/255.0.0.0", "a/8", "10.0.0.0/+8"] {
            assert_eq!(parse_cidr(s), None, "{s}");
        }
    }
}
