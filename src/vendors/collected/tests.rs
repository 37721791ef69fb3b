use proptest::prelude::*;

use super::{COLLECT_MANIFEST, LISTENING, NETSTAT_ROUTES, WINDOWS_NETWORK};
use crate::diag::LineState;
use crate::model::{Device, Shows};
use crate::source::{FileId, SourceFile};
use crate::vendors::{Format, detect};

const MANIFEST: &str = include_str!("../../../tests/fixtures/collected/manifest.txt");
const SS: &str = include_str!("../../../tests/fixtures/collected/ss.txt");
const NETSTAT: &str = include_str!("../../../tests/fixtures/collected/netstat.txt");
const SOCKETS: &str = include_str!("../../../tests/fixtures/collected/listening.json");
const ROUTES: &str = include_str!("../../../tests/fixtures/collected/routes.txt");
const NETWORK: &str = include_str!("../../../tests/fixtures/collected/network.json");

fn all() -> [(&'static Format, &'static str); 6] {
    [
        (&COLLECT_MANIFEST, MANIFEST),
        (&LISTENING, SS),
        (&LISTENING, NETSTAT),
        (&LISTENING, SOCKETS),
        (&NETSTAT_ROUTES, ROUTES),
        (&WINDOWS_NETWORK, NETWORK),
    ]
}

fn device(format: &Format, text: &str) -> Device {
    format.read_text("x.txt", text).1.device
}

#[test]
fn each_file_is_known_and_read_to_the_last_line() {
    for (format, text) in all() {
        let (file, reading) = format.read_text("x.txt", text);
        assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), [format.id]);
        assert!(reading.lines[&file.id].iter().all(|s| *s <= LineState::NotModelled), "{:?}", reading.notes);
    }
}

#[test]
fn a_manifest_tells_the_host_and_what_could_not_be_seen() {
    let manifest = device(&COLLECT_MANIFEST, MANIFEST);
    assert_eq!(manifest.hostname.as_ref().map(|h| h.0.as_str()), Some("anna"));
    assert_eq!(manifest.setting("collected.elevated"), Some("no"));
    assert_eq!(manifest.digests.iter().map(|d| d.file.as_str()).collect::<Vec<_>>(), ["ip-addr.txt", "listening.txt"]);
    assert!(manifest.lacks(Shows::Filter).is_some_and(|l| l.text.contains("not run as an administrator")));
    assert!(manifest.filter_is_known() && !manifest.has_filter());
    // Nothing was there to be shown.
    assert!(manifest.lacks(Shows::Vpn).is_none());
    // One way of showing the filter is enough.
    let seen = MANIFEST.replace("failed filter 1 - - nft list ruleset", "nothing filter 0 - - nft list ruleset");
    assert!(device(&COLLECT_MANIFEST, &seen).lacks(Shows::Filter).is_none());
}

#[test]
fn a_broken_line_of_a_manifest_is_said() {
    for line in
        ["got filter 0 abc nft.txt nft", "got filter 0", "was filter 0 - - nft", "got colours 0 - - x", "time: yesterday", "mood: good"]
    {
        let (_, reading) = COLLECT_MANIFEST.read_text("manifest.txt", &format!("fwproof-collected: 1\n{line}\n"));
        assert_eq!(reading.notes.len(), 1, "{line}: {:?}", reading.notes);
    }
}

#[test]
fn what_listens_is_told_from_what_listens_on_the_loopback() {
    for (text, ssh, vnc, smb) in
        [(SS, "network", "none", "none"), (NETSTAT, "loopback", "network", "none"), (SOCKETS, "none", "none", "network")]
    {
        let device = device(&LISTENING, text);
        assert_eq!(device.setting("listening.remote-control.ssh"), Some(ssh));
        assert_eq!(device.setting("listening.remote-control.vnc"), Some(vnc));
        assert_eq!(device.setting("listening.file-sharing.smb"), Some(smb));
        assert_eq!(device.setting("listening.remote-control.rdp"), Some("none"));
    }
}

#[test]
fn shortened_destinations_are_networks_of_their_class() {
    let routes = device(&NETSTAT_ROUTES, ROUTES).routes.unwrap_or_default();
    let words: Vec<String> = routes.iter().map(|r| format!("{} {}", r.to, r.interface.as_deref().unwrap_or("-"))).collect();
    let wanted = [
        "0.0.0.0/0 utun4",
        "10.99.0.0/16 utun4",
        "127.0.0.0/8 lo0",
        "192.168.1.0/24 en0",
        "192.168.1.1/32 en0",
        "224.0.0.0/4 en0",
        "::/0 utun4",
        "::1/128 lo0",
        "fe80::/64 en0",
    ];
    assert_eq!(words, wanted);
}

#[test]
fn windows_adds_the_metrics_of_route_and_interface() {
    let device = device(&WINDOWS_NETWORK, NETWORK);
    let wifi = device.interfaces.iter().flatten().find(|i| i.name == "Wi-Fi").expect("Wi-Fi");
    assert_eq!(wifi.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.168.1.20/24", "fe80::1/64"]);
    assert_eq!(wifi.dynamic.len(), 1);
    let route = device.routes.iter().flatten().find(|r| r.to.prefix() == 0).expect("a default route");
    assert_eq!((route.metric, route.via.map(|v| v.to_string())), (50, Some("192.168.1.1".to_owned())));
}

proptest! {
    #[test]
    fn damaged_files_are_read_without_panic(which in 0usize..6, cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let (format, text) = all()[which];
        let mut bytes = text.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = format.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
