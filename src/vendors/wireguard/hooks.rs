//! Commands that wg-quick runs: `PreUp`, `PostUp`, `PreDown`, `PostDown`.
//!
//! What they may change is told from their programs. Only one thing is recognised as a whole: the kill switch of wg-quick(8), which rejects everything that would leave
//! the host on another interface without carrying the tunnel's own mark:
//! `iptables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT`.

use crate::net::Family;

/// The families for which `command` inserts a kill switch for the interface; empty if it does anything else as well.
pub(super) fn kill_switch(command: &str, interface: &str, mark: Option<&str>) -> Vec<Family> {
    simple_commands(command).map(|words| blocks_output(&words, interface, mark)).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Whether a command only takes packet-filter rules away again (`iptables -D …`), as the counterpart of a kill switch does.
pub(super) fn only_deletes(command: &str) -> bool {
    simple_commands(command).all(|words| {
        let mut words = words.iter();
        words.next().is_some_and(|w| family(w).is_some()) && words.any(|w| matches!(*w, "-D" | "--delete"))
    })
}

/// What a command may change of where traffic goes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Reach {
    /// Which traffic goes into the tunnel.
    pub routes: bool,
    /// What the packet filter lets out.
    pub filter: bool,
    /// Which name servers are asked.
    pub names: bool,
}

/// What a command line may change. Whatever is not known to be harmless may change anything.
pub(super) fn reach(command: &str) -> Reach {
    let parts = command.split([';', '|', '&', '\n']).map(words).filter(|w| !w.is_empty());
    parts.map(|words| reach_of(&words)).fold(Reach::default(), |a, b| Reach {
        routes: a.routes || b.routes,
        filter: a.filter || b.filter,
        names: a.names || b.names,
    })
}

fn reach_of(words: &[&str]) -> Reach {
    const NOTHING: Reach = Reach { routes: false, filter: false, names: false };
    const FILTER: Reach = Reach { filter: true, ..NOTHING };
    const ROUTES: Reach = Reach { routes: true, ..NOTHING };
    const NAMES: Reach = Reach { names: true, ..NOTHING };
    const ANYTHING: Reach = Reach { routes: true, filter: true, names: true };
    let words: &[&str] = if words.first() == Some(&"sudo") { &words[1..] } else { words };
    let Some((program, args)) = words.split_first() else { return NOTHING };
    let name = program.rsplit('/').next().unwrap_or(program);
    let inner = words.iter().any(|w| w.contains('`') || (w.contains("$(") && !w.contains("$(wg show ")));
    let plain = || args.iter().copied().filter(|a| !a.starts_with('-'));
    match name {
        _ if inner => ANYTHING,
        _ if family(program).is_some() => {
            // What is forwarded or translated is not what the device itself sends. Marks decide about routes.
            let output = args.contains(&"OUTPUT") || !["FORWARD", "INPUT", "PREROUTING", "POSTROUTING"].iter().any(|c| args.contains(c));
            match (output, args.contains(&"mangle")) {
                (false, _) => NOTHING,
                (true, true) => Reach { routes: true, ..FILTER },
                (true, false) => FILTER,
            }
        }
        "nft" | "ufw" | "firewall-cmd" | "iptables-restore" | "ip6tables-restore" => FILTER,
        "ip" => match plain().next() {
            Some("link" | "l") => NOTHING,
            _ => ROUTES,
        },
        "resolvectl" | "resolvconf" | "systemd-resolve" => NAMES,
        "sysctl" if plain().all(|a| a.starts_with("net.ipv4.ip_forward") || (a.contains("forwarding") && !a.contains("disable"))) => {
            NOTHING
        }
        "wg" if args.contains(&"show") => NOTHING,
        "wg" if args.iter().any(|a| a.ends_with("-key")) && !args.iter().any(|a| matches!(*a, "allowed-ips" | "fwmark")) => NOTHING,
        "wg" => ROUTES,
        "logger" | "echo" | "printf" | "ping" | "ping6" | "sleep" | "true" | "notify-send" => NOTHING,
        _ => ANYTHING,
    }
}

/// Whether a command line may hold a secret: then its text is not kept.
pub(super) fn may_hold_secret(command: &str) -> bool {
    let lower = command.to_ascii_lowercase();
    let words =
        ["pass", "secret", "token", "private-key", "preshared-key", "apikey", "api-key", "api_key", "psk", "authorization", "bearer"];
    words.iter().any(|w| lower.contains(w))
        || (lower.contains("://") && lower.contains('@'))
        || lower.split_whitespace().any(|w| w == "-u" || w == "--user")
        || command.split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')).any(|w| super::keys::looks_like_key(w) || is_long(w))
}

/// Whether a word is as long as a key, and of the letters of base64: perhaps one that was cut.
fn is_long(word: &str) -> bool {
    word.len() >= 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}

/// The commands between `;` and `&&`, as words; `$(…)` is one word.
fn simple_commands(command: &str) -> impl Iterator<Item = Vec<&str>> {
    command.split(';').flat_map(|c| c.split("&&")).map(words).filter(|w| !w.is_empty())
}

fn words(command: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = None;
    let mut depth = 0u32;
    for (at, c) in command.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            if let Some(from) = start.take() {
                out.extend(command.get(from..at));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    out.extend(start.and_then(|from| command.get(from..)));
    out
}

fn family(program: &str) -> Option<Family> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let name = name.strip_suffix("-nft").or(name.strip_suffix("-legacy")).unwrap_or(name);
    match name {
        "iptables" => Some(Family::V4),
        "ip6tables" => Some(Family::V6),
        _ => None,
    }
}

fn blocks_output(words: &[&str], interface: &str, mark: Option<&str>) -> Option<Family> {
    let (program, rest) = words.split_first()?;
    let family = family(program)?;
    let is_interface = |word: &str| word == "%i" || word == interface;
    let is_mark = |word: &str| {
        let word = word.trim_matches('"');
        let asked = word.strip_prefix("$(wg show ").and_then(|w| w.strip_suffix(" fwmark)"));
        asked.is_some_and(is_interface) || mark.is_some_and(|m| number(m).is_some() && number(m) == number(word))
    };
    let mut rest = rest.iter().copied().peekable();
    let (mut inserted, mut other_interface, mut not_marked, mut blocked) = (false, false, false, false);
    while let Some(word) = rest.next() {
        match word {
            "-w" | "--wait" => {}
            "-t" | "--table" if rest.next() == Some("filter") => {}
            "-I" | "--insert" if rest.next() == Some("OUTPUT") => {
                inserted = true;
                rest.next_if_eq(&"1");
            }
            "-m" | "--match" if rest.next().is_some_and(|m| matches!(m, "mark" | "addrtype")) => {}
            // What goes to the host itself never leaves it.
            "!" => match (rest.next()?, rest.next()?) {
                ("-o" | "--out-interface", name) if is_interface(name) => other_interface = true,
                ("--mark", value) if is_mark(value) => not_marked = true,
                ("--dst-type", "LOCAL") => {}
                _ => return None,
            },
            "-j" | "--jump" => match rest.next()? {
                "REJECT" => {
                    blocked = true;
                    if rest.next_if_eq(&"--reject-with").is_some() {
                        rest.next();
                    }
                }
                "DROP" => blocked = true,
                _ => return None,
            },
            _ => return None,
        }
    }
    // Without the mark's exception the rule would block the tunnel's own packets: stricter, still a kill switch, but one that never works.
    (inserted && other_interface && not_marked && blocked).then_some(family)
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
