//! The policy file of a tailnet (HuJSON), for Tailscale and Headscale: a packet filter between the addresses of a tailnet.
//!
//! Which user or tag an address belongs to is not in the policy: that is an opaque condition of the packet. Facts are from Tailscale's "Syntax
//! reference for the tailnet policy file" and, on what the filter does with packets, from `wgengine/filter` of its client.

mod lower;
mod selector;
#[cfg(test)]
mod tests;
mod wishes;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

/// The format.
pub static TAILSCALE: Format = Format {
    id: "tailscale",
    title: "Tailscale or Headscale policy (HuJSON)",
    export: "Admin console > Access controls > copy   (API: GET /api/v2/tailnet/-/acl with Accept: application/hujson; Headscale: headscale policy get)",
    covers: &[
        "acls and grants as a packet filter, with hosts, ipsets, ports and protocols",
        "groups, tags, autogroups and postures as conditions",
        "tests, decided as far as the policy alone decides them",
        "undefined and unused groups, tags, hosts and postures",
    ],
    leaves: &[
        "who has which address",
        "segments of TCP that open nothing, which the client lets through",
        "Tailscale SSH, node attributes, auto approvers",
        "capabilities of applications",
    ],
    role: Role::Firewall,
    detect,
    read: lower::read,
    includes: None,
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 64 << 10;

/// The first key decides little; what only a policy has decides. A file that merely holds a policy deep inside is none.
fn detect(file: &SourceFile) -> Option<Detection> {
    let text = file.head(DETECTED);
    let (mut depth, mut quoted, mut comment) = (0usize, None, false);
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        match (b, quoted) {
            (b'\n', _) => comment = false,
            _ if comment => {}
            (b'\\', Some(_)) => i += 1,
            (b'"', Some(start)) => {
                if depth == 1 {
                    found.push(text.get(start..i).unwrap_or(""));
                }
                quoted = None;
            }
            (_, Some(_)) => {}
            (b'"', None) => quoted = Some(i + 1),
            (b'/', None) if bytes.get(i + 1) == Some(&b'/') => comment = true,
            (b'{' | b'[', None) => depth += 1,
            (b'}' | b']', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !comment && quoted.is_none() && !b.is_ascii_whitespace() && !matches!(b, b'/' | b'}' | b'*') && i < 4 {
            return None;
        }
        i += 1;
    }
    let has = |name: &str| found.contains(&name);
    let rules = has("acls") || has("grants") || has("ACLs");
    let more = ["groups", "tagOwners", "hosts", "ssh", "autoApprovers", "nodeAttrs", "tests", "postures", "Groups", "Hosts", "TagOwners"]
        .iter()
        .any(|n| has(n));
    let own = text.contains("autogroup:") || text.contains("\"tag:") || text.contains("\"src\"") || text.contains("\"group:");
    (rules && (more || own) || (has("tagOwners") && more))
        .then_some(Detection { confidence: Confidence::Certain, why: "has acls, grants and the like of a tailnet policy" })
}
