//! RouterOS filters with Linux netfilter. Policies of both, written for the same purpose: what is read of them lets exactly the same packets through,
//! on every way, in both families.
#![allow(missing_docs)]

use fwproof::model::Device;
use fwproof::vendors::format;

mod equal_sets;

/// A router whose interfaces are known.
const ROUTER: &str = "# 2025-05-06 07:08:09 by RouterOS 7.15.3
/interface ethernet
set [ find default-name=ether1 ] name=wan
set [ find default-name=ether2 ] name=lan
set [ find default-name=ether3 ] name=dmz
/ip address
add address=203.0.113.2/24 interface=wan network=203.0.113.0
add address=10.1.0.1/16 interface=lan network=10.1.0.0
add address=192.0.2.1/24 interface=dmz network=192.0.2.0
/ipv6 address
add address=2001:db8:1::1/64 interface=lan
";

fn read(id: &str, text: &str) -> Device {
    let (file, reading) = format(id).expect("a format").read_text("x", text);
    let bad: Vec<_> = reading.notes.iter().map(|n| (file.place(n.span.start).line, &n.text)).collect();
    assert!(bad.is_empty(), "{id}: {bad:?}");
    reading.device
}

/// The two are equal, and no packet was left out for a condition.
fn equal(routeros: &str, nftables: &str) {
    let ours = read("routeros", &format!("{ROUTER}{routeros}"));
    let mut theirs = read("nftables", &format!("flush ruleset\n{nftables}"));
    theirs.interfaces.clone_from(&ours.interfaces);
    theirs.routes.clone_from(&ours.routes);
    // What nftables alone does with later fragments that are not tracked; the matchers of RouterOS are those of iptables.
    theirs.reads_fragments = false;
    let (found, compared, left_out) = equal_sets::differences(("RouterOS", &ours), ("nftables", &theirs));
    assert!(found.is_empty(), "{found:#?}");
    assert!(compared > 0);
    assert_eq!(left_out, 0);
}

#[test]
fn a_filter_of_states_lists_and_ports_is_that_of_nftables() {
    equal(
        "/interface list
add name=WAN
add exclude=WAN include=all name=INSIDE
/interface list member
add interface=wan list=WAN
/ip firewall address-list
add address=10.1.0.10-10.1.0.19 list=admins
add address=10.1.9.0/24 list=admins
add address=10.1.9.9 disabled=yes list=admins
/ip firewall filter
add action=accept chain=input connection-state=established,related,untracked
add action=drop chain=input connection-state=invalid
add action=accept chain=input icmp-options=8:0-255 protocol=icmp
add action=accept chain=input dst-port=22,8291 protocol=tcp src-address-list=admins
add action=accept chain=input dst-port=53 in-interface-list=INSIDE protocol=udp
add action=drop chain=input connection-state=!new
add action=drop chain=input in-interface=!lan
add action=drop chain=input dst-port=!1000-2000 protocol=udp
add action=drop chain=input protocol=!udp
add action=reject chain=forward out-interface=dmz protocol=tcp reject-with=tcp-reset src-address-list=!admins
add action=accept chain=forward out-interface=dmz
add chain=forward port=80,443 protocol=tcp
add action=drop chain=forward in-interface-list=WAN
",
        "table ip filter {
    set admins { type ipv4_addr; flags interval; elements = { 10.1.0.10-10.1.0.19, 10.1.9.0/24 } }
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related,untracked accept
        ct state invalid drop
        icmp type 8 accept
        tcp dport { 22, 8291 } ip saddr @admins accept
        iifname != \"wan\" udp dport 53 accept
        ct state != new drop
        iifname != \"lan\" drop
        udp dport != 1000-2000 drop
        ip protocol != 17 drop
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        oifname \"dmz\" meta l4proto tcp ip saddr != @admins reject with tcp reset
        oifname \"dmz\" accept
        tcp dport { 80, 443 } accept
        tcp sport { 80, 443 } accept
        iifname \"wan\" drop
    }
}
",
    );
}

#[test]
fn translation_comes_before_and_behind_the_filter_as_in_nftables() {
    equal(
        "/ip firewall filter
add action=accept chain=forward connection-state=established,related
add action=drop chain=forward connection-nat-state=!dstnat connection-state=new in-interface=wan
add action=drop chain=forward connection-nat-state=dstnat dst-address=192.0.2.81
add action=drop chain=forward src-address=203.0.113.0/24
add action=accept chain=input connection-state=new dst-port=8080 protocol=tcp
add action=drop chain=input
/ip firewall nat
add action=accept chain=dstnat src-address=198.51.100.7
add action=dst-nat chain=dstnat dst-address=203.0.113.2 dst-port=443 in-interface=wan protocol=tcp to-addresses=192.0.2.80
add action=dst-nat chain=dstnat dst-address=203.0.113.2 dst-port=8443 in-interface=wan protocol=tcp to-addresses=192.0.2.81 to-ports=443
add action=redirect chain=dstnat dst-port=80 in-interface=lan protocol=tcp to-ports=8080
add action=jump chain=dstnat in-interface=dmz jump-target=from-dmz
add action=return chain=from-dmz dst-address=192.0.2.0/24
add action=dst-nat chain=from-dmz dst-port=53 protocol=udp to-addresses=10.1.0.53
add action=masquerade chain=srcnat out-interface=wan
add action=src-nat chain=srcnat out-interface=dmz src-address=10.1.0.0/16 to-addresses=192.0.2.1
",
        "table ip filter {
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct state established,related accept
        iifname \"wan\" ct state new ct status ! dnat drop
        ct status dnat ip daddr 192.0.2.81 drop
        ip saddr 203.0.113.0/24 drop
    }
    chain input {
        type filter hook input priority filter; policy accept;
        ct state new tcp dport 8080 accept
        drop
    }
}
table ip nat {
    chain from-dmz {
        ip daddr 192.0.2.0/24 return
        udp dport 53 dnat to 10.1.0.53
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        ip saddr 198.51.100.7 accept
        iifname \"wan\" ip daddr 203.0.113.2 tcp dport 443 dnat to 192.0.2.80
        iifname \"wan\" ip daddr 203.0.113.2 tcp dport 8443 dnat to 192.0.2.81:443
        iifname \"lan\" tcp dport 80 redirect to :8080
        iifname \"dmz\" jump from-dmz
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname \"wan\" masquerade
        oifname \"dmz\" ip saddr 10.1.0.0/16 snat to 192.0.2.1
    }
}
",
    );
}

#[test]
fn chains_are_called_and_left_as_in_nftables() {
    equal(
        "/ip firewall filter
add action=jump chain=forward in-interface=wan jump-target=outer
add action=return chain=forward dst-address=192.0.2.9
add action=jump chain=forward jump-target=empty
add action=log chain=forward log-prefix=seen
add action=passthrough chain=forward
add action=drop chain=forward protocol=udp
add action=jump chain=outer jump-target=inner protocol=tcp
add action=drop chain=outer
add action=return chain=inner dst-port=1-1023 protocol=tcp
add action=accept chain=inner dst-port=8000-8100 protocol=tcp
add action=drop chain=inner disabled=yes
add action=tarpit chain=inner protocol=tcp src-address=198.51.100.0/24
add action=return chain=output dst-address=10.1.0.0/16
add action=drop chain=output protocol=gre
add action=drop chain=output protocol=ospf
",
        "table ip filter {
    chain empty { }
    chain inner {
        tcp dport 1-1023 return
        tcp dport 8000-8100 accept
        meta l4proto tcp ip saddr 198.51.100.0/24 drop
    }
    chain outer {
        meta l4proto tcp jump inner
        drop
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname \"wan\" jump outer
        ip daddr 192.0.2.9 return
        jump empty
        log prefix \"seen\"
        counter
        meta l4proto udp drop
    }
    chain output {
        type filter hook output priority filter; policy accept;
        ip daddr 10.1.0.0/16 return
        meta l4proto 47 drop
        meta l4proto 89 drop
    }
}
",
    );
}

#[test]
fn raw_and_mangle_stand_where_those_of_nftables_stand() {
    equal(
        "/ip firewall address-list
add address=10.0.0.0/8 list=bogons
add address=192.168.0.0/16 list=bogons
/ip firewall raw
add action=accept chain=prerouting protocol=icmp
add action=drop chain=prerouting in-interface=wan src-address-list=bogons
add action=drop chain=output dst-address-list=bogons dst-port=25 protocol=tcp
/ip firewall mangle
add action=mark-connection chain=prerouting connection-mark=no-mark in-interface=wan new-connection-mark=outer passthrough=yes
add action=mark-packet chain=prerouting connection-mark=outer new-packet-mark=slow passthrough=no
add action=mark-packet chain=prerouting new-packet-mark=rest
add action=mark-packet chain=forward dst-port=443 new-packet-mark=quick protocol=tcp
/ip firewall filter
add action=drop chain=forward packet-mark=slow
add action=drop chain=forward connection-mark=!outer packet-mark=quick src-address=10.1.7.0/24
add action=drop chain=input packet-mark=!rest
",
        "table ip raw {
    set bogons { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.0.0/16 } }
    chain prerouting {
        type filter hook prerouting priority raw; policy accept;
        meta l4proto icmp accept
        iifname \"wan\" ip saddr @bogons drop
    }
    chain output {
        type filter hook output priority raw; policy accept;
        ip daddr @bogons tcp dport 25 drop
    }
}
table ip mangle {
    chain prerouting {
        type filter hook prerouting priority mangle; policy accept;
        iifname \"wan\" ct mark 0 ct mark set 1
        ct mark 1 meta mark set 2 accept
        meta mark set 3
    }
    chain forward {
        type filter hook forward priority mangle; policy accept;
        tcp dport 443 meta mark set 4
    }
}
table ip filter {
    chain forward {
        type filter hook forward priority filter; policy accept;
        meta mark 2 drop
        ct mark != 1 meta mark 4 ip saddr 10.1.7.0/24 drop
    }
    chain input {
        type filter hook input priority filter; policy accept;
        meta mark != 3 drop
    }
}
",
    );
}

#[test]
fn fields_of_the_header_are_read_as_by_nftables() {
    equal(
        "/ip firewall filter
add action=drop chain=forward protocol=tcp tcp-flags=syn,!ack,!fin,!rst
add action=drop chain=forward ttl=less-than:5
add action=drop chain=forward packet-size=!0-1400
add action=drop chain=forward dscp=46
add action=drop chain=forward dst-address-type=!unicast
add action=drop chain=forward src-address-type=local,multicast
add action=drop chain=forward icmp-options=3:4 protocol=icmp
add action=drop chain=forward protocol=132 src-port=!5000-6000
add action=drop chain=forward dst-address=10.1.0.5-10.1.0.9
",
        "table ip filter {
    chain forward {
        type filter hook forward priority filter; policy accept;
        tcp flags & (syn|ack|fin|rst) == syn drop
        ip ttl < 5 drop
        meta length > 1400 drop
        ip dscp 46 drop
        fib daddr type != unicast drop
        fib saddr type { local, multicast } drop
        icmp type 3 icmp code 4 drop
        sctp sport != 5000-6000 drop
        ip daddr 10.1.0.5-10.1.0.9 drop
    }
}
",
    );
}

#[test]
fn ipv6_is_filtered_as_by_nftables() {
    equal(
        "/ipv6 firewall address-list
add address=fd12:672e:6f65:8899::/64 list=allowed
add address=fe80::/10 list=allowed
/ipv6 firewall filter
add action=accept chain=input connection-state=established,related
add action=accept chain=input protocol=icmpv6
add action=accept chain=input dst-port=546 protocol=udp src-address=fe80::/10
add action=accept chain=input port=33434-33534 protocol=udp
add action=drop chain=input in-interface=wan src-address=fe80::/10
add action=accept chain=input src-address-list=allowed
add action=drop chain=input
add action=accept chain=forward connection-state=established,related
add action=drop chain=forward hop-limit=equal:1 protocol=icmpv6
add action=accept chain=forward icmp-options=128:0-255 protocol=icmpv6
add action=accept chain=forward in-interface=!wan src-address-list=allowed
add action=drop chain=forward
",
        "table ip6 filter {
    set allowed { type ipv6_addr; flags interval; elements = { fd12:672e:6f65:8899::/64, fe80::/10 } }
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        meta l4proto icmpv6 accept
        ip6 saddr fe80::/10 udp dport 546 accept
        udp dport 33434-33534 accept
        udp sport 33434-33534 accept
        iifname \"wan\" ip6 saddr fe80::/10 drop
        ip6 saddr @allowed accept
        drop
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct state established,related accept
        meta l4proto icmpv6 ip6 hoplimit 1 drop
        icmpv6 type 128 accept
        iifname != \"wan\" ip6 saddr @allowed accept
        drop
    }
}
",
    );
}
