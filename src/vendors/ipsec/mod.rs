//! IPsec of strongSwan and libreswan: `ipsec.conf` in both dialects, `swanctl.conf`, and `ipsec.secrets`.
//!
//! [`conf`] and [`swan_tree`] make sections with spans of the text; [`connections`] and [`swanctl`] make tunnels of them, with what both share in
//! [`tunnel`]. Facts are from strongSwan's ipsec.conf(5), swanctl.conf(5), ipsec.secrets(5) and strongswan.conf(5), and from libreswan's
//! ipsec.conf(5) and ipsec.secrets(5).

mod conf;
mod connections;
mod dialect;
mod secrets;
mod swan_tree;
mod swanctl;
mod swanctl_words;
#[cfg(test)]
mod tests;
mod tunnel;
mod words;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

/// `ipsec.conf`.
pub static IPSEC_CONF: Format = Format {
    id: "ipsec-conf",
    title: "ipsec.conf (strongSwan, libreswan)",
    export: "sudo cat /etc/ipsec.conf /etc/ipsec.d/*.conf   (into a folder each, or joined)",
    covers: &[
        "connections of both dialects with conn %default, also=, include",
        "all proposals of ike, esp, ah, phase2alg, and the defaults of either program",
        "IKE versions, authentication of each round, traffic selectors, virtual addresses",
        "shunts (type=passthrough, drop, reject)",
        "pre-shared keys of an ipsec.secrets beside it, compared and never shown",
    ],
    leaves: &["updown scripts", "marks and interfaces that other routes lead to", "certificates", "opportunistic encryption"],
    role: Role::Vpn,
    detect: conf::detect,
    read: connections::read,
    includes: Some(conf::includes),
};

/// `ipsec.secrets`.
pub static IPSEC_SECRETS: Format = Format {
    id: "ipsec-secrets",
    title: "ipsec.secrets",
    export: "not needed: pre-shared keys can be compared if it lies beside ipsec.conf; they are never shown",
    covers: &["pre-shared keys, passwords and private keys, all hidden"],
    leaves: &["keys in other files"],
    role: Role::Companion,
    detect: secrets::detect,
    read: secrets::read,
    includes: Some(secrets::includes),
};

/// `swanctl.conf`.
pub static SWANCTL: Format = Format {
    id: "swanctl",
    title: "swanctl.conf (strongSwan)",
    export: "sudo cat /etc/swanctl/swanctl.conf   (with the files of conf.d beside it)",
    covers: &[
        "connections with their rounds of authentication and children, references to sections, include",
        "all proposals, and strongSwan's defaults",
        "traffic selectors, virtual addresses, pools with what they hand out",
        "shunts (mode = pass, drop)",
        "pre-shared keys, compared and never shown",
    ],
    leaves: &["updown scripts", "marks and XFRM interfaces that other routes lead to", "certificates"],
    role: Role::Vpn,
    detect: swanctl::detect,
    read: swanctl::read,
    includes: Some(swanctl::includes),
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 64 << 10;

fn certain(why: &'static str) -> Option<Detection> {
    Some(Detection { confidence: Confidence::Certain, why })
}

fn head(file: &SourceFile) -> &str {
    file.head(DETECTED)
}
