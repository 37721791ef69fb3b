//! The same targets, seen from several places.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::json;

use super::{Protocol, Scan, State};

/// What was seen from each place, by name.
pub type Views = BTreeMap<String, Scan>;

/// Where each port of each host was open, for ports that are open from somewhere or look different from different places.
pub fn joined(views: &Views) -> BTreeMap<(IpAddr, Protocol, u16), BTreeMap<String, State>> {
    let mut all: BTreeMap<(IpAddr, Protocol, u16), BTreeMap<String, State>> = BTreeMap::new();
    for (name, scan) in views {
        for host in &scan.hosts {
            for p in &host.ports {
                all.entry((host.address, p.protocol, p.port)).or_default().insert(name.clone(), p.state);
            }
        }
    }
    all.retain(|_, seen| seen.values().any(|s| *s == State::Open) || seen.values().collect::<BTreeSet<_>>().len() > 1);
    all
}

/// As a table: a line for each port, a column for each place (`?`: not asked from there).
pub fn table(views: &Views) -> String {
    let names: Vec<&String> = views.keys().collect();
    let mut out = format!("{:<40} {:<10}", "HOST", "PORT");
    names.iter().for_each(|n| {
        let _ = write!(out, " {:<14}", n.chars().take(14).collect::<String>());
    });
    out = format!("{}\n", out.trim_end());
    for ((address, protocol, port), seen) in joined(views) {
        let mut line = format!("{:<40} {:<10}", address.to_string(), format!("{port}/{}", protocol.name()));
        for name in &names {
            let _ = write!(line, " {:<14}", seen.get(*name).map_or("?", |s| s.name()));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// As JSON: `{"vantages":[…],"ports":[{"address":…,"port":…,"protocol":…,"seen":{"internet":"open"}}]}`.
pub fn json(views: &Views) -> String {
    let ports: Vec<serde_json::Value> = joined(views)
        .into_iter()
        .map(|((address, protocol, port), seen)| json!({ "address": address, "port": port, "protocol": protocol, "seen": seen }))
        .collect();
    format!("{}\n", json!({ "vantages": views.keys().collect::<Vec<_>>(), "ports": ports }))
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::super::tests::scan;
    use super::*;

    #[test]
    fn what_looks_alike_from_everywhere_and_is_not_open_is_left_out() {
        let views = Views::from([
            ("internet".into(), scan(&[(22, Reason::NoResponse), (80, Reason::SynAck), (81, Reason::Rst)])),
            ("office".into(), scan(&[(22, Reason::SynAck), (80, Reason::SynAck), (81, Reason::Rst)])),
        ]);
        let text = table(&views);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("22/tcp     filtered       open"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&json(&views)).unwrap();
        assert_eq!(value["ports"][0]["seen"], json!({ "internet": "filtered", "office": "open" }));
    }
}
