//! Tables and their built-in chains: where the kernel calls them, in which order, and what is refused where.
//!
//! Source: `enum nf_ip_hook_priorities` of Linux `include/uapi/linux/netfilter_ipv4.h` (the same numbers in
//! `netfilter_ipv6.h`), and the hook masks of `iptable_{raw,mangle,nat,filter,security}.c`. The nat table hangs on
//! `NF_IP_PRI_NAT_DST` at prerouting and output, and on `NF_IP_PRI_NAT_SRC` at input and postrouting (`iptable_nat.c`).

use crate::model::{Hook, PolicyAction};

/// A table of iptables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::vendors::netfilter) enum TableKind {
    /// Before connection tracking.
    Raw,
    /// Changes of packets.
    Mangle,
    /// Address translation, asked once per connection.
    Nat,
    /// The filter proper.
    Filter,
    /// Mandatory access control marks.
    Security,
}

/// The policy of a built-in chain that the file does not state. The kernel creates every built-in chain with ACCEPT
/// (`xt_alloc_initial_table`; the module parameter `forward` of `iptable_filter`, default on, could change FORWARD).
pub(super) const DEFAULT_POLICY: PolicyAction = PolicyAction::Accept;

impl TableKind {
    /// The table of a name.
    pub fn of(name: &str) -> Option<TableKind> {
        Some(match name {
            "raw" => TableKind::Raw,
            "mangle" => TableKind::Mangle,
            "nat" => TableKind::Nat,
            "filter" => TableKind::Filter,
            "security" => TableKind::Security,
            _ => return None,
        })
    }

    /// The table's name.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Raw => "raw",
            TableKind::Mangle => "mangle",
            TableKind::Nat => "nat",
            TableKind::Filter => "filter",
            TableKind::Security => "security",
        }
    }

    /// Hook and priority of a built-in chain of this table; `None` for every other name.
    pub fn builtin(self, chain: &str) -> Option<(Hook, i32)> {
        let hook = match chain {
            "PREROUTING" => Hook::Prerouting,
            "INPUT" => Hook::Input,
            "FORWARD" => Hook::Forward,
            "OUTPUT" => Hook::Output,
            "POSTROUTING" => Hook::Postrouting,
            _ => return None,
        };
        let priority = match (self, hook) {
            (TableKind::Raw, Hook::Prerouting | Hook::Output) => -300,
            (TableKind::Mangle, _) => -150,
            (TableKind::Nat, Hook::Prerouting | Hook::Output) => -100,
            (TableKind::Nat, Hook::Input | Hook::Postrouting) => 100,
            (TableKind::Filter, Hook::Input | Hook::Forward | Hook::Output) => 0,
            (TableKind::Security, Hook::Input | Hook::Forward | Hook::Output) => 50,
            _ => return None,
        };
        Some((hook, priority))
    }
}
