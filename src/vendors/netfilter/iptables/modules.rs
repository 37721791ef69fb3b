//! The match modules of iptables (`-m NAME`) and the options that each owns. From the man page iptables-extensions(8).

/// What the model can say of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Precision {
    /// Lowered to fields, at least in part.
    Exact,
    /// One opaque condition; the same options mean the same condition in every rule.
    Opaque,
    /// One opaque condition for each rule: the module keeps a state per rule, or changes a shared one when it is asked
    /// (a token bucket, a random number), so that two rules with the same options need not agree on a packet.
    PerRule,
}

/// A match module.
#[derive(Debug)]
pub(super) struct Module {
    pub name: &'static str,
    pub precision: Precision,
    /// Its options without the dashes.
    pub options: &'static [&'static str],
}

const fn exact(name: &'static str, options: &'static [&'static str]) -> Module {
    Module { name, precision: Precision::Exact, options }
}
const fn opaque(name: &'static str, options: &'static [&'static str]) -> Module {
    Module { name, precision: Precision::Opaque, options }
}
const fn per_rule(name: &'static str, options: &'static [&'static str]) -> Module {
    Module { name, precision: Precision::PerRule, options }
}

const PORTS: [&str; 4] = ["sport", "dport", "source-port", "destination-port"];

static MODULES: &[Module] = &[
    exact("tcp", &["sport", "dport", "source-port", "destination-port", "tcp-flags", "syn", "tcp-option"]),
    exact("udp", &PORTS),
    exact(
        "conntrack",
        &[
            "ctstate",
            "ctproto",
            "ctorigsrc",
            "ctorigdst",
            "ctreplsrc",
            "ctrepldst",
            "ctstatus",
            "ctexpire",
            "ctorigsrcport",
            "ctorigdstport",
            "ctreplsrcport",
            "ctrepldstport",
            "ctdir",
        ],
    ),
    exact("comment", &["comment"]),
    exact("state", &["state"]),
    exact("multiport", &["sports", "dports", "ports", "source-ports", "destination-ports"]),
    exact("icmp", &["icmp-type"]),
    exact("icmp6", &["icmpv6-type"]),
    exact(
        "set",
        &[
            "match-set",
            "set",
            "return-nomatch",
            "update-counters",
            "update-subcounters",
            "packets-eq",
            "packets-lt",
            "packets-gt",
            "bytes-eq",
            "bytes-lt",
            "bytes-gt",
        ],
    ),
    exact("addrtype", &["src-type", "dst-type", "limit-iface-in", "limit-iface-out"]),
    exact("mark", &["mark"]),
    exact("connmark", &["mark"]),
    exact("iprange", &["src-range", "dst-range"]),
    exact("mac", &["mac-source"]),
    exact("udplite", &PORTS),
    exact("sctp", &["sport", "dport", "source-port", "destination-port", "chunk-types"]),
    exact("dccp", &["sport", "dport", "source-port", "destination-port", "dccp-types", "dccp-option"]),
    exact("length", &["length"]),
    exact("ttl", &["ttl-eq", "ttl-lt", "ttl-gt", "ttl"]),
    exact("hl", &["hl-eq", "hl-lt", "hl-gt"]),
    exact("dscp", &["dscp", "dscp-class"]),
    exact("tos", &["tos"]),
    exact("pkttype", &["pkt-type"]),
    exact("owner", &["uid-owner", "gid-owner", "socket-exists", "suppl-groups", "pid-owner", "sid-owner", "cmd-owner"]),
    per_rule("limit", &["limit", "limit-burst"]),
    per_rule(
        "hashlimit",
        &[
            "hashlimit",
            "hashlimit-upto",
            "hashlimit-above",
            "hashlimit-burst",
            "hashlimit-mode",
            "hashlimit-srcmask",
            "hashlimit-dstmask",
            "hashlimit-name",
            "hashlimit-htable-size",
            "hashlimit-htable-max",
            "hashlimit-htable-expire",
            "hashlimit-htable-gcinterval",
            "hashlimit-rate-match",
            "hashlimit-rate-interval",
        ],
    ),
    per_rule("recent", &["name", "set", "rcheck", "update", "remove", "seconds", "reap", "hitcount", "rttl", "mask", "rsource", "rdest"]),
    per_rule("connlimit", &["connlimit-upto", "connlimit-above", "connlimit-mask", "connlimit-saddr", "connlimit-daddr"]),
    per_rule("statistic", &["mode", "probability", "every", "packet"]),
    per_rule("quota", &["quota"]),
    per_rule("random", &["average"]),
    per_rule("nth", &["every", "counter", "start", "packet"]),
    per_rule("fuzzy", &["lower-limit", "upper-limit"]),
    per_rule("psd", &["psd-weight-threshold", "psd-delay-threshold", "psd-lo-ports-weight", "psd-hi-ports-weight"]),
    per_rule("nfacct", &["nfacct-name"]),
    per_rule(
        "rateest",
        &[
            "rateest-delta",
            "rateest-lt",
            "rateest-gt",
            "rateest-eq",
            "rateest",
            "rateest1",
            "rateest2",
            "rateest-bps",
            "rateest-pps",
            "rateest-bps1",
            "rateest-bps2",
            "rateest-pps1",
            "rateest-pps2",
        ],
    ),
    opaque("physdev", &["physdev-in", "physdev-out", "physdev-is-in", "physdev-is-out", "physdev-is-bridged"]),
    opaque("policy", &["dir", "pol", "strict", "reqid", "spi", "proto", "mode", "tunnel-src", "tunnel-dst", "next"]),
    opaque(
        "time",
        &["timestart", "timestop", "datestart", "datestop", "monthdays", "weekdays", "contiguous", "kerneltz", "utc", "localtz"],
    ),
    opaque("string", &["algo", "from", "to", "string", "hex-string", "icase"]),
    opaque("connbytes", &["connbytes", "connbytes-dir", "connbytes-mode"]),
    opaque("connlabel", &["label", "set"]),
    opaque("u32", &["u32"]),
    opaque("bpf", &["bytecode", "object-pinned"]),
    opaque("geoip", &["src-cc", "dst-cc", "source-country", "destination-country"]),
    opaque("rpfilter", &["loose", "validmark", "accept-local", "invert"]),
    opaque("socket", &["transparent", "nowildcard", "restore-skmark"]),
    opaque("cgroup", &["path", "cgroup"]),
    opaque("helper", &["helper"]),
    opaque("realm", &["realm"]),
    opaque("tcpmss", &["mss"]),
    opaque("esp", &["espspi"]),
    opaque("ah", &["ahspi", "ahlen", "ahres"]),
    opaque("ipcomp", &["ipcompspi", "compres"]),
    opaque("ecn", &["ecn-tcp-cwr", "ecn-tcp-ece", "ecn-ip-ect"]),
    opaque("frag", &["fragid", "fraglen", "fragres", "fragfirst", "fragmore", "fraglast"]),
    opaque("hbh", &["hbh-len", "hbh-opts"]),
    opaque("dst", &["dst-len", "dst-opts"]),
    opaque("rt", &["rt-type", "rt-segsleft", "rt-len", "rt-0-res", "rt-0-addrs", "rt-0-not-strict"]),
    opaque("ipv6header", &["soft", "header"]),
    opaque("mh", &["mh-type"]),
    opaque("srh", &[]),
    opaque("eui64", &[]),
    opaque("cluster", &["cluster-total-nodes", "cluster-local-node", "cluster-local-nodemask", "cluster-hash-seed"]),
    opaque("cpu", &["cpu"]),
    opaque("devgroup", &["src-group", "dst-group"]),
    opaque("osf", &["genre", "ttl", "log"]),
    opaque("unclean", &[]),
    opaque("layer7", &["l7proto", "l7dir"]),
    opaque("condition", &["condition"]),
];

/// The module of a name.
pub(super) fn module(name: &str) -> Option<&'static Module> {
    let name = match name {
        "icmpv6" | "ipv6-icmp" => "icmp6",
        "ctstate" => return None,
        _ => name,
    };
    MODULES.iter().find(|m| m.name == name)
}

/// The module that `-p NUMBER` brings along, so that its options need no `-m`.
pub(super) fn of_protocol(protocol: u8) -> Option<&'static Module> {
    module(match protocol {
        6 => "tcp",
        17 => "udp",
        1 => "icmp",
        58 => "icmp6",
        132 => "sctp",
        33 => "dccp",
        136 => "udplite",
        50 => "esp",
        51 => "ah",
        135 => "mh",
        _ => return None,
    })
}

/// What a module of rates answers about a packet that comes when none has come for long, as far as that is certain: a bucket of packets is
/// full then (`limit_mt_check` in xt_limit.c, `hashlimit_init_dst` in xt_hashlimit.c), and the connection that opens is the only one that is
/// counted (`connlimit_mt` in xt_connlimit.c). `text` is the module with its options. Buckets of bytes may be too small for any packet, and one
/// for a single packet may be shared by several rules.
pub(super) fn at_rest(module: &str, text: &str) -> Option<bool> {
    let words: Vec<&str> = text.split(' ').collect();
    if words.contains(&"!") {
        return None;
    }
    let option =
        |name: &str| words.iter().position(|w| w.strip_prefix("--") == Some(name)).map(|i| words.get(i + 1).copied().unwrap_or(""));
    match module {
        "limit" => Some(true),
        "hashlimit" => {
            let (rate, answer) = match (option("hashlimit-above"), option("hashlimit-upto").or(option("hashlimit"))) {
                (Some(rate), None) => (rate, false),
                (None, Some(rate)) => (rate, true),
                _ => return None,
            };
            let packets = rate.split('/').next().is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            let burst = option("hashlimit-burst").is_none_or(|n| n.parse().is_ok_and(|n: u32| n > 1));
            (packets && burst && option("hashlimit-rate-match").is_none()).then_some(answer)
        }
        "connlimit" => {
            let some = |n: &str| n.parse().is_ok_and(|n: u32| n > 0);
            match (option("connlimit-above"), option("connlimit-upto")) {
                (Some(n), None) if some(n) => Some(false),
                (None, Some(n)) if some(n) => Some(true),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The option that `name` means among `options`: itself, or the only one that begins so (getopt_long accepts abbreviations).
pub(super) fn abbreviated(options: &'static [&'static str], name: &str) -> Option<&'static str> {
    let mut found = options.iter().filter(|o| o.starts_with(name));
    let first = found.next()?;
    found.next().is_none().then_some(*first)
}
