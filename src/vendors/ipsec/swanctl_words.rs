//! The keys of `swanctl.conf` (swanctl.conf(5)), by where they stand.

use crate::diag::LineState::{self, Irrelevant, NotModelled, Understood};

/// Keys of a connection.
const CONNECTION: &[(&str, LineState)] = &[
    ("version", Understood),
    ("local_addrs", Understood),
    ("remote_addrs", Understood),
    ("local_port", Understood),
    ("remote_port", Understood),
    ("proposals", Understood),
    ("vips", Understood),
    ("aggressive", Understood),
    ("pull", Irrelevant),
    ("dscp", Irrelevant),
    ("encap", Irrelevant),
    ("mobike", Understood),
    ("dpd_delay", Understood),
    ("dpd_timeout", Understood),
    ("fragmentation", Irrelevant),
    ("childless", Irrelevant),
    ("send_certreq", Irrelevant),
    ("send_cert", Irrelevant),
    ("ocsp", Irrelevant),
    ("ppk_id", Understood),
    ("ppk_required", Understood),
    ("keyingtries", Irrelevant),
    ("unique", Understood),
    ("reauth_time", Understood),
    ("rekey_time", Understood),
    ("over_time", Irrelevant),
    ("rand_time", Irrelevant),
    ("pools", Understood),
    ("if_id_in", Understood),
    ("if_id_out", Understood),
    ("mediation", NotModelled),
    ("mediated_by", NotModelled),
    ("mediation_peer", NotModelled),
];

/// Keys of a round of authentication.
const ROUND: &[(&str, LineState)] = &[
    ("auth", Understood),
    ("id", Understood),
    ("eap_id", Understood),
    ("aaa_id", Irrelevant),
    ("xauth_id", Irrelevant),
    ("round", Irrelevant),
    ("certs", Irrelevant),
    ("pubkeys", Irrelevant),
    ("cacerts", Irrelevant),
    ("ca_id", Irrelevant),
    ("groups", Irrelevant),
    ("cert_policy", Irrelevant),
    ("revocation", Understood),
    ("file", Irrelevant),
    ("handle", Irrelevant),
    ("slot", Irrelevant),
    ("module", Irrelevant),
];

/// Keys of a child.
const CHILD: &[(&str, LineState)] = &[
    ("ah_proposals", Understood),
    ("esp_proposals", Understood),
    ("sha256_96", Irrelevant),
    ("local_ts", Understood),
    ("remote_ts", Understood),
    ("rekey_time", Understood),
    ("life_time", Understood),
    ("rand_time", Irrelevant),
    ("rekey_bytes", Irrelevant),
    ("life_bytes", Irrelevant),
    ("rand_bytes", Irrelevant),
    ("rekey_packets", Irrelevant),
    ("life_packets", Irrelevant),
    ("rand_packets", Irrelevant),
    ("updown", NotModelled),
    ("hostaccess", Irrelevant),
    ("mode", Understood),
    ("policies", Understood),
    ("policies_fwd_out", Irrelevant),
    ("dpd_action", Understood),
    ("ipcomp", Understood),
    ("inactivity", Understood),
    ("reqid", Irrelevant),
    ("priority", NotModelled),
    ("interface", NotModelled),
    ("mark_in", Understood),
    ("mark_in_sa", Irrelevant),
    ("mark_out", Understood),
    ("set_mark_in", Understood),
    ("set_mark_out", Understood),
    ("if_id_in", Understood),
    ("if_id_out", Understood),
    ("label", NotModelled),
    ("label_mode", NotModelled),
    ("tfc_padding", Irrelevant),
    ("replay_window", Irrelevant),
    ("per_cpu_sas", Irrelevant),
    ("hw_offload", Irrelevant),
    ("copy_df", Irrelevant),
    ("copy_ecn", Irrelevant),
    ("copy_dscp", Irrelevant),
    ("start_action", Understood),
    ("close_action", Irrelevant),
];

/// Attributes that a pool hands out.
const POOL: &[(&str, LineState)] = &[
    ("addrs", Understood),
    ("dns", Understood),
    ("nbns", Irrelevant),
    ("dhcp", Irrelevant),
    ("netmask", Irrelevant),
    ("server", Irrelevant),
    ("subnet", Understood),
    ("split_include", Understood),
    ("split_exclude", Understood),
];

/// Keys of a certification authority.
const AUTHORITY: &[&str] = &["cacert", "file", "handle", "slot", "module", "crl_uris", "ocsp_uris", "cert_uri_base"];

/// What a key is to the checks, by the path of sections in which it stands; `None` if nothing there has such a key. Sections outside of the four
/// that swanctl.conf(5) knows hold what others refer to: any key of a connection or a child may stand there.
pub(super) fn state(path: &[&str], key: &str) -> Option<LineState> {
    let of = |list: &[(&str, LineState)]| list.iter().find(|(k, _)| *k == key).map(|(_, s)| *s);
    let numeric = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
    match path {
        ["connections", _] => of(CONNECTION),
        ["connections", _, "children", _] => of(CHILD),
        ["connections", _, round, ..] if is_round(round) => of(ROUND),
        ["secrets", _] => {
            let known = key.starts_with("id") || matches!(key, "secret" | "file" | "pin" | "handle" | "slot" | "module");
            known.then_some(Understood)
        }
        ["pools", _] => of(POOL).or(numeric.then_some(Irrelevant)),
        ["authorities", _] => AUTHORITY.contains(&key).then_some(Irrelevant),
        [first, ..] if !matches!(*first, "connections" | "secrets" | "pools" | "authorities") => {
            of(CONNECTION).or_else(|| of(CHILD)).or_else(|| of(ROUND)).or_else(|| of(POOL))
        }
        _ => None,
    }
}

/// Whether a section of a connection is a round of authentication of one end: `local`, `remote-eap`.
pub(super) fn is_round(name: &str) -> bool {
    name.starts_with("local") || name.starts_with("remote")
}

/// Keys that tell `swanctl.conf` from other files with braces.
pub(super) const TELLING: &[&str] = &[
    "local_addrs",
    "remote_addrs",
    "proposals",
    "esp_proposals",
    "local_ts",
    "remote_ts",
    "start_action",
    "auth",
    "rekey_time",
    "dpd_delay",
    "if_id_in",
    "pools",
    "vips",
    "mobike",
];
