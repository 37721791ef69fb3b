//! Words of protocols, ICMP types and TCP flags, as pfctl and the two firewalls write them.

use crate::net::{Family, Ranges, protocol_number, service_port};

/// The ICMP types of a list, as `type << 8 | code` with any code. `None`: one is not known.
pub(super) fn icmp_types(list: &str, family: Family) -> Option<Ranges> {
    let table = crate::syntax::pf::icmp_types(family);
    let mut all = Vec::new();
    for word in super::tree::parts(list) {
        let number = word.parse::<u8>().ok().or_else(|| table.iter().find(|(n, _)| n.eq_ignore_ascii_case(word)).map(|(_, t)| *t))?;
        let first = u128::from(number) << 8;
        all.push((first, first | 0xff));
    }
    Some(Ranges::from_intervals(all))
}

/// The numbers of a protocol's word. An empty list: any. `None`: not known.
pub(super) fn protocols(word: &str, family: Option<Family>) -> Option<Vec<u8>> {
    let word = word.to_ascii_lowercase();
    Some(match word.as_str() {
        "" | "any" => vec![],
        "tcp/udp" | "tcp udp" => vec![6, 17],
        // For IPv6 both turn it into ICMPv6.
        "icmp" if family == Some(Family::V6) => vec![58],
        "icmp" => vec![1],
        "icmp6" | "icmpv6" | "ipv6-icmp" => vec![58],
        // protocols(5) of FreeBSD.
        "carp" | "vrrp" => vec![112],
        "pfsync" => vec![240],
        "ipv6" => vec![41],
        "ospf" => vec![89],
        "pim" => vec![103],
        "igmp" => vec![2],
        other => vec![protocol_number(other)?],
    })
}

/// The bits of a list of TCP flags (`syn,ack`). `None`: one is not known.
pub(super) fn tcp_flags(list: &str) -> Option<u8> {
    let mut bits = 0;
    for word in super::tree::parts(list) {
        bits |= match word.to_ascii_lowercase().as_str() {
            "fin" => 1,
            "syn" => 2,
            "rst" => 4,
            "psh" => 8,
            "ack" => 16,
            "urg" => 32,
            "ece" => 64,
            "cwr" => 128,
            _ => return None,
        };
    }
    Some(bits)
}

/// A port or a range of ports (`80`, `80-90`, `80:90`, `http`). `None`: something else. An open end is the least or the greatest port, as
/// OPNsense has it.
pub(super) fn ports(text: &str, protocol: Option<u8>) -> Option<Ranges> {
    let port = |t: &str| t.parse::<u16>().ok().or_else(|| service_port(t, protocol)).map(u128::from);
    let text = text.trim();
    if let Some(n) = port(text) {
        return Some(Ranges::single(n));
    }
    let (first, last) = text.split_once([':', '-'])?;
    let (first, last) = (first.trim(), last.trim());
    let lo = if first.eq_ignore_ascii_case("any") { 1 } else { port(first)? };
    let hi = if last.eq_ignore_ascii_case("any") { 65535 } else { port(last)? };
    Some(Ranges::interval(lo.min(hi), lo.max(hi)))
}
