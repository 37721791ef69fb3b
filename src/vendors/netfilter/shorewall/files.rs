//! Which files are Shorewall's, and of which family.

use std::collections::BTreeMap;

use crate::source::SourceFile;
use crate::vendors::{Confidence, Detection};

/// Files that Shorewall reads from a folder of its own, by name.
const NAMES: &[&str] = &[
    "accounting",
    "actions",
    "arprules",
    "blacklist",
    "blrules",
    "clear",
    "compile",
    "conntrack",
    "disabled",
    "ecn",
    "enabled",
    "findgw",
    "hosts",
    "init",
    "initdone",
    "interfaces",
    "isusable",
    "lib.private",
    "maclist",
    "mangle",
    "masq",
    "nat",
    "netmap",
    "notrack",
    "params",
    "policy",
    "postcompile",
    "providers",
    "proxyarp",
    "proxyndp",
    "refresh",
    "refreshed",
    "restored",
    "route_rules",
    "routes",
    "routestopped",
    "rtrules",
    "rules",
    "savesets",
    "scfilter",
    "secmarks",
    "shorewall.conf",
    "shorewall6.conf",
    "snat",
    "start",
    "started",
    "stop",
    "stopped",
    "stoppedrules",
    "tcclasses",
    "tcclear",
    "tcdevices",
    "tcfilters",
    "tcinterfaces",
    "tcpri",
    "tcrules",
    "tcstart",
    "tos",
    "tunnels",
    "vardir",
    "zones",
    "capabilities",
    "helpers",
    "modules",
    "Makefile",
];

/// How much of a file is looked at.
const LOOK: usize = 64 << 10;

fn head(file: &SourceFile) -> &str {
    let mut end = file.text.len().min(LOOK);
    while !file.text.is_char_boundary(end) {
        end -= 1;
    }
    file.text.get(..end).unwrap_or("")
}

/// Whether Shorewall reads a file of this name.
pub(super) fn is_loaded(name: &str) -> bool {
    NAMES.contains(&name) || name.starts_with("macro.") || name.starts_with("action.")
}

/// Whether the files of a folder are of IPv6: its settings, its name, its zones or what its files say at their top tell.
pub(super) fn is_six(path: &str, files: &BTreeMap<String, &SourceFile>) -> bool {
    if files.contains_key("shorewall6.conf") || files.contains_key("shorewall.conf") {
        return files.contains_key("shorewall6.conf");
    }
    if let Some(name) = path.rsplit('/').next().filter(|n| n.contains("shorewall")) {
        return name.contains("shorewall6");
    }
    let six = |f: &&SourceFile| head(f).lines().take_while(|l| l.starts_with('#') || l.trim().is_empty()).any(|l| l.contains("horewall6"));
    let zones = files.get("zones").is_some_and(|f| head(f).lines().any(|l| l.split_ascii_whitespace().nth(1) == Some("ipv6")));
    zones || files.values().any(six)
}

/// What there is at most one of in a device.
pub fn evidence(file: &SourceFile) -> Option<&'static str> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let six = name == "shorewall6.conf"
        || folder.rsplit('/').next().is_some_and(|f| f.contains("shorewall6"))
        || head(file).lines().take(4).any(|l| l.contains("horewall6"));
    Some(match (name, six) {
        ("zones", false) => "shorewall/zones",
        ("policy", false) => "shorewall/policy",
        ("rules", false) => "shorewall/rules",
        ("interfaces", false) => "shorewall/interfaces",
        ("zones", true) => "shorewall6/zones",
        ("policy", true) => "shorewall6/policy",
        ("rules", true) => "shorewall6/rules",
        ("interfaces", true) => "shorewall6/interfaces",
        _ => return None,
    })
}

pub(super) fn detect(file: &SourceFile) -> Option<Detection> {
    let found = |confidence, why| Some(Detection { confidence, why });
    let text = head(file);
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let loaded = is_loaded(name);
    let comments = text.lines().take(40).filter(|l| l.trim_start().starts_with('#'));
    let header = comments.clone().any(|l| l.contains("Shorewall") || l.contains("shorewall"));
    let mut lines = text.lines().map(|l| l.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty());
    let settings = ["STARTUP_ENABLED=", "IP_FORWARDING=", "ADMINISABSENTMINDED=", "DROP_DEFAULT=", "ZONE2ZONE=", "FASTACCEPT="];
    let set = text.lines().filter(|l| settings.iter().any(|s| l.starts_with(s))).count();
    if matches!(name, "shorewall.conf" | "shorewall6.conf") && (set > 0 || header || lines.clone().next().is_none_or(|l| l.contains('='))) {
        return found(Confidence::Certain, "is named shorewall.conf");
    }
    if set >= 3 {
        return found(Confidence::Certain, "has the settings of shorewall.conf");
    }
    if header && (loaded || comments.clone().any(|l| l.contains("man shorewall") || l.contains("/etc/shorewall"))) {
        // A ruleset that Shorewall made says so too, and is one of iptables.
        let other = lines.clone().any(|l| l.starts_with(['*', ':']) || l.starts_with("-A ")) || text.starts_with("#!");
        return if other { None } else { found(Confidence::Strong, "says at its top that it is one of Shorewall's") };
    }
    if !loaded {
        return None;
    }
    let own = folder.rsplit('/').next().is_some_and(|f| f.to_ascii_lowercase().contains("shorewall"));
    if own && !text.starts_with(['<', '{']) {
        return found(Confidence::Strong, "has the name of one of Shorewall's files, in a folder of that name");
    }
    let shaped = lines.clone().filter(|l| shape(name, l)).count();
    let all = lines.by_ref().filter(|l| !l.starts_with('?')).count();
    (shaped > 0 && shaped * 2 >= all).then_some(())?;
    found(Confidence::Strong, "has the name and the columns of one of Shorewall's files")
}

/// Whether a line looks like one of the file of this name.
fn shape(name: &str, line: &str) -> bool {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let word = |i: usize| words.get(i).copied().unwrap_or("");
    let is_zone = |t: &str| {
        t.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_$,!:+-{}".contains(&b))
    };
    let policies = ["ACCEPT", "DROP", "REJECT", "CONTINUE", "QUEUE", "NFQUEUE", "NONE", "BLACKLIST"];
    let verb = |t: &str| {
        let t = t.split([':', '(', '/']).next().unwrap_or("");
        policies.contains(&t.trim_end_matches(['!', '+']))
            || ["DNAT", "DNAT-", "REDIRECT", "REDIRECT-", "NONAT", "LOG", "COUNT", "WHITELIST"].contains(&t)
    };
    let called = |t: &str| {
        t.split_once(['(', '/'])
            .is_some_and(|(n, r)| n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') && verb(r.trim_end_matches(')')))
    };
    match name {
        "zones" => {
            matches!(word(1), "firewall" | "ipv4" | "ipv6" | "ip" | "ipsec" | "ipsec4" | "ipsec6" | "bport" | "vserver" | "loopback")
                && words.len() <= 5
        }
        "policy" => is_zone(word(0)) && is_zone(word(1)) && verb(word(2)),
        "rules" | "blrules" => (verb(word(0)) || called(word(0))) && words.len() >= 3 && !word(1).starts_with('-'),
        name if name.starts_with("macro.") || name.starts_with("action.") => {
            verb(word(0)) || called(word(0)) || word(0).starts_with("PARAM") || word(0) == "DEFAULTS"
        }
        "interfaces" => {
            let keywords = [
                "auto",
                "iface",
                "source",
                "source-directory",
                "allow-hotplug",
                "mapping",
                "address",
                "netmask",
                "gateway",
                "up",
                "down",
                "pre-up",
                "post-up",
            ];
            (is_zone(word(0)) || word(0) == "-")
                && !keywords.contains(&word(0))
                && (2..=4).contains(&words.len())
                && word(1).starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        }
        "hosts" => is_zone(word(0)) && word(1).contains(':') && word(1).starts_with(|c: char| c.is_ascii_alphabetic() || c == '$'),
        "snat" => ["MASQUERADE", "SNAT(", "SNAT+(", "CONTINUE", "MASQUERADE+"].iter().any(|a| word(0).starts_with(a)),
        "masq" => words.len() >= 2 && word(0).starts_with(|c: char| c.is_ascii_alphabetic() || "+$".contains(c)) && !line.contains('='),
        "stoppedrules" => verb(word(0)) || word(0) == "NOTRACK",
        "tunnels" => {
            ["ipsec", "openvpn", "gre", "ipip", "6to4", "6in4", "pptp", "generic", "tinc", "l2tp"].iter().any(|k| word(0).starts_with(k))
        }
        "conntrack" => word(0).starts_with("CT:") || word(0).starts_with("NOTRACK"),
        "mangle" => {
            ["MARK(", "CONNMARK(", "CLASSIFY(", "TOS(", "DSCP(", "TTL(", "RESTORE(", "SAVE("].iter().any(|a| word(0).starts_with(a))
        }
        _ => false,
    }
}
