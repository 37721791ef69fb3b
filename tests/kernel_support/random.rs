//! Random rule sets. One plan is written for both programs, so that the same plan is asked of all back ends; plans shrink to few rules.

use proptest::prelude::*;

/// A chain of a plan: the three of the hooks, then two that are called.
const CHAINS: [&str; 5] = ["INPUT", "FORWARD", "OUTPUT", "first", "second"];

/// What a rule asks for.
#[derive(Clone, Debug)]
pub enum Ask {
    Protocol(u8, bool),
    Ports { source: bool, protocol: u8, lo: u16, hi: u16, negated: bool },
    Source(u8, u8, bool),
    Destination(u8, u8, bool),
    Arrives(u8, bool),
    Leaves(u8, bool),
    State(u8, bool),
    Flags(u8, u8),
    Icmp(u8, bool),
    Mark(u8, bool),
    Later,
}

/// What a rule does.
#[derive(Clone, Debug)]
pub enum Do {
    Accept,
    Drop,
    Reject,
    Reset,
    Return,
    Jump(bool),
    Goto(bool),
    Mark(u8),
    Log,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Line {
    pub asks: Vec<Ask>,
    pub does: Do,
}

/// A rule set.
#[derive(Clone, Debug)]
pub struct Plan {
    pub six: bool,
    pub drops: [bool; 3],
    pub rules: [Vec<Line>; 5],
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        (0u8..6, any::<bool>()).prop_map(|(p, n)| Ask::Protocol(p, n)),
        (any::<bool>(), 0u8..3, prop::sample::select(vec![22u16, 53, 80, 443, 1024, 40000, 40001]), 0u16..40, any::<bool>())
            .prop_map(|(source, protocol, lo, more, negated)| Ask::Ports { source, protocol, lo, hi: lo + more, negated }),
        (0u8..4, 8u8..=32, any::<bool>()).prop_map(|(a, l, n)| Ask::Source(a, l, n)),
        (0u8..4, 8u8..=32, any::<bool>()).prop_map(|(a, l, n)| Ask::Destination(a, l, n)),
        (0u8..3, any::<bool>()).prop_map(|(i, n)| Ask::Arrives(i, n)),
        (0u8..3, any::<bool>()).prop_map(|(i, n)| Ask::Leaves(i, n)),
        (1u8..32, any::<bool>()).prop_map(|(s, n)| Ask::State(s, n)),
        (any::<u8>(), any::<u8>()).prop_map(|(m, v)| Ask::Flags(m, v & m)),
        (0u8..4, any::<bool>()).prop_map(|(t, n)| Ask::Icmp(t, n)),
        (0u8..3, any::<bool>()).prop_map(|(m, n)| Ask::Mark(m, n)),
        Just(Ask::Later),
    ]
}

fn does() -> impl Strategy<Value = Do> {
    prop_oneof![
        4 => Just(Do::Accept),
        3 => Just(Do::Drop),
        1 => Just(Do::Reject),
        1 => Just(Do::Reset),
        1 => Just(Do::Return),
        2 => any::<bool>().prop_map(Do::Jump),
        1 => any::<bool>().prop_map(Do::Goto),
        1 => (0u8..3).prop_map(Do::Mark),
        1 => Just(Do::Log),
    ]
}

/// Plans of up to six rules a chain.
pub fn plans() -> impl Strategy<Value = Plan> {
    let line = (prop::collection::vec(ask(), 0..3), does()).prop_map(|(asks, does)| Line { asks, does });
    let line = line.boxed();
    let chain = || prop::collection::vec(line.clone(), 0..6);
    (any::<bool>(), any::<[bool; 3]>(), [chain(), chain(), chain(), chain(), chain()]).prop_map(|(six, drops, rules)| Plan {
        six,
        drops,
        rules,
    })
}

const PROTOCOLS: [(&str, u8); 6] = [("tcp", 6), ("udp", 17), ("sctp", 132), ("icmp", 1), ("esp", 50), ("gre", 47)];
const INTERFACES: [(&str, &str); 3] = [("eth0", "eth0"), ("eth+", "eth*"), ("wan+", "wan*")];
const STATES: [&str; 5] = ["new", "established", "related", "invalid", "untracked"];
const FLAGS: [&str; 6] = ["fin", "syn", "rst", "psh", "ack", "urg"];

fn flags(bits: u8) -> Vec<&'static str> {
    FLAGS.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, f)| *f).collect()
}

impl Plan {
    fn protocol(&self, p: u8) -> &'static str {
        match PROTOCOLS[usize::from(p) % PROTOCOLS.len()].0 {
            "icmp" if self.six => "ipv6-icmp",
            name => name,
        }
    }

    fn address(&self, a: u8, length: u8) -> String {
        if self.six {
            let length = u32::from(length) * 4;
            let base: u128 =
                [0x2001_0db8_0001 << 80, 0x2001_0db8_0002 << 80 | 7, 0xfd00 << 112 | 0xffff, 0x2a00 << 112 | 1 << 80][usize::from(a) % 4];
            let net = base & (u128::MAX << (128 - length));
            format!("{}/{length}", std::net::Ipv6Addr::from(net))
        } else {
            let base: u32 = [0x0a01_0203, 0xc000_0207, 0xc633_64ff, 0x0a80_0000][usize::from(a) % 4];
            let net = base & (u32::MAX << (32 - u32::from(length)));
            format!("{}/{length}", std::net::Ipv4Addr::from(net))
        }
    }

    fn states(bits: u8) -> Vec<&'static str> {
        STATES.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, s)| *s).collect()
    }

    /// Whether the hook of a chain knows the interface of that side; chains that are called may come from any hook.
    fn knows(chain: usize, arrival: bool) -> bool {
        if arrival { chain != 2 && chain < 3 } else { chain != 0 && chain < 3 }
    }

    /// The protocol that a rule must name, and the asks that can stand beside each other in one rule.
    fn settled(&self, chain: usize, line: &Line) -> (Option<(u8, bool)>, Vec<Ask>) {
        let mut protocol: Option<(u8, bool)> = None;
        let mut out: Vec<Ask> = Vec::new();
        for ask in &line.asks {
            if out.iter().any(|o| std::mem::discriminant(o) == std::mem::discriminant(ask)) {
                continue;
            }
            let needs = match ask {
                Ask::Protocol(p, n) => Some((*p % 6, *n)),
                Ask::Ports { protocol, .. } => Some((*protocol % 3, false)),
                Ask::Flags(..) => Some((0, false)),
                Ask::Icmp(..) => Some((3, false)),
                Ask::Arrives(..) if !Self::knows(chain, true) => continue,
                Ask::Leaves(..) if !Self::knows(chain, false) => continue,
                Ask::Later if self.six => continue,
                _ => None,
            };
            if needs.is_some() && protocol.is_some() && needs != protocol {
                continue;
            }
            protocol = protocol.or(needs);
            if !matches!(ask, Ask::Protocol(..)) {
                out.push(ask.clone());
            }
        }
        if matches!(line.does, Do::Reset) {
            if protocol.is_some_and(|p| p != (0, false)) {
                out.clear();
            }
            protocol = Some((0, false));
        }
        (protocol, out)
    }

    /// The rule set for iptables or ip6tables.
    pub fn iptables(&self) -> String {
        let mut t = String::from("*filter\n");
        for (i, chain) in CHAINS.iter().enumerate() {
            let policy = if i > 2 {
                "-"
            } else if self.drops[i] {
                "DROP"
            } else {
                "ACCEPT"
            };
            t.push_str(&format!(":{chain} {policy} [0:0]\n"));
        }
        let not = |n: bool| if n { "! " } else { "" };
        for (i, chain) in CHAINS.iter().enumerate() {
            for line in &self.rules[i] {
                let (protocol, asks) = self.settled(i, line);
                let mut r = format!("-A {chain}");
                if let Some((p, n)) = protocol {
                    r.push_str(&format!(" {}-p {}", not(n), self.protocol(p)));
                }
                for ask in &asks {
                    r.push(' ');
                    r.push_str(&match ask {
                        Ask::Protocol(..) => String::new(),
                        Ask::Ports { source, lo, hi, negated, .. } => format!(
                            "-m {} {}--{} {lo}:{hi}",
                            self.protocol(protocol.map_or(0, |p| p.0)),
                            not(*negated),
                            if *source { "sport" } else { "dport" }
                        ),
                        Ask::Source(a, l, n) => format!("{}-s {}", not(*n), self.address(*a, *l)),
                        Ask::Destination(a, l, n) => format!("{}-d {}", not(*n), self.address(*a, *l)),
                        Ask::Arrives(k, n) => format!("{}-i {}", not(*n), INTERFACES[usize::from(*k) % 3].0),
                        Ask::Leaves(k, n) => format!("{}-o {}", not(*n), INTERFACES[usize::from(*k) % 3].0),
                        Ask::State(s, n) => format!("-m conntrack {}--ctstate {}", not(*n), Self::states(*s).join(",").to_uppercase()),
                        Ask::Flags(m, v) => {
                            let list = |b: u8| match flags(b).join(",").to_uppercase() {
                                none if none.is_empty() => "NONE".to_owned(),
                                some => some,
                            };
                            format!("-m tcp --tcp-flags {} {}", list(*m), list(*v))
                        }
                        Ask::Icmp(k, n) if self.six => {
                            format!("-m icmp6 {}--icmpv6-type {}", not(*n), [128, 1, 135, 137][usize::from(*k) % 4])
                        }
                        Ask::Icmp(k, n) => format!("-m icmp {}--icmp-type {}", not(*n), ["8", "3/4", "11", "0/0"][usize::from(*k) % 4]),
                        Ask::Mark(m, n) => format!("-m mark {}--mark {m:#x}", not(*n)),
                        Ask::Later => "-f".to_owned(),
                    });
                }
                r.push_str(&match &line.does {
                    Do::Accept => " -j ACCEPT".to_owned(),
                    Do::Drop => " -j DROP".to_owned(),
                    Do::Reject => " -j REJECT".to_owned(),
                    Do::Reset => " -j REJECT --reject-with tcp-reset".to_owned(),
                    Do::Return => " -j RETURN".to_owned(),
                    Do::Jump(second) => Self::call(i, *second).map_or_else(String::new, |c| format!(" -j {c}")),
                    Do::Goto(second) => Self::call(i, *second).map_or_else(String::new, |c| format!(" -g {c}")),
                    Do::Mark(m) => format!(" -m mark --mark {m:#x} -j ACCEPT"),
                    Do::Log => " -j LOG".to_owned(),
                });
                t.push_str(&r);
                t.push('\n');
            }
        }
        t + "COMMIT\n"
    }

    /// The rule set for nft.
    pub fn nftables(&self) -> String {
        let mut t = String::from("table inet filter {\n");
        for (i, chain) in CHAINS.iter().enumerate().rev() {
            t.push_str(&format!("\tchain {chain} {{\n"));
            if i < 3 {
                let policy = if self.drops[i] { "drop" } else { "accept" };
                t.push_str(&format!("\t\ttype filter hook {} priority 0; policy {policy};\n", chain.to_lowercase()));
            }
            for line in &self.rules[i] {
                let (protocol, asks) = self.settled(i, line);
                let mut r = String::from("\t\t");
                let not = |n: bool| if n { "!= " } else { "" };
                let (ip, icmp) = if self.six { ("ip6", "icmpv6") } else { ("ip", "icmp") };
                if let Some((p, n)) = protocol {
                    r.push_str(&format!("meta l4proto {}{} ", not(n), self.protocol(p)));
                }
                for ask in &asks {
                    r.push_str(&match ask {
                        Ask::Protocol(..) => String::new(),
                        Ask::Ports { source, lo, hi, negated, .. } => {
                            format!("th {} {}{lo}-{hi}", if *source { "sport" } else { "dport" }, not(*negated))
                        }
                        Ask::Source(a, l, n) => format!("{ip} saddr {}{}", not(*n), self.address(*a, *l)),
                        Ask::Destination(a, l, n) => format!("{ip} daddr {}{}", not(*n), self.address(*a, *l)),
                        Ask::Arrives(k, n) => format!("iifname {}\"{}\"", not(*n), INTERFACES[usize::from(*k) % 3].1),
                        Ask::Leaves(k, n) => format!("oifname {}\"{}\"", not(*n), INTERFACES[usize::from(*k) % 3].1),
                        Ask::State(s, n) => format!("ct state {}{{ {} }}", not(*n), Self::states(*s).join(", ")),
                        Ask::Flags(m, v) => {
                            let list = |b: u8| match flags(b).join("|") {
                                none if none.is_empty() => "0x0".to_owned(),
                                some => format!("({some})"),
                            };
                            if flags(*m).is_empty() { String::new() } else { format!("tcp flags & {} == {}", list(*m), list(*v)) }
                        }
                        Ask::Icmp(k, n) if self.six => format!("icmpv6 type {}{}", not(*n), [128, 1, 135, 137][usize::from(*k) % 4]),
                        Ask::Icmp(k, n) => format!("{icmp} type {}{}", not(*n), [8, 3, 11, 0][usize::from(*k) % 4]),
                        Ask::Mark(m, n) => format!("meta mark {}{m:#x}", not(*n)),
                        Ask::Later => "ip frag-off & 0x1fff != 0".to_owned(),
                    });
                    r.push(' ');
                }
                r.push_str(&match &line.does {
                    Do::Accept => "accept".to_owned(),
                    Do::Drop => "drop".to_owned(),
                    Do::Reject => "reject".to_owned(),
                    Do::Reset => "reject with tcp reset".to_owned(),
                    Do::Return => "return".to_owned(),
                    Do::Jump(second) => Self::call(i, *second).map_or_else(|| "counter".to_owned(), |c| format!("jump {c}")),
                    Do::Goto(second) => Self::call(i, *second).map_or_else(|| "counter".to_owned(), |c| format!("goto {c}")),
                    Do::Mark(m) => format!("meta mark set {m:#x}"),
                    Do::Log => "log".to_owned(),
                });
                t.push_str(&r);
                t.push('\n');
            }
            t.push_str("\t}\n");
        }
        t + "}\n"
    }

    /// Whom a chain may call: the chains of the hooks both, the first the second, the second none.
    fn call(chain: usize, second: bool) -> Option<&'static str> {
        match (chain, second) {
            (4, _) => None,
            (3, _) | (_, true) => Some("second"),
            _ => Some("first"),
        }
    }
}
