//! Zones and services from their YAML.

use serde_yaml::Value;

use super::doc::{ServiceDoc, ZoneDoc};
use crate::checks::body::quote;
use crate::checks::services::service_ports;
use crate::checks::{BodyError, Service, ServicePorts, Zone, body};
use crate::model::NamePattern;
use crate::net::{Family, PUBLIC4, PUBLIC6, Ranges, format_interval, parse_addr, parse_cidr};
use crate::source::Span;

/// Names with a meaning of their own where a zone may stand.
pub(super) const RESERVED: &[(&str, &str)] = &[
    ("any", "every place"),
    ("firewall", "the device itself"),
    ("untrusted", "the internet"),
    ("unnamed", "every place that is in no zone"),
];

/// Reads a zone; `span` is where it is defined.
pub(super) fn zone(name: &str, value: &Value, span: Span) -> Result<Zone, Vec<BodyError>> {
    let mut errors = body::problems(value, &body::schema_value::<ZoneDoc>());
    if !errors.is_empty() {
        return Err(errors);
    }
    let doc: ZoneDoc = serde_yaml::from_value(value.clone()).map_err(|e| vec![error("", e.to_string())])?;
    let mut zone = Zone {
        name: name.to_owned(),
        v4: Ranges::EMPTY,
        v6: Ranges::EMPTY,
        internet: false,
        on: Default::default(),
        through: Vec::new(),
        span,
    };
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    let list = value["addresses"].is_sequence();
    for (i, text) in doc.addresses.0.iter().enumerate() {
        let path = if list { format!("addresses[{i}]") } else { "addresses".to_owned() };
        match text.as_str() {
            "public" => {
                zone.internet = true;
                v4.extend_from_slice(PUBLIC4.intervals());
                v6.extend_from_slice(PUBLIC6.intervals());
            }
            "any" => {
                v4.push((0, Family::V4.max_address()));
                v6.push((0, Family::V6.max_address()));
            }
            _ => match addresses(text) {
                Ok((Family::V4, lo, hi)) => v4.push((lo, hi)),
                Ok((Family::V6, lo, hi)) => v6.push((lo, hi)),
                Err(message) => errors.push(error(&path, message)),
            },
        }
    }
    if doc.addresses.0.is_empty() {
        errors.push(error("addresses", "a zone without addresses is nowhere: write prefixes, public or any"));
    }
    zone.v4 = Ranges::from_intervals(v4);
    zone.v6 = Ranges::from_intervals(v6);
    for (device, interfaces) in &doc.on {
        let patterns = patterns(&interfaces.0, &format!("on.{device}"), &mut errors);
        zone.on.insert(device.clone(), patterns);
    }
    zone.through = patterns(&doc.through.0, "through", &mut errors);
    if errors.is_empty() { Ok(zone) } else { Err(errors) }
}

fn patterns(names: &[String], path: &str, errors: &mut Vec<BodyError>) -> Vec<NamePattern> {
    let mut patterns = Vec::new();
    for name in names {
        let (stem, wildcard) = match name.strip_suffix(['*', '+']) {
            Some(stem) => (stem, true),
            None => (name.as_str(), false),
        };
        if (stem.is_empty() && !wildcard) || stem.contains(['*', '+']) || stem.chars().any(char::is_whitespace) {
            errors.push(error(path, format!("{} is no interface: write eth0, or wg* for all that begin so", quote(name))));
        } else {
            patterns.push(NamePattern { name: stem.to_owned(), wildcard });
        }
    }
    patterns
}

/// Reads an address or prefix of a baseline. Host bits must be zero: what is meant by `10.1.2.3/16` is anybody's guess.
pub(super) fn addresses(text: &str) -> Result<(Family, u128, u128), String> {
    let shown = quote(text);
    let Some((family, lo, hi)) = parse_cidr(text) else {
        return Err(match text.split_once('/') {
            Some((address, _)) if parse_addr(address).is_some() => {
                format!("{shown} has a wrong prefix length: it goes from 0 to {}", if address.contains(':') { 128 } else { 32 })
            }
            _ if text.contains('-') && text.contains('.') => format!("{shown} is a range: write it as prefixes"),
            _ => format!("{shown} is no address or prefix: write 10.1.0.0/16, 192.0.2.1, 2001:db8::/32, public or any"),
        });
    };
    let address = text.split('/').next().and_then(parse_addr).map_or(lo, |(_, n)| n);
    if address != lo {
        let (prefix, host) = (format_interval(family, lo, hi), format_interval(family, address, address));
        return Err(format!("{shown} is a host with the length of its network; did you mean \"{prefix}\" or \"{host}\"?"));
    }
    if family == Family::V6 && (lo >> 32) == 0xffff {
        return Err(format!("{shown} is an IPv4 address in IPv6 clothes: write it as IPv4"));
    }
    Ok((family, lo, hi))
}

/// Reads a service; `span` is where it is defined.
pub(super) fn service(name: &str, value: &Value, span: Span) -> Result<Service, Vec<BodyError>> {
    let mut errors = body::problems(value, &body::schema_value::<ServiceDoc>());
    if !errors.is_empty() {
        return Err(errors);
    }
    let ServiceDoc(doc) = serde_yaml::from_value(value.clone()).map_err(|e| vec![error("", e.to_string())])?;
    let (prefix, list) = match value {
        Value::Mapping(_) => ("ports", value["ports"].is_sequence()),
        other => ("", other.is_sequence()),
    };
    let mut ports: Vec<ServicePorts> = Vec::new();
    for (i, text) in doc.ports.0.iter().enumerate() {
        let path = if list { format!("{prefix}[{i}]") } else { prefix.to_owned() };
        match service_ports(text) {
            Ok(p) => ports.push(p),
            Err(message) => errors.push(error(&path, format!("{} {message}", quote(text)))),
        }
    }
    if doc.ports.0.is_empty() {
        errors.push(error(prefix, "a service without ports: write tcp/443"));
    }
    if errors.is_empty() { Ok(Service { name: name.to_owned(), ports, encrypted: doc.encrypted, span: Some(span) }) } else { Err(errors) }
}

fn error(path: &str, message: impl Into<String>) -> BodyError {
    BodyError { path: path.to_owned(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_host_bits_is_a_question() {
        assert!(addresses("10.10.0.5/16").unwrap_err().contains("did you mean \"10.10.0.0/16\" or \"10.10.0.5\"?"));
        assert!(addresses("10.0.0.0/33").unwrap_err().contains("0 to 32"));
        assert!(addresses("2001:db8::/129").unwrap_err().contains("0 to 128"));
        assert!(addresses("::ffff:10.0.0.1").unwrap_err().contains("as IPv4"));
        assert!(addresses("10.0.0.1-10.0.0.9").unwrap_err().contains("range"));
        assert!(addresses("example.com").is_err());
        assert!(addresses("2001:db8::/32").is_ok());
    }
}
