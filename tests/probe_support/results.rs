//! Results, ours and nmap's, as maps from ports to states: both write the same XML.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

/// States by host, protocol and port.
pub type States = BTreeMap<(String, String, u16), String>;

static PART: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"<address addr="(?<address>[^"]+)" addrtype="ipv|<port protocol="(?<protocol>\w+)" portid="(?<port>\d+)"><state state="(?<state>[^"]+)"|<extraports state="(?<extra>[^"]+)"|<extrareasons [^>]*proto="(?<proto>\w+)" ports="(?<ports>[\d,-]+)""#,
    )
    .unwrap()
});

/// Reads the XML of nmap 7.9 and of ours.
pub fn states(xml: &str) -> States {
    let (mut out, mut host, mut extra) = (States::new(), String::new(), String::new());
    for found in PART.captures_iter(xml) {
        let get = |name: &str| found.name(name).map(|m| m.as_str().to_owned());
        if let Some(address) = get("address") {
            host = address;
        } else if let (Some(protocol), Some(port), Some(state)) = (get("protocol"), get("port"), get("state")) {
            out.insert((host.clone(), protocol, port.parse().unwrap()), state);
        } else if let Some(state) = get("extra") {
            extra = state;
        } else if let (Some(protocol), Some(ports)) = (get("proto"), get("ports")) {
            for part in ports.split(',') {
                let (lo, hi) = part.split_once('-').unwrap_or((part, part));
                for port in lo.parse::<u16>().unwrap()..=hi.parse().unwrap() {
                    out.insert((host.clone(), protocol.clone(), port), extra.clone());
                }
            }
        }
    }
    out
}

/// Where two results part, in words.
pub fn differences(ours: &States, theirs: &States) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let of = |map: &States, key| map.get(key).cloned().unwrap_or_else(|| "not there".into());
    keys.into_iter().filter(|k| of(ours, k) != of(theirs, k)).map(|k| format!("{k:?}: {} and {}", of(ours, k), of(theirs, k))).collect()
}
