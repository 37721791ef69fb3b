//! What nftables takes for granted, with its source.

use super::ast::TableFamily;
use crate::model::Hook;
use crate::net::Family;

/// A priority by name or number. Names: nft(8), "CHAINS", tables "Standard priority names"; those of the bridge family differ.
pub fn priority(family: TableFamily, word: &str) -> Option<i32> {
    if let Ok(n) = word.parse() {
        return Some(n);
    }
    if family == TableFamily::Bridge {
        return Some(match word {
            "dstnat" => -300,
            "filter" => -200,
            "out" => 100,
            "srcnat" => 300,
            _ => return None,
        });
    }
    Some(match word {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "filter" => 0,
        "security" => 50,
        "srcnat" => 100,
        _ => return None,
    })
}

/// The hook of a name; `egress` (netdev) is not modelled.
pub fn hook(name: &str) -> Option<Hook> {
    Some(match name {
        "ingress" => Hook::Ingress,
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        _ => return None,
    })
}

/// The IP families of the packets that a table's chains see; empty for tables that see none.
pub fn families(family: TableFamily) -> Vec<Family> {
    match family {
        TableFamily::Ip => vec![Family::V4],
        TableFamily::Ip6 => vec![Family::V6],
        TableFamily::Inet | TableFamily::Netdev => Family::BOTH.to_vec(),
        TableFamily::Arp | TableFamily::Bridge => vec![],
    }
}

/// How a plain `reject` answers: port unreachable, in the terms of the family (nft(8), "REJECT STATEMENT").
pub fn reject(family: TableFamily) -> &'static str {
    match family {
        TableFamily::Ip => "icmp port-unreachable",
        TableFamily::Ip6 => "icmpv6 port-unreachable",
        _ => "icmpx port-unreachable",
    }
}

/// What a limit answers about a packet that comes when none has come for long: its bucket of packets is full, with the room of 5 unless the
/// burst is written (`nft_limit_init` in net/netfilter/nft_limit.c), and `over` is what exceeds it. The connection that opens is the only one
/// that is counted. A bucket of bytes may be too small for any packet.
pub(super) fn at_rest(text: &str) -> Option<bool> {
    if let Some(rate) = text.strip_prefix("limit rate ") {
        return (!rate.contains("byte")).then(|| !rate.starts_with("over "));
    }
    let count = text.strip_prefix("ct count ")?;
    let (over, n) = count.strip_prefix("over ").map_or((false, count), |n| (true, n));
    n.parse().is_ok_and(|n: u32| n > 0).then_some(!over)
}
