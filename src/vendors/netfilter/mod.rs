//! Linux netfilter: iptables, nftables, and what is exported beside them.

mod ip_addr;
mod ip_route;
mod ipset;
mod iptables;
mod nftables;
mod sysctl;

pub use ip_addr::IP_ADDR;
pub use ip_route::IP_ROUTE;
pub use ipset::IPSET;
pub use iptables::{IPTABLES, IPTABLES_LIST};
pub use nftables::{NFTABLES, NFTABLES_JSON};
pub use sysctl::SYSCTL;
