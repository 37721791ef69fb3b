//! Windows Defender Firewall, in every form in which it is exported: objects of PowerShell as JSON, CSV and CliXml, listings of netsh, the registry
//! (`.reg`), policies (`Registry.pol`, reports of Group Policy, security templates) and Intune's settings catalog.
//!
//! All files of a device are read as one: rules, their filters and the profiles may stand in several.

mod addresses;
mod bag;
mod clixml;
mod csv;
mod facts;
mod gpreport;
mod intune;
mod json;
mod lower;
mod netsh;
mod objects;
mod ports;
mod profile;
mod props;
mod reg;
mod registry;
mod rule;
mod settings;
#[cfg(test)]
mod tests;
mod words;

use super::{Confidence, Detection, Format, Reader, Role};
use crate::diag::LineState;
use crate::source::{POLICY_DAMAGED, POLICY_HEADING, SourceFile, Span};
use facts::Facts;
use objects::Objects;

/// How much of a file is looked at to recognise it, in bytes.
const LOOK: usize = 64 << 10;

/// Windows Defender Firewall.
pub static WINDOWS_FIREWALL: Format = Format {
    id: "windows-firewall",
    title: "Windows Defender Firewall",
    export: "powershell: $p=@{PolicyStore='ActiveStore'}; [pscustomobject]@{PolicyStore='ActiveStore'; \
             Rules=@(Get-NetFirewallRule @p -TracePolicyStore|select * -ExcludeProperty Cim*); \
             Filters=@(Get-NetFirewallPortFilter @p; Get-NetFirewallAddressFilter @p; Get-NetFirewallApplicationFilter @p; \
             Get-NetFirewallServiceFilter @p; Get-NetFirewallInterfaceFilter @p; Get-NetFirewallInterfaceTypeFilter @p; \
             Get-NetFirewallSecurityFilter @p|select * -ExcludeProperty Cim*); \
             Profiles=@(Get-NetFirewallProfile @p|select * -ExcludeProperty Cim*)}|ConvertTo-Json -Depth 4|Out-File -Encoding utf8 firewall.json",
    covers: &[
        "PowerShell objects as JSON, CSV and CliXml: rules, their filters, profiles, networks",
        "netsh listings of rules and profiles in English, German, French and Spanish",
        ".reg exports, Registry.pol, gpreport.xml, GptTmpl.inf, Intune settings catalog",
        "order of bypass, block and allow rules, defaults and switches of the profiles, local policy merge, shields up",
        "which profile a network has, programs, services, packages, users, dynamic ports and address keywords as named conditions",
    ],
    leaves: &[
        "rules of Group Policy where only the device's own store was exported: unknown",
        "which profile a network has: Get-NetConnectionProfile says it for one moment only",
        "edge traversal, connection security rules, service hardening, the Hyper-V firewall",
        "packages and users of rules that netsh lists",
        ".wfw files of netsh advfirewall export (registry hives)",
    ],
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

/// The forms of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Csv,
    CliXml,
    Intune,
    Netsh(netsh::Listing),
    Reg,
    Policy,
    Template,
    Report,
}

fn head(file: &SourceFile) -> &str {
    let mut end = file.text.len().min(LOOK);
    while !file.text.is_char_boundary(end) {
        end -= 1;
    }
    file.text.get(..end).unwrap_or("")
}

/// The form of a file, if it is one of the firewall.
fn form(file: &SourceFile) -> Option<(Form, Confidence)> {
    let head = head(file);
    let start = head.trim_start();
    let certain = |f: Form| Some((f, Confidence::Certain));
    if start.starts_with(POLICY_HEADING) && start.get(POLICY_HEADING.len()..)?.starts_with(['\n', '\r']) || *head == *POLICY_HEADING {
        return certain(Form::Policy);
    }
    if start.starts_with(['{', '[']) {
        let has = |name: &str| head.contains(&format!("\"{name}\""));
        if head.contains("json-schema.org") {
            // A schema names properties, and has none.
            return None;
        }
        if head.contains("deviceManagementConfigurationPolicy") || has("settingDefinitionId") {
            // The text may be long before the first setting.
            return file.text.contains("vendor_msft_firewall_").then_some((Form::Intune, Confidence::Certain));
        }
        let rule = has("Direction") && has("Action") && (has("Enabled") || has("Profile") || has("LocalPort"));
        let filter = has("InstanceID")
            && (has("LocalPort")
                || has("RemoteAddress")
                || has("AppPath")
                || has("ServiceName")
                || has("InterfaceAlias")
                || has("OverrideBlockRules"));
        let profile = has("DefaultInboundAction") || has("AllowInboundRules") || has("DefaultOutboundAction");
        let plain_profile = has("Enabled") && head.contains("\"Domain\"") && head.contains("\"Private\"") && head.contains("\"Public\"");
        let network = has("NetworkCategory");
        let confidence = if rule || profile || filter { Confidence::Certain } else { Confidence::Strong };
        return (rule || filter || profile || plain_profile || network).then_some((Form::Json, confidence));
    }
    if start.starts_with("Windows Registry Editor Version") || start.starts_with("REGEDIT4") {
        let lower = file.text.to_ascii_lowercase();
        let of_firewall =
            lower.contains("sharedaccess\\parameters\\firewallpolicy") || lower.contains("policies\\microsoft\\windowsfirewall");
        return of_firewall.then_some((Form::Reg, Confidence::Certain));
    }
    if start.starts_with('<') {
        if head.contains("schemas.microsoft.com/powershell/2004/04") {
            let has = |name: &str| head.contains(&format!("N=\"{name}\""));
            let ours =
                has("Direction") || has("DefaultInboundAction") || has("NetworkCategory") || has("LocalPort") || has("RemoteAddress");
            return (ours || head.contains("MSFT_NetFirewall") || head.contains("MSFT_NetProtocolPortFilter"))
                .then_some((Form::CliXml, Confidence::Certain));
        }
        return head.contains("www.microsoft.com/GroupPolicy/Settings").then_some((Form::Report, Confidence::Certain));
    }
    if start.starts_with('[') || start.starts_with(';') {
        return None;
    }
    if let Some(listing) = netsh::listing(head) {
        return certain(Form::Netsh(listing));
    }
    let (names, ..) = csv::header(head)?;
    let has = |n: &str| names.iter().any(|c| props::bare(c) == n);
    let rule = has("direction") && has("action") && (has("enabled") || has("profile") || has("profiles"));
    let profile = has("defaultinboundaction") || (has("enabled") && has("allowinboundrules"));
    let filter = has("instanceid") && (has("localport") || has("remoteaddress") || has("apppath") || has("program"));
    (rule || profile || filter || has("networkcategory") && has("interfacealias")).then_some((Form::Csv, Confidence::Certain))
}

/// A security template: `[Unicode]` and the signature of Windows.
fn is_template(file: &SourceFile) -> bool {
    let head = head(file);
    let start = head.trim_start();
    start.starts_with('[') && head.contains("signature=\"$CHICAGO$\"") && head.contains("[Version]")
}

fn form_of(file: &SourceFile) -> Option<(Form, Confidence)> {
    if is_template(file) {
        return Some((Form::Template, Confidence::Certain));
    }
    form(file)
}

fn detect(file: &SourceFile) -> Option<Detection> {
    let (form, confidence) = form_of(file)?;
    let why = match form {
        Form::Json => "has objects of the cmdlets for the firewall",
        Form::Csv => "has the columns of firewall rules",
        Form::CliXml => "has objects of PowerShell for the firewall",
        Form::Intune => "has settings of the Firewall provider",
        Form::Netsh(_) => "is laid out as netsh does it",
        Form::Reg => "has the registry's keys of the firewall",
        Form::Policy => "is a Registry.pol",
        Form::Template => "is a security template",
        Form::Report => "is a report of Group Policy",
    };
    Some(Detection { confidence, why })
}

/// What there is at most one of in a device.
pub(super) fn evidence(file: &SourceFile) -> Option<&'static str> {
    let (form, _) = form_of(file)?;
    let text = &*file.text;
    Some(match form {
        Form::Json | Form::Csv | Form::CliXml => {
            let rules = ["Direction\"", "Direction,", "Direction;", "Direction\t"].iter().any(|w| text.contains(w));
            let profiles = text.contains("DefaultInboundAction");
            match (rules, profiles) {
                (true, _) => "rules of PowerShell",
                (_, true) => "profiles of PowerShell",
                _ => return None,
            }
        }
        Form::Netsh(netsh::Listing::Rules) => "rules of netsh",
        Form::Netsh(netsh::Listing::Profiles) => "profiles of netsh",
        Form::Reg if text.to_ascii_lowercase().contains("\\sharedaccess\\") => "registry",
        Form::Reg => "registry of policies",
        Form::Policy => "policy",
        Form::Report => "report",
        Form::Intune => "Intune",
        Form::Template => return None,
    })
}

fn read(reader: &mut Reader<'_>) {
    let mut files = vec![reader.file];
    files.extend(reader.beside.iter().copied());
    let (mut facts, mut objects) = (Facts::default(), Objects::default());
    for file in files {
        reader.mark(file.whole(), LineState::Irrelevant);
        match form_of(file).map(|(f, _)| f) {
            Some(Form::Json) => {
                let data = json::read(reader, file);
                objects.take(reader, data);
            }
            Some(Form::Csv) => {
                let data = csv::read(reader, file);
                objects.take(reader, data);
            }
            Some(Form::CliXml) => {
                let data = clixml::read(reader, file);
                objects.take(reader, data);
            }
            Some(Form::Intune) => {
                let data = json::read(reader, file);
                intune::read(reader, &mut facts, &data);
            }
            Some(Form::Netsh(_)) => netsh::read(reader, &mut facts, file),
            Some(Form::Reg) => reg::read(reader, &mut facts, file),
            Some(Form::Template) => reg::template(reader, &mut facts, file),
            Some(Form::Policy) => {
                facts.place = facts.place.or(Some(file.line_span(0)));
                if let Some(at) = file.text.rfind(POLICY_DAMAGED) {
                    let span = Span::new(file.id, at, at + POLICY_DAMAGED.len());
                    reader.incomplete(span, LineState::Unsupported, "the policy is not whole: the file may be cut off");
                    facts.lost(span);
                }
                reg::read(reader, &mut facts, file);
            }
            Some(Form::Report) => gpreport::read(reader, &mut facts, file),
            None => {
                let at = file.line_span(0);
                reader.note(at, LineState::Unrecognised, "no form of the Windows Firewall is recognised in this file");
                facts.lost(at);
            }
        }
    }
    objects.join(reader, &mut facts);
    lower::lower(reader, &mut facts);
}
