//! The scripts of `fwproof collect`: readable by the shell, run for real where they can be, and read by fwproof to the last line.
#![allow(missing_docs, clippy::print_stderr, reason = "a test that is skipped must say so")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fwproof::diag::LineState;
use fwproof::pipeline::{self, Inventory, Options};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/collect").join(name)
}

fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
    found.is_ok_and(|o| o.status.success())
}

#[test]
fn the_command_prints_the_scripts() {
    let fwproof = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_fwproof")).args(args).output().unwrap();
    for (system, name) in [("linux", "linux.sh"), ("macos", "macos.sh"), ("windows", "windows.ps1")] {
        let run = fwproof(&["collect", "--print", system]);
        assert_eq!((run.status.code(), run.stdout), (Some(0), fs::read(script(name)).unwrap()));
    }
    assert_eq!(fwproof(&["collect"]).status.code(), Some(2));
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts_for_sh() {
    if !has("shellcheck") {
        return eprintln!("skipped: shellcheck is not installed");
    }
    let found = Command::new("shellcheck").args(["-s", "sh"]).args([script("linux.sh"), script("macos.sh")]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn powershell_can_parse_the_script_for_windows() {
    if !has("pwsh") {
        return eprintln!("skipped: pwsh is not installed");
    }
    let code = format!(
        "$e = $null; [void][Management.Automation.Language.Parser]::ParseFile('{}', [ref]$null, [ref]$e); $e | Out-String; exit $e.Count",
        script("windows.ps1").display()
    );
    let found = Command::new("pwsh").args(["-NoProfile", "-Command", &code]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
}

/// The words of the Windows script that look like commands of PowerShell (verb, hyphen, noun).
fn cmdlets(text: &str) -> BTreeSet<&str> {
    let code = text.lines().filter(|l| !l.trim_start().starts_with('#'));
    let words = code.flat_map(|l| l.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    words
        .filter(|w| {
            w.split_once('-').is_some_and(|(v, n)| v.len() > 1 && v.starts_with(char::is_uppercase) && n.starts_with(char::is_uppercase))
        })
        .collect()
}

#[test]
fn the_script_for_windows_asks_nothing_that_is_not_read() {
    let text = fs::read_to_string(script("windows.ps1")).unwrap();
    // Each with the property by which a reader knows what it returns, or as a tool of the language.
    let read = [
        "Get-NetFirewallRule",
        "Get-NetFirewallProfile",
        "Get-NetFirewallPortFilter",
        "Get-NetFirewallAddressFilter",
        "Get-NetFirewallApplicationFilter",
        "Get-NetFirewallServiceFilter",
        "Get-NetFirewallInterfaceFilter",
        "Get-NetFirewallInterfaceTypeFilter",
        "Get-NetFirewallSecurityFilter",
        "Get-NetConnectionProfile",
        "Get-VpnConnection",
        "Get-DnsClientNrptRule",
        "Get-NetIPAddress",
        "Get-NetRoute",
        "Get-NetTCPConnection",
        "Get-NetUDPEndpoint",
    ];
    let tools = [
        "New-Object",
        "Get-ItemProperty",
        "New-Item",
        "Write-Host",
        "Join-Path",
        "Split-Path",
        "Get-FileHash",
        "ConvertTo-Json",
        "Select-Object",
        "Where-Object",
        "ForEach-Object",
        "Test-Path",
        "Get-ChildItem",
        "Get-Content",
        "Remove-Item",
        "Out-Null",
        "Get-Process",
    ];
    let known: BTreeSet<&str> = read.into_iter().chain(tools).collect();
    let used = cmdlets(&text);
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(read.iter().all(|r| used.contains(r)));
    // In force, not as the device itself has it.
    assert!(text.contains("PolicyStore = 'ActiveStore'") && text.contains("-AllUserConnection"));
    // Windows PowerShell 5.1 knows none of these.
    for newer in ["??", "?.", " ? ", "&& ", "|| ", "-AsHashtable", "-Parallel", "-EnumsAsStrings", "-AsArray"] {
        assert!(!text.lines().any(|l| !l.trim_start().starts_with('#') && l.contains(newer)), "{newer}");
    }
    let pairs = [('{', '}'), ('(', ')'), ('[', ']')];
    for (open, close) in pairs {
        let code: String = text.lines().filter(|l| !l.trim_start().starts_with('#') && !l.contains("-replace")).collect();
        assert_eq!(code.matches(open).count(), code.matches(close).count(), "{open}");
    }
}

const KEYS: [&str; 6] = [
    "QFdGWkFOQVJZLW9uZS1vZi10aGUtcHJpdmF0ZS1rZXk=",
    "QFdGWkFOQVJZLXR3by1vZi10aGUtcHJlc2hhcmVkLWs=",
    "Q0FOQVJZdGhyZWVPcGVuVlBOUHJpdmF0ZUtleQ",
    "43414e41525966f75724f70656e56504e",
    "CANARY-five-of-networkmanager",
    "CANARY-six-of-swanctl",
];

/// A system's configuration folder with secrets in it.
fn planted(root: &Path) {
    let write = |path: &str, text: String| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "etc/wireguard/wg0.conf",
        format!(
            "[Interface]\n# PrivateKey = {0}\nPrivateKey = {0}\nAddress = 10.99.0.16/32\n\n[Peer]\nPublicKey = RzrH859L1eJ0r8AcQsh8djuRemq5td9lOuziDhM50XA=\n\
             presharedkey={1}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 203.0.113.3:51820\n",
            KEYS[0], KEYS[1]
        ),
    );
    write(
        "etc/openvpn/client/acme.conf",
        format!(
            "client\ndev tun\nremote vpn.acme.example 1194 udp\nremote-cert-tls server\ncipher AES-256-GCM\n<ca>\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n</ca>\n\
             <key>\n-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n</key>\n<tls-crypt>\n-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----\n</tls-crypt>\n",
            KEYS[2], KEYS[3]
        ),
    );
    let nm = "etc/NetworkManager/system-connections";
    let vpn = "[connection]\nid=Office\nuuid=4c9e0a52-0000-4000-8000-0a1b2c3d4e5f\ntype=vpn\n\n[vpn]\nservice-type=org.freedesktop.NetworkManager.openvpn\n\
               remote=vpn.acme.example\nconnection-type=password\nusername=anna\npassword-flags=0\n\n[vpn-secrets]\n";
    write(&format!("{nm}/Office VPN.nmconnection"), format!("{vpn}password={}\n\n[ipv4]\nmethod=auto\n", KEYS[4]));
    write(&format!("{nm}/Home.nmconnection"), format!("[connection]\nid=Home\ntype=wifi\n\n[wifi-security]\npsk={}\n", KEYS[4]));
    write(
        "etc/swanctl/swanctl.conf",
        format!(
            "connections {{\n  office {{\n    remote_addrs = vpn.acme.example\n    local {{\n      auth = psk\n    }}\n    remote {{\n      auth = psk\n    }}\n    \
             children {{\n      all {{\n        remote_ts = 0.0.0.0/0\n      }}\n    }}\n  }}\n}}\nsecrets {{\n  ike-office {{\n    secret = {}\n  }}\n}}\n",
            KEYS[5]
        ),
    );
    write("etc/ipsec.secrets", format!(": PSK \"{}\"\n", KEYS[5]));
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn read(folder: &Path) -> Inventory {
    pipeline::read(&[folder.to_path_buf()], &Options::default())
}

/// Every file is of a format, and no line of any is a riddle.
fn assert_all_is_read(folder: &Path) -> Inventory {
    let inventory = read(folder);
    assert!(inventory.incomplete.is_empty() && inventory.remarks.is_empty(), "{:?} {:?}", inventory.incomplete, inventory.remarks);
    for file in &inventory.files {
        let path = &inventory.sources.get(file.file).path;
        assert!(file.format.is_some(), "{path} is of no format");
        assert!(file.lines.iter().all(|s| *s != LineState::Unrecognised), "{path}: {:?}", file.notes);
    }
    assert_eq!(inventory.devices.len(), 1);
    inventory
}

#[test]
fn the_script_for_linux_takes_what_is_there_and_no_secret() {
    let place = tempfile::tempdir().unwrap();
    planted(&place.path().join("root"));
    let run = Command::new("sh")
        .arg(script("linux.sh"))
        .arg("out")
        .current_dir(place.path())
        .env("FWPROOF_ROOT", place.path().join("root"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(told.starts_with("Collecting packet filter, VPN configurations (without keys)"), "{told}");
    let mut found = Vec::new();
    files(&place.path().join("out"), &mut found);
    for path in &found {
        let text = fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&text);
        for key in KEYS {
            assert!(!text.contains(key) && !text.contains(&key[8..20]), "{} holds {key}", path.display());
        }
    }
    let names: BTreeSet<String> = found.iter().map(|p| p.strip_prefix(place.path().join("out")).unwrap().display().to_string()).collect();
    for name in ["manifest.txt", "wireguard/wg0.conf", "openvpn/acme.conf", "Office_VPN.nmconnection", "swanctl.conf"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|n| n.contains("Home") || n.contains("secrets") || n.starts_with('.')), "{names:?}");
    let inventory = assert_all_is_read(&place.path().join("out"));
    assert_eq!(inventory.devices[0].tunnels.len(), 4);
    let changed = inventory.devices[0].settings.iter().filter(|s| s.name.starts_with("collected.") && s.name.ends_with(".unchanged"));
    let (same, other): (Vec<_>, Vec<_>) = changed.partition(|s| s.value == "true");
    assert!(same.len() >= 4 && other.is_empty(), "{other:?}");
}

#[test]
fn a_file_that_was_changed_or_taken_away_afterwards_is_said() {
    let place = tempfile::tempdir().unwrap();
    planted(&place.path().join("root"));
    let run = Command::new("sh")
        .arg(script("linux.sh"))
        .arg("out")
        .current_dir(place.path())
        .env("FWPROOF_ROOT", place.path().join("root"))
        .output()
        .unwrap();
    assert!(run.status.success());
    let out = place.path().join("out");
    let wireguard = out.join("wireguard/wg0.conf");
    fs::write(&wireguard, fs::read_to_string(&wireguard).unwrap().replace("0.0.0.0/0, ::/0", "10.0.0.0/8")).unwrap();
    fs::remove_file(out.join("swanctl.conf")).unwrap();
    let inventory = read(&out);
    let device = &inventory.devices[0];
    assert_eq!(device.setting("collected.wireguard/wg0.conf.unchanged"), Some("false"));
    assert_eq!(device.setting("collected.swanctl.conf.unchanged"), Some("missing"));
    assert_eq!(device.setting("collected.openvpn/acme.conf.unchanged"), Some("true"));
    let notes: Vec<&str> = inventory.files.iter().flat_map(|f| &f.notes).map(|n| n.text.as_str()).collect();
    assert!(notes.iter().any(|n| n.contains("changed afterwards")) && notes.iter().any(|n| n.contains("is not there")), "{notes:?}");
}

#[test]
fn a_filter_that_was_taken_away_is_not_an_open_host() {
    let place = tempfile::tempdir().unwrap();
    let (none, hash) = ("nothing filter 0 - -", "0".repeat(64));
    let manifest = |nft: &str| {
        format!("fwproof-collected: 1\nhost: anna\nsystem: Linux 6\nelevated: yes\n{none} iptables-save\n{none} ip6tables-save\n{nft}\n")
    };
    fs::write(place.path().join("manifest.txt"), manifest(&format!("{none} nft list ruleset"))).unwrap();
    assert!(read(place.path()).devices[0].exhaustive);
    fs::write(place.path().join("manifest.txt"), manifest(&format!("got filter 0 {hash} nftables.txt nft list ruleset"))).unwrap();
    let inventory = read(place.path());
    assert!(!inventory.devices[0].exhaustive && inventory.devices[0].fragment.is_some());
}

#[test]
fn without_root_the_manifest_says_what_was_not_seen() {
    let me = Command::new("id").arg("-u").output().unwrap();
    if me.stdout.trim_ascii() != b"0" || !has("setpriv") || !has("nft") {
        return eprintln!("skipped: needs root to become another user, setpriv and nft");
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let text = fs::read(script("linux.sh")).unwrap();
    let mut child = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-s", "out"])
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &text).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let inventory = assert_all_is_read(&place.path().join("out"));
    let device = &inventory.devices[0];
    assert_eq!(device.setting("collected.elevated"), Some("no"));
    assert!(device.lacking.iter().any(|l| l.text.starts_with("`nft list ruleset` failed")), "{:?}", device.lacking);
    assert!(device.filter_is_known() && !device.has_filter());
}
