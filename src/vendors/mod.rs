//! Readers of configuration formats: one folder per format family.
//!
//! A format is a plain [`Format`] value: facts and two functions. To add one, write `vendors/<id>/` and add its two
//! lines here (`mod` and the entry in [`FORMATS`]). The smallest complete one to copy is `wireguard`.

mod anyconnect;
mod apple;
mod collected;
mod forticlient;
mod fortios;
mod globalprotect;
mod ipsec;
mod netfilter;
mod networkmanager;
mod openvpn;
mod openwrt;
mod pf;
mod pfsense;
mod reader;
mod routeros;
mod tailscale;
mod vyos;
mod windows;
mod windows_vpn;
mod wireguard;

pub use reader::{Confidence, Detection, Format, Reader, Reading, Role};

use crate::model::Device;
use crate::net::Family;
use crate::source::SourceFile;

/// Every format that fwproof reads, by id.
pub static FORMATS: &[&Format] = &[
    &anyconnect::ANYCONNECT,
    &apple::APPLE_VPN,
    &collected::COLLECT_MANIFEST,
    &netfilter::FIREWALLD,
    &netfilter::FIREWALLD_LIST,
    &netfilter::FIREWALLD_OBJECT,
    &forticlient::FORTICLIENT,
    &fortios::FORTIOS,
    &globalprotect::GLOBALPROTECT,
    &pf::IFCONFIG,
    &netfilter::IP_ADDR,
    &netfilter::IP_ROUTE,
    &netfilter::IP_RULE,
    &ipsec::IPSEC_CONF,
    &ipsec::IPSEC_SECRETS,
    &netfilter::IPSET,
    &netfilter::IPTABLES,
    &netfilter::IPTABLES_LIST,
    &collected::LISTENING,
    &apple::MACOS_FIREWALL,
    &apple::MACOS_VPN_SERVICES,
    &collected::NETSTAT_ROUTES,
    &networkmanager::NETWORKMANAGER,
    &netfilter::NFTABLES,
    &netfilter::NFTABLES_JSON,
    &openvpn::OPENVPN,
    &openwrt::OPENWRT,
    &pf::PF,
    &pfsense::OPNSENSE,
    &pfsense::PFSENSE,
    &windows_vpn::RASPHONE,
    &routeros::ROUTEROS,
    &netfilter::SHOREWALL,
    &ipsec::SWANCTL,
    &netfilter::SYSCTL,
    &tailscale::TAILSCALE,
    &netfilter::UFW,
    &netfilter::UFW_STATUS,
    &vyos::VYOS,
    &windows::WINDOWS_FIREWALL,
    &collected::WINDOWS_NETWORK,
    &windows_vpn::WINDOWS_NRPT,
    &windows_vpn::WINDOWS_VPN,
    &wireguard::WIREGUARD,
];

/// What there is at most one of in a device, as a key; `None` where there may be many.
pub type EvidenceFn = fn(&SourceFile) -> Option<&'static str>;

/// Formats of which all files of one device are read as one: the first is the reader's file, the others are in [`Reader::beside`].
/// With each: which of them cannot be of one device, by a key (`None`: any may be). What an earlier format in the order of ids shows of
/// the packet filter goes before a later one.
pub static TOGETHER: &[(&str, EvidenceFn)] = &[
    ("macos-firewall", apple::evidence),
    ("shorewall", netfilter::shorewall_evidence),
    ("ufw", netfilter::ufw_evidence),
    ("ufw-status", netfilter::ufw_status_evidence),
    ("windows-firewall", windows::evidence),
];

/// The families for which a piece of a device shows the packet filter as the kernel has it, so that the sources of it would double it:
/// it has the filter table of iptables, or (dumped through nftables) chains of ufw.
pub fn dumped(device: &Device) -> Vec<Family> {
    let of_iptables = |name: &str| name == "filter/INPUT" || name == "ip6 filter/INPUT";
    let chains = device.base_chains.iter().filter(|b| device.chains.get(b.chain.0 as usize).is_some_and(|c| of_iptables(&c.name)));
    let by_nft = |family: &str| device.chains.iter().any(|c| c.name.starts_with(&format!("{family} filter ")) && c.name.contains("/ufw"));
    let mut families: Vec<Family> = chains.flat_map(|b| b.families.iter().copied()).collect();
    families.extend(by_nft("ip").then_some(Family::V4));
    families.extend(by_nft("ip6").then_some(Family::V6));
    families.sort();
    families.dedup();
    families
}

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
