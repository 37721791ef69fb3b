//! How devices are administered: by which protocols, from where, by whom, and what is written down about it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_yaml::Value;

use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, body, select};
use crate::diag::{Finding, Label};
use crate::model::{Account, Device, Management, ManagementProtocol, ManagementService};

/// The kind.
pub static MANAGEMENT: Kind = Kind { id: "management", page: include_str!("management.md"), parse, schema };

/// What is asked of the administration of a device.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Aspect {
    /// Administrators use encrypted protocols only.
    Encrypted,
    /// Idle sessions of administrators end.
    IdleTimeout,
    /// Failed logins lock out.
    Lockout,
    /// No account has the password with which the device is shipped.
    DefaultPasswords,
    /// Every account of an administrator is bound to source addresses, or needs a second factor.
    BoundAccounts,
    /// No machine inside opens ports by itself (UPnP, NAT-PMP, PCP).
    NoPortMapping,
    /// Log lines are sent to another host.
    RemoteLog,
}

/// An aspect with what can be set about it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// What is asked.
    aspect: Aspect,
    /// For `idle-timeout`: the longest that is right, as minutes.
    minutes: Option<u32>,
    /// For `lockout`: the most failed logins that are right.
    attempts: Option<u32>,
}

/// PCI DSS 4.0, 8.2.8: a session that is idle for more than 15 minutes asks for the password again.
const MINUTES: u32 = 15;
/// PCI DSS 4.0, 8.3.4: an account is locked after at most 10 failed attempts.
const ATTEMPTS: u32 = 10;

fn schema(generator: &mut SchemaGenerator) -> Schema {
    let (word, full) = (generator.subschema_for::<Aspect>(), generator.subschema_for::<Body>());
    schemars::json_schema!({ "anyOf": [word, full] })
}

fn parse(value: &Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body =
        if value.is_mapping() { body::read(value)? } else { Body { aspect: body::read(value)?, minutes: None, attempts: None } };
    let of = |key: &str, of: Aspect, given: bool| match given && body.aspect != of {
        true => Err(BodyError { path: format!("{key}:"), message: format!("the aspect {:?} does not use it", body.aspect) }),
        false => Ok(()),
    };
    of("minutes", Aspect::IdleTimeout, body.minutes.is_some())?;
    of("attempts", Aspect::Lockout, body.attempts.is_some())?;
    Ok(Box::new(body))
}

impl Check for Body {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Device
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut outcome = Outcome::default();
        for device in select::devices(world, spec).into_iter().filter(|d| d.has_filter()) {
            let management = &device.management;
            if !self.is_shown(management) {
                outcome.inapplicable.push(device.name.clone());
                continue;
            }
            outcome.considered.push(device.name.clone());
            let findings = match self.aspect {
                Aspect::Encrypted => encrypted(management),
                Aspect::IdleTimeout => idle_timeout(management, self.minutes.unwrap_or(MINUTES)),
                Aspect::Lockout => lockout(management, self.attempts.unwrap_or(ATTEMPTS)),
                Aspect::DefaultPasswords => default_passwords(management),
                Aspect::BoundAccounts => bound_accounts(management),
                Aspect::NoPortMapping => port_mapping(management),
                Aspect::RemoteLog => remote_log(world, device, spec),
            };
            outcome.findings.extend(findings.into_iter().map(|f| f.on(&device.name)));
        }
        outcome
    }
}

impl Body {
    /// Whether the export of a device shows what is asked.
    fn is_shown(&self, m: &Management) -> bool {
        match self.aspect {
            Aspect::Encrypted | Aspect::NoPortMapping => m.exhaustive || !m.services.is_empty() || !m.port_mapping.is_empty(),
            Aspect::IdleTimeout => m.services.iter().any(|s| s.idle_timeout.is_some()),
            Aspect::Lockout => m.lockout.is_some(),
            Aspect::DefaultPasswords => m.accounts.iter().any(|a| a.default_password.is_some()),
            Aspect::BoundAccounts => m.accounts.iter().any(|a| a.from.is_some() || a.second_factor.is_some()),
            Aspect::RemoteLog => m.log_hosts.is_some(),
        }
    }
}

/// Why a service is not fit for administration over a network, if it is not.
fn weakness(service: &ManagementService) -> Option<String> {
    let old = |versions: &[&str]| service.versions.iter().filter(|v| versions.contains(&v.as_str())).cloned().collect::<Vec<_>>();
    match service.protocol {
        ManagementProtocol::Telnet | ManagementProtocol::Http | ManagementProtocol::Ftp | ManagementProtocol::VendorCleartext => {
            Some(format!("{} sends passwords in the clear", service.protocol.name()))
        }
        // SNMP 1 and 2c have nothing but a community string, which travels in the clear (RFC 3584, section 5).
        ManagementProtocol::Snmp => {
            let old = old(&["1", "2", "2c"]);
            (!old.is_empty()).then(|| format!("SNMP version {} sends its community string in the clear", old.join(" and ")))
        }
        // RFC 4253 section 5.1 and CVE-1998-1085: version 1 lets text be inserted.
        ManagementProtocol::Ssh => (!old(&["1"]).is_empty()).then(|| "SSH version 1 is accepted, whose encryption is broken".into()),
        ManagementProtocol::Https | ManagementProtocol::Vendor => None,
    }
}

fn encrypted(m: &Management) -> Vec<Finding> {
    let weak = m.services.iter().filter_map(|s| weakness(s).map(|w| (s, w)));
    weak.map(|(service, why)| {
        let on = service.interfaces.as_ref().map_or_else(String::new, |list| {
            let names: Vec<String> = list.iter().map(|p| format!("{}{}", p.name, if p.wildcard { "*" } else { "" })).collect();
            format!(" on {}", names.join(", "))
        });
        let message = format!("the device is administered by {}{on}: {why}", service.name);
        let mut finding = Finding::new(message, Label::new(service.span, "")).about(service.name.as_str());
        finding.fix = Some(
            match service.protocol {
                ManagementProtocol::Snmp => "Use SNMP version 3 with authentication and privacy, or switch SNMP off.",
                ManagementProtocol::Http => "Switch HTTP off, or let it do no more than lead to HTTPS.",
                _ => "Switch it off, and use SSH or HTTPS.",
            }
            .into(),
        );
        finding
    })
    .collect()
}

fn idle_timeout(m: &Management, minutes: u32) -> Vec<Finding> {
    let limit = minutes.saturating_mul(60);
    let mut found: Vec<Finding> = Vec::new();
    for service in &m.services {
        let Some(fact) = &service.idle_timeout else { continue };
        let what = match fact.value {
            Some(seconds) if seconds <= limit => continue,
            Some(seconds) => format!("end after {}", time(seconds)),
            None => "never end".into(),
        };
        let by = if fact.default { " (the default)" } else { "" };
        // One setting often holds for several services.
        if let Some(same) = found.iter_mut().find(|f| f.primary.span == fact.span) {
            same.related.push(Label::new(service.span, format!("{} too", service.name)));
            continue;
        }
        let message = format!("idle sessions of administrators {what}{by}, and must after {minutes} minutes at most");
        found.push(Finding::new(message, Label::new(fact.span, "")).about(format!("idle {}", service.name)));
    }
    found
}

/// Seconds in words: `4 hours`, `90 seconds`.
fn time(seconds: u32) -> String {
    let (n, unit) = match seconds {
        s if s >= 3600 && s.is_multiple_of(3600) => (s / 3600, "hour"),
        s if s >= 60 && s.is_multiple_of(60) => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

fn lockout(m: &Management, attempts: u32) -> Vec<Finding> {
    let Some(fact) = &m.lockout else { return Vec::new() };
    let by = if fact.default { " (the default)" } else { "" };
    let message = match fact.value.attempts {
        Some(n) if n <= attempts => return Vec::new(),
        Some(n) => format!("an account locks after {n} failed logins{by}, and must after {attempts} at most"),
        None => format!("failed logins never lock an account or address out{by}"),
    };
    vec![Finding::new(message, Label::new(fact.span, "")).about("lockout")]
}

fn default_passwords(m: &Management) -> Vec<Finding> {
    let bad = m.accounts.iter().filter(|a| a.default_password == Some(true));
    bad.map(|a| {
        let message = format!("the account {} has the password with which the device is shipped, or none", a.name);
        Finding::new(message, Label::new(a.span, "")).about(a.name.as_str())
    })
    .collect()
}

fn bound_accounts(m: &Management) -> Vec<Finding> {
    let everywhere = |a: &&Account| a.from.as_ref().is_none_or(|list| list.iter().any(|n| n.prefix() == 0));
    let loose = m.accounts.iter().filter(|a| a.second_factor != Some(true)).filter(everywhere);
    loose
        .map(|a| {
            let text = format!("{} may administer the device from any address with a password alone", a.name);
            let label = Label::new(a.span, "");
            let finding = match a.second_factor {
                Some(_) => Finding::new(text, label),
                None => Finding::unknown(format!("{text}, unless a second factor is asked for elsewhere"), label.clone(), vec![label]),
            };
            finding.about(a.name.as_str())
        })
        .collect()
}

fn port_mapping(m: &Management) -> Vec<Finding> {
    let on = m.port_mapping.iter();
    on.map(|f| {
        let message = format!("{} is on: any machine inside can open ports to the internet by itself", f.value);
        Finding::new(message, Label::new(f.span, "")).about(f.value.as_str())
    })
    .collect()
}

fn remote_log(world: &World<'_>, device: &Device, spec: &Spec) -> Vec<Finding> {
    if device.management.log_hosts.as_ref().is_none_or(|list| !list.is_empty()) {
        return Vec::new();
    }
    let span = device.files.first().map_or(spec.span, |(id, _)| world.sources.get(*id).line_span(0));
    let message = "log lines are kept on the device alone: who breaks in deletes them, and a restart may";
    vec![Finding::new(message, Label::new(span, "no log host is set in this file")).about("log host")]
}
