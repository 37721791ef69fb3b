//! The real firewalld as an oracle: for each intent, what we read from its files lets the same packets through as the ruleset that firewalld
//! itself makes of them. It runs with its nftables backend in network and mount namespaces of its own, without D-Bus, and never touches the
//! host. Skipped, visibly, where that is not possible.
#![allow(missing_docs, clippy::print_stderr)]

mod equal_sets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fwproof::model::Device;
use fwproof::pipeline::{Options, read};

/// An intent: files below `/etc/firewalld`.
struct Intent {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// Starts firewalld's own engine on what lies in `/etc/firewalld`.
const ENGINE: &str = "
import sys
from firewall.core.fw import Firewall
fw = Firewall(offline=False)
fw.start()
print(fw._state, file=sys.stderr)
";

const SCRIPT: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$1" /etc/firewalld
ip link set lo up
/usr/bin/python3 -c "$2" >&2 || true
nft list ruleset
printf '\001'
nft -j list ruleset
printf '\001'
exec 2>/dev/null
grep -oP '^DefaultZone=\K.*' /etc/firewalld/firewalld.conf
firewall-offline-cmd --list-all-zones
firewall-offline-cmd --list-all-policies
for f in /etc/firewalld/services/*.xml; do test -e "$f" && firewall-offline-cmd --info-service="$(basename "$f" .xml)"; done
for f in /etc/firewalld/ipsets/*.xml; do test -e "$f" && firewall-offline-cmd --info-ipset="$(basename "$f" .xml)"; done
true
"#;

fn available() -> bool {
    let script = "mount --make-rprivate / && mount --bind /etc/firewalld /etc/firewalld && nft list ruleset && /usr/bin/python3 -c 'import firewall.core.fw'";
    Command::new("unshare").args(["--net", "--mount", "sh", "-c", script]).output().is_ok_and(|o| o.status.success())
}

/// What firewalld makes of a configuration.
struct Compiled {
    nft: String,
    json: String,
    /// What `firewall-cmd` lists of it.
    listing: String,
    said: String,
}

fn compiled(folder: &Path) -> Compiled {
    let out = Command::new("timeout")
        .args(["60", "unshare", "--net", "--mount", "bash", "-c", SCRIPT, "sh"])
        .arg(folder)
        .arg(ENGINE)
        .output()
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    let text = String::from_utf8(out.stdout).expect("text");
    let [nft, json, listing] = text.split('\u{1}').map(str::to_owned).collect::<Vec<_>>().try_into().expect("three listings");
    Compiled { nft, json, listing, said }
}

fn device(paths: &[PathBuf]) -> (Device, Vec<String>) {
    let mut inventory = read(paths, &Options::default());
    assert_eq!(inventory.devices.len(), 1, "{:?}", inventory.devices.iter().map(|d| &d.name).collect::<Vec<_>>());
    let notes = inventory.files.iter().flat_map(|f| f.notes.iter().map(|n| n.text.clone())).collect();
    (inventory.devices.remove(0), notes)
}

const CONF: (&str, &str) = ("firewalld.conf", "DefaultZone=public\nIPv6_rpfilter=yes\nRFC3964_IPv4=yes\nFirewallBackend=nftables\n");

const INTENTS: &[Intent] = &[
    Intent { name: "nothing but defaults", files: &[CONF] },
    Intent {
        name: "no filter of 6to4 and of reverse paths, another default zone",
        files: &[("firewalld.conf", "DefaultZone=drop\nIPv6_rpfilter=no\nRFC3964_IPv4=no\nLogDenied=unicast\n")],
    },
    Intent {
        name: "interfaces and sources in several zones",
        files: &[
            CONF,
            ("zones/work.xml", "<zone><interface name='eth1'/><source address='10.2.0.0/16'/><service name='ssh'/><forward/></zone>"),
            ("zones/dmz.xml", "<zone><interface name='eth2'/><source address='10.2.3.0/24'/><port port='8443' protocol='tcp'/></zone>"),
            ("zones/trusted.xml", "<zone target='ACCEPT'><source address='2001:db8:7::/48'/><source mac='02:00:00:00:00:07' address='02:00:00:00:00:07'/><forward/></zone>"),
        ],
    },
    Intent {
        name: "targets",
        files: &[
            CONF,
            ("zones/a.xml", "<zone target='ACCEPT'><interface name='eth1'/></zone>"),
            ("zones/b.xml", "<zone target='DROP'><interface name='eth2'/><service name='https'/></zone>"),
            ("zones/c.xml", "<zone target='%%REJECT%%'><interface name='eth3'/><service name='https'/></zone>"),
            ("zones/d.xml", "<zone target='default'><interface name='eth4'/></zone>"),
        ],
    },
    Intent {
        name: "ICMP blocks",
        files: &[
            CONF,
            ("zones/public.xml", "<zone><icmp-block name='echo-request'/><icmp-block name='communication-prohibited'/><icmp-block name='router-solicitation'/></zone>"),
            ("zones/a.xml", "<zone><interface name='eth1'/><icmp-block-inversion/><icmp-block name='echo-request'/><icmp-block name='packet-too-big'/></zone>"),
            ("zones/b.xml", "<zone target='ACCEPT'><interface name='eth2'/><icmp-block-inversion/><icmp-block name='timestamp-request'/></zone>"),
            ("zones/c.xml", "<zone target='DROP'><interface name='eth3'/><icmp-block-inversion/><icmp-block name='echo-reply'/></zone>"),
        ],
    },
    Intent {
        name: "services: shipped, included, one's own, limited to destinations, protocols, source ports",
        files: &[
            CONF,
            ("zones/public.xml", "<zone><service name='samba'/><service name='mdns'/><service name='high-availability'/><service name='own'/><service name='ipsec'/><service name='llmnr-client'/><service name='ftp'/></zone>"),
            ("services/own.xml", "<service><port port='7000-7010' protocol='udp'/><port port='7000' protocol='sctp'/><protocol value='esp'/><source-port port='68' protocol='udp'/><destination ipv4='192.0.2.0/24'/><include service='second'/><helper name='ftp'/></service>"),
            ("services/second.xml", "<service><port port='9' protocol='tcp'/><port port='' protocol='gre'/><include service='own'/></service>"),
            ("services/ssh.xml", "<service><port port='2222' protocol='tcp'/></service>"),
            ("zones/work.xml", "<zone><interface name='eth1'/><service name='ssh'/></zone>"),
        ],
    },
    Intent {
        name: "ports, source ports, protocols",
        files: &[
            CONF,
            ("zones/public.xml", "<zone><port port='8000-8100' protocol='tcp'/><port port='8050-8200' protocol='tcp'/><port port='53' protocol='udp'/><source-port port='123' protocol='udp'/><protocol value='gre'/><protocol value='icmp'/><port port='5000' protocol='dccp'/></zone>"),
        ],
    },
    Intent {
        name: "masquerading and forward ports",
        files: &[
            CONF,
            ("zones/external.xml", "<zone><interface name='wan0'/><masquerade/><forward-port port='80' protocol='tcp' to-port='8080'/><forward-port port='443' protocol='tcp' to-addr='10.0.0.5'/><forward-port port='2000-2010' protocol='udp' to-port='3000-3010' to-addr='10.0.0.6'/><forward-port port='22' protocol='tcp' to-port='2222' to-addr='2001:db8::5'/></zone>"),
            ("zones/internal.xml", "<zone target='ACCEPT'><interface name='lan0'/><forward/></zone>"),
        ],
    },
    Intent {
        name: "rich rules",
        files: &[
            CONF,
            ("zones/public.xml", "<zone>
              <rule family='ipv4'><source address='192.0.2.0/24'/><service name='http'/><accept/></rule>
              <rule family='ipv4'><source address='192.0.2.9'/><drop/></rule>
              <rule family='ipv6'><source address='2001:db8::/32' invert='True'/><port port='8443' protocol='tcp'/><reject type='icmp6-adm-prohibited'/></rule>
              <rule family='ipv4'><destination address='198.51.100.7' invert='yes'/><protocol value='esp'/><accept/></rule>
              <rule><icmp-type name='echo-request'/><drop/></rule>
              <rule family='ipv4'><icmp-block name='timestamp-request'/></rule>
              <rule family='ipv4'><source-port port='67' protocol='udp'/><accept/></rule>
              <rule family='ipv4'><source mac='02:00:00:00:00:01'/><reject/></rule>
              <rule><service name='telnet'/><log prefix='t' level='info'><limit value='2/m'/></log><audit/><reject/></rule>
            </zone>"),
        ],
    },
    Intent {
        name: "priorities of rich rules",
        files: &[
            CONF,
            ("zones/public.xml", "<zone><service name='ssh'/>
              <rule priority='100' family='ipv4'><source address='0.0.0.0/0'/><drop/></rule>
              <rule priority='-10' family='ipv4'><source address='203.0.113.0/24'/><drop/></rule>
              <rule priority='-20' family='ipv4'><source address='203.0.113.7'/><accept/></rule>
              <rule priority='-20' family='ipv4'><source address='203.0.113.7'/><drop/></rule>
              <rule priority='50'><port port='99' protocol='tcp'/><accept/></rule>
              <rule priority='32767'><reject/></rule>
            </zone>"),
        ],
    },
    Intent {
        name: "rich rules that translate, mark and clamp",
        files: &[
            CONF,
            ("zones/public.xml", "<zone><interface name='eth0'/>
              <rule family='ipv4'><source address='10.0.0.0/8'/><masquerade/></rule>
              <rule family='ipv4'><source address='192.0.2.0/24'/><forward-port port='8080' protocol='tcp' to-port='80' to-addr='10.0.0.9'/></rule>
              <rule family='ipv6'><forward-port port='8080' protocol='tcp' to-port='80'/></rule>
              <rule family='ipv4'><source address='10.9.0.0/16'/><mark set='7'/></rule>
              <rule family='ipv4'><source address='10.9.1.0/24'/><mark set='0x10/0xff'/></rule>
              <rule priority='-1'><tcp-mss-clamp value='1400'/></rule>
            </zone>"),
        ],
    },
    Intent {
        name: "rich rules that firewalld passes over",
        files: &[
            CONF,
            ("zones/public.xml", "<zone>
              <rule><source address='192.0.2.1'/><accept/></rule>
              <rule><protocol value='gre'/><reject type='tcp-reset'/></rule>
              <rule><service name='http'/></rule>
              <rule><drop/></rule>
            </zone>"),
        ],
    },
    Intent {
        name: "a policy between two zones",
        files: &[
            CONF,
            ("zones/internal.xml", "<zone><interface name='lan0'/><source address='10.5.0.0/16'/></zone>"),
            ("zones/external.xml", "<zone><interface name='wan0'/></zone>"),
            ("policies/out.xml", "<policy target='ACCEPT'><ingress-zone name='internal'/><egress-zone name='external'/><masquerade/><rule family='ipv4'><destination address='192.0.2.66'/><drop/></rule></policy>"),
            ("policies/in.xml", "<policy target='REJECT' priority='10'><ingress-zone name='external'/><egress-zone name='internal'/><service name='https'/></policy>"),
        ],
    },
    Intent {
        name: "policies with ANY and HOST",
        files: &[
            CONF,
            ("zones/internal.xml", "<zone><interface name='lan0'/></zone>"),
            ("policies/host-out.xml", "<policy target='DROP' priority='-5'><ingress-zone name='HOST'/><egress-zone name='ANY'/><service name='dns'/><service name='https'/><icmp-block name='redirect'/></policy>"),
            ("policies/any-in.xml", "<policy target='CONTINUE' priority='-100'><ingress-zone name='ANY'/><egress-zone name='HOST'/><rule family='ipv4'><source address='203.0.113.0/24'/><drop/></rule><forward-port port='81' protocol='tcp' to-port='82'/></policy>"),
            ("policies/any-any.xml", "<policy target='CONTINUE' priority='5'><ingress-zone name='ANY'/><egress-zone name='ANY'/><port port='7' protocol='tcp'/></policy>"),
            ("policies/to-lan.xml", "<policy target='ACCEPT' priority='20'><ingress-zone name='ANY'/><egress-zone name='internal'/></policy>"),
            ("policies/lan-host.xml", "<policy target='ACCEPT' priority='20'><ingress-zone name='internal'/><egress-zone name='HOST'/></policy>"),
        ],
    },
    Intent {
        name: "policies that are not in use, or whose zones have sources only",
        files: &[
            CONF,
            ("zones/work.xml", "<zone><source address='10.8.0.0/16'/><source address='2001:db8:8::/48'/></zone>"),
            ("zones/home.xml", "<zone><source address='10.9.0.0/16'/></zone>"),
            ("policies/unused.xml", "<policy target='ACCEPT'><ingress-zone name='internal'/><egress-zone name='ANY'/></policy>"),
            ("policies/between.xml", "<policy target='ACCEPT'><ingress-zone name='work'/><egress-zone name='home'/><forward-port port='80' protocol='tcp' to-addr='10.9.0.4'/></policy>"),
        ],
    },
    Intent {
        name: "the shipped policy is replaced",
        files: &[CONF, ("policies/allow-host-ipv6.xml", "<policy target='CONTINUE'><ingress-zone name='ANY'/><egress-zone name='HOST'/><rule family='ipv6'><icmp-type name='redirect'/><drop/></rule></policy>")],
    },
    Intent {
        name: "a policy of the default zone",
        files: &[
            CONF,
            ("zones/public.xml", "<zone><interface name='eth0'/></zone>"),
            ("policies/guard.xml", "<policy target='DROP'><ingress-zone name='public'/><egress-zone name='HOST'/><service name='https'/></policy>"),
        ],
    },
    Intent {
        name: "ip sets",
        files: &[
            CONF,
            ("ipsets/bad.xml", "<ipset type='hash:net'><entry>203.0.113.0/24</entry><entry>198.51.100.7</entry></ipset>"),
            ("ipsets/bad6.xml", "<ipset type='hash:ip'><option name='family' value='inet6'/><entry>2001:db8::7</entry></ipset>"),
            ("ipsets/macs.xml", "<ipset type='hash:mac'><entry>02:00:00:00:00:05</entry></ipset>"),
            ("ipsets/pairs.xml", "<ipset type='hash:ip,port'><entry>192.0.2.5,tcp:443</entry><entry>192.0.2.6,80</entry><entry>192.0.2.7,udp:1000-1010</entry></ipset>"),
            ("zones/block.xml", "<zone target='%%REJECT%%'><source ipset='bad'/><service name='ssh'/></zone>"),
            ("zones/home.xml", "<zone><source ipset='macs'/><service name='http'/></zone>"),
            ("zones/public.xml", "<zone>
              <rule family='ipv6'><source ipset='bad6'/><drop/></rule>
              <rule family='ipv4'><source ipset='bad' invert='true'/><service name='https'/><accept/></rule>
              <rule family='ipv4'><destination ipset='pairs'/><accept/></rule>
            </zone>"),
        ],
    },
    Intent {
        name: "beginnings of interface names",
        files: &[CONF, ("zones/home.xml", "<zone><interface name='wlan+'/><service name='http'/><forward/></zone>"), ("zones/work.xml", "<zone target='ACCEPT'><interface name='eth0'/></zone>")],
    },
    Intent {
        name: "a zone in several files",
        files: &[
            CONF,
            ("zones/office/a.xml", "<zone><interface name='eth5'/><service name='http'/></zone>"),
            ("zones/office/b.xml", "<zone><source address='10.77.0.0/16'/><port port='99' protocol='tcp'/><forward/></zone>"),
        ],
    },
    Intent {
        name: "direct rules",
        files: &[
            CONF,
            ("direct.xml", "<direct>
              <chain ipv='ipv4' table='filter' chain='guard'/>
              <rule ipv='ipv4' table='filter' chain='INPUT' priority='1'>-p tcp --dport 22 -j guard</rule>
              <rule ipv='ipv4' table='filter' chain='guard' priority='1'>-j DROP</rule>
              <rule ipv='ipv4' table='filter' chain='guard' priority='0'>-s 192.0.2.0/24 -j ACCEPT</rule>
              <rule ipv='ipv6' table='filter' chain='FORWARD' priority='0'>-i eth7 -j DROP</rule>
            </direct>"),
        ],
    },
    Intent {
        name: "limits of rich rules",
        files: &[CONF, ("zones/public.xml", "<zone><rule><service name='https'/><accept><limit value='5/m'/></accept></rule><service name='ssh'/></zone>")],
    },
    Intent {
        name: "denied packets are logged",
        files: &[("firewalld.conf", "DefaultZone=public\nLogDenied=all\n"), ("zones/public.xml", "<zone><icmp-block name='echo-request'/><icmp-block-inversion/></zone>"), ("zones/drop.xml", "<zone target='DROP'><interface name='eth1'/></zone>")],
    },
];

#[test]
fn firewalld_makes_a_ruleset_of_the_same_packets() {
    if !available() {
        eprintln!("skipped: firewalld cannot be run in namespaces of its own here (needs root, firewalld, nft)");
        return;
    }
    let only = std::env::var("FWPROOF_INTENT").unwrap_or_default();
    let mut wrong = String::new();
    let (mut pairs, mut intents) = (0, 0);
    for intent in INTENTS.iter().filter(|i| i.name.contains(&only)) {
        let folder = tempfile::tempdir().expect("a folder");
        let host = folder.path().join("gate/etc/firewalld");
        for (name, text) in intent.files {
            let path = host.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        let Compiled { nft, json, listing, said } = compiled(&host);
        if !said.contains("RUNNING") {
            wrong += &format!("{}: firewalld did not take it: {said}\n", intent.name);
            continue;
        }
        let (ours, notes) = device(std::slice::from_ref(&host));
        let mut compare = |name: &str, ours: &Device, what: &str, theirs: &Device| {
            let (found, compared, left_out) = equal_sets::differences((name, ours), ("the ruleset", theirs));
            pairs += compared;
            eprintln!("{}: {name} against {what}: {compared} pairs of sets, {left_out} left out for conditions", intent.name);
            if !found.is_empty() {
                let found = found.join("\n  ");
                wrong += &format!("{}: {name} against {what}:\n  {found}\n  notes: {notes:?}\n  firewalld: {said}\n", intent.name);
            }
        };
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            device(&[path]).0
        };
        let theirs = at("list.nft", &nft);
        compare("the files", &ours, "nft", &theirs);
        compare("the files", &ours, "nft -j", &at("list.json", &json));
        // A listing shows neither firewalld.conf nor direct rules, and zones of several files one by one.
        let shown = |f: &(&str, &str)| (f.0 != CONF.0 || f.1 == CONF.1) && f.0 != "direct.xml" && f.0.matches('/').count() < 2;
        if intent.files.iter().all(shown) {
            compare("the listing", &at("list.txt", &listing), "nft", &theirs);
        }
        intents += 1;
    }
    eprintln!("firewalld: {intents} intents, {pairs} pairs of sets");
    assert!(wrong.is_empty(), "{wrong}");
}
