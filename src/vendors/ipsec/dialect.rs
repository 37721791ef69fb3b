//! Which of the two programs an `ipsec.conf` is for, and the parameters that each has.

use crate::diag::LineState;

/// A program that reads `ipsec.conf`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// strongSwan's starter.
    StrongSwan,
    /// libreswan, and Openswan before it.
    Libreswan,
    /// Nothing in the file tells.
    Unknown,
}

/// Parameters of strongSwan alone (its `keywords.txt`), with those of an end without `left` or `right`.
const STRONGSWAN: &[&str] = &[
    "charondebug", "cachecrls", "strictcrlpolicy", "charonstart", "plutostart", "installpolicy", "eap_identity", "aaa_identity", "forceencaps",
    "ikedscp", "marginbytes", "marginpackets", "lifebytes", "lifepackets", "margintime", "closeaction", "inactivity", "modeconfig", "xauth",
    "xauth_identity", "mediation", "mediated_by", "me_peerid", "mark_in", "mark_out", "eap", "nocrsend", "cacert", "crluri", "crluri1",
    "crluri2", "ocspuri", "ocspuri1", "ocspuri2", "certuribase", "ldaphost", "ldapbase", "%firewall", "%hostaccess", "%allowany", "%dns",
    "%auth2", "%id2", "%cert2", "%ca2", "%certpolicy", "%groups", "%groups2", "%sigkey", "%subnetwithin", "replay_window",
];

/// Parameters of libreswan alone (its `keywords.c`, with older names).
const LIBRESWAN: &[&str] = &[
    "ikev2", "ikev1-policy", "phase2alg", "phase2", "pfs", "protostack", "virtual_private", "virtual-private", "plutodebug", "plutostderrlog",
    "logfile", "logtime", "logappend", "logip", "audit-log", "dnssec-enable", "dnssec-rootkey-file", "dnssec-anchors", "ipsecdir", "nssdir",
    "secretsfile", "statsbin", "shuntlifetime", "global-redirect", "global-redirect-to", "crl-strict", "ocsp-strict", "ocsp-enable", "ocsp-uri",
    "ocsp-timeout", "ocsp-trustname", "ocsp-cache-size", "ocsp-cache-min-age", "ocsp-cache-max-age", "ocsp-method", "ddos-mode", "seccomp",
    "ddos-ike-threshold", "max-halfopen-ike", "ike-socket-bufsize", "ike-socket-errqueue", "nflog-all", "nflog", "xfrmlifetime", "seedbits",
    "keep-alive", "listen-tcp", "listen-udp", "listen", "nhelpers", "drop-oppo-null", "curl-iface", "curl-timeout", "myvendorid", "syslog",
    "debug", "oe", "perpeerlog", "perpeerlogdir", "nat_traversal", "hostaddrfamily", "clientaddrfamily", "connaddrfamily", "ppk", "ppk-ids",
    "intermediate", "esn", "decap-dscp", "encap-dscp", "nopmtudisc", "narrowing", "pam-authorize", "send-redirect", "redirect-to",
    "accept-redirect", "accept-redirect-to", "nat-keepalive", "nat_keepalive", "initial-contact", "initial_contact", "cisco-unity",
    "cisco_unity", "send-no-esp-tfc", "iptfs", "iptfs-dont-frag", "iptfs-packet-size", "iptfs-max-queue-size", "iptfs-init-delay",
    "iptfs-reorder-window", "iptfs-drop-time", "fake-strongswan", "send-vendorid", "send_vendorid", "sha2-truncbug", "sha2_truncbug",
    "ms-dh-downgrade", "pfs-rekey-workaround", "require-id-on-certificate", "dns-match-id", "ipsec-max-bytes", "ipsec-max-packets",
    "ipsec-lifetime", "salifetime", "retransmit-timeout", "retransmit-interval", "ikepad", "nat-ikev1-method", "policy-label", "sec-label",
    "labeled_ipsec", "remote-peer-type", "remote_peer_type", "nm-configured", "nm_configured", "xauthby", "xauthfail", "modecfgpull",
    "modecfgdns", "modecfgdns1", "modecfgdns2", "modecfgdomains", "modecfgdomain", "modecfgbanner", "ignore-peer-dns", "mark-in", "mark-out",
    "vti-interface", "vti-routing", "vti-shared", "ipsec-interface", "nic-offload", "encapsulation", "overlapip", "replay-window",
    "failureshunt", "negotiationshunt", "enable-tcp", "tcp-remoteport", "connalias", "metric", "ikev1-dpdtimeout", "sendca", "mtu", "priority",
    "aggrmode", "authenticateby", "fragicmp", "forceencaps", "%subnets", "%interface-ip", "%vti", "%nexthop", "%ecdsakey", "%pubkey", "%ckaid",
    "%xauthserver", "%xauthclient", "%modecfgserver", "%modecfgclient", "%modeconfigserver", "%modeconfigclient", "%username",
    "%xauthusername", "%addresspool", "%cat", "%autheap", "%groundhog", "nm-configured",
];

/// Parameters of both.
const BOTH: &[&str] = &[
    "uniqueids", "keyexchange", "type", "compress", "aggressive", "authby", "mobike", "fragmentation", "ikelifetime", "lifetime", "keylife",
    "rekeymargin", "keyingtries", "rekeyfuzz", "rekey", "reauth", "ike", "esp", "ah", "dpddelay", "dpdtimeout", "dpdaction", "reqid", "mark",
    "tfc", "also", "auto", "interfaces", "dumpdir", "klipsdebug", "crlcheckinterval", "overridemtu", "hidetos", "keep_alive",
    "force_keepalive", "prepluto", "postpluto", "packetdefault", "plutowait", "plutoload", "myid", "auth", "pfsgroup", "pkcs11module",
    "pkcs11initargs", "pkcs11keepstate", "pkcs11proxy", "%", "%subnet", "%sourceip", "%ikeport", "%protoport", "%id", "%rsasigkey", "%cert",
    "%sendcert", "%ca", "%updown", "%auth",
];

/// A parameter without the end that it is about: `leftid` and `rightid` are `%id`.
pub(super) fn general(key: &str) -> String {
    let rest = key.strip_prefix("left").or_else(|| key.strip_prefix("right"));
    rest.map_or_else(|| key.to_owned(), |r| format!("%{}", r.strip_prefix('-').unwrap_or(r)))
}

/// The program whose parameters a file has, more of one than of the other.
pub(super) fn of<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> Dialect {
    let (mut strong, mut libre) = (0, 0);
    for (key, value) in params {
        let key = general(key);
        strong += usize::from(STRONGSWAN.contains(&key.as_str()) && !LIBRESWAN.contains(&key.as_str()));
        libre += usize::from(LIBRESWAN.contains(&key.as_str()) && !STRONGSWAN.contains(&key.as_str()));
        match key.as_str() {
            // The exclamation mark is strongSwan's; `;` and `+` are libreswan's.
            "ike" | "esp" | "ah" if value.contains('!') => strong += 1,
            "ike" | "esp" | "ah" if value.contains([';', '+', '_']) || value.contains("-dh") => libre += 1,
            "keyexchange" if matches!(value, "ikev1" | "ikev2") => strong += 1,
            // Each word of a round of authentication.
            "%auth" if matches!(value, "pubkey" | "psk" | "xauth" | "eap") || value.starts_with("eap-") => strong += 1,
            "%auth" if matches!(value, "secret" | "rsasig" | "null" | "eaponly") => libre += 1,
            "authby" if matches!(value, "psk" | "pubkey" | "xauthpsk" | "xauthrsasig" | "eap") => strong += 1,
            "%sourceip" if value.starts_with('%') || value.contains('/') => strong += 1,
            "auto" if value == "ondemand" || value == "keep" => libre += 1,
            _ => {}
        }
    }
    match strong.cmp(&libre) {
        std::cmp::Ordering::Greater => Dialect::StrongSwan,
        std::cmp::Ordering::Less => Dialect::Libreswan,
        std::cmp::Ordering::Equal => Dialect::Unknown,
    }
}

/// What a parameter is to the checks, whichever program it is of; `None` if neither has it.
pub(super) fn state(key: &str) -> Option<LineState> {
    // `x-` and `x_` begin comments in the form of parameters (libreswan's ipsec.conf(5)).
    if key.starts_with("x-") || key.starts_with("x_") {
        return Some(LineState::Irrelevant);
    }
    let key = general(key);
    let key = key.as_str();
    if NOT_MODELLED.contains(&key) {
        Some(LineState::NotModelled)
    } else if UNDERSTOOD.contains(&key) {
        Some(LineState::Understood)
    } else if [STRONGSWAN, LIBRESWAN, BOTH].iter().any(|l| l.contains(&key)) {
        Some(LineState::Irrelevant)
    } else {
        None
    }
}

/// What the lowering makes use of.
const UNDERSTOOD: &[&str] = &[
    "also", "auto", "type", "keyexchange", "ikev2", "authby", "authenticateby", "aggressive", "aggrmode", "mobike", "ikelifetime", "lifetime",
    "keylife", "salifetime", "ipsec-lifetime", "ike", "esp", "ah", "phase2alg", "phase2", "pfs", "pfsgroup", "dpddelay", "dpdtimeout",
    "ikev1-dpdtimeout", "dpdaction", "compress", "mark", "mark_in", "mark_out", "mark-in", "mark-out", "vti-interface", "vti-routing",
    "ipsec-interface", "modecfgdns", "modecfgdns1", "modecfgdns2", "modecfgdomains", "modecfgdomain", "xauth", "xauthby", "auth", "inactivity",
    "reauth", "rekey", "narrowing", "uniqueids", "ikev1-policy", "eap", "%", "%subnet", "%subnets", "%subnetwithin", "%sourceip",
    "%addresspool", "%ikeport", "%protoport", "%id", "%auth", "%auth2", "%dns", "%xauthserver", "%xauthclient", "%modecfgclient",
    "%modecfgserver", "%modeconfigclient", "%modeconfigserver", "%cert", "%rsasigkey", "%ecdsakey", "%pubkey", "%sigkey", "%autheap",
];

/// What may change where traffic goes, and is not looked at.
const NOT_MODELLED: &[&str] = &["%updown", "%firewall", "failureshunt", "negotiationshunt", "installpolicy", "%cat", "overlapip", "mediation"];
