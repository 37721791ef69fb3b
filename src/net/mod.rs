//! Numbers of the network: interval sets, prefixes, protocol and service names.

mod names;
mod prefix;
mod ranges;

pub use names::{CodeRange, icmp4_type, icmp6_type, protocol_name, protocol_number, service_name, service_port};
pub use prefix::{
    Family, PUBLIC4, PUBLIC6, format_addresses, format_interval, is_global_unicast, parse_addr, parse_cidr, prefix_bounds, to_ip, to_number,
};
pub use ranges::Ranges;
