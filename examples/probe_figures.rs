//! Side by side: `fwproof probe`, nmap and masscan on the same laboratory of two network namespaces. Whole processes; medians.
//!
//! `cargo run --release --example probe_figures -- [RUNS] [SCENE…]` as root. What takes longer than 20 s is run once. Packets stay between the
//! namespaces, which go when it ends.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "FWPROOF_FIGURES_INSIDE";
const TCP: [u16; 20] = [22, 25, 80, 110, 143, 443, 587, 636, 800, 993, 2049, 3306, 5432, 8080, 8443, 9000, 20_000, 30_000, 50_000, 65_535];
const UDP: [u16; 4] = [53, 123, 161, 5000];

struct Scene {
    name: &'static str,
    what: &'static str,
    targets: &'static str,
    hosts: usize,
    ports: &'static str,
    /// Rules of the hosts.
    silent: bool,
    udp: bool,
}

const SCENES: [Scene; 5] = [
    Scene {
        name: "one-answers",
        what: "65,535 TCP ports of a host that answers",
        targets: "10.98.0.9",
        hosts: 1,
        ports: "1-65535",
        silent: false,
        udp: false,
    },
    Scene {
        name: "one-silent",
        what: "65,535 TCP ports of a host that drops",
        targets: "10.98.0.9",
        hosts: 1,
        ports: "1-65535",
        silent: true,
        udp: false,
    },
    Scene {
        name: "many-answer",
        what: "256 hosts that answer × 1,000 TCP ports",
        targets: "10.98.0.0/24",
        hosts: 256,
        ports: "1-1000",
        silent: false,
        udp: false,
    },
    Scene {
        name: "many-silent",
        what: "256 hosts that drop × 1,000 TCP ports",
        targets: "10.98.0.0/24",
        hosts: 256,
        ports: "1-1000",
        silent: true,
        udp: false,
    },
    Scene {
        name: "udp",
        what: "100 hosts × 100 UDP ports (ICMP errors unbounded)",
        targets: "10.98.0.1-100",
        hosts: 100,
        ports: "",
        silent: false,
        udp: true,
    },
];

fn main() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let mut args = std::env::args().skip(1);
    let runs: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(5);
    let only: BTreeSet<String> = args.collect();
    let lab = Lab::new();
    println!("| scene | program | seconds | packets | wrong answers |\n|---|---|---|---|---|");
    for scene in SCENES.iter().filter(|s| only.is_empty() || only.contains(s.name)) {
        lab.rules(scene.silent);
        for (program, args) in programs(scene, &lab) {
            let mut all: Vec<(f64, u64, usize)> = Vec::new();
            for _ in 0..runs {
                all.push(lab.measure(&program, &args, scene));
                if all[0].0 > 20.0 {
                    break;
                }
            }
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (seconds, packets, _) = all[all.len() / 2];
            let wrong: Vec<usize> = all.iter().map(|a| a.2).collect();
            println!("| {} | {program} | {seconds:.2} ({} runs) | {packets} | {wrong:?} |", scene.what, all.len());
        }
    }
}

/// What is run for a scene: the name to show, and the words.
fn programs(scene: &Scene, lab: &Lab) -> Vec<(String, Vec<String>)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let ports = if scene.udp { "U:top-100".to_owned() } else { scene.ports.to_owned() };
    let own = std::env::current_exe().unwrap();
    let own = own.parent().and_then(|p| p.parent()).unwrap().join("fwproof");
    let fwproof = |rate: u32| {
        let text = format!(
            "{} probe {} -p {ports} --rate {rate} --i-am-authorised -q --format json --oX /dev/stderr",
            own.display(),
            scene.targets
        );
        (format!("fwproof, {rate}/s"), words(&text))
    };
    let mut all = vec![fwproof(200_000)];
    if !scene.udp {
        all.push(fwproof(2_000_000));
    }
    if on_path("nmap") {
        let ports = if scene.udp { format!("-sU -p {}", lab.udp_ports) } else { format!("-sS -p {}", scene.ports) };
        all.push(("nmap -T4".into(), words(&format!("nmap {ports} -T4 -n -Pn -oX /dev/stderr {}", scene.targets))));
    }
    if on_path("masscan") && !scene.udp {
        let mac = lab.mac();
        let text =
            format!("masscan {} -p {} --rate 100000 --wait 2 -e eth0 --router-mac {mac} -oL /dev/stderr", scene.targets, scene.ports);
        all.push(("masscan, 100000/s".into(), words(&text)));
    }
    all
}

fn on_path(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|f| f.join(program).is_file())
}

struct Lab {
    here: String,
    there: String,
    child: std::process::Child,
    udp_ports: String,
}

fn sh(text: &str) -> String {
    let output = Command::new("sh").args(["-c", text]).output().unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        sh(&format!("ip netns del {}; ip netns del {}", self.here, self.there));
    }
}

impl Lab {
    fn new() -> Lab {
        let (here, there) = (format!("figures{}a", std::process::id()), format!("figures{}b", std::process::id()));
        sh(&format!(
            "ip netns add {here}; ip netns add {there}; ip -n {here} link add eth0 type veth peer name eth0 netns {there}
             for n in {here} {there}; do ip -n $n link set lo up; ip -n $n link set eth0 up; done
             ip -n {here} addr add 10.97.0.1/24 dev eth0; ip -n {there} addr add 10.97.0.2/24 dev eth0
             ip -n {here} route add 10.98.0.0/24 via 10.97.0.2; ip -n {there} route add local 10.98.0.0/24 dev lo
             ip netns exec {there} sh -c 'echo 0 > /proc/sys/net/ipv4/icmp_ratelimit; echo 1000000 > /proc/sys/net/ipv4/icmp_msgs_per_sec; echo 1000000 > /proc/sys/net/ipv4/icmp_msgs_burst'"
        ));
        let program = std::env::current_exe().unwrap();
        let child = Command::new("ip").args(["netns", "exec", &there]).arg(program).env(INSIDE, "1").stdin(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let udp = fwproof::probe::top::top(fwproof::probe::Protocol::Udp, 100);
        let udp_ports = udp.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        Lab { here, there, child, udp_ports }
    }

    fn rules(&self, silent: bool) {
        let list = TCP.map(|p| p.to_string()).join(", ");
        let rules =
            format!("table inet f {{ chain i {{ type filter hook input priority 0; policy drop; tcp dport {{ {list} }} accept; }}; }}");
        sh(&format!("ip netns exec {} nft flush ruleset", self.there));
        if silent {
            sh(&format!("ip netns exec {} nft '{rules}'", self.there));
        }
    }

    fn mac(&self) -> String {
        sh(&format!("ip netns exec {} cat /sys/class/net/eth0/address", self.there))
    }

    fn sent(&self) -> u64 {
        sh(&format!("ip netns exec {} cat /sys/class/net/eth0/statistics/tx_packets", self.here)).parse().unwrap()
    }

    fn measure(&self, name: &str, args: &[String], scene: &Scene) -> (f64, u64, usize) {
        let before = self.sent();
        let began = Instant::now();
        let output = Command::new("ip").args(["netns", "exec", &self.here]).args(args).stdin(Stdio::null()).output().unwrap();
        let seconds = began.elapsed().as_secs_f64();
        let packets = self.sent() - before;
        let text = String::from_utf8_lossy(&output.stderr);
        let open = if name.starts_with("masscan") { listed(&text) } else { open_in_xml(&text) };
        let (wanted, protocol) = if scene.udp { (UDP.to_vec(), "udp") } else { (TCP.to_vec(), "tcp") };
        let last: u16 = scene.ports.split('-').next_back().and_then(|p| p.parse().ok()).unwrap_or(u16::MAX);
        let asked = |p: &u16| if scene.udp { self.udp_ports.split(',').any(|u| u == p.to_string()) } else { *p <= last };
        let wanted = wanted.iter().filter(|p| asked(p)).count() * scene.hosts;
        let right = open.iter().filter(|(p, port)| p == protocol && (TCP.contains(port) || UDP.contains(port))).count();
        // What should be open and is not, and the other way round.
        (seconds, packets, wanted.saturating_sub(right) + (open.len() - right))
    }
}

/// Open ports in XML of nmap's shape.
fn open_in_xml(text: &str) -> Vec<(String, u16)> {
    let ports =
        text.split("<port protocol=\"").skip(1).filter(|p| p.split("<state state=\"").nth(1).is_some_and(|s| s.starts_with("open\"")));
    ports.filter_map(|p| Some((p.split('"').next()?.to_owned(), p.split("portid=\"").nth(1)?.split('"').next()?.parse().ok()?))).collect()
}

/// Open ports in masscan's list: `open tcp 80 10.0.0.1 …`.
fn listed(text: &str) -> Vec<(String, u16)> {
    let lines: BTreeSet<(String, u16, String)> = text
        .lines()
        .filter_map(|l| {
            let w: Vec<&str> = l.split(' ').collect();
            (w.first() == Some(&"open")).then(|| Some((w.get(1)?.to_string(), w.get(2)?.parse().ok()?, w.get(3)?.to_string())))?
        })
        .collect();
    lines.into_iter().map(|(protocol, port, _)| (protocol, port)).collect()
}

/// The hosts: listens until standard input ends.
fn inside() {
    for port in TCP {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
    }
    for port in UDP {
        // Bound to each address, so that answers come from the one that was asked.
        for n in 1..=100u8 {
            let Ok(socket) = UdpSocket::bind((std::net::Ipv4Addr::new(10, 98, 0, n), port)) else { continue };
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..n], from);
                }
            });
        }
    }
    let _ = std::io::stdin().read(&mut [0]);
}
