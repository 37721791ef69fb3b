//! What sets hold, and that nothing in a file can make the reader fall.

use proptest::prelude::*;

use super::*;
use crate::source::FileId;

const EDGE: &str = include_str!("../../../../tests/fixtures/ipset/edge.ipset");

fn show(text: &str) -> (Vec<String>, Vec<String>) {
    let (_, reading) = IPSET.read_text("x", text);
    let set = |s: &NamedSet| {
        let elements: Vec<String> = s
            .elements
            .iter()
            .map(|e| {
                let values: Vec<String> = e
                    .values
                    .iter()
                    .map(|v| match v {
                        SetValue::Address(f, r) => crate::net::format_addresses(*f, r),
                        SetValue::Service(p, ports) => {
                            format!("{p}:{}", ports.as_ref().map_or("-".into(), |(f, r)| format!("{} {r:?}", f.name())))
                        }
                        SetValue::Interface(p) => format!("{}{}", p.name, if p.wildcard { "*" } else { "" }),
                        other => format!("{other:?}"),
                    })
                    .collect();
                format!("{}{}", if e.excluded { "!" } else { "" }, values.join(","))
            })
            .collect();
        format!("{} {elements:?}{}", s.name, if s.dynamic { " dynamic" } else { "" })
    };
    (reading.device.sets.iter().map(set).collect(), reading.notes.into_iter().map(|n| n.text).collect())
}

#[test]
fn elements_are_values_in_the_order_of_the_key() {
    let (sets, notes) = show(EDGE);
    assert_eq!(
        sets,
        [
            r#"ipset/blocklist ["203.0.113.0/24", "!203.0.113.64/26"]"#,
            r#"ipset/portal ["10.20.0.10,6:dport {443}", "10.20.0.11,17:dport {4000-4010}"]"#,
            r#"ipset/ports ["6:dport {22}", "17:dport {22}"]"#,
            r#"ipset/both ["203.0.113.0/26,203.0.113.128/25"]"#,
        ]
    );
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn the_most_specific_network_overrides_whatever_the_order_it_is_written_in() {
    let (sets, _) = show("create a hash:net\nadd a 10.1.0.0/16 nomatch\nadd a 10.1.2.0/24\nadd a 10.0.0.0/8\n");
    assert_eq!(sets, [r#"ipset/a ["10.0.0.0/8", "!10.1.0.0/16", "10.1.2.0/24"]"#]);
}

#[test]
fn types_families_and_netmasks_are_heeded() {
    let text = "create a hash:ip netmask 24\nadd a 192.0.2.0\ncreate b hash:net,iface family inet6\nadd b 2001:db8::/32,eth0\nadd b ::/1,wg wildcard\ncreate c hash:ip,port,net\nadd c 192.0.2.1,icmp:8/0,10.0.0.0/8\nadd c 192.0.2.1,gre:0,10.0.0.0/8\ncreate d bitmap:ip range 10.0.0.0/24\nadd d 10.0.0.1-10.0.0.4\n";
    let (sets, notes) = show(text);
    assert_eq!(
        sets,
        [
            r#"ipset/a ["192.0.2.0/24"]"#,
            r#"ipset/b ["2001:db8::/32,eth0", "::/1,wg*"]"#,
            r#"ipset/c ["192.0.2.1,1:icmp {2048},10.0.0.0/8", "192.0.2.1,47:-,10.0.0.0/8"]"#,
            r#"ipset/d ["10.0.0.1-10.0.0.4"]"#,
        ]
    );
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn membership_that_nobody_can_know_makes_a_set_dynamic_and_is_said_once() {
    for text in [
        "create a hash:ip timeout 60\nadd a 192.0.2.1 timeout 12\nadd a 192.0.2.2 timeout 13\n",
        "create a hash:ip,mark\nadd a 192.0.2.1,0x10\nadd a 192.0.2.2,0x10\n",
        "create a hash:ip\nadd a host.example.com\n",
        "create a list:set\nadd a missing\n",
        "create a hash:ip\nadd a 192.0.2.1\ndel a 192.0.2.1\n",
    ] {
        let (sets, notes) = show(text);
        assert_eq!((sets, notes.len()), (vec!["ipset/a [] dynamic".to_owned()], 1), "{text}: {notes:?}");
    }
    assert_eq!(show("create a hash:ip timeout 60\nadd a 192.0.2.1 timeout 0 comment \"for ever\"\n").0, [r#"ipset/a ["192.0.2.1"]"#]);
}

#[test]
fn the_listing_says_the_same_as_the_dump() {
    let list = "Name: a\nType: hash:net\nRevision: 7\nHeader: family inet hashsize 1024 maxelem 65536\nSize in memory: 512\nReferences: 1\nNumber of entries: 1\nMembers:\n192.0.2.0/24 nomatch\n\nName: b\nType: hash:ip\nHeader: family inet6\nMembers:\n2001:db8::1\n";
    let (sets, notes) = show(list);
    assert_eq!(sets, [r#"ipset/a ["!192.0.2.0/24"]"#, r#"ipset/b ["2001:db8::1"]"#]);
    assert!(notes.is_empty());
}

proptest! {
    #[test]
    fn every_beginning_and_every_flipped_byte_of_a_file_is_read_without_a_panic(cut in 0..EDGE.len(), at in 0..EDGE.len(), byte: u8) {
        show(EDGE.get(..cut).unwrap_or(""));
        let mut bytes = EDGE.as_bytes().to_vec();
        bytes[at] = byte;
        let file = SourceFile::new(FileId(0), "x", &bytes);
        detect(&file);
        IPSET.read_file(&file);
    }
}
