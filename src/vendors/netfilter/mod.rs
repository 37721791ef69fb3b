//! Linux netfilter: iptables, nftables, firewalld, and what is exported beside them.

mod firewalld;
mod ip_addr;
mod ip_route;
mod ip_rule;
mod ipset;
mod iptables;
mod nftables;
mod shorewall;
mod sysctl;
mod ufw;

pub use firewalld::{FIREWALLD, FIREWALLD_LIST, FIREWALLD_OBJECT};
pub use ip_addr::IP_ADDR;
pub use ip_route::IP_ROUTE;
pub use ip_rule::IP_RULE;
pub use ipset::IPSET;
pub use iptables::{IPTABLES, IPTABLES_LIST};
pub use nftables::{NFTABLES, NFTABLES_JSON};
pub use shorewall::{SHOREWALL, evidence as shorewall_evidence};
pub use sysctl::SYSCTL;
pub use ufw::{UFW, UFW_STATUS, evidence as ufw_evidence, status_evidence as ufw_status_evidence};
