//! What a rule does: targets (`-j NAME`), jumps and address translation. From the man page iptables-extensions(8).

use super::defaults::TableKind;
use super::rule::{ChainRef, Context, join};
use super::values;
use crate::diag::LineState;
use crate::model::{Action, Effect, NatKind, Translation};
use crate::net::{Family, Ranges};
use crate::packets::Field;

/// A target as written.
pub(super) struct Target<'t> {
    pub name: &'t str,
    /// `-g` instead of `-j`.
    pub goto: bool,
    /// Options that this target is known to own; `None`: it is not a known target.
    pub known: Option<&'static [&'static str]>,
    /// Option, negated, arguments.
    pub options: Vec<(&'t str, bool, Vec<&'t str>)>,
}

impl<'t> Target<'t> {
    /// A target without options yet.
    pub fn new(name: &'t str, goto: bool) -> Target<'t> {
        Target { name, goto, known: TARGETS.iter().find(|(n, _)| *n == name).map(|(_, o)| *o), options: Vec::new() }
    }

    /// The first argument of an option.
    fn value(&self, option: &str) -> Option<&'t str> {
        self.options.iter().find(|(n, _, _)| *n == option).map(|(_, _, args)| args.first().copied().unwrap_or(""))
    }

    fn has(&self, option: &str) -> bool {
        self.value(option).is_some()
    }

    /// The target with its options, as text.
    fn text(&self) -> String {
        self.options.iter().fold(self.name.to_owned(), |mut s, (name, negated, args)| {
            s.push_str(if *negated { " ! --" } else { " --" });
            s.push_str(&join(name, args));
            s
        })
    }
}

/// Targets with their options.
static TARGETS: &[(&str, &[&str])] = &[
    ("ACCEPT", &[]),
    ("DROP", &[]),
    ("RETURN", &[]),
    ("REJECT", &["reject-with"]),
    ("LOG", &["log-level", "log-prefix", "log-tcp-sequence", "log-tcp-options", "log-ip-options", "log-uid", "log-macdecode"]),
    ("NFLOG", &["nflog-group", "nflog-prefix", "nflog-range", "nflog-size", "nflog-threshold"]),
    ("ULOG", &["ulog-nlgroup", "ulog-prefix", "ulog-cprange", "ulog-qthreshold"]),
    ("DNAT", &["to-destination", "random", "persistent"]),
    ("SNAT", &["to-source", "random", "random-fully", "persistent"]),
    ("MASQUERADE", &["to-ports", "random", "random-fully"]),
    ("REDIRECT", &["to-ports", "random"]),
    ("NETMAP", &["to"]),
    ("MARK", &["set-mark", "set-xmark", "and-mark", "or-mark", "xor-mark"]),
    ("CONNMARK", &["set-mark", "set-xmark", "and-mark", "or-mark", "xor-mark", "save-mark", "restore-mark", "nfmask", "ctmask", "mask"]),
    ("NOTRACK", &[]),
    ("CT", &["notrack", "helper", "ctevents", "expevents", "zone", "zone-orig", "zone-reply", "timeout"]),
    ("TPROXY", &["on-port", "on-ip", "tproxy-mark"]),
    ("TCPMSS", &["set-mss", "clamp-mss-to-pmtu"]),
    ("TCPOPTSTRIP", &["strip-options"]),
    ("TOS", &["set-tos", "and-tos", "or-tos", "xor-tos"]),
    ("DSCP", &["set-dscp", "set-dscp-class"]),
    ("TTL", &["ttl-set", "ttl-dec", "ttl-inc"]),
    ("HL", &["hl-set", "hl-dec", "hl-inc"]),
    ("ECN", &["ecn-tcp-remove", "ecn-tcp-cwr", "ecn-tcp-ece", "ecn-ip-ect"]),
    ("CLASSIFY", &["set-class"]),
    ("CHECKSUM", &["checksum-fill"]),
    ("SET", &["add-set", "del-set", "map-set", "timeout", "exist", "map-mark", "map-prio", "map-queue"]),
    ("CONNSECMARK", &["save", "restore"]),
    ("SECMARK", &["selctx"]),
    ("IDLETIMER", &["timeout", "label", "alarm"]),
    ("RATEEST", &["rateest-name", "rateest-interval", "rateest-ewmalog"]),
    ("LED", &["led-trigger-id", "led-delay", "led-always-blink"]),
    (
        "HMARK",
        &[
            "hmark-tuple",
            "hmark-mod",
            "hmark-offset",
            "hmark-src-prefix",
            "hmark-dst-prefix",
            "hmark-sport-mask",
            "hmark-dport-mask",
            "hmark-spi-mask",
            "hmark-proto-mask",
            "hmark-rnd",
        ],
    ),
    ("TRACE", &[]),
    ("AUDIT", &["type"]),
    ("TEE", &["gateway", "oif"]),
    ("QUEUE", &[]),
    ("NFQUEUE", &["queue-num", "queue-balance", "queue-bypass", "queue-cpu-fanout"]),
    ("SYNPROXY", &["mss", "wscale", "sack-perm", "timestamps", "ecn"]),
    ("CLUSTERIP", &["new", "hashmode", "clustermac", "total-nodes", "local-node", "hash-init"]),
    ("DNPT", &["src-pfx", "dst-pfx"]),
    ("SNPT", &["src-pfx", "dst-pfx"]),
];

/// Options whose argument is free text and may look like an option.
pub(super) fn takes_any(option: &str) -> bool {
    matches!(option, "log-prefix" | "nflog-prefix" | "ulog-prefix")
}

/// What a target does.
pub(super) struct Outcome {
    pub action: Action,
    pub effects: Vec<Effect>,
    pub log: bool,
    pub netmap: Option<Ranges>,
    pub fills: Option<String>,
}

impl Outcome {
    fn new(action: Action) -> Outcome {
        Outcome { action, effects: Vec::new(), log: false, netmap: None, fills: None }
    }
}

/// Lowers a target; no target is "go on".
pub(super) fn lower(
    target: Option<&Target<'_>>,
    context: &Context<'_>,
    notes: &mut Vec<(LineState, String)>,
    refused: &mut bool,
) -> Outcome {
    let Some(target) = target else { return Outcome::new(Action::Continue) };
    let opaque = |notes: &mut Vec<(LineState, String)>, state, why: String| {
        notes.push((state, format!("{why}: the packet may be accepted, dropped or go on")));
        Outcome::new(Action::Opaque(target.text().into()))
    };
    match (context.chain)(target.name) {
        ChainRef::User(id) => return Outcome::new(if target.goto { Action::Goto(id) } else { Action::Jump(id) }),
        ChainRef::Builtin => {
            *refused = true;
            return opaque(
                notes,
                LineState::Unsupported,
                format!("jump to the built-in chain `{}`, which the kernel refuses", target.name),
            );
        }
        ChainRef::None => {}
    }
    if target.goto {
        *refused = true;
        return opaque(notes, LineState::Unsupported, format!("chain `{}` is not defined", target.name));
    }
    let action = match target.name {
        "ACCEPT" => Action::Accept,
        "DROP" => Action::Drop,
        "RETURN" => Action::Return,
        "REJECT" => Action::Reject(reject_with(target, context.family)),
        "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" | "NETMAP" if context.table != TableKind::Nat => {
            *refused = true;
            return opaque(notes, LineState::Unsupported, format!("target `{}` works in table nat only", target.name));
        }
        "NETMAP" => {
            let Some(values::AddressValue::Set(set)) = target.value("to").map(|v| values::address(v, context.family)) else {
                return opaque(notes, LineState::Unsupported, "the network of `NETMAP --to` is not understood".into());
            };
            let mut outcome = Outcome::new(Action::Opaque(target.text().into()));
            outcome.netmap = Some(set);
            return outcome;
        }
        "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" => match translation(target, context.family) {
            Some(t) => Action::Nat(t),
            None => return opaque(notes, LineState::Unsupported, format!("`{}` is not understood", target.text())),
        },
        "TPROXY" | "QUEUE" | "NFQUEUE" | "SYNPROXY" | "CLUSTERIP" | "DNPT" | "SNPT" => {
            return opaque(notes, LineState::NotModelled, format!("target `{}` is not modelled", target.name));
        }
        _ if target.known.is_some() => Action::Continue,
        name if name.contains('$') => return opaque(notes, LineState::Unsupported, format!("target `{name}` is not a plain name")),
        name if target.options.is_empty() => {
            // Names of targets are in capitals: what is not may only be a chain.
            *refused |= name.bytes().any(|b| b.is_ascii_lowercase());
            return opaque(notes, LineState::Unsupported, format!("chain `{name}` is not defined"));
        }
        name => return opaque(notes, LineState::NotModelled, format!("target `{name}` is not modelled")),
    };
    let mut outcome = Outcome::new(action);
    side_effects(target, &mut outcome, notes);
    outcome
}

/// What targets do that let the packet go on.
fn side_effects(target: &Target<'_>, outcome: &mut Outcome, notes: &mut Vec<(LineState, String)>) {
    match target.name {
        "LOG" | "NFLOG" | "ULOG" | "AUDIT" => outcome.log = true,
        "MARK" => outcome.effects.push(set_mark(target, Field::Mark).unwrap_or(Effect::Unknown(Field::Mark))),
        "CONNMARK" => outcome.effects.push(if target.has("save-mark") {
            copy_mark(target, Field::Mark, Field::CtMark)
        } else if target.has("restore-mark") {
            copy_mark(target, Field::CtMark, Field::Mark)
        } else {
            set_mark(target, Field::CtMark).unwrap_or(Effect::Unknown(Field::CtMark))
        }),
        "NOTRACK" => outcome.effects.push(Effect::Untrack),
        "CT" => {
            if target.has("notrack") {
                outcome.effects.push(Effect::Untrack);
            }
            if ["zone", "zone-orig", "zone-reply"].iter().any(|o| target.has(o)) {
                notes.push((
                    LineState::NotModelled,
                    "connection tracking zones are not modelled: connections of different zones count as one".into(),
                ));
            }
        }
        "HMARK" => outcome.effects.push(Effect::Unknown(Field::Mark)),
        "TTL" | "HL" => outcome.effects.push(number(target.value("ttl-set").or(target.value("hl-set")), Field::Ttl)),
        "DSCP" => outcome.effects.push(match target.value("set-dscp-class").and_then(values::dscp_class) {
            Some(n) => Effect::Set(Field::Dscp, n.into()),
            None => number(target.value("set-dscp"), Field::Dscp),
        }),
        "TOS" => outcome.effects.push(match target.value("set-tos").and_then(values::tos) {
            Some((v, 0xff | 0xfc)) => Effect::Set(Field::Dscp, (v >> 2).into()),
            _ => Effect::Unknown(Field::Dscp),
        }),
        "SET" => {
            if target.has("map-mark") {
                outcome.effects.push(Effect::Unknown(Field::Mark));
            }
            outcome.fills = target.value("add-set").or(target.value("del-set")).filter(|n| !n.is_empty()).map(str::to_owned);
        }
        "TEE" => notes.push((LineState::NotModelled, "target `TEE` sends a copy of the packet elsewhere: copies are not modelled".into())),
        _ => {}
    }
}

fn number(value: Option<&str>, field: Field) -> Effect {
    let n = value.and_then(values::int).map(u128::from).filter(|n| *n <= field.max(Family::V4));
    n.map_or(Effect::Unknown(field), |n| Effect::Set(field, n))
}

/// `--set-xmark value/mask`: zero the bits of the mask, exclusive-or the value in; the other forms are written in terms of it, as
/// libxt_MARK.c does (`--set-mark` widens the mask by the value's bits).
fn set_mark(target: &Target<'_>, field: Field) -> Option<Effect> {
    let (option, _, args) = target.options.first()?;
    let value = args.first()?;
    let (value, mask) = match *option {
        "set-xmark" => values::int_mask(value)?,
        "set-mark" => {
            let (v, m) = values::int_mask(value)?;
            (v, m | v)
        }
        "and-mark" => (0, !values::int(value)?),
        "or-mark" => {
            let v = values::int(value)?;
            (v, v)
        }
        "xor-mark" => (values::int(value)?, 0),
        _ => return None,
    };
    let xor = value & !mask != 0;
    Some(if mask == u32::MAX {
        Effect::Set(field, value.into())
    } else {
        Effect::SetBits { field, mask: mask.into(), value: value.into(), xor }
    })
}

fn copy_mark(target: &Target<'_>, from: Field, to: Field) -> Effect {
    let whole = |o| target.value(o).is_none_or(|m| values::int(m) == Some(u32::MAX));
    if whole("nfmask") && whole("ctmask") && whole("mask") { Effect::Copy { from, to } } else { Effect::Unknown(to) }
}

/// The answer of REJECT: what is written, else the default of libipt_REJECT.c and libip6t_REJECT.c.
fn reject_with(target: &Target<'_>, family: Family) -> String {
    let default = if family == Family::V4 { "icmp-port-unreachable" } else { "icmp6-port-unreachable" };
    let written = target.value("reject-with").filter(|v| !v.is_empty()).unwrap_or(default);
    let full = match (family, written) {
        (_, "tcp-rst") => "tcp-reset",
        (Family::V4, "net-unreach") => "icmp-net-unreachable",
        (Family::V4, "host-unreach") => "icmp-host-unreachable",
        (Family::V4, "proto-unreach") => "icmp-proto-unreachable",
        (Family::V4, "port-unreach") => "icmp-port-unreachable",
        (Family::V4, "net-prohib") => "icmp-net-prohibited",
        (Family::V4, "host-prohib") => "icmp-host-prohibited",
        (Family::V4, "admin-prohib") => "icmp-admin-prohibited",
        (Family::V6, "no-route") => "icmp6-no-route",
        (Family::V6, "adm-prohibited") => "icmp6-adm-prohibited",
        (Family::V6, "addr-unreach") => "icmp6-addr-unreachable",
        (Family::V6, "port-unreach") => "icmp6-port-unreachable",
        (Family::V6, "policy-fail") => "icmp6-policy-fail",
        (Family::V6, "reject-route") => "icmp6-reject-route",
        _ => written,
    };
    full.to_owned()
}

fn translation(target: &Target<'_>, family: Family) -> Option<Translation> {
    let kind = match target.name {
        "DNAT" => NatKind::Destination,
        "SNAT" => NatKind::Source,
        "MASQUERADE" => NatKind::Masquerade,
        _ => NatKind::Redirect,
    };
    let mut t = Translation { kind, addresses: None, keep_host_bits: false, ports: None, unknown: false };
    match kind {
        NatKind::Masquerade | NatKind::Redirect => {
            if let Some(ports) = target.value("to-ports") {
                t.ports = Some(values::port_range(ports, '-', None)?);
            }
        }
        _ => {
            let option = if kind == NatKind::Source { "to-source" } else { "to-destination" };
            let places: Vec<&str> =
                target.options.iter().filter(|(n, _, _)| *n == option).filter_map(|(_, _, a)| a.first().copied()).collect();
            let mut union: Option<Ranges> = None;
            for (i, place) in places.iter().enumerate() {
                let (addresses, ports) = place_of(place, family)?;
                // One destination with a port and one without: the port is then either kept or new.
                t.unknown |= i > 0 && ports != t.ports;
                t.ports = ports;
                if let Some(a) = addresses {
                    union = Some(match union {
                        None => a,
                        Some(u) => u.or(&a),
                    });
                }
            }
            if places.is_empty() {
                return None;
            }
            t.addresses = union.map(|u| (family, u));
        }
    }
    Some(t)
}

/// Reads `address[-address][:port[-port][/base]]`; IPv6 addresses stand in brackets where a port follows.
fn place_of(s: &str, family: Family) -> Option<(Option<Ranges>, Option<Ranges>)> {
    let (addresses, ports) = match family {
        Family::V4 => s.split_once(':').map_or((s, None), |(a, p)| (a, Some(p))),
        Family::V6 => match s.rsplit_once("]:") {
            Some((a, p)) => (a, Some(p)),
            None if s.starts_with(':') && !s.starts_with("::") => ("", s.strip_prefix(':')),
            None => (s, None),
        },
    };
    let plain: String = addresses.chars().filter(|c| !matches!(c, '[' | ']')).collect();
    let addresses = if plain.is_empty() { None } else { Some(values::address_range(&plain, family)?) };
    let ports = match ports {
        None => None,
        Some(p) => Some(values::port_range(p.split('/').next().unwrap_or(p), '-', None)?),
    };
    Some((addresses, ports))
}
