//! `ip addr`: in full, brief (`-br`), one line an address (`-o`), and JSON (`-j`).

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::Deserialize;

use crate::diag::LineState;
use crate::model::Interface;
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static IP_ADDR: Format = Format {
    id: "ip-addr",
    title: "ip addr",
    export: "ip addr > HOST.ip-addr",
    covers: &["interface names, addresses with prefix, administrative state; also `ip -br addr`, `ip -o addr`, `ip -j addr`"],
    leaves: &["link layer, lifetimes, statistics"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

fn detect(file: &SourceFile) -> Option<Detection> {
    let found = |confidence, why| Some(Detection { confidence, why });
    let start = file.text.trim_start();
    if start.starts_with('[') {
        let head = start.get(..start.floor_char_boundary(8 << 10)).unwrap_or("");
        let known = ["\"ifname\"", "\"addr_info\""].iter().all(|k| head.contains(k));
        return if known { found(Confidence::Certain, "is a JSON list with ifname and addr_info") } else { None };
    }
    let (mut headers, mut brief, mut other) = (0, 0, 0);
    for line in file.text.lines().take(200).filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let (mut first, mut second, mut third) = (line, "", "");
        for (i, w) in line.split_ascii_whitespace().take(3).enumerate() {
            *[&mut first, &mut second, &mut third][i] = w;
        }
        let numbered = first.strip_suffix(':').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if numbered && !line.starts_with(' ') && ((second.ends_with(':') && third.starts_with('<')) || matches!(third, "inet" | "inet6")) {
            headers += 1;
        } else if is_operstate(second) && (third.is_empty() || third.parse::<IpNetwork>().is_ok()) {
            brief += 1;
        } else if !line.starts_with(' ') {
            other += 1;
        }
    }
    match () {
        _ if headers > 0 && other == 0 => found(Confidence::Certain, "has numbered interfaces as ip addr prints them"),
        _ if headers > 0 => found(Confidence::Weak, "has numbered interfaces among other lines"),
        _ if brief > 0 && other == 0 => found(Confidence::Certain, "has interfaces, states and addresses as ip -br addr prints them"),
        _ => None,
    }
}

/// Operational states of an interface (RFC 2863, as iproute2 prints them).
fn is_operstate(word: &str) -> bool {
    matches!(word, "UP" | "DOWN" | "UNKNOWN" | "LOWERLAYERDOWN" | "DORMANT" | "TESTING" | "NOTPRESENT")
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    if file.text.trim_start().starts_with('[') {
        return read_json(reader);
    }
    let mut interfaces: Vec<Interface> = Vec::new();
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span);
        let mut words = text.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        match first {
            _ if first.starts_with('#') => reader.mark(span, LineState::Irrelevant),
            "inet" | "inet6" => match (interfaces.last_mut(), words.next()) {
                (Some(interface), Some(word)) => address(reader, interface, word, span),
                _ => reader.note(span, LineState::Unrecognised, "an address without an interface"),
            },
            _ if first.starts_with("link/") => reader.mark(span, LineState::Irrelevant),
            "valid_lft" | "altname" | "RX:" | "TX:" | "RX" | "TX" | "vf" | "alias" => reader.mark(span, LineState::Irrelevant),
            _ if first.ends_with(':') && first.bytes().next().is_some_and(|b| b.is_ascii_digit()) => {
                numbered(reader, &mut interfaces, text, span);
            }
            _ => match words.next() {
                Some(state) if is_operstate(state) => {
                    // An interface that is operationally down may be administratively up (no cable).
                    let up = if state == "UP" { Some(true) } else { None };
                    let mut interface = Interface { up, ..Interface::new(plain_name(first), span) };
                    reader.mark(span, LineState::Understood);
                    while let Some(word) = words.next() {
                        match word {
                            "peer" => drop(words.next()),
                            "metric" => drop(words.next()),
                            _ if word.starts_with('<') => {}
                            _ => address(reader, &mut interface, word, span),
                        }
                    }
                    interfaces.push(interface);
                }
                // Details of a link (`ip -d addr`) and statistics (`ip -s addr`) are indented.
                _ if text.starts_with(' ') && !interfaces.is_empty() => reader.mark(span, LineState::Irrelevant),
                _ => reader.note(span, LineState::Unrecognised, "this line is not one of ip addr"),
            },
        }
    }
    reader.device.interfaces = Some(interfaces);
}

/// `2: eth0@if3: <UP,…> mtu …`, or with `-o`: `2: eth0    inet 192.0.2.1/24 …`.
fn numbered(reader: &mut Reader<'_>, interfaces: &mut Vec<Interface>, text: &str, span: Span) {
    let mut words = text.split_ascii_whitespace().skip(1);
    let Some(name) = words.next() else {
        return reader.note(span, LineState::Unrecognised, "an interface without a name");
    };
    let name = plain_name(name);
    reader.mark(span, LineState::Understood);
    match words.next() {
        Some("inet" | "inet6") => {
            if interfaces.last().is_none_or(|i| i.name != name) {
                interfaces.push(Interface::new(name, span));
            }
            if let (Some(interface), Some(word)) = (interfaces.last_mut(), words.next()) {
                address(reader, interface, word, span);
            }
        }
        Some(flags) if flags.starts_with('<') => {
            let up = flags.trim_matches(['<', '>']).split(',').any(|f| f == "UP");
            interfaces.push(Interface { up: Some(up), ..Interface::new(name, span) });
        }
        _ => reader.note(span, LineState::Unrecognised, "an interface without flags or address"),
    }
}

/// The name without the `@parent` of a virtual interface and without the colon.
fn plain_name(word: &str) -> String {
    let word = word.strip_suffix(':').unwrap_or(word);
    word.split('@').next().unwrap_or(word).to_owned()
}

/// An address; of one with a peer (`inet 192.0.2.1 peer 192.0.2.2/32`) the local one.
fn address(reader: &mut Reader<'_>, interface: &mut Interface, word: &str, span: Span) {
    match word.parse::<IpNetwork>() {
        Ok(net) => {
            reader.mark(span, LineState::Understood);
            interface.addresses.push(net);
        }
        Err(_) => reader.note(span, LineState::Unsupported, format!("`{word}` is not an address")),
    }
}

#[derive(Deserialize)]
struct JsonLink {
    ifname: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    addr_info: Vec<JsonAddress>,
}

#[derive(Deserialize)]
struct JsonAddress {
    local: Option<IpAddr>,
    prefixlen: Option<u8>,
}

fn read_json(reader: &mut Reader<'_>) {
    let whole = reader.file.whole();
    match serde_json::from_str::<Vec<JsonLink>>(&reader.file.text) {
        Ok(links) => {
            reader.mark(whole, LineState::Understood);
            let interface = |link: JsonLink| {
                let addresses = link.addr_info.into_iter().filter_map(|a| IpNetwork::new(a.local?, a.prefixlen?).ok()).collect();
                Some(Interface { addresses, up: Some(link.flags.iter().any(|f| f == "UP")), ..Interface::new(link.ifname?, whole) })
            };
            reader.device.interfaces = Some(links.into_iter().filter_map(interface).collect());
        }
        Err(e) => reader.incomplete(
            whole,
            LineState::Unrecognised,
            format!("this is not the JSON of ip -j addr (line {}, column {})", e.line(), e.column()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host
       valid_lft forever preferred_lft forever
2: eth0@if7: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    altname enp0s1
3: tun0: <POINTOPOINT,UP,LOWER_UP> mtu 1400 state UNKNOWN
    link/none
    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0
";

    fn read(text: &str) -> Vec<(String, Vec<String>, Option<bool>)> {
        let (file, reading) = IP_ADDR.read_text("a", text);
        assert!(detect(&file).is_some_and(|d| d.confidence == Confidence::Certain), "{text}");
        assert!(reading.notes.is_empty(), "{:?}", reading.notes);
        let interfaces = reading.device.interfaces.unwrap();
        interfaces.into_iter().map(|i| (i.name, i.addresses.iter().map(|a| a.to_string()).collect(), i.up)).collect()
    }

    #[test]
    fn interfaces_have_names_addresses_and_states() {
        let own = |n: &str, a: &[&str], up| (n.to_owned(), a.iter().map(|s| s.to_string()).collect::<Vec<_>>(), up);
        assert_eq!(
            read(FULL),
            [own("lo", &["127.0.0.1/8", "::1/128"], Some(true)), own("eth0", &[], Some(false)), own("tun0", &["10.8.0.1/32"], Some(true))]
        );
        assert_eq!(
            read("lo               UNKNOWN        127.0.0.1/8 ::1/128\neth0@if7         UP             192.0.2.1/24 metric 100\n"),
            [own("lo", &["127.0.0.1/8", "::1/128"], None), own("eth0", &["192.0.2.1/24"], Some(true))]
        );
        assert_eq!(
            read(
                "2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever\n2: eth0    inet6 fe80::1/64 scope link \\ valid_lft forever\n"
            ),
            [own("eth0", &["192.0.2.1/24", "fe80::1/64"], None)]
        );
        assert_eq!(
            read(
                r#"[{"ifindex":1,"ifname":"eth0","flags":["UP"],"addr_info":[{"family":"inet","local":"192.0.2.1","prefixlen":24,"scope":"global"}]}]"#
            ),
            [own("eth0", &["192.0.2.1/24"], Some(true))]
        );
    }
}
