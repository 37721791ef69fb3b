//! Kinds that need no packet sets, on devices that the real readers read.

use std::collections::BTreeMap;
use std::fs;

use fwproof::model::Device;
use fwproof::rulesets::{Baseline, load};
use fwproof::source::{FileId, Limits, Redactor, Sources};
use fwproof::vendors::format;
use jiff::civil::Date;

/// A folder with a baseline, and devices in memory.
#[derive(Default)]
struct Estate {
    sources: Sources,
    devices: BTreeMap<String, Device>,
    secrets: Vec<fwproof::source::Span>,
    exported: BTreeMap<String, Date>,
    staff: String,
}

impl Estate {
    /// Adds a file of a device.
    fn file(mut self, device: &str, format_id: &str, name: &str, text: &str) -> Estate {
        let id: FileId = self.sources.add(format!("{device}/{name}"), text.as_bytes());
        let reading = format(format_id).unwrap().read_file(self.sources.get(id));
        self.secrets.extend(reading.secrets);
        let entry = self.devices.entry(device.to_owned()).or_insert_with(|| Device { name: device.to_owned(), ..Device::default() });
        entry.absorb(reading.device);
        self
    }

    fn wg(self, device: &str, text: &str) -> Estate {
        self.file(device, "wireguard", "wg0.conf", text)
    }

    fn ovpn(self, device: &str, text: &str) -> Estate {
        self.file(device, "openvpn", "vpn.conf", text)
    }

    fn staff(mut self, text: &str) -> Estate {
        self.staff = text.to_owned();
        self
    }

    fn exported(mut self, device: &str, date: &str) -> Estate {
        self.exported.insert(device.to_owned(), date.parse().unwrap());
        self
    }

    /// The findings of one check: `device verdict line: message`, after what was considered.
    fn judge(mut self, baseline: &str, body: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("staff.csv"), &self.staff).unwrap();
        let text = format!("fwproof: 1\ntitle: t\n{baseline}\nchecks:\n  - id: the-check\n    {body}\n");
        fs::write(folder.path().join("b.yaml"), text).unwrap();
        let baseline: Baseline = match load(&mut self.sources, &folder.path().join("b.yaml"), &Limits::default()) {
            Ok(baseline) => baseline,
            Err(errors) => panic!("{errors:#?}"),
        };
        let redactor = Redactor::new(&self.sources, self.secrets.clone());
        let devices: Vec<Device> = self.devices.into_values().collect();
        let as_of = "2026-10-01".parse().unwrap();
        let world = baseline.world(&devices, &self.sources, &redactor, as_of, self.exported);
        let entry = &baseline.checks[0];
        let mut outcome = entry.check.run(&world, &entry.spec);
        outcome.findings.sort_by_key(|f| (f.device.clone(), f.primary.span, f.message.clone()));
        let mut said = vec![outcome.considered.join(" ")];
        for f in &outcome.findings {
            let file = self.sources.get(f.primary.span.file);
            let line = file.place(f.primary.span.start).line;
            assert!(!f.primary.span.start.gt(&(file.text.len() as u32)));
            said.push(format!("{} {} {line}: {}", f.device.as_deref().unwrap_or("-"), f.verdict.name(), f.message));
        }
        let all = format!("{:?}", outcome.findings);
        assert!(!all.contains("SECRET"), "{all}");
        said
    }
}

// Keys of our own: 32 bytes of one value each, in base64.
const SERVER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const ALICE: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const BOB: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
const OTHER: &str = "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=";

fn public(private: &str) -> String {
    let (_, reading) =
        format("wireguard").unwrap().read_text("wg0.conf", &format!("[Interface]\nPrivateKey = {private}\nListenPort = 1\n[Peer]\n"));
    reading.device.tunnels[0].public_key.clone().unwrap().0
}

fn client(private: &str, address: &str, allowed: &str, more: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {private}\nAddress = {address}\n{more}\n[Peer]\nPublicKey = {}\nEndpoint = vpn.example.com:51820\nAllowedIPs = {allowed}\n",
        public(SERVER)
    )
}

fn server(peers: &[(&str, String, &str)]) -> String {
    let mut text = format!("[Interface]\nPrivateKey = {SERVER}\nAddress = 10.90.0.1/24\nListenPort = 51820\n");
    for (name, key, allowed) in peers {
        text.push_str(&format!("\n# {name}\n[Peer]\nPublicKey = {key}\nAllowedIPs = {allowed}\n"));
    }
    text
}

const WORKERS: &str = "estate: { workers: { roster: staff.csv } }";
const STAFF: &str = "name,device,left\nalice,alice-laptop,\nbob,bob-laptop,2026-08-31\n";

fn full_tunnel(allowed: &str, more: &str) -> Vec<String> {
    Estate::default().wg("alice-laptop", &client(ALICE, "10.90.0.2/32", allowed, more)).judge("", "vpn: full-tunnel")
}

#[test]
fn two_halves_are_a_whole_tunnel() {
    assert_eq!(full_tunnel("0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1", ""), ["alice-laptop"]);
    assert_eq!(full_tunnel("0.0.0.0/0, ::/0", ""), ["alice-laptop"]);
}

#[test]
fn a_tunnel_of_ipv4_alone_leaks_ipv6() {
    assert_eq!(
        full_tunnel("0.0.0.0/0", ""),
        ["alice-laptop", "alice-laptop violated 8: IPv6 leaks: the VPN takes no IPv6 traffic, and nothing stops it from going around"]
    );
}

#[test]
fn a_part_is_not_everything() {
    assert_eq!(
        full_tunnel("10.0.0.0/8, ::/0", ""),
        ["alice-laptop", "alice-laptop violated 8: IPv4 traffic to anywhere but 10.0.0.0/8 goes around the VPN"]
    );
}

#[test]
fn ipv6_that_is_blocked_does_not_leak() {
    let kill = "PostUp = ip6tables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT";
    assert_eq!(full_tunnel("0.0.0.0/0", kill), ["alice-laptop"]);
    let estate = |rules: &str| {
        Estate::default()
            .wg("alice-laptop", &client(ALICE, "10.90.0.2/32", "0.0.0.0/0", ""))
            .file("alice-laptop", "nftables", "fw.nft", rules)
            .judge("", "vpn: full-tunnel")
    };
    let closed = "table inet f { chain o { type filter hook output priority 0; policy drop; oifname { lo, wg0 } accept\nip daddr 192.0.2.1 accept\n } }\n";
    assert_eq!(estate(closed), ["alice-laptop"]);
    let open = "table inet f { chain o { type filter hook output priority 0; policy accept; ip daddr 192.0.2.1 drop\n } }\n";
    assert!(estate(open)[1].contains("violated"));
    let maybe = "table inet f { chain o { type filter hook output priority 0; policy drop; socket transparent 1 accept\n } }\n";
    assert!(estate(maybe)[1].contains("unknown"), "{:?}", estate(maybe));
}

#[test]
fn a_route_of_the_host_leads_around_the_tunnel() {
    let judge = |routes: &str, rules: &str| {
        let estate = Estate::default().wg("alice-laptop", &client(ALICE, "10.90.0.2/32", "0.0.0.0/0, ::/0", ""));
        let estate = estate.file("alice-laptop", "ip-route", "ip-route.txt", routes);
        let estate = if rules.is_empty() { estate } else { estate.file("alice-laptop", "nftables", "fw.nft", rules) };
        estate.judge("", "vpn: full-tunnel")
    };
    // What a DHCP server may add, and what the VPN itself needs.
    let routes =
        "default via 192.168.1.1 dev eth0\n192.168.1.0/24 dev eth0 proto kernel scope link\n198.51.100.0/24 via 192.168.1.66 dev eth0\n";
    assert_eq!(
        judge(routes, ""),
        ["alice-laptop", "alice-laptop violated 3: a route leads 198.51.100.0/24 around the VPN, which takes less exactly"]
    );
    let own = "default via 192.168.1.1 dev eth0\n192.168.1.0/24 dev eth0 proto kernel scope link\n10.0.0.0/8 dev wg0\n";
    assert_eq!(judge(own, ""), ["alice-laptop"]);
    let closed = "table inet f { chain o { type filter hook output priority 0; policy drop; oifname { lo, wg0 } accept\n } }\n";
    assert_eq!(judge(routes, closed), ["alice-laptop"]);
}

#[test]
fn exactly_the_declared_part_is_enough_and_more_is_not() {
    let judge = |allowed: &str| {
        Estate::default().staff(STAFF).wg("alice-laptop", &client(ALICE, "10.90.0.2/24", allowed, "DNS = 10.90.0.1")).judge(
            "zones: { office: { addresses: [10.4.0.0/16, \"2001:db8:4::/48\"] } }\nestate: { workers: { roster: staff.csv, tunnelled: [office, 192.0.2.7] } }",
            "vpn: full-tunnel",
        )
    };
    assert_eq!(judge("10.4.0.0/16, 2001:db8:4::/48, 192.0.2.7/32, 10.90.0.0/24").len(), 1);
    assert_eq!(judge("0.0.0.0/0, ::/0").len(), 1);
    assert!(judge("10.4.0.0/16, 192.0.2.7/32")[1].contains("does not take 2001:db8:4::/48"));
    assert!(judge("10.4.0.0/16, 2001:db8:4::/48, 192.0.2.7/32, 172.16.0.0/12")[1].contains("also takes 172.16.0.0/12"));
}

const OVPN_CLIENT: &str = "client\ndev tun\nproto udp\nremote vpn.example.com 1194\nremote-cert-tls server\ntls-crypt ta.key\n";
const OVPN_SERVER: &str = "port 1194\nproto udp\ndev tun\nserver 10.91.0.0 255.255.255.0\ntls-crypt ta.key\nauth SHA256\n";

#[test]
fn what_a_server_pushes_is_looked_up_at_the_server() {
    let alone = Estate::default().ovpn("c", OVPN_CLIENT).judge("", "vpn: full-tunnel");
    assert_eq!(alone.len(), 3, "{alone:?}");
    assert!(alone[1].contains("c unknown 1: whether the VPN takes all"), "{alone:?}");
    let pushes = |push: &str| {
        Estate::default().ovpn("c", OVPN_CLIENT).ovpn("s", &format!("{OVPN_SERVER}{push}")).judge("", "vpn: full-tunnel\n    on: c")
    };
    assert_eq!(pushes("push \"redirect-gateway def1 ipv6\"\n"), ["c"]);
    assert_eq!(pushes("push \"redirect-gateway def1\"\n").len(), 2);
    assert!(pushes("push \"route 10.0.0.0 255.0.0.0\"\n")[1].contains("c violated"));
}

#[test]
fn names_are_asked_inside_the_tunnel_or_not() {
    let judge = |allowed: &str, more: &str| {
        Estate::default().wg("a", &client(ALICE, "10.90.0.2/32", allowed, more)).judge("", "vpn: dns-through-tunnel")
    };
    assert_eq!(judge("0.0.0.0/0", "DNS = 10.4.0.53, example.com"), ["a"]);
    assert!(judge("10.5.0.0/16", "DNS = 10.4.0.53")[1].starts_with("a violated 4: the name server 10.4.0.53 is asked around the VPN"));
    assert!(judge("0.0.0.0/0", "")[1].contains("sets no name server"));
    assert!(judge("0.0.0.0/0", "DNS = 2001:db8::53")[1].contains("violated"));
    assert!(judge("0.0.0.0/0", "DNS = 127.0.0.1")[1].contains("unknown"));
    let pushed = Estate::default()
        .ovpn("c", OVPN_CLIENT)
        .ovpn("s", &format!("{OVPN_SERVER}push \"dhcp-option DNS 10.4.0.53\"\npush \"route 10.4.0.0 255.255.0.0\"\n"))
        .judge("", "vpn: dns-through-tunnel\n    on: c");
    assert_eq!(pushed, ["c"]);
}

#[test]
fn weak_cryptography_is_found_written_or_by_default() {
    let judge = |text: &str, body: &str| Estate::default().ovpn("s", &format!("{OVPN_SERVER}{text}")).judge("", body);
    assert_eq!(judge("tls-version-min 1.2\ndh none\n", "vpn: crypto"), ["s"]);
    let weak = judge(
        "data-ciphers AES-256-GCM:BF-CBC\ntls-version-min 1.0\ndh dh1024.pem\ntls-cipher DEFAULT:!EXP:TLS-RSA-WITH-RC4-128-SHA\n",
        "vpn: crypto",
    );
    let messages: Vec<&str> = weak.iter().skip(1).map(|w| w.split(": ").nth(1).unwrap()).collect();
    assert_eq!(
        messages,
        [
            "cipher BF-CBC is offered",
            "TLS 1.0 is offered",
            "key exchange DH-1024 is offered",
            "TLS cipher suite TLS-RSA-WITH-RC4-128-SHA is offered"
        ]
    );
    assert!(
        judge("tls-version-min 1.2\n", "vpn: { aspect: crypto, weak: { ciphers: AES-128-* } }")[1]
            .contains("cipher AES-128-GCM is in force: nothing else is written")
    );
    // SHA-1, the default, is used by ciphers that do not authenticate by themselves.
    let cbc =
        Estate::default().ovpn("c", &format!("{OVPN_CLIENT}tls-version-min 1.2\ndata-ciphers AES-256-CBC\n")).judge("", "vpn: crypto");
    assert!(cbc[1].contains("digest SHA1 is in force"), "{cbc:?}");
    let client = |more: &str| Estate::default().ovpn("c", &format!("{OVPN_CLIENT}{more}")).judge("", "vpn: crypto");
    assert_eq!(client("tls-version-min 1.2\n"), ["c"]);
    assert!(client("")[1].contains("unknown 1: TLS 1.0 is accepted if OpenVPN is older than 2.6"));
    assert_eq!(Estate::default().wg("w", &server(&[])).judge("", "vpn: crypto"), ["w"]);
}

#[test]
fn settings_of_openvpn_are_judged_one_by_one() {
    let judge = |text: &str, body: &str| Estate::default().ovpn("x", text).judge("", body).len() - 1;
    assert_eq!(judge(OVPN_CLIENT, "vpn: verify-server"), 0);
    assert_eq!(judge("client\nremote a 1194\n", "vpn: verify-server"), 1);
    assert_eq!(judge("client\nremote a 1194\nremote-cert-tls client\n", "vpn: verify-server"), 1);
    assert_eq!(judge(OVPN_CLIENT, "vpn: tls-auth"), 0);
    assert_eq!(judge("client\nremote a 1194\n", "vpn: tls-auth"), 1);
    assert_eq!(judge(&format!("{OVPN_SERVER}comp-lzo\n"), "vpn: no-compression"), 1);
    assert_eq!(judge(OVPN_SERVER, "vpn: no-compression"), 0);
    assert_eq!(judge(&format!("{OVPN_SERVER}duplicate-cn\n"), "vpn: no-duplicate-cn"), 1);
    assert_eq!(judge(&format!("{OVPN_SERVER}client-to-client\n"), "vpn: client-isolation"), 1);
    // Nothing to check is nobody considered.
    assert_eq!(Estate::default().ovpn("x", OVPN_CLIENT).judge("", "vpn: no-duplicate-cn"), [""]);
}

#[test]
fn a_peer_has_single_addresses_unless_a_network_behind_it_is_a_zone() {
    let text = server(&[
        ("alice", public(ALICE), "10.90.0.2/32, 2001:db8:90::2/128"),
        ("bob", public(BOB), "10.90.0.128/25"),
        ("site", public(OTHER), "10.7.0.0/16"),
    ]);
    let said = Estate::default()
        .wg("s", &text)
        .judge("zones: { depot: { addresses: 10.7.0.0/16 }, all: { addresses: 10.0.0.0/8 } }", "vpn: minimal-allowed-ips");
    assert_eq!(said, ["s", "s violated 14: the peer bob may use all of 10.90.0.128/25 as its own"]);
}

#[test]
fn an_address_belongs_to_one_peer() {
    let text =
        server(&[("alice", public(ALICE), "10.90.0.2/32"), ("bob", public(BOB), "10.90.0.2/32"), ("site", public(OTHER), "10.90.0.0/28")]);
    let said = Estate::default().wg("s", &text).judge("", "vpn: no-overlapping-allowed-ips");
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().any(|s| s.contains("10.90.0.2 is given to two peers, alice and bob")), "{said:?}");
    let apart = server(&[("alice", public(ALICE), "10.90.0.2/32, 10.90.0.2/31"), ("bob", public(BOB), "10.90.0.4/32")]);
    assert_eq!(Estate::default().wg("s", &apart).judge("", "vpn: no-overlapping-allowed-ips"), ["s"]);
}

#[test]
fn a_key_is_on_one_device_only() {
    let psk = "PresharedKey = BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    let alice = client(ALICE, "10.90.0.2/32", "0.0.0.0/0", "") + psk + "\n";
    let server = server(&[("alice", public(ALICE), "10.90.0.2/32")]) + psk + "\n";
    // Both ends of a pair have its pre-shared key, and the server the client's public key.
    let fine = Estate::default().wg("a", &alice).wg("s", &server).wg("b", &client(BOB, "10.90.0.3/32", "0.0.0.0/0", ""));
    assert_eq!(fine.judge("", "vpn: unique-keys"), ["a b s"]);
    let copied = Estate::default().wg("a", &alice).wg("b", &alice).wg("s", &server).judge("", "vpn: unique-keys");
    assert_eq!(
        copied[1..],
        ["a violated 2: one private key on 2 devices: a and b", "a violated 9: one pre-shared key on 2 devices: a and b"]
    );
}

#[test]
fn every_peer_belongs_to_somebody_who_still_works_here() {
    let text = server(&[
        ("alice", public(ALICE), "10.90.0.2/32"),
        ("bob laptop", public(BOB), "10.90.0.3/32"),
        ("mallory", public(OTHER), "10.90.0.4/32"),
    ]);
    let said = Estate::default()
        .staff(STAFF)
        .wg("alice-laptop", &client(ALICE, "10.90.0.2/32", "0.0.0.0/0", ""))
        .wg("s", &text)
        .judge(WORKERS, "vpn: paired");
    assert_eq!(said[0], "alice-laptop s");
    assert_eq!(
        said[1..],
        [
            "s violated 13: bob left on 2026-08-31 and can still connect as the peer bob laptop".to_owned(),
            "s violated 18: the peer mallory belongs to nobody on the roster, and no device with its key was read".to_owned(),
        ]
    );
}

#[test]
fn a_client_without_a_peer_on_its_server_is_found() {
    let judge = |server: &str| {
        Estate::default()
            .staff(STAFF)
            .wg("alice-laptop", &client(ALICE, "10.90.0.2/32", "0.0.0.0/0", ""))
            .wg("s", server)
            .judge(WORKERS, "vpn: paired\n    on: alice-laptop")
    };
    assert!(judge(&server(&[]))[1].contains("s has no peer with the key of this client"));
    assert!(judge(&server(&[("bob", public(BOB), "10.90.0.3/32")]))[1].contains("s has no peer with the key of this client"));
    assert!(judge(&server(&[("alice", public(ALICE), "10.90.0.9/32")]))[1].contains("s drops what comes from 10.90.0.2"));
    let moved = server(&[("alice", public(ALICE), "10.90.0.2/32")]).replace("51820", "51821");
    assert!(judge(&moved)[1].starts_with("alice-laptop unknown 7: the client connects to port 51820, and s listens on 51821"));
    let alone = Estate::default().wg("a", &client(ALICE, "10.90.0.2/32", "0.0.0.0/0", "")).judge("", "vpn: paired");
    assert!(alone[1].contains("a unknown 6: the client's server was not read"), "{alone:?}");
}

const FIREWALL: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";

fn fw(estate: Estate, device: &str, text: &str) -> Estate {
    estate.file(device, "iptables", "rules.v4", text)
}

#[test]
fn every_office_has_as_many_firewalls_as_it_must_have() {
    let sites =
        "estate: { sites: { head-office: { firewalls: 2, devices: [edge-1, edge-2] }, depot: { firewalls: 1, devices: [depot-fw] } } }";
    let said = fw(fw(Estate::default(), "edge-1", FIREWALL), "depot-fw", FIREWALL)
        .wg("edge-2", &server(&[]))
        .judge(sites, "coverage: firewalls-per-site");
    assert_eq!(
        said,
        ["head-office depot", "- violated 3: head-office must have 2 firewalls, and 1 was read (edge-2 has no packet filter)"]
    );
    let open = "estate: { sites: { a: { firewalls: 1 }, b: { firewalls: 1 } } }";
    assert!(fw(Estate::default(), "x", FIREWALL).judge(open, "coverage: firewalls-per-site")[1].contains("unknown"));
    let said = fw(fw(Estate::default(), "x", FIREWALL), "y", FIREWALL)
        .staff(STAFF)
        .judge("estate: { sites: { a: { firewalls: 1 } }, workers: { roster: staff.csv } }", "coverage: firewalls-per-site");
    assert!(said[1].contains("a must have 1 firewall, and 2 were read (x, y)"), "{said:?}");
}

#[test]
fn every_worker_has_a_firewall_and_a_vpn_and_neither_is_old() {
    let staff = "name,device,left\nalice,alice-laptop,\ncarol,carol-laptop,\ndave,dave-laptop,\nbob,bob-laptop,2026-08-31\n";
    let estate = || {
        fw(Estate::default(), "alice-laptop", FIREWALL)
            .wg("alice-laptop", &client(ALICE, "10.90.0.2/32", "0.0.0.0/0", ""))
            .wg("carol-laptop", &client(BOB, "10.90.0.3/32", "0.0.0.0/0", ""))
            .exported("alice-laptop", "2026-09-15")
            .exported("carol-laptop", "2026-08-01")
            .staff(staff)
    };
    let workers = "estate: { workers: { roster: staff.csv, exported_within: 30d } }";
    let said = estate().judge(workers, "coverage: host-firewalls");
    assert_eq!(
        said,
        [
            "alice carol dave",
            "alice-laptop unknown 2: whether alice-laptop has a host firewall for IPv6 is not known: no IPv6 rules for input were read",
            "carol-laptop violated 3: carol-laptop has no host firewall",
            "dave-laptop violated 4: nothing was read of dave-laptop, the device of dave"
        ]
    );
    assert_eq!(estate().judge(workers, "coverage: vpn-clients").len(), 2);
    let stale = estate().judge(workers, "coverage: fresh-exports");
    assert_eq!(stale[1..], ["carol-laptop violated 3: carol-laptop was exported 61 days ago, on 2026-08-01; 30 are allowed"]);
    // Nothing was asked: nobody is considered, and so nothing holds.
    assert_eq!(estate().judge("estate: { workers: { roster: staff.csv, each: vpn-client } }", "coverage: host-firewalls"), [""]);
    assert_eq!(estate().judge("", "coverage: host-firewalls"), [""]);
}

#[test]
fn whoever_left_has_no_device_and_every_device_belongs_to_somebody() {
    let estate = || fw(fw(Estate::default(), "bob-laptop", FIREWALL), "stray", FIREWALL).staff(STAFF);
    assert_eq!(
        estate().judge(WORKERS, "coverage: leavers")[1..],
        ["bob-laptop violated 3: bob left on 2026-08-31, and bob-laptop is still among the devices"]
    );
    assert_eq!(
        estate().judge(WORKERS, "coverage: known-devices")[1..],
        ["stray violated 1: stray belongs to no site and to nobody on the roster"]
    );
}

#[test]
fn rules_say_why_and_until_when() {
    let text = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:web - [0:0]\n\
        -A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
        -A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp --dport 80 -j web\n\
        -A INPUT -p tcp --dport 443 -m comment --comment \"shop\" -j ACCEPT\n-A web -s 10.0.0.0/8 -j ACCEPT\n\
        -A web -s 192.0.2.0/24 -m comment --comment \"supplier until 2026-09-01\" -j ACCEPT\n\
        -A web -s 192.0.2.0/24 -m comment --comment \"supplier until 2026-12-01\" -j ACCEPT\n-A OUTPUT -j ACCEPT\nCOMMIT\n";
    let said = fw(Estate::default(), "edge", text).judge("", "rule-text: undocumented");
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[1].starts_with("edge violated 8: one rule of ") && said[1].ends_with("lets traffic in and does not say why"), "{said:?}");
    assert!(said[2].starts_with("edge violated 11: "), "{said:?}");
    let said = fw(Estate::default(), "edge", text).judge("", "rule-text: expired");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[1].starts_with("edge violated 12: ") && said[1].ends_with("was to end on 2026-09-01, 30 days ago, and is still in force"),
        "{said:?}"
    );
}

#[test]
fn a_setting_that_was_not_exported_is_unknown() {
    let judge = |sysctl: &str, body: &str| {
        let estate = fw(Estate::default(), "edge", FIREWALL);
        let estate = if sysctl.is_empty() { estate } else { estate.file("edge", "sysctl", "sysctl.txt", sysctl) };
        estate.judge("", body)
    };
    let route = "setting: { name: net.ipv4.conf.all.accept_source_route, one_of: 0 }";
    assert!(judge("", route)[1].starts_with("edge unknown 1: "));
    assert_eq!(judge("net.ipv4.conf.all.accept_source_route = 0\n", route), ["edge"]);
    assert!(
        judge("net.ipv4.conf.all.accept_source_route = 1\n", route)[1]
            .starts_with("edge violated 1: net.ipv4.conf.all.accept_source_route is 1 and must be 0")
    );
    let filter = "setting: { name: net.ipv4.conf.*.rp_filter, one_of: [1, 2], except: [net.ipv4.conf.all.rp_filter, net.ipv4.conf.lo.rp_filter], or: net.ipv4.conf.all.rp_filter }";
    assert_eq!(judge("net.ipv4.conf.all.rp_filter = 2\nnet.ipv4.conf.eth0.rp_filter = 0\n", filter), ["edge"]);
    assert_eq!(
        judge("net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.lo.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 1\n", filter),
        ["edge"]
    );
    assert!(judge("net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\n", filter)[1].contains("eth0.rp_filter is 0"));
    // A device without such settings is not asked.
    let said = Estate::default().file("edge", "pf", "pf.conf", "# office\nblock all\n").judge("", route);
    assert_eq!(said, [""], "{said:?}");
}

#[test]
fn an_attestation_is_overdue_when_its_day_has_passed() {
    let judge = |reviewed: &str, evidence: &str| {
        let text = format!("attest: {{ owner: coo, evidence: {evidence}, reviewed: {reviewed}, every: 12 months }}");
        Estate::default().judge("", &text)
    };
    assert_eq!(judge("2025-10-01", "https://wiki.example"), ["the-check"]);
    assert_eq!(judge("2025-09-30", "https://wiki.example"), ["the-check", "- overdue 5: the review was due on 2026-09-30, 1 day ago"]);
    assert!(judge("2026-10-02", "https://wiki.example")[1].contains("lies in the future"));
    assert!(Estate::default().judge("", "attest: {}")[1].contains("nobody vouches for it"));
}

/// Every check of the shipped rulesets on an estate: id, verdict of its worst finding, first message.
fn shipped(estate: Estate, baseline: &str) -> Vec<String> {
    let Estate { mut sources, devices, secrets, exported, staff } = estate;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("staff.csv"), &staff).unwrap();
    fs::write(folder.path().join("b.yaml"), format!("fwproof: 1\ntitle: t\n{baseline}")).unwrap();
    let baseline = load(&mut sources, &folder.path().join("b.yaml"), &Limits::default()).unwrap_or_else(|e| panic!("{e:#?}"));
    let redactor = Redactor::new(&sources, secrets);
    let devices: Vec<Device> = devices.into_values().collect();
    let world = baseline.world(&devices, &sources, &redactor, "2026-10-01".parse().unwrap(), exported);
    let mut said = Vec::new();
    for entry in &baseline.checks {
        let outcome = entry.check.run(&world, &entry.spec);
        assert_eq!(outcome.incomplete, [""; 0], "{}", entry.spec.id);
        let worst = outcome.findings.iter().max_by_key(|f| f.verdict);
        let verdict = worst.map_or(if outcome.considered.is_empty() { "nothing" } else { "holds" }, |f| f.verdict.name());
        said.push(format!("{} {verdict} {}", entry.spec.id, worst.map_or("", |f| &f.message)).trim_end().to_owned());
    }
    said
}

#[test]
fn a_worker_with_everything_in_order_satisfies_the_shipped_ruleset() {
    let firewall = "table inet f {\n chain i { type filter hook input priority 0; policy drop; iifname lo accept\n ct state established,related accept\n }\n chain o { type filter hook output priority 0; policy drop; oifname { lo, wg0 } accept\n udp dport 51820 accept\n }\n}\n";
    let estate = Estate::default()
        .staff("name,device\nalice,alice-laptop\n")
        .wg("alice-laptop", &client(ALICE, "10.90.0.2/32", "0.0.0.0/0, ::/0", "DNS = 10.90.0.1"))
        .file("alice-laptop", "nftables", "fw.nft", firewall)
        .wg("gate", &server(&[("alice", public(ALICE), "10.90.0.2/32")]))
        .exported("alice-laptop", "2026-09-30");
    let workers = "roster: staff.csv, each: [host-firewall, vpn-client, kill-switch], exported_within: 30d";
    let said = shipped(estate, &format!("use: remote-worker\nestate: {{ workers: {{ {workers} }} }}\n"));
    // Its firewall has no profiles, and is not asked for them; nor is it for what no export of it can show.
    const NOT_SHOWN: [&str; 7] = [
        "worker-firewall-",
        "worker-inbound-blocked-",
        "worker-offers-no-remote-control",
        "worker-exports-are-unchanged",
        "worker-exports-are-of-their-host",
        "vpn-asks-for-a-second-factor",
        "vpn-sessions-end",
    ];
    let not_shown = |s: &str| s.ends_with(" nothing") && NOT_SHOWN.iter().any(|id| s.starts_with(id));
    let not: Vec<&String> = said.iter().filter(|s| !s.ends_with(" holds") && !not_shown(s)).collect();
    assert!(not.is_empty() && said.len() == 29, "{said:#?}");
}

#[test]
fn every_shipped_check_runs_on_a_baseline_of_two_zones() {
    let rules = FIREWALL.replace("COMMIT", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT");
    let estate = fw(Estate::default().staff("name\nalice\n"), "edge", &rules);
    let said = shipped(
        estate,
        "use: [customer-data, network-edge, estate]\nzones: { internet: { addresses: public }, customer-data: { addresses: 10.4.20.10 } }\nestate: { sites: { office: { firewalls: 1, devices: edge } } }\n",
    );
    // IPv6 was not exported, and nothing says what the kernel's settings are: neither is green.
    let of = |id: &str| said.iter().find(|s| s.starts_with(&format!("{id} "))).cloned().unwrap_or_default();
    assert_eq!(of("firewalls-per-site"), "firewalls-per-site holds");
    assert_eq!(of("every-device-is-known"), "every-device-is-known holds");
    assert!(of("source-routing-off").starts_with("source-routing-off unknown"), "{said:#?}");
    assert!(of("privacy-policy").starts_with("privacy-policy overdue"), "{said:#?}");
    assert_eq!(of("no-expired-rule"), "no-expired-rule holds");
    assert!(!said.iter().any(|s| s.contains("violated") && s.starts_with("customer-data-")), "{said:#?}");
}
