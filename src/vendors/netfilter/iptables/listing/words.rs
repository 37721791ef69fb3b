//! A row of a listing as the words of a command. What the text after the columns says is spelled by the `print` function of each
//! extension (libxt_*.c, libipt_*.c, libip6t_*.c of iptables); what is not known here becomes one opaque match with all that follows it, so that
//! nothing is taken for less than it may be.

use super::super::statements::Word;
use super::rows::Row;
use crate::net::Family;

/// Gathers words.
struct Words(Vec<Word>);

impl Words {
    fn option(&mut self, negated: bool, name: &str) {
        if negated {
            self.0.push(Word { text: "!".into(), value: false });
        }
        self.0.push(Word { text: name.into(), value: false });
    }

    fn value(&mut self, text: &str) {
        self.0.push(Word { text: text.into(), value: true });
    }

    fn with(&mut self, negated: bool, name: &str, value: &str) {
        self.option(negated, name);
        self.value(value);
    }

    fn module(&mut self, name: &str) {
        self.with(false, "-m", name);
    }
}

/// A rule of which nothing is known.
pub(super) fn unreadable(chain: &str, text: &str) -> Vec<Word> {
    let mut w = Words(Vec::new());
    w.with(false, "-A", chain);
    w.with(false, "-j", "of a line that is not understood");
    w.with(false, "--line", text.trim());
    w.0
}

/// A rule as `iptables -S` would print it.
pub(super) fn of(chain: &str, row: &Row<'_>, family: Family) -> Vec<Word> {
    let mut w = Words(Vec::new());
    w.with(false, "-A", chain);
    for (option, address) in [("-s", row.source), ("-d", row.destination)] {
        let (negated, address) = sign(address);
        if !matches!(address, "anywhere" | "0.0.0.0/0" | "::/0" | "default") || negated {
            w.with(negated, option, if address == "anywhere" { any(family) } else { address });
        }
    }
    if let Some((arrival, departure)) = row.interfaces {
        for (option, name) in [("-i", arrival), ("-o", departure)] {
            let (negated, name) = sign(name);
            if !matches!(name, "any" | "*" | "-") || negated {
                w.with(negated, option, name);
            }
        }
    }
    let (negated, protocol) = sign(row.protocol);
    if !matches!(protocol, "all" | "0") || negated {
        w.with(negated, "-p", protocol);
    }
    if let Some(option) = row.option {
        w.option(option == "!f", "-f");
    }
    let (goto, text) = match row.rest.strip_prefix("[goto]") {
        Some(after) => (true, after.trim_start()),
        None => (false, row.rest),
    };
    let (matches, said) = row.target.map_or((text, ""), |t| split_target(t, text));
    let mut at = Cursor { left: matches };
    while !at.left.is_empty() {
        let before = at.left;
        if one(&mut at, &mut w, family).is_none() {
            w.module(before.trim());
            break;
        }
    }
    if let Some(target) = row.target {
        w.with(false, if goto { "-g" } else { "-j" }, target);
        target_words(&mut w, target, said);
    }
    w.0
}

fn any(family: Family) -> &'static str {
    if family == Family::V4 { "0.0.0.0/0" } else { "::/0" }
}

fn sign(text: &str) -> (bool, &str) {
    text.strip_prefix('!').map_or((false, text), |t| (true, t))
}

/// Where the target's own words begin: they come last.
fn split_target<'t>(target: &str, text: &'t str) -> (&'t str, &'t str) {
    let begins: &[&str] = match target {
        "DNAT" | "SNAT" | "NETMAP" => &["to:"],
        "REDIRECT" => &["redir ports "],
        "MASQUERADE" => &["masq ports: ", "random"],
        "REJECT" => &["reject-with "],
        "LOG" => &["LOG flags ", "LOG level ", "LOG prefix "],
        "NFLOG" => &["nflog-prefix ", "nflog-group "],
        "MARK" => &["MARK "],
        "CONNMARK" => &["CONNMARK "],
        "CT" => &["CT ", "NOTRACK"],
        "NFQUEUE" => &["NFQUEUE "],
        "TCPMSS" => &["TCPMSS "],
        "TPROXY" => &["TPROXY "],
        "SET" => &["add-set ", "del-set ", "map-set "],
        "DSCP" => &["DSCP set "],
        "TOS" => &["TOS set "],
        "TTL" => &["TTL set to "],
        "HL" => &["HL set to "],
        _ => &[],
    };
    let starts = begins.iter().filter_map(|b| {
        // LOG and NFLOG end with what a person wrote: the first place is theirs.
        let found = if matches!(target, "LOG" | "NFLOG") { text.find(b) } else { text.rfind(b) };
        found.filter(|i| *i == 0 || text.as_bytes().get(i.wrapping_sub(1)).is_some_and(u8::is_ascii_whitespace))
    });
    match starts.min() {
        Some(i) => text.split_at(i),
        None => (text, ""),
    }
}

fn target_words(w: &mut Words, target: &str, said: &str) {
    let mut words = said.split_ascii_whitespace();
    let flags = |w: &mut Words, words: std::str::SplitAsciiWhitespace<'_>| {
        for flag in words {
            // How an address is picked of several says nothing of which there are.
            if matches!(flag, "random" | "persistent" | "random-fully") {
                w.option(false, &format!("--{flag}"));
            }
        }
    };
    match target {
        "DNAT" | "SNAT" => {
            let option = if target == "DNAT" { "--to-destination" } else { "--to-source" };
            if let Some(to) = words.next().and_then(|t| t.strip_prefix("to:")) {
                w.with(false, option, to);
            }
            flags(w, words);
        }
        "NETMAP" => {
            if let Some(to) = words.next() {
                w.with(false, "--to", to.strip_prefix("to:").unwrap_or(to));
            }
        }
        "REDIRECT" | "MASQUERADE" => {
            let ports = match target {
                "REDIRECT" => said.strip_prefix("redir ports "),
                _ => said.strip_prefix("masq ports: "),
            };
            match ports {
                Some(ports) => {
                    let mut words = ports.split_ascii_whitespace();
                    if let Some(p) = words.next() {
                        w.with(false, "--to-ports", p);
                    }
                    flags(w, words);
                }
                None => flags(w, words),
            }
        }
        "REJECT" => {
            if let Some(with) = words.nth(1) {
                w.with(false, "--reject-with", with);
            }
        }
        "MARK" => match (words.nth(1), words.next(), words.next()) {
            (Some("set"), Some(value), None) => w.with(false, "--set-xmark", &format!("{value}/0xffffffff")),
            (Some("xset"), Some(value), None) => w.with(false, "--set-xmark", value),
            (Some("or"), Some(value), None) => w.with(false, "--or-mark", value),
            (Some("and"), Some(value), None) => w.with(false, "--and-mark", value),
            (Some("xor"), Some(value), None) => w.with(false, "--xor-mark", value),
            // Without an option the mark that is set is not known.
            _ => {}
        },
        "CONNMARK" => {
            let (what, mut value) = (words.nth(1), words.next());
            match (what, value) {
                (Some("save"), _) => w.option(false, "--save-mark"),
                (Some("restore"), _) => w.option(false, "--restore-mark"),
                (Some("set"), Some(v)) => w.with(false, "--set-xmark", &format!("{v}/0xffffffff")),
                (Some("xset"), Some(v)) => w.with(false, "--set-xmark", v),
                (Some(bits @ ("and" | "or" | "xor")), Some(v)) => w.with(false, &format!("--{bits}-mark"), v),
                _ => {}
            }
            // Masks of save and restore: `mask 0xff`, `nfmask 0xff ctmask ~0x0`.
            while let (Some("save" | "restore"), Some(mask @ ("mask" | "nfmask" | "ctmask"))) = (what, value) {
                w.with(false, &format!("--{mask}"), words.next().unwrap_or(""));
                value = words.next();
            }
        }
        "CT" => {
            while let Some(word) = words.next() {
                match word {
                    "notrack" | "NOTRACK" => w.option(false, "--notrack"),
                    "helper" | "zone" | "zone-orig" | "zone-reply" => {
                        if let Some(value) = words.next() {
                            w.with(false, &format!("--{word}"), value);
                        }
                    }
                    _ => {}
                }
            }
        }
        "SET" => {
            if let (Some(option), Some(set), Some(flags)) = (words.next(), words.next(), words.next()) {
                w.with(false, &format!("--{option}"), set);
                w.value(flags);
            }
        }
        "DSCP" | "TOS" | "TTL" | "HL" => {
            let option = match target {
                "DSCP" => "--set-dscp",
                "TOS" => "--set-tos",
                "TTL" => "--ttl-set",
                _ => "--hl-set",
            };
            if let Some(value) = words.next_back() {
                w.with(false, option, value);
            }
        }
        _ => {}
    }
}

/// What is left of the text of the matches.
struct Cursor<'t> {
    left: &'t str,
}

impl<'t> Cursor<'t> {
    fn peek(&self) -> &'t str {
        self.left.split_ascii_whitespace().next().unwrap_or("")
    }

    /// The next word.
    fn take(&mut self) -> Option<&'t str> {
        let text = self.left.trim_start();
        let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.left = rest.trim_start();
        (!word.is_empty()).then_some(word)
    }

    /// These words, or nothing.
    fn words(&mut self, words: &[&str]) -> Option<()> {
        words.iter().try_for_each(|w| (self.take()? == *w).then_some(()))
    }

    /// A value with its sign, which may stand apart: `!22`, `! 22`.
    fn signed(&mut self) -> Option<(bool, &'t str)> {
        match sign(self.take()?) {
            (true, "") => Some((true, self.take()?)),
            other => Some(other),
        }
    }
}

/// One match. `None`: it is not known; what was read of it is to be forgotten.
fn one(at: &mut Cursor<'_>, w: &mut Words, family: Family) -> Option<()> {
    let mark = w.0.len();
    let done = read_one(at, w, family);
    if done.is_none() {
        w.0.truncate(mark);
    }
    done
}

fn read_one(at: &mut Cursor<'_>, w: &mut Words, family: Family) -> Option<()> {
    let negated = at.peek() == "!";
    if negated {
        at.take();
    }
    let head = at.take()?;
    match head {
        "state" | "ctstate" => {
            w.module(if head == "state" { "state" } else { "conntrack" });
            w.with(negated, &format!("--{head}"), at.take()?);
        }
        "ctproto" | "ctorigsrc" | "ctorigdst" | "ctreplsrc" | "ctrepldst" | "ctorigsrcport" | "ctorigdstport" | "ctreplsrcport"
        | "ctrepldstport" | "ctstatus" | "ctexpire" | "ctdir" => {
            w.module("conntrack");
            w.with(negated, &format!("--{head}"), at.take()?);
        }
        "match-set" => {
            w.module("set");
            w.with(negated, "--match-set", at.take()?);
            w.value(at.take()?);
            // Further options of the set match say more than the model knows.
            let next = at.peek().trim_start_matches('!');
            (!["packets-", "bytes-", "return-", "update-"].iter().any(|p| next.starts_with(p))).then_some(())?;
        }
        "owner" => {
            let option = match at.take()? {
                "UID" => "--uid-owner",
                "GID" => "--gid-owner",
                _ => return None,
            };
            at.words(&["match"])?;
            w.module("owner");
            w.with(negated, option, at.take()?);
        }
        _ if negated => return None,
        "tcp" | "udp" | "udplite" | "sctp" | "dccp" => ports(at, w, head)?,
        "icmptype" | "ipv6-icmptype" | "icmp" | "ipv6-icmp" => icmp(at, w, head, family)?,
        "multiport" => {
            let which = at.take()?;
            matches!(which, "dports" | "sports" | "ports").then_some(())?;
            let (negated, list) = at.signed()?;
            w.module("multiport");
            w.with(negated, &format!("--{which}"), list);
        }
        "source" | "destination" => {
            at.words(&["IP", "range"])?;
            let (negated, range) = at.signed()?;
            w.module("iprange");
            w.with(negated, if head == "source" { "--src-range" } else { "--dst-range" }, range);
        }
        "ADDRTYPE" => {
            at.words(&["match"])?;
            w.module("addrtype");
            while matches!(at.peek(), "src-type" | "dst-type" | "limit-in" | "limit-out") {
                match at.take()? {
                    "limit-in" => w.option(false, "--limit-iface-in"),
                    "limit-out" => w.option(false, "--limit-iface-out"),
                    kind => {
                        let (negated, list) = at.signed()?;
                        w.with(negated, &format!("--{kind}"), list);
                    }
                }
            }
        }
        "MAC" => {
            let (negated, mac) = at.signed()?;
            w.module("mac");
            w.with(negated, "--mac-source", mac);
        }
        "mark" | "MARK" | "connmark" | "CONNMARK" => {
            at.words(&["match"])?;
            let (negated, value) = at.signed()?;
            w.module(&head.to_ascii_lowercase());
            w.with(negated, "--mark", value);
        }
        "length" => {
            let (negated, value) = at.signed()?;
            w.module("length");
            w.with(negated, "--length", value);
        }
        "TTL" | "HL" => {
            at.words(&["match", head])?;
            let name = head.to_ascii_lowercase();
            let (negated, suffix) = match at.take()? {
                "==" => (false, "eq"),
                "!=" => (true, "eq"),
                "<" => (false, "lt"),
                ">" => (false, "gt"),
                _ => return None,
            };
            w.module(&name);
            w.with(negated, &format!("--{name}-{suffix}"), at.take()?);
        }
        "DSCP" => {
            at.words(&["match"])?;
            let (negated, value) = at.signed()?;
            w.module("dscp");
            w.with(negated, "--dscp", value);
        }
        "tos" => {
            // The number follows without a space.
            let word = at.take()?.strip_prefix("match")?;
            let (negated, value) = if word.is_empty() { at.signed()? } else { sign(word) };
            w.module("tos");
            w.with(negated, "--tos", value);
        }
        "PKTTYPE" => {
            let negated = match at.take()? {
                "=" => false,
                "!=" => true,
                _ => return None,
            };
            w.module("pkttype");
            w.with(negated, "--pkt-type", at.take()?);
        }
        "limit:" => {
            at.words(&["avg"])?;
            w.module("limit");
            w.with(false, "--limit", at.take()?);
            at.words(&["burst"])?;
            w.with(false, "--limit-burst", at.take()?);
        }
        "recent:" => {
            let mut said = String::from("recent");
            loop {
                let word = at.take()?;
                said.push(' ');
                said.push_str(word);
                if word == "side:" {
                    said.push(' ');
                    said.push_str(at.take()?);
                    break;
                }
            }
            if at.peek() == "mask:" {
                at.take();
                at.take()?;
            }
            w.module(&said);
        }
        "#conn" => {
            let (by, than, count) = (at.take()?, at.take()?, at.take()?);
            w.module(&format!("connlimit {by} {than} {count}"));
        }
        "/*" => {
            // A comment may hold anything, its own end too: with two of them nobody can say where the first one ends.
            let (text, after) = at.left.split_once("*/")?;
            (!after.contains("*/") && !text.contains("/*")).then_some(())?;
            w.module("comment");
            w.with(false, "--comment", text.strip_suffix(' ').unwrap_or(text));
            at.left = after.trim_start();
        }
        _ => return None,
    }
    Some(())
}

/// `tcp spt:53 dpts:1024:65535 flags:0x17/0x02`.
fn ports(at: &mut Cursor<'_>, w: &mut Words, protocol: &str) -> Option<()> {
    w.module(protocol);
    while let Some((key, value)) = at.peek().split_once([':', '=']) {
        let (negated, value) = sign(value);
        match key {
            "spt" | "spts" => w.with(negated, "--sport", value),
            "dpt" | "dpts" => w.with(negated, "--dport", value),
            "flags" if protocol == "tcp" => {
                let (mask, wanted) = value.split_once('/')?;
                w.option(negated, "--tcp-flags");
                w.value(&flag_names(mask)?);
                w.value(&flag_names(wanted)?);
            }
            "option" if protocol == "tcp" => w.with(negated, "--tcp-option", value),
            _ => break,
        }
        at.take();
    }
    Some(())
}

/// `0x17` as `FIN,SYN,RST,ACK`; names stay.
fn flag_names(text: &str) -> Option<String> {
    let Some(hex) = text.strip_prefix("0x") else { return Some(text.to_owned()) };
    let n = u8::from_str_radix(hex, 16).ok().filter(|n| n & 0xc0 == 0)?;
    let names: Vec<&str> =
        ["FIN", "SYN", "RST", "PSH", "ACK", "URG"].into_iter().enumerate().filter(|(i, _)| n >> i & 1 == 1).map(|(_, s)| s).collect();
    Some(if names.is_empty() { "NONE".to_owned() } else { names.join(",") })
}

/// `icmptype 8`, `icmptype 3 code 4`, `icmp !type 3`, `icmp echo-request`, `ipv6-icmptype 128`.
fn icmp(at: &mut Cursor<'_>, w: &mut Words, head: &str, family: Family) -> Option<()> {
    let (module, option) = if family == Family::V4 { ("icmp", "--icmp-type") } else { ("icmp6", "--icmpv6-type") };
    let (negated, mut value) = if head.ends_with("type") {
        (false, at.take()?.to_owned())
    } else {
        match at.take()? {
            "!type" => (true, at.take()?.to_owned()),
            "type" => (false, at.take()?.to_owned()),
            name => (sign(name).0, sign(name).1.to_owned()),
        }
    };
    match at.peek() {
        "code" => {
            at.take();
            value = format!("{value}/{}", at.take()?);
        }
        "codes" => {
            at.take();
            value = format!("{value}/{}", at.take()?.replace('-', ":"));
        }
        _ => {}
    }
    w.module(module);
    w.with(negated, option, &value);
    Some(())
}
