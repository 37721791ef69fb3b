//! Lists of addresses.

use super::ports::words;
use super::props::{Key, Props};
use super::rule::is_any;
use crate::diag::LineState;
use crate::model::Match;
use crate::net::{Family, Ranges, parse_addr, parse_cidr};
use crate::packets::Field;
use crate::vendors::Reader;

/// Most entries of one list. Windows itself takes 10,000 (MS-FASP 2.2.37); scripts join several.
const MOST: usize = 1_000_000;

/// Sets of addresses that Windows works out while it runs (learn.microsoft.com, New-NetFirewallRule, -RemoteAddress; MS-GPFAS 2.2.2.19,
/// ADDRESS-KEYWORD-VAL). A 4 or 6 after the word means one family of it.
const KEYWORDS: &[(&str, &str)] = &[
    ("localsubnet", "in the local subnet"),
    ("dns", "a DNS server"),
    ("dhcp", "a DHCP server"),
    ("wins", "a WINS server"),
    ("defaultgateway", "the default gateway"),
    ("internet", "on the internet"),
    ("intranet", "in the intranet"),
    ("intranetremoteaccess", "in the intranet over remote access"),
    ("rmtintranet", "in the intranet over remote access"),
    ("playtodevice", "a Play To device"),
    ("ply2renders", "a Play To device"),
    ("captiveportal", "a captive portal"),
];

/// Which packets have an address of the list in `field`.
pub(super) fn matching(reader: &mut Reader<'_>, props: &Props, key: Key, field: Field) -> Match {
    let side = if key == Key::LocalAddress { "local" } else { "remote" };
    let mut list: Vec<Match> = Vec::new();
    if key == Key::RemoteAddress
        && let Some((values, span)) = props.get(Key::DynamicKeyword)
        && values.iter().any(|v| !is_any(v))
    {
        let text = format!("the remote address is one of the dynamic keyword {}", values.join(", ").to_lowercase());
        list.push(Match::Opaque(reader.device.conditions.intern(&text, *span)));
    }
    let dynamic = !list.is_empty();
    let Some((values, span)) = props.get(key) else { return if list.is_empty() { Match::Any } else { Match::any_of(list) } };
    let mut sets: [Vec<(u128, u128)>; 2] = [Vec::new(), Vec::new()];
    let (mut count, mut any) = (0usize, false);
    // Some write blanks around the hyphen of a range.
    let joined: Vec<String> = values.iter().map(|v| if v.contains(" - ") { v.replace(" - ", "-") } else { v.clone() }).collect();
    for word in words(&joined) {
        count += 1;
        if count > MOST {
            reader.incomplete(*span, LineState::Unsupported, format!("only the first {MOST} addresses of this list are read"));
            let text = format!("the {side} address is one of a list that was not read to its end");
            list.push(Match::Opaque(reader.device.conditions.intern(&text, *span)));
            break;
        }
        if is_any(word) {
            any = true;
            continue;
        }
        if let Some((family, lo, hi)) = interval(word) {
            sets[usize::from(family == Family::V6)].push((lo, hi));
            continue;
        }
        let lower = word.to_ascii_lowercase();
        let (bare, family) = match (lower.strip_suffix('4'), lower.strip_suffix('6')) {
            (Some(w), _) => (w, Some(Family::V4)),
            (_, Some(w)) => (w, Some(Family::V6)),
            _ => (lower.as_str(), None),
        };
        let text = match KEYWORDS.iter().find(|(w, _)| *w == bare) {
            Some((_, words)) => format!("the {side} address is {words}"),
            None => {
                let shown: String = word.chars().take(60).collect();
                reader.note(*span, LineState::NotModelled, format!("the address \"{shown}\" is not understood"));
                format!("the {side} address is {lower}")
            }
        };
        let condition = Match::Opaque(reader.device.conditions.intern(&text, *span));
        list.push(match family {
            Some(f) => Match::All(vec![Match::Family(f), condition]),
            None => condition,
        });
    }
    if (any && !dynamic) || (count == 0 && list.is_empty()) {
        return Match::Any;
    }
    let [v4, v6] = sets;
    for (family, set) in [(Family::V4, v4), (Family::V6, v6)] {
        if !set.is_empty() {
            list.push(Match::Address(field, family, Ranges::from_intervals(set)));
        }
    }
    Match::any_of(list)
}

/// An address, `a/24`, `a/255.255.255.0`, `a-b`.
pub(super) fn interval(word: &str) -> Option<(Family, u128, u128)> {
    if let Some((first, last)) = word.split_once('-') {
        let ((f, lo), (g, hi)) = (parse_addr(unscoped(first))?, parse_addr(unscoped(last))?);
        return (f == g && lo <= hi).then_some((f, lo, hi));
    }
    match word.contains('/') {
        true => parse_cidr(word),
        false => parse_addr(unscoped(word)).map(|(f, a)| (f, a, a)),
    }
}

/// Without the zone of a link-local address: `fe80::1%12`.
fn unscoped(address: &str) -> &str {
    address.trim().split('%').next().unwrap_or("")
}
