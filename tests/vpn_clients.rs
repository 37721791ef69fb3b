//! VPN clients of every kind against the checks of `remote-worker`: what holds, what does not, and what only the server knows.

mod judging;

use std::fs;

use fwproof::diag::Verdict::{self, Holds, Unknown, Violated};

const BASELINE: &str = "fwproof: 1\ntitle: t\nuse: [remote-worker]\nzones: { internet: { addresses: public } }\n\
    estate: { workers: { roster: staff.csv, each: [host-firewall, vpn-client, kill-switch], exported_within: 30d } }\n";

/// The verdicts of a check on the files of anna's laptop, with those of further devices.
fn verdict(files: &[(&str, &str)], check: &str) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let fixed = [("staff.csv", "name\nanna\n"), ("baseline.yaml", BASELINE)];
    for (path, text) in fixed.iter().chain(files) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let judged = judging::judge_at(folder.path(), "2026-11-25");
    judged.report.checks.iter().find(|c| c.id == check).unwrap_or_else(|| panic!("no check {check}")).verdict
}

const TUNNEL: &str = "vpn-takes-what-it-must";
const NAMES: &str = "vpn-looks-names-up-inside";
const CRYPTO: &str = "vpn-no-weak-cryptography";
const SWITCH: &str = "vpn-has-kill-switch";

const LAPTOP: &str = include_str!("fixtures/swanctl/laptop.conf");
const GATEWAY: &str = include_str!("fixtures/swanctl/swanctl.conf");

/// The laptop without the exception for its local network.
fn laptop() -> String {
    let (before, rest) = LAPTOP.split_once("            lan {").unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    format!("{before}{after}")
}

/// The gateway that people connect to, without the connections to others.
fn gateway() -> String {
    let (before, rest) = GATEWAY.split_once("    branch {").unwrap();
    let (_, after) = rest.split_once("\n}\n\npools").unwrap();
    format!("{before}}}\n\npools{after}")
}

#[test]
fn what_a_client_of_ipsec_asks_for_is_what_its_server_agrees_to() {
    let client = ("anna/swanctl.conf", &*laptop());
    assert_eq!(verdict(&[client], TUNNEL), Unknown);
    assert_eq!(verdict(&[client, ("gw/swanctl.conf", &gateway())], TUNNEL), Holds);
    let less = gateway().replace("local_ts = 0.0.0.0/0, ::/0", "local_ts = 10.0.0.0/8");
    assert_eq!(verdict(&[client, ("gw/swanctl.conf", &less)], TUNNEL), Violated);
    // Another server says nothing about this one.
    let other = gateway().replace("id = vpn.acme.example", "id = vpn.other.example");
    assert_eq!(verdict(&[client, ("gw/swanctl.conf", &other)], TUNNEL), Unknown);
}

#[test]
fn a_client_that_asks_for_a_part_leaks_the_rest_whoever_answers() {
    let part = laptop().replace("remote_ts = 0.0.0.0/0, ::/0", "remote_ts = 10.0.0.0/8");
    assert_eq!(verdict(&[("anna/swanctl.conf", &part)], TUNNEL), Violated);
    assert_eq!(verdict(&[("anna/swanctl.conf", LAPTOP)], TUNNEL), Violated, "what passes by");
}

#[test]
fn name_servers_of_a_client_of_ipsec_come_from_its_server() {
    let client = ("anna/swanctl.conf", &*laptop());
    assert_eq!(verdict(&[client], NAMES), Unknown);
    assert_eq!(verdict(&[client, ("gw/swanctl.conf", &gateway())], NAMES), Holds);
}

#[test]
fn good_proposals_hold_and_weak_or_unknown_ones_do_not() {
    assert_eq!(verdict(&[("anna/swanctl.conf", &laptop())], CRYPTO), Holds);
    let weak = laptop().replace("esp_proposals = aes256gcm16-ecp384", "esp_proposals = aes256gcm16-ecp384, aes128-md5-modp1024");
    assert_eq!(verdict(&[("anna/swanctl.conf", &weak)], CRYPTO), Violated);
    // The defaults of strongSwan have no perfect forward secrecy, and SHA-1.
    let default = laptop().replace("esp_proposals = aes256gcm16-ecp384", "");
    assert_eq!(verdict(&[("anna/swanctl.conf", &default)], CRYPTO), Violated);
    let nameless = "conn a\n\tleft=%defaultroute\n\tright=192.0.2.1\n\tauto=start\n\tkeyexchange=ikev2\n\tike=aes256-sha2_256-dh19\n";
    assert_eq!(verdict(&[("anna/ipsec.conf", &nameless.replace("\tkeyexchange=ikev2\n", ""))], CRYPTO), Unknown);
}

#[test]
fn what_the_head_end_decides_is_unknown() {
    let profile = include_str!("fixtures/anyconnect/acme.xml");
    for check in [TUNNEL, NAMES, CRYPTO] {
        assert_eq!(verdict(&[("anna/acme.xml", profile)], check), Unknown, "{check}");
    }
    assert_eq!(verdict(&[("anna/acme.xml", profile)], SWITCH), Holds);
    assert_eq!(verdict(&[("anna/acme.xml", &profile.replace("Closed", "Open"))], SWITCH), Violated);
}

#[test]
fn split_tunnelling_of_windows_is_found_and_its_default_proposals_too() {
    let one = |split: &str, kind: &str, policy: &str| {
        format!(
            "{{\"Name\":\"a\",\"ServerAddress\":\"vpn.example\",\"TunnelType\":\"{kind}\",\"AuthenticationMethod\":[\"MachineCertificate\"],\
             \"SplitTunneling\":{split},\"Routes\":[],\"IPSecCustomPolicy\":{policy}}}"
        )
    };
    let strong = "{\"EncryptionMethod\":\"GCMAES256\",\"IntegrityCheckMethod\":\"SHA384\",\"DHGroup\":\"ECP384\",\"CipherTransformConstants\":\"GCMAES256\",\
                  \"AuthenticationTransformConstants\":\"GCMAES256\",\"PfsGroup\":\"ECP384\"}";
    assert_eq!(verdict(&[("anna/vpn.json", &one("true", "Ikev2", strong))], TUNNEL), Violated);
    // IPv6 goes in if the server gives an address of it.
    assert_eq!(verdict(&[("anna/vpn.json", &one("false", "Ikev2", strong))], TUNNEL), Unknown);
    assert_eq!(verdict(&[("anna/vpn.json", &one("false", "Ikev2", strong))], CRYPTO), Holds);
    assert_eq!(verdict(&[("anna/vpn.json", &one("false", "Ikev2", "null"))], CRYPTO), Violated);
    assert_eq!(verdict(&[("anna/vpn.json", &one("false", "Pptp", "null"))], CRYPTO), Violated);
}

#[test]
fn include_all_networks_of_apple_holds_and_without_it_the_server_decides() {
    let profile = include_str!("fixtures/apple-vpn/ikev2.mobileconfig");
    let at = |text: &str, check: &str| verdict(&[("anna/vpn.mobileconfig", text)], check);
    assert_eq!(at(profile, TUNNEL), Holds);
    assert_eq!(at(profile, SWITCH), Holds);
    assert_eq!(at(profile, CRYPTO), Holds);
    let without = profile.replace("IncludeAllNetworks", "IncludeNoNetworks");
    assert_eq!(at(&without, TUNNEL), Unknown);
    assert_eq!(at(&without, SWITCH), Violated);
    assert_eq!(at(&profile.replace("<key>EnablePFS</key>\n\t\t\t\t<true/>", ""), CRYPTO), Violated);
}

#[test]
fn a_profile_of_networkmanager_that_never_takes_the_default_route_does_not() {
    let office = include_str!("fixtures/networkmanager/office.nmconnection");
    assert_eq!(verdict(&[("anna/office.nmconnection", office)], TUNNEL), Violated);
    let free = office.replace("never-default=true\n", "");
    assert_eq!(verdict(&[("anna/office.nmconnection", &free)], TUNNEL), Unknown);
    // Not even where the server pushes it.
    let server = "port 1194\nproto udp\ndev tun0\nserver 10.8.0.0 255.255.255.0\nca a\ncert b\nkey c\ndh none\npush \"redirect-gateway def1 ipv6\"\n";
    assert_eq!(verdict(&[("anna/office.nmconnection", office), ("gw/server.conf", server)], TUNNEL), Violated);
    let wireguard = include_str!("fixtures/networkmanager/wireguard.nmconnection");
    assert_eq!(verdict(&[("anna/wg.nmconnection", wireguard)], TUNNEL), Holds);
    assert_eq!(verdict(&[("anna/wg.nmconnection", wireguard)], NAMES), Holds);
}

#[test]
fn a_pre_shared_key_belongs_to_both_ends_and_to_nobody_else() {
    let end = |own: &str, other: &str| {
        format!(
            "connections {{ a {{ version = 2\nlocal_addrs = {own}\nremote_addrs = {other}\nlocal {{ auth = psk }}\nremote {{ auth = psk }}\n\
             children {{ c {{ remote_ts = 10.0.0.0/8\n }} }} }} }}\nsecrets {{ ike-a {{ secret = \"correct horse battery\" }} }}\n"
        )
    };
    let (a, b) = (end("192.0.2.1", "192.0.2.2"), end("192.0.2.2", "192.0.2.1"));
    assert_eq!(verdict(&[("anna/swanctl.conf", &a), ("b/swanctl.conf", &b)], "vpn-keys-are-unique"), Holds);
    let c = end("192.0.2.3", "192.0.2.2");
    assert_eq!(verdict(&[("anna/swanctl.conf", &a), ("c/swanctl.conf", &c)], "vpn-keys-are-unique"), Violated);
}
