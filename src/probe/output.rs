//! Results as a table, as JSON, and as XML in the shape of nmap's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{HostResult, PortResult, Protocol, Scan, State};
use crate::net::service_name;

/// Ports of one state and reason that a table still lists one by one.
const LISTED: usize = 25;

/// Text from elsewhere, safe to print.
pub type Clean<'a> = &'a dyn Fn(&str) -> String;

/// A table: for each host the ports worth a line, and the others in numbers. `all`: every port has its line.
pub fn table(scan: &Scan, all: bool, clean: Clean<'_>) -> String {
    let mut out = String::new();
    for host in &scan.hosts {
        let name = host.name.as_deref().map(|n| format!(" ({})", clean(n))).unwrap_or_default();
        let _ = writeln!(out, "{}{name}", host.address);
        if let Some(error) = &host.error {
            let _ = writeln!(out, "  {}", clean(error));
        }
        let mut groups: BTreeMap<(State, &str, Protocol), Vec<&PortResult>> = BTreeMap::new();
        for port in &host.ports {
            groups.entry((port.state, port.reason.name(), port.protocol)).or_default().push(port);
        }
        let is_listed = |list: &[&PortResult]| all || list[0].state == State::Open || list.len() <= LISTED;
        let mut listed: Vec<&PortResult> = groups.values().filter(|g| is_listed(g)).flatten().copied().collect();
        listed.sort_by_key(|p| (p.protocol, p.port));
        if !listed.is_empty() {
            let _ = writeln!(out, "  {:<10} {:<14} {:<22} SERVICE", "PORT", "STATE", "REASON");
        }
        for p in listed {
            let port = format!("{}/{}", p.port, p.protocol.name());
            let service = service_name(p.protocol.number(), p.port).unwrap_or("");
            let line = format!("  {port:<10} {:<14} {:<22} {service}", p.state.name(), p.reason.name());
            let _ = writeln!(out, "{}", line.trim_end());
        }
        for ((state, reason, protocol), list) in groups.iter().filter(|(_, g)| !is_listed(g)) {
            let _ = writeln!(out, "  {} {} ports {} ({reason})", list.len(), protocol.name(), state.name());
        }
        if host.ports.is_empty() && host.error.is_none() {
            let up = if host.up == Some(true) { "answers" } else { "does not answer" };
            let _ = writeln!(out, "  {up}");
        }
    }
    out
}

/// The last line: how many hosts and ports in each state, packets and time.
pub fn summary(scan: &Scan) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for port in scan.hosts.iter().flat_map(|h| &h.ports) {
        *counts.entry(port.state).or_default() += 1;
    }
    let states: Vec<String> = counts.iter().map(|(s, n)| format!("{n} {}", s.name())).collect();
    let states = if states.is_empty() { "no ports asked".to_owned() } else { states.join(", ") };
    let hosts = if scan.hosts.len() == 1 { "1 host".to_owned() } else { format!("{} hosts", scan.hosts.len()) };
    let cut = if scan.interrupted { ", INTERRUPTED" } else { "" };
    format!("fwproof probe: {hosts}, {states}; {} packets in {:.1} s ({}){cut}\n", scan.sent, scan.seconds, scan.method)
}

/// JSON: `{"hosts":[{"address":…,"ports":[{"port":22,"protocol":"tcp","state":"open","reason":"syn-ack"}]}], …}`. Every port that was asked is
/// in it. [`read_json`] reads it.
pub fn json(scan: &Scan) -> String {
    let mut out = String::from("{\"schema\":\"fwproof-probe/1\",\"hosts\":");
    out.push_str(&json_hosts(scan));
    let notes: Vec<String> = scan.notes.iter().map(|n| text(n)).collect();
    let _ = writeln!(
        out,
        ",\"sent\":{},\"seconds\":{:.3},\"interrupted\":{},\"method\":{},\"notes\":[{}]}}",
        scan.sent,
        scan.seconds,
        scan.interrupted,
        text(&scan.method),
        notes.join(",")
    );
    out
}

fn text(t: &str) -> String {
    serde_json::to_string(t).unwrap_or_else(|_| "\"\"".into())
}

/// The list of hosts of [`json`] alone.
pub fn json_hosts(scan: &Scan) -> String {
    let mut out = String::with_capacity(64 * scan.hosts.iter().map(|h| h.ports.len() + 4).sum::<usize>());
    out.push('[');
    for (i, host) in scan.hosts.iter().enumerate() {
        let _ = write!(out, "{}{{\"address\":\"{}\"", if i > 0 { "," } else { "" }, host.address);
        if let Some(name) = &host.name {
            let _ = write!(out, ",\"name\":{}", text(name));
        }
        if let Some(up) = host.up {
            let _ = write!(out, ",\"up\":{up}");
        }
        if let Some(error) = &host.error {
            let _ = write!(out, ",\"error\":{}", text(error));
        }
        out.push_str(",\"ports\":[");
        for (k, p) in host.ports.iter().enumerate() {
            let comma = if k > 0 { ",\n" } else { "" };
            let _ = write!(
                out,
                "{comma}{{\"port\":{},\"protocol\":\"{}\",\"state\":\"{}\",\"reason\":\"{}\"}}",
                p.port,
                p.protocol.name(),
                p.state.name(),
                p.reason.name()
            );
        }
        out.push_str("]}");
    }
    out.push(']');
    out
}

/// Reads what [`json`] wrote.
///
/// # Errors
/// It is something else.
pub fn read_json(text: &str) -> Result<Scan, String> {
    serde_json::from_str(text).map_err(|e| format!("that is no result of a probe in JSON: {e}"))
}

/// Text within an attribute of XML; what XML cannot hold is left out.
fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// Numbers as `1-3,7`.
fn numbers(ports: &[u16]) -> String {
    let runs = ports.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let parts: Vec<String> = runs.map(|r| if r.len() == 1 { r[0].to_string() } else { format!("{}-{}", r[0], r[r.len() - 1]) }).collect();
    parts.join(",")
}

/// XML in the shape of nmap's (`-oX`), which other programs read: `ndiff`, among others. States and reasons are in nmap's words; a port of a host
/// that cannot be reached is `filtered` there. `began`: seconds since 1970. `command`: the command line.
pub fn xml(scan: &Scan, command: &str, began: i64) -> String {
    let end = began + scan.seconds as i64;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n");
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        out,
        "<nmaprun scanner=\"fwproof\" args=\"{}\" start=\"{began}\" startstr=\"{}\" version=\"{version}\" xmloutputversion=\"1.05\">",
        attribute(command),
        time(began)
    );
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut ports: Vec<u16> = scan.hosts.iter().flat_map(|h| &h.ports).filter(|p| p.protocol == protocol).map(|p| p.port).collect();
        ports.sort_unstable();
        ports.dedup();
        if !ports.is_empty() {
            let kind = match protocol {
                Protocol::Udp => "udp",
                Protocol::Tcp if scan.method == "connect" => "connect",
                Protocol::Tcp => "syn",
            };
            let (n, list) = (ports.len(), numbers(&ports));
            let _ = writeln!(out, "<scaninfo type=\"{kind}\" protocol=\"{}\" numservices=\"{n}\" services=\"{list}\"/>", protocol.name());
        }
    }
    let is_up = |h: &HostResult| h.up == Some(true) || h.ports.iter().any(|p| p.state != State::Unreachable);
    for host in &scan.hosts {
        let status = if is_up(host) { "up" } else { "down" };
        let reason = if host.up == Some(true) { "user-set" } else { "no-response" };
        let _ = writeln!(
            out,
            "<host starttime=\"{began}\" endtime=\"{end}\"><status state=\"{status}\" reason=\"{reason}\" reason_ttl=\"0\"/>"
        );
        let _ = writeln!(out, "<address addr=\"{}\" addrtype=\"{}\"/>", host.address, if host.address.is_ipv4() { "ipv4" } else { "ipv6" });
        match &host.name {
            Some(name) => {
                let _ = writeln!(out, "<hostnames><hostname name=\"{}\" type=\"user\"/></hostnames>", attribute(name));
            }
            None => out.push_str("<hostnames>\n</hostnames>\n"),
        }
        out.push_str("<ports>");
        // As nmap does: many of the same are one element.
        let mut groups: BTreeMap<State, Vec<&PortResult>> = BTreeMap::new();
        for port in &host.ports {
            groups.entry(in_nmap(port.state)).or_default().push(port);
        }
        let extra = |list: &[&PortResult]| list[0].state != State::Open && list.len() > LISTED;
        for (state, list) in groups.iter().filter(|(_, l)| extra(l)) {
            let _ = writeln!(out, "<extraports state=\"{}\" count=\"{}\">", state.name(), list.len());
            let mut reasons: BTreeMap<(&str, Protocol), Vec<u16>> = BTreeMap::new();
            for p in list {
                reasons.entry((p.reason.nmap_name(), p.protocol)).or_default().push(p.port);
            }
            for ((reason, protocol), mut ports) in reasons {
                ports.sort_unstable();
                let (n, list) = (ports.len(), numbers(&ports));
                let _ = writeln!(out, "<extrareasons reason=\"{reason}\" count=\"{n}\" proto=\"{}\" ports=\"{list}\"/>", protocol.name());
            }
            out.push_str("</extraports>\n");
        }
        let mut listed: Vec<&PortResult> = groups.values().filter(|l| !extra(l)).flatten().copied().collect();
        listed.sort_by_key(|p| (p.protocol, p.port));
        for p in listed {
            let state = in_nmap(p.state).name();
            let _ = write!(
                out,
                "<port protocol=\"{}\" portid=\"{}\"><state state=\"{state}\" reason=\"{}\" reason_ttl=\"0\"/>",
                p.protocol.name(),
                p.port,
                p.reason.nmap_name()
            );
            if let Some(service) = service_name(p.protocol.number(), p.port) {
                let _ = write!(out, "<service name=\"{service}\" method=\"table\" conf=\"3\"/>");
            }
            out.push_str("</port>\n");
        }
        out.push_str("</ports>\n</host>\n");
    }
    let up = scan.hosts.iter().filter(|h| is_up(h)).count();
    let (down, all) = (scan.hosts.len() - up, scan.hosts.len());
    let exit = if scan.interrupted { "error" } else { "success" };
    let _ = writeln!(
        out,
        "<runstats><finished time=\"{end}\" timestr=\"{}\" elapsed=\"{:.2}\" summary=\"{}\" exit=\"{exit}\"/><hosts up=\"{up}\" down=\"{down}\" total=\"{all}\"/>\n</runstats>\n</nmaprun>",
        time(end),
        scan.seconds,
        attribute(summary(scan).trim_end())
    );
    out
}

/// nmap has no state of its own for what cannot be reached.
fn in_nmap(state: State) -> State {
    if state == State::Unreachable { State::Filtered } else { state }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;

    fn scan() -> Scan {
        let port = |port, protocol, reason: Reason| PortResult { port, protocol, state: reason.state(protocol), reason };
        let mut ports = vec![port(22, Protocol::Tcp, Reason::SynAck), port(53, Protocol::Udp, Reason::NoResponse)];
        ports.extend((100..140).map(|n| port(n, Protocol::Tcp, Reason::Rst)));
        let host = HostResult {
            address: "192.0.2.1".parse().unwrap(),
            name: Some("a\"<&\u{1b}.example".into()),
            up: Some(true),
            error: None,
            ports,
        };
        Scan { hosts: vec![host], sent: 42, seconds: 0.5, method: "syn".into(), notes: vec!["a \"note\"".into()], interrupted: false }
    }

    #[test]
    fn json_is_what_it_says_and_is_read_again() {
        let text = json(&scan());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let first = &value["hosts"][0]["ports"][0];
        assert_eq!(first, &serde_json::json!({ "port": 22, "protocol": "tcp", "state": "open", "reason": "syn-ack" }));
        assert_eq!(read_json(&text).unwrap(), scan());
        assert!(read_json("[]").is_err());
    }

    #[test]
    fn a_table_lists_what_is_open_and_counts_the_rest() {
        let text = table(&scan(), false, &|t| t.replace('\u{1b}', ""));
        assert!(text.contains("  22/tcp     open           syn-ack                ssh\n"), "{text}");
        assert!(text.contains("  40 tcp ports closed (rst)\n") && !text.contains('\u{1b}'), "{text}");
        assert!(table(&scan(), true, &str::to_owned).lines().count() > 40);
        assert!(summary(&scan()).starts_with("fwproof probe: 1 host, 1 open, 1 open|filtered, 40 closed; 42 packets"));
    }

    #[test]
    fn names_cannot_break_out_of_xml() {
        let text = xml(&scan(), "fwproof probe \"--x", 1_700_000_000);
        assert!(text.contains("name=\"a&quot;&lt;&amp;.example\""), "{text}");
        assert!(text.contains("<extraports state=\"closed\" count=\"40\">") && text.contains("ports=\"100-139\""), "{text}");
        assert!(text.contains("<state state=\"open\" reason=\"syn-ack\" reason_ttl=\"0\"/><service name=\"ssh\""), "{text}");
    }
}
