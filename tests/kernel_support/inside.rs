//! One rule set in a network namespace of its own: this program starts itself again in there (`unshare --net`), loads the rule set, sends
//! the packets, and reads at which hooks they were seen. Nothing leaves the namespace, and nothing is left of it.
//!
//! A table of its own looks at every packet first and last at each hook and keeps its number. Behind the last hook, but before a connection
//! would be kept, every packet is dropped: so packets do not influence each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pnet_datalink::{Channel, Config, DataLinkSender};
use serde_json::Value;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Aim, Answer, Job, Seen, Shot};

/// Tells this program that it is inside; the value is the folder of the job.
pub const INSIDE: &str = "FWPROOF_KERNEL_INSIDE";

/// The words that start a program in a network namespace of its own, as root or as anybody; `None`: neither is allowed.
pub fn unshare() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "--net"], &["unshare", "--net", "--map-root-user"]];
    ways.into_iter().find(|way| {
        let test = "nft list ruleset && ip link set lo up";
        Command::new(way[0]).args(&way[1..]).args(["sh", "-c", test]).output().is_ok_and(|o| o.status.success())
    })
}

/// Starts this program again in a namespace, for one job. `arguments`: what makes it come to [`main`].
pub fn run(job: &Job, arguments: &[&str]) -> Answer {
    let start = || -> Result<Answer, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("job"), serde_json::to_vec(job)?)?;
        let way = unshare_once().ok_or("no namespace is allowed")?;
        let program = std::env::current_exe()?;
        let output = Command::new(way[0]).args(&way[1..]).arg(program).args(arguments).env(INSIDE, folder.path()).output()?;
        match std::fs::read(folder.path().join("answer")) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(_) => Ok(Answer::Broken(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    };
    start().unwrap_or_else(|e| Answer::Broken(e.to_string()))
}

fn unshare_once() -> Option<&'static [&'static str]> {
    static WAY: std::sync::OnceLock<Option<&'static [&'static str]>> = std::sync::OnceLock::new();
    *WAY.get_or_init(unshare)
}

/// What runs inside. `false`: this is not the inside.
pub fn main() -> bool {
    let Some(folder) = std::env::var_os(INSIDE) else { return false };
    let folder = Path::new(&folder);
    let answer = std::fs::read(folder.join("job"))
        .map_err(|e| e.to_string())
        .and_then(|bytes| serde_json::from_slice::<Job>(&bytes).map_err(|e| e.to_string()))
        .and_then(|job| Lab { job }.work());
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => Answer::Broken(why),
    };
    if let Ok(bytes) = serde_json::to_vec(&answer) {
        let _ = std::fs::write(folder.join("answer"), bytes);
    }
    true
}

/// The far ends of the interfaces begin so.
const FAR: &str = "zzfar";
/// Routing tables: that of local delivery, and the first of those that send out.
const TO_HOST: u32 = 99;
const TO_FIRST: u32 = 100;

type Result2<T> = Result<T, String>;

struct Lab {
    job: Job,
}

/// Feeds a program; what it says on standard error is its error.
fn feed(command: &[&str], input: &str) -> Result2<()> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", command[0]))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

fn ip(lines: &[String]) -> Result2<()> {
    feed(&["ip", "-batch", "-"], &(lines.join("\n") + "\n")).map_err(|e| format!("ip: {e}"))
}

impl Lab {
    fn work(&self) -> Result2<Answer> {
        self.settings();
        self.interfaces()?;
        if let Some(sets) = &self.job.sets
            && let Err(why) = feed(&["ipset", "restore"], sets)
        {
            return Ok(Answer::NotLoaded(why));
        }
        if self.job.tracks {
            feed(&["nft", "-f", "-"], &self.probe(true)).map_err(|e| format!("probe: {e}"))?;
            self.open()?;
        }
        let text: String =
            self.job.ruleset.lines().filter(|l| !l.trim_start().starts_with("flush ruleset")).fold(String::new(), |mut all, line| {
                all += line;
                all.push('\n');
                all
            });
        if let Err(why) = feed(self.job.loader.command(), &text) {
            return Ok(Answer::NotLoaded(why));
        }
        feed(&["nft", "-f", "-"], &self.probe(false)).map_err(|e| format!("probe: {e}"))?;
        self.shoot()?;
        self.read().map(Answer::Seen)
    }

    /// What would keep test packets out, or answers back.
    fn settings(&self) {
        for (key, value) in [
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv4/conf/all/accept_local", "1"),
            ("ipv4/conf/default/accept_local", "1"),
            ("ipv4/conf/all/route_localnet", "1"),
            ("ipv4/conf/default/route_localnet", "1"),
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/default/send_redirects", "0"),
            ("ipv4/ip_forward", "1"),
            ("ipv4/icmp_ratelimit", "0"),
            ("ipv4/icmp_ratemask", "0"),
            ("ipv4/icmp_msgs_per_sec", "1000000"),
            ("ipv4/icmp_msgs_burst", "1000000"),
            ("ipv6/icmp/ratelimit", "0"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/addr_gen_mode", "1"),
            ("ipv6/conf/default/router_solicitations", "0"),
            ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
        ] {
            let _ = std::fs::write(format!("/proc/sys/net/{key}"), value);
        }
    }

    fn interfaces(&self) -> Result2<()> {
        let mut lines = vec!["link set lo up".to_owned()];
        for (k, name) in self.job.interfaces.iter().enumerate() {
            lines.push(format!("link add name {name} address {} type veth peer name {FAR}{k} address {}", mac(k, 1), mac(k, 2)));
            for end in [name.clone(), format!("{FAR}{k}")] {
                lines.push(format!("link set dev {end} arp off up"));
            }
        }
        if self.job.addresses.is_empty() {
            for (k, name) in self.job.interfaces.iter().enumerate() {
                lines.push(format!("address add 198.18.{k}.1/32 dev {name}"));
                lines.push(format!("address add fd5a:7a7a::{k:x}/128 dev {name} nodad"));
            }
            // A packet to anywhere goes to where its arrival interface's table says, before anybody asks whose its address is.
            for family in ["-4", "-6"] {
                lines.push(format!("{family} rule add pref 1000 lookup local"));
                lines.push(format!("{family} rule del pref 0"));
                lines.push(format!("{family} route add local default dev lo table {TO_HOST}"));
                for (pref, name) in self.arrivals() {
                    lines.push(format!("{family} rule add pref {pref} iif {name} lookup {TO_HOST}"));
                }
                lines.push(format!("{family} route add default dev lo metric 900"));
                for (k, name) in self.job.interfaces.iter().enumerate() {
                    let table = TO_FIRST + k as u32;
                    lines.push(format!("{family} route add default dev {name} table {table}"));
                    lines.push(format!("{family} route add default dev {name} metric {}", 100 + k));
                    for (j, other) in self.job.interfaces.iter().enumerate() {
                        let own = if family == "-4" { format!("198.18.{j}.1") } else { format!("fd5a:7a7a::{j:x}") };
                        lines.push(format!("{family} route add local {own} dev {other} table {table}"));
                    }
                }
            }
        } else {
            for (name, address) in &self.job.addresses {
                lines.push(format!("address add {address} dev {name}{}", if address.contains(':') { " nodad" } else { "" }));
            }
            if let Some(first) = self.job.interfaces.first() {
                lines.push(format!("route add default dev {first}"));
                lines.push(format!("-6 route add default dev {first}"));
            }
        }
        for address in &self.job.own {
            lines.push(format!("address add {address} dev lo{}", if address.contains(':') { " nodad" } else { "" }));
        }
        // `ip -batch` takes the family of all lines from its own arguments: one run for each.
        let of = |mark: &str| -> Vec<String> { lines.iter().filter_map(|l| l.strip_prefix(mark).map(str::to_owned)).collect() };
        let plain: Vec<String> = lines.iter().filter(|l| !l.starts_with('-')).cloned().collect();
        ip(&plain)?;
        for family in ["-4", "-6"] {
            let mine = of(&format!("{family} "));
            feed(&["ip", family, "-batch", "-"], &(mine.join("\n") + "\n")).map_err(|e| format!("ip {family}: {e}"))?;
        }
        Ok(())
    }

    /// The table that looks at packets. `open`: connections are kept.
    fn probe(&self, open: bool) -> String {
        let mut t = String::from("table inet zzprobe {}\ndelete table inet zzprobe\ntable inet zzprobe {\n");
        let mut set = |name: &str, keys: &str| t.push_str(&format!("set {name} {{ typeof ip id{keys}; flags dynamic; size 65535; }}\n"));
        const HOOKS: [(&str, &str); 5] =
            [("prerouting", ""), ("input", ""), ("forward", " . meta oif"), ("output", " . meta oif"), ("postrouting", " . meta oif")];
        for (hook, keys) in HOOKS {
            set(&format!("{hook}_first"), keys);
            set(&format!("{hook}_last"), keys);
        }
        const STATES: [&str; 5] = ["new", "established", "related", "invalid", "untracked"];
        for state in STATES {
            set(&format!("state_{state}"), "");
        }
        set("answered", "");
        let note = |name: &str, keys: &str, when: &str| {
            format!("meta nfproto ipv4 {when} add @{name} {{ ip id{keys} }}\nmeta nfproto ipv6 {when} add @{name} {{ @nh,16,16{keys} }}\n")
        };
        let far = (0..self.job.interfaces.len()).map(|k| format!("\"{FAR}{k}\"")).collect::<Vec<_>>().join(", ");
        for (hook, keys) in HOOKS {
            t.push_str(&format!("chain {hook}_first {{ type filter hook {hook} priority -2000000000; policy accept;\n"));
            if hook == "prerouting" && !far.is_empty() {
                t.push_str(&format!("iifname {{ {far} }} drop\n"));
            }
            if hook == "output" {
                // Answers of the kernel have no socket of ours. They are read, and go no further.
                t.push_str("meta skuid >= 0 goto output_ours\n");
                t.push_str("icmp type 3 add @answered { @th,96,16 }\nicmpv6 type 1 add @answered { @th,80,16 }\n");
                t.push_str("tcp flags & (rst | ack) == rst add @answered { @th,32,16 }\n");
                t.push_str("tcp flags & (rst | ack) == (rst | ack) add @answered { @th,64,16 }\ndrop\n");
                t.push_str("}\nchain output_ours {\n");
            }
            t.push_str(&note(&format!("{hook}_first"), keys, ""));
            t.push_str("}\n");
            t.push_str(&format!("chain {hook}_last {{ type filter hook {hook} priority 2000000000; policy accept;\n"));
            t.push_str(&note(&format!("{hook}_last"), keys, ""));
            if !open && matches!(hook, "input" | "postrouting") {
                t.push_str("drop\n");
            }
            t.push_str("}\n");
        }
        if open {
            // As on a host whose connections were all opened under its rules: else translation takes them for half done.
            t.push_str("chain translation { type nat hook prerouting priority -100; policy accept; }\n");
        }
        if self.job.tracks {
            for hook in ["prerouting", "output"] {
                t.push_str(&format!("chain {hook}_state {{ type filter hook {hook} priority -199; policy accept;\n"));
                for state in STATES {
                    t.push_str(&note(&format!("state_{state}"), "", &format!("ct state {state}")));
                }
                t.push_str("}\n");
            }
        }
        t + "}\n"
    }

    /// Opens the connections that packets are to belong to.
    fn open(&self) -> Result2<()> {
        let reversed: Vec<Shot> = self
            .job
            .shots
            .iter()
            .filter_map(|s| {
                let bytes = s.opener.clone()?;
                let aim = match s.aim {
                    Aim::Input => Aim::Output,
                    Aim::Forward => Aim::Forward,
                    Aim::Output => Aim::Input,
                };
                Some(Shot { aim, iif: s.oif.clone(), oif: s.iif.clone(), bytes, opener: None, src_mac: None, pkttype: 0, mark: 0 })
            })
            .collect();
        if reversed.is_empty() { Ok(()) } else { self.send(&reversed) }
    }

    fn shoot(&self) -> Result2<()> {
        self.send(&self.job.shots)
    }

    /// Sends packets, those of one way and one departure interface together.
    fn send(&self, shots: &[Shot]) -> Result2<()> {
        let mut groups: BTreeMap<(Aim, &str), Vec<&Shot>> = BTreeMap::new();
        for shot in shots {
            let oif = if shot.aim == Aim::Forward { shot.oif.as_str() } else { "" };
            groups.entry((shot.aim, oif)).or_default().push(shot);
        }
        let mut wires: BTreeMap<String, Box<dyn DataLinkSender>> = BTreeMap::new();
        let mut last = None;
        for ((aim, oif), group) in groups {
            let table = match aim {
                Aim::Input => Some(TO_HOST),
                Aim::Forward => self.index(oif).map(|k| TO_FIRST + k as u32),
                Aim::Output => None,
            };
            if let Some(table) = table
                && self.job.addresses.is_empty()
                && last != Some(table)
            {
                let change = |(pref, name)| [format!("rule del pref {pref}"), format!("rule add pref {pref} iif {name} lookup {table}")];
                let lines: Vec<String> = self.arrivals().into_iter().flat_map(change).collect();
                for family in ["-4", "-6"] {
                    feed(&["ip", family, "-batch", "-"], &(lines.join("\n") + "\n")).map_err(|e| format!("ip rule: {e}"))?;
                }
                last = Some(table);
            }
            for shot in group {
                match aim {
                    Aim::Output => send_raw(shot)?,
                    _ => self.inject(shot, &mut wires)?,
                }
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    }

    /// The routing rules of arrival interfaces by their preference. None for `lo`, on which the kernel's own look-ups also "arrive".
    fn arrivals(&self) -> Vec<(usize, &str)> {
        self.job.interfaces.iter().map(String::as_str).enumerate().map(|(k, name)| (100 + k, name)).collect()
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.job.interfaces.iter().position(|n| n == name)
    }

    /// Lets a packet arrive on an interface.
    fn inject(&self, shot: &Shot, wires: &mut BTreeMap<String, Box<dyn DataLinkSender>>) -> Result2<()> {
        let k = self.index(&shot.iif);
        let device = k.map_or("lo".to_owned(), |k| format!("{FAR}{k}"));
        if !wires.contains_key(&device) {
            let found = pnet_datalink::interfaces().into_iter().find(|i| i.name == device).ok_or(format!("no interface {device}"))?;
            let config = Config { read_buffer_size: 4096, promiscuous: false, ..Config::default() };
            let Ok(Channel::Ethernet(sender, _)) = pnet_datalink::channel(&found, config) else {
                return Err(format!("no channel on {device}"));
            };
            wires.insert(device.clone(), sender);
        }
        let v4 = shot.bytes[0] >> 4 == 4;
        let mut frame = Vec::with_capacity(14 + shot.bytes.len());
        match k {
            None => frame.extend([0; 12]),
            Some(k) => {
                frame.extend(match shot.pkttype {
                    1 => [0xff; 6],
                    2 if v4 => [1, 0, 0x5e, 0, 0, 1],
                    2 => [0x33, 0x33, 0, 0, 0, 1],
                    _ => mac_bytes(k, 1),
                });
                match shot.src_mac {
                    Some(m) => frame.extend(&m.to_be_bytes()[2..]),
                    None => frame.extend(mac_bytes(k, 2)),
                }
            }
        }
        frame.extend(if v4 { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(&shot.bytes);
        match wires.get_mut(&device).and_then(|w| w.send_to(&frame, None)) {
            Some(Ok(())) => Ok(()),
            other => Err(format!("sending on {device}: {other:?}")),
        }
    }

    /// Reads what became of the packets.
    fn read(&self) -> Result2<Vec<Seen>> {
        std::thread::sleep(Duration::from_millis(20));
        let output = Command::new("nft").args(["-j", "list", "table", "inet", "zzprobe"]).output().map_err(|e| format!("nft: {e}"))?;
        let json: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("nft: {e}"))?;
        let mut sets: BTreeMap<&str, BTreeMap<u64, Option<String>>> = BTreeMap::new();
        for object in json["nftables"].as_array().into_iter().flatten() {
            let (Some(name), Some(elements)) = (object["set"]["name"].as_str(), object["set"]["elem"].as_array()) else { continue };
            let set = sets.entry(name).or_default();
            for element in elements {
                let value = if element["elem"].is_null() { element } else { &element["elem"]["val"] };
                match value["concat"].as_array().map(Vec::as_slice) {
                    Some([number, oif]) => {
                        let oif = oif.as_str().map(str::to_owned).or(oif.as_u64().map(|n| n.to_string()));
                        set.insert(number.as_u64().ok_or("a number that is none")?, oif);
                    }
                    _ => {
                        set.insert(value.as_u64().ok_or(format!("an element that is no number: {value}"))?, None);
                    }
                }
            }
        }
        let empty = BTreeMap::new();
        let set = |name: &str| sets.get(name).unwrap_or(&empty);
        let answered: BTreeSet<u64> = set("answered").keys().copied().collect();
        Ok((1..=self.job.shots.len() as u64)
            .map(|n| {
                let mut seen = Seen { last: None, oif: None, state: None, answered: answered.contains(&n) };
                for hook in ["prerouting", "input", "forward", "output", "postrouting"] {
                    if let Some(oif) = set(&format!("{hook}_first")).get(&n) {
                        seen.last = Some((hook.to_owned(), set(&format!("{hook}_last")).contains_key(&n)));
                        seen.oif = oif.clone().or(seen.oif);
                    }
                }
                seen.state = ["new", "established", "related", "invalid", "untracked"]
                    .into_iter()
                    .find(|s| set(&format!("state_{s}")).contains_key(&n))
                    .map(str::to_owned);
                seen
            })
            .collect())
    }
}

fn mac(k: usize, end: u8) -> String {
    mac_bytes(k, end).map(|b| format!("{b:02x}")).join(":")
}

fn mac_bytes(k: usize, end: u8) -> [u8; 6] {
    [2, 0, 0, 0, k as u8 + 0x10, end]
}

/// Sends a packet as a local process does.
fn send_raw(shot: &Shot) -> Result2<()> {
    let v4 = shot.bytes[0] >> 4 == 4;
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let error = |e: std::io::Error| format!("raw socket: {e}");
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(255))).map_err(error)?;
    socket.bind_device(Some(shot.oif.as_bytes())).map_err(error)?;
    if shot.mark != 0 {
        socket.set_mark(shot.mark).map_err(error)?;
    }
    if v4 {
        socket.set_broadcast(true).map_err(error)?;
    }
    let address: IpAddr = if v4 {
        Ipv4Addr::from(<[u8; 4]>::try_from(&shot.bytes[16..20]).map_err(|e| e.to_string())?).into()
    } else {
        Ipv6Addr::from(<[u8; 16]>::try_from(&shot.bytes[24..40]).map_err(|e| e.to_string())?).into()
    };
    // A denied packet is an error of sending; so is one without a route, which is then not seen anywhere.
    let _ = socket.send_to(&shot.bytes, &SockAddr::from(SocketAddr::new(address, 0)));
    Ok(())
}
