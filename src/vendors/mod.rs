//! Readers of configuration formats: one folder per format family.
//!
//! A format is a plain [`Format`] value: facts and two functions. To add one, write `vendors/<id>/` and add its two
//! lines here (`mod` and the entry in [`FORMATS`]). The smallest complete one to copy is `wireguard`.

mod fortios;
mod netfilter;
mod openvpn;
mod openwrt;
mod pf;
mod pfsense;
mod reader;
mod wireguard;

pub use reader::{Confidence, Detection, Format, Reader, Reading, Role};

use crate::source::SourceFile;

/// Every format that fwproof reads, by id.
pub static FORMATS: &[&Format] = &[
    &netfilter::FIREWALLD,
    &netfilter::FIREWALLD_LIST,
    &netfilter::FIREWALLD_OBJECT,
    &fortios::FORTIOS,
    &pf::IFCONFIG,
    &netfilter::IP_ADDR,
    &netfilter::IP_ROUTE,
    &netfilter::IPSET,
    &netfilter::IPTABLES,
    &netfilter::IPTABLES_LIST,
    &netfilter::NFTABLES,
    &netfilter::NFTABLES_JSON,
    &openvpn::OPENVPN,
    &openwrt::OPENWRT,
    &pf::PF,
    &pfsense::OPNSENSE,
    &pfsense::PFSENSE,
    &netfilter::SYSCTL,
    &wireguard::WIREGUARD,
];

/// The format of an id.
pub fn format(id: &str) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|f| f.id == id)
}

/// What every format says of a file, the most confident first; formats that say nothing are left out.
pub fn detect(file: &SourceFile) -> Vec<(&'static Format, Detection)> {
    let mut found: Vec<_> = FORMATS.iter().filter_map(|f| (f.detect)(file).map(|d| (*f, d))).collect();
    found.sort_by(|a, b| b.1.confidence.cmp(&a.1.confidence).then(a.0.id.cmp(b.0.id)));
    found
}
