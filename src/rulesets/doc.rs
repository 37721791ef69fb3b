//! What may be written in a baseline, a ruleset and a list of waivers.
//!
//! These types are the schema: the one that editors get and the one that files are judged by. Each entry is read on its own, so that one
//! bad entry does not hide the others' errors.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_yaml::Value;

use crate::checks::body::OneOrMany;
use crate::diag::Severity;

/// A baseline: what must hold in this network.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // its fields are read one by one
pub(super) struct BaselineDoc {
    /// Version of this language: 1.
    pub fwproof: u32,
    /// Title of all reports.
    pub title: String,
    /// Rulesets that apply: names of shipped ones (customer-data, network-edge, remote-worker …), or paths of files beside or below this one.
    #[serde(default, rename = "use")]
    pub uses: OneOrMany<String>,
    /// Places in the network, by name.
    #[serde(default)]
    pub zones: BTreeMap<String, ZoneDoc>,
    /// Services by name; common ones (ssh, https, dns …) are known without.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceDoc>,
    /// What must exist: offices with their firewalls, and remote workers.
    pub estate: Option<EstateDoc>,
    /// Changes to checks of the rulesets in use, by check id.
    #[serde(default)]
    pub adjust: BTreeMap<String, AdjustDoc>,
    /// Checks of this network's own.
    #[serde(default)]
    pub checks: Vec<AnyDoc>,
    /// Process controls that no configuration can show.
    #[serde(default)]
    pub attestations: Vec<AttestationDoc>,
    /// Accepted findings: a file beside or below this one, or what is to hold for them.
    pub waivers: Option<WaiversAtDoc>,
    /// What a change may do (`fwproof diff -b`): whatever is beyond must stay as it is.
    #[serde(default, rename = "allow-change")]
    pub allow_change: Vec<AllowChangeDoc>,
}

/// A file of checks that baselines use.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // its fields are read one by one
pub(super) struct RulesetDoc {
    /// Version of this language: 1.
    pub fwproof: u32,
    /// Id, in kebab-case words.
    pub ruleset: String,
    /// What it is for.
    pub title: String,
    /// What a baseline must define to use it.
    pub needs: Option<NeedsDoc>,
    /// The checks.
    pub checks: Vec<AnyDoc>,
}

/// What a baseline must define to use a ruleset.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NeedsDoc {
    /// Zones, by name, each with a few words on what it is.
    #[serde(default)]
    pub zones: BTreeMap<String, String>,
    /// The baseline must say under `estate:` who works remotely.
    #[serde(default)]
    pub workers: bool,
    /// The baseline must say under `estate:` which offices there are.
    #[serde(default)]
    pub sites: bool,
}

/// A place in the network.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ZoneDoc {
    /// Addresses and prefixes, or `public` (every address of the internet), or `any`.
    pub addresses: OneOrMany<String>,
    /// Behind which interfaces it lies, by device. A trailing `*` stands for any ending.
    #[serde(default)]
    pub on: BTreeMap<String, OneOrMany<String>>,
    /// Behind which interfaces it lies on every device that has them (tunnels).
    #[serde(default)]
    pub through: OneOrMany<String>,
}

/// A service with all that can be said of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceFullDoc {
    /// `tcp/443`, `udp/500-510`, `icmp`, `esp`.
    pub ports: OneOrMany<String>,
    /// Whether its traffic is encrypted end to end.
    pub encrypted: Option<bool>,
}

/// A service: `tcp/443`, a list of such, or a mapping.
pub(super) struct ServiceDoc(pub ServiceFullDoc);

impl<'de> Deserialize<'de> for ServiceDoc {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = if value.is_mapping() {
            serde_yaml::from_value(value)
        } else {
            serde_yaml::from_value(value).map(|ports| ServiceFullDoc { ports, encrypted: None })
        };
        read.map(ServiceDoc).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ServiceDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServiceDoc".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let full = generator.subschema_for::<ServiceFullDoc>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }, full] })
    }
}

/// What must exist.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // its fields are read one by one
pub(super) struct EstateDoc {
    /// Offices by name.
    #[serde(default)]
    pub sites: BTreeMap<String, SiteDoc>,
    /// Remote workers.
    pub workers: Option<WorkersDoc>,
}

/// An office.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteDoc {
    /// How many firewalls it has.
    pub firewalls: u32,
    /// Names of its devices (folders of exports).
    #[serde(default)]
    pub devices: OneOrMany<String>,
}

/// Remote workers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkersDoc {
    /// CSV file with a header line: name, device, role, platform, left; beside or below the baseline.
    pub roster: String,
    /// What each must have; a host firewall and a VPN client if not said.
    #[serde(default)]
    pub each: OneOrMany<EachDoc>,
    /// How old an export may be: `30d`, `2 weeks`.
    pub exported_within: Option<String>,
    /// Destinations that the VPN must take: zones, addresses or prefixes. Without it: everything.
    #[serde(default)]
    pub tunnelled: OneOrMany<String>,
}

/// What a remote worker must have.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EachDoc {
    /// A packet filter on the device.
    HostFirewall,
    /// A VPN client.
    VpnClient,
    /// Nothing leaves the device beside the VPN.
    KillSwitch,
}

/// A change to a check of a ruleset.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdjustDoc {
    /// Another severity.
    pub severity: Option<Severity>,
    /// Switches it off, and says why.
    pub off: Option<String>,
    /// `false`: nobody may accept a finding of it.
    pub waivable: Option<bool>,
}

/// What every check has beside the body of its kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckDoc {
    /// Id, in kebab-case words, for ever.
    pub id: String,
    /// What must hold, as a sentence.
    pub title: Option<String>,
    /// How bad it is when it does not; medium if not said.
    pub severity: Option<Severity>,
    /// Why it matters.
    #[serde(default)]
    pub why: String,
    /// How to fix it.
    #[serde(default)]
    pub fix: String,
    /// Controls that it answers.
    #[serde(default)]
    pub refs: OneOrMany<String>,
    /// Devices that it is about: names, patterns with `*`, `group:offices`, `group:workers`. Without it: all that its kind applies to.
    #[serde(default)]
    pub on: OneOrMany<String>,
    /// A check about remote workers that applies only if the baseline asks for this under `estate: workers: each:`.
    pub each: Option<EachDoc>,
    /// `false`: nobody may accept a finding of it.
    pub waivable: Option<bool>,
}

/// A process control.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AttestationDoc {
    /// Id, in kebab-case words; the id of a check of a ruleset that asks for this attestation, or a new one.
    pub id: String,
    /// What is attested, as a sentence.
    pub title: Option<String>,
    /// How bad it is when nobody vouches for it; medium if not said.
    pub severity: Option<Severity>,
    /// Who vouches for it.
    pub owner: String,
    /// A file beside or below the baseline, or an address (which is not fetched).
    pub evidence: String,
    /// The day of the last review: `2026-09-01`.
    pub reviewed: String,
    /// How often it must be reviewed: `12 months`.
    pub every: String,
    /// Controls that it answers.
    #[serde(default)]
    pub refs: OneOrMany<String>,
}

/// What holds for accepted findings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaiversFullDoc {
    /// File of accepted findings, beside or below this one.
    pub file: Option<String>,
    /// How far ahead an end may lie, from the day of the run: `90 days`. A waiver that ends later accepts nothing.
    pub at_most: Option<String>,
    /// Comments in configurations (`# fwproof: waive CHECK until 2026-12-31: reason`) count. Whoever changes a configuration writes them.
    #[serde(default)]
    pub in_configurations: bool,
}

/// The path of a file, or a mapping.
#[allow(dead_code)] // stands for a value in a schema only
pub(super) struct WaiversAtDoc(WaiversFullDoc);

impl<'de> Deserialize<'de> for WaiversAtDoc {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WaiversFullDoc::deserialize(deserializer).map(WaiversAtDoc)
    }
}

impl JsonSchema for WaiversAtDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WaiversAtDoc".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let full = generator.subschema_for::<WaiversFullDoc>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, full] })
    }
}

/// A file of known findings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // its fields are read one by one
pub(super) struct KnownsDoc {
    /// Version of this language: 1.
    pub fwproof: u32,
    /// The findings.
    pub known: Vec<KnownDoc>,
}

/// A known finding.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownDoc {
    /// Id of the check.
    pub check: String,
    /// The finding, as every report names it.
    pub fingerprint: String,
    /// The device that it is about.
    pub device: Option<String>,
    /// How bad it is: a finding that is worse counts again.
    pub severity: Severity,
    /// Whether it is proved.
    pub verdict: KnownVerdictDoc,
    /// How many places it stands for; 1 if not said.
    pub count: Option<u32>,
}

/// The verdict of a finding.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum KnownVerdictDoc {
    /// Not so.
    Violated,
    /// Not known.
    Unknown,
    /// A review is overdue.
    Overdue,
}

/// A file of accepted findings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // its fields are read one by one
pub(super) struct WaiversDoc {
    /// Version of this language: 1.
    pub fwproof: u32,
    /// The waivers.
    pub waivers: Vec<WaiverDoc>,
}

/// An accepted finding.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaiverDoc {
    /// Id of the check.
    pub check: String,
    /// The one finding, as every report names it. Other than `device` and `subject` it accepts nothing else of the check.
    pub fingerprint: Option<String>,
    /// Device, or a pattern with `*`.
    pub device: Option<String>,
    /// Subject of the finding, as the JSON report gives it, or a pattern with `*`.
    pub subject: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// Who accepted it.
    pub owner: String,
    /// Where it was decided.
    pub ticket: Option<String>,
    /// The last day on which it is accepted: `2026-12-31`.
    pub expires: String,
}

/// A file of changes that are meant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // its fields are read one by one
pub(super) struct IntentsDoc {
    /// Version of this language: 1.
    pub fwproof: u32,
    /// What a change may do: whatever is beyond must stay as it is.
    #[serde(rename = "allow-change")]
    pub allow_change: Vec<AllowChangeDoc>,
}

/// A change that is meant: packets that may be treated otherwise, or what else may be another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // the reason is for people
pub(super) struct AllowChangeDoc {
    /// Sources: zones, addresses, prefixes, `firewall` (the device itself), `any`. Without it: anywhere.
    #[serde(default)]
    pub from: OneOrMany<String>,
    /// Destinations, likewise, as packets arrive: before a translation.
    #[serde(default)]
    pub to: OneOrMany<String>,
    /// Services: names, or `tcp/443`. Without it: any.
    #[serde(default)]
    pub service: OneOrMany<String>,
    /// Device, or a pattern with `*`. Without it: any.
    pub device: Option<String>,
    /// Ways through the device. Without it: all.
    #[serde(default)]
    pub hook: OneOrMany<HookDoc>,
    /// What may become of these packets.
    #[serde(default)]
    pub direction: OneOrMany<DirectionDoc>,
    /// What else may be another than before.
    #[serde(default)]
    pub about: OneOrMany<AboutDoc>,
    /// Why.
    pub reason: Option<String>,
}

/// A way through a device.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HookDoc {
    /// To the device itself.
    Input,
    /// Through it.
    Forward,
    /// From it.
    Output,
}

/// What may become of packets.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DirectionDoc {
    /// They may be let through that were not.
    Allow,
    /// They may be refused that were not.
    Deny,
    /// They may be translated otherwise.
    Translate,
}

/// What may be another beside packets.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AboutDoc {
    /// Tunnels: ends, peers, networks, keys.
    Tunnels,
    /// Cryptography that tunnels offer.
    Crypto,
    /// How devices are administered.
    Management,
    /// What is logged, and where to.
    Logging,
    /// Rules that translate addresses.
    Nat,
    /// Interfaces, addresses, routes.
    Network,
    /// Settings of the kernel.
    Settings,
    /// Devices that come or go.
    Devices,
}

/// A value that is judged later, by itself.
#[derive(Deserialize)]
#[serde(transparent)]
#[allow(dead_code)] // stands for a value in a schema only
pub(super) struct AnyDoc(Value);

impl JsonSchema for AnyDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Check".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}
