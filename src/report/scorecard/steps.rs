//! What the shipped checks of workers' devices mean to whoever works on the device, and what to click or type there.
//!
//! Names of settings are those of Windows 11 and Windows 10, of macOS 13 and later, and of the programs' own manuals: `Set-NetFirewallProfile` and
//! `Set-VpnConnection` of Windows PowerShell, ufw(8), firewall-cmd(1), nft(8), iptables(8), wg-quick(8).

/// What a device is, as far as it matters for what to click or type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Platform {
    Windows,
    MacOs,
    /// Linux with this firewall.
    Linux(Firewall),
    Unknown,
}

/// What manages the firewall of a Linux device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Firewall {
    Ufw,
    Firewalld,
    Nftables,
    Iptables,
    /// None was read.
    Unknown,
}

/// A check in the words of a worker.
pub(super) struct Advice {
    /// Id of the check.
    pub check: &'static str,
    /// What is the matter, if it does not hold.
    pub says: &'static str,
    pub windows: &'static [&'static str],
    pub macos: &'static [&'static str],
    pub ufw: &'static [&'static str],
    pub firewalld: &'static [&'static str],
    pub nftables: &'static [&'static str],
    pub iptables: &'static [&'static str],
}

impl Advice {
    /// What to do, step by step. Empty: somebody else must do it.
    pub fn steps(&self, platform: Platform) -> &'static [&'static str] {
        match platform {
            Platform::Windows => self.windows,
            Platform::MacOs => self.macos,
            Platform::Linux(Firewall::Ufw) => self.ufw,
            Platform::Linux(Firewall::Firewalld) => self.firewalld,
            Platform::Linux(Firewall::Iptables) => self.iptables,
            // What to install where nothing is: the simplest one.
            Platform::Linux(Firewall::Unknown) => self.ufw,
            Platform::Linux(Firewall::Nftables) => self.nftables,
            Platform::Unknown => &[],
        }
    }
}

/// The advice about a check.
pub(super) fn advice(check: &str) -> Option<&'static Advice> {
    ADVICE.iter().find(|a| a.check == check)
}

const WINDOWS_FIREWALL: &[&str] = &[
    "Open Settings, Privacy & security, Windows Security, Firewall & network protection (Windows 10: Settings, Update & Security, Windows Security).",
    "Open the domain network, the private network and the public network one after the other, and switch the firewall on in each.",
    "Or, in PowerShell as administrator: `Set-NetFirewallProfile -All -Enabled True`",
];

const WINDOWS_BLOCK: &[&str] = &["In PowerShell as administrator: `Set-NetFirewallProfile -All -DefaultInboundAction Block`"];

const PUBLISH: &[&str] = &[
    "Publish the port for this device alone: `-p 127.0.0.1:8080:80` in place of `-p 8080:80` (in a compose file: `\"127.0.0.1:8080:80\"`).",
    "Start the container again.",
];

const NEW_EXPORT: &[&str] = &["Run the script that collects the settings of your device once more, and send the new folder."];

const LINUX_REMOTE: &[&str] = &[
    "See what listens: `sudo ss -lntup`",
    "Switch off what you do not need, for instance `sudo systemctl disable --now ssh` (Fedora: sshd), and screen sharing in the desktop's settings.",
];

const LINUX_VPN: &[&str] = &[
    "Ask IT for your VPN profile, unless you have it.",
    "WireGuard: put it into /etc/wireguard/wg0.conf, then `sudo systemctl enable --now wg-quick@wg0`",
    "Or in the desktop's network settings: VPN, import from file.",
];

const LINUX_TUNNEL: &[&str] = &[
    "WireGuard: write `AllowedIPs = 0.0.0.0/0, ::/0` in /etc/wireguard/wg0.conf (the name may differ), then `sudo systemctl restart wg-quick@wg0`",
    "Other VPNs: ask IT for a profile that takes all traffic, IPv6 too.",
];

const LINUX_NAMES: &[&str] = &[
    "WireGuard: write the company's name server as `DNS = …` below `[Interface]` (IT knows its address), then restart the tunnel.",
    "Other VPNs: ask IT.",
];

const LINUX_KEY: &[&str] = &[
    "Make a key of your own: `wg genkey | tee private.key | wg pubkey`",
    "Put the private one into your configuration, delete the file private.key, and send only what `wg pubkey` printed to IT.",
];

const KILL_SWITCH_LINUX: &[&str] =
    &["Ask IT for a VPN profile with a kill switch. For WireGuard, the manual wg-quick(8) shows it as `PostUp` and `PreDown`."];

static ADVICE: &[Advice] = &[
    Advice {
        check: "worker-has-host-firewall",
        says: "Nothing that you sent shows a firewall that is on. Outside the office it is the only one that you have.",
        windows: WINDOWS_FIREWALL,
        macos: &[
            "Open System Settings, Network, Firewall, and switch it on.",
            "Or, in the Terminal: `sudo /usr/libexec/ApplicationFirewall/socketfilterfw --setglobalstate on`",
        ],
        ufw: &[
            "In a terminal: `sudo ufw default deny incoming`, then `sudo ufw enable`",
            "Fedora and its relatives: `sudo systemctl enable --now firewalld`",
        ],
        firewalld: &["In a terminal: `sudo systemctl enable --now firewalld`"],
        nftables: &[
            "Give the file /etc/nftables.conf a chain with `hook input` and `policy drop` that accepts replies and the loopback interface.",
            "Load it now and at every start: `sudo systemctl enable --now nftables`",
        ],
        iptables: &["The simplest way: `sudo apt install ufw`, then `sudo ufw enable`"],
    },
    Advice {
        check: "worker-inbound-default-deny",
        says: "Whoever is on the same network can knock at your device, and no rule turns them away.",
        windows: WINDOWS_BLOCK,
        macos: &["Open System Settings, Network, Firewall, switch it on, and take out of Options what need not be reached from outside."],
        ufw: &[
            "In a terminal: `sudo ufw default deny incoming`",
            "Make sure that /etc/default/ufw says `IPV6=yes`, then `sudo ufw reload`",
        ],
        firewalld: &[
            "See which zone is in use: `sudo firewall-cmd --get-active-zones`",
            "For that zone: `sudo firewall-cmd --permanent --zone=ZONE --set-target=default`, then `sudo firewall-cmd --reload`",
        ],
        nftables: &[
            "See that the chain for input accepts replies and the loopback interface first: `sudo nft list ruleset`",
            "Then give it `policy drop` in /etc/nftables.conf, for IPv4 and IPv6 (a table of the family `inet` has both), and load that: `sudo nft -f /etc/nftables.conf`",
        ],
        iptables: &[
            "Allow replies and the loopback interface first, in both families: `-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT` and `-A INPUT -i lo -j ACCEPT`",
            "For IPv6 besides: `sudo ip6tables -A INPUT -p ipv6-icmp -j ACCEPT`",
            "Then `sudo iptables -P INPUT DROP` and `sudo ip6tables -P INPUT DROP`, and save them (Debian: `sudo netfilter-persistent save`).",
        ],
    },
    Advice {
        check: "worker-firewall-on-everywhere",
        says: "Your firewall is switched off on some kind of network.",
        windows: WINDOWS_FIREWALL,
        macos: &["Open System Settings, Network, Firewall, and switch it on."],
        ufw: &[],
        firewalld: &[],
        nftables: &[],
        iptables: &[],
    },
    Advice {
        check: "worker-inbound-blocked-in-every-profile",
        says: "On some kind of network your firewall lets in whatever no rule forbids.",
        windows: WINDOWS_BLOCK,
        macos: &["Open System Settings, Network, Firewall, Options, and let only what you need be reached."],
        ufw: &[],
        firewalld: &[],
        nftables: &[],
        iptables: &[],
    },
    Advice {
        check: "worker-firewall-no-local-override",
        says: "Programs on your device can open the firewall for themselves, on public networks too.",
        windows: &[
            "Only a policy of IT can change this for good.",
            "Until then, in places that you do not trust: Firewall & network protection, Public network, tick that all incoming connections are blocked.",
        ],
        macos: &[],
        ufw: &[],
        firewalld: &[],
        nftables: &[],
        iptables: &[],
    },
    Advice {
        check: "worker-firewall-logs-drops",
        says: "Your firewall keeps no record of what it turns away.",
        windows: &["In PowerShell as administrator: `Set-NetFirewallProfile -All -LogBlocked True -LogMaxSizeKilobytes 16384`"],
        macos: &[],
        ufw: &["In a terminal: `sudo ufw logging on`"],
        firewalld: &["In a terminal: `sudo firewall-cmd --set-log-denied=unicast`"],
        nftables: &["Let the last rule of the chain for input be `log prefix \"dropped: \"` with a limit such as `limit rate 5/minute`."],
        iptables: &["As the last rule: `sudo iptables -A INPUT -m limit --limit 5/min -j LOG --log-prefix \"dropped: \"`"],
    },
    Advice {
        check: "worker-not-administered-on-public-networks",
        says: "Whoever is on the same public network can try to control your device, or to read its files.",
        windows: &[
            "Open Settings, System, Remote Desktop, and switch it off unless you need it.",
            "Open Firewall & network protection, Allow an app through firewall, and take the tick under Public off Remote Desktop, File and Printer Sharing, Windows Remote Management and OpenSSH.",
            "See that networks outside are public ones: Settings, Network & internet, the network's properties.",
        ],
        macos: &[
            "Open System Settings, General, Sharing, and switch off Screen Sharing, File Sharing, Remote Login and Remote Management.",
        ],
        ufw: &[
            "List your rules: `sudo ufw status numbered`",
            "Delete those for SSH (22), file shares (445), remote desktop (3389, 5900) that are open to anywhere: `sudo ufw delete NUMBER`",
        ],
        firewalld: &[
            "See what is open: `sudo firewall-cmd --list-all`",
            "Take out what need not be: `sudo firewall-cmd --permanent --remove-service=ssh` (samba, rdp, vnc-server likewise), then `sudo firewall-cmd --reload`",
        ],
        nftables: &["Take the rule that is named above out of /etc/nftables.conf, then `sudo nft -f /etc/nftables.conf`"],
        iptables: &["Delete the rule that is named above (`sudo iptables -S` lists them, `-D` in place of `-A` deletes one), and save."],
    },
    Advice {
        check: "docker-bypasses-worker-firewall",
        says: "A container on your device can be reached by whoever is on the same network, whatever your firewall says.",
        windows: PUBLISH,
        macos: PUBLISH,
        ufw: PUBLISH,
        firewalld: PUBLISH,
        nftables: PUBLISH,
        iptables: PUBLISH,
    },
    Advice {
        check: "worker-has-vpn-client",
        says: "Nothing that you sent shows the company's VPN.",
        windows: &[
            "Ask IT for your VPN profile, unless you have it.",
            "Open Settings, Network & internet, VPN, and add it; or import it into the VPN's own program.",
        ],
        macos: &[
            "Ask IT for your VPN profile, unless you have it.",
            "Open it, then System Settings, General, Device Management, and install it; or import it into the VPN's own program.",
        ],
        ufw: LINUX_VPN,
        firewalld: LINUX_VPN,
        nftables: LINUX_VPN,
        iptables: LINUX_VPN,
    },
    Advice {
        check: "worker-exports-are-fresh",
        says: "What you sent of your device is too old to say how it is today.",
        windows: NEW_EXPORT,
        macos: NEW_EXPORT,
        ufw: NEW_EXPORT,
        firewalld: NEW_EXPORT,
        nftables: NEW_EXPORT,
        iptables: NEW_EXPORT,
    },
    Advice {
        check: "worker-offers-no-remote-control",
        says: "A service through which others can control your device waits for connections.",
        windows: &[
            "Open Settings, System, Remote Desktop, and switch it off unless you need it.",
            "OpenSSH and remote management, in PowerShell as administrator: `Stop-Service sshd, WinRM`, then `Set-Service sshd -StartupType Disabled` (WinRM likewise).",
        ],
        macos: &["Open System Settings, General, Sharing, and switch off Remote Login, Screen Sharing and Remote Management."],
        ufw: LINUX_REMOTE,
        firewalld: LINUX_REMOTE,
        nftables: LINUX_REMOTE,
        iptables: LINUX_REMOTE,
    },
    Advice {
        check: "worker-exports-are-unchanged",
        says: "A file that you sent is not as it was collected.",
        windows: NEW_EXPORT,
        macos: NEW_EXPORT,
        ufw: NEW_EXPORT,
        firewalld: NEW_EXPORT,
        nftables: NEW_EXPORT,
        iptables: NEW_EXPORT,
    },
    Advice {
        check: "worker-exports-are-of-their-host",
        says: "What you sent is of another device.",
        windows: NEW_EXPORT,
        macos: NEW_EXPORT,
        ufw: NEW_EXPORT,
        firewalld: NEW_EXPORT,
        nftables: NEW_EXPORT,
        iptables: NEW_EXPORT,
    },
    Advice {
        check: "worker-has-nothing-twice",
        says: "Something of your device is there twice.",
        windows: &[],
        macos: &[],
        ufw: &["If both ufw and firewalld are installed, keep one: `sudo systemctl disable --now firewalld`"],
        firewalld: &["If both ufw and firewalld are installed, keep one: `sudo ufw disable`"],
        nftables: &[],
        iptables: &[],
    },
    Advice {
        check: "leavers-have-no-device",
        says: "The person has left, and this device is still there.",
        windows: &[],
        macos: &[],
        ufw: &[],
        firewalld: &[],
        nftables: &[],
        iptables: &[],
    },
    Advice {
        check: "vpn-takes-what-it-must",
        says: "A part of what you send goes around the VPN. Most often that is IPv6.",
        windows: &[
            "WireGuard: open the tunnel for editing, and write `AllowedIPs = 0.0.0.0/0, ::/0`.",
            "A VPN of Windows itself, in PowerShell: `Set-VpnConnection -Name NAME -SplitTunneling $false`",
        ],
        macos: &[
            "WireGuard: edit the tunnel, and write `AllowedIPs = 0.0.0.0/0, ::/0`.",
            "A VPN that came with a profile: ask IT for one that takes all traffic.",
        ],
        ufw: LINUX_TUNNEL,
        firewalld: LINUX_TUNNEL,
        nftables: LINUX_TUNNEL,
        iptables: LINUX_TUNNEL,
    },
    Advice {
        check: "vpn-looks-names-up-inside",
        says: "While the VPN is up, somebody outside still sees which sites you look up.",
        windows: &[
            "WireGuard: write the company's name server as `DNS = …` below `[Interface]` (IT knows its address).",
            "Other VPNs: ask IT.",
        ],
        macos: &[
            "WireGuard: write the company's name server as `DNS = …` below `[Interface]` (IT knows its address).",
            "Other VPNs: ask IT.",
        ],
        ufw: LINUX_NAMES,
        firewalld: LINUX_NAMES,
        nftables: LINUX_NAMES,
        iptables: LINUX_NAMES,
    },
    Advice {
        check: "vpn-has-kill-switch",
        says: "When the VPN breaks down, your device goes on without it, and you do not notice.",
        windows: &[
            "WireGuard: edit the tunnel, and tick that untunneled traffic is blocked (kill-switch).",
            "Other VPNs: ask IT for a profile that is always on.",
        ],
        macos: &["Ask IT for a VPN profile that takes all networks and is always on."],
        ufw: KILL_SWITCH_LINUX,
        firewalld: KILL_SWITCH_LINUX,
        nftables: KILL_SWITCH_LINUX,
        iptables: KILL_SWITCH_LINUX,
    },
    Advice {
        check: "vpn-keys-are-unique",
        says: "The key of your VPN is on another device too, so that nobody can tell the two apart.",
        windows: &[
            "WireGuard: add an empty tunnel (this makes a new key), and copy the rest of the old one into it.",
            "Send the new public key, and nothing else, to IT.",
        ],
        macos: &[
            "WireGuard: add an empty tunnel (this makes a new key), and copy the rest of the old one into it.",
            "Send the new public key, and nothing else, to IT.",
        ],
        ufw: LINUX_KEY,
        firewalld: LINUX_KEY,
        nftables: LINUX_KEY,
        iptables: LINUX_KEY,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_advice_is_about_a_shipped_check_and_none_is_there_twice() {
        let shipped = include_str!("../../../rulesets/remote-worker.yaml");
        for (i, a) in ADVICE.iter().enumerate() {
            assert!(shipped.contains(&format!("- id: {}\n", a.check)), "{}", a.check);
            assert!(ADVICE[..i].iter().all(|b| b.check != a.check), "{}", a.check);
        }
    }

    #[test]
    fn every_check_of_a_workers_firewall_has_advice() {
        let shipped = include_str!("../../../rulesets/remote-worker.yaml");
        for id in shipped.lines().filter_map(|l| l.strip_prefix("  - id: ")).filter(|id| id.starts_with("worker-")) {
            assert!(advice(id).is_some(), "{id}");
        }
    }
}
