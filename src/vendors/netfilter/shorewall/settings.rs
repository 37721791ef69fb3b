//! `shorewall.conf` and `params`.
//!
//! Source: shorewall.conf(5), shorewall-params(5) of version 5.2.8. What a setting is where the file does not mention it stands in
//! [`Settings::default_of`]; what it is where the file is missing, in [`SHIPPED`].

use std::collections::BTreeMap;

use super::values::{Arguments, Missing, UNKNOWN, Variables};
use crate::diag::LineState::{Irrelevant, NotModelled, Understood, Unrecognised, Unsupported};
use crate::model::HostSetting;
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::vendors::Reader;

/// What `shorewall.conf` says.
pub(super) struct Settings {
    values: BTreeMap<String, (String, Span)>,
    /// Stands for what is not written.
    pub anchor: Span,
    pub family: Family,
    /// The file is there.
    pub present: bool,
}

/// Settings that decide about packets, or about how the other files are read.
const EFFECTIVE: &[&str] = &[
    "ACCEPT_DEFAULT",
    "BLACKLIST",
    "BLACKLIST_DEFAULT",
    "BLACKLIST_DISPOSITION",
    "BLACKLIST_LOG_LEVEL",
    "CLAMPMSS",
    "COMPLETE",
    "DETECT_DNAT_IPADDRS",
    "DISABLE_IPV6",
    "DOCKER",
    "DROP_DEFAULT",
    "DYNAMIC_BLACKLIST",
    "EXPAND_POLICIES",
    "FASTACCEPT",
    "FORWARD_CLEAR_MARK",
    "IGNOREUNKNOWNVARIABLES",
    "IMPLICIT_CONTINUE",
    "INVALID_DISPOSITION",
    "INVALID_LOG_LEVEL",
    "IP_FORWARDING",
    "LOGALLNEW",
    "LOG_LEVEL",
    "LOG_MARTIANS",
    "MACLIST_DISPOSITION",
    "MACLIST_LOG_LEVEL",
    "MACLIST_TABLE",
    "MACLIST_TTL",
    "MANGLE_ENABLED",
    "MASK_BITS",
    "MULTICAST",
    "NFQUEUE_DEFAULT",
    "NULL_ROUTE_RFC1918",
    "OPTIMIZE",
    "PROVIDER_BITS",
    "PROVIDER_OFFSET",
    "QUEUE_DEFAULT",
    "REJECT_ACTION",
    "REJECT_DEFAULT",
    "RELATED_DISPOSITION",
    "RELATED_LOG_LEVEL",
    "ROUTE_FILTER",
    "RPFILTER_DISPOSITION",
    "RPFILTER_LOG_LEVEL",
    "SFILTER_DISPOSITION",
    "SFILTER_LOG_LEVEL",
    "SMURF_DISPOSITION",
    "SMURF_LOG_LEVEL",
    "STARTUP_ENABLED",
    "TCP_FLAGS_DISPOSITION",
    "TCP_FLAGS_LOG_LEVEL",
    "TC_BITS",
    "UNTRACKED_DISPOSITION",
    "UNTRACKED_LOG_LEVEL",
    "ZONE2ZONE",
    "ZONE_BITS",
];

/// Settings on which nothing in the ruleset depends. Those of earlier versions are among them.
const WITHOUT_EFFECT: &[&str] = &[
    "ACCOUNTING",
    "ACCOUNTING_TABLE",
    "ADD_IP_ALIASES",
    "ADD_SNAT_ALIASES",
    "ADMINISABSENTMINDED",
    "ARPTABLES",
    "AUTOCOMMENT",
    "AUTOHELPERS",
    "AUTOMAKE",
    "BALANCE_PROVIDERS",
    "BASIC_FILTERS",
    "BRIDGING",
    "CHAIN_SCRIPTS",
    "CLEAR_TC",
    "CONFIG_PATH",
    "DEFER_DNS_RESOLUTION",
    "DELAYBLACKLISTLOAD",
    "DELETE_THEN_ADD",
    "DOCKER_BRIDGE",
    "DONT_LOAD",
    "DYNAMIC_ZONES",
    "EXPORTMODULES",
    "EXPORTPARAMS",
    "FAST_STOP",
    "FIREWALL",
    "GEOIPDIR",
    "HELPERS",
    "HIGH_ROUTE_MARKS",
    "INLINE_MATCHES",
    "IP",
    "IP6TABLES",
    "IPSECFILE",
    "IPSET",
    "IPSET_WARNINGS",
    "IPTABLES",
    "KEEP_RT_TABLES",
    "LEGACY_FASTSTART",
    "LEGACY_RESTART",
    "LOAD_HELPERS_ONLY",
    "LOCKFILE",
    "LOGBURST",
    "LOGFILE",
    "LOGFORMAT",
    "LOGLIMIT",
    "LOGRATE",
    "LOGTAGONLY",
    "LOG_BACKEND",
    "LOG_VERBOSITY",
    "LOG_ZONE",
    "MAPOLDACTIONS",
    "MARK_IN_FORWARD_CHAIN",
    "MINIUPNPD",
    "MODULESDIR",
    "MODULE_SUFFIX",
    "MUTEX_TIMEOUT",
    "NFACCT",
    "OPTIMIZE_ACCOUNTING",
    "PAGER",
    "PATH",
    "PERL",
    "PERL_HASH_SEED",
    "PKTTYPE",
    "RCP_COMMAND",
    "RENAME_COMBINED",
    "REQUIRE_INTERFACE",
    "RESTART",
    "RESTOREFILE",
    "RESTORE_DEFAULT_ROUTE",
    "RESTORE_ROUTEMARKS",
    "RETAIN_ALIASES",
    "RFC1918_LOG_LEVEL",
    "RFC1918_STRICT",
    "RSH_COMMAND",
    "SAVE_ARPTABLES",
    "SAVE_IPSETS",
    "SHOREWALL_COMPILER",
    "SHOREWALL_SHELL",
    "STARTUP_LOG",
    "SUBSYSLOCK",
    "TC",
    "TC_ENABLED",
    "TC_EXPERT",
    "TC_PRIOMAP",
    "TC_SCRIPT",
    "TRACK_PROVIDERS",
    "TRACK_RULES",
    "USE_ACTIONS",
    "USE_DEFAULT_RT",
    "USE_NFLOG_SIZE",
    "USE_PHYSICAL_NAMES",
    "USE_RT_NAMES",
    "VERBOSE_MESSAGES",
    "VERBOSITY",
    "WARNOLDCAPVERSION",
    "WIDE_TC_MARKS",
    "WORKAROUNDS",
    "ZERO_MARKS",
    "MANGLE_FORWARD",
    "LOGTAG",
    "SHOREWALL_USER",
    "EXPAND_RULES",
    "LOG_LEVEL_DEFAULT",
    "BLACKLISTNEWONLY",
];

/// The settings with which Debian 12 ships `shorewall.conf` 5.2.8 that differ from what Shorewall takes where nothing is written.
const SHIPPED: &[(&str, &str)] = &[
    ("BLACKLIST", "NEW,INVALID,UNTRACKED"),
    ("DROP_DEFAULT", "Broadcast(DROP),Multicast(DROP)"),
    ("REJECT_DEFAULT", "Broadcast(DROP),Multicast(DROP)"),
    ("EXPAND_POLICIES", "Yes"),
    ("OPTIMIZE", "All"),
    ("IP_FORWARDING", "Keep"),
    ("TCP_FLAGS_LOG_LEVEL", "info"),
    ("SMURF_LOG_LEVEL", "info"),
    ("MACLIST_LOG_LEVEL", "info"),
    ("ROUTE_FILTER", "Yes"),
];

impl Settings {
    pub fn new(family: Family, anchor: Span) -> Settings {
        Settings { values: BTreeMap::new(), anchor, family, present: false }
    }

    /// The value where one is written and not empty, else the default.
    pub fn get(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some((value, _)) if !value.is_empty() => value,
            _ if !self.present => {
                SHIPPED.iter().find(|(n, _)| *n == name).map_or_else(|| self.default_of(name), |(_, v)| self.shipped(name, v))
            }
            _ => self.default_of(name),
        }
    }

    /// The shipped settings of IPv6 let the needed ICMP types through before they drop.
    fn shipped(&self, name: &str, value: &'static str) -> &'static str {
        match name {
            "DROP_DEFAULT" | "REJECT_DEFAULT" if self.family == Family::V6 => "AllowICMPs,Broadcast(DROP),Multicast(DROP)",
            _ => value,
        }
    }

    /// What Shorewall takes where nothing is written (shorewall.conf(5) names it for each setting).
    fn default_of(&self, name: &str) -> &'static str {
        match name {
            "BLACKLIST_DISPOSITION" | "SMURF_DISPOSITION" | "SFILTER_DISPOSITION" | "RPFILTER_DISPOSITION" | "TCP_FLAGS_DISPOSITION" => {
                "DROP"
            }
            "MACLIST_DISPOSITION" => "REJECT",
            "RELATED_DISPOSITION" => "ACCEPT",
            "INVALID_DISPOSITION" | "UNTRACKED_DISPOSITION" => "CONTINUE",
            "BLACKLIST" if self.is_yes("FASTACCEPT") => "NEW,INVALID,UNTRACKED",
            "BLACKLIST" => "NEW,ESTABLISHED,INVALID,UNTRACKED",
            "DYNAMIC_BLACKLIST" | "FORWARD_CLEAR_MARK" | "IGNOREUNKNOWNVARIABLES" | "MANGLE_ENABLED" | "STARTUP_ENABLED" => "Yes",
            "IP_FORWARDING" => "On",
            "SFILTER_LOG_LEVEL" | "RPFILTER_LOG_LEVEL" | "LOG_LEVEL" => "info",
            "MACLIST_TABLE" => "filter",
            "ZONE2ZONE" => "-",
            _ => "",
        }
    }

    pub fn is_yes(&self, name: &str) -> bool {
        self.get(name).eq_ignore_ascii_case("yes")
    }

    /// A log level that is neither empty nor `none`.
    pub fn level(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|l| !l.is_empty() && !l.eq_ignore_ascii_case("none"))
    }

    /// A number of bits.
    pub fn bits(&self, name: &str, default: u32) -> u32 {
        self.get(name).parse().ok().filter(|n| *n <= 30).unwrap_or(default)
    }

    pub fn span(&self, name: &str) -> Span {
        self.values.get(name).map_or(self.anchor, |(_, s)| *s)
    }

    /// Bits of `OPTIMIZE`: 1 leaves out rules that repeat a policy, 2 leaves out policy chains that would only accept.
    pub fn optimize(&self) -> u32 {
        match self.get("OPTIMIZE").to_ascii_lowercase().as_str() {
            "all" => 31,
            "none" | "" => 0,
            n => n.parse().unwrap_or(0),
        }
    }

    pub fn read(&mut self, reader: &mut Reader<'_>, file: &SourceFile, variables: &mut Variables) {
        self.present = true;
        self.anchor = file.line_span(0);
        let mut omit = Vec::new();
        for line in 0..file.line_count() {
            let span = file.line_span(line);
            let text = file.slice(span).trim();
            if text.is_empty() || text.starts_with('#') {
                reader.mark(span, Irrelevant);
                continue;
            }
            if let Some(rest) = text.strip_prefix('?') {
                let word = rest.split_ascii_whitespace().next().unwrap_or("").to_ascii_uppercase();
                match word.as_str() {
                    "IF" => {
                        let holds = variables.condition(rest.get(2..).unwrap_or(""), &Arguments::default(), self.family);
                        if holds.is_none() {
                            reader.note(span, NotModelled, "whether this holds is not known: the settings after it are not read");
                        }
                        omit.push(holds != Some(true));
                        reader.mark(span, Understood);
                    }
                    "ENDIF" => {
                        omit.pop();
                        reader.mark(span, Understood);
                    }
                    "ELSE" => {
                        if let Some(last) = omit.last_mut() {
                            *last = !*last;
                        }
                        reader.mark(span, Understood);
                    }
                    _ => reader.note(span, NotModelled, "this directive is not followed here"),
                }
                continue;
            }
            if omit.contains(&true) {
                reader.mark(span, Irrelevant);
                continue;
            }
            let Some((name, value)) = text.split_once('=').filter(|(n, _)| is_name(n)) else {
                reader.note(span, Unrecognised, "this is no setting");
                continue;
            };
            let value = unquoted(value);
            let value = match name {
                "CONFIG_PATH" | "RCP_COMMAND" | "RSH_COMMAND" => value.to_owned(),
                _ => variables.expand(value, &Arguments::default()).unwrap_or_else(|_| UNKNOWN.to_string()),
            };
            if EFFECTIVE.contains(&name) {
                if value.contains(UNKNOWN) {
                    reader.note(span, NotModelled, "this value depends on a variable that is not known here");
                } else {
                    reader.mark(span, Understood);
                }
            } else if WITHOUT_EFFECT.contains(&name) {
                reader.mark(span, Irrelevant);
            } else {
                reader.note(span, Unrecognised, format!("Shorewall knows no setting {name}, and ignores it"));
            }
            if !value.contains(UNKNOWN) {
                reader.device.settings.push(HostSetting { name: format!("shorewall.{name}"), value: value.clone(), span });
            }
            // Later lines, and the other files, may ask for it.
            if variables.get(name).is_none() {
                variables.set(name, Some(value.clone()).filter(|v| !v.contains(UNKNOWN)));
            }
            self.values.insert(name.to_owned(), (value, span));
        }
        variables.missing = match self.is_yes("IGNOREUNKNOWNVARIABLES") {
            _ if variables.missing == Missing::Unknown => Missing::Unknown,
            true => Missing::Empty,
            false => Missing::Refused,
        };
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The value of a setting: what stands in its quotes, or before a comment.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some((inner, _)) = text.strip_prefix(quote).and_then(|t| t.split_once(quote)) {
            return inner;
        }
    }
    text.split('#').next().unwrap_or("").trim()
}

/// Reads `params`, which a shell runs: plain assignments; whatever else sets a variable makes it unknown.
pub(super) fn params(reader: &mut Reader<'_>, file: &SourceFile, variables: &mut Variables, depth: usize) {
    // Constructs of the shell that are open.
    let mut open = 0usize;
    for line in 0..file.line_count() {
        let span = file.line_span(line);
        let text = file.slice(span).trim();
        if text.is_empty() || text.starts_with('#') {
            reader.mark(span, Irrelevant);
            continue;
        }
        let mut words = text.split_ascii_whitespace();
        let first = words.next().unwrap_or("").trim_end_matches(';');
        match first {
            "if" | "case" | "for" | "while" | "until" | "{" => open = open.saturating_add(1),
            _ if first.ends_with("()") || text.contains("() {") || text.ends_with('{') => open = open.saturating_add(1),
            "fi" | "esac" | "done" | "}" => open = open.saturating_sub(1),
            _ => {}
        }
        if let ("INCLUDE" | "?INCLUDE" | "." | "source", Some(name)) = (first, words.next()) {
            let files = reader.include(file.id, name);
            reader.mark(span, Understood);
            if depth >= reader.limits.include_depth {
                reader.incomplete(span, Unsupported, "includes are nested too deep: this one is not read");
                continue;
            }
            if files.is_empty() {
                variables.missing = Missing::Unknown;
                reader.note(span, NotModelled, format!("{name} is not among the files: variables that it sets are not known"));
            }
            for included in files {
                params(reader, included, variables, depth + 1);
            }
            continue;
        }
        let assigned = text.strip_prefix("export ").unwrap_or(text).trim_start();
        match assigned.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, value)) => {
                let words = value.trim_start();
                let known = if open == 0 { shell_value(value, variables) } else { None };
                let upper = name.to_ascii_uppercase();
                let telling = ["PASS", "SECRET", "TOKEN", "KEY", "PSK", "CRED"].iter().any(|w| upper.contains(w));
                if telling || known.is_none() {
                    hide(reader, file, span, words);
                }
                let value = known;
                match &value {
                    Some(_) => reader.mark(span, Understood),
                    None => reader.note(span, NotModelled, format!("the value of {name} is computed by a shell, and not known here")),
                }
                variables.set(name, value);
            }
            None if open == 0 && matches!(first, "export" | "echo" | "set" | "unset" | "fi" | "esac" | "done" | "}" | "true" | ":") => {
                reader.mark(span, Irrelevant);
            }
            None => {
                // A variable may be set anywhere within it.
                for (name, _) in
                    text.split(|c: char| c.is_whitespace() || c == ';').filter_map(|w| w.split_once('=')).filter(|(n, _)| is_name(n))
                {
                    variables.set(name, None);
                }
                hide(reader, file, span, text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest));
                reader.note(span, NotModelled, "what a shell does here is not followed: variables that it sets are not known");
                if first == "read" || first == "eval" {
                    variables.missing = Missing::Unknown;
                }
            }
        }
    }
}

/// Marks the end of a line, `rest`, as what no output shows: it may hold what a program needs to log in somewhere.
pub(super) fn hide(reader: &mut Reader<'_>, file: &SourceFile, line: Span, rest: &str) {
    let text = file.slice(line).trim_end();
    if let Some(at) = text.len().checked_sub(rest.len()).filter(|_| !rest.is_empty() && text.ends_with(rest)) {
        let start = line.start as usize + at;
        reader.secret(Span::new(file.id, start, start + rest.len()));
    }
}

/// The value of an assignment, if no program is needed to know it.
fn shell_value(text: &str, variables: &Variables) -> Option<String> {
    let mut out = String::new();
    let mut rest = text.trim_start();
    loop {
        let c = rest.chars().next();
        match c {
            None | Some('#' | ';') => break,
            Some(c) if c.is_whitespace() => break,
            Some('\'') => {
                let (inner, after) = rest.get(1..)?.split_once('\'')?;
                // A shell does not look into these; Shorewall does when it expands the variable.
                out.push_str(inner);
                rest = after;
            }
            Some('"') => {
                let (inner, after) = rest.get(1..)?.split_once('"')?;
                out.push_str(&plain(inner, variables)?);
                rest = after;
            }
            Some(_) => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';')).unwrap_or(rest.len());
                out.push_str(&plain(rest.get(..end)?, variables)?);
                rest = rest.get(end..)?;
            }
        }
    }
    let rest = rest.trim_start().trim_start_matches(';').trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(out)
}

/// A text of the shell whose only special signs are simple variables.
fn plain(text: &str, variables: &Variables) -> Option<String> {
    if text.contains(['`', '\\', '|', '&', '<', '>', '(', '*']) || text.contains("${") && text.contains([':', '%', '#']) {
        return None;
    }
    let out = variables.expand(text, &Arguments::default()).ok()?;
    (!out.contains(UNKNOWN)).then_some(out)
}
