//! The checks of how a firewall is administered, of its named objects, its port forwardings and the cryptography of its tunnels, on a FortiGate that
//! is right, and on one that is wrong in a single thing: the verdict, and the line that is named.
#![allow(missing_docs)]

mod judging;

use judging::judge_at;

const AS_OF: &str = "2026-10-01";

/// Nothing is to be said of this one.
const RIGHT: &str = r#"#config-version=FGT60F-7.4.4-FW-build2662-240514:opmode=0:vdom=0:user=admin
config system global
    set admintimeout 10
    set hostname "edge"
end
config system interface
    edit "port1"
        set vdom "root"
        set ip 203.0.113.2 255.255.255.0
        set allowaccess ping
    next
    edit "port2"
        set vdom "root"
        set ip 10.1.0.1 255.255.255.0
        set allowaccess ping https ssh snmp
    next
end
config system admin
    edit "admin"
        set trusthost1 10.1.0.0 255.255.255.0
        set accprofile "super_admin"
        set password ENC SH2abcdefghijklmnopqrstuvwxyz0123456789abcdefgh=
    next
    edit "ann"
        set two-factor fortitoken
        set accprofile "super_admin"
        set password ENC SH2zyxwvutsrqponmlkjihgfedcba9876543210zyxwvut=
    next
end
config system snmp sysinfo
    set status enable
end
config system snmp user
    edit "monitor"
        set security-level auth-priv
    next
end
config firewall address
    edit "web-server"
        set subnet 10.1.0.80 255.255.255.255
    next
end
config firewall service custom
    edit "app"
        set tcp-portrange 8080
    next
end
config firewall vip
    edit "shop"
        set comment "web shop"
        set extip 203.0.113.2
        set mappedip "10.1.0.80"
        set extintf "port1"
        set portforward enable
        set extport 443
        set mappedport 443
    next
end
config vpn ipsec phase1-interface
    edit "branch"
        set interface "port1"
        set ike-version 2
        set proposal aes256-sha256 aes256gcm-prfsha384
        set dhgrp 14 21
        set remote-gw 203.0.113.77
        set psksecret ENC YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=
    next
end
config vpn ipsec phase2-interface
    edit "branch"
        set phase1name "branch"
        set proposal aes256-sha256 aes256gcm
        set dhgrp 14
    next
end
config firewall policy
    edit 1
        set name "shop"
        set srcintf "port1"
        set dstintf "port2"
        set action accept
        set srcaddr "all"
        set dstaddr "shop"
        set schedule "always"
        set service "HTTPS"
        set comments "web shop"
    next
    edit 2
        set name "updates"
        set srcintf "port2"
        set dstintf "port1"
        set action accept
        set srcaddr "web-server"
        set dstaddr "all"
        set schedule "always"
        set service "app"
        set comments "updates of the shop"
    next
end
config log syslogd setting
    set status enable
    set server "10.1.0.9"
end
"#;

/// What a check says of a device: the verdict and the line of each finding.
fn said(text: &str, body: &str) -> Vec<(&'static str, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("edge")).expect("a folder");
    std::fs::write(folder.path().join("edge/fgt.conf"), text).expect("the device");
    let baseline = format!("fwproof: 1\ntitle: Management\nchecks:\n  - id: the-check\n    {body}\n");
    std::fs::write(folder.path().join("baseline.yaml"), baseline).expect("the baseline");
    let judged = judge_at(folder.path(), AS_OF);
    let found = judged.findings("the-check").into_iter().map(|f| {
        let file = judged.inventory.sources.get(f.primary.span.file);
        let line = file.line(file.line_index(f.primary.span.start));
        (f.verdict.name(), line.trim().to_owned())
    });
    found.collect()
}

/// The right device with one text in the place of another.
fn with(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    RIGHT.replacen(from, to, 1)
}

fn wrong(from: &str, to: &str, body: &str, line: &str) {
    assert_eq!(said(&with(from, to), body), [("violated", line.to_owned())], "{body}");
}

#[test]
fn nothing_is_found_where_all_is_right() {
    for aspect in ["encrypted", "idle-timeout", "lockout", "default-passwords", "bound-accounts", "no-port-mapping", "remote-log"] {
        assert_eq!(said(RIGHT, &format!("management: {aspect}")), [], "{aspect}");
    }
    for body in ["objects: unused", "objects: undefined", "rule-text: forwards", "vpn: crypto"] {
        assert_eq!(said(RIGHT, body), [], "{body}");
    }
}

#[test]
fn services_that_send_passwords_in_the_clear_are_found_where_they_are_let_in() {
    let encrypted = "management: encrypted";
    wrong("ping https ssh snmp", "ping https telnet", encrypted, "set allowaccess ping https telnet");
    // Communities are of versions 1 and 2c unless they are switched off.
    let community = "config system snmp community\n    edit 1\n        set name \"office\"\n    next\nend\nconfig system snmp user";
    wrong("config system snmp user", community, encrypted, "set allowaccess ping https ssh snmp");
    // HTTP that leads to HTTPS is no way in; without that it is.
    assert_eq!(said(&with("ping https ssh", "ping http https ssh"), encrypted), []);
    let http = with("ping https ssh snmp", "ping http https")
        .replace("set admintimeout", "set admin-https-redirect disable\n    set admintimeout");
    assert_eq!(said(&http, encrypted), [("violated", "set allowaccess ping http https".to_owned())]);
    // What is switched off for the whole device answers nowhere.
    let off =
        with("ping https ssh snmp", "ping https telnet").replace("set admintimeout", "set admin-telnet disable\n    set admintimeout");
    assert_eq!(said(&off, encrypted), []);
}

#[test]
fn idle_sessions_and_failed_logins_have_a_bound() {
    wrong("admintimeout 10", "admintimeout 480", "management: idle-timeout", "set admintimeout 480");
    wrong("admintimeout 10", "admintimeout 10", "management: { aspect: idle-timeout, minutes: 5 }", "set admintimeout 10");
    // Not written: five minutes.
    assert_eq!(said(&with("    set admintimeout 10\n", ""), "management: { aspect: idle-timeout, minutes: 5 }"), []);
    let many = "set admin-lockout-threshold 10\n    set admintimeout 10";
    assert_eq!(said(&with("set admintimeout 10", many), "management: lockout"), []);
    wrong("set admintimeout 10", many, "management: { aspect: lockout, attempts: 5 }", "set admin-lockout-threshold 10");
}

#[test]
fn accounts_have_a_password_of_their_own_and_a_bound() {
    let password = "        set password ENC SH2abcdefghijklmnopqrstuvwxyz0123456789abcdefgh=\n";
    wrong(password, "", "management: default-passwords", "edit \"admin\"");
    wrong("        set two-factor fortitoken\n", "", "management: bound-accounts", "edit \"ann\"");
    wrong("        set trusthost1 10.1.0.0 255.255.255.0\n", "", "management: bound-accounts", "edit \"admin\"");
}

#[test]
fn log_lines_leave_the_device() {
    let first = RIGHT.lines().next().expect("a line");
    wrong("set status enable\n    set server", "set status disable\n    set server", "management: remote-log", first);
}

#[test]
fn objects_that_nothing_uses_and_such_as_are_not_there() {
    wrong("        set srcaddr \"web-server\"\n", "        set srcaddr \"all\"\n", "objects: unused", "edit \"web-server\"");
    wrong("        set service \"app\"\n", "        set service \"apps\"\n", "objects: undefined", "set service \"apps\"");
    // A group that contains itself.
    let groups = "config firewall addrgrp\n    edit \"a\"\n        set member \"b\"\n    next\n    edit \"b\"\n        set member \"a\"\n    next\nend\nconfig firewall service custom";
    let found = said(&with("config firewall service custom", groups), "objects: undefined");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "violated");
    assert!(found[0].1.starts_with("edit "), "{found:?}");
}

#[test]
fn a_port_forwarding_says_why_it_is_there() {
    wrong("        set comment \"web shop\"\n", "", "rule-text: forwards", "edit \"shop\"");
}

#[test]
fn every_proposal_that_is_offered_counts() {
    let (first, second) = ("aes256-sha256 aes256gcm-prfsha384", "aes256-sha256 aes256gcm\n");
    wrong(first, "aes256-sha256 3des-sha256", "vpn: crypto", "set proposal aes256-sha256 3des-sha256");
    wrong(first, "aes256-sha256 aes256-md5", "vpn: crypto", "set proposal aes256-sha256 aes256-md5");
    wrong(second, "aes256-sha256 null-sha256\n", "vpn: crypto", "set proposal aes256-sha256 null-sha256");
    wrong("dhgrp 14 21", "dhgrp 14 2", "vpn: crypto", "set dhgrp 14 2");
    wrong("ike-version 2", "ike-version 1", "vpn: crypto", "set ike-version 1");
    wrong("        set dhgrp 14\n", "        set pfs disable\n", "vpn: crypto", "set pfs disable");
}
