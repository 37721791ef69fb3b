//! `Get-DnsClientNrptRule | ConvertTo-Json`: which names are asked of which servers.

use crate::diag::LineState;
use crate::model::HostSetting;
use crate::source::SourceFile;
use crate::syntax::json::{self, Value};
use crate::vendors::{Detection, Reader};

pub(super) fn detect(file: &SourceFile) -> Option<Detection> {
    super::claims(file, &["\"Namespace\"", "\"NameServers\""], "is JSON with Namespace and NameServers of the NRPT")
}

const UNDERSTOOD: &[&str] = &["Namespace", "NameServers", "Name", "DisplayName", "Comment"];

pub(super) fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let Some(value) = json::read(file) else {
        return reader.incomplete(file.whole(), LineState::Unrecognised, "this is not JSON");
    };
    reader.mark(file.whole(), LineState::Irrelevant);
    for rule in value.list() {
        for property in rule.properties().iter().filter(|p| UNDERSTOOD.contains(&p.name.as_str())) {
            reader.mark(property.at.to(property.value.span), LineState::Understood);
        }
        let servers: Vec<&str> = rule.get("NameServers").map(Value::list).unwrap_or_default().into_iter().filter_map(Value::text).collect();
        for namespace in rule.get("Namespace").map(Value::list).unwrap_or_default() {
            let Some(name) = namespace.text() else { continue };
            reader.device.settings.push(HostSetting { name: format!("nrpt {name}"), value: servers.join(" "), span: namespace.span });
        }
    }
}
