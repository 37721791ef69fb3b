//! Addresses and routes of Windows: `Get-NetIPAddress` and `Get-NetRoute` as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::diag::LineState;
use crate::model::{Interface, Route};
use crate::net::Family;
use crate::source::SourceFile;
use crate::syntax::json::{self, Value};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The format.
pub static WINDOWS_NETWORK: Format = Format {
    id: "windows-network",
    title: "Windows addresses and routes (Get-NetIPAddress, Get-NetRoute)",
    export: "powershell: [pscustomobject]@{Addresses=@(Get-NetIPAddress|select InterfaceAlias,IPAddress,PrefixLength,@{n='PrefixOrigin';e={\"$($_.PrefixOrigin)\"}}); \
             Routes=@(Get-NetRoute|select DestinationPrefix,NextHop,InterfaceAlias,RouteMetric,InterfaceMetric)}|ConvertTo-Json -Depth 4 > network.json",
    covers: &["interfaces with their addresses, routes with the metric of route and interface together"],
    leaves: &["other properties"],
    role: Role::Companion,
    detect,
    read,
    includes: None,
};

fn detect(file: &SourceFile) -> Option<Detection> {
    let head = file.head(64 << 10);
    let has = |name: &str| head.contains(&format!("\"{name}\""));
    let ours = (has("IPAddress") && has("PrefixLength") || has("DestinationPrefix") && has("NextHop")) && has("InterfaceAlias");
    (head.trim_start().starts_with(['{', '[']) && ours && !has("Direction") && !has("DefaultInboundAction"))
        .then_some(Detection { confidence: Confidence::Certain, why: "is JSON with addresses or routes of Windows" })
}

/// Addresses and routes of a file.
const MOST: usize = 100_000;

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    let Some(value) = json::read(file) else {
        return reader.incomplete(file.whole(), LineState::Unrecognised, "this is not JSON");
    };
    reader.mark(file.whole(), LineState::Irrelevant);
    let parts = ["Addresses", "Routes"].iter().filter_map(|n| value.get(n)).flat_map(Value::list);
    let named: Vec<&Value> = parts.collect();
    let all = if value.get("Addresses").is_some() || value.get("Routes").is_some() { named } else { value.list() };
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    let (mut routes, mut shown) = (Vec::new(), (false, false));
    for one in all.into_iter().take(MOST) {
        let text = |name: &str| one.get(name).and_then(Value::text);
        let alias = text("InterfaceAlias").unwrap_or_default().to_owned();
        if text("IPAddress").is_some() {
            shown.0 = true;
            let Some(net) = address(one) else {
                reader.note(one.span, LineState::Unrecognised, "an address that could not be read");
                continue;
            };
            reader.mark(one.span, LineState::Understood);
            let interface = interfaces.entry(alias.clone()).or_insert_with(|| Interface::new(alias, one.span));
            interface.addresses.push(net);
            let family = Family::of(net.ip());
            // `PrefixOrigin` of MSFT_NetIPAddress: 3 is DHCP, 4 router advertisements.
            if text("PrefixOrigin").is_some_and(|o| matches!(o.to_ascii_lowercase().as_str(), "dhcp" | "routeradvertisement" | "3" | "4"))
                && !interface.dynamic.contains(&family)
            {
                interface.dynamic.push(family);
            }
        } else if let Some(to) = text("DestinationPrefix") {
            shown.1 = true;
            let Some(to) = to.parse::<IpNetwork>().ok().and_then(|n| IpNetwork::new(n.network(), n.prefix()).ok()) else {
                reader.note(one.span, LineState::Unrecognised, "a route without a destination that could be read");
                continue;
            };
            reader.mark(one.span, LineState::Understood);
            let via = text("NextHop").and_then(|h| h.split('%').next()?.parse::<IpAddr>().ok()).filter(|h| !h.is_unspecified());
            let metric = |name: &str| text(name).and_then(|m| m.parse::<u32>().ok()).unwrap_or(0);
            // The metric of a route is added to that of its interface ("Configure the order of network interfaces").
            let metric = metric("RouteMetric").saturating_add(metric("InterfaceMetric").max(metric("ifMetric")));
            let interface = Some(alias).filter(|a| !a.is_empty());
            routes.push(Route { to, interface, via, metric, kind: None, span: one.span });
        } else {
            reader.note(one.span, LineState::Unrecognised, "neither an address nor a route");
        }
    }
    if shown.0 {
        reader.device.interfaces = Some(interfaces.into_values().collect());
    }
    if shown.1 {
        reader.device.routes = Some(routes);
    }
}

fn address(one: &Value) -> Option<IpNetwork> {
    let text = |name: &str| one.get(name).and_then(Value::text);
    let ip: IpAddr = text("IPAddress")?.split('%').next()?.parse().ok()?;
    let length = match text("PrefixLength") {
        Some(length) => length.parse().ok()?,
        None => {
            if ip.is_ipv4() {
                32
            } else {
                128
            }
        }
    };
    IpNetwork::new(ip, length).ok()
}
