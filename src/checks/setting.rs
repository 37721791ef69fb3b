//! Simple facts about settings of a host.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use super::body::{self, OneOrMany};
use super::{BodyError, Check, Kind, Names, Outcome, Scope, Spec, World, select};
use crate::diag::{Finding, Label};
use crate::model::{Device, HostSetting};

/// The kind.
pub static SETTING: Kind = Kind { id: "setting", page: include_str!("setting.md"), parse, schema: body::schema_of::<Body> };

/// A setting and the values that it may have.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Its name: `net.ipv4.conf.all.rp_filter`. A `*` stands for anything.
    name: String,
    /// The values that are right.
    one_of: OneOrMany<Scalar>,
    /// Names that the pattern fits and that are not asked.
    #[serde(default)]
    except: OneOrMany<String>,
    /// Another setting: where it has a right value, the first one is not asked (what the kernel takes the greater of, say).
    or: Option<String>,
}

/// A value as it is written: a number or a word.
#[derive(Clone, Debug)]
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(s) => Ok(Scalar(s)),
            Value::Number(n) => Ok(Scalar(n.to_string())),
            Value::Bool(b) => Ok(Scalar(b.to_string())),
            _ => Err(serde::de::Error::custom("expected a number or a word")),
        }
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

fn parse(value: &Value, _: &Names) -> Result<Box<dyn Check>, BodyError> {
    let body: Body = body::read(value)?;
    if body.name.trim().is_empty() {
        return Err(BodyError { path: "name".into(), message: "is empty".into() });
    }
    if body.one_of.0.is_empty() {
        return Err(BodyError { path: "one_of".into(), message: "the list is empty".into() });
    }
    Ok(Box::new(Setting(body)))
}

struct Setting(Body);

impl Check for Setting {
    fn scope(&self, _: &Spec) -> Scope {
        Scope::Device
    }

    fn run(&self, world: &World<'_>, spec: &Spec) -> Outcome {
        let mut out = Outcome::default();
        for device in select::devices(world, spec) {
            // A device with nothing but a VPN configuration has a host somewhere, of which nothing was exported: only hosts are asked.
            if !device.has_filter() && device.settings.is_empty() && device.unseen.is_empty() {
                continue;
            }
            // What is none of the kernel's settings is asked of the devices that have it.
            let shown = device.settings.iter().map(|s| &s.name).chain(device.unseen.iter().map(|s| &s.name));
            if (device.no_sysctl || !self.of_kernel()) && shown.into_iter().all(|name| !select::matches(&self.0.name, name)) {
                out.inapplicable.push(device.name.clone());
                continue;
            }
            out.considered.push(device.name.clone());
            if let Some(finding) = self.judge(world, spec, device) {
                out.findings.push(finding.on(&device.name).about(self.0.name.as_str()));
            }
        }
        out
    }
}

impl Setting {
    fn right(&self, setting: &HostSetting) -> bool {
        self.0.one_of.0.iter().any(|v| v.0 == setting.value.trim())
    }

    /// Whether it is a setting of the Linux kernel (its directories below /proc/sys).
    fn of_kernel(&self) -> bool {
        ["net.", "kernel.", "fs.", "vm.", "dev.", "user.", "*"].iter().any(|p| self.0.name.starts_with(p))
    }

    fn judge(&self, world: &World<'_>, spec: &Spec, device: &Device) -> Option<Finding> {
        let allowed = self.0.one_of.0.iter().map(|v| v.0.as_str()).collect::<Vec<_>>().join(" or ");
        // Of a name that is written twice, the last one counts, as for sysctl.
        let of = |name: &str| {
            let mut found: Vec<&HostSetting> = Vec::new();
            for setting in device.settings.iter().filter(|s| select::matches(name, &s.name)) {
                found.retain(|s| s.name != setting.name);
                found.push(setting);
            }
            found
        };
        let mut found = of(&self.0.name);
        found.retain(|s| !self.0.except.0.contains(&s.name));
        let other = self.0.or.as_deref().map(of).unwrap_or_default();
        if other.iter().any(|s| self.right(s)) {
            return None;
        }
        if let Some(wrong) = found.iter().find(|s| !self.right(s)) {
            let message = format!("{} is {} and must be {allowed}", wrong.name, wrong.value.trim());
            let mut finding = Finding::new(message, Label::new(wrong.span, ""));
            finding.related = found.iter().filter(|s| s.name != wrong.name && !self.right(s)).map(|s| Label::new(s.span, "")).collect();
            let value = self.0.one_of.0.first().map_or("", |v| &v.0);
            finding.fix = self.of_kernel().then(|| format!("Set `{} = {value}` in /etc/sysctl.d/.", wrong.name));
            return Some(finding);
        }
        let unseen = device.unseen.iter().filter(|s| select::matches(&self.0.name, &s.name) && !self.0.except.0.contains(&s.name));
        let unseen: Vec<_> = unseen.filter(|s| found.iter().all(|f| f.name != s.name)).collect();
        if let Some(first) = unseen.first() {
            let causes = unseen.iter().map(|s| Label::new(s.span, format!("{}: {}", s.name, s.why))).collect();
            let message = match unseen.len() {
                1 => format!("what {} is was not exported", first.name),
                n => format!("what {} and {} more are was not exported", first.name, n - 1),
            };
            let mut finding = Finding::unknown(message, Label::new(first.span, format!("no export of {} shows it", device.name)), causes);
            finding.fix = Some(format!("Export it too: `{}`.", first.export));
            return Some(finding);
        }
        if found.is_empty() {
            let span = device.files.first().map_or(spec.span, |(id, _)| world.sources.get(*id).line_span(0));
            let label = Label::new(span, format!("no export of {} shows it", device.name));
            let mut finding = Finding::unknown(format!("what {} is was not exported", self.0.name), label.clone(), vec![label]);
            finding.fix = Some("Export it too: `sysctl -a > sysctl.txt`.".into());
            return Some(finding);
        }
        None
    }
}
