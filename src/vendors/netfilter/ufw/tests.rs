use super::*;
use crate::model::{Action, Match, PolicyAction};
use crate::net::Family;
use crate::source::{FileId, Limits};
use crate::vendors::Reading;

/// Reads files, given as path and text, as those of one device.
fn read_all(files: &[(&str, &str)]) -> Reading {
    let files: Vec<SourceFile> =
        files.iter().enumerate().map(|(i, (path, text))| SourceFile::from_text(FileId(i as u32), *path, text)).collect();
    let limits = Limits::default();
    let get = |id: FileId| &files[id.0 as usize];
    let resolve = |_: FileId, _: &str| Vec::new();
    let mut reader = Reader::new(&files[0], &limits, &get, &resolve);
    reader.beside = files.iter().skip(1).collect();
    read(&mut reader);
    reader.finish()
}

const DEFAULTS: &str = "IPV6=no\nDEFAULT_INPUT_POLICY=\"DROP\"\nDEFAULT_OUTPUT_POLICY=ACCEPT\nDEFAULT_FORWARD_POLICY='REJECT'\n";
const BEFORE: &str = "*filter\n:ufw-before-input - [0:0]\n-A ufw-before-input -i lo -j ACCEPT\nCOMMIT\n";
const USER: &str = "*filter\n:ufw-user-input - [0:0]\n-A ufw-user-input -p tcp --dport 22 -j ACCEPT\nCOMMIT\n";
const AFTER: &str = "*filter\n:ufw-after-input - [0:0]\n-A ufw-after-input -p udp --dport 137 -j ufw-skip-to-policy-input\nCOMMIT\n";

fn host(conf: &str) -> Vec<(&'static str, String)> {
    let text = |s: &str| s.to_owned();
    vec![("default/ufw", text(DEFAULTS)), ("b", text(BEFORE)), ("u", text(USER)), ("a", text(AFTER)), ("ufw/ufw.conf", text(conf))]
}

fn reading(conf: &str) -> Reading {
    let files = host(conf);
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
    read_all(&files)
}

#[test]
fn user_rules_come_after_before_rules_and_before_after_rules() {
    let device = reading("ENABLED=yes\nLOGLEVEL=low\n").device;
    let before = device.chains.iter().find(|c| c.name == "filter/ufw-before-input").expect("the chain is there");
    let Action::Jump(user) = before.rules[1].action else { panic!("the user chain is called at the end") };
    assert_eq!(device.chain(user).name, "filter/ufw-user-input");
    assert_eq!(before.rules.len(), 2);
    assert!(device.chains.iter().flat_map(|c| &c.rules).all(|r| !matches!(r.action, Action::Opaque(_))));
}

#[test]
fn a_disabled_ufw_protects_nothing() {
    let reading = reading("ENABLED=no\nLOGLEVEL=low\n");
    assert_eq!(reading.device.base_chains.len(), 6);
    assert!(reading.device.base_chains.iter().all(|b| b.policy.action == PolicyAction::Accept));
    assert!(reading.device.chains.iter().all(|c| c.rules.is_empty()));
}

#[test]
fn without_ipv6_only_the_loopback_interface_has_it() {
    let device = reading("ENABLED=yes\nLOGLEVEL=low\n").device;
    let v6: Vec<_> = device.base_chains.iter().filter(|b| b.families == [Family::V6]).collect();
    assert_eq!(v6.len(), 3);
    assert!(v6.iter().all(|b| b.policy.action == PolicyAction::Drop));
}

#[test]
fn without_ufw_conf_nothing_is_said_to_be_blocked() {
    let device = read_all(&[("default/ufw", DEFAULTS), ("b", BEFORE), ("u", USER), ("a", AFTER)]).device;
    for base in &device.base_chains {
        let first = &device.chain(base.chain).rules[0];
        assert!(matches!(first.matcher, Match::Not(_)) && first.action == Action::Accept);
    }
}

#[test]
fn a_rules_file_that_is_missing_may_do_anything() {
    let device = read_all(&[("default/ufw", DEFAULTS), ("u", USER), ("a", AFTER), ("ufw.conf", "ENABLED=yes\n")]).device;
    let before = device.chains.iter().find(|c| c.name == "filter/ufw-before-input").expect("the chain is there");
    assert!(matches!(before.rules[0].action, Action::Opaque(_)));
}

#[test]
fn a_dump_of_the_kernel_is_no_file_of_ufw() {
    let dump = "*filter\n:INPUT DROP [0:0]\n:ufw-before-input - [0:0]\nCOMMIT\n";
    assert!(detect(&SourceFile::from_text(FileId(0), "rules", dump)).is_none());
}

#[test]
fn no_prefix_and_no_flipped_byte_of_these_files_panics() {
    for (path, text) in host("ENABLED=yes\n") {
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 0x15;
            for bytes in [&bytes[..], &text.as_bytes()[..at]] {
                let text = String::from_utf8_lossy(bytes);
                read_all(&[(path, &text), ("other/ufw.conf", "ENABLED=yes\n")]);
            }
        }
    }
}

#[test]
fn that_ufw_owns_the_built_in_chains_is_said_not_to_be_modelled() {
    let with = |value: &str| {
        let defaults = format!("{DEFAULTS}MANAGE_BUILTINS={value}\n");
        read_all(&[("default/ufw", &defaults), ("b", BEFORE), ("u", USER), ("a", AFTER), ("ufw/ufw.conf", "ENABLED=yes\n")])
    };
    let said = |reading: &Reading| reading.notes.iter().any(|n| n.state == LineState::NotModelled && n.text.contains("built-in chains"));
    assert!(said(&with("yes")));
    assert!(!said(&with("no")));
}

#[test]
fn what_the_kernel_has_goes_before_these_files() {
    let files: Vec<SourceFile> =
        host("ENABLED=yes\n").iter().enumerate().map(|(i, (path, text))| SourceFile::from_text(FileId(i as u32), *path, text)).collect();
    let limits = Limits::default();
    let get = |id: FileId| &files[id.0 as usize];
    let resolve = |_: FileId, _: &str| Vec::new();
    let mut reader = Reader::new(&files[0], &limits, &get, &resolve);
    reader.beside = files.iter().skip(1).collect();
    reader.dumped = vec![Family::V4];
    read(&mut reader);
    let reading = reader.finish();
    assert!(reading.device.base_chains.iter().all(|b| b.families == [Family::V6]));
    let said = reading.notes.iter().find(|n| n.text.contains("as the kernel has them"));
    assert_eq!(said.map(|n| n.state), Some(LineState::Irrelevant), "{:?}", reading.notes);
}
