//! Values of options: addresses with masks, ports, marks, flags.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::net::{Family, Ranges, service_port};

/// A masked comparison is made exact up to this many intervals; one with more is an opaque condition.
const MAX_INTERVALS_BITS: u32 = 6;

/// What an address argument says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AddressValue {
    /// These addresses.
    Set(Ranges),
    /// A host or network name, which only a resolver knows.
    Name,
    /// A mask with holes that would make very many intervals.
    Mask,
    /// An address of the other family.
    OtherFamily,
}

/// Reads `address`, `address/length`, `address/mask`, in IPv4 with trailing zero bytes left out (`10/8`).
pub(super) fn address(s: &str, family: Family) -> AddressValue {
    let (host, mask) = match s.split_once('/') {
        Some((h, m)) => (h, Some(m)),
        None => (s, None),
    };
    let Some(n) = number(host, family) else {
        let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
        let looks_numeric = host.contains(':') || host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return if looks_numeric && number(host, other).is_some() { AddressValue::OtherFamily } else { AddressValue::Name };
    };
    let bits = u32::from(family.bits());
    let max = family.max_address();
    let mask = match mask {
        None => max,
        Some(m) => match m.parse::<u32>() {
            Ok(len) if len <= bits => {
                if len == 0 {
                    0
                } else {
                    max ^ (max >> (len - 1) >> 1)
                }
            }
            Ok(_) => return AddressValue::Name,
            Err(_) => match number(m, family) {
                Some(mask) => mask,
                None => return AddressValue::Name,
            },
        },
    };
    masked(n & mask, mask, bits).map_or(AddressValue::Mask, AddressValue::Set)
}

/// The number of an address of a family.
pub(super) fn number(s: &str, family: Family) -> Option<u128> {
    match family {
        Family::V6 => s.parse::<Ipv6Addr>().ok().map(u128::from),
        Family::V4 => {
            if let Ok(a) = s.parse::<Ipv4Addr>() {
                return Some(u32::from(a) as u128);
            }
            // iptables fills missing bytes with zero (`10/8`); see `numeric_to_ipaddr` in libxtables.
            let mut n = 0u32;
            let mut count = 0;
            for part in s.split('.') {
                let byte: u8 = if part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok()? } else { return None };
                count += 1;
                n = n << 8 | u32::from(byte);
            }
            (1..4).contains(&count).then(|| u128::from(n << (8 * (4 - count))))
        }
    }
}

/// Reads `first-last` or one address.
pub(super) fn address_range(s: &str, family: Family) -> Option<Ranges> {
    let (a, b) = s.split_once('-').unwrap_or((s, s));
    let (a, b) = (number(a, family)?, number(b, family)?);
    (a <= b).then(|| Ranges::interval(a, b))
}

/// All numbers `x` of `bits` bits with `x & mask == value`; `None` if that is more than 64 intervals.
pub(super) fn masked(value: u128, mask: u128, bits: u32) -> Option<Ranges> {
    let all = if bits >= 128 { u128::MAX } else { (1u128 << bits) - 1 };
    let mask = mask & all;
    if value & !mask != 0 {
        return Some(Ranges::EMPTY);
    }
    let free = all & !mask;
    let low_bits = free.trailing_ones();
    let low = if low_bits >= 128 { u128::MAX } else { (1u128 << low_bits) - 1 };
    let high = free & !low;
    if high.count_ones() > MAX_INTERVALS_BITS {
        return None;
    }
    // Every subset of the free bits above the lowest run begins an interval.
    let mut intervals = Vec::with_capacity(1 << high.count_ones());
    let mut subset = 0u128;
    loop {
        intervals.push((value | subset, value | subset | low));
        subset = subset.wrapping_sub(high) & high;
        if subset == 0 {
            break;
        }
    }
    Some(Ranges::from_intervals(intervals))
}

/// Reads a number as `strtoul` with base 0 does: decimal, `0x` hexadecimal, `0` octal.
pub(super) fn int(s: &str) -> Option<u32> {
    let digits = |s: &str, radix| if s.starts_with('+') { None } else { u32::from_str_radix(s, radix).ok() };
    match s.strip_prefix("0x").or(s.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if s.len() > 1 && s.starts_with('0') => digits(&s[1..], 8),
        None => digits(s, 10),
    }
}

/// Reads `value` or `value/mask`; the mask is all ones where it is not written.
pub(super) fn int_mask(s: &str) -> Option<(u32, u32)> {
    match s.split_once('/') {
        Some((v, m)) => Some((int(v)?, int(m)?)),
        None => Some((int(s)?, u32::MAX)),
    }
}

/// Reads a port number or service name.
pub(super) fn port(s: &str, protocol: Option<u8>) -> Option<u16> {
    if s.bytes().all(|b| b.is_ascii_digit()) { s.parse().ok() } else { service_port(s, protocol) }
}

/// Reads `port`, `first:last`, `:last`, `first:` (or with another separator).
pub(super) fn port_range(s: &str, separator: char, protocol: Option<u8>) -> Option<Ranges> {
    let (lo, hi) = match s.split_once(separator) {
        None => {
            let p = port(s, protocol)?;
            (p, p)
        }
        Some((a, b)) => (if a.is_empty() { 0 } else { port(a, protocol)? }, if b.is_empty() { u16::MAX } else { port(b, protocol)? }),
    };
    (lo <= hi).then(|| Ranges::interval(lo.into(), hi.into()))
}

/// Reads a comma-separated list of ports and ranges (`22,80:90`).
pub(super) fn port_list(s: &str, protocol: Option<u8>) -> Option<Ranges> {
    let mut intervals = Vec::new();
    for part in s.split(',') {
        intervals.extend_from_slice(port_range(part, ':', protocol)?.intervals());
    }
    Some(Ranges::from_intervals(intervals))
}

/// Reads `n`, `first:last`, `first:`, `:last` of numbers up to `max`.
pub(super) fn int_range(s: &str, separator: char, max: u32) -> Option<Ranges> {
    let (lo, hi) = match s.split_once(separator) {
        None => {
            let n = int(s)?;
            (n, n)
        }
        Some((a, b)) => (if a.is_empty() { 0 } else { int(a)? }, if b.is_empty() { max } else { int(b)? }),
    };
    (lo <= hi && hi <= max).then(|| Ranges::interval(lo.into(), hi.into()))
}

/// Reads a list of TCP flag names (`FIN,SYN`, `ALL`, `NONE`) as the byte of the header.
pub(super) fn tcp_flags(s: &str) -> Option<u8> {
    s.split(',').try_fold(0u8, |sum, name| {
        let bit = match name.to_ascii_uppercase().as_str() {
            "FIN" => 0x01,
            "SYN" => 0x02,
            "RST" => 0x04,
            "PSH" => 0x08,
            "ACK" => 0x10,
            "URG" => 0x20,
            "ALL" => 0x3f,
            "NONE" => 0,
            _ => return None,
        };
        Some(sum | bit)
    })
}

/// A MAC address as a number.
pub(super) fn mac(s: &str) -> Option<u128> {
    let mut n = 0u128;
    let mut count = 0;
    for part in s.split([':', '-']) {
        if part.is_empty() || part.len() > 2 || part.starts_with('+') {
            return None;
        }
        n = n << 8 | u128::from(u8::from_str_radix(part, 16).ok()?);
        count += 1;
        if count > 6 {
            return None;
        }
    }
    (count == 6).then_some(n)
}

/// The number of a DSCP class name (RFC 2474, RFC 2597, RFC 3246).
pub(super) fn dscp_class(s: &str) -> Option<u8> {
    let upper = s.to_ascii_uppercase();
    let digit = |i: usize| upper.as_bytes().get(i).filter(|b| b.is_ascii_digit()).map(|b| b - b'0');
    match upper.as_str() {
        "EF" => Some(46),
        "BE" => Some(0),
        _ if upper.len() == 3 && upper.starts_with("CS") => digit(2).filter(|n| *n < 8).map(|n| n << 3),
        _ if upper.len() == 4 && upper.starts_with("AF") => {
            let (class, drop) = (digit(2)?, digit(3)?);
            ((1..=4).contains(&class) && (1..=3).contains(&drop)).then_some(class << 3 | drop << 1)
        }
        _ => None,
    }
}

/// Reads a TOS value with its mask: `0x10`, `0x10/0x3f`, or one of the names of RFC 1349, for which xtables uses the mask 0x3f.
pub(super) fn tos(s: &str) -> Option<(u8, u8)> {
    let named = match s.to_ascii_lowercase().as_str() {
        "minimize-delay" => Some(0x10),
        "maximize-throughput" => Some(0x08),
        "maximize-reliability" => Some(0x04),
        "minimize-cost" => Some(0x02),
        "normal-service" => Some(0),
        _ => None,
    };
    if let Some(v) = named {
        return Some((v, 0x3f));
    }
    let (v, m) = int_mask(s)?;
    let m = if s.contains('/') { m } else { 0xff };
    Some((u8::try_from(v).ok()?, u8::try_from(m).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_with_holes_become_intervals_or_stay_opaque() {
        let set = |s| match address(s, Family::V4) {
            AddressValue::Set(r) => r.intervals().to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(set("10.1.2.3/8"), [(0x0a00_0000, 0x0aff_ffff)]);
        assert_eq!(set("10/8"), set("10.0.0.0/255.0.0.0"));
        assert_eq!(set("1.2.3.4/0"), [(0, 0xffff_ffff)]);
        assert_eq!(set("10.0.0.1/255.255.255.253"), [(0x0a00_0001, 0x0a00_0001), (0x0a00_0003, 0x0a00_0003)]);
        assert_eq!(address("10.0.0.0/255.0.255.0", Family::V4), AddressValue::Mask);
        assert_eq!(address("::1", Family::V4), AddressValue::OtherFamily);
        assert_eq!(address("1.2.3.4", Family::V6), AddressValue::OtherFamily);
        assert_eq!(address("www.example.com", Family::V4), AddressValue::Name);
        assert_eq!(address("::/0", Family::V6), AddressValue::Set(Ranges::interval(0, u128::MAX)));
    }

    #[test]
    fn masked_numbers_are_the_numbers_that_pass_the_mask() {
        for (value, mask) in [(4u128, 6u128), (0, 0), (5, 5), (8, 12), (1, 2), (255, 255)] {
            let set = masked(value, mask, 8).unwrap();
            for x in 0..256 {
                assert_eq!(set.contains(x), x & mask == value, "{x} {value} {mask}");
            }
        }
        assert_eq!(masked(0, 0x5555_5555, 32), None);
    }

    #[test]
    fn ports_may_be_open_ended_and_named() {
        assert_eq!(port_range(":1024", ':', Some(6)), Some(Ranges::interval(0, 1024)));
        assert_eq!(port_range("1024:", ':', Some(6)), Some(Ranges::interval(1024, 65535)));
        assert_eq!(port_list("ssh,80:81", Some(6)), Some(Ranges::from_values([22, 80, 81])));
        assert_eq!(port_range("4:3", ':', None), None);
        assert_eq!(port_range("65536", ':', None), None);
    }

    #[test]
    fn numbers_are_read_in_three_bases() {
        assert_eq!(
            (int("16"), int("0x10"), int("020"), int("0"), int("-1"), int("+1")),
            (Some(16), Some(16), Some(16), Some(0), None, None)
        );
        assert_eq!(mac("00:1a:2B:3c:4d:5e"), Some(0x001a_2b3c_4d5e));
        assert_eq!(mac("00:1a:2B:3c:4d"), None);
        assert_eq!((dscp_class("AF41"), dscp_class("cs6"), dscp_class("AF49")), (Some(34), Some(48), None));
    }
}
