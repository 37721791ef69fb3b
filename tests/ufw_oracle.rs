//! The real ufw as an oracle: what it loads into the kernel for an intent, read from `iptables-save` and `ip6tables-save`, and what we read from
//! its files must be the same chains, rule for rule, with the same policies. ufw runs in a network and mount namespace of its own, with an own
//! `/etc/ufw`. Skipped, visibly, where that cannot be done.

// What was skipped must be seen.
#![allow(clippy::print_stderr)]

mod equal_sets;
mod nftables_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fwproof::model::{Action, Device};
use fwproof::pipeline::{Options, read};
use nftables_support::text;

/// Runs ufw's commands (one a line of `intent`, without `ufw`; lines with `!` are run by the shell) and writes its files and the dumps.
const SCRIPT: &str = r#"
set -e
out=$1; intent=$2
ip link set lo up
# Else `ufw status` says of the policy for what is routed that it is disabled.
echo 1 > /proc/sys/net/ipv4/ip_forward
mkdir -p "$out/files/etc/default" "$out/dump" "$out/run"
mount -t tmpfs tmpfs /run
cp -r /usr/share/ufw/iptables "$out/ufw"
cp /usr/share/ufw/ufw.conf "$out/ufw/"
cp /etc/ufw/sysctl.conf "$out/ufw/" 2>/dev/null || true
cp -r /etc/ufw/applications.d "$out/ufw/" 2>/dev/null || mkdir "$out/ufw/applications.d"
printf '[Web]\ntitle=Web\ndescription=Web pages\nports=80,443/tcp|8443\n' > "$out/ufw/applications.d/web"
mkdir "$out/default"
cp "$FWPROOF_UFW_DEFAULTS" "$out/default/ufw"
mount --bind "$out/ufw" /etc/ufw
mount --bind "$out/default" /etc/default
sed -i 's/^IPT_SYSCTL=.*/IPT_SYSCTL=/' /etc/default/ufw
printf '%s\n' "$intent" | while IFS= read -r line; do
  case $line in
    '!'*) sh -c "${line#!}" ;;
    enable) ufw --force enable ;;
    *) eval "ufw $line" ;;
  esac
done
# What a command changes in the running ruleset may differ from its files until they are loaded anew (the first limit of IPv6 does).
ufw reload
cp -r "$out/ufw" "$out/files/etc/ufw"
cp "$out/default/ufw" "$out/files/etc/default/ufw"
for what in verbose numbered plain added; do
  mkdir -p "$out/text/$what"
  ufw app info all > "$out/text/$what/apps.txt"
done
ufw status verbose > "$out/text/verbose/status.txt"
ufw status numbered > "$out/text/numbered/status.txt"
ufw status > "$out/text/plain/status.txt"
ufw show added > "$out/text/added/status.txt"
iptables-save > "$out/dump/rules.v4"
ip6tables-save > "$out/dump/rules.v6"
"#;

/// Commands of ufw, one a line. `enable` comes where it is written.
const INTENTS: &[&str] = &[
    "enable",
    "allow 22/tcp\nenable",
    "enable\nallow 22/tcp\nallow 53\ndeny 25/tcp\nreject 113/tcp\nlimit 2222/tcp",
    "enable\nallow out 53/udp\ndeny out 25/tcp\nreject out to 203.0.113.0/24",
    "enable\nallow from 192.0.2.0/24 to any port 443 proto tcp\ndeny from 198.51.100.7",
    "enable\nallow proto tcp from 2001:db8::/32 to any port 22\ndeny from 2001:db8:bad::/48",
    "enable\nallow 6000:6007/tcp\nallow proto udp to any port 5000:5010,6001",
    "enable\nallow in on eth0 to any port 80 proto tcp\ndeny in on eth1\nallow out on eth1 to 192.0.2.9",
    "enable\nroute allow in on eth0 out on eth1 to 192.0.2.0/24 port 80 proto tcp\nroute deny from 198.51.100.0/24",
    "enable\nallow Web\ndeny from 192.0.2.5 to any app Web",
    "enable\nallow 80/tcp comment 'the web'\ninsert 1 deny from 192.0.2.66\nprepend deny from 192.0.2.67",
    "default allow incoming\nenable\ndeny 23/tcp",
    "default reject incoming\ndefault deny outgoing\nenable\nallow out 443/tcp",
    "default allow routed\nenable\nroute reject to 192.0.2.1",
    "default reject outgoing\ndefault reject routed\nenable",
    "logging off\nenable\nallow 22/tcp",
    "logging high\nenable\nallow log 22/tcp\ndeny log-all 23",
    "logging full\nenable\nlimit log ssh",
    "logging medium\nenable\nallow proto esp from 192.0.2.1\nallow proto ah from 192.0.2.1\nallow proto gre from 192.0.2.1",
    "!sed -i s/^IPV6=.*/IPV6=no/ /etc/default/ufw\nenable\nallow 22/tcp",
    "allow 22/tcp\nenable\ndisable",
    "!sed -i 's/^# End required lines/-A ufw-before-input -p tcp --dport 9 -j ACCEPT/' /etc/ufw/before.rules\nenable\nallow 10/tcp\ndelete allow 10/tcp",
    "enable\nlimit 22/tcp\nreload\nallow 80/tcp",
    "enable\nallow to 192.0.2.9 app Web\nallow from 192.0.2.0/24 app Web\ndeny out Web\nallow in on eth0 to any app Web comment 'the web'",
    "enable\nallow from 192.0.2.1 port 53 to any port 1024:65535 proto udp\nallow proto tcp from 2001:db8::5 port 22 to 2001:db8::/64 port 80,443",
    "enable\nallow out on eth1 log-all\nallow in on wg0\nreject out on eth2 to 198.51.100.0/24 port 25 proto tcp comment 'no mail'",
    "enable\nallow proto igmp from any to 224.0.0.0/4\nallow proto gre to any\nallow 'WWW Full'\nallow from any\ndeny to any",
    "enable\nroute allow log proto tcp from 192.0.2.0/24 to 198.51.100.9 port 443\nroute limit in on eth0 to any port 22 proto tcp\nroute allow out on eth1 to any app 'Mail submission'",
];

/// The chains by name: policy and rules as text. Without the chains that nothing calls.
fn chains(device: &Device) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::new();
    let mut todo: Vec<_> = device.base_chains.iter().map(|b| b.chain).collect();
    for base in &device.base_chains {
        let what = format!("{} {} {:?} {:?}", base.hook.name(), base.priority, base.families, base.policy.action);
        out.insert(format!("base {}", device.chain(base.chain).name), vec![what]);
    }
    while let Some(id) = todo.pop() {
        let chain = device.chain(id);
        if out.contains_key(&chain.name) {
            continue;
        }
        let mut rules = Vec::new();
        for rule in &chain.rules {
            let action = match &rule.action {
                Action::Jump(c) | Action::Goto(c) => {
                    todo.push(*c);
                    format!("to {}", device.chain(*c).name)
                }
                a => format!("{a:?}"),
            };
            let line = format!("{} => {:?} {action} log={}", text(device, &rule.matcher), rule.effects, rule.log);
            rules.push(without_defaults(&without_ordinals(&line)));
        }
        out.insert(chain.name.clone(), rules);
    }
    out
}

/// Without the numbers that tell conditions of equal words apart (each `limit` counts for itself): they go by the order of reading.
fn without_ordinals(line: &str) -> String {
    let mut parts = line.split(" [");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.split_once("]>") {
            Some((n, rest)) if n.bytes().all(|b| b.is_ascii_digit()) => out += &format!(">{rest}"),
            _ => out += &format!(" [{part}"),
        }
    }
    out
}

/// Without what the kernel prints of `recent` where nothing was said.
fn without_defaults(line: &str) -> String {
    let mut out = line.to_owned();
    for mask in ["255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
        out = out.replace(&format!(" --name DEFAULT --mask {mask} --rsource"), "");
    }
    out
}

/// A ufw that is disabled leaves its chains behind, empty, with the calls of them.
fn is_empty_skeleton(chains: &BTreeMap<String, Vec<String>>) -> bool {
    chains.iter().filter(|(name, _)| !name.starts_with("base ")).all(|(_, rules)| rules.iter().all(|r| r.starts_with("Any => [] to ")))
}

fn policies(mut chains: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    chains.retain(|name, _| name.starts_with("base "));
    chains
}

/// What a listing of the rules can show: the chains of before.rules and of the user, without what only logs.
fn listed(chains: &BTreeMap<String, Vec<String>>, policies: bool) -> BTreeMap<String, Vec<String>> {
    let mut out = chains.clone();
    out.retain(|name, _| {
        let of = ["-before-", "-user-", "ufw-not-local"].iter().any(|part| name.contains(part)) && !name.contains("logging");
        of || (policies && name.starts_with("base "))
    });
    for rules in out.values_mut() {
        rules.retain(|r| !r.contains("-logging-") && !r.ends_with("Continue log=true"));
    }
    out
}

/// Compares what the listings show with what was read of the files: the number of models compared.
fn compare_listings(folder: &Path, intent: &str, files: &BTreeMap<String, Vec<String>>, wrong: &mut String) -> usize {
    let mut compared = 0;
    for what in ["verbose", "numbered", "plain", "added"] {
        let shown = chains(&device(&folder.join("text").join(what)));
        let (mut shown, mut files) = (listed(&shown, what == "verbose"), listed(files, what == "verbose"));
        if !shown.keys().any(|k| k.contains("ufw6")) {
            shown.retain(|k, _| !k.contains("ip6 "));
            files.retain(|k, _| !k.contains("ip6 ") && !k.contains("ufw6"));
        }
        if what == "added" {
            // Whether ufw is active is not shown there.
            assert!(!intent.ends_with("disable"));
        }
        compared += 1;
        if intent.contains("before.rules") {
            // No listing shows what was changed there.
            shown.retain(|k, _| !k.contains("-before-"));
            files.retain(|k, _| !k.contains("-before-"));
        }
        for name in shown.keys().chain(files.keys().filter(|k| !shown.contains_key(*k))) {
            if shown.get(name) != files.get(name) {
                *wrong += &format!("{intent}\n  {name} of {what}\n  shown: {:#?}\n  files: {:#?}\n", shown.get(name), files.get(name));
            }
        }
    }
    compared
}

fn device(folder: &Path) -> Device {
    let mut inventory = read(&[folder.to_path_buf()], &Options::default());
    assert!(inventory.incomplete.is_empty(), "{:?}", inventory.incomplete);
    assert_eq!(inventory.devices.len(), 1, "{:?}", inventory.devices.iter().map(|d| &d.name).collect::<Vec<_>>());
    inventory.devices.remove(0)
}

/// The file with the default policies as the package has it.
fn package_defaults() -> PathBuf {
    PathBuf::from("/etc/default/ufw")
}

fn available() -> bool {
    let runs = |args: &[&str]| Command::new("unshare").args(args).output().is_ok_and(|o| o.status.success());
    package_defaults().is_file() && Path::new("/usr/share/ufw/iptables").is_dir() && runs(&["-n", "-m", "ufw", "version"])
}

#[test]
fn the_files_of_ufw_are_what_ufw_loads() {
    if !available() {
        eprintln!("skipped: ufw cannot be run in a namespace of its own here");
        return;
    }
    let mut wrong = String::new();
    let (mut rules, mut listings, mut sets, mut open) = (0, 0, 0, 0);
    for (i, intent) in INTENTS.iter().enumerate() {
        let folder = std::env::temp_dir().join(format!("fwproof-ufw-{}-{i}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the files of ufw");
        let run = Command::new("unshare")
            .args(["-n", "-m", "sh", "-c", SCRIPT, "sh"])
            .arg(&folder)
            .arg(intent)
            .env("FWPROOF_UFW_DEFAULTS", package_defaults())
            .output()
            .expect("unshare runs");
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && !said.contains("ERROR"), "{intent}\n{said}");
        let (files, dump) = (device(&folder.join("files")), device(&folder.join("dump")));
        let (source, kernel) = (chains(&files), chains(&dump));
        rules += kernel.values().map(Vec::len).sum::<usize>();
        let disabled = intent.ends_with("disable");
        match disabled {
            false => {
                listings += compare_listings(&folder, intent, &source, &mut wrong);
                if !intent.contains("before.rules") {
                    let shown = device(&folder.join("text/verbose"));
                    let (different, compared, left_out) = equal_sets::differences(("ufw status verbose", &shown), ("the files", &files));
                    wrong += &different.iter().map(|d| format!("{intent}\n  {d}\n")).collect::<String>();
                    (sets, open) = (sets + compared, open + left_out);
                }
            }
            true => {
                let shown = chains(&device(&folder.join("text/verbose")));
                assert!(is_empty_skeleton(&shown), "{intent}");
                assert_eq!(policies(shown), policies(source.clone()));
                listings += 1;
            }
        }
        assert!(!disabled || (is_empty_skeleton(&kernel) && is_empty_skeleton(&source)), "{intent}");
        let (source, kernel) = match disabled {
            true => (policies(source), policies(kernel)),
            false => (source, kernel),
        };
        for name in source.keys().chain(kernel.keys().filter(|k| !source.contains_key(*k))) {
            if source.get(name) != kernel.get(name) {
                wrong += &format!("{intent}\n  {name}\n  files:  {:#?}\n  kernel: {:#?}\n", source.get(name), kernel.get(name));
            }
        }
        let _ = std::fs::remove_dir_all(&folder);
    }
    let n = INTENTS.len();
    eprintln!(
        "compared with the real tool: {n} intents, {rules} rules, {listings} listings; of these {sets} pairs of sets, {open} left open"
    );
    assert!(wrong.is_empty(), "{wrong}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the folder of the fixture") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(std::fs::copy(&path, &target).expect("a copy")),
        }
    }
}

#[test]
fn a_dump_goes_before_the_files_of_ufw_and_these_before_its_listings() {
    let folder = tempfile::tempdir().expect("a folder");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let host = folder.path().join("host");
    copy(&fixtures.join("ufw"), &host);
    copy(&fixtures.join("ufw-status/mail"), &host);
    let places = |device: &Device| {
        let mut formats: Vec<&str> = Vec::new();
        for base in &device.base_chains {
            let file = device.chain(base.chain).span.file;
            let format = device.files.iter().find(|(id, _)| *id == file).map_or("?", |(_, format)| format);
            formats.push(format);
        }
        formats.sort_unstable();
        formats.dedup();
        formats.join(" ")
    };
    assert_eq!(places(&device(&host)), "ufw");
    std::fs::write(host.join("rules.v4"), "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")
        .expect("written");
    let with_dump = device(&host);
    assert_eq!(places(&with_dump), "iptables ufw");
    let v4: Vec<_> = with_dump.base_chains.iter().filter(|b| b.families.contains(&fwproof::net::Family::V4)).collect();
    assert_eq!(v4.len(), 3, "the chains of IPv4 are there once");
    assert!(v4.iter().all(|b| b.policy.action == fwproof::model::PolicyAction::Accept), "as the dump has them");
}
