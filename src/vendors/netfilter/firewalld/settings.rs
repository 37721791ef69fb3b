//! `firewalld.conf`.

use super::objects::Said;
use crate::diag::LineState;
use crate::model::HostSetting;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// Reverse path filter of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReversePath {
    Off,
    /// For every packet that arrives; whether the route back must lead through the same interface.
    Arriving(bool),
    /// For packets that pass through only (firewalld 2.1 and later).
    Forwarded(bool),
}

/// What the file says, with the defaults of firewalld.conf(5) where it says nothing.
pub(super) struct Settings {
    /// Whether there was such a file.
    pub read: bool,
    pub default_zone: Option<Said<String>>,
    /// Whether dropped packets are logged, and if only some: unicast, broadcast or multicast.
    pub log_denied: Option<Option<u128>>,
    pub reverse_path: ReversePath,
    pub rfc3964: bool,
    /// Translated connections pass only if firewalld translated them (firewalld 2.3 and later).
    pub strict_forward_ports: bool,
    /// Packets of a source's zone that decides nothing go on to that of their interface (firewalld before 1.0).
    pub drifting: bool,
    pub iptables: bool,
    /// What brings the whole about, for what no line says.
    pub span: Span,
}

impl Settings {
    /// The defaults: firewalld.conf(5) of 1.3.3 and 2.3.1 agree on them.
    pub fn new(span: Span) -> Settings {
        Settings {
            read: false,
            default_zone: None,
            log_denied: None,
            reverse_path: ReversePath::Arriving(true),
            rfc3964: true,
            strict_forward_ports: false,
            drifting: false,
            iptables: false,
            span,
        }
    }
}

/// Keys of firewalld.conf(5), of any version.
pub(super) const KEYS: &[&str] = &[
    "DefaultZone",
    "MinimalMark",
    "CleanupOnExit",
    "CleanupModulesOnExit",
    "Lockdown",
    "IPv6_rpfilter",
    "IndividualCalls",
    "LogDenied",
    "AutomaticHelpers",
    "FirewallBackend",
    "FlushAllOnReload",
    "ReloadPolicy",
    "RFC3964_IPv4",
    "AllowZoneDrifting",
    "StrictForwardPorts",
    "NftablesFlowtable",
    "NftablesCounters",
    "NftablesTableOwner",
];

/// The key and value of a line, if it is a setting.
pub(super) fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
    Some((key.trim(), value.trim()))
}

/// Reads the file.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile, settings: &mut Settings) {
    settings.read = true;
    settings.span = file.line_span(0);
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span).trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            reader.mark(span, LineState::Irrelevant);
            continue;
        }
        let Some((key, value)) = setting(text) else {
            reader.note(span, LineState::Unrecognised, "this is no setting of firewalld.conf");
            continue;
        };
        if !KEYS.contains(&key) {
            reader.note(span, LineState::Unrecognised, format!("the setting `{key}` is not known here"));
            continue;
        }
        reader.mark(span, LineState::Understood);
        reader.device.settings.push(HostSetting { name: format!("firewalld.{key}"), value: value.to_owned(), span });
        let yes = matches!(value.to_lowercase().as_str(), "yes" | "true");
        match key {
            "DefaultZone" => {
                settings.default_zone = Some(Said { value: value.to_owned(), span });
                settings.span = span;
            }
            "LogDenied" => {
                settings.log_denied = match value.to_lowercase().as_str() {
                    "all" => Some(None),
                    // `PACKET_HOST`, `PACKET_BROADCAST`, `PACKET_MULTICAST` of `if_packet.h`.
                    "unicast" => Some(Some(0)),
                    "broadcast" => Some(Some(1)),
                    "multicast" => Some(Some(2)),
                    _ => None,
                };
            }
            "IPv6_rpfilter" => {
                settings.reverse_path = match value.to_lowercase().as_str() {
                    "no" | "false" => ReversePath::Off,
                    "loose" => ReversePath::Arriving(false),
                    "strict-forward" => ReversePath::Forwarded(true),
                    "loose-forward" => ReversePath::Forwarded(false),
                    _ => ReversePath::Arriving(true),
                };
            }
            "RFC3964_IPv4" => settings.rfc3964 = !matches!(value.to_lowercase().as_str(), "no" | "false"),
            "StrictForwardPorts" => settings.strict_forward_ports = yes,
            "AllowZoneDrifting" if yes => {
                settings.drifting = true;
                let text = "before version 1.0, packets about which a source's zone decides nothing went on to the zone of their interface; \
                            which version reads this is not known";
                reader.note(span, LineState::NotModelled, text);
            }
            "FirewallBackend" if value == "iptables" => {
                settings.iptables = true;
                reader.note(
                    span,
                    LineState::NotModelled,
                    "the chains are those of the nftables backend; with iptables, direct rules stand in the same chains, and decide otherwise",
                );
            }
            "NftablesFlowtable" if !value.is_empty() && value != "off" => {
                reader.mark(span, LineState::Irrelevant);
            }
            _ => {}
        }
    }
}
