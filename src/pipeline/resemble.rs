//! What a file that no reader claims looks most like: for hints, never for reading.

use crate::source::SourceFile;

/// How much of a file is looked at, in bytes.
const LOOK: usize = 64 << 10;

/// A guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    /// Name for people.
    pub name: &'static str,
    /// Id of the format, if fwproof reads it.
    pub id: Option<&'static str>,
    /// Number of lines that look so.
    pub lines: usize,
}

/// Beginnings of lines that tell.
struct Look {
    name: &'static str,
    id: Option<&'static str>,
    starts: &'static [&'static str],
}

static LOOKS: &[Look] = &[
    Look {
        name: "iptables-save",
        id: Some("iptables"),
        starts: &["-A ", "-I ", "-P ", ":INPUT ", ":FORWARD ", "*filter", "*nat", "COMMIT"],
    },
    Look {
        name: "an nftables ruleset",
        id: Some("nftables"),
        starts: &["table inet", "table ip", "chain ", "type filter hook", "type nat hook", "ct state", "iifname ", "oifname ", "tcp dport"],
    },
    Look {
        name: "WireGuard",
        id: Some("wireguard"),
        starts: &["[Interface]", "[Peer]", "PrivateKey", "PublicKey", "AllowedIPs", "Endpoint", "ListenPort"],
    },
    Look {
        name: "OpenVPN",
        id: Some("openvpn"),
        starts: &[
            "remote ",
            "dev tun",
            "dev tap",
            "proto udp",
            "proto tcp",
            "persist-key",
            "persist-tun",
            "tls-auth ",
            "tls-crypt ",
            "<ca>",
            "push \"",
        ],
    },
    Look {
        name: "a shell script that calls ufw (export what `ufw status verbose` prints, or /etc/ufw and /etc/default/ufw)",
        id: None,
        starts: &["ufw allow ", "ufw deny ", "ufw reject ", "ufw limit ", "ufw route ", "ufw default ", "sudo ufw "],
    },
    Look {
        name: "what `ufw status` prints",
        id: Some("ufw-status"),
        starts: &[
            "Status: active",
            "Logging: o",
            "Default: deny (",
            "Default: allow (",
            "Default: reject (",
            "New profiles: ",
            "To                         Action",
            "--                         ------",
        ],
    },
    Look { name: "ipset save", id: Some("ipset"), starts: &["create ", "add "] },
    Look {
        name: "a shell script that calls iptables",
        id: None,
        starts: &["iptables ", "ip6tables ", "$IPT", "${IPT", "/sbin/iptables ", "/usr/sbin/iptables "],
    },
    Look { name: "the listing of iptables -L (export it with iptables-save instead)", id: None, starts: &["Chain ", "target     prot"] },
    Look {
        name: "Cisco IOS or ASA",
        id: None,
        starts: &[
            "access-list ",
            "ip access-list ",
            "object network ",
            "object-group ",
            "interface GigabitEthernet",
            "access-group ",
            "ASA Version",
        ],
    },
    Look {
        name: "FortiOS",
        id: Some("fortios"),
        starts: &["config firewall ", "config system ", "config vpn ", "set srcintf", "set dstintf", "#config-version="],
    },
    Look { name: "Junos", id: None, starts: &["set security ", "set firewall ", "set interfaces ", "security {", "firewall {"] },
    Look { name: "RouterOS", id: None, starts: &["/ip firewall", "/ipv6 firewall", "/interface ", "add action="] },
    Look {
        name: "pf",
        id: Some("pf"),
        starts: &["pass in", "pass out", "block in", "block drop", "block return", "set skip on", "scrub in"],
    },
    Look { name: "OPNsense or pfSense", id: None, starts: &["<opnsense>", "<pfsense>"] },
    Look {
        name: "OpenWrt UCI",
        id: None,
        starts: &["config zone", "config rule", "config forwarding", "config redirect", "config defaults"],
    },
    Look {
        name: "Windows Defender Firewall",
        id: Some("windows-firewall"),
        starts: &["Rule Name:", "Domain Profile Settings", "Firewall Policy", "RemoteIP:", "LocalIP:", "Edge traversal:"],
    },
    Look { name: "ufw", id: None, starts: &["### tuple ###", "Status: active", "*ufw"] },
];

/// What `file` looks most like; among equals the first of the list.
pub(super) fn guess(file: &SourceFile) -> Option<Guess> {
    let text = file.head(LOOK);
    let mut counts = vec![0usize; LOOKS.len()];
    for line in text.lines().map(str::trim_start) {
        for (look, count) in LOOKS.iter().zip(&mut counts) {
            *count += usize::from(look.starts.iter().any(|s| line.starts_with(s)));
        }
    }
    let mut best: Option<Guess> = None;
    for (look, lines) in LOOKS.iter().zip(counts) {
        if lines > best.map_or(0, |b| b.lines) {
            best = Some(Guess { name: look.name, id: look.id, lines });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    #[test]
    fn a_foreign_configuration_is_named() {
        let text = "ASA Version 9.1\nobject network a\n host 10.0.0.1\naccess-list x permit ip any any\n";
        let guess = guess(&SourceFile::from_text(FileId(0), "a.txt", text)).unwrap();
        assert_eq!((guess.name, guess.id, guess.lines), ("Cisco IOS or ASA", None, 3));
    }

    #[test]
    fn prose_looks_like_nothing() {
        assert_eq!(guess(&SourceFile::from_text(FileId(0), "a.txt", "Dear all,\nplease read this.\n")), None);
    }

    #[test]
    fn every_hinted_format_exists() {
        for look in LOOKS {
            assert!(look.id.is_none_or(|id| crate::vendors::format(id).is_some()), "{}", look.name);
        }
    }
}
